"""Polynomials in non-negative real variables with rational coefficients, and a decision of p ≥ 0 on a box.

Everything is exact (``Fraction``); a variable that is declared positive may have negative exponents. ``nonnegative`` is
sufficient, never necessary: it answers yes only with a reason, and "no" means that no reason was found.
"""

from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction
from functools import lru_cache
from math import comb, lcm
from operator import sub
from typing import Any, Union

from metarep.theory.calculus.rationals import Rational

Exponents = tuple[tuple[str, int], ...]
Number = int | Fraction


class Polynomial:
    """A sum of rational multiples of monomials; ``terms`` maps ((variable, exponent), ...), sorted, to the coefficient.

    Immutable by convention: operations return new ones. ``+ - *`` work with numbers, ``**`` with whole exponents
    (negative ones for single monomials). ``==`` is equality of polynomials.

    Raises:
        TypeError: a coefficient that is no whole number and no fraction (floats are refused: they are not exact).
    """

    __slots__ = ("terms",)

    def __init__(self, terms: Mapping[Exponents, Number] | None = None) -> None:
        self.terms: dict[Exponents, Rational] = {}
        for key, value in (terms or {}).items():
            if isinstance(value, bool) or not isinstance(value, int | Fraction):
                raise TypeError(f"a coefficient is {value!r}; allowed: whole numbers and fractions")
            if value:
                self.terms[key] = Rational(value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Polynomial) and self.terms == other.terms

    __hash__ = None  # type: ignore[assignment]

    def __bool__(self) -> bool:
        return bool(self.terms)

    def __add__(self, other: Union["Polynomial", Number]) -> "Polynomial":
        other = other if isinstance(other, Polynomial) else constant(other)
        terms = dict(self.terms)
        for key, value in other.terms.items():
            terms[key] = terms[key] + value if key in terms else value
        return _of(terms)

    __radd__ = __add__

    def __neg__(self) -> "Polynomial":
        return _of({key: -value for key, value in self.terms.items()})

    def __sub__(self, other: Union["Polynomial", Number]) -> "Polynomial":
        return self + (-other)

    def __rsub__(self, other: Number) -> "Polynomial":
        return constant(other) - self

    def __mul__(self, other: Union["Polynomial", Number]) -> "Polynomial":
        other = other if isinstance(other, Polynomial) else constant(other)
        terms: dict[Exponents, Rational] = {}
        for key_a, a in self.terms.items():
            for key_b, b in other.terms.items():
                key = _product(key_a, key_b)
                terms[key] = terms[key] + a * b if key in terms else a * b
        return _of(terms)

    __rmul__ = __mul__

    def __pow__(self, exponent: int) -> "Polynomial":
        if exponent < 0:
            if len(self.terms) != 1:
                raise ValueError("only a single monomial has a negative power here")
            ((key, value),) = self.terms.items()
            return Polynomial({tuple((v, e * exponent) for v, e in key): value**exponent})
        result = constant(1)
        for _ in range(exponent):
            result = result * self
        return result

    def variables(self) -> set[str]:
        """The variables that occur."""
        return {variable for key in self.terms for variable, _ in key}

    def substitute(self, values: Mapping[str, "Polynomial"]) -> "Polynomial":
        """Replace variables, simultaneously. A negative power needs a single monomial in its place."""
        total: dict[Exponents, Rational] = {}
        powers: dict[tuple[str, int], Polynomial] = {}
        for key, value in self.terms.items():
            product = _of({tuple([pair for pair in key if pair[0] not in values]): value})
            for variable, exponent in key:
                if variable in values:
                    if (variable, exponent) not in powers:
                        powers[variable, exponent] = values[variable] ** exponent
                    product = product * powers[variable, exponent]
            for new, coefficient in product.terms.items():
                total[new] = total[new] + coefficient if new in total else coefficient
        return _of(total)

    def coefficients_in(self, variable: str) -> dict[int, "Polynomial"]:
        """The coefficients of the powers of one variable, by exponent."""
        parts: dict[int, dict[Exponents, Rational]] = {}
        for key, value in self.terms.items():
            exponent = dict(key).get(variable, 0)
            parts.setdefault(exponent, {})[tuple([pair for pair in key if pair[0] != variable])] = value
        return {exponent: _of(terms) for exponent, terms in parts.items()}

    def value(self, at: Mapping[str, Number] | Mapping[str, float]) -> Any:
        """The value at a point: a fraction at exact numbers, a float at floats."""
        total: Any = Rational(0)
        for key, value in self.terms.items():
            for variable, exponent in key:
                value = value * at[variable] ** exponent
            total = total + value
        return total

    def __repr__(self) -> str:
        return f"Polynomial({' + '.join(_written(key, value) for key, value in sorted(self.terms.items())) or '0'})"


