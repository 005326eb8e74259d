"""Claims about special points: the truth and other fixed points, zero heads, balanced starts, and average loss."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from hypothesis import strategies as st

from metarep.sim.implementations import Implementation
from metarep.sim.learners import LEARNERS, META_LEARNERS, Learner
from metarep.theory.calculus import alphabet as a
from metarep.theory.calculus.expressions import to_words
from metarep.theory.calculus.proofs import Proof
from metarep.theory.calculus.words import SCALARS, Poly, Rule, zero
from metarep.theory.claims.comparing import (
    ROUNDINGS_PER_WORD,
    most_strained,
    run_together,
    same,
    step_scale,
    supported,
)
from metarep.theory.claims.record import Check, Claim, Comparison, Example, Verdict, own
from metarep.theory.claims.strategies import (
    ANY_STEP,
    Numbers,
    StepArrays,
    array,
    floats,
    fractions,
    matrix,
    outer_steps,
    reflected_identity,
    reflections,
    step_arrays,
    vector,
)
from metarep.theory.dynamics.derive import stated_program, task_gradients
from metarep.theory.dynamics.structure import PERPENDICULAR, TRUTH

CHAPTER = "Special points"
ANILS, MAMLS = ("anil", "fo-anil"), ("maml", "fo-maml")

_OVER_ALPHA = tuple(-1 if name == "alpha" else 0 for name in SCALARS)
AT_TRUTH = Rule("M", "M'", "", _OVER_ALPHA)
"""αMMᵀ = I."""
BALANCED = Rule("B'", "B", "", _OVER_ALPHA)
"""αBᵀB = I."""

ROUNDINGS_AT_TRUTH = 4 * ROUNDINGS_PER_WORD
"""αMMᵀ = I (or αBᵀB = I) holds to about ten roundings and is used up to four times in a word, over its own."""


# ------------------------------------------------------------------------------------------- hypotheses


@st.composite
def truths(draw: st.DrawFn, numbers: Numbers) -> Example:
    """B = B_*M with αMMᵀ = I, exactly so for fractions: α = 1/q², M = q·(first s rows of an orthogonal k×k), k ≥ s."""
    s = draw(st.integers(1, 2))
    k = draw(st.integers(s, s + 1))
    d = draw(st.integers(k, k + 2))
    n = draw(st.integers(2, 4))
    q, ratio = draw(numbers(0.5, 2.0)), draw(st.one_of(numbers(0.25, 0.75), numbers(1.25, 2.0)))
    return {
        "d": d,
        "k": k,
        "s": s,
        "n": n,
        "q": q,
        "ratio": ratio,
        "w": draw(vector(numbers, k)),
        "heads": draw(matrix(numbers, s, n)),
        "frame": draw(reflections(numbers, d)),
        "turn": draw(reflections(numbers, k)),
    }


def truth_arrays(instance: Example) -> StepArrays:
    """Turn a ``truths`` instance into arrays; α = 1/q², β = ratio·α."""
    frame, s, q = reflected_identity(instance["frame"]), instance["s"], instance["q"]
    M = q * reflected_identity(instance["turn"])[:s]
    alpha = 1 / (q * q)
    return StepArrays(
        frame[:, :s] @ M,
        array(instance["w"]),
        array(instance["heads"]),
        frame[:, :s],
        frame[:, s:],
        alpha,
        instance["ratio"] * alpha,
    )


@st.composite
def balanced_points(draw: st.DrawFn, numbers: Numbers) -> Example:
    """αBᵀB = I, exactly so for fractions: α = 1/q², B = q·(first k columns of an orthogonal d×d); any B_*, heads, w."""
    k = draw(st.integers(1, 2))
    d = draw(st.integers(k + 1, 4))
    n = draw(st.integers(2, 4))
    q, ratio = draw(numbers(0.5, 2.0)), draw(st.one_of(numbers(0.25, 0.75), numbers(1.25, 2.0)))
    return {
        "d": d,
        "k": k,
        "n": n,
        "q": q,
        "ratio": ratio,
        "start": draw(reflections(numbers, d)),
        "w": draw(vector(numbers, k)),
        "heads": draw(matrix(numbers, k, n)),
        "frame": draw(reflections(numbers, d)),
    }


def balanced_arrays(instance: Example) -> StepArrays:
    """Turn a ``balanced_points`` instance into arrays; α = 1/q², β = ratio·α."""
    frame, k, q = reflected_identity(instance["frame"]), instance["k"], instance["q"]
    alpha = 1 / (q * q)
    return StepArrays(
        q * reflected_identity(instance["start"])[:, :k],
        array(instance["w"]),
        array(instance["heads"]),
        frame[:, :k],
        frame[:, k:],
        alpha,
        instance["ratio"] * alpha,
    )


Read = Callable[[Example], StepArrays]
Predict = Callable[[Learner, StepArrays], tuple[np.ndarray, np.ndarray]]


def predicted_check(
    names: tuple[str, ...], read: Read, predict: Predict, why: str, *, zero_head: bool = False
) -> Check:
    """The implementation's step against a predicted one, for each learner; ``zero_head`` sets w to zero first."""

    def check(instance: Example, implementation: Implementation) -> Comparison:
        at = read(instance)
        if zero_head:
            at = replace(at, w=0 * at.w)
        found = []
        for learner in supported(implementation, names):
            stepped = implementation.step(learner, at.B, at.w, at.targets, at.alpha, at.beta)
            found.append(
                same(
                    run_together(*stepped),
                    run_together(*predict(learner, at)),
                    step_scale(learner, at),
                    implementation.eps,
                    f"{learner.name}: {why}, largest entry",
                    ROUNDINGS_AT_TRUTH,
                )
            )
        return most_strained(found)

    return check


