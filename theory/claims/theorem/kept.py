"""What the induction keeps at every step: balance, a small head, diverse adapted heads, an angle away from 90°."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from metarep.sim.implementations import Implementation
from metarep.sim.learners import Learner
from metarep.theory.claims.record import Comparison, Example, Verdict, paper
from metarep.theory.claims.theorem import claim
from metarep.theory.claims.theorem.settings import Batch, batch_of, drawn, settings, trajectory_of
from metarep.theory.claims.theorem.theorems import CONSTANTS, assumptions, conditions, fraction, proved
from metarep.theory.inequalities.conditions import kept_bounds
from metarep.theory.inequalities.core import Checked

STEPS = 400
"""Steps of a run at most."""


@dataclass(frozen=True)
class Kept:
    """One statement of the induction.

    ``result``: its name in the derivation; ``seen(batch, B, w, step)``: what it bounds, (m,); ``from_above``: or else
    from below.
    """

    result: str
    seen: Callable[[Batch, np.ndarray, np.ndarray, int], np.ndarray]
    from_above: bool


def _imbalance(batch: Batch, B: np.ndarray, w: np.ndarray, step: int) -> np.ndarray:
    gram = batch.alpha[:, None, None] * np.swapaxes(B, -1, -2) @ B
    return np.abs(np.linalg.eigvalsh(np.eye(B.shape[-1]) - gram)).max(-1)


def _head(batch: Batch, B: np.ndarray, w: np.ndarray, step: int) -> np.ndarray:
    return np.linalg.norm(w, axis=-1)


def _diversity(batch: Batch, B: np.ndarray, w: np.ndarray, step: int) -> np.ndarray:
    """λ_min of the adapted heads' second moment, the heads w − αBᵀ(Bw − B_*w_{*,i})."""
    targets = batch.problem.B_star @ batch.problem.tasks(step)
    residuals = B @ w[..., None] - targets
    adapted = w[..., None] - batch.alpha[:, None, None] * np.swapaxes(B, -1, -2) @ residuals
    second = adapted @ np.swapaxes(adapted, -1, -2) / adapted.shape[-1]
    return np.linalg.eigvalsh(second)[..., 0]


def _angle(batch: Batch, B: np.ndarray, w: np.ndarray, step: int) -> np.ndarray:
    along = np.swapaxes(B, -1, -2) @ batch.problem.B_star
    return batch.alpha * np.linalg.svd(along, compute_uv=False)[..., -1] ** 2


BALANCE = Kept("span-stays", _imbalance, True)
HEAD = Kept("head-stays", _head, True)
DIVERSITY = Kept("diversity", _diversity, False)
ANGLE = Kept("angle", _angle, False)


def _words(learner: Learner) -> Mapping[str, Any]:
    constants = CONSTANTS[learner.name]
    theorem = f"theorem-{learner.name}"
    span, head = fraction(constants.span), fraction(getattr(constants, "head", "0"))
    balance = rf"{span}\,\alpha\beta L_*^2 \frac{{\kappa_*^2}}{{E_0}}\,\mathrm{{dist}}_0^2"
    by_balance = rf"\left({balance}\right)" if learner.name == "anil" else ""
    return {
        "rate": fraction(constants.c),
        "balance": balance,
        "head": rf"{head}\cdot{span}\,{by_balance}\frac{{\beta}}{{\alpha}} \frac{{\kappa_*^4}}{{E_0^2}}\,"
        r"\mathrm{dist}_0^2\,\sqrt{\alpha}\,\eta_*",
        "given": f"{assumptions(theorem)}; {conditions(theorem)}; examples: {drawn(theorem)}, at most {STEPS} steps",
    }


def _derivation(learner: Learner, *, result: str) -> Checked:
    checked = proved(f"theorem-{learner.name}")
    checked.result(result)  # it is one of the statements that hold at every step
    return checked


