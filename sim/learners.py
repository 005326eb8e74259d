"""The learners, as declarative specs: what the inner step adapts, how the outer gradient treats it, how many inner
steps.
"""

from dataclasses import dataclass
from typing import Literal, get_args

Adapts = Literal["nothing", "head", "representation", "both"]


@dataclass(frozen=True)
class Learner:
    """A gradient-based (meta-)learner of a linear representation B and head w.

    The inner loop takes ``inner_steps`` gradient steps of size α on one task's loss, on the parameters named by
    ``adapts``
    and from the shared (B, w). The outer loop takes a gradient step of size β on the tasks' mean loss after
    adaptation: through
    the inner steps (exact), or at the adapted parameters as if these did not depend on (B, w) (``first_order``).

    Raises:
        ValueError: the parts do not make a learner (something adapts in no steps, nothing adapts in some, ...).

    Source: Collins et al. 2022, Section 2 (MAML, ANIL and their first-order versions; average-loss minimisation).
    """

    name: str
    adapts: Adapts
    first_order: bool = False
    inner_steps: int = 1

    def __post_init__(self) -> None:
        if self.adapts not in get_args(Adapts):
            raise ValueError(f"adapts is {self.adapts!r}; allowed: {', '.join(get_args(Adapts))}")
        if isinstance(self.inner_steps, bool) or not isinstance(self.inner_steps, int) or self.inner_steps < 0:
            raise ValueError(f"inner_steps is {self.inner_steps!r}; allowed: a whole number, 0 or more")
        if (self.adapts == "nothing") != (self.inner_steps == 0):
            raise ValueError(
                f"adapts is {self.adapts!r} with inner_steps = {self.inner_steps}; "
                "allowed: 0 steps exactly when nothing adapts"
            )
        if self.adapts == "nothing" and self.first_order:
            raise ValueError("first_order is true but nothing adapts; allowed: first_order only with inner steps")

    @property
    def adapts_head(self) -> bool:
        """Whether the inner steps move the head w."""
        return self.adapts in ("head", "both")

    @property
    def adapts_representation(self) -> bool:
        """Whether the inner steps move the representation B."""
        return self.adapts in ("representation", "both")


LEARNERS: dict[str, Learner] = {
    learner.name: learner
    for learner in (
        Learner("anil", "head"),
        Learner("fo-anil", "head", first_order=True),
        Learner("maml", "both"),
        Learner("fo-maml", "both", first_order=True),
        Learner("average-loss", "nothing", inner_steps=0),
    )
}
"""The paper's five, by the ids used everywhere."""

META_LEARNERS = ("anil", "fo-anil", "maml", "fo-maml")
"""Ids of the four that adapt; ``average-loss`` is the baseline that does not."""


def get_learner(name: str) -> Learner:
    """The predefined learner called ``name``; ``ValueError`` that lists the known ids if there is none."""
    if name not in LEARNERS:
        raise ValueError(f"unknown learner {name!r}; known: {', '.join(LEARNERS)}")
    return LEARNERS[name]
