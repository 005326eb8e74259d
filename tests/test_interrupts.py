"""Work that is stopped: what was found is kept, a report goes on to the same content, and no process stays behind."""

import json
import os
import pickle
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from small_report import tiny_results

from metarep.reports.chapters.chapter import Results
from metarep.reports.cli.app import run
from metarep.reports.page.output import InputError, Terminated, finish_replacing, write_files
from metarep.reports.report.document import report_data
from metarep.reports.report.kept import FILE, job_key, kept_in
from metarep.theory.work.processes import working

linux = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")


# --- a report


class Stop(Exception):
    """Stands for whatever ends a report."""


def stopping_after(count: int) -> Callable[[int, int], None]:
    """Progress that stops once so many results have come in anew."""
    first: list[int] = []

    def told(done: int, total: int) -> None:
        first[:] = first or [done]
        if done == first[0] + count:
            raise Stop

    return told


def content(results: Results) -> dict[str, Any]:
    return {name: value for name, value in report_data(results).items() if name != "run"}


@pytest.mark.thorough
def test_a_report_stopped_wherever_goes_on_to_the_same_content(tiny_report: Any, tmp_path: Path) -> None:
    whole, _ = tiny_report
    jobs = len(whole.run.jobs)
    assert jobs >= 9
    for stopped in range(jobs):
        with pytest.raises(Stop), kept_in(tmp_path, f"report {stopped}", resume=stopped > 0) as kept:
            tiny_results(stopping_after(1), kept)
        with sqlite3.connect(tmp_path / FILE) as connection:
            assert connection.execute("SELECT COUNT(*), COUNT(DISTINCT report) FROM result").fetchone() == (
                stopped + 1,
                1,
            )
    with kept_in(tmp_path, "the last one", resume=True) as kept:
        resumed = tiny_results(stopping_after(1), kept)  # nothing comes in anew
        kept.finish()
    assert content(resumed) == content(whole)
    assert resumed.run.cached == ()  # it is one report

    with kept_in(tmp_path, "another") as kept:
        again = tiny_results(kept=kept)
    assert content(again) == content(whole)
    assert len(again.run.cached) == jobs


