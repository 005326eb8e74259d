"""``metarep check``: right adapters conform, wrong ones do not and their cause is named, unusable ones get one line."""

import json
import os
import re
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from textwrap import dedent
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from sharing import cases

import metarep
from metarep.reports.cli import check
from metarep.reports.cli.app import run
from metarep.reports.page.output import progress_bar
from metarep.sim import trajectories
from metarep.sim.foreign.adapter import AdapterError, adapter_of, load_adapter
from metarep.sim.foreign.implementation import foreign_implementation
from metarep.sim.implementations import REFERENCE, Implementation
from metarep.sim.learners import LEARNERS
from metarep.sim.mutants.steps import IMPLEMENTATION_MUTANTS, wrong_implementation
from metarep.sim.problems import FixedTasks, Problem
from metarep.theory.claims import catalogue, get_claim
from metarep.theory.engine.foreign.calls import every_claim
from metarep.theory.engine.foreign.checking import (
    CheckResult,
    Status,
    applicable,
    check_claim,
    check_implementation,
)
from metarep.theory.engine.foreign.diagnosis import diagnose
from metarep.theory.engine.foreign.order import FIRST, QUICK

UPDATES = tuple(claim for claim in catalogue() if claim.id.startswith("update-"))

RIGHT = """
import numpy as np

def step(learner, B, w, targets, alpha, beta):
    head, body = learner in ("anil", "fo-anil", "maml", "fo-maml"), learner in ("maml", "fo-maml")
    grad_B, grad_w = np.zeros_like(B), np.zeros_like(w)
    for theta in targets.T:
        r = B @ w - theta
        w_i = w - alpha * (B.T @ r) if head else w
        B_i = B - alpha * np.outer(r, w) if body else B
        v = B_i @ w_i - theta
        g = B_i.T @ v
        grad_B += np.outer(v, w_i)
        grad_w += g
        if learner == "anil":
            grad_B -= alpha * np.outer(B @ g, w)
            grad_B -= alpha * np.outer(r, g)
            grad_w -= alpha * (B.T @ (B @ g))
        if learner == "maml":
            grad_B -= alpha * (w @ w_i) * np.outer(v, w)
            grad_B -= alpha * np.outer(B @ g, w)
            grad_B -= alpha * np.outer(r, g)
            grad_w -= alpha * (r @ v) * w_i
            grad_w -= alpha * (w @ w_i) * (B.T @ v)
            grad_w -= alpha * (B.T @ (B @ g))
    n = targets.shape[1]
    return B - beta * grad_B / n, w - beta * grad_w / n
"""
"""All five learners as a user would write them, task by task."""

