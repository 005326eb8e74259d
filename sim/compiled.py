"""A run's steps compiled from C (``steps.c``, by whatever installs this package where there is a C compiler); those on
finite samples are in ``metarep.sim.sampling.compiled``.

The maps are those of ``metarep.sim.moments``, for B_* = [I_p; 0]. Trials are stepped in groups whose arrays have the
trials as their last axis; a group that is not full is filled up by repeating its last trial, so a trial's result does
not depend on which others it is run with.
"""

import ctypes
import importlib.util
from functools import cache
from typing import Any

import numpy as np

from metarep.sim.batches import StepSize, flattened_step
from metarep.sim.learners import Learner, paper_id
from metarep.sim.metrics import SAFELY_CONDITIONED, subspace_distance

Array = np.ndarray

LANES = 4
"""Trials stepped together, as in ``lanes.h``, of a library which is not used if it says otherwise."""
MOST = 8
"""Columns of B and of B_* at most, likewise."""
TASKS = 64
"""Tasks of a step in law at most, as in ``in_law.c``, likewise."""
ORDER = ("average-loss", "fo-anil", "anil", "fo-maml", "maml")
_WHOLE, _ADDRESS, _LONG, _LONG_LONG = ctypes.c_int, ctypes.c_void_p, ctypes.c_long, ctypes.c_longlong
_REAL = ctypes.c_double
FUNCTIONS = ("can_run", "in_law_fits", "moments_count", "moments", "advance", "distances", "in_law")
"""What a library has that was compiled from these sources; their names there begin with ``metarep_``."""


@cache
def library() -> Any:
    """The compiled functions, or None where they were not compiled, from other sources, or for other processors."""
    spec = importlib.util.find_spec("metarep.sim._steps")
    if spec is None or spec.origin is None:
        return None
    found = ctypes.CDLL(spec.origin)
    if not all(hasattr(found, f"metarep_{name}") for name in FUNCTIONS):
        return None
    found.metarep_moments.argtypes = (_WHOLE, _WHOLE, _LONG, _LONG, _ADDRESS, _ADDRESS)
    state = (_WHOLE, _WHOLE, _WHOLE, _WHOLE, _LONG, *(_ADDRESS,) * 6)
    tasks, when = (_ADDRESS, _LONG, _ADDRESS, _LONG, _LONG), (_LONG_LONG, _LONG_LONG, _LONG_LONG)
    found.metarep_advance.argtypes = (*state, *tasks, *when, _ADDRESS)
    found.metarep_distances.argtypes = (_WHOLE, _WHOLE, _WHOLE, _LONG, _ADDRESS, _ADDRESS, _REAL, _ADDRESS)
    found.metarep_in_law.argtypes = (_ADDRESS,)
    for function in (found.metarep_moments, found.metarep_distances, found.metarep_in_law):
        function.restype = None
    fits = found.metarep_can_run(LANES, MOST) and found.metarep_in_law_fits(TASKS)
    return found if fits else None


