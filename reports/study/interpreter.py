"""An interpreter of learners' specs by automatic differentiation: it knows the tasks' losses and nothing derived.

The inner steps are gradients of the inner loss by autograd; the outer gradient is autograd's, through them or not. All
trials and tasks at once: losses are summed over independent trials, so that one gradient holds every trial's own. It is
the yardstick of the derived and the hand-written maps and of the reverse pass by hand (``metarep.reports.study.
reverse``), for what they give and for how fast.
"""

from collections.abc import Callable
from typing import Any

import autograd.numpy
import numpy as np
from autograd import grad as _grad

from metarep.sim.learners import Learner

Array = np.ndarray
Losses = Callable[[Any, Any], Any]
"""Every task's loss (..., n) at a B (..., n, d, k) and a w (..., n, k) of its own."""
anp: Any = autograd.numpy  # it makes its functions at run time, which type checkers do not see
_gradients_of: Any = _grad
_BOTH = (0, 1)  # by the first two arguments, B and w


def _gradients(
    learner: Learner,
    B: Array,
    w: Array,
    n: int,
    alpha: Array,
    inner: Losses,
    outer: Losses,
    exact_heads: Callable[[Any], Any] | None = None,
) -> tuple[Array, Array]:
    """Outer gradients from the n tasks' inner and outer losses, heads solved for exactly where that is given."""

    def inner_loss(B: Any, w: Any) -> Any:
        return anp.sum(inner(B, w)) + 0.5 * learner.ridge * anp.sum(w * w)

    def adapted(B: Any, w: Any) -> tuple[Any, Any]:
        """(B_i, w_i) of every task, from the shared B (..., d, k) and w (..., k), as autograd sees them."""
        B = B[..., None, :, :] * np.ones((n, 1, 1))
        w = w[..., None, :] * np.ones((n, 1))
        if exact_heads is not None:
            return B, exact_heads(B) + 0 * w  # autograd warns of an argument that it never meets
        for _ in range(learner.inner_steps):
            grad_B, grad_w = _gradients_of(inner_loss, _BOTH)(B, w)
            if learner.adapts_representation:
                B = B - learner.representation_step * alpha[..., None, None, None] * grad_B
            if learner.adapts_head:
                w = w - learner.head_step * alpha[..., None, None] * grad_w
        return B, w

    def outer_loss(B: Any, w: Any) -> Any:
        """Mean over tasks, summed over the trials."""
        return anp.sum(outer(B, w)) / n

    if learner.outer == "displacement":
        B_i, w_i = adapted(B, w)
        return (B - B_i.mean(-3)) / alpha[..., None, None], (w - w_i.mean(-2)) / alpha[..., None]
    if learner.first_order:
        grad_B, grad_w = _gradients_of(outer_loss, _BOTH)(*adapted(B, w))
        return grad_B.sum(-3), grad_w.sum(-2)
    return _gradients_of(lambda B, w: outer_loss(*adapted(B, w)), _BOTH)(B, w)


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

    def losses(B: Any, w: Any) -> Any:
        """½‖Bw − θ‖² of every task."""
        residual = anp.matmul(B, w[..., None])[..., 0] - theta
        return 0.5 * anp.sum(residual * residual, axis=-1)

    def exact_heads(B: Any) -> Any:
        Bt = anp.swapaxes(B, -1, -2)
        gram = anp.matmul(Bt, B) + learner.ridge * np.eye(B.shape[-1])
        return anp.linalg.solve(gram, anp.matmul(Bt, theta[..., None]))[..., 0]

    return _gradients(
        learner, B, w, theta.shape[-2], alpha, losses, losses, exact_heads if learner.exact_head else None
    )


def gradients_on_samples(
    learner: Learner, B: Array, w: Array, X_in: Array, y_in: Array, X_out: Array, y_out: Array, alpha: float
) -> tuple[Array, Array]:
    """``metarep.sim.sampling.samples.sampled_gradients`` from the empirical losses and nothing else.

    Args:
        learner: any spec without an exact head.
        B: (..., d, k) with all the batch axes of the data.
        w: (..., k), likewise.
        X_in: (..., n, m_in, d).
        y_in: (..., n, m_in).
        X_out: (..., n, m_out, d).
        y_out: (..., n, m_out).
        alpha: inner step size α, a number.

    Returns:
        ∇_B (..., d, k), ∇_w (..., k).

    Raises:
        ValueError: an exact head.
    """
    if learner.exact_head:
        raise ValueError("exact_head is true; allowed on samples: inner steps by gradients")

    def losses_on(X: Array, y: Array) -> Losses:
        """Mean over the samples of the squared error halved, per task."""

        def losses(B: Any, w: Any) -> Any:
            residual = anp.matmul(X, anp.matmul(B, w[..., None]))[..., 0] - y
            return anp.sum(residual**2, -1) / (2 * X.shape[-2])

        return losses

    n, alphas = X_out.shape[-3], np.full(B.shape[:-2], alpha)
    return _gradients(learner, B, w, n, alphas, losses_on(X_in, y_in), losses_on(X_out, y_out))


def step(learner: Learner, B: Array, w: Array, targets: Array, alpha: Any, beta: Any) -> tuple[Array, Array]:
    """One outer step, (B − β∇_B, w − β∇_w). Shapes and errors as ``outer_gradients``; β as α."""
    grad_B, grad_w = outer_gradients(learner, B, w, targets, alpha)
    beta = np.asarray(beta, dtype=float)
    return B - beta[..., None, None] * grad_B, w - beta[..., None] * grad_w
