"""Measured constants of the envelope: how large the steps may be for c = ½, and how large c at one pair of small steps,
by an adversarial search.

An instance is a point of a unit cube: principal angles and orientation of the start, spectrum of Ψ_*, head means and
the free part of the heads, for one or two task sets. What is minimised is the largest c with whose envelope a run
complies.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from metarep.sim.implementations import Implementation
from metarep.sim.learners import LEARNERS, META_LEARNERS, Learner
from metarep.theory.claims.adversary import polish, search_cells
from metarep.theory.claims.balanced import LARGEST_DIST, REGIONS, Region, largest_c, run_setting, setting_of
from metarep.theory.claims.chapter import TITLES
from metarep.theory.claims.record import Claim, Example, Measurement, Verdict, own
from metarep.theory.dynamics.bounds import largest_flow_c
from metarep.theory.dynamics.rates import ENVELOPE_C, ENVELOPE_OFFSET

CHAPTER = "Measured constants"

SHAPES = ((1, 2), (2, 2), (2, 3))
"""(k, n) of the instances searched; d = 2k. Few and small: they are the worst seen, and fast."""
REGION_STEPS = 300
ALPHA_L = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 100.0)
STEP_SIZES = (0.01, 0.03, 0.1, 0.3, 1.0)
"""Grid of αL_* and αβL_*²; β/α = αβL_*²/(αL_*)²."""
BISECTIONS = 2
SIEGE, SIEGE_SHAPE = 240, (2, 2)
"""Far starts, and their (k, n), on which a step size that survived the search has to hold out."""
SMALL_STEP, SMALL_STEPS = 0.03, 600
"""αβL_*² and T for the largest c at small steps: the scaled time αβμ_*²T is up to 18."""


def coordinates(k: int, n: int, period: int) -> int:
    """Number p of coordinates of an instance of that shape."""
    return k + 2 * k + period * (k - 1 + k + 2 * (n - 1)) + (period > 1)


def instance_at(point: np.ndarray, k: int, n: int, period: int, pair: Sequence[float]) -> dict[str, Any]:
    """The instance (as of ``balanced.settings_in``) at a point of the cube, for ``pair`` = (αL_*, αβL_*²)."""
    values = iter(np.asarray(point, dtype=float).tolist())

    def take(count: int) -> list[float]:
        return [next(values) for _ in range(count)]

    def signed(count: int) -> list[float]:
        return [2 * value - 1 for value in take(count)]

    instance: dict[str, Any] = {
        "k": k,
        "d": 2 * k,
        "n": n,
        "steps": [[float(pair[0]), float(pair[1])]],
        "sines": sorted((LARGEST_DIST * value for value in take(k)), reverse=True),
        "orientation": [signed(k), signed(k)],
        "spectra": [],
        "mean_shares": [],
        "frames": [],
    }
    for _ in range(period):
        instance["spectra"].append([1.0, *sorted((10 ** (2 * value - 2) for value in take(k - 1)), reverse=True)])
        instance["mean_shares"].append(signed(k))
        instance["frames"].append([signed(n - 1), signed(n - 1)])
    if period > 1:
        instance["turn"] = 1.5 * take(1)[0]
    return instance


class _Adversary:
    """The objective for one learner: the largest c of a run, for points in the cube and pairs (αL_*, αβL_*²)."""

    def __init__(
        self, learner: Learner, implementation: Implementation, shape: tuple[int, int], period: int, steps: int
    ):
        self.learner, self.implementation, self.shape, self.period, self.steps = (
            learner, implementation, shape, period, steps,
        )  # fmt: skip

    @property
    def dimensions(self) -> int:
        """Coordinates of a point."""
        return coordinates(*self.shape, self.period)

    def values(self, points: np.ndarray, pairs: np.ndarray) -> np.ndarray:
        """Largest c (m,) of the runs at points (m, p) with step sizes pairs (m, 2)."""
        instances = [
            instance_at(point, *self.shape, self.period, pair) for point, pair in zip(points, pairs, strict=True)
        ]
        setting = setting_of(instances, pairs)
        trajectory = run_setting(self.learner, setting, self.steps, self.implementation, record_every=10)
        return largest_c(setting, trajectory)


def _search(
    learner: Learner,
    implementation: Implementation,
    period: int,
    steps: int,
    pairs: np.ndarray,
    rng: np.random.Generator,
    effort: float,
    stop_below: float = ENVELOPE_C,
) -> tuple[np.ndarray, list[dict[str, Any]], int]:
    """Worst c of each pair (αL_*, αβL_*²), its instance, and how many were tried; a pair once broken is left."""
    worst, tried = np.full(len(pairs), np.inf), 0
    instances: list[dict[str, Any]] = [{} for _ in pairs]
    for shape in SHAPES:
        alive = np.flatnonzero(worst >= stop_below)
        if alive.size == 0:
            break
        adversary = _Adversary(learner, implementation, shape, period, steps)
        found = search_cells(
            lambda cells, points, adversary=adversary, alive=alive: adversary.values(points, pairs[alive[cells]]),
            len(alive), adversary.dimensions, rng,
            population=max(4, round(6 * effort**0.5)), rounds=max(2, round(2 * effort**0.5)), stop_below=stop_below,
        )  # fmt: skip
        tried += found.tried
        for index, cell in enumerate(alive):
            if found.values[index] < worst[cell]:
                worst[cell] = found.values[index]
                instances[cell] = instance_at(found.points[index], *shape, period, pairs[cell])
                instances[cell]["point"] = found.points[index].tolist()
    return worst, instances, tried


def _inside(region: Region) -> np.ndarray:
    """Which αL_* of the grid belong to the region."""
    grid = np.array(ALPHA_L)
    return (grid >= region.least) & (grid <= region.most)


def _polished(
    learner: Learner,
    implementation: Implementation,
    period: int,
    instance: dict[str, Any],
    region: Region,
    effort: float,
) -> tuple[float, Example, int]:
    """Nelder–Mead from an instance, over its coordinates and αL_* in the region: (largest c, instance, evaluations)."""
    shape = instance["k"], instance["n"]
    adversary = _Adversary(learner, implementation, shape, period, REGION_STEPS)
    low, high = np.log(region.least), np.log(region.most)
    (alpha_L, step), *_ = instance["steps"]

    def pair(x: np.ndarray) -> list[float]:
        return [float(np.exp(low + x[-1] * (high - low))), step]

    begin = np.append(instance["point"], np.clip((np.log(alpha_L) - low) / (high - low), 0, 1))
    point, value, used = polish(
        lambda x: float(adversary.values(x[None, :-1], np.array([pair(x)]))[0]), begin, max(8, round(16 * effort))
    )
    return value, {**instance_at(point[:-1], *shape, period, pair(point)), "point": point[:-1].tolist()}, used


def _besieged(
    learner: Learner,
    implementation: Implementation,
    period: int,
    region: Region,
    step: float,
    rng: np.random.Generator,
    effort: float,
) -> tuple[float, dict[str, Any], int]:
    """Many far starts at one αβL_*², half of them at the region's least αL_*: (worst c, instance, how many).

    What breaks the envelope there may be rare, one start in a hundred, which a search of few points does not see.
    """
    count = max(40, round(SIEGE * effort))
    adversary = _Adversary(learner, implementation, SIEGE_SHAPE, period, REGION_STEPS)
    points = rng.random((count, adversary.dimensions))
    points[:, 0] = 1 - 0.1 * points[:, 0]  # the largest sine
    spread = rng.random(count) * (np.arange(count) % 2)
    alpha_L = region.least * (region.most / region.least) ** spread
    pairs = np.stack([alpha_L, np.full(count, step)], axis=1)
    values = adversary.values(points, pairs)
    worst = int(np.argmin(values))
    instance = instance_at(points[worst], *SIEGE_SHAPE, period, pairs[worst].tolist())
    return float(values[worst]), {**instance, "point": points[worst].tolist()}, count


def _region_measure(learner: Learner, period: int) -> Any:
    """Largest αβL_*² at which c = ½ survives for every αL_* of the learner's region; the whole grid besides."""

    def measure(implementation: Implementation, seed: int, effort: float) -> Measurement:
        rng = np.random.default_rng(seed)
        region = REGIONS[learner.name]
        pairs = np.array([(alpha_L, step) for step in STEP_SIZES for alpha_L in ALPHA_L])
        worst, instances, tried = _search(learner, implementation, period, REGION_STEPS, pairs, rng, effort)
        table = worst.reshape(len(STEP_SIZES), len(ALPHA_L))
        inside = _inside(region)
        survived, broken, breaking = 0.0, float("inf"), None
        survivor: dict[str, Any] | None = None
        for row, step in enumerate(STEP_SIZES):
            cells = np.flatnonzero(inside) + row * len(ALPHA_L)
            least = cells[np.argmin(worst[cells])]
            if worst[least] < ENVELOPE_C:
                broken, breaking = step, instances[least]
                break
            survived, survivor = step, dict(instances[least])
        if survivor is not None:
            value, polished, used = _polished(learner, implementation, period, survivor, region, effort)
            tried += used
            if value < ENVELOPE_C:
                below = [step for step in STEP_SIZES if step < survived]
                survived, broken, breaking = (below[-1] if below else 0.0), survived, polished

        def besieged(step: float) -> bool:
            """Whether ``step`` holds out; what breaks it is noted."""
            nonlocal broken, breaking, tried
            value, instance, count = _besieged(learner, implementation, period, region, step, rng, effort)
            tried += count
            if value < ENVELOPE_C:
                broken, breaking = step, instance
            return value >= ENVELOPE_C

        lower = [step for step in STEP_SIZES if step <= survived]
        while lower and not besieged(lower[-1]):
            lower.pop()
        survived = held = lower[-1] if lower else 0.0
        if survived > 0 and np.isfinite(broken):
            for _ in range(max(1, round(BISECTIONS * effort**0.5))):
                middle = float(np.sqrt(survived * broken))
                row = np.array([(alpha_L, middle) for alpha_L in np.array(ALPHA_L)[inside]])
                values, found, more = _search(learner, implementation, period, REGION_STEPS, row, rng, effort)
                tried += more
                if values.min() < ENVELOPE_C:
                    broken, breaking = middle, found[int(np.argmin(values))]
                else:
                    survived = middle
        if survived > held and not besieged(survived):
            survived = held
        bracketed = bool(survived > 0 and np.isfinite(broken))
        estimate = float(np.sqrt(survived * broken)) if bracketed else survived
        return Measurement(
            estimate,
            (broken - survived) / 2 if bracketed else 0.0,
            tried,
            f"for every αL_* in [{region.least:g}, {region.most:g}] c = 1/2 survived at αβL_*² ≤ {survived:.3g}, that "
            f"is β/α ≤ {survived:.3g}/(αL_*)², from {survived / region.least**2:.3g} to {survived / region.most**2:.3g}"
            + (f", and is broken at αβL_*² = {broken:.3g}" if np.isfinite(broken) else ", and nothing broke it")
            + "; on the grid it survived up to, as (αL_*, β/α): "
            + ", ".join(f"({alpha_L:g}, {ratio:.3g})" for alpha_L, ratio in _boundary(table)),
            {
                "alpha_L": list(ALPHA_L),
                "step": list(STEP_SIZES),
                "beta_over_alpha": [[step / alpha_L**2 for alpha_L in ALPHA_L] for step in STEP_SIZES],
                "largest_c": [[float(max(value, -1.0)) for value in row] for row in table],
                "flow_c": [largest_flow_c(step * (REGION_STEPS - 1)) for step in STEP_SIZES],
                "boundary": [{"alpha_L": alpha_L, "beta_over_alpha": ratio} for alpha_L, ratio in _boundary(table)],
                "steps": REGION_STEPS,
                "survived": survived,
                "broken": broken if np.isfinite(broken) else None,
                "breaking_instance": _plain(breaking),
            },
            consistent=survived >= region.largest_step,
            counterexample=_plain(breaking),
        )

    return measure


