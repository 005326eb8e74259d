"""Commands that measure and tell: bench, report."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from metarep.reports.cli.options import Json, OutFolder, OwnClaims, Seed, option
from metarep.reports.cli.own_claims import own_claims, own_records
from metarep.reports.page.output import as_json, make_folder, print_table, progress_bar

CERTIFICATES = "certificates"
"""The folder of seals, in the report's own, where none is named."""


def bench(
    samples: Annotated[bool, typer.Option(help="Compare the ways to simulate finite samples as well.")] = True,
    json: Json = False,
) -> None:
    """Measure what speed is claimed of the simulator: ratios, all taken in one run."""
    from metarep.reports.bench.ratios import population_ratios, sampling_ratios
    from metarep.reports.bench.timing import run_bench

    wanted = [*population_ratios(), *(sampling_ratios() if samples else ())]
    with progress_bar("bench") as told:
        result = run_bench(wanted, told)
    if json:
        typer.echo(as_json(result))
        return
    print_table(
        ("ratio", "median", "spread", "limit", "within"),
        [
            (
                item["what"],
                f"{item['median']:.3g}",
                f"{item['lowest']:.3g} … {item['highest']:.3g}",
                "—" if item["limit"] is None else f"{item['limit']:g}",
                "—" if item["within"] is None else "yes" if item["within"] else "NO",
            )
            for item in result["ratios"]
        ],
        (1, 2, 3),
    )


def report(
    out: OutFolder,
    profile: Annotated[
        Literal["quick", "full"], typer.Option(help="quick: some minutes; full: six times the examples.")
    ] = "quick",
    seed: Seed = 0,
    claims: OwnClaims = None,
    against: Annotated[Path | None, option("An older report.json: mark what changed since.")] = None,
    seals: Annotated[
        Path | None, option("What 'metarep certify --out' wrote; the folder 'certificates' in OUT if it is there.")
    ] = None,
    json: Json = False,
) -> None:
    """Run the claims and the experiments, and write report.html, report.md, report.json and the figures.

    Exit code 1 if a verdict is not the expected one; the report is written all the same.
    """
    own = own_claims(claims)
    from metarep.reports.chapters.changes import CHANGES, changed_line, changes, changes_of
    from metarep.reports.chapters.claims.records import unexpected
    from metarep.reports.chapters.claims.seals import KEPT, kept_seals
    from metarep.reports.chapters.claims.verdicts import verdict_counts
    from metarep.reports.report.document import write_report
    from metarep.reports.report.gather import PROFILES, gather
    from metarep.reports.report.stored import comparable, stored_report
    from metarep.theory.claims import catalogue

    old = None if against is None else stored_report(against)  # before anything is overwritten
    folder = seals or (out / CERTIFICATES if (out / CERTIFICATES).is_dir() else None)
    kept = {} if folder is None else {KEPT: kept_seals(folder, [claim.id for claim in catalogue()])}
    make_folder(out / "figures")

    with progress_bar("report") as told:
        size = PROFILES[profile]
        # One's own claims first: a mistake in them shows at once, and costs no report.
        records = [] if claims is None else own_records(own, claims, size.effort, seed, told)
        results = gather(size, seed, told)
    if claims is not None:
        results = results.having({("claim", record.id): record for record in records}, own_claims=str(claims))
    results = results.having(kept)
    if old is not None:
        results = results.having({CHANGES: changes(old, comparable(results))})
    written = write_report(results, out)
    news, changed, counted = unexpected(results.claims), changes_of(results), verdict_counts(results)
    if json:
        summary = {
            "files": [str(path) for path in written],
            "counts": counted,
            "unexpected": [claim.id for claim in news],
            "seconds": results.run.seconds,
            "against": changed,
        }
        typer.echo(as_json(summary))
    else:
        counts = ", ".join(f"{n} {status}" for status, n in counted.items())
        typer.echo(f"{len(results.claims)} claims: {counts}")
        for claim in news:
            typer.echo(f"  {claim.id}: {claim.status}, expected {claim.expected}")
        if changed is not None:
            typer.echo(f"against {against}: {changed_line(changed)}")
            for item in changed.verdicts:
                typer.echo(f"  {item.claim}: {item.before or 'not there'} -> {item.now or 'gone'}")
        typer.echo("\n".join(f"wrote {path}" for path in written))
    if news:
        raise typer.Exit(1)
