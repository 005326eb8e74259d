"""Claims about symmetries: changes of the problem that a step carries along, for all five learners at once.

Each is proved by substituting the changed letters into the derived gradients, and checked by comparing the
implementation's step on the changed problem with the changed step on the original one.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import strategies as st

from metarep.sim.implementations import Implementation
from metarep.sim.learners import LEARNERS
from metarep.theory.calculus import alphabet as a
from metarep.theory.calculus.proofs import Proof
from metarep.theory.calculus.words import SCALARS, Poly, Rule
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
    floats,
    fractions,
    outer_steps,
    reflected_identity,
    reflections,
    step_arrays,
)
from metarep.theory.dynamics.derive import task_gradients
from metarep.theory.dynamics.structure import TRUTH

CHAPTER = "Symmetries"
ALPHA, C = SCALARS.index("alpha"), SCALARS.index("c")
Moved = tuple[np.ndarray, np.ndarray]
"""(B, w), changed."""


# ------------------------------------------------------------------------------------------------------------- proofs


def rescale_alpha(polynomial: Poly, power: int) -> Poly:
    """α replaced by α·c^power in every term."""
    if not power:
        return polynomial
    terms = {}
    for (powers, scalars, core), value in polynomial.terms.items():
        changed = list(powers)
        changed[C] += power * powers[ALPHA]
        terms[(tuple(changed), scalars, core)] = value
    return Poly(polynomial.shape, terms).made_by("rescaled", polynomial, power)


def _carried_proof(
    replacements: Mapping[str, Poly],
    change: Callable[[Poly, Poly], tuple[Poly, Poly]],
    substitution: str,
    used: str,
    *rules: Rule,
    alpha_power: int = 0,
    truth: bool = False,
) -> Proof:
    """The gradients at the changed letters equal the changed gradients, learner by learner.

    ``change`` maps (∇_B, ∇_w) to what they must become; ``truth``: write θ_i = B_*w_{*,i} first.
    """
    proof = Proof()
    for name, learner in LEARNERS.items():
        grads = task_gradients(learner)
        if truth:
            grads = tuple(g.substitute(TRUTH) for g in grads)
        moved = []
        for g in grads:
            changed = rescale_alpha(g.substitute(replacements), alpha_power)
            proof.substituted(f"{substitution} into the gradients of {name}", changed)
            moved.append(proof.rewritten(changed, used, *rules) if rules else changed)
        expected = change(grads[0], grads[1])
        proof.equal(f"∇_B of {name} and the changed one", moved[0], expected[0])
        proof.equal(f"∇_w of {name} and the changed one", moved[1], expected[1])
    return proof


def _gauge_proof() -> Proof:
    return _carried_proof(
        {"B": a.B * a.Q, "w": a.Q.T * a.w},
        lambda grad_B, grad_w: (grad_B * a.Q, a.Q.T * grad_w),
        "B → BQ, w → Qᵀw",
        "QQᵀ = I",
        Rule("Q", "Q'", ""),
    )


def _rotation_proof() -> Proof:
    return _carried_proof(
        {"B": a.U * a.B, "theta_i": a.U * a.theta},
        lambda grad_B, grad_w: (a.U * grad_B, grad_w),
        "B → UB, θ_i → Uθ_i (as B_* → UB_*)",
        "UᵀU = I",
        Rule("U'", "U", ""),
    )


def _relabelling_proof() -> Proof:
    return _carried_proof(
        {"B_star": a.B_star * a.V, "w_star_i": a.V.T * a.w_star},
        lambda grad_B, grad_w: (grad_B, grad_w),
        "B_* → B_*V, w_{*,i} → Vᵀw_{*,i}",
        "VVᵀ = I",
        Rule("V", "V'", ""),
        truth=True,
    )


def _sign_proof() -> Proof:
    return _carried_proof(
        {"w": -a.w, "theta_i": -a.theta},
        lambda grad_B, grad_w: (grad_B, -grad_w),
        "w → −w, θ_i → −θ_i",
        "",
    )


def _scaling_proof() -> Proof:
    # β∇ must become c·β∇ with β → β/c², so the gradients themselves are multiplied by c³.
    return _carried_proof(
        {"B": a.B.scaled(c=1), "w": a.w.scaled(c=1), "theta_i": a.theta.scaled(c=2)},
        lambda grad_B, grad_w: (grad_B.scaled(c=3), grad_w.scaled(c=3)),
        "B → cB, w → cw, θ_i → c²θ_i, α → α/c²",
        "",
        alpha_power=-2,
    )


def _average_proof() -> Proof:
    proof = Proof()
    for name, learner in LEARNERS.items():
        grad_B, grad_w = task_gradients(learner)
        proof.expanded(f"∇_B of one task ({name})", grad_B)
        proof.expanded(f"∇_w of one task ({name})", grad_w)
        proof.fact(
            f"every word of {name} is in B, w and one task's θ_i: the step is linear in one average over tasks",
            grad_B.letters() | grad_w.letters() <= {"B", "w", "theta_i"},
        )
        proof.fact(f"no word of {name} contains β: the step is linear in β", not _contains_beta(grad_B, grad_w))
    return proof


def _contains_beta(*polynomials: Poly) -> bool:
    return any(powers[SCALARS.index("beta")] for p in polynomials for powers, _, _ in p.terms)


# ------------------------------------------------------------------------------------------------------------- checks

Move = Callable[[StepArrays, Any], StepArrays]
Carry = Callable[[np.ndarray, np.ndarray, Any], Moved]


def _moduli(at: StepArrays) -> StepArrays:
    return replace(at, B=np.abs(at.B), w=np.abs(at.w), heads=np.abs(at.heads), B_star=np.abs(at.B_star))


def _carried_check(read: Callable[[Example], Any], move: Move, carry: Carry, why: str) -> Check:
    """step(changed problem) against changed step(problem), for every learner that the implementation has.

    ``read`` gets the group's element from the instance; an array or a number of which a modulus makes sense.
    """

    def check(instance: Example, implementation: Implementation) -> Comparison:
        at, element = step_arrays(instance), read(instance)
        there = move(at, element)
        # The changed letters' moduli, with |Q| for Q: they bound all intermediates on both sides: |Q||Q|ᵀ ≥ I.
        sizes = there if at.exact else move(_moduli(at), np.abs(element))
        found = []
        for learner in supported(implementation):
            left = implementation.step(learner, there.B, there.w, there.targets, there.alpha, there.beta)
            plain = implementation.step(learner, at.B, at.w, at.targets, at.alpha, at.beta)
            right = carry(*plain, element)
            found.append(
                same(
                    run_together(*left),
                    run_together(*right),
                    step_scale(learner, sizes),
                    implementation.eps,
                    f"{learner.name}: {why}, largest entry",
                    ROUNDINGS_TRANSFORMED,
                )
            )
        return most_strained(found)

    return check


ROUNDINGS_TRANSFORMED = 4 * ROUNDINGS_PER_WORD
"""Changed letters are products of two, with up to 6 terms in their sums; QQᵀ = I holds to about ten roundings and is
used up to four times in a word: at most three times as many roundings again as a word's own."""


