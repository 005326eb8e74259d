"""Runs of a training loop: at every update the gradient where the loop is, and the move that it makes.

Gradients are of very different size, so that clipping shows; tasks change from update to update.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product

import numpy as np

from metarep.sim.implementations import Implementation
from metarep.sim.learners import Learner
from metarep.theory.claims.comparing import ROUNDINGS_PER_WORD, step_scale
from metarep.theory.claims.strategies import StepArrays
from metarep.theory.engine.foreign.forms import right_step

Array = np.ndarray
SEED = 20260
UPDATES = 8
SETTINGS = ((5, 2, 3, 0.3, 0.07), (4, 3, 2, 0.4, 0.05))
"""(d, k, n, α, β) of runs."""
UNITS = (0.25, 1.0, 4.0, 32.0)
"""Units of length: gradients have the size of their cubes."""


@dataclass(frozen=True, eq=False)
class Run:
    """A run of a loop. Of every update, B and w in one row: ``points`` (updates, size) before it, the ``gradients``
    there, the ``moves`` (before minus after); ``tolerances``: of the moves, what rounding errors explain; ``stuck``:
    the gradients there on the first batch.
    """

    beta: float
    size_of_B: int
    points: Array
    gradients: Array
    moves: Array
    tolerances: Array
    stuck: Array

    @property
    def steps(self) -> Array:
        """The gradient steps, β times the gradients."""
        return self.beta * self.gradients

    @property
    def blur(self) -> float:
        """What rounding errors explain of all moves' norm."""
        return float(np.linalg.norm(self.tolerances)) * self.moves.shape[1] ** 0.5


def run_of(
    implementation: Implementation, learner: Learner, rng: np.random.Generator, setting: Sequence[float], unit: float
) -> Run | None:
    """A run of the loop; None where it leaves for infinity at once, or stands still."""
    assert implementation.loop is not None
    d, k, n = map(int, setting[:3])
    alpha, beta = (size / unit**2 for size in setting[3:])
    B, w = (unit * rng.uniform(-0.5, 0.5, shape) for shape in ((d, k), (k,)))
    every_targets = unit**2 * rng.uniform(-0.5, 0.5, (UPDATES, d, n))
    found = implementation.loop(learner, B, w, every_targets, alpha, beta)
    rows: list[tuple[Array, Array, Array, float, Array]] = []
    frame = np.eye(d)
    for next_B, next_w, targets in zip(*found, every_targets, strict=False):
        if not np.isfinite(next_B).all() or not np.isfinite(next_w).all():
            break
        # A step of size 1 shows the gradient, with the rounding errors of a step.
        scale = step_scale(learner, StepArrays(B, w, targets, frame, frame[:, :0], alpha, beta))
        tolerance = 4 * ROUNDINGS_PER_WORD * implementation.eps * (scale + float(np.abs(next_B).max()))
        gradients = (
            _flat(
                *(here - there for here, there in zip((B, w), right_step(learner, B, w, at, alpha, 1.0), strict=True))
            )
            for at in (targets, every_targets[0])
        )
        gradient, stuck = gradients
        rows.append((_flat(B, w), gradient, _flat(B - next_B, w - next_w), tolerance, stuck))
        B, w = next_B, next_w
    if len(rows) < 3:
        return None
    points, gradients, moves, tolerances, stuck = (np.array(part) for part in zip(*rows, strict=True))
    return Run(beta, d * k, points, gradients, moves, tolerances, stuck)


def _flat(B: Array, w: Array) -> Array:
    return np.concatenate([B.ravel(), w])


@dataclass(frozen=True, eq=False)
class Loop:
    """The runs of one learner; ``loose``: how far fitted numbers may be off."""

    runs: tuple[Run, ...]
    loose: float

    def agree(self, predicted: Sequence[Array]) -> bool:
        """Whether these are the moves."""
        return all(
            bool((np.abs(run.moves - moves).max(1) <= run.tolerances).all())
            for run, moves in zip(self.runs, predicted, strict=True)
        )

    def nearly(self, predicted: Sequence[Array]) -> bool:
        """Whether these are the moves where small entries are of no account: adaptive optimisers divide by them."""
        return all(
            bool(np.isfinite(moves).all())
            and np.linalg.norm(run.moves - moves) <= 10 * self.loose * np.linalg.norm(run.moves) + run.blur
            for run, moves in zip(self.runs, predicted, strict=True)
        )

    @cached_property
    def ratios(self) -> list[Array] | None:
        """How long each move is in gradient steps; None if some move has another direction."""
        found = []
        for run in self.runs:
            squares = np.square(run.steps).sum(1)
            found.append((run.moves * run.steps).sum(1) / np.where(squares > 0, squares, 1))
        along = [ratios[:, None] * run.steps for ratios, run in zip(found, self.runs, strict=True)]
        return found if self.agree(along) else None


def loop_of(implementation: Implementation, learner: Learner) -> Loop:
    """The runs of the implementation's loop for a learner, always the same."""
    rng = np.random.default_rng(SEED)
    found = (run_of(implementation, learner, rng, *each) for each in product(SETTINGS, UNITS))
    runs = tuple(run for run in found if run is not None)
    return Loop(runs, max(1e-6, float(np.sqrt(implementation.eps))))
