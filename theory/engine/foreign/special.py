"""A step that is right at generic points: where it is wrong, and in what way there."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import numpy as np

from metarep.sim.batches import flattened_step
from metarep.sim.foreign.adapter import AdapterError
from metarep.sim.implementations import Implementation
from metarep.sim.learners import Learner
from metarep.sim.terms import At
from metarep.theory.claims.record import Claim, Example
from metarep.theory.engine.foreign.calls import supported
from metarep.theory.engine.foreign.odd import ODD
from metarep.theory.engine.foreign.places import NUMBERS, Place, made_at, place_of
from metarep.theory.engine.foreign.points import SEED, Case, Match, point_at
from metarep.theory.engine.foreign.where import Where, where_wrong

MOST_FAILURES = 4
"""Failures whose steps are looked at."""
MOST_PLACES = 3
"""Places whose surroundings are searched."""
CASES = 8
"""Places at which it is found out in what way the step is wrong."""

Matches = Callable[[Implementation, Case], list[Match]]


class _FoundError(Exception):
    """A wrong step was found; never leaves this module."""


def wrong_step(claim: Claim, example: Example, implementation: Implementation) -> At | None:
    """The first step that a check takes on an example which is not the reference's; None if all are."""
    found: list[At] = []
    learners = supported(implementation)

    def step(learner: Learner, *at: Any) -> Any:
        stepped = implementation.step(learner, *at)
        if learner in learners:
            for B, w, targets, alpha, beta in zip(*flattened_step(*at)[1], strict=True):
                one = At(learner, B, w, targets, float(alpha), float(beta))
                finite = all(np.isfinite(part).all() for part in one[1:])
                if finite and not _right(implementation, one._replace(B=B[None], w=w[None], targets=targets[None])):
                    found.append(one)
                    raise _FoundError
        return stepped

    assert claim.check is not None
    with suppress(_FoundError, ArithmeticError, ValueError):  # an ``AdapterError`` is one of these
        claim.check(example, replace(implementation, step=step, several=None))
    return found[0] if found else None


def _bad_places(
    implementation: Implementation, failures: Sequence[tuple[Claim, Example]]
) -> Iterator[tuple[Learner, Place]]:  # fmt: skip
    """Places where a step is wrong: of the failures, else odd ones."""
    for claim, example in failures[:MOST_FAILURES]:
        if (at := wrong_step(claim, example, implementation)) is not None:
            yield at.learner, place_of(at)
    rng = np.random.default_rng(SEED)
    for learner in supported(implementation):
        for place in ODD.values():
            if not _right(implementation, made_at(place, learner, rng)):
                yield learner, place


def _right(implementation: Implementation, at: At) -> bool:
    """Whether the step there is the reference's, or refused."""
    try:
        return point_at(implementation, at).right
    except AdapterError:
        return True


@dataclass(frozen=True)
class Special:
    """Learners whose step is wrong in a special case, and the cause."""

    learners: tuple[str, ...]
    match: Match


def special_case(
    implementation: Implementation, failures: Sequence[tuple[Claim, Example]], matches: Matches
) -> Special | None:
    """Where steps are wrong, and in what way the step of one learner is wrong there; None if it is not found out."""
    for learner, place in islice(_bad_places(implementation, failures), MOST_PLACES):
        if (where := where_wrong(implementation, learner, place)) is not None:
            wrong = _wrong(implementation, learner, where)
            return Special(wrong, _match(implementation, learner, where, matches, len(wrong) > 1))
    return None


def _wrong(implementation: Implementation, seen: Learner, where: Where) -> tuple[str, ...]:
    """The learners whose step is wrong there: the one for which it was seen, and others at most of the places."""
    rng, found = np.random.default_rng(SEED), []
    for learner in supported(implementation):
        right = [_right(implementation, made_at(place, learner, rng)) for place in where.places[:CASES]]
        if learner == seen or 2 * sum(right) < len(right):
            found.append(learner.name)
    return tuple(found)


def _match(implementation: Implementation, learner: Learner, where: Where, matches: Matches, several: bool) -> Match:
    rng = np.random.default_rng(SEED)

    def order(place: Place) -> tuple[int, bool, int]:
        """Where a part is zero less is told. Few numbers cost less; but with more tasks than these the weight of each
        would not show.
        """
        zeros = sum(getattr(place, name) == 0 for name in NUMBERS)
        return zeros, place.n > place.d * place.k, place.d * place.k + place.n

    small = sorted(where.places, key=order)[: 3 * CASES]
    tried = [point_at(implementation, made_at(small[i], learner, rng)) for i in rng.permutation(len(small))]
    wrong = [point for point in tried if not point.right][:CASES]
    case = Case(learner, tuple(point for point in wrong if point.finite), implementation.eps)
    if not case.points:
        return Match("special-case", None, f"{where.text}: there the step is NaN or infinite", 15)
    if not (known := matches(implementation, case)):
        return Match("special-case", None, where.text, 15)
    best = min(known, key=lambda match: match.rank)
    seen = f" ({learner.name})" if several else ""
    return Match("special-case", best.factor, f"{where.text}: there {best.explanation}{seen}", 15)
