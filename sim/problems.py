"""Problems, declaratively: a ground truth, tasks and a start, in coordinates that do not grow with the ambient
dimension d.

Every learner's update keeps col(B_t) in col(B_0) + col(B_*), so the dynamics in R^d are exactly those in R^{d'},
d' = min(d, 2k): coordinates along B_* (the first k) and along the part of B_0 perpendicular to B_* (own derivation; the
right factor behind it is the mechanism of Collins et al. 2022). There B_* = [I_k; 0]. ``lift`` and ``reduce`` go back
and forth.
"""

import io
import zipfile
import zlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from metarep.sim.checks import check_dimensions, check_step_size
from metarep.sim.starts import StartKind, balanced, start
from metarep.sim.tasks import EPS, FixedTasks, FreshTasks, Tasks, gaussian_heads, haar, heads_with_spectrum

__all__ = [
    "FixedTasks",
    "FreshTasks",
    "Problem",
    "StartKind",
    "Tasks",
    "balanced",
    "check_dimensions",
    "check_step_size",
    "gaussian_heads",
    "heads_with_spectrum",
    "lift",
    "load_problem",
    "make_problem",
    "reduce",
    "start",
]

Array = np.ndarray


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
    columns.
    """
    frame = haar(problem.d, problem.B_star.shape[-2], rng)
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


# --- problems from files

_UNREADABLE = (
    OSError,
    ValueError,
    EOFError,
    zipfile.BadZipFile,
    zlib.error,
    NotImplementedError,
    RuntimeError,
    MemoryError,
)
_ALLOWED_SHAPES = {"B_star": "(d, k)", "heads": "(k, n)", "B0": "(d, k)", "w0": "(k,)"}


LARGEST_ENTRY = 1e50
"""Of what a file holds: an update multiplies four of them at most, and the result has to be a float."""
MOST_BYTES = 2 * 10**9
"""Of a file's arrays: a small archive may unpack to anything."""


def _read_arrays(path: str | Path) -> dict[str, Array]:
    known = ", ".join(f"{name} {shape}" for name, shape in _ALLOWED_SHAPES.items())
    arrays: dict[str, Array] = {}
    try:
        # Read first: numpy.load leaves the file open when it finds no archive in it.
        archive = np.load(io.BytesIO(Path(path).read_bytes()), allow_pickle=False)
    except _UNREADABLE as problem:
        raise ValueError(f"cannot read {path} ({type(problem).__name__}); allowed: an .npz archive of arrays") from None
    if not isinstance(archive, np.lib.npyio.NpzFile):
        raise ValueError(f"{path} is not an .npz archive; allowed: one with some of {known}")
    with archive:
        size = sum(part.file_size for part in archive.zip.infolist()) if archive.zip else 0
        if size > MOST_BYTES:
            raise ValueError(f"{path} unpacks to {size / 1e9:.3g} GB; allowed: up to {MOST_BYTES / 1e9:g} GB")
        for name in archive.files:
            if name not in _ALLOWED_SHAPES:
                raise ValueError(f"{path} holds an array {name!r}; allowed: {known}")
            try:
                array = archive[name]
            except _UNREADABLE:
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
    if name != "B_star" and (largest := np.abs(array).max()) > LARGEST_ENTRY:  # B_star is orthonormal, or refused
        raise ValueError(f"{name} holds {largest:.3g} in size; allowed: up to {LARGEST_ENTRY:g}, numbers {shape}")
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
        d, k, n: dimensions and tasks a step; each is needed only if no array of the archive tells.
        tasks, head_mean, head_variances: as ``make_problem``, where heads are missing; those in the archive are fixed
            tasks.
        start, dist0: likewise, where B0 is missing; a given B0 is used as it is.
        trials: leading axes of whatever is drawn.

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
        B_star = haar(d, k, rng)
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
