"""The derivative of an implementation's outer step, without truncation error: a central difference of a polynomial.

A step is a polynomial in (B, w); along a line x + εv it is a polynomial in ε whose linear coefficient the central
difference over ε = ±1, ..., ±m (times any width) gives exactly once its degree is at most 2m. So the linearisation
derived from the words meets the hand-written code in rational arithmetic with tolerance zero, and in floats with
rounding errors alone.
"""

from dataclasses import dataclass, replace
from fractions import Fraction
from math import factorial
from typing import Any

import numpy as np
from hypothesis import strategies as st

from metarep.sim.implementations import Implementation
from metarep.sim.learners import Learner
from metarep.theory.calculus.evaluation import evaluate_words
from metarep.theory.claims.comparing import ROUNDINGS_PER_WORD, step_scale
from metarep.theory.claims.record import Example
from metarep.theory.claims.strategies import (
    Entries,
    Numbers,
    Sizes,
    StepArrays,
    array,
    floats,
    fractions,
    reflected_identity,
)
from metarep.theory.dynamics.linearise import stated_linearisation

HALF_NODES = 6
"""m: exact up to degree 12 in ε. The largest is Exact MAML's: its adapted loss has degree 12 in (B, w), its gradient
11.
"""

WEIGHTS = tuple(
    Fraction((-1) ** (j + 1) * factorial(HALF_NODES) ** 2, j * factorial(HALF_NODES - j) * factorial(HALF_NODES + j))
    for j in range(1, HALF_NODES + 1)
)
"""f'(0) = Σ_j WEIGHTS[j−1] (f(j) − f(−j)) for every polynomial f of degree ≤ 2m."""

WIDTH = Fraction(1, 32)
"""Distance between the nodes. For floats a compromise: rounding errors are divided by it, the values at the nodes grow
with it.
"""


