"""Sweeps: the SQLite file that grows as results come in, and running what is missing, here or on a cluster.

A file holds one sweep: its seed, its settings, each with how its runs are computed, and the runs. These come in whole
batches, a transaction each; starting again with the same file, or with more replicates or settings, runs only what is
not there, so an interruption loses the batches under way at most. While a sweep runs its file can be read, and no
other one can write to it.
"""

import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, fields
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np
from joblib import Parallel, delayed, parallel_config

from metarep.reports.page.output import InputError, Progress, check_file, make_folder
from metarep.sim.compiled import library
from metarep.sim.sweeps import OUTCOMES, RUNS, Portion, SweepSetting, batches, mode_of, run_batch
from metarep.theory.work.processes import Task, working

Array = np.ndarray
Backend = Literal["loky", "dask"]

MOST_RUNS = 10**8
"""Runs of a sweep: 4 GB."""
FORMAT = 2
"""Of the file, as ``PRAGMA user_version`` has it; files with JSON for keys had none."""
_AXES = ", ".join(field.name for field in fields(SweepSetting))
_COLUMNS = ", ".join(RUNS.names or ())
_SAME = ", ".join(f"ifnull({field.name}, -1)" for field in fields(SweepSetting))
SCHEMA = f"""
PRAGMA user_version = {FORMAT};
CREATE TABLE sweep (seed INTEGER NOT NULL);
CREATE TABLE outcome (id INTEGER PRIMARY KEY, name TEXT NOT NULL);
CREATE TABLE setting (id INTEGER PRIMARY KEY, {_AXES}, mode TEXT NOT NULL);
CREATE UNIQUE INDEX same_setting ON setting ({_SAME});
CREATE TABLE run (
    setting INTEGER NOT NULL REFERENCES setting (id), number INTEGER NOT NULL,
    outcome INTEGER NOT NULL REFERENCES outcome (id),
    dist_start REAL NOT NULL, dist_end REAL, floor REAL, PRIMARY KEY (setting, number)
) WITHOUT ROWID;
"""


# --- the file


SQLITE = b"SQLite format 3\0"
"""What such a file begins with."""
ALLOWED = "a file written by 'metarep sweep', or a new one"
_CAUSES = {
    sqlite3.SQLITE_BUSY: ("it is in use by another sweep, or being plotted", "one at a time, or another file"),
    sqlite3.SQLITE_FULL: ("no space is left; finished runs are kept", "the same again where there is space"),
    sqlite3.SQLITE_IOERR: ("its disk reports an error; finished runs are kept", "the same again, or another disk"),
    sqlite3.SQLITE_READONLY: ("it cannot be written", "a file that can be"),
    sqlite3.SQLITE_CANTOPEN: ("it cannot be opened", "a file in a folder that can be written"),
}
"""What SQLite's errors mean here, and what is allowed."""


@contextmanager
def _database(path: Path) -> Iterator[sqlite3.Connection]:
    try:
        beginning = b""
        if path.is_file():
            with path.open("rb") as file:
                beginning = file.read(len(SQLITE))
    except OSError as error:
        raise InputError(f"cannot read {path} ({error.strerror}); allowed: a file that can be read") from error
    if beginning and beginning != SQLITE:  # SQLite takes some files for empty ones that are not
        raise InputError(f"cannot use {path} (not a database); allowed: {ALLOWED}")
    try:
        # A moment's patience: transactions are begun and ended here by hand.
        with closing(sqlite3.connect(path, timeout=0.5, isolation_level=None)) as connection:
            yield connection
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the rest tells kinds of the same error apart
        cause, allowed = _CAUSES.get(code, (str(error), ALLOWED))
        raise InputError(f"cannot use {path} ({cause}); allowed: {allowed}") from error


def _check_format(connection: sqlite3.Connection, path: Path) -> bool:
    """Whether the file holds a sweep already.

    Raises:
        InputError: it holds something else.
    """
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version == FORMAT and tables == {"sweep", "outcome", "setting", "run"}:
        return True
    if tables == {"sweep", "cell", "replicate"}:
        raise InputError(
            f"cannot use {path} (a sweep of an older metarep, by whose seeds runs differ); allowed: {ALLOWED}"
        )
    if tables or version:
        raise InputError(f"cannot use {path} (its tables are not a sweep's); allowed: {ALLOWED}")
    return False


def _open(connection: sqlite3.Connection, path: Path, seed: int) -> None:
    """Make or check the tables, and keep others from writing: a transaction is open whenever nothing is stored."""
    _check_format(connection, path)  # what is not ours stays as it is
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")  # what a power cut takes is computed again
    connection.execute("BEGIN IMMEDIATE")
    if not _check_format(connection, path):
        for statement in SCHEMA.split(";"):
            connection.execute(statement)
        connection.execute("INSERT INTO sweep VALUES (?)", (seed,))
        connection.executemany("INSERT INTO outcome VALUES (?, ?)", enumerate(each.value for each in OUTCOMES))
        _commit(connection)
    (stored,) = connection.execute("SELECT seed FROM sweep").fetchone()
    if stored != seed:
        raise InputError(f"{path} holds a sweep with seed {stored}, not {seed}; allowed: that seed, or another file")


