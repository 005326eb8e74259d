"""Designs of sweeps: axes as text, and the settings that they make, as a grid or at random."""

from dataclasses import dataclass, fields
from math import prod
from typing import Any

import numpy as np

from metarep.reports.page.limits import LIMITS, MOST_SETTINGS, check_limits
from metarep.reports.page.output import InputError, checking_input
from metarep.sim.sweeps import SweepSetting, grid

AXES = tuple(field.name for field in fields(SweepSetting))
WORDS = ("learner", "start", "tasks")
"""Axes whose values are words."""
WHOLE = ("d", "k", "n", "m_in", "m_out", "steps")
"""Axes whose values are whole numbers."""
GEOMETRIC = ("d", "k", "n", "alpha", "beta", "m_in", "m_out", "steps")
"""Axes whose ranges are spread evenly in the logarithm unless they say otherwise; the others (sigma, dist0) evenly."""
SPREADS = ("linear", "geometric")


@dataclass(frozen=True)
class Range:
    """An axis given as ``low:high`` or ``low:high:count``."""

    low: float
    high: float
    count: int | None
    geometric: bool
    """Whether values are spread evenly in the logarithm."""

    def __str__(self) -> str:
        how = "evenly in the logarithm (:linear for evenly)" if self.geometric else "evenly"
        values = "drawn" if self.count is None else f"{self.count} values"
        return f"{values} from {self.low:g} to {self.high:g}, spread {how}"


def parse_axis(name: str, text: str) -> list[Any] | Range:
    """An axis of a design: ``0.1``, ``0.1,0.2``, ``0.01:1:5`` (five values), ``0.01:1`` (a range, for random designs),
    and these with ``:linear`` or ``:geometric`` behind them, which say how they are spread.

    ``none`` stands for the population (m_in, m_out) or a random start (dist0).

    Raises:
        InputError: it is none of these.
    """
    if name in WORDS:
        return [part.strip() for part in text.split(",")]
    if ":" not in text:
        return [_number(name, part.strip()) for part in text.split(",")]
    *parts, last = text.split(":")
    geometric = name in GEOMETRIC if last not in SPREADS else last == "geometric"
    parts += [] if last in SPREADS else [last]
    least = "0 < low" if geometric else "low"
    wrong = InputError(
        f"{name} is {text!r}; allowed: low:high or low:high:count with {least} < high, and :linear or :geometric behind"
    )
    try:
        low, high = (float(part) for part in parts[:2])
        count = int(parts[2]) if len(parts) == 3 else None
    except ValueError:
        raise wrong from None
    if count is not None and count > MOST_SETTINGS:
        raise InputError(f"{name} is {text!r}; allowed: {MOST_SETTINGS} values at most")
    _within_limits(name, low, high)
    positive = not geometric or low > 0
    if len(parts) > 3 or not low < high or not positive or (count is not None and count < 2):
        raise wrong
    return Range(low, high, count, geometric)


def _within_limits(name: str, *values: float) -> None:
    for value in values:
        if name in LIMITS:
            check_limits(name, value, also=", or none for the population" if name in ("m_in", "m_out") else "")


def _number(name: str, text: str) -> Any:
    if text.lower() in ("none", "inf") and name in ("m_in", "m_out", "dist0"):
        return None
    try:
        value = int(text) if name in WHOLE else float(text)
    except ValueError:
        kind = "a whole number" if name in WHOLE else "a number"
        raise InputError(f"{name} is {text!r}; allowed: {kind}, several with commas, or low:high:count") from None
    _within_limits(name, value)
    return value


def _listed(name: str, axis: list[Any] | Range) -> list[Any]:
    if isinstance(axis, list):
        return axis
    if axis.count is None:
        raise InputError(f"{name} is a range without a count; allowed: low:high:count, or a random design")
    values = (np.geomspace if axis.geometric else np.linspace)(axis.low, axis.high, axis.count)
    return list(dict.fromkeys(round(value) for value in values)) if name in WHOLE else [float(v) for v in values]


def _drawn(name: str, axis: list[Any] | Range, rng: np.random.Generator) -> Any:
    if isinstance(axis, list):
        return axis[int(rng.integers(len(axis)))]
    if axis.geometric:
        value = float(np.exp(rng.uniform(np.log(axis.low), np.log(axis.high))))
    else:
        value = float(rng.uniform(axis.low, axis.high))
    return round(value) if name in WHOLE else value


def design(axes: dict[str, str], random: int | None, seed: int) -> list[SweepSetting]:
    """The settings of a grid (every combination), or ``random`` settings drawn from the axes.

    Raises:
        InputError: an axis or a setting makes no sense.
    """
    parsed = {name: parse_axis(name, text) for name, text in axes.items()}
    with checking_input():
        if random is not None:
            rng = np.random.default_rng([seed, 1])
            drawn = ({name: _drawn(name, axis, rng) for name, axis in parsed.items()} for _ in range(random))
            return [SweepSetting(**values) for values in drawn]
        values = {name: _listed(name, axis) for name, axis in parsed.items()}
        if (settings := prod(map(len, values.values()))) > MOST_SETTINGS:
            raise InputError(f"these axes have {settings} combinations; allowed: {MOST_SETTINGS} at most")
        return grid(values)
