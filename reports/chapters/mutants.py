"""The chapter on the tests themselves: every mutant, and which claims refute it."""

import html
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise

from metarep.reports.chapters.chapter import Chapter, Job, Key, ReportProfile, Results
from metarep.reports.chapters.claims.records import EvidenceRecord, evidence_record
from metarep.reports.chapters.power import PowerOfClaim, power_blocks, power_of_claims
from metarep.reports.page import blocks as b
from metarep.reports.page.drawings import FILE_STYLE, label_width
from metarep.reports.page.markup import plain_line
from metarep.reports.page.output import as_csv
from metarep.theory.claims import get_claim
from metarep.theory.engine.mutants import selftest
from metarep.theory.engine.mutants.selftest import Column, Matrix, Row, trials
from metarep.theory.engine.showing import in_one_line, shown_objects

NAME = "mutants"
"""A profile's size of this chapter: whether the matrix is a quick one."""

_CELL, _ROW, _TOP = 7, 13, 106
_APART = 21
"""Between the slanted names of chapters, at least."""
MATRIX_STYLE = """
.matrix text{font-size:10px;fill:var(--ink)}
.matrix .seen{stroke:var(--refuted);stroke-width:6;stroke-linecap:square}
.matrix .unseen{stroke:var(--ink);stroke-opacity:.5;stroke-width:2;stroke-linecap:round}
.matrix .rule{stroke:var(--ink);stroke-opacity:.15}
.matrix .missed{fill:var(--refuted);font-weight:700}
"""


def drawing(matrix: Matrix) -> b.Graph:
    """The matrix as a drawing: a row a mutant, a column a claim; a square where the claim refutes the mutant."""
    rows, chapters = matrix.crossed, {claim: get_claim(claim).chapter for claim in matrix.claims}
    labels = 10 + round(max(label_width(row.mutant) for row in rows))
    starts, x = {}, float(labels)
    at = {}
    for claim, chapter in chapters.items():
        if chapter not in starts:
            x = max(x + 9, *(start + _APART for start in starts.values())) if starts else x
            starts[chapter] = x
        at[claim] = x
        x += _CELL
    width, height = x + 70, _TOP + _ROW * len(rows) + 4
    parts = [
        f'<text transform="translate({start + 7:.0f} {_TOP - 6}) rotate(-45)">{html.escape(chapter)}</text>'
        for chapter, start in starts.items()
    ]
    for place, row in enumerate(rows):
        y = _TOP + _ROW * place
        missed = "" if row.found else ' class="missed"'
        said = f"{row.what}; refuted by {len(row.refuted_by)} claims"
        parts.append(
            f"<g><title>{html.escape(said)}</title>"
            f'<text x="{labels - 8}" y="{y + 9}" text-anchor="end"{missed}>{html.escape(row.mutant)}</text>'
            f'<path class="rule" d="M{labels} {y + _ROW - 0.5}H{x:.0f}"/>'
            + "".join(
                f'<path class="{name}" d="{_dots([round(at[c]) for c in claims], y + 6)}"/>'
                for name, claims in (("seen", row.refuted_by), ("unseen", row.survived))
                if claims
            )
            + "</g>"
        )
    counts = [len(row.refuted_by) for row in rows]
    alt = (
        f"Matrix of {len(rows)} mutants and {len(chapters)} claims; every mutant is refuted by {min(counts)} to "
        f"{max(counts)} claims. The table below and the data have the same in words."
    )
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="matrix" role="img" aria-label="{html.escape(alt)}" '
        f'viewBox="0 0 {width:.0f} {height}" width="{width:.0f}" height="{height}">{"".join(parts)}</svg>'
    )
    own = FILE_STYLE.replace(".deps", ".matrix") + MATRIX_STYLE
    file = f'<?xml version="1.0" encoding="utf-8"?>\n{svg.replace(">", f"><style>{own}</style>", 1)}\n'
    caption = (
        "A row for each mutant, a column for each claim, by chapter; pointing at a row says what is wrong. "
        "A square: the claim refutes the mutant; a dot: it "
        "exercises what the mutant changes and does not see it; empty: it does not speak of it."
    )
    answers = ((row, said, ids) for row in rows for said, ids in (("yes", row.refuted_by), ("no", row.survived)))
    cells = [(row.mutant, claim, said) for row, said, ids in answers for claim in ids]
    data = ("mutants-matrix.csv", as_csv(("mutant", "claim", "refutes it"), cells))
    return b.Graph("mutants-matrix", svg, MATRIX_STYLE, caption, alt, file, data=data)


