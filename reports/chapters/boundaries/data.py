"""Where the theory stops, as data: whole grids of settings run as one batch.

``boundary_jobs`` lists the parts, each with a stream of its own, to be run in any order and on any core.

By the scaling symmetry only αL_*, β/α (or αβL_*²), the shape of Ψ_* and the start matter; L_* = 1 in what follows
unless said otherwise.
"""

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from metarep.sim.learners import LEARNERS, META_LEARNERS, Learner, get_learner
from metarep.sim.problems import FixedTasks, Problem, heads_with_spectrum, make_problem, start
from metarep.sim.trajectories import CONVERGED_BELOW, Outcome, run
from metarep.sim.updates import loss_after_adaptation
from metarep.theory.claims.blind import BLIND_ABOVE, SOLVED_BELOW
from metarep.theory.dynamics.linearise import span_head_matrix, symmetric_basis
from metarep.theory.dynamics.rates import (
    HeadMoments,
    average_loss_rate,
    fo_maml_operator,
    gaussian_head_moments,
    third_moment,
)

Array = np.ndarray
FO_MAML = "fo-maml"


@dataclass(frozen=True)
class BoundarySize:
    """How fine the grids are, how many trials each point has, how long the runs are."""

    cells: int = 17
    trials: int = 4
    steps: int = 1500
    plane: int = 21
    """Points a side of the planes of heads."""
    plane_steps: int = 4000
    scale_trials: int = 16
    scale_steps: int = 4000
    far_trials: int = 30
    far_steps: int = 3000
    line: int = 11
    """Points along an axis of a line figure."""
    head_steps: int = 4000
    """Steps of the runs over the heads' means; twice as many at most over their diversity."""


SIZES = {
    "quick": BoundarySize(),
    "full": BoundarySize(25, 6, 3000, 37, 8000, 40, 6000, 100, 4000, 17),
}
"""By the report's profile. On one core about 20 s and 100 s."""


def _rng(seed: int, part: str) -> np.random.Generator:
    """A stream of its own for every part, the same on every machine."""
    return np.random.default_rng([seed, zlib.crc32(part.encode())])


def exact_heads(mean: Any, deviations: Any) -> Array:
    """2k heads (..., k, 2k), mean ± √k σ_i e_i, whose first three moments are those of N(mean, diag(σ²)) exactly.

    FO-MAML hears no more of the heads, both ANILs hear less; Exact MAML also hears the fourth moments, which are
    different. (Own construction: a symmetric cubature of degree three.)

    Args:
        mean: (..., k).
        deviations: σ, (..., k).
    """
    mean, deviations = np.asarray(mean, dtype=float), np.asarray(deviations, dtype=float)
    k = mean.shape[-1]
    spread = np.sqrt(k) * deviations[..., :, None] * np.concatenate([np.eye(k), -np.eye(k)], axis=1)
    return mean[..., :, None] + spread


# --- phase diagrams ---------------------------------------------------------------------------------------------------

KAPPA, DIST0, ALPHA_L = 2.0, 0.6, 0.3
"""κ_*, dist_0 and αL_* of the phase diagrams where they are no axis."""
PHASE_K, PHASE_N, PHASE_D = 2, 4, 100
DRAWS_PER_TRIAL = 12
"""Draws of heads for each one kept: about a third have a truth that is stable under FO-MAML."""
PLANES = ("steps", "start", "spread")
"""The planes (αL_*, β/α), (αβL_*², dist_0) and (κ_*, αβL_*²)."""