def _commit(connection: sqlite3.Connection) -> None:
    connection.execute("COMMIT")
    connection.execute("BEGIN IMMEDIATE")


def _settings(connection: sqlite3.Connection) -> dict[SweepSetting, tuple[int, str]]:
    """Those of the file: id and mode."""
    found = connection.execute(f"SELECT {_AXES}, id, mode FROM setting ORDER BY {_AXES}")
    return {SweepSetting(*values): (number, mode) for *values, number, mode in found}


def _known(
    connection: sqlite3.Connection, path: Path, settings: Sequence[SweepSetting], replicates: int
) -> dict[SweepSetting, tuple[int, str]]:
    """The file's settings with the new ones among these, for which it is now settled how they are computed."""
    known = _settings(connection)
    new: dict[SweepSetting, list[SweepSetting]] = {}
    for setting in dict.fromkeys(settings):
        if setting not in known:
            new.setdefault(setting.shape, []).append(setting)
    modes = {shape: mode_of(shape, replicates * len(members)) for shape, members in new.items()}
    marks = ", ".join("?" * (len(fields(SweepSetting)) + 1))
    for setting in dict.fromkeys(settings):
        if setting not in known:
            values = tuple(getattr(setting, field.name) for field in fields(setting))
            row = (*values, modes[setting.shape])
            added = connection.execute(f"INSERT INTO setting ({_AXES}, mode) VALUES ({marks})", row)
            known[setting] = added.lastrowid or 0, modes[setting.shape]
    if "compiled" in {known[each][1] for each in settings} and library() is None:
        raise InputError(
            f"{path} holds compiled runs and nothing is compiled here; allowed: metarep installed where there is a C "
            "compiler, or another file"
        )
    _commit(connection)
    return known


def _missing(connection: sqlite3.Connection, ids: dict[SweepSetting, int], replicates: int) -> list[Portion]:
    """What is not there yet of the first so many replicates of these settings."""
    there = dict(
        connection.execute("SELECT setting, COUNT(*) FROM run WHERE number < ? GROUP BY setting", (replicates,))
    )
    found = []
    for setting, number in ids.items():
        if there.get(number, 0) == replicates:
            continue
        numbers = [-1, replicates]
        if number in there:
            some = connection.execute("SELECT number FROM run WHERE setting = ? AND number < ?", (number, replicates))
            numbers[1:1] = sorted(each for (each,) in some)
        gaps = pairwise(numbers)
        found += [Portion(setting, before + 1, after) for before, after in gaps if after > before + 1]
    return found


def _store(connection: sqlite3.Connection, ids: Array, runs: Array) -> None:
    marks = ", ".join("?" * (len(RUNS.names or ()) + 1))
    rows = ((number, *row) for number, row in zip(ids.tolist(), runs.tolist(), strict=True))  # NaN is stored as NULL
    connection.executemany(f"INSERT INTO run (setting, {_COLUMNS}) VALUES ({marks})", rows)
    _commit(connection)


@dataclass(frozen=True, eq=False)
class SweepRuns:
    """What a file holds, in an order that does not depend on how it came there."""

    settings: tuple[SweepSetting, ...]
    """Those with runs, sorted."""
    setting: Array
    """Of each run, its setting as an index."""
    runs: Array
    """``metarep.sim.sweeps.RUNS``, by settings and numbers."""


def read_sweep(path: Path) -> SweepRuns:
    """All runs of a sweep's file.

    Raises:
        InputError: not such a file.
    """
    if not path.is_file():
        raise InputError(f"there is no file {path}; allowed: a file written by 'metarep sweep'")
    kept = RUNS.names or ()
    with _database(path) as connection:
        if not _check_format(connection, path):
            raise InputError(f"{path} holds nothing; allowed: a file written by 'metarep sweep'")
        known = _settings(connection)
        # SQLite has no NaN, and what stands for it is infinite.
        columns = ", ".join(f"ifnull({name}, 9e999)" for name in kept)
        found = connection.execute(f"SELECT setting, {columns} FROM run")
        table = np.fromiter(found, dtype=[("setting", "i8"), *((name, RUNS[name]) for name in kept)])
    there = set(table["setting"].tolist())
    ids = {setting: number for setting, (number, _) in known.items() if number in there}
    place = np.zeros(max(there, default=0) + 1, dtype=int)
    place[list(ids.values())] = np.arange(len(ids))
    setting, runs = place[table["setting"]], np.empty(len(table), RUNS)
    for name in kept:
        column = table[name]
        runs[name] = np.where(np.isinf(column), np.nan, column) if column.dtype.kind == "f" else column
    order = np.lexsort((runs["number"], setting))
    return SweepRuns(tuple(ids), setting[order], runs[order])


