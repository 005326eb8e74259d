"""The paper's experiments as figures and tables."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from metarep.reports.chapters.chapter import LearnerName, Size, Steps, Trials
from metarep.reports.page.charts import HEIGHT, thinned
from metarep.reports.page.markup import LEARNER_TITLES
from metarep.reports.page.output import as_csv
from metarep.reports.page.style import (
    COLOURS,
    ENVELOPE_COLOUR,
    INK,
    SERIES,
    column_figure,
    draw_trials,
    log_axis,
    lowest_shown,
    mark_ends,
    middle,
    new_figure,
    style,
)
from metarep.sim.experiments import CurveResult, Experiment, get_experiment, run_experiment
from metarep.sim.learners import META_LEARNERS
from metarep.sim.outcomes import Outcome, counted
from metarep.theory.dynamics.rates import envelope, initial_margin

Named = tuple[str, Figure]


def experiment_csv(results: list[CurveResult]) -> str:
    """Recorded distances: panel, curve, learner, step, trial, dist, and each trial's outcome; the envelope where a
    panel has one, as a curve without learner and trial. At most ``charts.CSV_RECORDS`` of a trial.
    """
    rows: list[tuple[Any, ...]] = [
        (
            r.panel,
            r.curve.label,
            r.curve.learner,
            int(step),
            trial,
            float(f"{r.dist[i, trial]:.6g}"),
            r.outcomes[trial].value,
        )
        for r in results
        for trial in range(r.dist.shape[1])
        for i, step in thinned(r.steps)
    ]
    for r in _with_envelope(results):
        bound = drawn_envelope(r)
        rows += [
            (r.panel, "envelope", "", int(step), "", float(f"{bound[step]:.6g}"), "") for _, step in thinned(r.steps)
        ]
    return as_csv(("panel", "curve", "learner", "step", "trial", "dist", "outcome"), rows)


def _with_envelope(results: list[CurveResult]) -> list[CurveResult]:
    """The first curve of every panel that has an envelope: its curves share the tasks."""
    first = {result.panel: result for result in reversed(results)}
    return [r for r in first.values() if r.diversity is not None and r.curve.setting.dist0 is not None]


@dataclass(frozen=True)
class CurveSummary:
    """Where the trials of one curve of an experiment ended."""

    panel: str
    """The panel; '-fixed' at its end: tasks are kept."""
    curve: str
    """The curve's label."""
    learner: LearnerName
    tasks: Literal["fixed", "fresh"]
    """Whether tasks are kept or drawn afresh at every step."""
    steps: Steps
    trials: Trials
    median_dist: float | None
    """Median distance at the end of the trials that did not diverge."""
    largest_dist: float | None
    """The largest."""
    smallest_dist: float | None
    """The smallest."""
    outcomes: dict[str, Size]
    """How many trials ended how."""

    @property
    def missed(self) -> int:
        """How many trials did not converge."""
        return self.trials - self.outcomes.get(Outcome.CONVERGED.value, 0)

    @property
    def misses(self) -> str:
        """How those ended, in words."""
        return ", ".join(f"{n} {outcome}" for outcome, n in self.outcomes.items() if outcome != Outcome.CONVERGED.value)


def summary(results: Iterable[CurveResult]) -> tuple[CurveSummary, ...]:
    """Per curve: the distances at the end and how many trials ended how."""
    rows = []
    for result in results:
        last, setting = result.dist[-1][np.isfinite(result.dist[-1])], result.curve.setting
        ends = (float(np.median(last)), float(last.max()), float(last.min())) if last.size else (None, None, None)
        outcomes = counted(result.outcomes)
        fixed = (result.panel, result.curve.label, result.curve.learner, setting.tasks, setting.steps, setting.trials)
        rows.append(CurveSummary(*fixed, *ends, outcomes))
    return tuple(rows)


def run_named(name: str, seed: int, steps: int | None = None) -> list[CurveResult]:
    """An experiment by its name, with so many steps if they are given."""
    experiment = get_experiment(name)
    if steps is not None:
        panels = tuple(
            replace(panel, curves=tuple(replace(c, setting=replace(c.setting, steps=steps)) for c in panel.curves))
            for panel in experiment.panels
        )
        experiment = replace(experiment, panels=panels)
    return run_experiment(experiment, seed)


