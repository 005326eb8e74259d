"""The trusted core: it reads a finished derivation, recomputes every line, and accepts or refuses it.

A derivation is plain data (strings, tuples, whole numbers): what is assumed, what is kept from step to step, and lines.
Each line names a rule, the earlier lines it uses, and what it says; the rule computes what follows, and the core
compares. How a derivation was found plays no part. What is trusted: this module, the rules (``catalogue``), ``norms``,
``polynomials``, ``reduction``, ``syntax``, ``letters``, ``steps`` and the calculus's ``words`` and ``rationals``.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from fractions import Fraction
from typing import Any

from metarep.theory.calculus.words import Poly
from metarep.theory.inequalities.polynomials import Polynomial, clear_monomial, nonnegative, sum_of, variable
from metarep.theory.inequalities.reduction import letters_of
from metarep.theory.inequalities.steps import Step
from metarep.theory.inequalities.syntax import NotAccepted, matrix, scalar

KINDS = {
    "equal": "of = bound (word polynomials)",
    "norm": "‖of‖ ≤ bound",
    "below": "of ⪯ bound·I (of symmetric)",
    "above": "of ⪰ bound·I (of symmetric)",
    "each": "‖of‖ ≤ bound for every task (of: the head w_{*,i})",
    "distance": "dist(B, B_*)² ≤ bound",
    "odd": "the heads' odd moments vanish",
    "kept": "what is kept holds at every step",
    "form": "B_t and w_t are of one form at every step",
    "floor": "dist(B_t, B_*) ≥ a number of the start, at every step",
    "forever": "dist(B_T, B_*) ≤ Π_t bound_t for every T",
}


@dataclass(frozen=True)
class Says:
    """A statement as written: its kind (see ``KINDS``), the word polynomial it is about, and its bound ("" where the
    rule computes it).
    """

    kind: str
    of: str
    bound: str = ""


@dataclass(frozen=True)
class Line:
    """One step: the rule, what it says, the numbers of the lines it uses, and what else the rule is given."""

    rule: str
    says: Says
    uses: tuple[int, ...] = ()
    given: tuple[str, ...] = ()


@dataclass(frozen=True)
class Region:
    """The real variables: ranges, and how the paper's quantities are made of them.

    ``ranges``: (name, upper end as a fraction, or "" for none); each runs from 0. ``positive``: those that are not 0.
    ``symbols``: (name or "name**2", its value in them). ``relations``: (name, value) that hold besides, used where an
    inequality is not decided without. ``varying``: those that may differ from step to step.
    """

    ranges: tuple[tuple[str, str], ...]
    positive: tuple[str, ...] = ()
    symbols: tuple[tuple[str, str], ...] = ()
    relations: tuple[tuple[str, str], ...] = ()
    varying: tuple[str, ...] = ()


@dataclass(frozen=True)
class State:
    """A ghost variable of the induction: where it starts, and its value after a step. It stays in [0, 1]."""

    name: str
    start: str
    next: str


@dataclass(frozen=True)
class Derivation:
    """A finished proof, before it is checked.

    ``assumed`` holds at every step (tasks, step sizes), ``kept`` is the induction's hypothesis on B and w, ``start`` is
    assumed of B_0 and w_0. ``definitions`` are letters of this proof's own, after those of ``letters``. ``results``
    names lines that are statements of their own: by the induction they hold at every step.
    """

    title: str
    region: Region
    assumed: tuple[Says, ...]
    lines: tuple[Line, ...]
    kept: tuple[Says, ...] = ()
    start: tuple[Says, ...] = ()
    state: tuple[State, ...] = ()
    definitions: tuple[tuple[str, str], ...] = ()
    results: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True)
class Judgement:
    """What a line says, read: ``bound`` is a scalar polynomial, or for "equal" the other word polynomial."""

    kind: str
    of: Poly
    bound: Polynomial | Poly


@dataclass(frozen=True)
class Checked:
    """The core's answer: ``accepted``, and where not, ``refusal``; the judgements of the lines that were accepted."""

    derivation: Derivation
    step: Step | None
    accepted: bool
    refusal: str
    judgements: tuple[Judgement, ...] = field(repr=False)

    @property
    def holds(self) -> bool:
        """Whether the core accepts, by the name that proofs of identities use."""
        return self.accepted

    @property
    def rules_used(self) -> tuple[str, ...]:
        """The names of the rules that the lines use, each once, in order."""
        return tuple(dict.fromkeys(line.rule for line in self.derivation.lines))

    def result(self, name: str) -> Judgement:
        """A named line's judgement; it holds at every step if there is an induction. ``KeyError`` for another name."""
        return self.judgements[dict(self.derivation.results)[name] - 1]


