"""Claims about a learner wider than the truth: fixed points, rates, how superfluous directions are unlearned."""

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
from hypothesis import strategies as st

from metarep.sim.implementations import Implementation
from metarep.sim.learners import LEARNERS, META_LEARNERS, Learner
from metarep.sim.metrics import missing_distance
from metarep.sim.problems import FixedTasks, Problem, heads_with_spectrum
from metarep.sim.sampling.samples import sampled_gradients
from metarep.sim.trajectories import run
from metarep.sim.wide import mean_step, run_mean
from metarep.theory.calculus import alphabet as a
from metarep.theory.calculus.expressions import evaluate_words
from metarep.theory.calculus.proofs import Proof
from metarep.theory.calculus.words import SCALARS, Rule, identity, zero
from metarep.theory.claims.comparing import (
    ROUNDINGS_PER_WORD,
    largest,
    most_strained,
    run_together,
    same,
    step_scale,
    supported,
)
from metarep.theory.claims.record import Claim, Comparison, Example, Measurement, Verdict, own
from metarep.theory.claims.strategies import (
    Numbers,
    StepArrays,
    array,
    floats,
    fractions,
    matrix,
    reflected_identity,
    reflections,
    step_sizes,
    vector,
)
from metarep.theory.dynamics.derive import task_gradients
from metarep.theory.dynamics.moments import mean_gradients
from metarep.theory.dynamics.structure import PERPENDICULAR, right_factor
from metarep.theory.dynamics.width import learned_second_moment, unlearning_constant

CHAPTER = "Wider than the truth"
YUKSEL = "the phenomenon is that of Yüksel, Boursier, Flammarion 2024 (ICLR)"
_OVER_ALPHA = tuple(-1 if name == "alpha" else 0 for name in SCALARS)
WIDE = (
    "any $k' \\ge k$, any tasks, $w = 0$, $B = B_*M + B_{*\\perp}Y$ with $\\alpha MM^\\top = I_k$ and $YM^\\top = 0$, "
    "$\\alpha \\ne \\beta$"
)


# --- infinite samples: proofs -----------------------------------------------------------------------------------------

_WIDE_RULES = (*PERPENDICULAR, Rule("M", "M'", "", _OVER_ALPHA), Rule("Y", "M'", None))
_WIDE_POINT = {"B": a.B_star * a.M + a.B_perp * a.Y, "w": zero("k", "1"), "theta_i": a.B_star * a.w_star}


def _fixed_point_proof() -> Proof:
    proof = Proof()
    for name in META_LEARNERS:
        for part, what in zip(task_gradients(LEARNERS[name]), ("∇_B", "∇_w"), strict=True):
            there = proof.substituted(
                f"B = B_*M + B_{{*⊥}}Y, w = 0 into {what} of {name}", part.substitute(_WIDE_POINT)
            )
            there = proof.rewritten(there, "αMMᵀ = I (M is k × k'), YMᵀ = 0", *_WIDE_RULES)
            proof.vanishes(f"{what} of {name}", there)
    return proof


def _rate_proof() -> Proof:
    proof = Proof()
    moved = (a.M.T * a.w_star * a.w_star.T * a.M).scaled(alpha=2, beta=1)
    for name in META_LEARNERS:
        factor = proof.substituted(
            f"B = B_*M + B_{{*⊥}}Y, w = 0 into N of {name}", right_factor(LEARNERS[name]).substitute(_WIDE_POINT)
        )
        factor = proof.rewritten(factor, "αMMᵀ = I, YMᵀ = 0", *_WIDE_RULES)
        proof.equal(f"N of {name} and I − α²β MᵀΨ_*M", factor, identity("k") - moved)
    return proof


def _factor_check(instance: Example, implementation: Implementation) -> Comparison:
    """The right factors' words at the point, and what the steps do to a small perpendicular part besides, against
    I − α²βMᵀΨ_*M.
    """
    at = _wide_arrays(instance)
    M, heads = at["M"], at["heads"]
    truth = np.eye(len(at["targets"]), len(heads), dtype=int).astype(M.dtype)
    B = np.concatenate([M, at["Y"]])
    arrays = {"B": B, "w": at["w"], "B_star": truth, "w_star_i": heads}
    scalars = {"alpha": at["alpha"], "beta": at["beta"]}
    seen = M.T @ heads
    predicted = np.eye(len(at["w"]), dtype=int) - at["alpha"] ** 2 * at["beta"] * seen @ seen.T / heads.shape[1]
    words = (
        same(
            evaluate_words(right_factor(LEARNERS[name]), arrays, scalars),
            predicted,
            # the step's own words, without the B in front of N, which has entries of at least 1/2
            0 if at["exact"] else 2 * _scale(at, B, LEARNERS[name]),
            implementation.eps,
            f"N of {name} minus I − α²β MᵀΨ_*M, largest entry",
        )
        for name in META_LEARNERS
    )
    moved = at["Y1"]
    steps = (
        _response(at, moved, moved @ predicted, learner, implementation)
        for learner in supported(implementation, META_LEARNERS)
    )
    return most_strained((*words, *steps))


