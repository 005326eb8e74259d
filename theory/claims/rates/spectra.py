"""Spectra at the truth: of the linearisation on span and head, and of the whole step's Jacobian."""

from collections.abc import Iterator, Mapping
from fractions import Fraction
from functools import partial
from math import comb
from typing import Any

import numpy as np
from hypothesis import strategies as st

from metarep.sim.implementations import Implementation
from metarep.sim.learners import LEARNERS, META_LEARNERS, Learner
from metarep.theory.calculus import alphabet as a
from metarep.theory.calculus.proofs import Proof
from metarep.theory.calculus.words import Rule, gradient, letter, scalar_powers
from metarep.theory.claims.chapter import TITLES
from metarep.theory.claims.comparing import NOTHING, close, same
from metarep.theory.claims.derivatives import central_difference, difference_rounding, neighbourhood, neighbourhoods
from metarep.theory.claims.rates import claim
from metarep.theory.claims.rates.linearisation import ANY_HEAD, AT_TRUTH, NO_HEAD
from metarep.theory.claims.record import Comparison, Example, Verdict, own
from metarep.theory.claims.strategies import Entries, Numbers, Sizes, array, floats, fractions
from metarep.theory.dynamics.linearise import linearise, span_bases, span_head_matrix
from metarep.theory.dynamics.rates import local_spectrum


@st.composite
def heads_and_steps(
    draw: st.DrawFn, numbers: Numbers = floats, with_head: bool = False, largest_k: int = 99
) -> Example:
    """Any heads and step sizes, and a head h at the fixed point, for statements about the theory's own matrices.

    These have k(k + 1)/2 + k rows, so in fractions k is at most 3.
    """
    made = Entries(draw, numbers, Sizes(3, 1, 12) if numbers is fractions else None, units=(0,))
    k = made.k(most=largest_k)
    n = made.n()
    return {
        "k": k,
        "n": n,
        "alpha": made.number(1 / 8, 2.0),
        "beta": made.number(1 / 8, 1.0),
        "heads": made.heads(k, n),
        **({"h": made.vector(k)} if with_head else {}),
    }


def power_sums(matrix_: np.ndarray, most: int) -> np.ndarray:
    """tr G, tr G², ..., tr G^most: by Newton's identities they determine the eigenvalues with their multiplicities."""
    sums, power = [], np.eye(len(matrix_), dtype=int)
    for _ in range(most):
        power = power @ matrix_
        sums.append(np.trace(power))
    return np.array(sums)


def sums_of_powers(values: np.ndarray, most: int) -> np.ndarray:
    """Σ v, Σ v², ..., Σ v^most."""
    return np.array([np.sum(values**p) for p in range(1, most + 1)])


def compare_spectra(
    matrix_: np.ndarray,
    values: np.ndarray,
    eps: float,
    why: str,
    size: float | None = None,
    objects: Mapping[str, Any] = NOTHING,
) -> Comparison:
    """Compare a matrix's spectrum with predicted eigenvalues through power sums, which unlike eigenvalues are well
    conditioned.

    Divided by ‖G‖_F^p, the p-th power sum of an N×N matrix collects about p·N rounding errors of an entry's size each.
    """
    N = len(matrix_)
    norm = float(np.linalg.norm(matrix_)) if size is None else size
    if norm == 0:
        return close(0 * values, values, 0, why, objects)
    seen, predicted = power_sums(matrix_ / norm, N), sums_of_powers(values / norm, N)
    return close(seen, predicted, 8 * eps * N**2, why, objects)


def _pair_sums(K: np.ndarray, most: int) -> np.ndarray:
    """Power sums of κ_i + κ_j, i ≤ j, for the eigenvalues κ of a matrix: from its traces, so exact for fractions."""
    traces = [len(K), *power_sums(K, most)]
    return np.array(
        [
            (sum(comb(p, q) * traces[q] * traces[p - q] for q in range(p + 1)) + 2**p * traces[p]) / 2
            for p in range(1, most + 1)
        ]
    )


_x, _y, _K = letter("x", "s", "1", "x", "x"), letter("y", "s", "1", "y", "y"), letter("K", "s", "s", "K", "K")
_EIGENVECTORS = (Rule("K'", "x", "x", scalar_powers(c=1)), Rule("K'", "y", "y", scalar_powers(c=2)))
"""Kᵀx = c x, Kᵀy = c² y. An equation that is affine in each of two eigenvalues and holds for c and c² holds for any
two, since 1, c and c² are independent polynomials.
"""


