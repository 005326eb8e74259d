"""The norm bound of a word polynomial, computed from its words and from bounds of their factors."""

from fractions import Fraction
from functools import cache

from metarep.theory.calculus.words import ONE, SCALAR_SHAPE, SCALARS, Poly
from metarep.theory.inequalities.polynomials import Polynomial, constant, variable
from metarep.theory.inequalities.syntax import NotAccepted

_BETA = SCALARS.index("beta")


def _beta_power(powers: tuple[int, ...]) -> int:
    if any(power for index, power in enumerate(powers) if index != _BETA) or powers[_BETA] < 0:
        raise NotAccepted("the only scalar in a proof's words is beta, to powers ≥ 0")
    return powers[_BETA]


def weight_of(weight: Poly) -> tuple[Fraction, int]:
    """(c, j) of a weight c·β^j."""
    if weight.shape != SCALAR_SHAPE or len(weight.terms) != 1:
        raise NotAccepted("a weight is a rational number times a power of beta")
    ((powers, scalars, core), value), *_ = weight.terms.items()
    if scalars or core:
        raise NotAccepted("a weight is a rational number times a power of beta")
    return Fraction(value), _beta_power(powers)


def norm_by_words(of: Poly, factors: list[tuple[Poly, Polynomial]]) -> Polynomial:
    """Σ |coefficient| β^j Π (bounds of the factors), each word cut into factors, the longest first.

    ``factors``: (X, bound of ‖X‖) for single words X; their transposes have the same bound.

    Raises:
        NotAccepted: a factor is no single word, or a word cannot be cut into the factors.
    """
    table: dict[bytes, Polynomial] = {}
    for factor, bound in factors:
        for side in (factor, factor.T):
            if len(side.terms) != 1:
                raise NotAccepted("a factor is a single word")
            ((powers, scalars, core), value), *_ = side.terms.items()
            if powers != ONE or value != 1 or (scalars and core) or len(scalars) > 1:
                raise NotAccepted("a factor is a single word with coefficient 1")
            table.setdefault(core or b"".join(scalars), bound)  # one of the two, a single word
    lengths = sorted({len(word) for word in table}, reverse=True)

    @cache
    def cut(word: bytes) -> tuple[bytes, ...] | None:
        if not word:
            return ()
        for length in lengths:
            if word[:length] in table and len(word) >= length:
                rest = cut(word[length:])
                if rest is not None:
                    return (word[:length], *rest)
        return None

    total = Polynomial()
    for (powers, scalars, core), value in of.terms.items():
        term = constant(abs(value)) * variable("beta", _beta_power(powers))
        for word in (*scalars, core):
            parts = cut(word)
            if parts is None:
                raise NotAccepted("no bound is known of the norm of some factor of a word")
            for part in parts:
                term = term * table[part]
        total = total + term
    return total
