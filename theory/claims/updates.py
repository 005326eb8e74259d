"""Claims about the update maps: the readable closed forms are the gradients, and the implementation computes them."""

import numpy as np

from metarep.sim.implementations import Implementation
from metarep.sim.learners import LEARNERS, Learner
from metarep.theory.calculus import alphabet as a
from metarep.theory.calculus.expressions import latex, to_words
from metarep.theory.calculus.proofs import Proof
from metarep.theory.calculus.words import Poly, gradient, identity
from metarep.theory.claims.comparing import ROUNDINGS_PER_WORD, run_together, same, step_scale
from metarep.theory.claims.record import Check, Claim, Comparison, Instance, Verdict, own, paper
from metarep.theory.claims.strategies import floats, fractions, outer_steps, step_arrays
from metarep.theory.dynamics.derive import adapted_loss, derive, stated_program, task_gradients

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
    from metarep.theory.calculus.words import find_letter

    return find_letter(name).latex


UPDATES = tuple(
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


# ------------------------------------------------------------------------------- what one inner step leaves of r_i


def _residual_proof(learner: Learner) -> Proof:
    proof = Proof()
    program = stated_program(learner)
    known: dict[str, Poly] = {}
    for name, expression in program.definitions:
        known[name] = to_words(expression, known)
    after = proof.expanded("v_i as the update has it", known["v_i"])
    shrink = identity("d") - (a.B * a.B.T).scaled(alpha=1)
    if learner.adapts_representation:
        shrink = shrink - (identity("d") * (a.w.T * known["w_i"])).scaled(alpha=1)
    proof.equal("v_i and its factor times r_i", after, proof.expanded("the factor times r_i", shrink * known["r_i"]))
    return proof


def _residual_check(learner: Learner) -> Check:
    """The step made from Δ̄r_i (for FO-MAML less α(wᵀw_i)r_i) against the implementation's."""

    def check(instance: Instance, implementation: Implementation) -> Comparison:
        at, n = step_arrays(instance), instance["n"]
        R = (at.B @ at.w)[:, None] - at.targets
        W = at.w[:, None] - at.alpha * (at.B.T @ R)
        V = R - at.alpha * (at.B @ (at.B.T @ R))
        grad_w = at.B.T @ V
        if learner.adapts_representation:
            V = V - at.alpha * R * (at.w @ W)
            grad_w = at.B.T @ V - at.alpha * at.w[:, None] * (R * V).sum(0)
        return same(
            run_together(*implementation.step(learner, at.B, at.w, at.targets, at.alpha, at.beta)),
            run_together(at.B - at.beta * (V @ W.T) / n, at.w - at.beta * grad_w.sum(-1) / n),
            step_scale(learner, at),
            implementation.eps,
            f"{learner.name}'s step minus the one made from r_i by the stated factor, largest entry",
            2 * ROUNDINGS_PER_WORD,
        )

    return check


def _residual_claim(name: str, factor: str) -> Claim:
    learner = LEARNERS[name]
    body = r", $B_i = B - \alpha r_i w^\top$" if learner.adapts_representation else ""
    adapted = "B_i w_i" if learner.adapts_representation else "B w_i"
    return Claim(
        id=f"adapted-residual-{name}",
        chapter=CHAPTER,
        statement=rf"One inner step of {TITLES[name]} multiplies each task's residual $r_i = Bw - \theta_i$: "
        rf"$v_i = {adapted} - \theta_i = {factor}\, r_i$, with $w_i = w - \alpha B^\top r_i$"
        rf"{body} and $\bar\Delta = I - \alpha B B^\top$.",
        source=own(),
        hypotheses=ANY_STEP,
        expected=Verdict.PROVED,
        learners=(name,),
        needs=frozenset({"step"}),
        rests_on=(f"update-{name}",),
        proof=lambda: _residual_proof(learner),
        instances=lambda: outer_steps(floats),
        rationals=lambda: outer_steps(fractions),
        check=_residual_check(learner),
        examples=24,
        remark="The check makes the learner's whole step from $r_i$ and this factor.",
    )


RESIDUALS = (
    _residual_claim("fo-anil", r"\bar\Delta"),
    _residual_claim("fo-maml", r"(\bar\Delta - \alpha (w^\top w_i) I)"),
)

CLAIMS = (*UPDATES, *RESIDUALS)
