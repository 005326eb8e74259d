"""The figures of the boundaries chapter, from the data of ``metarep.reports.chapters.boundaries.data``."""

from typing import Any

import numpy as np
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from metarep.reports.chapters.boundaries.data import (
    ALPHA_L,
    DIST0,
    ENDS,
    FAR_D,
    GAUSSIAN_DEVIATIONS,
    KAPPA,
    LEFT,
    LEFT_ABOVE,
    NEAR_DIST0,
    STAYED,
    STAYED_BELOW,
    BaselineRuns,
    FarStarts,
    GrowthLine,
    HeadLaws,
    NearPlane,
    PhaseDiagram,
    ScaleRuns,
    head_amplification,
)
from metarep.reports.page import style as figures
from metarep.reports.page.charts import (
    BAD,
    BOTH,
    GOOD,
    ON_FILL,
    OTHER,
    Chart,
    draw_cells,
    edges,
    fill_legend,
    panel,
    plain_log,
    share_colours,
)
from metarep.reports.page.markup import LEARNER_TITLES, at_least, at_most, power
from metarep.sim.learners import META_LEARNERS
from metarep.sim.trajectories import CONVERGED_BELOW
from metarep.theory.dynamics.rates import ENVELOPE_OFFSET

Array = np.ndarray


# --- phase diagrams ---------------------------------------------------------------------------------------------------

_PLANE_WORDS = {
    "steps": (r"$\alpha L_*$", r"$\beta/\alpha$", "alpha L", "beta/alpha"),
    "start": (r"$\alpha\beta L_*^2$", r"$\mathrm{dist}_0$", "alpha beta L^2", "dist_0"),
    "spread": (r"$\kappa_*$", r"$\alpha\beta L_*^2$", "kappa", "alpha beta L^2"),
}
_AXIS_LABELS = {
    "steps": ("αL$_*$", "β/α"),
    "start": ("αβL$_*^2$", "dist at the start"),
    "spread": ("κ$_*$", "αβL$_*^2$"),
}
_DECADES = {
    "steps": ([0.03, 0.1, 0.3, 1, 3, 10, 30], [1e-3, 1e-2, 0.1, 1, 10, 100, 1000]),
    "start": ([0.01, 0.03, 0.1, 0.3, 1, 3], None),
    "spread": ([1, 2, 5, 10], [0.01, 0.03, 0.1, 0.3, 1, 3]),
}
_DIST_TICKS = (0.2, 0.5, 0.9, 0.99, 0.999)


def phase_chart(diagrams: list[PhaseDiagram]) -> Chart:
    """One plane, a panel a learner: shares as colours, the linearisation's limit dashed, the least steps dotted."""
    plane = diagrams[0].plane
    panels = tuple((f"phase-{plane}-{d.learner}", _phase_panel(d)) for d in diagrams)
    x_name, y_name, x_column, y_column = _PLANE_WORDS[plane]
    first = diagrams[0]
    shares = ", ".join(f"{LEARNER_TITLES[d.learner]} {_promised(d)}" for d in diagrams)
    caption = (
        f"Convergence over {x_name} and {y_name}: blue where the trials come to {power(CONVERGED_BELOW)} within "
        f"{first.steps} steps, orange where they diverge, grey where neither, tints where some of the {first.trials} "
        r"trials do, yellow where some do the one and some the other. Dashed: the largest $\alpha\beta L_*^2$ at "
        f"which the linearisation at the truth with $w = 0$ is stable. Dotted: where {first.steps} steps just suffice "
        f"in the limit of small steps. Where both promise convergence it is seen in: {shares} of the trials"
        + ". Heads: random draws for which FO-MAML's truth is stable"
        + (rf", $\kappa_* = {KAPPA:g}$" if plane != "spread" else rf" at $\kappa_* = {KAPPA:g}$")
        + "; $k = 2$, $n = 4$, "
        + (rf"$\mathrm{{dist}}_0 = {DIST0:g}$" if plane == "steps" else rf"$\alpha L_* = {ALPHA_L:g}$")
        + (rf", $\mathrm{{dist}}_0 = {DIST0:g}$." if plane == "spread" else ".")
        + (r" White: $E_0 = 0$, above which the envelope says nothing." if plane == "start" else "")
    )
    alt = (
        f"Four maps, one for each meta-learner, over {_plain(x_name)} and {_plain(y_name)}. A band of convergence lies "
        "between too few steps on one side and divergence on the other; for FO-MAML it is mixed with divergence."
    )
    rows = [
        (d.learner, float(f"{x:.6g}"), float(f"{y:.6g}"), float(d.converged[i, j]), float(d.diverged[i, j]))
        for d in diagrams
        for i, y in enumerate(d.y)
        for j, x in enumerate(d.x)
    ]
    return Chart(f"phase-{plane}", panels, alt, caption, ("learner", x_column, y_column, "converged", "diverged"), rows)


