"""Claims about the baseline, average-loss minimisation.

It only sees the mean target θ̄ = B_*w̄_*. From a balanced start it moves on one direction (so all but the largest
principal angle stay); with centred heads it does not move at all; for k = 1 it does learn, which shows that these
checks can tell.
"""

from dataclasses import replace
from functools import partial

import numpy as np
from hypothesis import strategies as st

from metarep.sim.implementations import Implementation
from metarep.sim.learners import get_learner
from metarep.sim.metrics import principal_sines
from metarep.sim.problems import FixedTasks, Problem, make_problem
from metarep.sim.shares import median_uncertainty
from metarep.sim.trajectories import run
from metarep.theory.calculus import alphabet as a
from metarep.theory.calculus.proofs import Proof
from metarep.theory.calculus.words import SCALARS, Poly, Rule
from metarep.theory.claims.balanced import start_of
from metarep.theory.claims.baseline import claim
from metarep.theory.claims.comparing import ROUNDINGS_PER_WORD, close, largest, same_step, step_scale
from metarep.theory.claims.objects import run_objects
from metarep.theory.claims.record import Comparison, Example, Measurement, Verdict, own
from metarep.theory.claims.strategies import (
    Entries,
    Numbers,
    Sizes,
    StepArrays,
    array,
    floats,
    fractions,
    reflected_identity,
    step_arrays,
)
from metarep.theory.dynamics.derive import task_gradients
from metarep.theory.dynamics.rates import average_loss_rate
from metarep.theory.inequalities.floors import baseline_floor

AVERAGE = get_learner("average-loss")

average_claim = partial(
    claim, source=own(about="average-loss"), learners=("average-loss",), rests_on="update-average-loss", examples=40
)


def condition(B: np.ndarray, w: np.ndarray, step: int) -> float:
    """B's condition, to be observed along a run."""
    values = np.linalg.svd(B, compute_uv=False)
    return float(values[0] / max(values[-1], 1e-300))


# --- it moves on one direction


def _one_direction_proof(proof: Proof) -> None:
    """Invariance of B = B_0 + (x B_0u + yθ̄)uᵀ, w = zu with u = B_0ᵀθ̄, B_0ᵀB_0 = I/α, under a step with mean mθ̄.

    The numbers x, y, z, m are 1×1 words that are algebraically independent, so the identity holds for any numbers.
    """
    balance = (Rule("B'", "B", "", tuple(-1 if name == "alpha" else 0 for name in SCALARS)),)
    # Inner products of three vectors; the baseline has no α, so α is free to stand for the start's scale.
    x, y, z, m = a.h.T * a.omega, a.w_bar.T * a.omega, a.h.T * a.w_bar, a.h.T * a.h
    start, mean = a.B, a.theta_bar
    u = start.T * mean
    B = proof.expanded("B = B_0 + (x B_0u + yθ̄)uᵀ with u = B_0ᵀθ̄", start + (start * u * x + mean * y) * u.T)
    w = u * z
    grad_B, grad_w = task_gradients(AVERAGE)
    proof.fact(
        "the gradients have degree at most one in θ_i: their means are their values at the mean target",
        grad_B.degree("theta_i") <= 1 and grad_w.degree("theta_i") <= 1,
    )
    at = {"B": B, "w": w, "theta_i": mean * m}
    after_B = proof.substituted(
        "these B, w = zu and the mean target mθ̄ into B⁺", B - grad_B.substitute(at).scaled(beta=1)
    ).rewrite(balance)
    after_w = proof.substituted("the same into w⁺", w - grad_w.substitute(at).scaled(beta=1)).rewrite(balance)
    uu = (u.T * u).rewrite(balance)
    mm = mean.T * mean
    one = Poly(("1", "1"), {((0,) * len(SCALARS), (), b""): 1})
    # The residual is r = p B_0u + qθ̄.
    p, q = z * (one + x * uu), z * y * uu - m
    x_after, y_after = x - (z * p).scaled(beta=1), y - (z * q).scaled(beta=1)
    along = start + (start * u * x_after + mean * y_after) * u.T
    proof.equal("B⁺ with B_0 + (x⁺B_0u + y⁺θ̄)uᵀ", after_B, along.rewrite(balance))
    shrink = p.scaled(alpha=-1) + q + (x * p * uu).scaled(alpha=-1) + x * q * uu + y * p * uu + y * q * mm
    proof.equal("w⁺ with z⁺u", after_w, (u * (z - shrink.scaled(beta=1))).rewrite(balance))


