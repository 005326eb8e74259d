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
What is drawn does not depend on the state, so it is drawn for several steps at once. Of the right parts the steps are
taken by C where there is some (``metarep.sim.sampling.compiled``), by NumPy otherwise, on the same random numbers.
Own derivation; that the dynamics stay in col(B_0) + col(B_*) in the population is its model.
"""

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from metarep.sim.batches import StepSize, batch_scalar, common_batch, sum_of_rows, transposed
from metarep.sim.checks import check_noise, check_sample_size
from metarep.sim.learners import Learner, paper_id
from metarep.sim.sampling.compiled import CompiledSteps, can_be_compiled
from metarep.sim.sampling.drawing import (
    NUMBERS_AHEAD,
    PARTS,
    Drawn,
    Parts,
    Setting,
    drawn_everywhere,
    drawn_inside,
    fresh_count,
    rows_of_factor,
)
from metarep.sim.sampling.gaussian_queries import row_dot
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


class _Constants(NamedTuple):
    """Step size and noise, broadcasting against (..., n, 1), and the parts."""

    alpha: Array
    sigma: Array
    parts: "Parts"


class _Gradient(NamedTuple):
    """∇_B in the coordinates there are, ∇_w, and the factor C of outside rows ΞᵀC that ∇_B still lacks, or None."""

    B: Array
    w: Array
    outside_factor: Array | None = None


def _root_sum_of_squares(scales: Array) -> Array:
    """(..., n, 1) -> (..., 1, 1): the standard deviation of a sum of independent normals."""
    return np.sqrt(np.square(scales).sum(-2, keepdims=True))


def _mean_of_rows(array: Array) -> Array:
    """Mean over the tasks, as a row."""
    return sum_of_rows(array) / array.shape[-2]


def _triangular_factor(matrix: Array) -> Array:
    """R of a QR factorisation, as LAPACK leaves it: NumPy's own way to R takes half as long again."""
    columns = matrix.shape[-1]
    return transposed(np.linalg.qr(matrix, mode="raw")[0])[..., :columns, :] * _upper(columns)


@cache
def _upper(size: int) -> Array:
    """Ones on and above the diagonal."""
    return np.triu(np.ones((size, size)))


def _average_loss(c: _Constants, learner: Learner, B: Array, w_row: Array, theta: Array, drawn: Drawn) -> _Gradient:
    v = c.parts.first_query(drawn.outer, times(B, w_row) - theta, c.sigma)
    mean_v = _mean_of_rows(v.gradient)
    factor = _root_sum_of_squares(v.scale) / theta.shape[-2] * w_row
    return _Gradient(transposed(mean_v) * w_row, (mean_v @ B)[..., 0, :], factor)


def _anil(c: _Constants, learner: Learner, B: Array, w_row: Array, theta: Array, drawn: Drawn) -> _Gradient:
    """Both ANILs."""
    tasks = theta.shape[-2]
    h = c.parts.first_query(drawn.inner, times(B, w_row) - theta, c.sigma)
    W = w_row - c.alpha * (h.gradient @ B)
    v = c.parts.first_query(drawn.outer, times(B, W) - theta, c.sigma)
    mean_v = _mean_of_rows(v.gradient)
    if learner.first_order:
        return _Gradient(mean_outer(v.gradient, W), (mean_v @ B)[..., 0, :], v.scale / tasks * W)
    G = v.gradient @ B
    product, along_first, along_second = c.parts.second_query(drawn.inner, h, times(B, G))
    mean_product = _mean_of_rows(product)
    grad_B = mean_outer(v.gradient, W) - c.alpha * (mean_outer(h.gradient, G) + transposed(mean_product) * w_row)
    # Rows of C: n of the outer ξ, n of the inner ξ (in h and in the Hessian product), one for all ξ' together (they all
    # multiply w).
    factors = (
        v.scale * W,
        c.alpha * (h.scale * G + along_first * w_row),
        c.alpha * _root_sum_of_squares(along_second) * w_row,
    )
    rows = [np.broadcast_to(factor, (*grad_B.shape[:-2], *factor.shape[-2:])) for factor in factors]
    grad_w = ((mean_v - c.alpha * mean_product) @ B)[..., 0, :]
    return _Gradient(grad_B, grad_w, np.concatenate(rows, -2) / tasks)


