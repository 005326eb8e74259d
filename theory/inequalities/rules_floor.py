"""Rules that bound dist from below for ever: where a direction of the truth is missed, or where B keeps to one form."""

from metarep.theory.calculus.words import Poly, Rule, find_letter, letter_poly
from metarep.theory.inequalities.core import Context, Judgement, Line
from metarep.theory.inequalities.polynomials import Polynomial
from metarep.theory.inequalities.reduction import reduce_words
from metarep.theory.inequalities.rules import rule
from metarep.theory.inequalities.syntax import NotAccepted, matrix

NUMBER = Poly(("1", "1"))
STATES = ("x_form", "y_form", "z_form")
"""The numbers of a form, 1×1 letters; m_form is one that is free at every step."""


def _letter(name: str) -> Poly:
    return letter_poly(find_letter(name).code)


@rule(
    "multiplied",
    r"V^\top w_{*,i} = 0,\ V^\top B_*^\top B^+ = V^\top B_*^\top B N,\ "
    r"B_{*\perp}^\top B^+ = B_{*\perp}^\top B N \Rightarrow "
    r"\mathrm{dist}(B_t, B_*) \ge \min_y \|Y_0 y\|/\|[X_0; Y_0] y\|",
)
def _multiplied(context: Context, line: Line, used: list[Judgement]) -> Judgement:
    """Let V (s×r, r ≥ 1, orthonormal) span what no head uses, X = VᵀB_*ᵀB. Then [X; Y]_t = [X; Y]_0 M_t, M_t the
    product of the N's. The k − r equations (the rest of B_*)ᵀB_t v = 0 have a solution v ≠ 0 (s = k), and while B_t has
    full rank 0 < ‖B_t v‖ = ‖[X; Y]_t v‖, so that y = M_t v ≠ 0 and dist ≥ ‖Y_t v‖/‖B_t v‖ = ‖Y_0 y‖/‖[X_0; Y_0] y‖.
    """
    if [judgement.kind for judgement in used] != ["equal", "equal"] or len(line.given) != 1:
        raise NotAccepted("needs two identities, and N")
    N, B, B_next = matrix(line.given[0]), _letter("B"), _letter("B_next")
    for judgement, left in zip(used, (_letter("B_star") * _letter("V_rest"), _letter("B_perp")), strict=True):
        if judgement.of != left.T * B_next or judgement.bound != left.T * B * N:
            raise NotAccepted("an identity is not VᵀB_*ᵀB⁺ = VᵀB_*ᵀBN, or not B_{*⊥}ᵀB⁺ = B_{*⊥}ᵀBN")
    return Judgement("floor", NUMBER, Polynomial())


@rule("form", r"(B, w) \text{ of one form in numbers } x, y, z \Rightarrow (B^+, w^+) \text{ too}")
def _form(context: Context, line: Line, used: list[Judgement]) -> Judgement:
    """Induction over the steps: the forms of B and w, put into the step, give the same forms with other numbers, by
    identities in words (B_0ᵀB_0 = I; the tasks' mean is m ŵ with any number m at every step); B has its form at the
    start with x = y = 0.
    """
    if used or len(line.given) != 5 or context.step is None or context.step.at_zero:
        raise NotAccepted("is given the forms of B and w and the next x, y, z, for a learner's step")
    step = context.step
    form_B, form_w, *following = (matrix(text) for text in line.given)
    if not (step.grad_B.letters() | step.grad_w.letters()) <= {"B", "w", "B_star", "w_bar"}:
        raise NotAccepted("the step depends on more of the tasks than their mean")
    known = {"B_zero", "B_star", "w_one", "m_form", *STATES}
    if not all(part.letters() <= known for part in (form_B, form_w, *following)):
        raise NotAccepted("a form is in B_0, B_*, ŵ and numbers")
    zero = {name: NUMBER for name in ("x_form", "y_form")}
    if "m_form" in form_B.letters() | form_w.letters() or form_B.substitute(zero) != _letter("B_zero"):
        raise NotAccepted("B is not B_0 at x = y = 0, or a form depends on the step's own number")
    here = {"B": form_B, "w": form_w, "w_bar": _letter("w_one") * _letter("m_form")}
    after: dict[str, Poly] = dict(zip(STATES, following, strict=True))
    for form, gradient in ((form_B, step.grad_B), (form_w, step.grad_w)):
        moved = form - gradient.substitute({n: here[n] for n in gradient.letters() & here.keys()}).scaled(beta=1)
        left = moved - form.substitute({name: after[name] for name in form.letters() & after.keys()})
        if reduce_words(left).rewrite((Rule("B_zero'", "B_zero", ""),)):
            raise NotAccepted("after a step the form is another")
    return Judgement("form", form_B, Polynomial())


@rule(
    "kept-columns",
    r"B_t = B_0 + p_t u^\top,\ k \ge 2 \Rightarrow \mathrm{dist}(B_t, B_*) \ge \sigma_2(B_{*\perp}^\top \hat B_0)",
)
def _kept_columns(context: Context, line: Line, used: list[Judgement]) -> Judgement:
    """On the k − 1 dimensions v ⊥ u, B_t v = B_0 v, so that dist ≥ max over them of ‖B_{*⊥}ᵀB_0v‖/‖B_0v‖ ≥ σ_2 by
    Courant and Fischer.
    """
    if [judgement.kind for judgement in used] != ["form"] or len(line.given) != 2:
        raise NotAccepted("needs a form, p and u")
    p, u = (matrix(text) for text in line.given)
    if used[0].of != _letter("B_zero") + p * u.T or p.shape[1] != "1" or u.letters() & set(STATES):
        raise NotAccepted("the form of B is not B_0 + p uᵀ with a fixed u")
    return Judgement("floor", NUMBER, Polynomial())
