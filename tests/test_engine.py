"""The engine: verdicts follow from evidence, searches repeat, counterexamples shrink and can be run again."""

import importlib
import json
import random
import sys
from dataclasses import replace
from fractions import Fraction
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import strategies as st

from metarep.sim.implementations import REFERENCE, Implementation
from metarep.sim.mutants.samplers import SAMPLER_MUTANTS
from metarep.sim.mutants.steps import IMPLEMENTATION_MUTANTS, scaled_step_sizes, wrong_implementation
from metarep.theory.calculus.proofs import Proof
from metarep.theory.calculus.words import identity
from metarep.theory.claims import catalogue, get_claim
from metarep.theory.claims.confirmation import Confirmation
from metarep.theory.claims.drawing import Drawn
from metarep.theory.claims.record import Claim, ClaimError, Comparison, Example, Measurement, Verdict, own
from metarep.theory.engine import Evidence, Finding, Profile, decode, encode, replay, search, verify
from metarep.theory.engine.evidence import Power, counted
from metarep.theory.engine.mutants.formulas import FORMULA_MUTANTS
from metarep.theory.engine.mutants.selftest import MUTANTS
from metarep.theory.engine.mutants.wrong_proofs import PROOF_MUTANTS
from metarep.theory.engine.power import IDLE, PANEL, about_progress, is_identity, panel_of, power_of, tried_on
from metarep.theory.engine.search import INTERNALS_ARE_KNOWN, EnoughError, besides, drawn
from metarep.theory.inequalities.core import Derivation, Line, Region, Says, check


def inequality(check, **changes) -> Claim:
    record = {
        "id": "toy",
        "chapter": "toys",
        "statement": "$x \\le b$",
        "source": own(),
        "hypotheses": "$0 \\le x \\le 10$",
        "expected": Verdict.SUPPORTED,
        "kind": "inequality",
        "floats": lambda: st.floats(0, 10).map(lambda x: {"x": x}),
        "check": check,
        "examples": 200,
    }
    return Claim(**{**record, **changes})


def test_status_is_the_strongest_evidence_and_refuted_wins() -> None:
    claim = get_claim("update-fo-anil")
    supported, proved = Evidence("floats", Verdict.SUPPORTED, 5), Evidence("proof", Verdict.PROVED, 0)
    assert Finding(claim, "x", ()).status == Verdict.NOT_RUN
    assert Finding(claim, "x", (supported,)).status == Verdict.SUPPORTED
    assert Finding(claim, "x", (supported, proved)).status == Verdict.PROVED
    assert Finding(claim, "x", (proved, Evidence("exact", Verdict.REFUTED, 1))).status == Verdict.REFUTED


def test_worst_margin_is_driven_to_the_edge() -> None:
    finding = verify(inequality(lambda at, _: Comparison(at["x"], 10.0, 0.0)))
    (evidence,) = finding.evidence
    assert finding.status == Verdict.SUPPORTED
    assert evidence.worst_margin == pytest.approx(0, abs=1e-3)
    assert evidence.independent is not None
    assert evidence.examples / 2 < evidence.independent < evidence.examples  # those are not that were made on the way
    assert evidence.nearest is not None
    assert evidence.nearest["x"] == pytest.approx(10, abs=1e-2)


def test_the_search_is_driven_to_where_only_targets_lead() -> None:
    """A hill that leads to the only violation, one example of 10¹²: chance does not find it, and what drives away from
    the worst margin does not either.
    """
    whole = st.integers(0, 10**6)
    claim = inequality(
        lambda at, _: Comparison(1.0 - abs(at["x"] - 654_321) / 1e6, 1.0 - 1e-9, 0.0, "close"),
        floats=lambda: whole.map(lambda x: {"x": x}),
        examples=400,
    )
    assert verify(claim).status == Verdict.REFUTED
    assert verify(replace(claim, kind="identity")).status == Verdict.SUPPORTED  # not driven, by chance alone


def test_of_equal_margins_the_one_that_uses_most_of_its_tolerance_is_nearest() -> None:
    claim = inequality(
        lambda at, _: Comparison(1.0 + 2.0**-20, 1.0, 10.0 ** -at["digits"]),
        floats=lambda: st.integers(2, 5).map(lambda digits: {"digits": digits}),
    )
    (evidence,) = verify(claim).evidence
    assert evidence.nearest == {"digits": 5}
    assert evidence.strain == pytest.approx(1e5 * 2.0**-20)


