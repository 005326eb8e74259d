"""What checking found: profiles, evidence, findings and the status computed from them; examples as plain data."""

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Literal, Protocol

import numpy as np

from metarep.theory.claims.confirmation import Confirmation
from metarep.theory.claims.record import Claim, Comparison, Example, Verdict
from metarep.theory.claims.sizes import SizeCounts
from metarep.theory.engine.showing import objects_text, shown_objects, sides_text

EvidenceKind = Literal["proof", "exact", "floats", "measurement"]
ALL_KINDS: tuple[EvidenceKind, ...] = ("proof", "exact", "floats", "measurement")
EXACT_SHARE = 0.25
"""Exact examples per float example: rational arithmetic is slow, and one example of it already has tolerance zero."""


@dataclass(frozen=True)
class Profile:
    """How hard to look: ``effort`` multiplies every claim's number of examples; ``seed`` fixes all randomness;
    ``most_shrinks`` bounds the examples tried to make a counterexample smaller (None: as Hypothesis does); ``power``
    those that are tried again to see whether they could have failed.
    """

    name: str = "default"
    effort: float = 1.0
    seed: int = 0
    shrink: bool = True
    most_shrinks: int | None = None
    power: int = 12


@dataclass(frozen=True)
class Power:
    """How many examples could have failed their claim (``metarep.theory.engine.power``)."""

    tried: int
    """Examples that were tried again, some of the independent ones."""
    could_fail: int
    """Those that a learner that does less fails, of a claim about progress; of another those that some wrong
    implementation or formula fails; in either case without those where an inequality is an identity.
    """


@dataclass(frozen=True)
class Evidence:
    """What one way of knowing found. ``worst_margin`` is None for identities; ``strain`` is the worst share of
    tolerance used; ``sizes`` counts the examples by their sizes, ``blunt`` those whose tolerance is as large as what is
    compared, ``independent`` those that were not made from another one (None where nobody counts). ``instance`` is a
    generic example, ``nearest`` that of the worst margin, ``counterexample`` the smallest, each as it was drawn;
    ``comparisons`` has what was compared there, by these names. ``confirmation`` shows without floats what the evidence
    says, where that was asked and decided.
    """

    kind: EvidenceKind
    verdict: Verdict
    examples: int
    worst_margin: float | None = None
    instance: Example | None = None
    nearest: Example | None = None
    counterexample: Example | None = None
    comparisons: Mapping[str, Comparison] = field(default_factory=dict)
    why: str = ""
    strain: float | None = None
    estimate: float | None = None
    uncertainty: float | None = None
    steps: tuple[str, ...] = ()
    sizes: SizeCounts | None = None
    blunt: int = 0
    details: dict[str, Any] = field(default_factory=dict)
    independent: int | None = None
    power: Power | None = None
    confirmation: Confirmation | None = None

    @property
    def in_floats_only(self) -> bool:
        """Whether it refutes, and by numbers that were rounded."""
        rounded = self.kind in ("floats", "measurement") and self.confirmation is None
        return rounded and self.verdict == Verdict.REFUTED


class _Counts(Protocol):
    """What evidence and a report's record of it have in common."""

    @property
    def examples(self) -> int: ...

    @property
    def independent(self) -> int | None: ...


def counted(found: _Counts) -> str:
    """How many examples there were, and how many of them were not made from another one, in words."""
    if found.independent is None or found.independent == found.examples:
        return f"{found.examples} {'' if found.independent is None else 'independent '}examples"
    return f"{found.examples} examples, {found.independent} independent"


@dataclass(frozen=True)
class Finding:
    """A claim's evidence against one implementation, and the status that follows from it."""

    claim: Claim
    implementation: str
    evidence: tuple[Evidence, ...]
    seconds: float = 0.0

    @property
    def status(self) -> Verdict:
        """REFUTED if anything refutes; else the strongest verdict among the evidence; NOT_RUN without any."""
        verdicts = {item.verdict for item in self.evidence}
        if Verdict.REFUTED in verdicts:
            return Verdict.REFUTED
        return next((verdict for verdict in Verdict if verdict in verdicts), Verdict.NOT_RUN)

    @property
    def as_expected(self) -> bool:
        """Whether the status is the one the record expects."""
        return self.status == self.claim.expected

    @property
    def counterexample(self) -> Evidence | None:
        """The evidence that refutes, if any."""
        return next((item for item in self.evidence if item.verdict == Verdict.REFUTED), None)

    def failure_message(self, file: str | None = None) -> str:
        """Claim, source, shrunk example, margin, and a snippet that runs it again; for whoever sees it fail. ``file``
        is the user's file that the claim is from, if it is not the catalogue's.
        """
        lines = [
            f"{self.claim.id}: {self.status}, expected {self.claim.expected}",
            f"  statement: {self.claim.statement}",
            f"  source:    {self.claim.source}",
        ]
        bad = self.counterexample
        if bad is not None:
            lines.append(f"  found by:  {bad.kind} after {counted(bad)}: {bad.why}")
            if bad.counterexample is not None:
                comparison = bad.comparisons.get("counterexample")
                shown = objects_text(shown_objects(bad.counterexample, comparison))
                lines += [f"    {line}" for line in (*shown, *(sides_text(*comparison.sides) if comparison else ()))]
                if bad.worst_margin is not None:
                    lines.append(f"  margin:    {bad.worst_margin:.3g}")
                lines += self._again(bad.counterexample, file)
        return "\n".join(lines)

    def _again(self, example: Example, file: str | None) -> list[str]:
        """Lines that say how to run the example again."""
        if self.claim.check is None:
            return ["  to run it again, as a whole:", f"    metarep verify {self.claim.id}"]
        source = [] if file is None else ["--claims", file]
        words = ["metarep", "verify", self.claim.id, *source, "--replay", json.dumps(encode(dict(example)))]
        lines = ["  to run it again:", f"    {shlex.join(words)}", "  or, in Python:"]
        lines, named = [*lines, "    from metarep.theory.engine import replay"], repr(self.claim.id)
        if file is not None:
            lines += [
                "    from metarep.theory.claims import catalogue",
                "    from metarep.theory.claims.own import load_own_claims",
                f"    own = {{claim.id: claim for claim in load_own_claims({file!r}, catalogue())}}",
            ]
            named = f"own[{named}]"
        return [*lines, f"    print(replay({named}, {encode(example)!r}))"]


# --- examples as plain data


def encode(value: Any) -> Any:
    """An example as JSON data: fractions become 'p/q' strings, arrays become lists."""
    if isinstance(value, dict):
        return {key: encode(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [encode(item) for item in value]
    if isinstance(value, Fraction):
        return f"{value.numerator}/{value.denominator}"
    if isinstance(value, np.ndarray):
        return encode(value.tolist())
    if isinstance(value, np.generic):
        return value.item()
    return value


def decode(value: Any) -> Any:
    """The inverse of ``encode``: strings of the form 'p/q' become fractions."""
    if isinstance(value, dict):
        return {key: decode(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [decode(item) for item in value]
    if isinstance(value, str) and _is_fraction(value):
        return Fraction(value)
    return value


def _is_fraction(string: str) -> bool:
    numerator, slash, denominator = string.partition("/")
    return slash == "/" and denominator.isdigit() and numerator.lstrip("-").isdigit()
