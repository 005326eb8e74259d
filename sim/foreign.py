"""Somebody else's update maps, loaded from an adapter and wrapped so that the claims can be run against them.

An adapter is a module with one function, ``step(learner, B, w, targets, alpha, beta) -> (B_next, w_next)``, for one
instance: B (d, k), w (k,), targets θ_i as columns (d, n), numbers α and β; task i's loss is ½‖Bw − θ_i‖² and the
outer loss the mean over tasks (Collins et al. 2022, Section 2). Optional: ``supported``, the ids of the learners it has
(all five unless given); ``precision``, "float32" or "float64" (the dtype of what it returns unless given);
``step_on_samples(learner, B, w, X_in, y_in, X_out, y_out, alpha, beta)`` with X (n, m, d), y (n, m) and task loss
‖XBw − y‖²/(2m).
"""

import ast
import importlib
import importlib.util
import os
import sys
import traceback
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from metarep.sim import updates
from metarep.sim.implementations import Implementation
from metarep.sim.learners import LEARNERS, Learner

Array = np.ndarray
PRECISIONS = {"float32": 2.0**-23, "float64": 2.0**-52}
"""What an adapter may compute in, with the unit of its rounding errors. Half precision overflows on moderate inputs."""


class AdapterError(ValueError):
    """The adapter cannot be used; the message is one line that names its file and line, and what is allowed."""


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
class Adapter:
    """A loaded adapter: where it is, and what it declares. ``precision`` is None where it declares none."""

    target: str
    path: str
    step: Callable[..., Any]
    supported: frozenset[str]
    precision: str | None = None
    step_on_samples: Callable[..., Any] | None = None

    @property
    def shown(self) -> str:
        """Its file, relative to the working folder where it is below it."""
        return _shown(self.path)


# --- lines of the adapter ---------------------------------------------------------------------------------------------


def _shown(path: str) -> str:
    try:
        relative = os.path.relpath(path)
    except ValueError:  # another drive
        return path
    return path if relative.startswith("..") else relative


def _error(path: str, line: int, wrong: str, allowed: str) -> AdapterError:
    return AdapterError(" ".join(f"{_shown(path)}:{line}: {wrong}; allowed: {allowed}".split()))


def _line_of(path: str, name: str) -> int:
    """The line on which a module binds ``name`` at top level; 1 if it does not, or has no source."""
    try:
        tree = ast.parse(Path(path).read_bytes())
    except (OSError, ValueError, SyntaxError):
        return 1
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and node.name == name:
            return node.lineno
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        names = {part.id for target in targets if target for part in ast.walk(target) if isinstance(part, ast.Name)}
        imported = {alias.asname or alias.name for alias in getattr(node, "names", ()) if isinstance(alias, ast.alias)}
        if name in names | imported:
            return node.lineno
    return 1


def _line_in(path: str, error: BaseException, otherwise: int) -> int:
    """The line of the adapter that the error came through last; ``otherwise`` if it came through none."""
    if isinstance(error, SyntaxError) and error.filename and _same_file(error.filename, path):
        return error.lineno or 1
    here = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if _same_file(frame.filename, path)]
    return here[-1] or otherwise if here else otherwise


def _same_file(first: str, second: str) -> bool:
    return first == second or os.path.realpath(first) == os.path.realpath(second)


def _raised(error: BaseException) -> str:
    message = " ".join(str(error).split())
    return f"{type(error).__name__}{': ' + message if message else ''}"


# --- loading ----------------------------------------------------------------------------------------------------------


def load_adapter(target: str) -> Adapter:
    """Load an adapter.

    Args:
        target: path of an existing ``.py`` file, else the dotted name of a module. The working folder is importable,
            for the adapter's own imports too.

    Raises:
        AdapterError: there is none, it cannot be imported, or what it declares is not allowed.
    """
    folder = os.getcwd()
    if folder not in sys.path:
        sys.path.insert(0, folder)
    path, module = _from_file(target) if _is_file(target) else _from_name(target)
    step = _function(module, path, "step")
    if step is None:
        raise _error(path, 1, "has no step", "a function step(learner, B, w, targets, alpha, beta) -> (B_next, w_next)")
    precision = getattr(module, "precision", None)
    if precision is not None and precision not in PRECISIONS:
        line = _line_of(path, "precision")
        raise _error(path, line, f"precision is {precision!r}", " or ".join(map(repr, PRECISIONS)))
    on_samples = _function(module, path, "step_on_samples")
    return Adapter(target, path, step, _supported(module, path), precision, on_samples)


def _is_file(target: str) -> bool:
    return target.endswith(".py") and os.path.isfile(target)


