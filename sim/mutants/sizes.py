"""Wrong implementations that are right at small sizes, or everywhere but at a special case: only examples of the sizes
that people use can tell them.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from metarep.sim.learners import LEARNERS, Learner
from metarep.sim.mutants.mutant import Mutant, Wrong
from metarep.sim.mutants.steps import scaled_step_sizes
from metarep.sim.terms import At, Pair

Array = np.ndarray

DIMENSION, WIDTH, TASKS, NORM = 12, 4, 10, 10.0
"""Where the mutants begin to be wrong."""


def _floats(array: Array) -> Array:
    return np.asarray(array, dtype=float)


def _norm(at: At) -> Array:
    return np.linalg.norm(_floats(at.B), 2, axis=(-2, -1))


def _rank(at: At) -> Array:
    return np.linalg.matrix_rank(_floats(at.targets))


def _first_tasks(right: Callable[..., Pair], *arguments: Any) -> Pair:
    at = At(*arguments)
    return right(*at._replace(targets=at.targets[..., :TASKS]))


def _only(name: str, what: str, told: str, where: Callable[[At], Any], wrong: Wrong) -> Mutant:
    """A step that is ``wrong`` for the batch's elements of which ``where`` is true, and right for all others."""

    def step(right: Callable[..., Pair], learner: Learner, *arguments: Any) -> Pair:
        at = At(learner, *arguments)
        stepped, there = right(*at), np.asarray(where(at))
        if not there.any():
            return stepped
        B, w = wrong(right, *at)
        return np.where(there[..., None, None], B, stepped[0]), np.where(there[..., None], w, stepped[1])

    return Mutant(name, "implementation", "special-case", what, {"step": step}, frozenset(LEARNERS), told)


_SLIGHTLY = scaled_step_sizes(beta_factor=1.01)

SIZE_MUTANTS: tuple[Mutant, ...] = (
    _only(
        "wrong-from-d-12", f"β is 1 % too large where d ≥ {DIMENSION}",
        f"right up to d = {DIMENSION - 1}, wrong from {DIMENSION}: there β is 1.01 times",
        lambda at: at.B.shape[-2] >= DIMENSION, _SLIGHTLY,
    ),
    _only(
        "wrong-beyond-k-4", f"β is doubled where k > {WIDTH}",
        f"right up to k = {WIDTH}, wrong from {WIDTH + 1}: there β is 2 times",
        lambda at: at.B.shape[-1] > WIDTH, scaled_step_sizes(beta_factor=2.0),
    ),
    _only(
        "drops-tasks-beyond-ten", f"tasks beyond the first {TASKS} are left out",
        f"right up to n = {TASKS}, wrong from {TASKS + 1}: there tasks are left out",
        lambda at: at.targets.shape[-1] > TASKS, _first_tasks,
    ),
    _only(
        "wrong-beyond-norm-10", f"β is 1 % too large where ‖B‖ > {NORM:g}",
        f"only where ‖B‖ > {NORM:g}: there β is 1.01 times", lambda at: _norm(at) > NORM, _SLIGHTLY,
    ),
    _only(
        "wrong-where-rank-exceeds-k", "β is 1 % too large where the tasks span more than k directions",
        "only where the tasks' rank exceeds k: there β is 1.01 times", lambda at: _rank(at) > at.B.shape[-1], _SLIGHTLY,
    ),
    _only(
        "wrong-at-equal-step-sizes", "β is 1 % too large where α = β", "only where α = β: there β is 1.01 times",
        lambda at: np.equal(at.alpha, at.beta), _SLIGHTLY,
    ),
)  # fmt: skip
"""Each is wrong at some sizes alone."""
