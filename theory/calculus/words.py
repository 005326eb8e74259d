"""Polynomials in matrix symbols, as dictionaries of words, with a normal form that decides equality for all dimensions.

A *word* is a product of matrix symbols (letters) and their transposes whose dimensions fit, e.g. ``B w wᵀ``. A
polynomial is a sum of words with rational coefficients and powers of scalar symbols (α, β, ...). Normal form of a word:
split it at its 1×1 subwords; replace each such scalar by the lesser of itself and its transpose; sort the scalars; what
remains is the core. Two polynomials with generic dimensions are the same function exactly when their normal forms
coincide, so ``==`` is a proof. It is one for letters without relations: that B_*B_*ᵀ + B_{*⊥}B_{*⊥}ᵀ = I, or what a
dimension's number is, ``==`` does not know, and a trace is a letter of its own (``traces``): what would have to look
inside it raises.

Letters are single bytes (symbol number × 2, plus 1 if transposed) and words are ``bytes``: products are concatenations.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cache, lru_cache
from itertools import pairwise
from typing import Any, Union

Coefficient = int | Fraction
Powers = tuple[int, ...]
Key = tuple[Powers, tuple[bytes, ...], bytes]

SCALARS = ("alpha", "beta", "c", "alpha_B", "alpha_w", "ridge", "sigma", "m_in", "m_out")
"""Scalar symbols, in the order of the exponents in a key: α, β, c (the factor of the scaling symmetry), separate inner
step sizes α_B and α_w, the ridge λ of the inner problem, the label noise σ and the sample sizes m_in and m_out.
"""

ONE: Powers = (0,) * len(SCALARS)


def scalar_powers(**powers: int) -> Powers:
    """Exponents by scalar, e.g. ``alpha=-1``, as a key has them. ``ValueError`` for a scalar that is not known."""
    exponents = tuple(powers.pop(name, 0) for name in SCALARS)
    if powers:
        raise ValueError(f"unknown scalar {', '.join(powers)}; known: {', '.join(SCALARS)}")
    return exponents


SCALAR_SHAPE = ("1", "1")


@dataclass(frozen=True)
class Letter:
    """A matrix symbol: dimensions by name ('d', 'k', ..., '1'), whether it is symmetric or skew, whether it differs by
    task, and for a trace the letters inside it.
    """

    name: str
    rows: str
    cols: str
    text: str
    latex: str
    symmetry: int  # +1 symmetric, −1 skew, 0 neither
    per_task: bool
    inside: frozenset[str]

    @property
    def code(self) -> int:
        """The byte that stands for this letter, untransposed; ``ValueError`` for an abbreviation."""
        if self.name in _ABBREVIATIONS:
            raise ValueError(f"{self.name!r} stands for an expression; no word holds it")
        return _CODES[self.name]


ALPHABET: list[Letter] = []
_ABBREVIATIONS: dict[str, Letter] = {}
_CODES: dict[str, int] = {}
_TRANSPOSE = bytearray(range(256))  # letter -> its transpose
_ENDS_IN_ONE = bytearray(256)  # letter -> 1 if it has one column
_SIGN = [1] * 256  # sign that transposing the letter brings (skew letters)


def letter(
    name: str,
    rows: str,
    cols: str,
    text: str,
    latex: str,
    *,
    symmetry: int = 0,
    per_task: bool = False,
    inside: frozenset[str] = frozenset(),
) -> "Poly":
    """Register a matrix symbol and return it as a polynomial. At most 128 can be registered."""
    if name in _CODES:
        raise ValueError(f"the letter {name!r} is already registered")
    if symmetry and rows != cols:
        raise ValueError(f"the letter {name!r} is {rows}×{cols}; only a square one can be symmetric or skew")
    new = Letter(name, rows, cols, text, latex, symmetry, per_task, inside)
    code = 2 * len(ALPHABET)
    if code > 254:
        raise ValueError("the alphabet is full: 128 letters")
    ALPHABET.append(new)
    _CODES[name] = code
    _ENDS_IN_ONE[code], _ENDS_IN_ONE[code + 1] = cols == "1", rows == "1"
    if symmetry:
        _TRANSPOSE[code], _TRANSPOSE[code + 1] = code, code
        _SIGN[code] = symmetry
    else:
        _TRANSPOSE[code], _TRANSPOSE[code + 1] = code + 1, code
    return letter_poly(code)


def abbreviate(name: str, rows: str, cols: str, text: str, latex: str, *, per_task: bool = False) -> None:
    """Register a matrix symbol that stands for an expression, for SymPy and for readers: no word can hold it, and so
    there may be any number of them.
    """
    _ABBREVIATIONS[name] = Letter(name, rows, cols, text, latex, 0, per_task, frozenset())


def spell(code: int) -> tuple[Letter, bool]:
    """The letter a byte stands for, and whether it is transposed."""
    return ALPHABET[code >> 1], bool(code & 1)


def _transpose_word(word: bytes) -> bytes:
    return word.translate(bytes(_TRANSPOSE))[::-1]


def _transpose_sign(word: bytes) -> int:
    sign = 1
    for code in word:
        sign *= _SIGN[code]
    return sign


@lru_cache(maxsize=2**16)
def _normal(word: bytes, one_row: bool) -> tuple[int, tuple[bytes, ...], bytes]:
    """Split ``word`` into sign, normalised 1×1 scalars and core. ``one_row``: whether the whole word has one row."""
    cuts = [0] if one_row else []
    cuts += [i + 1 for i, code in enumerate(word) if _ENDS_IN_ONE[code]]
    if len(cuts) < 2:
        return 1, (), word
    sign, scalars = 1, []
    for start, stop in pairwise(cuts):
        scalar = word[start:stop]
        flipped = _transpose_word(scalar)
        if flipped < scalar:
            sign *= _transpose_sign(scalar)
            scalar = flipped
        elif flipped == scalar and _transpose_sign(scalar) < 0:
            return 0, (), b""  # xᵀAx = 0 for skew A
        scalars.append(scalar)
    return sign, tuple(scalars), word[: cuts[0]] + word[cuts[-1] :]


def _add_term(terms: dict[Key, Coefficient], key: Key, value: Coefficient) -> None:
    """Add to a key's coefficient; a zero one leaves no key."""
    total = terms.get(key, 0) + value
    if total:
        terms[key] = total
    else:
        terms.pop(key, None)


