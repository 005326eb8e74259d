"""Outer steps by automatic differentiation: the learners' definition and nothing else, as an independent check and a
yardstick for speed.

The inner steps are taken with autograd's gradient of the task loss ½‖Bw − θ_i‖², and the outer gradient is autograd's
as well; no
formula of the gradient occurs here.
"""

from typing import Any

import autograd.numpy
import numpy as np
from autograd import grad as _grad

from metarep.sim.learners import Learner

anp: Any = autograd.numpy  # it makes its functions at run time, which type checkers do not see
gradient_of: Any = _grad


def _task_loss(parameters: tuple[Any, Any], target: Any) -> Any:
    B, w = parameters
    return 0.5 * anp.sum((B @ w - target) ** 2)


def _inner_loss(parameters: tuple[Any, Any], target: Any, ridge: float) -> Any:
    return _task_loss(parameters, target) + 0.5 * ridge * anp.sum(parameters[1] ** 2)


_outer_gradient = gradient_of(_task_loss)
_inner_gradient = gradient_of(_inner_loss)


def _adapted(learner: Learner, parameters: tuple[Any, Any], target: Any, alpha: float) -> tuple[Any, Any]:
    """The parameters after the inner loop on one task."""
    B, w = parameters
    if learner.exact_head:
        return B, anp.linalg.solve(B.T @ B + learner.ridge * anp.eye(B.shape[1]), B.T @ target)
    for _ in range(learner.inner_steps):
        grad_B, grad_w = _inner_gradient((B, w), target, learner.ridge)
        B = B - alpha * learner.representation_step * grad_B if learner.adapts_representation else B
        w = w - alpha * learner.head_step * grad_w if learner.adapts_head else w
    return B, w


def autograd_gradients(
    learner: Learner, B: np.ndarray, w: np.ndarray, targets: np.ndarray, alpha: float
) -> tuple[np.ndarray, np.ndarray]:
    """Outer gradients (∇_B, ∇_w), averaged over the tasks, of any spec.

    Args:
        learner: any spec, with any number of inner steps.
        B: representation (d, k).
        w: head (k,).
        targets: θ_i as columns, (d, n).
        alpha: inner step size α.

    Source: Collins et al. 2022, Section 2 (the learners' definitions).
    """
    n = targets.shape[-1]

    def mean_loss_after_adaptation(parameters: tuple[Any, Any]) -> Any:
        return sum(_task_loss(_adapted(learner, parameters, targets[:, i], alpha), targets[:, i]) for i in range(n)) / n

    if learner.outer == "displacement":
        ends = [_adapted(learner, (B, w), targets[:, i], alpha) for i in range(n)]
        return sum((B - B_i) for B_i, _ in ends) / (n * alpha), sum((w - w_i) for _, w_i in ends) / (n * alpha)
    if not learner.first_order:
        through: Any = gradient_of(mean_loss_after_adaptation)
        return through((B, w))
    total_B, total_w = np.zeros(B.shape), np.zeros(w.shape)
    for i in range(n):
        grad_B, grad_w = _outer_gradient(_adapted(learner, (B, w), targets[:, i], alpha), targets[:, i])
        total_B, total_w = total_B + grad_B / n, total_w + grad_w / n
    return total_B, total_w


def autograd_step(
    learner: Learner, B: np.ndarray, w: np.ndarray, targets: np.ndarray, alpha: float, beta: float
) -> tuple[np.ndarray, np.ndarray]:
    """One outer step (B − β∇_B, w − β∇_w). B (d, k), w (k,), targets (d, n), no batch axes; floats only."""
    grad_B, grad_w = autograd_gradients(learner, B, w, targets, alpha)
    return B - beta * grad_B, w - beta * grad_w
