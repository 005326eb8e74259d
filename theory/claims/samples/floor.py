"""Claims about FO-ANIL's noise floor on finite samples: the rest of its mean dynamics, and where dist settles around.

The floor is measured with the simulator in law.
"""

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st

from metarep.sim.implementations import Implementation
from metarep.sim.learners import LEARNERS
from metarep.sim.sampling.stationary import LongRun, long_run
from metarep.sim.shares import Z_95
from metarep.theory.claims.comparing import farthest, same
from metarep.theory.claims.record import Comparison, Example, Measurement, Verdict, own
from metarep.theory.claims.samples import claim
from metarep.theory.claims.strategies import Entries, array, floats
from metarep.theory.dynamics.floor import Floor, mean_rest, predicted_floor, rough_floor, stationary_start
from metarep.theory.dynamics.moments import mean_gradients

Array = np.ndarray
FO_ANIL = LEARNERS["fo-anil"]

# --- the rest of the mean dynamics


@st.composite
def differing_tasks(draw: st.DrawFn) -> Example:
    """Fixed tasks whose covariance has full rank, by construction: ±spread along every direction, and a mean."""
    made = Entries(draw, floats)
    k = made.k()
    return {
        "k": k,
        "n": 2 * k,
        "m_in": draw(st.integers(1, 100)),
        "alpha": draw(floats(0.05, 1.0)),
        "sigma": draw(floats(0.0, 2.0)),
        "spread": [draw(floats(0.3, 2.0)) for _ in range(k)],
        "mean": made.vector(k, 1.0),
        "shear": made.matrix(k, k, 0.3),
    }


@claim(
    Verdict.SUPPORTED,
    source=own(about="finite-samples"),
    learners=("fo-anil",),
    rests_on="mean-update-fo-anil",
    floats=differing_tasks,
    examples=40,
)
def mean_rest_fo_anil(
    example: Example, implementation: Implementation, *, mean_rest=mean_rest, mean_gradients=mean_gradients
) -> Comparison:
    r"""FO-ANIL's mean dynamics on finite inner samples rest at $B = B_*P$ with $\alpha PP^\top =
    \frac{m_{in}}{m_{in}+1} V (V + \frac{\tau}{m_{in}+1} I)^{-1}$ and $Pw = \bar w_*$, where $V$ is the covariance of
    the tasks' heads and $\tau = \mathrm{tr} V + \sigma^2$.

    Given: fixed tasks with $V$ of full rank (at least $k + 1$ of them), any $m_{in}$, $\alpha$, $\sigma$

    In the population the head rests anywhere and $\alpha PP^\top = I$. With $n \le k$ tasks $V$ is singular and there
    is no rest: where the tasks do not differ $B$ shrinks and the head grows.
    """
    alpha, m_in, sigma = example["alpha"], example["m_in"], example["sigma"]
    spread = np.diag(example["spread"]) @ (np.eye(example["k"]) + np.triu(array(example["shear"]), 1))
    heads = np.concatenate([spread, -spread], 1) + np.array(example["mean"])[:, None]
    P, w = mean_rest(heads, alpha, m_in, sigma)
    moved = mean_gradients(FO_ANIL, P, w, heads, alpha, float(m_in), sigma)
    # P = (H/α)^{1/2} with H's condition up to that of V times m; words of ∇_B multiply six factors of this size.
    size = 1 + float(np.abs(heads).max()) + sigma + float(np.abs(w).max()) * np.linalg.norm(P, 2)
    condition = float(np.linalg.cond(P) ** 2)
    # ∇_B has the size of θ w, that is of size² √α (1 + 1/√gains).
    scale = len(P) ** 2 * size**3 * condition * (1 + np.sqrt(alpha)) * (1 + 1 / np.sqrt(alpha))
    why = "largest entry of the mean gradients at the rest"
    rest = {"k": len(P), "m_in": m_in, "alpha": alpha, "sigma": sigma, "heads": heads, "P": P, "w": w}
    zero = tuple(0 * part for part in moved)
    return same(tuple(moved), zero, scale, implementation.eps, why, objects=rest, size=size)


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

    def __str__(self) -> str:
        return f"d={self.d} k={self.k} n={self.n} α={self.alpha} m_in={self.m_in} m_out={self.m_out} σ={self.sigma}"


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
"""Ten settings, the cheaper ones first. Heads' seeds were not selected; one ill-conditioned setting (d = 12, k = 4,
n = 10) gave way to a better conditioned one, being too slow for a standard error of 1 %.
"""

SMALL = 0.005
"""αβL_*² at which the prediction is held to ``FLOOR_BOUND``."""
FLOOR_BOUND = 0.03
FULL_EFFORT = 5.0
"""From this effort on the floor is measured in all ten settings, to a standard error of 1 % or less."""


