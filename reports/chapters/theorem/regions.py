"""Where the envelope is proved, where it is seen to hold and where it fails, over (αL_*, β/α), as data.

A run keeps the envelope if dist_T ≤ (1 − ½αβE_0μ_*²)^{T−1} at every record of it. A cell is measured where all its
trials do, refuted where one does not. L_* = 1; only αL_*, β/α, the shape of the heads and the start matter.
"""

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from metarep.reports.chapters.boundaries.common import exact_heads, stream
from metarep.reports.chapters.chapter import Count, LearnerName, NotNegative, Share
from metarep.reports.page.charts import edges
from metarep.sim.batches import flattened
from metarep.sim.implementations import REFERENCE, Implementation
from metarep.sim.learners import get_learner
from metarep.sim.problems import FixedTasks, Problem
from metarep.sim.tasks import haar
from metarep.sim.trajectories import run
from metarep.theory.dynamics.rates import ENVELOPE_OFFSET
from metarep.theory.inequalities.guarantee import guarantee

Array = np.ndarray
K = 3
KAPPAS = (1.0, 2.0)
"""κ_* of the maps; Ψ_* has the eigenvalues 1, κ_*⁻¹, κ_*⁻²."""
DIST0 = 0.5
MEAN = 0.5
"""η_*/μ_* of the maps with a mean."""
CLOSE_DIST0, SMALL_MEAN = 0.15, 0.05
"""dist_0 and η_*L_*³/μ_*⁴ of FO-MAML's maps with a mean, whose theorem asks for a close start and a small one."""
LINE_ALPHA = 0.3
"""αL_* at which the largest steps are compared."""
SLACK = 1e-9
"""Relative rounding that the envelope is given."""


@dataclass(frozen=True)
class RegionSize:
    """How fine the maps are, and how long the runs."""

    cells: int = 19
    trials: int = 3
    steps: int = 6400
    """No run is longer; cells that need more to be asked for movement are not run."""
    fall: float = 2.0
    """At a run's end the envelope has come down to dist_0 over this."""
    line: int = 33
    """Step sizes along the line at one αL_*."""


SIZES = {"quick": RegionSize(), "full": RegionSize(25, 6, 25_600, 4.0, 65)}
"""By the report's profile. On one core about 8 s and 90 s."""
LEAST_STEPS = 25
"""Every run has so many at least; after twice, four times ... as many, what is finished is left out of the batch."""
RECORDS = 12
"""Records of the distance between two such times."""


@dataclass(frozen=True)
class RegionSetting:
    """What a map is of: κ_*, η_* (in units of L_*) and dist_0."""

    kappa: float
    eta: float
    dist0: float

    @property
    def E0(self) -> float:
        """0.9 − dist_0²."""
        return ENVELOPE_OFFSET - self.dist0**2


@dataclass(frozen=True, eq=False)
class RegionMap:
    """One map. Arrays are (β/α, αL_*).

    Args:
        kept: the share of trials that keep the envelope, nan where it would need too many steps.
        diverged: the share that diverge.
        contradicted: cells whose middle is proved and where a trial breaks the envelope, also with the head held at 0
            if the theorem says that it is: there must be none.
        largest: the largest proved β/α for each αL_*; 0 where nothing is proved.
        theorem: the theorem that is about these heads, "" if none is.
        line: αβL_*² along the line at ``LINE_ALPHA``; ``line_kept`` the shares there; ``line_proved`` the largest
            proved one.
    """

    learner: str
    setting: RegionSetting
    alphas: Array
    ratios: Array
    kept: Array
    diverged: Array
    contradicted: Array
    largest: Array
    theorem: str
    line: Array
    line_kept: Array
    line_proved: float

    @property
    def measured(self) -> Array:
        """Cells in which all trials keep the envelope."""
        return self.kept == 1

    @property
    def refuted(self) -> Array:
        """Cells in which some trial does not."""
        return self.kept < 1

    @property
    def proved(self) -> Array:
        """Which share of each cell's (logarithmic) area is proved."""
        borders = np.log(edges(self.ratios, log=True))
        with np.errstate(divide="ignore"):
            top = np.log(self.largest)
        return np.clip((top - borders[:-1, None]) / np.diff(borders)[:, None], 0.0, 1.0)

    @property
    def proved_share(self) -> float | None:
        """Which share of the measured region is proved; None where nothing was measured."""
        return float(self.proved[self.measured].mean()) if self.measured.any() else None

    @property
    def off_zero(self) -> Array:
        """Refuted cells whose middle is proved and that keep the envelope if the head is held at 0."""
        return self.refuted & (self.ratios[:, None] <= self.largest) & ~self.contradicted

    @property
    def line_measured(self) -> float | None:
        """The largest αβL_*² of the line up to which all trials keep the envelope; None if there is none."""
        held = int(np.cumprod(self.line_kept == 1).sum())
        return float(self.line[held - 1]) if held else None


