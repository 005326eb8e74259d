"""The chapter on the tests themselves: which claim refutes which wrong implementation, and the wrong claims."""

import html
from collections import Counter
from dataclasses import dataclass

from metarep.reports.chapters.chapter import Chapter, Job, ReportProfile, Results
from metarep.reports.chapters.claims.records import EvidenceRecord, evidence_record
from metarep.reports.page import blocks as b
from metarep.reports.page.drawings import FILE_STYLE, label_width
from metarep.reports.page.markup import plain_line
from metarep.reports.page.output import as_csv
from metarep.sim.mutants import DEVIATIONS
from metarep.theory.claims import catalogue
from metarep.theory.engine import shown
from metarep.theory.engine.mutants.selftest import (
    DEFAULT_EFFORT,
    FaultRow,
    SelfTest,
    assembled,
    fault_row,
    used_claims,
    wrong_claim_row,
)
from metarep.theory.engine.mutants.wrong_claims import WRONG_CLAIMS

NAME = "faults"
"""A profile's size of this chapter: whether the matrix is a quick one."""


def _chapters(claims: tuple[str, ...]) -> dict[str, str]:
    """Chapter by claim, for the claims of the matrix."""
    return {claim.id: claim.chapter for claim in catalogue() if claim.id in claims}


_CELL, _ROW, _TOP = 7, 13, 106
_APART = 21
"""Between the slanted names of chapters, at least."""
MATRIX_STYLE = """
.matrix text{font-size:10px;fill:var(--ink)}
.matrix .seen{fill:var(--refuted)}
.matrix .unseen{fill:none;stroke:var(--ink);stroke-opacity:.35}
.matrix .rule{stroke:var(--ink);stroke-opacity:.15}
.matrix .missed{fill:var(--refuted);font-weight:700}
"""


def matrix(result: SelfTest) -> b.Graph:
    """The matrix as a drawing: a row a fault, a column a claim; full where the claim refutes the fault."""
    chapters = _chapters(result.claims)
    columns = list(chapters)
    labels = 10 + round(max(label_width(row.fault) for row in result.faults))
    starts, x = {}, float(labels)
    at = {}
    for claim in columns:
        if chapters[claim] not in starts:
            x = max(x + 9, *(start + _APART for start in starts.values())) if starts else x
            starts[chapters[claim]] = x
        at[claim] = x
        x += _CELL
    width, height = x + 70, _TOP + _ROW * len(result.faults) + 4
    parts = [
        f'<text transform="translate({start + 7:.0f} {_TOP - 6}) rotate(-45)">{html.escape(chapter)}</text>'
        for chapter, start in starts.items()
    ]
    for place, row in enumerate(result.faults):
        y = _TOP + _ROW * place
        missed = "" if row.found else ' class="missed"'
        said = f"{row.description}; refuted by {', '.join(row.refuted_by) or 'nothing'}"
        parts.append(
            f"<g><title>{html.escape(said)}</title>"
            f'<text x="{labels - 8}" y="{y + 9}" text-anchor="end"{missed}>{html.escape(row.fault)}</text>'
            f'<path class="rule" d="M{labels} {y + _ROW - 0.5}H{x:.0f}"/>'
            + "".join(
                f'<path class="{name}" d="{"".join(f"M{at[c]:.0f} {y + 3}h{size}v{size}h-{size}z" for c in claims)}"/>'
                for name, claims, size in (("seen", row.refuted_by, 6), ("unseen", row.survived, 5))
                if claims
            )
            + "</g>"
        )
    alt = (
        f"Matrix of {len(result.faults)} faults and {len(columns)} claims; every fault is refuted by "
        f"{min(len(row.refuted_by) for row in result.faults)} to {max(len(row.refuted_by) for row in result.faults)} "
        "claims. The tables below have the same in words."
    )
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="matrix" role="img" aria-label="{html.escape(alt)}" '
        f'viewBox="0 0 {width:.0f} {height}" width="{width:.0f}" height="{height}">{"".join(parts)}</svg>'
    )
    own = FILE_STYLE.replace(".deps", ".matrix") + MATRIX_STYLE
    file = f'<?xml version="1.0" encoding="utf-8"?>\n{svg.replace(">", f"><style>{own}</style>", 1)}\n'
    caption = (
        "A row for each fault, a column for each claim, by chapter. Full: the claim refutes the fault; hollow: it "
        "exercises what the fault changes and does not see it; empty: it does not speak of it."
    )
    cells = [
        (row.fault, claim, answer)
        for row in result.faults
        for answer, claims in (("yes", row.refuted_by), ("no", row.survived))
        for claim in claims
    ]
    data = ("faults-matrix.csv", as_csv(("fault", "claim", "refutes it"), cells))
    return b.Graph("faults-matrix", svg, MATRIX_STYLE, caption, alt, file, data=data)


