"""Ball arithmetic (python-flint's ``arb``): numbers known to lie between two ends, which all operations round outward.

Arrays of balls are object arrays: sums, ``@``, ``np.sqrt`` and the evaluation of expressions work on them as they do on
fractions. Fractions themselves do not mix with balls (python-flint raises), and floats enter as what they are, so that
nothing is rounded to nearest on the way.
"""

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any, TypeVar

import numpy as np
from flint import arb, ctx, fmpq

LEAST_BITS, MOST_BITS = 128, 2**14
"""Precisions that ``decided`` tries: the first, and doubles of it up to the last."""

T = TypeVar("T")


class TooWideError(ArithmeticError):
    """The enclosures are too wide to tell; more bits may do: so many times as many as ``share`` of the way took."""

    def __init__(self, why: str = "", share: float = 1 / 2) -> None:
        super().__init__(why)
        self.share = share


def exact(number: Any) -> Fraction:
    """A number of an example, taken as exact: a float is its shortest decimal, so that 0.1 is 1/10."""
    return Fraction(repr(float(number))) if isinstance(number, float) else Fraction(number)


def ball(number: Any) -> arb:
    """The enclosure of a number of an example, at the precision that is set."""
    value = exact(number)
    return arb(fmpq(value.numerator, value.denominator))


def balls(values: Any) -> np.ndarray:
    """The enclosures of (nested) numbers of an example as an object array."""
    return np.vectorize(ball, otypes=[object])(np.array(values, dtype=object))


def at_least(number: arb) -> float:
    """The ball's lower end, rounded down to a float; −∞ where there is none."""
    lower = number.lower()
    if not lower.is_finite():
        return -math.inf
    value = float(lower)
    return value if arb(value) <= lower else math.nextafter(value, -math.inf)


def at_most(number: arb) -> float:
    """The ball's upper end, rounded up to a float; +∞ where there is none."""
    return -at_least(-number)


def decided(attempt: Callable[[], T], least_bits: int = LEAST_BITS, most_bits: int = MOST_BITS) -> tuple[T, int] | None:
    """What ``attempt`` returns at the first precision at which it does not raise ``TooWideError``, with its bits; None
    where none of ``least_bits``, 2 · ``least_bits``, ..., ``most_bits`` is enough. Those in between that can hardly be
    are left out: enclosures of runs lose about as many bits in each step.
    """
    bits = least_bits
    while bits <= most_bits:
        try:
            with ctx.workprec(bits):
                return attempt(), bits
        except TooWideError as error:
            bits = max(2 * bits, min(most_bits, bits * 2 ** round(math.log2(1 / error.share))))
    return None
