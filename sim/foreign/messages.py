"""What an adapter's process and ours say to each other: plain data and arrays of float64, nothing that could run.

A message is two lengths, JSON, and the arrays' numbers as they lie in memory. The other side is not trusted: what is no
message raises ``ValueError``.
"""

import json
import math
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np

Array = np.ndarray
Message = tuple[dict[str, Any], dict[str, Array]]
LENGTHS = struct.Struct("<IQ")
"""Of the JSON and of the numbers, in bytes."""
MOST_JSON = 2**20


def packed(data: Mapping[str, Any], arrays: Mapping[str, Array] | None = None) -> bytes:
    """A message as bytes."""
    arrays = arrays or {}
    text = json.dumps({**data, "arrays": {name: value.shape for name, value in arrays.items()}}).encode()
    body = b"".join(value.tobytes() for value in arrays.values())
    return LENGTHS.pack(len(text), len(body)) + text + body


def whole_length(begun: bytes | bytearray, most_numbers: int) -> int | None:
    """The bytes of the message that begins so; None before enough of it is there to tell.

    Raises:
        ValueError: it is longer than a message may be.
    """
    if len(begun) < LENGTHS.size:
        return None
    text, body = LENGTHS.unpack_from(begun)
    if text > MOST_JSON or body > most_numbers:
        raise ValueError(f"a message of {text} and {body} bytes; allowed: {MOST_JSON} and {most_numbers}")
    return LENGTHS.size + text + body


def unpacked(message: bytes | bytearray) -> Message:
    """The data and the arrays of a whole message.

    Raises:
        ValueError: it is none.
    """
    end = LENGTHS.size + LENGTHS.unpack_from(message)[0]
    try:
        data = json.loads(bytes(message[LENGTHS.size : end]))
        shapes = {str(name): tuple(int(length) for length in shape) for name, shape in data.pop("arrays").items()}
    except (ValueError, RecursionError, TypeError, KeyError, AttributeError, OverflowError) as error:
        raise ValueError("a message whose data cannot be read") from error
    arrays, at = {}, end
    for name, shape in shapes.items():
        count = math.prod(shape)
        if min(shape, default=0) < 0 or at + 8 * count > len(message):
            raise ValueError("a message whose numbers are not all there")
        arrays[name] = np.frombuffer(message, dtype=np.float64, count=count, offset=at).reshape(shape)
        at += 8 * count
    return data, arrays
