"""Hypotheses as Hypothesis strategies, and examples turned into arrays.

An example is plain data by the paper's symbols (whole numbers, numbers, nested lists), so that it shrinks to something
a person can read and goes to JSON and back. Nothing is drawn and thrown away: every strategy builds what it promises.
One set of builders serves floats and fractions; which one it is, is decided by the numbers drawn. ``Entries`` decides
how large an example is, and where its arrays' numbers come from.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache, partial
from math import ceil, floor
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st

from metarep.sim.implementations import Implementation
from metarep.sim.learners import Learner
from metarep.theory.calculus.rationals import Rational
from metarep.theory.claims.drawing import Drawn, one_of, whole
from metarep.theory.claims.record import Example

ANY_STEP = "any $d \\ge k$, $n$, $B$, $w$, heads, orthonormal $B_*$ of any rank, $\\alpha$, $\\beta$"
"""The hypotheses of ``outer_steps`` with ``any_rank``, in words."""

Numbers = Callable[[float, float], st.SearchStrategy[Any]]
"""``numbers(low, high)``: a strategy of floats or of fractions in that range."""


@cache
def floats(low: float, high: float) -> st.SearchStrategy[float]:
    """Floats in [low, high]; tiny magnitudes are rounded to zero, so that products neither under- nor overflow."""
    return _array(floats, low, high)


@cache
def fractions(low: float, high: float) -> st.SearchStrategy[Fraction]:
    """Fractions in [low, high] with denominators up to 12; they shrink to the simplest, 0, 1, −1, 2, ..."""
    return _array(fractions, low, high)


@cache
def _array(numbers: Numbers, low: float, high: float, *shape: int) -> st.SearchStrategy[Any]:
    """Numbers of a kind in [low, high], as nested lists of that shape."""
    if numbers is fractions:
        found = {
            Rational(numerator, denominator)
            for denominator in range(1, 13)
            for numerator in range(ceil(Fraction(low) * denominator), floor(Fraction(high) * denominator) + 1)
        }
        # One list to sample from: several times faster to draw than st.fractions, which draws a denominator first.
        return Drawn(st.sampled_from(sorted(found, key=lambda x: (x.denominator, abs(x), x < 0))), shape)
    entries = st.floats(low, high, allow_nan=False, allow_infinity=False)
    return Drawn(entries, shape, (lambda x: 0.0 if abs(x) < 1e-6 else x) if low <= 0 and high >= 1e-6 else None)


def matrix(numbers: Numbers, rows: int, cols: int, size: float = 2.0) -> st.SearchStrategy[list[list[Any]]]:
    """Entries in [−size, size], as a list of rows."""
    return _array(numbers, -size, size, rows, cols)


def vector(numbers: Numbers, length: int, size: float = 2.0) -> st.SearchStrategy[list[Any]]:
    """Entries in [−size, size]."""
    return _array(numbers, -size, size, length)


def reflections(numbers: Numbers, size: int) -> st.SearchStrategy[list[list[Any]]]:
    """Vectors whose Householder reflections multiply to an orthogonal matrix; zero vectors stand for the identity."""
    return matrix(numbers, 2, size, 1.0)


@cache
def ratios(numbers: Numbers) -> st.SearchStrategy[Any]:
    """β/α: away from 1, or 1."""
    return st.one_of(numbers(1 / 4, 3 / 4), numbers(5 / 4, 2.0), numbers(1, 1))


# --- sizes, and where the numbers come from


class Sizes(NamedTuple):
    """Sizes at most: of the learner's width k, the ambient dimension d and the number of tasks n."""

    k: int
    d: int
    n: int


EXPLICIT = Sizes(3, 6, 5)
"""Of examples that are drawn number by number."""
FILLED = Sizes(8, 64, 50)
"""Of filled examples of floats: the sizes that people use."""
FILLED_EXACTLY = Sizes(4, 8, 12)
"""Of filled examples of fractions, which are slow: at these sizes Exact MAML's words take a tenth of a second."""
LADDER = (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 16, 20, 24, 32, 40, 50, 64)
"""Sizes that filled examples have."""
UNITS = (0, 1, -1, 2, -2)
"""Decimal logarithms of the unit of length c: B and w are multiples of it, heads of c², α and β of 1/c²."""
MOST_SEEDS = 2**16