def test_without_a_stopped_report_there_is_nothing_to_resume(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no report was stopped"), kept_in(tmp_path, "one", resume=True):
        pass
    with kept_in(tmp_path, "one") as kept:
        kept.finish()
    with pytest.raises(InputError, match="no report was stopped"), kept_in(tmp_path, "two", resume=True):
        pass


JOB = (("a", "b"), max, (1, 2))


def test_a_result_is_that_of_its_job_its_arguments_and_the_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    others = [(("a", "c"), max, (1, 2)), (("a", "b"), min, (1, 2)), (("a", "b"), max, (1, 2.0))]
    assert len({job_key(job) for job in (JOB, *others)}) == 4
    with kept_in(tmp_path, "one") as kept:
        kept.keep(JOB, 2, 0.5)
        assert kept.of(JOB) == (2, 0.5, "one")
        assert all(kept.of(job) is None for job in others)
    with kept_in(tmp_path, "two", fresh=True) as kept:
        assert kept.of(JOB) is None
    monkeypatch.setattr("metarep.reports.report.kept.made_by", lambda: "another version")
    with kept_in(tmp_path, "three") as kept:
        assert kept.of(JOB) is None


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is read-only for root")
@pytest.mark.parametrize("what", ["kept.sqlite", "", "figures"])
def test_what_cannot_be_written_is_one_line_and_nothing_is_lost(
    what: str, tmp_path: Path, complaint: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["report", "--out", str(tmp_path), "--only", "update-anil", "--jobs", "1"]
    assert run(words) == 0
    capsys.readouterr()
    before = {path: path.read_bytes() for path in tmp_path.glob("report*")}
    mode = (tmp_path / what).stat().st_mode
    (tmp_path / what).chmod(mode & ~0o222)
    try:
        assert str(tmp_path / what) in complaint(*words, "--fresh")
    finally:
        (tmp_path / what).chmod(mode)
    assert {path: path.read_bytes() for path in tmp_path.glob("report*")} == before


class Hostile:
    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path("touched"),)


def test_nothing_in_the_file_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with kept_in(tmp_path, "one") as kept:
        kept.keep(JOB, Hostile(), 0.0)
        assert kept.of(JOB) is None
    assert not Path("touched").exists()
    with sqlite3.connect(FILE) as connection:
        for bad in (b"", b"no pickle", pickle.dumps(Hostile()), pickle.dumps(os.system), b"cmetarep.sim\nos.system\n."):
            connection.execute("UPDATE result SET pickled = ?", (bad,))
            connection.commit()
            with kept_in(tmp_path, "two") as kept:
                assert kept.of(JOB) is None
    Path(FILE).write_text("no database at all, and longer than the beginning of one")
    with pytest.raises(InputError, match=r"cannot use .*kept\.sqlite"), kept_in(tmp_path, "three"):
        pass


def test_where_nothing_can_be_kept_work_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with kept_in(tmp_path, "one") as kept:
        with sqlite3.connect(tmp_path / FILE) as connection:
            connection.execute("DROP TABLE result")
        kept.keep(JOB, 2, 0.0)
        kept.keep(JOB, 2, 0.0)
        kept.finish()
    assert capsys.readouterr().err.count("from here on nothing is kept") == 1


def test_a_folder_that_goes_away_costs_no_result(
    tiny_report: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def told(done: int, total: int) -> None:
        if done == 2:
            shutil.rmtree(tmp_path / "out")

    with kept_in(tmp_path / "out", "one") as kept:
        results = tiny_results(told, kept)
        kept.finish()
    assert content(results) == content(tiny_report[0])
    assert capsys.readouterr().err.count("from here on nothing is kept") == 1


def test_the_command_keeps_resumes_and_leaves_the_older_report_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], one_drawing: None
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["report", "--out", "out", "--only", "update-*maml", "--only", "right-factor-anil", "--jobs", "1"]
    assert run(words) == 0
    assert capsys.readouterr().out.startswith("3 claims: 3 PROVED\n")
    older = {path: path.read_bytes() for path in Path("out").glob("report*")}
    page = Path("out/report.html").read_text()
    assert "A partial report:" in page
    assert "3 of " in page
    assert json.loads(Path("out/report.json").read_text())["only"] == ["update-*maml", "right-factor-anil"]

    from metarep.reports.chapters.claims import one_by_one

    checked, seen = one_by_one.checked, []

    def stopped(claim: str, effort: float, seed: int) -> Any:
        if len(seen) == 2:
            raise Terminated
        seen.append(claim)
        return checked(claim, effort, seed)

    stopped.__module__, stopped.__qualname__ = checked.__module__, checked.__qualname__
    monkeypatch.setattr(one_by_one, "checked", stopped)
    assert run([*words, "--fresh"]) == 143
    said = "metarep: interrupted; 2 of 4 results are kept in out; go on with: metarep report --out out --only "
    assert capsys.readouterr().err.startswith(said)
    assert {path: path.read_bytes() for path in Path("out").glob("report*")} == older

    monkeypatch.setattr(one_by_one, "checked", checked)
    assert run([*words, "--resume"]) == 0
    assert "3 claims: 3 PROVED\n" in capsys.readouterr().out
    assert run(words) == 0
    assert "3 claims: 3 PROVED (3 from cache)\n" in capsys.readouterr().out
    assert Path("out/report.html").read_text().count("from cache") > 3
    assert len(json.loads(Path("out/report.json").read_text())["run"]["cached"]) == 4


# --- files

KILLED = """
import os, sys
from metarep.reports.page.output import write_files

places, count = [], int(sys.argv[1])
replace = os.replace

def replaced(*arguments):
    if len(places) == count:
        os.kill(os.getpid(), 9)
    places.append(arguments)
    replace(*arguments)

os.replace = replaced
"""
ONE_DRAWING = """
from metarep.reports.cli.app import run
from metarep.reports.page import charts

charts.rendered = lambda figure, form: b'<svg viewBox="0 0 300 200" width="300pt" height="200pt"></svg>'
"""


@linux
@pytest.mark.parametrize("count", [0, 1, *(pytest.param(n, marks=pytest.mark.thorough) for n in (2, 3)), 4, 5])
def test_files_killed_between_replacements_are_the_older_or_the_newer_ones(count: int, tmp_path: Path) -> None:
    names = ["in/a", "in/b", "c", "d"]
    (tmp_path / "in").mkdir()
    for name in names:
        (tmp_path / name).write_text("older")
    (tmp_path / "other").write_text("older")
    code = f"{KILLED}\nfrom pathlib import Path\nwrite_files(Path('.'), dict.fromkeys({names}, 'newer'))"
    ended = subprocess.run([sys.executable, "-c", code, str(count)], cwd=tmp_path, check=False).returncode
    assert ended == (-signal.SIGKILL if count < 5 else 0)
    assert finish_replacing(tmp_path) == (0 < count < 5)
    assert {(tmp_path / name).read_text() for name in names} == {"newer" if count else "older"}
    write_files(tmp_path, {"c": "newest"})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c", "d", "in", "other"]
    assert [path.read_text() for path in map(tmp_path.joinpath, ("c", "other"))] == ["newest", "older"]


@pytest.mark.thorough
@linux
def test_a_report_killed_between_replacements_is_made_whole_by_the_next_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], one_drawing: None
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["report", "--out", "out", "--only", "right-factor-anil", "--jobs", "1"]
    assert run(words) == 0
    older = {path: path.read_bytes() for path in Path("out").glob("report*")}
    code = f"{KILLED}\n{ONE_DRAWING}\nrun({[*words, '--seed', '1']})"
    page = 4 + len(list(Path("out/figures").iterdir()))  # what settles it, two of Markdown and the page are renamed
    ended = subprocess.run([sys.executable, "-c", code, str(page)], check=False).returncode
    assert ended == -signal.SIGKILL
    assert {path.name for path in older if path.read_bytes() != older[path]} == {"report.html"}

    capsys.readouterr()
    shutil.copytree("out", "copied")
    assert run(["claims", "right-factor-anil", "--report", "copied/report.json"]) == 0
    told = "metarep: the report in copied was stopped while it replaced an older one; it is whole now\n"
    assert capsys.readouterr().err == told
    assert json.loads(Path("copied/report.json").read_text())["seed"] == 1
    assert "seed 1." in Path("copied/report.html").read_text()

    assert run([*words, "--seed", "1", "--resume"]) == 0
    said = capsys.readouterr()
    assert said.err == told.replace("copied", "out")
    assert "1 claims: 1 PROVED" in said.out
    for name in ("report.html", "report.json"):  # the kept results are this report's: it is the same
        now, then = (re.sub(r"[0-9.]+", "", Path(folder, name).read_text()) for folder in ("out", "copied"))
        assert now == then


