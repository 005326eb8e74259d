"""What a claim is checked against: a named pair of update map and subspace distance, with what may be expected of its
arithmetic.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from metarep.sim import metrics, updates
from metarep.sim.learners import LEARNERS
from metarep.sim.sampling import samples


@dataclass(frozen=True)
class Implementation:
    """Somebody's code for the learners.

    Attributes:
        name: what reports call it.
        step: ``step(learner, B, w, targets, alpha, beta) -> (B_next, w_next)``, shapes as ``metarep.sim.updates.step``.
        several: ``several(learner, B, w, targets, alpha, beta)``, steps from where the last arrived, one for each entry
            of an axis in front of the targets, or fewer, but one at least: (B, w) with that axis in front; None where
            one by one is as good.
        called: ``called(way, learner, B, w, targets, alpha, beta)``, as ``step``, with the call made in one of
            ``metarep.sim.foreign.adapter.WAYS``; None where these make no difference.
        subspace_distance: ``subspace_distance(B, B_star) -> (...)``.
        step_on_samples: a step on explicit data, as ``metarep.sim.sampling.samples.step_on_samples``; None if it has
            none.
        eps: unit of its rounding errors, from which tolerances are made.
        exact: whether ``step`` runs on object arrays of ``fractions.Fraction``.
        supported: ids of the learners it has.

    Raises:
        ValueError: an id that is no learner's.
    """

    name: str
    step: Callable[..., tuple[Any, Any]] = updates.step
    several: Callable[..., tuple[Any, Any]] | None = None
    called: Callable[..., tuple[Any, Any]] | None = None
    subspace_distance: Callable[..., Any] = metrics.subspace_distance
    step_on_samples: Callable[..., tuple[Any, Any]] | None = samples.step_on_samples
    eps: float = 2.0**-52
    exact: bool = True
    supported: frozenset[str] = frozenset(LEARNERS)

    def __post_init__(self) -> None:
        unknown = sorted(set(self.supported) - set(LEARNERS))
        if unknown:
            raise ValueError(f"supported holds {', '.join(unknown)}; allowed: {', '.join(LEARNERS)}")


REFERENCE = Implementation("reference")
"""The hand-written update maps of this package."""
