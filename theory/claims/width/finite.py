"""Claims about FO-ANIL wider than the truth on finite samples: its mean update, where that rests, what it unlearns."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any

import numpy as np
from hypothesis import strategies as st

from metarep.sim.implementations import Implementation
from metarep.sim.sampling.samples import draw_samples, sampled_gradients
from metarep.sim.shares import Z_95
from metarep.sim.wide import mean_step, run_mean
from metarep.theory.claims.comparing import farthest, largest, same
from metarep.theory.claims.record import Comparison, Example, Measurement, Verdict, own
from metarep.theory.claims.strategies import (
    Entries,
    Numbers,
    Sizes,
    array,
    fractions,
    reflected_identity,
)
from metarep.theory.claims.width import claim
from metarep.theory.claims.width.population import ALPHA, BETA, FO_ANIL, SPECTRUM, STARTS, WIDTHS, YUKSEL
from metarep.theory.dynamics.moments import mean_gradients
from metarep.theory.dynamics.width import learned_second_moment, unlearning_constant

NOISE = 0.5
"""σ² of the measurements."""

# --- the mean update


@st.composite
def mean_points(draw: st.DrawFn, numbers: Numbers = fractions) -> Example:
    """Any P, Y, heads that come in pairs ±, step sizes, m, noise."""
    made = Entries(draw, numbers, Sizes(2, 5, 12) if numbers is fractions else None)
    k = made.k(most=2 if made.exact else 99)
    width = draw(st.integers(k, k + 2))
    d = made.d(k + 1)
    pairs = made.among(3, made.most.n // 2)
    alpha, beta = made.step_sizes()
    return {
        "d": d,
        "k": k,
        "width": width,
        "n": 2 * pairs,
        "alpha": alpha,
        "beta": beta,
        "m": draw(st.integers(1, 20)),
        "noise": made.number(0, 2, power=4),
        "P": made.matrix(k, width, power=1),
        "Y": made.matrix(d - k, width, power=1),
        "heads": made.heads(k, pairs, power=2),
    }


@claim(Verdict.EXACT, source=own("Isserlis"), draws=mean_points, examples=40)
def width_mean_update(
    example: Example, implementation: Implementation, *, mean_step=mean_step, mean_gradients=mean_gradients
) -> Comparison:
    r"""With $m$ inner samples and heads of mean zero and second moment $\Sigma_*$, FO-ANIL's mean update at $w = 0$ is
    $E\nabla_B = \alpha^2 B\left(B^\top TB + \frac{1}{m}(B^\top TB + \tau B^\top B)\right) - \alpha TB$ with
    $T = B_*\Sigma_*B_*^\top$ and $\tau = \mathrm{tr}\Sigma_* + \sigma^2$, and $w$ stays zero.

    Given: Gaussian data, any $B$ of any width, heads that come in pairs $\pm$, any $m \ge 1$, $\sigma^2 \ge 0$;
    examples: $k' \le k + 2$

    Of the heads only the second moment enters: they need not be Gaussian.
    """
    P, Y, heads = array(example["P"]), array(example["Y"]), array(example["heads"])
    alpha, beta, m, noise = example["alpha"], example["beta"], example["m"], example["noise"]
    B, pairs = np.concatenate([P, Y]), np.concatenate([heads, -heads], axis=1)
    targets = np.concatenate([pairs, 0 * Y[:, :1] @ pairs[:1]])
    samples = type(alpha)(m)  # a fraction among fractions
    grad_B, grad_w = mean_gradients(FO_ANIL, B, 0 * B[0], targets, alpha, samples, None, noise=noise)
    by_hand = np.concatenate(mean_step(P, Y, pairs @ pairs.T / pairs.shape[1], alpha, beta, m, noise))
    # B, and β times words of three factors B, two α and two θ (or σ²), or of B, α and two θ, whose norms bound the sums
    # of their entries' moduli: fewer than 100 roundings of this size.
    size = float(np.linalg.norm(B.astype(float)))
    tasks = float(np.linalg.norm(pairs.astype(float)) ** 2) / pairs.shape[1] + float(noise)
    scale = size * (1 + float(alpha * beta) * tasks * (1 + float(alpha) * size**2))
    shown = {"k": len(P), "width": P.shape[1], "alpha": alpha, "beta": beta, "m": m, "noise": noise}
    shown = {**shown, "B": B, "B_star": np.eye(len(B), len(P), dtype=int), "heads": pairs}
    stated = (B - beta * grad_B, beta * grad_w)
    return same((by_hand, 0 * grad_w), stated, scale, implementation.eps, "hand − Isserlis", 100, shown)


SAMPLING_DRAWS, SAMPLING_BOUND = 80_000, 4.5
"""τ to 0.4 %. The bound is in standard errors: the largest of a dozen normal differences exceeds it once in 10 000
seeds.
"""
SAMPLED_SIZES = (4, 2, 3, 3)
"""d, k, k', m."""


