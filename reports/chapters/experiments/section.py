"""The report's chapter on the paper's experiments: what the paper says of each and what is seen.

Whether that replicates is computed by a stated criterion, under either of the choices that the paper leaves open.
"""

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np

from metarep.reports.chapters.chapter import Chapter, Job, ReportProfile, Results
from metarep.reports.chapters.experiments.figure_1 import KEY
from metarep.reports.chapters.experiments.figure_1 import NAME as FIGURE_1
from metarep.reports.chapters.experiments.figures import CurveSummary, by_panel, curve_lines, run_named, summary
from metarep.reports.chapters.experiments.replication import CRITERIA, VARIANTS, Replication, Runs, end, replications
from metarep.reports.page import blocks as b
from metarep.reports.page.charts import Chart, as_panel, key_panel
from metarep.reports.page.markup import LEARNER_TITLES, power
from metarep.reports.page.style import log_axis, lowest_shown, mark_ends, middle
from metarep.sim.experiments import CurveResult, Experiment, get_experiment
from metarep.sim.learners import META_LEARNERS
from metarep.sim.outcomes import Outcome

NAME = "experiments"
"""A profile's size of this chapter: fewer steps than the experiments', which only tests want, or None."""
EXPERIMENTS = ("section-6", "figure-4")
"""Run for this chapter; Figure 1 has a section of its own, whose runs are used here."""


@dataclass(frozen=True)
class ReplicationRecord:
    """Whether an experiment replicates, by the criterion that the page states."""

    experiment: str
    """The experiment."""
    tasks: str
    """The choice that the paper leaves open: fresh or fixed tasks."""
    verdict: str
    """In words."""
    checks: dict[str, bool]
    """What was looked at, and whether it is as the paper says."""


def experiment_jobs(profile: ReportProfile, seed: int) -> list[Job]:
    """The experiments, some 3 and 6 s on one core."""
    return [(("experiment", name), run_named, (name, seed, profile.sizes[NAME])) for name in reversed(EXPERIMENTS)]


def runs_of(results: Results) -> Runs:
    """The experiments that were run, Figure 1 first."""
    parts = results.parts
    if KEY not in parts:
        return {}
    return {FIGURE_1: parts[KEY], **{n: parts["experiment", n] for n in EXPERIMENTS if ("experiment", n) in parts}}


# --- figures

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
    lowest = lowest_shown(*(middle(r.dist) for group in groups.values() for r in group), floor=1e-16)
    panels: list[tuple[str, Any]] = []
    rows = []
    for learner, group in groups.items():
        panels.append((f"{name}-{learner}", _curves_panel(learner, group, lowest, kind)))
        rows += [
            (learner, r.curve.label, int(r.steps[i]), float(f"{value:.6g}"))
            for r in group
            for i, value in zip(_thin(r), middle(r.dist)[_thin(r)], strict=True)
            if np.isfinite(value)
        ]
    panels.append(key_panel(name, curve_lines(groups[META_LEARNERS[0]], kind), 2 if kind else 3))
    first = groups[META_LEARNERS[0]][0].curve.setting
    gone, blind = (
        "; ".join(
            f"{(r.outcomes == outcome).sum()} of {r.outcomes.size} of {LEARNER_TITLES[learner]}, {r.curve.label}"
            for learner, group in groups.items()
            for r in group
            if (r.outcomes == outcome).any()
        )
        for outcome in (Outcome.DIVERGED, Outcome.BLIND)
    )
    caption = (
        rf"Median distance over {first.trials} trials{words}: $d = {first.d}$, $k = n = {first.k}$, $\alpha = \beta = "
        rf"{first.alpha:g}$, {tasks}. "
        + (f"Diverged: {_plain(gone)}." if gone else "No trial diverges.")
        + (
            f" Ended [blind](#figure-1-blind): {_plain(blind)}; ○ where at least half of a curve's did."
            if blind
            else ""
        )
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


@as_panel
def _curves_panel(axes: Any, learner: str, group: list[CurveResult], lowest: float, kind: str) -> None:
    for line, result in zip(curve_lines(group, kind), group, strict=True):
        kept = _thin(result)
        median = middle(result.dist)[kept]
        axes.add_line(line)
        line.set_data(result.steps[kept], np.where(median > 0, median, np.nan))
        shown = np.where(median > lowest, median, np.nan)[:, None]
        mark_ends(axes, result.steps[kept], shown, _ends(result), str(line.get_color()))
    log_axis(axes, lowest)
    last = int(group[0].steps[-1])
    axes.set_xlim(0, last)
    axes.set_xticks(range(0, last + 1, max(1, last // 4)))
    axes.set_xlabel("outer step")
    axes.set_ylabel("distance to the truth")
    axes.set_title(LEARNER_TITLES[learner])


def _ends(result: CurveResult) -> np.ndarray:
    """What a curve of medians is marked with, (1,): the outcome of at least half of its trials; diverged of all."""
    counts = Counter(result.outcomes)
    most, count = counts.most_common(1)[0]
    enough = count == result.outcomes.size if most is Outcome.DIVERGED else 2 * count >= result.outcomes.size
    return np.array([most if enough else None])


# --- the chapter


def experiments_section(results: Results) -> b.Section | None:
    """The chapter, Figure 1's runs judged with the others; None where those were not run."""
    runs = runs_of(results)
    if len(runs) <= 1:
        return None
    found = replications(runs)
    rows = []
    for name in runs:
        cells = [found[name, suffix].verdict for suffix, _ in VARIANTS]
        link = f"[{_short(name)}](#{name if name == FIGURE_1 else f'experiment-{name}'})"
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
    blocks += _judged(FIGURE_1, found)
    sections = tuple(_experiment(name, runs[name], found, results.seed) for name in runs if name != FIGURE_1)
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
    return [b.Paragraph(f"{_short(name)} replicates if {CRITERIA[name][1]}."), b.Items(tuple(lines))]


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
            b.Code(f"metarep experiment {name} --seed {seed} --out out/figures"),
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


def summaries(results: Results) -> dict[str, tuple[CurveSummary, ...]]:
    """The paper's experiments by name: where every curve ended."""
    return {name: summary(curves) for name, curves in runs_of(results).items()}


def replication_records(results: Results) -> tuple[ReplicationRecord, ...]:
    """By experiment and choice of tasks, whether it replicates."""
    runs = runs_of(results)
    return tuple(
        ReplicationRecord(name, dict(VARIANTS)[suffix], found.verdict, dict(found.checks))
        for (name, suffix), found in (replications(runs) if len(runs) > 1 else {}).items()
    )


CHAPTER = Chapter(
    experiments_section,
    name=NAME,
    sizes=dict.fromkeys(("quick", "full")),
    jobs=experiment_jobs,
    record={"experiments": summaries, "replications": replication_records},
)
