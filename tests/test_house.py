"""The house: imports go one way, in no circle, and the simulator sees nothing that was derived."""

import ast
import graphlib
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROOMS: tuple[tuple[str, ...], ...] = (
    ("sim",),
    ("theory.work",),
    ("theory.calculus",),
    ("theory.dynamics",),
    ("theory.inequalities",),
    ("theory.claims",),
    ("theory.certificates",),
    ("theory.engine",),
    ("reports.page", "reports.adapters"),
    ("reports.study", "reports.sweep"),
    ("reports.bench",),
    ("reports.chapters",),
    ("reports.report",),
    ("reports.cli",),
    ("reports.metarep",),
)
"""From the ground up: a room imports from itself and from those below it, not from those beside it."""


def files(folder: str) -> list[Path]:
    found = sorted((ROOT / folder.replace(".", "/")).rglob("*.py"))
    assert found, f"{folder} holds no module"
    return found


def module_of(path: Path) -> str:
    """The dotted name of a file without ``metarep.``, a package's by its folder."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


MODULES = {module_of(path): path for package in ("sim", "theory", "reports") for path in files(package)}


def imported(path: Path, *, at_once: bool = False) -> set[str]:
    """Full names of what a file imports; ``at_once``: not what functions import later, nor type checkers only."""
    names: set[str] = set()
    pending: list[ast.AST] = [tree(path)]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}: relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
        later = isinstance(node, ast.FunctionDef) or (
            isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        )
        if not (at_once and later):
            pending += ast.iter_child_nodes(node)
    return names


def ours(path: Path, *, at_once: bool = False) -> set[str]:
    """The modules of the house that a file imports."""
    names = {name.removeprefix("metarep.") for name in imported(path, at_once=at_once) if name.startswith("metarep.")}
    return {name if name in MODULES else name.rpartition(".")[0] for name in names}


@pytest.mark.parametrize("floor", range(len(ROOMS)), ids=lambda floor: "-".join(ROOMS[floor]))
def test_imports_go_down(floor: int) -> None:
    below = {room for rooms in ROOMS[:floor] for room in rooms}
    for room in ROOMS[floor]:
        for path in files(room):
            # ``reports`` itself holds the version, for all.
            for name in ours(path) - {"reports"}:
                inside = any(name == lower or name.startswith(f"{lower}.") for lower in below | {room})
                assert inside, f"{path} imports {name}"


def test_no_circle() -> None:
    """Of what is imported at once: ``graphlib`` names the circle."""
    graph = {name: ours(path, at_once=True) - {name} for name, path in MODULES.items()}
    assert len(tuple(graphlib.TopologicalSorter(graph).static_order())) == len(MODULES)


ONE_THING = {"theory.calculus.words"}
"""Modules that may be longer: the word calculus."""


def test_modules_hold_one_thing() -> None:
    lengths = {name: len(path.read_text(encoding="utf-8").splitlines()) for name, path in MODULES.items()}
    assert {name: lines for name, lines in lengths.items() if lines > 400 and name not in ONE_THING} == {}


def test_simulator_needs_numpy_only() -> None:
    for path in files("sim"):
        foreign = {name.split(".")[0] for name in imported(path)} - set(sys.stdlib_module_names)
        assert foreign <= {"metarep", "numpy"}, f"{path} imports {foreign}"


def test_what_is_derived_sees_of_the_simulator_the_specs_alone() -> None:
    for path in (*files("theory.calculus"), *files("theory.dynamics")):
        seen = {name for name in ours(path) if name.startswith("sim")}
        assert seen <= {"sim.learners"}, f"{path} imports {seen}"


def test_top_level_is_as_laid_down() -> None:
    allowed = {
        "pyproject.toml",
        "README.md",
        "LICENSE",
        "CITATION.cff",
        "sim",
        "theory",
        "reports",
        "tests",
    }
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if tracked.returncode:
        pytest.skip("not in a git checkout, so there is no list of tracked files")
    top = {line.split("/")[0] for line in tracked.stdout.splitlines()}
    assert {name for name in top if not name.startswith(".")} <= allowed
