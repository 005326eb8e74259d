"""Rates, linearisations and FO-MAML's operator: against plain finite differences, hand-worked cases and limits."""

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import sympy

from metarep.sim.implementations import REFERENCE
from metarep.sim.learners import META_LEARNERS, get_learner
from metarep.sim.updates import step
from metarep.theory.calculus.words import identity
from metarep.theory.claims import gaussian, get_claim, stability
from metarep.theory.claims import rates as claims_rates
from metarep.theory.claims.record import Comparison, Verdict
from metarep.theory.claims.width import population
from metarep.theory.dynamics import gaussian_heads as gh
from metarep.theory.dynamics import rates
from metarep.theory.dynamics.linearise import (
    evaluates_without_rotation,
    gradients_at_truth,
    linearise,
    span_head_matrix,
    stated_linearisation,
    symmetric_basis,
)
from metarep.theory.engine import Profile, verify


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


def test_symmetric_basis_is_orthonormal() -> None:
    basis = symmetric_basis(4)
    assert basis.shape == (10, 4, 4)
    assert np.allclose(basis, np.swapaxes(basis, -1, -2))
    assert np.allclose(np.tensordot(basis, basis, axes=((1, 2), (1, 2))), np.eye(10))


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


@pytest.mark.parametrize("name", META_LEARNERS)
def test_derived_and_stated_linearisation_agree(name: str) -> None:
    learner = get_learner(name)
    for head in (False, True) if learner.adapts == "head" else (False,):
        derived = linearise(learner, head)
        S, omega, Y = stated_linearisation(learner, head).expand()
        assert (derived.S, derived.omega, derived.Y) == (S, omega, Y)
        assert evaluates_without_rotation(derived)
        assert not any(gradients_at_truth(learner, head))


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


def test_characteristic_equation_of_gaussian_heads(rng: np.random.Generator) -> None:
    """Every eigenvalue −s of 𝓛 solves 1 + 10κ + 8κg = 0, on which the stability proof rests."""
    k = 3
    root = rng.standard_normal((k, k))
    covariance, mean = root @ root.T, 0.8 * rng.standard_normal(k)
    delta, frame = np.linalg.eigh(covariance - np.outer(mean, mean))
    mu = frame.T @ mean
    for value in np.linalg.eigvals(rates.fo_maml_operator(*rates.gaussian_head_moments(mean, covariance))):
        s = -value
        H = s / (s + delta[:, None] + delta)
        W = np.diag(s + delta + 2 * (H * mu**2).sum(-1)) + 2 * np.outer(mu, mu) * H
        kappa, g = np.sum(mu**2 / (2 * delta + s)), mu @ np.linalg.solve(W, mu)
        assert abs(1 + 10 * kappa + 8 * kappa * g) < 1e-8 * (1 + abs(10 * kappa) + abs(8 * kappa * g))


@pytest.mark.parametrize(
    "proof",
    [
        gh.parts_proof,
        gh.determinant_proof,
        gh.stability_proof,
        gh.inertia_proof,
        gh.identity_covariance_proof,
        gh.one_dimensional_proof,
    ],
)
def test_gaussian_proofs_hold(proof) -> None:
    result = proof()
    assert result.holds, result.remainder


def test_gaussian_proofs_fail_for_a_wrong_third_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    def without_one_term(omega):
        return (omega.T * gh.mu) * gh.Psi + gh.Sigma * omega * gh.mu.T * 2

    monkeypatch.setattr(gh, "third_moment_along", without_one_term)
    for proof in (gh.parts_proof, gh.determinant_proof, gh.stability_proof, gh.inertia_proof):
        assert not proof().holds


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
    mean, root = rng.integers(-3, 4, 2), rng.integers(-3, 4, (2, 2))
    exact = np.array(
        gaussian.exact_operator(*(np.vectorize(Fraction)(part) for part in (mean, root @ root.T))), dtype=float
    )
    numerical = rates.fo_maml_operator(*rates.gaussian_head_moments(mean.astype(float), (root @ root.T).astype(float)))
    for power in range(1, 6):  # other bases, the same spectrum
        traces = [np.trace(np.linalg.matrix_power(each, power)) for each in (exact, numerical)]
        assert traces[0] == pytest.approx(traces[1])


@pytest.mark.parametrize(
    ("check", "changed"),
    [
        (gaussian._gaussian_determinant_check, {}),
        (gaussian._characteristic_check, {"Re s": Fraction(1, 2), "Im s": Fraction(1)}),
    ],
)
def test_exact_gaussian_identities_notice_a_wrong_operator(check, changed, monkeypatch: pytest.MonkeyPatch) -> None:
    instance = {"k": 2, "delta": [Fraction(1), Fraction(2)], "frame": [[Fraction(0)] * 2] * 2, "mu": [Fraction(1)] * 2}
    instance |= changed
    assert check(instance, REFERENCE) == Comparison(0, 0, 0, check(instance, REFERENCE).why)
    right = gaussian.operator_words
    monkeypatch.setattr(gaussian, "operator_words", lambda S, omega: (right(S, omega)[0], right(S, omega)[1] * 2))
    assert not check(instance, REFERENCE).holds


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


@pytest.mark.parametrize(
    ("claim_id", "module", "name", "where"),
    [
        ("span-spectrum-anil", claims_rates, "span_head_matrix", lambda right, *at: right(*at) * 2),
        ("span-spectrum-fo-anil", claims_rates, "span_head_matrix", lambda right, *at: right(*at) * 2),
        ("span-spectrum-maml", claims_rates, "span_head_matrix", lambda right, *at: right(*at).T),
        ("fo-maml-operator", stability, "span_head_matrix", lambda right, *at: right(*at).T),
        ("fo-maml-scalar", stability, "_applied", lambda right, *at: right(*at) * 2),
        (
            "fo-maml-gaussian-parts",
            gaussian,
            "gaussian_head_moments",
            lambda right, *at: (right(*at)[0] * 2, *right(*at)[1:]),
        ),
        ("width-local-factor", population, "right_factor", lambda right, *at: right(*at) * 2),
    ],
)
def test_exact_checks_of_the_theory_notice_a_wrong_one(
    claim_id: str, module: Any, name: str, where: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = getattr(module, name)
    monkeypatch.setattr(module, name, lambda *at: where(right, *at))
    finding = verify(get_claim(claim_id), profile=Profile(shrink=False), examples=24, kinds=("exact", "floats"))
    assert finding.evidence[0].verdict == Verdict.REFUTED


@pytest.mark.parametrize("factor", [0.99, 1.01])
def test_the_gaussian_border_notices_one_percent(factor: float, monkeypatch: pytest.MonkeyPatch) -> None:
    def off(mean: np.ndarray, covariance: np.ndarray) -> tuple[np.ndarray, ...]:
        first, second, third = rates.gaussian_head_moments(mean, covariance)
        return first, second, factor * third

    monkeypatch.setattr(gaussian, "gaussian_head_moments", off)
    finding = verify(get_claim("fo-maml-gaussian"), profile=Profile(shrink=False))
    assert finding.status == Verdict.REFUTED
