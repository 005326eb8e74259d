"""What some runs say of all, with intervals: what share ends so, and where the median lies."""

from dataclasses import dataclass
from math import comb

import numpy as np

Z_95 = 1.959963984540054
"""The normal distribution's 97.5 % quantile: intervals cover 95 %."""


@dataclass(frozen=True)
class Share:
    """So many of so many independent runs.

    Raises:
        ValueError: no runs, or more than all.
    """

    count: int
    trials: int

    def __post_init__(self) -> None:
        if not 0 <= self.count <= self.trials or not self.trials:
            raise ValueError(f"count is {self.count} of {self.trials}; allowed: 0 <= count <= trials, 1 or more trials")

    @classmethod
    def of(cls, which: np.ndarray) -> "Share":
        """The share of True in a bool array."""
        return cls(int(np.count_nonzero(which)), int(np.size(which)))

    @property
    def value(self) -> float:
        """The share seen, 0 to 1."""
        return self.count / self.trials

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's 95 % interval for the share (E. B. Wilson 1927): it is good for small counts, 0 included."""
        n, z2 = self.trials, Z_95**2
        centre = (self.count + z2 / 2) / (n + z2)
        half = Z_95 / (n + z2) * np.sqrt(self.count * (n - self.count) / n + z2 / 4)
        # At the ends the formula is exact and its rounding is not.
        return (float(centre - half) if self.count else 0.0), (float(centre + half) if self.count < n else 1.0)

    @property
    def uncertainty(self) -> float:
        """Distance of the share seen from the farther end of the interval."""
        low, high = self.interval
        return max(self.value - low, high - self.value)

    def __str__(self) -> str:
        low, high = self.interval
        return f"{self.count} of {self.trials} (95 % interval {100 * low:.1f} to {100 * high:.1f} %)"


def median_uncertainty(values: np.ndarray) -> float:
    """Distance of the median of independent values (n,) from the farther end of its 95 % interval, which order
    statistics give whatever the values' law; for fewer than six values the largest and the least, which cover less.

    Raises:
        ValueError: no values.
    """
    ordered = np.sort(np.asarray(values, dtype=float))
    n = ordered.size
    if n == 0:
        raise ValueError("there are no values; allowed: 1 or more")
    # as many values as this are below the median, or fewer, with a chance of 2.5 % at most
    chances = np.cumsum([comb(n, count) / 2**n for count in range(n)])
    first = max(int((chances <= 0.025).sum()) - 1, 0)
    median = float(np.median(ordered))
    return max(median - float(ordered[first]), float(ordered[n - 1 - first]) - median)