@lru_cache(maxsize=16, typed=True)  # a long run, the same for every wrong prediction that is held against it
def measured_floor(setting: FloorSetting, size: float, seed: int, relative_error: float, trials: int = 64) -> LongRun:
    """A long run around the predicted floor, after three relaxation times."""
    floor = predicted_floor(*setting.arguments(size))
    # About how many independent states give that standard error: a mean square sine averages (d − k)k squares.
    snapshots = 4 / (relative_error**2 * setting.k * (setting.d - setting.k))
    relaxation = floor.relaxation_steps
    every = max(1, round(relaxation / 10))
    steps = max(every, int(max(1.0, snapshots / trials) * relaxation))
    rng = np.random.default_rng(seed)
    heads, alpha, beta, d, m_in, m_out, sigma = setting.arguments(size)
    B, w = stationary_start(floor, d, trials, rng)
    burn_in = int(3 * relaxation)
    return long_run(FO_ANIL, B, w, heads, alpha, beta, m_in, m_out, sigma, d, burn_in, steps, rng, every)


def _predicted_and_seen(
    setting: FloorSetting, size: float, seed: int, relative_error: float, prediction: Callable[..., Floor]
) -> tuple[float, float, float]:
    """The floor's mean square sine predicted and seen, and the relative standard error of the latter."""
    seen = measured_floor(setting, size, seed, relative_error)
    value = float(seen.mean_square_sine)
    return prediction(*setting.arguments(size)).mean_square_sine, value, float(seen.standard_error) / value


floor_claim = partial(
    claim,
    Verdict.MEASURED,
    source=own(about="finite-samples"),
    learners=("fo-anil",),
    rests_on="noise-floor-fo-anil",
)


@floor_claim(
    source=own("that a floor exists: Collins et al. 2022", about="finite-samples"),
    words={"bound": f"{FLOOR_BOUND:.0%}"},
    rests_on=("noise-moment-fo-anil", "mean-rest-fo-anil"),
)
def noise_floor_fo_anil(
    implementation: Implementation, seed: int, effort: float, *, predicted_floor=predicted_floor
) -> Measurement:
    r"""On finite samples drawn afresh FO-ANIL settles at a mean square sine of the principal angles that a discrete
    Lyapunov equation at the rest of the mean dynamics predicts, for small $\alpha\beta L_*^2$.

    Given: fixed tasks, $\alpha\beta L_*^2 = 0.005$; three settings by default, ten at full effort

    Consistent if every deviation is within «bound» and three standard errors.
    """
    full = effort >= FULL_EFFORT
    settings = FLOOR_SETTINGS if full else FLOOR_SETTINGS[:3]
    details: dict[str, Any] = {}
    worst, error, consistent = 0.0, 0.0, True
    for number, setting in enumerate(settings):
        predicted, seen, spread = _predicted_and_seen(
            setting, SMALL, seed + number, 0.007 if full else 0.012, predicted_floor
        )
        deviation = predicted / seen - 1
        details[str(setting)] = f"predicted {predicted:.4g}, seen {seen:.4g} ± {spread:.2%}: {deviation:+.2%}"
        consistent &= abs(deviation) <= FLOOR_BOUND + 3 * spread
        if abs(deviation) > abs(worst):
            worst, error = deviation, spread
    return Measurement(
        worst,
        Z_95 * error,
        len(settings),
        f"largest relative deviation of the prediction from long runs, {len(settings)} settings at αβL² = {SMALL}, and "
        "the 95 % interval of that one",
        details,
        consistent,
    )


GROWTH_SETTING = FLOOR_SETTINGS[3]
GROWTH_SIZES = (0.01, 0.03, 0.09)
GROWTH_MISFIT = 13.8
"""χ² of two degrees of freedom exceeds this once in 1000 seeds."""
HALF_WITHIN = 1 / 6
""""About a half" is a third to two thirds."""


