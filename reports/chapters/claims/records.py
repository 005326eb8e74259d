"""Claims as a report has them: typed records made of findings, and what chapters ask of them."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field

from metarep.reports.page.output import plain
from metarep.sim.learners import LEARNERS
from metarep.theory.claims.confirmation import Confirmation, Exceeds, Method
from metarep.theory.claims.record import Comparison, Example, Kind, Verdict
from metarep.theory.claims.sizes import SizeCounts
from metarep.theory.engine import Evidence, Finding, Power, encode
from metarep.theory.engine.evidence import EvidenceKind
from metarep.theory.engine.showing import difference, parts, shown_objects


@dataclass(frozen=True)
class ExampleRecord:
    """An example, worked out. Fractions are strings 'p/q', arrays nested lists."""

    drawn: dict[str, Any]
    """The numbers that were drawn; 'metarep verify CLAIM --replay report.json' checks them again."""
    objects: dict[str, Any]
    """What they stand for, by the paper's symbols: representations, heads, step sizes."""
    compared: str
    """What was compared, in words; empty where nothing was but estimated."""
    left: tuple[Any, ...]
    """The left side, in parts, each a number or an array; of an inequality the smaller one."""
    right: tuple[Any, ...]
    """The right side, likewise."""
    difference: tuple[Any, ...]
    """The left side minus the right; the number 0 where they are equal."""


@dataclass(frozen=True)
class ConfirmationRecord:
    """What shows without floats that a counterexample is one, or that what a claim says of a setting happens there."""

    method: Method
    """Exact fractions, or ball arithmetic: every number between two ends that are certain."""
    bits: Annotated[int, Field(ge=0)]
    """The balls' precision; 0 for fractions."""
    steps: Annotated[int, Field(ge=0)]
    """Outer steps of the run; 0 where there is none."""
    exceeds: tuple[Exceeds, ...]
    """What exceeds what, all of it certain."""
    says: str
    """The same in words."""


@dataclass(frozen=True)
class EvidenceRecord:
    """What one way of knowing found."""

    kind: EvidenceKind
    """A symbolic proof, fractions, floating point, or a measurement."""
    verdict: Verdict
    """What this evidence alone amounts to."""
    examples: Annotated[int, Field(ge=0)]
    """Examples checked; 0 for a proof, which speaks of all."""
    worst_margin: float | None
    """The least (bound − value)/|bound| seen, for inequalities; negative where the bound was exceeded. Null for
    identities, proofs and measurements.
    """
    instance: ExampleRecord | None
    """A generic example: of those that can be read at a glance the largest, nothing in it zero that need not be."""
    nearest: ExampleRecord | None
    """The example with the worst margin, for inequalities."""
    counterexample: ExampleRecord | None
    """The smallest counterexample found; null if there is none."""
    why: str
    """What was compared, measured or left over, in words."""
    strain: float | None
    """The largest share of the tolerance for rounding errors that was used."""
    estimate: float | None
    """What was measured."""
    uncertainty: Annotated[float, Field(ge=0)] | None
    """Its uncertainty."""
    steps: tuple[str, ...]
    """The steps of the proof."""
    details: dict[str, Any]
    """What else a measurement has to show."""
    confirmation: ConfirmationRecord | None = None
    """The certificate: what shows the same without floats; null where there is none."""
    in_floats_only: bool = False
    """Whether it refutes, and by numbers that were rounded, without a certificate."""
    sizes: SizeCounts | None = None
    """How many of the examples have which sizes; null where there are no examples."""
    blunt: Annotated[int, Field(ge=0)] = 0
    """Examples that say nothing, as their tolerance is as large as what is compared."""
    independent: Annotated[int, Field(ge=0)] | None = None
    """Examples that were not made from another one; null where nobody counts: of proofs and measurements."""
    power: Power | None = None
    """How many examples could have failed; null where none was tried again."""


EXAMPLES = ("instance", "nearest", "counterexample")
"""Fields of evidence that are examples."""


