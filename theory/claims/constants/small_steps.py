"""How large c may be for ever longer runs, at one pair of small step sizes."""

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from metarep.sim.implementations import Implementation
from metarep.sim.learners import Learner
from metarep.theory.claims.balanced import LONG_REGIONS, REGIONS
from metarep.theory.claims.constants import KINDS, claims_of_tasks
from metarep.theory.claims.constants.cube import coordinates
from metarep.theory.claims.constants.instances import LARGER, SEARCHES, Adversary, Shape, comparison_at, worst_of
from metarep.theory.claims.constants.search import Searches, search_cells
from metarep.theory.claims.record import Measurement
from metarep.theory.dynamics.bounds import largest_flow_c
from metarep.theory.dynamics.rates import ENVELOPE_C, ENVELOPE_OFFSET

SHAPES: tuple[Shape, ...] = ((1, 2), (2, 2))
"""(k, n) searched."""
MORE_TASKS: tuple[Shape, ...] = ((1, 2), (2, 3))
"""Those where the heads' mean is to be small: with n = k heads it is not."""
POPULATION, ROUNDS = 8, 3
"""Points a round, and rounds, of each search."""
LARGER_RUNS = 60
"""k times the number of larger instances."""
STEP, STEPS, LONG_STEPS = 0.03, 600, 3000
"""αβL_*² and T: the scaled time αβμ_*²T is up to 18, and up to 90."""
CEILING = 1 / ENVELOPE_OFFSET
"""No larger c holds for ever: from dist_0 → 0 the distance falls by 1 − αβμ_*² a step, the envelope by 1 − 0.9cαβμ_*².
"""
WITHIN = 0.005
"""How much less than that, relatively, the least c seen may be: half of what a learner slower by 1 % loses."""


class _Best(NamedTuple):
    """The least c with whose envelope every run complies for ever, if it goes on as in its second half: each search's;
    that of the worst instances over longer runs; that of each larger k; the worst instance; and the least c over
    ``STEPS`` steps alone.
    """

    searches: tuple[float, ...]
    longer: tuple[float, ...]
    larger: tuple[float, ...]
    instance: dict[str, Any]
    in_time: float
    tried: int

    @property
    def least(self) -> float:
        """The least of all."""
        return min(*self.searches, *self.longer, *self.larger)

    @property
    def apart(self) -> float:
        """How far the searches' ends, also over longer runs, are above the least or the ceiling, whichever is less."""
        return max(*self.searches, *self.longer) - min(self.least, CEILING)


def _pair(learner: Learner) -> np.ndarray:
    """(αL_*, αβL_*²)."""
    region = REGIONS[learner.name]
    return np.array([np.sqrt(region.least * min(region.most, 10.0)), STEP])


def _best(adversary: Adversary, shapes: tuple[Shape, ...]) -> _Best:
    pair, in_time = _pair(adversary.learner), [np.inf]

    def onward(shape: Shape, points: np.ndarray, steps: int = STEPS) -> np.ndarray:
        c, for_ever = adversary.for_ever(shape, points, np.tile(pair, (len(points), 1)), steps)
        if steps == STEPS:
            in_time.append(float(c.min()))
        return for_ever

    def search(shape: Shape, size: int) -> Searches:
        return search_cells(
            lambda cells, points: onward(shape, points),
            SEARCHES,
            size,
            adversary.rng,
            population=adversary.number(POPULATION, 4),
            rounds=adversary.number(ROUNDS, 2),
        )

    found = adversary.each(shapes, search, lambda c, point: pair)
    worst = worst_of(found)
    alike = np.stack([each.point for each in found if each.shape == worst.shape])
    larger = []
    for k, n in LARGER:
        size = (max(4, round(LARGER_RUNS / k * adversary.effort)), coordinates(k, n, adversary.period))
        larger.append(float(onward((k, n), adversary.rng.beta(0.5, 0.5, size)).min()))
    return _Best(
        tuple(each.value for each in found),
        tuple(onward(worst.shape, alike, LONG_STEPS).tolist()),
        tuple(larger),
        adversary.instance(worst),
        min(in_time),
        adversary.tried,
    )


def _bearable(learner: Learner, implementation: Implementation, seed: int, effort: float, period: int) -> _Best:
    """With heads whose mean the learner bears for ever."""
    share = LONG_REGIONS[learner.name].largest_share
    return _best(Adversary(learner, implementation, period, seed, effort, share), SHAPES if share == 1 else MORE_TASKS)


