"""What an adapter's process and ours say to each other: plain data and arrays of float64, nothing that could run.

A message is a number, two lengths, JSON, and the arrays' numbers as they lie in memory. The other side is not trusted:
what is no message raises ``ValueError``. The JSON is much the same from call to call, and is made and read once.
"""

import json
import struct
from collections.abc import Mapping
from functools import lru_cache
from math import prod
from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray
Shape = tuple[int, ...]
START = struct.Struct("<QIQ")
"""The number, and the bytes of the JSON and of the numbers."""
MOST_JSON = 2**20


class Message(NamedTuple):
    """A question or an answer: its number, plain data (not to be changed), arrays by name."""

    number: int
    data: Mapping[str, Any]
    arrays: dict[str, Array]

    def packed(self) -> bytes:
        """As bytes."""
        shapes = {name: value.shape for name, value in self.arrays.items()}
        text = _text(tuple(self.data.items()), tuple(shapes.items()))
        body = [value.tobytes() for value in self.arrays.values()]
        return b"".join((START.pack(self.number, len(text), sum(map(len, body))), text, *body))


def whole_length(begun: bytes | bytearray, most_numbers: int | None = None) -> int | None:
    """The bytes of the message that begins so; None before enough of it is there to tell.

    Raises:
        ValueError: it has more JSON than a message may have, or more bytes of numbers than these.
    """
    if len(begun) < START.size:
        return None
    _, text, body = START.unpack_from(begun)
    if text > MOST_JSON or (most_numbers is not None and body > most_numbers):
        raise ValueError(f"a message of {text} and {body} bytes; allowed: {MOST_JSON} and {most_numbers}")
    return START.size + text + body


def unpacked(message: bytes) -> Message:
    """A whole message.

    Raises:
        ValueError: it is none.
    """
    number, text, _ = START.unpack_from(message)
    at = START.size + text
    data, shapes = _read(message[START.size : at])
    arrays = {}
    for name, shape in shapes:
        count = prod(shape)
        if at + 8 * count > len(message):
            raise ValueError("a message whose numbers are not all there")
        arrays[name] = np.frombuffer(message, np.float64, count, at).reshape(shape)
        at += 8 * count
    return Message(number, data, arrays)


@lru_cache(512)
def _text(data: tuple[tuple[str, Any], ...], shapes: tuple[tuple[str, Shape], ...]) -> bytes:
    return json.dumps({"data": dict(data), "shapes": dict(shapes)}).encode()


@lru_cache(512)
def _read(text: bytes) -> tuple[Mapping[str, Any], tuple[tuple[str, Shape], ...]]:
    try:
        whole = json.loads(text)
        shapes = tuple((str(name), tuple(map(int, shape))) for name, shape in whole["shapes"].items())
        if not isinstance(whole["data"], dict) or any(length < 0 for _, shape in shapes for length in shape):
            raise ValueError("no data, or no shape")
    except (ValueError, RecursionError, TypeError, KeyError, AttributeError, OverflowError) as error:
        raise ValueError("a message whose data cannot be read") from error
    return whole["data"], shapes
