"""Average loss: the baseline, for one dimension and for more."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from metarep.reports.chapters.boundaries.common import Array, BoundarySize, stream
from metarep.reports.page.charts import Chart, as_panel
from metarep.reports.page.markup import at_least, at_most
from metarep.reports.page.style import SERIES, log_axis, lowest_shown
from metarep.sim.learners import LEARNERS
from metarep.sim.problems import make_problem
from metarep.sim.trajectories import run
from metarep.theory.dynamics.rates import average_loss_rate

BASELINE_KS = (1, 2, 5)


@dataclass(frozen=True, eq=False)
class BaselineRuns:
    """Average loss for one k: ``dist`` (T, trials) from balanced starts, for k = 1 the predicted rates (trials,).

    ``bound`` (trials,) is σ_2(B_{*⊥}ᵀB̂_0), which it cannot pass; None for k = 1.
    """

    k: int
    steps: Array
    dist: Array
    bound: Array | None
    rate: Array | None


def baseline_runs(seed: int, size: BoundarySize) -> list[BaselineRuns]:
    """Average loss on fixed tasks with heads N(e_1, I), n = 20, d = 100, balanced starts at dist_0 = 0.9, other sines
    uniform below.
    """
    found, alpha, beta, steps, trials, n = [], 0.3, 0.05, 2000, 5, 20
    for k in BASELINE_KS:
        rng = stream(seed, f"baseline {k}")
        problem = make_problem(
            100, k, n, alpha, rng, dist0=0.9, trials=(trials,), head_mean=np.eye(k)[0], angles="largest"
        )
        seen = run(LEARNERS["average-loss"], problem, alpha, beta, steps, record_every=20)
        sines = np.linalg.svd(np.sqrt(alpha) * problem.B0[..., k:, :], compute_uv=False)
        eta = np.linalg.norm(problem.tasks(0).mean(-1), axis=-1)
        rate = np.array([average_loss_rate(float(value), alpha, beta) for value in eta]) if k == 1 else None
        found.append(BaselineRuns(k, seen.steps, seen.dist, sines[:, 1] if k > 1 else None, rate))
    return found


def baseline_chart(runs: list[BaselineRuns]) -> Chart:
    """Average loss for several k, a panel each: dist of the trials, and what bounds it."""
    panels = tuple((f"baseline-{r.k}", _baseline_panel(r)) for r in runs)
    parts = []
    for r in runs:
        if r.rate is not None:
            parts.append(
                f"$k = {r.k}$: all come below {at_most(float(r.dist.min(0).max()))}, at the predicted rate (dotted)"
            )
        elif r.bound is not None:
            parts.append(
                f"$k = {r.k}$: none below {at_least(r.dist.min(), 3)}, every trial above its own bound "
                rf"$\sigma_2(B_{{*\perp}}^\top\hat B_0)$ (dotted), by {at_least((r.dist.min(0) - r.bound).min(), 3)} "
                rf"or more"
            )
    caption = (
        r"Average loss from balanced starts at $\mathrm{dist}_0 = 0.9$, fixed tasks with heads $N(e_1, I)$, $n = 20$, "
        f"$d = 100$. {'; '.join(parts)}."
    )
    alt = (
        "Three panels of distance against outer step: for k = 1 straight lines fall as predicted, for k = 2 and 5 the "
        "distance stays above its bounds."
    )
    rows = [
        (r.k, int(step), trial, float(f"{r.dist[i, trial]:.6g}"), "" if r.bound is None else float(r.bound[trial]))
        for r in runs
        for trial in range(r.dist.shape[1])
        for i, step in enumerate(r.steps)
    ]
    return Chart("baseline", panels, alt, caption, ("k", "step", "trial", "dist", "bound"), rows)


@as_panel
def _baseline_panel(axes: Any, runs: BaselineRuns) -> None:
    for trial in range(runs.dist.shape[1]):
        colour = SERIES[trial]
        axes.plot(
            runs.steps, np.where(runs.dist[:, trial] > 0, runs.dist[:, trial], np.nan), color=colour, linewidth=1.2
        )
        if runs.bound is not None:
            axes.axhline(runs.bound[trial], color=colour, linestyle=(0, (1, 1.6)), linewidth=1.2)
        elif runs.rate is not None:
            half = len(runs.steps) // 2
            line = runs.dist[half, trial] * runs.rate[trial] ** (runs.steps - runs.steps[half])
            axes.plot(runs.steps, line * 0.5, color=colour, linestyle=(0, (1, 1.6)), linewidth=1.2)
    if runs.k == 1:
        log_axis(axes, lowest_shown(runs.dist, floor=1e-30))
    else:
        axes.set_ylim(0, 1)
    axes.set_xlim(0, runs.steps[-1])
    axes.set_xlabel("outer step")
    axes.set_ylabel("distance to the truth")
    axes.set_title(f"k = {runs.k}")
