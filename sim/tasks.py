"""Tasks: heads with a given distribution or a given second moment, fixed or drawn afresh at every step."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from metarep.sim.checks import check_tasks, per_direction

Array = np.ndarray
Tasks = Callable[[int], Array]
"""``tasks(step)`` gives the heads w_{*,i} of that outer step as columns, (..., k, n). Steps are asked for in order,
from 0. Where it has a method ``several(first, count)``, that gives the heads of so many steps, one after the other.
"""

EPS = float(np.finfo(float).eps)


def haar(rows: int, columns: int, rng: np.random.Generator, batch: tuple[int, ...] = ()) -> Array:
    """Uniformly random (..., rows, columns) with orthonormal columns (columns <= rows)."""
    return orthonormalised(rng.standard_normal((*batch, rows, columns)))


def orthonormalised(columns: Array) -> Array:
    """Orthonormal columns with the same spans, by a QR factorisation whose R has a positive diagonal."""
    Q, R = np.linalg.qr(columns)
    return Q * np.copysign(1.0, np.diagonal(R, axis1=-2, axis2=-1))[..., None, :]


def gaussian_heads(
    mean: Any, variances: Any, n: int, rng: np.random.Generator, batch: tuple[int, ...] = (), k: int | None = None
) -> Array:
    """Heads drawn i.i.d. from N(mean, diag(variances)), as columns (*batch, k, n).

    Args:
        mean: scalar or (k,).
        variances: scalar or (k,), none negative.
        n: number of tasks.
        rng: source of randomness.
        batch: leading axes, each entry with its own heads.
        k: number of directions, needed where both others are scalars.

    Raises:
        ValueError: shapes or values that make no distribution.
    """
    shift, deviations = _distribution(mean, variances, k)
    return shift + deviations * rng.standard_normal((*batch, len(shift), check_tasks(n)))


def _distribution(mean: Any, variances: Any, k: int | None) -> tuple[Array, Array]:
    """Mean and standard deviations (k, 1) of the heads."""
    k = max(np.size(mean), np.size(variances)) if k is None else k
    mean = per_direction("head mean", mean, k)
    return mean[:, None], np.sqrt(per_direction("head variances", variances, k, negative_allowed=False))[:, None]


def heads_with_spectrum(
    spectrum: Any,
    n: int,
    rng: np.random.Generator,
    mean: Any = None,
    batch: tuple[int, ...] = (),
) -> Array:
    """Random heads (*batch, k, n) whose second moment Ψ_* = (1/n) Σ w_{*,i}w_{*,i}ᵀ has exactly the given eigenvalues.

    Args:
        spectrum: the k eigenvalues, none negative. At most n of them can be positive.
        n: number of tasks.
        rng: source of randomness.
        mean: None for uniformly random eigenvectors and an unprescribed mean. Otherwise the heads' mean w̄_* (scalar or
            (k,)), and Ψ_* = diag(spectrum): possible iff ``Σ mean_j²/spectrum_j <= 1``, and < 1 needs n > the number of
            positive ones.
        batch: leading axes, each entry with its own heads.

    Raises:
        ValueError: no such heads exist.
    """
    check_tasks(n)
    eigenvalues = np.atleast_1d(np.asarray(spectrum, dtype=float))
    if eigenvalues.ndim != 1 or eigenvalues.size == 0 or not np.all(np.isfinite(eigenvalues) & (eigenvalues >= 0)):
        raise ValueError(f"spectrum is {spectrum!r}; allowed: k finite eigenvalues, none negative")
    k, positive = eigenvalues.size, np.flatnonzero(eigenvalues)
    rank = positive.size
    if rank > n:
        raise ValueError(f"spectrum has {rank} positive eigenvalues with n = {n} tasks; allowed: at most n")
    scaled = np.zeros((*batch, k, n))
    if mean is None:
        scaled[..., positive, :] = np.swapaxes(haar(n, rank, rng, batch), -1, -2)
        return haar(k, k, rng, batch) @ (np.sqrt(n * eigenvalues)[:, None] * scaled)
    target = per_direction("head mean", mean, k)
    share = target[positive] / np.sqrt(eigenvalues[positive])
    norm = float(np.linalg.norm(share))
    exhausted = norm >= 1 - 4 * k * EPS  # within rounding of 1: all of Ψ_* is the mean's share
    if np.any(target[eigenvalues == 0] != 0) or norm > 1 + 4 * k * EPS:
        raise ValueError(f"head mean is {mean!r} with spectrum {spectrum!r}; allowed: sum of mean²/spectrum at most 1")
    needed = rank if exhausted else rank + 1
    if n < needed:
        raise ValueError(f"n is {n} with {rank} positive eigenvalues and a prescribed mean; allowed: n >= {needed}")
    # Rows of `scaled` must be orthonormal with inner products `share` with the constant unit vector q: q's part plus
    # the rest, (I − share shareᵀ)^{1/2} times an orthonormal frame perpendicular to q.
    q = np.full((n, 1), 1 / math.sqrt(n))
    perpendicular = np.linalg.qr(q, mode="complete")[0][:, 1:]
    left, gains, _ = np.linalg.svd(np.eye(rank) - np.outer(share, share))
    root = left[:, : needed - 1] * np.sqrt(gains[: needed - 1])
    frame = np.swapaxes(perpendicular @ haar(n - 1, needed - 1, rng, batch), -1, -2)
    scaled[..., positive, :] = share[:, None] * q[:, 0] + root @ frame
    return np.sqrt(n * eigenvalues)[:, None] * scaled


@dataclass(frozen=True, eq=False)
class FixedTasks:
    """The same tasks at every step: heads (..., k, n)."""

    heads: Array

    def __call__(self, step: int) -> Array:
        """The heads, whatever the step."""
        return self.heads

    def several(self, first: int, count: int) -> list[Array]:
        """The same so many times."""
        return [self.heads] * count


class FreshTasks:
    """Tasks drawn afresh at every step: heads i.i.d. N(mean, diag(variances)), (*batch, k, n).

    Steps are asked for in order; asking for step 0 begins the same sequence again, so that every run of a problem sees
    the same tasks. (It draws from a child of ``rng``, not from ``rng`` itself.)

    Raises:
        ValueError: see ``gaussian_heads``; a step out of order.
    """

    def __init__(
        self,
        mean: Any,
        variances: Any,
        n: int,
        rng: np.random.Generator,
        batch: tuple[int, ...] = (),
        k: int | None = None,
    ) -> None:
        self._shift, self._deviations = _distribution(mean, variances, k)
        self._shape = (*batch, len(self._shift), check_tasks(n))
        self._rng = rng.spawn(1)[0]
        self._beginning = self._rng.bit_generator.state
        self._next = 0

    def __call__(self, step: int) -> Array:
        """The heads of this step."""
        return self.several(step, 1)[0]

    def several(self, first: int, count: int) -> Array:
        """The heads of so many steps, (count, ...)."""
        if first == 0:
            self._rng.bit_generator.state = self._beginning
        elif first != self._next:
            raise ValueError(f"step is {first}; allowed: {self._next}, the next one, or 0 to begin again")
        self._next = first + count
        draws = [self._rng.standard_normal(self._shape) for _ in range(count)]  # one by one, as ``_rng`` may be streams
        return self._shift + self._deviations * np.stack(draws)
