"""What floats say, confirmed without them: what exceeds what, between ends that are certain."""

import math
import sys
from dataclasses import dataclass, field
from decimal import ROUND_CEILING, ROUND_FLOOR, Context
from fractions import Fraction
from typing import Any, Literal

Method = Literal["fractions", "balls"]

_DOWN, _UP = (Context(6, rounding) for rounding in (ROUND_FLOOR, ROUND_CEILING))


@dataclass(frozen=True)
class Exceeds:
    """value ≥ lower > upper ≥ bound: two ends that are certain, rounded outward to floats, and whose they are.

    ``value`` or ``bound`` is empty where it is the end itself.
    """

    value: str
    """What is at least the lower end."""
    lower: float
    """The lower end."""
    upper: float
    """The upper end that it exceeds."""
    bound: str = ""
    """What is at most the upper end."""

    @property
    def holds(self) -> bool:
        """Whether the ends are apart, and finite."""
        return math.isfinite(self.lower) and math.isfinite(self.upper) and self.lower > self.upper

    def __str__(self) -> str:
        lower, upper = _DOWN.create_decimal(self.lower), _UP.create_decimal(self.upper)
        left, right = (f"{self.value} ≥ " if self.value else ""), (f" ≥ {self.bound}" if self.bound else "")
        return f"{left}{float(lower):g} > {float(upper):g}{right}"


@dataclass(frozen=True)
class Confirmation:
    """What shows without floats that a counterexample is one, or that what a claim says of a setting happens there."""

    method: Method
    """Exact fractions, or ball arithmetic."""
    exceeds: tuple[Exceeds, ...]
    """What exceeds what, all of it certain."""
    steps: int = 0
    """Outer steps of the run; 0 where there is none."""
    bits: int = 0
    """The balls' precision; 0 for fractions."""
    seconds: float = field(default=0.0, compare=False)
    """CPU seconds that it took, with the attempts at lower precision."""

    @property
    def decides(self) -> bool:
        """Whether it shows anything, and all of it is certain."""
        return bool(self.exceeds) and all(item.holds for item in self.exceeds)

    def __str__(self) -> str:
        bits = f" of {self.bits} bits" if self.bits else ""
        steps = f", {self.steps} steps" if self.steps else ""
        return f"{self.method}{bits}{steps}: {'; '.join(map(str, self.exceeds))}"


def in_fractions(value: Any, bound: Any, why: str) -> Confirmation | None:
    """The confirmation by an exact comparison that is violated; None where it was not one of whole numbers or
    fractions, or floats cannot hold its ends apart.
    """
    if not (isinstance(value, int | Fraction) and isinstance(bound, int | Fraction)):
        return None
    largest = Fraction(sys.float_info.max)
    lower, upper = (float(max(min(end, largest), -largest)) for end in (value, bound))
    lower = lower if Fraction(lower) <= value else math.nextafter(lower, -math.inf)
    upper = upper if Fraction(upper) >= bound else math.nextafter(upper, math.inf)
    found = Confirmation("fractions", (Exceeds(why, lower, upper),))
    return found if found.decides else None
