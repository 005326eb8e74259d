"""Calls of an adapter's functions on copies of their arguments, and what is said where one goes wrong."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from metarep.sim.foreign.declared import AdapterError, Declared
from metarep.sim.user_code import line_in, raised

Array = np.ndarray


@dataclass(frozen=True)
class Calls:
    """The calls on one example.

    Attributes:
        declared: what the adapter says of itself.
        functions: its functions by name.
        caught: which errors of its own are reported as an ``AdapterError``.
        learner: what it gets as the learner.
        arrays: the example's, by name, B and w first.
        way: of a call, one of ``metarep.sim.foreign.adapter.WAYS``.
    """

    declared: Declared
    functions: Mapping[str, Callable[..., Any]]
    caught: tuple[type[BaseException], ...]
    learner: str
    arrays: Mapping[str, Array]
    way: str = ""

    def step(self, function: str, alpha: float, beta: float) -> tuple[Array, Array]:
        """(B_next, w_next) as ``function`` returned them, from float64 copies.

        Raises:
            AdapterError: it raised, changed its inputs, or returned anything but two arrays of the right shapes.
        """
        copies = self._copies(self.arrays)
        result = self._result(function, self.learner, *copies.values(), alpha, beta)
        self._unchanged(function, copies)
        return self._pair(function, "_next", result)

    def begun(self, alpha: float, beta: float) -> Any:
        """The state of a training loop that begins at B and w, which it may keep. Errors as ``step``."""
        return self._result("init", self.learner, *self._copies(("B", "w")).values(), alpha, beta)

    def updated(self, state: Any) -> tuple[Any, tuple[Array, Array]]:
        """The state after an update on the example's other arrays, and its (B, w). Errors as ``step``."""
        batch = self._copies([name for name in self.arrays if name not in ("B", "w")])
        state = self._result("update", state, tuple(batch.values()))
        self._unchanged("update", batch)
        if state is None:
            raise self._wrong("update", "returned None", "the state after the update")
        return state, self._pair("parameters", "", self._result("parameters", state))

    def _copies(self, names: Any) -> dict[str, Array]:
        return {name: copied(self.arrays[name], self.way) for name in names}

    def _wrong(self, function: str, what: str, allowed: str, error: BaseException | None = None) -> AdapterError:
        line = error and line_in(self.declared.path, error)
        shapes = {name: value.shape for name, value in self.arrays.items()}
        return self.declared.wrong_call(function, self.learner, shapes, what, allowed, line)

    def _result(self, function: str, *given: Any) -> Any:
        try:
            return self.functions[function](*given)
        except self.caught as error:
            allowed = f"a function {function} that raises nothing"
            raise self._wrong(function, f"raised {raised(error)}", allowed, error) from error

    def _unchanged(self, function: str, copies: Mapping[str, Array]) -> None:
        for key, copy in copies.items():
            if copy.tobytes() != self.arrays[key].tobytes():
                allowed = "new arrays; the inputs stay as they are"
                raise self._wrong(function, f"changes its input {key} in place", allowed)

    def _pair(self, function: str, tag: str, result: Any) -> tuple[Array, Array]:
        allowed = f"a pair (B{tag}, w{tag}) of float arrays shaped like B and w"
        if not isinstance(result, tuple | list) or len(result) != 2:
            length = f" of length {len(result)}" if isinstance(result, tuple | list) else ""
            raise self._wrong(function, f"returned a {type(result).__name__}{length}", allowed)
        parts = []
        for key, part in zip(("B", "w"), result, strict=True):
            name, shape = f"{key}{tag}", self.arrays[key].shape
            try:
                value = np.asarray(part)
            except self.caught as error:
                raise self._wrong(function, f"returned a {name} that is no array: {raised(error)}", allowed) from error
            if value.shape != shape:
                what = "a transposed " if key == "B" and value.shape == shape[::-1] else ""
                what = f"returned {what}{name} of shape {value.shape}"
                raise self._wrong(function, what, f"the shape of {key}, {shape}")
            if value.dtype.kind != "f" or value.dtype.itemsize < 4:
                raise self._wrong(function, f"returned {name} of dtype {value.dtype}", "float32 or float64")
            parts.append(value)
        return parts[0], parts[1]


def copied(array: Array, way: str = "") -> Array:
    """A float64 copy: C-contiguous unless the call's way says otherwise; between strided numbers there is NaN."""
    if way != "strided":
        return np.array(array, dtype=np.float64, order="F" if way == "fortran" else "C")
    wide = np.full([2 * size for size in array.shape], np.nan)
    view = wide[(slice(None, None, 2),) * array.ndim]
    view[...] = array
    return view


@cache
def eps_of(dtype: "np.dtype[Any]") -> float:
    """The unit of its rounding errors."""
    return float(np.finfo(dtype).eps)
