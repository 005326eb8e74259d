"""The processes that an adapter runs in: a worker that serves calls of it, and a guardian that leaves nothing behind.

The guardian forks the worker before anything else is imported, waits for it, and tells how it ended. When the worker
has ended, or whoever started the guardian has (however that came about: the control pipe then ends), it kills the
worker, its process group and, where the system lets it adopt orphans (Linux), every descendant that left the group.
"""

import ctypes
import faulthandler
import os
import select
import signal
import sys
import time
from dataclasses import dataclass

TELL_WHERE = signal.SIGUSR2
"""On this signal the worker writes where it is in the adapter's code."""
LOST = 86
"""The worker's exit code where one of its own pipes was closed under it."""
MOST_MEMORY = 2**33
"""Bytes for data, at most. (PyTorch and JAX on small arrays: a quarter of a gigabyte.)"""
CLEANING_SECONDS = 5.0
TICK_SECONDS = 0.1
"""While calls of one request return, the worker says so that often."""
_PARENT_DEATH_SIGNAL, _CHILD_SUBREAPER = 1, 36  # options of prctl(2)


@dataclass(frozen=True)
class Pipes:
    """File descriptors of the ends that the processes here have."""

    requests: int
    replies: int
    places: int
    control: int
    status: int


def _prctl(option: int, value: int) -> None:
    """Ask Linux; elsewhere nothing."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


# --- the guardian


def main(pipes: Pipes, target: str) -> None:
    """Fork the worker and watch it; never returns."""
    for pipe in (pipes.requests, pipes.replies, pipes.places, pipes.control, pipes.status):
        os.set_inheritable(pipe, False)
    _prctl(_CHILD_SUBREAPER, 1)
    guardian = os.getpid()
    worker = os.fork()
    if worker == 0:
        try:
            os.close(pipes.control)
            os.close(pipes.status)
            _work(pipes, target, guardian)
        except BaseException as error:  # whatever it is, this process must not go on as a second guardian
            sys.excepthook(type(error), error, error.__traceback__)
        finally:
            os._exit(1)
    for pipe in (pipes.requests, pipes.replies, pipes.places):
        os.close(pipe)
    try:
        _watch(worker, pipes)
    finally:
        _clean(worker)
        os._exit(0)


def _watch(worker: int, pipes: Pipes) -> None:
    """Wait until the worker or our starter has ended; tell how the worker did."""
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    while True:
        ended, status = os.waitpid(worker, os.WNOHANG)
        if ended:
            os.write(pipes.status, str(os.waitstatus_to_exitcode(status)).encode())
            return
        ready, _, _ = select.select([woken, pipes.control], [], [])
        if pipes.control in ready:
            return
        os.read(woken, 4096)


def _clean(worker: int) -> None:
    """Kill what is left of the worker, its group and all other descendants."""
    end = time.monotonic() + CLEANING_SECONDS
    while time.monotonic() < end:
        for kill, process in ((os.killpg, worker), *((os.kill, child) for child in _children())):
            try:
                kill(process, signal.SIGKILL)
            except OSError:
                continue  # gone already
        try:
            if not any(os.waitpid(-1, os.WNOHANG)):
                time.sleep(0.002)
        except ChildProcessError:
            return


def _children() -> list[int]:
    """Our child processes, adopted ones too, where the system tells."""
    try:
        with open(f"/proc/self/task/{os.getpid()}/children", encoding="ascii") as file:
            return [int(child) for child in file.read().split()]
    except OSError:
        return []


# --- the worker


def _work(pipes: Pipes, target: str, guardian: int) -> None:
    """Serve calls of the adapter until nobody asks any more."""
    os.setpgid(0, 0)
    _prctl(_PARENT_DEATH_SIGNAL, signal.SIGKILL)
    if os.getppid() != guardian:
        return
    _limit_memory()
    faulthandler.enable(pipes.places, all_threads=False)
    faulthandler.register(TELL_WHERE, pipes.places, all_threads=False)
    sys.argv = [target]
    from metarep.sim.foreign.serving import serve

    try:
        serve(pipes.requests, pipes.replies, target)
    except OSError:
        os._exit(LOST)


def _limit_memory() -> None:
    """No core dumps; data in half of the machine's memory at most; and if memory runs out all the same, this process is
    the one to go.
    """
    import resource

    memory = min(MOST_MEMORY, os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2)
    for what, most in ((resource.RLIMIT_DATA, memory), (resource.RLIMIT_CORE, 0)):
        limits = [limit for limit in (most, *resource.getrlimit(what)) if limit != resource.RLIM_INFINITY]
        resource.setrlimit(what, (min(limits), resource.getrlimit(what)[1]))
    try:
        with open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
            file.write("1000")
    except OSError:
        return  # another system: it chooses by itself
