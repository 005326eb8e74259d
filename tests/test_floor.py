"""The predicted floor: its equations hold, its limits are right, and a short run settles there."""

import math
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest

from metarep.reports.chapters.chapter import ReportProfile
from metarep.reports.chapters.samples import runs
from metarep.reports.report.gather import PROFILES
from metarep.sim.learners import LEARNERS
from metarep.sim.metrics import principal_sines
from metarep.sim.sampling.in_law import StepsInLaw
from metarep.sim.sampling.samples import sampled_gradients
from metarep.sim.sampling.stationary import LongRun, long_run, mean_square_sine
from metarep.theory.claims import get_claim
from metarep.theory.claims.record import Verdict
from metarep.theory.claims.samples import floor as claims
from metarep.theory.claims.samples import sampled_moments
from metarep.theory.claims.samples.cubature import sign_patterns
from metarep.theory.claims.samples.sampled_moments import noise_moment_fo_anil
from metarep.theory.claims.width import finite
from metarep.theory.dynamics.floor import mean_rest, predicted_floor, rough_floor, stationary_start, task_covariance
from metarep.theory.dynamics.moments import head_moments, mean_gradients, mean_noise_moment
from metarep.theory.engine import Profile, verify
from metarep.theory.engine.mutants.selftest import MUTANTS, trial

FO_ANIL = LEARNERS["fo-anil"]
HEADS = 0.3 + np.random.default_rng(7).standard_normal((3, 9))
SETTING = (HEADS, 0.4, 0.01, 50, 12, 20, 0.5)  # heads, alpha, beta, d, m_in, m_out, sigma


def test_mean_gradients_vanish_at_the_rest():
    P, w = mean_rest(HEADS, 0.4, 12, 0.5)
    assert np.linalg.eigvalsh(P).min() > 0
    assert pytest.approx(P.T) == P
    for part in mean_gradients(FO_ANIL, P, w, HEADS, 0.4, 12, 0.5):
        assert np.abs(part).max() < 1e-13
    moved = mean_gradients(FO_ANIL, P, 1.1 * w, HEADS, 0.4, 12, 0.5)
    assert np.abs(moved[1]).max() > 1e-4  # the head does not rest anywhere else along its own direction


def test_rest_tends_to_the_population():
    P, w = mean_rest(HEADS, 0.4, math.inf, 0.5)
    square = P @ P.T
    assert square == pytest.approx(np.eye(3) / 0.4)
    assert pytest.approx(HEADS.mean(1)) == P @ w
    near, _ = mean_rest(HEADS, 0.4, 10**9, 0.5)
    assert near == pytest.approx(P, rel=1e-6, abs=1e-6)


def test_plain_equation_holds():
    heads, alpha, beta, d, m_in, m_out, sigma = SETTING
    floor = predicted_floor(*SETTING, varying_contraction=False)
    at_rest = (floor.representation, floor.head, heads, alpha, m_in, sigma)
    A = np.eye(3) - beta * head_moments(*at_rest).mean(0)
    source = beta**2 * (d - 3) / (heads.shape[1] * m_out) * mean_noise_moment(*at_rest)
    assert floor.second_moment == pytest.approx(A @ floor.second_moment @ A + source, rel=1e-10)
    slowest = np.linalg.eigvalsh(A).max()
    assert floor.relaxation_steps == pytest.approx(-1 / (2 * np.log(slowest)), rel=1e-8)


def test_varying_contraction_is_a_correction_of_order_beta():
    excess = []
    for beta in (0.001, 0.002, 0.004):
        setting = (HEADS, 0.4, beta, *SETTING[3:])
        full, plain = (predicted_floor(*setting, varying_contraction=flag).mean_square_sine for flag in (True, False))
        excess.append(full / plain - 1)
    assert 0 < excess[0] < 0.002
    assert excess[1] / excess[0] == pytest.approx(2, rel=0.02)
    assert excess[2] / excess[1] == pytest.approx(2, rel=0.02)


def test_leading_dependence_on_sizes():
    """Of the plain second moment: 1/m_out, 1/n for repeated tasks and (d − k), exactly."""
    heads, alpha, beta, d, m_in, m_out, sigma = SETTING

    def moment(heads: np.ndarray, d: int, m_out: int) -> np.ndarray:
        return predicted_floor(heads, alpha, beta, d, m_in, m_out, sigma, varying_contraction=False).second_moment

    base = moment(heads, d, m_out)
    assert moment(heads, d, 4 * m_out) == pytest.approx(base / 4, rel=1e-9)
    assert moment(np.tile(heads, 2), d, m_out) == pytest.approx(base / 2, rel=1e-9)
    assert moment(heads, 3 + 10 * (d - 3), m_out) == pytest.approx(10 * base, rel=1e-9)


