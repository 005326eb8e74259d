"""An adapter in a process of its own: whatever it does there, here it is a result or one line that says what it did."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

from metarep.sim.foreign.adapter import AdapterError, Array, Callee, Declared, Returned, load_adapter
from metarep.sim.foreign.messages import Message
from metarep.sim.foreign.process import LostError, Process
from metarep.sim.user_code import one_line

T = TypeVar("T")
TIMEOUT = 60.0
"""Seconds that a call may take unless told otherwise: compilers take some on a first call."""


@contextmanager
def opened(target: str, *, timeout: float = TIMEOUT, tell: Callable[[str], None] | None = None) -> Iterator[Callee]:
    """The adapter of that path or dotted name, in a process of its own; it ends with the context, with whatever it
    started. A system that knows no fork has it in this process.

    Args:
        target: as for ``load_adapter``.
        timeout: seconds that a call, and importing it, may take.
        tell: told what the adapter prints.

    Raises:
        AdapterError: it cannot be loaded.
    """
    if not hasattr(os, "fork"):
        yield load_adapter(target)
        return
    try:
        process = Process(target, tell)
    except (OSError, LostError) as error:
        what = f"cannot be given a process of its own: {error}"
        raise AdapterError(one_line(target, 1, what, "a system that can start one")) from error
    try:
        yield RemoteAdapter(process, target, timeout)
    finally:
        process.close()


class RemoteAdapter:
    """The adapter in a process: a ``Callee``.

    Args:
        process: of its own.
        target: what it is called by.
        timeout: seconds that a call, and importing it, may take.

    Attributes:
        timeout: seconds that a call may take from now on.

    Raises:
        AdapterError: it cannot be loaded.
    """

    def __init__(self, process: Process, target: str, timeout: float) -> None:
        self._process, self.timeout = process, timeout

        def wrong(what: str, allowed: str) -> AdapterError:
            path = os.path.abspath(target)
            return AdapterError(one_line(target, process.line_in(path) or 1, f"cannot be imported: {what}", allowed))

        self.declared = self._asked(
            wrong, {"ask": "load"}, {}, 0, lambda reply: Declared.of_plain(reply.data["declared"])
        )

    def call(
        self, function: str, learner: str, arrays: Mapping[str, Array], alpha: Array, beta: Array, steps: int = 1,
        way: str = "",
    ) -> Returned:  # fmt: skip
        """As ``Callee`` says."""

        def wrong(what: str, allowed: str) -> AdapterError:
            shapes = {name: value.shape[2:] for name, value in arrays.items()}
            line = self._process.line_in(self.declared.path)
            return self.declared.wrong_call(function, learner, shapes, what, allowed, line)

        def returned(reply: Message) -> Returned:
            B, w = reply.arrays["B"], reply.arrays["w"]
            expected = [arrays[name].shape[1:] for name in ("B", "w")]
            if [B.shape[1:], w.shape[1:]] != expected or not 0 < len(B) == len(w) <= steps:
                raise ValueError("other shapes")
            return Returned(B, w, float(reply.data["eps"]))

        asked = {"ask": "call", "function": function, "learner": learner, "steps": steps, "way": way}
        most = steps * (arrays["B"].nbytes + arrays["w"].nbytes)
        return self._asked(wrong, asked, {**arrays, "alpha": alpha, "beta": beta}, most, returned)

    def _asked(
        self,
        wrong: Callable[[str, str], AdapterError],
        data: Mapping[str, Any],
        arrays: dict[str, Array],
        most: int,
        read: Callable[[Message], T],
    ) -> T:
        """What is read from the answer (with so many bytes of numbers at most), or the error that says why there is
        none.
        """
        try:
            reply = self._process.ask(data, arrays, self.timeout, most)
            if "error" in reply.data:
                raise AdapterError(str(reply.data["error"]))
            if "broken" in reply.data:
                self._process.close()  # it answered, so it is in no line of the adapter's any more
                raise LostError(f"breaks what calls it ({reply.data['broken']})")
            try:
                return read(reply)
            except (KeyError, TypeError, ValueError) as error:
                raise LostError("wrote to the pipe that its answers go through") from error
        except (LostError, TimeoutError) as error:
            late = isinstance(error, TimeoutError)
            what = f"has not returned after {self.timeout:g} s" if late else str(error)
            failure = wrong(what, "one that returns within the time limit (timeout)" if late else _LEFT_ALONE)
            self._process.close()
            raise failure from error


_LEFT_ALONE = "code that returns, and leaves its process and NumPy as they are"
