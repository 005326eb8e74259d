"""Somebody else's update maps, loaded from an adapter and called with care.

An adapter is a module with one function, ``step(learner, B, w, targets, alpha, beta) -> (B_next, w_next)``, for one
example: B (d, k), w (k,), targets θ_i as columns (d, n), numbers α and β; task i's loss is ½‖Bw − θ_i‖² and the outer
loss the mean over tasks (Collins et al. 2022, Section 2). Optional: ``supported``, the ids of the learners it has (all
five unless given); ``precision``, "float32" or "float64" (the dtype of what it returns unless given);
``step_on_samples(learner, B, w, X_in, y_in, X_out, y_out, alpha, beta)`` with X (n, m, d), y (n, m) and task loss
‖XBw − y‖²/(2m).
"""

import json
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple, Protocol, Self

import numpy as np

from metarep.sim.learners import LEARNERS
from metarep.sim.user_code import CAUGHT, UserCode, UserCodeError, line_in, load_user_code, one_line, raised, shown_path

Array = np.ndarray
PRECISIONS = {"float32": 2.0**-23, "float64": 2.0**-52}
"""What an adapter may compute in, with the unit of its rounding errors. Half precision overflows on moderate inputs."""
FAR = 1e12
"""Beyond this size of a number steps are not taken several at a time: the run has diverged, or is about to."""
WAYS = ("", "fortran", "strided", "kept")
"""How a call is made: as always, with inputs in Fortran's order or with gaps in memory, or with what is returned left
alone until the last call of the batch has returned.
"""
FUNCTIONS = ("step", "step_on_samples")
"""What an adapter may have to be called; the first it must have."""


class AdapterError(UserCodeError):
    """The adapter cannot be used."""


class LearnerId(str):
    """A learner's id as adapters get it: a string such as ``"fo-anil"`` that also knows what the id stands for."""

    __slots__ = ()

    @property
    def name(self) -> str:
        """The id."""
        return str(self)

    @property
    def adapts(self) -> str:
        """What the inner step moves: "head", "both" or "nothing"."""
        return LEARNERS[self.name].adapts

    @property
    def first_order(self) -> bool:
        """Whether the outer gradient ignores the inner step's derivative."""
        return LEARNERS[self.name].first_order

    @property
    def inner_steps(self) -> int:
        """Number of inner steps: 1, or 0 for average loss."""
        return LEARNERS[self.name].inner_steps


@dataclass(frozen=True)
class Declared:
    """What an adapter is and says of itself, as plain data.

    Attributes:
        target: what it was called by.
        path: its file.
        shown: its file as people see it.
        lines: by name, the lines of the functions that it has.
        supported: ids of the learners it has.
        precision: what it computes in; None where it does not say.
    """

    target: str
    path: str
    shown: str
    lines: Mapping[str, int]
    supported: frozenset[str]
    precision: str | None = None

    def plain(self) -> str:
        """As JSON."""
        return json.dumps({**vars(self), "supported": sorted(self.supported)})

    @classmethod
    def of_plain(cls, plain: str) -> Self:
        """What ``plain`` made."""
        found = json.loads(plain)
        return cls(**{**found, "supported": frozenset(found["supported"])})

    def error(self, wrong: str, allowed: str, line: int) -> AdapterError:
        """What to raise about one of its lines."""
        return AdapterError(one_line(self.shown, line, wrong, allowed))

    def wrong_call(
        self, function: str, learner: str, shapes: Mapping[str, tuple[int, ...]], what: str, allowed: str,
        line: int | None = None,
    ) -> AdapterError:  # fmt: skip
        """What to raise about one call, for a learner and arguments of these shapes."""
        given = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
        return self.error(f"{function} {what} (learner {learner}, {given})", allowed, line or self.lines[function])


class Returned(NamedTuple):
    """What calls returned, as float64, with axes of steps and of the batch in front, and the coarsest unit of rounding
    errors among their dtypes.
    """

    B: Array
    w: Array
    eps: float


