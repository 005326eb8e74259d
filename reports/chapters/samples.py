"""The report's chapter on finite samples: FO-ANIL's noise floor against theory, all five learners against sample sizes.

``measure_samples`` runs everything (each part can also be run on its own, in any order: each draws from a stream of its
own); ``samples_section`` makes the chapter of it, ``samples_record`` plain data.
"""

import zlib
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from metarep.reports.page import blocks as b
from metarep.reports.page import style as figures
from metarep.reports.page.markup import LEARNER_TITLES, at_least
from metarep.reports.page.output import as_csv
from metarep.sim.learners import LEARNERS
from metarep.sim.problems import make_problem
from metarep.sim.sampling.runs import run_sampled
from metarep.theory.claims.samples.floor import (
    FLOOR_SETTINGS,
    FULL_EFFORT,
    GROWTH_SETTING,
    SMALL,
    FloorSetting,
    measured_floor,
)
from metarep.theory.dynamics.floor import predicted_floor, rough_floor

GROWTH_SIZES = (0.005, 0.01, 0.02, 0.04, 0.08)


@dataclass(frozen=True)
class FloorPoint:
    """A long run at the floor, and what was predicted of it; mean square sines."""

    setting: FloorSetting
    size: float
    """αβL_*²."""
    predicted: float
    plain: float
    """Predicted without counting that the contraction varies from step to step."""
    rough: float
    seen: float
    standard_error: float


@dataclass(frozen=True)
class RecoveryPoint:
    """Where a learner's trials ended at one pair of sample sizes."""

    learner: str
    m_in: int
    m_out: int
    dist: tuple[float, ...]
    """Final dist of the trials that did not diverge."""
    diverged: int


@dataclass(frozen=True)
class RecoverySetting:
    """What the recovery figure runs: heads N(0, I), tasks drawn afresh each step, a balanced start."""

    d: int = 100
    k: int = 3
    n: int = 5
    alpha: float = 0.1
    beta: float = 0.1
    sigma: float = 0.5
    dist0: float = 0.7
    steps: int = 1500
    trials: int = 10
    sizes: tuple[int, ...] = (5, 20, 80, 320)
    other: int = 80
    """The size that is kept while the other one varies."""


RECOVERY = {
    False: RecoverySetting(),
    True: RecoverySetting(steps=3000, trials=20, sizes=(5, 10, 20, 40, 80, 160, 320, 640)),
}
"""By whether the report is full."""


@dataclass(frozen=True)
class SamplesResults:
    """Everything that the chapter shows; depends on the seed and the effort alone."""

    seed: int
    floor: tuple[FloorPoint, ...]
    growth: tuple[FloorPoint, ...]
    recovery: tuple[RecoveryPoint, ...]
    recovery_setting: RecoverySetting


# --- measuring --------------------------------------------------------------------------------------------------------


def _seed(seed: int, *parts: Any) -> int:
    """A stream of its own for every part, the same on every machine."""
    return zlib.crc32(repr((seed, *parts)).encode())


def _floor_point(setting: FloorSetting, size: float, seed: int, relative_error: float) -> FloorPoint:
    arguments = setting.arguments(size)
    floor = predicted_floor(*arguments)
    plain = predicted_floor(*arguments, varying_contraction=False).mean_square_sine
    seen = measured_floor(setting, floor, size, seed, relative_error)
    return FloorPoint(
        setting, size, floor.mean_square_sine, plain, rough_floor(*arguments),
        float(seen.mean_square_sine), float(seen.standard_error),
    )  # fmt: skip


def floor_points(seed: int, full: bool) -> tuple[FloorPoint, ...]:
    """The floor at αβL_*² = 0.005: the first five settings, or all ten."""
    settings = FLOOR_SETTINGS if full else FLOOR_SETTINGS[:5]
    error = 0.007 if full else 0.012
    return tuple(_floor_point(s, SMALL, _seed(seed, "floor", place), error) for place, s in enumerate(settings))


def growth_points(seed: int, full: bool) -> tuple[FloorPoint, ...]:
    """The floor of one setting at growing β."""
    error = 0.003 if full else 0.008
    return tuple(_floor_point(GROWTH_SETTING, size, _seed(seed, "growth", size), error) for size in GROWTH_SIZES)


def recovery_points(learner: str, seed: int, setting: RecoverySetting) -> tuple[RecoveryPoint, ...]:
    """Final distances of one learner: m_in varied at the other size of m_out, and the reverse."""
    s = setting
    pairs = dict.fromkeys([*((m, s.other) for m in s.sizes), *((s.other, m) for m in s.sizes)])
    points = []
    for m_in, m_out in pairs:
        # All learners and sizes have the same starts and tasks; the samples are their own.
        problem = make_problem(
            s.d, s.k, s.n, s.alpha, np.random.default_rng(_seed(seed, "problem")), "fresh", dist0=s.dist0,
            trials=(s.trials,),
        )  # fmt: skip
        rng = np.random.default_rng(_seed(seed, "recovery", learner, m_in, m_out))
        run = run_sampled(
            LEARNERS[learner], problem.B0, problem.w0, problem.tasks, s.alpha, s.beta, m_in, m_out, s.sigma, s.d,
            s.steps, rng, record_every=s.steps,
        )  # fmt: skip
        final = run.dist[-1][~run.diverged]
        points.append(RecoveryPoint(learner, m_in, m_out, tuple(map(float, final)), int(run.diverged.sum())))
    return tuple(points)


