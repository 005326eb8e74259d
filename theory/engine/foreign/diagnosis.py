"""The likely cause of a wrong update map: which known mistake, named or fitted, gives the same steps.

At a few seeded generic points every candidate mistake predicts a step; a cause is named only if its prediction agrees
with the implementation's step at all of them, to its rounding errors. Candidates are the mutants of the simulator,
other learners' specs, and fitted ones (``fits``, ``terms``, ``rounding``). If the step is right there, it is found out
where it is wrong (``where``), and the same candidates are tried there.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from metarep.sim.implementations import Implementation
from metarep.sim.learners import Adapts, Learner
from metarep.sim.mutants.steps import IMPLEMENTATION_MUTANTS, wrong_implementation
from metarep.sim.sampling import inner_steps
from metarep.sim.sampling.whitened import whitened_samples
from metarep.theory.claims.record import Claim, Example
from metarep.theory.engine.foreign.calls import NAN_CLAIM, nan_replaced, not_a_function, supported
from metarep.theory.engine.foreign.declaring import undeclared
from metarep.theory.engine.foreign.distances import wrong_distance
from metarep.theory.engine.foreign.fits import additions, one_part, step_sizes
from metarep.theory.engine.foreign.laws import factor_text, shown
from metarep.theory.engine.foreign.optimisers import loop_matches
from metarep.theory.engine.foreign.points import Array, Case, Match, Pair, points_of, projection, scaled
from metarep.theory.engine.foreign.rounding import rounding
from metarep.theory.engine.foreign.special import special_case
from metarep.theory.engine.foreign.terms import first_tasks, tasks, terms


@dataclass(frozen=True)
class Cause:
    """A likely cause: its id, the learner's id or "all", the factor if one was fitted, and a sentence."""

    id: str
    learner: str
    factor: float | None
    explanation: str


@dataclass(frozen=True)
class Diagnosis:
    """What comparing steps found: the learners whose step is wrong at generic points, the cause, and a sentence."""

    wrong: tuple[str, ...]
    cause: Cause | None
    explanation: str


# --- named

FITTED_IDS = ("alpha-scaled", "beta-scaled", "wrong-sign", "single-precision", "missing-term", "weight-decay")
"""Causes whose factor or term is found by a fit, not by trying the mutant with its one factor."""


def named(case: Case) -> Iterator[Match]:
    """Is it a mutant's step?"""
    for mutant in IMPLEMENTATION_MUTANTS:
        if case.learner.name not in mutant.learners or mutant.cause in FITTED_IDS:
            continue
        wrong = wrong_implementation(mutant).step
        if case.agree_by(wrong):
            yield Match(mutant.cause, None, mutant.what, 10)
            continue
        # Alone it does not explain the step; perhaps together with a wrong outer step size.
        first = case.points[0]
        factor = projection([first.moved], [first.by(wrong)])
        if factor is not None and all(point.misses(scaled(point.by(wrong), factor)) <= 1 for point in case.points):
            also = f", and the outer step is {factor_text(factor)} times what it should be"
            yield Match(mutant.cause, shown(factor), mutant.what + also, 60)


SPECS: tuple[tuple[Adapts, int], ...] = (
    ("nothing", 0), ("head", 1), ("representation", 1), ("both", 1), ("head", 2), ("both", 2), ("head", 3),
)  # fmt: skip
_WHAT = {"nothing": "nothing", "head": "the head", "representation": "the representation", "both": "B and w"}


def other_specs(case: Case) -> Iterator[Match]:
    """Is it the right step of another learner?"""
    learner = case.learner
    for adapts, steps in SPECS:
        for first_order in (False, True) if steps else (False,):
            if (adapts, steps, first_order) == (learner.adapts, learner.inner_steps, learner.first_order):
                continue
            other = Learner(f"{adapts}-{steps}-{first_order}", adapts, first_order, steps)
            if not case.agree_by(lambda _, *at, other=other: inner_steps.step(other, *at)):
                continue
            order = "first-order" if first_order else "exact"
            what = f"this is the step of a learner that adapts {_WHAT[adapts]} in {steps} inner step(s)"
            what += f", with the {order} outer gradient" if steps else ""
            if steps != learner.inner_steps:
                yield Match("wrong-number-of-steps", float(steps), what, 20)
            elif adapts != learner.adapts:
                yield Match("wrong-inner-parameter", None, what, 20)
            else:
                made = "first-order-instead-of-exact" if first_order else "exact-instead-of-first-order"
                yield Match(made, None, what, 20)


# --- all together

SEARCHES = (step_sizes, one_part, first_tasks, tasks, additions, other_specs)
ONE_STEP_SEARCHES = (named, terms)
"""Of what is known of learners with at most one inner step only."""


WEAK = 40
"""From this rank on a cause is weaker than to know where the step is wrong."""


def _matches(implementation: Implementation, case: Case) -> list[Match]:
    searches = SEARCHES if case.learner.inner_steps > 1 else ONE_STEP_SEARCHES + SEARCHES
    found = [*undeclared(implementation, case), *(match for search in searches for match in search(case))]
    return found or list(rounding(implementation, case))


def on_whitened_samples(implementation: Implementation) -> Implementation:
    """The implementation's step on samples as a population step."""
    on_samples = implementation.step_on_samples
    assert on_samples is not None

    def step(learner: Learner, B: Array, w: Array, targets: Array, alpha: float, beta: float) -> Pair:
        stepped = [
            on_samples(learner, b, v, *whitened_samples(each).values(), alpha, beta)
            for b, v, each in zip(B, w, targets, strict=True)
        ]
        return np.stack([pair[0] for pair in stepped]), np.stack([pair[1] for pair in stepped])

    return replace(implementation, step=step)