@dataclass(frozen=True)
class ClaimRecord:
    """A claim and all that is known of it."""

    id: str
    """Its name on the command line and in links."""
    chapter: str
    """Where the catalogue has it."""
    statement: str
    """The statement, LaTeX between dollar signs."""
    source: str
    """Where it comes from."""
    from_paper: bool
    """Whether it is the paper's; else it is our own."""
    hypotheses: str
    """What is assumed."""
    kind: Kind
    """What is checked: that two sides are equal, a bound, or a number."""
    learners: tuple[Annotated[str, Field(json_schema_extra={"enum": list(LEARNERS)})], ...]
    """The learners that its examples exercise."""
    rests_on: tuple[str, ...]
    """Ids of the claims that it uses."""
    remark: str
    """What a reader must know besides; may be empty."""
    status: Verdict
    """How it is known, from the evidence."""
    expected: Verdict
    """How the catalogue expects it to be known."""
    as_expected: bool
    """Whether these are the same; if not, that is news."""
    evidence: tuple[EvidenceRecord, ...]
    """All that was found."""
    command: str
    """The command that checks it again."""
    rests_on_refuted: tuple[str, ...] = ()
    """Ids of refuted claims that it rests on, directly or not."""
    at_any_pace: str = ""
    """Of a claim that speaks of a step: why a learner that does less need not fail it; empty where it has to."""


def evidence_record(item: Evidence) -> EvidenceRecord:
    """One piece of evidence with its examples as plain data."""
    known = {name: value for name, value in vars(item).items() if name != "comparisons"}
    examples = {
        name: example_record(example, item.comparisons.get(name))
        for name in EXAMPLES
        if (example := known[name]) is not None
    }
    confirmed = None if item.confirmation is None else confirmation_record(item.confirmation)
    others = {"details": encode(item.details), "confirmation": confirmed, "in_floats_only": item.in_floats_only}
    return EvidenceRecord(**{**known, **examples, **others})


def example_record(example: Example, comparison: Comparison | None) -> ExampleRecord:
    """An example with what was compared there, as plain data."""
    why, left, right = (comparison.why, *comparison.sides) if comparison else ("", (), ())
    sides = (encode(each) for each in (parts(left), parts(right), difference(left, right) if comparison else ()))
    objects = encode(dict(shown_objects(example, comparison)))
    return ExampleRecord(encode(dict(example)), objects, why, *map(tuple, sides))


def confirmation_record(found: Confirmation) -> ConfirmationRecord:
    """A certificate, without its seconds, so that equal runs give equal records."""
    return ConfirmationRecord(found.method, found.bits, found.steps, found.exceeds, str(found))


def claim_record(finding: Finding, command: str = "") -> ClaimRecord:
    """One claim: its statement and all that is known of it. Holds no timings, so that equal runs give equal records."""
    claim = finding.claim
    return ClaimRecord(
        claim.id,
        claim.chapter,
        claim.statement,
        str(claim.source),
        claim.source.kind == "paper",
        claim.hypotheses,
        claim.kind,
        claim.learners,
        claim.rests_on,
        claim.remark,
        finding.status,
        claim.expected,
        finding.as_expected,
        tuple(map(evidence_record, finding.evidence)),
        command or f"metarep verify {claim.id}",
        at_any_pace=claim.at_any_pace,
    )


def claim_data(finding: Finding, command: str = "") -> dict[str, Any]:
    """A claim by itself as plain data: of those that it rests on nothing is known."""
    return {name: value for name, value in plain(claim_record(finding, command)).items() if name != "rests_on_refuted"}


# --- what is asked of them


def claim_link(claim_id: str) -> str:
    """A link to a claim's section."""
    return f"[{claim_id}](#claim-{claim_id})"


def claim_links(claim_ids: Iterable[str]) -> str:
    """Links to the claims' sections, between commas."""
    return ", ".join(map(claim_link, claim_ids))


def mention(claims: Iterable[ClaimRecord], claim_id: str) -> str:
    """A link to a claim's section, or its bare name where this report did not run it."""
    return claim_link(claim_id) if any(claim.id == claim_id for claim in claims) else f"`{claim_id}`"


def measured(claims: Iterable[ClaimRecord], claim_id: str) -> EvidenceRecord | None:
    """What was measured of a claim, None where it was not run."""
    evidence = (item for claim in claims if claim.id == claim_id for item in claim.evidence)
    return next((item for item in evidence if item.kind == "measurement"), None)


def unexpected(claims: Iterable[ClaimRecord]) -> tuple[ClaimRecord, ...]:
    """The claims whose status is not the expected one."""
    return tuple(claim for claim in claims if not claim.as_expected)
