"""A run's steps from one look at it to the next: in blocks of trials that stay in cache, through tasks or moments.

A block takes all steps of a stretch before the next block begins. Trials do not touch each other, so blocks change no
bit of a result. Through moments (``metarep.sim.moments``) the result is the same up to rounding, and its cost does not
depend on the number of tasks. Compiled (``metarep.sim.compiled``) it is so too, and an order of magnitude faster.
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np

from metarep.sim import compiled, moments, updates
from metarep.sim.batches import along_trials, common_batch, flattened
from metarep.sim.implementations import Implementation
from metarep.sim.learners import LEARNERS, Learner, paper_id
from metarep.sim.outcomes import Guard
from metarep.sim.problems import FixedTasks, Problem

Array = np.ndarray
Way = Literal["tasks", "moments", "compiled"]
"""How steps are computed: task by task (any implementation), or through the tasks' moments, by NumPy or compiled."""

_BLOCK = 500
_BLOCK_BYTES = 2**19
"""Trials in a block, at most; and bytes of the largest array of a step in it: what a core has as second-level cache."""
ALONG_FROM = 64
_SMALL = 100
"""From so many trials on their axis is the one to run along (``metarep.sim.batches.product``), if no matrix of a step
has more entries than this.
"""
_MOST_AT_ONCE = 1000
_MOST_HEADS = 2**20
"""Steps of a stretch at most, and numbers in their tasks' heads where these are drawn afresh: 8 MB."""
_WORTH_COMPILED = 3e-4
"""Seconds that steps would take by NumPy; of fewer, putting them into lanes takes longer than it saves."""
_SECONDS_A_CALL, _SECONDS_A_TRIAL = 3e-5, 1.5e-6
"""What a step takes without, roughly."""
_MOST_TOGETHER, _FEW_NUMBERS = 16, 2**10
"""Steps that the guard looks at together, at most, and entries of B up to which it does: looking takes a tenth of a
small step. Where somebody diverges they are taken again.
"""
_MOST_AHEAD = 64
"""Steps that are asked for at a time of an implementation that offers several."""


# --- which way


def pays_from(learner: Learner, k: int, fresh: bool) -> float:
    """Number of tasks from which steps through moments are cheaper (measured for k from 2 to 10).

    With q = k + 1 the moments of FO-MAML are q³ numbers and those of Exact MAML q⁴/4, each used once a step. Tasks
    drawn afresh have new moments at every step, which for the MAMLs costs what it saves.
    """
    q, name = k + 1, paper_id(learner, "map through moments")
    if name in ("fo-maml", "maml"):
        return math.inf if fresh else max(12, q * q / 2 if learner.first_order else q**3 / 4)
    return (4 if fresh else 2) * q if learner.adapts_head else 2


def can_be_compiled(problem: Problem) -> bool:
    """Whether there are compiled steps for this problem, here: B_* = [I; 0], and it and B have few columns."""
    shape, k = problem.B_star.shape, problem.B0.shape[-1]
    few = max(k, shape[1]) <= compiled.MOST
    return few and np.array_equal(problem.B_star, np.eye(*shape)) and compiled.library() is not None


def chosen_way(learner: Learner, implementation: Implementation, problem: Problem, heads: Array, work: float) -> Way:
    """The cheapest way of the reference's steps; any other implementation's are taken as they are.

    Args:
        learner, implementation, problem: of the run.
        heads: of the first step.
        work: seconds that the run would take by NumPy.
    """
    ours = implementation.step is updates.step and implementation.several is None and learner in LEARNERS.values()
    if not ours or any(array.dtype != float for array in (problem.B0, problem.w0, problem.B_star, heads)):
        return "tasks"
    if work >= _WORTH_COMPILED and can_be_compiled(problem):
        return "compiled"
    k, n = heads.shape[-2:]
    return "moments" if n >= pays_from(learner, k, not isinstance(problem.tasks, FixedTasks)) else "tasks"


def seconds_by_numpy(steps: int, runs: int) -> float:
    """What a batch takes by NumPy, roughly."""
    return steps * (_SECONDS_A_CALL + _SECONDS_A_TRIAL * runs)


def _are_small(rows: int, k: int, n: int, way: str) -> bool:
    """Whether a step's matrices are so small that the trials' axis, if there are many, is the one to run along."""
    return rows * (max(k, n) if way == "tasks" else k + 1) <= _SMALL