def with_reflections(numbers: Numbers, name: str, dimension: str) -> st.SearchStrategy[Example]:
    """``outer_steps`` together with reflections of R^d or R^k, under ``name``."""

    @st.composite
    def drawn(draw: st.DrawFn) -> Example:
        base = draw(outer_steps(numbers, largest_k=3, largest_d=5))
        return {**base, name: draw(reflections(numbers, base[dimension]))}

    return drawn()


def with_scale(numbers: Numbers) -> st.SearchStrategy[Example]:
    """``outer_steps`` together with a factor c between ½ and 2."""

    @st.composite
    def drawn(draw: st.DrawFn) -> Example:
        return {**draw(outer_steps(numbers, largest_k=3, largest_d=5)), "c": draw(numbers(0.5, 2.0))}

    return drawn()


def plain_steps(numbers: Numbers) -> st.SearchStrategy[Example]:
    """``outer_steps`` of the size used in this chapter."""
    return outer_steps(numbers, largest_k=3, largest_d=5)


def _claim(
    id_: str,
    statement: str,
    proof: Callable[[], Proof],
    instances: Callable[[Numbers], st.SearchStrategy[Example]],
    check: Check,
    also: str = "",
    remark: str = "",
) -> Claim:
    return Claim(
        id=id_,
        chapter=CHAPTER,
        statement=statement,
        source=own(),
        hypotheses=ANY_STEP + also,
        expected=Verdict.PROVED,
        learners=tuple(LEARNERS),
        exercises=frozenset({"step"}),
        rests_on=tuple(f"update-{name}" for name in LEARNERS),
        proof=proof,
        floats=lambda: instances(floats),
        fractions=lambda: instances(fractions),
        check=check,
        examples=24,
        remark=remark,
    )


