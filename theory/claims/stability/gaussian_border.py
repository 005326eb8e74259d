"""Where the truth is stable under FO-MAML when the heads are Gaussian: exactly where μᵀΣ⁻¹μ < 1."""

from collections.abc import Callable
from fractions import Fraction

import numpy as np
from hypothesis import strategies as st

from metarep.sim.implementations import Implementation
from metarep.theory.claims.comparing import close
from metarep.theory.claims.rates.spectra import compare_spectra, power_sums
from metarep.theory.claims.record import Comparison, Example, Verdict, own
from metarep.theory.claims.stability import claim
from metarep.theory.claims.stability.gaussian import (
    GAUSSIAN,
    LARGEST_K,
    balanced_operator,
    gaussian_law,
    gaussian_laws,
    law_objects,
    of_gaussian_heads,
)
from metarep.theory.claims.strategies import Numbers, floats, fractions
from metarep.theory.dynamics.gaussian_heads import identity_covariance_proof, inertia_proof
from metarep.theory.dynamics.rates import fo_maml_operator, fo_maml_unstable_modes, gaussian_head_moments


def near_one(most: float, sides: tuple[int, ...] = (-1, 1)) -> st.SearchStrategy[float]:
    """Values of q at logarithmic distances of 1, from 0.001 to ``most``."""
    return st.tuples(st.sampled_from(sides), floats(-3.0, float(np.log10(most)))).map(
        lambda drawn: 1 + drawn[0] * float(10 ** drawn[1])
    )


def _real_parts(operator: np.ndarray) -> tuple[np.ndarray, float]:
    """Real parts of the eigenvalues, and how far rounding errors move these."""
    values, vectors = np.linalg.eig(operator)
    # Bauer and Fike: eigenvalues are off by eps‖𝓛‖ times the eigenvectors' condition, and never by more than the N-th
    # root says.
    condition = min(float(np.linalg.cond(vectors)), 1e12)
    return np.real(values), 8 * np.finfo(float).eps * len(operator) * float(np.linalg.norm(operator)) * condition


def _least_real_part(
    example: Example, fo_maml_operator: Callable, gaussian_head_moments: Callable
) -> tuple[float, float]:
    """(least real part of 𝓛's eigenvalues, the tolerance of that), both over |q − 1| λ_min(Σ), which is their size."""
    mean, covariance = gaussian_law(example)
    values, tolerance = _real_parts(balanced_operator(mean, covariance, fo_maml_operator, gaussian_head_moments))
    size = np.trace(covariance) + mean @ mean
    unit = abs(example["q"] - 1) * float(np.linalg.eigvalsh(covariance)[0]) / size
    return float(values.min()) / unit, tolerance / unit


@of_gaussian_heads(
    Verdict.SUPPORTED,
    kind="inequality",
    source=own("passivity of the eigenvalue equation"),
    rests_on="fo-maml-gaussian-characteristic",
    floats=lambda: gaussian_laws(near_one(0.95, (-1,)), decades=1.0),
    examples=80,
)
def fo_maml_gaussian_stable(
    example: Example,
    implementation: Implementation,
    *,
    fo_maml_operator=fo_maml_operator,
    gaussian_head_moments=gaussian_head_moments,
) -> Comparison:
    r"""For heads $N(\mu, \Sigma)$ with $\mu^\top\Sigma^{-1}\mu < 1$ all eigenvalues of $\mathcal{L}$ have positive real
    part: the truth is stable under FO-MAML, whatever $k$.

    Follows, for every $k$, from the characteristic equation: $1/\kappa + 10 + 8 g = 0$ has no solution with
    $\mathrm{Re}\, s \ge 0$, as $\kappa$ and $g$ have non-negative real part there. «stable»
    """
    least, tolerance = _least_real_part(example, fo_maml_operator, gaussian_head_moments)
    why = "1 − least real part of 𝓛's eigenvalues over |q − 1| λ_min(Σ)"
    return Comparison(1 - least, 1.0, tolerance, why, objects=law_objects(*gaussian_law(example)))


@of_gaussian_heads(
    Verdict.SUPPORTED,
    source=own("an indefinite Lyapunov form; inertia theorem of Ostrowski and Schneider 1962"),
    rests_on=("fo-maml-gaussian-parts", "fo-maml-gaussian-determinant"),
    floats=lambda: gaussian_laws(st.one_of(floats(1.05, 3.0), floats(0.05, 0.95))),
    proof=inertia_proof,
)
def fo_maml_gaussian_count(
    example: Example,
    implementation: Implementation,
    *,
    fo_maml_operator=fo_maml_operator,
    gaussian_head_moments=gaussian_head_moments,
    fo_maml_unstable_modes=fo_maml_unstable_modes,
) -> Comparison:
    r"""For heads $N(\mu, \Sigma)$ with $k\mu^\top\Sigma^{-1}\mu < 16$ exactly as many eigenvalues of $\mathcal{L}$ have
    negative real part as there are pairs $i \le j$ with $\delta_i + \delta_j < 0$, $\delta_i$ the eigenvalues of
    $\Sigma - \mu\mu^\top$ (none of which is zero). So for $k < 16$ the truth turns unstable exactly where
    $\mu^\top\Sigma^{-1}\mu$ exceeds $1$.

    «stable»
    """
    mean, covariance = gaussian_law(example)
    size2 = np.trace(covariance) + mean @ mean
    values, blur = _real_parts(balanced_operator(mean, covariance, fo_maml_operator, gaussian_head_moments))
    delta = np.linalg.eigvalsh(covariance - np.outer(mean, mean)) / size2
    rows, cols = np.triu_indices(example["k"])
    undecided = int(np.sum(np.abs(values) <= blur)) + int(
        np.sum(np.abs(delta[rows] + delta[cols]) <= 64 * np.finfo(float).eps)
    )
    seen = int(np.sum(values < -blur))
    predicted = fo_maml_unstable_modes(mean, covariance)
    why = f"{seen} unstable modes seen, {predicted} pairs; {undecided} too close to call"
    return close(seen, predicted, undecided, why, law_objects(mean, covariance), len(values))


