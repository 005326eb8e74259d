"""Sweeps: the SQLite file that grows as results come in, and running what is missing, here or on a cluster.

A file holds one sweep: its seed, and for every finished cell the cell and its replicates, written in one transaction.
Starting again with the same file runs only the cells that are not there, so an interruption loses at most the cells
under way.
"""

import json
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from joblib import Parallel, delayed, parallel_config

from metarep.reports.page.output import InputError, Progress, check_file, make_folder
from metarep.reports.sweep.designs import MOST_SETTINGS
from metarep.sim.sweeps import Cell, Replicate, SweepSetting, cells, run_cell
from metarep.theory.work.processes import working

Backend = Literal["loky", "dask"]
SCHEMA = """
CREATE TABLE IF NOT EXISTS sweep (seed INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS cell (
    key TEXT PRIMARY KEY, setting TEXT NOT NULL, block INTEGER NOT NULL, mode TEXT NOT NULL, seconds REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS replicate (
    cell TEXT NOT NULL REFERENCES cell (key), number INTEGER NOT NULL, outcome TEXT NOT NULL,
    dist_start REAL NOT NULL, dist_end REAL, floor REAL, PRIMARY KEY (cell, number)
);
"""


# --- the file


SQLITE = b"SQLite format 3\0"
"""What such a file begins with."""
ALLOWED = "a file written by 'metarep sweep', or a new one"


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
        with closing(sqlite3.connect(path)) as connection:
            yield connection
    except sqlite3.DatabaseError as error:
        raise InputError(f"cannot use {path} ({error}); allowed: {ALLOWED}") from error


def _open(connection: sqlite3.Connection, path: Path, seed: int) -> set[str]:
    """Make or check the tables; keys of the cells that are done."""
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if tables not in (set(), {"sweep", "cell", "replicate"}):
        raise sqlite3.DatabaseError("its tables are not a sweep's")
    connection.executescript(SCHEMA)
    stored = connection.execute("SELECT seed FROM sweep").fetchone()
    if stored is None:
        with connection:
            connection.execute("INSERT INTO sweep VALUES (?)", (seed,))
    elif stored[0] != seed:
        raise InputError(f"{path} holds a sweep with seed {stored[0]}, not {seed}; allowed: that seed, or another file")
    return {key for (key,) in connection.execute("SELECT key FROM cell")}


def _store(connection: sqlite3.Connection, cell: Cell, rows: list[Replicate], mode: str, seconds: float) -> None:
    with connection:  # one transaction: a cell is there whole or not at all
        connection.execute(
            "INSERT INTO cell VALUES (?, ?, ?, ?, ?)", (cell.key, cell.setting.key, cell.block, mode, seconds)
        )
        connection.executemany(
            "INSERT INTO replicate VALUES (?, ?, ?, ?, ?, ?)",
            [(cell.key, row.number, row.outcome, row.dist_start, row.dist_end, row.floor) for row in rows],
        )


@dataclass(frozen=True)
class SweepRow:
    """One replicate with its setting."""

    setting: SweepSetting
    replicate: Replicate


def read_sweep(path: Path) -> list[SweepRow]:
    """All rows of a sweep's file, in an order that does not depend on how it was run.

    Raises:
        InputError: not such a file.
    """
    if not path.is_file():
        raise InputError(f"there is no file {path}; allowed: a file written by 'metarep sweep'")
    columns = "setting, number, outcome, dist_start, dist_end, floor"
    with _database(path) as connection:
        found = connection.execute(
            f"SELECT {columns} FROM replicate JOIN cell ON cell = key ORDER BY setting, number"
        ).fetchall()
    settings = {text: SweepSetting(**json.loads(text)) for text in {row[0] for row in found}}
    return [SweepRow(settings[row[0]], Replicate(*row[1:])) for row in found]


# --- running


def _timed_cell(cell: Cell, seed: int) -> tuple[Cell, list[Replicate], str, float]:
    started = time.perf_counter()
    rows, mode = run_cell(cell, seed)
    return cell, rows, mode, time.perf_counter() - started


@contextmanager
def _working(missing: list[Cell], seed: int, jobs: int, backend: Backend, scheduler: str | None) -> Iterator[Any]:
    """The results of the cells as they come in."""
    if backend == "loky":
        tasks = ((_timed_cell, (cell, seed)) for cell in missing)
        with parallel_config(backend="loky", inner_max_num_threads=1), working(tasks, jobs, len(missing)) as results:
            yield results
        return
    try:
        from distributed import Client  # pyright: ignore[reportMissingImports]  # an optional extra
    except ImportError:
        allowed = "pip install 'metarep[dask]', or --backend loky"
        raise InputError(f"the dask backend needs Dask; allowed: {allowed}") from None
    try:
        client = Client(scheduler, timeout="10s") if scheduler else Client(n_workers=2, threads_per_worker=1)
    except (OSError, TimeoutError, ValueError) as error:
        what = f"no Dask scheduler at {scheduler} ({type(error).__name__})"
        raise InputError(f"{what}; allowed: ADDRESS:PORT of one") from error
    with client, parallel_config(backend="dask"):  # which hands results out in order of submission only
        yield Parallel(n_jobs=jobs, return_as="generator")(delayed(_timed_cell)(cell, seed) for cell in missing)


@dataclass(frozen=True)
class SweepSummary:
    """What a run of a sweep did."""

    cells: int
    already_there: int
    replicates: int
    seconds: float
    outcomes: dict[str, int]
    modes: dict[str, int]


def run_sweep(
    path: Path,
    settings: Sequence[SweepSetting],
    replicates: int,
    seed: int,
    *,
    block: int = 250,
    jobs: int = -1,
    backend: Backend = "loky",
    scheduler: str | None = None,
    progress: Progress | None = None,
) -> SweepSummary:
    """Run the cells that are not in the file yet, storing each as it comes in.

    Args:
        path: the SQLite file, made if missing.
        settings: the design.
        replicates: runs per setting.
        seed: with a cell's key it fixes the cell's content.
        block: replicates per cell; part of what fixes the content, as it is a cell's batch.
        jobs: processes (loky); −1 for all cores.
        backend: ``loky`` for this machine, ``dask`` for a cluster.
        scheduler: address of the Dask scheduler; a local two-worker cluster unless given.
        progress: told (cells done, cells in all).

    Raises:
        InputError: the file is no sweep's or another seed's, or the cluster cannot be had.
    """
    check_file(path)
    make_folder(path.parent)
    blocks = -(-replicates // block) * len(settings)
    if blocks > MOST_SETTINGS:
        raise InputError(
            f"this is {blocks} blocks of replicates; allowed: {MOST_SETTINGS} at most, --block is their size"
        )
    wanted = cells(list(settings), replicates, block)
    started = time.perf_counter()
    with _database(path) as connection:
        done = _open(connection, path, seed)
        missing = [cell for cell in wanted if cell.key not in done]
        there = len(wanted) - len(missing)
        if missing:
            with _working(missing, seed, jobs, backend, scheduler) as results:
                for finished, (cell, rows, mode, seconds) in enumerate(results, start=there + 1):
                    _store(connection, cell, rows, mode, seconds)
                    if progress is not None:
                        progress(finished, len(wanted))
        outcomes = dict(connection.execute("SELECT outcome, COUNT(*) FROM replicate GROUP BY outcome ORDER BY outcome"))
        modes = dict(connection.execute("SELECT mode, COUNT(*) FROM cell GROUP BY mode ORDER BY mode"))
    seconds = time.perf_counter() - started
    return SweepSummary(len(wanted), there, sum(outcomes.values()), seconds, outcomes, modes)
