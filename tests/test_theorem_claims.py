"""The theorems as claims: what they say is what is proved, and their checks see a learner that is too slow."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings

from metarep.sim.implementations import REFERENCE
from metarep.sim.learners import Learner
from metarep.sim.mutants.steps import IMPLEMENTATION_MUTANTS
from metarep.theory.claims import catalogue, get_claim
from metarep.theory.claims import rules as rule_claims
from metarep.theory.claims.chapter import Chapter
from metarep.theory.claims.record import Claim, Verdict
from metarep.theory.claims.theorem.settings import batch_of
from metarep.theory.claims.theorem.settings import settings as theorem_settings
from metarep.theory.claims.theorem.theorems import CONSTANTS, VARIANTS
from metarep.theory.engine import Profile, verify
from metarep.theory.engine.mutants.formulas import FORMULA_MUTANTS
from metarep.theory.engine.mutants.selftest import trial, trial_alone, tried_on
from metarep.theory.engine.mutants.wrong_proofs import PROOF_MUTANTS
from metarep.theory.engine.search import _our_search, _Search
from metarep.theory.inequalities.catalogue import RULES
from metarep.theory.inequalities.conditions import CONDITIONS
from metarep.theory.inequalities.core import Checked, check
from metarep.theory.inequalities.theorems import THEOREMS

KEPT = ("balance-stays-", "head-stays-small-", "heads-stay-diverse-", "angle-stays-")
theorems = pytest.mark.parametrize("suffix", VARIANTS)


def frozen(learner: Learner, B: np.ndarray, w: np.ndarray, targets: np.ndarray, alpha: Any, beta: Any) -> Any:
    return B, w


def half_speed(learner: Learner, B: np.ndarray, w: np.ndarray, targets: np.ndarray, alpha: Any, beta: Any) -> Any:
    return REFERENCE.step(learner, B, w, targets, alpha, np.asarray(beta) / 2)


def test_every_theorem_is_a_claim() -> None:
    assert {f"theorem-{suffix}" for suffix in VARIANTS} == set(THEOREMS) == set(CONDITIONS)


@theorems
def test_the_constant_said_is_the_one_proved(suffix: str) -> None:
    derivation = THEOREMS[f"theorem-{suffix}"]().derivation
    assert dict(derivation.region.symbols)["c"] == CONSTANTS[suffix].c
    assert dict(derivation.region.ranges)["a"] == CONSTANTS[suffix].c1


@pytest.mark.parametrize("slow", [frozen, half_speed])
@theorems
def test_a_learner_that_is_too_slow_is_refuted(suffix: str, slow: Any) -> None:
    wrong = replace(REFERENCE, name=slow.__name__, step=slow)
    found = verify(get_claim(f"theorem-{suffix}"), wrong, profile=Profile(shrink=False), kinds=("floats",))
    assert found.status == Verdict.REFUTED


@theorems
def test_most_runs_have_to_move(suffix: str) -> None:
    """And all that are drawn keep to the conditions: ``batch_of`` refuses others."""
    needed, sizes = [], []

    @seed(3)
    @settings(
        max_examples=60,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
    )
    @given(theorem_settings(f"theorem-{suffix}"))
    def drawn(example: Any) -> None:
        batch = batch_of(f"theorem-{suffix}", example)
        bound = np.exp(batch.log_bound(np.array([batch.steps()])))[0]
        needed.extend(bound < np.array([at.dist0 for at in batch.at]))
        sizes.append((example["k"], example["d"], max(at.kappa_squared for at in batch.at)))

    with _our_search(_Search()):  # as the engine draws
        drawn()
    assert np.mean(needed) > 0.6  # the others need more steps than a check takes
    largest = np.max(sizes, axis=0)
    assert largest[0] == 8
    assert largest[1] > 30
    assert largest[2] > 20


@pytest.mark.parametrize("claim", [c for c in catalogue() if c.id.startswith(KEPT)], ids=lambda claim: claim.id)
def test_what_is_kept_is_not_kept_by_a_wrong_learner(claim: Claim) -> None:
    for mutant in sorted(IMPLEMENTATION_MUTANTS, key=lambda mutant: mutant.name != "alpha-beta-swapped"):  # it does
        tried = tried_on(mutant, claim)
        if tried and verify(*tried, profile=Profile(shrink=False), examples=4, kinds=("floats",)).status == "REFUTED":
            return
    pytest.fail(f"nothing refutes {claim.id}")


# --- derivations as proofs


def test_a_refused_derivation_refutes_its_claim() -> None:
    control = PROOF_MUTANTS[0].parts["control"]

    def derivation() -> Checked:
        return check(control.derivation, control.step)

    wrong = replace(get_claim("theorem-fo-anil"), proof=derivation)
    found = verify(wrong, kinds=("proof",))
    assert found.status == Verdict.REFUTED
    assert found.evidence[0].why.startswith("line ")


def test_an_accepted_derivation_lists_its_lines_and_rules() -> None:
    (evidence,) = verify(get_claim("theorem-anil"), kinds=("proof",)).evidence
    assert evidence.verdict == Verdict.PROVED
    assert "rules used: assumption, " in evidence.why
    assert evidence.steps[0].startswith("1. $")


def test_a_claim_has_a_proof_or_a_derivation() -> None:
    def proof(proof: Any) -> None:
        """Said. Given: nothing."""

    with pytest.raises(ValueError, match="allowed: one of them"):
        Chapter("Mine")(Verdict.PROVED, derivation=THEOREMS["theorem-anil"])(proof)


# --- rules and wrong proofs


def test_every_rule_is_a_claim_or_says_why_not() -> None:
    said = {claim.id.removeprefix("rule-") for claim in catalogue() if claim.id.startswith("rule-")}
    assert said | set(rule_claims.WITHOUT) == set(RULES)
    assert not said & set(rule_claims.WITHOUT)
    for name in rule_claims.WITHOUT:
        assert f"{name} {rule_claims.WITHOUT[name]}" in get_claim("rule-product").remark


def test_every_broken_rule_is_refuted() -> None:
    (broken,) = [mutant for mutant in FORMULA_MUTANTS if mutant.name == "broken-rule"]
    columns = [trial(claim.id, [broken.name]) for claim in catalogue() if claim.id.startswith("rule-")]
    assert columns
    assert [column.id for column in columns if not column.refuted] == []


@pytest.mark.parametrize("cause", sorted({mutant.cause for mutant in PROOF_MUTANTS}))
def test_the_core_refuses_every_wrong_proof(cause: str) -> None:
    rows = [trial_alone(mutant.name) for mutant in PROOF_MUTANTS if mutant.cause == cause]
    assert [row.what for row in rows if not row.found] == []


def test_a_wrong_proof_that_is_accepted_is_a_survivor() -> None:
    right = replace(PROOF_MUTANTS[0].parts["control"], derivation=THEOREMS["theorem-fo-anil"]().derivation)
    assert right.refused().accepted
