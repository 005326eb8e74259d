"""``metarep check``: right adapters conform, wrong ones do not and their cause is named, unusable ones get one line."""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from metarep.sim import trajectories
from metarep.sim.foreign.adapter import AdapterError, load_adapter
from metarep.sim.foreign.implementation import foreign_implementation
from metarep.sim.implementations import REFERENCE, Implementation
from metarep.sim.learners import LEARNERS
from metarep.sim.problems import FixedTasks, Problem
from metarep.theory.claims import catalogue, get_claim
from metarep.theory.engine.foreign.checking import CheckResult, Status, check_claim, check_implementation
from metarep.theory.engine.foreign.diagnosis import diagnose

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


@pytest.mark.parametrize("name", WRONG)
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


@pytest.mark.parametrize(("name", "factor"), [("alpha 1 %", 1.01), ("beta half", 0.5)])
def test_fitted_factors(tmp_path: Path, name: str, factor: float) -> None:
    old, new, _ = WRONG[name]
    cause = diagnose(adapted(tmp_path, RIGHT.replace(old, new))).cause
    assert cause is not None
    assert cause.factor == pytest.approx(factor)
    assert cause.learner == "all"


SINGLE = RIGHT.replace(
    "    head, body", "    B, w, targets = (x.astype(np.float32) for x in (B, w, targets))\n    head, body"
)


def test_float32_passes_as_float32_and_fails_as_float64(tmp_path: Path) -> None:
    assert checked(tmp_path, SINGLE).conforming
    assert checked(tmp_path, SINGLE + '\nprecision = "float32"\n').conforming
    wide = adapted(tmp_path, SINGLE + '\nprecision = "float64"\n')
    assert check_claim(UPDATES[0], wide, max_examples=3, most_shrinks=0).status == Status.FAILED


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


@pytest.mark.parametrize("what", UNUSABLE)
def test_unusable_adapters_get_one_line_with_their_own(
    tmp_path: Path, what: str, complaint: Callable[..., str]
) -> None:
    old, new, line = UNUSABLE[what]
    path = tmp_path / "adapter.py"
    path.write_text(RIGHT.replace(old, new))
    assert f"adapter.py{line}" in complaint("check", path)
    with pytest.raises(AdapterError):
        foreign_implementation(load_adapter(str(path)))


def test_command_line(tmp_path: Path) -> None:
    wrong = RIGHT.replace("    head, body", "    beta = 1.5 * beta\n    head, body")
    (tmp_path / "wrong.py").write_text(wrong + '\nsupported = {"average-loss"}\n')
    command = [sys.executable, "-m", "metarep", "check", str(tmp_path / "wrong.py"), "--max-examples", "1", "--json"]
    root = Path(__file__).parent.parent
    found = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert found.returncode == 1, found.stderr
    record = json.loads(found.stdout)
    assert record["conforming"] is False
    assert record["cause"] == {"id": "beta-scaled", "learner": "average-loss", "factor": pytest.approx(1.5)}
    assert {claim["status"] for claim in record["claims"]} >= {"FAILED", "NOT_APPLICABLE"}


@pytest.mark.parametrize(
    ("module", "library"),
    [("with_autograd", "autograd"), ("clone_adapt", "autograd"), ("with_torch", "torch"), ("with_jax", "jax")],
)
def test_shipped_adapters_conform(module: str, library: str) -> None:
    pytest.importorskip(library, reason=f"the optional extra {library!r} is not installed")
    adapter = foreign_implementation(load_adapter(f"metarep.reports.adapters.{module}"))
    assert check_implementation(adapter, UPDATES, max_examples=4).conforming


def test_shipped_adapters_are_short() -> None:
    for path in (Path(__file__).parent.parent / "reports" / "adapters").glob("*.py"):
        assert len(path.read_text(encoding="utf-8").splitlines()) < 40, path


@pytest.mark.parametrize("learner", LEARNERS)
def test_an_implementation_of_one_learner_conforms(learner: str) -> None:
    only = replace(REFERENCE, name=learner, exact=False, supported=frozenset({learner}))
    result = check_implementation(only, catalogue(), max_examples=1)
    assert result.conforming, [(item.claim.id, item.why) for item in result.of(Status.FAILED)]
    assert len(result.of(Status.PASSED)) >= 15


def test_float32_passes_every_claim(tmp_path: Path) -> None:
    result = check_implementation(adapted(tmp_path, SINGLE), catalogue(), max_examples=1)
    assert result.conforming, [(item.claim.id, item.why) for item in result.of(Status.FAILED)]


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


def test_a_failing_claim_shrinks_to_something_small(tmp_path: Path) -> None:
    implementation = adapted(tmp_path, RIGHT.replace("    head, body", "    beta = 1.5 * beta\n    head, body"))
    found = check_claim(get_claim("update-average-loss"), implementation, max_examples=3)
    assert found.counterexample is not None
    assert found.counterexample["d"] <= 2
