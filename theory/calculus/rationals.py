"""Fractions that are quicker than those of the standard library, which find out anew in every sum and product what
kinds of numbers meet: that is most of the time of an example in exact arithmetic.
"""

from fractions import Fraction
from math import gcd
from typing import Any

_new = object.__new__


class Rational(Fraction):
    """A fraction in every respect; its sums, differences, products and quotients with fractions and whole numbers are
    again of its kind, and so quick in their turn.
    """

    __slots__ = ()
    _numerator: int
    _denominator: int

    # A call more would cost as much as the sum: what sums and products share is written out in them.

    def __add__(self, other: Any) -> Any:
        if type(other) is Rational or type(other) is Fraction:
            a, b, c, d = self._numerator, self._denominator, other._numerator, other._denominator
            if not c:
                return self
            if not a and type(other) is Rational:
                return other
            above, below = a * d + c * b, b * d
            common = gcd(above, below)
            made = _new(Rational)
            made._numerator, made._denominator = above // common, below // common
            return made
        if type(other) is int:
            return _made(self._numerator + other * self._denominator, self._denominator)
        return Fraction.__add__(self, other)

    def __radd__(self, other: Any) -> Any:
        return self + other if type(other) is int or type(other) is Fraction else Fraction.__radd__(self, other)

    def __sub__(self, other: Any) -> Any:
        if type(other) is Rational:  # most are, and this is sooner said than the other
            return self + _made(-other._numerator, other._denominator)
        return self + -other

    def __rsub__(self, other: Any) -> Any:
        return -self + other

    def __mul__(self, other: Any) -> Any:
        if type(other) is Rational or type(other) is Fraction:
            above = self._numerator * other._numerator
            if not above:
                return _ZERO
            below = self._denominator * other._denominator
        elif type(other) is int:
            above, below = self._numerator * other, self._denominator
        else:
            return Fraction.__mul__(self, other)
        common = gcd(above, below)
        made = _new(Rational)
        made._numerator, made._denominator = above // common, below // common
        return made

    def __rmul__(self, other: Any) -> Any:
        return self * other if type(other) is int or type(other) is Fraction else Fraction.__rmul__(self, other)

    def __truediv__(self, other: Any) -> Any:
        known = type(other) is Rational or isinstance(other, int | Fraction)
        return self * _inverse(other) if known else Fraction.__truediv__(self, other)

    def __rtruediv__(self, other: Any) -> Any:
        return _inverse(self) * other if isinstance(other, int | Fraction) else Fraction.__rtruediv__(self, other)

    def __pow__(self, other: Any) -> Any:
        if type(other) is int and other >= 0:
            return _made(self._numerator**other, self._denominator**other)
        return Fraction.__pow__(self, other)

    def __neg__(self) -> "Rational":
        return _made(-self._numerator, self._denominator)

    def __abs__(self) -> "Rational":
        return _made(abs(self._numerator), self._denominator)


def _made(numerator: int, denominator: int) -> Rational:
    """Of numbers without a common divisor, the second one positive."""
    made = _new(Rational)
    made._numerator, made._denominator = numerator, denominator
    return made


def _inverse(number: int | Fraction) -> Rational:
    above, below = number.denominator, number.numerator
    if not below:
        raise ZeroDivisionError("division by zero")
    return _made(above, below) if below > 0 else _made(-above, -below)


_ZERO = _made(0, 1)
"""A third of all products in exact arithmetic."""
