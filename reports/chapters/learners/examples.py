"""The worked examples for a report: who learns, who does not, how fast. One table, one figure."""

from collections.abc import Iterable

import numpy as np
from matplotlib.figure import Figure

from metarep.reports.page.charts import Chart
from metarep.reports.page.style import SERIES, log_axis, lowest_shown, mark_ends, new_figure, style
from metarep.reports.study.study import STARTS, TITLES, Learns, Study, start_name

HEADER = ("learner", "learns", "symbolic", "empirical", "relative error", "why")
"""Columns of the table."""


def example_rows(studies: Iterable[Study]) -> list[tuple[str, ...]]:
    """The table's rows, all text."""
    return [
        (
            _title(result),
            result.learns.value,
            _number(result.symbolic, ".6f"),
            _number(result.empirical, ".6f"),
            _number(result.relative_error, ".1e"),
            result.reason,
        )
        for result in studies
    ]


def examples_chart(studies: list[Study]) -> Chart:
    """dist of every example from its nearest start; in the data it is empty once a run has diverged."""
    learned, others = ([_title(s) for s in studies if (s.learns is Learns.YES) == learns] for learns in (True, False))
    rows = [
        (s.learner.name, s.learns.value, int(step), float(dist) if np.isfinite(dist) else "")
        for s in studies
        for step, dist in zip(s.trajectory.steps, s.trajectory.dist[:, 0], strict=True)
    ]
    return Chart(
        "who-learns",
        (("who-learns", draw_examples(studies)),),
        f"Distance to the truth against outer steps: {', '.join(learned)} fall; {', '.join(others)} do not, or do not "
        "stay.",
        "Every worked example from its nearest start, on the same fixed tasks.",
        ("learner", "learns", "step", "dist"),
        rows,
    )


def _title(study: Study) -> str:
    return TITLES.get(study.learner.name, study.learner.name)


def _number(value: float | None, form: str) -> str:
    return "none" if value is None else format(value, form)


def draw_examples(studies: list[Study]) -> Figure:
    """dist of every example from its nearest start, one panel for those that learn and one for those that do not."""
    with style():
        figure = new_figure(7.2, 3.6)
        panels = figure.subplots(1, 2, sharey=True)
        for axes, learns, title in zip(panels, (True, False), ("learn", "do not learn, or not stay"), strict=True):
            shown = [(i, result) for i, result in enumerate(studies) if (result.learns is Learns.YES) == learns]
            for place, (i, result) in enumerate(shown):
                dist = result.trajectory.dist[:, 0]
                axes.plot(
                    result.trajectory.steps,
                    np.where(dist > 0, dist, np.nan),
                    color=SERIES[i % len(SERIES)],
                    linestyle=("solid", (0, (5, 3)), (0, (1, 1.2)))[place % 3],
                    linewidth=2.6 - 0.25 * place,
                    label=_title(result),
                )
            for i, result in shown:
                seen = result.trajectory
                mark_ends(axes, seen.steps, seen.dist[:, :1], seen.outcome[:1], SERIES[i % len(SERIES)])
            axes.set_title(f"They {title}")
            axes.set_xlabel("outer step")
            axes.legend(fontsize=7.5)
        log_axis(panels[0], lowest_shown(*(r.trajectory.dist[:, 0] for r in studies), floor=1e-60))
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
        axes.set_title(f"{_title(result)}: distance to the ground truth")
    return figure
