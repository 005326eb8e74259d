"""The house: imports go one way, and the simulator sees nothing that was derived."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MAY_IMPORT = {"sim": {"sim"}, "theory": {"sim", "theory"}, "reports": {"sim", "theory", "reports"}}
OURS = {"sim", "theory", "reports", "tests"}
NUMPY_ONLY = {"numpy"}


def imported(path: Path) -> set[str]:
    """Full names of the modules that a file imports."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}: relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def files(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_imports_go_one_way(package: str) -> None:
    assert files(package)
    for path in files(package):
        others = {name.split(".")[1] for name in imported(path) if name.startswith("metarep.")}
        assert others <= MAY_IMPORT[package], f"{path} imports {others - MAY_IMPORT[package]}"


def test_simulator_needs_numpy_only() -> None:
    import sys

    for path in files("sim"):
        foreign = {name.split(".")[0] for name in imported(path)} - set(sys.stdlib_module_names) - {"metarep"}
        assert foreign <= NUMPY_ONLY, f"{path} imports {foreign - NUMPY_ONLY}"


def test_only_claims_and_engine_see_the_simulator() -> None:
    for path in files("theory"):
        if not {"claims", "engine"} & set(path.relative_to(ROOT).parts):
            seen = {name for name in imported(path) if name.startswith("metarep.sim.")}
            assert all(name.startswith("metarep.sim.learners.") for name in seen), f"{path} imports {seen}"


def test_top_level_is_as_laid_down() -> None:
    allowed = {"pyproject.toml", "MANIFEST.in", "README.md", "LICENSE", "CITATION.cff", *OURS}
    import subprocess

    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if tracked.returncode:
        pytest.skip("not in a git checkout, so there is no list of tracked files")
    top = {line.split("/")[0] for line in tracked.stdout.splitlines()}
    assert {name for name in top if not name.startswith(".")} <= allowed
