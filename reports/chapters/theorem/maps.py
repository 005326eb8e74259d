"""The maps of the proved, the measured and the refuted region: a figure for each learner."""

from typing import Any

import numpy as np

from metarep.reports.chapters.theorem.regions import LINE_ALPHA, MEAN, RegionMap
from metarep.reports.page.charts import (
    BAD,
    GOOD,
    ON_FILL,
    OTHER,
    Chart,
    as_panel,
    draw_map,
    fill_key,
    plain_log,
)
from metarep.reports.page.markup import LEARNER_TITLES

Array = np.ndarray
SEEN = "#9dc9e4"
"""Measured, not proved: a tint of what is proved."""
FILLS = ((GOOD, "proved"), (SEEN, "measured"), (BAD, "refuted"), (OTHER, "not run"))


def region_chart(maps: tuple[RegionMap, ...]) -> Chart:
    """One learner's maps, a panel each."""
    first = maps[0]
    title = LEARNER_TITLES[first.learner]
    panels = tuple((f"theorem-{first.learner}-{i}", _region_panel(found)) for i, found in enumerate(maps, 1))
    panels = (*panels, fill_key(f"theorem-{first.learner}", FILLS))
    caption = (
        rf"{title} over $\alpha L_*$ and $\beta/\alpha$. Dark: proved, by the theorem's conditions. Light: measured, "
        r"all trials keep $\mathrm{dist}_T \le (1 - \frac{1}{2}\alpha\beta E_0\mu_*^2)^{T - 1}$ until that has come "
        "well below the start's distance. Orange: refuted, some trial is slower or diverges. Grey: not run, "
        rf"as steps so small would have to be very many. Dotted: $\alpha L_* = {LINE_ALPHA:g}$, where the table "
        f"compares the largest steps. {_contradictions(maps)}{_without_theorem(maps)}"
    )
    alt = (
        f"Four maps for {title} over step sizes. The proved region lies inside the measured one, at small steps and "
        "small ratios; beyond the measured region runs diverge or are too slow."
    )
    rows = [
        (
            found.learner, found.setting.kappa, float(f"{found.setting.eta:.6g}"), found.setting.dist0,
            float(f"{alpha:.6g}"), float(f"{ratio:.6g}"), float(f"{found.proved[i, j]:.4g}"),
            "" if np.isnan(found.kept[i, j]) else float(f"{found.kept[i, j]:.4g}"),
            "" if np.isnan(found.kept[i, j]) else float(f"{found.diverged[i, j]:.4g}"),
            bool(found.off_zero[i, j]),
        )
        for found in maps
        for i, ratio in enumerate(found.ratios)
        for j, alpha in enumerate(found.alphas)
    ]  # fmt: skip
    header = (
        "learner", "kappa", "eta/L", "dist_0", "alpha L", "beta/alpha", "share proved", "trials that keep it",
        "trials that diverge", "off zero",
    )  # fmt: skip
    return Chart(f"theorem-{first.learner}", panels, alt, caption, header, rows)


def _contradictions(maps: tuple[RegionMap, ...]) -> str:
    refuted, wrong, off_zero = (
        sum(int(values.sum()) for values in each)
        for each in zip(*((found.refuted, found.contradicted, found.off_zero) for found in maps), strict=True)
    )
    if wrong:
        return f"{wrong} of {refuted} refuted cells lie where the theorem forbids it."
    if not off_zero:
        return f"None of {refuted} refuted cells lies in a proved region."
    return (
        f"Of {refuted} refuted cells {off_zero} lie in a proved region (crosses): there the head, 0 by the theorem, is "
        "driven off by rounding errors, and with the head held at 0 the runs keep the envelope."
    )


def _without_theorem(maps: tuple[RegionMap, ...]) -> str:
    if all(found.theorem for found in maps):
        return ""
    return rf" With a mean ($\eta_* = {MEAN:g}\mu_*$) there is no theorem about these heads."


def region_colours(found: RegionMap) -> Array:
    """Colours of the cells, (β/α, αL_*), without what is proved."""
    colours = np.full(found.kept.shape, OTHER, dtype=object)
    colours[found.measured] = SEEN
    colours[found.refuted] = BAD
    return colours


@as_panel
def _region_panel(axes: Any, found: RegionMap) -> None:
    s = found.setting
    draw_map(axes, found.alphas, found.ratios, region_colours(found), log_x=True, log_y=True)
    low, high = axes.get_ylim()
    if found.largest.any():
        # Conditions on αβ and on β/α alone: straight lines here, carried on by half a cell to the map's edges.
        alphas, tops = (
            np.concatenate([[y[0] ** 1.5 / y[1] ** 0.5], y, [y[-1] ** 1.5 / y[-2] ** 0.5]])
            for y in (found.alphas, found.largest)
        )
        axes.fill_between(alphas, np.minimum(tops, low), tops, color=GOOD, linewidth=0, zorder=2)
    rows, columns = np.nonzero(found.off_zero)
    axes.plot(found.alphas[columns], found.ratios[rows], "x", color="white", markersize=5, zorder=3)
    axes.axvline(LINE_ALPHA, color=ON_FILL, linestyle=(0, (1, 1.6)), linewidth=1.1, zorder=3)
    axes.set_ylim(low, high)
    plain_log(axes.xaxis, [0.03, 0.1, 0.3, 1.0, 3.0, 10.0])
    plain_log(axes.yaxis, [1e-3, 1e-2, 0.1, 1.0, 10.0, 100.0])
    axes.set_xlabel("inner step size αL$_*$")
    axes.set_ylabel("ratio of step sizes β/α")
    axes.set_title(f"κ$_*$ = {s.kappa:g}, η$_*$ = {_share(s.eta)}, dist$_0$ = {s.dist0:g}")


def _share(eta: float) -> str:
    return "0" if eta == 0 else f"{eta:.2g}L$_*$"