def _promised(diagram: PhaseDiagram) -> str:
    inside = diagram.predicted
    return f"{diagram.converged[inside].mean():.0%}" if inside.any() else "(nowhere)"


def _plain(latex: str) -> str:
    from metarep.reports.page.markup import inline_text

    return inline_text(latex)


def _phase_panel(d: PhaseDiagram) -> Any:
    with figures.style():
        figure, axes = panel()
        far = d.plane == "start"  # drawn by 1 − dist_0, which the eye wants to grow downwards
        x_edges, y_edges = edges(d.x, True), edges(1 - d.y if far else d.y, True)
        axes.set_xscale("log")
        axes.set_yscale("log")
        draw_cells(axes, x_edges, y_edges, share_colours(d.converged, d.diverged))
        _phase_lines(axes, d, x_edges, y_edges)
        x_ticks, y_ticks = _DECADES[d.plane]
        plain_log(axes.xaxis, [float(tick) for tick in x_ticks])
        if y_ticks is None:
            axes.yaxis.set_major_locator(FixedLocator([1 - tick for tick in _DIST_TICKS]))
            axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{1 - value:g}"))
            axes.yaxis.set_minor_locator(NullLocator())
        else:
            plain_log(axes.yaxis, [float(tick) for tick in y_ticks])
        axes.set_xlabel(_AXIS_LABELS[d.plane][0])
        axes.set_ylabel(_AXIS_LABELS[d.plane][1])
        axes.set_title(LEARNER_TITLES[d.learner])
        fill_legend(figure, ((GOOD, "converged"), (OTHER, "neither"), (BAD, "diverged"), (BOTH, "both")))
    return figure


def _phase_lines(axes: Any, d: PhaseDiagram, x_edges: Array, y_edges: Array) -> None:
    dashed: dict[str, Any] = {"color": ON_FILL, "linestyle": (0, (5, 3)), "linewidth": 1.3, "zorder": 3}
    dotted: dict[str, Any] = {"color": ON_FILL, "linestyle": (0, (1, 1.6)), "linewidth": 1.3, "zorder": 3}
    if d.plane == "steps":
        axes.plot(d.x, d.limit / d.x**2, **dashed)
        axes.plot(d.x, d.enough[0] / d.x**2, **dotted)
    elif d.plane == "start":
        axes.plot(np.full(2, d.limit[0]), y_edges[[0, -1]], **dashed)
        axes.plot(d.enough[:, 0], 1 - d.y, **dotted)
        axes.axhline(1 - np.sqrt(ENVELOPE_OFFSET), color="white", linewidth=1.0, zorder=2)
    else:
        axes.plot(d.x, d.limit, **dashed)
        axes.plot(d.x, d.enough[0], **dotted)
    axes.set_xlim(x_edges[0], x_edges[-1])
    axes.set_ylim(y_edges[0], y_edges[-1])


# --- measured constants -----------------------------------------------------------------------------------------------