def _dots(places: list[int], y: int) -> str:
    """A path of lines of no length, of which the ends are seen: a third of what closed shapes take."""
    steps = [f"m{place - before} 0h0" for before, place in pairwise(places)]
    return "".join((f"M{places[0] + 3} {y}h0", *steps))


def _refutation(row: Row) -> tuple[str, str, str, str]:
    """A wrong claim's line: its name, what it says, what refutes it, and the counterexample."""
    found = row.evidence
    by = "nothing" if found is None else f"{found.kind}: {plain_line(found.why)}"
    if found is not None and found.confirmation is not None:
        by += f"; without floats, in {plain_line(str(found.confirmation))}"
    if found is None or found.counterexample is None:
        return f"`{row.mutant}`", row.what, by, "—"
    objects = shown_objects(found.counterexample, found.comparisons.get("counterexample"))
    return f"`{row.mutant}`", row.what, by, "; ".join(f"{n} = {in_one_line(value)}" for n, value in objects.items())


def _named(rows: tuple[Row, ...]) -> str:
    """The wrong proofs of one kind, in words."""
    return "; ".join(plain_line(row.what) for row in rows)


def section(results: Results) -> b.Section | None:
    """The matrix mutant × claim; the mutants and the claims by name; the wrong claims with how they were refuted."""
    if (matrix := matrix_of(results)) is None:
        return None

    def found(kind: str) -> str:
        rows = [row for row in matrix.rows if row.kind == kind]
        return f"{sum(row.found for row in rows)} of {len(rows)}"

    causes = Counter(row.cause for row in matrix.rows if row.kind == "implementation")
    counts = (
        f"{found('implementation')} wrong implementations ({len(causes)} kinds of mistake), {found('formula')} wrong "
        f"formulas of the theory and {found('claim')} wrong claims are refuted, and the core refuses {found('proof')} "
        "wrong proofs."
    )
    if matrix.survivors:
        counts += f" **Nothing refutes {', '.join(matrix.survivors)}.**"
    scope = (
        "Claims whose every example is a long run are left out here, and few examples are tried; the full profile and "
        "`metarep selftest` leave nothing out."
        if results.profile.sizes[NAME]
        else "Every claim that exercises what a mutant changes is tried."
    )
    rows = tuple((f"`{row.mutant}`", row.what, row.cause, row.share) for row in matrix.crossed)
    return b.Section(
        "mutants",
        "Could the checks have failed?",
        (
            b.Paragraph(
                f"{counts} A check that cannot fail proves nothing: those in the columns here were run on code that is "
                "wrong or, where no implementation enters, on a wrong formula. (Wrong samplers are for the test "
                "suite, which compares laws.)"
            ),
            b.Paragraph(scope),
            *power_blocks(results.claims, matrix),
            drawing(matrix),
            b.Details(
                "What each mutant is, and how many claims refute it",
                (
                    b.Table(
                        ("mutant", "what is wrong", "kind", "refuted by"),
                        rows,
                        frozenset({3}),
                        "Claims that refute the mutant, of those that exercise what it changes.",
                    ),
                ),
            ),
            b.Details(
                "Wrong claims, and what refutes each",
                (
                    b.Table(
                        ("claim", "statement", "refuted by", "counterexample"),
                        tuple(map(_refutation, matrix.wrong_claims)),
                    ),
                ),
            ),
            b.Details(
                "Wrong proofs, which the core of the inequalities must refuse",
                (
                    b.Table(
                        ("what is wrong", "refused", "which"),
                        tuple(
                            (cause, f"{sum(row.found for row in rows)} of {len(rows)}", _named(rows))
                            for cause, rows in matrix.wrong_proofs.items()
                        ),
                        caption="Proofs of the theorems with one thing wrong, and hand-made objects that pose as one.",
                    ),
                ),
            ),
            b.Code(f"metarep selftest --seed {results.seed}"),
        ),
        short="Mutants",
        apart=True,
    )


