"""Claims about FO-MAML at the truth when the heads are Gaussian: the parts, the determinant and the spectrum of its
operator, and that the truth is stable exactly where μᵀΣ⁻¹μ < 1.
"""

from fractions import Fraction
from typing import Any

import numpy as np
import sympy
from hypothesis import strategies as st
from sympy import QQ, QQ_I
from sympy.polys.matrices import DomainMatrix

from metarep.sim.implementations import Implementation
from metarep.theory.calculus import alphabet as a
from metarep.theory.claims.comparing import largest, run_together, same
from metarep.theory.claims.rates import compare_spectra
from metarep.theory.claims.record import Check, Claim, Comparison, Example, Verdict, own
from metarep.theory.claims.stability import CHAPTER, FO_MAML, with_meaning
from metarep.theory.claims.strategies import (
    Numbers,
    array,
    floats,
    fractions,
    matrix,
    reflected_identity,
    reflections,
    vector,
)
from metarep.theory.dynamics.gaussian_heads import (
    determinant_proof,
    identity_covariance_proof,
    inertia_proof,
    parts_proof,
    stability_proof,
)
from metarep.theory.dynamics.gaussian_heads import operator as operator_words
from metarep.theory.dynamics.linearise import on_span_and_head
from metarep.theory.dynamics.rates import fo_maml_operator, fo_maml_unstable_modes, gaussian_head_moments

WIDE_Q = floats(0.05, 3.0)
LARGEST_K = 5
"""Largest k of the instances in floats; 3 of those in fractions."""


def near_one(most: float, sides: tuple[int, ...] = (-1, 1)) -> st.SearchStrategy[float]:
    """Values of q at logarithmic distances of 1, from 0.001 to ``most``."""
    return st.tuples(st.sampled_from(sides), floats(-3.0, float(np.log10(most)))).map(
        lambda drawn: 1 + drawn[0] * float(10 ** drawn[1])
    )


@st.composite
def gaussian_laws(draw: st.DrawFn, shares: st.SearchStrategy[float] = WIDE_Q, decades: float = 2.0) -> Example:
    """N(μ, Σ): Σ with eigenvalues within 10^±decades in a random frame, μ with a chosen q = μᵀΣ⁻¹μ."""
    k = draw(st.integers(1, LARGEST_K))
    direction = draw(vector(floats, k))
    direction[0] = draw(floats(0.25, 2.0))
    return {
        "k": k,
        "log10 Sigma": [draw(floats(-decades, decades)) for _ in range(k)],
        "frame": draw(reflections(floats, k)),
        "direction": direction,
        "q": draw(shares),
    }


def gaussian_law(instance: Example) -> tuple[np.ndarray, np.ndarray]:
    """(μ, Σ) of a ``gaussian_laws`` instance: μ = √q Σ^{1/2}·unit vector."""
    frame = reflected_identity(instance["frame"])
    deviations = 10 ** (np.array(instance["log10 Sigma"]) / 2)
    unit = np.array(instance["direction"])
    mean = frame @ (deviations * unit) * np.sqrt(instance["q"]) / np.linalg.norm(unit)
    return mean, (frame * deviations**2) @ frame.T


