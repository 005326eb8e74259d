"""Leading batch axes: what they broadcast to, flattening them, and step sizes that vary along them."""

from functools import cache
from typing import Any

import numpy as np

Array = np.ndarray
StepSize = Any  # a float, a Fraction, or an array over the batch axes


def transposed(matrix: Array) -> Array:
    """The last two axes exchanged."""
    return matrix.mT


def along_trials(array: Array, axis: int = 0) -> Array:
    """A copy of (trials, ...), or with the trials along another axis, in which they are next to each other in memory,
    as ``product`` likes many of them.
    """
    return np.moveaxis(np.ascontiguousarray(np.moveaxis(array, axis, -1)), -1, axis)


def _is_along_trials(array: Array) -> bool:
    return array.ndim == 3 and array.strides[0] == array.itemsize


def as_one_axis(array: Array) -> Array:
    """All numbers of a contiguous array, or of one from ``along_trials``, in any order, without a copy."""
    return array.reshape(-1) if array.flags.c_contiguous else array.ravel(order="K")


def product(left: Array, right: Array) -> Array:
    """Product of matrices (..., i, j) and (..., j, k).

    Where the trials lie next to each other in memory the loops run along them: NumPy's own product calls BLAS for every
    trial, which for a matrix of five by five takes longer than to multiply it. Of two single matrices ``dot`` is the
    product that begins soonest.
    """
    if left.ndim == 2 and right.ndim == 2:
        return left.dot(right)
    if right.ndim == 3 and _is_along_trials(left):
        return np.einsum("tij,tjk->tik", left, right)
    return left @ right


def sum_of_columns(matrix: Array) -> Array:
    """Sum of the columns (..., a, n), as a column; by a product where NumPy would sum along a short axis, slowly."""
    if _is_along_trials(matrix):
        return matrix.sum(-1, keepdims=True)
    return product(matrix, _ones(matrix.shape[-1], matrix.dtype))


def sum_of_rows(matrix: Array) -> Array:
    """Sum of the rows (..., a, n), as a row; likewise."""
    if _is_along_trials(matrix):
        return matrix.sum(-2, keepdims=True)
    return product(_ones(matrix.shape[-2], matrix.dtype).mT, matrix)


@cache
def _ones(size: int, dtype: np.dtype) -> Array:
    """A column of ones, which nobody may write to."""
    ones = np.ones((size, 1), dtype=dtype)
    ones.flags.writeable = False
    return ones


def batch_scalar(step_size: StepSize, trailing: int) -> Any:
    """A step size that broadcasts against arrays with ``trailing`` axes behind the batch axes."""
    if isinstance(step_size, float):  # most are, and this is soonest said
        return step_size
    sizes = np.asarray(step_size)
    return sizes[(..., *(None,) * trailing)] if sizes.ndim else step_size


def common_batch(**arrays: tuple[Any, int]) -> tuple[int, ...]:
    """The batch axes that those of the named arrays broadcast to.

    Args:
        arrays: by name, the array or number and how many axes it has behind the batch axes.

    Raises:
        ValueError: they do not broadcast; it names them.
    """
    shapes = {name: np.shape(array)[: np.ndim(array) - trailing] for name, (array, trailing) in arrays.items()}
    different = set(shapes.values()) - {()}
    if len(different) <= 1:
        return different.pop() if different else ()
    try:
        return np.broadcast_shapes(*different)
    except ValueError:
        listing = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
        raise ValueError(f"the batch axes differ: {listing}; allowed: axes that broadcast") from None


def flattened(batch: tuple[int, ...], *arrays: tuple[Any, int]) -> tuple[Array, ...]:
    """Arrays with the batch axes as one axis.

    Args:
        batch: the batch axes, as ``common_batch`` finds them.
        arrays: each with how many axes it has behind the batch axes.

    Returns:
        The arrays, (prod(batch), ...) each.
    """
    found = []
    for array, trailing in arrays:
        whole, own = np.asarray(array), np.ndim(array) - trailing
        shape = whole.shape[own:]
        if whole.shape[:own] != batch:
            whole = np.broadcast_to(whole, batch + shape)
        found.append(whole.reshape(-1, *shape))
    return tuple(found)


def flattened_step(
    B: Array, w: Array, targets: Array, alpha: StepSize, beta: StepSize
) -> tuple[tuple[int, ...], tuple[Array, ...]]:
    """The batch axes of a step's arguments, and the arguments with these as one axis.

    Raises:
        ValueError: the batch axes do not broadcast.
    """
    arrays = {"B": (B, 2), "w": (w, 1), "targets": (targets, 2), "alpha": (alpha, 0), "beta": (beta, 0)}
    batch = common_batch(**arrays)
    return batch, flattened(batch, *arrays.values())
