"""Commands that measure and tell: bench, report."""

import shlex
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

import typer

from metarep.reports.cli.options import (
    OUTPUT,
    RUN,
    Jobs,
    Json,
    OutFolder,
    OwnClaims,
    Seed,
    Traceback,
    file_option,
    option,
    refuse,
)
from metarep.reports.cli.own_claims import matching, own_claims, own_records
from metarep.reports.page.output import (
    Counted,
    as_json,
    interruptible,
    make_folder,
    print_table,
    progress_bar,
    write_file,
)

CERTIFICATES = "certificates"
"""The folder of seals, in the report's own, where none is named."""


def bench(
    samples: Annotated[bool, option("Compare the ways to simulate finite samples as well.", shown=True)] = True,
    write: Annotated[
        Path | None,
        file_option("A Markdown file: what stands between its marks <!-- bench --> is written anew.", "write"),
    ] = None,
    json: Json = False,
) -> None:
    """Measure what speed is claimed of the simulator, beside others that are installed, all in one run.

    Exit code 1 if a limit that is claimed is missed.
    """
    from metarep.reports.bench.page import COLUMNS, between, page, rows
    from metarep.reports.bench.ratios import population_jobs, population_ratios, sampling_ratios
    from metarep.reports.bench.timing import run_bench

    if write is not None:
        between(write)  # before anything is measured
    with progress_bar("bench") as told:
        wanted = [*population_ratios(population_jobs()), *(sampling_ratios() if samples else ())]
        result = run_bench(wanted, told)
    if write is not None:
        before, after = between(write)
        write_file(write, f"{before}\n{page(result)}\n{after}")
    if json:
        typer.echo(as_json(result))
    else:
        print_table(COLUMNS, rows(result), (1, 2, 3))
    if missed := [item["what"] for item in result["ratios"] if item["within"] is False]:
        if not json:
            typer.echo(f"over the limit: {'; '.join(missed)}")
        raise typer.Exit(1)


def report(
    context: typer.Context,
    out: OutFolder,
    profile: Annotated[
        Literal["quick", "full"], option("quick: some minutes; full: six times the examples.", shown=True, group=RUN)
    ] = "quick",
    seed: Seed = 0,
    claims: OwnClaims = None,
    against: Annotated[Path | None, file_option("An older report.json: mark what changed since.", "against")] = None,
    seals: Annotated[
        Path | None, file_option("What 'metarep certify --out' wrote.", "seals", shown="OUT/certificates, if there")
    ] = None,
    only: Annotated[
        list[str] | None,
        option("These claims (an id, or a pattern with *) and chapters (a name) alone; repeatable.", metavar="CLAIM"),
    ] = None,
    resume: Annotated[bool, option("Go on with the report that was stopped in OUT.", "--resume", group=RUN)] = False,
    fresh: Annotated[
        bool, option("Take nothing over from what earlier reports in OUT found.", "--fresh", group=RUN)
    ] = False,
    pdf: Annotated[bool, option("Write the charts' panels as PDF too, a column wide.", "--pdf", group=OUTPUT)] = False,
    jobs: Jobs = -1,
    traceback: Traceback = False,
    json: Json = False,
) -> None:
    """Run the claims and the experiments, and write report.html, report.md, report.json and the figures.

    What is found is kept in OUT as it comes in: a report that is stopped goes on with --resume, and the next one takes
    over what would come out again, which it says ("from cache"). Exit code 1 if a verdict is not the expected one; the
    report is written all the same.
    """
    if resume:
        refuse(context, "fresh", "--resume")
    own = own_claims(claims)
    from metarep.reports.chapters.changes import CHANGES, changed_line, changes, changes_of
    from metarep.reports.chapters.claims.one_by_one import NAME as CLAIMS
    from metarep.reports.chapters.claims.records import unexpected
    from metarep.reports.chapters.claims.seals import KEPT, kept_seals
    from metarep.reports.chapters.claims.seals import NAME as SEALS
    from metarep.reports.chapters.claims.verdicts import verdict_counts
    from metarep.reports.report.document import write_report
    from metarep.reports.report.gather import PROFILES, gather, now, partial
    from metarep.reports.report.kept import kept_in
    from metarep.reports.report.stored import comparable, make_whole, stored_report
    from metarep.theory.claims import catalogue

    size, selected = PROFILES[profile], tuple(only or ())
    if selected:
        chapters = [each for each in selected if each in size.sizes and each not in (CLAIMS, SEALS)]
        chosen = matching([each for each in selected if each not in chapters], (*catalogue(), *own))
        own = tuple(claim for claim in own if claim in chosen)
        size = partial(size, [claim.id for claim in chosen if claim not in own], chapters)
    make_whole(out)
    old = None if against is None else stored_report(against)  # before anything is overwritten
    folder = seals or (out / CERTIFICATES if (out / CERTIFICATES).is_dir() else None)
    sealed = {} if folder is None else {KEPT: kept_seals(folder, [claim.id for claim in catalogue()])}

    told = Counted()

    def on_the_way() -> str:
        again = shlex.join(word for word in context.obj if word not in ("--resume", "--fresh"))
        return f"{told} results are kept in {out}; go on with: metarep {again} --resume"

    with (
        progress_bar("report") as told.shown,
        interruptible(on_the_way),
        kept_in(out, now(), resume=resume, fresh=fresh) as kept,
    ):
        make_folder(out / "figures")
        # One's own claims first: a mistake in them shows at once, and costs no report.
        records = [] if claims is None else own_records(own, claims, size.effort, seed, told.shown, kept)
        results = gather(size, seed, told, jobs, kept)
        results = results.having({("claim", record.id): record for record in records}, only=selected)
        results = results.having(sealed, own_claims="" if claims is None else str(claims))
        if old is not None:
            now_there = comparable(results)
            ids = {claim.id for claim in now_there.claims}
            if selected:  # the others are not gone
                old = replace(old, claims=tuple(claim for claim in old.claims if claim.id in ids), rates=())
            results = results.having({CHANGES: changes(old, now_there)})
        written = write_report(results, out, jobs, pdf)
        kept.finish()
    news, changed, counted = unexpected(results.claims), changes_of(results), verdict_counts(results)
    cached = sum(job.startswith("claim ") for job in results.run.cached)
    if json:
        summary = {
            "files": [str(path) for path in written],
            "counts": counted,
            "unexpected": [claim.id for claim in news],
            "seconds": results.run.seconds,
            "from_cache": cached,
            "against": changed,
        }
        typer.echo(as_json(summary))
    else:
        counts = ", ".join(f"{n} {status}" for status, n in counted.items())
        said = f"{len(results.claims)} claims: {counts}" if results.claims else "no claims"
        typer.echo(f"{said}{f' ({cached} from cache)' if cached else ''}")
        for claim in news:
            typer.echo(f"  {claim.id}: {claim.status}, expected {claim.expected}")
        if changed is not None:
            typer.echo(f"against {against}: {changed_line(changed)}")
            for item in changed.verdicts:
                typer.echo(f"  {item.claim}: {item.before or 'not there'} -> {item.now or 'gone'}")
        typer.echo("\n".join(f"wrote {path}" for path in written))
    if news:
        raise typer.Exit(1)
