"""The options that several commands share, each stated once."""

from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from metarep.reports.page.limits import check_limits
from metarep.reports.page.output import InputError
from metarep.sim.learners import LEARNERS


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


SETTING, RUN, OUTPUT = "The setting", "The run", "Output"
"""Groups of options in a command's help."""


def number(words: str, *, shown: bool | str = True, group: str = RUN) -> Any:
    """An option for a number that is within the limits of its parameter's name, with these words for help."""
    return option(words, shown=shown, group=group, callback=_limited)


def refuse(context: typer.Context, names: str, beside: str) -> None:
    """``InputError`` if one of these options was given: beside that one it would do nothing."""
    for name in names.split():
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            shown = name.removesuffix("_claims").removesuffix("_adapters").replace("_", "-")
            raise InputError(f"{shown} is given with {beside}, where it does nothing; allowed: one of the two")


def output_path(text: str | Path, name: str = "out") -> Path:
    """A path to write to; ``InputError`` if it is empty, which is no name for the folder one happens to be in."""
    if not str(text).strip():
        raise InputError(f"{name} is empty; allowed: a path ('.' for the folder that this runs in)")
    return Path(text)


def input_path(text: str | Path, name: str) -> Path:
    """A path to read from; ``InputError`` if it is empty, or no path at all."""
    if not str(text).strip() or "\0" in str(text):
        raise InputError(f"{name} is {str(text)!r}; allowed: the path of something that is there")
    return Path(text)


def option(words: str, *names: str, shown: bool | str = False, group: str | None = None, **more: Any) -> Any:
    """An option with these words for help; named after its parameter unless given names; ``shown``: its default, as
    the help says it.
    """
    if isinstance(shown, str):
        words, shown = f"{words} \\[default: {shown}]", False
    return typer.Option(*names, help=words, show_default=shown, rich_help_panel=group, **more)


def file_option(words: str, name: str, *, shown: bool | str = False, group: str | None = None) -> Any:
    """An option for something that is read, by its name; a path that is empty is refused."""
    parser = partial(input_path, name=name)
    return option(words, f"--{name}", shown=shown, group=group, parser=parser, metavar="PATH")


def out_option(words: str, name: str = "out", shown: bool | str = False) -> Any:
    """The option --out, or of another name, with these words for what is written there."""
    parser = partial(output_path, name=name)
    return option(words, f"--{name}", shown=shown, group=OUTPUT, parser=parser, metavar="PATH")


def _complete(typed: str) -> list[str]:
    return [name for name in LEARNERS if name.startswith(typed)]


LearnerName = Annotated[
    str,
    typer.Argument(
        metavar="LEARNER",
        help="anil, fo-anil, maml, fo-maml or average-loss.",
        show_default=False,
        autocompletion=_complete,
    ),
]
D = Annotated[int, option("Ambient dimension d.", shown=True, group=SETTING)]
K = Annotated[int, option("Dimension k of the representation, at most d.", shown=True, group=SETTING)]
N = Annotated[int, option("Tasks a step, n.", shown=True, group=SETTING)]
Alpha = Annotated[float, number("Inner step size α > 0.", group=SETTING)]
Beta = Annotated[float, number("Outer step size β > 0.", group=SETTING)]
Problem = Annotated[
    Path | None,
    file_option("An .npz with any of B_star, heads, B0, w0; the rest is drawn.", "problem", group=SETTING),
]
Steps = Annotated[int, number("Outer steps.")]
Seed = Annotated[int, option("Seed of all randomness.", shown=True, group=RUN, callback=_seed)]
Jobs = Annotated[
    int, option("Processes at a time; -1 for as many as there are cores.", shown=True, group=RUN, callback=_jobs)
]
Json = Annotated[bool, option("Print JSON.", "--json", group=OUTPUT)]
OutFolder = Annotated[Path, out_option("Folder to write into; made if missing.")]
OwnClaims = Annotated[
    Path | None, file_option("A Python file with CLAIMS of your own, besides the catalogue's.", "claims")
]
Traceback = Annotated[
    bool, option("Show the traceback of an error in your own code besides.", "--traceback", group=OUTPUT)
]
Only = Annotated[
    list[str] | None, option("These claims alone, by id or by a pattern with *; repeatable.", metavar="CLAIM")
]
