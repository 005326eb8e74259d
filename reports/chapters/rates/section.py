"""The report's chapter on rates: symbolic against empirical over many settings, the envelope's tightness, the table."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from metarep.reports.chapters.chapter import Chapter, Job, ReportProfile, Results, again
from metarep.reports.chapters.rates.table import (
    HEADER,
    MOST_STEPS,
    OUTCOME_MEANS,
    RateRecord,
    RateSetting,
    rate_record,
    rates_problem,
    row,
)
from metarep.reports.page import blocks as b
from metarep.reports.page.charts import Chart, as_panel, plain_log
from metarep.reports.page.markup import LEARNER_TITLES, at_most, inline_text, power
from metarep.reports.page.style import COLOURS, INK
from metarep.sim.learners import LEARNERS, META_LEARNERS
from metarep.theory.dynamics.rates import ENVELOPE_C, ENVELOPE_OFFSET

NAME = "rates"
_TABLE = (
    RateSetting(100, 5, 100, 0.1, 0.1),
    RateSetting(100, 5, 5, 0.1, 0.1),
    RateSetting(20, 3, 30, 0.2, 0.1),
    RateSetting(1000, 2, 50, 0.3, 0.2, 0.8),
    RateSetting(10, 1, 10, 0.2, 0.1),
)
_MORE_TABLE = (RateSetting(100, 5, 20, 0.1, 0.1), RateSetting(40, 8, 200, 0.1, 0.3))
_GRID = (
    RateSetting(100, 1, 20, 0.3, 0.05, 0.1),
    RateSetting(100, 1, 20, 0.5, 0.4, 0.93),
    RateSetting(100, 2, 40, 0.3, 0.2, 0.3),
    RateSetting(100, 2, 40, 0.2, 1.0, 0.88),
    RateSetting(100, 3, 60, 0.1, 0.06, 0.05),
    RateSetting(100, 3, 60, 0.1, 0.2, 0.5),
    RateSetting(100, 3, 60, 0.3, 0.6, 0.6),
    RateSetting(100, 4, 100, 0.2, 0.4, 0.7),
    RateSetting(100, 5, 200, 0.2, 0.7, 0.8),
)
_MORE_GRID = (
    RateSetting(1000, 2, 100, 0.1, 0.1, 0.2),
    RateSetting(1000, 2, 100, 0.5, 0.3, 0.9),
    RateSetting(20, 3, 200, 0.05, 0.2, 0.4),
    RateSetting(20, 3, 200, 0.2, 0.9, 0.92),
    RateSetting(100, 5, 400, 0.1, 0.2, 0.3),
    RateSetting(100, 5, 400, 0.3, 0.3, 0.85),
    RateSetting(100, 8, 400, 0.2, 0.5, 0.5),
    RateSetting(40, 10, 500, 0.2, 0.3, 0.75),
)


@dataclass(frozen=True)
class RatesSize:
    """The table's settings with the most steps of a run; further settings of the figures with theirs."""

    table: tuple[RateSetting, ...] = _TABLE
    most_steps: int = MOST_STEPS
    grid: tuple[RateSetting, ...] = _GRID
    grid_steps: int = 2500


SIZES = {"quick": RatesSize(), "full": RatesSize(_TABLE + _MORE_TABLE, 60_000, _GRID + _MORE_GRID, 12_000)}
"""By the report's profile. On one core the grids take about 7 s and 30 s."""

Group = tuple[RateSetting, Sequence[RateRecord]]
"""A setting with the rates of the learners on it."""


@dataclass(frozen=True)
class RatesResults:
    """What was run: all five learners on the table's settings, the meta-learners on the grid's."""

    table: tuple[Group, ...]
    grid: tuple[Group, ...]

    @property
    def pairs(self) -> list[tuple[float, RateRecord]]:
        """Every rate with the dist_0 of its run."""
        return [(setting.dist0, record) for setting, group in (*self.table, *self.grid) for record in group]


