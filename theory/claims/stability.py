"""Claims about stability: for which heads and step sizes the truth attracts, and what FO-MAML does elsewhere."""

from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import sympy
from hypothesis import strategies as st
from sympy import QQ, QQ_I
from sympy.polys.matrices import DomainMatrix

from sim.implementations import Implementation
from sim.learners import Learner, get_learner
from sim.problems import FixedTasks, Problem, gaussian_heads, make_problem
from sim.trajectories import run
from theory import alphabet as a
from theory.claims.comparing import largest, run_together, same
from theory.claims.derivatives import central_difference, difference_rounding
from theory.claims.rates import AT_TRUTH, NO_HEAD, compare_spectra, heads_and_steps
from theory.claims.record import Check, Claim, Comparison, Instance, Measurement, Verdict, own
from theory.claims.strategies import (
    Numbers,
    StepArrays,
    array,
    floats,
    fractions,
    matrix,
    reflected_identity,
    reflections,
    vector,
)
from theory.derive import task_gradients
from theory.gaussian_heads import (
    determinant_proof,
    identity_covariance_proof,
    inertia_proof,
    one_dimensional_proof,
    parts_proof,
    stability_proof,
)
from theory.gaussian_heads import operator as operator_words
from theory.linearise import (
    integer_basis,
    linearise,
    on_span_and_head,
    span_head_matrix,
    stated_linearisation,
    symmetric_basis,
)
from theory.proofs import Proof
from theory.rates import (
    HeadMoments,
    fo_maml_operator,
    fo_maml_unstable_modes,
    gaussian_head_moments,
    local_spectrum,
    step_size_threshold,
    third_moment,
)
from theory.structure import PERPENDICULAR, TRUTH
from theory.words import SCALARS, Poly, Rule, zero

CHAPTER = "Stability of the truth"
FO_MAML = "fo-maml"


def _operator(heads: np.ndarray) -> np.ndarray:
    moments = HeadMoments.of(heads)
    return fo_maml_operator(moments.mean, moments.second, third_moment(heads))


# ----------------------------------------------------------------------------------------------- trajectories near
# the truth


def perturbation(eps: float) -> float:
    """Size of a perturbation of the truth: second-order effects are this large relatively, rounding errors eps divided
    by it. In float64 1e-7 and 2e-9; in coarser arithmetic both are √eps.
    """
    return max(1e-7, eps**0.5)


def follow(
    learner: Learner,
    heads: np.ndarray,
    alpha: float,
    beta: float,
    start: np.ndarray,
    steps: int,
    implementation: Implementation,
    h: np.ndarray | None = None,
) -> np.ndarray:
    """(S, ω) in the orthonormal basis after ``steps`` outer steps from the truth moved by a perturbation times start,
    divided by the perturbation.

    With B_{*⊥}ᵀB = 0 and M = I/√α. ``start`` has k(k+1)/2 + k entries, ``h`` is the head at the fixed point.
    """
    k = heads.shape[0]
    small = perturbation(implementation.eps)
    basis = symmetric_basis(k)
    S = np.tensordot(small * start[: len(basis)], basis, axes=1)
    B = np.concatenate(
        [(np.eye(k) - S / 2) / np.sqrt(alpha), np.zeros((1, k))]
    )  # one spare dimension, which stays empty
    w_fixed = np.sqrt(alpha) * (np.zeros(k) if h is None else h)
    w = w_fixed + small * start[len(basis) :] / alpha**1.5
    problem = Problem(k + 1, np.eye(k + 1, k), FixedTasks(heads), B, w, heads.shape[1])
    end = run(learner, problem, alpha, beta, steps, implementation=implementation, record_every=steps)
    gram = alpha * (end.B[:k] @ end.B[:k].T)
    S_end = np.tensordot(basis, np.eye(k) - gram, axes=((1, 2), (0, 1)))
    # δw = Mᵀω/α² · α^{1/2}..., taken back through the rotation that B has made: M_end = B[:k] up to order S.
    turned = np.sqrt(alpha) * end.B[:k] @ end.w - (w_fixed if h is None else np.sqrt(alpha) * end.B[:k] @ w_fixed)
    return np.concatenate([S_end, alpha**1.5 * turned]) / small


def _growth_comparison(ratio: float, grows: bool, why: str, tolerance: float) -> Comparison:
    """The factor by which a perturbation grew must be above 1 (``grows``) or at most 1."""
    value = 1 / ratio if grows and ratio > 0 else ratio
    return Comparison(value, 1.0, tolerance, why)


# -------------------------------------------------------------------------------------------------------- step-size
# thresholds


@st.composite
def step_sizes_at_threshold(draw: st.DrawFn) -> Instance:
    """Heads, α, and αβL_*² as a share of a threshold, on either side of it, and a perturbation of the span."""
    k = draw(st.integers(1, 3))
    n = draw(st.integers(1, 4))
    heads = draw(matrix(floats, k, n))
    heads[0][0] = draw(floats(0.5, 2.0))  # not all zero
    return {
        "k": k,
        "n": n,
        "alpha": draw(floats(0.25, 2.0)),
        "share": draw(st.one_of(floats(0.05, 0.98), floats(1.02, 1.25))),
        "heads": heads,
        "S": draw(matrix(floats, k, k)),
    }


THRESHOLD_STEPS = 6