@cache
def _add_powers(a: Powers, b: Powers) -> Powers:
    return tuple(x + y for x, y in zip(a, b, strict=True))


class Poly:
    """A polynomial in matrix symbols: ``shape`` (dimension names) and ``terms``, normal-form keys to non-zero
    rationals.

    ``+ - *`` (or ``@``) work with polynomials of fitting shapes and with numbers; ``.T`` transposes; ``==`` decides
    equality for all dimensions. A 1×1 polynomial multiplies anything. All raise ``ValueError`` where shapes do not fit.
    ``made`` says from what a polynomial was made, e.g. ``("mul", left, right)``: the expression before it was expanded,
    for whoever wants to expand it again (``theory.certificates``); None where only the words are known.
    """

    __slots__ = ("made", "shape", "terms")

    def __init__(self, shape: tuple[str, str], terms: dict[Key, Coefficient] | None = None) -> None:
        self.made: tuple[Any, ...] | None = None
        self.shape = shape
        self.terms: dict[Key, Coefficient] = terms if terms is not None else {}

    def __len__(self) -> int:
        return len(self.terms)

    def __bool__(self) -> bool:
        return bool(self.terms)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Poly) and self.shape == other.shape and self.terms == other.terms

    __hash__ = None  # type: ignore[assignment]  # mutable inside, compared by value

    def __add__(self, other: "Poly") -> "Poly":
        if self.shape != other.shape:
            raise ValueError(f"cannot add {self.shape[0]}×{self.shape[1]} and {other.shape[0]}×{other.shape[1]}")
        more, fewer = (self, other) if len(other.terms) <= len(self.terms) else (other, self)
        return _accumulate(Poly(self.shape, dict(more.terms)), fewer).made_by("add", self, other)

    def __neg__(self) -> "Poly":
        return Poly(self.shape, {key: -value for key, value in self.terms.items()}).made_by("times", self, -1)

    def made_by(self, *how: Any) -> "Poly":
        """This polynomial, noted to be the result of an operation: its name and what it was applied to (``made``)."""
        self.made = how
        return self

    def __sub__(self, other: "Poly") -> "Poly":
        return self + (-other)

    def __mul__(self, other: Union["Poly", Coefficient]) -> "Poly":
        if isinstance(other, int | Fraction):
            terms = {key: value * other for key, value in self.terms.items()} if other else {}
            return Poly(self.shape, terms).made_by("times", self, other)
        if other.shape == SCALAR_SHAPE and self.shape[1] != "1":
            return other * self
        if self.shape == SCALAR_SHAPE:
            shape = other.shape
        elif self.shape[1] == other.shape[0]:
            shape = (self.shape[0], other.shape[1])
        else:
            raise ValueError(f"cannot multiply {self.shape[0]}×{self.shape[1]} by {other.shape[0]}×{other.shape[1]}")
        one_row = shape[0] == "1"
        terms = {}
        for (powers_a, scalars_a, core_a), a in self.terms.items():
            for (powers_b, scalars_b, core_b), b in other.terms.items():
                sign, new, core = _normal(core_a + core_b, one_row)
                if not sign:
                    continue
                powers = _add_powers(powers_a, powers_b) if powers_b != ONE else powers_a
                scalars = tuple(sorted((*scalars_a, *scalars_b, *new))) if new or scalars_b else scalars_a
                _add_term(terms, (powers, scalars, core), a * b * sign)
        return Poly(shape, terms).made_by("mul", self, other)

    __matmul__ = __mul__

    def __rmul__(self, other: Coefficient) -> "Poly":
        return self * other

    @property
    def T(self) -> "Poly":
        """The transpose."""
        terms: dict[Key, Coefficient] = {}
        for (powers, scalars, core), value in self.terms.items():
            terms[(powers, scalars, _transpose_word(core))] = value * _transpose_sign(core)
        return Poly((self.shape[1], self.shape[0]), terms).made_by("T", self)

    def map_words(self, change: Callable[[bytes], tuple[Coefficient, Powers, bytes] | None]) -> "Poly":
        """Apply ``change`` to every scalar and core; it returns (factor, powers, word), or None where the word is
        zero.
        """
        terms: dict[Key, Coefficient] = {}
        one_row = self.shape[0] == "1"
        for (powers, scalars, core), value in self.terms.items():
            changed_scalars: list[bytes] = []
            for scalar in scalars:
                result = change(scalar)
                if result is None:
                    break
                value, powers = value * result[0], _add_powers(powers, result[1])
                sign, parts, _ = _normal(result[2], True)
                value *= sign
                changed_scalars += parts
            else:
                result = change(core)
                if result is None:
                    continue
                sign, parts, core = _normal(result[2], one_row)
                value *= result[0] * sign
                if value:
                    _add_term(
                        terms, (_add_powers(powers, result[1]), tuple(sorted((*changed_scalars, *parts))), core), value
                    )
        return Poly(self.shape, terms)

    def substitute(self, replacements: Mapping[str, "Poly"]) -> "Poly":
        """Replace letters (by name) by polynomials of the same shape, simultaneously.

        Raises:
            ValueError: an unknown letter, one that stands inside a trace, a replacement of another shape, or one
                without the symmetry that the letter's words were brought into normal form with.
        """
        self.refuse_inside_traces(replacements)
        table: dict[int, Poly] = {}
        for name, replacement in replacements.items():
            old = find_letter(name)
            if (old.rows, old.cols) != replacement.shape:
                raise ValueError(
                    f"{name!r} is {old.rows}×{old.cols}, its replacement {replacement.shape[0]}×{replacement.shape[1]}"
                )
            if old.symmetry and replacement.T * old.symmetry != replacement:
                kind = "symmetric" if old.symmetry > 0 else "skew"
                raise ValueError(f"{name!r} is {kind}, its replacement is not")
            table[_TRANSPOSE[old.code]], table[old.code] = replacement.T, replacement
        cache: dict[tuple[bytes, bool], Poly] = {}

        def translate(word: bytes, shape: tuple[str, str]) -> Poly:
            result: Poly | None = cache.get((word, shape[0] == "1"))
            if result is None:
                for code in word:
                    factor = table.get(code) or (letter_poly(code) if code not in table else Poly(_shape_of(code)))
                    result = factor if result is None else result * factor
                result = result if result is not None else identity(shape[0])
                cache[(word, shape[0] == "1")] = result
            return result

        total = Poly(self.shape)
        touched = set(table)
        for (powers, scalars, core), value in self.terms.items():
            if not touched.intersection(core) and not any(touched.intersection(s) for s in scalars):
                product = Poly(self.shape, {(powers, scalars, core): value})
            else:
                product = Poly(SCALAR_SHAPE, {(powers, (), b""): value})
                for scalar in scalars:
                    product = product * translate(scalar, SCALAR_SHAPE)
                if self.shape != SCALAR_SHAPE:
                    product = product * _translate_core(core, self.shape, translate)
            total = _accumulate(total, product)
        return total.made_by("substitute", self, dict(replacements))

    def rewrite(self, rules: Iterable["Rule"]) -> "Poly":
        """Apply rules such as B_{*⊥}ᵀB_* = 0 or QQᵀ = I to every word until none applies (and their transposes).

        Raises:
            ValueError: a trace has both letters of a rule inside.
        """
        rules = tuple(rules)
        for rule in rules:
            self.refuse_inside_traces((rule.left.rstrip("'"), rule.right.rstrip("'")), every=True)
        table = [form for rule in rules for form in rule.forms()]

        def change(word: bytes) -> tuple[Coefficient, Powers, bytes] | None:
            powers, found = ONE, True
            while found:
                found = False
                for pattern, replacement, factor in table:
                    if pattern in word:
                        if replacement is None:
                            return None
                        powers = _add_powers(powers, factor)
                        word = word.replace(pattern, replacement, 1)
                        found = True
            return 1, powers, word

        return self.map_words(change).made_by("rewrite", self, rules)

    def degree(self, name: str) -> int:
        """The largest number of times the letter (or its transpose) stands in a term; −1 for the zero polynomial.

        Raises:
            ValueError: an unknown letter, or one that stands inside a trace.
        """
        self.refuse_inside_traces((name,))
        code = find_letter(name).code
        return max((_count(key, code) for key in self.terms), default=-1)

    def part(self, keep: Callable[[Callable[[str], int]], bool]) -> "Poly":
        """The terms for which ``keep`` holds; it is handed a function from a letter's name to its count in the term."""
        return Poly(
            self.shape,
            {
                key: value
                for key, value in self.terms.items()
                if keep(lambda name, key=key: _count(key, find_letter(name).code))
            },
        )

    def polarise(self, directions: Mapping[str, str]) -> "Poly":
        """The directional derivative: each occurrence of a letter in turn replaced by its direction (both given by
        name).

        Raises:
            ValueError: an unknown letter, one that stands inside a trace, or a direction of another shape or symmetry
                than its letter.
        """
        self.refuse_inside_traces(directions)
        table: dict[int, int] = {}
        for name, direction in directions.items():
            old, new = find_letter(name), find_letter(direction)
            if (old.rows, old.cols, old.symmetry) != (new.rows, new.cols, new.symmetry):
                raise ValueError(f"{direction!r} is no direction of {name!r}: shape or symmetry differ")
            table[old.code], table[_TRANSPOSE[old.code]] = new.code, _TRANSPOSE[new.code]
        total = Poly(self.shape)
        one_row = self.shape[0] == "1"
        for (powers, scalars, core), value in self.terms.items():
            words = [*scalars, core]
            for position, word in enumerate(words):
                for i, code in enumerate(word):
                    if code not in table:
                        continue
                    changed = word[:i] + bytes([table[code]]) + word[i + 1 :]
                    sign, new, rest = _normal(changed, position < len(scalars) or one_row)
                    others = words[:position] + words[position + 1 : -1]
                    last = core if position < len(scalars) else rest
                    key = (powers, tuple(sorted((*others, *new))), last)
                    _accumulate(total, Poly(self.shape, {key: value * sign} if sign else {}))
        return total.made_by("polarise", self, dict(directions))

    def strip_left(self, name: str) -> "Poly":
        """X with self = (letter)·X. ``ValueError`` if some word does not begin with that letter."""
        first = find_letter(name)
        terms: dict[Key, Coefficient] = {}
        for (powers, scalars, core), value in self.terms.items():
            if not core or core[0] != first.code:
                raise ValueError(f"a word does not begin with {name!r}: {self.shape[0]}×{self.shape[1]}")
            terms[(powers, scalars, core[1:])] = value
        return Poly((first.cols, self.shape[1]), terms)

    def refuse_inside_traces(self, names: Iterable[str], *, every: bool = False) -> None:
        """``ValueError`` if one of the letters (or all of them) stands inside a trace that occurs here."""
        wanted = set(names)
        for found in map(find_letter, self.letters()):
            if wanted and (wanted <= found.inside if every else wanted & found.inside):
                raise ValueError(
                    f"{', '.join(sorted(wanted & found.inside))} stands inside {found.text}, where this does not look; "
                    "allowed: a polynomial without that trace"
                )

    def letters(self) -> set[str]:
        """Names of the letters that occur."""
        codes = {c for _, scalars, core in self.terms for word in (*scalars, core) for c in word}
        return {spell(code)[0].name for code in codes}

    def scaled(self, factor: Coefficient = 1, **powers: int) -> "Poly":
        """This polynomial times ``factor`` and powers of scalar symbols, e.g. ``p.scaled(-1, alpha=1)`` is −αp."""
        shift = scalar_powers(**powers)
        terms = {(_add_powers(p, shift), s, core): v * factor for (p, s, core), v in self.terms.items()}
        return Poly(self.shape, terms if factor else {}).made_by("scaled", self, factor, shift)

    def __repr__(self) -> str:
        return f"Poly({self.shape[0]}×{self.shape[1]}, {len(self)} words)"


