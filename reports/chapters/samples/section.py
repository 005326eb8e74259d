"""The report's chapter on finite samples: FO-ANIL's noise floor against theory, recovery against sample sizes."""

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from metarep.reports.chapters.chapter import Chapter, Results, again
from metarep.reports.chapters.claims.records import mention
from metarep.reports.chapters.samples.runs import (
    FLOOR_CLAIM,
    NAME,
    SIZES,
    FloorPoint,
    RecoveryPoint,
    RecoverySetting,
    SamplesResults,
    beside,
    samples_jobs,
    samples_of,
)
from metarep.reports.page import blocks as b
from metarep.reports.page.charts import Chart
from metarep.reports.page.markup import LEARNER_TITLES, at_least
from metarep.reports.page.style import COLOURS, DASHES, INK, WIDTHS, new_figure, style
from metarep.sim.learners import LEARNERS
from metarep.theory.claims.samples.floor import GROWTH_SETTING, SMALL, FloorSetting

# --- figures


def _line(axes: Any, x: list[float], y: list[float]) -> None:
    axes.plot(x, y, color=INK, linewidth=0.8, alpha=0.6, zorder=1)


def floor_figure(points: tuple[FloorPoint, ...]) -> Figure:
    """Seen against predicted mean square sines with the line of identity, for the prediction and the rough formula."""
    with style():
        figure = new_figure(4.6, 4.2)
        axes = figure.subplots()
        seen = np.array([p.seen for p in points])
        values = np.array([[p.seen, p.predicted, p.rough] for p in points])
        low, high = values.min() / 1.5, values.max() * 1.5
        _line(axes, [low, high], [low, high])
        axes.plot(
            [p.rough for p in points], seen, "x", color=COLOURS["average-loss"], label="rough formula",
            markersize=6, markeredgewidth=1.4,
        )  # fmt: skip
        axes.errorbar(
            [p.predicted for p in points], seen, yerr=[3 * p.standard_error for p in points], fmt="o",
            color=COLOURS["anil"], markersize=5, elinewidth=1.2, label="Lyapunov equation",
        )  # fmt: skip
        axes.set(xscale="log", yscale="log", xlim=(low, high), ylim=(low, high), aspect="equal")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(LogLocator(10, subs=(1.0, 2.0, 5.0)))
            axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            axis.set_minor_formatter(NullFormatter())
        axes.set_xlabel("predicted mean square sine")
        axes.set_ylabel("seen, with three standard errors")
        axes.set_title(r"FO-ANIL's noise floor, $\alpha\beta L_*^2 = " + f"{points[0].size:g}$")
        axes.legend(loc="upper left")
    return figure


def growth_figure(points: tuple[FloorPoint, ...]) -> Figure:
    """The predictions' relative errors against αβL_*²."""
    with style():
        figure = new_figure(4.6, 4.2)
        axes = figure.subplots()
        sizes = np.array([p.size for p in points])
        _line(axes, [0.0, 1.05 * sizes[-1]], [0.0, 0.0])
        for attribute, colour, marker, label in (
            ("predicted", COLOURS["anil"], "o", "with varying contraction"),
            ("plain", COLOURS["maml"], "s", "plain Lyapunov equation"),
        ):
            errors = np.array([getattr(p, attribute) / p.seen - 1 for p in points])
            spread = 3 * np.array([p.standard_error / p.seen for p in points])
            axes.errorbar(
                sizes, 100 * errors, yerr=100 * spread, color=colour, marker=marker, markersize=4.5, linewidth=1.3,
                elinewidth=1.0, label=label,
            )  # fmt: skip
        axes.set_xlim(0.0, 1.05 * sizes[-1])
        axes.set_xlabel(r"$\alpha\beta L_*^2$")
        axes.set_ylabel("relative error of the prediction (%)")
        axes.set_title("The error grows with the outer step size")
        axes.legend(loc="lower left")
    return figure


