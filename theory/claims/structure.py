"""Claims about the structure of a step: what it does off the truth, where it can go, what of the tasks it sees."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st

from metarep.sim.implementations import Implementation
from metarep.sim.learners import LEARNERS, Learner
from metarep.sim.problems import FixedTasks, Problem, reduce
from metarep.theory.calculus import alphabet as a
from metarep.theory.calculus.expressions import evaluate_words, latex, to_words
from metarep.theory.calculus.proofs import Proof
from metarep.theory.calculus.words import Poly, Rule, find_letter
from metarep.theory.claims.chapter import TITLES
from metarep.theory.claims.comparing import (
    ROUNDINGS_PER_WORD,
    most_strained,
    run_together,
    same,
    step_scale,
    supported,
)
from metarep.theory.claims.record import Check, Claim, Comparison, Example, Verdict, own, paper
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
    step_sizes,
    vector,
)
from metarep.theory.dynamics.derive import derive, task_gradients
from metarep.theory.dynamics.structure import (
    PERPENDICULAR,
    TRUTH,
    adapted_head,
    head_degree,
    moment_words,
    split_update,
    stated_adapted_second_moment,
    stated_cross_moment,
    stated_split,
)

CHAPTER = "Structure of a step"
ANY_STEP_OFF = f"{ANY_STEP}, $d > k$"
INNER_PRODUCTS = frozenset({"B", "B_star", "w", "w_star_i"})
"""Letters in which a k×k, s×k or k×1 word meets R^d in the products BᵀB and B_*ᵀB only (B_*ᵀB_* = I)."""


def next_representation(learner: Learner) -> Poly:
    """B⁺ = B − β∇_B in words under one average over tasks, with θ_i = B_*w_{*,i}."""
    return a.B - task_gradients(learner)[0].substitute(TRUTH).scaled(beta=1)


def column_sums(matrix: np.ndarray) -> float:
    """Largest ℓ₁ norm of a column: by how much multiplying with the transpose can enlarge the largest entry."""
    return float(np.abs(matrix).sum(0).max()) if matrix.size else 0.0


# ---------------------------------------------------------------------------------- right factor and span part


def _right_factor_proof(learner: Learner) -> Proof:
    proof = Proof()
    proof.expanded("∇_B of one task", task_gradients(learner)[0])
    after = proof.substituted("θ_i = B_*w_{*,i} into B⁺ = B − β∇_B", next_representation(learner))
    off = proof.rewritten(a.B_perp.T * after, "B_{*⊥}ᵀB_* = 0 in B_{*⊥}ᵀB⁺", *PERPENDICULAR)
    factor = proof.expanded("the stated N", stated_split(learner).expand(learner)[0])
    stated = proof.rewritten(a.B_perp.T * a.B * factor, "B_*ᵀB_* = I in B_{*⊥}ᵀB N", *PERPENDICULAR)
    proof.equal("B_{*⊥}ᵀB⁺ and B_{*⊥}ᵀB N", off, stated)
    return proof


def _right_factor_check(learner: Learner) -> Check:
    def check(instance: Example, implementation: Implementation) -> Comparison:
        at = step_arrays(instance)
        after = implementation.step(learner, at.B, at.w, at.targets, at.alpha, at.beta)[0]
        factor, _ = stated_split(learner).evaluate(learner, at.B, at.w, at.B_star, at.heads, at.alpha, at.beta)
        # Every word of B·N is one of B⁺, but the stated N may add a few which cancel: hence twice the roundings.
        return same(
            at.B_perp.T @ after,
            at.B_perp.T @ at.B @ factor,
            step_scale(learner, at) * column_sums(at.B_perp),
            implementation.eps,
            "B_perpᵀB⁺ − B_perpᵀB·N, largest entry",
            2 * ROUNDINGS_PER_WORD,
        )

    return check


def _span_proof(learner: Learner) -> Proof:
    proof = Proof()
    after = proof.substituted("θ_i = B_*w_{*,i} into B⁺ = B − β∇_B", next_representation(learner))
    factor, inflow = stated_split(learner).expand(learner)
    proof.expanded("the stated N", factor)
    proof.expanded("the stated C", inflow)
    proof.equal("B⁺ and B N + β B_*C", after, a.B * factor + (a.B_star * inflow).scaled(beta=1))
    return proof


def _span_check(learner: Learner) -> Check:
    def check(instance: Example, implementation: Implementation) -> Comparison:
        at = step_arrays(instance)
        after = implementation.step(learner, at.B, at.w, at.targets, at.alpha, at.beta)[0]
        factor, inflow = stated_split(learner).evaluate(learner, at.B, at.w, at.B_star, at.heads, at.alpha, at.beta)
        return same(
            after,
            at.B @ factor + at.beta * (at.B_star @ inflow),
            step_scale(learner, at),
            implementation.eps,
            "B⁺ − (B·N + β B_*·C), largest entry",
            2 * ROUNDINGS_PER_WORD,
        )

    return check


_AVERAGED = {
    "Psi": r"adapted heads' second moment",
    "Q_head": "",
    "s_bar": "",
    "g_bar": "",
    "w_bar": "heads' mean",
    "Psi_star": "heads' second moment",
}


def _where(learner: Learner, expressions: tuple[Any, ...]) -> str:
    """', where ...' with the definitions that the given expressions mention."""
    split = stated_split(learner)
    used = {str(symbol.name) for expression in expressions for symbol in expression.atoms(type(a.matrix_symbol("B")))}
    named = []
    for name, expression in split.definitions:
        if name in used:
            meaning = f" (the {_AVERAGED[name]})" if _AVERAGED[name] else ""
            named.append(f"${find_letter(name).latex} = {latex(expression)}${meaning}")
    return f", where {', '.join(named)}" if named else ""


def _right_factor_statement(learner: Learner) -> str:
    factor = stated_split(learner).N
    return (
        f"One step of {TITLES[learner.name]} multiplies the part of $B$ off the truth from the right: "
        rf"$B_{{*\perp}}^\top B^+ = B_{{*\perp}}^\top B N$ with $N = {latex(factor)}${_where(learner, (factor,))}."
    )


def _span_statement(learner: Learner) -> str:
    split = stated_split(learner)
    return (
        f"One step of {TITLES[learner.name]} is $B^+ = B N + \\beta B_* C$ with $N = {latex(split.N)}$ and "
        f"$C = {latex(split.C)}${_where(learner, (split.N, split.C))}."
    )


RIGHT_FACTORS = tuple(
    Claim(
        id=f"right-factor-{name}",
        chapter=CHAPTER,
        statement=_right_factor_statement(learner),
        source=paper("proof-of-theorem-1") if name == "fo-anil" else own(),
        hypotheses=ANY_STEP_OFF,
        expected=Verdict.PROVED,
        learners=(name,),
        exercises=frozenset({"step"}),
        rests_on=(f"update-{name}",),
        proof=lambda learner=learner: _right_factor_proof(learner),
        floats=lambda: outer_steps(floats, least_codimension=1),
        fractions=lambda: outer_steps(fractions, least_codimension=1),
        check=_right_factor_check(learner),
        examples=24,
        remark="$N$ is $k \\times k$ and the same in every ambient dimension $d$.",
    )
    for name, learner in LEARNERS.items()
)

SPAN_PARTS = tuple(
    Claim(
        id=f"span-part-{name}",
        chapter=CHAPTER,
        statement=_span_statement(learner),
        source=own(),
        hypotheses=ANY_STEP,
        expected=Verdict.PROVED,
        learners=(name,),
        exercises=frozenset({"step"}),
        rests_on=(f"right-factor-{name}",),
        proof=lambda learner=learner: _span_proof(learner),
        floats=lambda: outer_steps(floats),
        fractions=lambda: outer_steps(fractions),
        check=_span_check(learner),
        examples=20,
    )
    for name, learner in LEARNERS.items()
)


# ---------------------------------------------------------------------------------- any learner's spec

SPECS: dict[str, Learner] = {
    **LEARNERS,
    **{
        learner.name: learner
        for learner in (
            Learner("anil-2", "head", inner_steps=2),
            Learner("anil-3", "head", inner_steps=3),
            Learner("fo-anil-3", "head", first_order=True, inner_steps=3),
            Learner("body", "representation"),
            Learner("fo-body", "representation", first_order=True),
            Learner("body-2", "representation", inner_steps=2),
            Learner("fo-maml-2", "both", first_order=True, inner_steps=2),
        )
    },
}
"""The five and some that the paper does not have: more inner steps, and an inner step on the representation alone."""

SPECS_CHECKED = ("anil", "maml", "anil-2", "body", "fo-body", "body-2")
"""Those evaluated word by word on instances: few enough words."""


def _any_spec_proof() -> Proof:
    proof = Proof()
    for name, learner in SPECS.items():
        after = next_representation(learner)
        factor, inflow = split_update(learner)  # an error if a word began with neither B nor B_*
        proof.expanded(f"B⁺ of {name}; every word of ∇_B begins with B or with B_*", after)
        proof.equal(f"B⁺ of {name} and B N + β B_*C", after, a.B * factor + (a.B_star * inflow).scaled(beta=1))
        off = (a.B_perp.T * after).rewrite(PERPENDICULAR)
        stated = (a.B_perp.T * a.B * factor).rewrite(PERPENDICULAR)
        proof.equal(f"B_{{*⊥}}ᵀB⁺ of {name} and B_{{*⊥}}ᵀB N (B_{{*⊥}}ᵀB_* = 0, B_*ᵀB_* = I)", off, stated)
        proof.fact(
            f"N and C of {name} are words in BᵀB, B_*ᵀB, w and w_{{*,i}}: nothing of size d is left",
            factor.shape == ("k", "k") and inflow.shape == ("s", "k")
            and factor.letters() | inflow.letters() <= INNER_PRODUCTS,
        )  # fmt: skip
    return proof


@st.composite
def _steps_of_specs(draw: st.DrawFn, numbers: Numbers) -> Example:
    name = draw(st.sampled_from(SPECS_CHECKED))
    return {**draw(outer_steps(numbers, largest_k=2, largest_d=5, least_codimension=1)), "learner": name}


def _any_spec_check(instance: Example, implementation: Implementation) -> Comparison:
    """The derived step in R^d against N from R^(d+1). No implementation has all these specs, so none is asked."""
    at, learner = step_arrays(instance), SPECS[instance["learner"]]
    after = derive(learner)(at.B, at.w, at.targets, at.alpha, at.beta)[0]
    k = at.w.size
    coordinates = np.concatenate([at.B_star.T @ at.B, at.B_perp.T @ at.B, 0 * at.B[:1]])
    truth = np.eye(len(coordinates), k, dtype=int).astype(at.B.dtype)
    arrays = {"B": coordinates, "w": at.w, "B_star": truth, "w_star_i": at.heads}
    factor = evaluate_words(split_update(learner)[0], arrays, {"alpha": at.alpha, "beta": at.beta})
    # Written in coordinates a product BᵀB is Bᵀ·frame·frameᵀB, whose moduli may exceed those of BᵀB by |frame||frame|ᵀ:
    # at most the square of the frame's column or row sums. A word here has at most four such products.
    frame = np.concatenate([at.B_star, at.B_perp], axis=1)
    growth = max(column_sums(frame), column_sums(frame.T)) ** 8
    return same(
        at.B_perp.T @ after,
        at.B_perp.T @ at.B @ factor,
        step_scale(learner, at) * growth,
        2.0**-52,
        f"{learner.name}: B_perpᵀB⁺ − B_perpᵀB·N with N from R^(d+1), largest entry",
        2 * ROUNDINGS_PER_WORD,
    )


ANY_SPEC = Claim(
    id="right-factor-any-spec",
    chapter=CHAPTER,
    statement=(
        rf"A right factor is found from the words alone, for the five and for {len(SPECS) - len(LEARNERS)} other "
        r"learners (more inner steps, inner steps on the representation only): "
        r"$B^+ = B N + \beta B_* C$, so $B_{*\perp}^\top B^+ = B_{*\perp}^\top B N$, and $N$ and $C$ depend on $B$ "
        r"through $B^\top B$ and $B_*^\top B$ only."
    ),
    source=own(),
    hypotheses=f"{ANY_STEP_OFF}; the five learners and {len(SPECS) - 5} others: "
    + ", ".join(name for name in SPECS if name not in LEARNERS),
    expected=Verdict.PROVED,
    exercises=frozenset(),
    proof=_any_spec_proof,
    floats=lambda: _steps_of_specs(floats),
    fractions=lambda: _steps_of_specs(fractions),
    check=_any_spec_check,
    examples=24,
    remark=(
        "So they do not depend on $d$. "
        "Proved spec by spec for those listed, by splitting the words of their derived gradients. The reason holds "
        "for any outer gradient that is a polynomial in $B$, $w$ and $\\theta_i$: the first letter of a word of "
        "$\\nabla_B$ is that of a residual, $B$ or $\\theta_i$. The instances compare the derived updates with $N$ "
        "evaluated in another dimension; they do not exercise an implementation."
    ),
)


# ---------------------------------------------------------------------------------- the adapted heads' moments


def _adapted_moments_proof() -> Proof:
    proof = Proof()
    head = adapted_head(LEARNERS["fo-anil"])
    known = moment_words()
    cross, cross_value = stated_cross_moment()
    proof.expanded("w_i = w − αBᵀ(Bw − θ_i) with θ_i = B_*w_{*,i}", head)
    left = proof.expanded("mean w_{*,i}w_iᵀ", to_words(cross, {"w_i": head}))
    proof.equal("mean w_{*,i}w_iᵀ and its value in w̄_* and Ψ_*", left, to_words(cross_value, known))
    second = proof.expanded("Ψ = mean w_iw_iᵀ", head * head.T)
    proof.equal("Ψ and its value in w̄_* and Ψ_*", second, to_words(stated_adapted_second_moment(), known))
    return proof


def _adapted_moments_check(instance: Example, implementation: Implementation) -> Comparison:
    """FO-ANIL's whole step from w̄_* and Ψ_* alone: B⁺ = B(I − βΨ) + βB_*·mean w_*w_iᵀ, w⁺ = w − βBᵀ(B·mean w_i − θ̄)."""
    at, learner = step_arrays(instance), LEARNERS["fo-anil"]
    after = implementation.step(learner, at.B, at.w, at.targets, at.alpha, at.beta)
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
    return same(
        run_together(*after),
        run_together(B_next, w_next),
        step_scale(learner, at),
        implementation.eps,
        "FO-ANIL's step minus the one made from the heads' first two moments, largest entry",
        2 * ROUNDINGS_PER_WORD,
    )


