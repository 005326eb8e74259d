"""The report's chapter on the paper's experiments: what the paper says of each and what is seen.

Whether that replicates is computed by a stated criterion, under either of the choices that the paper leaves open.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from metarep.reports.chapters.experiments.figures import by_panel
from metarep.reports.page import blocks as b
from metarep.reports.page import style as figures
from metarep.reports.page.charts import Chart
from metarep.reports.page.markup import LEARNER_TITLES, power
from metarep.sim.experiments import CurveResult, Experiment, get_experiment, run_experiment
from metarep.sim.learners import META_LEARNERS
from metarep.sim.trajectories import CONVERGED_BELOW, Outcome

CHAPTER_EXPERIMENTS = ("section-6", "figure-4")
"""Run for this chapter; Figure 1 has a section of its own, whose runs are used here."""
VARIANTS = (("", "fresh tasks"), ("-fixed", "fixed tasks"))
STRAIGHT = 0.98
"""Least R² of a line through log dist for a fall to count as exponential."""
NOT_APPROACHED = 0.5
"""Distance that average loss must stay above in every trial."""
AHEAD = 2.0
"""Factor between two median distances at the end that counts as a difference."""


def experiment_jobs(seed: int) -> list[tuple[tuple[str, ...], Callable[..., Any], tuple[Any, ...]]]:
    """(key, function, arguments) of the experiments, some 3 and 6 s on one core."""
    return [(("experiment", name), run_named, (name, seed)) for name in reversed(CHAPTER_EXPERIMENTS)]


def run_named(name: str, seed: int) -> list[CurveResult]:
    """An experiment by its name."""
    return run_experiment(get_experiment(name), seed)


# --- whether it replicates --------------------------------------------------------------------------------------------


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
    middle = figures.middle(result.dist)
    below = np.flatnonzero(middle <= 0.1)
    if below.size == 0:
        return 0.0
    kept = slice(below[0], None)
    x, y = result.steps[kept].astype(float), np.log(np.maximum(middle[kept], 1e-300))
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


def replications(runs: dict[str, list[CurveResult]]) -> dict[tuple[str, str], Replication]:
    """By (experiment, suffix of its panels), for all that were run."""
    return {
        (name, suffix): CRITERIA[name][0](results, suffix) for name, results in runs.items() for suffix, _ in VARIANTS
    }


# --- figures ----------------------------------------------------------------------------------------------------------

SHOWN_POINTS = 120


def curves_chart(experiment: Experiment, results: list[CurveResult], kind: str, suffix: str) -> Chart:
    """Medians over the trials, a panel a learner; ``kind`` is the panels' prefix ('start', 'heads' or nothing)."""
    words = {"": "", "start": ", by start", "heads": ", by heads"}[kind]
    tasks = dict(VARIANTS)[suffix]
    name = "-".join(part for part in (experiment.name, kind) if part) + suffix
    groups = {
        learner: by_panel(results, f"{kind}-{learner}{suffix}" if kind else f"{learner}{suffix}")
        for learner in META_LEARNERS
    }
    lowest = figures.lowest_shown(*(figures.middle(r.dist) for group in groups.values() for r in group), floor=1e-16)
    panels, rows = [], []
    for learner, group in groups.items():
        panels.append((f"{name}-{learner}", _curves_panel(learner, group, lowest, kind)))
        rows += [
            (learner, r.curve.label, int(r.steps[i]), float(f"{value:.6g}"))
            for r in group
            for i, value in zip(_thin(r), figures.middle(r.dist)[_thin(r)], strict=True)
            if np.isfinite(value)
        ]
    first = groups[META_LEARNERS[0]][0].curve.setting
    gone = [
        f"{(r.diverged_at >= 0).sum()} of {r.diverged_at.size} of {LEARNER_TITLES[learner]}, {r.curve.label}"
        for learner, group in groups.items()
        for r in group
        if (r.diverged_at >= 0).any()
    ]
    caption = (
        rf"Median distance over {first.trials} trials{words}: $d = {first.d}$, $k = n = {first.k}$, $\alpha = \beta = "
        rf"{first.alpha:g}$, {tasks}. " + (f"Diverged: {_plain('; '.join(gone))}." if gone else "No trial diverges.")
    )
    alt = (
        f"Four panels, one for each meta-learner, of the median distance against outer step with {tasks}; at the end "
        f"it lies between {_span(groups)}."
    )
    return Chart(name, tuple(panels), alt, caption, ("learner", "curve", "step", "median dist"), rows)


def _plain(text: str) -> str:
    return text.replace("_", "")


def _span(groups: dict[str, list[CurveResult]]) -> str:
    ends = [end(r) for group in groups.values() for r in group]
    return f"{min(ends):.1e} and {max(ends):.1e}"


def _thin(result: CurveResult) -> np.ndarray:
    return np.unique(np.linspace(0, len(result.steps) - 1, SHOWN_POINTS).round().astype(int))


