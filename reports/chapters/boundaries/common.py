"""What the parts of the chapter on where the theory stops have in common: how much is run, heads, limits of steps.

Each part is data, figure and text; the data are whole grids of settings run as one batch, with a stream of their own,
so that parts run in any order and on any core. By the scaling symmetry only αL_*, β/α (or αβL_*²), the shape of Ψ_* and
the start matter; L_* = 1 unless said otherwise.
"""

import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from metarep.sim.learners import Learner
from metarep.theory.dynamics.linearise import span_head_matrix
from metarep.theory.dynamics.rates import HeadMoments

Array = np.ndarray
FO_MAML = "fo-maml"


@dataclass(frozen=True)
class BoundarySize:
    """How fine the grids are, how many trials each point has, how long the runs are."""

    cells: int = 17
    trials: int = 4
    steps: int = 1500
    plane: int = 21
    """Points a side of the planes of heads."""
    plane_steps: int = 4000
    scale_trials: int = 16
    scale_steps: int = 4000
    line: int = 11
    """Points along an axis of a line figure."""
    head_steps: int = 4000
    """Steps of the runs over the heads' means; twice as many at most over their diversity."""


SIZES = {"quick": BoundarySize(), "full": BoundarySize(25, 6, 3000, 37, 8000, 40, 6000, 17)}
"""By the report's profile. On one core about 20 s and 100 s."""


def stream(seed: int, part: str) -> np.random.Generator:
    """A stream of its own for every part, the same on every machine."""
    return np.random.default_rng([seed, zlib.crc32(part.encode())])


def exact_heads(mean: Any, deviations: Any) -> Array:
    """2k heads (..., k, 2k), mean ± √k σ_i e_i, whose first three moments are those of N(mean, diag(σ²)) exactly.

    FO-MAML hears no more of the heads, both ANILs hear less; Exact MAML also hears the fourth moments, which are
    different. (Own construction: a symmetric cubature of degree three.)

    Args:
        mean: (..., k).
        deviations: σ, (..., k).
    """
    mean, deviations = np.asarray(mean, dtype=float), np.asarray(deviations, dtype=float)
    k = mean.shape[-1]
    spread = np.sqrt(k) * deviations[..., :, None] * np.concatenate([np.eye(k), -np.eye(k)], axis=1)
    return mean[..., :, None] + spread


def stable_product(learner: Learner, heads: Array, alpha: float) -> float:
    """The αβ up to which the linearisation at the truth, w = 0, has no eigenvalue of modulus above 1; 0 if none is.

    Its matrix is I − αβA with A free of β, so that an eigenvalue a of A allows αβ ≤ 2 Re a/|a|²; the perpendicular part
    allows αβ ≤ 2/L_*².
    """
    beta = 1 / alpha
    matrix = span_head_matrix(learner, heads, alpha, beta)
    A = np.eye(len(matrix)) - matrix  # αβ = 1
    values = np.linalg.eigvals(A)
    size = np.sqrt(np.finfo(float).eps * len(A)) * float(np.linalg.norm(A))  # neutral ones may be defective
    values = values[np.abs(values) > size]
    if np.any(np.real(values) < -size):
        return 0.0
    return float(min(2 / HeadMoments.of(heads).L ** 2, np.min(2 * np.real(values) / np.abs(values) ** 2)))


def stable_limits(learner: Learner, heads: Array, alphas: Array) -> tuple[Array, int]:
    """For each column of settings, heads (x, trials, k, n) and alphas (x,): median limit, and how many draws of the
    first column are unstable at any step.
    """
    each = np.array([[stable_product(learner, one, a) for one in row] for row, a in zip(heads, alphas, strict=True)])
    some = np.ma.masked_equal(each, 0.0)
    return np.ma.median(some, axis=1).filled(np.nan), int((each[0] == 0).sum())