GAUGE = _claim(
    "symmetry-gauge",
    r"Turning the representation and the head together changes nothing else: $(B, w) \to (BQ, Q^\top w)$ with $Q$ "
    r"orthogonal is carried along by every learner's step.",
    _gauge_proof,
    lambda numbers: with_reflections(numbers, "Q", "k"),
    _carried_check(
        lambda instance: reflected_identity(instance["Q"]),
        lambda at, Q: replace(at, B=at.B @ Q, w=Q.T @ at.w),
        lambda B, w, Q: (B @ Q, Q.T @ w),
        "step(BQ, Qᵀw) − (B⁺Q, Qᵀw⁺)",
    ),
    r"; any orthogonal $Q$",
)

ROTATION = _claim(
    "symmetry-rotation",
    r"No direction of $R^d$ is special: $(B, B_*) \to (UB, UB_*)$ with $U$ orthogonal is carried along by every "
    r"learner's step, and $w$ does not notice.",
    _rotation_proof,
    lambda numbers: with_reflections(numbers, "U", "d"),
    _carried_check(
        lambda instance: reflected_identity(instance["U"]),
        lambda at, U: replace(at, B=U @ at.B, B_star=U @ at.B_star),
        lambda B, w, U: (U @ B, w),
        "step(UB, UB_*) − (UB⁺, w⁺)",
    ),
    r"; any orthogonal $U$",
)

RELABELLING = _claim(
    "symmetry-relabelling",
    r"The truth is a subspace, not a basis of it: $(B_*, w_{*,i}) \to (B_* Q, Q^\top w_{*,i})$ with $Q$ orthogonal "
    r"changes no learner's step.",
    _relabelling_proof,
    lambda numbers: with_reflections(numbers, "Q", "k"),
    _carried_check(
        lambda instance: reflected_identity(instance["Q"]),
        lambda at, Q: replace(at, B_star=at.B_star @ Q, heads=Q.T @ at.heads),
        lambda B, w, Q: (B, w),
        "step with (B_*Q, Qᵀw_*) − step with (B_*, w_*)",
    ),
    r"; any orthogonal $Q$",
    "Immediate for a learner that sees the tasks' targets $\\theta_i = B_* w_{*,i}$ only, as all of them do.",
)

SIGN = _claim(
    "symmetry-sign",
    r"Changing the sign of the head and of all targets, $(w, \theta_i) \to (-w, -\theta_i)$, is carried along by every "
    r"learner's step: $B^+$ stays and $w^+$ changes its sign.",
    _sign_proof,
    plain_steps,
    _carried_check(
        lambda instance: -1,
        lambda at, sign: replace(at, w=sign * at.w, heads=sign * at.heads),
        lambda B, w, sign: (B, sign * w),
        "step(B, −w, −θ) − (B⁺, −w⁺)",
    ),
)

