"""The command that writes an adapter to start from: adapter."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from metarep.reports.adapters import shipped
from metarep.reports.cli.options import OUTPUT, option, out_option, refuse
from metarep.reports.page.output import InputError, check_file, write_file
from metarep.sim.bounds import unknown


def adapter(
    context: typer.Context,
    library: Annotated[
        str | None, typer.Argument(metavar="LIBRARY", help="Which; --list names them.", show_default=False)
    ] = None,
    out: Annotated[Path, out_option("The file to write.", shown=True)] = Path("metarep_adapter.py"),
    force: Annotated[bool, option("Overwrite a file that is there.", "--force", group=OUTPUT)] = False,
    list_adapters: Annotated[bool, option("List the libraries, and stop.", "--list")] = False,
) -> None:
    """Write an adapter for 'metarep check' to start from, in the style of a library's own tutorial."""
    known = shipped()
    if list_adapters:
        refuse(context, "library out force", "--list")
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