def table_rate(learner: str, setting: RateSetting, seed: int, most_steps: int) -> RateRecord:
    """A learner's rates on a setting of the table."""
    d, k, n, alpha, beta, dist0 = setting
    problem = rates_problem(d, k, n, alpha, beta, seed, dist0)
    return rate_record(LEARNERS[learner], problem, alpha, beta, dist0, most_steps)


def grid_rates(setting: RateSetting, seed: int, most_steps: int) -> list[RateRecord]:
    """The four meta-learners' rates on one setting."""
    return [table_rate(name, setting, seed, most_steps) for name in META_LEARNERS]


def rate_jobs(profile: ReportProfile, seed: int) -> list[Job]:
    """A job for each learner and setting of the table, and for each setting of the grid."""
    size: RatesSize = profile.sizes[NAME]
    jobs: list[Job] = [
        (("rates", learner, str(place)), table_rate, (learner, setting, seed, size.most_steps))
        for place, setting in enumerate(size.table)
        for learner in LEARNERS
    ]
    jobs += [
        (("rates-grid", str(place)), grid_rates, (setting, seed, size.grid_steps))
        for place, setting in enumerate(size.grid)
    ]
    return jobs


def rates_of(results: Results) -> RatesResults:
    """What was run."""
    size: RatesSize | None = results.profile.sizes.get(NAME)
    if size is None:
        return RatesResults((), ())
    return RatesResults(
        tuple(
            (setting, [results.parts["rates", learner, str(place)] for learner in LEARNERS])
            for place, setting in enumerate(size.table)
        ),
        tuple((setting, results.parts["rates-grid", str(place)]) for place, setting in enumerate(size.grid)),
    )


def table_records(results: Results) -> tuple[RateRecord, ...]:
    """The rates table."""
    return tuple(record for _, group in rates_of(results).table for record in group)


def grid_records(results: Results) -> tuple[RateRecord, ...]:
    """The further settings of the figures on rates."""
    return tuple(record for _, group in rates_of(results).grid for record in group)


# --- figures

_MARKERS = {"anil": "o", "fo-anil": "s", "maml": "D", "fo-maml": "^"}
_SIZES = {"anil": 10.5, "fo-anil": 8.0, "maml": 5.5, "fo-maml": 3.0}
"""Growing smaller in the order in which they are drawn: at one setting the four lie on each other."""


def comparable(record: RateRecord) -> bool:
    """Whether a record has a symbolic and an empirical rate of dist, both below 1."""
    return (
        record.learner in META_LEARNERS
        and record.outcome not in ("unstable", "diverged")
        and record.empirical is not None
        and max(record.symbolic, record.empirical) < 1
    )


def agreement_chart(records: Sequence[RateRecord]) -> Chart:
    """How far 1 − rate as fitted to runs is from the symbolic one."""
    kept = [record for record in records if comparable(record)]
    settled = [r for r in kept if r.outcome == "converged" and r.relative_error is not None]
    worst = max((r.relative_error for r in settled if r.relative_error is not None), default=0.0)
    middle = float(np.median([r.relative_error for r in settled if r.relative_error is not None])) if settled else 0.0
    before = max((r.relative_error or 0.0 for r in kept if r.outcome != "converged"), default=0.0)
    gaps = [1 - r.symbolic for r in kept] or [1.0]
    caption = (
        rf"How far $1 - \mathrm{{rate}}$ as fitted to {len(kept)} runs is from the symbolic $\alpha\beta\mu_*^2$, "
        rf"relative to that, over rates from {1 - max(gaps):.3f} to {1 - min(gaps):.5f}: median {power(middle)}, at "
        f"most {at_most(worst)} among the {len(settled)} runs that settled (full markers; 0 is drawn at "
        f"{power(_LEAST_ERROR)})"
        + (f"; at most {at_most(before)} where a run ended before (hollow)." if before else ".")
    )
    alt = (
        "A marker for each run of the four meta-learners. The empirical rates are the symbolic ones up to relative "
        f"errors of {inline_text(at_most(worst))} or less where the run settled"
        + (f", of {inline_text(at_most(before))} or less where it did not." if before else ".")
    )
    panels = (("rates-agreement", _errors_panel(kept)),)
    rows = [
        (
            r.learner, r.d, r.k, r.n, r.alpha, r.beta, r.symbolic, r.empirical,
            "" if r.relative_error is None else r.relative_error, r.outcome,
        )
        for r in kept
    ]  # fmt: skip
    header = ("learner", "d", "k", "n", "alpha", "beta", "symbolic", "empirical", "relative error", "outcome")
    return Chart("rates-agreement", panels, alt, caption, header, rows)


