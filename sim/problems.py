"""Problems, declaratively: a ground truth, tasks and a start, in coordinates that do not grow with the ambient
dimension d.

Every learner's update keeps col(B_t) in col(B_0) + col(B_*), so the dynamics in R^d are exactly those in R^{d'},
d' = min(d, 2k): coordinates along B_* (the first k) and along the part of B_0 perpendicular to B_* (own derivation; the
right factor behind it is the mechanism of Collins et al. 2022). There B_* = [I_k; 0]. ``lift`` and ``reduce`` go back
and forth.
"""

import io
import math
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

Array = np.ndarray
Tasks = Callable[[int], Array]
"""``tasks(step)`` gives the heads w_{*,i} of that outer step as columns, (..., k, n). Steps are asked for in order,
from 0."""

EPS = float(np.finfo(float).eps)
LARGEST_D = 10**12
"""Largest ambient dimension: beyond it the random parts of a start are no longer told apart from its rounding errors.
"""


# --- what is allowed --------------------------------------------------------------------------------------------------


def _whole(name: str, value: Any, allowed: str, least: int, most: int | None = None, context: str = "") -> int:
    whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    if not whole or value < least or (most is not None and value > most):
        raise ValueError(f"{name} is {value!r}{context}; allowed: {allowed}")
    return int(value)


def check_dimensions(d: int, k: int, n: int) -> None:
    """``ValueError`` unless 1 <= d <= 10^12, 1 <= k <= d and n >= 1 are whole numbers."""
    d = _whole("d", d, f"a whole number d >= 1, at most {LARGEST_D}", 1, LARGEST_D)
    _whole("k", k, "1 <= k <= d, a whole number", 1, d, f" with d = {d}")
    _whole("n", n, "a whole number n >= 1", 1)


def check_step_size(name: str, value: Any, zero_allowed: bool = False) -> None:
    """``ValueError`` unless a step size (scalar or array) is real, finite and positive (or zero, where that is
    allowed)."""
    try:
        numbers = np.asarray(value, dtype=float)
        good = bool(np.all(np.isfinite(numbers) & ((numbers > 0) | ((numbers == 0) & zero_allowed))))
    except (TypeError, ValueError, OverflowError):
        good = False
    if not good:
        raise ValueError(f"{name} is {value!r}; allowed: {name} {'>=' if zero_allowed else '>'} 0 and finite")


def _per_direction(name: str, value: Any, k: int, negative_allowed: bool = True) -> Array:
    """A scalar or (k,) array as a (k,) array of finite floats."""
    allowed = f"a finite number or {k} of them" + ("" if negative_allowed else ", none negative")
    try:
        numbers = np.asarray(value, dtype=float)
    except (TypeError, ValueError):
        raise ValueError(f"{name} is {value!r}; allowed: {allowed}") from None
    if numbers.shape not in ((), (k,)):
        raise ValueError(f"{name} has shape {numbers.shape}; allowed: {allowed}")
    if not np.all(np.isfinite(numbers)) or (not negative_allowed and np.any(numbers < 0)):
        raise ValueError(f"{name} is {value!r}; allowed: {allowed}")
    return np.broadcast_to(numbers, (k,))


# --- heads and tasks --------------------------------------------------------------------------------------------------


def _haar(rows: int, columns: int, rng: np.random.Generator, batch: tuple[int, ...] = ()) -> Array:
    """Uniformly random (..., rows, columns) with orthonormal columns (columns <= rows)."""
    Q, R = np.linalg.qr(rng.standard_normal((*batch, rows, columns)))
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
    if k is None:
        k = max(np.size(mean), np.size(variances))
    mean = _per_direction("head mean", mean, k)
    deviations = np.sqrt(_per_direction("head variances", variances, k, negative_allowed=False))
    _whole("n", n, "a whole number n >= 1", 1)
    return mean[:, None] + deviations[:, None] * rng.standard_normal((*batch, k, n))


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
    _whole("n", n, "a whole number n >= 1", 1)
    eigenvalues = np.atleast_1d(np.asarray(spectrum, dtype=float))
    if eigenvalues.ndim != 1 or eigenvalues.size == 0 or not np.all(np.isfinite(eigenvalues) & (eigenvalues >= 0)):
        raise ValueError(f"spectrum is {spectrum!r}; allowed: k finite eigenvalues, none negative")
    k, positive = eigenvalues.size, np.flatnonzero(eigenvalues)
    rank = positive.size
    if rank > n:
        raise ValueError(f"spectrum has {rank} positive eigenvalues with n = {n} tasks; allowed: at most n")
    scaled = np.zeros((*batch, k, n))
    if mean is None:
        scaled[..., positive, :] = np.swapaxes(_haar(n, rank, rng, batch), -1, -2)
        return _haar(k, k, rng, batch) @ (np.sqrt(n * eigenvalues)[:, None] * scaled)
    target = _per_direction("head mean", mean, k)
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
    frame = np.swapaxes(perpendicular @ _haar(n - 1, needed - 1, rng, batch), -1, -2)
    scaled[..., positive, :] = share[:, None] * q[:, 0] + root @ frame
    return np.sqrt(n * eigenvalues)[:, None] * scaled


