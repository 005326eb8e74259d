"""What the contraction, envelope, baseline and constants chapters build on, and that each of their checks can fail."""

from dataclasses import replace
from fractions import Fraction
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import Phase, given, settings
from scipy.integrate import solve_ivp

from metarep.sim.implementations import REFERENCE, Implementation
from metarep.sim.learners import LEARNERS, META_LEARNERS, get_learner
from metarep.sim.metrics import principal_sines, subspace_distance
from metarep.sim.outcomes import Outcome
from metarep.sim.trajectories import Trajectory, run
from metarep.sim.updates import step
from metarep.theory.claims import balance, catalogue, claims_in, contraction, envelope, get_claim
from metarep.theory.claims.balanced import (
    REGIONS,
    CyclingTasks,
    Setting,
    heads_of,
    one_direction_setting,
    run_setting,
    setting_of,
    settings_in,
    start_of,
)
from metarep.theory.claims.baseline import average_loss, diversity
from metarep.theory.claims.compliance import largest_c, log_envelope
from metarep.theory.claims.constants.cube import instance_at
from metarep.theory.claims.record import Verdict
from metarep.theory.claims.strategies import array, floats, fractions, reflected_identity, step_arrays
from metarep.theory.dynamics import rates
from metarep.theory.dynamics.bounds import flow_log_distance, largest_flow_c
from metarep.theory.dynamics.rates import HeadMoments
from metarep.theory.engine import Profile, verify

EPS = float(np.finfo(float).eps)

# --- what a setting promises


@settings(max_examples=40)
@given(st.data())
def test_heads_have_the_promised_moments(data: st.DataObject) -> None:
    k = data.draw(st.integers(1, 4))
    n = data.draw(st.integers(k, k + 3))
    spectrum = data.draw(st.lists(st.floats(0.01, 1.0), min_size=k, max_size=k))
    share = data.draw(st.lists(floats(-1, 1), min_size=k, max_size=k))
    frame = data.draw(
        st.lists(st.lists(floats(-1, 1), min_size=max(n - 1, 1), max_size=max(n - 1, 1)), min_size=1, max_size=2)
    )
    heads = heads_of(spectrum, share, n, frame)
    moments = HeadMoments.of(heads)
    assert heads.shape == (k, n)
    # sums of n products of numbers of size √(n·1)
    assert np.allclose(moments.second, np.diag(spectrum), rtol=0, atol=64 * n * EPS)
    s = np.array(share)
    norm = np.linalg.norm(s)
    if n == k:
        s = s / norm if norm > 0 else np.eye(k)[0]
    elif norm > 1:
        s = s / norm
    assert np.allclose(
        moments.mean, np.sqrt(spectrum) * s, rtol=0, atol=1e-7
    )  # (I − ssᵀ)^{1/2} at ‖s‖ = 1 loses half the digits


def test_heads_refuse_what_is_impossible() -> None:
    with pytest.raises(ValueError, match="n is 1"):
        heads_of([1.0, 1.0], [0.0, 0.0], 1, [])
    with pytest.raises(ValueError, match="positive eigenvalues"):
        heads_of([1.0, 0.0], [0.0, 0.0], 3, [])


@settings(max_examples=40)
@given(st.data())
def test_starts_have_the_promised_angles(data: st.DataObject) -> None:
    k = data.draw(st.integers(1, 4))
    d = data.draw(st.integers(k + 1, 2 * k + 1))
    sines = sorted(data.draw(st.lists(st.floats(0.0, 1.0), min_size=k, max_size=k)), reverse=True)
    orientation = data.draw(st.lists(st.lists(floats(-1, 1), min_size=k, max_size=k), min_size=1, max_size=2))
    basis = start_of(sines, orientation, d)
    assert basis.shape == (min(d, 2 * k), k)
    assert np.allclose(basis.T @ basis, np.eye(k), rtol=0, atol=64 * k * EPS)
    expected = np.where(np.arange(k) < d - k, sines, 0.0)
    assert np.allclose(principal_sines(basis, np.eye(len(basis), k)), expected, rtol=0, atol=64 * k * EPS)