ADAPTED_MOMENTS = Claim(
    id="adapted-moments",
    chapter=CHAPTER,
    statement=(
        r"The adapted heads' moments are those of the heads, seen through $B$: with $\Delta = I - \alpha B^\top B$, "
        rf"$\Psi = {latex(stated_adapted_second_moment())}$ and ${latex(stated_cross_moment()[0])} = "
        rf"{latex(stated_cross_moment()[1])}$."
    ),
    source=own(),
    hypotheses=ANY_STEP,
    expected=Verdict.PROVED,
    learners=("fo-anil",),
    exercises=frozenset({"step"}),
    rests_on=("span-part-fo-anil",),
    proof=_adapted_moments_proof,
    floats=lambda: outer_steps(floats),
    fractions=lambda: outer_steps(fractions),
    check=_adapted_moments_check,
    examples=24,
    remark=r"So FO-ANIL's step needs $\bar w_*$ and $\Psi_*$, not the heads: the check makes the whole step from them.",
)


# ---------------------------------------------------------------------------------- confinement and reduction

BEYOND = (Rule("B_perp'", "B_star", None), Rule("B_perp'", "B", None))
"""For a matrix Z (written with the letter of B_{*⊥}) whose columns are perpendicular to col(B) and to col(B_*)."""


@st.composite
def few_steps(
    draw: st.DrawFn, numbers: Numbers, most_steps: int, least_beyond: int = 1, most_beyond: int = 3
) -> Example:
    """A start B_0 = frame·[X; Y; 0] in d = 2k + beyond dimensions, heads, and a few outer steps of moderate size.

    Entries are at most 1 and α at most ½: a step of Exact MAML raises entries to the ninth power, and the third of
    them should still be a float.
    """
    k = draw(st.integers(1, 2))
    beyond = draw(st.integers(least_beyond, most_beyond))
    n = draw(st.integers(2, 4))
    alpha, beta = draw(step_sizes(numbers, 0.5))
    return {
        "d": 2 * k + beyond,
        "k": k,
        "n": n,
        "steps": draw(st.integers(1, most_steps)),
        "alpha": alpha,
        "beta": beta,
        "X": draw(matrix(numbers, k, k, 1.0)),
        "Y": draw(matrix(numbers, k, k, 1.0)),
        "w": draw(vector(numbers, k, 1.0)),
        "heads": draw(matrix(numbers, k, n, 1.0)),
        "frame": draw(reflections(numbers, 2 * k + beyond)),
    }