def _span_spectrum_proof(proof: Proof, learner: Learner) -> None:
    """S⁺ = S − f αβ(SK + KᵀS), K as words under an average over tasks, and what it makes of xyᵀ + yxᵀ."""
    miss = a.h - a.w_star
    factor, heads = (1, -miss * a.w_star.T) if learner.first_order else (2, miss * miss.T)
    moved = a.S - (a.S * _K + _K.T * a.S).scaled(factor, alpha=1, beta=1)
    with_heads = proof.substituted("K, the matrix of the heads, into S⁺", moved.substitute({"K": heads}))
    proof.equal("S⁺ as derived and through K", linearise(learner, True).S, with_heads)
    mode = _x * _y.T + _y * _x.T
    at_mode = proof.substituted("S = xyᵀ + yxᵀ with eigenvectors of Kᵀ to c and c²", moved.substitute({"S": mode}))
    at_mode = proof.rewritten(at_mode, "Kᵀx = c x, Kᵀy = c² y", *_EIGENVECTORS)
    rates = mode.scaled(factor, alpha=1, beta=1, c=1) + mode.scaled(factor, alpha=1, beta=1, c=2)
    proof.equal("S⁺ and the mode times its eigenvalue", at_mode, mode - rates)


_MATRICES = {
    "fo-anil": {"K'": r"K^\top", "K": r"\Psi_* - (Mw)\bar w_*^\top", "factor": "", "or": r" (at $w = 0$: $\Psi_*$)"},
    "anil": {"K'": "K", "K": r"\frac{1}{n}\sum_i (Mw - w_{*,i})(Mw - w_{*,i})^\top", "factor": "2", "or": ""},
}


@claim(
    Verdict.PROVED,
    source=own("eigenvectors of the linearisation"),
    given=AT_TRUTH + ANY_HEAD,
    each=("fo-anil", "anil"),
    words=lambda learner: _MATRICES[learner.name],
    rests_on="span-rate-«name»",
    draws=partial(heads_and_steps, with_head=True),
    proof=_span_spectrum_proof,
    examples=40,
)
def span_spectrum(
    example: Example, implementation: Implementation, learner: Learner, *, span_head_matrix=span_head_matrix
) -> Comparison:
    r"""Let $«K'» x = a x$ and $«K'» y = b y$ with $K = «K»$«or». «title»'s linearisation multiplies $S = x y^\top + y
    x^\top$ by $1 - «factor»\alpha\beta(a + b)$.

    So, with $a_j$ the eigenvalues of $K$, those of the linearisation on the span are $1 - \alpha\beta(a_i + a_j)$
    (twice that for Exact ANIL), $i \le j$, and $1$ on the head: the matrices $xy^\top + yx^\top$ span the symmetric
    ones where $K$ is diagonalisable, and eigenvalues are continuous. The examples, exact ones included, check the whole
    spectrum, multiplicities and all, through its power sums.
    """
    heads, head = array(example["heads"]), array(example["h"])
    alpha, beta, k = example["alpha"], example["beta"], example["k"]
    G = span_head_matrix(learner, heads, alpha, beta, head)
    rate = (np.eye(len(G), dtype=int) - G) / (alpha * beta)
    misses = heads - head[:, None]
    K = misses @ (heads if learner.first_order else 2 * misses).T / example["n"]
    why = "power sums of the linearisation minus those predicted"
    if G.dtype == object:
        return close(power_sums(rate, len(G)), _pair_sums(K, len(G)), 0, why)
    values = np.linalg.eigvals(K) if learner.first_order else np.linalg.eigvalsh(K)
    rows, cols = np.triu_indices(k)
    # αβ was subtracted from 1 and divided out again: rounding errors of size 1/(αβ) stand beside those of ‖G‖, and so
    # do those of cancelling parts, (‖h‖ + largest head)². Eigenvalues of the k×k matrix may be ill conditioned; their
    # power sums are not.
    cancelling = float(np.abs(heads).max() + np.abs(head).max()) ** 2 * k**2
    size = float(np.linalg.norm(rate)) + cancelling + 1 / (alpha * beta)
    predicted = np.concatenate([values[rows] + values[cols], np.zeros(k)])
    return compare_spectra(rate, predicted, implementation.eps, why, size)


_S_other = letter("S_other", "s", "s", "S'", "S'", symmetry=1)


def _energy_proof(proof: Proof) -> None:
    """The operator as D times the gradient of a sum of squares, word by word."""
    derived = linearise(LEARNERS["maml"])
    miss = a.S * a.w_star - (a.omega.T * a.w_star) * a.w_star
    energy = proof.expanded("½‖Sw_i − (ωᵀw_i)w_i‖²", (miss.T * miss) * Fraction(1, 2))
    along = miss.T * (_S_other * a.w_star)
    proof.equal("the energy's derivative along S', the trace of S' miss w_iᵀ", energy.polarise({"S": "S_other"}), along)
    pulled = miss * a.w_star.T
    proof.equal("S⁺ = S − 4αβ ∇_S", derived.S, a.S - (pulled + pulled.T).scaled(2, alpha=1, beta=1))
    slope = gradient(energy, "omega")
    proof.equal("ω⁺ = ω − α³β ∇_ω", derived.omega, a.omega - slope.scaled(alpha=3, beta=1))


