"""Times and ratios of times: everything is timed by turns in one run, so that the machine's mood falls on all alike.

What counts is the time of the processor: what other programs take meanwhile is none of it, and a second thread is.
"""

import gc
import os
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from metarep.reports.page.output import Progress

REPEATS = 5
LIBRARIES = ("numpy", "scipy", "autograd", "jax", "torch")
"""Whose versions are told, where they are installed."""


@dataclass(frozen=True, eq=False)
class Job:
    """What is timed.

    Attributes:
        what: the work, in words.
        kernel: what does it.
        call: does it; where it was done by another process, returns the processor's seconds that it took there.
        steps: how many steps of a trial (or floating-point operations) that is.
    """

    what: str
    kernel: str
    call: Callable[[], Any]
    steps: float = 1.0


@dataclass(frozen=True, eq=False)
class Ratio:
    """The time of a step of ``above`` by that of ``below``, times a factor; ``limit`` is the most that is claimed."""

    what: str
    above: Job
    below: Job
    factor: float = 1.0
    limit: float | None = None


def run_bench(
    wanted: Sequence[Ratio],
    told: Progress = lambda done, total: None,
    repeats: int = REPEATS,
    others: Sequence[Job] = (),
) -> dict[str, Any]:
    """Time all jobs: {"times": [{what, kernel, microseconds, lowest, highest, cores}],
    "ratios": [{what, median, lowest, highest, limit, within}], "repeats", "machine"}.

    Every round does everything once; ratios are taken within rounds, and of them the median, the lowest and the highest
    over the rounds. The garbage collector is off meanwhile. ``cores``: seconds of processors by seconds of the clock.

    Args:
        wanted: the ratios; their jobs are timed once a round, however many ratios they are part of.
        told: told (jobs done, jobs in all).
        repeats: rounds, after one that warms up.
        others: jobs that are part of no ratio.
    """
    jobs = list(dict.fromkeys([*others, *(job for ratio in wanted for job in (ratio.above, ratio.below))]))
    seconds: dict[Job, list[tuple[float, float]]] = {job: [] for job in jobs}
    done, total = 0, (repeats + 1) * len(jobs)
    for repeat in range(repeats + 1):
        for job in jobs:
            found = _seconds(job.call)
            if repeat:  # the first round warms up
                seconds[job].append(found)
            done += 1
            told(done, total)
    a_step = {job: np.array([used for _, used in found]) / job.steps for job, found in seconds.items()}
    return {
        "times": [
            {
                "what": job.what,
                "kernel": job.kernel,
                **_spread("microseconds", 1e6 * a_step[job]),
                "cores": float(np.median([used / wall for wall, used in seconds[job]])),
            }
            for job in jobs
        ],
        "ratios": [
            {"what": ratio.what, **_spread("median", values), "limit": ratio.limit, "within": _within(ratio, values)}
            for ratio in wanted
            for values in [ratio.factor * a_step[ratio.above] / a_step[ratio.below]]
        ],
        "repeats": repeats,
        "machine": machine(),
    }


def _spread(name: str, values: np.ndarray) -> dict[str, float]:
    return {name: float(np.median(values)), "lowest": float(values.min()), "highest": float(values.max())}


def _within(ratio: Ratio, values: np.ndarray) -> bool | None:
    return None if ratio.limit is None else bool(np.median(values) <= ratio.limit)


def machine() -> dict[str, Any]:
    """What this was run on, and by which versions."""
    versions = {}
    for name in LIBRARIES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return {"cores": os.cpu_count(), "processor": _processor(), "python": platform.python_version(), **versions}


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _seconds(function: Callable[[], Any]) -> tuple[float, float]:
    """Seconds of the clock, and of processors."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        started, used = time.perf_counter(), time.process_time()
        elsewhere = function()
        taken = time.perf_counter() - started, time.process_time() - used
        return (elsewhere, elsewhere) if isinstance(elsewhere, float) else taken
    finally:
        if collecting:
            gc.enable()