def threshold_check(name: str, threshold: float | None = None) -> Check:
    """Whether a perturbation of the span grows beyond αβL_*² = threshold (the theory's unless given) and not below
    it.
    """
    learner = get_learner(name)
    limit = step_size_threshold(learner) if threshold is None else threshold
    assert limit is not None

    def check(instance: Instance, implementation: Implementation) -> Comparison:
        heads, alpha, k = array(instance["heads"]), instance["alpha"], instance["k"]
        Psi = heads @ heads.T / instance["n"]
        values, vectors = np.linalg.eigh(Psi)
        beta = limit * instance["share"] / (alpha * values[-1])
        grows = instance["share"] > 1
        top = np.outer(vectors[:, -1], vectors[:, -1])
        S = top if grows else top + array(instance["S"]) + array(instance["S"]).T
        start = np.concatenate([np.tensordot(symmetric_basis(k), S, axes=((1, 2), (0, 1))), np.zeros(k)])
        end = follow(learner, heads, alpha, beta, start, THRESHOLD_STEPS, implementation)
        size = k * (k + 1) // 2
        ratio = float(np.linalg.norm(end[:size]) / np.linalg.norm(start[:size]))
        # Second order: the perturbation times ‖S‖ ≤ 13, and rounding, eps over it, in each of the steps, with the
        # words' coefficients (some 10) and (αβL_*²) ≤ 1.25. At 2 % from the threshold the factor |1 − 2·share|
        # differs from 1 by 4 %, far more; below it the step does not expand any S.
        scale = 1 + float(np.abs(S).max()) * k
        small = perturbation(implementation.eps)
        tolerance = (small + implementation.eps / small) * scale * 32 * THRESHOLD_STEPS
        return _growth_comparison(ratio, grows, "growth of the span (its inverse beyond the threshold)", tolerance)

    return check


def _threshold_claim(name: str, title: str, limit: str) -> Claim:
    return Claim(
        id=f"threshold-{name}",
        chapter=CHAPTER,
        statement=rf"At $w = 0$ the truth is stable for {title} if and only if $\alpha\beta L_*^2 < {limit}$: "
        "below it no perturbation of the span grows, above it the one along the top eigenvector does "
        "(at equality it keeps its size). Checked from 2 % off on either side.",
        source=own("the spectrum of the linearisation"),
        hypotheses=AT_TRUTH + NO_HEAD,
        expected=Verdict.SUPPORTED,
        kind="inequality",
        learners=(name,),
        needs=frozenset({"step"}),
        rests_on=(f"span-spectrum-{name}", f"local-rate-{name}"),
        instances=step_sizes_at_threshold,
        check=threshold_check(name),
        examples=60,
        remark="Follows from the proved spectrum, whose extreme eigenvalue is that of i = j = 1; here it is seen on "
        "both sides in trajectories "
        "that start 1e-7 beside the truth.",
    )


