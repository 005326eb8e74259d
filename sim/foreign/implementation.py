"""An adapter as something that claims can be checked against."""

from typing import Any

import numpy as np

from metarep.sim import updates
from metarep.sim.batches import flattened_step
from metarep.sim.foreign.adapter import PRECISIONS, Array, Callee
from metarep.sim.implementations import Implementation
from metarep.sim.learners import Learner


def _call(
    callee: Callee, function: str, learner: str, arrays: dict[str, Array], alpha: Any, beta: Any
) -> tuple[Array, Array, float]:
    """One call, without batch axes."""
    batch = {name: np.array(value, dtype=np.float64, order="C")[None] for name, value in arrays.items()}
    sizes = (np.array([float(size)]) for size in (alpha, beta))
    found = callee.call(function, learner, batch, *sizes)
    return found.B[0], found.w[0], found.eps


def _probe(callee: Callee) -> float:
    """Call the adapter once for each learner on small inputs; the unit of its rounding errors.

    Raises:
        AdapterError: it cannot be used.
    """
    rng = np.random.default_rng(0)
    d, k, n, m = 4, 2, 3, 5
    B, w, targets = (rng.uniform(-0.5, 0.5, shape) for shape in ((d, k), (k,), (d, n)))
    X_in, X_out = rng.standard_normal((2, n, m, d))
    samples = {"X_in": X_in, "y_in": rng.standard_normal((n, m)), "X_out": X_out, "y_out": rng.standard_normal((n, m))}
    given = {"step": {"targets": targets}, "step_on_samples": samples}
    declared, units = callee.declared, [PRECISIONS["float64"]]
    for function in declared.lines:
        for learner in sorted(declared.supported):
            *parts, eps = _call(callee, function, learner, {"B": B, "w": w, **given[function]}, 0.125, 0.25)
            units.append(eps)
            for key, part in zip(("B", "w"), parts, strict=True):
                if not np.isfinite(part).all():
                    what = f"{function} returned NaN or infinity in {key}_next"
                    where = f"(learner {learner}, inputs below 3 in size)"
                    raise declared.error(f"{what} {where}", "finite numbers", declared.lines[function])
    return max(units) if declared.precision is None else PRECISIONS[declared.precision]


def foreign_implementation(callee: Callee) -> Implementation:
    """The adapter as something that claims can be checked against: its step on every example of a batch in turn.

    Learners that it does not support are those of the reference, so that a claim about several is about those it has.
    An example of a batch whose B and w are zero is a fixed point of every learner (and how runs freeze what has
    diverged): it is not passed on.

    Raises:
        AdapterError: a call on small inputs fails, or returns NaN; later calls of its step raise it too, but NaN and
            infinities are then results like others.
    """
    eps = _probe(callee)
    declared = callee.declared

    def step(learner: Learner, B: Array, w: Array, targets: Array, alpha: Any, beta: Any) -> tuple[Array, Array]:
        if learner.name not in declared.supported:
            return updates.step(learner, B, w, targets, alpha, beta)
        batch, each = flattened_step(B, w, targets, alpha, beta)
        next_B, next_w = np.zeros(each[0].shape), np.zeros(each[1].shape)
        moving = np.logical_or(each[0].any((1, 2)), each[1].any(1)) if batch else np.ones(1, dtype=bool)
        if moving.any():
            some = each if moving.all() else tuple(value[moving] for value in each)
            given = [np.ascontiguousarray(value, dtype=np.float64) for value in some]
            arrays: dict[str, Array] = dict(zip(("B", "w", "targets"), given[:3], strict=True))
            next_B[moving], next_w[moving], _ = callee.call("step", learner.name, arrays, *given[3:])
        return next_B.reshape(batch + B.shape[-2:]), next_w.reshape(batch + w.shape[-1:])

    def step_on_samples(learner: Learner, B: Array, w: Array, *given: Any) -> tuple[Array, Array]:
        """One example: claims about samples have no batch axes. ``given``: X_in, y_in, X_out, y_out, α, β."""
        *data, alpha, beta = given
        arrays = {"B": B, "w": w, **dict(zip(("X_in", "y_in", "X_out", "y_out"), data, strict=True))}
        return _call(callee, "step_on_samples", learner.name, arrays, alpha, beta)[:2]

    return Implementation(
        declared.shown,
        step=step,
        step_on_samples=step_on_samples if "step_on_samples" in declared.lines else None,
        eps=eps,
        exact=False,
        supported=declared.supported,
    )
