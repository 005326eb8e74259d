"""Settings at and inside the edge of the theorems' conditions as plain data, and their runs.

As in ``balanced``, nothing is lost in L_* = 1, B_* = [I_k; 0] and B_0 = [U diag(cosines); diag(sines); 0]/√α. An
example is a batch of settings of one shape; β is a share of the largest one for which all conditions hold.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from hypothesis import strategies as st

from metarep.sim.implementations import Implementation
from metarep.sim.learners import Learner
from metarep.sim.problems import FixedTasks, Problem
from metarep.sim.trajectories import Trajectory, run
from metarep.theory.claims.balanced import CyclingTasks, heads_of, start_of
from metarep.theory.claims.objects import run_objects
from metarep.theory.claims.record import Example
from metarep.theory.claims.strategies import FILLED, Entries, floats
from metarep.theory.dynamics.rates import HeadMoments
from metarep.theory.inequalities.conditions import CONDITIONS, Quantities, guaranteed_rate

MOST_SETS = 3
"""Task sets that take turns where tasks change."""
FALLS = 6.0
"""A run is to last until the bound has fallen by e^{-6}: a learner that does not move is far above it by then."""
MOST_STEPS = 6000
"""... but no longer: a setting that needs more is run for as long as the others of its batch."""
ALONE_STEPS = 300
"""Steps of a batch all of whose settings need more."""
RECORDS = 40
EDGE = 1 - 1e-9
"""The largest share of a limit that is drawn: the limit itself, but for rounding."""

ALPHA_L = (-0.5, 1.5)
"""log_10 αL_*, from and to."""
_ALPHA_L = {"theorem-maml-symmetric": (-2.0, 0.0)}

SIZES = rf"$k \le {FILLED.k}$, $k < d \le {FILLED.d}$, $n \le {FILLED.n}$"
"""The dimensions of ``settings``, for a statement."""


def drawn(theorem: str) -> str:
    """The settings that ``settings`` draws, for a statement."""
    least, most = (10**log for log in _ALPHA_L.get(theorem, ALPHA_L))
    steps = rf"$\alpha L_*$ from {least:.2g} to {most:.2g}, $\beta$ up to the conditions' edge"
    sizes = SIZES.replace(rf"$n \le {FILLED.n}$", r"$n \le 2(k + 4)$") if _symmetric(theorem) else SIZES
    return rf"{sizes}, $\kappa_*^2 \le 100$, {steps}"


def _close(theorem: str) -> bool:
    return theorem == "theorem-fo-maml"


def _symmetric(theorem: str) -> bool:
    return theorem.endswith("symmetric")


def _any_mean(theorem: str) -> bool:
    return theorem in ("theorem-fo-anil", "theorem-anil")


def _two_of_three(often: st.SearchStrategy[float], seldom: st.SearchStrategy[float]) -> st.SearchStrategy[float]:
    """``often`` in two of three draws. (Of a strategy that stands twice in ``|`` Hypothesis takes one.)"""
    return st.integers(0, 2).flatmap(lambda which: seldom if which == 2 else often)


@st.composite
def settings(draw: st.DrawFn, theorem: str) -> Example:
    """One to four settings of one shape in the theorem's region, with one task set or up to three in turn.

    Of a setting: ``alpha_L`` (αL_*), ``share`` (of the largest β), ``condition`` (log_10 κ_*²), ``dist_0`` (where the
    theorem asks for a close start, a share of the farthest one). Of a task set: ``levels`` of the spectrum of Ψ_*
    between μ_*² and L_*², ``spread`` (the share of ``condition`` that it has; 1 for the first), ``means``, ``frames``.
    """
    made = Entries(draw, floats, units=(0,))
    k = made.k()
    d = made.d(k + 1)
    # Symmetric heads come in pairs, of which long ones make Exact MAML's rounding errors grow.
    n = made.n(k, k + 4) if _symmetric(theorem) else made.n(k if _any_mean(theorem) else k + 1)
    sets = draw(st.sampled_from((1, 2, 1, MOST_SETS)))
    # Conditions and starts for which the bound soon requires movement stand first, and more often.
    one = st.fixed_dictionaries(
        {
            "alpha_L": floats(*_ALPHA_L.get(theorem, ALPHA_L)).map(lambda log: float(10**log)),
            "share": st.sampled_from((1.0, 1.0, 0.5)),
            "condition": _two_of_three(floats(0.0, 0.5), floats(0.5, 2.0)),
            "dist_0": _two_of_three(floats(0.25, 0.6), floats(0.05, 0.94)),
        }
    )

    def one_set() -> dict[str, Any]:
        return {
            "levels": draw(st.lists(floats(0.0, 1.0), min_size=k, max_size=k)),
            "spread": draw(floats(0.0, 1.0)),
            "means": made.vector(k, 1.0),
            "frames": made.reflections(max(n - 1, 1)),
        }

    return {
        "k": k,
        "d": d,
        "n": n,
        "settings": draw(st.lists(one, min_size=1, max_size=4)),
        "sets": [one_set() for _ in range(sets)],
        "turn": draw(floats(0.0, 1.5)) if sets > 1 else 0.0,
        "sines": sorted(draw(st.lists(floats(0.0, 1.0), min_size=k - 1, max_size=k - 1)), reverse=True),
        "orientation": made.reflections(k),
    }


@dataclass(frozen=True)
class Batch:
    """The settings' problem, α and β (m,), the theorem's quantities of each, λ_min(Ψ_{*,t}) over a period (P, m)."""

    theorem: str
    problem: Problem
    alpha: np.ndarray
    beta: np.ndarray
    at: tuple[Quantities, ...]
    smallest: np.ndarray

    def objects(self, place: int) -> dict[str, Any]:
        """What a reader is shown of the setting of that number."""
        tasks = self.problem.tasks
        if not isinstance(tasks, CyclingTasks):
            return run_objects(self.problem, self.alpha, self.beta, tasks(0)[place], place)
        objects = run_objects(self.problem, self.alpha, self.beta, tasks.sets[place], place)
        return {**objects, "turn": float(tasks.angle[place])}

    def rates(self) -> np.ndarray:
        """What the bound loses at a step of the period, c αβE_0 λ_min(Ψ_{*,t}): (P, m)."""
        return np.array([[guaranteed_rate(self.theorem, q) for q in row] for row in self.by_step()])

    def by_step(self) -> list[list[Quantities]]:
        """The quantities with μ_*² that of the step, (P, m)."""
        return [[replace(q, mu_squared=mu) for q, mu in zip(self.at, row, strict=True)] for row in self.smallest]

    def needs(self) -> np.ndarray:
        """Steps after which each bound has fallen by e^{-FALLS}."""
        return np.ceil(FALLS / self.rates().mean(0))

    def steps(self, most: int = MOST_STEPS) -> int:
        """As many as the settings need that need at most ``most``."""
        within = self.needs()[self.needs() <= most]
        return int(within.max()) if within.size else min(ALONE_STEPS, most)

    def log_bound(self, recorded: np.ndarray) -> np.ndarray:
        """Logarithm of Π_{s<t} (1 − c αβE_0 λ_min(Ψ_{*,s})) at recorded steps t: (T, m)."""
        period = len(self.smallest)
        hits = np.stack([(recorded - place + period - 1) // period for place in range(period)], axis=1)
        return hits.astype(float) @ np.log1p(-self.rates())


def _task_sets(theorem: str, example: Example, condition: float) -> np.ndarray:
    """Heads (P, k, n) of the kind that the theorem is about, L_* = 1 for each of the P task sets."""
    n, spectra = example["n"], []
    for place, data in enumerate(example["sets"]):
        least = 10 ** -(condition * (data["spread"] if place else 1.0))
        spectrum = least + (1 - least) * np.sort(np.array(data["levels"]))[::-1]
        spectrum[-1], spectrum[0] = least, 1.0
        spectra.append(spectrum)
    means = np.array([data["means"] for data in example["sets"]])

    def sets(size: float) -> np.ndarray:
        drawn = zip(spectra, size * means, example["sets"], strict=True)
        return np.array([heads_of(spectrum, share, n, data["frames"]) for spectrum, share, data in drawn])

    if _symmetric(theorem):
        half = sets(1.0)
        return np.concatenate([half, -half], axis=-1)
    if _any_mean(theorem):
        return sets(1.0)
    if not _close(theorem):
        return sets(0.0)
    # Means so small that η_* max‖w_{*,i}‖ is at most its limit: ‖w̄_*‖ ≤ ‖s‖, and a mean moves the longest head by
    # little more than itself. The largest mean drawn comes to nine tenths of the limit.
    limit = _limit_of_mean(Quantities(1.0, 1.0, 10**-condition, 1.0, 0.0, 0.0))
    longest = float(np.linalg.norm(sets(0.0), axis=-2).max())
    most = float(np.linalg.norm(means, axis=-1).max())
    return sets(0.9 * limit / (longest + limit) / max(most, 1.0))


def _limit_of_mean(at: Quantities) -> float:
    return next(c for c in CONDITIONS["theorem-fo-maml"] if r"\eta_*" in c.latex).right(at)


def _farthest(at: Quantities) -> float:
    """The largest dist_0 of the close start."""
    return float(np.sqrt(next(c for c in CONDITIONS["theorem-fo-maml"] if "dist" in c.latex).right(at)))


def _quantities(theorem: str, sets: np.ndarray, alpha: float, dist0: float) -> Quantities:
    """The theorem's quantities, extremes over the task sets (P, k, n), at β = 1."""
    moments = [HeadMoments.of(heads) for heads in sets]
    centred = not (_any_mean(theorem) or _close(theorem))
    return Quantities(
        alpha=alpha,
        beta=1.0,
        mu_squared=min(m.mu for m in moments) ** 2,
        L_squared=max(m.L for m in moments) ** 2,
        mean=0.0 if centred else max(m.eta for m in moments),
        dist0=dist0,
        longest=float(np.linalg.norm(sets, axis=-2).max()),
        trace=max(float(np.trace(m.second)) for m in moments),
        symmetric=_symmetric(theorem),
    )


