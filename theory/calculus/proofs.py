"""Proofs as records: what was expanded, what was substituted, which sides were compared. A proof holds when no
comparison leaves a word between its two sides.
"""

from dataclasses import dataclass, field

from metarep.theory.calculus.expressions import text, to_sympy
from metarep.theory.calculus.words import Poly, Rule
from metarep.theory.calculus.written import FEW, closed_form, in_words


@dataclass(frozen=True)
class ProofStep:
    """One step: what was done, with formulas between dollar signs."""

    what: str


ON_THE_WAY = 2
"""Words of what a proof comes by; the sides that it compares are shown up to ``FEW``."""


def _sum(polynomial: Poly, few: int = ON_THE_WAY) -> str:
    """Its words, or how many there are."""
    written = in_words(polynomial, few)
    return f"${written}$" if written else f"a sum of {len(polynomial)} words"


def _compared(left: Poly, right: Poly) -> str:
    """Two sides with the same words: in closed form where a person can read it, and what both expand into."""
    words = _sum(right, FEW)
    forms = [written for side in (left, right) if (written := closed_form(side)) and f"${written}$" != words]
    sides = list(dict.fromkeys(forms))
    if not sides:
        return f"either side is {words}"
    return f"${' = '.join(sides)}${', either side' if len(sides) > 1 else ', as the other side,'} is {words}"


@dataclass
class Proof:
    """An equational proof in the word calculus, for all dimensions and any number of tasks.

    ``holds`` is true when no comparison left a word; ``remainder`` shows what the first failing one left. A proof
    with steps by hand (``argued``) proves its comparisons and no more. ``identities`` keeps what was compared (what,
    left, right; each side knows how it was made) and ``facts`` what was decided otherwise: for ``theory.certificates``.
    """

    steps: list[ProofStep] = field(default_factory=list)
    remainder: str = ""
    comparisons: int = 0
    arguments: list[str] = field(default_factory=list)
    identities: list[tuple[str, Poly, Poly]] = field(default_factory=list)
    facts: list[str] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        """Whether something was compared and no comparison left a word."""
        return self.comparisons > 0 and not self.remainder

    @property
    def complete(self) -> bool:
        """Whether it holds and needs no step that only a reader can check."""
        return self.holds and not self.arguments

    def expanded(self, what: str, polynomial: Poly) -> Poly:
        """Note an expansion into words."""
        self.steps.append(ProofStep(f"expand {what}: {_sum(polynomial)}"))
        return polynomial

    def substituted(self, what: str, polynomial: Poly) -> Poly:
        """Note a substitution that was made."""
        self.steps.append(ProofStep(f"substitute {what}: {_sum(polynomial)}"))
        return polynomial

    def rewritten(self, polynomial: Poly, what: str, *rules: Rule) -> Poly:
        """Apply rewriting rules and note them."""
        result = polynomial.rewrite(rules)
        self.steps.append(ProofStep(f"use {what}: {_sum(result)}"))
        return result

    def equal(self, what: str, left: Poly, right: Poly) -> None:
        """Compare the two sides; the words of the difference are what remains."""
        difference = left - right
        self.comparisons += 1
        self.identities.append((what, left, right))
        found = "the sides differ" if difference else _compared(left, right)
        self.steps.append(ProofStep(f"compare {what}: {found}"))
        if difference and not self.remainder:
            shown = text(to_sympy(difference)) if len(difference) <= FEW else f"{len(difference)} words"
            self.remainder = f"{what}: left − right = {shown}"

    def vanishes(self, what: str, polynomial: Poly) -> None:
        """Compare with zero."""
        self.equal(what, polynomial, Poly(polynomial.shape))

    @property
    def why(self) -> str:
        """How much of it was compared, in words."""
        counts = ((len(self.identities), "identit", ("y", "ies")), (len(self.facts), "further fact", ("", "s")))
        said = [f"{count} {noun}{ends[count != 1]}" for count, noun, ends in counts if count]
        return f"{' and '.join(said)} decided in words"

    def argued(self, what: str) -> None:
        """Note a step by hand (a named theorem, an inequality, a conclusion), which nothing here checks."""
        self.arguments.append(what)
        self.steps.append(ProofStep(f"by hand: {what}"))

    def fact(self, what: str, holds: bool) -> None:
        """A decision that is not a comparison of two polynomials (a degree, which letters occur, a solved
        inequality).
        """
        self.comparisons += 1
        self.facts.append(what)
        self.steps.append(ProofStep(what))
        if not holds and not self.remainder:
            self.remainder = f"not so: {what}"