@dataclass(frozen=True)
class ConfinedStart:
    """Arrays of a ``few_steps`` instance: ``at`` in R^d; the first 2k columns of ``frame`` span col(B_0) + col(B_*)."""

    at: StepArrays
    frame: np.ndarray
    reduced_B: np.ndarray

    @property
    def beyond(self) -> np.ndarray:
        """Orthonormal columns perpendicular to col(B_0) and col(B_*), (d, d − 2k)."""
        return self.frame[:, len(self.reduced_B) :]


def confined_start(instance: Example) -> ConfinedStart:
    """Turn a ``few_steps`` instance into arrays."""
    frame, k = reflected_identity(instance["frame"]), instance["k"]
    reduced = np.concatenate([array(instance["X"]), array(instance["Y"])])
    at = StepArrays(
        frame[:, : 2 * k] @ reduced,
        array(instance["w"]),
        array(instance["heads"]),
        frame[:, :k],
        frame[:, k:],
        instance["alpha"],
        instance["beta"],
    )
    return ConfinedStart(at, frame, reduced)


def _confinement_proof() -> Proof:
    proof = Proof()
    for name, learner in LEARNERS.items():
        after = proof.substituted(f"θ_i = B_*w_{{*,i}} into B⁺ of {name}", next_representation(learner))
        beyond = proof.rewritten(a.B_perp.T * after, "ZᵀB = 0 and ZᵀB_* = 0 in ZᵀB⁺", *BEYOND)
        proof.vanishes(f"ZᵀB⁺ of {name} and 0", beyond)
    return proof


