"""How far a run from balance gets from balance, while it comes closer to the truth."""

from fractions import Fraction
from typing import Any

import numpy as np

from metarep.sim.implementations import Implementation
from metarep.sim.learners import META_LEARNERS, Learner
from metarep.theory.claims.balanced import REGIONS, SIZES, run_setting, setting_of, settings_in
from metarep.theory.claims.contraction import ADAPTED, claim
from metarep.theory.claims.record import Comparison, Example, Verdict, own
from metarep.theory.claims.structure.factors import ABOUT
from metarep.theory.dynamics.rates import ENVELOPE_OFFSET
from metarep.theory.inequalities.theorem_anil import ExactConstants
from metarep.theory.inequalities.theorem_fo_anil import Constants

DRIFT_STEPS = 200


def _drift_words(learner: Learner) -> dict[str, Any]:
    gain = r"(3 (\alpha L_*)^2 + \alpha\beta L_*^2)" if learner.name == "maml" else r"\alpha\beta L_*^2"
    if learner.name not in ADAPTED:
        known = (
            r"It does not hold in many dimensions ($k = 8$ for FO-MAML, $k = 6$ for Exact MAML, with all sines 0.94)."
        )
    else:
        span = float(Fraction((Constants if learner.name == "fo-anil" else ExactConstants)().span))
        known = (
            rf"Proved for smaller steps, every $k$ and $t$ (theorem-{learner.name}): "
            rf"$\|I - \alpha B_t^\top B_t\| \le {span:g}\, \alpha\beta L_*^2 \kappa_*^2 E_0^{{-1}} "
            r"\mathrm{dist}(B_0, B_*)^2$, $E_0 = 0.9 - \mathrm{dist}(B_0, B_*)^2$."
        )
    region = REGIONS[learner.name].latex
    return {"gain": gain, "steps": DRIFT_STEPS, "region": region, "sizes": SIZES, "known": known}


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
    drifted = float((worst / bound).max())
    kept = DRIFT_STEPS * np.log1p(-step * (ENVELOPE_OFFSET - setting.dist0**2) * setting.smallest[0])
    # dist is good to a few eps; compared as shares of itself, as it falls by less than a percent in the slowest runs
    stayed = float((trajectory.dist[-1] / (setting.dist0 * np.exp(kept) + rounding)).max())
    if drifted <= 1 and not stayed <= 1:
        return Comparison(stayed, 1.0, 0.0, f"dist after {DRIFT_STEPS} steps over what it may be")
    return Comparison(drifted, 1.0, 0.0, "largest ‖I − αBᵀB‖ along the run over its bound")
