"""Claims about a learner wider than the truth with infinitely many samples: fixed points, and the rate near them."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from hypothesis import strategies as st

from metarep.sim.implementations import Implementation
from metarep.sim.learners import LEARNERS, META_LEARNERS, Learner
from metarep.sim.metrics import missing_distance
from metarep.sim.problems import FixedTasks, Problem, heads_with_spectrum
from metarep.sim.trajectories import run
from metarep.theory.calculus import alphabet as a
from metarep.theory.calculus.evaluation import evaluate_words
from metarep.theory.calculus.proofs import Proof
from metarep.theory.calculus.words import SCALARS, Rule, identity, zero
from metarep.theory.claims.comparing import farthest, same, same_step, step_scale, supported
from metarep.theory.claims.record import Comparison, Example, Measurement, Verdict, own
from metarep.theory.claims.strategies import (
    Entries,
    Numbers,
    Sizes,
    StepArrays,
    array,
    floats,
    fractions,
    ratios,
    reflected_identity,
)
from metarep.theory.claims.width import claim
from metarep.theory.dynamics.derive import task_gradients
from metarep.theory.dynamics.structure import PERPENDICULAR, right_factor

FO_ANIL = LEARNERS["fo-anil"]
YUKSEL = own("the phenomenon is that of Yüksel, Boursier, Flammarion 2024 (ICLR)")
WIDE = (
    r"any $k' \ge k$, any tasks, $w = 0$, $B = B_*M + B_{*\perp}Y$ with $\alpha MM^\top = I_k$ and $YM^\top = 0$, "
    r"any $\alpha$, $\beta$"
)

_OVER_ALPHA = tuple(-1 if name == "alpha" else 0 for name in SCALARS)
_WIDE_RULES = (*PERPENDICULAR, Rule("M", "M'", "", _OVER_ALPHA), Rule("Y", "M'", None))
_WIDE_POINT = {"B": a.B_star * a.M + a.B_perp * a.Y, "w": zero("k", "1"), "theta_i": a.B_star * a.w_star}


@st.composite
def wide_points(draw: st.DrawFn, numbers: Numbers = floats, balanced: bool = True) -> Example:
    """k' up to 2k + 1, α = 1/c², M = c [I 0] V (``balanced``) or any [M 0] V, Y = [0 Z] V, tasks, any Y."""
    made = Entries(draw, numbers, Sizes(2, 7, 12) if numbers is fractions else None)
    k = made.k(most=2 if made.exact else 99)
    width = made.draw(st.integers(k, 2 * k + 1))
    d = made.d(k + max(1, width - k))
    c = made.number(1, 2, power=1)
    n = made.n()
    return {
        "d": d,
        "k": k,
        "width": width,
        "n": n,
        "c": c,
        "ratio": made.draw(ratios(numbers)),
        "M": None if balanced else made.matrix(k, k, power=1),
        "Z": made.matrix(d - k, width - k, power=1) if width > k else [[] for _ in range(d - k)],
        "V": made.reflections(width),
        "heads": made.heads(k, n, power=2),
        "Y1": made.matrix(d - k, width, power=1),
    }


@dataclass(frozen=True)
class _WidePoint:
    """The arrays of a ``wide_points`` example: M (k, k'), Y and Y1 (rows, k'), V (k', k'), heads (k, n)."""

    M: np.ndarray
    Y: np.ndarray
    Y1: np.ndarray
    V: np.ndarray
    heads: np.ndarray
    alpha: Any
    beta: Any

    @classmethod
    def of(cls, example: Example) -> "_WidePoint":
        k, rows, c = example["k"], len(example["Z"]), example["c"]
        V = reflected_identity(example["V"])
        M = c * V[:k] if example["M"] is None else array(example["M"]) @ V[:k]
        Y = array(example["Z"]).reshape(rows, -1) @ V[k:] if len(V) > k else np.zeros((rows, k), dtype=int) * c
        alpha = 1 / (c * c)
        return cls(M, Y, array(example["Y1"]), V, array(example["heads"]), alpha, example["ratio"] * alpha)

    @property
    def sizes(self) -> dict[str, Any]:
        """k, and the width k', which ``StepArrays`` do not tell apart."""
        return {"k": len(self.heads), "width": len(self.V)}

    def at(self, *rows: np.ndarray) -> StepArrays:
        """The step's arrays for a B of these rows (M or another k × k' matrix first) and w = 0, where B_* = [I; 0]."""
        B = np.concatenate(rows)
        frame = np.eye(len(B), dtype=int).astype(B.dtype)
        k = len(self.heads)
        return StepArrays(B, 0 * self.V[0], self.heads, frame[:, :k], frame[:, k:], self.alpha, self.beta)


proved_claim = partial(claim, Verdict.PROVED, exercises="step", learners=META_LEARNERS, draws=wide_points, examples=40)

# --- fixed points


