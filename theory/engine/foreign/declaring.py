"""Whether a step that is wrong is right by other conventions than the adapter declares."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import product

from metarep.sim.foreign.conventions import ALLOWED, Conventions
from metarep.sim.implementations import Implementation
from metarep.sim.sampling.whitened import sample_sizes
from metarep.theory.engine.foreign.forms import right_step
from metarep.theory.engine.foreign.points import Case, Match, Pair, Point, scaled

LOSSES = ("loss_scale", "sample_reduction", "task_reduction")
"""What says how many times the theory's loss an adapter's is."""


def undeclared(implementation: Implementation, case: Case) -> Iterator[Match]:
    """Is it the right step by other conventions?"""
    own, learner = implementation.conventions, case.learner
    for values in product(*(ALLOWED[name] for name in LOSSES)):
        other = replace(own, **dict(zip(LOSSES, values, strict=True)))
        if other != own and case.agree([_move(point, own, other) for point in case.points]):
            changed = [name for name in LOSSES if getattr(other, name) != getattr(own, name)]
            cause = "sum-instead-of-mean" if changed == ["task_reduction"] else "loss-scaled"
            # Without inner steps the outer step size is as likely.
            rank = 4 if learner.inner_steps or changed == ["task_reduction"] else 32
            factor = other.loss_scale / own.loss_scale if changed == ["loss_scale"] else None
            yield Match(cause, factor, _said(other, changed), rank)
    for steps in ALLOWED["inner_steps"]:
        if not learner.inner_steps or steps == learner.inner_steps:
            continue
        other = replace(learner, inner_steps=steps)
        moves = [point.move(right_step(other, *point.at[1:])) for point in case.points]
        if case.agree(moves):
            said = _said(replace(own, inner_steps=steps), ["inner_steps"])
            yield Match("wrong-number-of-steps", float(steps), said, 15)


def _said(other: Conventions, names: list[str]) -> str:
    declared = ", ".join(f"{name} = {getattr(other, name)!r}" for name in names)
    return f"right with {declared}: declare it if that is what the library means"


def _move(point: Point, own: Conventions, other: Conventions) -> Pair:
    """The right move of an adapter that follows the other conventions and is called in its own."""
    d, n = point.at.targets.shape[-2:]
    sizes = n, *sample_sizes(n, d)
    inner, outer = (a / b for a, b in zip(other.loss_scales(*sizes), own.loss_scales(*sizes), strict=True))
    return scaled(point.reference(inner), outer)
