"""Helpers of the claims about structure, symmetries and special points; that their proofs and checks can fail."""

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from metarep.sim import metrics, updates
from metarep.sim.implementations import REFERENCE
from metarep.sim.learners import LEARNERS, get_learner
from metarep.theory.calculus import alphabet as a
from metarep.theory.calculus.alphabet import DIMENSIONS
from metarep.theory.calculus.evaluation import evaluate_expression, evaluate_words
from metarep.theory.calculus.proofs import Proof
from metarep.theory.calculus.words import identity
from metarep.theory.claims import get_claim, symmetries
from metarep.theory.claims.comparing import most_strained, run_together, supported
from metarep.theory.claims.record import Comparison, Verdict
from metarep.theory.claims.special_points import fixed, moving
from metarep.theory.claims.strategies import floats, fractions, outer_steps, step_arrays
from metarep.theory.claims.structure import factors, moments, reduction
from metarep.theory.dynamics.structure import split_update, stated_split
from metarep.theory.engine import Profile, verify
from metarep.theory.engine.search import drawn

UNHURRIED = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example]
few = settings(max_examples=15, suppress_health_check=UNHURRIED)


# --- numbers and arrays that the hypotheses promise


@pytest.mark.parametrize("degree", moments.EQUAL_POWER_SUMS)
def test_power_sums_agree_to_the_degree_and_no_further(degree):
    left, right = moments.EQUAL_POWER_SUMS[degree]
    assert len(left) == len(right)
    for power in range(degree + 1):
        assert sum(x**power for x in left) == sum(x**power for x in right)
    assert sum(x ** (degree + 1) for x in left) != sum(x ** (degree + 1) for x in right)


@few
@given(st.data())
def test_fractions_are_in_range_with_small_denominators(data):
    value = data.draw(fractions(-0.3, 1.75))
    assert isinstance(value, Fraction)
    assert Fraction(-3, 10) <= value <= Fraction(7, 4)
    assert value.denominator <= 12


@few
@given(outer_steps(fractions, largest_d=4, least_codimension=2))
def test_codimension_is_kept(instance):
    assert instance["d"] >= instance["k"] + 2
    assert step_arrays(instance).B_perp.shape == (instance["d"], instance["d"] - instance["k"])


@few
@given(reduction.few_steps(fractions, 2))
def test_confined_start_lies_in_the_span_it_names(instance):
    at, _, beyond = reduction.confined_start(instance)
    assert beyond.shape == (instance["d"], instance["d"] - 2 * instance["k"])
    assert not (beyond.T @ at.B).any()
    assert not (beyond.T @ at.B_star).any()
    assert (beyond.T @ beyond == np.eye(beyond.shape[1], dtype=int)).all()


@few
@given(fixed.truths(fractions))
def test_truths_are_balanced_within_the_truth(instance):
    at = fixed.truth_arrays(instance)
    M = at.B_star.T @ at.B
    assert (at.B_star @ M == at.B).all()
    assert (at.alpha * (M @ M.T) == np.eye(instance["s"], dtype=int)).all()


@few
@given(moving.balanced_points(fractions))
def test_balanced_points_are_balanced(instance):
    at = moving.balanced_arrays(instance)
    assert (at.alpha * (at.B.T @ at.B) == np.eye(instance["k"], dtype=int)).all()


@few
@given(fixed.zero_loss_points(fractions))
def test_zero_loss_points_have_zero_adapted_loss(instance):
    at = fixed.zero_loss_arrays(instance)
    for target in at.targets.T:
        residual = at.B @ at.w - target
        w_i = at.w - at.alpha * (at.B.T @ residual)
        B_i = at.B - at.alpha * np.outer(residual, at.w)
        assert not (B_i @ w_i - target).any()


# --- evaluation of the stated forms


@pytest.mark.parametrize("name", LEARNERS)
@few
@given(instance=outer_steps(fractions, largest_k=2, largest_d=4))
def test_stated_split_evaluates_to_the_words(name, instance):
    at, learner = step_arrays(instance), get_learner(name)
    stated = stated_split(learner).evaluate(learner, at.B, at.w, at.B_star, at.heads, at.alpha, at.beta)
    arrays = {"B": at.B, "w": at.w, "B_star": at.B_star, "w_star_i": at.heads}
    for value, words in zip(stated, split_update(learner), strict=True):
        assert (value == evaluate_words(words, arrays, {"alpha": at.alpha, "beta": at.beta})).all()


