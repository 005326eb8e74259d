"""Words brought to what the frame and the inverse leave of them; part of what is trusted.

Used are B_*ᵀB_* = I, B_{*⊥}ᵀB_* = 0, B_{*⊥}ᵀB_{*⊥} = I, B_{*⊥}B_{*⊥}ᵀ = I − B_*B_*ᵀ and BᵀB·G⁻¹ = G⁻¹·BᵀB = I.
"""

from fractions import Fraction

from metarep.theory.calculus.words import SCALARS, Key, Poly, Rule, find_letter, identity, letter_poly


def _frame_rules() -> tuple[Rule, ...]:
    return (Rule("B_perp'", "B_star", None), Rule("B_perp'", "B_perp", ""), Rule("B_star'", "B_star", ""))


def reduce_words(polynomial: Poly) -> Poly:
    """Use the frame's and the inverse's rules on every word until none applies."""
    polynomial = polynomial.rewrite(_frame_rules())
    B, B_star, B_perp, inverse = (find_letter(name).code for name in ("B", "B_star", "B_perp", "G_inv"))
    complement = identity("d") - letter_poly(B_star) * letter_poly(B_star + 1)
    patterns = (
        (bytes([B_perp, B_perp + 1]), complement),
        (bytes([B + 1, B, inverse]), identity("k")),
        (bytes([inverse, B + 1, B]), identity("k")),
    )
    done, open_ = Poly(polynomial.shape), polynomial
    while open_:
        following = Poly(polynomial.shape)
        kept = {}
        for key, value in open_.terms.items():
            replaced = _replace_once(key, value, polynomial.shape, patterns)
            if replaced is None:
                kept[key] = value
            else:
                following = following + replaced
        done = done + Poly(polynomial.shape, kept)
        open_ = following.rewrite(_frame_rules())
    return done


def _replace_once(
    key: Key, value: int | Fraction, shape: tuple[str, str], patterns: tuple[tuple[bytes, Poly], ...]
) -> Poly | None:
    """A term with the first pattern found replaced; None if there is none."""
    powers, scalars, core = key
    words = [*scalars, core]
    for index, word in enumerate(words):
        for pattern, replacement in patterns:
            at = word.find(pattern)
            if at < 0:
                continue
            middle = replacement
            for code in reversed(word[:at]):
                middle = letter_poly(code) * middle
            for code in word[at + len(pattern) :]:
                middle = middle * letter_poly(code)
            others = Poly(("1", "1"), {(powers, tuple(w for i, w in enumerate(scalars) if i != index), b""): value})
            if index < len(scalars):
                rest = Poly(shape, {((0,) * len(SCALARS), (), core): 1})
                return others * middle * rest
            return others * middle
    return None
