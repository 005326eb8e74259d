"""Claims: both MAMLs have points of zero loss after adaptation that know nothing of the ground truth, and Exact MAML
goes there.

Adapting the representation alone, B_i = B − αr_iwᵀ, solves every task exactly once α‖w‖² = 1: then B_iw = Bw − r_i =
θ_i. So a head of that length makes a representation superfluous. Own derivation; the paper's conditions on the start
and on the heads keep w small.
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from hypothesis import strategies as st

from metarep.sim.experiments import get_setting, setting_problem
from metarep.sim.implementations import Implementation
from metarep.sim.learners import LEARNERS
from metarep.sim.outcomes import Outcome, counted, enough_records
from metarep.sim.problems import FixedTasks, Problem, StartKind, make_problem
from metarep.sim.shares import Share
from metarep.sim.trajectories import Trajectory, run
from metarep.sim.updates import loss_after_adaptation, residuals_after_adaptation
from metarep.theory.calculus.alphabet import OVER_ALPHA
from metarep.theory.calculus.proofs import Proof
from metarep.theory.calculus.words import Rule
from metarep.theory.claims.balanced import start_of
from metarep.theory.claims.chapter import Chapter
from metarep.theory.claims.comparing import farthest, largest, same, same_step, step_scale, supported
from metarep.theory.claims.record import Comparison, Example, Measurement, Verdict, own
from metarep.theory.claims.strategies import Entries, Numbers, StepArrays, array, reflected_identity
from metarep.theory.dynamics.derive import adapted_loss, task_gradients
from metarep.theory.dynamics.structure import stated_split

claim = Chapter("Where the theory stops")

BOTH_MAMLS = ("maml", "fo-maml")
BLIND = (Rule("B", "w", None), Rule("B'", "theta_i", None), Rule("w'", "w", "", OVER_ALPHA))
"""Bw = 0, Bᵀθ_i = 0, αwᵀw = 1."""


def _blind_proof(proof: Proof) -> None:
    what = "Bw = 0, Bᵀθ_i = 0, αwᵀw = 1"
    for name in BOTH_MAMLS:
        learner = LEARNERS[name]
        loss = proof.expanded(f"the loss after adaptation ({name})", adapted_loss(learner))
        proof.vanishes(f"the loss ({name})", proof.rewritten(loss, what, *BLIND))
        for symbol, part in zip(("∇_B", "∇_w"), task_gradients(learner), strict=True):
            expanded = proof.expanded(f"{symbol} ({name})", part)
            proof.vanishes(f"{symbol} ({name})", proof.rewritten(expanded, what, *BLIND))


@st.composite
def blind_points(draw: st.DrawFn, numbers: Numbers) -> Example:
    """α = 1/q², w of length q, B with Bw = 0 and B_*ᵀB = 0 (zero for k = 1), any heads."""
    made = Entries(draw, numbers)
    k = made.k()
    d = made.d(k + 1)
    n = made.n()
    return {
        "d": d,
        "k": k,
        "n": n,
        "q": draw(st.integers(1, 3)) * made.unit,
        "beta": made.number(1 / 8, 1.0, power=-2),
        "free": made.matrix(d - k, k, power=1),
        "heads": made.heads(k, n, power=2),
        "frame": made.reflections(d),
        "turn": made.reflections(k),
    }


def _point(example: Example) -> StepArrays:
    """The arrays of a ``blind_points`` example."""
    k, q = example["k"], example["q"]
    frame, turn = reflected_identity(example["frame"]), reflected_identity(example["turn"])
    unit = turn[:, 0]
    B = frame[:, k:] @ array(example["free"])
    alpha = 1 / (q * q)
    B_star, B_perp = frame[:, :k], frame[:, k:]
    heads = array(example["heads"])
    return StepArrays(B - np.outer(B @ unit, unit), unit * q, heads, B_star, B_perp, alpha, example["beta"])


@claim(
    Verdict.PROVED,
    source=own(about="theorem-maml"),
    learners=BOTH_MAMLS,
    exercises="step",
    rests_on=("update-maml", "update-fo-maml"),
    draws=blind_points,
    proof=_blind_proof,
    examples=40,
    at_any_pace="at a fixed point there is no step to shorten",
)
def maml_blind_points(example: Example, implementation: Implementation) -> Iterator[Comparison]:
    r"""Where $\alpha\|w\|^2 = 1$, $Bw = 0$ and $B^\top B_* = 0$ the loss after adaptation of both MAMLs is zero for
    every task, and the point is fixed.

    Given: any $d > k$, any heads, $\alpha\|w\|^2 = 1$, $B w = 0$, $B^\top B_* = 0$

    There $\mathrm{dist} = 1$, or $B = 0$: adapting the representation alone solves every task, and nothing of $B_*$ is
    needed.
    """
    at = _point(example)
    for learner in supported(implementation, BOTH_MAMLS):
        why = f"a step of {learner.name} from a blind point, largest change"
        yield same_step(implementation, learner, at, (at.B, at.w), why)
    after = residuals_after_adaptation(LEARNERS["maml"], at.B, at.w, at.targets, at.alpha)
    scale, why = step_scale(LEARNERS["maml"], at), "residuals after adaptation, largest entry"
    # Before adaptation they are −θ_i: that is what cancels.
    yield same(after, 0 * after, scale, implementation.eps, why, objects=at.objects, size=largest(at.targets))


FIXED_TRIALS, FIXED_STEPS = 40, 6000
FRESH_TRIALS = 300
FRESH = get_setting("figure-1", "random", "maml")
"""Fresh tasks: the setting of Figure 1."""
FRESH_BETWEEN = (0.005, 0.1)
"""'A few per cent' with fresh tasks: the interval of the share must not lie outside."""
NEAR_BLIND = 0.1
"""How far from 1 the median of α‖w‖² may be where every loss is at most 1 % of that at w = 0: a residual after
adaptation is |1 − α‖w‖²| ≤ √0.01 of the one before.
"""


def _ends(implementation: Implementation, learner_id: str, problem: Problem, steps: int) -> Trajectory:
    """Runs of that problem, with as many records as judging their ends needs."""
    learner, every = LEARNERS[learner_id], enough_records(steps)
    return run(learner, problem, FRESH.alpha, FRESH.beta, steps, implementation=implementation, record_every=every)


def _fixed_problem(kind: StartKind, trials: int, seed: int) -> Problem:
    """Fixed tasks with Ψ_* = I, in Figure 1's dimensions; the same starts but for their scale."""
    s, rng = FRESH, np.random.default_rng(seed)
    return make_problem(s.d, s.k, 2 * s.k, s.alpha, rng, start=kind, spectrum=[1.0] * s.k, trials=(trials,))


