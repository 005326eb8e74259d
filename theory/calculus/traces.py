"""Traces in the word calculus: a trace is a 1×1 letter that stands for a cyclic word, e.g. tr(BᵀB).

Cyclic words are equal when they agree up to rotation and transposition; the least one names the trace. For generic
dimensions the traces of different cyclic words are independent of each other and of all other scalars, so that ``==``
of polynomials stays a proof. The trace of an identity is a letter (or the scalar symbol) of its dimension. What would
have to look inside a trace (substitute, rewrite, differentiate) raises; ``gradient_with_traces`` does look. Own
derivation.
"""

from collections.abc import Mapping

import numpy as np

from metarep.theory.calculus import alphabet as a
from metarep.theory.calculus.words import (
    SCALAR_SHAPE,
    SCALARS,
    Poly,
    find_letter,
    gradient_beside_traces,
    identity,
    letter,
    letter_poly,
    spell,
)

Array = np.ndarray

CYCLIC: dict[str, Poly] = {}
"""What each trace letter is the trace of: a square polynomial of a single word."""
_DIMENSION_LETTERS: dict[str, Poly] = {}


def word_poly(word: bytes, dimension: str = "1") -> Poly:
    """A word as a polynomial; the empty one is the identity of ``dimension``."""
    product = identity(dimension)
    for place, code in enumerate(word):
        product = letter_poly(code) if not place else product * letter_poly(code)
    return product


def _core(polynomial: Poly) -> tuple[bytes, int]:
    ((_, _, core), sign) = next(iter(polynomial.terms.items()))
    return core, int(sign)


def _written(word: bytes, tex: bool) -> str:
    parts = []
    for code in word:
        found, transposed = spell(code)
        parts.append((found.latex if tex else found.text) + ((r"^\top" if tex else "ᵀ") if transposed else ""))
    return rf"\mathrm{{tr}}({' '.join(parts)})" if tex else f"tr({''.join(parts)})"


def _cyclic_word(word: bytes) -> Poly:
    """The trace of a word without a 1×1 cut, as a trace letter."""
    turns: list[tuple[bytes, int]] = []
    for turned, sign in ((word, 1), _core(word_poly(word).T)):
        turns += [(turned[i:] + turned[:i], sign) for i in range(len(turned))]
    least, sign = min(turns)
    if (least, -sign) in turns:
        return Poly(SCALAR_SHAPE)  # a skew cyclic word: minus itself
    name = _written(least, tex=False)
    if name not in CYCLIC:
        CYCLIC[name] = word_poly(least)
        inside = frozenset(spell(code)[0].name for code in least)
        letter(name, "1", "1", name, _written(least, tex=True), inside=inside)
    return letter_poly(find_letter(name).code) * sign


def _of_identity(dimension: str) -> Poly:
    """tr I: a scalar symbol for a sample size, a 1×1 letter for any other dimension."""
    if dimension in SCALARS:
        return identity("1").scaled(**{dimension: 1})
    if dimension not in _DIMENSION_LETTERS:
        _DIMENSION_LETTERS[dimension] = letter(f"tr(I_{dimension})", "1", "1", dimension, dimension)
    return _DIMENSION_LETTERS[dimension]


def trace(polynomial: Poly) -> Poly:
    """tr of a square polynomial, 1×1.

    Raises:
        ValueError: it is not square.
    """
    rows, cols = polynomial.shape
    if rows != cols:
        raise ValueError(f"cannot take the trace of {rows}×{cols}; allowed: a square polynomial")
    if polynomial.shape == SCALAR_SHAPE:
        return polynomial
    total = Poly(SCALAR_SHAPE)
    for (powers, scalars, core), value in polynomial.terms.items():
        factor = Poly(SCALAR_SHAPE, {(powers, scalars, b""): value})
        cut = next((i + 1 for i, code in enumerate(core) if letter_poly(code).shape[1] == "1"), None)
        if cut is not None:  # column times row
            traced = word_poly(core[cut:]) * word_poly(core[:cut])
        else:
            traced = _cyclic_word(core) if core else _of_identity(rows)
        total = total + factor * traced
    return total


BB = trace(a.B.T * a.B)
"""tr(BᵀB) = ‖B‖_F²."""
BBBB = trace(a.B.T * a.B * a.B.T * a.B)
"""tr((BᵀB)²) = ‖BᵀB‖_F²."""


def gradient_with_traces(scalar: Poly, name: str) -> Poly:
    """``words.gradient``, and the derivative of the traces by the same product rule: by X, tr(x X y) gives (y x)ᵀ.

    Raises:
        ValueError: as ``words.gradient``.
    """
    total = gradient_beside_traces(scalar, name)
    variable = find_letter(name).code
    for trace_name, inside in CYCLIC.items():
        by_trace = gradient_beside_traces(scalar, trace_name)
        word, _ = _core(inside)
        if not by_trace or not inside.degree(name):
            continue
        inner = Poly(total.shape)
        for i, code in enumerate(word):
            if code >> 1 == variable >> 1:
                rest = word_poly(word[i + 1 :] + word[:i], letter_poly(code).shape[1])
                inner = inner + (rest.T if code == variable else rest)
        total = total + by_trace * inner
    return total


def trace_values(polynomial: Poly, arrays: Mapping[str, Array], dimensions: Mapping[str, int]) -> dict[str, Array]:
    """Values of the trace letters that occur, (..., 1) by letter name, from those of the letters inside.

    Args:
        polynomial: whose traces are wanted.
        arrays: matrix letters (..., rows, cols) by name.
        dimensions: sizes of the dimensions whose identity's trace occurs.
    """
    values: dict[str, Array] = {}
    for name in polynomial.letters():
        if name in CYCLIC:
            product: Array | None = None
            for code in _core(CYCLIC[name])[0]:
                found, transposed = spell(code)
                factor = np.swapaxes(arrays[found.name], -1, -2) if transposed else arrays[found.name]
                product = factor if product is None else product @ factor
            assert product is not None  # a cyclic word has letters
            values[name] = np.asarray(np.trace(product, axis1=-2, axis2=-1))[..., None]
        elif name.startswith("tr(I_"):
            values[name] = np.array([dimensions[name[5:-1]]])
    return values
