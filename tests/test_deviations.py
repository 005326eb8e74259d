"""The named wrong implementations: each is wrong where it says, right elsewhere, and refuted by the suite."""

from fractions import Fraction

import numpy as np
import pytest

from metarep.sim.learners import LEARNERS
from metarep.sim.mutants import DEVIATIONS, Deviation, step_from_terms
from metarep.sim.updates import step
from metarep.theory.claims import catalogue, get_claim
from metarep.theory.claims.record import Verdict
from metarep.theory.engine import Profile, verify
from metarep.theory.engine.mutants.selftest import concerns, selftest, used_claims
from metarep.theory.engine.mutants.theory_faults import THEORY_FAULTS
from metarep.theory.engine.mutants.wrong_claims import WRONG_CLAIMS

rng = np.random.default_rng(11)
B, w, TARGETS = rng.standard_normal((2, 5, 3)), rng.standard_normal((2, 3)), rng.standard_normal((2, 5, 4))


def test_there_are_enough_of_them() -> None:
    assert len(DEVIATIONS) >= 25


@pytest.mark.parametrize("learner", LEARNERS.values(), ids=lambda learner: learner.name)
def test_terms_add_up_to_the_update(learner) -> None:
    for mine, reference in zip(
        step_from_terms(learner, B, w, TARGETS, 0.3, 0.2), step(learner, B, w, TARGETS, 0.3, 0.2), strict=True
    ):
        np.testing.assert_allclose(mine, reference, rtol=0, atol=1e-13)  # a few dozen roundings of values of order 10


@pytest.mark.parametrize("deviation", DEVIATIONS.values(), ids=lambda deviation: deviation.name)
def test_deviation_changes_exactly_the_learners_it_names(deviation: Deviation) -> None:
    wrong = deviation.implementation.step
    changed = set()
    for learner in LEARNERS.values():
        results = zip(wrong(learner, B, w, TARGETS, 0.3, 0.2), step(learner, B, w, TARGETS, 0.3, 0.2), strict=True)
        if max(np.abs(mine - right).max() for mine, right in results) > 1e-12:
            changed.add(learner.name)
    assert changed == deviation.learners


@pytest.mark.parametrize("deviation", DEVIATIONS.values(), ids=lambda deviation: deviation.name)
def test_deviation_runs_on_fractions_and_on_batches_of_step_sizes(deviation: Deviation) -> None:
    wrong = deviation.implementation.step
    exact = [np.vectorize(lambda x: Fraction(round(8 * x), 8), otypes=[object])(x) for x in (B, w, TARGETS)]
    for learner in LEARNERS.values():
        next_B, next_w = wrong(learner, *exact, Fraction(1, 3), Fraction(1, 5))
        assert all(isinstance(x, Fraction) for x in (*next_B.flat, *next_w.flat))
        several = wrong(learner, B, w, TARGETS, np.array([0.3, 0.1]), 0.2)[0]
        np.testing.assert_allclose(several[1], wrong(learner, B[1], w[1], TARGETS[1], 0.1, 0.2)[0], atol=1e-6)


@pytest.mark.parametrize("deviation", DEVIATIONS.values(), ids=lambda deviation: deviation.name)
def test_some_claim_refutes_it(deviation: Deviation) -> None:
    profile = Profile("selftest", 0.1, 0, shrink=False)
    for claim in catalogue():
        if concerns(claim, deviation):
            finding = verify(claim, deviation.implementation, profile=profile, kinds=("exact", "floats"))
            if finding.status == Verdict.REFUTED:
                return
    pytest.fail(f"{deviation.name} survives the whole suite")


def test_selftest_without_a_claim_shows_what_goes_unnoticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("metarep.theory.engine.mutants.selftest.WRONG_CLAIMS", WRONG_CLAIMS[:1])
    monkeypatch.setattr("metarep.theory.engine.mutants.selftest.THEORY_FAULTS", THEORY_FAULTS[:1])
    distances = [claim.id for claim in catalogue() if "distance" in claim.exercises]
    steps = [claim.id for claim in catalogue() if "step" in claim.exercises]
    matrix = selftest(without=[*distances, *steps], effort=0.01)
    assert set(matrix.survivors) >= set(DEVIATIONS)
    with pytest.raises(ValueError, match="unknown claim nonsense"):
        selftest(without=["nonsense"])


def test_proofs_do_not_look_at_the_implementation() -> None:
    wrong = DEVIATIONS["sum-instead-of-mean"].implementation
    assert verify(get_claim("update-anil"), wrong, kinds=("proof",)).status == Verdict.PROVED


def test_no_fault_is_found_by_refuting_what_is_false() -> None:
    false = {claim.id for claim in catalogue() if claim.expected == Verdict.REFUTED}
    assert false
    assert not false & set(used_claims())