@st.composite
def balanced_baseline(draw: st.DrawFn, numbers: Numbers = floats, steps: int = 3) -> Example:
    """B_0 = a·(orthonormal columns), w_0 = γB_0ᵀθ̄, any heads, and a factor on all heads at every step."""
    made = Entries(draw, numbers, Sizes(3, 6, 12) if numbers is fractions else None)
    k = made.k(2)
    d = made.d(k)
    n = made.n()
    return {
        "d": d,
        "k": k,
        "n": n,
        "a": made.number(1 / 2, 2, power=1),
        "gamma": made.number(-1, 1, power=-2),
        "alpha": 1,
        "beta": made.number(1 / 8, 1 / 2, power=-2),
        "columns": made.reflections(d),
        "heads": made.heads(k, n, 1.0, power=2),
        "frame": made.reflections(d),
        "factors": draw(st.lists(numbers(-1, 1), min_size=steps, max_size=steps)),
    }


def _mean_target(at: StepArrays) -> np.ndarray:
    return at.targets.sum(-1) / at.targets.shape[-1]


def _balanced_start(example: Example) -> StepArrays:
    B = example["a"] * reflected_identity(example["columns"])[:, : example["k"]]
    at = step_arrays({**example, "B": B.tolist(), "w": [0] * example["k"]})
    return replace(at, w=example["gamma"] * (B.T @ _mean_target(at)))


@average_claim(
    Verdict.PROVED,
    exercises="step",
    draws=balanced_baseline,
    proof=_one_direction_proof,
    at_any_pace="it says in which directions nothing moves",
)
def baseline_one_direction(example: Example, implementation: Implementation) -> Comparison:
    r"""A step of average loss keeps to one direction: let $B_0^\top B_0 \propto I$ and $u = B_0^\top\bar\theta$. If
    $B = B_0 + (x B_0 u + y\bar\theta) u^\top$ and $w = zu$ with numbers $x, y, z$, then after a step whose mean target
    is a multiple of $\bar\theta$ they are so with other numbers.

    Given: any $d \ge k$, heads, $\beta$; the tasks' mean is multiplied by any number at every step

    So, by induction, from such a $B_0$ and $w_0 \parallel u$, with task means along one direction, $w_t \parallel u$
    and $B_t = B_0 + p_t u^\top$ with some vectors $p_t$ for every $t$: $B_t$ moves on one direction only. The instances
    take three steps from such starts.
    """
    at = _balanced_start(example)
    u = at.B.T @ _mean_target(at)
    length = u @ u
    eye = np.eye(u.size, dtype=int)
    # Multiplies away the direction u. If u is zero nothing may move.
    away = length * eye - np.outer(u, u) if length else eye
    here, error = at, 0.0
    for factor in example["factors"]:
        here = replace(here, heads=factor * at.heads)
        if not at.exact:
            # Earlier errors are multiplied at most by the norm of the step's derivative, new ones come from its words.
            B, w, mean = np.linalg.norm(here.B, 2), np.linalg.norm(here.w), np.linalg.norm(_mean_target(here))
            growth = 1 + at.beta * (B**2 + w**2 + 3 * B * w + 2 * mean)
            error = error * growth + 64 * implementation.eps * step_scale(AVERAGE, here) * at.B.size
        B, w = here.stepped(implementation, AVERAGE)
        here = replace(here, B=B, w=w)
    moved = ((here.B - at.B) @ away, here.w @ away)
    tolerance = 0 if at.exact else error * float(largest(away)) * u.size + 64 * implementation.eps * error
    why = "the part of B_t − B_0 and of w_t beside the direction u = B_0ᵀθ̄, largest entry"
    shown = {**at.objects, "factors": array(example["factors"]), "B_t": here.B, "w_t": here.w, "u": u}
    return close(moved, tuple(0 * part for part in moved), tolerance, why, shown, size=largest(at.B) * largest(away))


