"""The rate of a decaying curve, from the stretch where its logarithm is straight, with an error that does not flatter
itself.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray

KNOTS = 24
"""Windows begin and end on this many evenly spaced places."""
BLOCKS = 6
"""Blocks of a window whose slopes are compared."""
SETTLED = 0.01
"""A window is straight when its blocks' slopes drift by less than this share of the slope to either side of the middle
...
"""
NOISE_MULTIPLE = 2.0
"""... or by less than this many standard deviations of what the curve's own noise makes them drift."""
LATE_ENOUGH = 0.2
"""The latest straight window is taken whose fall is at least this share of the largest fall of any: a transient that
fell far does not count if a settled stretch follows, a floor does not count as it does not fall.
"""
FLOOR_CLEARANCE = 100.0
"""Points below this multiple of a floor, named by the caller or seen, are left out: an additive floor bends the slope
by 1 % there.
"""
TAIL = 0.1
FLAT = 0.05
"""A floor is seen where the last ``TAIL`` of the curve falls by less than ``FLAT`` in log dist, or than noise explains,
after a fall by more than twice ``FLOOR_CLEARANCE``.
"""
_LEAST_POINTS = 3 * BLOCKS


@dataclass(frozen=True)
class RateFit:
    """A per-step factor dist_{t+1}/dist_t and where it was read off.

    Attributes:
        rate: the factor.
        standard_error: of the rate, from the slopes of the window's blocks: their scatter (so correlated noise counts)
        and their drift. start: first step of the window.
        stop: last step of the window.
    """

    rate: float
    standard_error: float
    start: int
    stop: int


def _slope(x: Array, y: Array) -> float:
    x, y = (values - np.add.reduce(values) / len(values) for values in (x, y))  # so begins sooner than mean()
    return float(x @ y / (x @ x))


def _slopes(x: Array, y: Array) -> Array:
    """Of ``BLOCKS`` blocks, as equal as can be."""
    edges = np.rint(_EDGES * len(x)).astype(int)
    starts, counts = edges[:-1], np.diff(edges)
    x, y = (values - np.repeat(np.add.reduceat(values, starts) / counts, counts) for values in (x, y))
    return np.add.reduceat(x * y, starts) / np.add.reduceat(x * x, starts)


_EDGES = np.linspace(0, 1, BLOCKS + 1)


_PLACES = np.arange(BLOCKS) - (BLOCKS - 1) / 2
_LENGTH = math.sqrt(float(_PLACES @ _PLACES))
_HALF_RANGE = (BLOCKS - 1) / 2 / _LENGTH**2
_EPS = float(np.finfo(float).eps)


