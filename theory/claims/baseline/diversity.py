"""Claims about why diverse tasks are needed: what the heads leave out no learner learns."""

from dataclasses import replace

import numpy as np
from hypothesis import strategies as st

from metarep.sim.implementations import Implementation
from metarep.sim.learners import META_LEARNERS, Learner
from metarep.sim.problems import FixedTasks, Problem
from metarep.sim.trajectories import run
from metarep.theory.claims.balanced import start_of
from metarep.theory.claims.baseline import claim
from metarep.theory.claims.baseline.average_loss import condition
from metarep.theory.claims.chapter import TITLES
from metarep.theory.claims.comparing import farthest, supported
from metarep.theory.claims.objects import run_objects
from metarep.theory.claims.record import Comparison, Example, Measurement, Verdict, own
from metarep.theory.claims.strategies import Entries, array, floats, reflected_identity
from metarep.theory.inequalities.core import Checked, Derivation, Line, Region, Says, check
from metarep.theory.inequalities.floors import diversity_needed as diversity_needed_for
from metarep.theory.inequalities.theorems import learner_step

STEPS = 300
LARGEST_STAY = 2.0
"""α‖B_t‖_F²/k up to which a run counts as staying. The starts have at most 1, and only FO-MAML, whose rest points may
be unstable, is seen to go beyond.
"""
FULL_RANK = 1e8
"""Condition of B_t beyond which doubles cannot tell that it has full rank."""


FROM_BELOW = "it is a bound from below: what does less comes less close"
"""Why a learner that does less does not fail it."""


@st.composite
def poor_tasks(draw: st.DrawFn) -> Example:
    """Heads in the first r < k coordinates (one task set, or two in turn), one entry at least ½ (it is positive by the
    symmetry of signs); d ≥ 2k; B_0, B_{*⊥}ᵀB_0 of full rank.

    α‖B_0‖² ≤ 1, α‖w_0‖² ≤ k/4, and ``step`` is β times what bounds the curvature of the loss there, so that no run of a
    gradient method leaves.
    """
    made = Entries(draw, floats)
    k = made.k(2)
    r = draw(st.integers(1, k - 1))
    d = made.d(2 * k)
    n = made.n()
    heads = [made.matrix(r, n, 1.0) for _ in range(draw(st.integers(1, 2)))]
    heads[0][0][0] = draw(floats(0.5, 1.0))
    return {
        "d": d,
        "k": k,
        "r": r,
        "n": n,
        "alpha_L": draw(floats(0.25, 2.0)),
        "step": draw(floats(1 / 64, 0.25)),
        "scales": draw(st.lists(floats(0.25, 1.0), min_size=k, max_size=k)),
        "sines": draw(st.lists(floats(0.125, 1.0), min_size=k, max_size=k)),
        "orientation": made.reflections(k),
        "mixing": made.reflections(k),
        "w": made.vector(k, 0.5),
        "heads": heads,
        "spread": made.matrix(k, n, 1.0),
    }


def least_share(X: np.ndarray, Y: np.ndarray) -> float:
    """min over y of ‖Yy‖/‖[X; Y]y‖, X (k − r, k) and Y (p, k)."""
    basis = np.linalg.qr(np.concatenate([X, Y]))[0]
    return float(np.linalg.svd(basis[X.shape[0] :], compute_uv=False)[-1])


def spread_heads(heads: np.ndarray, spread: np.ndarray) -> np.ndarray:
    """Each head twice, moved by plus and by minus ``spread`` (k, n): the same mean, but diverse tasks."""
    return np.concatenate([heads + spread, heads - spread], axis=1)


def poor_problem(learner: Learner, example: Example) -> tuple[Problem, float, float]:
    """The example's problem in R^d, α and β; L_* = 1 for the larger of the two task sets."""
    d, k, r = example["d"], example["k"], example["r"]
    basis = start_of(example["sines"], example["orientation"], d)
    basis = np.concatenate([basis, np.zeros((d - len(basis), k))])
    sets = [np.concatenate([array(rows), np.zeros((k - r, example["n"]))]) for rows in example["heads"]]
    if learner.name == "average-loss":  # only the mean counts, however diverse the tasks
        sets = [spread_heads(heads, array(example["spread"])) for heads in sets]
    size = max(float(np.linalg.norm(heads, 2)) / np.sqrt(heads.shape[1]) for heads in sets)
    sets = [heads / size for heads in sets]
    alpha = example["alpha_L"]
    B0 = (basis * np.array(example["scales"])) @ reflected_identity(example["mixing"]) / np.sqrt(alpha)
    w0 = array(example["w"]) / np.sqrt(alpha)
    # ‖B‖² + ‖w‖² + L_* + αL_*²: the sizes of the second derivatives, by w and by B, of the loss before and after
    # adaptation.
    beta = example["step"] / (1 / alpha + float(w0 @ w0) + 1 + alpha)
    problem = Problem(d, np.eye(d, k), lambda step: sets[step % len(sets)], B0, w0, 1)
    return problem, alpha, beta


