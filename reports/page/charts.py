"""Charts of the report's chapters: figures with what is said of them and what they show as data; drawing cells."""

from collections.abc import Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from functools import wraps
from typing import Any, Concatenate, ParamSpec

import numpy as np
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, PathPatch
from matplotlib.path import Path
from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter, NullLocator

from metarep.reports.page import blocks as b
from metarep.reports.page.output import as_csv
from metarep.reports.page.style import INK, column_figure, rendered

Array = np.ndarray
P = ParamSpec("P")
HEIGHT = 2.95
"""Inches of a panel, a column wide, that pages lay out beside others, or below them on a phone."""
KEY = "-key"
"""How the name of a panel ends that says what colours and dashes mean, for all others."""

GOOD, BAD, OTHER, BOTH, BLIND = "#0072b2", "#d55e00", "#d3d6db", "#f3d64e", "#cc79a7"
"""Fills for what converged or stayed, for what diverged or left, for neither, where some do the one and some the other,
and for what ended blind: colour-blind readers tell them apart.
"""
ON_FILL = "#11151c"
"""Lines and words on such fills, whatever the page's own ground is."""


CSV_RECORDS = 100
"""Records of a run in a figure's data."""


def thinned(steps: Array) -> list[tuple[int, int]]:
    """(place, step) of every m-th record of a run and of the last, ``CSV_RECORDS`` of them or few more."""
    every = -(-len(steps) // CSV_RECORDS)
    return [(i, int(step)) for i, step in enumerate(steps) if i % every == 0 or i == len(steps) - 1]


PDF = ContextVar("PDF", default=False)
"""Whether charts' panels are made as PDF files besides, for a paper."""


@dataclass(frozen=True, eq=False)
class Chart:
    """A figure of one or more panels (name, figure), its text for those who do not see it, its caption, its data."""

    name: str
    panels: tuple[tuple[str, Figure], ...]
    alt: str
    caption: str
    header: tuple[str, ...]
    rows: list[tuple[Any, ...]]

    def picture(self) -> b.Picture:
        """The block; the caption says where the data are."""
        panels = tuple((name, rendered(figure, "svg")) for name, figure in self.panels)
        pdf = tuple((name, rendered(figure, "pdf")) for name, figure in self.panels if PDF.get())
        data = (f"{self.name}.csv", as_csv(self.header, self.rows))
        return b.Picture(panels, self.alt, f"{self.caption} Data: `figures/{data[0]}`.", data, pdf)


def as_panel(draw: Callable[Concatenate[Any, P], None]) -> Callable[P, Figure]:
    """A function that draws into axes, made one that gives a figure of one panel in the style of all figures."""

    @wraps(draw)
    def figure_of(*arguments: P.args, **options: P.kwargs) -> Figure:
        with column_figure(HEIGHT) as figure:
            draw(figure.subplots(), *arguments, **options)
        return figure

    return figure_of


def share_colours(good: Array, bad: Array) -> Array:
    """Colours (hex strings, shape of ``good``) of cells that are that share good, that share bad, neither for the rest.

    Full colours where all is alike, tints where some is neither, ``BOTH`` where some is good and some is bad: a mixture
    of the two colours would look like a third outcome.
    """
    good, bad = np.asarray(good, dtype=float), np.asarray(bad, dtype=float)
    colours = np.full(good.shape, OTHER, dtype=object)
    for place in np.ndindex(good.shape):
        g, v = float(good[place]), float(bad[place])
        if g > 0 and v > 0:
            colours[place] = BOTH
        elif g > 0 or v > 0:
            colours[place] = _tint(GOOD if g > 0 else BAD, max(g, v))
    return colours


def _tint(colour: str, share: float) -> str:
    mixed = share * np.array(to_rgb(colour)) + (1 - share) * np.array(to_rgb(OTHER))
    red, green, blue = (float(part) for part in mixed)
    return to_hex((red, green, blue))


def edges(values: Sequence[float] | Array, log: bool) -> Array:
    """Borders (m + 1,) of cells around evenly (or, ``log``, geometrically) spaced values (m,)."""
    points = np.log(np.asarray(values, dtype=float)) if log else np.asarray(values, dtype=float)
    middles = (points[1:] + points[:-1]) / 2
    borders = np.concatenate([[2 * points[0] - middles[0]], middles, [2 * points[-1] - middles[-1]]])
    return np.exp(borders) if log else borders


def draw_cells(axes: Any, x_edges: Array, y_edges: Array, colours: Array) -> None:
    """Rectangles (y, x) filled with these colours: one path for each colour, neighbours of one colour joined, so that
    the file stays small.
    """
    paths: dict[str, list[tuple[float, float, float, float]]] = {}
    for row in range(colours.shape[0]):
        first = 0
        for column in range(1, colours.shape[1] + 1):
            if column == colours.shape[1] or colours[row, column] != colours[row, first]:
                box = (x_edges[first], x_edges[column], y_edges[row], y_edges[row + 1])
                paths.setdefault(colours[row, first], []).append(box)
                first = column
    axes.set_xlim(x_edges[0], x_edges[-1])
    axes.set_ylim(y_edges[0], y_edges[-1])
    for colour in sorted(paths):
        corners, codes = [], []
        for left, right, low, high in paths[colour]:
            corners += [(left, low), (right, low), (right, high), (left, high), (left, low)]
            codes += [Path.MOVETO, Path.LINETO, Path.LINETO, Path.LINETO, Path.CLOSEPOLY]
        # The border hides the hairlines that viewers leave between neighbours.
        axes.add_patch(PathPatch(Path(corners, codes), facecolor=colour, edgecolor=colour, linewidth=0.4, zorder=1))


def draw_map(axes: Any, x: Array, y: Array, colours: Array, log_x: bool = False, log_y: bool = False) -> None:
    """A phase diagram: cells of these colours, (y, x), around the values of two axes, logarithmic ones where asked."""
    if log_x:
        axes.set_xscale("log")
    if log_y:
        axes.set_yscale("log")
    draw_cells(axes, edges(x, log_x), edges(y, log_y), colours)


def key_panel(name: str, handles: Sequence[Any], columns: int) -> tuple[str, Figure]:
    """A figure's key as a panel of its own, which says it once for all panels; ``handles`` have labels."""
    with column_figure(0.1 + 0.17 * -(-len(handles) // columns)) as figure:
        figure.legend(handles=handles, loc="center", ncols=columns, columnspacing=1.4, handletextpad=0.6)
    return f"{name}{KEY}", figure


def fill_key(
    name: str, entries: Sequence[tuple[str, str]], lines: Sequence[tuple[Any, str]] = ()
) -> tuple[str, Figure]:
    """The key of colours with their names, and of lines by their dashes."""
    patches: list[Any] = [Patch(facecolor=colour, edgecolor="none", label=label) for colour, label in entries]
    dashes = [Line2D([], [], color=INK, linestyle=dash, linewidth=1.3, label=label) for dash, label in lines]
    return key_panel(name, patches + dashes, 2 if lines else len(patches))


def fill_legend(axes: Any, entries: Sequence[tuple[str, str]]) -> None:
    """A row of colours with their names below the panel."""
    handles = [Patch(facecolor=colour, edgecolor="none", label=label) for colour, label in entries]
    axes.figure.legend(
        handles=handles, loc="outside lower center", ncols=len(entries), handlelength=1.0, columnspacing=1.2,
        handletextpad=0.5,
    )  # fmt: skip


def plain_log(axis: Any, ticks: list[float]) -> None:
    """Ticks of a logarithmic axis as ordinary numbers."""
    axis.set_major_locator(FixedLocator(ticks))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_locator(NullLocator())
    axis.set_minor_formatter(NullFormatter())
