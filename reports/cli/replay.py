"""Checking an example again: one that a report stored, or one given on the command line."""

import json
import math
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import typer

from metarep.reports.cli.options import input_path
from metarep.reports.page.output import InputError, as_json, plain

if TYPE_CHECKING:
    from metarep.theory.claims.record import Claim

Found = tuple[str, str, dict[str, Any]]
"""(what the example is, kind of evidence, the numbers drawn)."""


def replay_examples(claim: "Claim", source: str, as_data: bool) -> None:
    """Check examples of a claim again and print the mathematics' own objects and both sides; exit code 1 if none
    violates a claim that is expected to be refuted, or one violates another.

    Args:
        claim: which.
        source: a report.json, or an example as JSON.
        as_data: print JSON.

    Raises:
        InputError: the source holds no example of the claim, or one that cannot be checked.
    """
    from metarep.reports.chapters.claims.records import example_record
    from metarep.theory.engine import decode, replay
    from metarep.theory.engine.showing import entries, objects_text, shown_objects, sides_text

    given = source.lstrip().startswith("{")
    place = "the example given" if given else source
    found = [("example", "", _given(source))] if given else _stored(claim, input_path(source, "replay"))
    if not found or claim.check is None:
        raise InputError(
            f"{place} has no example of {claim.id!r} that can be checked by itself; allowed: a claim with one "
            f"(metarep verify {claim.id} runs this one as a whole)"
        )
    rows = []
    for what, kind, drawn in found:
        try:
            if not all(math.isfinite(entry) for entry in entries(list(decode(drawn).values())) if _is_number(entry)):
                raise ValueError("it holds NaN or infinity")
            with np.errstate(all="ignore"):
                comparison = replay(claim, drawn)
        except (ArithmeticError, LookupError, MemoryError, RecursionError, TypeError, ValueError) as error:
            # The file may have been edited, or written by another version whose examples had other fields.
            raise InputError(
                f"the {what} of {claim.id!r} in {place} cannot be checked ({type(error).__name__}: {error}); "
                "allowed: one as this version writes it"
            ) from error
        example = decode(drawn)
        rows.append(
            {
                "stored_as": what,
                "kind": kind,
                "holds": comparison.holds,
                "value": float(comparison.value),
                "bound": float(comparison.bound),
                "tolerance": float(comparison.tolerance),
                "margin": comparison.margin,
                "why": comparison.why,
                "example": plain(example_record(example, comparison)),
            }
        )
        if not as_data:
            typer.echo(
                f"{claim.id}, {what}{kind and f' ({kind})'}: {'holds' if comparison.holds else 'VIOLATED'}; "
                f"{comparison.why}: {float(comparison.value):.6g}, bound {float(comparison.bound):.6g}, "
                f"tolerance {float(comparison.tolerance):.2g}"
            )
            lines = [*objects_text(shown_objects(example, comparison)), *sides_text(*comparison.sides)]
            typer.echo("\n".join(f"    {line}" for line in lines))
    if as_data:
        typer.echo(as_json({"claim": claim.id, "report": None if given else source, "replayed": rows}))
    if all(row["holds"] for row in rows) == (claim.expected.value == "REFUTED"):
        raise typer.Exit(1)


def _is_number(entry: Any) -> bool:
    return isinstance(entry, int | float | Fraction)


def _given(source: str) -> dict[str, Any]:
    try:
        return json.loads(source)
    except (RecursionError, ValueError) as error:
        raise InputError(
            f"the example given is not JSON: {error}; allowed: an object with the numbers drawn"
        ) from error


def _stored(claim: "Claim", path: Path) -> list[Found]:
    """The examples of the claim in a report: its counterexamples first, then the nearest to a bound."""
    from metarep.reports.chapters.claims.records import EXAMPLES
    from metarep.reports.report.stored import stored_report

    stored = next((record for record in stored_report(path).claims if record.id == claim.id), None)
    if stored is None:
        raise InputError(f"{path} has no claim {claim.id!r}; allowed: a report.json that holds it")
    return [
        (what, item.kind, example.drawn)
        for what in reversed(EXAMPLES)
        for item in stored.evidence
        if (example := getattr(item, what)) is not None
    ]