def _maml(c: _Constants, learner: Learner, B: Array, w_row: Array, theta: Array, drawn: Drawn) -> _Gradient:
    """Both MAMLs: B and targets have coordinates outside, zero ones."""
    first = c.parts.first_query(drawn.inner, times(B, w_row) - theta, c.sigma)
    h = first.gradient
    W = w_row - c.alpha * (h @ B)
    overlap = row_dot(w_row, W)
    v = c.parts.first_query(drawn.outer, times(B, W) - c.alpha * overlap * h - theta, c.sigma).gradient
    hv = row_dot(h, v)
    if learner.first_order:
        grad_w = _mean_of_rows(v) @ B - c.alpha * w_row * hv.mean(-2, keepdims=True)
        return _Gradient(mean_outer(v, W), grad_w[..., 0, :])
    G = v @ B - c.alpha * w_row * hv
    product, _, _ = c.parts.second_query(drawn.inner, first, overlap * v + times(B, G))
    mean_product = _mean_of_rows(product)
    grad_B = mean_outer(v, W) - c.alpha * (mean_outer(h, G) + transposed(mean_product) * w_row)
    return _Gradient(grad_B, (_mean_of_rows(G - c.alpha * hv * W) - c.alpha * mean_product @ B)[..., 0, :])


_LAWS: dict[str, tuple[Callable[[Setting, Learner, int], Drawn], Callable[..., _Gradient]]] = {
    "average-loss": (drawn_inside, _average_loss),
    "fo-anil": (drawn_inside, _anil),
    "anil": (drawn_inside, _anil),
    "fo-maml": (drawn_everywhere, _maml),
    "maml": (drawn_everywhere, _maml),
}


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
    drawn, _ = _LAWS[paper_id(learner, "sampler in law")]
    m_in, m_out = check_sample_size("m_in", m_in), check_sample_size("m_out", m_out)
    if d <= k + width:
        return SamplingMode(IN_FULL_SPACE, f"d = {d} is no more than the k + k' = {k + width} reduced coordinates")
    if drawn is drawn_everywhere:
        count = fresh_count(learner, n, m_in, m_out)
    else:
        count = min(rows_of_factor(learner, n), width)
    if count > d - rows:
        return SamplingMode(
            IN_FULL_SPACE, f"the {d - rows} dimensions outside hold no {count} independent fresh directions"
        )
    return SamplingMode(D_FREE, f"{count} fresh directions stand for the {d - rows} dimensions outside")


