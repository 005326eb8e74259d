"""The figure of a learner wider than the truth: what it learns, and how slowly it forgets what is of no use."""

from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from metarep.reports.page.charts import Chart
from metarep.reports.page.style import INK, SERIES, new_figure, style
from metarep.theory.claims.width.finite import ALPHA, BETA, NOISE, SPECTRUM, WIDTHS, wide_runs
from metarep.theory.dynamics.width import learned_second_moment, unlearning_constant

SAMPLES: tuple[int | None, ...] = (5, 100, None)
STEPS = 3000
WIDTH_DASHES = ("solid", (0, (5, 3)), (0, (1, 1.3)))


@dataclass(frozen=True, eq=False)
class WidthCurve:
    """FO-ANIL's mean dynamics at one width k' and one number m of inner samples (None: the population).

    ``error`` is the relative distance of B_*ᵀBBᵀB_* from its limit, ``superfluous`` the square of the largest singular
    value of what is of no use (None where k' = k: nothing is), both at ``steps``.
    """

    k: int
    width: int
    m: int | None
    steps: np.ndarray
    error: np.ndarray
    superfluous: np.ndarray | None


def width_curves(seed: int = 0) -> list[WidthCurve]:
    """The runs for k' = k, k + 1, 2k and m = 5, 100, ∞ inner samples."""
    steps = np.unique(np.geomspace(1, STEPS, 90).round().astype(int))
    curves = []
    for k, width in WIDTHS:
        for m, (P, Y) in zip(SAMPLES, wide_runs(width, SAMPLES, steps, seed), strict=True):
            limit = learned_second_moment(np.diag(SPECTRUM), ALPHA, m, NOISE)
            error = np.abs(P @ np.swapaxes(P, -1, -2) - limit).max((-2, -1)) / np.abs(limit).max()
            largest = np.linalg.svd(Y, compute_uv=False)[:, 0] ** 2 if width > k else None
            curves.append(WidthCurve(k, width, m, steps, error, largest))
    return curves


def widths_chart(curves: list[WidthCurve]) -> Chart:
    """What is learned and what is unlearned; the data's last column is empty where nothing is superfluous."""
    rows = [
        (c.k, c.width, c.m or "inf", int(step), c.error[i], "" if c.superfluous is None else c.superfluous[i])
        for c in curves
        for i, step in enumerate(c.steps)
    ]
    return Chart(
        "width",
        (("width", draw_widths(curves)),),
        "Left: the error of the limit of the useful part falls for every width; right: the superfluous directions "
        "shrink slowly for finite inner samples, and not at all on the population.",
        "FO-ANIL wider than the truth, on finite inner samples: the useful part reaches its limit exponentially fast, "
        "the superfluous directions are unlearned like $1/t$, and never on the population "
        "([width-slow-unlearning](#claim-width-slow-unlearning), "
        "[width-never-unlearned](#claim-width-never-unlearned)).",
        ("k", "width", "m", "step", "relative error of the useful part", "largest superfluous singular value^2"),
        rows,
    )


def _sample_name(m: int | None) -> str:
    return "m = ∞" if m is None else f"m = {m}"


def draw_widths(curves: list[WidthCurve]) -> Figure:
    """Left: the relative distance of B_*ᵀBBᵀB_* from its limit. Right: the largest singular value of the superfluous
    part, squared, with the predicted m/(2βα²τt).
    """
    second = np.diag(SPECTRUM)
    dashes = dict(zip((width for _, width in WIDTHS), WIDTH_DASHES, strict=True))
    colours = dict(zip(SAMPLES, SERIES, strict=False))
    with style():
        figure = new_figure(7.2, 3.4)
        left, right = figure.subplots(1, 2)
        for c in curves:
            look = {"color": colours[c.m], "linestyle": dashes[c.width]}
            left.plot(c.steps, np.where(c.error > 1e-14, c.error, np.nan), **look)
            if c.superfluous is not None:
                right.plot(c.steps, c.superfluous, **look)
        for m, colour in colours.items():
            right.plot([], [], color=colour, label=_sample_name(m))
            if m is not None:
                constant = unlearning_constant(second, ALPHA, BETA, m, NOISE)
                steps = curves[0].steps
                late = steps[steps > 2 * constant * ALPHA]
                right.plot(late, constant / late, color=INK, linewidth=0.7, linestyle=(0, (2, 2)))
        right.plot([], [], color=INK, linewidth=0.7, linestyle=(0, (2, 2)), label="predicted m/(2βα²τt)")
        for (_, width), dash, name in zip(WIDTHS, WIDTH_DASHES, ("k", "k + 1", "2k"), strict=True):
            left.plot([], [], color=INK, linestyle=dash, label=f"k' = {name} = {width}")
        left.set_yscale("log")
        left.set_title("What it learns: distance from the limit")
        right.set_xscale("log")
        right.set_yscale("log")
        right.set_title("What it need not know: singular value²")
        for axes in (left, right):
            axes.set_xlabel("outer step")
            axes.legend(fontsize=8)
        left.set_xlim(0, 400)
    return figure