def _confinement_check(instance: Example, implementation: Implementation) -> Comparison:
    start = confined_start(instance)
    beyond = start.beyond
    found = []
    for learner in supported(implementation):
        at = start.at
        # An error made in one step is multiplied by the next right factor N, which is stated, so it can be followed up.
        error = implementation.eps * ROUNDINGS_PER_WORD * (float(np.abs(at.B).max()) if not at.exact else 0.0)
        for _ in range(instance["steps"]):
            scale = step_scale(learner, at)
            if not at.exact:
                factor, _ = stated_split(learner).evaluate(learner, at.B, at.w, at.B_star, at.heads, at.alpha, at.beta)
                error = error * column_sums(factor) + implementation.eps * ROUNDINGS_PER_WORD * scale
            B, w = implementation.step(learner, at.B, at.w, at.targets, at.alpha, at.beta)
            at = StepArrays(B, w, at.heads, at.B_star, at.B_perp, at.alpha, at.beta)
        found.append(
            Comparison(
                _largest(beyond.T @ at.B),
                0,
                error * column_sums(beyond),
                f"{learner.name}: part of B_{instance['steps']} beyond col(B_0) + col(B_*), largest entry",
            )
        )
    return most_strained(found)


def _largest(matrix: np.ndarray) -> Any:
    if matrix.dtype == object:
        return max(abs(entry) for entry in matrix.flat)
    return float(np.abs(matrix).max())  # NaN stays NaN, which no bound allows