ODD = Says("odd", "w_star_i", "0")
"""Heads of which every odd moment vanishes."""
PIECES = 48
"""Pieces that a range is cut into where a relation between two variables is used."""

Apply = Callable[["Context", Line, list[Judgement]], Judgement]
"""A rule's computation: what follows from the lines used. Raises ``NotAccepted`` where a hypothesis fails."""


class Context:
    """What the rules may ask: reading, definitions, equality of words, and inequalities on the region."""

    def __init__(self, derivation: Derivation, step: Step | None) -> None:
        self.derivation = derivation
        self.region = derivation.region
        self.box = {name: _upper_end(upper) for name, upper in self.region.ranges}
        if len(self.box) != len(self.region.ranges):
            raise NotAccepted("a variable has two ranges")
        if type(self.region.positive) is not tuple or type(self.region.varying) is not tuple:
            raise NotAccepted("the positive and the varying variables are tuples of names")
        if any(self.box.get(name) == 0 for name in self.region.positive):
            raise NotAccepted("a range is empty")
        self.plain: dict[str, Polynomial] = {}
        self.squares: dict[str, Polynomial] = {}
        for name, value in self.region.symbols:
            target = self.squares if name.endswith("**2") else self.plain
            key = name.removesuffix("**2")
            if key in self.plain or key in self.squares or (target is self.plain and key in self.box):
                raise NotAccepted(f"{key!r} is defined twice")
            target[key] = scalar(value).substitute(self.plain)
        for name, value in self.region.relations:
            self._relation(name, value)
        if "beta" in self.plain:
            self.need(Polynomial(), variable("beta"), "β ≥ 0")
        self.step = step
        self.missed = frozenset() if step is None else step.missed
        self.zero: dict[str, Poly] = {} if step is None else self._zero_letters(step)
        self._letters = letters_of(derivation.definitions, step, tuple(self.zero))

    def expand(self, polynomial: Poly) -> Poly:
        """In the base letters (``reduction.Letters``)."""
        return self._letters.expand(polynomial)

    def _zero_letters(self, step: Step) -> dict[str, Poly]:
        """What a step at w = 0, for centred or symmetric heads, lets one take as 0; the statement must say the same.

        w = 0 is kept, from w_0 = 0 on, since the head's gradient has no words then.
        """
        zero = {}
        if step.heads != "any":
            if Says("norm", "w_bar", "0") not in self.derivation.assumed:
                raise NotAccepted("the step is one for centred heads, and that is not assumed")
            zero["w_bar"] = Poly(("s", "1"))
        if step.heads == "symmetric" and ODD not in self.derivation.assumed:
            raise NotAccepted("the step is one for symmetric heads, and that is not assumed")
        if step.at_zero:
            nil = Says("norm", "w", "0")
            if step.grad_w or nil not in self.derivation.kept or nil not in self.derivation.start:
                raise NotAccepted("the step is one at w = 0, and w = 0 is not kept")
            zero["w"] = Poly(("k", "1"))
        return zero

    def equal(self, left: Poly, right: Poly) -> bool:
        """Whether two word polynomials are the same by their definitions, for all dimensions."""
        if left.shape != right.shape:
            return False
        return not self.expand(left - right)

    def speaks_of_inverse(self, side: Poly | Polynomial) -> bool:
        """Whether a word polynomial has G⁻¹ in it, by its letters' definitions."""
        if not isinstance(side, Poly):
            return False
        return any(name == "G_inv" or self._letters.has_inverse(name) for name in side.letters())

    def normal(self, polynomial: Polynomial) -> Polynomial:
        """In the region's own variables."""
        plain = polynomial.substitute(self.plain)
        pieces = []
        for key, value in plain.terms.items():
            product = Polynomial({tuple(pair for pair in key if pair[0] not in self.squares): value})
            for name, exponent in key:
                if name in self.squares:
                    half, odd = divmod(exponent, 2)
                    product = product * self.squares[name] ** half * variable(name, odd)
            pieces.append(product)
        result = sum_of(pieces)
        for key in result.terms:
            for name, exponent in key:
                if name not in self.box:
                    raise NotAccepted(f"no range is known for the variable {name!r}")
                if exponent < 0 and name not in self.region.positive:
                    raise NotAccepted(f"the variable {name!r}, which may be 0, stands below a fraction line")
        return result

    def depends_on(self, polynomial: Polynomial) -> set[str]:
        """The region's variables that a polynomial depends on, through every definition: y² = p makes y one of p's."""
        found: set[str] = set()
        pending = self.normal(polynomial).variables()
        while pending:
            name = pending.pop()
            found.add(name)
            if name in self.squares:
                pending |= self.normal(self.squares[name]).variables() - found
        return found

    def at_most(self, lower: Polynomial, upper: Polynomial) -> bool:
        """Whether lower ≤ upper is found on the whole region."""
        difference = clear_monomial(self.normal(upper - lower))
        if nonnegative(difference, self.box):
            return True
        return any(self._with_relation(difference, name, value) for name, value in self.region.relations)

    def _with_relation(self, difference: Polynomial, name: str, value: str) -> bool:
        """Decided with u = c − v: by putting it in, or on short pieces [e, e + δ] of v, on each of which u ≤ c − e."""
        if name not in difference.variables():
            return False
        if nonnegative(difference.substitute({name: scalar(value)}), self.box):
            return True
        other, total = self._relation(name, value)
        width = total / PIECES
        for piece in range(PIECES):
            start = width * piece
            box = {**self.box, other: width, name: total - start}
            if not nonnegative(difference.substitute({other: variable(other) + start}), box):
                return False
        return True

    def _relation(self, name: str, value: str) -> tuple[str, Fraction]:
        """(v, c) of a relation u = c − v. Refuses other forms, and one whose u or v does not range over [0, c]."""
        related = scalar(value)
        total, others = related.terms.get((), Fraction(0)), sorted(related.variables())
        if len(others) != 1 or related != total - variable(others[0]):
            raise NotAccepted("a relation is of the form u = c − v")
        if name in others or self.box.get(name) != total or self.box.get(others[0]) != total:
            raise NotAccepted("the variables of a relation u = c − v range over [0, c]")
        return others[0], total

    def need(self, lower: Polynomial, upper: Polynomial, what: str) -> None:
        """``at_most``, or refuse."""
        if not self.at_most(lower, upper):
            raise NotAccepted(f"not found on the region: {what}")

    def read(self, says: Says) -> Judgement:
        """A statement with its bound, as a judgement."""
        if says.kind == "equal":
            left, right = matrix(says.of), matrix(says.bound)
            if left.shape != right.shape:
                raise NotAccepted("the two sides have different shapes")
            return Judgement("equal", left, right)
        if says.kind == "each" and says.of == "w_star_i":
            return Judgement("each", Poly(("s", "1")), scalar(says.bound))
        if says.kind not in ("norm", "below", "above", "distance"):
            raise NotAccepted(f"unknown kind of statement {says.kind!r}")
        of = matrix(says.of)
        if says.kind == "distance" and not self.equal(of, matrix("B_perp.T*B")):
            raise NotAccepted("a distance is said of Y = B_{*⊥}ᵀB")
        if says.kind in ("below", "above") and not self.symmetric(of):
            raise NotAccepted(f"{says.of!r} is not symmetric")
        return Judgement(says.kind, of, scalar(says.bound))

    def symmetric(self, polynomial: Poly) -> bool:
        """Whether P = Pᵀ."""
        return polynomial.shape[0] == polynomial.shape[1] and (
            polynomial == polynomial.T or self.equal(polynomial, polynomial.T)
        )


