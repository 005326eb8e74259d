"""Instances that an adversary tries, and the worst that it finds."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from metarep.sim.implementations import Implementation
from metarep.sim.learners import Learner
from metarep.theory.claims.balanced import run_setting, setting_of
from metarep.theory.claims.compliance import largest_c
from metarep.theory.claims.constants.cube import LEAST_CHANGE, change, coordinates, instance_at, settings_at
from metarep.theory.claims.constants.search import Searches
from metarep.theory.claims.record import Comparison, Example

Shape = tuple[int, int]
"""(k, n) of an instance; d = 2k."""
LARGER: tuple[Shape, ...] = ((4, 5), (8, 9))
"""Those that are tried besides the ones searched."""
SEARCHES = 4
"""Searches that know nothing of each other."""


class Found(NamedTuple):
    """An instance: a point of the cube of its (k, n), at the pair (αL_*, αβL_*²); and what counts of it, a c or a step
    size.
    """

    value: float
    shape: Shape
    point: np.ndarray
    pair: np.ndarray


NOTHING = Found(np.inf, (0, 0), np.empty(0), np.empty(0))


def comparison_at(instance: Example | None, value: float, bound: float, what: str) -> Comparison | None:
    """``value`` against ``bound`` at an instance (plain data), with the objects that it stands for."""
    if instance is None:
        return None
    objects = setting_of([instance], np.array(instance["steps"])).objects(0)
    return Comparison(value, bound, 0.0, what, objects=objects)


def worst_of(found: Iterable[Found]) -> Found:
    """The one of the least value."""
    return min(found, key=lambda each: each.value)


@dataclass
class Adversary:
    """Tries instances with ``period`` task sets, of two sets those that change genuinely; ``tried`` counts them.

    ``largest_share``: the most of ‖Ψ_*^{−1/2}w̄_*‖; ``rng``: seeded by ``seed`` and the period.
    """

    learner: Learner
    implementation: Implementation
    period: int
    seed: int
    effort: float
    largest_share: float = 1.0
    tried: int = 0
    rng: np.random.Generator = field(init=False)

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng((self.seed, self.period))

    def number(self, usual: int, least: int) -> int:
        """How many points, or rounds, at this effort."""
        return max(least, round(usual * self.effort**0.5))

    def largest(self, shape: Shape, points: np.ndarray, pairs: np.ndarray, steps: int) -> np.ndarray:
        """``compliance.largest_c`` (m,) of the runs at points (m, p) with step sizes pairs (m, 2); infinite where tasks
        that are to change hardly do.
        """
        return self._tried(shape, points, pairs, steps, (False,))[0]

    def for_ever(
        self, shape: Shape, points: np.ndarray, pairs: np.ndarray, steps: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """The same, and the largest c with which they comply for ever if they go on as in their second half."""
        in_time, onward = self._tried(shape, points, pairs, steps, (False, True))
        return in_time, onward

    def _tried(
        self, shape: Shape, points: np.ndarray, pairs: np.ndarray, steps: int, onward: tuple[bool, ...]
    ) -> list[np.ndarray]:
        setting = settings_at(points, pairs, *shape, self.period, self.largest_share)
        trajectory = run_setting(self.learner, setting, steps, self.implementation, max(10, steps // 60))
        self.tried += len(points)
        still = self.period > 1 and change(setting) < LEAST_CHANGE
        return [np.where(still, np.inf, largest_c(setting, trajectory, onward=each)) for each in onward]

    def instance(self, found: Found) -> dict[str, Any]:
        """What was found, as plain data."""
        return instance_at(found.point, *found.shape, self.period, found.pair, self.largest_share)

    def each(
        self, shapes: Iterable[Shape], search: Callable[[Shape, int], Searches], pair: Callable[..., np.ndarray]
    ) -> list[Found]:
        """What each of the independent searches found, the least over the shapes: ``search(shape, p)`` in p coordinates
        of an instance and more; ``pair(value, point)`` of a found one.
        """
        best = [NOTHING] * SEARCHES
        for shape in shapes:
            size = coordinates(*shape, self.period)
            found = search(shape, size)
            for number, (value, point) in enumerate(zip(found.values, found.points, strict=True)):
                if value < best[number].value:
                    best[number] = Found(float(value), shape, point[:size], pair(value, point))
        return best
