"""Runs on finite samples: FO-ANIL's noise floor against theory, all five learners against sample sizes.

Each part can be run on its own, in any order: each draws from a stream of its own.
"""

import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from metarep.reports.chapters.chapter import (
    Alpha,
    Beta,
    Count,
    D,
    InnerSamples,
    Job,
    K,
    Key,
    LearnerName,
    N,
    Noise,
    OuterSamples,
    ReportProfile,
    Results,
    Size,
    Steps,
    Trials,
)
from metarep.sim.learners import LEARNERS
from metarep.sim.problems import make_problem
from metarep.sim.sampling.runs import run_sampled
from metarep.sim.streams import streams
from metarep.theory.claims import get_claim
from metarep.theory.claims.samples.floor import FLOOR_SETTINGS, GROWTH_SETTING, SMALL, FloorSetting, measured_floor
from metarep.theory.dynamics.floor import predicted_floor, rough_floor
from metarep.theory.engine.run import measurement_seed

GROWTH_SIZES = (0.005, 0.01, 0.02, 0.04, 0.08)


@dataclass(frozen=True)
class FloorSizes:
    """Sizes and noise; heads are mean + spread·N(0, I)."""

    d: D
    k: K
    n: N
    alpha: Alpha
    beta: Beta
    m_in: InnerSamples
    m_out: OuterSamples
    sigma: Noise
    mean: float
    """Mean of the heads' entries."""
    spread: float
    """Their standard deviation."""
    heads_seed: Count
    """Seed of the heads."""


@dataclass(frozen=True)
class FloorPoint:
    """A long run of FO-ANIL at its noise floor; mean square sines."""

    setting: FloorSizes
    """Sizes and noise."""
    size: float
    """αβL_*²."""
    predicted: float
    """Predicted."""
    plain: float
    """Predicted without counting that the contraction varies from step to step."""
    rough: float
    """The rough formula."""
    seen: float
    """Measured."""
    standard_error: float
    """Of what was measured."""


@dataclass(frozen=True)
class RecoveryPoint:
    """Where a learner's trials ended at one pair of sample sizes."""

    learner: LearnerName
    m_in: InnerSamples
    m_out: OuterSamples
    dist: tuple[float, ...]
    """Distances at the end, of the trials that did not diverge."""
    diverged: Count
    """Trials that did."""


@dataclass(frozen=True)
class RecoverySetting:
    """What the recovery runs have in common: heads N(0, I), tasks drawn afresh each step, a balanced start."""

    d: D = 100
    k: K = 3
    n: N = 5
    alpha: Alpha = 0.1
    beta: Beta = 0.1
    sigma: Noise = 0.5
    dist0: float = 0.7
    """Distance of the start."""
    steps: Steps = 1500
    trials: Trials = 10
    sizes: tuple[Size, ...] = (5, 20, 80, 320)
    """Sample sizes tried."""
    other: Size = 80
    """The size that is kept while the other one varies."""


@dataclass(frozen=True)
class SamplesResults:
    """Finite samples."""

    floor: tuple[FloorPoint, ...]
    """Several settings at small steps."""
    growth: tuple[FloorPoint, ...]
    """One setting at growing outer step size."""
    recovery_setting: RecoverySetting
    """What the recovery runs have in common."""
    recovery: tuple[RecoveryPoint, ...]
    """All learners against sample sizes."""


@dataclass(frozen=True)
class SamplesSize:
    """How much is run: how many settings of the floor, to which relative errors; the recovery runs."""

    settings: int = 5
    floor_error: float = 0.012
    growth_error: float = 0.008
    recovery: RecoverySetting = RecoverySetting()


NAME = "samples"
FLOOR_CLAIM = "noise-floor-fo-anil"
SIZES = {
    "quick": SamplesSize(),
    "full": SamplesSize(
        len(FLOOR_SETTINGS),
        0.007,
        0.003,
        RecoverySetting(steps=3000, trials=20, sizes=(5, 10, 20, 40, 80, 160, 320, 640)),
    ),
}
"""By the report's profile."""


# --- measuring


def _seed(seed: int, *parts: Any) -> int:
    """A stream of its own for every part, the same on every machine."""
    return zlib.crc32(repr((seed, *parts)).encode())


