"""Planted faults of the sampler in law: named ways to get it wrong, each of which the tests must find.

Most leave the mean of a step right, or its variance, or every single coordinate's distribution: they are the mistakes
one makes.
"""

from collections.abc import Collection
from dataclasses import dataclass

from metarep.sim.learners import LEARNERS, META_LEARNERS

_EXACT = ("anil", "maml")


@dataclass(frozen=True)
class SamplingFault:
    """One planted fault: what it does, and the ids of the learners whose law it changes."""

    name: str
    description: str
    learners: tuple[str, ...]


SAMPLING_FAULTS: dict[str, SamplingFault] = {
    fault.name: fault
    for fault in (
        SamplingFault(
            "first-degrees-of-freedom", "χ² of the first query has m − 1 degrees of freedom, not m", tuple(LEARNERS)
        ),
        SamplingFault("frozen-chi-square", "χ² of the first query is replaced by its mean m", tuple(LEARNERS)),
        SamplingFault("no-shrinkage", "the noise keeps its full variance along the queried direction", tuple(LEARNERS)),
        SamplingFault("noise-dropped", "label noise is left out", tuple(LEARNERS)),
        SamplingFault("shared-draws", "inner and outer sample are one and the same", META_LEARNERS),
        SamplingFault("one-sample-for-all-tasks", "all tasks share one inner sample", META_LEARNERS),
        SamplingFault("swapped-sizes", "m_in and m_out change places", META_LEARNERS),
        SamplingFault(
            "second-degrees-of-freedom", "χ² of the Hessian product has m degrees of freedom, not m − 1", _EXACT
        ),
        SamplingFault("second-inside-only", "the Hessian product has no fresh direction outside", _EXACT),
        SamplingFault("second-repeats-first", "the Hessian product reuses the first query's fresh direction", _EXACT),
        SamplingFault("outer-repeats-second", "the outer sample reuses the Hessian product's fresh direction", _EXACT),
        SamplingFault("forgotten-sample", "the Hessian product is drawn as if on a fresh inner sample", _EXACT),
        SamplingFault("population-hessian", "the Hessian product is the population's", _EXACT),
        SamplingFault(
            "nothing-outside", "fresh directions outside the reduced coordinates are left out", tuple(LEARNERS)
        ),
        SamplingFault(
            "outside-degrees-of-freedom", "the Bartlett factor takes all d dimensions for outside ones", tuple(LEARNERS)
        ),
        SamplingFault(
            "level-bartlett",
            "the Bartlett factor's degrees of freedom do not fall from vector to vector",
            META_LEARNERS,
        ),
    )
}
"""Every planted fault by name."""

NO_FAULTS: frozenset[str] = frozenset()


def check_faults(faults: Collection[str]) -> None:
    """``ValueError`` unless every name is one of ``SAMPLING_FAULTS``."""
    for name in faults:
        if name not in SAMPLING_FAULTS:
            raise ValueError(f"unknown sampling fault {name!r}; known: {', '.join(SAMPLING_FAULTS)}")
