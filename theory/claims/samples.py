"""Claims about finite samples: mean updates and moments by Isserlis' theorem, and FO-ANIL's noise floor.

Moments are checked through the hand-written simulator on explicit data (``metarep.sim.sampling.samples``) by *cubature*: Gaussian data
are replaced by weighted rational points with the same moments up to the degree in which the data enter, so that the
expectation is a finite sum, exact in fractions. The floor is measured with the simulator in law.
"""

import math
from collections.abc import Callable
from fractions import Fraction
from functools import cache
from itertools import product
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st

from metarep.sim.implementations import Implementation
from metarep.sim.learners import LEARNERS
from metarep.sim.sampling.in_law import step_in_law
from metarep.sim.sampling.samples import sampled_gradients
from metarep.sim.sampling.stationary import LongRun, long_run
from metarep.theory.calculus import alphabet as a
from metarep.theory.calculus.isserlis import INNER, expectation, sample_covariance
from metarep.theory.calculus.proofs import Proof
from metarep.theory.calculus.traces import gradient_with_traces, trace
from metarep.theory.calculus.words import identity
from metarep.theory.claims.comparing import run_together, same
from metarep.theory.claims.record import Check, Claim, Comparison, Example, Measurement, Verdict, own
from metarep.theory.claims.strategies import Numbers, array, floats, fractions, matrix, vector
from metarep.theory.dynamics.floor import Floor, mean_rest, predicted_floor, rough_floor, stationary_start
from metarep.theory.dynamics.moments import (
    expected_adapted_loss,
    mean_gradients,
    mean_noise_moment,
    mean_task_gradients,
    sampled_task_gradients,
    stated_mean_gradients,
)

CHAPTER = "Finite samples"
Array = np.ndarray

# --- cubature: expectations over Gaussian samples as finite sums


@cache
def rational_points(degree: int) -> tuple[tuple[int, Fraction], ...]:
    """Whole numbers and weights with the moments of N(0, 1) up to ``degree`` (odd): 0, ±1, ..., ±(degree − 1)/2.

    The weights may be negative; as a formal expectation of polynomials that does not matter.
    """
    half = (degree - 1) // 2
    if half == 1:  # ±1 alone has the moments up to 3, and 0 would have weight 0
        return ((-1, Fraction(1, 2)), (1, Fraction(1, 2)))
    system = [[Fraction(x) ** (2 * p) for x in range(1, half + 1)] for p in range(1, half + 1)]
    moments = [Fraction(math.prod(range(1, 2 * p, 2))) for p in range(1, half + 1)]
    for i in range(half):  # Gauss-Jordan; the Vandermonde system has no zero pivot
        system[i], moments[i] = [x / system[i][i] for x in system[i]], moments[i] / system[i][i]
        for j in range(half):
            if j != i:
                factor = system[j][i]
                system[j] = [x - factor * y for x, y in zip(system[j], system[i], strict=True)]
                moments[j] -= factor * moments[i]
    sides = [(sign * (x + 1), moment / 2) for x, moment in enumerate(moments) for sign in (-1, 1)]
    return ((0, 1 - sum(moments, Fraction(0))), *sides)


def cubature(count: int, degree: int) -> tuple[Array, Array]:
    """Points (N, count) and weights (N,) that integrate polynomials of degree ≤ ``degree`` in each of ``count`` N(0, 1)
    variables; objects.
    """
    grid = list(product(rational_points(degree), repeat=count))
    points = np.array([[x for x, _ in point] for point in grid], dtype=object).reshape(len(grid), count)
    weights = np.array([math.prod((weight for _, weight in point), start=Fraction(1)) for point in grid], dtype=object)
    return points, weights


class Sample(NamedTuple):
    """Weighted data sets: X (N, 1, m, d), z (N, 1, m) and weights (N,)."""

    X: Array
    z: Array
    weights: Array


def sample_cubature(m: int, d: int, degree: int, noise_degree: int, sigma: Any, exact: bool) -> Sample:
    """Data sets whose weighted sum is the expectation of polynomials of these degrees in every entry of X and of z."""
    features, feature_weights = _numbers(m * d, degree, exact)
    noises, noise_weights = _numbers(m, noise_degree, exact)
    X = np.repeat(features, len(noises), 0).reshape(-1, 1, m, d)
    z = np.tile(noises, (len(features), 1))[:, None, :] * sigma
    return Sample(X, z, (feature_weights[:, None] * noise_weights).reshape(-1))


@cache
def _numbers(count: int, degree: int, exact: bool) -> tuple[Array, Array]:
    points, weights = cubature(count, degree)
    return (points, weights) if exact else (points.astype(float), weights.astype(float))


def paired_samples(inner: Sample, outer: Sample) -> tuple[Sample, Sample, Array]:
    """Every inner with every outer data set: both of length N_in·N_out, and the joint weights."""
    first, second = len(inner.weights), len(outer.weights)
    left = Sample(*(np.repeat(part, second, 0) for part in inner))
    right = Sample(*(np.concatenate([part] * first) for part in outer))
    return left, right, left.weights * right.weights


Gradients = Callable[..., tuple[Array, Array]]
"""As ``metarep.sim.sampling.samples.sampled_gradients``."""