def experiment_figures(experiment: Experiment, results: list[CurveResult], column: bool = False) -> list[Named]:
    """The figures of an experiment by file name, with tasks drawn afresh and with tasks kept. Figure 1 is as wide as a
    page with its panels in one row, or (``column``) each panel is as wide as a column, as the others' figures are.
    """
    kinds = list(dict.fromkeys(_kind(p.name) for p in experiment.panels))
    found: list[Named] = []
    for suffix in ("", "-fixed"):
        if experiment.name == "figure-1":
            whole = f"figure-1{suffix}"
            one_row = [] if column else [(whole, _figure_1(experiment, results, suffix))]
            found += one_row or figure_1_panels(experiment, results, suffix)
        else:
            found += [
                ("-".join(part for part in (experiment.name, kind) if part) + suffix, figure)
                for kind in kinds
                for figure in (_by_curve(experiment, results, kind, suffix),)
            ]
    return found


# --- Figure 1


def envelopes(result: CurveResult) -> np.ndarray:
    """The paper's envelope along a curve's tasks, (steps + 1, trials): the product of the steps' own factors."""
    setting = result.curve.setting
    if result.diversity is None or setting.dist0 is None:
        raise ValueError(f"panel {result.panel!r} has no envelope; allowed: one run with diversity and dist0")
    margin = initial_margin(setting.dist0)
    factors = 1 - 0.5 * setting.alpha * setting.beta * margin * result.diversity
    return np.stack([envelope(column) for column in factors.T], axis=1)


def drawn_envelope(result: CurveResult) -> np.ndarray:
    """The trials' envelopes as one line, (steps + 1,): their geometric mean."""
    return np.exp(np.log(envelopes(result)).mean(1))


def looseness(result: CurveResult) -> float:
    """How many times faster than the envelope log dist falls from start to end, the median over the trials."""
    bound = envelopes(result)[result.steps[-1]]
    return float(np.median(np.log(result.dist[-1] / result.dist[0]) / np.log(bound)))


def by_panel(results: list[CurveResult], panel: str) -> list[CurveResult]:
    """The results of one panel, in its order."""
    return [result for result in results if result.panel == panel]


_FIGURE_1_PANELS = ("random", "envelope", "balanced")


def figure_1_panels(experiment: Experiment, results: list[CurveResult], suffix: str = "") -> list[Named]:
    """The three panels of Figure 1 as figures of their own, for pages that lay them out by the width there is."""
    panels = []
    for name in _FIGURE_1_PANELS:
        with column_figure(HEIGHT) as figure:
            axes = figure.subplots()
            _draw_panel(axes, experiment, results, name, suffix)
            axes.set_ylabel("distance to the truth")
        panels.append((f"figure-1-{name}{suffix}", figure))
    return panels


def _figure_1(experiment: Experiment, results: list[CurveResult], suffix: str) -> Figure:
    with style():
        figure = new_figure(11.2, 3.7)
        row = figure.subplots(1, 3, sharey=True)
        for axes, name in zip(row, _FIGURE_1_PANELS, strict=True):
            _draw_panel(axes, experiment, results, name, suffix)
        row[0].set_ylabel("distance to the truth")
    return figure


def _draw_panel(axes: Any, experiment: Experiment, results: list[CurveResult], name: str, suffix: str) -> None:
    group = by_panel(results, name + suffix)
    for place, result in enumerate(group):
        if name == "balanced":
            _draw_fates(axes, result)
            continue
        # First-order learners lie on their exact ones: dashes on top of full lines show both.
        order = 4.0 if result.curve.learner.startswith("fo-") else 3.0
        title = LEARNER_TITLES[result.curve.learner]
        draw_trials(axes, result.curve.learner, result.steps, result.dist, title, order + 0.01 * place)
    if name != "balanced":
        for result in group:  # after all lines, as legends are in that order
            mark_ends(axes, result.steps, result.dist, result.outcomes, COLOURS[result.curve.learner])
    lowest = lowest_shown(*(result.dist for result in results if result.panel.endswith("-fixed") == bool(suffix)))
    log_axis(axes, lowest)
    last = int(group[0].steps[-1])
    axes.set_xlim(0, last)
    axes.set_xticks(range(0, last + 1, 1000 if last > 1500 else 500))
    axes.set_xlabel("outer step")
    # From the edge of the ticks' labels: some titles are wider than the axes.
    axes.set_title(f"({'abc'[_FIGURE_1_PANELS.index(name)]}) {_panel_title(experiment, group[0].panel)}", x=-0.1)
    if name == "envelope":
        bounds = drawn_envelope(group[0])
        axes.plot(range(len(bounds)), bounds, color=ENVELOPE_COLOUR, linestyle=(0, (7, 2, 1.5, 2)), zorder=5)
        others = ", average loss" if any(r.curve.learner == "average-loss" for r in group) else ""
        axes.text(0.985 * last, bounds[-1] / 2.2, f"envelope{others}", ha="right", va="top")
        curve = middle(group[0].dist)
        if curve[-1] < 1e-3:  # they lie on each other: one label, where they are half way down
            half = int(np.argmin(np.abs(np.log(curve) - np.log(curve[-1]) / 2)))
            place, height = group[0].steps[half] + 0.03 * last, curve[half]
            axes.text(place, height, "the four\nmeta-learners", ha="left", va="bottom")
    if name == "random":
        axes.legend(loc="lower left")


