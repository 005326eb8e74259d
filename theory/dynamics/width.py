"""A representation wider than the truth under FO-ANIL: the mean update by Isserlis' theorem, its limit and how it
forgets.

Tasks with mean zero and second moment Σ_*, w = 0, m inner samples per task, label noise σ², infinitely many tasks. With
P = B_*ᵀB and τ = tr Σ_* + σ² the mean update rests where PPᵀ = (1/α)(m/(m+1)) Σ_*(Σ_* + τ/(m+1) I)⁻¹, whatever the
width. Directions that the truth does not use are unlearned through τ/m alone: their singular value s obeys
s⁺ = s(1 − α²βτs²/m), so 1/s² grows by 2α²βτ/m a step and s²t → m/(2α²βτ). Own derivation; the phenomenon is that of
Yüksel, Boursier, Flammarion 2024 (ICLR).
"""

from typing import Any

import numpy as np

Array = np.ndarray


def learned_second_moment(second: Array, alpha: Any, m: float | None, noise: float) -> Array:
    """The limit of B_*ᵀBBᵀB_* (k, k) for Σ_* (k, k); m = None (infinitely many samples): I/α."""
    k = second.shape[-1]
    if m is None:
        return np.eye(k) / alpha
    shrinkage = (np.trace(second) + noise) / (m + 1)
    return m / (m + 1) / alpha * np.linalg.solve(second + shrinkage * np.eye(k), second)


def unlearning_constant(second: Array, alpha: float, beta: float, m: float | None, noise: float) -> float:
    """lim s²t = m/(2α²βτ) for the singular values s of the superfluous directions; infinite for m = None (never)."""
    if m is None:
        return float("inf")
    return float(m / (2 * alpha**2 * beta * (np.trace(second) + noise)))
