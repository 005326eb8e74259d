"""Sweeps over settings: a cell is one setting and one block of replicates, and runs the same whatever was run before
it.

The random stream of a cell is derived from the sweep's seed and the cell's own key, so its content does not depend on
the order of the cells, on who runs them, or on an interruption.
"""

import hashlib
import json
from dataclasses import asdict, dataclass
from itertools import product
from typing import Any, Literal

import numpy as np

from metarep.sim.checks import check_dimensions, check_sample_size, check_step_size, check_whole
from metarep.sim.learners import get_learner
from metarep.sim.problems import StartKind, make_problem
from metarep.sim.sampling.runs import run_sampled
from metarep.sim.trajectories import run

RECORDS = 100
"""Distances recorded along a run, evenly spaced; the floor is taken over the last quarter of them."""


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
    def key(self) -> str:
        """The setting as one canonical line, the same on every machine."""
        return json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))


@dataclass(frozen=True)
class Cell:
    """A setting and the block of its replicates number block·size … block·size + replicates − 1."""

    setting: SweepSetting
    block: int
    replicates: int
    first: int

    @property
    def key(self) -> str:
        """Canonical name of the cell."""
        return f"{self.setting.key}#{self.block}x{self.replicates}"

    def generator(self, seed: int) -> np.random.Generator:
        """The cell's own random stream."""
        words = np.frombuffer(hashlib.sha256(self.key.encode()).digest(), dtype=np.uint32)
        return np.random.default_rng([seed, *(int(word) for word in words)])


@dataclass(frozen=True)
class Replicate:
    """What became of one run: ``floor`` is the root mean square of dist over the last quarter of its records."""

    number: int
    outcome: str
    dist_start: float
    dist_end: float | None
    floor: float | None


def cells(settings: list[SweepSetting], replicates: int, block: int) -> list[Cell]:
    """All cells of a sweep, blocks of at most ``block`` replicates; a setting named twice counts once."""
    unique = dict.fromkeys(settings)
    return [
        Cell(setting, index, min(block, replicates - first), first)
        for setting in unique
        for index, first in enumerate(range(0, replicates, block))
    ]


def grid(axes: dict[str, list[Any]]) -> list[SweepSetting]:
    """Every combination of the axes' values."""
    return [SweepSetting(**dict(zip(axes, values, strict=True))) for values in product(*axes.values())]


def run_cell(cell: Cell, seed: int) -> tuple[list[Replicate], str]:
    """Run a cell: its replicates, and how the samples were simulated (``metarep.sim.sampling.in_law`` says why)."""
    s, rng = cell.setting, cell.generator(seed)
    learner, trials = get_learner(s.learner), (cell.replicates,)
    problem = make_problem(s.d, s.k, s.n, s.alpha, rng, s.tasks, s.start, s.dist0, trials)
    every = max(1, s.steps // RECORDS)
    if s.m_in is None and s.m_out is None:
        trajectory = run(learner, problem, s.alpha, s.beta, s.steps, record_every=every)
        mode = "population"
    else:
        trajectory = run_sampled(
            learner, problem.B0, problem.w0, problem.tasks, s.alpha, s.beta, s.m_in, s.m_out, s.sigma, s.d, s.steps,
            rng,
            record_every=every,
        )  # fmt: skip
        mode = trajectory.mode.name
    dist, diverged = trajectory.dist, trajectory.diverged
    last = dist[-max(1, len(dist) // 4) :]
    floors = np.sqrt(np.square(last).mean(0))
    rows = []
    for i in range(cell.replicates):
        end, floor = (None, None) if diverged[i] else (float(dist[-1, i]), float(floors[i]))
        rows.append(Replicate(cell.first + i, trajectory.outcome[i].value, float(dist[0, i]), end, floor))
    return rows, mode
