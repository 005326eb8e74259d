"""Wider than the truth: the mean update, the distance, and claims that must break when what they check is broken."""

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest

from metarep.reports.chapters.learners.widths import width_curves, widths_chart
from metarep.sim.implementations import REFERENCE
from metarep.sim.metrics import missing_distance, subspace_distance
from metarep.sim.wide import mean_step, run_mean
from metarep.theory.claims import get_claim
from metarep.theory.claims.record import Claim, Verdict
from metarep.theory.claims.width import finite, population
from metarep.theory.dynamics.width import learned_second_moment, unlearning_constant
from metarep.theory.engine import Profile, verify


def status(claim: str | Claim, implementation: Any = REFERENCE) -> Verdict:
    claim = get_claim(claim) if isinstance(claim, str) else claim
    return verify(claim, implementation, profile=Profile(shrink=False), examples=12).status


def test_missing_distance() -> None:
    rng = np.random.default_rng(0)
    B_star = np.eye(6, 2)
    B = rng.standard_normal((4, 6, 2))
    np.testing.assert_allclose(missing_distance(B, B_star), subspace_distance(B, B_star), rtol=0, atol=1e-14)
    wide = np.concatenate([np.broadcast_to(B_star, (4, 6, 2)), B], axis=-1) @ rng.standard_normal((4, 4))
    assert np.all(missing_distance(wide, B_star) < 1e-13)  # eps × condition of a random 4 × 4 matrix
    assert np.all(subspace_distance(wide, B_star) > 0.1)  # which counts superfluous directions
    assert missing_distance(np.zeros((6, 3)), B_star) == 1
    assert missing_distance(B_star[:, :1] @ np.ones((1, 2)), B_star) == pytest.approx(1)
    assert np.isnan(missing_distance(np.full((6, 2), np.nan), B_star))
    with pytest.raises(ValueError, match="allowed"):
        missing_distance(np.zeros((5, 2)), B_star)


def test_infinitely_many_samples_are_the_limit_of_many() -> None:
    rng = np.random.default_rng(1)
    P, Y = rng.standard_normal((2, 3)), rng.standard_normal((2, 3))
    second = np.diag([1.0, 0.5])
    many, limit = (mean_step(P, Y, second, 0.3, 0.2, m, 0.5) for m in (10**15, None))
    for one, other in zip(many, limit, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-13)
    assert unlearning_constant(second, 0.3, 0.2, None, 0.5) == np.inf
    np.testing.assert_allclose(learned_second_moment(second, 0.3, None, 0.5), np.eye(2) / 0.3)
    with pytest.raises(ValueError, match="ascending"):
        run_mean(P, Y, second, 0.3, 0.2, 3, 0.5, np.array([3, 2]))


def test_constant_of_one_setting() -> None:
    """m/(2βα²τ) for α = β = 0.1, m = 5, τ = 3.5 is 714."""
    assert unlearning_constant(np.eye(3), 0.1, 0.1, 5, 0.5) == pytest.approx(714.2857, rel=1e-6)


def _no_noise_in_the_gram(P: Any, Y: Any, second: Any, alpha: Any, beta: Any, m: Any, noise: Any = 0) -> Any:
    return mean_step(P, Y, second, alpha, beta, m, noise / 2)


def _no_superfluous(P: Any, Y: Any, second: Any, alpha: Any, beta: Any, m: Any, noise: Any = 0) -> Any:
    next_P, next_Y = mean_step(P, Y, second, alpha, beta, m, noise)
    return next_P, next_Y - Y * beta / 100


@pytest.mark.parametrize(
    ("claim_id", "wrong"),
    [
        ("width-mean-update", _no_noise_in_the_gram),
        ("width-limit-rests", _no_noise_in_the_gram),
        ("width-useful-rate", _no_superfluous),
    ],
)
def test_checks_of_the_mean_map_can_fail(claim_id: str, wrong: Any) -> None:
    check: Any = get_claim(claim_id).check
    assert status(replace(get_claim(claim_id), check=partial(check, mean_step=wrong))) == Verdict.REFUTED