@dataclass(frozen=True, eq=False)
class FixedTasks:
    """The same tasks at every step: heads (..., k, n)."""

    heads: Array

    def __call__(self, step: int) -> Array:
        """The heads, whatever the step."""
        return self.heads


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
        k = max(np.size(mean), np.size(variances)) if k is None else k
        self.mean = _per_direction("head mean", mean, k)
        self.variances = _per_direction("head variances", variances, k, negative_allowed=False)
        self.n = _whole("n", n, "a whole number n >= 1", 1)
        self.shape = (*batch, k, n)
        self._rng = rng.spawn(1)[0]
        self._beginning = self._rng.bit_generator.state
        self._next = 0
        self._shift, self._deviations = self.mean[:, None], np.sqrt(self.variances)[:, None]

    def __call__(self, step: int) -> Array:
        """The heads of this step."""
        if step == 0:
            self._rng.bit_generator.state = self._beginning
        elif step != self._next:
            raise ValueError(f"step is {step}; allowed: {self._next}, the next one, or 0 to begin again")
        self._next = step + 1
        return self._shift + self._deviations * self._rng.standard_normal(self.shape)


# --- starts -----------------------------------------------------------------------------------------------------------

StartKind = Literal["balanced", "orthonormal"]


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
    Q, R = np.linalg.qr(np.concatenate([along, across], axis=-2))
    return Q * np.copysign(1.0, np.diagonal(R, axis1=-2, axis2=-1))[..., None, :]


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
        dist0: None for a uniformly random subspace of R^d; a number for that largest principal sine; or k
            principal sines.
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
        along = _haar(k, k, rng, trials) * cosines[..., None, :]
        across = np.zeros((*trials, rows, k))
        across[..., :rows] = _haar(rows, rows, rng, trials) * sines[..., None, :rows]
        B = np.concatenate([along, across], axis=-2) @ _haar(k, k, rng, trials)
    if kind == "orthonormal":
        return B
    return B / np.sqrt(np.asarray(alpha, dtype=float))[..., None, None]


# --- problems ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Problem:
    """What a learner is run on.

    Attributes:
        d: ambient dimension (B_star has min(d, 2k) rows in reduced coordinates, d in full ones).
        B_star: ground truth B_*, orthonormal columns, the same for all trials.
        tasks: ``tasks(step)`` gives the heads (..., k, n).
        B0: initial representation (..., rows of B_star, k).
        w0: initial head (..., k).
        n: number of tasks a step.
    """

    d: int
    B_star: Array
    tasks: Tasks
    B0: Array
    w0: Array
    n: int

    @property
    def k(self) -> int:
        """Dimension of the ground-truth representation."""
        return self.B_star.shape[-1]


