"""Statements about one step that follow from proved identities by a rule or two, as derivations for the core.

All at α = 1 by the scaling symmetry: μ, L, β stand for αμ_*, αL_*, β/α. No induction: what is assumed is assumed of one
step.
"""

from collections.abc import Callable
from functools import cache

from metarep.sim.learners import get_learner
from metarep.theory.calculus import alphabet as a
from metarep.theory.calculus.words import SCALARS, Poly, identity
from metarep.theory.dynamics.derive import task_gradients
from metarep.theory.dynamics.structure import TRUTH, split_update
from metarep.theory.inequalities import letters
from metarep.theory.inequalities.building import Lines
from metarep.theory.inequalities.core import Checked, Derivation, Region, Says, check
from metarep.theory.inequalities.steps import Step, stated_step, step_of

FREE = (("beta", ""), ("x", ""), ("y", ""), ("n", ""), ("lambda_min", ""), ("lambda_max", ""))


def factored_step(name: str) -> Step:
    """∇_B = B·F − B_*·C with F and C averages over the tasks (any learner), checked against its derived gradient."""
    gradients = tuple(gradient.substitute(TRUTH) for gradient in task_gradients(get_learner(name)))
    N, C = (_without_alpha(part) for part in split_update(get_learner(name)))
    minus_F = {key: value for key, value in (N - identity("k")).terms.items()}
    F = -Poly(N.shape, minus_F)
    lowered = {(_lower_beta(powers), scalars, core): value for (powers, scalars, core), value in F.terms.items()}
    averages = {"F_mean": Poly(F.shape, lowered), "C_mean": C}
    stated = (a.B * letters.F_mean - a.B_star * letters.C_mean, Poly(("k", "1")))
    return stated_step((gradients[0], Poly(("k", "1"))), stated, averages)


def _without_alpha(polynomial: Poly) -> Poly:
    """At α = 1; ``stated_step`` checks the gradient that comes of it."""
    index = SCALARS.index("alpha")
    total = Poly(polynomial.shape)
    for (powers, scalars, core), value in polynomial.terms.items():
        lowered = (*powers[:index], 0, *powers[index + 1 :])
        total = total + Poly(polynomial.shape, {(lowered, scalars, core): value})
    return total


def _lower_beta(powers: tuple[int, ...]) -> tuple[int, ...]:
    index = SCALARS.index("beta")
    return (*powers[:index], powers[index] - 1, *powers[index + 1 :])


def one_step_bound(name: str) -> Checked:
    """‖B_{*⊥}ᵀB⁺‖ ≤ ‖N‖ ‖B_{*⊥}ᵀB‖, N = I − βF the learner's right factor; any of the five."""
    b = Lines()
    assumed = (Says("norm", "Y", "y"), Says("norm", "N_any", "n"))
    Y, N = (b.assume(says) for says in assumed)
    b.words("Y*N_any", Y, N, called="B_perp.T*B_next")
    return check(
        Derivation(
            title=f"one step of {name}",
            region=Region(FREE),
            assumed=assumed,
            lines=tuple(b.lines),
            definitions=(("N_any", "I_k - beta*F_mean"),),
        ),
        factored_step(name),
    )


def contraction_rate() -> Checked:
    """FO-ANIL with β(λ_min + λ_max)(Ψ) ≤ 2: ‖B_{*⊥}ᵀB⁺‖ ≤ (1 − βλ_min(Ψ)) ‖B_{*⊥}ᵀB‖.

    The region has β = 2·share/(λ_min + λ_max), λ_min = least share of λ_max.
    """
    b = Lines()
    assumed = (
        Says("norm", "Y", "y"), Says("above", "Psi", "lambda_min"), Says("below", "Psi", "lambda_max"),
    )  # fmt: skip
    Y, low, high = (b.assume(says) for says in assumed)
    N = b.add("contraction", "norm", "N_right", "", (low, high))
    b.words("Y*N_right", Y, N, called="B_perp.T*B_next")
    region = Region(
        ranges=(("y", ""), ("half", "1"), ("total", "")),
        positive=("total",),
        symbols=(
            ("beta", "2*share/total"),
            ("lambda_min", "half*total"),
            ("lambda_max", "total - half*total"),
        ),
    )
    region = Region((*region.ranges, ("share", "1")), region.positive, region.symbols)
    return check(
        Derivation(
            title="one step of FO-ANIL by the spectrum of the adapted heads",
            region=region,
            assumed=assumed,
            lines=tuple(b.lines),
            definitions=(("N_right", "I_k - beta*Psi"),),
        ),
        _second_moment_step("fo-anil"),
    )


@cache
def _second_moment_step(name: str) -> Step:
    grad_B, grad_w = (gradient.substitute(TRUTH) for gradient in task_gradients(get_learner(name)))
    return step_of((grad_B, grad_w))


BALANCED = (
    Says("norm", "Delta", "0"), Says("below", "Y.T*Y", "z"), Says("above", "Psi_star", "mu**2"),
    Says("below", "Psi_star", "L**2"), Says("norm", "w", "omega"), Says("norm", "w_bar", "eta"),
)  # fmt: skip
"""αBᵀB = I, any w, any heads; z = dist², which is ‖Y‖² at balance."""


