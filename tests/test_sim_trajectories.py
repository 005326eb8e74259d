from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from metarep.sim import metrics, updates
from metarep.sim.implementations import REFERENCE, Implementation
from metarep.sim.learners import LEARNERS, META_LEARNERS, get_learner
from metarep.sim.outcomes import Outcome
from metarep.sim.problems import FixedTasks, Problem, make_problem
from metarep.sim.trajectories import run

FO_ANIL = get_learner("fo-anil")


def problem(trials=(), seed=0, **kwargs):
    arguments = {"d": 30, "k": 3, "n": 4, "alpha": 0.1, "dist0": 0.6, "trials": trials, **kwargs}
    return make_problem(rng=np.random.default_rng(seed), **arguments)


@pytest.mark.parametrize("name", LEARNERS)
def test_a_batch_is_the_loop_over_its_trials_and_settings(name):
    """Shapes (settings, trials); each entry equals its own hand-made loop."""
    learner = LEARNERS[name]
    batched = problem((4,))
    alpha, beta = np.array([[0.1], [0.05], [0.3]]), np.array([[0.1], [0.2], [0.02]])
    trajectory = run(learner, batched, alpha, beta, 6, record_every=4)
    assert trajectory.steps.tolist() == [0, 4, 6]
    assert trajectory.dist.shape == (3, 3, 4)
    assert trajectory.outcome.shape == trajectory.diverged_at.shape == (3, 4)
    for i in range(3):
        for j in range(4):
            B, w = batched.B0[j], batched.w0[j]
            targets = batched.B_star @ batched.tasks(0)[j]
            for _ in range(6):
                B, w = updates.step(learner, B, w, targets, float(alpha[i, 0]), float(beta[i, 0]))
            # six steps of rounding at size 3 or so
            np.testing.assert_allclose(trajectory.B[i, j], B, atol=1e-12)
            np.testing.assert_allclose(trajectory.w[i, j], w, atol=1e-12)
            assert trajectory.dist[-1, i, j] == pytest.approx(
                float(metrics.subspace_distance(B, batched.B_star)), abs=1e-12
            )


def test_fresh_tasks_are_used_one_draw_a_step_and_are_the_same_for_every_run():
    p = problem(tasks="fresh")
    heads = [p.tasks(step) for step in range(5)]
    B, w = p.B0, p.w0
    for step in range(5):
        B, w = updates.step(FO_ANIL, B, w, p.B_star @ heads[step], 0.1, 0.1)
    for _ in range(2):
        np.testing.assert_array_equal(run(FO_ANIL, p, 0.1, 0.1, 5).B, B)


def test_outcomes_and_steps():
    p = problem((3,), spectrum=(1.0, 1.0, 1.0))
    done = run(FO_ANIL, p, 0.1, 0.3, 600)
    assert list(done.outcome) == [Outcome.CONVERGED] * 3
    assert (done.diverged_at == -1).all()
    moving = run(FO_ANIL, p, 0.1, 0.3, 40)
    assert list(moving.outcome) == [Outcome.MOVING] * 3
    stalled = run(FO_ANIL, p, 0.1, 0.0, 40)
    assert list(stalled.outcome) == [Outcome.STALLED] * 3
    single = run(FO_ANIL, problem(), 0.1, 0.1, 0)
    assert single.steps.tolist() == [0]
    assert single.outcome[()] is Outcome.MOVING
    assert run(FO_ANIL, problem(dist0=0.0), 0.1, 0.1, 0).outcome[()] is Outcome.CONVERGED
    assert len({o.message for o in Outcome}) == len(Outcome)


def test_average_loss_stalls_where_meta_learners_converge():
    p = problem((2,), n=20, spectrum=(1.0, 1.0, 1.0), d=100)
    assert all(o is Outcome.STALLED for o in run(LEARNERS["average-loss"], p, 0.1, 0.2, 1000).outcome)
    for name in META_LEARNERS:
        assert all(o is Outcome.CONVERGED for o in run(LEARNERS[name], p, 0.1, 0.2, 1000).outcome)


def test_stop_below_stops_all_together():
    p = problem((3,), spectrum=(2.0, 1.0, 1.0))
    full = run(FO_ANIL, p, 0.1, 0.3, 400)
    stopped = run(FO_ANIL, p, 0.1, 0.3, 400, stop_below=1e-3)
    last = int(np.argmax((full.dist <= 1e-3).all(1)))
    assert stopped.steps[-1] == last < 400
    np.testing.assert_array_equal(stopped.dist, full.dist[: last + 1])


def test_distance_stays_relatively_accurate_far_below_eps():
    p = problem(spectrum=(1.0, 1.0, 1.0))
    dist = run(FO_ANIL, p, 0.1, 1.0, 6000, record_every=100).dist
    assert 1e-290 < dist[-1] < 1e-200
    # At the fixed point every direction contracts by 1 − αβ; 100 steps round to some 1e-14 x cond.
    np.testing.assert_allclose(dist[20:] / dist[19:-1], 0.9**100, rtol=1e-6)


