"""Words and expressions on arrays: floats and fractions, batched, averaged over the tasks."""

from collections.abc import Callable, Mapping
from fractions import Fraction
from functools import lru_cache, reduce
from math import prod
from operator import add
from typing import Any

import numpy as np
import sympy
from sympy.matrices.expressions import (
    Identity,
    Inverse,
    MatAdd,
    MatMul,
    MatrixExpr,
    MatrixSymbol,
    Transpose,
    ZeroMatrix,
)

from metarep.theory.calculus.expressions import TaskMean, dimension_name, scalar_poly
from metarep.theory.calculus.words import Poly, evaluate_powers, find_letter, spell


class _Chains:
    """Values of words on arrays, each part of a word computed once: columns (..., rows, n), n tasks or 1, and matrices
    that no task changes (..., rows, cols).
    """

    def __init__(self, values: Mapping[str, np.ndarray]) -> None:
        self._values = values
        self._known: dict[tuple[str, bytes], np.ndarray] = {}

    def _times(self, code: int, column: np.ndarray, turned: bool = False) -> np.ndarray:
        """A letter (transposed once more if ``turned``) times a column."""
        found, transposed = spell(code)
        value = self._values[found.name]
        if found.cols == "1":
            return (value * column).sum(-2, keepdims=True) if transposed != turned else value * column
        return (np.swapaxes(value, -1, -2) if transposed != turned else value) @ column

    def column(self, word: bytes) -> np.ndarray:
        """A word that ends in a column: (..., rows, n or 1)."""
        key = ("column", word)
        if key not in self._known:
            last = self._values[spell(word[0])[0].name] if len(word) == 1 else None
            self._known[key] = self._times(word[0], self.column(word[1:])) if last is None else last
        return self._known[key]

    def row(self, word: bytes) -> np.ndarray:
        """A word that begins with a row, transposed: (..., cols, n or 1)."""
        key = ("row", word)
        if key not in self._known:
            first = self._values[spell(word[0])[0].name] if len(word) == 1 else None
            self._known[key] = self._times(word[-1], self.row(word[:-1]), turned=True) if first is None else first
        return self._known[key]

    def matrix(self, word: bytes) -> np.ndarray:
        """A word without columns: (..., rows, cols)."""
        key = ("matrix", word)
        if key not in self._known:
            found, transposed = spell(word[0])
            first = np.swapaxes(self._values[found.name], -1, -2) if transposed else self._values[found.name]
            self._known[key] = first @ self.matrix(word[1:]) if word[1:] else first
        return self._known[key]


def evaluate_words(polynomial: Poly, arrays: Mapping[str, np.ndarray], scalars: Mapping[str, Any]) -> np.ndarray:
    """Value of a polynomial on arrays, averaged over the tasks.

    Args:
        polynomial: in letters for which ``arrays`` has an entry.
        arrays: by letter name; a matrix letter (..., rows, cols), a column letter (..., rows), and a per-task column
            letter with the tasks as columns (..., rows, n). Floats or object arrays of ``Fraction``; leading batch axes
            broadcast.
        scalars: α, β, ... by name; scalars only.

    Returns:
        (..., rows, cols) of the polynomial's shape (columns keep their single column).
    """
    if polynomial.shape[0] == "1" != polynomial.shape[1]:
        return np.swapaxes(evaluate_words(polynomial.T, arrays, scalars), -1, -2)
    values: dict[str, np.ndarray] = {}
    sizes: dict[str, int] = {"1": 1}
    for name, array in arrays.items():
        found, value = find_letter(name), np.asarray(array)
        values[name] = value[..., None] if found.cols == "1" and not found.per_task else value
        sizes[found.rows] = values[name].shape[-2]
        if found.cols != "1":
            sizes[found.cols] = value.shape[-1]
    exact = any(value.dtype == object for value in values.values())
    chains = _Chains(values)
    unit, one = (_identity(*size, exact) for size in ((sizes[polynomial.shape[0]], sizes[polynomial.shape[1]]), (1, 1)))
    total: Any = 0 * unit
    behind: dict[bytes, Any] = {}  # by column: the sum of what the columns are multiplied with, transposed
    numbers = {powers: evaluate_powers(powers, scalars) for powers in {key[0] for key in polynomial.terms}}
    for (powers, words, core), value in polynomial.terms.items():
        factor: Any = (value if exact else float(value)) * numbers[powers]
        for word in words:
            factor = factor * chains.column(word)  # (..., 1, n or 1)
        cut = _cut(core)
        if cut is None:
            mean = factor.sum(-1, keepdims=True) / factor.shape[-1] if words else factor
            total = total + mean * (chains.matrix(core) if core else unit)
        else:
            row = chains.row(core[cut:]) if core[cut:] else one
            behind[core[:cut]] = behind.get(core[:cut], 0) + factor * row
    for word, rows in behind.items():
        column = chains.column(word)
        n = max(column.shape[-1], rows.shape[-1])
        if column.shape[-1] != rows.shape[-1]:
            column, rows = (np.broadcast_to(part, (*part.shape[:-1], n)) for part in (column, rows))
        total = total + column @ np.swapaxes(rows, -1, -2) / n
    return total


