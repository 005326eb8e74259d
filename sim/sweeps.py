"""Sweeps over settings: a run is one replicate of one setting, and the same whatever it is run together with.

The random streams are those of a setting's replicates in groups of ``DRAWN_TOGETHER``, derived from the sweep's seed
and the setting itself; settings of one shape are run as one batch, in which runs do not touch each other. So a run's
content does not depend on how many replicates there are, on the order, on who runs it, or on an interruption.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import product
from typing import Any, Literal, cast

import numpy as np

from metarep.sim.checks import check_dimensions, check_sample_size, check_step_size, check_whole
from metarep.sim.implementations import REFERENCE
from metarep.sim.learners import get_learner
from metarep.sim.outcomes import ENOUGH_RECORDS, Outcome
from metarep.sim.problems import StartKind, make_problem
from metarep.sim.sampling.in_law import sampling_mode
from metarep.sim.sampling.runs import run_sampled
from metarep.sim.streams import streams
from metarep.sim.stretches import Way, chosen_way, fewest_alike, seconds_by_numpy
from metarep.sim.trajectories import run

Array = np.ndarray

RECORDS = 100
"""Distances recorded along a run on samples, evenly spaced; the floor is taken over the last quarter of them. On the
population there is none, and fewer do: a distance costs as much as ten steps.
"""
DRAWN_TOGETHER = 20
"""Replicates whose starts, tasks and samples come from one stream, whether all are wanted or not."""
OUTCOMES = tuple(Outcome)
"""By number, as ``RUNS`` has them."""
RUNS = np.dtype([("number", "i8"), ("outcome", "i8"), ("dist_start", "f8"), ("dist_end", "f8"), ("floor", "f8")])
"""What became of a run: the number of the replicate, its outcome, dist at the start and at the end, and the root mean
square of dist over the last quarter of its records; NaN where it diverged.
"""
_MOST_TOGETHER, _MOST_STEPS_TOGETHER, _MOST_NUMBERS_TOGETHER = 1000, 10**6, 2**23
"""Runs of a batch at most: from some hundred on more save nothing. Steps of all of them: seconds of work, which an
interruption loses. Numbers in their heads or representations: 64 MB.
"""


@dataclass(frozen=True)
class SweepSetting:
    """One setting of a sweep. ``m_in`` and ``m_out`` are samples per task, None for the population; ``dist0`` None is a
    random start.

    Raises:
        ValueError: a value that makes no setting, in one line.
    """

    learner: str
    d: int = 100
    k: int = 5
    n: int = 5
    alpha: float = 0.1
    beta: float = 0.1
    m_in: int | None = None
    m_out: int | None = None
    sigma: float = 0.0
    dist0: float | None = None
    start: StartKind = "balanced"
    tasks: Literal["fixed", "fresh"] = "fresh"
    steps: int = 1000

    def __post_init__(self) -> None:
        get_learner(self.learner)
        check_dimensions(self.d, self.k, self.n)
        check_step_size("alpha", self.alpha)
        check_step_size("beta", self.beta)
        check_sample_size("m_in", self.m_in)
        check_sample_size("m_out", self.m_out)
        if not (np.isfinite(self.sigma) and self.sigma >= 0):
            raise ValueError(f"sigma is {self.sigma!r}; allowed: sigma >= 0 and finite")
        if self.sigma > 0 and self.m_in is None and self.m_out is None:
            raise ValueError(f"sigma is {self.sigma!r} on the population; allowed: 0, or sample sizes m_in or m_out")
        if self.dist0 is not None and not 0 <= self.dist0 <= 1:
            raise ValueError(f"dist0 is {self.dist0!r}; allowed: 0 <= dist0 <= 1")
        if self.start not in ("balanced", "orthonormal"):
            raise ValueError(f"start is {self.start!r}; allowed: 'balanced', 'orthonormal'")
        if self.tasks not in ("fixed", "fresh"):
            raise ValueError(f"tasks is {self.tasks!r}; allowed: 'fixed', 'fresh'")
        check_whole("steps", self.steps, 1)

    @property
    def shape(self) -> "SweepSetting":
        """The setting without what may differ within a batch: step sizes, noise, numbers of samples where there are."""
        some_in, some_out = (None if m is None else 1 for m in (self.m_in, self.m_out))
        return replace(self, alpha=1.0, beta=1.0, sigma=0.0, m_in=some_in, m_out=some_out)

    @property
    def key(self) -> str:
        """The setting as one canonical line, the same on every machine."""
        return json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))


@dataclass(frozen=True)
class Portion:
    """Replicates number ``first`` to ``stop`` − 1 of a setting, which may all be of one group or of several."""

    setting: SweepSetting
    first: int
    stop: int

    @property
    def runs(self) -> int:
        """How many."""
        return self.stop - self.first

    def generators(self, seed: int) -> list[np.random.Generator]:
        """The streams of its groups."""
        words = np.frombuffer(hashlib.sha256(self.setting.key.encode()).digest(), dtype="<u4").tolist()
        groups = range(self.first // DRAWN_TOGETHER, -(-self.stop // DRAWN_TOGETHER))
        return [np.random.default_rng([seed, *words, group]) for group in groups]


def grid(axes: dict[str, list[Any]]) -> list[SweepSetting]:
    """Every combination of the axes' values."""
    return [SweepSetting(**dict(zip(axes, values, strict=True))) for values in product(*axes.values())]


