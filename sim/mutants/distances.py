"""Wrong subspace distances, as they happen in real code."""

from collections.abc import Callable

import numpy as np

from metarep.sim import metrics
from metarep.sim.batches import transposed
from metarep.sim.mutants.mutant import Mutant, Wrong

Array = np.ndarray


def _distance_by_arccos(right: Callable[..., Array], B: Array, B_star: Array) -> Array:
    Q = np.linalg.qr(np.asarray(B, dtype=float))[0]
    cosines = np.linalg.svd(transposed(B_star) @ Q, compute_uv=False)
    return np.sin(np.arccos(np.clip(cosines, -1, 1)))[..., -1]


def _distance_without_basis(right: Callable[..., Array], B: Array, B_star: Array) -> Array:
    B = np.asarray(B, dtype=float)
    return np.linalg.norm(B - B_star @ (transposed(B_star) @ B), 2, axis=(-2, -1))


def _frobenius_distance(right: Callable[..., Array], B: Array, B_star: Array) -> Array:
    return np.sqrt(np.square(metrics.principal_sines(B, B_star)).sum(-1))


def _smallest_angle(right: Callable[..., Array], B: Array, B_star: Array) -> Array:
    return metrics.principal_sines(B, B_star)[..., -1]


def _column_by_column(right: Callable[..., Array], B: Array, B_star: Array) -> Array:
    """The largest sine between columns of the same place: it depends on the bases, not on their spans alone."""
    B = np.asarray(B, dtype=float)
    lengths = np.linalg.norm(B, axis=-2, keepdims=True)
    columns = np.divide(B, lengths, out=np.zeros_like(B), where=lengths > 0)
    cosines = (B_star * columns[..., : B_star.shape[-1]]).sum(-2)
    return np.sqrt(np.clip(1 - cosines**2, 0, 1)).max(-1)


def _distance(name: str, what: str, wrong: Wrong) -> Mutant:
    return Mutant(name, "implementation", "wrong-distance", what, {"subspace_distance": wrong})


DISTANCE_MUTANTS: tuple[Mutant, ...] = (
    _distance("distance-by-arccos", "the distance is sin(arccos(σ_min)) of B_*ᵀB̂", _distance_by_arccos),
    _distance(
        "distance-without-basis", "the distance is taken of B, not of an orthonormal basis", _distance_without_basis
    ),
    _distance("frobenius-distance", "the distance is the Frobenius norm", _frobenius_distance),
    _distance("smallest-angle", "the distance is the smallest principal angle's sine", _smallest_angle),
    _distance("column-by-column", "the distance compares the bases column by column", _column_by_column),
)
"""Every wrong distance."""
