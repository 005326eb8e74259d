"""Step sizes: below which the truth is stable, and FO-ANIL's fixed points with a large head."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from hypothesis import strategies as st

from metarep.sim.implementations import Implementation
from metarep.sim.learners import Learner, get_learner
from metarep.sim.problems import FixedTasks, Problem
from metarep.sim.trajectories import run
from metarep.theory.calculus.balls import at_least, ball, balls
from metarep.theory.claims.comparing import close
from metarep.theory.claims.confirmation import Confirmation, Exceeds
from metarep.theory.claims.enclosed import Found, in_balls
from metarep.theory.claims.rates.linearisation import AT_TRUTH, NO_HEAD
from metarep.theory.claims.rates.spectra import heads_and_steps
from metarep.theory.claims.record import Comparison, Example, Verdict, own
from metarep.theory.claims.stability import claim
from metarep.theory.claims.strategies import Entries, array, floats
from metarep.theory.dynamics.derive import derive
from metarep.theory.dynamics.enclosures import Start, enclosed_run, square
from metarep.theory.dynamics.linearise import span_head_matrix, symmetric_basis
from metarep.theory.dynamics.rates import HeadMoments, local_spectrum, step_size_threshold


def perturbation(eps: float) -> float:
    """Size of a perturbation of the truth: second-order effects are this large relatively, rounding errors eps divided
    by it. In float64 1e-7 and 2e-9; in coarser arithmetic both are √eps.
    """
    return max(1e-7, eps**0.5)


def left_out(eps: float) -> float:
    """What the linearisation leaves out of one step beside the truth, relatively: second-order effects and rounding."""
    return perturbation(eps) + eps / perturbation(eps)


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
    B = np.eye(k + 1, k)  # one spare dimension, which stays empty
    B[:k] = (np.eye(k) - S / 2) / np.sqrt(alpha)
    w_fixed = np.sqrt(alpha) * (np.zeros(k) if h is None else h)
    w = w_fixed + small * start[len(basis) :] / alpha**1.5
    problem = Problem(k + 1, np.eye(k + 1, k), FixedTasks(heads), B, w, heads.shape[1])
    end = run(learner, problem, alpha, beta, steps, implementation=implementation, record_every=steps)
    gram = alpha * (end.B[:k] @ end.B[:k].T)
    S_end = np.tensordot(basis, np.eye(k) - gram, axes=((1, 2), (0, 1)))
    # δw = Mᵀω/α² · α^{1/2}..., taken back through the rotation that B has made: M_end = B[:k] up to order S.
    turned = np.sqrt(alpha) * end.B[:k] @ end.w - (w_fixed if h is None else np.sqrt(alpha) * end.B[:k] @ w_fixed)
    return np.concatenate([S_end, alpha**1.5 * turned]) / small


def growth_comparison(ratio: float, grows: bool, why: str, tolerance: float, objects: Mapping[str, Any]) -> Comparison:
    """The factor by which a perturbation grew must be above 1 (``grows``) or at most 1."""
    value = 1 / ratio if grows and ratio > 0 else ratio
    return Comparison(value, 1.0, tolerance, why, objects=objects)


@st.composite
def step_sizes_at_threshold(draw: st.DrawFn) -> Example:
    """Heads, α, and αβL_*² as a share of a threshold, on either side of it, and a perturbation of the span."""
    made = Entries(draw, floats)
    k = made.k()
    n = made.n()
    heads = made.heads(k, n)
    heads[0][0] = draw(floats(0.5, 2.0))  # not all zero
    return {
        "k": k,
        "n": n,
        "alpha": draw(floats(0.25, 2.0)),
        "share": draw(floats(1.02, 1.25) if draw(st.integers(0, 2)) else floats(0.05, 0.98)),
        "heads": heads,
        "S": made.matrix(k, k, min(2.0, 6 / k)),
    }


@claim(
    Verdict.SUPPORTED,
    kind="inequality",
    source=own("the spectrum of the linearisation", about="theorem-1"),
    given=AT_TRUTH + NO_HEAD,
    each=("fo-anil", "anil"),
    words=lambda learner: {"limit": "1" if learner.first_order else r"\frac{1}{2}"},
    exercises="step",
    rests_on=("span-spectrum-«name»", "local-rate-«name»"),
    floats=step_sizes_at_threshold,
)
def threshold(
    example: Example, implementation: Implementation, learner: Learner, *, limit: float | None = None
) -> Comparison:
    r"""At $w = 0$ the truth is stable for «title» if and only if $\alpha\beta L_*^2 < «limit»$: below it no
    perturbation of the span grows, above it the one along the top eigenvector does (at equality it keeps its size).
    Checked from 2 % off on either side, above for half of the growth $|1 - 2x|$ a step at $x$ times the threshold.

    Follows from the proved spectrum, whose extreme eigenvalue is that of i = j = 1; here it is seen on both sides in
    trajectories that start 1e-7 beside the truth. «stable»
    """
    limit, steps = limit or step_size_threshold(learner), 6
    assert limit is not None
    heads, alpha, k = array(example["heads"]), example["alpha"], example["k"]
    values, vectors = np.linalg.eigh(heads @ heads.T / example["n"])
    beta = limit * example["share"] / (alpha * values[-1])
    grows = example["share"] > 1
    top = np.outer(vectors[:, -1], vectors[:, -1])
    S = top if grows else top + array(example["S"]) + array(example["S"]).T
    start = np.concatenate([np.tensordot(symmetric_basis(k), S, axes=((1, 2), (0, 1))), np.zeros(k)])
    end = follow(learner, heads, alpha, beta, start, steps, implementation)
    size = k * (k + 1) // 2
    ratio = float(np.linalg.norm(end[:size]) / np.linalg.norm(start[:size]))
    # Second order: the perturbation times ‖S‖ ≤ 13, and rounding, eps over it, in each of the steps, with the words'
    # coefficients (some 10) and (αβL_*²) ≤ 1.25. At 2 % from the threshold the factor |1 − 2·share| differs from 1 by 4
    # %, far more; below it the step does not expand any S.
    scale = 1 + float(np.abs(S).max()) * k
    tolerance = left_out(implementation.eps) * scale * 32 * steps
    objects = {"k": k, "n": example["n"], "alpha": alpha, "beta": beta, "heads": heads, "S": S}
    if not grows:
        return Comparison(ratio, 1.0, tolerance, "growth of the span below the threshold", objects=objects)
    # Along the top eigenvector a step multiplies by 1 − 2·share: with half of what it grows by, by the share.
    demanded, why = example["share"] ** steps, "half of the predicted growth of the span over the growth seen"
    value = demanded / ratio if ratio > 0 else float("inf")
    return Comparison(value, 1.0, tolerance, why, demanded, ratio, objects)


@claim(
    Verdict.SUPPORTED,
    kind="inequality",
    source=own("the Rayleigh quotient of the energy along the top eigenvector", about="theorem-maml"),
    given=AT_TRUTH + NO_HEAD,
    learners=["maml"],
    rests_on="span-spectrum-maml",
    floats=heads_and_steps,
    examples=50,
)
def threshold_maml(
    example: Example, implementation: Implementation, *, span_head_matrix=span_head_matrix
) -> Comparison:
    r"""For Exact MAML at $w = 0$ the linearisation has an eigenvalue of at most $1 - 4\alpha\beta L_*^2$: stability
    needs $\alpha\beta L_*^2 \le \frac{1}{2}$.

    Follows from the proved energy: its Rayleigh quotient at S = uuᵀ, u the top eigenvector, is 4L_*². More can be
    needed: the head's curvature grows with the fourth moments.
    """
    heads, alpha, beta, k = array(example["heads"]), example["alpha"], example["beta"], example["k"]
    G = span_head_matrix(get_learner("maml"), heads, alpha, beta)
    scale = np.array([0.5] * (len(G) - k) + [1 / alpha] * k)
    symmetric = scale[:, None] * G / scale  # proved symmetric: D^{-1/2} G D^{1/2} with D = diag(4, α²)
    least = float(np.linalg.eigvalsh((symmetric + symmetric.T) / 2)[0])
    bound = 1 - 4 * alpha * beta * HeadMoments.of(heads).L ** 2
    size = 1 + float(np.linalg.norm(symmetric))
    why = "1 + (least eigenvalue − (1 − 4αβL_*²))/(1 + ‖G‖)"
    return Comparison(1 + (least - bound) / size, 1.0, 16 * implementation.eps * len(G), why, least, bound)


@st.composite
def small_steps(draw: st.DrawFn) -> Example:
    """Any heads, and step sizes small enough for Exact MAML's energy to be descended."""
    made = Entries(draw, floats)
    k = made.k()
    n = made.n()
    heads = made.heads(k, n)
    heads[0][0] = draw(floats(0.5, 2.0))
    return {"k": k, "n": n, "alpha": draw(floats(1 / 8, 2.0)), "share": draw(floats(1 / 16, 1.0)), "heads": heads}


