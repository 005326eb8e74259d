"""Population update maps through the tasks' moments, by hand: at a cost that does not depend on the number of tasks.

A task enters a step through e_i = (1, h_i) alone, where θ_i = F h_i with a frame F that all tasks share (B_*, and h_i
the task's head, as a rule): the adapted head is w_i = W e_i with W = [w − αGw, αA], G = BᵀB, A = BᵀF, and the residual
is r_i = [Bw, −F] e_i. So the mean over the tasks of any polynomial in these is linear in the means of products of the
entries of e_i: of two of them for both ANILs, of three for FO-MAML, of four for Exact MAML; average loss needs the
mean. ∇_B is B N − F C with matrices N (k × k) and C (p × k), and only G, A and B N are products with as many rows as B.

These are maps of their own and equal ``metarep.sim.updates`` up to rounding (own derivation). Arrays have leading batch
axes, as there.
"""

from collections.abc import Callable
from fractions import Fraction
from functools import cache
from typing import NamedTuple

import numpy as np

from metarep.sim.batches import StepSize, batch_scalar, product, transposed
from metarep.sim.learners import Learner, paper_id

Array = np.ndarray

_ONE_THREAD = 2**17
"""Multiplications of a product for which OpenBLAS takes no second thread: half as many."""
_PRODUCTS_AT_ONCE = 2**16
"""Products of the entries of e that are held at a time: of more the memory is mapped anew each time, which takes longer
than they do.
"""


class HeadMoments(NamedTuple):
    """What a learner's step needs of the tasks: means of products of the entries of e, q = p + 1 of them."""

    second: Array
    """mean eeᵀ, (..., q, q)."""
    higher: Array
    """For FO-MAML mean e_a e_b e_c, (..., q², q); for Exact MAML mean (e_a e_b)(e_c e_d), a ≤ b and c ≤ d, (..., Q, Q),
    Q = q(q + 1)/2; otherwise ``second`` again.
    """


@cache
def _pairs(q: int, kind: type) -> tuple[Array, Array, Array, Array]:
    """The pairs a ≤ b of q entries, those with 0 first; and two matrices of zeros and ones between matrices (q × q) as
    vectors and pairs: X -> what each pair multiplies in eᵀXe (q², Q), pairs -> the symmetric matrix with these entries
    (Q, q²). These are floats, or whole numbers, which fractions stay exact with.
    """
    first, second = np.triu_indices(q)
    packing = np.zeros((q * q, len(first)), dtype=kind)
    packing[first * q + second, np.arange(len(first))] = packing[second * q + first, np.arange(len(first))] = 1
    return first, second, packing, np.ascontiguousarray(packing.T)


