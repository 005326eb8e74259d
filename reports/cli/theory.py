"""Commands about the theory: derive, claims, verify."""

import shlex
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from metarep.reports.cli.options import (
    OUTPUT,
    Jobs,
    Json,
    LearnerName,
    OwnClaims,
    Seed,
    Traceback,
    file_option,
    number,
    option,
    refuse,
)
from metarep.reports.cli.own_claims import find_claim, verify_own
from metarep.reports.page.markup import inline_text
from metarep.reports.page.output import (
    InputError,
    as_json,
    checking_input,
    print_table,
    progress_bar,
)
from metarep.sim.bounds import unknown

if TYPE_CHECKING:
    from metarep.theory.engine import Finding
    from metarep.theory.engine.mutants.selftest import Row

DEFAULT_REPORT = Path("out/report.json")


def derive(
    learner: LearnerName,
    form: Annotated[
        Literal["text", "latex"], option("Unicode text or LaTeX.", "--format", shown=True, group=OUTPUT)
    ] = "text",
    json: Json = False,
) -> None:
    """Derive a learner's outer update for all dimensions, and print it line by line."""
    from metarep.sim.learners import get_learner

    with checking_input():
        spec = get_learner(learner)
    from metarep.reports.chapters.update_maps import derived_lines
    from metarep.reports.page.markup import LEARNER_TITLES

    parts = derived_lines(spec, form)
    if json:
        record = [{"heading": part.heading, "equations": part.equations} for part in parts]
        typer.echo(as_json({"learner": learner, "format": form, "parts": record}))
        return
    if form == "latex":
        for part in parts:
            typer.echo(f"% {LEARNER_TITLES[learner]}: {part.heading}")
            body = " \\\\\n".join(f"  {left} &= {right}" for left, right in part.equations)
            typer.echo(f"\\begin{{align*}}\n{body}\n\\end{{align*}}")
        return
    typer.echo(LEARNER_TITLES[learner])
    for part in parts:
        typer.echo(f"\n{inline_text(part.heading)}")
        width = max(len(left) for left, _ in part.equations)
        for left, right in part.equations:
            typer.echo(f"  {left:>{width}} = {right}")
        if part.remark:
            typer.echo(f"  ({inline_text(part.remark)})")


def _latest(report: Path | None) -> tuple[dict[str, str], Path | None]:
    """(status by claim, the report it is from): the named report, else the default place if there is one there."""
    path = report or (DEFAULT_REPORT if DEFAULT_REPORT.is_file() else None)
    if path is None:
        return {}, None
    from metarep.reports.report.stored import stored_report

    return {record.id: record.status for record in stored_report(path).claims}, path


def _searched(rows: list[dict[str, Any]], words: Sequence[str], chapter: str | None) -> list[dict[str, Any]]:
    """The rows with all of these words in what is listed of them, in chapters with that one in their name; whatever
    the case. ``InputError`` if there are none.
    """
    if chapter is not None:
        chapters = dict.fromkeys(row["chapter"] for row in rows)
        rows = [row for row in rows if chapter.lower() in row["chapter"].lower()]
        if not rows:
            raise InputError(str(unknown("chapter", chapter, chapters, "a part of one that 'metarep claims' lists")))
    fields = ("id", "chapter", "statement", "source")
    found = [row for row in rows if all(any(word.lower() in row[field].lower() for field in fields) for word in words)]
    if not found:
        listed = "words of what 'metarep claims' lists"
        what = "claim" if chapter is None else f"claim of chapter {chapter!r}:"
        raise InputError(str(unknown(what, " ".join(words), (row["id"] for row in rows), listed)))
    return found