def _claim(
    id_: str,
    names: tuple[str, ...],
    statement: str,
    hypotheses: str,
    proof: Callable[[], Proof],
    instances: Callable[[Numbers], st.SearchStrategy[Example]],
    check: Check,
    remark: str = "",
) -> Claim:
    return Claim(
        id=id_,
        chapter=CHAPTER,
        statement=statement,
        source=own(),
        hypotheses=hypotheses,
        expected=Verdict.PROVED,
        learners=names,
        exercises=frozenset({"step"}),
        rests_on=tuple(f"update-{name}" for name in names),
        proof=proof,
        floats=lambda: instances(floats),
        fractions=lambda: instances(fractions),
        check=check,
        examples=24,
        remark=remark,
    )


# ------------------------------------------------------------------------------------------------------- fixed points


def gradients_at_truth(learner: Learner, head: Poly) -> tuple[Poly, Poly]:
    """(∇_B, ∇_w) of one task at B = B_*M with αMMᵀ = I, M s×k, and the given head."""
    at = {"B": a.B_star * a.M, "w": head, **TRUTH}
    grad_B, grad_w = (g.substitute(at).rewrite((*PERPENDICULAR, AT_TRUTH)) for g in task_gradients(learner))
    return grad_B, grad_w


def _fixed_point_proof(names: tuple[str, ...], head: Poly, said: str) -> Proof:
    proof = Proof()
    for name in names:
        grad_B, grad_w = task_gradients(LEARNERS[name])
        proof.expanded(f"∇_B of {name}", grad_B)
        proof.expanded(f"∇_w of {name}", grad_w)
        left_B, left_w = gradients_at_truth(LEARNERS[name], head)
        proof.substituted(f"B = B_*M, θ_i = B_*w_{{*,i}}{said}, and use B_*ᵀB_* = I, αMMᵀ = I: ∇_B", left_B)
        proof.substituted(f"B = B_*M, θ_i = B_*w_{{*,i}}{said}, and use B_*ᵀB_* = I, αMMᵀ = I: ∇_w", left_w)
        proof.vanishes(f"∇_B of {name} and 0", left_B)
        proof.vanishes(f"∇_w of {name} and 0", left_w)
    return proof


TRUTH_HYPOTHESES = (
    r"$B = B_* M$ with $\alpha M M^\top = I$, any orthonormal $B_*$ of rank $s \le k$, any tasks, $\alpha \ne \beta$"
)