def _response(
    at: dict[str, Any], moved: np.ndarray, predicted: np.ndarray, learner: Learner, implementation: Implementation
) -> Comparison:
    """What becomes of further perpendicular rows t·``moved`` (r, k') in a step, to first order in t.

    Reflecting these rows' directions changes nothing else, and at w = 0 the step is a cubic of B: the rows come out as
    at + bt³.
    """
    targets = np.concatenate([at["targets"], 0 * moved[:, :1] @ at["heads"][:1]])
    at = {**at, "targets": targets}

    def after(t: int) -> tuple[np.ndarray, float]:
        B = np.concatenate([at["M"], at["Y"], t * moved])
        next_B, _ = _steps(at, B, learner, implementation)
        return next_B[-len(moved) :], 0.0 if at["exact"] else _scale(at, B, learner)

    (one, scale), (two, twice) = after(1), after(2)
    # (8·one − two)/6 adds the roundings of both; ``predicted`` is a product of k' terms, below the step's own.
    return same(
        (8 * one - two) / 6,
        predicted,
        (8 * scale + twice) / 6 * (1 + moved.shape[1]),
        implementation.eps,
        f"perpendicular rows after a step of {learner.name}, to first order, minus the rows before times N",
    )


def _kept_proof() -> Proof:
    """FO-ANIL at w = 0 leaves B q alone where B_*ᵀB q = 0; M here is any k × k' matrix, s_bar stands for q."""
    proof = Proof()
    at = {**_WIDE_POINT}
    gradient = proof.substituted(
        "B = B_*M + B_{*⊥}Y, w = 0 into ∇_B of FO-ANIL", task_gradients(LEARNERS["fo-anil"])[0].substitute(at)
    )
    along = proof.expanded("∇_B q", gradient * a.s_bar)
    along = proof.rewritten(along, "Mq = 0", *PERPENDICULAR, Rule("M", "s_bar", None))
    proof.vanishes("∇_B q", along)
    return proof


# --- infinite samples: instances --------------------------------------------------------------------------------------


@st.composite
def wide_points(draw: st.DrawFn, numbers: Numbers = floats, balanced: bool = True) -> Example:
    """k ≤ 2, k' up to 2k + 1, α = 1/c², M = c [I 0] V (``balanced``) or any [M 0] V, Y = [0 Z] V,
    tasks, any Y."""
    k = draw(st.integers(1, 2))
    width = draw(st.integers(k, 2 * k + 1))
    rows = draw(st.integers(max(1, width - k), 4))
    c = draw(numbers(1, 2))
    _, ratio = draw(step_sizes(numbers))
    n = draw(st.integers(2, 4))
    return {
        "k": k,
        "width": width,
        "c": c,
        "beta": ratio / 2,
        "M": None if balanced else draw(matrix(numbers, k, k)),
        "Z": draw(matrix(numbers, rows, width - k)) if width > k else [[] for _ in range(rows)],
        "V": draw(reflections(numbers, width)),
        "heads": draw(matrix(numbers, k, n)),
        "Y1": draw(matrix(numbers, rows, width)),
    }


def _wide_arrays(instance: Example) -> dict[str, Any]:
    k, width, c = instance["k"], instance["width"], instance["c"]
    exact = isinstance(c, Fraction)
    one: Any = Fraction(1) if exact else 1.0
    V = reflected_identity(instance["V"]) * one
    rows = len(instance["Z"])
    core = np.eye(k, dtype=int) * one * c if instance["M"] is None else array(instance["M"]) * one
    Z = array(instance["Z"]).reshape(rows, width - k) * one
    M = core @ V[:k]
    Y = Z @ V[k:] if width > k else np.zeros((rows, width), dtype=int) * one
    heads = array(instance["heads"]) * one
    zeros = np.zeros((rows, heads.shape[1]), dtype=int) * one
    return {
        "M": M,
        "Y": Y,
        "Y1": array(instance["Y1"]) * one,
        "V": V,
        "targets": np.concatenate([heads, zeros]),
        "heads": heads,
        "alpha": one / (c * c),
        "beta": instance["beta"] * one,
        "w": np.zeros(width, dtype=int) * one,
        "exact": exact,
    }


def _scale(at: dict[str, Any], B: np.ndarray, learner: Learner) -> float:
    """The largest sum of words' moduli of a step."""
    k, rows = len(at["heads"]), len(B)
    frame = np.eye(rows)
    arrays = StepArrays(B, at["w"], at["heads"], frame[:, :k], frame[:, k:], at["alpha"], at["beta"])
    return step_scale(learner, arrays)


def _tolerance(at: dict[str, Any], B: np.ndarray, learner: Learner, eps: float) -> float:
    """Roundings of the largest sum of words' moduli, as in ``comparing.same``."""
    return 0.0 if at["exact"] else eps * ROUNDINGS_PER_WORD * _scale(at, B, learner)


