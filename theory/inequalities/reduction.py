"""Words in the base letters, brought to what the frame and the inverse leave of them; part of what is trusted.

Used are B_*ᵀB_* = I, B_{*⊥}ᵀB_* = 0, B_{*⊥}ᵀB_{*⊥} = I, B_{*⊥}B_{*⊥}ᵀ = I − B_*B_*ᵀ and BᵀB·G⁻¹ = G⁻¹·BᵀB = I.
"""

from fractions import Fraction
from functools import lru_cache

from metarep.theory.calculus.words import SCALARS, Key, Poly, Rule, find_letter, identity, letter_poly
from metarep.theory.inequalities.letters import BASE, DEFINITIONS
from metarep.theory.inequalities.steps import Step
from metarep.theory.inequalities.syntax import NotAccepted, matrix


class Letters:
    """What letters stand for in the base letters: those of ``letters``, a derivation's own, and a step's gradients.

    Everything that is expanded is linear in the terms, so that each term is expanded once.

    Args:
        definitions: the derivation's own letters.
        step: whose gradients they are, if any.
        zero: names of letters that are 0.

    Raises:
        NotAccepted: a letter is defined twice, or its definition has not its symmetry.
    """

    def __init__(self, definitions: tuple[tuple[str, str], ...], step: Step | None, zero: tuple[str, ...]) -> None:
        self._expanded: dict[str, Poly] = {} if step is None else {"grad_B": step.grad_B, "grad_w": step.grad_w}
        self._missed = tuple(Rule("V_rest'", name, None) for name in sorted(step.missed)) if step else ()
        self._zero = {name: Poly((find_letter(name).rows, find_letter(name).cols)) for name in zero}
        self._terms: dict[tuple[tuple[str, str], Key], Poly] = {}
        named = dict(DEFINITIONS)
        for name, value in definitions:
            if name in named or name in BASE or name in self._expanded:
                raise NotAccepted(f"the letter {name!r} is defined twice")
            named[name] = value
        for name, value in named.items():
            words = matrix(value)
            if words.letters() <= BASE | set(self._expanded):
                self._expanded[name] = self.expand(words)
                symmetry = find_letter(name).symmetry
                if symmetry and self._expanded[name].T * symmetry != self._expanded[name]:
                    raise NotAccepted(f"the letter {name!r} is symmetric or skew, and its definition is not")

    def expand(self, polynomial: Poly) -> Poly:
        """In the base letters, with B_*ᵀB_* = I, B_{*⊥}ᵀB_* = 0, B_{*⊥}B_{*⊥}ᵀ = I − B_*B_*ᵀ and BᵀB·G⁻¹ = I used."""
        defined = polynomial.letters() - BASE
        if unknown := defined - set(self._expanded):
            raise NotAccepted(f"no definition of {', '.join(sorted(unknown))}")
        polynomial.refuse_inside_traces(defined)
        total = Poly(polynomial.shape)
        for key, value in polynomial.terms.items():
            if (polynomial.shape, key) not in self._terms:
                self._terms[polynomial.shape, key] = self.at_once(Poly(polynomial.shape, {key: 1}))
            total = total + self._terms[polynomial.shape, key] * value
        return total

    def at_once(self, polynomial: Poly) -> Poly:
        """``expand`` of defined letters, not term by term: the result says how it was made."""
        values = {name: self._expanded[name] for name in polynomial.letters() - BASE}
        expanded = reduce_words(polynomial.substitute(values)).rewrite(self._missed)
        return expanded.substitute({name: self._zero[name] for name in expanded.letters() & self._zero.keys()})

    def has_inverse(self, name: str) -> bool:
        """Whether the letter has G⁻¹ in it, by its definition."""
        return name in self._expanded and "G_inv" in self._expanded[name].letters()


@lru_cache(maxsize=256)
def letters_of(definitions: tuple[tuple[str, str], ...], step: Step | None, zero: tuple[str, ...]) -> Letters:
    """``Letters``, the same ones for all derivations that define and assume the same."""
    return Letters(definitions, step, zero)


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
