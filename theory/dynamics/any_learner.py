"""What can be said of any learner's spec before a line of a proof: its update, what it depends on, where it rests, and
what one step does near there.

The first half holds for all d, k and n and is found in the words; the second half is for given heads and step sizes,
from the derived program on arrays, differentiated by a complex step: f(x + ih) = f(x) + ih f'(x) + O(h²), with
h = 1e-30 exact to rounding as nothing is subtracted. Own derivation throughout.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from itertools import combinations

import numpy as np

from metarep.sim.learners import LEARNERS, Learner
from metarep.theory.calculus import alphabet as a
from metarep.theory.calculus.expressions import text, to_sympy
from metarep.theory.calculus.words import ONE, SCALARS, Coefficient, Poly, Powers, Rule, find_letter, identity, zero
from metarep.theory.dynamics.derive import derive, head_step_name, representation_step_name, task_gradients
from metarep.theory.dynamics.rates import LocalSpectrum
from metarep.theory.dynamics.structure import PERPENDICULAR, head_degree, right_factor

Array = np.ndarray
LONGEST_SHOWN = 12
"""A polynomial of more words than this is counted, not printed."""


# --- for all d, k and n: from the words


def _over(name: str) -> Powers:
    return tuple(-1 if scalar == name else 0 for scalar in SCALARS)


@dataclass(frozen=True)
class Family:
    """Points with B = B_*M that are fixed under one outer step whatever the tasks.

    Attributes:
        id: short name.
        what: the points, in words and formulas.
        factor: the right factor N there, under an average over tasks.
    """

    id: str
    what: str
    factor: Poly


def _solved(polynomial: Poly) -> Poly:
    """M G Mᵀ → I: at B = B_*M with a square invertible M and no ridge, G = (MᵀM)⁻¹."""
    pattern = bytes([find_letter("M").code, find_letter("G").code, find_letter("M").code + 1])

    def change(word: bytes) -> tuple[Coefficient, Powers, bytes]:
        while pattern in word:
            word = word.replace(pattern, b"", 1)
        return 1, ONE, word

    return polynomial.map_words(change)


@cache
def fixed_families(learner: Learner) -> tuple[Family, ...]:
    """Which of four families of points of {B = B_*M} are fixed for any tasks: decided by rewriting, each a proof.

    Tried: α_wMMᵀ = I (α_w the head's inner step size) with any head and with w = 0; any invertible M with any head; any
    B with α_B‖w‖² = 1. Others may exist that depend on the tasks; ``fixed_point_near`` finds those one by one.
    """
    head, body = head_step_name(learner), representation_step_name(learner)
    truth = {"theta_i": a.B_star * a.w_star}
    in_span = {**truth, "B": a.B_star * a.M}
    balanced = (Rule("M", "M'", "", _over(head)), Rule("M'", "M", "", _over(head)))
    unit_head = (Rule("w'", "w", "", _over(body)),)
    names = {"alpha": "α", "alpha_B": "α_B", "alpha_w": "α_w"}
    tried: tuple[tuple[str, str, dict[str, Poly], tuple[Rule, ...]], ...] = (
        ("any-span", "B = B_*M for any invertible M, any w", in_span, ()),
        ("balanced-any-head", f"B = B_*M with {names[head]}MMᵀ = I, any w", in_span, balanced),
        ("balanced", f"B = B_*M with {names[head]}MMᵀ = I, w = 0", {**in_span, "w": zero("k", "1")}, balanced),
        ("unit-head", f"any B, {names[body]}‖w‖² = 1", truth, unit_head),
    )
    found: list[Family] = []
    for name, what, at, rules in tried:
        known = name == "balanced" and found and found[-1].id == "balanced-any-head"
        if known or not _rests_on_sample(learner, name):
            continue

        def there(polynomial: Poly, at: dict[str, Poly] = at, rules: tuple[Rule, ...] = rules) -> Poly:
            value = polynomial.substitute(at).rewrite((*PERPENDICULAR, *rules))
            return _solved(value) if learner.exact_head and not learner.ridge else value

        if not any(there(part) for part in task_gradients(learner)):
            found.append(Family(name, what, there(right_factor(learner))))
    return tuple(found)


def _on_family(family: str, M: Array, w: Array, learner: Learner, alpha: float) -> tuple[Array, Array]:
    """The point of the family nearest to (M, w)."""
    if family == "any-span":
        return M, w
    if family == "unit-head":
        return M, w / (max(float(np.linalg.norm(w)), 1e-300) * np.sqrt(alpha * learner.representation_step))
    U, _, Vt = np.linalg.svd(M)
    return U @ Vt / np.sqrt(alpha * learner.head_step), w if family == "balanced-any-head" else np.zeros_like(w)


def _rests_on_sample(learner: Learner, family: str) -> bool:
    """Whether one arbitrary point of the family with arbitrary tasks is fixed: spares long words that do not vanish."""
    rng = np.random.default_rng(0)
    k, alpha = 2, 0.5
    M, w, heads = rng.standard_normal((k, k)), rng.standard_normal(k), rng.standard_normal((k, 3))
    M, w = _on_family(family, M, w, learner, alpha)
    next_M, next_w = derive(learner)(M, w, heads, alpha, 1.0)
    # Values of order 1 to 100, a few hundred roundings each: 1e-10 is far from both rounding and what does not vanish.
    return float(max(np.abs(next_M - M).max(), np.abs(next_w - w).max())) < 1e-10


@cache
def same_update_as(learner: Learner) -> tuple[str, ...]:
    """Ids of one of the paper's five, or of two whose sum of outer gradients is this learner's: equal normal forms.

    Where a ridge or a step size of its own is in the words, nothing of the five has the same.
    """
    own = task_gradients(learner)
    for name, other in LEARNERS.items():
        if task_gradients(other) == own:
            return (name,)
    for pair in combinations(LEARNERS, 2):
        first, second = (task_gradients(LEARNERS[name]) for name in pair)
        if all(x + y == z for x, y, z in zip(first, second, own, strict=True)):
            return pair
    return ()


def moves_along_head_only(learner: Learner) -> bool:
    """Whether every word of I − N is a scalar times wwᵀ: then a step moves the perpendicular part in one direction of
    R^k, the head's, and leaves k − 1 alone.
    """
    change = right_factor(learner) - identity("k")
    core = bytes([find_letter("w").code, find_letter("w").code + 1])
    return bool(change) and all(key[2] == core for key in change.terms)


def shown(polynomial: Poly) -> str:
    """The polynomial as text, or its number of words where it is long. It stands under an average over tasks."""
    return text(to_sympy(polynomial)) if len(polynomial) <= LONGEST_SHOWN else f"[{len(polynomial)} words]"


@dataclass(frozen=True)
class Derived:
    """What holds for all d, k and n.

    Attributes:
        update: the outer step, line by line, as text.
        factor: N with B_{*⊥}ᵀB⁺ = B_{*⊥}ᵀB·N, as text under an average over tasks.
        moments: the highest moment of the heads that the update depends on.
        moves: whether the outer step moves B at all.
        same_as: see ``same_update_as``.
        families: see ``fixed_families``.
    """

    update: tuple[tuple[str, str], ...]
    factor: str
    moments: int
    moves: bool
    same_as: tuple[str, ...]
    families: tuple[Family, ...]


@cache
def derived(learner: Learner) -> Derived:
    """Derive everything that does not depend on numbers.

    Raises:
        ValueError: more inner steps than can be expanded.
    """
    return Derived(
        update=tuple(derive(learner).lines()),
        factor=shown(right_factor(learner)),
        moments=head_degree(learner),
        moves=bool(task_gradients(learner)[0]),
        same_as=same_update_as(learner),
        families=fixed_families(learner),
    )


# --- for given heads and step sizes: from the derived program
#
# A step carries (B, w) → (BQ, Qᵀw) along for orthogonal Q, so within the span only P = MMᵀ and h = Mw matter, and a
# point is at rest when these are: B itself may go on turning for ever. x = (lower triangle of P, h), and M = chol(P)
# stands for all MQ.

_IMAGINARY = 1e-30
"""Complex step: its square is far below rounding."""


@dataclass(frozen=True)
class Restpoint(LocalSpectrum):
    """A point of the span of the truth, B = B_*M, at rest up to rotations, and one outer step's linearisation there.

    ``perpendicular`` (k,): eigenvalues of the matrix by which B_{*⊥}ᵀB is multiplied, seen from the turning B.
    ``span_head``: eigenvalues on (MMᵀ, Mw), k(k + 1)/2 + k of them. Both largest modulus first. ``tolerance``: what
    rounding may move an eigenvalue of modulus 1 by.

    Attributes:
        M: (k, k), lower triangular; w: (k,), the head.
        family: id of the family that it belongs to, "" if it depends on the tasks.
        residual: size of a step from there in (MMᵀ, Mw), relative to the point's.
        turn: angle in radians by which B turns within its column space at every step.
    """

    M: Array
    w: Array
    family: str
    residual: float
    turn: float

    @property
    def attracts_perpendicular(self) -> bool:
        """Whether every direction of the perpendicular part shrinks."""
        return self.rate < 1 - self.tolerance

    @property
    def neutral(self) -> int:
        """Number of eigenvalues of modulus 1 on span and head."""
        return int(np.sum(np.abs(np.abs(self.span_head) - 1) <= self.tolerance))


def _cholesky(P: Array) -> Array:
    """L with LLᵀ = P, lower triangular, by hand because it must be analytic: no conjugates. P (..., k, k) symmetric."""
    L = np.zeros_like(P)
    for j in range(P.shape[-1]):
        rest = P[..., j:, j] - (L[..., j:, :j] @ L[..., j, :j, None])[..., 0]
        L[..., j:, j] = rest / np.sqrt(rest[..., :1])
    return L


def _invariants(M: Array, w: Array) -> Array:
    rows, cols = np.tril_indices(M.shape[-1])
    P = M @ np.swapaxes(M, -1, -2)
    return np.concatenate([P[..., rows, cols], (M @ w[..., None])[..., 0]], axis=-1)


def _representative(x: Array, k: int) -> tuple[Array, Array]:
    """(M, w) with M lower triangular for x = (P, h)."""
    rows, cols = np.tril_indices(k)
    P = np.zeros((*x.shape[:-1], k, k), dtype=x.dtype)
    P[..., rows, cols] = P[..., cols, rows] = x[..., : rows.size]
    M = _cholesky(P)
    return M, np.linalg.solve(M, x[..., rows.size :, None])[..., 0]


def _step_function(learner: Learner, heads: Array, alpha: float, beta: float) -> Callable[[Array], Array]:
    """One outer step of the derived program within the span, x (..., k(k + 1)/2 + k) to the same."""

    def stepped(x: Array) -> Array:
        M, w = _representative(x, heads.shape[0])
        next_M, next_w = derive(learner)(M, w, heads, alpha, beta)
        return _invariants(np.broadcast_to(next_M, M.shape), np.broadcast_to(next_w, w.shape))

    return stepped


def _jacobian(stepped: Callable[[Array], Array], x: Array) -> Array:
    return np.imag(stepped(x + 1j * _IMAGINARY * np.eye(x.size))).T / _IMAGINARY


def perpendicular_factor(learner: Learner, M: Array, w: Array, heads: Array, alpha: float, beta: float) -> Array:
    """N (k, k) at B = B_*M and w: what B_{*⊥}ᵀB, to first order, is multiplied with from the right."""
    k = heads.shape[0]
    B = np.concatenate([M, 1j * _IMAGINARY * np.eye(k)])
    targets = np.concatenate([heads, np.zeros_like(heads)])
    return np.imag(derive(learner)(B, w.astype(complex), targets, alpha, beta)[0][k:]) / _IMAGINARY


def restpoint_at(
    learner: Learner, M: Array, w: Array, heads: Array, alpha: float, beta: float, family: str = ""
) -> Restpoint:
    """The linearisation at a point (M, w) that is at rest or nearly so; ``residual`` says how nearly."""
    k = heads.shape[0]
    stepped = _step_function(learner, heads, alpha, beta)
    x = _invariants(M, w)
    M, w = _representative(x, k)
    residual = float(np.linalg.norm(stepped(x) - x) / np.linalg.norm(x))
    jacobian = _jacobian(stepped, x)
    next_M = np.broadcast_to(derive(learner)(M, w, heads, alpha, beta)[0], M.shape)
    turning = np.linalg.solve(next_M, M)  # orthogonal at rest
    N = perpendicular_factor(learner, M, w, heads, alpha, beta) @ turning
    perpendicular, span_head = (
        values[np.argsort(-np.abs(values), kind="stable")] for values in map(np.linalg.eigvals, (N, jacobian))
    )
    # A neutral eigenvalue may be defective, and a double one moves by the square root of the perturbation, which is eps
    # relative to what the step changes.
    change = float(np.linalg.norm(jacobian - np.eye(len(jacobian)), 2))
    tolerance = float(np.sqrt(np.finfo(float).eps * len(jacobian)) * max(change, 1e-3))
    turn = float(np.linalg.norm((turning - turning.T) / 2, 2))
    return Restpoint(perpendicular, span_head, tolerance, M, w, family, residual, turn)


_NEWTON_STEPS = 60
_AT_REST_BELOW = 1e-12
"""A step this small, relative to the point, is rounding: eps times the number and size of the words that cancel."""
_NEAR = 0.25
"""A point farther than this from where a run ended, relatively, is not where it ended."""


def fixed_point_near(learner: Learner, M: Array, w: Array, heads: Array, alpha: float, beta: float) -> Restpoint | None:
    """The point at rest in the span near (M, w): of a family that is fixed for any tasks, else by Gauss–Newton.

    Args:
        learner: any spec that can be derived.
        M: where to look, (k, k): B_*ᵀB at the end of a run.
        w: likewise the head, (k,).
        heads: tasks' heads as columns (k, n), the same at every step.
        alpha: inner step size.
        beta: outer step size.

    Returns:
        None where there is none within a quarter of the point's size, or where M is singular.
    """
    if not (np.isfinite(M).all() and np.isfinite(w).all()) or np.linalg.cond(M) > 1e6:
        return None
    point = np.concatenate([M.ravel(), w])
    near: list[tuple[float, Array, Array, str]] = []
    for family in fixed_families(learner):
        nearest = _on_family(family.id, M, w, learner, alpha)
        distance = float(np.linalg.norm(np.concatenate([nearest[0].ravel(), nearest[1]]) - point))
        if distance <= _NEAR * float(np.linalg.norm(point)):
            near.append((distance, *nearest, family.id))
    if near:
        _, *nearest, name = min(near, key=lambda item: item[0])
        return restpoint_at(learner, nearest[0], nearest[1], heads, alpha, beta, name)
    x = _at_rest_near(_step_function(learner, heads, alpha, beta), _invariants(M, w))
    if x is None:
        return None
    return restpoint_at(learner, *_representative(x, heads.shape[0]), heads, alpha, beta)


def _at_rest_near(stepped: Callable[[Array], Array], x: Array) -> Array | None:
    """Gauss–Newton for stepped(y) = y from x by steps of least norm: none along directions in which all are at rest."""
    y, size = x.copy(), float(np.linalg.norm(x))
    with np.errstate(all="ignore"):
        for _ in range(_NEWTON_STEPS):
            move = stepped(y) - y
            if not np.isfinite(move).all() or np.linalg.norm(y - x) > _NEAR * size:
                return None
            if np.linalg.norm(move) <= _AT_REST_BELOW * size:
                return y
            y = y - np.linalg.lstsq(_jacobian(stepped, y) - np.eye(y.size), move, rcond=1e-9)[0]
    return None