def _steps(at: dict[str, Any], B: np.ndarray, learner: Learner, implementation: Implementation) -> tuple[Any, Any]:
    return implementation.step(learner, B, at["w"], at["targets"], at["alpha"], at["beta"])


def _fixed_check(instance: Example, implementation: Implementation) -> Comparison:
    at = _wide_arrays(instance)
    B = np.concatenate([at["M"], at["Y"]])
    results = []
    for learner in supported(implementation, META_LEARNERS):
        next_B, next_w = _steps(at, B, learner, implementation)
        moved = run_together(next_B - B, next_w)
        results.append(
            Comparison(
                largest(moved), 0, _tolerance(at, B, learner, implementation.eps), f"step of {learner.name} from there"
            )
        )
    return most_strained(results)


def _kept_check(instance: Example, implementation: Implementation) -> Comparison:
    at = _wide_arrays(instance)
    k = instance["k"]
    B = np.concatenate([at["M"], at["Y1"]])
    useless = at["V"][k:].T  # B_*ᵀB is zero on these
    next_B, _ = _steps(at, B, LEARNERS["fo-anil"], implementation)
    tolerance = _tolerance(at, B, LEARNERS["fo-anil"], implementation.eps) * instance["width"]
    return Comparison(largest((next_B - B) @ useless), 0, tolerance, "movement of superfluous directions")


# --- finite samples: exact --------------------------------------------------------------------------------------------


@st.composite
def mean_points(draw: st.DrawFn, numbers: Numbers = fractions) -> Example:
    """Any P, Y, heads that come in pairs ±, step sizes, m, noise."""
    k, rows = draw(st.integers(1, 2)), draw(st.integers(1, 2))
    width = draw(st.integers(k, k + 2))
    alpha, beta = draw(step_sizes(numbers))
    return {
        "k": k,
        "width": width,
        "alpha": alpha,
        "beta": beta,
        "m": draw(st.integers(1, 20)),
        "noise": draw(numbers(0, 2)),
        "P": draw(matrix(numbers, k, width)),
        "Y": draw(matrix(numbers, rows, width)),
        "heads": draw(matrix(numbers, k, draw(st.integers(1, 3)))),
    }


def _mean_check(instance: Example, implementation: Implementation) -> Comparison:
    P, Y, heads = array(instance["P"]), array(instance["Y"]), array(instance["heads"])
    alpha, beta, m, noise = instance["alpha"], instance["beta"], instance["m"], instance["noise"]
    exact = isinstance(alpha, Fraction)
    one: Any = Fraction(1) if exact else 1.0
    pairs = np.concatenate([heads, -heads], axis=1) * one
    B = np.concatenate([P, Y]) * one
    k = len(P)
    targets = np.concatenate([pairs, np.zeros((len(Y), pairs.shape[1]), dtype=int) * one])
    fo_anil, samples = LEARNERS["fo-anil"], one * m
    grad_B, grad_w = mean_gradients(fo_anil, B, 0 * B[0], targets, alpha, samples, None, noise=noise)
    second = pairs @ pairs.T / pairs.shape[1]
    by_hand = np.concatenate(mean_step(B[:k], B[k:], second, alpha, beta, m, noise))
    difference = run_together(by_hand - (B - beta * grad_B), beta * grad_w)
    # Three factors B, two θ, sums over at most 4 rows and 6 tasks: fewer than 100 roundings of this size.
    norm = 1.0 if exact else float(np.linalg.norm(B) ** 3 * (np.linalg.norm(pairs) ** 2 + noise) + np.linalg.norm(B))
    return Comparison(largest(difference), 0, 0 if exact else 100 * implementation.eps * (1 + norm), "hand − Isserlis")


@st.composite
def resting_points(draw: st.DrawFn, numbers: Numbers = fractions) -> Example:
    """A limit that is rational: its singular values p_j are drawn, and from them α, Σ_* and σ² are computed.

    With x_j = αp_j²(m + 1)/m the limit's equation says σ_j = x_j t/(1 − x_j), t = τ/(m + 1); τ = tr Σ_* + σ² then needs
    Σ x_j/(1 − x_j) ≤ m + 1, which α small enough ensures.
    """
    k = draw(st.integers(1, 3))
    width = draw(st.integers(k, 2 * k))
    return {
        "k": k,
        "width": width,
        "p": draw(st.lists(numbers(1 / 4, 2), min_size=k, max_size=k)),
        "m": draw(st.integers(1, 20)),
        "slack": draw(numbers(1 / 4, 1)),
        "t": draw(numbers(1 / 4, 2)),
        "beta": draw(numbers(1 / 8, 1)),
        "U": draw(reflections(numbers, k)),
        "V": draw(reflections(numbers, width)),
        "Y": draw(matrix(numbers, draw(st.integers(1, 3)), width)),
        "q": draw(vector(numbers, width)),
    }


