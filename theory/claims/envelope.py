"""Claims about many steps: dist stays below the paper's envelope, with fixed tasks and with tasks that change."""

import numpy as np

from sim.implementations import Implementation
from sim.learners import LEARNERS, META_LEARNERS, Learner
from theory.claims.balanced import REGIONS, largest_c, run_setting, setting_of, settings_in
from theory.claims.record import Check, Claim, Comparison, Instance, Verdict, paper
from theory.claims.updates import TITLES
from theory.rates import ENVELOPE_C, ENVELOPE_OFFSET

CHAPTER = "The envelope"
STEPS = 200
"""Steps T of a run: with αβL_*² = 0.01 a factor e^{−2} and more for the slowest bound."""
MOST_SETS = 3
"""Task sets that take turns in a sequence of changing tasks."""
QUOTED = (
    "The constants $c = 1/2$ and $0.9$ are quoted from memory of the paper; "
    "the region is what we support, not the paper's."
)


def envelope_check(
    learner: Learner, c: float = ENVELOPE_C, offset: float = ENVELOPE_OFFSET, steps: int = STEPS
) -> Check:
    """c against the largest c with which the runs stay below the envelope at every t ≤ steps; the worst run counts."""

    def check(instance: Instance, implementation: Implementation) -> Comparison:
        setting = setting_of([instance], np.array(instance["steps"]))
        trajectory = run_setting(learner, setting, steps, implementation)
        # dist is good to a few eps × the condition of B, below 1/√(1 − ‖I − αBᵀB‖) ≤ 2 here; the envelope is a product
        # of up to T factors, each with one rounding.
        rounding = 64 * implementation.eps * steps
        largest = largest_c(setting, trajectory, offset, rounding=rounding)
        return Comparison(c, float(largest.min()), 0.0, "c against the largest c whose envelope holds along every run")

    return check


def envelope_claim(learner: Learner, *, changing: bool, c: float = ENVELOPE_C, id_: str | None = None) -> Claim:
    """The envelope for one learner, with fixed or with changing tasks, for any c."""
    region = REGIONS[learner.name]
    title = TITLES[learner.name][0].upper() + TITLES[learner.name][1:]
    shown = r"\frac12" if c == ENVELOPE_C else f"{c:g}"
    if changing:
        bound = rf"\prod_{{s=1}}^{{t-1}} (1 - {shown} \alpha\beta E_0 \lambda_{{\min}}(\Psi_{{*,s}}))"
        tasks = (
            f"tasks that change: up to {MOST_SETS} task sets take turns and rotate by up to 1.5 radians a step, "
            r"$L_*^2$ the largest $\lambda_{\max}(\Psi_{*,s})$"
        )
    else:
        bound = rf"(1 - {shown} \alpha\beta E_0 \mu_*^2)^{{t-1}}"
        tasks = "fixed tasks"
    other = "MAML counterpart of Theorem 1" if learner.name in ("maml", "fo-maml") else "Theorem 1"
    return Claim(
        id=id_ or f"envelope-{'changing-' if changing else ''}{learner.name}",
        chapter=CHAPTER,
        statement=rf"{title} from balance with {'changing' if changing else 'fixed'} tasks: "
        rf"$\mathrm{{dist}}(B_t, B_*) \le {bound}$, $E_0 = 0.9 - \mathrm{{dist}}(B_0, B_*)^2$, "
        rf"for $1 \le t \le {STEPS}$.",
        source=paper(f"{other}, with the factor of each step's own tasks: our reading") if changing else paper(other),
        hypotheses=rf"{tasks}, $\alpha B_0^\top B_0 = I$, $w_0 = 0$, {region.latex}, "
        r"$\mathrm{dist}(B_0, B_*) \le 0.94$, $n \ge k$, any head means, any $\Psi_*$ with $\kappa_*^2 \le 100$",
        expected=Verdict.SUPPORTED,
        kind="inequality",
        learners=(learner.name,),
        needs=frozenset({"step", "distance"}),
        rests_on=RESTS_ON[learner.name],
        instances=lambda: settings_in(region, MOST_SETS if changing else 1),
        check=envelope_check(learner, c),
        examples=30 if changing else 40,
        remark=QUOTED,
    )


RESTS_ON = {
    "fo-anil": ("update-fo-anil", "one-step-contraction", "head-diversity-lower", "balance-bounded-fo-anil"),
    "anil": ("update-anil", "one-step-bound-anil", "head-diversity-lower", "balance-bounded-anil"),
    "fo-maml": ("update-fo-maml", "one-step-bound-fo-maml", "head-diversity-lower", "balance-bounded-fo-maml"),
    "maml": ("update-maml", "one-step-bound-maml", "head-diversity-lower", "balance-bounded-maml"),
}

CLAIMS: tuple[Claim, ...] = (
    *(envelope_claim(LEARNERS[name], changing=False) for name in META_LEARNERS),
    *(envelope_claim(LEARNERS[name], changing=True) for name in META_LEARNERS),
)
