"""The letter G of an exact head solve, (BᵀB + λI) G = I: its rewriting rule and its derivative (own derivation).

G is symmetric and commutes with BᵀB, so G BᵀB = BᵀB G = I − λG. This is a rule for three letters with a sum on its
right side; applied until no G touches a BᵀB it leaves powers of BᵀB or powers of G, never both in one place, which is a
normal form again. dG = −G (dBᵀB + BᵀdB) G.
"""

from metarep.theory.calculus import alphabet as a
from metarep.theory.calculus.words import ONE, Coefficient, Poly, Powers, _accumulate, _add_term, gradient

_G, _GRAM = bytes([a.find_letter("G").code]), bytes([a.find_letter("B").code + 1, a.find_letter("B").code])
_PATTERNS = (_G + _GRAM, _GRAM + _G)


def _reduced_once(polynomial: Poly, ridge: bool) -> tuple[Poly, bool]:
    """One round: in every word the first G beside a BᵀB by I (first polynomial) and by −λG (second)."""
    touched = False
    total = Poly(polynomial.shape)
    for key, value in polynomial.terms.items():
        powers, scalars, core = key
        words = [*scalars, core]
        found = next(((i, pattern) for i, word in enumerate(words) for pattern in _PATTERNS if pattern in word), None)
        if found is None:
            _add_term(total.terms, key, value)
            continue
        touched = True
        place, pattern = found
        # Renormalising goes through map_words on a term of one word each; the others are passed on as they are.
        for replacement, factor, shift in ((b"", 1, {}), *(((_G, -1, {"ridge": 1}),) if ridge else ())):
            changed = [*words]
            changed[place] = words[place].replace(pattern, replacement, 1)
            term = Poly(polynomial.shape, {(powers, tuple(sorted(changed[:-1])), changed[-1]): value})
            _accumulate(total, _renormalised(term).scaled(factor, **shift))
    return total, touched


def _renormalised(polynomial: Poly) -> Poly:
    def unchanged(word: bytes) -> tuple[Coefficient, Powers, bytes]:
        return 1, ONE, word

    return polynomial.map_words(unchanged)


def reduce_G(polynomial: Poly, ridge: bool) -> Poly:
    """The normal form with G: G BᵀB → I − λG (``ridge``) or → I (λ = 0), until it applies nowhere."""
    touched = _mentions_G(polynomial)
    while touched:
        polynomial, touched = _reduced_once(polynomial, ridge)
    return polynomial


def _mentions_G(polynomial: Poly) -> bool:
    return "G" in polynomial.letters()


def derivative_of_G(direction: Poly) -> Poly:
    """δG = −G (δBᵀB + BᵀδB) G for a direction δB (d × k)."""
    inner = direction.T * a.B
    return -(a.G * (inner + inner.T) * a.G)


def gradient_with_G(scalar: Poly, name: str, ridge: bool) -> Poly:
    """``metarep.theory.calculus.words.gradient`` where G depends on B; in normal form.

    Every G in turn is replaced by its derivative in a direction, and the gradient is taken by that direction.

    Raises:
        ValueError: as ``gradient``.
    """
    total = gradient(scalar, name)
    if name == "B" and _mentions_G(scalar):
        through = scalar.polarise({"G": "dG"}).substitute({"dG": derivative_of_G(a.dB)})
        total = total + gradient(through, "dB")
    return reduce_G(total, ridge)