def test_stated_split_is_batched():
    rng = np.random.default_rng(0)
    B, w, heads = rng.normal(size=(4, 5, 2)), rng.normal(size=(4, 2)), rng.normal(size=(4, 2, 3))
    learner, truth = get_learner("maml"), np.eye(5, 2)
    together = stated_split(learner).evaluate(learner, B, w, truth, heads, 0.3, 0.2)
    for t in range(4):
        alone = stated_split(learner).evaluate(learner, B[t], w[t], truth, heads[t], 0.3, 0.2)
        for left, right in zip(together, alone, strict=True):
            np.testing.assert_allclose(left[t], right, rtol=1e-13, atol=1e-13)


def test_identity_of_unknown_size_is_an_error():
    from sympy.matrices.expressions import Identity

    with pytest.raises(ValueError, match="no array has the dimension 'k'"):
        evaluate_expression(Identity(DIMENSIONS["k"]), {"theta_i": np.zeros((1, 3, 1))}, {})


def test_identities_have_their_dimensions_size():
    from sympy.matrices.expressions import Identity

    arrays = {"B": np.zeros((4, 3, 2)), "theta_i": np.zeros((4, 3, 1))}
    for dimension, size in (("d", 3), ("k", 2)):
        found = evaluate_expression(Identity(DIMENSIONS[dimension]), arrays, {})
        np.testing.assert_array_equal(found, np.eye(size))


def test_stated_inner_products_do_not_depend_on_the_dimension():
    rng = np.random.default_rng(1)
    B, w, heads = rng.normal(size=(4, 2)), rng.normal(size=2), rng.normal(size=(2, 3))
    longer = np.concatenate([B, np.zeros((3, 2))])
    for learner in LEARNERS.values():
        here = stated_split(learner).evaluate(learner, B, w, np.eye(4, 2), heads, 0.3, 0.2)
        there = stated_split(learner).evaluate(learner, longer, w, np.eye(7, 2), heads, 0.3, 0.2)
        for left, right in zip(here, there, strict=True):
            np.testing.assert_allclose(left, right, rtol=1e-12, atol=1e-12)


# --- small helpers


def test_most_strained_prefers_violations_and_nan():
    fine, tight = Comparison(0.1, 0, 1.0), Comparison(0.9, 0, 1.0)
    violated, missing = Comparison(2.0, 0, 1.0), Comparison(float("nan"), 0, 1.0)
    assert most_strained([fine, tight]) is tight
    assert most_strained([fine, violated, tight]) is violated
    assert not most_strained([fine, missing]).holds


def test_supported_keeps_what_the_implementation_has():
    some = replace(REFERENCE, supported=frozenset({"maml"}))
    assert [learner.name for learner in supported(some)] == ["maml"]
    assert supported(some, ("anil",)) == []


def test_run_together_flattens():
    assert run_together(np.ones((2, 3)), np.zeros(2)).tolist() == [1.0] * 6 + [0.0] * 2


def test_column_sums_bound_a_transposed_product():
    matrix = np.array([[1.0, -2.0], [3.0, 0.5]])
    assert factors.column_sums(matrix) == 4.0
    assert factors.column_sums(np.zeros((3, 0))) == 0.0


def test_rescaled_alpha_gains_powers_of_c():
    once = (a.B.T * a.B).scaled(alpha=1)
    changed = symmetries.rescale_alpha(identity("k") + once, -2)
    assert changed == identity("k") + once.scaled(c=-2)


def test_moment_degrees_are_those_of_the_words():
    from metarep.theory.dynamics.structure import head_degree

    assert {name: head_degree(LEARNERS[name]) for name in LEARNERS} == moments.MOMENT_DEGREES


# --- proofs that can fail


def _holds(prove: Callable[..., None], *arguments: Any, **named: Any) -> bool:
    proof = Proof()
    prove(proof, *arguments, **named)
    return proof.holds


