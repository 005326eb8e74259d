"""What the checks could have seen: how many examples could have failed, and which mutants each claim refutes."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from metarep.reports.chapters.claims.records import ClaimRecord, EvidenceRecord, mention
from metarep.reports.chapters.claims.verdicts import by_chapter
from metarep.reports.page import blocks as b
from metarep.theory.claims import get_claim
from metarep.theory.claims.record import Claim
from metarep.theory.engine.mutants.selftest import Column, Matrix, Row
from metarep.theory.engine.power import DOING_LESS, IDLE, about_progress

_KINDS = {"exact": "fractions", "floats": "floats"}


@dataclass(frozen=True)
class PowerOfClaim:
    """What a claim refutes."""

    claim: str
    """Its id."""
    tried: Annotated[int, Field(ge=0)]
    """Mutants that were tried on it."""
    refuted: Annotated[int, Field(ge=0)]
    """Those that it refutes."""
    has_to_refute: tuple[str, ...]
    """Those that it has to: learners that do less than they should, of a claim about progress."""
    defect: str
    """What is wrong with its checks; empty if nothing is."""


def power_of_claims(matrix: Matrix) -> tuple[PowerOfClaim, ...]:
    """The matrix by claims, as report.json and ``metarep selftest --json`` have it."""
    return tuple(
        PowerOfClaim(
            column.claim.id,
            len(column.tried),
            len(column.refuted),
            IDLE if about_progress(column.claim) else (),
            column.defect,
        )
        for column in matrix.columns
    )


def _tried(claim: ClaimRecord) -> list[EvidenceRecord]:
    """The evidence on examples of a claim that holds."""
    return [item for item in claim.evidence if item.power is not None]


def _sum(claims: Iterable[ClaimRecord]) -> tuple[int, int, int, int]:
    """Of all examples: how many, independent ones, tried again, that could have failed."""
    found = [item for claim in claims for item in _tried(claim)]
    powers = [item.power for item in found if item.power is not None]
    return (
        sum(item.examples for item in found),
        sum(item.independent or 0 for item in found),
        sum(power.tried for power in powers),
        sum(power.could_fail for power in powers),
    )


def power_line(claim: ClaimRecord, column: Column | None) -> str:
    """What the claim's examples could have failed, and what it refutes, in a line; empty if nothing is known."""
    told = [
        f"{item.power.could_fail} of {item.power.tried} examples in {_KINDS[item.kind]} could have failed"
        for item in _tried(claim)
        if item.power is not None
    ]
    if column is not None and column.tried:
        told.append(f"it refutes {column.share} mutants")
    if claim.at_any_pace:
        told.append(f"a learner that does less need not fail it: {claim.at_any_pace}")
    elif column is not None and about_progress(column.claim) and set(IDLE) <= set(column.refuted):
        told.append(f"among them {' and '.join(IDLE)}")
    return "; ".join(told)


def _share(could: int, tried: int) -> str:
    return f"{could} of {tried}" + (f" ({100 * could / tried:.0f} %)" if tried else "")


def power_blocks(claims: Sequence[ClaimRecord], matrix: Matrix) -> tuple[b.Block, ...]:
    """The table of power, by chapter; each claim's own section has its own."""
    columns = {column.claim.id: column for column in matrix.columns}
    progress = [column for column in matrix.columns if about_progress(column.claim) and "frozen" in column.tried]
    falling = [column for column in progress if not column.idle_survivors]
    defects = "; ".join(f"{mention(claims, column.claim.id)}: {column.defect}" for column in matrix.defects)
    by_chapters = []
    for chapter, members in by_chapter(claims).items():
        known = [claim for claim in members if _tried(claim)]
        if not known:
            continue
        examples, independent, tried, could = _sum(known)
        refuted = sum(len(columns[claim.id].refuted) for claim in known if claim.id in columns)
        met = sum(len(columns[claim.id].tried) for claim in known if claim.id in columns)
        row = (str(len(known)), str(examples), str(independent), _share(could, tried), f"{refuted} of {met}")
        by_chapters.append((chapter, *row))
    slow = tuple(
        (f"`{row.mutant}`", row.what, _among(row, about_progress), _among(row, lambda claim: "step" in claim.exercises))
        for name in DOING_LESS
        for row in matrix.crossed
        if row.mutant == name
    )
    return (
        b.Paragraph(
            "**Power.** An example could have failed its claim if a wrong implementation or formula fails it there: of "
            "a bound on progress the learner that does not move, or the one at half speed. An inequality that is an "
            "equality there, as those of one step are for $k = 1$, does not count. Some of the independent examples "
            "were tried again in this way; the others are those that the search made by nudging one towards the bound."
        ),
        b.Paragraph(
            f"{len(falling)} of {len(progress)} claims about progress that were tried refute the learner that does not "
            "move and the one at half speed; the others that speak of a step say why they need not. "
            + (f"**Defects:** {defects}." if defects else "Every claim in a column is failed by some mutant.")
        ),
        b.Table(
            ("chapter", "claims", "examples", "independent", "could have failed", "mutants refuted"),
            tuple(by_chapters),
            frozenset({1, 2, 3, 4, 5}),
            "Claims checked on examples. Could have failed: of the examples tried again. Mutants refuted: of the pairs "
            "of a claim and a mutant that were tried.",
        ),
        b.Table(
            ("learner", "what is wrong", "refuted by claims about progress", "by claims that speak of a step"),
            slow,
            frozenset({2, 3}),
            "Learners that do less than they should. A bound leaves room for one that stops late or is hardly slower; "
            "identities do not.",
        ),
        b.Paragraph("What is known of each claim's examples stands in its own section."),
    )


def _among(row: Row, kind: Callable[[Claim], bool]) -> str:
    """How many of the claims of a kind that a mutant was tried on refute it."""
    refuted, survived = (sum(kind(get_claim(id_)) for id_ in ids) for ids in (row.refuted_by, row.survived))
    return f"{refuted} of {refuted + survived}"
