"""What is wrong on purpose: each mutant is wrong where it says, right elsewhere, and refuted by the suite."""

from collections import Counter
from dataclasses import replace
from fractions import Fraction
from functools import partial

import numpy as np
import pytest
from sharing import LONG_RUNS

from metarep.reports.chapters import mutants as chapter
from metarep.reports.report.gather import PROFILES
from metarep.sim.learners import LEARNERS
from metarep.sim.mutants.careless import CARELESS_MUTANTS
from metarep.sim.mutants.mutant import Mutant
from metarep.sim.mutants.sizes import SIZE_MUTANTS
from metarep.sim.mutants.steps import IMPLEMENTATION_MUTANTS, wrong_implementation
from metarep.sim.terms import At, gradient_terms, step_from_terms
from metarep.sim.updates import step
from metarep.theory.claims import catalogue, get_claim
from metarep.theory.claims.record import Claim, Comparison, Measurement, Verdict
from metarep.theory.engine import Profile, verify
from metarep.theory.engine.foreign.diagnosis import diagnose
from metarep.theory.engine.mutants import selftest
from metarep.theory.engine.mutants.formulas import FORMULA_MUTANTS, with_wrong_formulas
from metarep.theory.engine.mutants.selftest import MUTANTS, asks_no_implementation, trials, tried_on, used_claims
from metarep.theory.engine.mutants.wrong_claims import CLAIM_MUTANTS
from metarep.theory.engine.power import IDLE, about_progress

rng = np.random.default_rng(11)
B, w, TARGETS = rng.standard_normal((2, 5, 3)), rng.standard_normal((2, 3)), rng.standard_normal((2, 5, 4))


def name_of(mutant: Mutant) -> str:
    return mutant.name


WRONG = (*IMPLEMENTATION_MUTANTS, *CARELESS_MUTANTS, *SIZE_MUTANTS)
implementations = pytest.mark.parametrize("mutant", WRONG, ids=name_of)
formulas = pytest.mark.parametrize("mutant", FORMULA_MUTANTS, ids=name_of)


# --- wrong implementations


@pytest.mark.parametrize("learner", LEARNERS.values(), ids=lambda learner: learner.name)
def test_terms_add_up_to_the_update(learner) -> None:
    at = At(learner, B, w, TARGETS, 0.3, 0.2)
    for mine, reference in zip(step_from_terms(at, *gradient_terms(at)), step(*at), strict=True):
        np.testing.assert_allclose(mine, reference, rtol=0, atol=1e-13)  # a few dozen roundings of values of order 10


def _near_the_truth() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(B, w, targets) with αBᵀB = I for α = 0.3, in a span a few percent off that of the targets."""
    truth = np.linalg.qr(B)[0]
    near = np.linalg.qr(truth + 0.03 * rng.standard_normal(truth.shape))[0] / np.sqrt(0.3)
    return near, np.zeros_like(w), truth @ rng.standard_normal((2, 3, 4))


def _large() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(B, w, targets) with d = 13, k = 5, 11 tasks of rank 6 and ‖B‖ = 20."""
    frame = np.linalg.qr(rng.standard_normal((13, 13)))[0]
    return 20 * frame[:, :5], rng.standard_normal(5), frame[:, :6] @ rng.standard_normal((6, 11))


@implementations
def test_mutant_changes_each_learner_that_it_names(mutant: Mutant) -> None:
    wrong = wrong_implementation(mutant).step
    changed = set()
    at, step_sizes = (B, w, TARGETS), (0.3, 0.2)
    if mutant.cause == "stops-early":
        at = _near_the_truth()
    if mutant.cause == "special-case":
        at, step_sizes = _large(), (0.01, 0.01)
    for learner in LEARNERS.values():
        results = zip(wrong(learner, *at, *step_sizes), step(learner, *at, *step_sizes), strict=True)
        if max(np.abs(mine - right).max() for mine, right in results) > 1e-12:
            changed.add(learner.name)
    assert changed == mutant.learners


