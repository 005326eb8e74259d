"""Structure of an outer step: B⁺ = B·N + β B_*·C, with N and C found from the words and stated in averages over the
tasks.

Every word of ∇_B begins with B or with θ_i = B_*w_{*,i}. Collecting them gives the right factor N (k×k):
B_{*⊥}ᵀB⁺ = B_{*⊥}ᵀB·N, so the perpendicular part is only ever multiplied from the right, and
col(B⁺) ⊂ col(B) + col(B_*). For FO-ANIL N is in Collins et al. 2022 (proof of Theorem 1); the others are our own
derivation.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from sympy.matrices.expressions import Identity, MatrixExpr, Transpose

from metarep.sim.learners import Learner
from metarep.theory.calculus import alphabet as a
from metarep.theory.calculus.alphabet import DIMENSIONS, matrix_symbol, scalar_symbol
from metarep.theory.calculus.evaluation import evaluate_expression
from metarep.theory.calculus.expressions import TaskMean, add, mul, to_words
from metarep.theory.calculus.words import Poly, Rule, identity, zero
from metarep.theory.dynamics.derive import adapted_parameters, derive, task_gradients

PERPENDICULAR = (Rule("B_perp'", "B_star", None), Rule("B_perp'", "B_perp", ""), Rule("B_star'", "B_star", ""))
"""B_{*⊥}ᵀB_* = 0, B_{*⊥}ᵀB_{*⊥} = I, B_*ᵀB_* = I."""

TRUTH = {"theta_i": a.B_star * a.w_star}
"""θ_i = B_*w_{*,i}."""


@cache
def split_update(learner: Learner) -> tuple[Poly, Poly]:
    """(N, C) with B⁺ = B·N + β B_*·C, as words under one average over tasks; found from the words of the derived ∇_B.

    Raises:
        ValueError: some word of ∇_B begins with neither B nor θ_i (no such spec exists: the calculus would be wrong).
    """
    grad_B = task_gradients(learner)[0].substitute(TRUTH)
    by_B, by_truth = Poly(grad_B.shape), Poly(grad_B.shape)
    first_B, first_truth = a.find_letter("B").code, a.find_letter("B_star").code
    for key, value in grad_B.terms.items():
        target = by_B if key[2][:1] == bytes([first_B]) else by_truth if key[2][:1] == bytes([first_truth]) else None
        if target is None:
            raise ValueError(f"a word of the gradient of {learner.name!r} begins with neither B nor B_*")
        target.terms[key] = value
    factor = by_B.strip_left("B") if by_B else zero("k", "k")
    inflow = by_truth.strip_left("B_star") if by_truth else zero("s", "k")
    return identity("k") - factor.scaled(beta=1), -inflow


def right_factor(learner: Learner) -> Poly:
    """N (k×k) with B_{*⊥}ᵀB⁺ = B_{*⊥}ᵀB·N, for any spec."""
    return split_update(learner)[0]


@dataclass(frozen=True)
class StatedSplit:
    """N and C as stated with Ψ, Q, s, ḡ, ..., and the definitions of these averages in order."""

    definitions: tuple[tuple[str, MatrixExpr], ...]
    N: MatrixExpr
    C: MatrixExpr

    def named(self, learner: Learner) -> tuple[tuple[str, MatrixExpr], ...]:
        """All definitions in order: θ_i, the per-task intermediates of the learner's program, the averages."""
        return (("theta_i", _TARGET), *derive(learner).program.definitions, *self.definitions)

    def expand(self, learner: Learner) -> tuple[Poly, Poly]:
        """(N, C) in words, with θ_i = B_*w_{*,i}; the per-task intermediates are those of the learner's program."""
        known: dict[str, Poly] = {}
        for name, expression in self.named(learner):
            known[name] = to_words(expression, known)
        return to_words(self.N, known), to_words(self.C, known)

    def evaluate(
        self,
        learner: Learner,
        B: np.ndarray,
        w: np.ndarray,
        B_star: np.ndarray,
        heads: np.ndarray,
        alpha: Any,
        beta: Any,
    ) -> tuple[np.ndarray, np.ndarray]:
        """(N, C) on arrays, as written: (..., k, k) and (..., s, k).

        B (..., d, k), w (..., k), B_star (..., d, s), heads w_{*,i} as columns (..., s, n); scalars α, β. Floats or
        Fractions.
        """
        arrays = {
            "B": B[..., None, :, :],
            "w": w[..., None, :, None],
            "B_star": B_star[..., None, :, :],
            "w_star_i": np.moveaxis(heads, -1, -2)[..., None],
        }
        scalars = {"alpha": alpha, "beta": beta}
        for name, expression in self.named(learner):
            arrays[name] = evaluate_expression(expression, arrays, scalars)
        N, C = (evaluate_expression(expression, arrays, scalars) for expression in (self.N, self.C))
        return N[..., 0, :, :], C[..., 0, :, :]


_TARGET = mul(matrix_symbol("B_star"), matrix_symbol("w_star_i"))


