"""Proofs as records: what was expanded, what was substituted, what remained. A proof holds when nothing remains."""

from dataclasses import dataclass, field

from metarep.theory.calculus.expressions import text, to_sympy
from metarep.theory.calculus.words import Poly, Rule

LONGEST_SHOWN = 6
"""A remainder of more words than this is counted, not printed."""


@dataclass(frozen=True)
class ProofStep:
    """One step: what was done, and how many words the expression had afterwards."""

    what: str
    words: int


@dataclass
class Proof:
    """An equational proof in the word calculus, for all dimensions and any number of tasks.

    ``holds`` is true when every comparison left nothing; ``remainder`` shows what the first failing one left. A proof
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
        """Whether something was compared and every comparison left nothing."""
        return self.comparisons > 0 and not self.remainder

    @property
    def complete(self) -> bool:
        """Whether it holds and needs no step that only a reader can check."""
        return self.holds and not self.arguments

    def expanded(self, what: str, polynomial: Poly) -> Poly:
        """Note an expansion into words."""
        self.steps.append(ProofStep(f"expand {what}", len(polynomial)))
        return polynomial

    def substituted(self, what: str, polynomial: Poly) -> Poly:
        """Note a substitution that was made."""
        self.steps.append(ProofStep(f"substitute {what}", len(polynomial)))
        return polynomial

    def rewritten(self, polynomial: Poly, what: str, *rules: Rule) -> Poly:
        """Apply rewriting rules and note them."""
        result = polynomial.rewrite(rules)
        self.steps.append(ProofStep(f"use {what}", len(result)))
        return result

    def equal(self, what: str, left: Poly, right: Poly) -> None:
        """Compare the two sides; the words of the difference are what remains."""
        difference = left - right
        self.comparisons += 1
        self.identities.append((what, left, right))
        self.steps.append(
            ProofStep(
                f"compare {what}: {len(left)} words on either side"
                if not difference
                else f"compare {what}: the sides differ",
                len(difference),
            )
        )
        if difference and not self.remainder:
            shown = text(to_sympy(difference)) if len(difference) <= LONGEST_SHOWN else f"{len(difference)} words"
            self.remainder = f"{what}: left − right = {shown}"

    def vanishes(self, what: str, polynomial: Poly) -> None:
        """Compare with zero."""
        self.equal(what, polynomial, Poly(polynomial.shape))

    def argued(self, what: str) -> None:
        """Note a step by hand (a named theorem, an inequality, a conclusion), which nothing here checks."""
        self.arguments.append(what)
        self.steps.append(ProofStep(f"by hand: {what}", 0))

    def fact(self, what: str, holds: bool) -> None:
        """A decision that is not a comparison of two polynomials (a degree, which letters occur, a solved
        inequality).
        """
        self.comparisons += 1
        self.facts.append(what)
        self.steps.append(ProofStep(what, 0))
        if not holds and not self.remainder:
            self.remainder = f"not so: {what}"
