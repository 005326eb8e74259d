"""Runs: outer steps of a learner on a problem, its distance to the truth as it goes, and what became of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from metarep.sim.batches import common_batch
from metarep.sim.checks import check_run
from metarep.sim.implementations import REFERENCE, Implementation
from metarep.sim.learners import Learner
from metarep.sim.outcomes import CONVERGED_BELOW, DIVERGED_ABOVE, Tail, outcomes
from metarep.sim.problems import Problem
from metarep.sim.tasks import Tasks

Array = np.ndarray

_PROGRESS_REPORTS = 200
_MOST_AHEAD = 64
"""Steps that are asked for at a time."""
_MOST_PENDING = 2**20
"""Numbers in the representations whose distances are still to be computed: 8 MB."""


@dataclass(frozen=True, eq=False)
class Trajectory:
    """A run, or a batch of runs.

    Attributes:
        steps: the T recorded steps: 0, every ``record_every``-th, and the last one taken.
        dist: dist(B_t, B_*) there, (T, *batch); nan from where the run was seen to have diverged.
        outcome: ``Outcome`` of each, object array over the batch (of shape () for a single run).
        diverged_at: first step at which divergence was seen, −1 where it was not; int array over the batch.
        B: final representation (*batch, d', k); nan where diverged.
        w: final head (*batch, k); likewise.
        observed: what ``observe`` asked for, each (T, ...); nan where diverged.
    """

    steps: Array
    dist: Array
    outcome: Array
    diverged_at: Array
    B: Array
    w: Array
    observed: dict[str, Array] = field(default_factory=dict)

    @property
    def diverged(self) -> Array:
        """Which runs diverged, bool over the batch."""
        return self.diverged_at >= 0


def run(
    learner: Learner,
    problem: Problem,
    alpha: Any,
    beta: Any,
    steps: int,
    *,
    implementation: Implementation = REFERENCE,
    record_every: int = 1,
    stop_below: float | None = None,
    observe: Mapping[str, Callable[[Array, Array, int], Any]] | None = None,
    progress: Callable[[int], None] | None = None,
) -> Trajectory:
    """Take ``steps`` outer steps of ``learner`` on ``problem``, all trials at once.

    Args:
        learner: what the update is.
        problem: the start and the tasks; batch axes of B0, w0, heads, alpha and beta broadcast to the run's batch.
        alpha: inner step size α > 0, scalar or over the batch axes.
        beta: outer step size β >= 0, likewise.
        steps: number of outer steps, 0 or more. Fewer are taken once every run has diverged or is below ``stop_below``.
        implementation: whose update map and distance to use.
        record_every: distance between records in steps.
        stop_below: stop when all runs that have not diverged are at or below this distance at a record.
        observe: functions (B, w, step) -> array, recorded together with the distance under their names. They see runs
            that have diverged as zeros.
        progress: told the number of steps done, now and then and at the end.

    Returns:
        The trajectory. A run that diverges is frozen and reported, without any warning.

    Raises:
        ValueError: arguments out of range, or batch axes that do not broadcast.
    """
    check_run(steps, record_every, alpha, beta)

    B_star, tasks = problem.B_star, problem.tasks
    heads = tasks(0)
    batch = common_batch(B0=(problem.B0, 2), w0=(problem.w0, 1), heads=(heads, 2), alpha=(alpha, 0), beta=(beta, 0))
    B = np.broadcast_to(problem.B0, batch + problem.B0.shape[-2:])
    w = np.broadcast_to(problem.w0, batch + problem.w0.shape[-1:])
    B, w = np.ascontiguousarray(B), np.ascontiguousarray(w)
    with np.errstate(over="ignore"):  # for a tiny α: no number is beyond the bound then, but infinity is
        bound = DIVERGED_ABOVE**2 / np.broadcast_to(np.asarray(alpha, dtype=float), batch)
    bound = np.minimum(bound, np.finfo(float).max)
    # One sum of squares over the whole batch says cheaply that nobody has diverged; only when it does not is each run
    # looked at.
    least_bound = float(bound.min(initial=np.inf))
    diverged_at = np.full(batch, -1)
    observe = dict(observe or {})
    tail = Tail(learner, alpha, steps)
    recorded_steps: list[int] = []
    distances: list[Array] = []
    pending: list[tuple[Array, Array]] = []  # (B, which runs are gone) at records: many distances at once cost little
    observed: dict[str, list[Array]] = {name: [] for name in observe}
    report_every = max(1, steps // _PROGRESS_REPORTS)

    def settle() -> None:
        """Compute the distances that are pending."""
        if pending:
            Bs, gone = (np.stack(parts) for parts in zip(*pending, strict=True))
            distances.extend(np.where(gone, np.nan, implementation.subspace_distance(Bs, B_star)))
            pending.clear()

    def record(step: int) -> bool:
        """Record this step; say whether every run is finished."""
        gone = diverged_at >= 0
        recorded_steps.append(step)
        pending.append((B, gone))
        if stop_below is not None or len(pending) * B.size >= _MOST_PENDING:
            settle()
        for name, function in observe.items():
            value = np.asarray(function(B, w, step))
            if gone.any() and value.shape[: len(batch)] == batch:
                value = value.astype(float)
                value[gone] = np.nan
            observed[name].append(value)
        return bool(gone.all()) or (stop_below is not None and bool(np.all(gone | (distances[-1] <= stop_below))))

    with np.errstate(all="ignore"):
        B, w = _freeze_diverged(B, w, bound, least_bound, diverged_at, 0)
        finished = record(0)
        update = _Steps(implementation, learner, B_star, tasks, heads, alpha, beta)
        step = 0
        while step < steps and not finished:
            tail.keep(step, B, w, update.coming(1)[0])
            B, w = update(B, w, steps - step)
            step += 1
            B, w = _freeze_diverged(B, w, bound, least_bound, diverged_at, step)
            if step % record_every == 0 or step == steps or (diverged_at >= 0).all():
                finished = record(step)
            if progress is not None and step % report_every == 0:
                progress(step)
        if progress is not None:
            progress(step)
        settle()

    dist = np.asarray(distances)
    gone = diverged_at >= 0
    full_rank = np.ones(batch, dtype=bool)
    near = dist[-1] <= CONVERGED_BELOW
    if near.any():
        full_rank[near] = np.linalg.matrix_rank(B[near].astype(float)) >= B_star.shape[-1]
    if gone.any():
        B, w = B.copy(), w.copy()
        B[gone], w[gone] = np.nan, np.nan
    return Trajectory(
        np.asarray(recorded_steps),
        dist,
        outcomes(dist, gone, full_rank, tail),
        diverged_at,
        B,
        w,
        {name: np.asarray(values) for name, values in observed.items()},
    )


class _Steps:
    """An implementation's steps in a run: several at a time where it offers that, twice as many after those were all of
    use, which they are where nothing else has touched B and w.
    """

    def __init__(
        self, implementation: Implementation, learner: Learner, B_star: Array, tasks: Tasks, heads: Array, *sizes: Any
    ) -> None:
        self.implementation, self.learner, self.sizes = implementation, learner, sizes
        self.B_star, self.tasks, self.heads, self.latest = B_star, tasks, heads, B_star @ heads
        self.targets = [self.latest]  # of the steps still to be taken, as far as they have been asked for
        self.asked = 1
        self.ahead: list[tuple[Array, Array]] = []
        self.last: tuple[Array, ...] = ()
        self.count = 0

    def __call__(self, B: Array, w: Array, most: int) -> tuple[Array, Array]:
        """The next (B, w); there may be so many more."""
        if self.implementation.several is None:
            return self.implementation.step(self.learner, B, w, self.coming(1).pop(), *self.sizes)
        same = bool(self.last) and self.last[0] is B and self.last[1] is w
        if not (same and self.ahead):
            self.count = min(2 * self.count if same else 1, _MOST_AHEAD, most)
            targets = self.coming(self.count)[: self.count]
            fixed = all(each is targets[0] for each in targets)
            stacked = np.broadcast_to(targets[0], (len(targets), *targets[0].shape)) if fixed else np.stack(targets)
            taken = self.implementation.several(self.learner, B, w, stacked, *self.sizes)
            self.ahead = list(zip(*taken, strict=True))[::-1]
        self.targets.pop(0)
        self.last = self.ahead.pop()
        return self.last

    def coming(self, count: int) -> list[Array]:
        """The targets of the next so many steps."""
        while len(self.targets) < count:
            fresh = self.tasks(self.asked)
            self.asked += 1
            if fresh is not self.heads:
                self.heads, self.latest = fresh, self.B_star @ fresh
            self.targets.append(self.latest)
        return self.targets


def _freeze_diverged(
    B: Array, w: Array, bound: Array, least_bound: float, diverged_at: Array, step: int
) -> tuple[Array, Array]:
    """(B, w) with the runs that have diverged by now set to zero, where every learner stays; notes the step for new
    ones.
    """
    flat_B, flat_w = B.reshape(-1), w.reshape(-1)
    if flat_B @ flat_B <= least_bound and flat_w @ flat_w < np.inf:
        return B, w
    bad = ~((np.square(B).sum((-2, -1)) <= bound) & np.isfinite(w.astype(float)).all(-1))
    if not bad.any():
        return B, w
    diverged_at[bad & (diverged_at < 0)] = step
    return np.where(bad[..., None, None], 0, B), np.where(bad[..., None], 0, w)
