"""The benchmark: what it reports is what it measured, opponents compute the same, and its page is the README's."""

import re
from pathlib import Path

import numpy as np
import pytest

from metarep.reports.bench import ratios, timing
from metarep.reports.bench.flops import flops_of_step, machine_limit
from metarep.reports.bench.opponents import OPPONENTS, Tools, batched_step
from metarep.reports.bench.page import KERNELS, between, page
from metarep.reports.bench.ratios import opponents, population_jobs, population_ratios, sampling_ratios
from metarep.reports.bench.timing import Job, Ratio, run_bench
from metarep.reports.cli.app import run
from metarep.reports.page.output import InputError
from metarep.sim import updates
from metarep.sim.learners import LEARNERS

README = Path(__file__).parent.parent / "reports" / "README.md"


def test_a_ratio_is_that_of_the_times(monkeypatch):
    now, used = [0.0], [0.0]

    def taking(seconds):
        def call():
            now.append(now[-1] + seconds)
            used.append(used[-1] + 2 * seconds)

        return call

    monkeypatch.setattr(timing.time, "perf_counter", lambda: now[-1])
    monkeypatch.setattr(timing.time, "process_time", lambda: used[-1])
    told = []
    above, below = Job("three steps", "a", taking(6.0), 3), Job("one", "b", taking(2.0))
    elsewhere = Job("by another process", "c", lambda: 5.0)
    wanted = [
        Ratio("a third of six by two, halved", above, below, factor=0.5, limit=0.4),
        Ratio("six by two", above, below, limit=1.0),
        Ratio("to another process", above, elsewhere),
    ]
    found = run_bench(wanted, lambda done, total: told.append((done, total)), repeats=2)
    assert [(row["median"], row["within"]) for row in found["ratios"]] == [(0.5, False), (1.0, True), (0.8, None)]
    assert [(row["what"], row["microseconds"], row["cores"]) for row in found["times"]] == [
        ("three steps", 4e6, 2.0),
        ("one", 4e6, 2.0),
        ("by another process", 5e6, 1.0),
    ]
    assert told[-1] == (9, 9)


@pytest.fixture(scope="module")
def measured():
    """Everything but opponents, which are long to start, once, at sizes that take no time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ratios, "installed", list)
        jobs = population_jobs(0.002)
    jobs = {
        name: [job for job in some if job.kernel != ratios.COMPILED] for name, some in population_jobs(0.002).items()
    }
    small = sampling_ratios(d=8, k=2, n=2, m=4, trials=3, data_trials=2, times=1)
    return run_bench([*population_ratios(jobs, 0.002), *small], repeats=1)


def test_every_ratio_can_be_measured(measured):
    assert all(row["median"] > 0 for row in measured["ratios"])
    for name in LEARNERS:
        assert sum(row["what"].startswith(f"{name}:") for row in measured["ratios"]) >= 1 + 1 + 5 + 4
    assert {"cores", "processor", "python", "numpy"} <= set(measured["machine"])


@pytest.mark.thorough
def test_drawing_data_costs_more_than_not_drawing_them():
    """Half a million numbers a trial against some fifty: so far above twentyfold that a busy machine cannot hide it."""
    by_data, *_ = sampling_ratios(["fo-anil"], d=60, k=2, n=2, m=2000, trials=50, data_trials=50, times=5)
    assert run_bench([by_data], repeats=1)["ratios"][0]["median"] < 1 / 20


def test_operations_are_counted_as_by_hand():
    """Average loss with k = n = 1, B = (b, c), target (t, 0): wb, wc, −t; times w twice; by B two products and a sum;
    two steps of size β for B, one for w, a product and a difference each.
    """
    assert flops_of_step(LEARNERS["average-loss"], 1, 1) == 3 + 2 + 3 + 4 + 2
    # through moments, whatever n; a mean over five tasks costs five operations a number
    many, more = (flops_of_step(LEARNERS["fo-anil"], 5, n) for n in (1000, 2000))
    assert many == more < 200 * flops_of_step(LEARNERS["fo-anil"], 5, 5)
    assert flops_of_step(LEARNERS["fo-anil"], 5, 5) < flops_of_step(LEARNERS["anil"], 5, 5)


def test_the_limit_is_of_this_machine():
    limit = machine_limit()
    assert 1e8 < limit.steps / limit.call() < 1e13


@pytest.mark.parametrize("name", LEARNERS)
@pytest.mark.parametrize("library", OPPONENTS)
def test_an_opponent_computes_the_same_step(name, library):
    pytest.importorskip(OPPONENTS[library][0], reason=f"the optional {library} is not installed")
    found = opponents(name, 0.003)  # which checks it
    assert len(found) == 2 * len(ratios.installed()) + 1


class Numbers:
    """The two functions of an opponent's library by central differences, exact for polynomials of low degree."""

    @staticmethod
    def grad(f, argnums):
        def slopes(*at):
            found = []
            for number in argnums:
                slope = np.zeros_like(at[number])
                for place in np.ndindex(slope.shape):
                    sides = []
                    for sign in (1, -1):
                        moved = [np.array(x, dtype=float) for x in at]
                        moved[number][place] += sign * 1e-4
                        sides.append(f(*moved))
                    slope[place] = (sides[0] - sides[1]) / 2e-4
                found.append(slope)
            return tuple(found)

        return slopes

    @staticmethod
    def vmap(f, in_dims):
        def mapped(*arrays):
            axes = in_dims if isinstance(in_dims, tuple) else (in_dims,)
            moved = [np.moveaxis(array, axis, 0) for array, axis in zip(arrays, axes, strict=True)]
            each = [f(*some) for some in zip(*moved, strict=True)]
            return tuple(map(np.array, zip(*each, strict=True))) if isinstance(each[0], tuple) else np.array(each)

        return mapped


