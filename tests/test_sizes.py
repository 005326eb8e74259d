"""Sizes of examples: those that people use are drawn, large ones shrink to what can be read, and all are counted."""

import json
from dataclasses import replace
from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import Phase, given, settings

from metarep.reports.chapters.claims.records import claim_record
from metarep.reports.chapters.claims.sizes import size_counts, sizes_chart, sizes_sentence
from metarep.sim.implementations import REFERENCE
from metarep.sim.mutants.sizes import SIZE_MUTANTS
from metarep.sim.mutants.steps import wrong_implementation
from metarep.theory.calculus.rationals import Rational
from metarep.theory.claims import catalogue, get_claim
from metarep.theory.claims.comparing import most_strained
from metarep.theory.claims.contraction import balanced_steps
from metarep.theory.claims.record import Comparison, Example, Verdict
from metarep.theory.claims.sizes import ExampleSizes, SizeCounts, added, counts, sizes_of
from metarep.theory.claims.strategies import floats, fractions, step_arrays, steps_of_any_rank
from metarep.theory.engine import Profile, encode, verify
from metarep.theory.engine.evidence import Evidence
from metarep.theory.engine.search import _our_search, _Search

PASSES = Comparison(0.0, 1.0, 0.0)


@cache
def drawn(strategy: Any, numbers: Any, examples: int) -> list[Example]:
    found: list[Example] = []

    @settings(max_examples=examples, phases=[Phase.generate], deadline=None)
    @given(strategy(numbers))
    def draw(example: Example) -> None:
        found.append(example)

    with _our_search(_Search()):  # as the engine draws
        draw()
    return found


# --- what is drawn