@st.composite
def sampled_steps(draw: st.DrawFn, numbers: Numbers, largest: int) -> Example:
    """Small sizes (m_in·d ≤ ``largest``), any B, w, targets, α, σ."""
    d = draw(st.integers(1, 2))
    m_in = draw(st.integers(1, max(1, largest // d)))
    k, n = draw(st.integers(1, d)), draw(st.integers(1, 2))
    return {
        "d": d,
        "k": k,
        "n": n,
        "m_in": m_in,
        "m_out": 1,
        "alpha": draw(numbers(1 / 8, 1)),
        "sigma": draw(numbers(0, 2)),
        "B": draw(matrix(numbers, d, k, 1.0)),
        "w": draw(vector(numbers, k, 1.0)),
        "targets": draw(matrix(numbers, d, n, 1.0)),
    }


def _scale(instance: Example, degree: int) -> float:
    """What rounding multiplies in a cubature sum: its terms' moduli are at most the points' (1 + size)^degree."""
    size = max(1.0, *(float(np.abs(array(instance[name]).astype(float)).max()) for name in ("B", "w", "targets")))
    sigma, alpha = float(instance["sigma"]), float(instance["alpha"])
    terms = float(instance["d"] * instance["k"]) ** 2
    return terms * (1 + size) ** degree * (1 + alpha) ** 2 * (1 + sigma) ** 2


# Some ten roundings per word, as many again (log₂ N ≤ 16) in summing over N points; times a safety factor of two.
CUBATURE_ROUNDINGS = 64.0


def mean_update_check(name: str, gradients: Gradients = sampled_gradients) -> Check:
    """Cubature through the simulator on explicit data against the closed form."""
    learner = LEARNERS[name]

    def check(instance: Example, implementation: Implementation) -> Comparison:
        B, w, targets = (array(instance[name]) for name in ("B", "w", "targets"))
        alpha, sigma = instance["alpha"], instance["sigma"]
        exact = B.dtype == object
        d, n, m_in, m_out = (instance[name] for name in ("d", "n", "m_in", "m_out"))
        inner, outer, weights = paired_samples(
            sample_cubature(m_in, d, 5, 3, sigma, exact), sample_cubature(m_out, d, 3, 3, sigma, exact)
        )
        # The gradient is an average over tasks of terms that see their own data only: all may have the same.
        data = []
        for X, z, _ in (inner, outer):
            data += [np.repeat(X, n, 1), (X @ targets)[:, 0].swapaxes(-1, -2) + z]
        seen = gradients(learner, B, w, *data, alpha)
        expected = tuple(np.tensordot(weights, part, 1) for part in seen)
        stated = mean_gradients(learner, B, w, targets, alpha, Fraction(m_in) if exact else float(m_in), sigma)
        return same(
            run_together(*expected),
            run_together(*stated),
            0.0 if exact else _scale(instance, 6),
            implementation.eps,
            "the simulator's mean gradient minus the closed form, largest entry",
            CUBATURE_ROUNDINGS,
        )

    return check


def _mean_update_proof(name: str) -> Proof:
    learner = LEARNERS[name]
    proof = Proof()
    by_B, by_w = sampled_task_gradients(learner)
    proof.expanded("the gradient of the empirical outer loss by B, in words of both samples", by_B)
    proof.expanded("the gradient by w", by_w)
    mean = mean_task_gradients(learner)
    proof.expanded("its expectation, by Isserlis' theorem, by B", mean[0])
    proof.expanded("its expectation, by Isserlis' theorem, by w", mean[1])
    stated = stated_mean_gradients(learner)
    proof.equal("E∇_B", mean[0], stated[0])
    proof.equal("E∇_w", mean[1], stated[1])
    if not learner.first_order:
        loss = proof.expanded("the expected adapted loss as stated", expected_adapted_loss())
        proof.equal("its gradient by B and E∇_B", gradient_with_traces(loss, "B"), mean[0])
        proof.equal("its gradient by w and E∇_w", gradient_with_traces(loss, "w"), mean[1])
    return proof


_COMMON = (
    r"with $r_i = Bw - \theta_i$, $\bar w_i = w - \alpha B^\top r_i$, $\bar v_i = B\bar w_i - \theta_i$ and "
    r"$\tau_i^2 = \|r_i\|^2 + \sigma^2$"
)


def _mean_update_claim(name: str, statement: str, remark: str, rests_on: tuple[str, ...]) -> Claim:
    return Claim(
        id=f"mean-update-{name}",
        chapter=CHAPTER,
        statement=statement,
        source=own("Isserlis' theorem on words"),
        hypotheses=r"features $N(0, I_d)$, label noise $N(0, \sigma^2)$, fresh inner and outer samples; any $d$, $k$, "
        r"$n$, $m_{in}$, $m_{out}$, $B$, $w$, tasks, $\alpha$, $\sigma$",
        expected=Verdict.PROVED,
        learners=(name,),
        rests_on=rests_on,
        proof=lambda: _mean_update_proof(name),
        floats=lambda: sampled_steps(floats, 3),
        fractions=lambda: sampled_steps(fractions, 2),
        check=mean_update_check(name),
        examples=24,
        remark=remark,
    )


# --- Isserlis' theorem itself


def _wishart_proof() -> Proof:
    proof = Proof()
    S = sample_covariance(a.X_in)
    A = a.U  # any d×d matrix
    mean = proof.expanded("E[Σ̂AΣ̂] over all pairings", expectation(S * A * S, *INNER))
    over_m = {"m_in": -1}
    proof.equal("E[Σ̂AΣ̂]", mean, A + A.T.scaled(**over_m) + (trace(A) * identity("d")).scaled(**over_m))
    third = proof.expanded("E[Σ̂³] over all pairings", expectation(S * S * S, *INNER))
    dim = trace(identity("d"))
    one = identity("1")
    stated = one + (dim + one).scaled(3, m_in=-1) + (dim * dim + dim * 3 + one * 4).scaled(m_in=-2)
    proof.equal("E[Σ̂³]", third, stated * identity("d"))
    return proof


@st.composite
def _square_matrices(draw: st.DrawFn, numbers: Numbers) -> Example:
    d = draw(st.integers(1, 2))
    return {"d": d, "m": draw(st.integers(1, 4 // d)), "A": draw(matrix(numbers, d, d))}


def _wishart_check(instance: Example, implementation: Implementation) -> Comparison:
    A, m, d = array(instance["A"]), instance["m"], instance["d"]
    exact = A.dtype == object
    sample = sample_cubature(m, d, 5, 3, 1, exact)
    S = sample.X[:, 0].swapaxes(-1, -2) @ sample.X[:, 0]
    seen = np.tensordot(sample.weights, S @ A @ S, 1)
    unit = np.eye(d, dtype=int)
    stated = m * m * A + m * (A.T + np.trace(A) * unit)
    return same(seen, stated, m * m * d * 100.0, implementation.eps, "m² E[Σ̂AΣ̂], largest entry", CUBATURE_ROUNDINGS)


# --- the fourth moment that the floor needs


@st.composite
def resting_steps(draw: st.DrawFn, numbers: Numbers) -> Example:
    """B in col(B_*), spanned by e_1 to e_k. Floats: d − k, n, m_out and k·m_in up to 2. Fractions, which are slow:
    k = m_in = 1, and two of d − k, n, m_out are 2.
    """
    exact = numbers is fractions
    k, m_in = (1, 1) if exact else draw(st.sampled_from(((1, 1), (1, 2), (2, 1))))
    sizes = st.sampled_from(((1, 2, 2), (2, 1, 2), (2, 2, 1))) if exact else st.tuples(*[st.integers(1, 2)] * 3)
    codimension, n, m_out = draw(sizes)
    return {
        "d": k + codimension,
        "k": k,
        "n": n,
        "m_in": m_in,
        "m_out": m_out,
        "alpha": draw(numbers(1 / 8, 1)),
        "sigma": draw(numbers(0, 2)),
        "B": draw(matrix(numbers, k, k, 1.0)),
        "w": draw(vector(numbers, k, 1.0)),
        "targets": draw(matrix(numbers, k, n, 1.0)),
    }


def sign_patterns(count: int) -> Array:
    """Vectors (N, count) of ±1, N a power of two above ``count``, whose entries have mean zero and are uncorrelated:
    products of the signs of different non-empty sets of coordinates, over all signs.
    """
    rounds = count.bit_length()
    every = np.array(list(product((-1, 1), repeat=rounds)))
    sets = [[i for i in range(rounds) if number >> i & 1] for number in range(1, count + 1)]
    return np.stack([every[:, chosen].prod(1) for chosen in sets], 1)


def noise_moment_check(moment: Callable[..., Array] | None = None, gradients: Gradients = sampled_gradients) -> Check:
    """Cubature of the perpendicular gradient and of its square against zero and the moment.

    Inner features across col(B) do not enter. The outer sample's enter the gradient linearly, once for each task and
    row, and what multiplies them, w_i times a residual, knows only features along col(B_*) and noise: for the square's
    expectation any uncorrelated features across will do, and for each task's and row's share any uncorrelated features
    along and noise. So these may be the same for all tasks and rows, and all are signs (``sign_patterns``).
    """
    learner = LEARNERS["fo-anil"]

    def check(instance: Example, implementation: Implementation) -> Comparison:
        P, w, targets = (array(instance[name]) for name in ("B", "w", "targets"))
        alpha, sigma = instance["alpha"], instance["sigma"]
        d, k, n, m_in, m_out = (instance[name] for name in ("d", "k", "n", "m_in", "m_out"))
        exact = P.dtype == object
        inner = sample_cubature(m_in, k, 9, 5, sigma, exact)
        outside, across = sign_patterns(k + 1), sign_patterns(n * m_out * (d - k))
        shape = (len(inner.weights), len(outside), len(across))
        weights = np.repeat(inner.weights, shape[1] * shape[2]) / (shape[1] * shape[2])

        def spread(part: Array, axis: int, *form: int) -> Array:
            """One value for each of the three factors' points, (N, n, ...)."""
            part = part.reshape([-1 if i == axis else 1 for i in range(3)] + [*part.shape[1:]])
            return np.broadcast_to(part, (*shape, *part.shape[3:])).reshape(-1, *form)

        X_in = np.repeat(spread(inner.X, 0, 1, m_in, k), n, 1)
        y_in = (X_in @ targets.T[:, :, None])[..., 0] + spread(inner.z, 0, 1, m_in)
        outside = np.repeat(spread(outside, 1, 1, 1, k + 1), m_out, 2)
        X_out = np.repeat(outside[..., :k], n, 1)
        y_out = (X_out @ targets.T[:, :, None])[..., 0] + outside[..., k] * sigma
        X_out = np.concatenate([X_out, spread(across, 2, n, m_out, d - k)], -1)
        X_in = np.concatenate([X_in, np.zeros((*X_in.shape[:-1], d - k), dtype=X_in.dtype)], -1)
        B = np.concatenate([P, np.zeros((d - k, k), dtype=P.dtype)])
        seen = gradients(learner, B, w, X_in, y_in, X_out, y_out, alpha)[0][:, k:]  # B_{*⊥}ᵀ∇_B: (N, d − k, k)
        factor = (Fraction(d - k, n * m_out)) if exact else (d - k) / (n * m_out)
        stated = factor * (moment or mean_noise_moment)(
            P, w, targets, alpha, Fraction(m_in) if exact else float(m_in), sigma
        )
        return same(
            run_together(np.tensordot(weights, seen, 1), np.tensordot(weights, seen.swapaxes(-1, -2) @ seen, 1)),
            run_together(np.zeros((d - k, k), dtype=P.dtype), stated),
            0.0 if exact else 100 * (d - k) * _scale(instance, 10) * (1 + float(sigma)) ** 2,
            implementation.eps,
            "means of the perpendicular gradient and of its square minus zero and the closed form",
            CUBATURE_ROUNDINGS,
        )

    return check


# --- means of the simulator in law


LAW_TRIALS = 40_000
LAW_BOUND = 4.5
"""Standard errors; of some 100 normal differences the largest exceeds this once in 1500 seeds."""


def _means_in_law(implementation: Implementation, seed: int, effort: float) -> Measurement:
    rng = np.random.default_rng(seed)
    d, k, n, alpha, sigma = 6, 3, 2, 0.3, 0.7
    trials = round(LAW_TRIALS * min(effort, 10.0))
    worst: dict[str, float] = {}
    entries = 0
    for name in ("fo-anil", "anil"):
        for m_in in (2, 7):
            B, w, heads = rng.standard_normal((d, k)), rng.standard_normal(k), rng.standard_normal((k, n))
            # d = 2k: the simulator keeps B's own coordinates, so that every entry can be compared.
            drawn = step_in_law(
                LEARNERS[name], np.broadcast_to(B, (trials, d, k)), w, heads, alpha, 1.0, m_in, 3, sigma, d, rng
            )
            targets = np.concatenate([heads, np.zeros((d - k, n))])
            stated = mean_gradients(LEARNERS[name], B, w, targets, alpha, float(m_in), sigma)
            for part, start, expected in zip(drawn, (B, w), stated, strict=True):
                gradient = start - part
                error = gradient.std(0) / np.sqrt(trials)
                z = float(np.abs((gradient.mean(0) - expected) / error).max())
                worst[f"{name}, m_in = {m_in}"] = max(z, worst.get(f"{name}, m_in = {m_in}", 0.0))
                entries += expected.size
    largest = max(worst.values())
    return Measurement(
        largest,
        1.0,
        trials,
        f"largest of {entries} differences between means over {trials} draws and closed forms, in standard errors",
        worst,
        consistent=largest <= LAW_BOUND,
    )


# --- the rest of the mean dynamics


@st.composite
def differing_tasks(draw: st.DrawFn) -> Example:
    """Fixed tasks whose covariance has full rank, by construction: ±spread along every direction, and a mean."""
    k = draw(st.integers(1, 4))
    return {
        "k": k,
        "m_in": draw(st.integers(1, 100)),
        "alpha": draw(floats(0.05, 1.0)),
        "sigma": draw(floats(0.0, 2.0)),
        "spread": [draw(floats(0.3, 2.0)) for _ in range(k)],
        "mean": draw(vector(floats, k, 1.0)),
        "shear": draw(matrix(floats, k, k, 0.3)),
    }


def tasks_of(instance: Example) -> Array:
    """Heads (k, 2k) of a ``differing_tasks`` instance."""
    spread = np.diag(instance["spread"]) @ (np.eye(instance["k"]) + np.triu(array(instance["shear"]), 1))
    return np.concatenate([spread, -spread], 1) + np.array(instance["mean"])[:, None]


def rest_check(rest: Callable[..., tuple[Array, Array]] | None = None) -> Check:
    """The mean gradients vanish at the stated rest."""

    def check(instance: Example, implementation: Implementation) -> Comparison:
        heads, alpha, m_in, sigma = tasks_of(instance), instance["alpha"], instance["m_in"], instance["sigma"]
        P, w = (rest or mean_rest)(heads, alpha, m_in, sigma)
        moved = mean_gradients(LEARNERS["fo-anil"], P, w, heads, alpha, float(m_in), sigma)
        # P = (H/α)^{1/2} with H's condition up to that of V times m; words of ∇_B multiply six factors of this size.
        size = 1 + float(np.abs(heads).max()) + sigma + float(np.abs(w).max()) * np.linalg.norm(P, 2)
        condition = float(np.linalg.cond(P) ** 2)
        # ∇_B has the size of θ w, that is of size² √α (1 + 1/√gains).
        scale = len(P) ** 2 * size**3 * condition * (1 + np.sqrt(alpha)) * (1 + 1 / np.sqrt(alpha))
        return same(
            run_together(*moved),
            np.zeros(P.size + w.size),
            scale,
            implementation.eps,
            "largest entry of the mean gradients at the rest",
        )

    return check


# --- the floor


class FloorSetting(NamedTuple):
    """A setting of the floor: sizes and noise; heads are ``mean`` + ``spread``·N(0, I), from their own seed."""

    d: int
    k: int
    n: int
    alpha: float
    m_in: int
    m_out: int
    sigma: float
    mean: float
    spread: float
    heads_seed: int

    def heads(self) -> Array:
        """(k, n)."""
        rng = np.random.default_rng(self.heads_seed)
        return self.mean + self.spread * rng.standard_normal((self.k, self.n))

    def beta(self, size: float) -> float:
        """The β at which αβL_*² is ``size``."""
        heads = self.heads()
        return size / (self.alpha * float(np.linalg.eigvalsh(heads @ heads.T / self.n)[-1]))

    def arguments(self, size: float) -> tuple[Array, float, float, int, int, int, float]:
        """(heads, α, β, d, m_in, m_out, σ), as ``metarep.theory.dynamics.floor`` takes them."""
        return self.heads(), self.alpha, self.beta(size), self.d, self.m_in, self.m_out, self.sigma


FLOOR_SETTINGS = (
    FloorSetting(200, 1, 5, 0.4, 10, 20, 0.5, 1.0, 0.7, 107),
    FloorSetting(100, 4, 30, 0.2, 20, 5, 0.0, 0.3, 1.0, 105),
    FloorSetting(1000, 3, 8, 0.4, 20, 200, 0.5, 0.0, 1.0, 104),
    FloorSetting(60, 3, 8, 0.4, 20, 20, 0.5, 0.0, 1.0, 100),
    FloorSetting(30, 2, 6, 0.5, 5, 10, 0.3, 0.5, 1.0, 103),
    FloorSetting(100, 5, 12, 0.4, 50, 50, 0.5, 0.0, 1.0, 101),
    FloorSetting(100, 5, 12, 0.1, 10, 10, 1.0, 0.0, 1.0, 102),
    FloorSetting(16, 3, 14, 0.3, 15, 15, 2.0, 0.0, 1.0, 106),
    FloorSetting(100, 5, 40, 1.0, 100, 25, 1.0, 0.0, 0.6, 108),
    FloorSetting(50, 3, 9, 0.05, 8, 40, 0.5, 1.0, 1.5, 109),
)
"""Ten settings, the cheaper ones first. Heads' seeds were not selected; one ill-conditioned setting (d = 12, k = 4, n
= 10)
gave way to a better conditioned one, being too slow for a standard error of 1 %."""

SMALL = 0.005
"""αβL_*² at which the prediction is held to ``FLOOR_BOUND``."""
FLOOR_BOUND = 0.03
FULL_EFFORT = 5.0
"""From this effort on the floor is measured in all ten settings, to a standard error of 1 % or less."""


def snapshots_for(setting: FloorSetting, relative_error: float) -> float:
    """About how many independent states give that standard error: a mean square sine averages (d − k)k squares."""
    return 4 / (relative_error**2 * setting.k * (setting.d - setting.k))


def measured_floor(
    setting: FloorSetting, floor: Floor, size: float, seed: int, relative_error: float, trials: int = 64
) -> LongRun:
    """A long run around a predicted floor, after three relaxation times."""
    relaxation = floor.relaxation_steps
    times = max(1.0, snapshots_for(setting, relative_error) / trials)
    rng = np.random.default_rng(seed)
    heads, alpha, beta, d, m_in, m_out, sigma = setting.arguments(size)
    B, w = stationary_start(floor, d, trials, rng)
    every = max(1, round(relaxation / 10))
    return long_run(
        LEARNERS["fo-anil"], B, w, heads, alpha, beta, m_in, m_out, sigma, d, int(3 * relaxation),
        max(every, int(times * relaxation)), rng, every,
    )  # fmt: skip


def _floor(implementation: Implementation, seed: int, effort: float) -> Measurement:
    full = effort >= FULL_EFFORT
    settings = FLOOR_SETTINGS if full else FLOOR_SETTINGS[:3]
    details: dict[str, Any] = {}
    worst, error, consistent = 0.0, 0.0, True
    for number, setting in enumerate(settings):
        floor = predicted_floor(*setting.arguments(SMALL))
        seen = measured_floor(setting, floor, SMALL, seed + number, 0.007 if full else 0.012)
        relative_error = float(seen.standard_error / seen.mean_square_sine)
        deviation = float(floor.mean_square_sine / seen.mean_square_sine - 1)
        details[_named(setting)] = (
            f"predicted {floor.mean_square_sine:.4g}, seen {seen.mean_square_sine:.4g} ± {relative_error:.2%}: "
            f"{deviation:+.2%}"
        )
        consistent &= abs(deviation) <= FLOOR_BOUND + 3 * relative_error
        if abs(deviation) > abs(worst):
            worst, error = deviation, relative_error
    return Measurement(
        worst,
        error,
        len(settings),
        f"largest relative deviation of the prediction from long runs, {len(settings)} settings at αβL² = {SMALL}",
        details,
        consistent,
    )


def _named(s: FloorSetting) -> str:
    return f"d={s.d} k={s.k} n={s.n} α={s.alpha} m_in={s.m_in} m_out={s.m_out} σ={s.sigma}"


GROWTH_SETTING = FLOOR_SETTINGS[3]
GROWTH_SIZES = (0.01, 0.03, 0.09)
GROWTH_MISFIT = 13.8
"""χ² of two degrees of freedom exceeds this once in 1000 seeds."""
HALF_WITHIN = 1 / 6
""""About a half" is a third to two thirds."""


def _growth(implementation: Implementation, seed: int, effort: float) -> Measurement:
    """Errors of both predictions at growing β, and the slope of the plain one's error in αβL_*²."""
    details: dict[str, Any] = {}
    errors, plain_errors, uncertainty = [], [], []
    for number, size in enumerate(GROWTH_SIZES):
        arguments = GROWTH_SETTING.arguments(size)
        floor = predicted_floor(*arguments)
        plain = predicted_floor(*arguments, varying_contraction=False)
        seen = measured_floor(GROWTH_SETTING, floor, size, seed + number, 0.01 / np.sqrt(min(effort, 10.0)))
        errors.append(float(floor.mean_square_sine / seen.mean_square_sine - 1))
        plain_errors.append(float(plain.mean_square_sine / seen.mean_square_sine - 1))
        uncertainty.append(float(seen.standard_error / seen.mean_square_sine))
        details[f"αβL² = {size}"] = (
            f"prediction {errors[-1]:+.2%}, plain equation {plain_errors[-1]:+.2%}, ± {uncertainty[-1]:.2%}"
        )
    sizes, weights = np.array(GROWTH_SIZES), 1 / np.square(uncertainty)
    total = float((weights * sizes**2).sum())
    slope, better = (float((weights * sizes * each).sum() / total) for each in (plain_errors, errors))
    spread = float(np.sqrt(1 / total))
    # Both slopes have the same runs' errors; their difference has none to speak of, hence that of the ratio.
    ratio, ratio_spread = better / slope, abs(slope - better) / slope**2 * spread
    misfits = [
        float((weights * np.square(np.array(each) - fitted * sizes)).sum())
        for each, fitted in ((plain_errors, slope), (errors, better))
    ]
    details["slope with the varying contraction"] = f"{better:.2f} ± {spread:.2f}"
    details["its share of the plain slope"] = f"{ratio:.2f} ± {ratio_spread:.2f}"
    details["χ² of the fits (2 degrees of freedom)"] = f"{misfits[0]:.2f} and {misfits[1]:.2f}"
    return Measurement(
        slope,
        spread,
        len(GROWTH_SIZES),
        "relative error of the plain Lyapunov equation per αβL², fitted through 0; counting the varying contraction "
        f"leaves {ratio:.2f} ± {ratio_spread:.2f} of it",
        details,
        consistent=slope < -3 * spread
        and max(misfits) <= GROWTH_MISFIT
        # better − slope/2 and slope/6 have a half and a sixth of the slopes' common error
        and abs(better - slope / 2) <= HALF_WITHIN * abs(slope) + 3 * (1 / 2 + HALF_WITHIN) * spread,
    )


SLOPE_TASKS = np.array([[1.3, -0.7, 0.3, 0.3], [0.3, 0.3, 1.1, -0.5]])
"""Four tasks well spread over two dimensions, so that the runs come to rest soon."""
SLOPE_FACTOR = 3
SLOPE_BOUND = 0.02
"""How near the slopes seen are to the prediction's, and two of them to −1: the predictions' own errors, about αβL_*²
each and nearly equal, change a slope by less."""


class _Repeated(FloorSetting):
    """A setting whose tasks are ``SLOPE_TASKS``, repeated: more tasks, the same moments."""

    def heads(self) -> Array:
        return np.tile(SLOPE_TASKS, self.n // SLOPE_TASKS.shape[1])


SLOPE_BASE = _Repeated(60, 2, 4, 0.4, 30, 30, 0.5, 0.0, 1.0, 0)


def _slopes(implementation: Implementation, seed: int, effort: float) -> Measurement:
    details: dict[str, Any] = {}
    worst, error, consistent = 0.0, 0.0, True
    precision = 0.012 / np.sqrt(min(effort, 10.0))

    def both(setting: FloorSetting, number: int) -> tuple[float, float, float]:
        floor = predicted_floor(*setting.arguments(SMALL))
        seen = measured_floor(setting, floor, SMALL, seed + number, precision)
        value = float(seen.mean_square_sine)
        return floor.mean_square_sine, value, float(seen.standard_error) / value

    base = both(SLOPE_BASE, 0)
    for number, parameter in enumerate(("d", "n", "m_out", "sigma"), 1):
        changed = both(SLOPE_BASE._replace(**{parameter: getattr(SLOPE_BASE, parameter) * SLOPE_FACTOR}), number)
        predicted = float(np.log(changed[0] / base[0]) / np.log(SLOPE_FACTOR))
        seen = float(np.log(changed[1] / base[1]) / np.log(SLOPE_FACTOR))
        spread = float(np.hypot(changed[2], base[2]) / np.log(SLOPE_FACTOR))
        details[parameter] = f"predicted {predicted:+.3f}, seen {seen:+.3f} ± {spread:.3f}"
        consistent &= abs(seen - predicted) <= SLOPE_BOUND + 3 * spread
        if parameter in ("n", "m_out"):
            consistent &= abs(seen + 1) <= SLOPE_BOUND + 3 * spread
        if abs(seen - predicted) > abs(worst):
            worst, error = seen - predicted, spread
    return Measurement(
        worst, error, 4, f"largest difference of slopes d log floor / d log x over a factor {SLOPE_FACTOR}", details,
        consistent,
    )  # fmt: skip


def _rough(implementation: Implementation, seed: int, effort: float) -> Measurement:
    """The rough formula against the Lyapunov equation's, over random settings (no simulation)."""
    rng = np.random.default_rng(seed)
    ratios: dict[str, list[float]] = {"m_in ≥ 100": [], "m_in < 100": []}
    count = max(12, round(60 * min(effort, 10.0)))  # so that both kinds occur
    for _ in range(count):
        k = int(rng.integers(1, 6))
        n, d = int(rng.integers(2 * k + 2, 50)), int(rng.integers(2 * k, 300))
        m_in = int(np.exp(rng.uniform(np.log(10), np.log(1000))))
        heads = rng.standard_normal((k, n))
        alpha, sigma = float(rng.uniform(0.05, 0.5)), float(rng.uniform(0.0, 1.5))
        beta = SMALL / (alpha * float(np.linalg.eigvalsh(heads @ heads.T / n)[-1]))
        arguments = (heads, alpha, beta, d, m_in, max(20, d), sigma)
        ratio = rough_floor(*arguments) / predicted_floor(*arguments, varying_contraction=False).mean_square_sine
        ratios["m_in ≥ 100" if m_in >= 100 else "m_in < 100"].append(ratio - 1)
    large = np.array(ratios["m_in ≥ 100"])
    details = {
        f"{name} ({len(values)} settings)": f"{min(values):+.0%} to {max(values):+.0%}, median {np.median(values):+.0%}"
        for name, values in ratios.items()
    }
    return Measurement(
        float(np.median(large)),
        float(np.abs(large).max()),
        count,
        "relative error of the rough formula against the Lyapunov equation: median (and largest) for m_in ≥ 100",
        details,
        consistent=bool(np.abs(large).max() < 1.0),
    )


def _gaussian_moments(implementation: Implementation, seed: int, effort: float) -> Measurement:
    """How far the floor is off if the adapted head is taken to be Gaussian, in the ten settings (no simulation)."""
    details = {}
    errors = []
    for setting in FLOOR_SETTINGS:
        arguments = setting.arguments(SMALL)
        exact, gaussian = (predicted_floor(*arguments, exact_moments=flag).mean_square_sine for flag in (True, False))
        errors.append(gaussian / exact - 1)
        details[_named(setting)] = f"{errors[-1]:+.1%}"
    return Measurement(
        float(np.median(errors)),
        float(np.ptp(errors)) / 2,
        len(errors),
        "relative error of the floor from Gaussian fourth moments, median over ten settings (and half their range)",
        details,
        consistent=max(errors) < 0,
    )


CLAIMS = (
    Claim(
        id="isserlis-wishart",
        chapter=CHAPTER,
        statement=r"For $\hat\Sigma = \frac{1}{m} X^\top X$ with Gaussian features, $E[\hat\Sigma A \hat\Sigma] = A + "
        r"\frac{1}{m}(A^\top + \mathrm{tr}(A) I)$ for any $A$, and $E[\hat\Sigma^3] = (1 + \frac{3(d+1)}{m} + "
        r"\frac{d^2 + 3d + 4}{m^2}) I$.",
        source=own("Isserlis' theorem on words; the moments are classical"),
        hypotheses=r"rows of $X$ independent $N(0, I_d)$; any $d$, $m$",
        expected=Verdict.PROVED,
        proof=_wishart_proof,
        floats=lambda: _square_matrices(floats),
        fractions=lambda: _square_matrices(fractions),
        check=_wishart_check,
        examples=16,
    ),
    _mean_update_claim(
        "fo-anil",
        r"On finite samples the mean outer gradient of FO-ANIL is the average over tasks of "
        r"$E\nabla_B = \bar v_i \bar w_i^\top + B C_i$ and $E\nabla_w = B^\top \bar v_i$, where $C_i = "
        r"\frac{\alpha^2}{m_{in}}(\tau_i^2 B^\top B + B^\top r_i r_i^\top B)$ is the adapted head's covariance, "
        + _COMMON
        + ".",
        "The outer sample's size does not enter the mean.",
        ("isserlis-wishart",),
    ),
    _mean_update_claim(
        "anil",
        r"On finite samples the mean outer gradient of Exact ANIL is the gradient of the expected adapted loss, the "
        r"average over tasks of $\frac{1}{2}\|\bar v_i\|^2 + \frac{\alpha^2}{2 m_{in}}(\tau_i^2 \mathrm{tr}(G^2) + "
        r"\|BB^\top r_i\|^2)$ with $G = B^\top B$: the population's plus $\frac{\alpha^2}{m_{in}}(2\tau_i^2 BG + "
        r"BB^\top r_i r_i^\top B + r_i r_i^\top BG + (BGB^\top r_i + \mathrm{tr}(G^2) r_i) w^\top)$ by $B$ and "
        r"$\frac{\alpha^2}{m_{in}}(G^2 B^\top r_i + \mathrm{tr}(G^2) B^\top r_i)$ by $w$, " + _COMMON + ".",
        "Through the inner sample's own Hessian. Expectation of the gradient and gradient of the expectation are both "
        "carried out, and agree.",
        ("isserlis-wishart", "mean-update-fo-anil"),
    ),
    Claim(
        id="mean-update-in-law",
        chapter=CHAPTER,
        statement=r"The means of FO-ANIL's and Exact ANIL's steps drawn in law, without data, are the closed forms.",
        source=own(),
        hypotheses=r"$d = 6$, $k = 3$, $n = 2$, $m_{in} = 2, 7$, $m_{out} = 3$, random $B$, $w$, heads",
        expected=Verdict.MEASURED,
        kind="measurement",
        learners=("fo-anil", "anil"),
        rests_on=("mean-update-fo-anil", "mean-update-anil"),
        measure=_means_in_law,
        remark=f"Consistent if no entry differs by more than {LAW_BOUND} standard errors.",
    ),
    Claim(
        id="noise-moment-fo-anil",
        chapter=CHAPTER,
        statement=r"With $\mathrm{col}(B) \subset \mathrm{col}(B_*)$, FO-ANIL's perpendicular gradient has mean "
        r"zero and $E[(B_{*\perp}^\top\nabla_B)^\top B_{*\perp}^\top\nabla_B] = \frac{d-k}{n m_{out}}$ times the "
        r"average over tasks of $E[(\|v_i\|^2 + \sigma^2) w_i w_i^\top]$, the fourth moment of the "
        r"adapted head that Isserlis' theorem gives in closed form.",
        source=own("Isserlis' theorem on words"),
        hypotheses=r"$d - k, n, m_{out} \le 2$; $k = m_{in} = 1$ in fractions, $k m_{in} \le 2$ in floats; any $B$, "
        r"$w$, tasks, $\alpha$, $\sigma$",
        expected=Verdict.EXACT,
        learners=("fo-anil",),
        rests_on=("isserlis-wishart",),
        floats=lambda: resting_steps(floats),
        fractions=lambda: resting_steps(fractions),
        check=noise_moment_check(),
        examples=12,
        remark="The moment itself is derived for all sizes (103 words); what is checked is the simulator's at the "
        "smallest. Tasks are independent and rows of equal law, hence the factor.",
    ),
    Claim(
        id="mean-rest-fo-anil",
        chapter=CHAPTER,
        statement=r"FO-ANIL's mean dynamics on finite inner samples rest at $B = B_*P$ with $\alpha PP^\top = "
        r"\frac{m_{in}}{m_{in}+1} V (V + \frac{\tau}{m_{in}+1} I)^{-1}$ and $Pw = \bar w_*$, where $V$ is the "
        r"covariance of the tasks' heads and $\tau = \mathrm{tr} V + \sigma^2$.",
        source=own(),
        hypotheses=r"fixed tasks with $V$ of full rank (at least $k + 1$ of them), any $m_{in}$, $\alpha$, $\sigma$",
        expected=Verdict.SUPPORTED,
        learners=("fo-anil",),
        rests_on=("mean-update-fo-anil",),
        floats=differing_tasks,
        check=rest_check(),
        examples=40,
        remark="In the population the head rests anywhere and $\\alpha PP^\\top = I$. With $n \\le k$ tasks $V$ is "
        "singular and there is no rest: where the tasks do not differ $B$ shrinks and the head grows.",
    ),
    Claim(
        id="noise-floor-fo-anil",
        chapter=CHAPTER,
        statement=r"On finite samples drawn afresh FO-ANIL settles at a mean square sine of the principal angles that "
        r"a discrete Lyapunov equation at the rest of the mean dynamics predicts, for small $\alpha\beta L_*^2$.",
        source=own("that a floor exists: Collins et al. 2022"),
        hypotheses=r"fixed tasks, $\alpha\beta L_*^2 = 0.005$; three settings by default, ten at full effort",
        expected=Verdict.MEASURED,
        kind="measurement",
        learners=("fo-anil",),
        rests_on=("noise-moment-fo-anil", "mean-rest-fo-anil"),
        measure=_floor,
        remark=f"Consistent if every deviation is within {FLOOR_BOUND:.0%} and three standard errors.",
    ),
    Claim(
        id="noise-floor-growth",
        chapter=CHAPTER,
        statement=r"The plain Lyapunov equation predicts FO-ANIL's floor too low, by a share proportional to "
        r"$\alpha\beta L_*^2$; counting that the contraction varies from step to step leaves between a third and two "
        r"thirds of that error.",
        source=own(),
        hypotheses=r"one setting ($d = 60$, $k = 3$), $\alpha\beta L_*^2 = 0.01, 0.03, 0.09$",
        expected=Verdict.MEASURED,
        kind="measurement",
        learners=("fo-anil",),
        rests_on=("noise-floor-fo-anil",),
        measure=_growth,
        remark="Consistent if the plain equation's error is negative by more than three standard errors, both errors "
        "fit lines through zero (χ² below 13.8), and the ratio of the slopes is within three standard errors of that "
        "range.",
    ),
    Claim(
        id="noise-floor-slopes",
        chapter=CHAPTER,
        statement=r"The floor's slopes in $d$, $n$, $m_{out}$ and $\sigma$ (logarithmic, others fixed) are within "
        r"$0.02$ of the prediction's; in $n$ and $m_{out}$ within $0.02$ of $-1$.",
        source=own(),
        hypotheses=r"one setting and a factor of three in each, $\alpha\beta L_*^2 = 0.005$, the tasks kept",
        expected=Verdict.MEASURED,
        kind="measurement",
        learners=("fo-anil",),
        rests_on=("noise-floor-fo-anil",),
        measure=_slopes,
        remark="Consistent if no slope is further off than that and three standard errors. The range is mild. With "
        "much label noise on few inner samples the slope in σ was seen to leave the prediction by far more than its "
        "standard error; why is open.",
    ),
    Claim(
        id="noise-floor-gaussian-moments",
        chapter=CHAPTER,
        statement=r"With the fourth moments of a Gaussian in place of the adapted head's the predicted floor is too "
        r"low.",
        source=own(),
        hypotheses="the ten settings of the floor",
        expected=Verdict.MEASURED,
        kind="measurement",
        learners=("fo-anil",),
        rests_on=("noise-floor-fo-anil",),
        measure=_gaussian_moments,
    ),
    Claim(
        id="noise-floor-rough",
        chapter=CHAPTER,
        statement=r"$\frac{\alpha\beta(d-k)s^2}{2 n m_{out}}$, with $s^2$ the average over tasks of $\sigma^2 + "
        r"\frac{1}{m_{in}}((\|\theta_i\|^2 + \sigma^2)k + \|\theta_i\|^2)$, has the floor's order of magnitude.",
        source=own(),
        hypotheses=r"random settings, $k \le 5$, $n \ge 2k + 2$, $m_{in} \ge 10$, $\alpha\beta L_*^2 = 0.005$",
        expected=Verdict.MEASURED,
        kind="measurement",
        learners=("fo-anil",),
        rests_on=("noise-floor-fo-anil",),
        measure=_rough,
        remark="It takes αBᵀB = I, which large inner samples give. Consistent if it is within a factor of two for "
        "m_in ≥ 100.",
    ),
)
