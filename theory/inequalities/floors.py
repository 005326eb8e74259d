"""Where dist stays away from 0 for ever, as derivations: a direction that no task uses; the average-loss baseline."""

from collections.abc import Callable

from metarep.theory.inequalities.core import Checked, Derivation, Line, Region, Says, check
from metarep.theory.inequalities.one_step import FREE, factored_step
from metarep.theory.inequalities.theorems import learner_step

ALONG = "B_zero.T*B_star*w_one"
"""u = B_0ᵀθ̂, θ̂ = B_*ŵ."""
P = f"x_form*B_zero*{ALONG} + y_form*B_star*w_one"
RESIDUAL_B = f"z_form*(1 + x_form*({ALONG}).T*{ALONG})"
RESIDUAL_TRUTH = f"(z_form*y_form*({ALONG}).T*{ALONG} - m_form)"


def diversity_needed(name: str) -> Checked:
    """If no head (for average loss: no mean) uses V: dist(B_t, B_*) ≥ min_y ‖Y_0y‖/‖[X_0; Y_0]y‖ at full rank."""
    N = "I_k - beta*F_mean"
    sides = (("V_rest.T*B_star.T*B_next", f"V_rest.T*B_star.T*B*({N})"), ("B_perp.T*B_next", f"B_perp.T*B*({N})"))
    identities = tuple(Line("identity", Says("equal", left, right)) for left, right in sides)
    last = Line("multiplied", Says("floor", "1"), (1, 2), (N,))
    proof = Derivation(f"diversity is needed: {name}", Region(FREE), (), (*identities, last))
    return check(proof, factored_step(name))


def baseline_floor() -> Checked:
    """Average loss, B_0ᵀB_0 ∝ I, w_0 ∥ B_0ᵀθ̄, means along one direction: dist(B_t, B_*) ≥ σ_2(B_{*⊥}ᵀB̂_0)."""
    uu, mm = f"({ALONG}).T*{ALONG}", "w_one.T*w_one"
    p, q = RESIDUAL_B, RESIDUAL_TRUTH
    shrink = f"{p} + {q} + x_form*{p}*{uu} + x_form*{q}*{uu} + y_form*{p}*{uu} + y_form*{q}*{mm}"
    form = Line(
        "form",
        Says("form", "1"),
        (),
        (
            f"B_zero + ({P})*({ALONG}).T", f"z_form*{ALONG}",
            f"x_form - beta*z_form*{p}", f"y_form - beta*z_form*{q}", f"z_form - beta*({shrink})",
        ),
    )  # fmt: skip
    last = Line("kept-columns", Says("floor", "1"), (1,), (P, ALONG))
    proof = Derivation("average loss keeps to one direction", Region(FREE), (), (form, last))
    return check(proof, learner_step("average-loss"))


FLOORS: dict[str, Callable[[], Checked]] = {
    **{
        f"diversity-needed-{name}": lambda name=name: diversity_needed(name)
        for name in ("fo-anil", "anil", "fo-maml", "maml", "average-loss")
    },
    "baseline-lower-bound": baseline_floor,
}
"""By the claims' ids."""
