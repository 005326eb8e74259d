"""FO-MAML far from the truth: how its head grows first, and how often it ends in divergence."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from metarep.reports.chapters.boundaries.common import FO_MAML, Array, BoundarySize, exact_heads, stream
from metarep.reports.chapters.claims.records import ClaimRecord, measured, mention
from metarep.reports.page.charts import Chart, as_panel
from metarep.reports.page.style import COLOURS, INK, SERIES
from metarep.sim.learners import get_learner
from metarep.sim.problems import FixedTasks, Problem, start
from metarep.sim.shares import Share
from metarep.sim.trajectories import run
from metarep.theory.claims.stability.far import FAR, FAR_STEPS, diverged_within


@dataclass(frozen=True, eq=False)
class FarStarts:
    """By how much a small head grows before it decays, from far: tasks fixed, Ψ_* = I and no mean.

    ``gaps`` 1 − dist_0; ``amplification`` (k, gaps), ``predicted`` in the limit of small steps.
    """

    gaps: Array
    ks: tuple[int, ...]
    amplification: Array
    predicted: Array


def head_amplification(dist0: Any, k: int) -> Array:
    """max_t ‖w_t‖/‖w_0‖ of a small head for FO-MAML in the limit of small steps: Ψ_* = I, no mean, all sines equal.

    With x = αβt the sine s obeys ds/dx = −s(1 − s²) and the head d log‖w‖/dx = ks² − (1 − s²), which is positive until
    s² = 1/(k + 1): in all (1 − s_0²)^{−k/2}(1 − s²)^{k/2} s/s_0 there. 1 for s_0² ≤ 1/(k + 1). Own derivation.
    """
    s0 = np.asarray(dist0, dtype=float)
    turning = np.sqrt(1 / (k + 1))
    s = np.minimum(turning, s0)
    return ((1 - s**2) / (1 - s0**2)) ** (k / 2) * s / s0


FAR_KS = (1, 2, 5)


def far_starts(seed: int, size: BoundarySize) -> FarStarts:
    """The head's growth from far. How often it ends in divergence the claim `fo-maml-far-divergence` counts."""
    gaps = np.geomspace(0.5, 1e-3, size.line)
    amplification = []
    for k in FAR_KS:
        # Small: second order in the head stays below 1e-2 even after the largest growth.
        alpha, beta, small = 1.0, 0.005, 1e-10
        steps = int(np.ceil(1.5 * np.log(1 / gaps[-1]) / beta))
        rng = stream(seed, f"far {k}")
        turn = start("balanced", 2 * k, k, 1.0, rng, 0.0)[:k]
        sine = (1 - gaps)[:, None, None]
        B0 = np.concatenate([np.sqrt((1 - sine) * (1 + sine)) * turn, sine * np.eye(k)], axis=-2)
        head = rng.standard_normal(k)
        w0 = np.broadcast_to(small * head / np.linalg.norm(head), (gaps.size, k))
        problem = Problem(2 * k, np.eye(2 * k, k), FixedTasks(exact_heads(np.zeros(k), np.ones(k))), B0, w0, 2 * k)
        seen = run(
            get_learner(FO_MAML), problem, alpha, beta * np.ones(gaps.size), steps, record_every=10,
            observe={"head": lambda B, w, step: np.linalg.norm(w, axis=-1)},
        )  # fmt: skip
        amplification.append(np.nanmax(seen.observed["head"], axis=0) / small)
    predicted = np.array([head_amplification(1 - gaps, k) for k in FAR_KS])
    return FarStarts(gaps, FAR_KS, np.array(amplification), predicted)


