"""Wrong claims, on purpose: each must be refuted with a counterexample, or the checks could not fail.

Each chapter's wrong claims stand beside its right ones in the same form, or here; the catalogue knows none of them.
"""

import numpy as np

from sim.implementations import Implementation
from sim.learners import get_learner
from theory.claims.comparing import same, step_scale
from theory.claims.record import Claim, Comparison, Instance, Verdict, own
from theory.claims.strategies import floats, fractions, outer_steps, step_arrays
from theory.derive import adapted_parameters
from theory.expressions import evaluate_words
from theory.proofs import Proof
from theory.structure import right_factor
from theory.words import identity


def _second_moment_factor() -> Proof:
    proof = Proof()
    learner = get_learner("anil")
    w_i = adapted_parameters(learner)[1]
    stated = identity("k") - (w_i * w_i.T).scaled(beta=1)
    derived = proof.expanded("N from the words of ∇_B", right_factor(learner))
    proof.equal("N = I − βΨ", derived, proof.expanded("I − βΨ", stated))
    return proof


def _second_moment_check(instance: Instance, implementation: Implementation) -> Comparison:
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
        needs=frozenset({"step"}),
        proof=_second_moment_factor,
        instances=lambda: outer_steps(floats),
        rationals=lambda: outer_steps(fractions),
        check=_second_moment_check,
    ),
)

WRONG_CLAIMS: tuple[Claim, ...] = (*WRONG_STRUCTURE,)
"""Every wrong claim of every chapter."""