def constants_chart(details: dict[str, dict[str, Any]]) -> Chart:
    """Largest c of the envelope that an adversary left, over (αL_*, αβL_*²), a panel a learner (details of the
    claims)."""
    panels, rows = [], []
    for name, found in details.items():
        table = np.array(found["largest_c"], dtype=float)
        panels.append((f"constants-{name}", _constants_panel(name, found, table)))
        rows += [
            (name, alpha_L, step, float(table[i, j]))
            for i, step in enumerate(found["step"])
            for j, alpha_L in enumerate(found["alpha_L"])
        ]
    steps = next(iter(details.values()))["steps"]
    caption = (
        r"The largest $c$ with whose envelope $(1 - c\,\alpha\beta E_0\mu_*^2)^{t-1}$ the worst run that a search "
        rf"found complies over {steps} steps (× where it diverged), fixed tasks. Blue: $c = \frac12$ survived; "
        "orange: it is broken, and searched no further."
    )
    alt = (
        "Four tables, one for each meta-learner, of the largest constant that survived over αL and αβL²: it survives "
        "at small steps, for Exact MAML only at small αL."
    )
    return Chart("constants", tuple(panels), alt, caption, ("learner", "alpha L", "alpha beta L^2", "largest c"), rows)


def _constants_panel(name: str, found: dict[str, Any], table: Array) -> Any:
    with figures.style():
        figure, axes = panel()
        survived = table >= 0.5
        colours = np.where(survived, "#bcdcf2", "#f6c6a6").astype(object)
        columns, rows = table.shape[1], table.shape[0]
        draw_cells(axes, np.arange(columns + 1) - 0.5, np.arange(rows + 1) - 0.5, colours)
        for i in range(rows):
            for j in range(columns):
                value = "×" if table[i, j] < 0 else f"{table[i, j]:.2f}"
                axes.text(j, i, value, ha="center", va="center", fontsize=7.5, color=ON_FILL, zorder=4)
        axes.set_xticks(range(columns), [f"{value:g}" for value in found["alpha_L"]])
        axes.set_yticks(range(rows), [f"{value:g}" for value in found["step"]])
        axes.set_xlabel("αL$_*$")
        axes.set_ylabel("αβL$_*^2$")
        axes.set_title(LEARNER_TITLES[name])
    return figure


# --- FO-MAML ----------------------------------------------------------------------------------------------------------

_FATES = ((GOOD, "comes to the truth"), (OTHER, "undecided"), (BAD, "leaves it"))


def near_chart(gaussian: NearPlane, three: NearPlane, growth: GrowthLine) -> Chart:
    """FO-MAML near the truth: what 𝓛 predicts as lines, what is seen as colours and dots."""
    panels = (
        ("fo-maml-near-gaussian", _gaussian_panel(gaussian)),
        ("fo-maml-near-three", _three_panel(three)),
        ("fo-maml-near-growth", _growth_panel(growth)),
    )
    off = float(np.nanmax(np.abs(growth.seen - growth.predicted)))
    caption = (
        f"FO-MAML's truth: does it stay there? Balanced starts at $\\mathrm{{dist}}_0 = {NEAR_DIST0:g}$, "
        f"{gaussian.steps} "
        r"steps. (a) $k = 2$, heads with the first three moments of $N(\mu, \mathrm{diag}(1, \frac14))$; line: the "
        r"predicted "
        rf"boundary $\mu^\top\Sigma^{{-1}}\mu = 1$, right for {_agreement(gaussian)}. (b) $k = 1$, heads $1, r, s$; "
        rf"line: "
        rf"$m_2^2 = m_1 m_3$, right for {_agreement(three)}. (c) Growth a step of a perturbation of the truth, heads "
        rf"with "
        rf"the moments of $N(m e_1, I)$, $\alpha\beta = {growth.product:g}$: line predicted for every $k$, dots "
        rf"seen, apart "
        f"by at most {at_most(off)}. Undecided: the run ends between {STAYED_BELOW:g} and {LEFT_ABOVE:g} from the "
        f"truth."
    )
    alt = (
        "Three panels. In the plane of Gaussian means the runs that stay fill the predicted ellipse; in the plane of "
        "three heads they stay where the predicted curve says; the measured growth lies on the predicted line, "
        "crossing 1 at |m| = 1."
    )
    rows: list[tuple[Any, ...]] = [
        (name, float(x), float(y), plane.fate[i, j], float(plane.least[i, j]))
        for name, plane in (("gaussian", gaussian), ("three heads", three))
        for i, y in enumerate(plane.y)
        for j, x in enumerate(plane.x)
    ]
    rows += [
        (f"growth, k = {k}", float(m), float(growth.seen[i, j]), "", float(growth.predicted[j]))
        for i, k in enumerate(growth.ks)
        for j, m in enumerate(growth.m)
    ]
    return Chart("fo-maml-near", panels, alt, caption, ("panel", "x", "y", "seen", "predicted"), rows)


