"""Breakages of the source, each of which a test must see (``mutations.toml``)."""

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MUTATIONS = {
    entry["name"]: entry for entry in tomllib.loads((Path(__file__).parent / "mutations.toml").read_text())["mutation"]
}
FOLDERS = ("sim", "theory", "reports", "tests")


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the sources that may be broken, with a folder ``links`` in which ``metarep`` is found."""
    root = tmp_path_factory.mktemp("mutated")
    for folder in FOLDERS:
        shutil.copytree(ROOT / folder, root / folder, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    (root / "links" / "metarep").mkdir(parents=True)
    for name, target in (
        ("sim", "sim"),
        ("theory", "theory"),
        ("reports", "reports"),
        ("__init__.py", "reports/metarep/__init__.py"),
    ):
        (root / "links" / "metarep" / name).symlink_to(root / target)
    for file in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / file, root)
    return root


def run_tests(root: Path, tests: list[str]) -> subprocess.CompletedProcess:
    environment = {**os.environ, "PYTHONPATH": str(root / "links"), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-n", "0", "-p", "no:cacheprovider", *tests]
    return subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, timeout=600)


def test_every_mutation_is_of_text_that_is_there_once() -> None:
    for entry in MUTATIONS.values():
        assert (ROOT / entry["file"]).read_text().count(entry["old"]) == 1, entry["name"]
        assert entry["new"] != entry["old"]


@pytest.mark.mutation
def test_the_copy_is_what_is_tested_and_passes(copy: Path) -> None:
    """Unbroken it passes: what fails below fails for the breakage."""
    where = "import metarep.sim.metrics as m; print(m.__file__)"
    environment = {**os.environ, "PYTHONPATH": str(copy / "links")}
    found = subprocess.run([sys.executable, "-c", where], env=environment, capture_output=True, text=True, check=True)
    assert Path(found.stdout.strip()).resolve() == (copy / "sim" / "metrics.py").resolve()
    finished = run_tests(copy, sorted({test for entry in MUTATIONS.values() for test in entry["tests"]}))
    assert finished.returncode == 0, finished.stdout


@pytest.mark.mutation
@pytest.mark.parametrize("name", MUTATIONS)
def test_mutation_is_seen(copy: Path, name: str) -> None:
    entry = MUTATIONS[name]
    file = copy / entry["file"]
    right = file.read_text()
    file.write_text(right.replace(entry["old"], entry["new"]))
    try:
        finished = run_tests(copy, entry["tests"])
    finally:
        file.write_text(right)
    assert finished.returncode == 1, f"no test fails:\n{finished.stdout}{finished.stderr}"