def claims(
    context: typer.Context,
    search: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="SEARCH",
            help="List the claims with all of these words in id, chapter, statement or source.",
            show_default=False,
        ),
    ] = None,
    chapter: Annotated[str | None, option("List those of the chapters with this in their names.")] = None,
    status: Annotated[str | None, option("List those that the last report found so, e.g. PROVED, NOT_RUN.")] = None,
    report: Annotated[
        Path | None, file_option("The report.json to take statuses from.", "report", shown="out/report.json")
    ] = None,
    markdown: Annotated[
        bool, option("Print the ids as a table, without statuses.", "--markdown", group=OUTPUT)
    ] = False,
    paper: Annotated[
        bool, option("List the paper's statements in its order, with the claims of each.", "--paper")
    ] = False,
    json: Json = False,
) -> None:
    """List the catalogue with each claim's latest status, as the last report found it."""
    if paper or markdown:
        refuse(context, "search chapter status report", "a fixed table (--paper, --markdown)")
    if paper:
        from metarep.reports.chapters.paper import paper_data, paper_markdown, paper_text

        typer.echo(as_json({"paper": paper_data()}) if json else paper_markdown() if markdown else paper_text())
        return
    if markdown:
        if json:
            raise InputError("json is given with --markdown; allowed: one of the two, or both with --paper")
        from metarep.reports.chapters.claims.table import markdown_table

        typer.echo(markdown_table())
        return
    from metarep.theory.claims import catalogue
    from metarep.theory.claims.record import Verdict

    verdicts = [verdict.value for verdict in Verdict]
    if status is not None and status.upper() not in verdicts:
        raise InputError(str(unknown("status", status, verdicts)))
    statuses, path = _latest(report)

    rows = [
        {
            "id": claim.id,
            "chapter": claim.chapter,
            "statement": claim.statement,
            "source": str(claim.source),
            "expected": claim.expected.value,
            "status": statuses.get(claim.id, "NOT_RUN"),
        }
        for claim in catalogue()
    ]
    rows = [row for row in _searched(rows, search or (), chapter) if status is None or row["status"] == status.upper()]
    if json:
        typer.echo(as_json({"report": None if path is None else str(path), "claims": rows}))
        return
    heading = None
    for row in rows:
        if row["chapter"] != heading:
            heading = row["chapter"]
            typer.echo(f"\n{heading}")
        typer.echo(f"  {row['status']:<9} {row['id']}: {inline_text(row['statement'])} [{row['source']}]")
    counts = Counter(row["status"] for row in rows)
    counted = ", ".join(f"{count} {name}" for name, count in counts.items())
    typer.echo(f"\n{len(rows)} claims{counted and f': {counted}'}")
    typer.echo(
        f"Statuses are those of {path}."
        if path
        else f"No report at {DEFAULT_REPORT}, so nothing is known to have run: 'metarep report --out out' runs all, "
        "'metarep verify CLAIM' one."
    )


def verify(
    context: typer.Context,
    claim: Annotated[str, typer.Argument(metavar="CLAIM", help="A claim's id; 'metarep claims' lists them.")],
    examples: Annotated[int | None, number("How many to check.", shown="the claim's own number")] = None,
    seed: Seed = 0,
    claims: OwnClaims = None,
    replay: Annotated[
        str | None, option("A report.json, or an example as JSON: check the examples stored there, or this one, again.")
    ] = None,
    traceback: Traceback = False,
    json: Json = False,
) -> None:
    """Check one claim, or check an example again that a report stored. Exit code 1 if the verdict is not the expected
    one.
    """
    from metarep.theory.claims import catalogue

    catalogue()  # outside of the check: if it is inconsistent, that is a bug and not the reader's input
    record = find_claim(claim, claims)
    if replay is not None:
        refuse(context, "examples seed", "--replay")
        from metarep.reports.cli.replay import replay_examples

        replay_examples(record, replay, json)
        return
    from metarep.reports.chapters.claims.records import claim_data
    from metarep.theory.engine import Profile
    from metarep.theory.engine import verify as run

    profile = Profile(seed=seed)
    with progress_bar(f"verify {claim}"):
        if claims is None:
            finding = run(record, profile=profile, examples=examples)
        else:
            finding = verify_own(record, claims, profile, examples)
    result = claim_data(finding, f"metarep verify {claim} --claims {shlex.quote(str(claims))}" if claims else "")
    if json:
        typer.echo(as_json({"claim": result}))
    else:
        _print_finding(result, finding)
        if finding.status != "PROVED" and finding.counterexample is not None:
            told = finding.failure_message(None if claims is None else str(claims))
            # The statement stands above already.
            typer.echo("\n" + inline_text(told.replace(f"  statement: {record.statement}\n", "", 1)))
    if not finding.as_expected:
        raise typer.Exit(1)


