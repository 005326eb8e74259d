"""Serving calls of an adapter, inside the process that it runs in."""

import os
import time
import traceback
from typing import Any

from metarep.sim.foreign.adapter import Adapter, AdapterError, load_adapter
from metarep.sim.foreign.child import TICK_SECONDS
from metarep.sim.foreign.messages import LENGTHS, Array, packed, unpacked

EVERYTHING: tuple[type[BaseException], ...] = (BaseException,)
"""Here nobody interrupts the program: whatever is raised, the adapter raised it."""


def serve(requests: int, replies: int, target: str) -> None:
    """Load the adapter, and answer requests until there are no more.

    Raises:
        OSError: a pipe was closed.
    """
    served = _Served(replies, target)
    served.send({"number": 0, "process": os.getpid()})
    while (lengths := _read(requests, LENGTHS.size)) is not None:
        body = _read(requests, sum(LENGTHS.unpack(lengths)))
        assert body is not None
        data, arrays = unpacked(lengths + body)
        served.answer(data, arrays)


def _read(pipe: int, count: int) -> bytes | None:
    """So many bytes; None where nothing comes any more."""
    whole = b""
    while len(whole) < count:
        part = os.read(pipe, count - len(whole))
        if not part:
            return None
        whole += part
    return whole


def _print(error: BaseException | None) -> None:
    """An error with its traceback, for whoever asks to see the adapter's output."""
    try:
        if error is not None:
            traceback.print_exception(error)
    except BaseException:  # the adapter may have closed or replaced what it is printed to
        return


class _Served:
    """One adapter and the pipe that answers go through."""

    def __init__(self, replies: int, target: str) -> None:
        self.replies, self.target = replies, target
        self.process = os.getpid()
        self.adapter: Adapter | None = None
        self.ticked = time.monotonic()
        self.number = 0

    def alone(self) -> None:
        """End a copy of this process that the adapter forked: only one may go on."""
        if os.getpid() != self.process:
            os._exit(0)

    def send(self, data: dict[str, Any], arrays: dict[str, Array] | None = None) -> None:
        """Send a message."""
        self.alone()
        message = memoryview(packed(data, arrays))
        while message:
            message = message[os.write(self.replies, message) :]

    def tick(self) -> None:
        """After every call: say now and then that it goes on."""
        now = time.monotonic()
        self.alone()
        if now - self.ticked > TICK_SECONDS:
            self.ticked = now
            self.send({"number": self.number, "tick": True})

    def answer(self, data: dict[str, Any], arrays: dict[str, Array]) -> None:
        """Do what is asked, and say what came of it."""
        self.number, self.ticked = data["number"], time.monotonic()
        found: dict[str, Array] = {}
        try:
            reply, found = self.load() if data["ask"] == "load" else self.call(data, arrays)
        except AdapterError as error:
            reply = {"error": str(error)}
            _print(error.__cause__)
        except BaseException as error:
            reply = {"broken": type(error).__name__}
            _print(error)
        self.send({"number": self.number, **reply}, found)

    def load(self) -> tuple[dict[str, Any], dict[str, Array]]:
        """Import the adapter; what it declares."""
        self.adapter = load_adapter(self.target, EVERYTHING)
        declared = self.adapter.declared
        return {"declared": {**vars(declared), "supported": sorted(declared.supported)}}, {}

    def call(self, data: dict[str, Any], arrays: dict[str, Array]) -> tuple[dict[str, Any], dict[str, Array]]:
        """Call one of its functions on a batch; what it returned."""
        assert self.adapter is not None
        alpha, beta = arrays.pop("alpha"), arrays.pop("beta")
        found = self.adapter.call(data["function"], data["learner"], arrays, alpha, beta, self.tick)
        return {"eps": found.eps}, {"B": found.B, "w": found.w}