@claim(
    Verdict.SUPPORTED,
    kind="inequality",
    given=AT_TRUTH + NO_HEAD,
    learners=("fo-anil", "anil", "maml"),
    rests_on=("span-spectrum-fo-anil", "span-spectrum-anil", "span-spectrum-maml"),
    floats=small_steps,
    examples=40,
)
def others_stable(example: Example, implementation: Implementation, *, local_spectrum=local_spectrum) -> Comparison:
    r"""FO-ANIL, Exact ANIL and Exact MAML are stable at the truth with $w = 0$ for any heads and small steps: no
    eigenvalue exceeds $1$ in modulus where $\alpha\beta\max(8 L_*^2, 2\alpha^2 L_*^2 \max_i\|w_{*,i}\|^2) \le 2$.

    Follows from the proved spectra and from Exact MAML's energy. Neutral directions have modulus exactly 1. «stable»
    """
    heads, alpha = array(example["heads"]), example["alpha"]
    top = HeadMoments.of(heads).L ** 2
    longest = float((heads**2).sum(0).max())
    # ‖Sw − (ωᵀw)w‖² ≤ 2‖Sw‖² + 2(ωᵀw)²‖w‖² bounds the energy's curvature in the metric diag(4, α²)
    beta = example["share"] * 2 / (alpha * max(8 * top, 2 * alpha**2 * longest * top))
    comparisons = []
    objects = {"k": len(heads), "n": example["n"], "alpha": alpha, "beta": beta, "heads": heads}
    for name in ("fo-anil", "anil", "maml"):
        spectrum = local_spectrum(get_learner(name), heads, alpha, beta)
        tolerance = spectrum.tolerance + 64 * implementation.eps
        largest = max(spectrum.growth, spectrum.rate)
        why = f"largest modulus of an eigenvalue of {name}"
        comparisons.append(Comparison(largest, 1.0, tolerance, why, objects=objects))
    return max(comparisons, key=lambda each: (not each.holds, each.value))