# --- the σ_2 lower bound

BOUND_STEPS = 300


@st.composite
def baseline_runs(draw: st.DrawFn) -> Example:
    """Balanced starts with two positive principal sines or more, task means along one direction, w_0 = γB_0ᵀθ̄."""
    made = Entries(draw, floats)
    k = made.k(2)
    d = made.d(k + 2)
    return {
        "d": d,
        "k": k,
        "n": 1,
        "a": made.number(0.25, 4.0, power=1),
        "gamma": made.number(-1.0, 1.0, power=-2),
        "beta": draw(floats(1 / 64, 1.0)),
        "sines": sorted(draw(st.lists(floats(0.125, 1.0), min_size=k, max_size=k)), reverse=True),
        "orientation": made.reflections(k),
        "mean": made.vector(k, 1.0, power=2),
        "factors": draw(st.lists(floats(-1.0, 1.0), min_size=1, max_size=3)),
    }


@average_claim(
    Verdict.PROVED,
    source=own("the paper shows that it fails, Section 1 and Figure 1; the bound is ours", about="average-loss"),
    kind="inequality",
    words={"steps": BOUND_STEPS},
    exercises=("step", "distance"),
    rests_on=("baseline-one-direction", "symmetry-scaling"),
    floats=baseline_runs,
    derivation=baseline_floor,
    at_any_pace="it is a bound from below: what does less comes less close",
)
def baseline_lower_bound(example: Example, implementation: Implementation, *, which: int = 1) -> Comparison:
    r"""Average loss from $B_0^\top B_0 \propto I$, $w_0 \parallel B_0^\top\bar\theta$, with task means along one
    direction: $\mathrm{dist}(B_t, B_*) \ge \sigma_2(B_{*\perp}^\top \hat B_0)$ for every $t$.

    Given: all $d > k \ge 2$ and $t$, any $\beta \ge 0$, any principal angles, a mean that is any multiple of one
    direction at each step; examples: $d \ge k + 2$, $t \le «steps»$ and $\beta(\|B_0\|^2 + \|w_0\|^2 + \eta_*) \le 1/3$

    Follows from the one direction for every step size; larger ones multiply rounding errors beside it, which is why
    they are checked exactly there. It says nothing for $d = k + 1$, nor for task means that turn.
    """
    # ``which`` is one less than σ's index; 0 is for a wrong claim.
    k, scale, factors = example["k"], example["a"], example["factors"]
    basis = start_of(example["sines"], example["orientation"], example["d"])
    mean = array(example["mean"])
    B0 = scale * basis
    w0 = example["gamma"] * (B0[:k].T @ mean)
    size = max(float(np.linalg.norm(mean)), 1e-3)
    # A step of at most a third of 1/(‖B‖² + ‖w‖² + ‖θ̄‖): rounding errors beside the direction are not multiplied.
    beta = example["beta"] / (3 * (scale**2 + float(w0 @ w0) + size))
    tasks = [(factor * mean)[:, None] for factor in factors]
    problem = Problem(example["d"], np.eye(len(basis), k), lambda step: tasks[step % len(tasks)], B0, w0, 1)
    observe = {"condition": condition}
    trajectory = run(
        AVERAGE, problem, 1.0, beta, BOUND_STEPS, implementation=implementation, record_every=10, observe=observe
    )
    # eps × condition for each distance; a few eps a step beside the direction.
    rounding = 64 * implementation.eps * (float(trajectory.observed["condition"].max()) + BOUND_STEPS)
    sigma = float(np.linalg.svd(basis[k:], compute_uv=False)[which])
    least = float(trajectory.dist.min())  # NaN where the run diverged, which such small steps never let it
    why = f"σ_{which + 1} of B_{{*⊥}}ᵀB̂_0 against the least dist"
    return Comparison(sigma, least, rounding, why, objects=run_objects(problem, 1.0, beta, np.array(tasks)))


