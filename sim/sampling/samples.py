"""Finite samples on explicit data: the five learners' outer gradients of empirical losses, by hand, batched.

Setting (Collins et al. 2022, Section 2, finite-sample version): task i has features X (m × d, rows x ~ N(0, I_d)) and
labels y = X θ_i + z, θ_i = B_* w_{*,i}, z ~ N(0, σ² I_m); its empirical loss is ‖XBw − y‖²/(2m). An inner sample of
m_in adapts, a fresh outer sample of m_out evaluates. Per task: inner gradient h = Xᵀ(XBw − y)/m_in with respect to the
product Bw, adapted head w_i = w − αBᵀh, adapted representation B_i = B − αh wᵀ (MAMLs), outer gradient v with respect
to the adapted product, and Hessian Σ = XᵀX/m_in of the inner sample, through which the exact methods differentiate.

This is the reference: it draws what a user of MAML would draw, at the cost that has. ``metarep.sim.sampling.in_law``
has the same law without data.
"""

from collections.abc import Callable

import numpy as np

from metarep.sim.batches import StepSize, batch_scalar, common_batch, transposed
from metarep.sim.checks import check_noise, check_whole
from metarep.sim.learners import Learner, paper_id

Array = np.ndarray
Sample = tuple[Array, Array]
"""Every task's features X (..., n, m, d) and labels y (..., n, m)."""


def times(matrix: Array, vectors: Array) -> Array:
    """``matrix`` (..., a, b) of a trial times its tasks' ``vectors`` (..., n, b): (..., n, a)."""
    return vectors @ transposed(matrix)


def _data_gradient(sample: Sample, product: Array) -> Array:
    """Gradient of ‖X p − y‖²/(2m) at ``product`` p (..., n, d), per task: (..., n, d)."""
    X, y = sample
    residual = X @ product[..., None] - y[..., None]
    return (transposed(residual) @ X)[..., 0, :] / X.shape[-2]


def _hessian_product(sample: Sample, direction: Array) -> Array:
    """XᵀX/m times ``direction`` (..., n, d), per task."""
    X = sample[0]
    return (transposed(X @ direction[..., None]) @ X)[..., 0, :] / X.shape[-2]


def mean_outer(left: Array, right: Array) -> Array:
    """Mean over tasks of left_i right_iᵀ, from (..., n, a) and (..., n, b): (..., a, b)."""
    return transposed(left) @ right / left.shape[-2]


def _average_loss(
    learner: Learner, B: Array, w: Array, inner: Sample, outer: Sample, alpha: StepSize
) -> tuple[Array, Array]:
    v = _data_gradient(outer, times(B, w[..., None, :]))
    mean_v = v.mean(-2)
    return mean_v[..., :, None] * w[..., None, :], (mean_v[..., None, :] @ B)[..., 0, :]


def _anil(learner: Learner, B: Array, w: Array, inner: Sample, outer: Sample, alpha: StepSize) -> tuple[Array, Array]:
    """Both ANILs."""
    w_row, a = w[..., None, :], batch_scalar(alpha, 2)
    h = _data_gradient(inner, times(B, w_row))
    W = w_row - a * (h @ B)
    v = _data_gradient(outer, times(B, W))
    G = v @ B  # derivative with respect to the adapted head
    if learner.first_order:
        return mean_outer(v, W), G.mean(-2)
    s = _hessian_product(inner, times(B, G))
    grad_B = mean_outer(v, W) - a * (mean_outer(h, G) + s.mean(-2)[..., :, None] * w_row)
    return grad_B, (G - a * (s @ B)).mean(-2)


def _maml(learner: Learner, B: Array, w: Array, inner: Sample, outer: Sample, alpha: StepSize) -> tuple[Array, Array]:
    """Both MAMLs."""
    w_row, a = w[..., None, :], batch_scalar(alpha, 2)
    h = _data_gradient(inner, times(B, w_row))
    W = w_row - a * (h @ B)
    overlap = (w_row * W).sum(-1, keepdims=True)  # wᵀw_i
    v = _data_gradient(outer, times(B, W) - a * h * overlap)  # at B_i w_i
    hv = (h * v).sum(-1, keepdims=True)
    G = v @ B - a * w_row * hv  # B_iᵀ v_i
    if learner.first_order:
        return mean_outer(v, W), G.mean(-2)
    s = _hessian_product(inner, overlap * v + times(B, G))
    grad_B = mean_outer(v, W) - a * (mean_outer(h, G) + s.mean(-2)[..., :, None] * w_row)
    return grad_B, (G - a * (hv * W + s @ B)).mean(-2)


_GRADIENTS: dict[str, Callable[..., tuple[Array, Array]]] = {
    "average-loss": _average_loss,
    "fo-anil": _anil,
    "anil": _anil,
    "fo-maml": _maml,
    "maml": _maml,
}


