"""Quick fractions are fractions: every operation as the standard library has it, and of the quick kind."""

import operator
import pickle
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from metarep.theory.calculus.rationals import Rational

NUMBERS = [
    *(Fraction(above, below) for above in (-7, -6, -1, 0, 1, 4, 9) for below in (1, 2, 3, 6, 35)),
    Fraction(-(10**40), 3**50),
    Fraction(2**70, 7),
]
OPERATIONS: tuple[Any, ...] = (operator.add, operator.sub, operator.mul, operator.truediv)


def kinds(number: Fraction) -> list[Any]:
    """The number as all that it can be: a fraction, a quick one, a whole number."""
    return [number, Rational(number), *([int(number)] if number.denominator == 1 else [])]


@pytest.mark.parametrize("operation", OPERATIONS)
def test_operations_are_those_of_fractions(operation: Any) -> None:
    for left in NUMBERS:
        for right in NUMBERS:
            if operation is operator.truediv and not right:
                continue
            expected = operation(left, right)
            for one in kinds(left):
                for other in kinds(right):
                    if Rational in (type(one), type(other)):
                        found = operation(one, other)
                        assert type(found) is Rational
                        assert (found.numerator, found.denominator) == (expected.numerator, expected.denominator)


def test_powers_signs_comparisons_and_hashes() -> None:
    for number in NUMBERS:
        quick = Rational(number)
        assert (-quick, abs(quick), quick**0, quick**1, quick**3) == (-number, abs(number), 1, number, number**3)
        assert type(quick**3) is type(-quick) is type(abs(quick)) is Rational
        assert quick == number
        assert hash(quick) == hash(number)
        assert str(quick) == str(number)
        assert float(quick) == float(number)
        assert pickle.loads(pickle.dumps(quick)) == number
        assert [quick < other for other in NUMBERS] == [number < other for other in NUMBERS]
        if number:
            assert quick**-2 == number**-2
            assert 1 / quick == 1 / number


def test_with_floats_and_nothing_else() -> None:
    half = Rational(1, 2)
    found = [half + 0.25, 0.25 - half, half * 0.5, 0.5 * half, 1.0 / half, half**0.5]
    assert found == [0.75, -0.25, 0.25, 0.25, 2.0, 0.5**0.5]
    assert {type(number) for number in found} == {float}
    for operation in OPERATIONS:
        for number in (0.75, 2j):
            assert operation(half, number) == operation(0.5, number)
            assert operation(number, half) == operation(number, 0.5)
        for one, other in ((half, "1"), ("1", half)):
            with pytest.raises(TypeError):
                operation(one, other)
    for one in (half, 1, Fraction(1, 3)):
        with pytest.raises(ZeroDivisionError):
            assert one / Rational(0)
        with pytest.raises(ZeroDivisionError):
            assert half / (0 * one)


def test_arrays_of_them_stay_of_their_kind() -> None:
    matrix = np.array([Rational(i, 7) for i in range(1, 7)], dtype=object).reshape(2, 3)
    plain = np.vectorize(Fraction, otypes=[object])(matrix)
    product = np.eye(2, dtype=int).astype(object) @ (matrix @ matrix.T) / 3
    assert (product == plain @ plain.T / 3).all()
    assert {type(entry) for entry in product.flat} == {Rational}


def test_whole_powers_stay_of_their_kind() -> None:
    for power in range(4):
        assert type(Rational(2, 3) ** power) is Rational
