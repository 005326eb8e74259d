"""Symbolic map = NumPy map = automatic differentiation, and the same in rational arithmetic with tolerance zero."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metarep.reports.study.interpreter import step as autograd_step
from metarep.sim.learners import LEARNERS, Learner
from metarep.sim.updates import step
from metarep.theory.calculus.evaluation import evaluate_words
from metarep.theory.calculus.words import Poly
from metarep.theory.dynamics.derive import derive

EPS = float(np.finfo(float).eps)
NAMES = sorted(LEARNERS)


@st.composite
def problems(draw):
    """Any d >= k, n and α ≠ β, with entries from a seed: their values do not matter to an identity, but must be
    generic.
    """
    k = draw(st.integers(1, 4))
    d = draw(st.integers(k, 8))
    n = draw(st.integers(1, 5))
    alpha = draw(st.floats(0.01, 1.0))
    beta = alpha * draw(st.one_of(st.floats(0.1, 0.9), st.floats(1.1, 5.0)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return rng.standard_normal((d, k)), rng.standard_normal(k), rng.standard_normal((d, n)), alpha, beta


ROUNDINGS = 100
"""Roundings behind one word's value: at most 9 letters, each a sum over at most 8 terms, then the sums over tasks and
words.
"""


def size_of_terms(learner, B, w, targets, alpha, beta):
    """Largest entry of |B| + β Σ|terms of ∇_B| and of its like for w: what relative rounding errors multiply."""
    arrays = {"B": np.abs(B), "w": np.abs(w), "theta_i": np.abs(targets)}
    moduli = (
        Poly(part.shape, {key: abs(value) for key, value in part.terms.items()}) for part in derive(learner).words
    )
    scalars = {
        "alpha": alpha,
        "beta": beta,
        "alpha_B": alpha * learner.representation_step,
        "alpha_w": alpha * learner.head_step,
        "ridge": learner.ridge,
    }
    grad_B, grad_w = (evaluate_words(part, arrays, scalars) for part in moduli)
    return max((np.abs(B) + beta * grad_B).max(), (np.abs(w)[:, None] + beta * grad_w).max())


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=20)
@given(problem=problems())
def test_symbolic_numpy_and_autograd_agree(name, problem):
    learner = LEARNERS[name]
    by_hand = step(learner, *problem)
    tolerance = ROUNDINGS * EPS * size_of_terms(learner, *problem)
    for other in (derive(learner)(*problem), derive(learner).step_by_words(*problem), autograd_step(learner, *problem)):
        for ours, theirs in zip(by_hand, other, strict=True):
            assert ours.shape == theirs.shape
            np.testing.assert_allclose(ours, theirs, rtol=0, atol=tolerance)


def test_the_tolerance_sees_a_step_size_wrong_by_a_billionth():
    rng = np.random.default_rng(0)
    B, w, targets = rng.standard_normal((6, 3)), rng.standard_normal(3), rng.standard_normal((6, 4))
    for learner in LEARNERS.values():
        right, wrong = (step(learner, B, w, targets, 0.1, beta) for beta in (0.2, 0.2 * (1 + 1e-9)))
        tolerance = ROUNDINGS * EPS * size_of_terms(learner, B, w, targets, 0.1, 0.2)
        assert np.abs(right[0] - wrong[0]).max() > tolerance


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=10)
@given(problem=problems())
def test_fractions_agree_exactly(name, problem):
    """The hand-written map on fractions is the symbolic map, by its program and word by word: tolerance zero."""
    learner = LEARNERS[name]
    B, w, targets = (rounded(array) for array in problem[:3])
    alpha, beta = (Fraction(value).limit_denominator(50) + Fraction(1, 50) for value in problem[3:])
    by_hand = step(learner, B, w, targets, alpha, beta)
    for other in (
        derive(learner)(B, w, targets, alpha, beta),
        derive(learner).step_by_words(B, w, targets, alpha, beta),
    ):
        for ours, theirs in zip(by_hand, other, strict=True):
            assert (ours == theirs).all()
            assert isinstance(ours.flat[0], Fraction)


def rounded(array):
    """Fractions near the floats, as an object array."""
    return np.vectorize(lambda x: Fraction(float(x)).limit_denominator(9), otypes=[object])(array)


@pytest.mark.parametrize(
    "learner",
    [
        Learner("two-step MAML", "both", inner_steps=2),
        Learner("three-step FO-ANIL", "head", first_order=True, inner_steps=3),
        Learner("representation only", "representation"),
        Learner("separate step sizes", "both", head_step=2.0, representation_step=0.5),
        Learner("ridge", "head", ridge=0.3),
        Learner("Reptile", "both", outer="displacement"),
    ],
)
def test_derived_specs_agree_with_autograd(learner):
    """Specs beyond the paper's five have no map by hand; autograd knows them from their definition."""
    rng = np.random.default_rng(1)
    B, w, targets = rng.standard_normal((5, 2)), rng.standard_normal(2), rng.standard_normal((5, 3))
    derived, automatic = derive(learner)(B, w, targets, 0.1, 0.2), autograd_step(learner, B, w, targets, 0.1, 0.2)
    tolerance = (
        10 * ROUNDINGS * EPS * size_of_terms(learner, B, w, targets, 0.1, 0.2)
    )  # words of up to 10 times as many letters
    for ours, theirs in zip(derived, automatic, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=tolerance)
