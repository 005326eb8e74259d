"""Counts of runs with their intervals: what share of runs ends so."""

from dataclasses import dataclass

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
