"""Wrong claims, on purpose: each must be refuted with a counterexample, or the checks could not fail.

Most are a right claim whose check takes another constant, by keyword, than the one that is true.
"""

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from metarep.sim.implementations import Implementation
from metarep.sim.learners import get_learner
from metarep.sim.mutants.mutant import Mutant
from metarep.theory.calculus.evaluation import evaluate_words
from metarep.theory.calculus.proofs import Proof
from metarep.theory.calculus.words import identity
from metarep.theory.claims import get_claim
from metarep.theory.claims.chapter import TITLES
from metarep.theory.claims.comparing import same, step_scale
from metarep.theory.claims.enclosed import leaves_envelope
from metarep.theory.claims.record import Claim, Comparison, Example, Verdict, own
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


def _second_moment_check(example: Example, implementation: Implementation) -> Comparison:
    learner = get_learner("anil")
    at = step_arrays(example)
    w_i = adapted_parameters(learner)[1]
    arrays = {"B": at.B, "w": at.w, "theta_i": at.targets}
    factor = np.eye(example["k"], dtype=int) - at.beta * evaluate_words(w_i * w_i.T, arrays, {"alpha": at.alpha})
    next_B, _ = implementation.step(learner, at.B, at.w, at.targets, at.alpha, at.beta)
    return same(
        at.B_perp.T @ next_B,
        at.B_perp.T @ at.B @ factor,
        step_scale(learner, at) * example["d"],
        implementation.eps,
        "perpendicular part after the step minus (I − βΨ) applied to it",
    )


WRONG_FACTOR = Claim(
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
)


def _wrong(of: str, name: str, statement: str, confirm: Any = None, **wrong: Any) -> Claim:
    """The claim of that id with a statement that goes too far: its check takes other values by keyword.

    ``confirm`` is as in ``Claim``.
    """
    right = get_claim(of)
    assert right.check is not None
    return replace(
        right,
        id=name,
        chapter="Wrong on purpose",
        statement=statement,
        source=own("wrong on purpose"),
        expected=Verdict.REFUTED,
        rests_on=(),
        proof=None,
        fractions=None,
        check=partial(right.check, **wrong),
        confirm=confirm,
        remark="",
    )


WRONG_STEPS = 200
"""Steps within which a run leaves an envelope with a wrong c, in balls."""

WRONG_CLAIMS = (
    WRONG_FACTOR,
    _wrong(
        "one-step-contraction-rate",
        "wrong-one-step-rate-with-largest-eigenvalue",
        r"FO-ANIL: $\|B_{*\perp}^\top B^+\| \le (1 - \beta\lambda_{\max}(\Psi))\, \|B_{*\perp}^\top B\|$.",
        which=-1,
    ),
    _wrong(
        "head-diversity-lower",
        "wrong-head-diversity-without-distance",
        r"At $\alpha B^\top B = I$: $\lambda_{\min}(\Psi) \ge \alpha\mu_*^2$.",
        with_distance=False,
    ),
    *(
        _wrong(
            f"envelope-{name}",
            f"wrong-envelope-{name}-with-c-3",
            f"{TITLES[name]}: the envelope holds with $c = 3$.",
            partial(leaves_envelope, learner=get_learner(name), steps=WRONG_STEPS, c=3.0),
            c=3.0,
        )
        for name in ("fo-anil", "maml")
    ),
    _wrong(
        "baseline-lower-bound",
        "wrong-baseline-bound-with-largest-sine",
        r"Average loss: $\mathrm{dist}(B_t, B_*) \ge \sigma_1(B_{*\perp}^\top \hat B_0)$.",
        which=0,
    ),
    _wrong(
        "baseline-control",
        "wrong-baseline-control-too-fast",
        r"For $k = 1$ average loss learns the direction at the rate $1 - 1.5\,\beta w_\infty^2$.",
        speed=1.5,
    ),
    _wrong(
        "local-ratio-fo-anil",
        "wrong-local-rate-5-percent",
        r"FO-ANIL: near the truth $\mathrm{dist}$ falls by $1 - 1.05\,\alpha\beta\mu_*^2$ a step.",
        speed=1.05,
    ),
    _wrong(
        "threshold-anil",
        "wrong-anil-threshold-1",
        r"Exact ANIL is stable at the truth if and only if $\alpha\beta L_*^2 < 1$.",
        limit=1.0,
    ),
    *(
        _wrong(
            "fo-maml-gaussian",
            f"wrong-gaussian-limit-{round(100 * limit)}-percent",
            r"For heads $N(\mu, \Sigma)$ FO-MAML is stable at the truth where "
            rf"$\mu^\top\Sigma^{{-1}}\mu < {limit:g}$, and unstable beyond.",
            limit=limit,
        )
        for limit in (0.98, 1.02)
    ),
)

CLAIM_MUTANTS: tuple[Mutant, ...] = tuple(
    Mutant(wrong.id, "claim", "wrong-claim", wrong.statement, {"claim": wrong}) for wrong in WRONG_CLAIMS
)
"""Every wrong claim."""
