"""How dist fares against the paper's envelope along runs of settings from balanced starts."""

from typing import Any

import numpy as np

from metarep.sim.trajectories import Trajectory
from metarep.theory.claims.balanced import Setting
from metarep.theory.dynamics.rates import ENVELOPE_C, ENVELOPE_OFFSET


def log_envelope(setting: Setting, recorded: np.ndarray, c: Any = ENVELOPE_C) -> np.ndarray:
    """Logarithm of Π_{s=1}^{t−1} (1 − c αβE_0 λ_min(Ψ_{*,s})) at the recorded steps t: (T, batch). 0 where E_0 ≤ 0.

    The same product as ``metarep.theory.dynamics.rates.envelope``, for many c and settings at once.
    """
    margin = np.maximum(ENVELOPE_OFFSET - setting.dist0**2, 0.0)
    gain = c * setting.alpha * setting.beta * margin
    period = len(setting.smallest)
    # (P, batch); step s has task set s mod P. A factor is not let below 1e-12: c is then too large anyway.
    logs = np.log1p(-np.minimum(gain * setting.smallest, 1 - 1e-12))
    counts = np.maximum(np.asarray(recorded) - 1, 0)
    # of the steps 1, ..., t − 1 as many have task set p as there are s ≡ p (mod P) among them
    hits = np.stack([(counts - first) // period + 1 if first else counts // period for first in range(period)])
    return hits.T.astype(float) @ logs


MOST_C = 64.0
"""Larger c are not told apart."""


def largest_c(setting: Setting, trajectory: Trajectory, rounding: float = 0.0, onward: bool = False) -> np.ndarray:
    """Largest c in [0, 64] with whose envelope each run complies; −1 − (share of the steps missed) where it diverged.

    Args:
        setting, trajectory: a batch of settings and their runs.
        rounding: relative error allowed to dist.
        onward: also with what the envelope demands of the second half of the run alone, so that a run which goes on as
            it ended complies for ever.
    """
    gone = trajectory.diverged
    logs = np.where(gone, 0.0, np.log(np.maximum(trajectory.dist, 1e-300))) - rounding
    low, high = np.zeros(setting.alpha.shape), np.full(setting.alpha.shape, MOST_C)
    later, half = trajectory.steps >= 2, len(trajectory.steps) // 2
    for _ in range(30):
        middle = (low + high) / 2
        bound = log_envelope(setting, trajectory.steps, middle)
        good = (logs <= bound)[later].all(0)
        if onward:
            good &= logs[-1] - logs[half] <= bound[-1] - bound[half]
        low, high = np.where(good, middle, low), np.where(good, high, middle)
    missed = 1 - trajectory.diverged_at / max(int(trajectory.steps[-1]), 1)
    return np.where(gone, -1 - missed, low)


def rounding_of(setting: Setting, eps: float) -> np.ndarray:
    """What rounding errors may add to dist in a long run, (batch): a few eps a step, which decay at αβμ_*²."""
    return 64 * eps / (setting.alpha * setting.beta * setting.smallest.mean(0))


def doubling_share(setting: Setting, trajectory: Trajectory, c: float, rounding: np.ndarray) -> np.ndarray:
    """Share used, (batch), of dist_{2t} ≤ dist_t Π_{s=t}^{2t−1} (1 − c αβE_t λ_min(Ψ_{*,s})), E_t = 0.9 − dist_t²: the
    fall in logarithms that it demands over the one seen, at the worst recorded t. Above 1 it fails; at most 99.

    ``trajectory``: records at multiples of one step, itself one of the period; ``rounding``: error allowed to dist_2t.
    """
    count = (len(trajectory.steps) - 1) // 2
    here, there = trajectory.dist[1 : count + 1], trajectory.dist[2 : 2 * count + 1 : 2]
    steps, period = trajectory.steps[1 : count + 1], len(setting.smallest)
    gain = c * setting.alpha * setting.beta * np.maximum(ENVELOPE_OFFSET - here**2, 0.0)
    demanded = -np.log1p(-np.minimum(gain * setting.smallest[:, None], 1 - 1e-12)).sum(0) * steps[:, None] / period
    seen = np.log(np.maximum(here, 1e-300)) - np.log(np.maximum(there - rounding, 1e-300))
    with np.errstate(divide="ignore", invalid="ignore"):
        shares = np.where(demanded > 0, np.where(seen > 0, demanded / seen, 99.0), 0.0)
    # far from the truth, where E_t ≤ 0, nothing is demanded: a run that stays there fails the envelope itself
    return np.where(trajectory.diverged, 99.0, np.minimum(shares.max(0), 99.0))
