"""Sweeps: designs, the SQLite file that grows as results come in, and running what is missing, here or on a cluster.

A file holds one sweep: its seed, and for every finished cell the cell and its replicates, written in one transaction.
Starting again with the
same file runs only the cells that are not there, so an interruption loses at most the cells under way.
"""

import json
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, fields
from math import prod
from pathlib import Path
from typing import Any, Literal

import numpy as np
from joblib import Parallel, delayed, parallel_config

from metarep.reports.page.output import InputError, Progress, check_file
from metarep.sim.sweeps import Cell, Replicate, SweepSetting, cells, grid, run_cell

Backend = Literal["loky", "dask"]
AXES = tuple(field.name for field in fields(SweepSetting))
WORDS = ("learner", "start", "tasks")
"""Axes whose values are words."""
WHOLE = ("d", "k", "n", "m_in", "m_out", "steps")
"""Axes whose values are whole numbers."""
GEOMETRIC = ("d", "k", "n", "alpha", "beta", "m_in", "m_out", "steps")
"""Axes whose ranges are spread evenly in the logarithm; the others (sigma, dist0) evenly."""

MOST_SETTINGS = 10**6
"""Settings of a sweep, and blocks of replicates, at most."""

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


# --- designs
# --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Range:
    """An axis given as ``low:high`` or ``low:high:count``."""

    low: float
    high: float
    count: int | None


def parse_axis(name: str, text: str) -> list[Any] | Range:
    """An axis of a design: ``0.1``, ``0.1,0.2``, ``0.01:1:5`` (five values), ``0.01:1`` (a range, for random designs).

    ``none`` stands for the population (m_in, m_out) or a random start (dist0).

    Raises:
        InputError: it is none of these.
    """
    if name in WORDS:
        return [part.strip() for part in text.split(",")]
    if ":" in text:
        parts = text.split(":")
        allowed = "low:high or low:high:count with low < high"
        try:
            low, high = (float(part) for part in parts[:2])
            count = int(parts[2]) if len(parts) == 3 else None
        except ValueError:
            raise InputError(f"{name} is {text!r}; allowed: {allowed}") from None
        positive = name not in GEOMETRIC or low > 0
        if count is not None and count > MOST_SETTINGS:
            raise InputError(f"{name} is {text!r}; allowed: {MOST_SETTINGS} values at most")
        if len(parts) > 3 or not low < high or not positive or (count is not None and count < 2):
            raise InputError(f"{name} is {text!r}; allowed: {allowed}")
        return Range(low, high, count)
    return [_number(name, part.strip()) for part in text.split(",")]


def _number(name: str, text: str) -> Any:
    if text.lower() in ("none", "inf") and name in ("m_in", "m_out", "dist0"):
        return None
    try:
        return int(text) if name in WHOLE else float(text)
    except ValueError:
        kind = "a whole number" if name in WHOLE else "a number"
        raise InputError(f"{name} is {text!r}; allowed: {kind}, several with commas, or low:high:count") from None


def _spread(name: str, axis: Range, count: int) -> list[Any]:
    spaced = np.geomspace if name in GEOMETRIC else np.linspace
    values = spaced(axis.low, axis.high, count)
    return list(dict.fromkeys(round(value) for value in values)) if name in WHOLE else [float(v) for v in values]


def _drawn(name: str, axis: list[Any] | Range, rng: np.random.Generator) -> Any:
    if isinstance(axis, list):
        return axis[int(rng.integers(len(axis)))]
    if name in GEOMETRIC:
        value = float(np.exp(rng.uniform(np.log(axis.low), np.log(axis.high))))
    else:
        value = float(rng.uniform(axis.low, axis.high))
    return round(value) if name in WHOLE else value


def design(axes: dict[str, str], random: int | None, seed: int) -> list[SweepSetting]:
    """The settings of a grid (every combination), or ``random`` settings drawn from the axes.

    Raises:
        InputError: an axis or a setting makes no sense.
    """
    parsed = {name: parse_axis(name, text) for name, text in axes.items()}
    try:
        if random is not None:
            rng = np.random.default_rng([seed, 1])
            return [
                SweepSetting(**{name: _drawn(name, axis, rng) for name, axis in parsed.items()}) for _ in range(random)
            ]
        values: dict[str, list[Any]] = {}
        for name, axis in parsed.items():
            if isinstance(axis, Range):
                if axis.count is None:
                    raise InputError(f"{name} is a range without a count; allowed: low:high:count, or a random design")
                values[name] = _spread(name, axis, axis.count)
            else:
                values[name] = axis
        if (settings := prod(map(len, values.values()))) > MOST_SETTINGS:
            raise InputError(f"these axes have {settings} combinations; allowed: {MOST_SETTINGS} at most")
        return grid(values)
    except ValueError as error:
        raise InputError(str(error)) from error


