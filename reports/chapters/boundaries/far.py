"""FO-MAML far from the truth: how its head grows first, and how often it ends in divergence."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from metarep.reports.chapters.boundaries.common import FO_MAML, Array, BoundarySize, exact_heads, stream
from metarep.reports.page.charts import Chart, as_panel
from metarep.reports.page.style import COLOURS, INK, SERIES
from metarep.sim.learners import get_learner
from metarep.sim.problems import FixedTasks, Problem, make_problem, start
from metarep.sim.trajectories import run


@dataclass(frozen=True, eq=False)
class FarStarts:
    """FO-MAML from far.

    ``gaps`` 1 − dist_0 of the first part; ``amplification`` (k, gaps): by how much a small head grows before it decays,
    in fixed tasks with Ψ_* = I and no mean, ``predicted`` in the limit of small steps. ``far_gaps``, ``shares``: share
    of trials that diverged with fresh N(0, I) tasks; ``random_share`` from random balanced starts in d dimensions,
    whose median 1 − dist_0 is ``random_gap``.
    """

    gaps: Array
    ks: tuple[int, ...]
    amplification: Array
    predicted: Array
    far_gaps: Array
    shares: Array
    random_gap: float
    random_share: float
    trials: int
    steps: int
    d: int
    k: int


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
FAR_D, FAR_K, FAR_N, FAR_STEP = 100, 5, 5, 0.1


def far_starts(seed: int, size: BoundarySize) -> FarStarts:
    """The head's growth from far, and how often it ends in divergence."""
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
    far_gaps = np.array([0.1, 0.03, 0.01, 3e-3, 1e-3])
    rng = stream(seed, "far shares")
    shares = []
    random_gap = 0.0
    for gap in (*far_gaps, None):
        problem = make_problem(
            FAR_D,
            FAR_K,
            FAR_N,
            FAR_STEP,
            rng,
            "fresh",
            dist0=None if gap is None else 1 - gap,
            trials=(size.far_trials,),
        )
        seen = run(get_learner(FO_MAML), problem, FAR_STEP, FAR_STEP, size.far_steps, record_every=size.far_steps)
        shares.append(float(seen.diverged.mean()))
        random_gap = float(np.median(1 - seen.dist[0]))
    return FarStarts(
        gaps, FAR_KS, np.array(amplification), np.array([head_amplification(1 - gaps, k) for k in FAR_KS]),
        far_gaps, np.array(shares[:-1]), random_gap, shares[-1], size.far_trials, size.far_steps, FAR_D, FAR_K,
    )  # fmt: skip


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
def _far_share_panel(axes: Any, far: FarStarts) -> None:
    axes.plot(far.far_gaps, far.shares, "o-", color=COLOURS["fo-maml"], markersize=5, label="all angles equal")
    axes.plot(
        far.random_gap, far.random_share, "x", color=INK, markersize=8, markeredgewidth=2,
        label=f"random start, d = {FAR_D}",
    )  # fmt: skip
    axes.set_ylim(-0.03, 1.05)
    _towards_one(axes, (0.9, 0.97, 0.99, 0.997, 0.999))
    axes.set_ylabel("share of trials that diverge")
    axes.set_title("(b) Fresh tasks, k = n = 5")
    axes.legend(loc="upper left")
