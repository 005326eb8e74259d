"""Claims about stability: for which heads and step sizes the truth attracts, and what FO-MAML does elsewhere."""

from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import strategies as st

from metarep.sim.implementations import Implementation
from metarep.sim.learners import Learner, get_learner
from metarep.sim.problems import FixedTasks, Problem, gaussian_heads, make_problem
from metarep.sim.trajectories import run
from metarep.theory.calculus import alphabet as a
from metarep.theory.calculus.proofs import Proof
from metarep.theory.calculus.words import SCALARS, Poly, Rule, identity, zero
from metarep.theory.claims.comparing import largest, run_together, same
from metarep.theory.claims.derivatives import (
    central_difference,
    difference_rounding,
    neighbourhood,
    neighbourhoods,
)
from metarep.theory.claims.rates import AT_TRUTH, NO_HEAD, compare_spectra, heads_and_steps
from metarep.theory.claims.record import Check, Claim, Comparison, Example, Measurement, Verdict, own
from metarep.theory.claims.strategies import (
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
from metarep.theory.dynamics.derive import task_gradients
from metarep.theory.dynamics.gaussian_heads import one_dimensional_proof
from metarep.theory.dynamics.linearise import (
    integer_basis,
    linearise,
    span_head_matrix,
    stated_linearisation,
    symmetric_basis,
)
from metarep.theory.dynamics.rates import (
    HeadMoments,
    fo_maml_operator,
    local_spectrum,
    step_size_threshold,
    third_moment,
)
from metarep.theory.dynamics.structure import PERPENDICULAR, TRUTH

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
def step_sizes_at_threshold(draw: st.DrawFn) -> Example:
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

    def check(instance: Example, implementation: Implementation) -> Comparison:
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
        exercises=frozenset({"step"}),
        rests_on=(f"span-spectrum-{name}", f"local-rate-{name}"),
        floats=step_sizes_at_threshold,
        check=threshold_check(name),
        examples=60,
        remark="Follows from the proved spectrum, whose extreme eigenvalue is that of i = j = 1; here it is seen on "
        "both sides in trajectories "
        "that start 1e-7 beside the truth.",
    )


def _maml_threshold_check(instance: Example, implementation: Implementation) -> Comparison:
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
    floats=heads_and_steps,
    check=_maml_threshold_check,
    examples=50,
    remark="Follows from the proved energy: its Rayleigh quotient at S = uuᵀ, u the top eigenvector, is 4L_*². More "
    "can be needed: the head's curvature "
    "grows with the fourth moments.",
)


# ----------------------------------------------------------------------------------------------------------
# FO-ANIL, large head


@st.composite
def scalar_heads(draw: st.DrawFn) -> Example:
    """k = 1: heads of the same or of different sign, a head with αβh² ≤ 1, step sizes with αβm_2 at most 0.4."""
    n = draw(st.integers(1, 4))
    heads = draw(vector(floats, n))
    heads[0] = draw(floats(0.5, 2.0))
    return {
        "k": 1,
        "n": n,
        "alpha": draw(floats(0.25, 2.0)),
        "alpha beta m_2": draw(floats(1 / 16, 0.4)),
        "heads": [heads],
        "h over its bound": draw(floats(-1.0, 1.0)),
    }


LARGE_HEAD_STEPS = 8


def _large_head_check(instance: Example, implementation: Implementation) -> Comparison:
    heads, alpha = array(instance["heads"]), instance["alpha"]
    m_1, m_2 = float(heads.mean()), float((heads**2).mean())
    beta = instance["alpha beta m_2"] / (alpha * m_2)
    h = np.array([instance["h over its bound"] / np.sqrt(alpha * beta)])
    end = follow(get_learner("fo-anil"), heads, alpha, beta, np.array([1.0, 0.0]), LARGE_HEAD_STEPS, implementation, h)
    factor = 1 - 2 * alpha * beta * (m_2 - float(h[0]) * m_1)
    predicted = factor**LARGE_HEAD_STEPS
    # Second order in S: relatively the perturbation × αβ times the sizes of the linear terms, m_2, |h m_1| and h², at
    # most 3 together, in each step, and as much again through the head's drift; whatever is made in one step grows
    # like the rest, at most by the largest factor, which is below 1.6.
    reach = max(1.0, abs(factor)) ** (2 * LARGE_HEAD_STEPS)
    small = perturbation(implementation.eps)
    tolerance = 16 * (small + implementation.eps / small) * LARGE_HEAD_STEPS * reach
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
    hypotheses=r"$k = 1$, fixed tasks, $\alpha\beta m_2 \le 0.4$, $\alpha\beta (Mw)^2 \le 1$",
    expected=Verdict.SUPPORTED,
    learners=("fo-anil",),
    exercises=frozenset({"step"}),
    rests_on=("span-spectrum-fo-anil",),
    floats=scalar_heads,
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