def _maml_threshold_check(instance: Instance, implementation: Implementation) -> Comparison:
    heads, alpha, beta = array(instance["heads"]), instance["alpha"], instance["beta"]
    top = HeadMoments.of(heads).L ** 2
    G = span_head_matrix(get_learner("maml"), heads, alpha, beta)
    k = instance["k"]
    scale = np.concatenate([np.full(k * (k + 1) // 2, 0.5), np.full(k, 1 / alpha)])
    symmetric = scale[:, None] * G / scale  # proved symmetric: D^{-1/2} G D^{1/2} with D = diag(4, α²)
    least = float(np.linalg.eigvalsh((symmetric + symmetric.T) / 2)[0])
    bound = 1 - 4 * alpha * beta * top
    size = 1 + float(np.linalg.norm(symmetric))
    why = "1 + (least eigenvalue − (1 − 4αβL_*²))/(1 + ‖G‖)"
    return Comparison(1 + (least - bound) / size, 1.0, 16 * implementation.eps * len(G), why)


MAML_THRESHOLD = Claim(
    id="threshold-maml",
    chapter=CHAPTER,
    statement=(
        r"For Exact MAML at $w = 0$ the linearisation has an eigenvalue of at most $1 - 4\alpha\beta L_*^2$: "
        r"stability needs $\alpha\beta L_*^2 \le \frac{1}{2}$."
    ),
    source=own("the Rayleigh quotient of the energy along the top eigenvector"),
    hypotheses=AT_TRUTH + NO_HEAD,
    expected=Verdict.SUPPORTED,
    kind="inequality",
    learners=("maml",),
    rests_on=("span-spectrum-maml",),
    instances=heads_and_steps,
    check=_maml_threshold_check,
    examples=50,
    remark="Follows from the proved energy: its Rayleigh quotient at S = uuᵀ, u the top eigenvector, is 4L_*². More "
    "can be needed: the head's curvature "
    "grows with the fourth moments.",
)


# ----------------------------------------------------------------------------------------------------------
# FO-ANIL, large head


@st.composite
def scalar_heads(draw: st.DrawFn) -> Instance:
    """k = 1: heads of the same or of different sign, a head h, step sizes with αβm_2 at most ½."""
    n = draw(st.integers(1, 4))
    heads = draw(vector(floats, n))
    heads[0] = draw(floats(0.5, 2.0))
    return {
        "k": 1,
        "n": n,
        "alpha": draw(floats(0.25, 2.0)),
        "alpha beta m_2": draw(floats(1 / 32, 0.4)),
        "heads": [heads],
        "h": [draw(floats(-3.0, 3.0))],
    }


LARGE_HEAD_STEPS = 8


def _large_head_check(instance: Instance, implementation: Implementation) -> Comparison:
    heads, h, alpha = array(instance["heads"]), np.array(instance["h"]), instance["alpha"]
    m_1, m_2 = float(heads.mean()), float((heads**2).mean())
    beta = instance["alpha beta m_2"] / (alpha * m_2)
    end = follow(get_learner("fo-anil"), heads, alpha, beta, np.array([1.0, 0.0]), LARGE_HEAD_STEPS, implementation, h)
    factor = 1 - 2 * alpha * beta * (m_2 - float(h[0]) * m_1)
    predicted = factor**LARGE_HEAD_STEPS
    # Second order in S: relatively the perturbation × (the sizes that the linear terms have, |h m_1| and m_2, times
    # αβ, and their squares) in each step, and as much again through the head's drift, the perturbation ×
    # αβ(|m_1| + |h|); whatever is made in one step grows like the rest, at most by the largest factor.
    rate = alpha * beta * (m_2 + abs(float(h[0])) * (abs(m_1) + abs(float(h[0])) + 1))
    reach = max(1.0, abs(factor)) ** (2 * LARGE_HEAD_STEPS)
    small = perturbation(implementation.eps)
    tolerance = (
        (64 * small + 64 * implementation.eps / small)
        * LARGE_HEAD_STEPS
        * (1 + rate) ** 2
        * reach
        * (1 + abs(float(h[0])))
    )
    return Comparison(
        abs(float(end[0]) - predicted), 0, tolerance, "span after eight steps minus (1 − 2αβ(m_2 − Mw m_1))^8"
    )


FO_ANIL_LARGE_HEAD = Claim(
    id="fo-anil-large-head",
    chapter=CHAPTER,
    statement=r"FO-ANIL's fixed points with a large head are unstable: for $k = 1$ the span grows by $1 - "
    r"2\alpha\beta(m_2 - Mw\, m_1)$ a step, "
    r"$m_j$ the heads' moments, so the fixed point is unstable where $Mw\, m_1 > m_2$. Heads 1 and 2, $Mw = 2$, "
    r"$\alpha = \beta = 0.1$: growth 1.01.",
    source=own("the spectrum of the linearisation"),
    hypotheses=r"$k = 1$, fixed tasks, $\alpha\beta m_2 \le 0.4$",
    expected=Verdict.SUPPORTED,
    learners=("fo-anil",),
    needs=frozenset({"step"}),
    rests_on=("span-spectrum-fo-anil",),
    instances=scalar_heads,
    check=_large_head_check,
    examples=60,
)


# -----------------------------------------------------------------------------------------------------------
# FO-MAML's operator 𝓛


def _operator_proof() -> Proof:
    proof = Proof()
    learner = get_learner(FO_MAML)
    derived = linearise(learner)
    span, deviation, _ = stated_linearisation(learner).expand()
    third = (a.omega.T * a.w_star) * a.w_star * a.w_star.T
    second = a.w_star * a.w_star.T
    on_span = a.S * second + second * a.S - third * 2
    on_head = second * a.omega - a.S * a.w_star
    proof.equal("S⁺ as derived and S − αβ(SΨ_* + Ψ_*S − 2T(ω))", derived.S, a.S - on_span.scaled(alpha=1, beta=1))
    proof.equal("ω⁺ as derived and ω − αβ(Ψ_*ω − Sw̄_*)", derived.omega, a.omega - on_head.scaled(alpha=1, beta=1))
    proof.equal("the same as stated for the rates, S⁺", span, derived.S)
    proof.equal("the same as stated for the rates, ω⁺", deviation, derived.omega)
    return proof


def _applied(heads: np.ndarray) -> np.ndarray:
    """𝓛 by its formula, on each of the basis matrices and vectors; fractions."""
    k, n = heads.shape
    mean, second = heads.sum(-1) / n, heads @ heads.T / n
    span = [S @ second + second @ S for S in integer_basis(k)]
    span += [-2 * (heads * heads[i]) @ heads.T / n for i in range(k)]  # −2T(e_i)
    head = [-(S @ mean) for S in integer_basis(k)] + list(second)
    return np.concatenate([np.array(span)[:, *np.triu_indices(k)], np.array(head)], axis=1).T


def _operator_check(instance: Instance, implementation: Implementation) -> Comparison:
    heads, alpha, beta = array(instance["heads"]), instance["alpha"], instance["beta"]
    G = span_head_matrix(get_learner(FO_MAML), heads, alpha, beta)
    if heads.dtype == object:
        off = G - np.eye(len(G), dtype=int) + alpha * beta * _applied(heads)
        return Comparison(largest(off), 0, 0, "G − (1 − αβ𝓛), largest entry")
    stated = np.eye(len(G)) - alpha * beta * _operator(heads)
    k, r = instance["k"], float(np.abs(heads).max(initial=0.0))
    return same(
        G, stated, 1 + 2 * alpha * beta * k**2 * (r + r**2 + r**3), implementation.eps, "G − (1 − αβ𝓛), largest entry"
    )


FO_MAML_OPERATOR = Claim(
    id="fo-maml-operator",
    chapter=CHAPTER,
    statement=r"Near the truth FO-MAML's step is $(S, \omega)^+ = (S, \omega) - \alpha\beta\mathcal{L}(S, \omega)$ "
    "with "
    r"$\mathcal{L}(S, \omega) = "
    r"(S\Psi_* + \Psi_* S - 2T(\omega), \Psi_*\omega - S\bar w_*)$: the head hears the span through the heads' "
    r"mean, the span hears the head through their third "
    r"moments. For small steps the truth is stable if the eigenvalues of $\mathcal{L}$ that are not zero have positive "
    r"real part, and unstable if one has a negative real part.",
    source=own("the derived step differentiated at the truth"),
    hypotheses=AT_TRUTH + NO_HEAD,
    expected=Verdict.PROVED,
    learners=(FO_MAML,),
    rests_on=("span-rate-fo-maml",),
    proof=_operator_proof,
    instances=heads_and_steps,
    rationals=lambda: heads_and_steps(largest_k=3, numbers=fractions),
    check=_operator_check,
    examples=40,
    remark=r"For $n \le k$ one eigenvalue of $\mathcal{L}$ is always zero: verdicts need a tolerance.",
)


def _scalar_check(instance: Instance, implementation: Implementation) -> Comparison:
    heads = array(instance["heads"])
    if heads.dtype == object:
        n = instance["n"]
        m_1, m_2, m_3 = ((heads**j).sum() / n for j in (1, 2, 3))
        (p, q), (r, s) = _applied(heads)
        pairs = np.subtract.outer(heads[0], heads[0]) ** 2 * np.outer(heads[0], heads[0])
        off = [p + s - 3 * m_2, p * s - q * r - 2 * (m_2**2 - m_1 * m_3), m_1 * m_3 - m_2**2 - pairs.sum() / (2 * n**2)]
        return Comparison(max(map(abs, off)), 0, 0, "trace, determinant and m_1m_3 − m_2² minus what is said of them")
    m_1, m_2, m_3 = (float((heads**j).mean()) for j in (1, 2, 3))
    values = np.roots([1.0, -3 * m_2, 2 * (m_2**2 - m_1 * m_3)])
    return compare_spectra(_operator(heads), values, implementation.eps, "power sums of 𝓛 minus those of the roots")


FO_MAML_SCALAR = Claim(
    id="fo-maml-scalar",
    chapter=CHAPTER,
    statement=r"For $k = 1$ $\mathcal{L}$ has trace $3 m_2$ and determinant $2(m_2^2 - m_1 m_3)$, $m_j$ the heads' "
    r"$j$-th moments, and $m_1 m_3 - m_2^2$ is half the average over pairs of tasks of $w_i w_j (w_i - w_j)^2$. So the "
    r"truth is stable under FO-MAML (small steps) if and only if $m_2^2 > m_1 m_3$: not for heads of one sign that are "
    r"not all equal; for heads $N(\mu, \sigma^2)$ if and only if $\mu^2 < \sigma^2$.",
    source=own("two eigenvalues with a positive sum; an average over pairs"),
    hypotheses=r"$k = 1$, fixed tasks, heads not all zero, $w = 0$",
    expected=Verdict.PROVED,
    learners=(FO_MAML,),
    rests_on=("fo-maml-operator",),
    proof=one_dimensional_proof,
    instances=scalar_heads,
    rationals=lambda: heads_and_steps(largest_k=1, numbers=fractions),
    check=_scalar_check,
    examples=40,
)


# ----------------------------------------------------------------------------------------------- FO-MAML: examples
# and boundary


def _two_heads(implementation: Implementation, seed: int, effort: float) -> Measurement:
    rng = np.random.default_rng(0)  # d = 2, k = 1: the start is determined but for signs
    start = make_problem(2, 1, 2, 0.1, rng, dist0=0.6)
    B0 = np.abs(start.B0)
    problem = Problem(2, start.B_star, FixedTasks(np.array([[1.0, 2.0]])), B0, start.w0, 2)
    seen = run(get_learner(FO_MAML), problem, 0.1, 0.1, 6000, implementation=implementation)
    at = int(seen.diverged_at)
    least = float(np.nanmin(seen.dist))
    fine = at > 0 and least < 1e-25
    why = (
        f"diverged at step {at}, when dist had fallen to {least:.1e}"
        if at > 0
        else f"did not diverge in 6000 steps; least dist {least:.1e}"
    )
    return Measurement(
        float(at), 0.0, 1, why, {"least dist": least, "seed": seed, "effort": effort}, consistent=bool(fine)
    )


FO_MAML_TWO_HEADS = Claim(
    id="fo-maml-two-heads",
    chapter=CHAPTER,
    statement=r"FO-MAML with the two tasks' heads 1 and 2 ($k = 1$, $\alpha = \beta = 0.1$, balanced start at "
    r"$\mathrm{dist}_0 = 0.6$, $w_0 = 0$) blows up after its "
    r"$\mathrm{dist}$ has fallen below $10^{-25}$.",
    source=own(),
    hypotheses="as stated; one trajectory, no randomness",
    expected=Verdict.MEASURED,
    kind="measurement",
    learners=(FO_MAML,),
    needs=frozenset({"step", "distance"}),
    rests_on=("fo-maml-scalar",),
    measure=_two_heads,
    examples=1,
    remark=(
        "The step of the blow-up depends on rounding only weakly: the unstable mode is excited by the square of the "
        "perpendicular part."
    ),
)


@st.composite
def heads_near_boundary(draw: st.DrawFn) -> Instance:
    """Heads X + t·(mean direction) with X of mean zero: k, n ≥ k + 2, and how far t is from where 𝓛 turns unstable."""
    k = draw(st.integers(1, 2))
    n = draw(st.integers(k + 2, k + 4))
    return {
        "k": k,
        "n": n,
        "alpha": draw(floats(0.25, 1.0)),
        "alpha beta L^2": draw(floats(0.1, 0.3)),
        "heads": draw(matrix(floats, k, n, 0.25)),
        "direction": draw(matrix(floats, 1, k))[0],
        "share": draw(st.sampled_from([0.7, 0.8, 0.9, 1.1, 1.2, 1.4])),
    }


def _spread_heads(instance: Instance) -> tuple[np.ndarray, np.ndarray]:
    """Mean-zero heads that span all directions (a fixed regular part plus the drawn one), and a non-zero mean
    direction.
    """
    k, n = instance["k"], instance["n"]
    turn = 2 * np.pi * np.outer(np.arange(1, k + 1), np.arange(n)) / n
    heads = np.cos(turn + 0.3) + array(instance["heads"])
    direction = np.array(instance["direction"]) + 0.0
    direction[0] = 1.0
    return heads - heads.mean(-1, keepdims=True), direction


def _boundary(spread: np.ndarray, direction: np.ndarray) -> float:
    """The t at which heads spread + t·direction first turn unstable (by bisection between a stable and an unstable
    t).
    """

    def least(t: float) -> float:
        return float(np.real(np.linalg.eigvals(_operator(spread + t * direction[:, None]))).min())

    low, high = 0.0, 0.125
    while least(high) > 0 and high < 1e3:
        low, high = high, 1.25 * high
    for _ in range(30):
        middle = (low + high) / 2
        low, high = (middle, high) if least(middle) > 0 else (low, middle)
    return high


def _boundary_check(instance: Instance, implementation: Implementation) -> Comparison:
    spread, direction = _spread_heads(instance)
    heads = spread + instance["share"] * _boundary(spread, direction) * direction[:, None]
    alpha = instance["alpha"]
    beta = instance["alpha beta L^2"] / (alpha * HeadMoments.of(heads).L ** 2)
    operator = _operator(heads)
    values, vectors = np.linalg.eig(operator)
    critical = int(np.argmin(np.real(values)))
    grows = bool(np.real(values[critical]) < 0)
    start = np.real(vectors[:, critical])
    start = start / np.linalg.norm(start)
    step = np.eye(len(operator)) - alpha * beta * operator
    growth = abs(1 - alpha * beta * values[critical])
    steps = int(np.clip(1.5 / abs(np.log(growth)), 5, 400))
    predicted = np.linalg.matrix_power(step, steps) @ start
    end = follow(get_learner(FO_MAML), heads, alpha, beta, start, steps, implementation)
    # What has to be seen is growth beyond 1 or decay below it; the margin is how far. It is compared with what 𝓛
    # predicts as well: in every step second-order effects and rounding are (perturbation + eps/perturbation) relatively
    # times αβ ≤ 0.3/L_*² times some ten quadratic words with moments of heads of length 2 at most: 32 in all. The
    # largest seen is 2.4.
    off = float(np.linalg.norm(end - predicted)) / max(1.0, float(np.linalg.norm(predicted)))
    small = perturbation(implementation.eps)
    if not off <= (small + implementation.eps / small) * steps * 32:
        return Comparison(1.0 + off, 1.0, 0.0, "trajectory beside the truth minus what 𝓛 predicts, relatively, plus 1")
    why = "growth along the critical mode (its inverse where 𝓛 says unstable)"
    return _growth_comparison(float(np.linalg.norm(end)), grows, why, 8 * implementation.eps / small)


FO_MAML_BOUNDARY = Claim(
    id="fo-maml-boundary",
    chapter=CHAPTER,
    statement=r"FO-MAML's trajectories beside the truth move away or come back as the least real part of "
    r"$\mathcal{L}$'s "
    r"eigenvalues says, on both sides of where it "
    r"changes sign, and by the predicted factor.",
    source=own(),
    hypotheses=r"heads $w_{*,i} = x_i + t e$ with $\sum x_i = 0$, $t$ 10 to 40 % away from where $\mathcal{L}$ turns "
    r"unstable; $k \le 2$, $n \ge k + 2$, "
    r"$0.1 \le \alpha\beta L_*^2 \le 0.3$; start at the critical mode",
    expected=Verdict.SUPPORTED,
    kind="inequality",
    learners=(FO_MAML,),
    needs=frozenset({"step"}),
    rests_on=("fo-maml-operator",),
    instances=heads_near_boundary,
    check=_boundary_check,
    examples=24,
)


# ------------------------------------------------------------------------------------------------------- FO-MAML,
# Gaussian heads


@st.composite
def gaussian_laws(draw: st.DrawFn, largest_k: int = 5, shares: tuple[float, float] = (0.0, 3.0)) -> Instance:
    """N(μ, Σ): Σ with eigenvalues over four decades in a random frame, μ with a chosen q = μᵀΣ⁻¹μ."""
    k = draw(st.integers(1, largest_k))
    direction = draw(vector(floats, k))
    direction[0] = draw(floats(0.25, 2.0))
    return {
        "k": k,
        "log10 Sigma": [draw(floats(-2.0, 2.0)) for _ in range(k)],
        "frame": draw(reflections(floats, k)),
        "direction": direction,
        "q": draw(floats(*shares)),
    }


def gaussian_law(instance: Instance) -> tuple[np.ndarray, np.ndarray]:
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
def exact_laws(draw: st.DrawFn, least_delta: float = -2.0) -> Instance:
    """μ and D = Σ − μμᵀ in fractions, D by its eigenvalues δ in a frame that is a product of reflections."""
    k = draw(st.integers(1, 3))
    return {
        "k": k,
        "delta": draw(st.lists(fractions(least_delta, 2.0), min_size=k, max_size=k)),
        "frame": draw(reflections(fractions, k)),
        "mu": draw(vector(fractions, k)),
    }


@st.composite
def exact_shifted_operators(draw: st.DrawFn) -> Instance:
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


def _exact_law(instance: Instance) -> tuple[np.ndarray, np.ndarray]:
    frame = reflected_identity(instance["frame"])
    mean = frame @ array(instance["mu"])
    return mean, (frame * array(instance["delta"])) @ frame.T + np.outer(mean, mean)


def _exact_determinant_check(instance: Instance) -> Comparison:
    mean, covariance = _exact_law(instance)
    predicted = _determinant(covariance.tolist())
    delta = instance["delta"]
    for i, j in zip(*np.triu_indices(instance["k"]), strict=True):
        predicted *= _gaussian_rational(delta[i] + delta[j])
    difference = _parts(_determinant(exact_operator(mean, covariance)) - predicted)
    return Comparison(max(map(abs, difference)), 0, 0, "det 𝓛 minus det Σ times the pairs' product")


def _exact_characteristic_check(instance: Instance) -> Comparison:
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


def _gaussian_determinant_check(instance: Instance, implementation: Implementation) -> Comparison:
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


def _least_real_part(instance: Instance) -> tuple[float, float]:
    """(least real part of 𝓛's eigenvalues, the tolerance of that) for heads scaled to size one."""
    operator = _balanced_operator(*gaussian_law(instance))
    values, vectors = np.linalg.eig(operator)
    # Bauer and Fike: eigenvalues are off by eps‖𝓛‖ times the eigenvectors' condition, and never by more than the
    # N-th root says.
    condition = min(float(np.linalg.cond(vectors)), 1e12)
    return float(np.real(values).min()), 8 * np.finfo(float).eps * len(operator) * float(
        np.linalg.norm(operator)
    ) * condition


def _characteristic_check(instance: Instance, implementation: Implementation) -> Comparison:
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
def shifted_operators(draw: st.DrawFn) -> Instance:
    """A law with μᵀΣ⁻¹μ < 1 and a complex s with Re s > 0."""
    law = draw(gaussian_laws(shares=(0.0, 0.999)))
    return {**law, "Re s": draw(floats(0.125, 8.0)), "Im s": draw(floats(-8.0, 8.0))}


def _gaussian_stable_check(instance: Instance, implementation: Implementation) -> Comparison:
    least, tolerance = _least_real_part(instance)
    return Comparison(1 - least, 1.0, tolerance, "1 − least real part of 𝓛's eigenvalues (heads scaled to size one)")


def _count_check(instance: Instance, implementation: Implementation) -> Comparison:
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

    def check(instance: Instance, implementation: Implementation) -> Comparison:
        least, tolerance = _least_real_part(instance)
        below = instance["q"] < limit
        return Comparison(
            1 - least if below else 1 + least,
            1.0,
            tolerance,
            "1 − least real part of 𝓛's eigenvalues where q is below the limit, 1 + it above",
        )

    return check


GAUSSIAN = r"infinitely many tasks, heads from $N(\mu, \Sigma)$, $\Sigma > 0$; $w = 0$; small steps; any $k$"
CALLED = r"$\delta_i$ the eigenvalues of $\Sigma - \mu\mu^\top$"


@st.composite
def moved_laws(draw: st.DrawFn, numbers: Numbers = floats) -> Instance:
    """N(μ, D + μμᵀ) with any symmetric D, and a point (S, ω)."""
    k = draw(st.integers(1, 3))
    drawn = {"mu": draw(vector(numbers, k)), "D": draw(matrix(numbers, k, k)), "S": draw(matrix(numbers, k, k))}
    return {"k": k, **drawn, "omega": draw(vector(numbers, k))}


def _parts_check(instance: Instance, implementation: Implementation) -> Comparison:
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
        instances=moved_laws,
        rationals=lambda: moved_laws(fractions),
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
        instances=gaussian_laws,
        rationals=exact_laws,
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
        instances=shifted_operators,
        rationals=exact_shifted_operators,
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
        instances=lambda: gaussian_laws(shares=(0.0, 0.999)),
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
        instances=lambda: gaussian_laws(shares=(0.0, 3.0)),
        check=_count_check,
        examples=60,
    ),
    Claim(
        id="fo-maml-gaussian",
        chapter=CHAPTER,
        statement=(
            r"For heads $N(\mu, \Sigma)$ the truth is stable under FO-MAML (small steps) if and only if "
            r"$\mu^\top\Sigma^{-1}\mu < 1$."
        ),
        source=own(),
        hypotheses=GAUSSIAN,
        expected=Verdict.SUPPORTED,
        kind="inequality",
        learners=(FO_MAML,),
        rests_on=("fo-maml-gaussian-stable", "fo-maml-gaussian-count"),
        instances=lambda: st.one_of(gaussian_laws(shares=(0.8, 1.25)), gaussian_laws(shares=(0.25, 20.0))),
        check=gaussian_check(1.0),
        examples=120,
        remark=r"'If' follows from the characteristic equation for every $k$. 'Only if' follows from the count where "
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
        instances=lambda: gaussian_laws(shares=(3.0, 200.0)),
        check=_count_check,
        examples=60,
        remark="Seen only: that no complex pair crosses the imaginary axis is argued where kμᵀΣ⁻¹μ < 16.",
    ),
)


@st.composite
def shifted_laws(draw: st.DrawFn) -> Instance:
    """N(m e_1, I)."""
    return {"k": draw(st.integers(1, 5)), "m": draw(floats(0.0, 4.0))}


@st.composite
def exact_shifted_laws(draw: st.DrawFn) -> Instance:
    """N(m e_1, I) with m a fraction."""
    return {"k": draw(st.integers(1, 4)), "m": draw(fractions(0.0, 4.0))}


def _shifted_check(instance: Instance, implementation: Implementation) -> Comparison:
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
    statement=r"For heads $N(m e_1, I)$, any $k$, the truth is stable under FO-MAML (small steps) if and only if "
    r"$|m| < 1$: $\mathcal{L}$ splits into a block "
    r"with determinant $2(1 - m^2)$, $k - 1$ blocks with determinant $2 - m^2$, all with positive trace, and "
    r"eigenvalues $2$.",
    source=own(),
    hypotheses=r"infinitely many tasks, heads from $N(m e_1, I)$; $w = 0$",
    expected=Verdict.EXACT,
    learners=(FO_MAML,),
    rests_on=("fo-maml-gaussian-parts",),
    proof=identity_covariance_proof,
    instances=shifted_laws,
    rationals=exact_shifted_laws,
    check=_shifted_check,
    examples=30,
)


