"""The figure of a learner wider than the truth: what it learns, and how slowly it forgets what is of no use."""

import numpy as np
from matplotlib.figure import Figure

from reports.figures import INK, SERIES, new_figure, style
from theory.claims.width import ALPHA, BETA, NOISE, SPECTRUM, WIDTHS, wide_runs
from theory.width import learned_second_moment, unlearning_constant

SAMPLES: tuple[int | None, ...] = (5, 100, None)
STEPS = 3000
WIDTH_DASHES = ("solid", (0, (5, 3)), (0, (1, 1.3)))


def _sample_name(m: int | None) -> str:
    return "m = ∞" if m is None else f"m = {m}"


def draw_widths(seed: int = 0) -> Figure:
    """FO-ANIL's mean dynamics for k' = k, k + 1, 2k and m = 5, 100, ∞ inner samples.

    Left: the relative distance of B_*ᵀBBᵀB_* from its limit. Right: the largest singular value of the superfluous part,
    squared, with the predicted m/(2βα²τt).
    """
    record_at = np.unique(np.geomspace(1, STEPS, 90).round().astype(int))
    second = np.diag(SPECTRUM)
    with style():
        figure = new_figure(7.2, 3.4)
        left, right = figure.subplots(1, 2)
        for (k, width), dash in zip(WIDTHS, WIDTH_DASHES, strict=True):
            runs = wide_runs(width, SAMPLES, record_at, seed)
            for m, colour, (P, Y) in zip(SAMPLES, SERIES, runs, strict=False):
                limit = learned_second_moment(second, ALPHA, m, NOISE)
                error = np.abs(P @ np.swapaxes(P, -1, -2) - limit).max((-2, -1)) / np.abs(limit).max()
                left.plot(record_at, np.where(error > 1e-14, error, np.nan), color=colour, linestyle=dash)
                if width > k:
                    largest = np.linalg.svd(Y, compute_uv=False)[:, 0] ** 2
                    right.plot(record_at, largest, color=colour, linestyle=dash)
        for m, colour in zip(SAMPLES, SERIES, strict=False):
            right.plot([], [], color=colour, label=_sample_name(m))
            if m is not None:
                constant = unlearning_constant(second, ALPHA, BETA, m, NOISE)
                late = record_at[record_at > 2 * constant * ALPHA]
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