def _horizon(learner: Learner, problem: Problem, alpha: float, beta: float) -> int:
    """Steps for which the run by hand has α‖B_t‖_F² ≤ 2k. All of them, except for some of FO-MAML's."""
    if learner.name != "fo-maml":
        return STEPS
    observe = {"size": lambda B, w, step: alpha * np.square(B).sum() / B.shape[-1]}
    sizes = run(learner, problem, alpha, beta, STEPS, record_every=10, observe=observe)
    left = ~(sizes.observed["size"] <= LARGEST_STAY)
    return int(sizes.steps[int(np.argmax(left)) - 1]) if left.any() else STEPS


def _diversity_words(learner: Learner) -> dict[str, str | int]:
    average = learner.name == "average-loss"
    may_leave = rf", and while $\alpha\|B_t\|_F^2 \le {LARGEST_STAY:g}k$: this learner may leave"
    return {
        "who": "Average loss" if average else TITLES[learner.name],
        "heads": "the means of the heads" if average else "all heads",
        "spread": ", any spread of the heads around their means" if average else "",
        "steps": STEPS,
        "horizon": may_leave if learner.name == "fo-maml" else "",
        "so": " So the baseline fails from any start where $k \\ge 2$, however diverse the tasks." if average else "",
    }


def _floor_derivation(learner: Learner) -> Checked:
    """The floor's derivation. Average loss hears of the tasks by their mean alone, which has the heads' place then."""
    if learner.name != "average-loss":
        return diversity_needed_for(learner.name)
    step, N = learner_step("average-loss"), "I_k - beta*w*w.T"
    sides = (("V_rest.T*B_star.T*B_next", f"V_rest.T*B_star.T*B*({N})"), ("B_perp.T*B_next", f"B_perp.T*B*({N})"))
    lines = (
        *(Line("identity", Says("equal", left, right)) for left, right in sides),
        Line("multiplied", Says("floor", "1"), (1, 2), (N,)),
    )
    region = Region((("beta", ""),))
    return check(
        Derivation("diversity of the means is needed", region, (), lines), replace(step, missed=frozenset({"w_bar"}))
    )


@claim(
    Verdict.PROVED,
    source={**dict.fromkeys(META_LEARNERS, own(about="diversity")), "average-loss": own(about="average-loss")},
    kind="inequality",
    each=(*META_LEARNERS, "average-loss"),
    words=_diversity_words,
    exercises=("step", "distance"),
    rests_on="right-factor-«name»",
    floats=poor_tasks,
    derivation=_floor_derivation,
    examples=30,
    at_any_pace=FROM_BELOW,
)
def diversity_needed(example: Example, implementation: Implementation, learner: Learner) -> Comparison:
    r"""«who»: if «heads» stay in a subspace of dimension below $k$ (at every step the same), $B_2$ the part of $B_*$
    beside it, $X = B_2^\top B_0$ and $Y = B_{*\perp}^\top B_0$, then $\mathrm{dist}(B_t, B_*) \ge \min_y \|Yy\| / \|[X;
    Y]y\|$ as long as $B_t$ has full rank.

    Given: all $d > k \ge 2$, $n$, $t$, $B_0$, $w_0$, $\alpha$, $\beta \ge 0$, the minimum over $y$ with $[X; Y]y \ne 0$
    (above 0 for almost every $B_0$ if $d \ge 2k$); examples: $d \ge 2k$, not all heads zero,
    $\alpha\|B_0\|^2 \le 1$, $\alpha\|w_0\|^2 \le k/4$, $\frac14 \le \alpha L_* \le 2$,
    $\beta(1/\alpha + \|w_0\|^2 + L_* + \alpha L_*^2) \le \frac14$«spread»; tasks fixed or taking turns; $t \le
    «steps»$«horizon»

    Follows from the right factor: $[X; Y]$ is multiplied by the same $N$ as $Y$, and some direction of
    $\mathrm{col}(B_t)$ has no component along the heads' subspace.«so»
    """
    k, r = example["k"], example["r"]
    problem, alpha, beta = poor_problem(learner, example)
    steps, observe = _horizon(learner, problem, alpha, beta), {"condition": condition}
    trajectory = run(
        learner, problem, alpha, beta, steps, implementation=implementation, record_every=10, observe=observe
    )
    share = least_share(problem.B0[r:k], problem.B0[k:])
    # Every step perturbs [X; Y] by a few eps relatively, and a distance is good to eps × condition. A run that diverges
    # or loses its rank, which none does by the right map, has NaN here and violates the claim.
    conditions = trajectory.observed["condition"]
    dist = np.where(conditions < FULL_RANK, trajectory.dist, np.nan)
    rounding = 64 * implementation.eps * STEPS * conditions
    worst = int(np.argmin(dist + rounding))  # the first NaN, if there is one
    why = "min_y ‖Yy‖/‖[X; Y]y‖ against the least dist along the run"
    sets = np.array([problem.tasks(step) for step in range(len(example["heads"]))])
    objects = {**run_objects(problem, alpha, beta, sets), "t": int(trajectory.steps[worst])}
    return Comparison(share, float(dist[worst]), float(rounding[worst]), why, objects=objects)