@st.composite
def scalar_heads(draw: st.DrawFn) -> Example:
    """k = 1: heads of the same or of different sign, a head with αβh² ≤ 1, step sizes with αβm_2 at most 0.4."""
    made = Entries(draw, floats)
    n = made.n()
    heads = made.vector(n)
    heads[0] = draw(floats(0.5, 2.0))
    return {
        "k": 1,
        "n": n,
        "alpha": draw(floats(0.25, 2.0)),
        "alpha beta m_2": draw(floats(1 / 16, 0.4)),
        "heads": [heads],
        "h over its bound": draw(floats(-1.0, 1.0)),
    }


def _large_head_in_balls() -> Confirmation | None:
    """That with heads 1 and 2, Mw = 2, α = β = 0.1 a perturbation of the span by 10^−7 more than doubles."""
    steps = 100  # 1.01^100 = 2.7

    def attempt() -> Found | None:
        step, S = ball(0.1), ball(1e-7)
        B0 = balls([[1], [0]]) * ((1 - S) / step).sqrt()
        start = Start(B0, balls([2]) * step.sqrt(), balls([[1, 2], [0, 0]]), step, step)
        *_, (t, B, _) = enclosed_run(derive(get_learner("fo-anil")), start, steps)
        growth = (1 - step * square(B)) / S
        return (t, (Exceeds(f"S_{t}/S_0", at_least(growth), 2.0),)) if growth > 2 else None

    return in_balls(attempt)


@claim(
    Verdict.SUPPORTED,
    source=own("the spectrum of the linearisation"),
    learners=["fo-anil"],
    exercises="step",
    rests_on="span-spectrum-fo-anil",
    floats=scalar_heads,
    confirm=_large_head_in_balls,
)
def fo_anil_large_head(example: Example, implementation: Implementation) -> Comparison:
    r"""FO-ANIL's fixed points with a large head are unstable: for $k = 1$ the span grows by
    $1 - 2\alpha\beta(m_2 - Mw\, m_1)$ a step, $m_j$ the heads' moments, so the fixed point is unstable where $Mw\,
    m_1 > m_2$. Heads 1 and 2, $Mw = 2$, $\alpha = \beta = 0.1$: growth 1.01.

    Given: $k = 1$, fixed tasks, $\alpha\beta m_2 \le 0.4$, $\alpha\beta (Mw)^2 \le 1$

    «stable»
    """
    heads, alpha, steps = array(example["heads"]), example["alpha"], 8
    m_1, m_2 = float(heads.mean()), float((heads**2).mean())
    beta = example["alpha beta m_2"] / (alpha * m_2)
    h = np.array([example["h over its bound"] / np.sqrt(alpha * beta)])
    end = follow(get_learner("fo-anil"), heads, alpha, beta, np.array([1.0, 0.0]), steps, implementation, h)
    factor = 1 - 2 * alpha * beta * (m_2 - float(h[0]) * m_1)
    # Second order in S: relatively the perturbation × αβ times the sizes of the linear terms, m_2, |h m_1| and h², at
    # most 3 together, in each step, and as much again through the head's drift; whatever is made in one step grows like
    # the rest, at most by the largest factor, which is below 1.6.
    reach = max(1.0, abs(factor)) ** (2 * steps)
    tolerance = 16 * left_out(implementation.eps) * steps * reach
    why = "span after eight steps minus (1 − 2αβ(m_2 − Mw m_1))^8"
    objects = {"k": 1, "n": example["n"], "alpha": alpha, "beta": beta, "heads": heads, "h": h}
    return close(float(end[0]), factor**steps, tolerance, why, objects, max(1.0, abs(factor**steps)))
