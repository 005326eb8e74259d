"""Trajectories on finite samples, fresh at every step: in law, or on explicit data."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from metarep.sim.batches import StepSize, common_batch, flattened
from metarep.sim.checks import check_run, check_sample_size
from metarep.sim.learners import Learner
from metarep.sim.metrics import subspace_distance
from metarep.sim.outcomes import DIVERGED_ABOVE, Tail, outcomes
from metarep.sim.sampling.in_law import SamplingMode, StepsInLaw, reduced_rows, sampling_mode
from metarep.sim.sampling.samples import draw_samples, step_on_samples
from metarep.sim.tasks import Tasks

Array = np.ndarray

EXPLICIT = "explicit data"
CHUNK_BYTES = 2**25
"""Explicit data are drawn for as many trials at a time as fit this many bytes; a few times that at the peak."""


@dataclass(frozen=True, eq=False)
class SampledRun:
    """Trajectories of a batch of trials on finite samples."""

    steps: Array
    """The recorded steps, (T,): 0, every ``record_every``-th, and the last."""
    dist: Array
    """dist(B_t, B_*) at these, (T, *batch); nan from a trial's divergence on."""
    outcome: Array
    """``metarep.sim.outcomes.Outcome`` of each, object array (*batch). Whether tasks are solved is judged on the
    population: by what an inner step on ever more samples would do. With few samples a run may rest as a blind one does
    with its tasks solved in part: it is stalled.
    """
    diverged: Array
    """Which trials diverged, (*batch)."""
    mode: SamplingMode
    """How the samples were simulated, and why."""
    B: Array
    """Final B, reduced (*batch, min(d, k + k'), k'), on explicit data (*batch, d, k'); the last before a divergence."""
    w: Array
    """Final head (*batch, k'), likewise."""


