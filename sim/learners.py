"""The learners, as declarative specs: what the inner step adapts and how, how many inner steps, and how the outer step
treats them.
"""

import math
from dataclasses import dataclass
from typing import Any, Literal, get_args

from metarep.sim.bounds import unknown

Adapts = Literal["nothing", "head", "representation", "both"]
Outer = Literal["gradient", "displacement"]


def _check_flag(name: str, value: Any) -> None:
    if not isinstance(value, bool):
        raise ValueError(f"{name} is {value!r}; allowed: true or false")


def _check_number(name: str, value: Any, zero_allowed: bool) -> None:
    number = not isinstance(value, bool) and isinstance(value, (int, float)) and math.isfinite(value)
    if not number or value < 0 or (value == 0 and not zero_allowed):
        raise ValueError(f"{name} is {value!r}; allowed: a finite number, {'0 or more' if zero_allowed else 'above 0'}")


@dataclass(frozen=True)
class Learner:
    """A gradient-based (meta-)learner of a linear representation B and head w.

    The inner loop takes ``inner_steps`` gradient steps of size α on one task's loss, on the parameters named by
    ``adapts`` and from the shared (B, w). The outer loop takes a gradient step of size β on the tasks' mean loss after
    adaptation: through the inner steps (exact), or at the adapted parameters as if these did not depend on (B, w)
    (``first_order``).

    Variations:
        head_step, representation_step: inner step sizes of w and of B as multiples of α (α_w and α_B in formulas).
        ridge: λ ≥ 0; the inner problem is the task loss plus ½λ‖w‖². (The outer loss is the task loss.)
        exact_head: the inner loop solves the inner problem for w exactly, w_i = (BᵀB + λI)⁻¹Bᵀθ_i.
        outer: "displacement" moves (B, w) by β/α times the mean displacement of the inner loops instead of by a
            gradient (Reptile); in units of α, so that displacements by one inner step are gradients.

    Raises:
        ValueError: the parts do not make a learner (something adapts in no steps, nothing adapts in some, ...).

    Source: Collins et al. 2022, Section 2 (MAML, ANIL and their first-order versions; average-loss minimisation);
    displacement: Nichol, Achiam, Schulman 2018 (arXiv 1803.02999); exact heads: Collins et al. 2021 (FedRep, ICML),
    Bertinetto et al. 2019 (ridge heads, ICLR).
    """

    name: str
    adapts: Adapts
    first_order: bool = False
    inner_steps: int = 1
    head_step: float = 1.0
    representation_step: float = 1.0
    ridge: float = 0.0
    exact_head: bool = False
    outer: Outer = "gradient"

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name:
            raise ValueError(f"name is {self.name!r}; allowed: a word")
        if self.adapts not in get_args(Adapts):
            raise ValueError(f"adapts is {self.adapts!r}; allowed: {', '.join(get_args(Adapts))}")
        _check_flag("first_order", self.first_order)
        _check_flag("exact_head", self.exact_head)
        if isinstance(self.inner_steps, bool) or not isinstance(self.inner_steps, int) or self.inner_steps < 0:
            raise ValueError(f"inner_steps is {self.inner_steps!r}; allowed: a whole number, 0 or more")
        if (self.adapts == "nothing") != (self.inner_steps == 0):
            raise ValueError(
                f"adapts is {self.adapts!r} with inner_steps = {self.inner_steps}; "
                "allowed: 0 steps exactly when nothing adapts"
            )
        if self.adapts == "nothing" and self.first_order:
            raise ValueError("first_order is true but nothing adapts; allowed: first_order only with inner steps")
        self._check_variations()

    def _check_variations(self) -> None:
        _check_number("head_step", self.head_step, zero_allowed=False)
        _check_number("representation_step", self.representation_step, zero_allowed=False)
        _check_number("ridge", self.ridge, zero_allowed=True)
        if self.outer not in get_args(Outer):
            raise ValueError(f"outer is {self.outer!r}; allowed: {', '.join(get_args(Outer))}")
        for name, value, used in (
            ("head_step", self.head_step != 1, self.adapts_head and not self.exact_head),
            ("representation_step", self.representation_step != 1, self.adapts_representation),
            ("ridge", self.ridge != 0, self.adapts_head),
        ):
            if value and not used:
                how = " with an exact solve" if self.exact_head else ""
                raise ValueError(
                    f"{name} is {getattr(self, name)!r} but the inner loop adapts {self.adapts}{how}; "
                    f"allowed: {name} only where the inner loop uses it"
                )
        if self.exact_head and (self.adapts != "head" or self.inner_steps != 1):
            raise ValueError(
                f"exact_head is true with adapts = {self.adapts!r} and inner_steps = {self.inner_steps}; "
                "allowed: an exact solve of the head alone, as one inner step"
            )
        if self.outer == "displacement" and self.adapts == "nothing":
            raise ValueError("outer is 'displacement' but nothing adapts; allowed: displacement only with inner steps")
        if self.outer == "displacement" and self.first_order:
            raise ValueError(
                "first_order is true with outer = 'displacement'; allowed: not both, a displacement has no gradient"
            )

    @property
    def plain_key(self) -> tuple[str, bool, int] | None:
        """(adapts, first_order, inner_steps) of a learner without variations, else None: what stated forms go by."""
        plain = (self.head_step, self.representation_step, self.ridge, self.exact_head, self.outer)
        return (self.adapts, self.first_order, self.inner_steps) if plain == (1, 1, 0, False, "gradient") else None

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


_PAPER_IDS = {learner.plain_key: learner.name for learner in LEARNERS.values()}


def paper_id(learner: Learner, what: str) -> str:
    """Id of the one of the paper's five that a spec is, whatever its name; ``ValueError`` if it is none, for which
    there is no ``what``.
    """
    key = learner.plain_key
    if key is None or key not in _PAPER_IDS:
        raise ValueError(f"no {what} for {learner.name!r}; there is one for each of the paper's five")
    return _PAPER_IDS[key]


def get_learner(name: str) -> Learner:
    """The predefined learner called ``name``; ``ValueError`` that lists the known ids if there is none."""
    if name not in LEARNERS:
        raise unknown("learner", name, LEARNERS)
    return LEARNERS[name]
