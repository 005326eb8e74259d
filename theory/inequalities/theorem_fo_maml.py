"""FO-MAML from a close start with a small mean, for every T: every head mean, where FO-ANIL's theorem does not reach.

The step depends on three heads at a time: with c_i = wᵀw_i, C_3 = mean c_i w_{*,i}w_iᵀ, T_3 = mean c_i w_iw_iᵀ,
ϱ = mean r_iᵀΔ̄r_i, ς = mean c_i‖r_i‖²,
    ∇_B = B(I − wwᵀ)Ψ − B_*(C − C_3),    ∇_w = Δ(w − m) + Ψw − w(mᵀw + ϱ − ς).
Span and head drive each other now (by T_3, and by Δm), so that mass also flows back from υ to ξ; a small mean makes
the two flows fit. Route: our own.
"""

from dataclasses import dataclass

from metarep.theory.inequalities.core import Derivation, Region, Says, State
from metarep.theory.inequalities.theorem_fo_anil import KEPT, START, TASKS, Constants, closing, opening


@dataclass(frozen=True)
class CloseConstants(Constants):
    """αβL_*² ≤ c1/κ_*², β/α ≤ c2 κ_*⁻⁴, dist_0² ≤ c5 μ_*²/tr Ψ_*, η_* max‖w_{*,i}‖ ≤ c4 μ_*⁴/L_*².

    dist_T ≤ (1 − c αβμ_*²)^T. ``back``: the rate at which υ passes mass back to ξ; ``third`` and ``pull`` bound
    ‖C_3‖ and ‖T_3‖ over ‖w‖WL²; the others as for FO-ANIL, with E = 1.
    """

    c: str = "7/10"
    c1: str = "1/8"
    c2: str = "1/2"
    c4: str = "3/20"
    c5: str = "1/4"
    span: str = "9/10"
    head: str = "1"
    rate: str = "33/20"
    back: str = "3/5"
    inverse: str = "103/100"
    Psi: str = "26/25"
    mean: str = "26/25"
    cross: str = "103/100"
    third: str = "11/10"
    pull: str = "6/5"


def region(c: CloseConstants) -> Region:
    """a = αβL²κ², g = (β/α)κ⁴, S = ηWL²/μ⁴, n = η/W, ρ = μ_t²/L², σ = μ²/μ_t², share = dist_0² tr Ψ_*/μ²."""
    return Region(
        ranges=(
            ("a", c.c1), ("g", c.c2), ("S", c.c4), ("n", "1"), ("share", c.c5), ("d0", c.c5), ("rho", "1"),
            ("sigma", "1"), ("zeta", "1"), ("xi", "1"), ("upsilon", "1"), ("W", ""),
        ),
        positive=("a", "g", "n", "d0", "rho", "sigma"),
        symbols=(
            ("c", c.c),
            ("E", "1"),
            ("beta", "g*rho**2*sigma**2"),
            ("L**2", "a/(g*rho*sigma)"),
            ("mu**2", "a/(g*sigma)"),
            ("eta", "n*W"),
            ("W**2", "S*a*rho*sigma/(g*n)"),
            ("t", "share*a/(g*d0)"),
            ("X", f"({c.span})*a*d0"),
            ("H", f"({c.span})*({c.head})*g*d0*eta"),
            ("x", "X*xi"),
            ("z", "d0*zeta"),
            ("omega", "H*upsilon"),
            ("tau", "c*a*rho**2*sigma"),
            ("tau_least", "c*a*rho**2*sigma**2"),
        ),
        varying=("rho", "sigma"),
    )  # fmt: skip


MORE_TASKS = (*TASKS, Says("each", "w_star_i", "W"), Says("norm", "t_star", "t"))

RHO = "w.T*Delta*w - w.T*Delta*Delta*w - 2*w.T*Delta*A_mix*w_bar"
SIGMA = (
    "(w.T*Delta*w)*(w.T*w - w.T*Delta*w - 2*w.T*A_mix*w_bar + t_star)"
    " + (w.T*A_mix*w_bar)*(w.T*w - w.T*Delta*w) - 2*w.T*A_mix*Psi_star*A_mix.T*w + w.T*A_mix*q_third"
)
THIRD = "(w.T*Delta*w)*C_mix + Psi_star*A_mix.T*w*w.T*Delta + Third*A_mix.T"
DEFINITIONS = (
    ("C_third", THIRD),
    ("T_third", "A_mix*C_third + Delta*w*w.T*Psi"),
    ("rho_mean", f"{RHO} + t_star - Bent"),
    ("sigma_mean", SIGMA),
    ("N_right", "I_k - beta*Psi"),
    ("N_tilde", "N_right + beta*w*w.T*Psi"),
    ("Z_mix", "Delta*w*m_bar.T - Delta*Psi - w*w.T*Psi + T_third"),
    ("D_mix", "C_mix - C_third"),
)
STATED_B = "B*Psi - B*w*w.T*Psi - B_star*C_mix + B_star*C_third"
STATED_W = "Delta*w - Delta*m_bar + Psi*w - w*m_bar.T*w - w*rho_mean + w*sigma_mean"


