"""The sampler in law: its law against that of explicit data, its mutants, its limits, and runs on it."""

import math
from fractions import Fraction
from typing import Any

import equality_in_law as law
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ks_2samp

from metarep.sim.learners import LEARNERS, Learner, get_learner
from metarep.sim.metrics import subspace_distance
from metarep.sim.mutants.samplers import SAMPLER_MUTANTS
from metarep.sim.sampling.drawing import Parts
from metarep.sim.sampling.gaussian_queries import Draws, draw_chi2, first_query, fresh_directions, second_query
from metarep.sim.sampling.in_law import D_FREE, IN_FULL_SPACE, StepsInLaw, sampling_mode, step_in_law
from metarep.sim.sampling.runs import EXPLICIT, run_sampled, step_on_drawn_samples
from metarep.sim.sampling.samples import draw_samples, step_on_samples
from metarep.sim.updates import step

EPS = np.finfo(float).eps
MUTANTS = {mutant.name: mutant for mutant in SAMPLER_MUTANTS}
learners = pytest.mark.parametrize("learner", LEARNERS.values(), ids=LEARNERS)


def law_profile(config: pytest.Config) -> law.Profile:
    return "thorough" if config.getoption("--metarep-profile", default="default") == "thorough" else "default"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    profile = law_profile(metafunc.config)
    if "equality_case" in metafunc.fixturenames:
        metafunc.parametrize("equality_case", list(law.equality_cases(profile)))
    if "mutant_case" in metafunc.fixturenames:
        cases = list(law.mutant_cases(profile))
        metafunc.parametrize("mutant_case", cases, ids=[" in ".join(case) for case in cases])


# --- the law


def test_law_is_that_of_explicit_data(equality_case, request):
    comparison = law.equality_cases(law_profile(request.config))[equality_case]()
    assert comparison.equal, comparison


def test_mutant_is_found(mutant_case, request):
    comparison = law.mutant_cases(law_profile(request.config))[mutant_case]()
    assert not comparison.equal, comparison


def test_default_profile_tries_every_mutant():
    assert [mutant for mutant, _ in law.mutant_cases("default")] == list(MUTANTS)
    everything = {(mutant.name, learner) for mutant in SAMPLER_MUTANTS for learner in mutant.learners}
    assert set(law.mutant_cases("thorough")) == everything


@pytest.mark.parametrize(
    "mutant",
    [
        "first-degrees-of-freedom",
        "frozen-chi-square",
        "no-shrinkage",
        "noise-dropped",
        "second-degrees-of-freedom",
        "forgotten-sample",
        "population-hessian",
    ],
)
def test_mutant_is_found_in_a_single_data_set(mutant):
    comparison = law.compared(mutant, law.queries(law.QUERY_SETTINGS["generic"], 4000, MUTANTS[mutant]), 1, 10, False)
    assert not comparison.equal, comparison


@pytest.mark.parametrize("mutant", ["nothing-outside", "level-bartlett"])
def test_mutant_is_found_in_fresh_directions(mutant):
    comparison = law.compared(mutant, law.directions(3, 2, 5, 4000, MUTANTS[mutant]), 1, 10, False)
    assert not comparison.equal, comparison


# --- the tests of the law themselves


def test_p_values_are_scipys():
    rng = np.random.default_rng(10)
    first, second = np.rint(rng.standard_normal((2, 400, 5)) * 10.0 ** np.arange(5)) / 10  # many equal ones, and few
    second[:, 4], first[:, 3] = second[:, 4] + 100.0, 1.0
    expected: list[Any] = [ks_2samp(x, y, method="asymp") for x, y in zip(first.T, second.T, strict=True)]
    np.testing.assert_allclose(
        law.ks_p_values(law.ks_statistics(first, second), len(first)), [one.pvalue for one in expected], rtol=1e-12
    )


def test_comparison_accepts_equal_laws_and_is_calibrated():
    rng = np.random.default_rng(11)
    names = ["a", "b", "c"]
    comparisons = []
    for _ in range(25):
        first, second = (np.exp(rng.standard_normal((150, 3))) for _ in range(2))
        comparisons.append(law.compare_laws("null", first, second, names, rng))
    # Corrected p-values of a valid test: P(p < 0.05) <= 0.05 each; 7 or more of 25 has probability 2e-4.
    assert sum(comparison.p_value < 0.05 for comparison in comparisons) < 7
    assert all(comparison.tests == {"moments": 9, "Kolmogorov-Smirnov": 27, "energy": 1} for comparison in comparisons)


