"""The one engine that runs claims against an implementation and returns evidence. Status is computed here and nowhere
else.

``verify`` gathers every kind of evidence that a claim's record has a function for: its proof, exact instances, float
instances
(Hypothesis searches for a counterexample, is driven toward the worst margin, and shrinks what it finds), a measurement.
"""

import hashlib
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Literal

import hypothesis
import numpy as np
from hypothesis import HealthCheck, Phase
from hypothesis.errors import Flaky
from hypothesis.strategies import SearchStrategy

from sim.implementations import REFERENCE, Implementation
from theory.claims.record import Check, Claim, Comparison, Instance, Measurement, Verdict
from theory.proofs import Proof

EvidenceKind = Literal["proof", "exact", "floats", "measurement"]
ALL_KINDS: tuple[EvidenceKind, ...] = ("proof", "exact", "floats", "measurement")
EXACT_SHARE = 0.25
"""Exact instances per float instance: rational arithmetic is slow, and one instance of it already has tolerance zero.
"""


@dataclass(frozen=True)
class Profile:
    """How hard to look: ``effort`` multiplies every claim's number of instances; ``seed`` fixes all randomness."""

    name: str = "default"
    effort: float = 1.0
    seed: int = 0
    shrink: bool = True


@dataclass(frozen=True)
class Evidence:
    """What one way of knowing found. ``worst_margin`` is None for identities; ``strain`` is the worst share of
    tolerance used.
    """

    kind: EvidenceKind
    verdict: Verdict
    examples: int
    worst_margin: float | None = None
    instance: Instance | None = None
    counterexample: Instance | None = None
    why: str = ""
    strain: float | None = None
    estimate: float | None = None
    uncertainty: float | None = None
    steps: tuple[str, ...] = ()
    details: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Finding:
    """A claim's evidence against one implementation, and the status that follows from it."""

    claim: Claim
    implementation: str
    evidence: tuple[Evidence, ...]
    seconds: float = 0.0

    @property
    def status(self) -> Verdict:
        """REFUTED if anything refutes; else the strongest verdict among the evidence; NOT_RUN without any."""
        verdicts = {item.verdict for item in self.evidence}
        if Verdict.REFUTED in verdicts:
            return Verdict.REFUTED
        return next((verdict for verdict in Verdict if verdict in verdicts), Verdict.NOT_RUN)

    @property
    def as_expected(self) -> bool:
        """Whether the status is the one the record expects."""
        return self.status == self.claim.expected

    @property
    def counterexample(self) -> Evidence | None:
        """The evidence that refutes, if any."""
        return next((item for item in self.evidence if item.verdict == Verdict.REFUTED), None)

    def failure_message(self) -> str:
        """Claim, source, shrunk instance, margin, and a snippet that runs it again; for whoever sees it fail."""
        lines = [
            f"{self.claim.id}: {self.status}, expected {self.claim.expected}",
            f"  statement: {self.claim.statement}",
            f"  source:    {self.claim.source}",
        ]
        bad = self.counterexample
        if bad is not None:
            lines.append(f"  found by:  {bad.kind} after {bad.examples} instances: {bad.why}")
            if bad.counterexample is not None:
                lines += [f"    {name} = {shown(value)}" for name, value in bad.counterexample.items()]
                if bad.worst_margin is not None:
                    lines.append(f"  margin:    {bad.worst_margin:.3g}")
                lines += [
                    "  to run it again:",
                    "    from theory.engine import replay",
                    f"    print(replay({self.claim.id!r}, {encode(bad.counterexample)!r}))",
                ]
        return "\n".join(lines)


# --- instances as plain data


