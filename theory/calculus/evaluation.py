"""Words and expressions on arrays: floats and fractions, batched, averaged over the tasks."""

from collections.abc import Mapping
from fractions import Fraction
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


def evaluate_words(polynomial: Poly, arrays: Mapping[str, np.ndarray], scalars: Mapping[str, Any]) -> np.ndarray:
    """Value of a polynomial on arrays, averaged over the tasks.

    Args:
        polynomial: in letters for which ``arrays`` has an entry.
        arrays: by letter name; a matrix letter (..., rows, cols), a column letter (..., rows), and a per-task column
        letter with the
            tasks as columns (..., rows, n). Floats or object arrays of ``Fraction``; leading batch axes broadcast.
        scalars: α, β, ... by name; scalars only.

    Returns:
        (..., rows, cols) of the polynomial's shape (columns keep their single column).
    """
    prepared: dict[str, np.ndarray] = {}
    sizes: dict[str, int] = {"1": 1}
    for name, array in arrays.items():
        found = find_letter(name)
        value = np.asarray(array)
        if found.per_task:
            value = np.moveaxis(value, -1, -2)[..., None]  # (..., n, rows, 1)
        else:
            value = (value[..., None] if found.cols == "1" else value)[..., None, :, :]
        prepared[name] = value
        sizes[found.rows], sizes[found.cols] = value.shape[-2], value.shape[-1]
    exact = any(value.dtype == object for value in prepared.values())
    cache: dict[bytes, np.ndarray] = {}

    def chain(word: bytes) -> np.ndarray:
        """Product of a word's letters, from the side of a column if there is one."""
        if word not in cache:
            factors = []
            for code in word:
                found, transposed = spell(code)
                value = prepared[found.name]
                factors.append(np.swapaxes(value, -1, -2) if transposed else value)
            if factors[0].shape[-2] == 1:  # a row: multiply from the left, always vector times matrix
                product = factors[0]
                for factor in factors[1:]:
                    product = product @ factor
            else:
                product = factors[-1]
                for factor in reversed(factors[:-1]):
                    product = factor @ product
            cache[word] = product
        return cache[word]

    rows, cols = polynomial.shape
    unit: np.ndarray = np.eye(sizes[rows], sizes[cols])
    if exact:
        unit = unit.astype(int).astype(object) * Fraction(1)
    total: Any = 0 * unit[None]
    for (powers, words, core), value in polynomial.terms.items():
        factor: Any = (value if exact else float(value)) * evaluate_powers(powers, scalars)
        for word in words:
            factor = factor * chain(word)
        total = total + factor * (_core_value(core, chain) if core else unit)
    return total.sum(-3) / total.shape[-3]


def _core_value(core: bytes, chain: Any) -> np.ndarray:
    for i, code in enumerate(core[:-1]):
        found, transposed = spell(code)
        if (found.rows if transposed else found.cols) == "1":
            return chain(core[: i + 1]) * chain(core[i + 1 :])  # column times row
    return chain(core)


def evaluate_expression(expression: Any, arrays: Mapping[str, np.ndarray], scalars: Mapping[str, Any]) -> np.ndarray:
    """Value of an expression as written, in the array layout of ``evaluate_words`` after its preparation: (..., n or 1,
    rows, cols).
    """
    if isinstance(expression, MatrixSymbol):
        return arrays[str(expression.name)]
    if isinstance(expression, Identity):
        return _unit(dimension_name(expression.shape[0]), arrays)
    if isinstance(expression, ZeroMatrix):
        rows, cols = (_unit(dimension_name(size), arrays) for size in expression.shape)
        return (0 * (rows[:, :1] @ cols[:1, :]))[None]  # one for all tasks
    if isinstance(expression, Inverse):
        return np.linalg.inv(evaluate_expression(expression.args[0], arrays, scalars))
    if isinstance(expression, Transpose):
        return np.swapaxes(evaluate_expression(expression.args[0], arrays, scalars), -1, -2)
    if isinstance(expression, TaskMean):
        value = evaluate_expression(expression.args[0], arrays, scalars)
        return value.sum(-3, keepdims=True) / value.shape[-3]
    if isinstance(expression, MatAdd):
        total = evaluate_expression(expression.args[0], arrays, scalars)
        for term in expression.args[1:]:
            total = total + evaluate_expression(term, arrays, scalars)
        return total
    if isinstance(expression, MatMul):
        number: Any = 1
        matrices = []
        for factor in expression.args:
            if isinstance(factor, MatrixExpr):
                matrices.append(evaluate_expression(factor, arrays, scalars))
            else:
                number = number * _number(factor, scalars)
        product = matrices[-1]
        for matrix in reversed(matrices[:-1]):
            product = matrix @ product
        return number * product
    raise ValueError(f"cannot evaluate {type(expression).__name__}: {expression}")


def _unit(dimension: str, arrays: Mapping[str, np.ndarray]) -> np.ndarray:
    """The identity of a named dimension; size and kind of numbers are those of an array that has the dimension."""
    for name, array in arrays.items():
        found = find_letter(name)
        for axis, has in ((-2, found.rows), (-1, found.cols)):
            if has == dimension:
                return np.eye(array.shape[axis], dtype=int).astype(array.dtype)
    raise ValueError(f"no array has the dimension {dimension!r}, so the size of its identity is unknown")


def _number(expression: Any, scalars: Mapping[str, Any]) -> Any:
    total: Any = 0
    for (powers, _, _), value in scalar_poly(sympy.sympify(expression)).terms.items():
        total = total + value * evaluate_powers(powers, scalars)
    return total
