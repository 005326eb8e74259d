"""README says what is so: its claims table, its commands, its Python example."""

import re
from pathlib import Path

import pytest

from reports.claims_table import markdown_table
from reports.cli import app
from theory.claims.record import Verdict

README = Path(__file__).parent.parent / "README.md"


def between(text: str, name: str) -> str:
    found = re.search(rf"<!-- {name} -->\n(.*?)<!-- /{name} -->", text, re.DOTALL)
    assert found, f"README has no block called {name}"
    return found[1].strip()


def test_claims_table_is_the_catalogue() -> None:
    assert between(README.read_text(encoding="utf-8"), "claims") == markdown_table()


def test_every_command_named_exists() -> None:
    import typer.main

    known = set(typer.main.get_command(app).commands)  # type: ignore[attr-defined]
    named = set(re.findall(r"metarep ([a-z]+)", README.read_text(encoding="utf-8")))
    assert named <= known | {"checks"}, named - known
    assert known <= named, f"README does not mention {known - named}"


def test_python_example_runs(capsys: pytest.CaptureFixture[str]) -> None:
    example = re.search(r"\*\*From Python\*\*.*?```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    assert example
    exec(compile(example[1], "README.md", "exec"), {})
    printed = capsys.readouterr().out
    assert "v_i = B_i w_i − θ_i" in printed
    assert printed.rstrip().endswith("PROVED")


def test_verdicts_are_those_of_the_engine() -> None:
    section = README.read_text(encoding="utf-8").split("## How to read a verdict")[1].split("## ")[0]
    assert set(re.findall(r"^\| ([A-Z]+) \|", section, re.MULTILINE)) == {v.value for v in Verdict} - {"NOT_RUN"}


def test_both_commands_are_lines_of_their_own() -> None:
    lines = README.read_text(encoding="utf-8").splitlines()
    assert "pip install -e . && metarep report --out out" in lines
    assert "pip install -e '.[test]' && pytest" in lines
