"""How far a learned representation's column space is from the ground truth's.

All three functions rest on the projection residual E = B − B_*(B_*ᵀB) and a matrix T with orthonormal B T spanning
col(B): the sines of the principal angles are the singular values of E T. (The inverse cosine of the singular values of
B_*ᵀB̂ would lose half the digits of small angles.) Rows of E that are zero rows of B_* are rows of B exactly, so where
B_* = [I_k; 0] the largest sine keeps full relative precision however small it is; in other coordinates the absolute
error is a few eps.
"""

import numpy as np

Array = np.ndarray

EPS = float(np.finfo(float).eps)
SAFELY_CONDITIONED = 1e-8
"""Ratio of the smallest to the largest |R_ii| above which R is inverted as it is. Anything well above eps would do:
below it the numerical rank is decided by singular values, which costs more.
"""


def _float_pair(B: Array, B_star: Array) -> tuple[Array, Array]:
    B, B_star = np.asarray(B, dtype=float), np.asarray(B_star, dtype=float)
    if B.ndim < 2 or B_star.ndim < 2 or B.shape[-2] != B_star.shape[-2] or 0 in B.shape[-2:] + B_star.shape[-2:]:
        raise ValueError(
            f"B has shape {B.shape} and B_star {B_star.shape}; "
            "allowed: (..., d, k') and (..., d, k) with the same d >= 1"
        )
    return B, B_star


def _orthonormalizer(B: Array) -> tuple[Array, Array | None]:
    """T (..., k', k') with B T orthonormal but for zero columns where col(B) has fewer dimensions, and the ranks (None:
    all k').
    """
    d, width = B.shape[-2:]
    R = np.linalg.qr(B, mode="r")
    if d >= width:
        diagonal = np.abs(np.diagonal(R, axis1=-2, axis2=-1))
        suspect = diagonal.min(-1) <= SAFELY_CONDITIONED * diagonal.max(-1)
        if not suspect.any():
            return np.linalg.inv(R), None
    else:
        suspect = np.ones(B.shape[:-2], dtype=bool)
    T = np.empty((*B.shape[:-2], width, width))
    ranks = np.full(B.shape[:-2], width)
    if not suspect.all():
        T[~suspect] = np.linalg.inv(R[~suspect])
    _, singular_values, Vt = np.linalg.svd(R[suspect], full_matrices=False)
    # Rounding moves singular values by eps x size x the largest: what is not above that is not distinguishable from
    # zero.
    kept = singular_values > max(d, width) * EPS * singular_values[..., :1]
    scaled = np.divide(1.0, singular_values, out=np.zeros_like(singular_values), where=kept)
    T[suspect] = 0.0
    partial = np.swapaxes(Vt, -1, -2) * scaled[..., None, :]
    T[suspect, :, : partial.shape[-1]] = partial
    ranks[suspect] = kept.sum(-1)
    return T, ranks


def _residual(B: Array, B_star: Array) -> tuple[Array, Array, Array, Array | None, Array | None]:
    """(Z, scale, C, ranks, invalid): E T = scale·Z with max|E| = scale, C = B_*ᵀB T, entries of ``invalid`` are not
    finite.
    """
    size = np.abs(B).max((-2, -1))
    invalid = None
    if not (size.min(initial=np.inf) > 0.0 and size.max(initial=0.0) < np.inf):  # false for nan too
        invalid = ~np.isfinite(size)
        B = np.where(invalid[..., None, None], 0.0, B)
        size = np.where(invalid | (size == 0.0), 1.0, size)
    B = B / size[..., None, None]
    inside = np.swapaxes(B_star, -1, -2) @ B
    E = B - B_star @ inside
    T, ranks = _orthonormalizer(B)
    scale = np.abs(E).max((-2, -1))
    # Scaled to 1, E cannot underflow in products; E itself can be as small as 1e-300.
    Z = E / np.where(scale == 0.0, 1.0, scale)[..., None, None] @ T
    return Z, scale, inside @ T, ranks, invalid


def subspace_distance(B: Array, B_star: Array) -> Array:
    """Subspace distance dist(B, B_*) = ‖(I − B_*B_*ᵀ) B̂‖₂: the sine of the largest principal angle.

    Args:
        B: representation (..., d, k'), any scale; B̂ is an orthonormal basis of its column space, so a rank-deficient B
            counts with the dimensions it has (none, for B = 0: the distance is then 0, the norm of an empty matrix).
        B_star: ground truth (..., d, k) with orthonormal columns; batch axes broadcast.

    Returns:
        Array over the batch axes in [0, 1]; nan where B is not finite. Relative error a few eps x cond(B) where
        B_* = [I_k; 0], absolute error likewise in any other coordinates.

    Raises:
        ValueError: the shapes do not fit.

    Source: Collins et al. 2022, Section 2 (definition of dist).
    """
    B, B_star = _float_pair(B, B_star)
    Z, scale, _, _, invalid = _residual(B, B_star)
    # λ_max(ZᵀZ) is accurate to eps relatively, being the largest, and costs half of the singular values.
    distance = np.minimum(scale * np.sqrt(np.linalg.eigvalsh(np.swapaxes(Z, -1, -2) @ Z)[..., -1].clip(min=0.0)), 1.0)
    return distance if invalid is None else np.where(invalid, np.nan, distance)


