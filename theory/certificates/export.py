"""What a claim's proof becomes in Coq: the text of its file, what stands in it, and what of the proof does not."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib.resources import files

from metarep.theory.calculus.words import Poly, find_letter
from metarep.theory.certificates.bounds import bounds_text
from metarep.theory.certificates.coq import HEADER, Theorem
from metarep.theory.certificates.degrees import instead_of_facts
from metarep.theory.certificates.derivations import Questions
from metarep.theory.certificates.terms import CannotExportError, Derivative, Graph, Node
from metarep.theory.claims.record import Claim
from metarep.theory.inequalities.core import Checked

LIBRARIES = ("WordCalculus.v", "PolynomialBounds.v")
"""The Coq libraries that the claims' files require, each after those that it requires itself."""


@dataclass(frozen=True)
class Certificate:
    """A claim as Coq: the file's text, the identities and the polynomial inequalities in it, and what of the proof is
    not in it.

    ``text`` is empty where nothing can be exported; ``why`` says the reason.
    """

    claim: str
    text: str
    identities: tuple[str, ...]
    left_out: tuple[str, ...]
    why: str = ""
    bounds: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """A hash of all that Coq reads: the text and the libraries that it requires; "" where there is no text."""
        read = [library_text(name) for name in LIBRARIES if name.removesuffix(".v") in self.text]
        return sha256("".join([*read, self.text]).encode()).hexdigest() if self.text else ""


@cache
def library_text(name: str) -> str:
    """A Coq library's text."""
    return files("metarep.theory.certificates").joinpath(name).read_text(encoding="utf-8")


def export(claim: Claim) -> Certificate:
    """The Coq file of a claim's proof: every comparison that has a form, and the derivatives whose words it uses."""
    if claim.proof is None:
        return Certificate(claim.id, "", (), (), "it has no proof in words")
    proof = claim.proof()
    if isinstance(proof, Checked):
        return export_derivation(claim.id, proof)
    if not proof.complete:
        return Certificate(
            claim.id, "", (), (), "its proof has steps by hand" if proof.holds else "its proof does not hold"
        )
    return export_identities(claim.id, [*proof.identities, *instead_of_facts(claim.id)], proof.facts)


def export_identities(
    claim_id: str, identities: Iterable[tuple[str, Poly, Poly]], facts: Iterable[str] = (), in_words: bool = False
) -> Certificate:
    """``export`` of given comparisons (what, left, right); facts are what a proof decided otherwise. ``in_words``: the
    comparisons are of words, so that it is nothing left out if an expression is known by its words only.
    """
    theorems, names, left_out = [], [], [f"decided by looking at the words: {fact}" for fact in facts]
    waiting: list[Derivative] = []
    for number, (what, left, right) in enumerate(identities, 1):
        try:
            theorem, used = equation(what, left, right)
            more = _derivatives(used, waiting)
            if theorem.left == theorem.right:
                left_out.append(f"{what}: both sides are the same expression")
                continue
            new = [made.text(f"derivative_{len(waiting) + i}") for i, (_, made) in enumerate(more, 1)]
        except CannotExportError as error:
            left_out.append(f"{what}: {error}")
            continue
        if (bare := theorem.graph.bare) and not in_words:
            left_out.append(f"{what}: how expressions of {', '.join(str(len(x)) for x in bare)} words were found")
        waiting += [found for found, _ in more]
        theorems += [*new, theorem.text(f"identity_{number}")]
        names += [*(f"derivative: {found.name or 'along directions'}" for found, _ in more), what]
    if not theorems:
        return Certificate(claim_id, "", (), tuple(left_out), left_out[0] if left_out else "nothing is compared")
    return Certificate(claim_id, "\n".join([HEADER, *theorems]), tuple(names), tuple(left_out))


def export_derivation(claim_id: str, checked: Checked) -> Certificate:
    """``export`` of what the core asked when it accepted a derivation: identities in words, inequalities p ≤ q."""
    if not checked.accepted:
        return Certificate(claim_id, "", (), (), "the core does not accept its derivation")
    questions, proof = Questions(checked), checked.derivation
    rules = (
        f"that its {len(checked.rules_used)} rules are sound, and that its {len(proof.lines)} lines follow by them",
    )
    step = () if checked.step is None else ("that the step is the learner's, averaged over the tasks",)
    found = export_identities(claim_id, questions.identities, in_words=True)
    text, left_out = found.text, (*rules, *step, *found.left_out)
    if questions.bounds:
        text = f"{text or HEADER}\n{bounds_text(proof.region, questions.bounds)}"
    why = "" if text else f"its {len(proof.lines)} lines compare nothing by themselves, and its rules are the core's"
    return Certificate(claim_id, text, found.identities, left_out, why, tuple(what for what, *_ in questions.bounds))


def _derivatives(used: list[Derivative], known: list[Derivative]) -> list[tuple[Derivative, Theorem]]:
    """Those used that are not known yet, and those that saying so uses, with the theorems that say so."""
    found: list[tuple[Derivative, Theorem]] = []
    stack = list(used)
    while stack:
        new = stack.pop()
        if all(old.result is not new.result for old in (*known, *(old for old, _ in found))):
            theorem, more = derivative(new)
            found.append((new, theorem))
            stack += more
    return found


def equation(what: str, left: Poly, right: Poly) -> tuple[Theorem, list[Derivative]]:
    """The theorem that two polynomials are equal, and the derivatives that it uses the words of.

    Raises:
        CannotExportError: some part has no form.
    """
    graph = Graph()
    sides = graph.follow(left), graph.follow(right)
    return Theorem(_plain(what), graph, *sides), graph.derivatives


def derivative(found: Derivative) -> tuple[Theorem, list[Derivative]]:
    """The theorem that ``found.result`` is the derivative of ``found.source``, in a ring with an ε of square zero.

    A gradient: F(X + ε x yᵀ) = F(X) + ε xᵀ∇y for all columns x, y (entry by entry: x and y unit vectors). Along
    directions: F(X + ε δX, ...) = F(X, ...) + ε (the derivative).

    Raises:
        CannotExportError: some part has no form.
    """
    graph = Graph()

    def small(node: Node) -> Node:
        return graph.node("pow", ("eps", 1, node), *graph.shape(node))

    if found.name:
        letter = find_letter(found.name)
        x = graph.node("var", ("x_dir",), letter.rows, "1")
        direction, change = x, graph.mul(graph.transposed(x), graph.words(found.result, {}))
        if letter.cols != "1":
            y = graph.node("var", ("y_dir",), letter.cols, "1")
            direction, change = graph.mul(x, graph.transposed(y)), graph.mul(change, y)
        moved = {found.name: graph.add(graph.letter(found.name), small(direction))}
        what = (
            f"the gradient by {found.name}: F(X + eps x y^T) = F(X) + eps x^T (gradient) y for every x, y, if eps^2 = 0"
        )
    else:
        moved = {x: graph.add(graph.letter(x), small(graph.letter(dx))) for x, dx in found.directions}
        change = graph.words(found.result, {})
        what = "the derivative along directions: F(X + eps dX) = F(X) + eps (derivative), if eps^2 = 0"
    left = graph.follow(found.source, moved)
    right = graph.add(graph.follow(found.source), small(change))
    return Theorem(what, graph, left, right, nilpotent=("eps",)), graph.derivatives


def _plain(what: str) -> str:
    return what.replace("(*", "( *").replace("*)", "* )").replace('"', "'")
