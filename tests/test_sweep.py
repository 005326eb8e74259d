"""Sweeps: the same runs whatever the order, the batches, the backend or an interruption; designs; plots; bad input in
one line.
"""

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from metarep.reports.cli.app import run
from metarep.reports.page.output import InputError
from metarep.reports.sweep.designs import design, parse_axis
from metarep.reports.sweep.plots import _medians, slopes
from metarep.reports.sweep.sweep import read_sweep, run_sweep
from metarep.sim.compiled import library
from metarep.sim.sweeps import OUTCOMES, Portion, SweepSetting, batches, run_batch

SETTINGS = [
    SweepSetting("fo-anil", d=20, k=2, n=3, m_in=5, m_out=m, sigma=0.1, steps=30, dist0=0.5) for m in (10, 40, 160)
]
SETTINGS += [SweepSetting("average-loss", d=20, k=2, n=3, steps=30, beta=beta) for beta in (0.1, 0.2)]


class Stop(Exception):
    """Stands for whatever interrupts a sweep."""


def sweep(path: Path, settings=SETTINGS, **changes):
    options = {"replicates": 10, "seed": 3, "jobs": 1}
    return run_sweep(path, settings, **{**options, **changes})


def content(path: Path):
    """All that a file holds."""
    found = read_sweep(path)
    return found.settings, found.setting.tobytes(), found.runs.tobytes()


def outcomes(path: Path, learner: str) -> list[str]:
    found = read_sweep(path)
    of_learner = np.array([setting.learner == learner for setting in found.settings])[found.setting]
    return [OUTCOMES[number].value for number in found.runs["outcome"][of_learner]]


def stop_half_way(done: int, total: int) -> None:
    if done >= total // 2:
        raise Stop


def test_order_and_interruption_do_not_change_the_runs(tmp_path: Path) -> None:
    whole, backwards, resumed = (tmp_path / name for name in ("a.db", "b.db", "c.db"))
    assert sweep(whole).runs == 50
    sweep(backwards, SETTINGS[::-1])
    with pytest.raises(Stop):
        sweep(resumed, progress=stop_half_way)
    half = len(read_sweep(resumed).runs)
    assert 0 < half < 50
    assert sweep(resumed).already_there == half
    assert content(whole) == content(backwards) == content(resumed)
    assert sweep(whole).already_there == 50


def test_a_killed_sweep_leaves_a_file_that_goes_on(tmp_path: Path) -> None:
    code = """
import os, signal, sys
sys.path.insert(0, sys.argv[2])
import test_sweep
from pathlib import Path
die = lambda done, total: done < total // 2 or os.kill(os.getpid(), signal.SIGKILL)
test_sweep.sweep(Path(sys.argv[1]), progress=die)
"""
    killed = subprocess.run([sys.executable, "-c", code, tmp_path / "a.db", Path(__file__).parent], check=False)
    assert killed.returncode == -signal.SIGKILL
    there = len(read_sweep(tmp_path / "a.db").runs)
    assert 0 < there < 50
    assert sweep(tmp_path / "a.db").already_there == there
    sweep(tmp_path / "b.db")
    assert content(tmp_path / "a.db") == content(tmp_path / "b.db")
    assert sorted(os.listdir(tmp_path)) == ["a.db", "b.db"]


def test_more_replicates_and_settings_extend_a_file(tmp_path: Path) -> None:
    grown, whole = tmp_path / "a.db", tmp_path / "b.db"
    sweep(grown, SETTINGS[::2], replicates=4)
    assert sweep(grown, SETTINGS[::2], replicates=6).already_there == 4 * 3
    assert sweep(grown, replicates=23).already_there == 6 * 3
    sweep(whole, replicates=23)
    assert content(grown) == content(whole)
    assert sweep(grown, replicates=5).runs == 25
    found = read_sweep(grown)
    assert found.runs["number"].tolist() == list(range(23)) * 5
    assert len(set(found.runs["dist_end"].tolist())) == 23 * 5


SMALL = SweepSetting("fo-anil", d=20, k=3, n=4, steps=30)
WAYS = (("tasks", SMALL), ("moments", replace(SMALL, tasks="fixed")), ("compiled", SMALL))
KINDS = [
    pytest.param(replace(setting, learner=learner), mode, id=f"{learner}-{mode}")
    for learner in ("fo-anil", "fo-maml")  # of k = 3, which other tests compile too
    for mode, setting in WAYS
]
KINDS += [
    pytest.param(SweepSetting("anil", d=20, k=2, n=3, m_in=5, m_out=7, sigma=0.1, steps=10), "in law", id="samples"),
    pytest.param(SweepSetting("maml", d=20, k=2, n=3, m_out=7, sigma=0.1, steps=10), "in law", id="outer samples"),
    pytest.param(SweepSetting("fo-maml", d=60, k=10, n=20, steps=4), "moments", id="large"),
    pytest.param(SweepSetting("fo-maml", d=9, k=7, n=9, steps=4), "tasks", id="few dimensions"),
]