def measure_samples(seed: int, effort: float) -> SamplesResults:
    """Run all of the chapter: the light version below ``FULL_EFFORT``, the full one from there."""
    full = effort >= FULL_EFFORT
    setting = RECOVERY[full]
    recovery = tuple(point for learner in LEARNERS for point in recovery_points(learner, seed, setting))
    return SamplesResults(seed, floor_points(seed, full), growth_points(seed, full), recovery, setting)


# --- figures ----------------------------------------------------------------------------------------------------------


def _line(axes: Any, x: list[float], y: list[float]) -> None:
    axes.plot(x, y, color=figures.INK, linewidth=0.8, alpha=0.6, zorder=1)


def floor_figure(points: tuple[FloorPoint, ...]) -> Figure:
    """Seen against predicted mean square sines with the line of identity, for the prediction and the rough formula."""
    with figures.style():
        figure = figures.new_figure(4.6, 4.2)
        axes = figure.subplots()
        seen = np.array([p.seen for p in points])
        values = np.array([[p.seen, p.predicted, p.rough] for p in points])
        low, high = values.min() / 1.5, values.max() * 1.5
        _line(axes, [low, high], [low, high])
        axes.plot(
            [p.rough for p in points], seen, "x", color=figures.COLOURS["average-loss"], label="rough formula",
            markersize=6, markeredgewidth=1.4,
        )  # fmt: skip
        axes.errorbar(
            [p.predicted for p in points], seen, yerr=[3 * p.standard_error for p in points], fmt="o",
            color=figures.COLOURS["anil"], markersize=5, elinewidth=1.2, label="Lyapunov equation",
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
    with figures.style():
        figure = figures.new_figure(4.6, 4.2)
        axes = figure.subplots()
        sizes = np.array([p.size for p in points])
        _line(axes, [0.0, 1.05 * sizes[-1]], [0.0, 0.0])
        for attribute, colour, marker, label in (
            ("predicted", figures.COLOURS["anil"], "o", "with varying contraction"),
            ("plain", figures.COLOURS["maml"], "s", "plain Lyapunov equation"),
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
    with figures.style():
        figure = figures.new_figure(8.6, 4.0)
        row = figure.subplots(1, 2, sharey=True)
        for axes, varied, kept in zip(row, ("m_in", "m_out"), ("m_out", "m_in"), strict=True):
            for learner in LEARNERS:
                mine = sorted(
                    (p for p in points if p.learner == learner and getattr(p, kept) == setting.other and p.dist),
                    key=lambda p: getattr(p, varied),
                )
                sizes = [getattr(p, varied) for p in mine]
                middle = [float(np.median(p.dist)) for p in mine]
                colour = figures.COLOURS[learner]
                axes.fill_between(
                    sizes, [min(p.dist) for p in mine], [max(p.dist) for p in mine], color=colour, alpha=0.12,
                    linewidth=0,
                )  # fmt: skip
                axes.plot(
                    sizes, middle, color=colour, linestyle=figures.DASHES[learner], marker="o", markersize=3.5,
                    linewidth=figures.WIDTHS.get(learner, 1.7), label=LEARNER_TITLES[learner], dash_capstyle="butt",
                    zorder=4.0 if learner.startswith("fo-") else 3.0,
                )  # fmt: skip
            axes.set(xscale="log", yscale="log")
            axes.set_xticks(setting.sizes, [str(m) for m in setting.sizes])
            axes.minorticks_off()
            axes.grid(axis="y", color=figures.INK, alpha=0.1, linewidth=0.6)
            axes.set_xlabel(f"${_symbol(varied)}$")
            axes.set_title(
                f"({'ab'[varied == 'm_out']}) ${_symbol(varied)}$ varies, ${_symbol(kept)} = {setting.other}$"
            )
        row[0].set_ylabel(f"dist(B, B$_*$) after {setting.steps} steps")
        row[1].legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def _symbol(name: str) -> str:
    return rf"m_{{\mathrm{{{name[2:]}}}}}"


# --- the chapter ------------------------------------------------------------------------------------------------------


def floor_csv(points: tuple[FloorPoint, ...]) -> str:
    """One row per long run."""
    header = (
        "d", "k", "n", "alpha", "m_in", "m_out", "sigma", "heads_mean", "heads_spread", "heads_seed", "alpha_beta_L2",
        "beta", "predicted", "predicted_plain", "rough", "seen", "standard_error",
    )  # fmt: skip
    rows: list[tuple[Any, ...]] = [
        (*p.setting, p.size, p.setting.beta(p.size), p.predicted, p.plain, p.rough, p.seen, p.standard_error)
        for p in points
    ]
    return as_csv(header, rows)


def recovery_csv(points: tuple[RecoveryPoint, ...]) -> str:
    """One row per trial that did not diverge; ``diverged`` counts the others of the same learner and sizes."""
    rows: list[tuple[Any, ...]] = [
        (p.learner, p.m_in, p.m_out, trial, dist, p.diverged) for p in points for trial, dist in enumerate(p.dist)
    ]
    return as_csv(("learner", "m_in", "m_out", "trial", "dist", "diverged"), rows)


def samples_record(results: SamplesResults) -> dict[str, Any]:
    """The chapter's numbers as the report's JSON has them."""

    def point(p: FloorPoint) -> dict[str, Any]:
        return {**asdict(p), "setting": {**p.setting._asdict(), "beta": p.setting.beta(p.size)}}

    return {
        "floor": [point(p) for p in results.floor],
        "growth": [point(p) for p in results.growth],
        "recovery_setting": asdict(results.recovery_setting),
        "recovery": [asdict(p) for p in results.recovery],
    }


def _figures(results: SamplesResults) -> dict[str, Figure]:
    return {
        "samples-floor": floor_figure(results.floor),
        "samples-growth": growth_figure(results.growth),
        "samples-recovery": recovery_figure(results.recovery, results.recovery_setting),
    }


def _median(results: SamplesResults, learner: str, m_in: int) -> float:
    """Median final distance of a learner at that m_in and the kept m_out; nan if all trials diverged."""
    other = results.recovery_setting.other
    found = [d for p in results.recovery if (p.learner, p.m_in, p.m_out) == (learner, m_in, other) for d in p.dist]
    return float(np.median(found)) if found else float("nan")


def _percent(value: float) -> str:
    return f"{100 * value:+.1f} %".replace("-", "−")


def samples_section(results: SamplesResults) -> b.Section:
    """The chapter: floor against theory, and recovery against sample sizes."""
    panels = {name: figures.rendered(figure, "svg") for name, figure in _figures(results).items()}
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
        "Mean square sines at the floor; ± is the standard error of what was seen.",
    )  # fmt: skip
    largest = results.growth[-1]
    base = [p for p in results.recovery if p.learner == "average-loss"]
    baseline = min((min(p.dist) for p in base if p.dist), default=float("nan"))
    lost = {name: sum(p.diverged for p in results.recovery if p.learner == name) for name in LEARNERS}
    runs = s.trials * len({(p.m_in, p.m_out) for p in results.recovery})
    diverged = ", ".join(f"{count} of {runs} of {LEARNER_TITLES[name]}" for name, count in lost.items() if count)
    fewest = min(s.sizes)
    recovery = b.Picture(
        (("samples-recovery", panels["samples-recovery"]),),
        "Two panels of the final distance on logarithmic axes, against the inner and against the outer samples per "
        "task: the four meta-learners fall as samples grow, average loss does not.",
        rf"Distance to the truth after {s.steps} steps, $d = {s.d}$, $k = {s.k}$, $n = {s.n}$, $\alpha = \beta = "
        rf"{s.alpha:g}$, $\sigma = {s.sigma:g}$, heads $N(0, I)$ drawn afresh at every step, from a balanced start at "
        rf"distance {s.dist0:g}. Lines are medians over {s.trials} trials, bands their range. Average loss never gets "
        f"below {at_least(min(baseline, s.dist0), 2)}; it makes no use of inner samples. With {fewest} inner samples "
        f"Exact ANIL ends "
        f"{_median(results, 'anil', fewest) / _median(results, 'fo-anil', fewest):.1f} times as far from the truth as "
        "FO-ANIL: the exact methods' gradients hold the inner sample's noise across the truth, the first-order "
        "ones' only through the adapted parameters."
        + (f" Trials that diverged are left out: {diverged}." if diverged else "")
        + " Data: `figures/samples-recovery.csv`.",
        ("samples-recovery.csv", recovery_csv(results.recovery)),
    )
    floor = b.Picture(
        tuple((name, panels[name]) for name in ("samples-floor", "samples-growth")),
        "Two panels: seen against predicted floors lie on the line of identity; the predictions' relative errors grow "
        "with the outer step size.",
        rf"Left: long runs at $\alpha\beta L_*^2 = {SMALL:g}$ in {len(results.floor)} settings. Right: one setting "
        rf"($d = {GROWTH_SETTING.d}$, $k = {GROWTH_SETTING.k}$) at growing $\beta$; at $\alpha\beta L_*^2 = "
        rf"{largest.size:g}$ the plain "
        f"equation is off by {_percent(largest.plain / largest.seen - 1)}, with the varying contraction by "
        f"{_percent(largest.predicted / largest.seen - 1)}. Data: `figures/samples-floor.csv`.",
        ("samples-floor.csv", floor_csv((*results.floor, *results.growth))),
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
            floor,
            b.Details("The settings", (table,)),
            recovery,
        ),
    )