SCALING = _claim(
    "symmetry-scaling",
    r"Units can be chosen: $(B, w, \theta_i, \alpha, \beta) \to (cB, cw, c^2 \theta_i, \alpha/c^2, \beta/c^2)$ "
    r"multiplies $B^+$ and $w^+$ by $c$, for every learner. So $\alpha = 1$ is no restriction, and $\alpha L_*$ and "
    r"$\beta/\alpha$ are the true parameters.",
    _scaling_proof,
    with_scale,
    _carried_check(
        lambda instance: instance["c"],
        lambda at, c: replace(
            at, B=c * at.B, w=c * at.w, heads=c * c * at.heads, alpha=at.alpha / (c * c), beta=at.beta / (c * c)
        ),
        lambda B, w, c: (c * B, c * w),
        "step(cB, cw, c²θ, α/c², β/c²) − (cB⁺, cw⁺)",
    ),
    r"; $c > 0$ (instances: $\frac{1}{2} \le c \le 2$)",
)


def pooled_steps(numbers: Numbers) -> st.SearchStrategy[Example]:
    """``outer_steps`` with 2 to 4 tasks, how to split them in two parts, and by how much to turn their order."""

    @st.composite
    def drawn(draw: st.DrawFn) -> Example:
        base = draw(outer_steps(numbers, largest_k=2, largest_d=4))
        n = base["n"]
        return {**base, "first": draw(st.integers(1, n - 1)), "shift": draw(st.integers(1, n - 1))}

    return drawn()


def _order_check(instance: Example, implementation: Implementation) -> Comparison:
    at = step_arrays(instance)
    turned = np.roll(at.targets, instance["shift"], axis=-1)
    flipped = turned[:, ::-1]
    twice = np.concatenate([at.targets, flipped], axis=-1)
    found = []
    for learner in supported(implementation):
        plain = run_together(*implementation.step(learner, at.B, at.w, at.targets, at.alpha, at.beta))
        scale = step_scale(learner, at)
        for targets, what in ((turned, "in another order"), (twice, "taken twice")):
            other = run_together(*implementation.step(learner, at.B, at.w, targets, at.alpha, at.beta))
            found.append(same(other, plain, scale, implementation.eps, f"{learner.name}: step with the tasks {what}"))
    return most_strained(found)


def _pooling_check(instance: Example, implementation: Implementation) -> Comparison:
    """n(step − start) on all tasks against the sum of that on two parts; (step − start)/β against that for β/2."""
    at, m, n = step_arrays(instance), instance["first"], instance["n"]
    start = run_together(at.B, at.w)
    found = []
    for learner in supported(implementation):

        def move(targets: np.ndarray, beta: Any, learner: Any = learner) -> np.ndarray:
            return run_together(*implementation.step(learner, at.B, at.w, targets, at.alpha, beta)) - start

        whole = move(at.targets, at.beta)
        parts = m * move(at.targets[:, :m], at.beta) + (n - m) * move(at.targets[:, m:], at.beta)
        scale = n * step_scale(learner, at)  # of n times the mean, which is what either side adds up
        why = f"{learner.name}: n(step − start) on all tasks minus the sum over two parts of them"
        found.append(same(n * whole, parts, n * scale, implementation.eps, why))
        why = f"{learner.name}: (step − start) with β minus twice that with β/2"
        found.append(same(whole, 2 * move(at.targets, at.beta / 2), scale, implementation.eps, why))
    return most_strained(found)


ORDER = _claim(
    "symmetry-task-order",
    r"The order of the tasks changes no learner's step, nor does it to take every task twice.",
    _average_proof,
    pooled_steps,
    _order_check,
)

POOLING = _claim(
    "task-average",
    r"A step is a gradient step on an average: $(B^+ - B, w^+ - w)$ is $\beta$ times a mean over tasks of a function "
    r"of $(B, w, \theta_i)$. So with the tasks in two parts it is the mean of the parts' steps, weighted by their "
    r"numbers of tasks, and it is proportional to $\beta$.",
    _average_proof,
    pooled_steps,
    _pooling_check,
    remark="Fails for an outer step in which $w$ already sees the new $B$.",
)

CLAIMS = (GAUGE, ROTATION, RELABELLING, ORDER, POOLING, SIGN, SCALING)
