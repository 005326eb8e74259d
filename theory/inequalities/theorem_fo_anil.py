"""Theorem 1 for FO-ANIL with explicit constants, for all d, k, n and T, as a derivation that the core checks.

Induction with three ghost numbers ζ, ξ, υ in [0, 1] that pass mass on, ζ → ξ → υ, so that their sum stays 1:
‖Y‖² ≤ dist_0² ζ, ‖Δ‖ ≤ X ξ, ‖w‖ ≤ H υ with X = k_0 a dist_0², H = v_0 k_0 g dist_0² η. The perpendicular part drives
the loss of balance, which drives the head; each is paid for by the decrease of the one before.
Route: our own; the statement is that of Collins et al. 2022, Theorem 1.
"""

from dataclasses import dataclass

from metarep.theory.inequalities.building import Lines
from metarep.theory.inequalities.core import Derivation, Region, Says, State


@dataclass(frozen=True)
class Constants:
    """The conditions' constants and the proof's own (all fractions as strings).

    ``c``: dist_T ≤ (1 − c αβE_0μ_*²)^T. ``c1, c2, c3``: αβL_*² ≤ c1 E_0/κ_*², β/α ≤ c2 E_0² κ_*⁻⁴,
    β/α ≤ c3 E_0³ κ_*⁻⁴ μ_*²/η_*². ``span``, ``head``, ``rate``: k_0, v_0 and D of the induction; ``inverse`` ≥ ‖G⁻¹‖;
    ``Psi``, ``mean``, ``cross``: bounds of ‖Ψ‖/L², ‖m‖/η and ‖C‖/L². ``offset``: E_0 = offset − dist_0².
    """

    c: str = "10/9"
    c1: str = "1/8"
    c2: str = "1/2"
    c3: str = "1/2"
    span: str = "68/125"
    head: str = "813/1000"
    rate: str = "172/125"
    inverse: str = "533/500"
    Psi: str = "1069/1000"
    mean: str = "1043/1000"
    cross: str = "517/500"
    offset: str = "9/10"


def region(constants: Constants) -> Region:
    """The variables: a = αβL²κ²/E, g = (β/α)κ⁴/E², f = (β/α)κ⁴η²/(E³μ²), ρ = μ_t²/L², σ = μ²/μ_t², E, and the state.

    With these β = gE²ρ²σ², L² = a/(gEρσ), μ_t² = a/(gEσ), η² = fa/g² (at α = 1) are identities, and the theorem's
    conditions are a ≤ c1, g ≤ c2, f ≤ c3.
    """
    c = constants
    return Region(
        ranges=(
            ("a", c.c1), ("g", c.c2), ("f", c.c3), ("E", c.offset), ("d0", c.offset), ("rho", "1"), ("sigma", "1"),
            ("zeta", "1"), ("xi", "1"), ("upsilon", "1"), ("eta", ""),
        ),
        positive=("g", "E", "rho", "sigma"),
        symbols=(
            ("c", c.c),
            ("beta", "g*E**2*rho**2*sigma**2"),
            ("L**2", "a/(g*E*rho*sigma)"),
            ("mu**2", "a/(g*E*sigma)"),
            ("eta**2", "f*a/g**2"),
            ("X", f"({c.span})*a*d0"),
            ("H", f"({c.span})*({c.head})*g*d0*eta"),
            ("x", "X*xi"),
            ("z", "d0*zeta"),
            ("omega", "H*upsilon"),
            ("tau", "c*a*E**2*rho**2*sigma"),
            ("tau_least", "c*a*E**2*rho**2*sigma**2"),
        ),
        relations=(("d0", f"{c.offset} - E"), ("E", f"{c.offset} - d0")),
        varying=("rho", "sigma"),
    )  # fmt: skip


def state(constants: Constants) -> tuple[State, ...]:
    """ζ, ξ, υ: their starts and what they are after a step; the sum is kept exactly."""
    D = constants.rate
    return (
        State("zeta", "1", "(1 - tau)**2*zeta"),
        State("xi", "0", f"(1 - ({D})*tau_least)*xi + (2*tau - tau**2)*zeta"),
        State("upsilon", "0", f"upsilon + ({D})*tau_least*xi"),
    )


