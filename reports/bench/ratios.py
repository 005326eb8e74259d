"""What speed is claimed of the simulator, as ratios: to the machine's limit, to others, and how it grows."""

from collections.abc import Callable, Collection
from typing import Any

import numpy as np

from metarep.reports.bench.flops import flops_of_step, machine_limit
from metarep.reports.bench.opponents import OPPONENTS, installed
from metarep.reports.bench.timing import Job, Ratio
from metarep.reports.study import interpreter
from metarep.sim.compiled import library
from metarep.sim.learners import LEARNERS, Learner, get_learner
from metarep.sim.problems import Problem, lift, make_problem
from metarep.sim.sampling.in_law import step_in_law
from metarep.sim.sampling.runs import CHUNK_BYTES, step_on_drawn_samples
from metarep.sim.sampling.samples import draw_samples
from metarep.sim.stretches import Way, can_be_compiled
from metarep.sim.trajectories import run

Array = np.ndarray
K = N = 5
D = 100
STEP_SIZE = 0.1
NUMPY, COMPILED, AUTOGRAD = "NumPy", "compiled", "autograd, trial by trial"
IN_LAW, EXPLICIT = "in law", "NumPy, explicit data"
MOST_OF_FLOPS, MOST_OF_OTHERS = 10.0, 1.0
"""What is claimed of compiled steps: so many times the machine's limit at most, and no more than any other's."""
MANY_TASKS = {"average-loss": 1.3, "fo-anil": 1.3, "anil": 1.3, "fo-maml": 2.0, "maml": 2.0}
"""What is claimed of 1000 tasks against five, in 1000 steps: third and fourth moments are more numbers than five tasks.
"""


# --- population tasks


def _problem(trials: tuple[int, ...], d: int = D, k: int = K, n: int = N) -> Problem:
    return make_problem(d, k, n, STEP_SIZE, np.random.default_rng(0), "fixed", "balanced", 0.5, trials)


def ours(learner: str, trials: int, steps: int, way: Way | None = None, *, set_up: bool = False, **sizes: int) -> Job:
    """A run of metarep's own: d = 100, k = n = 5 unless given. ``set_up``: drawing the problem counts; that is where d
    could enter.
    """
    spec, batch = get_learner(learner), (trials,) if trials > 1 else ()
    drawn = _problem(batch, **sizes)

    def call() -> None:
        problem = _problem(batch, **sizes) if set_up else drawn
        run(spec, problem, STEP_SIZE, STEP_SIZE, steps, record_every=steps, way=way)

    at = {"d": D, "k": K, "n": N, **sizes}
    words = ", ".join(f"{name} = {size}" for name, size in at.items()) + (", drawn anew" if set_up else "")
    compiled = way == "compiled" or (way is None and can_be_compiled(drawn))
    return Job(f"{learner}: {words}, {trials} trials", COMPILED if compiled else NUMPY, call, trials * steps)


def opponents(learner: str, scale: float = 1.0) -> list[Job]:
    """The same steps by automatic differentiation: vmapped over 1000 trials where a library can, else one by one."""
    spec, trials, found = get_learner(learner), max(2, round(1000 * scale)), []
    reduced = _problem((trials,))
    whole = lift(reduced, np.random.default_rng(1))
    for name in installed():
        for where, problem, steps in (("reduced", reduced, 20), ("d = 100", whole, 3)):
            steps = max(1, round(scale * steps))
            given = spec, problem.B0, problem.w0, problem.B_star @ problem.tasks(0), STEP_SIZE, STEP_SIZE
            call = OPPONENTS[name][1](*given, steps)
            _check_agreement(problem, spec, steps, call())
            found.append(Job(f"{learner}: {where}, {trials} trials", f"{name}, {where}", call, trials * steps))
    single, few = lift(_problem(()), np.random.default_rng(1)), 3

    def one_by_one() -> None:
        targets = single.B_star @ single.tasks(0)
        for _ in range(few):
            interpreter.step(spec, single.B0, single.w0, targets, STEP_SIZE, STEP_SIZE)

    return [*found, Job(f"{learner}: d = 100, one trial", AUTOGRAD, one_by_one, few)]


