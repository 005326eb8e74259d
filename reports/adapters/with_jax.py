"""JAX and optax: vmap over the tasks, optax's SGD inside and outside, compiled as a whole.

pip install 'metarep[jax]'
"""

from functools import partial

import jax
import optax

jax.config.update("jax_enable_x64", True)  # without it JAX computes in float32


def loss(params, x, y):
    """Half the mean of squared errors: optax's has the ½ of the theory."""
    return optax.l2_loss(x @ params["B"] @ params["w"], y).mean()


@partial(jax.jit, static_argnames="learner")
def step_on_samples(learner, B, w, X_in, y_in, X_out, y_out, alpha, beta):
    """One outer step on n tasks' samples; compiled once for each learner and shape."""
    labels = {"B": "move" if learner.adapts == "both" else "stay", "w": "move"}
    inner = optax.multi_transform({"move": optax.sgd(alpha), "stay": optax.set_to_zero()}, labels)
    outer = optax.sgd(beta)

    def loss_after_adaptation(params, x_in, y_in, x_out, y_out):
        for _ in range(learner.inner_steps):
            grads = jax.grad(loss)(params, x_in, y_in)
            grads = jax.lax.stop_gradient(grads) if learner.first_order else grads
            updates, _ = inner.update(grads, inner.init(params))
            params = optax.apply_updates(params, updates)
        return loss(params, x_out, y_out)

    params, batch = {"B": B, "w": w}, (X_in, y_in, X_out, y_out)
    grads = jax.grad(lambda p: jax.vmap(partial(loss_after_adaptation, p))(*batch).mean())(params)
    updates, _ = outer.update(grads, outer.init(params))
    params = optax.apply_updates(params, updates)
    return params["B"], params["w"]
