"""Claims about symmetries: changes of the problem that a step carries along, for all five learners at once.

Each is proved by substituting the changed letters into the derived gradients, and checked by comparing the
implementation's step on the changed problem with the changed step on the original one.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from hypothesis import strategies as st

from metarep.sim.implementations import Implementation
from metarep.sim.learners import LEARNERS
from metarep.theory.calculus import alphabet as a
from metarep.theory.calculus.proofs import Proof
from metarep.theory.calculus.words import SCALARS, Poly, Rule
from metarep.theory.claims.chapter import Chapter
from metarep.theory.claims.comparing import ROUNDINGS_PER_WORD, same, step_scale, supported
from metarep.theory.claims.record import Comparison, Example, Verdict
from metarep.theory.claims.strategies import (
    ANY_STEP,
    Entries,
    Numbers,
    StepArrays,
    any_step,
    reflected_identity,
    step_arrays,
    steps_of_any_rank,
)
from metarep.theory.dynamics.derive import task_gradients
from metarep.theory.dynamics.structure import TRUTH

claim = Chapter("Symmetries")

symmetry = partial(
    claim,
    Verdict.PROVED,
    given=ANY_STEP,
    learners=LEARNERS,
    exercises="step",
    rests_on=[f"update-{name}" for name in LEARNERS],
    examples=24,
    any_inner_steps=True,
    at_any_pace="it compares an implementation's steps with each other, whatever they are",
)

Pair = tuple[np.ndarray, np.ndarray]
"""(B, w)."""

ROUNDINGS_TRANSFORMED = 4 * ROUNDINGS_PER_WORD
"""Changed letters are products of two, one more sum each; QQᵀ = I holds to about ten roundings and is used up to four
times in a word: at most three times as many roundings again as a word's own.
"""


def rescale_alpha(polynomial: Poly, power: int) -> Poly:
    """α replaced by α·c^power in every term."""
    if not power:
        return polynomial
    terms = {}
    for (powers, scalars, core), value in polynomial.terms.items():
        changed = list(powers)
        changed[SCALARS.index("c")] += power * powers[SCALARS.index("alpha")]
        terms[(tuple(changed), scalars, core)] = value
    return Poly(polynomial.shape, terms).made_by("rescaled", polynomial, power)


def prove_carried(
    proof: Proof,
    *,
    letters: Mapping[str, Poly],
    gradients: Callable[[Poly, Poly], tuple[Poly, Poly]],
    change: str = "",
    use: str = "",
    rules: tuple[Rule, ...] = (),
    alpha_power: int = 0,
    truth: bool = False,
) -> None:
    """The gradients at the changed letters equal the changed gradients, learner by learner.

    ``gradients`` maps (∇_B, ∇_w) to what they must become; ``change`` and ``use`` say in words what is substituted and
    which rules are used; ``truth``: write θ_i = B_*w_{*,i} first.
    """
    for name, learner in LEARNERS.items():
        grads = task_gradients(learner)
        if truth:
            grads = tuple(g.substitute(TRUTH) for g in grads)
        moved = []
        for g in grads:
            changed = rescale_alpha(g.substitute(letters), alpha_power)
            proof.substituted(f"{change} into the gradients of {name}", changed)
            moved.append(proof.rewritten(changed, use, *rules) if rules else changed)
        expected = gradients(grads[0], grads[1])
        proof.equal(f"∇_B of {name} and the changed one", moved[0], expected[0])
        proof.equal(f"∇_w of {name} and the changed one", moved[1], expected[1])


def _carried(
    example: Example,
    implementation: Implementation,
    name: str,
    element: Any,
    move: Callable[[StepArrays, Any], StepArrays],
    carry: Callable[[np.ndarray, np.ndarray], Pair],
    why: str,
) -> Iterator[Comparison]:
    """step(changed problem) against changed step(problem), for every learner that the implementation has.

    ``element`` of the group, called ``name``, is an array or a number of which a modulus makes sense; ``move`` applies
    one to a problem, and ``carry`` this one to (B⁺, w⁺).
    """
    at = step_arrays(example)
    there = move(at, element)
    # The changed letters' moduli, with |Q| for Q: they bound all intermediates on both sides: |Q||Q|ᵀ ≥ I.
    moduli = replace(at, B=np.abs(at.B), w=np.abs(at.w), heads=np.abs(at.heads), B_star=np.abs(at.B_star))
    sizes = there if at.exact else move(moduli, np.abs(element))
    for learner in supported(implementation):
        yield same(
            tuple(there.stepped(implementation, learner)),
            carry(*at.stepped(implementation, learner)),
            step_scale(learner, sizes),
            implementation.eps,
            f"{learner.name}: {why}, largest entry",
            ROUNDINGS_TRANSFORMED,
            {**at.objects, name: element},
        )


@st.composite
def with_reflections(draw: st.DrawFn, numbers: Numbers, name: str, dimension: str) -> Example:
    """``outer_steps`` together with reflections of R^d, R^k or (``s``) of the truth's rank, under ``name``."""
    made = Entries(draw, numbers)
    base = any_step(made, any_rank=True)
    return {**base, name: made.reflections(len(base["heads"]) if dimension == "s" else base[dimension])}


