"""Generic points at which steps are compared, and candidates for the cause of a difference."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from metarep.sim.implementations import Implementation
from metarep.sim.learners import Learner
from metarep.sim.terms import At
from metarep.theory.claims.comparing import ROUNDINGS_PER_WORD, step_scale
from metarep.theory.claims.strategies import StepArrays
from metarep.theory.engine.foreign.forms import right_step

Array = np.ndarray
Pair = tuple[Array, Array]
"""Of B and of w."""

DIMENSIONS = ((5, 2, 3, 0.37, 0.26), (6, 3, 5, 0.24, 0.31), (9, 2, 2, 0.51, 0.19), (7, 2, 4, 0.33, 0.43))
"""(d, k, n, α, β) of the points: all differ in what a factor could depend on, and no step size is short in binary."""
DRAWS = 3
"""Points of each: with k ≥ 2 enough equations for the five terms of Exact MAML's ∇_w."""
SEED = 20220


@dataclass(frozen=True)
class Match:
    """A candidate that agrees. ``rank``: the smaller, the more specific it is."""

    id: str
    factor: float | None
    explanation: str
    rank: int


def scaled(pair: Pair, factor: float) -> Pair:
    """Both parts times a factor."""
    return factor * pair[0], factor * pair[1]


def flat(pairs: Sequence[Pair]) -> Array:
    """All numbers of the pairs, in one row."""
    return np.concatenate([part.ravel() for pair in pairs for part in pair])


def projection(moved: Sequence[Pair], moves: Sequence[Pair]) -> float | None:
    """The factor f that makes f·moves closest to ``moved``; None if the moves are zero."""
    left, right = flat(moved), flat(moves)
    square = float(right @ right)
    return float(left @ right) / square if square > 0 else None


@dataclass(frozen=True, eq=False)
class Point:
    """Points of equal dimensions, with the implementation's step there, how large are the numbers that it adds up, and
    what rounding errors explain.
    """

    at: At
    found: Pair
    size: float
    tolerance: float

    @property
    def quantities(self) -> dict[str, float]:
        """What a wrong factor could depend on."""
        (d, k), n = self.at.B.shape[-2:], self.at.targets.shape[-1]
        unbiased = n / (n - 1) if n > 1 else 1.0
        return {"n": n, "d": d, "k": k, "α": self.at.alpha, "β": self.at.beta, "n/(n − 1)": unbiased}

    def move(self, stepped: Pair) -> Pair:
        """(B − B⁺, w − w⁺), which is β∇ where all is well."""
        return self.at.B - stepped[0], self.at.w - stepped[1]

    @cached_property
    def moved(self) -> Pair:
        """The implementation's move."""
        return self.move(self.found)

    def by(self, step: Callable[..., Pair]) -> Pair:
        """The move of a step that takes the learner first."""
        return self.move(step(*self.at))

    def reference(self, alpha_factor: float | Array = 1.0) -> Pair:
        """(β∇_B, β∇_w) as they should be, α times a factor, or along a first axis times each of several."""
        return self.move(right_step(*self.at._replace(alpha=alpha_factor * self.at.alpha)))

    def of(self, at: At, found: Pair) -> "Point":
        """The step at another point, where numbers are as large."""
        return Point(at, found, self.size, self.tolerance)

    @property
    def finite(self) -> bool:
        """Whether the implementation's step is."""
        return all(bool(np.isfinite(part).all()) for part in self.found)

    @cached_property
    def right(self) -> bool:
        """Whether the implementation's step is the reference's."""
        return self.misses(self.reference()) <= 1

    def misses(self, moved: Pair) -> float:
        """Largest difference between a predicted move and the implementation's, in units of the tolerance."""
        return max(float(np.abs(mine - other).max()) for mine, other in zip(self.moved, moved, strict=True)) / (
            self.tolerance
        )


def point_at(implementation: Implementation, at: At) -> Point:
    """The implementation's step at points of equal dimensions."""
    d = at.B.shape[-2]
    found = implementation.step(*at)
    # The scale grows with every modulus: that of the largest of the points bounds all of them.
    B, w, targets = (np.abs(part).max(0) for part in at[1:4])
    scale = step_scale(at.learner, StepArrays(B, w, targets, np.eye(d), np.zeros((d, 0)), at.alpha, at.beta))
    # A candidate may add up larger intermediates than the learner's own: what came out bounds them well enough.
    size = scale + max(float(np.abs(part).max()) for part in found)
    return Point(at, found, size, 4 * ROUNDINGS_PER_WORD * implementation.eps * size)


def points_of(implementation: Implementation, learner: Learner) -> tuple[Point, ...]:
    """The generic points of a learner, always the same."""
    rng = np.random.default_rng(SEED)
    points = []
    for d, k, n, alpha, beta in DIMENSIONS:
        B, w = rng.uniform(-0.9, 0.9, (DRAWS, d, k)), rng.uniform(-0.9, 0.9, (DRAWS, k))
        targets = rng.uniform(-0.9, 0.9, (DRAWS, d, n))
        points.append(point_at(implementation, At(learner, B, w, targets, alpha, beta)))
    return tuple(points)


@dataclass(frozen=True, eq=False)
class Case:
    """The steps of one learner at all points, which some cause has to explain; ``eps``: the unit of their rounding
    errors.
    """

    learner: Learner
    points: tuple[Point, ...]
    eps: float

    @property
    def moved(self) -> list[Pair]:
        """The implementation's moves."""
        return [point.moved for point in self.points]

    @cached_property
    def references(self) -> list[Pair]:
        """The moves as they should be."""
        return [point.reference() for point in self.points]

    @property
    def finite(self) -> bool:
        """Whether the implementation's steps are."""
        return all(point.finite for point in self.points)

    @property
    def loose(self) -> float:
        """How far fitted coefficients may be off."""
        return max(1e-6, float(np.sqrt(self.eps)) * 1e-1)

    def agree_by(self, step: Callable[..., Pair]) -> bool:
        """Whether a step that takes the learner first is the implementation's; as a rule one point says no."""
        return all(point.misses(point.by(step)) <= 1 for point in self.points)

    def agree(self, moves: Sequence[Pair]) -> bool:
        """Whether these are the implementation's moves."""
        return all(point.misses(move) <= 1 for point, move in zip(self.points, moves, strict=True))