def _resting_arrays(instance: Example) -> dict[str, Any]:
    k, m, p = instance["k"], instance["m"], instance["p"]
    exact = isinstance(p[0], Fraction)
    one: Any = Fraction(1) if exact else 1.0
    alpha = instance["slack"] * one * m / ((m + 1 + k) * max(p) ** 2)
    shares = [alpha * value * value * (m + 1) / m for value in p]
    spectrum = np.array([x * instance["t"] / (1 - x) for x in shares], dtype=object if exact else float)
    U, V = reflected_identity(instance["U"]) * one, reflected_identity(instance["V"]) * one
    P = (U * np.array(p, dtype=spectrum.dtype)) @ V[:k]
    return {
        "P": P,
        "second": (U * spectrum) @ U.T,
        "alpha": alpha,
        "beta": instance["beta"] * one,
        "m": m,
        "noise": (m + 1) * instance["t"] - sum(spectrum),
        "V": V,
        "exact": exact,
    }


def _resting_check(instance: Example, implementation: Implementation) -> Comparison:
    at = _resting_arrays(instance)
    P, Y = at["P"], np.zeros((1, instance["width"]), dtype=at["P"].dtype)
    next_P, _ = mean_step(P, Y, at["second"], at["alpha"], at["beta"], at["m"], at["noise"])
    results = [_compared(next_P - P, at, implementation, "mean step from the limit")]
    if not at["exact"]:
        limit = learned_second_moment(at["second"], at["alpha"], at["m"], at["noise"])
        results.append(
            _compared(P @ P.T - limit, at, implementation, "PPᵀ and the formula", extra=float(np.abs(limit).max()))
        )
    return most_strained(results)


def _compared(
    difference: np.ndarray, at: dict[str, Any], implementation: Implementation, why: str, extra: float = 0.0
) -> Comparison:
    """Sums of a few products of matrices of at most 6 columns, each term at most |P| + what α, β, Σ_*
    multiply it with."""
    if at["exact"]:
        return Comparison(largest(difference), 0, 0, why)
    P, second, alpha, beta = at["P"], at["second"], float(at["alpha"]), float(at["beta"])
    total = float(np.trace(second)) + float(at["noise"])
    size = float(np.linalg.norm(P)) * (1 + alpha * beta * total * (1 + alpha * float(np.linalg.norm(P)) ** 2))
    # The formula solves with Σ_* + τ/(m + 1) I, whose condition is at most 1 + (m + 1).
    return Comparison(largest(difference), 0, implementation.eps * 100 * (size + extra * (2 + at["m"])), why)


def _linear_part(Y: np.ndarray, at: dict[str, Any]) -> np.ndarray:
    """The part linear in Y of the perpendicular part's next value, which has only a linear and a cubic one."""
    one, two = (
        mean_step(at["P"], scale * Y, at["second"], at["alpha"], at["beta"], at["m"], at["noise"])[1]
        for scale in (1, 2)
    )
    return (8 * one - two) / 6


def _finite_rate_check(instance: Example, implementation: Implementation) -> Comparison:
    at = _resting_arrays(instance)
    Y = array(instance["Y"]) * (Fraction(1) if at["exact"] else 1.0)
    k, next_Y = instance["k"], _linear_part(Y, at)
    useful = next_Y @ at["P"].T - Y @ at["P"].T + at["alpha"] * at["beta"] * (Y @ at["P"].T @ at["second"])
    useless = (next_Y - Y) @ at["V"][k:].T
    scaled = dict(at, P=np.concatenate([at["P"], Y]))
    if at["exact"]:
        return Comparison(largest(run_together(useful, useless)), 0, 0, "Y⁺Pᵀ − YPᵀ(I − αβΣ_*), Y⁺V − YV")
    # Cubic parts as large as (τ/m) α²β |2Y|³ cancel; times |P| for the useful directions.
    cubic = float(at["alpha"]) ** 2 * float(at["beta"]) * (float(np.trace(at["second"])) + float(at["noise"]))
    extra = (1 + cubic * float(np.linalg.norm(scaled["P"])) ** 2) * 10 * float(np.linalg.norm(scaled["P"])) ** 2
    return _compared(run_together(useful, useless), scaled, implementation, "Y⁺Pᵀ − YPᵀ(I − αβΣ_*), Y⁺V − YV", extra)


# --- measurements -----------------------------------------------------------------------------------------------------

WIDTHS = ((3, 3), (3, 4), (3, 6))
"""(k, k'): as wide as the truth, one wider, twice as wide."""
LIMIT_SAMPLES, UNLEARNING_SAMPLES = (1, 5, 20, 100), (1, 5, 20)
ALPHA, BETA, NOISE = 0.3, 0.3, 0.5
SPECTRUM = (1.0, 0.8, 0.6)