def diagnose(implementation: Implementation, failures: Sequence[tuple[Claim, Example]] = ()) -> Diagnosis:
    """Name the likely cause of an implementation's wrong steps.

    Looked at are, in this order, and no further than one is found: whether a step depends on the values of its
    arguments alone; what its training loop does; the population's step at generic points, then, if it is right there or
    at some of them, where it is wrong (at the failures' steps, or at odd points); the step on samples; whether it
    replaces NaN; the subspace distance.

    Learners that it does not support are not looked at. A cause that explains all wrong learners is preferred
    (``learner`` is then "all" if there are several), then the most specific one of the first wrong learner.

    Args:
        implementation: the one that is wrong.
        failures: claims that it fails, each with its counterexample.
    """
    with np.errstate(all="ignore"):
        if (found := not_a_function(implementation)) is not None:
            return _of_code(*found)
        of_loop = _diagnosed_loop(implementation)
        if of_loop is not None and of_loop.cause is not None:
            return of_loop
        found = _diagnosed(implementation, failures)
        if found.wrong:
            return found
        if of_loop is not None:
            return of_loop
        if implementation.step_on_samples is not None:
            sampled = _diagnosed(on_whitened_samples(implementation))
            if sampled.wrong:
                where = "step_on_samples, with samples whose XᵀX/m is the identity: "
                return replace(sampled, explanation=where + sampled.explanation)
        # Other mistakes make a step finite in passing: a NaN that is replaced is the cause only if nothing else fails.
        passes_nan = failures and all(claim.id == NAN_CLAIM for claim, _ in failures)
        if passes_nan and (learners := nan_replaced(implementation)):
            return _of_code("nan-replaced", "where an argument has a NaN, the step is finite", learners)
        if (what := wrong_distance(implementation)) is not None:
            return Diagnosis((), Cause("wrong-distance", "all", None, what), what)
    on_samples = ", or on samples whose XᵀX/m is not the identity" if implementation.step_on_samples else ""
    what = "at generic points and at odd ones its steps are the reference's: what fails, fails at special ones"
    return Diagnosis((), None, f"{what}{on_samples}")


def _of_code(cause: str, what: str, learners: tuple[str, ...]) -> Diagnosis:
    whose = learners[0] if len(learners) == 1 else "all"
    return Diagnosis(learners, Cause(cause, whose, None, what), f"{whose}: {what}")


def _diagnosed_loop(implementation: Implementation) -> Diagnosis | None:
    """What its training loop does instead of gradient steps; None if it has none, or does nothing else."""
    if implementation.loop is None:
        return None
    found = {learner.name: loop_matches(implementation, learner) for learner in supported(implementation)}
    wrong = {name: matches for name, matches in found.items() if matches is not None}
    unknown = "the training loops of {} do not take the gradient step at every update"
    return _explained(wrong, unknown) if wrong else None


def _diagnosed(implementation: Implementation, failures: Sequence[tuple[Claim, Example]] | None = None) -> Diagnosis:
    """At generic points, and unless ``failures`` is None (as of samples, which many rows make slow) at special ones."""
    cases = [
        Case(learner, points_of(implementation, learner), implementation.eps) for learner in supported(implementation)
    ]
    wrong = {case.learner.name: case for case in cases if not all(point.right for point in case.points)}
    matches = {name: _matches(implementation, case) if case.finite else [] for name, case in wrong.items()}
    everywhere = wrong and not any(point.right for case in wrong.values() for point in case.points)
    known = any(match.rank < WEAK for each in matches.values() for match in each)
    if not everywhere and not known and failures is not None:
        special = special_case(implementation, failures, _matches)
        if special is not None:
            return _explained({name: [special.match] for name in special.learners}, "")
    if not wrong:
        return Diagnosis((), None, "")
    return _explained(matches, "the steps of {} are wrong in no way that is known")


def _explained(wrong: Mapping[str, list[Match]], unknown: str) -> Diagnosis:
    cause = _chosen(wrong)
    if cause is None:
        return Diagnosis(tuple(wrong), None, unknown.format(", ".join(wrong)))
    others = [
        f"{name}: {_best(matches).explanation if matches else 'no known cause fits'}"
        for name, matches in wrong.items()
        if cause.learner not in ("all", name)
    ]
    return Diagnosis(tuple(wrong), cause, "; ".join([f"{cause.learner}: {cause.explanation}", *others]))


def _best(matches: list[Match]) -> Match:
    return min(matches, key=lambda match: match.rank)


def _chosen(wrong: Mapping[str, list[Match]]) -> Cause | None:
    best = {
        name: {match.id: match for match in sorted(matches, key=lambda m: -m.rank)} for name, matches in wrong.items()
    }
    everywhere = set.intersection(*(set(matches) for matches in best.values()))
    if everywhere:
        ranks = {cause: max(matches[cause].rank for matches in best.values()) for cause in everywhere}
        chosen = min(everywhere, key=lambda cause: (ranks[cause], cause))
        matches = [found[chosen] for found in best.values()]
        factor = matches[0].factor
        if any(m.factor is None or factor is None or abs(m.factor - factor) > 1e-3 * abs(factor) for m in matches[1:]):
            factor = None
        texts = dict.fromkeys(match.explanation for match in matches)
        return Cause(chosen, next(iter(wrong)) if len(wrong) == 1 else "all", factor, " / ".join(texts))
    for name, matches in wrong.items():
        if matches:
            match = _best(matches)
            return Cause(match.id, name, match.factor, match.explanation)
    return None
