"""Claims about one step: how the perpendicular part shrinks, why adapting the head makes every direction shrink,
balance.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from hypothesis import strategies as st

from metarep.sim.implementations import Implementation
from metarep.sim.learners import LEARNERS, Learner
from metarep.theory.calculus import alphabet as a
from metarep.theory.calculus.evaluation import evaluate_words
from metarep.theory.calculus.expressions import to_words
from metarep.theory.calculus.proofs import Proof
from metarep.theory.calculus.words import Poly, identity
from metarep.theory.claims.chapter import Chapter
from metarep.theory.claims.comparing import same, step_scale
from metarep.theory.claims.record import Comparison, Example, Verdict, paper
from metarep.theory.claims.strategies import (
    EXPLICIT,
    FILLED,
    Entries,
    Numbers,
    StepArrays,
    any_step,
    array,
    floats,
    fractions,
    outer_steps,
    reflected_identity,
    step_arrays,
)
from metarep.theory.claims.structure.factors import IN_THE_INDUCTION
from metarep.theory.dynamics.structure import (
    adapted_head,
    moment_words,
    right_factor,
    stated_adapted_second_moment,
)
from metarep.theory.inequalities import one_step
from metarep.theory.inequalities.core import Checked, check
from metarep.theory.inequalities.theorems import learner_step

claim = Chapter("Contraction")
proved = partial(claim, Verdict.PROVED, kind="inequality", exercises="step", examples=40)

FO_ANIL = LEARNERS["fo-anil"]
ADAPTED = ("anil", "fo-anil")
"""The learners that adapt the head only."""

ANY = "any $d > k$, $n$, $B$, $w$, heads, orthonormal $B_*$"
BALANCED_ANY = "$\\alpha B^\\top B = I$, any $d > k$, $n$, $w$, heads, orthonormal $B_*$"

Moment = Callable[[Example], np.ndarray]


@st.composite
def balanced_steps(draw: st.DrawFn, numbers: Numbers = floats, enough: bool = False) -> Example:
    """B = a·(k orthonormal columns), α = 1/a² (so αBᵀB = I, exactly for fractions), any w, heads and frame, d > k.

    ``share`` gives αβL_*² where a claim wants it, in (0, 1]; ``enough``: at least k tasks, all different.
    """
    made = Entries(draw, numbers)
    k = made.k()
    d = made.d(k + 1)
    n = made.n(k if enough else 1)
    return {
        "d": d,
        "k": k,
        "n": n,
        "a": made.number(1 / 2, 4, power=1),
        "beta": made.number(1 / 8, 1, power=-2),
        "share": made.number(1 / 8, 1),
        "columns": made.reflections(d),
        "w": made.vector(k, power=1),
        "heads": made.matrix(k, n, power=2) if enough else made.heads(k, n, power=2),
        "frame": made.reflections(d),
    }


@st.composite
def diverse_balanced_steps(draw: st.DrawFn) -> Example:
    """``balanced_steps``, three of four with μ_* > 0: without, the bound on a step asks for no movement."""
    return draw(balanced_steps(enough=bool(draw(st.integers(0, 3)))))


@st.composite
def steps_with_share(draw: st.DrawFn) -> Example:
    """``outer_steps`` with d > k, so that there is a perpendicular part, and a ``share``; three of four have tasks
    enough for λ_min > 0.
    """
    enough = draw(st.integers(0, 3))
    return draw(outer_steps(least_codimension=1, with_share=True, least_n=FILLED.k if enough else 1))


@st.composite
def balanced_anywhere(draw: st.DrawFn) -> Example:
    """``balanced_steps``, half of them close to the truth: elsewhere the adapted heads are well below their bound."""
    example = dict(draw(balanced_steps()))
    if draw(st.booleans()):
        aside = zip(example["frame"], example["columns"], strict=True)
        example["columns"] = [[a + b / 8 for a, b in zip(*pair, strict=True)] for pair in aside]
    return example


def balanced_example(example: Example, beta: Any = None) -> Example:
    """The ``outer_steps`` form of a ``balanced_steps`` example: B and α worked out."""
    scale = example["a"]
    B = scale * reflected_identity(example["columns"])[:, : example["k"]]
    return {**example, "alpha": 1 / (scale * scale), "beta": example["beta"] if beta is None else beta, "B": B.tolist()}


def _word_value(words: Poly, example: Example) -> np.ndarray:
    """Value of words in B, w, B_*, w_{*,i} on an example, averaged over its tasks."""
    at = step_arrays(example)
    arrays = {"B": at.B, "w": at.w, "B_star": at.B_star, "w_star_i": at.heads}
    return evaluate_words(words, arrays, {"alpha": at.alpha, "beta": at.beta})


def adapted_second_moment(example: Example) -> np.ndarray:
    """Ψ = (1/n) Σ w_i w_iᵀ of the adapted heads, from the derived words."""
    head = adapted_head(FO_ANIL)
    return _word_value(head * head.T, example)


def _truth_spectrum(example: Example) -> np.ndarray:
    """Eigenvalues of Ψ_* of an example's heads, ascending."""
    heads = array(example["heads"])
    return np.linalg.eigvalsh(heads @ heads.T / heads.shape[1])


