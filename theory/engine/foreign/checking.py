"""Checking a foreign implementation: every claim that speaks of an update map or a trajectory, and the likely cause
where one fails.

What is left out by design, to stay below 15 s of one core for code in NumPy: proofs (they look at no implementation),
exact fractions (foreign code has none), measurements (thousands of steps each). A claim whose examples take many steps
gets fewer of them, and says so.
"""

import time
import warnings
from collections.abc import Callable, Iterable, Set
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from metarep.sim.implementations import Implementation
from metarep.sim.learners import LEARNERS, META_LEARNERS
from metarep.sim.precisions import reference_at
from metarep.theory.claims import catalogue
from metarep.theory.claims.record import Claim, Example, Verdict
from metarep.theory.engine.evidence import Evidence, Profile
from metarep.theory.engine.foreign.diagnosis import Diagnosis, diagnose
from metarep.theory.engine.foreign.guard import Guard, Limits
from metarep.theory.engine.foreign.odd import odd_examples
from metarep.theory.engine.foreign.order import QUICK, in_order
from metarep.theory.engine.run import verify
from metarep.theory.engine.search import besides
from metarep.theory.engine.showing import found_and_expected, objects_text, shown_objects

MAX_EXAMPLES = 12
"""Examples of a claim unless asked for otherwise: a wrong step shows within the first few."""
FIRST_EXAMPLES = 3
"""So many are tried even where each takes many steps."""
STEPS_PER_EXAMPLE = 50
"""A claim may take this many single steps times ``max_examples``, or times ``MAX_EXAMPLES`` if that is more."""
THOROUGH_SHRINKS, MOST_SHRINKS, FEW_SHRINKS = 5, 150, 20
"""The first so many failures are shrunk by up to so many trials, all others by a few, and so is what follows from one
before it: they have the same cause.
"""
SHRINKING_STEPS = 5_000
"""Single steps that shrinking one counterexample may take."""


class Status(StrEnum):
    """What came of a claim."""

    PASSED = "PASSED"
    FAILED = "FAILED"
    CLAIM_AT_FAULT = "CLAIM_AT_FAULT"
    """The reference fails it too: it says nothing of an implementation."""
    NOT_APPLICABLE = "NOT_APPLICABLE"
    NOT_RUN = "NOT_RUN"


@dataclass(frozen=True)
class CheckedClaim:
    """One claim against the implementation: ``why`` is the reason where it does not apply, what was compared where it
    does; ``left_out`` examples took too many steps, or too long; ``steps``: single ones, all in all; ``hurried``:
    whether there would have been more examples with more time; ``cut``: whether more would have taken too many steps.
    """

    claim: Claim
    status: Status
    why: str
    examples: int = 0
    left_out: int = 0
    steps: int = 0
    evidence: Evidence | None = None
    seconds: float = 0.0
    hurried: bool = False
    cut: bool = False

    @property
    def independent(self) -> int | None:
        """Examples that were not made from another one, where none were left out."""
        return None if self.evidence is None or self.left_out else self.evidence.independent

    @property
    def counterexample(self) -> Example | None:
        """The smallest example found on which the claim fails."""
        return None if self.evidence is None else self.evidence.counterexample

    def counterexample_lines(self) -> list[str]:
        """It in the mathematics' own objects, and what was found there against what was expected, line by line; none
        where there is none.
        """
        if self.evidence is None or self.evidence.counterexample is None:
            return []
        comparison = self.evidence.comparisons.get("counterexample")
        shown = objects_text(shown_objects(self.evidence.counterexample, comparison))
        return [*shown, *(found_and_expected(*comparison.sides) if comparison else ())]


@dataclass(frozen=True)
class CheckResult:
    """All claims against one implementation, and the likely cause where some fail."""

    implementation: Implementation
    claims: tuple[CheckedClaim, ...]
    diagnosis: Diagnosis | None
    seconds: float = 0.0

    def of(self, *statuses: Status) -> tuple[CheckedClaim, ...]:
        """The claims of that status, or of several."""
        return tuple(item for item in self.claims if item.status in statuses)

    @property
    def conforming(self) -> bool:
        """Whether no claim fails."""
        return not self.of(Status.FAILED)

    @property
    def roots(self) -> tuple[CheckedClaim, ...]:
        """The failures that do not follow from another: of the catalogue's claims about a learner whose update is wrong
        that update alone, and no claim that rests on one that fails. What looks at the code itself, and a claim of
        one's own, is a root.
        """
        failed = self.of(Status.FAILED)
        ids = {item.claim.id for item in failed}
        return tuple(item for item in failed if not _follows(item.claim, ids))


def _follows(claim: Claim, failed: Set[str]) -> bool:
    """Whether a claim's failure follows from that of others: of one that it rests on, or of a learner's update."""
    known = {claim.id: claim for claim in catalogue()}
    if claim.id not in known or claim.id.startswith("update-"):
        return False
    bases = [*claim.rests_on]
    for base in bases:
        bases += [more for more in known[base].rests_on if more not in bases]
    wrong = {name for name in LEARNERS if f"update-{name}" in failed}
    return not failed.isdisjoint(bases) or not wrong.isdisjoint(claim.learners or LEARNERS)


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
    inner_steps = implementation.conventions.inner_steps
    if inner_steps > 1 and not claim.any_inner_steps and set(claim.learners or META_LEARNERS) & set(META_LEARNERS):
        return f"it speaks of one inner step; the adapter takes {inner_steps}"
    if claim.check is None:
        return "it is a measurement over thousands of steps" if claim.measure else "it is proved, not checked"
    if claim.floats is None:
        return "it is checked on exact fractions only"
    return None


