"""Finite samples without data: steps with the exact law of those on data, at a cost free of m_in, m_out and d.

The chain (B_t, w_t) of ``metarep.sim.sampling.samples`` with fresh data at every step is a Markov chain that sees its
data only through a few queries (``metarep.sim.sampling.gaussian_queries``), and it sees R^d only through inner
products. So its state is kept in reduced coordinates in which B_* = [I_k; 0]: the k coordinates along B_* and as many
along col(B_{*⊥}ᵀB) as B has columns, k'. B is then (..., r, k') with r = min(d, k + k') rows, 2k for a learner as wide
as the truth. One step is r coordinates of each fresh direction, a few outside coordinates (a Bartlett factor), and a QR
factorisation that turns the perpendicular rows into k' again.

Where the outside coordinates enter:
  - both ANILs and average loss: no scalar of the step depends on them (all queried directions lie inside), so the
    outside part of ∇_B is ΞᵀC with C known and Ξ standard normal and independent of it; only the R-factor of C matters,
    hence no more than k' vectors Ξ;
  - both MAMLs: the outer query's direction has an outside part (B_i = B − αhwᵀ), so all fresh directions (2 per task, 3
    for the exact method) get outside coordinates, and the step is computed in r + (their number) dimensions.
Own derivation; that the dynamics stay in col(B_0) + col(B_*) in the population is its model.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from metarep.sim.batches import StepSize, batch_scalar, common_batch, transposed
from metarep.sim.checks import check_noise, check_sample_size
from metarep.sim.learners import Learner, paper_id
from metarep.sim.sampling.gaussian_queries import (
    Draws,
    FirstAnswer,
    draw_chi2,
    first_query,
    fresh_directions,
    row_dot,
    second_query,
)
from metarep.sim.sampling.samples import mean_outer, times

Array = np.ndarray

D_FREE = "exact-in-law, d-free"
IN_FULL_SPACE = "exact-in-law in R^d"


class SamplingMode(NamedTuple):
    """How finite samples are simulated (``D_FREE``, ``IN_FULL_SPACE`` or ``EXPLICIT``), and why."""

    name: str
    reason: str

    def __str__(self) -> str:
        return f"{self.name} ({self.reason})"


class Setting(NamedTuple):
    """What a step's functions share. Step size and noise broadcast against (..., n, 1)."""

    alpha: Array
    sigma: Array
    m_in: int | Array | None
    m_out: int | Array | None
    tasks: int
    inside: int
    outside: int
    batch: tuple[int, ...]
    rng: np.random.Generator
    parts: "Parts"


class _Gradient(NamedTuple):
    """∇_B in the coordinates there are, ∇_w, and the factor C of outside rows ΞᵀC that ∇_B still lacks, or None."""

    B: Array
    w: Array
    outside_factor: Array | None = None


def _root_sum_of_squares(scales: Array) -> Array:
    """(..., n, 1) -> (..., 1, 1): the standard deviation of a sum of independent normals."""
    return np.sqrt(np.square(scales).sum(-2, keepdims=True))


def _fresh_count(learner: Learner, tasks: int, m_in: Any, m_out: Any) -> int:
    """Number of fresh normal directions of a MAML step."""
    return tasks * ((m_out is not None) + (m_in is not None) * (1 if learner.first_order else 2))


def data_sets(s: Setting, normals: Array, second: bool) -> tuple[Draws | None, Draws | None]:
    """Inner and outer data sets from fresh normal directions (..., J, p), in the order inner, inner's second, outer."""
    shape, n = (*s.batch, s.tasks, 1), s.tasks
    inner = outer = None
    position = 0
    if s.m_in is not None:
        inner = Draws(s.m_in, s.parts.first_chi2(s.m_in, shape, s.rng), normals[..., :n, :])
        position = n
        if second:
            q = s.parts.second_chi2(s.m_in - 1, shape, s.rng)
            inner = inner._replace(second_chi2=q, second_normal=normals[..., n : 2 * n, :])
            position = 2 * n
    if s.m_out is not None:
        q = s.parts.first_chi2(s.m_out, shape, s.rng)
        outer = Draws(s.m_out, q, normals[..., position : position + n, :])
    return inner, outer