def _shrinks(
    learner: Learner, example: Example, implementation: Implementation, factor: float, bound: str
) -> Comparison:
    """‖B_{*⊥}ᵀB⁺‖ against ``factor`` times ‖B_{*⊥}ᵀB‖. It has d k entries, each a sum over d entries of B⁺."""
    at = step_arrays(example)
    before, after = (np.linalg.norm(at.B_perp.T @ B, 2) for B in (at.B, at.stepped(implementation, learner)[0]))
    rounding = float(64 * implementation.eps * step_scale(learner, at) * at.B.shape[0] * np.sqrt(at.B.shape[1]))
    why = f"norm of the perpendicular part after the step against {bound} times before"
    return Comparison(after, factor * before, rounding, why, objects=at.objects)


# --- one-step bound


@st.composite
def bounded_steps(draw: st.DrawFn, learner: Learner = FO_ANIL) -> Example:
    """``outer_steps`` with d > k, so that there is a perpendicular part. Three of four have tasks enough and
    α‖B‖² ≤ 2, and then a head so small, and a β such, that the right factor N = I − βM contracts every direction (if
    it does for w = 0): without, few bounds ask for movement.
    """
    made, asking = Entries(draw, floats), bool(draw(st.integers(0, 3)))
    enough = made.most.k if made.filled else EXPLICIT.k
    example = any_step(made, least_codimension=1, least_n=enough if asking else 1)
    size = float(np.linalg.norm(array(example["B"]), 2))
    if not asking or not size:
        return example
    example["alpha"] = min(example["alpha"], 2 / size**2)
    share = draw(floats(1 / 8, 7 / 8))
    for smaller in (1 / 4, 1 / 64, 0.0):
        small = {**example, "w": [smaller * entry for entry in example["w"]]}
        M = (np.eye(example["k"]) - _word_value(right_factor(learner), small)) / example["beta"]
        # ‖(I − βM)x‖² ≤ 1 − 2β·least + β²‖M‖² for ‖x‖ = 1: below 1 for β < 2·least/‖M‖²
        least, norm = float(np.linalg.eigvalsh((M + M.T) / 2)[0]), float(np.linalg.norm(M, 2))
        if least > 1e-3 * norm:
            return {**small, "beta": 2 * share * least / norm**2}
    return example


bounded = partial(proved, given=ANY + ", any $\\alpha$, $\\beta$", floats=bounded_steps)


def _contraction_derivation() -> Checked:
    """The derivation of the bound for a right factor N, with N = I − βΨ and FO-ANIL's step in the heads' moments."""
    general = one_step.one_step_bound("fo-anil").derivation
    return check(replace(general, definitions=(("N_any", "I_k - beta*Psi"),)), learner_step("fo-anil"))


@bounded(
    source=paper("proof-of-theorem-1"),
    learners=("fo-anil",),
    rests_on="right-factor-fo-anil",
    derivation=_contraction_derivation,
)
def one_step_contraction(example: Example, implementation: Implementation) -> Comparison:
    r"""One step of FO-ANIL: $\|B_{*\perp}^\top B^+\| \le \|I - \beta\Psi\|\, \|B_{*\perp}^\top B\|$.

    Follows from the right factor; for $k = 1$ it is an equality, so the worst margin is rounding.
    """
    return one_step_bound(example, implementation, FO_ANIL)


@bounded(
    source=IN_THE_INDUCTION,
    each=("anil", "fo-maml", "maml", "average-loss"),
    rests_on="right-factor-«name»",
    derivation=lambda learner: one_step.one_step_bound(learner.name),
    at_any_pace={
        "average-loss": "for $k \\ge 2$ its $N = I - \\beta w w^\\top$ leaves directions as they are: the bound asks "
        "for no movement"
    },
)
def one_step_bound(example: Example, implementation: Implementation, learner: Learner) -> Comparison:
    r"""One step of «title»: $\|B_{*\perp}^\top B^+\| \le \|N\|\, \|B_{*\perp}^\top B\|$, $N$ the learner's right
    factor.

    Follows from the right factor; for $k = 1$ it is an equality, so the worst margin is rounding.
    """
    factor = float(np.linalg.norm(_word_value(right_factor(learner), example), 2))
    return _shrinks(learner, example, implementation, factor, "‖N‖")


