"""What the theorems say, along simulated runs whose step size is the largest that the conditions allow."""

import numpy as np
import pytest

from metarep.sim.learners import get_learner
from metarep.sim.problems import FixedTasks, Problem
from metarep.sim.trajectories import run
from metarep.theory.inequalities.conditions import CONDITIONS, Quantities, guaranteed_rate, kept_bounds
from metarep.theory.inequalities.core import Context
from metarep.theory.inequalities.theorems import THEOREMS

STEPS = 400


def heads_for(theorem: str, k: int, rng: np.random.Generator) -> np.ndarray:
    """Heads (k, n) of the kind that a theorem is about."""
    half = rng.standard_normal((k, 3 * k))
    centred = np.linalg.qr((half - half.mean(1, keepdims=True)).T)[0].T * rng.uniform(0.6, 1, (k, 1))
    if theorem == "theorem-fo-maml":
        return centred * np.sqrt(3 * k) + 0.01 / k
    if theorem in ("theorem-fo-anil", "theorem-anil"):
        return centred * np.sqrt(3 * k) + rng.uniform(0, 1, (k, 1))
    return np.concatenate([centred, -centred], 1) * np.sqrt(3 * k)


def problem_for(theorem: str, rng: np.random.Generator) -> tuple[Problem, Quantities]:
    """A balanced start, and the problem's quantities with β at the conditions' edge."""
    k = int(rng.integers(1, 5))
    d, alpha = 2 * k + 1, float(rng.uniform(0.1, 2))
    heads = heads_for(theorem, k, rng)
    spectrum = np.linalg.eigvalsh(heads @ heads.T / heads.shape[1])
    trace, close = spectrum.sum(), theorem == "theorem-fo-maml"
    dist0 = 0.99 * np.sqrt(0.25 * spectrum[0] / trace) if close else float(rng.uniform(0.2, 0.9))
    mean = 0.0 if theorem.endswith(("centred", "symmetric")) else float(np.linalg.norm(heads.mean(1)))
    longest = float(np.linalg.norm(heads, axis=0).max())
    at = Quantities(
        alpha, 1.0, spectrum[0], spectrum[-1], mean, dist0, longest, trace, symmetric=theorem.endswith("symmetric")
    )
    edge = min(c.factor(at) for c in CONDITIONS[theorem] if r"\beta" in c.latex)
    at = Quantities(**{**vars(at), "beta": 0.999 * edge})
    assert all(condition.holds(at) for condition in CONDITIONS[theorem])
    sines = dist0 * np.r_[1, rng.uniform(0, 1, k - 1)]
    start = np.concatenate([np.diag(np.sqrt(1 - sines**2)), np.diag(sines), np.zeros((1, k))])
    start = start @ np.linalg.qr(rng.standard_normal((k, k)))[0] / np.sqrt(alpha)
    return Problem(d, np.eye(d, k), FixedTasks(heads), start, np.zeros(k), heads.shape[1]), at