def _operator_check(instance: Example, implementation: Implementation) -> Comparison:
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
    r"mean, the span hears the head through their third moments.",
    source=own("the derived step differentiated at the truth"),
    hypotheses=AT_TRUTH + NO_HEAD,
    expected=Verdict.PROVED,
    learners=(FO_MAML,),
    rests_on=("span-rate-fo-maml",),
    proof=_operator_proof,
    floats=heads_and_steps,
    fractions=lambda: heads_and_steps(largest_k=3, numbers=fractions),
    check=_operator_check,
    examples=40,
    remark=r"So for small steps the truth is stable if the eigenvalues of $\mathcal{L}$ that are not zero have "
    r"positive "
    r"real part, and unstable if one has a negative real part. For few tasks one is zero (fo-maml-few-tasks): verdicts "
    "need a tolerance.",
)


def _scalar_check(instance: Example, implementation: Implementation) -> Comparison:
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
    r"$j$-th moments; $m_1 m_3 - m_2^2$ is half the average over pairs of tasks of $w_i w_j (w_i - w_j)^2$; for heads "
    r"$N(\mu, \sigma^2)$ $m_2^2 - m_1 m_3 = \sigma^2(\sigma^2 - \mu^2)$.",
    source=own("an average over pairs"),
    hypotheses=r"$k = 1$, fixed tasks, heads not all zero, $w = 0$",
    expected=Verdict.PROVED,
    learners=(FO_MAML,),
    rests_on=("fo-maml-operator",),
    proof=one_dimensional_proof,
    floats=scalar_heads,
    fractions=lambda: heads_and_steps(largest_k=1, numbers=fractions),
    check=_scalar_check,
    examples=40,
    remark=r"So (two eigenvalues with a positive sum) the truth is stable under FO-MAML with small steps where "
    r"$m_2^2 > m_1 "
    r"m_3$ and unstable where $m_2^2 < m_1 m_3$: for any heads of one sign that are not all equal. For Gaussian heads "
    r"the border is $\mu^2 = \sigma^2$. At equality, as for a single task, one eigenvalue is zero.",
)


def _few_tasks_proof() -> Proof:
    proof = Proof()
    derived = linearise(get_learner(FO_MAML))
    rule = Rule("omega'", "w_star_i", "")
    for name, part, before in (("S⁺", derived.S, identity("s")), ("ω⁺", derived.omega, a.omega)):
        at = proof.substituted(f"S = I into {name}", part.substitute({"S": identity("s")}))
        proof.equal(f"{name} and what it was", proof.rewritten(at, "ωᵀw_{*,i} = 1", rule), before)
    return proof


def _few_tasks_check(instance: Example, implementation: Implementation) -> Comparison:
    k = instance["k"]
    near = neighbourhood({**instance, "A": (0 * array(instance["A"])).tolist()})
    omega = 0 * near.omega + 1 if not near.omega @ near.omega else near.omega
    # moves each head onto the plane ωᵀw = 1
    heads = near.at.heads + np.outer(omega, 1 - omega @ near.at.heads) / (omega @ omega)
    near = replace(
        near, at=replace(near.at, heads=heads), S=0 * near.S + np.eye(k, dtype=int), omega=omega, Y=0 * near.Y
    )
    learner = get_learner(FO_MAML)
    dB, dw = near.direction()
    S, moved, Y = near.coordinates(*central_difference(implementation, learner, near.at, dB, dw))
    rounding = 0.0 if near.at.exact else difference_rounding(learner, near.at, dB, dw, implementation.eps)
    if not near.at.exact:  # as for the other linearisations: the change of coordinates adds up entries each way
        c = float(instance["c"])
        rounding *= instance["d"] * max(1.0, 1 / c, 1 / c**3)
    return same(
        run_together(S, moved, Y),
        run_together(near.S, near.omega, near.Y),
        rounding / implementation.eps,
        implementation.eps,
        "the step's derivative along (S, ω) = (I, ω) minus that direction, largest entry",
        roundings=1,
    )