class Entries:
    """The sizes of one example, and the entries of its arrays.

    Of two kinds, which the first thing drawn decides. An explicit example is small and drawn number by number: it
    shrinks to the simplest numbers. Others are filled: their sizes go up to those that people use, and one drawn whole
    number seeds the generator that fills the arrays, with two decimals each; they shrink by their sizes. Stored are
    plain numbers either way.

    Args:
        draw: Hypothesis' function.
        numbers: ``floats`` or ``fractions``.
        most: the largest sizes of filled examples, where they are not those that people use.
        units: decimal logarithms of the unit that filled examples may have.
    """

    def __init__(
        self, draw: st.DrawFn, numbers: Numbers, most: Sizes | None = None, units: tuple[int, ...] = UNITS
    ) -> None:
        self.draw, self.numbers = draw, numbers
        self.exact = self.numbers is fractions
        self.most = most or (FILLED_EXACTLY if self.exact else FILLED)
        self.filled: bool = draw(one_of(False, False, True, True, True))
        self._unit = draw(one_of(*units)) if self.filled else 0
        self._rng: np.random.Generator | None = None

    @property
    def rng(self) -> np.random.Generator:
        """What fills the arrays; seeded by a number that is drawn when it is first asked for."""
        if self._rng is None:
            self._rng = np.random.default_rng(self.draw(whole(0, MOST_SEEDS - 1)))
        return self._rng

    # sizes

    def among(self, explicit: int, filled: int, least: int = 1) -> int:
        """A whole number, at least ``least``: up to ``explicit``, or on the ladder up to ``filled``."""
        if not self.filled:
            return self.draw(whole(least, max(least, explicit)))
        return self.draw(one_of(*sorted({least, *(x for x in LADDER if least < x <= filled)})))

    def k(self, least: int = 1, most: int = 99) -> int:
        """The learner's width."""
        most = min(self.most.k, most, self.most.k if self.filled else EXPLICIT.k)
        # Hypothesis comes back to the simplest choice more often than to the others, so these stand three times.
        others = tuple(range(least + 1, most + 1))
        return self.draw(one_of(least, *others, *others, *others))

    def d(self, least: int, most: int = 99) -> int:
        """The ambient dimension."""
        return self.among(min(EXPLICIT.d, self.most.d, most), min(self.most.d, most), least)

    def n(self, least: int = 1, most: int = 99) -> int:
        """The number of tasks."""
        return self.among(min(EXPLICIT.n, self.most.n, most), min(self.most.n, most), least)

    # numbers

    @property
    def unit(self) -> Any:
        """The unit of length, a power of ten."""
        return Rational(Fraction(10) ** self._unit) if self.exact else 10.0**self._unit

    def number(self, low: float, high: float, power: int = 0) -> Any:
        """A number in that range, times the unit to a power."""
        drawn = self.draw(self.numbers(low, high))
        return drawn * self.unit**power if power and self._unit else drawn

    def step_sizes(self, largest: float = 1.0) -> tuple[Any, Any]:
        """(α, β), both positive: α from 1/8 to ``largest`` in units, β/α from 1/4 to 2, often 1."""
        alpha, ratio = self.number(1 / 8, largest, -2), self.draw(ratios(self.numbers))
        return alpha, alpha * ratio

    # arrays

    def matrix(self, rows: int, cols: int, size: float = 2.0, power: int = 0) -> list[list[Any]]:
        """Entries in [−size, size] times the unit to a power, as a list of rows. In filled matrices columns longer than
        6 are no larger in norm than those of 6.
        """
        if not self.filled:
            return self.draw(matrix(self.numbers, rows, cols, size))
        return self._fill((rows, cols), size * min(1.0, (6 / max(rows, 1)) ** 0.5), power)

    def vector(self, length: int, size: float = 2.0, power: int = 0) -> list[Any]:
        """Entries in [−size, size] times the unit to a power."""
        if not self.filled:
            return self.draw(vector(self.numbers, length, size))
        return self._fill((length,), size, power)

    def _fill(self, shape: tuple[int, ...], size: float, power: int) -> list[Any]:
        if self.exact:
            denominator = int(self.rng.integers(1, 4)) * ceil(1 / min(size, 1.0))  # or small entries were all zero
            numerators = self.rng.integers(-floor(size * denominator), floor(size * denominator) + 1, shape)
            return _scaled(numerators.tolist(), self.unit**power / denominator)
        decimals = 2 - power * self._unit - floor(np.log10(size))
        return (np.round(self.rng.uniform(-size, size, shape) * self.unit**power, decimals) + 0.0).tolist()

    def heads(self, rank: int, n: int, size: float = 2.0, power: int = 0) -> list[list[Any]]:
        """Heads as columns: any, or filled ones of few different tasks, or of a rank below ``rank``."""
        drawn = self.matrix(rank, n, size, power)
        if not self.filled:
            return drawn
        kind = self.draw(one_of("any", "any", "repeated", "flat"))
        if kind == "repeated":
            different = max(1, n // 3)
            return [[row[i % different] for i in range(n)] for row in drawn]
        if kind == "flat" and rank > 1:
            return [*drawn[:-1], [0 * abs(entry) for entry in drawn[-1]]]
        return drawn

    def rank(self, k: int, d: int) -> int:
        """A rank of the truth, 1 ≤ s ≤ d: that of the learner's width k, or another one."""
        return self.draw(one_of(*dict.fromkeys((k, max(1, k - 1), min(k + 1, d), min(2 * k, d)))))

    def reflections(self, size: int) -> list[list[Any]]:
        """Vectors whose Householder reflections multiply to an orthogonal matrix, as ``reflections``."""
        if not self.filled:
            return self.draw(reflections(self.numbers, size))
        if not self.exact:
            return self._fill((2, size), 1.0, 0)
        # Few entries, so that the fractions of the orthogonal matrix stay short.
        vectors = np.zeros((2, size), dtype=int)
        for vector_ in vectors:
            places = self.rng.permutation(size)[:3]
            vector_[places] = self.rng.choice((-1, 1, 2), len(places))
        return _scaled(vectors.tolist(), Rational(1))


def _scaled(numbers: Any, factor: Fraction) -> Any:
    """Nested lists of whole numbers times a fraction."""
    return [_scaled(each, factor) for each in numbers] if isinstance(numbers, list) else numbers * factor


def any_step(
    made: Entries,
    largest_k: int = 99,
    largest_d: int = 99,
    least_n: int = 1,
    least_codimension: int = 0,
    with_share: bool = False,
    any_rank: bool = False,
) -> dict[str, Any]:
    """An example of ``outer_steps``, by the entries of one that has more than that."""
    k = made.k(most=largest_k)
    d = made.d(k + least_codimension, largest_d)
    n = made.n(least_n)
    s = made.rank(k, d - least_codimension) if any_rank else k
    alpha, beta = made.step_sizes()
    share = {"share": made.number(1 / 8, 1)} if with_share else {}
    return {
        "d": d,
        "k": k,
        "n": n,
        "alpha": alpha,
        "beta": beta,
        **share,
        "B": made.matrix(d, k, power=1),
        "w": made.vector(k, power=1),
        "heads": made.heads(s, n, power=2),
        "frame": made.reflections(d),
    }


@st.composite
def outer_steps(draw: st.DrawFn, numbers: Numbers = floats, **options: Any) -> Example:
    """Any k, d ≥ k + ``least_codimension``, n, any B, w, heads, any orthonormal frame [B_*, B_{*⊥}], α and β.

    These are the hypotheses of an identity of one step. Options, those of ``any_step``: ``largest_k``, ``largest_d``,
    ``least_n`` (1), ``least_codimension`` (0); ``any_rank``: B_* has any rank s ≤ d − ``least_codimension``, and there
    are s × n heads, else s = k; ``with_share``: and a ``share`` in (0, 1] of what β may be.
    """
    return any_step(Entries(draw, numbers), **options)


steps_of_any_rank = partial(outer_steps, any_rank=True)
"""``outer_steps`` with a truth of any rank: for statements about any targets, or about B_* of any rank."""


# --- examples to arrays


def array(value: Sequence[Any]) -> np.ndarray:
    """Nested lists as an array: floats, or objects where fractions stand inside."""
    result = np.array(value)
    exact = result.dtype == object and any(isinstance(item, Fraction) for item in result.flat)
    return result if exact else result.astype(float)


def reflected_identity(vectors: Any) -> np.ndarray:
    """Product of the Householder reflections I − 2vvᵀ/‖v‖² (the identity for v = 0): orthogonal, exactly so for
    fractions. ``vectors`` (..., number of reflections, size); a batch as an array of floats.
    """
    first = vectors if isinstance(vectors, np.ndarray) else array(vectors)
    size = first.shape[-1]
    product = np.eye(size) if first.dtype == float else np.eye(size, dtype=int).astype(object) * Rational(1)
    for place in range(first.shape[-2] if first.ndim > 1 else 0):
        v = first[..., place, :, None]
        norm = (v * v).sum((-2, -1), keepdims=True)
        zero = norm == 0
        along = 2 * v / np.where(zero, 1, norm)
        seen = product @ v if place else v  # of the identity
        product = product - seen * np.swapaxes(along, -1, -2)
    return product


@dataclass(frozen=True)
class StepArrays:
    """The arrays of an ``outer_steps`` example. B (d, k), w (k,), heads (s, n), B_star (d, s), B_perp (d, d − s),
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
    """Turn an ``outer_steps`` example into arrays; the heads' rows are as many as B_* has columns."""
    frame = reflected_identity(example["frame"])
    return arrays_at(example, frame, len(example["heads"]), array(example["B"]), example["alpha"], example["beta"])