@dataclass(frozen=True, eq=False)
class PhaseDiagram:
    """Shares of trials over a plane, (y, x): converged within ``steps`` steps, diverged by then.

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


def stable_product(learner: Learner, heads: Array, alpha: float) -> float:
    """The αβ up to which the linearisation at the truth, w = 0, has no eigenvalue of modulus above 1; 0 if none is.

    Its matrix is I − αβA with A free of β, so that an eigenvalue a of A allows αβ ≤ 2 Re a/|a|²; the perpendicular part
    allows αβ ≤ 2/L_*².
    """
    beta = 1 / alpha
    matrix = span_head_matrix(learner, heads, alpha, beta)
    A = np.eye(len(matrix)) - matrix  # αβ = 1
    values = np.linalg.eigvals(A)
    size = np.sqrt(np.finfo(float).eps * len(A)) * float(np.linalg.norm(A))  # neutral ones may be defective
    values = values[np.abs(values) > size]
    if np.any(np.real(values) < -size):
        return 0.0
    return float(min(2 / HeadMoments.of(heads).L ** 2, np.min(2 * np.real(values) / np.abs(values) ** 2)))


def _limits(learner: Learner, heads: Array, alphas: Array) -> tuple[Array, int]:
    """For each column of settings, heads (x, trials, k, n) and alphas (x,): median limit, and how many draws of the
    first column are unstable at any step."""
    each = np.array([[stable_product(learner, one, a) for one in row] for row, a in zip(heads, alphas, strict=True)])
    some = np.ma.masked_equal(each, 0.0)
    return np.ma.median(some, axis=1).filled(np.nan), int((each[0] == 0).sum())


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
    rng, trials = _rng(seed, "phase"), (size.trials,)  # the same draws for all planes and learners
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
    limit = _limits(learner, column, np.broadcast_to(alpha, (*X.shape[:2], 1))[0, :, 0])[0]
    unstable = _limits(learner, (common * heads)[None], np.array([ALPHA_L]))[1]
    return PhaseDiagram(
        plane, learner_name, x, y,
        (seen == Outcome.CONVERGED.value).mean(-1), (seen == Outcome.DIVERGED.value).mean(-1),
        (alpha * beta)[..., 0], kappa[..., 0], dist0[..., 0], limit, unstable, size.steps, size.trials,
    )  # fmt: skip


STAGES = (0.02, 0.1, 0.3, 1.0)
"""Shares of the steps after which the runs that have diverged are left out of the batch: they cost as much as any."""


def _run_in_stages(
    learner: Learner, problem: Problem, alpha: Any, beta: Any, steps: int, batch: tuple[int, ...]
) -> Array:
    """Outcome values over the batch after ``steps`` steps of fixed tasks; what has diverged is dropped on the way."""
    count = int(np.prod(batch))
    outcome = np.full(count, Outcome.MOVING.value, dtype=object)
    heads = np.broadcast_to(problem.tasks(0), batch + problem.tasks(0).shape[-2:]).reshape(count, problem.k, -1)
    B = np.broadcast_to(problem.B0, batch + problem.B0.shape[-2:]).reshape(count, *problem.B0.shape[-2:])
    w = np.broadcast_to(problem.w0, batch + problem.w0.shape[-1:]).reshape(count, -1)
    alphas, betas = (np.broadcast_to(value, batch).reshape(count) for value in (alpha, beta))
    alive, done = np.arange(count), 0
    for share in STAGES:
        now = max(done + 1, round(share * steps))
        here = Problem(problem.d, problem.B_star, FixedTasks(heads[alive]), B, w, problem.n)
        seen = run(learner, here, alphas[alive], betas[alive], now - done, record_every=now - done)
        outcome[alive] = [
            Outcome.DIVERGED.value
            if gone
            else Outcome.CONVERGED.value
            if dist <= CONVERGED_BELOW
            else Outcome.MOVING.value
            for gone, dist in zip(seen.diverged, seen.dist[-1], strict=True)
        ]
        kept = ~seen.diverged
        alive, B, w, done = alive[kept], seen.B[kept], seen.w[kept], now
        if not alive.size:
            break
    return outcome.reshape(batch)


# --- FO-MAML near the truth -------------------------------------------------------------------------------------------

STAYED, LEFT, UNDECIDED = "stayed", "left", "undecided"
NEAR_DIST0 = 0.3
LEFT_ABOVE, STAYED_BELOW = 0.1, 1e-3
"""A run has left the truth when its deviation ‖(S, ω)‖ ends above the one (or it diverged), has stayed at it when the
deviation ends below the other."""


@dataclass(frozen=True, eq=False)
class NearPlane:
    """Runs of FO-MAML over a plane of heads, (y, x): ``fate``, and ``least``, the least real part of 𝓛's eigenvalues by
    the size of the heads, whose sign predicts it; ``x``, ``y`` the axes' values."""

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
    return _near_plane(x, y, heads, 0.1, _rng(seed, "gaussian"), size.plane_steps)


def three_heads_plane(seed: int, size: BoundarySize) -> NearPlane:
    """FO-MAML for k = 1 and the three heads 1, r, s over the plane; the prediction is m_2² = m_1 m_3."""
    # An even number of points, so that none lies on an axis, where a head is zero.
    x = np.linspace(-2, 2, size.plane + size.plane % 2)
    first, second = np.meshgrid(x, x)
    heads = np.stack([np.ones_like(first), first, second], axis=-1)[..., None, :]
    return _near_plane(x, x, heads, 0.1, _rng(seed, "three"), size.plane_steps)


