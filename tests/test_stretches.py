"""Runs in blocks and through moments: the same runs, to the bit or to rounding; and steps that are one more
implementation to check.
"""

import ctypes
import importlib.util
import shutil
import sysconfig
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from metarep.reports.cli.app import run as command
from metarep.sim import compiled, moments, stretches, updates
from metarep.sim.compiled import library
from metarep.sim.implementations import REFERENCE, Implementation
from metarep.sim.learners import LEARNERS
from metarep.sim.metrics import subspace_distance
from metarep.sim.problems import FixedTasks, Problem, lift, make_problem
from metarep.sim.stretches import Way, chosen_way, pays_from
from metarep.sim.trajectories import run
from metarep.theory.claims import catalogue, get_claim
from metarep.theory.engine.foreign.checking import Status, check_claim, check_implementation
from metarep.theory.engine.foreign.order import FIRST

EPS = float(np.finfo(float).eps)
THROUGH_MOMENTS = Implementation("moments", step=moments.step)


def problem(n=4, tasks: Any = "fixed", trials=(2, 30)):
    return make_problem(30, 3, n, 0.1, np.random.default_rng(5), tasks, dist0=0.6, trials=trials, head_mean=0.3)


@pytest.mark.parametrize("tasks", ["fixed", "fresh"])
@pytest.mark.parametrize("name", LEARNERS)
def test_blocks_change_no_bit(name, tasks, monkeypatch) -> None:
    """Settings along one axis, trials along the other, one trial of each setting diverges."""
    p, alpha, beta = problem(tasks=tasks), np.array([[0.1], [0.3]]), np.r_[np.full(29, 0.1), 400.0]
    for way in ("tasks", "moments"):
        found = []
        for most in (10**6, 30, 7, 1):
            monkeypatch.setattr(stretches, "_BLOCK", most)
            monkeypatch.setattr(stretches, "_BLOCK_BYTES", 2**40)
            found.append(run(LEARNERS[name], p, alpha, beta, 8, record_every=3, way=way))
        assert 2 <= found[0].diverged.sum() < 60
        for other in found[1:]:
            np.testing.assert_array_equal(other.B, found[0].B)
            np.testing.assert_array_equal(other.w, found[0].w)
            np.testing.assert_array_equal(other.dist, found[0].dist)
            np.testing.assert_array_equal(other.diverged_at, found[0].diverged_at)


@pytest.mark.parametrize("way", ["tasks", "moments"])
@pytest.mark.parametrize("name", LEARNERS)
def test_along_the_trials_a_trial_is_the_same_whatever_it_is_run_with(name, way, monkeypatch) -> None:
    whole = problem(trials=(200,))
    one = run(LEARNERS[name], whole, 0.1, 0.1, 12, record_every=5, way=way)
    for most in (500, 13):
        monkeypatch.setattr(stretches, "_BLOCK", most)
        part = replace(whole, B0=whole.B0[5:72], w0=whole.w0[5:72], tasks=FixedTasks(whole.tasks(0)[5:72]))
        np.testing.assert_array_equal(run(LEARNERS[name], part, 0.1, 0.1, 12, record_every=4, way=way).B, one.B[5:72])
    few = replace(whole, B0=whole.B0[:9], w0=whole.w0[:9], tasks=FixedTasks(whole.tasks(0)[:9]))
    by_matrix = run(LEARNERS[name], few, 0.1, 0.1, 12, way=way)  # twelve steps of some hundred roundings
    np.testing.assert_allclose(by_matrix.B, one.B[:9], rtol=0, atol=1e5 * EPS)


@pytest.mark.parametrize("n", [3, 100])
@pytest.mark.parametrize("name", LEARNERS)
def test_a_run_through_moments_is_the_run_through_tasks(name, n) -> None:
    for p in (problem(n), lift(problem(n, trials=(3,)), np.random.default_rng(0)), problem(n, "fresh")):
        one, other = (run(LEARNERS[name], p, 0.1, 0.1, 5, way=way) for way in ("tasks", "moments"))
        # Five steps of some hundred roundings each, of numbers up to 10 and their fourth powers
        np.testing.assert_allclose(other.B, one.B, rtol=0, atol=1e5 * EPS)
        np.testing.assert_allclose(other.dist, one.dist, rtol=0, atol=1e5 * EPS)


def test_moments_of_many_tasks_are_their_means() -> None:
    """Of so many that they are summed in parts."""
    heads = np.random.default_rng(2).standard_normal((2, 3, 1500))
    e = np.concatenate([np.ones((2, 1, 1500)), heads], axis=1)
    pairs = np.stack([e[:, a] * e[:, b] for a in range(4) for b in range(a, 4)], axis=1)
    # Sums of 1500 products of numbers up to 4, each with four roundings
    found = moments.head_moments(LEARNERS["maml"], heads).higher
    np.testing.assert_allclose(found, np.einsum("tin,tjn->tij", pairs, pairs) / 1500, rtol=0, atol=1500 * 4**4 * EPS)