@implementations
def test_mutant_runs_on_fractions_and_on_batches_of_step_sizes(mutant: Mutant) -> None:
    wrong = wrong_implementation(mutant).step
    exact = [np.vectorize(lambda x: Fraction(round(8 * x), 8), otypes=[object])(x) for x in (B, w, TARGETS)]
    for learner in LEARNERS.values():
        next_B, next_w = wrong(learner, *exact, Fraction(1, 3), Fraction(1, 5))
        assert all(isinstance(x, Fraction) for x in (*next_B.flat, *next_w.flat))
        several = wrong(learner, B, w, TARGETS, np.array([0.3, 0.1]), 0.2)[0]
        np.testing.assert_allclose(several[1], wrong(learner, B[1], w[1], TARGETS[1], 0.1, 0.2)[0], atol=1e-6)


@implementations
def test_some_claim_refutes_it(mutant: Mutant) -> None:
    profile = Profile("selftest", 0.1, 0, shrink=False)
    # A learner that moves too little is refuted by what is said of progress.
    for claim in sorted(catalogue(), key=lambda claim: mutant.name in IDLE and not about_progress(claim)):
        tried = tried_on(mutant, claim)
        if tried and verify(*tried, profile=profile, kinds=("exact", "floats")).status == Verdict.REFUTED:
            return
    pytest.fail(f"{mutant.name} survives the whole suite")


def test_proofs_do_not_look_at_the_implementation() -> None:
    wrong = wrong_implementation(MUTANTS["sum-instead-of-mean"])
    assert verify(get_claim("update-anil"), wrong, kinds=("proof",)).status == Verdict.PROVED


@pytest.mark.parametrize("mutant", SIZE_MUTANTS, ids=name_of)
def test_a_mutant_of_some_sizes_is_right_at_others(mutant: Mutant) -> None:
    wrong, small = wrong_implementation(mutant).step, (B[..., :3, :], w, TARGETS[..., :3, :2], 0.3, 0.2)
    for learner in LEARNERS.values():
        for mine, right in zip(wrong(learner, *small), step(learner, *small), strict=True):
            np.testing.assert_array_equal(mine, right)


# --- the cause of each


def test_most_mutants_get_their_cause_and_none_a_wrong_one(profile: Profile) -> None:
    """The catalogue's wrong implementations, of all learners; in the default profile two of each cause, of a learner
    each, which take turns.
    """
    named: dict[str, bool] = {}
    of_each: Counter[str] = Counter()
    for place, mutant in enumerate(WRONG):
        of_each[mutant.cause] += 1
        if profile.effort <= 1 and of_each[mutant.cause] > 2:
            continue
        ids = sorted(mutant.learners) or sorted(LEARNERS)
        some = frozenset(ids if profile.effort > 1 else [ids[place % len(ids)]])
        found = diagnose(replace(wrong_implementation(mutant), supported=some))
        assert found.cause is None or found.cause.id == mutant.cause, (mutant.name, found)
        assert found.cause is None or mutant.told in found.explanation, (mutant.name, found)
        named[mutant.name] = found.cause is not None
    assert sum(named.values()) >= 0.85 * len(named), [name for name, known in named.items() if not known]


# --- wrong formulas


def double(x: float) -> float:
    return 2 * x


def checked(example, implementation, *, double=double) -> Comparison:
    return Comparison(abs(double(example["x"]) - 2 * example["x"]), 0, 0)


def measured(implementation, seed, effort, *, double=double) -> Measurement:
    return Measurement(double(1.0), 0.0, 1, "toy", consistent=double(1.0) == 2.0)


def half_more(right, *at):
    return right(*at) * 3 / 2


def toy(**roles) -> Claim:
    return replace(
        get_claim("update-anil"), **{"check": None, "floats": None, "fractions": None, "proof": None, **roles}
    )


def test_a_wrong_formula_is_passed_by_keyword() -> None:
    mutant = Mutant("toy", "formula", "theory", "half as much again", {"double": half_more})
    numbers = get_claim("update-anil").floats
    assert numbers is not None
    floats = partial(numbers().map, lambda example: {"x": 1.0 + example["d"]})
    for claim in (toy(check=checked, floats=floats), toy(measure=measured)):
        wrong = with_wrong_formulas(claim, mutant)
        assert wrong is not None
        assert verify(claim, examples=5).status != Verdict.REFUTED
        assert verify(wrong, examples=5).status == Verdict.REFUTED
        assert with_wrong_formulas(wrong, mutant) is not None, "a wrong formula can be made more wrong"
    assert with_wrong_formulas(toy(measure=measured), replace(mutant, parts={"triple": half_more})) is None