# --- the file
# -------------------------------------------------------------------------------------------------------------


SQLITE = b"SQLite format 3\0"
"""What such a file begins with."""


def _first_bytes(path: Path, count: int) -> bytes:
    if not path.is_file():
        return b""
    with path.open("rb") as file:
        return file.read(count)


@contextmanager
def _database(path: Path) -> Iterator[sqlite3.Connection]:
    try:
        beginning = _first_bytes(path, len(SQLITE))
    except OSError as error:
        raise InputError(f"cannot read {path} ({error.strerror}); allowed: a file that can be read") from error
    if beginning and beginning != SQLITE:  # SQLite takes some files for empty ones that are not
        raise InputError(
            f"cannot use {path} (not a database); allowed: a file written by 'metarep sweep', or a new one"
        )
    try:
        with closing(sqlite3.connect(path)) as connection:
            yield connection
    except sqlite3.DatabaseError as error:
        raise InputError(
            f"cannot use {path} ({error}); allowed: a file written by 'metarep sweep', or a new one"
        ) from error


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
    query = (
        "SELECT setting, number, outcome, dist_start, dist_end, floor FROM replicate JOIN cell ON cell = key "
        "ORDER BY setting, number"
    )
    with _database(path) as connection:
        found = connection.execute(query).fetchall()
    settings = {text: SweepSetting(**json.loads(text)) for text in {row[0] for row in found}}
    return [SweepRow(settings[row[0]], Replicate(*row[1:])) for row in found]


# --- running
# --------------------------------------------------------------------------------------------------------------


def _timed_cell(cell: Cell, seed: int) -> tuple[Cell, list[Replicate], str, float]:
    started = time.perf_counter()
    rows, mode = run_cell(cell, seed)
    return cell, rows, mode, time.perf_counter() - started


@contextmanager
def _workers(backend: Backend, scheduler: str | None) -> Iterator[None]:
    if backend == "loky":
        with parallel_config(backend="loky", inner_max_num_threads=1):
            yield
        return
    try:
        from distributed import Client  # pyright: ignore[reportMissingImports]  # an optional extra
    except ImportError:
        raise InputError(
            "the dask backend needs Dask; allowed: pip install 'metarep[dask]', or --backend loky"
        ) from None
    try:
        client = Client(scheduler, timeout="10s") if scheduler else Client(n_workers=2, threads_per_worker=1)
    except (OSError, TimeoutError, ValueError) as error:
        raise InputError(
            f"no Dask scheduler at {scheduler} ({type(error).__name__}); allowed: ADDRESS:PORT of one"
        ) from error
    with client, parallel_config(backend="dask"):
        yield


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
    path.parent.mkdir(parents=True, exist_ok=True)
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
            with _workers(backend, scheduler):
                # Dask hands results out in order of submission only; each is stored at once either way.
                order = "generator_unordered" if backend == "loky" else "generator"
                tasks = (delayed(_timed_cell)(cell, seed) for cell in missing)
                for finished, result in enumerate(Parallel(n_jobs=jobs, return_as=order)(tasks), start=there + 1):
                    cell, rows, mode, seconds = result  # type: ignore[misc]
                    _store(connection, cell, rows, mode, seconds)
                    if progress is not None:
                        progress(finished, len(wanted))
        outcomes = dict(connection.execute("SELECT outcome, COUNT(*) FROM replicate GROUP BY outcome ORDER BY outcome"))
        modes = dict(connection.execute("SELECT mode, COUNT(*) FROM cell GROUP BY mode ORDER BY mode"))
    return SweepSummary(
        len(wanted), there, sum(outcomes.values()), time.perf_counter() - started, outcomes, modes
    )  # fmt: skip


def summary_record(summary: SweepSummary) -> dict[str, Any]:
    """The summary as plain data."""
    return asdict(summary)
