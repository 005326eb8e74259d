"""Identities as Coq files: the statement in MathComp's notation, and its proof by the reflective normal form.

A theorem is about matrices of any dimensions over any commutative ring R. Its hypotheses are the rules that the claim's
proof used, symmetric letters, that inverse scalars are inverse (α α⁻¹ = 1), that a half is a half; expressions that are
used more than once are definitions, t = .... The proof is one computation (``check``) and ``check_sound``.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from metarep.theory.calculus.alphabet import DIMENSIONS
from metarep.theory.calculus.words import Letter, Rule, find_letter
from metarep.theory.certificates.terms import CannotExportError, Graph, Node

HEADER = """From Coq Require Import ZArith.
From mathcomp Require Import all_ssreflect all_algebra.
Require Import WordCalculus.
Import GRing.Theory.
Set Warnings "-notation-overridden,-ambiguous-paths".
Local Open Scope ring_scope.
Local Open Scope word_scope. (* + *m ^T *: ... are MathComp's own, see the end of WordCalculus.v *)
"""
FUEL = 200
"""Rewriting steps a word, at most."""
SMALLEST_SHARED = 4
"""Terms of at least this size that are used more than once become definitions."""
MOST_WITH_NOTATION = 25
"""A theorem with more definitions has all dimensions written out: Coq would need long to find them."""
EXPLICIT = {
    "add": "madd",
    "opp": "mopp",
    "mul": "mmul",
    "tr": "mtr",
    "sca": "mscale",
    "half": "mscale",
    "pow": "mscale",
    "nat": "mtimes",
}
_BELOW_FROM = {"pow": 2, "nat": 1, "var": 1}
"""Where the terms begin among a term's arguments, of those that have others before."""
RESERVED = {"R", "S", "L", "D", "I", "E", "sc", "half", "dims"}


def identifier(name: str) -> str:
    """A Coq identifier for a name."""
    plain = re.sub(r"\W", "_", name.replace("^-1", "_inv"))
    return plain + "_" if plain in RESERVED else plain


def _known(name: str) -> Letter | None:
    try:
        return find_letter(name)
    except ValueError:
        return None


@dataclass
class Theorem:
    """left = right as Coq writes it, from a graph of terms."""

    comment: str
    graph: Graph
    left: Node
    right: Node
    nilpotent: tuple[str, ...] = ()
    letters: dict[str, int] = field(default_factory=dict)
    shapes: dict[str, tuple[str, str]] = field(default_factory=dict)
    scalars: dict[str, int] = field(default_factory=dict)
    defined: dict[Node, str] = field(default_factory=dict)
    dimensions: dict[str, int] = field(default_factory=lambda: {"1": 0})
    half: bool = False
    rules: list[tuple[tuple[str, ...], Node]] = field(default_factory=list)
    _written: dict[tuple[str, Node, bool], str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.rules = [self._rewriting(rule) for rule in self.graph.rules]
        self.rules += [(word, self.graph.words(result, {})) for word, result in self.graph.rewritings]
        for word, _ in self.rules:
            for name in word:
                found = find_letter(name.rstrip("'"))
                self._letter(found.name, found.rows, found.cols)
        used = self._used()
        for node in used:
            op, args, rows, cols = self.graph.nodes[node]
            for size in (rows, cols):
                self._dimension(size)
            if op == "var":
                self._letter(args[0], rows, cols)
            elif op == "pow":
                self._scalar(args[0])
            self.half |= op == "half"
        self._define(used)

    def _used(self) -> list[Node]:
        seen: set[Node] = set()
        stack = [self.left, self.right, *(result for _, result in self.rules)]
        while stack:
            node = stack.pop()
            if node not in seen:
                seen.add(node)
                stack += self._below(node)
        return sorted(seen)

    def _below(self, node: Node) -> list[Node]:
        op, args = self.graph.nodes[node][:2]
        return list(args[_BELOW_FROM.get(op, 0) :])

    def _dimension(self, name: str) -> int:
        return self.dimensions.setdefault(name, len(self.dimensions))

    def _letter(self, name: str, rows: str, cols: str) -> None:
        self.letters.setdefault(name, len(self.letters) + 1)
        self.shapes[name] = (rows, cols)
        for size in (rows, cols):
            self._dimension(size)

    def _scalar(self, name: str) -> None:
        for needed in (name.removesuffix("^-1"), name):
            self.scalars.setdefault(needed, len(self.scalars) + 1)

    def _define(self, used: list[Node]) -> None:
        count = dict.fromkeys(used, 0)
        size: dict[Node, int] = {}
        for node in used:
            below = self._below(node)
            size[node] = 1 + sum(1 if count[b] > 1 else size[b] for b in below)
            for b in below:
                count[b] += 1
        taken = {identifier(name) for name in (*self.letters, *self.scalars, *DIMENSIONS)}
        for node in used:
            hint = self.graph.named.get(node)
            shared = count[node] > 1 and size[node] >= SMALLEST_SHARED
            if node in (self.left, self.right) or not (shared or hint) or self.graph.nodes[node][0] in ("var", "zero"):
                continue
            number = len(self.defined) + 1
            name = next(n for n in (hint or f"t{number}", f"{hint or 't'}_{number}", f"def_{number}") if n not in taken)
            taken.add(name)
            _, _, rows, cols = self.graph.nodes[node]
            self.defined[node] = name
            self._letter(name, rows, cols)

    # --- writing

    def ast(self, node: Node, whole: bool = False, plain: bool = False) -> str:
        """The term as data (``whole``: its definition, not its name; ``plain``: no definitions' names in it)."""
        if node in self.defined and not (whole or plain):
            return f"Var {self.letters[self.defined[node]]}"
        key = ("ast", node, plain)
        if key not in self._written:
            self._written[key] = self._data(node, [f"({self.ast(below, plain=plain)})" for below in self._below(node)])
        return self._written[key]

    def _data(self, node: Node, inner: list[str]) -> str:
        op, args = self.graph.nodes[node][:2]
        match op:
            case "var":
                return f"Var {self.letters[args[0]]}"
            case "one":
                return "One"
            case "zero":
                return "Nul"
            case "mul":
                return f"Mul {self._dimension(self.graph.shape(args[0])[1])} {inner[0]} {inner[1]}"
            case "trace":
                return f"Trc {self._dimension(self.graph.shape(args[0])[0])} {inner[0]}"
            case "pow":
                return f"Pow {self.scalars[args[0]]} {args[1]} {inner[0]}"
            case "nat":
                return f"Nat {args[0]} {inner[0]}"
        return " ".join(({"add": "Add", "opp": "Opp", "tr": "Trn", "sca": "Sca", "half": "Hlf"}[op], *inner))

    def math(self, node: Node, whole: bool = False, plain: bool = False) -> str:
        """The term in MathComp's notation; its value by ``ev`` up to computation."""
        if node in self.defined and not (whole or plain):
            return self.defined[node]
        key = ("math", node, plain)
        if key not in self._written:
            self._written[key] = self._notation(node, [self.math(below, plain=plain) for below in self._below(node)])
        return self._written[key]

    def _notation(self, node: Node, inner: list[str]) -> str:
        op, args, _, _ = self.graph.nodes[node]
        if len(self.defined) > MOST_WITH_NOTATION and op in EXPLICIT:
            return self._explicit(node, inner)
        match op:
            case "var":
                return identifier(args[0])
            case "one":
                return f"(mone R {self.graph.shape(node)[0]})"
            case "zero":
                rows, cols = self.graph.shape(node)
                return f"(mzero R {rows} {cols})"
            case "add":
                return f"({inner[0]} + {inner[1]})"
            case "opp":
                return f"(- {inner[0]})"
            case "mul":
                return f"({inner[0]} *m {inner[1]})"
            case "tr":
                return f"{inner[0]}^T"
            case "sca":
                return f"(\\tr {inner[0]} *: {inner[1]})"
            case "half":
                return f"(half *: {inner[0]})"
            case "trace":
                return f"(\\tr {inner[0]} *: mone R 1)"
            case "nat":
                return f"({inner[0]} *+ {args[0]})"
            case "pow":
                power = f" ^+ {args[1]}" if args[1] > 1 else ""
                return f"({identifier(args[0])}{power} *: {inner[0]})"
        raise CannotExportError(f"no notation for {op}")

    def _explicit(self, node: Node, inner: list[str]) -> str:
        """The term with all dimensions written out."""
        op, args, rows, cols = self.graph.nodes[node]
        if op == "pow":
            inner.insert(0, f"(spow {identifier(args[0])} {args[1]})")
        elif op == "half":
            inner.insert(0, "half")
        elif op == "sca":
            inner[0] = f"(@mtrace R 1 {inner[0]})"
        elif op == "nat":
            inner.append(str(args[0]))
        sizes = (rows, self.graph.shape(args[0])[1], cols) if op == "mul" else (rows, cols)
        sizes = sizes[::-1] if op == "tr" else sizes
        return f"(@{EXPLICIT[op]} R {' '.join(sizes)} {' '.join(inner)})"

    def _type(self, name: str) -> str:
        rows, cols = self.shapes[name]
        return f"'M[R]_({rows}, {cols})"

    def _symmetric(self) -> list[tuple[str, bool]]:
        found = [(name, _known(name)) for name in self.letters if name not in self.defined.values()]
        return [(name, known.symmetry < 0) for name, known in found if known and known.symmetry]

    def _code(self, name: str) -> tuple[str, str]:
        """(code, notation) of a letter of a rule, with a trailing ' for the transpose."""
        found = find_letter(name.rstrip("'"))
        number, flipped = self.letters[found.name], name.endswith("'") and not found.symmetry
        return f"{2 * number + flipped}", identifier(found.name) + ("^T" if flipped else "")

    def _rewriting(self, rule: Rule) -> tuple[tuple[str, ...], Node]:
        """The product of a rule, and its result as a term."""
        word = (rule.left, rule.right)
        if rule.result is None:
            return word, self.graph.node("zero", (), _ends(rule.left)[0], _ends(rule.right)[1])
        if rule.result:
            found = self.graph.letter(rule.result.rstrip("'"))
            result = self.graph.transposed(found) if rule.result.endswith("'") else found
        else:
            result = self.graph.one(_ends(rule.left)[0])
        return word, self.graph.times(result, 1, rule.powers)

    def _rule(self, word: tuple[str, ...], result: Node) -> tuple[str, str]:
        """(as data, as hypothesis)."""
        codes, shown = zip(*map(self._code, word), strict=True)
        dims = ", ".join(f"{self._dimension(size)}%N" for size in self.graph.shape(result))
        pattern = "; ".join(f"{code}%positive" for code in codes)
        product = shown[-1]
        for letter in reversed(shown[:-1]):
            product = f"{letter} *m {product if ' ' not in product else f'({product})'}"
        return (
            f"({dims}, [:: {pattern}], {self.ast(result, plain=True)})",
            f"{product} = {self.math(result, plain=True)}",
        )

    def _table(self, name: str, side: int) -> str:
        cases = " ".join(f"| {n}%positive => {self.dimensions[self.shapes[x][side]]}" for x, n in self.letters.items())
        return f"Definition {name} (l : positive) : nat := match l with {cases} | _ => 0 end.\n"

    def text(self, label: str) -> str:
        """The theorem under that name, what it needs, and its proof."""
        letters = self.letters
        inverse = [name for name in self.scalars if name.endswith("^-1")]
        symmetric = self._symmetric()
        rules = [self._rule(*rule) for rule in self.rules]
        rows, cols = self.graph.shape(self.left)
        a, b = self.dimensions[rows], self.dimensions[cols]
        syms = "; ".join(f"({letters[name]}%positive, {str(skew).lower()})" for name, skew in symmetric)
        invs = "; ".join(
            f"({self.scalars[n.removesuffix('^-1')]}%positive, {self.scalars[n]}%positive)" for n in inverse
        )
        # either of a pair finds the other
        invs += "".join(
            f"; ({self.scalars[n]}%positive, {self.scalars[n.removesuffix('^-1')]}%positive)" for n in inverse
        )
        nils = "; ".join(f"({self.scalars[n]}%positive, tt)" for n in self.nilpotent if n in self.scalars)
        definitions = [(name, node) for node, name in self.defined.items()]
        defs = ";\n  ".join(
            f"({letters[n]}%positive, ({self.dimensions[self.shapes[n][0]]}%N, {self.dimensions[self.shapes[n][1]]}%N, "
            f"{self.ast(node, True)}))"
            for n, node in definitions
        )
        half = str(self.half).lower()
        settings = f"rows_{label} cols_{label} [:: {syms}] [:: {invs}] [:: {nils}] {half} {FUEL}%N"
        data = f"rules_{label} defs_{label} {a} {b} left_{label} right_{label}"

        out = [f"(* {self.comment} *)\n", self._table(f"rows_{label}", 0), self._table(f"cols_{label}", 1)]
        out.append(
            f"Definition rules_{label} : seq (nat * nat * seq positive * expr) := "
            f"[:: {'; '.join(data for data, _ in rules)}].\n"
            f"Definition defs_{label} : seq (positive * (nat * nat * expr)) :=\n  [:: {defs}].\n"
            f"Definition left_{label} : expr := {self.ast(self.left)}.\n"
            f"Definition right_{label} : expr := {self.ast(self.right)}.\n"
            f"Lemma check_{label} : check {settings} {data} = true.\n"
            "Proof. vm_cast_no_check (erefl true). Qed.\n"
        )
        free = [name for name in letters if name not in self.defined.values()]
        binders = ["(R : comRingType)"]
        if sizes := [name for name in self.dimensions if name != "1"]:
            binders.append(f"({' '.join(sizes)} : nat)")
        if self.scalars:
            binders.append(f"({' '.join(map(identifier, self.scalars))} : R)")
        binders.append("(half : R) (half_E : (half *+ 2)%R = 1)" if self.half else "")
        binders += [f"({identifier(name)} : {self._type(name)})" for name in free]
        binders += [f"(inverse_{i} : {identifier(n[:-3])} * {identifier(n)} = 1)" for i, n in enumerate(inverse)]
        binders += [f"(nil_{n} : {n} * {n} = 0)" for n in self.nilpotent if n in self.scalars]
        binders += [
            f"(symmetric_{i} : {identifier(n)}^T = {'- ' if skew else ''}{identifier(n)})"
            for i, (n, skew) in enumerate(symmetric)
        ]
        binders += [f"(rule_{i} : {shown})" for i, (_, shown) in enumerate(rules)]
        for name, node in definitions:
            binders += [f"({name} : {self._type(name)}) ({name}_E : {name} = {self.math(node, True)})"]
        statement = f"{self.math(self.left)}\n  = {self.math(self.right)} :> 'M[R]_({rows}, {cols})"
        out.append(f"Theorem {label}\n  " + "\n  ".join(filter(None, binders)) + f" :\n  {statement}.\nProof.\n")

        sizes_by = " ".join(f"| {n - 1} => {x}" for x, n in self.dimensions.items() if n)
        out.append(f"pose dims (i : nat) : nat := match i with {sizes_by} | _ => 0%N end.\n")
        cases = "\n  ".join(
            f"| {n}%positive => match a, b return 'M[R]_(D dims a, D dims b) with | "
            f"{'%N, '.join(str(self.dimensions[size]) for size in self.shapes[x])}%N => {identifier(x)} | _, _ => 0 end"
            for x, n in letters.items()
        )
        out.append(
            "pose L (l : positive) (a b : nat) : 'M[R]_(D dims a, D dims b) := match l with\n"
            f"  {cases}\n  | _ => 0 end.\n"
        )
        values = " ".join(f"| {n}%positive => {identifier(x)}" for x, n in self.scalars.items())
        out.append(f"pose sc (x : positive) : R := match x with {values} | _ => 0 end.\n")
        pairs = [f"inverse_{i}" for i in range(len(inverse))]
        flipped = [f"(etrans (mulrC _ _) inverse_{i})" for i in range(len(inverse))]
        out.append(
            f"exact (@check_sound {settings} R dims L sc {'half' if self.half else '0'}\n  "
            f"{all_of(f'symmetric_{i}' for i in range(len(symmetric)))} {all_of([*pairs, *flipped])} "
            f"{all_of(f'nil_{n}' for n in self.nilpotent if n in self.scalars)} {'half_E' if self.half else 'I'}\n  "
            f"{data}\n  {all_of(f'rule_{i}' for i in range(len(rules)))}\n  "
            f"{all_of(f'{name}_E' for name, _ in definitions)} check_{label}).\nQed.\n"
        )
        return "".join(out)


def _ends(name: str) -> tuple[str, str]:
    """(rows, columns) of a letter, transposed with a '."""
    found = find_letter(name.rstrip("'"))
    return (found.cols, found.rows) if name.endswith("'") else (found.rows, found.cols)


def all_of(names: Iterable[str]) -> str:
    """The proof of all of several statements."""
    proof = "I"
    for name in reversed(list(names)):
        proof = f"(conj {name} {proof})"
    return proof