@proved(
    source=paper("proof-of-theorem-1"),
    learners=("fo-anil",),
    rests_on=("one-step-contraction", "symmetry-scaling"),
    floats=steps_with_share,
    derivation=one_step.contraction_rate,
    examples=60,
)
def one_step_contraction_rate(
    example: Example,
    implementation: Implementation,
    *,
    which: int = 0,
    adapted_second_moment: Moment = adapted_second_moment,
) -> Comparison:
    r"""FO-ANIL with $\beta(\lambda_{\min} + \lambda_{\max})(\Psi) \le 2$: $\|B_{*\perp}^\top B^+\| \le
    (1 - \beta\lambda_{\min}(\Psi))\, \|B_{*\perp}^\top B\|$.

    Given: any $d > k$, $n$, $B$, $w$, heads, orthonormal $B_*$,
    $\beta = 2x/(\lambda_{\min} + \lambda_{\max})(\Psi)$ with $0 < x \le 1$
    """
    # ``which``: the eigenvalue by whose factor it shrinks, of the ascending ones
    values = np.linalg.eigvalsh(adapted_second_moment(example))
    # With all adapted heads zero (their sum is rounding) any β will do: λ_min = 0 then. Adapted heads have the size of
    # w/(1 + α‖B‖²) at least, but where w is 0 or falls out.
    unit = 1e-6 / example["alpha"]
    beta = 2.0 * example["share"] / max(float(values[0] + values[-1]), unit)
    factor = 1 - beta * float(values[which])
    return _shrinks(FO_ANIL, {**example, "beta": beta}, implementation, factor, "(1 − βλ)")


# --- head diversity at balance


BALANCED_SECOND_MOMENT = (a.B.T * a.B_star * a.w_star * a.w_star.T * a.B_star.T * a.B).scaled(alpha=2)
BALANCED_FACTOR = identity("k") - BALANCED_SECOND_MOMENT.scaled(beta=1)
"""Ψ and N = I − βΨ at αBᵀB = I, under an average over tasks."""


def _balanced_heads_proof(proof: Proof, learner: Learner) -> None:
    head = proof.expanded("the adapted head w_i = w − αBᵀ(Bw − θ_i), θ_i = B_*w_{*,i}", adapted_head(FO_ANIL))
    balanced = proof.rewritten(head, "αBᵀB = I", a.BALANCED)
    stated = (a.B.T * a.B_star * a.w_star).scaled(alpha=1)
    proof.equal("w_i with αBᵀθ_i: the head w plays no part", balanced, stated)
    second = proof.rewritten(head * head.T, "αBᵀB = I in w_i w_iᵀ", a.BALANCED)
    proof.equal("Ψ with α²BᵀB_*Ψ_*B_*ᵀB", second, BALANCED_SECOND_MOMENT)
    general = to_words(stated_adapted_second_moment(), moment_words())
    general = proof.expanded("Ψ as stated for any B, by the heads' first two moments", general)
    proof.equal("it at αBᵀB = I", general.rewrite((a.BALANCED,)), second)
    factor = proof.rewritten(right_factor(learner), "αBᵀB = I in the right factor N", a.BALANCED)
    proof.equal("N with I − βΨ", factor, BALANCED_FACTOR)


exact_at_balance = partial(
    claim,
    Verdict.PROVED,
    exercises="step",
    floats=balanced_steps,
    fractions=partial(balanced_steps, fractions),
    examples=40,
)


@exact_at_balance(
    source=IN_THE_INDUCTION,
    given=BALANCED_ANY,
    each=ADAPTED,
    rests_on="right-factor-«name»",
    proof=_balanced_heads_proof,
)
def balanced_heads(example: Example, implementation: Implementation, learner: Learner) -> Comparison:
    r"""At $\alpha B^\top B = I$ the adapted heads are $w_i = \alpha B^\top \theta_i$ whatever $w$, $\Psi = \alpha^2
    B^\top B_* \Psi_* B_*^\top B$, and a step of «title» multiplies $B_{*\perp}^\top B$ by $I - \beta\Psi$.
    """
    balanced = balanced_example(example)
    at = step_arrays(balanced)
    return same(
        at.B_perp.T @ at.stepped(implementation, learner)[0],
        at.B_perp.T @ at.B @ _word_value(BALANCED_FACTOR, balanced),
        step_scale(learner, at) * at.B.shape[0],
        implementation.eps,
        "B_{*⊥}ᵀB⁺ minus B_{*⊥}ᵀB(I − βα²BᵀB_*Ψ_*B_*ᵀB), largest entry",
        objects=at.objects,
    )


def _diversity_derivation(*, result: str) -> Checked:
    """The derivation, whose result of that name is the claim's bound."""
    checked = one_step.head_diversity()
    checked.result(result)
    return checked