def _agreement(plane: NearPlane) -> str:
    right, decided, undecided = plane.agreement
    return f"{right} of {decided} decided points" + (f" ({undecided} undecided)" if undecided else "")


def _fate_cells(axes: Any, plane: NearPlane) -> None:
    colours = share_colours(plane.fate == STAYED, plane.fate == LEFT)
    draw_cells(axes, edges(plane.x, False), edges(plane.y, False), colours)


def _gaussian_panel(plane: NearPlane) -> Any:
    with figures.style():
        figure, axes = panel()
        _fate_cells(axes, plane)
        turn = np.linspace(0, 2 * np.pi, 200)
        first, second = GAUSSIAN_DEVIATIONS
        axes.plot(first * np.cos(turn), second * np.sin(turn), color=ON_FILL, linewidth=1.5, zorder=3)
        axes.set_xlabel("μ$_1$")
        axes.set_ylabel("μ$_2$")
        axes.set_title("(a) Means of Gaussian heads")
        fill_legend(figure, _FATES)
    return figure


def _three_panel(plane: NearPlane) -> Any:
    with figures.style():
        figure, axes = panel()
        _fate_cells(axes, plane)
        fine = np.linspace(plane.x[0] * 1.05, plane.x[-1] * 1.05, 240)
        r, s = np.meshgrid(fine, fine)
        m_1, m_2, m_3 = ((1 + r**j + s**j) / 3 for j in (1, 2, 3))
        axes.contour(fine, fine, m_2**2 - m_1 * m_3, [0.0], colors=ON_FILL, linewidths=1.5, zorder=3)
        axes.set_xlabel("r")
        axes.set_ylabel("s")
        axes.set_title("(b) Heads 1, r and s")
        fill_legend(figure, _FATES)
    return figure


def _growth_panel(growth: GrowthLine) -> Any:
    with figures.style():
        figure, axes = panel()
        axes.plot(growth.m, growth.predicted, color=figures.INK, linewidth=1.2, label="predicted, any k")
        for place, k in enumerate(growth.ks):
            own = slice(place, None, len(growth.ks))  # in turn, so that no dot hides another
            axes.plot(
                growth.m[own], growth.seen[place, own], "osD"[place], color=figures.SERIES[place], markersize=5,
                label=f"seen, k = {k}",
            )  # fmt: skip
        axes.axhline(1, color=figures.INK, alpha=0.35, linewidth=0.8)
        axes.axvline(1, color=figures.INK, alpha=0.35, linewidth=0.8)
        axes.set_xlabel("|m|")
        axes.set_ylabel("growth a step")
        axes.set_title("(c) Heads from N(m e$_1$, I)")
        axes.legend(loc="lower right")
    return figure


