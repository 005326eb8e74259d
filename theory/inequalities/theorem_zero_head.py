"""Theorem 1 where the head never moves: w_0 = 0 and tasks whose mean (for Exact MAML: every odd moment) vanishes.

Then w_t = 0 for ever, FO-MAML is FO-ANIL, Exact MAML moves its representation as Exact ANIL does, and the step size
need not be small against the head: one condition, αβL_*² ≤ c1 E_0/κ_*², is left. The proof is FO-ANIL's (Exact
ANIL's) without the head: ζ passes mass to ξ, and ξ keeps it.
"""

from dataclasses import dataclass

from metarep.theory.inequalities.core import Derivation, Region, Says, State
from metarep.theory.inequalities.theorem_fo_anil import TASKS, closing, frame, perpendicular_after


@dataclass(frozen=True)
class ZeroHeadConstants:
    """``c``, ``c1`` and the proof's own: k_0, and bounds of ‖G⁻¹‖, ‖Ψ‖/L² and ‖C‖/L² (all fractions as strings)."""

    c: str = "10/9"
    c1: str = "9/50"
    span: str = "3/5"
    inverse: str = "10/9"
    Psi: str = "111/100"
    cross: str = "21/20"
    offset: str = "9/10"


FIRST_ORDER = ZeroHeadConstants()
EXACT = ZeroHeadConstants(c1="3/20", span="71/100", cross="23/20")

KEPT = (Says("norm", "Delta", "x"), Says("below", "Y.T*Y", "z"), Says("norm", "w", "0"))
START = (Says("norm", "Delta", "0"), Says("below", "Y.T*Y", "d0"), Says("norm", "w", "0"))
CENTRED = (*TASKS[:2], Says("norm", "w_bar", "0"))


def region(c: ZeroHeadConstants) -> Region:
    """a = αβL²κ²/E, ρ = μ_t²/L², σ = μ²/μ_t²; βL² = aEρσ at α = 1, L any positive number."""
    return Region(
        ranges=(
            ("a", c.c1), ("E", c.offset), ("d0", c.offset), ("rho", "1"), ("sigma", "1"), ("zeta", "1"), ("xi", "1"),
            ("L", ""),
        ),
        positive=("E", "rho", "sigma", "L"),
        symbols=(
            ("c", c.c),
            ("beta", "a*E*rho*sigma*1/L**2"),
            ("mu**2", "rho*L**2"),
            ("X", f"({c.span})*a*d0"),
            ("x", "X*xi"),
            ("z", "d0*zeta"),
            ("tau", "c*a*E**2*rho**2*sigma"),
        ),
        relations=(("d0", f"{c.offset} - E"), ("E", f"{c.offset} - d0")),
        varying=("rho", "sigma"),
    )  # fmt: skip


STATE = (State("zeta", "1", "(1 - tau)**2*zeta"), State("xi", "0", "xi + (2*tau - tau**2)*zeta"))


def derivation(exact: bool, constants: ZeroHeadConstants | None = None) -> Derivation:
    """The proof for the steps of FO-ANIL and FO-MAML, or (``exact``) of Exact ANIL and Exact MAML, at w = 0."""
    c = constants or (EXACT if exact else FIRST_ORDER)
    at = frame(c.inverse, CENTRED, KEPT)
    b = at.b
    b.assume(KEPT[2])
    second = "A_mix*Psi_star*A_mix.T"
    diversity = b.weaken(b.replace(at.truth, "Psi"), "c*E*mu**2")
    Psi = b.words(second, at.A, at.Psi_star, called="Psi", at_most=f"({c.Psi})*L**2")
    Psi_below = b.add("symmetric", "below", "Psi", "", (Psi,))
    contraction, perpendicular = perpendicular_after(at, (diversity, Psi_below))
    definitions = [("N_right", "I_k - beta*Psi")]
    if exact:
        both, twice = "S_both", b.words("2*Psi", Psi)
        S = b.replace(twice, both)
        S_above = b.weaken(b.replace(b.sum("above", "2*Psi", ("2", diversity)), both), "c*E*mu**2")
        S_below = b.add("symmetric", "below", both, "", (S,))
        outer_letter = "T_span"
        outer = b.weaken(b.add("contraction", "norm", outer_letter, "", (S_above, S_below)), "1 - tau")
        definitions.append(("T_span", "I_k - beta*S_both"))
        flow, pulled = "Psi_star*A_mix.T + Psi_star*A_mix.T*Delta", "-Delta*Psi - Psi*Delta"
    else:
        both, S, outer_letter, outer = "Psi", Psi, "N_right", contraction
        flow, pulled = "Psi_star*A_mix.T", "-Delta*Psi"
    definitions += [("Z_mix", pulled), ("D_mix", flow)]
    Z = b.words(pulled, at.Delta, Psi, called="Z_mix")
    inflow = b.words(flow, at.A, at.Psi_star, at.Delta, called="D_mix", at_most=f"({c.cross})*L**2")
    after = (
        f"{outer_letter}*Delta*{outer_letter} - beta**2*{both}*Delta*{both}"
        " - beta**2*(Z_mix.T*G_inv*Z_mix + D_mix.T*Gap*D_mix)"
    )
    span = b.words(after, outer, at.Delta, S, at.inverse, inflow, at.gap, Z, called="I_k - B_next.T*B_next")
    head = b.replace(b.assume(KEPT[2]), "w_next")
    b.name("diversity", diversity)
    closing(at, span, perpendicular, head)
    return Derivation(
        title=f"Theorem 1 for {'Exact ANIL and Exact MAML' if exact else 'FO-ANIL and FO-MAML'} with a head at 0",
        region=region(c),
        assumed=CENTRED,
        kept=KEPT,
        start=START,
        state=STATE,
        definitions=tuple(definitions),
        lines=tuple(b.lines),
        results=b.results(),
    )