@pytest.mark.parametrize("name", LEARNERS)
@pytest.mark.parametrize("beta", [30.0, 1e30, 1e300])
def test_divergence_is_an_outcome_without_warnings(name, beta):
    p = problem((3,), head_mean=1.0)
    trajectory = run(LEARNERS[name], p, 0.1, np.array([beta, 0.001, beta]), 60)
    assert trajectory.diverged.tolist() == [True, False, True]
    assert trajectory.outcome[0] is Outcome.DIVERGED is trajectory.outcome[2]
    assert trajectory.outcome[1] is not Outcome.DIVERGED
    for trial in (0, 2):
        first = trajectory.diverged_at[trial]
        assert np.isnan(trajectory.dist[first:, trial]).all()
        assert np.isfinite(trajectory.dist[:first, trial]).all()
        assert np.isnan(trajectory.B[trial]).all()
        assert np.isnan(trajectory.w[trial]).all()
    assert np.isfinite(trajectory.dist[:, 1]).all()
    alone = run(LEARNERS[name], replace(p, B0=p.B0[1], w0=p.w0[1], tasks=FixedTasks(p.tasks(0)[1])), 0.1, 0.001, 60)
    np.testing.assert_allclose(alone.dist, trajectory.dist[:, 1], rtol=1e-12)


def test_a_run_whose_trials_have_all_diverged_stops_early():
    trajectory = run(FO_ANIL, problem((2,)), 0.1, 1e9, 10**6)
    assert trajectory.steps[-1] == trajectory.diverged_at.max() < 10
    assert run(FO_ANIL, problem((2,)), 0.1, 1e9, 10**6, record_every=10**5).steps[-1] == trajectory.steps[-1]
    nowhere = run(FO_ANIL, replace(problem(), B0=np.full((6, 3), np.nan)), 0.1, 0.1, 5)
    assert nowhere.steps.tolist() == [0]
    assert nowhere.diverged_at == 0


def test_divergence_is_noticed_at_the_first_step_beyond_the_bound():
    p = problem(head_mean=1.0)
    B, w, step = p.B0, p.w0, 0
    while np.linalg.norm(B) * np.sqrt(0.1) <= 1e6:
        B, w = updates.step(FO_ANIL, B, w, p.B_star @ p.tasks(0), 0.1, 30.0)
        step += 1
    assert run(FO_ANIL, p, 0.1, 30.0, 100, record_every=50).diverged_at == step


def test_steps_that_are_looked_at_together_are_those_looked_at_one_by_one():
    """Trials that diverge at different steps, and those that do not, are the same to the last bit."""
    p, beta = problem((4,), head_mean=1.0), np.array([30.0, 0.1, 1.0, 4.0])
    alone, together = (run(FO_ANIL, p, 0.1, beta, 300, record_every=every) for every in (1, 300))
    assert len(set(alone.diverged_at[alone.diverged])) > 1
    assert not alone.diverged.all()
    np.testing.assert_array_equal(together.diverged_at, alone.diverged_at)
    np.testing.assert_array_equal(together.B, alone.B)
    np.testing.assert_array_equal(together.w, alone.w)


def test_a_tiny_inner_step_size_neither_warns_nor_hides_a_divergence():
    p = problem(head_mean=1.0)
    for alpha in (1e-300, np.array([1e-300, 0.1])):  # DIVERGED_ABOVE²/α is beyond the largest float
        assert np.isfinite(run(FO_ANIL, p, alpha, 0.1, 3).dist).all()
    at_once = replace(p, B0=np.where(np.eye(6, 3) > 0, np.inf, p.B0))
    assert run(FO_ANIL, at_once, 1e-300, 0.1, 3).diverged_at == 0


def test_observed_and_progress():
    seen = []
    trajectory = run(
        FO_ANIL,
        problem((2,)),
        0.1,
        np.array([0.1, 1e9]),
        20,
        record_every=5,
        observe={"norm": lambda B, w, t: np.linalg.norm(B, axis=(-2, -1)), "step": lambda B, w, t: t},
        progress=seen.append,
    )
    assert trajectory.observed["step"].tolist() == [0, 5, 10, 15, 20]
    assert trajectory.observed["norm"].shape == (5, 2)
    assert trajectory.observed["norm"][-1, 0] == pytest.approx(np.linalg.norm(trajectory.B[0]))
    assert np.isnan(trajectory.observed["norm"][1:, 1]).all()
    assert seen[-1] == 20
    assert seen == sorted(seen)


