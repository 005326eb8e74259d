"""Reports that were written before: read and checked, or refused in one line."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import ConfigDict, TypeAdapter, ValidationError

from metarep.reports.chapters.changes import Stored
from metarep.reports.chapters.chapter import Results
from metarep.reports.chapters.claims.records import ClaimRecord
from metarep.reports.chapters.rates.section import rates_of
from metarep.reports.chapters.rates.table import RateRecord
from metarep.reports.page.output import InputError, finish_replacing, read_file

ALLOWED = "a report.json that 'metarep report' wrote"


@dataclass(frozen=True)
class _Report:
    """The fields of a report.json that are used."""

    __pydantic_config__ = ConfigDict(strict=True)

    format: Literal[2, 3]
    profile: str
    seed: int
    versions: dict[str, str]
    claims: tuple[ClaimRecord, ...]
    rates: tuple[RateRecord, ...]
    rate_grid: tuple[RateRecord, ...]


def make_whole(folder: Path) -> None:
    """Where a report was being replaced when that was stopped, some files are older than others: replace the rest, and
    say so. ``InputError`` if that cannot be.
    """
    if finish_replacing(folder):
        print(
            f"metarep: the report in {folder} was stopped while it replaced an older one; it is whole now",
            file=sys.stderr,
        )


def stored_report(path: Path) -> Stored:
    """What is used of a report.json; ``InputError`` if it cannot be read or is no report in this format."""
    make_whole(path.parent)
    try:
        report = TypeAdapter(_Report).validate_json(read_file(path))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        wrong = "not JSON" if first["type"] == "json_invalid" else f"no report: {'.'.join(map(str, first['loc']))}"
        raise InputError(f"{path} is {wrong}: {first['msg']}; allowed: {ALLOWED}") from error
    return Stored(report.profile, report.seed, report.versions, report.claims, (*report.rates, *report.rate_grid))


def comparable(results: Results) -> Stored:
    """The same of results that were just gathered."""
    rates = tuple(record for _, record in rates_of(results).pairs)
    return Stored(results.profile.name, results.seed, results.versions, results.claims, rates)
