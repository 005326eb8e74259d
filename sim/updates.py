"""Population update maps of the paper's five learners, by hand, batched, for floats and for exact fractions.

Setting (Collins et al. 2022, Section 2): task i has loss L_i(B, w) = ½‖Bw − θ_i‖² with target θ_i = B_* w_{*,i}. Per
task (column i of the capitals): residual r_i = Bw − θ_i (R), adapted head w_i = w − αBᵀr_i (W), residual after
adaptation v_i (V). Every function takes B (..., d, k), w (..., k), targets (..., d, n) with leading batch axes that
broadcast.

Nothing here is generated: the symbolic derivation elsewhere is checked against these lines, so they must not come from
it.
"""

from collections.abc import Callable

import numpy as np

from metarep.sim.batches import StepSize, batch_scalar, product, sum_of_columns, sum_of_rows, transposed
from metarep.sim.learners import Learner, paper_id

Array = np.ndarray


def _column(vector: Array) -> Array:
    return vector[..., :, None]


def _row(vector: Array) -> Array:
    return vector[..., None, :]


def _mean(columns: Array) -> Array:
    """Mean of columns (..., a, n), as a column."""
    return sum_of_columns(columns) / columns.shape[-1]


def _average_loss(B: Array, w: Array, targets: Array, alpha: StepSize) -> tuple[Array, Array]:
    mean_residual = product(B, _column(w)) - _mean(targets)
    return mean_residual * _row(w), product(transposed(B), mean_residual)[..., 0]


def _fo_anil(B: Array, w: Array, targets: Array, alpha: StepSize) -> tuple[Array, Array]:
    n, a, Bt = targets.shape[-1], batch_scalar(alpha, 2), transposed(B)
    W = _column(w) - a * product(Bt, product(B, _column(w)) - targets)
    V = product(B, W) - targets
    return product(V, transposed(W)) / n, product(Bt, _mean(V))[..., 0]


def _anil(B: Array, w: Array, targets: Array, alpha: StepSize) -> tuple[Array, Array]:
    n, a, Bt = targets.shape[-1], batch_scalar(alpha, 2), transposed(B)
    R = product(B, _column(w)) - targets
    W = _column(w) - a * product(Bt, R)
    V = product(B, W) - targets
    BtV = product(Bt, V)
    s = _mean(BtV)
    Bs = product(B, s)
    grad_B = product(V, transposed(W)) / n - a * (Bs * _row(w) + product(R, transposed(BtV)) / n)
    return grad_B, (s - a * product(Bt, Bs))[..., 0]


def _fo_maml(B: Array, w: Array, targets: Array, alpha: StepSize) -> tuple[Array, Array]:
    n, a, Bt = targets.shape[-1], batch_scalar(alpha, 2), transposed(B)
    R = product(B, _column(w)) - targets
    W = _column(w) - a * product(Bt, R)
    V = product(B, W) - a * R * product(_row(w), W) - targets  # B_i w_i − θ_i with the adapted B_i = B − α r_i wᵀ
    mean_G = product(Bt, _mean(V)) - a * _column(w) * _mean(sum_of_rows(R * V))  # G: B_iᵀ v_i
    return product(V, transposed(W)) / n, mean_G[..., 0]


def _maml(B: Array, w: Array, targets: Array, alpha: StepSize) -> tuple[Array, Array]:
    n, a, Bt = targets.shape[-1], batch_scalar(alpha, 2), transposed(B)
    R = product(B, _column(w)) - targets
    W = _column(w) - a * product(Bt, R)
    overlap = product(_row(w), W)  # wᵀw_i
    V = product(B, W) - a * R * overlap - targets
    RV = sum_of_rows(R * V)  # r_iᵀv_i
    G = product(Bt, V) - a * _column(w) * RV
    mean_G = _mean(G)
    mean_U = product(V, transposed(overlap)) / n + product(B, mean_G)
    grad_B = product(V, transposed(W)) / n - a * (mean_U * _row(w) + product(R, transposed(G)) / n)
    return grad_B, (mean_G - a * (product(W, transposed(RV)) / n + product(Bt, mean_U)))[..., 0]


