"""Somebody else's update maps, loaded from an adapter and wrapped so that the claims can be run against them.

An adapter is a module with one function, ``step(learner, B, w, targets, alpha, beta) -> (B_next, w_next)``, for one
example: B (d, k), w (k,), targets θ_i as columns (d, n), numbers α and β; task i's loss is ½‖Bw − θ_i‖² and the outer
loss the mean over tasks (Collins et al. 2022, Section 2). Optional: ``supported``, the ids of the learners it has (all
five unless given); ``precision``, "float32" or "float64" (the dtype of what it returns unless given);
``step_on_samples(learner, B, w, X_in, y_in, X_out, y_out, alpha, beta)`` with X (n, m, d), y (n, m) and task loss
‖XBw − y‖²/(2m).
"""

import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from metarep.sim import updates
from metarep.sim.batches import flattened_step
from metarep.sim.implementations import Implementation
from metarep.sim.learners import LEARNERS, Learner
from metarep.sim.user_code import UserCode, UserCodeError, line_in, load_user_code, raised

Array = np.ndarray
PRECISIONS = {"float32": 2.0**-23, "float64": 2.0**-52}
"""What an adapter may compute in, with the unit of its rounding errors. Half precision overflows on moderate inputs."""


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
class Adapter:
    """A loaded adapter: its module, and what that declares. ``precision`` is None where it declares none."""

    code: UserCode
    step: Callable[..., Any]
    supported: frozenset[str]
    precision: str | None = None
    step_on_samples: Callable[..., Any] | None = None


# --- loading


def load_adapter(target: str) -> Adapter:
    """Load an adapter.

    Args:
        target: path of an existing ``.py`` file, else the dotted name of a module. The working folder is importable,
            for the adapter's own imports too.

    Raises:
        AdapterError: there is none, it cannot be imported, or what it declares is not allowed.
    """
    code = load_user_code(target, AdapterError)
    step = _function(code, "step")
    if step is None:
        raise code.error("has no step", "a function step(learner, B, w, targets, alpha, beta) -> (B_next, w_next)")
    precision = getattr(code.module, "precision", None)
    if precision is not None and precision not in PRECISIONS:
        allowed = " or ".join(map(repr, PRECISIONS))
        raise code.error(f"precision is {precision!r}", allowed, code.line_of("precision"))
    return Adapter(code, step, _supported(code), precision, _function(code, "step_on_samples"))


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


# --- calling


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
    default_line = getattr(getattr(function, "__code__", None), "co_firstlineno", None) or adapter.code.line_of(name)

    def wrong(what: str, allowed: str, error: BaseException | None = None) -> UserCodeError:
        line = error and line_in(adapter.code.path, error)
        given = ", ".join(f"{name} {value.shape}" for name, value in arrays.items())
        return adapter.code.error(f"{name} {what} (learner {learner}, {given})", allowed, line or default_line)

    pair = "a pair (B_next, w_next) of float arrays shaped like B and w"
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            result = function(LearnerId(learner), *copies.values(), float(alpha), float(beta))
    except (Exception, SystemExit) as error:
        raise wrong(f"raised {raised(error)}", "a step that raises nothing", error) from error
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
            raise wrong(f"returned a {key}_next that is no array: {raised(error)}", pair) from error
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
                    raise adapter.code.error(what, "finite numbers", adapter.code.line_of(name))
                units.append(float(np.finfo(part.dtype).eps))
    if adapter.precision is not None:
        return PRECISIONS[adapter.precision]
    return max(*units, PRECISIONS["float64"])


def foreign_implementation(adapter: Adapter) -> Implementation:
    """The adapter as something that claims can be checked against: its step on every example of a batch in turn.

    Learners that it does not support are those of the reference, so that a claim about several is about those it has.
    An example of a batch whose B and w are zero is a fixed point of every learner (and how runs freeze what has
    diverged): it is not passed on.

    Raises:
        AdapterError: a call on small inputs fails, or returns NaN; later calls of its step raise it too, but NaN and
            infinities are then results like others.
    """
    eps = _probe(adapter)

    def step(learner: Learner, B: Array, w: Array, targets: Array, alpha: Any, beta: Any) -> tuple[Array, Array]:
        if learner.name not in adapter.supported:
            return updates.step(learner, B, w, targets, alpha, beta)
        batch, (each_B, each_w, each_targets, each_alpha, each_beta) = flattened_step(B, w, targets, alpha, beta)
        next_B, next_w = np.zeros(each_B.shape), np.zeros(each_w.shape)
        for i in range(len(each_B)):
            if batch and not each_B[i].any() and not each_w[i].any():
                continue
            arrays = {"B": each_B[i], "w": each_w[i], "targets": each_targets[i]}
            next_B[i], next_w[i] = _called(adapter, adapter.step, learner.name, arrays, each_alpha[i], each_beta[i])
        return next_B.reshape(batch + B.shape[-2:]), next_w.reshape(batch + w.shape[-1:])

    on_samples = adapter.step_on_samples

    def step_on_samples(learner: Learner, B: Array, w: Array, *given: Any) -> tuple[Array, Array]:
        """One example: claims about samples have no batch axes. ``given``: X_in, y_in, X_out, y_out, α, β."""
        *data, alpha, beta = given
        arrays = {"B": B, "w": w, **dict(zip(("X_in", "y_in", "X_out", "y_out"), data, strict=True))}
        next_B, next_w = _called(adapter, on_samples or adapter.step, learner.name, arrays, alpha, beta)
        return next_B.astype(float), next_w.astype(float)

    return Implementation(
        adapter.code.shown,
        step=step,
        step_on_samples=None if on_samples is None else step_on_samples,
        eps=eps,
        exact=False,
        supported=adapter.supported,
    )
