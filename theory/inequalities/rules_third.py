"""Rules about averages over the tasks beyond the second moment; FO-MAML's step depends on three heads at a time.

Θ = mean (aᵀw_{*,i}) w_{*,i}w_{*,i}ᵀ with a = Aᵀw; q = mean ‖w_{*,i}‖²w_{*,i}; t = mean ‖w_{*,i}‖² = tr Ψ_*; t_A = mean
‖Aw_{*,i}‖².
"""

from metarep.theory.calculus.words import Poly, find_letter, identity, letter_poly
from metarep.theory.inequalities.core import Context, Judgement, Line
from metarep.theory.inequalities.polynomials import Polynomial
from metarep.theory.inequalities.rules import rule
from metarep.theory.inequalities.syntax import NotAccepted


def _letter(name: str) -> Poly:
    return letter_poly(find_letter(name).code)


def _used(line: Line, used: list[Judgement], *wanted: tuple[str, Poly]) -> list[Polynomial]:
    """The bounds of the lines used, after a check of their kinds and of what they are about."""
    if [judgement.kind for judgement in used] != [kind for kind, _ in wanted]:
        raise NotAccepted(f"the rule {line.rule!r} needs lines that say {', '.join(kind for kind, _ in wanted)}")
    bounds = []
    for judgement, (_, of) in zip(used, wanted, strict=True):
        if judgement.of != of:
            raise NotAccepted(f"a line used by {line.rule!r} is about something else")
        if not isinstance(judgement.bound, Polynomial):
            raise NotAccepted("a bound by a number is needed")
        bounds.append(judgement.bound)
    return bounds


EACH = Poly(("s", "1"))


@rule("third", r"\|w_{*,i}\| \le W,\ \|A^\top w\| \le p,\ \Psi_* \preceq q \Rightarrow \|\Theta\| \le pWq")
def _third(context: Context, line: Line, used: list[Judgement]) -> Judgement:
    """Θ is a mean of s_i w_{*,i}w_{*,i}ᵀ with |s_i| ≤ ‖Aᵀw‖ W, so −pW Ψ_* ⪯ Θ ⪯ pW Ψ_*."""
    of_w = _letter("A_mix").T * _letter("w")
    W, p, q = _used(line, used, ("each", EACH), ("norm", of_w), ("below", _letter("Psi_star")))
    return Judgement("norm", _letter("Third"), p * W * q)


@rule("third-vector", r"\|w_{*,i}\| \le W,\ |t| \le p \Rightarrow \|q\| \le Wp")
def _third_vector(context: Context, line: Line, used: list[Judgement]) -> Judgement:
    """‖mean ‖w_{*,i}‖²w_{*,i}‖ ≤ W mean ‖w_{*,i}‖²."""
    W, p = _used(line, used, ("each", EACH), ("norm", _letter("t_star")))
    return Judgement("norm", _letter("q_third"), W * p)


@rule("turned", r"A \text{ square},\ \|I - AA^\top\| \le p \Rightarrow \|I - A^\top A\| \le p")
def _turned(context: Context, line: Line, used: list[Judgement]) -> Judgement:
    """AᵀA and AAᵀ have the same eigenvalues for square A (k×s with s = k)."""
    A = _letter("A_mix")
    (p,) = _used(line, used, ("norm", identity("k") - A * A.T))
    return Judgement("norm", identity("s") - A.T * A, p)


@rule("trace", r"\|I - A^\top A\| \le p,\ |t| \le q \Rightarrow |t - t_A| \le pq")
def _trace(context: Context, line: Line, used: list[Judgement]) -> Judgement:
    """t − t_A = mean w_{*,i}ᵀ(I − AᵀA)w_{*,i}, at most p mean ‖w_{*,i}‖² in size."""
    A = _letter("A_mix")
    p, q = _used(line, used, ("norm", identity("s") - A.T * A), ("norm", _letter("t_star")))
    return Judgement("norm", _letter("t_star") - _letter("Bent"), p * q)
