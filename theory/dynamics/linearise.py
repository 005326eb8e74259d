"""The linearisation of any learner at the truth: derived from the words, in coordinates in which it is small and
readable.

The points B = B_*M with αMMᵀ = I. Near them B = B_*(I + E)M + B_{*⊥}Y with E = A − S/2 (S symmetric:
S = I − αB_*ᵀBBᵀB_* to first order; A skew: a rotation of the representation that the heads undo), and w = αMᵀh + Mᵀω/α:
h = Mw is the head at the fixed point, ω = α²Mδw (= α^{3/2}δw where M = I/√α) the deviation. Width equals rank here (M
square). Own derivation.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cache, cached_property
from typing import Any

import numpy as np
from sympy.matrices.expressions import MatrixExpr, Transpose

from metarep.sim.learners import Learner
from metarep.theory.calculus import alphabet as a
from metarep.theory.calculus.alphabet import matrix_symbol, scalar_symbol
from metarep.theory.calculus.evaluation import evaluate_words
from metarep.theory.calculus.expressions import TaskMean, add, mul, to_words
from metarep.theory.calculus.words import Poly, Rule, zero
from metarep.theory.dynamics.derive import scalar_values, task_gradients
from metarep.theory.dynamics.structure import PERPENDICULAR

BALANCED = (a.AT_TRUTH, Rule("M'", "M", "", a.OVER_ALPHA))
"""αMMᵀ = αMᵀM = I."""


def fixed_point(head: bool) -> dict[str, Poly]:
    """Letters at the truth: B = B_*M, θ_i = B_*w_{*,i}, w = αMᵀh, or w = 0 where ``head`` is false."""
    return {
        "B": a.B_star * a.M,
        "w": (a.M.T * a.h).scaled(alpha=1) if head else zero("k", "1"),
        "theta_i": a.B_star * a.w_star,
    }


def gradients_at_truth(learner: Learner, head: bool) -> tuple[Poly, Poly]:
    """(∇_B, ∇_w) of one task at the truth; both vanish where it is a fixed point for any tasks."""
    at = fixed_point(head)
    rules = (*PERPENDICULAR, *BALANCED)
    grad_B, grad_w = task_gradients(learner)
    return grad_B.substitute(at).rewrite(rules), grad_w.substitute(at).rewrite(rules)


@dataclass(frozen=True)
class Linearisation:
    """One outer step to first order around the truth, as words under one average over tasks.

    ``S``, ``A``, ``omega`` are the next span part, rotation and head deviation; ``Y`` is the next perpendicular part.
    """

    S: Poly
    A: Poly
    omega: Poly
    Y: Poly


@cache
def linearise(learner: Learner, head: bool = False) -> Linearisation:
    """Linearise one outer step at B = B_*M, αMMᵀ = I, w = αMᵀh (``head``) or w = 0.

    Raises:
        ValueError: the truth is not a fixed point of this learner there.
    """
    if any(gradients_at_truth(learner, head)):
        raise ValueError(
            f"B = B_*M is not a fixed point of {learner.name!r} {'for every head' if head else 'at w = 0'}"
        )
    at = fixed_point(head)
    E = a.A - a.S * Fraction(1, 2)
    along = {
        "dB": a.B_star * E * a.M + a.B_perp * a.Y,
        "dw": (a.M.T * a.omega).scaled(alpha=-1),
    }
    rules = (*PERPENDICULAR, *BALANCED)

    def first_order(polynomial: Poly) -> Poly:
        polarised = polynomial.polarise({"B": "dB", "w": "dw"})
        return polarised.substitute(at).rewrite(rules).substitute(along).rewrite(rules)

    grad_B, grad_w = (first_order(part) for part in task_gradients(learner))
    change_E = -((a.B_star.T * grad_B * a.M.T).rewrite(rules)).scaled(alpha=1, beta=1)
    change_omega = -((a.M * grad_w).rewrite(rules)).scaled(alpha=2, beta=1)
    return Linearisation(
        S=a.S - change_E - change_E.T,
        A=a.A + (change_E - change_E.T) * Fraction(1, 2),
        omega=a.omega + change_omega,
        Y=a.Y - (a.B_perp.T * grad_B).rewrite(rules).scaled(beta=1),
    )


@dataclass(frozen=True)
class StatedLinearisation:
    """The next S, ω and Y as stated."""

    S: MatrixExpr
    omega: MatrixExpr
    Y: MatrixExpr

    def expand(self) -> tuple[Poly, Poly, Poly]:
        """(S⁺, ω⁺, Y⁺) in words."""
        return self._words

    @cached_property
    def _words(self) -> tuple[Poly, Poly, Poly]:
        known = {"Psi_star": a.w_star * a.w_star.T, "w_bar": a.w_star}
        return to_words(self.S, known), to_words(self.omega, known), to_words(self.Y, known)


@cache
def stated_linearisation(learner: Learner, head: bool = False) -> StatedLinearisation:
    """The closed forms for the four meta-learners; ``head`` (the ANILs only): at w ≠ 0.

    Raises:
        ValueError: none is stated for this learner there.
    """
    alpha, beta = scalar_symbol("alpha"), scalar_symbol("beta")
    S, omega, Y, M, h = (matrix_symbol(name) for name in ("S", "omega", "Y", "M", "h"))
    Psi_star, w_bar, w_star = (matrix_symbol(name) for name in ("Psi_star", "w_bar", "w_star_i"))
    third = TaskMean(mul(w_star, Transpose(w_star), omega, Transpose(w_star)))  # T(ω)
    perpendicular = add(Y, mul(-1, alpha**2, beta, Y, Transpose(M), Psi_star, M))
    rate = mul(-1, alpha, beta)

    def symmetrised(left: MatrixExpr, right: MatrixExpr) -> MatrixExpr:
        return add(S, mul(-1, alpha, beta, add(left, right)))

    key = learner.plain_key
    if key == ("head", True, 1):
        if not head:
            drift = add(omega, mul(alpha, beta, S, w_bar))
            return StatedLinearisation(symmetrised(mul(S, Psi_star), mul(Psi_star, S)), drift, perpendicular)
        drift = add(omega, mul(alpha, beta, S, add(w_bar, mul(-1, h))))
        pull = add(Psi_star, mul(-1, h, Transpose(w_bar)))
        pull_t = add(Psi_star, mul(-1, w_bar, Transpose(h)))
        return StatedLinearisation(symmetrised(mul(S, pull), mul(pull_t, S)), drift, perpendicular)
    if key == ("head", False, 1):
        spread = (
            TaskMean(mul(add(h, mul(-1, w_star)), add(Transpose(h), mul(-1, Transpose(w_star))))) if head else Psi_star
        )
        span = add(S, mul(-2, alpha, beta, add(mul(S, spread), mul(spread, S))))
        return StatedLinearisation(span, add(omega), perpendicular)
    if key == ("both", True, 1) and not head:
        span = add(S, mul(rate, add(mul(S, Psi_star), mul(Psi_star, S), mul(-2, third))))
        deviation = add(omega, mul(rate, add(mul(Psi_star, omega), mul(-1, S, w_bar))))
        return StatedLinearisation(span, deviation, perpendicular)
    if key == ("both", False, 1) and not head:
        span = add(S, mul(rate, add(mul(2, S, Psi_star), mul(2, Psi_star, S), mul(-4, third))))
        fourth = TaskMean(mul(w_star, Transpose(w_star), w_star, Transpose(w_star), omega))
        forced = TaskMean(mul(w_star, Transpose(w_star), S, w_star))
        deviation = add(omega, mul(-1, alpha**3, beta, add(fourth, mul(-1, forced))))
        return StatedLinearisation(span, deviation, perpendicular)
    raise ValueError(f"no linearisation is stated for {learner.name!r} at {'w ≠ 0' if head else 'w = 0'}")


# --- as matrices


def symmetric_basis(k: int) -> np.ndarray:
    """An orthonormal basis of the symmetric k×k matrices, (k(k+1)/2, k, k)."""
    rows, cols = np.triu_indices(k)
    basis = np.zeros((rows.size, k, k))
    index = np.arange(rows.size)
    basis[index, rows, cols] = basis[index, cols, rows] = np.where(rows == cols, 1.0, np.sqrt(0.5))
    return basis


def span_bases(k: int, exact: bool) -> tuple[np.ndarray, np.ndarray]:
    """A basis of the symmetric k×k matrices and its dual, (k(k+1)/2, k, k) each: S = Σ_x ⟨S, dual_x⟩ basis_x.

    In floats ``symmetric_basis``, which is its own dual. Exactly, in fractions, E_ij + E_ji (i < j) and E_ii: the
    coordinates in that basis are the entries S_ij with i ≤ j.
    """
    basis = symmetric_basis(k)
    if not exact:
        return basis, basis
    basis = np.array([Fraction(0), Fraction(1)])[(basis > 0).astype(int)]
    return basis, basis / np.square(basis).sum((1, 2), keepdims=True)


def on_span_and_head(
    span: Poly, head: Poly, k: int, arrays: Mapping[str, np.ndarray], scalars: Mapping[str, Any], exact: bool
) -> np.ndarray:
    """Matrix of the linear map (S, ω) ↦ (span, head), given by words that are linear in the letters S and ω.

    Args:
        span, head: k×k symmetric, and k×1.
        k: dimension of the representation.
        arrays, scalars: values of all other letters, as ``evaluate_words`` takes them.
        exact: fractions; otherwise floats. Either in its basis of ``span_bases``.

    Returns:
        Square matrix of size k(k+1)/2 + k; its spectrum does not depend on the basis.
    """
    basis, dual = span_bases(k, exact)
    zero, one = (Fraction(0), Fraction(1)) if exact else (0.0, 1.0)
    size = len(basis) + k
    S, omega = np.full((size, k, k), zero), np.full((size, k), zero)
    S[: len(basis)] = basis
    omega[np.arange(len(basis), size), np.arange(k)] = one
    values = {**arrays, "S": S, "omega": omega}
    next_S = evaluate_words(span, values, scalars)
    next_omega = evaluate_words(head, values, scalars)[..., 0]
    coordinates = np.tensordot(next_S, dual, axes=([-2, -1], [-2, -1]))
    return np.concatenate([coordinates, next_omega], axis=-1).T


def span_head_matrix(
    learner: Learner, heads: np.ndarray, alpha: Any, beta: Any, head: np.ndarray | None = None
) -> np.ndarray:
    """Matrix of the linearisation on (S, ω) from the derived words.

    Args:
        learner: any spec that has the truth as a fixed point.
        heads: tasks' heads w_{*,i} as columns, (k, n); floats or fractions.
        alpha, beta: step sizes.
        head: h = Mw at the fixed point, (k,); None for w = 0.

    Returns:
        ((k(k+1)/2 + k),) * 2 matrix G with (S, ω)⁺ = G(S, ω), in the basis that ``span_bases`` names; the k(k−1)/2
        neutral rotations are left out.
    """
    linear = linearise(learner, head is not None)
    k = heads.shape[0]
    arrays = {"w_star_i": heads, "h": 0 * heads[:, 0] if head is None else head}
    scalars = scalar_values(learner, alpha, beta)
    return on_span_and_head(linear.S, linear.omega, k, arrays, scalars, heads.dtype == object)