@pytest.mark.parametrize("name", LEARNERS)
@pytest.mark.parametrize("off", [-1, 1])
def test_moments_proof_fails_for_another_degree(name, off):
    assert not _holds(moments.moments_proof, LEARNERS[name], moments.MOMENT_DEGREES[name] + off)


def test_symmetry_proof_needs_its_rule_and_its_power():
    turned = {"B": a.B * a.Q, "w": a.Q.T * a.w}
    assert not _holds(symmetries.prove_carried, letters=turned, gradients=lambda B, w: (B * a.Q, a.Q.T * w))
    scaled = {"B": a.B.scaled(c=1), "w": a.w.scaled(c=1), "theta_i": a.theta.scaled(c=2)}
    for power, holds in ((-2, True), (-1, False), (0, False)):
        change = {"letters": scaled, "gradients": lambda B, w: (B.scaled(c=3), w.scaled(c=3))}
        assert _holds(symmetries.prove_carried, **change, alpha_power=power) is holds


def test_only_the_anils_stay_at_the_truth_with_a_head():
    assert _holds(fixed.prove_fixed, ("anil", "fo-anil"), a.w)
    for name in ("maml", "fo-maml", "average-loss"):
        assert not _holds(fixed.prove_fixed, (name,), a.w)


# --- checks that can fail: each claim that covers all learners, or that other faults do not reach, against one fault

Step = Callable[..., tuple[Any, Any]]


def _small(B: np.ndarray) -> Any:
    return Fraction(1, 1000) if B.dtype == object else 1e-3


def _sees_axes(learner, B, w, targets, alpha, beta):
    """Something beyond the span: the coordinate axes of R^d."""
    B_next, w_next = updates.step(learner, B, w, targets, alpha, beta)
    return B_next + beta * _small(B) * np.eye(*B.shape, dtype=int), w_next


def _sees_order(learner, B, w, targets, alpha, beta):
    return updates.step(learner, B, w, targets[:, :1], alpha, beta)


def _intercept(learner, B, w, targets, alpha, beta):
    return updates.step(learner, B, w, targets + _small(B), alpha, beta)


def _weight_decay(learner, B, w, targets, alpha, beta):
    B_next, w_next = updates.step(learner, B, w, targets, alpha, beta)
    return B_next - beta * _small(B) * B, w_next


def _sequential(learner, B, w, targets, alpha, beta):
    B_next = updates.step(learner, B, w, targets, alpha, beta)[0]
    return B_next, updates.step(learner, B_next, w, targets, alpha, beta)[1]


def _other_learner(name: str) -> Step:
    def step(learner, B, w, targets, alpha, beta):
        return updates.step(get_learner(name), B, w, targets, alpha, beta)

    return step


def _only(name: str, fault: Step) -> Step:
    def step(learner, *rest):
        return (fault if learner.name == name else updates.step)(learner, *rest)

    return step


@pytest.mark.parametrize(
    ("claim_id", "fault"),
    [
        ("adapted-residual-fo-anil", _other_learner("anil")),
        ("adapted-residual-fo-maml", _other_learner("fo-anil")),
        ("right-factor-maml", _other_learner("fo-maml")),
        ("right-factor-average-loss", _weight_decay),
        ("span-part-anil", _other_learner("fo-anil")),
        ("adapted-moments", _other_learner("anil")),
        ("confinement", _sees_axes),
        ("reduction", _sees_axes),
        ("moments-average-loss", _sees_order),
        ("moments-fo-anil", _other_learner("maml")),
        ("moments-fo-maml", _other_learner("maml")),
        ("moments-maml", _other_learner("fo-maml")),
        ("symmetry-gauge", _sees_axes),
        ("symmetry-rotation", _sees_axes),
        ("symmetry-task-order", _sees_order),
        ("task-average", _sequential),
        ("symmetry-sign", _intercept),
        ("symmetry-scaling", _weight_decay),
        ("fixed-points-anil", _other_learner("fo-maml")),
        ("fixed-points-maml", _weight_decay),
        ("truth-with-head-fo-maml", _other_learner("fo-anil")),
        ("zero-loss-fixed", _other_learner("anil")),
        ("fixed-point-origin", _sees_axes),
        ("zero-head-fo", _only("fo-anil", _other_learner("anil"))),
        ("zero-head-exact", _other_learner("anil")),
        ("balanced-anil", _other_learner("average-loss")),
        ("balanced-maml", _other_learner("fo-maml")),
        ("average-loss-one-target", _sees_order),
        ("average-loss-drift", _sequential),
    ],
)  # fmt: skip
def test_check_refutes_a_fault_with_fractions_and_with_floats(claim_id: str, fault: Step):
    wrong = replace(REFERENCE, name="wrong", step=fault)
    for kind in ("exact", "floats"):
        finding = verify(get_claim(claim_id), wrong, profile=Profile(shrink=False), examples=60, kinds=(kind,))
        assert finding.status == Verdict.REFUTED, kind


