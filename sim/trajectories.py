"""Runs: outer steps of a learner on a problem, its distance to the truth as it goes, and what became of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from metarep.sim.checks import check_run
from metarep.sim.compiled import distances as compiled_distances
from metarep.sim.implementations import REFERENCE, Implementation
from metarep.sim.learners import Learner
from metarep.sim.metrics import least_distance, subspace_distance
from metarep.sim.outcomes import CONVERGED_BELOW, Tail, outcomes
from metarep.sim.problems import Problem
from metarep.sim.stretches import SeveralAhead, Stretches, Way

Array = np.ndarray

_PROGRESS_REPORTS = 200
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
    way: Way | None = None,
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
        way: how the reference's steps are computed; the cheapest way unless given (``metarep.sim.stretches``).

    Returns:
        The trajectory. A run that diverges is frozen and reported, without any warning.

    Raises:
        ValueError: arguments out of range, batch axes that do not broadcast, or a way that is not there.
    """
    check_run(steps, record_every, alpha, beta)

    B_star = problem.B_star
    kind: type[Stretches] = Stretches if implementation.several is None else SeveralAhead
    stretches = kind(implementation, learner, problem, alpha, beta, steps, way)
    batch, guard = stretches.batch, stretches.guard
    diverged_at = guard.diverged_at
    B = np.broadcast_to(problem.B0, batch + problem.B0.shape[-2:])
    w = np.broadcast_to(problem.w0, batch + problem.w0.shape[-1:])
    B, w = np.ascontiguousarray(B), np.ascontiguousarray(w)
    observe = dict(observe or {})
    tail = Tail(learner, alpha, steps)
    recorded_steps: list[int] = []
    distances: list[Array] = []
    pending: list[tuple[Array, Array]] = []  # (B, which runs are gone) at records: many distances at once cost little
    # nobody looks at what is only recorded: compiled steps need not stop for it
    on_the_way = record_every if stretches.way == "compiled" and stop_below is None and not observe else 0
    most_kept = max(1, _MOST_PENDING // max(1, B.size)) * record_every
    observed: dict[str, list[Array]] = {name: [] for name in observe}
    report_every = max(1, steps // _PROGRESS_REPORTS)
    known, k = implementation.subspace_distance is subspace_distance, B_star.shape[-1]
    by_c = known and stretches.way == "compiled"

    def settle() -> None:
        """Compute the distances that are pending."""
        if pending:
            Bs, gone = (np.concatenate(parts) for parts in zip(*pending, strict=True))
            found = np.full(gone.shape, np.nan)
            if not gone.all():
                left = Bs[~gone]
                found[~gone] = compiled_distances(left, k) if by_c else implementation.subspace_distance(left, B_star)
            distances.extend(found)
            pending.clear()

    def surely_above(bound: float) -> bool:
        """Whether some run's distance is, which costs less to say than the distances."""
        return known and bool((least_distance(B, B_star) > bound).any())

    def record(step: int) -> bool:
        """Record this step; say whether every run is finished."""
        gone = diverged_at >= 0
        recorded_steps.append(step)
        pending.append((B[None], gone[None]))
        far = stop_below is not None and surely_above(2 * stop_below)  # the factor is for rounding errors
        if (stop_below is not None and not far) or len(pending) * B.size >= _MOST_PENDING:
            settle()
        for name, function in observe.items():
            value = np.asarray(function(B, w, step))
            if gone.any() and value.shape[: len(batch)] == batch:
                value = value.astype(float)
                value[gone] = np.nan
            observed[name].append(value)
        return bool(gone.all()) or (
            stop_below is not None and not far and bool(np.all(gone | (distances[-1] <= stop_below)))
        )

    with np.errstate(all="ignore"):
        B, w = guard.freeze(B, w, 0)
        finished = record(0)
        step = 0
        while step < steps and not finished:
            if step in tail.steps:
                tail.keep(step, B, w, stretches.coming())
            looks = [steps, *(look for look in tail.steps if look > step)]
            looks.append(step + most_kept if on_the_way else (step // record_every + 1) * record_every)
            if progress is not None:
                looks.append((step // report_every + 1) * report_every)
            before = step
            B, w, step = stretches(B, w, step, min(looks) - step, on_the_way)
            if on_the_way:
                passed = range((before // record_every + 1) * record_every, step, record_every)
                recorded_steps.extend(passed)
                gone = (diverged_at >= 0) & (diverged_at <= np.reshape(passed, (-1, *(1,) * len(batch))))
                pending.append((stretches.passed[: len(passed)], gone))
                settle()
            if step % record_every == 0 or step == steps or guard.all_gone():
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