# -----------------------------------------------------------------------------------------------------------------
# finite draws

DRAWS = ((5, 5, 0.96), (20, 5, 0.17), (100, 5, 0.0))
"""(n, k, share of draws of N(0, I) heads that are unstable, as first measured)."""
DRAWS_TAKEN = 300


def _unstable_shares(implementation: Implementation, seed: int, effort: float) -> Measurement:
    rng = np.random.default_rng(seed)
    count = max(20, round(DRAWS_TAKEN * effort))
    shares, fine = {}, True
    for n, k, expected in DRAWS:
        heads = gaussian_heads(0.0, 1.0, n, rng, (count,), k=k)
        unstable = 0
        for draw in heads:
            operator = _operator(draw)
            # a zero eigenvalue of multiplicity two, as for n ≤ k, may move by the square root of eps
            tolerance = np.sqrt(np.finfo(float).eps * len(operator)) * float(np.linalg.norm(operator))
            unstable += bool(np.real(np.linalg.eigvals(operator)).min() < -tolerance)
        share = unstable / count
        error = float(np.sqrt(max(expected * (1 - expected), 1 / count) / count))
        shares[f"n = {n}, k = {k}"] = share
        fine = fine and abs(share - expected) <= 5 * error + 0.01
    first = shares["n = 5, k = 5"]
    return Measurement(
        first,
        float(np.sqrt(first * (1 - first) / count)),
        count,
        "share of draws whose truth is unstable: "
        + ", ".join(f"{share:.3f} for {name}" for name, share in shares.items()),
        shares,
        consistent=fine,
    )