@claim(
    Verdict.PROVED,
    given=AT_TRUTH + NO_HEAD,
    learners=["maml"],
    rests_on="span-rate-maml",
    draws=heads_and_steps,
    proof=_energy_proof,
    examples=40,
)
def span_spectrum_maml(
    example: Example, implementation: Implementation, *, span_head_matrix=span_head_matrix
) -> Comparison:
    r"""Exact MAML at $w = 0$ descends an energy: $(S, \omega)^+ = (S - 4\alpha\beta\nabla_S,
    \omega - \alpha^3\beta\nabla_\omega)$ with gradients of $\frac{1}{2n}\sum_i \|S w_{*,i} - (\omega^\top w_{*,i})
    w_{*,i}\|^2$.

    So the operator is symmetrisable and positive semidefinite, and singular iff some $(S, \omega) \ne 0$ has $S
    w_{*,i} = (\omega^\top w_{*,i}) w_{*,i}$ for all $i$. A gradient by a symmetric S is the symmetric part of the
    gradient by a free one; its metric is the Frobenius inner product.
    """
    heads, alpha, (k, n) = array(example["heads"]), example["alpha"], np.shape(example["heads"])
    G = span_head_matrix(LEARNERS["maml"], heads, alpha, 1)
    misses = []  # Sw_i − (ωᵀw_i)w_i for (S, ω) in the basis, and in its dual
    for spans in span_bases(k, heads.dtype == object):
        on_head = -np.einsum("bn,an->bna", heads, heads)
        misses.append(np.concatenate([np.einsum("xab,bn->xna", spans, heads), on_head]).reshape(len(G), n * k))
    weights = np.array([4] * (len(G) - k) + [alpha**2] * k)
    # The operator is (1 − G)/α, so rounding errors of 1/α stand beside those of its own entries, at most k² times
    # 4(m_2 + m_3) + α²(m_3 + m_4).
    r = float(np.abs(heads).max(initial=0))
    size = 1 / alpha + k**2 * (4 * (r**2 + r**3) + alpha**2 * (r**3 + r**4))
    return same(
        (np.eye(len(G), dtype=int) - G) / alpha,
        weights[:, None] * (misses[1] @ misses[0].T) / n,
        size,
        implementation.eps,
        "the operator minus D FᵀF, largest entry",
    )


JACOBIANS = Sizes(4, 16, 50)
"""The largest sizes of the Jacobians, which have (d + 1)k rows and take twelve steps for each."""


@claim(
    Verdict.SUPPORTED,
    given=AT_TRUTH + NO_HEAD,
    learners=META_LEARNERS,
    exercises="step",
    rests_on=[
        *(f"local-rate-{name}" for name in META_LEARNERS),
        *(f"span-rate-{name}" for name in META_LEARNERS),
        "rotation-neutral",
    ],
    floats=partial(neighbourhoods, most=JACOBIANS),
    examples=25,
)
def jacobian_spectrum(
    example: Example, implementation: Implementation, *, local_spectrum=local_spectrum
) -> Iterator[Comparison]:
    r"""The Jacobian of one outer step at the truth with $w = 0$ has the eigenvalues $1 - \alpha\beta\lambda_j$, each
    $d - k$ times, $1$ for the $\frac{k(k-1)}{2}$ rotations, and those of the linearisation on $(S, \omega)$, for all
    four learners.

    Compared through the traces of the Jacobian's powers, which determine its spectrum and, unlike eigenvalues, are well
    conditioned.
    """
    at, d, k = neighbourhood(example).at, example["d"], example["k"]
    size, rate = d * k + k, at.alpha * at.beta
    dB = np.concatenate([np.eye(d * k).reshape(-1, d, k), np.zeros((k, d, k))])
    dw = np.concatenate([np.zeros((d * k, k)), np.eye(k)])
    # ω = α²Mδw: a change of variables in which the Jacobian is balanced is a similarity and leaves its spectrum alone.
    for name in META_LEARNERS:
        learner = LEARNERS[name]
        next_B, next_w = central_difference(implementation, learner, at, dB, dw)
        jacobian = np.concatenate([next_B.reshape(size, -1), next_w], axis=1).T
        spectrum = local_spectrum(learner, at.heads, at.alpha, at.beta)
        rotations = np.ones(k * (k - 1) // 2)
        values = np.concatenate([np.repeat(spectrum.perpendicular, d - k), spectrum.span_head, rotations])
        G = (np.eye(size) - jacobian) / rate
        rounding = difference_rounding(learner, at, dB, dw, implementation.eps) / rate
        # Entries of G are off by `rounding`; divided by ‖G‖ the p-th power sum is off by p·N times the relative error.
        # The predicted eigenvalues come from a matrix of their own with errors eps/rate, and a defective pair's errors
        # cancel in the sum to first order.
        norm = float(np.linalg.norm(G)) + 1
        sides = power_sums(G / norm, size), sums_of_powers((1 - values) / rate / norm, size)
        tolerance = size**2 * (rounding + 8 * implementation.eps / rate * (1 + 1 / rate**0.5)) / norm
        why = f"power sums of {TITLES[name]}'s Jacobian minus those predicted"
        yield close(*sides, tolerance, why, at.objects)
