"""SymPy expressions in and out: to words and back, to text and LaTeX as written, and to arrays.

Expressions are built with ``add`` and ``mul``, which keep the order in which a person wrote them. ``TaskMean`` is the
average over the tasks of an expression in per-task symbols.
"""

from collections.abc import Mapping
from fractions import Fraction
from functools import cache
from typing import Any

import sympy
from sympy.matrices.expressions import (
    Identity,
    Inverse,
    MatAdd,
    MatMul,
    MatPow,
    MatrixExpr,
    MatrixSymbol,
    Transpose,
    ZeroMatrix,
)

from metarep.theory.calculus.alphabet import PER_TASK, SCALAR_LATEX, SCALAR_TEXT, matrix_symbol, scalar_symbol
from metarep.theory.calculus.words import (
    SCALAR_SHAPE,
    SCALARS,
    Key,
    Letter,
    Poly,
    find_letter,
    identity,
    spell,
    zero,
)


class TaskMean(MatrixExpr):
    """(1/n) Σ_i of a matrix expression that contains per-task symbols."""

    def __new__(cls, argument: Any) -> "TaskMean":
        """Wrap ``argument``, a matrix expression."""
        return super().__new__(cls, argument)

    @property
    def shape(self) -> Any:
        """The argument's shape."""
        return self.args[0].shape  # type: ignore[attr-defined]


def add(*terms: Any) -> Any:
    """A sum of matrix expressions, kept in the order given."""
    return MatAdd(*terms)


def mul(*factors: Any) -> Any:
    """A product of scalars and matrix expressions, kept in the order given."""
    return MatMul(*map(sympy.sympify, factors))


# --- to and from words


def dimension_name(size: Any) -> str:
    """A SymPy dimension by the alphabet's name: '1', 'd', 'k', ..."""
    return str(size)


def _mentions_task(polynomial: Poly) -> bool:
    return bool(polynomial.letters() & PER_TASK)


@cache
def scalar_poly(expression: sympy.Expr) -> Poly:
    """A scalar made of rationals and powers of α, β, ... as a 1×1 polynomial."""
    coefficients = sympy.Poly(expression * _CLEAR, *_SCALAR_SYMBOLS)
    total = Poly(SCALAR_SHAPE)
    for exponents, value in coefficients.terms():
        powers = tuple(int(e) - _SHIFT for e in exponents)
        rational: Any = sympy.Rational(value)
        total = total + Poly(SCALAR_SHAPE, {(powers, (), b""): Fraction(int(rational.p), int(rational.q))})
    return Poly(SCALAR_SHAPE, {key: _plain(value) for key, value in total.terms.items()})


def _plain(value: Any) -> Any:
    return int(value) if value == int(value) else value


_SHIFT = 8  # negative powers are cleared by multiplying with (αβ...)^8 first; no formula here has a lower one
_SCALAR_SYMBOLS = [scalar_symbol(name) for name in SCALARS]
_CLEAR = sympy.prod(symbol**_SHIFT for symbol in _SCALAR_SYMBOLS)


def to_words(expression: Any, known: Mapping[str, Poly] | None = None) -> Poly:
    """Expand a SymPy matrix expression into words; ``known`` gives the expansions of named intermediates.

    ``TaskMean(x)`` becomes the words of x, and so does a letter that is known to be an average (w̄_*, Ψ_*): everything
    stays under one average over tasks, which is legitimate as long as averages are not multiplied with each other or
    with per-task symbols.

    Raises:
        ValueError: a product of an average with another or with something that differs by task, or a kind of expression
            that has no words.
    """
    known = known or {}
    if isinstance(expression, MatrixSymbol):
        found = find_letter(str(expression.name))
        if found.name in known:
            return known[found.name]
        return _letter_words(found.name)
    if isinstance(expression, Transpose):
        return to_words(expression.args[0], known).T
    if isinstance(expression, TaskMean):
        return to_words(expression.args[0], known)
    if isinstance(expression, Inverse):
        return _inverse_words(to_words(expression.args[0], known))
    if isinstance(expression, Identity):
        return identity(dimension_name(expression.args[0]))
    if isinstance(expression, ZeroMatrix):
        return zero(*(dimension_name(size) for size in expression.shape))
    if isinstance(expression, MatAdd):
        parts = [to_words(term, known) for term in expression.args]
        total = parts[0]
        for part in parts[1:]:
            total = total + part
        return total
    if isinstance(expression, MatMul):
        return _product_words(list(expression.args), known)
    if isinstance(expression, MatPow) and str(expression.args[1]).isdigit() and expression.args[1] != 0:
        return _product_words([expression.args[0]] * int(str(expression.args[1])), known)
    if isinstance(expression, sympy.Expr) and not isinstance(expression, MatrixExpr):
        return scalar_poly(expression)
    raise ValueError(f"no words for {type(expression).__name__}: {expression}")