@dataclass(frozen=True)
class Rule:
    """A rewriting rule for two neighbouring letters: ``left right`` = ``result`` times powers of scalars.

    ``result`` is None for zero, "" for the identity, else a letter's name. A trailing ``'`` on a name means its
    transpose.

    Raises:
        ValueError: a skew letter (the transposed rule would need a sign, which rules do not carry), from ``forms``.
    """

    left: str
    right: str
    result: str | None
    powers: Powers = ONE

    def forms(self) -> list[tuple[bytes, bytes | None, Powers]]:
        """(pattern, replacement, powers) for the rule and for its transpose."""
        skew = [name for name in (self.left, self.right, self.result or "") if name and _letter_of(name).symmetry < 0]
        if skew:
            raise ValueError(f"no rule can be about the skew letter {skew[0]!r}")
        pattern = bytes([_named(self.left), _named(self.right)])
        replacement = None if self.result is None else bytes([_named(self.result)]) if self.result else b""
        flipped = _transpose_word(pattern)
        forms = [(pattern, replacement, self.powers)]
        if flipped != pattern:
            forms.append((flipped, None if replacement is None else _transpose_word(replacement), self.powers))
        return forms


def _letter_of(name: str) -> Letter:
    return find_letter(name.rstrip("'"))


def _named(name: str) -> int:
    code = _letter_of(name).code
    return _TRANSPOSE[code] if name.endswith("'") else code


