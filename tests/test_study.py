"""Studies: verdicts of the worked examples, their rates, fixed points, and the command."""

import json
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jsonschema import Draft202012Validator

from metarep.reports.chapters.learners.examples import HEADER, draw_examples, draw_study, studied
from metarep.reports.cli.app import run
from metarep.reports.page.output import as_json
from metarep.reports.report.schema import part_schema
from metarep.reports.study import interpreter, reverse
from metarep.reports.study.study import Learns, Settings, Study, _verdict, example, record, study
from metarep.sim.learners import LEARNERS, Learner
from metarep.sim.outcomes import Outcome
from metarep.sim.problems import heads_with_spectrum
from metarep.theory.calculus import alphabet as a
from metarep.theory.calculus.evaluation import evaluate_words
from metarep.theory.calculus.words import Poly, identity
from metarep.theory.dynamics.any_learner import (
    fixed_families,
    fixed_point_near,
    perpendicular_factor,
    restpoint_at,
    same_update_as,
)
from metarep.theory.dynamics.derive import adapted_loss, derive, task_gradients
from metarep.theory.dynamics.linearise import span_head_matrix
from metarep.theory.dynamics.rates import local_spectrum
from metarep.theory.dynamics.structure import right_factor

QUICK = Settings(d=8, k=2, n=5, steps=240, trials=1, alpha=0.5, beta=0.5)
KEYS = {"learner", "learns", "reason", "symbolic", "empirical", "relative_error", "spectrum"}


@pytest.fixture(scope="module")
def studies() -> dict[str, Study]:
    """All examples but two-step MAML, whose words alone take seconds; its fixed point is tested below."""
    names = ("boil", "anil-3", "ridge-anil", "ridge-head", "exact-head", "reptile-1", "reptile-2")
    return {name: study(example(name), QUICK) for name in names}


@pytest.mark.parametrize("name", ["ridge-anil", "exact-head", "reptile-2"])
def test_rates_that_exist_agree(studies: dict[str, Study], name: str) -> None:
    result = studies[name]
    assert result.learns is Learns.YES
    assert result.relative_error is not None
    assert result.relative_error < 1e-3
    assert result.symbolic is not None
    assert result.empirical == pytest.approx(result.symbolic, rel=1e-3)


def test_three_steps_of_anil_approach_their_rate_slowly(studies: dict[str, Study]) -> None:
    """The span is neutral to first order: S dies only algebraically, and so does the rate's deviation."""
    result = studies["anil-3"]
    assert result.learns is Learns.YES
    assert result.restpoint is not None
    assert result.restpoint.neutral == result.restpoint.span_head.size
    assert result.relative_error is not None
    assert result.relative_error < 5e-3


@pytest.mark.parametrize("name", ["boil", "reptile-1"])
def test_those_that_do_not_learn_say_why(studies: dict[str, Study], name: str) -> None:
    result = studies[name]
    assert result.learns is Learns.NO
    assert "multiple of wwᵀ" in result.reason
    assert (result.symbolic, result.empirical, result.relative_error) == (None, None, None)
    assert result.learned == (0, 0, 0, 0)
    # BOIL's head gets to α‖w‖² = 1, where its inner step solves any task; one inner step of Reptile helps with none.
    assert result.blind[1:] == ((1, 1, 1) if name == "boil" else (0, 0, 0))
    assert ("ended blind" in result.reason) == (name == "boil")


def test_a_ridge_head_learns_at_no_rate(studies: dict[str, Study]) -> None:
    result = studies["ridge-head"]
    assert result.learns is Learns.YES
    assert result.symbolic is None
    assert "no fixed point" in result.reason


def test_reptile_is_recognised() -> None:
    assert same_update_as(example("reptile-1")) == ("average-loss",)
    assert set(same_update_as(example("reptile-2"))) == {"average-loss", "fo-maml"}
    assert same_update_as(example("boil")) == ()
    assert same_update_as(replace(example("reptile-1"), representation_step=0.5)) == ()


def test_two_step_reptile_turns_for_ever(studies: dict[str, Study]) -> None:
    result = studies["reptile-2"]
    assert result.restpoint is not None
    assert result.restpoint.turn > 1e-7
    assert "turns" in result.reason
    # and it is a turn: where the heads' mean is zero there is none
    centred = study(example("reptile-2"), replace(QUICK, head_mean=0.0))
    assert centred.restpoint is not None
    assert centred.restpoint.turn < 1e-9


def test_loss_of_boil() -> None:
    """½(1 − α‖w‖²)²‖r‖², as words."""
    residual = a.B * a.w - a.theta
    shrink = identity("1") - (a.w.T * a.w).scaled(alpha=1)
    assert adapted_loss(example("boil")) == shrink * shrink * (residual.T * residual) * Fraction(1, 2)