def in_lanes(array: Array) -> Array:
    """(trials, ...) as (groups, ..., LANES), filled up by repeating the last trial."""
    trials = len(array)
    groups = -(-trials // LANES)
    padded = array[np.minimum(np.arange(groups * LANES), trials - 1)].reshape(groups, LANES, *array.shape[1:])
    return np.ascontiguousarray(padded.transpose(0, *range(2, padded.ndim), 1))


def out_of_lanes(lanes: Array, trials: int) -> Array:
    """A copy of the trials again, (trials, ...)."""
    moved = lanes.transpose(0, -1, *range(1, lanes.ndim - 1)).copy()
    return moved.reshape(-1, *moved.shape[2:])[:trials]


class Run:
    """Trials of one learner on their way.

    Args:
        learner: one of the paper's five.
        B, w: where they are, (trials, rows, k) and (trials, k).
        alpha, beta: step sizes (trials,).
        bound: of ‖B‖², (trials,), beyond which a trial has diverged; nan for none.
        diverged_at: first step at which it had, −1 where it has not; (trials,).
        p: columns of B_* = [I_p; 0].

    Raises:
        ValueError: more columns than ``MOST``, or another learner.
    """

    def __init__(
        self,
        learner: Learner,
        B: Array,
        w: Array,
        alpha: Array,
        beta: Array,
        bound: Array,
        diverged_at: Array,
        p: int,
    ) -> None:
        self._trials, rows, k = B.shape
        if max(p, k) > MOST:
            raise ValueError(f"{k} columns of B, {p} of B_*; allowed for compiled steps: {MOST} at most")
        self._p, self._learner = p, ORDER.index(paper_id(learner, "compiled step"))
        self._B, self._w, *sizes = (in_lanes(np.asarray(array, dtype=float)) for array in (B, w, alpha, beta, bound))
        self._diverged_at = in_lanes(np.asarray(diverged_at, dtype=np.int64))
        # these are held as long as their addresses are
        self._held = (self._B, self._w, *sizes, self._diverged_at)
        at = (array.ctypes.data for array in self._held)
        self._state = (self._learner, k, p, rows, len(self._B), *at)
        self._moments: Array | None = None
        self._tasks: tuple[int | None, int, None, int, int] = None, 0, None, 0, 0

    @property
    def state(self) -> tuple[Array, Array, Array]:
        """B, w and diverged_at, as given."""
        B, w, diverged_at = (out_of_lanes(lanes, self._trials) for lanes in (self._B, self._w, self._diverged_at))
        return B, w, diverged_at

    def keep_tasks(self, heads: Array) -> None:
        """From here on every step has these tasks: (trials, p, n), or (1, p, n) for all trials."""
        heads = np.ascontiguousarray(heads, dtype=float)
        found = np.empty((-(-len(heads) // LANES), library().metarep_moments_count(self._learner, self._p), LANES))
        at = (len(heads), heads.shape[-1], heads.ctypes.data, found.ctypes.data)
        library().metarep_moments(self._learner, self._p, *at)
        self._moments, self._tasks = found, (found.ctypes.data, len(found), None, 0, 0)

    def advance(self, step: int, steps: int, heads: Array | None = None, every: int = 0) -> tuple[bool, Array]:
        """Take so many steps from this one on.

        Args:
            step, steps: number of the step that is here, and how many follow.
            heads: of each of them, (steps, trials, p, n) or (steps, 1, p, n); None where ``keep_tasks`` has told them.
            every: B is also given after each of the steps before the last whose number this divides; 0 for none.

        Returns:
            Whether any trial has diverged meanwhile, and these B, (m, trials, rows, k), whatever they are of a trial
            that has diverged by then.
        """
        tasks = self._tasks
        if heads is not None:
            heads = np.ascontiguousarray(heads, dtype=float)
            tasks = (None, 0, heads.ctypes.data, heads.shape[1], heads.shape[-1])
        count = (step + steps - 1) // every - step // every if every else 0
        passed = np.empty((count, *self._B.shape))
        diverged = library().metarep_advance(*self._state, *tasks, step, steps, every, passed.ctypes.data)
        groups, *shape, _ = self._B.shape
        given = passed.transpose(0, 1, 4, 2, 3).reshape(count, groups * LANES, *shape)
        return bool(diverged), given[:, : self._trials]


def distances(B: Array, p: int) -> Array:
    """``metarep.sim.metrics.subspace_distance`` to B_* = [I_p; 0], compiled for those of full rank.

    Args:
        B: (count, rows, k) with no more columns than ``MOST``, as p.
    """
    B = np.ascontiguousarray(B, dtype=float)
    (count, rows, k), found, work = B.shape, np.empty(len(B)), np.empty(B.shape[1:])
    at = (B.ctypes.data, work.ctypes.data, SAFELY_CONDITIONED, found.ctypes.data)
    library().metarep_distances(k, p, rows, count, *at)
    others = np.isnan(found)
    if others.any():
        found[others] = subspace_distance(B[others], np.eye(rows, p))
    return found


def step(learner: Learner, B: Array, w: Array, targets: Array, alpha: StepSize, beta: StepSize) -> tuple[Array, Array]:
    """``metarep.sim.updates.step`` compiled, for floats, with its arguments and results. It is there to be checked.

    The targets are turned into the coordinates that the steps are written for, where of fewer tasks than dimensions
    they need not be in them, and stand for heads.

    Raises:
        ValueError: k or min(d, n) is more than ``MOST``.
    """
    batch, (B, w, targets, alpha, beta) = flattened_step(B, w, targets, alpha, beta)
    trials, d, k = B.shape
    p = min(d, targets.shape[-1])
    frame = np.linalg.qr(targets, mode="complete")[0] if p < d else np.eye(d)[None]
    turned = np.swapaxes(frame, -1, -2)
    nowhere, never = np.full(trials, np.nan), np.full(trials, -1)
    run = Run(learner, turned @ B, w, alpha, beta, nowhere, never, p)
    run.advance(0, 1, (turned @ targets)[None, :, :p])
    B, w, _ = run.state
    return (frame @ B).reshape(*batch, d, k), w.reshape(*batch, k)
