"""Everything a report is written from: claims, rates and experiments, run on both cores; the same for the same seed."""

import os
import platform
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from metarep.reports import package_version
from metarep.reports.chapters import mutants
from metarep.reports.chapters.boundaries.data import SIZES, BoundarySize, boundary_jobs
from metarep.reports.chapters.experiments.section import CHAPTER_EXPERIMENTS, experiment_jobs
from metarep.reports.chapters.learners.section import measure_examples, measure_widths
from metarep.reports.chapters.rates.section import GRIDS, Setting, rate_jobs
from metarep.reports.chapters.rates.table import MOST_STEPS, RateRecord, rate_record, rates_problem
from metarep.reports.chapters.samples import (
    FULL_EFFORT,
    RECOVERY,
    SamplesResults,
    floor_points,
    growth_points,
    recovery_points,
)
from metarep.reports.page.output import Progress
from metarep.reports.report.records import claim_record
from metarep.sim.experiments import CurveResult, get_experiment, run_experiment
from metarep.sim.learners import LEARNERS, get_learner
from metarep.theory.claims import catalogue, get_claim
from metarep.theory.engine import Profile, verify


@dataclass(frozen=True)
class RateSetting:
    """A row group of the rates table."""

    d: int
    k: int
    n: int
    alpha: float
    beta: float
    dist0: float = 0.5


@dataclass(frozen=True)
class ReportProfile:
    """How much a report runs: ``effort`` multiplies every claim's instances."""

    name: str
    effort: float
    settings: tuple[RateSetting, ...]
    rate_steps: int = MOST_STEPS
    figure_steps: int | None = None
    """Fewer steps than the experiment's, which only tests want."""
    rate_grid: tuple[tuple[Setting, ...], int] = ((), 0)
    """Settings of the rates chapter's figures beside those of the table, and the most steps of their runs."""
    boundary: BoundarySize | None = None
    """Without it there is no chapter on where the theory stops, nor one on the paper's experiments."""


_SETTINGS = (
    RateSetting(100, 5, 100, 0.1, 0.1),
    RateSetting(100, 5, 5, 0.1, 0.1),
    RateSetting(20, 3, 30, 0.2, 0.1),
    RateSetting(1000, 2, 50, 0.3, 0.2, 0.8),
    RateSetting(10, 1, 10, 0.2, 0.1),
)

PROFILES = {
    "quick": ReportProfile("quick", 1.0, _SETTINGS, 30_000, None, GRIDS["quick"], SIZES["quick"]),
    "full": ReportProfile(
        "full",
        6.0,
        (*_SETTINGS, RateSetting(100, 5, 20, 0.1, 0.1), RateSetting(40, 8, 200, 0.1, 0.3)),
        60_000,
        None,
        GRIDS["full"],
        SIZES["full"],
    ),
}
"""``quick`` is made for under three minutes on two cores, ``full`` for under ten."""


@dataclass(frozen=True)
class Results:
    """What was run. Everything but ``run`` depends on the seed and the profile alone."""

    profile: str
    effort: float
    seed: int
    claims: list[dict[str, Any]]
    rates: list[dict[str, Any]]
    settings: tuple[RateSetting, ...]
    curves: list[CurveResult]
    versions: dict[str, str]
    rate_grid: tuple[tuple[Setting, list[RateRecord]], ...] = ()
    boundaries: dict[tuple[str, ...], Any] = field(default_factory=dict)
    experiments: dict[str, list[CurveResult]] = field(default_factory=dict)
    """Those that are not Figure 1."""
    extra: dict[tuple[str, ...], Any] = field(default_factory=dict)
    """Finite samples, other learners, mutants: by job; empty where these chapters were not run."""
    run: dict[str, Any] = field(default_factory=dict)
    against: dict[str, Any] | None = None
    """What changed since an older report (``metarep.reports.report.against``), if one was given."""
    own_claims: str = ""
    """The file of the user's own claims, if one was given."""


def examples_of(claim_id: str, effort: float) -> int:
    """Float instances of a claim at that effort."""
    return max(1, round(get_claim(claim_id).examples * effort))


def _checked(claim_id: str, effort: float, seed: int) -> dict[str, Any]:
    command = f"metarep verify {claim_id} --examples {examples_of(claim_id, effort)} --seed {seed}"
    finding = verify(get_claim(claim_id), profile=Profile("report", effort, seed))
    return claim_record(finding, command)


def _rated(learner: str, setting: RateSetting, seed: int, most_steps: int) -> dict[str, Any]:
    s = setting
    problem = rates_problem(s.d, s.k, s.n, s.alpha, s.beta, seed, s.dist0)
    record = rate_record(get_learner(learner), problem, s.alpha, s.beta, s.dist0, most_steps)
    return record.as_dict()