@pytest.mark.parametrize(("setting", "mode"), KINDS)
def test_a_run_depends_on_setting_seed_and_number_alone(setting: SweepSetting, mode: str) -> None:
    """To the last bit: whatever it is run together with, and however many there are."""
    if mode == "compiled" and library() is None:
        pytest.skip("nothing was compiled when this was installed")
    other = replace(setting, alpha=0.2, beta=0.3, sigma=2 * setting.sigma)
    if setting.m_out is not None:
        other = replace(other, m_in=setting.m_in and 1, m_out=90)
    together = run_batch([Portion(setting, 0, 30), Portion(other, 0, 70)], 3, mode)
    for portion, place in ((Portion(other, 0, 70), 30), (Portion(setting, 27, 28), 27), (Portion(other, 5, 45), 35)):
        alone = run_batch([portion], 3, mode)
        assert alone.tobytes() == together[place : place + portion.runs].tobytes()
    assert run_batch([Portion(setting, 3, 4)], 4, mode)["dist_end"] != together["dist_end"][3]


def test_batches_hold_all_runs_once() -> None:
    shapes = [SweepSetting("anil", n=n, beta=beta, steps=1000) for n in (5, 6) for beta in (0.1, 0.2, 0.3)]
    wanted = [Portion(setting, first, stop) for setting in shapes for first, stop in ((0, 7), (13, 1500))]
    found = list(batches(wanted))
    assert all(len({portion.setting.shape for portion in batch}) == 1 for batch in found)
    assert max(sum(portion.runs for portion in batch) for batch in found) <= 1000
    assert len(found) < 2 * 6
    runs = sorted((p.setting.key, number) for batch in found for p in batch for number in range(p.first, p.stop))
    assert runs == sorted((p.setting.key, number) for p in wanted for number in range(p.first, p.stop))


def test_parallel_processes_give_the_same_runs(tmp_path: Path) -> None:
    sweep(tmp_path / "one.db")
    sweep(tmp_path / "two.db", jobs=2)
    assert content(tmp_path / "one.db") == content(tmp_path / "two.db")


@pytest.mark.thorough
def test_dask_gives_the_same_rows(tmp_path: Path) -> None:
    pytest.importorskip("distributed", reason="the optional extra 'dask' is not installed")
    sweep(tmp_path / "loky.db")
    sweep(tmp_path / "dask.db", backend="dask")
    assert content(tmp_path / "loky.db") == content(tmp_path / "dask.db")


def test_diverged_runs_are_rows_like_others(tmp_path: Path) -> None:
    sweep(tmp_path / "a.db", [SweepSetting("maml", d=20, k=2, n=3, alpha=1.0, beta=30.0, steps=50)])
    assert set(outcomes(tmp_path / "a.db", "maml")) == {"diverged"}
    assert np.isnan(read_sweep(tmp_path / "a.db").runs["dist_end"]).all()


def test_blind_runs_are_counted(tmp_path: Path) -> None:
    """From small starts with fixed tasks most of Exact MAML's runs end blind, none of Exact ANIL's."""
    maml = [SweepSetting("maml", n=n, start="orthonormal", tasks="fixed", steps=400) for n in (8, 10)]
    sweep(tmp_path / "a.db", [*maml, replace(maml[0], learner="anil"), replace(maml[1], learner="anil")])
    assert outcomes(tmp_path / "a.db", "maml").count("blind") > 10
    assert "blind" not in outcomes(tmp_path / "a.db", "anil")
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
    (spread,) = (
        {s.alpha for s in design({"learner": "anil", "alpha": f"0.5:1:3{how}"}, None, 0)} for how in [":linear"]
    )
    assert spread == {0.5, 0.75, 1.0}
    spread = {s.dist0 for s in design({"learner": "anil", "dist0": "0.25:1:3:geometric"}, None, 0)}
    assert {round(dist0, 12) for dist0 in spread if dist0 is not None} == {0.25, 0.5, 1.0}
    assert all(0.1 < s.alpha <= 1 for s in design({"learner": "anil", "alpha": "0.1:1:linear"}, 30, 0))


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
        ({"learner": "anil", "dist0": "0:1:3:geometric"}, None),
        ({"learner": "anil", "alpha": "0.1:1:3:cubic"}, None),
        ({"learner": "anil", "alpha": "linear"}, None),
    ],
)
def test_designs_that_make_no_sense_are_one_line(axes: dict[str, str], random: int | None) -> None:
    with pytest.raises(InputError, match="allowed: ") as caught:
        design({"learner": "anil", **axes}, random, 0)
    assert "\n" not in str(caught.value)