def _dots(axes: Any, kept: Sequence[RateRecord], y: Callable[[RateRecord], float]) -> None:
    for place, name in enumerate(META_LEARNERS):
        own = [r for r in kept if r.learner == name]
        for settled in (True, False):
            some = [r for r in own if (r.outcome == "converged") == settled]
            axes.plot(
                [np.log10(1 - r.symbolic) for r in some], [y(r) for r in some], _MARKERS[name], markersize=_SIZES[name],
                color=COLOURS[name], markerfacecolor=COLOURS[name] if settled else "none",
                label=LEARNER_TITLES[name] if settled else None, zorder=2 + place, linestyle="none",
            )  # fmt: skip


_LEAST_ERROR = 1e-16


@as_panel
def _errors_panel(axes: Any, kept: Sequence[RateRecord]) -> None:
    _dots(axes, kept, lambda r: max(r.relative_error or 0.0, _LEAST_ERROR))
    axes.set_yscale("log")
    axes.grid(axis="y", color=INK, alpha=0.1, linewidth=0.6)
    axes.set_xlabel("predicted log$_{10}$(1 − rate)")
    axes.set_ylabel("relative error of 1 − rate")
    axes.set_title("Rates, seen against predicted")
    axes.legend(loc="best")


def looseness(record: RateRecord) -> float | None:
    """How many times faster than the envelope log dist falls in the end; None where either is missing."""
    if not comparable(record) or record.envelope is None or not 0 < record.envelope < 1 or not record.empirical:
        return None
    return float(np.log(record.empirical) / np.log(record.envelope))


def tightness_chart(pairs: Sequence[tuple[float, RateRecord]]) -> Chart:
    """The exponent seen over the envelope's, against dist_0, with what small steps predict, 1/(c E_0)."""
    kept = [(dist0, record, ratio) for dist0, record in pairs if (ratio := looseness(record)) is not None]
    ratios = [ratio for *_, ratio in kept]
    extremes = f"{min(ratios):.2f} to {max(ratios):.0f}" if ratios else "none"
    caption = (
        r"How many times faster than the paper's envelope $(1 - c\,\alpha\beta E_0\mu_*^2)^{T-1}$ "
        rf"$\log\,\mathrm{{dist}}$ falls in the end, $c = {ENVELOPE_C:g}$, $E_0 = {ENVELOPE_OFFSET:g} - "
        rf"\mathrm{{dist}}_0^2$ (both constants quoted from memory): {extremes}. Line: the limit of small steps, "
        rf"$\frac{{1}}{{c E_0}}$, never below {1 / (ENVELOPE_C * ENVELOPE_OFFSET):.2f}; it has no bound as $E_0$ "
        "vanishes."
    )
    alt = (
        "Ratio of the seen exponent to the envelope's against the distance at the start: the four meta-learners follow "
        f"the predicted line, from about 2 near the truth up to {max(ratios, default=0):.0f}."
    )
    rows = [(r.learner, dist0, r.k, r.n, r.alpha, r.beta, r.empirical, r.envelope, ratio) for dist0, r, ratio in kept]
    header = ("learner", "dist_0", "k", "n", "alpha", "beta", "empirical", "envelope", "ratio of exponents")
    return Chart("rates-tightness", (("rates-tightness", _tightness_panel(kept)),), alt, caption, header, rows)


