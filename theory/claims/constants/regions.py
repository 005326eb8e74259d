"""How large the steps may be for c = ½: the region of step sizes in which the envelope survives so many steps."""

from collections.abc import Iterable
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from metarep.sim.implementations import Implementation
from metarep.sim.learners import Learner
from metarep.theory.claims.balanced import REGIONS, Region
from metarep.theory.claims.constants import KINDS, claims_of_tasks
from metarep.theory.claims.constants.cube import coordinates
from metarep.theory.claims.constants.instances import (
    LARGER,
    NOTHING,
    SEARCHES,
    Adversary,
    Found,
    Shape,
    comparison_at,
    worst_of,
)
from metarep.theory.claims.constants.search import Searches, search_cells, search_levels
from metarep.theory.claims.record import Measurement
from metarep.theory.dynamics.rates import ENVELOPE_C

SHAPES: tuple[Shape, ...] = ((1, 2), (2, 2), (2, 3))
"""(k, n) searched. Few and small: they are among the worst seen, and fast."""
POPULATION, ROUNDS = 20, 3
"""Points a round, and rounds, of each search."""
STEPS, LONG_STEPS = 300, 1500
ALPHA_L = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 100.0)
STEP_SIZES = (0.01, 0.03, 0.1, 0.3, 1.0)
"""Grid of αL_* and αβL_*²; β/α = αβL_*²/(αL_*)². No larger αβL_*² is searched."""
FIRST_STEP = 10.0
"""αβL_*² at which a search begins, over the region's."""
SIEGE, SIEGE_SHAPE = 480, (2, 2)
"""k times the number of far starts, and the (k, n), on which a step size that survived the search has to hold out."""
FAR = 0.1
"""By which share of its largest the dist_0 of a far start is below that at most."""
LEAST_APART, MOST_APART = 2**0.5, 2.5
"""What survived is below what was broken by the factor between the best and the worst search; by no less, as searches
that agree may have missed the same (eight times the effort goes lower by up to a third), and by no more, as a search
may have got nowhere.
"""
LADDER = 0.8 ** np.arange(10)
"""Shares of its step size at which an instance is run again."""


class _Reach(NamedTuple):
    """How far c = ½ survived: the least αβL_*² at which something broke it (infinite: nothing did), and what survived
    below; what broke it; each search's least; the least of each larger k; that of the worst instance over longer runs.
    """

    survived: float
    broken: float
    breaking: dict[str, Any] | None
    searches: tuple[float, ...]
    larger: tuple[float, ...]
    longer: float
    tried: int


def _reach(adversary: Adversary, region: Region, known: Iterable[Found] = ()) -> _Reach:
    """Searches for the least αβL_*² at which c = ½ breaks at an αL_* of the region; far starts; longer runs.

    ``known``: instances that break it, by the αβL_*² at which they do.
    """

    def alpha_L(last: Any) -> Any:
        return region.least * (region.most / region.least) ** last

    def far_points(size: tuple[int, ...]) -> np.ndarray:
        """Points (..., p) by a law that favours the cube's faces, with dist_0 near its largest."""
        points = adversary.rng.beta(0.5, 0.5, size)
        points[..., 0] = 1 - FAR * points[..., 0]
        return points

    def search(shape: Shape, size: int) -> Searches:
        return search_levels(
            lambda cells, points, steps: adversary.largest(
                shape, points[:, :size], np.stack([alpha_L(points[:, size]), steps], axis=1), STEPS
            ),
            SEARCHES,
            size + 1,
            adversary.rng,
            below=ENVELOPE_C,
            first=FIRST_STEP * region.largest_step,
            most=STEP_SIZES[-1],
            population=adversary.number(POPULATION, 4),
            rounds=adversary.number(ROUNDS, 2),
            law=far_points,
        )

    def besieged(shape: Shape, step: float) -> Found:
        """The worst of many far starts at one αβL_*², half of them at the region's least αL_*, lowered as far as it
        breaks.
        """
        count = max(20, round(SIEGE / shape[0] * adversary.effort))
        points = far_points((count, coordinates(*shape, adversary.period)))
        last = adversary.rng.random(count) * (np.arange(count) % 2)
        pairs = np.stack([alpha_L(last), np.full(count, step)], axis=1)
        values = adversary.largest(shape, points, pairs, STEPS)
        number = int(np.argmin(values))
        if values[number] >= ENVELOPE_C:
            return NOTHING
        return lowered(Found(step, shape, points[number], pairs[number]), STEPS)

    def lowered(found: Found, steps: int) -> Found:
        """The same at the least αβL_*² of a ladder down from its own at which it breaks c = ½ within so many steps."""
        pairs = np.stack([np.full(LADDER.size, found.pair[0]), found.pair[1] * LADDER], axis=1)
        broken = adversary.largest(found.shape, np.tile(found.point, (LADDER.size, 1)), pairs, steps) < ENVELOPE_C
        least = pairs[broken][-1] if broken.any() else found.pair
        return found._replace(value=float(least[1]), pair=least)

    found = adversary.each(SHAPES, search, lambda step, point: np.array([alpha_L(point[-1]), step]))
    worst = worst_of((*found, *known))
    ends = sorted(each.value for each in found)
    if not np.isfinite(worst.value):
        return _Reach(STEP_SIZES[-1] / LEAST_APART, np.inf, None, tuple(ends), (), np.inf, adversary.tried)
    apart = float(np.clip(ends[-1] / ends[0] if np.isfinite(ends[0]) else 1.0, LEAST_APART, MOST_APART))
    larger = [besieged(shape, worst.value) for shape in LARGER]
    worst = worst_of((worst, *larger))
    # What breaks the envelope below may be rare, one far start in a hundred, which a search of few points does not see.
    while (step := max(worst.value / apart, region.largest_step)) < worst.value:
        far = besieged(SIEGE_SHAPE, step)
        if not np.isfinite(far.value):
            break
        worst = far
    return _Reach(
        worst.value / apart,
        worst.value,
        adversary.instance(worst),
        tuple(ends),
        tuple(each.value for each in larger),
        lowered(worst, LONG_STEPS).value,
        adversary.tried,
    )