@pytest.mark.parametrize("name", META_LEARNERS)
@pytest.mark.parametrize("period", [1, 3])
def test_settings_keep_to_their_region(name: str, period: int) -> None:
    region = REGIONS[name]

    @settings(max_examples=15)
    @given(settings_in(region, period))
    def check(instance: Any) -> None:
        steps = np.array(instance["steps"])
        assert np.all((steps[:, 0] >= 0.999 * region.least) & (steps[:, 0] <= 1.001 * region.most))
        assert np.all((steps[:, 1] > 0) & (steps[:, 1] <= 1.001 * region.largest_step))
        setting = setting_of([instance], steps)
        B0, k = setting.problem.B0, instance["k"]
        gram = setting.alpha[:, None, None] * np.swapaxes(B0, -1, -2) @ B0
        assert np.allclose(gram, np.eye(k), rtol=0, atol=64 * k * EPS)
        assert not setting.problem.w0.any()
        assert np.all((setting.dist0 >= 0.05 - 1e-9) & (setting.dist0 <= 0.94))
        assert np.allclose(setting.dist0, subspace_distance(B0, setting.problem.B_star), rtol=0, atol=64 * k * EPS)
        assert np.allclose(setting.alpha * setting.beta, steps[:, 1])
        for t in range(4):  # L_* = 1 at every step, and λ_min is what the envelope is told
            values = np.linalg.eigvalsh(_second(setting.problem.tasks(t)))
            assert np.allclose(values[..., -1], 1.0)
            assert np.allclose(values[..., 0], setting.smallest[t % len(setting.smallest)])

    check()


def test_exact_maml_loses_more_balance_with_many_tasks() -> None:
    """As its claim's remark says: all heads but few are near zero."""
    still = [[0.0] * 2]
    setting = {"k": 2, "d": 4, "steps": [[0.3, 0.03]], "spectra": [[1.0, 1.0]], "sines": [0.9, 0.9]}
    setting |= {"mean_shares": still, "orientation": still}
    check = get_claim("balance-bounded-maml").check
    assert check is not None
    for n, holds in ((5, True), (13, False)):
        assert check({**setting, "n": n, "frames": [[[0.0] * (n - 1)]]}, REFERENCE).holds is holds


def test_larger_k_are_not_rarer() -> None:
    seen = []

    @settings(max_examples=60, phases=[Phase.generate])
    @given(settings_in(REGIONS["anil"]))
    def count(instance: Any) -> None:
        seen.append(instance["k"])

    count()
    assert min(seen.count(k) for k in (2, 3)) >= 0.5 * seen.count(1)


def _second(heads: np.ndarray) -> np.ndarray:
    return heads @ np.swapaxes(heads, -1, -2) / heads.shape[-1]


def test_cycling_tasks_turn_and_take_turns() -> None:
    rng = np.random.default_rng(0)
    sets = rng.standard_normal((2, 3, 3, 4))
    tasks = CyclingTasks(sets, np.array([0.3, 0.0]))
    for t in range(5):
        heads = tasks(t)
        assert np.allclose(np.linalg.eigvalsh(_second(heads)), np.linalg.eigvalsh(_second(sets[:, t % 3])))
        assert np.array_equal(heads[1], sets[1, t % 3])  # this one does not turn
    cos, sin = np.cos(0.6), np.sin(0.6)
    assert np.allclose(tasks(2)[0, 0], cos * sets[0, 2, 0] - sin * sets[0, 2, 1])


# --- the envelope


def _changing() -> Setting:
    rng = np.random.default_rng(1)
    instance = {
        "k": 2, "d": 4, "n": 3, "sines": [0.6, 0.3], "orientation": [[0.2, -0.5]],
        "spectra": [[1.0, 0.3], [1.0, 0.8], [1.0, 0.05]],
        "mean_shares": [[0.1, 0.2], [0.0, 0.0], [-0.6, 0.3]],
        "frames": [rng.standard_normal((2, 2)).tolist() for _ in range(3)],
        "turn": 0.4,
    }  # fmt: skip
    return setting_of([instance], np.array([[0.5, 0.02], [2.0, 0.01]]))


def test_log_envelope_is_the_product_of_the_steps_factors() -> None:
    setting = _changing()
    recorded = np.arange(0, 12)
    seen = log_envelope(setting, recorded, 0.5)
    for trial, rate in enumerate(setting.alpha * setting.beta):
        factors = np.array([1 - 0.5 * rate * (0.9 - 0.36) * [0.3, 0.8, 0.05][s % 3] for s in range(11)])
        assert np.allclose(np.exp(seen[:, trial]), rates.envelope(factors), rtol=64 * EPS)