def _upper_end(text: str) -> Fraction | None:
    """A range's upper end: a fraction of a few digits, None for no end."""
    if not re.fullmatch(r"(\d{1,12}(/[1-9]\d{0,11})?)?", text):
        raise NotAccepted(f"a range ends at {text!r:.40}; a whole number or a fraction p/q is read")
    return Fraction(text) if text else None


REFUSALS = (ValueError, TypeError, KeyError, AttributeError, IndexError, RecursionError, ArithmeticError)
"""What a malformed derivation can bring about, ``NotAccepted`` among them; nothing else is expected."""


def _only_plain_data(part: object) -> None:
    """Refuse anything but this module's records, tuples, strings and whole numbers (no subclass that pretends)."""
    if type(part) in (Derivation, Line, Says, Region, State):
        for entry in fields(part):  # type: ignore[arg-type]
            _only_plain_data(getattr(part, entry.name))
    elif type(part) is tuple:
        for entry in part:
            _only_plain_data(entry)
    elif type(part) not in (str, int):
        raise NotAccepted(f"a derivation is made of strings, whole numbers and tuples, not of {type(part).__name__}")


def check(derivation: Derivation, step: Step | None, rules: Mapping[str, Apply] | None = None) -> Checked:
    """Check every line of a derivation against the learner's own ``step`` (None where no step is spoken of).

    Never raises for a bad derivation: whatever is wrong with it, the answer is ``accepted=False`` with the reason.
    """
    from metarep.theory.inequalities.catalogue import RULES  # which imports this module

    table: Mapping[str, Any] = rules if rules is not None else {name: rule.apply for name, rule in RULES.items()}
    judgements: list[Judgement] = []
    number, inverted = 0, False
    try:
        if type(derivation) is not Derivation or not derivation.lines:
            raise NotAccepted("not a derivation, or one without lines")
        _only_plain_data(derivation)
        context = Context(derivation, step)
        for number, line in enumerate(derivation.lines, 1):
            if type(line) is not Line or line.rule not in table:
                raise NotAccepted(f"unknown rule {getattr(line, 'rule', line)!r}")
            if not all(type(use) is int and 1 <= use < number for use in line.uses):
                raise NotAccepted("a line may use earlier lines only")
            found = table[line.rule](context, line, [judgements[use - 1] for use in line.uses])
            inverted = inverted or line.rule == "inverse"
            if not inverted and any(context.speaks_of_inverse(side) for side in (found.of, found.bound)):
                raise NotAccepted("G⁻¹ is spoken of before BᵀB is known to be invertible")
            if line.says.kind != found.kind:
                raise NotAccepted(f"it says {line.says.kind!r}, and {found.kind!r} follows")
            if found.kind in ("norm", "below", "above", "equal") and matrix(line.says.of) != found.of:
                raise NotAccepted(f"what follows is not about {line.says.of!r}")
            if line.says.bound and found.kind != "equal" and scalar(line.says.bound) != found.bound:
                raise NotAccepted(f"the bound that follows is not {line.says.bound!r}, but {found.bound!r}")
            judgements.append(found)
    except REFUSALS as error:
        where = f"line {number}" if number else "the setting"
        return Checked(derivation, step, False, f"{where}: {error}", tuple(judgements))
    return Checked(derivation, step, True, "", tuple(judgements))