@st.composite
def with_scale(draw: st.DrawFn, numbers: Numbers) -> Example:
    """``outer_steps`` together with a factor c between ½ and 2."""
    return {**draw(steps_of_any_rank(numbers)), "c": draw(numbers(0.5, 2.0))}


@st.composite
def pooled_steps(draw: st.DrawFn, numbers: Numbers) -> Example:
    """``outer_steps`` with 2 tasks or more, how to split them in two parts, and by how much to turn their order."""
    base = draw(steps_of_any_rank(numbers, least_n=2))
    n = base["n"]
    return {**base, "first": draw(st.integers(1, n - 1)), "shift": draw(st.integers(1, n - 1))}


# --- changes of coordinates


@symmetry(
    given=ANY_STEP + "; any orthogonal $Q$",
    draws=partial(with_reflections, name="Q", dimension="k"),
    proof=partial(
        prove_carried,
        letters={"B": a.B * a.Q, "w": a.Q.T * a.w},
        gradients=lambda grad_B, grad_w: (grad_B * a.Q, a.Q.T * grad_w),
        change="B → BQ, w → Qᵀw",
        use="QQᵀ = I",
        rules=(Rule("Q", "Q'", ""),),
    ),
)
def symmetry_gauge(example: Example, implementation: Implementation) -> Iterator[Comparison]:
    r"""Turning the representation and the head together changes nothing else: $(B, w) \to (BQ, Q^\top w)$ with $Q$
    orthogonal is carried along by every learner's step.
    """
    Q = reflected_identity(example["Q"])
    yield from _carried(
        example,
        implementation,
        "Q",
        Q,
        lambda at, Q: replace(at, B=at.B @ Q, w=Q.T @ at.w),
        lambda B, w: (B @ Q, Q.T @ w),
        "step(BQ, Qᵀw) − (B⁺Q, Qᵀw⁺)",
    )


@symmetry(
    given=ANY_STEP + "; any orthogonal $U$",
    draws=partial(with_reflections, name="U", dimension="d"),
    proof=partial(
        prove_carried,
        letters={"B": a.U * a.B, "theta_i": a.U * a.theta},
        gradients=lambda grad_B, grad_w: (a.U * grad_B, grad_w),
        change="B → UB, θ_i → Uθ_i (as B_* → UB_*)",
        use="UᵀU = I",
        rules=(Rule("U'", "U", ""),),
    ),
)
def symmetry_rotation(example: Example, implementation: Implementation) -> Iterator[Comparison]:
    r"""No direction of $R^d$ is special: $(B, B_*) \to (UB, UB_*)$ with $U$ orthogonal is carried along by every
    learner's step, and $w$ does not notice.
    """
    U = reflected_identity(example["U"])
    yield from _carried(
        example,
        implementation,
        "U",
        U,
        lambda at, U: replace(at, B=U @ at.B, B_star=U @ at.B_star),
        lambda B, w: (U @ B, w),
        "step(UB, UB_*) − (UB⁺, w⁺)",
    )