def sampled_gradients(
    learner: Learner,
    B: Array,
    w: Array,
    X_in: Array,
    y_in: Array,
    X_out: Array,
    y_out: Array,
    alpha: StepSize,
) -> tuple[Array, Array]:
    """Outer gradients (∇_B, ∇_w) of the tasks' mean empirical loss after adaptation.

    Args:
        learner: one of the paper's five one-step specs (its name does not matter).
        B: representation, (..., d, k).
        w: head, (..., k).
        X_in: inner samples' features, (..., n, m_in, d). Unused by average loss, which trains on the outer sample.
        y_in: inner samples' labels, (..., n, m_in).
        X_out: outer samples' features, (..., n, m_out, d).
        y_out: outer samples' labels, (..., n, m_out).
        alpha: inner step size α, a scalar or over the batch axes.

    Returns:
        ∇_B (..., d, k) and ∇_w (..., k). The leading batch axes broadcast.

    Raises:
        ValueError: no map was written by hand for this spec, or the shapes do not fit each other.

    Source: Collins et al. 2022, Section 2; the exact methods' empirical Hessian terms are our own derivation.
    """
    gradients = _GRADIENTS[paper_id(learner, "hand-written sampled update")]
    d = B.shape[-2]
    for name, X, y in (("inner", X_in, y_in), ("outer", X_out, y_out)):
        if X.ndim < 3 or y.ndim < 2 or X.shape[-1] != d or X.shape[-3:-1] != y.shape[-2:]:
            raise ValueError(
                f"the {name} sample has X {X.shape} and y {y.shape}; allowed: X (..., n, m, {d}) and y (..., n, m)"
            )
    return gradients(learner, B, w, (X_in, y_in), (X_out, y_out), alpha)


def step_on_samples(
    learner: Learner,
    B: Array,
    w: Array,
    X_in: Array,
    y_in: Array,
    X_out: Array,
    y_out: Array,
    alpha: StepSize,
    beta: StepSize,
) -> tuple[Array, Array]:
    """One outer step (B − β∇_B, w − β∇_w) on explicit data; arguments and errors as ``sampled_gradients``."""
    grad_B, grad_w = sampled_gradients(learner, B, w, X_in, y_in, X_out, y_out, alpha)
    return B - batch_scalar(beta, 2) * grad_B, w - batch_scalar(beta, 1) * grad_w


def draw_samples(
    B_star: Array,
    heads: Array,
    m_in: int,
    m_out: int,
    sigma: float | Array,
    rng: np.random.Generator,
    batch: tuple[int, ...] = (),
    shared: bool = False,
) -> tuple[Array, Array, Array, Array]:
    """Draw every task's inner and outer sample.

    Args:
        B_star: ground-truth representation B_*, (..., d, k).
        heads: the tasks' heads w_{*,i} as columns, (..., k, n).
        m_in: inner samples per task, 1 or more.
        m_out: outer samples per task, 1 or more.
        sigma: standard deviation σ ≥ 0 of the label noise, a scalar or over the batch axes.
        rng: the generator that is drawn from.
        batch: batch axes of the draws; they must be what the arguments' batch axes broadcast to.
        shared: inner and outer sample are one and the same data (needs m_in = m_out).

    Returns:
        X_in (*batch, n, m_in, d), y_in (*batch, n, m_in), X_out (*batch, n, m_out, d), y_out (*batch, n, m_out); with
        ``shared`` the last two are the first two.

    Raises:
        ValueError: a sample size is not a whole number ≥ 1, σ is negative or not finite, shared samples of two sizes,
            or ``batch`` does not fit.
    """
    check_whole("m_in", m_in, 1)
    check_whole("m_out", m_out, 1)
    if shared and m_in != m_out:
        raise ValueError(f"m_in is {m_in} and m_out is {m_out}; allowed with shared samples: two equal sizes")
    sigma = check_noise(sigma)
    d, k = B_star.shape[-2:]
    if heads.shape[-2] != k:
        raise ValueError(f"heads have {heads.shape[-2]} rows for a B_star with {k} columns; allowed: as many")
    wanted = np.broadcast_to(0, batch)  # an array of these batch axes
    if common_batch(B_star=(B_star, 2), heads=(heads, 2), sigma=(sigma, 0), batch=(wanted, 0)) != tuple(batch):
        parts = {"B_star": B_star.shape[:-2], "heads": heads.shape[:-2], "sigma": sigma.shape}
        raise ValueError(f"the arguments' batch axes are {parts}; allowed: what broadcasts to batch = {tuple(batch)}")
    theta = transposed(B_star @ heads)  # (..., n, d)

    def draw(m: int) -> tuple[Array, Array]:
        X = rng.standard_normal((*batch, theta.shape[-2], m, d))
        noise = rng.standard_normal(X.shape[:-1]) * batch_scalar(sigma, 2)
        return X, (X @ theta[..., None])[..., 0] + noise

    X_in, y_in = draw(m_in)
    return (X_in, y_in, X_in, y_in) if shared else (X_in, y_in, *draw(m_out))