@dataclass(frozen=True, eq=False)
class GrowthLine:
    """Growth a step of a small perturbation of the truth for the moments of N(m e_1, I): ``predicted`` (m,), the same
    for all k, and ``seen`` (k, m)."""

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
        rng = _rng(seed, f"growth {k}")
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


# --- FO-MAML far from the truth ---------------------------------------------------------------------------------------


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
        rng = _rng(seed, f"far {k}")
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
    rng = _rng(seed, "far shares")
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


# --- the start's scale, and points of zero loss that know nothing -----------------------------------------------------

SCALE_D, SCALE_K, SCALE_N, SCALE_STEP = 100, 5, 10, 0.1
SCALES = (0.1, 0.18, 0.32, 0.56, 1.0, 1.5)
"""√α‖B_0‖: 1 is balanced, √α = 0.32 orthonormal."""
ENDS = ("learned", "blind", "neither", "diverged")


@dataclass(frozen=True, eq=False)
class ScaleRuns:
    """``ends`` (scales, trials) of ``ENDS``, for those that end blind the median of α‖w‖².

    ``unstable``: for how many draws of the heads the truth is unstable at any step size (``stable_product``).
    """

    learner: str
    scales: Array
    ends: Array
    blind_head: float | None
    unstable: int
    steps: int

    def share(self, end: str) -> Array:
        """Share of the trials that end so, (scales,)."""
        return (self.ends == end).mean(-1)


def scale_runs(learner_name: str, seed: int, size: BoundarySize) -> ScaleRuns:
    """One learner from random subspaces at growing scales, fixed tasks with Ψ_* = I; the same starts for all."""
    learner, scales = get_learner(learner_name), np.array(SCALES)
    problem = make_problem(
        SCALE_D,
        SCALE_K,
        SCALE_N,
        SCALE_STEP,
        _rng(seed, "scale"),
        spectrum=[1.0] * SCALE_K,
        trials=(size.scale_trials,),
    )
    shape = (scales.size, size.scale_trials)
    heads = np.broadcast_to(problem.tasks(0), (*shape, SCALE_K, SCALE_N))
    B0 = scales[:, None, None, None] * problem.B0
    here = Problem(SCALE_D, problem.B_star, FixedTasks(heads), B0, np.zeros((*shape, SCALE_K)), SCALE_N)
    seen = run(learner, here, SCALE_STEP, SCALE_STEP, size.scale_steps, record_every=size.scale_steps)
    targets = problem.B_star @ heads
    with np.errstate(invalid="ignore"):
        loss = loss_after_adaptation(learner, seen.B, seen.w, targets, SCALE_STEP)
        relative = loss / loss_after_adaptation(learner, here.B0, here.w0, targets, SCALE_STEP)
        blind = (seen.dist[-1] > BLIND_ABOVE) & (relative < SOLVED_BELOW)
        ends = np.full(shape, "neither", dtype=object)
        ends[blind] = "blind"
        ends[seen.dist[-1] <= CONVERGED_BELOW] = "learned"
        ends[seen.diverged] = "diverged"
    head = SCALE_STEP * np.square(seen.w).sum(-1)
    middle = float(np.median(head[blind])) if blind.any() else None
    unstable = _limits(learner, problem.tasks(0)[None], np.array([SCALE_STEP]))[1]
    return ScaleRuns(learner_name, scales, ends, middle, unstable, size.scale_steps)


# --- diversity and mean of the heads ----------------------------------------------------------------------------------

HEADS_D, HEADS_K, HEADS_DIST0 = 100, 3, 0.6


@dataclass(frozen=True, eq=False)
class HeadLaws:
    """Steps until dist ≤ 1e-6 (nan: not within the run) by learner (learners, values), for heads with the moments of
    N(0, diag(1, ..., 1, μ²)) (``kind`` "diversity") or of N(m e_1, I) ("mean"), whether the run diverged later, and the
    prediction of the rate αβμ_*²."""

    kind: str
    values: Array
    arrival: Array
    diverged: Array
    predicted: Array
    steps: int
    product: float