@symmetry(
    given=ANY_STEP + "; any orthogonal $Q$",
    draws=partial(with_reflections, name="Q", dimension="s"),
    proof=partial(
        prove_carried,
        letters={"B_star": a.B_star * a.V, "w_star_i": a.V.T * a.w_star},
        gradients=lambda grad_B, grad_w: (grad_B, grad_w),
        change="B_* → B_*V, w_{*,i} → Vᵀw_{*,i}",
        use="VVᵀ = I",
        rules=(Rule("V", "V'", ""),),
        truth=True,
    ),
    exercises=("step", "distance"),
)
def symmetry_relabelling(example: Example, implementation: Implementation) -> Iterator[Comparison]:
    r"""The truth is a subspace, not a basis of it: $(B_*, w_{*,i}) \to (B_* Q, Q^\top w_{*,i})$ with $Q$ orthogonal
    changes no learner's step, nor the distance.

    Immediate for a learner that sees the tasks' targets $\theta_i = B_* w_{*,i}$ only, as all of them do.
    """
    at = step_arrays(example)
    if not at.exact:  # a distance has square roots
        there = at.B_star @ reflected_identity(example["Q"])
        distances = [implementation.subspace_distance(at.B, truth) for truth in (at.B_star, there)]
        # Both are of the same orthonormal basis of B, whatever its condition; a turned frame is off by eps d.
        why = "distance to B_*Q minus that to B_*"
        objects = {**at.objects, "Q": reflected_identity(example["Q"])}
        yield same(
            np.array(distances[1]), np.array(distances[0]), example["d"], implementation.eps, why, objects=objects
        )
    yield from _carried(
        example,
        implementation,
        "Q",
        reflected_identity(example["Q"]),
        lambda at, Q: replace(at, B_star=at.B_star @ Q, heads=Q.T @ at.heads),
        lambda B, w: (B, w),
        "step with (B_*Q, Qᵀw_*) − step with (B_*, w_*)",
    )


# --- the average over tasks


def _average_proof(proof: Proof) -> None:
    for name, learner in LEARNERS.items():
        grad_B, grad_w = task_gradients(learner)
        proof.expanded(f"∇_B of one task ({name})", grad_B)
        proof.expanded(f"∇_w of one task ({name})", grad_w)
        proof.fact(
            f"every word of {name} is in B, w and one task's θ_i: the step is linear in one average over tasks",
            grad_B.letters() | grad_w.letters() <= {"B", "w", "theta_i"},
        )
        with_beta = any(powers[SCALARS.index("beta")] for g in (grad_B, grad_w) for powers, _, _ in g.terms)
        proof.fact(f"no word of {name} contains β: the step is linear in β", not with_beta)


@symmetry(given=ANY_STEP + "; $n \\ge 2$", draws=pooled_steps, proof=_average_proof)
def symmetry_task_order(example: Example, implementation: Implementation) -> Iterator[Comparison]:
    """The order of the tasks changes no learner's step, nor does it to take every task twice."""
    at = step_arrays(example)
    turned = np.roll(at.targets, example["shift"], axis=-1)
    twice = np.concatenate([at.targets, turned[:, ::-1]], axis=-1)
    for learner in supported(implementation):
        plain = tuple(at.stepped(implementation, learner))
        scale = step_scale(learner, at)
        for targets, what in ((turned, "in another order"), (twice, "taken twice")):
            other = tuple(implementation.step(learner, at.B, at.w, targets, at.alpha, at.beta))
            why = f"{learner.name}: step with the tasks {what}"
            yield same(other, plain, scale, implementation.eps, why, objects=at.objects)


