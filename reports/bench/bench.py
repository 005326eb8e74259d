"""What speed is claimed of the simulator, as ratios: numerator and denominator are timed by turns in one run, so that
the machine's mood
cancels. Each ratio is a median over the repeats, with the lowest and the highest."""

import os
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from metarep.reports.bench.autograd_step import autograd_step
from metarep.reports.page.output import Progress
from metarep.sim.learners import LEARNERS, META_LEARNERS, get_learner
from metarep.sim.problems import Problem, make_problem
from metarep.sim.trajectories import run
from metarep.sim.updates import step

REPEATS = 5
K = N = 5
STEP_SIZE = 0.1


@dataclass(frozen=True)
class Ratio:
    """Time of ``numerator()`` by time of ``denominator()``, each times its factor; ``limit`` is the most that is
    claimed."""

    what: str
    numerator: Callable[[], Any]
    denominator: Callable[[], Any]
    factor: float = 1.0
    limit: float | None = None


def _problem(d: int, trials: tuple[int, ...] = ()) -> Problem:
    return make_problem(d, K, N, STEP_SIZE, np.random.default_rng(0), "fixed", "balanced", 0.5, trials)


def _run(learner: str, problem: Problem, steps: int) -> Callable[[], Any]:
    spec = get_learner(learner)
    return lambda: run(spec, problem, STEP_SIZE, STEP_SIZE, steps, record_every=steps)


def _set_up_and_run(learner: str, d: int, steps: int) -> Callable[[], Any]:
    """Drawing the problem counts: that is where d could enter."""
    return lambda: _run(learner, _problem(d, (100,)), steps)()


def _one_step(learner: str, problem: Problem, by: Callable[..., Any], times: int) -> Callable[[], Any]:
    spec, B, w = get_learner(learner), problem.B0, problem.w0
    targets = problem.B_star @ problem.tasks(0)

    def steps() -> None:
        for _ in range(times):
            by(spec, B, w, targets, STEP_SIZE, STEP_SIZE)

    return steps


def ratios(scale: float = 1.0) -> list[Ratio]:
    """What is measured; ``scale`` below 1 shortens the runs, which only tests want."""
    steps, trials = max(2, round(1000 * scale)), max(2, round(1000 * scale))
    wanted = []
    for name in ("fo-anil", "maml"):
        wanted.append(
            Ratio(
                f"{name}: {trials} trials as a batch / one trial, per trial and step, k = 5",
                _run(name, _problem(100, (trials,)), steps),
                _run(name, _problem(100), steps),
                1 / trials,
                0.1,
            )
        )
        wanted.append(
            Ratio(
                f"{name}: d = 100000 / d = 100, 100 trials x {steps} steps, set-up included",
                _set_up_and_run(name, 100_000, steps),
                _set_up_and_run(name, 100, steps),
                limit=1.2,
            )
        )
    few = max(2, round(20 * scale))
    wanted += [
        Ratio(
            f"{name}: one step by hand / by autograd, d = 100",
            _one_step(name, _full_size(), step, 10 * few),
            _one_step(name, _full_size(), autograd_step, few),
            0.1,
        )
        for name in META_LEARNERS
    ]
    return wanted


def _full_size() -> Problem:
    from metarep.sim.problems import lift

    return lift(_problem(100), np.random.default_rng(1))


def run_bench(
    told: Progress = lambda done, total: None, wanted: list[Ratio] | None = None, repeats: int | None = None
) -> dict[str, Any]:
    """Measure the ratios: {"ratios": [{what, median, lowest, highest, limit, within}], "repeats", "machine"}."""
    wanted = ratios() if wanted is None else wanted
    repeats = REPEATS if repeats is None else repeats
    measured: list[list[float]] = [[] for _ in wanted]
    done, total = 0, (repeats + 1) * len(wanted)
    for repeat in range(repeats + 1):
        for place, ratio in enumerate(wanted):
            above, below = _seconds(ratio.numerator), _seconds(ratio.denominator)
            if repeat:  # the first round warms up
                measured[place].append(ratio.factor * above / below)
            done += 1
            told(done, total)
    return {
        "ratios": [
            {
                "what": ratio.what,
                "median": float(np.median(values)),
                "lowest": min(values),
                "highest": max(values),
                "limit": ratio.limit,
                "within": None if ratio.limit is None else bool(np.median(values) <= ratio.limit),
            }
            for ratio, values in zip(wanted, measured, strict=True)
        ],
        "repeats": repeats,
        "machine": {"cores": os.cpu_count(), "processor": platform.machine(), "python": platform.python_version()},
    }


SAMPLE_ROUNDS, DATA_TRIALS = 3, 20
"""Rounds of the comparison of finite samples, and trials whose data are drawn there (200 are simulated in law)."""


def sampling_ratios(told: Progress = lambda done, total: None) -> list[dict[str, Any]]:
    """Costs of finite samples per learner, as rows like those of ``run_bench``: exact in law against explicit data
    and autograd at
    m = 1000 (200 trials in a batch), and how the cost in law depends on m and on d."""
    from metarep.reports.bench.samples import compare_sampling

    rows: list[dict[str, Any]] = []
    for done, learner in enumerate(LEARNERS):
        told(done, len(LEARNERS))
        (found,) = compare_sampling((learner,), rounds=SAMPLE_ROUNDS, data_trials=DATA_TRIALS)
        entries = [
            (f"in law by {method}, m = 1000", 1 / speed.median, 1 / speed.greatest, 1 / speed.least, limit)
            for (method, speed), limit in zip(found.speedups.items(), (0.01, None), strict=True)
        ]
        for what, ratio in (("m = 10⁶ by m = 10²", found.m_ratio), ("d = 10⁶ by d = 10²", found.d_ratio)):
            entries.append((f"in law, {what}", ratio.median, ratio.least, ratio.greatest, 1.5))
        rows += [
            {
                "what": f"{learner}, a step on samples: {what}",
                "median": median,
                "lowest": lowest,
                "highest": highest,
                "limit": limit,
                "within": None if limit is None else median <= limit,
            }
            for what, median, lowest, highest, limit in entries
        ]
    told(len(LEARNERS), len(LEARNERS))
    return rows


def _seconds(function: Callable[[], Any]) -> float:
    started = time.perf_counter()
    function()
    return time.perf_counter() - started
