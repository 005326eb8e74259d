"""What a report's jobs found, kept beside the report as it comes in: a report that was stopped goes on, and the next
one begins with what would come out again. A result is reused only if the job, its arguments and the seed among them,
this package's source and the versions below it are the same.
"""

import hashlib
import io
import pickle
import platform
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import is_dataclass
from enum import Enum
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, NamedTuple

from metarep.reports import package_version
from metarep.reports.chapters.chapter import Job
from metarep.reports.page.output import InputError, make_folder
from metarep.sim.compiled import library

FILE = "kept.sqlite"
SCHEMA = """
CREATE TABLE IF NOT EXISTS result (
    key TEXT PRIMARY KEY, made_by TEXT NOT NULL, report TEXT NOT NULL, seconds REAL NOT NULL, pickled BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS unfinished (report TEXT NOT NULL, fresh INTEGER NOT NULL);
"""
ALLOWED = "a file that 'metarep report' wrote; or none, and all is computed anew"


class Found(NamedTuple):
    """A result, how long it took, and when the report began that it was made for."""

    result: Any
    seconds: float
    report: str


class Kept:
    """The results kept in one file.

    Args:
        connection: to the file.
        report: when the report began that is being made.
        reuse: whether results of other reports are taken.
    """

    def __init__(self, connection: sqlite3.Connection, report: str, reuse: bool) -> None:
        self._connection, self.report, self._reuse = connection, report, reuse
        self._works = True

    def of(self, job: Job, *, resumed: bool = False) -> Found | None:
        """What is kept of a job; None if nothing is that can be used. ``resumed``: of the same report alone."""
        columns = "SELECT pickled, seconds, report FROM result WHERE key = ?"
        row = self._connection.execute(columns, (job_key(job),)).fetchone()
        if row is None or not ((self._reuse and not resumed) or row[2] == self.report):
            return None
        try:
            return Found(_PlainData(io.BytesIO(row[0])).load(), *row[1:])
        except Exception:  # whatever a file that was tampered with raises: it is computed anew
            return None

    def keep(self, job: Job, result: Any, seconds: float) -> None:
        """Keep a result. Where that cannot be done (a full disk, a folder that is gone) work goes on without."""
        if not self._works:
            return
        row = (job_key(job), made_by(), self.report, seconds, pickle.dumps(result))
        try:
            with self._connection:
                self._connection.execute("INSERT OR REPLACE INTO result VALUES (?, ?, ?, ?, ?)", row)
        except sqlite3.Error as error:
            self._works = False
            print(f"metarep: from here on nothing is kept ({error})", file=sys.stderr)

    def finish(self) -> None:
        """Note that the report has been written."""
        if self._works:
            with self._connection:
                self._connection.execute("DELETE FROM unfinished")


@contextmanager
def kept_in(folder: Path, report: str, *, resume: bool = False, fresh: bool = False) -> Iterator[Kept]:
    """The results kept in a report's folder.

    Args:
        folder: where the report goes.
        report: when it begins, in UTC.
        resume: it goes on with the one that was stopped there, and takes that one's place.
        fresh: nothing is taken over.

    Raises:
        InputError: the file cannot be used, or nothing was stopped there.
    """
    path = folder / FILE
    nothing = InputError(
        f"resume: no report was stopped in {folder}; allowed: a folder with a report that was stopped; without "
        f"--resume what {FILE} there holds is reused"
    )
    if resume and not path.is_file():
        raise nothing
    make_folder(folder)
    try:
        with closing(sqlite3.connect(path, timeout=60)) as connection:
            connection.executescript(SCHEMA)
            stopped = connection.execute("SELECT report, fresh FROM unfinished").fetchone()
            if resume and stopped is None:
                raise nothing
            report, fresh = stopped if resume else (report, fresh)
            kept = Kept(connection, report, reuse=not fresh)
            with connection:
                connection.execute("DELETE FROM result WHERE made_by != ?", (made_by(),))
                connection.execute("DELETE FROM unfinished")
                connection.execute("INSERT INTO unfinished VALUES (?, ?)", (report, fresh))
            yield kept
    except sqlite3.Error as error:
        raise InputError(f"cannot use {path} ({error}); allowed: {ALLOWED}") from error


# --- what a result depends on


def job_key(job: Job) -> str:
    """All that a job's result depends on, as a hash."""
    key, function, arguments = job
    return _digest(made_by(), repr((key, function.__module__, function.__qualname__, arguments)))


def versions() -> dict[str, str]:
    """Versions of what the numbers depend on."""
    found = {"metarep": package_version(), "python": platform.python_version()}
    for name in ("numpy", "scipy", "sympy", "hypothesis", "python-flint", "matplotlib"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found | {"steps": "by NumPy" if library() is None else "compiled"}


@cache
def made_by() -> str:
    """This package's source and the versions below it, as a hash."""
    packages = ("metarep.sim", "metarep.theory", "metarep.reports")
    source = (part for package in packages for part in _source(files(package), package))
    return _digest(platform.machine(), repr(versions()), *source)


def _source(folder: Traversable, name: str) -> Iterator[str]:
    for item in sorted(folder.iterdir(), key=lambda item: item.name):
        if item.is_dir():
            yield from _source(item, f"{name}/{item.name}")
        elif item.name.endswith((".py", ".toml", ".v", ".c")):
            yield from (f"{name}/{item.name}", item.read_text(encoding="utf-8"))


def _digest(*parts: str) -> str:
    found = hashlib.sha256()
    for part in parts:
        found.update(f"{len(part)} {part}".encode())
    return found.hexdigest()


# --- reading without running


PLAIN = {
    "builtins": {"complex", "frozenset", "set", "slice"},
    "collections": {"Counter", "OrderedDict", "defaultdict"},
    "fractions": {"Fraction"},
    "numpy": {"dtype", "ndarray"},
    "numpy._core.multiarray": {"_reconstruct", "scalar"},
    "numpy._core.numeric": {"_frombuffer"},
}
"""What results are made of besides this package's records."""


class _PlainData(pickle.Unpickler):
    """Of a file that somebody else may have written nothing is run: it may make records and numbers, nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        if name in PLAIN.get(module, ()):
            return super().find_class(module, name)
        if module.startswith("metarep.") and "." not in name:
            found = super().find_class(module, name)
            if isinstance(found, type) and (is_dataclass(found) or issubclass(found, Enum | tuple)):
                return found
        raise pickle.UnpicklingError(f"{module}.{name}")