def central_difference(
    implementation: Implementation, learner: Learner, at: StepArrays, dB: np.ndarray, dw: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The derivative of one outer step at (B, w) along (dB, dw), from values of ``implementation.step`` alone.

    Args:
        implementation: whose step.
        learner: what the update is.
        at: the point, in arrays of floats or of fractions.
        dB, dw: directions (..., d, k) and (..., k); leading axes give that many derivatives at once.

    Returns:
        (dB⁺, dw⁺) of the same shapes: exact for fractions, free of truncation error for floats.
    """
    nodes = [sign * j for j in range(1, HALF_NODES + 1) for sign in (1, -1)]
    offsets: list[Any] = [j * WIDTH for j in nodes]
    factors: list[Any] = [(1 if j > 0 else -1) * WEIGHTS[abs(j) - 1] / WIDTH for j in nodes]
    if not at.exact:
        offsets, factors = [float(offset) for offset in offsets], [float(factor) for factor in factors]
    B = np.stack([at.B + offset * dB for offset in offsets])
    w = np.stack([at.w + offset * dw for offset in offsets])
    after = replace(at, B=B, w=w).stepped(implementation, learner)
    dB_next, dw_next = (sum(f * value for f, value in zip(factors, values, strict=True)) for values in after)
    return np.asarray(dB_next), np.asarray(dw_next)


def difference_rounding(learner: Learner, at: StepArrays, dB: np.ndarray, dw: np.ndarray, eps: float) -> float:
    """Bound on the rounding error of an entry of ``central_difference`` in floats, 0 for fractions.

    Each value carries eps × roundings × (sum of moduli of its words at the farthest node); the difference adds them up
    with weights Σ 2|WEIGHTS|/WIDTH = 4.9/WIDTH.
    """
    if at.exact:
        return 0.0
    reach = HALF_NODES * float(WIDTH)
    far = replace(
        at,
        B=np.abs(at.B) + reach * np.abs(dB).reshape(-1, *at.B.shape).max(0),
        w=np.abs(at.w) + reach * np.abs(dw).reshape(-1, *at.w.shape).max(0),
    )
    gain = float(sum(2 * abs(weight) for weight in WEIGHTS) / WIDTH)
    return eps * ROUNDINGS_PER_WORD * gain * step_scale(learner, far)


# --- neighbourhoods of the truth


@st.composite
def neighbourhoods(
    draw: st.DrawFn,
    numbers: Numbers = floats,
    head: bool = False,
    least_beyond: int = 0,
    least_k: int = 1,
    most: Sizes | None = None,
) -> Example:
    """A point B = B_*M with αMMᵀ = I (α = 1/c² for a drawn c, so that fractions stay fractions), heads, and a direction
    (S, A, ω, Y).

    ``head``: w = αMᵀh for a drawn h, else w = 0. ``least_beyond``: dimensions beside the truth, at least. In fractions
    a derivative takes twelve steps, so these are smaller.
    """
    made = Entries(draw, numbers, most or (Sizes(2, 5, 12) if numbers is fractions else None))
    k = made.k(least_k, 2 if made.exact else 99)
    d = made.d(k + least_beyond)
    n = made.n()
    c = made.number(1 / 2, 2.0, power=1)
    return {
        "d": d,
        "k": k,
        "n": n,
        "c": c,
        "beta": made.number(1 / 8, 1.0, power=-2),
        "heads": made.heads(k, n, power=2),
        "h": made.vector(k, power=2) if head else [0 * c] * k,
        "frame": made.reflections(d),
        "turn": made.reflections(k),
        "S": made.matrix(k, k),
        "A": made.matrix(k, k),
        "omega": made.vector(k, power=-2),
        "Y": made.matrix(d - k, k, power=1) if d > k else [],
    }


@dataclass(frozen=True)
class Neighbourhood:
    """The arrays of a ``neighbourhoods`` example: a point at the truth, and a direction in (S, A, ω, Y)."""

    at: StepArrays
    M: np.ndarray
    h: np.ndarray
    S: np.ndarray
    A: np.ndarray
    omega: np.ndarray
    Y: np.ndarray

    @property
    def objects(self) -> dict[str, Any]:
        """What a reader is shown: the point, and the direction."""
        parts = {"M": self.M, "S": self.S, "A": self.A, "omega": self.omega, "Y": self.Y}
        head = {"h": self.h} if np.any(self.h) else {}
        return {**self.at.objects, **head, **{name: part for name, part in parts.items() if part.size}}

    def direction(self) -> tuple[np.ndarray, np.ndarray]:
        """(dB, dw) of the direction (S, A, ω, Y)."""
        half: Any = Fraction(1, 2) if self.at.exact else 0.5
        dB = self.at.B_star @ (self.A - half * self.S) @ self.M + self.at.B_perp @ self.Y
        return dB, self.M.T @ self.omega / self.at.alpha

    def coordinates(self, dB: np.ndarray, dw: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(S, ω, Y) of a direction (dB, dw)."""
        E = self.at.alpha * (self.at.B_star.T @ dB @ self.M.T)
        return -(E + E.T), self.at.alpha**2 * (self.M @ dw), self.at.B_perp.T @ dB

    def stated(self, learner: Learner, head: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(S⁺, ω⁺, Y⁺) as stated, for this point and this direction."""
        arrays = {
            "S": self.S,
            "omega": self.omega,
            "Y": self.Y,
            "h": self.h,
            "M": self.M,
            "w_star_i": self.at.heads,
        }
        scalars = {"alpha": self.at.alpha, "beta": self.at.beta}
        S, omega, Y = stated_linearisation(learner, head).expand()
        beyond = evaluate_words(Y, arrays, scalars) if self.Y.size else self.Y  # d = k: there is no perpendicular part
        return evaluate_words(S, arrays, scalars), evaluate_words(omega, arrays, scalars)[..., 0], beyond


def neighbourhood(example: Example) -> Neighbourhood:
    """Turn a ``neighbourhoods`` example into arrays."""
    d, k, c = example["d"], example["k"], example["c"]
    frame, turn = reflected_identity(example["frame"]), reflected_identity(example["turn"])
    alpha = 1 / c**2
    exact = isinstance(c, Fraction)
    M = c * turn
    B_star = frame[:, :k]
    h = array(example["h"])
    half: Any = Fraction(1, 2) if exact else 0.5
    square, skew = array(example["S"]), array(example["A"])
    Y = array(example["Y"]).reshape(d - k, k)
    if exact:
        Y = Y.astype(object)  # an empty one says nothing of its numbers
    at = StepArrays(
        B_star @ M, alpha * (M.T @ h), array(example["heads"]), B_star, frame[:, k:], alpha, example["beta"]
    )
    return Neighbourhood(at, M, h, half * (square + square.T), half * (skew - skew.T), array(example["omega"]), Y)