FO_MAML_DRAWS = Claim(
    id="fo-maml-finite-draws",
    chapter=CHAPTER,
    statement=r"With fixed tasks drawn once from $N(0, I)$ the truth is unstable under FO-MAML for most draws of few "
    r"tasks and for hardly any of many: about 96 % for $n = k = 5$, "
    r"17 % for $n = 20$, $k = 5$, none for $n = 100$, $k = 5$.",
    source=own(),
    hypotheses=r"heads i.i.d. $N(0, I_k)$, drawn once; $w = 0$; small steps",
    expected=Verdict.MEASURED,
    kind="measurement",
    learners=(FO_MAML,),
    rests_on=("fo-maml-operator",),
    measure=_unstable_shares,
    examples=DRAWS_TAKEN,
)


# --------------------------------------------------------------------------------------------------------- far from
# the truth

_OVER_ALPHA = tuple(-1 if name == "alpha" else 0 for name in SCALARS)
ORTHONORMAL = Rule("B'", "B", "", _OVER_ALPHA)
"""αBᵀB = I."""


def _far_proof() -> Proof:
    proof = Proof()
    rules = (*PERPENDICULAR, ORTHONORMAL)
    grad_w = task_gradients(get_learner(FO_MAML))[1]
    slope: Poly = proof.expanded("the derivative of ∇_w along δw", grad_w.polarise({"w": "dw"}))
    at = proof.substituted("w = 0, θ_i = B_*w_{*,i}", slope.substitute({"w": zero("k", "1"), **TRUTH}))
    at = proof.rewritten(at, "αBᵀB = I and B_*ᵀB_* = I", *rules)
    seen = a.B.T * a.B_star * a.w_star  # √α times it is B̂ᵀB_*w_{*,i}
    grown = (
        (a.w_star.T * a.w_star) * a.dw - (seen.T * seen).scaled(alpha=1) * a.dw - (seen * seen.T).scaled(alpha=1) * a.dw
    )
    proof.equal("∂∇_w and −α(tr(Ψ_* − Z) I − Z) per task", at, -grown.scaled(alpha=1))
    return proof


