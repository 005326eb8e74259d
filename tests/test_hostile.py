"""Adapters that crash, hang, exit, lie and leave things behind: one line each, exit code 2, nothing left running."""

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from sharing import cases

from metarep.reports.cli.app import run
from metarep.sim.foreign.adapter import Adapter, AdapterError, load_adapter
from metarep.sim.foreign.implementation import foreign_implementation
from metarep.sim.foreign.remote import RemoteAdapter, opened

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="without fork an adapter runs in our own process")
linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux lets orphans be adopted, and tells of processes")

STEP = """
import ctypes, os, signal, subprocess, sys, threading, time
import numpy as np

supported = {"average-loss"}

def step(learner, B, w, targets, alpha, beta):
    r = (B @ w)[:, None] - targets
    B_next, w_next = B - beta * np.outer(r.mean(1), w), w - beta * B.T @ r.mean(1)
    HERE
    return B_next, w_next
"""
LINE = 10
"""Of what stands at HERE."""

STEPS = {
    "segmentation fault": ("ctypes.string_at(0)", f":{LINE}: step ended its process: Segmentation fault (SIGSEGV)"),
    "abort": ("os.abort()", f":{LINE}: step ended its process: Aborted (SIGABRT)"),
    "abort with words": ("print('free(): invalid pointer'); os.abort()", "after printing 'free(): invalid pointer'"),
    "exit at once": ("os._exit(0)", "ended its process with exit code 0"),
    "exit": ("sys.exit()", f":{LINE}: step raised SystemExit"),
    "killed": ("os.kill(os.getpid(), signal.SIGKILL)", "Killed (SIGKILL, as when memory runs out)"),
    "terminated": ("os.kill(os.getpid(), signal.SIGTERM)", "Terminated (SIGTERM)"),
    "its group killed": ("os.killpg(0, signal.SIGKILL)", "Killed (SIGKILL"),
    "a signal without a name": ("os.kill(os.getpid(), 40)", "ended its process: Real-time signal 6 (signal 40)"),
    "stopped": ("os.kill(os.getpid(), signal.SIGSTOP)", "has not returned after"),
    "alarm": ("signal.setitimer(signal.ITIMER_REAL, 0.1); time.sleep(9)", "ended its process: Alarm clock (SIGALRM)"),
    "interrupt": ("raise KeyboardInterrupt", f":{LINE}: step raised KeyboardInterrupt"),
    "no Exception": ("raise type('Odd', (BaseException,), {})('!')", "step raised Odd: !"),
    "no words": ("raise ValueError", f":{LINE}: step raised ValueError (learner average-loss, B (4, 2)"),
    "words that raise": (
        "raise type('Odd', (Exception,), {'__str__': lambda e: 1 / 0})",
        "step raised Odd: a message that cannot be shown (ZeroDivisionError)",
    ),
    "too many words": ("raise ValueError('\\x1b[31m\\n' * 10**6)", "step raised ValueError: ?[31m ?[31m"),
    "infinite loop": ("while True: pass", "step has not returned after 0.4 s"),
    "waits for ever": ("threading.Lock().acquire() and threading.Event().wait()", f":{LINE}: step has not returned"),
    "endless output": ("while True: print('x' * 1000)", "has not returned after"),
    "endless recursion": ("step(learner, B, w, targets, alpha, beta)", "step raised RecursionError"),
    "reads the terminal": ("input()", "step raised EOFError"),
    "closes every file": ("os.closerange(0, 256)", "step closed the pipe"),
    "writes into every file": (
        "for i in range(3, 64):\n        try: os.write(i, b'#' * 99)\n        except OSError: pass",
        "step wrote to the pipe that its answers go through",
    ),
    "hogs memory": ("[np.zeros(2**27) for _ in range(12)]", "step raised MemoryError"),
    "kills its guardian": (
        "os.kill(os.getppid(), signal.SIGKILL); time.sleep(9)",
        "step ended the process that watches over its own",
    ),
    "leaves a child": ("subprocess.Popen(['sleep', '60']); os._exit(0)", "ended its process with exit code 0"),
    "leaves a daemon": (
        "os._exit(0) if os.fork() else (os.setsid(), os.fork() and os._exit(0), time.sleep(60))",
        "ended its process with exit code 0",
    ),
    "breaks NumPy": ("np.asarray = None", "returned a B_next that is no array: TypeError"),
    "empties sys.modules": ("sys.modules.clear(); raise ValueError", "step"),
    "changes its input": ("B += 1", "step changes its input B in place"),
    "returns nothing": ("return None", "step returned a NoneType"),
    "returns three": ("return B, w, w", "step returned a tuple of length 3"),
    "returns a generator": ("return (x for x in (B, w))", "step returned a generator"),
    "returns what is no array": (
        "return type('Odd', (), {'__array__': lambda *_, **__: 1 / 0})(), w",
        "step returned a B_next that is no array: ZeroDivisionError",
    ),
    "returns what hangs": (
        "return type('Odd', (), {'__array__': lambda *_, **__: time.sleep(60)})(), w",
        "step has not returned",
    ),
    "returns a ragged list": ("return [[1.0], [1.0, 2.0]], w", "step returned a B_next that is no array: ValueError"),
    "returns too much": ("return np.broadcast_to(0.0, (10**9, 10**6)), w", "of shape (1000000000, 1000000)"),
    "returns complex numbers": ("return B + 0j, w", "step returned B_next of dtype complex128"),
    "returns objects": ("return B.astype(object), w", "step returned B_next of dtype object"),
    "returns a length that lies": (
        "return type('Odd', (tuple,), {'__len__': lambda t: sys.exit(3)})((B, w))",
        "step breaks what calls it (SystemExit)",
    ),
    "a thread that never ends": ("threading.Thread(target=time.sleep, args=(60,)).start(); return 1", "returned a int"),
}  # fmt: skip
"""What stands in a right step before it returns, and what must be said of it."""
HARMLESS = (
    "exit", "no words", "words that raise", "too many words", "endless recursion",
    "changes its input", "returns nothing", "returns three", "returns a generator", "returns what is no array",
    "returns a ragged list", "returns too much", "returns complex numbers", "returns objects",
)  # fmt: skip
"""Of these steps those that can be run in our own process, where the same must be said of them."""
REPEATED = (
    *HARMLESS, "abort", "terminated", "alarm", "waits for ever", "leaves a child", "breaks NumPy", "empties sys.modules"
)  # fmt: skip
"""Steps that end as one of the others does, or that are tried in our own process."""

