"""What the theorems say, along simulated runs whose step size is the largest that the conditions allow."""

import numpy as np
import pytest

from metarep.sim.learners import get_learner
from metarep.sim.problems import FixedTasks, Problem
from metarep.sim.trajectories import run
from metarep.theory.inequalities.conditions import CONDITIONS, Quantities, guaranteed_rate, kept_bounds

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