def _function(module: ModuleType, path: str, name: str) -> Callable[..., Any] | None:
    function = getattr(module, name, None)
    if function is not None and not callable(function):
        raise _error(path, _line_of(path, name), f"{name} is of type {type(function).__name__}", "a function")
    return function


def _supported(module: ModuleType, path: str) -> frozenset[str]:
    declared = getattr(module, "supported", LEARNERS)
    allowed = f"a set of at least one of {', '.join(LEARNERS)}"
    line = _line_of(path, "supported")
    if isinstance(declared, str) or not isinstance(declared, Iterable):
        raise _error(path, line, f"supported is {declared!r}", allowed)
    ids = [item if isinstance(item, str) else repr(item) for item in declared]
    unknown = sorted(set(ids) - set(LEARNERS))
    if unknown or not ids:
        raise _error(path, line, f"supported holds {', '.join(unknown) or 'no learner'}", allowed)
    return frozenset(str(item) for item in ids)


def _from_file(target: str) -> tuple[str, ModuleType]:
    path = os.path.abspath(target)
    # A name of its own: the file may be called like a module that is needed, or like another adapter's.
    name = f"_metarep_adapter_{abs(hash(path)):x}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise _error(path, 1, "cannot be imported", "a Python source file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # where dataclasses and pickles of the adapter look for it
    loader = spec.loader
    _importing(path, lambda: loader.exec_module(module))
    return path, module


def _from_name(target: str) -> tuple[str, ModuleType]:
    allowed = "an existing .py file, or the dotted name of a module that can be imported from the working folder"
    if not all(part.isidentifier() for part in target.split(".")):
        raise AdapterError(f"no file {target!r}, and it is no module's name; allowed: {allowed}")
    spec = None
    try:
        spec = importlib.util.find_spec(target)
    except ModuleNotFoundError as error:  # a parent is missing, or needs something that is
        if not error.name or not (target + ".").startswith(error.name + "."):
            raise AdapterError(
                f"{target}: its package cannot be imported: {_raised(error)}; allowed: {allowed}"
            ) from error
    except (Exception, SystemExit) as error:
        raise AdapterError(f"{target}: its package cannot be imported: {_raised(error)}; allowed: {allowed}") from error
    if spec is None:
        raise AdapterError(f"no file and no module {target!r}; allowed: {allowed}")
    path = spec.origin or target
    return path, _importing(path, lambda: importlib.import_module(target))


def _importing(path: str, load: Callable[[], Any]) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return load()
    except (Exception, SystemExit) as error:
        line = _line_in(path, error, 1)
        raise _error(
            path, line, f"cannot be imported: {_raised(error)}", "a module that imports without error"
        ) from error


# --- calling ----------------------------------------------------------------------------------------------------------


def _called(
    adapter: Adapter, function: Callable[..., Any], learner: str, arrays: dict[str, Array], alpha: Any, beta: Any
) -> tuple[Array, Array]:
    """(B_next, w_next) of one call on fresh float64 C-contiguous copies, as the adapter returned them.

    Raises:
        AdapterError: it raised, changed its inputs, or returned anything but two arrays of floats of the right shapes.
    """
    copies = {name: np.array(value, dtype=np.float64, order="C") for name, value in arrays.items()}
    before = [copy.tobytes() for copy in copies.values()]
    name = getattr(function, "__name__", "step")
    default_line = getattr(getattr(function, "__code__", None), "co_firstlineno", None) or _line_of(adapter.path, name)

    def wrong(what: str, allowed: str, error: BaseException | None = None) -> AdapterError:
        line = default_line if error is None else _line_in(adapter.path, error, default_line)
        given = ", ".join(f"{name} {value.shape}" for name, value in arrays.items())
        return _error(adapter.path, line, f"{name} {what} (learner {learner}, {given})", allowed)

    pair = "a pair (B_next, w_next) of float arrays shaped like B and w"
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            result = function(LearnerId(learner), *copies.values(), float(alpha), float(beta))
    except (Exception, SystemExit) as error:
        raise wrong(f"raised {_raised(error)}", "a step that raises nothing", error) from error
    for (key, copy), old in zip(copies.items(), before, strict=True):
        if copy.tobytes() != old:
            raise wrong(f"changes its input {key} in place", "new arrays; the inputs stay as they are")
    if not isinstance(result, tuple | list) or len(result) != 2:
        length = f" of length {len(result)}" if isinstance(result, tuple | list) else ""
        raise wrong(f"returned a {type(result).__name__}{length}", pair)
    parts = []
    for key, part in zip(("B", "w"), result, strict=True):
        try:
            value = np.asarray(part)
        except Exception as error:
            raise wrong(f"returned a {key}_next that is no array: {_raised(error)}", pair) from error
        if value.shape != arrays[key].shape:
            raise wrong(f"returned {key}_next of shape {value.shape}", f"the shape of {key}, {arrays[key].shape}")
        if value.dtype.kind != "f" or value.dtype.itemsize < 4:
            raise wrong(f"returned {key}_next of dtype {value.dtype}", "float32 or float64")
        parts.append(value)
    return parts[0], parts[1]


