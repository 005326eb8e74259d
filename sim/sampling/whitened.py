"""Whitened samples: data on which a step is the population's.

With XᵀX/m = I and y = Xθ a task's loss ‖XBw − y‖²/(2m) is ½‖Bw − θ‖², with all its derivatives: inner gradients,
Hessians and outer gradients are those without samples, up to rounding errors.
"""

from functools import lru_cache

import numpy as np

from metarep.sim.batches import transposed

Array = np.ndarray
MOST_SAMPLES = 64
"""Samples a task, unless d is larger."""


@lru_cache(64)
def whitened_features(n: int, m: int, d: int, part: int = 0) -> Array:
    """Features (n, m, d) of n tasks, each with XᵀX/m = I to rounding errors; always the same ones.

    A sample has one coordinate that is not zero. So a coordinate's rounding errors are in proportion to its own size,
    as in a step without samples, and not to the largest's.

    Args:
        n: tasks.
        m: samples of each, d or more.
        d: ambient dimension.
        part: another number gives other features.
    """
    rng = np.random.default_rng((n, m, d, part))
    X = np.zeros((n, m, d))
    for task in X:
        coordinates = rng.permutation(np.concatenate([np.arange(d), rng.integers(0, d, m - d)]))
        size = np.sqrt(m / np.bincount(coordinates))[coordinates]
        task[np.arange(m), coordinates] = rng.choice((-1.0, 1.0), m) * size
    X.flags.writeable = False
    return X


def sample_sizes(n: int, d: int) -> tuple[int, int]:
    """(m_in, m_out) for n tasks in R^d: from d to about 2d, mostly different, and multiples of nothing in common."""
    most = max(d, MOST_SAMPLES)
    return min(d + (d + n) % (d + 2), most), min(d + (2 * n + 1) % (d + 3), most)


def whitened_samples(targets: Array) -> dict[str, Array]:
    """X_in (..., n, m_in, d), y_in (..., n, m_in), X_out and y_out on which targets (..., d, n) have the population's
    loss.

    X_in and X_out are the same along the leading axes, and take no memory there.
    """
    *leading, d, n = targets.shape
    found = {}
    for part, (name, m) in enumerate(zip(("in", "out"), sample_sizes(n, d), strict=True)):
        X = whitened_features(n, m, d, part)
        found[f"X_{name}"] = np.broadcast_to(X, (*leading, *X.shape))
        found[f"y_{name}"] = (X @ transposed(targets)[..., None])[..., 0]
    return found