@lru_cache(maxsize=1)  # drawn once for all wrong mean steps
def _sampled_gradients(seed: int, draws: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """B, the tasks' second moment Σ_*, and FO-ANIL's gradients by B on ``draws`` samples, (draws, d, k')."""
    rng = np.random.default_rng(seed)
    d, k, width, m = SAMPLED_SIZES
    heads = np.array([[1.0, -0.5], [0.3, 0.8]])
    heads = np.concatenate([heads, -heads], axis=1)
    B = np.linalg.qr(rng.standard_normal((d, width)))[0] * np.array([1.5, 1.2, 0.9])
    batch_B, batch_w = np.broadcast_to(B, (draws, d, width)), np.zeros((draws, width))
    data = draw_samples(np.eye(d, k), heads, m, 4, np.sqrt(NOISE), rng, (draws,))
    return B, heads @ heads.T / heads.shape[1], sampled_gradients(FO_ANIL, batch_B, batch_w, *data, ALPHA)[0]


@claim(Verdict.MEASURED, learners=("fo-anil",), rests_on="width-mean-update")
def width_mean_update_sampled(
    implementation: Implementation, seed: int, effort: float, *, mean_step=mean_step
) -> Measurement:
    r"""The mean of FO-ANIL's updates over actual samples is that mean update; $\tau$ fitted to it is
    $\mathrm{tr}\Sigma_* + \sigma^2$.

    Given: $d = 4$, $k = 2$, $k' = 3$, $m = 3$, four tasks, noise, one random $B$

    Consistent if neither τ nor any entry is further off than 4.5 standard errors.
    """
    # E∇_B is linear in τ with slope α²BBᵀB/m, so the projection of the mean gradient on it estimates τ, far better than
    # any single entry does. What τ should be is read off the mean map in the same way.
    d, k, _, m = SAMPLED_SIZES
    draws = max(4000, round(SAMPLING_DRAWS * min(effort, 3.0)))  # all at once: beyond that memory is the limit
    B, second, grad_B = _sampled_gradients(seed, draws)
    expected = B - np.concatenate(mean_step(B[:k], B[k:], second, ALPHA, 1.0, m, NOISE))
    scores = np.abs(grad_B.mean(0) - expected) / (grad_B.std(0, ddof=1) / np.sqrt(draws))
    T = np.eye(d, k) @ second @ np.eye(k, d)
    free = ALPHA**2 * (1 + 1 / m) * (B @ (B.T @ T @ B)) - ALPHA * (T @ B)  # what of the mean update is free of τ
    slope = ALPHA**2 * (B @ (B.T @ B)) / m
    fitted = ((grad_B - free) * slope).sum((-2, -1)) / (slope * slope).sum()
    tau = float(((expected - free) * slope).sum() / (slope * slope).sum())
    error = float(fitted.std(ddof=1) / np.sqrt(draws))
    off, worst = abs(float(fitted.mean()) - tau) / error, float(scores.max())
    return Measurement(
        float(fitted.mean()),
        Z_95 * error,
        draws,
        f"τ fitted to the mean of the sampled gradients, and its 95 % interval; the mean map has {tau:.4g}, {off:.1f} "
        f"standard errors off; the largest of {scores.size} entries' deviations from the mean update is {worst:.1f} "
        f"standard errors; allowed are {SAMPLING_BOUND:g}",
        {"tau": tau, "standard_errors_of_tau": off, "largest_of_entries": worst},
        max(off, worst) <= SAMPLING_BOUND,
    )


# --- its rest, and the rate there


@st.composite
def resting_points(draw: st.DrawFn, numbers: Numbers = fractions) -> Example:
    """A limit that is rational: its singular values p_j are drawn, and from them α, Σ_* and σ² are computed.

    With x_j = αp_j²(m + 1)/m the limit's equation says σ_j = x_j t/(1 − x_j), t = τ/(m + 1); τ = tr Σ_* + σ² then needs
    Σ x_j/(1 − x_j) ≤ m + 1, which α small enough ensures.
    """
    made = Entries(draw, numbers)
    k = made.k(most=3 if made.exact else 99)
    width = draw(st.integers(k, 2 * k))
    d = made.d(k + 1)
    return {
        "d": d,
        "k": k,
        "width": width,
        "p": [made.number(1 / 4, 2, power=1) for _ in range(k)],
        "m": draw(st.integers(1, 20)),
        "slack": made.number(1 / 4, 1),
        "t": made.number(1 / 4, 2, power=4),
        "beta": made.number(1 / 8, 1, power=-2),
        "U": made.reflections(k),
        "V": made.reflections(width),
        "Y": made.matrix(d - k, width, power=1),
    }


@dataclass(frozen=True)
class _Rest:
    """The arrays of a ``resting_points`` example: P (k, k') at the limit, Σ_* (k, k), V (k', k'), and the scalars."""

    P: np.ndarray
    second: np.ndarray
    V: np.ndarray
    alpha: Any
    beta: Any
    m: int
    noise: Any

    @classmethod
    def of(cls, example: Example) -> "_Rest":
        k, m, p, t = example["k"], example["m"], example["p"], example["t"]
        alpha = example["slack"] * m / ((m + 1 + k) * max(p) ** 2)
        shares = [alpha * value * value * (m + 1) / m for value in p]
        spectrum = array([x * t / (1 - x) for x in shares])
        U, V = reflected_identity(example["U"]), reflected_identity(example["V"])
        noise = (m + 1) * t - sum(spectrum)
        return cls((U * array(p)) @ V[:k], (U * spectrum) @ U.T, V, alpha, example["beta"], m, noise)

    @property
    def objects(self) -> dict[str, Any]:
        """What a reader is shown of it."""
        k, width = self.P.shape
        numbers = {"alpha": self.alpha, "beta": self.beta, "m": self.m, "noise": self.noise}
        return {"k": k, "width": width, **numbers, "P": self.P, "Sigma_star": self.second}

    @property
    def exact(self) -> bool:
        """Whether the numbers are fractions."""
        return isinstance(self.alpha, Fraction)

    def scale(self, P: np.ndarray) -> float:
        """What rounding multiplies in a mean step from P: it and what α, β, Σ_* multiply it with, in norms that bound
        the sums of their entries' moduli. 0 for fractions.
        """
        if self.exact:
            return 0.0
        total = float(np.trace(self.second)) + float(self.noise)
        norm = float(np.linalg.norm(P))
        return norm * (1 + self.alpha * self.beta * total * (1 + self.alpha * norm**2))


@claim(Verdict.EXACT, source=YUKSEL, rests_on="width-mean-update", draws=resting_points, examples=40)
def width_limit_rests(example: Example, implementation: Implementation, *, mean_step=mean_step) -> Iterator[Comparison]:
    r"""The mean update is at rest wherever $B = B_*P$ with
    $PP^\top = \frac{1}{\alpha}\frac{m}{m+1}\Sigma_*\left(\Sigma_* + \frac{\tau}{m+1}I\right)^{-1}$, for every width.

    Given: any $k' \ge k$, $m \ge 1$, $\alpha$, $\beta$; $\Sigma_*$ and $\sigma^2$ computed from a drawn limit;
    examples: $k' \le 2k$
    """
    at = _Rest.of(example)
    P, eps = at.P, implementation.eps
    next_P, _ = mean_step(P, 0 * P[:1], at.second, at.alpha, at.beta, at.m, at.noise)
    yield same(next_P, P, at.scale(P), eps, "mean step from the limit", 100, at.objects)
    if not at.exact:
        limit = learned_second_moment(at.second, at.alpha, at.m, at.noise)
        # The formula solves with Σ_* + τ/(m + 1) I, whose condition is at most 1 + (m + 1).
        scale = float(np.linalg.norm(P)) ** 2 + float(np.abs(limit).max()) * (2 + at.m)
        yield same(P @ P.T, limit, scale, eps, "PPᵀ and the formula", 100, at.objects)


@claim(Verdict.EXACT, given="as before", rests_on="width-limit-rests", draws=resting_points, examples=40)
def width_useful_rate(example: Example, implementation: Implementation, *, mean_step=mean_step) -> Iterator[Comparison]:
    r"""There the useful part of $Y = B_{*\perp}^\top B$ contracts as with infinitely many samples,
    $Y^+P^\top = YP^\top(I - \alpha\beta\Sigma_*)$ to first order, whatever $m$, $\sigma^2$ and $k'$; to first order
    $Yq$ stays where $Pq = 0$.
    """
    at, Y = _Rest.of(example), array(example["Y"])
    # The perpendicular part's next value has a linear and a cubic part in Y and no other.
    one, two = (mean_step(at.P, times * Y, at.second, at.alpha, at.beta, at.m, at.noise)[1] for times in (1, 2))
    moved = (8 * one - two) / 6 - Y
    useful, kept = moved @ at.P.T, moved @ at.V[example["k"] :].T
    # The roundings of the two steps, of which cubic parts cancel, times |P| for the useful directions.
    scale = sum(weight * at.scale(np.concatenate([at.P, times * Y])) for times, weight in ((1, 8 / 6), (2, 1 / 6)))
    P, size = float(np.linalg.norm(at.P.astype(float))), largest(Y)
    eps, shown = implementation.eps, {**at.objects, "Y": Y}
    stated = -at.alpha * at.beta * (Y @ at.P.T @ at.second)
    yield same(useful, stated, scale * P, eps, "(Y⁺ − Y)Pᵀ + αβYPᵀΣ_*", 100, shown, size * P)
    yield same(kept, 0 * kept, scale * example["width"] ** 0.5, eps, "Y⁺V − YV where PV = 0", 100, shown, size)


# --- measured along runs


def _starts(width: int, count: int, seed: int, least: float = 0.5) -> tuple[np.ndarray, np.ndarray]:
    """Random starts (P, Y) of one width, (count, 1, rows, k'): orthonormal columns times ``least`` to 1 times 1/√α, so
    that no superfluous direction is tiny from the beginning.
    """
    rng, k = np.random.default_rng((seed, width)), len(SPECTRUM)
    frames = np.linalg.qr(rng.standard_normal((count, 1, k + width + 1, width)))[0]
    B = frames * rng.uniform(least, 1.0, (count, 1, 1, 1)) / np.sqrt(ALPHA)
    return B[..., :k, :], B[..., k:, :]


def wide_runs(
    width: int, samples: Sequence[int | None], record_at: np.ndarray, seed: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Mean runs from a random start of size 1/√α, for each m: (P, Y) at the recorded steps."""
    P, Y = (part[0, 0] for part in _starts(width, 1, seed, least=1.0))
    return [run_mean(P, Y, np.diag(SPECTRUM), ALPHA, BETA, m, NOISE, record_at) for m in samples]


LIMIT_SAMPLES, LIMIT_STEPS, LIMIT_BOUND = (1, 5, 20, 100), 1500, 1e-9
"""The slowest useful mode falls like (1 − 0.054)^t, so after so many steps rounding alone is left: eps times the steps
that are remembered (20) times the entries that a step adds up, far below the bound.
"""


@claim(Verdict.MEASURED, source=YUKSEL, learners=("fo-anil",), rests_on="width-limit-rests")
def width_limit(
    implementation: Implementation, seed: int, effort: float, *, learned_second_moment=learned_second_moment
) -> Measurement:
    r"""From random starts FO-ANIL's mean update reaches that limit: $B_*^\top BB^\top B_* \to
    \frac{1}{\alpha}\frac{m}{m+1}\Sigma_*\left(\Sigma_* + \frac{\tau}{m+1}I\right)^{-1}$ for $k' = k$, $k+1$, $2k$.

    Given: $\alpha = \beta = 0.3$, $\Sigma_* = \mathrm{diag}(1, 0.8, 0.6)$, $\sigma^2 = 0.5$, $m = 1, 5, 20, 100$;
    starts with orthonormal columns times $0.5$ to $1$ times $1/\sqrt\alpha$, several of each width; 1500 steps

    That almost every start ends there is seen, not proved. Consistent if no entry is off by more than 1e-9 of the
    largest.
    """
    second, samples = np.diag(SPECTRUM), np.array(LIMIT_SAMPLES)
    ratios, details = [], {}
    # Σ_* is diagonal, and so is the formula; what the other entries differ by counts in units of its largest.
    limits = np.stack([learned_second_moment(second, ALPHA, m, NOISE) for m in LIMIT_SAMPLES])
    off, runs, count = 0.0, 0, max(2, round(STARTS * effort))
    for k, width in WIDTHS:
        starts = _starts(width, count, seed)
        P = run_mean(*starts, second, ALPHA, BETA, samples, NOISE, np.array([LIMIT_STEPS]))[0][-1]
        seen = P @ np.swapaxes(P, -1, -2)
        errors = np.abs(seen - limits).max((-2, -1)) / np.abs(limits).max((-2, -1))
        off, runs = max(off, float(errors.max())), runs + errors.size
        ratios.append((np.diagonal(seen, 0, -2, -1) / np.diagonal(limits, 0, -2, -1)).ravel())
        for m, error in zip(LIMIT_SAMPLES, errors.max(0), strict=True):
            details[f"k = {k}, k' = {width}, m = {m}"] = float(error)
    every = np.concatenate(ratios)
    return Measurement(
        float(every.mean()),
        farthest(every, float(every.mean())),
        runs,
        f"diagonal of B_*ᵀBBᵀB_* after {LIMIT_STEPS} steps over the formula's (predicted: 1), mean and the "
        f"farthest from it in {runs} runs; the largest deviation of any entry is {off:.1e} of the largest, allowed are "
        f"{LIMIT_BOUND:.0e}",
        details,
        off <= LIMIT_BOUND,
    )


UNLEARNING_SAMPLES, UNLEARNING_TIMES = (1, 5, 20), (1000, 2000)


@claim(Verdict.MEASURED, source=YUKSEL, learners=("fo-anil",), rests_on="width-limit")
def width_slow_unlearning(
    implementation: Implementation, seed: int, effort: float, *, unlearning_constant=unlearning_constant
) -> Measurement:
    r"""The superfluous directions are unlearned slowly: in the end $1/s^2$ of their singular values grows by
    $\frac{2\alpha^2\beta\tau}{m}$ a step, so that $s_t^2\, t \to \frac{m}{2\alpha^2\beta\tau}$.

    Given: as before, $k' = k + 1$ and $2k$, $m = 1, 5, 20$; steps 1000 to 2000

    $s^+ = s(1 - cs^2)$ with $c = \alpha^2\beta\tau/m$ once the useful part rests. Consistent if the growth is above the
    stated one by a share between $0$ and twice the next order, $\frac{3}{2} cs^2$ (below $0.2$ %); $s^2t$ itself comes
    close only like $1/t$.
    """
    # m times the growth is 2α²βτ for every m. s⁺ = s(1 − cs²) adds 2c(1 + 3/2 cs² + ...) to 1/s²: the growth seen is
    # above 2c, by a share of at most 3/2 cs² with s from the beginning of the window.
    second, times, samples = np.diag(SPECTRUM), np.array(UNLEARNING_TIMES), np.array(UNLEARNING_SAMPLES)
    constants = np.array([unlearning_constant(second, ALPHA, BETA, m, NOISE) for m in UNLEARNING_SAMPLES])
    growths, largest_next, consistent, details, count = [], 0.0, True, {}, max(2, round(STARTS * effort))
    for k, width in WIDTHS[1:]:
        _, Y = run_mean(*_starts(width, count, seed), second, ALPHA, BETA, samples, NOISE, times)
        first, last = np.linalg.svd(Y, compute_uv=False)[..., : width - k]  # (starts, m, k' − k)
        growth = (1 / last**2 - 1 / first**2) / (times[1] - times[0])
        excess = growth * constants[:, None] - 1
        # cs² is s²/(2·constant); twice the leading term leaves room for those that follow (cs² < 10⁻³ here), the rest
        # for rounding: eps times so many steps.
        next_order = 0.75 * first**2 / constants[:, None]
        largest_next = max(largest_next, float(next_order.max()))
        consistent = consistent and bool((excess <= 2 * next_order).all() and (excess >= -1e-12).all())
        growths.append((growth * samples[:, None]).ravel())
        for number, m in enumerate(UNLEARNING_SAMPLES):
            details[f"k = {k}, k' = {width}, m = {m}"] = {
                "constant": float(constants[number]),
                "s2_times_t": (last[:, number] ** 2 * times[1]).ravel().tolist(),
                "growth_ratio": (1 + excess[:, number]).ravel().tolist(),
            }
    every = np.concatenate(growths)
    predicted, mean = float(UNLEARNING_SAMPLES[0] / constants[0]), float(every.mean())
    beyond = mean * largest_next  # so much of it may be gone for ever longer runs
    return Measurement(
        mean,
        beyond + farthest(every, mean),
        every.size,
        f"m times the growth of 1/s² a step from step {times[0]} to {times[1]}, mean of {every.size} singular values; "
        f"predicted 2α²βτ = {predicted:.6g} in the end, and until then above it by a share of at most 3/2 cs² "
        f"(c = α²βτ/m), the next order: the uncertainty is this, {beyond:.1e}, and the farthest value from the mean",
        details,
        consistent,
    )
