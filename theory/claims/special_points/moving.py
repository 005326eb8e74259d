"""Points that a step leaves in a way that can be told: zero heads and balanced representations; and average loss."""

from collections.abc import Iterator

import numpy as np
from hypothesis import strategies as st

from metarep.sim.implementations import Implementation
from metarep.sim.learners import LEARNERS, Learner
from metarep.theory.calculus import alphabet as a
from metarep.theory.calculus.proofs import Proof
from metarep.theory.calculus.words import Poly, zero
from metarep.theory.claims.comparing import ROUNDINGS_PER_WORD, same, same_step, step_scale
from metarep.theory.claims.record import Comparison, Example, own
from metarep.theory.claims.special_points.fixed import ANILS, MAMLS, Pair, as_predicted, special, without_head
from metarep.theory.claims.strategies import (
    ANY_STEP,
    Entries,
    Numbers,
    StepArrays,
    arrays_at,
    ratios,
    reflected_identity,
    step_arrays,
    steps_of_any_rank,
)
from metarep.theory.dynamics.derive import task_gradients

AVERAGE = LEARNERS["average-loss"]


# --- zero heads


def _without_head(proof: Proof, which: int, *names: str) -> list[Poly]:
    """∇_B (``which`` 0) or ∇_w (1) of the learners of these names at w = 0."""
    what = ("∇_B", "∇_w")[which]
    found = {name: task_gradients(LEARNERS[name])[which].substitute({"w": zero("k", "1")}) for name in names}
    return [proof.substituted(f"w = 0 into {what} of {name}", grad) for name, grad in found.items()]


def _zero_head(example: Example, implementation: Implementation, maml: str, anil: str) -> Comparison:
    at = without_head(step_arrays(example))
    B, w = at.stepped(implementation, LEARNERS[anil])
    if maml == "maml":
        W = at.alpha * (at.B.T @ at.targets)
        V = at.B @ W - at.targets
        w = w - at.beta * at.alpha * (W * (at.targets * V).sum(0)).sum(-1) / at.heads.shape[-1]
    why = f"{maml}'s step minus {anil}'s at w = 0, largest entry"
    return same_step(implementation, LEARNERS[maml], at, (B, w), why, 2 * ROUNDINGS_PER_WORD)


def _zero_head_fo_proof(proof: Proof) -> None:
    proof.equal("∇_B of both", *_without_head(proof, 0, "fo-maml", "fo-anil"))
    proof.equal("∇_w of both", *_without_head(proof, 1, "fo-maml", "fo-anil"))


@special(
    ("fo-maml", "fo-anil"),
    given=ANY_STEP + "; $w = 0$",
    draws=steps_of_any_rank,
    proof=_zero_head_fo_proof,
    at_any_pace="it compares the steps of two learners, whatever they are",
)
def zero_head_fo(example: Example, implementation: Implementation) -> Comparison:
    r"""At $w = 0$ FO-MAML and FO-ANIL take the same step.

    With a zero head the inner step does not move the representation.
    """
    return _zero_head(example, implementation, "fo-maml", "fo-anil")


def _zero_head_exact_proof(proof: Proof) -> None:
    of_B = _without_head(proof, 0, "maml", "anil")
    maml_w, anil_w = _without_head(proof, 1, "maml", "anil")
    proof.equal("∇_B of both", *of_B)
    head = (a.B.T * a.theta).scaled(alpha=1)
    after = a.B * head - a.theta
    extra = proof.expanded(
        "α(θ_iᵀv_i) w_i with w_i = αBᵀθ_i, v_i = Bw_i − θ_i", (a.theta.T * after * head).scaled(alpha=1)
    )
    proof.equal("∇_w of maml and ∇_w of anil + α(θ_iᵀv_i) w_i", maml_w, anil_w + extra)
    proof.fact("that term is not zero", bool(extra))


@special(("maml", "anil"), given=ANY_STEP + "; $w = 0$", draws=steps_of_any_rank, proof=_zero_head_exact_proof)
def zero_head_exact(example: Example, implementation: Implementation) -> Comparison:
    r"""At $w = 0$ Exact MAML and Exact ANIL have the same $\nabla_B$, but $\nabla_w$ of Exact MAML has the average of
    $\alpha (\theta_i^\top v_i) w_i$ besides, with $w_i = \alpha B^\top \theta_i$ and $v_i = B w_i - \theta_i$.

    The extra term is the derivative of the adapted representation.
    """
    return _zero_head(example, implementation, "maml", "anil")