def encode(value: Any) -> Any:
    """An instance as JSON data: fractions become 'p/q' strings, arrays become lists."""
    if isinstance(value, dict):
        return {key: encode(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [encode(item) for item in value]
    if isinstance(value, Fraction):
        return f"{value.numerator}/{value.denominator}"
    if isinstance(value, np.ndarray):
        return encode(value.tolist())
    if isinstance(value, np.generic):
        return value.item()
    return value


def decode(value: Any) -> Any:
    """The inverse of ``encode``: strings of the form 'p/q' become fractions."""
    if isinstance(value, dict):
        return {key: decode(item) for key, item in value.items()}
    if isinstance(value, list):
        return [decode(item) for item in value]
    if isinstance(value, str) and _is_fraction(value):
        return Fraction(value)
    return value


def _is_fraction(string: str) -> bool:
    numerator, slash, denominator = string.partition("/")
    return slash == "/" and denominator.isdigit() and numerator.lstrip("-").isdigit()


def shown(value: Any) -> str:
    """A value of an instance as a person writes it."""
    if isinstance(value, list | tuple):
        return "[" + ", ".join(shown(item) for item in value) + "]"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


# --- the search


class _ViolatedError(AssertionError):
    """Raised inside a search so that Hypothesis shrinks the instance; never leaves this module."""


@dataclass
class _Search:
    examples: int = 0
    worst: tuple[float, float, Instance, Comparison] | None = None  # (margin, −strain, instance, comparison)
    violation: tuple[Instance, Comparison] | None = None


def _seed_of(claim_id: str, kind: str, seed: int) -> int:
    digest = hashlib.sha256(f"{claim_id}/{kind}/{seed}".encode()).digest()
    return int.from_bytes(digest[:8], "big")


def _run_search(
    strategy: SearchStrategy[Instance],
    check: Callable[[Instance], Comparison],
    examples: int,
    seed: int,
    *,
    target: bool,
    shrink: bool,
) -> _Search:
    found = _Search()
    phases = [Phase.generate, *([Phase.target] if target else []), *([Phase.shrink] if shrink else [])]

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=examples,
        phases=phases,
        database=None,
        deadline=None,
        derandomize=False,
        report_multiple_bugs=False,
        print_blob=False,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
    )
    @hypothesis.given(strategy)
    def one(instance: Instance) -> None:
        comparison = check(instance)
        if found.violation is None:
            found.examples += 1
            rank = (comparison.margin, -comparison.strain)
            if comparison.holds and (found.worst is None or rank < found.worst[:2]):
                found.worst = (*rank, instance, comparison)
        if not comparison.holds:
            found.violation = (instance, comparison)
            raise _ViolatedError(comparison.why)
        if target and np.isfinite(comparison.margin):
            hypothesis.target(-comparison.margin)

    try:
        one()
    except (_ViolatedError, Flaky):
        if found.violation is None:
            raise
    return found


def _searched(
    claim: Claim,
    kind: EvidenceKind,
    strategy: SearchStrategy[Instance],
    check: Check,
    implementation: Implementation,
    examples: int,
    profile: Profile,
) -> Evidence:
    inequality = claim.kind == "inequality"
    found = _run_search(
        strategy,
        lambda instance: check(instance, implementation),
        examples,
        _seed_of(claim.id, kind, profile.seed),
        target=inequality and kind == "floats",
        shrink=profile.shrink,
    )
    if found.violation is not None:
        instance, comparison = found.violation
        return Evidence(
            kind, Verdict.REFUTED, found.examples, comparison.margin if inequality else None,
            counterexample=instance, why=_why(comparison), strain=comparison.strain,
        )  # fmt: skip
    verdict = Verdict.EXACT if kind == "exact" else Verdict.SUPPORTED
    if found.worst is None:
        return Evidence(kind, Verdict.NOT_RUN, 0, why="no instance was generated")
    margin, strain, instance, comparison = found.worst
    return Evidence(
        kind, verdict, found.examples, margin if inequality else None, instance, why=comparison.why, strain=-strain
    )


def _why(comparison: Comparison) -> str:
    value, bound = float(comparison.value), float(comparison.bound)
    tolerance = float(comparison.tolerance)
    return f"{comparison.why}: {value:.6g} > {bound:.6g} (tolerance {tolerance:.2g})".lstrip(": ")


# --- running claims


def _proof_evidence(proof: Proof) -> Evidence:
    steps = tuple(f"{step.what} ({step.words} words)" if step.words else step.what for step in proof.steps)
    verdict = Verdict.PROVED if proof.holds else Verdict.REFUTED
    return Evidence("proof", verdict, 0, why=proof.remainder or "nothing remained", steps=steps)


def _measured_evidence(measurement: Measurement) -> Evidence:
    return Evidence(
        "measurement",
        Verdict.MEASURED if measurement.consistent else Verdict.REFUTED,
        measurement.examples,
        why=measurement.why,
        estimate=measurement.estimate,
        uncertainty=measurement.uncertainty,
        details=dict(measurement.details),
    )


def verify(
    claim: Claim,
    implementation: Implementation = REFERENCE,
    *,
    profile: Profile | None = None,
    examples: int | None = None,
    kinds: Iterable[EvidenceKind] = ALL_KINDS,
) -> Finding:
    """Gather the evidence for one claim against one implementation.

    Args:
        claim: the record.
        implementation: whose update maps and distances the checks run on; a proof does not look at it.
        profile: effort and seed; the default profile unless given.
        examples: number of float instances instead of the claim's own times the profile's effort.
        kinds: which kinds of evidence to gather.
    """
    profile = profile or Profile()
    started = time.perf_counter()
    wanted = set(kinds)
    evidence: list[Evidence] = []
    count = examples if examples is not None else max(1, round(claim.examples * profile.effort))
    if claim.proof is not None and "proof" in wanted:
        evidence.append(_proof_evidence(claim.proof()))
    if claim.check is not None:
        if claim.rationals is not None and "exact" in wanted and implementation.exact:
            fewer = max(1, round(count * EXACT_SHARE))
            evidence.append(_searched(claim, "exact", claim.rationals(), claim.check, implementation, fewer, profile))
        if claim.instances is not None and "floats" in wanted:
            evidence.append(_searched(claim, "floats", claim.instances(), claim.check, implementation, count, profile))
    if claim.measure is not None and "measurement" in wanted:
        effort = count / claim.examples
        seed = _seed_of(claim.id, "measurement", profile.seed) % 2**32
        evidence.append(_measured_evidence(claim.measure(implementation, seed, effort)))
    return Finding(claim, implementation.name, tuple(evidence), time.perf_counter() - started)


def replay(claim_id: str, instance: dict[str, Any], implementation: Implementation = REFERENCE) -> Comparison:
    """Check one claim on one stored instance (as in a report or a failure message) again.

    Raises:
        ValueError: no such claim, or one without a check on instances.
    """
    from theory.claims import get_claim  # the catalogue's claims may use the engine's helpers

    claim = get_claim(claim_id)
    if claim.check is None:
        raise ValueError(f"claim {claim_id!r} is not checked on instances; allowed: one that is")
    return claim.check(decode(instance), implementation)