diverse = partial(
    proved,
    source=paper("proof-of-theorem-1"),
    given=BALANCED_ANY,
    learners=("fo-anil",),
    rests_on=("balanced-heads-fo-anil", "symmetry-scaling"),
    floats=balanced_anywhere,
    examples=60,
)


def _diversity(
    example: Example, eps: float, adapted_second_moment: Moment
) -> tuple[StepArrays, np.ndarray, float, float]:
    """(the balanced point, eigenvalues of Ψ, αL_*², rounding error of the eigenvalues)."""
    balanced = balanced_example(example)
    at = step_arrays(balanced)
    # An adapted head is off by eps × (|w| + √α|θ|) × the length of its sums, Ψ by twice that times the head.
    size = np.linalg.norm(at.w) + np.sqrt(at.alpha) * np.linalg.norm(at.heads, axis=0).max()
    # Slack is shown as a share of αL_*²; heads of length 1/α are what the rest is the size of.
    unit = at.alpha * max(float(_truth_spectrum(example)[-1]), 1e-12 / at.alpha**2)
    values = np.linalg.eigvalsh(adapted_second_moment(balanced))
    return at, values, unit, 64 * eps * example["d"] * float(size) ** 2


@diverse(exercises="distance", derivation=partial(_diversity_derivation, result="lower"))
def head_diversity_lower(
    example: Example,
    implementation: Implementation,
    *,
    with_distance: bool = True,
    adapted_second_moment: Moment = adapted_second_moment,
) -> Comparison:
    r"""At $\alpha B^\top B = I$, for any $w$: $\lambda_{\min}(\Psi) \ge \alpha\mu_*^2 (1 - \mathrm{dist}(B, B_*)^2)$.
    Adapting the head makes every direction contract.

    Follows from $\Psi = \alpha^2 B^\top B_* \Psi_* B_*^\top B$: the least singular value of $B_*^\top\hat B$ is the
    cosine of the largest angle.
    """
    # without ``with_distance`` the factor 1 − dist² is left out: a wrong claim
    at, values, unit, rounding = _diversity(example, implementation.eps, adapted_second_moment)
    dist = float(implementation.subspace_distance(at.B, at.B_star)) if with_distance else 0.0
    lower = at.alpha * max(float(_truth_spectrum(example)[0]), 0.0) * (1 - dist**2)
    why = "1 + (αμ_*²(1 − dist²) − λ_min(Ψ))/(αL_*²) against 1"
    return Comparison(1 + (lower - values[0]) / unit, 1.0, rounding / unit, why, lower, values[0], at.objects)


@diverse(exercises=(), derivation=partial(_diversity_derivation, result="upper"))
def head_diversity_upper(
    example: Example, implementation: Implementation, *, adapted_second_moment: Moment = adapted_second_moment
) -> Comparison:
    r"""At $\alpha B^\top B = I$, for any $w$: $\lambda_{\max}(\Psi) \le \alpha L_*^2$.

    Follows from $\Psi = \alpha^2 B^\top B_* \Psi_* B_*^\top B$; an equality at the truth.
    """
    at, values, unit, rounding = _diversity(example, implementation.eps, adapted_second_moment)
    why = "λ_max(Ψ)/(αL_*²) against 1"
    return Comparison(values[-1] / unit, 1.0, rounding / unit, why, values[-1], unit, at.objects)


@proved(
    source=IN_THE_INDUCTION,
    given=BALANCED_ANY + r", $0 < \alpha\beta L_*^2 \le 1$",
    each=ADAPTED,
    exercises=("step", "distance"),
    rests_on=("balanced-heads-«name»", "head-diversity-lower", "head-diversity-upper"),
    floats=diverse_balanced_steps,
    derivation=lambda learner: one_step.balanced_step(learner.name),
)
def balanced_step(example: Example, implementation: Implementation, learner: Learner) -> Comparison:
    r"""At $\alpha B^\top B = I$, any $w$, $\alpha\beta L_*^2 \le 1$: a step of «title» shrinks $\|B_{*\perp}^\top B\|$
    at least by the factor $1 - \alpha\beta\mu_*^2 (1 - \mathrm{dist}(B, B_*)^2)$.
    """
    of_truth = _truth_spectrum(example)
    alpha = 1 / example["a"] ** 2
    # αβL_*² = share ≤ 1; heads that are all zero, beside the length 1/α that the rest is the size of, leave β free
    beta = example["share"] / (alpha * max(float(of_truth[-1]), 1e-6 / alpha**2))
    balanced = balanced_example(example, beta)
    at = step_arrays(balanced)
    dist = float(implementation.subspace_distance(at.B, at.B_star))
    factor = 1 - alpha * beta * max(float(of_truth[0]), 0.0) * (1 - dist**2)
    return _shrinks(learner, balanced, implementation, factor, "1 − αβμ_*²(1 − dist²)")
