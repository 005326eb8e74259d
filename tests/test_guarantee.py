"""What is guaranteed for a problem: which theorem, which condition fails first, and numbers that a run respects."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from metarep.reports.cli.app import run
from metarep.reports.study.guarantee import guarantee as answered
from metarep.sim.problems import make_problem
from metarep.theory.inequalities.guarantee import APPLICABLE, guarantee
from metarep.theory.inequalities.theorems import THEOREMS

HEADS = np.array([[1.0, 1.0, -1.0, -1.0], [1.0, -1.0, 1.0, -1.0]])  # centred, symmetric, Ψ_* = I


def test_every_theorem_is_somebodys() -> None:
    assert {theorem for names in APPLICABLE.values() for theorem in names} == set(THEOREMS)


@pytest.mark.parametrize("learner", APPLICABLE)
def test_centred_heads_are_covered(learner: str) -> None:
    found = guarantee(learner, HEADS, alpha=1.0, beta=0.05, dist0=0.5)
    assert found.theorem == APPLICABLE[learner][0]
    assert found.holds
    assert found.rate == pytest.approx(1 - 10 / 9 * 0.05 * 0.65)
    steps = found.steps_to(1e-3)
    assert steps is not None
    assert found.rate is not None
    assert found.rate**steps <= 1e-3 < found.rate ** (steps - 1)


@pytest.mark.parametrize(
    ("change", "failing"),
    [
        ({"imbalance": 0.1}, r"\alpha B_0^\top B_0 = I"),
        ({"start_head": 1e-3}, "w_0 = 0"),
        ({"heads": HEADS * [[1.0], [0.0]]}, r"0 < \mu_*^2"),
        ({"dist0": 0.96}, r"0 < E_0 = 0.9 - \mathrm{dist}_0^2"),
        ({"beta": 1.0}, r"\alpha\beta L_*^2 \le \tfrac{1}{8}\, E_0/\kappa_*^2"),
        ({"alpha": 0.01}, r"\beta/\alpha \le \tfrac{1}{2}\, E_0^2 \kappa_*^{-4}"),
    ],
)
def test_the_first_condition_that_fails_is_named(change: dict[str, object], failing: str) -> None:
    heads = np.add(HEADS, [[0.3], [0.0]])
    problem = {"heads": heads, "alpha": 1.0, "beta": 0.03, "dist0": 0.3}
    assert guarantee("fo-anil", **problem).holds  # type: ignore[arg-type]
    found = guarantee("fo-anil", **{**problem, **change})  # type: ignore[arg-type]
    assert found.failing is not None
    assert found.failing.latex == failing
    assert found.steps_to(0.1) is None


def test_the_largest_steps_are_the_conditions_edge() -> None:
    heads = np.add(HEADS, [[0.5], [0.2]])
    found = guarantee("anil", heads, alpha=0.5, beta=1e-3, dist0=0.4)
    assert found.alphas is not None
    assert found.best is not None
    rate, product, least = found.best
    for alpha, beta in (
        (0.5, found.largest_beta),
        (found.alphas[0], 1e-3),
        (found.alphas[1], 1e-3),
        (least, product / least),
    ):
        for factor, holds in ((1 - 1e-9, True), (1 + 1e-6, False)):
            scaled = factor if alpha != found.alphas[0] else 1 / factor
            a, b = (alpha * scaled, beta) if beta == 1e-3 else (alpha, beta * factor)
            assert guarantee("anil", heads, a, b, 0.4).holds is holds, (alpha, beta, factor)
    assert guarantee("anil", heads, least, product / least * (1 - 1e-9), 0.4).rate == pytest.approx(rate)


def test_tasks_that_change_count_with_their_extremes() -> None:
    both = np.stack([HEADS, 2 * HEADS])
    at = guarantee("fo-anil", both, 1.0, 0.01, 0.3).at
    assert (at.mu_squared, at.L_squared, at.trace) == pytest.approx((1.0, 4.0, 8.0))


def test_average_loss_has_no_theorem() -> None:
    found = guarantee("average-loss", HEADS, 1.0, 0.01, 0.3)
    assert (found.theorem, found.holds, found.rate) == ("", False, None)


def test_bad_input() -> None:
    with pytest.raises(ValueError, match="alpha is 0; allowed: a positive number"):
        guarantee("anil", HEADS, 0, 0.1, 0.5)
    with pytest.raises(ValueError, match=r"heads have shape \(2,\); allowed: \(k, n\)"):
        guarantee("anil", np.ones(2), 0.1, 0.1, 0.5)
    with pytest.raises(ValueError, match="dist is 1; allowed: above 0 and below 1"):
        guarantee("anil", HEADS, 0.1, 0.1, 0.5).steps_to(1)


def test_a_run_keeps_what_is_guaranteed() -> None:
    problem = make_problem(30, 3, 40, 0.3, np.random.default_rng(1), "fixed", "balanced", 0.6)
    found = answered("anil", problem, 0.3, 0.02, target=1e-4)
    assert found.found.holds
    assert found.found.rate is not None
    steps = found.trajectory.steps.astype(float)
    assert (found.trajectory.dist <= found.found.rate**steps * (1 + 1e-9) + 1e-12).all()
    guaranteed = found.found.steps_to(1e-4)
    assert found.seen_steps is not None
    assert guaranteed is not None
    assert found.seen_steps <= guaranteed


def test_the_command(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    setting = ["--d", "20", "--k", "2", "--n", "30", "--steps", "400", "--to", "0.1"]
    assert run(["guarantee", "fo-anil", *setting, "--beta", "0.001"]) == 0
    out = capsys.readouterr().out
    assert "Covered by theorem-fo-anil (PROVED): dist after T steps is at most 0.99" in out
    assert run(["guarantee", "fo-anil", *setting, "--beta", "5"]) == 0
    assert "Not covered by theorem-fo-anil: the first condition that fails is αβ L_*² ≤ 1/8 E₀/κ_*²" in (
        capsys.readouterr().out
    )
    figure = tmp_path / "guarantee.svg"
    assert run(["guarantee", "maml", *setting, "--json", "--out", str(figure)]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["theorem"], found["holds"], found["guaranteed_rate"]) == ("theorem-maml-symmetric", False, None)
    assert math.isclose(found["dist0"], 0.5)
    assert "<svg" in figure.read_text(encoding="utf-8")


def test_a_problem_of_ones_own(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """A start that is not balanced is an answer, and says so."""
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "mine.npz", B0=rng.standard_normal((6, 2)), w0=np.zeros(2), heads=HEADS)
    assert run(["guarantee", "anil", "--problem", str(tmp_path / "mine.npz"), "--steps", "50"]) == 0
    assert "the first condition that fails is α B₀ᵀ B₀ = I" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--to", "1.5"], "to is 1.5; allowed: a distance above 0 and below 1"),
        (["--out", "x.doc"], "cannot write x.doc: unknown format; allowed: .png, .svg, .pdf"),
        (["--dist0", "2"], "allowed"),
        (["--steps", "0"], "allowed"),
    ],
)
def test_bad_input_is_one_line(arguments: list[str], line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["guarantee", "anil", *arguments]) == 2
    said = capsys.readouterr().err
    assert line in said
    assert said.count("\n") == 1