def _of(terms: dict[Exponents, Rational]) -> Polynomial:
    """The polynomial of coefficients that are known to be of the right kind."""
    made = object.__new__(Polynomial)
    made.terms = {key: value for key, value in terms.items() if value}
    return made


def constant(value: Number) -> Polynomial:
    """A number as a polynomial."""
    return Polynomial({(): value})


def variable(name: str, exponent: int = 1) -> Polynomial:
    """A variable (to a whole power) as a polynomial."""
    return Polynomial({((name, exponent),): 1}) if exponent else constant(1)


def _product(a: Exponents, b: Exponents) -> Exponents:
    if not a or not b:
        return a or b
    powers = dict(a)
    for name, exponent in b:
        powers[name] = powers.get(name, 0) + exponent
    return tuple(sorted((name, exponent) for name, exponent in powers.items() if exponent))


def _written(key: Exponents, value: Fraction) -> str:
    return "*".join([str(value), *(f"{name}^{exponent}" if exponent != 1 else name for name, exponent in key)])


def clear_monomial(polynomial: Polynomial) -> Polynomial:
    """The polynomial divided by the largest monomial that divides every term: no negative exponent remains.

    Sign: v^m > 0 for a positive variable, whatever m; for a variable that may be zero, m ≥ 0 and p = v^m·p' ≥ 0 follows
    from p' ≥ 0. Negative exponents of the latter are excluded before (``Region`` does).
    """
    least: dict[str, int] = {}
    for name in polynomial.variables():
        least[name] = min(dict(key).get(name, 0) for key in polynomial.terms)
    shift = tuple(sorted((name, -exponent) for name, exponent in least.items() if exponent))
    return polynomial * Polynomial({shift: 1}) if shift else polynomial


Box = Mapping[str, Fraction | None]
"""Each variable ranges over [0, its entry], or over [0, ∞) for None."""
MOST_NODES = 4000


def nonnegative(polynomial: Polynomial, box: Box, splits: int = 6) -> bool:
    """Whether p ≥ 0 on the box is found, by monomials cleared, monotone variables, partial sums and halving.

    1. A common monomial is cleared; if no coefficient is negative: yes.
    2. Monotone: a variable all of whose terms are negative is put at its upper end, one whose terms are positive at 0.
    3. The constant term outweighs all negative terms at the upper corner: yes.
    4. Partial sums: p = Σ_j c_j v^j with v = h·t, t in [0, 1], is Σ_m S_m (t^m − t^{m+1}) + S_n t^n with
       S_m = Σ_{j ≤ m} c_j h^j, so p ≥ 0 if every S_m ≥ 0 on the box of the other variables. (On [0, ∞): if every
       c_j ≥ 0.)
    5. A variable's range is halved, ``splits`` times at most.

    Raises:
        ValueError: a variable without a range.
    """
    missing = polynomial.variables() - set(box)
    if missing:
        raise ValueError(f"no range is known for {', '.join(sorted(missing))}")
    used = sorted((name, box[name]) for name in polynomial.variables())
    return _decided(frozenset(polynomial.terms.items()), tuple(used), splits)


Dense = dict[tuple[int, ...], int]
"""A polynomial in t, each t_i in [0, 1] or [0, ∞): coefficients by the exponents of all variables in turn, none of them
negative. They are whole numbers, as a positive multiple has the same sign.
"""


@lru_cache(maxsize=2**14)  # proofs, and wrong ones the more, ask again and again what others have asked
def _decided(
    terms: frozenset[tuple[Exponents, Rational]], box: tuple[tuple[str, Fraction | None], ...], splits: int
) -> bool:
    cleared = clear_monomial(_of(dict(terms)))
    scaled: dict[tuple[int, ...], Fraction] = {}
    for key, value in cleared.terms.items():
        powers = dict(key)
        exponents = tuple(powers.get(name, 0) for name, _ in box)
        for (_, upper), exponent in zip(box, exponents, strict=True):
            if upper is not None and exponent:
                value = value * upper**exponent
        scaled[exponents] = value
    common = lcm(*(value.denominator for value in scaled.values()))
    dense = {key: int(value * common) for key, value in scaled.items() if value}
    return _nonnegative(dense, tuple(upper is not None for _, upper in box), splits, [MOST_NODES])


