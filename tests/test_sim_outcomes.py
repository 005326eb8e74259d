"""What became of a run: each rule on a run made for it, and each rule broken once."""

from dataclasses import replace

import numpy as np
import pytest

from metarep.sim import outcomes as judged
from metarep.sim.implementations import Implementation
from metarep.sim.learners import LEARNERS, Learner
from metarep.sim.outcomes import Guard, Outcome, Tail, outcomes, trend
from metarep.sim.problems import FixedTasks, Problem
from metarep.sim.sampling.runs import run_sampled
from metarep.sim.tasks import FreshTasks, gaussian_heads
from metarep.sim.trajectories import run

ALPHA, K, N = 0.25, 2, 4
STEPS = 40
MAML = LEARNERS["maml"]
BLIND_B = np.array([[0.0, 0.0], [0.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
"""B_*ᵀB = 0 and Bw = 0 for the first unit vector's multiples."""
BLIND_W = np.array([2.0, 0.0])
"""α‖w‖² = 1."""


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def problem(B0=BLIND_B, w0=BLIND_W, heads=None) -> Problem:
    heads = gaussian_heads(0.0, 1.0, N, rng(), k=K) if heads is None else heads
    return Problem(100, np.eye(2 * K, K), FixedTasks(heads), np.asarray(B0, float), np.asarray(w0, float), N)


def scripted(problem: Problem, at, learner: Learner = MAML) -> Outcome:
    """The outcome of a run that goes through the given states, step -> (B, w)."""
    step = 0

    def follow(learner, B, w, targets, alpha, beta):
        nonlocal step
        step += 1
        return at(step)

    B0, w0 = at(0)
    run_of = Implementation("scripted", step=follow)
    return run(learner, replace(problem, B0=B0, w0=w0), ALPHA, 0.1, STEPS, implementation=run_of).outcome.item()


def in_span(dist: float, size: float = 1.0) -> np.ndarray:
    """A representation at that distance, all angles equal, of that size."""
    return size * np.concatenate([np.sqrt(1 - dist**2) * np.eye(K), dist * np.eye(K)])


def slow() -> Outcome:
    """The direction that hardly a task has is missing and comes too slowly to be seen; the others are solved by B."""
    B = np.array([[1.0, 0.0], [0.0, 1e-3], [0.0, 0.0], [0.0, 1.0]]) / np.sqrt(ALPHA)
    heads = np.array([[1.0, -1.0, 1.0, -1.0], [0.02, 0.02, -0.02, -0.02]])
    return run(MAML, problem(B, np.zeros(K), heads), ALPHA, 1e-3, STEPS).outcome.item()


CASES = {
    "at a blind point": (lambda: run(MAML, problem(), ALPHA, 0.1, STEPS).outcome.item(), Outcome.BLIND),
    "merely slow": (slow, Outcome.STALLED),
    "unsolved": (lambda: scripted(problem(), lambda t: (BLIND_B, 0.8 * BLIND_W)), Outcome.STALLED),
    "too few tasks, solved by B": (
        lambda: run(
            MAML, problem(BLIND_B[[2, 0, 1, 3]] * 2, np.zeros(K), [[1.0, 2, 1, 1], [0] * 4]), ALPHA, 0.0, STEPS
        ).outcome.item(),
        Outcome.STALLED,
    ),
    "near the truth": (lambda: scripted(problem(), lambda t: (in_span(5e-3, 1e-3), BLIND_W)), Outcome.STALLED),
    "coming closer": (lambda: scripted(problem(), lambda t: (in_span(0.9**t, 1e-3), BLIND_W)), Outcome.MOVING),
    "moving away": (lambda: scripted(problem(), lambda t: (in_span(0.02 * t + 0.1), 0 * BLIND_W)), Outcome.RECEDING),
    "moving away, and blind": (
        lambda: scripted(problem(), lambda t: (in_span(0.02 * t + 0.1, 1e-3), BLIND_W)),
        Outcome.BLIND,
    ),
    "solved now and then": (
        lambda: scripted(problem(), lambda t: (BLIND_B, BLIND_W * (1 if t % 4 else 0.5))),
        Outcome.STALLED,
    ),
    "converged": (lambda: scripted(problem(), lambda t: (in_span(0.0, 1e-3), BLIND_W)), Outcome.CONVERGED),
    "collapsed": (
        lambda: scripted(problem(), lambda t: (in_span(0.0) * [1e-3, 0.0], BLIND_W)),
        Outcome.COLLAPSED,
    ),
    "diverged at last": (
        lambda: scripted(problem(), lambda t: (BLIND_B * (1 if t < STEPS else np.inf), BLIND_W)),
        Outcome.DIVERGED,
    ),
    "no representation to adapt": (
        lambda: scripted(problem(), lambda t: (BLIND_B, BLIND_W), LEARNERS["anil"]),
        Outcome.STALLED,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_what_became_of_it(name):
    made, expected = CASES[name]
    with np.errstate(invalid="ignore"):
        assert made() is expected


BROKEN = {
    "nothing counts as solved": ("SOLVED_BELOW", -1.0, "at a blind point"),
    "all counts as solved": ("SOLVED_BELOW", 1e9, "unsolved"),
    "whoever solves them": ("IDLE_ABOVE", -1.0, "merely slow"),
    "nobody is idle": ("IDLE_ABOVE", 2.0, "at a blind point"),
    "from however near": ("FAR_ABOVE", 0.0, "near the truth"),
    "no distance is far": ("FAR_ABOVE", 1.0, "at a blind point"),
    "from a single state": ("TAIL_STATES", 1, "solved now and then"),
    "from no state": ("TAIL_STATES", 0, "at a blind point"),
    "no fall counts": ("LEAST_CHANGE", np.inf, "coming closer"),
    "no rise counts": ("LEAST_CHANGE", np.inf, "moving away"),
    "any fluctuation is a change": ("CLEAR_SHARE", 0.0, "fluctuating"),
}


def fluctuating() -> Outcome:
    return outcomes(0.1 * np.exp(0.1 * rng().standard_normal((200, 1))), np.zeros(1, bool)).item()


@pytest.mark.parametrize("name", BROKEN)
def test_each_rule_broken_is_noticed(name, monkeypatch):
    constant, value, case = BROKEN[name]
    made, expected = (fluctuating, Outcome.STALLED) if case == "fluctuating" else CASES[case]
    assert made() is expected
    monkeypatch.setattr(judged, constant, value)
    assert made() is not expected


@pytest.mark.parametrize("name", LEARNERS)
def test_only_learners_that_adapt_their_representation_end_blind(name):
    """Both MAMLs stay at a blind point, with fixed and with fresh tasks, batched with a start from which they learn."""
    B0 = np.stack([BLIND_B, in_span(0.3, 1 / np.sqrt(ALPHA))])
    w0 = np.stack([BLIND_W, np.zeros(K)])
    for tasks in (FixedTasks(gaussian_heads(0.0, 1.0, N, rng(), k=K)), FreshTasks(0.0, 1.0, N, rng(), (2,), k=K)):
        seen = run(LEARNERS[name], Problem(100, np.eye(2 * K, K), tasks, B0, w0, N), np.full(2, ALPHA), 0.1, STEPS)
        assert (seen.outcome[0] is Outcome.BLIND) == LEARNERS[name].adapts_representation
        assert seen.outcome[1] is not Outcome.BLIND


@pytest.mark.parametrize(("m", "expected"), [(None, Outcome.BLIND), (10**7, Outcome.BLIND), (10, None)])
def test_on_finite_samples(m, expected):
    """Of many samples a step solves what it solves of infinitely many; with few the head does not stay there."""
    p = problem()
    seen = run_sampled(
        MAML, p.B0[None], p.w0[None], p.tasks, ALPHA, 0.1, m, m, 0.0, p.d, 400, rng(), record_every=10
    )  # fmt: skip
    assert (seen.outcome.item() is Outcome.BLIND) == (expected is Outcome.BLIND)


def test_a_change_is_more_than_a_fluctuation():
    t = np.linspace(0, 1, 101)
    late = np.where(t < 0.95, 0.0, t - 0.95)  # a fall that has only just begun
    curves = np.stack([1 - t, 1 + t, 0 * t, -t - 100 * late, -1e-9 * t - late, 2e-3 * t], axis=1)
    assert trend(np.exp(curves)).tolist() == [-1, 1, 0, -1, -1, 0]
    noise = rng().standard_normal((101, 1000))
    assert (trend(np.exp(0.1 * noise)) == 0).all()
    # A random walk over the window is none of noise; it moves, in either direction alike.
    walks = trend(np.exp(0.1 * np.cumsum(noise, axis=0)))
    assert abs(walks.sum()) < 3 * np.sqrt(np.abs(walks).sum())
    assert trend(np.ones((1, 2))).tolist() == [-1, -1]


def test_a_rising_run_is_never_moving():
    dist = np.exp(np.linspace(0, 1, 50)[:, None] * np.linspace(-1, 1, 41))
    verdicts = outcomes(dist, np.zeros(41, bool))
    assert set(verdicts[:20]) == {Outcome.MOVING}
    assert verdicts[20] is Outcome.STALLED
    assert set(verdicts[21:]) == {Outcome.RECEDING}


def test_words():
    assert len({outcome.message for outcome in Outcome}) == len(Outcome)
    assert Tail(MAML, ALPHA, 0).blind(np.ones(3, bool)).tolist() == [False] * 3


@pytest.mark.parametrize(("part", "value"), [("w", np.inf), ("w", np.nan), ("B", np.nan), ("B", 1e9), ("w", 1e9)])
def test_a_guard_freezes_the_run_whose_numbers_are_no_numbers_or_too_large(part: str, value: float) -> None:
    """A head may be as large as it likes: a run on its way is told by its representation."""
    guard, state = Guard.over(0.1, (3,)), {"B": np.ones((3, 4, 2)), "w": np.ones((3, 2))}
    assert guard.all_fine([(state["B"], state["w"])] * 2)
    state[part] = state[part].copy()
    state[part][1, ..., -1] = value
    gone = (part, value) != ("w", 1e9)
    assert guard.all_fine([(np.ones((3, 4, 2)), np.ones((3, 2))), (state["B"], state["w"])]) is not gone
    B, w = guard.freeze(state["B"], state["w"], 7)
    assert guard.diverged_at.tolist() == [-1, 7 if gone else -1, -1]
    assert not B[1].any() if gone else B is state["B"]
    assert not w[1].any() if gone else w is state["w"]
    assert B[[0, 2]].all()
