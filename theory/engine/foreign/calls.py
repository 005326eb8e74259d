"""What a step must be as code, whatever it computes: a function of the values of its arguments that passes NaN on.

Two claims of their own, which only an implementation that is called from outside can fail.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st

from metarep.sim.foreign.adapter import AdapterError
from metarep.sim.implementations import Implementation
from metarep.sim.learners import LEARNERS, Learner
from metarep.sim.terms import At, Pair
from metarep.theory.claims import catalogue
from metarep.theory.claims.comparing import ROUNDINGS_PER_WORD, most_strained, same, step_scale
from metarep.theory.claims.record import Claim, Comparison, Example, Verdict, own
from metarep.theory.claims.strategies import StepArrays
from metarep.theory.engine.foreign.forms import right_step

CHAPTER = "The adapter as code"
NAN_CLAIM = "calls-pass-nan-on"
SIZES = ((4, 2, 3), (6, 3, 2))
"""(d, k, n) of the examples: in the first one n > k."""


def supported(implementation: Implementation) -> list[Learner]:
    """The learners that the implementation has, with the inner steps that it takes."""
    return [implementation.learner(name) for name in LEARNERS if name in implementation.supported]


@dataclass(frozen=True)
class Seen:
    """One comparison of two calls.

    Attributes:
        cause: the mistake that it shows, if the two differ.
        what: in words.
        learner: whose step.
        found, expected: what came of the call, and what should have.
        scale: how large are the numbers that a step there adds up.
    """

    cause: str
    what: str
    learner: Learner
    found: Pair
    expected: Pair
    scale: float

    def comparison(self, eps: float) -> Comparison:
        """As checks have it: rounding errors may differ, as sums in another order do."""
        why = f"{self.learner.name}: {self.what}"
        return same(self.found, self.expected, self.scale, eps, why, ROUNDINGS_PER_WORD)


def _points(learner: Learner, d: int, k: int, n: int) -> tuple[At, ...]:
    """Two points of these sizes and one of others."""
    rng = np.random.default_rng([d, k, n])

    def at(d: int, k: int, n: int) -> At:
        B, w, targets = (rng.uniform(-0.9, 0.9, shape) for shape in ((d, k), (k,), (d, n)))
        return At(learner, B, w, targets, 0.37, 0.26)

    return at(d, k, n), at(d, k, n), at(d + 1, k, n + 2)


def _scale(at: At) -> float:
    d = len(at.B)
    return step_scale(at.learner, StepArrays(at.B, at.w, at.targets, np.eye(d), np.zeros((d, 0)), at.alpha, at.beta))


def calls(implementation: Implementation, learner: Learner, sizes: tuple[int, int, int]) -> Iterator[Seen]:
    """The same calls made again, after others, kept, and on inputs that lie in memory in another way."""
    first, other, elsewhere = _points(learner, *sizes)
    scale = max(map(_scale, (first, other, elsewhere)))
    once = implementation.step(*first)
    differently = implementation.step(*other)

    def seen(cause: str, what: str, found: Pair, expected: Pair) -> Seen:
        return Seen(cause, what, learner, found, expected, scale)

    if _same(once, differently) and not _same(right_step(*first), right_step(*other)):
        cause, what = "state-between-calls", "a call on other numbers of the same sizes returns what the first one did"
        values = np.unique(np.concatenate([part.ravel() for part in once]))
        if len(values) == 1:
            shown = "zeros" if values[0] == 0 else f"{values[0]:g} in every entry"
            cause, what = "constant", f"returns {shown} whatever is asked"
        yield seen(cause, what, differently, right_step(*other))
    state = "the same call returns something else"
    yield seen("state-between-calls", f"{state} after one of the same sizes", implementation.step(*first), once)
    implementation.step(*elsewhere)
    yield seen("state-between-calls", f"{state} after one of other sizes", implementation.step(*first), once)
    yield seen("state-between-calls", f"{state} the next time", implementation.step(*first), once)
    if implementation.called is None:
        return
    for way, how in (("fortran", "in Fortran's order"), ("strided", "with gaps in memory")):
        found = _called(implementation, way, first)
        if found is not None:
            yield seen("memory-layout", f"a call on inputs {how} returns something else", found, once)
    B, w, targets = (np.stack(pair) for pair in zip(first[1:4], other[1:4], strict=True))
    both = first._replace(B=B, w=w, targets=targets)
    kept = _called(implementation, "kept", both)
    if kept is not None:
        what = "what a call returned is changed by the next call"
        yield seen("output-reused", what, (kept[0][0], kept[1][0]), once)


def _same(left: Pair, right: Pair) -> bool:
    return all(np.array_equal(one, other) for one, other in zip(left, right, strict=True))


def _called(implementation: Implementation, way: str, at: At) -> Pair | None:
    """What came of a call made in some way; None if it was refused, which nobody overlooks."""
    assert implementation.called is not None
    try:
        return implementation.called(way, *at)
    except AdapterError:
        return None


NOT_A_NUMBER = ("B", "w", "targets")


def with_nan(
    implementation: Implementation, learner: Learner, sizes: tuple[int, int, int]
) -> Iterator[tuple[str, Pair]]:
    """(which argument has a NaN, the step there); none for a call that is refused."""
    first = _points(learner, *sizes)[0]
    for name in NOT_A_NUMBER:
        array = getattr(first, name).copy()
        array.flat[0] = np.nan
        try:
            yield name, implementation.step(*first._replace(**{name: array}))
        except (ArithmeticError, ValueError):  # an ``AdapterError`` is one of these
            continue


def replaces_nan(stepped: Pair) -> bool:
    """Whether B⁺ or w⁺ is finite, where a NaN came in: both depend on every argument."""
    return any(bool(np.isfinite(part).all()) for part in stepped)


# --- as claims


def _check_calls(example: Example, implementation: Implementation) -> Comparison:
    sizes = example["d"], example["k"], example["n"]
    learners = supported(implementation)
    return most_strained(
        seen.comparison(implementation.eps) for learner in learners for seen in calls(implementation, learner, sizes)
    )


def _check_nan(example: Example, implementation: Implementation) -> Comparison:
    sizes = example["d"], example["k"], example["n"]
    for learner in supported(implementation):
        for name, stepped in with_nan(implementation, learner, sizes):
            if replaces_nan(stepped):
                return Comparison(float("nan"), 0, 0, f"{learner.name}: the step is finite where {name} has a NaN")
    return Comparison(0.0, 0, 0, "steps where an argument has a NaN")


def _floats() -> st.SearchStrategy[Example]:
    return st.sampled_from([dict(zip(("d", "k", "n"), sizes, strict=True)) for sizes in SIZES])


def _claim(name: str, statement: str, check: Any, hypotheses: str) -> Claim:
    return Claim(
        name, CHAPTER, statement, own("what a pure function is"), hypotheses, Verdict.SUPPORTED,
        exercises=frozenset({"step"}), floats=_floats, check=check, examples=len(SIZES),
        any_inner_steps=True,
    )  # fmt: skip


CALLS: tuple[Claim, ...] = (
    _claim(
        "calls-depend-on-values",
        "A step depends on the values of its arguments alone: not on how they lie in memory, nor on calls before; and "
        "what it returned stays as it is during calls after.",
        _check_calls,
        "generic points; inputs in C's order, in Fortran's and with gaps; a call that is refused is none",
    ),
    _claim(
        NAN_CLAIM,
        "Where an entry of $B$, of $w$ or of a target is not a number, neither $B^+$ nor $w^+$ is finite.",
        _check_nan,
        "generic points; a call that is refused is none",
    ),
)
"""The claims about a step as code."""


def every_claim() -> tuple[Claim, ...]:
    """What an implementation is checked against: the catalogue, and the claims about it as code."""
    return (*catalogue(), *CALLS)


def not_a_function(implementation: Implementation) -> tuple[str, str, tuple[str, ...]] | None:
    """(cause, what, learners) of the first way in which a step depends on more than the values of its arguments."""
    found: dict[tuple[str, str], list[str]] = {}
    for learner in supported(implementation):
        for seen in calls(implementation, learner, SIZES[0]):
            if not seen.comparison(implementation.eps).holds:
                found.setdefault((seen.cause, seen.what), []).append(learner.name)
    return next(((*what, tuple(learners)) for what, learners in found.items()), None)


def nan_replaced(implementation: Implementation) -> tuple[str, ...]:
    """The learners whose step is finite where an argument has a NaN."""
    return tuple(
        learner.name
        for learner in supported(implementation)
        if any(replaces_nan(stepped) for _, stepped in with_nan(implementation, learner, SIZES[0]))
    )