@claim(
    Verdict.MEASURED,
    source=own(about="theorem-maml"),
    learners=("maml", "anil"),
    exercises="step",
    rests_on="maml-blind-points",
    words={"steps": FRESH.steps, "blind": Outcome.BLIND.message},
    examples=FRESH_TRIALS,
    at_any_pace="steps of half the length end blind about as often; what does not move solves no task and fails it",
)
def maml_ends_blind(implementation: Implementation, seed: int, effort: float) -> Measurement:
    r"""From random orthonormal starts Exact MAML can end blind: it solves every task without learning the
    representation, near $\alpha\|w\|^2 = 1$. With fixed, perfectly diverse tasks ($\Psi_* = I$) most runs do, with
    tasks drawn afresh at every step (Figure 1's setting) a few per cent. Exact ANIL, which cannot adapt $B$, learns the
    representation from the same starts and the fixed tasks in all runs.

    Given: $d = 100$, $k = 5$, $\alpha = \beta = 0.1$, $B_0$ random orthonormal, $w_0 = 0$; fixed: $n = 10$, 6000 steps;
    fresh: $n = 5$, heads $N(0, I)$, «steps» steps

    Seen, not proved. A run that ends blind «blind». The paper's balanced start has αBᵀB = I, ten times what an
    orthonormal one has at α = 0.1; from it fewer runs end blind. The estimate is the share with fixed tasks.
    """
    fixed_trials, fresh_trials = (max(8, round(count * effort)) for count in (FIXED_TRIALS, FRESH_TRIALS))
    orthonormal, balanced = (_fixed_problem(kind, fixed_trials, seed) for kind in ("orthonormal", "balanced"))
    fresh = setting_problem(replace(FRESH, trials=fresh_trials), np.random.default_rng(seed))
    seen = {
        "fixed": _ends(implementation, "maml", orthonormal, FIXED_STEPS),
        "fixed_balanced": _ends(implementation, "maml", balanced, FIXED_STEPS),
        "fresh": _ends(implementation, "maml", fresh, FRESH.steps),
    }
    learned = Share.of(_ends(implementation, "anil", orthonormal, FIXED_STEPS).outcome == Outcome.CONVERGED)

    blind = {name: each.outcome == Outcome.BLIND for name, each in seen.items()}
    shares = {name: Share.of(which) for name, which in blind.items()}
    lengths = np.concatenate([FRESH.alpha * np.square(seen[name].w[which]).sum(-1) for name, which in blind.items()])
    head = float(np.median(lengths)) if lengths.size else float("nan")
    most, (low, high) = shares["fixed"], shares["fresh"].interval
    return Measurement(
        most.value,
        most.uncertainty,
        3 * fixed_trials + fresh_trials,
        f"runs of Exact MAML that end blind: with fixed tasks {most}, from balanced starts {shares['fixed_balanced']}; "
        f"with fresh tasks {shares['fresh']}; there the median of α‖w‖² is {head:.4f}. Exact ANIL's that learn the "
        f"representation: {learned}",
        {
            **{name: vars(share) for name, share in shares.items()},
            "anil": vars(learned),
            "alpha_w_squared": head,
            "ends": counted(seen["fresh"].outcome),
            "ends_after": FRESH.steps,
        },
        consistent=most.value > 0.5
        and low < FRESH_BETWEEN[1]
        and high > FRESH_BETWEEN[0]
        and learned.value == 1.0
        and abs(head - 1) < NEAR_BLIND,
    )


