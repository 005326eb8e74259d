"""Diversity and mean of the heads: what they cost in steps, and whom."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from metarep.reports.chapters.boundaries.common import Array, BoundarySize, exact_heads, stream
from metarep.reports.page import blocks as b
from metarep.reports.page.charts import Chart, as_panel, plain_log
from metarep.reports.page.markup import LEARNER_TITLES
from metarep.reports.page.style import COLOURS, DASHES, INK, WIDTHS
from metarep.sim.learners import LEARNERS, META_LEARNERS
from metarep.sim.outcomes import CONVERGED_BELOW
from metarep.sim.problems import FixedTasks, Problem, start
from metarep.sim.trajectories import run

HEADS_D, HEADS_K, HEADS_DIST0 = 100, 3, 0.6


@dataclass(frozen=True, eq=False)
class HeadLaws:
    """Steps until dist ≤ 1e-6 (nan: not within the run) by learner (learners, values), for heads with the moments of
    N(0, diag(1, ..., 1, μ²)) (``kind`` "diversity") or of N(m e_1, I) ("mean"), whether the run diverged later, and the
    prediction of the rate αβμ_*².
    """

    kind: str
    values: Array
    arrival: Array
    diverged: Array
    predicted: Array
    steps: int
    product: float


def head_laws(kind: str, seed: int, size: BoundarySize) -> HeadLaws:
    """All four meta-learners on the same start, one run a value."""
    k, alpha = HEADS_K, 0.3
    beta = 0.05 / alpha
    if kind == "diversity":
        values = np.geomspace(1.0, 0.25, size.line)
        deviations = np.concatenate([np.ones((values.size, k - 1)), values[:, None]], axis=1)
        heads, least = exact_heads(np.zeros((values.size, k)), deviations), values**2
    elif kind == "mean":
        values = np.linspace(0.0, 1.8, size.line)
        heads, least = exact_heads(values[:, None] * np.eye(k)[0], np.ones((values.size, k))), np.ones(values.size)
    else:
        raise ValueError(f"kind is {kind!r}; allowed: 'diversity', 'mean'")
    falls = np.log(HEADS_DIST0 / CONVERGED_BELOW)
    predicted = falls / -np.log1p(-alpha * beta * least)
    longest = int(1.3 * predicted.max())
    steps = min(longest, 2 * size.head_steps) if kind == "diversity" else size.head_steps
    B0 = start("balanced", HEADS_D, k, alpha, stream(seed, "heads"), HEADS_DIST0)
    every, arrival, diverged = 5, [], []
    for name in META_LEARNERS:
        problem = Problem(HEADS_D, np.eye(2 * k, k), FixedTasks(heads), B0, np.zeros(k), 2 * k)
        seen = run(LEARNERS[name], problem, alpha, beta * np.ones(values.size), steps, record_every=every)
        reached = seen.dist <= CONVERGED_BELOW
        arrival.append(np.where(reached.any(0), seen.steps[reached.argmax(0)], np.nan))
        diverged.append(seen.diverged)
    return HeadLaws(kind, values, np.array(arrival), np.array(diverged), predicted, steps, alpha * beta)


def heads_chart(diversity: HeadLaws, mean: HeadLaws) -> Chart:
    """Steps to the truth against the weight of the least direction and against the mean of the heads."""
    panels = (("heads-diversity", _heads_panel(diversity)), ("heads-mean", _heads_panel(mean)))
    slope = _slope(diversity)
    gone = [float(mean.values[i]) for i in np.flatnonzero(mean.diverged[META_LEARNERS.index("fo-maml")])]
    caption = (
        r"Steps until $\mathrm{dist} \le 10^{-6}$ from balance at $\mathrm{dist}_0 = 0.6$, $k = 3$, fixed tasks, "
        rf"$\alpha\beta = {diversity.product:g}$; grey: the rate $1 - \alpha\beta\mu_*^2$ alone. (a) Heads with the "
        rf"moments of $N(0, \mathrm{{diag}}(1, 1, \mu^2))$: steps grow as $\mu^{{{slope:.2f}}}$. (b) Of $N(m e_1, "
        r"I)$, which leaves $\mu_*$ as it is"
        + (
            rf"; crosses: FO-MAML diverges within {mean.steps} steps, from $m = {min(gone):g}$ on."
            if gone
            else f"; no run diverges within {mean.steps} steps."
        )
    )
    alt = (
        "Two panels of steps needed. Against task diversity the four meta-learners lie on one line of slope minus two; "
        "against the heads' mean they stay level, but FO-MAML diverges beyond mean 1."
    )
    rows = [
        (
            law.kind,
            name,
            float(value),
            "" if np.isnan(law.arrival[i, j]) else int(law.arrival[i, j]),
            bool(law.diverged[i, j]),
        )
        for law in (diversity, mean)
        for i, name in enumerate(META_LEARNERS)
        for j, value in enumerate(law.values)
    ]
    return Chart("heads", panels, alt, caption, ("panel", "learner", "value", "steps", "diverged later"), rows)


def _slope(law: HeadLaws) -> float:
    """Exponent of the steps needed in μ, over all learners."""
    x = np.log(law.values)
    slopes = [np.polyfit(x[np.isfinite(row)], np.log(row[np.isfinite(row)]), 1)[0] for row in law.arrival]
    return float(np.mean(slopes))


@as_panel
def _heads_panel(axes: Any, law: HeadLaws) -> None:
    axes.plot(law.values, law.predicted, color=INK, alpha=0.3, linewidth=5, solid_capstyle="butt")
    for place, name in enumerate(META_LEARNERS):
        colour = COLOURS[name]
        axes.plot(
            law.values, law.arrival[place], color=colour, linestyle=DASHES[name],
            linewidth=WIDTHS.get(name, 1.7), label=LEARNER_TITLES[name],
        )  # fmt: skip
        gone = law.diverged[place]
        level = np.where(np.isfinite(law.arrival[place]), law.arrival[place], law.predicted)
        axes.plot(law.values[gone], level[gone], "x", color=colour, markersize=7, markeredgewidth=2)
    axes.set_ylabel("steps to distance 10$^{-6}$")
    if law.kind == "diversity":
        axes.set_xscale("log")
        axes.set_yscale("log")
        plain_log(axes.xaxis, [0.25, 0.5, 1.0])
        plain_log(axes.yaxis, [300.0, 1000.0, 3000.0])
        axes.set_xlabel("least diversity of the heads, μ")
        axes.set_title("(a) Weight of the least direction")
        axes.legend(loc="upper right")
    else:
        axes.set_ylim(0, 1.6 * float(np.nanmax(law.arrival)))
        axes.set_xlabel("length of the heads' mean, m")
        axes.set_title("(b) Mean of the heads")


def heads_section(diversity: HeadLaws, mean: HeadLaws) -> b.Section:
    """What they cost."""
    return b.Section(
        "boundaries-heads",
        "Diversity and mean of the heads",
        (
            b.Paragraph(
                r"The rate knows of the heads only $\mu_*$, their least represented direction. A mean costs the ANILs "
                "nothing, Exact MAML little, and FO-MAML its stability. The paper's own experiment on diversity, with "
                "fresh tasks, is among [its experiments](#experiments)."
            ),
            heads_chart(diversity, mean).picture(),
        ),
    )