def far_chart(far: FarStarts, claims: Sequence[ClaimRecord]) -> Chart:
    """FO-MAML from far: the head's growth as predicted and as seen, and how often it ends in divergence."""
    counted = measured(claims, "fo-maml-far-divergence")
    panels = [("fo-maml-far-head", _amplification_panel(far))]
    off = float(np.abs(far.amplification / far.predicted - 1).max())
    caption = (
        "FO-MAML from far. (a) By how much a small head grows before it decays, from balance with all angles equal, "
        r"$\Psi_* = I$, no mean; lines: own prediction in the limit of small steps, $\left(\frac{1 - s^2}{1 - "
        r"s_0^2}\right)^{k/2} \frac{s}{s_0}$ with $s_0 = \mathrm{dist}_0$, $s^2 = \frac{1}{k + 1}$; at most "
        f"{off:.0%} off."
    )
    alt = (
        "Against one minus the distance at the start: the head's growth lies on the predicted lines, up to "
        f"{far.amplification.max():.0e} for k = {far.ks[-1]}"
    )
    rows: list[tuple[Any, ...]] = [
        (f"head, k = {k}", float(gap), float(far.amplification[i, j]), float(far.predicted[i, j]))
        for i, k in enumerate(far.ks)
        for j, gap in enumerate(far.gaps)
    ]
    if counted:
        gap, at = counted.details["gap_random"], counted.details["random"]
        random = diverged_within(at, FAR_STEPS)
        shares = {
            gap: diverged_within(at, FAR_STEPS).value
            for gap, at in zip(counted.details["gaps"], counted.details["at_gaps"], strict=True)
        }
        panels.append(("fo-maml-far-share", _far_share_panel(shares, gap, random)))
        caption += (
            rf" (b) Share of {random.trials} trials that diverge within {FAR_STEPS} steps, $d = {FAR.d}$, $k = n = "
            rf"{FAR.k}$, $\alpha = \beta = {FAR.alpha:g}$, fresh tasks ({mention(claims, 'fo-maml-far-divergence')}); "
            f"the cross is for random starts, {random}, at their median distance, the line its interval."
        )
        alt += "; the share that diverges rises from 0 to 1 on the way to distance 1"
        rows += [("share diverged", float(gap), share, "") for gap, share in shares.items()]
        rows.append(("share diverged, random start", gap, random.value, ""))
    return Chart("fo-maml-far", tuple(panels), alt + ".", caption, ("panel", "1 - dist_0", "seen", "predicted"), rows)


def _towards_one(axes: Any, ticks: tuple[float, ...]) -> None:
    """dist_0 on an axis that is logarithmic in 1 − dist_0, growing to the right."""
    axes.set_xscale("log")
    axes.invert_xaxis()
    axes.xaxis.set_major_locator(FixedLocator([1 - tick for tick in ticks]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{1 - value:g}"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("distance at the start")


@as_panel
def _amplification_panel(axes: Any, far: FarStarts) -> None:
    fine = np.geomspace(far.gaps[0], far.gaps[-1], 100)
    for place, k in enumerate(far.ks):
        colour = SERIES[place]
        axes.plot(fine, head_amplification(1 - fine, k), color=colour, linewidth=1.2)
        axes.plot(far.gaps, far.amplification[place], "osD"[place], color=colour, markersize=5, label=f"k = {k}")
    axes.set_yscale("log")
    _towards_one(axes, (0.5, 0.9, 0.99, 0.999))
    axes.set_ylabel("growth of a small head")
    axes.set_title("(a) The head before it decays")
    axes.legend(loc="upper left")


@as_panel
def _far_share_panel(axes: Any, shares: dict[float, float], gap: float, random: Share) -> None:
    low, high = random.interval
    axes.plot(shares.keys(), shares.values(), "o-", color=COLOURS["fo-maml"], markersize=5, label="all angles equal")
    axes.errorbar(
        gap, random.value, [[random.value - low], [high - random.value]], fmt="x", color=INK, markersize=8,
        markeredgewidth=2, elinewidth=1, label=f"random start, d = {FAR.d}",
    )  # fmt: skip
    axes.set_ylim(-0.03, 1.05)
    _towards_one(axes, (0.9, 0.97, 0.99, 0.997, 0.999))
    axes.set_ylabel("share of trials that diverge")
    axes.set_title(f"(b) Fresh tasks, k = n = {FAR.k}")
    axes.legend(loc="upper left")
