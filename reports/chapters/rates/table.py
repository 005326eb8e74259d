"""The rates table: what the linearisation says, what a run shows, and what the envelope promises, side by side.

Rates are per-step factors of dist(B_t, B_*), tasks fixed, balanced start at dist_0. Runs go in reduced coordinates,
where dist can be followed down to 1e-250 and its asymptotic rate be read off.
"""

import math
from dataclasses import dataclass
from typing import Annotated, NamedTuple

import numpy as np
from pydantic import Field

from metarep.reports.chapters.chapter import Alpha, Beta, D, K, LearnerName, N
from metarep.sim.fitting import fit_rate
from metarep.sim.learners import META_LEARNERS, Learner
from metarep.sim.outcomes import Outcome
from metarep.sim.problems import Problem, check_step_size, make_problem
from metarep.sim.trajectories import run
from metarep.theory.dynamics.linearise import span_head_matrix, symmetric_basis
from metarep.theory.dynamics.rates import HeadMoments, LocalSpectrum, envelope_factor, local_spectrum, symbolic_rate

MOST_STEPS = 30_000
"""No run is longer; a rate very close to 1 is then read off a run that has not yet settled, and its outcome says
'moving'.
"""
LEAST_STEPS = 400
RECORDS = 1000
LOWEST = 1e-250
"""Where a run may stop: in reduced coordinates dist is accurate that far."""
ROUNDING = 2.0**-53
"""A rate near 1 is not known better than to half a unit in its last place."""
LONG_FALL = 40.0
"""A run whose log dist fell by more than this is fitted on its second half only, where transients have died out."""
GROWTH_START = 1e-6
"""Size of the perturbation of the truth with which growth is measured ..."""
GROWTH_END = 1e-3
"""... and where its linear regime is taken to end: second-order terms are then 1e-3 of the first-order ones."""


RateOutcome = Annotated[str, Field(json_schema_extra={"enum": [*(outcome.value for outcome in Outcome), "unstable"]})]


class RateSetting(NamedTuple):
    """The problem of a row."""

    d: int
    k: int
    n: int
    alpha: float
    beta: float
    dist0: float = 0.5


@dataclass(frozen=True)
class RateRecord:
    """What the linearisation says, what a run shows and what the envelope promises; factors of dist a step."""

    learner: LearnerName
    d: D
    k: K
    n: N
    alpha: Alpha
    beta: Beta
    symbolic: float
    """The rate from the linearisation; where unstable, the predicted growth, a step, of a perturbation of the truth in
    the span and the head.
    """
    empirical: float | None
    """The rate fitted to a run; where unstable, the growth that was measured."""
    standard_error: float | None
    """Of the fit."""
    relative_error: float | None
    """|empirical − symbolic| / (1 − symbolic); null where unstable."""
    envelope: float | None
    """The envelope's factor; null for average loss and where it promises nothing."""
    outcome: RateOutcome
    """What became of the run; unstable: the linearisation grows at the truth, and there was none."""


def rates_problem(d: int, k: int, n: int, alpha: float, beta: float, seed: int, dist0: float) -> Problem:
    """The problem of a row: fixed tasks with heads N(0, I), a balanced start with all principal sines dist_0. The same
    for all learners.

    Raises:
        ValueError: arguments out of range.
    """
    check_step_size("beta", beta)
    check_step_size("alpha", alpha)
    return make_problem(d, k, n, alpha, np.random.default_rng(seed), "fixed", "balanced", dist0)


