"""The rules of the calculus of inequalities, each stated once: its hypotheses, what follows, and why (a textbook line).

A rule is a function that reads the lines it uses and *computes* what follows; it refuses where a hypothesis is missing.
‖·‖ is the operator norm (Euclidean for columns), ⪯ the order of symmetric matrices. All scalar variables are ≥ 0, and a
bound of a norm is ≥ 0 since it bounds something that is.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass

from metarep.theory.calculus.words import Poly, find_letter, identity, letter_poly
from metarep.theory.inequalities.core import Apply, Context, Judgement, Line
from metarep.theory.inequalities.norms import norm_by_words, weight_of
from metarep.theory.inequalities.polynomials import Polynomial, constant, variable
from metarep.theory.inequalities.syntax import NotAccepted, matrix, scalar

BETA = variable("beta")


@dataclass(frozen=True)
class InferenceRule:
    """A rule: its name, what it says in LaTeX, the reason, and the computation."""

    name: str
    statement: str
    reason: str
    apply: Apply


RULES: dict[str, InferenceRule] = {}


def rule(name: str, statement: str) -> Callable[[Apply], Apply]:
    """Register a rule; the reason is the function's docstring."""

    def register(apply: Apply) -> Apply:
        RULES[name] = InferenceRule(name, statement, inspect.getdoc(apply) or "", apply)
        return apply

    return register


def only(line: Line, used: list[Judgement], *kinds: str) -> list[Judgement]:
    """The lines used, if they are of these kinds; else the core refuses."""
    if tuple(judgement.kind for judgement in used) != kinds:
        raise NotAccepted(f"the rule {line.rule!r} needs lines that say {', '.join(kinds)}")
    return used


def bound_of(judgement: Judgement) -> Polynomial:
    """The scalar bound of a judgement that is no identity."""
    if not isinstance(judgement.bound, Polynomial):
        raise NotAccepted("a bound by a number is needed")
    return judgement.bound


def _given(line: Line, count: int) -> list[Poly]:
    if len(line.given) != count:
        raise NotAccepted(f"the rule {line.rule!r} is given {count} expressions")
    return [matrix(text) for text in line.given]


def same(context: Context, left: Poly, right: Poly, what: str) -> None:
    """Refuse with ``what`` unless both are the same by their definitions."""
    if left != right and not context.equal(left, right):
        raise NotAccepted(what)


# ------------------------------------------------------------------------------------------------- leaves and rewording


@rule("assumption", r"what the statement assumes")
def _assumption(context: Context, line: Line, used: list[Judgement]) -> Judgement:
    """A hypothesis of the statement, or of the induction, about the current step."""
    only(line, used)
    if line.says not in (*context.derivation.assumed, *context.derivation.kept):
        raise NotAccepted("this is not assumed")
    return context.read(line.says)


@rule("identity", r"P = Q \text{ in words}")
def _identity(context: Context, line: Line, used: list[Judgement]) -> Judgement:
    """Both sides are expanded by the definitions of their letters; the difference has no words, so they are equal for
    all dimensions.
    """
    only(line, used)
    judgement = context.read(line.says)
    if not isinstance(judgement.bound, Poly) or not context.equal(judgement.of, judgement.bound):
        raise NotAccepted("the two sides differ")
    return judgement


@rule("replace", r"P = Q \Rightarrow \text{what is said of } P \text{ is true of } Q")
def _replace(context: Context, line: Line, used: list[Judgement]) -> Judgement:
    """Equals for equals."""
    if len(used) != 2 or used[1].kind != "equal" or used[0].kind not in ("norm", "below", "above"):
        raise NotAccepted("needs a bound and an identity")
    said, identity_ = used
    for old, new in ((identity_.of, identity_.bound), (identity_.bound, identity_.of)):
        if isinstance(new, Poly) and said.of == old:
            return Judgement(said.kind, new, said.bound)
    raise NotAccepted("the bound is about neither side of the identity")


@rule("weaken", r"p \le q \text{ on the region}")
def _weaken(context: Context, line: Line, used: list[Judgement]) -> Judgement:
    """A larger bound is a bound; that it is larger is decided in rational arithmetic on the whole region."""
    if len(used) != 1 or used[0].kind not in ("norm", "below", "above", "distance"):
        raise NotAccepted("needs one bound")
    bound, new = bound_of(used[0]), scalar(line.says.bound)
    low, high = (new, bound) if used[0].kind == "above" else (bound, new)
    context.need(low, high, f"the bound {line.says.bound!r}")
    return Judgement(used[0].kind, used[0].of, new)