# --- processes

SLEEPERS = """
from metarep.reports.cli import app, entry
from metarep.reports.page.output import interruptible
from metarep.theory.work.processes import working

def run():
    print("begun", flush=True)
    asleep = exec, ("import os, time; os.write(1, b'asleep\\\\n'); time.sleep(60)",)
    with app.interruptible(lambda: "nothing is lost"), working([asleep] * 4, 2, 4) as results:
        print("working", flush=True)
        list(results)

app.app = lambda **_: run()
entry.main()
"""


def group(leader: int) -> list[int]:
    """The living processes of a process group."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, leads = stat.read_text().rpartition(") ")[2].split()[:3]
        except OSError:  # it has just ended
            continue
        if int(leads) == leader and state != "Z":
            found.append(int(stat.parent.name))
    return found


def wait_until(done: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not done():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


@linux
@pytest.mark.parametrize(
    ("end", "everyone", "asleep"),
    [
        (signal.SIGINT, True, 0),
        pytest.param(signal.SIGINT, True, 2, marks=pytest.mark.thorough),
        (signal.SIGTERM, False, 2),
        pytest.param(signal.SIGKILL, False, 0, marks=pytest.mark.thorough),
        (signal.SIGKILL, False, 2),
    ],
)
def test_no_process_stays_and_one_line_is_said(end: signal.Signals, everyone: bool, asleep: int) -> None:
    """As Ctrl-C does it (to all of the terminal's processes) or ``kill``; while the workers start, and at work."""
    command = [sys.executable, "-c", "import signal; signal.signal(2, signal.default_int_handler)\n" + SLEEPERS]
    with subprocess.Popen(command, stdout=-1, stderr=-1, text=True, start_new_session=True) as ours:
        assert ours.stdout
        assert ours.stdout.readline() == "begun\n"
        assert ours.stdout.readline() == "working\n"
        for _ in range(asleep):
            assert ours.stdout.readline() == "asleep\n"
        os.killpg(ours.pid, end) if everyone else ours.send_signal(end)
        said = ours.communicate(timeout=60)[1]
    wait_until(lambda: not group(ours.pid))
    if end is signal.SIGKILL:
        assert ours.returncode == -signal.SIGKILL
    else:
        assert ours.returncode == 128 + end
        assert said == "metarep: interrupted; nothing is lost\n"


@linux
def test_a_worker_that_is_killed_is_one_line() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", SLEEPERS], stdout=-1, stderr=-1, text=True, start_new_session=True
    ) as ours:

        def workers() -> list[int]:
            return [pid for pid in group(ours.pid) if b"LokyProcess" in Path(f"/proc/{pid}/cmdline").read_bytes()]

        assert ours.stdout
        assert sorted(ours.stdout.readline() for _ in range(4)) == ["asleep\n", "asleep\n", "begun\n", "working\n"]
        os.kill(workers()[0], signal.SIGKILL)
        said = ours.communicate(timeout=60)[1]
    assert ours.returncode == 2
    assert said == (
        "metarep: a worker process was killed, perhaps for want of memory; nothing is lost; allowed: fewer --jobs\n"
    )
    wait_until(lambda: not group(ours.pid))


