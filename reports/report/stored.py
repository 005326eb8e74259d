"""Reports that were written before: read and checked, or refused in one line."""

from pathlib import Path
from typing import Any

from metarep.reports.page.output import InputError, read_json
from metarep.theory.claims.record import Verdict

FORMAT = 1
"""The number of report.json's format, which ``metarep.reports.report.schema`` describes; another one whenever a field is added,
dropped or changes its meaning."""

_NUMBERS = ("d", "k", "n", "alpha", "beta", "symbolic", "empirical", "envelope")
ALLOWED = "a report.json that 'metarep report' wrote"


def stored_report(path: Path) -> dict[str, Any]:
    """The content of a report.json; ``InputError`` if it cannot be read or is no report.

    Checked is what is used: ``format``, ``claims`` (id, status, evidence) and, where there are, rates and versions.
    """
    content = read_json(path)
    if not isinstance(content, dict) or not _is_whole(number := content.get("format")):
        raise InputError(f"{path} is no report of metarep; allowed: {ALLOWED}")
    if number != FORMAT:
        raise InputError(f"{path} has format {number}; allowed: {ALLOWED} in format {FORMAT}")
    if not _records(content.get("claims"), _is_claim):
        raise InputError(f"{path} has claims that are none; allowed: {ALLOWED}")
    if not all(_records(content.get(name, []), _is_rate) for name in ("rates", "rate_grid")):
        raise InputError(f"{path} has rates that are none; allowed: {ALLOWED}")
    if not isinstance(content.get("versions", {}), dict):
        raise InputError(f"{path} has versions that are none; allowed: {ALLOWED}")
    if not isinstance(content.get("profile", ""), str) or not _is_whole(content.get("seed", 0)):
        raise InputError(f"{path} has a profile or a seed that is none; allowed: {ALLOWED}")
    return content


def _records(value: Any, good: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, dict) and good(item) for item in value)


def _is_claim(record: dict[str, Any]) -> bool:
    return (
        isinstance(record.get("id"), str)
        and record.get("status") in tuple(Verdict)
        and _records(
            record.get("evidence"), lambda item: all(_number_or_none(item.get(n)) for n in ("worst_margin", "estimate"))
        )
    )


def _is_rate(record: dict[str, Any]) -> bool:
    return isinstance(record.get("learner"), str) and all(_number_or_none(record.get(name)) for name in _NUMBERS)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _number_or_none(value: Any) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))