class Callee(Protocol):
    """An adapter that can be called, wherever it runs."""

    @property
    def declared(self) -> Declared:
        """What it says of itself."""
        ...

    def call(
        self, function: str, learner: str, arrays: Mapping[str, Array], alpha: Array, beta: Array, steps: int = 1,
        way: str = "",
    ) -> Returned:  # fmt: skip
        """Call one of its functions on every example of a batch in turn, and again on what that returned.

        Args:
            function: its name.
            learner: the learner's id.
            arrays: the function's arrays by name in its order, B and w first, each with an axis of steps and one of
                the batch in front. The former is of length ``steps``, or 1 where all take the same; of B and w it is 1.
            alpha: inner step sizes, over the batch axis.
            beta: outer step sizes, likewise.
            steps: to take.
            way: one of ``WAYS``.

        Returns:
            Fewer steps where numbers get so large that whoever asks will want to look, or where a later step than the
            first fails.

        Raises:
            AdapterError: a call raised, changed its inputs, returned anything but two arrays of floats of the right
                shapes, or did not return.
        """
        ...


@dataclass(frozen=True)
class Adapter:
    """An adapter in this process. ``caught``: which errors of its own are reported as an ``AdapterError``."""

    declared: Declared
    functions: Mapping[str, Callable[..., Any]]
    caught: tuple[type[BaseException], ...] = CAUGHT

    def call(
        self,
        function: str,
        learner: str,
        arrays: Mapping[str, Array],
        alpha: Array,
        beta: Array,
        steps: int = 1,
        way: str = "",
        told: Callable[[], None] | None = None,
    ) -> Returned:
        """As ``Callee`` says; ``told`` is called after every call."""
        B, w = arrays["B"][0], arrays["w"][0]
        found: list[tuple[Array, Array]] = []
        eps = 0.0
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            for step in range(steps):
                if step and not (np.abs(B).max() < FAR and np.abs(w).max() < FAR):
                    break
                given = {name: value[step if len(value) > 1 else 0] for name, value in arrays.items()}
                given |= {"B": B, "w": w}
                try:
                    B, w, unit = self._batch(function, learner, given, alpha, beta, way, told)
                except AdapterError:
                    if not step:
                        raise
                    break
                found.append((B, w))
                eps = max(eps, unit)
        return Returned(np.stack([B for B, _ in found]), np.stack([w for _, w in found]), eps)

    def _batch(
        self,
        function: str,
        learner: str,
        arrays: Mapping[str, Array],
        alpha: Array,
        beta: Array,
        way: str,
        told: Callable[[], None] | None,
    ) -> tuple[Array, Array, float]:
        """One step of every example."""
        next_B, next_w = np.empty(arrays["B"].shape), np.empty(arrays["w"].shape)
        eps, kept = 0.0, []
        for i, sizes in enumerate(zip(alpha.tolist(), beta.tolist(), strict=True)):
            B, w = self._called(function, learner, {name: value[i] for name, value in arrays.items()}, *sizes, way)
            next_B[i], next_w[i] = B, w
            eps = max(eps, _eps(B.dtype), _eps(w.dtype))
            if way == "kept":
                kept.append((B, w))
            if told is not None:
                told()
        for i, (B, w) in enumerate(kept):
            next_B[i], next_w[i] = B, w
        return next_B, next_w, eps

    def _called(
        self, function: str, learner: str, arrays: dict[str, Array], alpha: float, beta: float, way: str
    ) -> tuple[Array, Array]:
        """(B_next, w_next) of one call on fresh float64 copies, as the adapter returned them."""
        copies = {name: copied(value, way) for name, value in arrays.items()}

        def wrong(what: str, allowed: str, error: BaseException | None = None) -> AdapterError:
            line = error and line_in(self.declared.path, error)
            shapes = {name: value.shape for name, value in arrays.items()}
            return self.declared.wrong_call(function, learner, shapes, what, allowed, line)

        try:
            result = self.functions[function](LearnerId(learner), *copies.values(), alpha, beta)
        except self.caught as error:
            raise wrong(f"raised {raised(error)}", f"a {function} that raises nothing", error) from error
        for key, copy in copies.items():
            if copy.tobytes() != arrays[key].tobytes():
                raise wrong(f"changes its input {key} in place", "new arrays; the inputs stay as they are")
        pair = "a pair (B_next, w_next) of float arrays shaped like B and w"
        if not isinstance(result, tuple | list) or len(result) != 2:
            length = f" of length {len(result)}" if isinstance(result, tuple | list) else ""
            raise wrong(f"returned a {type(result).__name__}{length}", pair)
        parts = []
        for key, part in zip(("B", "w"), result, strict=True):
            try:
                value = np.asarray(part)
            except self.caught as error:
                raise wrong(f"returned a {key}_next that is no array: {raised(error)}", pair) from error
            if value.shape != arrays[key].shape:
                raise wrong(f"returned {key}_next of shape {value.shape}", f"the shape of {key}, {arrays[key].shape}")
            if value.dtype.kind != "f" or value.dtype.itemsize < 4:
                raise wrong(f"returned {key}_next of dtype {value.dtype}", "float32 or float64")
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
def _eps(dtype: "np.dtype[Any]") -> float:
    return float(np.finfo(dtype).eps)