def _grid(adversary: Adversary) -> list[list[Found]]:
    """The least c found on the grid, as far as c = ½ (a pair once broken is left), by αβL_*² and αL_*."""
    pairs = np.array([(alpha_L, step) for step in STEP_SIZES for alpha_L in ALPHA_L])
    worst = [NOTHING._replace(pair=pair) for pair in pairs]
    for shape in SHAPES:
        alive = [number for number, found in enumerate(worst) if found.value >= ENVELOPE_C]
        found = search_cells(
            lambda cells, points, shape=shape, alive=pairs[alive]: adversary.largest(
                shape, points, alive[cells], STEPS
            ),
            len(alive),
            coordinates(*shape, adversary.period),
            adversary.rng,
            population=adversary.number(6, 4),
            rounds=adversary.number(2, 2),
            stop_below=ENVELOPE_C,
        )
        for cell, value, point in zip(alive, found.values, found.points, strict=True):
            if value < worst[cell].value:
                worst[cell] = Found(float(value), shape, point, pairs[cell])
    return [worst[start : start + len(ALPHA_L)] for start in range(0, len(worst), len(ALPHA_L))]


@lru_cache(maxsize=8)
def _fixed_reach(
    learner: Learner, implementation: Implementation, seed: int, effort: float
) -> tuple[_Reach, list[list[Found]]]:
    """With fixed tasks, and the grid: what the claims about fixed and about changing tasks share."""
    region, adversary = REGIONS[learner.name], Adversary(learner, implementation, 1, seed, effort)
    grid = _grid(adversary)
    inside = (found for row in grid for found in row if region.least <= found.pair[0] <= region.most)
    known = [found._replace(value=float(found.pair[1])) for found in inside if found.value < ENVELOPE_C]
    return _reach(adversary, region, known), grid


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None


def _said(side: str, reach: _Reach) -> str:
    """What one kind of tasks broke."""
    tasks = KINDS[side]
    if reach.breaking is None:
        return f"{tasks} broke it nowhere up to {STEP_SIZES[-1]:g}"
    ends = ", ".join(f"{end:.3g}" if np.isfinite(end) else "nothing" for end in reach.searches)
    sizes = ", ".join(
        f"k = {k} {f'at {least:.3g}' if np.isfinite(least) else 'not below these'}"
        for (k, _), least in zip(LARGER, reach.larger, strict=True)
    )
    return (
        f"{tasks} broke it at {reach.broken:.3g} ({SEARCHES} independent searches at {ends}; {sizes}), the worst of "
        f"them in {LONG_STEPS} steps at {reach.longer:.3g}"
    )


def _boundary(table: np.ndarray) -> list[tuple[float, float]]:
    """(αL_*, β/α) for each αL_* of the grid: the largest β/α up to which c = ½ survived at every αβL_*² of the grid; 0
    if it was broken at the least.
    """
    surviving = (np.cumsum(table < ENVELOPE_C, axis=0) == 0).sum(axis=0)  # steps before the first that is broken
    return [
        (alpha_L, STEP_SIZES[count - 1] / alpha_L**2 if count else 0.0)
        for alpha_L, count in zip(ALPHA_L, surviving, strict=True)
    ]


