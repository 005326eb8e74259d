"""The READMEs say what is so: their tables and commands, and their examples, which are run."""

import re
import shlex
import sys
from pathlib import Path

import pytest

from metarep.reports.chapters.claims.table import markdown_table
from metarep.reports.chapters.paper import paper_markdown
from metarep.reports.cli.app import app, run
from metarep.reports.report.opening import INSTALL
from metarep.theory.claims.record import Verdict

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
FOLDERS = ("sim", "theory", "tests", "reports")


def between(text: str, name: str) -> str:
    found = re.search(rf"<!-- {name} -->\n(.*?)<!-- /{name} -->", text, re.DOTALL)
    assert found, f"README has no block called {name}"
    return found[1].strip()


def test_claims_table_is_the_catalogue() -> None:
    assert between((ROOT / "theory/README.md").read_text(encoding="utf-8"), "claims") == markdown_table()


def test_papers_table_is_the_index() -> None:
    assert between((ROOT / "theory/README.md").read_text(encoding="utf-8"), "paper") == paper_markdown()


def test_every_command_named_exists() -> None:
    import typer.main

    known = set(typer.main.get_command(app).commands)  # type: ignore[attr-defined]
    named = set(re.findall(r"metarep ([a-z]+)", README.read_text(encoding="utf-8")))
    assert named <= known | {"checks"}, named - known
    for folder in FOLDERS:
        text = (ROOT / folder / "README.md").read_text(encoding="utf-8")
        assert set(re.findall(r"(?<!from )metarep ([a-z]+)", text)) <= known
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
    assert INSTALL in lines
    assert "pip install -e '.[test]' && pytest" in lines


# --- the folders' READMEs


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_folder_says_what_lives_in_it(folder: str) -> None:
    """The README links to it, and every file that it names in its table is there; none of the folder's is left out."""
    assert f"({folder}/README.md)" in README.read_text(encoding="utf-8")
    text = (ROOT / folder / "README.md").read_text(encoding="utf-8")
    prose = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    for link in re.findall(r"\]\(((?!http|#)[^)#]+)\)", prose):
        assert (ROOT / folder / link).exists(), link
    rows = prose.split("| --- |")[1].split("\n\n")[0].splitlines()
    table = [row.split("|")[1] for row in rows if row.startswith("| `")]
    patterns = [name for cell in table for name in re.findall(r"`([^` ]+)`", cell)]
    for pattern in patterns:
        assert list((ROOT / folder).glob(pattern.rstrip("/"))), pattern
    if folder != "tests":
        named = {path for pattern in patterns for path in (ROOT / folder).glob(pattern.rstrip("/"))}
        rooms = {path.parent for path in (ROOT / folder).glob("*/*.py")}
        assert rooms | set((ROOT / folder).glob("[!_]*.py")) <= named


def examples(text: str) -> list[tuple[str, str]]:
    """(language, content) of the fenced blocks, in order."""
    return re.findall(r"^```(\w+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def run_command(line: str, capsys: pytest.CaptureFixture[str]) -> str:
    """Run ``metarep ...`` and return what it printed; a remark such as '# exit code 1' says how it ends."""
    words, _, remark = line.partition("  # ")
    expected = re.search(r"exit code (\d)", remark)
    capsys.readouterr()
    code = run(shlex.split(words)[1:])
    captured = capsys.readouterr()
    assert code == (int(expected[1]) if expected else 0), line + captured.err
    return captured.out


def shown_by(content: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Run the command of a console block, and find what it shows in what is printed, in that order."""
    command, *shown = content.splitlines()
    printed = run_command(command.removeprefix("$ "), capsys)
    for line in shown:
        if line.strip() == "...":
            continue
        assert line in printed, (line, printed)
        printed = printed[printed.index(line) + len(line) :]


def test_the_readme_shows_what_is_printed(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for language, content in examples(README.read_text(encoding="utf-8")):
        if name := re.match(r"# (\w+\.(?:py|toml))\n", content):
            (tmp_path / name[1]).write_text(content, encoding="utf-8")
        elif language == "console" and "study" not in content:  # which shows nothing, and takes a minute
            shown_by(content, capsys)


@pytest.mark.parametrize("folder", FOLDERS)
def test_the_examples_of_a_folder_run(
    folder: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Block by block, as a reader would: a block that begins with a file's name is that file, other Python is run, and
    so are the lines that begin with metarep. What a console block shows is printed, in that order.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    loaded = set(sys.modules)
    blocks = examples((ROOT / folder / "README.md").read_text(encoding="utf-8"))
    assert blocks
    for language, content in blocks:
        name = re.match(r"# (\w[\w-]*\.(?:py|toml))\n", content)
        if name:
            (tmp_path / name[1]).write_text(content, encoding="utf-8")
        if language == "python" and (not name or name[1].startswith("test_")):
            space = {"__name__": "example"}
            exec(compile(content, f"{folder}/README.md", "exec"), space)
            for test in [value for key, value in space.items() if key.startswith("test_")]:
                test()  # type: ignore[operator]
        elif language == "sh":
            for line in content.splitlines():
                assert line.startswith("metarep "), line
                run_command(line, capsys)
        elif language == "console":
            shown_by(content, capsys)
    for module in set(sys.modules) - loaded:
        if str(tmp_path) in str(getattr(sys.modules[module], "__file__", "")):
            del sys.modules[module]