def largest_beta(theorem: str, at: Quantities) -> float:
    """The largest β for which the conditions hold: each that speaks of β is linear in it."""
    unit = replace(at, beta=1.0)
    return min(c.factor(unit) for c in CONDITIONS[theorem] if r"\beta" in c.latex)


def batch_of(theorem: str, example: Example) -> Batch:
    """The batch of an example's settings.

    Raises:
        ValueError: a condition does not hold, which no example of ``settings`` lets happen.
    """
    k, d = example["k"], example["d"]
    starts, all_sets, found = [], [], []
    for item in example["settings"]:
        sets = _task_sets(theorem, example, item["condition"])
        at = _quantities(theorem, sets, item["alpha_L"], item["dist_0"])
        if _close(theorem):
            at = replace(at, dist0=EDGE * min(item["dist_0"] / 0.94, 1.0) * _farthest(at))
        at = replace(at, beta=EDGE * item["share"] * largest_beta(theorem, at))
        failing = [c.latex for c in CONDITIONS[theorem] if not c.holds(at)]
        if failing:
            raise ValueError(f"{theorem}: {failing[0]} does not hold in {item}")
        basis = start_of([at.dist0, *(at.dist0 * share for share in example["sines"])], example["orientation"], d)
        starts.append(np.concatenate([basis, np.zeros((d - len(basis), k))]) / np.sqrt(at.alpha))
        all_sets.append(sets)
        found.append(at)
    cycle = CyclingTasks(np.array(all_sets), np.array([example["turn"]] * len(found)))
    still = cycle.sets.shape[1] == 1
    tasks: Any = FixedTasks(cycle(0)) if still else cycle
    problem = Problem(d, np.eye(d, k), tasks, np.array(starts), np.zeros((len(found), k)), cycle.sets.shape[-1])
    alpha, beta = (np.array([getattr(at, name) for at in found]) for name in ("alpha", "beta"))
    return Batch(theorem, problem, alpha, beta, tuple(found), cycle.smallest)


def trajectory_of(
    learner: Learner,
    batch: Batch,
    implementation: Implementation,
    most: int = MOST_STEPS,
    observe: Mapping[str, Callable[[np.ndarray, np.ndarray, int], Any]] | None = None,
) -> Trajectory:
    """The batch's runs. An odd distance between records, so that no task set of two is left out."""
    steps = batch.steps(most)
    return run(
        learner,
        batch.problem,
        batch.alpha,
        batch.beta,
        steps,
        implementation=implementation,
        record_every=max(1, steps // RECORDS) | 1,
        observe=observe,
    )
