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


def gaussian_fourth_moment(d: int) -> Array:
    """E x_a x_b x_c x_e of x ~ N(0, I_d), whole numbers (d, d, d, d): Isserlis' sum over the three pairings."""
    delta = np.eye(d, dtype=int)
    pairs = np.einsum("ab,ce->abce", delta, delta)
    return pairs + pairs.swapaxes(1, 2) + pairs.swapaxes(1, 3)


def mean_gradients(B: Array, targets: Array, alpha: Any, m: Any, noise: Any) -> tuple[Array, Array]:
    """(E ∇_B, E ∇_w) of FO-ANIL at w = 0, from the data's moments and nothing else.

    With inner gradient g = (1/m) Σ_j x_j(x_jᵀu − z_j), u = −θ_i, the adapted head is w_i = −αBᵀg, and
    E∇_B = E(Bw_i − θ_i)w_iᵀ needs E g = u and E ggᵀ = (E xxᵀuuᵀxxᵀ + σ²I)/m + (1 − 1/m) uuᵀ.

    Args:
        B: (d, k'); targets: θ_i as columns (d, n), all tasks there are. Floats or ``Fraction`` objects.
        alpha, m, noise: inner step size, inner samples, σ².

    Returns:
        (d, k') and (k',).
    """
    d, n = targets.shape
    fourth = gaussian_fourth_moment(d).astype(B.dtype)
    identity = np.eye(d, dtype=int).astype(B.dtype)
    second_of_targets = targets @ targets.T / n
    by_data = np.tensordot(fourth, second_of_targets, axes=([1, 2], [0, 1]))
    second_of_g = (by_data + noise * identity) / m + second_of_targets * (m - 1) / m
    grad_B = alpha * alpha * (B @ (B.T @ second_of_g @ B)) - alpha * (second_of_targets @ B)
    mean_target = targets.sum(1) / n
    return grad_B, B.T @ (alpha * (B @ (B.T @ mean_target)) - mean_target)


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