WRONG: dict[str, tuple[str, str, str | None]] = {
    "sum": ("beta * grad_B / n, w - beta * grad_w / n", "beta * grad_B, w - beta * grad_w", "sum-instead-of-mean"),
    "swapped": ("    head, body", "    alpha, beta = beta, alpha\n    head, body", "alpha-beta-swapped"),
    "alpha twice": ("    head, body", "    alpha = 2 * alpha\n    head, body", "alpha-scaled"),
    "alpha 1 %": ("    head, body", "    alpha = 1.01 * alpha\n    head, body", "alpha-scaled"),
    "beta half": ("    head, body", "    beta = 0.5 * beta\n    head, body", "beta-scaled"),
    "does not move": ("beta * grad_B / n, w - beta * grad_w / n", "0 * grad_B, w - 0 * grad_w", "frozen"),
    "ascends": ("    n = targets.shape[1]", "    n = -targets.shape[1]", "wrong-sign"),
    "inner ascends": ("    head, body", "    alpha = -alpha\n    head, body", "wrong-sign"),
    "stale residual": ("v = B_i @ w_i - theta", "v = r", "stale-residual"),
    "first order": ('if learner == "', 'if False and learner == "', "first-order-instead-of-exact"),
    "ANIL without BBv": ('"anil":\n            grad_B -= alpha * np.outer(B @ g, w)\n', '"anil":\n', "missing-term"),
    "ANIL without rv": (
        "            grad_B -= alpha * np.outer(r, g)\n            grad_w -= alpha * (B.T @ (B @ g))\n        if",
        "            grad_w -= alpha * (B.T @ (B @ g))\n        if", "missing-term"),
    "ANIL without Hessian": ("            grad_w -= alpha * (B.T @ (B @ g))\n        if", "        if", "missing-term"),
    "MAML without vw": ("            grad_B -= alpha * (w @ w_i) * np.outer(v, w)\n", "", "missing-term"),
    "MAML without rv w": ("            grad_w -= alpha * (r @ v) * w_i\n", "", "missing-term"),
    "MAML without Bv": ("            grad_w -= alpha * (w @ w_i) * (B.T @ v)\n", "", "missing-term"),
    "MAML term's sign": ("grad_w -= alpha * (r @ v) * w_i", "grad_w += alpha * (r @ v) * w_i", "wrong-sign"),
    "MAML adapts the head only": ('"fo-maml"), learner in ("maml", "fo-maml")', '"fo-maml"), False', None),
    "ANIL adapts the body": ('("anil", "fo-anil", "maml", "fo-maml"), learner in ("maml", "fo-maml")',
                             '("maml", "fo-maml"), learner in ("anil", "fo-anil", "maml", "fo-maml")', None),
    "unadapted B": ("g = B_i.T @ v", "g = B.T @ v", None),
    "sequential": ("    return B - beta * grad_B / n, w - beta * grad_w / n",
                   "    B_next = B - beta * grad_B / n\n    if learner == 'average-loss':\n"
                   "        return B_next, w - beta * B_next.T @ (B_next @ w - targets.mean(1))\n"
                   "    return B_next, w - beta * grad_w / n", "sequential-step"),
    "last task dropped": ("in targets.T:", "in targets.T[:-1] if targets.shape[1] > 1 else targets.T:", None),
    "weight decay": ("B - beta * grad_B / n,", "(1 - 0.01 * beta) * B - beta * grad_B / n,", None),
    "carried over": ("w_i = w - alpha * (B.T @ r) if head else w", "w_i = w - alpha * (B.T @ r) if head else w\n"
                     "        w = w_i if learner == 'fo-anil' else w", None),
}  # fmt: skip
"""What is replaced in the right adapter, by what, and the cause that must be named (None: any, or none)."""
FITTED = {"alpha 1 %": 1.01, "beta half": 0.5}
"""The factors that are told with a cause."""
REPEATED = (
    "alpha twice", "inner ascends", "ANIL without rv", "ANIL without Hessian", "MAML without vw", "MAML without Bv",
    "ANIL adapts the body", "last task dropped", "returns another shape", "has no step",
)  # fmt: skip
"""Those of a kind with others, here and of what cannot be used below."""


def checked(tmp_path: Path, source: str, examples: int = 3) -> CheckResult:
    return check_implementation(adapted(tmp_path, source), UPDATES, max_examples=examples)


def test_the_right_adapter_conforms(tmp_path: Path) -> None:
    result = checked(tmp_path, RIGHT, 6)
    assert result.conforming
    assert result.diagnosis is None
    assert len(result.of(Status.PASSED)) == 5


def adapted(tmp_path: Path, source: str) -> Implementation:
    path = tmp_path / "adapter.py"
    path.write_text(source)
    return foreign_implementation(load_adapter(str(path)))


@pytest.mark.parametrize("name", cases(WRONG, REPEATED))
def test_wrong_adapters_fail_with_their_cause(tmp_path: Path, name: str) -> None:
    old, new, cause = WRONG[name]
    assert old in RIGHT
    implementation = adapted(tmp_path, RIGHT.replace(old, new))
    statuses = (check_claim(claim, implementation, max_examples=3, most_shrinks=0).status for claim in UPDATES)
    assert Status.FAILED in statuses
    found = diagnose(implementation).cause
    if cause is not None:
        assert found is not None
        assert found.id == cause, found
        if name in FITTED:
            assert (found.factor, found.learner) == (pytest.approx(FITTED[name]), "all")


SINGLE = RIGHT.replace(
    "    head, body", "    B, w, targets = (x.astype(np.float32) for x in (B, w, targets))\n    head, body"
)


def test_float32_passes_as_float32_and_fails_as_float64(tmp_path: Path) -> None:
    assert checked(tmp_path, SINGLE).conforming
    assert checked(tmp_path, SINGLE + '\nprecision = "float32"\n').conforming
    wide = adapted(tmp_path, SINGLE + '\nprecision = "float64"\n')
    assert check_claim(UPDATES[0], wide, max_examples=3, most_shrinks=0).status == Status.FAILED