def _kept(kept: Kept, **more: Any) -> Any:
    return claim(
        Verdict.PROVED,
        source=paper("proof-of-theorem-1", "with explicit constants; own proof"),
        kind="inequality",
        given="«given»",
        each=("fo-anil", "anil"),
        words=_words,
        exercises="step",
        rests_on="theorem-«name»",
        floats=lambda learner: settings(f"theorem-{learner.name}"),
        derivation=partial(_derivation, result=kept.result),
        examples=10,
        at_any_pace="it bounds what a run loses on its way: what does not move loses nothing",
        **more,
    )


def stays(example: Example, implementation: Implementation, learner: Learner, kept: Kept) -> Comparison:
    """The worst quotient of what is kept and its bound along the runs, upside down for a bound from below."""
    batch = batch_of(f"theorem-{learner.name}", example)
    observe = {"kept": partial(kept.seen, batch)}
    trajectory = trajectory_of(learner, batch, implementation, STEPS, observe)
    period, rows = len(batch.smallest), batch.by_step()
    bounds = np.array([[kept_bounds(batch.theorem, q)[kept.result] for q in row] for row in rows])
    if kept.from_above:  # with the least μ_*² of all steps
        bounds = np.array([[kept_bounds(batch.theorem, q)[kept.result] for q in batch.at]] * period)
    bound, seen = bounds[trajectory.steps % period], trajectory.observed["kept"]
    # Every step adds a few eps × k to αBᵀB; in the paper's units w is of the size √α L_*, and Ψ of αL_*².
    unit = {"span-stays": 1.0, "head-stays": np.sqrt(batch.alpha), "diversity": batch.alpha, "angle": 1.0}[kept.result]
    rounding = 64 * implementation.eps * example["k"] * max(int(trajectory.steps[-1]), 1) * unit
    worst = seen / (bound + rounding) if kept.from_above else (bound - rounding) / np.maximum(seen, 1e-300)
    worst = np.where(trajectory.diverged | np.isnan(worst), np.inf, worst)
    time, place = (int(index) for index in np.unravel_index(np.argmax(worst), worst.shape))
    sides = float(seen[time, place]), float(bound[time, place])
    objects = {**batch.objects(place), "t": int(trajectory.steps[time])}
    why = "largest quotient of what is kept and its bound along the runs"
    smaller, larger = sides if kept.from_above else sides[::-1]
    return Comparison(float(worst[time, place]), 1.0, 0.0, why, smaller, larger, objects)


@_kept(BALANCE)
def balance_stays(example: Example, implementation: Implementation, learner: Learner) -> Comparison:
    r"""«title» under the conditions of theorem-«name» stays near balance: $\|I - \alpha B_t^\top B_t\| \le «balance»$
    for every $t$.

    One of the statements of the induction; $\mathrm{dist}_0 = \mathrm{dist}(B_0, B_*)$.
    """
    return stays(example, implementation, learner, BALANCE)


@_kept(HEAD)
def head_stays_small(example: Example, implementation: Implementation, learner: Learner) -> Comparison:
    r"""«title» under the conditions of theorem-«name» keeps its head small: $\|w_t\| \le «head»$ for every $t$.

    One of the statements of the induction.
    """
    return stays(example, implementation, learner, HEAD)


@_kept(DIVERSITY)
def heads_stay_diverse(example: Example, implementation: Implementation, learner: Learner) -> Comparison:
    r"""«title» under the conditions of theorem-«name», off balance as well: the adapted heads keep
    $\lambda_{\min}(\Psi_t) \ge «rate»\, E_0\,\alpha\lambda_{\min}(\Psi_{*,t})$ for every $t$.

    One of the statements of the induction: it is what makes every direction contract.
    """
    return stays(example, implementation, learner, DIVERSITY)


@_kept(ANGLE)
def angle_stays(example: Example, implementation: Implementation, learner: Learner) -> Comparison:
    r"""«title» under the conditions of theorem-«name»: $\alpha\,\sigma_{\min}(B_t^\top B_*)^2 \ge «rate»\, E_0$ for
    every $t$.

    One of the statements of the induction.
    """
    return stays(example, implementation, learner, ANGLE)
