"""The package: what the wheel holds (built from the sdist), that a user's modules do not disturb it, and the facade."""

import ast
import os
import pydoc
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import pytest

import metarep

ROOT = Path(__file__).parent.parent
FOLDERS = ("sim", "theory", "reports", "tests")
HOMES = {"reports/metarep": "metarep", "reports": "metarep/reports", "sim": "metarep/sim", "theory": "metarep/theory"}
"""Folders and where they are installed, the more special one first."""


ADAPTER = """
supported = {"average-loss"}


def step(learner, B, w, targets, alpha, beta):
    residual = B @ w - targets.mean(1)
    return B - beta * residual[:, None] * w, w - beta * B.T @ residual
"""


def sources(*folders: str) -> list[Path]:
    """The files of these folders, relative to the root, but for what is made of them."""
    found = (path for folder in folders for path in (ROOT / folder).rglob("*") if path.is_file())
    made = tuple(EXTENSION_SUFFIXES)
    return sorted(
        path.relative_to(ROOT) for path in found if "__pycache__" not in path.parts and not path.name.endswith(made)
    )


def installed(path: Path) -> Path:
    """Where a source file is installed."""
    home = next(home for home in HOMES if path.is_relative_to(home))
    return HOMES[home] / path.relative_to(home)


def run(words: list[str], folder: Path, site: Path | None = None) -> str:
    """What a Python process prints in that folder, with what is installed at ``site`` before all else."""
    paths = {} if site is None else {"PYTHONPATH": str(site)}
    command = [sys.executable, *words]
    done = subprocess.run(command, cwd=folder, env={**os.environ, **paths}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_folder_with_python_is_a_package() -> None:
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]["packages"]
    folders = {installed(path).parent for path in sources("sim", "theory", "reports") if path.suffix == ".py"}
    assert sorted(listed) == sorted(".".join(folder.parts) for folder in folders)


@pytest.mark.thorough
def test_wheel_and_sdist(tmp_path: Path) -> None:
    for name, least in (("setuptools", "77"), ("setuptools_scm", None)):
        pytest.importorskip(name, minversion=least, reason="building without isolation needs what pyproject asks for")
    if shutil.which("git") is None:
        pytest.skip("what belongs into the sdist is told by git, which is not installed")
    tree, site, away = tmp_path / "tree", tmp_path / "site", tmp_path / "away"
    tree.mkdir()
    for path in sources(*FOLDERS):
        (tree / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / path, tree / path)
    for name in ("pyproject.toml", "README.md", "LICENSE", "CITATION.cff", ".gitignore"):
        shutil.copy(ROOT / name, tree / name)
    for words in ("init -q", "add -A", "-c user.name=a -c user.email=a@b commit -qm all"):  # the sdist is of a commit
        subprocess.run(["git", *words.split()], cwd=tree, check=True)
    tracked = {path.relative_to(tree) for path in tree.rglob("*") if path.is_file() and ".git" not in path.parts}
    run(["-m", "build", "--no-isolation", "--outdir", "dist", "."], tree)  # the wheel is built from the sdist
    (sdist,), (wheel,) = (tree / "dist").glob("*.tar.gz"), (tree / "dist").glob("*.whl")

    with tarfile.open(sdist) as archive:
        held = {Path(*Path(name).parts[1:]) for name in archive.getnames()}
    assert tracked <= held

    with zipfile.ZipFile(wheel) as archive:
        names = [Path(name) for name in archive.namelist()]
        archive.extractall(site)
    assert {path.parts[0] for path in names} == {"metarep", f"metarep-{metarep.__version__}.dist-info"}
    packaged = {path for path in sources("sim", "theory", "reports") if path.suffix not in (".md", ".svg")}
    compiled = {path for path in names if path.name.endswith(tuple(EXTENSION_SUFFIXES))}
    assert len(compiled) == (shutil.which("cc") is not None)
    assert {path for path in names if path.parts[0] == "metarep"} - compiled == {installed(path) for path in packaged}

    away.mkdir()
    for name in ("sim.py", "theory.py", "reports/__init__.py", "tests/__init__.py"):
        (away / name).parent.mkdir(exist_ok=True)
        (away / name).write_text("raise RuntimeError('a user\\'s own module was imported')\n")
    (away / "mine.py").write_text(ADAPTER)
    assert "conforms." in run(["-m", "metarep", "check", "mine.py", "--examples", "1"], away, site)
    quick = ["--d", "6", "--k", "2", "--n", "4", "--steps", "100", "--trials", "1"]
    code = "import metarep.sim; print(metarep.sim.__file__); from metarep.reports.cli.app import run; "
    said = run(["-c", f"{code} run({['study', 'boil', *quick]}); run(['claims'])"], away, site)
    assert said.startswith(str(site))
    assert "does not learn" in said
    assert "right-factor-maml" in said


# --- the facade


def test_importing_the_facade_costs_nothing() -> None:
    told = run(["-c", "import sys, metarep; print(*sys.modules)"], ROOT).split()
    assert "metarep" in told
    assert not {"numpy", "scipy", "sympy", "hypothesis", "metarep.sim"} & set(told)


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["report", "--help"]])
def test_help_needs_nothing_that_is_slow_to_import(words: list[str]) -> None:
    code = f"from metarep.reports.cli.app import run; run({words}); import sys; print(*sys.modules)"
    loaded = set(run(["-c", code], ROOT).split())
    assert "typer" in loaded
    slow = {"numpy", "scipy", "sympy", "hypothesis", "matplotlib", "joblib", "jinja2", "metarep.theory.engine"}
    assert not slow & loaded


def test_its_names_are_there_typed_and_documented() -> None:
    tree = ast.parse(Path(metarep.__file__).read_text(encoding="utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    typed = {alias.name for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert typed | {"__version__"} == set(metarep.__all__) == set(dir(metarep))
    page = pydoc.plain(pydoc.render_doc(metarep))
    for name in metarep.__all__:
        value = getattr(metarep, name)
        assert str(value if name == "__version__" else name) in page
        assert value.__doc__
    for function in (metarep.run, metarep.check, metarep.study):
        assert callable(function)
    with pytest.raises(AttributeError, match="no attribute 'sgd'"):
        _ = metarep.sgd  # type: ignore[attr-defined]