@dataclass(frozen=True)
class Parts:
    """What a step in law is made of; each part can be replaced by another."""

    data_sets: Callable[[Setting, Array, bool], tuple[Draws | None, Draws | None]] = data_sets
    """Inner and outer data sets from normal directions, see ``data_sets``."""
    first_chi2: Callable[[Any, tuple[int, ...], np.random.Generator], Array] = draw_chi2
    """q of a first query, from degrees of freedom, shape and generator."""
    second_chi2: Callable[[Any, tuple[int, ...], np.random.Generator], Array] = draw_chi2
    """q' of a second query, likewise."""
    first_query: Callable[[Draws | None, Array, Array | float], FirstAnswer] = first_query
    second_query: Callable[[Draws | None, FirstAnswer, Array], tuple[Array, Array, Array]] = second_query
    fresh_directions: Callable[[int, int, int, tuple[int, ...], np.random.Generator], Array] = fresh_directions


PARTS = Parts()
"""The right ones."""


def _inside_data_sets(s: Setting, inner: bool, second: bool) -> tuple[Draws | None, Draws | None]:
    """Data sets of which only the inside coordinates matter."""
    if not inner:
        s = s._replace(m_in=None)
    count = s.tasks * ((s.m_out is not None) + (s.m_in is not None) * (2 if second else 1))
    return s.parts.data_sets(s, s.rng.standard_normal((*s.batch, count, s.inside)), second)


def _average_loss(s: Setting, learner: Learner, B: Array, w: Array, theta: Array) -> _Gradient:
    w_row = w[..., None, :]
    _, outer = _inside_data_sets(s, inner=False, second=False)
    v = s.parts.first_query(outer, times(B, w_row) - theta, s.sigma)
    mean_v = v.gradient.mean(-2, keepdims=True)
    factor = _root_sum_of_squares(v.scale) / s.tasks * w_row
    return _Gradient(transposed(mean_v) * w_row, (mean_v @ B)[..., 0, :], factor)


def _anil(s: Setting, learner: Learner, B: Array, w: Array, theta: Array) -> _Gradient:
    """Both ANILs."""
    w_row = w[..., None, :]
    inner, outer = _inside_data_sets(s, inner=True, second=not learner.first_order)
    h = s.parts.first_query(inner, times(B, w_row) - theta, s.sigma)
    W = w_row - s.alpha * (h.gradient @ B)
    v = s.parts.first_query(outer, times(B, W) - theta, s.sigma)
    G = v.gradient @ B
    if learner.first_order:
        return _Gradient(mean_outer(v.gradient, W), G.mean(-2), v.scale / s.tasks * W)
    product, along_first, along_second = s.parts.second_query(inner, h, times(B, G))
    grad_B = mean_outer(v.gradient, W) - s.alpha * (
        mean_outer(h.gradient, G) + transposed(product.mean(-2, keepdims=True)) * w_row
    )
    # Rows of C: n of the outer ξ, n of the inner ξ (in h and in the Hessian product), one for all ξ' together (they all
    # multiply w).
    factors = (
        v.scale * W,
        s.alpha * (h.scale * G + along_first * w_row),
        s.alpha * _root_sum_of_squares(along_second) * w_row,
    )
    rows = [np.broadcast_to(factor, (*s.batch, *factor.shape[-2:])) for factor in factors]
    return _Gradient(grad_B, (G - s.alpha * (product @ B)).mean(-2), np.concatenate(rows, -2) / s.tasks)


