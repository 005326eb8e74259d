"""Settings from balanced starts (αB_0ᵀB_0 = I, w_0 = 0) as plain data, and their runs.

A setting is normalised by the scaling symmetry: L_* = 1, so that the drawn pair (αL_*, αβL_*²) fixes α and β. By the
other symmetries nothing is lost in B_* = [I_k; 0], Ψ_* = diag(spectrum) and B_0 = [U diag(cosines); diag(sines)]/√α, U
orthogonal: that is every start with these principal angles, up to rotations that carry along. (Own derivation; starts
and envelope are those of Theorem 1 in Collins et al. 2022.)
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import ArrayLike

from metarep.sim.implementations import Implementation
from metarep.sim.learners import Learner
from metarep.sim.problems import FixedTasks, Problem
from metarep.sim.trajectories import Trajectory, run
from metarep.theory.claims.objects import run_objects
from metarep.theory.claims.record import Example
from metarep.theory.claims.strategies import FILLED, Entries, Sizes, floats, reflected_identity
from metarep.theory.dynamics.rates import ENVELOPE_OFFSET

LARGEST_DIST = 0.94
"""Largest dist_0 drawn: E_0 = 0.9 − dist_0² is positive there."""
LEAST_DIST = 0.05
"""Least dist_0 drawn: from the truth itself there is nothing to learn."""


# --- plain data to arrays


def heads_of(spectrum: ArrayLike, mean_share: ArrayLike, n: int, frame: ArrayLike) -> np.ndarray:
    """Heads (..., k, n) with Ψ_* = diag(spectrum) exactly and mean w̄_* = Ψ_*^{1/2} s, s the share vector cut to
    ‖s‖ ≤ 1; ``spectrum`` and ``mean_share`` (..., k).

    ``frame``: vectors in R^{n−1} whose reflections turn what is left free (the third and higher moments). With n = k
    heads ‖s‖ = 1 is forced, and s is scaled to it (e_1 if zero).

    Raises:
        ValueError: n < k, or a spectrum with zeros (see ``metarep.sim.problems.heads_with_spectrum`` for these).
    """
    root = np.sqrt(np.asarray(spectrum, dtype=float))
    k = root.shape[-1]
    if n < k or not np.all(root > 0):
        raise ValueError(f"n is {n} with spectrum {spectrum!r}; allowed: n >= {k} and positive eigenvalues")
    share = np.asarray(mean_share, dtype=float)
    norm = np.linalg.norm(share, axis=-1, keepdims=True)
    whole = (norm > 1) | (n == k)  # the direction of s has nothing left
    direction = np.where(norm > 0, share / np.where(norm > 0, norm, 1.0), np.eye(k)[0 if n == k else -1])
    share = np.where(whole, direction, share)
    if n == 1:
        return (root * share)[..., None]
    # Rows of F orthonormal, with inner products s with q = (1, ..., 1)/√n: F = s qᵀ + V diag(1, ..., 1, √(1 − ‖s‖²)) G,
    # G's rows orthonormal and perpendicular to q, V the reflection of e_k into the direction of s.
    q = np.full(n, 1 / np.sqrt(n))
    reflect = np.eye(n) - 2 * np.outer(q - np.eye(n)[0], q - np.eye(n)[0]) / (2 - 2 * q[0])  # swaps e_1 and q
    free = reflected_identity(frame) @ reflect[:, 1:].T  # (..., n − 1, n), rows orthonormal and perpendicular to q
    rows = np.zeros((*root.shape, n))
    rows[..., : min(k, n - 1), :] = free[..., :k, :]
    rows[..., -1, :] *= np.where(whole, 0.0, np.sqrt(np.maximum(1 - norm**2, 0.0)))
    rest = reflected_identity((direction - np.eye(k)[-1])[..., None, :]) @ rows
    return np.sqrt(n) * root[..., None] * (share[..., None] * q + rest)


def start_of(sines: ArrayLike, orientation: ArrayLike, d: int) -> np.ndarray:
    """Orthonormal B̂_0 (..., k + min(k, d − k), k) with principal sines (..., k) to [I_k; 0], at most d − k of them."""
    s = np.asarray(sines, dtype=float)
    k = s.shape[-1]
    s = np.where(np.arange(k) < d - k, s, 0.0)[..., None, :]
    across = (np.eye(k) * s)[..., : min(k, d - k), :]
    along = reflected_identity(orientation) * np.sqrt((1 - s) * (1 + s))
    return np.concatenate([along, across], axis=-2)


@dataclass(frozen=True)
class CyclingTasks:
    """Task sequences that rotate: step t has heads R^t H_{t mod P}, R turning neighbouring coordinates by ``angle``.

    ``sets`` (..., P, k, n), ``angle`` (...).
    """

    sets: np.ndarray
    angle: Any = 0.0

    def __call__(self, step: int) -> np.ndarray:
        """Heads (..., k, n) of this step."""
        return self.several(step, 1)[0]

    def several(self, first: int, count: int) -> np.ndarray:
        """Heads of so many steps, (count, ..., k, n)."""
        steps = np.arange(first, first + count)
        heads = np.moveaxis(self.sets[..., steps % self.sets.shape[-3], :, :], -3, 0)
        turned = np.multiply.outer(steps, np.asarray(self.angle, dtype=float))
        if not turned.any():
            return heads
        heads = heads.copy()
        cos, sin = np.cos(turned)[..., None], np.sin(turned)[..., None]
        for j in range(0, heads.shape[-2] - 1, 2):
            one, other = heads[..., j, :].copy(), heads[..., j + 1, :].copy()
            heads[..., j, :] = cos * one - sin * other
            heads[..., j + 1, :] = sin * one + cos * other
        return heads

    @property
    def smallest(self) -> np.ndarray:
        """λ_min(Ψ_{*,t}) for t = 0, ..., P − 1: (P, ...)."""
        second = self.sets @ np.swapaxes(self.sets, -1, -2) / self.sets.shape[-1]
        return np.moveaxis(np.linalg.eigvalsh(second)[..., 0], -1, 0)


@dataclass(frozen=True)
class Setting:
    """A batch of settings of one shape: problem, step sizes, dist_0, λ_min(Ψ_{*,t}) over a period (P, batch)."""

    problem: Problem
    alpha: np.ndarray
    beta: np.ndarray
    dist0: np.ndarray
    smallest: np.ndarray

    def objects(self, place: int) -> dict[str, Any]:
        """What a reader is shown of the setting of that number."""
        tasks = self.problem.tasks
        if not isinstance(tasks, CyclingTasks):
            return run_objects(self.problem, self.alpha, self.beta, tasks(0), place)
        turn = {"turn": float(tasks.angle[0])} if np.any(tasks.angle) else {}
        return {**run_objects(self.problem, self.alpha, self.beta, tasks.sets[0], place), **turn}


def setting_of(examples: Sequence[Example], steps: np.ndarray) -> Setting:
    """A batch of settings with the same k, d, n and period.

    Args:
        examples: data with keys k, d, n, spectra, mean_shares, frames (one each per task set), sines, orientation and,
            if the tasks turn, turn.
        steps: (αL_*, αβL_*²) of each, (m, 2); with one example m may be any number.
    """
    stacked = {name: np.array([item[name] for item in examples], dtype=float) for name in BATCHED}
    stacked["turn"] = np.array([item.get("turn", 0.0) for item in examples])
    return setting_from(examples[0]["d"], examples[0]["n"], stacked, steps)


BATCHED = ("sines", "orientation", "spectra", "mean_shares", "frames")
"""Keys of an example that ``setting_from`` takes as arrays over the batch, besides turn."""


def setting_from(d: int, n: int, at: Mapping[str, np.ndarray], steps: np.ndarray) -> Setting:
    """As ``setting_of``, from arrays with the examples as their first axis: sines (m, k), orientation (m, 2, k),
    spectra and mean_shares (m, P, k), frames (m, P, 2, n − 1), turn (m,).
    """
    k, alpha = at["sines"].shape[-1], steps[:, 0]
    beta = steps[:, 1] / alpha
    starts = start_of(at["sines"], at["orientation"], d)
    sets = heads_of(at["spectra"], at["mean_shares"], n, at["frames"])
    cycle = CyclingTasks(sets, at["turn"])
    tasks = FixedTasks(sets[:, 0]) if sets.shape[1] == 1 and not at["turn"].any() else cycle
    problem = Problem(
        d, np.eye(starts.shape[-2], k), tasks, starts / np.sqrt(alpha)[:, None, None], np.zeros((len(alpha), k)), n
    )
    dist0 = np.linalg.norm(starts[:, k:], 2, axis=(-2, -1)) if starts.shape[-2] > k else np.zeros(1)
    smallest = np.broadcast_to(cycle.smallest, (sets.shape[1], len(alpha)))
    return Setting(problem, alpha, beta, np.broadcast_to(dist0, alpha.shape), smallest)


def one_direction_setting(example: Example) -> Setting:
    """The setting of an example with k = 1 by keys heads, alpha_L (αL_*), step (αβL_*²), dist_0; a batch of one.

    The heads are scaled to L_* = 1.
    """
    heads = np.array([example["heads"]], dtype=float)
    heads = heads / np.sqrt(np.square(heads).mean())
    dist0, alpha = np.array([example["dist_0"]]), np.array([example["alpha_L"]])
    start = np.stack([np.sqrt((1 - dist0) * (1 + dist0)), dist0], -1) / np.sqrt(alpha)[:, None]
    problem = Problem(2, np.eye(2, 1), FixedTasks(heads), start[..., None], np.zeros((1, 1)), heads.shape[1])
    return Setting(problem, alpha, np.array([example["step"]]) / alpha, dist0, np.ones((1, 1)))


def run_setting(
    learner: Learner, setting: Setting, steps: int, implementation: Implementation, record_every: int = 1, **more: Any
) -> Trajectory:
    """The trajectories of a batch of settings."""
    how = {"implementation": implementation, "record_every": record_every, **more}
    return run(learner, setting.problem, setting.alpha, setting.beta, steps, **how)


# --- hypotheses


NARROW = Sizes(3, 0, 0)


@dataclass(frozen=True)
class Region:
    """Step sizes: αL_* in [least, most], αβL_*² at most ``largest_step``.

    They are drawn down to a tenth of it: smaller ones move little in the steps taken. ``sizes`` are the largest
    k, d and n, 0 for d ≤ 2k + 1 and n ≤ k + 3.
    """

    least: float
    most: float
    largest_step: float
    sizes: Sizes = NARROW

    @property
    def dimensions(self) -> str:
        """The dimensions in words for a statement."""
        k, d, n = self.sizes
        return rf"$k \le {k}$, $k < d \le {d or '2k + 1'}$, $k \le n \le {n or 'k + 3'}$"

    @property
    def latex(self) -> str:
        """The region in words for a statement."""
        return rf"${self.least:g} \le \alpha L_* \le {self.most:g}$, $\alpha\beta L_*^2 \le {self.largest_step:g}$"


REGIONS = {
    "anil": Region(0.1, 100.0, 0.03, FILLED),
    "fo-anil": Region(0.1, 100.0, 0.03, FILLED),
    "fo-maml": Region(0.1, 100.0, 0.01),
    "maml": Region(0.03, 0.3, 0.03),
}
"""Where the envelope with c = ½ survived an adversarial search, with a factor of about three to spare in αL_* and
αβL_*² each.
"""


@st.composite
def settings_in(draw: st.DrawFn, region: Region, period: int = 1) -> Example:
    """Settings in ``region``: one to six pairs (αL_*, αβL_*²) for the same start and tasks.

    d > k, n ≥ k, spectra of Ψ_* in [1/100, 1] with L_* = 1, any head mean, any principal angles with 0.05 ≤ dist_0 ≤
    0.94. ``period`` > 1: up to that many task sets in turn, which rotate by ``turn`` a step besides.
    """
    made = Entries(draw, floats, FILLED, units=(0,))
    k = made.k(most=region.sizes.k)
    d = made.d(k + 1, region.sizes.d or 2 * k + 1)
    n = made.n(k, region.sizes.n or k + 3)
    sets = draw(st.integers(2, period)) if period > 1 else 1
    least, most = np.log10(region.least), np.log10(region.most)
    pair = st.tuples(floats(least, most), floats(-1.0, 0.0)).map(
        lambda logs: [float(10 ** logs[0]), float(region.largest_step * 10 ** logs[1])]
    )
    spectra = st.lists(floats(-2.0, 0.0).map(lambda log: float(10**log)), min_size=k - 1, max_size=k - 1)
    others = st.lists(floats(0.0, LARGEST_DIST), min_size=k - 1, max_size=k - 1)
    example = {
        "k": k,
        "d": d,
        "n": n,
        "steps": draw(st.lists(pair, min_size=1, max_size=6)),
        "spectra": [[1.0, *sorted(draw(spectra), reverse=True)] for _ in range(sets)],
        "mean_shares": [made.vector(k, 1.0) for _ in range(sets)],
        "frames": [made.reflections(max(n - 1, 1)) for _ in range(sets)],
        "sines": sorted([draw(floats(LEAST_DIST, LARGEST_DIST)), *draw(others)], reverse=True),
        "orientation": made.reflections(k),
    }
    if period > 1:
        example["turn"] = draw(floats(0.0, 1.5))
    return example


@dataclass(frozen=True)
class LongRegion(Region):
    """Where runs go on until the envelope demands that they move: also the least n − k, the most of ‖Ψ_*^{−1/2}w̄_*‖,
    and whether √k αL_* stands for αL_* in its bounds.
    """

    spare_heads: int = 0
    largest_share: float = 1.0
    by_root: bool = False

    @property
    def latex(self) -> str:
        """The region in words for a statement."""
        bounds = super().latex.replace(r"\alpha L_*", r"\sqrt k\, \alpha L_*") if self.by_root else super().latex
        spare = rf", $n \ge k + {self.spare_heads}$" if self.spare_heads else ""
        share = rf", $\|\Psi_*^{{-1/2}} \bar w_*\| \le {self.largest_share:g}$" if self.largest_share < 1 else ""
        return bounds + spare + share


FEW_TASKS = Sizes(8, 64, 12)
LONG_REGIONS = {
    "anil": LongRegion(0.1, 100.0, 0.03, FILLED),
    "fo-anil": LongRegion(0.1, 100.0, 0.03, FILLED),
    "fo-maml": LongRegion(1.0, 100.0, 0.03, FEW_TASKS, spare_heads=1, largest_share=0.25),
    "maml": LongRegion(0.01, 0.1, 0.03, FEW_TASKS, by_root=True),
}
"""Where runs of any length that is drawn, with k up to 8, keep to the envelope and to it again from halfway.