NARROW_STEPS, NARROW_RUNS = 2000, 24


def _narrow_dist(
    learner: Learner, k: int, rank: int, runs: int, rng: np.random.Generator, implementation: Implementation
) -> np.ndarray:
    """dist at the start, half way and at the end, (3, runs): balanced starts, d = k + 1, Ψ_* of the given rank."""
    n, alpha = 5, 0.3
    sines = np.zeros((runs, k))
    sines[:, 0] = rng.uniform(0.3, 0.9, runs)
    starts = np.array([start_of(row.tolist(), rng.standard_normal((2, k)).tolist(), k + 1) for row in sines])
    spectra = np.where(np.arange(k) < rank, rng.uniform(0.3, 1.0, (runs, k)), 0.0)
    # Centred heads: with others FO-MAML's truth may be unstable, which is another matter.
    frames = rng.standard_normal((runs, n, k))
    frames = np.linalg.qr(frames - frames.mean(1, keepdims=True))[0]
    heads = np.sqrt(n * spectra)[..., None] * np.swapaxes(frames, -1, -2)
    problem = Problem(k + 1, np.eye(k + 1, k), FixedTasks(heads), starts / np.sqrt(alpha), np.zeros((runs, k)), n)
    every = NARROW_STEPS // 2
    return run(
        learner, problem, alpha, 0.03 / alpha, NARROW_STEPS, implementation=implementation, record_every=every
    ).dist


@claim(
    Verdict.MEASURED,
    source=own(about="diversity"),
    words={"steps": NARROW_STEPS},
    exercises=("step", "distance"),
    learners=META_LEARNERS,
    at_any_pace=FROM_BELOW + ", and half the speed is enough where no direction is missing",
)
def diversity_needed_narrow(implementation: Implementation, seed: int, effort: float) -> Measurement:
    r"""Also for $d = k + 1 < 2k$: with fixed tasks and $\mathrm{rank}(\Psi_*) = k - 1$ the four meta-learners stop
    short of $B_*$ from random starts. The estimate is the median $\mathrm{dist}(B_T, B_*)/\mathrm{dist}(B_0, B_*)$.

    Given: $k = 2, 3$, balanced random starts, centred heads, $\alpha L_* \le 0.3$, $\alpha\beta L_*^2 \le 0.01$,
    $T = «steps»$

    No proof is known for $d \le k + \mathrm{rank}(\Psi_*)$. The least value falls with the number of starts: the
    statement is that dist stops falling, and that it does not where no direction is missing.
    """
    runs = max(4, round(NARROW_RUNS * effort))
    shares, last_halves, controls, names = [], [], [], []
    for learner in supported(implementation, META_LEARNERS):
        rng = np.random.default_rng(seed)
        for k in (2, 3):
            poor = _narrow_dist(learner, k, k - 1, runs, rng, implementation)
            rich = _narrow_dist(learner, k, k, runs, rng, implementation)
            shares.append(poor[-1] / poor[0])
            last_halves.append(poor[-1] / poor[1])
            controls.append(rich[-1] / rich[0])
            names.append(f"{learner.name}, k = {k}")
    share, last_half, control = (np.concatenate(part) for part in (shares, last_halves, controls))
    stopped, learnt = bool(np.all(last_half > 0.999)), bool(np.all(control < 0.01))
    return Measurement(
        float(np.median(share)),
        farthest(share, float(np.median(share))),
        len(share),
        f"dist after {NARROW_STEPS} steps over dist_0, median and the farthest run from it (the least is "
        f"{float(share.min()):.2g}); over the last half it falls by "
        f"{float(1 - last_half.min()):.1e} at most ({'it has stopped' if stopped else 'it has NOT stopped'}); "
        f"with no direction missing the share is at most {float(control.max()):.1e}",
        {"runs": names, "shares": [part.tolist() for part in shares], "controls": [part.tolist() for part in controls]},
        consistent=stopped and learnt,
    )