def rate_record(
    learner: Learner, problem: Problem, alpha: float, beta: float, dist0: float, most_steps: int = MOST_STEPS
) -> RateRecord:
    """One row for one learner on a problem of ``rates_problem``."""
    heads = problem.tasks(0)
    moments = HeadMoments.of(heads)
    meta = learner.name in META_LEARNERS
    symbolic = symbolic_rate(learner, heads, alpha, beta)
    bound = envelope_factor(alpha, beta, moments.mu, dist0) if meta else None
    fixed = (learner.name, problem.d, problem.k, problem.n, float(alpha), float(beta))
    if meta:
        spectrum = local_spectrum(learner, heads, alpha, beta)
        if not spectrum.stable:
            growth = max(spectrum.growth, spectrum.rate)
            seen = _measured_growth(learner, heads, alpha, beta, spectrum)
            return RateRecord(*fixed, growth, *seen, None, bound, "unstable")
    steps = _enough_steps(symbolic, most_steps)
    trajectory = run(learner, problem, alpha, beta, steps, record_every=max(1, steps // RECORDS), stop_below=LOWEST)
    outcome = trajectory.outcome.item().value
    empirical, error = _fitted(trajectory.steps, trajectory.dist)
    comparable = meta and empirical is not None and symbolic < 1 and outcome != "diverged"
    relative = abs(empirical - symbolic) / (1 - symbolic) if comparable and empirical is not None else None
    return RateRecord(*fixed, symbolic, empirical, error, relative, bound, outcome)


def _enough_steps(rate: float, most: int) -> int:
    """Steps in which a curve of that rate falls to ``LOWEST``, within bounds."""
    if rate >= 1:
        return min(most, 10 * LEAST_STEPS)
    needed = math.log(LOWEST) / math.log(rate) if rate > 0 else 0
    return int(min(most, max(LEAST_STEPS, 1.1 * needed)))


def _fitted(steps: np.ndarray, dist: np.ndarray) -> tuple[float | None, float | None]:
    good = dist > 0
    count = len(dist) if good.all() else int(np.argmin(good))
    steps, dist = steps[:count], dist[:count]
    if count and math.log(dist[0]) - math.log(dist[-1]) > LONG_FALL:
        steps, dist = steps[count // 2 :], dist[count // 2 :]
    try:
        fit = fit_rate(steps, dist)
    except ValueError:  # too few points: it was over, or had diverged, within a few steps
        return None, None
    return fit.rate, max(fit.standard_error, ROUNDING)


def _measured_growth(
    learner: Learner, heads: np.ndarray, alpha: float, beta: float, spectrum: LocalSpectrum
) -> tuple[float | None, float | None]:
    """(growth per step, standard error) of a small perturbation of the truth along the mode that should grow fastest.

    The perturbation is (S, ω) with S = I − αMMᵀ and ω = α^{3/2}w, in the span and the head alone (B_{*⊥}ᵀB = 0).
    """
    if spectrum.growth < spectrum.rate:
        # It is the perpendicular part that grows: dist leaves at once, and there is no linear regime to see.
        return None, None
    k = heads.shape[0]
    values, vectors = np.linalg.eig(span_head_matrix(learner, heads, alpha, beta))
    mode = np.real(vectors[:, np.argmax(np.abs(values))])
    mode = mode * (GROWTH_START / np.linalg.norm(mode))
    S = np.einsum("x,xab->ab", mode[:-k], symmetric_basis(k))
    eigenvalues, frame = np.linalg.eigh(np.eye(k) - S)
    B0 = frame @ np.diag(np.sqrt(eigenvalues / alpha)) @ frame.T
    problem = Problem(k, np.eye(k), lambda step: heads, B0, mode[-k:] / alpha**1.5, heads.shape[-1])
    steps = math.log(GROWTH_END / GROWTH_START) / math.log(spectrum.growth)
    steps = int(min(MOST_STEPS, max(20, steps)))

    def size(B: np.ndarray, w: np.ndarray, step: int) -> float:
        return float(np.hypot(np.linalg.norm(np.eye(k) - alpha * B @ B.T), alpha**1.5 * np.linalg.norm(w)))

    seen = run(learner, problem, alpha, beta, steps, record_every=max(1, steps // 200), observe={"size": size})
    try:
        fit = fit_rate(seen.steps, 1 / seen.observed["size"])
    except ValueError:
        return None, None
    return 1 / fit.rate, fit.standard_error / fit.rate**2


# --- as a table of words

HEADER = ("learner", "symbolic", "empirical", "standard error", "relative error", "envelope", "outcome")
OUTCOME_MEANS = {
    "unstable": "the linearisation has an eigenvalue of modulus above 1 at the truth; symbolic and empirical are then "
    "the growth a step of a small perturbation of the truth, predicted and measured, not a rate of dist",
    "moving": "the run ended before dist was small; empirical is the factor on the way there, which the linearisation "
    "at the truth does not speak of: starting closer (--dist0) shows it",
    **{
        outcome.value: f"the run {outcome.message}; empirical is no rate at the truth"
        for outcome in (Outcome.RECEDING, Outcome.BLIND)
    },
}
"""What an outcome means for the row that it stands in."""


def row(record: RateRecord) -> tuple[str, ...]:
    """A record as cells under ``HEADER``."""

    def factor(value: float | None, digits: int = 9) -> str:
        return "—" if value is None else f"{value:.{digits}f}"

    def small(value: float | None) -> str:
        return "—" if value is None else f"{value:.1e}" if value else "0"

    return (
        record.learner,
        factor(record.symbolic),
        factor(record.empirical),
        small(record.standard_error),
        small(record.relative_error),
        factor(record.envelope, 7),
        record.outcome,
    )