def _boundary(table: np.ndarray) -> list[tuple[float, float]]:
    """(αL_*, β/α) for each αL_* of the grid: the largest β/α up to which c = ½ survived at every αβL_*² of the grid; 0
    if it was broken at the least."""
    rows = np.argmax(
        np.vstack([table, np.full(len(ALPHA_L), -np.inf)]) < ENVELOPE_C, axis=0
    )  # the first that is broken
    return [
        (alpha_L, STEP_SIZES[row - 1] / alpha_L**2 if row else 0.0) for alpha_L, row in zip(ALPHA_L, rows, strict=True)
    ]


def _plain(instance: Example | None) -> dict[str, Any] | None:
    """Without the coordinates in the cube, which only the search needs."""
    return None if instance is None else {key: value for key, value in instance.items() if key != "point"}


def _middle(region: Region) -> list[float]:
    """The pair (αL_*, αβL_*²) at which the largest c is looked for."""
    return [float(np.sqrt(region.least * min(region.most, 10.0))), SMALL_STEP]


def _largest_c_measure(learner: Learner, period: int) -> Any:
    """The largest c that survives at one pair of small steps, in the middle of the learner's region."""

    def measure(implementation: Implementation, seed: int, effort: float) -> Measurement:
        region = REGIONS[learner.name]
        pair = _middle(region)
        rng = np.random.default_rng(seed)
        halves, tried, best = np.full(2, np.inf), 0, {}
        for shape in SHAPES[:2]:
            adversary = _Adversary(learner, implementation, shape, period, SMALL_STEPS)
            # two searches that know nothing of each other: how far apart they end is the uncertainty
            found = search_cells(
                lambda cells, points, adversary=adversary: adversary.values(points, np.tile(pair, (len(points), 1))),
                2, adversary.dimensions, rng,
                population=max(8, round(12 * effort**0.5)), rounds=max(3, round(4 * effort**0.5)),
            )  # fmt: skip
            tried += found.tried
            if found.values.min() < halves.min():
                best = instance_at(found.points[int(np.argmin(found.values))], *shape, period, pair)
            halves = np.minimum(halves, found.values)
        estimate = float(halves.min())
        flow = largest_flow_c(SMALL_STEP * (SMALL_STEPS - 1))
        return Measurement(
            estimate,
            float(abs(halves[0] - halves[1])),
            tried,
            f"over {SMALL_STEPS} steps at αL_* = {pair[0]:.3g}, αβL_*² = {SMALL_STEP:g} no instance broke a smaller "
            f"c; in the limit of "
            f"small steps the largest c for so long a run is {flow:.3f} (k = 1, closed form), and "
            f"{1 / ENVELOPE_OFFSET:.3f} for ever longer "
            "runs",
            {
                "survived": estimate,
                "flow_c": flow,
                "steps": SMALL_STEPS,
                "alpha_L": pair[0],
                "step": SMALL_STEP,
                "halves": halves.tolist(),
                "breaking_instance": best,
            },
            consistent=estimate >= ENVELOPE_C,
            counterexample=best,
        )

    return measure


