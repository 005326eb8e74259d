"""Rounding as the cause: a step that is off by little, and roughly so.

A small error is a rounding error if it jumps: nudge the inputs by less than the coarse arithmetic can see, and the step
does not follow. Of a smooth mistake, such as an ε in a denominator, it does.
"""

from collections.abc import Iterator

import numpy as np

from metarep.sim.implementations import Implementation
from metarep.theory.engine.foreign.points import Case, Match, Pair, Point, flat

SINGLE = 2.0**-23
ROUNDINGS = 8
"""Half units of the sum of all terms' moduli that rounding to float32 comes to, at most."""
LARGEST = 2.0**-5
"""Largest error of a move, relative to it, that is still taken for one of rounding: four units of bfloat16."""
ROUGH, ROUGHER = 0.1, 20.0
"""A step of coarse arithmetic is off in its response to a nudge by this share at least, and by so many times the share
by which its move is off: of a smooth mistake the two are alike.
"""
SEED = 31


def _response(implementation: Implementation, point: Point, eps: float) -> tuple[Pair, Pair]:
    """How the implementation's move and the reference's respond to a nudge of the inputs."""
    rng, at = np.random.default_rng(SEED), point.at
    size = float(np.sqrt(eps)) / 16  # halfway, in digits, between what float64 and what a unit of 1 can see
    nudged = at._replace(
        **{
            name: array * (1 + size * rng.choice((-1.0, 1.0), array.shape))
            for name, array in (("B", at.B), ("w", at.w), ("targets", at.targets))
        }
    )
    there = point.of(nudged, implementation.step(*nudged))
    mine, right = ((one[0] - other[0], one[1] - other[1]) for one, other in (
        (there.moved, point.moved), (there.reference(), point.reference()),
    ))  # fmt: skip
    return mine, right


def _share(mine: Pair, right: Pair) -> float:
    """The difference relative to the right one, by largest entries."""
    return float(np.abs(flat([mine]) - flat([right])).max() / np.abs(flat([right])).max())


def rounding(implementation: Implementation, case: Case) -> Iterator[Match]:
    """Is it the right step in coarser arithmetic?"""
    off, rough = [], []
    for point, reference in zip(case.points, case.references, strict=True):
        off.append(_share(point.moved, reference))
        rough.append(_share(*_response(implementation, point, case.eps)))
    share = float(np.median(rough))
    if not (max(off) <= LARGEST and share >= max(ROUGH, ROUGHER * max(off))):
        return
    worst = max(
        point.misses(right) * point.tolerance / point.size
        for point, right in zip(case.points, case.references, strict=True)
    )
    if worst <= ROUNDINGS * SINGLE / 2:
        yield Match("single-precision", None, "it differs by no more than the rounding errors of float32", 70)
    else:
        times = f"{worst / (SINGLE / 2):.2g} times as large as float32 makes them"
        what = f"something is rounded coarsely: rounding errors are {times}"
        yield Match("coarse-rounding", None, f"{what} (float16 has 11 bits, bfloat16 8, float32 24)", 70)