def _curves_panel(learner: str, group: list[CurveResult], lowest: float, kind: str) -> Any:
    with figures.style():
        figure = figures.new_figure(3.9, 4.1 if kind else 3.7)
        axes = figure.subplots()
        for place, result in enumerate(group):
            kept = _thin(result)
            middle = figures.middle(result.dist)[kept]
            # Starts: one colour for each distance, dashes for the other scale.
            colour = figures.SERIES[place % 4 if kind == "start" else place]
            dash = (0, (3, 2)) if kind == "start" and place >= 4 else "solid"
            axes.plot(
                result.steps[kept], np.where(middle > 0, middle, np.nan), color=colour, linestyle=dash, linewidth=1.5,
                label=result.curve.label.replace("dist_0 = ", ""),
            )  # fmt: skip
            finite = np.flatnonzero(np.isfinite(middle) & (middle > lowest))
            if (result.diverged_at >= 0).all() and finite.size:
                axes.plot(result.steps[kept][finite[-1]], middle[finite[-1]], "x", color=colour, markeredgewidth=2)
        figures.log_axis(axes, lowest)
        last = int(group[0].steps[-1])
        axes.set_xlim(0, last)
        axes.set_xticks(range(0, last + 1, max(1, last // 4)))
        axes.set_xlabel("outer step")
        axes.set_ylabel("dist(B, B$_*$)")
        axes.set_title(LEARNER_TITLES[learner])
        figure.legend(*_labels(axes), loc="outside lower center", ncols=2 if kind else 3, fontsize=8, columnspacing=1.2)
    return figure


def _labels(axes: Any) -> tuple[list[Any], list[str]]:
    handles, labels = axes.get_legend_handles_labels()
    return handles, [label.replace("e_1", "e$_1$") for label in labels]


# --- the chapter ------------------------------------------------------------------------------------------------------


def experiments_section(runs: dict[str, list[CurveResult]], seed: int) -> b.Section:
    """The chapter; ``runs`` by experiment, Figure 1's among them."""
    found = replications(runs)
    rows = []
    for name in runs:
        cells = [found[name, suffix].verdict for suffix, _ in VARIANTS]
        link = f"[{_short(name)}](#{'figure-1' if name == 'figure-1' else f'experiment-{name}'})"
        rows.append((link, get_experiment(name).finding, *cells))
    table = b.Table(
        ("experiment", "what the paper says, in our words", *(words for _, words in VARIANTS)),
        tuple(rows),
        caption="Decided by the criterion stated with each; the paper does not say whether its tasks are drawn afresh.",
    )
    blocks: list[b.Block] = [
        b.Paragraph(
            "The paper states dimensions, step sizes and laws of the heads, and averages over 5 trials; it publishes "
            r"no code. What it leaves open decides much: with $n = k$ tasks that are kept, $\mu_*$ is that of one "
            "small sample of heads, and the same number of steps is far too few."
        ),
        table,
    ]
    if "figure-1" in runs:
        blocks += _judged("figure-1", found)
    sections = tuple(_experiment(name, runs[name], found, seed) for name in runs if name != "figure-1")
    return b.Section("experiments", "The paper's experiments", tuple(blocks), sections, "Experiments")


def _short(name: str) -> str:
    return {"figure-1": "Figure 1", "section-6": "Section 6", "figure-4": "Figure 4"}[name]


def _judged(name: str, found: dict[tuple[str, str], Replication]) -> list[b.Block]:
    """The criterion and what it gives."""
    lines = [
        f"With {words}: {found[name, suffix].verdict}"
        + (f"; not so: {found[name, suffix].missing}." if found[name, suffix].missing else ".")
        for suffix, words in VARIANTS
    ]
    return [
        b.Paragraph(f"{_short(name)} replicates if {CRITERIA[name][1]}."),
        b.Items(tuple(lines)),
    ]


def _experiment(
    name: str, results: list[CurveResult], found: dict[tuple[str, str], Replication], seed: int
) -> b.Section:
    experiment = get_experiment(name)
    kinds = ("start", "heads") if name == "figure-4" else ("",)
    fresh, fixed = (
        tuple(curves_chart(experiment, results, kind, suffix).picture() for kind in kinds) for suffix, _ in VARIANTS
    )
    return b.Section(
        f"experiment-{name}",
        experiment.title,
        (
            b.Paragraph(f"What the paper says: {experiment.finding[:1].lower()}{experiment.finding[1:]}"),
            *_judged(name, found),
            *_remarks(name, results),
            *fresh,
            b.Details("The same with fixed tasks", fixed),
            b.Details("What the paper leaves open, and our choices", (b.Items(experiment.choices),)),
            b.Code(f"metarep experiment {name} --seed {seed} --out figures"),
        ),
        short=_short(name),
    )


def _remarks(name: str, results: list[CurveResult]) -> tuple[b.Block, ...]:
    if name == "section-6":
        speeds = [
            (float(curve.curve.label.split("=")[1]), -np.log(end(curve)) / curve.steps[-1])
            for curve in by_panel(results, "anil")
        ]
        (most, fast), (least, slow) = speeds[0], speeds[-2]
        if slow > 0:
            return (
                b.Paragraph(
                    rf"Exact ANIL's mean exponent a step falls by a factor of {fast / slow:.1f} from $\mu = {most:g}$ "
                    rf"to $\mu = {least:g}$ (with fixed tasks and the start left behind it would be $\mu^{{-2}}$, "
                    f"{(most / least) ** 2:.1f})."
                ),
            )
        return ()
    moved = [curve for curve in by_panel(results, "heads-fo-maml") if (curve.diverged_at >= 0).any()]
    least = [float(np.nanmin(curve.dist)) for curve in moved]
    if not moved:
        return ()
    labels = ", ".join(
        f"{(c.diverged_at >= 0).sum()} of {c.diverged_at.size} trials with heads ${c.curve.label.replace(' ', '~', 1)}$"
        for c in moved
    )
    return (
        b.Paragraph(
            f"Fresh tasks do not save FO-MAML from a large mean: it diverges in {labels}, after distances down to "
            f"{power(min(least))} ([where the theory stops](#boundaries-fo-maml))."
        ),
    )


def replication_records(runs: dict[str, list[CurveResult]]) -> list[dict[str, Any]]:
    """The verdicts as the report's JSON has them."""
    return [
        {"experiment": name, "tasks": dict(VARIANTS)[suffix], "verdict": found.verdict, "checks": dict(found.checks)}
        for (name, suffix), found in replications(runs).items()
    ]
