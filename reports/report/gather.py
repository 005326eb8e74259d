"""Everything a report is written from, run on all cores; the same for the same seed."""

import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from metarep.reports.chapters.chapter import Job, Key, ReportProfile, Results, Run
from metarep.reports.chapters.claims.one_by_one import NAME as CLAIMS
from metarep.reports.chapters.claims.seals import NAME as SEALS
from metarep.reports.chapters.contents import CHAPTERS
from metarep.reports.page.output import Progress
from metarep.reports.report.kept import Kept, versions
from metarep.theory.work.processes import working


def _profile(name: str, effort: float) -> ReportProfile:
    return ReportProfile(name, effort, {chapter.name: chapter.sizes[name] for chapter in CHAPTERS if chapter.sizes})


PROFILES = {"quick": _profile("quick", 1.0), "full": _profile("full", 6.0)}
"""``quick`` is made for under three minutes on two cores, ``full`` for under ten."""


def partial(profile: ReportProfile, claims: Sequence[str], chapters: Sequence[str]) -> ReportProfile:
    """The profile of a report of these claims and chapters alone."""
    sizes = {name: profile.sizes[name] for name in chapters}
    return replace(profile, sizes={CLAIMS: tuple(claims), SEALS: profile.sizes.get(SEALS), **sizes})


def now() -> str:
    """The time, as a report has it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _timed(*jobs: Job) -> list[tuple[Key, Any, float]]:
    """What the jobs found, one after another, and how long each took."""
    found = []
    for key, function, arguments in jobs:
        started = time.perf_counter()
        found.append((key, function(*arguments), time.perf_counter() - started))
    return found


def gather(
    profile: ReportProfile,
    seed: int,
    told: Progress = lambda done, total: None,
    jobs: int = -1,
    kept: Kept | None = None,
) -> Results:
    """Run the jobs of all chapters.

    Args:
        profile: how much.
        seed: of all randomness.
        told: progress, in jobs done.
        jobs: processes; -1 for as many as there are cores.
        kept: where results are kept as they come in, and taken from.
    """
    started, began = time.perf_counter(), kept.report if kept else now()
    # The chapters' long jobs come before the last one's many short ones, wrong claims and proofs: no core waits at the
    # end.
    work: dict[Key, Job] = {}
    together: dict[Key, list[Job]] = {}
    for chapter in CHAPTERS:
        if chapter.name in profile.sizes:
            for job in chapter.jobs(profile, seed):
                work[job[0]] = job
                together.setdefault(chapter.beside(job[0]), []).append(job)
    found = {key: old for key, job in work.items() if (old := kept.of(job))} if kept else {}
    done: dict[Key, Any] = {key: old.result for key, old in found.items()}
    seconds = {" ".join(key): old.seconds for key, old in found.items()}
    missing = (tuple(job for job in several if job[0] not in found) for several in together.values())
    left = [(_timed, several) for several in missing if several]
    told(len(done), len(work))
    with working(left, jobs, len(left)) as results:
        for several in results:
            for key, result, took in several:
                done[key] = result
                seconds[" ".join(key)] = took
                if kept:
                    kept.keep(work[key], result, took)
            told(len(done), len(work))
    took = round(time.perf_counter() - started, 1)
    cached = tuple(sorted(" ".join(key) for key, old in found.items() if old.report != began))
    run = Run(began, took, dict(sorted(seconds.items())), cached)
    return Results(profile, seed, {key: done[key] for key in work}, versions(), run)
