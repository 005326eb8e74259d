"""Derived updates: sizes, readable programs for any spec, and what cannot be derived."""

from typing import cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metarep.sim.learners import LEARNERS, Adapts, Learner
from metarep.theory.calculus import alphabet as a
from metarep.theory.calculus.words import find_letter, gradient
from metarep.theory.dynamics.derive import (
    MOST_INNER_STEPS,
    adapted_loss,
    adjoint_program,
    derive,
    stated_program,
    task_gradients,
    task_loss,
)

SPECS = (
    *LEARNERS.values(),
    Learner("anil-2", "head", inner_steps=2),
    Learner("anil-3", "head", inner_steps=3),
    Learner("fo-anil-3", "head", first_order=True, inner_steps=3),
    Learner("body-only", "representation"),
    Learner("fo-body-only", "representation", first_order=True),
    Learner("body-only-3", "representation", inner_steps=3),
    Learner("fo-maml-2", "both", first_order=True, inner_steps=2),
    Learner("maml-2", "both", inner_steps=2),
)


@pytest.mark.parametrize(
    "learner",
    [*SPECS[:-1], pytest.param(SPECS[-1], marks=pytest.mark.thorough)],
    ids=lambda learner: learner.name,
)
def test_readable_programs_expand_to_the_derived_gradients(learner: Learner) -> None:
    assert adjoint_program(learner).expand() == task_gradients(learner)
    assert derive(learner).program.expand() == task_gradients(learner)


@pytest.mark.parametrize("learner", SPECS[:-1], ids=lambda learner: learner.name)
def test_program_and_words_agree_on_arrays(learner: Learner) -> None:
    rng = np.random.default_rng(5)
    B, w, targets = rng.standard_normal((2, 5, 3)), rng.standard_normal((2, 3)), rng.standard_normal((2, 5, 4))
    update = derive(learner)
    by_program, by_words = update(B, w, targets, 0.1, 0.3), update.step_by_words(B, w, targets, 0.1, 0.3)
    # values of order 1 to 10, sums of a few thousand words at the most: 1e-11 is eps × size × number of words
    for one, other in zip(by_program, by_words, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-11)


def test_sizes_of_the_expansions() -> None:
    """A change of these numbers is a change of the calculus: products that no longer cancel or collect."""
    assert len(adapted_loss(LEARNERS["maml"])) == 41
    assert [len(part) for part in task_gradients(LEARNERS["maml"])] == [68, 58]
    two_steps = SPECS[-1]
    assert len(adapted_loss(two_steps)) == 3559
    assert [len(part) for part in task_gradients(two_steps)] == [15622, 9388]
    assert [len(part) for part in task_gradients(Learner("anil-16", "head", inner_steps=16))] == [2178, 66]


def test_a_symbol_of_the_tenth_step_is_in_no_word() -> None:
    """It is for readers; words have room for few letters."""
    later = find_letter("r_i10")
    assert (later.rows, later.text, later.per_task) == ("d", "r_{i,10}", True)
    with pytest.raises(ValueError, match="stands for an expression"):
        _ = later.code
    lines = dict(derive(Learner("anil-16", "head", inner_steps=16)).lines())
    assert lines["w_{i,10}"] == "w_{i,9} − α Bᵀ r_{i,10}"


@given(st.sampled_from(["anil", "maml", "average-loss"]))
def test_a_stated_form_with_a_wrong_sign_is_not_equal(name: str) -> None:
    learner = LEARNERS[name]
    grad_B, grad_w = task_gradients(learner)
    stated = stated_program(learner).expand()
    assert stated == (grad_B, grad_w)
    assert (stated[0] + stated[0]) != grad_B
    assert -stated[1] != grad_w


def test_average_loss_is_the_gradient_of_the_task_loss() -> None:
    loss = task_loss(a.B, a.w)
    assert task_gradients(LEARNERS["average-loss"]) == (gradient(loss, "B"), gradient(loss, "w"))


@pytest.mark.parametrize("adapts", ["head", "representation", "both"])
def test_too_many_inner_steps_is_one_line(adapts: Adapts) -> None:
    learner = Learner("long", adapts, inner_steps=MOST_INNER_STEPS[adapts] + 1)
    with pytest.raises(ValueError, match="allowed: up to"):
        derive(learner)


def test_specs_that_make_no_sense_are_refused() -> None:
    for adapts, first_order, steps in (
        ("nothing", False, 2),
        ("head", False, 0),
        ("body", False, 1),
        ("nothing", True, 0),
    ):
        with pytest.raises(ValueError, match="allowed"):
            Learner("odd", cast(Adapts, adapts), first_order, steps)
    with pytest.raises(ValueError, match="allowed"):
        Learner("odd", "head", inner_steps=-1)
    with pytest.raises(ValueError, match="no stated form"):
        stated_program(SPECS[-1])


def test_the_lines_that_are_printed_are_the_update() -> None:
    """Read as a person would read them: the last two are a step down the mean of the tasks' gradients."""
    lines = dict(derive(LEARNERS["average-loss"]).lines())
    assert lines["B⁺"] == "B − β mean_i[r_i wᵀ]"
    assert lines["w⁺"] == "w − β mean_i[Bᵀ r_i]"
    for learner in SPECS:
        for form, arrow, minus in (("text", "⁺", "−"), ("latex", "^+", "-")):
            printed = dict(derive(learner).lines(form))
            beta = {"text": "β mean_i[", "latex": r"\beta \frac1n\sum_{i=1}^n "}[form]
            assert all(printed[x + arrow].startswith(f"{x} {minus} {beta}") for x in "Bw")


@pytest.mark.parametrize("learner", LEARNERS.values(), ids=lambda learner: learner.name)
@pytest.mark.parametrize("form", ["text", "latex"])
def test_lines_are_compositional(learner: Learner, form: str) -> None:
    lines = derive(learner).lines(form)
    assert max(len(right) for _, right in lines) < 140
    assert ("\\" in "".join(right for _, right in lines)) == (form == "latex")
    assert [left for left, _ in lines][-2:] == {"text": ["B⁺", "w⁺"], "latex": ["B^+", "w^+"]}[form]
