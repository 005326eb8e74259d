"""The catalogue, through the engine: every claim has the verdict that is expected of it."""

import re

import pytest

from metarep.theory.claims import catalogue, check_catalogue, get_claim
from metarep.theory.claims.record import Claim, Verdict
from metarep.theory.engine import Profile, verify
from metarep.theory.inequalities.core import Checked


@pytest.mark.parametrize("claim", catalogue(), ids=lambda claim: claim.id)
def test_claim_has_the_expected_verdict(claim: Claim, profile: Profile) -> None:
    finding = verify(claim, profile=profile)
    assert finding.as_expected, finding.failure_message()
    assert not any(item.in_floats_only for item in finding.evidence), "a counterexample without a certificate"
    if claim.confirm is not None:
        assert any(item.confirmation for item in finding.evidence)


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
    with pytest.raises(ValueError, match="unknown claim 'nonsense'; known: ") as caught:
        get_claim("nonsense")
    assert "\n" not in str(caught.value)