@pytest.mark.parametrize("name", LEARNERS)
def test_fractions_run_through(name):
    """Exactly: the same problem in fractions, whose values are the floats', differs from the float run by rounding
    only.
    """
    p = problem(n=2, k=2, d=4)

    def exact(array):
        return np.vectorize(lambda x: Fraction(float(x)).limit_denominator(50), otypes=[object])(array)

    B_star, B0, heads, w0 = exact(p.B_star), exact(p.B0), exact(p.tasks(0)), exact(np.array([0.2, -0.1]))
    alpha, beta = Fraction(1, 10), Fraction(1, 5)
    fractions = run(LEARNERS[name], Problem(4, B_star, FixedTasks(heads), B0, w0, 2), alpha, beta, 2)
    B_star, B0, heads, w0 = (array.astype(float) for array in (B_star, B0, heads, w0))
    floats = run(LEARNERS[name], Problem(4, B_star, FixedTasks(heads), B0, w0, 2), 0.1, 0.2, 2)
    assert all(isinstance(x, Fraction) for x in fractions.B.flat)
    assert all(isinstance(x, Fraction) for x in fractions.w.flat)
    np.testing.assert_allclose(fractions.B.astype(float), floats.B, atol=1e-13)
    np.testing.assert_allclose(fractions.dist, floats.dist, atol=1e-13)


def test_an_implementation_is_what_is_run():
    calls = []

    def lazy(learner, B, w, targets, alpha, beta):
        calls.append(learner.name)
        return B, w

    other = Implementation("lazy", step=lazy, subspace_distance=lambda B, B_star: np.asarray(0.25))
    trajectory = run(FO_ANIL, problem(), 0.1, 0.1, 3, implementation=other)
    assert calls == ["fo-anil"] * 3
    assert trajectory.dist.tolist() == [0.25] * 4

    def broken(learner, B, w, targets, alpha, beta):
        return B * [[[1.0]], [[np.nan]]], np.full(w.shape, 1.0)

    trajectory = run(FO_ANIL, problem((2,)), 0.1, 0.1, 5, implementation=Implementation("broken", step=broken))
    assert trajectory.diverged_at.tolist() == [-1, 1]
    assert REFERENCE.supported == frozenset(LEARNERS)
    with pytest.raises(ValueError, match="supported holds reptile; allowed: anil, "):
        Implementation("odd", supported=frozenset({"reptile"}))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"steps": -1}, "steps is -1; allowed: a whole number, 0 or more"),
        ({"steps": 2.0}, r"steps is 2\.0; allowed"),
        ({"record_every": 0}, "record_every is 0; allowed: a whole number, 1 or more"),
        ({"alpha": 0}, "alpha is 0; allowed: alpha > 0 and finite"),
        ({"beta": -0.1}, r"beta is -0\.1; allowed: beta >= 0 and finite"),
        ({"beta": float("inf")}, "beta is inf; allowed"),
        ({"alpha": np.full(3, 0.1)}, r"batch axes differ: B0 \(2,\), .*alpha \(3,\).*; allowed: axes that broadcast"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        run(**{"learner": FO_ANIL, "problem": problem((2,)), "alpha": 0.1, "beta": 0.1, "steps": 3, **arguments})


@pytest.mark.parametrize("tasks", ["fixed", "fresh"])
def test_several_steps_at_a_time_make_the_same_run(tasks) -> None:
    """Where one trial diverges (and is frozen), where fewer steps are returned than asked for, whatever the tasks."""
    p, alpha, beta = problem((3,), tasks=tasks), 0.1, np.array([0.2, 40.0, 0.05])
    asked = []

    def several(learner, B, w, targets, alpha, beta):
        asked.append(len(targets))
        found = []
        for each in targets[:20]:
            B, w = updates.step(learner, B, w, each, alpha, beta)
            found.append((B, w))
        return tuple(np.stack(parts) for parts in zip(*found, strict=True))

    one = run(FO_ANIL, p, alpha, beta, 150, record_every=3, way="tasks")
    many = run(FO_ANIL, p, alpha, beta, 150, record_every=3, implementation=replace(REFERENCE, several=several))
    np.testing.assert_array_equal(many.dist, one.dist)
    np.testing.assert_array_equal(many.B, one.B)
    assert list(many.diverged_at) == list(one.diverged_at)
    assert (one.diverged_at > 0).any()
    assert max(asked) > 20
    assert len(asked) < 30


def test_a_representation_that_lost_rank_has_not_converged() -> None:
    p = make_problem(6, 2, 4, 0.1, np.random.default_rng(0), dist0=0.5)
    inside = np.array([[1.0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0]]).T  # one of the truth's two directions
    collapsed = run(FO_ANIL, replace(p, B_star=np.eye(6, 2), B0=inside), 0.1, 0.0, 3)
    assert collapsed.dist[-1] == 0.0
    assert collapsed.outcome == Outcome.COLLAPSED
    assert "lost rank" in collapsed.outcome.item().message