@cache
def stated_split(learner: Learner) -> StatedSplit:
    """The closed forms of N and C for one of the paper's five.

    Raises:
        ValueError: not one of the five.
    """
    alpha, beta = scalar_symbol("alpha"), scalar_symbol("beta")
    B, w, w_i, v, g = (matrix_symbol(name) for name in ("B", "w", "w_i", "v_i", "g_i"))
    w_star, w_bar, Psi, Psi_star, Q = (matrix_symbol(n) for n in ("w_star_i", "w_bar", "Psi", "Psi_star", "Q_head"))
    B_star, s, g_bar = (matrix_symbol(name) for name in ("B_star", "s_bar", "g_bar"))
    eye = Identity(DIMENSIONS["k"])
    mean_head = ("w_bar", TaskMean(w_star))
    second = ("Psi_star", TaskMean(mul(w_star, Transpose(w_star))))
    adapted_second = ("Psi", TaskMean(mul(w_i, Transpose(w_i))))
    cross = TaskMean(mul(w_star, Transpose(w_i)))
    weighted = TaskMean(mul(w_star, Transpose(w), w_i, Transpose(w_i)))
    projector = ("Q_head", add(eye, mul(-1, alpha, w, Transpose(w))))

    def near_identity(expression: MatrixExpr) -> MatrixExpr:
        return add(eye, mul(-1, beta, expression))

    match learner.plain_key:
        case ("head", True, 1):
            return StatedSplit((adapted_second,), near_identity(Psi), cross)
        case ("head", False, 1):
            pulled = ("s_bar", TaskMean(mul(Transpose(B), v)))
            rank_two = mul(-1, alpha, add(mul(s, Transpose(w)), mul(w, Transpose(s))))
            inflow = add(
                cross,
                mul(-1, alpha, cross, Transpose(B), B),
                mul(alpha, Psi_star, Transpose(B_star), B),
            )
            return StatedSplit((second, adapted_second, pulled), near_identity(add(Psi, rank_two)), inflow)
        case ("both", True, 1):
            return StatedSplit(
                (adapted_second, projector), near_identity(mul(Q, Psi)), add(cross, mul(-1, alpha, weighted))
            )
        case ("both", False, 1):
            pulled = ("g_bar", TaskMean(g))
            rank_two = mul(-1, alpha, add(mul(g_bar, Transpose(w)), mul(w, Transpose(g_bar))))
            inflow = add(
                mul(cross, Q), mul(-1, alpha, weighted, Q), mul(-1, alpha, TaskMean(mul(w_star, Transpose(g))))
            )
            return StatedSplit(
                (adapted_second, projector, pulled), near_identity(add(mul(Q, Psi, Q), rank_two)), inflow
            )
        case ("nothing", False, 0):
            return StatedSplit((mean_head,), near_identity(mul(w, Transpose(w))), mul(w_bar, Transpose(w)))
    raise ValueError(f"no stated right factor for {learner.name!r}; there is one for each of the paper's five")


def stated_cross_moment() -> tuple[MatrixExpr, MatrixExpr]:
    """(mean w_{*,i}w_iᵀ, its value w̄_*wᵀΔ + αΨ_*B_*ᵀB in the heads' first two moments)."""
    alpha = scalar_symbol("alpha")
    w, w_i, w_star = (matrix_symbol(name) for name in ("w", "w_i", "w_star_i"))
    B, B_star, w_bar, Psi_star, Delta = (matrix_symbol(n) for n in ("B", "B_star", "w_bar", "Psi_star", "Delta"))
    value = add(mul(w_bar, Transpose(w), Delta), mul(alpha, Psi_star, Transpose(B_star), B))
    return TaskMean(mul(w_star, Transpose(w_i))), value


def stated_adapted_second_moment() -> MatrixExpr:
    """Ψ in the heads' first two moments: Δwwᵀ Δ + α(Δww̄_*ᵀB_*ᵀB + its transpose) + α²BᵀB_*Ψ_*B_*ᵀB."""
    alpha = scalar_symbol("alpha")
    B, w, B_star, w_bar, Psi_star, Delta = (
        matrix_symbol(name) for name in ("B", "w", "B_star", "w_bar", "Psi_star", "Delta")
    )
    mixed = mul(Delta, w, Transpose(w_bar), Transpose(B_star), B)
    mixed_t = mul(Transpose(B), B_star, w_bar, Transpose(w), Delta)
    return add(
        mul(Delta, w, Transpose(w), Delta),
        mul(alpha, add(mixed, mixed_t)),
        mul(alpha**2, Transpose(B), B_star, Psi_star, Transpose(B_star), B),
    )


def moment_words() -> dict[str, Poly]:
    """What Δ, w̄_*, Ψ_* stand for, as words under one average (Ψ_* and w̄_* never stand in one product here)."""
    return {
        "Delta": identity("k") - (a.B.T * a.B).scaled(alpha=1),
        "w_bar": a.w_star,
        "Psi_star": a.w_star * a.w_star.T,
    }


def head_degree(learner: Learner) -> int:
    """The highest moment of the tasks' heads that the outer step depends on: the degree of its words in w_{*,i}."""
    grad_B, grad_w = task_gradients(learner)
    return max(grad_B.degree("theta_i"), grad_w.degree("theta_i"))


def adapted_head(learner: Learner) -> Poly:
    """w_i with θ_i = B_*w_{*,i}, in words."""
    return adapted_parameters(learner)[1].substitute(TRUTH)
