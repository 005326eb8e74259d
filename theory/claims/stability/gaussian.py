"""FO-MAML at the truth when the heads are Gaussian: the parts, the determinant and the spectrum of its operator."""

from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np
from hypothesis import strategies as st
from sympy import QQ, QQ_I
from sympy.polys.matrices import DomainMatrix

from metarep.sim.implementations import Implementation
from metarep.theory.claims.comparing import close, largest, same
from metarep.theory.claims.record import Comparison, Example, Verdict, own
from metarep.theory.claims.stability import claim
from metarep.theory.claims.strategies import Entries, Numbers, array, floats, fractions, reflected_identity
from metarep.theory.dynamics.gaussian_heads import determinant_proof, parts_proof, stability_proof
from metarep.theory.dynamics.rates import fo_maml_operator, gaussian_head_moments

WIDE_Q = floats(0.05, 3.0)
LARGEST_K = 8
"""Largest k of the examples in floats; 3 of those in fractions. The operators have k(k + 1)/2 + k rows."""

GAUSSIAN = (
    r"infinitely many tasks, heads from $N(\mu, \Sigma)$, $\Sigma > 0$; $w = 0$; small steps; any $k$ "
    rf"(in floats $k \le {LARGEST_K}$, in fractions $k \le 3$)"
)
of_gaussian_heads = partial(claim, given=GAUSSIAN, learners=["fo-maml"])


# --- laws in floats, and in rational arithmetic


@st.composite
def gaussian_laws(draw: st.DrawFn, shares: st.SearchStrategy[float] = WIDE_Q, decades: float = 2.0) -> Example:
    """N(μ, Σ): Σ with eigenvalues within 10^±decades in a random frame, μ with a chosen q = μᵀΣ⁻¹μ."""
    made = Entries(draw, floats)
    k = made.k()
    direction = made.vector(k)
    direction[0] = draw(floats(0.25, 2.0))
    return {
        "k": k,
        "log10 Sigma": made.vector(k, decades),
        "frame": made.reflections(k),
        "direction": direction,
        "q": draw(shares),
    }


@st.composite
def exact_laws(draw: st.DrawFn, least_delta: float = -2.0) -> Example:
    """μ and D = Σ − μμᵀ in fractions, D by its eigenvalues δ in a frame that is a product of reflections."""
    made = Entries(draw, fractions)
    k = made.k(most=3)
    return {
        "k": k,
        "delta": draw(st.lists(fractions(least_delta, 2.0), min_size=k, max_size=k)),
        "frame": made.reflections(k),
        "mu": made.vector(k),
    }


def gaussian_law(example: Example) -> tuple[np.ndarray, np.ndarray]:
    """(μ, Σ) of a ``gaussian_laws`` example, μ = √q Σ^{1/2}·unit vector, or of an ``exact_laws`` one."""
    frame = reflected_identity(example["frame"])
    if "delta" in example:
        mean = frame @ array(example["mu"])
        return mean, (frame * array(example["delta"])) @ frame.T + np.outer(mean, mean)
    deviations = 10 ** (np.array(example["log10 Sigma"]) / 2)
    unit = np.array(example["direction"])
    mean = frame @ (deviations * unit) * np.sqrt(example["q"]) / np.linalg.norm(unit)
    return mean, (frame * deviations**2) @ frame.T


def law_objects(mean: np.ndarray, covariance: np.ndarray) -> dict[str, Any]:
    """What a reader is shown of N(μ, Σ)."""
    return {"k": len(mean), "mu": mean, "Sigma": covariance}


def balanced_operator(
    mean: np.ndarray, covariance: np.ndarray, fo_maml_operator: Callable, gaussian_head_moments: Callable
) -> np.ndarray:
    """𝓛 of N(μ, Σ) scaled to heads of size one, which scales 𝓛 by a similarity and a factor."""
    size = np.sqrt(np.trace(covariance) + mean @ mean)
    return fo_maml_operator(*gaussian_head_moments(mean / size, covariance / size**2))


_rational = np.vectorize(lambda value: QQ_I(QQ(value.numerator, value.denominator), 0), otypes=[object])
"""Fractions as SymPy's Gaussian rationals."""


def _matrix(entries: np.ndarray) -> DomainMatrix:
    return DomainMatrix(entries.tolist(), entries.shape, QQ_I)