@pytest.mark.parametrize(
    ("family", "change"),
    [
        ("moments", lambda x: x + 0.3),
        ("moments", lambda x: np.stack([x[:, 0], 0.5 * x[:, 0] + np.sqrt(0.75) * x[:, 1]], 1)),
        ("Kolmogorov-Smirnov", lambda x: np.sign(x) * np.abs(x) ** 1.5),
        ("energy", lambda x: x + 0.6),
    ],
)
def test_comparison_finds_a_difference(family, change):
    rng = np.random.default_rng(12)
    first, second = rng.standard_normal((2, 2000, 2))
    comparison = law.compare_laws("different", first, change(second), ["a", "b"], rng)
    assert family in comparison.found_by


def test_gradients_coordinates_alone_would_not_do():
    """h's law says nothing about the second query: only Σ̂u₂ and u₂ᵀΣ̂u₂ show its wrong degrees of freedom."""
    wrong = law.queries(law.QUERY_SETTINGS["generic"], 4000, MUTANTS["second-degrees-of-freedom"])
    comparison = law.compared("second query", wrong, 1, 10, False)
    assert any(mark in comparison.worst["Kolmogorov-Smirnov"] for mark in ("Σ", "projection", "form"))
    assert not comparison.equal


def test_comparison_of_unlike_samples_is_refused():
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="allowed: both"):
        law.compare_laws("x", np.zeros((3, 1)), np.zeros((4, 1)), ["a"], rng)
    with pytest.raises(ValueError, match="finite"):
        law.compare_laws("x", np.zeros((3, 1)), np.full((3, 1), np.nan), ["a"], rng)


# --- limits and identities


def start(rng, d, k, width=None, trials=()):
    width = k if width is None else width
    return rng.standard_normal((*trials, min(d, k + width), width)), rng.standard_normal((*trials, width))


def population_rounding(B, w, heads, alpha, beta):
    """eps × 64 (a few dozen roundings in sums of at most a dozen terms) × the size of the largest word of a step, which
    is a product of at most this many factors.
    """
    size = max(1.0, np.linalg.norm(B), np.linalg.norm(w), np.linalg.norm(heads))
    return 64 * EPS * (1 + alpha) ** 2 * (1 + beta) * size**9


@learners
@pytest.mark.parametrize("d", [4, 9])
def test_infinite_samples_are_the_population(learner, d):
    rng = np.random.default_rng(21)
    k, n = 2, 3
    B, w = start(rng, d, k)
    heads = rng.standard_normal((k, n))
    B_law, w_law = step_in_law(learner, B, w, heads, 0.2, 0.3, None, math.inf, 0.7, d, rng)
    B_exact, w_exact = step(learner, B, w, np.eye(4, k) @ heads, 0.2, 0.3)
    tolerance = population_rounding(B, w, heads, 0.2, 0.3)
    assert tolerance < 1e-6
    np.testing.assert_allclose(w_law, w_exact, rtol=0, atol=tolerance)
    np.testing.assert_allclose(B_law[:k], B_exact[:k], rtol=0, atol=tolerance)
    gram, exact = (A[k:].T @ A[k:] for A in (B_law, B_exact))
    np.testing.assert_allclose(gram, exact, rtol=0, atol=tolerance * (1 + np.linalg.norm(B_exact)))


@learners
def test_many_samples_come_near_the_population(learner):
    rng = np.random.default_rng(22)
    k, n, m, d = 2, 3, 10**14, 12
    B, w = start(rng, d, k)
    heads = rng.standard_normal((k, n))
    one_sided = [step_in_law(learner, B, w, heads, 0.2, 0.3, *sizes, 0.7, d, rng) for sizes in ((m, None), (None, m))]
    B_exact, w_exact = step_in_law(learner, B, w, heads, 0.2, 0.3, None, None, 0.7, d, rng)
    for B_law, w_law in one_sided:
        # Fluctuations are of order m^(-1/2) = 1e-7, times words of size 100 here; the fluctuating parts must not be
        # absent either.
        assert np.abs(B_law[:k] - B_exact[:k]).max() < 1e-4
        assert np.abs(w_law - w_exact).max() < 1e-4
        if learner.adapts != "nothing":
            assert np.abs(w_law - w_exact).max() > 1e-12