# ------------------------------------------------------------------------------------------------------------- norms


@rule("words", r"\|\sum_j c_j X_{j1} \cdots X_{jl}\| \le \sum_j |c_j| \|X_{j1}\| \cdots \|X_{jl}\|")
def _words(context: Context, line: Line, used: list[Judgement]) -> Judgement:
    """Triangle inequality and submultiplicativity, ‖Xᵀ‖ = ‖X‖, ‖I‖ = 1: computed from the words of the polynomial and
    the bounds of their factors.
    """
    only(line, used, *["norm"] * len(used))
    of = matrix(line.says.of)
    return Judgement("norm", of, norm_by_words(of, [(judgement.of, bound_of(judgement)) for judgement in used]))


@rule("triangle", r"\|\sum_j c_j P_j\| \le \sum_j |c_j| \|P_j\|")
def _triangle(context: Context, line: Line, used: list[Judgement]) -> Judgement:
    """The triangle inequality for whole polynomials, with weights c_j = rational × power of β."""
    only(line, used, *["norm"] * len(used))
    weights = _given(line, len(used))
    of, bound = Poly(matrix(line.says.of).shape), Polynomial()
    for judgement, weight in zip(used, weights, strict=True):
        of = of + weight * judgement.of
        value, power = weight_of(weight)
        bound = bound + bound_of(judgement) * abs(value) * BETA**power
    return Judgement("norm", of, bound)


@rule("sum", r"P \succeq p,\ Q \succeq q \Rightarrow P + Q \succeq p + q;\ -P \preceq -p")
def _sum(context: Context, line: Line, used: list[Judgement]) -> Judgement:
    """Weyl's inequality for the least (or largest) eigenvalue of a sum; a negative weight turns the order round."""
    if not used or line.says.kind not in ("above", "below"):
        raise NotAccepted("needs bounds in the order of matrices")
    weights = _given(line, len(used))
    of, bound = Poly(matrix(line.says.of).shape), Polynomial()
    for judgement, weight in zip(used, weights, strict=True):
        value, power = weight_of(weight)
        wanted = line.says.kind if value > 0 else {"above": "below", "below": "above"}[line.says.kind]
        if judgement.kind != wanted:
            raise NotAccepted(f"a summand must be bounded {wanted} its weight")
        of = of + weight * judgement.of
        bound = bound + bound_of(judgement) * value * BETA**power
    return Judgement(line.says.kind, of, bound)


@rule("identity-matrix", r"I \succeq 1,\ I \preceq 1")
def _identity_matrix(context: Context, line: Line, used: list[Judgement]) -> Judgement:
    """The identity has the one eigenvalue 1."""
    only(line, used)
    of = matrix(line.says.of)
    if line.says.kind not in ("above", "below") or of != identity(of.shape[0]):
        raise NotAccepted("this is not the identity")
    return Judgement(line.says.kind, of, constant(1))


@rule("symmetric", r"\|P\| \le p,\ P = P^\top \Rightarrow -p \preceq P \preceq p")
def _symmetric(context: Context, line: Line, used: list[Judgement]) -> Judgement:
    """The norm of a symmetric matrix is its largest |eigenvalue|."""
    (said,) = only(line, used, "norm")
    if not context.symmetric(said.of):
        raise NotAccepted("the matrix is not symmetric")
    if line.says.kind not in ("above", "below"):
        raise NotAccepted("it says nothing in the order of matrices")
    return Judgement(line.says.kind, said.of, -bound_of(said) if line.says.kind == "above" else bound_of(said))


@rule("between", r"-p \preceq P \preceq p \Rightarrow \|P\| \le p")
def _between(context: Context, line: Line, used: list[Judgement]) -> Judgement:
    """The norm of a symmetric matrix is its largest |eigenvalue|; the lower bound may be larger than −p."""
    low, high = only(line, used, "above", "below")
    same(context, low.of, high.of, "the two bounds are about different matrices")
    context.need(-bound_of(high), bound_of(low), "lower bound ≥ −(upper bound)")
    return Judgement("norm", high.of, bound_of(high))


