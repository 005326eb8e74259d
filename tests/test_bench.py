"""The benchmark: what it reports is what it measured."""

from metarep.reports.bench import timing
from metarep.reports.bench.ratios import population_ratios, sampling_ratios
from metarep.reports.bench.timing import Ratio, run_bench
from metarep.sim.learners import LEARNERS


def test_a_ratio_is_that_of_the_times(monkeypatch):
    now = [0.0]

    def taking(seconds):
        return lambda: now.append(now[-1] + seconds)

    monkeypatch.setattr(timing.time, "perf_counter", lambda: now[-1])
    told = []
    ratio = Ratio("six by two, a third of it", taking(6.0), taking(2.0), factor=1 / 3, limit=0.9)
    (row,) = run_bench([ratio], lambda done, total: told.append((done, total)), repeats=2)["ratios"]
    assert (row["lowest"], row["median"], row["highest"], row["within"]) == (1.0, 1.0, 1.0, False)
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_every_ratio_can_be_measured():
    small = sampling_ratios(d=8, k=2, n=2, m=4, trials=3, data_trials=2, times=1)
    assert len(small) == 4 * len(LEARNERS)
    for row in run_bench([*population_ratios(scale=0.01), *small], repeats=1)["ratios"]:
        assert row["median"] > 0


def test_drawing_data_costs_more_than_not_drawing_them():
    """Half a million numbers a trial against some fifty: so far above twentyfold that a busy machine cannot hide it."""
    by_data, *_ = sampling_ratios(["fo-anil"], d=60, k=2, n=2, m=2000, trials=50, data_trials=50, times=5)
    assert run_bench([by_data], repeats=1)["ratios"][0]["median"] < 1 / 20