def _figure_1(seed: int, steps: int | None) -> list[CurveResult]:
    experiment = get_experiment("figure-1")
    if steps is not None:
        panels = tuple(
            replace(panel, curves=tuple(replace(c, setting=replace(c.setting, steps=steps)) for c in panel.curves))
            for panel in experiment.panels
        )
        experiment = replace(experiment, panels=panels)
    return run_experiment(experiment, seed)


Job = tuple[tuple[str, ...], Callable[..., Any], tuple[Any, ...]]


def _timed(job: Job) -> tuple[tuple[str, ...], Any, float]:
    key, function, arguments = job
    started = time.perf_counter()
    return key, function(*arguments), time.perf_counter() - started


def gather(
    profile: ReportProfile,
    seed: int,
    told: Progress = lambda done, total: None,
    claims: Iterable[str] | None = None,
    jobs: int | None = None,
) -> Results:
    """Run the catalogue, the rates, the boundaries and the paper's experiments.

    Args:
        profile: how much.
        seed: of all randomness.
        told: progress, in jobs done.
        claims: ids of the claims to run; all of the catalogue unless given.
        jobs: processes; one per core, at most one per job, unless given.
    """
    from joblib import Parallel, delayed

    started, now = time.perf_counter(), datetime.now(UTC)
    ids = [claim.id for claim in catalogue()] if claims is None else [get_claim(claim).id for claim in claims]
    pairs = [(learner, place) for place in range(len(profile.settings)) for learner in LEARNERS]
    # The long ones first, so that no core waits for the other at the end.
    work: list[Job] = [(("figure-1",), _figure_1, (seed, profile.figure_steps))]
    work += [
        (("rates", learner, str(place)), _rated, (learner, profile.settings[place], seed, profile.rate_steps))
        for learner, place in pairs
    ]
    more = experiment_jobs(seed) + boundary_jobs(seed, profile.boundary) if profile.boundary is not None else []
    work += more
    extra = _extra_jobs(profile, seed) if profile.boundary is not None else []
    work += extra
    grid, most_steps = profile.rate_grid
    work += rate_jobs(seed, grid, most_steps)
    work += [(("claim", claim), _checked, (claim, profile.effort, seed)) for claim in ids]
    done: dict[tuple[str, ...], Any] = {}
    seconds: dict[str, float] = {}
    told(0, len(work))
    cores = jobs or min(os.cpu_count() or 1, len(work))
    pool: Any = Parallel(n_jobs=cores, return_as="generator_unordered")
    for key, result, took in pool(delayed(_timed)(job) for job in work):
        done[key] = result
        seconds[" ".join(key)] = took
        told(len(done), len(work))
    return Results(
        profile.name,
        profile.effort,
        seed,
        [done["claim", claim] for claim in ids],
        [done["rates", learner, str(place)] for learner, place in pairs],
        profile.settings,
        done["figure-1",],
        versions(),
        tuple((setting, done["rates-grid", str(place)]) for place, setting in enumerate(grid)),
        {key: done[key] for key, *_ in more if key[0] == "boundary"},
        {name: done["experiment", name] for name in CHAPTER_EXPERIMENTS if ("experiment", name) in done},
        {key: done[key] for key, *_ in extra},
        {
            "at": now.isoformat(timespec="seconds"),
            "seconds": round(time.perf_counter() - started, 1),
            "jobs": dict(sorted(seconds.items())),
        },
    )


def _extra_jobs(profile: ReportProfile, seed: int) -> list[Job]:
    """The jobs of the chapters on finite samples, on other learners and on the tests themselves."""
    full = profile.effort >= FULL_EFFORT
    jobs: list[Job] = [(("learners",), measure_examples, ()), (("widths",), measure_widths, (seed,))]
    jobs += [(("samples", "floor"), floor_points, (seed, full)), (("samples", "growth"), growth_points, (seed, full))]
    jobs += [(("recovery", name), recovery_points, (name, seed, RECOVERY[full])) for name in LEARNERS]
    return jobs + mutants.jobs(seed, not full)


def samples_of(results: Results) -> SamplesResults | None:
    """What the chapter on finite samples shows, if it was run."""
    extra = results.extra
    if ("samples", "floor") not in extra:
        return None
    recovery = tuple(point for name in LEARNERS for point in extra["recovery", name])
    setting = RECOVERY[results.effort >= FULL_EFFORT]
    return SamplesResults(results.seed, extra["samples", "floor"], extra["samples", "growth"], recovery, setting)


def versions() -> dict[str, str]:
    """Versions of what the numbers depend on."""
    found = {"metarep": package_version(), "python": platform.python_version()}
    for name in ("numpy", "scipy", "sympy", "hypothesis", "matplotlib"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found