def far_chart(far: FarStarts) -> Chart:
    """FO-MAML from far: the head's growth as predicted and as seen, and how often it ends in divergence."""
    panels = (("fo-maml-far-head", _amplification_panel(far)), ("fo-maml-far-share", _far_share_panel(far)))
    off = float(np.abs(far.amplification / far.predicted - 1).max())
    caption = (
        "FO-MAML from far. (a) By how much a small head grows before it decays, from balance with all angles equal, "
        r"$\Psi_* = I$, no mean; lines: own prediction in the limit of small steps, $\left(\frac{1 - s^2}{1 - "
        r"s_0^2}\right)^{k/2} \frac{s}{s_0}$ with $s_0 = \mathrm{dist}_0$, $s^2 = \frac{1}{k + 1}$; at most "
        f"{off:.0%} off. (b) Share of {far.trials} trials that diverge within {far.steps} steps, $d = {far.d}$, $k = "
        rf"n = {far.k}$, $\alpha = \beta = 0.1$, fresh tasks; the cross is for random starts, at their median "
        f"distance, {far.random_share:.0%}."
    )
    alt = (
        "Two panels against one minus the distance at the start. The head's growth lies on the predicted lines, up to "
        f"{far.amplification.max():.0e} for k = {far.ks[-1]}; the share that diverges rises from 0 to 1 on the way to "
        "distance 1."
    )
    rows: list[tuple[Any, ...]] = [
        (f"head, k = {k}", float(gap), float(far.amplification[i, j]), float(far.predicted[i, j]))
        for i, k in enumerate(far.ks)
        for j, gap in enumerate(far.gaps)
    ]
    rows += [
        ("share diverged", float(gap), float(share), "") for gap, share in zip(far.far_gaps, far.shares, strict=True)
    ]
    rows.append(("share diverged, random start", far.random_gap, far.random_share, ""))
    return Chart("fo-maml-far", panels, alt, caption, ("panel", "1 - dist_0", "seen", "predicted"), rows)