def _maml(s: Setting, learner: Learner, B: Array, w: Array, theta: Array) -> _Gradient:
    """Both MAMLs: B, targets and data sets get outside coordinates, zero ones the former two."""
    count = _fresh_count(learner, s.tasks, s.m_in, s.m_out)
    normals = s.parts.fresh_directions(count, s.inside, s.outside, s.batch, s.rng)
    more = normals.shape[-1] - s.inside
    if more:
        B = np.concatenate([B, np.zeros((*B.shape[:-2], more, B.shape[-1]))], -2)
        theta = np.concatenate([theta, np.zeros((*theta.shape[:-1], more))], -1)
    inner, outer = s.parts.data_sets(s, normals, not learner.first_order)
    w_row = w[..., None, :]
    first = s.parts.first_query(inner, times(B, w_row) - theta, s.sigma)
    h = first.gradient
    W = w_row - s.alpha * (h @ B)
    overlap = row_dot(w_row, W)
    v = s.parts.first_query(outer, times(B, W) - s.alpha * overlap * h - theta, s.sigma).gradient
    hv = row_dot(h, v)
    G = v @ B - s.alpha * w_row * hv
    if learner.first_order:
        return _Gradient(mean_outer(v, W), G.mean(-2))
    product, _, _ = s.parts.second_query(inner, first, overlap * v + times(B, G))
    grad_B = mean_outer(v, W) - s.alpha * (mean_outer(h, G) + transposed(product.mean(-2, keepdims=True)) * w_row)
    return _Gradient(grad_B, (G - s.alpha * (hv * W + product @ B)).mean(-2))


_GRADIENTS: dict[str, Callable[[Setting, Learner, Array, Array, Array], _Gradient]] = {
    "average-loss": _average_loss,
    "fo-anil": _anil,
    "anil": _anil,
    "fo-maml": _maml,
    "maml": _maml,
}


def _gradient_of(learner: Learner) -> Callable[[Setting, Learner, Array, Array, Array], _Gradient]:
    return _GRADIENTS[paper_id(learner, "sampler in law")]


def reduced_rows(d: int, k: int, width: int) -> int:
    """Rows of B in reduced coordinates: min(d, k + k'), k' = ``width`` the learner's columns.

    Raises:
        ValueError: there is no such B_* or B: d < k, or d < k'.
    """
    if not 1 <= k <= d or not 1 <= width <= d:
        raise ValueError(
            f"d is {d} with k = {k} and {width} columns of B; allowed: d at least as large as both, all 1 or more"
        )
    return min(d, k + width)


def sampling_mode(
    learner: Learner, d: int, k: int, n: int, m_in: Any, m_out: Any, width: int | None = None
) -> SamplingMode:
    """Whether a step in law needs coordinates outside R^(k + k') at all, and whether fewer than there are.

    The reduction of the outside to a Bartlett factor holds when it has at least as many dimensions as there are fresh
    directions to represent; otherwise these are drawn in R^d as they are, which is as exact and no more expensive. Any
    m ≥ 1 and σ ≥ 0 is fine.

    Args:
        learner: one of the paper's five.
        d: dimension of the features.
        k: dimension of the ground truth.
        n: tasks.
        m_in: inner samples per task; None or infinite for the population.
        m_out: outer samples per task, likewise.
        width: columns of B; k if None.

    Raises:
        ValueError: as ``step_in_law``.
    """
    width = k if width is None else width
    rows = reduced_rows(d, k, width)
    gradient, m_in, m_out = _gradient_of(learner), check_sample_size("m_in", m_in), check_sample_size("m_out", m_out)
    if d <= k + width:
        return SamplingMode(IN_FULL_SPACE, f"d = {d} is no more than the k + k' = {k + width} reduced coordinates")
    if gradient is _maml:  # whose queried directions leave the inside
        count = _fresh_count(learner, n, m_in, m_out)
    else:
        rows_of_factor = {"nothing": 1}.get(learner.adapts, n if learner.first_order else 2 * n + 1)
        count = min(rows_of_factor, width)
    if count > d - rows:
        return SamplingMode(
            IN_FULL_SPACE, f"the {d - rows} dimensions outside hold no {count} independent fresh directions"
        )
    return SamplingMode(D_FREE, f"{count} fresh directions stand for the {d - rows} dimensions outside")


