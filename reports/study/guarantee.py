"""Does the theorem cover my setting? What is guaranteed for a problem, beside the local rate and what a run does."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from metarep.sim.learners import get_learner
from metarep.sim.metrics import subspace_distance
from metarep.sim.problems import FixedTasks, Problem, reduce
from metarep.sim.trajectories import Trajectory, run
from metarep.theory.dynamics.rates import local_spectrum
from metarep.theory.inequalities.guarantee import Guarantee
from metarep.theory.inequalities.guarantee import guarantee as guaranteed

MOST_STEPS = 30_000
"""No run beside a guarantee is longer."""
LEAST_STEPS = 200
RECORDS = 600


@dataclass(frozen=True)
class Answer:
    """A guarantee, and what it is to be compared with.

    Args:
        found: what the theorems guarantee.
        target: the distance that steps are counted to.
        local_rate: the factor near the truth by the linearisation; None for average loss and where it is unstable.
        trajectory: a run from the same start.
        seen_steps: outer steps after which the run's dist was at most ``target`` (to the nearest record); None if it
            never was.
    """

    found: Guarantee
    target: float
    local_rate: float | None
    trajectory: Trajectory
    seen_steps: int | None

    @property
    def outcome(self) -> str:
        """What became of the run."""
        return self.trajectory.outcome.item().value

    def as_dict(self) -> dict[str, Any]:
        """Plain data, as ``--json`` prints it."""
        found, at = self.found, self.found.at
        least, largest = found.alphas or (None, None)
        best_rate, best_product, best_alpha = found.best or (None, None, None)
        return {
            "learner": found.learner,
            "theorem": found.theorem or None,
            "holds": found.holds,
            "failing": None if found.failing is None else found.failing.latex,
            "conditions": [
                {
                    "condition": side.latex,
                    "value": _finite(side.value),
                    "limit": _finite(side.limit),
                    "holds": side.holds,
                    "factor": _finite(side.factor),
                }
                for side in found.conditions
            ],
            "alpha": at.alpha,
            "beta": at.beta,
            "dist0": at.dist0,
            "E0": at.E0,
            "mu": math.sqrt(at.mu_squared),
            "L": math.sqrt(at.L_squared),
            "kappa": _finite(math.sqrt(at.kappa_squared)),
            "eta": at.mean,
            "guaranteed_rate": found.rate if found.holds else None,
            "target": self.target,
            "guaranteed_steps": found.steps_to(self.target),
            "largest_beta": found.largest_beta,
            "least_alpha": least,
            "largest_alpha": largest,
            "best_rate": best_rate,
            "best_product": best_product,
            "best_alpha": best_alpha,
            "local_rate": self.local_rate,
            "simulated_steps": self.seen_steps,
            "outcome": self.outcome,
        }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def guarantee(
    learner: str, problem: Problem, alpha: float, beta: float, *, target: float = 1e-6, most_steps: int = MOST_STEPS
) -> Answer:
    """Does the theorem cover my setting? What it guarantees there, and what a run does.

    Args:
        learner: id of one of the five.
        problem: fixed tasks and a single start, e.g. of ``make_problem(..., tasks="fixed", start="balanced")``.
        alpha, beta: inner and outer step size.
        target: count steps to this distance, between 0 and 1.
        most_steps: of the run that is made beside it.

    Raises:
        ValueError: the tasks change, there are several starts, or an argument is out of range.
    """
    if not isinstance(problem.tasks, FixedTasks) or np.ndim(problem.w0) != 1:
        raise ValueError("a guarantee is for one start and fixed tasks; allowed: a problem with these")
    heads = problem.tasks(0)
    dist0 = float(subspace_distance(problem.B0, problem.B_star))
    gram = alpha * problem.B0.T @ problem.B0
    found = guaranteed(
        learner,
        heads,
        alpha,
        beta,
        dist0,
        imbalance=float(np.linalg.norm(np.eye(len(gram)) - gram, 2)),
        start_head=math.sqrt(alpha) * float(np.linalg.norm(problem.w0)),
    )
    spec = get_learner(learner)
    rate = None
    if spec.adapts != "nothing":
        spectrum = local_spectrum(spec, heads, alpha, beta)
        rate = spectrum.rate if spectrum.stable else None
    slowest = max(filter(None, (rate, found.rate)), default=1.0)
    wanted = LEAST_STEPS if not 0 < slowest < 1 else 1.5 * math.log(target) / math.log(slowest)
    steps = int(min(most_steps, max(LEAST_STEPS, wanted)))
    trajectory = run(spec, reduce(problem), alpha, beta, steps, record_every=max(1, steps // RECORDS))
    below = np.flatnonzero(trajectory.dist <= target)
    seen = int(trajectory.steps[below[0]]) if below.size else None
    return Answer(found, target, rate, trajectory, seen)
