"""Long-run averages on finite samples: where the principal angles settle at a trajectory's noise floor."""

from dataclasses import dataclass

import numpy as np

from metarep.sim.batches import StepSize
from metarep.sim.learners import Learner
from metarep.sim.sampling.in_law import StepsInLaw

Array = np.ndarray


@dataclass(frozen=True, eq=False)
class LongRun:
    """Averages over the recorded steps of every trial, and their spread over the trials (the last batch axis)."""

    mean_square_sine: Array
    """Mean over trials and recorded steps of the principal angles' mean squared sine, (...)."""
    standard_error: Array
    """Its standard error from the spread over independent trials, (...)."""
    B: Array
    """State after the last step (..., trials, r, k), to be run on from."""
    w: Array
    """(..., trials, k)."""


def long_run(
    learner: Learner,
    B: Array,
    w: Array,
    heads: Array,
    alpha: StepSize,
    beta: StepSize,
    m_in: float | None,
    m_out: float | None,
    sigma: float | Array,
    d: int,
    burn_in: int,
    steps: int,
    rng: np.random.Generator,
    record_every: int = 10,
) -> LongRun:
    """Average the principal angles' mean squared sine over time, for fixed tasks and samples drawn afresh each step.

    Args:
        learner, alpha, beta, m_in, m_out, sigma, d, rng: as ``StepsInLaw``.
        B: start in reduced coordinates, (..., trials, min(d, 2k), k), as wide as the truth.
        w: (..., trials, k).
        heads: the tasks' heads as columns, (..., k, n), broadcasting against the batch axes (..., trials).
        burn_in: outer steps before anything is recorded.
        steps: outer steps that are recorded, at least ``record_every``.
        record_every: one in so many steps is recorded (consecutive ones are nearly equal).

    Returns:
        LongRun; nan where a trial has diverged.

    Raises:
        ValueError: nothing would be recorded, or as ``StepsInLaw``.
    """
    if burn_in < 0 or record_every < 1 or steps < record_every:
        raise ValueError(
            f"burn_in is {burn_in}, steps {steps}, record_every {record_every}; "
            "allowed: burn_in at least 0, and at least as many steps as record_every, which is 1 or more"
        )
    k = heads.shape[-2]
    total, count = np.zeros(B.shape[:-2]), steps // record_every
    step = StepsInLaw(learner, B, w, heads, alpha, beta, m_in, m_out, sigma, d, rng, burn_in + steps)
    with np.errstate(over="ignore", invalid="ignore"):  # a diverged trial shows as nan
        B, w = step(B, w, heads, burn_in)
        for _ in range(count):
            B, w = step(B, w, heads, record_every)
            total = total + mean_square_sine(B, k)
        B, w = step(B, w, heads, steps % record_every)
    averages = total / count
    trials = averages.shape[-1]
    error = averages.std(-1, ddof=1) / np.sqrt(trials) if trials > 1 else np.full(averages.shape[:-1], np.nan)
    return LongRun(averages.mean(-1), error, B, w)


def mean_square_sine(B: Array, k: int) -> Array:
    """Mean of the squared sines of the principal angles of col(B) to B_* = [I_k; 0]: tr(YᵀY (BᵀB)⁻¹)/k, Y being the
    rows of B below the k-th.

    Args:
        B: (..., r, k) of full rank.
        k: dimension of the ground truth.

    Returns:
        (...), nan where B is not finite or singular.
    """
    Y = B[..., k:, :]
    gram = np.swapaxes(B, -1, -2) @ B
    bad = ~(np.isfinite(gram).all((-2, -1)) & (np.linalg.det(np.where(np.isfinite(gram), gram, 0.0)) > 0.0))
    safe = np.where(bad[..., None, None], np.eye(gram.shape[-1]), gram)
    sines = np.trace(np.linalg.solve(safe, np.swapaxes(Y, -1, -2) @ Y), axis1=-2, axis2=-1) / gram.shape[-1]
    return np.where(bad, np.nan, sines)