@formulas
def test_each_wrong_formula_is_one_that_some_claim_takes(mutant: Mutant) -> None:
    assert any(with_wrong_formulas(claim, mutant) for claim in catalogue())


def test_every_claim_that_asks_no_implementation_is_refuted_by_a_wrong_formula() -> None:
    """Every other claim with a check meets wrong implementations; a wrong formula may be a measurement's alone."""
    asked = tuple(claim.id for claim in catalogue() if asks_no_implementation(claim))
    measured = tuple(
        claim.id
        for claim in catalogue()
        if claim.measure and any(with_wrong_formulas(claim, mutant) for mutant in FORMULA_MUTANTS)
    )
    names = [mutant.name for mutant in FORMULA_MUTANTS]
    columns = [selftest.trial(id_, names) for id_ in asked]
    assert [column.id for column in columns if not column.refuted] == []
    left = set(names) - {name for column in columns for name in column.refuted}
    for id_ in sorted(measured, key=LONG_RUNS.__contains__):  # thousands of steps each
        left -= set(selftest.trial(id_, sorted(left)).refuted)
    assert left == set()


# --- wrong claims


@pytest.mark.parametrize("mutant", CLAIM_MUTANTS, ids=name_of)
def test_wrong_claim_is_refuted_with_a_counterexample(mutant: Mutant, profile: Profile) -> None:
    claim = mutant.parts["claim"]
    assert claim.id not in {right.id for right in catalogue()}
    finding = verify(claim, profile=Profile(seed=profile.seed, most_shrinks=40))
    assert finding.status == Verdict.REFUTED
    refuting = [item for item in finding.evidence if item.verdict == Verdict.REFUTED]
    assert any(item.counterexample or item.kind in ("proof", "measurement") for item in refuting)


# --- the matrix


def test_selftest_without_a_claim_shows_what_goes_unnoticed(monkeypatch: pytest.MonkeyPatch) -> None:
    few = {mutant.name: mutant for mutant in (*IMPLEMENTATION_MUTANTS, FORMULA_MUTANTS[0], CLAIM_MUTANTS[0])}
    monkeypatch.setattr(selftest, "MUTANTS", few)
    exercised = [claim.id for claim in catalogue() if claim.exercises & {"distance", "step"}]
    matrix = selftest.selftest(without=exercised, effort=0.01)
    assert set(matrix.survivors) >= {mutant.name for mutant in IMPLEMENTATION_MUTANTS}
    assert [row.mutant for row in matrix.wrong_claims if row.found] == [CLAIM_MUTANTS[0].name]
    with pytest.raises(ValueError, match="unknown claim nonsense"):
        selftest.selftest(without=["nonsense"])


def test_report_and_selftest_have_the_same_mutants() -> None:
    """All of the catalogue but the samplers, which the tests of the law are for."""
    names = [name for name, _, _ in trials()]
    alone = [mutant.name for mutant in MUTANTS.values() if mutant.kind in ("claim", "proof")]
    assert names == [*used_claims(), *alone]
    crossed = {mutant.name for mutant in MUTANTS.values() if mutant.kind in ("implementation", "formula")}
    assert {*crossed, *alone} == {mutant.name for mutant in MUTANTS.values() if mutant.kind != "sampler"}
    tried = [given[1] for _, run, given in trials() if run is selftest.trial]
    assert [frozenset(several) for several in tried if isinstance(several, tuple)] == [crossed] * len(used_claims())
    quick = [name for _, name in (key for key, *_ in chapter.jobs(PROFILES["quick"], 0))]
    assert [name for name in names if name in set(quick)] == quick
    assert set(names) - set(quick) <= set(used_claims()) - set(used_claims(quick=True))


def test_no_mutant_is_found_by_refuting_what_is_false() -> None:
    false = {claim.id for claim in catalogue() if claim.expected == Verdict.REFUTED}
    assert false
    assert not false & set(used_claims())
