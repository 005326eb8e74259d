"""What was measured as a page of Markdown, which reports/README.md shows."""

from pathlib import Path
from typing import Any

from metarep.reports.bench.opponents import OPPONENTS
from metarep.reports.bench.ratios import AUTOGRAD, COMPILED, NUMPY
from metarep.reports.page.output import InputError, read_file
from metarep.sim.learners import LEARNERS

COLUMNS = ("ratio", "median", "spread", "limit", "within")
KERNELS = (
    COMPILED,
    NUMPY,
    *(f"{name}, {where}" for name in OPPONENTS for where in ("reduced", "d = 100")),
    AUTOGRAD,
)
MARKS = ("<!-- bench -->", "<!-- /bench -->")


def rows(result: dict[str, Any]) -> list[tuple[str, ...]]:
    """The ratios, as ``COLUMNS`` has them."""
    return [
        (
            item["what"],
            f"{item['median']:.3g}",
            f"{item['lowest']:.3g} … {item['highest']:.3g}",
            "—" if item["limit"] is None else f"{item['limit']:g}",
            "—" if item["within"] is None else "yes" if item["within"] else "NO",
        )
        for item in result["ratios"]
    ]


def page(result: dict[str, Any]) -> str:
    """The page, from what ``metarep.reports.bench.timing.run_bench`` gives."""
    machine = dict(result["machine"])
    on = f"{machine.pop('processor')}, {machine.pop('cores')} cores; "
    versions = ", ".join(f"{name} {version}" for name, version in machine.items())
    first: dict[tuple[str, str], float] = {}
    for item in result["times"]:
        first.setdefault((item["what"].split(":")[0], item["kernel"]), item["microseconds"])
    times = [
        (name, *(f"{first[name, kernel]:.3g}" if (name, kernel) in first else "—" for kernel in KERNELS))
        for name in LEARNERS
    ]
    most = max(item["cores"] for item in result["times"])
    return "\n".join(
        (
            f"Measured on {on}{versions}: medians of {result['repeats']} rounds in which everything takes its turn, "
            f"each in one thread ({most:.1f} cores at most).",
            "",
            "Microseconds of a processor for a step of one trial, k = n = 5, of 1000 trials together (autograd: one by "
            "one). Reduced coordinates are metarep's own; d = 100 is how one would write it.",
            "",
            *_table(("learner", *KERNELS), times),
            "",
            "Ratios of times. Operations: as counted of the readable sources, at the speed of a product of large "
            "matrices by BLAS in the same run.",
            "",
            *_table(COLUMNS, rows(result)),
        )
    )


def _table(header: tuple[str, ...], lines: list[tuple[str, ...]]) -> list[str]:
    rule = ("---", *("---:" for _ in header[1:]))
    return [f"| {' | '.join(line)} |" for line in (header, rule, *lines)]


def between(path: Path) -> tuple[str, str]:
    """What stands before and behind the page in a file, the marks included.

    Raises:
        InputError: it has no such marks.
    """
    parts = read_file(path).decode(errors="replace").split(MARKS[0])
    after = parts[-1].split(MARKS[1])
    if len(parts) != 2 or len(after) != 2:
        raise InputError(
            f"{path} does not have {MARKS[0]} and {MARKS[1]} once each; allowed: a Markdown file with them"
        )
    return parts[0] + MARKS[0], MARKS[1] + after[1]
