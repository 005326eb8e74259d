"""FO-ANIL whose representation is wider than the truth, k' ≥ k, in the mean over infinitely many tasks, by hand.

Tasks: heads with mean zero and second moment Σ_* (k × k), w = 0 (where it then stays); m inner samples per task, noise
σ², infinitely many outer samples or tasks. Coordinates P = B_*ᵀB (..., k, k') and Y = B_{*⊥}ᵀB (..., d − k, k'). The
mean update needs the data's moments up to the fourth (Isserlis); of the heads only Σ_*. The phenomenon is that of
Yüksel, Boursier, Flammarion 2024 (ICLR); the map is our own derivation.
"""

from itertools import pairwise
from typing import Any

import numpy as np

from metarep.sim.batches import batch_scalar, transposed

Array = np.ndarray


def mean_gradients(P: Array, Y: Array, second: Array, alpha: Any, m: Any, noise: Any = 0) -> tuple[Array, Array]:
    """B_*ᵀE∇_B and B_{*⊥}ᵀE∇_B of FO-ANIL at w = 0.

    Args:
        P: B_*ᵀB, (..., k, k').
        Y: B_{*⊥}ᵀB, (..., rows, k').
        second: Σ_*, (k, k) or over the batch axes; float or ``Fraction`` objects.
        alpha: inner step size, scalar or over the batch axes.
        m: inner samples per task, likewise; None for infinitely many.
        noise: σ², likewise.

    Returns:
        (..., k, k') and (..., rows, k').
    """
    a = batch_scalar(alpha, 2)
    gram = transposed(P) @ second @ P  # Bᵀ(mean θθᵀ)B, k' × k'
    spread: Any = gram
    if m is not None:
        total = batch_scalar(np.trace(second, axis1=-2, axis2=-1) + noise, 2)
        spread = gram + (gram + total * (transposed(P) @ P + transposed(Y) @ Y)) / batch_scalar(m, 2)
    return a * a * (P @ spread) - a * (second @ P), a * a * (Y @ spread)


def mean_step(P: Array, Y: Array, second: Array, alpha: Any, beta: Any, m: Any, noise: Any = 0) -> tuple[Array, Array]:
    """One mean outer step: (P, Y) − β · ``mean_gradients``, whose arguments and shapes it has."""
    along, across = mean_gradients(P, Y, second, alpha, m, noise)
    b = batch_scalar(beta, 2)
    return P - b * along, Y - b * across


def run_mean(
    P: Array,
    Y: Array,
    second: Array,
    alpha: Any,
    beta: Any,
    m: Any,
    noise: Any,
    record_at: Array,
) -> tuple[Array, Array]:
    """(P, Y) at the recorded steps: (T, ..., k, k') and (T, ..., rows, k').

    Args:
        P, Y, second, alpha, beta, m, noise: as ``mean_step``.
        record_at: ascending step numbers, 0 or more.

    Raises:
        ValueError: the step numbers do not ascend from 0 or more.
    """
    wanted = [int(step) for step in record_at]
    if not wanted or wanted[0] < 0 or any(b <= a for a, b in pairwise(wanted)):
        raise ValueError(f"record_at is {record_at!r}; allowed: ascending step numbers, 0 or more")
    kept_P, kept_Y, step = [], [], 0
    for stop in wanted:
        for _ in range(stop - step):
            P, Y = mean_step(P, Y, second, alpha, beta, m, noise)
        step = stop
        kept_P.append(P)
        kept_Y.append(Y)
    return np.stack(kept_P), np.stack(kept_Y)