def _exact_determinant(entries: np.ndarray) -> Any:
    return _matrix(entries).det()


def _exact_solution(entries: np.ndarray, right: np.ndarray) -> np.ndarray:
    return np.array(_matrix(entries).lu_solve(_matrix(right[:, None])).to_list(), dtype=object)[:, 0]


def _parts(value: Any) -> tuple[Fraction, Fraction]:
    """Real and imaginary part of a Gaussian rational."""
    real, imaginary = (Fraction(int(part.numerator), int(part.denominator)) for part in (value.x, value.y))
    return real, imaginary


# --- the operator taken apart


@st.composite
def moved_laws(draw: st.DrawFn, numbers: Numbers) -> Example:
    """N(μ, D + μμᵀ) with any symmetric D, and a point (S, ω)."""
    made = Entries(draw, numbers, units=(0,))
    k = made.k()
    return {"k": k, "mu": made.vector(k), "D": made.matrix(k, k), "S": made.matrix(k, k), "omega": made.vector(k)}


REFERENCE_MOMENTS = gaussian_head_moments
"""The moments as they are, for sizes of rounding errors."""
Triple = tuple[np.ndarray, np.ndarray, np.ndarray]


def _parts_of_the_operator(
    mean: np.ndarray, omega: np.ndarray, D: np.ndarray, S: np.ndarray, moments: Callable, sign: int = -1
) -> tuple[Triple, Triple]:
    """𝓛(S, ω) for heads N(μ, D + μμᵀ) and the form's growth along it, as they are and as stated. ``sign``: +1 with
    moduli, where every difference is a sum that bounds its terms.
    """
    covariance = D + np.outer(mean, mean)
    first, second, third = moments(mean, covariance)
    moved_S = S @ second + second @ S + sign * 2 * (third @ omega)
    moved_omega = second @ omega + sign * (S @ first)

    def reduced(S: np.ndarray, omega: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        R = S + sign * (mean @ omega) * np.eye(len(mean), dtype=int)
        return R, R @ mean + sign * (covariance @ omega)

    R, rho = reduced(S, omega)
    X = D @ R + R @ D + 2 * (np.outer(rho, mean) + np.outer(mean, rho))
    later_R, later_rho = reduced(moved_S, moved_omega)
    gain = ((D @ R + R @ D) * later_R).sum() + 4 * (rho @ later_rho)
    stated = (X * X).sum() + 4 * (rho @ covariance @ rho) + (mean @ rho) * np.trace(X)
    return (moved_S, moved_omega, np.array([gain])), (X, sign * rho, np.array([stated]))


@of_gaussian_heads(
    Verdict.PROVED,
    source=own("Isserlis' third moment"),
    rests_on="fo-maml-operator",
    draws=moved_laws,
    proof=parts_proof,
    examples=40,
)
def fo_maml_gaussian_parts(
    example: Example, implementation: Implementation, *, gaussian_head_moments=gaussian_head_moments
) -> Iterator[Comparison]:
    r"""For heads $N(\mu, \Sigma)$, with $D = \Sigma - \mu\mu^\top$, $R = S - (\mu^\top\omega) I$ and
    $\rho = R\mu - \Sigma\omega$, FO-MAML's operator is $\mathcal{L}(S, \omega) = (X, -\rho)$,
    $X = DR + RD + 2(\rho\mu^\top + \mu\rho^\top)$, and along it $\frac12\langle R, DR + RD\rangle + 2\|\rho\|^2$ grows
    by $\|X\|^2 + 4\rho^\top\Sigma\rho + (\mu^\top\rho)\,\mathrm{tr} X$.

    Everything below about Gaussian heads follows from this.
    """
    mean, omega = array(example["mu"]), array(example["omega"])
    D, S = (array(example[name]) + array(example[name]).T for name in ("D", "S"))
    seen, stated = _parts_of_the_operator(mean, omega, D, S, gaussian_head_moments)
    # The same with every sum of moduli: what relative rounding errors multiply.
    scales = [0.0] * 3
    if mean.dtype != object:
        moduli = [np.abs(part) for part in (mean, omega, D, S)]
        sides = zip(*_parts_of_the_operator(*moduli, moments=REFERENCE_MOMENTS, sign=1), strict=True)
        scales = [max(largest(left), largest(right)) for left, right in sides]
    objects = {"k": len(mean), "mu": mean, "D": D, "S": S, "omega": omega}
    for what, left, right, scale in zip(("X", "−ρ", "the form's growth"), seen, stated, scales, strict=True):
        why = f"{what} by 𝓛(S, ω) minus the stated one, largest entry"
        yield same(left, right, scale, implementation.eps, why, objects=objects)


@of_gaussian_heads(
    Verdict.EXACT,
    source=own("the operator taken apart"),
    rests_on="fo-maml-gaussian-parts",
    floats=gaussian_laws,
    fractions=exact_laws,
    proof=determinant_proof,
)
def fo_maml_gaussian_determinant(
    example: Example,
    implementation: Implementation,
    *,
    fo_maml_operator=fo_maml_operator,
    gaussian_head_moments=gaussian_head_moments,
) -> Comparison:
    r"""For heads $N(\mu, \Sigma)$ FO-MAML's operator has $\det\mathcal{L} = \det\Sigma \prod_{i \le j}(\delta_i +
    \delta_j)$, $\delta_i$ the eigenvalues of $\Sigma - \mu\mu^\top$.

    For every $k$ by the steps of its proof, of which the determinants of shears are by hand; in exact arithmetic for $k
    \le 3$ and any symmetric $D$.
    """
    mean, covariance = gaussian_law(example)
    rows, cols = np.triu_indices(example["k"])
    if mean.dtype == object:
        operator = fo_maml_operator(*gaussian_head_moments(mean, covariance))
        delta = _rational(example["delta"])
        predicted = _exact_determinant(_rational(covariance)) * np.prod(delta[rows] + delta[cols])
        seen, stated = (np.array(_parts(value)) for value in (_exact_determinant(_rational(operator)), predicted))
        return close(seen, stated, 0, "det 𝓛 minus det Σ times the pairs' product", law_objects(mean, covariance))
    objects, size2 = law_objects(mean, covariance), np.trace(covariance) + mean @ mean
    operator = balanced_operator(mean, covariance, fo_maml_operator, gaussian_head_moments)
    delta = np.linalg.eigvalsh(covariance - np.outer(mean, mean)) / size2
    predicted = float(np.linalg.det(covariance / size2) * np.prod(delta[rows] + delta[cols]))
    # A determinant is a sum of products of N entries; perturbing the matrix by eps relatively moves it by
    # eps·N·‖𝓛‖·‖adj 𝓛‖, ≤ the product of the N − 1 largest singular values. The right side likewise: each factor is
    # known to eps absolutely (sizes are one).
    singular = np.linalg.svd(operator, compute_uv=False)
    adjugate = float(np.prod(singular[:-1]))
    sums = np.sort(np.abs(np.concatenate([delta[rows] + delta[cols], np.linalg.eigvalsh(covariance / size2)])))
    other = float(np.sum([np.prod(np.delete(sums, i)) for i in range(len(sums))]))
    tolerance = 64 * implementation.eps * len(operator) * (adjugate * singular[0] + other)
    why = "det 𝓛 minus det Σ times the pairs' product (heads scaled to size one)"
    return close(float(np.linalg.det(operator)), predicted, tolerance, why, objects)


# --- the characteristic equation


@st.composite
def shifted_operators(draw: st.DrawFn, numbers: Numbers) -> Example:
    """A law with μᵀΣ⁻¹μ < 1 (in fractions by δ > 0) and a complex s with Re s > 0 (in fractions ≥ 0)."""
    exact = numbers is fractions
    law = draw(exact_laws(1 / 12) if exact else gaussian_laws(floats(0.05, 0.999)))
    least, most = (0.0, 4.0) if exact else (0.125, 8.0)
    return {**law, "Re s": draw(numbers(least, most)), "Im s": draw(numbers(-most, most))}


def _product_form(
    s: Any, delta: np.ndarray, mu: np.ndarray, determinant: Callable, solution: Callable
) -> tuple[Any, np.ndarray, Any, Any]:
    """(det(𝓛 + s), W, κ, g) as stated, in numbers of any kind."""
    pairs = s + delta[:, None] + delta
    W = np.diag(s + delta + 2 * (s / pairs * mu**2).sum(-1)) + 2 * np.outer(mu, mu) * s / pairs
    kappa, g = np.sum(mu**2 / (2 * delta + s)), mu @ solution(W, mu)
    rows, cols = np.triu_indices(mu.size)
    factor = (1 + 10 * kappa + 8 * kappa * g) / (1 + 8 * kappa)
    return np.prod(pairs[rows, cols]) * determinant(W) * factor, W, kappa, g


@of_gaussian_heads(
    Verdict.EXACT,
    source=own("the operator taken apart; elimination of the span"),
    rests_on="fo-maml-gaussian-parts",
    draws=shifted_operators,
    proof=stability_proof,
    examples=40,
)
def fo_maml_gaussian_characteristic(
    example: Example,
    implementation: Implementation,
    *,
    fo_maml_operator=fo_maml_operator,
    gaussian_head_moments=gaussian_head_moments,
) -> Comparison:
    r"""For heads $N(\mu, \Sigma)$ with $\mu^\top\Sigma^{-1}\mu < 1$ and $\mathrm{Re}\, s \ge 0$: $\det(\mathcal{L} + s)
    = \prod_{i \le j}(\delta_i + \delta_j + s) \det W(s)\, \frac{1 + 10\kappa + 8\kappa g}{1 + 8\kappa}$, $\delta_i$ the
    eigenvalues of $\Sigma - \mu\mu^\top$, $\kappa = \sum_j \frac{\mu_j^2}{2\delta_j + s}$, $g = \mu^\top W^{-1}\mu$, in
    the eigenbasis of $\Sigma - \mu\mu^\top$; $W$, $\kappa$ and $g$ have non-negative real part.

    $W = s + D + 2\,\mathrm{diag}_i(\sum_j \mu_j^2 H_{ij}) + 2 (\mu_i\mu_j H_{ij})_{ij}$ with
    $H_{ij} = \frac{s}{s + \delta_i + \delta_j}$. Checked for $k \le 3$.
    """
    mean, covariance = gaussian_law(example)
    objects = {**law_objects(mean, covariance), "Re s": example["Re s"], "Im s": example["Im s"]}
    if mean.dtype == object:
        operator = _rational(fo_maml_operator(*gaussian_head_moments(mean, covariance)))
        s = np.array(QQ_I(*(QQ(part.numerator, part.denominator) for part in (example["Re s"], example["Im s"]))))
        seen = _exact_determinant(operator + np.diag([s[()]] * len(operator)))
        delta, mu = _rational(example["delta"]), _rational(example["mu"])
        predicted, _, kappa, g = _product_form(s, delta, mu, _exact_determinant, _exact_solution)
        below = min(_parts(part)[0] for part in (kappa, g))
        if below < 0:
            return Comparison(-below, 0, 0, "minus the least real part of κ and g", objects=objects)
        left, right = (np.array(_parts(value)) for value in (seen, predicted))
        return close(left, right, 0, "det(𝓛 + s) minus its product form, real and imaginary part", objects)
    size = np.sqrt(np.trace(covariance) + mean @ mean)
    mean, covariance, k = mean / size, covariance / size**2, example["k"]
    s = complex(example["Re s"], example["Im s"])
    shifted = fo_maml_operator(*gaussian_head_moments(mean, covariance)) + s * np.eye(k * (k + 1) // 2 + k)
    delta, frame = np.linalg.eigh(covariance - np.outer(mean, mean))
    predicted, W, kappa, g = _product_form(s, delta, frame.T @ mean, np.linalg.det, np.linalg.solve)
    # Heads have size one and Re s ≥ 1/8: the terms of W's diagonal, of δ + s, of κ and of 1/κ + 10 + 8g have positive
    # real parts, so nothing cancels; a determinant is off by eps × N × condition.
    conditions = float(np.linalg.cond(shifted)) + float(np.linalg.cond(W))
    tolerance = 64 * implementation.eps * len(shifted) * conditions
    ratio = complex(np.linalg.det(shifted) / predicted)
    least = min(kappa.real, g.real, float(np.linalg.eigvalsh((W + W.conj().T) / 2)[0]))
    if least < -tolerance:
        return Comparison(-least, 0, tolerance, "minus the least real part of κ, g and W", objects=objects)
    why = "det(𝓛 + s) over its product form, minus 1 (heads scaled to size one)"
    return close(ratio, 1.0, tolerance, why, objects)