@pytest.mark.parametrize(
    ("claim_id", "name", "wrong"),
    [
        ("width-limit", "learned_second_moment", lambda S, a, m, s: learned_second_moment(S, a, m, 1.001 * s)),
        (
            "width-slow-unlearning",
            "unlearning_constant",
            lambda S, a, b, m, s: 1.02 * unlearning_constant(S, a, b, m, s),
        ),
    ],
)
def test_measurements_can_fail(claim_id: str, name: str, wrong: Any) -> None:
    measure: Any = get_claim(claim_id).measure
    assert status(replace(get_claim(claim_id), measure=partial(measure, **{name: wrong}))) == Verdict.REFUTED


@pytest.mark.parametrize("claim_id", ["width-fixed-points", "width-never-unlearned"])
def test_checks_of_the_implementation_can_fail(claim_id: str) -> None:
    def decaying(learner: Any, B: Any, w: Any, targets: Any, alpha: Any, beta: Any) -> Any:
        next_B, next_w = REFERENCE.step(learner, B, w, targets, alpha, beta)
        return next_B - B * (alpha * beta) / 50, next_w

    assert status(claim_id, replace(REFERENCE, name="weight decay", step=decaying)) == Verdict.REFUTED


def _hasty(learner: Any, B: Any, w: Any, targets: Any, alpha: Any, beta: Any) -> Any:
    return REFERENCE.step(learner, B, w, targets, alpha, 1.01 * beta)


def _careless_of_the_width(learner: Any, B: Any, w: Any, targets: Any, alpha: Any, beta: Any) -> Any:
    """At the claim's points themselves nothing is wrong."""
    next_B, next_w = REFERENCE.step(learner, B, w, targets, alpha, beta)
    moved = next_B - B
    return B + 0.99 * moved, next_w


@pytest.mark.parametrize("claim_id", ["width-distance-rate", "width-local-factor"])
@pytest.mark.parametrize("wrong", [_hasty, _careless_of_the_width])
def test_rates_notice_a_step_one_percent_wrong(claim_id: str, wrong: Any) -> None:
    implementation = replace(REFERENCE, name="wrong", step=wrong, exact=False)
    finding = verify(get_claim(claim_id), implementation, profile=Profile(shrink=False), examples=30)
    assert finding.status == Verdict.REFUTED
    measured = [item for item in finding.evidence if item.estimate is not None]
    for item in measured:  # what is reported is what was seen, and not what was predicted
        assert item.estimate == pytest.approx(1 - (1.01 if wrong is _hasty else 0.99) * 0.3 * 0.3 * 0.6, abs=1e-5)


def test_the_sampled_mean_update_knows_tau_to_five_percent() -> None:
    """τ = 1.49, of which the noise is 0.5: a fault of 5 % in τ, one of 15 % in the noise."""

    def noisy(P: Any, Y: Any, second: Any, alpha: Any, beta: Any, m: Any, noise: Any = 0) -> Any:
        return mean_step(P, Y, second, alpha, beta, m, 1.15 * noise)

    measure = partial(finite.width_mean_update_sampled, mean_step=noisy)
    finding = verify(replace(get_claim("width-mean-update-sampled"), measure=measure))
    (evidence,) = finding.evidence
    assert finding.status == Verdict.REFUTED
    assert evidence.details["standard_errors_of_tau"] > 8
    assert evidence.estimate == pytest.approx(1.49, rel=0.02)


@pytest.mark.parametrize(
    ("claim_id", "name", "without"),
    [
        ("width-fixed-points", "_WIDE_RULES", population._WIDE_RULES[:-1]),  # YMᵀ need not vanish
        ("width-never-unlearned", "PERPENDICULAR", population.PERPENDICULAR[1:]),  # nor B_{*⊥}ᵀB_*
        ("width-local-factor", "_WIDE_POINT", {k: v for k, v in population._WIDE_POINT.items() if k != "w"}),  # nor w
    ],
)
def test_proofs_can_fail(monkeypatch: pytest.MonkeyPatch, claim_id: str, name: str, without: Any) -> None:
    prove = get_claim(claim_id).proof
    assert prove is not None
    assert prove().holds
    monkeypatch.setattr(population, name, without)
    assert not prove().holds


@pytest.mark.usefixtures("without_layout")
def test_figure_and_its_data() -> None:
    curves = width_curves()
    picture = widths_chart(curves).picture()
    assert picture.panels[0][1].startswith(b"<?xml")
    assert picture.data is not None
    header, *rows = picture.data[1].splitlines()
    assert len(rows) == sum(len(curve.steps) for curve in curves)
    assert {row.count(",") for row in rows} == {header.count(",")}