def _of_grid(grid: list[list[Found]]) -> tuple[str, dict[str, Any]]:
    """What the grid shows, in words and as data."""
    table = np.array([[found.value for found in row] for row in grid])
    boundary = _boundary(table)
    pairs = ", ".join(f"({alpha_L:g}, {ratio:.3g})" for alpha_L, ratio in boundary)
    return f"on the grid c = 1/2 survived up to, as (αL_*, β/α): {pairs}", {
        "alpha_L": list(ALPHA_L),
        "step": list(STEP_SIZES),
        "beta_over_alpha": [[step / alpha_L**2 for alpha_L in ALPHA_L] for step in STEP_SIZES],
        "largest_c": np.maximum(table, -1.0).tolist(),
        "boundary": [{"alpha_L": alpha_L, "beta_over_alpha": ratio} for alpha_L, ratio in boundary],
    }


_REMARK = (
    "That it was broken is certain, that it survived is not: the bracket reaches as far below what was broken as the "
    f"worst of {SEARCHES} independent searches ended above it, and by a factor of {LEAST_APART:.3g} at least. Tasks "
    rf"change genuinely where from each step to the next $\Psi_*$ changes by $\frac14 L_*^2$ or $\bar w_*$ by "
    r"$\frac14 L_*$ in norm. A run that diverges counts as one that breaks the envelope."
)
_NEVER = (
    " Longer runs break it at ever smaller steps: for heads of one sign (k = 1, heads 1 and 2, say) the truth is "
    "unstable under FO-MAML (fo-maml-scalar), and the envelope fails in the end whatever the steps "
    "(envelope-fo-maml-forever)."
)


def _words(learner: Learner, period: int) -> dict[str, Any]:
    region = REGIONS[learner.name]
    return {
        "least": f"{region.least:g}",
        "most": f"{region.most:g}",
        "largest_step": f"{region.largest_step:g}",
        "steps": STEPS,
        "sizes": ", ".join(str(k) for k, _ in LARGER),
        "beyond": r"; what a grid of $(\alpha L_*, \beta/\alpha)$ shows beyond it is told with the estimate"
        if period == 1
        else "",
        "remark": _REMARK + (_NEVER if learner.name == "fo-maml" else ""),
    }


@claims_of_tasks(
    "constant-region",
    _words,
    "half of the speed is above $c = \\frac12$ still, and the region is about no more; what does not move fails it",
)
def constant_region(
    implementation: Implementation, seed: int, effort: float, learner: Learner, period: int
) -> Measurement:
    r"""«title», «tasks»: the envelope with $c = \frac12$ survives «steps» steps in a region $«least» \le \alpha L_* \le
    «most»$, $\beta/\alpha \le s/(\alpha L_*)^2$; the estimate is of the largest such $s$, a bound on $\alpha\beta
    L_*^2$; $s \ge «largest_step»$.

    Given: balanced start, $w_0 = 0$, $k \le 2$, and far starts with $k = «sizes»$, $d = 2k$, $n \le k + 1$, $0.05 \le
    \mathrm{dist}_0 \le 0.94$, $\kappa_*^2 \le 100$; runs of «steps» steps, no longer; the range of $\alpha L_*$ is set
    beforehand«beyond»

    «remark»
    """
    region = REGIONS[learner.name]
    fixed, grid = _fixed_reach(learner, implementation, seed, effort)
    sides = {"fixed": fixed}
    if period > 1:
        sides["changing"] = _reach(Adversary(learner, implementation, period, seed, effort), region)
    side = min(sides, key=lambda name: sides[name].broken)
    worst, survived = sides[side], min(reach.survived for reach in sides.values())
    broken = min(worst.broken, STEP_SIZES[-1])  # nothing was tried above
    words, data = _of_grid(grid) if period == 1 else (f"the worse are the {side} ones", {})
    return Measurement(
        (survived + broken) / 2,
        (broken - survived) / 2,
        sum(reach.tried for reach in sides.values()),
        f"αβL_*² between what survived and what broke c = 1/2 at some αL_* in [{region.least:g}, {region.most:g}]: "
        + "; ".join([*(_said(name, reach) for name, reach in sides.items()), words]),
        {
            **data,
            "steps": STEPS,
            "survived": survived,
            "broken": _finite(worst.broken),
            "long_steps": LONG_STEPS,
            "broken_in_long_runs": _finite(worst.longer),
            "side": side,
            "sides": {name: {"survived": r.survived, "broken": _finite(r.broken)} for name, r in sides.items()},
            "breaking_instance": worst.breaking,
        },
        consistent=worst.broken > region.largest_step,
        counterexample=worst.breaking,
        comparison=comparison_at(worst.breaking, region.largest_step, worst.broken, "s against an αβL_*² that breaks"),
    )
