"""What of the tasks a step sees: their heads' moments up to some order."""

import numpy as np
from hypothesis import strategies as st

from metarep.sim.implementations import Implementation
from metarep.sim.learners import Learner
from metarep.theory.calculus.evaluation import evaluate_words
from metarep.theory.calculus.proofs import Proof
from metarep.theory.calculus.words import Poly
from metarep.theory.claims.comparing import same, step_scale
from metarep.theory.claims.record import Comparison, Example, Verdict
from metarep.theory.claims.strategies import ANY_STEP, Entries, Numbers, any_step, array, step_arrays
from metarep.theory.claims.structure import claim
from metarep.theory.dynamics.derive import task_gradients
from metarep.theory.dynamics.structure import head_degree

MOMENT_DEGREES = {"average-loss": 1, "anil": 2, "fo-anil": 2, "fo-maml": 3, "maml": 4}
"""The highest moment of the heads that each learner's step sees."""

EQUAL_POWER_SUMS: dict[int, tuple[tuple[int, ...], tuple[int, ...]]] = {
    0: ((0, 2), (1, 3)),
    1: ((0, 2), (1, 1)),
    2: ((0, 4, 5), (1, 2, 6)),
    3: ((0, 4, 7, 11), (1, 2, 9, 10)),
    4: ((0, 4, 8, 16, 17), (1, 2, 10, 14, 18)),
}
"""By degree p: two sets of numbers whose power sums agree up to p and not at p + 1 (Prouhet, Tarry, Escott)."""

ORDINALS = ("no", "first", "second", "third", "fourth")


def _words(learner: Learner) -> dict[str, str | int]:
    degree = MOMENT_DEGREES[learner.name]
    which = "mean" if degree == 1 else f"first {('two', 'three', 'four')[degree - 2]} moments"
    return {"which": which, "ordinal": ORDINALS[degree], "degree": degree, "less": degree - 1}


def _top_degree(learner: Learner, degree: int) -> tuple[Poly, Poly]:
    """The words of (∇_B, ∇_w) that have θ_i ``degree`` times."""
    grad_B, grad_w = task_gradients(learner)
    return tuple(g.part(lambda count: count("theta_i") == degree) for g in (grad_B, grad_w))  # type: ignore[return-value]


def moments_proof(proof: Proof, learner: Learner, degree: int | None = None) -> None:
    """That ``degree``, the learner's own unless given, is the highest moment of the heads that its step sees."""
    degree = MOMENT_DEGREES[learner.name] if degree is None else degree
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


@st.composite
def two_head_sets(draw: st.DrawFn, numbers: Numbers, learner: Learner) -> Example:
    """Heads a + x b for the numbers x of either of two sets whose power sums agree up to the learner's degree or to one
    less, and perhaps others that both sets have.
    """
    degree = MOMENT_DEGREES[learner.name]
    made = Entries(draw, numbers)
    base = any_step(made)
    agree = draw(st.sampled_from((degree, degree - 1)))
    base["others"] = base.pop("heads") if draw(st.booleans()) else []
    of_both = base["n"] if base["others"] else 0
    base |= {"agree": agree, "n": len(EQUAL_POWER_SUMS[agree][0]) + of_both}
    # b is small because x goes up to 18 and enters up to the fourth power
    return {**base, "a": made.vector(base["k"], power=2), "b": made.vector(base["k"], 0.25, power=2)}


@claim(
    Verdict.PROVED,
    given=f"{ANY_STEP}; heads $a + x_i b$ with two sets of numbers $x_i$ whose power sums agree up to degree «degree», "
    "or up to «less», and any others that both have",
    each=MOMENT_DEGREES,
    words=_words,
    exercises="step",
    rests_on="update-«name»",
    draws=two_head_sets,
    proof=moments_proof,
    examples=24,
)
def moments(example: Example, implementation: Implementation, learner: Learner) -> Comparison:
    r"""A step of «title» depends on the tasks' heads through their «which» only, and on the «ordinal» moment it does
    depend.

    So it does not depend on their number in any other way. Where the moments agree up to «less» only, the two steps
    must differ by exactly $-\beta$ times the difference of the next power sums times the words of top degree; the check
    demands that difference.
    """
    degree, pair = MOMENT_DEGREES[learner.name], EQUAL_POWER_SUMS[example["agree"]]
    a, b = array(example["a"]), array(example["b"])
    head_sets = [a[:, None] + b[:, None] * np.array([x], dtype=int).astype(a.dtype) for x in pair]
    if example["others"]:
        head_sets = [np.concatenate([heads, array(example["others"])], axis=1) for heads in head_sets]
    left, right = (step_arrays({**example, "heads": heads.tolist()}) for heads in head_sets)
    steps = [at.stepped(implementation, learner) for at in (left, right)]
    # What must remain: −β times the difference of the power sums of that degree, times the top-degree words at b.
    letters = {"B": left.B, "w": left.w, "theta_i": left.B_star @ b[:, None]}
    gap = sum(x**degree for x in pair[0]) - sum(x**degree for x in pair[1])
    factor = -left.beta * gap / example["n"]
    remains = [factor * evaluate_words(part, letters, {"alpha": left.alpha}) for part in _top_degree(learner, degree)]
    return same(
        tuple(steps[0]),
        tuple(step + rest.reshape(step.shape) for step, rest in zip(steps[1], remains, strict=True)),
        step_scale(learner, left) + step_scale(learner, right),
        implementation.eps,
        f"the one set's step minus the other's and the predicted difference, equal moments up to {example['agree']}",
        objects={**left.objects, "heads": np.stack([left.heads, right.heads])},
    )
