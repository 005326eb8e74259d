"""What a claim is: one record that holds its statement, source, hypotheses, proof and check, and the verdict expected
of it.

A claim can be known in four ways, and a record has a function for each that applies:

- ``proof()`` returns a ``Proof``: an identity in the word calculus, for all d, k, n (PROVED), or, where a step is
  argued by hand, what its proved identities support (SUPPORTED); or a ``Checked``: a derivation, of an inequality as a
  rule, with the core's answer (PROVED if it accepts every line);
- ``check(example, implementation)`` on examples of exact fractions (EXACT) and of floats (SUPPORTED);
- ``measure(implementation, seed, effort)`` returns a ``Measurement`` (MEASURED).

A check returns a ``Comparison``: a value, the bound it must not exceed, and the tolerance that rounding errors explain.
What floats say of a counterexample, or of a setting that a statement names, ``confirm`` says without them.
"""

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal, get_args

from hypothesis.strategies import SearchStrategy

from metarep.sim.implementations import Implementation
from metarep.sim.learners import LEARNERS
from metarep.theory.calculus.proofs import Proof
from metarep.theory.claims.confirmation import Confirmation
from metarep.theory.claims.paper import PAPER
from metarep.theory.inequalities.core import Checked

Example = Mapping[str, Any]
"""The drawn numbers of one example, by the paper's symbols: ints, floats, fractions, strings and nested lists of
these.
"""


class Verdict(StrEnum):
    """How strongly a claim is known. Computed from evidence, strongest first; a counterexample beats everything."""

    PROVED = "PROVED"
    EXACT = "EXACT"
    SUPPORTED = "SUPPORTED"
    MEASURED = "MEASURED"
    REFUTED = "REFUTED"
    NOT_RUN = "NOT_RUN"

    @property
    def meaning(self) -> str:
        """What the verdict says, in one line."""
        return _MEANINGS[self]


_MEANINGS = {
    Verdict.PROVED: "for all d, k and n (and T where stated): an identity or an inequality, every step checked by the "
    "core, the rules used listed",
    Verdict.EXACT: "checked in rational arithmetic, tolerance zero, on the examples counted",
    Verdict.SUPPORTED: "checked in floating point on the examples counted, the worst margin given; or follows from "
    "proved identities by the steps by hand that are named",
    Verdict.MEASURED: "an estimate, with its uncertainty",
    Verdict.REFUTED: "false: there is a counterexample, confirmed without floats where it has a certificate",
    Verdict.NOT_RUN: "no evidence was gathered",
}


@dataclass(frozen=True)
class Source:
    """Where a statement comes from: of the paper, or our own derivation.

    Args:
        statement: key of the paper's statement (``theory.claims.paper``) that it is, or, for one of our own, that it is
            about; empty for none.
        own: whether it is our own.
        how: the place or the reading (of the paper's), how it was derived (of our own).

    Raises:
        ValueError: the paper's index has no such statement.
    """

    statement: str = ""
    own: bool = True
    how: str = ""

    def __post_init__(self) -> None:
        if (self.statement or not self.own) and self.statement not in PAPER:
            raise ValueError(f"the paper has no statement {self.statement!r} here; allowed: {', '.join(PAPER)}")

    @property
    def kind(self) -> Literal["paper", "own"]:
        """Whose statement it is."""
        return "own" if self.own else "paper"

    def __str__(self) -> str:
        whose = "own derivation" if self.own else f"Collins et al. 2022, {PAPER[self.statement].place}"
        return f"{whose}, {self.how}" if self.how else whose


def paper(statement: str, how: str = "") -> Source:
    """A statement of Collins et al. 2022 (arXiv 2202.03483), by its key in ``theory.claims.paper``."""
    return Source(statement, False, how)


def own(how: str = "", about: str = "") -> Source:
    """A consequence worked out for this project; ``about`` is the key of the paper's statement that it is about."""
    return Source(about, True, how)


class ClaimError(ValueError):
    """A claim's own functions do not do what a record's have to."""


@dataclass(frozen=True)
class Comparison:
    """One check of one example: ``value`` must not exceed ``bound`` by more than ``tolerance``.

    For an identity, value is the size of the difference and bound is zero. ``why`` says in words what was compared. A
    value that is not a number is a violation, and so are a bound and a tolerance that are not finite: with them nothing
    could fail.

    ``size`` says how large is what was compared; for an inequality that is known by value and bound, of an identity's
    difference it is the larger of the two sides, where the check says so.

    What a reader is shown of it: ``objects``, the mathematics' own objects (``theory.claims.objects``) that the sides
    are made of, and the two sides, each a number, an array or a tuple of arrays; of an inequality ``left`` is the
    smaller one. Without them the sides are ``value`` and ``bound``.
    """

    value: Any
    bound: Any
    tolerance: Any
    why: str = ""
    left: Any = field(default=None, compare=False, repr=False)
    right: Any = field(default=None, compare=False, repr=False)
    objects: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)
    size: Any = None

    @property
    def sides(self) -> tuple[Any, Any]:
        """The left side and the right."""
        return (self.value, self.bound) if self.left is None else (self.left, self.right)

    @property
    def holds(self) -> bool:
        """Whether value ≤ bound + tolerance (false for NaN, and without a finite bound and tolerance)."""
        limit = self.bound + self.tolerance
        return bool(self.value <= limit) and math.isfinite(limit)

    @property
    def margin(self) -> float:
        """(bound − value)/|bound|, for a bound of zero the difference itself: negative where the bound is exceeded."""
        return float((self.bound - self.value) / (abs(self.bound) or 1))

    @property
    def blunt(self) -> bool:
        """Whether the tolerance is as large as what is compared, so that the comparison says nothing."""
        size = max(abs(self.value), abs(self.bound)) if self.size is None and self.bound else self.size
        return size is not None and bool(self.tolerance and self.tolerance >= size)

    @property
    def strain(self) -> float:
        """How much of the tolerance the value uses beyond the bound; above 1 it is violated, 0 if none."""
        excess = self.value - self.bound
        if excess <= 0:
            return 0.0
        return float(excess / self.tolerance) if self.tolerance else float("inf")