@pytest.mark.parametrize("most", [0, 1, 5])
def test_shrinking_ends_after_as_many_examples_as_allowed(most: int) -> None:
    tried = []

    def check(at, _):
        tried.append(at["x"])
        return Comparison(at["x"], 6.5, 0.0)

    finding = verify(inequality(check), profile=Profile(most_shrinks=most))
    assert finding.status == Verdict.REFUTED
    first = next(i for i, x in enumerate(tried) if x > 6.5)
    assert len(tried) == first + 1 + most


def test_the_margin_of_a_counterexample_is_its_own() -> None:
    """Evidence that refutes is about the example that violates, not about one that was seen before."""
    finding = verify(inequality(lambda at, _: Comparison(at["x"], 6.5, 0.0, "x itself")))
    (evidence,) = finding.evidence
    assert evidence.worst_margin == pytest.approx(1 - 7.0 / 6.5)
    assert evidence.comparisons["counterexample"].value == 7.0
    supported, refuted = Evidence("floats", Verdict.SUPPORTED, 5), Evidence("exact", Verdict.REFUTED, 1, why="x = 7")
    both = Finding(finding.claim, "x", (supported, refuted))
    assert both.counterexample is refuted
    assert "found by:  exact after 1 examples: x = 7" in both.failure_message()


def test_a_claim_that_fails_at_the_implementations_precision_for_the_reference_is_at_fault() -> None:
    """An error that the reference brings about only where it computes as coarsely as the implementation does."""

    def check(at, implementation):
        return Comparison([0.0][implementation.eps > 1e-10], 1.0, 0.0)

    coarse = replace(REFERENCE, name="coarse", eps=2.0**-23)
    claim = inequality(check, floats=lambda: st.just({"x": 1}))
    assert verify(claim).status == Verdict.SUPPORTED
    with pytest.raises(IndexError):
        verify(claim, coarse)


def test_counterexample_shrinks_and_refutes() -> None:
    finding = verify(inequality(lambda at, _: Comparison(at["x"], 6.5, 0.0, "x itself")))
    bad = finding.counterexample
    assert finding.status == Verdict.REFUTED
    assert not finding.as_expected
    assert bad is not None
    assert bad.counterexample == {"x": 7.0}
    message = finding.failure_message()
    again = "metarep verify toy --replay '{\"x\": 7.0}'"
    for part in ("toy", "own derivation", "x = 7", "margin", again, "replay('toy', {'x': 7.0})"):
        assert part in message
    assert "--claims" not in message
    of_a_file = finding.failure_message("own.py")
    for part in ("metarep verify toy --claims own.py --replay", "load_own_claims('own.py'", "own['toy'], {'x': 7.0}"):
        assert part in of_a_file


def test_not_a_number_is_a_violation() -> None:
    assert verify(inequality(lambda at, _: Comparison(float("nan"), 1.0, 0.0))).status == Verdict.REFUTED


@pytest.mark.parametrize(("bound", "tolerance"), [(1.0, np.inf), (np.inf, 0.0), (1.0, np.nan)])
def test_what_nothing_could_violate_is_a_violation(bound: float, tolerance: float) -> None:
    assert verify(inequality(lambda at, _: Comparison(0.0, bound, tolerance))).status == Verdict.REFUTED


def test_exact_instances_have_no_tolerance() -> None:
    numbers = st.sampled_from([Fraction(1, 3)]).map(lambda x: {"x": x})
    claim = inequality(lambda at, _: Comparison(0, 0, Fraction(1, 10**9)), floats=None, fractions=lambda: numbers)
    with pytest.raises(ValueError, match="has a tolerance for fractions; allowed: 0"):
        verify(claim)


def test_an_error_on_what_a_step_returned_is_a_violation_and_a_claims_own_is_raised() -> None:
    def careful(at, implementation):
        values = [0.0, 0.5] if implementation.name == "reference" else []
        return Comparison(values[at["i"]], 1.0, 0.0)

    claim = inequality(careful, floats=lambda: st.just({"i": 1}))
    other = replace(REFERENCE, name="other")
    assert verify(claim).status == Verdict.SUPPORTED
    (refuted,) = verify(claim, other).evidence
    assert refuted.verdict == Verdict.REFUTED
    assert "cannot be compared (IndexError: list index out of range)" in refuted.why
    careless = replace(claim, check=lambda at, _: Comparison([][at["i"]], 1, 0))
    for implementation in (REFERENCE, other):
        with pytest.raises(IndexError) as raised:
            verify(careless, implementation)
        assert "claim toy" in raised.value.__notes__[0]