FO-MAML: the truth is unstable with a large mean, and with n = k heads one is forced; with αL_* = 0.1 and k = 8 far
starts diverge. Exact MAML's rate falls short of αβμ_*² by a share that grows with k(αL_*)².
"""

LEAST_LONG_DIST, LARGEST_LONG_DIST = 0.25, 0.93
"""Range of dist_0 in long runs: from the least on, an envelope that has fallen by e^{−3/2} is below dist_0."""
LARGEST_WORK = 60.0
"""Largest κ_*²/E_0 in long runs: the time that the envelope takes to fall, in units of 1/(αβL_*²)."""


@st.composite
def long_settings(draw: st.DrawFn, region: LongRegion, period: int = 1) -> Example:
    """Settings in ``region`` for runs until the envelope demands movement: one to three pairs (αL_*, αβL_*²) each.

    1 ≤ κ_*² ≤ 60E_0 (near 1 in half of them), 0.25 ≤ dist_0 ≤ 0.93; else as ``settings_in``.
    """
    made = Entries(draw, floats, region.sizes, units=(0,))
    k = made.k()
    d = made.d(k + 1)  # beyond 2k d changes nothing
    n = made.n(k + region.spare_heads)
    sets = draw(st.integers(2, period)) if period > 1 else 1
    dist0 = draw(floats(LEAST_LONG_DIST, LARGEST_LONG_DIST))
    slowest = LARGEST_WORK * (ENVELOPE_OFFSET - dist0**2)
    kappa = draw(floats(0.0, 1.0).map(lambda share: float(slowest ** (share**3)))) if k > 1 else 1.0
    root = np.sqrt(k) if region.by_root else 1.0
    least, most = np.log10(region.least / root), np.log10(region.most / root)
    pair = st.tuples(floats(least, most), floats(-0.3, 0.0)).map(
        lambda logs: [float(10 ** logs[0]), float(region.largest_step * 10 ** logs[1])]
    )
    powers = st.lists(floats(0.0, 1.0), min_size=max(k - 2, 0), max_size=max(k - 2, 0))
    others = st.lists(floats(0.0, 1.0), min_size=k - 1, max_size=k - 1)

    def spectrum() -> list[float]:
        return [1.0, *sorted((float(kappa**-power) for power in draw(powers)), reverse=True), 1 / kappa][:k]

    example = {
        "k": k,
        "d": d,
        "n": n,
        "steps": draw(st.lists(pair, min_size=1, max_size=3)),
        "spectra": [spectrum() for _ in range(sets)],
        "mean_shares": [_cut(made.vector(k, 1.0), region.largest_share) for _ in range(sets)],
        "frames": [made.reflections(max(n - 1, 1)) for _ in range(sets)],
        "sines": [dist0, *sorted((dist0 * share for share in draw(others)), reverse=True)],
        "orientation": made.reflections(k),
    }
    if period > 1:
        example["turn"] = draw(floats(0.0, 1.5))
    return example


def _cut(vector: list[float], longest: float) -> list[float]:
    """The vector, shortened to ``longest`` if it is longer."""
    norm = float(np.linalg.norm(vector))
    return [entry * longest / norm for entry in vector] if norm > longest else vector