@lru_cache(maxsize=8)
def _fixed(learner: Learner, implementation: Implementation, seed: int, effort: float) -> tuple[_Best, float, int]:
    """With fixed tasks, which the claims about fixed and about changing tasks share; the least c over ``STEPS`` steps
    alone with heads of any mean; and how many runs there were.
    """
    best = _bearable(learner, implementation, seed, effort, 1)
    if LONG_REGIONS[learner.name].largest_share == 1:
        return best, best.in_time, best.tried
    adversary, pair = Adversary(learner, implementation, 1, seed, effort), _pair(learner)

    def search(shape: Shape, size: int) -> Searches:
        return search_cells(
            lambda cells, points: adversary.largest(shape, points, np.tile(pair, (len(points), 1)), STEPS),
            SEARCHES,
            size,
            adversary.rng,
            population=adversary.number(POPULATION, 4),
            rounds=adversary.number(ROUNDS, 2),
        )

    worst = worst_of(adversary.each(SHAPES, search, lambda c, point: pair))
    return best, worst.value, best.tried + adversary.tried


def _said(side: str, best: _Best) -> str:
    """What one kind of tasks reached."""
    ends, longer, larger = (
        ", ".join(f"{c:.4f}" for c in sorted(each)) for each in (best.searches, best.longer, best.larger)
    )
    return (
        f"{KINDS[side]} {best.least:.4f} ({SEARCHES} independent searches {ends}; the worst of them over {LONG_STEPS} "
        f"steps {longer}; k = {' and '.join(str(k) for k, _ in LARGER)} {larger})"
    )


_REMARK = (
    "No learner can have more than $1/0.9$: from starts close to the truth the distance falls by "
    r"$1 - \alpha\beta\mu_*^2$ a step (local-rate-«name»). The uncertainty is how far above the estimate any of the "
    "independent searches ends, over the steps taken or five times as many; none of them runs a start closer than "
    r"$\mathrm{dist}_0 = 0.05$, whose $c$ is 1.1142. A run that diverges counts as one with no $c$."
)
_MEANS = (
    " With heads of any mean there is no such $c$ for FO-MAML: for heads of one sign (k = 1, heads 1 and 2, say) the "
    "truth is unstable (fo-maml-scalar), and the envelope fails in the end (envelope-fo-maml-forever)."
)


def _words(learner: Learner, period: int) -> dict[str, Any]:
    share = LONG_REGIONS[learner.name].largest_share
    heads = rf", $n > k$, $\|\Psi_*^{{-1/2}}\bar w_*\| \le {share:g}$" if share < 1 else ""
    return {
        "alpha_L": f"{_pair(learner)[0]:.3g}",
        "step": f"{STEP:g}",
        "steps": STEPS,
        "sizes": ", ".join(str(k) for k, _ in LARGER),
        "heads": heads,
        "any": ", with heads of any mean," if share < 1 else "",
        "remark": _REMARK.replace("«name»", learner.name) + (_MEANS if share < 1 else ""),
    }


@claims_of_tasks("constant-c", _words)
def constant_c(implementation: Implementation, seed: int, effort: float, learner: Learner, period: int) -> Measurement:
    r"""«title», «tasks»: the largest $c$ with which the envelope survives ever longer runs at one small pair of step
    sizes, $\alpha L_* = «alpha_L»$ and $\alpha\beta L_*^2 = «step»$, is $1/0.9$, that of starts close to the truth;
    over «steps» steps alone«any» it is at least $\frac12$.

    Given: balanced start, $w_0 = 0$, $k \le 2$, and some runs with $k = «sizes»$, $d = 2k$, $n \le k + 1$, $0.05 \le
    \mathrm{dist}_0 \le 0.94$, $\kappa_*^2 \le 100$«heads»; this pair of step sizes only; runs of «steps» steps, taken
    to go on for ever as in their second half

    «remark»
    """
    fixed, in_time, tried = _fixed(learner, implementation, seed, effort)
    sides = {"fixed": fixed}
    if period > 1:
        sides["changing"] = _bearable(learner, implementation, seed, effort, period)
        tried += sides["changing"].tried
        in_time = min(in_time, sides["changing"].in_time)
    side = min(sides, key=lambda name: sides[name].least)
    worst, flow = sides[side], largest_flow_c(STEP * (STEPS - 1))
    return Measurement(
        min(worst.least, CEILING),
        worst.apart,
        tried,
        f"c for ever longer runs at αL_* = {_pair(learner)[0]:.3g}, αβL_*² = {STEP:g}: {CEILING:.4f} from starts ever "
        f"closer to the truth; the least that was seen is with "
        + " and with ".join(_said(name, best) for name, best in sides.items())
        + f"; over {STEPS} steps alone {in_time:.3f}, in the limit of small steps {flow:.3f} (k = 1, closed form)",
        {
            "for_ever": worst.least,
            "steps": STEPS,
            "in_time": in_time,
            "flow_c": flow,
            "side": side,
            "sides": {name: best.least for name, best in sides.items()},
            "searches": {name: list(best.searches) for name, best in sides.items()},
            "alpha_L": float(_pair(learner)[0]),
            "step": STEP,
            "worst_instance": worst.instance,
        },
        consistent=worst.least >= CEILING * (1 - WITHIN) and in_time >= ENVELOPE_C,
        counterexample=worst.instance,
        comparison=comparison_at(
            worst.instance, CEILING * (1 - WITHIN), worst.least, "c against the largest that holds"
        ),
    )