def _shape_of(code: int) -> tuple[str, str]:
    found, transposed = spell(code)
    return (found.cols, found.rows) if transposed else (found.rows, found.cols)


def letter_poly(code: int) -> Poly:
    """The letter (or transposed letter) that a byte stands for, as a polynomial in normal form."""
    shape = _shape_of(code)
    _, scalars, core = _normal(bytes([code]), shape[0] == "1")  # a number is a scalar, not a core
    return Poly(shape, {(ONE, scalars, core): 1})


def _count(key: Key, code: int) -> int:
    other = _TRANSPOSE[code]
    total = 0
    for word in (*key[1], key[2]):
        total += word.count(code) + (word.count(other) if other != code else 0)
    return total


def _accumulate(total: Poly, new: Poly) -> Poly:
    """``total + new``, in place on ``total`` (which must be the caller's own)."""
    for key, value in new.terms.items():
        _add_term(total.terms, key, value)
    return total


def _translate_core(core: bytes, shape: tuple[str, str], translate: Callable[[bytes, tuple[str, str]], Poly]) -> Poly:
    """A core may be column·row, (a×1)(1×b): translate the halves apart, so that each is cached on its own."""
    for i, code in enumerate(core[:-1]):
        if _ENDS_IN_ONE[code]:
            return translate(core[: i + 1], (shape[0], "1")) * translate(core[i + 1 :], ("1", shape[1]))
    return translate(core, shape)