# --- balanced representations


@st.composite
def balanced_points(draw: st.DrawFn, numbers: Numbers) -> Example:
    """αBᵀB = I, exactly so for fractions: α = 1/q², B = q·(first k columns of an orthogonal d×d); any B_*, heads, w."""
    made = Entries(draw, numbers)
    k = made.k()
    d = made.d(k + 1)
    n = made.n()
    return {
        "d": d,
        "k": k,
        "n": n,
        "q": made.number(0.5, 2.0, power=1),
        "ratio": draw(ratios(numbers)),
        "start": made.reflections(d),
        "w": made.vector(k, power=1),
        "heads": made.heads(k, n, power=2),
        "frame": made.reflections(d),
    }


def balanced_arrays(example: Example) -> StepArrays:
    """Turn a ``balanced_points`` example into arrays; α = 1/q², β = ratio·α."""
    k, q = example["k"], example["q"]
    B = q * reflected_identity(example["start"])[:, :k]
    alpha = 1 / (q * q)
    return arrays_at(example, reflected_identity(example["frame"]), k, B, alpha, example["ratio"] * alpha)


def _balanced_proof(proof: Proof, names: tuple[str, ...], head: Poly, said: str = "") -> None:
    off = a.theta - (a.B * a.B.T * a.theta).scaled(alpha=1)
    grad_B = (off * a.theta.T * a.B).scaled(-1, alpha=1)
    for name in names:
        found = [g.substitute({"w": head}) for g in task_gradients(LEARNERS[name])]
        found = [proof.rewritten(g, f"αBᵀB = I in a gradient of {name}{said}", a.BALANCED) for g in found]
        proof.equal(f"∇_B of {name} and −α(I − αBBᵀ)θ_iθ_iᵀB", found[0], grad_B)
        if name == "maml":
            pulled = (a.theta.T * off * (a.B.T * a.theta)).scaled(-1, alpha=2)
            proof.equal("∇_w of maml and −α²(θ_iᵀ(I − αBBᵀ)θ_i) Bᵀθ_i", found[1], pulled)
        else:
            proof.vanishes(f"∇_w of {name} and 0", found[1])


def _balanced_step(learner: Learner, at: StepArrays) -> Pair:
    n = at.heads.shape[-1]
    second = at.heads @ at.heads.T / n
    pulled = at.B_star @ (second @ (at.B_star.T @ at.B))
    B = at.B + at.alpha * at.beta * (pulled - at.alpha * (at.B @ (at.B.T @ pulled)))
    if learner.name != "maml":
        return B, at.w
    overlap = at.B.T @ at.targets
    off = (at.targets * at.targets).sum(0) - at.alpha * (overlap * overlap).sum(0)
    return B, at.w + at.alpha * at.alpha * at.beta * (overlap * off).sum(-1) / n


@special(
    ANILS,
    source=own(about="theorem-1"),
    draws=balanced_points,
    proof=lambda proof: _balanced_proof(proof, ANILS, a.w),
)
def balanced_anil(example: Example, implementation: Implementation) -> Iterator[Comparison]:
    r"""At a balanced representation, $\alpha B^\top B = I$, both ANILs take the same step, $B^+ = B + \alpha\beta
    (I - \alpha B B^\top) B_* \Psi_* B_*^\top B$ and $w^+ = w$, in which the head plays no part.

    Given: $\alpha B^\top B = I$, any $w$, heads, orthonormal $B_*$, $d > k$, $\alpha$, $\beta$

    It is a step of Oja's subspace rule for $B_* \Psi_* B_*^\top$.
    """
    yield from as_predicted(implementation, ANILS, balanced_arrays(example), _balanced_step, "step minus Oja's")


@special(
    MAMLS,
    source=own(about="theorem-maml"),
    draws=balanced_points,
    proof=lambda proof: _balanced_proof(proof, MAMLS, zero("k", "1"), ", w = 0"),
)
def balanced_maml(example: Example, implementation: Implementation) -> Iterator[Comparison]:
    r"""From the paper's start, $\alpha B_0^\top B_0 = I$ and $w_0 = 0$, both MAMLs move the representation as the ANILs
    do, $B^+ = B + \alpha\beta (I - \alpha B B^\top) B_* \Psi_* B_*^\top B$; FO-MAML's head stays zero, Exact MAML's
    becomes the average of $\alpha^2 \beta (\theta_i^\top (I - \alpha B B^\top) \theta_i) B^\top \theta_i$.

    Given: $\alpha B^\top B = I$, $w = 0$, any heads, orthonormal $B_*$, $d > k$, $\alpha$, $\beta$

    So the first step is the same for all four; the second is not, because one step leaves $\alpha B^\top B = I$.
    """
    at = without_head(balanced_arrays(example))
    yield from as_predicted(implementation, MAMLS, at, _balanced_step, "step minus the predicted one")


