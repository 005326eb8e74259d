"""What an adapter says of itself, and the learners as it gets them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from metarep.sim.foreign.conventions import THEORY, Conventions
from metarep.sim.learners import LEARNERS
from metarep.sim.user_code import UserCodeError, one_line

PRECISIONS = {"float32": 2.0**-23, "float64": 2.0**-52}
"""What an adapter may compute in, with the unit of its rounding errors. Half precision overflows on moderate inputs."""
LOOP = ("init", "update", "parameters")
"""A training loop's functions; the suite calls it by the name of the second."""


class AdapterError(UserCodeError):
    """The adapter cannot be used."""


class LearnerId(str):
    """A learner's id as adapters get it: a string such as ``"fo-anil"`` that also knows what the id stands for, and how
    many inner steps the adapter takes.
    """

    __slots__ = ("_steps",)

    def __new__(cls, name: str, steps: int = 1) -> Self:
        """An id; ``steps``: of learners that adapt."""
        made = super().__new__(cls, name)
        made._steps = steps
        return made

    @property
    def name(self) -> str:
        """The id."""
        return str(self)

    @property
    def adapts(self) -> str:
        """What the inner step moves: "head", "both" or "nothing"."""
        return LEARNERS[self.name].adapts

    @property
    def first_order(self) -> bool:
        """Whether the outer gradient ignores the inner step's derivative."""
        return LEARNERS[self.name].first_order

    @property
    def inner_steps(self) -> int:
        """Number of inner steps: 0 for average loss, else 1 unless the adapter declares more."""
        return self._steps * LEARNERS[self.name].inner_steps


@dataclass(frozen=True)
class Declared:
    """What an adapter is and says of itself, as plain data.

    Attributes:
        target: what it was called by.
        path: its file.
        shown: its file as people see it.
        lines: by name, the lines of the functions that it has.
        supported: ids of the learners it has.
        precision: what it computes in; None where it does not say.
        conventions: its own.
    """

    target: str
    path: str
    shown: str
    lines: Mapping[str, int]
    supported: frozenset[str]
    precision: str | None = None
    conventions: Conventions = THEORY

    @property
    def forms(self) -> tuple[str, ...]:
        """By which functions it can be called to take a step."""
        return tuple(name for name in ("step", "step_on_samples", LOOP[1]) if name in self.lines)

    @property
    def line(self) -> int:
        """Of the first function that it has."""
        return self.lines[self.forms[0]]

    def plain(self) -> str:
        """As JSON."""
        return json.dumps({**vars(self), "supported": sorted(self.supported), "conventions": vars(self.conventions)})

    @classmethod
    def of_plain(cls, plain: str) -> Self:
        """What ``plain`` made."""
        found = json.loads(plain)
        changed = {"supported": frozenset(found["supported"]), "conventions": Conventions(**found["conventions"])}
        return cls(**{**found, **changed})

    def error(self, wrong: str, allowed: str, line: int) -> AdapterError:
        """What to raise about one of its lines."""
        return AdapterError(one_line(self.shown, line, wrong, allowed))

    def wrong_call(
        self, function: str, learner: str, shapes: Mapping[str, tuple[int, ...]], what: str, allowed: str,
        line: int | None = None,
    ) -> AdapterError:  # fmt: skip
        """What to raise about one call, for a learner and arguments of these shapes."""
        given = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
        return self.error(f"{function} {what} (learner {learner}, {given})", allowed, line or self.lines[function])