@floor_claim()
def noise_floor_growth(
    implementation: Implementation, seed: int, effort: float, *, predicted_floor=predicted_floor
) -> Measurement:
    r"""The plain Lyapunov equation predicts FO-ANIL's floor too low, by a share proportional to $\alpha\beta L_*^2$;
    counting that the contraction varies from step to step leaves between a third and two thirds of that error.

    Given: one setting ($d = 60$, $k = 3$), $\alpha\beta L_*^2 = 0.01, 0.03, 0.09$

    Consistent if the plain equation's error is negative by more than three standard errors, both errors fit lines
    through zero (χ² below 13.8), and the ratio of the slopes is within three standard errors of that range.
    """
    details: dict[str, Any] = {}
    errors, plain_errors, uncertainty = [], [], []
    for number, size in enumerate(GROWTH_SIZES):
        plain = predicted_floor(*GROWTH_SETTING.arguments(size), varying_contraction=False).mean_square_sine
        precision = 0.01 / np.sqrt(min(effort, 10.0))
        predicted, seen, spread = _predicted_and_seen(GROWTH_SETTING, size, seed + number, precision, predicted_floor)
        errors.append(predicted / seen - 1)
        plain_errors.append(plain / seen - 1)
        uncertainty.append(spread)
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
        Z_95 * spread,
        len(GROWTH_SIZES),
        "relative error of the plain Lyapunov equation per αβL², fitted through 0, and its 95 % interval; counting the "
        f"varying contraction leaves {ratio:.2f} ± {ratio_spread:.2f} of it",
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
each and nearly equal, change a slope by less.
"""


class _Repeated(FloorSetting):
    """A setting whose tasks are ``SLOPE_TASKS``, repeated: more tasks, the same moments."""

    def heads(self) -> Array:
        return np.tile(SLOPE_TASKS, self.n // SLOPE_TASKS.shape[1])


SLOPE_BASE = _Repeated(60, 2, 4, 0.4, 30, 30, 0.5, 0.0, 1.0, 0)


@floor_claim()
def noise_floor_slopes(
    implementation: Implementation, seed: int, effort: float, *, predicted_floor=predicted_floor
) -> Measurement:
    r"""The floor's slopes in $d$, $n$, $m_{out}$ and $\sigma$ (logarithmic, others fixed) are within $0.02$ of the
    prediction's; in $n$ and $m_{out}$ within $0.02$ of $-1$.

    Given: one setting and a factor of three in each, $\alpha\beta L_*^2 = 0.005$, the tasks kept

    Consistent if no slope is further off than that and three standard errors. The range is mild. With much label noise
    on few inner samples the slope in σ was seen to leave the prediction by far more than its standard error; why is
    open.
    """
    details: dict[str, Any] = {}
    worst, error, consistent = 0.0, 0.0, True
    precision = 0.012 / np.sqrt(min(effort, 10.0))
    base = _predicted_and_seen(SLOPE_BASE, SMALL, seed, precision, predicted_floor)
    for number, parameter in enumerate(("d", "n", "m_out", "sigma"), 1):
        setting = SLOPE_BASE._replace(**{parameter: getattr(SLOPE_BASE, parameter) * SLOPE_FACTOR})
        changed = _predicted_and_seen(setting, SMALL, seed + number, precision, predicted_floor)
        predicted, seen = (float(np.log(changed[i] / base[i]) / np.log(SLOPE_FACTOR)) for i in (0, 1))
        spread = float(np.hypot(changed[2], base[2]) / np.log(SLOPE_FACTOR))
        details[parameter] = f"predicted {predicted:+.3f}, seen {seen:+.3f} ± {spread:.3f}"
        consistent &= abs(seen - predicted) <= SLOPE_BOUND + 3 * spread
        if parameter in ("n", "m_out"):
            consistent &= abs(seen + 1) <= SLOPE_BOUND + 3 * spread
        if abs(seen - predicted) > abs(worst):
            worst, error = seen - predicted, spread
    why = f"largest difference of slopes d log floor / d log x over a factor {SLOPE_FACTOR}, and its 95 % interval"
    return Measurement(worst, Z_95 * error, 4, why, details, consistent)


@floor_claim()
def noise_floor_gaussian_moments(
    implementation: Implementation, seed: int, effort: float, *, predicted_floor=predicted_floor
) -> Measurement:
    r"""With the fourth moments of a Gaussian in place of the adapted head's the predicted floor is too low.

    Given: the ten settings of the floor
    """
    details, errors = {}, []
    for setting in FLOOR_SETTINGS:
        arguments = setting.arguments(SMALL)
        exact, gaussian = (predicted_floor(*arguments, exact_moments=flag).mean_square_sine for flag in (True, False))
        errors.append(gaussian / exact - 1)
        details[str(setting)] = f"{errors[-1]:+.1%}"
    median = float(np.median(errors))
    return Measurement(
        median,
        farthest(errors, median),
        len(errors),
        "relative error of the floor from Gaussian fourth moments, median of ten settings and the farthest from it",
        details,
        consistent=max(errors) < 0,
    )


@floor_claim()
def noise_floor_rough(
    implementation: Implementation, seed: int, effort: float, *, rough_floor=rough_floor
) -> Measurement:
    r"""$\frac{\alpha\beta(d-k)s^2}{2 n m_{out}}$, with $s^2$ the average over tasks of $\sigma^2 +
    \frac{1}{m_{in}}((\|\theta_i\|^2 + \sigma^2)k + \|\theta_i\|^2)$, has the floor's order of magnitude.

    Given: random settings, $k \le 5$, $n \ge 2k + 2$, $m_{in} \ge 10$, $\alpha\beta L_*^2 = 0.005$

    It takes αBᵀB = I, which large inner samples give. Consistent if it is within a factor of two for m_in ≥ 100.
    """
    # The rough formula against the Lyapunov equation's, over random settings (no simulation).
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
    median = float(np.median(large))
    return Measurement(
        median,
        farthest(large, median),
        count,
        "relative error of the rough formula against the Lyapunov equation for m_in ≥ 100: median of the settings and "
        "the farthest from it",
        details,
        consistent=bool(np.abs(large).max() < 1.0),
    )
