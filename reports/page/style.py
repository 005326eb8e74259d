"""How figures look: one colour per learner, one style, and files that are the same for the same data."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG, RendererSVG
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.mathtext import MathTextParser
from matplotlib.textpath import TextToPath

from metarep.reports.page.markup import LEARNER_TITLES
from metarep.sim.outcomes import Outcome

INK = "#1d2430"
"""Axes and words; pages put their own text colour in its place, so that figures follow light and dark."""

COLOURS = {
    "anil": "#0072b2",
    "fo-anil": "#56b4e9",
    "maml": "#d55e00",
    "fo-maml": "#e69f00",
    "average-loss": "#8b8f97",
}
"""From Okabe and Ito's palette, which colour-blind readers tell apart; each also has a dash of its own."""

DASHES: dict[str, Any] = {
    "anil": "solid",
    "fo-anil": (0, (4, 4)),
    "maml": "solid",
    "fo-maml": (4, (4, 4)),
    "average-loss": (0, (1, 1.2)),
}
WIDTHS = {"anil": 4.0, "maml": 1.5}
"""Near the truth the four meta-learners lie on each other: a thin line on a broad one, and dashes that alternate, show
all.
"""

END_MARKS = {
    Outcome.DIVERGED: ("x", "× diverges"),
    Outcome.BLIND: ("o", "○ ends blind"),
    Outcome.RECEDING: ("^", "△ moves away"),
}
"""The mark at the end of a run, and what it is called. The others' ends speak for themselves."""
ENVELOPE_COLOUR = "#009e73"
SERIES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8b8f97", "#7a5ea8")
"""For lines that are not learners."""

_STYLE: Any = {
    "font.family": "sans-serif",
    "font.size": 9.5,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.titlepad": 8,
    "axes.titley": 1.0,
    "axes.labelsize": 9.5,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.7,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "ytick.minor.size": 0,
    "lines.linewidth": 1.7,
    "lines.solid_capstyle": "round",
    "legend.frameon": False,
    "legend.fontsize": 9,
    "legend.handlelength": 2.4,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
    "svg.hashsalt": "metarep",
    "svg.fonttype": "none",
    "path.simplify": True,
    "path.simplify_threshold": 0.3,
    "pdf.fonttype": 42,  # journals refuse Type 3
}

COLUMN = 3.3
"""Inches of a paper's column."""
_COLUMN_STYLE: Any = {
    "font.size": 8,
    "axes.titlesize": 8.5,
    "axes.titlepad": 6,
    "axes.labelsize": 8,
    "legend.fontsize": 7.5,
    "lines.linewidth": 1.5,
}


@contextmanager
def style(column: bool = False) -> Iterator[None]:
    """Everything drawn inside looks alike, whatever the reader's own settings are; ``column``: at a column's width."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_STYLE | (_COLUMN_STYLE if column else {}))
        yield


def new_figure(width: float, height: float) -> Figure:
    """An empty figure, width and height in inches; to be called within ``style``."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


@contextmanager
def column_figure(height: float) -> Iterator[Figure]:
    """A figure that is a column wide, so many inches high, to be drawn into."""
    with style(column=True):
        figure = new_figure(COLUMN, height)
        yield figure
        for axes in figure.axes:  # their ticks are made when the figure is written
            axes.tick_params(which="both", labelsize=_COLUMN_STYLE["font.size"])


def rendered(figure: Figure, form: str) -> bytes:
    """The figure as the bytes of an svg, pdf or png file; equal figures give equal bytes. Files have a white ground."""
    with style():
        if form == "svg":  # saving draws a figure twice, first for its layout, which drawing makes besides
            canvas, ground = figure.canvas, figure.get_facecolor()
            figure.set_facecolor("white")
            content = _Canvas(figure).svg()
            figure.set_facecolor(ground)
            figure.set_canvas(canvas)
            return content.encode()
        buffer = io.BytesIO()
        unsaid = {"png": "Software", "pdf": "CreationDate"}[form]
        figure.savefig(buffer, format=form, dpi=160, metadata={unsaid: None}, facecolor="white")
        return buffer.getvalue()


class _Canvas(FigureCanvasSVG):
    """A figure's canvas for SVG files. Layouts measure by one renderer, which knows what texts of earlier figures took:
    most labels are those of many figures, and to read a formula takes longer than to draw the rest.
    """

    def get_renderer(self) -> RendererSVG:
        """What layouts measure by."""
        return _measuring()

    def svg(self) -> str:
        """The figure as a file."""
        file, figure = io.StringIO(), self.figure
        figure.dpi = 72  # points are the files' unit
        width, height = (72 * inches for inches in figure.get_size_inches())
        renderer = _Renderer(width, height, file)
        figure.draw(renderer)
        renderer.finalize()
        return file.getvalue()