CONFINEMENT = Claim(
    id="confinement",
    chapter=CHAPTER,
    statement=(
        r"A step adds no direction to $\mathrm{col}(B) + \mathrm{col}(B_*)$: if $Z^\top B = 0$ and $Z^\top B_* = 0$, "
        r"then $Z^\top B^+ = 0$ after a step of any of the five learners, whatever the tasks."
    ),
    source=own(),
    hypotheses=r"any $B$, $w$, heads, orthonormal $B_*$, $\alpha \ne \beta$; $d > 2k$ (else it says nothing)",
    expected=Verdict.PROVED,
    learners=tuple(LEARNERS),
    exercises=frozenset({"step"}),
    rests_on=("right-factor-any-spec",),
    proof=_confinement_proof,
    floats=lambda: few_steps(floats, 3),
    fractions=lambda: few_steps(fractions, 2),
    check=_confinement_check,
    examples=20,
    remark=(
        r"So, by induction, $\mathrm{col}(B_t) \subset \mathrm{col}(B_0) + \mathrm{col}(B_*)$ for every $t$: a "
        "trajectory is one step after the other, whatever the tasks of each. The instances take up to three steps."
    ),
)


def _reduction_proof() -> Proof:
    proof = Proof()
    coordinates = {"B": a.B_star * a.M + a.B_perp * a.Y}
    for name, learner in LEARNERS.items():
        grad_w = task_gradients(learner)[1].substitute(TRUTH)
        factor, inflow = split_update(learner)
        after = next_representation(learner).substitute(coordinates).rewrite(PERPENDICULAR)
        proof.substituted(f"B = B_*X + B_{{*⊥}}Y into the step of {name} (X is written M)", after)
        parts = [part.substitute(coordinates).rewrite(PERPENDICULAR) for part in (factor, inflow, grad_w)]
        proof.equal(
            f"B_*ᵀB⁺ and XN + βC ({name})",
            (a.B_star.T * after).rewrite(PERPENDICULAR),
            a.M * parts[0] + parts[1].scaled(beta=1),
        )
        proof.equal(f"B_{{*⊥}}ᵀB⁺ and YN ({name})", (a.B_perp.T * after).rewrite(PERPENDICULAR), a.Y * parts[0])
        proof.fact(
            f"N, C and ∇_w of {name} are words in X, YᵀY, w and w_{{*,i}}",
            set().union(*(part.letters() for part in parts)) <= {"M", "Y", "w", "w_star_i"}
            and all("p" not in part.shape for part in parts),
        )
    return proof


