"""A mutant: one thing that is wrong on purpose, to show that something would notice."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Literal, TypeVar

Kind = Literal["implementation", "sampler", "formula", "claim", "proof"]
Wrong = Callable[..., Any]
"""``wrong(right, *arguments)``: what stands in the place of ``right(*arguments)``."""

Record = TypeVar("Record")


@dataclass(frozen=True)
class Mutant:
    """One named thing that is wrong on purpose.

    Attributes:
        name: what it is called.
        kind: what is wrong: an implementation, the sampler in law, a formula of the theory, a claim, or a proof.
        cause: the kind of mistake (several mutants can share one).
        what: what is wrong, in words.
        parts: what it puts in the place of which part, by the part's name. Of an implementation and of the sampler
            these are fields of their records (or the sampler's steps as a whole, ``steps_in_law``), of a formula the
            keyword by which claims' checks take it; of a claim there is one, ``claim``: the wrong claim itself; of a
            proof ``control``, which has the core's answer.
        learners: ids of the learners whose step or law it changes; none for a distance, a formula, a claim or a proof.
        told: words that the diagnosis of a wrong implementation has to say, besides its cause.
    """

    name: str
    kind: Kind
    cause: str
    what: str
    parts: Mapping[str, Any] = field(repr=False)
    learners: frozenset[str] = frozenset()
    told: str = ""

    def instead(self, part: str, right: Callable[..., Any]) -> Callable[..., Any]:
        """What the mutant has in the place of a part: the right one where it does not replace it."""
        return partial(self.parts[part], right) if part in self.parts else right

    def of(self, record: Record, **changes: Any) -> Record:
        """A dataclass whose fields are parts, with this mutant's in their places, and other changes."""
        wrong = {part: self.instead(part, getattr(record, part)) for part in self.parts if hasattr(record, part)}
        return replace(record, **wrong, **changes)  # type: ignore[type-var]
