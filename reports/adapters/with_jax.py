"""All five learners by JAX (extra ``jax``): ``metarep check metarep.reports.adapters.with_jax``."""

from functools import partial

import jax  # pyright: ignore[reportMissingImports]
from jax import numpy as jnp  # pyright: ignore[reportMissingImports]

jax.config.update("jax_enable_x64", True)  # without it JAX computes in float32, and says so by what it returns


def loss(parameters, target):
    """½‖Bw − θ‖²."""
    B, w = parameters
    return 0.5 * jnp.sum((B @ w - target) ** 2)


def loss_after_adaptation(parameters, target, alpha, adapts, first_order):
    """One task's loss after one inner step of what the learner adapts."""
    B, w = parameters
    grads = jax.grad(loss)(parameters, target)
    grad_B, grad_w = jax.lax.stop_gradient(grads) if first_order else grads
    new_w = w - alpha * grad_w if adapts in ("head", "both") else w
    return loss((B - alpha * grad_B if adapts == "both" else B, new_w), target)


@partial(jax.jit, static_argnames=("adapts", "first_order"))
def outer_gradient(parameters, targets, alpha, adapts, first_order):
    """The gradient of the tasks' mean loss after adaptation."""
    per_task = jax.vmap(loss_after_adaptation, in_axes=(None, 1, None, None, None))
    return jax.grad(lambda p: per_task(p, targets, alpha, adapts, first_order).mean())(parameters)


def step(learner, B, w, targets, alpha, beta):
    """One outer step."""
    grad_B, grad_w = outer_gradient((B, w), targets, alpha, learner.adapts, learner.first_order)
    return B - beta * grad_B, w - beta * grad_w