@rule("square", r"\|X\| \le p \Rightarrow X^\top X \preceq p^2")
def _square(context: Context, line: Line, used: list[Judgement]) -> Judgement:
    """λ_max(XᵀX) = ‖X‖² = λ_max(XXᵀ)."""
    (said,) = only(line, used, "norm")
    of = matrix(line.says.of)
    if of not in (said.of.T * said.of, said.of * said.of.T):
        raise NotAccepted("this is neither XᵀX nor XXᵀ")
    return Judgement("below", of, bound_of(said) * bound_of(said))


@rule("root", r"X^\top X \preceq q,\ q \le p^2,\ p \ge 0 \Rightarrow \|X\| \le p")
def _root(context: Context, line: Line, used: list[Judgement]) -> Judgement:
    """‖X‖² = λ_max(XᵀX) = λ_max(XXᵀ); the square root is replaced by a p whose square is larger."""
    (said,) = only(line, used, "below")
    of, bound = matrix(line.says.of), scalar(line.says.bound)
    if not any(said.of == product or context.equal(said.of, product) for product in _grams(of, said.of.shape)):
        raise NotAccepted("the line used is about neither XᵀX nor XXᵀ")
    context.need(Polynomial(), bound, "p ≥ 0")
    context.need(bound_of(said), bound * bound, "q ≤ p²")
    return Judgement("norm", of, bound)


def _grams(of: Poly, shape: tuple[str, str]) -> list[Poly]:
    return [product for product in (of.T * of, of * of.T) if product.shape == shape]


# -------------------------------------------------------------------------------------------- the order of matrices


@rule("gram", r"M \succeq 0 \Rightarrow X M X^\top \succeq 0;\ X X^\top \succeq 0")
def _gram(context: Context, line: Line, used: list[Judgement]) -> Judgement:
    """vᵀXMXᵀv = (Xᵀv)ᵀM(Xᵀv) ≥ 0."""
    (X,) = _given(line, 1)
    if not used:
        return Judgement("above", X * X.T, Polynomial())
    (middle,) = only(line, used, "above")
    context.need(Polynomial(), bound_of(middle), "M ⪰ 0")
    return Judgement("above", X * middle.of * X.T, Polynomial())


@rule("sandwich", r"M \succeq m \ge 0,\ XX^\top \succeq s \ge 0 \Rightarrow X M X^\top \succeq ms")
def _sandwich(context: Context, line: Line, used: list[Judgement]) -> Judgement:
    """XMXᵀ ⪰ m XXᵀ ⪰ m s: λ_min(XMXᵀ) ≥ λ_min(M) σ_min(X)² for a wide or square X."""
    middle, outer = only(line, used, "above", "above")
    (X,) = _given(line, 1)
    same(context, outer.of, X * X.T, "the second line is not about XXᵀ")
    context.need(Polynomial(), bound_of(middle), "m ≥ 0")
    context.need(Polynomial(), bound_of(outer), "s ≥ 0")
    return Judgement("above", X * middle.of * X.T, bound_of(middle) * bound_of(outer))


@rule("congruence", r"M \preceq m,\ m \ge 0,\ \|X\| \le n \Rightarrow X^\top M X \preceq n^2 m")
def _congruence(context: Context, line: Line, used: list[Judgement]) -> Judgement:
    """XᵀMX ⪯ m XᵀX ⪯ m n²."""
    middle, outer = only(line, used, "below", "norm")
    context.need(Polynomial(), bound_of(middle), "m ≥ 0")
    return Judgement("below", outer.of.T * middle.of * outer.of, bound_of(middle) * bound_of(outer) ** 2)


@rule(
    "contraction",
    r"\lambda \preceq A \preceq u,\ \beta(\lambda + u) \le 2 \Rightarrow \|I - \beta A\| \le 1 - \beta\lambda",
)
def _contraction(context: Context, line: Line, used: list[Judgement]) -> Judgement:
    """The eigenvalues of I − βA lie between 1 − βu ≥ −(1 − βλ) and 1 − βλ."""
    low, high = only(line, used, "above", "below")
    same(context, low.of, high.of, "the two bounds are about different matrices")
    context.need(BETA * (bound_of(low) + bound_of(high)), constant(2), "β(λ + u) ≤ 2")
    shown = matrix(line.says.of)
    same(context, shown, identity(low.of.shape[0]) - low.of.scaled(beta=1), "this is not I − βA")
    return Judgement("norm", shown, 1 - BETA * bound_of(low))


