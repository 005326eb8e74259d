"""Claims about balance, in the chapter of the contraction: a step keeps it to second order, and runs stay near it."""

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np

from metarep.sim.implementations import Implementation
from metarep.sim.learners import META_LEARNERS, Learner
from metarep.theory.calculus import alphabet as a
from metarep.theory.calculus.proofs import Proof
from metarep.theory.calculus.words import Poly, Rule
from metarep.theory.claims.balanced import REGIONS, run_setting, setting_of, settings_in
from metarep.theory.claims.comparing import largest, same, step_moduli, step_scale
from metarep.theory.claims.contraction import ADAPTED, BALANCED_ANY, balanced_example, claim, exact_at_balance
from metarep.theory.claims.record import Comparison, Example, Verdict, own
from metarep.theory.claims.strategies import step_arrays
from metarep.theory.claims.structure.factors import ABOUT
from metarep.theory.dynamics.derive import task_gradients
from metarep.theory.dynamics.rates import ENVELOPE_OFFSET
from metarep.theory.dynamics.structure import PERPENDICULAR, TRUTH
from metarep.theory.inequalities.theorem_anil import ExactConstants
from metarep.theory.inequalities.theorem_fo_anil import Constants


def _balance_kept_proof(proof: Proof, learner: Learner) -> None:
    grad_B, grad_w = (part.substitute(TRUTH) for part in task_gradients(learner))
    proof.expanded("∇_B of one task", grad_B)
    rules = (a.BALANCED, *PERPENDICULAR)
    if learner.name not in ADAPTED:
        grad_B = proof.substituted("w = 0", grad_B.substitute({"w": Poly(("k", "1"))}))
    product = proof.rewritten(a.B.T * grad_B, "αBᵀB = I in Bᵀ∇_B", *rules)
    proof.vanishes("Bᵀ∇_B", product)
    if learner.name in ADAPTED:
        proof.vanishes("∇_w", proof.rewritten(grad_w, "αBᵀB = I in ∇_w", *rules))
    # The mean over tasks of what vanishes for each task vanishes: δB stands for ∇_B.
    moved = a.B - a.dB.scaled(beta=1)
    square = proof.rewritten(moved.T * moved, "Bᵀ∇_B = 0, ∇_B written δB, in B⁺ᵀB⁺", Rule("B'", "dB", None))
    proof.equal("B⁺ᵀB⁺ and BᵀB + β²∇_Bᵀ∇_B", square, a.B.T * a.B + (a.dB.T * a.dB).scaled(beta=2))


def _balance_kept_words(learner: Learner) -> dict[str, str]:
    if learner.name in ADAPTED:
        return {"head": "$w$", "at_zero": "", "kept": r" and $\nabla_w = 0$"}
    return {"head": "$w = 0$", "at_zero": " and $w = 0$", "kept": ""}


@exact_at_balance(
    source={name: own(about=ABOUT[name]) for name in META_LEARNERS},
    given=BALANCED_ANY.replace("$w$", "«head»"),
    each=("fo-anil", "anil", "fo-maml", "maml"),
    words=_balance_kept_words,
    rests_on="update-«name»",
    proof=_balance_kept_proof,
    at_any_pace="the balance that a step loses is compared with the square of that very step",
)
def balance_kept(example: Example, implementation: Implementation, learner: Learner) -> Iterator[Comparison]:
    r"""At $\alpha B^\top B = I$«at_zero» a step of «title» has $B^\top \nabla_B = 0$«kept», so $B^{+\top}B^+ = B^\top
    B + \beta^2 \nabla_B^\top\nabla_B$: balance is lost to second order only.
    """
    any_head = learner.name in ADAPTED
    head = example["w"] if any_head else [0 * entry for entry in example["w"]]
    at = step_arrays(balanced_example({**example, "w": head}))
    stepped, head_after = at.stepped(implementation, learner)
    change = stepped - at.B
    # An error of B⁺ is multiplied by B, each way; of both the moduli of B⁺'s terms are a bound.
    moduli = np.zeros((1, 1)) if at.exact else step_moduli(learner, at)[0]
    yield same(
        stepped.T @ stepped - at.B.T @ at.B,
        change.T @ change,
        (moduli.T @ moduli).max(),
        implementation.eps,
        "B⁺ᵀB⁺ − BᵀB − (B⁺ − B)ᵀ(B⁺ − B), largest entry",
        objects=at.objects,
        size=largest(stepped) ** 2,
    )
    if any_head:
        why, size = "w⁺ − w, largest entry", largest(at.B)
        yield same(head_after, at.w, step_scale(learner, at), implementation.eps, why, objects=at.objects, size=size)


