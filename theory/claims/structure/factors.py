"""What a step does off the truth and along it: the right factor, the part in the span, the adapted heads' moments."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
from hypothesis import strategies as st

from metarep.sim.implementations import Implementation
from metarep.sim.learners import LEARNERS, Learner
from metarep.theory.calculus import alphabet as a
from metarep.theory.calculus.evaluation import evaluate_words
from metarep.theory.calculus.expressions import latex, to_words
from metarep.theory.calculus.proofs import Proof
from metarep.theory.calculus.words import Poly, find_letter
from metarep.theory.calculus.written import definitions_of
from metarep.theory.claims.comparing import ROUNDINGS_PER_WORD, same, same_step, step_scale
from metarep.theory.claims.record import Comparison, Example, Verdict, own, paper
from metarep.theory.claims.strategies import ANY_STEP, Numbers, StepArrays, step_arrays, steps_of_any_rank
from metarep.theory.claims.structure import claim
from metarep.theory.dynamics.derive import derive, task_gradients
from metarep.theory.dynamics.structure import (
    PERPENDICULAR,
    TRUTH,
    adapted_head,
    moment_words,
    split_update,
    stated_adapted_second_moment,
    stated_cross_moment,
    stated_split,
)

ANY_STEP_OFF = f"{ANY_STEP} below $d$"
ABOUT = {
    "anil": "proof-of-theorem-1",
    "fo-anil": "proof-of-theorem-1",
    "maml": "theorem-maml",
    "fo-maml": "theorem-maml",
    "average-loss": "average-loss",
}
"""What of the paper a statement about a learner's step bears on."""
IN_THE_INDUCTION = {name: paper(ABOUT[name]) if name == "fo-anil" else own(about=ABOUT[name]) for name in LEARNERS}
"""By learner, the source of a step of the induction: the paper has it for FO-ANIL, the others are worked out here."""

of_a_step = partial(claim, Verdict.PROVED, given=ANY_STEP, exercises="step", draws=steps_of_any_rank, examples=24)
"""A proved claim about any step, checked against the implementation's."""


def next_representation(learner: Learner) -> Poly:
    """B⁺ = B − β∇_B in words under one average over tasks, with θ_i = B_*w_{*,i}."""
    return a.B - task_gradients(learner)[0].substitute(TRUTH).scaled(beta=1)


def column_sums(matrix: np.ndarray) -> float:
    """Largest ℓ₁ norm of a column: by how much multiplying with the transpose can enlarge the largest entry."""
    return float(np.abs(matrix).sum(0).max()) if matrix.size else 0.0


def stated_factors(learner: Learner, at: StepArrays) -> tuple[np.ndarray, np.ndarray]:
    """(N, C) as stated, at a point."""
    return stated_split(learner).evaluate(learner, at.B, at.w, at.B_star, at.heads, at.alpha, at.beta)


# --- right factor and span part

_AVERAGED = {
    "Psi": " (the adapted heads' second moment)",
    "Q_head": "",
    "s_bar": "",
    "g_bar": "",
    "w_bar": " (the heads' mean)",
    "Psi_star": " (the heads' second moment)",
}


def _split_words(learner: Learner, *parts: str) -> dict[str, str]:
    """The stated N and C, and ', where ...' with the definitions that the parts of these names mention."""
    split = stated_split(learner)
    averages = definitions_of(*(getattr(split, part) for part in parts), named=split.definitions)
    meant = {find_letter(name).latex: _AVERAGED[name] for name, _ in split.definitions}
    named = [f"${letter} = {value}${meant[letter]}" for letter, value in averages]
    return {"N": latex(split.N), "C": latex(split.C), "where": f", where {', '.join(named)}" if named else ""}


def _made_of(learner: Learner, *parts: str) -> str:
    """', with ...' and the definitions, down to the problem's letters, of what the statement leaves to the update."""
    split = stated_split(learner)
    expressions = [getattr(split, part) for part in parts]
    said = definitions_of(*expressions, named=split.definitions)
    rest = [item for item in definitions_of(*expressions, named=split.named(learner)) if item not in said]
    return f", with {', '.join(f'${letter} = {value}$' for letter, value in rest)}" if rest else ""


