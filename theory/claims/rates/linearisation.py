"""To first order at the truth: how each learner moves the perpendicular part, span and head; rotations are neutral."""

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np
from hypothesis import strategies as st

from metarep.sim.implementations import Implementation
from metarep.sim.learners import LEARNERS, META_LEARNERS, Learner
from metarep.theory.calculus import alphabet as a
from metarep.theory.calculus.proofs import Proof
from metarep.theory.claims.chapter import TITLES
from metarep.theory.claims.comparing import largest, same
from metarep.theory.claims.derivatives import (
    Neighbourhood,
    central_difference,
    difference_rounding,
    neighbourhood,
    neighbourhoods,
)
from metarep.theory.claims.rates import claim
from metarep.theory.claims.record import Comparison, Example, Verdict, own
from metarep.theory.claims.strategies import Numbers, fractions
from metarep.theory.claims.structure.factors import column_sums
from metarep.theory.dynamics.linearise import linearise, stated_linearisation

AT_TRUTH = (
    r"fixed tasks; $B = B_* M$ with $\alpha M M^\top = I$; any $d \ge k$, $n$, heads, $\alpha$, $\beta$; "
    r"near it $B = B_*(I + A - \frac{1}{2} S)M + B_{*\perp} Y$ with $S$ symmetric and $A$ skew, "
    r"$w = \alpha M^\top h + \frac{1}{\alpha} M^\top \omega$"
)
NO_HEAD = r"; $h = 0$ (the fixed point has $w = 0$)"
ANY_HEAD = r"; any $h$ (the fixed point has any $w$)"

THEOREM = {"anil": "theorem-1", "fo-anil": "theorem-1", "maml": "theorem-maml", "fo-maml": "theorem-maml"}
"""The paper's statement about each learner's rate."""


Parts = tuple[np.ndarray, np.ndarray, np.ndarray]
"""(S⁺, ω⁺, Y⁺)."""


def any_head(learner: Learner) -> bool:
    """Whether the truth is a fixed point of this meta-learner with any head (the ANILs), not at w = 0 alone."""
    return learner.adapts == "head"


def _heads(learner: Learner) -> tuple[tuple[bool, str], ...]:
    """The heads at the fixed point that a proof goes through, none or any, and how it calls them."""
    none, given = (False, "at w = 0"), (True, "for any head at the fixed point")
    return (none, given) if any_head(learner) else (none,)


def _examples(numbers: Numbers, learner: Learner, least_beyond: int) -> st.SearchStrategy[Example]:
    return neighbourhoods(numbers, any_head(learner), least_beyond)


def first_order(
    near: Neighbourhood,
    learner: Learner,
    implementation: Implementation,
    stated: Parts,
    objects: Mapping[str, Any],
    of: Iterable[str] = ("S⁺", "ω⁺", "Y⁺"),
) -> Iterator[Comparison]:
    """The parts S⁺, ω⁺, Y⁺ to first order by the implementation's step beside a ``neighbourhoods`` example, each
    compared with what is stated of it.
    """
    dB, dw = near.direction()
    moved = near.coordinates(*central_difference(implementation, learner, near.at, dB, dw))
    rounding = difference_rounding(learner, near.at, dB, dw, 1.0)
    # The change of coordinates adds up k or d entries of the derivative each way.
    by_M, alpha = column_sums(near.M.T), float(near.at.alpha)
    gains = (2 * alpha * column_sums(near.at.B_star) * by_M, alpha**2 * by_M, column_sums(near.at.B_perp))
    # None of the parts has to be there, so its size is what it would have by B, which is: S has none, Y that of B, ω
    # that of w over α² times M.
    M = largest(near.M)
    sizes = (1.0, alpha**2 * M * M, M)
    for name, part, said, gain, size in zip(("S⁺", "ω⁺", "Y⁺"), moved, stated, gains, sizes, strict=True):
        if name in of:
            why = f"{name} by the derivative of the implementation's step minus the stated one, largest entry"
            yield same(part, said, rounding * gain, implementation.eps, why, 1, objects, size)


def _as_stated(example: Example, implementation: Implementation, learner: Learner, *of: str) -> Iterator[Comparison]:
    """Compare these of the parts S⁺, ω⁺, Y⁺ with what is stated of them."""
    near = neighbourhood(example)
    return first_order(near, learner, implementation, near.stated(learner, any_head(learner)), near.objects, of)


def _perpendicular_proof(proof: Proof, learner: Learner) -> None:
    for head, said in _heads(learner):
        derived = linearise(learner, head).Y
        proof.expanded(f"Y⁺ from the derivative of the derived step, {said}", derived)
        proof.equal(f"Y⁺ {said}", derived, stated_linearisation(learner, head).expand()[2])


@claim(
    Verdict.PROVED,
    source={name: own("the derived step differentiated at the truth", THEOREM[name]) for name in META_LEARNERS},
    given=AT_TRUTH + "«head»",
    each=META_LEARNERS,
    words=lambda learner: {"head": ANY_HEAD if any_head(learner) else NO_HEAD},
    exercises="step",
    rests_on="update-«name»",
    draws=partial(_examples, least_beyond=1),
    proof=_perpendicular_proof,
    examples=24,
)
def local_rate(example: Example, implementation: Implementation, learner: Learner) -> Iterator[Comparison]:
    r"""At the truth «title» moves the perpendicular part to first order by $Y^+ M^{-1} = Y
    M^{-1}(I - \alpha\beta\Psi_*)$.

    So with $\lambda_j$ the eigenvalues of $\Psi_*$ its modes contract by $1 - \alpha\beta\lambda_j$; where the fixed
    point is stable and $\alpha\beta L_*^2 \le 1$, $\mathrm{dist}$ falls by $1 - \alpha\beta\mu_*^2$ a step in the end:
    twice the envelope's exponent and more.
    """
    yield from _as_stated(example, implementation, learner, "Y⁺")


