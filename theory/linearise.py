"""The linearisation of any learner at the truth: derived from the words, in coordinates in which it is small and
readable.

The points B = B_*M with αMMᵀ = I. Near them B = B_*(I + E)M + B_{*⊥}Y with E = A − S/2 (S symmetric: S = I −
αB_*ᵀBBᵀB_* to first order;
A skew: a rotation of the representation that the heads undo), and w = αMᵀh + Mᵀω/α: h = Mw is the head at the fixed
point, ω = α²Mδw (= α^{3/2}δw
where M = I/√α) the deviation. Width equals rank here (M square). Own derivation.
"""

from dataclasses import dataclass
from fractions import Fraction
from functools import cache

import numpy as np
from sympy.matrices.expressions import MatrixExpr, Transpose

from sim.learners import Learner
from theory import alphabet as a
from theory.alphabet import matrix_symbol, scalar_symbol
from theory.derive import scalar_values, task_gradients
from theory.expressions import TaskMean, add, evaluate_words, mul, to_words
from theory.structure import PERPENDICULAR
from theory.words import SCALARS, Poly, Rule, zero

_OVER_ALPHA = tuple(-1 if name == "alpha" else 0 for name in SCALARS)
BALANCED = (Rule("M", "M'", "", _OVER_ALPHA), Rule("M'", "M", "", _OVER_ALPHA))
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
        known = {"Psi_star": a.w_star * a.w_star.T, "w_bar": a.w_star}
        return to_words(self.S, known), to_words(self.omega, known), to_words(self.Y, known)


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


def span_head_matrix(
    learner: Learner, heads: np.ndarray, alpha: float, beta: float, head: np.ndarray | None = None
) -> np.ndarray:
    """Matrix of the linearisation on (S, ω) in an orthonormal basis, from the derived words.

    Args:
        learner: any spec that has the truth as a fixed point.
        heads: tasks' heads w_{*,i} as columns, (k, n).
        alpha, beta: step sizes.
        head: h = Mw at the fixed point, (k,); None for w = 0.

    Returns:
        ((k(k+1)/2 + k),) * 2 matrix G with (S, ω)⁺ = G(S, ω); the k(k−1)/2 neutral rotations are left out.
    """
    k = heads.shape[0]
    linear = linearise(learner, head is not None)
    basis = symmetric_basis(k)
    size = basis.shape[0] + k
    S = np.zeros((size, k, k))
    omega = np.zeros((size, k))
    S[: basis.shape[0]] = basis
    omega[basis.shape[0] :] = np.eye(k)
    arrays = {"S": S, "omega": omega, "w_star_i": heads, "h": np.zeros(k) if head is None else head}
    scalars = scalar_values(learner, alpha, beta)
    next_S = evaluate_words(linear.S, arrays, scalars)
    next_omega = evaluate_words(linear.omega, arrays, scalars)[..., 0]
    coordinates = np.tensordot(next_S, basis, axes=([-2, -1], [-2, -1]))
    return np.concatenate([coordinates, next_omega], axis=-1).T


def evaluates_without_rotation(linear: Linearisation) -> bool:
    """Whether S⁺, ω⁺ and Y⁺ do not depend on the rotation A, so that (S, ω) is a system of its own."""
    return not any("A" in part.letters() for part in (linear.S, linear.omega, linear.Y))
