"""A study of any learner: what is derived, what runs of its spec do, and the verdict that follows from both."""

import time
from dataclasses import dataclass
from enum import StrEnum
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from metarep.reports.study.reverse import BY_REVERSE
from metarep.sim.bounds import unknown
from metarep.sim.fitting import RateFit, fit_rate
from metarep.sim.learners import LEARNERS, Learner
from metarep.sim.outcomes import CONVERGED_BELOW, Outcome
from metarep.sim.problems import (
    FixedTasks,
    Problem,
    check_dimensions,
    check_step_size,
    heads_with_spectrum,
    start,
)
from metarep.sim.specs import load_spec
from metarep.sim.trajectories import Trajectory, run
from metarep.theory.dynamics.any_learner import Derived, Restpoint, derived, fixed_point_near, moves_along_head_only

STARTS: tuple[float | None, ...] = (0.1, 0.5, 0.9, None)
"""dist_0 of the groups of starts, balanced; None is a random subspace. The nearest decides whether a learner learns."""
TITLES = {
    "boil": "BOIL (body only)",
    "anil-3": "ANIL, three inner steps",
    "maml-2": "MAML, two inner steps",
    "ridge-anil": "ANIL, ridge in the inner step",
    "ridge-head": "ANIL, ridge head in closed form",
    "exact-head": "Exact head solve (FedRep)",
    "reptile-1": "Reptile, one inner step",
    "reptile-2": "Reptile, two inner steps",
}
"""The worked examples that ship, in the order in which a report shows them, and how tables and figures call them."""
EXAMPLES = tuple(TITLES)
FLATTEST, STEEPEST = 0.6, 1.0
"""Extreme eigenvalues of the tasks' Ψ_*: all directions matter, and no two alike."""
_STOP_BELOW = 1e-250
_AGREEMENT = 1e-2
"""A run that has not converged yet is learning if its rate is the predicted one to this share of it."""


@dataclass(frozen=True)
class Settings:
    """The problem that a learner is studied on: fixed tasks, infinite samples, w_0 = 0, balanced starts.

    Attributes:
        d, k, n: ambient dimension, dimension of the representation, tasks (n > k: MAML needs that many).
        alpha, beta: step sizes.
        head_mean: ‖w̄_*‖; Ψ_* = diag(1, ..., 0.6).
        steps: outer steps. trials: starts of each group. seed: of all randomness.
    """

    d: int = 20
    k: int = 3
    n: int = 8
    alpha: float = 0.3
    beta: float = 0.3
    head_mean: float = 0.25
    steps: int = 1500
    trials: int = 2
    seed: int = 0


def make_study_problem(settings: Settings) -> tuple[Problem, np.ndarray]:
    """(problem with len(STARTS) × trials starts, heads (k, n)).

    Raises:
        ValueError: settings out of range.
    """
    d, k, n, alpha = settings.d, settings.k, settings.n, settings.alpha
    check_dimensions(d, k, n)
    if d < 2 * k:
        raise ValueError(f"d is {d} with k = {k}; allowed: d >= 2k, so that starts at every distance exist")
    check_step_size("alpha", alpha)
    check_step_size("beta", settings.beta)
    if not 0 <= settings.head_mean < np.inf:
        raise ValueError(f"head_mean is {settings.head_mean:g}; allowed: a norm, 0 or more")
    if settings.steps < 100:
        raise ValueError(f"steps is {settings.steps}; allowed: a whole number, 100 or more")
    if settings.trials < 1:
        raise ValueError(f"trials is {settings.trials}; allowed: a whole number, 1 or more")
    rng = np.random.default_rng(settings.seed)
    spectrum = np.linspace(STEEPEST, FLATTEST, k)
    heads = heads_with_spectrum(spectrum, n, rng, mean=np.full(k, settings.head_mean / np.sqrt(k)))
    groups = [start("balanced", d, k, alpha, rng, dist0=dist0, trials=(settings.trials,)) for dist0 in STARTS]
    B0 = np.concatenate(groups)
    return Problem(d, np.eye(2 * k, k), FixedTasks(heads), B0, np.zeros((len(B0), k)), n), heads