def applicable(claims: Iterable[Claim], implementation: Implementation) -> tuple[Claim, ...]:
    """The claims that say something about the implementation's steps, in the order in which they are tried."""
    return in_order(claim for claim in claims if not_applicable(claim, implementation) is None)


def check_claim(
    claim: Claim,
    implementation: Implementation,
    *,
    max_examples: int = MAX_EXAMPLES,
    seed: int = 0,
    most_shrinks: int | None = MOST_SHRINKS,
    seconds: float | None = None,
    share: float | None = None,
) -> CheckedClaim:
    """One claim against one implementation, on float examples.

    Args:
        claim: any; where it says nothing about an update map the result says why.
        implementation: whose steps.
        max_examples: examples at most, 1 or more; fewer where each takes many steps.
        seed: fixes the examples.
        most_shrinks: trials to make a counterexample smaller; None for as many as it takes.
        seconds: time limit; None for none.
        share: seconds after which it gets no more examples; None for any.

    Raises:
        AdapterError: the implementation is an adapter's, and cannot be used; or the time is up.
    """
    reason = not_applicable(claim, implementation)
    if reason is not None or claim.check is None:
        return CheckedClaim(claim, Status.NOT_APPLICABLE, reason or "")
    started = time.perf_counter()
    steps = STEPS_PER_EXAMPLE * max(max_examples, MAX_EXAMPLES)
    guard = Guard(claim.id, claim.check, Limits(steps, FIRST_EXAMPLES, SHRINKING_STEPS, seconds, share))
    profile = Profile("check", seed=seed, shrink=most_shrinks != 0, most_shrinks=most_shrinks)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        finding = verify(
            replace(claim, check=guard), implementation, profile=profile, examples=max_examples, kinds=("floats",)
        )
        evidence = finding.evidence[0]
        if evidence.verdict != Verdict.REFUTED:
            evidence = besides(claim, guard, evidence, odd_examples(claim), implementation)
    if guard.unusable is not None:
        raise guard.unusable
    taken = time.perf_counter() - started
    counts = {
        "examples": guard.examined,
        **{name: getattr(guard, name) for name in ("left_out", "steps", "hurried", "cut")},
    }
    if evidence.blunt and evidence.blunt >= guard.examined:
        why = "in its arithmetic rounding errors are as large as what is compared"
        return CheckedClaim(claim, Status.NOT_APPLICABLE, why, **counts, evidence=evidence, seconds=taken)
    if evidence.verdict != Verdict.REFUTED:
        return CheckedClaim(claim, Status.PASSED, evidence.why, **counts, evidence=evidence, seconds=taken)
    status, why = Status.FAILED, evidence.why
    if _reference_fails(claim, evidence, implementation):
        status, why = Status.CLAIM_AT_FAULT, f"{why} (the reference fails it there too)"
    return CheckedClaim(claim, status, why, **counts, evidence=evidence, seconds=taken)


def _reference_fails(claim: Claim, evidence: Evidence, implementation: Implementation) -> bool:
    if claim.check is None or evidence.counterexample is None:
        return False
    with np.errstate(all="ignore"):
        return not claim.check(evidence.counterexample, reference_at(implementation.eps)).holds


def check_implementation(
    implementation: Implementation,
    claims: Iterable[Claim],
    *,
    max_examples: int = MAX_EXAMPLES,
    seed: int = 0,
    seconds: float | None = None,
    budget: float | None = None,
    fail_fast: bool = False,
    told: Callable[[CheckedClaim, int, int], None] | None = None,
) -> CheckResult:
    """Every claim against one implementation, and a diagnosis where some fail.

    Args:
        implementation: a ``metarep.sim.foreign.implementation.foreign_implementation`` or any other.
        claims: the catalogue, and whatever else; the result has them in this order, whatever order they are tried in.
        max_examples: examples of each claim at most.
        seed: fixes the examples.
        seconds: time limit of each claim; None for none.
        budget: seconds that all claims share; those that are not ``QUICK`` get fewer examples, but one at least, where
            the time does not suffice. None for any.
        fail_fast: stop at the first claim that fails.
        told: given each claim that was tried, how many have been, and how many are to be.

    Raises:
        AdapterError: the adapter cannot be used: it raised, changed its inputs, returned other shapes; or the time is
            up.
    """
    started = time.perf_counter()
    every = tuple(claims)
    tried = applicable(every, implementation)
    checked = {
        claim.id: CheckedClaim(claim, Status.NOT_APPLICABLE, not_applicable(claim, implementation) or "")
        for claim in every
    }
    failed: set[str] = set()
    for done, claim in enumerate(tried, start=1):
        if fail_fast and failed:
            checked[claim.id] = CheckedClaim(claim, Status.NOT_RUN, "a claim before it failed")
            continue
        shrinks = MOST_SHRINKS if len(failed) < THOROUGH_SHRINKS and not _follows(claim, failed) else FEW_SHRINKS
        share = None
        if budget is not None and claim.id not in QUICK:
            share = max(0.0, started + budget - time.perf_counter()) / (len(tried) - done + 1)
        item = check_claim(
            claim, implementation, max_examples=max_examples, seed=seed, most_shrinks=shrinks, seconds=seconds,
            share=share,
        )  # fmt: skip
        failed |= {claim.id} if item.status is Status.FAILED else set()
        checked[claim.id] = item
        if told is not None:
            told(item, done, len(tried))
    failures = [
        (item.claim, item.counterexample)
        for item in checked.values()
        if item.status is Status.FAILED and item.counterexample is not None
    ]
    diagnosis = diagnose(implementation, failures) if failed else None
    return CheckResult(
        implementation, tuple(checked[claim.id] for claim in every), diagnosis, time.perf_counter() - started
    )