IMPORTS = {
    "exits": ("sys.exit(0)", ":4: cannot be imported: SystemExit: 0"),
    "exits at once": ("os._exit(0)", "cannot be imported: ended its process with exit code 0"),
    "interrupts": ("raise KeyboardInterrupt", ":4: cannot be imported: KeyboardInterrupt"),
    "hangs": ("time.sleep(60)", ":4: cannot be imported: has not returned after"),
    "prints for ever": ("while True: print('x')", "cannot be imported: has not returned after"),
    "crashes": ("ctypes.string_at(0)", ":4: cannot be imported: ended its process: Segmentation fault"),
    "a precision that hashes to nothing": ("precision = {}", ":4: precision is {}"),
}
"""What stands at top level."""


@pytest.fixture(autouse=True)
def nothing_left(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], list[int]]]:
    """After each test no process lives that was started in it."""
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    mark = str(uuid.uuid4())
    monkeypatch.setenv("METAREP_TEST", mark)

    def left() -> list[int]:
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if mark.encode() in (process / "environ").read_bytes() and int(process.name) != os.getpid():
                    found.append(int(process.name))
            except OSError:
                continue  # gone, or somebody else's
        return found

    yield left
    _wait(lambda: not left())  # what was killed may still be dying


def written(folder: Path, old: str, new: str) -> Path:
    path = folder / "adapter.py"
    path.write_text(STEP.replace(old, new))
    return path


LONG, SHORT = 60.0, 0.4
"""Time limits: one that is never reached by what does not hang, and one for what does."""


def used(path: Path, imported_in: float, called_in: float) -> None:
    with opened(str(path), timeout=imported_in) as callee:
        assert isinstance(callee, RemoteAdapter)
        callee.timeout = called_in
        foreign_implementation(callee)


def unusable(path: Path, imported_in: float = LONG, called_in: float = LONG) -> str:
    with pytest.raises(AdapterError) as caught:
        used(path, imported_in, called_in)
    return str(caught.value)