def test_the_first_claims_refute_every_mutant_and_the_earlier_the_more() -> None:
    claims = tuple(get_claim(name) for name in FIRST)
    firsts: dict[str, int] = dict.fromkeys(FIRST, 0)
    for mutant in (each for each in IMPLEMENTATION_MUTANTS if each.learners):
        wrong = replace(wrong_implementation(mutant), exact=False, step_on_samples=None)
        unnoticed, refuting = set(mutant.learners), []
        for claim in claims:
            if unnoticed & set(claim.learners) and check_claim(claim, wrong, most_shrinks=0).status == Status.FAILED:
                unnoticed -= set(claim.learners)
                refuting.append(claim.id)
        assert not unnoticed, f"{mutant.name} of {unnoticed} survives"
        firsts[refuting[0]] += 1
    counts = [count for name, count in firsts.items() if name.startswith("update-")]
    assert counts == sorted(counts, reverse=True), firsts
    assert sum(counts) >= 0.95 * sum(firsts.values()), "most faults show within a second"


def test_claims_about_other_learners_do_not_apply(tmp_path: Path) -> None:
    result = checked(tmp_path, RIGHT + '\nsupported = {"anil"}\n')
    assert [item.claim.id for item in result.of(Status.PASSED)] == ["update-anil"]
    assert all("it speaks of" in item.why for item in result.of(Status.NOT_APPLICABLE))


UNUSABLE = {
    "raises": ("        r = B @ w - theta", "        r = B @ w - theta @ B", ":8"),
    "returns another shape": ("    return B -", "    return B.T -", ":"),
    "returns NaN": ("    return B -", "    return np.nan * B -", ":"),
    "changes its input": ("    head, body", "    B += 1\n    head, body", ":"),
    "has no step": ("def step", "def stepp", ":"),
    "is no Python": ("import numpy as np", "import numpy as", ":2"),
    "supports nonsense": ("import numpy as np", "import numpy as np\nsupported = {'nonsense'}", ":3"),
}


@pytest.mark.parametrize("what", cases(UNUSABLE, REPEATED))
def test_unusable_adapters_get_one_line_with_their_own(
    tmp_path: Path, what: str, complaint: Callable[..., str]
) -> None:
    old, new, line = UNUSABLE[what]
    path = tmp_path / "adapter.py"
    path.write_text(RIGHT.replace(old, new))
    assert f"adapter.py{line}" in complaint("check", path)
    with pytest.raises(AdapterError):
        foreign_implementation(load_adapter(str(path)))


WRONG_BASELINE = (
    RIGHT.replace("    head, body", "    beta = 1.5 * beta\n    head, body") + '\nsupported = {"average-loss"}\n'
)


@pytest.fixture
def wrong_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A wrong adapter with a name that XML and GitHub's commands have to escape."""
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    monkeypatch.chdir(tmp_path)
    path = Path("wrong & 50%,.py")
    path.write_text(WRONG_BASELINE)
    return path


def test_command_line(wrong_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["check", str(wrong_file), "--quick", "--json"]) == 1
    record = json.loads(capsys.readouterr().out)
    assert record["conforming"] is False
    assert record["cause"] == {"id": "beta-scaled", "learner": "average-loss", "factor": pytest.approx(1.5)}
    statuses = {claim["id"]: claim["status"] for claim in record["claims"]}
    assert set(statuses) == set(QUICK)
    assert {id for id, status in statuses.items() if status == "FAILED"} == {"update-average-loss"}