def _inverse_words(inverted: Poly) -> Poly:
    """The letter G for the inverse of BᵀB or BᵀB + λI; ``ValueError`` for any other: no letter stands for it."""
    gram = _letter_words("B").T * _letter_words("B")
    if inverted in (gram, gram + identity("k").scaled(ridge=1)):
        return _letter_words("G")
    raise ValueError(f"no letter stands for this inverse of {len(inverted)} words; there is G = (BᵀB + λI)⁻¹")


def _letter_words(name: str) -> Poly:
    found = find_letter(name)
    return Poly((found.rows, found.cols), {((0,) * len(SCALARS), (), bytes([found.code])): 1})


def _product_words(factors: list[Any], known: Mapping[str, Poly]) -> Poly:
    words = [to_words(factor, known) for factor in factors]
    if sum(map(_mentions_task, words)) > 1 and any(
        _mentions_task(poly) and _has_average(factor, known) for factor, poly in zip(factors, words, strict=True)
    ):
        raise ValueError("an average over tasks is multiplied with something that differs by task; name it first")
    product = words[0]
    for factor in words[1:]:
        product = product * factor
    return product


def _has_average(expression: Any, known: Mapping[str, Poly]) -> bool:
    """Whether an average over tasks stands in it: written out, or as a letter known to be one (w̄_*, Ψ_*)."""
    letters = [find_letter(str(symbol.name)) for symbol in expression.atoms(MatrixSymbol)]
    named = any(x.name in known and not x.per_task and _mentions_task(known[x.name]) for x in letters)
    return named or bool(expression.atoms(TaskMean))


def _word_factors(word: bytes) -> list[Any]:
    factors = []
    for code in word:
        found, transposed = spell(code)
        symbol = matrix_symbol(found.name)
        factors.append(Transpose(symbol) if transposed else symbol)
    return factors


def to_sympy(polynomial: Poly) -> Any:
    """The polynomial as a SymPy sum of products; scalars (1×1 subwords) become traces of 1×1 products."""
    rows, cols = polynomial.shape
    terms = []
    for (powers, scalars, core), value in sorted(polynomial.terms.items(), key=_reading_order):
        number = sympy.Rational(value.numerator, value.denominator)
        for name, power in zip(SCALARS, powers, strict=True):
            number = number * scalar_symbol(name) ** power
        for scalar in scalars:
            number = number * sympy.Trace(mul(*_word_factors(scalar)))
        if core:
            terms.append(mul(number, *_word_factors(core)) if number != 1 else mul(*_word_factors(core)))
        else:
            terms.append(mul(number, Identity(_size(rows))) if polynomial.shape != SCALAR_SHAPE else number)
    if not terms:
        return ZeroMatrix(_size(rows), _size(cols)) if polynomial.shape != SCALAR_SHAPE else sympy.Integer(0)
    return add(*terms) if polynomial.shape != SCALAR_SHAPE else sympy.Add(*terms)


def latex_terms(polynomial: Poly) -> list[tuple[str, str]]:
    """(coefficient, word) of each term in LaTeX, in reading order; numbers and step sizes are in the coefficient."""
    none = (0,) * len(SCALARS)
    return [
        (
            latex(to_sympy(Poly(SCALAR_SHAPE, {(powers, (), b""): value}))),
            latex(to_sympy(Poly(polynomial.shape, {(none, scalars, core): 1}))),
        )
        for (powers, scalars, core), value in sorted(polynomial.terms.items(), key=_reading_order)
    ]


def _size(name: str) -> Any:
    return sympy.Integer(1) if name == "1" else sympy.Symbol(name, integer=True, positive=True)


def _reading_order(item: tuple[Key, Any]) -> tuple[Any, ...]:
    (powers, scalars, core), _ = item
    return sum(map(abs, powers)), len(scalars), len(core), powers, scalars, core


# --- writing