def _probe(adapter: Adapter) -> float:
    """Call the adapter once for each learner on small inputs; the unit of its rounding errors.

    Raises:
        AdapterError: it cannot be used.
    """
    rng = np.random.default_rng(0)
    d, k, n, m = 4, 2, 3, 5
    B, w, targets = (rng.uniform(-0.5, 0.5, shape) for shape in ((d, k), (k,), (d, n)))
    X_in, X_out = rng.standard_normal((2, n, m, d))
    samples = {"X_in": X_in, "y_in": rng.standard_normal((n, m)), "X_out": X_out, "y_out": rng.standard_normal((n, m))}
    calls: list[tuple[Callable[..., Any], dict[str, Array]]] = [(adapter.step, {"B": B, "w": w, "targets": targets})]
    if adapter.step_on_samples is not None:
        calls.append((adapter.step_on_samples, {"B": B, "w": w, **samples}))
    units = []
    for function, arrays in calls:
        for learner in sorted(adapter.supported):
            parts = _called(adapter, function, learner, arrays, 0.125, 0.25)
            for key, part in zip(("B", "w"), parts, strict=True):
                if not np.isfinite(part).all():
                    name = getattr(function, "__name__", "step")
                    what = f"{name} returned NaN or infinity in {key}_next (learner {learner}, inputs below 3 in size)"
                    raise _error(adapter.path, _line_of(adapter.path, name), what, "finite numbers")
                units.append(float(np.finfo(part.dtype).eps))
    if adapter.precision is not None:
        return PRECISIONS[adapter.precision]
    return max(*units, PRECISIONS["float64"])


def foreign_implementation(adapter: Adapter) -> Implementation:
    """The adapter as something that claims can be checked against: its step on every instance of a batch in turn.

    Learners that it does not support are those of the reference, so that a claim about several is about those it has.
    An instance of a batch whose B and w are zero is a fixed point of every learner (and how runs freeze what has
    diverged): it is not passed on.

    Raises:
        AdapterError: a call on small inputs fails, or returns NaN; later calls of its step raise it too, but NaN and
            infinities are then results like others.
    """
    eps = _probe(adapter)

    def step(learner: Learner, B: Array, w: Array, targets: Array, alpha: Any, beta: Any) -> tuple[Array, Array]:
        if learner.name not in adapter.supported:
            return updates.step(learner, B, w, targets, alpha, beta)
        batch = np.broadcast_shapes(B.shape[:-2], w.shape[:-1], targets.shape[:-2], np.shape(alpha), np.shape(beta))
        each_B = np.broadcast_to(B, batch + B.shape[-2:]).reshape(-1, *B.shape[-2:])
        each_w = np.broadcast_to(w, batch + w.shape[-1:]).reshape(-1, w.shape[-1])
        each_targets = np.broadcast_to(targets, batch + targets.shape[-2:]).reshape(-1, *targets.shape[-2:])
        each_alpha, each_beta = (np.broadcast_to(size, batch).ravel() for size in (alpha, beta))
        next_B, next_w = np.zeros(each_B.shape), np.zeros(each_w.shape)
        for i in range(len(each_B)):
            if batch and not each_B[i].any() and not each_w[i].any():
                continue
            arrays = {"B": each_B[i], "w": each_w[i], "targets": each_targets[i]}
            next_B[i], next_w[i] = _called(adapter, adapter.step, learner.name, arrays, each_alpha[i], each_beta[i])
        return next_B.reshape(batch + B.shape[-2:]), next_w.reshape(batch + w.shape[-1:])

    on_samples = adapter.step_on_samples

    def step_on_samples(
        learner: Learner,
        B: Array,
        w: Array,
        X_in: Array,
        y_in: Array,
        X_out: Array,
        y_out: Array,
        alpha: Any,
        beta: Any,
    ) -> tuple[Array, Array]:
        """One instance: claims about samples have no batch axes."""
        arrays = {"B": B, "w": w, "X_in": X_in, "y_in": y_in, "X_out": X_out, "y_out": y_out}
        next_B, next_w = _called(adapter, on_samples or adapter.step, learner.name, arrays, alpha, beta)
        return next_B.astype(float), next_w.astype(float)

    return Implementation(
        adapter.shown,
        step=step,
        step_on_samples=None if on_samples is None else step_on_samples,
        eps=eps,
        exact=False,
        supported=adapter.supported,
    )