def derivation(constants: CloseConstants | None = None) -> Derivation:
    """The proof, fixed or changing tasks."""
    c = constants or CloseConstants()
    at = opening(c)
    b = at.b
    each, t = b.assume(MORE_TASKS[3]), b.assume(MORE_TASKS[4])
    Psi_star_below = b.assume(TASKS[1])
    Aw = b.words("A_mix.T*w", at.A, at.w)
    Third = b.add("third", "norm", "Third", "", (each, Aw, Psi_star_below))
    C3 = b.words(
        THIRD, at.Delta, at.w, at.cross, at.Psi_star, at.A, Third,
        called="C_third", at_most=f"({c.third})*omega*W*L**2",
    )  # fmt: skip
    T3 = b.words(
        "A_mix*C_third + Delta*w*w.T*Psi", at.A, C3, at.Delta, at.w, at.Psi,
        called="T_third", at_most=f"({c.pull})*omega*W*L**2",
    )  # fmt: skip

    q = b.add("third-vector", "norm", "q_third", "", (each, t))
    Y_norm = b.words("Delta + Y.T*Y", at.Delta, _gram_norm(at))
    turned = b.add("turned", "norm", "I_s - A_mix.T*A_mix", "", (b.replace(Y_norm, "I_k - A_mix*A_mix.T"),))
    bent = b.add("trace", "norm", "t_star - Bent", "", (turned, t))
    small = b.words(RHO, at.w, at.Delta, at.A, at.w_bar)
    rho = b.replace(b.add("triangle", "norm", f"{RHO} + t_star - Bent", "", (small, bent), ("1", "1")), "rho_mean")
    sigma = b.words(SIGMA, at.w, at.Delta, at.A, at.w_bar, t, at.Psi_star, q, called="sigma_mean")

    Psi_below = b.add("symmetric", "below", "Psi", "", (at.Psi,))
    raw = b.add("contraction", "norm", "N_right", "", (at.raw_diversity, Psi_below))
    shrinking = b.weaken(raw, "1 - tau")
    N = b.words("N_right + beta*w*w.T*Psi", raw, at.w, at.Psi, called="N_tilde", at_most="1 - tau")
    after_Y = b.add("congruence", "below", "N_tilde.T*Y.T*Y*N_tilde", "", (at.Y, N))
    perpendicular = b.replace(after_Y, "B_next.T*B_perp*B_perp.T*B_next")

    Z = b.words(
        "Delta*w*m_bar.T - Delta*Psi - w*w.T*Psi + T_third", at.Delta, at.w, at.mean, at.Psi, T3, called="Z_mix"
    )
    inflow = b.words("C_mix - C_third", at.cross, C3, called="D_mix")
    after = (
        "N_right*Delta*N_right - beta**2*Psi*Delta*Psi + beta*(Delta*w*m_bar.T + m_bar*w.T*Delta)"
        " + beta*(2*T_third - w*w.T*Psi - Psi*w*w.T) - beta**2*(Z_mix.T*G_inv*Z_mix + D_mix.T*Gap*D_mix)"
    )
    span = b.words(
        after, shrinking, at.Delta, at.Psi, at.w, at.mean, T3, at.inverse, inflow, at.gap, Z,
        called="I_k - B_next.T*B_next",
    )  # fmt: skip
    head = b.words(
        "N_right*w - beta*Delta*w + beta*Delta*m_bar + beta*w*m_bar.T*w + beta*w*rho_mean - beta*w*sigma_mean",
        raw, at.w, at.Delta, at.mean, rho, sigma, called="w_next",
    )  # fmt: skip
    closing(at, span, perpendicular, head)
    D, p = c.rate, c.back
    return Derivation(
        title="Theorem 1 for FO-MAML from a close start with a small mean",
        region=region(c),
        assumed=MORE_TASKS,
        kept=KEPT,
        start=START,
        state=(
            State("zeta", "1", "(1 - tau)**2*zeta"),
            State("xi", "0", f"(1 - ({D})*tau_least)*xi + (2*tau - tau**2)*zeta + ({p})*tau_least*upsilon"),
            State("upsilon", "0", f"(1 - ({p})*tau_least)*upsilon + ({D})*tau_least*xi"),
        ),
        definitions=DEFINITIONS,
        lines=tuple(b.lines),
        results=b.results(),
    )


def _gram_norm(at) -> int:  # type: ignore[no-untyped-def]
    """‖YᵀY‖ ≤ z."""
    positive = at.b.add("gram", "above", "Y.T*Y", "", (), ("Y.T",))
    return at.b.add("between", "norm", "Y.T*Y", "", (positive, at.Y))