def test_rough_formula_in_its_limit():
    """Large inner samples: αBᵀB = I, and the fourth moment is σ² times the second."""
    setting = (HEADS, 0.4, 1e-4, 50, 10**6, 20, 0.5)
    assert rough_floor(*setting) == pytest.approx(predicted_floor(*setting).mean_square_sine, rel=1e-3)


def test_gaussian_moments_give_another_floor():
    exact, gaussian = (predicted_floor(*SETTING, exact_moments=flag).mean_square_sine for flag in (True, False))
    assert gaussian < 0.93 * exact


def test_bad_settings():
    heads, alpha, _, d, m_in, m_out, sigma = SETTING
    with pytest.raises(ValueError, match="d is 3 with k = 3; allowed: d above k"):
        predicted_floor(heads, alpha, 0.01, 3, m_in, m_out, sigma)
    with pytest.raises(ValueError, match="allowed: none that is zero, so at least 4 tasks"):
        predicted_floor(heads[:, :3], alpha, 0.01, d, m_in, m_out, sigma)
    with pytest.raises(ValueError, match="allowed: one for which T stays finite"):
        predicted_floor(heads, alpha, 5.0, d, m_in, m_out, sigma)


@pytest.mark.parametrize("d", [5, 6, 40])
def test_starts_have_the_predicted_law(d):
    heads = HEADS
    floor = predicted_floor(heads, 0.4, 0.01, d, 12, 20, 0.5)
    B, w = stationary_start(floor, d, 20_000, np.random.default_rng(1))
    assert B.shape == (20_000, min(d, 6), 3)
    np.testing.assert_array_equal(w, np.tile(floor.head, (20_000, 1)))
    np.testing.assert_array_equal(B[:, :3], np.broadcast_to(floor.representation, (20_000, 3, 3)))
    gram = B[:, 3:].swapaxes(-1, -2) @ B[:, 3:]
    error = gram.std(0) / np.sqrt(20_000)
    assert (np.abs(gram.mean(0) - floor.second_moment) < 4.5 * error).all()


def test_mean_square_sine_is_that_of_the_principal_angles():
    B = np.random.default_rng(2).standard_normal((4, 6, 3))
    assert mean_square_sine(B, 3) == pytest.approx(np.square(principal_sines(B, np.eye(6, 3))).mean(-1))
    broken = B.copy()
    broken[0, 0, 0] = np.nan
    broken[1] = 0.0
    assert np.isnan(mean_square_sine(broken, 3)).tolist() == [True, True, False, False]


def test_long_run_settles_at_the_floor():
    heads = np.array([[1.2, -0.6, 0.9, 0.1]])
    setting = (heads, 0.5, 0.02, 80, 10, 10, 0.5)
    floor = predicted_floor(*setting)
    B, w = stationary_start(floor, 80, 100, np.random.default_rng(3))
    relaxation = floor.relaxation_steps
    heads, alpha, beta, d, m_in, m_out, sigma = setting
    steps, rng = (int(2 * relaxation), int(4 * relaxation)), np.random.default_rng(4)
    seen = long_run(FO_ANIL, B, w, heads, alpha, beta, m_in, m_out, sigma, d, *steps, rng, 5)
    assert seen.standard_error < 0.02 * seen.mean_square_sine
    # 3 standard errors, and a prediction error of about αβL_*² ≈ 0.6 % with room for its constant
    allowed = 3 * float(seen.standard_error) + 0.02 * floor.mean_square_sine
    assert abs(float(seen.mean_square_sine) - floor.mean_square_sine) < allowed
    assert seen.B.shape == B.shape


def test_long_run_refuses_to_record_nothing():
    B, w = stationary_start(predicted_floor(*SETTING), 50, 2, np.random.default_rng(5))
    with pytest.raises(ValueError, match="at least as many steps as record_every"):
        long_run(FO_ANIL, B, w, HEADS, 0.4, 0.01, 12, 20, 0.5, 50, 0, 5, np.random.default_rng(6), 10)


def test_task_covariance_ignores_the_mean():
    shifted = task_covariance(HEADS + np.array([[1.0], [2.0], [-1.0]]))
    assert shifted == pytest.approx(task_covariance(HEADS))
    assert task_covariance(HEADS) == pytest.approx(np.cov(HEADS, bias=True))


# --- the claims can fail


def _one_task_too_many(learner: Any, B: Any, w: Any, X_in: Any, y_in: Any, X_out: Any, y_out: Any, alpha: Any) -> Any:
    """An average over the tasks that divides by their number less one, but at least by one."""
    parts = sampled_gradients(learner, B, w, X_in, y_in, X_out, y_out, alpha)
    return tuple(part * X_in.shape[1] / max(1, X_in.shape[1] - 1) for part in parts)


