"""Whether the paper's experiments replicate, by stated criteria, under either choice of what the paper leaves open."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from metarep.reports.chapters.experiments.figures import by_panel
from metarep.reports.page.markup import LEARNER_TITLES
from metarep.reports.page.style import middle
from metarep.sim.experiments import CurveResult
from metarep.sim.learners import META_LEARNERS
from metarep.sim.outcomes import CONVERGED_BELOW, Outcome

VARIANTS = (("", "fresh tasks"), ("-fixed", "fixed tasks"))
STRAIGHT = 0.98
"""Least R² of a line through log dist for a fall to count as exponential."""
NOT_APPROACHED = 0.5
"""Distance that average loss must stay above in every trial."""
AHEAD = 2.0
"""Factor between two median distances at the end that counts as a difference."""
Runs = dict[str, list[CurveResult]]
"""Results by experiment."""


@dataclass(frozen=True)
class Replication:
    """Which of the things looked at are as the paper says, under one choice of the tasks."""

    checks: tuple[tuple[str, bool], ...]
    """(what, whether it is so)."""

    @property
    def verdict(self) -> str:
        """In words: replicates, in part, does not."""
        good = sum(holds for _, holds in self.checks)
        if good == len(self.checks):
            return "replicates"
        return "does not replicate" if good == 0 else f"in part ({good} of {len(self.checks)})"

    @property
    def missing(self) -> str:
        """What is not as the paper says, empty where all is."""
        return ", ".join(what for what, holds in self.checks if not holds)


def end(result: CurveResult) -> float:
    """Median dist at the end over all trials, a diverged one counted as 1."""
    return float(np.median(np.where(np.isfinite(result.dist[-1]), result.dist[-1], 1.0)))


def straightness(result: CurveResult) -> float:
    """R² of a line through the median of log dist, from where it first is below 0.1; 0 where it never is."""
    median = middle(result.dist)
    below = np.flatnonzero(median <= 0.1)
    if below.size == 0:
        return 0.0
    kept = slice(below[0], None)
    x, y = result.steps[kept].astype(float), np.log(np.maximum(median[kept], 1e-300))
    good = np.isfinite(y)
    if good.sum() < 3:
        return 0.0
    return float(np.corrcoef(x[good], y[good])[0, 1] ** 2)


def rising(values: list[float]) -> bool:
    """Whether each is above the one before."""
    return all(after > before for before, after in pairwise(values))


def figure_1_replication(results: list[CurveResult], suffix: str) -> Replication:
    """Each meta-learner: median to 1e-6 along a straight line. Average loss: no trial below one half."""
    checks = []
    for result in by_panel(results, f"random{suffix}"):
        name = result.curve.learner
        if name in META_LEARNERS:
            checks.append((LEARNER_TITLES[name], end(result) <= CONVERGED_BELOW and straightness(result) >= STRAIGHT))
        else:
            least = float(np.nanmin(result.dist))
            checks.append((LEARNER_TITLES[name], least >= NOT_APPROACHED))
    return Replication(tuple(checks))


def section_6_replication(results: list[CurveResult], suffix: str) -> Replication:
    """Each meta-learner: the median at the end is the larger the smaller μ, and no trial diverges."""
    checks = []
    for name in META_LEARNERS:
        curves = by_panel(results, f"{name}{suffix}")
        sound = not any(outcome is Outcome.DIVERGED for curve in curves for outcome in curve.outcomes)
        checks.append((LEARNER_TITLES[name], sound and rising([end(curve) for curve in curves])))
    return Replication(tuple(checks))


def figure_4_replication(results: list[CurveResult], suffix: str) -> Replication:
    """Each meta-learner: from balanced and from orthonormal starts the median at the end rises with dist_0.

    And heads twice as large are ahead of N(0, I) at the end, a weaker direction behind, by a factor of 2 or more.
    """
    checks = []
    for name in META_LEARNERS:
        starts = by_panel(results, f"start-{name}{suffix}")
        for kind in ("balanced", "orthonormal"):
            own = [end(curve) for curve in starts if curve.curve.label.startswith(kind)]
            checks.append((f"{LEARNER_TITLES[name]} from {kind} starts", rising(own)))
        ends = {curve.curve.label: end(curve) for curve in by_panel(results, f"heads-{name}{suffix}")}
        base = ends["N(0, I)"]
        faster, slower = ends["N(0, 4 I)"] * AHEAD <= base, ends["N(0, diag(1, 1, 1/4))"] >= AHEAD * base
        checks.append((f"{LEARNER_TITLES[name]} with other heads", faster and slower))
    return Replication(tuple(checks))


CRITERIA: dict[str, tuple[Callable[[list[CurveResult], str], Replication], str]] = {
    "figure-1": (
        figure_1_replication,
        r"each meta-learner's median distance comes to $10^{-6}$, along a straight line in the logarithm "
        rf"($R^2 \ge {STRAIGHT:g}$), and no trial of average loss comes below ${NOT_APPROACHED:g}$",
    ),
    "section-6": (
        section_6_replication,
        r"for each meta-learner the median distance at the end is the larger the smaller $\mu$ is, and no trial "
        r"diverges",
    ),
    "figure-4": (
        figure_4_replication,
        r"for each meta-learner the median distance at the end rises with $\mathrm{dist}_0$, from starts of either "
        "scale, and compared with heads $N(0, I)$ larger heads end nearer and a weaker direction ends farther, by a "
        f"factor of ${AHEAD:g}$ or more",
    ),
}
"""How it is decided whether an experiment replicates, and that in words."""


def replications(runs: Runs) -> dict[tuple[str, str], Replication]:
    """By (experiment, suffix of its panels), for all that were run."""
    return {
        (name, suffix): CRITERIA[name][0](results, suffix) for name, results in runs.items() for suffix, _ in VARIANTS
    }
