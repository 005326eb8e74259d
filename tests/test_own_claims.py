"""Claims of a user's own file: mistakes in it get one line that says where, before any work is done."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from metarep.reports.cli import own_claims as module
from metarep.reports.cli.app import run
from metarep.reports.cli.own_claims import own_claims, own_records, verify_own
from metarep.reports.report.kept import kept_in
from metarep.theory.claims.record import Claim

RIGHT = """
from metarep.theory.claims.record import Claim, Comparison, Verdict, own
from metarep.theory.claims.strategies import floats, outer_steps, step_arrays

def check(instance, implementation):
    at = step_arrays(instance)
    return Comparison(0.0, float(abs(at.B).max()), 0.0, "nothing against the largest entry")

CLAIMS = (
    Claim(
        id="mine",
        chapter="Mine",
        statement="$0 \\\\le \\\\max |B|$.",
        source=own(),
        hypotheses="any outer step",
        expected=Verdict.SUPPORTED,
        kind="inequality",
        learners=("anil",),
        exercises=frozenset({"step"}),
        rests_on=("update-anil",),
        floats=lambda: outer_steps(floats),
        check=check,
        examples=5,
    ),
)
"""


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)  # loading a file puts the folder there, which must not outlive the test


def test_the_right_one_is_verified(capsys: pytest.CaptureFixture[str]) -> None:
    Path("mine.py").write_text(RIGHT)
    assert run(["verify", "mine", "--claims", "mine.py"]) == 0
    assert "mine: SUPPORTED" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        ("expected=Verdict.SUPPORTED", 'expected="SUPPORTED"', "expected is 'SUPPORTED'"),
        ('id="mine"', 'id="My claim"', "id is 'My claim'"),
        ('learners=("anil",)', 'learners="anil"', "learners is 'anil'"),
        ('learners=("anil",)', 'learners=("sgd",)', "learners is ('sgd',)"),
        ('frozenset({"step"})', '("step",)', "exercises is ('step',)"),
        ('frozenset({"step"})', '{"steps"}', "exercises is {'steps'}"),
        ('rests_on=("update-anil",)', 'rests_on="update-anil"', "rests_on is 'update-anil'"),
        ('rests_on=("update-anil",)', 'rests_on=("update-annil",)', "rests on 'update-annil'"),
        ('kind="inequality"', 'kind="bound"', "kind is 'bound'"),
        ("source=own()", 'source="mine"', "source is 'mine'"),
        ("examples=5", "examples=0", "examples is 0"),
        ("        check=check,\n", "", "neither proof nor check"),
    ],
)
def test_a_record_that_is_none(right: str, wrong: str, said: str, complaint: Callable[..., str]) -> None:
    assert right in RIGHT
    Path("mine.py").write_text(RIGHT.replace(right, wrong))
    line = complaint("verify", "mine", "--claims", "mine.py")
    assert said in line
    assert "mine.py:" in line


def test_a_check_that_raises_is_named_by_its_line_and_costs_no_report(
    complaint: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = RIGHT.replace("abs(at.B)", "abs(at.BB)")
    Path("mine.py").write_text(broken)
    number = next(i for i, line in enumerate(broken.splitlines(), start=1) if "at.BB" in line)
    assert f"mine.py:{number}: checking 'mine' raised AttributeError" in complaint(
        "verify", "mine", "--claims", "mine.py"
    )

    def too_late(*arguments: object) -> None:
        raise AssertionError("the catalogue ran before the mistake showed")

    monkeypatch.setattr("metarep.reports.report.gather.gather", too_late)
    assert f"mine.py:{number}:" in complaint("report", "--out", "out", "--claims", "mine.py")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (RIGHT.replace('id="mine"', 'id="update-anil"'), "the id 'update-anil' is taken"),
        ("\nCLAIMS = 3", "mine.py:2: has CLAIMS of type int"),
        ("CLAIMS = (3,)", "has CLAIMS that hold a int"),
        ("CLAIMS = ()", "has CLAIMS that hold nothing"),
        ("", "has no CLAIMS"),
    ],
)
def test_a_file_without_claims_that_go_with_ours(text: str, said: str, complaint: Callable[..., str]) -> None:
    Path("mine.py").write_text(text)
    assert said in complaint("verify", "mine", "--claims", "mine.py")
    assert "no file and no module 'none.py'" in complaint("verify", "mine", "--claims", "none.py")


def test_an_unknown_claim_is_told_those_of_the_file(complaint: Callable[..., str]) -> None:
    Path("mine.py").write_text(RIGHT)
    assert "(did you mean mine?); allowed: the ids that 'metarep claims' lists, and those of mine.py" in complaint(
        "verify", "main", "--claims", "mine.py"
    )


@pytest.mark.parametrize(
    ("formula", "said"),
    [
        (r"\left( x", "extra left or missing right"),
        ("a_b_c", "double subscripts"),
        ("x^", "missing super script"),
        (r"\sqrt", "no available tokens"),
        (r"\nosuchmacro{x}", "allowed: LaTeX that latex2mathml knows"),
        ("x$ and $", "odd number of dollar signs"),
    ],
)
def test_a_formula_that_cannot_be_typeset_costs_no_report(formula, said, complaint) -> None:
    text = RIGHT.replace("0 \\\\le \\\\max |B|", formula.replace("\\", "\\\\"))
    Path("mine.py").write_text(text if "$ and" not in formula else RIGHT.replace('.",', ' $x.",', 1))
    assert said in complaint("report", "--out", "made", "--claims", "mine.py")
    assert not Path("made").exists()


def test_records_are_kept_for_the_report_that_goes_on_with_the_same_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("beside.py").write_text("LEAST = 0")
    Path("mine.py").write_text(f"from beside import LEAST\n{RIGHT}")
    verified: list[str] = []

    def counted(claim: Claim, *arguments: Any) -> Any:
        verified.append(claim.id)
        return verify_own(claim, *arguments)

    monkeypatch.setattr(module, "verify_own", counted)

    def times(resume: bool, seed: int = 0) -> int:
        verified.clear()
        with kept_in(Path("out"), "now", resume=resume) as kept:
            records = own_records(own_claims(Path("mine.py")), Path("mine.py"), 1.0, seed, kept=kept)
        assert [record.status for record in records] == ["SUPPORTED"]
        return len(verified)

    assert times(resume=False) == 1
    assert times(resume=True) == 0
    assert times(resume=True, seed=1) == 1
    Path("beside.py").write_text("LEAST = 0  # and more")
    assert times(resume=True) == 1
    assert times(resume=True) == 0
    with kept_in(Path("out"), "later") as kept:
        verified.clear()
        own_records(own_claims(Path("mine.py")), Path("mine.py"), 1.0, 0, kept=kept)
    assert verified == ["mine"]
    del sys.modules["beside"]
