"""An interpreter of learners' specs by automatic differentiation: it knows the task loss and nothing that was derived.

The inner steps are gradients of the inner loss by autograd; the outer gradient is autograd's, through them or not. All
trials and tasks at once: losses are summed over independent trials, so that one gradient holds every trial's own.
"""

from typing import Any

import autograd.numpy
import numpy as np
from autograd import grad as _grad

from metarep.sim.implementations import Implementation
from metarep.sim.learners import Learner

Array = np.ndarray
anp: Any = autograd.numpy  # it makes its functions at run time, which type checkers do not see
_gradients_of: Any = _grad
_BOTH = (0, 1)  # by the first two arguments, B and w


def _task_losses(B: Any, w: Any, theta: Any) -> Any:
    """½‖Bw − θ‖² of every task: B (..., n, d, k), w (..., n, k), theta (..., n, d) -> (..., n)."""
    residual = anp.matmul(B, w[..., None])[..., 0] - theta
    return 0.5 * anp.sum(residual * residual, axis=-1)


def _inner_loss(B: Any, w: Any, theta: Any, ridge: float) -> Any:
    return anp.sum(_task_losses(B, w, theta)) + 0.5 * ridge * anp.sum(w * w)


_inner_gradients = _gradients_of(_inner_loss, _BOTH)


def _adapted(learner: Learner, B: Any, w: Any, theta: Array, alpha: Array) -> tuple[Any, Any]:
    """(B_i, w_i) of every task, from the shared B (..., d, k) and w (..., k), as autograd sees them."""
    n = theta.shape[-2]
    B = B[..., None, :, :] * np.ones((n, 1, 1))
    w = w[..., None, :] * np.ones((n, 1))
    if learner.exact_head:
        Bt = anp.swapaxes(B, -1, -2)
        gram = anp.matmul(Bt, B) + learner.ridge * np.eye(B.shape[-1])
        solved = anp.linalg.solve(gram, anp.matmul(Bt, theta[..., None]))[..., 0]
        return B, solved + 0 * w  # autograd warns of an argument that it never meets
    for _ in range(learner.inner_steps):
        grad_B, grad_w = _inner_gradients(B, w, theta, learner.ridge)
        if learner.adapts_representation:
            B = B - learner.representation_step * alpha[..., None, None, None] * grad_B
        if learner.adapts_head:
            w = w - learner.head_step * alpha[..., None, None] * grad_w
    return B, w


def _outer_loss(B: Any, w: Any, learner: Learner, theta: Array, alpha: Array) -> Any:
    """Mean over tasks of the loss after adaptation, summed over the trials."""
    return anp.sum(_task_losses(*_adapted(learner, B, w, theta, alpha), theta)) / theta.shape[-2]


def _outer_loss_at(B: Any, w: Any, theta: Array) -> Any:
    return anp.sum(_task_losses(B, w, theta)) / theta.shape[-2]


_outer_gradients, _at_adapted = _gradients_of(_outer_loss, _BOTH), _gradients_of(_outer_loss_at, _BOTH)


def outer_gradients(learner: Learner, B: Array, w: Array, targets: Array, alpha: Any) -> tuple[Array, Array]:
    """Outer gradients of any spec; for an outer step by displacement, the mean displacement over −α.

    Args:
        learner: any spec.
        B: representation (..., d, k), floats.
        w: head (..., k).
        targets: θ_i as columns (..., d, n).
        alpha: inner step size α, scalar or over the batch axes.

    Returns:
        ∇_B (..., d, k) and ∇_w (..., k) over the common batch axes.

    Raises:
        ValueError: the batch axes do not broadcast.
    """
    batch = np.broadcast_shapes(B.shape[:-2], w.shape[:-1], targets.shape[:-2], np.shape(alpha))
    B = np.broadcast_to(B, batch + B.shape[-2:])
    w = np.broadcast_to(w, batch + w.shape[-1:])
    theta = np.broadcast_to(np.swapaxes(targets, -1, -2), batch + targets.shape[:-3:-1])
    alpha = np.broadcast_to(np.asarray(alpha, dtype=float), batch)
    if learner.outer == "displacement":
        B_i, w_i = _adapted(learner, B, w, theta, alpha)
        return (B - B_i.mean(-3)) / alpha[..., None, None], (w - w_i.mean(-2)) / alpha[..., None]
    if learner.first_order:
        B_i, w_i = _adapted(learner, B, w, theta, alpha)
        grad_B, grad_w = _at_adapted(B_i, w_i, theta)
        return grad_B.sum(-3), grad_w.sum(-2)
    return _outer_gradients(B, w, learner, theta, alpha)


def step(learner: Learner, B: Array, w: Array, targets: Array, alpha: Any, beta: Any) -> tuple[Array, Array]:
    """One outer step, (B − β∇_B, w − β∇_w). Shapes and errors as ``outer_gradients``; β as α."""
    grad_B, grad_w = outer_gradients(learner, B, w, targets, alpha)
    beta = np.asarray(beta, dtype=float)
    return B - beta[..., None, None] * grad_B, w - beta[..., None] * grad_w


INTERPRETER = Implementation("interpreter by automatic differentiation", step=step, exact=False)
"""For ``metarep.sim.trajectories.run``: it takes any spec, not only those that ``supported`` names."""
