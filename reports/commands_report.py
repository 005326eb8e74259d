"""Commands that measure and tell: bench, report."""

from enum import StrEnum
from typing import Annotated

import typer

from reports.options import Json, OutFolder, Seed
from reports.output import as_json, check_whole, make_folder, print_table, progress_bar


class ProfileName(StrEnum):
    """How much the report runs."""

    QUICK = "quick"
    FULL = "full"


def bench(json: Json = False) -> None:
    """Measure what speed is claimed of the simulator: ratios, all taken in one run."""
    from reports.bench import run_bench

    with progress_bar("bench") as told:
        result = run_bench(told)
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


def register(app: typer.Typer) -> None:
    """Add these commands to the app."""
    for command in (bench,):
        app.command()(command)