# --- as many tasks as directions: another rest

FEW_RUNS, FEW_STEPS, FEW_WINDOW = 12, 3000, 200
FEW_ALPHA, FEW_STEP = 0.3, 0.1
"""αL_* and αβL_*², with L_* = 1."""
FEW_AGREE = 5e-3
"""How far the speed seen may be from that of N, relatively: N still moves with the head, by less than that."""
FEW_LOSS = 1e-5
"""Largest loss at the end over the start's: its slowest mode, the head's, is some thousand steps long."""


def _few_heads(k: int, runs: int, rng: np.random.Generator) -> Problem:
    """Balanced starts with sines from 0.3 to 0.7, and k independent heads with L_* = 1, κ_* ≤ 5/3."""
    left, values, right = np.linalg.svd(rng.standard_normal((runs, k, k)))
    values = rng.uniform(0.6, 1.0, values.shape)
    values[:, 0] = 1.0
    heads = np.sqrt(k) * (left * values[:, None, :]) @ right
    sines = -np.sort(-rng.uniform(0.3, 0.7, (runs, k)))
    starts = np.array([start_of(row.tolist(), rng.standard_normal((2, k)).tolist(), 2 * k) for row in sines])
    return Problem(2 * k, np.eye(2 * k, k), FixedTasks(heads), starts / np.sqrt(FEW_ALPHA), np.zeros((runs, k)), k)


