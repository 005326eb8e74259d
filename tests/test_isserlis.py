"""Gaussian expectations of words against SymPy's integrals, hand-worked moments and the population."""

import math
from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np
import pytest
import sympy

from metarep.sim.learners import LEARNERS
from metarep.theory.calculus import alphabet as a
from metarep.theory.calculus.isserlis import expectation, first_query, pairings, sample_covariance
from metarep.theory.calculus.traces import BB, BBBB, gradient_with_traces, trace, trace_values
from metarep.theory.calculus.words import identity
from metarep.theory.dynamics.derive import derive
from metarep.theory.dynamics.moments import (
    adapted_head,
    directed_moment,
    evaluate,
    gaussian_noise_moment,
    head_moment,
    mean_directed_moment,
    mean_gradients,
    mean_noise_moment,
    noise_moment,
    sampled_task_gradients,
)

ANILS = [LEARNERS["fo-anil"], LEARNERS["anil"]]


@cache
def standard_moment(power: int) -> Any:
    x = sympy.Symbol("x", real=True)
    return sympy.integrate(x**power * sympy.exp(-(x**2) / 2), (x, -sympy.oo, sympy.oo)) / sympy.sqrt(2 * sympy.pi)


def integrated(expression: Any, variables: list[sympy.Symbol]) -> Any:
    """E over independent N(0, 1) variables of a polynomial, monomial by monomial."""
    terms = sympy.Poly(sympy.expand(expression), *variables).terms()
    return sympy.expand(sum(c * sympy.prod([standard_moment(p) for p in powers]) for powers, c in terms))


