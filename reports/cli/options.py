"""The options that several commands share, each stated once."""

from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from metarep.reports.page.limits import check_limits
from metarep.reports.page.output import InputError


def _limited(parameter: typer.CallbackParam, value: float | None) -> float | None:
    if value is not None:
        check_limits(str(parameter.name), value)
    return value


def _seed(value: int) -> int:
    if value < 0:
        raise InputError(f"seed is {value}; allowed: a whole number, 0 or more")
    return value


def _jobs(value: int) -> int:
    if value != -1:
        check_limits("jobs", value, also=", or -1")
    return value


def number(words: str, *, show_default: bool = True) -> Any:
    """An option for a number that is within the limits of its parameter's name, with these words for help."""
    return typer.Option(help=words, callback=_limited, show_default=show_default)


def output_path(text: str | Path, name: str = "out") -> Path:
    """A path to write to; ``InputError`` if it is empty, which is no name for the folder one happens to be in."""
    if not str(text).strip():
        raise InputError(f"{name} is empty; allowed: a path ('.' for the folder that this runs in)")
    return Path(text)


def option(words: str, *names: str) -> Any:
    """An option with these words for help that shows no default; named after its parameter unless given names."""
    return typer.Option(*names, help=words, show_default=False)


def out_option(words: str, name: str = "out") -> Any:
    """The option --out, or of another name, with these words for what is written there."""
    return typer.Option(
        f"--{name}", help=words, show_default=False, parser=partial(output_path, name=name), metavar="PATH"
    )


LearnerName = Annotated[
    str, typer.Argument(metavar="LEARNER", help="anil, fo-anil, maml, fo-maml or average-loss.", show_default=False)
]
D = Annotated[int, typer.Option(help="Ambient dimension d.")]
K = Annotated[int, typer.Option(help="Dimension k of the representation, at most d.")]
N = Annotated[int, typer.Option(help="Tasks a step, n.")]
Alpha = Annotated[float, number("Inner step size α > 0.")]
Beta = Annotated[float, number("Outer step size β > 0.")]
Steps = Annotated[int, number("Outer steps.")]
Seed = Annotated[int, typer.Option(help="Seed of all randomness.", callback=_seed)]
Jobs = Annotated[int, typer.Option(help="Processes at a time; -1 for as many as there are cores.", callback=_jobs)]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
OutFolder = Annotated[Path, out_option("Folder to write into; made if missing.")]
OwnClaims = Annotated[Path | None, option("A Python file with CLAIMS of your own, besides the catalogue's.")]