def test_fixed_families() -> None:
    found = {name: [family.id for family in fixed_families(example(name))] for name in ("boil", "anil-3", "ridge-anil")}
    assert found == {"boil": ["unit-head"], "anil-3": ["balanced-any-head"], "ridge-anil": ["balanced"]}
    assert "any-span" in [family.id for family in fixed_families(example("exact-head"))]
    for name in ("ridge-head", "reptile-2"):
        assert fixed_families(example(name)) == ()
    for name, expected in (("anil", "balanced-any-head"), ("maml", "balanced"), ("average-loss", None)):
        assert [family.id for family in fixed_families(LEARNERS[name])] == ([expected] if expected else [])
    speeds = Learner("speeds", "both", head_step=0.5, representation_step=2.0)
    assert [family.what for family in fixed_families(speeds)] == ["B = B_*M with α_wMMᵀ = I, w = 0"]


def test_factor_of_two_step_maml_at_the_truth() -> None:
    """Own derivation: there N has the eigenvalues 1 − αβ·eig(mean (1 − α²‖w_*‖²)² w_*w_*ᵀ), unlike with one step."""
    rng = np.random.default_rng(0)
    heads, alpha, beta = rng.standard_normal((2, 5)), 0.4, 0.2
    M = np.linalg.qr(rng.standard_normal((2, 2)))[0] / np.sqrt(alpha)
    N = perpendicular_factor(example("maml-2"), M, np.zeros(2), heads, alpha, beta)
    weights = (1 - alpha**2 * np.square(heads).sum(0)) ** 2
    predicted = 1 - alpha * beta * np.linalg.eigvalsh(heads * weights @ heads.T / 5)
    np.testing.assert_allclose(np.sort(np.linalg.eigvals(N)), np.sort(predicted), rtol=0, atol=1e-13)


@pytest.mark.parametrize("name", ["anil", "fo-anil", "maml", "fo-maml"])
def test_spectrum_is_that_of_the_symbolic_linearisation(name: str) -> None:
    """The numerical linearisation in (MMᵀ, Mw) against the words' in (S, ω): the same map in other coordinates."""
    rng = np.random.default_rng(1)
    heads, alpha, beta = heads_with_spectrum([1.0, 0.6], 5, rng, mean=[0.3, 0.2]), 0.4, 0.3
    M = np.linalg.qr(rng.standard_normal((2, 2)))[0] / np.sqrt(alpha)
    found = restpoint_at(LEARNERS[name], M, np.zeros(2), heads, alpha, beta)
    expected = np.linalg.eigvals(span_head_matrix(LEARNERS[name], heads, alpha, beta))
    # power sums, as neutral eigenvalues may be defective
    for power in (1, 2, 3):
        assert np.sum(found.span_head**power) == pytest.approx(np.sum(expected**power), abs=1e-11)
    assert found.rate == pytest.approx(1 - alpha * beta * 0.6, abs=1e-13)
    assert found.residual < 1e-14


@pytest.mark.parametrize("name", ["boil", "ridge-anil", "exact-head", "ridge-head", "reptile-2"])
def test_factor_by_complex_step_is_that_of_the_words(name: str) -> None:
    learner = example(name)
    rng = np.random.default_rng(2)
    M, w, heads = rng.standard_normal((2, 2)), rng.standard_normal(2), rng.standard_normal((2, 4))
    from metarep.theory.dynamics.derive import exact_head_arrays, scalar_values

    arrays = {"B": M, "w": w, "w_star_i": heads, "B_star": np.eye(2), **exact_head_arrays(learner, M)}
    words = evaluate_words(right_factor(learner), arrays, scalar_values(learner, 0.3, 0.2))
    np.testing.assert_allclose(perpendicular_factor(learner, M, w, heads, 0.3, 0.2), words, rtol=0, atol=1e-11)


def test_a_fixed_point_of_given_tasks_is_fixed() -> None:
    rng = np.random.default_rng(4)
    learner, alpha, beta = example("reptile-2"), 0.5, 0.5
    heads = heads_with_spectrum([1.0, 0.6], 5, rng, mean=[0.2, 0.1])
    found = fixed_point_near(learner, np.eye(2) / np.sqrt(alpha), np.zeros(2), heads, alpha, beta)
    assert found is not None
    assert found.family == ""
    M, w = derive(learner)(found.M, found.w, heads, alpha, beta)
    np.testing.assert_allclose(M @ M.T, found.M @ found.M.T, rtol=0, atol=1e-11)
    np.testing.assert_allclose(M @ w, found.M @ found.w, rtol=0, atol=1e-11)
    assert fixed_point_near(learner, np.zeros((2, 2)), np.zeros(2), heads, alpha, beta) is None