def _towards_one(axes: Any, ticks: tuple[float, ...]) -> None:
    """dist_0 on an axis that is logarithmic in 1 − dist_0, growing to the right."""
    axes.set_xscale("log")
    axes.invert_xaxis()
    axes.xaxis.set_major_locator(FixedLocator([1 - tick for tick in ticks]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{1 - value:g}"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("dist at the start")


def _amplification_panel(far: FarStarts) -> Any:
    with figures.style():
        figure, axes = panel()
        fine = np.geomspace(far.gaps[0], far.gaps[-1], 100)
        for place, k in enumerate(far.ks):
            colour = figures.SERIES[place]
            axes.plot(fine, head_amplification(1 - fine, k), color=colour, linewidth=1.2)
            axes.plot(far.gaps, far.amplification[place], "osD"[place], color=colour, markersize=5, label=f"k = {k}")
        axes.set_yscale("log")
        _towards_one(axes, (0.5, 0.9, 0.99, 0.999))
        axes.set_ylabel("growth of a small head")
        axes.set_title("(a) The head before it decays")
        axes.legend(loc="upper left")
    return figure


def _far_share_panel(far: FarStarts) -> Any:
    with figures.style():
        figure, axes = panel()
        axes.plot(
            far.far_gaps, far.shares, "o-", color=figures.COLOURS["fo-maml"], markersize=5, label="all angles equal"
        )
        axes.plot(
            far.random_gap, far.random_share, "x", color=figures.INK, markersize=8, markeredgewidth=2,
            label=f"random start, d = {FAR_D}",
        )  # fmt: skip
        axes.set_ylim(-0.03, 1.05)
        _towards_one(axes, (0.9, 0.97, 0.99, 0.997, 0.999))
        axes.set_ylabel("share of trials that diverge")
        axes.set_title("(b) Fresh tasks, k = n = 5")
        axes.legend(loc="upper left")
    return figure


# --- the start's scale ------------------------------------------------------------------------------------------------

_END_COLOURS = {"learned": GOOD, "blind": "#cc79a7", "neither": OTHER, "diverged": BAD}


def scale_chart(runs: list[ScaleRuns]) -> Chart:
    """Where runs from random subspaces end, by the scale of the start: bars, a panel a learner."""
    panels = tuple((f"scale-{r.learner}", _scale_panel(r)) for r in runs)
    first = runs[0]
    caption = (
        rf"Where {first.ends.shape[1]} runs from random subspaces end by the start's scale $\sqrt\alpha\|B_0\|$ ($1$ "
        r"is balanced, $0.32$ orthonormal): $d = 100$, $k = 5$, $n = 10$ fixed tasks with $\Psi_* = I$, $\alpha = "
        rf"\beta = 0.1$, {first.steps} steps. Blind: $\mathrm{{dist}} > \frac12$ while the loss after adaptation is "
        "below 1 % of the start's."
        + "".join(
            f" {LEARNER_TITLES[r.learner]}'s truth itself is unstable for {r.unstable} of these draws of heads."
            for r in runs
            if r.unstable
        )
    )
    alt = (
        "Four bar charts of outcomes against the scale of the start: both ANILs learn nearly everywhere, Exact MAML "
        "ends blind from small starts, FO-MAML diverges from small and from balanced ones."
    )
    rows = [
        (r.learner, float(scale), *(float(r.share(end)[place]) for end in ENDS))
        for r in runs
        for place, scale in enumerate(r.scales)
    ]
    return Chart("scale", panels, alt, caption, ("learner", "scale", *ENDS), rows)


def _scale_panel(runs: ScaleRuns) -> Any:
    with figures.style():
        figure, axes = panel()
        places, below = np.arange(runs.scales.size), np.zeros(runs.scales.size)
        for end in ENDS:
            share = runs.share(end)
            axes.bar(places, share, bottom=below, width=0.82, color=_END_COLOURS[end], linewidth=0)
            below += share
        axes.set_xticks(places, [f"{scale:g}" for scale in runs.scales])
        axes.set_xlabel("scale of the start, √α‖B$_0$‖")
        axes.set_ylabel("share of runs")
        axes.set_ylim(0, 1)
        axes.set_title(LEARNER_TITLES[runs.learner])
        fill_legend(figure, [(_END_COLOURS[end], end) for end in ENDS])
    return figure


# --- heads ------------------------------------------------------------------------------------------------------------


def heads_chart(diversity: HeadLaws, mean: HeadLaws) -> Chart:
    """Steps to the truth against the weight of the least direction and against the mean of the heads."""
    panels = (("heads-diversity", _heads_panel(diversity)), ("heads-mean", _heads_panel(mean)))
    slope = _slope(diversity)
    gone = [float(mean.values[i]) for i in np.flatnonzero(mean.diverged[META_LEARNERS.index("fo-maml")])]
    caption = (
        r"Steps until $\mathrm{dist} \le 10^{-6}$ from balance at $\mathrm{dist}_0 = 0.6$, $k = 3$, fixed tasks, "
        rf"$\alpha\beta = {diversity.product:g}$; grey: the rate $1 - \alpha\beta\mu_*^2$ alone. (a) Heads with the "
        rf"moments of $N(0, \mathrm{{diag}}(1, 1, \mu^2))$: steps grow as $\mu^{{{slope:.2f}}}$. (b) Of $N(m e_1, "
        r"I)$, which leaves $\mu_*$ as it is"
        + (
            rf"; crosses: FO-MAML diverges within {mean.steps} steps, from $m = {min(gone):g}$ on."
            if gone
            else f"; no run diverges within {mean.steps} steps."
        )
    )
    alt = (
        "Two panels of steps needed. Against task diversity the four meta-learners lie on one line of slope minus two; "
        "against the heads' mean they stay level, but FO-MAML diverges beyond mean 1."
    )
    rows = [
        (
            law.kind,
            name,
            float(value),
            "" if np.isnan(law.arrival[i, j]) else int(law.arrival[i, j]),
            bool(law.diverged[i, j]),
        )
        for law in (diversity, mean)
        for i, name in enumerate(META_LEARNERS)
        for j, value in enumerate(law.values)
    ]
    return Chart("heads", panels, alt, caption, ("panel", "learner", "value", "steps", "diverged later"), rows)


def _slope(law: HeadLaws) -> float:
    """Exponent of the steps needed in μ, over all learners."""
    x = np.log(law.values)
    slopes = [np.polyfit(x[np.isfinite(row)], np.log(row[np.isfinite(row)]), 1)[0] for row in law.arrival]
    return float(np.mean(slopes))


def _heads_panel(law: HeadLaws) -> Any:
    with figures.style():
        figure, axes = panel()
        axes.plot(law.values, law.predicted, color=figures.INK, alpha=0.3, linewidth=5, solid_capstyle="butt")
        for place, name in enumerate(META_LEARNERS):
            colour = figures.COLOURS[name]
            axes.plot(
                law.values, law.arrival[place], color=colour, linestyle=figures.DASHES[name],
                linewidth=figures.WIDTHS.get(name, 1.7), label=LEARNER_TITLES[name],
            )  # fmt: skip
            gone = law.diverged[place]
            level = np.where(np.isfinite(law.arrival[place]), law.arrival[place], law.predicted)
            axes.plot(law.values[gone], level[gone], "x", color=colour, markersize=7, markeredgewidth=2)
        axes.set_ylabel("steps to dist 10$^{-6}$")
        if law.kind == "diversity":
            axes.set_xscale("log")
            axes.set_yscale("log")
            plain_log(axes.xaxis, [0.25, 0.5, 1.0])
            plain_log(axes.yaxis, [300.0, 1000.0, 3000.0])
            axes.set_xlabel("μ")
            axes.set_title("(a) Weight of the least direction")
            axes.legend(loc="upper right")
        else:
            axes.set_ylim(0, 1.6 * float(np.nanmax(law.arrival)))
            axes.set_xlabel("mean m")
            axes.set_title("(b) Mean of the heads")
    return figure


# --- the baseline -----------------------------------------------------------------------------------------------------


def baseline_chart(runs: list[BaselineRuns]) -> Chart:
    """Average loss for several k, a panel each: dist of the trials, and what bounds it."""
    panels = tuple((f"baseline-{r.k}", _baseline_panel(r)) for r in runs)
    parts = []
    for r in runs:
        if r.rate is not None:
            parts.append(
                f"$k = {r.k}$: all come below {at_most(float(r.dist.min(0).max()))}, at the predicted rate (dotted)"
            )
        elif r.bound is not None:
            parts.append(
                f"$k = {r.k}$: none below {at_least(r.dist.min(), 3)}, every trial above its own bound "
                rf"$\sigma_2(B_{{*\perp}}^\top\hat B_0)$ (dotted), by {at_least((r.dist.min(0) - r.bound).min(), 3)} "
                rf"or more"
            )
    caption = (
        r"Average loss from balanced starts at $\mathrm{dist}_0 = 0.9$, fixed tasks with heads $N(e_1, I)$, $n = 20$, "
        f"$d = 100$. {'; '.join(parts)}."
    )
    alt = (
        "Three panels of distance against outer step: for k = 1 straight lines fall as predicted, for k = 2 and 5 the "
        "distance stays above its bounds."
    )
    rows = [
        (r.k, int(step), trial, float(f"{r.dist[i, trial]:.6g}"), "" if r.bound is None else float(r.bound[trial]))
        for r in runs
        for trial in range(r.dist.shape[1])
        for i, step in enumerate(r.steps)
    ]
    return Chart("baseline", panels, alt, caption, ("k", "step", "trial", "dist", "bound"), rows)


def _baseline_panel(runs: BaselineRuns) -> Any:
    with figures.style():
        figure, axes = panel()
        for trial in range(runs.dist.shape[1]):
            colour = figures.SERIES[trial]
            axes.plot(
                runs.steps, np.where(runs.dist[:, trial] > 0, runs.dist[:, trial], np.nan), color=colour, linewidth=1.2
            )
            if runs.bound is not None:
                axes.axhline(runs.bound[trial], color=colour, linestyle=(0, (1, 1.6)), linewidth=1.2)
            elif runs.rate is not None:
                half = len(runs.steps) // 2
                line = runs.dist[half, trial] * runs.rate[trial] ** (runs.steps - runs.steps[half])
                axes.plot(runs.steps, line * 0.5, color=colour, linestyle=(0, (1, 1.6)), linewidth=1.2)
        if runs.k == 1:
            figures.log_axis(axes, figures.lowest_shown(runs.dist, floor=1e-30))
        else:
            axes.set_ylim(0, 1)
        axes.set_xlim(0, runs.steps[-1])
        axes.set_xlabel("outer step")
        axes.set_ylabel("dist(B, B$_*$)")
        axes.set_title(f"k = {runs.k}")
    return figure
