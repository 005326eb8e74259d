"""Steps in law by C: those by NumPy on the same random numbers, up to rounding."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from metarep.sim import compiled
from metarep.sim.learners import LEARNERS
from metarep.sim.mutants.samplers import SAMPLER_MUTANTS, wrong_steps_in_law
from metarep.sim.sampling.drawing import PARTS
from metarep.sim.sampling.gaussian_queries import first_query
from metarep.sim.sampling.in_law import StepsInLaw
from metarep.sim.sampling.runs import run_sampled
from metarep.sim.sampling.stationary import long_run
from metarep.sim.streams import streams

EPS = float(np.finfo(float).eps)
compiled_here = pytest.mark.skipif(compiled.library() is None, reason="nothing was compiled when this was installed")
learners = pytest.mark.parametrize("name", LEARNERS)
STEPS = 12
TOLERANCE = 1e5 * EPS
"""Twelve steps of some hundred roundings each, of sums of up to 64 tasks and of numbers up to ten."""


@pytest.fixture
def by_numpy(monkeypatch) -> Any:
    """Call it for NumPy's way from there on."""
    return lambda: monkeypatch.setattr("metarep.sim.sampling.compiled.library", lambda: None)


def start(rng, d, k, width, n, batch):
    """A state near the truth, and heads."""
    B = 0.3 * rng.standard_normal((*batch, min(d, k + width), width)) + 2 * np.eye(min(d, k + width), width)
    return B, 0.5 * rng.standard_normal((*batch, width)), rng.standard_normal((*batch, k, n))


def states(name, d, k, width, n, batch, seed=1, *, together=1, alpha: Any = 0.1, m_in: Any = 9, m_out: Any = 7) -> Any:
    """After each of so many steps at once, and whether C took them."""
    B, w, heads = start(np.random.default_rng(2), d, k, width, n, batch)
    sizes = (alpha, np.linspace(0.02, 0.05, batch[-1]), m_in, m_out, 0.5, d, np.random.default_rng(seed), STEPS)
    step, found = StepsInLaw(LEARNERS[name], B, w, heads, *sizes), []
    for _ in range(STEPS // together):
        B, w = step(B, w, heads, together)
        found.append((B, w))
    return found, step.compiled is not None


def assert_close(one, other, tolerance=TOLERANCE):
    for states in zip(one, other, strict=True):
        for mine, theirs in zip(*states, strict=True):
            assert mine.shape == theirs.shape
            np.testing.assert_allclose(theirs, mine, rtol=0, atol=tolerance)


SHAPES = {
    "plain": (30, 2, 2, 3),
    "few tasks": (30, 4, 4, 1),
    "many tasks": (100, 4, 4, 30),
    "all outside in the reduced coordinates": (4, 2, 2, 3),
    "fewer dimensions than reduced coordinates": (3, 2, 2, 5),
    "few outside": (9, 3, 3, 4),
    "one outside": (7, 3, 3, 6),
    "wider": (40, 2, 4, 5),
    "narrower": (40, 3, 1, 5),
    "one column": (12, 1, 1, 2),
    "largest": (1000, compiled.MOST, compiled.MOST, compiled.TASKS),
}


@compiled_here
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@learners
def test_steps_are_those_of_numpy_for_every_shape(name, shape, by_numpy):
    d, k, width, n = shape
    alpha = 0.1 / k  # with nine samples of many dimensions a larger one lets states grow without bound
    mine, taken = states(name, d, k, width, n, (5,), alpha=alpha)
    assert taken
    by_numpy()
    theirs, taken = states(name, d, k, width, n, (5,), alpha=alpha)
    assert not taken
    assert_close(theirs, mine)
    assert np.abs(mine[-1][0] - mine[0][0]).max() > 1e-3


EACH = np.array([[3], [8]])
"""Of the trials along one batch axis."""


@compiled_here
@pytest.mark.parametrize(
    "change",
    [
        {"m_in": None},
        {"m_out": None},
        {"m_in": None, "m_out": None},
        {"m_in": 1, "m_out": 1, "alpha": 0.01},
        {"m_in": 4 + np.arange(3) * EACH, "m_out": EACH},
        {"m_in": np.array([1, 2, 9]), "m_out": 10**12},
        {"alpha": 0.02 * EACH},
    ],
    ids=str,
)
@learners
def test_steps_are_those_of_numpy_for_sample_and_step_sizes_of_every_kind(name, change, by_numpy):
    for d in (4, 30):
        mine, _ = states(name, d, 2, 2, 3, (2, 3), **change)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("metarep.sim.sampling.compiled.library", lambda: None)
            theirs, _ = states(name, d, 2, 2, 3, (2, 3), **change)
        assert_close(theirs, mine)


@compiled_here
@learners
def test_several_steps_at_once_are_the_same_to_the_bit(name):
    one, other = states(name, 30, 2, 2, 3, (6,))[0], states(name, 30, 2, 2, 3, (6,), together=4)[0]
    assert_close(one[3::4], other, 0)


@compiled_here
@learners
def test_a_trial_is_the_same_whatever_it_is_run_with(name):
    B, w, heads = start(np.random.default_rng(2), 30, 2, 2, 3, (6,))
    found = []
    for kept in (np.arange(6), np.array([1, 4])):
        rng = streams([np.random.default_rng([5, group]) for group in range(3)], 2, kept)
        step = StepsInLaw(LEARNERS[name], B[kept], w[kept], heads[kept], 0.1, 0.05, 9, 7, 0.5, 30, rng, STEPS)
        found.append(step(B[kept], w[kept], heads[kept]))
    for all_of_them, two in zip(*found, strict=True):
        np.testing.assert_array_equal(all_of_them[[1, 4]], two)


def test_other_parts_are_numpys():
    B, w, heads = start(np.random.default_rng(2), 30, 2, 2, 3, (6,))
    arguments = (B, w, heads, 0.1, 0.05, 9, 7, 0.5, 30, np.random.default_rng(0), STEPS)
    of_parts = [mutant for mutant in SAMPLER_MUTANTS if mutant.of(PARTS) != PARTS]
    assert len(of_parts) > 10
    for mutant in of_parts:
        name = next(name for name in LEARNERS if name in mutant.learners)
        assert wrong_steps_in_law(mutant)(LEARNERS[name], *arguments).compiled is None
    parts = replace(PARTS, first_query=lambda *given: first_query(*given))
    assert StepsInLaw(LEARNERS["anil"], *arguments, parts).compiled is None


@compiled_here
def test_long_runs_and_runs_are_those_of_numpy(by_numpy):
    B, w, heads = start(np.random.default_rng(2), 30, 2, 2, 3, (6,))
    found = []
    for before in (None, by_numpy):
        if before:
            before()
        of_long = long_run(
            LEARNERS["fo-anil"], B, w, heads[0], 0.1, 0.05, 9, 7, 0.5, 30, 5, 20, np.random.default_rng(3), 7
        )
        of_run = run_sampled(
            LEARNERS["maml"], B, w, lambda step: heads, 0.1, 0.05, 9, 7, 0.5, 30, 10, np.random.default_rng(3)
        )
        found.append([(of_long.mean_square_sine, of_long.standard_error, of_long.B, of_run.dist, of_run.B)])
    assert_close(*found)