def _stays(learner: Learner, at: StepArrays) -> tuple[np.ndarray, np.ndarray]:
    return at.B, at.w


FIXED_ANIL = _claim(
    "fixed-points-anil",
    ANILS,
    r"At the truth, $B = B_* M$ with $\alpha M M^\top = I$, both ANILs stay where they are, whatever the head $w$ and "
    r"the tasks.",
    TRUTH_HYPOTHESES + "; any $w$",
    lambda: _fixed_point_proof(ANILS, a.w, ""),
    truths,
    predicted_check(ANILS, truth_arrays, _stays, "step − start at the truth"),
    "One inner step solves every task there. "
    "Holds for a learner wider than the truth too ($M$ is $s \\times k$ with $k \\ge s$).",
)

FIXED_MAML = _claim(
    "fixed-points-maml",
    MAMLS,
    r"At the truth, $B = B_* M$ with $\alpha M M^\top = I$, both MAMLs stay where they are if $w = 0$, "
    r"whatever the tasks.",
    TRUTH_HYPOTHESES + "; $w = 0$",
    lambda: _fixed_point_proof(MAMLS, zero("k", "1"), ", w = 0"),
    truths,
    predicted_check(MAMLS, truth_arrays, _stays, "step − start at the truth with w = 0", zero_head=True),
    "With $w \\ne 0$ it is not a fixed point of FO-MAML in general: see truth-with-head-fo-maml.",
)


def _truth_with_head_proof() -> Proof:
    proof = Proof()
    grad_B, grad_w = gradients_at_truth(LEARNERS["fo-maml"], a.w)
    rules = (*PERPENDICULAR, AT_TRUTH)
    residual = a.B_star * (a.M * a.w - a.w_star)
    head = a.w - (a.M.T * a.B_star.T * residual).scaled(alpha=1)
    shrink = (a.w.T * head).scaled(-1, alpha=1)
    proof.substituted("B = B_*M, θ_i = B_*w_{*,i}, and use B_*ᵀB_* = I, αMMᵀ = I: ∇_B", grad_B)
    proof.equal("∇_B and −α(wᵀw_i) r_iw_iᵀ", grad_B, (shrink * (residual * head.T)).rewrite(rules))
    body = a.B_star * a.M - (residual * a.w.T).scaled(alpha=1)
    proof.equal("∇_w and −α(wᵀw_i) B_iᵀr_i", grad_w, (shrink * (body.T * residual)).rewrite(rules))
    proof.fact("words remain, so the truth with w ≠ 0 is not a fixed point for every task", bool(grad_B))
    return proof


def _truth_with_head(learner: Learner, at: StepArrays) -> tuple[np.ndarray, np.ndarray]:
    n = at.heads.shape[-1]
    R = (at.B @ at.w)[:, None] - at.targets
    W = at.w[:, None] - at.alpha * (at.B.T @ R)
    shrink = -at.alpha * (at.w @ W)  # v_i = −α(wᵀw_i) r_i
    grad_B = (R * shrink) @ W.T / n
    BtR = at.B.T @ R - at.alpha * at.w[:, None] * (R * R).sum(0)
    return at.B - at.beta * grad_B, at.w - at.beta * (BtR * shrink).sum(-1) / n


TRUTH_WITH_HEAD = _claim(
    "truth-with-head-fo-maml",
    ("fo-maml",),
    r"At the truth with a head $w \ne 0$ FO-MAML moves: with $r_i = Bw - \theta_i$, $w_i = w - \alpha B^\top r_i$ and "
    r"$B_i = B - \alpha r_i w^\top$ its gradients are the averages of $-\alpha (w^\top w_i) r_i w_i^\top$ and "
    r"$-\alpha (w^\top w_i) B_i^\top r_i$.",
    TRUTH_HYPOTHESES + "; any $w$",
    _truth_with_head_proof,
    truths,
    predicted_check(("fo-maml",), truth_arrays, _truth_with_head, "step at the truth minus the predicted one"),
)