def batches(portions: Sequence[Portion]) -> Iterator[list[Portion]]:
    """The portions cut into batches of one shape, with as many runs as pays."""
    by_shape: dict[SweepSetting, list[Portion]] = {}
    for portion in portions:
        by_shape.setdefault(portion.setting.shape, []).append(portion)
    for shape, members in by_shape.items():
        numbers = shape.k * max(2 * shape.k, shape.n)
        most = min(_MOST_TOGETHER, _MOST_STEPS_TOGETHER // shape.steps, _MOST_NUMBERS_TOGETHER // numbers)
        # Whole groups: whatever is drawn of a group is drawn once.
        most = max(1, most // DRAWN_TOGETHER) * DRAWN_TOGETHER
        batch, runs = [], 0
        for portion in members:
            first = portion.first
            while first < portion.stop:
                end = (first + most - runs) // DRAWN_TOGETHER * DRAWN_TOGETHER
                part = Portion(portion.setting, first, min(end, portion.stop))
                batch.append(part)
                runs, first = runs + part.runs, part.stop
                if runs + DRAWN_TOGETHER > most:
                    yield batch
                    batch, runs = [], 0
        if batch:
            yield batch


def mode_of(setting: SweepSetting, runs: int) -> str:
    """How a setting's runs are computed, where so many of its shape are wanted: the way of their steps
    (``metarep.sim.stretches``), or on samples the name of the mode (``metarep.sim.sampling.in_law``).
    """
    s, learner = setting, get_learner(setting.learner)
    if s.m_in is not None or s.m_out is not None:
        return sampling_mode(learner, s.d, s.k, s.n, s.m_in, s.m_out).name
    problem = make_problem(s.d, s.k, s.n, s.alpha, np.random.default_rng(0), s.tasks)
    return chosen_way(learner, REFERENCE, problem, problem.tasks(0), seconds_by_numpy(s.steps, runs))


def run_batch(batch: Sequence[Portion], seed: int, mode: str) -> Array:
    """Run portions of one shape: ``RUNS``, those of each portion behind the former's.

    Args:
        batch: see ``batches``; the result does not depend on which are run together.
        seed: the sweep's.
        mode: see ``mode_of``; results by different ways differ in their rounding errors.
    """
    s, runs = batch[0].setting, [portion.runs for portion in batch]
    numbers = np.concatenate([np.arange(portion.first, portion.stop) for portion in batch])
    learner, generators, kept = get_learner(s.learner), [], []
    for portion in batch:
        before = len(generators) - portion.first // DRAWN_TOGETHER
        kept.append(np.arange(portion.first, portion.stop) + before * DRAWN_TOGETHER)
        generators += portion.generators(seed)
    population = s.m_in is None and s.m_out is None
    # Few runs may be computed in another order; one of them stands in for those that lack.
    lacking = max(0, (fewest_alike(mode, min(s.d, 2 * s.k), s.k, s.n) if population else 1) - sum(runs))
    kept = np.concatenate([*kept, np.repeat(kept[-1][-1:], lacking)])
    total = len(kept)
    rng = streams(generators, DRAWN_TOGETHER, kept)

    def each(name: str) -> Array:
        values = np.repeat([getattr(portion.setting, name) for portion in batch], runs)
        return np.concatenate([values, np.repeat(values[-1:], lacking)])

    alpha, beta = each("alpha"), each("beta")
    problem = make_problem(s.d, s.k, s.n, alpha, rng, s.tasks, s.start, s.dist0, (total,))
    every = max(1, s.steps // (ENOUGH_RECORDS if population else RECORDS))
    if population:
        seen = run(learner, problem, alpha, beta, s.steps, record_every=every, way=cast(Way, mode))
    else:
        m_in, m_out = (None if getattr(s, name) is None else each(name) for name in ("m_in", "m_out"))
        seen = run_sampled(
            learner, problem.B0, problem.w0, problem.tasks, alpha, beta, m_in, m_out, each("sigma"), s.d,
            s.steps, rng,
            record_every=every,
        )  # fmt: skip
    last = seen.dist[-max(1, len(seen.dist) // 4) :]
    found = np.empty(total, RUNS)
    found["outcome"] = [OUTCOMES.index(outcome) for outcome in seen.outcome]
    found["dist_start"] = seen.dist[0]
    found["dist_end"] = np.where(seen.diverged, np.nan, seen.dist[-1])
    found["floor"] = np.where(seen.diverged, np.nan, np.sqrt(np.square(last).mean(0)))
    found = found[: len(numbers)]
    found["number"] = numbers
    return found