@learners
@pytest.mark.parametrize("d", [3, 4, 12])
def test_the_truth_stays_put_without_noise(learner, d):
    """Residuals that are exactly zero get an exactly zero answer, at σ = 0: τ = 0 is where the formulas divide."""
    rng = np.random.default_rng(23)
    k = 2
    B = np.zeros((5, min(d, 2 * k), k))
    B[:, :k] = 2.0 * np.eye(k)
    w = np.array([1.0, -0.5])
    heads = np.repeat(2.0 * w[:, None], 3, axis=1)
    B_next, w_next = step_in_law(learner, B, w, heads, 0.2, 0.3, 2, 3, 0.0, d, rng)
    np.testing.assert_array_equal(B_next, B)
    np.testing.assert_array_equal(w_next, np.broadcast_to(w, w_next.shape))


@learners
@pytest.mark.parametrize(("d", "width"), [(3, 2), (4, 2), (5, 2), (30, 2), (30, 3), (30, 1)])
def test_a_step_of_size_zero_moves_nothing(learner, d, width):
    rng = np.random.default_rng(24)
    B, w = start(rng, d, 2, width, (4,))
    B_next, w_next = step_in_law(learner, B, w, rng.standard_normal((2, 3)), 0.2, 0.0, 2, 3, 1.0, d, rng)
    np.testing.assert_array_equal(w_next, w)
    np.testing.assert_array_equal(B_next[:, :2], B[:, :2])
    gram, before = (np.swapaxes(A[:, 2:], -1, -2) @ A[:, 2:] for A in (B_next, B))
    # A QR factorisation keeps the Gram matrix to eps × size × norm².
    np.testing.assert_allclose(gram, before, rtol=0, atol=32 * EPS * np.square(B).sum((-2, -1)).max())


@learners
def test_batch_axes_broadcast(learner):
    rng = np.random.default_rng(25)
    k, n, d = 2, 3, 11
    B, w = start(rng, d, k)
    heads = rng.standard_normal((5, 1, k, n))
    alpha, beta, sigma = np.array([0.1, 0.2]), np.array([0.0, 0.1]), np.array([[0.3]] * 5)
    B_next, w_next = step_in_law(learner, B, w, heads, alpha, beta, 3, 4, sigma, d, rng)
    assert B_next.shape == (5, 2, 4, k)
    assert w_next.shape == (5, 2, k)
    np.testing.assert_array_equal(w_next[:, 0], np.broadcast_to(w, (5, k)))  # β = 0 in this column only
    assert (np.abs(w_next[:, 1] - w).min(-1) > 0).all()
    assert len(np.unique(B_next[:, 1, 0, 0])) == 5


@learners
def test_steps_drawn_at_once_are_each_their_own(learner):
    """More of them than are drawn at once, each from the same state."""
    B, w = start(np.random.default_rng(28), 30, 2, trials=(3,))
    heads, steps = np.ones((2, 4)), 80
    step_from = StepsInLaw(
        learner, B, w, heads, 0.1, 0.1, 3, np.array([4, 5, 6]), 1.0, 30, np.random.default_rng(1), steps
    )
    found = [
        np.concatenate([B_next[:, 2:].reshape(-1), w_next.reshape(-1)])
        for B_next, w_next in (step_from(B, w, heads) for _ in range(steps))
    ]
    moving = [column for column in np.transpose(found) if np.ptp(column) > 0]  # below the diagonal all is zero
    assert len(moving) == 3 * (3 + 2)
    assert all(len(np.unique(column)) == steps for column in moving)


def test_no_degrees_of_freedom_are_nothing():
    drawn = draw_chi2(np.array([0, 5])[:, None, None], (2, 3, 1), np.random.default_rng(0))
    assert not drawn[0].any()
    assert drawn[1].all()


