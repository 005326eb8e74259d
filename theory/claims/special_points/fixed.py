"""Points that a step does not leave: the truth, the origin, and those where one inner step solves every task."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import strategies as st

from metarep.sim.implementations import Implementation
from metarep.sim.learners import LEARNERS, META_LEARNERS, Learner
from metarep.theory.calculus import alphabet as a
from metarep.theory.calculus.expressions import to_words
from metarep.theory.calculus.proofs import Proof
from metarep.theory.calculus.words import Poly, zero
from metarep.theory.claims.comparing import ROUNDINGS_PER_WORD, same_step, supported
from metarep.theory.claims.record import Comparison, Example, Verdict
from metarep.theory.claims.special_points import claim
from metarep.theory.claims.strategies import (
    Entries,
    Numbers,
    StepArrays,
    array,
    arrays_at,
    ratios,
    reflected_identity,
    step_arrays,
    steps_of_any_rank,
)
from metarep.theory.dynamics.derive import stated_program, task_gradients
from metarep.theory.dynamics.structure import PERPENDICULAR, TRUTH

ANILS, MAMLS = ("anil", "fo-anil"), ("maml", "fo-maml")

ROUNDINGS_AT_TRUTH = 4 * ROUNDINGS_PER_WORD
"""αMMᵀ = I (or αBᵀB = I) holds to about ten roundings and is used up to four times in a word, over its own."""

Pair = tuple[np.ndarray, np.ndarray]
"""(B⁺, w⁺)."""


def special(names: tuple[str, ...], **known: Any) -> Callable:
    """``claim`` for a proved statement about a step of the learners of these names, checked on each."""
    updates = [f"update-{name}" for name in names]
    return claim(Verdict.PROVED, learners=names, exercises="step", rests_on=updates, examples=24, **known)


AT_REST = "at a fixed point there is no step to shorten"
"""Why a learner that does less does not fail a claim about one."""


def as_predicted(
    implementation: Implementation,
    names: tuple[str, ...],
    at: StepArrays,
    predict: Callable[[Learner, StepArrays], Pair],
    why: str,
) -> Iterator[Comparison]:
    """The implementation's step against a predicted one, for each learner."""
    for learner in supported(implementation, names):
        why_here = f"{learner.name}: {why}, largest entry"
        yield same_step(implementation, learner, at, predict(learner, at), why_here, ROUNDINGS_AT_TRUTH)


def _stays(learner: Learner, at: StepArrays) -> Pair:
    return at.B, at.w


def without_head(at: StepArrays) -> StepArrays:
    """The same point with w = 0."""
    return replace(at, w=0 * at.w)


# --- the truth and other fixed points


@st.composite
def truths(draw: st.DrawFn, numbers: Numbers) -> Example:
    """B = B_*M with αMMᵀ = I, exactly so for fractions: α = 1/q², M = q·(first s rows of an orthogonal k×k), k ≥ s."""
    made = Entries(draw, numbers)
    k = made.k()
    s = draw(st.integers(max(1, k - 1), k))
    d = made.d(k)
    n = made.n()
    return {
        "d": d,
        "k": k,
        "s": s,
        "n": n,
        "q": made.number(0.5, 2.0, power=1),
        "ratio": draw(ratios(numbers)),
        "w": made.vector(k, power=1),
        "heads": made.heads(s, n, power=2),
        "frame": made.reflections(d),
        "turn": made.reflections(k),
    }


def truth_arrays(example: Example) -> StepArrays:
    """Turn a ``truths`` example into arrays; α = 1/q², β = ratio·α."""
    frame, s, q = reflected_identity(example["frame"]), example["s"], example["q"]
    M = q * reflected_identity(example["turn"])[:s]
    alpha = 1 / (q * q)
    return arrays_at(example, frame, s, frame[:, :s] @ M, alpha, example["ratio"] * alpha)


AT_THE_TRUTH = (
    r"$B = B_* M$ with $\alpha M M^\top = I$, any orthonormal $B_*$ of rank $s \le k$, any tasks, $\alpha$, $\beta$"
)


def gradients_at_truth(learner: Learner, head: Poly) -> tuple[Poly, Poly]:
    """(∇_B, ∇_w) of one task at B = B_*M with αMMᵀ = I, M s×k, and the given head."""
    at = {"B": a.B_star * a.M, "w": head, **TRUTH}
    grad_B, grad_w = (g.substitute(at).rewrite((*PERPENDICULAR, a.AT_TRUTH)) for g in task_gradients(learner))
    return grad_B, grad_w


