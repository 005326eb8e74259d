"""Phase diagrams: where the learners converge, over step sizes, starts and spreads of the heads."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from metarep.reports.chapters.boundaries.common import (
    FO_MAML,
    Array,
    BoundarySize,
    stable_limits,
    stable_product,
    stream,
)
from metarep.reports.page import blocks as b
from metarep.reports.page.charts import (
    BAD,
    BOTH,
    GOOD,
    ON_FILL,
    OTHER,
    Chart,
    as_panel,
    draw_map,
    fill_key,
    plain_log,
    share_colours,
)
from metarep.reports.page.markup import LEARNER_TITLES, inline_text, power
from metarep.sim.batches import flattened
from metarep.sim.learners import Learner, get_learner
from metarep.sim.outcomes import CONVERGED_BELOW, Outcome, enough_records
from metarep.sim.problems import FixedTasks, Problem, heads_with_spectrum, start
from metarep.sim.trajectories import run
from metarep.theory.dynamics.rates import ENVELOPE_OFFSET

KAPPA, DIST0, ALPHA_L = 2.0, 0.6, 0.3
"""κ_*, dist_0 and αL_* of the phase diagrams where they are no axis."""
PHASE_K, PHASE_N, PHASE_D = 2, 4, 100
DRAWS_PER_TRIAL = 12
"""Draws of heads for each one kept: about a third have a truth that is stable under FO-MAML."""
PLANES = ("steps", "start", "spread")
"""The planes (αL_*, β/α), (αβL_*², dist_0) and (κ_*, αβL_*²)."""


@dataclass(frozen=True, eq=False)
class PhaseDiagram:
    """Shares of trials over a plane, (y, x): converged within ``steps`` steps, diverged or ended blind by then.

    ``x``, ``y`` are the axes' values; ``product`` αβL_*² and ``kappa``, ``dist0`` are those of each cell, (y, x).
    ``limit`` (x,): the αβL_*² up to which the linearisation at the truth, w = 0, is stable, median over the draws of
    heads for which it is so at small steps (``unstable`` of ``trials`` are not, at the κ_* of the other planes).
    """

    plane: str
    learner: str
    x: Array
    y: Array
    converged: Array
    diverged: Array
    blind: Array
    product: Array
    kappa: Array
    dist0: Array
    limit: Array
    unstable: int
    steps: int
    trials: int

    @property
    def enough(self) -> Array:
        """The αβL_*² at which the limit of small steps comes down to 1e-6 in just so many steps, (y, x)."""
        odds = np.log(self.dist0**2 / (1 - self.dist0**2)) / 2
        return self.kappa**2 * (odds - np.log(CONVERGED_BELOW)) / self.steps

    @property
    def predicted(self) -> Array:
        """Where small steps and the linearisation together promise convergence, bool (y, x)."""
        return (self.product > 1.2 * self.enough) & (self.product < 0.9 * self.limit)


def phase_axes(plane: str, cells: int) -> tuple[Array, Array]:
    """The values along x and y."""
    product = np.geomspace(0.01, 3.0, cells)
    if plane == "steps":
        return np.geomspace(0.03, 30.0, cells), np.geomspace(1e-3, 1e3, cells)
    if plane == "start":
        return product, 1 - np.geomspace(0.9, 1e-3, cells)
    if plane == "spread":
        return np.geomspace(1.0, 10.0, cells), product
    raise ValueError(f"plane is {plane!r}; allowed: {', '.join(PLANES)}")


def phase_diagram(plane: str, learner_name: str, seed: int, size: BoundarySize) -> PhaseDiagram:
    """One plane for one learner: every cell has the same ``trials`` random frames of start and heads, from balance.

    Of the heads drawn only those are kept for which FO-MAML's truth is stable (as many as there are), so that what its
    diagrams show is due to step sizes and start; ``gaussian_plane`` and its like look at the other instability.
    """
    x, y = phase_axes(plane, size.cells)
    X, Y = (grid[..., None] for grid in np.meshgrid(x, y))
    ones = np.ones_like(X)
    if plane == "steps":
        alpha, beta, kappa, dist0 = X, X * Y, KAPPA * ones, DIST0 * ones
    elif plane == "start":
        alpha, beta, kappa, dist0 = ALPHA_L * ones, X / ALPHA_L, KAPPA * ones, Y
    else:
        alpha, beta, kappa, dist0 = ALPHA_L * ones, Y / ALPHA_L, X, DIST0 * ones
    rng, trials = stream(seed, "phase"), (size.trials,)  # the same draws for all planes and learners
    frames = start("orthonormal", PHASE_D, PHASE_K, 1.0, rng, 1.0, trials)
    turned = start("orthonormal", PHASE_D, PHASE_K, 1.0, rng, 0.0, trials)
    common = np.array([1.0] * (PHASE_K - 1) + [1 / KAPPA])[:, None]
    drawn = heads_with_spectrum(np.ones(PHASE_K), PHASE_N, rng, batch=(DRAWS_PER_TRIAL * size.trials,))
    stable = np.array([stable_product(get_learner(FO_MAML), common * one, ALPHA_L) > 0 for one in drawn])
    heads = np.concatenate([drawn[stable], drawn[~stable]])[: size.trials]
    # B̂_0 = cos·(inside) + sin·(outside), in the same right frame: all sines equal dist_0.
    sine = dist0[..., None, None]
    inside, outside = turned[..., :PHASE_K, :], frames[..., PHASE_K:, :]
    cosine = np.sqrt((1 - sine) * (1 + sine))
    shape = X.shape[:2] + trials
    B0 = np.concatenate(
        [np.broadcast_to(cosine * inside, (*shape, PHASE_K, PHASE_K)),
         np.broadcast_to(sine * outside, (*shape, PHASE_K, PHASE_K))],
        axis=-2,
    ) / np.sqrt(alpha)[..., None, None]  # fmt: skip
    # Ψ_* = diag(1, ..., κ⁻²): the heads are scaled along the coordinates, the start is turned at random against them.
    scaled = np.concatenate([np.ones_like(kappa)] * (PHASE_K - 1) + [1 / kappa], axis=-1)[..., None, :, None] * heads
    problem = Problem(
        PHASE_D, np.eye(2 * PHASE_K, PHASE_K), FixedTasks(scaled), B0, np.zeros((*shape, PHASE_K)), PHASE_N
    )
    learner = get_learner(learner_name)
    seen = _run_in_stages(learner, problem, alpha, beta, size.steps, shape)
    column = np.broadcast_to(scaled, (*shape, PHASE_K, PHASE_N))[0]
    limit = stable_limits(learner, column, np.broadcast_to(alpha, (*X.shape[:2], 1))[0, :, 0])[0]
    unstable = stable_limits(learner, (common * heads)[None], np.array([ALPHA_L]))[1]
    return PhaseDiagram(
        plane, learner_name, x, y,
(seen == Outcome.CONVERGED).mean(-1), (seen == Outcome.DIVERGED).mean(-1), (seen == Outcome.BLIND).mean(-1),
        (alpha * beta)[..., 0], kappa[..., 0], dist0[..., 0], limit, unstable, size.steps, size.trials,
    )  # fmt: skip


STAGES = (0.02, 0.1, 0.3, 1.0)
"""Shares of the steps after which the runs that have diverged are left out of the batch: they cost as much as any."""


def _run_in_stages(
    learner: Learner, problem: Problem, alpha: Any, beta: Any, steps: int, batch: tuple[int, ...]
) -> Array:
    """``Outcome`` over the batch after ``steps`` steps of fixed tasks; what has diverged is dropped on the way."""
    count = int(np.prod(batch))
    outcome = np.empty(count, dtype=object)
    starts = (problem.B0, 2), (problem.w0, 1)
    B, w, heads, alphas, betas = flattened(batch, *starts, (problem.tasks(0), 2), (alpha, 0), (beta, 0))
    alive, done = np.arange(count), 0
    for share in STAGES:
        now = max(done + 1, round(share * steps))
        here = Problem(problem.d, problem.B_star, FixedTasks(heads[alive]), B, w, problem.n)
        every = enough_records(now - done)
        seen = run(learner, here, alphas[alive], betas[alive], now - done, record_every=every)
        outcome[alive] = seen.outcome
        kept = ~seen.diverged
        alive, B, w, done = alive[kept], seen.B[kept], seen.w[kept], now
        if not alive.size:
            break
    return outcome.reshape(batch)


# --- figures


_PLANE_WORDS = {
    "steps": (r"$\alpha L_*$", r"$\beta/\alpha$", "alpha L", "beta/alpha"),
    "start": (r"$\alpha\beta L_*^2$", r"$\mathrm{dist}_0$", "alpha beta L^2", "dist_0"),
    "spread": (r"$\kappa_*$", r"$\alpha\beta L_*^2$", "kappa", "alpha beta L^2"),
}
_AXIS_LABELS = {
    "steps": ("inner step size αL$_*$", "ratio of step sizes β/α"),
    "start": ("product of step sizes αβL$_*^2$", "distance at the start"),
    "spread": ("spread of the heads κ$_*$", "product of step sizes αβL$_*^2$"),
}
_DECADES = {
    "steps": ([0.03, 0.1, 0.3, 1, 3, 10, 30], [1e-3, 1e-2, 0.1, 1, 10, 100, 1000]),
    "start": ([0.01, 0.03, 0.1, 0.3, 1, 3], None),
    "spread": ([1, 2, 5, 10], [0.01, 0.03, 0.1, 0.3, 1, 3]),
}
_DASHED: Any = (0, (5, 3))
_DOTTED: Any = (0, (1, 1.6))
_DIST_TICKS = (0.2, 0.5, 0.9, 0.99, 0.999)


def phase_chart(diagrams: list[PhaseDiagram]) -> Chart:
    """One plane, a panel a learner: shares as colours, the linearisation's limit dashed, the least steps dotted."""
    plane = diagrams[0].plane
    panels = tuple((f"phase-{plane}-{d.learner}", _phase_panel(d)) for d in diagrams)
    fills = ((GOOD, "converged"), (OTHER, "neither"), (BAD, "diverged"), (BOTH, "both"))
    lines = ((_DASHED, "limit of the linearisation"), (_DOTTED, "fewest steps that suffice"))
    panels = (*panels, fill_key(f"phase-{plane}", fills, lines))
    x_name, y_name, x_column, y_column = _PLANE_WORDS[plane]
    first = diagrams[0]
    shares = ", ".join(f"{LEARNER_TITLES[d.learner]} {_promised(d)}" for d in diagrams)
    caption = (
        f"Convergence over {x_name} and {y_name}: blue where the trials come to {power(CONVERGED_BELOW)} within "
        f"{first.steps} steps, orange where they diverge, grey where neither, tints where some of the {first.trials} "
        r"trials do, yellow where some do the one and some the other. Dashed: the largest $\alpha\beta L_*^2$ at "
        f"which the linearisation at the truth with $w = 0$ is stable. Dotted: where {first.steps} steps just suffice "
        f"in the limit of small steps. Where both promise convergence it is seen in: {shares} of the trials"
        + f". {_blind(diagrams)} Heads: random draws for which FO-MAML's truth is stable"
        + (rf", $\kappa_* = {KAPPA:g}$" if plane != "spread" else rf" at $\kappa_* = {KAPPA:g}$")
        + "; $k = 2$, $n = 4$, "
        + (rf"$\mathrm{{dist}}_0 = {DIST0:g}$" if plane == "steps" else rf"$\alpha L_* = {ALPHA_L:g}$")
        + (rf", $\mathrm{{dist}}_0 = {DIST0:g}$." if plane == "spread" else ".")
        + (r" White: $E_0 = 0$, above which the envelope says nothing." if plane == "start" else "")
    )
    alt = (
        f"Four maps, one for each meta-learner, over {inline_text(x_name)} and {inline_text(y_name)}. A band of "
        "convergence lies between too few steps on one side and divergence on the other; for FO-MAML it is mixed with "
        "divergence."
    )
    rows = [
        (d.learner, float(f"{x:.6g}"), float(f"{y:.6g}"), float(d.converged[i, j]), float(d.diverged[i, j]))
        for d in diagrams
        for i, y in enumerate(d.y)
        for j, x in enumerate(d.x)
    ]
    return Chart(f"phase-{plane}", panels, alt, caption, ("learner", x_column, y_column, "converged", "diverged"), rows)


