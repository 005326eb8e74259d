"""Checking a foreign implementation: every claim that speaks of an update map or a trajectory, and the likely cause
where one fails.

What is left out by design, to stay below a minute: proofs (they look at no implementation), exact fractions (foreign
code has none), measurements (thousands of steps each). A claim whose examples take many steps gets fewer of them.
"""

import time
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import numpy as np

from metarep.sim.foreign import AdapterError
from metarep.sim.implementations import REFERENCE, Implementation
from metarep.sim.learners import Learner
from metarep.theory.claims.record import Check, Claim, Comparison, Example, Verdict
from metarep.theory.engine.evidence import Evidence, Profile
from metarep.theory.engine.foreign.diagnosis import Diagnosis, diagnose
from metarep.theory.engine.run import verify
from metarep.theory.engine.showing import objects_text, shown_objects

MAX_EXAMPLES = 12
"""Examples of a claim unless asked for otherwise: a wrong step shows within the first few."""
FIRST_EXAMPLES = 3
"""With these the steps that an example takes are counted."""
STEPS_PER_EXAMPLE = 150
"""A claim may take this many single steps times ``max_examples`` (and its first few examples)."""
THOROUGH_SHRINKS, MOST_SHRINKS, FEW_SHRINKS = 5, 150, 20
"""The first so many failures are shrunk by up to so many trials, all others by a few: they have the same cause."""
SHRINKING_STEPS = 5_000
"""Single steps that shrinking one counterexample may take."""


class Status(StrEnum):
    """What came of a claim."""

    PASSED = "PASSED"
    FAILED = "FAILED"
    NOT_APPLICABLE = "NOT_APPLICABLE"


@dataclass(frozen=True)
class CheckedClaim:
    """One claim against the implementation: ``why`` is the reason where it does not apply, what was compared where it
    does.
    """

    claim: Claim
    status: Status
    why: str
    examples: int = 0
    independent: int | None = None
    evidence: Evidence | None = None
    seconds: float = 0.0

    @property
    def counterexample(self) -> Example | None:
        """The smallest example found on which the claim fails."""
        return None if self.evidence is None else self.evidence.counterexample

    def counterexample_lines(self) -> list[str]:
        """It in the mathematics' own objects, line by line; none where there is none."""
        if self.evidence is None or self.evidence.counterexample is None:
            return []
        comparison = self.evidence.comparisons.get("counterexample")
        return objects_text(shown_objects(self.evidence.counterexample, comparison))


@dataclass(frozen=True)
class CheckResult:
    """All claims against one implementation, and the likely cause where some fail."""

    implementation: Implementation
    claims: tuple[CheckedClaim, ...]
    diagnosis: Diagnosis | None
    seconds: float = 0.0

    def of(self, status: Status) -> tuple[CheckedClaim, ...]:
        """The claims of that status."""
        return tuple(item for item in self.claims if item.status == status)

    @property
    def conforming(self) -> bool:
        """Whether no claim fails."""
        return not self.of(Status.FAILED)


def not_applicable(claim: Claim, implementation: Implementation) -> str | None:
    """Why a claim says nothing about an implementation's steps; None if it does."""
    if not claim.exercises & {"step", "samples"}:
        return "it does not speak of an update map or a trajectory"
    if "samples" in claim.exercises and implementation.step_on_samples is None:
        return "it speaks of a step on samples; the adapter has no step_on_samples"
    if claim.expected == Verdict.REFUTED:
        return "it is known to be false"
    if claim.learners and not set(claim.learners) & implementation.supported:
        return (
            f"it speaks of {', '.join(claim.learners)}; the adapter has {', '.join(sorted(implementation.supported))}"
        )
    if claim.check is None:
        return "it is a measurement over thousands of steps" if claim.measure else "it is proved, not checked"
    if claim.floats is None:
        return "it is checked on exact fractions only"
    return None


class _Watched:
    """An implementation's step that is counted, and notices values that are not finite."""

    def __init__(self, step: Callable[..., Any]) -> None:
        self.step = step
        self.taken = 0
        self.all_finite = True

    def __call__(self, learner: Learner, B: Any, w: Any, targets: Any, alpha: Any, beta: Any) -> Any:
        batch = np.broadcast_shapes(B.shape[:-2], w.shape[:-1], targets.shape[:-2], np.shape(alpha), np.shape(beta))
        self.taken += int(np.prod(batch))
        result = self.step(learner, B, w, targets, alpha, beta)
        self.all_finite = self.all_finite and all(bool(np.isfinite(part).all()) for part in result)
        return result


