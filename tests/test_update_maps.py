"""Symbolic map = NumPy map = automatic differentiation, and the same in rational arithmetic with tolerance zero; what a
report shows of it is what is proved.
"""

import re
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reading import read

from metarep.reports.chapters.update_maps import words_of, words_sections
from metarep.reports.page import blocks as b
from metarep.reports.study.interpreter import step as autograd_step
from metarep.sim.learners import LEARNERS, Learner
from metarep.sim.updates import loss_after_adaptation, residuals_after_adaptation, step
from metarep.theory.calculus import alphabet as a
from metarep.theory.calculus.evaluation import evaluate_words
from metarep.theory.calculus.proofs import Proof
from metarep.theory.calculus.words import Poly
from metarep.theory.calculus.written import in_words
from metarep.theory.claims import get_claim
from metarep.theory.dynamics.derive import derive, task_gradients
from metarep.theory.dynamics.structure import PERPENDICULAR, split_update

EPS = float(np.finfo(float).eps)
NAMES = sorted(LEARNERS)


@st.composite
def problems(draw):
    """Any d >= k, n and α ≠ β, with entries from a seed: their values do not matter to an identity, but must be
    generic.
    """
    k = draw(st.integers(1, 4))
    d = draw(st.integers(k, 8))
    n = draw(st.integers(1, 5))
    alpha = draw(st.floats(0.01, 1.0))
    beta = alpha * draw(st.one_of(st.floats(0.1, 0.9), st.floats(1.1, 5.0)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return rng.standard_normal((d, k)), rng.standard_normal(k), rng.standard_normal((d, n)), alpha, beta


ROUNDINGS = 100
"""Roundings behind one word's value: at most 9 letters, each a sum over at most 8 terms, then the sums over tasks and
words.
"""


def size_of_terms(learner, B, w, targets, alpha, beta):
    """Largest entry of |B| + β Σ|terms of ∇_B| and of its like for w: what relative rounding errors multiply."""
    arrays = {"B": np.abs(B), "w": np.abs(w), "theta_i": np.abs(targets)}
    moduli = (
        Poly(part.shape, {key: abs(value) for key, value in part.terms.items()}) for part in derive(learner).words
    )
    scalars = {
        "alpha": alpha,
        "beta": beta,
        "alpha_B": alpha * learner.representation_step,
        "alpha_w": alpha * learner.head_step,
        "ridge": learner.ridge,
    }
    grad_B, grad_w = (evaluate_words(part, arrays, scalars) for part in moduli)
    return max((np.abs(B) + beta * grad_B).max(), (np.abs(w)[:, None] + beta * grad_w).max())


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=20)
@given(problem=problems())
def test_symbolic_numpy_and_autograd_agree(name, problem):
    learner = LEARNERS[name]
    by_hand = step(learner, *problem)
    tolerance = ROUNDINGS * EPS * size_of_terms(learner, *problem)
    for other in (derive(learner)(*problem), derive(learner).step_by_words(*problem), autograd_step(learner, *problem)):
        for ours, theirs in zip(by_hand, other, strict=True):
            assert ours.shape == theirs.shape
            np.testing.assert_allclose(ours, theirs, rtol=0, atol=tolerance)


def test_the_tolerance_sees_a_step_size_wrong_by_a_billionth():
    rng = np.random.default_rng(0)
    B, w, targets = rng.standard_normal((6, 3)), rng.standard_normal(3), rng.standard_normal((6, 4))
    for learner in LEARNERS.values():
        right, wrong = (step(learner, B, w, targets, 0.1, beta) for beta in (0.2, 0.2 * (1 + 1e-9)))
        tolerance = ROUNDINGS * EPS * size_of_terms(learner, B, w, targets, 0.1, 0.2)
        assert np.abs(right[0] - wrong[0]).max() > tolerance


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=10)
@given(problem=problems())
def test_fractions_agree_exactly(name, problem):
    """The hand-written map on fractions is the symbolic map, by its program and word by word: tolerance zero."""
    learner = LEARNERS[name]
    B, w, targets = (rounded(array) for array in problem[:3])
    alpha, beta = (Fraction(value).limit_denominator(50) + Fraction(1, 50) for value in problem[3:])
    by_hand = step(learner, B, w, targets, alpha, beta)
    for other in (
        derive(learner)(B, w, targets, alpha, beta),
        derive(learner).step_by_words(B, w, targets, alpha, beta),
    ):
        for ours, theirs in zip(by_hand, other, strict=True):
            assert (ours == theirs).all()
            assert isinstance(ours.flat[0], Fraction)


def rounded(array):
    """Fractions near the floats, as an object array."""
    return np.vectorize(lambda x: Fraction(float(x)).limit_denominator(9), otypes=[object])(array)


SPECS = [
    Learner("two-step MAML", "both", inner_steps=2),
    Learner("three-step FO-ANIL", "head", first_order=True, inner_steps=3),
    Learner("representation only", "representation"),
    Learner("separate step sizes", "both", head_step=2.0, representation_step=0.5),
    Learner("ridge", "head", ridge=0.3),
    Learner("Reptile", "both", outer="displacement"),
]


@pytest.mark.parametrize("learner", SPECS)
def test_derived_specs_agree_with_autograd(learner):
    """Specs beyond the paper's five have no map by hand; autograd knows them from their definition."""
    rng = np.random.default_rng(1)
    B, w, targets = rng.standard_normal((5, 2)), rng.standard_normal(2), rng.standard_normal((5, 3))
    derived, automatic = derive(learner)(B, w, targets, 0.1, 0.2), autograd_step(learner, B, w, targets, 0.1, 0.2)
    tolerance = (
        10 * ROUNDINGS * EPS * size_of_terms(learner, B, w, targets, 0.1, 0.2)
    )  # words of up to 10 times as many letters
    for ours, theirs in zip(derived, automatic, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=tolerance)


