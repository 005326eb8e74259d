"""What speed is claimed of the simulator, as ratios: batches, dimensions, finite samples in law, maps by hand."""

from collections.abc import Callable, Collection
from typing import Any

import numpy as np

from metarep.reports.bench.timing import Ratio
from metarep.reports.study import interpreter
from metarep.sim import updates
from metarep.sim.learners import LEARNERS, META_LEARNERS, Learner, get_learner
from metarep.sim.problems import Problem, lift, make_problem
from metarep.sim.sampling.in_law import step_in_law
from metarep.sim.sampling.runs import CHUNK_BYTES, step_on_drawn_samples
from metarep.sim.sampling.samples import draw_samples
from metarep.sim.trajectories import run

Array = np.ndarray
Job = Callable[[], Any]
K = N = 5
STEP_SIZE = 0.1


def _repeated(times: int, function: Callable[..., Any], *arguments: Any) -> Job:
    def job() -> None:
        for _ in range(times):
            function(*arguments)

    return job


# --- population tasks


def _problem(d: int, trials: tuple[int, ...] = ()) -> Problem:
    return make_problem(d, K, N, STEP_SIZE, np.random.default_rng(0), "fixed", "balanced", 0.5, trials)


def _run(learner: str, problem: Problem, steps: int) -> Job:
    spec = get_learner(learner)
    return lambda: run(spec, problem, STEP_SIZE, STEP_SIZE, steps, record_every=steps)


def _set_up_and_run(learner: str, d: int, steps: int) -> Job:
    """Drawing the problem counts: that is where d could enter."""
    return lambda: _run(learner, _problem(d, (100,)), steps)()


def population_ratios(scale: float = 1.0) -> list[Ratio]:
    """What is measured on population tasks; ``scale`` below 1 shortens the runs, which only tests want."""
    steps, trials, few = (max(2, round(scale * size)) for size in (1000, 1000, 20))
    wanted = []
    for name in ("fo-anil", "maml"):
        wanted += [
            Ratio(
                f"{name}: {trials} trials as a batch / one trial, per trial and step, k = 5",
                _run(name, _problem(100, (trials,)), steps),
                _run(name, _problem(100), steps),
                1 / trials,
                0.1,
            ),
            Ratio(
                f"{name}: d = 100000 / d = 100, 100 trials x {steps} steps, set-up included",
                _set_up_and_run(name, 100_000, steps),
                _set_up_and_run(name, 100, steps),
                limit=1.2,
            ),
        ]
    full = lift(_problem(100), np.random.default_rng(1))
    for name in META_LEARNERS:
        at = get_learner(name), full.B0, full.w0, full.B_star @ full.tasks(0), STEP_SIZE, STEP_SIZE
        by_hand, by_autograd = _repeated(10 * few, updates.step, *at), _repeated(few, interpreter.step, *at)
        wanted.append(Ratio(f"{name}: one step by hand / by autograd, d = 100", by_hand, by_autograd, 0.1))
    return wanted


# --- finite samples


def _autograd_step(
    learner: Learner, B: Array, w: Array, heads: Array, m: int, sigma: float, rng: np.random.Generator
) -> None:
    """One step of all trials on fresh data by automatic differentiation, in chunks of the size that explicit data
    use.
    """
    d = B.shape[-2]
    chunk = max(1, CHUNK_BYTES // (8 * heads.shape[-1] * d * 2 * m))
    for start in range(0, len(B), chunk):
        part_B, part_w = B[start : start + chunk], w[start : start + chunk]
        data = draw_samples(np.eye(d, heads.shape[-2]), heads, m, m, sigma, rng, (len(part_w),))
        grad_B, grad_w = interpreter.gradients_on_samples(learner, part_B, part_w, *data, STEP_SIZE)
        _ = part_B - STEP_SIZE * grad_B, part_w - STEP_SIZE * grad_w


def sampling_ratios(
    learners: Collection[str] = tuple(LEARNERS),
    d: int = 100,
    k: int = K,
    n: int = N,
    m: int = 1000,
    trials: int = 200,
    data_trials: int = 20,
    times: int = 20,
) -> list[Ratio]:
    """A step's cost on finite samples, per trial: exact in law against explicit data and against automatic
    differentiation, and how the cost in law depends on m and on d.

    Args:
        learners: ids.
        d: dimension, at least 2k.
        k: columns of B and B_*.
        n: tasks.
        m: inner and outer samples per task.
        trials: trials of the batch in law.
        data_trials: trials of the methods that draw data; their cost per trial hardly depends on it.
        times: steps in law per measurement.
    """
    rng, sigma = np.random.default_rng(0), 1.0
    heads = rng.standard_normal((k, n))
    start = np.linalg.qr(rng.standard_normal((2 * k, k))).Q / np.sqrt(STEP_SIZE)
    B = np.broadcast_to(start, (trials, 2 * k, k)).copy()
    w = 0.1 * rng.standard_normal((trials, k))
    B_data = np.concatenate([B, np.zeros((trials, d - 2 * k, k))], -2)[:data_trials]
    w_data = w[:data_trials]
    wanted = []
    for name in learners:
        spec = get_learner(name)

        def in_law(m: int, d: int, spec: Learner = spec) -> Job:
            return _repeated(times, step_in_law, spec, B, w, heads, STEP_SIZE, STEP_SIZE, m, m, sigma, d, rng)

        explicit = (step_on_drawn_samples, spec, B_data, w_data, heads, STEP_SIZE, STEP_SIZE, m, m, sigma, rng)
        by_autograd = (_autograd_step, spec, B_data, w_data, heads, m, sigma, rng)
        per_trial = data_trials / (times * trials)
        for what, above, below, factor, limit in (
            (f"in law by explicit data, m = {m}", in_law(m, d), _repeated(1, *explicit), per_trial, 0.01),
            (f"in law by autograd, m = {m}", in_law(m, d), _repeated(1, *by_autograd), per_trial, None),
            ("in law, m = 10⁶ by m = 10²", in_law(10**6, d), in_law(10**2, d), 1.0, 1.5),
            ("in law, d = 10⁶ by d = 10²", in_law(m, 10**6), in_law(m, 10**2), 1.0, 1.5),
        ):
            wanted.append(Ratio(f"{name}, a step on samples: {what}", above, below, factor, limit))
    return wanted