def test_steps_are_of_the_sizes_that_people_use() -> None:
    examples = drawn(steps_of_any_rank, floats, 500)
    sizes = [sizes_of(example) for example in examples]
    assert [max(each[place] or 0 for each in sizes) for place in range(3)] == [8, 64, 50]
    norms = [each.norm for each in sizes if each.norm]
    assert max(norms) > 1e2
    assert sorted(norms)[len(norms) // 50] < 1e-1
    ranks = [(np.linalg.matrix_rank(step_arrays(example).targets), example["k"]) for example in examples]
    for seen in (
        [example["alpha"] == example["beta"] for example in examples],
        [example["n"] == 1 for example in examples],
        [example["d"] == example["k"] > 1 for example in examples],
        [rank < k for rank, k in ranks],
        [rank > k for rank, k in ranks],
        [0 < len({tuple(task) for task in zip(*e["heads"], strict=True)}) < e["n"] / 2 for e in examples if e["n"] > 8],
    ):
        assert 0.03 < np.mean(seen) < 0.6


def test_exact_examples_are_smaller_but_not_the_smallest() -> None:
    sizes = [sizes_of(example) for example in drawn(balanced_steps, fractions, 100)]
    assert max(each.k or 0 for each in sizes) == 4
    assert max(each.n or 0 for each in sizes) == 12
    assert np.mean([each.k == 1 for each in sizes]) < 0.35


@pytest.mark.parametrize("numbers", [floats, fractions])
def test_an_example_is_plain_numbers(numbers: Any) -> None:
    kind = Rational if numbers is fractions else float
    for example in drawn(steps_of_any_rank, numbers, 60):
        assert {type(entry) for row in example["B"] for entry in row} == {kind}
        assert json.loads(json.dumps(encode(example))) == encode(example)


def test_the_catalogue_is_tried_at_these_sizes() -> None:
    """Every third claim; the draws alone, without the checks."""
    claims = [replace(c, check=lambda example, _: PASSES, kind="identity") for c in catalogue()[::3] if c.floats]
    found = [verify(claim, examples=8, kinds=("floats",)).evidence[0].sizes for claim in claims]
    k = added(sizes for sizes in found if sizes).k
    total = sum(k.values())
    assert k["1"] / total < 0.25  # of few examples the first, the simplest one, is a larger share
    assert sum(count for size, count in k.items() if int(size) >= 4) / total > 0.2


# --- how it shrinks

SHRUNK = {
    "wrong-from-d-12": {"k": 1, "d": 12, "n": 1},
    "wrong-beyond-k-4": {"k": 5, "d": 5, "n": 1},
    "drops-tasks-beyond-ten": {"k": 1, "d": 1, "n": 12},
    "wrong-beyond-norm-10": {"k": 1, "d": 1, "n": 1},
    "wrong-where-rank-exceeds-k": {"k": 1, "d": 2, "n": 2},
    "wrong-at-equal-step-sizes": {"k": 1, "d": 1, "n": 1},
}
"""By mutant: the smallest sizes on the ladder at which it is wrong."""


@pytest.mark.parametrize("mutant", SIZE_MUTANTS, ids=lambda mutant: mutant.name)
def test_a_counterexample_is_no_larger_than_it_has_to_be(mutant: Any) -> None:
    finding = verify(get_claim("update-fo-anil"), wrong_implementation(mutant), kinds=("floats",))
    bad = finding.counterexample
    assert bad is not None
    assert bad.counterexample is not None
    assert {size: bad.counterexample[size] for size in ("k", "d", "n")} == SHRUNK[mutant.name]
    assert len(repr(dict(bad.counterexample))) < 600


# --- what is counted


def test_sizes_are_read_from_what_an_example_is_made_of() -> None:
    column = [[3.0], [4.0]]
    assert sizes_of({"k": 1, "d": 2, "n": 3, "B": column, "c": 7.0}) == ExampleSizes(1, 2, 3, 5.0)
    assert sizes_of({"k": 1, "a": Fraction(1, 2)}) == ExampleSizes(1, None, None, 0.5)
    assert sizes_of({"X": column[:1], "Y": column[1:]}).norm == 5.0
    assert sizes_of({"steps": [[0.25, 0.1]], "spectra": [[1.0]]}).norm == 2.0
    assert sizes_of({"heads": [[1.0]]}) == ExampleSizes(None, None, None, None)


def test_counts_are_by_powers() -> None:
    sizes = [ExampleSizes(3, 16, 1, 0.5), ExampleSizes(3, 17, None, 12.0), ExampleSizes(1, None, 3, None)]
    found = counts(sizes)
    assert found == SizeCounts({"1": 1, "3": 2}, {"16": 1, "32": 1}, {"1": 1, "4": 1}, {"-1": 1, "1": 1})
    assert added([found, counts(sizes[:1])]).k == {"1": 1, "3": 3}


def test_the_histogram_has_every_example_that_was_counted() -> None:
    findings = [verify(get_claim(name), kinds=("exact", "floats")) for name in ("update-anil", "fo-maml-operator")]
    records = [claim_record(finding) for finding in findings]
    chart = sizes_chart(records)
    assert chart is not None
    kinds = ("floats", "fractions")
    counted = {kind: sum(row[3] for row in chart.rows if (row[0], row[2]) == ("k", kind)) for kind in kinds}
    assert counted == {"floats": 100, "fractions": 25}
    assert sum(size_counts(records)["floats"].norm.values()) in (59, 60), (
        "the operator has no B; one example's may be 0"
    )
    assert sizes_sentence(records).startswith("in floats $k \\le 8$, $d \\le 64$")
    assert sizes_chart([claim_record(verify(get_claim("update-anil"), kinds=("proof",)))]) is None


# --- tolerances that say nothing


@pytest.mark.parametrize(
    ("comparison", "blunt"),
    [
        (Comparison(0.0, 0.0, 1.0, size=2.0), False),
        (Comparison(0.0, 0.0, 2.0, size=2.0), True),
        (Comparison(1.0, 2.0, 1.9), False),
        (Comparison(1.0, 2.0, 2.0), True),
        (Comparison(0.0, 0.0, 0.0, size=0.0), False),
    ],
)
def test_a_tolerance_as_large_as_what_is_compared_is_blunt(comparison: Comparison, blunt: bool) -> None:
    assert comparison.blunt is blunt
    assert most_strained([comparison, Comparison(0.0, 0.0, 1e-9, size=1.0)]).blunt is blunt


def test_blunt_examples_are_counted_and_are_no_evidence_alone() -> None:
    def searched(tolerance: Any) -> Evidence:
        claim = replace(
            get_claim("update-fo-anil"),
            check=lambda example, _: Comparison(0.0, 0.0, tolerance(example), size=1.0),
        )
        (evidence,) = verify(claim, REFERENCE, kinds=("floats",), profile=Profile(shrink=False)).evidence
        return evidence

    assert searched(lambda example: 1e-9).blunt == 0
    some = searched(lambda example: 2.0 if example["d"] > 8 else 1e-9)
    assert some.verdict == Verdict.SUPPORTED
    assert 0 < some.blunt < some.examples
    assert searched(lambda example: 2.0).verdict == Verdict.NOT_RUN
