"""The chapter on the tests themselves: which claim refutes which wrong implementation, and the wrong claims."""

from collections import Counter

from reports import blocks as b
from theory.claims import catalogue
from theory.engine.selftest import FaultRow, SelfTest


def _chapters(claims: tuple[str, ...]) -> dict[str, str]:
    """Chapter by claim, for the claims of the matrix."""
    return {claim.id: claim.chapter for claim in catalogue() if claim.id in claims}


def _cell(row: FaultRow, chapter: str, chapters: dict[str, str]) -> str:
    refuted = sum(chapters[claim] == chapter for claim in row.refuted_by)
    tried = refuted + sum(chapters[claim] == chapter for claim in row.survived)
    return f"{refuted}/{tried}" if tried else ""


def faults_section(result: SelfTest, seed: int, quick: bool) -> b.Section:
    """The matrix fault × claim, a column a chapter; the claims by name; the wrong claims with how they were refuted."""
    chapters = _chapters(result.claims)
    columns = list(dict.fromkeys(chapters.values()))
    rows = tuple(
        (f"`{row.fault}`", row.description, *(_cell(row, chapter, chapters) for chapter in columns))
        for row in result.faults
    )
    causes = Counter(row.cause for row in result.faults)
    found = sum(row.found for row in result.faults)
    wrong = sum(row.found for row in result.wrong_claims)
    counts = (
        f"{found} of {len(result.faults)} named wrong implementations ({len(causes)} kinds of mistake) and {wrong} of "
        f"{len(result.wrong_claims)} wrong claims are refuted."
    )
    if result.survivors:
        counts += f" **Nothing refutes {', '.join(result.survivors)}.**"
    scope = (
        "Claims whose every instance is a long run are left out here, and few instances are tried; the full profile "
        "and `metarep selftest` leave nothing out."
        if quick
        else "Every claim that exercises what a fault changes is tried."
    )
    by_name = tuple(
        (f"`{row.fault}`", ", ".join(f"[{claim}](#claim-{claim})" for claim in row.refuted_by) or "nothing")
        for row in result.faults
    )
    wrong_rows = tuple(
        (
            f"`{row.claim}`",
            row.statement,
            "nothing" if row.evidence is None else f"{row.evidence.kind}: {row.evidence.why}",
        )
        for row in result.wrong_claims
    )
    return b.Section(
        "faults",
        "Could the checks have failed?",
        (
            b.Paragraph(
                counts + " A check that cannot fail proves nothing, so every one of them is run on code that is wrong."
            ),
            b.Table(
                ("fault", "what is wrong", *columns),
                rows,
                frozenset(range(2, 2 + len(columns))),
                "Claims that refute the fault, of those that exercise what it changes; by chapter. " + scope,
            ),
            b.Details("Which claims refute which fault", (b.Table(("fault", "refuted by"), by_name),)),
            b.Details("Wrong claims", (b.Table(("claim", "statement", "refuted by"), wrong_rows),)),
            b.Code(f"metarep selftest --seed {seed}"),
        ),
        short="Faults",
    )
