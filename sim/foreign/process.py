"""The processes of ``metarep.sim.foreign.child`` seen from here: started, asked within a time limit, ended."""

import json
import os
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from metarep.sim.foreign.child import LOST, TELL_WHERE
from metarep.sim.foreign.messages import Array, Message, unpacked, whole_length

START_SECONDS = 120.0
"""Until the worker is there, before any of the adapter's code runs."""
END_SECONDS = 10.0
"""Until the guardian has left nothing behind; it takes a hundredth of a second."""
LATE_SECONDS = 2.0
"""For what a worker that crashed or hangs still has to tell."""
MOST_KEPT = 2**16
"""Bytes that are kept of what comes through the pipes for output and places."""
MOST_SHOWN = 200
"""Characters of the last line printed that an error message shows."""
ENVIRONMENT = {"OMP_NUM_THREADS": "1"}
"""What a worker's environment has besides ours where that does not say otherwise: matrices are so small that threads
only wait for each other (on busy processors a step of PyTorch's takes thirty times as long).
"""
_CHUNK = 2**16
_CODE = (
    "import sys, json; path, pipes, target = map(json.loads, sys.argv[1:]); sys.path[:] = path; "
    "from metarep.sim.foreign.child import Pipes, main; main(Pipes(**pipes), target)"
)


class LostError(Exception):
    """The worker does not answer any more; the message says what it did, such as "ended its process with exit code
    0".
    """


