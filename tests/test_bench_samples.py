"""The benchmark of finite samples: what it reports is what it measured."""

import pytest

from metarep.reports.bench.samples import AUTOGRAD, EXPLICIT, IN_LAW, compare_sampling
from metarep.sim.learners import LEARNERS


def test_comparison_reports_every_learner_and_method():
    results = compare_sampling(d=8, k=2, n=2, m=4, trials=3, rounds=3, in_law_repeats=1)
    assert [result.learner for result in results] == list(LEARNERS)
    for result in results:
        assert set(result.timings) == {IN_LAW, EXPLICIT, AUTOGRAD}
        assert set(result.speedups) == {EXPLICIT, AUTOGRAD}
        for timing in (*result.timings.values(), *result.speedups.values(), result.m_ratio, result.d_ratio):
            assert 0 < timing.least <= timing.median <= timing.greatest


def test_drawing_data_costs_more_than_not_drawing_them():
    """Half a million numbers a trial against some fifty: so far above twentyfold that a busy machine cannot hide it."""
    (result,) = compare_sampling(["fo-anil"], 60, 2, 2, 2000, 50, rounds=1, in_law_repeats=5, with_autograd=False)
    assert result.speedups[EXPLICIT].median > 20
    assert AUTOGRAD not in result.timings


def test_nothing_to_measure_is_refused():
    with pytest.raises(ValueError, match="rounds is 0, repeats 20, trials 200; allowed: 1 or more of each"):
        compare_sampling(rounds=0)
    with pytest.raises(ValueError, match="trials 0; allowed: 1 or more of each"):
        compare_sampling(trials=0)


def test_a_dimension_without_room_is_refused():
    with pytest.raises(ValueError, match="d is 5 with k = 3; allowed: d of at least 2k"):
        compare_sampling(d=5, k=3)