@pytest.mark.parametrize("name", LEARNERS)
def test_moments_of_many_trials_are_those_of_each(name: str) -> None:
    """Of so many that they are taken a few trials at a time; to the bit."""
    heads = np.random.default_rng(3).standard_normal((2, 20, 3, 1000))
    assert heads.size * 3 > 2 * moments._PRODUCTS_AT_ONCE
    for found, kind in zip(moments.head_moments(LEARNERS[name], heads), ("second", "higher"), strict=True):
        each = [getattr(moments.head_moments(LEARNERS[name], one), kind) for one in heads.reshape(-1, 3, 1000)]
        np.testing.assert_array_equal(found, np.reshape(each, found.shape))


compiled_here = pytest.mark.skipif(library() is None, reason="nothing was compiled when this was installed")


@compiled_here
@pytest.mark.parametrize("tasks", ["fixed", "fresh"])
@pytest.mark.parametrize("name", LEARNERS)
def test_a_compiled_run_is_the_run_through_tasks(name, tasks) -> None:
    """With a trial of each setting that diverges; and whatever it is run with, a trial is the same to the bit."""
    p, alpha, beta = problem(tasks=tasks), np.array([[0.1], [0.2]]), np.r_[np.full(29, 0.1), 400.0]
    one, other = (run(LEARNERS[name], p, alpha, beta, 12, record_every=5, way=way) for way in ("tasks", "compiled"))
    assert other.diverged.sum() == 2
    np.testing.assert_array_equal(other.diverged_at, one.diverged_at)
    # Some hundred roundings a step of numbers up to 10 and their fourth powers, as above
    np.testing.assert_allclose(other.B, one.B, rtol=0, atol=1e5 * EPS)
    np.testing.assert_allclose(other.dist, one.dist, rtol=0, atol=1e5 * EPS)
    if tasks == "fixed":
        alone = replace(p, B0=p.B0[1, 3:5], w0=p.w0[1, 3:5], tasks=FixedTasks(p.tasks(0)[1, 3:5]))
        again = run(LEARNERS[name], alone, 0.2, 0.1, 12, record_every=4, way="compiled")
        np.testing.assert_array_equal(again.B, other.B[1, 3:5])


def test_the_way_is_chosen_by_what_it_costs(monkeypatch) -> None:
    for name, learner in LEARNERS.items():
        assert pays_from(learner, 5, True) >= pays_from(learner, 5, False) > 1
        for n, way in ((2 if learner.adapts_head else 1, "tasks"), (1000, "moments")):
            p = problem(n)
            assert chosen_way(learner, REFERENCE, p, p.tasks(0), 0.0) == way, name
            wrong = replace(REFERENCE, step=lambda *at: updates.step(*at))
            assert chosen_way(learner, wrong, p, p.tasks(0), 1e9) == "tasks"
    taken = []
    monkeypatch.setattr(
        moments, "step_through_moments", lambda learner, B, w, *at: (taken.append(learner.name) or B, w)
    )
    run(LEARNERS["maml"], problem(1000), 0.1, 0.1, 2)
    assert taken == ["maml"] * 2


def test_steps_through_moments_pass_the_check() -> None:
    claims = [claim for claim in catalogue() if claim.id in FIRST or claim.id.startswith("moments-")]
    result = check_implementation(THROUGH_MOMENTS, claims, max_examples=3)
    assert result.conforming
    assert {item.status for item in result.claims if item.claim.id.startswith(("update-", "moments-"))} == {
        Status.PASSED
    }


@compiled_here
@pytest.mark.parametrize("name", LEARNERS)
@pytest.mark.parametrize("shape", [(2, 1, 1, 1), (10, 8, 8, 17), (6, 3, 2, 9), (5, 2, 4, 3), (64, 4, 4, 40)])
def test_compiled_steps_are_those_through_tasks_for_every_shape(name, shape) -> None:
    """Each recorded: rows, columns of B and of B_*, and tasks, also more or fewer columns of one than of the other."""
    rows, k, p, n = shape
    rng = np.random.default_rng(7)
    B, w, heads = (rng.standard_normal(size) / np.sqrt(rows) for size in ((5, rows, k), (5, k), (5, p, n)))
    given = Problem(rows, np.eye(rows, p), FixedTasks(heads), B, w, n)
    seen: dict[Way, list[Any]] = {"tasks": [], "compiled": []}
    for way, states in seen.items():
        look = {"state": lambda B, w, step, states=states: states.append((B, w)) or 0.0}
        run(LEARNERS[name], given, 0.3, np.linspace(0.1, 0.3, 5), 9, way=way, observe=look)
    for one, other in zip(*seen.values(), strict=True):
        for mine, theirs in zip(one, other, strict=True):
            # Numbers up to 3; of sums of n products of four, and a hundred roundings a step
            np.testing.assert_allclose(theirs, mine, rtol=0, atol=1e5 * EPS)