_GRADIENTS: dict[str, Callable[[Array, Array, Array, StepSize], tuple[Array, Array]]] = {
    "average-loss": _average_loss,
    "fo-anil": _fo_anil,
    "anil": _anil,
    "fo-maml": _fo_maml,
    "maml": _maml,
}


def outer_gradients(learner: Learner, B: Array, w: Array, targets: Array, alpha: StepSize) -> tuple[Array, Array]:
    """Outer gradients (∇_B, ∇_w), averaged over the n tasks.

    Args:
        learner: one of the five one-step specs of the paper (its name does not matter).
        B: representation, (..., d, k); float or object array of ``Fraction``.
        w: head, (..., k).
        targets: θ_i as columns, (..., d, n).
        alpha: inner step size α, scalar or over the batch axes. Unused by average loss.

    Returns:
        ∇_B (..., d, k) and ∇_w (..., k).

    Raises:
        ValueError: no map was written by hand for this spec.

    Source: Collins et al. 2022, Section 2; the expanded exact gradients are our own derivation.
    """
    return _GRADIENTS[paper_id(learner, "hand-written update map")](B, w, targets, alpha)


def step(learner: Learner, B: Array, w: Array, targets: Array, alpha: StepSize, beta: StepSize) -> tuple[Array, Array]:
    """One outer step: (B − β∇_B, w − β∇_w), both gradients at the old (B, w). Shapes as ``outer_gradients``."""
    grad_B, grad_w = outer_gradients(learner, B, w, targets, alpha)
    return B - batch_scalar(beta, 2) * grad_B, w - batch_scalar(beta, 1) * grad_w


def _times(factor: float, array: Array) -> Array:
    return array if factor == 1 else factor * array  # so that fractions stay fractions


def residuals_after_adaptation(
    learner: Learner, B: Array, w: Array, targets: Array, alpha: StepSize, head_alone: bool = False
) -> Array:
    """B_iw_i − θ_i after the inner loop of any learner on each of the tasks.

    Args:
        learner: any spec but with an exact head.
        B, w, targets, alpha: as ``outer_gradients``.
        head_alone: its inner loop adapts the head alone, whatever the learner adapts.

    Returns:
        (..., d, n).

    Raises:
        ValueError: an exact head.
    """
    if learner.exact_head:
        raise ValueError("exact_head is true; allowed: inner steps by gradients")
    a = batch_scalar(alpha, 3)
    theta = _column(transposed(targets))  # (..., n, d, 1), as of a task are B_i (..., n, d, k) and w_i (..., n, k, 1)
    B_i, w_i = B[..., None, :, :], _column(w)[..., None, :, :]
    for _ in range(learner.inner_steps):
        residuals = B_i @ w_i - theta
        grad_B, grad_w = residuals @ transposed(w_i), transposed(B_i) @ residuals
        if learner.adapts_head or head_alone:
            grad_w = grad_w + learner.ridge * w_i if learner.ridge else grad_w
            w_i = w_i - _times(learner.head_step, a * grad_w)
        if learner.adapts_representation and not head_alone:
            B_i = B_i - _times(learner.representation_step, a * grad_B)
    return transposed((B_i @ w_i - theta)[..., 0])


def loss_after_adaptation(learner: Learner, B: Array, w: Array, targets: Array, alpha: StepSize) -> Array:
    """Mean over the tasks of ½‖B_iw_i − θ_i‖² after the inner loop, (...). As ``residuals_after_adaptation``."""
    after = residuals_after_adaptation(learner, B, w, targets, alpha)
    return np.square(after).sum((-2, -1)) / 2 / targets.shape[-1]