def _reduction_check(instance: Example, implementation: Implementation) -> Comparison:
    start = confined_start(instance)
    at, k = start.at, instance["k"]
    if at.exact:
        truth, reduced = np.eye(2 * k, k, dtype=int).astype(object), start.reduced_B
    else:
        problem = reduce(Problem(instance["d"], at.B_star, FixedTasks(at.heads), at.B, at.w, instance["n"]))
        truth, reduced = problem.B_star, problem.B0
    found = []
    for learner in supported(implementation):
        full, head, small, small_head = at.B, at.w, reduced, at.w
        for _ in range(instance["steps"]):
            full, head = implementation.step(learner, full, head, at.targets, at.alpha, at.beta)
            small, small_head = implementation.step(learner, small, small_head, truth @ at.heads, at.alpha, at.beta)
        # The rows of |frame|·[|X|; |Y|] are bounded by the column sums of [|X|; |Y|], since no entry of the frame
        # exceeds 1: that bounds the moduli of the full and of the reduced coordinates at once. Gram matrices square it.
        largest_letters = StepArrays(
            np.ones((len(full), k)) * float(np.abs(start.reduced_B).sum(0).max()),
            np.abs(at.w), np.abs(at.heads), np.abs(at.B_star), at.B_perp, at.alpha, at.beta,
        )  # fmt: skip
        scale = 0.0 if at.exact else step_scale(learner, largest_letters)
        gram = scale * (1 + scale) * instance["d"]
        found.append(
            same(
                run_together(full.T @ full, at.B_star.T @ full, head),
                run_together(small.T @ small, truth.T @ small, small_head),
                gram,
                implementation.eps,
                f"{learner.name}: BᵀB, B_*ᵀB and w after {instance['steps']} step(s) in R^d minus those in R^2k",
                2 * ROUNDINGS_PER_WORD,
            )
        )
    return most_strained(found)


REDUCTION = Claim(
    id="reduction",
    chapter=CHAPTER,
    statement=(
        r"A step in coordinates along $B_*$ and beside it: with $X = B_*^\top B$ and "
        r"$Y = B_{*\perp}^\top B$, $X^+ = X N + \beta C$ and $Y^+ = Y N$, where $N$, $C$ and $\nabla_w$ depend on $X$, "
        r"$Y^\top Y$, $w$ and the heads only."
    ),
    source=own(),
    hypotheses=r"any $B$, $w$, heads, orthonormal $B_*$, $\alpha \ne \beta$; instances with $d > 2k$",
    expected=Verdict.PROVED,
    learners=tuple(LEARNERS),
    exercises=frozenset({"step"}),
    rests_on=("right-factor-any-spec", "confinement"),
    proof=_reduction_proof,
    floats=lambda: few_steps(floats, 1),
    fractions=lambda: few_steps(fractions, 2),
    check=_reduction_check,
    examples=20,
    remark=(
        r"So, by induction, the dynamics in $R^d$ are exactly those in $R^{\min(d, 2k)}$: $w_t$, $B_*^\top B_t$, "
        r"$B_t^\top B_t$, and with them the distance, do not depend on $d$. The instances take two steps exactly, "
        "one in floats (the second would multiply the first one's rounding by its derivative)."
    ),
)


LEAST_DECADE, LEAST_DECADE_SINGLE = 290, 30
"""‖Y‖ goes down to 10^−this in doubles and in singles: products with Y, where the arithmetic takes them for zero, are
then below its eps."""


