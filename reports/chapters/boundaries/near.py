"""FO-MAML near the truth: whether it stays there, as its linearisation predicts and as runs show."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from metarep.reports.chapters.boundaries.common import FO_MAML, Array, BoundarySize, exact_heads, stream
from metarep.reports.page.charts import BAD, GOOD, ON_FILL, OTHER, Chart, as_panel, draw_map, fill_legend, share_colours
from metarep.reports.page.markup import at_most
from metarep.reports.page.style import INK, SERIES
from metarep.sim.learners import get_learner
from metarep.sim.problems import FixedTasks, Problem, start
from metarep.sim.trajectories import run
from metarep.theory.dynamics.linearise import symmetric_basis
from metarep.theory.dynamics.rates import HeadMoments, fo_maml_operator, gaussian_head_moments, third_moment

STAYED, LEFT, UNDECIDED = "stayed", "left", "undecided"
NEAR_DIST0 = 0.3
LEFT_ABOVE, STAYED_BELOW = 0.1, 1e-3
"""A run has left the truth when its deviation ‖(S, ω)‖ ends above the one (or it diverged), has stayed at it when the
deviation ends below the other.
"""


@dataclass(frozen=True, eq=False)
class NearPlane:
    """Runs of FO-MAML over a plane of heads, (y, x): ``fate``, and ``least``, the least real part of 𝓛's eigenvalues by
    the size of the heads, whose sign predicts it; ``x``, ``y`` the axes' values.
    """

    x: Array
    y: Array
    fate: Array
    least: Array
    diverged: Array
    dist: Array
    """Last finite dist seen before the end, (y, x)."""
    steps: int

    @property
    def agreement(self) -> tuple[int, int, int]:
        """(decided points whose fate is as predicted, decided points, undecided points)."""
        decided = self.fate != UNDECIDED
        right = (self.fate == LEFT) == (self.least < 0)
        return int((right & decided).sum()), int(decided.sum()), int((~decided).sum())


def deviation(alpha: Any, k: int) -> Callable[[Array, Array, int], Array]:
    """Observes ‖(S, ω)‖, S = I − αB_*ᵀBBᵀB_*, ω = α^{3/2}w, in reduced coordinates."""

    def size(B: Array, w: Array, step: int) -> Array:
        along = B[..., :k, :]
        gram = np.asarray(alpha)[..., None, None] * (along @ np.swapaxes(along, -1, -2))
        span = np.square(np.eye(k) - gram).sum((-2, -1))
        return np.sqrt(span + np.asarray(alpha) ** 3 * np.square(w).sum(-1))

    return size


def _operators(heads: Array) -> Array:
    """Least real part of 𝓛's eigenvalues divided by L_*², for heads (..., k, n)."""
    flat = heads.reshape(-1, *heads.shape[-2:])
    least = []
    for one in flat:
        moments = HeadMoments.of(one)
        operator = fo_maml_operator(moments.mean, moments.second, third_moment(one)) / max(moments.L**2, 1e-300)
        least.append(float(np.real(np.linalg.eigvals(_balanced(operator, moments))).min()))
    return np.array(least).reshape(heads.shape[:-2])


def _balanced(operator: Array, moments: HeadMoments) -> Array:
    """A similar matrix with ω in units of the heads' size, so that its entries are of one size."""
    k = moments.mean.size
    scale = np.concatenate([np.ones(len(operator) - k), np.full(k, moments.L)])
    return scale[:, None] * operator / scale