# --- along runs


DRIFT_STEPS = 200


def _drift_words(learner: Learner) -> dict[str, Any]:
    gain = r"(3 (\alpha L_*)^2 + \alpha\beta L_*^2)" if learner.name == "maml" else r"\alpha\beta L_*^2"
    if learner.name not in ADAPTED:
        known = (
            r"It does not hold in many dimensions ($k = 8$ for FO-MAML, $k = 6$ for Exact MAML, with all sines 0.94), "
            r"nor for Exact MAML with many tasks ($n = 13$, $k = 2$)."
        )
    else:
        span = float(Fraction((Constants if learner.name == "fo-anil" else ExactConstants)().span))
        known = (
            rf"Proved for smaller steps, every $k$ and $t$ (theorem-{learner.name}): "
            rf"$\|I - \alpha B_t^\top B_t\| \le {span:g}\, \alpha\beta L_*^2 \kappa_*^2 E_0^{{-1}} "
            r"\mathrm{dist}(B_0, B_*)^2$, $E_0 = 0.9 - \mathrm{dist}(B_0, B_*)^2$."
        )
    region = REGIONS[learner.name]
    return {
        "gain": gain,
        "steps": DRIFT_STEPS,
        "region": region.latex,
        "sizes": region.dimensions,
        "known": known,
    }


@claim(
    Verdict.SUPPORTED,
    kind="inequality",
    source={name: own("the form of the bound", about=ABOUT[name]) for name in META_LEARNERS},
    each=("fo-anil", "anil", "fo-maml", "maml"),
    words=_drift_words,
    exercises=("step", "distance"),
    rests_on="balance-kept-«name»",
    floats=lambda learner: settings_in(REGIONS[learner.name]),
    examples=50,
)
def balance_bounded(example: Example, implementation: Implementation, learner: Learner) -> Comparison:
    r"""«title» from balance: $\|I - \alpha B_t^\top B_t\| \le «gain»\, \mathrm{dist}(B_0, B_*)^2$ for $t \le «steps»$,
    while $\mathrm{dist}(B_T, B_*) \le (1 - \alpha\beta (0.9 - \mathrm{dist}(B_0, B_*)^2) \mu_*^2)^T\,
    \mathrm{dist}(B_0, B_*)$ at $T = «steps»$: what does not move would keep its balance.

    Given: fixed tasks, $\alpha B_0^\top B_0 = I$, $w_0 = 0$, «region», $\mathrm{dist}(B_0, B_*) \le 0.94$, «sizes», any
    $\Psi_*$ with $\kappa_*^2 \le 100$, any head mean

    Observed, not proved, in this region. A step loses balance to second order, and the span part decays; the constant
    is what is seen, rounded up. «known»
    """
    steps = np.array(example["steps"])
    setting = setting_of([example], steps)
    eye, alpha = np.eye(example["k"]), setting.alpha[:, None, None]

    def drift(B: np.ndarray, w: np.ndarray, step: int) -> np.ndarray:
        return np.abs(np.linalg.eigvalsh(eye - alpha * np.swapaxes(B, -1, -2) @ B)).max(-1)

    trajectory = run_setting(learner, setting, DRIFT_STEPS, implementation, 5, observe={"drift": drift})
    worst = np.where(trajectory.diverged, np.inf, trajectory.observed["drift"]).max(0)
    # Every step adds rounding errors of a few eps × k to αBᵀB, and they decay no slower than they come.
    rounding = 64 * implementation.eps * example["k"] * DRIFT_STEPS
    alpha_L, step = steps.T
    gain = 3 * alpha_L**2 + step if learner.name == "maml" else step
    bound = gain * setting.dist0**2 + rounding
    place = int(np.argmax(worst / bound))
    drifted = float(worst[place] / bound[place])
    kept = DRIFT_STEPS * np.log1p(-step * (ENVELOPE_OFFSET - setting.dist0**2) * setting.smallest[0])
    # dist is good to a few eps; compared as shares of itself, as it falls by less than a percent in the slowest runs
    allowed = setting.dist0 * np.exp(kept) + rounding
    slowest = int(np.argmax(trajectory.dist[-1] / allowed))
    dist, most = float(trajectory.dist[-1][slowest]), float(allowed[slowest])
    if drifted <= 1 and not dist / most <= 1:
        why = f"dist after {DRIFT_STEPS} steps over what it may be"
        return Comparison(dist / most, 1.0, 0.0, why, dist, most, setting.objects(slowest))
    why = "largest ‖I − αBᵀB‖ along the run over its bound"
    return Comparison(drifted, 1.0, 0.0, why, float(worst[place]), float(bound[place]), setting.objects(place))