@st.composite
def nearly_there(draw: st.DrawFn) -> Example:
    """A start [X; 10^−decade·Y] in R^(2k) and one outer step of moderate size; one entry of Y is at least ½."""
    instance = dict(draw(few_steps(floats, 1, 0, 0)))
    del instance["frame"]
    instance["Y"][0][0] = draw(floats(0.5, 1.0))
    return {**instance, "decade": draw(st.integers(10, LEAST_DECADE))}


def _small_part_check(instance: Example, implementation: Implementation) -> Comparison:
    """B_{*⊥}ᵀB⁺ against Y N, both divided by ‖Y‖'s decade; N at Y = 0, from which YᵀY < 10⁻¹⁹ is no different."""
    k, least = instance["k"], LEAST_DECADE if implementation.eps < 1e-12 else LEAST_DECADE_SINGLE
    tiny = 10.0 ** -min(instance["decade"], least)
    X, Y = array(instance["X"]), array(instance["Y"])
    w, heads, truth = array(instance["w"]), array(instance["heads"]), np.eye(2 * k, k)
    alpha, beta = instance["alpha"], instance["beta"]
    start, there = np.concatenate([X, tiny * Y]), np.concatenate([X, 0 * Y])
    found = []
    for learner in supported(implementation):
        after = implementation.step(learner, start, w, truth @ heads, alpha, beta)[0][k:] / tiny
        factor, _ = stated_split(learner).evaluate(learner, there, w, truth, heads, alpha, beta)
        # The words of B⁺'s rows beside B_* are those of Y N: their moduli are at most those of a step from |Y|, |X|.
        whole = StepArrays(np.concatenate([np.abs(X), np.abs(Y)]), w, heads, truth, np.eye(2 * k)[:, k:], alpha, beta)
        found.append(
            same(
                after,
                Y @ factor,
                step_scale(learner, whole),
                implementation.eps,
                f"{learner.name}: B_perpᵀB⁺ − YN over the size {tiny:.0e} of Y, largest entry",
                2 * ROUNDINGS_PER_WORD,
            )
        )
    return most_strained(found)


SMALL_PART = Claim(
    id="step-keeps-small-part",
    chapter=CHAPTER,
    statement=(
        r"In reduced coordinates, where $B_* = [I; 0]$, a step computes $Y^+ = YN$ with rounding errors relative to "
        r"$\|Y\|$, $Y = B_{*\perp}^\top B$, however small $Y$ is: down to $10^{-290}$."
    ),
    source=own(),
    hypotheses=r"$d = 2k$, $B_* = [I; 0]$, any $X = B_*^\top B$, $w$, heads, $\alpha \ne \beta$, "
    r"$\|Y\|$ from $10^{-9}$ down to $10^{-290}$",
    expected=Verdict.SUPPORTED,
    learners=tuple(LEARNERS),
    exercises=frozenset({"step"}),
    rests_on=("reduction",),
    floats=nearly_there,
    check=_small_part_check,
    examples=20,
    remark=(
        "So a run in reduced coordinates can be followed far below the units of rounding at which one in other "
        "coordinates of $R^d$ stops."
    ),
)


# ---------------------------------------------------------------------------------- which moments of the heads

EQUAL_POWER_SUMS: dict[int, tuple[tuple[int, ...], tuple[int, ...]]] = {
    0: ((0, 2), (1, 3)),
    1: ((0, 2), (1, 1)),
    2: ((0, 4, 5), (1, 2, 6)),
    3: ((0, 4, 7, 11), (1, 2, 9, 10)),
    4: ((0, 4, 8, 16, 17), (1, 2, 10, 14, 18)),
}
"""By degree p: two sets of numbers whose power sums agree up to p and not at p + 1 (Prouhet, Tarry, Escott)."""

ORDINALS = ("no", "first", "second", "third", "fourth")


def _top_degree(learner: Learner, degree: int) -> tuple[Poly, Poly]:
    """The words of (∇_B, ∇_w) that have θ_i ``degree`` times."""
    grad_B, grad_w = task_gradients(learner)
    return tuple(g.part(lambda count: count("theta_i") == degree) for g in (grad_B, grad_w))  # type: ignore[return-value]