class Learns(StrEnum):
    """The verdict."""

    YES = "yes"
    ARRIVES = "arrives"
    NO = "no"

    @property
    def words(self) -> str:
        """As the sentence that begins with the learner's name."""
        sentences = {"yes": "learns", "arrives": "arrives at, and does not stay with,", "no": "does not learn"}
        return f"{sentences[self.value]} the representation"


@dataclass(frozen=True, eq=False)
class Study:
    """What was found out about a learner.

    Attributes:
        learner, settings: what was studied, and on what.
        derived: what holds for all d, k, n.
        restpoint: where the nearest run comes to rest, with its spectrum; None if nowhere.
        trajectory: the runs, groups of ``settings.trials`` in the order of ``STARTS``.
        learned: for each group the share of runs whose dist fell below 1e-6 without a loss of rank; blind: that ended
            blind.
        learns: the verdict.
        symbolic: predicted rate; empirical: fitted rate; None where there is none.
        relative_error: of the fitted rate's logarithm, |log empirical / log symbolic − 1|.
        seconds: how long it took.
    """

    learner: Learner
    settings: Settings
    derived: Derived
    restpoint: Restpoint | None
    trajectory: Trajectory
    learned: tuple[float, ...]
    blind: tuple[float, ...]
    learns: Learns
    symbolic: float | None
    empirical: float | None
    relative_error: float | None
    seconds: float

    @property
    def reason(self) -> str:
        """Why it learns or does not, in a sentence or two."""
        why = (_why_it_learns(self), _from_where(self.learned)) if self.learns is not Learns.NO else (_why_not(self),)
        return " ".join(part for part in (_identity_of(self), *why, _blind(self.blind)) if part)


def find_spec(word: str) -> Learner:
    """The learner called ``word`` (a worked example or one of the paper's five), or the one that the file specifies.

    Raises:
        ValueError: neither, or the file makes no learner.
    """
    if word in EXAMPLES:
        return example(word)
    if word in LEARNERS:
        return LEARNERS[word]
    if Path(word).suffix in (".toml", ".py"):
        return load_spec(word)
    allowed = "what 'metarep study --help' lists, or a .toml or .py file with a spec"
    raise unknown("learner", word, (*EXAMPLES, *LEARNERS), allowed)


def example(name: str) -> Learner:
    """The worked example of that name, from its file in this package."""
    with resources.as_file(resources.files("metarep.reports.examples") / f"{name}.toml") as path:
        return load_spec(path)


def study(learner: Learner, settings: Settings | None = None, progress: Any = None) -> Study:
    """Derive, simulate, compare, judge.

    Args:
        learner: any spec that can be derived.
        settings: the problem.
        progress: told the number of steps done.

    Raises:
        ValueError: settings out of range, or more inner steps than can be expanded.
    """
    settings = settings or Settings()
    began = time.perf_counter()
    problem, heads = make_study_problem(settings)
    found = derived(learner)
    trajectory = run(
        learner, problem, settings.alpha, settings.beta, settings.steps,
        implementation=BY_REVERSE, stop_below=_STOP_BELOW, progress=progress,
        observe={"size": lambda B, w, step: np.sqrt(np.square(B).sum((-2, -1)))},
    )  # fmt: skip
    kept = np.flatnonzero(~trajectory.diverged[: settings.trials])  # of the runs from the nearest starts
    near = int(kept[0]) if kept.size else 0
    # If they all diverged, they may have come close before: look where they began, close to the truth.
    M, w = (trajectory.B[near], trajectory.w[near]) if kept.size else (problem.B0[0], problem.w0[0])
    M = M[: settings.k]
    restpoint = fixed_point_near(learner, M, w, heads, settings.alpha, settings.beta)
    fit = _fitted(trajectory, near)
    lowest = np.nanmin(trajectory.dist, axis=0).reshape(len(STARTS), settings.trials)
    learned, blind = (
        tuple(float(share) for share in which.reshape(lowest.shape).mean(1))
        for which in (
            (lowest <= CONVERGED_BELOW) & (trajectory.outcome != Outcome.COLLAPSED).reshape(lowest.shape),
            trajectory.outcome == Outcome.BLIND,
        )
    )
    symbolic = restpoint.rate if restpoint is not None and restpoint.attracts_perpendicular else None
    error = None
    if symbolic is not None and fit is not None and fit.rate > 0:
        error = float(abs(np.log(fit.rate) / np.log(symbolic) - 1))
    falling = error is not None and error < _AGREEMENT and not trajectory.diverged[: settings.trials].any()
    learns = _verdict(trajectory.outcome[: settings.trials], learned[0] == 1, falling, restpoint)
    symbolic, error = (None, None) if learns is Learns.NO else (symbolic, error)
    empirical = None if fit is None or symbolic is None else fit.rate
    seconds = time.perf_counter() - began
    return Study(
        learner, settings, found, restpoint, trajectory, learned, blind, learns, symbolic, empirical, error, seconds
    )