def test_largest_c_recovers_the_c_of_an_envelope() -> None:
    setting = _changing()
    recorded = np.arange(0, 60)
    dist = np.exp(log_envelope(setting, recorded, np.array([0.7, 1.9])))
    outcome = np.full(2, Outcome.MOVING, dtype=object)
    empty = np.zeros((2, 4, 2))
    trajectory = Trajectory(recorded, dist, outcome, np.full(2, -1), empty, empty[:, 0])
    assert np.allclose(largest_c(setting, trajectory), [0.7, 1.9], atol=1e-6)
    worse = replace(trajectory, dist=dist * np.where(recorded == 40, 1.05, 1.0)[:, None])
    assert np.all(largest_c(setting, worse) < [0.69, 1.89])
    gone = replace(trajectory, diverged_at=np.array([-1, 30]))
    assert largest_c(setting, gone)[1] < -1


def test_flow_distance_solves_its_equation() -> None:
    solution = solve_ivp(lambda _, s: -s * (1 - s**2), (0, 5), [0.8], rtol=1e-10, atol=1e-12, t_eval=[1.0, 5.0])
    assert np.allclose(np.exp(flow_log_distance(0.8, np.array([1.0, 5.0]))), solution.y[0], rtol=1e-7)


def test_largest_flow_c_falls_to_its_limit() -> None:
    values = [largest_flow_c(x) for x in (0.5, 1, 10, 100, 1e6)]
    assert values == sorted(values, reverse=True)
    assert abs(values[-1] - 1 / 0.9) < 1e-4
    with pytest.raises(ValueError, match="x is 0"):
        largest_flow_c(0)


@pytest.mark.parametrize("name", META_LEARNERS)
def test_small_steps_follow_the_flow(name: str) -> None:
    instance = instance_at(np.full(6, 0.5), 1, 2, 1, (0.1, 1e-3))
    setting = setting_of([instance], np.array([[0.1, 1e-3]]))
    trajectory = run_setting(get_learner(name), setting, 2000, REFERENCE, record_every=500)
    expected = np.exp(flow_log_distance(0.47, 1e-3 * trajectory.steps))
    # Euler's error is of the order of the step, over a time of 2; Exact MAML's head moves by a share (αL_*)² besides.
    assert np.allclose(trajectory.dist[:, 0], expected, rtol=2e-3 if name != "maml" else 2e-2)


SIMPLEST = {
    "envelope-fo-maml-forever": {"heads": [1, 2], "alpha_L": 0.1, "step": 0.01, "dist_0": 0.9},
    "envelope-fo-maml-small-ratio": {"heads": [0, 0, 1], "alpha_L": 0.1, "step": 0.03, "dist_0": 0.94},
    "envelope-maml-moderate-alpha": {"heads": [0, 0, 1], "alpha_L": 3.0, "step": 0.01, "dist_0": 0.85},
}


@pytest.mark.parametrize("id_", SIMPLEST)
def test_a_wrong_guess_falls_by_its_simplest_instance(id_: str) -> None:
    counterexample = verify(replace(get_claim(id_), confirm=None)).counterexample
    assert counterexample is not None
    assert counterexample.counterexample == SIMPLEST[id_]


@pytest.mark.parametrize(
    ("id_", "name", "steps"),
    [
        ("envelope-fo-maml-forever", "fo-maml", envelope.STEPS),
        ("envelope-fo-maml-forever", "fo-anil", envelope.LONG_STEPS),
        ("envelope-fo-maml-small-ratio", "fo-anil", envelope.OUTSIDE_STEPS),
        ("envelope-maml-moderate-alpha", "anil", envelope.OUTSIDE_STEPS),
    ],
)
def test_the_check_of_a_wrong_guess_can_hold(id_: str, name: str, steps: int) -> None:
    """It is the learner and the number of steps that refute it."""
    setting = one_direction_setting(SIMPLEST[id_])
    assert envelope.stays_below(LEARNERS[name], setting, REFERENCE, steps=steps).holds


