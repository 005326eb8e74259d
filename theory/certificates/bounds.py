"""Polynomial inequalities as Coq lemmas: p ≤ q for all numbers of a derivation's region, over any ordered field.

The hypotheses are the region's: ranges, what is not 0, the definitions of the paper's quantities, relations. Each lemma
is one computation (``bound`` of PolynomialBounds.v) and ``bound_sound``.
"""

from collections.abc import Sequence
from fractions import Fraction
from functools import reduce
from typing import Any

from metarep.theory.certificates.coq import all_of, identifier
from metarep.theory.inequalities.core import Region
from metarep.theory.inequalities.polynomials import Polynomial
from metarep.theory.inequalities.syntax import scalar

Bound = tuple[str, Polynomial, Polynomial]
"""What for, p and q of p ≤ q."""
Term = tuple[Any, ...]
"""An operation and what it is applied to, as ``pexpr`` in PolynomialBounds.v has them."""

HEADER = """Require Import PolynomialBounds.
Import Num.Theory.
Local Open Scope ring_scope.

Section Bounds.
Variable R : realFieldType.
Local Notation num := (zr R).
"""


def bounds_text(region: Region, bounds: Sequence[Bound]) -> str:
    """The section of a Coq file with a lemma for each p ≤ q."""
    setting = _Setting(region)
    return f"{HEADER}{setting.text()}{''.join(setting.lemma(i, *b) for i, b in enumerate(bounds, 1))}End Bounds.\n"


class _Setting:
    """A region's variables by number, and its hypotheses."""

    def __init__(self, region: Region) -> None:
        self.own = len(region.ranges)
        self.values = [(name.removesuffix("**2"), 1 + name.endswith("**2"), scalar(p)) for name, p in region.symbols]
        named = [name for name, _ in region.ranges] + [name for name, _, _ in self.values]
        # The region's own variables come first; they alone remain when all definitions are used.
        self.number = {name: place for place, name in enumerate(dict.fromkeys(named))}
        self.ranges = [name for name, _ in region.ranges]
        self.tops = [(name, Fraction(upper)) for name, upper in region.ranges if upper]
        self.positive = region.positive
        links = [(u, scalar(value)) for u, value in region.relations]
        # u = c − v; of two that say the same, to cut the range of the second's v is the shorter search
        self.links = [(u, *p.variables(), p.terms[()]) for u, p in reversed(links)]

    def text(self) -> str:
        """Variables, hypotheses, and the same as data with the proof that the hypotheses say it."""
        x, at = identifier, self.number
        hypotheses = {
            f"rangesP at_ {self.own}": [(f"{x(v)}_0", f"0 <= {x(v)}") for v in reversed(self.ranges)],
            "positivesP at_ positives": [(f"{x(v)}_gt0", f"0 < {x(v)}") for v in self.positive],
            "topsP at_ tops": [(f"{x(v)}_1", f"{x(v)} <= {_quotient(top)}") for v, top in self.tops],
            "defsP at_ defs": [
                (f"{x(v)}_E", f"{x(v)}{' ^+ 2' if power == 2 else ''} = {_math(_term(value))}")
                for v, power, value in self.values
            ],
            "linksP at_ links": [
                (f"{x(u)}_link", f"{x(u)} = {_quotient(total)} - {x(v)}") for u, v, total in self.links
            ],
        }
        data = {
            "positives : seq nat": [f"{at[v]}%N" for v in self.positive],
            "tops : seq (nat * (Z * Z))": [f"({at[v]}%N, {_pair(top)})" for v, top in self.tops],
            "defs : seq (nat * nat * pexpr)": [
                f"({at[v]}%N, {power}%N, {self._data(_term(value))})" for v, power, value in self.values
            ],
            "links : seq (nat * nat * (Z * Z))": [
                f"({at[u]}%N, {at[v]}%N, {_pair(total)})" for u, v, total in self.links
            ],
        }
        cases = " ".join(f"| {place} => {x(v)}" for v, place in at.items())
        lines = [f"Variables ({' '.join(map(x, at))} : R)."]
        lines += [f"Hypothesis {name} : {said}." for group in hypotheses.values() for name, said in group]
        lines.append(f"Let at_ (i : nat) : R := match i with {cases} | _ => 0 end.")
        lines += [f"Definition {what} :=\n  [:: " + ";\n  ".join(items) + "]." for what, items in data.items()]
        lines += [
            f"Let given_{place} : {what} := {all_of(name for name, _ in group)}."
            for place, (what, group) in enumerate(hypotheses.items(), 1)
        ]
        return "\n".join(lines) + "\n\n"

    def lemma(self, number: int, what: str, lower: Polynomial, upper: Polynomial) -> str:
        """p ≤ q, with its proof."""
        p, q = _term(lower), _term(upper)
        return (
            f"(* {what} *)\n"
            f"Lemma check_bound_{number} : bound {self.own} positives tops defs links\n"
            f"  ({self._data(p)})\n  ({self._data(q)}) = true.\n"
            "Proof. vm_cast_no_check (erefl true). Qed.\n"
            f"Lemma bound_{number} :\n  {_math(p)}\n  <= {_math(q)}.\n"
            f"Proof. exact (bound_sound given_1 given_2 given_3 given_4 given_5 check_bound_{number}). Qed.\n\n"
        )

    def _data(self, term: Term) -> str:
        match term:
            case ("Num", value):
                return f"PNum ({value})"
            case ("Var", name):
                return f"PVar {self.number[name]}"
            case ("Pow", base, power):
                return f"PPow ({self._data(base)}) {power}"
        op, *below = term
        return f"P{op} {' '.join(f'({self._data(part)})' for part in below)}"


def _term(polynomial: Polynomial) -> Term:
    """The sum of the monomials, each a product of its coefficient and powers of its variables."""
    terms = []
    for key, value in polynomial.terms.items():
        factors: list[Term] = [("Num", value.numerator)] if value.numerator != 1 or not key else []
        for name, power in key:
            base: Term = ("Var", name) if abs(power) == 1 else ("Pow", ("Var", name), abs(power))
            factors.append(base if power > 0 else ("Inv", base))
        factors += [("Inv", ("Num", value.denominator))] if value.denominator != 1 else []
        terms.append(reduce(lambda a, b: ("Mul", a, b), factors))
    return reduce(lambda a, b: ("Add", a, b), terms) if terms else ("Num", 0)


def _math(term: Term) -> str:
    """A term in MathComp's notation; its value by ``ev`` up to computation."""
    match term:
        case ("Num", value):
            return f"num {value}" if value >= 0 else f"num ({value})"
        case ("Var", name):
            return identifier(name)
        case ("Pow", base, power):
            return f"{_math(base)} ^+ {power}"
        case ("Inv", inner):
            return f"({_math(inner)})^-1"
        case ("Mul", left, ("Inv", right)):
            return f"{_math(left)} / ({_math(right)})"
        case ("Mul", left, right):
            return f"{_math(left)} * {_math(right)}"
        case ("Add", left, right):
            return f"{_math(left)} + {_math(right)}"
    raise ValueError(f"no notation for {term[0]}")


def _quotient(value: Fraction) -> str:
    return f"num {value.numerator} / num {value.denominator}"


def _pair(value: Fraction) -> str:
    return f"({value.numerator}%coqZ, {value.denominator}%coqZ)"