def _moments_proof(learner: Learner, degree: int) -> Proof:
    proof = Proof()
    grad_B, grad_w = task_gradients(learner)
    proof.expanded("∇_B", grad_B)
    proof.expanded("∇_w", grad_w)
    proof.fact(
        f"no word has θ_i more than {degree} times: its average is linear in the moments of w_{{*,i}} up to that one",
        head_degree(learner) <= degree,
    )
    top = _top_degree(learner, degree)
    proof.expanded(f"the words with θ_i {degree} times", top[0])
    proof.fact(
        f"there are words with θ_i {degree} times: the moment of that order is seen, apart from all lower ones",
        bool(top[0]) or bool(top[1]),
    )
    return proof


@st.composite
def _two_head_sets(draw: st.DrawFn, numbers: Numbers, degree: int) -> Example:
    """Heads a + x b for the numbers x of either of two sets whose power sums agree up to ``degree`` or to one less."""
    base = dict(draw(outer_steps(numbers, largest_k=2, largest_d=4)))
    del base["heads"]
    agree = draw(st.sampled_from((degree, degree - 1)))
    base |= {"agree": agree, "n": len(EQUAL_POWER_SUMS[agree][0])}
    # b is small because x goes up to 18 and enters up to the fourth power
    return {**base, "a": draw(vector(numbers, base["k"])), "b": draw(vector(numbers, base["k"], 0.25))}


def _moments_check(learner: Learner, degree: int) -> Check:
    def check(instance: Example, implementation: Implementation) -> Comparison:
        pair = EQUAL_POWER_SUMS[instance["agree"]]
        a_, b_ = array(instance["a"]), array(instance["b"])
        head_sets = [a_[:, None] + b_[:, None] * np.array([x], dtype=int).astype(a_.dtype) for x in pair]
        left, right = (step_arrays({**instance, "heads": heads.tolist()}) for heads in head_sets)
        steps = [implementation.step(learner, at.B, at.w, at.targets, at.alpha, at.beta) for at in (left, right)]
        # What must remain: −β times the difference of the power sums of that degree, times the top-degree words at b.
        top = _top_degree(learner, degree)
        letters = {"B": left.B, "w": left.w, "theta_i": left.B_star @ b_[:, None]}
        gap = sum(x**degree for x in pair[0]) - sum(x**degree for x in pair[1])
        factor = -left.beta * gap / len(pair[0])
        remains = [factor * evaluate_words(part, letters, {"alpha": left.alpha}) for part in top]
        return same(
            run_together(steps[0][0] - steps[1][0], steps[0][1] - steps[1][1]),
            run_together(*remains),
            step_scale(learner, left) + step_scale(learner, right),
            implementation.eps,
            f"difference of two sets' steps, equal moments up to {instance['agree']}, minus the predicted difference",
        )

    return check


def _moments_claim(name: str, learner: Learner, degree: int) -> Claim:
    which = "mean" if degree == 1 else f"first {('two', 'three', 'four')[degree - 2]} moments"
    return Claim(
        id=f"moments-{name}",
        chapter=CHAPTER,
        statement=(
            f"A step of {TITLES[name]} depends on the tasks' heads through their {which} only, "
            f"and on the {ORDINALS[degree]} moment it does depend."
        ),
        source=own(),
        hypotheses=(
            f"{ANY_STEP}; heads $a + x_i b$ with two sets of numbers $x_i$ whose power sums agree up to degree "
            f"{degree}, or up to {degree - 1}"
        ),
        expected=Verdict.PROVED,
        learners=(name,),
        exercises=frozenset({"step"}),
        rests_on=(f"update-{name}",),
        proof=lambda: _moments_proof(learner, degree),
        floats=lambda: _two_head_sets(floats, degree),
        fractions=lambda: _two_head_sets(fractions, degree),
        check=_moments_check(learner, degree),
        examples=24,
        remark=(
            "So it does not depend on their number in any other way. "
            f"Where the moments agree up to {degree - 1} only, the two steps must differ by exactly $-\\beta$ times "
            "the difference of the next power sums times the words of top degree; the check demands that difference."
        ),
    )


MOMENT_DEGREES = {"average-loss": 1, "anil": 2, "fo-anil": 2, "fo-maml": 3, "maml": 4}
"""The highest moment of the heads that each learner's step sees."""

MOMENTS = tuple(_moments_claim(name, LEARNERS[name], degree) for name, degree in MOMENT_DEGREES.items())

CLAIMS = (*RIGHT_FACTORS, *SPAN_PARTS, ANY_SPEC, ADAPTED_MOMENTS, CONFINEMENT, REDUCTION, SMALL_PART, *MOMENTS)
