"""Polynomials in LaTeX: in closed form, as their maker wrote them, or as the sum of their words."""

from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import Any

from sympy.matrices.expressions import MatrixSymbol

from metarep.theory.calculus.expressions import latex, to_sympy
from metarep.theory.calculus.words import SCALAR_SHAPE, Poly, find_letter, spell

FEW = 12
"""A sum of more words than this is counted, not printed."""
LONGEST = 330
"""Characters of LaTeX of a line that a person reads; a closed form that is longer is none."""

_SUM, _PRODUCT, _SIGN, _ATOM = range(4)
_Place = Mapping[str, tuple[Poly, "_Place"]]
"""What stands in the place of letters."""


class _TooLongError(Exception):
    """More than a person reads."""


def in_words(polynomial: Poly, few: int = FEW) -> str:
    """The sum of its words; empty where these are more than a ``few`` or longer than a line."""
    written = latex(to_sympy(polynomial)) if len(polynomial) <= few else ""
    return written if len(written) <= LONGEST else ""


def closed_form(polynomial: Poly) -> str:
    """The expression that it was expanded from; empty where that is longer than a line."""
    try:
        return _write(polynomial, {})[0]
    except _TooLongError:
        return ""


def definitions_of(*expressions: Any, named: Iterable[tuple[str, Any]]) -> list[tuple[str, str]]:
    """(letter, what it stands for) in LaTeX of those ``named``, (name, SymPy expression) in order, that the expressions
    are made of, directly or by way of others.
    """
    used = {find_letter(str(symbol.name)).name for each in expressions for symbol in each.atoms(MatrixSymbol)}
    found = []
    for name, value in reversed(list(named)):
        if name in used:
            found.append((find_letter(name).latex, latex(value)))
            used |= {find_letter(str(symbol.name)).name for symbol in value.atoms(MatrixSymbol)}
    return found[::-1]


def _write(polynomial: Poly, at: _Place) -> tuple[str, int]:
    """LaTeX, and how firmly it holds together."""
    text, firm = _written(polynomial, at)
    if len(text) > LONGEST:
        raise _TooLongError
    return text, firm


def _written(polynomial: Poly, at: _Place) -> tuple[str, int]:
    match polynomial.made:
        case ("add", left, right) if not left or not right:
            return _write(left if left else right, at)
        case ("add", left, right):
            first, second = _write(left, at)[0], _write(right, at)[0]
            return (f"{first} - {second[1:].lstrip()}" if second[0] == "-" else f"{first} + {second}"), _SUM
        case ("times", inner, number):
            return _times(_number(number), inner, at)
        case ("scaled", inner, factor, powers):
            scalars = Poly(SCALAR_SHAPE, {(powers, (), b""): factor})
            return _times(latex(to_sympy(scalars)), inner, at)
        case ("mul", left, right) if left.shape == SCALAR_SHAPE and len(left) == 1 and not left.letters():
            return _times(latex(to_sympy(left)), right, at)
        case ("mul", left, right):
            text, firm = _write(left, at)
            signed = text.startswith("-") and firm == _SIGN
            before = text if signed or firm in (_PRODUCT, _ATOM) else _bracket(text)
            return f"{before} {_factor(right, at)}", _SIGN if signed else _PRODUCT
        case ("T", inner):
            text, firm = _write(inner, at)
            if firm == _ATOM and text.endswith(r"^\top"):
                return text.removesuffix(r"^\top"), _ATOM
            return rf"{text if firm == _ATOM else _bracket(text)}^\top", _ATOM
        case ("rewrite", inner, _):
            return _write(inner, at)
        case ("substitute", inner, replaced):
            return _write(inner, {**at, **{name: (value, at) for name, value in replaced.items()}})
    return _bare(polynomial, at)


def _bare(polynomial: Poly, at: _Place) -> tuple[str, int]:
    """What was not made by an operation that is known here: a letter, or what stands in its place, or its words."""
    if len(polynomial) == 1:
        ((_, scalars, core),) = polynomial.terms
        word = core or (scalars[0] if len(scalars) == 1 else b"")
        if len(word) == 1:
            found, transposed = spell(word[0])
            if found.name in at:
                inner, place = at[found.name]
                return _write(inner.T if transposed else inner, place)
    if any(name in at for name in polynomial.letters()):
        raise _TooLongError
    text = in_words(polynomial)
    if not text and polynomial:
        raise _TooLongError
    one = len(polynomial) == 1 and " " not in text and not text.startswith("-")
    return text or "0", _ATOM if one else _SUM if len(polynomial) > 1 else _SIGN


def _times(scalar: str, inner: Poly, at: _Place) -> tuple[str, int]:
    if scalar in ("1", "-1"):
        text, firm = _write(inner, at)
        return (text, firm) if scalar == "1" else _negated(text, firm)
    body = _factor(inner, at)
    text = scalar if body == "1" else f"{scalar} {body}"
    return text, _SIGN if text.startswith("-") else _PRODUCT


def _negated(text: str, firm: int) -> tuple[str, int]:
    if text.startswith("-") and firm != _SUM:
        return text[1:].lstrip(), _PRODUCT
    return f"-{_bracket(text) if firm == _SUM else text}", _SIGN


def _factor(polynomial: Poly, at: _Place) -> str:
    text, firm = _write(polynomial, at)
    return text if firm in (_PRODUCT, _ATOM) else _bracket(text)


def _bracket(text: str) -> str:
    return rf"\left({text}\right)"


def _number(value: int | Fraction) -> str:
    return str(value) if isinstance(value, int) else rf"\tfrac{{{value.numerator}}}{{{value.denominator}}}"