class StepsInLaw:
    """Outer steps on fresh samples in law, one after another; a step in law is ``step_on_samples`` on ``draw_samples``
    in reduced coordinates, without data.

    Args:
        learner: one of the paper's five one-step specs.
        B: representation in reduced coordinates (B_* = [I_k; 0]), (..., min(d, k + k'), k'); as those of all steps.
        w: head, (..., k'), likewise.
        heads: the tasks' heads w_{*,i} as columns, (..., k, n), likewise.
        alpha: inner step size α, a scalar or over the batch axes.
        beta: outer step size β, likewise.
        m_in: inner samples per task, 1 or more, a number or over the batch axes; None or ``math.inf`` for the
            population. Unused by average loss.
        m_out: outer samples per task, likewise.
        sigma: standard deviation σ ≥ 0 of the label noise, a scalar or over the batch axes.
        d: dimension of the features; the cost does not depend on it once it is above k + k' + (number of fresh
            directions).
        rng: the generator that is drawn from, for several steps at once.
        steps: how many steps will be taken; as many more may be.
        parts: what the steps are made of; with others the law is another.

    Raises:
        ValueError: unknown learner, sample size, dimension, σ or shape.

    Source: own derivation (module text).
    """

    def __init__(
        self,
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
        steps: int,
        parts: Parts = PARTS,
    ) -> None:
        self._learner, (self._drawn, self._gradient) = learner, _LAWS[paper_id(learner, "sampler in law")]
        self._k, n = heads.shape[-2:]
        self._width = width = B.shape[-1]
        self._inside = inside = reduced_rows(d, self._k, width)
        if B.shape[-2] != inside or w.shape[-1] != width:
            raise ValueError(
                f"B has shape {B.shape} and w {w.shape}; allowed at d = {d}: (..., {inside}, k') and (..., k'), reduced"
            )
        sigma = check_noise(sigma)
        batch = common_batch(B=(B, 2), w=(w, 1), heads=(heads, 2), alpha=(alpha, 0), beta=(beta, 0), sigma=(sigma, 0))
        self._batch, self._beta = batch, beta
        self._constants = _Constants(batch_scalar(alpha, 2), batch_scalar(sigma, 2), parts)
        inner, outer = (batch_scalar(check_sample_size(*size), 3) for size in (("m_in", m_in), ("m_out", m_out)))
        self._ahead = max(1, min(steps, NUMBERS_AHEAD // (3 * n * inside)))
        self._setting = Setting(inner, outer, n, inside, d - inside, (*batch, self._ahead), rng, parts)
        count = fresh_count(learner, n, inner, outer)
        self._rows = inside + (min(count, d - inside) if self._drawn is drawn_everywhere else 0)
        self.compiled: CompiledSteps | None = None  # where C takes the steps
        if can_be_compiled(parts, self._k, width, n, B, w, heads, alpha, beta, sigma):
            sizes = (self._rows, self._k, width)
            self.compiled = CompiledSteps(learner, self._setting, *sizes, alpha, beta, sigma)
        self._place = self._ahead  # of the next step among those that are drawn for

    def __call__(self, B: Array, w: Array, heads: Array, steps: int = 1) -> tuple[Array, Array]:
        """One step, or so many with the same tasks.

        Returns:
            B_next (..., min(d, k + k'), k') and w_next (..., k'), in law the reduced coordinates of the step on data.
            For d > k + k' the perpendicular rows are upper triangular: the coordinates are turned at each step, which
            changes no inner product.
        """
        while steps:
            if self._place == self._ahead:
                self._place, self._several = 0, self._drawn(self._setting, self._learner, self._width)
                if self.compiled:
                    self.compiled.take(self._several)
            taken = min(steps, self._ahead - self._place) if self.compiled else 1
            if self.compiled:
                B, w = self.compiled(self._place, taken, B, w, heads)
            else:
                B, w = self._by_numpy(B, w, heads, self._several.of_step(self._place))
            self._place += taken
            steps -= taken
        return B, w

    def _by_numpy(self, B: Array, w: Array, heads: Array, drawn: Drawn) -> tuple[Array, Array]:
        """One step on these random numbers."""
        k, beta = self._k, batch_scalar(self._beta, 2)
        shape = (*self._batch, self._rows, self._width)
        if B.shape != shape:
            start, B = B, np.zeros(shape)
            B[..., : self._inside, :] = start
        theta = np.zeros((*heads.shape[:-2], heads.shape[-1], self._rows))
        theta[..., :k] = transposed(heads)
        gradient = self._gradient(self._constants, self._learner, B, w[..., None, :], theta, drawn)
        w_next = np.broadcast_to(w - batch_scalar(self._beta, 1) * gradient.w, (*self._batch, self._width))
        B_next = B - beta * gradient.B
        if self._setting.outside == 0:
            return B_next, w_next
        perpendicular, factor = B_next[..., k:, :], gradient.outside_factor
        if factor is not None and drawn.outside is not None:
            if factor.shape[-2] > self._width:
                factor = _triangular_factor(factor)
            perpendicular = np.concatenate([perpendicular, transposed(drawn.outside) @ (beta * factor)], -2)
        return np.concatenate([B_next[..., :k, :], _triangular_factor(perpendicular)], -2), w_next


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
    """One outer step on fresh samples in law; arguments, results and errors as those of ``StepsInLaw``."""
    return StepsInLaw(learner, B, w, heads, alpha, beta, m_in, m_out, sigma, d, rng, 1, parts)(B, w, heads)