def test_nothing_rests_on_a_wrong_guess() -> None:
    wrong = {claim.id for claim in catalogue() if claim.expected is Verdict.REFUTED}
    assert wrong >= set(SIMPLEST)
    assert not any(wrong & set(claim.rests_on) for claim in catalogue())


# --- other hypotheses


@settings(max_examples=25)
@given(contraction.balanced_steps(fractions))
def test_balanced_steps_are_balanced_exactly(instance: Any) -> None:
    at = step_arrays(contraction.balanced_example(instance))
    assert instance["d"] > instance["k"]
    assert np.array_equal(at.alpha * at.B.T @ at.B, np.eye(instance["k"], dtype=int))


@settings(max_examples=25)
@given(average_loss.centred_heads(fractions))
def test_centred_heads_add_up_to_zero(instance: Any) -> None:
    assert not array(instance["heads"]).sum(1).any()
    assert not any(instance["w"])


@settings(max_examples=25)
@given(diversity.poor_tasks())
def test_poor_tasks_leave_a_direction_out(instance: Any) -> None:
    assert 2 * instance["r"] < 2 * instance["k"] <= instance["d"]
    assert max(abs(entry) for rows in instance["heads"] for row in rows for entry in row) >= 0.5
    problem, alpha, _ = diversity.poor_problem(LEARNERS["anil"], instance)
    assert len(problem.B0) == instance["d"]
    largest = max(np.linalg.eigvalsh(_second(problem.tasks(t)))[-1] for t in range(2))
    assert largest == pytest.approx(1)
    assert alpha * np.linalg.norm(problem.B0, 2) ** 2 <= 1 + 1e-9
    assert all(array(rows).shape[0] == instance["r"] for rows in instance["heads"])
    assert len(instance["heads"]) in (1, 2)


@settings(max_examples=8, deadline=None)
@given(diversity.poor_tasks())
def test_poor_tasks_are_judged_over_the_whole_run(instance: Any) -> None:
    for learner in LEARNERS.values():
        problem, alpha, beta = diversity.poor_problem(learner, instance)
        trajectory = run(learner, problem, alpha, beta, 300, record_every=300)
        stays = alpha * np.square(trajectory.B).sum() < diversity.LARGEST_STAY * instance["k"]
        assert learner.name == "fo-maml" or stays


def test_least_share_is_the_minimum() -> None:
    rng = np.random.default_rng(0)
    X, Y = rng.standard_normal((1, 3)), rng.standard_normal((3, 3))
    y = rng.standard_normal((3, 20000))
    tried = np.linalg.norm(Y @ y, axis=0) / np.linalg.norm(np.concatenate([X, Y]) @ y, axis=0)
    share = diversity.least_share(X, Y)
    assert share <= tried.min() <= 1.05 * share


def test_spread_heads_keep_the_mean() -> None:
    heads, spread = np.ones((2, 3)), np.arange(6.0).reshape(2, 3)
    assert np.array_equal(diversity.spread_heads(heads, spread).mean(1), [1, 1])


def test_reflections_of_fractions_stay_exact() -> None:
    Q = reflected_identity([[Fraction(1, 2), Fraction(1, 3)], [Fraction(0), Fraction(0)]])
    assert np.array_equal(Q.T @ Q, np.eye(2, dtype=int))


# --- each check is able to fail


def _with_step(change: Any) -> Implementation:
    return replace(REFERENCE, name="broken", step=change)


def _sum_instead_of_mean(learner: Any, B: Any, w: Any, targets: Any, alpha: Any, beta: Any) -> Any:
    return step(learner, B, w, targets, alpha, beta * targets.shape[-1])


def _uphill(learner: Any, B: Any, w: Any, targets: Any, alpha: Any, beta: Any) -> Any:
    after = step(learner, B, w, targets, alpha, beta)
    return 2 * B - after[0], 2 * w - after[1]


def _noisy(learner: Any, B: Any, w: Any, targets: Any, alpha: Any, beta: Any) -> Any:
    after_B, after_w = step(learner, B, w, targets, alpha, beta)
    shift = after_B * 0 + 1
    return after_B + shift / 64, after_w


def _meta_learner_instead(learner: Any, B: Any, w: Any, targets: Any, alpha: Any, beta: Any) -> Any:
    return step(get_learner("fo-anil"), B, w, targets, alpha, beta)


