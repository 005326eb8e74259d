import numpy as np
import pytest

from metarep.sim.fitting import fit_rate
from metarep.sim.learners import get_learner
from metarep.sim.problems import make_problem
from metarep.sim.trajectories import run

STEPS = np.arange(2001)


@pytest.mark.parametrize("rate", [0.9, 0.99, 0.99999, 1.0, 1.001])
def test_pure_exponential_is_read_off_to_rounding(rate):
    fit = fit_rate(STEPS, 0.7 * rate ** STEPS.astype(float))
    assert fit.rate == pytest.approx(rate, abs=1e-14)
    assert fit.standard_error < 1e-14
    assert (fit.start, fit.stop) == (0, 2000)


@pytest.mark.parametrize(
    ("transient", "fast", "amplitude", "rate", "floor"),
    [
        (1.0, 0.9, 1e-2, 0.99, 0.0),
        (1.0, 0.9, 1e-2, 0.99, 1e-7),
        (1.0, 0.95, 1e-1, 0.985, 1e-7),
        (-0.5, 0.98, 0.6, 0.99, 1e-7),
        (0.0, 0.9, 1.0, 0.97, 1e-12),
    ],
)
@pytest.mark.parametrize(
    ("noise", "every"),
    [
        *[("none", 7), ("white", 1), ("walk", 7)],
        *(pytest.param(*case, marks=pytest.mark.thorough) for case in [("none", 1), ("white", 7), ("walk", 1)]),
    ],
)
def test_transient_rate_and_floor(transient, fast, amplitude, rate, floor, noise, every):
    rng = np.random.default_rng(0)
    steps = STEPS[::every].astype(float)
    increments, errors = rng.standard_normal((2, len(steps)))
    walk = 0.01 * np.sqrt(every) * np.cumsum(increments) if noise == "walk" else 0.0
    white = 0.05 * errors if noise == "white" else 0.0
    dist = ((transient * fast**steps + amplitude * rate**steps) * np.exp(walk) + floor) * np.exp(white)
    fit = fit_rate(steps, dist)
    assert abs(fit.rate - rate) < 3 * fit.standard_error
    # The error is honest but not vacuous: a few per cent of the exponent, more where a random walk rules.
    assert fit.standard_error < (0.35 if noise == "walk" else 0.1) * (1 - rate)
    if floor and noise != "walk":  # which may carry the curve to its floor later
        assert fit.stop <= np.log(amplitude / floor / 10) / -np.log(rate)


def test_a_floor_that_the_caller_names():
    dist = 0.99 ** STEPS.astype(float) + 1e-6
    fit = fit_rate(STEPS, dist, floor=1e-6)
    assert fit.stop < np.log(1e-4) / np.log(0.99) + 1
    assert abs(fit.rate - 0.99) < 3 * fit.standard_error < 1e-4


@pytest.mark.parametrize("walk", [0.0, 0.02])
def test_standard_error_covers_the_truth_over_many_draws(walk):
    """Deviations in units of the standard error: mostly below 2, hardly ever above 4; and not all tiny where the noise
    is a walk.
    """
    rng = np.random.default_rng(1)
    units = []
    for _ in range(10):
        noise = walk * np.cumsum(rng.standard_normal(STEPS.size)) + 0.05 * rng.standard_normal(STEPS.size)
        fit = fit_rate(STEPS, (0.99**STEPS + 1e-7) * np.exp(noise))
        units.append(abs(fit.rate - 0.99) / fit.standard_error)
    units = np.array(units)
    assert np.mean(units > 2) < 0.2
    assert units.max() < 5
    if walk:
        assert np.mean(units > 0.2) > 0.3


def test_drift_of_the_slope_counts():
    """A slope that drifts all the time has no rate; the error must say so, where white residuals alone would not."""
    steps = STEPS.astype(float)
    fit = fit_rate(steps, np.exp(-0.01 * steps + 2e-6 * steps**2))
    first, last = 0.01, 0.01 - 4e-6 * 2000
    assert fit.standard_error > 0.01 * (1 - fit.rate)
    assert last - 4 * fit.standard_error < -np.log(fit.rate) < first + 4 * fit.standard_error


def test_rate_of_a_real_run_is_the_exact_local_one():
    problem = make_problem(40, 3, 6, 0.1, np.random.default_rng(2), dist0=0.8, spectrum=(3.0, 2.0, 1.0))
    trajectory = run(get_learner("fo-anil"), problem, 0.1, 0.3, 3000)
    fit = fit_rate(trajectory.steps, trajectory.dist)
    assert abs(fit.rate - (1 - 0.1 * 0.3 * 1.0)) < max(3 * fit.standard_error, 1e-12)
    assert fit.standard_error < 1e-4


@pytest.mark.parametrize(
    ("steps", "dist", "floor", "message"),
    [
        (np.arange(30), np.ones(29), 0.0, r"steps has shape \(30,\) and dist \(29,\); allowed: \(T,\) both"),
        (np.zeros(30), np.ones(30), 0.0, "steps do not ascend; allowed: ascending"),
        (np.arange(30), np.ones(30), -1.0, r"floor is -1\.0; allowed: floor >= 0"),
        (np.arange(30), np.full(30, np.nan), 0.0, "dist has 0 usable points; allowed: at least 18"),
        (np.arange(30), np.ones(30), 1.0, "dist has 0 usable points"),
        (np.arange(10), np.ones(10), 0.0, "dist has 10 usable points"),
    ],
)
def test_bad_input(steps, dist, floor, message):
    with pytest.raises(ValueError, match=message):
        fit_rate(steps, dist, floor)
