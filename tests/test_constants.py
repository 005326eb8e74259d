"""The measured constants: the searches, the cube of instances, and what a wrong learner does to them."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from metarep.sim.implementations import REFERENCE, Implementation
from metarep.sim.learners import LEARNERS
from metarep.sim.updates import step
from metarep.theory.claims import get_claim
from metarep.theory.claims.balanced import LEAST_DIST, run_setting, setting_of
from metarep.theory.claims.compliance import largest_c
from metarep.theory.claims.constants.cube import LEAST_CHANGE, change, coordinates, instance_at, settings_at
from metarep.theory.claims.constants.instances import Adversary
from metarep.theory.claims.constants.search import search_cells, search_levels
from metarep.theory.claims.record import Verdict
from metarep.theory.engine import Profile, verify

FO_ANIL = LEARNERS["fo-anil"]


# --- the searches


def test_search_finds_each_cells_minimum() -> None:
    target, tried = np.array([[0.2, 0.9, 0.5], [1.0, 0.0, 0.3]]), []

    def objective(cells: np.ndarray, points: np.ndarray) -> np.ndarray:
        tried.append(len(points))
        return np.square(points - target[cells]).sum(-1)

    found = search_cells(objective, 2, 3, np.random.default_rng(0), population=60, rounds=6)
    assert tried == [2 * 60] * 6
    assert np.all(found.values < 0.01)
    assert np.allclose(objective(np.arange(2), found.points), found.values)
    again = search_cells(objective, 2, 3, np.random.default_rng(0), population=60, rounds=6)
    assert np.array_equal(found.points, again.points)


def test_a_broken_search_is_left() -> None:
    calls = []

    def objective(cells: np.ndarray, points: np.ndarray) -> np.ndarray:
        calls.append(set(cells.tolist()))
        return np.where(cells == 0, -1.0, 1.0)

    search_cells(objective, 2, 2, np.random.default_rng(0), rounds=3, stop_below=0.5)
    assert calls == [{0, 1}, {1}, {1}]


def test_search_finds_the_least_level() -> None:
    """At a point x the level has to exceed |x − ½|² + 0.1; a search on which nothing succeeds says so."""
    rng = np.random.default_rng(0)

    def objective(cells: np.ndarray, points: np.ndarray, levels: np.ndarray) -> np.ndarray:
        return np.where(cells == 2, np.nan, np.square(points - 0.5).sum(-1) + 0.1 - levels)

    def found(population: int) -> Any:
        how: dict[str, Any] = {"below": 0.0, "first": 0.4, "most": 1.0, "population": population, "rounds": 5}
        return search_levels(objective, 3, 2, rng, law=rng.random, **how)

    more = found(40)
    assert np.all((more.values[:2] > 0.1) & (more.values[:2] < 0.11))
    assert np.all(np.square(more.points[:2] - 0.5).sum(-1) + 0.1 < more.values[:2])
    assert more.values[2] == np.inf
    assert np.all(found(4).values[:2] > 0.1)


# --- the cube


@pytest.mark.parametrize(("k", "n", "period"), [(1, 2, 1), (2, 2, 1), (2, 3, 2)])
def test_every_point_of_the_cube_is_an_instance(k: int, n: int, period: int) -> None:
    size = coordinates(k, n, period)
    points = np.stack([np.zeros(size), np.ones(size), np.full(size, 0.5), np.random.default_rng(0).random(size)])
    pairs = np.tile([0.3, 0.01], (4, 1))
    batch = settings_at(points, pairs, k, n, period)
    assert batch.dist0.min() >= LEAST_DIST * (1 - 1e-9)
    for number, point in enumerate(points):  # as plain data it is the same
        instance = instance_at(point, k, n, period, pairs[0])
        setting = setting_of([instance], np.array(instance["steps"]))
        assert setting.smallest.shape == (period, 1)
        assert np.all(setting.smallest >= 0.01 * (1 - 1e-9))
        for t in range(3):
            assert np.array_equal(setting.problem.tasks(t)[0], batch.problem.tasks(t)[number])
        assert np.array_equal(setting.problem.B0[0], batch.problem.B0[number])
    with pytest.raises(ValueError, match=f"allowed: {size}"):
        instance_at(np.zeros(size - 1), k, n, period, pairs[0])


def test_a_small_mean_is_small() -> None:
    points, pairs = np.random.default_rng(0).random((50, coordinates(2, 3, 1))), np.tile([0.3, 0.01], (50, 1))
    for share in (1.0, 0.25):
        setting = settings_at(points, pairs, 2, 3, 1, share)
        heads = setting.problem.tasks(0)
        second = heads @ np.swapaxes(heads, -1, -2) / 3
        mean = np.linalg.solve(np.linalg.cholesky(second), heads.mean(-1)[..., None])
        assert np.linalg.norm(mean, axis=(-2, -1)).max() == pytest.approx(share)


def test_tasks_that_stay_do_not_change() -> None:
    """Two equal task sets that do not turn; those with the mean turned round; and ones that rotate."""
    one = {"spectra": [[1.0, 0.1]], "mean_shares": [[0.5, 0.0]], "frames": [[[0.1, 0.2], [0.3, -0.4]]]}
    base = {"k": 2, "d": 4, "n": 3, "sines": [0.5, 0.2], "orientation": [[0.0, 0.0], [0.0, 0.0]]}
    still = {**base, **{name: 2 * value for name, value in one.items()}, "turn": 0.0}
    opposite = {**still, "mean_shares": [[0.5, 0.0], [-0.5, 0.0]]}
    turning = {**still, "turn": np.pi / 2}
    seen = change(setting_of([still, opposite, turning], np.tile([0.3, 0.01], (3, 1))))
    assert np.allclose(seen, [0.0, 1.0, 0.9])
    assert seen[0] < LEAST_CHANGE < seen[1]


# --- c for ever


def _with_step(change: Any) -> Implementation:
    return replace(REFERENCE, name="broken", step=change)


def _uphill(learner: Any, B: Any, w: Any, targets: Any, alpha: Any, beta: Any) -> Any:
    after = step(learner, B, w, targets, alpha, beta)
    return 2 * B - after[0], 2 * w - after[1]


def _frozen(learner: Any, B: Any, w: Any, targets: Any, alpha: Any, beta: Any) -> Any:
    return B, w


def _one_percent_slower(learner: Any, B: Any, w: Any, targets: Any, alpha: Any, beta: Any) -> Any:
    return step(learner, B, w, targets, alpha, 0.99 * beta)


def test_onward_is_the_limit_of_longer_runs() -> None:
    """From dist_0 = 0.1 the limit is 1/(0.9 − 0.01); 600 steps alone allow more."""
    point = np.full(coordinates(1, 2, 1), 0.5)
    point[0] = 0.1 / 0.94
    setting = settings_at(point[None], np.array([[1.0, 0.03]]), 1, 2, 1)
    short, long = (run_setting(FO_ANIL, setting, steps, REFERENCE, 10) for steps in (600, 6000))
    limit = 1 / 0.89
    assert largest_c(setting, short, onward=True)[0] == pytest.approx(limit, rel=1e-3)
    assert largest_c(setting, short)[0] > 1.1 * limit
    assert limit < largest_c(setting, long)[0] < 1.02 * limit


@pytest.mark.parametrize(
    ("id_", "change"),
    [
        ("constant-c-fo-anil", _one_percent_slower),
        ("constant-c-changing-anil", _one_percent_slower),
        pytest.param("constant-c-changing-maml", _one_percent_slower, marks=pytest.mark.thorough),
        ("constant-region-fo-anil", _uphill),
        ("constant-region-changing-fo-maml", _frozen),
    ],
)
def test_measured_constants_notice_a_broken_learner(id_: str, change: Any) -> None:
    finding = verify(get_claim(id_), _with_step(change), examples=4)
    assert finding.status == Verdict.REFUTED
    assert finding.counterexample is not None  # the setting that breaks it is told
    assert {"k", "steps", "sines"} <= set(finding.counterexample.counterexample or {})
    assert {"B_0", "B_star"} <= set(finding.counterexample.comparisons["counterexample"].objects)


@pytest.mark.parametrize("seed", [1, 2])
def test_changing_tasks_include_fixed_ones(seed: int) -> None:
    fixed, changing = (
        verify(get_claim(f"constant-region-{kind}fo-maml"), profile=Profile(effort=0.05, seed=seed)).evidence[0].details
        for kind in ("", "changing-")
    )
    sides = {side: found["broken"] for side, found in changing["sides"].items()}
    assert sides["fixed"] == fixed["broken"] == fixed["sides"]["fixed"]["broken"]
    assert changing["broken"] == min(sides.values())
    assert sides["fixed"] != sides["changing"]
    assert changing["survived"] <= fixed["survived"]
    breaking = changing["breaking_instance"]
    assert len(breaking["spectra"]) == (1 if changing["side"] == "fixed" else 2)


@pytest.mark.parametrize("name", ["anil", "fo-maml"])
def test_what_breaks_is_what_is_told(name: str) -> None:
    """The instance that is told does break c = ½ there, in so many steps."""
    found = verify(get_claim(f"constant-region-{name}"), profile=Profile(effort=0.05, seed=2)).evidence[0].details
    instance = found["breaking_instance"]
    setting = setting_of([instance], np.array(instance["steps"]))
    assert instance["steps"][0][1] == pytest.approx(found["broken"])
    assert largest_c(setting, run_setting(LEARNERS[name], setting, found["steps"], REFERENCE, 10))[0] < 0.5


def test_tasks_that_hardly_change_do_not_count() -> None:
    adversary = Adversary(FO_ANIL, REFERENCE, 2, 0, 1.0)
    points = np.full((2, coordinates(1, 2, 2)), 0.5)
    points[1, 3] = 1.0  # the first set's mean
    c = adversary.largest((1, 2), points, np.tile([0.3, 0.01], (2, 1)), 20)
    assert np.isinf(c[0])
    assert np.isfinite(c[1])
