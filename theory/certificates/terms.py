"""Expressions as they were written, before any expansion: from what a polynomial was made to a graph of terms for Coq.

Every ``Poly`` knows how it was made (``Poly.made``). Following that back to the letters gives the expression as the
claim's proof wrote it; a substitution becomes the expression with the replacements in their places, a rewriting the
expression itself with the rules as hypotheses. A derivative (``gradient``, ``polarise``) becomes a definition, its
words, and an identity of its own that says it is the derivative (``Derivative``). What was not made by an operation is
written by its words.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from metarep.theory.calculus.traces import CYCLIC
from metarep.theory.calculus.words import ONE, SCALARS, Poly, Powers, Rule, find_letter, spell

LARGEST = 1500
"""More words than this of a polynomial whose words must be written out are not exported."""

Node = int
Substitution = dict[str, Node]
Rewriting = tuple[tuple[str, ...], Poly]
"""A product of letters (' for a transpose) and what it is equal to."""
RESCALED = "alpha/c"
"""Not a letter: the power of c that comes with every α in an expression, in a ``Substitution``."""


class CannotExportError(ValueError):
    """What has no form in Coq's language of this package; the message says why."""


def _rescaled(powers: Powers, at: Substitution) -> Powers:
    if not at.get(RESCALED):
        return powers
    alpha, c = SCALARS.index("alpha"), SCALARS.index("c")
    return tuple(p + at[RESCALED] * powers[alpha] if i == c else p for i, p in enumerate(powers))


@dataclass(frozen=True)
class Derivative:
    """``result``, the words found, is the derivative of ``source``: its gradient by ``name``, or (``directions``) along
    directions, letter by letter.
    """

    source: Poly
    result: Poly
    name: str = ""
    directions: tuple[tuple[str, str], ...] = ()


@dataclass
class Graph:
    """Terms, each once: (operation, arguments, rows, columns). What was used on the way is collected besides: rules,
    products that are replaced, derivatives, and polynomials of which only the words are known (``bare``).
    """

    nodes: list[tuple[Any, ...]] = field(default_factory=list)
    index: dict[tuple[Any, ...], Node] = field(default_factory=dict)
    rules: list[Rule] = field(default_factory=list)
    rewritings: list[Rewriting] = field(default_factory=list)
    derivatives: list[Derivative] = field(default_factory=list)
    named: dict[Node, str] = field(default_factory=dict)
    bare: list[Poly] = field(default_factory=list)
    _seen: dict[tuple[Any, ...], Node] = field(default_factory=dict)
    _kept: list[Any] = field(default_factory=list)

    def node(self, op: str, args: tuple[Any, ...], rows: str, cols: str) -> Node:
        """The number of this term; a new one if it is new."""
        key = (op, args, rows, cols)
        if key not in self.index:
            self.index[key] = len(self.nodes)
            self.nodes.append(key)
        return self.index[key]

    def shape(self, node: Node) -> tuple[str, str]:
        """(rows, columns) of a term."""
        return self.nodes[node][2:]

    # --- building

    def letter(self, name: str) -> Node:
        """A matrix letter; a trace letter becomes the trace of its word."""
        return self._letter(name, {})

    def _letter(self, name: str, at: Substitution) -> Node:
        if name in at:
            return at[name]
        found = find_letter(name)
        if name in CYCLIC:
            inside = self.words(CYCLIC[name], at)
            return self.node("trace", (inside,), "1", "1")
        if name.startswith("tr(I_"):
            dimension = name[5:-1]
            return self.node("trace", (self.one(dimension),), "1", "1")
        return self.node("var", (name,), found.rows, found.cols)

    def one(self, dimension: str) -> Node:
        """The identity."""
        return self.node("one", (), dimension, dimension)

    def add(self, left: Node, right: Node) -> Node:
        """The sum; zero is left out."""
        if self.nodes[left][0] == "zero":
            return right
        if self.nodes[right][0] == "zero":
            return left
        return self.node("add", (left, right), *self.shape(left))

    def transposed(self, node: Node) -> Node:
        """The transpose; that of a transpose is what it was of."""
        op, args, rows, cols = self.nodes[node]
        return args[0] if op == "tr" else self.node("tr", (node,), cols, rows)

    def mul(self, left: Node, right: Node) -> Node:
        """The product, or a 1×1 term times another where the dimensions do not fit."""
        (rows, middle), (same, cols) = self.shape(left), self.shape(right)
        if self._is_number(left):
            return self._on(left, right)
        if self._is_number(right):
            return self._on(right, left)
        if middle == same:
            return self.node("mul", (left, right), rows, cols)
        if (rows, middle) == ("1", "1"):
            return self.node("sca", (left, right), same, cols)
        raise CannotExportError(f"a product of {rows}×{middle} and {same}×{cols}")

    def _is_number(self, node: Node) -> bool:
        """Whether a 1×1 term is the number one, with numbers and scalar symbols in front."""
        op, args, rows, _ = self.nodes[node]
        return rows == "1" and (op == "one" or (op in ("pow", "nat", "opp", "half") and self._is_number(args[-1])))

    def _on(self, number: Node, node: Node) -> Node:
        """The numbers and scalar symbols of a number in front of another term."""
        op, args = self.nodes[number][:2]
        if op == "one":
            return node
        return self.node(op, (*args[:-1], self._on(args[-1], node)), *self.shape(node))

    def times(self, node: Node, value: int | Fraction, powers: Powers = ONE) -> Node:
        """A rational (its denominator a power of two) and powers of scalar symbols times a term."""
        rows, cols = self.shape(node)
        if value == 0:
            return self.node("zero", (), rows, cols)
        for name, power in zip(SCALARS, powers, strict=True):
            if power:
                node = self.node("pow", (name if power > 0 else f"{name}^-1", abs(power), node), rows, cols)
        whole, parts = abs(Fraction(value).numerator), Fraction(value).denominator
        if whole != 1:
            node = self.node("nat", (whole, node), rows, cols)
        while parts > 1:
            if parts % 2:
                raise CannotExportError(
                    f"the coefficient {value}: only denominators that are powers of two have a form"
                )
            node, parts = self.node("half", (node,), rows, cols), parts // 2
        return self.node("opp", (node,), rows, cols) if value < 0 else node

    # --- from polynomials

    def words(self, polynomial: Poly, at: Substitution) -> Node:
        """A polynomial as the sum of its words."""
        if len(polynomial) > LARGEST:
            raise CannotExportError(f"{len(polynomial)} words that must be written out; at most {LARGEST} are")
        rows, cols = polynomial.shape
        total = self.node("zero", (), rows, cols)
        for (powers, scalars, core), value in polynomial.terms.items():
            term = self._word(core, at) if core else self.one(rows)
            for scalar in scalars:
                factor = self._word(scalar, at)
                plain = self.shape(term) == ("1", "1") and self.nodes[term][0] == "one"
                term = factor if plain else self.node("sca", (factor, term), rows, cols)
            total = self.add(total, self.times(term, value, _rescaled(powers, at)))
        return total

    def _word(self, word: bytes, at: Substitution) -> Node:
        product: Node | None = None
        for code in reversed(word):
            found, transposed = spell(code)
            factor = self._letter(found.name, at)
            factor = self.transposed(factor) if transposed else factor
            product = factor if product is None else self.mul(factor, product)
        assert product is not None
        return product

    def follow(self, polynomial: Poly, at: Substitution | None = None) -> Node:
        """The expression that the polynomial was made from, with ``at`` in place of letters.

        Raises:
            CannotExportError: some part has no form.
        """
        at = at or {}
        key = (id(polynomial), tuple(sorted(at.items())))
        if key not in self._seen:
            self._kept.append(polynomial)  # an id is its own only while its object lives
            self._seen[key] = self._follow(polynomial, at)
        return self._seen[key]

    def _follow(self, polynomial: Poly, at: Substitution) -> Node:
        match polynomial.made:
            case ("add", left, right):
                return self.add(self.follow(left, at), self.follow(right, at))
            case ("times", inner, value):
                return self.times(self.follow(inner, at), value)
            case ("scaled", inner, value, powers):
                return self.times(self.follow(inner, at), value, _rescaled(powers, at))
            case ("mul", left, right):
                return self.mul(self.follow(left, at), self.follow(right, at))
            case ("T", inner):
                return self.transposed(self.follow(inner, at))
            case ("substitute", inner, replacements):
                return self.follow(inner, self._at(replacements, at))
            case ("rescaled", inner, power):  # α c^power for α
                return self.follow(inner, {**at, RESCALED: at.get(RESCALED, 0) + power})
            case ("rewrite", inner, rules):
                self._use(rules, at)
                return self.follow(inner, at)
            case ("assuming", inner, rewritings):
                self.rewritings += [rewriting for rewriting in rewritings if rewriting not in self.rewritings]
                return self.follow(inner, at)
            case ("called", inner, name):
                node = self.follow(inner, at)
                self.named.setdefault(node, name)
                return node
            case ("gradient", source, name):
                return self._derived(Derivative(source, polynomial, name=name), at, f"grad_{name}")
            case ("polarise", source, directions):
                along = tuple(sorted(directions.items()))
                return self._derived(Derivative(source, polynomial, directions=along), at, "along")
        if len(polynomial) > 1:
            self.bare.append(polynomial)
        return self.words(polynomial, at)

    def _at(self, replacements: Mapping[str, Poly], at: Substitution) -> Substitution:
        return {**at, **{name: self.follow(poly, at) for name, poly in replacements.items()}}

    def _use(self, rules: tuple[Rule, ...], at: Substitution) -> None:
        for rule in rules:
            names = {name.rstrip("'") for name in (rule.left, rule.right, rule.result or "") if name}
            if names & set(at):
                raise CannotExportError(
                    f"a rule about {', '.join(sorted(names & set(at)))}, which is substituted afterwards"
                )
            if rule not in self.rules:
                self.rules.append(rule)

    def _derived(self, derivative: Derivative, at: Substitution, name: str) -> Node:
        if all(known.result is not derivative.result for known in self.derivatives):
            self.derivatives.append(derivative)
        node = self.words(derivative.result, at)
        self.named.setdefault(node, name)
        return node
