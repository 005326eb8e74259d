"""Figures from a sweep's file: a phase diagram over two axes, or slopes along one."""

from collections import defaultdict
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from matplotlib.figure import Figure

from metarep.reports.page.markup import LEARNER_TITLES
from metarep.reports.page.output import InputError
from metarep.reports.page.style import COLOURS, DASHES, new_figure, style
from metarep.reports.sweep.sweep import AXES, GEOMETRIC, WORDS, SweepRow

Value = Literal["converged", "diverged", "dist", "floor"]
VALUES: dict[str, str] = {
    "converged": "share of runs that converged",
    "diverged": "share of runs that diverged",
    "dist": "median dist at the end",
    "floor": "median dist, last quarter (rms)",
}

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
    """Slope of log(value) against log(axis) for one learner, with the standard error of the fit over the axis'
    values.
    """

    learner: str
    slope: float
    standard_error: float | None
    points: int


def _numeric_axis(rows: list[SweepRow], name: str) -> None:
    numeric = [axis for axis in AXES if axis not in WORDS]
    if name not in numeric:
        raise InputError(f"axis is {name!r}; allowed: {', '.join(numeric)}")
    values = {getattr(row.setting, name) for row in rows}
    if None in values or len(values) < 2:
        raise InputError(f"{name} takes {len(values)} value(s) in the file; allowed: an axis with two or more numbers")


def _value(rows: list[SweepRow], value: Value) -> float:
    """One number for the replicates of a point; NaN where none is defined."""
    if value in ("converged", "diverged"):
        return float(np.mean([row.replicate.outcome == value for row in rows]))
    found = [row.replicate.dist_end if value == "dist" else row.replicate.floor for row in rows]
    kept = [number for number in found if number is not None]
    return float(np.median(kept)) if kept else float("nan")


def _by_learner(rows: list[SweepRow]) -> dict[str, list[SweepRow]]:
    found: dict[str, list[SweepRow]] = defaultdict(list)
    for row in rows:
        found[row.setting.learner].append(row)
    return {name: found[name] for name in COLOURS if name in found}


def phase_diagram(rows: list[SweepRow], x: str, y: str, value: Value) -> Figure:
    """A map of ``value`` over two axes, one panel a learner. Cells pool whatever else varies.

    Raises:
        InputError: an axis is unknown or takes one value only.
    """
    for name in (x, y):
        _numeric_axis(rows, name)
    learners = _by_learner(rows)
    columns = min(3, len(learners))
    lines = -(-len(learners) // columns)
    with style():
        figure = new_figure(3.1 * columns + 0.8, 2.7 * lines + 0.3)
        panels = figure.subplots(lines, columns, squeeze=False, sharex=True, sharey=True)
        shares = value in ("converged", "diverged")
        mesh: Any = None
        for axes in panels.flat[len(learners) :]:
            axes.set_visible(False)
        xs = sorted({getattr(row.setting, x) for row in rows})
        ys = sorted({getattr(row.setting, y) for row in rows})
        tables: dict[str, np.ndarray] = {}
        for learner, found in learners.items():
            points: dict[tuple[Any, Any], list[SweepRow]] = defaultdict(list)
            for row in found:
                points[(getattr(row.setting, x), getattr(row.setting, y))].append(row)
            table = np.array([[_value(points[(a, b)], value) if (a, b) in points else np.nan for a in xs] for b in ys])
            tables[learner] = table if shares else np.log10(np.maximum(table, 1e-300))
        low = 0.0 if shares else min(-1.0, max(LOWEST_SHOWN, *(np.nanmin(t, initial=0) for t in tables.values())))
        for axes, (learner, shown) in zip(panels.flat, tables.items(), strict=False):
            mesh = axes.pcolormesh(
                _edges(xs, x), _edges(ys, y), shown, vmin=low, vmax=1.0 if shares else 0.0, cmap="cividis"
            )
            axes.set_title(LEARNER_TITLES[learner])
            for name, setter in ((x, axes.set_xscale), (y, axes.set_yscale)):
                if name in GEOMETRIC:
                    setter("log")
        for axes in panels[-1]:
            axes.set_xlabel(AXIS_LABELS.get(x, x))
        for axes in panels[:, 0]:
            axes.set_ylabel(AXIS_LABELS.get(y, y))
        figure.colorbar(mesh, ax=list(panels.flat), label=VALUES[value] if shares else f"log₁₀ of {VALUES[value]}")
    return figure


def _edges(values: list[float], name: str) -> np.ndarray:
    points = np.log(np.array(values, dtype=float)) if name in GEOMETRIC else np.array(values, dtype=float)
    middles = (points[1:] + points[:-1]) / 2
    edges = np.concatenate([[2 * points[0] - middles[0]], middles, [2 * points[-1] - middles[-1]]])
    return np.exp(edges) if name in GEOMETRIC else edges


def slopes(rows: list[SweepRow], x: str, value: Value) -> tuple[Figure, list[Slope]]:
    """``value`` against one axis, both logarithmic, a line a learner, with the fitted slopes.

    Raises:
        InputError: the axis is unknown or takes one value only, or the value has no logarithm.
    """
    _numeric_axis(rows, x)
    if value not in ("dist", "floor"):
        raise InputError(f"value is {value!r}; allowed for slopes: dist, floor")
    found_slopes = []
    with style():
        figure = new_figure(6.4, 4.0)
        axes = figure.subplots()
        for learner, found in _by_learner(rows).items():
            points: dict[float, list[SweepRow]] = defaultdict(list)
            for row in found:
                points[getattr(row.setting, x)].append(row)
            xs = np.array(sorted(points), dtype=float)
            ys = np.array([_value(points[a], value) for a in xs])
            good = (ys > 0) & (xs > 0)
            if good.sum() < 2:
                continue
            fitted = _fit(np.log(xs[good]), np.log(ys[good]))
            found_slopes.append(Slope(learner, *fitted, int(good.sum())))
            label = f"{LEARNER_TITLES[learner]}: slope {fitted[0]:+.2f}"
            axes.plot(xs[good], ys[good], marker="o", color=COLOURS[learner], linestyle=DASHES[learner], label=label)
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlabel(AXIS_LABELS.get(x, x))
        axes.set_ylabel(VALUES[value])
        if found_slopes:
            axes.legend()
    return figure, found_slopes


def _fit(x: np.ndarray, y: np.ndarray) -> tuple[float, float | None]:
    """(slope, standard error) of a least-squares line; no error from two points."""
    centred = x - x.mean()
    slope = float(centred @ y / (centred @ centred))
    if len(x) < 3:
        return slope, None
    residual = y - y.mean() - slope * centred
    return slope, float(np.sqrt(residual @ residual / (len(x) - 2) / (centred @ centred)))