@st.composite
def balanced_anywhere(draw: st.DrawFn, numbers: Numbers = floats) -> Instance:
    """A balanced representation anywhere: B = c·frame columns, α = 1/c², B_* from another frame."""
    k = draw(st.integers(1, 2))
    d = draw(st.integers(k, 4))
    n = draw(st.integers(1, 4))
    return {
        "d": d,
        "k": k,
        "n": n,
        "c": draw(numbers(1 / 2, 2.0)),
        "beta": draw(numbers(1 / 8, 1.0)),
        "heads": draw(matrix(numbers, k, n)),
        "frame": draw(reflections(numbers, d)),
        "other frame": draw(reflections(numbers, d)),
        "dw": draw(vector(numbers, k)),
    }


def _far_check(instance: Instance, implementation: Implementation) -> Comparison:
    k, c, beta = instance["k"], instance["c"], instance["beta"]
    frame, other = reflected_identity(instance["frame"]), reflected_identity(instance["other frame"])
    heads, dw = array(instance["heads"]), array(instance["dw"])
    alpha = 1 / c**2
    at = StepArrays(c * other[:, :k], 0 * dw, heads, frame[:, :k], frame[:, k:], alpha, beta)
    learner = get_learner(FO_MAML)
    dB = 0 * at.B
    _, moved = central_difference(implementation, learner, at, dB, dw)
    Psi = heads @ heads.T / instance["n"]
    seen = other[:, :k].T @ at.B_star
    Z = seen @ Psi @ seen.T
    predicted = dw + alpha * beta * ((np.trace(Psi) - np.trace(Z)) * dw - Z @ dw)
    rounding = difference_rounding(learner, at, dB, dw, implementation.eps)
    return Comparison(
        largest(moved - predicted), 0, rounding, "derivative of w⁺ along w minus the stated one, largest entry"
    )


