from dataclasses import replace

import numpy as np
import pytest

from metarep.sim.experiments import (
    EXPERIMENTS,
    Experiment,
    batches,
    get_experiment,
    in_order,
    run_experiment,
    task_diversity,
)
from metarep.sim.learners import META_LEARNERS
from metarep.sim.outcomes import Outcome
from metarep.sim.problems import make_problem


def shortened(experiment: Experiment, steps: int, panels: tuple[str, ...] = ()) -> Experiment:
    return replace(
        experiment,
        panels=tuple(
            replace(panel, curves=tuple(replace(c, setting=replace(c.setting, steps=steps)) for c in panel.curves))
            for panel in experiment.panels
            if not panels or panel.name in panels
        ),
    )


def test_the_papers_settings():
    expected = {
        "figure-1": (100, 5, 5, 0.1, 0.1),
        "section-6": (100, 5, 5, 0.1, 0.1),
        "figure-4": (20, 3, 3, 0.05, 0.05),
    }
    assert set(EXPERIMENTS) == set(expected)
    for name, experiment in EXPERIMENTS.items():
        for panel in experiment.panels:
            for curve in panel.curves:
                s = curve.setting
                assert (s.d, s.k, s.n, s.alpha, s.beta) == expected[name]
                assert s.tasks == ("fixed" if panel.name.endswith("-fixed") else "fresh")
                assert s.trials == 5 or panel.name.startswith("balanced")
        assert experiment.choices


@pytest.fixture(scope="module")
def figure_1():
    return run_experiment(shortened(EXPERIMENTS["figure-1"], 2500, ("random", "envelope", "balanced")), 0)


def test_figure_1_meta_learners_fall_by_six_orders_and_average_loss_does_not(figure_1):
    for result in figure_1:
        if result.panel in ("random", "envelope"):
            fall = np.median(result.dist[0] / result.dist[-1])
            if result.curve.learner in META_LEARNERS:
                assert fall > 1e6
            else:
                assert fall < 2
    balanced = next(result for result in figure_1 if result.panel == "balanced")
    assert 0.25 < np.mean([o is Outcome.DIVERGED for o in balanced.outcomes]) < 1


def test_diversity_is_that_of_the_tasks_that_were_run(figure_1):
    result = next(r for r in figure_1 if r.panel == "envelope")
    assert result.diversity.shape == (2500, 5)
    # The smallest eigenvalue of a 5 × 5 Wishart/5 has mean about 1/k² up to a constant: certainly within these.
    assert 0.005 < result.diversity.mean() < 0.2
    assert len(np.unique(result.diversity)) == result.diversity.size
    problem = make_problem(9, 2, 3, 0.1, np.random.default_rng(0), "fresh")
    values = task_diversity(problem, 4)
    for step in range(4):
        heads = problem.tasks(step)
        assert values[step] == pytest.approx(np.linalg.svd(heads, compute_uv=False)[-1] ** 2 / 3)
    fixed = make_problem(9, 2, 3, 0.1, np.random.default_rng(0))
    np.testing.assert_allclose(task_diversity(fixed, 3), np.linalg.svd(fixed.tasks(0), compute_uv=False)[-1] ** 2 / 3)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_curve_comes_back_in_order_and_reproducibly(name):
    experiment = shortened(get_experiment(name), 30)
    told = []
    first = run_experiment(experiment, 3, lambda done, total: told.append((done, total)))
    second = run_experiment(experiment, 3)
    curves = [(panel.name, curve) for panel in experiment.panels for curve in panel.curves]
    assert [(r.panel, r.curve) for r in first] == curves
    assert told[-1][0] == told[-1][1]
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a.dist, b.dist)
        assert a.steps.tolist() == [0, 10, 20, 30]
        assert a.dist.shape == (4, a.curve.setting.trials) == (4, *a.outcomes.shape)
        assert (a.diversity is not None) == a.panel.startswith("envelope")
    assert np.any(first[0].dist != run_experiment(experiment, 4)[0].dist)


def test_a_curve_does_not_depend_on_what_else_is_run():
    whole = run_experiment(shortened(EXPERIMENTS["figure-4"], 30), 5)
    alone = run_experiment(shortened(EXPERIMENTS["figure-4"], 30, ("heads-maml",)), 5)
    same = [r for r in whole if r.panel == "heads-maml"]
    for a, b in zip(alone, same, strict=True):
        np.testing.assert_allclose(a.dist, b.dist, rtol=1e-12)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_in_parts_it_is_the_same(name):
    experiment = shortened(get_experiment(name), 30)
    parts = batches(experiment)
    assert len(parts) == len({c.learner for p in experiment.panels for c in p.curves}) * 2  # tasks fresh and fixed
    apart = in_order(experiment, [result for part in reversed(parts) for result in run_experiment(part, 5)])
    for a, b in zip(apart, run_experiment(experiment, 5), strict=True):
        assert (a.panel, a.curve) == (b.panel, b.curve)
        np.testing.assert_array_equal(a.dist, b.dist)
        np.testing.assert_array_equal(a.diversity, b.diversity)


def test_section_6_smaller_diversity_is_slower():
    results = run_experiment(shortened(EXPERIMENTS["section-6"], 1500, ("fo-anil",)), 0)
    medians = [float(np.median(r.dist[-1])) for r in results]
    assert medians == sorted(medians)
    assert medians[0] < 1e-3 < medians[-1]


def test_figure_4_large_mean_makes_fo_maml_diverge_near_the_truth():
    results = run_experiment(shortened(EXPERIMENTS["figure-4"], 2500, ("heads-fo-maml", "heads-anil")), 0)
    for result in results:
        diverged = [o is Outcome.DIVERGED for o in result.outcomes]
        expected = (result.curve.learner, result.curve.label) == ("fo-maml", "N(2 e_1, I)")
        assert all(diverged) == any(diverged) == expected


def test_unknown_names_and_seeds():
    with pytest.raises(ValueError, match=r"unknown experiment 'figure-9' .*; allowed: figure-1, section-6, figure-4"):
        get_experiment("figure-9")
    with pytest.raises(ValueError, match="seed is -1; allowed: a whole number, 0 or more"):
        run_experiment(EXPERIMENTS["figure-1"], -1)