# --- what is run, and the chapter's part of report.json


def jobs(profile: ReportProfile, seed: int) -> list[Job]:
    """A job for each claim, wrong claim and wrong proof: the trials of ``metarep selftest``, on fewer claims and
    examples if quick.
    """
    return [(("mutants", name), run, given) for name, run, given in trials(seed=seed, quick=profile.sizes[NAME])]


def beside(key: Key) -> Key:
    """The claim's job, which makes the measurements that wrong formulas are held against."""
    return ("claim", *key[1:])


def matrix_of(results: Results) -> Matrix | None:
    """The matrix, None where it was not run."""
    found: list[Column | Row] = [part for key, part in results.parts.items() if key[0] == "mutants"]
    return selftest.matrix_of(found) if found else None


@dataclass(frozen=True)
class CrossedRecord:
    """A wrong implementation or formula."""

    fault: str
    """Its name."""
    cause: str
    """The kind of mistake."""
    description: str
    """What is wrong."""
    refuted_by: tuple[str, ...]
    """Claims that see it."""
    survived: tuple[str, ...]
    """Claims that exercise what it changes and do not."""


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
class WrongProofsRecord:
    """Wrong proofs with one kind of mistake."""

    cause: str
    """The kind of mistake."""
    proofs: tuple[str, ...]
    """What is wrong in each."""
    accepted: tuple[str, ...]
    """Those that the core accepts: none, or the core is wrong."""


@dataclass(frozen=True)
class SelfTestRecord:
    """The tests' own test."""

    claims: tuple[str, ...]
    """The claims tried."""
    faults: tuple[CrossedRecord, ...]
    """The wrong implementations and formulas."""
    wrong_claims: tuple[WrongClaimRecord, ...]
    """The wrong claims."""
    wrong_proofs: tuple[WrongProofsRecord, ...]
    """The wrong proofs, by the kind of mistake."""
    survivors: tuple[str, ...]
    """What nothing refuted."""
    power: tuple[PowerOfClaim, ...]
    """What each claim refutes, and whether that is what it has to."""


def selftest_record(matrix: Matrix) -> SelfTestRecord:
    """The matrix as report.json and ``metarep selftest --json`` have it."""
    return SelfTestRecord(
        matrix.claims,
        tuple(CrossedRecord(row.mutant, row.cause, row.what, row.refuted_by, row.survived) for row in matrix.crossed),
        tuple(
            WrongClaimRecord(row.mutant, row.what, None if row.evidence is None else evidence_record(row.evidence))
            for row in matrix.wrong_claims
        ),
        tuple(
            WrongProofsRecord(cause, tuple(row.what for row in rows), tuple(row.what for row in rows if not row.found))
            for cause, rows in matrix.wrong_proofs.items()
        ),
        matrix.survivors,
        power_of_claims(matrix),
    )


def record(results: Results) -> SelfTestRecord | None:
    """The tests' own test."""
    matrix = matrix_of(results)
    return None if matrix is None else selftest_record(matrix)


CHAPTER = Chapter(
    section, name=NAME, sizes={"quick": True, "full": False}, jobs=jobs, beside=beside, record={"selftest": record}
)