def prove_fixed(proof: Proof, names: tuple[str, ...], head: Poly, said: str = "") -> None:
    """The gradients of the learners of these names vanish at the truth with this head."""
    for name in names:
        grad_B, grad_w = task_gradients(LEARNERS[name])
        proof.expanded(f"∇_B of {name}", grad_B)
        proof.expanded(f"∇_w of {name}", grad_w)
        left_B, left_w = gradients_at_truth(LEARNERS[name], head)
        proof.substituted(f"B = B_*M, θ_i = B_*w_{{*,i}}{said}, and use B_*ᵀB_* = I, αMMᵀ = I: ∇_B", left_B)
        proof.substituted(f"B = B_*M, θ_i = B_*w_{{*,i}}{said}, and use B_*ᵀB_* = I, αMMᵀ = I: ∇_w", left_w)
        proof.vanishes(f"∇_B of {name} and 0", left_B)
        proof.vanishes(f"∇_w of {name} and 0", left_w)


@special(
    ANILS,
    given=AT_THE_TRUTH + "; any $w$",
    draws=truths,
    proof=lambda proof: prove_fixed(proof, ANILS, a.w),
    at_any_pace=AT_REST,
)
def fixed_points_anil(example: Example, implementation: Implementation) -> Iterator[Comparison]:
    r"""At the truth, $B = B_* M$ with $\alpha M M^\top = I$, both ANILs stay where they are, whatever the head $w$ and
    the tasks.

    One inner step solves every task there. Holds for a learner wider than the truth too ($M$ is $s \times k$ with $k
    \ge s$).
    """
    yield from as_predicted(implementation, ANILS, truth_arrays(example), _stays, "step − start at the truth")


@special(
    MAMLS,
    given=AT_THE_TRUTH + "; $w = 0$",
    draws=truths,
    proof=lambda proof: prove_fixed(proof, MAMLS, zero("k", "1"), ", w = 0"),
    at_any_pace=AT_REST,
)
def fixed_points_maml(example: Example, implementation: Implementation) -> Iterator[Comparison]:
    r"""At the truth, $B = B_* M$ with $\alpha M M^\top = I$, both MAMLs stay where they are if $w = 0$, whatever the
    tasks.

    With $w \ne 0$ it is not a fixed point of FO-MAML in general: see truth-with-head-fo-maml.
    """
    at = without_head(truth_arrays(example))
    yield from as_predicted(implementation, MAMLS, at, _stays, "step − start at the truth with w = 0")


def _truth_with_head_proof(proof: Proof) -> None:
    grad_B, grad_w = gradients_at_truth(LEARNERS["fo-maml"], a.w)
    rules = (*PERPENDICULAR, a.AT_TRUTH)
    residual = a.B_star * (a.M * a.w - a.w_star)
    head = a.w - (a.M.T * a.B_star.T * residual).scaled(alpha=1)
    shrink = (a.w.T * head).scaled(-1, alpha=1)
    proof.substituted("B = B_*M, θ_i = B_*w_{*,i}, and use B_*ᵀB_* = I, αMMᵀ = I: ∇_B", grad_B)
    proof.equal("∇_B and −α(wᵀw_i) r_iw_iᵀ", grad_B, (shrink * (residual * head.T)).rewrite(rules))
    body = a.B_star * a.M - (residual * a.w.T).scaled(alpha=1)
    proof.equal("∇_w and −α(wᵀw_i) B_iᵀr_i", grad_w, (shrink * (body.T * residual)).rewrite(rules))
    proof.fact("words remain, so the truth with w ≠ 0 is not a fixed point for every task", bool(grad_B))


def _truth_with_head(learner: Learner, at: StepArrays) -> Pair:
    n = at.heads.shape[-1]
    R = (at.B @ at.w)[:, None] - at.targets
    W = at.w[:, None] - at.alpha * (at.B.T @ R)
    shrink = -at.alpha * (at.w @ W)  # v_i = −α(wᵀw_i) r_i
    grad_B = (R * shrink) @ W.T / n
    BtR = at.B.T @ R - at.alpha * at.w[:, None] * (R * R).sum(0)
    return at.B - at.beta * grad_B, at.w - at.beta * (BtR * shrink).sum(-1) / n


@special(("fo-maml",), given=AT_THE_TRUTH + "; any $w$", draws=truths, proof=_truth_with_head_proof)
def truth_with_head_fo_maml(example: Example, implementation: Implementation) -> Iterator[Comparison]:
    r"""At the truth with a head $w \ne 0$ FO-MAML moves: with $r_i = Bw - \theta_i$, $w_i = w - \alpha B^\top r_i$ and
    $B_i = B - \alpha r_i w^\top$ its gradients are the averages of $-\alpha (w^\top w_i) r_i w_i^\top$ and $-\alpha
    (w^\top w_i) B_i^\top r_i$.
    """
    why = "step at the truth minus the predicted one"
    yield from as_predicted(implementation, ("fo-maml",), truth_arrays(example), _truth_with_head, why)


