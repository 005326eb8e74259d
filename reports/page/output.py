"""Whatever leaves the program: files written whole or not at all, plain JSON, progress on a terminal, bad input in one
line.
"""

import json
import math
import os
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

Progress = Callable[[int, int], None]
"""Told (done, in all)."""


class InputError(Exception):
    """The input was wrong; the message says what, and what is allowed. Ends the program with exit code 2."""


class Interrupted(Exception):
    """Work that was stopped from outside; the message says what is kept and how to go on.

    Args:
        kept: the message.
        code: the exit code.
    """

    def __init__(self, kept: str, code: int) -> None:
        super().__init__(kept)
        self.code = code


class Terminated(KeyboardInterrupt):
    """SIGTERM: an interruption that does not come from the keyboard."""


@contextmanager
def interruptible(kept: Callable[[], str] = lambda: "nothing is kept") -> Iterator[None]:
    """Turn Ctrl-C and SIGTERM into ``Interrupted`` with what is said then: what is kept, and how to go on. That is said
    where a worker process was killed, too.
    """
    from metarep.theory.work.processes import LostError

    try:
        yield
    except LostError as lost:
        raise InputError(f"{lost}; {kept()}; allowed: fewer --jobs") from lost
    except KeyboardInterrupt as stop:
        raise Interrupted(kept(), 143 if isinstance(stop, Terminated) else 130) from stop


@contextmanager
def checking_input() -> Iterator[None]:
    """Turn the ``ValueError`` of a validation into an ``InputError``. Only validations go inside: a bug must not look
    like bad input.
    """
    try:
        yield
    except ValueError as error:
        raise InputError(str(error)) from error


def check_whole(name: str, value: int, least: int, most: int | None = None) -> int:
    """``value``, or an ``InputError`` if it is below ``least`` or above ``most``."""
    if value < least or (most is not None and value > most):
        allowed = f"{least} or more" if most is None else f"{least} to {most}"
        raise InputError(f"{name} is {value}; allowed: a whole number, {allowed}")
    return value


# --- files


def _cannot_write(path: Path, reason: str) -> InputError:
    return InputError(f"cannot write {path}: {reason}; allowed: a path in a folder that can be written")


def _check_folder(folder: Path, path: Path) -> None:
    """``InputError`` unless ``folder`` is, or can be made, a folder that can be written."""
    try:
        existing = folder.absolute()
        while not existing.exists() and existing != existing.parent:
            existing = existing.parent
        if not existing.is_dir():
            raise _cannot_write(path, f"{existing} is not a folder")
        if not os.access(existing, os.W_OK | os.X_OK):
            raise _cannot_write(path, f"no permission in {existing}")
    except (OSError, ValueError) as error:  # a name too long, a null byte
        raise _cannot_write(path, _reason(error)) from error


def _reason(error: Exception) -> str:
    return (error.strerror or type(error).__name__) if isinstance(error, OSError) else str(error)


def check_file(path: Path) -> None:
    """``InputError`` unless a file can be written at ``path``; to be asked before long work. Creates nothing."""
    _check_folder(path.parent, path)
    if path.is_dir():
        raise _cannot_write(path, "it is a folder")


def make_folder(path: Path) -> None:
    """Create the folder ``path`` and those above it where they are missing; ``InputError`` if that cannot be."""
    _check_folder(path, path)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _cannot_write(path, _reason(error)) from error


def write_file(path: Path, content: str | bytes) -> None:
    """Write a file whole or not at all. ``InputError`` if it cannot be written."""
    make_folder(path.parent)
    check_file(path)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with _writing(path):
            part.write_bytes(content.encode() if isinstance(content, str) else content)
            os.replace(part, path)
    finally:
        with suppress(OSError):  # it is gone when all went well
            part.unlink()


REPLACING = ".replacing"
"""Folder of files that are all written and take the places of those of the same names in the folder above it."""


def write_files(folder: Path, contents: Mapping[str, str | bytes]) -> None:
    """Write files that belong together into a folder: all or none of them, wherever this is stopped. They are written
    beside the older ones; one renaming settles that they replace these, and what does not come to its end after that
    ``finish_replacing`` does, whoever calls it.

    Args:
        folder: made if missing.
        contents: by names, some of them with one folder before them, as "figures/a.svg".

    Raises:
        InputError: one cannot be written.
    """
    for name in contents:
        make_folder((folder / name).parent)
        check_file(folder / name)
    new = folder / f".new-{os.getpid()}"
    try:
        with _writing(folder):
            new.mkdir()
        for name, content in contents.items():
            with _writing(folder / name):
                (new / name).parent.mkdir(exist_ok=True)  # none above it: if that is gone, so is what was in it
                (new / name).write_bytes(content.encode() if isinstance(content, str) else content)
        finish_replacing(folder)
        with _writing(folder):
            os.replace(new, folder / REPLACING)
    finally:
        for stopped in folder.glob(".new-*"):  # this one if it failed, and those of processes that were killed
            shutil.rmtree(stopped, ignore_errors=True)
    finish_replacing(folder)