def _claims(name: str, period: int) -> tuple[Claim, Claim]:
    changing = period > 1
    learner, region = LEARNERS[name], REGIONS[name]
    tasks = "tasks that change (two task sets in turn, rotating)" if changing else "fixed tasks"
    envelope = f"envelope-{'changing-' if changing else ''}{name}"
    pair = _middle(region)
    longer = (
        " So few steps do not show what longer runs do: for heads of one sign (k = 1, heads 1 and 2, say) the truth is "
        "unstable under FO-MAML (fo-maml-scalar), and the envelope fails in the end (envelope-fo-maml-forever)."
        if name == "fo-maml"
        else ""
    )
    who = TITLES[name][0].upper() + TITLES[name][1:]
    common: dict[str, Any] = {
        "chapter": CHAPTER,
        "source": own("by adversarial search"),
        "expected": Verdict.MEASURED,
        "kind": "measurement",
        "learners": (name,),
        "exercises": frozenset({"step", "distance"}),
        "rests_on": (envelope,),
        "remark": "What survives a search may be broken by a better one: the upper end of a bracket is certain, "
        "the lower is not. "
        "The uncertainty is the width of the bracket (of a region) or the difference of two searches (of c), not a "
        "bound on what "
        "a longer search finds: one eight times as long broke regions at two thirds of the value that a short one "
        "gave." + longer,
    }
    return (
        Claim(
            id=f"constant-region-{'changing-' if changing else ''}{name}",
            statement=rf"{who}, {tasks}: the envelope with $c = \frac12$ survives {REGION_STEPS} steps in a region "
            rf"${region.least:g} \le \alpha L_* \le {region.most:g}$, $\beta/\alpha \le s/(\alpha L_*)^2$; the "
            rf"estimate is of the largest such $s$, a bound on $\alpha\beta L_*^2$; $s \ge {region.largest_step:g}$.",
            hypotheses=rf"balanced start, $w_0 = 0$, $k \le 2$, $d = 2k$, $n \le 3$, $\mathrm{{dist}}_0 \le 0.94$, "
            rf"$\kappa_*^2 \le 100$; runs of {REGION_STEPS} steps, no longer; the range of $\alpha L_*$ is set "
            r"beforehand, what a grid of $(\alpha L_*, \beta/\alpha)$ shows beyond it is told with the estimate",
            measure=_region_measure(learner, period),
            **common,
        ),
        Claim(
            id=f"constant-c-{'changing-' if changing else ''}{name}",
            statement=rf"{who}, {tasks}: the largest $c$ with which the envelope survives {SMALL_STEPS} steps at one "
            rf"small pair of step sizes, $\alpha L_* = {pair[0]:.3g}$ and $\alpha\beta L_*^2 = {SMALL_STEP:g}$; "
            r"at least $\frac12$.",
            hypotheses=r"balanced start, $w_0 = 0$, $k \le 2$, $d = 2k$, $n = 2$, $\mathrm{dist}_0 \le 0.94$, "
            rf"$\kappa_*^2 \le 100$; this pair and {SMALL_STEPS} steps only",
            measure=_largest_c_measure(learner, period),
            **common,
        ),
    )


CLAIMS: tuple[Claim, ...] = tuple(
    claim for period in (1, 2) for name in META_LEARNERS for claim in _claims(name, period)
)
