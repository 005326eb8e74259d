"""Rates, linearisations and FO-MAML's operator: against plain finite differences, hand-worked cases and limits."""

from dataclasses import replace
from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np
import pytest
import sympy

from metarep.sim.learners import META_LEARNERS, get_learner
from metarep.sim.updates import step
from metarep.theory.calculus.words import identity
from metarep.theory.claims import get_claim
from metarep.theory.claims.record import Verdict
from metarep.theory.claims.width import population
from metarep.theory.dynamics import gaussian_heads as gh
from metarep.theory.dynamics import rates
from metarep.theory.dynamics.linearise import linearise, span_bases, span_head_matrix, stated_linearisation
from metarep.theory.engine import Finding, Profile, verify


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20)


def test_moments_by_hand() -> None:
    moments = rates.HeadMoments.of(np.array([[3.0, 0.0], [0.0, 4.0]]))
    assert np.allclose(moments.mean, [1.5, 2.0])
    assert np.allclose(moments.second, np.diag([4.5, 8.0]))
    assert pytest.approx(8**0.5) == moments.L
    assert moments.mu == pytest.approx(4.5**0.5)
    assert moments.kappa == pytest.approx((8 / 4.5) ** 0.5)
    assert moments.eta == pytest.approx(2.5)
    assert rates.HeadMoments.of(np.array([[1.0], [0.0]])).kappa == np.inf


def test_third_moment_is_the_mean_of_cubes(rng: np.random.Generator) -> None:
    heads = rng.standard_normal((2, 4))
    by_hand = sum(np.multiply.outer(np.outer(w, w), w) for w in heads.T) / 4
    assert np.allclose(rates.third_moment(heads), by_hand)


def test_gaussian_moments_against_samples(rng: np.random.Generator) -> None:
    mean, root = np.array([0.5, -1.0]), np.array([[1.0, 0.0], [0.4, 0.7]])
    heads = mean[:, None] + root @ rng.standard_normal((2, 400_000))
    first, second, third = rates.gaussian_head_moments(mean, root @ root.T)
    # sixth moments of these heads stay below 100, so the standard errors are below 10/400000^(1/2) = 0.016
    assert np.allclose(first, heads.mean(-1), atol=0.08)
    assert np.allclose(second, heads @ heads.T / 400_000, atol=0.08)
    assert np.allclose(third, rates.third_moment(heads), atol=0.08)


@pytest.mark.parametrize("exact", [False, True])
def test_the_dual_basis_gives_the_coordinates(exact: bool) -> None:
    basis, dual = span_bases(4, exact)
    assert basis.shape == (10, 4, 4)
    assert np.allclose(basis.astype(float), np.swapaxes(basis, -1, -2).astype(float))
    assert np.allclose(np.tensordot(basis, dual, axes=((1, 2), (1, 2))).astype(float), np.eye(10))


@pytest.mark.parametrize("name", META_LEARNERS)
def test_spectrum_is_that_of_the_numerical_jacobian(name: str, rng: np.random.Generator) -> None:
    k, d, n, alpha, beta = 2, 5, 4, 0.7, 0.3
    heads = rng.standard_normal((k, n))
    B_star = np.eye(d, k)
    B0 = B_star @ np.linalg.qr(rng.standard_normal((k, k)))[0] / np.sqrt(alpha)
    learner, size, h = get_learner(name), d * k + k, 1e-6

    def after(x: np.ndarray) -> np.ndarray:
        B, w = step(learner, x[: d * k].reshape(d, k), x[d * k :], B_star @ heads, alpha, beta)
        return np.concatenate([B.ravel(), w])

    at = np.concatenate([B0.ravel(), np.zeros(k)])
    jacobian = np.stack([(after(at + h * e) - after(at - h * e)) / (2 * h) for e in np.eye(size)], axis=1)
    spectrum = rates.local_spectrum(learner, heads, alpha, beta)
    predicted = np.concatenate([np.repeat(spectrum.perpendicular, d - k), spectrum.span_head, [1.0]])
    for power in (1, 2, 3, 4):
        assert np.trace(np.linalg.matrix_power(jacobian, power)) == pytest.approx(
            np.sum(predicted**power).real, abs=1e-6
        )


@pytest.mark.parametrize(("name", "head"), [("maml", True), ("fo-maml", True), ("average-loss", False)])
def test_what_is_no_fixed_point_is_refused(name: str, head: bool) -> None:
    with pytest.raises(ValueError, match="is not a fixed point"):
        linearise(get_learner(name), head)
    with pytest.raises(ValueError, match="no linearisation is stated"):
        stated_linearisation(get_learner(name), head)