def _origin_proof() -> Proof:
    proof = Proof()
    for name, learner in LEARNERS.items():
        for what, grad in zip(("∇_B", "∇_w"), task_gradients(learner), strict=True):
            at_origin = grad.substitute({"B": zero("d", "k"), "w": zero("k", "1")})
            proof.substituted(f"B = 0, w = 0 into {what} of {name}", at_origin)
            proof.vanishes(f"{what} of {name} and 0", at_origin)
    return proof


def _origin_arrays(instance: Example) -> StepArrays:
    at = step_arrays(instance)
    return replace(at, B=0 * at.B, w=0 * at.w)


ORIGIN = _claim(
    "fixed-point-origin",
    tuple(LEARNERS),
    r"$B = 0$, $w = 0$ is a fixed point of every learner, whatever the tasks.",
    r"any tasks, $\alpha \ne \beta$",
    _origin_proof,
    lambda numbers: outer_steps(numbers, largest_k=2, largest_d=4),
    predicted_check(tuple(LEARNERS), _origin_arrays, _stays, "step from B = 0, w = 0"),
    "So a start must be somewhere else.",
)


def _zero_loss_proof() -> Proof:
    proof = Proof()
    for name in META_LEARNERS:
        program = stated_program(LEARNERS[name])
        known: dict[str, Poly] = {}
        for letter, expression in program.definitions:
            known[letter] = zero("d", "1") if letter == "v_i" else to_words(expression, known)
        for what, grad in (("∇_B", program.grad_B), ("∇_w", program.grad_w)):
            left = proof.substituted(f"v_i = 0 into the stated {what} of {name}", to_words(grad, known))
            proof.vanishes(f"{what} of {name} and 0", left)
    return proof


@st.composite
def zero_loss_points(draw: st.DrawFn, numbers: Numbers) -> Example:
    """k = 1, B = b u, w ≠ 0: each task has either r_i = 0 or the residual that one MAML inner step removes."""
    d = draw(st.integers(1, 3))
    n = draw(st.integers(2, 4))
    alpha, ratio = draw(numbers(0.25, 1.0)), draw(st.one_of(numbers(0.25, 0.75), numbers(1.25, 2.0)))
    return {
        "d": d,
        "n": n,
        "alpha": alpha,
        "beta": alpha * ratio,
        "b": draw(numbers(0.5, 2.0)),
        "w": draw(numbers(0.5, 2.0)),
        "solved": draw(st.lists(st.booleans(), min_size=n, max_size=n)),
        "frame": draw(reflections(numbers, d)),
    }


def _zero_loss_arrays(instance: Example) -> StepArrays:
    frame = reflected_identity(instance["frame"])
    alpha, b, w = instance["alpha"], instance["b"], instance["w"]
    # v_i = (1 − αb² − αw w_i) r_i with w_i = w − αb r_i vanishes for r_i = 0, or for αw w_i = 1 − αb².
    adapted = (1 - alpha * b * b) / (alpha * w)
    residual = (w - adapted) / (alpha * b)
    heads = array([[b * w if solved else b * w - residual for solved in instance["solved"]]])
    u = frame[:, :1]
    return StepArrays(b * u, array([w]), heads, u, frame[:, 1:], alpha, instance["beta"])


ZERO_LOSS = _claim(
    "zero-loss-fixed",
    MAMLS,
    r"Where one inner step solves every task ($v_i = 0$ for all $i$) no meta-learner moves.",
    r"$v_i = 0$ for all $i$; instances for the MAMLs: $k = 1$, $w \ne 0$, any $B \ne 0$, tasks with $r_i = 0$ or with "
    r"$\alpha w w_i = 1 - \alpha B^\top B$",
    _zero_loss_proof,
    zero_loss_points,
    predicted_check(MAMLS, _zero_loss_arrays, _stays, "step − start where all adapted losses are zero"),
    r"For the MAMLs such points need neither $\alpha B^\top B = I$ nor $w = 0$, as the instances show. "
    "The ANILs' zero-loss points are instances of fixed-points-anil.",
)


