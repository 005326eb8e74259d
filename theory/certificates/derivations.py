"""Derivations of inequalities for Coq: the polynomial inequalities and identities in words that their lines rest on.

An accepted derivation is gone through once more by the core's rules, and what they ask is noted: that p ≤ q on the
region, that two expressions are the same by their definitions. Coq then decides each by itself. That the rules are
sound, and were applied to these lines, remains the core's word.
"""

from metarep.theory.calculus.words import Poly, find_letter, identity, letter_poly
from metarep.theory.certificates.terms import Graph, Rewriting
from metarep.theory.inequalities.catalogue import RULES
from metarep.theory.inequalities.core import Checked, Context
from metarep.theory.inequalities.letters import BASE, DEFINITIONS
from metarep.theory.inequalities.polynomials import Polynomial
from metarep.theory.inequalities.syntax import matrix

Asked = tuple[str, Poly, Poly]
"""What for, and the two sides."""


class _Listening(Context):
    """Answers as the core did, and notes the questions."""

    def __init__(self, checked: Checked) -> None:
        self.line = "the setting"
        self.bounds: list[tuple[str, Polynomial, Polynomial]] = []
        self.identities: list[Asked] = []
        super().__init__(checked.derivation, checked.step)

    def need(self, lower: Polynomial, upper: Polynomial, what: str) -> None:
        """Note it; the core has accepted it."""
        if all((lower, upper) != asked[1:] for asked in self.bounds):
            self.bounds.append((f"{self.line}: {what}", lower, upper))

    def equal(self, left: Poly, right: Poly) -> bool:
        """The core's answer; note it if it is yes."""
        same = super().equal(left, right)
        if same and all((left, right) != asked[1:] for asked in self.identities):
            self.identities.append((self.line, left, right))
        return same


class Questions:
    """What an accepted derivation rests on: ``bounds`` (what for, p, q) with p ≤ q on its region, and ``identities``
    (what for, left, right) of word polynomials that know how they are made: definitions in the places of letters, and
    the frame's products (B_*ᵀB_* = I, ...) as assumptions. What is the same by definition is not among them.
    """

    def __init__(self, checked: Checked) -> None:
        listening = _Listening(checked)
        for number, line in enumerate(checked.derivation.lines, 1):
            listening.line = f"line {number}, {line.rule}"
            RULES[line.rule].apply(listening, line, [checked.judgements[use - 1] for use in line.uses])
        self._context = listening
        self._texts = {**DEFINITIONS, **dict(checked.derivation.definitions)}
        self._values: dict[str, Poly] = {}
        self.bounds = listening.bounds
        self.identities = [asked for asked in map(self._stated, listening.identities) if _differ(*asked[1:])]

    def _stated(self, asked: Asked) -> Asked:
        what, left, right = asked
        return what, self._assuming(left, left, right), self._expression(right)

    def _assuming(self, polynomial: Poly, *sides: Poly) -> Poly:
        """The expression, with what is assumed of the letters of both sides."""
        letters: set[str] = set()
        for side in sides:
            self._collect(side, letters)
        here = tuple(
            (word, result)
            for word, result in (*_frame(), *self._missed())
            if {name.rstrip("'") for name in word} <= letters
        )
        return Poly(polynomial.shape).made_by("assuming", self._expression(polynomial), here)

    def _missed(self) -> list[Rewriting]:
        return [(("V_rest'", name), Poly(("r", find_letter(name).cols))) for name in sorted(self._context.missed)]

    def _definition(self, name: str) -> Poly | None:
        """What a letter stands for; None for those that everything is expanded into."""
        step = self._context.step
        if name in self._context.zero:
            return self._context.zero[name]
        if step is not None and name in ("grad_B", "grad_w"):
            return step.grad_B if name == "grad_B" else step.grad_w
        return None if name in BASE else matrix(self._texts[name])

    def _expression(self, polynomial: Poly) -> Poly:
        """The polynomial as it is written, with its letters' definitions."""
        values = {name: value for name in sorted(polynomial.letters()) if (value := self._value(name)) is not None}
        return Poly(polynomial.shape).made_by("substitute", polynomial, values)

    def _value(self, name: str) -> Poly | None:
        definition = self._definition(name)
        if definition is None or name in self._context.zero:
            return definition
        if name not in self._values:
            self._values[name] = Poly(definition.shape).made_by("called", self._expression(definition), name)
        return self._values[name]

    def _collect(self, polynomial: Poly, letters: set[str]) -> None:
        for name in polynomial.letters():
            definition = self._definition(name)
            if definition is None:
                letters.add(name)
            else:
                self._collect(definition, letters)


def _differ(left: Poly, right: Poly) -> bool:
    graph = Graph()
    return graph.follow(left) != graph.follow(right)


def _frame() -> list[Rewriting]:
    """What ``reduction`` uses: an orthonormal frame (B_*, B_{*⊥}), and G⁻¹ the inverse of BᵀB."""
    B_star = letter_poly(find_letter("B_star").code)
    return [
        (("B_perp'", "B_star"), Poly(("p", "s"))),
        (("B_perp'", "B_perp"), identity("p")),
        (("B_star'", "B_star"), identity("s")),
        (("B_perp", "B_perp'"), identity("d") - B_star * B_star.T),
        (("B'", "B", "G_inv"), identity("k")),
    ]