def find_letter(name: str) -> Letter:
    """The registered letter or abbreviation of that name; ``ValueError`` if there is none."""
    if name in _ABBREVIATIONS:
        return _ABBREVIATIONS[name]
    if name not in _CODES:
        raise ValueError(f"unknown letter {name!r}; known: {', '.join(_CODES)}")
    return ALPHABET[_CODES[name] >> 1]


def identity(dimension: str) -> Poly:
    """The identity matrix of a named dimension; for '1' the number 1."""
    return Poly((dimension, dimension), {(ONE, (), b""): 1})


def zero(rows: str, cols: str) -> Poly:
    """The zero polynomial of that shape."""
    return Poly((rows, cols))


def gradient(scalar: Poly, name: str) -> Poly:
    """Gradient of a 1×1 polynomial with respect to a letter, entry (a, b) being the derivative by that entry of the
    letter.

    By the product rule: in a scalar x·X·y the letter X contributes (y x)ᵀ, in x·Xᵀ·y it contributes y x, each times the
    other scalars of the term.

    Raises:
        ValueError: ``scalar`` is not 1×1, the letter is symmetric or skew (its entries are not independent), or stands
            inside a trace (``traces.gradient_with_traces`` differentiates these too).
    """
    scalar.refuse_inside_traces((name,))
    return gradient_beside_traces(scalar, name).made_by("gradient", scalar, name)