# ---------------------------------------------------------------------------------------------------- zero heads


def _at_zero_head(name: str) -> tuple[Poly, Poly]:
    grad_B, grad_w = (g.substitute({"w": zero("k", "1")}) for g in task_gradients(LEARNERS[name]))
    return grad_B, grad_w


def _zero_head_fo_proof() -> Proof:
    proof = Proof()
    maml, anil = _at_zero_head("fo-maml"), _at_zero_head("fo-anil")
    for i, what in enumerate(("∇_B", "∇_w")):
        proof.substituted(f"w = 0 into {what} of fo-maml", maml[i])
        proof.substituted(f"w = 0 into {what} of fo-anil", anil[i])
        proof.equal(f"{what} of both", maml[i], anil[i])
    return proof


def _zero_head_exact_proof() -> Proof:
    proof = Proof()
    maml, anil = _at_zero_head("maml"), _at_zero_head("anil")
    for i, what in enumerate(("∇_B", "∇_w")):
        proof.substituted(f"w = 0 into {what} of maml", maml[i])
        proof.substituted(f"w = 0 into {what} of anil", anil[i])
    proof.equal("∇_B of both", maml[0], anil[0])
    head = (a.B.T * a.theta).scaled(alpha=1)
    after = a.B * head - a.theta
    extra = proof.expanded(
        "α(θ_iᵀv_i) w_i with w_i = αBᵀθ_i, v_i = Bw_i − θ_i", (a.theta.T * after * head).scaled(alpha=1)
    )
    proof.equal("∇_w of maml and ∇_w of anil + α(θ_iᵀv_i) w_i", maml[1], anil[1] + extra)
    proof.fact("that term is not zero", bool(extra))
    return proof


def _zero_head_check(maml: str, anil: str) -> Check:
    def check(instance: Example, implementation: Implementation) -> Comparison:
        at = step_arrays(instance)
        at = replace(at, w=0 * at.w)
        left, right = (
            implementation.step(LEARNERS[name], at.B, at.w, at.targets, at.alpha, at.beta) for name in (maml, anil)
        )
        head = right[1]
        if maml == "maml":
            W = at.alpha * (at.B.T @ at.targets)
            V = at.B @ W - at.targets
            head = head - at.beta * at.alpha * (W * (at.targets * V).sum(0)).sum(-1) / at.heads.shape[-1]
        return same(
            run_together(*left),
            run_together(right[0], head),
            step_scale(LEARNERS[maml], at),
            implementation.eps,
            f"{maml}'s step minus {anil}'s at w = 0, largest entry",
            2 * ROUNDINGS_PER_WORD,
        )

    return check


ZERO_HEAD_FO = _claim(
    "zero-head-fo",
    ("fo-maml", "fo-anil"),
    r"At $w = 0$ FO-MAML and FO-ANIL take the same step.",
    ANY_STEP + "; $w = 0$",
    _zero_head_fo_proof,
    outer_steps,
    _zero_head_check("fo-maml", "fo-anil"),
    "With a zero head the inner step does not move the representation.",
)

ZERO_HEAD_EXACT = _claim(
    "zero-head-exact",
    ("maml", "anil"),
    r"At $w = 0$ Exact MAML and Exact ANIL have the same $\nabla_B$, but $\nabla_w$ of Exact MAML has the average of "
    r"$\alpha (\theta_i^\top v_i) w_i$ besides, with $w_i = \alpha B^\top \theta_i$ and $v_i = B w_i - \theta_i$.",
    ANY_STEP + "; $w = 0$",
    _zero_head_exact_proof,
    outer_steps,
    _zero_head_check("maml", "anil"),
    "The extra term is the derivative of the adapted representation.",
)


# --------------------------------------------------------------------------------------------- balanced representations


