"""Help that a person reads: whole summaries, an example of each command that is one, one name for one idea."""

import re
import shlex
from collections import defaultdict
from typing import Any

import pytest
import typer.main

from metarep.reports.cli.app import COMMANDS, app, run

COMMAND: Any = typer.main.get_command(app)
NAMES = sorted(COMMAND.commands)


def said(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *words: str) -> str:
    """What is printed on a wide terminal, without frames."""
    monkeypatch.setenv("COLUMNS", "400")
    assert run(words) == 0
    return re.sub(r"[─│╭╮╰╯]", " ", capsys.readouterr().out)


def options(name: str) -> dict[str, Any]:
    return {word: each for each in COMMAND.commands[name].params for word in each.opts if word.startswith("--")}


def test_summaries_are_whole_and_commands_are_in_groups(capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = said(capsys, monkeypatch, "-h")
    assert shown == said(capsys, monkeypatch, "--help") == said(capsys, monkeypatch)
    for group, command, _ in COMMANDS:
        assert f" {group} " in shown
        assert " ".join(str(command.__doc__).split("\n\n")[0].split()) in shown
    assert said(capsys, monkeypatch, "-V") == said(capsys, monkeypatch, "--version")


@pytest.mark.parametrize("name", NAMES)
def test_a_command_has_an_example_that_is_one_and_shows_its_defaults(
    name: str, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = said(capsys, monkeypatch, name, "-h")
    (example,) = re.findall(r"Example: (metarep .*?) *$", shown, re.MULTILINE)
    assert [example] == [words for _, command, words in COMMANDS if command.__name__ == name]
    words = shlex.split(example)[1:]
    assert words[0] == name
    COMMAND.commands[name].make_context(name, words[1:])  # which refuses what it does not know
    assert not re.search(r"\[default: (\(|None)|unless given|\(default", shown)
    for option in COMMAND.commands[name].params:
        if not isinstance(option.default, bool | None) and not option.required:
            assert str(option.default) in shown, option.name


def test_one_name_for_one_idea() -> None:
    every = [(name, word, option) for name in NAMES for word, option in options(name).items()]
    assert not {"--max-examples", "--replicates", "--n-jobs", "--random-seed"} & {word for _, word, _ in every}
    kinds = defaultdict(set)
    for _, word, option in every:
        if word in ("--seed", "--jobs", "--json", "--alpha", "--beta", "--claims", "--problem"):
            kinds[word].add(option.help)
    assert {word: len(helps) for word, helps in kinds.items() if word != "--alpha" and word != "--beta"} == {
        "--seed": 1, "--jobs": 1, "--json": 1, "--claims": 1, "--problem": 1
    }  # fmt: skip
    random = {"check", "verify", "selftest", "simulate", "rates", "experiment", "sweep", "guarantee", "study", "report"}
    assert {name for name, word, _ in every if word == "--seed"} == random
    # The others that take long do so in one piece: a batch of runs (simulate, study), an adapter in its own process
    # (check), one claim after what it was driven to before (verify); bench measures, and wants the machine to itself.
    split = {"report", "selftest", "sweep", "certify", "rates", "experiment"}
    assert {name for name, word, _ in every if word == "--jobs"} == split


def test_a_shell_completes(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    for line, expected in (("metarep ver", "verify"), ("metarep derive fo", "fo-anil\nfo-maml")):
        monkeypatch.setenv("_METAREP_COMPLETE", "complete_bash")
        monkeypatch.setenv("COMP_WORDS", line)
        monkeypatch.setenv("COMP_CWORD", str(len(line.split()) - 1))
        with pytest.raises(SystemExit):
            run([])
        assert capsys.readouterr().out.strip() == expected
