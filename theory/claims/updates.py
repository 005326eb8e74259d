"""Claims about the update maps: the readable closed forms are the gradients, and the implementation computes them."""

from metarep.sim.implementations import Implementation
from metarep.sim.learners import LEARNERS, Learner
from metarep.theory.calculus import alphabet as a
from metarep.theory.calculus.expressions import latex, to_words
from metarep.theory.calculus.proofs import Proof
from metarep.theory.calculus.words import Poly, find_letter, gradient, identity
from metarep.theory.claims.chapter import Chapter
from metarep.theory.claims.comparing import ROUNDINGS_PER_WORD, same_step
from metarep.theory.claims.record import Comparison, Example, Verdict, own, paper
from metarep.theory.claims.strategies import ANY_STEP, step_arrays, steps_of_any_rank
from metarep.theory.dynamics.derive import adapted_loss, derive, stated_program, task_gradients

claim = Chapter("The update maps")


def _update_proof(proof: Proof, learner: Learner) -> None:
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


def _update_words(learner: Learner) -> dict[str, str]:
    program = stated_program(learner)
    named = [f"${find_letter(name).latex} = {latex(expression)}$" for name, expression in program.definitions]
    return {"grad_B": latex(program.grad_B), "grad_w": latex(program.grad_w), "definitions": ", ".join(named)}


@claim(
    Verdict.PROVED,
    source=dict.fromkeys(LEARNERS, paper("updates"))
    | dict.fromkeys(("anil", "maml"), own("from the learner's definition", about="updates")),
    given=ANY_STEP,
    each=LEARNERS,
    words=_update_words,
    exercises="step",
    draws=steps_of_any_rank,
    proof=_update_proof,
)
def update(example: Example, implementation: Implementation, learner: Learner) -> Comparison:
    r"""The outer gradient of «title» is the average over tasks of $\nabla_B = «grad_B»$ and $\nabla_w = «grad_w»$, with
    «definitions».
    """
    at = step_arrays(example)
    derived = derive(learner)(at.B, at.w, at.targets, at.alpha, at.beta)
    why = "the implementation's step minus the derived one, largest entry"
    return same_step(implementation, learner, at, derived, why)


# --- what one inner step leaves of r_i


def _residual_proof(proof: Proof, learner: Learner) -> None:
    known: dict[str, Poly] = {}
    for name, expression in stated_program(learner).definitions:
        known[name] = to_words(expression, known)
    after = proof.expanded("v_i as the update has it", known["v_i"])
    shrink = identity("d") - (a.B * a.B.T).scaled(alpha=1)
    if learner.adapts_representation:
        shrink = shrink - (identity("d") * (a.w.T * known["w_i"])).scaled(alpha=1)
    proof.equal("v_i and its factor times r_i", after, proof.expanded("the factor times r_i", shrink * known["r_i"]))


def _residual_words(learner: Learner) -> dict[str, str]:
    if learner.adapts_representation:
        return {
            "adapted": "B_i w_i",
            "factor": r"(\bar\Delta - \alpha (w^\top w_i) I)",
            "body": r", $B_i = B - \alpha r_i w^\top$",
        }
    return {"adapted": "B w_i", "factor": r"\bar\Delta", "body": ""}


@claim(
    Verdict.PROVED,
    given=ANY_STEP,
    each=("fo-anil", "fo-maml"),
    words=_residual_words,
    exercises="step",
    rests_on="update-«name»",
    draws=steps_of_any_rank,
    proof=_residual_proof,
    examples=24,
)
def adapted_residual(example: Example, implementation: Implementation, learner: Learner) -> Comparison:
    r"""One inner step of «title» multiplies each task's residual $r_i = Bw - \theta_i$:
    $v_i = «adapted» - \theta_i = «factor»\, r_i$, with $w_i = w - \alpha B^\top r_i$«body» and $\bar\Delta = I - \alpha
    B B^\top$.

    The check makes the learner's whole step from $r_i$ and this factor.
    """
    at, n = step_arrays(example), example["n"]
    R = (at.B @ at.w)[:, None] - at.targets
    W = at.w[:, None] - at.alpha * (at.B.T @ R)
    V = R - at.alpha * (at.B @ (at.B.T @ R))
    grad_w = at.B.T @ V
    if learner.adapts_representation:
        V = V - at.alpha * R * (at.w @ W)
        grad_w = at.B.T @ V - at.alpha * at.w[:, None] * (R * V).sum(0)
    predicted = (at.B - at.beta * (V @ W.T) / n, at.w - at.beta * grad_w.sum(-1) / n)
    why = f"{learner.name}'s step minus the one made from r_i by the stated factor, largest entry"
    return same_step(implementation, learner, at, predicted, why, 2 * ROUNDINGS_PER_WORD)
