"""Polynomials in non-negative real variables with rational coefficients, and a decision of p ≥ 0 on a box.

Everything is exact (``Fraction``); a variable that is declared positive may have negative exponents. ``nonnegative`` is
sufficient, never necessary: it answers yes only with a reason, and "no" means that no reason was found.
"""

from collections.abc import Iterable, Mapping
from fractions import Fraction
from functools import lru_cache
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


@lru_cache(maxsize=2**14)  # proofs, and wrong ones the more, ask again and again what others have asked
def _decided(
    terms: frozenset[tuple[Exponents, Rational]], box: tuple[tuple[str, Fraction | None], ...], splits: int
) -> bool:
    return _nonnegative(_of(dict(sorted(terms))), dict(box), splits, [MOST_NODES])


def _nonnegative(polynomial: Polynomial, box: dict[str, Fraction | None], splits: int, budget: list[int]) -> bool:
    budget[0] -= 1
    if budget[0] < 0:
        return False
    at_ends = _at_monotone_ends(polynomial, box)
    if at_ends is None:
        return False
    polynomial = at_ends
    weights: dict[str, Fraction] = {}
    total: Fraction = polynomial.terms.get((), Rational(0))
    if not polynomial.variables():
        return total >= 0
    bounded = total >= 0
    for key, value in polynomial.terms.items():
        if value < 0 and key:
            for name, exponent in key:
                upper = box[name]
                bounded = bounded and upper is not None
                value *= (upper or 0) ** exponent
            for name, _ in key:
                weights[name] = weights.get(name, 0) - value
            total += value
    if bounded and total >= 0:
        return True
    if _somewhere_negative(polynomial, box):
        return False
    # Every variable left has terms of both signs.
    name = max(sorted(weights), key=lambda n: (box[n] is None, weights[n]))
    if _by_partial_sums(polynomial, name, box, budget):
        return True
    if splits == 0 or box[name] is None:
        return False
    half = box[name] / 2  # type: ignore[operator]
    halved = {**box, name: half}
    upper_half = polynomial.substitute({name: variable(name) + half})
    return _nonnegative(polynomial, halved, splits - 1, budget) and _nonnegative(upper_half, halved, splits - 1, budget)


def _at_monotone_ends(polynomial: Polynomial, box: dict[str, Fraction | None]) -> Polynomial | None:
    """Steps 1 and 2 until nothing changes; None if p is unbounded below in some variable."""
    while True:
        polynomial = clear_monomial(polynomial)
        signs: dict[str, set[bool]] = {}
        for key, value in polynomial.terms.items():
            for name, _ in key:
                signs.setdefault(name, set()).add(value > 0)
        ends = {name: next(iter(found)) for name, found in signs.items() if len(found) == 1}
        if not ends:
            return polynomial
        values = {}
        for name, increasing in ends.items():
            upper = box[name]
            if not increasing and upper is None:
                return None
            values[name] = constant(0 if increasing or upper is None else upper)
        polynomial = polynomial.substitute(values)


def _by_partial_sums(polynomial: Polynomial, name: str, box: dict[str, Fraction | None], budget: list[int]) -> bool:
    coefficients = polynomial.coefficients_in(name)
    upper = box[name]
    total = Polynomial()
    for exponent in sorted(coefficients):
        part = coefficients[exponent]
        total = part if upper is None else total + part * upper**exponent
        if not _nonnegative(total, box, 0, budget):
            return False
    return True


def _somewhere_negative(polynomial: Polynomial, box: dict[str, Fraction | None]) -> bool:
    """Whether p < 0 at the box's upper corner: then there is no point in looking for a reason."""
    if any(box[name] is None for name in polynomial.variables()):
        return False
    return polynomial.value({name: upper for name, upper in box.items() if upper is not None}) < 0


def sum_of(polynomials: Iterable[Polynomial]) -> Polynomial:
    """Σ of polynomials."""
    total = Polynomial()
    for polynomial in polynomials:
        total = total + polynomial
    return total