def recovery_figure(points: tuple[RecoveryPoint, ...], setting: RecoverySetting) -> Figure:
    """Final distance against m_in and against m_out, medians with the trials' range, for all five learners."""
    with style():
        figure = new_figure(8.6, 4.0)
        row = figure.subplots(1, 2, sharey=True)
        for axes, varied, kept in zip(row, ("m_in", "m_out"), ("m_out", "m_in"), strict=True):
            for learner in LEARNERS:
                mine = sorted(
                    (p for p in points if p.learner == learner and getattr(p, kept) == setting.other and p.dist),
                    key=lambda p: getattr(p, varied),
                )
                sizes = [getattr(p, varied) for p in mine]
                middle = [float(np.median(p.dist)) for p in mine]
                colour = COLOURS[learner]
                axes.fill_between(
                    sizes, [min(p.dist) for p in mine], [max(p.dist) for p in mine], color=colour, alpha=0.12,
                    linewidth=0,
                )  # fmt: skip
                axes.plot(
                    sizes, middle, color=colour, linestyle=DASHES[learner], marker="o", markersize=3.5,
                    linewidth=WIDTHS.get(learner, 1.7), label=LEARNER_TITLES[learner], dash_capstyle="butt",
                    zorder=4.0 if learner.startswith("fo-") else 3.0,
                )  # fmt: skip
            axes.set(xscale="log", yscale="log")
            axes.set_xticks(setting.sizes, [str(m) for m in setting.sizes])
            axes.minorticks_off()
            axes.grid(axis="y", color=INK, alpha=0.1, linewidth=0.6)
            axes.set_xlabel(f"${_symbol(varied)}$")
            axes.set_title(
                f"({'ab'[varied == 'm_out']}) ${_symbol(varied)}$ varies, ${_symbol(kept)} = {setting.other}$"
            )
        row[0].set_ylabel(f"dist(B, B$_*$) after {setting.steps} steps")
        row[1].legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def _symbol(name: str) -> str:
    return rf"m_{{\mathrm{{{name[2:]}}}}}"


# --- the chapter


_FLOOR_HEADER = (
    "d", "k", "n", "alpha", "m_in", "m_out", "sigma", "heads_mean", "heads_spread", "heads_seed", "alpha_beta_L2",
    "beta", "predicted", "predicted_plain", "rough", "seen", "standard_error",
)  # fmt: skip


def _median(results: SamplesResults, learner: str, m_in: int) -> float:
    """Median final distance of a learner at that m_in and the kept m_out; nan if all trials diverged."""
    other = results.recovery_setting.other
    found = [d for p in results.recovery if (p.learner, p.m_in, p.m_out) == (learner, m_in, other) for d in p.dist]
    return float(np.median(found)) if found else float("nan")


def _percent(value: float) -> str:
    return f"{100 * value:+.1f} %".replace("-", "−")