def finish_replacing(folder: Path) -> bool:
    """Whether files in the folder were being replaced when that was stopped. They have all been replaced then.

    Raises:
        InputError: one cannot be replaced.
    """
    new = folder / REPLACING
    if not new.is_dir():
        return False
    for part in sorted(new.rglob("*")):
        if not part.is_dir():
            path = folder / part.relative_to(new)
            make_folder(path.parent)
            with _writing(path):
                os.replace(part, path)
    shutil.rmtree(new, ignore_errors=True)
    return True


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _cannot_write(path, _reason(error)) from error


LARGEST = 10**8
"""Bytes of a report.json that is read: some thirty times what one has. A device has no end."""


def read_file(path: Path) -> bytes:
    """The content of a file; ``InputError`` if it cannot be read."""
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read {path}: {_reason(error)}; allowed: a report.json") from error
    if len(content) > LARGEST:
        raise InputError(f"{path} has more than {LARGEST} bytes; allowed: a report.json")
    return content


# --- plain data


def plain(value: Any) -> Any:
    """``value`` as JSON has it: records as objects, NumPy's numbers and arrays as numbers and lists, NaN and infinities
    as null, keys as strings.
    """
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item) for item in (sorted(value) if isinstance(value, (set, frozenset)) else value)]
    if not isinstance(value, type) and hasattr(value, "tolist"):  # of NumPy, which the command line's help does without
        return plain(value.tolist())
    if isinstance(value, complex):
        return {"re": plain(value.real), "im": plain(value.imag)}
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)


def as_json(value: Any) -> str:
    """``value`` as JSON text that every parser accepts."""
    return json.dumps(plain(value), indent=2, ensure_ascii=False, allow_nan=False)


def as_csv(header: tuple[str, ...], rows: list[tuple[Any, ...]]) -> str:
    """Rows as CSV text; floats with all their digits. No field of ours needs more than quotes around commas."""

    def field(value: Any) -> str:
        value = value.tolist() if hasattr(value, "tolist") else value  # NumPy's numbers
        text = repr(value) if isinstance(value, float) else str(value)
        return f'"{text}"' if "," in text else text

    return "\n".join(",".join(map(field, row)) for row in [header, *rows]) + "\n"


# --- the terminal


TELL_EVERY = 30.0
"""Seconds between lines of progress where there is no terminal."""


@contextmanager
def _progress_lines(what: str, every: float) -> Iterator[Progress]:
    """Tells every so many seconds how far it is and how long the rest will take; from a thread: a job may be long."""
    began, over = time.monotonic(), threading.Event()
    at, before = (0, 0), None

    def tell(done: int, total: int) -> None:
        nonlocal at, before
        at, before = (done, total), done if before is None else before

    def lines() -> None:
        while not over.wait(every):
            took, (done, total) = time.monotonic() - began, at
            new = done - (before or 0)  # what was there when it began took no time now
            left = f", about {took / new * (total - done):.0f} s left" if new and done < total else ""
            of = f"{done} of {total} " if total else ""
            print(f"{what}: {of}after {took:.0f} s{left}", file=sys.stderr, flush=True)

    thread = threading.Thread(target=lines, daemon=True)
    thread.start()
    try:
        yield tell
    finally:
        over.set()
        thread.join()


@contextmanager
def progress_bar(what: str, every: float | None = None) -> Iterator[Progress]:
    """A progress bar on stderr; where that is not a terminal, a line every so many seconds."""
    if not sys.stderr.isatty():
        with _progress_lines(what, TELL_EVERY if every is None else every) as told:
            yield told
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn())
    with Progress(TextColumn("{task.description}"), *columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


class Counted:
    """Progress that goes on to ``shown`` and is remembered: as text "3 of 7", for whoever is interrupted."""

    def __init__(self, total: int = 0) -> None:
        self.done, self.total = 0, total
        self.shown: Progress = lambda done, total: None

    def __call__(self, done: int, total: int) -> None:
        """Remember, and pass on."""
        self.done, self.total = done, total
        self.shown(done, total)

    def __str__(self) -> str:
        return f"{self.done} of {self.total}"


def print_table(header: tuple[str, ...], rows: list[tuple[str, ...]], numeric: tuple[int, ...] = ()) -> None:
    """A table on stdout, columns in ``numeric`` aligned to the right."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for column, title in enumerate(header):
        table.add_column(title, justify="right" if column in numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    console = Console()
    # Not on a terminal nobody wants lines folded at 80 columns: as wide as it needs.
    Console(width=None if console.is_terminal else 10_000, highlight=False).print(table)
