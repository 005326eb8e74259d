"""What became of a run: judged from its recorded distances and from some states of its last quarter.

A run can fail in a way that its distance does not tell: Exact MAML may come to solve every task while B_*ᵀB dies out.
Adapting B alone, B_i = B − αr_iwᵀ, solves any task exactly once α‖w‖² = 1, so that nothing pulls B to B_* any more:
where α‖w‖² = 1, Bw = 0 and B_*ᵀB = 0 the outer gradient is zero. Such a run ends blind. Own finding.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np

from metarep.sim.batches import as_one_axis
from metarep.sim.learners import Learner
from metarep.sim.updates import residuals_after_adaptation

Array = np.ndarray

CONVERGED_BELOW = 1e-6
"""A run whose last recorded distance is at most this has converged. (A convention: six orders of magnitude below the
farthest.)
"""
DIVERGED_ABOVE = 1e6
"""A run has diverged when ‖B‖_F √α exceeds this (it is about √k on the way to the truth) or B or w is not finite."""
LAST_WINDOW = 0.25
"""Share of the recorded distances, counted from the end, from which the rest is judged."""
LEAST_CHANGE = 1e-3
"""Change of log dist over that window below which a run has stalled. Far above rounding (the distance is good to a few
eps, so its logarithm too unless it is itself at rounding level) and far below what any rate worth the name does in a
quarter of a run.
"""
CLEAR_SHARE = 0.9
"""So much of the window's second half must lie beyond so much of its first: what merely fluctuates, as at a noise
floor, is no change. All of a monotone curve does, whatever its shape.
"""
SOLVED_BELOW = 1e-2
"""Every task is solved if the largest loss after adaptation is at most this share of the tasks' mean loss at w = 0. At
a blind point what is left of a residual is |1 − α‖w‖²| of it: ‖w‖² is then within a tenth of 1/α.
"""
IDLE_ABOVE = 0.5
"""The representation is not what solves them if, were the inner loop to adapt the head alone, more than this share of
that loss were left: at a blind point all of it, at the truth nothing. Of runs that solve more than k fixed tasks
(d = 100, k = 5, n from 6 to 20) all have less than 0.02 left or more than 0.56, and so have those with fresh tasks.
Fewer than k fixed tasks have a continuum of rests in between, for which one half is a convention.
"""
FAR_ABOVE = 1e-2
"""A run is not blind whose median distance over the last window is at most this: it knows the truth, whatever it needs.
Not near 1, as the distance is that of B's directions however small B is: where all of B dies out, with fresh tasks, it
wanders, between 0.02 and 0.9 in one run, and comes no closer.
"""
TAIL_STATES = 8
"""States of the last quarter at which this is looked at: a run on its way passes through, if at all, in fewer steps."""
ENOUGH_RECORDS = 40
"""Distances recorded along a run of which only the end matters: ten in the quarter that it is judged from."""
_ONE_THREAD = 2**12
"""Numbers whose sum of squares OpenBLAS does not share among threads: half as many."""


@dataclass(frozen=True)
class Guard:
    """Freezes runs that have diverged, and notes when.

    Attributes:
        bound: of ‖B‖², over the batch.
        diverged_at: first step at which divergence was seen, −1 until then; over the batch, written to.
    """

    bound: Array
    diverged_at: Array
    least_bound: float

    @classmethod
    def over(cls, alpha: Any, batch: tuple[int, ...]) -> "Guard":
        """For runs with these inner step sizes."""
        with np.errstate(over="ignore"):  # for a tiny α: no number is beyond the bound then, but infinity is
            bound = DIVERGED_ABOVE**2 / np.broadcast_to(np.asarray(alpha, dtype=float), batch)
        bound = np.minimum(bound, np.finfo(float).max)
        return cls(bound, np.full(batch, -1), float(bound.min(initial=np.inf)))

    def part(self, index: tuple[Any, ...]) -> "Guard":
        """That of a part of the batch; what it notes stands in the whole one."""
        bound = self.bound[index]
        return Guard(bound, self.diverged_at[index], float(bound.min(initial=np.inf)))

    def all_gone(self) -> bool:
        """Whether every run has diverged."""
        return bool((self.diverged_at >= 0).all())

    def all_fine(self, states: Sequence[tuple[Array, Array]]) -> bool:
        """Whether certainly nobody has diverged in any of the states (B, w), whose arrays are contiguous: one sum of
        squares over all of them says so.
        """
        return self._fine(*(np.concatenate(arrays).reshape(-1) for arrays in zip(*states, strict=True)))

    def _fine(self, B: Array, w: Array) -> bool:
        """Whether the squares of all numbers, (m,) each, add up to what certainly nobody has diverged with."""
        return bool(_sum_of_squares(B) <= self.least_bound and _sum_of_squares(w) < np.inf)

    def freeze(self, B: Array, w: Array, step: int) -> tuple[Array, Array]:
        """(B, w) with the runs that have diverged by now set to zero, where every learner stays.

        One sum of squares over all runs says cheaply that nobody has diverged; only when it does not is each looked at.
        """
        if self._fine(as_one_axis(B), as_one_axis(w)):
            return B, w
        bad = ~((np.square(B).sum((-2, -1)) <= self.bound) & np.isfinite(w.astype(float)).all(-1))
        if not bad.any():
            return B, w
        self.diverged_at[bad & (self.diverged_at < 0)] = step
        return np.where(bad[..., None, None], 0, B), np.where(bad[..., None], 0, w)


def _sum_of_squares(numbers: Array) -> Any:
    """Of (m,). Of many not by BLAS, whose threads would wait for each other longer than this takes."""
    return numbers.dot(numbers) if numbers.size <= _ONE_THREAD else np.einsum("i,i->", numbers, numbers)


class Outcome(Enum):
    """What became of a run."""

    CONVERGED = "converged"
    MOVING = "moving"
    STALLED = "stalled"
    RECEDING = "receding"
    BLIND = "blind"
    COLLAPSED = "collapsed"
    DIVERGED = "diverged"

    @property
    def message(self) -> str:
        """One sentence for a report."""
        return _MESSAGES[self]


_MESSAGES = {
    Outcome.CONVERGED: f"recovered the representation: the distance ended at or below {CONVERGED_BELOW:g}",
    Outcome.MOVING: "was still coming closer when the steps ran out",
    Outcome.STALLED: f"stopped coming closer: over the last {LAST_WINDOW:.0%} of the run the distance neither fell nor "
    "rose by more than it fluctuates",
    Outcome.RECEDING: "was moving away from the truth when the steps ran out",
    Outcome.BLIND: f"solved every task over the last {LAST_WINDOW:.0%} of the run, to {SOLVED_BELOW:.0%} of the loss "
    "at w = 0, while the distance did not fall: by adapting the representation, as adapting the head alone would leave "
    f"over {IDLE_ABOVE:.0%} of that loss",
    Outcome.COLLAPSED: "lost rank: what is left of the representation lies in the truth's span, but does not fill it",
    Outcome.DIVERGED: f"ran away: the representation's norm exceeded {DIVERGED_ABOVE:,.0f}/√α",
}


def counted(outcomes: Array) -> dict[str, int]:
    """How many runs ended how: counts by the outcomes' words, of those that there are."""
    counts = Counter(outcome.value for outcome in outcomes.flat)
    return {outcome.value: counts[outcome.value] for outcome in Outcome if counts[outcome.value]}


