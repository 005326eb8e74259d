"""A learner's spec run by a reverse pass written by hand: forward through the inner steps, and back through them.

It knows how a task's loss ½‖Bw − θ‖² and an inner step are differentiated, and nothing of what is derived from a spec.
``metarep.reports.study.interpreter`` differentiates the same automatically, which takes ten times as long. All trials
and tasks at once: B_i is (..., n, d, k), w_i and residuals are columns (..., n, k, 1) and (..., n, d, 1).
"""

from typing import Any

import numpy as np

from metarep.sim.batches import batch_scalar, common_batch
from metarep.sim.implementations import Implementation
from metarep.sim.learners import Learner

Array = np.ndarray


def _inner_loop(learner: Learner, B: Array, w: Array, theta: Array, a: Any) -> list[tuple[Array, Array, Array]]:
    """(B_i, w_i, r_i) before every inner step and after the last."""
    points = [(B, w, B @ w - theta)]
    for _ in range(learner.inner_steps):
        B, w, r = points[-1]
        w_next = w - learner.head_step * a * (B.mT @ r + learner.ridge * w) if learner.adapts_head else w
        B_next = B - learner.representation_step * a * (r * w.mT) if learner.adapts_representation else B
        points.append((B_next, w_next, B_next @ w_next - theta))
    return points


def _back(
    learner: Learner, points: list[tuple[Array, Array, Array]], B_bar: Array, w_bar: Array, a: Any
) -> tuple[Array, Array]:
    """Derivatives by what the inner loop began with, from those by what it ended with."""
    for B, w, r in reversed(points[:-1]):
        r_bar: Any = 0
        B_more: Any = 0
        w_more: Any = 0
        if learner.adapts_head:  # through w − a(Bᵀr + ridge w)
            q = -learner.head_step * a * w_bar
            r_bar, B_more, w_more = B @ q, r * q.mT, learner.ridge * q
        if learner.adapts_representation:  # through B − a r wᵀ
            P = -learner.representation_step * a * B_bar
            r_bar, w_more = r_bar + P @ w, w_more + P.mT @ r
        B_bar, w_bar = B_bar + B_more + r_bar * w.mT, w_bar + w_more + B.mT @ r_bar
    return B_bar, w_bar


def outer_gradients(learner: Learner, B: Array, w: Array, targets: Array, alpha: Any) -> tuple[Array, Array]:
    """∇_B (..., d, k) and ∇_w (..., k), with the arguments, results and errors of
    ``metarep.reports.study.interpreter.outer_gradients``.
    """
    common_batch(B=(B, 2), w=(w, 1), targets=(targets, 2), alpha=(alpha, 0))
    n, a, theta = targets.shape[-1], batch_scalar(alpha, 3), targets.mT[..., None]
    B_0, w_0 = B[..., None, :, :], w[..., None, :, None]
    gram = B_0.mT @ B_0 + learner.ridge * np.eye(B.shape[-1])  # of an exact head
    if learner.exact_head:
        w_0 = np.linalg.solve(gram, B_0.mT @ theta) + 0 * w_0
        points = [(B_0, w_0, B_0 @ w_0 - theta)]
    else:
        points = _inner_loop(learner, B_0, w_0, theta, a)
    B_i, w_i, v = points[-1]
    if learner.outer == "displacement":
        grads = (B_0 - B_i) / a, (w[..., None, :, None] - w_i) / a
    else:
        grads = v * w_i.mT, B_i.mT @ v
        if not learner.first_order and learner.exact_head:  # w_i = (BᵀB + ridge)⁻¹Bᵀθ
            s = np.linalg.solve(gram, grads[1])
            grads = grads[0] - v * s.mT - (B_i @ s) * w_i.mT, 0 * s
        elif not learner.first_order:
            grads = _back(learner, points, *grads, a)
    return grads[0].sum(-3) / n, grads[1].sum(-3)[..., 0] / n


def step(learner: Learner, B: Array, w: Array, targets: Array, alpha: Any, beta: Any) -> tuple[Array, Array]:
    """One outer step, (B − β∇_B, w − β∇_w). Shapes and errors as ``outer_gradients``; β as α."""
    grad_B, grad_w = outer_gradients(learner, B, w, targets, alpha)
    return B - batch_scalar(beta, 2) * grad_B, w - batch_scalar(beta, 1) * grad_w


BY_REVERSE = Implementation("reverse pass by hand", step=step, exact=False)
"""For ``metarep.sim.trajectories.run``: it takes any spec, not only those that ``supported`` names."""
