"""Sweeps: the same rows whatever the order, the backend or an interruption; designs; plots; bad input in one line."""

import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from metarep.reports.cli.app import run
from metarep.reports.page.output import InputError
from metarep.reports.sweep.designs import design, parse_axis
from metarep.reports.sweep.plots import slopes
from metarep.reports.sweep.sweep import read_sweep, run_sweep
from metarep.sim.sweeps import Cell, SweepSetting, cells, run_cell

SETTINGS = [
    SweepSetting("fo-anil", d=20, k=2, n=3, m_in=5, m_out=m, sigma=0.1, steps=30, dist0=0.5) for m in (10, 40, 160)
]
SETTINGS.append(SweepSetting("average-loss", d=20, k=2, n=3, steps=30))


class Stop(Exception):
    """Stands for whatever interrupts a sweep."""


def sweep(path: Path, settings=SETTINGS, **changes):
    options = {"replicates": 10, "seed": 3, "block": 4, "jobs": 1}
    return run_sweep(path, settings, **{**options, **changes})


def test_order_and_interruption_do_not_change_the_rows(tmp_path: Path) -> None:
    whole, backwards, resumed = (tmp_path / name for name in ("a.db", "b.db", "c.db"))
    assert sweep(whole).replicates == 40
    sweep(backwards, SETTINGS[::-1])

    def stop_half_way(done: int, total: int) -> None:
        if done == total // 2:
            raise Stop

    with pytest.raises(Stop):
        sweep(resumed, progress=stop_half_way)
    half = len(read_sweep(resumed))
    assert 0 < half < 40
    summary = sweep(resumed)
    assert summary.already_there == 6
    assert read_sweep(whole) == read_sweep(backwards) == read_sweep(resumed)
    assert sweep(whole).already_there == summary.cells


def test_a_cell_depends_on_its_key_and_the_seed_alone() -> None:
    cell = Cell(SETTINGS[0], 1, 4, 4)
    assert run_cell(cell, 3) == run_cell(cell, 3)
    assert run_cell(cell, 3) != run_cell(cell, 4)
    assert run_cell(cell, 3) != run_cell(Cell(SETTINGS[0], 2, 4, 8), 3)
    assert [c.replicates for c in cells([SETTINGS[0], SETTINGS[0]], 10, 4)] == [4, 4, 2]


def test_replicates_are_spread_and_numbered(tmp_path: Path) -> None:
    sweep(tmp_path / "a.db")
    rows = [row for row in read_sweep(tmp_path / "a.db") if row.setting == SETTINGS[0]]
    assert [row.replicate.number for row in rows] == list(range(10))
    assert len({row.replicate.dist_end for row in rows}) == 10


def test_parallel_processes_give_the_same_rows(tmp_path: Path) -> None:
    sweep(tmp_path / "one.db")
    sweep(tmp_path / "two.db", jobs=2)
    assert read_sweep(tmp_path / "one.db") == read_sweep(tmp_path / "two.db")


def test_dask_gives_the_same_rows(tmp_path: Path) -> None:
    pytest.importorskip("distributed", reason="the optional extra 'dask' is not installed")
    sweep(tmp_path / "loky.db")
    sweep(tmp_path / "dask.db", backend="dask")
    assert read_sweep(tmp_path / "loky.db") == read_sweep(tmp_path / "dask.db")


def test_diverged_runs_are_rows_like_others(tmp_path: Path) -> None:
    sweep(tmp_path / "a.db", [SweepSetting("maml", d=20, k=2, n=3, alpha=1.0, beta=30.0, steps=50)])
    rows = read_sweep(tmp_path / "a.db")
    assert {row.replicate.outcome for row in rows} == {"diverged"}
    assert {row.replicate.dist_end for row in rows} == {None}


def test_blind_runs_are_counted(tmp_path: Path) -> None:
    """From small starts with fixed tasks most of Exact MAML's runs end blind, none of Exact ANIL's."""
    maml = [SweepSetting("maml", n=n, start="orthonormal", tasks="fixed", steps=400) for n in (8, 10)]
    sweep(tmp_path / "a.db", [*maml, replace(maml[0], learner="anil"), replace(maml[1], learner="anil")])
    outcomes = {"maml": [], "anil": []}
    for row in read_sweep(tmp_path / "a.db"):
        outcomes[row.setting.learner].append(row.replicate.outcome)
    assert outcomes["maml"].count("blind") > 10
    assert "blind" not in outcomes["anil"]
    figure = tmp_path / "a.svg"
    sweep(tmp_path / "a.db", [replace(s, steps=40) for s in maml])
    assert run(f"plot {tmp_path / 'a.db'} --out {figure} --x n --y steps --value blind".split()) == 0
    assert b"share of runs that ended blind" in figure.read_bytes()