def wide_runs(
    width: int, samples: Sequence[int | None], record_at: np.ndarray, seed: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Mean runs from random starts of size 1/√α, for each m: (P, Y) at the recorded steps."""
    second = np.diag(SPECTRUM)
    k = len(SPECTRUM)
    results = []
    for m in samples:
        rng = np.random.default_rng((seed, width))
        # Orthonormal up to scale, so that no superfluous direction is tiny from the beginning.
        B = np.linalg.qr(rng.standard_normal((k + width + 1, width)))[0] / np.sqrt(ALPHA)
        results.append(run_mean(B[:k], B[k:], second, ALPHA, BETA, m, NOISE, record_at))
    return results


STARTS = 4
"""Random starts of each width, at effort 1."""
LIMIT_STEPS, LIMIT_BOUND = 1500, 1e-9
"""The slowest useful mode falls like (1 − 0.054)^t, so after so many steps rounding alone is left: eps times the steps
that are remembered (20) times the entries that a step adds up, far below the bound."""
UNLEARNING_TIMES = (1000, 2000)
SAMPLING_DRAWS, SAMPLING_BOUND = 80_000, 4.5
"""τ to 0.4 %. The bound is in standard errors: the largest of a dozen normal differences exceeds it once in 10 000
seeds."""
DISTANCE_STEPS, DISTANCE_BOUND = 420, 0.005
"""The bound is relative, of log factors. When the fit begins the second mode has fallen to ((1 − 0.072)/(1 − 0.054))^t,
0.1 % of the first, and its square counts in a norm: it shows only where a start has next to nothing of the first, which
is why the median over the starts decides."""


def _starts(width: int, effort: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Random starts (P, Y) of one width, (starts, 1, rows, k'): orthonormal columns times 1/2 to 1 times 1/√α."""
    rng = np.random.default_rng((seed, width))
    k, count = len(SPECTRUM), max(2, round(STARTS * effort))
    frames = np.linalg.qr(rng.standard_normal((count, 1, k + width + 1, width)))[0]
    B = frames * rng.uniform(0.5, 1.0, (count, 1, 1, 1)) / np.sqrt(ALPHA)
    return B[..., :k, :], B[..., k:, :]


def _limit_measure(implementation: Implementation, seed: int, effort: float) -> Measurement:
    """Entries seen over the formula's, of all widths, numbers of samples and starts."""
    second, samples = np.diag(SPECTRUM), np.array(LIMIT_SAMPLES)
    ratios, details = [], {}
    # Σ_* is diagonal, and so is the formula; what the other entries differ by counts in units of its largest.
    limits = np.stack([learned_second_moment(second, ALPHA, m, NOISE) for m in LIMIT_SAMPLES])
    off, count = 0.0, 0
    for k, width in WIDTHS:
        at = run_mean(*_starts(width, effort, seed), second, ALPHA, BETA, samples, NOISE, np.array([LIMIT_STEPS]))
        seen = at[0][-1] @ np.swapaxes(at[0][-1], -1, -2)
        errors = np.abs(seen - limits).max((-2, -1)) / np.abs(limits).max((-2, -1))
        off, count = max(off, float(errors.max())), count + errors.size
        ratios.append((np.diagonal(seen, 0, -2, -1) / np.diagonal(limits, 0, -2, -1)).ravel())
        for m, error in zip(LIMIT_SAMPLES, errors.max(0), strict=True):
            details[f"k = {k}, k' = {width}, m = {m}"] = float(error)
    every = np.concatenate(ratios)
    return Measurement(
        float(every.mean()),
        float(every.std()),
        count,
        f"diagonal of B_*ᵀBBᵀB_* after {LIMIT_STEPS} steps over the formula's (predicted: 1), mean and standard "
        f"deviation over {count} runs; the largest deviation of any entry is {off:.1e} of the largest, allowed are "
        f"{LIMIT_BOUND:.0e}",
        details,
        off <= LIMIT_BOUND,
    )


def _unlearning_measure(implementation: Implementation, seed: int, effort: float) -> Measurement:
    """m times the growth of 1/s² a step, which the statement says is 2α²βτ for every m.

    s⁺ = s(1 − cs²), c = α²βτ/m, adds 2c(1 + 3/2 cs² + ...) to 1/s²: the growth seen is above 2c, by a share of at
    most 3/2 cs² with s from the beginning of the window.
    """
    times, samples = np.array(UNLEARNING_TIMES), np.array(UNLEARNING_SAMPLES)
    constants = np.array([unlearning_constant(np.diag(SPECTRUM), ALPHA, BETA, m, NOISE) for m in UNLEARNING_SAMPLES])
    growths, consistent, details = [], True, {}
    for k, width in WIDTHS[1:]:
        _, Y = run_mean(*_starts(width, effort, seed), np.diag(SPECTRUM), ALPHA, BETA, samples, NOISE, times)
        first, last = np.linalg.svd(Y, compute_uv=False)[..., : width - k]  # (starts, m, k' − k)
        growth = (1 / last**2 - 1 / first**2) / (times[1] - times[0])
        excess = growth * constants[:, None] - 1
        # cs² is s²/(2·constant); twice the leading term leaves room for those that follow (cs² < 10⁻³ here), the
        # rest for rounding: eps times so many steps.
        allowed = 2 * 0.75 * first**2 / constants[:, None]
        consistent = consistent and bool((excess <= allowed).all() and (excess >= -1e-12).all())
        growths.append((growth * samples[:, None]).ravel())
        for number, m in enumerate(UNLEARNING_SAMPLES):
            details[f"k = {k}, k' = {width}, m = {m}"] = {
                "constant": float(constants[number]),
                "s2_times_t": (last[:, number] ** 2 * times[1]).ravel().tolist(),
                "growth_ratio": (1 + excess[:, number]).ravel().tolist(),
            }
    every = np.concatenate(growths)
    predicted = float(UNLEARNING_SAMPLES[0] / constants[0])
    return Measurement(
        float(every.mean()),
        float(every.std()),
        every.size,
        f"m times the growth of 1/s² a step from step {times[0]} to {times[1]}, mean and standard deviation over "
        f"{every.size} singular values; predicted 2α²βτ = {predicted:.6g}, and above it by a share of at most 3/2 cs² "
        "(c = α²βτ/m), the next order",
        details,
        consistent,
    )


def _sampling_measure(implementation: Implementation, seed: int, effort: float) -> Measurement:
    """Means of sampled gradients against the mean map, entry by entry; and τ, fitted to them.

    E∇_B is linear in τ with slope α²BBᵀB/m, so the projection of the mean gradient on it estimates τ, far better than
    any single entry does. What τ should be is read off the mean map in the same way.
    """
    rng = np.random.default_rng(seed)
    d, k, width, m = 4, 2, 3, 3
    draws = max(4000, round(SAMPLING_DRAWS * min(effort, 3.0)))  # all at once: beyond that memory is the limit
    heads = np.array([[1.0, -0.5], [0.3, 0.8]])
    heads = np.concatenate([heads, -heads], axis=1)
    n = heads.shape[1]
    B = np.linalg.qr(rng.standard_normal((d, width)))[0] * np.array([1.5, 1.2, 0.9])
    targets = np.eye(d, k) @ heads

    def data(size: int) -> tuple[np.ndarray, np.ndarray]:
        X = rng.standard_normal((draws, n, size, d))
        noise = np.sqrt(NOISE) * rng.standard_normal((draws, n, size))
        return X, (X @ targets.T[:, :, None])[..., 0] + noise

    learner = LEARNERS["fo-anil"]
    batch_B, batch_w = np.broadcast_to(B, (draws, d, width)), np.zeros((draws, width))
    grad_B, _ = sampled_gradients(learner, batch_B, batch_w, *data(m), *data(4), ALPHA)
    expected = B - np.concatenate(mean_step(B[:k], B[k:], heads @ heads.T / n, ALPHA, 1.0, m, NOISE))
    scores = np.abs(grad_B.mean(0) - expected) / (grad_B.std(0, ddof=1) / np.sqrt(draws))
    T = targets @ targets.T / n
    free = ALPHA**2 * (1 + 1 / m) * (B @ (B.T @ T @ B)) - ALPHA * (T @ B)  # what of the mean update is free of τ
    slope = ALPHA**2 * (B @ (B.T @ B)) / m
    fitted = ((grad_B - free) * slope).sum((-2, -1)) / (slope * slope).sum()
    tau = float(((expected - free) * slope).sum() / (slope * slope).sum())
    error = float(fitted.std(ddof=1) / np.sqrt(draws))
    off, worst = abs(float(fitted.mean()) - tau) / error, float(scores.max())
    return Measurement(
        float(fitted.mean()),
        error,
        draws,
        f"τ fitted to the mean of the sampled gradients, and its standard error; the mean map has {tau:.4g}, {off:.1f} "
        f"standard errors off; the largest of {scores.size} entries' deviations from the mean update is {worst:.1f} "
        f"standard errors; allowed are {SAMPLING_BOUND:g}",
        {"tau": tau, "standard_errors_of_tau": off, "largest_of_entries": worst},
        max(off, worst) <= SAMPLING_BOUND,
    )


def _distance_measure(implementation: Implementation, seed: int, effort: float) -> Measurement:
    """Late slopes of log ‖(I − P_B)B_*‖ for the meta-learners, m = ∞, against log(1 − αβμ_*²)."""
    rng = np.random.default_rng(seed)
    k, n, steps, starts = 3, 8, DISTANCE_STEPS, max(2, round(STARTS * effort))
    half = heads_with_spectrum(np.array(SPECTRUM), n // 2, rng)
    heads = np.concatenate([half, -half], axis=1)
    predicted = 1 - ALPHA * BETA * min(SPECTRUM)
    details, factors = {}, []
    for _, width in WIDTHS:
        rows = k + width
        B0 = np.linalg.qr(rng.standard_normal((starts, rows, width)))[0]
        problem = Problem(rows, np.eye(rows, k), FixedTasks(heads), B0 / np.sqrt(ALPHA), np.zeros(width), n)
        for learner in supported(implementation, META_LEARNERS):
            found = run(
                learner, problem, ALPHA, BETA, steps, implementation=implementation, record_every=20,
                observe={"missing": lambda B, w, step: missing_distance(B, np.eye(B.shape[-2], k))},
            )  # fmt: skip
            missing, times = found.observed["missing"], found.steps
            with np.errstate(all="ignore"):  # a foreign step may diverge: then nan is seen
                slopes = np.log(missing[-1] / missing[-4]) / (times[-1] - times[-4])
            factors.append(np.exp(slopes))
            details[f"{learner.name}, k' = {width}"] = [float(value) for value in factors[-1]]
    every = np.concatenate(factors)
    medians = np.median(factors, axis=1)
    worst = float(np.abs(np.log(medians) / np.log(predicted) - 1).max())
    return Measurement(
        float(np.median(every)),
        float(every.std()),
        every.size,
        f"factor of ‖(I − P_B)B_*‖ a step, fitted to the last 60 of {steps}, median and standard deviation over "
        f"{every.size} runs; predicted {predicted:g}; the logarithms of the medians over the starts of a learner and a "
        f"width differ by {worst:.2%} at most, allowed are {DISTANCE_BOUND:.1%}",
        details,
        worst <= DISTANCE_BOUND,
    )


CLAIMS = (
    Claim(
        id="width-fixed-points",
        chapter=CHAPTER,
        statement=r"For a representation of any width $k' \ge k$ every $B = B_*M + B_{*\perp}Y$ with $\alpha "
        r"MM^\top = I_k$ and "
        r"$YM^\top = 0$, and $w = 0$, is a fixed point of all four meta-learners, whatever the tasks: "
        r"the superfluous part "
        r"$Y$ is free.",
        source=own(),
        hypotheses=WIDE,
        expected=Verdict.PROVED,
        learners=META_LEARNERS,
        exercises=frozenset({"step"}),
        proof=_fixed_point_proof,
        floats=lambda: wide_points(floats),
        fractions=lambda: wide_points(fractions),
        check=_fixed_check,
        examples=40,
    ),
    Claim(
        id="width-local-factor",
        chapter=CHAPTER,
        statement=r"At these points the right factor of all four meta-learners is $N = I - \alpha^2\beta "
        r"M^\top\Psi_* M$.",
        source=own(),
        hypotheses=WIDE,
        expected=Verdict.PROVED,
        learners=META_LEARNERS,
        exercises=frozenset({"step"}),
        rests_on=("width-fixed-points",),
        proof=_rate_proof,
        floats=lambda: wide_points(floats),
        fractions=lambda: wide_points(fractions),
        check=_factor_check,
        examples=24,
        remark=r"Checked on the right factor's words, and on what the steps do to a small perpendicular part, to first "
        r"order. Its eigenvalues are $1 - \alpha\beta\lambda_j$ ($\lambda_j$ those of $\Psi_*$) and $k' - k$ times "
        r"$1$, as $\alpha^2 M^\top\Psi_*M$ and $\alpha^2\Psi_*MM^\top = \alpha\Psi_*$ share their non-zero ones: "
        r"the useful directions contract as for $k' = k$, the superfluous ones do not move.",
    ),
    Claim(
        id="width-never-unlearned",
        chapter=CHAPTER,
        statement=r"With infinitely many samples FO-ANIL at $w = 0$ never moves a superfluous direction: if "
        r"$B_*^\top B q = 0$, then $B^+ q = B q$.",
        source=own(YUKSEL),
        hypotheses=r"any $k' \ge k$, any tasks, $w = 0$, any $B$",
        expected=Verdict.PROVED,
        learners=("fo-anil",),
        exercises=frozenset({"step"}),
        proof=_kept_proof,
        floats=lambda: wide_points(floats, balanced=False),
        fractions=lambda: wide_points(fractions, balanced=False),
        check=_kept_check,
        examples=40,
        remark="Exact ANIL does move such directions away from its fixed points.",
    ),
    Claim(
        id="width-distance-rate",
        chapter=CHAPTER,
        statement=r"For $k' = k$, $k + 1$ and $2k$ what the representation misses of the truth, $\|(I - "
        r"P_B)B_*\|$, falls by "
        r"$1 - \alpha\beta\mu_*^2$ a step in the end, for all four meta-learners.",
        source=own(),
        hypotheses=r"$k = 3$, $n = 8$ heads in pairs $\pm$ with $\Psi_* = \mathrm{diag}(1, 0.8, 0.6)$ in some frame, "
        r"$\alpha = \beta = 0.3$, $w_0 = 0$, random starts with $\alpha B_0^\top B_0 = I$",
        expected=Verdict.MEASURED,
        kind="measurement",
        learners=META_LEARNERS,
        exercises=frozenset({"step"}),
        rests_on=("width-local-factor",),
        measure=_distance_measure,
        remark="Consistent if for every learner and width the logarithm of the median factor over the starts is within "
        "0.5 % of the stated one's: a start with next to nothing of the slowest direction takes longer to show it.",
    ),
    Claim(
        id="width-mean-update",
        chapter=CHAPTER,
        statement=r"With $m$ inner samples and heads of mean zero and second moment $\Sigma_*$, FO-ANIL's mean "
        r"update at $w = 0$ is "
        r"$E\nabla_B = \alpha^2 B\left(B^\top TB + \frac{1}{m}(B^\top TB + \tau B^\top B)\right) - \alpha TB$ with "
        r"$T = B_*\Sigma_*B_*^\top$ and $\tau = \mathrm{tr}\Sigma_* + \sigma^2$, and $w$ stays zero.",
        source=own("Isserlis"),
        hypotheses=r"Gaussian data, any $B$ of any width, heads that come in pairs $\pm$, any $m \ge 1$, $\sigma^2 "
        r"\ge 0$",
        expected=Verdict.EXACT,
        floats=lambda: mean_points(floats),
        fractions=lambda: mean_points(fractions),
        check=_mean_check,
        examples=40,
        remark="Of the heads only the second moment enters: they need not be Gaussian.",
    ),
    Claim(
        id="width-mean-update-sampled",
        chapter=CHAPTER,
        statement=r"The mean of FO-ANIL's updates over actual samples is that mean update; $\tau$ fitted to it is "
        r"$\mathrm{tr}\Sigma_* + \sigma^2$.",
        source=own(),
        hypotheses="$d = 4$, $k = 2$, $k' = 3$, $m = 3$, four tasks, noise, one random $B$",
        expected=Verdict.MEASURED,
        kind="measurement",
        learners=("fo-anil",),
        rests_on=("width-mean-update",),
        measure=_sampling_measure,
        remark="Consistent if neither τ nor any entry is further off than 4.5 standard errors.",
    ),
    Claim(
        id="width-limit-rests",
        chapter=CHAPTER,
        statement=r"The mean update is at rest wherever $B = B_*P$ with "
        r"$PP^\top = \frac{1}{\alpha}\frac{m}{m+1}\Sigma_*\left(\Sigma_* + "
        r"\frac{\tau}{m+1}I\right)^{-1}$, for every width.",
        source=own(YUKSEL),
        hypotheses=r"any $k' \ge k$, $m \ge 1$, $\alpha \ne \beta$; $\Sigma_*$ and $\sigma^2$ computed from a drawn "
        r"limit",
        expected=Verdict.EXACT,
        rests_on=("width-mean-update",),
        floats=lambda: resting_points(floats),
        fractions=lambda: resting_points(fractions),
        check=_resting_check,
        examples=40,
    ),
    Claim(
        id="width-useful-rate",
        chapter=CHAPTER,
        statement=r"There the useful part of $Y = B_{*\perp}^\top B$ contracts as with infinitely many samples, "
        r"$Y^+P^\top = YP^\top(I - \alpha\beta\Sigma_*)$ to first order, whatever $m$, $\sigma^2$ and $k'$; "
        r"to first order $Yq$ stays where $Pq = 0$.",
        source=own(),
        hypotheses="as before",
        expected=Verdict.EXACT,
        rests_on=("width-limit-rests",),
        floats=lambda: resting_points(floats),
        fractions=lambda: resting_points(fractions),
        check=_finite_rate_check,
        examples=40,
    ),
    Claim(
        id="width-limit",
        chapter=CHAPTER,
        statement=r"From random starts FO-ANIL's mean update reaches that limit: $B_*^\top BB^\top B_* \to "
        r"\frac{1}{\alpha}\frac{m}{m+1}\Sigma_*\left(\Sigma_* + \frac{\tau}{m+1}I\right)^{-1}$ for $k' = "
        r"k$, $k+1$, $2k$.",
        source=own(YUKSEL),
        hypotheses=r"$\alpha = \beta = 0.3$, $\Sigma_* = \mathrm{diag}(1, 0.8, 0.6)$, $\sigma^2 = 0.5$, $m = 1, 5, 20, "
        r"100$; starts with orthonormal columns times $0.5$ to $1$ times $1/\sqrt\alpha$, several of each width; "
        r"1500 steps",
        expected=Verdict.MEASURED,
        kind="measurement",
        learners=("fo-anil",),
        rests_on=("width-limit-rests",),
        measure=_limit_measure,
        remark="That almost every start ends there is seen, not proved. Consistent if no entry is off by more than "
        "1e-9 of the largest.",
    ),
    Claim(
        id="width-slow-unlearning",
        chapter=CHAPTER,
        statement=r"The superfluous directions are unlearned slowly: in the end $1/s^2$ of their singular values "
        r"grows by $\frac{2\alpha^2\beta\tau}{m}$ a step, so that $s_t^2\, t \to \frac{m}{2\alpha^2\beta\tau}$.",
        source=own(YUKSEL),
        hypotheses="as before, $k' = k + 1$ and $2k$, $m = 1, 5, 20$; steps 1000 to 2000",
        expected=Verdict.MEASURED,
        kind="measurement",
        learners=("fo-anil",),
        rests_on=("width-limit",),
        measure=_unlearning_measure,
        remark=r"$s^+ = s(1 - cs^2)$ with $c = \alpha^2\beta\tau/m$ once the useful part rests. Consistent if the "
        r"growth is above the stated one by a share between $0$ and twice the next order, $\frac{3}{2} cs^2$ (below "
        r"$0.2$ %); $s^2t$ itself comes close only like $1/t$.",
    ),
)