def _verdict(ends: np.ndarray, arrived: bool, falling: bool, restpoint: Restpoint | None) -> Learns:
    """The verdict on the runs from the nearest starts: their outcomes, whether all came to the truth at some step, else
    whether they fall at the predicted rate.
    """
    if not arrived and not falling:
        return Learns.NO
    left = arrived and any(end is not Outcome.CONVERGED for end in ends)
    unstable = restpoint is not None and not restpoint.stable
    return Learns.ARRIVES if left or unstable else Learns.YES


def _fitted(trajectory: Trajectory, index: int) -> RateFit | None:
    try:
        return fit_rate(trajectory.steps, trajectory.dist[:, index])
    except ValueError:  # fewer points than a rate needs: the run ended at once
        return None


# --- the verdict in words


def start_name(dist0: float | None) -> str:
    """How a group of starts is called."""
    return "random" if dist0 is None else f"dist_0 = {dist0:g}"


def _from_where(learned: tuple[float, ...]) -> str:
    if min(learned) == 1:
        return "From every start tried, random ones too, the runs learned it."
    if not any(learned):
        return "No run had come to the truth when the steps ran out: they were falling at that rate."
    shares = ", ".join(f"{share:.0%} from {start_name(d)}" for d, share in zip(STARTS, learned, strict=True))
    return f"Runs that learned it: {shares}."


def _blind(blind: tuple[float, ...]) -> str:
    if not any(blind):
        return ""
    shares = ", ".join(f"{share:.0%} from {start_name(d)}" for d, share in zip(STARTS, blind, strict=True) if share)
    return f"Runs that ended blind: {shares}."


def _identity_of(study: Study) -> str:
    same = study.derived.same_as
    if len(same) == 1 and same[0] != study.learner.name:
        return f"Its update is that of {same[0]}: equal normal forms."
    if len(same) == 2:
        return f"Its outer gradient is that of {same[0]} plus that of {same[1]}: equal normal forms."
    return ""


def _why_it_learns(study: Study) -> str:
    restpoint, trajectory = study.restpoint, study.trajectory
    ends = trajectory.outcome[: study.settings.trials]
    if Outcome.DIVERGED in ends:
        step = int(trajectory.diverged_at[: len(ends)].max())
        grows = ""
        if restpoint is not None and not restpoint.stable:
            grows = f": the fixed point is unstable, span and head grow by {restpoint.growth:.5g} a step"
        return f"The perpendicular part contracts, but the run does not stay and diverges at step {step}{grows}."
    if restpoint is None:
        size = trajectory.observed["size"][:, 0]
        return (
            "It learns, but at no rate: there is no fixed point near where the runs end. The norm of B still grows "
            f"({size[len(size) // 2]:.3g} half way, {size[-1]:.3g} at the end), and dist falls by "
            f"{_late_factors(trajectory)}."
        )
    what = next((family.what for family in study.derived.families if family.id == restpoint.family), "")
    where = f"At its fixed points {what} (whatever the tasks)" if what else "At its fixed point for these tasks"
    line = f"{where} the perpendicular part contracts in every direction."
    if restpoint.turn > restpoint.tolerance:
        line += f" It never rests: B turns within its column space by {restpoint.turn:.1g} rad a step, for ever."
    if not restpoint.stable:
        line += f" But the point is unstable: span and head grow by {restpoint.growth:.4g} a step."
    elif restpoint.neutral:
        neutral, size = restpoint.neutral, restpoint.span_head.size
        line += f" {neutral} of {size} directions of span and head are neutral to first order."
    left = next((end for end in ends if end is not Outcome.CONVERGED), None)
    if left is not None and study.learned[0] == 1:
        line += f" A run from there did not stay, and {left.message}."
    return line