def test_a_check_returns_a_comparison() -> None:
    with pytest.raises(ClaimError, match="check of claim 'toy' returned bool; allowed: a Comparison"):
        verify(inequality(lambda at, _: True))


def test_margins_are_relative_but_to_zero() -> None:
    assert Comparison(3.0, 4.0, 0.0).margin == 0.25
    assert Comparison(0.5, 0.0, 1.0).margin == -0.5


def test_steps_by_hand_support_and_do_not_prove() -> None:
    def argued() -> Proof:
        proof = Proof()
        proof.equal("I = I", identity("k"), identity("k"))
        proof.argued("the rest is in a book")
        return proof

    (evidence,) = verify(inequality(None, floats=None, proof=argued, kind="identity")).evidence
    assert (evidence.kind, evidence.verdict, evidence.examples) == ("proof", Verdict.SUPPORTED, 0)
    assert "by hand: the rest is in a book" in evidence.why
    assert evidence.steps[-1] == "by hand: the rest is in a book"


def test_a_complete_proof_proves() -> None:
    proof = Proof()
    proof.equal("I = I", identity("k"), identity("k"))
    claim = inequality(None, floats=None, proof=lambda: proof, kind="identity")
    (evidence,) = verify(claim).evidence
    assert (evidence.kind, evidence.verdict, evidence.examples) == ("proof", Verdict.PROVED, 0)
    assert (evidence.why, evidence.steps) == (proof.why, tuple(step.what for step in proof.steps))
    with pytest.raises(ValueError, match="'toy' is proved, not checked on examples"):
        replay(claim, {})


def test_at_least_one_exact_example_has_nothing_zero_in_it() -> None:
    thirds = st.integers(0, 10**6).map(lambda i: {"x": Fraction(i, 3)})
    claim = inequality(
        lambda at, _: Comparison(0, 0, 0, "", at["x"], at["x"]), kind="identity", floats=None, fractions=lambda: thirds
    )
    (found,) = verify(claim, examples=1).evidence  # the first that is drawn is the simplest
    assert found.instance is not None
    assert found.instance["x"] != 0
    assert found.examples < 10
    nothing = replace(claim, fractions=lambda: st.just({"x": Fraction(0)}))
    (found,) = verify(nothing, examples=1).evidence
    assert (found.instance, found.examples) == ({"x": 0}, 1)


def test_where_some_bounds_are_equalities_the_search_is_not_driven(monkeypatch: pytest.MonkeyPatch) -> None:
    driven = []
    monkeypatch.setattr(search.hypothesis, "target", driven.append)
    claim = inequality(lambda at, _: Comparison(0.0, 1.0, 0.0))
    for k in (1, 2):
        verify(replace(claim, floats=lambda k=k: st.just({"k": k})))
        assert bool(driven) is (k == 2)


def test_a_derivation_that_the_core_refuses_refutes() -> None:
    region, line = Region((("x", "1"),)), Line("assumption", Says("norm", "B", "x"))
    for assumed, verdict in (((line.says,), Verdict.PROVED), ((), Verdict.REFUTED)):
        checked = check(Derivation("toy", region, assumed, (line,)), None)
        claim = inequality(None, floats=None, proof=lambda found=checked: found)
        (evidence,) = verify(claim).evidence
        assert (evidence.kind, evidence.verdict, evidence.examples) == ("proof", verdict, 0)
        assert ("line 1: " in evidence.why) is (verdict == Verdict.REFUTED)
        assert len(evidence.steps) == len(checked.judgements)
    assert verify(inequality(None, floats=None, proof=lambda: checked), kinds=("floats",)).evidence == ()


def test_an_estimate_that_is_no_number_refutes() -> None:
    nothing = Measurement(float("nan"), 0.1, 3, "toy")
    assert verify(inequality(None, floats=None, kind="measurement", measure=lambda *_: nothing)).status == "REFUTED"


def test_this_hypothesis_is_one_whose_search_we_can_change() -> None:
    assert INTERNALS_ARE_KNOWN, "seeds will give other examples from the command line and from pytest"