def _right_factor_proof(proof: Proof, learner: Learner) -> None:
    proof.expanded("∇_B of one task", task_gradients(learner)[0])
    after = proof.substituted("θ_i = B_*w_{*,i} into B⁺ = B − β∇_B", next_representation(learner))
    off = proof.rewritten(a.B_perp.T * after, "B_{*⊥}ᵀB_* = 0 in B_{*⊥}ᵀB⁺", *PERPENDICULAR)
    factor = proof.expanded(f"the stated N{_made_of(learner, 'N')}", stated_split(learner).expand(learner)[0])
    stated = proof.rewritten(a.B_perp.T * a.B * factor, "B_*ᵀB_* = I in B_{*⊥}ᵀB N", *PERPENDICULAR)
    proof.equal("B_{*⊥}ᵀB⁺ and B_{*⊥}ᵀB N", off, stated)


@of_a_step(
    source=IN_THE_INDUCTION,
    given=ANY_STEP_OFF,
    each=LEARNERS,
    words=lambda learner: _split_words(learner, "N"),
    rests_on="update-«name»",
    draws=partial(steps_of_any_rank, least_codimension=1),
    proof=_right_factor_proof,
)
def right_factor(example: Example, implementation: Implementation, learner: Learner) -> Comparison:
    r"""One step of «title» multiplies the part of $B$ off the truth from the right: $B_{*\perp}^\top
    B^+ = B_{*\perp}^\top B N$ with $N = «N»$«where».

    $N$ is $k \times k$ and the same in every ambient dimension $d$.
    """
    at = step_arrays(example)
    # Every word of B·N is one of B⁺, but the stated N may add a few which cancel: hence twice the roundings.
    return same(
        at.B_perp.T @ at.stepped(implementation, learner)[0],
        at.B_perp.T @ at.B @ stated_factors(learner, at)[0],
        step_scale(learner, at) * column_sums(at.B_perp),
        implementation.eps,
        "B_{*⊥}ᵀB⁺ − B_{*⊥}ᵀB·N, largest entry",
        2 * ROUNDINGS_PER_WORD,
        at.objects,
    )


def _span_proof(proof: Proof, learner: Learner) -> None:
    after = proof.substituted("θ_i = B_*w_{*,i} into B⁺ = B − β∇_B", next_representation(learner))
    factor, inflow = stated_split(learner).expand(learner)
    proof.expanded(f"the stated N{_made_of(learner, 'N', 'C')}", factor)
    proof.expanded("the stated C", inflow)
    proof.equal("B⁺ and B N + β B_*C", after, a.B * factor + (a.B_star * inflow).scaled(beta=1))


@of_a_step(
    each=LEARNERS,
    words=lambda learner: _split_words(learner, "N", "C"),
    rests_on="right-factor-«name»",
    proof=_span_proof,
    examples=20,
)
def span_part(example: Example, implementation: Implementation, learner: Learner) -> Comparison:
    r"""One step of «title» is $B^+ = B N + \beta B_* C$ with $N = «N»$ and $C = «C»$«where»."""
    at = step_arrays(example)
    factor, inflow = stated_factors(learner, at)
    return same(
        at.stepped(implementation, learner)[0],
        at.B @ factor + at.beta * (at.B_star @ inflow),
        step_scale(learner, at),
        implementation.eps,
        "B⁺ − (B·N + β B_*·C), largest entry",
        2 * ROUNDINGS_PER_WORD,
        at.objects,
    )


# --- any learner's spec

OTHERS = (
    Learner("anil-2", "head", inner_steps=2),
    Learner("anil-3", "head", inner_steps=3),
    Learner("fo-anil-3", "head", first_order=True, inner_steps=3),
    Learner("body", "representation"),
    Learner("fo-body", "representation", first_order=True),
    Learner("body-2", "representation", inner_steps=2),
    Learner("fo-maml-2", "both", first_order=True, inner_steps=2),
)
"""Learners that the paper does not have: more inner steps, and an inner step on the representation alone."""