def make_problem(
    d: int,
    k: int,
    n: int,
    alpha: Any,
    rng: np.random.Generator,
    tasks: Literal["fixed", "fresh"] = "fixed",
    start: StartKind = "balanced",
    dist0: Any = None,
    trials: tuple[int, ...] = (),
    head_mean: Any = 0.0,
    head_variances: Any = 1.0,
    spectrum: Any = None,
    *,
    angles: Literal["equal", "largest"] = "equal",
) -> Problem:
    """A problem in reduced coordinates with w_0 = 0; each trial has its own start and its own heads.

    Args:
        d: ambient dimension.
        k: dimension of the representation, 1 <= k <= d.
        n: tasks a step.
        alpha: inner step size α, which scales a balanced start.
        rng: source of randomness.
        tasks: heads drawn once ("fixed") or at every step ("fresh").
        start: see ``start``.
        dist0: see ``start``.
        trials: leading axes.
        head_mean: mean of the heads' normal distribution, scalar or (k,).
        head_variances: their variances, scalar or (k,).
        spectrum: instead of these two: exact eigenvalues of Ψ_* (fixed tasks only), see ``heads_with_spectrum``.
        angles: see ``start``.

    Raises:
        ValueError: arguments out of range.
    """
    check_dimensions(d, k, n)
    if tasks not in ("fixed", "fresh"):
        raise ValueError(f"tasks is {tasks!r}; allowed: 'fixed', 'fresh'")
    if spectrum is not None and (tasks == "fresh" or np.shape(spectrum) != (k,)):
        raise ValueError(f"spectrum has shape {np.shape(spectrum)}, tasks are {tasks}; allowed: ({k},) and fixed tasks")
    B0 = _start(start, d, k, alpha, rng, dist0, trials, angles=angles)
    if spectrum is not None:
        source: Tasks = FixedTasks(heads_with_spectrum(spectrum, n, rng, batch=trials))
    elif tasks == "fixed":
        source = FixedTasks(gaussian_heads(head_mean, head_variances, n, rng, trials, k=k))
    else:
        source = FreshTasks(head_mean, head_variances, n, rng, trials, k=k)
    return Problem(d, np.eye(min(d, 2 * k), k), source, B0, np.zeros((*trials, k)), n)


_start = start  # the name is also make_problem's argument


def lift(problem: Problem, rng: np.random.Generator) -> Problem:
    """The same problem in coordinates of R^d: B_* and B_0 multiplied by a random d × d' matrix with orthonormal
    columns."""
    frame = _haar(problem.d, problem.B_star.shape[-2], rng)
    return replace(problem, B_star=frame @ problem.B_star, B0=frame @ problem.B0)


def reduce(problem: Problem) -> Problem:
    """The same problem in reduced coordinates: B_* = [I_k; 0], B_0 = [B_*ᵀB_0; Y], YᵀY that of the part of B_0 beyond
    col(B_*).

    The learner's width (columns of B_0) may exceed k; B_0 then has k + min(d − k, width) rows.
    """
    B_star, B0, k = problem.B_star, problem.B0, problem.k
    along = np.swapaxes(B_star, -1, -2) @ B0
    rows = B_star.shape[-2]
    if rows - k <= B0.shape[-1]:
        complement = np.linalg.qr(B_star, mode="complete")[0][:, k:]
        across = complement.T @ B0
    else:
        across = np.linalg.qr(B0 - B_star @ along, mode="r")
    reduced = np.concatenate([along, across], axis=-2)
    return replace(problem, B_star=np.eye(reduced.shape[-2], k), B0=reduced)


# --- problems from files ----------------------------------------------------------------------------------------------

_ALLOWED_SHAPES = {"B_star": "(d, k)", "heads": "(k, n)", "B0": "(d, k)", "w0": "(k,)"}


def _read_arrays(path: str | Path) -> dict[str, Array]:
    known = ", ".join(f"{name} {shape}" for name, shape in _ALLOWED_SHAPES.items())
    arrays: dict[str, Array] = {}
    try:
        # Read first: numpy.load leaves the file open when it finds no archive in it.
        archive = np.load(io.BytesIO(Path(path).read_bytes()), allow_pickle=False)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as problem:
        raise ValueError(f"cannot read {path} ({type(problem).__name__}); allowed: an .npz archive of arrays") from None
    if not isinstance(archive, np.lib.npyio.NpzFile):
        raise ValueError(f"{path} is not an .npz archive; allowed: one with some of {known}")
    with archive:
        for name in archive.files:
            if name not in _ALLOWED_SHAPES:
                raise ValueError(f"{path} holds an array {name!r}; allowed: {known}")
            try:
                array = archive[name]
            except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError):
                raise ValueError(
                    f"cannot read {name} in {path}; allowed: real numbers {_ALLOWED_SHAPES[name]}"
                ) from None
            arrays[name] = _checked_array(name, array)
    if not arrays:
        raise ValueError(f"{path} holds no arrays; allowed: some of {known}")
    return arrays


