"""Claims about the update maps: the readable closed forms are the gradients, and the implementation computes them."""

import numpy as np

from sim.implementations import Implementation
from sim.learners import LEARNERS, Learner
from theory.claims.comparing import same, step_scale
from theory.claims.record import Check, Claim, Comparison, Instance, Verdict, own, paper
from theory.claims.strategies import floats, fractions, outer_steps, step_arrays
from theory.derive import adapted_loss, derive, stated_program, task_gradients
from theory.expressions import latex
from theory.proofs import Proof
from theory.words import gradient

CHAPTER = "The update maps"
ANY_STEP = "any $d \\ge k$, $n \\ge 2$, $B$, $w$, heads, orthonormal $B_*$, $\\alpha \\ne \\beta$"

TITLES = {
    "anil": "Exact ANIL",
    "fo-anil": "FO-ANIL",
    "maml": "Exact MAML",
    "fo-maml": "FO-MAML",
    "average-loss": "average loss",
}
"""How each learner is called in sentences."""


def _update_proof(learner: Learner) -> Proof:
    proof = Proof()
    program = stated_program(learner)
    if learner.first_order:
        derived = task_gradients(learner)
        proof.substituted("the adapted parameters into the gradient of the task loss, ∇_B", derived[0])
        proof.substituted("the adapted parameters into the gradient of the task loss, ∇_w", derived[1])
    else:
        loss = proof.expanded("the task loss after adaptation, F_i(B, w)", adapted_loss(learner))
        derived = (gradient(loss, "B"), gradient(loss, "w"))
        proof.expanded("the product rule by B", derived[0])
        proof.expanded("the product rule by w", derived[1])
    stated = program.expand()
    proof.expanded("the stated ∇_B", stated[0])
    proof.expanded("the stated ∇_w", stated[1])
    proof.equal("∇_B", derived[0], stated[0])
    proof.equal("∇_w", derived[1], stated[1])
    return proof


def _update_check(learner: Learner) -> Check:
    def check(instance: Instance, implementation: Implementation) -> Comparison:
        at = step_arrays(instance)
        stepped = implementation.step(learner, at.B, at.w, at.targets, at.alpha, at.beta)
        derived = derive(learner)(at.B, at.w, at.targets, at.alpha, at.beta)
        return same(
            np.concatenate([stepped[0].ravel(), stepped[1].ravel()]),
            np.concatenate([derived[0].ravel(), derived[1].ravel()]),
            step_scale(learner, at),
            implementation.eps,
            "the implementation's step minus the derived one, largest entry",
        )

    return check


def _statement(learner: Learner) -> str:
    program = stated_program(learner)
    named = [rf"${latex_name(name)} = {latex(expression)}$" for name, expression in program.definitions]
    return (
        f"The outer gradient of {TITLES[learner.name]} is the average over tasks of "
        rf"$\nabla_B = {latex(program.grad_B)}$ and $\nabla_w = {latex(program.grad_w)}$, with {', '.join(named)}."
    )


def latex_name(name: str) -> str:
    """LaTeX of a letter by its registered name."""
    from theory.words import find_letter

    return find_letter(name).latex


CLAIMS = tuple(
    Claim(
        id=f"update-{name}",
        chapter=CHAPTER,
        statement=_statement(learner),
        source=paper("Section 2")
        if learner.first_order or name == "average-loss"
        else own("from the learner's definition"),
        hypotheses=ANY_STEP,
        expected=Verdict.PROVED,
        learners=(name,),
        needs=frozenset({"step"}),
        proof=lambda learner=learner: _update_proof(learner),
        instances=lambda: outer_steps(floats),
        rationals=lambda: outer_steps(fractions),
        check=_update_check(learner),
    )
    for name, learner in LEARNERS.items()
)