def _turn(size: int) -> np.ndarray:
    return np.linalg.qr(np.random.default_rng(0).standard_normal((size, size)))[0]


def _in_other_coordinates(learner, B, w, targets, alpha, beta):
    U = _turn(len(B))
    B_next, w_next = updates.step(learner, U @ B, w, U @ targets, alpha, beta)
    return U.T @ B_next, w_next


def _one_percent_off(learner, B, w, targets, alpha, beta):
    return updates.step(learner, B, w, targets, alpha, 1.01 * beta)


@pytest.mark.parametrize("fault", [_in_other_coordinates, _one_percent_off])
def test_small_parts_need_their_own_coordinates(fault: Step):
    """The first fault is right in exact arithmetic."""
    wrong = replace(REFERENCE, name="wrong", step=fault)
    claim = get_claim("step-keeps-small-part")
    assert verify(claim, wrong, profile=Profile(shrink=False)).status == Verdict.REFUTED
    in_singles = replace(REFERENCE, name="singles", eps=2.0**-23)
    assert verify(claim, in_singles, profile=Profile(shrink=False)).status == Verdict.SUPPORTED


def _turned_distance(B, B_star):
    U = _turn(len(B))
    return metrics.subspace_distance(U @ B, U @ B_star)


def _distance_by_cosines(B, B_star):
    basis = np.linalg.qr(B)[0]
    return np.sqrt(max(0.0, 1 - np.linalg.svd(B_star.T @ basis, compute_uv=False)[-1] ** 2))


@pytest.mark.parametrize("distance", [_turned_distance, _distance_by_cosines])
def test_small_sines_need_their_own_coordinates(distance):
    wrong = replace(REFERENCE, name="wrong", subspace_distance=distance)
    finding = verify(get_claim("distance-keeps-small-sines"), wrong, profile=Profile(shrink=False))
    assert finding.status == Verdict.REFUTED


def test_relabelling_check_compares_steps():
    """No function of the targets can break it; one that is handed other targets for the same problem does."""
    calls: list[int] = []

    def fault(learner, B, w, targets, alpha, beta):
        calls.append(1)
        return updates.step(learner, B, w, targets * (1 + len(calls) % 2), alpha, beta)

    wrong = replace(REFERENCE, name="wrong", step=fault)
    finding = verify(get_claim("symmetry-relabelling"), wrong, profile=Profile(shrink=False), kinds=("floats",))
    assert finding.status == Verdict.REFUTED


@pytest.mark.parametrize("numbers", [floats, fractions])
@pytest.mark.parametrize(
    "build",
    [
        lambda numbers: reduction.few_steps(numbers, 2),
        lambda numbers: moments.two_head_sets(numbers, LEARNERS["maml"]),
        lambda numbers: symmetries.with_reflections(numbers, "Q", "k"),
        symmetries.with_scale,
        symmetries.pooled_steps,
        fixed.truths,
        moving.balanced_points,
        fixed.zero_loss_points,
    ],
)
def test_nothing_drawn_is_thrown_away(build, numbers):
    begun = []

    @st.composite
    def counted(draw):
        begun.append(True)
        return draw(build(numbers))

    found = drawn(replace(get_claim("update-anil"), floats=counted), "floats", 40, 0)
    assert len(found) == len(begun) == 40
