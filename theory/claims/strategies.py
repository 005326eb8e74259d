"""Hypotheses as Hypothesis strategies, and examples turned into arrays.

An example is plain data by the paper's symbols (whole numbers, numbers, nested lists), so that it shrinks to something
a person can read and goes to JSON and back. Nothing is drawn and thrown away: every strategy builds what it promises.
One set of builders serves floats and fractions; which one it is, is decided by the numbers drawn.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from math import ceil, floor
from typing import Any

import numpy as np
from hypothesis import strategies as st

from metarep.sim.implementations import Implementation
from metarep.sim.learners import Learner
from metarep.theory.claims.record import Example

ANY_STEP = "any $d \\ge k$, $n \\ge 2$, $B$, $w$, heads, orthonormal $B_*$, $\\alpha \\ne \\beta$"
"""The hypotheses of ``outer_steps``, in words."""

Numbers = Callable[[float, float], st.SearchStrategy[Any]]
"""``numbers(low, high)``: a strategy of floats or of fractions in that range."""


@cache
def floats(low: float, high: float) -> st.SearchStrategy[float]:
    """Floats in [low, high]; tiny magnitudes are rounded to zero, so that products neither under- nor overflow."""
    return st.floats(low, high, allow_nan=False, allow_infinity=False).map(
        lambda x: 0.0 if abs(x) < 1e-6 <= high and low <= 0 else x
    )


@cache
def fractions(low: float, high: float) -> st.SearchStrategy[Fraction]:
    """Fractions in [low, high] with denominators up to 12; they shrink to the simplest, 0, 1, −1, 2, ..."""
    found = {
        Fraction(numerator, denominator)
        for denominator in range(1, 13)
        for numerator in range(ceil(Fraction(low) * denominator), floor(Fraction(high) * denominator) + 1)
    }
    # One list to sample from: several times faster to draw than st.fractions, which draws a denominator first.
    return st.sampled_from(sorted(found, key=lambda x: (x.denominator, abs(x), x < 0)))


@cache
def matrix(numbers: Numbers, rows: int, cols: int, size: float = 2.0) -> st.SearchStrategy[list[list[Any]]]:
    """Entries in [−size, size], as a list of rows."""
    return st.lists(vector(numbers, cols, size), min_size=rows, max_size=rows)


@cache
def vector(numbers: Numbers, length: int, size: float = 2.0) -> st.SearchStrategy[list[Any]]:
    """Entries in [−size, size]."""
    return st.lists(numbers(-size, size), min_size=length, max_size=length)


@cache
def reflections(numbers: Numbers, size: int) -> st.SearchStrategy[list[list[Any]]]:
    """Vectors whose Householder reflections multiply to an orthogonal matrix; zero vectors stand for the identity."""
    return st.lists(vector(numbers, size, 1.0), min_size=2, max_size=2)


def ratios(numbers: Numbers) -> st.SearchStrategy[Any]:
    """β/α, away from 1."""
    return st.one_of(numbers(1 / 4, 3 / 4), numbers(5 / 4, 2.0))


@cache
def step_sizes(numbers: Numbers, largest: float = 1.0) -> st.SearchStrategy[tuple[Any, Any]]:
    """(α, β), both positive and different from each other: β = α·ratio with the ratio away from 1."""
    return st.tuples(numbers(1 / 8, largest), ratios(numbers)).map(lambda pair: (pair[0], pair[0] * pair[1]))


@st.composite
def outer_steps(
    draw: st.DrawFn,
    numbers: Numbers = floats,
    largest_k: int = 3,
    largest_d: int = 6,
    least_n: int = 2,
    least_codimension: int = 0,
    with_share: bool = False,
) -> Example:
    """Any k, d ≥ k + ``least_codimension``, n ≥ 2, any B, w, heads, any orthonormal frame [B_*, B_{*⊥}], α ≠ β.

    These are the hypotheses of an identity of one step. ``with_share``: and a ``share`` in (0, 1] of what β may be.
    """
    k = draw(st.integers(1, largest_k))
    d = draw(st.integers(k + least_codimension, max(k + least_codimension, largest_d)))
    n = draw(st.integers(least_n, least_n + 3))
    alpha, beta = draw(step_sizes(numbers))
    share = {"share": draw(numbers(1 / 8, 1))} if with_share else {}
    return {
        "d": d,
        "k": k,
        "n": n,
        "alpha": alpha,
        "beta": beta,
        **share,
        "B": draw(matrix(numbers, d, k)),
        "w": draw(vector(numbers, k)),
        "heads": draw(matrix(numbers, k, n)),
        "frame": draw(reflections(numbers, d)),
    }


# --- examples to arrays


def array(value: Sequence[Any]) -> np.ndarray:
    """Nested lists as an array: floats, or objects where fractions stand inside."""
    result = np.array(value, dtype=object)
    return result if any(isinstance(item, Fraction) for item in result.flat) else result.astype(float)


def reflected_identity(vectors: Any) -> np.ndarray:
    """Product of the Householder reflections I − 2vvᵀ/‖v‖² (the identity for v = 0): orthogonal, exactly so for
    fractions. ``vectors`` (..., number of reflections, size); a batch as an array of floats.
    """
    first = vectors if isinstance(vectors, np.ndarray) else array(vectors)
    size = first.shape[-1]
    product = np.eye(size) if first.dtype == float else np.eye(size, dtype=int).astype(object) * Fraction(1)
    for place in range(first.shape[-2] if first.ndim > 1 else 0):
        v = first[..., place, :, None]
        norm = (v * v).sum((-2, -1), keepdims=True)
        zero = norm == 0
        product = product - 2 * (product @ v) * np.swapaxes(v, -1, -2) / np.where(zero, 1, norm)
    return product


@dataclass(frozen=True)
class StepArrays:
    """The arrays of an ``outer_steps`` example. B (d, k), w (k,), heads (k, n), B_star (d, k), B_perp (d, d − k),
    targets (d, n).
    """

    B: np.ndarray
    w: np.ndarray
    heads: np.ndarray
    B_star: np.ndarray
    B_perp: np.ndarray
    alpha: Any
    beta: Any

    @property
    def targets(self) -> np.ndarray:
        """θ_i = B_*w_{*,i} as columns, (d, n)."""
        return self.B_star @ self.heads

    @property
    def objects(self) -> dict[str, Any]:
        """What a reader is shown of the point."""
        (d, k), n = self.B.shape, self.heads.shape[-1]
        sizes = {"d": d, "k": k, "n": n, "alpha": self.alpha, "beta": self.beta}
        return {**sizes, "B": self.B, "w": self.w, "B_star": self.B_star, "heads": self.heads}

    @property
    def exact(self) -> bool:
        """Whether the numbers are fractions."""
        return self.B.dtype == object

    def stepped(self, implementation: Implementation, learner: Learner) -> tuple[np.ndarray, np.ndarray]:
        """(B⁺, w⁺) after the implementation's step from here."""
        return implementation.step(learner, self.B, self.w, self.targets, self.alpha, self.beta)


def arrays_at(example: Example, frame: np.ndarray, rank: int, B: np.ndarray, alpha: Any, beta: Any) -> StepArrays:
    """The arrays of an example with keys w and heads at this B; B_* is the first ``rank`` columns of ``frame``."""
    return StepArrays(B, array(example["w"]), array(example["heads"]), frame[:, :rank], frame[:, rank:], alpha, beta)


def step_arrays(example: Example) -> StepArrays:
    """Turn an ``outer_steps`` example into arrays."""
    frame = reflected_identity(example["frame"])
    return arrays_at(example, frame, example["k"], array(example["B"]), example["alpha"], example["beta"])