@dataclass
class _Guard:
    """A claim's check that survives what foreign code does: NaN is a violation, an unusable adapter ends the search."""

    check: Check
    unusable: AdapterError | None = None

    def __call__(self, example: Example, implementation: Implementation) -> Comparison:
        if self.unusable is not None:
            return Comparison(0.0, 0.0, 0.0, "the adapter cannot be used")
        watched = _Watched(implementation.step)
        try:
            return self.check(example, replace(implementation, step=watched))
        except AdapterError as error:
            self.unusable = error
            return Comparison(0.0, 0.0, 0.0, "the adapter cannot be used")
        except (ArithmeticError, ValueError, np.linalg.LinAlgError):
            if watched.all_finite:
                raise  # the search finds out whose fault it is
            return Comparison(float("nan"), 0.0, 0.0, "the step returned NaN or infinity")


def check_claim(
    claim: Claim,
    implementation: Implementation,
    *,
    max_examples: int = MAX_EXAMPLES,
    seed: int = 0,
    most_shrinks: int | None = MOST_SHRINKS,
) -> CheckedClaim:
    """One claim against one implementation, on float examples.

    Args:
        claim: any; where it says nothing about an update map the result says why.
        implementation: whose steps.
        max_examples: examples at most, 1 or more; fewer where each takes many steps.
        seed: fixes the examples.
        most_shrinks: trials to make a counterexample smaller; None for as many as it takes.

    Raises:
        AdapterError: the implementation is an adapter's, and cannot be used.
    """
    reason = not_applicable(claim, implementation)
    if reason is not None or claim.check is None:
        return CheckedClaim(claim, Status.NOT_APPLICABLE, reason or "")
    started = time.perf_counter()
    guard, counter = _Guard(claim.check), _Watched(implementation.step)

    def searched(examples: int, which: int, shrinks: int | None) -> Evidence:
        profile = Profile("check", seed=2 * seed + which, shrink=shrinks != 0, most_shrinks=shrinks)
        watched = replace(implementation, step=counter)
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            finding = verify(
                replace(claim, check=guard), watched, profile=profile, examples=examples, kinds=("floats",)
            )
        if guard.unusable is not None:
            raise guard.unusable
        return finding.evidence[0]

    which, wanted = 0, min(FIRST_EXAMPLES, max_examples)
    best = searched(wanted, which, 0)
    done, alone = best.examples, best.independent
    each = max(counter.taken / max(done, 1), 1.0)
    affordable = int(STEPS_PER_EXAMPLE * max_examples / each)
    if best.verdict != Verdict.REFUTED and min(max_examples, affordable) > done:
        which, wanted = 1, min(max_examples, affordable) - done
        latest = searched(wanted, which, 0)
        done += latest.examples
        alone = None if alone is None or latest.independent is None else alone + latest.independent
        best = latest if latest.verdict == Verdict.REFUTED or _rank(latest) < _rank(best) else best
    if best.verdict != Verdict.REFUTED:
        return CheckedClaim(claim, Status.PASSED, best.why, done, alone, best, time.perf_counter() - started)
    if most_shrinks is None or most_shrinks > 0:
        # The same search once more finds the same example, and makes it smaller.
        limit = None if most_shrinks is None else min(most_shrinks, 1 + int(SHRINKING_STEPS / each))
        again = searched(wanted, which, limit)
        best = again if again.verdict == Verdict.REFUTED else best
    why = best.why
    if _reference_fails(claim, best, implementation):
        why += " (the reference fails there too: the claim is at fault)"
    return CheckedClaim(claim, Status.FAILED, why, done, alone, best, time.perf_counter() - started)


def _rank(evidence: Evidence) -> tuple[float, float]:
    margin = float("inf") if evidence.worst_margin is None else evidence.worst_margin
    return margin, -(evidence.strain or 0.0)


def _reference_fails(claim: Claim, evidence: Evidence, implementation: Implementation) -> bool:
    if claim.check is None or evidence.counterexample is None:
        return False
    with np.errstate(all="ignore"):
        return not claim.check(evidence.counterexample, replace(REFERENCE, eps=implementation.eps)).holds


def check_implementation(
    implementation: Implementation,
    claims: Iterable[Claim],
    *,
    max_examples: int = MAX_EXAMPLES,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> CheckResult:
    """Every claim against one implementation, and a diagnosis where some fail.

    Args:
        implementation: a ``metarep.sim.foreign.foreign_implementation`` or any other.
        claims: the catalogue, and whatever else.
        max_examples: examples of each claim at most.
        seed: fixes the examples.
        progress: told (done, total) after each claim.

    Raises:
        AdapterError: the adapter cannot be used: it raised, changed its inputs, returned other shapes.
    """
    started = time.perf_counter()
    every, checked, failed = tuple(claims), [], 0
    for claim in every:
        shrinks = MOST_SHRINKS if failed < THOROUGH_SHRINKS else FEW_SHRINKS
        item = check_claim(claim, implementation, max_examples=max_examples, seed=seed, most_shrinks=shrinks)
        failed += item.status is Status.FAILED
        checked.append(item)
        if progress is not None:
            progress(len(checked), len(every))
    diagnosis = diagnose(implementation) if failed else None
    return CheckResult(implementation, tuple(checked), diagnosis, time.perf_counter() - started)