def test_junit_and_annotations(wrong_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["check", str(wrong_file), "--fail-fast", "--junit", "out/junit.xml", "--annotate"]
    assert run([*words, "--examples", "2"]) == 1
    seen = capsys.readouterr()
    assert "NOT_RUN: a claim before it failed" in seen.out
    suite = ElementTree.parse("out/junit.xml").getroot()[0]
    cases = {case.get("name"): case for case in suite}
    assert suite.get("name") == f"metarep check {wrong_file}"
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == (str(len(every_claim())), "1", "0")
    assert len(suite.findall("testcase/skipped")) == int(suite.get("skipped", "")) > 200
    failure = cases["update-average-loss"].find("failure")
    assert failure is not None
    assert "\nd = " in (failure.text or "")
    cause, claim = seen.err.splitlines()
    at = "::error file=wrong & 50%25%2C.py,line=4,title=metarep check%3A "
    assert cause.startswith(f"{at}does not conform::Likely cause: beta-scaled (factor 1.5)")
    assert claim.startswith(f"{at}update-average-loss fails::")
    assert "%0Ad = " in claim


def test_what_cannot_be_used_is_an_error_in_junit_and_an_annotation(
    wrong_file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong_file.write_text(RIGHT.replace("    head, body", "    raise ValueError('<\\x00]]>&\\ud800')\n    head, body"))
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    assert run(["check", str(wrong_file), "--junit", "junit.xml"]) == 2
    annotation, line = capsys.readouterr().err.splitlines()
    assert annotation.startswith("::error file=wrong & 50%25%2C.py,line=5,title=metarep check%3A cannot be used::")
    assert line.startswith("metarep: wrong & 50%,.py:5: step raised ValueError: <?]]>&")
    suite = ElementTree.parse("junit.xml").getroot()[0]
    assert (suite.get("tests"), suite.get("errors")) == ("1", "1")
    error = suite.find("testcase/error")
    assert error is not None
    assert "step raised ValueError" in error.get("message", "")


def test_list(wrong_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["check", "--list"]) == 0
    listed = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert listed == [claim.id for claim in applicable(every_claim(), REFERENCE)]
    assert listed[: len(QUICK)] == list(QUICK)
    assert run(["check", str(wrong_file), "--list", "--quick"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "update-average-loss (The update maps)",
        "calls-depend-on-values (The adapter as code)",
        "calls-pass-nan-on (The adapter as code)",
    ]


OWN = """
from metarep.sim.learners import LEARNERS
from metarep.theory.claims.record import Claim, Comparison, Verdict, own
from metarep.theory.claims.strategies import floats, outer_steps, step_arrays

def still(instance, implementation):
    at = step_arrays(instance)
    B, w = implementation.step(LEARNERS["average-loss"], at.B, at.w, at.targets, at.alpha, at.beta)
    return Comparison(float(abs(B - at.B).max()), 0.0, 0.0, "how far a step moves B")

CLAIMS = (Claim("nothing-moves", "Our own", r"$\\|B^+ - B\\| \\le 0$.", own(), "anything", Verdict.SUPPORTED,
                kind="inequality", learners=("average-loss",), exercises=frozenset({"step"}),
                floats=lambda: outer_steps(floats), check=still),)
"""


def test_the_cause_comes_first_and_what_follows_from_a_failure_is_only_named(
    wrong_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["check", str(wrong_file), "--examples", "2"]
    ids = ("update-average-loss", "right-factor-average-loss", "average-loss-one-target")
    only = [word for claim in ids for word in ("--only", claim)]
    assert run([*words, *only]) == 1
    said = capsys.readouterr().out
    assert said.splitlines()[1].endswith(" does not conform.")
    assert said.splitlines()[2].startswith("Likely cause: beta-scaled (factor 1.5)")
    assert said.count("  FAILED  ") == 1
    assert re.search(
        "1 more FAILED, which follow from that: (right-factor-average-loss|average-loss-one-target) ", said
    )
    found, expected = (re.search(rf"^ +B⁺ {what} = .*$", said, re.MULTILINE) for what in ("found", "expected"))
    assert found
    assert expected
    assert found[0] != expected[0].replace("expected", "found")
    assert "metarep check 'wrong & 50%,.py' --only update-average-loss\n" in said
    snippet = re.search(r"^( +from metarep.*?print\(replay.*?)$", said, re.MULTILINE | re.DOTALL)
    assert snippet
    exec(dedent(snippet[1]), {})
    assert "holds" not in capsys.readouterr().out.replace("holds=False", "")
    assert run([*words, *only, "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["roots"] == ["update-average-loss"]


def test_a_claim_that_the_reference_fails_too_is_at_fault(
    wrong_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong_file.write_text(RIGHT)
    (tmp_path / "own.py").write_text(OWN)
    words = ["check", str(wrong_file), "--claims", str(tmp_path / "own.py"), "--examples", "2", "--only"]
    assert run([*words, "nothing-moves", "--only", "update-average-loss"]) == 1
    said = capsys.readouterr().out
    assert "CLAIM_AT_FAULT  nothing-moves" in said
    assert "At fault, as the reference fails them too: nothing-moves.\n" in said
    assert said.endswith(" conforms.\n")
    assert f"--claims {tmp_path / 'own.py'} --only nothing-moves" in said
    assert run([*words, "nothing-moves", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["counts"]["CLAIM_AT_FAULT"] == 1


def test_the_traceback_of_an_error_is_shown_on_demand(wrong_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wrong_file.write_text(RIGHT.replace("    head, body", "    print('here'); raise ValueError('why')\n    head, body"))
    for words, lines in ((["--quick"], 1), (["--quick", "--traceback"], 6)):
        assert run(["check", str(wrong_file), *words]) == 2
        told = capsys.readouterr().err.splitlines()
        assert len(told) >= lines
        assert "here" not in told
        assert (told[0] == "Traceback (most recent call last):") == (lines > 1)
        assert told[-1].startswith("metarep: ")


def test_options_out_of_range(wrong_file: Path, complaint: Callable[..., str]) -> None:
    assert "timeout is 0; allowed: seconds" in complaint("check", wrong_file, "--timeout", 0)
    assert "claim-timeout is nan; allowed: seconds" in complaint("check", wrong_file, "--claim-timeout", "nan")
    assert "junit is empty" in complaint("check", wrong_file, "--junit", "")
    assert "it must be given" in complaint("check")
    assert "were not enough in 1e-06 s" in complaint("check", wrong_file, "--quick", "--claim-timeout", 1e-6)


def test_a_slow_adapter_is_told_beforehand_and_on_the_way(
    wrong_file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(check, "TELL_EVERY", 0.05)
    assert run(["check", str(wrong_file), "--quick", "--examples", "2", "--budget", "1e-9"]) == 1
    told = capsys.readouterr().err
    first, *progressed = told.splitlines()
    assert re.fullmatch(r"check: a call takes [\d.e-]+ s; fewer examples within about 0 s .*", first)
    assert progressed
    assert all(re.match("check: ([123] of 3 )?after ", line) for line in progressed)
    with progress_bar("check", 0.05) as progress:
        for done in (300, 301, 400):  # what was there when it began says nothing of how long the rest takes
            time.sleep(0.08)
            progress(done, 400)
        time.sleep(0.08)
    told = list(dict.fromkeys(capsys.readouterr().err.splitlines()))
    assert told[:2] == ["check: after 0 s", "check: 300 of 400 after 0 s"]
    assert re.fullmatch(r"check: 301 of 400 after 0 s, about \d\d s left", told[2])
    assert told[-1] == "check: 400 of 400 after 0 s"


def _raises(*given: object) -> None:
    raise ValueError(os.getpid())


def test_a_function_is_checked_in_this_process_and_a_file_in_another(tmp_path: Path) -> None:
    defined: dict[str, Any] = {}
    exec(compile(RIGHT, "right.py", "exec"), defined)
    (tmp_path / "adapter.py").write_text("import os\n\ndef step(*given):\n    raise ValueError(os.getpid())\n")
    with pytest.raises(AdapterError, match=r"step raised ValueError: \d+") as caught:
        metarep.check(str(tmp_path / "adapter.py"))
    assert f"ValueError: {os.getpid()}" not in str(caught.value)
    with pytest.raises(AdapterError, match=rf"test_check\.py:\d+: step raised ValueError: {os.getpid()} "):
        metarep.check(_raises)
    assert foreign_implementation(adapter_of(defined["step"])).supported == set(LEARNERS)


@pytest.mark.parametrize(
    "learner",
    cases(LEARNERS, ("anil", "fo-anil", "fo-maml")),
)
def test_an_implementation_of_one_learner_conforms(learner: str) -> None:
    only = replace(REFERENCE, name=learner, exact=False, supported=frozenset({learner}))
    result = check_implementation(only, catalogue(), max_examples=1)
    assert result.conforming, [(item.claim.id, item.why) for item in result.of(Status.FAILED)]
    assert len(result.of(Status.PASSED)) >= 15


ON_SAMPLES = (
    RIGHT
    + """
from autograd import grad, numpy as anp

def loss(B, w, X, y):
    return anp.sum((X @ (B @ w) - y) ** 2) / (2 * len(y))

def adapted(B, w, X, y, alpha):
    return w - alpha * grad(loss, 1)(B, w, X, y)

def step_on_samples(learner, B, w, X_in, y_in, X_out, y_out, alpha, beta):
    n = len(X_in)
    def outer_loss(B, w):
        return sum(loss(B, adapted(B, w, X_in[i], y_in[i], alpha), X_out[i], y_out[i]) for i in range(n)) / n
    return B - beta * grad(outer_loss, 0)(B, w), w - beta * grad(outer_loss, 1)(B, w)

supported = {"anil"}
"""
)
WRONG_ON_SAMPLES: dict[str, tuple[str, str, str | None]] = {
    "right": ("supported", "supported", None),
    "one sample twice": ("X_out[i], y_out[i]", "X_in[i], y_in[i]", None),
    "sum": ("range(n)) / n", "range(n))", "sum-instead-of-mean"),
    "no sample mean": (" / (2 * len(y))", " / 2", "loss-scaled"),
}


@pytest.mark.parametrize("name", WRONG_ON_SAMPLES)
def test_steps_on_samples(tmp_path: Path, name: str) -> None:
    old, new, cause = WRONG_ON_SAMPLES[name]
    assert old in ON_SAMPLES
    implementation = adapted(tmp_path, ON_SAMPLES.replace(old, new))
    checked = check_claim(get_claim("sampled-step-anil"), implementation, max_examples=4, most_shrinks=0)
    assert checked.status == (Status.PASSED if name == "right" else Status.FAILED)
    if cause is not None:
        found = diagnose(implementation)
        assert found.cause is not None, found.explanation
        assert found.cause.id == cause


def test_claims_about_samples_do_not_apply_without_them(tmp_path: Path) -> None:
    checked = check_claim(get_claim("sampled-step-anil"), adapted(tmp_path, RIGHT))
    assert checked.status == Status.NOT_APPLICABLE
    assert "step_on_samples" in checked.why


def test_with_little_time_claims_get_fewer_examples_but_the_first_claims_all(tmp_path: Path) -> None:
    claims = tuple(get_claim(name) for name in ("update-anil", "confinement", "envelope-anil"))
    right = adapted(tmp_path, RIGHT)
    little, much = (check_implementation(right, claims, budget=budget).claims for budget in (1e-9, 600.0))
    assert [item.hurried for item in little] == [False, True, True]
    assert [item.examples for item in little] == [much[0].examples, 1, 1]
    assert not any(item.hurried for item in much)
    assert much[1].examples > 1


def test_not_a_number_on_the_way_is_a_finding(tmp_path: Path) -> None:
    late = adapted(tmp_path, RIGHT.replace("    n = t", "    if abs(B).max() > 3: grad_B *= np.nan\n    n = t"))
    assert check_claim(get_claim("envelope-anil"), late, max_examples=2).status == Status.PASSED
    assert check_claim(get_claim("symmetry-scaling"), late, most_shrinks=0).status == Status.FAILED


def test_runs_frozen_at_zero_do_not_reach_the_adapter(tmp_path: Path) -> None:
    strict = adapted(tmp_path, RIGHT.replace("    n = t", "    assert abs(B).max() > 0\n    n = t"))
    B0 = np.stack([np.eye(3, 1), 100 * np.eye(3, 1)])
    problem = Problem(3, np.eye(3, 1), FixedTasks(np.ones((1, 2))), B0, np.zeros((2, 1)), 2)
    seen = trajectories.run(LEARNERS["anil"], problem, 1.0, 0.1, 50, implementation=strict)
    assert list(seen.diverged) == [False, True]


def test_several_steps_end_before_one_that_fails_or_leaves_for_infinity(tmp_path: Path) -> None:
    fails = RIGHT.replace("    n = t", "    assert abs(B).max() < 3\n    n = t")
    B, w, targets = np.full((2, 1), 2.9), np.ones(1), np.zeros((9, 2, 1))
    for source in (fails, RIGHT):
        grows = adapted(tmp_path, source).several
        assert grows is not None
        found, _ = grows(LEARNERS["average-loss"], B, w, targets, 1.0, -1.0)
        reached = np.abs(found).max((1, 2))
        assert 1 <= len(found) < 9
        assert (reached[:-1] < 1e12).all()
        assert (reached[-1] > 3) if source == fails else (reached[-1] > 1e12)


def test_a_failing_claim_shrinks_to_something_small(tmp_path: Path) -> None:
    implementation = adapted(tmp_path, RIGHT.replace("    head, body", "    beta = 1.5 * beta\n    head, body"))
    found = check_claim(get_claim("update-average-loss"), implementation, max_examples=3)
    assert found.counterexample is not None
    assert found.counterexample["d"] <= 2