SPECS: dict[str, Learner] = {**LEARNERS, **{learner.name: learner for learner in OTHERS}}

SPECS_CHECKED = ("anil", "maml", "anil-2", "body", "fo-body", "body-2")
"""Those evaluated word by word on examples: few enough words."""

INNER_PRODUCTS = frozenset({"B", "B_star", "w", "w_star_i"})
"""Letters in which a k×k, s×k or k×1 word meets R^d in the products BᵀB and B_*ᵀB only (B_*ᵀB_* = I)."""


def _any_spec_proof(proof: Proof) -> None:
    for name, learner in SPECS.items():
        after = next_representation(learner)
        factor, inflow = split_update(learner)  # an error if a word began with neither B nor B_*
        proof.expanded(f"B⁺ of {name}; every word of ∇_B begins with B or with B_*", after)
        proof.equal(f"B⁺ of {name} and B N + β B_*C", after, a.B * factor + (a.B_star * inflow).scaled(beta=1))
        off = (a.B_perp.T * after).rewrite(PERPENDICULAR)
        stated = (a.B_perp.T * a.B * factor).rewrite(PERPENDICULAR)
        proof.equal(f"B_{{*⊥}}ᵀB⁺ of {name} and B_{{*⊥}}ᵀB N (B_{{*⊥}}ᵀB_* = 0, B_*ᵀB_* = I)", off, stated)
        in_products = factor.letters() | inflow.letters() <= INNER_PRODUCTS
        proof.fact(
            f"N and C of {name} are words in BᵀB, B_*ᵀB, w and w_{{*,i}}: nothing of size d is left",
            factor.shape == ("k", "k") and inflow.shape == ("s", "k") and in_products,
        )


@st.composite
def _steps_of_specs(draw: st.DrawFn, numbers: Numbers) -> Example:
    name = draw(st.sampled_from(SPECS_CHECKED))
    return {**draw(steps_of_any_rank(numbers, least_codimension=1)), "learner": name}


@of_a_step(
    given=f"{ANY_STEP_OFF}; the five learners and «count» others: «others»",
    words={"count": len(OTHERS), "others": ", ".join(learner.name for learner in OTHERS)},
    exercises=(),
    draws=_steps_of_specs,
    proof=_any_spec_proof,
)
def right_factor_any_spec(
    example: Example,
    implementation: Implementation,
    *,
    split_update: Callable[[Learner], tuple[Poly, Poly]] = split_update,
) -> Comparison:
    r"""A right factor is found from the words alone, for the five and for «count» other learners (more inner steps,
    inner steps on the representation only): $B^+ = B N + \beta B_* C$, so $B_{*\perp}^\top B^+ = B_{*\perp}^\top B N$,
    and $N$ and $C$ depend on $B$ through $B^\top B$ and $B_*^\top B$ only.

    So they do not depend on $d$. Proved spec by spec for those listed, by splitting the words of their derived
    gradients. The reason holds for any outer gradient that is a polynomial in $B$, $w$ and $\theta_i$: the first letter
    of a word of $\nabla_B$ is that of a residual, $B$ or $\theta_i$. The examples compare the derived updates with $N$
    evaluated in another dimension; they do not exercise an implementation.
    """
    # The derived step in R^d against N from R^(d+1). No implementation has all these specs, so none is asked.
    at, learner = step_arrays(example), SPECS[example["learner"]]
    after = derive(learner)(at.B, at.w, at.targets, at.alpha, at.beta)[0]
    coordinates = np.concatenate([at.B_star.T @ at.B, at.B_perp.T @ at.B, 0 * at.B[:1]])
    truth = np.eye(*at.B_star.shape, dtype=int).astype(at.B.dtype)
    truth = np.concatenate([truth, 0 * truth[:1]])
    arrays = {"B": coordinates, "w": at.w, "B_star": truth, "w_star_i": at.heads}
    factor = evaluate_words(split_update(learner)[0], arrays, {"alpha": at.alpha, "beta": at.beta})
    # The step's own words, times the frame; and those of B·N in the coordinates, whose letters |frame|ᵀ|B| bounds.
    scale = 0.0
    if not at.exact:
        moduli = np.abs(np.concatenate([at.B_star, at.B_perp], axis=1)).T @ np.abs(at.B)
        there = replace(at, B=np.concatenate([moduli, 0 * moduli[:1]]), B_star=truth)
        scale = step_scale(learner, at) * column_sums(at.B_perp) + step_scale(learner, there)
    return same(
        at.B_perp.T @ after,
        at.B_perp.T @ at.B @ factor,
        scale,
        2.0**-52,
        f"{learner.name}: B_{{*⊥}}ᵀB⁺ − B_{{*⊥}}ᵀB·N with N from R^(d+1), largest entry",
        2 * ROUNDINGS_PER_WORD,
        at.objects,
    )