@learners
def test_sample_sizes_of_each_trial_are_its_own(learner):
    """The same draws as with a number, where it is the same for all; and a trial with another size differs."""
    rng = np.random.default_rng(8)
    B, w = start(rng, 20, 2, trials=(6,))
    heads = rng.standard_normal((6, 2, 3))

    def step_at(m_in, m_out):
        return step_in_law(learner, B, w, heads, 0.1, 0.1, m_in, m_out, 0.3, 20, np.random.default_rng(1))[0]

    common, sizes = step_at(7, 9), np.full(6, 9)
    np.testing.assert_array_equal(step_at(np.full(6, 7), sizes), common)
    sizes[4] = 1000
    moved = np.abs(step_at(7, sizes) - common).max((-2, -1)) > 0
    assert moved[4]
    assert not moved[:4].any()  # those before it are given the same random numbers
    with pytest.raises(ValueError, match="allowed: a whole number, 1 or more"):
        step_at(7, np.array([0, 1, 1, 1, 1, 1]))


@learners
def test_equal_seeds_give_equal_steps(learner):
    B, w = start(np.random.default_rng(26), 11, 2, trials=(3,))
    heads = np.ones((2, 3))
    runs = [step_in_law(learner, B, w, heads, 0.1, 0.1, 3, 4, 1.0, 11, np.random.default_rng(s)) for s in (1, 1, 2)]
    np.testing.assert_array_equal(runs[0][0], runs[1][0])
    assert not np.array_equal(runs[0][0], runs[2][0])


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    name=st.sampled_from(list(LEARNERS)),
    k=st.integers(1, 3),
    extra=st.integers(0, 8),
    width=st.integers(1, 4),
    n=st.integers(1, 4),
    m_in=st.one_of(st.none(), st.integers(1, 4)),
    m_out=st.one_of(st.none(), st.integers(1, 4)),
    sigma=st.sampled_from([0.0, 1e-200, 1.0]),
    seed=st.integers(0, 2**32),
)
def test_any_sizes_work(name, k, extra, width, n, m_in, m_out, sigma, seed):
    rng = np.random.default_rng(seed)
    d = max(k, width) + extra
    B, w = start(rng, d, k, width, (2,))
    B_next, w_next = step_in_law(
        get_learner(name), B, w, rng.standard_normal((k, n)), 0.1, 0.1, m_in, m_out, sigma, d, rng
    )
    assert B_next.shape == B.shape
    assert w_next.shape == w.shape
    assert np.isfinite(B_next).all()
    assert np.isfinite(w_next).all()
    assert sampling_mode(get_learner(name), d, k, n, m_in, m_out, width).name in (D_FREE, IN_FULL_SPACE)


def test_hessian_products_of_many_tasks_add_up_as_independent_ones():
    """Exact ANIL's part of ∇_B that lies outside because of what second queries do not share with first ones,
    α mean_i(s_i ξ'_i) wᵀ with independent ξ'_i: one normal vector with √Σs_i². It is too small beside the others for
    samples to show a plain sum, so the others are put to zero here, and the fresh vector to ones.
    """
    rng = np.random.default_rng(27)
    k, n, d, alpha = 2, 5, 12, 0.3
    B, w = start(rng, d, k)
    heads, scales = rng.standard_normal((k, n)), np.array([1.0, 2.0, 2.0, 4.0, 5.0])[:, None]  # Σs² = 50, Σs = 14

    def parts(along_second):
        return Parts(
            first_query=lambda draws, u, sigma: first_query(None, u, sigma),
            second_query=lambda draws, first, u: (u, np.zeros((n, 1)), along_second),
            fresh_directions=lambda count, inside, outside, batch, rng: np.ones((*batch, count, outside)),
        )

    grams = []
    for along_second in (scales, 0 * scales):
        B_next, _ = step_in_law(LEARNERS["anil"], B, w, heads, alpha, 1.0, 3, None, 0.0, d, rng, parts(along_second))
        grams.append(B_next[k:].T @ B_next[k:])
    expected = (d - 2 * k) * 50 * (alpha / n) ** 2 * np.outer(w, w)
    # two Gram matrices, each kept by a QR factorisation to eps × rows × norm²
    np.testing.assert_allclose(grams[0] - grams[1], expected, rtol=0, atol=2 * d * EPS * np.trace(grams[0]))


# --- queries