def _pulled_in(learner: Any, B: Any, w: Any, targets: Any, alpha: Any, beta: Any) -> Any:
    after_B, after_w = step(learner, B, w, targets, alpha, beta)
    shrink = np.where(np.arange(after_B.shape[-2]) < after_B.shape[-1], 1.0, 0.9)
    return after_B * shrink[:, None], after_w


def _two_steps(learner: Any, B: Any, w: Any, targets: Any, alpha: Any, beta: Any) -> Any:
    return step(learner, *step(learner, B, w, targets, alpha, beta), targets, alpha, beta)


QUICK = Profile("quick", shrink=False)

BREAKAGES = [
    *((claim.id, _uphill) for claim in claims_in(contraction) if claim.id.startswith(("one-step", "balanced"))),
    *((claim.id, _noisy) for claim in claims_in(contraction) if claim.id.startswith(("balance-", "balanced-heads"))),
    *((claim.id, _noisy) for claim in claims_in(balance)),
    *((f"envelope-{name}", _uphill) for name in META_LEARNERS),
    *((f"envelope-changing-{name}", _uphill) for name in META_LEARNERS),
    ("balanced-heads-fo-anil", _sum_instead_of_mean),
    ("baseline-one-direction", _meta_learner_instead),
    ("baseline-lower-bound", _pulled_in),
    ("baseline-stationary", _meta_learner_instead),
    ("baseline-control", _two_steps),
    *((f"diversity-needed-{name}", _pulled_in) for name in (*META_LEARNERS, "average-loss")),
]


@pytest.mark.parametrize(("id_", "change"), BREAKAGES, ids=lambda value: getattr(value, "__name__", value))
def test_broken_implementation_is_refuted(id_: str, change: Any) -> None:
    claim = get_claim(id_)
    finding = verify(claim, _with_step(change), profile=QUICK, examples=12, kinds=("exact", "floats"))
    assert finding.status == Verdict.REFUTED


NAN_IDS = [
    "baseline-lower-bound",
    "local-ratio-anil",
    "local-ratio-maml",
    *(f"diversity-needed-{name}" for name in (*META_LEARNERS, "average-loss")),
]


@pytest.mark.parametrize("id_", NAN_IDS)
def test_a_step_that_returns_nan_is_refuted(id_: str) -> None:
    def nowhere(*arguments: Any) -> tuple[np.ndarray, np.ndarray]:
        B, w = step(*arguments)
        return B * np.nan, w * np.nan

    finding = verify(get_claim(id_), replace(REFERENCE, step=nowhere), profile=QUICK, examples=2, kinds=("floats",))
    assert finding.status is Verdict.REFUTED


def test_wrong_distance_is_refuted() -> None:
    wrong = replace(REFERENCE, name="broken", subspace_distance=lambda B, B_star: subspace_distance(B, B_star) / 2)
    for id_ in ("head-diversity-lower", "baseline-lower-bound"):
        assert verify(get_claim(id_), wrong, profile=QUICK, examples=30).status == Verdict.REFUTED
    for learner in META_LEARNERS:
        claim = get_claim(f"diversity-needed-{learner}")
        assert verify(claim, wrong, profile=QUICK, examples=30).status == Verdict.REFUTED


def _one_percent_off(learner: Any, B: Any, w: Any, targets: Any, alpha: Any, beta: Any) -> Any:
    return step(learner, B, w, targets, alpha, 1.01 * beta)


@pytest.mark.parametrize(
    ("id_", "change"),
    [
        ("maml-few-heads", _one_percent_off),
        ("maml-few-heads", _meta_learner_instead),
        ("baseline-turning-means", _meta_learner_instead),
        ("baseline-turning-means", _uphill),
    ],
)
def test_measurements_notice_a_broken_learner(id_: str, change: Any) -> None:
    claim = get_claim(id_)
    assert (
        verify(replace(claim, examples=100), _with_step(change), profile=QUICK, examples=10).status == Verdict.REFUTED
    )


def test_the_narrow_floor_notices_a_broken_learner() -> None:
    assert verify(get_claim("diversity-needed-narrow"), _with_step(_uphill), examples=10).status == Verdict.REFUTED
