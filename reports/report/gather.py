"""Everything a report is written from, run on all cores; the same for the same seed."""

import os
import platform
import time
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from metarep.reports import package_version
from metarep.reports.chapters.chapter import Job, Key, ReportProfile, Results, Run
from metarep.reports.chapters.contents import CHAPTERS
from metarep.reports.page.output import Progress


def _profile(name: str, effort: float) -> ReportProfile:
    return ReportProfile(name, effort, {chapter.name: chapter.sizes[name] for chapter in CHAPTERS if chapter.sizes})


PROFILES = {"quick": _profile("quick", 1.0), "full": _profile("full", 6.0)}
"""``quick`` is made for under three minutes on two cores, ``full`` for under ten."""


def _timed(job: Job) -> tuple[Key, Any, float]:
    key, function, arguments = job
    started = time.perf_counter()
    return key, function(*arguments), time.perf_counter() - started


def gather(
    profile: ReportProfile, seed: int, told: Progress = lambda done, total: None, jobs: int | None = None
) -> Results:
    """Run the jobs of all chapters.

    Args:
        profile: how much.
        seed: of all randomness.
        told: progress, in jobs done.
        jobs: processes; one per core, at most one per job, unless given.
    """
    from joblib import Parallel, delayed

    started, now = time.perf_counter(), datetime.now(UTC)
    # The chapters' long jobs come first and their many short ones, the claims, last: no core waits at the end.
    work = [job for chapter in CHAPTERS if chapter.name in profile.sizes for job in chapter.jobs(profile, seed)]
    done: dict[Key, Any] = {}
    seconds: dict[str, float] = {}
    told(0, len(work))
    cores = jobs or min(os.cpu_count() or 1, len(work))
    pool: Any = Parallel(n_jobs=cores, return_as="generator_unordered")
    for key, result, took in pool(delayed(_timed)(job) for job in work):
        done[key] = result
        seconds[" ".join(key)] = took
        told(len(done), len(work))
    took = round(time.perf_counter() - started, 1)
    run = Run(now.isoformat(timespec="seconds"), took, dict(sorted(seconds.items())))
    return Results(profile, seed, {key: done[key] for key, *_ in work}, versions(), run)


def versions() -> dict[str, str]:
    """Versions of what the numbers depend on."""
    found = {"metarep": package_version(), "python": platform.python_version()}
    for name in ("numpy", "scipy", "sympy", "hypothesis", "python-flint", "matplotlib"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found
