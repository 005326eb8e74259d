"""What finite samples cost: explicit data, in law, and plain automatic differentiation, measured interleaved."""

import gc
import statistics
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

import autograd.numpy as autograd_numpy
import numpy as np
from autograd import grad as autograd_grad

from metarep.sim.learners import LEARNERS, Learner, get_learner
from metarep.sim.sampling.in_law import step_in_law
from metarep.sim.sampling.runs import CHUNK_BYTES, step_on_drawn_samples
from metarep.sim.sampling.samples import draw_samples

Array = np.ndarray

# Both wrap functions at import time, out of sight of type checkers.
anp: Any = autograd_numpy
grad: Any = autograd_grad

IN_LAW, EXPLICIT, AUTOGRAD = "in law", "explicit data", "autograd"


# --- the straightforward way ------------------------------------------------------------------------------------------


def _task_losses(B: Any, w: Any, X: Array, y: Array) -> Any:
    """Mean over samples of the squared error halved, per task: B (..., n, d, k), w (..., n, k) -> (..., n)."""
    product = anp.matmul(B, w[..., None])
    residual = anp.matmul(X, product)[..., 0] - y
    return anp.sum(residual**2, -1) / (2 * X.shape[-2])


def autograd_gradients(
    learner: Learner, B: Array, w: Array, X_in: Array, y_in: Array, X_out: Array, y_out: Array, alpha: float
) -> tuple[Array, Array]:
    """``metarep.sim.sampling.samples.sampled_gradients`` by automatic differentiation of the empirical losses and nothing else.

    Exact methods differentiate through the inner step; first-order ones take the gradient at the adapted parameters.
    All trials at once: their losses are summed, and each trial's parameters are in its own losses only.

    Args:
        learner: any one-step learner or average loss.
        B: (..., d, k) with all the batch axes of the data.
        w: (..., k), likewise.
        X_in: (..., n, m_in, d).
        y_in: (..., n, m_in).
        X_out: (..., n, m_out, d).
        y_out: (..., n, m_out).
        alpha: inner step size α, a number.

    Returns:
        ∇_B (..., d, k), ∇_w (..., k).
    """
    n = X_out.shape[-3]

    def per_task(array: Any, trailing: int) -> Any:
        """A copy for each task."""
        shape = array.shape
        axis = len(shape) - trailing
        return anp.reshape(array, (*shape[:axis], 1, *shape[axis:])) + np.zeros((n,) + (1,) * trailing)

    def inner_loss(parameters: Any) -> Any:
        return anp.sum(_task_losses(parameters[0], parameters[1], X_in, y_in))

    def adapt(B: Any, w: Any) -> tuple[Any, Any]:
        B_tasks, w_tasks = per_task(B, 2), per_task(w, 1)
        if learner.adapts == "nothing":
            return B_tasks, w_tasks
        grad_B, grad_w = grad(inner_loss)((B_tasks, w_tasks))
        return (
            B_tasks - alpha * grad_B if learner.adapts_representation else B_tasks,
            w_tasks - alpha * grad_w if learner.adapts_head else w_tasks,
        )

    def outer_loss(parameters: Any) -> Any:
        return anp.sum(_task_losses(parameters[0], parameters[1], X_out, y_out)) / n

    if learner.first_order:
        grad_B, grad_w = grad(outer_loss)(adapt(B, w))
        return grad_B.sum(-3), grad_w.sum(-2)
    return grad(lambda parameters: outer_loss(adapt(*parameters)))((B, w))