def _print_finding(result: dict[str, Any], finding: "Finding") -> None:
    from metarep.theory.engine import counted

    typer.echo(f"{result['id']}: {result['status']} (expected {result['expected']}), {finding.seconds:.1f} s")
    typer.echo(f"  {inline_text(result['statement'])}")
    typer.echo(f"  source: {result['source']}")
    typer.echo(f"  for:    {inline_text(result['hypotheses'])}")
    if result["rests_on"]:
        typer.echo(f"  rests on: {', '.join(result['rests_on'])}")
    for item, found in zip(result["evidence"], finding.evidence, strict=True):
        line = f"  {item['verdict']:<9} {item['kind']}"
        if item["examples"]:
            line += f", {counted(found)}"
        if item["worst_margin"] is not None:
            line += f", worst margin {item['worst_margin']:.3g}"
        if item["strain"] and item["verdict"] != "REFUTED":
            line += f", {item['strain']:.1%} of the tolerance used"
        if item["estimate"] is not None:
            line += f", {item['estimate']:.6g} ± {item['uncertainty']:.2g}"
        typer.echo(line + (f": {item['why']}" if item["why"] else ""))
        if found.power is not None:
            typer.echo(f"            of {found.power.tried} tried again {found.power.could_fail} could have failed")
        if found.confirmation is not None:
            typer.echo(f"            without floats, in {found.confirmation} ({found.confirmation.seconds:.1f} CPU s)")
        elif found.in_floats_only:
            typer.echo("            in floats only: no certificate")
        for step in item["steps"]:
            typer.echo(f"              {inline_text(step) if '$' in step else step}")


def _why(row: "Row") -> str:
    return "NOTHING refuses it" if row.evidence is None else row.evidence.why


def selftest(
    without: Annotated[
        list[str] | None,
        option("Leave this claim out, to see what goes unnoticed; repeatable.", "--without", metavar="CLAIM"),
    ] = None,
    seed: Seed = 0,
    jobs: Jobs = -1,
    json: Json = False,
) -> None:
    """Test the tests: mutants (wrong implementations, formulas, claims and proofs), each to be refuted. Exit code 1 if
    one survives.
    """
    from metarep.theory.claims import catalogue, get_claim

    catalogue()
    with checking_input():
        left_out = [get_claim(claim).id for claim in without or ()]
    from metarep.reports.chapters.mutants import selftest_record
    from metarep.theory.engine.mutants.selftest import selftest as run

    with progress_bar("selftest") as told:
        matrix = run(without=left_out, seed=seed, jobs=jobs, progress=told)
    if json:
        typer.echo(as_json(selftest_record(matrix)))
    else:
        print_table(
            ("mutant", "what is wrong", "refuted by", "claims that saw it"),
            [
                (row.mutant, row.what, row.refuted_by[0] if row.found else "NOTHING", row.share)
                for row in matrix.crossed
            ],
            (3,),
        )
        print_table(
            ("wrong claim", "refuted by", "because"),
            [
                (row.mutant, "NOTHING", "") if (found := row.evidence) is None else (row.mutant, found.kind, found.why)
                for row in matrix.wrong_claims
            ],
        )
        print_table(
            ("wrong proofs", "refused by the core", "the first, and why"),
            [
                (cause, f"{sum(row.found for row in rows)} of {len(rows)}", f"{rows[0].what}: {_why(rows[0])}")
                for cause, rows in matrix.wrong_proofs.items()
            ],
            (1,),
        )
        typer.echo(f"{len(matrix.rows) - len(matrix.survivors)} of {len(matrix.rows)} refuted")
    if matrix.survivors:
        raise typer.Exit(1)
