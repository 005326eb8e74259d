"""What a claim is checked against: a named pair of update map and subspace distance, with what may be expected of its
arithmetic.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from metarep.sim import metrics, updates
from metarep.sim.foreign.conventions import THEORY, Conventions
from metarep.sim.learners import LEARNERS, Learner
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
        loop: as ``several``, by a training loop that keeps a state of its own between these steps; None if it has none.
        called: ``called(way, learner, B, w, targets, alpha, beta)``, as ``step``, with the call made in one of
            ``metarep.sim.foreign.adapter.WAYS``; None where these make no difference.
        subspace_distance: ``subspace_distance(B, B_star) -> (...)``.
        step_on_samples: a step on explicit data, as ``metarep.sim.sampling.samples.step_on_samples``; None if it has
            none.
        eps: unit of its rounding errors, from which tolerances are made.
        exact: whether ``step`` runs on object arrays of ``fractions.Fraction``.
        supported: ids of the learners it has.
        conventions: those of its own; all of the above speaks the theory's, except that every learner that adapts takes
            ``conventions.inner_steps`` inner steps.

    Raises:
        ValueError: an id that is no learner's.
    """

    name: str
    step: Callable[..., tuple[Any, Any]] = updates.step
    several: Callable[..., tuple[Any, Any]] | None = None
    loop: Callable[..., tuple[Any, Any]] | None = None
    called: Callable[..., tuple[Any, Any]] | None = None
    subspace_distance: Callable[..., Any] = metrics.subspace_distance
    step_on_samples: Callable[..., tuple[Any, Any]] | None = samples.step_on_samples
    eps: float = 2.0**-52
    exact: bool = True
    supported: frozenset[str] = frozenset(LEARNERS)
    conventions: Conventions = THEORY

    def __post_init__(self) -> None:
        unknown = sorted(set(self.supported) - set(LEARNERS))
        if unknown:
            raise ValueError(f"supported holds {', '.join(unknown)}; allowed: {', '.join(LEARNERS)}")

    def learner(self, name: str) -> Learner:
        """The learner of that id, with the inner steps that this implementation takes."""
        learner = LEARNERS[name]
        return replace(learner, inner_steps=self.conventions.inner_steps) if learner.inner_steps else learner


REFERENCE = Implementation("reference")
"""The hand-written update maps of this package."""