@pytest.mark.usefixtures("without_layout")
def test_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str], complaint: Callable[..., str]) -> None:
    file, figure = tmp_path / "s.db", tmp_path / "p.svg"
    base = f"sweep --out {file} --d 20 --k 2 --n 3 --steps 20 --jobs 1".split()
    assert run([*base, *["--m-in", "5", "--m-out", "10:160:3", "--alpha", "0.05,0.1", "--trials", "4"]]) == 0
    said = capsys.readouterr().out
    assert "24 runs of 6 settings" in said
    assert "m-out: 3 values from 10 to 160, spread evenly in the logarithm (:linear for evenly)\n" in said
    for extra in ("--y alpha", "--y alpha --value dist", ""):
        assert run(f"plot {file} --out {figure} --x m-out {extra}".split()) == 0
        assert figure.read_bytes().startswith(b"<?xml")
        warned = "runs were still moving" in capsys.readouterr().err
        assert warned == (extra != "--y alpha"), extra
    for wrong in ("--seed 1", "--trials 0", "--scheduler nowhere:1"):
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
    with pytest.raises(InputError, match=r"tables are not a sweep's.*allowed"):
        sweep(other)
    assert other.read_bytes() == before


def test_a_file_of_an_older_version_is_refused_as_that(tmp_path: Path, complaint: Callable[..., str]) -> None:
    old = tmp_path / "old.db"
    with sqlite3.connect(old) as connection:
        for name in ("sweep", "cell", "replicate"):
            connection.execute(f"CREATE TABLE {name} (something)")
    connection.close()
    before = old.read_bytes()
    assert "an older metarep" in complaint("sweep", "--out", old)
    assert "an older metarep" in complaint("plot", old, "--x", "alpha", "--out", tmp_path / "a.svg")
    assert old.read_bytes() == before


def test_two_at_once_and_a_full_disk_get_their_cause(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, seen = tmp_path / "a.db", []

    def another(done: int, total: int) -> None:
        with pytest.raises(InputError, match=r"in use by another sweep.*; allowed: ") as caught:
            sweep(path)
        seen.append((str(caught.value), len(read_sweep(path).runs)))

    sweep(path, progress=another)
    assert [there for _, there in seen] == [0, 30, 50]  # and it can be read meanwhile

    def small(*arguments, connect=sqlite3.connect, **options):
        connection = connect(*arguments, **options)
        connection.execute("PRAGMA max_page_count = 16")
        return connection

    monkeypatch.setattr(sqlite3, "connect", small)
    with pytest.raises(InputError, match=r"no space is left; finished runs are kept.*; allowed: "):
        sweep(tmp_path / "b.db", replicates=800)
    there = len(read_sweep(tmp_path / "b.db").runs)
    monkeypatch.undo()
    assert there > 0
    assert sweep(tmp_path / "b.db", replicates=800).already_there == there


def test_slopes_are_those_of_the_runs(tmp_path: Path) -> None:
    sweep(tmp_path / "a.db", SETTINGS[:3])
    found = read_sweep(tmp_path / "a.db")
    _, (slope,) = slopes(found, "m_out", "floor")
    of = [found.settings.index(setting) for setting in SETTINGS[:3]]
    floors = [np.median(found.runs["floor"][found.setting == place]) for place in of]
    assert slope.slope == pytest.approx(np.polyfit(np.log([10, 40, 160]), np.log(floors), 1)[0])


def test_medians_are_those_of_each_group() -> None:
    rng = np.random.default_rng(0)
    groups, values = rng.integers(0, 6, 60), np.where(rng.uniform(size=60) < 0.2, np.nan, rng.normal(size=60))
    values[groups == 3] = np.nan
    wanted = [np.nan if group == 3 else np.nanmedian(values[groups == group]) for group in range(6)]
    np.testing.assert_array_equal(_medians(groups, values, 6), wanted)