def test_answers_reconstruct_a_possible_data_set():
    """For m = 1 and σ = 0 the answers pin the one feature vector x down: h = x(xᵀu), and every Hessian product is
    x(xᵀu₂).
    """
    rng = np.random.default_rng(31)
    u, second = rng.standard_normal((2, 50, 1, 3))
    draws = Draws(
        1, rng.chisquare(1, (50, 1, 1)), rng.standard_normal((50, 1, 3)), np.zeros((50, 1, 1)), np.zeros((50, 1, 3))
    )
    first = first_query(draws, u, 0.0)
    product, _, _ = second_query(draws, first, second)
    x = first.revealed
    size = np.abs(x).max() ** 2 * max(np.abs(u).max(), np.abs(second).max()) * 10
    np.testing.assert_allclose(first.gradient, x * (x * u).sum(-1, keepdims=True), rtol=0, atol=16 * EPS * size)
    np.testing.assert_allclose(product, x * (x * second).sum(-1, keepdims=True), rtol=0, atol=16 * EPS * size)


def test_a_second_query_needs_its_draws():
    q, normal = np.ones((1, 1)), np.ones((1, 2))
    first = first_query(Draws(2, q, normal), np.ones((1, 2)), 1.0)
    for draws in (Draws(2, q, normal), Draws(2, q, normal, q), Draws(2, q, normal, second_normal=normal)):
        with pytest.raises(ValueError, match="nothing for a second query"):
            second_query(draws, first, np.ones((1, 2)))


def test_fresh_directions_need_no_more_coordinates_than_there_are():
    rng = np.random.default_rng(32)
    assert fresh_directions(4, 3, 10**6, (2,), rng).shape == (2, 4, 7)
    assert fresh_directions(4, 3, 2, (2,), rng).shape == (2, 4, 5)
    assert fresh_directions(4, 3, 0, (2,), rng).shape == (2, 4, 3)


class CountingGenerator:
    """Counts the numbers drawn from a generator."""

    def __init__(self):
        self._generator, self.count = np.random.default_rng(0), 0

    def __getattr__(self, name):
        def draw(*arguments):
            numbers = getattr(self._generator, name)(*arguments)
            self.count += numbers.size
            return numbers

        return draw


@learners
def test_cost_is_free_of_sample_sizes_and_dimension(learner):
    """What timings show roughly, exactly: as many random numbers, and a state of the same shape."""
    B, w = start(np.random.default_rng(33), 100, 5, trials=(2,))
    counts = set()
    for m, d in ((100, 100), (10**6, 100), (100, 10**6)):
        rng = CountingGenerator()
        B_next, _ = step_in_law(learner, B, w, np.ones((5, 5)), 0.1, 0.1, m, m, 1.0, d, rng)  # type: ignore[arg-type]
        assert B_next.shape == (2, 10, 5)
        counts.add(rng.count)
    assert len(counts) == 1
    # Two samples for each of five tasks would be 10⁵ numbers per trial at m = d = 100.
    assert counts.pop() < 2 * 500


# --- modes and runs


@pytest.mark.parametrize(
    ("learner", "d", "n", "mode", "reason"),
    [
        ("maml", 100, 5, D_FREE, "15 fresh directions stand for the 90"),
        ("fo-maml", 100, 5, D_FREE, "10 fresh directions"),
        ("anil", 100, 5, D_FREE, "5 fresh directions"),
        ("anil", 100, 2, D_FREE, "5 fresh directions"),
        ("anil", 100, 1, D_FREE, "3 fresh directions"),
        ("fo-anil", 100, 2, D_FREE, "2 fresh directions"),
        ("average-loss", 11, 5, D_FREE, "1 fresh directions"),
        ("maml", 24, 5, IN_FULL_SPACE, "14 dimensions outside hold no 15"),
        ("fo-anil", 10, 5, IN_FULL_SPACE, "no more than the k"),
        ("fo-anil", 7, 5, IN_FULL_SPACE, "d = 7 is no more"),
    ],
)
def test_mode_says_what_is_done_and_why(learner, d, n, mode, reason):
    found = sampling_mode(get_learner(learner), d, 5, n, 3, 4)
    assert found.name == mode
    assert reason in found.reason
    assert str(found) == f"{found.name} ({found.reason})"


def test_a_wider_learner_has_more_reduced_coordinates():
    for width, size in ((None, 4), (2, 4), (4, 6)):
        found = sampling_mode(get_learner("anil"), 4, 2, 3, 5, 5, width)
        assert (found.name, IN_FULL_SPACE, D_FREE) == ("exact-in-law in R^d", found.name, "exact-in-law, d-free")
        assert found.reason == f"d = 4 is no more than the k + k' = {size} reduced coordinates"