class Process:
    """A worker and its guardian.

    Args:
        target: the adapter.
        tell: told what the worker prints, as it comes.

    Raises:
        OSError: the system cannot start it.
        LostError: it did not come to life.
        TimeoutError: not in time.
    """

    def __init__(self, target: str, tell: Callable[[str], None] | None = None) -> None:
        self._tell = tell
        self._replies, self._output, self._places = bytearray(), bytearray(), bytearray()
        self._status: bytes | None = None
        self._number = self._worker = 0
        pairs = {name: os.pipe() for name in ("requests", "replies", "places", "control", "status", "output")}
        outgoing = ("requests", "control")
        self._pipes = {name: ends[name in outgoing] for name, ends in pairs.items()}
        theirs = {name: ends[name not in outgoing] for name, ends in pairs.items()}
        try:
            self._guardian = _started(target, **theirs)
        except BaseException:
            self._close_pipes()
            raise
        finally:
            for pipe in theirs.values():
                os.close(pipe)
        self._names = {pipe: name for name, pipe in self._pipes.items()}
        self._poll = select.poll()
        for name, pipe in self._pipes.items():
            os.set_blocking(pipe, False)
            if name not in outgoing:
                self._poll.register(pipe, select.POLLIN)
        try:
            self._worker = int(self._answer(b"", START_SECONDS, 0).data["process"])
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End the worker and whatever it started."""
        if "control" not in self._pipes:
            return
        self._receive(0)
        os.close(self._pipes.pop("control"))  # upon which the guardian ends everything
        try:
            self._guardian.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self._guardian.kill()
            self._guardian.wait()
        if self._guardian.returncode and self._worker:  # something has killed it: what it would have done
            with suppress(OSError):
                os.killpg(self._worker, signal.SIGKILL)
        self._close_pipes()

    def _close_pipes(self) -> None:
        for pipe in self._pipes.values():
            os.close(pipe)
        self._pipes = {}

    # --- asking

    def ask(self, data: Mapping[str, Any], arrays: dict[str, Array], seconds: float, most_numbers: int) -> Message:
        """The answer to a question.

        Args:
            data: what is asked.
            arrays: the arrays that go with it.
            seconds: until the answer, or until the next sign that there is progress.
            most_numbers: bytes of numbers that an answer may have.

        Raises:
            LostError: there will be no answer.
            TimeoutError: there has not been one in time.
        """
        if not self._pipes:
            raise LostError("was called after its process had ended")
        self._number += 1
        return self._answer(Message(self._number, data, arrays).packed(), seconds, most_numbers)

    def _answer(self, request: bytes, seconds: float, most_numbers: int) -> Message:
        unsent = self._send(memoryview(request))
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if unsent:  # more of it is sent as soon as there is room
                self._poll.register(self._pipes["requests"], select.POLLOUT)
            self._receive(end - time.monotonic())
            if unsent:
                self._poll.unregister(self._pipes["requests"])
            unsent = self._send(unsent)
            over = self._status is not None or "replies" not in self._pipes
            if over:
                self._receive_rest()
            while (message := self._message(most_numbers)) is not None:
                if "tick" not in message.data:
                    return message
                end = time.monotonic() + seconds
            if over:
                raise LostError(self._how_it_ended())
        raise TimeoutError("no answer in time")

    def _send(self, unsent: memoryview) -> memoryview:
        """Send what goes at once; what is left."""
        try:
            return unsent[os.write(self._pipes["requests"], unsent) :] if unsent else unsent
        except BlockingIOError:
            return unsent
        except OSError:
            return memoryview(b"")  # nobody reads: what became of the worker comes through the other pipes

    def _message(self, most_numbers: int) -> Message | None:
        """The next message, as soon as it is whole."""
        try:
            length = whole_length(self._replies, most_numbers)
            if length is None or len(self._replies) < length:
                return None
            message = unpacked(bytes(self._replies[:length]))
            if message.number != self._number:
                raise ValueError("an answer to something else")
        except ValueError as error:
            raise LostError("wrote to the pipe that its answers go through") from error
        del self._replies[:length]
        return message

    def _receive(self, seconds: float) -> None:
        """Take what comes through the pipes, waiting for the first of it."""
        for pipe, _ in self._poll.poll(1000 * seconds):
            name = self._names[pipe]
            if name == "requests":
                continue
            part = os.read(pipe, _CHUNK)
            if name == "replies":
                self._replies += part
            elif name == "status":
                self._status = (self._status or b"") + part
            elif name == "output":
                self._output = (self._output + part)[-MOST_KEPT:]
                if self._tell is not None and part:
                    self._tell(part.decode(errors="replace"))
            else:
                self._places = (self._places + part)[-MOST_KEPT:]
            if not part:
                self._poll.unregister(pipe)
                os.close(self._pipes.pop(name))

    def _receive_rest(self) -> None:
        """Take what is still in the pipes, and how the worker ended."""
        end = time.monotonic() + LATE_SECONDS
        while time.monotonic() < end and (self._status is None or self._poll.poll(0)):
            self._receive(0.01)

    # --- what became of it

    def _how_it_ended(self) -> str:
        if not self._status:
            lost = "closed the pipe that its answers go through"
            return lost if self._status is None else "ended the process that watches over its own"
        code = int(self._status)
        if code == LOST:
            what = "closed the pipes that its calls and answers go through"
        elif code >= 0:
            what = f"ended its process with exit code {code}"
        else:
            name = next((known.name for known in signal.Signals if known == -code), f"signal {-code}")
            hint = ", as when memory runs out" if -code == signal.SIGKILL else ""
            what = f"ended its process: {signal.strsignal(-code)} ({name}{hint})"
        printed = self._output.decode(errors="replace").split("\n")
        last = next((line for line in reversed(printed) if line.strip()), "")
        return f"{what}, after printing {last.strip()[:MOST_SHOWN]!r}" if last else what

    def line_in(self, path: str) -> int | None:
        """The line of a file that the worker was at when it crashed, or is at if it does not answer; None if it cannot
        be told.
        """
        if self._pipes and self._status is None and self._worker and not self._places:
            with suppress(OSError):
                os.kill(self._worker, TELL_WHERE)
            end = time.monotonic() + LATE_SECONDS
            while self._told_line(path) is None and time.monotonic() < end:  # it is told piece by piece
                self._receive(0.05)
        return self._told_line(path)

    def _told_line(self, path: str) -> int | None:
        """The innermost line of a file in what was told of places so far."""
        shown = path.encode("ascii", "backslashreplace").decode()
        for file, line in re.findall(r'File "(.*)", line (\d+) in ', self._places.decode(errors="replace")):
            if file == shown:
                return int(line)
        return None


def _started(target: str, output: int, **pipes: int) -> "subprocess.Popen[bytes]":
    """The guardian, with its ends of the pipes."""
    path = [folder for folder in sys.path if isinstance(folder, str)]
    return subprocess.Popen(
        [sys.executable, "-P", "-u", "-c", _CODE, *map(json.dumps, (path, pipes, target))],
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        env={**ENVIRONMENT, **os.environ},
        pass_fds=tuple(pipes.values()),
        start_new_session=True,
    )