# --- the adapted heads' moments


def _adapted_moments_proof(proof: Proof) -> None:
    head = adapted_head(LEARNERS["fo-anil"])
    known = moment_words()
    cross, cross_value = stated_cross_moment()
    proof.expanded("w_i = w − αBᵀ(Bw − θ_i) with θ_i = B_*w_{*,i}", head)
    left = proof.expanded("mean w_{*,i}w_iᵀ", to_words(cross, {"w_i": head}))
    proof.equal("mean w_{*,i}w_iᵀ and its value in w̄_* and Ψ_*", left, to_words(cross_value, known))
    second = proof.expanded("Ψ = mean w_iw_iᵀ", head * head.T)
    proof.equal("Ψ and its value in w̄_* and Ψ_*", second, to_words(stated_adapted_second_moment(), known))


@of_a_step(
    words={
        "second": latex(stated_adapted_second_moment()),
        "cross": latex(stated_cross_moment()[0]),
        "value": latex(stated_cross_moment()[1]),
    },
    learners=("fo-anil",),
    rests_on="span-part-fo-anil",
    proof=_adapted_moments_proof,
)
def adapted_moments(example: Example, implementation: Implementation) -> Comparison:
    r"""The adapted heads' moments are those of the heads, seen through $B$: with $\Delta = I - \alpha B^\top B$,
    $\Psi = «second»$ and $«cross» = «value»$.

    So FO-ANIL's step needs $\bar w_*$ and $\Psi_*$, not the heads: the check makes the whole step from them.
    """
    # B⁺ = B(I − βΨ) + βB_*·mean w_*w_iᵀ, w⁺ = w − βBᵀ(B·mean w_i − θ̄)
    at = step_arrays(example)
    n, k = at.heads.shape[-1], at.w.size
    mean, second = at.heads.sum(-1) / n, at.heads @ at.heads.T / n
    eye = np.eye(k, dtype=int).astype(at.B.dtype)
    Delta = eye - at.alpha * (at.B.T @ at.B)
    overlap = at.B.T @ at.B_star
    kept, pulled = Delta @ at.w, overlap @ mean
    mixed = np.outer(kept, pulled)
    Psi = np.outer(kept, kept) + at.alpha * (mixed + mixed.T) + at.alpha**2 * (overlap @ second @ overlap.T)
    cross = np.outer(mean, kept) + at.alpha * (second @ overlap.T)
    B_next = at.B - at.beta * (at.B @ Psi - at.B_star @ cross)
    w_next = at.w - at.beta * (at.B.T @ (at.B @ (kept + at.alpha * pulled) - at.B_star @ mean))
    why = "FO-ANIL's step minus the one made from the heads' first two moments, largest entry"
    return same_step(implementation, LEARNERS["fo-anil"], at, (B_next, w_next), why, 2 * ROUNDINGS_PER_WORD)
