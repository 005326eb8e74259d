"""Where a step is wrong, if it is right at generic points: from which dimension on, beyond which norm, only for α = β.

Random places are labelled by whether the step is wrong there, among them the place of a counterexample with one part at
a time changed, and of its neighbours. A condition is named only if it agrees with all labels, those of fresh places
included; the border of a size or a number is found by bisection.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from math import isfinite

import numpy as np

from metarep.sim.foreign.adapter import AdapterError
from metarep.sim.implementations import Implementation
from metarep.sim.learners import Learner
from metarep.theory.engine.foreign.places import NUMBERS, SIZES, Place, Relation, made_at, mixed, relations, typical
from metarep.theory.engine.foreign.points import SEED, Point, point_at

MIXED = ((60, 0.3), (24, 0.7))
"""Places and the share of the counterexample's parts in them."""
FRESH = 24
NARROW = 1e-3
"""Relative width to which the border of a number is bisected."""
WIDE = 0.05
"""Relative width at which it is told, if no narrower one is found."""
MOST_HALVINGS = 40
SMALL = (1e-6, 1e-3)
"""Neighbours of zero, above what rounding hides."""
LEAST = 3
"""So many labels of either kind are wanted."""

Quantity = Callable[[Place, Point], float]

QUANTITIES: dict[str, Quantity] = {
    "d": lambda place, _: place.d,
    "k": lambda place, _: place.k,
    "n": lambda place, _: place.n,
    "the tasks' rank": lambda place, _: place.rank,
    "α": lambda place, _: place.alpha,
    "β": lambda place, _: place.beta,
    "‖B‖": lambda place, _: place.B,
    "‖w‖": lambda place, _: place.w,
    "max ‖θ_i‖": lambda place, _: place.theta,
    "β/α": lambda place, _: place.beta / place.alpha if place.alpha else np.inf,
    "α‖B‖²": lambda place, _: place.alpha * place.B**2,
    "α‖w‖²": lambda place, _: place.alpha * place.w**2,
    "the gradient's norm": lambda place, point: _norm(point, (0, 1)) / place.beta if place.beta else np.inf,
    "the norm of ∇_B": lambda place, point: _norm(point, (0,)) / place.beta if place.beta else np.inf,
    "the norm of ∇_w": lambda place, point: _norm(point, (1,)) / place.beta if place.beta else np.inf,
}
"""What a border may be of."""
WHOLE = ("d", "k", "n", "the tasks' rank")


def _norm(point: Point, parts: Sequence[int]) -> float:
    move = point.reference()
    return float(np.sqrt(sum(np.square(move[part]).sum() for part in parts)))


@dataclass(frozen=True)
class Where:
    """A condition under which the step is wrong, in words; ``places`` where it is."""

    text: str
    holds: Callable[[Place, Point], bool]
    places: tuple[Place, ...]


@dataclass
class _Labels:
    """Places of one learner, and whether the step is wrong at a random point of each."""

    implementation: Implementation
    learner: Learner
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(SEED))
    known: list[tuple[Place, Point, bool]] = field(default_factory=list)

    def point(self, place: Place) -> Point:
        """The step at a random point of the place."""
        return point_at(self.implementation, made_at(place, self.learner, self.rng))

    def wrong(self, place: Place, point: Point | None = None) -> bool:
        """Label a place by a random point of it, or by that one."""
        point = point or self.point(place)
        self.known.append((place, point, not point.right))
        return not point.right

    def agrees(self, holds: Callable[[Place, Point], bool]) -> bool:
        """Whether a condition holds at exactly the places where the step is wrong."""
        return all(holds(place, point) == wrong for place, point, wrong in self.known)

    def encloses(self, relation: Relation) -> bool:
        """Whether larger sizes than one that is told were tried, and smaller ones: else it may be a border."""
        size = relation.size
        if size is None:
            return True
        value = getattr(self.of(True)[0][0], size)
        tried = [getattr(place, size) for place, _ in self.of(False)]
        return any(each > value for each in tried) and (value == 1 or any(each < value for each in tried))

    def of(self, wrong: bool) -> list[tuple[Place, Point]]:
        """The places with that label."""
        return [(place, point) for place, point, label in self.known if label is wrong]


def where_wrong(implementation: Implementation, learner: Learner, bad: Place) -> Where | None:
    """The condition under which a learner's step is wrong, as far as it is one of those known here.

    Args:
        implementation: whose step.
        learner: whose step it is.
        bad: a place where it is wrong.
    """
    labels = _Labels(implementation, learner)
    try:
        if not any([labels.wrong(bad) for _ in range(LEAST)]):
            return None
        for place in _one_changed(bad, labels.rng):
            labels.wrong(place)
        for count, share in MIXED:
            for _ in range(count):
                labels.wrong(mixed(labels.rng, bad, share))
        if min(len(labels.of(True)), len(labels.of(False))) < LEAST:
            return None
        for found in _conditions(labels, bad):
            if _confirmed(labels, found, bad):
                return found
    except AdapterError:  # it refuses such a place
        return None
    return None