@dataclass(frozen=True)
class Measurement:
    """An estimate with its uncertainty, how it was got, and whatever the report shows besides.

    ``uncertainty`` covers what a reader takes away: of a share or a mean the 95 % interval; of a quantity that differs
    from run to run, or from setting to setting, all that were seen; of a search how far independent ones end apart.

    ``consistent`` is False where the measurement contradicts the statement (``why`` then says how): the claim is
    REFUTED, and ``counterexample``, if there is a single setting that breaks it, says which (plain data), and
    ``comparison`` what is seen there.
    """

    estimate: float
    uncertainty: float
    examples: int
    why: str
    details: Mapping[str, Any] = field(default_factory=dict)
    consistent: bool = True
    counterexample: Example | None = None
    comparison: Comparison | None = None


Kind = Literal["identity", "inequality", "measurement"]
Exercise = Literal["step", "distance", "samples", "exact"]
Check = Callable[[Example, Implementation], Comparison]


def _tuple_of(value: Any, known: Iterable[str] | None = None) -> bool:
    return isinstance(value, tuple) and all(isinstance(v, str) and (known is None or v in known) for v in value)


def _subset(value: Any, known: Iterable[str]) -> bool:
    return isinstance(value, frozenset | set) and value <= set(known)


@dataclass(frozen=True)
class Claim:
    """One statement, everything needed to check it, and the verdict that would be no news.

    Args:
        id: short, lower case, hyphens; used on the command line and in links.
        chapter: where the catalogue lists it.
        statement: one sentence or two, mathematics between dollar signs in LaTeX.
        source: the paper (with the place) or own.
        hypotheses: what is assumed, in words; the strategies generate exactly this.
        expected: the verdict expected; any other is news and fails.
        kind: an identity, an inequality (margins are kept, and driven to their worst), or a measurement.
        learners: ids of the learners it speaks of.
        exercises: what of an implementation a check uses; empty for a statement about the theory alone.
        rests_on: ids of the claims it uses.
        proof, floats, fractions, check, measure: how it is known; ``floats`` and ``fractions`` are strategies of float
            and of exact examples for ``check``.
        seeded_as: id whose seed a measurement takes, where it shares what is drawn with that claim; empty for its own.
        confirm: what shows without floats, of a claim expected to be refuted, that a counterexample is one (called with
            it), and of any other that what its statement says of a setting happens there (called with nothing); it
            returns None where that is not decided.
        examples: examples in the default profile (floats); a quarter of it for fractions.
        at_any_pace: of a claim that speaks of a step, why a learner that does less (at half speed, or that does not
            move) need not fail it; empty for one that has to refute these.
        any_inner_steps: whether it holds of learners with any number of inner steps, and its check is of those that the
            implementation takes.
        remark: what a reader must know besides (constants quoted from memory, what is only seen, ...).

    Raises:
        ValueError: nothing checks the claim, parts are missing, or one is not of its kind.
    """

    id: str
    chapter: str
    statement: str
    source: Source
    hypotheses: str
    expected: Verdict
    kind: Kind = "identity"
    learners: tuple[str, ...] = ()
    exercises: frozenset[Exercise] = frozenset()
    rests_on: tuple[str, ...] = ()
    proof: Callable[[], Proof | Checked] | None = None
    floats: Callable[[], SearchStrategy[Example]] | None = None
    fractions: Callable[[], SearchStrategy[Example]] | None = None
    check: Check | None = None
    measure: Callable[[Implementation, int, float], Measurement] | None = None
    seeded_as: str = ""
    confirm: Callable[..., Confirmation | None] | None = None
    examples: int = 60
    at_any_pace: str = ""
    any_inner_steps: bool = False
    remark: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.id, str) or not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", self.id):
            raise ValueError(f"a claim's id is {self.id!r}; allowed: lower-case letters and digits, hyphens between")
        texts = ("chapter", "statement", "hypotheses", "remark", "at_any_pace")
        for name, good, allowed in (
            *((name, isinstance(getattr(self, name), str), "text") for name in texts),
            ("expected", isinstance(self.expected, Verdict), f"a Verdict: {', '.join(Verdict.__members__)}"),
            ("source", isinstance(self.source, Source), "paper('theorem-1') or own()"),
            ("kind", self.kind in get_args(Kind), f"{', '.join(get_args(Kind))}"),
            ("learners", _tuple_of(self.learners, LEARNERS), f"a tuple of {', '.join(LEARNERS)}"),
            ("exercises", _subset(self.exercises, get_args(Exercise)), f"a set of {', '.join(get_args(Exercise))}"),
            ("rests_on", _tuple_of(self.rests_on), "a tuple of claims' ids"),
            ("examples", isinstance(self.examples, int) and self.examples >= 1, "a whole number, 1 or more"),
        ):
            if not good:
                raise ValueError(f"claim {self.id!r}: {name} is {getattr(self, name)!r}; allowed: {allowed}")
        if not (self.proof or self.check or self.measure):
            raise ValueError(f"claim {self.id!r} has neither proof nor check nor measurement")
        if bool(self.check) != bool(self.floats or self.fractions):
            raise ValueError(f"claim {self.id!r}: a check goes with floats or fractions, and these with a check")