def _near_plane(x: Array, y: Array, heads: Array, product: float, rng: np.random.Generator, steps: int) -> NearPlane:
    """Runs from one balanced start at ``NEAR_DIST0`` for all points; β fits αβL_*² = ``product``, αL_* = 1 at each."""
    k = heads.shape[-2]
    L = np.sqrt(np.linalg.eigvalsh(heads @ np.swapaxes(heads, -1, -2) / heads.shape[-1])[..., -1])
    alpha, beta = 1 / L, product / L  # αL_* = 1, αβL_*² = product
    B0 = start("balanced", 2 * k, k, 1.0, rng, NEAR_DIST0) / np.sqrt(alpha)[..., None, None]
    problem = Problem(2 * k, np.eye(2 * k, k), FixedTasks(heads), B0, np.zeros((*alpha.shape, k)), heads.shape[-1])
    seen = run(
        get_learner(FO_MAML), problem, alpha, beta, steps, record_every=max(1, steps // 40),
        observe={"deviation": deviation(alpha, k)},
    )  # fmt: skip
    end = seen.observed["deviation"][-1]
    fate = np.full(end.shape, UNDECIDED, dtype=object)
    fate[end < STAYED_BELOW] = STAYED
    fate[(end > LEFT_ABOVE) | seen.diverged] = LEFT
    least_dist = np.nanmin(seen.dist, axis=0)
    return NearPlane(x, y, fate, _operators(heads), seen.diverged, least_dist, steps)


GAUSSIAN_DEVIATIONS = (1.0, 0.5)
"""Σ^{1/2} of the plane of Gaussian laws."""


def gaussian_plane(seed: int, size: BoundarySize) -> NearPlane:
    """FO-MAML for the moments of N(μ, diag(1, 1/4)), μ over the plane; the prediction is the ellipse μᵀΣ⁻¹μ = 1."""
    x, y = np.linspace(-1.6, 1.6, size.plane), np.linspace(-0.8, 0.8, size.plane)
    means = np.stack(np.meshgrid(x, y), axis=-1)
    heads = exact_heads(means, np.broadcast_to(GAUSSIAN_DEVIATIONS, means.shape))
    return _near_plane(x, y, heads, 0.1, stream(seed, "gaussian"), size.plane_steps)


def three_heads_plane(seed: int, size: BoundarySize) -> NearPlane:
    """FO-MAML for k = 1 and the three heads 1, r, s over the plane; the prediction is m_2² = m_1 m_3."""
    # An even number of points, so that none lies on an axis, where a head is zero.
    x = np.linspace(-2, 2, size.plane + size.plane % 2)
    first, second = np.meshgrid(x, x)
    heads = np.stack([np.ones_like(first), first, second], axis=-1)[..., None, :]
    return _near_plane(x, x, heads, 0.1, stream(seed, "three"), size.plane_steps)


@dataclass(frozen=True, eq=False)
class GrowthLine:
    """Growth a step of a small perturbation of the truth for the moments of N(m e_1, I): ``predicted`` (m,), the same
    for all k, and ``seen`` (k, m).
    """

    m: Array
    ks: tuple[int, ...]
    product: float
    predicted: Array
    seen: Array


GROWTH_KS = (1, 2, 5)
_GROWTH_START, _GROWTH_RANGE = 1e-6, (1e-13, 1e-3)
"""Perturbation, and between which sizes it is followed: above rounding, below where second-order terms show."""


def growth_line(seed: int, size: BoundarySize) -> GrowthLine:
    """Predicted by 𝓛, seen along trajectories within the span (B_{*⊥}ᵀB = 0)."""
    m, alpha, beta, steps = np.linspace(0.05, 2.0, 2 * size.line), 1.0, 0.05, 800
    seen = []
    for k in GROWTH_KS:
        rng = stream(seed, f"growth {k}")
        heads = exact_heads(m[:, None] * np.eye(k)[0], np.ones((m.size, k)))
        point = rng.standard_normal(k * (k + 1) // 2 + k)
        point *= _GROWTH_START / np.linalg.norm(point)
        S = np.tensordot(point[:-k], symmetric_basis(k), axes=1)
        problem = Problem(k, np.eye(k), FixedTasks(heads), np.eye(k) - S / 2, point[-k:], 2 * k)
        run_ = run(
            get_learner(FO_MAML), problem, alpha, beta * np.ones(m.size), steps, record_every=5,
            observe={"size": deviation(alpha, k)},
        )  # fmt: skip
        seen.append([_late_growth(run_.steps, column) for column in run_.observed["size"].T])
    predicted = [
        1 - alpha * beta * np.real(np.linalg.eigvals(
            fo_maml_operator(*gaussian_head_moments(np.array([value]), np.eye(1)))
        )).min()
        for value in m
    ]  # fmt: skip
    return GrowthLine(m, GROWTH_KS, alpha * beta, np.array(predicted), np.array(seen))


def _late_growth(steps: Array, sizes: Array) -> float:
    """Factor a step over the last quarter of the records for which the size is within ``_GROWTH_RANGE``."""
    low, high = _GROWTH_RANGE
    inside = np.isfinite(sizes) & (sizes > low) & (sizes < high)
    last = int(np.argmin(inside)) - 1 if not inside.all() else len(sizes) - 1
    first = last * 3 // 4
    return float((sizes[last] / sizes[first]) ** (1 / (steps[last] - steps[first]))) if last > first else float("nan")


# --- figure


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
    draw_map(axes, plane.x, plane.y, colours)


@as_panel
def _gaussian_panel(axes: Any, plane: NearPlane) -> None:
    _fate_cells(axes, plane)
    turn = np.linspace(0, 2 * np.pi, 200)
    first, second = GAUSSIAN_DEVIATIONS
    axes.plot(first * np.cos(turn), second * np.sin(turn), color=ON_FILL, linewidth=1.5, zorder=3)
    axes.set_xlabel("first entry of the heads' mean, μ$_1$")
    axes.set_ylabel("second entry, μ$_2$")
    axes.set_title("(a) Means of Gaussian heads")
    fill_legend(axes, _FATES)


@as_panel
def _three_panel(axes: Any, plane: NearPlane) -> None:
    _fate_cells(axes, plane)
    fine = np.linspace(plane.x[0] * 1.05, plane.x[-1] * 1.05, 240)
    r, s = np.meshgrid(fine, fine)
    m_1, m_2, m_3 = ((1 + r**j + s**j) / 3 for j in (1, 2, 3))
    axes.contour(fine, fine, m_2**2 - m_1 * m_3, [0.0], colors=ON_FILL, linewidths=1.5, zorder=3)
    axes.set_xlabel("second head, r")
    axes.set_ylabel("third head, s")
    axes.set_title("(b) Heads 1, r and s")
    fill_legend(axes, _FATES)


@as_panel
def _growth_panel(axes: Any, growth: GrowthLine) -> None:
    axes.plot(growth.m, growth.predicted, color=INK, linewidth=1.2, label="predicted, any k")
    for place, k in enumerate(growth.ks):
        own = slice(place, None, len(growth.ks))  # in turn, so that no dot hides another
        axes.plot(
            growth.m[own], growth.seen[place, own], "osD"[place], color=SERIES[place], markersize=5,
            label=f"seen, k = {k}",
        )  # fmt: skip
    axes.axhline(1, color=INK, alpha=0.35, linewidth=0.8)
    axes.axvline(1, color=INK, alpha=0.35, linewidth=0.8)
    axes.set_xlabel("length of the heads' mean, |m|")
    axes.set_ylabel("growth a step")
    axes.set_title("(c) Heads from N(m e$_1$, I)")
    axes.legend(loc="lower right")