def step_in_law(
    learner: Learner,
    B: Array,
    w: Array,
    heads: Array,
    alpha: StepSize,
    beta: StepSize,
    m_in: float | Array | None,
    m_out: float | Array | None,
    sigma: float | Array,
    d: int,
    rng: np.random.Generator,
    parts: Parts = PARTS,
) -> tuple[Array, Array]:
    """One outer step on fresh samples in law, in reduced coordinates: ``step_on_samples`` on ``draw_samples``, without
    data.

    Args:
        learner: one of the paper's five one-step specs.
        B: representation in reduced coordinates (B_* = [I_k; 0]), (..., min(d, k + k'), k').
        w: head, (..., k').
        heads: the tasks' heads w_{*,i} as columns, (..., k, n).
        alpha: inner step size α, a scalar or over the batch axes.
        beta: outer step size β, likewise.
        m_in: inner samples per task, 1 or more, a number or over the batch axes; None or ``math.inf`` for the
            population. Unused by average loss.
        m_out: outer samples per task, likewise.
        sigma: standard deviation σ ≥ 0 of the label noise, a scalar or over the batch axes.
        d: dimension of the features; the cost does not depend on it once it is above k + k' + (number of fresh
            directions).
        rng: the generator that is drawn from.
        parts: what the step is made of; with others the law is another.

    Returns:
        B_next (..., min(d, k + k'), k') and w_next (..., k'), in law the reduced coordinates of the step on data. For d
        > k + k' the perpendicular rows are upper triangular: the coordinates are turned at each step, which changes no
        inner product.

    Raises:
        ValueError: unknown learner, sample size, dimension, σ or shape.

    Source: own derivation (module text).
    """
    gradient_of = _gradient_of(learner)
    k, n = heads.shape[-2:]
    width = B.shape[-1]
    inside = reduced_rows(d, k, width)
    if B.shape[-2] != inside or w.shape[-1] != width:
        raise ValueError(
            f"B has shape {B.shape} and w {w.shape}; allowed at d = {d}: (..., {inside}, k') and (..., k'), reduced"
        )
    sigma = check_noise(sigma)
    batch = common_batch(B=(B, 2), w=(w, 1), heads=(heads, 2), alpha=(alpha, 0), beta=(beta, 0), sigma=(sigma, 0))
    s = Setting(
        batch_scalar(alpha, 2),
        batch_scalar(sigma, 2),
        batch_scalar(check_sample_size("m_in", m_in), 2),
        batch_scalar(check_sample_size("m_out", m_out), 2),
        n,
        inside,
        d - inside,
        batch,
        rng,
        parts,
    )
    theta = np.zeros((*heads.shape[:-2], n, inside))
    theta[..., :k] = transposed(heads)
    gradient = gradient_of(s, learner, B, w, theta)
    b = batch_scalar(beta, 2)
    w_next = np.broadcast_to(w - batch_scalar(beta, 1) * gradient.w, (*batch, width))
    B_next = np.broadcast_to(-b * gradient.B, (*batch, *gradient.B.shape[-2:])).copy()
    B_next[..., :inside, :] += B
    if s.outside == 0:
        return B_next, w_next
    perpendicular = B_next[..., k:, :]
    factor = gradient.outside_factor
    if factor is not None:
        if factor.shape[-2] > width:
            factor = np.asarray(np.linalg.qr(factor, mode="r"))
        xi = parts.fresh_directions(factor.shape[-2], 0, s.outside, batch, rng)
        perpendicular = np.concatenate([perpendicular, transposed(xi) @ (b * factor)], -2)
    compressed = np.asarray(np.linalg.qr(perpendicular, mode="r"))
    return np.concatenate([B_next[..., :k, :], compressed], -2), w_next
