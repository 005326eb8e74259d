"""The scale of the start, and points of zero loss that know nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from metarep.reports.chapters.boundaries.common import Array, BoundarySize, stable_limits, stream
from metarep.reports.chapters.claims.records import ClaimRecord, measured, mention
from metarep.reports.page import blocks as b
from metarep.reports.page.charts import BAD, BLIND, GOOD, ON_FILL, OTHER, Chart, as_panel, fill_key
from metarep.reports.page.markup import LEARNER_TITLES
from metarep.sim.learners import get_learner
from metarep.sim.outcomes import Outcome, enough_records
from metarep.sim.problems import FixedTasks, Problem, make_problem
from metarep.sim.shares import Share
from metarep.sim.trajectories import run

SCALE_D, SCALE_K, SCALE_N, SCALE_STEP = 100, 5, 10, 0.1
SCALES = (0.1, 0.18, 0.32, 0.56, 1.0, 1.5)
"""√α‖B_0‖: 1 is balanced, √α = 0.32 orthonormal."""
ENDS = ("learned", "blind", "neither", "diverged")


@dataclass(frozen=True, eq=False)
class ScaleRuns:
    """``ends`` (scales, trials) of ``ENDS``, for those that end blind the median of α‖w‖².

    ``unstable``: for how many draws of the heads the truth is unstable at any step size (``stable_product``).
    """

    learner: str
    scales: Array
    ends: Array
    blind_head: float | None
    unstable: int
    steps: int

    def share(self, end: str) -> Array:
        """Share of the trials that end so, (scales,)."""
        return (self.ends == end).mean(-1)

    @property
    def smallest_blind(self) -> Share:
        """How many end blind from the smallest scale."""
        return Share.of(self.ends[0] == "blind")


def scale_runs(learner_name: str, seed: int, size: BoundarySize) -> ScaleRuns:
    """One learner from random subspaces at growing scales, fixed tasks with Ψ_* = I; the same starts for all."""
    learner, scales = get_learner(learner_name), np.array(SCALES)
    problem = make_problem(
        SCALE_D,
        SCALE_K,
        SCALE_N,
        SCALE_STEP,
        stream(seed, "scale"),
        spectrum=[1.0] * SCALE_K,
        trials=(size.scale_trials,),
    )
    shape = (scales.size, size.scale_trials)
    heads = np.broadcast_to(problem.tasks(0), (*shape, SCALE_K, SCALE_N))
    B0 = scales[:, None, None, None] * problem.B0
    here = Problem(SCALE_D, problem.B_star, FixedTasks(heads), B0, np.zeros((*shape, SCALE_K)), SCALE_N)
    every = enough_records(size.scale_steps)
    seen = run(learner, here, SCALE_STEP, SCALE_STEP, size.scale_steps, record_every=every)
    ends = np.full(shape, "neither", dtype=object)
    for outcome, end in ((Outcome.CONVERGED, "learned"), (Outcome.BLIND, "blind"), (Outcome.DIVERGED, "diverged")):
        ends[seen.outcome == outcome] = end
    lengths = SCALE_STEP * np.square(seen.w[seen.outcome == Outcome.BLIND]).sum(-1)
    middle = float(np.median(lengths)) if lengths.size else None
    unstable = stable_limits(learner, problem.tasks(0)[None], np.array([SCALE_STEP]))[1]
    return ScaleRuns(learner_name, scales, ends, middle, unstable, size.scale_steps)


_END_COLOURS = {"learned": GOOD, "blind": BLIND, "neither": OTHER, "diverged": BAD}


def scale_chart(runs: Sequence[ScaleRuns]) -> Chart:
    """Where runs from random subspaces end, by the scale of the start: bars, a panel a learner."""
    panels = tuple((f"scale-{r.learner}", _scale_panel(r)) for r in runs)
    first = runs[0]
    caption = (
        rf"Where {first.ends.shape[1]} runs from random subspaces end by the start's scale $\sqrt\alpha\|B_0\|$ ($1$ "
        r"is balanced, $0.32$ orthonormal): $d = 100$, $k = 5$, $n = 10$ fixed tasks with $\Psi_* = I$, $\alpha = "
        rf"\beta = 0.1$, {first.steps} steps. Thin lines: 95 % intervals of the share that learns. Blind: "
        f"{Outcome.BLIND.message}."
        + "".join(
            f" {LEARNER_TITLES[r.learner]}'s truth itself is unstable for {r.unstable} of these draws of heads."
            for r in runs
            if r.unstable
        )
    )
    alt = (
        "Four bar charts of outcomes against the scale of the start: both ANILs learn nearly everywhere, Exact MAML "
        "ends blind from small starts, FO-MAML diverges from small and from balanced ones."
    )
    rows = [
        (r.learner, float(scale), *(float(r.share(end)[place]) for end in ENDS))
        for r in runs
        for place, scale in enumerate(r.scales)
    ]
    panels = (*panels, fill_key("scale", [(_END_COLOURS[end], end) for end in ENDS]))
    return Chart("scale", panels, alt, caption, ("learner", "scale", *ENDS), rows)


@as_panel
def _scale_panel(axes: Any, runs: ScaleRuns) -> None:
    places, below = np.arange(runs.scales.size), np.zeros(runs.scales.size)
    for end in ENDS:
        share = runs.share(end)
        axes.bar(places, share, bottom=below, width=0.82, color=_END_COLOURS[end], linewidth=0)
        below += share
    learned = [Share.of(row == "learned") for row in runs.ends]
    ends = np.array([(each.value - each.interval[0], each.interval[1] - each.value) for each in learned]).T
    axes.errorbar(places, [each.value for each in learned], ends, fmt="none", color=ON_FILL, elinewidth=0.8, capsize=2)
    axes.set_xticks(places, [f"{scale:g}" for scale in runs.scales])
    axes.set_xlabel("scale of the start, √α‖B$_0$‖")
    axes.set_ylabel("share of runs")
    axes.set_ylim(0, 1)
    axes.set_title(LEARNER_TITLES[runs.learner])


def blind_section(claims: Sequence[ClaimRecord], scale: Sequence[ScaleRuns]) -> b.Section:
    """What the start's scale decides."""
    maml = next(r for r in scale if r.learner == "maml")
    found = measured(claims, "maml-ends-blind")
    seen = (
        rf" In the runs here that ended so the median of $\alpha\|w\|^2$ is {maml.blind_head:.4f}."
        if maml.blind_head is not None
        else ""
    )
    return b.Section(
        "boundaries-blind",
        "The start's scale, and Exact MAML's blind points",
        (
            b.Paragraph(
                r"Where $\alpha\|w\|^2 = 1$, one inner step of the representation alone solves any task, and $B_*$ is "
                f"not needed ({mention(claims, 'maml-blind-points')}). A small $B_0$ lets the head get there first "
                f"({mention(claims, 'maml-ends-blind')}).{seen} A random orthonormal start, our choice for [Figure "
                r"1](#figure-1), is smaller than balance by $\sqrt\alpha$."
            ),
            scale_chart(scale).picture(),
            *((b.Paragraph(f"Counted over more and longer runs: {found.why}."),) if found else ()),
        ),
    )