def gradient_beside_traces(scalar: Poly, name: str) -> Poly:
    """``gradient`` of the words alone: traces are taken for constants."""
    variable = find_letter(name)
    if scalar.shape != SCALAR_SHAPE:
        raise ValueError(f"can differentiate a 1×1 polynomial only, not {scalar.shape[0]}×{scalar.shape[1]}")
    if variable.symmetry:
        raise ValueError(f"{name!r} has dependent entries; differentiate by a letter without symmetry")
    plain, flipped = variable.code, _TRANSPOSE[variable.code]
    terms: dict[Key, Coefficient] = {}
    for (powers, scalars, _), value in scalar.terms.items():
        for position, word in enumerate(scalars):
            if plain not in word and flipped not in word:
                continue
            others = scalars[:position] + scalars[position + 1 :]
            for i, code in enumerate(word):
                if code == flipped:
                    contribution = word[i + 1 :] + word[:i]
                elif code == plain:
                    contribution = _transpose_word(word[i + 1 :] + word[:i])
                else:
                    continue
                sign = _transpose_sign(word[i + 1 :] + word[:i]) if code == plain else 1
                _add_term(terms, (powers, others, contribution), value * sign)  # a number's word has no number inside
    return Poly((variable.rows, variable.cols), terms)


def evaluate_powers(powers: Powers, scalars: Mapping[str, Any]) -> Any:
    """α^a β^b ... for given values; 1 where all exponents are zero."""
    value: Any = 1
    for name, power in zip(SCALARS, powers, strict=True):
        if power:
            value = value * scalars[name] ** power
    return value