def _late_factors(trajectory: Trajectory) -> str:
    """By what factor a step dist falls in the third and in the last quarter of the nearest run."""
    dist = trajectory.dist[:, 0]
    length = len(dist) // 4
    factors = [(dist[b] / dist[a]) ** (1 / (b - a)) for a, b in ((2 * length, 3 * length), (3 * length, len(dist) - 1))]
    return f"a factor {factors[0]:.5g} a step in the run's third quarter and {factors[1]:.5g} in its last"


def _why_not(study: Study) -> str:
    found, restpoint, trajectory, trials = study.derived, study.restpoint, study.trajectory, study.settings.trials
    outcome = trajectory.outcome[0].message
    if not found.moves:
        return "The outer step never moves the representation."
    if moves_along_head_only(study.learner):
        moments = {1: "first moment", 2: "first two moments", 3: "first three moments"}
        known = moments.get(found.moments, f"first {found.moments} moments")
        return (
            "N differs from I by a multiple of wwᵀ only: of the perpendicular part a step moves one direction of R^k, "
            f"the head's, and the others stay (the update knows the heads' {known}). The nearest run {outcome}."
        )
    if trajectory.diverged[:trials].any():
        step = int(trajectory.diverged_at[:trials].max())
        return f"Runs from the nearest starts diverged (by step {step})."
    if restpoint is None:
        return f"No fixed point in the span of the truth was found near where the runs end; the nearest run {outcome}."
    if not restpoint.attracts_perpendicular:
        where = f"Where it comes to rest the perpendicular part has factor {restpoint.rate:.6g}"
        return f"{where}; the nearest run {outcome}."
    return f"The nearest run {outcome}."


# --- plain data


def record(result: Study) -> dict[str, Any]:
    """A study as plain data: {learner, learns, reason, symbolic, empirical, relative_error, spectrum} and details."""
    rest, found = result.restpoint, result.derived
    spectrum = rest and {
        "perpendicular": _values(rest.perpendicular),
        "span_and_head": _values(rest.span_head),
        "stable": rest.stable,
        "neutral": rest.neutral,
        "turn": rest.turn,
        "fixed_point": rest.family or "depends on the tasks",
    }
    return {
        "learner": result.learner.name,
        "learns": result.learns.value,
        "reason": result.reason,
        "symbolic": result.symbolic,
        "empirical": result.empirical,
        "relative_error": result.relative_error,
        "spectrum": spectrum,
        "update": [list(line) for line in found.update],
        "right_factor": found.factor,
        "moments": found.moments,
        "same_as": list(found.same_as),
        "fixed_points": [{"id": f.id, "what": f.what} for f in found.families],
        "starts": [
            {"start": start_name(dist0), "share_learned": learned, "share_blind": blind}
            for dist0, learned, blind in zip(STARTS, result.learned, result.blind, strict=True)
        ],
        "settings": vars(result.settings),
        "seconds": result.seconds,
    }


def _values(eigenvalues: np.ndarray) -> list[Any]:
    real = np.abs(np.imag(eigenvalues)) <= 1e-12 * np.abs(eigenvalues)
    return [float(v.real) if r else {"re": v.real, "im": v.imag} for v, r in zip(eigenvalues, real, strict=True)]