# --- task means that turn every step

FRESH_RUNS, FRESH_STEPS = 12, 24_000


@average_claim(
    Verdict.MEASURED,
    source=own("the paper's Figure 1 scaled down", about="average-loss"),
    words={"steps": FRESH_STEPS},
    exercises=("step", "distance"),
    rests_on="right-factor-average-loss",
    examples=1,
)
def baseline_turning_means(implementation: Implementation, seed: int, effort: float) -> Measurement:
    r"""Where the tasks' mean turns, because tasks are drawn afresh at every step, average loss does lower the smallest
    principal sine, over very many steps; but dist, the largest, stays near 1.

    Given: $d = 20$, $k = n = 3$, $\alpha = \beta = 0.1$, heads drawn from $N(0, I)$ at every step, random balanced
    starts, $w_0 = 0$, «steps» steps

    Seen, not proved. The bound of baseline-lower-bound does not apply here. The estimate is the median of the smallest
    sine at the end over that at the start.
    """
    runs, rng = max(4, round(FRESH_RUNS * effort)), np.random.default_rng(seed)
    problem = make_problem(20, 3, 3, 0.1, rng, tasks="fresh", trials=(runs,))
    observe = {"sines": lambda B, w, step: principal_sines(B, problem.B_star)}
    every = FRESH_STEPS // 4
    trajectory = run(
        AVERAGE, problem, 0.1, 0.1, FRESH_STEPS, implementation=implementation, record_every=every, observe=observe
    )
    sines = trajectory.observed["sines"]
    smallest = np.median(sines[..., -1], axis=1)
    share = sines[-1, :, -1] / sines[0, :, -1]
    return Measurement(
        float(np.median(share)),
        median_uncertainty(share),
        runs,
        f"median of the smallest sine at the end over that at the start, and its 95 % interval (the {runs} runs: from "
        f"{float(share.min()):.2g} to {float(share.max()):.2g}); every {every} steps the sine's median is "
        + ", ".join(f"{value:.2g}" for value in smallest)
        + f", while dist, the largest sine, is never below {float(trajectory.dist.min()):.4f}",
        {"steps": trajectory.steps.tolist(), "median_sines": np.median(sines, axis=1).tolist()},
        consistent=bool(np.all(trajectory.dist > 0.9) and smallest[-1] < 0.25 * smallest[0]),
    )


# --- centred heads: no motion


def _stationary_proof(proof: Proof) -> None:
    grad_B, grad_w = task_gradients(AVERAGE)
    zero_head = {"w": Poly(("k", "1"))}
    proof.vanishes("∇_B at w = 0", proof.substituted("w = 0 in ∇_B", grad_B.substitute(zero_head)))
    at_zero = proof.substituted("w = 0 in ∇_w", grad_w.substitute(zero_head))
    proof.equal("∇_w with −Bᵀθ_i, whose average −BᵀB_*w̄_* is zero", at_zero, -(a.B.T * a.theta))


@st.composite
def centred_heads(draw: st.DrawFn, numbers: Numbers = floats) -> Example:
    """Any B; heads that add up to zero (the last is minus the sum of the others); w = 0."""
    made = Entries(draw, numbers)
    k = made.k()
    d = made.d(k)
    n = made.n(2)
    free = made.matrix(k, n - 1, power=2)
    return {
        "d": d,
        "k": k,
        "n": n,
        "alpha": 1,
        "beta": made.number(1 / 8, 4, power=-2),
        "B": made.matrix(d, k, power=1),
        "w": [0 * abs(row[0]) for row in free],
        "heads": [[*row, -sum(row)] for row in free],
        "frame": made.reflections(d),
    }


