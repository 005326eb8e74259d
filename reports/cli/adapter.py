"""The command that writes an adapter to start from: adapter."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from metarep.reports.adapters import shipped
from metarep.reports.cli.options import out_option
from metarep.reports.page.output import InputError, check_file, write_file
from metarep.sim.checks import unknown


def adapter(
    library: Annotated[
        str | None, typer.Argument(metavar="LIBRARY", help="Which; --list names them.", show_default=False)
    ] = None,
    out: Annotated[Path, out_option("The file to write (default: metarep_adapter.py).")] = Path("metarep_adapter.py"),
    force: Annotated[bool, typer.Option("--force", help="Overwrite a file that is there.")] = False,
    list_adapters: Annotated[bool, typer.Option("--list", help="List the libraries, and stop.")] = False,
) -> None:
    """Write an adapter for 'metarep check' to start from, in the style of a library's own tutorial."""
    known = shipped()
    if list_adapters:
        width = max(map(len, known))
        for name, each in known.items():
            about, install = each.words
            missing = f" ({', '.join(each.missing)} not installed: {install})" if each.missing else ""
            typer.echo(f"{name:{width}}  {about}{missing}")
        return
    if library is None:
        raise InputError(f"missing argument 'LIBRARY'; allowed: {', '.join(known)}")
    name = library.lower()
    if name not in known:
        spoken_of = [key for key, each in known.items() if name and name in each.words[0].lower()]  # as optax is in jax
        raise InputError(str(unknown("library", library, known, meant=spoken_of)))
    check_file(out)
    there = out.exists()
    if there and not force:
        raise InputError(f"{out} is there already; allowed: another --out, or --force to overwrite it")
    about, install = known[name].words
    write_file(out, known[name].source)
    typer.echo(f"{out} {'overwritten' if there else 'written'}: {about}")
    if known[name].missing:
        typer.echo(f"not installed: {', '.join(known[name].missing)}; {install}")
    typer.echo(f"next: metarep check {shlex.quote(str(out))} --quick")
