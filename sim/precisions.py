"""The reference computed in coarser arithmetic throughout: what correct code of that precision returns."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from metarep.sim.foreign.declared import PRECISIONS
from metarep.sim.implementations import REFERENCE, Implementation

Array = np.ndarray
UNITS = {"bfloat16": 2.0**-7, **PRECISIONS}
"""Units of rounding errors, from 1 to the next number; the coarsest first."""


def rounded_to_bfloat16(values: Any) -> Array:
    """Float32 numbers of which 8 bits are kept, to nearest, ties to even; as hardware does that multiplies bfloat16."""
    values = np.asarray(values, dtype=np.float32)
    bits = values.view(np.uint32).astype(np.uint64)
    kept = ((bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000).astype(np.uint32).view(np.float32)
    return np.where(np.isfinite(values), kept, values)


def _single(values: Any) -> Array:
    return np.asarray(values, dtype=np.float32)


_ROUNDED = {"bfloat16": rounded_to_bfloat16, "float32": _single}


def _coarse(right: Callable[..., Any], rounded: Callable[[Any], Array]) -> Callable[..., Any]:
    def step(learner: Any, *at: Any) -> tuple[Array, Array]:
        B, w = (rounded(part) for part in right(learner, *map(rounded, at)))
        return B.astype(float), w.astype(float)

    return step


def reference_in(precision: str) -> Implementation:
    """The hand-written update maps on inputs cast to that precision, in float32 (bfloat16: with float32 sums, as
    hardware has them), results rounded to it and returned as float64.

    Args:
        precision: "bfloat16", "float32" or "float64".
    """
    if precision == "float64":
        return replace(REFERENCE, exact=False)
    rounded = _ROUNDED[precision]
    assert REFERENCE.step_on_samples is not None
    return replace(
        REFERENCE,
        name=f"reference in {precision}",
        step=_coarse(REFERENCE.step, rounded),
        step_on_samples=_coarse(REFERENCE.step_on_samples, rounded),
        eps=UNITS[precision],
        exact=False,
    )


def reference_at(eps: float) -> Implementation:
    """The reference in the coarsest precision whose rounding errors have at most that unit."""
    return reference_in(next(name for name, unit in UNITS.items() if unit <= eps))