@compiled_here
@pytest.mark.parametrize(
    "shape", [(2, 1, 1), (10, 5, 5), (16, 8, 8), (6, 3, 2), (6, 2, 3), (4, 4, 4), (40, 5, 5), (3, 4, 2)]
)
def test_compiled_distances_are_those_of_the_metric(shape) -> None:
    rows, k, p = shape
    rng = np.random.default_rng(3)
    B = rng.standard_normal((200, *shape[:2])) * 10.0 ** rng.uniform(-3, 3, (200, 1, k))
    B[:90, p:] *= 10.0 ** rng.uniform(-290, 0, (90, 1, 1))  # nearly arrived
    size = np.abs(B).max((-2, -1), keepdims=True)
    whole = B / size
    B *= 10.0 ** rng.uniform(-5, 5, (200, 1, 1))
    found, right = compiled.distances(B, p), subspace_distance(B, np.eye(rows, p))
    # Either has an error of some roundings in each of k steps of elimination, times the condition.
    np.testing.assert_array_less(np.abs(found - right), (1e-300 + right) * 4 * k * EPS * np.linalg.cond(whole))
    B[0], B[1], B[2, 0, 0], B[3, 0, 0], B[4, :, 0], B[5, :, -1] = 0, 1, np.nan, np.inf, 0, B[5, :, 0] * (1 + 1e-12)
    for place in range(6):  # NumPy decides what has full rank
        other = subspace_distance(B[place], np.eye(rows, p))
        np.testing.assert_allclose(compiled.distances(B[place][None], p)[0], other, rtol=8 * EPS)


def test_the_sizes_of_arrays_are_those_of_the_c_source() -> None:
    """Otherwise the library says that it cannot run, and every test of it is skipped."""
    sim = Path(stretches.__file__).parent
    for name, file in (("LANES", "lanes.h"), ("MOST", "lanes.h"), ("TASKS", "in_law.c")):
        source = (sim / file).read_text(encoding="utf-8").replace("\n", " ")
        assert f"#define {name} {getattr(compiled, name)} " in source


def test_where_there_is_a_compiler_installing_has_used_it() -> None:
    """Otherwise every test of what it compiles is skipped, and nobody knows."""
    compiler = (sysconfig.get_config_var("CC") or "cc").split()[0]
    if shutil.which(compiler) is None:
        pytest.skip(f"there is no {compiler} here")
    spec = importlib.util.find_spec("metarep.sim._steps")
    assert spec is not None
    assert spec.origin is not None
    built = ctypes.CDLL(spec.origin)
    missing = [name for name in compiled.FUNCTIONS if not hasattr(built, f"metarep_{name}")]
    assert not missing, "compiled from other sources: install again"


@compiled_here
def test_what_cannot_be_compiled_is_refused() -> None:
    """It is told before C writes beyond its arrays, or takes another truth for [I; 0]."""
    rng = np.random.default_rng(0)
    wide, turned = make_problem(40, 9, 4, 0.1, rng), lift(problem(trials=()), rng)
    for given in (wide, turned):
        with pytest.raises(ValueError, match="way is 'compiled'"):
            run(LEARNERS["anil"], given, 0.1, 0.1, 2, way="compiled")
    B, w, targets = np.ones((1, 12, 9)), np.ones((1, 9)), np.ones((1, 12, 3))
    with pytest.raises(ValueError, match="9 columns of B"):
        compiled.step(LEARNERS["anil"], B, w, targets, 0.1, 0.1)


ADAPTER = """
from metarep.sim import compiled, updates
from metarep.sim.learners import get_learner


def step(learner, B, w, targets, alpha, beta):
    if max(B.shape[-1], min(targets.shape[-2:])) > compiled.MOST:  # no run of these is compiled
        return updates.step(get_learner(learner), B, w, targets, alpha, beta)
    return compiled.step(get_learner(learner), B, w, targets, alpha{}, beta)
"""


@compiled_here
@pytest.mark.parametrize(("wrong", "code"), [("", 0), (" * 1.0001", 1)])
def test_compiled_steps_go_through_the_command_check(wrong, code, tmp_path, capsys) -> None:
    (tmp_path / "adapter.py").write_text(ADAPTER.format(wrong))
    assert command(["check", str(tmp_path / "adapter.py"), "--quick", "--fail-fast", "--examples", "3"]) == code
    assert ("conforms." in capsys.readouterr().out) == (not code)


@pytest.mark.parametrize("name", ["anil", "fo-anil", "fo-maml", "maml", "average-loss"])
def test_a_wrong_moment_is_found(name, monkeypatch) -> None:
    """The last of the moments that the learner's step uses, one percent too large."""
    right = moments.head_moments

    def wrong(learner, heads):
        second, higher = right(learner, heads)
        second, higher = second + 0 * second, higher + 0 * higher
        changed = second if learner.name not in ("fo-maml", "maml") else higher
        where = (..., -1, 0) if name == "average-loss" else (..., -1, -1)
        changed[where] = changed[where] * 101 / 100
        return moments.HeadMoments(second, higher)

    monkeypatch.setattr(moments, "head_moments", wrong)
    assert check_claim(get_claim(f"moments-{name}"), THROUGH_MOMENTS, most_shrinks=0).status == Status.FAILED