def text(expression: Any) -> str:
    """Plain Unicode, e.g. ``B w_i − θ_i``."""
    return _Writer(False).write(expression)


def latex(expression: Any) -> str:
    r"""LaTeX, e.g. ``B w_i - \theta_i``."""
    return _Writer(True).write(expression)


class _Writer:
    """Writes an expression in the order in which it was built, as text or LaTeX."""

    def __init__(self, tex: bool) -> None:
        self.tex = tex
        self.transposed = r"^\top" if tex else "ᵀ"
        self.minus = "-" if tex else "−"

    def name(self, found: Letter) -> str:
        return found.latex if self.tex else found.text

    def write(self, expression: Any) -> str:
        if isinstance(expression, MatrixSymbol):
            return self.name(find_letter(str(expression.name)))
        if isinstance(expression, Transpose):
            inner = expression.args[0]
            body = self.write(inner)
            return (body if isinstance(inner, MatrixSymbol) else self.bracket(body)) + self.transposed
        if isinstance(expression, TaskMean):
            body = self.write(expression.args[0])
            return (
                rf"\frac1n\sum_{{i=1}}^n {self.sum_bracket(expression.args[0], body)}"
                if self.tex
                else f"mean_i[{body}]"
            )
        if isinstance(expression, Identity):
            return "I"
        if isinstance(expression, ZeroMatrix):
            return "0"
        if isinstance(expression, sympy.Trace):
            return self.bracket(self.write(expression.args[0]))
        if isinstance(expression, MatAdd):
            return self.join([self.write(term) for term in expression.args])
        if isinstance(expression, MatMul):
            return self.product(list(expression.args))
        if isinstance(expression, Inverse):
            return self.bracket(self.write(expression.args[0])) + ("^{-1}" if self.tex else "⁻¹")
        if isinstance(expression, MatPow):
            return self.bracket(self.write(expression.args[0])) + f"^{expression.args[1]}"
        return self.scalar(expression)

    def bracket(self, body: str) -> str:
        return rf"\left({body}\right)" if self.tex else f"({body})"

    def sum_bracket(self, expression: Any, body: str) -> str:
        return self.bracket(body) if isinstance(expression, MatAdd) else body

    def join(self, terms: list[str]) -> str:
        line = terms[0]
        for term in terms[1:]:
            line += f" {self.minus} {term[1:].lstrip()}" if term.startswith(self.minus) else f" + {term}"
        return line

    def product(self, factors: list[Any]) -> str:
        sign, written = "", []
        for factor in factors:
            if factor == -1:
                sign = "" if sign else self.minus
                continue
            body = self.write(factor)
            if body.startswith(self.minus) and not isinstance(factor, MatAdd):
                sign, body = "" if sign else self.minus, body[1:].lstrip()
            if isinstance(factor, MatAdd | sympy.Add):
                body = self.bracket(body)
            if body != "1":
                written.append(body)
        return sign + (" ".join(written) or "1")

    def scalar(self, expression: Any) -> str:
        """Products of rationals, powers of scalar symbols and traces (scalars made of words); sums of these."""
        expression = sympy.sympify(expression)
        if isinstance(expression, sympy.Symbol):
            return (SCALAR_LATEX if self.tex else SCALAR_TEXT).get(expression.name, expression.name)
        if expression.is_Rational:
            body = f"{abs(expression.p)}" if expression.q == 1 else self.fraction(abs(expression.p), expression.q)
            return self.minus + body if expression < 0 else body
        if isinstance(expression, sympy.Pow):
            base = self.write(expression.args[0])
            exponent = str(expression.args[1])
            return f"{base}^{{{exponent}}}" if self.tex else base + exponent.translate(_SUPERSCRIPT)
        if isinstance(expression, sympy.Mul):
            return self.product(sorted(expression.args, key=_scalar_order))
        if isinstance(expression, sympy.Add):
            return self.join([self.write(term) for term in expression.args])
        raise ValueError(f"no way to write {type(expression).__name__}: {expression}")

    def fraction(self, p: Any, q: Any) -> str:
        return rf"\tfrac{{{p}}}{{{q}}}" if self.tex else f"{p}/{q}"


def _scalar_order(factor: Any) -> tuple[int, str]:
    rank = 0 if factor.is_Number else 2 if factor.atoms(sympy.Trace) else 1
    return rank, str(factor)


_SUPERSCRIPT = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")