@learners
@pytest.mark.parametrize("method", ["in-law", "explicit"])
def test_run_records_what_it_says(learner, method):
    rng = np.random.default_rng(41)
    B0, w0 = start(rng, 9, 2, trials=(3,))
    heads, asked = rng.standard_normal((2, 4)), []

    def tasks(t):
        asked.append(t)
        return heads

    run = run_sampled(learner, B0, w0, tasks, 0.05, 0.05, 20, 20, 0.1, 9, 7, rng, 3, method)
    assert run.steps.tolist() == [0, 3, 6, 7]
    assert asked == list(range(7))
    assert run.dist.shape == (4, 3)
    np.testing.assert_array_equal(run.dist[0], subspace_distance(B0, np.eye(4, 2)))
    np.testing.assert_array_equal(run.dist[-1], subspace_distance(run.B, np.eye(run.B.shape[-2], 2)))
    assert run.mode.name == (EXPLICIT if method == "explicit" else sampling_mode(learner, 9, 2, 4, 20, 20).name)
    assert not run.diverged.any()
    assert run.w.shape == (3, 2)


@pytest.mark.parametrize("method", ["in-law", "explicit"])
def test_divergence_is_an_outcome(method):
    rng = np.random.default_rng(42)
    B0, w0 = start(rng, 9, 2)
    beta = np.array([0.01, 1e3])
    run = run_sampled(
        get_learner("maml"), B0, w0, lambda t: np.ones((2, 2)), 0.1, beta, 5, 5, 0.1, 9, 30, rng, method=method
    )
    assert run.diverged.tolist() == [False, True]
    assert np.isfinite(run.dist[:, 0]).all()
    assert np.isnan(run.dist[-1, 1])
    assert np.isfinite(run.B).all()


def test_a_trial_that_diverged_stays_so():
    """Only the first step's tasks of one trial are explosive: from where it froze, later steps would be harmless."""
    rng = np.random.default_rng(46)
    B0, w0 = start(rng, 9, 2)
    run = run_sampled(
        get_learner("fo-anil"),
        B0,
        w0,
        lambda t: np.array([1e6 if t == 0 else 0.1, 0.1])[:, None, None] * np.ones((2, 2)),
        0.01,
        0.01,
        50,
        50,
        0.1,
        9,
        5,
        rng,
    )
    assert run.diverged.tolist() == [True, False]
    assert np.isnan(run.dist[1:, 0]).all()
    np.testing.assert_array_equal(run.B[0], B0)


@pytest.mark.parametrize("method", ["in-law", "explicit"])
def test_noise_limits_how_close_a_run_comes(method):
    """FO-ANIL from a fair start: it approaches the truth, and little noise brings it closer than loud noise."""
    rng = np.random.default_rng(43)
    B0, _ = start(rng, 8, 2, trials=(10,))
    B0 = 0.5 * B0
    B0[:, :2] += 3 * np.eye(2)
    heads = np.array([[1.0, 0.0, 1.0], [0.0, 1.0, -1.0]])
    final = [
        run_sampled(
            get_learner("fo-anil"), B0, np.zeros(2), lambda t: heads, 0.1, 0.2, 50, 50, sigma, 8, 300, rng, 300, method
        )
        .dist[-1]
        .mean()
        for sigma in (0.1, 2.0)
    ]
    assert final[0] < 0.5 * final[1] < 0.3


def test_explicit_data_come_in_chunks(monkeypatch):
    rng = np.random.default_rng(44)
    B0, w0 = start(rng, 9, 2, trials=(2, 3))
    arguments = (get_learner("anil"), B0, w0, lambda t: np.ones((2, 2)), 0.1, 0.1, 3, 4, 0.5, 9, 2)
    whole = run_sampled(*arguments, np.random.default_rng(1), method="explicit")
    monkeypatch.setattr("metarep.sim.sampling.runs.CHUNK_BYTES", 1)
    chunked = run_sampled(*arguments, np.random.default_rng(1), method="explicit")
    assert chunked.B.shape == whole.B.shape == (2, 3, 9, 2)
    assert len(np.unique(chunked.B[..., 0, 0])) == 6