@as_panel
def _tightness_panel(axes: Any, kept: Sequence[tuple[float, RateRecord, float]]) -> None:
    fine = np.linspace(0, 0.94, 200)
    axes.plot(fine, 1 / (ENVELOPE_C * (ENVELOPE_OFFSET - fine**2)), color=INK, alpha=0.6, linewidth=1.0)
    for place, name in enumerate(META_LEARNERS):
        own = [(dist0, ratio) for dist0, record, ratio in kept if record.learner == name]
        axes.plot(
            [dist0 for dist0, _ in own], [ratio for _, ratio in own], _MARKERS[name], markersize=_SIZES[name],
            color=COLOURS[name], label=LEARNER_TITLES[name], zorder=2 + place, linestyle="none",
        )  # fmt: skip
    axes.set_yscale("log")
    axes.set_ylim(1.5, max([*(ratio for *_, ratio in kept), 60.0]) * 1.3)
    plain_log(axes.yaxis, [2.0, 5.0, 10.0, 20.0, 50.0])
    axes.set_xlabel("distance at the start")
    axes.set_ylabel("seen exponent / envelope's")
    axes.set_title("Looseness of the envelope")
    axes.legend(loc="upper left")


# --- the chapter


def rates_section(results: Results) -> b.Section | None:
    """The chapter: figures over all settings, then the table of the first ones."""
    found = rates_of(results)
    pairs = found.pairs
    if not pairs:
        return None
    records = [record for _, record in pairs]
    unstable = [(LEARNER_TITLES[r.learner], r) for r in records if r.outcome == "unstable"]
    growth = [
        abs((r.empirical - 1) / (r.symbolic - 1) - 1)
        for _, r in unstable
        if r.empirical is not None and r.symbolic != 1
    ]
    blocks: list[b.Block] = [
        b.Paragraph(
            r"Factors by which $\mathrm{dist}(B_t, B_*)$ shrinks a step, with fixed tasks and heads drawn from $N(0, "
            r"I)$, from a balanced start. **Symbolic**: from the linearisation at the truth, $1 - \alpha\beta\mu_*^2$ "
            r"where that is stable; for average loss $1 - \beta w_\infty^2$ if $k = 1$, the limit of small steps, and "
            r"no fall otherwise. **Empirical**: fitted to the straight part of $\log\,\mathrm{dist}$ of a run, with "
            r"its standard error. **Relative error**: their difference by $1 - $ symbolic. **Envelope**: $1 - \frac12 "
            r"\alpha\beta E_0 \mu_*^2$ with $E_0 = 0.9 - \mathrm{dist}_0^2$, both constants quoted from memory of the "
            "paper."
        ),
        b.Items(tuple(f"**{outcome.capitalize()}**: {words}." for outcome, words in OUTCOME_MEANS.items())),
        agreement_chart(records).picture(),
        tightness_chart(pairs).picture(),
        again(results, NAME),
    ]
    if unstable:
        names = ", ".join(dict.fromkeys(name for name, _ in unstable))
        blocks.append(
            b.Paragraph(
                f"Unstable at the truth: {len(unstable)} of {len(records)} rows ({names}), left out of both figures"
                + (f"; growth seen is as predicted to {power(max(growth))} of its excess over 1." if growth else ".")
            )
        )
    sections = tuple(_table_section(place, *group, results.seed) for place, group in enumerate(found.table))
    return b.Section("rates", "Rates", tuple(blocks), sections)


def _table_section(place: int, setting: RateSetting, records: Sequence[RateRecord], seed: int) -> b.Section:
    d, k, n, alpha, beta, dist0 = setting
    cells = tuple((LEARNER_TITLES[r.learner], *row(r)[1:]) for r in records)
    title = (
        rf"$d = {d}$, $k = {k}$, $n = {n}$, $\alpha = {alpha:g}$, $\beta = {beta:g}$, $\mathrm{{dist}}_0 = {dist0:g}$"
    )
    command = f"metarep rates --d {d} --k {k} --n {n} --alpha {alpha:g} --beta {beta:g} --dist0 {dist0:g} --seed {seed}"
    table = b.Table(HEADER, cells, frozenset(range(1, 6)))
    return b.Section(f"rates-{place + 1}", title, (table, b.Code(command)))


CHAPTER = Chapter(
    rates_section,
    name=NAME,
    sizes=SIZES,
    jobs=rate_jobs,
    record={"rates": table_records, "rate_grid": grid_records},
)