def fewest_alike(way: str, rows: int, k: int, n: int) -> int:
    """Number of runs from which on what becomes of one, to the last bit, does not depend on how many there are."""
    return 1 if way == "compiled" else ALONG_FROM if _are_small(rows, k, n, way) else 2


# --- blocks


def _indices(batch: tuple[int, ...], most: int) -> Iterator[tuple[Any, ...]]:
    """Indices of contiguous parts of the batch, as equal as can be, with so many trials at most, if that leaves one."""
    if math.prod(batch) <= most:
        yield (...,)
        return
    behind = math.prod(batch[1:])
    parts = -(-batch[0] // max(1, most // behind))
    for part in range(parts):
        rows = slice(part * batch[0] // parts, (part + 1) * batch[0] // parts)
        for inner in _indices(batch[1:], most) if behind > most else ((...,),):
            yield (rows, *inner)


def part_of(array: Any, trailing: int, index: tuple[Any, ...], batch: tuple[int, ...]) -> Any:
    """The part of an array that a block needs, whose batch axes broadcast to the batch's."""
    own = np.ndim(array) - trailing
    if own <= 0 or index == (...,):
        return array
    where = list(index[:-1])[max(len(batch) - own, 0) :]
    return array[tuple(slice(None) if size == 1 else at for size, at in zip(array.shape, where, strict=False))]


class _Block:
    """A part of a run's batch: its steps."""

    def __init__(self, stretches: "Stretches", index: tuple[Any, ...]) -> None:
        self.whole, self.index = stretches, index
        self.guard = stretches.guard.part(index)
        self.batch = self.guard.bound.shape
        self.sizes = tuple(part_of(size, 0, index, stretches.batch) for size in stretches.sizes)
        self.alone = stretches.ours and math.prod(stretches.batch) == 1
        if stretches.along or self.alone:
            shape = () if self.alone else (-1,)
            bound, diverged_at = self.guard.bound.reshape(shape), self.guard.diverged_at.reshape(shape)
            self.guard = replace(self.guard, bound=bound, diverged_at=diverged_at)
            self.sizes = tuple(self._laid_out(np.asarray(size), 0) for size in self.sizes)
        self._heads: Array | None = None
        self._tasks: Any = None

    def _laid_out(self, array: Array, trailing: int) -> Array:
        """An array of the block as its steps want it: without batch axes of a single trial, or along the trials."""
        if self.alone:
            return array.reshape(array.shape[array.ndim - trailing :])[()]
        return along_trials(flattened(self.batch, (array, trailing))[0])

    def _of_tasks(self, heads: Array) -> Iterator[Any]:
        """What steps need of the tasks with their heads (steps, ..., k, n), laid out: targets, or moments."""
        whole = self.whole
        if whole.way == "tasks":
            return iter(self._steps_laid_out(whole.B_star @ heads))
        return map(moments.HeadMoments, *map(self._steps_laid_out, moments.head_moments(whole.learner, heads)))

    def _steps_laid_out(self, arrays: Array) -> Array:
        """Matrices of several steps (steps, ..., a, b), each step's as ``_laid_out`` has them."""
        steps, shape = len(arrays), arrays.shape[-2:]
        if self.alone:
            return arrays.reshape(steps, *shape)
        if not self.whole.along:
            return arrays
        arrays = arrays.reshape(steps, *(1,) * (len(self.batch) + 3 - arrays.ndim), *arrays.shape[1:])
        flat = flattened((steps, *self.batch), (arrays, 2))[0].reshape(steps, -1, *shape)
        return along_trials(flat, axis=1)

    def tasks(self, heads: Sequence[Array]) -> Iterator[Any]:
        """What each of the steps with these heads needs, of several at a time where the tasks are drawn afresh."""
        parts = [part_of(each, 2, self.index, self.whole.batch) for each in (heads if self.whole.fresh else heads[:1])]
        if not self.whole.fresh:
            if heads[0] is not self._heads:
                self._heads, self._tasks = heads[0], next(self._of_tasks(parts[0][None]))
            yield from itertools.repeat(self._tasks, len(heads))
            return
        most = max(1, _BLOCK_BYTES // (8 * max(1, parts[0].size) * -(-len(self.whole.B_star) // parts[0].shape[-2])))
        for first in range(0, len(parts), most):
            yield from self._of_tasks(np.stack(parts[first : first + most]))

    def __call__(self, B: Array, w: Array, heads: Sequence[Array], step: int) -> tuple[Array, Array]:
        """The block's (B, w) after a step with each of the heads in turn, from this step on."""
        whole, shapes = self.whole, (B.shape, w.shape)
        if self.guard.all_gone():
            return B, w
        if whole.along or self.alone:
            B, w = self._laid_out(B, 2), self._laid_out(w, 1)
        most = _MOST_TOGETHER if whole.ours and not whole.along and B.size <= _FEW_NUMBERS else 1
        coming, done = self.tasks(heads), step
        while steps := list(itertools.islice(coming, most)):
            states, at = [], (B, w)
            for tasks in steps:
                at = self._step(*at, tasks)
                states.append(at)
            if len(steps) > 1 and self.guard.all_fine(states):
                (B, w), done = at, done + len(steps)
                continue
            for tasks in steps:  # one by one: at one of them somebody may have diverged
                kept = at if len(steps) == 1 else self._step(B, w, tasks)
                done += 1
                B, w = self.guard.freeze(*kept, done)
                if B is not kept[0] and self.guard.all_gone():
                    return B.reshape(shapes[0]), w.reshape(shapes[1])
        return B.reshape(shapes[0]), w.reshape(shapes[1])

    def _step(self, B: Array, w: Array, tasks: Any) -> tuple[Array, Array]:
        """One step of all of the block, as its arrays are laid out."""
        whole, (alpha, beta) = self.whole, self.sizes
        if whole.way == "tasks":
            return whole.implementation.step(whole.learner, B, w, tasks, alpha, beta)
        return moments.step_through_moments(whole.learner, B, w, tasks, alpha, beta, whole.frame)


class _Compiled:
    """All of a run's batch, by compiled steps; its state stays as these want it."""

    def __init__(self, stretches: "Stretches") -> None:
        self.whole, self._shape = stretches, stretches.batch
        self._run: compiled.Run | None = None
        self._given: tuple[Array, ...] = ()

    def _flat(self, array: Any, trailing: int) -> Array:
        return flattened(self._shape, (array, trailing))[0]

    def _trials(self, heads: Array) -> Array:
        """Heads with one axis of trials, of length 1 where all have the same."""
        return heads[None] if heads.ndim == 2 else self._flat(heads, 2)

    def __call__(self, B: Array, w: Array, heads: Sequence[Array], step: int, every: int = 0) -> tuple[Array, Array]:
        """(B, w) after a step with each of the heads in turn, from this step on."""
        whole, run, kept = self.whole, self._run, None if self.whole.fresh else heads[0]
        if run is None or not (self._given[0] is B and self._given[1] is w):
            guard = whole.guard
            alpha, beta, bound, gone = (self._flat(x, 0) for x in (*whole.sizes, guard.bound, guard.diverged_at))
            state = self._flat(B, 2), self._flat(w, 1)
            run = compiled.Run(whole.learner, *state, alpha, beta, bound, gone, whole.B_star.shape[-1])
            self._run = run
            if kept is not None:
                run.keep_tasks(self._trials(kept))
        drawn = None if kept is not None else np.stack([self._trials(each) for each in heads])
        diverged, passed = run.advance(step, len(heads), drawn, every)
        whole.passed = passed.reshape(len(passed), *self._shape, *passed.shape[2:])
        B, w, diverged_at = run.state
        if diverged:
            whole.guard.diverged_at[...] = diverged_at.reshape(self._shape)
        self._given = B.reshape(*self._shape, *B.shape[1:]), w.reshape(*self._shape, *w.shape[1:])
        return self._given[0], self._given[1]


class Stretches:
    """The steps of a run, as many at a time as nobody looks at it."""

    def __init__(
        self,
        implementation: Implementation,
        learner: Learner,
        problem: Problem,
        alpha: Any,
        beta: Any,
        steps: int,
        way: Way | None = None,
    ) -> None:
        self._tasks, self._coming, self._asked = problem.tasks, [], 0
        self._given = self._latest = self._targets = None
        self.passed = np.empty((0,))
        heads = self._ask(1)[0]
        self.batch = common_batch(
            B0=(problem.B0, 2), w0=(problem.w0, 1), heads=(heads, 2), alpha=(alpha, 0), beta=(beta, 0)
        )
        self.implementation, self.learner, self.steps = implementation, learner, steps
        self.B_star, self.sizes = problem.B_star, (alpha, beta)
        self.guard = Guard.over(alpha, self.batch)
        work = seconds_by_numpy(steps, math.prod(self.batch))
        self.way = chosen_way(learner, implementation, problem, heads, work) if way is None else way
        standard = np.array_equal(problem.B_star, np.eye(*problem.B_star.shape))
        self.frame = None if standard else problem.B_star
        self.ours = implementation.step is updates.step and self.B_star.dtype != object
        self.fresh = not isinstance(problem.tasks, FixedTasks)
        self._most = max(1, min(_MOST_AT_ONCE, _MOST_HEADS // heads.size)) if self.fresh else _MOST_AT_ONCE
        k, n = heads.shape[-2:]
        self.along = self._is_along(k, n)
        if self.way == "compiled" and not can_be_compiled(problem):
            raise ValueError("way is 'compiled'; allowed: where there are compiled steps, see can_be_compiled")
        self._compiled = _Compiled(self) if self.way == "compiled" else None
        indices = _indices(self.batch, self._block_size(k, n)) if self._compiled is None else ()
        self._blocks = [_Block(self, index) for index in indices]

    def _is_along(self, k: int, n: int) -> bool:
        """Whether the trials' axis is the best one to run along: many trials of small matrices, on a line of axes."""
        ours = self.ours and self.B_star.dtype == float and self.frame is None
        return ours and math.prod(self.batch) >= ALONG_FROM and _are_small(len(self.B_star), k, n, self.way)

    def _block_size(self, k: int, n: int) -> int:
        if not self.ours:
            return math.prod(self.batch)
        rows, q = len(self.B_star), k + 1
        largest = rows * max(k, n)
        if self.way == "moments":
            largest = max(rows * k, {"fo-maml": q**3, "maml": q**4 // 4}.get(paper_id(self.learner, "map"), q * q))
        return max(1, min(_BLOCK, _BLOCK_BYTES // (8 * largest)))

    def _ask(self, count: int) -> list[Array]:
        """The heads of the next so many steps."""
        missing = count - len(self._coming)
        if missing > 0:
            several = getattr(self._tasks, "several", None)
            steps = range(self._asked, self._asked + missing)
            for given in several(self._asked, missing) if several else map(self._tasks, steps):
                if given is not self._given:
                    self._given, self._latest = given, np.asarray(given)
                self._coming.append(self._latest)
            self._asked += missing
        return self._coming[:count]

    def coming(self) -> Array:
        """The targets of the next step."""
        heads = self._ask(1)[0]
        if self._targets is None or self._targets[0] is not heads:
            self._targets = heads, self.B_star @ heads
        return self._targets[1]

    def __call__(self, B: Array, w: Array, step: int, most: int, every: int = 0) -> tuple[Array, Array, int]:
        """(B, w) after some of the next steps, so many at most, and the step then reached. Compiled steps put B after
        each step on the way whose number ``every`` divides into ``passed``.
        """
        heads = self._ask(min(most, self._most))
        self._coming = self._coming[len(heads) :]
        if self._compiled is not None:
            B, w = self._compiled(B, w, heads, step, every)
        elif len(self._blocks) == 1:
            B, w = self._blocks[0](B, w, heads, step)
        else:
            before, B, w = (B, w), np.empty_like(B), np.empty_like(w)
            for block in self._blocks:
                B[block.index], w[block.index] = block(before[0][block.index], before[1][block.index], heads, step)
        return B, w, int(self.guard.diverged_at.max()) if self.guard.all_gone() else step + len(heads)


class SeveralAhead(Stretches):
    """Steps of an implementation that offers several at a time: twice as many after those were all of use, which they
    are where nothing else has touched B and w.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._count = 0
        self._ahead: list[tuple[Array, Array]] = []
        self._last: tuple[Array, ...] = ()

    def __call__(self, B: Array, w: Array, step: int, most: int, every: int = 0) -> tuple[Array, Array, int]:
        """(B, w) after the next step, and the step then reached."""
        assert self.implementation.several is not None
        same = bool(self._last) and self._last[0] is B and self._last[1] is w
        if not (same and self._ahead):
            self._count = min(2 * self._count if same else 1, _MOST_AHEAD, self.steps - step)
            heads = self._ask(self._count)
            targets = [self.B_star @ heads[0]]
            fixed = all(each is heads[0] for each in heads)
            if not fixed:
                targets += [self.B_star @ each for each in heads[1:]]
            stacked = np.broadcast_to(targets[0], (len(heads), *targets[0].shape)) if fixed else np.stack(targets)
            taken = self.implementation.several(self.learner, B, w, stacked, *self.sizes)
            self._ahead = list(zip(*taken, strict=True))[::-1]
        self._coming = self._coming[1:]
        self._last = self._ahead.pop()
        return *self.guard.freeze(*self._last, step + 1), step + 1