@pytest.mark.parametrize(("together", "m_out", "shared"), [(1, 6, False), (2, 6, False), (6, 6, False), (6, 4, True)])
def test_a_step_on_drawn_samples_is_one_of_each_trial_on_its_own_data(monkeypatch, together, m_out, shared):
    rng = np.random.default_rng(49)
    d, k, n, m_in = 5, 2, 3, 4
    B, w = rng.standard_normal((2, 3, d, k)), rng.standard_normal((3, k))
    heads, alpha = rng.standard_normal((2, 1, k, n)), np.array([[0.1], [0.2]])
    beta, sigma = np.array([0.1, 0.2, 0.3]), np.array([0.0, 0.5, 1.0])
    monkeypatch.setattr("metarep.sim.sampling.runs.CHUNK_BYTES", together * 8 * n * d * (m_in + m_out))
    learner, rng = get_learner("anil"), np.random.default_rng(1)
    B_next, w_next = step_on_drawn_samples(
        learner, B, w, heads, alpha, beta, m_in, m_out, sigma, np.random.default_rng(1), *[True] * shared
    )
    trials = [(i, j) for i in range(2) for j in range(3)]
    for start in range(0, 6, together):
        part = trials[start : start + together]
        first, second = ([pair[axis] for pair in part] for axis in (0, 1))
        chosen_heads = heads[first, 0]
        data = draw_samples(np.eye(d, k), chosen_heads, m_in, m_out, sigma[second], rng, (len(part),), shared)
        expected = step_on_samples(learner, B[first, second], w[second], *data, alpha[first, 0], beta[second])
        np.testing.assert_allclose(B_next[first, second], expected[0], rtol=1e-12)
        np.testing.assert_allclose(w_next[first, second], expected[1], rtol=1e-12)


BATCHED = {"B": 2, "w": 1, "heads": 2, "alpha": 0, "beta": 0, "sigma": 0}
"""What may have batch axes, before so many of its own."""


@pytest.mark.parametrize("name", BATCHED)
def test_batch_axes_of_any_argument_alone_are_the_steps_and_the_runs(name):
    rng = np.random.default_rng(50)
    arguments = {"B": rng.standard_normal((4, 2)), "w": rng.standard_normal(2), "heads": rng.standard_normal((2, 3))}
    arguments |= {"alpha": np.array(0.1), "beta": np.array(0.1), "sigma": np.array(0.5)}
    arguments[name] = np.stack([arguments[name]] * 3)
    B, w, heads, alpha, beta, sigma = arguments.values()
    learner = get_learner("anil")
    on_data = step_on_drawn_samples(learner, B, w, heads, alpha, beta, 5, 6, sigma, rng)
    for B_next, w_next in (on_data, step_in_law(learner, B, w, heads, alpha, beta, 5, 6, sigma, 4, rng)):
        assert (B_next.shape, w_next.shape) == ((3, 4, 2), (3, 2))
    for method in ("in-law", "explicit"):
        run = run_sampled(learner, B, w, lambda t: heads, alpha, beta, 5, 6, sigma, 4, 1, rng, method=method)
        assert (run.B.shape, run.w.shape, run.dist.shape, run.diverged.shape) == ((3, 4, 2), (3, 2), (2, 3), (3,))


def test_whole_numbers_and_fractions_start_a_run_too():
    B0, w0 = np.array([[1, 0], [1, 1], [0, 2], [1, 0]]), np.array([1, 2])
    arguments = (lambda t: np.ones((2, 3)), 0.1, 0.1, 5, 5, 0.5, 9, 2)
    expected = run_sampled(get_learner("anil"), B0 * 1.0, w0 * 1.0, *arguments, np.random.default_rng(1))
    exact = [np.vectorize(Fraction, otypes=[object])(start) for start in (B0, w0)]
    for one, other in ((B0, w0), exact):
        run = run_sampled(get_learner("anil"), one, other, *arguments, np.random.default_rng(1))
        np.testing.assert_array_equal(run.B, expected.B)
        np.testing.assert_array_equal(run.w, expected.w)