FO_MAML_FAR = Claim(
    id="fo-maml-far",
    chapter=CHAPTER,
    statement=r"At $\alpha B^\top B = I$, $w = 0$, any $B$, FO-MAML has $\partial w^+/\partial w = I + "
    r"\alpha\beta(\mathrm{tr}(\Psi_* - Z) I - Z)$, $Z = \hat B^\top B_*\Psi_*B_*^\top\hat B$: "
    r"far from the truth ($Z \approx 0$) the head grows by $1 + \alpha\beta\,\mathrm{tr}\,\Psi_*$ a step.",
    source=own(),
    hypotheses=r"$\alpha B^\top B = I$, $w = 0$, any heads",
    expected=Verdict.PROVED,
    learners=(FO_MAML,),
    needs=frozenset({"step"}),
    rests_on=("update-fo-maml",),
    proof=_far_proof,
    instances=lambda: balanced_anywhere(floats),
    rationals=lambda: balanced_anywhere(fractions),
    check=_far_check,
    examples=32,
    remark="Traces stand in the proof as the scalars wᵀw of one task under the average.",
)

FAR_TRIALS = 40
FAR_STARTS: tuple[tuple[str, Any], ...] = (("random", None), ("dist_0 = 0.99", 0.99), ("dist_0 = 0.97", 0.97))


