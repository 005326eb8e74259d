"""How a proof object writes its mathematics: strings such as ``"Delta - beta*(Delta*Psi + Psi*Delta)"``.

Parsed by Python's own grammar with a short white list: names, whole numbers, ``+ - * **``, quotients of whole numbers,
``.T``. Nothing is evaluated but that.
"""

import ast
from collections.abc import Callable
from fractions import Fraction
from functools import lru_cache
from typing import Any

from metarep.theory.calculus.words import ONE, SCALAR_SHAPE, SCALARS, Poly, find_letter, identity, letter_poly
from metarep.theory.inequalities.letters import IDENTITIES
from metarep.theory.inequalities.polynomials import Polynomial, constant, variable

LONGEST = 4000


class NotAccepted(ValueError):
    """The core refuses a proof; the message says which line and why."""


def _tree(text: str) -> ast.expr:
    if not isinstance(text, str) or len(text) > LONGEST:
        raise NotAccepted(f"mathematics is written as a string of at most {LONGEST} characters, not as {text!r:.80}")
    try:
        return ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise NotAccepted(f"cannot read {text!r:.80}") from error


def _evaluate(node: ast.expr, name: Callable[[str], Any], number: Callable[[Fraction], Any], matrices: bool) -> Any:
    def go(node: ast.expr) -> Any:
        match node:
            case ast.Constant(value=value) if type(value) is int:
                return number(Fraction(value))
            case ast.BinOp(left=ast.Constant(value=p), op=ast.Div(), right=ast.Constant(value=q)):
                if type(p) is int and type(q) is int and q:
                    return number(Fraction(p, q))
            case ast.BinOp(left=left, op=ast.Div(), right=right) if not matrices:
                return go(left) * go(right) ** -1
            case ast.Name(id=found):
                return name(found)
            case ast.Attribute(value=inner, attr="T") if matrices:
                return go(inner).T
            case ast.UnaryOp(op=ast.USub(), operand=inner):
                return -go(inner)
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                return go(left) + go(right)
            case ast.BinOp(left=left, op=ast.Sub(), right=right):
                return go(left) - go(right)
            case ast.BinOp(left=left, op=ast.Mult(), right=right):
                return go(left) * go(right)
            case ast.BinOp(left=left, op=ast.Pow(), right=ast.Constant(value=power)):
                if type(power) is int and 0 <= power <= 8:
                    base = go(left)
                    result = number(Fraction(1))
                    for _ in range(power):
                        result = result * base
                    return result
        raise NotAccepted(f"cannot read {ast.unparse(node)!r:.80}")

    try:
        return go(node)
    except NotAccepted:
        raise
    except (ValueError, TypeError, ZeroDivisionError, RecursionError) as error:
        raise NotAccepted(f"{ast.unparse(node)!r:.80}: {error}") from error


def _plain(value: Fraction) -> int | Fraction:
    return int(value) if value.denominator == 1 else value


def _matrix_name(name: str) -> Poly:
    if name in IDENTITIES:
        return identity(IDENTITIES[name])
    if name == "beta":
        return Poly(SCALAR_SHAPE, {(tuple(int(s == "beta") for s in SCALARS), (), b""): 1})
    found = find_letter(name)
    if found.per_task:
        raise NotAccepted(f"the letter {name!r} differs by task; the proofs use averages")
    return letter_poly(found.code)


@lru_cache(maxsize=4096)
def matrix(text: str) -> Poly:
    """The word polynomial that a string stands for. Letters by the calculus's names, I_k, I_s, I_d, I_p, and beta.

    Raises:
        NotAccepted: it cannot be read, shapes do not fit, or a letter differs by task.
    """
    value = _evaluate(
        _tree(text), _matrix_name, lambda v: Poly(SCALAR_SHAPE, {(ONE, (), b""): _plain(v)} if v else {}), True
    )
    return value


@lru_cache(maxsize=4096)
def scalar(text: str) -> Polynomial:
    """The polynomial in scalar variables that a string stands for; a quotient needs a single monomial below.

    Raises:
        NotAccepted: it cannot be read.
    """
    return _evaluate(_tree(text), variable, constant, False)
