"""Starts: initial representations of a given scale, at a given distance from the truth or at random."""

from typing import Any, Literal

import numpy as np

from metarep.sim.checks import check_dimensions, check_step_size
from metarep.sim.tasks import haar, orthonormalised

Array = np.ndarray

StartKind = Literal["balanced", "orthonormal"]


def balanced(B: Array, alpha: Any) -> Array:
    """B/√α: for orthonormal columns B (..., d, k) the balanced scale, αBᵀB = I; α a scalar or over the batch axes."""
    return B / np.sqrt(np.asarray(alpha, dtype=float))[..., None, None]


def _random_subspace(d: int, k: int, rng: np.random.Generator, trials: tuple[int, ...]) -> Array:
    """Reduced coordinates (*trials, d', k) of a uniformly random k-dimensional subspace of R^d, orthonormal.

    With G a d×k standard normal, the rows along B_* are normal again and the rest enters through its triangular factor
    alone, whose law is Bartlett's: χ² with d−k−j degrees of freedom on the diagonal, normals above. No array of length
    d is ever drawn.
    """
    along = rng.standard_normal((*trials, k, k))
    if d - k < k:
        across = rng.standard_normal((*trials, d - k, k))
    else:
        across = np.triu(rng.standard_normal((*trials, k, k)), 1)
        degrees = d - k - np.arange(k)
        across[..., np.arange(k), np.arange(k)] = np.sqrt(rng.chisquare(degrees, (*trials, k)))
    return orthonormalised(np.concatenate([along, across], axis=-2))


def _prescribed_sines(
    dist0: Any, d: int, k: int, angles: str, rng: np.random.Generator, trials: tuple[int, ...]
) -> Array:
    """Sines (*trials, k) of the principal angles of a start, the impossible ones zero."""
    try:
        given = np.asarray(dist0, dtype=float)
    except (TypeError, ValueError):
        raise ValueError(f"dist0 is {dist0!r}; allowed: 0 <= dist0 <= 1, or k principal sines in that range") from None
    if given.shape not in ((), (k,)):
        raise ValueError(f"dist0 has shape {given.shape}; allowed: one number, or k = {k} principal sines")
    if not np.all((given >= 0) & (given <= 1)):
        raise ValueError(f"dist0 is {dist0!r}; allowed: 0 <= dist0 <= 1")
    if angles not in ("equal", "largest"):
        raise ValueError(f"angles is {angles!r}; allowed: 'equal', 'largest'")
    possible = min(k, d - k)
    if given.ndim == 1:
        sines = np.sort(given)[::-1]
        if np.any(sines[possible:] > 0):
            raise ValueError(
                f"dist0 has {np.count_nonzero(sines)} positive sines with d = {d}, k = {k}; "
                f"allowed: at most {possible}, the lesser of k and d - k"
            )
        return np.broadcast_to(sines, (*trials, k))
    if possible == 0 and given > 0:
        raise ValueError(f"dist0 is {dist0!r} with d = k = {k}; allowed: 0, as every start spans R^d")
    sines = np.zeros((*trials, k))
    sines[..., :possible] = given
    if angles == "largest" and possible > 1:
        sines[..., 1:possible] *= rng.uniform(size=(*trials, possible - 1))
    return sines


def start(
    kind: StartKind,
    d: int,
    k: int,
    alpha: Any,
    rng: np.random.Generator,
    dist0: Any = None,
    trials: tuple[int, ...] = (),
    *,
    angles: Literal["equal", "largest"] = "equal",
) -> Array:
    """Initial representations B_0 in reduced coordinates, (*trials, min(d, 2k), k), against B_* = [I_k; 0]. Cost
    independent of d.

    Args:
        kind: "balanced" (α B_0ᵀB_0 = I_k) or "orthonormal" (B_0ᵀB_0 = I_k).
        d: ambient dimension.
        k: dimension of the representation.
        alpha: inner step size α, scalar or over the trials' axes.
        rng: source of randomness.
        dist0: None for a uniformly random subspace of R^d; a number for that largest principal sine; or k principal
            sines.
        trials: leading axes, each entry with its own start.
        angles: with a single ``dist0``, whether all principal sines equal it or the others are uniform below it. At
            most d − k of them are not zero. Orientation within col(B_*) and the right rotation are uniformly random.

    Raises:
        ValueError: arguments out of range.

    Source: Collins et al. 2022, Theorem 1 (balanced start); the reduction is our own derivation.
    """
    check_dimensions(d, k, 1)
    check_step_size("alpha", alpha)
    if kind not in ("balanced", "orthonormal"):
        raise ValueError(f"start is {kind!r}; allowed: 'balanced', 'orthonormal'")
    if dist0 is None:
        B = _random_subspace(d, k, rng, trials)
    else:
        sines = _prescribed_sines(dist0, d, k, angles, rng, trials)
        rows = min(d, 2 * k) - k
        cosines = np.sqrt((1 - sines) * (1 + sines))
        along = haar(k, k, rng, trials) * cosines[..., None, :]
        across = np.zeros((*trials, rows, k))
        across[..., :rows] = haar(rows, rows, rng, trials) * sines[..., None, :rows]
        B = np.concatenate([along, across], axis=-2) @ haar(k, k, rng, trials)
    return B if kind == "orthonormal" else balanced(B, alpha)
