"""The rates at the truth along trajectories: from a tiny angle, and fitted after a start far away."""

from dataclasses import replace

import numpy as np
from hypothesis import strategies as st

from metarep.sim.fitting import fit_rate
from metarep.sim.implementations import Implementation
from metarep.sim.learners import META_LEARNERS, Learner
from metarep.sim.problems import FixedTasks, Problem, heads_with_spectrum, make_problem
from metarep.sim.trajectories import run
from metarep.theory.claims.comparing import farthest
from metarep.theory.claims.objects import run_objects
from metarep.theory.claims.rates import claim
from metarep.theory.claims.rates.linearisation import THEOREM, any_head
from metarep.theory.claims.record import Comparison, Example, Measurement, Verdict, own
from metarep.theory.claims.strategies import Entries, array, floats, reflected_identity
from metarep.theory.dynamics.rates import local_spectrum, symbolic_rate


@st.composite
def starts_at_truth(draw: st.DrawFn, learner: Learner) -> Example:
    """A start whose perpendicular part is tiny and which is the truth otherwise, and spread-out heads with given
    spectrum of Ψ_*.
    """
    made = Entries(draw, floats)
    k = made.k()
    return {
        "d": 2 * k,
        "k": k,
        "n": made.n(k + 1),
        "alpha": draw(floats(0.25, 2.0)),
        "alpha beta L^2": draw(floats(1 / 64, 0.4)),
        "spectrum": [1.0, *(draw(floats(0.05, 1.0)) for _ in range(k - 1))],
        "seed": draw(st.integers(0, 99)),
        "turn": made.reflections(k),
        "Y": made.matrix(k, k, min(2.0, 6 / k)),
        "h over its bound": made.vector(k, k**-0.5) if any_head(learner) else [0.0] * k,
    }


@claim(
    Verdict.SUPPORTED,
    source=own("the linearisation iterated", about="diversity"),
    each=META_LEARNERS,
    words=lambda learner: {
        "head": r"any head; examples: $\alpha\beta\|B_0w_0\|^2 \le \frac{1}{2}$" if any_head(learner) else "$w_0 = 0$"
    },
    exercises=("step", "distance"),
    rests_on="local-rate-«name»",
    floats=starts_at_truth,
    examples=24,
)
def local_ratio(
    example: Example, implementation: Implementation, learner: Learner, *, speed: float = 1.0
) -> Comparison:
    r"""From a start at an angle $\epsilon Y$ to the truth and otherwise at the truth, «title» has
    $\mathrm{dist}_t = \epsilon \|Y (I - \alpha\beta\Psi_*)^t\|$ up to $O(\epsilon^2)$ relatively, so that
    $\mathrm{dist}_{t+1}/\mathrm{dist}_t \to 1 - \alpha\beta\mu_*^2$.

    Given: fixed tasks, $\Psi_*$ of full rank, $\alpha\beta L_*^2 \le 0.4$, $\epsilon = 10^{-20}$; «head»

    In coordinates that keep the perpendicular part as its own factor, so that an angle of 1e-20 has all its digits.
    """
    k, n, alpha, steps = example["k"], example["n"], example["alpha"], 12
    heads = heads_with_spectrum(example["spectrum"], n, np.random.default_rng(example["seed"]))
    beta = example["alpha beta L^2"] / alpha
    M = reflected_identity(example["turn"]) / np.sqrt(alpha)
    Y = 1e-20 * (np.eye(k) + 0.25 * array(example["Y"]))
    # With a larger head the span may grow so fast that rounding errors hide all else.
    h = np.array(example["h over its bound"]) / np.sqrt(2 * alpha * beta)
    w = alpha * (M.T @ h)
    problem = Problem(2 * k, np.eye(2 * k, k), FixedTasks(heads), np.concatenate([M, Y @ M]), w, n)
    seen = run(learner, problem, alpha, beta, steps, implementation=implementation).dist
    if len(seen) <= steps:  # it diverged on the way: no distance to compare
        return Comparison(float("nan"), 0, 0, "the trajectory diverged")
    contraction = np.eye(k) - speed * alpha * beta * (heads @ heads.T) / n
    powers = [Y]
    for _ in range(steps):
        powers.append(powers[-1] @ contraction)
    predicted = np.linalg.norm(np.stack(powers), 2, axis=(-2, -1))
    # Second order: angles of 1e-20 leave 1e-40. What remains is rounding: in each step it moves S and w by some eps k n
    # (1 + |h| + |w_*|)², these change N by αβ times as much, and for as many steps as remain an unstable span or head
    # lets them grow, by (1 + αβ·growth) a step. N acts on Y of any orientation, hence the condition of the product,
    # which bounds how far Y y may shrink.
    size = 1 + float(np.abs(heads).max()) + float(np.abs(h).max())
    growth = local_spectrum(learner, heads, alpha, beta, w / alpha @ np.linalg.inv(M).T if w.any() else None).growth
    amplified = max(1.0, growth) ** steps * (1 + alpha**3 * beta * size**4)
    shrink = float(np.linalg.norm(Y, 2) / predicted[-1])
    tolerance = 16 * implementation.eps * k * n * size**2 * steps**2 * amplified * shrink
    why = "largest relative deviation of dist_t from the prediction"
    compared = Comparison(float(np.abs(seen / predicted - 1).max()), 0, tolerance, why, seen, predicted, size=1.0)
    return replace(compared, objects=run_objects(problem, alpha, beta, heads))