@st.composite
def zero_loss_points(draw: st.DrawFn, numbers: Numbers) -> Example:
    """B = b·(orthonormal columns), w_1 ≠ 0: each task has either r_i = 0 or the residual, along the first column, that
    one MAML inner step removes.
    """
    made = Entries(draw, numbers)
    k = made.k()
    d = made.d(k)
    n = made.n()
    alpha, beta = made.step_sizes()
    return {
        "d": d,
        "k": k,
        "n": n,
        "alpha": alpha,
        "beta": beta,
        "b": made.number(0.5, 2.0, power=1),
        "w": [made.number(0.5, 2.0, power=1), *made.vector(k - 1, power=1)],
        "solved": draw(st.lists(st.booleans(), min_size=n, max_size=n)),
        "frame": made.reflections(d),
    }


def zero_loss_arrays(example: Example) -> StepArrays:
    """Turn a ``zero_loss_points`` example into arrays."""
    frame, k = reflected_identity(example["frame"]), example["k"]
    alpha, b, w = example["alpha"], example["b"], array(example["w"])
    # v_i = (1 − αb² − αwᵀw_i) r_i with w_i = w − αb(r_i's coordinates) vanishes for r_i = 0, or for αwᵀw_i = 1 − αb².
    residual = (w @ w - (1 - alpha * b * b) / alpha) / (alpha * b * w[0])
    left = array(
        [[0 * residual if solved else residual for solved in example["solved"]], *[[0 * b] * example["n"]] * (k - 1)]
    )
    heads = b * w[:, None] - left
    return StepArrays(b * frame[:, :k], w, heads, frame[:, :k], frame[:, k:], alpha, example["beta"])


def _zero_loss_proof(proof: Proof) -> None:
    for name in META_LEARNERS:
        program = stated_program(LEARNERS[name])
        known: dict[str, Poly] = {}
        for letter, expression in program.definitions:
            known[letter] = zero("d", "1") if letter == "v_i" else to_words(expression, known)
        for what, grad in (("∇_B", program.grad_B), ("∇_w", program.grad_w)):
            left = proof.substituted(f"v_i = 0 into the stated {what} of {name}", to_words(grad, known))
            proof.vanishes(f"{what} of {name} and 0", left)


@special(MAMLS, draws=zero_loss_points, proof=_zero_loss_proof, at_any_pace=AT_REST)
def zero_loss_fixed(example: Example, implementation: Implementation) -> Iterator[Comparison]:
    r"""Where one inner step solves every task ($v_i = 0$ for all $i$) no meta-learner moves.

    Given: $v_i = 0$ for all $i$; examples for the MAMLs: $B^\top B = b^2 I$, $w \ne 0$, tasks with $r_i = 0$ or with
    $\alpha w^\top w_i = 1 - \alpha b^2$

    For the MAMLs such points need neither $\alpha B^\top B = I$ nor $w = 0$, as the examples show. The ANILs' zero-loss
    points are instances of fixed-points-anil.
    """
    why = "step − start where all adapted losses are zero"
    yield from as_predicted(implementation, MAMLS, zero_loss_arrays(example), _stays, why)


def _origin_proof(proof: Proof) -> None:
    for name, learner in LEARNERS.items():
        for what, grad in zip(("∇_B", "∇_w"), task_gradients(learner), strict=True):
            at_origin = grad.substitute({"B": zero("d", "k"), "w": zero("k", "1")})
            proof.substituted(f"B = 0, w = 0 into {what} of {name}", at_origin)
            proof.vanishes(f"{what} of {name} and 0", at_origin)


@special(tuple(LEARNERS), draws=steps_of_any_rank, proof=_origin_proof, at_any_pace=AT_REST, any_inner_steps=True)
def fixed_point_origin(example: Example, implementation: Implementation) -> Iterator[Comparison]:
    r"""$B = 0$, $w = 0$ is a fixed point of every learner, whatever the tasks.

    Given: any tasks, $\alpha$, $\beta$

    So a start must be somewhere else.
    """
    at = without_head(step_arrays(example))
    at = replace(at, B=0 * at.B)
    yield from as_predicted(implementation, tuple(LEARNERS), at, _stays, "step from B = 0, w = 0")