def _autograd_step(
    learner: Learner,
    B: Array,
    w: Array,
    heads: Array,
    alpha: float,
    beta: float,
    m_in: int,
    m_out: int,
    sigma: float,
    rng: np.random.Generator,
) -> None:
    """One step of all trials on fresh data, in chunks of the size that explicit data use."""
    d, k = B.shape[-2], heads.shape[-2]
    chunk = max(1, CHUNK_BYTES // (8 * heads.shape[-1] * d * (m_in + m_out)))
    for start in range(0, len(B), chunk):
        part_B, part_w = B[start : start + chunk], w[start : start + chunk]
        data = draw_samples(np.eye(d, k), heads, m_in, m_out, sigma, rng, (len(part_w),))
        grad_B, grad_w = autograd_gradients(learner, part_B, part_w, *data, alpha)
        _ = part_B - beta * grad_B, part_w - beta * grad_w


# --- measuring --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Timing:
    """Seconds per trial and step over the repeats: median, least, greatest."""

    median: float
    least: float
    greatest: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Timing":
        """Summary of repeated measurements."""
        return cls(statistics.median(values), min(values), max(values))


@dataclass(frozen=True)
class SamplingComparison:
    """Costs of one learner.

    Attributes:
        learner: id.
        timings: seconds per trial and step by method (``in law``, ``explicit data``, ``autograd``).
        speedups: how many times faster in law is, by other method: of the rounds' ratios the median, least and
            greatest.
        m_ratio: cost in law at the largest of ``scaling_m`` over the cost at the smallest, likewise over the rounds.
        d_ratio: the same for ``scaling_d``.
    """

    learner: str
    timings: dict[str, Timing]
    speedups: dict[str, Timing]
    m_ratio: Timing
    d_ratio: Timing


def _seconds(function: Callable[[], object], repeats: int) -> float:
    start = time.perf_counter()
    for _ in range(repeats):
        function()
    return (time.perf_counter() - start) / repeats


def compare_sampling(
    learners: Collection[str] = tuple(LEARNERS),
    d: int = 100,
    k: int = 5,
    n: int = 5,
    m: int = 1000,
    trials: int = 200,
    rounds: int = 5,
    in_law_repeats: int = 20,
    data_trials: int | None = None,
    scaling_m: tuple[int, int] = (100, 1_000_000),
    scaling_d: tuple[int, int] = (100, 1_000_000),
    alpha: float = 0.1,
    beta: float = 0.1,
    sigma: float = 1.0,
    seed: int = 0,
    with_autograd: bool = True,
) -> list[SamplingComparison]:
    """Measure a step's cost in law, on explicit data and by automatic differentiation, per learner, interleaved.

    Every round measures everything once, one after the other, so that a slow moment of the machine falls on all; ratios
    are taken within rounds. The garbage collector is off while measuring.

    Args:
        learners: ids.
        d: dimension.
        k: columns of B and B_*.
        n: tasks.
        m: inner and outer samples per task.
        trials: trials in the batch.
        rounds: number of rounds.
        in_law_repeats: steps in law per round and measurement.
        data_trials: trials of the methods that draw data (their cost per trial hardly depends on it); all if None.
        scaling_m: two sample sizes whose costs in law are compared.
        scaling_d: two dimensions, likewise.
        alpha: α.
        beta: β.
        sigma: σ.
        seed: of start, heads and samples.
        with_autograd: whether to measure automatic differentiation.

    Raises:
        ValueError: an unknown learner, nothing to measure, or d < 2k.
    """
    if rounds < 1 or in_law_repeats < 1 or trials < 1:
        raise ValueError(f"rounds is {rounds}, repeats {in_law_repeats}, trials {trials}; allowed: 1 or more of each")
    if d < 2 * k or min(scaling_d) < 2 * k:
        raise ValueError(f"d is {min(d, *scaling_d)} with k = {k}; allowed: d of at least 2k")
    rng = np.random.default_rng(seed)
    heads = rng.standard_normal((k, n))
    start = np.linalg.qr(rng.standard_normal((2 * k, k))).Q / np.sqrt(alpha)
    B = np.broadcast_to(start, (trials, 2 * k, k)).copy()
    w = 0.1 * rng.standard_normal((trials, k))
    with_data = trials if data_trials is None else min(trials, data_trials)
    B_data = np.concatenate([B, np.zeros((trials, d - 2 * k, k))], -2)[:with_data]
    w_data = w[:with_data]

    def in_law(learner: Learner, size: int, dimension: int) -> float:
        def one() -> object:
            return step_in_law(learner, B, w, heads, alpha, beta, size, size, sigma, dimension, rng)

        return _seconds(one, in_law_repeats) / trials

    def on_data(learner: Learner) -> float:
        def one() -> object:
            return step_on_drawn_samples(learner, B_data, w_data, heads, alpha, beta, m, m, sigma, rng)

        return _seconds(one, 1) / with_data

    def by_autograd(learner: Learner) -> float:
        def one() -> object:
            return _autograd_step(learner, B_data, w_data, heads, alpha, beta, m, m, sigma, rng)

        return _seconds(one, 1) / with_data

    specs = [get_learner(name) for name in learners]
    jobs: dict[tuple[str, str], Callable[[], float]] = {}
    for spec in specs:
        jobs[spec.name, IN_LAW] = lambda spec=spec: in_law(spec, m, d)
        jobs[spec.name, EXPLICIT] = lambda spec=spec: on_data(spec)
        if with_autograd:
            jobs[spec.name, AUTOGRAD] = lambda spec=spec: by_autograd(spec)
        for i, size in enumerate(scaling_m):
            jobs[spec.name, f"m{i}"] = lambda spec=spec, size=size: in_law(spec, size, d)
        for i, dimension in enumerate(scaling_d):
            jobs[spec.name, f"d{i}"] = lambda spec=spec, dimension=dimension: in_law(spec, m, dimension)
    for spec in specs:  # first calls set things up
        step_in_law(spec, B, w, heads, alpha, beta, m, m, sigma, d, rng)
    measured: dict[tuple[str, str], list[float]] = {job: [] for job in jobs}
    collecting = gc.isenabled()
    gc.disable()
    try:
        for _ in range(rounds):
            for job, function in jobs.items():
                measured[job].append(function())
    finally:
        if collecting:
            gc.enable()

    def ratio(learner: str, over: str, under: str) -> Timing:
        pairs = zip(measured[learner, over], measured[learner, under], strict=True)
        return Timing.of([a / b for a, b in pairs])

    methods = (IN_LAW, EXPLICIT) + ((AUTOGRAD,) if with_autograd else ())
    return [
        SamplingComparison(
            spec.name,
            {method: Timing.of(measured[spec.name, method]) for method in methods},
            {method: ratio(spec.name, method, IN_LAW) for method in methods[1:]},
            ratio(spec.name, "m1", "m0"),
            ratio(spec.name, "d1", "d0"),
        )
        for spec in specs
    ]