def _draw_fates(axes: Any, result: CurveResult) -> None:
    """Trials that diverged apart from those that did not."""
    diverged = result.diverged_at >= 0
    shown = np.where(result.dist > 0, result.dist, np.nan)
    axes.plot(result.steps, shown[:, ~diverged], color=COLOURS[result.curve.learner], linewidth=1.1, alpha=0.85)
    axes.plot(result.steps, shown[:, diverged], color=INK, linewidth=0.7, alpha=0.55)
    mark_ends(axes, result.steps, result.dist, result.outcomes, INK)
    counts = f"{diverged.sum()} of {diverged.size} trials\ndiverge (×)"
    axes.text(0.04, 0.06, counts, transform=axes.transAxes, ha="left", va="bottom")


def _panel_title(experiment: Experiment, panel: str) -> str:
    return next(p.title for p in experiment.panels if p.name == panel)


# --- panels of curves


def curve_lines(group: list[CurveResult], kind: str) -> list[Line2D]:
    """How the curves of a panel are drawn, with their labels: starts have one colour for each distance, and dashes for
    the other scale.
    """
    four = kind == "start"
    return [
        Line2D(
            [], [], color=SERIES[place % 4 if four else place % len(SERIES)],
            linestyle=(0, (3, 2)) if four and place >= 4 else "solid", linewidth=1.5,
            label=result.curve.label.replace("dist_0 = ", "").replace("e_1", "e$_1$"),
        )
        for place, result in enumerate(group)
    ]  # fmt: skip


def _by_curve(experiment: Experiment, results: list[CurveResult], kind: str, suffix: str) -> Figure:
    """A panel a learner, in two rows that are a column wide; trials, and their medians by the curves' labels."""
    lowest = lowest_shown(*(result.dist for result in results))
    groups = [by_panel(results, f"{kind}-{name}{suffix}" if kind else f"{name}{suffix}") for name in META_LEARNERS]
    keys = curve_lines(groups[0], kind)
    columns = 2 if kind else 3
    with column_figure(3.5 + 0.17 * -(-len(keys) // columns)) as figure:
        grid = figure.subplots(2, 2, sharex=True, sharey=True)
        for axes, learner, group in zip(grid.flat, META_LEARNERS, groups, strict=True):
            for line, result in zip(curve_lines(group, kind), group, strict=True):
                shown = np.where(result.dist > 0, result.dist, np.nan)
                colour = str(line.get_color())
                axes.plot(result.steps, shown, color=colour, alpha=0.25, linewidth=0.5)
                axes.add_line(line)
                line.set_data(result.steps, middle(shown))
                mark_ends(axes, result.steps, result.dist, result.outcomes, colour)
            log_axis(axes, lowest)
            last = int(group[0].steps[-1])
            axes.set_xlim(0, last)
            axes.set_xticks([0, last // 2, last])
            axes.set_title(LEARNER_TITLES[learner])
        for axes in grid[-1]:
            axes.set_xlabel("outer step")
        figure.supylabel("distance to the truth", fontsize=8)
        figure.legend(handles=keys, loc="outside lower center", ncols=columns, columnspacing=1.4)
    return figure


def _kind(panel: str) -> str:
    """The part of a panel's name before the learner's: 'start', 'heads' or nothing."""
    return panel.split("-")[0] if panel.split("-")[0] in ("start", "heads") else ""
