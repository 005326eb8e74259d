"""``pytest --implementation``, from a folder that is no checkout."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

MINE = """
supported = {"average-loss"}

def step(learner, B, w, targets, alpha, beta):
    residual = B @ w - targets.mean(-1)
    return B - beta * residual[:, None] * w, w - beta * (B.T @ residual)
"""


NAMES = "update-average-loss or calls-depend-on-values or own"


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    env = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "COV_"))}
    command = [sys.executable, *words]
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False, timeout=300)


@pytest.mark.parametrize(
    ("source", "outcome"),
    [
        pytest.param(MINE, "2 passed", marks=pytest.mark.thorough),
        (MINE.replace("- beta", "+ beta"), "1 failed, 1 passed"),
    ],
)
def test_the_claims_are_run_and_nothing_else(tmp_path: Path, source: str, outcome: str) -> None:
    (tmp_path / "mine.py").write_text(source)
    (tmp_path / "test_of_ones_own.py").write_text("import nothing_of_the_kind\n")
    done = run(tmp_path, "-m", "pytest", "-q", "--implementation=mine.py", "-k", NAMES)
    assert outcome in done.stdout, done.stdout + done.stderr
    assert "error" not in done.stdout.lower().replace("assertionerror", "")


def test_it_costs_other_peoples_tests_nothing(tmp_path: Path) -> None:
    looked = "import metarep.reports.cli.pytest_plugin, sys; print(*sys.modules)"
    loaded = set(run(tmp_path, "-c", looked).stdout.split())
    assert "metarep.reports.cli.pytest_plugin" in loaded
    assert not {"numpy", "scipy", "sympy", "hypothesis", "typer", "rich", "joblib", "metarep.sim"} & loaded