def _balanced_lines() -> tuple[Lines, dict[str, int]]:
    """λ_min(Ψ) ≥ μ²(1 − dist²) and λ_max(Ψ) ≤ L² at balance."""
    b = Lines()
    at: dict[str, int] = dict(
        zip(("Delta", "Y", "low", "high", "w", "w_bar"), (b.assume(says) for says in BALANCED), strict=True)
    )
    one_above, one_below = (b.add("identity-matrix", kind, "I_k") for kind in ("above", "below"))
    below = b.add("symmetric", "below", "Delta", "", (at["Delta"],))
    above = b.add("symmetric", "above", "Delta", "", (at["Delta"],))
    span = "I_k - Delta - Y.T*Y"
    positive = b.add("gram", "above", "Y.T*Y", "", (), ("Y.T",))
    AA = b.replace(b.sum("above", span, ("1", one_above), ("-1", below), ("-1", at["Y"])), "A_mix*A_mix.T")
    AA_below = b.replace(b.sum("below", span, ("1", one_below), ("-1", above), ("-1", positive)), "A_mix*A_mix.T")
    A = b.add("root", "norm", "A_mix", "1", (AA_below,))
    truth = b.add("sandwich", "above", "A_mix*Psi_star*A_mix.T", "", (at["low"], AA), ("A_mix",))
    rest = "Delta*w*w.T*Delta + Delta*w*w_bar.T*A_mix.T + A_mix*w_bar*w.T*Delta"
    small = b.words(rest, at["Delta"], at["w"], at["w_bar"], A)
    small_above = b.add("symmetric", "above", rest, "", (small,))
    small_below = b.add("symmetric", "below", rest, "", (small,))
    whole = f"{rest} + A_mix*Psi_star*A_mix.T"
    at["lower"] = b.replace(b.sum("above", whole, ("1", small_above), ("1", truth)), "Psi")
    turned = b.add("congruence", "below", "A_mix*Psi_star*A_mix.T", "", (at["high"], _transposed(b, A)))
    at["upper"] = b.replace(b.sum("below", whole, ("1", small_below), ("1", turned)), "Psi")
    at["A"] = A
    return b, at


def _transposed(b: Lines, A: int) -> int:
    return b.words("A_mix.T", A)


def _balanced_region() -> Region:
    """β = share/L² and μ² = r L², with share, r and z = dist² in [0, 1]."""
    return Region(
        ranges=(("share", "1"), ("r", "1"), ("z", "1"), ("L", ""), ("omega", ""), ("eta", ""), ("y", "")),
        positive=("L",),
        symbols=(("beta", "share/L**2"), ("mu**2", "r*L**2")),
    )


def head_diversity() -> Checked:
    """At αBᵀB = I, any w: λ_min(Ψ) ≥ αμ_*²(1 − dist²) (result "lower") and λ_max(Ψ) ≤ αL_*² (result "upper")."""
    b, at = _balanced_lines()
    b.name("lower", at["lower"])
    b.name("upper", at["upper"])
    return check(
        Derivation(
            title="head diversity at balance", region=_balanced_region(), assumed=BALANCED, lines=tuple(b.lines),
            results=b.results(),
        ),
        None,
    )  # fmt: skip


def balanced_step(name: str) -> Checked:
    """At αBᵀB = I, αβL_*² ≤ 1: ‖B_{*⊥}ᵀB⁺‖ ≤ (1 − αβμ_*²(1 − dist²)) ‖B_{*⊥}ᵀB‖; FO-ANIL and Exact ANIL."""
    b, at = _balanced_lines()
    length = Says("norm", "Y", "y")
    Y = b.assume(length)
    low, high = at["lower"], at["upper"]
    factor = "Psi"
    if name == "anil":
        u = b.replace(b.words("w - Delta*w - A_mix*w_bar", at["w"], at["Delta"], at["A"], at["w_bar"]), "u_bar")
        turned = "Delta*u_bar*w.T + w*u_bar.T*Delta"
        nil = b.words(turned, at["Delta"], at["w"], u)
        nil_above, nil_below = (b.add("symmetric", kind, turned, "", (nil,)) for kind in ("above", "below"))
        factor = f"Psi - ({turned})"
        low = b.replace(b.sum("above", factor, ("1", low), ("-1", nil_below)), "M_right")
        high = b.replace(b.sum("below", factor, ("1", high), ("-1", nil_above)), "M_right")
    N = b.add("contraction", "norm", "N_right", "", (low, high))
    b.words("Y*N_right", Y, N, called="B_perp.T*B_next")
    return check(
        Derivation(
            title=f"a balanced step of {name}", region=_balanced_region(), assumed=(*BALANCED, length),
            lines=tuple(b.lines),
            definitions=(("M_right", factor), ("N_right", "I_k - beta*M_right")),
        ),
        _second_moment_step(name),
    )  # fmt: skip


STATEMENTS: dict[str, Callable[[], Checked]] = {
    "one-step-contraction": lambda: one_step_bound("fo-anil"),
    **{f"one-step-bound-{n}": lambda n=n: one_step_bound(n) for n in ("anil", "fo-maml", "maml", "average-loss")},
    "one-step-contraction-rate": contraction_rate,
    "head-diversity-lower": head_diversity,
    "head-diversity-upper": head_diversity,
    "balanced-step-fo-anil": lambda: balanced_step("fo-anil"),
    "balanced-step-anil": lambda: balanced_step("anil"),
}
"""By the claims' ids."""
