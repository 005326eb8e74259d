"""Runs of a learner in ball arithmetic: what is enclosed is the trajectory of real numbers, whatever floats would do.

The step is the derived one: its program on arrays of balls, after its words were compared with those that the
derivation gives. Nothing is shared with the simulator. Coordinates are those in which B_* = [I_k; 0].
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from flint import arb, ctx

from metarep.theory.calculus.balls import TooWideError
from metarep.theory.dynamics.derive import DerivedUpdate, task_gradients

SHARP_BITS = 16
"""Bits to which ‖B‖² must be known for a run to go on: with fewer nothing that follows would be decided."""
SPARE_BITS = 128
"""A step is computed with so many bits more than are known of ‖B‖²: of a long run that is in the end a third of all."""


@dataclass(frozen=True)
class Start:
    """Where a run begins, as balls: B (d, k), w (k,), targets θ_i as columns (d, n), step sizes α and β."""

    B: np.ndarray
    w: np.ndarray
    targets: np.ndarray
    alpha: arb
    beta: arb


def enclosed_run(update: DerivedUpdate, start: Start, steps: int) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """(t, B_t, w_t) for t = 1, ..., ``steps``, with fixed tasks, at the precision that is set.

    Raises:
        TooWideError: the enclosures have become too wide to be of use.
        ValueError: the update is not the one that the derivation gives for its learner.
    """
    if update.program.expand(bool(update.learner.ridge)) != task_gradients(update.learner):
        raise ValueError(f"the step of {update.learner.name!r} is not the derived one; allowed: what derive() returns")
    B, w, known = start.B, start.w, ctx.prec
    for t in range(1, steps + 1):
        with ctx.workprec(min(ctx.prec, known + SPARE_BITS)):
            B, w = update(B, w, start.targets, start.alpha, start.beta)
        known = square(B).rel_accuracy_bits()
        if known < SHARP_BITS:
            raise TooWideError(f"‖B‖² is not known to {SHARP_BITS} bits after {t} steps", t / steps)
        yield t, B, w


def square(B: np.ndarray) -> arb:
    """‖B‖_F² of an array of balls."""
    return (B * B).sum()


def sine_at_least(B: np.ndarray) -> arb:
    """A ball that dist(B, [I_k; 0]) is not below: the sine of the angle between one vector Bu of the column space and
    the truth.

    Any u gives a bound; the one taken is, in floats, that of the largest angle, so that the bound is sharp. B (d, k).
    """
    k = B.shape[-1]
    u = np.array([1], dtype=object)
    if k > 1:
        scale = max(abs(entry.mid()) for entry in B.flat)
        Q, R = np.linalg.qr(np.array([[float(entry.mid() / scale) for entry in row] for row in B]))
        u = np.linalg.lstsq(R, np.linalg.svd(Q[k:])[2][0])[0].astype(object)
    off, whole = B[k:] @ u, B @ u
    share: Any = (off @ off) / (whole @ whole)
    return share.sqrt()