@linux
def test_a_sweep_that_is_stopped_says_how_to_go_on(tmp_path: Path) -> None:
    words = ["sweep", "--out", "x.db", "--steps", "1000000", "--trials", "500", "--jobs", "2"]
    command = [sys.executable, "-m", "metarep", *words]
    with subprocess.Popen(command, cwd=tmp_path, stderr=-1, text=True, start_new_session=True) as ours:
        wait_until(lambda: len(group(ours.pid)) > 3)
        ours.terminate()
        said = ours.communicate(timeout=60)[1]
    kept = r"metarep: interrupted; 0 of (0|500) runs are kept in x\.db; the same command goes on\n"
    assert re.fullmatch(kept, said)
    wait_until(lambda: not group(ours.pid))


@pytest.mark.parametrize("again", range(20))
def test_sigterm_waits_until_the_processes_have_begun(again: int) -> None:
    """A pool that is half begun can neither go on nor be shut down. Of tasks that wait then loky's thread must not ask
    any more; where it did, it failed in one of eight times.
    """
    handed: list[int] = []

    def tasks() -> Iterator[Any]:
        for number in range(4):
            if number == 1:
                signal.raise_signal(signal.SIGTERM)
            handed.append(number)
            yield abs, (number,)

    def terminated(number: int, frame: object) -> None:
        raise Terminated

    before = signal.signal(signal.SIGTERM, terminated)
    try:
        with pytest.raises(Terminated), working(tasks(), 2, 4) as results:
            list(results)
        assert signal.getsignal(signal.SIGTERM) is terminated
    finally:
        signal.signal(signal.SIGTERM, before)
    assert handed == [0, 1, 2, 3]