def test_designs() -> None:
    settings = design({"learner": "anil,maml", "alpha": "0.01:1:3", "dist0": "none,0.5"}, None, 0)
    assert len(settings) == 12
    assert sorted({round(s.alpha, 9) for s in settings}) == [0.01, 0.1, 1.0]
    drawn = design({"learner": "anil", "alpha": "0.01:1", "n": "2:50"}, 30, 0)
    assert drawn == design({"learner": "anil", "alpha": "0.01:1", "n": "2:50"}, 30, 0)
    assert len({s.alpha for s in drawn}) == 30
    assert all(0.01 <= s.alpha <= 1 and 2 <= s.n <= 50 for s in drawn)
    assert parse_axis("m_in", "none,10") == [None, 10]


@pytest.mark.parametrize(
    ("axes", "random"),
    [
        ({"learner": "anil", "alpha": "x"}, None),
        ({"learner": "anil", "alpha": "0.1:1"}, None),
        ({"learner": "anil", "alpha": "1:0.1:3"}, None),
        ({"learner": "anil", "alpha": "-1"}, None),
        ({"learner": "nonsense"}, None),
        ({"learner": "anil", "k": "200"}, None),
        ({"learner": "anil", "sigma": "0.1"}, None),
        ({"learner": "anil", "steps": "0"}, None),
        ({"learner": "anil", "m_in": "0:5:2"}, 3),
    ],
)
def test_designs_that_make_no_sense_are_one_line(axes: dict[str, str], random: int | None) -> None:
    with pytest.raises(InputError, match="allowed: ") as caught:
        design({"learner": "anil", **axes}, random, 0)
    assert "\n" not in str(caught.value)


def test_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str], complaint: Callable[..., str]) -> None:
    file, figure = tmp_path / "s.db", tmp_path / "p.svg"
    base = f"sweep --out {file} --d 20 --k 2 --n 3 --steps 20 --jobs 1".split()
    assert run([*base, *["--m-in", "5", "--m-out", "10:160:3", "--alpha", "0.05,0.1", "--replicates", "4"]]) == 0
    assert "24 runs" in capsys.readouterr().out
    for extra in ("--y alpha", "--y alpha --value dist", ""):
        assert run(f"plot {file} --out {figure} --x m-out {extra}".split()) == 0
        assert figure.read_bytes().startswith(b"<?xml")
    capsys.readouterr()
    for wrong in ("--seed 1", "--replicates 0", "--scheduler nowhere:1"):
        assert complaint(*base, *wrong.split())
    assert complaint("sweep", "--out", file / "below")
    for words in (
        f"{tmp_path / 'none.db'} --out {figure} --x alpha",
        f"{file} --out {figure.with_suffix('.pdf')} --x alpha",
        f"{file} --out {figure} --x beta",
        f"{file} --out {figure} --x learner",
    ):
        assert complaint("plot", *words.split())


def test_a_file_that_is_no_sweep_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("not a database " * 100)
    with pytest.raises(InputError, match="allowed"):
        sweep(path)
    assert path.read_text() == "not a database " * 100
    other = tmp_path / "other.db"
    with sqlite3.connect(other) as connection:
        connection.execute("CREATE TABLE cell (something)")
    connection.close()
    before = other.read_bytes()
    with pytest.raises(InputError, match="allowed"):
        sweep(other)
    assert other.read_bytes() == before


def test_slopes_are_those_of_the_rows(tmp_path: Path) -> None:
    sweep(tmp_path / "a.db", SETTINGS[:3])
    rows = read_sweep(tmp_path / "a.db")
    _, (slope,) = slopes(rows, "m_out", "floor")
    floors = [np.median([row.replicate.floor or 0 for row in rows if row.setting == at]) for at in SETTINGS[:3]]
    assert slope.slope == pytest.approx(np.polyfit(np.log([10, 40, 160]), np.log(floors), 1)[0])
