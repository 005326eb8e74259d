"""The worked examples for a report: who learns, who does not, how fast. One table, one figure."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from metarep.reports.chapters.learners.records import LearnerRecord, learner_record
from metarep.reports.page.charts import Chart, thinned
from metarep.reports.page.style import SERIES, log_axis, lowest_shown, mark_ends, new_figure, style
from metarep.reports.study.study import STARTS, TITLES, Learns, Study, start_name

HEADER = ("learner", "learns", "symbolic", "empirical", "relative error", "why")
"""Columns of the table."""


@dataclass(frozen=True, eq=False)
class Studied:
    """What the chapter shows of a study: its record, and dist of the nearest run with what became of it. (A study
    itself is too large to hand around.)
    """

    record: LearnerRecord
    steps: np.ndarray
    dist: np.ndarray
    outcome: np.ndarray

    @property
    def title(self) -> str:
        """How tables and figures call the learner."""
        return TITLES.get(self.record.learner, self.record.learner)

    @property
    def learns(self) -> bool:
        """Whether it learns, and stays."""
        return self.record.learns == Learns.YES.value

    @property
    def row(self) -> tuple[str, ...]:
        """Its row of the table, all text."""
        at = self.record
        numbers = _number(at.symbolic, ".6f"), _number(at.empirical, ".6f"), _number(at.relative_error, ".1e")
        return self.title, at.learns, *numbers, at.reason


def studied(result: Study) -> Studied:
    """What the chapter shows of this study."""
    seen = result.trajectory
    return Studied(learner_record(result), seen.steps, seen.dist[:, 0], seen.outcome[:1])


def examples_chart(examples: Sequence[Studied]) -> Chart:
    """dist of every example from its nearest start; the data have some of the steps, to six digits, and nothing once a
    run has diverged.
    """
    learned, others = ([each.title for each in examples if each.learns == learns] for learns in (True, False))
    rows = [
        (each.record.learner, each.record.learns, step, float(f"{dist:.6g}") if np.isfinite(dist) else "")
        for each in examples
        for i, step in thinned(each.steps)
        for dist in (each.dist[i],)
    ]
    return Chart(
        "who-learns",
        (("who-learns", draw_examples(examples)),),
        f"Distance to the truth against outer steps: {', '.join(learned)} fall; {', '.join(others)} do not, or do not "
        "stay.",
        "Every worked example from its nearest start, on the same fixed tasks.",
        ("learner", "learns", "step", "dist"),
        rows,
    )


def _number(value: float | None, form: str) -> str:
    return "none" if value is None else format(value, form)


def draw_examples(examples: Sequence[Studied]) -> Figure:
    """dist of every example from its nearest start, one panel for those that learn and one for those that do not."""
    with style():
        figure = new_figure(7.2, 3.6)
        panels = figure.subplots(1, 2, sharey=True)
        for axes, learns, title in zip(panels, (True, False), ("learn", "do not learn, or not stay"), strict=True):
            shown = [(i, each) for i, each in enumerate(examples) if each.learns == learns]
            for place, (i, each) in enumerate(shown):
                axes.plot(
                    each.steps,
                    np.where(each.dist > 0, each.dist, np.nan),
                    color=SERIES[i % len(SERIES)],
                    linestyle=("solid", (0, (5, 3)), (0, (1, 1.2)))[place % 3],
                    linewidth=2.6 - 0.25 * place,
                    label=each.title,
                )
            for i, each in shown:
                mark_ends(axes, each.steps, each.dist[:, None], each.outcome, SERIES[i % len(SERIES)])
            axes.set_title(f"They {title}")
            axes.set_xlabel("outer step")
            axes.legend(fontsize=7.5)
        log_axis(panels[0], lowest_shown(*(each.dist for each in examples), floor=1e-60))
        panels[0].set_ylabel("dist")
    return figure


def draw_study(result: Study) -> Figure:
    """dist of one learner's runs, a colour for each group of starts, and the predicted slope."""
    with style():
        figure = new_figure(6.4, 3.8)
        axes = figure.subplots()
        steps, trials = result.trajectory.steps, result.settings.trials
        for group, dist0 in enumerate(STARTS):
            runs = result.trajectory.dist[:, group * trials : (group + 1) * trials]
            lines = axes.plot(steps, np.where(runs > 0, runs, np.nan), color=SERIES[group], linewidth=1.1)
            lines[0].set_label(start_name(dist0))
            ends = result.trajectory.outcome[group * trials : (group + 1) * trials]
            mark_ends(axes, steps, runs, ends, SERIES[group])
        if result.symbolic is not None:
            end = int(np.flatnonzero(np.isfinite(result.trajectory.dist[:, 0]))[-1])
            last = float(result.trajectory.dist[end, 0])
            half = steps >= steps[end] / 2
            predicted = np.log10(last) + (steps - steps[end]) * np.log10(result.symbolic)
            axes.plot(
                steps[half],
                10.0 ** (predicted[half] - 2),
                "--",
                color="#8b8f97",
                label="predicted slope",
                linewidth=1.2,
            )
        log_axis(axes, lowest_shown(result.trajectory.dist, floor=1e-300))
        axes.set_xlabel("outer step")
        axes.legend()
        title = TITLES.get(result.learner.name, result.learner.name)
        axes.set_title(f"{title}: distance to the ground truth")
    return figure