@rule("inverse", r"B^\top B \succeq g,\ hg \ge 1,\ h \ge 0 \Rightarrow 0 \prec G^{-1} \preceq h")
def _inverse(context: Context, line: Line, used: list[Judgement]) -> Judgement:
    """The eigenvalues of an inverse are the inverses: λ_max(G⁻¹) = 1/λ_min(G) ≤ 1/g ≤ h, where hg ≥ 1 makes g > 0, so
    that BᵀB is invertible (Neumann's ‖(I − Δ)⁻¹‖ ≤ 1/(1 − x) with g = 1 − x).
    """
    (said,) = only(line, used, "above")
    B = letter_poly(find_letter("B").code)
    same(context, said.of, B.T * B, "the line used is not about BᵀB")
    bound = scalar(line.says.bound)
    context.need(Polynomial(), bound, "h ≥ 0")
    context.need(constant(1), bound * bound_of(said), "hg ≥ 1")
    return Judgement("norm", letter_poly(find_letter("G_inv").code), bound)


@rule(
    "gap",
    r"A \text{ square},\ 0 \preceq G - AA^\top \preceq z,\ \|G^{-1}\| \le h"
    r" \Rightarrow \|I - A^\top G^{-1} A\| \le hz",
)
def _gap(context: Context, line: Line, used: list[Judgement]) -> Judgement:
    """For square A, AᵀG⁻¹A and G^{-1/2}AAᵀG^{-1/2} have the same eigenvalues, and I − G^{-1/2}AAᵀG^{-1/2} =
    G^{-1/2}(G − AAᵀ)G^{-1/2} lies between 0 and ‖G⁻¹‖z. With A = BᵀB_* (s = k) the left side is ‖(I − P)B_*‖², P the
    projector on col(B): the largest principal angle is the same seen from either subspace.
    """
    low, high, inverse = only(line, used, "above", "below", "norm")
    (A,) = _given(line, 1)
    if A.shape != ("k", "s"):
        raise NotAccepted("A is not k×s")
    B = letter_poly(find_letter("B").code)
    for judgement in (low, high):
        same(context, judgement.of, B.T * B - A * A.T, "the line used is not about BᵀB − AAᵀ")
    if inverse.of != letter_poly(find_letter("G_inv").code):
        raise NotAccepted("the last line is not about G⁻¹")
    context.need(Polynomial(), bound_of(low), "BᵀB − AAᵀ ⪰ 0")
    of = matrix(line.says.of)
    same(context, of, identity("s") - A.T * inverse.of * A, "this is not I − AᵀG⁻¹A")
    return Judgement("norm", of, bound_of(inverse) * bound_of(high))


@rule("moments", r"UU^\top + U\bar w_*^\top V^\top + V\bar w_* U^\top + V\Psi_*V^\top \succeq 0")
def _moments(context: Context, line: Line, used: list[Judgement]) -> Judgement:
    """The left side is the mean over the tasks of (U + Vw_{*,i})(U + Vw_{*,i})ᵀ."""
    only(line, used)
    U, V = _given(line, 2)
    mean, second = (letter_poly(find_letter(name).code) for name in ("w_bar", "Psi_star"))
    return Judgement("above", U * U.T + U * mean.T * V.T + V * mean * U.T + V * second * V.T, Polynomial())


@rule("distance", r"Y^\top Y \preceq z,\ \|G^{-1}\| \le h \Rightarrow \mathrm{dist}(B, B_*)^2 \le hz")
def _distance(context: Context, line: Line, used: list[Judgement]) -> Judgement:
    """With B̂ = BG^{-1/2}: dist² = ‖B_{*⊥}ᵀB̂‖² = ‖G^{-1/2}YᵀYG^{-1/2}‖ ≤ ‖Y‖²‖G⁻¹‖ (dist ≤ ‖Y‖/σ_min(B))."""
    square, inverse = only(line, used, "below", "norm")
    Y = letter_poly(find_letter("B_perp").code).T * letter_poly(find_letter("B").code)
    same(context, square.of, Y.T * Y, "the first line is not about YᵀY")
    if inverse.of != letter_poly(find_letter("G_inv").code):
        raise NotAccepted("the second line is not about G⁻¹")
    context.need(Polynomial(), bound_of(square), "z ≥ 0")
    return Judgement("distance", Y, bound_of(square) * bound_of(inverse))
