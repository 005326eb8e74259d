"""Which example is shown, and how: a generic one, worked out in the mathematics' own objects.

The first example that a search draws is the simplest: everything is zero, and it shows that 0 = 0. A reader is shown
the largest that can be read at a glance in which nothing is zero. (A counterexample is shrunk: there the simplest says
most.)
"""

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import numpy as np

from metarep.theory.claims.record import Comparison, Example

READABLE = 60
"""The objects of an example may have so many numbers in all: B, B_* and five heads for d = 6 and k = 3 have 54."""
DIGITS = 16
"""A fraction of more digits than these above and below the line together is written as a decimal number."""

COST_OF_A_ZERO = {True: 100, False: 3}
"""Numbers that make up for a zero among them, of fractions and of floats. Few fractions are drawn as zero, so that
none has to be; of floats every tenth is, and an example without any would have k = 1.
"""
WITH_ZEROS = {"B_0", "B_star", "M", "A"}
"""Objects with zeros by their form: skew, or in coordinates in which they are as simple as can be."""
LARGE = 100
"""Of an array of more numbers only size and range are written."""

Rank = tuple[bool, int, bool, int]


def shown_objects(example: Example, comparison: Comparison | None) -> Mapping[str, Any]:
    """The objects that the check handed over; where it did not, the drawn numbers are the mathematics' own."""
    return (comparison.objects if comparison else None) or example


def parts(side: Any) -> tuple[Any, ...]:
    """The arrays or numbers of a side."""
    return side if isinstance(side, tuple) else (side,)


def difference(left: Any, right: Any) -> tuple[Any, ...]:
    """The left side minus the right, part by part; the number 0 where they are equal."""
    rest = tuple(np.subtract(one, other) for one, other in zip(parts(left), parts(right), strict=True))
    return rest if any(np.any(part != 0) for part in rest) else (0,)


def genericity(example: Example, comparison: Comparison) -> Rank:
    """How much an example shows of what its claim says, for comparing with others; more is better.

    Counted are, in this order: of fractions, whether it can be read and no side is zero nor any number in
    representation and heads; objects and sides that are zero as a whole; whether it can be read; and its numbers, less
    what zeros among them cost.
    """
    objects = {name: entries(value) for name, value in shown_objects(example, comparison).items()}
    size = sum(map(len, objects.values()))
    numbers = {name: [entry for entry in found if not isinstance(entry, int | str)] for name, found in objects.items()}
    sides = [*map(entries, comparison.sides)]
    blank = sum(not any(found) for found in (*numbers.values(), *sides) if found)
    if size > READABLE:
        return False, -blank, False, -size
    free = [found for name, found in numbers.items() if name not in WITH_ZEROS and any(found)]
    exact = any(isinstance(entry, Fraction) for found in numbers.values() for entry in found)
    # A head w that is zero as a whole may have to be.
    whole = all(all(objects[name]) for name in ("B", "heads") if name in objects) and all(
        all(found) for name, found in numbers.items() if name == "w" and any(found)
    )
    score = size - COST_OF_A_ZERO[exact] * sum(found.count(0) for found in free)
    return exact and whole and all(map(any, sides)), -blank, True, score


def entries(value: Any) -> list[Any]:
    """The numbers in an array, or in lists of any form."""
    if isinstance(value, np.ndarray):
        return value.ravel().tolist()
    return [entry for item in value for entry in entries(item)] if isinstance(value, list | tuple) else [value]


# --- as text


def number_text(value: Any) -> str:
    """A number as a person writes it: a fraction as it is, a long one and a float to six digits, text as it is."""
    if isinstance(value, Fraction) and len(f"{abs(value.numerator)}{value.denominator}") <= DIGITS:
        return str(value)
    if isinstance(value, complex):
        return f"{value.real:.6g}{value.imag:+.6g}i"
    return f"{float(value):.6g}" if isinstance(value, float | Fraction) else str(value)


def sign_between(value: Any) -> str:
    """What stands between a name and its value: ≈ where ``number_text`` shortens a fraction, else =."""
    entries = [entry for entry in np.asarray(value, dtype=object).flat if isinstance(entry, Fraction)]
    return "=" if all(number_text(entry) == str(entry) for entry in entries) else "≈"


def cells(value: Any) -> list[list[str]]:
    """The entries of a vector (one row) or matrix as text; of a larger one its size and range, as one."""
    array = np.asarray(value, dtype=object)
    rows = np.atleast_2d(array)
    if array.size <= LARGE:
        return [[number_text(entry) for entry in row] for row in rows]
    size = " × ".join(map(str, array.shape))
    real = all(isinstance(entry, int | float | Fraction) for entry in array.flat)
    return [[f"{size} numbers" + (f" from {number_text(array.min())} to {number_text(array.max())}" if real else "")]]


def written(name: str, value: Any) -> list[str]:
    """``name = value`` in lines, a matrix with a line for each row and aligned columns, several one after the other."""
    shape = np.shape(value)
    if not shape:
        return [f"{name} {sign_between(value)} {number_text(value)}"]
    if len(shape) > 2:
        return [line for place, part in enumerate(value, start=1) for line in written(f"{name}[{place}]", part)]
    if 0 in shape:
        return []
    rows = cells(value)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    start = f"{name} {sign_between(value)} "
    if len(shape) == 1:
        return [f"{start}({', '.join(rows[0])})"]
    return [f"{start if place == 0 else ' ' * len(start)}[ {line} ]" for place, line in enumerate(lines)]


def in_one_line(value: Any) -> str:
    """A number, a vector or a matrix in one line."""
    if isinstance(value, list | tuple | np.ndarray):
        return "[" + ", ".join(in_one_line(item) for item in value) + "]"
    return number_text(value)


def objects_text(objects: Mapping[str, Any]) -> list[str]:
    """The objects in lines, the numbers before the arrays and all in one."""
    each = {name: (np.shape(value), written(name, value)) for name, value in objects.items()}
    numbers = ", ".join(lines[0] for shape, lines in each.values() if not shape)
    arrays = [line for shape, lines in each.values() if shape for line in lines]
    return [line for line in (numbers, *arrays, note_on(objects)) if line]


def note_on(objects: Mapping[str, Any]) -> str:
    """What is to be said of representations in fewer coordinates than d; nothing if there are none."""
    short = any(name in objects and len(objects[name]) < objects.get("d", 0) for name in ("B_0", "B_star"))
    return "rows up to d that are not shown are zero" if short else ""


def sides_text(left: Any, right: Any) -> list[str]:
    """Both sides and what is left between them, in lines."""
    named = (("left side", parts(left)), ("right side", parts(right)), ("difference", difference(left, right)))
    return [line for name, side in named for part in side for line in written(name, part)]


def found_and_expected(left: Any, right: Any) -> list[str]:
    """Two sides in lines; where they are steps (a matrix and a vector each), as what was found and was expected."""
    if not all(isinstance(side, tuple) and [np.ndim(part) for part in side] == [2, 1] for side in (left, right)):
        return sides_text(left, right)
    named = zip(("B⁺", "w⁺"), left, right, strict=True)
    rows = [(f"{name} {what}", value) for name, *values in named for what, value in zip(_SIDES, values, strict=True)]
    return [line for name, value in rows for line in written(name, value)]


_SIDES = ("found", "expected")