TASKS = (
    Says("above", "Psi_star", "mu**2"),
    Says("below", "Psi_star", "L**2"),
    Says("norm", "w_bar", "eta"),
)
"""μ² ⪯ Ψ_{*,t} ⪯ L², ‖w̄_{*,t}‖ ≤ η at every step (μ here that of the step)."""
KEPT = (Says("norm", "Delta", "x"), Says("below", "Y.T*Y", "z"), Says("norm", "w", "omega"))
START = (Says("norm", "Delta", "0"), Says("below", "Y.T*Y", "d0"), Says("norm", "w", "0"))


@dataclass
class Frame:
    """Numbers of the lines about B alone: balance, its inverse, A = BᵀB_*, AΨ_*Aᵀ, and the gap."""

    b: Lines
    Delta: int
    Y: int
    Psi_star: int
    inverse: int
    A: int
    truth: int
    gap: int


@dataclass
class Common(Frame):
    """And of those about the head: w, w̄_*, Ψ from below (with its own bound, and weakened), Ψ, m, C."""

    w: int
    w_bar: int
    raw_diversity: int
    diversity: int
    Psi: int
    mean: int
    cross: int


CROSSED = "Delta*w*w_bar.T*A_mix.T + A_mix*w_bar*w.T*Delta"


def frame(inverse_bound: str, tasks: tuple[Says, ...], kept: tuple[Says, ...]) -> Frame:
    """What ‖Δ‖ ≤ x and YᵀY ⪯ z say of B; ``kept`` begins with these two, ``tasks`` with Ψ_*'s bounds."""
    b = Lines()
    Delta, Y = (b.assume(says) for says in kept[:2])
    low, high = (b.assume(says) for says in tasks[:2])
    Psi_star = b.add("between", "norm", "Psi_star", "", (low, high))
    one_above, one_below = (b.add("identity-matrix", kind, "I_k") for kind in ("above", "below"))
    Delta_below = b.add("symmetric", "below", "Delta", "", (Delta,))
    Delta_above = b.add("symmetric", "above", "Delta", "", (Delta,))
    gram = b.replace(b.sum("above", "I_k - Delta", ("1", one_above), ("-1", Delta_below)), "B.T*B")
    inverse = b.add("inverse", "norm", "G_inv", inverse_bound, (gram,))
    span = "I_k - Delta - Y.T*Y"
    Y_above = b.add("gram", "above", "Y.T*Y", "", (), ("Y.T",))
    AA_above = b.replace(b.sum("above", span, ("1", one_above), ("-1", Delta_below), ("-1", Y)), "A_mix*A_mix.T")
    AA_below = b.replace(b.sum("below", span, ("1", one_below), ("-1", Delta_above), ("-1", Y_above)), "A_mix*A_mix.T")
    A = b.add("root", "norm", "A_mix", "1 + 1/2*x", (AA_below,))
    truth = b.add("sandwich", "above", "A_mix*Psi_star*A_mix.T", "", (low, AA_above), ("A_mix",))
    outside = "B.T*B - A_mix*A_mix.T"
    gap = b.add("gap", "norm", "Gap", "", (b.replace(Y_above, outside), b.replace(Y, outside), inverse), ("A_mix",))
    b.name("span-stays", b.weaken(Delta, "X"))
    b.name("angle", b.weaken(AA_above, "c*E"))
    return Frame(b, Delta, Y, Psi_star, inverse, A, truth, gap)