def _fixed_point_proof(proof: Proof) -> None:
    for name in META_LEARNERS:
        for part, what in zip(task_gradients(LEARNERS[name]), ("∇_B", "∇_w"), strict=True):
            there = part.substitute(_WIDE_POINT)
            there = proof.substituted(f"B = B_*M + B_{{*⊥}}Y, w = 0 into {what} of {name}", there)
            there = proof.rewritten(there, "αMMᵀ = I (M is k × k'), YMᵀ = 0", *_WIDE_RULES)
            proof.vanishes(f"{what} of {name}", there)


@proved_claim(given=WIDE, proof=_fixed_point_proof, at_any_pace="at a fixed point there is no step to shorten")
def width_fixed_points(example: Example, implementation: Implementation) -> Iterator[Comparison]:
    r"""For a representation of any width $k' \ge k$ every $B = B_*M + B_{*\perp}Y$ with $\alpha MM^\top = I_k$ and
    $YM^\top = 0$, and $w = 0$, is a fixed point of all four meta-learners, whatever the tasks: the superfluous part $Y$
    is free.
    """
    point = _WidePoint.of(example)
    at = point.at(point.M, point.Y)
    for learner in supported(implementation, META_LEARNERS):
        why = f"step of {learner.name} from there"
        yield same_step(implementation, learner, at, (at.B, at.w), why, objects=point.sizes)


# --- the local factor


def _rate_proof(proof: Proof) -> None:
    moved = (a.M.T * a.w_star * a.w_star.T * a.M).scaled(alpha=2, beta=1)
    for name in META_LEARNERS:
        factor = right_factor(LEARNERS[name]).substitute(_WIDE_POINT)
        factor = proof.substituted(f"B = B_*M + B_{{*⊥}}Y, w = 0 into N of {name}", factor)
        factor = proof.rewritten(factor, "αMMᵀ = I, YMᵀ = 0", *_WIDE_RULES)
        proof.equal(f"N of {name} and I − α²β MᵀΨ_*M", factor, identity("k") - moved)


@proved_claim(given=WIDE, rests_on="width-fixed-points", proof=_rate_proof, examples=24)
def width_local_factor(example: Example, implementation: Implementation) -> Iterator[Comparison]:
    r"""At these points the right factor of all four meta-learners is $N = I - \alpha^2\beta M^\top\Psi_* M$.

    Checked on the right factor's words, and on what the steps do to a small perpendicular part, to first order. Its
    eigenvalues are $1 - \alpha\beta\lambda_j$ ($\lambda_j$ those of $\Psi_*$) and $k' - k$ times $1$, as $\alpha^2
    M^\top\Psi_*M$ and $\alpha^2\Psi_*MM^\top = \alpha\Psi_*$ share their non-zero ones: the useful directions contract
    as for $k' = k$, the superfluous ones do not move.
    """
    point = _WidePoint.of(example)
    at = point.at(point.M, point.Y)
    seen = point.M.T @ at.heads
    predicted = np.eye(len(at.w), dtype=int) - at.alpha**2 * at.beta * seen @ seen.T / at.heads.shape[1]
    arrays = {"B": at.B, "w": at.w, "B_star": at.B_star, "w_star_i": at.heads}
    for name in META_LEARNERS:
        yield same(
            evaluate_words(right_factor(LEARNERS[name]), arrays, {"alpha": at.alpha, "beta": at.beta}),
            predicted,
            # the step's own words, without the B in front of N, which has entries of at least 1/2
            2 * step_scale(LEARNERS[name], at),
            implementation.eps,
            f"N of {name} minus I − α²β MᵀΨ_*M, largest entry",
            objects={**at.objects, **point.sizes},
        )
    for learner in supported(implementation, META_LEARNERS):
        yield _response(point, predicted, learner, implementation)


def _response(point: _WidePoint, factor: np.ndarray, learner: Learner, implementation: Implementation) -> Comparison:
    """What becomes of further perpendicular rows t·Y1 (r, k') in a step, to first order in t, against Y1·``factor``.

    Reflecting these rows' directions changes nothing else, and at w = 0 the step is a cubic of B: the rows come out as
    at + bt³.
    """
    moved = point.Y1
    ones, twos = (point.at(point.M, point.Y, t * moved) for t in (1, 2))
    one, two = (at.stepped(implementation, learner)[0][-len(moved) :] for at in (ones, twos))
    # (8·one − two)/6 adds the roundings of both; Y1·factor is a product of k' terms, below the step's own.
    return same(
        (8 * one - two) / 6,
        moved @ factor,
        (8 * step_scale(learner, ones) + step_scale(learner, twos)) / 6 * (1 + moved.shape[1]),
        implementation.eps,
        f"perpendicular rows after a step of {learner.name}, to first order, minus the rows before times N",
        objects={**point.at(point.M, point.Y).objects, **point.sizes, "Y": moved},
    )


# --- superfluous directions stay


def _kept_proof(proof: Proof) -> None:
    """FO-ANIL at w = 0 leaves B q alone where B_*ᵀB q = 0; M here is any k × k' matrix, s_bar stands for q."""
    gradient = task_gradients(FO_ANIL)[0].substitute(_WIDE_POINT)
    gradient = proof.substituted("B = B_*M + B_{*⊥}Y, w = 0 into ∇_B of FO-ANIL", gradient)
    along = proof.expanded("∇_B q", gradient * a.s_bar)
    along = proof.rewritten(along, "Mq = 0", *PERPENDICULAR, Rule("M", "s_bar", None))
    proof.vanishes("∇_B q", along)