# --- average loss


def _average_gradients(proof: Proof) -> tuple[Poly, Poly]:
    grads = task_gradients(AVERAGE)
    proof.fact("θ_i stands at most once in a word, so its average is θ̄", all(g.degree("theta_i") == 1 for g in grads))
    grad_B, grad_w = (g.substitute({"theta_i": a.theta_bar}) for g in grads)
    proof.substituted("θ̄ for the average of θ_i in ∇_B", grad_B)
    proof.substituted("θ̄ for the average of θ_i in ∇_w", grad_w)
    return grad_B, grad_w


def _one_target_proof(proof: Proof) -> None:
    grad_B, grad_w = _average_gradients(proof)
    residual = a.B * a.w - a.theta_bar
    proof.equal("∇_B and (Bw − θ̄)wᵀ", grad_B, residual * a.w.T)
    proof.equal("∇_w and Bᵀ(Bw − θ̄)", grad_w, a.B.T * residual)


ABOUT_AVERAGE = {"source": own(about="average-loss"), "given": ANY_STEP, "draws": steps_of_any_rank}


@special(
    ("average-loss",),
    **ABOUT_AVERAGE,
    proof=_one_target_proof,
    at_any_pace="it compares steps on two sets of tasks, whatever they are",
)
def average_loss_one_target(example: Example, implementation: Implementation) -> Comparison:
    r"""Average loss sees one task only, the mean target $\bar\theta$: its step on any tasks is its step on that one,
    with $\nabla_B = (Bw - \bar\theta) w^\top$ and $\nabla_w = B^\top (Bw - \bar\theta)$.
    """
    at = step_arrays(example)
    mean = at.targets.sum(-1, keepdims=True) / at.heads.shape[-1]
    one = implementation.step(AVERAGE, at.B, at.w, mean, at.alpha, at.beta)
    why = "average loss: step on the tasks minus step on their mean target alone, largest entry"
    return same_step(implementation, AVERAGE, at, one, why)


def _drift_proof(proof: Proof) -> None:
    grad_B, grad_w = _average_gradients(proof)
    B, w = a.B - grad_B.scaled(beta=1), a.w - grad_w.scaled(beta=1)
    drift = proof.expanded("(B⁺ᵀB⁺ − w⁺w⁺ᵀ) − (BᵀB − wwᵀ)", B.T * B - w * w.T - a.B.T * a.B + a.w * a.w.T)
    residual = a.B * a.w - a.theta_bar
    pulled = a.B.T * residual
    stated = (residual.T * residual * (a.w * a.w.T) - pulled * pulled.T).scaled(beta=2)
    proof.expanded("β²(‖r‖²wwᵀ − Bᵀr rᵀB), r = Bw − θ̄", stated)
    proof.equal("the drift and β²(‖r‖²wwᵀ − Bᵀr rᵀB)", drift, stated)


@special(("average-loss",), **ABOUT_AVERAGE, proof=_drift_proof)
def average_loss_drift(example: Example, implementation: Implementation) -> Comparison:
    r"""Under average loss $B^\top B - w w^\top$ changes in a step by exactly $\beta^2 (\|r\|^2 w w^\top - B^\top r
    r^\top B)$ with $r = Bw - \bar\theta$.

    So gradient flow conserves $B^\top B - w w^\top$: the change is of second order in $\beta$.
    """
    at = step_arrays(example)
    B, w = at.stepped(implementation, AVERAGE)
    r = at.B @ at.w - at.targets.sum(-1) / at.heads.shape[-1]
    pulled = at.B.T @ r
    # Gram matrices of d rows (and of w) whose entries the step's scale bounds; an error of B⁺ enters twice.
    scale = 2 * (example["d"] + 1) * step_scale(AVERAGE, at) ** 2
    return same(
        B.T @ B - np.outer(w, w) - at.B.T @ at.B + np.outer(at.w, at.w),
        at.beta * at.beta * ((r @ r) * np.outer(at.w, at.w) - np.outer(pulled, pulled)),
        scale,
        implementation.eps,
        "drift of BᵀB − wwᵀ in a step minus the stated one, largest entry",
        objects=at.objects,
    )