@pytest.mark.parametrize(
    "learner", [spec for spec in (*LEARNERS.values(), *SPECS) if not spec.first_order and spec.outer == "gradient"]
)
def test_the_loss_after_adaptation_is_what_autograd_differentiates(learner):
    """Central differences of it along a direction against the outer gradient, for learners that differentiate it."""
    rng = np.random.default_rng(1)
    B, w, targets = rng.standard_normal((2, 5, 2)), rng.standard_normal((2, 2)), rng.standard_normal((2, 5, 3))
    dB, dw, alpha = rng.standard_normal((5, 2)), rng.standard_normal(2), np.array([0.1, 0.2])
    h = 1e-5  # so that rounding, eps/h, and the third derivative, h² times 1e3 or so, are alike
    above, below = (loss_after_adaptation(learner, B + s * dB, w + s * dw, targets, alpha) for s in (h, -h))
    after = [autograd_step(learner, B[i], w[i], targets[i], alpha[i], 1.0) for i in range(2)]
    slopes = [np.sum((B[i] - after[i][0]) * dB) + (w[i] - after[i][1]) @ dw for i in range(2)]
    np.testing.assert_allclose((above - below) / (2 * h), slopes, rtol=1e-6)


def test_what_the_head_alone_adapts_to():
    """MAML's inner loop with B left alone is ANIL's; an exact head has no steps."""
    rng = np.random.default_rng(1)
    B, w, targets = rng.standard_normal((5, 2)), rng.standard_normal(2), rng.standard_normal((5, 3))
    alone = residuals_after_adaptation(LEARNERS["maml"], B, w, targets, 0.1, head_alone=True)
    np.testing.assert_array_equal(alone, residuals_after_adaptation(LEARNERS["anil"], B, w, targets, 0.1))
    with pytest.raises(ValueError, match="exact_head is true; allowed: inner steps by gradients"):
        residuals_after_adaptation(Learner("exact", "head", exact_head=True), B, w, targets, 0.1)


# --- what a report shows of them


def defined(line: str) -> dict[str, Poly]:
    """What the letters stand for that a line defines, '$letter = ...$', in order."""
    known: dict[str, Poly] = {}
    for symbol, value in re.findall(r"\$([^$=]+) = ([^$]+)\$", line):
        known[symbol] = read(value, known)
    return known


@pytest.mark.parametrize("name", LEARNERS)
def test_what_a_claim_states_expands_to_what_its_proof_compares(name: str) -> None:
    update, factor, span = (get_claim(f"{stem}-{name}") for stem in ("update", "right-factor", "span-part"))
    proofs = [claim.proof() for claim in (update, factor, span) if claim.proof]
    assert all(isinstance(proof, Proof) and proof.complete for proof in proofs)
    gradients, off, step = (proof.identities for proof in proofs if isinstance(proof, Proof))

    stated, definitions = update.statement.split("with")
    known = defined(definitions)
    by_B, by_w = re.findall(r"\\nabla_[Bw] = ([^$]+)\$", stated)
    assert [read(by_B, known), read(by_w, known)] == [left for _, left, _ in gradients]

    # N and C: the step says what the letters of the statement's definitions stand for
    for claim, proof, (_, left, _) in zip((factor, span), proofs[1:], (*off, *step), strict=True):
        assert isinstance(proof, Proof)
        stated = re.sub(r"\$(B_\{\*\\perp\}\^\\top )?\s*B\^\+[^$]*\$", "", claim.statement)
        steps = next(each.what for each in proof.steps if "stated N" in each.what)
        where = stated.partition("where")[2]
        known = defined(steps.split(": ")[0] + where)
        parts = dict(re.findall(r"\$([NC]) = ([^$]+)\$", stated))
        N = read(parts["N"], known)
        if claim is factor:
            assert (a.B_perp.T * a.B * N).rewrite(PERPENDICULAR) == left
        else:
            assert a.B * N + (a.B_star * read(parts["C"], known)).scaled(beta=1) == left


@pytest.mark.parametrize("name", LEARNERS)
def test_the_words_that_a_report_lists_are_all_that_is_proved(name: str) -> None:
    learner = LEARNERS[name]
    both = (*task_gradients(learner), *split_update(learner))
    sums: dict[str, Poly] = dict(zip((r"\nabla_B", r"\nabla_w", "N", "C"), both, strict=True))
    for section in words_sections(name):
        (block,) = section.blocks
        assert isinstance(block, b.Long)
        tables = [each for each in block.blocks if isinstance(each, b.Table)]
        assert block.data[1].count("\n") == 1 + sum(len(table.rows) for table in tables)
        for table in tables:
            symbol = table.header[1].removeprefix("Word of ").strip("$")
            words = sums.pop(symbol)
            total = Poly(words.shape)
            for number, word in table.rows:
                total = total + read(number.strip("$")) * read(word.strip("$"))
            assert total == words
            assert f"{len(words)} words in ${symbol}$" in block.line
    assert all(in_words(words) for words in sums.values())  # those that a line shows


def test_claims_of_long_sums_say_where_their_words_are() -> None:
    assert words_of("right-factor-maml") == "All words, [with their coefficients](#words-maml): the 42 of $N$."
    assert words_of("update-maml").endswith(r"the 68 of $\nabla_B$ and the 58 of $\nabla_w$.")
    assert (
        words_of("right-factor-average-loss") == words_of("right-factor-any-spec") == words_of("local-rate-maml") == ""
    )
