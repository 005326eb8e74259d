"""The reference simulator on explicit data: against automatic differentiation, the population maps, and itself."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metarep.reports.study.interpreter import gradients_on_samples as autograd_gradients
from metarep.sim.learners import LEARNERS, Learner, get_learner
from metarep.sim.sampling.inner_steps import step as population_step
from metarep.sim.sampling.inner_steps import step_on_samples as by_accumulation
from metarep.sim.sampling.samples import draw_samples, sampled_gradients, step_on_samples
from metarep.sim.sampling.whitened import whitened_samples
from metarep.sim.updates import outer_gradients
from metarep.sim.updates import step as exact_step

EPS = np.finfo(float).eps
learners = pytest.mark.parametrize("learner", LEARNERS.values(), ids=LEARNERS)


def problem(seed, trials=3, d=6, k=2, n=3, m_in=4, m_out=5, sigma=0.5):
    rng = np.random.default_rng(seed)
    B_star = np.linalg.qr(rng.standard_normal((d, k))).Q
    heads = rng.standard_normal((k, n))
    B, w = 0.7 * rng.standard_normal((trials, d, k)), rng.standard_normal((trials, k))
    return B_star, heads, B, w, draw_samples(B_star, heads, m_in, m_out, sigma, rng, (trials,))


def rounding(learner: Learner, B, w, data, alpha) -> float:
    """Rounding error of a gradient: eps × (longest sum) × a bound on the terms that are added up.

    Every term is a product of norms; the bound is the same gradient's formula with all norms and plus signs. A safety
    factor of 8 covers the handful of additions outside sums.
    """
    X_in, y_in, X_out, y_out = data
    B_norm, w_norm = np.linalg.norm(B, 2, (-2, -1)).max(), np.linalg.norm(w, axis=-1).max()
    inner, outer = (np.square(np.linalg.norm(X, 2, (-2, -1))).max() / X.shape[-2] for X in (X_in, X_out))
    label = max(np.sqrt(np.square(y).sum(-1).max() / y.shape[-1]) for y in (y_in, y_out))
    h = inner * B_norm * w_norm + np.sqrt(inner) * label
    adapted_w = w_norm + alpha * B_norm * h
    adapted_B = B_norm + alpha * h * w_norm
    v = outer * adapted_B * adapted_w + np.sqrt(outer) * label
    g = adapted_B * v
    u = w_norm * adapted_w * v + B_norm * g
    bound = (v + alpha * inner * u) * (adapted_w + w_norm) + (1 + alpha * B_norm) * (
        g + h * g + inner * u + h * v * adapted_w
    )
    longest = max(*X_in.shape[-2:], *X_out.shape[-2:])
    return 8 * EPS * longest * bound


@learners
@pytest.mark.parametrize(("m_in", "m_out", "d"), [(4, 5, 6), (1, 1, 3), (9, 2, 2)])
def test_agrees_with_automatic_differentiation(learner, m_in, m_out, d):
    _, _, B, w, data = problem(1, d=d, m_in=m_in, m_out=m_out)
    by_hand = sampled_gradients(learner, B, w, *data, 0.1)
    by_autograd = autograd_gradients(learner, B, w, *data, 0.1)
    tolerance = rounding(learner, B, w, data, 0.1)
    for ours, theirs in zip(by_hand, by_autograd, strict=True):
        assert ours.shape == theirs.shape
        # The bound is worst-case; it must still be far below the gradient or it would forgive anything.
        assert tolerance < 1e-6 * np.abs(theirs).max()
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=tolerance)


@learners
def test_is_the_population_map_when_the_sample_covariance_is_the_identity(learner):
    rng = np.random.default_rng(2)
    d, k, n, m, trials = 5, 2, 3, 8, 2
    B_star, B = np.linalg.qr(rng.standard_normal((d, k))).Q, rng.standard_normal((trials, d, k))
    w, targets = rng.standard_normal((trials, k)), B_star @ rng.standard_normal((k, n))
    X = np.sqrt(m) * np.linalg.qr(rng.standard_normal((trials, n, 2, m, d))).Q
    y = X @ targets.T[:, None, :, None]
    X_in, X_out, y_in, y_out = X[:, :, 0], X[:, :, 1], y[:, :, 0, :, 0], y[:, :, 1, :, 0]
    data = X_in, y_in, X_out, y_out
    ours, population = sampled_gradients(learner, B, w, *data, 0.2), outer_gradients(learner, B, w, targets, 0.2)
    for sampled, exact in zip(ours, population, strict=True):
        np.testing.assert_allclose(sampled, exact, rtol=0, atol=rounding(learner, B, w, data, 0.2))


@learners
def test_each_trial_of_a_batch_is_its_own(learner):
    _, _, B, w, data = problem(3, trials=4)
    alphas, betas = np.array([0.1, 0.2, 0.3, 0.0]), np.array([0.4, 0.0, 0.1, 0.2])
    B_next, w_next = step_on_samples(learner, B, w, *data, alphas, betas)
    for i in range(4):
        alone = data[0][i], data[1][i], data[2][i], data[3][i]
        B_one, w_one = step_on_samples(learner, B[i], w[i], *alone, alphas[i], betas[i])
        # Batched and single products may sum in another order.
        tolerance = rounding(learner, B, w, data, alphas[i])
        np.testing.assert_allclose(B_next[i], B_one, rtol=0, atol=tolerance)
        np.testing.assert_allclose(w_next[i], w_one, rtol=0, atol=tolerance)


def test_average_loss_ignores_the_inner_sample():
    _, _, B, w, (X_in, y_in, X_out, y_out) = problem(4)
    first = sampled_gradients(get_learner("average-loss"), B, w, X_in, y_in, X_out, y_out, 0.3)
    second = sampled_gradients(get_learner("average-loss"), B, w, 2 * X_in, -y_in, X_out, y_out, 0.3)
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, other)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(
    d=st.integers(1, 5), n=st.integers(1, 3), m_in=st.integers(1, 4), m_out=st.integers(1, 4), seed=st.integers(0, 99)
)
def test_labels_are_targets_plus_noise(d, n, m_in, m_out, seed):
    rng = np.random.default_rng(seed)
    B_star, heads = np.linalg.qr(rng.standard_normal((d, 1))).Q, rng.standard_normal((1, n))
    X_in, y_in, X_out, y_out = draw_samples(B_star, heads, m_in, m_out, 0.0, rng, (2,))
    assert X_in.shape == (2, n, m_in, d)
    assert X_out.shape == (2, n, m_out, d)
    for X, y in ((X_in, y_in), (X_out, y_out)):
        exact = np.einsum("tnmd,dn->tnm", X, B_star @ heads)
        # A sum of d products, in one order or another.
        np.testing.assert_allclose(y, exact, rtol=0, atol=4 * d * EPS * np.abs(X).max() * np.abs(heads).max() * d)


def test_noise_has_the_asked_scale_per_trial_and_samples_are_fresh():
    B_star, heads, sigma = np.eye(3, 1), np.ones((1, 2)), np.array([0.0, 2.0])
    X_in, y_in, X_out, _ = draw_samples(B_star, heads, 4000, 4000, sigma, np.random.default_rng(5), (2,))
    noise = y_in - X_in[..., 0]
    assert np.abs(noise[0]).max() <= 4 * EPS * np.abs(X_in).max()
    # Standard error of a variance of 8000 normals: σ² √(2/8000) = 0.016 σ²; five of them.
    assert abs(noise[1].var() - 4.0) < 5 * 4.0 * np.sqrt(2 / 8000)
    overlap = (X_in * X_out).mean()
    assert abs(overlap) < 5 / np.sqrt(X_in.size)
    assert abs((X_in[:, 0] * X_in[:, 1]).mean()) < 5 / np.sqrt(X_in[:, 0].size)


def test_shared_samples_are_the_same_data():
    X_in, y_in, X_out, y_out = draw_samples(
        np.eye(3, 1), np.ones((1, 2)), 4, 4, 1.0, np.random.default_rng(6), (), True
    )
    assert X_in is X_out
    assert y_in is y_out


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"m_in": 0}, "m_in is 0; allowed: a whole number"),
        ({"m_out": 2.5}, "m_out is 2.5; allowed: a whole number"),
        ({"m_in": True}, "m_in is True; allowed"),
        ({"sigma": -1.0}, "sigma is -1.0; allowed: finite numbers, 0 or more"),
        ({"sigma": float("nan")}, "sigma is nan; allowed"),
        ({"m_in": 3, "shared": True}, "m_in is 3 and m_out is 4; allowed with shared samples"),
        ({"heads": np.ones((2, 2))}, "heads have 2 rows for a B_star with 1 columns"),
        ({"sigma": np.ones(3)}, "batch axes"),
        ({"sigma": np.ones(2), "batch": ()}, r"axes are \{'B_star': \(\), 'heads': \(\), 'sigma': \(2,\)\}; allowed"),
        ({"heads": np.ones((3, 1, 2)), "batch": ()}, r"'heads': \(3,\)"),
        ({"B_star": np.ones((3, 3, 1)), "batch": ()}, r"'B_star': \(3,\)"),
    ],
)
def test_bad_draws_are_refused(change, message):
    arguments = {"B_star": np.eye(3, 1), "heads": np.ones((1, 2)), "m_in": 4, "m_out": 4, "sigma": 1.0, "batch": (2,)}
    with pytest.raises(ValueError, match=message):
        draw_samples(rng=np.random.default_rng(0), **(arguments | change))


def test_bad_gradients_are_refused():
    _, _, B, w, (X_in, y_in, X_out, y_out) = problem(7)
    with pytest.raises(ValueError, match="no hand-written sampled update for 'three-step'"):
        sampled_gradients(Learner("three-step", "head", False, 3), B, w, X_in, y_in, X_out, y_out, 0.1)
    with pytest.raises(ValueError, match="the inner sample has X"):
        sampled_gradients(LEARNERS["anil"], B, w, X_in[..., :-1], y_in, X_out, y_out, 0.1)
    with pytest.raises(ValueError, match="the outer sample has X"):
        sampled_gradients(LEARNERS["anil"], B, w, X_in, y_in, X_out, y_out[..., :-1], 0.1)


@pytest.mark.parametrize("learner", [x for x in LEARNERS.values() if x.plain_key is not None and x.inner_steps == 1])
@pytest.mark.parametrize("trials", [(), (4,), (2, 4)])
def test_any_number_of_inner_steps_is_one_step_too(learner, trials):
    rng = np.random.default_rng(8)
    d, k, n, m_in, m_out = 5, 3, 2, 4, 6
    B_star, heads = np.linalg.qr(rng.standard_normal((d, k))).Q, rng.standard_normal((k, n))
    B, w = 0.7 * rng.standard_normal((*trials, d, k)), rng.standard_normal((*trials, k))
    data = draw_samples(B_star, heads, m_in, m_out, 0.5, rng, trials)
    alpha, beta = (0.1 + 0.2 * rng.random(trials[-1:]) for _ in range(2)) if trials else (0.1, 0.3)
    ours, theirs = (step(learner, B, w, *data, alpha, beta) for step in (by_accumulation, step_on_samples))
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=rounding(learner, B, w, data, np.max(alpha)))
    targets = np.broadcast_to(B_star @ heads, (*trials, d, n))
    whitened = tuple(whitened_samples(targets).values())
    ours, theirs = (step(learner, B, w, targets, alpha, beta) for step in (population_step, exact_step))
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=rounding(learner, B, w, whitened, np.max(alpha)))