@of_gaussian_heads(
    Verdict.SUPPORTED,
    kind="inequality",
    source=own(about="theorem-maml"),
    rests_on=("fo-maml-gaussian-stable", "fo-maml-gaussian-count"),
    floats=lambda: gaussian_laws(st.one_of(near_one(0.25), floats(1.25, 20.0)), decades=1.0),
    examples=120,
)
def fo_maml_gaussian(
    example: Example,
    implementation: Implementation,
    *,
    limit: float = 1.0,
    fo_maml_operator=fo_maml_operator,
    gaussian_head_moments=gaussian_head_moments,
) -> Comparison:
    r"""For heads $N(\mu, \Sigma)$ the truth is stable under FO-MAML (small steps) where $\mu^\top\Sigma^{-1}\mu < 1$
    and unstable where $\mu^\top\Sigma^{-1}\mu > 1$.

    Stability follows from the characteristic equation for every $k$. Instability follows from the count where
    $k\mu^\top\Sigma^{-1}\mu < 16$, and from the determinant's sign where the number of pairs with $\delta_i + \delta_j
    < 0$ is odd; elsewhere it is only seen. Complex eigenvalues do occur. «stable»
    """
    least, tolerance = _least_real_part(example, fo_maml_operator, gaussian_head_moments)
    return Comparison(
        1 - least if example["q"] < limit else 1 + least,
        1.0,
        tolerance,
        "1 − least real part of 𝓛's eigenvalues, over |q − 1| λ_min(Σ), where q is below the limit; 1 + it above",
        objects=law_objects(*gaussian_law(example)),
    )


@of_gaussian_heads(
    Verdict.SUPPORTED,
    given=GAUSSIAN + r", $k\mu^\top\Sigma^{-1}\mu$ beyond $16$ included",
    rests_on="fo-maml-gaussian-count",
    floats=lambda: gaussian_laws(floats(3.0, 200.0)),
)
def fo_maml_gaussian_many(
    example: Example,
    implementation: Implementation,
    *,
    fo_maml_operator=fo_maml_operator,
    gaussian_head_moments=gaussian_head_moments,
    fo_maml_unstable_modes=fo_maml_unstable_modes,
) -> Comparison:
    r"""The count of unstable modes for heads $N(\mu, \Sigma)$, pairs $i \le j$ with $\delta_i + \delta_j < 0$, holds
    for any $\mu^\top\Sigma^{-1}\mu$.

    Seen only: that no complex pair crosses the imaginary axis is argued where kμᵀΣ⁻¹μ < 16. «stable»
    """
    return fo_maml_gaussian_count(
        example,
        implementation,
        fo_maml_operator=fo_maml_operator,
        gaussian_head_moments=gaussian_head_moments,
        fo_maml_unstable_modes=fo_maml_unstable_modes,
    )


@st.composite
def shifted_laws(draw: st.DrawFn, numbers: Numbers) -> Example:
    """N(m e_1, I)."""
    return {"k": draw(st.integers(1, 4 if numbers is fractions else LARGEST_K)), "m": draw(numbers(0.0, 4.0))}


@claim(
    Verdict.EXACT,
    learners=["fo-maml"],
    rests_on="fo-maml-gaussian-parts",
    draws=shifted_laws,
    proof=identity_covariance_proof,
    examples=30,
)
def fo_maml_gaussian_identity(
    example: Example,
    implementation: Implementation,
    *,
    fo_maml_operator=fo_maml_operator,
    gaussian_head_moments=gaussian_head_moments,
) -> Comparison:
    r"""For heads $N(m e_1, I)$, any $k$, the truth is stable under FO-MAML (small steps) where $|m| < 1$ and unstable
    where $|m| > 1$: $\mathcal{L}$ splits into a block with determinant $2(1 - m^2)$, $k - 1$ blocks with determinant
    $2 - m^2$, all with positive trace, and eigenvalues $2$.

    Given: infinitely many tasks, heads from $N(m e_1, I)$; $w = 0$; examples: $k \le 4$ in fractions, $k \le 8$ in
    floats

    «stable»
    """
    k, m = example["k"], example["m"]
    unit = np.eye(k, dtype=int) * m**0
    operator = fo_maml_operator(*gaussian_head_moments(m * unit[0], unit))
    why = "power sums of 𝓛 minus those of the blocks' roots"
    if isinstance(m, Fraction):
        size = len(operator)
        blocks = [[3 * (1 + m**2), -2 * (1 - m**2)], [1, 0]], [[3 + m**2, m**2 - 2], [1, 0]]  # [[tr, −det], [1, 0]]
        first, side = (power_sums(np.array(block), size) for block in blocks)
        stated = first + (k - 1) * side + k * (k - 1) // 2 * 2 ** np.arange(1, size + 1)
        return close(power_sums(operator, size), stated, 0, why)
    first = np.roots([1.0, -3 * (1 + m**2), 2 * (1 - m**2)])
    side = np.roots([1.0, -(3 + m**2), 2 - m**2])
    values = np.concatenate([first, np.repeat(side, k - 1), np.full(k * (k - 1) // 2, 2.0)])
    return compare_spectra(operator, values, implementation.eps, why)