def _balanced_proof(names: tuple[str, ...], head: Poly, said: str) -> Proof:
    proof = Proof()
    off = a.theta - (a.B * a.B.T * a.theta).scaled(alpha=1)
    grad_B = (off * a.theta.T * a.B).scaled(-1, alpha=1)
    for name in names:
        found = [g.substitute({"w": head}) for g in task_gradients(LEARNERS[name])]
        found = [proof.rewritten(g, f"αBᵀB = I in a gradient of {name}{said}", BALANCED) for g in found]
        proof.equal(f"∇_B of {name} and −α(I − αBBᵀ)θ_iθ_iᵀB", found[0], grad_B)
        if name == "maml":
            pulled = (a.theta.T * off * (a.B.T * a.theta)).scaled(-1, alpha=2)
            proof.equal("∇_w of maml and −α²(θ_iᵀ(I − αBBᵀ)θ_i) Bᵀθ_i", found[1], pulled)
        else:
            proof.vanishes(f"∇_w of {name} and 0", found[1])
    return proof


def _balanced_step(learner: Learner, at: StepArrays) -> tuple[np.ndarray, np.ndarray]:
    n = at.heads.shape[-1]
    second = at.heads @ at.heads.T / n
    pulled = at.B_star @ (second @ (at.B_star.T @ at.B))
    B = at.B + at.alpha * at.beta * (pulled - at.alpha * (at.B @ (at.B.T @ pulled)))
    if learner.name != "maml":
        return B, at.w
    overlap = at.B.T @ at.targets
    off = (at.targets * at.targets).sum(0) - at.alpha * (overlap * overlap).sum(0)
    return B, at.w + at.alpha * at.alpha * at.beta * (overlap * off).sum(-1) / n


BALANCED_STEP = r"$B^+ = B + \alpha\beta (I - \alpha B B^\top) B_* \Psi_* B_*^\top B$"

BALANCED_ANIL = _claim(
    "balanced-anil",
    ANILS,
    rf"At a balanced representation, $\alpha B^\top B = I$, both ANILs take the same step, {BALANCED_STEP} and "
    r"$w^+ = w$, in which the head plays no part.",
    r"$\alpha B^\top B = I$, any $w$, heads, orthonormal $B_*$, $d > k$, $\alpha \ne \beta$",
    lambda: _balanced_proof(ANILS, a.w, ""),
    balanced_points,
    predicted_check(ANILS, balanced_arrays, _balanced_step, "step minus Oja's"),
    r"It is a step of Oja's subspace rule for $B_* \Psi_* B_*^\top$.",
)

BALANCED_MAML = _claim(
    "balanced-maml",
    MAMLS,
    r"From the paper's start, $\alpha B_0^\top B_0 = I$ and $w_0 = 0$, both MAMLs move the representation as the ANILs "
    rf"do, {BALANCED_STEP}; FO-MAML's head stays zero, Exact MAML's becomes the average of "
    r"$\alpha^2 \beta (\theta_i^\top (I - \alpha B B^\top) \theta_i) B^\top \theta_i$.",
    r"$\alpha B^\top B = I$, $w = 0$, any heads, orthonormal $B_*$, $d > k$, $\alpha \ne \beta$",
    lambda: _balanced_proof(MAMLS, zero("k", "1"), ", w = 0"),
    balanced_points,
    predicted_check(MAMLS, balanced_arrays, _balanced_step, "step minus the predicted one", zero_head=True),
    "So the first step is the same for all four; the second is not, because one step leaves $\\alpha B^\\top B = I$.",
)


# ---------------------------------------------------------------------------------------------------- average loss


def _average_gradients(proof: Proof) -> tuple[Poly, Poly]:
    grads = task_gradients(LEARNERS["average-loss"])
    proof.fact("θ_i stands at most once in a word, so its average is θ̄", all(g.degree("theta_i") == 1 for g in grads))
    grad_B, grad_w = (g.substitute({"theta_i": a.theta_bar}) for g in grads)
    proof.substituted("θ̄ for the average of θ_i in ∇_B", grad_B)
    proof.substituted("θ̄ for the average of θ_i in ∇_w", grad_w)
    return grad_B, grad_w


