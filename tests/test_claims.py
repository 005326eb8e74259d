"""The catalogue, through the engine: every claim has the verdict that is expected of it."""

import re
from dataclasses import replace

import pytest
from scipy.stats import binom
from sharing import LONG_RUNS

from metarep.theory.claims import catalogue, check_catalogue, get_claim
from metarep.theory.claims.objects import SYMBOLS
from metarep.theory.claims.record import Claim, Verdict
from metarep.theory.engine import Finding, Profile, verify
from metarep.theory.engine.showing import entries, shown_objects
from metarep.theory.inequalities.core import Checked

LONG_CONFIRMATIONS = ("envelope-fo-maml-forever", "envelope-fo-maml-every-k", "fo-maml-two-heads")
"""Runs in balls that take a second or more. Short: those of the other guesses."""
CLAIMS = [
    pytest.param(claim, marks=pytest.mark.thorough if claim.id in LONG_RUNS else (), id=claim.id)
    for claim in catalogue()
]


@pytest.mark.parametrize("claim", CLAIMS)
def test_claim_has_the_expected_verdict(claim: Claim, profile: Profile) -> None:
    if claim.id in LONG_CONFIRMATIONS:
        claim = replace(claim, confirm=None)
    finding = verify(claim, profile=replace(profile, power=0))  # a report's matter
    assert finding.as_expected, finding.failure_message()
    for evidence in finding.evidence:  # where all that is compared is zero no tolerance is small beside it
        most = max(2, evidence.examples // 4)  # fresh examples of a claim with a quarter have more once in 1e9 times
        most = most if profile.name == "default" else binom.isf(1e-9, evidence.examples, 1 / 4)
        assert evidence.blunt <= most, "the tolerance is as large as what is compared"
    if claim.id not in LONG_CONFIRMATIONS:
        assert not any(item.in_floats_only for item in finding.evidence), "a counterexample without a certificate"
    if claim.confirm is not None:
        assert any(item.confirmation for item in finding.evidence)
    if claim.check is not None:
        shows_something(finding)


@pytest.mark.thorough
@pytest.mark.parametrize("id_", LONG_CONFIRMATIONS)
def test_what_takes_long_is_confirmed_too(id_: str, profile: Profile) -> None:
    evidence = verify(get_claim(id_), profile=replace(profile, power=0)).evidence
    assert any(item.confirmation for item in evidence)
    assert not any(item.in_floats_only for item in evidence)


SEEDED = re.compile("rule-.*")
"""Claims whose examples are a seed: the check draws five sets of random matrices from it."""
ZERO_BY_NATURE = {
    "confinement": {"sides"},  # ZᵀB⁺ = 0
    "baseline-one-direction": {"sides"},  # nothing beside the direction u
    "fixed-point-origin": {"sides", "B"},  # B = 0, w = 0 stay
}
"""Claims whose exact examples have zero sides or a zero B because they say so."""


def shows_something(finding: Finding) -> None:
    """A reader is shown the mathematics' own objects, and in exact arithmetic nothing that is zero by chance."""
    id_ = finding.claim.id
    for item in finding.evidence:
        if item.kind not in ("exact", "floats"):
            continue
        which = "instance" if item.instance is not None else "counterexample"
        compared = item.comparisons[which]
        objects = shown_objects(getattr(item, which), compared)
        if SEEDED.fullmatch(id_):
            assert set(objects) <= {"seed", "k", "d"}
            continue
        assert set(objects) <= set(SYMBOLS), "a strategy's internals"
        assert compared.left is not None or finding.claim.kind == "inequality", "an identity has two sides"
        if item.kind == "exact" and finding.claim.exercises & {"step", "samples"}:
            zero = ZERO_BY_NATURE.get(id_, set())
            generic = {name: entries(objects[name]) for name in ("B", "heads") if name in objects}
            assert "B" in generic
            assert 0 not in generic.get("heads", ())
            assert ("B" in zero) != all(generic["B"])
            assert ("sides" in zero) != all(any(entries(side)) for side in compared.sides)


@pytest.mark.parametrize("claim", catalogue(), ids=lambda claim: claim.id)
def test_record_is_complete(claim: Claim) -> None:
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", claim.id)
    assert claim.statement.count("$") % 2 == 0
    assert claim.hypotheses
    assert claim.expected not in (Verdict.NOT_RUN,)
    if claim.kind == "identity" and claim.expected == Verdict.PROVED:
        assert claim.proof is not None
        assert claim.fractions is not None, "a proved identity is also checked exactly"
    if claim.kind == "inequality" and claim.expected == Verdict.PROVED:
        assert claim.proof is not None
        assert isinstance(claim.proof(), Checked), "an inequality is proved by a derivation that the core accepts"
        assert claim.check is not None, "and checked on examples besides"
    if "step" in claim.exercises:
        assert claim.learners


def test_rests_on_must_come_before() -> None:
    first, second = catalogue()[0], get_claim("right-factor-fo-anil")
    check_catalogue(catalogue())
    with pytest.raises(ValueError, match="does not come before it"):
        check_catalogue((second, first))
    with pytest.raises(ValueError, match="unique"):
        check_catalogue((first, first))


def test_unknown_claim_is_one_line() -> None:
    with pytest.raises(ValueError, match=r"unknown claim 'nonsense'.*; allowed: the ids that") as caught:
        get_claim("nonsense")
    assert "\n" not in str(caught.value)
