"""Figures from a sweep's file: a phase diagram over two axes, or slopes along one."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize, to_hex
from matplotlib.figure import Figure

from metarep.reports.page.charts import draw_cells, edges
from metarep.reports.page.markup import LEARNER_TITLES
from metarep.reports.page.output import InputError
from metarep.reports.page.style import COLOURS, DASHES, new_figure, style
from metarep.reports.sweep.designs import AXES, GEOMETRIC, WORDS
from metarep.reports.sweep.sweep import SweepRuns
from metarep.sim.bounds import unknown
from metarep.sim.outcomes import Outcome
from metarep.sim.sweeps import OUTCOMES

Array = np.ndarray
Value = Literal["converged", "blind", "diverged", "dist", "floor"]
VALUES: dict[str, str] = {
    "converged": "share of runs that converged",
    "blind": "share of runs that ended blind",
    "diverged": "share of runs that diverged",
    "dist": "median dist at the end",
    "floor": "median dist, last quarter (rms)",
}

SHARES = ("converged", "blind", "diverged")
"""Those that are shares of runs: of the outcomes of the same names."""
LOWEST_SHOWN = -12.0
"""log₁₀ of the smallest distance that has a colour of its own."""

AXIS_LABELS = {
    "alpha": "inner step size α",
    "beta": "outer step size β",
    "m_in": "inner samples per task",
    "m_out": "outer samples per task",
    "sigma": "label noise σ",
    "dist0": "dist at the start",
}


@dataclass(frozen=True)
class Slope:
    """Slope of log(value) against log(axis) for one learner; standard error of the fit over the axis' values."""

    learner: str
    slope: float
    standard_error: float | None
    points: int


def _numeric_axis(found: SweepRuns, name: str) -> list[Any]:
    """The axis' values."""
    numeric = [axis for axis in AXES if axis not in WORDS]
    if name not in numeric:
        raise InputError(str(unknown("axis", name, numeric)))
    values = {getattr(setting, name) for setting in found.settings}
    if None in values or len(values) < 2:
        raise InputError(f"{name} takes {len(values)} value(s) in the file; allowed: an axis with two or more numbers")
    return sorted(values)


def _medians(groups: Array, values: Array, count: int) -> Array:
    """The median of each group's values that are numbers; NaN where none is."""
    kept = ~np.isnan(values)
    groups, values = groups[kept], values[kept]
    order = np.lexsort((values, groups))
    sizes = np.bincount(groups, minlength=count)
    middle = np.cumsum(sizes) - sizes + (sizes - 1) / 2
    ends = [values[order][np.clip(end(middle).astype(int), 0, len(values) - 1)] for end in (np.floor, np.ceil)]
    return np.where(sizes > 0, np.mean(ends, axis=0), np.nan) if len(values) else np.full(count, np.nan)


def _values(found: SweepRuns, axes: tuple[str, ...], value: Value) -> dict[str, dict[tuple[Any, ...], float]]:
    """By learner, in the order of the others' figures, and by point on the axes: one number for all runs there, NaN
    where none is defined.
    """
    points: dict[tuple[str, tuple[Any, ...]], int] = {}
    of_setting = [
        points.setdefault((setting.learner, tuple(getattr(setting, axis) for axis in axes)), len(points))
        for setting in found.settings
    ]
    groups, count = np.array(of_setting, dtype=int)[found.setting], len(points)
    if value in SHARES:
        so = found.runs["outcome"] == OUTCOMES.index(Outcome(value))
        numbers = np.bincount(groups, so, count) / np.bincount(groups, minlength=count)
    else:
        numbers = _medians(groups, found.runs["dist_end" if value == "dist" else "floor"], count)
    pooled: dict[str, dict[tuple[Any, ...], float]] = {name: {} for name in COLOURS}
    for (learner, point), number in zip(points, numbers.tolist(), strict=True):
        pooled[learner][point] = number
    return {learner: there for learner, there in pooled.items() if there}


