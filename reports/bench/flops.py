"""The machine's limit: how many floating-point operations a step needs, and how long the machine takes for one."""

import time
from itertools import pairwise
from typing import Any

import numpy as np
from joblib import Parallel, delayed, parallel_config

from metarep.reports.bench.timing import Job
from metarep.sim import moments, updates
from metarep.sim.learners import Learner

SIZE, PRODUCTS = 512, 4
"""Of the matrices whose products are timed, and how many."""


class _Counting:
    """A number that counts what is done with numbers of its kind; with 0 and with 1 nothing has to be done."""

    count = 0

    def _add(self, other: Any) -> "_Counting":
        _Counting.count += not _is(other, 0)
        return self

    def _times(self, other: Any) -> Any:
        if isinstance(other, np.ndarray):
            return NotImplemented  # which then multiplies its entries
        if _is(other, 0):
            return 0
        _Counting.count += not _is(other, 1)
        return self

    def __neg__(self) -> "_Counting":
        return self

    __add__ = __radd__ = __sub__ = __rsub__ = _add
    __mul__ = __rmul__ = __truediv__ = _times


def _is(other: Any, number: int) -> bool:
    return not isinstance(other, _Counting) and other == number


def _numbers(*shape: int) -> np.ndarray:
    array = np.empty(shape, dtype=object)
    array[...] = _Counting()
    return array


def flops_of_step(learner: Learner, k: int, n: int) -> int:
    """Operations of an outer step with B_* = [I_k; 0] in 2k dimensions, as the readable sources do it: task by task, or
    through the moments of tasks that stay, whichever are fewer.
    """
    size = _Counting()
    targets = np.concatenate([_numbers(k, n), np.zeros((k, n), dtype=int).astype(object)])
    known = moments.head_moments(learner, _numbers(k, n))
    counts = [_Counting.count]
    updates.step(learner, _numbers(2 * k, k), _numbers(k), targets, size, size)
    counts.append(_Counting.count)
    moments.step_through_moments(learner, _numbers(2 * k, k), _numbers(k), known, size, size)
    counts.append(_Counting.count)
    return min(after - before for before, after in pairwise(counts))


def _products() -> float:
    """A processor's seconds for the products."""
    matrix = np.random.default_rng(0).standard_normal((SIZE, SIZE))
    product = matrix @ matrix
    started = time.process_time()
    for _ in range(PRODUCTS):
        np.matmul(matrix, matrix, out=product)
    return time.process_time() - started


def machine_limit() -> Job:
    """Products of large matrices by BLAS in one thread, in a process of their own: BLAS asks at its start how many."""

    def call() -> float:
        with parallel_config(backend="loky", inner_max_num_threads=1):
            found: Any = Parallel(n_jobs=2)([delayed(_products)()])
        return found[0]

    return Job(f"a product of {SIZE} × {SIZE} matrices, an operation", "BLAS", call, 2.0 * PRODUCTS * SIZE**3)