def settings_of(learner: str) -> tuple[RegionSetting, ...]:
    """The maps of one learner: without and with a mean, for each κ_*."""
    if learner == "fo-maml":
        with_mean = [RegionSetting(kappa, SMALL_MEAN / kappa**4, CLOSE_DIST0) for kappa in KAPPAS]
    else:
        with_mean = [RegionSetting(kappa, MEAN / kappa, DIST0) for kappa in KAPPAS]
    return (*(RegionSetting(kappa, 0.0, DIST0) for kappa in KAPPAS), *with_mean)


def heads_of(setting: RegionSetting, trials: int, rng: np.random.Generator) -> Array:
    """Heads (trials, k, 2k) with just this Ψ_* and η_*, symmetric about their mean, turned at random."""
    second = np.diag(setting.kappa ** -np.linspace(0.0, 2.0, K))
    direction = rng.standard_normal((trials, K))
    mean = setting.eta * direction / np.linalg.norm(direction, axis=-1, keepdims=True)
    spread = np.linalg.cholesky(second - mean[:, :, None] * mean[:, None, :])
    return mean[:, :, None] + spread @ haar(K, K, rng, (trials,)) @ exact_heads(np.zeros(K), np.ones(K))


def starts_of(setting: RegionSetting, trials: int, rng: np.random.Generator) -> Array:
    """Orthonormal starts (trials, 2k, k), turned at random, all of whose sines are dist_0."""
    inside, outside = haar(K, K, rng, (trials,)), haar(K, K, rng, (trials,))
    cosine = math.sqrt(1 - setting.dist0**2)
    return np.concatenate([cosine * inside, setting.dist0 * outside], axis=-2)


def region_maps(learner: str, seed: int, size: RegionSize) -> tuple[RegionMap, ...]:
    """All maps of one learner, run as one batch; the draws are the same for all learners."""
    settings = settings_of(learner)
    alphas, ratios = np.geomspace(0.03, 10.0, size.cells), np.geomspace(1e-3, 1e2, size.cells)
    line = np.geomspace(0.03, 4.0, size.line)
    # Cells of the map, row by row, and behind them those of the line.
    alpha = np.concatenate([np.tile(alphas, size.cells), np.full(size.line, LINE_ALPHA)])
    ratio = np.concatenate([np.repeat(ratios, size.cells), line / LINE_ALPHA**2])
    batch = (len(settings), alpha.size, size.trials)
    rng = stream(seed, "theorem")
    heads = np.stack([heads_of(s, size.trials, rng) for s in settings])
    starts = np.stack([starts_of(s, size.trials, rng) for s in settings])
    E0 = np.array([s.E0 for s in settings])[:, None, None]
    dist0 = np.array([s.dist0 for s in settings])[:, None, None]
    product = np.broadcast_to((alpha**2 * ratio)[None, :, None], batch)
    lost = np.minimum(0.5 * product * E0 * np.array([s.kappa**-2 for s in settings])[:, None, None], 1.0)
    with np.errstate(divide="ignore"):
        wanted = np.log(dist0 / size.fall) / np.log1p(-lost) + 1
    given = (
        heads[:, None], starts[:, None] / np.sqrt(alpha)[None, :, None, None, None], alpha[None, :, None],
        ratio[None, :, None], lost,
    )  # fmt: skip
    too_many = wanted > size.steps
    broken, diverged = _follow(learner, given, np.where(too_many, np.inf, wanted))
    proofs = [_proved(learner, heads[i], np.append(alphas, LINE_ALPHA), s) for i, s in enumerate(settings)]
    cells, grid = size.cells**2, (size.cells, size.cells)
    # What is broken though proved, as it must not be. A theorem with the head at 0 is about just that, and rounding
    # drives the head off where 0 is not stable.
    doubtful = broken.copy()
    for i, (theorem, largest) in enumerate(proofs):
        doubtful[i, :cells] &= (ratios[:, None] <= largest[:-1]).ravel()[:, None]
        doubtful[i, cells:] = False
        if theorem.endswith(("centred", "symmetric")) and doubtful[i].any():
            one = tuple(part[i : i + 1] if len(part) == len(settings) else part for part in given)
            doubtful[i] = _follow(learner, one, np.where(doubtful[i : i + 1], wanted[i : i + 1], np.inf), HEAD_AT_0)[0]
    share = np.where(too_many.any(-1), np.nan, 1 - broken.mean(-1))

    def on_map(values: Array) -> Array:
        return values[:cells].reshape(grid)

    return tuple(
        RegionMap(
            learner, s, alphas, ratios, on_map(share[i]), on_map(diverged[i].mean(-1)),
            on_map(doubtful[i].any(-1)), largest[:-1], theorem, line, share[i, cells:],
            float(largest[-1] * LINE_ALPHA**2),
        )
        for i, (s, (theorem, largest)) in enumerate(zip(settings, proofs, strict=True))
    )  # fmt: skip