def _one_changed(bad: Place, rng: np.random.Generator) -> Iterable[Place]:
    """The place with one part changed: to neighbours (of zero, to small numbers), and to typical values; a dimension
    grows with what has to fit into it.
    """
    others = [typical(rng) for _ in range(3)]
    for name in (*SIZES, *NUMBERS):
        value = getattr(bad, name)
        near = (value - 1, value + 1, 2 * value) if name in SIZES else (0.5 * value, 1.5 * value) if value else SMALL
        for changed in (*near, *(getattr(other, name) for other in others)):
            place = bad._replace(**{name: changed})
            yield place._replace(d=max(place.d, place.k), n=max(place.n, place.rank)).possible


def _where(labels: _Labels, text: str, holds: Callable[[Place, Point], bool]) -> Where:
    return Where(text, holds, tuple(dict.fromkeys(place for place, _ in labels.of(True))))


def _conditions(labels: _Labels, bad: Place) -> Iterable[Where]:
    """Conditions that agree with the labels; of a border, after bisection."""
    for relation in relations(bad):
        if labels.agrees(_at_place(relation)) and labels.encloses(relation):
            yield _where(labels, f"only where {relation.text}", _at_place(relation))
    for name, quantity in QUANTITIES.items():
        for sign in (1, -1):
            if (border := _border(labels, name, quantity, sign)) is not None:
                yield border


def _at_place(relation: Relation) -> Callable[[Place, Point], bool]:
    return lambda place, _: relation.holds(place)


def _border(labels: _Labels, name: str, quantity: Quantity, sign: int) -> Where | None:
    """The border of a quantity above which (sign −1: below which) the step is wrong; None if it is not that."""

    def bracket() -> tuple[float, float]:
        right, wrong = ([sign * quantity(*each) for each in labels.of(label)] for label in (False, True))
        return max(right), min(wrong)

    low, high = bracket()
    for _ in range(MOST_HALVINGS):
        if not (low < high and isfinite(low) and isfinite(high)):
            return None
        if high - low <= (1 if name in WHOLE else NARROW * abs(high)):
            break
        between = _between(labels, quantity, sign, low, high)
        if between is None:
            if name in WHOLE or high - low > WIDE * abs(high):
                return None
            break
        labels.wrong(*between)
        low, high = bracket()
    if not low < high:
        return None
    right, wrong = f"{sign * low:g}", f"{sign * high:g}"
    if name in WHOLE:
        text = f"right up to {name} = {right}, wrong from {wrong}"
        text = text if sign > 0 else f"wrong up to {name} = {wrong}, right from {right}"
    else:
        text = f"only where {name} {'>' if sign > 0 else '<'} {_short(*sorted((sign * low, sign * high))):g}"
    return _where(labels, text, lambda place, point: sign * quantity(place, point) > low)


def _short(low: float, high: float) -> float:
    """The number of fewest digits from ``low`` to ``high``."""
    for digits in range(1, 17):
        for end in (high, low):
            rounded = float(f"{end:.{digits - 1}e}")
            if low <= rounded <= high:
                return rounded
    return high


def _between(labels: _Labels, quantity: Quantity, sign: int, low: float, high: float) -> tuple[Place, Point] | None:
    """A point whose quantity is between those of the nearest right point and the nearest wrong one: on the way from one
    place to the other.
    """
    right = max(labels.of(False), key=lambda each: sign * quantity(*each))[0]
    wrong = min(labels.of(True), key=lambda each: sign * quantity(*each))[0]
    for share in (0.5, 0.35, 0.65, 0.2, 0.8, 0.1, 0.9):
        place = right._replace(**{name: _middle(name, right, wrong, share) for name in Place._fields}).possible
        point = labels.point(place)
        if low < sign * quantity(place, point) < high:
            return place, point
    return None


def _middle(name: str, right: Place, wrong: Place, share: float) -> float:
    start, end = getattr(right, name), getattr(wrong, name)
    value = start + share * (end - start)
    return round(value) if name in SIZES else value


def _confirmed(labels: _Labels, found: Where, bad: Place) -> bool:
    """Whether a condition agrees with fresh places too."""
    for _ in range(FRESH):
        labels.wrong(mixed(labels.rng, bad, 0.5))
    return labels.agrees(found.holds)
