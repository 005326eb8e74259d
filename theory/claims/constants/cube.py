"""Settings as points of a unit cube, for searches: principal angles and orientation of the start, spectrum of Ψ_*, head
means and the free part of the heads, for one or more task sets.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from metarep.theory.claims.balanced import BATCHED, LARGEST_DIST, LEAST_DIST, Setting, setting_from

LARGEST_TURN = 1.5
"""Largest rotation of changing tasks a step, in radians."""
LEAST_CHANGE = 0.25
"""Tasks change genuinely if from each step to the next Ψ_* changes by so much of L_*² or w̄_* of L_*, in norm."""


def coordinates(k: int, n: int, period: int) -> int:
    """Number p of coordinates of a setting of that shape."""
    return k + 2 * k + period * (k - 1 + k + 2 * (n - 1)) + (period > 1)


def arrays_at(points: np.ndarray, k: int, n: int, period: int, largest_share: float = 1.0) -> dict[str, np.ndarray]:
    """What ``balanced.setting_from`` takes, d = 2k, at points (m, p) of the cube.

    ``largest_share``: the most of ‖Ψ_*^{−1/2}w̄_*‖, which is 1 with n = k heads whatever that says.

    Raises:
        ValueError: a point has another number of coordinates than the shape.
    """
    count, wanted = len(points), coordinates(k, n, period)
    if points.shape[1] != wanted:
        raise ValueError(f"a point has {points.shape[1]} coordinates; allowed: {wanted}")
    used = 0

    def take(*shape: int) -> np.ndarray:
        nonlocal used
        first, used = used, used + int(np.prod(shape))
        return points[:, first:used].reshape(count, *shape)

    def falling(values: np.ndarray) -> np.ndarray:
        return -np.sort(-values, axis=-1)

    dist0 = np.maximum(LARGEST_DIST * take(1), LEAST_DIST)
    sines = np.concatenate([dist0, dist0 * falling(take(k - 1))], axis=-1)
    orientation = 2 * take(2, k) - 1
    spectra, shares, frames = [], [], []
    for _ in range(period):
        spectra.append(np.concatenate([np.ones((count, 1)), falling(10 ** (2 * take(k - 1) - 2))], axis=-1))
        share = 2 * take(k) - 1
        shares.append(share * np.minimum(1, largest_share / np.maximum(np.linalg.norm(share, axis=-1), 0.1))[:, None])
        frames.append(2 * take(2, n - 1) - 1)
    turn = LARGEST_TURN * take(1)[:, 0] if period > 1 else np.zeros(count)
    by_set = (np.stack(part, axis=1) for part in (spectra, shares, frames))
    return dict(zip((*BATCHED, "turn"), (sines, orientation, *by_set, turn), strict=True))


def settings_at(
    points: np.ndarray, pairs: np.ndarray, k: int, n: int, period: int, largest_share: float = 1.0
) -> Setting:
    """The batch of settings at points (m, p) with step sizes ``pairs`` = (αL_*, αβL_*²), (m, 2)."""
    return setting_from(2 * k, n, arrays_at(points, k, n, period, largest_share), pairs)


def instance_at(
    point: np.ndarray, k: int, n: int, period: int, pair: Sequence[float] | np.ndarray, largest_share: float = 1.0
) -> dict[str, Any]:
    """One of them as plain data (as of ``balanced.settings_in``)."""
    data = {name: part[0].tolist() for name, part in arrays_at(point[None], k, n, period, largest_share).items()}
    if period == 1:
        del data["turn"]
    return {"k": k, "d": 2 * k, "n": n, "steps": [[float(size) for size in pair]], **data}


def change(setting: Setting) -> np.ndarray:
    """By how much Ψ_* (in units of L_*²) or w̄_* (of L_*) changes from each step to the next at least, (m,), for one or
    two task sets in turn.
    """
    heads = [np.asarray(setting.problem.tasks(step)) for step in range(3)]
    means = [each.mean(-1) for each in heads]
    seconds = [each @ np.swapaxes(each, -1, -2) / each.shape[-1] for each in heads]
    changes = [
        np.maximum(
            np.linalg.norm(seconds[step + 1] - seconds[step], 2, axis=(-2, -1)),
            np.linalg.norm(means[step + 1] - means[step], axis=-1),
        )
        for step in range(2)
    ]
    return np.minimum(*changes)