@lru_cache(maxsize=2**14)
def _cut(word: bytes) -> int | None:
    """Where the word's first column ends; None if it has none."""
    letters = (spell(code) for code in word)
    return next((i + 1 for i, (x, transposed) in enumerate(letters) if (x.rows if transposed else x.cols) == "1"), None)


def _identity(rows: int, cols: int, exact: bool) -> np.ndarray:
    return np.eye(rows, cols, dtype=int).astype(object) * Fraction(1) if exact else np.eye(rows, cols)


Arrays = Mapping[str, np.ndarray]
Scalars = Mapping[str, Any]


def evaluate_expression(expression: Any, arrays: Arrays, scalars: Scalars) -> np.ndarray:
    """Value of an expression as written, in the array layout of ``evaluate_words`` after its preparation: (..., n or 1,
    rows, cols).
    """
    return compiled_expression(expression)(arrays, scalars)


@lru_cache(maxsize=2**12)
def compiled_expression(expression: Any) -> Callable[[Arrays, Scalars], np.ndarray]:
    """The function that ``evaluate_expression`` calls: what SymPy is asked, it is asked once. Who calls it often keeps
    it: to find it, expressions are compared.
    """
    if isinstance(expression, MatrixSymbol):
        name = str(expression.name)
        return lambda arrays, scalars: arrays[name]
    if isinstance(expression, Identity):
        dimension = dimension_name(expression.args[0])
        return lambda arrays, scalars: _unit(dimension, arrays)
    if isinstance(expression, ZeroMatrix):
        rows, cols = map(dimension_name, expression.shape)
        # one for all tasks
        return lambda arrays, scalars: (0 * (_unit(rows, arrays)[:, :1] @ _unit(cols, arrays)[:1, :]))[None]
    if isinstance(expression, Inverse):
        inverted = compiled_expression(expression.args[0])
        return lambda arrays, scalars: np.linalg.inv(inverted(arrays, scalars))
    if isinstance(expression, Transpose):
        turned = compiled_expression(expression.args[0])
        return lambda arrays, scalars: np.swapaxes(turned(arrays, scalars), -1, -2)
    if isinstance(expression, TaskMean):
        each = compiled_expression(expression.args[0])

        def mean(arrays: Arrays, scalars: Scalars) -> np.ndarray:
            value = each(arrays, scalars)
            return value.sum(-3, keepdims=True) / value.shape[-3]

        return mean
    if isinstance(expression, MatAdd):
        terms = [compiled_expression(term) for term in expression.args]
        return lambda arrays, scalars: reduce(add, (term(arrays, scalars) for term in terms))
    if isinstance(expression, MatMul):
        numbers = [_number(factor) for factor in expression.args if not isinstance(factor, MatrixExpr)]
        matrices = [compiled_expression(factor) for factor in expression.args if isinstance(factor, MatrixExpr)]

        def product(arrays: Arrays, scalars: Scalars) -> np.ndarray:
            value = matrices[-1](arrays, scalars)
            for matrix in reversed(matrices[:-1]):
                value = matrix(arrays, scalars) @ value
            return prod(number(scalars) for number in numbers) * value if numbers else value

        return product
    raise ValueError(f"cannot evaluate {type(expression).__name__}: {expression}")


def _unit(dimension: str, arrays: Mapping[str, np.ndarray]) -> np.ndarray:
    """The identity of a named dimension; size and kind of numbers are those of an array that has the dimension."""
    for name, array in arrays.items():
        found = find_letter(name)
        for axis, has in ((-2, found.rows), (-1, found.cols)):
            if has == dimension:
                return np.eye(array.shape[axis], dtype=int).astype(array.dtype)
    raise ValueError(f"no array has the dimension {dimension!r}, so the size of its identity is unknown")


def _number(expression: Any) -> Callable[[Scalars], Any]:
    terms = list(scalar_poly(sympy.sympify(expression)).terms.items())
    if all(not any(powers) for (powers, _, _), _ in terms):
        constant = sum(value for _, value in terms)
        return lambda scalars: constant
    return lambda scalars: sum(value * evaluate_powers(powers, scalars) for (powers, _, _), value in terms)
