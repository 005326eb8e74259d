"""A learner's outer step as the proofs use it: averaged over the tasks, in the heads' first two moments, at α = 1.

Part of what must be trusted: it turns the derived gradient of one task into ∇_B and ∇_w in B, w, B_*, Ψ_*, w̄_*.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from metarep.theory.calculus import alphabet as a
from metarep.theory.calculus.words import ONE, SCALAR_SHAPE, SCALARS, Poly, Rule, find_letter, letter_poly, spell

ORTHONORMAL = Rule("B_star'", "B_star", "")
"""B_*ᵀB_* = I."""

Heads = Literal["any", "centred", "symmetric"]
"""Tasks without an assumption; with w̄_* = 0; with w_{*,i} and −w_{*,i} equally frequent, so that odd moments vanish."""

WEIGHTS = {"B": 1, "w": 1, "B_star": 0, "w_star_i": 2}
"""Powers of √α in √αB, √αw, αw_{*,i}."""


@dataclass(frozen=True, eq=False)
class Step:
    """(∇_B (d×k), ∇_w (k×1)) in B, w, B_*, Ψ_*, w̄_*, at α = 1; B⁺ = B − β∇_B, w⁺ = w − β∇_w.

    ``heads``: of which tasks this is the mean. ``at_zero``: this is the step at w = 0 only.
    ``missed``: averages X whose every word begins with the head, so that VᵀX = 0 where Vᵀw_{*,i} = 0 for all tasks.
    """

    grad_B: Poly
    grad_w: Poly
    heads: Heads = "any"
    at_zero: bool = False
    missed: frozenset[str] = frozenset()


def unit_alpha(gradient: Poly, of: str) -> Poly:
    """The gradient at α = 1, after a check that √αB, √αw, αw_{*,i}, β/α have it as their gradient.

    With B̃ = √αB and β̃ = β/α: B̃⁺ = B̃ − β̃·α^{3/2}∇_B, so each word of ∇_B with α^p must have 2p + 3 = its weight (the
    powers of √α that its letters bring); so for ∇_w.

    Raises:
        ValueError: a word with another weight, a letter without a weight, or a scalar other than α.
    """
    terms = {}
    for (powers, scalars, core), value in gradient.terms.items():
        named = {name: power for name, power in zip(SCALARS, powers, strict=True) if power}
        weight = sum(WEIGHTS[spell(code)[0].name] for word in (*scalars, core) for code in word)
        if set(named) - {"alpha"} or weight != 2 * named.get("alpha", 0) + 3:
            raise ValueError(f"the gradient by {of} is not carried along by the scaling to α = 1")
        key = (ONE, scalars, core)
        terms[key] = terms.get(key, 0) + value
    return Poly(gradient.shape, {key: value for key, value in terms.items() if value})


def average(polynomial: Poly, heads: Heads = "any") -> Poly:
    """The mean over the tasks: w_{*,i}w_{*,i}ᵀ becomes Ψ_*, a single w_{*,i} becomes w̄_*, or 0 for
    centred heads; for symmetric heads every term with an odd number of heads becomes 0.

    Raises:
        ValueError: a term with more than two heads, with two that are not neighbours, or with another per-task letter.
    """
    head = a.find_letter("w_star_i").code
    flipped = head + 1
    second, mean = find_letter("Psi_star").code, find_letter("w_bar").code
    total = Poly(polynomial.shape)
    for (powers, scalars, core), value in polynomial.terms.items():
        words = [*scalars, core]
        if any(spell(code)[0].per_task and code >> 1 != head >> 1 for word in words for code in word):
            raise ValueError("an average over tasks of a per-task letter other than the heads")
        count = sum(word.count(head) + word.count(flipped) for word in words)
        pair = bytes([head, flipped])
        if count == 2 and pair in core:
            core = core.replace(pair, bytes([second]))
        elif (count == 1 and heads == "centred") or (count % 2 and heads == "symmetric"):
            continue
        elif count <= 1:
            table = bytes.maketrans(bytes([head, flipped]), bytes([mean, mean + 1]))
            scalars, core = tuple(word.translate(table) for word in scalars), core.translate(table)
        else:
            raise ValueError(f"an average over tasks of {count} heads that are not neighbours has no letter")
        product = Poly(SCALAR_SHAPE, {(powers, (), b""): value})
        for word in scalars:
            product = product * _product_of(word)
        if polynomial.shape != SCALAR_SHAPE:
            product = product * _product_of(core)
        total = total + product
    return total


def _product_of(word: bytes) -> Poly:
    product = letter_poly(word[0])
    for code in word[1:]:
        product = product * letter_poly(code)
    return product


def step_of(gradients: tuple[Poly, Poly], heads: Heads = "any", at_zero: bool = False) -> Step:
    """The step with one task's derived gradients (∇_B, ∇_w) in w_{*,i}, for such heads; ``at_zero`` sets w = 0."""
    zero = {"w": Poly(("k", "1"))} if at_zero else {}
    grad_B, grad_w = (gradient.substitute(zero) for gradient in gradients)
    return Step(
        average(unit_alpha(grad_B, "B"), heads), average(unit_alpha(grad_w, "w"), heads), heads=heads, at_zero=at_zero
    )


def stated_step(gradients: tuple[Poly, Poly], stated: tuple[Poly, Poly], averages: Mapping[str, Poly]) -> Step:
    """The step as stated with letters for averages over the tasks, after a check against one task's gradients.

    ``averages`` gives each such letter's words for one task (Ψ_*: w_{*,i}w_{*,i}ᵀ). In ``stated`` each term has one
    of them at most, so that the mean of the right side at one task is the right side at the means; the words must then
    be those of the gradients (∇_B, ∇_w), in w_{*,i}.

    Raises:
        ValueError: a term with two averages or with a per-task letter, or words that differ.
    """
    codes = {find_letter(name).code >> 1 for name in averages}
    for polynomial, gradient, of in zip(stated, gradients, "Bw", strict=True):
        for _, scalars, core in polynomial.terms:
            letters = [code for word in (*scalars, core) for code in word]
            if sum(code >> 1 in codes for code in letters) > 1 or any(spell(code)[0].per_task for code in letters):
                raise ValueError(f"a term of the stated gradient by {of} is no multiple of one average")
        here = {name: words for name, words in averages.items() if name in polynomial.letters()}
        if polynomial.substitute(here).rewrite((ORTHONORMAL,)) != unit_alpha(gradient, of).rewrite((ORTHONORMAL,)):
            raise ValueError(f"the stated gradient by {of} is not the learner's")
    head = find_letter("w_star_i").code
    missed = {name for name, words in averages.items() if all(core[:1] == bytes([head]) for _, _, core in words.terms)}
    return Step(*stated, missed=frozenset(missed))