def opening(c: Constants) -> Common:
    """What is known of one state: the frame, and diversity of the adapted heads, sizes of Ψ, m, C."""
    at = frame(c.inverse, TASKS, KEPT)
    b, Delta, A = at.b, at.Delta, at.A
    w, w_bar = b.assume(KEPT[2]), b.assume(TASKS[2])
    crossed = b.add("symmetric", "above", CROSSED, "", (b.words(CROSSED, Delta, w, w_bar, A),))
    own = b.add("gram", "above", "Delta*w*w.T*Delta", "", (), ("Delta*w",))
    whole = f"Delta*w*w.T*Delta + {CROSSED} + A_mix*Psi_star*A_mix.T"
    raw = b.replace(b.sum("above", whole, ("1", own), ("1", crossed), ("1", at.truth)), "Psi")
    diversity = b.weaken(raw, "c*E*mu**2")
    Psi = b.words(whole, Delta, w, w_bar, A, at.Psi_star, called="Psi", at_most=f"({c.Psi})*L**2")
    mean = b.words("Delta*w + A_mix*w_bar", Delta, w, w_bar, A, called="m_bar", at_most=f"({c.mean})*eta")
    cross = b.words(
        "w_bar*w.T*Delta + Psi_star*A_mix.T", Delta, w, w_bar, A, at.Psi_star,
        called="C_mix", at_most=f"({c.cross})*L**2",
    )  # fmt: skip
    b.name("head-stays", b.weaken(w, "H"))
    b.name("diversity", diversity)
    return Common(**vars(at), w=w, w_bar=w_bar, raw_diversity=raw, diversity=diversity, Psi=Psi, mean=mean, cross=cross)


def closing(at: Frame, span: int, perpendicular: int, head: int) -> None:
    """Induction, the distance at every step, and the product."""
    b = at.b
    kept = b.add("induction", "kept", "1", "", (span, perpendicular, head))
    distance = b.weaken(b.add("distance", "distance", "Y", "", (at.Y, at.inverse)), "zeta")
    b.name("theorem", b.add("product", "forever", "1", "1 - tau", (kept, distance)))


def perpendicular_after(at: Frame, below_N: tuple[int, int], N: str = "N_right") -> tuple[int, int]:
    """(‖N‖ ≤ 1 − τ, Y⁺ᵀY⁺ ⪯ (1 − τ)² z), from bounds of the matrix M in N = I − βM from both sides."""
    b = at.b
    contraction = b.weaken(b.add("contraction", "norm", N, "", below_N), "1 - tau")
    after = b.add("congruence", "below", f"{N}.T*Y.T*Y*{N}", "", (at.Y, contraction))
    return contraction, b.replace(after, "B_next.T*B_perp*B_perp.T*B_next")


def derivation(constants: Constants | None = None) -> Derivation:
    """The proof for FO-ANIL, fixed or changing tasks."""
    c = constants or Constants()
    at = opening(c)
    b = at.b
    Psi_below = b.add("symmetric", "below", "Psi", "", (at.Psi,))
    contraction, perpendicular = perpendicular_after(at, (at.diversity, Psi_below))
    Z = b.words("Delta*w*m_bar.T - Delta*Psi", at.Delta, at.w, at.mean, at.Psi, called="Z_mix")
    after = (
        "N_right*Delta*N_right - beta**2*Psi*Delta*Psi + beta*(Delta*w*m_bar.T + m_bar*w.T*Delta)"
        " - beta**2*(Z_mix.T*G_inv*Z_mix + C_mix.T*Gap*C_mix)"
    )
    span = b.words(
        after, contraction, at.Delta, at.Psi, at.w, at.mean, at.inverse, at.cross, at.gap, Z,
        called="I_k - B_next.T*B_next",
    )  # fmt: skip
    head = b.words("w - beta*(Delta*w - Delta*m_bar)", at.w, at.Delta, at.mean, called="w_next")
    closing(at, span, perpendicular, head)
    return Derivation(
        title="Theorem 1 for FO-ANIL",
        region=region(c),
        assumed=TASKS,
        kept=KEPT,
        start=START,
        state=state(c),
        definitions=(("N_right", "I_k - beta*Psi"), ("Z_mix", "Delta*w*m_bar.T - Delta*Psi")),
        lines=tuple(b.lines),
        results=b.results(),
    )