def _first_row_only(learner: Any, B: Any, w: Any, X_in: Any, y_in: Any, X_out: Any, y_out: Any, alpha: Any) -> Any:
    return sampled_gradients(learner, B, w, X_in, y_in, X_out[..., :1, :], y_out[..., :1], alpha)


def _one_direction_less(*at: Any) -> Any:
    """Nothing arrives in the last perpendicular direction but one."""
    by_B, by_w = sampled_gradients(*at)
    keep = np.arange(by_B.shape[-2]) < by_B.shape[-1] + 1
    return by_B * keep[:, None], by_w


@pytest.mark.parametrize(
    "wrong",
    [
        {"sampled_gradients": _one_task_too_many},
        {"sampled_gradients": _first_row_only},
        {"sampled_gradients": _one_direction_less},
        {"mean_noise_moment": lambda *at: mean_noise_moment(*at) * 101 / 100},
    ],
)
def test_noise_moment_notices_wrong_numbers_of_tasks_rows_and_directions_and_one_percent(wrong: Any) -> None:
    claim = replace(get_claim("noise-moment-fo-anil"), check=partial(noise_moment_fo_anil, **wrong))
    assert verify(claim, profile=Profile(shrink=False), kinds=["floats"]).status == Verdict.REFUTED


@pytest.mark.parametrize("count", [1, 3, 8])
def test_sign_patterns_are_uncorrelated(count: int) -> None:
    signs = sign_patterns(count)
    assert not signs.sum(0).any()
    np.testing.assert_array_equal(signs.T @ signs, len(signs) * np.eye(count, dtype=int))


def _seen(value: float) -> LongRun:
    """A long run as precise as the default profile's."""
    return LongRun(np.array(value), np.array(0.01 * value), np.empty(0), np.empty(0))


def _with_prediction(claim_id: str, predicted: Any) -> Verdict:
    """The claim's status with another prediction in the place of its own."""
    claim = get_claim(claim_id)
    measure: Any = claim.measure
    return verify(replace(claim, measure=partial(measure, predicted_floor=predicted))).status


@pytest.mark.parametrize(
    ("error", "share", "verdict"),
    [
        (lambda size: -1.35 * size, 1, Verdict.MEASURED),
        (lambda size: -1.35 * size, 0, Verdict.REFUTED),  # the varying contraction changes nothing
        (lambda size: -1.35 * size, 2, Verdict.REFUTED),  # next to nothing is left
        (lambda size: -3.5 * size, 1, Verdict.REFUTED),  # four fifths are
        (lambda size: -20 * size**2, 1, Verdict.REFUTED),  # not proportional
    ],
)
def test_growth_is_held_to_its_statement(monkeypatch: pytest.MonkeyPatch, error, share, verdict) -> None:
    def seen(setting: Any, size: float, *at: Any) -> LongRun:
        plain = predicted_floor(*setting.arguments(size), varying_contraction=False)
        return _seen(plain.mean_square_sine / (1 + error(size)))

    def predicted(*at: Any, varying_contraction: bool = True) -> Any:
        plain, full = (predicted_floor(*at, varying_contraction=flag) for flag in (False, varying_contraction))
        value = plain.mean_square_sine + share * (full.mean_square_sine - plain.mean_square_sine)
        return replace(plain, mean_square_sine=value)

    monkeypatch.setattr(claims, "measured_floor", seen)
    assert _with_prediction("noise-floor-growth", predicted) == verdict


@pytest.mark.parametrize(
    ("power", "of_prediction", "verdict"),
    [(0.0, 0.0, Verdict.MEASURED), (0.1, 0.0, Verdict.REFUTED), (0.1, 0.1, Verdict.REFUTED)],
)
def test_slopes_are_held_to_their_statement(
    monkeypatch: pytest.MonkeyPatch, power: float, of_prediction: float, verdict: Verdict
) -> None:
    """A slope in n ten per cent off the prediction's; and one that is ten per cent off −1, as predicted."""

    def predicted(heads: Any, *at: Any) -> Any:
        floor = predicted_floor(heads, *at)
        return replace(floor, mean_square_sine=floor.mean_square_sine * heads.shape[1] ** of_prediction)

    def seen(setting: Any, size: float, *at: Any) -> LongRun:
        return _seen(predicted_floor(*setting.arguments(size)).mean_square_sine * setting.n**power)

    monkeypatch.setattr(claims, "measured_floor", seen)
    assert _with_prediction("noise-floor-slopes", predicted) == verdict