@pytest.mark.parametrize("name", ["average-loss", "anil", "maml"])
def test_opponents_are_written_right(name):
    """Without their libraries. (What is cut from a gradient only they know.)"""
    rng = np.random.default_rng(0)
    at = rng.normal(size=(2, 3, 2)), rng.normal(size=(2, 2)), rng.normal(size=(2, 3, 2))
    tools = Tools(Numbers.grad, Numbers.vmap, lambda slope: slope)
    found = batched_step(tools, LEARNERS[name], 0.1, 0.2)(*at)
    right = updates.step(LEARNERS[name], *at, 0.1, 0.2)
    for one, other in zip(found, right, strict=True):
        # A difference quotient's error is about h² of third derivatives, and eps/h² where it is taken of one
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_the_page_in_the_readme_is_what_the_command_writes(measured):
    before, after = between(README)
    shown = README.read_text(encoding="utf-8")[len(before) : -len(after)]
    headers = [line for line in page(measured).splitlines() if line.startswith(("| learner", "| ratio", "| ---"))]
    assert [line for line in shown.splitlines() if line.startswith(("| learner", "| ratio", "| ---"))] == headers
    assert {line.split(" | ")[0] for line in shown.splitlines()} >= {f"| {name}" for name in LEARNERS}
    words = {re.sub("[0-9.]+", "#", row["what"].replace(ratios.NUMPY, ratios.COMPILED)) for row in measured["ratios"]}
    known = {
        re.sub("[0-9.]+", "#", line[2:].split(" | ")[0]).replace(ratios.NUMPY, ratios.COMPILED)
        for line in shown.splitlines()
    }
    assert words <= known
    assert all(kernel in headers[0] for kernel in KERNELS)
    assert "Measured on " in shown


def test_the_command_writes_its_page_and_fails_where_a_limit_is_missed(tmp_path, monkeypatch, capsys):
    one, two = Job("fo-anil: here", ratios.NUMPY, lambda: 2.0), Job("fo-anil: there", ratios.AUTOGRAD, lambda: 1.0)
    monkeypatch.setattr(ratios, "population_jobs", lambda: {})
    path = tmp_path / "page.md"
    path.write_text("before\n<!-- bench -->\nold\n<!-- /bench -->\nafter\n")
    for limit, code in ((3.0, 0), (1.5, 1)):
        monkeypatch.setattr(
            ratios, "population_ratios", lambda jobs, limit=limit: [Ratio("fo-anil: it", one, two, limit=limit)]
        )
        assert run(["bench", "--no-samples", "--write", str(path)]) == code
        assert ("over the limit: fo-anil: it" in capsys.readouterr().out) == bool(code)
    text = path.read_text()
    assert text.startswith("before\n<!-- bench -->\nMeasured on ")
    assert "| fo-anil: it | 2 | 2 … 2 | 1.5 | NO |" in text
    assert text.endswith("\n<!-- /bench -->\nafter\n")
    assert "old" not in text
    path.write_text("nothing")
    with pytest.raises(InputError, match="allowed: a Markdown file"):
        between(path)