def _sum_of_squares(rows: Array) -> Array:
    """rows rowsᵀ (..., Q, Q), of (..., Q, n), in parts so small that BLAS takes one thread for each: several would wait
    for one another much longer.
    """
    Q, n = rows.shape[-2:]
    parts = np.array_split(rows, -(-n * Q * Q // _ONE_THREAD), axis=-1)
    total = parts[0] @ transposed(parts[0])
    for part in parts[1:]:
        total += part @ transposed(part)
    return total


def head_moments(learner: Learner, heads: Array) -> HeadMoments:
    """The moments of tasks with the heads h_i, columns (..., p, n) of floats or ``Fraction`` objects."""
    name, (p, n) = paper_id(learner, "map through moments"), heads.shape[-2:]
    parts = -(-heads.size * p // _PRODUCTS_AT_ONCE)
    if parts > 1 and heads.size > p * n:
        split = np.array_split(heads.reshape(-1, p, n), parts)
        found = zip(*(head_moments(learner, part) for part in split if len(part)), strict=True)
        return HeadMoments(*(np.concatenate(each).reshape(*heads.shape[:-2], *each[0].shape[1:]) for each in found))
    count = Fraction(n) if heads.dtype == object else n
    e = np.concatenate([np.ones_like(heads[..., :1, :]), heads], axis=-2)
    q = e.shape[-2]
    second = e @ transposed(e) / count
    if name == "fo-maml":
        products = (e[..., :, None, :] * e[..., None, :, :]).reshape(*e.shape[:-2], q * q, n)
        return HeadMoments(second, products @ transposed(e) / count)
    if name == "maml":
        first, other = _pairs(q, int)[:2]
        products = np.take(e, first, axis=-2) * np.take(e, other, axis=-2)
        return HeadMoments(second, _sum_of_squares(products) / count)
    return HeadMoments(second, second)


@cache
def _unit(size: int) -> Array:
    """The unit matrix, of whole numbers, which nobody may write to."""
    unit = np.eye(size, dtype=int)
    unit.flags.writeable = False
    return unit


def _mv(matrix: Array, vector: Array) -> Array:
    return product(matrix, vector[..., None])[..., 0]


def _outer(left: Array, right: Array) -> Array:
    return left[..., :, None] * right[..., None, :]


def _as_vector(matrix: Array) -> Array:
    return matrix.reshape(*matrix.shape[:-2], -1)


def _as_square(vector: Array, q: int) -> Array:
    return vector.reshape(*vector.shape[:-1], q, q)


def _mapped(vector: Array, matrix: Array) -> Array:
    """(..., a) times a matrix (a, b) that all share."""
    return (matrix.T @ vector.T).T if vector.ndim == 2 else vector @ matrix


def _sum_of_products(left: Array, right: Array) -> Array:
    """The sum over the entries of two matrices' products, (...)."""
    return product(_as_vector(left)[..., None, :], _as_vector(right)[..., :, None])[..., 0, 0]


# --- the five maps


class _At(NamedTuple):
    """Where a step is taken: B (..., d, k), w (..., k), F (..., d, p) or None for [I_p; 0], moments, α."""

    B: Array
    w: Array
    frame: Array | None
    moments: HeadMoments
    alpha: StepSize

    @property
    def p(self) -> int:
        """Columns of F."""
        return self.moments.second.shape[-1] - 1

    def pulled(self) -> Array:
        """A = BᵀF, (..., k, p)."""
        return transposed(self.B[..., : self.p, :] if self.frame is None else product(transposed(self.frame), self.B))

    def gram(self) -> Array:
        """FᵀF, (..., p, p)."""
        return _unit(self.p) if self.frame is None else product(transposed(self.frame), self.frame)

    def minus_spread(self, rows: Array, C: Array) -> Array:
        """``rows`` − F C[1:], for (..., d, j) and (..., q, j)."""
        if self.frame is not None:
            return rows - product(self.frame, C[..., 1:, :])
        rows[..., : self.p, :] -= C[..., 1:, :]
        return rows


def _average_loss(at: _At) -> tuple[Array, Array]:
    residual = at.minus_spread(product(at.B, at.w[..., None]), at.moments.second[..., :1])
    return residual * at.w[..., None, :], product(transposed(at.B), residual)[..., 0]


class _Inner(NamedTuple):
    """After the inner step on the head, for all tasks at once; named as in the module's text, D = Bᵀ[Bw, −F]."""

    G: Array
    A: Array
    W: Array
    D: Array
    P: Array
    """mean e w_iᵀ, (..., q, k)."""

    def mean_v(self, at: _At) -> Array:
        """Bᵀ times the mean residual of the adapted heads."""
        return _mv(self.G, self.P[..., 0, :]) - _mv(self.A, at.moments.second[..., 1:, 0])

    def Z(self) -> Array:
        """Bᵀ[BW − [0, F]], (..., k, q): of the residual of the adapted head."""
        found = product(self.G, self.W)
        found[..., 1:] -= self.A
        return found


def _inner(at: _At) -> _Inner:
    G, A = product(transposed(at.B), at.B), at.pulled()
    D = np.concatenate([product(G, at.w[..., None]), -A], axis=-1)
    W = -(batch_scalar(at.alpha, 2) * D)
    W[..., 0] += at.w
    return _Inner(G, A, W, D, product(at.moments.second, transposed(W)))


def _fo_anil(at: _At) -> tuple[Array, Array]:
    inner = _inner(at)
    return at.minus_spread(product(at.B, product(inner.W, inner.P)), inner.P), inner.mean_v(at)


def _anil(at: _At) -> tuple[Array, Array]:
    inner, alpha = _inner(at), batch_scalar(at.alpha, 2)
    Q = product(at.moments.second, transposed(inner.Z()))  # mean e (Bᵀv_i)ᵀ
    s = Q[..., 0, :]
    both = _outer(s, at.w)
    N = product(inner.W, inner.P) - alpha * (both + transposed(both))
    return at.minus_spread(product(at.B, N), inner.P - alpha * Q), s - batch_scalar(at.alpha, 1) * _mv(inner.G, s)


def _fo_maml(at: _At) -> tuple[Array, Array]:
    """v_i = (V − α s_i R) e_i with V = BW − [0, F], R = [Bw, −F], s_i = wᵀw_i = sᵀe_i."""
    inner, w, a1, a2 = _inner(at), at.w, batch_scalar(at.alpha, 1), batch_scalar(at.alpha, 2)
    s = _mv(transposed(inner.W), w)
    third = _as_square(_mv(at.moments.higher, s), at.p + 1)  # mean s_i eeᵀ
    by_one = third[..., 0, :]
    both = at.moments.second - a2 * third
    Bv = inner.mean_v(at) - a1 * _mv(inner.D, by_one)
    # mean r_iᵀv_i = wᵀ(mean Bᵀv_i) − mean h_iᵀFᵀv_i
    rv = (w * Bv).sum(-1) - _sum_of_products(transposed(inner.A), inner.P[..., 1:, :])
    rv = rv + at.alpha * (w * _mv(inner.A, by_one[..., 1:])).sum(-1) + (at.gram() * both[..., 1:, 1:]).sum((-2, -1))
    N = product(inner.W, inner.P) - a2 * _outer(w, _mv(inner.W, by_one))
    return at.minus_spread(product(at.B, N), product(both, transposed(inner.W))), Bv - a1 * np.asarray(rv)[
        ..., None
    ] * w


def _maml(at: _At) -> tuple[Array, Array]:
    """As ``_fo_maml``, and with u_i = s_i v_i + B B_iᵀv_i."""
    inner, w, q = _inner(at), at.w, at.p + 1
    a1, a2 = batch_scalar(at.alpha, 1), batch_scalar(at.alpha, 2)
    (second, fourth), row = at.moments, w[..., None, :]
    packing, unpacking = _pairs(q, int if at.B.dtype == object else float)[2:]
    s = _mv(transposed(inner.W), w)
    third = _as_square(_mapped(_mv(fourth[..., :q], s), unpacking), q)
    Z = inner.Z()
    Q = product(second, transposed(Z)) - a2 * product(third, transposed(inner.D))  # mean e (Bᵀv_i)ᵀ
    wD = product(row, inner.D)  # wᵀBᵀR
    RR = np.concatenate([wD, np.concatenate([transposed(wD[..., 1:]), at.gram() + 0 * wD[..., :1]], -1)], -2)
    RV = np.concatenate([product(row, Z), -product(transposed(inner.A), inner.W)], axis=-2)
    RV[..., 1:, 1:] += at.gram()
    weighted = _as_square(_mapped(_mv(fourth, _mapped(_as_vector(RR), packing)), unpacking), q)  # mean ‖r_i‖² eeᵀ
    c = _mv(transposed(fourth[..., :q]), _mapped(_as_vector(RV), packing)) - a1 * _mv(weighted, s)  # mean (r_iᵀv_i) e
    g = Q[..., 0, :] - a1 * c[..., :1] * w  # mean B_iᵀv_i
    y, z = _mv(second, s), _mv(third, s)
    u = _mv(inner.W, y) - a1 * z[..., :1] * w + g  # the mean of u_i is B u − F rest[1:]
    rest = y - a1 * z
    N = product(inner.W, inner.P) - a2 * (_outer(w, _mv(inner.W, third[..., 0, :]) + g) + _outer(u, w))
    C = inner.P - a2 * (product(third, transposed(inner.W)) + _outer(rest - a1 * c, w) + Q)
    grad_w = g - a1 * (_mv(inner.W, c) + _mv(inner.G, u) - _mv(inner.A, rest[..., 1:]))
    return at.minus_spread(product(at.B, N), C), grad_w


_GRADIENTS: dict[str, Callable[[_At], tuple[Array, Array]]] = {
    "average-loss": _average_loss,
    "fo-anil": _fo_anil,
    "anil": _anil,
    "fo-maml": _fo_maml,
    "maml": _maml,
}


def step_through_moments(
    learner: Learner,
    B: Array,
    w: Array,
    moments: HeadMoments,
    alpha: StepSize,
    beta: StepSize,
    frame: Array | None = None,
) -> tuple[Array, Array]:
    """One outer step.

    Args:
        learner: one of the paper's five.
        B, w, alpha, beta: as ``metarep.sim.updates.step``.
        moments: of the h_i, see ``head_moments``.
        frame: F (..., d, p); None for [I_p; 0], which B_* is in reduced coordinates.

    Returns:
        (B_next, w_next).
    """
    gradients = _GRADIENTS[paper_id(learner, "map through moments")]
    grad_B, grad_w = gradients(_At(B, w, frame, moments, alpha))
    return B - batch_scalar(beta, 2) * grad_B, w - batch_scalar(beta, 1) * grad_w


def step(learner: Learner, B: Array, w: Array, targets: Array, alpha: StepSize, beta: StepSize) -> tuple[Array, Array]:
    """``metarep.sim.updates.step`` through moments, with its arguments and results.

    The frame is the identity and the targets are the h_i; or, of fewer tasks than dimensions, the targets are the frame
    and the h_i are unit vectors.
    """
    d, n = targets.shape[-2:]
    if n >= d:
        return step_through_moments(learner, B, w, head_moments(learner, targets), alpha, beta)
    units = np.eye(n, dtype=int).astype(targets.dtype)
    return step_through_moments(learner, B, w, head_moments(learner, units), alpha, beta, targets)
