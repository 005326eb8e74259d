"""Wrong claims, on purpose: each must be refuted with a counterexample, or the checks could not fail.

Each chapter's wrong claims stand beside its right ones in the same form, or here; the catalogue knows none of them.
"""

from dataclasses import replace
from functools import partial

import numpy as np

from metarep.sim.implementations import Implementation
from metarep.sim.learners import LEARNERS, get_learner
from metarep.sim.mutants.mutant import Mutant
from metarep.theory.calculus.expressions import evaluate_words
from metarep.theory.calculus.proofs import Proof
from metarep.theory.calculus.words import identity
from metarep.theory.claims import catalogue, contraction, envelope, gaussian, rates, stability
from metarep.theory.claims.baseline import average_loss
from metarep.theory.claims.chapter import TITLES
from metarep.theory.claims.comparing import same, step_scale
from metarep.theory.claims.record import Check, Claim, Comparison, Example, Verdict, own
from metarep.theory.claims.strategies import floats, fractions, outer_steps, step_arrays
from metarep.theory.dynamics.derive import adapted_parameters
from metarep.theory.dynamics.structure import right_factor


def _second_moment_factor() -> Proof:
    proof = Proof()
    learner = get_learner("anil")
    w_i = adapted_parameters(learner)[1]
    stated = identity("k") - (w_i * w_i.T).scaled(beta=1)
    derived = proof.expanded("N from the words of ∇_B", right_factor(learner))
    proof.equal("N = I − βΨ", derived, proof.expanded("I − βΨ", stated))
    return proof


def _second_moment_check(instance: Example, implementation: Implementation) -> Comparison:
    learner = get_learner("anil")
    at = step_arrays(instance)
    w_i = adapted_parameters(learner)[1]
    arrays = {"B": at.B, "w": at.w, "theta_i": at.targets}
    factor = np.eye(instance["k"], dtype=int) - at.beta * evaluate_words(w_i * w_i.T, arrays, {"alpha": at.alpha})
    next_B, _ = implementation.step(learner, at.B, at.w, at.targets, at.alpha, at.beta)
    return same(
        at.B_perp.T @ next_B,
        at.B_perp.T @ at.B @ factor,
        step_scale(learner, at) * instance["d"],
        implementation.eps,
        "perpendicular part after the step minus (I − βΨ) applied to it",
    )


WRONG_STRUCTURE = (
    Claim(
        id="wrong-factor-without-rank-two-part",
        chapter="Wrong on purpose",
        statement=r"For Exact ANIL $B_{*\perp}^\top B^+ = B_{*\perp}^\top B (I - \beta \Psi)$: no rank-two part.",
        source=own("wrong on purpose"),
        hypotheses="any outer step",
        expected=Verdict.REFUTED,
        learners=("anil",),
        exercises=frozenset({"step"}),
        proof=_second_moment_factor,
        floats=lambda: outer_steps(floats),
        fractions=lambda: outer_steps(fractions),
        check=_second_moment_check,
    ),
)


def _wrong(of: Claim, id_: str, statement: str, check: Check) -> Claim:
    """A claim with another's hypotheses and a statement that goes too far."""
    return replace(
        of, id=id_, chapter="Wrong on purpose", statement=statement, source=own("wrong on purpose"),
        expected=Verdict.REFUTED, rests_on=(), proof=None, fractions=None, check=check, remark="",
    )  # fmt: skip


_BY_ID = {claim.id: claim for claim in catalogue()}

WRONG_CONTRACTION = (
    _wrong(
        _BY_ID["one-step-contraction-rate"],
        "wrong-one-step-rate-with-largest-eigenvalue",
        r"FO-ANIL: $\|B_{*\perp}^\top B^+\| \le (1 - \beta\lambda_{\max}(\Psi))\, \|B_{*\perp}^\top B\|$.",
        partial(contraction.one_step_contraction_rate, which=-1),
    ),
    _wrong(
        _BY_ID["head-diversity-lower"],
        "wrong-head-diversity-without-distance",
        r"At $\alpha B^\top B = I$: $\lambda_{\min}(\Psi) \ge \alpha\mu_*^2$.",
        partial(contraction.head_diversity_lower, with_distance=False),
    ),
    *(
        _wrong(
            _BY_ID[id_],
            f"wrong-{id_}-with-c-3",
            rf"{TITLES[id_.split('-', 1)[1]]}: the envelope holds with $c = 3$.",
            partial(envelope.envelope, learner=LEARNERS[id_.split("-", 1)[1]], c=3.0),
        )
        for id_ in ("envelope-fo-anil", "envelope-maml")
    ),
)

WRONG_BASELINE = (
    _wrong(
        _BY_ID["baseline-lower-bound"],
        "wrong-baseline-bound-with-largest-sine",
        r"Average loss: $\mathrm{dist}(B_t, B_*) \ge \sigma_1(B_{*\perp}^\top \hat B_0)$.",
        partial(average_loss.baseline_lower_bound, which=0),
    ),
    _wrong(
        _BY_ID["baseline-control"],
        "wrong-baseline-control-too-fast",
        r"For $k = 1$ average loss learns the direction at the rate $1 - 1.5\,\beta w_\infty^2$.",
        partial(average_loss.baseline_control, speed=1.5),
    ),
)

WRONG_RATES = (
    _wrong(
        _BY_ID["local-ratio-fo-anil"],
        "wrong-local-rate-5-percent",
        r"FO-ANIL: near the truth $\mathrm{dist}$ falls by $1 - 1.05\,\alpha\beta\mu_*^2$ a step.",
        rates.ratio_check("fo-anil", speed=1.05),
    ),
)

WRONG_STABILITY = (
    _wrong(
        _BY_ID["threshold-anil"],
        "wrong-anil-threshold-1",
        r"Exact ANIL is stable at the truth if and only if $\alpha\beta L_*^2 < 1$.",
        stability.threshold_check("anil", threshold=1.0),
    ),
    *(
        _wrong(
            _BY_ID["fo-maml-gaussian"],
            f"wrong-gaussian-limit-{round(100 * limit)}-percent",
            r"For heads $N(\mu, \Sigma)$ FO-MAML is stable at the truth where "
            rf"$\mu^\top\Sigma^{{-1}}\mu < {limit:g}$, and unstable beyond.",
            gaussian.gaussian_check(limit),
        )
        for limit in (0.98, 1.02)
    ),
)

CLAIM_MUTANTS: tuple[Mutant, ...] = tuple(
    Mutant(wrong.id, "claim", "wrong-claim", wrong.statement, {"claim": wrong})
    for wrong in (*WRONG_STRUCTURE, *WRONG_CONTRACTION, *WRONG_BASELINE, *WRONG_RATES, *WRONG_STABILITY)
)
"""Every wrong claim of every chapter."""