def _span_proof(proof: Proof, learner: Learner) -> None:
    for head, said in _heads(learner):
        derived = linearise(learner, head)
        span, deviation, _ = stated_linearisation(learner, head).expand()
        proof.expanded(f"S⁺ from the derivative of the derived step, {said}", derived.S)
        proof.expanded(f"ω⁺ from the derivative of the derived step, {said}", derived.omega)
        proof.equal(f"S⁺ {said}", derived.S, span)
        proof.equal(f"ω⁺ {said}", derived.omega, deviation)


_STEPS = {
    "anil": r"""$S^+ = S - 2\alpha\beta(S\Phi + \Phi S)$ with
        $\Phi = \frac{1}{n}\sum_i (h - w_{*,i})(h - w_{*,i})^\top$, and the head is neutral, $\omega^+ = \omega$""",
    "fo-anil": r"""$S^+ = S - \alpha\beta(S K + K^\top S)$ with $K = \Psi_* - h \bar w_*^\top$, and the head drifts,
        $\omega^+ = \omega + \alpha\beta S(\bar w_* - h)$, without acting back""",
    "maml": r"""$S^+ = S - \alpha\beta(2(S\Psi_* + \Psi_* S) - 4T(\omega))$ and
        $\omega^+ = \omega - \alpha^3\beta\frac{1}{n}\sum_i (\|w_{*,i}\|^2 w_{*,i}w_{*,i}^\top\omega -
        (w_{*,i}^\top S w_{*,i}) w_{*,i})$,
        $T(\omega) = \frac{1}{n} \sum_i (\omega^\top w_{*,i}) w_{*,i} w_{*,i}^\top$""",
    "fo-maml": r"""$S^+ = S - \alpha\beta(S\Psi_* + \Psi_* S - 2T(\omega))$ and
        $\omega^+ = \omega - \alpha\beta(\Psi_*\omega - S\bar w_*)$,
        $T(\omega) = \frac{1}{n} \sum_i (\omega^\top w_{*,i}) w_{*,i} w_{*,i}^\top$""",
}


@claim(
    Verdict.PROVED,
    source=own("the derived step differentiated at the truth"),
    given=AT_TRUTH + "«head»",
    each=META_LEARNERS,
    words=lambda learner: {"head": ANY_HEAD if any_head(learner) else NO_HEAD, "step": _STEPS[learner.name]},
    exercises="step",
    rests_on="update-«name»",
    draws=partial(_examples, least_beyond=0),
    proof=_span_proof,
    examples=24,
)
def span_rate(example: Example, implementation: Implementation, learner: Learner) -> Iterator[Comparison]:
    """At the truth «title» moves span and head to first order by «step»."""
    yield from _as_stated(example, implementation, learner, "S⁺", "ω⁺")


def _rotation_proof(proof: Proof) -> None:
    for name in META_LEARNERS:
        for head, said in _heads(LEARNERS[name]):
            linear = linearise(LEARNERS[name], head)
            free = not any("A" in part.letters() for part in (linear.S, linear.omega, linear.Y))
            proof.fact(f"A stands in no word of S⁺, ω⁺, Y⁺ of {TITLES[name]} {said}", free)
            rest = linear.A.part(lambda count: count("A") > 0)
            proof.equal(f"what A⁺ owes to A, {TITLES[name]} {said}", rest, a.A)


@claim(
    Verdict.PROVED,
    source=own("the derived step differentiated at the truth"),
    given=AT_TRUTH + NO_HEAD + " for the MAMLs, any $h$ for the ANILs; examples: $k \\ge 2$, else $A = 0$",
    learners=META_LEARNERS,
    exercises="step",
    rests_on=[f"span-rate-{name}" for name in META_LEARNERS],
    floats=partial(neighbourhoods, least_k=2),
    fractions=partial(neighbourhoods, fractions, least_k=2),
    proof=_rotation_proof,
    examples=12,
    at_any_pace="along a neutral direction there is no step to shorten",
)
def rotation_neutral(example: Example, implementation: Implementation) -> Comparison:
    r"""The rotations $A$ drop out of $S^+$, $\omega^+$ and $Y^+$ of all four learners, and $A^+ - A$ does not depend on
    $A$: rotations of the representation, which the heads undo, are neutral.
    """
    near = neighbourhood(example)
    at = near.at
    dB, dw = at.B_star @ near.A @ near.M, 0 * at.w
    learners = [LEARNERS[name] for name in META_LEARNERS]
    moved = [part for learner in learners for part in central_difference(implementation, learner, at, dB, dw)]
    return same(
        tuple(moved),
        (dB, dw) * len(learners),
        max(difference_rounding(learner, at, dB, dw, 1.0) for learner in learners),
        implementation.eps,
        "derivative of the step along a rotation minus the rotation, largest entry",
        roundings=1,
        objects=near.objects,
    )