FO_MAML_FEW_TASKS = Claim(
    id="fo-maml-few-tasks",
    chapter=CHAPTER,
    statement=r"If $\omega^\top w_{*,i} = 1$ for every task, then $(S, \omega)$ with $S = I$ is a neutral direction of "
    r"FO-MAML's linearisation: $\mathcal{L}(I, \omega) = 0$.",
    source=own(),
    hypotheses=AT_TRUTH + NO_HEAD,
    expected=Verdict.PROVED,
    learners=(FO_MAML,),
    exercises=frozenset({"step"}),
    rests_on=("fo-maml-operator",),
    proof=_few_tasks_proof,
    floats=lambda: neighbourhoods(floats),
    fractions=lambda: neighbourhoods(fractions, largest_k=2, most_beyond=1),
    check=_few_tasks_check,
    examples=24,
    remark=r"There is such an $\omega$ for any $n \le k$ linearly independent heads, so for few tasks one eigenvalue "
    r"of "
    r"$\mathcal{L}$ is always zero.",
)


# ----------------------------------------------------------------------------------------------- FO-MAML: examples
# and boundary


TWO_HEADS_STARTS = 8


def _two_heads(implementation: Implementation, seed: int, effort: float) -> Measurement:
    rng = np.random.default_rng(0)  # d = 2, k = 1: the start is determined but for signs
    start = make_problem(2, 1, 2, 0.1, rng, dist0=0.6)
    # The start itself, and starts that differ from it by rounding errors: how far the blow-up depends on them.
    nudges = 1 + np.finfo(float).eps * np.arange(TWO_HEADS_STARTS)
    B0 = np.abs(start.B0) * nudges[:, None, None]
    w0 = np.zeros((TWO_HEADS_STARTS, 1))
    problem = Problem(2, start.B_star, FixedTasks(np.array([[1.0, 2.0]])), B0, w0, 2)
    seen = run(get_learner(FO_MAML), problem, 0.1, 0.1, 6000, implementation=implementation)
    at, least = seen.diverged_at.astype(float), float(np.nanmin(seen.dist, axis=0).max())
    fine = bool(seen.diverged.all()) and least < 1e-25 and bool(np.all((at > 1900) & (at < 2200)))
    why = (
        f"the runs diverged at steps {int(at.min())} to {int(at.max())}, when dist had fallen to {least:.1e} or below"
        if seen.diverged.all()
        else f"{int((~seen.diverged).sum())} did not diverge in 6000 steps; least dist {least:.1e}"
    )
    return Measurement(
        float(at[0]), float(at.std()), len(at), why, {"least dist": least, "steps": at.tolist()}, consistent=fine
    )


FO_MAML_TWO_HEADS = Claim(
    id="fo-maml-two-heads",
    chapter=CHAPTER,
    statement=r"FO-MAML with the two tasks' heads 1 and 2 ($k = 1$, $\alpha = \beta = 0.1$, balanced start at "
    r"$\mathrm{dist}_0 = 0.6$, $w_0 = 0$) blows up after some 2000 steps, when its "
    r"$\mathrm{dist}$ has fallen below $10^{-25}$.",
    source=own(),
    hypotheses=f"as stated; the start and {TWO_HEADS_STARTS - 1} that differ from it by rounding errors",
    expected=Verdict.MEASURED,
    kind="measurement",
    learners=(FO_MAML,),
    exercises=frozenset({"step", "distance"}),
    rests_on=("fo-maml-scalar",),
    measure=_two_heads,
    examples=1,
    remark=(
        "The step of the blow-up depends on rounding only weakly: the unstable mode is excited by the square of the "
        "perpendicular part."
    ),
)


@st.composite
def heads_near_boundary(draw: st.DrawFn) -> Example:
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


def _spread_heads(instance: Example) -> tuple[np.ndarray, np.ndarray]:
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


def _boundary_check(instance: Example, implementation: Implementation) -> Comparison:
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
    # times αβ ≤ 0.3/L_*² times some ten quadratic words with moments of heads of length 2 at most: 8 in all. The
    # largest seen is 2.4.
    off = float(np.linalg.norm(end - predicted)) / max(1.0, float(np.linalg.norm(predicted)))
    small = perturbation(implementation.eps)
    allowed = (small + implementation.eps / small) * steps * 8
    why = "growth along the critical mode (its inverse where 𝓛 says unstable)"
    growing = _growth_comparison(float(np.linalg.norm(end)), grows, why, 8 * implementation.eps / small)
    why = "trajectory beside the truth minus what 𝓛 predicts, over what second-order effects explain"
    return max(Comparison(off / allowed, 1.0, 0.0, why), growing, key=lambda each: (not each.holds, each.value))