def _floor_point(setting: FloorSetting, size: float, seed: int, relative_error: float) -> FloorPoint:
    arguments = setting.arguments(size)
    floor = predicted_floor(*arguments)
    plain = predicted_floor(*arguments, varying_contraction=False).mean_square_sine
    seen = measured_floor(setting, size, seed, relative_error)
    sizes = FloorSizes(**setting._asdict(), beta=setting.beta(size))
    return FloorPoint(
        sizes, size, floor.mean_square_sine, plain, rough_floor(*arguments),
        float(seen.mean_square_sine), float(seen.standard_error),
    )  # fmt: skip


def floor_points(seed: int, settings: int, relative_error: float) -> tuple[FloorPoint, ...]:
    """The floor of the first so many settings at αβL_*² = 0.005; the runs are the claim's, as far as it has them."""
    first = measurement_seed(get_claim(FLOOR_CLAIM), seed)
    return tuple(
        _floor_point(setting, SMALL, first + place, relative_error)
        for place, setting in enumerate(FLOOR_SETTINGS[:settings])
    )


def growth_points(seed: int, relative_error: float) -> tuple[FloorPoint, ...]:
    """The floor of one setting at growing β."""
    return tuple(
        _floor_point(GROWTH_SETTING, size, _seed(seed, "growth", size), relative_error) for size in GROWTH_SIZES
    )


def recovery_points(learner: str, seed: int, setting: RecoverySetting) -> tuple[RecoveryPoint, ...]:
    """Final distances of one learner: m_in varied at the other size of m_out, and the reverse."""
    s = setting
    pairs = list(dict.fromkeys([*((m, s.other) for m in s.sizes), *((s.other, m) for m in s.sizes)]))
    # All learners and sizes have the same starts and tasks; the samples are their own. All sizes are one batch.
    drawn = np.random.default_rng(_seed(seed, "problem"))
    problem = make_problem(s.d, s.k, s.n, s.alpha, drawn, "fresh", dist0=s.dist0, trials=(s.trials,))
    own = [np.random.default_rng(_seed(seed, "recovery", learner, *pair)) for pair in pairs]
    m_in, m_out = np.repeat(pairs, s.trials, axis=0).T

    def of_all(array: np.ndarray) -> np.ndarray:
        return np.concatenate([array] * len(pairs))

    run = run_sampled(
        LEARNERS[learner], of_all(problem.B0), of_all(problem.w0), lambda step: of_all(problem.tasks(step)), s.alpha,
        s.beta, m_in, m_out, s.sigma, s.d, s.steps, streams(own, s.trials, np.arange(len(m_in))),
        record_every=s.steps,
    )  # fmt: skip
    ends = zip(pairs, run.dist[-1].reshape(len(pairs), -1), run.diverged.reshape(len(pairs), -1), strict=True)
    return tuple(
        RecoveryPoint(learner, *pair, tuple(map(float, dist[~gone])), int(gone.sum())) for pair, dist, gone in ends
    )


def samples_jobs(profile: ReportProfile, seed: int) -> list[Job]:
    """The two floors, and each learner's recovery."""
    size: SamplesSize = profile.sizes[NAME]
    jobs: list[Job] = [
        (("samples", "floor"), floor_points, (seed, size.settings, size.floor_error)),
        (("samples", "growth"), growth_points, (seed, size.growth_error)),
    ]
    jobs += [(("recovery", name), recovery_points, (name, seed, size.recovery)) for name in LEARNERS]
    return jobs


def beside(key: Key) -> Key:
    """The floors are run beside the claim that has the same runs."""
    return ("claim", FLOOR_CLAIM) if key == ("samples", "floor") else key


def samples_of(results: Results) -> SamplesResults | None:
    """Finite samples: floors against theory, recovery against sample sizes."""
    if ("samples", "floor") not in results.parts:
        return None
    parts, size = results.parts, results.profile.sizes[NAME]
    recovery = tuple(point for name in LEARNERS for point in parts["recovery", name])
    return SamplesResults(parts["samples", "floor"], parts["samples", "growth"], size.recovery, recovery)