def _check_agreement(problem: Problem, spec: Learner, steps: int, found: tuple[Array, Array]) -> None:
    """Whoever computes something else is no opponent."""
    right = run(spec, problem, STEP_SIZE, STEP_SIZE, steps, record_every=steps, way="tasks")
    # Of some hundred roundings a step; numbers are up to 10, and their fourth powers occur
    for mine, other in ((right.B, found[0]), (right.w, found[1])):
        np.testing.assert_allclose(other, mine, rtol=0, atol=1e7 * np.finfo(float).eps)


def population_jobs(scale: float = 1.0) -> dict[str, list[Job]]:
    """By learner, what one step of one trial costs, k = n = 5: metarep's kernels first, then others'; ``scale`` below 1
    shortens the runs, which only tests want.
    """
    trials, long, short = (max(2, round(scale * size)) for size in (1000, 500, 50))
    kernels: list[tuple[Way, int]] = [("compiled", long)] if library() is not None else []
    kernels.append(("tasks", short))
    return {
        name: [*(ours(name, trials, steps, way) for way, steps in kernels), *opponents(name, scale)]
        for name in LEARNERS
    }


def population_ratios(jobs: dict[str, list[Job]], scale: float = 1.0) -> list[Ratio]:
    """What is claimed on population tasks."""
    limit, wanted = machine_limit(), []
    few, many, steps = (max(2, round(scale * size)) for size in (250, 10_000, 20))
    for name, (best, *others) in jobs.items():
        flops = flops_of_step(get_learner(name), K, N)
        claimed = best.kernel == COMPILED
        what = f"{name}: {best.kernel} by the time of {flops} operations"
        wanted.append(Ratio(what, best, limit, 1 / flops, MOST_OF_FLOPS if claimed else None))
        for other in others:
            least = MOST_OF_OTHERS if claimed or other.kernel == AUTOGRAD else None
            wanted.append(Ratio(f"{name}: {best.kernel} by {other.kernel}", best, other, limit=least))
    for name in LEARNERS:
        small, longer = ours(name, few, steps), ours(name, few, 50 * steps)
        for what, job, below, limit_here in (
            ("1000 tasks by 5", ours(name, few, 50 * steps, n=1000), longer, MANY_TASKS[name]),
            ("k = 8 by k = 5", ours(name, few, steps, k=8), small, None),
            (f"{many} trials by {few}, a trial", ours(name, many, steps), small, 1.3),
            (f"{few} trials by one, a trial", longer, ours(name, 1, 10 * steps), 0.1),
            (
                "d = 100000 by d = 100, with set-up",
                ours(name, few, steps, set_up=True, d=100_000),
                ours(name, few, steps, set_up=True),
                1.2,
            ),
        ):
            wanted.append(Ratio(f"{name}: {what}", job, below, limit=limit_here))
    return wanted


# --- finite samples


def _repeated(times: int, function: Callable[..., Any], *arguments: Any) -> Callable[[], None]:
    def call() -> None:
        for _ in range(times):
            function(*arguments)

    return call


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
            given = spec, B, w, heads, STEP_SIZE, STEP_SIZE, m, m, sigma, d, rng
            words = f"{spec.name}: samples, m = {m}, d = {d}, {trials} trials"
            return Job(words, IN_LAW, _repeated(times, step_in_law, *given), times * trials)

        def on_data(kernel: str, function: Callable[..., Any], *given: Any, name: str = name) -> Job:
            words = f"{name}: samples, m = {m}, d = {d}, {data_trials} trials"
            return Job(words, kernel, _repeated(1, function, *given), data_trials)

        explicit = on_data(
            EXPLICIT, step_on_drawn_samples, spec, B_data, w_data, heads, STEP_SIZE, STEP_SIZE, m, m, sigma, rng
        )
        by_autograd = on_data(AUTOGRAD, _autograd_step, spec, B_data, w_data, heads, m, sigma, rng)
        at_all = in_law(m, d)
        for what, above, below, limit in (
            (f"in law by explicit data, m = {m}", at_all, explicit, 0.01),
            (f"in law by autograd, m = {m}", at_all, by_autograd, None),
            ("in law, m = 10⁶ by m = 10²", in_law(10**6, d), in_law(10**2, d), 1.5),
            ("in law, d = 10⁶ by d = 10²", in_law(m, 10**6), in_law(m, 10**2), 1.5),
        ):
            wanted.append(Ratio(f"{name}: {what}", above, below, limit=limit))
    return wanted