class _Renderer(RendererSVG):
    """Matplotlib's, with formulas that are known."""

    def __init__(self, width: float, height: float, file: io.StringIO) -> None:
        super().__init__(width, height, file, metadata={"Date": None, "Creator": None})
        self._text2path = _TEXTS


@cache
def _measuring() -> RendererSVG:
    return _Renderer(1, 1, io.StringIO())


class _Formulas(MathTextParser):
    """Formulas as they are drawn, each read once."""

    def __init__(self) -> None:
        super().__init__("path")
        self._known: dict[tuple[str, float, int], Any] = {}

    def parse(self, s: str, dpi: float = 72, prop: FontProperties | None = None, *, antialiased: Any = None) -> Any:
        key = s, dpi, hash(prop)
        if key not in self._known:
            self._known[key] = super().parse(s, dpi, prop, antialiased=antialiased)
        return self._known[key]


_TEXTS = TextToPath()
_TEXTS.mathtext_parser = _Formulas()


def log_axis(axes: Any, lowest: float, highest: float = 1.0) -> None:
    """dist on a logarithmic axis of whole decades."""
    from matplotlib.ticker import LogLocator, NullLocator

    axes.set_yscale("log")
    decades = max(1, int(np.ceil(np.log10(highest / lowest))))
    axes.set_ylim(lowest, highest * 10 ** (0.04 * decades))
    axes.yaxis.set_major_locator(LogLocator(10, numticks=8))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.grid(axis="y", color=INK, alpha=0.1, linewidth=0.6)


def middle(dist: np.ndarray) -> np.ndarray:
    """Median over the trials (T, trials) -> (T,) of those that have not diverged; nan where all have."""
    left = np.ma.masked_invalid(dist)
    return np.ma.median(left, axis=1).filled(np.nan) if left.mask.any() else np.median(dist, axis=1)


def lowest_shown(*curves: np.ndarray, floor: float = 1e-12) -> float:
    """The decade below the smallest positive value of the curves, not below ``floor``."""
    smallest = min((float(c[np.isfinite(c) & (c > 0)].min(initial=1.0)) for c in curves), default=1.0)
    return max(floor, 10.0 ** np.floor(np.log10(max(smallest, 1e-300))))


def draw_trials(axes: Any, learner: str, steps: np.ndarray, dist: np.ndarray, label: str = "", z: float = 2.0) -> None:
    """One learner's trials (T, trials) as thin lines and their median as a thick one."""
    colour = COLOURS[learner]
    shown = np.where(dist > 0, dist, np.nan)
    axes.plot(steps, shown, color=colour, alpha=0.28, linewidth=0.6, zorder=z - 1)
    width = WIDTHS.get(learner, 1.7)
    axes.plot(
        steps, middle(shown), color=colour, linestyle=DASHES[learner], linewidth=width, zorder=z, label=label,
        dash_capstyle="butt",
    )  # fmt: skip


def mark_ends(axes: Any, steps: np.ndarray, dist: np.ndarray, outcomes: np.ndarray, colour: str) -> None:
    """A mark of ``END_MARKS`` at the last finite distance of every trial whose outcome has one; legends explain them.

    Args:
        steps: (T,). dist: (T, trials). outcomes: (trials,) of ``Outcome``.
        colour: of the marks.
    """
    known = {line.get_label() for line in axes.lines}
    for outcome, (mark, name) in END_MARKS.items():
        word = name[2:]
        for trial in np.flatnonzero(outcomes == outcome):
            finite = np.flatnonzero(np.isfinite(dist[:, trial]) & (dist[:, trial] > 0))
            if finite.size:
                axes.plot(
                    steps[finite[-1]], dist[finite[-1], trial], mark, color=colour, markersize=5, markeredgewidth=1.3,
                    markerfacecolor="none", linestyle="none", clip_on=False, zorder=6,
                    label="_" if word in known else word,
                )  # fmt: skip
                known.add(word)


def draw_run(learner: str, steps: np.ndarray, dist: np.ndarray, outcomes: np.ndarray) -> Figure:
    """The distances of one simulation, (T, trials), and what became of its trials, (trials,) of ``Outcome``."""
    with style():
        figure = new_figure(6.4, 3.8)
        axes = figure.subplots()
        draw_trials(axes, learner, steps, dist, "median")
        mark_ends(axes, steps, dist, outcomes, COLOURS[learner])
        log_axis(axes, lowest_shown(dist, floor=1e-300))
        axes.set_xlabel("outer step")
        axes.set_title(f"{LEARNER_TITLES[learner]}: distance to the ground-truth representation")
        axes.legend(loc="lower left")
    return figure