def _one_target_proof() -> Proof:
    proof = Proof()
    grad_B, grad_w = _average_gradients(proof)
    residual = a.B * a.w - a.theta_bar
    proof.equal("∇_B and (Bw − θ̄)wᵀ", grad_B, residual * a.w.T)
    proof.equal("∇_w and Bᵀ(Bw − θ̄)", grad_w, a.B.T * residual)
    return proof


def _one_target_check(instance: Example, implementation: Implementation) -> Comparison:
    at, learner = step_arrays(instance), LEARNERS["average-loss"]
    mean = at.targets.sum(-1, keepdims=True) / at.heads.shape[-1]
    many = implementation.step(learner, at.B, at.w, at.targets, at.alpha, at.beta)
    one = implementation.step(learner, at.B, at.w, mean, at.alpha, at.beta)
    why = "average loss: step on the tasks minus step on their mean target alone, largest entry"
    return same(run_together(*many), run_together(*one), step_scale(learner, at), implementation.eps, why)


def _drift_proof() -> Proof:
    proof = Proof()
    grad_B, grad_w = _average_gradients(proof)
    B, w = a.B - grad_B.scaled(beta=1), a.w - grad_w.scaled(beta=1)
    drift = proof.expanded("(B⁺ᵀB⁺ − w⁺w⁺ᵀ) − (BᵀB − wwᵀ)", B.T * B - w * w.T - a.B.T * a.B + a.w * a.w.T)
    residual = a.B * a.w - a.theta_bar
    pulled = a.B.T * residual
    stated = (residual.T * residual * (a.w * a.w.T) - pulled * pulled.T).scaled(beta=2)
    proof.expanded("β²(‖r‖²wwᵀ − Bᵀr rᵀB), r = Bw − θ̄", stated)
    proof.equal("the drift and β²(‖r‖²wwᵀ − Bᵀr rᵀB)", drift, stated)
    return proof


def _drift_check(instance: Example, implementation: Implementation) -> Comparison:
    at, learner = step_arrays(instance), LEARNERS["average-loss"]
    B, w = implementation.step(learner, at.B, at.w, at.targets, at.alpha, at.beta)
    r = at.B @ at.w - at.targets.sum(-1) / at.heads.shape[-1]
    pulled = at.B.T @ r
    # Gram matrices of d rows (and of w) whose entries the step's scale bounds; an error of B⁺ enters twice.
    scale = 2 * (instance["d"] + 1) * step_scale(learner, at) ** 2
    return same(
        B.T @ B - np.outer(w, w) - at.B.T @ at.B + np.outer(at.w, at.w),
        at.beta * at.beta * ((r @ r) * np.outer(at.w, at.w) - np.outer(pulled, pulled)),
        scale,
        implementation.eps,
        "drift of BᵀB − wwᵀ in a step minus the stated one, largest entry",
    )


ONE_TARGET = _claim(
    "average-loss-one-target",
    ("average-loss",),
    r"Average loss sees one task only, the mean target $\bar\theta$: its step on any tasks is its step on that one, "
    r"with $\nabla_B = (Bw - \bar\theta) w^\top$ and $\nabla_w = B^\top (Bw - \bar\theta)$.",
    ANY_STEP,
    _one_target_proof,
    outer_steps,
    _one_target_check,
)

DRIFT = _claim(
    "average-loss-drift",
    ("average-loss",),
    r"Under average loss $B^\top B - w w^\top$ changes in a step by exactly "
    r"$\beta^2 (\|r\|^2 w w^\top - B^\top r r^\top B)$ with $r = Bw - \bar\theta$.",
    ANY_STEP,
    _drift_proof,
    outer_steps,
    _drift_check,
    r"So gradient flow conserves $B^\top B - w w^\top$: the change is of second order in $\beta$.",
)

CLAIMS = (
    FIXED_ANIL,
    FIXED_MAML,
    TRUTH_WITH_HEAD,
    ZERO_LOSS,
    ORIGIN,
    ZERO_HEAD_FO,
    ZERO_HEAD_EXACT,
    BALANCED_ANIL,
    BALANCED_MAML,
    ONE_TARGET,
    DRIFT,
)