def enough_records(steps: int) -> int:
    """The distance between records at which a run of so many steps has ``ENOUGH_RECORDS``."""
    return max(1, steps // ENOUGH_RECORDS)


def solved_blindly(learner: Learner, B: Array, w: Array, targets: Array, alpha: Array) -> Array:
    """Whether every task is solved after adaptation, and not by what the representation knows; bool over the batch.

    See ``SOLVED_BELOW`` and ``IDLE_ABOVE``.

    Args:
        learner: whose inner loop adapts; without an exact head.
        B: representation (..., d, k'). w: head (..., k'). targets: θ_i as columns (..., d, n).
        alpha: inner step size α over the batch axes.
    """
    size = np.square(targets).sum(-2).mean(-1)
    left = np.square(residuals_after_adaptation(learner, B, w, targets, alpha)).sum(-2).max(-1)
    alone = np.square(residuals_after_adaptation(learner, B, w, targets, alpha, head_alone=True)).sum(-2).mean(-1)
    return (left <= SOLVED_BELOW * size) & (alone > IDLE_ABOVE * size)


class Tail:
    """Some states of a run's last quarter, each with the tasks that come next: a run that ends blind is so in all.

    Of a learner that does not adapt its representation none are kept: it has no blind points.
    """

    def __init__(self, learner: Learner, alpha: Any, steps: int) -> None:
        self._learner, self._alpha = learner, np.asarray(alpha)
        places = np.linspace((1 - LAST_WINDOW) * steps, steps - 1, TAIL_STATES) if learner.adapts_representation else ()
        self.steps = {int(place) for place in places}
        self._states: list[tuple[Array, Array, Array]] = []

    def keep(self, step: int, B: Array, w: Array, targets: Array) -> None:
        """Keep the state before the update of this step, if it is one of them."""
        if step in self.steps:
            self._states.append((B, w, targets))

    def blind(self, among: Array) -> Array:
        """Which of the runs ``among`` (bool over the batch) end blind; bool over the batch."""
        found = np.array(among & bool(self._states))
        for B, w, targets in self._states:
            if not found.any():
                break
            here = (
                np.broadcast_to(array, found.shape + array.shape[array.ndim - axes :])[found].astype(float)
                for array, axes in ((B, 2), (w, 1), (targets, 2), (self._alpha, 0))
            )
            with np.errstate(over="ignore", invalid="ignore"):  # what overflows solves nothing
                found[found] = solved_blindly(self._learner, *here)
        return found


def _last(dist: Array) -> Array:
    """The records of the last window, two at least where there are."""
    return dist[-max(2, round(LAST_WINDOW * len(dist))) :]


def trend(dist: Array) -> Array:
    """−1 where the recorded distances (T, *batch) fall over the last window, 1 where they rise, 0 where they do
    neither: by more than ``LEAST_CHANGE`` and by more than they fluctuate. With a single record −1: nothing speaks
    against it.
    """
    if len(dist) < 2:
        return np.full(dist.shape[1:], -1)
    logs = np.log(np.maximum(_last(dist), np.finfo(float).tiny))  # log 0 is as far down as it gets
    half = len(logs) // 2
    first, second = logs[:half], logs[-half:]
    change = 2 * (second.mean(0) - first.mean(0))
    (low, high), (low_after, high_after) = (
        np.quantile(part, (1 - CLEAR_SHARE, CLEAR_SHARE), axis=0) for part in (first, second)
    )
    falls = (change < -LEAST_CHANGE) & (high_after < low)
    rises = (change > LEAST_CHANGE) & (low_after > high)
    return rises.astype(int) - falls


def outcomes(dist: Array, diverged: Array, full_rank: Array | bool = True, tail: Tail | None = None) -> Array:
    """Verdicts over the batch from the recorded distances (T, *batch). See the constants above for the rules.

    Args:
        dist: recorded distances.
        diverged: which runs diverged.
        full_rank: whether the final representation has the truth's rank; without it the distance, that of the span
            which is left, does not tell.
        tail: states of the last quarter; without them no run is called blind.
    """
    outcome = np.empty(diverged.shape, dtype=object)
    outcome[...] = Outcome.STALLED
    near = dist[-1] <= CONVERGED_BELOW
    left = ~(near | diverged)
    change = np.zeros(diverged.shape, dtype=int)
    change[left] = trend(dist[:, left])
    outcome[change < 0] = Outcome.MOVING
    outcome[change > 0] = Outcome.RECEDING
    if tail is not None:
        candidates = (np.median(_last(dist), axis=0) > FAR_ABOVE) & (change >= 0) & left
        outcome[tail.blind(candidates)] = Outcome.BLIND
    outcome[near] = Outcome.CONVERGED
    outcome[near & ~np.broadcast_to(full_rank, diverged.shape)] = Outcome.COLLAPSED
    outcome[diverged] = Outcome.DIVERGED
    return outcome