def test_failing_proof_and_contradicting_measurement_refute() -> None:
    def wrong() -> Proof:
        proof = Proof()
        proof.equal("I = 2I", identity("k"), identity("k") * 2)
        return proof

    nothing = inequality(None, floats=None, proof=wrong, kind="identity")
    finding = verify(nothing)
    assert finding.status == Verdict.REFUTED
    assert "left − right = −I" in finding.evidence[0].why
    assert finding.evidence[0].examples == 0
    empty = inequality(None, floats=None, proof=Proof, kind="identity")
    assert verify(empty).status == Verdict.REFUTED, "a proof that compares nothing proves nothing"
    measured = inequality(
        None, floats=None, kind="measurement", measure=lambda *_: Measurement(1.0, 0.1, 3, "toy", consistent=False)
    )
    assert verify(measured).status == Verdict.REFUTED


def test_a_measurement_may_name_the_setting_that_breaks_it() -> None:
    def measured(consistent: bool, compared: bool = False) -> Claim:
        found = Measurement(
            1.0, 0.1, 3, "toy", consistent=consistent, counterexample={"k": 1, "heads": [1.0, 2.0]},
            comparison=Comparison(0.5, 0.25, 0.0, objects={"w": [3.0]}) if compared else None,
        )  # fmt: skip
        return inequality(None, floats=None, kind="measurement", measure=lambda *_: found)

    finding = verify(measured(consistent=False))
    assert finding.counterexample is not None
    assert finding.counterexample.counterexample == {"k": 1, "heads": [1.0, 2.0]}
    message = finding.failure_message()
    assert "heads = (1, 2)" in message
    assert "w = (3)" in verify(measured(consistent=False, compared=True)).failure_message()
    assert "metarep verify toy" in message
    assert "replay" not in message, "without a check there is nothing to replay"
    assert verify(measured(consistent=True)).evidence[0].counterexample is None
    assert verify(measured(consistent=True, compared=True)).evidence[0].comparisons == {}
    assert verify(measured(consistent=False)).evidence[0].comparisons == {}
    with pytest.raises(ValueError, match="'toy' is measured, not checked on examples; allowed"):
        replay(measured(consistent=True), {"k": 1})


def test_claim_without_a_check_is_refused() -> None:
    with pytest.raises(ValueError, match="neither proof nor check"):
        inequality(None, floats=None)
    with pytest.raises(ValueError, match="goes with"):
        inequality(lambda at, _: Comparison(0, 0, 0), floats=None)


def test_two_runs_in_a_row_give_the_same_evidence() -> None:
    claim = get_claim("update-maml")
    first, second = (verify(claim, profile=Profile(effort=0.2)) for _ in range(2))
    assert first.evidence == second.evidence
    other = verify(claim, profile=Profile(effort=0.2, seed=1))
    assert [item.instance for item in other.evidence] != [item.instance for item in first.evidence]