class SmallTask:
    """One task at k = 1 in SymPy, differentiated and integrated without a word of the calculus."""

    def __init__(self, d: int, m_in: int) -> None:
        self.alpha, self.sigma = sympy.Rational(1, 3), sympy.Rational(1, 2)
        self.B_value = [sympy.Rational(2, 3), sympy.Rational(-1, 2)][:d]
        self.theta = [sympy.Rational(1, 2), sympy.Rational(1, 5)][:d]
        self.w_value = sympy.Rational(3, 4)
        self.B, self.w = list(sympy.symbols(f"b:{d}")), sympy.Symbol("w")
        self.X_in = [list(sympy.symbols(f"x{i}_:{d}")) for i in range(m_in)]
        self.z_in = list(sympy.symbols(f"z:{m_in}"))
        self.X_out, self.z_out = [list(sympy.symbols(f"y:{d}"))], [sympy.Symbol("u")]
        self.here = [*zip(self.B, self.B_value, strict=True), (self.w, self.w_value)]

    def loss(self, X: list, z: list, w: Any) -> Any:
        misfits = [
            sum(x * (b * w - t) for x, b, t in zip(row, self.B, self.theta, strict=True)) - self.sigma * noise
            for row, noise in zip(X, z, strict=True)
        ]
        return sum(misfit**2 for misfit in misfits) / (2 * len(X))

    def adapted(self) -> Any:
        return self.w - self.alpha * sympy.diff(self.loss(self.X_in, self.z_in, self.w), self.w)

    def mean_gradients(self, first_order: bool) -> list[Any]:
        w_i = self.adapted()
        parameters = [*self.B, self.w]
        if first_order:
            loss = self.loss(self.X_out, self.z_out, self.w)
            gradients = [sympy.diff(loss, p).subs(self.w, w_i) for p in parameters]
        else:
            loss = self.loss(self.X_out, self.z_out, w_i)
            gradients = [sympy.diff(loss, p) for p in parameters]
        outer = [*self.X_out[0], *self.z_out]
        inner = [x for row in self.X_in for x in row] + self.z_in
        return [integrated(integrated(g.subs(self.here), outer), inner) for g in gradients]

    def arrays(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        B = np.array([[float(b)] for b in self.B_value])
        return B, np.array([float(self.w_value)]), np.array([[float(t)] for t in self.theta])


@pytest.mark.parametrize("learner", ANILS, ids=lambda learner: learner.name)
@pytest.mark.parametrize(("d", "m_in"), [(1, 1), (1, 2), (2, 1), pytest.param(2, 2, marks=pytest.mark.thorough)])
def test_mean_updates_are_sympys_integrals(learner, d, m_in):
    task = SmallTask(d, m_in)
    B, w, targets = task.arrays()
    by_B, by_w = mean_gradients(learner, B, w, targets, float(task.alpha), m_in, float(task.sigma))
    integrals = [float(value) for value in task.mean_gradients(learner.first_order)]
    assert np.concatenate([by_B[:, 0], by_w]) == pytest.approx(integrals, rel=1e-12)


@pytest.mark.parametrize(("d", "m_in"), [(1, 1), (1, 2), (2, 1)])
def test_fourth_moments_are_sympys_integrals(d, m_in):
    task = SmallTask(d, m_in)
    B, w, targets = task.arrays()
    inner = [x for row in task.X_in for x in row] + task.z_in
    w_i = sympy.expand(task.adapted().subs(task.here))
    size = sum((b * w_i - t) ** 2 for b, t in zip(task.B_value, task.theta, strict=True)) + task.sigma**2
    sample = (float(task.alpha), m_in, float(task.sigma))
    seen = mean_noise_moment(B, w, targets, *sample)
    assert seen == pytest.approx(float(integrated(size * w_i**2, inner)), rel=1e-12)
    fourth = mean_directed_moment(B, w, targets, np.array([0.5]), *sample)
    assert fourth == pytest.approx(float(integrated(w_i**4, inner)) / 4, rel=1e-12)


def test_pairings_are_counted_by_odd_factorials():
    assert [len(list(pairings(range(size)))) for size in (0, 2, 4, 6, 8)] == [1, 1, 3, 15, 105]
    assert list(pairings(range(3))) == []


def test_first_moments_of_a_query():
    r = a.INTERMEDIATES["r_i"]
    h = first_query(r)
    assert expectation(h) == r
    noise = r.T * r + identity("1").scaled(sigma=2)
    assert expectation(h * h.T) == r * r.T + (r * r.T + noise * identity("d")).scaled(m_in=-1)
    assert not expectation(a.X_in * r)  # an odd number of features
    assert expectation(a.z_in.T * a.z_in) == identity("1").scaled(sigma=2, m_in=1)
    assert not expectation(a.X_in.T * a.z_in * a.z_out.T * a.X_out)  # different samples are independent


def test_only_named_letters_are_averaged():
    S, T = sample_covariance(a.X_in), sample_covariance(a.X_out)
    assert expectation(S * T, "X_out") == S
    assert expectation(S * T) == identity("d")
    with pytest.raises(ValueError, match="'B' is not Gaussian; allowed: X_in"):
        expectation(S, "B")


def test_traces_are_equal_up_to_turning():
    B, U = a.B, a.U
    assert trace(B * B.T) == trace(B.T * B) == BB
    assert trace(U * B * B.T) == trace(B.T * U * B) == trace(B * B.T * U.T)
    assert trace(U * U) != trace(U * U.T)
    assert trace(a.A * a.S) == trace(a.A * 0)  # skew times symmetric
    assert trace(a.theta * (a.B * a.w).T) == a.theta.T * a.B * a.w
    assert trace(identity("m_in")) == identity("1").scaled(m_in=1)
    with pytest.raises(ValueError, match="cannot take the trace of d×k; allowed: a square polynomial"):
        trace(B)


def test_traces_on_arrays_and_their_gradient():
    rng = np.random.default_rng(3)
    B, w = rng.standard_normal((4, 2)), rng.standard_normal(2)
    values = trace_values(BBBB * BB, {"B": B}, {})
    assert sorted(float(v[0]) for v in values.values()) == pytest.approx(
        sorted([np.trace(B.T @ B), np.trace(B.T @ B @ B.T @ B)])
    )
    scalar = BBBB * (a.w.T * a.B.T * a.B * a.w) + BB * BB * 3
    gradient = evaluate(gradient_with_traces(scalar, "B"), {"B": B, "w": w}, {})

    def value(B: np.ndarray) -> float:
        gram = B.T @ B
        return np.trace(gram @ gram) * (w @ gram @ w) + 3 * np.trace(gram) ** 2

    direction = rng.standard_normal(B.shape)
    h = 1e-5  # central differences: relative error h² and eps/h
    slope = (value(B + h * direction) - value(B - h * direction)) / (2 * h)
    assert (gradient * direction).sum() == pytest.approx(slope, rel=1e-7)


@pytest.mark.parametrize("learner", ANILS, ids=lambda learner: learner.name)
def test_mean_updates_tend_to_the_population(learner):
    rng = np.random.default_rng(4)
    B, w, targets = rng.standard_normal((5, 2)), rng.standard_normal(2), rng.standard_normal((5, 3))
    by_B, by_w = mean_gradients(learner, B, w, targets, 0.3, math.inf, 0.7)
    next_B, next_w = derive(learner)(B, w, targets, 0.3, 1.0)
    assert B - by_B == pytest.approx(next_B, rel=1e-12)
    assert w - by_w == pytest.approx(next_w, rel=1e-12)


@pytest.mark.parametrize("name", ["maml", "fo-maml", "average-loss"])
def test_other_learners_are_refused(name):
    with pytest.raises(ValueError, match=f"no mean update of '{name}' was derived; allowed: anil, fo-anil"):
        sampled_task_gradients(LEARNERS[name])


def test_gaussian_fourth_moments_are_not_the_adapted_heads():
    rng = np.random.default_rng(5)
    B, w, targets = np.eye(4, 2), rng.standard_normal(2), rng.standard_normal((4, 6))
    exact = mean_noise_moment(B, w, targets, 0.5, 5, 0.5)
    gaussian = gaussian_noise_moment(B, w, targets, 0.5, 5, 0.5)
    assert abs(np.trace(gaussian) / np.trace(exact) - 1) > 0.05
    # They agree in the limit of large samples, where the non-Gaussian part vanishes like 1/m².
    large = [moment(B, w, targets, 0.5, 10**4, 0.5) for moment in (mean_noise_moment, gaussian_noise_moment)]
    assert large[0] == pytest.approx(large[1], rel=1e-5)


def test_moments_agree_with_each_other():
    """Along t, E[(tᵀw)² wwᵀ] determines E[‖v‖² wwᵀ] at θ = 0, where v = Bw_i."""
    rng = np.random.default_rng(6)
    B, w = rng.standard_normal((2, 2)), rng.standard_normal(2)
    targets = np.zeros((2, 1))
    rows = mean_directed_moment(B, w, targets, B, 0.4, 3, 0.6).sum(0)  # Σ over the rows t of B of (tᵀw)²: ‖Bw‖²
    arrays = {"B": B, "w": w, "r_i": (B @ w)[:, None]}
    second = evaluate(head_moment(), arrays, {"alpha": 0.4, "m_in": 3, "sigma": 0.6})
    assert mean_noise_moment(B, w, targets, 0.4, 3, 0.6) == pytest.approx(rows + 0.36 * second, rel=1e-12)
    assert noise_moment() == noise_moment().T
    assert directed_moment() == directed_moment().T
    assert adapted_head()[0].shape == ("k", "1")


def test_traces_of_identities_have_their_dimensions_for_values():
    dimension = trace(identity("k"))
    values = trace_values(dimension * BB, {"B": np.ones((5, 4, 3))}, {"k": 7, "d": 9})
    (name,) = dimension.letters()
    np.testing.assert_array_equal(values[name], [7])
    np.testing.assert_array_equal(values[next(iter(BB.letters()))], np.full((5, 1), 12.0))
    exact = trace_values(BB, {"B": np.full((2, 3), Fraction(1, 3), dtype=object)}, {})
    assert exact[next(iter(BB.letters()))].tolist() == [Fraction(2, 3)]


def test_the_gradient_of_a_letters_own_trace_is_the_identity():
    assert gradient_with_traces(trace(a.Q), "Q") == identity("k")
    assert gradient_with_traces(trace(a.Q) * trace(a.Q) * 3, "Q") == trace(a.Q) * identity("k") * 6
    assert gradient_with_traces(trace(a.Q.T * a.Q * a.Psi), "Q") == a.Q * a.Psi * 2


def test_second_moments_of_each_gaussian_letter():
    samples = {"in": identity("1").scaled(m_in=1), "out": identity("1").scaled(m_out=1)}
    for part, m in samples.items():
        X, z = getattr(a, f"X_{part}"), getattr(a, f"z_{part}")
        assert expectation(X.T * X) == identity("d") * m
        assert expectation(z.T * z) == m.scaled(sigma=2)
        assert expectation((z.T * z) * a.w, f"X_{part}") == (z.T * z) * a.w  # held fixed
        assert expectation(X.T * z) == a.theta * 0
        assert expectation(X.T * z * z.T * X) == identity("d") * m.scaled(sigma=2)
        assert expectation((z.T * z) * (z.T * z)) == m * m.scaled(sigma=4) + m.scaled(2, sigma=4)
    assert expectation(a.X_in.T * a.z_in * a.z_out.T * a.X_out) == a.U * 0
    with pytest.raises(ValueError, match="'B' is not Gaussian"):
        expectation(a.B, "B")