def _few_runs(k: int, runs: int, rng: np.random.Generator, implementation: Implementation) -> np.ndarray:
    """(5, runs): speeds at the end over αβμ_*² of Exact MAML and Exact ANIL, and of N at Exact MAML's end; there α‖w‖²,
    and the loss over the start's.
    """
    problem, beta = _few_heads(k, runs, rng), FEW_STEP / FEW_ALPHA
    learner, truth, heads = LEARNERS["maml"], problem.B_star, problem.tasks(0)
    slowest = FEW_STEP * np.linalg.eigvalsh(heads @ np.swapaxes(heads, -1, -2) / k)[:, 0]
    every = FEW_STEPS - FEW_WINDOW
    end, anil = (
        run(LEARNERS[name], problem, FEW_ALPHA, beta, FEW_STEPS, implementation=implementation, record_every=every)
        for name in ("maml", "anil")
    )
    seen = [
        1 - (trajectory.dist[-1] / trajectory.dist[-2]) ** (1 / (trajectory.steps[-1] - trajectory.steps[-2]))
        for trajectory in (end, anil)
    ]
    factor, _ = stated_split(learner).evaluate(learner, end.B, end.w, truth, heads, FEW_ALPHA, beta)
    finite = np.isfinite(factor).all()
    predicted = 1 - np.abs(np.linalg.eigvals(factor)).max(-1) if finite else np.full(runs, np.nan)
    loss = loss_after_adaptation(learner, end.B, end.w, truth @ heads, FEW_ALPHA)
    start_loss = loss_after_adaptation(learner, problem.B0, problem.w0, truth @ heads, FEW_ALPHA)
    speeds = [speed / slowest for speed in (*seen, predicted)]
    return np.stack([*speeds, FEW_ALPHA * np.square(end.w).sum(-1), loss / start_loss])


@claim(
    Verdict.MEASURED,
    source=own(about="theorem-maml"),
    learners=("maml", "anil"),
    exercises=("step", "distance"),
    rests_on=("right-factor-maml", "local-rate-maml"),
    words={"steps": FEW_STEPS},
    examples=1,
)
def maml_few_heads(implementation: Implementation, seed: int, effort: float) -> Measurement:
    r"""With fixed tasks and as many independent heads as directions, $n = k$, Exact MAML learns the representation but
    goes to points of zero loss with $w \ne 0$, and the factor a step is that of $N$ there: closer to 1 than
    $1 - \alpha\beta\mu_*^2$. The estimate is the speed over $\alpha\beta\mu_*^2$.

    Given: $n = k = 2, 3$, $d = 2k$, random heads with $\kappa_* \le \frac53$, $\alpha L_* = 0.3$, $\alpha\beta
    L_*^2 = 0.1$, balanced starts with principal sines from 0.3 to 0.7, «steps» steps

    Seen, not proved. The loss falls exponentially: below $10^{-5}$ of the start's in these steps, and to rounding, at a
    head that no longer moves, in some ten thousand. Exact ANIL, whose rate does not depend on $w$, has
    $1 - \alpha\beta\mu_*^2$ from the same starts. Which point of the curve a run ends at, and so how much slower it is,
    depends on the start and on $\alpha L_*$: 0.995 to 0.999 was seen at 0.1.
    """
    runs, rng = max(4, round(FEW_RUNS * effort)), np.random.default_rng(seed)
    found = [_few_runs(k, runs, rng, implementation) for k in (2, 3)]
    maml, anil, predicted, head, loss = np.concatenate(found, axis=-1)
    consistent = bool(
        np.all(np.abs(maml / predicted - 1) < FEW_AGREE)
        and np.all((maml > 0.9) & (maml < 1) & (head > 1e-4) & (loss < FEW_LOSS))
        and np.all(np.abs(anil - 1) < FEW_AGREE)
        and np.median(maml) < 1 - 2 * FEW_AGREE
    )
    return Measurement(
        float(np.median(maml)),
        farthest(maml, float(np.median(maml))),
        2 * maml.size,
        "median of the speed at the end over αβμ_*², and the farthest run from it (from "
        f"{maml.min():.3f} to {maml.max():.3f}; by N there {predicted.min():.3f} to {predicted.max():.3f}; Exact ANIL "
        f"{anil.min():.4f} to {anil.max():.4f}); α‖w‖² from {head.min():.1e} to {head.max():.1e}, the loss over the "
        f"start's at most {loss.max():.0e}",
        {"shares": maml.tolist(), "predicted": predicted.tolist(), "alpha_w_squared": head.tolist()},
        consistent=consistent,
    )