def _balanced_operator(mean: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """𝓛 of N(μ, Σ) scaled to heads of size one, which scales 𝓛 by a similarity and a factor."""
    size = np.sqrt(np.trace(covariance) + mean @ mean)
    return fo_maml_operator(*gaussian_head_moments(mean / size, covariance / size**2))


# --- the same in rational arithmetic


@st.composite
def exact_laws(draw: st.DrawFn, least_delta: float = -2.0) -> Example:
    """μ and D = Σ − μμᵀ in fractions, D by its eigenvalues δ in a frame that is a product of reflections."""
    k = draw(st.integers(1, 3))
    return {
        "k": k,
        "delta": draw(st.lists(fractions(least_delta, 2.0), min_size=k, max_size=k)),
        "frame": draw(reflections(fractions, k)),
        "mu": draw(vector(fractions, k)),
    }


@st.composite
def exact_shifted_operators(draw: st.DrawFn) -> Example:
    """A law with δ > 0 (so μᵀΣ⁻¹μ < 1) and a complex s with Re s ≥ 0."""
    law = draw(exact_laws(1 / 12))
    return {**law, "Re s": draw(fractions(0.0, 4.0)), "Im s": draw(fractions(-4.0, 4.0))}


Field = list[list[Any]]


def exact_operator(mean: np.ndarray, covariance: np.ndarray) -> Field:
    """𝓛 of N(μ, Σ) from its words, in the coordinates (S_ij for i ≤ j, ω), rows of fractions."""
    arrays = {"w_bar": mean, "Psi_star": covariance + np.outer(mean, mean)}
    return on_span_and_head(*operator_words(a.S, a.omega), mean.size, arrays, {}, exact=True).tolist()


def _gaussian_rational(value: Any) -> Any:
    return QQ_I(QQ(value.numerator, value.denominator), 0) if isinstance(value, Fraction | int) else value


def _determinant(rows: Field) -> Any:
    """Of a matrix of fractions or of SymPy's Gaussian rationals."""
    entries = [[_gaussian_rational(value) for value in row] for row in rows]
    return DomainMatrix(entries, (len(rows), len(rows)), QQ_I).det()


def _parts(value: Any) -> tuple[Fraction, Fraction]:
    """Real and imaginary part of a Gaussian rational."""
    real, imaginary = (Fraction(int(part.numerator), int(part.denominator)) for part in (value.x, value.y))
    return real, imaginary


def _exact_law(instance: Example) -> tuple[np.ndarray, np.ndarray]:
    frame = reflected_identity(instance["frame"])
    mean = frame @ array(instance["mu"])
    return mean, (frame * array(instance["delta"])) @ frame.T + np.outer(mean, mean)


def _exact_determinant_check(instance: Example) -> Comparison:
    mean, covariance = _exact_law(instance)
    predicted = _determinant(covariance.tolist())
    delta = instance["delta"]
    for i, j in zip(*np.triu_indices(instance["k"]), strict=True):
        predicted *= _gaussian_rational(delta[i] + delta[j])
    difference = _parts(_determinant(exact_operator(mean, covariance)) - predicted)
    return Comparison(max(map(abs, difference)), 0, 0, "det 𝓛 minus det Σ times the pairs' product")


def _exact_characteristic_check(instance: Example) -> Comparison:
    k = instance["k"]
    rows = [[_gaussian_rational(value) for value in row] for row in exact_operator(*_exact_law(instance))]
    s = QQ_I(*(QQ(part.numerator, part.denominator) for part in (instance["Re s"], instance["Im s"])))
    for i, row in enumerate(rows):
        row[i] += s
    delta = [_gaussian_rational(value) for value in instance["delta"]]
    mu = [_gaussian_rational(value) for value in instance["mu"]]
    H = [[s / (s + x + y) for y in delta] for x in delta]
    W = [[2 * mu[i] * mu[j] * H[i][j] for j in range(k)] for i in range(k)]
    for i in range(k):
        W[i][i] += s + delta[i] + 2 * sum((mu[j] ** 2 * H[i][j] for j in range(k)), QQ_I(0, 0))
    kappa = sum((mu[j] ** 2 / (2 * delta[j] + s) for j in range(k)), QQ_I(0, 0))
    right = DomainMatrix([[value] for value in mu], (k, 1), QQ_I)
    g = (right.transpose() * DomainMatrix(W, (k, k), QQ_I).lu_solve(right)).to_list()[0][0]
    one = QQ_I(1, 0)
    predicted = _determinant(W) * (one + 10 * kappa + 8 * kappa * g) / (one + 8 * kappa)
    for i, j in zip(*np.triu_indices(k), strict=True):
        predicted *= delta[i] + delta[j] + s
    difference = max(map(abs, _parts(_determinant(rows) - predicted)))
    below = min(_parts(part)[0] for part in (kappa, g))
    if below < 0:
        return Comparison(-below, 0, 0, "minus the least real part of κ and g")
    return Comparison(difference, 0, 0, "det(𝓛 + s) minus its product form")


def _gaussian_determinant_check(instance: Example, implementation: Implementation) -> Comparison:
    if "delta" in instance:
        return _exact_determinant_check(instance)
    mean, covariance = gaussian_law(instance)
    size2 = np.trace(covariance) + mean @ mean
    operator = _balanced_operator(mean, covariance)
    delta = np.linalg.eigvalsh(covariance - np.outer(mean, mean)) / size2
    rows, cols = np.triu_indices(instance["k"])
    predicted = float(np.linalg.det(covariance / size2) * np.prod(delta[rows] + delta[cols]))
    # A determinant is a sum of products of N entries; perturbing the matrix by eps relatively moves it by
    # eps·N·‖𝓛‖·‖adj 𝓛‖, ≤ the product of the N − 1 largest
    # singular values. The right side likewise: each factor is known to eps absolutely (sizes are one).
    singular = np.linalg.svd(operator, compute_uv=False)
    adjugate = float(np.prod(singular[:-1]))
    sums = np.sort(np.abs(np.concatenate([delta[rows] + delta[cols], np.linalg.eigvalsh(covariance / size2)])))
    other = float(np.sum([np.prod(np.delete(sums, i)) for i in range(len(sums))]))
    tolerance = 64 * implementation.eps * len(operator) * (adjugate * singular[0] + other)
    return Comparison(
        abs(float(np.linalg.det(operator)) - predicted),
        0,
        tolerance,
        "det 𝓛 minus det Σ times the pairs' product (heads scaled to size one)",
    )


def _least_real_part(instance: Example) -> tuple[float, float]:
    """(least real part of 𝓛's eigenvalues, the tolerance of that), both over |q − 1| λ_min(Σ), which is their size."""
    mean, covariance = gaussian_law(instance)
    operator = _balanced_operator(mean, covariance)
    size = np.trace(covariance) + mean @ mean
    unit = abs(instance["q"] - 1) * float(np.linalg.eigvalsh(covariance)[0]) / size
    values, vectors = np.linalg.eig(operator)
    # Bauer and Fike: eigenvalues are off by eps‖𝓛‖ times the eigenvectors' condition, and never by more than the
    # N-th root says.
    condition = min(float(np.linalg.cond(vectors)), 1e12)
    tolerance = 8 * np.finfo(float).eps * len(operator) * float(np.linalg.norm(operator)) * condition
    return float(np.real(values).min()) / unit, tolerance / unit


def _characteristic_check(instance: Example, implementation: Implementation) -> Comparison:
    if "delta" in instance:
        return _exact_characteristic_check(instance)
    mean, covariance = gaussian_law(instance)
    size = np.sqrt(np.trace(covariance) + mean @ mean)
    mean, covariance, k = mean / size, covariance / size**2, instance["k"]
    s = complex(instance["Re s"], instance["Im s"])
    shifted = fo_maml_operator(*gaussian_head_moments(mean, covariance)) + s * np.eye(k * (k + 1) // 2 + k)
    delta, frame = np.linalg.eigh(covariance - np.outer(mean, mean))
    mu = frame.T @ mean
    pairs = s + delta[:, None] + delta
    W = np.diag(s + delta + 2 * (s / pairs * mu**2).sum(-1)) + 2 * s * np.outer(mu, mu) / pairs
    kappa, g = np.sum(mu**2 / (2 * delta + s)), mu @ np.linalg.solve(W, mu)
    rows, cols = np.triu_indices(k)
    factor = (1 + 10 * kappa + 8 * kappa * g) / (1 + 8 * kappa)
    predicted = np.prod(pairs[rows, cols]) * np.linalg.det(W) * factor
    # Heads have size one and Re s ≥ 1/8: the terms of W's diagonal, of δ + s, of κ and of 1/κ + 10 + 8g have positive
    # real parts, so nothing cancels; a determinant is off by eps × N × condition.
    conditions = float(np.linalg.cond(shifted)) + float(np.linalg.cond(W))
    tolerance = 64 * implementation.eps * len(shifted) * conditions
    ratio = complex(np.linalg.det(shifted) / predicted)
    least = min(kappa.real, g.real, float(np.linalg.eigvalsh((W + W.conj().T) / 2)[0]))
    if least < -tolerance:
        return Comparison(-least, 0, tolerance, "minus the least real part of κ, g and W")
    return Comparison(
        abs(ratio - 1), 0, tolerance, "det(𝓛 + s) over its product form, minus 1 (heads scaled to size one)"
    )


@st.composite
def shifted_operators(draw: st.DrawFn) -> Example:
    """A law with μᵀΣ⁻¹μ < 1 and a complex s with Re s > 0."""
    law = draw(gaussian_laws(floats(0.05, 0.999)))
    return {**law, "Re s": draw(floats(0.125, 8.0)), "Im s": draw(floats(-8.0, 8.0))}


def _gaussian_stable_check(instance: Example, implementation: Implementation) -> Comparison:
    least, tolerance = _least_real_part(instance)
    return Comparison(1 - least, 1.0, tolerance, "1 − least real part of 𝓛's eigenvalues over |q − 1| λ_min(Σ)")


def _count_check(instance: Example, implementation: Implementation) -> Comparison:
    mean, covariance = gaussian_law(instance)
    size2 = np.trace(covariance) + mean @ mean
    operator = _balanced_operator(mean, covariance)
    values, vectors = np.linalg.eig(operator)
    condition = min(float(np.linalg.cond(vectors)), 1e12)
    blur = 8 * np.finfo(float).eps * len(operator) * float(np.linalg.norm(operator)) * condition
    delta = np.linalg.eigvalsh(covariance - np.outer(mean, mean)) / size2
    rows, cols = np.triu_indices(instance["k"])
    undecided = int(np.sum(np.abs(np.real(values)) <= blur)) + int(
        np.sum(np.abs(delta[rows] + delta[cols]) <= 64 * np.finfo(float).eps)
    )
    seen = int(np.sum(np.real(values) < -blur))
    predicted = fo_maml_unstable_modes(mean, covariance)
    return Comparison(
        abs(seen - predicted),
        0,
        undecided,
        f"{seen} unstable modes seen, {predicted} pairs; {undecided} too close to call",
    )


def gaussian_check(limit: float) -> Check:
    """Whether 𝓛 is stable where μᵀΣ⁻¹μ is below the limit, and unstable above it."""

    def check(instance: Example, implementation: Implementation) -> Comparison:
        least, tolerance = _least_real_part(instance)
        below = instance["q"] < limit
        return Comparison(
            1 - least if below else 1 + least,
            1.0,
            tolerance,
            "1 − least real part of 𝓛's eigenvalues, over |q − 1| λ_min(Σ), where q is below the limit; 1 + it above",
        )

    return check


GAUSSIAN = (
    r"infinitely many tasks, heads from $N(\mu, \Sigma)$, $\Sigma > 0$; $w = 0$; small steps; any $k$ "
    rf"(in floats $k \le {LARGEST_K}$, in fractions $k \le 3$)"
)
CALLED = r"$\delta_i$ the eigenvalues of $\Sigma - \mu\mu^\top$"


@st.composite
def moved_laws(draw: st.DrawFn, numbers: Numbers = floats) -> Example:
    """N(μ, D + μμᵀ) with any symmetric D, and a point (S, ω)."""
    k = draw(st.integers(1, 3))
    drawn = {"mu": draw(vector(numbers, k)), "D": draw(matrix(numbers, k, k)), "S": draw(matrix(numbers, k, k))}
    return {"k": k, **drawn, "omega": draw(vector(numbers, k))}


def _parts_check(instance: Example, implementation: Implementation) -> Comparison:
    """Both parts of the statement against 𝓛 from the third moments' tensor."""
    mean, omega = array(instance["mu"]), array(instance["omega"])
    D, S = (array(instance[name]) + array(instance[name]).T for name in ("D", "S"))
    covariance = D + np.outer(mean, mean)
    first, second, third = gaussian_head_moments(mean, covariance)
    moved_S = S @ second + second @ S - 2 * (third @ omega)
    moved_omega = second @ omega - S @ first

    def reduced(S: np.ndarray, omega: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        R = S - (mean @ omega) * np.eye(len(mean), dtype=int)
        return R, R @ mean - covariance @ omega

    R, rho = reduced(S, omega)
    X = D @ R + R @ D + 2 * (np.outer(rho, mean) + np.outer(mean, rho))
    later_R, later_rho = reduced(moved_S, moved_omega)
    gain = ((D @ R + R @ D) * later_R).sum() + 4 * (rho @ later_rho)
    stated = (X * X).sum() + 4 * (rho @ covariance @ rho) + (mean @ rho) * np.trace(X)
    # Nine letters of size k or k² in every word at most, their entries at most r; fractions have no rounding at all.
    r = 1 + float(max(largest(part) for part in (mean, omega, S, D, covariance)))
    return same(
        run_together(moved_S - X, moved_omega + rho, np.array([gain])),
        run_together(0 * X, 0 * rho, np.array([stated])),
        len(mean) ** 6 * r**9,
        implementation.eps,
        "𝓛(S, ω) minus (X, −ρ), and the form's growth minus the stated one, largest entry",
    )


GAUSSIAN_CLAIMS = (
    Claim(
        id="fo-maml-gaussian-parts",
        chapter=CHAPTER,
        statement=r"For heads $N(\mu, \Sigma)$, with $D = \Sigma - \mu\mu^\top$, $R = S - (\mu^\top\omega) I$ and "
        r"$\rho = R\mu - \Sigma\omega$, FO-MAML's operator is $\mathcal{L}(S, \omega) = (X, -\rho)$, "
        r"$X = DR + RD + 2(\rho\mu^\top + \mu\rho^\top)$, and along it $\frac12\langle R, DR + RD\rangle + "
        r"2\|\rho\|^2$ grows by $\|X\|^2 + 4\rho^\top\Sigma\rho + (\mu^\top\rho)\,\mathrm{tr} X$.",
        source=own("Isserlis' third moment"),
        hypotheses=GAUSSIAN,
        expected=Verdict.PROVED,
        learners=(FO_MAML,),
        rests_on=("fo-maml-operator",),
        proof=parts_proof,
        floats=moved_laws,
        fractions=lambda: moved_laws(fractions),
        check=_parts_check,
        examples=40,
        remark="Everything below about Gaussian heads follows from this.",
    ),
    Claim(
        id="fo-maml-gaussian-determinant",
        chapter=CHAPTER,
        statement=r"For heads $N(\mu, \Sigma)$ FO-MAML's operator has $\det\mathcal{L} = \det\Sigma \prod_{i \le "
        r"j}(\delta_i + \delta_j)$, " + CALLED + ".",
        source=own("the operator taken apart"),
        hypotheses=GAUSSIAN,
        expected=Verdict.EXACT,
        learners=(FO_MAML,),
        rests_on=("fo-maml-gaussian-parts",),
        proof=determinant_proof,
        floats=gaussian_laws,
        fractions=exact_laws,
        check=_gaussian_determinant_check,
        examples=60,
        remark=r"For every $k$ by the steps of its proof, of which the determinants of shears are by hand; in exact "
        r"arithmetic for $k \le 3$ and any symmetric $D$.",
    ),
    Claim(
        id="fo-maml-gaussian-characteristic",
        chapter=CHAPTER,
        statement=r"For heads $N(\mu, \Sigma)$ with $\mu^\top\Sigma^{-1}\mu < 1$ and $\mathrm{Re}\, s \ge 0$: "
        r"$\det(\mathcal{L} + s) = "
        r"\prod_{i \le j}(\delta_i + \delta_j + s) \det W(s)\, \frac{1 + 10\kappa + 8\kappa g}{1 + 8\kappa}$, "
        + CALLED
        + r", "
        r"$\kappa = \sum_j \frac{\mu_j^2}{2\delta_j + s}$, $g = \mu^\top W^{-1}\mu$, in the eigenbasis of "
        r"$\Sigma - \mu\mu^\top$; "
        r"$W$, $\kappa$ and $g$ have non-negative real part.",
        source=own("the operator taken apart; elimination of the span"),
        hypotheses=GAUSSIAN,
        expected=Verdict.EXACT,
        learners=(FO_MAML,),
        rests_on=("fo-maml-gaussian-parts",),
        proof=stability_proof,
        floats=shifted_operators,
        fractions=exact_shifted_operators,
        check=_characteristic_check,
        examples=40,
        remark=(
            r"$W = s + D + 2\,\mathrm{diag}_i(\sum_j \mu_j^2 H_{ij}) + 2 (\mu_i\mu_j H_{ij})_{ij}$ with $H_{ij} = "
            r"\frac{s}{s + \delta_i + \delta_j}$."
        ),
    ),
    Claim(
        id="fo-maml-gaussian-stable",
        chapter=CHAPTER,
        statement=(
            r"For heads $N(\mu, \Sigma)$ with $\mu^\top\Sigma^{-1}\mu < 1$ all eigenvalues of $\mathcal{L}$ have "
            r"positive real part: the truth is stable under FO-MAML, whatever $k$."
        ),
        source=own("passivity of the eigenvalue equation"),
        hypotheses=GAUSSIAN,
        expected=Verdict.SUPPORTED,
        kind="inequality",
        learners=(FO_MAML,),
        rests_on=("fo-maml-gaussian-characteristic",),
        floats=lambda: gaussian_laws(near_one(0.95, (-1,)), decades=1.0),
        check=_gaussian_stable_check,
        examples=80,
        remark=r"Follows, for every $k$, from the characteristic equation: $1/\kappa + 10 + 8 g = 0$ has no "
        r"solution with "
        r"$\mathrm{Re}\, s \ge 0$, as $\kappa$ and $g$ have non-negative real part there.",
    ),
    Claim(
        id="fo-maml-gaussian-count",
        chapter=CHAPTER,
        statement=r"For heads $N(\mu, \Sigma)$ with $k\mu^\top\Sigma^{-1}\mu < 16$ exactly as many eigenvalues of "
        r"$\mathcal{L}$ have negative real part as there are pairs $i \le j$ with "
        r"$\delta_i + \delta_j < 0$, "
        + CALLED
        + r" (none of which is zero). So for $k < 16$ the truth turns unstable exactly where "
        r"$\mu^\top\Sigma^{-1}\mu$ exceeds $1$.",
        source=own("an indefinite Lyapunov form; inertia theorem of Ostrowski and Schneider 1962"),
        hypotheses=GAUSSIAN,
        expected=Verdict.SUPPORTED,
        learners=(FO_MAML,),
        rests_on=("fo-maml-gaussian-parts", "fo-maml-gaussian-determinant"),
        proof=inertia_proof,
        floats=lambda: gaussian_laws(st.one_of(floats(1.05, 3.0), floats(0.05, 0.95))),
        check=_count_check,
        examples=60,
    ),
    Claim(
        id="fo-maml-gaussian",
        chapter=CHAPTER,
        statement=(
            r"For heads $N(\mu, \Sigma)$ the truth is stable under FO-MAML (small steps) where "
            r"$\mu^\top\Sigma^{-1}\mu < 1$ and unstable where $\mu^\top\Sigma^{-1}\mu > 1$."
        ),
        source=own(),
        hypotheses=GAUSSIAN,
        expected=Verdict.SUPPORTED,
        kind="inequality",
        learners=(FO_MAML,),
        rests_on=("fo-maml-gaussian-stable", "fo-maml-gaussian-count"),
        floats=lambda: gaussian_laws(st.one_of(near_one(0.25), floats(1.25, 20.0)), decades=1.0),
        check=gaussian_check(1.0),
        examples=120,
        remark=r"Stability follows from the characteristic equation for every $k$. Instability follows from the "
        r"count where "
        r"$k\mu^\top\Sigma^{-1}\mu < 16$, and from the determinant's sign where the number of pairs with "
        r"$\delta_i + \delta_j < 0$ is odd; elsewhere it is only seen. Complex eigenvalues do occur.",
    ),
    Claim(
        id="fo-maml-gaussian-many",
        chapter=CHAPTER,
        statement=(
            r"The count of unstable modes for heads $N(\mu, \Sigma)$, pairs $i \le j$ with $\delta_i + \delta_j < "
            r"0$, holds for any $\mu^\top\Sigma^{-1}\mu$."
        ),
        source=own(),
        hypotheses=GAUSSIAN + r", $k\mu^\top\Sigma^{-1}\mu$ beyond $16$ included",
        expected=Verdict.SUPPORTED,
        learners=(FO_MAML,),
        rests_on=("fo-maml-gaussian-count",),
        floats=lambda: gaussian_laws(floats(3.0, 200.0)),
        check=_count_check,
        examples=60,
        remark="Seen only: that no complex pair crosses the imaginary axis is argued where kμᵀΣ⁻¹μ < 16.",
    ),
)


@st.composite
def shifted_laws(draw: st.DrawFn) -> Example:
    """N(m e_1, I)."""
    return {"k": draw(st.integers(1, 5)), "m": draw(floats(0.0, 4.0))}


@st.composite
def exact_shifted_laws(draw: st.DrawFn) -> Example:
    """N(m e_1, I) with m a fraction."""
    return {"k": draw(st.integers(1, 4)), "m": draw(fractions(0.0, 4.0))}


def _shifted_check(instance: Example, implementation: Implementation) -> Comparison:
    k, m = instance["k"], instance["m"]
    if isinstance(m, Fraction):
        unit = np.diag([Fraction(1)] * k)
        rows = [[QQ(value.numerator, value.denominator) for value in row] for row in exact_operator(m * unit[0], unit)]
        x, square = sympy.Symbol("x"), sympy.Rational(m.numerator, m.denominator) ** 2
        blocks = (x**2 - 3 * (1 + square) * x + 2 * (1 - square)) * (x - 2) ** (k * (k - 1) // 2)
        stated = sympy.Poly(blocks * (x**2 - (3 + square) * x + 2 - square) ** (k - 1), x)
        seen = DomainMatrix(rows, (len(rows), len(rows)), QQ).charpoly()
        off = max(abs(Fraction(str(p)) - Fraction(str(q))) for p, q in zip(seen, stated.all_coeffs(), strict=True))
        return Comparison(off, 0, 0, "characteristic polynomial of 𝓛 minus the blocks', largest coefficient")
    operator = fo_maml_operator(*gaussian_head_moments(m * np.eye(k)[0], np.eye(k)))
    first = np.roots([1.0, -3 * (1 + m**2), 2 * (1 - m**2)])
    side = np.roots([1.0, -(3 + m**2), 2 - m**2])
    values = np.concatenate([first, np.repeat(side, k - 1), np.full(k * (k - 1) // 2, 2.0)])
    return compare_spectra(operator, values, implementation.eps, "power sums of 𝓛 minus those of the blocks' roots")


FO_MAML_SHIFTED = Claim(
    id="fo-maml-gaussian-identity",
    chapter=CHAPTER,
    statement=r"For heads $N(m e_1, I)$, any $k$, the truth is stable under FO-MAML (small steps) where $|m| < 1$ and "
    r"unstable where $|m| > 1$: $\mathcal{L}$ splits into a block "
    r"with determinant $2(1 - m^2)$, $k - 1$ blocks with determinant $2 - m^2$, all with positive trace, and "
    r"eigenvalues $2$.",
    source=own(),
    hypotheses=r"infinitely many tasks, heads from $N(m e_1, I)$; $w = 0$",
    expected=Verdict.EXACT,
    learners=(FO_MAML,),
    rests_on=("fo-maml-gaussian-parts",),
    proof=identity_covariance_proof,
    floats=shifted_laws,
    fractions=exact_shifted_laws,
    check=_shifted_check,
    examples=30,
)

CLAIMS = tuple(with_meaning(claim) for claim in (*GAUSSIAN_CLAIMS, FO_MAML_SHIFTED))