def test_record_table_and_figures(studies: dict[str, Study]) -> None:
    for result in studies.values():
        data = record(result)
        assert set(data) >= KEYS
        json.dumps(data, allow_nan=False)
        Draft202012Validator(part_schema("learners")).validate(json.loads(as_json([studied(result).record])))
    shown = [studied(result) for result in studies.values()]
    assert all(len(each.row) == len(HEADER) for each in shown)
    assert draw_examples(shown).axes
    assert draw_study(studies["exact-head"]).axes


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec = tmp_path / "mine.toml"
    spec.write_text('adapts = "representation"\nfirst_order = true\n')
    quick = ["--d", "8", "--k", "2", "--n", "5", "--steps", "150", "--trials", "1"]
    assert run(["study", str(spec), "--json", "--out", str(tmp_path / "out"), *quick]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert set(shown) >= KEYS
    assert (shown["learner"], shown["learns"]) == ("mine", "no")
    assert json.loads((tmp_path / "out" / "study-mine.json").read_text())["reason"] == shown["reason"]
    assert (tmp_path / "out" / "study-mine.svg").stat().st_size > 1000
    assert run(["study", "fo-anil", *quick]) == 0
    assert "learns the representation" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ('adapts = "nothing"\ninner_steps = 2\n', []),
        ('adapts = "head"\nridge = -0.1\n', []),
        ('adapts = "head"\nrigde = 0.1\n', []),
        ('adapts = "both"\ninner_steps = 3\n', []),
        ('adapts = "head"\n', ["--alpha", "0"]),
        ('adapts = "head"\n', ["--d", "3"]),
        ('adapts = "head"\n', ["--head-mean", "5"]),
    ],
)
def test_bad_input(tmp_path: Path, complaint: Callable[..., str], text: str, options: list[str]) -> None:
    spec = tmp_path / "bad.toml"
    spec.write_text(text)
    assert complaint("study", spec, *options)
    assert "unknown learner 'nonesuch'" in complaint("study", "nonesuch")


@pytest.mark.parametrize("module", [interpreter, reverse])
def test_symbolic_side_knows_the_interpreters_not(module: Any) -> None:
    """And they nothing that was derived: they import no module of theory."""
    assert "theory" not in Path(module.__file__).read_text(encoding="utf-8")
    assert task_gradients(example("exact-head"))[1] == Poly(("k", "1"))


def test_a_learner_that_arrives_and_does_not_stay() -> None:
    """FO-MAML with a large mean of the heads: dist falls at the predicted rate while span and head run away."""
    result = study(LEARNERS["fo-maml"], Settings(head_mean=0.74, trials=1, steps=1500))
    assert result.trajectory.diverged[0]
    assert result.learns is Learns.ARRIVES
    assert "arrives at, and does not stay with, the representation" in result.learns.words
    assert result.restpoint is not None
    assert not result.restpoint.stable
    assert "unstable" in result.reason
    assert "nan" not in result.reason
    assert result.relative_error is not None
    assert result.relative_error < 1e-2


def test_a_point_that_is_unstable_is_told_before_the_run_has_left_it() -> None:
    result = study(LEARNERS["fo-maml"], Settings(head_mean=0.74, trials=1, steps=400))
    assert result.trajectory.outcome[0] is Outcome.CONVERGED
    assert result.learns is Learns.ARRIVES
    assert "unstable" in result.reason


@pytest.mark.parametrize(
    ("ends", "arrived", "falling", "verdict"),
    [
        ("CONVERGED", True, False, "yes"),
        ("MOVING", False, True, "yes"),
        ("RECEDING", True, True, "arrives"),
        ("CONVERGED DIVERGED", True, True, "arrives"),
        ("STALLED", False, False, "no"),
        ("DIVERGED", False, False, "no"),
    ],
)
def test_three_answers(ends: str, arrived: bool, falling: bool, verdict: str) -> None:
    assert _verdict(np.array([Outcome[end] for end in ends.split()]), arrived, falling, None) == verdict


def test_local_spectrum_of_other_specs_is_not_that_of_one_step() -> None:
    rng = np.random.default_rng(5)
    heads = 0.5 * rng.standard_normal((2, 5))
    learner = Learner("fo-maml-2", "both", first_order=True, inner_steps=2)
    found = local_spectrum(learner, heads, 0.4, 0.3)
    expected = restpoint_at(learner, np.eye(2) / np.sqrt(0.4), np.zeros(2), heads, 0.4, 0.3)
    np.testing.assert_allclose(found.perpendicular, expected.perpendicular, rtol=0, atol=1e-13)
    assert abs(found.rate - (1 - 0.4 * 0.3 * np.linalg.eigvalsh(heads @ heads.T / 5)[0])) > 1e-5