def test_stability_verdicts() -> None:
    heads = np.array([[1.0, 2.0]])
    fo_maml, anil, fo_anil = (get_learner(name) for name in ("fo-maml", "anil", "fo-anil"))
    assert not rates.local_spectrum(fo_maml, heads, 0.1, 0.1).stable
    assert rates.local_spectrum(fo_maml, np.array([[1.0, -1.0]]), 0.1, 0.1).stable
    # αβL_*² = 0.45, 0.55 and 0.95, 1.05 by L_*² = 2.5
    assert rates.local_spectrum(anil, heads, 1.0, 0.45 / 2.5).stable
    assert not rates.local_spectrum(anil, heads, 1.0, 0.55 / 2.5).stable
    assert rates.local_spectrum(fo_anil, heads, 1.0, 0.95 / 2.5).stable
    assert not rates.local_spectrum(fo_anil, heads, 1.0, 1.05 / 2.5).stable
    grown = rates.local_spectrum(fo_anil, heads, 0.1, 0.1, np.array([2.0]))
    assert grown.growth == pytest.approx(1.01)  # 1 − 2·0.01·(2.5 − 2·1.5)
    assert not grown.stable


def test_thresholds_and_symbolic_rates() -> None:
    assert [rates.step_size_threshold(get_learner(name)) for name in META_LEARNERS] == [0.5, 1.0, None, None]
    heads = np.array([[3.0, 0.0], [0.0, 4.0]])
    for name in META_LEARNERS:
        assert rates.symbolic_rate(get_learner(name), heads, 0.1, 0.1) == pytest.approx(1 - 0.01 * 4.5)
    assert rates.symbolic_rate(get_learner("average-loss"), heads, 0.1, 0.1) == 1.0
    # k = 1, |θ̄| = 2, α = 1: w_∞² = (−1 + 17^(1/2))/2
    expected = 1 - 0.01 * (17**0.5 - 1) / 2
    assert rates.symbolic_rate(get_learner("average-loss"), np.array([[1.0, 3.0]]), 1.0, 0.01) == pytest.approx(
        expected
    )


def test_operator_of_one_direction_by_hand() -> None:
    heads = np.array([[1.0, 2.0]])
    operator = rates.fo_maml_operator(np.array([1.5]), np.array([[2.5]]), rates.third_moment(heads))
    assert np.allclose(operator, [[5.0, -9.0], [-1.5, 2.5]])
    G = span_head_matrix(get_learner("fo-maml"), heads, 0.2, 0.3)
    assert np.allclose(G, np.eye(2) - 0.06 * operator)


@pytest.mark.parametrize(("m", "modes"), [(0.9, 0), (1.1, 1), (1.5, 3)])
def test_unstable_modes_of_shifted_heads(m: float, modes: int) -> None:
    """N(m e_1, I), k = 3: the pair (1, 1) from m = 1, the two pairs (1, j) from m² = 2."""
    mean = np.array([m, 0.0, 0.0])
    assert rates.fo_maml_unstable_modes(mean, np.eye(3)) == modes
    operator = rates.fo_maml_operator(*rates.gaussian_head_moments(mean, np.eye(3)))
    assert np.sum(np.real(np.linalg.eigvals(operator)) < 0) == modes


def test_gaussian_proofs_fail_for_a_wrong_third_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    def without_one_term(omega):
        return (omega.T * gh.mu) * gh.Psi + gh.Sigma * omega * gh.mu.T * 2

    proofs = [
        get_claim(f"fo-maml-gaussian-{name}").proof for name in ("parts", "determinant", "characteristic", "count")
    ]
    assert all(proof and proof().holds for proof in proofs)
    monkeypatch.setattr(gh, "third_moment_along", without_one_term)
    assert not any(proof and proof().holds for proof in proofs)


def test_traces_of_words() -> None:
    X, mu, rho = gh.X, gh.mu, gh.rho
    outer = rho * mu.T
    assert gh.trace(X * outer) == gh.trace(outer * X) == gh.trace(outer.T * X)
    assert gh.trace(X * gh.Psi * X) == gh.trace(X * X * gh.Psi)
    assert gh.trace(outer) != gh.trace(X)
    assert gh.trace(X * X) != gh.trace(X * gh.Psi)
    assert gh.trace(identity("s")) != gh.trace((mu.T * mu) * identity("s"))
    assert not gh.trace(X - X)
    assert not gh.trace(X * gh.Psi - gh.Psi * X)