def samples_section(gathered: Results) -> b.Section | None:
    """The chapter: floor against theory, and recovery against sample sizes."""
    if (results := samples_of(gathered)) is None:
        return None
    s = results.recovery_setting
    worst = max(results.floor, key=lambda p: abs(p.predicted / p.seen - 1))
    rough = [p.rough / p.seen - 1 for p in results.floor]
    table = b.Table(
        ("$d$", "$k$", "$n$", r"$\alpha$", "$m_{in}$", "$m_{out}$", r"$\sigma$", "predicted", "seen", "± (%)", "error",
         "rough"),
        tuple(
            (
                *(f"{value:g}" for value in (
                    p.setting.d, p.setting.k, p.setting.n, p.setting.alpha, p.setting.m_in, p.setting.m_out,
                    p.setting.sigma,
                )),
                f"{p.predicted:.4g}", f"{p.seen:.4g}", f"{100 * p.standard_error / p.seen:.1f}",
                _percent(p.predicted / p.seen - 1), _percent(p.rough / p.seen - 1),
            )
            for p in results.floor
        ),
        frozenset(range(12)),
        "Mean square sines at the floor; ± is the standard error of what was seen. "
        f"{mention(gathered.claims, FLOOR_CLAIM)} is held against these very runs, by default the first three.",
    )  # fmt: skip
    largest = results.growth[-1]
    base = [p for p in results.recovery if p.learner == "average-loss"]
    baseline = min((min(p.dist) for p in base if p.dist), default=float("nan"))
    lost = {name: sum(p.diverged for p in results.recovery if p.learner == name) for name in LEARNERS}
    runs = s.trials * len({(p.m_in, p.m_out) for p in results.recovery})
    diverged = ", ".join(f"{count} of {runs} of {LEARNER_TITLES[name]}" for name, count in lost.items() if count)
    fewest = min(s.sizes)
    recovery = Chart(
        "samples-recovery",
        (("samples-recovery", recovery_figure(results.recovery, s)),),
        "Two panels of the final distance on logarithmic axes, against the inner and against the outer samples per "
        "task: the four meta-learners fall as samples grow, average loss does not.",
        rf"Distance to the truth after {s.steps} steps, $d = {s.d}$, $k = {s.k}$, $n = {s.n}$, $\alpha = \beta = "
        rf"{s.alpha:g}$, $\sigma = {s.sigma:g}$, heads $N(0, I)$ drawn afresh at every step, from a balanced start at "
        f"distance {s.dist0:g}. Lines are medians over {s.trials} trials, bands their range. Average loss never gets "
        f"below {at_least(min(baseline, s.dist0), 2)}; it makes no use of inner samples. With {fewest} inner samples "
        f"Exact ANIL ends {_median(results, 'anil', fewest) / _median(results, 'fo-anil', fewest):.1f} times as far "
        "from the truth as FO-ANIL: the exact methods' gradients hold the inner sample's noise across the truth, the "
        "first-order ones' only through the adapted parameters."
        + (f" Trials that diverged are left out: {diverged}." if diverged else ""),
        ("learner", "m_in", "m_out", "trial", "dist", "diverged"),
        [(p.learner, p.m_in, p.m_out, i, dist, p.diverged) for p in results.recovery for i, dist in enumerate(p.dist)],
    )
    floor_rows: list[tuple[Any, ...]] = [
        (
            *(getattr(p.setting, name) for name in FloorSetting._fields),
            p.size, p.setting.beta, p.predicted, p.plain, p.rough, p.seen, p.standard_error,
        )
        for p in (*results.floor, *results.growth)
    ]  # fmt: skip
    floor = Chart(
        "samples-floor",
        (("samples-floor", floor_figure(results.floor)), ("samples-growth", growth_figure(results.growth))),
        "Two panels: seen against predicted floors lie on the line of identity; the predictions' relative errors grow "
        "with the outer step size.",
        rf"Left: long runs at $\alpha\beta L_*^2 = {SMALL:g}$ in {len(results.floor)} settings. Right: one setting "
        rf"($d = {GROWTH_SETTING.d}$, $k = {GROWTH_SETTING.k}$) at growing $\beta$; at $\alpha\beta L_*^2 = "
        f"{largest.size:g}$ the plain equation is off by {_percent(largest.plain / largest.seen - 1)}, with the "
        f"varying contraction by {_percent(largest.predicted / largest.seen - 1)}.",
        _FLOOR_HEADER,
        floor_rows,
    )
    return b.Section(
        "samples",
        "Finite samples",
        (
            b.Paragraph(
                r"Each task draws $m_{in}$ inner and $m_{out}$ fresh outer samples. Then no learner reaches the truth: "
                r"the distance settles at a floor. FO-ANIL's floor for fixed tasks is predicted without fitting "
                r"anything: the mean dynamics rest at $\alpha PP^\top = \frac{m_{in}}{m_{in}+1} V (V + "
                r"\frac{\tau}{m_{in}+1} I)^{-1}$, $Pw = \bar w_*$, and around this rest the perpendicular part obeys a "
                r"discrete Lyapunov equation whose source is a fourth moment of the adapted head."
            ),
            b.Paragraph(
                f"At small steps the largest deviation from a long run is {_percent(worst.predicted / worst.seen - 1)} "
                f"(standard error {100 * worst.standard_error / worst.seen:.1f} %). The rough formula "
                r"$\frac{\alpha\beta(d-k)s^2}{2 n m_{out}}$ is off by "
                f"{_percent(min(rough))} to {_percent(max(rough))} in the same settings."
            ),
            floor.picture(),
            b.Details("The settings", (table,)),
            recovery.picture(),
            again(gathered, NAME),
        ),
    )


CHAPTER = Chapter(
    samples_section, name=NAME, sizes=SIZES, jobs=samples_jobs, beside=beside, record={"samples": samples_of}
)