@average_claim(
    Verdict.PROVED,
    exercises="step",
    draws=centred_heads,
    proof=_stationary_proof,
    at_any_pace="at a fixed point there is no step to shorten",
)
def baseline_stationary(example: Example, implementation: Implementation) -> Comparison:
    r"""If $\bar w_* = 0$ and $w = 0$, average loss does not move: $B^+ = B$, $w^+ = w$.

    Given: any $d \ge k$, $n \ge 2$, $B$, $\beta$, any heads that add up to zero
    """
    at = step_arrays(example)
    roundings = ROUNDINGS_PER_WORD * at.heads.shape[1]
    return same_step(implementation, AVERAGE, at, (at.B, at.w), "B⁺ − B and w⁺ − w, largest entry", roundings)


# --- the positive control

FALLS = 10.0
"""Run until dist should have fallen by e^{-10}."""


@st.composite
def one_dimensional(draw: st.DrawFn) -> Example:
    """k = 1, balanced start, dist_0 < 1; αη_*, and βs with s = (1/α² + 4η_*²)^{1/2}, the limit of ‖B‖² + w²."""
    return {
        "alpha_eta": draw(floats(0.5, 4.0)),
        "alpha": draw(floats(0.25, 4.0)),
        "resolution": 1 / 8 - draw(floats(0.0, 7 / 64)),  # the simplest example is the shortest run
        "sine": draw(floats(0.125, 0.875)),
        "spread": draw(floats(0.0, 2.0)),
    }


@average_claim(
    Verdict.SUPPORTED, kind="inequality", exercises=("step", "distance"), floats=one_dimensional, examples=12
)
def baseline_control(example: Example, implementation: Implementation, *, speed: float = 1.0) -> Comparison:
    r"""Positive control, $k = 1$: average loss does recover the direction, at the rate $1 - \beta w_\infty^2$ with
    $w_\infty^2 = \frac12(-1/\alpha + (1/\alpha^2 + 4\|\bar\theta\|^2)^{1/2})$, up to the relative error
    $\beta(1/\alpha^2 + 4\|\bar\theta\|^2)^{1/2}$.

    Given: $k = 1$, $\alpha B_0^2 = 1$, $w_0 = 0$, $\frac18 \le \mathrm{dist}_0 \le \frac78$, $\frac12 \le \alpha\eta_*
    \le 4$, $\beta(1/\alpha^2 + 4\eta_*^2)^{1/2} \le \frac18$

    A check by which the baseline also fails here would be wrong. The value is that of gradient flow, which conserves
    $B^\top B - ww^\top$; steps of finite size drift from it.
    """
    # ``speed`` multiplies the predicted βw_∞²; another than 1 is for a wrong claim.
    alpha, sine, resolution = example["alpha"], example["sine"], example["resolution"]
    eta = example["alpha_eta"] / alpha
    beta = resolution / float(np.sqrt(1 / alpha**2 + 4 * eta**2))
    predicted = (1 - average_loss_rate(eta, alpha, beta)) * speed
    steps = int(np.ceil(FALLS / predicted))
    heads = eta * np.array([[1 - example["spread"], 1 + example["spread"]]])
    B0 = np.array([[np.sqrt((1 - sine) * (1 + sine))], [sine]]) / np.sqrt(alpha)
    problem = Problem(2, np.eye(2, 1), FixedTasks(heads), B0, np.zeros(1), 2)
    trajectory = run(
        AVERAGE, problem, alpha, beta, steps, implementation=implementation, record_every=max(1, steps // 2)
    )
    first, last = 1, -1 if len(trajectory.steps) < 4 else 2
    fallen = float(np.log(trajectory.dist[last] / trajectory.dist[first]))
    seen = -fallen / float(trajectory.steps[last] - trajectory.steps[first])
    # BᵀB − w² drifts by O(β) times its size (each step by β² × residuals squared), and the logarithm of 1 − x is
    # −x − x²/2.
    why = "relative difference of the seen and the predicted speed against β(1/α² + 4η_*²)^{1/2}"
    objects = run_objects(problem, alpha, beta, heads)
    return Comparison(abs(seen / predicted - 1), resolution, 1e-3, why, objects=objects)
