"""The command line: the app made of its commands, and every bad input turned into one line and exit code 2."""

import os
import re
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from inspect import cleandoc
from traceback import print_exception
from typing import Annotated, Any

import typer
from rich.markup import escape

from metarep.reports import package_version
from metarep.reports.cli import adapter, certify, check, guarantee, report, simulation, study, sweep, theory
from metarep.reports.cli.options import option
from metarep.reports.page.output import InputError, Interrupted, interruptible

# Typer carries its own copy of Click from some version on and uses Click's before that: find the base classes of its
# errors by way of the one that it exports.
_UsageError: Any = typer.BadParameter.__mro__[1]
_ClickException: Any = typer.BadParameter.__mro__[2]

app = typer.Typer(
    name="metarep",
    help="What is claimed about representation learning by MAML and ANIL: derived, simulated, checked, reported.",
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
ASK, CHECK, SHOW = "Ask", "Check", "Simulate and draw"
COMMANDS: tuple[tuple[str, Callable[..., None], str], ...] = (
    (ASK, report.report, "metarep report --out out --only 'theorem-*'"),
    (ASK, guarantee.guarantee, "metarep guarantee fo-anil --d 50 --k 3 --n 40 --dist0 0.2"),
    (ASK, study.study, "metarep study boil --trials 1"),
    (ASK, theory.derive, "metarep derive fo-maml --format latex"),
    (ASK, theory.claims, "metarep claims stay --chapter 'theorem 1'"),
    (CHECK, check.check, "metarep check metarep_adapter.py --quick"),
    (CHECK, adapter.adapter, "metarep adapter torch --out my_adapter.py"),
    (CHECK, theory.verify, "metarep verify envelope-fo-anil --examples 500 --seed 1"),
    (CHECK, theory.selftest, "metarep selftest --without update-maml --jobs 2"),
    (CHECK, certify.certify, "metarep certify update-maml --out out/certificates"),
    (SHOW, simulation.simulate, "metarep simulate anil --tasks fixed --dist0 0.5 --steps 2500 --out out/run.svg"),
    (SHOW, simulation.rates, "metarep rates fo-maml --n 5"),
    (SHOW, simulation.experiment, "metarep experiment section-6 --out out/figures"),
    (SHOW, sweep.sweep, "metarep sweep --out out/sweep.db --m-out 10:1000:5 --sigma 0.1 --trials 50"),
    (SHOW, sweep.plot, "metarep plot out/sweep.db --x m-out --out out/slopes.svg"),
    (SHOW, report.bench, "metarep bench --no-samples"),
)
"""Group, command, and an example of it."""
for group, command, example in COMMANDS:
    words = "\n\n".join(" ".join(part.split()) for part in cleandoc(str(command.__doc__)).split("\n\n"))
    made = app.command(rich_help_panel=group, help=escape(words), epilog=f"Example: {escape(example)}")
    made(interruptible()(command))


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"metarep {package_version()}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    version: Annotated[
        bool,
        option("Print the version and exit.", "--version", "-V", callback=_print_version, is_eager=True),
    ] = False,
) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


_ALLOWED = (
    (r"not one of (.+)$", r"\1"),
    (r"valid integer|unable to parse string as an integer", "a whole number"),
    (r"valid (number|float)", "a number"),
    (r"missing argument|missing option", "it must be given"),
)
"""What is allowed, by what Typer's message says (its parameters' types do not tell in every version)."""


def _usage_line(error: Any) -> str:
    """What a usage error of Typer's says, as 'what was wrong; allowed: what is allowed'."""
    wrong = " ".join(error.format_message().split()).rstrip(".")
    wrong = wrong[:1].lower() + wrong[1:]
    for pattern, allowed in _ALLOWED:
        if match := re.search(pattern, wrong):
            kind = match.expand(allowed)
            if kind.startswith("a "):  # the rest of the message is the parser's, not the reader's
                wrong = f"{wrong.split(': ')[0]}: not {kind}"
            return f"{wrong}; allowed: {kind}"
    context = getattr(error, "ctx", None)
    return f"{wrong}; allowed: what '{context.command_path if context else 'metarep'} --help' says"


def _complain(line: str) -> int:
    print("metarep: " + " ".join(line.split()), file=sys.stderr)
    return 2


def _reader_left() -> int:
    """The exit code where the reader of a pipe left, as shells have it of SIGPIPE: not that of a verdict."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the interpreter's last flush does not complain
    return 141


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code: 0 fine, 1 a verdict other than the expected one, 2 the input was
    wrong.

    Args:
        arguments: the words after ``metarep``; those of the process unless given.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        code = app(args=words, prog_name="metarep", standalone_mode=False, obj=words)
        sys.stdout.flush()
    except InputError as error:
        if "--traceback" in words and error.__cause__ is not None:
            print_exception(error.__cause__)
        return _complain(str(error))
    except _ClickException as error:
        return _complain(_usage_line(error))
    except MemoryError as error:
        return _complain(f"not enough memory for these sizes ({str(error) or 'out of memory'}); allowed: smaller ones")
    except typer.Abort:  # before a command has begun
        print("metarep: interrupted; nothing is kept", file=sys.stderr)
        return 130
    except Interrupted as stop:
        print(f"metarep: interrupted; {stop}", file=sys.stderr)
        return stop.code
    except BrokenPipeError:
        return _reader_left()
    except SystemExit as left:  # so Typer and Rich end it where the reader of a pipe left
        if isinstance(left.__context__, BrokenPipeError):
            return _reader_left()
        raise
    except OSError as error:  # a full disk under a redirected output, and the like
        with suppress(OSError):
            sys.stdout.close()
        return _complain(f"cannot write ({error.strerror or error}); allowed: an output that takes what is printed")
    return code if isinstance(code, int) else 0
