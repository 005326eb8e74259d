"""Somebody else's update maps, loaded from an adapter and called with care.

An adapter is a Python module that gives the step of a library in one or more of three forms. ``learner`` is an id
("maml", "anil", "fo-maml", "fo-anil", "average-loss") with attributes ``adapts``, ``first_order`` and ``inner_steps``;
B is (d, k), w (k,); alpha and beta are the inner and outer step sizes; arrays are float64 and stay as they are.

**On samples**, ``step_on_samples(learner, B, w, X_in, y_in, X_out, y_out, alpha, beta) -> (B_next, w_next)``: one outer
step on n tasks' features X (n, m, d) and labels y (n, m), inner (which adapt) and outer (which evaluate). A task's loss
is ‖XBw − y‖²/(2m), the outer loss the mean over tasks.

**Of the population**, ``step(learner, B, w, targets, alpha, beta) -> (B_next, w_next)``: targets θ_i as columns (d, n),
a task's loss ½‖Bw − θ_i‖². Where it is not given, it is the step on whitened samples, XᵀX/m = I and y = Xθ_i, whose
loss is that of the population.

**As a training loop**, which keeps a state of its own between steps: ``init(learner, B, w, alpha, beta) -> state``,
``update(state, batch) -> state`` with batch = (X_in, y_in, X_out, y_out), and ``parameters(state) -> (B, w)``. It
conforms if every update is the gradient step from where the last one arrived.

What it may declare, by names at the top level: ``supported``, the ids of the learners that it has (all five unless
given); ``precision``, "float32" or "float64" (the dtype of what it returns unless given); and the library's own
conventions, which the suite converts to (the first is the default): ``loss_scale`` = 0.5, 1 or 2, the factor of the
squared error; ``sample_reduction`` = "mean" or "sum" of the squared errors of a task's samples; ``task_reduction`` =
"mean" or "sum" of the tasks' losses; ``layout`` = "dk" or "kd", B given and returned as (k, d) like the weight of
``nn.Linear``; ``least_n``, tasks that it needs (fewer are given several times); ``inner_steps`` = 1, 2 or 3.

Collins et al. 2022, Section 2.
"""

import inspect
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np

from metarep.sim.foreign.calling import Calls, eps_of
from metarep.sim.foreign.conventions import declared_conventions
from metarep.sim.foreign.declared import LOOP, PRECISIONS, AdapterError, Declared, LearnerId
from metarep.sim.learners import LEARNERS
from metarep.sim.user_code import CAUGHT, UserCode, load_user_code, shown_path

Array = np.ndarray
FAR = 1e12
"""Beyond this size of a number steps are not taken several at a time: the run has diverged, or is about to."""
WAYS = ("", "fortran", "strided", "kept")
"""How a call is made: as always, with inputs in Fortran's order or with gaps in memory, or with what is returned left
alone until the last call of the batch has returned.
"""
FUNCTIONS = ("step", "step_on_samples", *LOOP)
"""What an adapter may have to be called."""
FORMS = "step, step_on_samples, or init, update and parameters"


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
            function: its name; "update" for a training loop, begun at every example.
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
        states: list[Any] = []
        eps = 0.0
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            for step in range(steps):
                if step and not (np.abs(B).max() < FAR and np.abs(w).max() < FAR):
                    break
                given = {name: value[step if len(value) > 1 else 0] for name, value in arrays.items()}
                given |= {"B": B, "w": w}
                try:
                    B, w, unit = self._batch(function, learner, given, alpha, beta, states, way, told)
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
        states: list[Any],
        way: str,
        told: Callable[[], None] | None,
    ) -> tuple[Array, Array, float]:
        """One step of every example. ``states``: of their training loops, which are begun if there are none."""
        next_B, next_w = np.empty(arrays["B"].shape), np.empty(arrays["w"].shape)
        eps, kept = 0.0, []
        known = LearnerId(learner, self.declared.conventions.inner_steps)
        for i, sizes in enumerate(zip(alpha.tolist(), beta.tolist(), strict=True)):
            one = {name: value[i] for name, value in arrays.items()}
            calls = Calls(self.declared, self.functions, self.caught, known, one, way)
            if function != LOOP[1]:
                B, w = calls.step(function, *sizes)
            else:
                if len(states) == i:
                    states.append(calls.begun(*sizes))
                states[i], (B, w) = calls.updated(states[i])
            next_B[i], next_w[i] = B, w
            eps = max(eps, eps_of(B.dtype), eps_of(w.dtype))
            if way == "kept":
                kept.append((B, w))
            if told is not None:
                told()
        for i, (B, w) in enumerate(kept):
            next_B[i], next_w[i] = B, w
        return next_B, next_w, eps


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
    loop = [name for name in LOOP if name in functions]
    if loop and len(loop) < len(LOOP):
        missing = next(name for name in LOOP if name not in loop)
        raise code.error(f"has {' and '.join(loop)} but no {missing}", FORMS, code.line_of(loop[0]))
    if not functions:
        raise code.error("has no step", f"{FORMS}: step(learner, B, w, targets, alpha, beta) -> (B_next, w_next)")
    precision = getattr(code.module, "precision", None)
    if precision is not None and not (isinstance(precision, str) and precision in PRECISIONS):
        allowed = " or ".join(map(repr, PRECISIONS))
        raise code.error(f"precision is {precision!r}", allowed, code.line_of("precision"))
    lines = {name: code.line_of(name) for name in functions}
    conventions = declared_conventions(
        vars(code.module), lambda name, what, allowed: code.error(what, allowed, code.line_of(name))
    )
    declared = Declared(target, code.path, code.shown, lines, _supported(code), precision, conventions)
    return Adapter(declared, functions, caught)


def adapter_of(step: Callable[..., Any]) -> Adapter:
    """A step function that is there already, of all learners, as an adapter in this process."""
    name = getattr(step, "__name__", type(step).__name__)
    code = getattr(step, "__code__", None)
    path = code.co_filename if code is not None else name
    line = code.co_firstlineno if code is not None else 1
    return Adapter(Declared(name, path, shown_path(path), {"step": line}, frozenset(LEARNERS)), {"step": step})


_NO_FUNCTIONS: dict[str, Callable[[Any], bool]] = {
    "a coroutine (async def)": inspect.iscoroutinefunction,
    "a generator (it has a yield)": lambda function: (
        inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function)
    ),
}


def _function(code: UserCode, name: str) -> Callable[..., Any] | None:
    function = getattr(code.module, name, None)
    if function is not None and not callable(function):
        raise code.error(f"{name} is of type {type(function).__name__}", "a function", code.line_of(name))
    for kind, is_one in _NO_FUNCTIONS.items():
        if is_one(function):
            raise code.error(f"{name} is {kind}, which returns nothing by itself", "a function", code.line_of(name))
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
