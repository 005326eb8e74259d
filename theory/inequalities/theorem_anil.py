"""Theorem 1 for Exact ANIL with explicit constants, for all d, k, n and T, as a derivation that the core checks.

As for FO-ANIL, with two differences: the second moment Φ of w − w_i helps the span contract (it is only dropped from
below), and the head moves by Δ² rather than Δ, so it stays smaller by a factor of ‖Δ‖.
"""

from dataclasses import dataclass, replace

from metarep.theory.inequalities.core import Derivation, Region
from metarep.theory.inequalities.theorem_fo_anil import (
    KEPT,
    START,
    TASKS,
    Constants,
    closing,
    opening,
    perpendicular_after,
    region,
    state,
)


@dataclass(frozen=True)
class ExactConstants(Constants):
    """Those of FO-ANIL's proof, and ``moved`` ≥ ‖w − m‖/η, ``both`` ≥ ‖Ψ + Φ‖/L², ``inflow`` ≥ ‖D‖/L² with D = C + (C −
    w̄_*wᵀ)Δ.
    """

    c1: str = "1/8"
    c2: str = "2"
    c3: str = "2"
    span: str = "637/1000"
    head: str = "213/200"
    rate: str = "239/250"
    inverse: str = "539/500"
    Psi: str = "43/40"
    mean: str = "1043/1000"
    cross: str = "1037/1000"
    moved: str = "1131/1000"
    both: str = "1089/500"
    inflow: str = "1113/1000"


def exact_region(c: ExactConstants) -> Region:
    """FO-ANIL's, with the smaller head."""
    common = region(c)
    head = ("H", f"({c.span})**2*({c.head})*a*g*d0**2*eta")
    return replace(common, symbols=tuple(head if name == "H" else (name, value) for name, value in common.symbols))


def derivation(constants: ExactConstants | None = None) -> Derivation:
    """The proof for Exact ANIL, fixed or changing tasks."""
    c = constants or ExactConstants()
    at = opening(c)
    b = at.b
    moved = b.words("w - m_bar", at.w, at.mean, called="u_bar", at_most=f"({c.moved})*eta")
    spread = "Psi + w*w.T - w*m_bar.T - m_bar*w.T"
    Phi = b.words(spread, at.Psi, at.w, at.mean, called="Phi")
    U, V = "w - Delta*w", "-A_mix"
    mean_square = f"({U})*({U}).T + ({U})*w_bar.T*({V}).T + ({V})*w_bar*({U}).T + ({V})*Psi_star*({V}).T"
    positive = b.replace(b.add("moments", "above", mean_square, "", (), (U, V)), "Phi")
    both = b.words("Psi + Phi", at.Psi, Phi, called="S_both", at_most=f"({c.both})*L**2")
    both_above = b.replace(b.sum("above", "Psi + Phi", ("1", at.diversity), ("1", positive)), "S_both")
    both_below = b.add("symmetric", "below", "S_both", "", (both,))
    shrinking = b.weaken(b.add("contraction", "norm", "T_span", "", (both_above, both_below)), "1 - tau")

    turned = "Delta*u_bar*w.T + w*u_bar.T*Delta"
    turned_norm = b.words(turned, at.Delta, moved, at.w)
    turned_below = b.add("symmetric", "below", turned, "", (turned_norm,))
    turned_above = b.add("symmetric", "above", turned, "", (turned_norm,))
    Psi_below = b.add("symmetric", "below", "Psi", "", (at.Psi,))
    matrix = f"Psi - ({turned})"
    M_above = b.replace(b.sum("above", matrix, ("1", at.raw_diversity), ("-1", turned_below)), "M_right")
    M_above = b.weaken(M_above, "c*E*mu**2")
    M_below = b.replace(b.sum("below", matrix, ("1", Psi_below), ("-1", turned_above)), "M_right")
    _, perpendicular = perpendicular_after(at, (M_above, M_below))

    pulled = "Delta*w*m_bar.T - Delta*Psi - Phi*Delta - Delta*u_bar*w.T + Delta*Delta*u_bar*w.T"
    Z = b.words(pulled, at.Delta, at.w, at.mean, at.Psi, Phi, moved, called="Z_mix")
    flowing = "C_mix + C_mix*Delta - w_bar*w.T*Delta"
    inflow = b.words(flowing, at.cross, at.Delta, at.w_bar, at.w, called="D_mix", at_most=f"({c.inflow})*L**2")
    after = (
        "T_span*Delta*T_span - beta**2*S_both*Delta*S_both + beta*(Delta*w*m_bar.T + m_bar*w.T*Delta)"
        " - beta*(Delta*u_bar*w.T + w*u_bar.T*Delta - Delta*Delta*u_bar*w.T - w*u_bar.T*Delta*Delta)"
        " - beta**2*(Z_mix.T*G_inv*Z_mix + D_mix.T*Gap*D_mix)"
    )
    span = b.words(
        after, shrinking, at.Delta, both, at.w, at.mean, moved, at.inverse, inflow, at.gap, Z,
        called="I_k - B_next.T*B_next",
    )  # fmt: skip
    head = b.words("w - beta*Delta*Delta*u_bar", at.w, at.Delta, moved, called="w_next")
    closing(at, span, perpendicular, head)
    return Derivation(
        title="Theorem 1 for Exact ANIL",
        region=exact_region(c),
        assumed=TASKS,
        kept=KEPT,
        start=START,
        state=state(c),
        definitions=(
            ("M_right", matrix),
            ("N_right", "I_k - beta*M_right"),
            ("T_span", "I_k - beta*S_both"),
            ("Z_mix", pulled),
            ("D_mix", flowing),
        ),
        lines=tuple(b.lines),
        results=b.results(),
    )