def _noise(y: Array) -> tuple[float, float]:
    """Variances (per point of a random walk, of white noise) in y, from second differences at two lags, by medians."""
    far = max(2, len(y) // 20)  # the farther, the better the two kinds are told apart
    variances = []
    for lag in (1, far):
        bend = y[2 * lag :] - 2 * y[lag:-lag] + y[: -2 * lag]
        spread = np.median(np.abs(bend - np.median(bend))) / 0.6745
        variances.append(spread**2)  # 2·lag·walk + 6·white for normal noise
    walk = max(0.0, float(variances[1] - variances[0]) / (2 * (far - 1)))
    return walk, max(0.0, float(variances[0] - 2 * walk) / 6)


def _seen_floor(x: Array, y: Array) -> float:
    """The level of log dist at which the curve ends flat after a long fall; −inf if it does not."""
    tail = max(_LEAST_POINTS, round(TAIL * len(x)))
    level = float(np.median(y[-tail:]))
    if y.max() - level < np.log(2 * FLOOR_CLEARANCE):
        return -np.inf
    walk, white = _noise(y[-tail:])
    fall = abs(_slope(np.arange(tail), y[-tail:])) * tail
    explained = NOISE_MULTIPLE * float(np.sqrt(12 * white / tail + 1.2 * walk * tail))
    steep = fall > 0.5 * TAIL * (y.max() - level)  # as the fall before it: no floor
    return level if fall <= max(FLAT, explained) and not steep else -np.inf


def _window(x: Array, y: Array) -> tuple[float, float, bool]:
    """(slope, its standard error, whether the window is straight)."""
    slope = _slope(x, y)
    slopes = _slopes(x, y)
    drift = abs(float(_PLACES @ slopes)) * _HALF_RANGE  # half the way from the first to the last block
    rounding = 4 * _EPS * (1 + max(abs(float(y.max())), abs(float(y.min())))) / float(x[-1] - x[0])
    away = slopes - np.add.reduce(slopes) / BLOCKS
    error = math.sqrt(float(away @ away) / (BLOCKS - 1) / BLOCKS + drift**2 + rounding**2)
    deviation = float(np.abs(away).max())

    def within(by_drift: float, by_block: float) -> bool:
        return drift <= max(by_drift, rounding * BLOCKS) and deviation <= max(by_block, rounding * BLOCKS**2)

    settled = SETTLED * abs(slope)
    straight = within(settled, 2 * settled)
    if not straight:
        walk, white = _noise(y)
        length, spacing = len(x) / BLOCKS, float(x[-1] - x[0]) / (len(x) - 1)
        scatter = math.sqrt(1.2 * walk / length + 12 * white / length**3) / spacing  # of one block's fitted slope
        by_noise = NOISE_MULTIPLE * scatter * _HALF_RANGE * _LENGTH
        straight = within(max(settled, by_noise), 2 * max(settled, NOISE_MULTIPLE * scatter))
    return slope, error, straight


def fit_rate(steps: Any, dist: Any, floor: float = 0.0) -> RateFit:
    """Per-step factor by which a distance shrinks, read off the latest straight stretch of log dist that still falls.

    A curve has a transient, a straight stretch and perhaps a floor. All windows between evenly spaced places are tried;
    straight are those whose slope does not drift by more than one per cent or what the curve's noise explains; of these
    the latest that falls substantially is taken (the longest of equally late ones). If no window is straight, the one
    with the least relative error is, and the standard error says so.

    Args:
        steps: (T,) step numbers, ascending.
        dist: (T,) distances; the curve ends at the first that is not positive and finite.
        floor: if known, the level below which rounding or sampling noise rules; points within a factor 100 of it are
            left out.

    Raises:
        ValueError: shapes differ, or fewer than 18 usable points.

    Source: own procedure; the idea of finding the straight piece is that of slope checks such as Pymanopt's
    ``check_gradient``.
    """
    x, values = np.asarray(steps, dtype=float), np.asarray(dist, dtype=float)
    if x.ndim != 1 or x.shape != values.shape:
        raise ValueError(f"steps has shape {x.shape} and dist {values.shape}; allowed: (T,) both")
    if not np.all(np.diff(x) > 0):
        raise ValueError("steps do not ascend; allowed: ascending step numbers")
    if not 0 <= floor < np.inf:
        raise ValueError(f"floor is {floor!r}; allowed: floor >= 0 and finite")
    unusable = ~(np.isfinite(values) & (values > FLOOR_CLEARANCE * floor))
    count = int(np.argmax(unusable)) if unusable.any() else len(values)
    if count >= _LEAST_POINTS:
        above = np.log(values[:count]) > _seen_floor(x[:count], np.log(values[:count])) + np.log(FLOOR_CLEARANCE)
        count = count if above.all() else int(np.argmin(above))
    if count < _LEAST_POINTS:
        raise ValueError(
            f"dist has {count} usable points; allowed: at least {_LEAST_POINTS} before it ends or comes near its floor"
        )
    x, y = x[:count], np.log(values[:count])

    places = np.unique(np.linspace(0, count, KNOTS + 1).round().astype(int))
    windows = []
    for i, a in enumerate(places):
        for b in places[i + 1 :]:
            if b - a >= _LEAST_POINTS:
                slope, error, straight = _window(x[a:b], y[a:b])
                windows.append((a, b, slope, error, straight, -slope * (x[b - 1] - x[a])))
    candidates = [window for window in windows if window[4]]
    if candidates:
        deepest = max(abs(window[5]) for window in candidates)
        late = [window for window in candidates if abs(window[5]) >= LATE_ENOUGH * deepest]
        last = max(window[1] for window in late)
        a, b, slope, error, _, _ = min((window for window in late if window[1] == last), key=lambda window: window[0])
    else:
        a, b, slope, error, _, _ = min(windows, key=lambda window: window[3] / max(abs(window[2]), 1e-300))
    rate = float(np.exp(slope))
    return RateFit(rate, rate * error, int(x[a]), int(x[b - 1]))