@proved_claim(
    source=YUKSEL,
    learners=("fo-anil",),
    draws=partial(wide_points, balanced=False),
    proof=_kept_proof,
    at_any_pace="it says what a step leaves alone",
)
def width_never_unlearned(example: Example, implementation: Implementation) -> Comparison:
    r"""With infinitely many samples FO-ANIL at $w = 0$ never moves a superfluous direction: if $B_*^\top B q = 0$, then
    $B^+ q = B q$.

    Given: any $k' \ge k$, any tasks, $w = 0$, any $B$

    Exact ANIL does move such directions away from its fixed points.
    """
    point = _WidePoint.of(example)
    at = point.at(point.M, point.Y1)
    useless = point.V[example["k"] :].T  # B_*ᵀB is zero on these
    moved, kept = at.stepped(implementation, FO_ANIL)[0] @ useless, at.B @ useless
    scale = step_scale(FO_ANIL, at) * example["width"]
    why, objects = "movement of superfluous directions", {**at.objects, **point.sizes, "q": useless}
    return same(moved, kept, scale, implementation.eps, why, objects=objects)


# --- the rate seen

WIDTHS = ((3, 3), (3, 4), (3, 6))
"""(k, k'): as wide as the truth, one wider, twice as wide."""
ALPHA, BETA, SPECTRUM = 0.3, 0.3, (1.0, 0.8, 0.6)
STARTS = 4
"""Random starts of each width, at effort 1."""
DISTANCE_STEPS, DISTANCE_BOUND = 420, 0.005
"""The bound is relative, of log factors. When the fit begins the second mode has fallen to ((1 − 0.072)/(1 − 0.054))^t,
0.1 % of the first, and its square counts in a norm: it shows only where a start has next to nothing of the first, which
is why the median over the starts decides.
"""


@claim(Verdict.MEASURED, exercises="step", learners=META_LEARNERS, rests_on="width-local-factor")
def width_distance_rate(implementation: Implementation, seed: int, effort: float) -> Measurement:
    r"""For $k' = k$, $k + 1$ and $2k$ what the representation misses of the truth, $\|(I - P_B)B_*\|$, falls by
    $1 - \alpha\beta\mu_*^2$ a step in the end, for all four meta-learners.

    Given: $k = 3$, $n = 8$ heads in pairs $\pm$ with $\Psi_* = \mathrm{diag}(1, 0.8, 0.6)$ in some frame,
    $\alpha = \beta = 0.3$, $w_0 = 0$, random starts with $\alpha B_0^\top B_0 = I$

    Consistent if for every learner and width the logarithm of the median factor over the starts is within 0.5 % of the
    stated one's: a start with next to nothing of the slowest direction takes longer to show it.
    """
    rng = np.random.default_rng(seed)
    k, n, starts = 3, 8, max(2, round(STARTS * effort))
    half = heads_with_spectrum(np.array(SPECTRUM), n // 2, rng)
    tasks = FixedTasks(np.concatenate([half, -half], axis=1))
    predicted = 1 - ALPHA * BETA * min(SPECTRUM)
    details = {}
    for _, width in WIDTHS:
        rows = k + width
        truth = np.eye(rows, k)
        B0 = np.linalg.qr(rng.standard_normal((starts, rows, width)))[0] / np.sqrt(ALPHA)
        problem = Problem(rows, truth, tasks, B0, np.zeros(width), n)
        observe = {"missing": lambda B, w, step, truth=truth: missing_distance(B, truth)}
        how: dict[str, Any] = {"implementation": implementation, "record_every": 20, "observe": observe}
        for learner in supported(implementation, META_LEARNERS):
            found = run(learner, problem, ALPHA, BETA, DISTANCE_STEPS, **how)
            missing, times = found.observed["missing"], found.steps
            with np.errstate(all="ignore"):  # a foreign step may diverge: then nan is seen
                slopes = np.log(missing[-1] / missing[-4]) / (times[-1] - times[-4])
            details[f"{learner.name}, k' = {width}"] = np.exp(slopes).tolist()
    factors = np.array(list(details.values()))
    medians = np.median(factors, axis=1)
    worst = float(np.abs(np.log(medians) / np.log(predicted) - 1).max())
    return Measurement(
        float(np.median(factors)),
        farthest(factors, float(np.median(factors))),
        factors.size,
        f"factor of ‖(I − P_B)B_*‖ a step, fitted to the last 60 of {DISTANCE_STEPS}, median and the farthest "
        f"from it of {factors.size} runs; predicted {predicted:g}; the logarithms of the medians over the starts of a "
        f"learner and a width differ by {worst:.2%} at most, allowed are {DISTANCE_BOUND:.1%}",
        details,
        worst <= DISTANCE_BOUND,
    )