def phase_diagram(found: SweepRuns, x: str, y: str, value: Value) -> Figure:
    """A map of ``value`` over two axes, one panel a learner. Cells pool whatever else varies.

    Raises:
        InputError: an axis is unknown or takes one value only.
    """
    xs, ys = (_numeric_axis(found, name) for name in (x, y))
    values = _values(found, (x, y), value)
    tables = {
        learner: np.array([[points.get((a, b), np.nan) for a in xs] for b in ys]) for learner, points in values.items()
    }
    shares = value in SHARES
    low, high, label = 0.0, 1.0, VALUES[value]
    if not shares:
        tables = {learner: np.log10(np.maximum(table, 1e-300)) for learner, table in tables.items()}
        low = min(-1.0, max(LOWEST_SHOWN, *(np.nanmin(table, initial=0) for table in tables.values())))
        high, label = 0.0, f"log₁₀ of {label}"
    colours = ScalarMappable(Normalize(low, high), "cividis")
    columns = min(3, len(tables))
    lines = -(-len(tables) // columns)
    with style():
        figure = new_figure(3.1 * columns + 0.8, 2.7 * lines + 0.3)
        panels = figure.subplots(lines, columns, squeeze=False, sharex=True, sharey=True)
        for axes in panels.flat[len(tables) :]:
            axes.set_visible(False)
        for axes, (learner, table) in zip(panels.flat, tables.items(), strict=False):
            filled = [[to_hex(colour) for colour in row] for row in colours.to_rgba(np.ma.masked_invalid(table))]
            filled = np.where(np.isfinite(table), np.array(filled, dtype=object), "none")
            draw_cells(axes, edges(xs, x in GEOMETRIC), edges(ys, y in GEOMETRIC), filled)
            axes.set_title(LEARNER_TITLES[learner])
            for name, setter in ((x, axes.set_xscale), (y, axes.set_yscale)):
                if name in GEOMETRIC:
                    setter("log")
        for axes in panels[-1]:
            axes.set_xlabel(AXIS_LABELS.get(x, x))
        for axes in panels[:, 0]:
            axes.set_ylabel(AXIS_LABELS.get(y, y))
        figure.colorbar(colours, ax=list(panels.flat), label=label)
    return figure


def slopes(found: SweepRuns, x: str, value: Value) -> tuple[Figure, list[Slope]]:
    """``value`` against one axis, both logarithmic, a line a learner, with the fitted slopes.

    Raises:
        InputError: the axis is unknown or takes one value only, or the value has no logarithm.
    """
    _numeric_axis(found, x)
    if value not in ("dist", "floor"):
        raise InputError(f"value is {value!r}; allowed for slopes: dist, floor")
    fitted = []
    with style():
        figure = new_figure(6.4, 4.0)
        axes = figure.subplots()
        for learner, points in _values(found, (x,), value).items():
            kept = [(at, there) for (at,), there in sorted(points.items()) if at > 0 and there > 0]
            if len(kept) < 2:
                continue
            xs, ys = np.array(kept, dtype=float).T
            slope, error = _fit(np.log(xs), np.log(ys))
            fitted.append(Slope(learner, slope, error, len(kept)))
            label = f"{LEARNER_TITLES[learner]}: slope {slope:+.2f}"
            axes.plot(xs, ys, marker="o", color=COLOURS[learner], linestyle=DASHES[learner], label=label)
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlabel(AXIS_LABELS.get(x, x))
        axes.set_ylabel(VALUES[value])
        if fitted:
            axes.legend()
    return figure, fitted


def _fit(x: np.ndarray, y: np.ndarray) -> tuple[float, float | None]:
    """(slope, standard error) of a least-squares line; no error from two points."""
    centred = x - x.mean()
    slope = float(centred @ y / (centred @ centred))
    if len(x) < 3:
        return slope, None
    residual = y - y.mean() - slope * centred
    return slope, float(np.sqrt(residual @ residual / (len(x) - 2) / (centred @ centred)))