def _checked_array(name: str, array: Any) -> Array:
    shape = _ALLOWED_SHAPES[name]
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "iuf":
        raise ValueError(f"{name} does not hold real numbers; allowed: real numbers {shape}")
    if array.ndim != shape.count(",") + (not shape.endswith(",)")) or array.size == 0:
        raise ValueError(f"{name} has shape {array.shape}; allowed: {shape}")
    array = array.astype(float)
    if not np.all(np.isfinite(array)):
        raise ValueError(f"{name} holds NaN or infinity; allowed: finite numbers {shape}")
    return array


def load_problem(
    path: str | Path,
    alpha: Any,
    rng: np.random.Generator,
    *,
    d: int | None = None,
    k: int | None = None,
    n: int | None = None,
    tasks: Literal["fixed", "fresh"] = "fixed",
    start: StartKind = "balanced",
    dist0: Any = None,
    trials: tuple[int, ...] = (),
    head_mean: Any = 0.0,
    head_variances: Any = 1.0,
) -> Problem:
    """A problem in full coordinates from an .npz archive with any of B_star (d, k), heads (k, n), B0 (d, k), w0 (k,);
    the rest is drawn.

    Args:
        path: the archive.
        alpha: inner step size α, which scales a balanced start.
        rng: source of randomness for what the archive lacks.
        d: ambient dimension; needed only if no array of the archive tells.
        k: dimension of the representation; likewise.
        n: tasks a step; likewise.
        tasks: how missing heads are drawn, see ``make_problem``. Heads in the archive are fixed tasks.
        start: kind of a missing B0 (a given B0 is used as it is).
        dist0: largest principal sine of a missing B0.
        trials: leading axes of whatever is drawn.
        head_mean: see ``make_problem``.
        head_variances: see ``make_problem``.

    Raises:
        ValueError: unreadable file, unknown or missing names, NaN or infinity, shapes that do not fit, B_star not
            orthonormal.
    """
    arrays = _read_arrays(path)
    sizes: dict[str, tuple[int, str]] = {
        name: (value, f"{name} = {value}") for name, value in {"d": d, "k": k, "n": n}.items() if value is not None
    }
    for name, array in arrays.items():
        letters = _ALLOWED_SHAPES[name].strip("(),").split(", ")
        for letter, size in zip(letters, array.shape, strict=True):
            known, source = sizes.setdefault(letter, (size, f"{name} of shape {array.shape}"))
            if known != size:
                raise ValueError(
                    f"{name} has shape {array.shape}, which does not fit {source}; allowed: {_ALLOWED_SHAPES[name]}"
                )
    for letter in "dkn":
        if letter not in sizes:
            raise ValueError(f"{path} does not tell {letter}; allowed: an array that does, or {letter} given besides")
    d, k, n = (sizes[letter][0] for letter in "dkn")
    if dist0 is not None and "B0" in arrays:
        raise ValueError(f"dist0 is {dist0!r} with a start B0 in {path}; allowed: one of the two")
    drawn = make_problem(
        d, k, n, alpha, rng, tasks, start, dist0, trials, head_mean=head_mean, head_variances=head_variances
    )
    if "B_star" in arrays:
        B_star = arrays["B_star"]
        # An orthonormal basis computed in double precision departs from BᵀB = I by a modest multiple of d·k·eps
        # (Householder QR), and dist inherits an error of that size; anything larger is not rounding.
        tolerance = 4 * d * k * EPS
        departure = float(np.abs(B_star.T @ B_star - np.eye(k)).max()) if np.abs(B_star).max() < 2 else np.inf
        if departure > tolerance:
            raise ValueError(
                f"B_star has columns that are not orthonormal (off by {departure:.1e}); "
                f"allowed: shape (d, k) with B_starᵀB_star = I to {tolerance:.1e}, e.g. from a QR factorisation"
            )
    else:
        B_star = _haar(d, k, rng)
    if "B0" in arrays:
        B0 = arrays["B0"]
    else:
        rows = drawn.B_star.shape[0] - k
        across = rng.standard_normal((d, rows))
        for _ in range(2):  # once more, as the first projection leaves rounding errors along B_*
            across = np.linalg.qr(across - B_star @ (B_star.T @ across))[0]
        B0 = np.concatenate([B_star, across], axis=1) @ drawn.B0
    source = FixedTasks(arrays["heads"]) if "heads" in arrays else drawn.tasks
    return Problem(d, B_star, source, B0, arrays.get("w0", drawn.w0), n)