FO_MAML_BOUNDARY = Claim(
    id="fo-maml-boundary",
    chapter=CHAPTER,
    statement=r"FO-MAML's trajectories beside the truth move away or come back as the least real part of "
    r"$\mathcal{L}$'s "
    r"eigenvalues says, on both sides of where it "
    r"changes sign, and by the predicted factor.",
    source=own(),
    hypotheses=r"heads $w_{*,i} = x_i + t e$ with $\sum x_i = 0$ (a regular pattern $\pm \frac14$), $t$ 10 to 40 % "
    r"away from where $\mathcal{L}$ turns "
    r"unstable; $k \le 2$, $n \ge k + 2$, "
    r"$0.1 \le \alpha\beta L_*^2 \le 0.3$; start at the critical mode",
    expected=Verdict.SUPPORTED,
    kind="inequality",
    learners=(FO_MAML,),
    exercises=frozenset({"step"}),
    rests_on=("fo-maml-operator",),
    floats=heads_near_boundary,
    check=_boundary_check,
    examples=24,
)


# -----------------------------------------------------------------------------------------------------------------
# finite draws

DRAWS = ((5, 5, 0.954), (20, 5, 0.178), (100, 5, 0.0))
"""(n, k, share of draws of N(0, I) heads that are unstable, as measured with 6000 draws each)."""
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
        fine = fine and abs(share - expected) <= 4 * error
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
    r"tasks and for hardly any of many: about 95 % for $n = k = 5$, "
    r"18 % for $n = 20$, $k = 5$, none for $n = 100$, $k = 5$.",
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
def balanced_anywhere(draw: st.DrawFn, numbers: Numbers = floats) -> Example:
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


def _far_check(instance: Example, implementation: Implementation) -> Comparison:
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
    exercises=frozenset({"step"}),
    rests_on=("update-fo-maml",),
    proof=_far_proof,
    floats=lambda: balanced_anywhere(floats),
    fractions=lambda: balanced_anywhere(fractions),
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
    r"afresh, 4000 steps) FO-MAML diverges in more than a fifth of the trials (the estimate is the share); "
    r"from $\mathrm{dist}_0 = 0.97$ (all angles equal) in fewer.",
    source=own(),
    hypotheses=r"heads i.i.d. $N(0, I)$ afresh each step; $\alpha B_0^\top B_0 = I$, $w_0 = 0$",
    expected=Verdict.MEASURED,
    kind="measurement",
    learners=(FO_MAML,),
    exercises=frozenset({"step"}),
    rests_on=("fo-maml-far",),
    measure=_far_divergence,
    examples=FAR_TRIALS,
)


# ------------------------------------------------------------------------------------------------------------- the
# other three


@st.composite
def small_steps(draw: st.DrawFn) -> Example:
    """Any heads, and step sizes small enough for Exact MAML's energy to be descended."""
    k = draw(st.integers(1, 4))
    n = draw(st.integers(1, 6))
    heads = draw(matrix(floats, k, n))
    heads[0][0] = draw(floats(0.5, 2.0))
    return {"k": k, "n": n, "alpha": draw(floats(1 / 8, 2.0)), "share": draw(floats(1 / 16, 1.0)), "heads": heads}


def _others_check(instance: Example, implementation: Implementation) -> Comparison:
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
    floats=small_steps,
    check=_others_check,
    examples=40,
    remark="Follows from the proved spectra and from Exact MAML's energy. Neutral directions have modulus exactly 1.",
)


STABLE = (
    "Stable means here: a perturbation of the span and the head that the linearisation does not leave as it is "
    "shrinks; unstable: one grows."
)
"""Rotations of the basis, heads that no task sees and the like are neutral: left as they are."""


def with_meaning(claim: Claim) -> Claim:
    """The claim with what 'stable' means in its remark, if it speaks of that."""
    said = "stable" in claim.statement + claim.remark
    return replace(claim, remark=f"{claim.remark} {STABLE}".strip()) if said else claim


_CLAIMS = (
    _threshold_claim("fo-anil", "FO-ANIL", "1"),
    _threshold_claim("anil", "Exact ANIL", r"\frac{1}{2}"),
    MAML_THRESHOLD,
    OTHERS_STABLE,
    FO_ANIL_LARGE_HEAD,
    FO_MAML_OPERATOR,
    FO_MAML_SCALAR,
    FO_MAML_FEW_TASKS,
    FO_MAML_TWO_HEADS,
    FO_MAML_BOUNDARY,
    FO_MAML_DRAWS,
    FO_MAML_FAR,
    FO_MAML_FAR_DIVERGENCE,
)
CLAIMS = tuple(with_meaning(claim) for claim in _CLAIMS)
