"""Where a step can go: the span of the start and the truth, and the 2k coordinates in which that is all there is."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import strategies as st

from metarep.sim.implementations import Implementation
from metarep.sim.learners import LEARNERS, Learner
from metarep.sim.problems import FixedTasks, Problem, reduce
from metarep.theory.calculus import alphabet as a
from metarep.theory.calculus.proofs import Proof
from metarep.theory.calculus.words import Rule
from metarep.theory.claims.comparing import ROUNDINGS_PER_WORD, close, largest, same, step_moduli, step_scale, supported
from metarep.theory.claims.record import Comparison, Example, Verdict
from metarep.theory.claims.strategies import (
    Entries,
    Numbers,
    Sizes,
    StepArrays,
    array,
    arrays_at,
    floats,
    fractions,
    reflected_identity,
)
from metarep.theory.claims.structure import claim
from metarep.theory.claims.structure.factors import column_sums, next_representation, stated_factors
from metarep.theory.dynamics.derive import task_gradients
from metarep.theory.dynamics.structure import PERPENDICULAR, TRUTH, split_update

BEYOND = (Rule("B_perp'", "B_star", None), Rule("B_perp'", "B", None))
"""For a matrix Z (written with the letter of B_{*⊥}) whose columns are perpendicular to col(B) and to col(B_*)."""


@st.composite
def few_steps(
    draw: st.DrawFn, numbers: Numbers, most_steps: int, least_beyond: int = 1, most_beyond: int = 99
) -> Example:
    """A start B_0 = frame·[X; Y; 0] in d = 2k + beyond dimensions, heads, and a few outer steps of moderate size.

    ‖X‖, ‖Y‖ ≤ 2 in units, w and heads at most √2 long, and α at most ½: a step of Exact MAML raises entries to the
    ninth power, and the third of them should still be a float.
    """
    made = Entries(draw, numbers, Sizes(2, 7, 12) if numbers is fractions else None)
    return few_steps_of(made, most_steps, least_beyond, most_beyond)


def few_steps_of(made: Entries, most_steps: int, least_beyond: int, most_beyond: int) -> dict[str, Any]:
    """An example of ``few_steps``, by its entries."""
    k = made.k(most=2 if made.exact else 99)
    d = made.d(2 * k + least_beyond, 2 * k + most_beyond)
    n = made.n()
    alpha, beta = made.step_sizes(0.5)
    by_norm, by_length = min(1.0, 2 / k), min(1.0, (2 / k) ** 0.5)
    return {
        "d": d,
        "k": k,
        "n": n,
        "steps": made.draw(st.integers(1, most_steps)),
        "alpha": alpha,
        "beta": beta,
        "X": made.matrix(k, k, by_norm, power=1),
        "Y": made.matrix(k, k, by_norm, power=1),
        "w": made.vector(k, by_length, power=1),
        "heads": made.heads(k, n, by_length, power=2),
        "frame": made.reflections(d),
    }


def confined_start(example: Example) -> tuple[StepArrays, np.ndarray, np.ndarray]:
    """Turn a ``few_steps`` example into arrays: the point in R^d, its B in the 2k coordinates (2k, k), and orthonormal
    columns perpendicular to col(B_0) and col(B_*), (d, d − 2k).
    """
    frame, k = reflected_identity(example["frame"]), example["k"]
    reduced = np.concatenate([array(example["X"]), array(example["Y"])])
    at = arrays_at(example, frame, k, frame[:, : 2 * k] @ reduced, example["alpha"], example["beta"])
    return at, reduced, frame[:, 2 * k :]


def _confinement_proof(proof: Proof) -> None:
    for name, learner in LEARNERS.items():
        after = proof.substituted(f"θ_i = B_*w_{{*,i}} into B⁺ of {name}", next_representation(learner))
        beyond = proof.rewritten(a.B_perp.T * after, "ZᵀB = 0 and ZᵀB_* = 0 in ZᵀB⁺", *BEYOND)
        proof.vanishes(f"ZᵀB⁺ of {name} and 0", beyond)


@claim(
    Verdict.PROVED,
    learners=LEARNERS,
    exercises="step",
    rests_on="right-factor-any-spec",
    floats=lambda: few_steps(floats, 3),
    fractions=lambda: few_steps(fractions, 2),
    proof=_confinement_proof,
    examples=20,
    at_any_pace="it is about where a step leads to, not about how far",
)
def confinement(example: Example, implementation: Implementation) -> Iterator[Comparison]:
    r"""A step adds no direction to $\mathrm{col}(B) + \mathrm{col}(B_*)$: if $Z^\top B = 0$ and $Z^\top B_* = 0$, then
    $Z^\top B^+ = 0$ after a step of any of the five learners, whatever the tasks.

    Given: any $B$, $w$, heads, orthonormal $B_*$, $\alpha$, $\beta$; $d > 2k$ (else it says nothing)

    So, by induction, $\mathrm{col}(B_t) \subset \mathrm{col}(B_0) + \mathrm{col}(B_*)$ for every $t$: a trajectory is
    one step after the other, whatever the tasks of each. The examples take up to three steps.
    """
    start, _, beyond = confined_start(example)
    for learner in supported(implementation):
        at = start
        # An error made in one step is multiplied by the next right factor N, which is stated, so it can be followed up.
        error = implementation.eps * ROUNDINGS_PER_WORD * (float(np.abs(at.B).max()) if not at.exact else 0.0)
        for _ in range(example["steps"]):
            scale = step_scale(learner, at)
            if not at.exact:
                factor, _ = stated_factors(learner, at)
                error = error * column_sums(factor) + implementation.eps * ROUNDINGS_PER_WORD * scale
            B, w = at.stepped(implementation, learner)
            at = replace(at, B=B, w=w)
        part = beyond.T @ at.B
        why = f"{learner.name}: part of B_{example['steps']} beyond col(B_0) + col(B_*), largest entry"
        shown = {**start.objects, "T": example["steps"], "B_T": at.B, "Z": beyond}
        yield close(part, 0 * part, error * column_sums(beyond), why, shown, largest(at.B))


def _reduction_proof(proof: Proof) -> None:
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


@claim(
    Verdict.PROVED,
    learners=LEARNERS,
    exercises="step",
    rests_on=("right-factor-any-spec", "confinement"),
    floats=lambda: few_steps(floats, 1),
    fractions=lambda: few_steps(fractions, 2),
    proof=_reduction_proof,
    examples=20,
    at_any_pace="it compares a run with itself in other coordinates, whatever its steps are",
)
def reduction(example: Example, implementation: Implementation) -> Iterator[Comparison]:
    r"""A step in coordinates along $B_*$ and beside it: with $X = B_*^\top B$ and $Y = B_{*\perp}^\top B$, $X^+ = X
    N + \beta C$ and $Y^+ = Y N$, where $N$, $C$ and $\nabla_w$ depend on $X$, $Y^\top Y$, $w$ and the heads only.

    Given: any $B$, $w$, heads, orthonormal $B_*$, $\alpha$, $\beta$; examples with $d > 2k$

    So, by induction, the dynamics in $R^d$ are exactly those in $R^{\min(d, 2k)}$: $w_t$, $B_*^\top B_t$, $B_t^\top
    B_t$, and with them the distance, do not depend on $d$. The examples take two steps exactly, one in floats (the
    second would multiply the first one's rounding by its derivative).
    """
    at, X_and_Y, _ = confined_start(example)
    k = example["k"]
    truth, reduced = np.eye(2 * k, k, dtype=int).astype(object), X_and_Y
    if not at.exact:
        problem = reduce(Problem(example["d"], at.B_star, FixedTasks(at.heads), at.B, at.w, example["n"]))
        truth, reduced = problem.B_star, problem.B0
    for learner in supported(implementation):
        full, head, small, small_head = at.B, at.w, reduced, at.w
        for _ in range(example["steps"]):
            full, head = implementation.step(learner, full, head, at.targets, at.alpha, at.beta)
            small, small_head = implementation.step(learner, small, small_head, truth @ at.heads, at.alpha, at.beta)
        # Letters are |frame|·[|X|; |Y|] in the full coordinates, whose rounding that bounds, and [|X|; |Y|] in the
        # reduced ones.
        moduli = np.abs(np.concatenate([at.B_star, at.B_perp], axis=1)[:, : 2 * k]) @ np.abs(X_and_Y)
        coordinates = (replace(at, B=moduli), replace(at, B=X_and_Y, B_star=truth))
        scale = 0.0 if at.exact else sum(_products_scale(learner, there) for there in coordinates)
        yield same(
            (full.T @ full, at.B_star.T @ full, head),
            (small.T @ small, truth.T @ small, small_head),
            scale,
            implementation.eps,
            f"{learner.name}: BᵀB, B_*ᵀB and w after {example['steps']} step(s) in R^d minus those in R^2k",
            2 * ROUNDINGS_PER_WORD,
            at.objects,
        )


def _products_scale(learner: Learner, at: StepArrays) -> float:
    """What relative rounding errors multiply in B⁺ᵀB⁺, B_*ᵀB⁺ and w⁺: an error of B⁺ enters the first twice."""
    B, w = step_moduli(learner, at)
    return float(max((2 * B.T @ B).max(), (np.abs(at.B_star).T @ B).max(), w.max()))


LEAST_DECADE, LEAST_DECADE_SINGLE = 290, 30
"""‖Y‖ goes down to 10^−this in doubles and in singles: products with Y, where the arithmetic takes them for zero, are
then below its eps.
"""


@st.composite
def nearly_there(draw: st.DrawFn) -> Example:
    """A start [X; 10^−decade·Y] in R^(2k) and one outer step of moderate size; one entry of Y is at least ½."""
    made = Entries(draw, floats, units=(0,))
    example = few_steps_of(made, 1, 0, 0)
    del example["frame"]
    example["Y"][0][0] = made.number(0.5, 1.0)
    return {**example, "decade": draw(st.integers(10, LEAST_DECADE))}


@claim(Verdict.SUPPORTED, learners=LEARNERS, exercises="step", rests_on="reduction", floats=nearly_there, examples=20)
def step_keeps_small_part(example: Example, implementation: Implementation) -> Iterator[Comparison]:
    r"""In reduced coordinates, where $B_* = [I; 0]$, a step computes $Y^+ = YN$ with rounding errors relative to
    $\|Y\|$, $Y = B_{*\perp}^\top B$, however small $Y$ is: down to $10^{-290}$.

    Given: $d = 2k$, $B_* = [I; 0]$, any $X = B_*^\top B$, $w$, heads, $\alpha$, $\beta$, $\|Y\|$ from $10^{-9}$ down
    to $10^{-290}$

    So a run in reduced coordinates can be followed far below the units of rounding at which one in other coordinates of
    $R^d$ stops.
    """
    # B_{*⊥}ᵀB⁺ against Y N, both divided by ‖Y‖'s decade; N at Y = 0, from which YᵀY < 10⁻¹⁹ is no different.
    k, least = example["k"], LEAST_DECADE if implementation.eps < 1e-12 else LEAST_DECADE_SINGLE
    tiny = 10.0 ** -min(example["decade"], least)
    X, Y = array(example["X"]), array(example["Y"])
    frame = np.eye(2 * k)

    def at(Y: np.ndarray, X: np.ndarray = X) -> StepArrays:
        return arrays_at(example, frame, k, np.concatenate([X, Y]), example["alpha"], example["beta"])

    for learner in supported(implementation):
        # The words of B⁺'s rows beside B_* are those of Y N: their moduli are at most those of a step from |Y|, |X|.
        yield same(
            at(tiny * Y).stepped(implementation, learner)[0][k:] / tiny,
            Y @ stated_factors(learner, at(0 * Y))[0],
            step_scale(learner, at(np.abs(Y), np.abs(X))),
            implementation.eps,
            f"{learner.name}: B_{{*⊥}}ᵀB⁺ − YN over the size {tiny:.0e} of Y, largest entry",
            2 * ROUNDINGS_PER_WORD,
            at(tiny * Y).objects,
        )