def head_laws(kind: str, seed: int, size: BoundarySize) -> HeadLaws:
    """All four meta-learners on the same start, one run a value."""
    k, alpha = HEADS_K, 0.3
    beta = 0.05 / alpha
    if kind == "diversity":
        values = np.geomspace(1.0, 0.25, size.line)
        deviations = np.concatenate([np.ones((values.size, k - 1)), values[:, None]], axis=1)
        heads, least = exact_heads(np.zeros((values.size, k)), deviations), values**2
    elif kind == "mean":
        values = np.linspace(0.0, 1.8, size.line)
        heads, least = exact_heads(values[:, None] * np.eye(k)[0], np.ones((values.size, k))), np.ones(values.size)
    else:
        raise ValueError(f"kind is {kind!r}; allowed: 'diversity', 'mean'")
    falls = np.log(HEADS_DIST0 / CONVERGED_BELOW)
    predicted = falls / -np.log1p(-alpha * beta * least)
    longest = int(1.3 * predicted.max())
    steps = min(longest, 2 * size.head_steps) if kind == "diversity" else size.head_steps
    B0 = start("balanced", HEADS_D, k, alpha, _rng(seed, "heads"), HEADS_DIST0)
    every, arrival, diverged = 5, [], []
    for name in META_LEARNERS:
        problem = Problem(HEADS_D, np.eye(2 * k, k), FixedTasks(heads), B0, np.zeros(k), 2 * k)
        seen = run(LEARNERS[name], problem, alpha, beta * np.ones(values.size), steps, record_every=every)
        reached = seen.dist <= CONVERGED_BELOW
        arrival.append(np.where(reached.any(0), seen.steps[reached.argmax(0)], np.nan))
        diverged.append(seen.diverged)
    return HeadLaws(kind, values, np.array(arrival), np.array(diverged), predicted, steps, alpha * beta)


# --- the baseline -----------------------------------------------------------------------------------------------------

BASELINE_KS = (1, 2, 5)


@dataclass(frozen=True, eq=False)
class BaselineRuns:
    """Average loss for one k: ``dist`` (T, trials) from balanced starts, for k = 1 the predicted rates (trials,).

    ``bound`` (trials,) is σ_2(B_{*⊥}ᵀB̂_0), which it cannot pass; None for k = 1.
    """

    k: int
    steps: Array
    dist: Array
    bound: Array | None
    rate: Array | None


def baseline_runs(seed: int, size: BoundarySize) -> list[BaselineRuns]:
    """Average loss on fixed tasks with heads N(e_1, I), n = 20, d = 100, balanced starts at dist_0 = 0.9, other sines
    uniform below."""
    found, alpha, beta, steps, trials, n = [], 0.3, 0.05, 2000, 5, 20
    for k in BASELINE_KS:
        rng = _rng(seed, f"baseline {k}")
        problem = make_problem(
            100, k, n, alpha, rng, dist0=0.9, trials=(trials,), head_mean=np.eye(k)[0], angles="largest"
        )
        seen = run(LEARNERS["average-loss"], problem, alpha, beta, steps, record_every=20)
        sines = np.linalg.svd(np.sqrt(alpha) * problem.B0[..., k:, :], compute_uv=False)
        eta = np.linalg.norm(problem.tasks(0).mean(-1), axis=-1)
        rate = np.array([average_loss_rate(float(value), alpha, beta) for value in eta]) if k == 1 else None
        found.append(BaselineRuns(k, seen.steps, seen.dist, sines[:, 1] if k > 1 else None, rate))
    return found


# --- all of it --------------------------------------------------------------------------------------------------------

Key = tuple[str, ...]


def boundary_jobs(seed: int, size: BoundarySize) -> list[tuple[Key, Callable[..., Any], tuple[Any, ...]]]:
    """(key, function, arguments) of every part, the long ones first."""
    jobs: list[tuple[Key, Callable[..., Any], tuple[Any, ...]]] = [
        (("boundary", "three-heads"), three_heads_plane, (seed, size)),
        (("boundary", "gaussian"), gaussian_plane, (seed, size)),
        (("boundary", "far"), far_starts, (seed, size)),
    ]
    jobs += [(("boundary", "scale", name), scale_runs, (name, seed, size)) for name in META_LEARNERS]
    jobs += [
        (("boundary", "phase", plane, name), phase_diagram, (plane, name, seed, size))
        for plane in PLANES
        for name in META_LEARNERS
    ]
    jobs += [(("boundary", "heads", kind), head_laws, (kind, seed, size)) for kind in ("diversity", "mean")]
    jobs += [
        (("boundary", "growth"), growth_line, (seed, size)),
        (("boundary", "baseline"), baseline_runs, (seed, size)),
    ]
    return jobs


def measure_boundaries(seed: int, size: BoundarySize) -> dict[Key, Any]:
    """All parts, one after another."""
    return {key: function(*arguments) for key, function, arguments in boundary_jobs(seed, size)}