def _far_divergence(implementation: Implementation, seed: int, effort: float) -> Measurement:
    rng = np.random.default_rng(seed)
    trials = max(8, round(FAR_TRIALS * effort))
    shares = {}
    for label, dist0 in FAR_STARTS:
        problem = make_problem(100, 5, 5, 0.1, rng, tasks="fresh", dist0=dist0, trials=(trials,))
        seen = run(get_learner(FO_MAML), problem, 0.1, 0.1, 4000, implementation=implementation, record_every=4000)
        shares[label] = float(seen.diverged.mean())
    share = shares["random"]
    error = float(np.sqrt(share * (1 - share) / trials))
    # A share of at least 0.2 at random starts where about 0.6 is usual is 5 standard errors away for 40 trials, 2.3
    # for 8.
    fine = share > 0.2 and shares["dist_0 = 0.97"] < 0.2 and share > shares["dist_0 = 0.97"]
    return Measurement(
        share,
        error,
        trials,
        f"share of {trials} trials that diverged within 4000 steps: "
        + ", ".join(f"{value:.2f} from {label}" for label, value in shares.items()),
        shares,
        consistent=fine,
    )


FO_MAML_FAR_DIVERGENCE = Claim(
    id="fo-maml-far-divergence",
    chapter=CHAPTER,
    statement=r"From random balanced starts in $d = 100$ dimensions ($k = n = 5$, $\alpha = \beta = 0.1$, tasks drawn "
    r"afresh, 4000 steps) FO-MAML diverges in about half of the trials; "
    r"from $\mathrm{dist}_0 = 0.97$ (all angles equal) in hardly any.",
    source=own(),
    hypotheses=r"heads i.i.d. $N(0, I)$ afresh each step; $\alpha B_0^\top B_0 = I$, $w_0 = 0$",
    expected=Verdict.MEASURED,
    kind="measurement",
    learners=(FO_MAML,),
    needs=frozenset({"step"}),
    rests_on=("fo-maml-far",),
    measure=_far_divergence,
    examples=FAR_TRIALS,
)


# ------------------------------------------------------------------------------------------------------------- the
# other three


@st.composite
def small_steps(draw: st.DrawFn) -> Instance:
    """Any heads, and step sizes small enough for Exact MAML's energy to be descended."""
    k = draw(st.integers(1, 4))
    n = draw(st.integers(1, 6))
    heads = draw(matrix(floats, k, n))
    heads[0][0] = draw(floats(0.5, 2.0))
    return {"k": k, "n": n, "alpha": draw(floats(1 / 8, 2.0)), "share": draw(floats(1 / 16, 1.0)), "heads": heads}


def _others_check(instance: Instance, implementation: Implementation) -> Comparison:
    heads, alpha = array(instance["heads"]), instance["alpha"]
    top = HeadMoments.of(heads).L ** 2
    longest = float((heads**2).sum(0).max())
    # ‖Sw − (ωᵀw)w‖² ≤ 2‖Sw‖² + 2(ωᵀw)²‖w‖² bounds the energy's curvature in the metric diag(4, α²)
    beta = instance["share"] * 2 / (alpha * max(8 * top, 2 * alpha**2 * longest * top))
    worst = Comparison(0.0, 1.0, 0.0, "")
    for name in ("fo-anil", "anil", "maml"):
        spectrum = local_spectrum(get_learner(name), heads, alpha, beta)
        here = Comparison(
            max(spectrum.growth, spectrum.rate),
            1.0,
            spectrum.tolerance + 64 * implementation.eps,
            f"largest modulus of an eigenvalue of {name}",
        )
        if not here.holds or here.value > worst.value:
            worst = here
        if not worst.holds:
            return worst
    return worst


OTHERS_STABLE = Claim(
    id="others-stable",
    chapter=CHAPTER,
    statement=r"FO-ANIL, Exact ANIL and Exact MAML are stable at the truth with $w = 0$ for any heads and small "
    r"steps: no "
    r"eigenvalue exceeds $1$ in modulus where "
    r"$\alpha\beta\max(8 L_*^2, 2\alpha^2 L_*^2 \max_i\|w_{*,i}\|^2) \le 2$.",
    source=own(),
    hypotheses=AT_TRUTH + NO_HEAD,
    expected=Verdict.SUPPORTED,
    kind="inequality",
    learners=("fo-anil", "anil", "maml"),
    rests_on=("span-spectrum-fo-anil", "span-spectrum-anil", "span-spectrum-maml"),
    instances=small_steps,
    check=_others_check,
    examples=40,
    remark="Follows from the proved spectra and from Exact MAML's energy. Neutral directions have modulus exactly 1.",
)


STABLE = (
    "Stable means here: a perturbation of the span and the head that the linearisation does not leave as it is "
    "shrinks; unstable: one grows."
)
"""Rotations of the basis, heads that no task sees and the like are neutral: left as they are."""


def _with_meaning(claim: Claim) -> Claim:
    """The claim with what 'stable' means in its remark, if it speaks of that."""
    said = "stable" in claim.statement
    return replace(claim, remark=f"{claim.remark} {STABLE}".strip()) if said else claim


_CLAIMS = (
    _threshold_claim("fo-anil", "FO-ANIL", "1"),
    _threshold_claim("anil", "Exact ANIL", r"\frac{1}{2}"),
    MAML_THRESHOLD,
    OTHERS_STABLE,
    FO_ANIL_LARGE_HEAD,
    FO_MAML_OPERATOR,
    FO_MAML_SCALAR,
    FO_MAML_TWO_HEADS,
    FO_MAML_BOUNDARY,
    *GAUSSIAN_CLAIMS,
    FO_MAML_SHIFTED,
    FO_MAML_DRAWS,
    FO_MAML_FAR,
    FO_MAML_FAR_DIVERGENCE,
)
CLAIMS = tuple(_with_meaning(claim) for claim in _CLAIMS)