def _with_head_at_0(*arguments: Any, **options: Any) -> tuple[Array, Array]:
    B, w = REFERENCE.step(*arguments, **options)
    return B, np.zeros_like(w)


HEAD_AT_0 = replace(REFERENCE, name="reference, head held at 0", step=_with_head_at_0)
"""The reference without what rounding puts into a head that is 0 by the theorem."""


def _follow(
    learner: str, given: tuple[Array, ...], wanted: Array, implementation: Implementation = REFERENCE
) -> tuple[Array, Array]:
    """Which runs break the envelope, and which diverge, bool over the batch of ``wanted`` steps (infinite: not run).

    ``given``: heads, B_0, α, β/α, and by how much the envelope falls in a step, 1 − its factor.
    """
    batch = wanted.shape
    heads, B, alphas, ratios, lost, steps = flattened(batch, *zip((*given, wanted), (2, 2, 0, 0, 0, 0), strict=True))
    betas, factor, w = alphas * ratios, 1 - lost, np.zeros((len(B), K))
    broken, diverged = (np.zeros(len(B), dtype=bool) for _ in range(2))
    alive, done, until = np.flatnonzero(np.isfinite(steps)), 0, LEAST_STEPS
    B, w = B[alive], w[alive]
    B_star, spec = np.eye(2 * K, K), get_learner(learner)
    while alive.size:
        here = Problem(2 * K, B_star, FixedTasks(heads[alive]), B, w, 2 * K)
        more = until - done
        seen = run(
            spec, here, alphas[alive], betas[alive], more, implementation=implementation,
            record_every=max(1, more // RECORDS),
        )  # fmt: skip
        envelope = factor[alive] ** np.maximum(done + seen.steps[:, None] - 1, 0)
        out = ~(seen.dist <= envelope * (1 + SLACK)).all(0)  # not where dist is no number
        broken[alive] |= out
        diverged[alive] |= seen.diverged
        kept = ~out & (steps[alive] > until)
        alive, B, w = alive[kept], seen.B[kept], seen.w[kept]
        done, until = until, 2 * until
    return broken.reshape(batch), diverged.reshape(batch)


def _proved(learner: str, heads: Array, alphas: Array, setting: RegionSetting) -> tuple[str, Array]:
    """The theorem that is about these heads, and the largest proved β/α for each α, least over the trials."""
    found = [[guarantee(learner, one, a, 1e-12 * a, setting.dist0) for one in heads] for a in alphas]
    largest = np.array([min(each.largest_beta for each in row) / a for row, a in zip(found, alphas, strict=True)])
    return (found[0][0].theorem if largest.any() else ""), largest


# --- its part of report.json


@dataclass(frozen=True)
class RegionRecord:
    """The proved region against the measured one, over one map."""

    learner: LearnerName
    kappa: float
    """κ_*."""
    eta: float
    """η_*/L_*."""
    dist_0: float
    """The start's distance."""
    theorem: str | None
    """The id of the theorem that is about these heads; null if none is."""
    measured: Count
    """Cells in which all trials keep the envelope."""
    refuted: Count
    """Cells in which some trial does not."""
    not_run: Count
    """Cells in which the envelope asks for no movement within the steps of a run."""
    contradictions: Count
    """Refuted cells whose middle is proved, also with the head held at 0 where the theorem says that it is: none, if
    the theorem is true.
    """
    off_zero: Count
    """Refuted cells whose middle is proved, but where the head, 0 by the theorem, is driven off by rounding errors."""
    proved_share: Share | None
    """Which share of the measured region's area, on logarithmic axes, is proved; null where nothing was measured."""
    proved_product: NotNegative
    """The largest proved αβL_*² at the αL_* of the comparison; 0 where nothing is proved."""
    measured_product: float | None
    """The largest αβL_*² up to which all trials keep the envelope there; null if there is none."""
    factor: float | None
    """The measured over the proved one; null where either is missing."""


def region_record(found: RegionMap) -> RegionRecord:
    """What report.json has of a map; the map itself is in its figure's data."""
    seen, proved = found.line_measured, found.line_proved
    return RegionRecord(
        found.learner, found.setting.kappa, found.setting.eta, found.setting.dist0, found.theorem or None,
        int(found.measured.sum()), int(found.refuted.sum()), int(np.isnan(found.kept).sum()),
        int(found.contradicted.sum()), int(found.off_zero.sum()), found.proved_share, proved, seen,
        seen / proved if seen and proved else None,
    )  # fmt: skip
