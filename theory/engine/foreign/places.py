"""Places: the sizes, norms and step sizes that a point of a step has, and random points that have them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from metarep.sim.learners import Learner
from metarep.sim.terms import At

Array = np.ndarray


class Place(NamedTuple):
    """What a step may depend on, of one point.

    Attributes:
        d, k, n: dimension, width, number of tasks.
        rank: of the targets.
        width: rank of B.
        alpha, beta: step sizes.
        B, w, theta: the norms of B and w, and the largest of a target.
    """

    d: int
    k: int
    n: int
    rank: int
    width: int
    alpha: float
    beta: float
    B: float
    w: float
    theta: float

    @property
    def possible(self) -> "Place":
        """The nearest place that there is: 1 ≤ k ≤ d, ranks no larger than the matrices."""
        d, n = max(1, self.d), max(1, self.n)
        k = min(max(1, self.k), d)
        rank, width = min(max(1, self.rank), d, n), min(max(1, self.width), k)
        return self._replace(d=d, k=k, n=n, rank=rank, width=width)

    @property
    def text(self) -> str:
        """In words."""
        named = zip(("d", "k", "n", "α", "β", "‖B‖", "‖w‖"), (*self[:3], *self[5:9]), strict=True)
        return ", ".join(f"{name} = {value:.4g}" for name, value in named)


SIZES = ("d", "k", "n", "rank", "width")
NUMBERS = ("alpha", "beta", "B", "w", "theta")


def place_of(at: At) -> Place:
    """The place of one point, B (d, k)."""
    (d, k), n = at.B.shape, at.targets.shape[-1]
    rank, width = (int(np.linalg.matrix_rank(matrix)) for matrix in (at.targets, at.B))
    B, w = (float(np.linalg.norm(part, 2)) for part in (at.B, at.w))
    theta = float(np.linalg.norm(at.targets, axis=0).max())
    return Place(d, k, n, rank, width, float(at.alpha), float(at.beta), B, w, theta)


def made_at(place: Place, learner: Learner, rng: np.random.Generator, draws: int = 1) -> At:
    """Random points of a place, B (draws, d, k)."""

    def matrix(rows: int, cols: int, rank: int) -> Array:
        factors = rng.standard_normal((draws, rows, rank)), rng.standard_normal((draws, rank, cols))
        return rng.standard_normal((draws, rows, cols)) if rank >= min(rows, cols) else factors[0] @ factors[1]

    def of_size(array: Array, norms: Array, size: float) -> Array:
        return array / norms.reshape((-1,) + (1,) * (array.ndim - 1)) * size

    B, w, targets = matrix(place.d, place.k, place.width), rng.standard_normal((draws, place.k)), matrix(
        place.d, place.n, place.rank
    )  # fmt: skip
    return At(
        learner,
        of_size(B, np.linalg.norm(B, 2, axis=(1, 2)), place.B),
        of_size(w, np.linalg.norm(w, axis=1), place.w),
        of_size(targets, np.linalg.norm(targets, axis=1).max(-1), place.theta),
        place.alpha,
        place.beta,
    )


def typical(rng: np.random.Generator) -> Place:
    """A place of moderate sizes, all of them different as a rule."""
    d = int(rng.integers(2, 10))
    k, n = int(rng.integers(1, min(d, 4) + 1)), int(rng.integers(1, 9))
    numbers = (float(rng.uniform(low, high)) for low, high in ((0.05, 0.9), (0.05, 0.9), (0.3, 3), (0.1, 3), (0.3, 4)))
    return Place(d, k, n, int(rng.integers(1, 9)), k, *numbers).possible


def mixed(rng: np.random.Generator, bad: Place, share: float) -> Place:
    """A typical place of which each part is that of ``bad`` with probability ``share``; sometimes α = β or k = d."""
    place = typical(rng)
    kept = {name: getattr(bad, name) for name in (*SIZES, *NUMBERS) if rng.random() < share}
    if rng.random() < 0.15:
        kept["beta"] = kept.get("alpha", place.alpha)
    if rng.random() < 0.1:
        kept["d"] = kept.get("k", place.k)
    if "width" not in kept and bad.width == bad.k:
        kept["width"] = kept.get("k", place.k)
    return place._replace(**kept).possible


@dataclass(frozen=True)
class Relation:
    """Something that holds at some places. ``size``: which one has a certain value, if that is what it says."""

    text: str
    holds: Callable[[Place], bool]
    size: str | None = None


def relations(bad: Place) -> tuple[Relation, ...]:
    """Relations that hold at a place: equalities first, and those of fewer places before those of more."""
    known = (
        Relation("α = 0", lambda p: p.alpha == 0),
        Relation("β = 0", lambda p: p.beta == 0),
        Relation("w = 0", lambda p: p.w == 0),
        Relation("B = 0", lambda p: p.B == 0),
        Relation("all targets are 0", lambda p: p.theta == 0),
        Relation("α = β", lambda p: p.alpha == p.beta),
        Relation("n = k", lambda p: p.n == p.k),
        Relation("d = k", lambda p: p.d == p.k),
        Relation("the tasks' rank is k", lambda p: p.rank == p.k),
        Relation("n < k", lambda p: p.n < p.k),
        Relation("n > k", lambda p: p.n > p.k),
        Relation("n ≤ k", lambda p: p.n <= p.k),
        Relation("n ≥ k", lambda p: p.n >= p.k),
        Relation("n < d", lambda p: p.n < p.d),
        Relation("n > d", lambda p: p.n > p.d),
        Relation("d > k", lambda p: p.d > p.k),
        Relation("d < 2k", lambda p: p.d < 2 * p.k),
        Relation("d ≥ 2k", lambda p: p.d >= 2 * p.k),
        Relation("the tasks' rank exceeds k", lambda p: p.rank > p.k),
        Relation("the tasks' rank is below k", lambda p: p.rank < p.k),
        Relation("the tasks' rank is at most k", lambda p: p.rank <= p.k),
        Relation("the tasks are linearly dependent", lambda p: p.rank < p.n),
        Relation("B has not full rank", lambda p: p.width < p.k),
        Relation("α < β", lambda p: p.alpha < p.beta),
        Relation("α > β", lambda p: p.alpha > p.beta),
        *(Relation(f"{name} = {getattr(bad, name)}", lambda p, name=name: getattr(p, name) == getattr(bad, name), name)
          for name in "dkn"),
    )  # fmt: skip
    return tuple(relation for relation in known if relation.holds(bad))