def step_on_drawn_samples(
    learner: Learner,
    B: Array,
    w: Array,
    heads: Array,
    alpha: StepSize,
    beta: StepSize,
    m_in: int,
    m_out: int,
    sigma: float | Array,
    rng: np.random.Generator,
    shared: bool = False,
) -> tuple[Array, Array]:
    """One outer step on explicit fresh data, with B_* = [I_k; 0] in R^d; the counterpart of ``step_in_law``.

    Args:
        learner, w, heads, alpha, beta, sigma, rng: as ``StepsInLaw``.
        B: representation in R^d, (..., d, k').
        m_in, m_out: whole numbers.
        shared: inner and outer sample are one and the same data.

    Returns:
        B_next (..., d, k') and w_next (..., k').

    Raises:
        ValueError: as ``draw_samples`` and ``sampled_gradients``.
    """
    d, width = B.shape[-2:]
    k, n = heads.shape[-2:]
    batch = common_batch(B=(B, 2), w=(w, 1), heads=(heads, 2), alpha=(alpha, 0), beta=(beta, 0), sigma=(sigma, 0))
    arrays = flattened(batch, (B, 2), (w, 1), (heads, 2), (alpha, 0), (beta, 0), (sigma, 0))
    trials = math.prod(batch)
    B_next, w_next = np.empty((trials, d, width)), np.empty((trials, width))
    B_star = np.eye(d, k)
    chunk = max(1, CHUNK_BYTES // (8 * n * d * (m_in + m_out)))
    for start in range(0, trials, chunk):
        part = slice(start, start + chunk)
        B_part, w_part, heads_part, alpha_part, beta_part, sigma_part = (array[part] for array in arrays)
        data = draw_samples(B_star, heads_part, m_in, m_out, sigma_part, rng, (len(w_part),), shared)
        B_next[part], w_next[part] = step_on_samples(learner, B_part, w_part, *data, alpha_part, beta_part)
    return B_next.reshape(*batch, d, width), w_next.reshape(*batch, width)


def run_sampled(
    learner: Learner,
    B0: Array,
    w0: Array,
    tasks: Tasks,
    alpha: StepSize,
    beta: StepSize,
    m_in: float | Array | None,
    m_out: float | Array | None,
    sigma: float | Array,
    d: int,
    steps: int,
    rng: np.random.Generator,
    record_every: int = 1,
    method: Literal["in-law", "explicit"] = "in-law",
    shared: bool = False,
    in_law: Callable[..., Callable[[Array, Array, Array], tuple[Array, Array]]] = StepsInLaw,
) -> SampledRun:
    """Run a batch of trials on finite samples drawn afresh at every step.

    Args:
        learner, alpha, beta, sigma, d, rng: as ``StepsInLaw``.
        B0: start in reduced coordinates, (..., min(d, k + k'), k'); see ``metarep.sim.problems.reduce``.
        w0: (..., k').
        tasks: step t (0, 1, ...) -> the heads (..., k, n) of that step's tasks; the same arrays each time for fixed
            tasks.
        m_in, m_out: samples per task; None or ``math.inf`` for the population, or whole numbers over the batch axes
            (in law only).
        steps: number of outer steps, 0 or more.
        record_every: dist is recorded at every so many steps.
        method: ``in-law``, or ``explicit`` for the reference that draws all data.
        shared: inner and outer sample are the same data (explicit only).
        in_law: the steps in law; with others the law is another.

    Returns:
        SampledRun. A trial diverges when ‖B‖_F √α exceeds ``metarep.sim.outcomes.DIVERGED_ABOVE`` or anything is
        not finite; it is frozen just before.

    Raises:
        ValueError: an argument is out of range, or an option belongs to the other method.
    """
    if method not in ("in-law", "explicit"):
        raise ValueError(f"method is {method!r}; allowed: 'in-law' or 'explicit'")
    check_run(steps, record_every, alpha, beta)
    heads = np.asarray(tasks(0), float)
    k, n = heads.shape[-2:]
    width = B0.shape[-1]
    rows = reduced_rows(d, k, width)
    if B0.shape[-2] != rows or w0.shape[-1] != width:
        raise ValueError(
            f"B0 has shape {B0.shape} and w0 {w0.shape}; allowed at d = {d}: (..., {rows}, k') and (..., k'), reduced"
        )
    batch = common_batch(B0=(B0, 2), w0=(w0, 1), heads=(heads, 2), alpha=(alpha, 0), beta=(beta, 0), sigma=(sigma, 0))
    B = np.broadcast_to(np.asarray(B0, float), (*batch, rows, width))
    w = np.broadcast_to(np.asarray(w0, float), (*batch, width))
    sizes = check_sample_size("m_in", m_in), check_sample_size("m_out", m_out)
    if method == "explicit":
        if any(m is None or np.ndim(m) for m in sizes):
            raise ValueError(f"m_in is {m_in} and m_out is {m_out}; allowed on explicit data: whole numbers, 1 or more")
        mode = SamplingMode(EXPLICIT, "asked for")
        B = np.concatenate([B, np.zeros((*batch, d - rows, width))], -2)
    else:
        if shared:
            raise ValueError("shared is set with method 'in-law'; allowed: shared samples with method 'explicit'")
        mode = sampling_mode(learner, d, k, n, *sizes, width=width)
    step_in_law = (
        in_law(learner, B, w, heads, alpha, beta, *sizes, sigma, d, rng, steps) if method == "in-law" else None
    )

    def advance(heads: Array) -> tuple[Array, Array]:
        if step_in_law:
            return step_in_law(B, w, heads)
        m_in, m_out = (m for m in sizes if m is not None)
        return step_on_drawn_samples(learner, B, w, heads, alpha, beta, m_in, m_out, sigma, rng, shared)

    B_star = np.eye(B.shape[-2], k)
    bound = DIVERGED_ABOVE**2 / np.broadcast_to(np.asarray(alpha, float), batch)
    diverged, tail = np.zeros(batch, bool), Tail(learner, alpha, steps)
    recorded, distances = [0], [subspace_distance(B, B_star)]
    for t in range(steps):
        if t:
            heads = np.asarray(tasks(t), float)
        tail.keep(t, B, w, B_star @ heads)
        if not diverged.all():
            with np.errstate(over="ignore", invalid="ignore"):  # a diverging trial is reported, not warned of
                B_next, w_next = advance(heads)
                fine = (np.square(B_next).sum((-2, -1)) <= bound) & np.isfinite(w_next).all(-1)
            diverged |= ~fine
            if diverged.any():  # frozen at its last state, so that it stays finite
                B_next = np.where(diverged[..., None, None], B, B_next)
                w_next = np.where(diverged[..., None], w, w_next)
            B, w = B_next, w_next
        if (t + 1) % record_every == 0 or t + 1 == steps:
            recorded.append(t + 1)
            distances.append(np.where(diverged, np.nan, subspace_distance(B, B_star)))
    dist = np.array(distances)
    outcome = outcomes(dist, diverged, np.linalg.matrix_rank(B) >= k, tail)
    return SampledRun(np.array(recorded), dist, outcome, diverged, mode, np.array(B), np.array(w))
