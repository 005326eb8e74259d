"""The example that is shown: a generic one, in the mathematics' own objects, which the check can be done again with."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import strategies as st

from metarep.reports.chapters.claims.records import ExampleRecord, claim_record
from metarep.reports.chapters.claims.worked import worked_example
from metarep.reports.page import rendering
from metarep.reports.page.blocks import Document
from metarep.sim.implementations import REFERENCE
from metarep.sim.learners import LEARNERS
from metarep.theory.claims import get_claim
from metarep.theory.claims.record import Claim, Comparison, Verdict, own
from metarep.theory.engine import decode, encode, replay, verify
from metarep.theory.engine.evidence import EvidenceKind
from metarep.theory.engine.showing import (
    COST_OF_A_ZERO,
    READABLE,
    cells,
    difference,
    found_and_expected,
    genericity,
    in_one_line,
    note_on,
    number_text,
    objects_text,
    sides_text,
    written,
)


def shown(claim_id: str, kind: EvidenceKind) -> ExampleRecord:
    """The record of the claim's generic example of that kind, with the numbers as they were."""
    (evidence,) = claim_record(verify(get_claim(claim_id), kinds=(kind,))).evidence
    assert evidence.instance is not None
    return evidence.instance


@pytest.mark.parametrize("learner", LEARNERS.values(), ids=lambda learner: learner.name)
def test_a_step_from_the_objects_shown_is_the_left_side_shown(learner) -> None:
    """So a reader can do the check by hand, from report.json; and replaying what was drawn gives the same."""
    example = shown(f"update-{learner.name}", "exact")
    at = {name: np.array(decode(value), dtype=object) for name, value in example.objects.items()}
    B, w = REFERENCE.step(learner, at["B"], at["w"], at["B_star"] @ at["heads"], at["alpha"][()], at["beta"][()])
    assert [encode(B), encode(w)] == list(example.left) == list(example.right)
    assert example.difference == (0,)
    again = replay(f"update-{learner.name}", example.drawn)
    assert encode(dict(again.objects)) == example.objects


def test_both_sides_of_a_float_example_differ_by_what_is_shown() -> None:
    example = shown("right-factor-maml", "floats")
    (left,), (right,), (rest,) = (np.array(side) for side in (example.left, example.right, example.difference))
    np.testing.assert_array_equal(left - right, rest)
    assert 0 < np.abs(rest).max() < 1e-9


# --- which example


def compared(size: int, number: Fraction | float, zeros: int = 0, left=1.0) -> tuple[dict, Comparison]:
    values = [number] * (size - zeros) + [0 * number] * zeros
    return {}, Comparison(0, 0, 0, "", left, left, {"B": np.array(values)})


@pytest.mark.parametrize(
    ("more", "less"),
    [
        (compared(9, 1.0), compared(8, 1.0)),
        (compared(READABLE, 1.0), compared(READABLE + 1, 1.0)),
        (compared(READABLE, 1.0), compared(READABLE - 1, 1.0)),
        (compared(9, Fraction(1, 2), 5), compared(READABLE + 1, Fraction(1, 2))),
        (compared(READABLE + 1, 1.0), compared(READABLE + 2, 1.0)),
        (compared(2, Fraction(1, 2)), compared(9, Fraction(1, 2), 1)),
        (compared(9, 1.0, 1), compared(2, 1.0)),
        (compared(9, 1.0), compared(9 + COST_OF_A_ZERO[False] - 1, 1.0, 1)),
        (compared(READABLE + 1, 1.0), compared(9, 1.0, 9)),
        (compared(2, 1.0), compared(9, 1.0, left=0.0)),
    ],
    ids=[
        "larger",
        "readable",
        "just readable",
        "readable, with zeros",
        "smaller, if none is",
        "no zero fraction",
        "few zero floats",
        "that cost",
        "any",
        "sides",
    ],
)
def test_of_two_examples_the_one_that_shows_more(more, less) -> None:
    assert genericity(*more) > genericity(*less)


def test_the_search_keeps_the_generic_one_and_the_nearest_to_the_bound() -> None:
    numbers = st.lists(st.floats(0, 10), min_size=1, max_size=4).map(lambda x: {"x": x})
    claim = Claim(
        "toy", "toys", "$x \\le 10$", own(), "", Verdict.SUPPORTED, "inequality", floats=lambda: numbers,
        check=lambda at, _: Comparison(max(at["x"]), 10.0, 0.0),
    )  # fmt: skip
    (evidence,) = verify(claim).evidence
    assert evidence.instance is not None
    assert len(evidence.instance["x"]) == 4
    assert 0 not in evidence.instance["x"]
    assert evidence.nearest is not None
    assert max(evidence.nearest["x"]) == pytest.approx(10, abs=0.1)
    assert set(evidence.comparisons) == {"instance", "nearest"}
    assert evidence.comparisons["nearest"].margin == evidence.worst_margin


