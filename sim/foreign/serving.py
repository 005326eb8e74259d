"""Serving calls of an adapter, inside the process that it runs in."""

import os
import time
import traceback
from collections.abc import Callable, Mapping
from typing import Any

from metarep.sim.foreign.adapter import Adapter, AdapterError, load_adapter
from metarep.sim.foreign.child import TICK_SECONDS
from metarep.sim.foreign.messages import Array, Message, unpacked, whole_length

CHUNK = 2**20
EVERYTHING: tuple[type[BaseException], ...] = (BaseException,)
"""Here nobody interrupts the program: whatever is raised, the adapter raised it."""


def serve(requests: int, replies: int, target: str) -> None:
    """Load the adapter, and answer requests until there are no more.

    Raises:
        OSError: a pipe was closed.
    """
    served = _Served(replies, target)
    served.send(0, {"process": os.getpid()})
    begun = bytearray()
    while part := os.read(requests, CHUNK):
        begun += part
        length = whole_length(begun)
        if length is not None and len(begun) >= length:  # nothing more comes before the answer
            served.answer(unpacked(bytes(begun)))
            begun.clear()


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
        self.ticked = 0.0

    def alone(self) -> None:
        """End a copy of this process that the adapter forked: only one may go on."""
        if os.getpid() != self.process:
            os._exit(0)

    def send(self, number: int, data: Mapping[str, Any], arrays: dict[str, Array] | None = None) -> None:
        """Send a message."""
        self.alone()
        message = memoryview(Message(number, data, arrays or {}).packed())
        while message:
            message = message[os.write(self.replies, message) :]

    def answer(self, asked: Message) -> None:
        """Do what is asked, and say what came of it."""
        self.ticked = time.monotonic()

        def tick() -> None:
            """After every call: say now and then that it goes on."""
            self.alone()
            if time.monotonic() - self.ticked > TICK_SECONDS:
                self.ticked = time.monotonic()
                self.send(asked.number, {"tick": True})

        found: dict[str, Array] = {}
        try:
            reply, found = self.load() if asked.data["ask"] == "load" else self.call(asked, tick)
        except AdapterError as error:
            reply = {"error": str(error)}
            _print(error.__cause__)
        except BaseException as error:
            reply = {"broken": type(error).__name__}
            _print(error)
        self.send(asked.number, reply, found)

    def load(self) -> tuple[dict[str, Any], dict[str, Array]]:
        """Import the adapter; what it declares."""
        self.adapter = load_adapter(self.target, EVERYTHING)
        return {"declared": self.adapter.declared.plain()}, {}

    def call(self, asked: Message, tick: Callable[[], None]) -> tuple[dict[str, Any], dict[str, Array]]:
        """Call one of its functions on a batch; what it returned."""
        assert self.adapter is not None
        arrays = dict(asked.arrays)
        alpha, beta = arrays.pop("alpha"), arrays.pop("beta")
        function, learner, steps, way = (asked.data[name] for name in ("function", "learner", "steps", "way"))
        found = self.adapter.call(function, learner, arrays, alpha, beta, steps, way, tick)
        return {"eps": found.eps}, {"B": found.B, "w": found.w}