def _blind(diagrams: list[PhaseDiagram]) -> str:
    """Which of the grey ones end blind."""
    counts = {LEARNER_TITLES[d.learner]: round(float(d.blind.sum()) * d.trials) for d in diagrams}
    some = ", ".join(f"{count} of {name}'s" for name, count in counts.items() if count)
    return f"Of the trials in grey {some} end blind." if some else "None ends blind."


def _promised(diagram: PhaseDiagram) -> str:
    inside = diagram.predicted
    return f"{diagram.converged[inside].mean():.0%}" if inside.any() else "(nowhere)"


@as_panel
def _phase_panel(axes: Any, d: PhaseDiagram) -> None:
    y = 1 - d.y if d.plane == "start" else d.y  # 1 − dist_0, which the eye wants to grow downwards
    draw_map(axes, d.x, y, share_colours(d.converged, d.diverged), log_x=True, log_y=True)
    _phase_lines(axes, d)
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


def _phase_lines(axes: Any, d: PhaseDiagram) -> None:
    dashed: dict[str, Any] = {"color": ON_FILL, "linestyle": _DASHED, "linewidth": 1.3, "zorder": 3}
    dotted: dict[str, Any] = {"color": ON_FILL, "linestyle": _DOTTED, "linewidth": 1.3, "zorder": 3}
    if d.plane == "steps":
        axes.plot(d.x, d.limit / d.x**2, **dashed)
        axes.plot(d.x, d.enough[0] / d.x**2, **dotted)
    elif d.plane == "start":
        axes.plot(np.full(2, d.limit[0]), axes.get_ylim(), **dashed)
        axes.plot(d.enough[:, 0], 1 - d.y, **dotted)
        axes.axhline(1 - np.sqrt(ENVELOPE_OFFSET), color="white", linewidth=1.0, zorder=2)
    else:
        axes.plot(d.x, d.limit, **dashed)
        axes.plot(d.x, d.enough[0], **dotted)


# --- text


def phases_section(diagrams: Iterable[list[PhaseDiagram]]) -> b.Section:
    """The maps, a list of diagrams for each plane."""
    return b.Section(
        "boundaries-phases",
        "Where the learners converge",
        (
            b.Paragraph(
                r"By the scaling symmetry $\alpha L_*$, $\beta/\alpha$, the shape of the heads and the start are all "
                r"that matters. Beyond the dashed line the truth with $w = 0$ is unstable within $\mathrm{col}(B_*)$; "
                r"the exact learners' distance can fall all the same, as it hears of $\mathrm{col}(B)$ alone while "
                r"$B$ swings between two points within. Short of the line, with $\beta/\alpha$ large, the first-order "
                r"learners are lost on the way, which the local theory does not see. Exact MAML needs small $\alpha "
                "L_*$ besides, as its head's curvature grows with the heads' fourth moments."
            ),
            *(phase_chart(plane).picture() for plane in diagrams),
            b.Paragraph(
                rf"The envelope asks for $\mathrm{{dist}}_0^2 < {ENVELOPE_OFFSET:g}$ (the white line in the second "
                "row of maps); from balance the ANILs do not need it."
            ),
        ),
    )