def _sines_and_factors(B: Array, B_star: Array) -> tuple[Array, Array, Array | None, Array | None]:
    B, B_star = _float_pair(B, B_star)
    Z, scale, C, ranks, invalid = _residual(B, B_star)
    values = np.minimum(scale[..., None] * np.linalg.svd(Z, compute_uv=False), 1.0)
    sines = np.zeros(values.shape[:-1] + B.shape[-1:])
    sines[..., : values.shape[-1]] = values
    return sines, C, ranks, invalid


def least_distance(B: Array, B_star: Array) -> Array:
    """A lower bound of ``subspace_distance`` for B of full rank, up to rounding, that costs a tenth of it: with an
    orthonormal B T and E = (E T)T⁻¹, max|E| ≤ ‖E T‖₂‖T⁻¹‖₂ ≤ ‖E T‖₂‖B‖_F (own derivation).

    Args:
        B: (..., d, k'). B_star: (..., d, k) with orthonormal columns.

    Returns:
        Array over the batch axes; nan, with NumPy's warning, where B is not finite or 0.

    Raises:
        ValueError: the shapes do not fit.
    """
    B, B_star = _float_pair(B, B_star)
    E = B - B_star @ (B_star.mT @ B)
    return np.abs(E).max((-2, -1)) / np.sqrt(np.square(B).sum((-2, -1)))


def principal_sines(B: Array, B_star: Array) -> Array:
    """Sines of the principal angles between col(B) and col(B_*), descending; the first is ``subspace_distance``.

    Args:
        B: (..., d, k'), any scale.
        B_star: (..., d, k) with orthonormal columns.

    Returns:
        (..., k') in [0, 1]: a wider B than B_* (k' > k) has k' − k sines 1 for its superfluous directions; a
        rank-deficient B has zeros for the dimensions it lacks. nan where B is not finite. The largest is relatively
        accurate where B_* = [I_k; 0]; the smaller ones have an error of a few eps x the largest there, of a few eps
        elsewhere.

    Raises:
        ValueError: the shapes do not fit.
    """
    sines, _, _, invalid = _sines_and_factors(B, B_star)
    return sines if invalid is None else np.where(invalid[..., None], np.nan, sines)


def principal_angles(B: Array, B_star: Array) -> Array:
    """Principal angles between col(B) and col(B_*) in radians, descending; shapes and errors as ``principal_sines``.

    From sines and cosines together, so that angles near zero and angles near π/2 are both accurate (own derivation; the
    idea of Björck and Golub 1973).
    """
    sines, C, ranks, invalid = _sines_and_factors(B, B_star)
    values = np.linalg.svd(C, compute_uv=False)
    cosines = np.zeros_like(sines)  # descending; a direction of B without a partner in B_* (k' > k) has cosine 0
    cosines[..., : values.shape[-1]] = values
    if ranks is not None:  # a dimension that a rank-deficient B lacks has no angle: 0
        cosines[np.arange(cosines.shape[-1]) >= np.broadcast_to(ranks, cosines.shape[:-1])[..., None]] = 1.0
    angles = np.arctan2(sines, np.sort(cosines))
    return angles if invalid is None else np.where(invalid[..., None], np.nan, angles)


def missing_distance(B: Array, B_star: Array) -> Array:
    """How much of the truth a representation of any width misses: ‖(I − P_B) B_*‖₂, P_B the projector onto col(B).

    The sine of the largest angle between a direction of col(B_*) and col(B). Equal to ``subspace_distance`` where the
    two have the same dimension; where B is wider, superfluous directions do not count.

    Args:
        B: representation (..., d, k'), any scale; a rank-deficient B counts with the dimensions it has.
        B_star: ground truth (..., d, k) with orthonormal columns; batch axes broadcast.

    Returns:
        Array over the batch axes in [0, 1], absolute error a few eps; nan where B is not finite.

    Raises:
        ValueError: the shapes do not fit.

    Source: own; for k' = k the distance of Collins et al. 2022, Section 2.
    """
    B, B_star = _float_pair(B, B_star)
    finite = np.asarray(np.isfinite(B).all((-2, -1)))
    U, singular_values, _ = np.linalg.svd(np.where(finite[..., None, None], B, 0.0), full_matrices=False)
    # As in ``_orthonormalizer``: what rounding cannot tell from zero is no dimension.
    kept = singular_values > max(B.shape[-2:]) * EPS * singular_values[..., :1]
    U = np.where(kept[..., None, :], U, 0.0)
    missed = B_star - U @ (np.swapaxes(U, -1, -2) @ B_star)
    return np.where(finite, np.minimum(np.linalg.norm(missed, 2, axis=(-2, -1)), 1.0), np.nan)