@pytest.mark.parametrize("theorem", CONDITIONS)
@pytest.mark.parametrize("seed", range(3))
def test_run_keeps_what_is_proved(theorem: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    problem, at = problem_for(theorem, rng)
    name = theorem.removeprefix("theorem-").removesuffix("-centred").removesuffix("-symmetric")
    heads, truth = problem.tasks(0), problem.B_star

    def off_balance(B: np.ndarray, w: np.ndarray, step: int) -> np.ndarray:
        return np.abs(np.linalg.eigvalsh(np.eye(B.shape[1]) - at.alpha * B.T @ B)).max()

    def diversity(B: np.ndarray, w: np.ndarray, step: int) -> np.ndarray:
        adapted = (w - at.alpha * B.T @ B @ w)[:, None] + at.alpha * B.T @ truth @ heads
        return np.linalg.eigvalsh(adapted @ adapted.T / heads.shape[1])[0]

    def angle(B: np.ndarray, w: np.ndarray, step: int) -> np.ndarray:
        return at.alpha * np.linalg.svd(B.T @ truth, compute_uv=False)[-1] ** 2

    watched = {
        "span-stays": off_balance,
        "head-stays": lambda B, w, step: np.linalg.norm(w),
        "diversity": diversity,
        "angle": angle,
    }
    trajectory = run(get_learner(name), problem, at.alpha, at.beta, STEPS, record_every=4, observe=watched)
    bounds = kept_bounds(theorem, at)
    # Where w = 0 exactly, rounding may grow: w = 0 need not be stable.
    assert trajectory.observed["span-stays"].max() <= bounds["span-stays"] + 1e-12
    assert trajectory.observed["head-stays"].max() <= bounds["head-stays"] + 1e-10
    assert trajectory.observed["diversity"].min() >= bounds["diversity"] * (1 - 1e-12)
    assert trajectory.observed["angle"].min() >= bounds["angle"] * (1 - 1e-12)
    allowed = (1 - guaranteed_rate(theorem, at)) ** trajectory.steps
    assert np.all(trajectory.dist <= np.maximum(allowed, 1e-13))


def variables_of(theorem: str, at: Quantities) -> dict[str, float]:
    """The proof's own variables for a problem, as ``region`` of the theorem's module defines them."""
    close = theorem == "theorem-fo-maml"
    E = 1.0 if close else at.E0
    a = at.alpha * at.beta * at.L_squared * at.kappa_squared / E
    g = at.beta / at.alpha * at.kappa_squared**2 / E**2
    found = {"a": a, "d0": at.dist0**2, "rho": 1 / at.kappa_squared, "sigma": 1.0}
    if close:
        found |= {"g": g, "n": at.mean / at.longest, "share": at.dist0**2 * at.trace / at.mu_squared}
        return found | {"S": at.mean * at.longest * at.L_squared / at.mu_squared**2, "W": at.alpha * at.longest}
    found |= {"E": E, "L": at.alpha * np.sqrt(at.L_squared)}
    if theorem in ("theorem-fo-anil", "theorem-anil"):
        found |= {"g": g, "f": g * at.mean**2 / (E * at.mu_squared), "eta": at.alpha * at.mean}
    return found


@pytest.mark.parametrize("theorem", CONDITIONS)
def test_conditions_are_the_region_of_the_proof(theorem: str) -> None:
    checked = THEOREMS[theorem]()
    context = Context(checked.derivation, checked.step)
    for seed in range(4):
        _, at = problem_for(theorem, np.random.default_rng(seed))
        found = variables_of(theorem, at)
        for name, value in found.items():
            upper = context.box.get(name)
            assert name == "L" or name in context.box
            assert value >= 0, name
            assert upper is None or value <= upper + 1e-12, name
        known = {"beta": at.beta / at.alpha, "L": at.alpha**2 * at.L_squared, "mu": at.alpha**2 * at.mu_squared}
        known |= {"eta": (at.alpha * at.mean) ** 2, "W": (at.alpha * at.longest) ** 2}
        for name, value in {**context.plain, **context.squares}.items():
            if name in known:
                square = name == "eta" and name in context.plain
                assert float(value.value(found)) ** (2 if square else 1) == pytest.approx(known[name]), name
        if theorem == "theorem-fo-maml":
            assert float(context.plain["t"].value(found)) == pytest.approx(at.alpha**2 * at.trace)


@pytest.mark.parametrize("name", ["fo-anil", "anil"])
def test_tasks_may_change(name: str) -> None:
    rng = np.random.default_rng(3)
    problem, at = problem_for(f"theorem-{name}", rng)
    first = problem.tasks(0)
    size = first.shape[0]
    tasks = []
    for _ in range(3):
        turn = np.linalg.qr(rng.standard_normal((size, size)))[0]
        tasks.append(turn @ first)
    tasks.append(first + 0.3 * (first - first.mean(1, keepdims=True)))
    spectra = [np.linalg.eigvalsh(heads @ heads.T / heads.shape[1]) for heads in tasks]
    at = Quantities(
        at.alpha, 1.0, min(s[0] for s in spectra), max(s[-1] for s in spectra),
        max(float(np.linalg.norm(heads.mean(1))) for heads in tasks), at.dist0,
    )  # fmt: skip
    edge = min(c.factor(at) for c in CONDITIONS[f"theorem-{name}"] if r"\beta" in c.latex)
    at = Quantities(**{**vars(at), "beta": 0.999 * edge})
    changing = Problem(
        problem.B_star.shape[0], problem.B_star, lambda step: tasks[step % 4], problem.B0, problem.w0, first.shape[1]
    )
    trajectory = run(get_learner(name), changing, at.alpha, at.beta, STEPS, record_every=1)
    factors = [1 - guaranteed_rate(f"theorem-{name}", Quantities(**{**vars(at), "mu_squared": s[0]})) for s in spectra]
    allowed = np.cumprod([1.0, *(factors[step % 4] for step in range(STEPS))])
    assert np.all(trajectory.dist <= allowed)