def test_the_exact_operator_is_the_numerical_one(rng: np.random.Generator) -> None:
    law = rng.integers(-3, 4, 2), rng.integers(-3, 4, (2, 2))
    exact, numerical = (
        rates.fo_maml_operator(*rates.gaussian_head_moments(mean, root @ root.T))
        for mean, root in (map(np.vectorize(Fraction), law), (part.astype(float) for part in law))
    )
    for power in range(1, 6):  # other bases, the same spectrum
        traces = [np.trace(np.linalg.matrix_power(each.astype(float), power)) for each in (exact, numerical)]
        assert traces[0] == pytest.approx(traces[1])


def test_words_as_numbers() -> None:
    mu, psi, x = sympy.symbols("mu psi x")
    value = gh.commuting(gh.Sigma * gh.X, {"w_bar": mu, "Psi_star": psi, "X": x})
    assert sympy.expand(value - (psi - mu**2) * x) == 0


def test_envelope_and_margin() -> None:
    assert rates.initial_margin(0.5) == pytest.approx(0.65)
    assert rates.envelope_factor(0.1, 0.1, 1.0, 0.97) is None
    factor = rates.envelope_factor(0.1, 0.1, 2.0, 0.5)
    assert factor == pytest.approx(1 - 0.5 * 0.01 * 0.65 * 4)
    assert np.allclose(rates.envelope(np.full(4, 0.9)), [1, 1, 0.9, 0.81, 0.729])


def _verified(claim_id: str, kinds: tuple[Any, ...], examples: int | None = None, **wrong: Any) -> Finding:
    """A claim verified with formulas of its check replaced."""
    claim = get_claim(claim_id)
    assert claim.check is not None
    changed = replace(claim, check=partial(claim.check, **wrong))
    return verify(changed, profile=Profile(shrink=False), examples=examples, kinds=kinds)


def _twice(right: Any, *at: Any) -> Any:
    return right(*at) * 2


def _transposed(right: Any, *at: Any) -> Any:
    return right(*at).T


def _mean_doubled(right: Any, *at: Any) -> Any:
    mean, *others = right(*at)
    return (2 * mean, *others)


@pytest.mark.parametrize(
    ("claim_id", "formula", "wrong"),
    [
        ("span-spectrum-anil", span_head_matrix, _twice),
        ("span-spectrum-fo-anil", span_head_matrix, _twice),
        ("span-spectrum-maml", span_head_matrix, _transposed),
        ("fo-maml-operator", span_head_matrix, _transposed),
        ("fo-maml-operator", rates.third_moment, _twice),
        ("fo-maml-scalar", rates.fo_maml_operator, _twice),
        ("fo-maml-gaussian-parts", rates.gaussian_head_moments, _mean_doubled),
        ("fo-maml-gaussian-determinant", rates.fo_maml_operator, _twice),
        ("fo-maml-gaussian-characteristic", rates.gaussian_head_moments, _mean_doubled),
        ("fo-maml-gaussian-identity", rates.fo_maml_operator, _twice),
    ],
)
@pytest.mark.parametrize("kind", ["exact", "floats"])
def test_checks_of_the_theory_notice_a_wrong_one(claim_id: str, formula: Any, wrong: Any, kind: str) -> None:
    finding = _verified(claim_id, (kind,), 24, **{formula.__name__: partial(wrong, formula)})
    assert finding.evidence[0].verdict == Verdict.REFUTED


def test_the_wide_factor_notices_a_wrong_one(monkeypatch: pytest.MonkeyPatch) -> None:
    right = population.right_factor
    monkeypatch.setattr(population, "right_factor", lambda *at: right(*at) * 2)
    finding = verify(
        get_claim("width-local-factor"), profile=Profile(shrink=False), examples=24, kinds=("exact", "floats")
    )
    assert finding.evidence[0].verdict == Verdict.REFUTED


@pytest.mark.parametrize("factor", [0.99, 1.01])
def test_the_gaussian_border_notices_one_percent(factor: float) -> None:
    def off(mean: np.ndarray, covariance: np.ndarray) -> tuple[np.ndarray, ...]:
        first, second, third = rates.gaussian_head_moments(mean, covariance)
        return first, second, factor * third

    assert _verified("fo-maml-gaussian", ("floats",), gaussian_head_moments=off).status == Verdict.REFUTED