@symmetry(given=ANY_STEP + "; $n \\ge 2$", draws=pooled_steps, proof=_average_proof)
def task_average(example: Example, implementation: Implementation) -> Iterator[Comparison]:
    r"""A step is a gradient step on an average: $(B^+ - B, w^+ - w)$ is $\beta$ times a mean over tasks of a function
    of $(B, w, \theta_i)$. So with the tasks in two parts it is the mean of the parts' steps, weighted by their numbers
    of tasks, and it is proportional to $\beta$.

    Fails for an outer step in which $w$ already sees the new $B$.
    """
    # n(step − start) on all tasks against the sum of that on two parts; (step − start)/β against that for β/2.
    at, m, n = step_arrays(example), example["first"], example["n"]
    for learner in supported(implementation):

        def move(targets: np.ndarray, beta: Any, learner: Any = learner) -> Pair:
            B, w = implementation.step(learner, at.B, at.w, targets, at.alpha, beta)
            return B - at.B, w - at.w

        whole, first, rest = (move(part, at.beta) for part in (at.targets, at.targets[:, :m], at.targets[:, m:]))
        parts = tuple(m * one + (n - m) * other for one, other in zip(first, rest, strict=True))
        scale = n * step_scale(learner, at)  # of n times the mean, which is what either side adds up
        why = f"{learner.name}: n(step − start) on all tasks minus the sum over two parts of them"
        split = {**at.objects, "m": m}
        yield same(tuple(n * part for part in whole), parts, n * scale, implementation.eps, why, objects=split)
        why = f"{learner.name}: (step − start) with β minus twice that with β/2"
        halved = tuple(2 * part for part in move(at.targets, at.beta / 2))
        yield same(whole, halved, scale, implementation.eps, why, objects=split)


# --- signs and units


@symmetry(
    draws=steps_of_any_rank,
    proof=partial(
        prove_carried,
        letters={"w": -a.w, "theta_i": -a.theta},
        gradients=lambda grad_B, grad_w: (grad_B, -grad_w),
        change="w → −w, θ_i → −θ_i",
    ),
)
def symmetry_sign(example: Example, implementation: Implementation) -> Iterator[Comparison]:
    r"""Changing the sign of the head and of all targets, $(w, \theta_i) \to (-w, -\theta_i)$, is carried along by every
    learner's step: $B^+$ stays and $w^+$ changes its sign.
    """
    yield from _carried(
        example,
        implementation,
        "sign",
        -1,
        lambda at, sign: replace(at, w=sign * at.w, heads=sign * at.heads),
        lambda B, w: (B, -w),
        "step(B, −w, −θ) − (B⁺, −w⁺)",
    )


@symmetry(
    given=ANY_STEP + r"; $c > 0$ (examples: $\frac{1}{2} \le c \le 2$)",
    draws=with_scale,
    proof=partial(
        prove_carried,
        # β∇ must become c·β∇ with β → β/c², so the gradients themselves are multiplied by c³.
        letters={"B": a.B.scaled(c=1), "w": a.w.scaled(c=1), "theta_i": a.theta.scaled(c=2)},
        gradients=lambda grad_B, grad_w: (grad_B.scaled(c=3), grad_w.scaled(c=3)),
        change="B → cB, w → cw, θ_i → c²θ_i, α → α/c²",
        alpha_power=-2,
    ),
)
def symmetry_scaling(example: Example, implementation: Implementation) -> Iterator[Comparison]:
    r"""Units can be chosen: $(B, w, \theta_i, \alpha, \beta) \to (cB, cw, c^2 \theta_i, \alpha/c^2, \beta/c^2)$
    multiplies $B^+$ and $w^+$ by $c$, for every learner. So $\alpha = 1$ is no restriction, and $\alpha L_*$ and
    $\beta/\alpha$ are the true parameters.
    """
    c = example["c"]
    yield from _carried(
        example,
        implementation,
        "c",
        c,
        lambda at, c: replace(
            at, B=c * at.B, w=c * at.w, heads=c * c * at.heads, alpha=at.alpha / (c * c), beta=at.beta / (c * c)
        ),
        lambda B, w: (c * B, c * w),
        "step(cB, cw, c²θ, α/c², β/c²) − (cB⁺, cw⁺)",
    )