# --- running


@contextmanager
def _working(tasks: list[Task], jobs: int, backend: Backend, scheduler: str | None) -> Iterator[Any]:
    """The results of the batches as they come in."""
    if backend == "loky":
        with parallel_config(backend="loky", inner_max_num_threads=1), working(tasks, jobs, len(tasks)) as results:
            yield results
        return
    try:
        from distributed import Client  # pyright: ignore[reportMissingImports]  # an optional extra
    except ImportError:
        allowed = "pip install 'metarep[dask]', or --backend loky"
        raise InputError(f"the dask backend needs Dask; allowed: {allowed}") from None
    try:
        client = (
            Client(scheduler, timeout="10s")
            if scheduler
            else Client(n_workers=2, threads_per_worker=1, dashboard_address=None)
        )
    except (OSError, TimeoutError, ValueError) as error:
        what = f"no Dask scheduler at {scheduler} ({type(error).__name__})"
        raise InputError(f"{what}; allowed: ADDRESS:PORT of one") from error
    with client, parallel_config(backend="dask"):  # which hands results out in order of submission only
        yield Parallel(n_jobs=jobs, return_as="generator")(
            delayed(function)(*arguments) for function, arguments in tasks
        )


@dataclass(frozen=True)
class SweepSummary:
    """What a run of a sweep did."""

    settings: int
    """Of this design."""
    runs: int
    """Of this design, all of which are now there."""
    already_there: int
    """Of these, how many were there before."""
    seconds: float
    outcomes: dict[str, int]
    """Runs of the file by their outcomes."""
    modes: dict[str, int]
    """Settings of the file by how they are computed."""


def _numbered(place: int, batch: list[Portion], seed: int, mode: str) -> tuple[int, Array]:
    return place, run_batch(batch, seed, mode)


def run_sweep(
    path: Path,
    settings: Sequence[SweepSetting],
    replicates: int,
    seed: int,
    *,
    jobs: int = -1,
    backend: Backend = "loky",
    scheduler: str | None = None,
    progress: Progress | None = None,
) -> SweepSummary:
    """Run what is not in the file yet, storing each batch as it comes in.

    Args:
        path: the SQLite file, made if missing.
        settings: the design.
        replicates: runs per setting; where there are fewer, those that lack are run.
        seed: with a setting and a run's number it fixes the run.
        jobs: processes (loky); −1 for all cores.
        backend: ``loky`` for this machine, ``dask`` for a cluster.
        scheduler: address of the Dask scheduler; a local two-worker cluster unless given.
        progress: told (runs done, runs in all).

    Raises:
        InputError: the file is no sweep's or another seed's, in use or cannot be written; or there is no cluster.
    """
    check_file(path)
    make_folder(path.parent)
    settings = list(dict.fromkeys(settings))
    total = replicates * len(settings)
    if total > MOST_RUNS:
        raise InputError(f"this is {total} runs; allowed: {MOST_RUNS} at most")
    started = time.perf_counter()
    with _database(path) as connection:
        _open(connection, path, seed)
        known = _known(connection, path, settings, replicates)
        missing = _missing(connection, {setting: known[setting][0] for setting in settings}, replicates)
        done = there = total - sum(portion.runs for portion in missing)
        if progress is not None:
            progress(done, total)
        # By mode, too: one setting of a shape may have been there before the others.
        by_mode: dict[str, list[Portion]] = {}
        for portion in missing:
            by_mode.setdefault(known[portion.setting][1], []).append(portion)
        work = [(batch, mode) for mode, portions in by_mode.items() for batch in batches(portions)]
        if work:
            tasks = [(_numbered, (place, batch, seed, mode)) for place, (batch, mode) in enumerate(work)]
            with _working(tasks, jobs, backend, scheduler) as results:
                for place, runs in results:
                    batch = work[place][0]
                    ids = [known[portion.setting][0] for portion in batch]
                    _store(connection, np.repeat(ids, [portion.runs for portion in batch]), runs)
                    done += len(runs)
                    if progress is not None:
                        progress(done, total)
        outcomes = "SELECT name, COUNT(*) FROM run JOIN outcome ON outcome = outcome.id GROUP BY name ORDER BY name"
        modes = "SELECT mode, COUNT(*) FROM setting GROUP BY mode ORDER BY mode"
        counts = dict(connection.execute(outcomes)), dict(connection.execute(modes))
        connection.execute("COMMIT")
        connection.execute("PRAGMA journal_mode = DELETE")  # one plain file again, unless somebody is reading it
    return SweepSummary(len(settings), total, there, time.perf_counter() - started, *counts)