def test_draws_do_not_depend_on_what_is_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hypothesis would otherwise mix in constants from the source of every local module that is loaded."""
    claim = get_claim("update-maml")
    profile = Profile(effort=0.4, power=0)
    before = verify(claim, profile=profile).evidence
    numbers = ", ".join(f"{i / 977}" for i in range(1, 900))
    (tmp_path / "many_constants.py").write_text(f"NUMBERS = [{numbers}]\n")
    monkeypatch.syspath_prepend(tmp_path)
    importlib.import_module("many_constants")
    assert verify(claim, profile=profile).evidence == before


def test_replay_runs_a_stored_counterexample_again() -> None:
    wrong = replace(REFERENCE, name="wrong", step=partial(scaled_step_sizes(alpha_factor=1.5), REFERENCE.step))
    finding = verify(get_claim("update-fo-maml"), wrong, examples=20, profile=Profile(most_shrinks=50))
    bad = finding.counterexample
    assert bad is not None
    assert bad.counterexample is not None
    stored = encode(bad.counterexample)
    assert not replay("update-fo-maml", stored, wrong).holds
    assert replay("update-fo-maml", stored).holds


def test_instances_survive_json() -> None:
    instance = {"k": 2, "alpha": Fraction(1, 3), "B": [[Fraction(2), 0.5]], "kind": "balanced", "n": np.int64(3)}
    again = decode(encode(instance))
    assert json.loads(json.dumps(encode(instance))) == encode(instance)
    names = {"one": "a/b", "two": "1/", "three": "/2", "four": "1/b", "five": "12"}
    assert decode(names) == names
    assert decode(["-1/2", "3/4"]) == [Fraction(-1, 2), Fraction(3, 4)]
    assert again == {"k": 2, "alpha": Fraction(1, 3), "B": [[Fraction(2), 0.5]], "kind": "balanced", "n": 3}


def test_float32_inside_is_found_by_rounding_alone() -> None:
    """The tolerance is tight enough to tell single from double precision, and wide enough for double."""
    wrong = wrong_implementation(MUTANTS["float32-inside"])
    assert verify(get_claim("update-anil"), wrong, kinds=("floats",)).status == Verdict.REFUTED
    single = replace(wrong, eps=2.0**-23)
    assert verify(get_claim("update-anil"), single, kinds=("floats",)).status == Verdict.SUPPORTED


def test_what_a_measurement_says_is_kept() -> None:
    found = Measurement(1.5, 0.25, 7, "toy", details={"slope": 2})
    seen = []

    def measured(implementation: Implementation, seed: int, effort: float) -> Measurement:
        seen.append((implementation, seed, effort))
        return found

    claim = inequality(None, floats=None, kind="measurement", measure=measured)
    (evidence,) = verify(claim, examples=100).evidence
    assert (evidence.estimate, evidence.uncertainty, evidence.examples, evidence.why) == (1.5, 0.25, 7, "toy")
    assert evidence.details == {"slope": 2}
    assert evidence.verdict == Verdict.MEASURED
    verify(replace(claim, id="other", seeded_as="toy"))
    verify(replace(claim, id="other"), profile=Profile(seed=1))
    verify(claim, profile=Profile(seed=1))
    (first, second, third, fourth) = seen
    assert first[:2] == second[:2]
    assert len({first[1], third[1], fourth[1]}) == 3
    assert max(first[1], third[1], fourth[1]) > 2**16
    assert (first[2], second[2]) == (0.5, 1.0)
    assert type(first[1]) is int
    assert 0 <= first[1] < 2**32


def test_examples_made_by_hand_are_counted_until_one_fails() -> None:
    def check(at, _) -> Comparison:
        return Comparison(at["x"], 2.0, 0.5 if at["x"] == 1 else 0.0, "too large")

    claim = inequality(check)
    (found,) = verify(replace(claim, check=lambda at, _: Comparison(0.0, 2.0, 0.0)), examples=20).evidence
    assert found.examples == 20
    assert found.independent is not None
    assert found.independent < found.examples  # the others were made of these, on the way to the worst margin
    more = besides(claim, check, found, [{"x": 1.0}, {"x": 2.0}], REFERENCE)
    assert (more.verdict, more.examples, more.independent) == (Verdict.SUPPORTED, 22, found.independent + 2)
    assert more.worst_margin == found.worst_margin
    blunt = besides(claim, lambda at, _: Comparison(1.0, 2.0, 10.0), found, [{"x": 1.0}, {"x": 1.0}], REFERENCE)
    assert blunt.blunt == found.blunt + 2
    bad = besides(claim, check, replace(found, independent=None), [{"x": 1.0}, {"x": 3.0}, {"x": 4.0}], REFERENCE)
    assert (bad.verdict, bad.examples, bad.counterexample) == (Verdict.REFUTED, 22, {"x": 3.0})
    assert bad.independent is None
    assert bad.comparisons["counterexample"].value == 3.0
    assert "too large: 3 > 2" in bad.why
    assert bad.strain == bad.comparisons["counterexample"].strain
    assert bad.kind == "floats"


def test_power_counts_the_examples_that_a_wrong_learner_fails() -> None:
    claim = get_claim("update-anil")
    (evidence,) = verify(claim, kinds=("floats",), examples=24).evidence
    assert evidence.power is not None
    assert 0 < evidence.power.could_fail <= evidence.power.tried <= 12
    (without,) = verify(claim, kinds=("floats",), examples=24, profile=Profile(power=0)).evidence
    assert without.power is None
    checked = [({"x": float(i)}, Comparison(0.0, 1.0, 0.0)) for i in range(10)]
    seen: list[float] = []

    def fails(_: Claim, example, __: Implementation) -> bool:
        seen.append(example["x"])
        return example["x"] > 4

    assert power_of(claim, checked, 12, fails) == Power(5, 3)
    assert sorted(set(seen)) == [1.0, 3.0, 5.0, 7.0, 9.0]
    assert power_of(claim, checked[:2], 12, fails) == Power(2, 0)
    assert power_of(claim, checked, 4, fails).tried == 4
    assert power_of(claim, checked[:4], 12, fails).tried == 3


def test_an_inequality_that_is_met_as_an_equality_is_an_identity() -> None:
    claim = replace(get_claim("update-anil"), kind="inequality")
    assert is_identity(claim, Comparison(1.0, 1.0, 0.0))
    assert is_identity(claim, Comparison(1.0, 1.5, 0.5))
    assert is_identity(claim, Comparison(1.5, 1.0, 0.5))
    assert not is_identity(claim, Comparison(1.0, 1.5, 0.25))
    assert not is_identity(replace(claim, kind="identity"), Comparison(1.0, 1.0, 0.0))
    assert not is_identity(inequality(lambda at, _: Comparison(1.0, 1.0, 0.0)), Comparison(1.0, 1.0, 0.0))


def test_mutants_are_tried_on_the_claims_that_speak_of_what_they_change() -> None:
    by_name = {mutant.name: mutant for mutant in IMPLEMENTATION_MUTANTS}
    update, blind = get_claim("update-anil"), inequality(lambda at, _: Comparison(0.0, 1.0, 0.0))
    for name in PANEL:
        found = tried_on(by_name[name], update)
        by_distance = "subspace_distance" in by_name[name].parts
        assert (found is not None) == (not by_distance and "anil" in by_name[name].learners)
        assert tried_on(by_name[name], blind) is None
        assert found is None or (found[0] is update and found[1].name != REFERENCE.name)
    panel = panel_of(update)
    assert {"frozen", "outer-ascent"} <= {trial[1].name.split()[-1] for trial in panel}
    assert len(panel_of(replace(update, kind="inequality"))) == 2  # about progress: what moves less
    assert all(trial[0].check is not None for trial in panel)
    assert not about_progress(blind)
    measured = next(claim for claim in catalogue() if not claim.check and "step" in claim.exercises and claim.learners)
    tried = {name for name in PANEL if tried_on(by_name[name], measured) is not None}
    assert tried
    assert tried <= set(IDLE)  # a measurement takes thousands of steps
    for other in (SAMPLER_MUTANTS[0], PROOF_MUTANTS[0]):
        assert tried_on(other, update) is None


def test_wrong_formulas_are_tried_on_the_claims_that_take_them() -> None:
    by_name = {mutant.name: mutant for mutant in FORMULA_MUTANTS}
    claim = get_claim("right-factor-any-spec")
    found = tried_on(by_name["right-factor"], claim)
    assert found is not None
    assert (found[0].id, found[0] is claim, found[1]) == (claim.id, False, REFERENCE)
    assert tried_on(by_name["modes"], claim) is None
    assert any(trial[0] is not claim for trial in panel_of(claim))


def test_evidence_is_of_rounded_numbers_or_not() -> None:
    refuted = Evidence("floats", Verdict.REFUTED, 1)
    assert refuted.in_floats_only
    assert replace(refuted, kind="measurement").in_floats_only
    assert not replace(refuted, kind="exact").in_floats_only
    assert not replace(refuted, verdict=Verdict.SUPPORTED).in_floats_only
    assert not replace(refuted, confirmation=Confirmation("fractions", ())).in_floats_only


def test_a_search_that_is_ended_before_its_first_example_says_nothing() -> None:
    def check(_, __) -> Comparison:
        raise EnoughError

    exact = {"floats": None, "fractions": lambda: st.just({"x": Fraction(1)})}
    for claim in (inequality(check), inequality(check, **exact)):
        found = verify(claim, examples=5)
        assert found.status is Verdict.NOT_RUN
        assert [(each.verdict, each.examples) for each in found.evidence] == [(Verdict.NOT_RUN, 0)]


def test_numbers_of_examples_in_words() -> None:
    evidence = Evidence("floats", Verdict.SUPPORTED, 9)
    assert counted(evidence) == "9 examples"
    assert counted(replace(evidence, independent=9)) == "9 independent examples"
    assert counted(replace(evidence, independent=4)) == "9 examples, 4 independent"


def test_one_example_is_one_of_each_kind() -> None:
    def check(at, _) -> Comparison:
        return Comparison(at["x"], at["x"], 0)

    thirds = st.integers(1, 10**6).map(lambda i: {"x": Fraction(i, 3)})
    claim = inequality(check, kind="identity", fractions=lambda: thirds, expected=Verdict.EXACT)
    exact, floats = verify(claim, examples=1).evidence
    assert (exact.kind, exact.examples, floats.kind, floats.examples) == ("exact", 1, "floats", 1)
    assert (exact.worst_margin, exact.nearest, set(exact.comparisons)) == (None, None, {"instance"})
    assert exact.instance is not None
    assert type(exact.instance["x"]) is Fraction


def test_a_counterexample_comes_with_its_sizes_and_numbers() -> None:
    claim = inequality(lambda at, _: Comparison(at["k"], 3.0, 0.0), floats=lambda: st.just({"k": 4, "d": 8}))
    (bad,) = verify(claim).evidence
    assert (bad.verdict, bad.examples, bad.strain) == (Verdict.REFUTED, 1, bad.comparisons["counterexample"].strain)
    assert bad.confirmation is None  # found in floats
    assert bad.sizes is not None
    assert (dict(bad.sizes.k), dict(bad.sizes.d)) == ({"4": 1}, {"8": 1})


def test_what_a_wrong_learner_brings_about_in_a_check_is_told_with_the_claim() -> None:
    def check(at, implementation: Implementation) -> Comparison:
        if implementation is not REFERENCE:
            raise IndexError("of a learner that is wrong")
        return Comparison(0.0, 1.0, 0.0)

    claim = replace(get_claim("update-anil"), check=check)
    with pytest.raises(IndexError) as raised:
        verify(claim, kinds=("floats",), examples=5)
    assert "claim update-anil" in raised.value.__notes__[0]


def test_warnings_about_numbers_are_the_references_own() -> None:
    def check(_, implementation: Implementation) -> Comparison:
        return Comparison(np.float64(1.0) / np.float64(0.0), 1.0, 0.0)

    claim = inequality(check, floats=lambda: st.just({"x": 1}))
    with pytest.warns(RuntimeWarning, match="divide by zero"):
        assert verify(claim).status == Verdict.REFUTED
    assert verify(claim, replace(REFERENCE, name="other")).status == Verdict.REFUTED  # what it returns is no number


def test_a_quarter_of_the_examples_are_exact() -> None:
    thirds = st.integers(1, 10**6).map(lambda i: {"x": Fraction(i, 3)})
    claim = inequality(lambda at, _: Comparison(at["x"], at["x"], 0), kind="identity", fractions=lambda: thirds)
    assert [item.examples for item in verify(claim, examples=40).evidence] == [10, 40]
    for effort, counts in ((0.4, [20, 80]), (1e-9, [1, 1])):  # of 200
        found = verify(claim, profile=Profile(effort=effort))
        assert [item.examples for item in found.evidence] == counts


def test_an_offset_is_tried_where_nothing_else_tells_and_no_progress_is_meant() -> None:
    checked = [({"x": float(i)}, Comparison(0.0, 1.0, 0.0)) for i in range(6)]
    name = wrong_implementation(MUTANTS["offset"]).name

    def fails(_: Claim, __: object, implementation: Implementation) -> bool:
        return implementation.name == name

    claim = get_claim("update-anil")
    assert power_of(claim, checked, 12, fails) == Power(3, 3)
    progress = replace(claim, kind="inequality")
    assert about_progress(progress)
    assert power_of(progress, checked, 12, fails) == Power(3, 0)


def test_what_is_blunt_everywhere_was_not_run() -> None:
    (found,) = verify(inequality(lambda at, _: Comparison(0.0, 1.0, 2.0)), examples=7).evidence
    assert (found.kind, found.verdict, found.examples) == ("floats", Verdict.NOT_RUN, 0)
    assert found.blunt >= 7
    assert "tolerance" in found.why


def test_what_breaks_down_on_numbers_is_a_violation() -> None:
    claim = inequality(lambda at, _: Comparison(1 / at["x"], 1.0, 0.0), floats=lambda: st.just({"x": 0}))
    for implementation in (REFERENCE, replace(REFERENCE, name="other")):
        (refuted,) = verify(claim, implementation).evidence
        assert refuted.verdict == Verdict.REFUTED
        assert "the check broke down (ZeroDivisionError: division by zero)" in refuted.why


def test_a_strategy_that_draws_nothing_is_one_line() -> None:
    for nothing in (st.nothing(), st.integers().filter(lambda x: False)):
        with pytest.raises(ClaimError, match=r"^draws no examples \((?!None)[A-Z][^.]+\); allowed: a strategy"):
            verify(inequality(lambda at, _: Comparison(0.0, 1.0, 0.0), floats=lambda nothing=nothing: nothing))


def test_of_examples_that_show_as_much_the_first_is_shown() -> None:
    tried = []

    def check(at, _) -> Comparison:
        tried.append(at)
        return Comparison(0.0, 1.0, 0.0, "too large")

    (found,) = verify(inequality(check, floats=lambda: st.integers(1, 99).map(lambda x: {"x": x})), examples=9).evidence
    assert found.instance == tried[0]
    assert found.why == "too large"


def test_examples_made_by_hand_end_where_the_check_does() -> None:
    other = replace(REFERENCE, name="other")

    def check(at, implementation: Implementation) -> Comparison:
        assert implementation is other
        if at["x"] == 2.0:
            raise EnoughError
        return Comparison(at["x"], 2.0, 0.0)

    (found,) = verify(inequality(lambda at, _: Comparison(0.0, 2.0, 0.0)), examples=20).evidence
    more = besides(inequality(check), check, found, [{"x": 1.0}, {"x": 2.0}, {"x": 3.0}], other)
    assert (more.verdict, more.examples) == (Verdict.SUPPORTED, 21)


def test_another_hypothesis_counts_no_independent_examples(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as without:
        without.setitem(sys.modules, "hypothesis.internal.constants_ast", None)
        assert search._internals() is None
    monkeypatch.setattr(search, "_INTERNALS", None)
    (found,) = verify(inequality(lambda at, _: Comparison(at["x"], 10.0, 0.0)), examples=20).evidence
    assert (found.verdict, found.examples, found.independent, found.power) == (Verdict.SUPPORTED, 20, None, None)


def test_what_is_not_said_is_not_there() -> None:
    evidence = Evidence("floats", Verdict.SUPPORTED, 5)
    none = (None,) * 4
    assert (evidence.worst_margin, evidence.instance, evidence.nearest, evidence.counterexample) == none
    assert (evidence.strain, evidence.estimate, evidence.uncertainty, evidence.sizes) == none
    assert (evidence.independent, evidence.power, evidence.confirmation) == none[1:]
    assert (evidence.comparisons, evidence.details, evidence.why, evidence.steps, evidence.blunt) == ({}, {}, "", (), 0)
    assert Profile() == Profile("default", 1.0, 0, True, None, 12)
    assert Finding(get_claim("update-anil"), "x", ()).seconds == 0.0


def test_draws_are_those_of_their_seed() -> None:
    claim = inequality(lambda at, _: Comparison(0.0, 1.0, 0.0))
    instances = [verify(replace(claim, id=name), examples=9).evidence[0].instance for name in ("toy", "toy", "other")]
    assert instances[0] == instances[1] != instances[2]
    first, again, other = (drawn(claim, "floats", 8, seed) for seed in (1, 1, 2))
    assert len(first) == 8
    assert first == again
    assert first != other


@pytest.mark.parametrize("shape", [(), (4,), (2, 3)])
def test_an_array_draws_what_lists_of_its_entries_draw(shape: tuple[int, ...]) -> None:
    as_lists: st.SearchStrategy = st.floats(-2, 2).map(abs)
    for size in reversed(shape):
        as_lists = st.lists(as_lists, min_size=size, max_size=size)

    def examples(strategy: st.SearchStrategy) -> list[Example]:
        claim = inequality(lambda at, _: at, floats=lambda: st.fixed_dictionaries({"x": strategy}))
        return drawn(claim, "floats", 40, 0)

    found = examples(Drawn(st.floats(-2, 2), shape, abs))
    assert len(found) == 40
    assert found == examples(as_lists)


def test_an_example_finds_the_global_generators_seeded_and_a_search_leaves_them_alone() -> None:
    def states() -> str:
        return repr((random.getstate(), np.random.get_state()))  # noqa: NPY002

    def check(at, _) -> Comparison:
        seen.add((random.random(), np.random.random()))  # noqa: NPY002
        return Comparison(at["x"], 10.0, 0.0)

    before, seen = states(), set()
    verify(inequality(check), profile=Profile(power=0))
    assert states() == before
    assert seen == {(random.Random(0).random(), np.random.RandomState(0).random())}