def test_shared_samples_change_the_law():
    rng = np.random.default_rng(45)
    trials = 20_000
    B0, w0 = start(rng, 6, 2)
    ends = [
        run_sampled(
            get_learner("fo-anil"),
            np.broadcast_to(B0, (trials, *B0.shape)),
            w0,
            lambda t: np.array([[1.0], [2.0]]),
            0.1,
            0.3,
            3,
            3,
            1.0,
            6,
            1,
            rng,
            method="explicit",
            shared=shared,
        )
        for shared in (False, False, True)
    ]
    one, other, shared = (np.concatenate([end.B.reshape(trials, -1), end.w], 1) for end in ends)
    z = [(one - x).mean(0) / np.sqrt((one.var(0) + x.var(0)) / trials) for x in (other, shared)]
    assert np.abs(z[0]).max() < 4
    assert np.abs(z[1]).max() > 8


# --- bad input


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"m_in": 0}, "m_in is 0; allowed: a whole number, 1 or more, or None"),
        ({"m_out": -math.inf}, "m_out is -inf; allowed"),
        ({"m_out": 1.5}, "m_out is 1.5; allowed"),
        ({"sigma": -0.1}, "sigma is -0.1; allowed"),
        ({"beta": np.ones(2), "sigma": np.ones(3)}, "the batch axes differ: B .*beta .2,., sigma .3,.; allowed"),
        ({"d": 1}, "d is 1 with k = 2"),
        ({"B": np.ones((5, 2))}, "B has shape"),
        ({"w": np.ones(3)}, "B has shape"),
        ({"learner": Learner("two-step", "head", False, 2)}, "no sampler in law for 'two-step'"),
    ],
)
def test_bad_steps_are_refused(change, message):
    arguments = {
        "learner": LEARNERS["anil"],
        "B": np.ones((4, 2)),
        "w": np.ones(2),
        "heads": np.ones((2, 3)),
        "alpha": 0.1,
        "beta": 0.1,
        "m_in": 3,
        "m_out": 3,
        "sigma": 1.0,
        "d": 9,
        "rng": np.random.default_rng(0),
    }
    with pytest.raises(ValueError, match=message):
        step_in_law(**(arguments | change))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"method": "magic"}, "method is 'magic'; allowed: 'in-law' or 'explicit'"),
        ({"steps": -1}, "steps is -1; allowed: a whole number, 0 or more"),
        ({"record_every": 0}, "record_every is 0; allowed: a whole number, 1 or more"),
        ({"shared": True}, "shared is set with method 'in-law'"),
        ({"method": "explicit", "m_in": None}, "allowed on explicit data: whole numbers"),
        ({"B0": np.ones((9, 2))}, "B0 has shape"),
        ({"alpha": -0.1}, "alpha is -0.1"),
    ],
)
def test_bad_runs_are_refused(change, message):
    arguments = {
        "learner": LEARNERS["anil"],
        "B0": np.ones((4, 2)),
        "w0": np.ones(2),
        "tasks": lambda t: np.ones((2, 3)),
        "alpha": 0.1,
        "beta": 0.1,
        "m_in": 3,
        "m_out": 3,
        "sigma": 1.0,
        "d": 9,
        "steps": 1,
        "rng": np.random.default_rng(0),
    }
    with pytest.raises(ValueError, match=message):
        run_sampled(**(arguments | change))


@pytest.mark.parametrize("batch", [(), (4,), (4, 3)])
def test_the_populations_answers_are_the_queries(batch):
    u = np.random.default_rng(47).standard_normal((*batch, 5, 2))
    first = first_query(None, u, 0.5)
    answer, along, across = second_query(None, first, 2 * u)
    np.testing.assert_array_equal(first.gradient, u)
    np.testing.assert_array_equal(answer, 2 * u)
    assert all(part.shape[:-1] == u.shape[:-1] for part in first)
    assert along.shape == across.shape == (*batch, 5, 1)
    assert not along.any()
    assert not across.any()


def test_a_large_representation_at_a_small_step_size_has_not_diverged():
    """Diverged is ‖B‖_F above 10⁶/√α, and not above 10⁶·√α."""
    rng = np.random.default_rng(48)
    B0, w0 = start(rng, 9, 2)
    alpha, beta = 1e-6, 1e-12
    for scale, expected in ((1e5, False), (1e10, True)):
        B = scale * B0 / np.linalg.norm(B0)
        heads = np.ones((2, 2))
        run = run_sampled(get_learner("fo-anil"), B, 0 * w0, lambda t, h=heads: h, alpha, beta, 5, 5, 0.1, 9, 1, rng)
        assert run.diverged.all() == run.diverged.any() == expected