@pytest.mark.parametrize("what", cases(STEPS, set(REPEATED) - {"words that raise", "returns too much"}))
def test_a_step_gets_one_line(tmp_path: Path, what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    code, said = STEPS[what]
    if what == "stopped":  # it will not tell where it is
        monkeypatch.setattr("metarep.sim.foreign.process.LATE_SECONDS", 0.1)
    line = unusable(written(tmp_path, "HERE", code), called_in=SHORT if "not returned" in said else LONG)
    check_line(line, said)


def check_line(line: str, said: str) -> None:
    assert said in line
    assert line.isprintable()
    assert len(line) < 1000
    assert "adapter.py:" in line
    assert "; allowed: " in line


@pytest.mark.parametrize("what", HARMLESS)
def test_it_gets_the_same_line_in_our_own_process(tmp_path: Path, what: str) -> None:
    code, said = STEPS[what]
    with pytest.raises(AdapterError) as caught:
        foreign_implementation(load_adapter(str(written(tmp_path, "HERE", code))))
    check_line(str(caught.value), said)


@pytest.mark.parametrize("what", cases(IMPORTS, {"exits", "interrupts", "prints for ever"}))
def test_an_import_gets_one_line(tmp_path: Path, what: str) -> None:
    code, said = IMPORTS[what]
    limit = LONG if "not returned" not in said else 3.0 if ":4:" in said else SHORT
    line = unusable(written(tmp_path, "\nsupported", f"{code}\nsupported"), imported_in=limit)
    assert said in line


# --- what is only a nuisance


NUISANCE = """
pending = [True]

def nuisance():
    if pending and pending.pop():
        print("a" * 100_000), sys.stderr.write("b")
        sys.stdout.close(), os.close(1), os.close(2), os.chdir("/")
        np.linalg.norm = np.linalg.svd = np.abs = np.max = lambda *_, **__: 1e9  # wrong in its own process only
        threading.Thread(target=time.sleep, args=(60,)).start()
        subprocess.Popen(["sleep", "60"])
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        os.fork()
"""


def test_a_nuisance_conforms(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path, "HERE", "nuisance()")
    path.write_text(path.read_text() + NUISANCE)
    assert run(["check", str(path), "--quick", "--examples", "2"]) == 0
    seen = capsys.readouterr()
    assert seen.out.endswith("conforms.\n")
    assert seen.err == ""


def test_what_it_prints_is_shown_on_demand(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path, "HERE", "print('here I am'); raise ValueError('why not')")
    assert run(["check", str(path), "--show-output"]) == 2
    *told, last = capsys.readouterr().err.splitlines()
    assert "here I am" in told
    assert "ValueError: why not" in told, "the traceback"
    assert last.startswith(f"metarep: {path}:{LINE}: step raised ValueError: why not")


def test_the_command_line_says_it_in_one_line(tmp_path: Path, complaint: Callable[..., str]) -> None:
    assert "Segmentation fault" in complaint("check", written(tmp_path, "HERE", "ctypes.string_at(0)"))
    assert "cannot be given a process" not in complaint("check", tmp_path / "missing.py")


def test_the_time_limit_is_for_one_call_not_for_a_batch(tmp_path: Path) -> None:
    with opened(str(written(tmp_path, "HERE", "time.sleep(0.15)"))) as callee:
        assert isinstance(callee, RemoteAdapter)
        callee.timeout = 0.6
        arrays = {"B": np.ones((1, 5, 2, 1)), "w": np.ones((1, 5, 1)), "targets": np.ones((1, 5, 2, 1))}
        assert callee.call("step", "average-loss", arrays, np.ones(5), np.ones(5)).B.shape == (1, 5, 2, 1)


# --- nothing stays behind, however it ends

CHECK = """
import signal, sys
from metarep.sim.foreign.implementation import foreign_implementation
from metarep.sim.foreign.remote import opened
signal.signal(signal.SIGINT, signal.default_int_handler)  # where tests run in the background it is ignored
with opened(sys.argv[1]) as callee:
    foreign_implementation(callee)
"""


@linux
@pytest.mark.parametrize(
    "end", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.thorough), signal.SIGKILL]
)
def test_nothing_is_left_when_we_are_killed(
    tmp_path: Path, end: signal.Signals, nothing_left: Callable[[], list[int]]
) -> None:
    daemon = "os.fork() or (os.setsid(), os.fork() and os._exit(0), time.sleep(60)); "
    path = written(tmp_path, "HERE", daemon + "subprocess.Popen(['sleep', '60']); open('there', 'w'); time.sleep(60)")
    command = [sys.executable, "-c", CHECK, str(path)]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.DEVNULL) as ours:
        _wait(lambda: (tmp_path / "there").exists() and len(nothing_left()) >= 5)
        ours.send_signal(end)
        assert ours.wait(10) != 0
        _wait(lambda: not nothing_left())


def _wait(done: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not done():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def test_no_process_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    assert "cannot be given a process of its own" in unusable(written(tmp_path, "HERE", "pass"))


def test_without_fork_it_is_loaded_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "fork")
    with opened(str(written(tmp_path, "HERE", "pass"))) as callee:
        assert isinstance(callee, Adapter)
