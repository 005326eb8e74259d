"""A table of bad and extreme input: each gives one line that says what is wrong, exit code 2, and nothing is written;
or it is an answer, and then there is no complaint.
"""

import shlex
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from metarep.reports.cli.app import run
from metarep.reports.cli.study import SPECS
from metarep.reports.study.study import EXAMPLES
from metarep.sim.learners import LEARNERS

TABLE = tomllib.loads(Path(__file__).with_suffix(".toml").with_stem("bad_inputs").read_text(encoding="utf-8"))
ROWS = [row for rows in TABLE.values() for row in rows]
LONGEST = 300
"""Characters of a line: of an id's neighbours, not of all ids."""


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["words"])
def test_it_is_one_line(
    row: dict[str, Any],
    complaint: Callable[..., str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    files, arrays = row.get("files", {}), row.get("arrays", {})
    for name, text in files.items():
        Path(name).write_text(text.replace("@deep", "[" * 50_000), encoding="utf-8")
    for name, held in arrays.items():
        np.savez(name, **held)
    if row.get("answer"):
        assert run(shlex.split(row["words"])) == 0
        seen = capsys.readouterr()
        assert row["said"] in seen.out
        assert seen.err == ""
    else:
        line = complaint(*shlex.split(row["words"]))
        assert row["said"] in line
        assert len(line) < LONGEST
    assert {path.name for path in tmp_path.iterdir()} == {*files, *arrays, *row.get("made", ())}


def test_help_names_every_learner_that_can_be_studied() -> None:
    assert SPECS.endswith(f": {', '.join(EXAMPLES)}; {', '.join(LEARNERS)}.")


def test_claims_are_found(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    def listed(*words: str) -> list[str]:
        assert run(["claims", *words]) == 0
        return [line.split()[1].rstrip(":") for line in capsys.readouterr().out.splitlines() if line.startswith("  ")]

    assert listed("UPDATE-fo-anil") == ["update-fo-anil", "mean-update-fo-anil"]
    assert set(listed("maml", "balanced")) < set(listed("maml"))
    assert all(claim.startswith("width-") for claim in listed("--chapter", "wider than"))
    assert listed("balanced-maml", "--status", "not_run") == ["balanced-maml"]
    assert listed("--status", "REFUTED") == []