FITTED_BOUND = 1e-3
FITTED_TRIALS = 12


@claim(
    Verdict.MEASURED,
    source={name: own(about=THEOREM[name]) for name in META_LEARNERS},
    each=META_LEARNERS,
    exercises=("step", "distance"),
    rests_on="local-rate-«name»",
    examples=FITTED_TRIALS,
)
def local_rate_trajectory(implementation: Implementation, seed: int, effort: float, learner: Learner) -> Measurement:
    r"""From a balanced start far from the truth «title» settles to the rate $1 - \alpha\beta\mu_*^2$ wherever the truth
    is stable: the rate fitted to $\log\mathrm{dist}_t$ agrees within $10^{-3}$ of $\alpha\beta\mu_*^2$.
    The estimate is one minus the rate over $\alpha\beta\mu_*^2$.

    Given: fixed tasks, $n > k$ heads in general position, $\alpha\beta L_*^2 = 0.2$, $\alpha B_0^\top B_0 = I$,
    $w_0 = 0$, $\mathrm{dist}_0 = \frac{1}{2}$

    The span is forced by the square of the perpendicular part and dies out faster, as long as no mode of span or head
    is slow; Exact MAML's head mode is slower by about $\alpha^2$ times the heads' size squared.
    """
    trials = int(np.clip(round(FITTED_TRIALS * effort), 2, 5 * FITTED_TRIALS))  # a fit costs more than its trajectory
    alpha, beta = 1.0, 0.2
    rng, spectrum = np.random.default_rng(seed), (1.0, 0.75, 0.5)
    problem = make_problem(20, 3, 40, alpha, rng, dist0=0.5, trials=(trials,), spectrum=spectrum, angles="largest")
    heads = problem.tasks(0)
    stable = np.array([local_spectrum(learner, heads[i], alpha, beta).stable for i in range(trials)])
    seen = run(learner, problem, alpha, beta, 4000, implementation=implementation, record_every=10, stop_below=1e-140)
    speeds = []
    for i in np.flatnonzero(stable):
        predicted = symbolic_rate(learner, heads[i], alpha, beta)
        try:
            rate = fit_rate(seen.steps, seen.dist[:, i]).rate
        except ValueError:  # the trajectory ended: it diverged, or stood still
            rate = np.nan
        speeds.append((1 - rate) / (1 - predicted))
    median = float(np.median(speeds)) if speeds else np.nan
    worst = farthest(speeds, 1.0) if speeds else np.nan
    return Measurement(
        median,
        farthest(speeds, median) if speeds else np.nan,
        len(speeds),
        f"1 − rate over αβμ_*², median of {len(speeds)} trials and the farthest from it; the farthest from 1 is "
        f"{worst:.1e} off (α = 1, β = 0.2, αβL_*² = 0.2, d = 20, k = 3, n = 40, dist_0 = ½); {trials - len(speeds)} "
        "trials were left out as unstable",
        {"trials": trials, "stable": int(stable.sum()), "speeds": speeds},
        consistent=bool(worst < FITTED_BOUND),
    )