# --- how it is written


def test_numbers_as_a_person_writes_them() -> None:
    assert number_text(Fraction(-3, 4)) == "-3/4"
    assert number_text(Fraction(6, 1)) == "6"
    assert number_text(Fraction(10**20 + 1, 10**20)) == "1"
    assert number_text(0.123456789) == "0.123457"
    assert number_text(1 - 2j) == "1-2i"
    assert number_text("anil") == "anil"


def test_arrays_are_written_row_by_row() -> None:
    assert written("w", [1.0, 2.0]) == ["w = (1, 2)"]
    assert written("B", [[Fraction(1, 2), 3], [-4, 5]]) == ["B = [ 1/2  3 ]", "    [  -4  5 ]"]
    assert written("B", [[Fraction(1, 10**20)]]) == ["B ≈ [ 1e-20 ]"]
    assert written("X", np.arange(4.0).reshape(2, 1, 2)) == ["X[1] = [ 0  1 ]", "X[2] = [ 2  3 ]"]
    assert written("B", np.zeros((0, 2))) == []
    assert written("B", np.arange(200.0).reshape(20, 10)) == ["B = [ 20 × 10 numbers from 0 to 199 ]"]
    assert objects_text({"w": [1.0], "d": 2, "alpha": 0.5}) == ["d = 2, alpha = 0.5", "w = (1)"]


def test_the_page_sets_matrices_and_markdown_has_them_in_lines() -> None:
    record = claim_record(verify(get_claim("right-factor-fo-anil"), kinds=("exact",)))
    page = Document("t", "s", worked_example(record), ())
    html, markdown = rendering.html_page(page), rendering.markdown_page(page)
    assert html.count("<table><tr>") == 6  # B, w, B_*, the heads and both sides
    assert "<mtext>difference</mtext><mo>=</mo></math>0</span>" in html
    assert "\\" not in html
    assert "difference = 0" in markdown
    assert "--replay" in html
    assert "--replay report.json" in markdown


def test_a_step_is_shown_as_found_and_expected_and_all_else_as_two_sides() -> None:
    B, w = np.array([[1, 2], [3, 4]]), np.array([5, 6])
    lines = found_and_expected((B, w), (2 * B, w))
    assert lines[0].startswith("B⁺ found = [ 1  2 ]")
    assert lines[2].startswith("B⁺ expected = [ 2  4 ]")
    assert lines[4:] == ["w⁺ found = (5, 6)", "w⁺ expected = (5, 6)"]
    for left, right in (((B, B), (B, B)), ((w, B), (w, B)), (w, w)):
        assert found_and_expected(left, right) == sides_text(left, right)
    assert sides_text(w, 2 * w)[:2] == ["left side = (5, 6)", "right side = (10, 12)"]


def test_the_difference_is_part_by_part_and_one_zero_where_there_is_none() -> None:
    B, w = np.array([[1, 2], [3, 4]]), np.array([5, 6])
    assert difference((B, w), (B, w)) == (0,)
    first, second = difference((B, w), (B, 2 * w))
    assert not first.any()
    assert second.tolist() == [-5, -6]
    assert difference(3, 1) == (2,)
    with pytest.raises(ValueError, match="shorter"):
        difference((B, w), (B,))


def test_of_a_large_array_the_size_and_the_range_of_its_numbers() -> None:
    many = np.arange(400).reshape(20, 20)
    assert cells(many) == [["20 × 20 numbers from 0 to 399"]]
    assert cells(many.astype(str)) == [["20 × 20 numbers"]]
    assert cells(many[0, :2]) == [["0", "1"]]
    assert len(cells(many[:5])[0]) == 20
    assert len(cells(many.ravel()[:101])[0]) == 1
    assert cells(many[:2, :2]) == [["0", "1"], ["20", "21"]]


def test_numbers_in_one_line() -> None:
    assert in_one_line([1, (Fraction(1, 3), np.array([2, 3]))]) == "[1, [1/3, [2, 3]]]"
    assert in_one_line(0.5) == "0.5"


def test_rows_that_are_not_shown_are_told_of() -> None:
    for rows, told in ((2, True), (3, False)):
        assert bool(note_on({"d": 3, "B_0": np.ones((rows, 1))})) is told
    assert not note_on({"d": 3})


def test_none_is_looked_for_where_the_objects_are_of_a_kind_that_may_have_zeros() -> None:
    """E[Σ̂AΣ̂] for any A: its first examples can be shown, and no more are drawn."""
    (evidence,) = verify(get_claim("isserlis-wishart"), kinds=("exact",)).evidence
    assert evidence.examples == 4