# --- loading


def load_adapter(target: str, caught: tuple[type[BaseException], ...] = CAUGHT) -> Adapter:
    """Load an adapter into this process.

    Args:
        target: path of an existing ``.py`` file, else the dotted name of a module. The working folder is importable,
            for the adapter's own imports too.
        caught: which errors of its own are reported as an ``AdapterError``.

    Raises:
        AdapterError: there is none, it cannot be imported, or what it declares is not allowed.
    """
    code = load_user_code(target, AdapterError, caught)
    functions = {name: found for name in FUNCTIONS if (found := _function(code, name)) is not None}
    if "step" not in functions:
        raise code.error("has no step", "a function step(learner, B, w, targets, alpha, beta) -> (B_next, w_next)")
    precision = getattr(code.module, "precision", None)
    if precision is not None and not (isinstance(precision, str) and precision in PRECISIONS):
        allowed = " or ".join(map(repr, PRECISIONS))
        raise code.error(f"precision is {precision!r}", allowed, code.line_of("precision"))
    lines = {name: code.line_of(name) for name in functions}
    declared = Declared(target, code.path, code.shown, lines, _supported(code), precision)
    return Adapter(declared, functions, caught)


def adapter_of(step: Callable[..., Any]) -> Adapter:
    """A step function that is there already, of all learners, as an adapter in this process."""
    name = getattr(step, "__name__", type(step).__name__)
    code = getattr(step, "__code__", None)
    path = code.co_filename if code is not None else name
    line = code.co_firstlineno if code is not None else 1
    return Adapter(Declared(name, path, shown_path(path), {"step": line}, frozenset(LEARNERS)), {"step": step})


def _function(code: UserCode, name: str) -> Callable[..., Any] | None:
    function = getattr(code.module, name, None)
    if function is not None and not callable(function):
        raise code.error(f"{name} is of type {type(function).__name__}", "a function", code.line_of(name))
    return function


def _supported(code: UserCode) -> frozenset[str]:
    declared = getattr(code.module, "supported", LEARNERS)
    allowed = f"a set of at least one of {', '.join(LEARNERS)}"
    line = code.line_of("supported")
    if isinstance(declared, str) or not isinstance(declared, Iterable):
        raise code.error(f"supported is {declared!r}", allowed, line)
    ids = [item if isinstance(item, str) else repr(item) for item in declared]
    unknown = sorted(set(ids) - set(LEARNERS))
    if unknown or not ids:
        raise code.error(f"supported holds {', '.join(unknown) or 'no learner'}", allowed, line)
    return frozenset(str(item) for item in ids)