@pytest.mark.parametrize(
    ("claim_id", "module", "drawn", "cached", "most"),
    [
        ("noise-floor-slopes", claims, "long_run", "measured_floor", 5),
        ("mean-update-in-law", sampled_moments, "step_in_law", "_means_in_law", 4),
        ("width-mean-update-sampled", finite, "draw_samples", "_sampled_gradients", 1),
    ],
)
def test_wrong_formulas_are_held_against_what_was_drawn_for_the_right_one(
    monkeypatch: pytest.MonkeyPatch, claim_id: str, module: Any, drawn: str, cached: str, most: int
) -> None:
    calls, right = [], getattr(module, drawn)

    def counted(*at: Any) -> Any:
        calls.append(at)
        return LongRun(np.array(1.0), np.array(0.01), np.empty(0), np.empty(0)) if drawn == "long_run" else right(*at)

    monkeypatch.setattr(module, drawn, counted)
    getattr(module, cached).cache_clear()
    verify(get_claim(claim_id), profile=Profile("report"))
    assert len(trial(claim_id, MUTANTS).tried) > 1
    getattr(module, cached).cache_clear()
    assert len(calls) == most


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
def test_the_report_shows_the_runs_of_the_claim(monkeypatch: pytest.MonkeyPatch, profile: ReportProfile) -> None:
    asked: list[tuple[Any, ...]] = []

    def seen(*at: Any) -> LongRun:
        asked.append(at)
        return _seen(1.0)

    for module in (claims, runs):
        monkeypatch.setattr(module, "measured_floor", seen)
    verify(get_claim(runs.FLOOR_CLAIM), profile=Profile("report", profile.effort, seed=7))
    of_claim = asked.copy()
    asked.clear()
    size = profile.sizes[runs.NAME]
    runs.floor_points(7, size.settings, size.floor_error)
    assert len(of_claim) >= 3
    assert asked[: len(of_claim)] == of_claim


def test_a_long_run_averages_the_steps_that_it_records():
    d, trials, burn_in, steps, every = 8, 3, 4, 8, 3
    B, w = stationary_start(predicted_floor(*SETTING), d, trials, np.random.default_rng(8))
    at = (HEADS, 0.4, 0.01, 12, 20, 0.5, d)
    seen = long_run(FO_ANIL, B, w, *at, burn_in, steps, np.random.default_rng(9), every)
    step, recorded = StepsInLaw(FO_ANIL, B, w, *at, np.random.default_rng(9), burn_in + steps), []
    for t in range(burn_in + steps):
        B, w = step(B, w, HEADS)
        if t in (6, 9):  # the third and sixth after the burn-in
            recorded.append(mean_square_sine(B, 3))
    means = np.mean(recorded, 0)
    np.testing.assert_allclose(seen.mean_square_sine, means.mean(), rtol=1e-14)
    np.testing.assert_allclose(seen.standard_error, means.std(ddof=1) / np.sqrt(trials), rtol=1e-12)
    np.testing.assert_array_equal(seen.B, B)
    np.testing.assert_array_equal(seen.w, w)
    alone = long_run(FO_ANIL, B[:1], w[:1], *at, 0, 2, np.random.default_rng(9), 1)
    assert np.isnan(alone.standard_error)
    assert np.isfinite(alone.mean_square_sine)
    assert np.shape(alone.standard_error) == np.shape(alone.mean_square_sine) == ()
    both = long_run(FO_ANIL, np.stack([B, 2 * B]), np.stack([w, w]), *at, 0, 1, np.random.default_rng(9), 1)
    pair = long_run(FO_ANIL, B[:2], w[:2], *at, 0, 1, np.random.default_rng(9), 1)
    here = mean_square_sine(pair.B, 3)
    np.testing.assert_allclose(pair.standard_error, here.std(ddof=1) / np.sqrt(2), rtol=1e-12)
    one = mean_square_sine(both.B, 3)  # of each trial, at the one step that is recorded
    assert one.shape == (2, trials)
    np.testing.assert_allclose(both.mean_square_sine, one.mean(1), rtol=1e-14)
    np.testing.assert_allclose(both.standard_error, one.std(1, ddof=1) / np.sqrt(trials), rtol=1e-12)
    for bad in ((-1, 5, 1), (0, 5, 0), (0, 1, 2)):
        with pytest.raises(ValueError, match="allowed: burn_in at least 0"):
            long_run(FO_ANIL, B, w, *at, *bad[:2], np.random.default_rng(9), bad[2])


def test_the_sine_of_a_small_representation_is_no_less_a_number():
    B = np.random.default_rng(2).standard_normal((4, 6, 3))
    np.testing.assert_allclose(mean_square_sine(1e-3 * B, 3), mean_square_sine(B, 3), rtol=1e-12)
