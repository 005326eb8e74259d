"""Steps in law compiled from C (``in_law.c``): on the same random numbers, the same up to rounding."""

import ctypes
import math
from typing import Any

import numpy as np

from metarep.sim.batches import flattened
from metarep.sim.compiled import MOST, ORDER, TASKS, library
from metarep.sim.learners import Learner, paper_id
from metarep.sim.sampling.drawing import PARTS, Drawn, Parts, Setting, fresh_count

Array = np.ndarray

_WHOLE = (
    "learner", "k", "width", "inside", "rows", "tasks", "trials", "ahead", "place", "steps", "directions", "turned",
    "along", "across", "heads_apart",
)  # fmt: skip
_ADDRESSES = (
    "B", "w", "heads", "alpha", "beta", "sigma", "m_in", "m_out", "inner_chi2", "inner_normal", "second_chi2",
    "second_normal", "outer_chi2", "outer_normal", "outside",
)  # fmt: skip


class _Given(ctypes.Structure):
    """``struct given`` of ``in_law.c``."""

    _fields_ = [*((name, ctypes.c_longlong) for name in _WHOLE), *((name, ctypes.c_void_p) for name in _ADDRESSES)]


def can_be_compiled(parts: Parts, k: int, width: int, tasks: int, *arrays: Any) -> bool:
    """Whether there are compiled steps of these sizes, here: of the right parts, on floats."""
    fits = parts == PARTS and max(k, width) <= MOST and tasks <= TASKS
    return fits and np.result_type(*arrays) == np.float64 and library() is not None


class CompiledSteps:
    """Steps of one learner's trials, on random numbers that are given.

    Args:
        learner: one of the paper's five.
        setting: as what was drawn was drawn for; its batch axes end with the steps'.
        rows: coordinates of a fresh direction.
        k: columns of B_* = [I_k; 0].
        width: columns of B.
        alpha, beta, sigma: scalars or over the batch axes.
    """

    def __init__(
        self, learner: Learner, setting: Setting, rows: int, k: int, width: int, alpha: Any, beta: Any, sigma: Any
    ) -> None:
        *batch, ahead = setting.batch
        self._batch, self._rows = tuple(batch), rows
        sizes = [np.nan if m is None else np.squeeze(m, (-3, -2, -1)) if np.ndim(m) else m for m in setting[:2]]
        numbers = flattened(self._batch, *((np.asarray(size, float), 0) for size in (alpha, beta, sigma, *sizes)))
        self._constants = [np.ascontiguousarray(each) for each in numbers]
        self._given = _Given(
            learner=ORDER.index(paper_id(learner, "compiled step")), k=k, width=width, inside=setting.inside, rows=rows,
            tasks=setting.tasks, trials=math.prod(batch), ahead=ahead, turned=setting.outside > 0,
        )  # fmt: skip
        for name, each in zip(("alpha", "beta", "sigma", "m_in", "m_out"), self._constants, strict=True):
            setattr(self._given, name, each.ctypes.data)
        if learner.adapts == "nothing":
            setting = setting._replace(m_in=None)
        self._given.directions = fresh_count(learner, setting.tasks, setting.m_in, setting.m_out)

    def take(self, drawn: Drawn) -> None:
        """From here on steps are on these random numbers, which must not be written to meanwhile."""
        self._drawn, given = drawn, self._given  # held as long as their addresses are
        inner, outer = ((draws or (None,) * 5)[1:] for draws in (drawn.inner, drawn.outer))
        names = ("inner_chi2", "inner_normal", "second_chi2", "second_normal", "outer_chi2", "outer_normal", "outside")
        for name, array in zip(names, (*inner, *outer[:2], drawn.outside), strict=True):
            setattr(given, name, None if array is None else array.ctypes.data)
        given.along, given.across = (0, 0) if drawn.outside is None else drawn.outside.shape[-2:]

    def __call__(self, place: int, steps: int, B: Array, w: Array, heads: Array) -> tuple[Array, Array]:
        """So many steps with these tasks, on the random numbers from that place on: B and w as
        ``metarep.sim.sampling.in_law.StepsInLaw`` has them.
        """
        given, batch = self._given, self._batch
        B = np.array(np.broadcast_to(B, (*batch, given.inside, given.width)), float, order="C")
        w = np.array(np.broadcast_to(w, (*batch, given.width)), float, order="C")
        own = batch if heads.ndim > 2 else ()
        heads = np.ascontiguousarray(np.broadcast_to(heads, (*own, given.k, given.tasks)), float)
        given.place, given.steps, given.heads_apart = place, steps, given.k * given.tasks if own else 0
        given.B, given.w, given.heads = (array.ctypes.data for array in (B, w, heads))
        library().metarep_in_law(ctypes.byref(given))
        return B, w
