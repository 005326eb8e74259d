"""What the envelope's constant c could be at best: the limit of small steps, in closed form.

For k = 1, balanced, as αβ → 0 with αβμ_*²t = x fixed, the sine s of the angle obeys ds/dx = −s(1 − s²): head diversity
with equality. So dist(x)² = q/(1 + q) with q = e^{−2x} s_0²/(1 − s_0²), and the envelope dist ≤ e^{−c(0.9 − s_0²)x}
holds for all starts only up to a certain c, which falls to 10/9 as x grows. (Own derivation.)
"""

import numpy as np

from metarep.theory.dynamics.rates import ENVELOPE_OFFSET


def flow_log_distance(dist0: np.ndarray | float, x: np.ndarray | float) -> np.ndarray:
    """log dist after the scaled time x = αβμ_*²t in the limit of small steps, k = 1, balanced, from 0 < dist_0 < 1."""
    squared = np.square(dist0)
    log_q = np.log(squared) - np.log1p(-squared) - 2 * np.asarray(x)
    return (log_q - np.logaddexp(0.0, log_q)) / 2


def largest_flow_c(x: float, offset: float = ENVELOPE_OFFSET) -> float:
    """Largest c with dist ≤ e^{−c(offset − dist_0²)x'} for all x' ≤ x and all starts, in the limit of small steps.

    It falls as x grows, to 1/offset for x → ∞ (10/9 for 0.9), which starts ever closer to the truth approach.

    Raises:
        ValueError: x is not positive.
    """
    if not x > 0:
        raise ValueError(f"x is {x!r}; allowed: a scaled time x > 0")
    dist0 = np.sqrt(offset) * np.concatenate([np.geomspace(1e-12, 1e-3, 2000), np.arange(1, 10000) / 10000])
    return float(np.min(-flow_log_distance(dist0, x) / ((offset - dist0**2) * x)))