def _nonnegative(p: Dense, bounded: tuple[bool, ...], splits: int, budget: list[int]) -> bool:
    budget[0] -= 1
    if budget[0] < 0:
        return False
    at_ends = _at_monotone_ends(p, bounded)
    if at_ends is None:
        return False
    p = at_ends
    used = [i for i in range(len(bounded)) if any(key[i] for key in p)]
    if not used:
        return sum(p.values()) >= 0
    weights: dict[int, int] = {}
    total = sum(value for key, value in p.items() if not any(key))
    outweighed = total >= 0
    for key, value in p.items():
        if value < 0 and any(key):
            free = [i for i in used if key[i] and not bounded[i]]
            outweighed = outweighed and not free
            for i in used:
                if key[i]:
                    weights[i] = weights.get(i, 0) - (0 if free else value)
            total += 0 if free else value
    if outweighed and total >= 0:
        return True
    # p < 0 at the upper corner: then there is no point in looking for a reason.
    if all(bounded[i] for i in used) and sum(p.values()) < 0:
        return False
    # Every variable left has terms of both signs.
    chosen = max(sorted(weights), key=lambda i: (not bounded[i], weights[i]))
    if _by_partial_sums(p, chosen, bounded, budget):
        return True
    if splits == 0 or not bounded[chosen]:
        return False
    return all(_nonnegative(half, bounded, splits - 1, budget) for half in _halves(p, chosen))


def _at_monotone_ends(p: Dense, bounded: tuple[bool, ...]) -> Dense | None:
    """Steps 1 and 2 until nothing changes; None if p is unbounded below in some variable."""
    while p:
        least = tuple(map(min, zip(*p, strict=True)))
        if any(least):
            p = {tuple(map(sub, key, least)): value for key, value in p.items()}
        rising, falling = (
            {i for key, value in p.items() if (value > 0) == up for i, exponent in enumerate(key) if exponent}
            for up in (True, False)
        )
        if rising <= falling <= rising:
            return p
        to_zero, to_end = rising - falling, falling - rising
        if not all(bounded[i] for i in to_end):
            return None
        ended: Dense = {}
        for key, value in p.items():
            if not any(key[i] for i in to_zero):
                place = tuple([0 if i in to_end else exponent for i, exponent in enumerate(key)])
                ended[place] = ended.get(place, 0) + value
        p = {key: value for key, value in ended.items() if value}
    return p


def _by_partial_sums(p: Dense, chosen: int, bounded: tuple[bool, ...], budget: list[int]) -> bool:
    coefficients: dict[int, Dense] = {}
    for key, value in p.items():
        coefficients.setdefault(key[chosen], {})[*key[:chosen], 0, *key[chosen + 1 :]] = value
    total: Dense = {}
    for exponent in sorted(coefficients):
        part = coefficients[exponent]
        if bounded[chosen]:
            part = {key: total.get(key, 0) + part.get(key, 0) for key in {**total, **part}}
        total = {key: value for key, value in part.items() if value}
        if not _nonnegative(total, bounded, 0, budget):
            return False
    return True


def _halves(p: Dense, chosen: int) -> Iterator[Dense]:
    """p on the lower and on the upper half of a variable's range, at t/2 and at (1 + t)/2, times a power of two."""
    degree = max(key[chosen] for key in p)
    scaled = {key: value << (degree - key[chosen]) for key, value in p.items()}
    yield scaled
    shifted: Dense = {}
    for key, value in scaled.items():
        for exponent in range(key[chosen] + 1):
            place = (*key[:chosen], exponent, *key[chosen + 1 :])
            shifted[place] = shifted.get(place, 0) + value * comb(key[chosen], exponent)
    yield {key: value for key, value in shifted.items() if value}


def sum_of(polynomials: Iterable[Polynomial]) -> Polynomial:
    """Σ of polynomials."""
    total = Polynomial()
    for polynomial in polynomials:
        total = total + polynomial
    return total