def faults_section(results: Results) -> b.Section | None:
    """The matrix fault × claim; the faults and the claims by name; the wrong claims with how they were refuted."""
    if (result := selftest_of(results)) is None:
        return None
    rows = tuple(
        (
            f"`{row.fault}`",
            row.description,
            row.cause,
            f"{len(row.refuted_by)} of {len(row.refuted_by) + len(row.survived)}",
        )
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
        if results.profile.sizes[NAME]
        else "Every claim that exercises what a fault changes is tried."
    )
    known = {claim.id for claim in results.claims}
    by_name = tuple(
        (
            f"`{row.fault}`",
            ", ".join(f"[{c}](#claim-{c})" if c in known else f"`{c}`" for c in row.refuted_by) or "nothing",
        )
        for row in result.faults
    )
    wrong_rows = tuple(
        (
            f"`{row.claim}`",
            row.statement,
            "nothing" if row.evidence is None else f"{row.evidence.kind}: {plain_line(row.evidence.why)}",
            "—"
            if row.evidence is None or row.evidence.counterexample is None
            else "; ".join(f"{name} = {shown(value)}" for name, value in row.evidence.counterexample.items()),
        )
        for row in result.wrong_claims
    )
    return b.Section(
        "faults",
        "Could the checks have failed?",
        (
            b.Paragraph(
                counts
                + " A check that cannot fail proves nothing: those in the columns here were run on code that is wrong. "
                "Claims about the theory's formulas alone, which no implementation enters, are not among them: "
                "`metarep selftest` tries those on wrong formulas as well."
            ),
            b.Paragraph(scope),
            matrix(result),
            b.Details(
                "What each fault is, and how many claims refute it",
                (
                    b.Table(
                        ("fault", "what is wrong", "kind", "refuted by"),
                        rows,
                        frozenset({3}),
                        "Claims that refute the fault, of those that exercise what it changes.",
                    ),
                ),
            ),
            b.Details("Which claims refute which fault", (b.Table(("fault", "refuted by"), by_name),)),
            b.Details(
                "Wrong claims, and what refutes each",
                (b.Table(("claim", "statement", "refuted by", "counterexample"), wrong_rows),),
            ),
            b.Code(f"metarep selftest --seed {results.seed}"),
        ),
        short="Faults",
    )


# --- what is run, and the chapter's part of report.json ---------------------------------------------------------------


def selftest_jobs(profile: ReportProfile, seed: int) -> list[Job]:
    """A job a fault, and a job a wrong claim."""
    quick = profile.sizes[NAME]
    used = used_claims(quick=quick)
    jobs: list[Job] = [(("fault", name), fault_row, (name, used, DEFAULT_EFFORT, seed, quick)) for name in DEVIATIONS]
    jobs += [(("wrong claim", str(place)), wrong_claim_row, (place, seed)) for place in range(len(WRONG_CLAIMS))]
    return jobs


def selftest_of(results: Results) -> SelfTest | None:
    """The matrix, None where it was not run."""
    rows = [row for key, row in results.parts.items() if key[0] in ("fault", "wrong claim")]
    return assembled(rows, used_claims()) if rows else None


@dataclass(frozen=True)
class WrongClaimRecord:
    """A wrong claim."""

    claim: str
    """Its name."""
    statement: str
    """What it says."""
    evidence: EvidenceRecord | None
    """What refutes it; null if nothing does."""


@dataclass(frozen=True)
class SelfTestRecord:
    """The tests' own test."""

    claims: tuple[str, ...]
    """The claims tried."""
    faults: tuple[FaultRow, ...]
    """The wrong implementations."""
    wrong_claims: tuple[WrongClaimRecord, ...]
    """The wrong claims."""
    survivors: tuple[str, ...]
    """What nothing refuted."""


def selftest_record(result: SelfTest) -> SelfTestRecord:
    """The matrix fault × claim and the wrong claims."""
    wrong = tuple(
        WrongClaimRecord(row.claim, row.statement, None if row.evidence is None else evidence_record(row.evidence))
        for row in result.wrong_claims
    )
    return SelfTestRecord(result.claims, result.faults, wrong, result.survivors)


def selftest_data(results: Results) -> SelfTestRecord | None:
    """The tests' own test."""
    result = selftest_of(results)
    return None if result is None else selftest_record(result)


CHAPTER = Chapter(
    faults_section,
    name=NAME,
    sizes={"quick": True, "full": False},
    jobs=selftest_jobs,
    record={"selftest": selftest_data},
)
