"""An adapter as something that claims can be checked against."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from metarep.sim import updates
from metarep.sim.batches import flattened, flattened_step
from metarep.sim.foreign.adapter import LOOP, PRECISIONS, AdapterError, Array, Callee
from metarep.sim.foreign.conventions import ALLOWED, InTheory
from metarep.sim.implementations import Implementation
from metarep.sim.learners import Learner
from metarep.sim.sampling.whitened import whitened_samples

SAMPLES = ("X_in", "y_in", "X_out", "y_out")
LABELS = ("y_in", "y_out")
"""Those that differ from step to step if the samples are whitened ones."""


def _call(
    callee: Callee, function: str, learner: str, arrays: dict[str, Array], alpha: Any, beta: Any
) -> tuple[Array, Array, float]:
    """One call, without batch axes."""
    batch = {name: np.array(value, dtype=np.float64, order="C")[None, None] for name, value in arrays.items()}
    found = callee.call(function, learner, batch, np.array([float(alpha)]), np.array([float(beta)]))
    return found.B[0, 0], found.w[0, 0], found.eps


def _probe(callee: Callee) -> float:
    """Call the adapter once for each form and learner on small inputs; the unit of its rounding errors.

    Raises:
        AdapterError: it cannot be used.
    """
    rng = np.random.default_rng(0)
    d, k, n, m = 4, 2, 3, 5
    B, w, targets = (rng.uniform(-0.5, 0.5, shape) for shape in ((d, k), (k,), (d, n)))
    X_in, X_out = rng.standard_normal((2, n, m, d))
    samples = {"X_in": X_in, "y_in": rng.standard_normal((n, m)), "X_out": X_out, "y_out": rng.standard_normal((n, m))}
    declared, units = callee.declared, [PRECISIONS["float64"]]
    for function in declared.forms:
        arrays = {"B": B, "w": w, **({"targets": targets} if function == "step" else samples)}
        for learner in sorted(declared.supported):
            *parts, eps = _first_call(callee, function, learner, arrays, 0.125, 0.25)
            units.append(eps)
            for key, part in zip(("B", "w"), parts, strict=True):
                if not np.isfinite(part).all():
                    what = f"{function} returned NaN or infinity in {key}_next"
                    where = f"(learner {learner}, inputs below 3 in size)"
                    raise declared.error(f"{what} {where}", "finite numbers", declared.lines[function])
    return max(units) if declared.precision is None else PRECISIONS[declared.precision]


def _first_call(callee: Callee, function: str, learner: str, *given: Any) -> tuple[Array, Array, float]:
    """``_call``, which says so if it is in the other layout that the adapter can be called."""
    try:
        return _call(callee, function, learner, *given)
    except AdapterError as error:
        own = callee.declared.conventions
        other = next(layout for layout in ALLOWED["layout"] if layout != own.layout)
        try:
            raw = callee.callee if isinstance(callee, InTheory) else callee
            _call(InTheory(raw, replace(own, layout=other)), function, learner, *given)
        except AdapterError:
            raise error from error.__cause__
        raise AdapterError(f'{error}; or layout = "{other}", with which it can be called') from error.__cause__


def _several(callee: Callee, function: str) -> Callable[..., tuple[Array, Array]]:
    """Steps by one of the adapter's functions, each from where the last arrived, on any batch; one that takes samples
    gets whitened ones.
    """
    supported = callee.declared.supported

    def several(
        learner: Learner, B: Array, w: Array, targets: Array, alpha: Any, beta: Any, way: str = ""
    ) -> tuple[Array, Array]:
        if learner.name not in supported:
            next_B, next_w = updates.step(learner, B, w, targets[0], alpha, beta)
            return next_B[None], next_w[None]
        batch, (each_B, each_w, each_targets, *sizes) = flattened_step(B, w, targets[0], alpha, beta)
        shapes = each_B.shape, each_w.shape
        moving = np.logical_or(each_B.any((1, 2)), each_w.any(1)) if batch else np.ones(1, dtype=bool)
        if not moving.any():
            return np.zeros((1, *batch, *B.shape[-2:])), np.zeros((1, *batch, *w.shape[-1:]))
        later = () if targets.strides[0] == 0 else targets[1:]  # what does not change is sent once
        all_targets = [each_targets, *(flattened(batch, (each, 2))[0] for each in later)]
        arrays = {"B": [each_B], "w": [each_w], "targets": all_targets}
        given = {name: np.array([part[moving] for part in parts], dtype=float) for name, parts in arrays.items()}
        if function != "step":
            samples = whitened_samples(given.pop("targets"))
            given |= {name: part if name in LABELS else part[:1] for name, part in samples.items()}
        alphas, betas = (np.array(size[moving], dtype=float) for size in sizes)
        *found, _ = callee.call(function, learner.name, given, alphas, betas, len(targets), way)
        whole = [np.zeros((len(part), *shape)) for part, shape in zip(found, shapes, strict=True)]
        for part, moved in zip(whole, found, strict=True):
            part[:, moving] = moved
        next_B, next_w = (part.reshape(len(part), *batch, *part.shape[2:]) for part in whole)
        return next_B, next_w

    return several


def foreign_implementation(callee: Callee) -> Implementation:
    """The adapter as something that claims can be checked against: its step on every example of a batch in turn, in the
    theory's conventions.

    Learners that it does not support are those of the reference, so that a claim about several is about those it has.
    An example of a batch whose B and w are zero is a fixed point of every learner (and how runs freeze what has
    diverged): it is not passed on.

    Raises:
        AdapterError: a call on small inputs fails, or returns NaN; later calls of its step raise it too, but NaN and
            infinities are then results like others.
    """
    declared = callee.declared
    callee = InTheory(callee, declared.conventions)
    eps = _probe(callee)
    on_samples = next((function for function in declared.forms if function != "step"), None)
    several = _several(callee, declared.forms[0])

    def step(learner: Learner, B: Array, w: Array, targets: Array, alpha: Any, beta: Any) -> tuple[Array, Array]:
        next_B, next_w = several(learner, B, w, targets[None], alpha, beta)
        return next_B[0], next_w[0]

    def called(
        way: str, learner: Learner, B: Array, w: Array, targets: Array, alpha: Any, beta: Any
    ) -> tuple[Array, Array]:
        """A step, called in one of ``WAYS``."""
        next_B, next_w = several(learner, B, w, targets[None], alpha, beta, way)
        return next_B[0], next_w[0]

    def step_on_samples(learner: Learner, B: Array, w: Array, *given: Any) -> tuple[Array, Array]:
        """One example: claims about samples have no batch axes. ``given``: X_in, y_in, X_out, y_out, α, β."""
        assert on_samples is not None
        *data, alpha, beta = given
        arrays = {"B": B, "w": w, **dict(zip(SAMPLES, data, strict=True))}
        return _call(callee, on_samples, learner.name, arrays, alpha, beta)[:2]

    return Implementation(
        declared.shown,
        step=step,
        several=several,
        called=called,
        loop=_several(callee, LOOP[1]) if LOOP[1] in declared.forms else None,
        step_on_samples=step_on_samples if on_samples else None,
        eps=eps,
        exact=False,
        supported=declared.supported,
        conventions=declared.conventions,
    )
