"""Running claims: every kind of evidence that a record has a function for, against one implementation."""

import math
import time
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from metarep.sim.implementations import REFERENCE, Implementation
from metarep.theory.calculus.proofs import Proof
from metarep.theory.claims.record import Claim, Comparison, Measurement, Verdict
from metarep.theory.engine.evidence import (
    ALL_KINDS,
    EXACT_SHARE,
    Evidence,
    EvidenceKind,
    Finding,
    Profile,
    decode,
)
from metarep.theory.engine.search import searched, seed_of
from metarep.theory.inequalities.core import Checked
from metarep.theory.inequalities.printing import chains


def _derivation_evidence(checked: Checked) -> Evidence:
    """What the core says of a derivation: its lines as a person would write them, and the rules that they use."""
    steps = tuple(f"{line.number}. ${line.latex}$ ({line.rule})" for line in chains(checked))
    if not checked.accepted:
        return Evidence("proof", Verdict.REFUTED, 0, why=checked.refusal or "refused", steps=steps)
    why = f"the core accepts all {len(checked.judgements)} lines; rules used: {', '.join(checked.rules_used)}"
    return Evidence("proof", Verdict.PROVED, 0, why=why, steps=steps)


def _proof_evidence(proof: Proof | Checked) -> Evidence:
    if isinstance(proof, Checked):
        return _derivation_evidence(proof)
    steps = tuple(step.what for step in proof.steps)
    if not proof.holds:
        return Evidence("proof", Verdict.REFUTED, 0, why=proof.remainder or "nothing was compared", steps=steps)
    if proof.complete:
        return Evidence("proof", Verdict.PROVED, 0, why=proof.why, steps=steps)
    why = f"{proof.why}; by hand: {'; '.join(proof.arguments)}"
    return Evidence("proof", Verdict.SUPPORTED, 0, why=why, steps=steps)


def _measured_evidence(measurement: Measurement) -> Evidence:
    finite = math.isfinite(measurement.estimate) and math.isfinite(measurement.uncertainty)
    holds = measurement.consistent and finite
    compared = {} if holds or measurement.comparison is None else {"counterexample": measurement.comparison}
    return Evidence(
        "measurement",
        Verdict.MEASURED if holds else Verdict.REFUTED,
        measurement.examples,
        counterexample=None if holds else measurement.counterexample,
        comparisons=compared,
        why=measurement.why,
        estimate=measurement.estimate,
        uncertainty=measurement.uncertainty,
        details=dict(measurement.details),
    )


def _confirmed(claim: Claim, item: Evidence) -> Evidence:
    """The evidence with what the claim has to confirm it, if that decides; only what is expected can be confirmed."""
    if claim.confirm is None or item.verdict != claim.expected:
        return item
    if item.verdict == Verdict.REFUTED and item.counterexample is None:
        return item
    started = time.process_time()
    found = claim.confirm(item.counterexample) if item.verdict == Verdict.REFUTED else claim.confirm()
    if found is None or not found.decides:
        return item
    return replace(item, confirmation=replace(found, seconds=time.process_time() - started))


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
        examples: number of float examples instead of the claim's own times the profile's effort.
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
        if claim.fractions is not None and "exact" in wanted and implementation.exact:
            fewer = max(1, round(count * EXACT_SHARE))
            evidence.append(searched(claim, "exact", claim.fractions(), claim.check, implementation, fewer, profile))
        if claim.floats is not None and "floats" in wanted:
            evidence.append(searched(claim, "floats", claim.floats(), claim.check, implementation, count, profile))
    if claim.measure is not None and "measurement" in wanted:
        effort = count / claim.examples
        evidence.append(
            _measured_evidence(claim.measure(implementation, measurement_seed(claim, profile.seed), effort))
        )
    if implementation is REFERENCE:
        evidence = [_confirmed(claim, item) for item in evidence]
    return Finding(claim, implementation.name, tuple(evidence), time.perf_counter() - started)


def measurement_seed(claim: Claim, seed: int) -> int:
    """The seed that a claim's measurement is given."""
    return seed_of(claim.seeded_as or claim.id, "measurement", seed) % 2**32


def replay(claim: str | Claim, example: dict[str, Any], implementation: Implementation = REFERENCE) -> Comparison:
    """Check one claim, or the catalogue's of that id, on one stored example (of a report, of a failure message) again.

    Raises:
        ValueError: no such claim, or one without a check on examples.
    """
    from metarep.theory.claims import get_claim  # the catalogue's claims may use the engine's helpers

    claim = get_claim(claim) if isinstance(claim, str) else claim
    if claim.check is None:
        how = "measured" if claim.measure else "proved"
        raise ValueError(
            f"claim {claim.id!r} is {how}, not checked on examples; allowed: one that is "
            f"(metarep verify {claim.id} runs it as a whole)"
        )
    return claim.check(decode(example), implementation)
