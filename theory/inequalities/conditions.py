"""The theorems' conditions on a given problem, with both sides, and what each theorem then guarantees.

Plain arithmetic on the constants that the proofs use; nothing is proved here. In the problem's own units (any α).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

from metarep.theory.inequalities.theorem_anil import ExactConstants
from metarep.theory.inequalities.theorem_fo_anil import Constants
from metarep.theory.inequalities.theorem_fo_maml import CloseConstants
from metarep.theory.inequalities.theorem_zero_head import EXACT, FIRST_ORDER, ZeroHeadConstants


@dataclass(frozen=True)
class Quantities:
    """What the conditions speak of: α, β; over all steps the least μ_*², the largest L_*² and ‖w̄_*‖; dist(B_0, B_*);
    the largest ‖w_{*,i}‖ and tr Ψ_* (for FO-MAML), and whether the heads are symmetric about 0 (for Exact MAML).

    The start is balanced (αB_0ᵀB_0 = I) with w_0 = 0, and the truth has the learner's width.
    """

    alpha: float
    beta: float
    mu_squared: float
    L_squared: float
    mean: float
    dist0: float
    longest: float = math.inf
    trace: float = math.inf
    symmetric: bool = False

    @property
    def E0(self) -> float:
        """0.9 − dist_0²."""
        return 0.9 - self.dist0**2

    @property
    def kappa_squared(self) -> float:
        """κ_*² = L_*²/μ_*² (infinite where some direction is missing)."""
        return self.L_squared / self.mu_squared if self.mu_squared > 0 else math.inf


@dataclass(frozen=True)
class Condition:
    """left ≤ right, in LaTeX and as numbers of a problem."""

    latex: str
    left: Callable[[Quantities], float]
    right: Callable[[Quantities], float]

    def holds(self, at: Quantities) -> bool:
        """Whether it does (not for a side that is no number)."""
        return self.left(at) <= self.right(at)

    def factor(self, at: Quantities) -> float:
        """right/left: by how much it holds (> 1) or fails (< 1)."""
        left, right = self.left(at), self.right(at)
        return math.inf if left <= 0 <= right else right / left


def _number(text: str) -> tuple[float, str]:
    value = Fraction(text)
    shown = str(value) if value.denominator == 1 else rf"\tfrac{{{value.numerator}}}{{{value.denominator}}}"
    return float(value), "" if value == 1 else shown + r"\, "


def _start() -> Condition:
    return Condition(r"0 < E_0 = 0.9 - \mathrm{dist}_0^2", lambda q: math.ulp(1.0), lambda q: q.E0)


def _step_size(c1: str) -> Condition:
    value, shown = _number(c1)
    return Condition(
        rf"\alpha\beta L_*^2 \le {shown}E_0/\kappa_*^2",
        lambda q: q.alpha * q.beta * q.L_squared,
        lambda q: value * q.E0 / q.kappa_squared,
    )


def _ratios(c2: str, c3: str) -> tuple[Condition, Condition]:
    (two, shown_two), (three, shown_three) = _number(c2), _number(c3)
    return (
        Condition(
            rf"\beta/\alpha \le {shown_two}E_0^2 \kappa_*^{{-4}}",
            lambda q: q.beta / q.alpha,
            lambda q: two * q.E0**2 / q.kappa_squared**2,
        ),
        Condition(
            rf"\beta/\alpha \cdot \eta_*^2/\mu_*^2 \le {shown_three}E_0^3 \kappa_*^{{-4}}",
            lambda q: q.beta / q.alpha * q.mean**2 / q.mu_squared if q.mu_squared else math.inf,
            lambda q: three * q.E0**3 / q.kappa_squared**2,
        ),
    )


def _any_heads(c: Constants) -> tuple[Condition, ...]:
    return (_start(), _step_size(c.c1), *_ratios(c.c2, c.c3))


def _zero_head(c: ZeroHeadConstants, symmetric: bool) -> tuple[Condition, ...]:
    law = (
        Condition(r"\text{heads symmetric about } 0", lambda q: 0.0 if q.symmetric else 1.0, lambda q: 0.0)
        if symmetric
        else Condition(r"\bar w_* = 0", lambda q: q.mean, lambda q: 0.0)
    )
    return (law, _start(), _step_size(c.c1))


def _close(c: CloseConstants) -> tuple[Condition, ...]:
    (one, shown_one), (two, shown_two), (four, shown_four), (five, shown_five) = (
        _number(text) for text in (c.c1, c.c2, c.c4, c.c5)
    )
    return (
        Condition(
            rf"\mathrm{{dist}}_0^2 \le {shown_five}\mu_*^2/\mathrm{{tr}}\,\Psi_*",
            lambda q: q.dist0**2,
            lambda q: five * q.mu_squared / q.trace,
        ),
        Condition(
            rf"\eta_* \max_i\|w_{{*,i}}\| \le {shown_four}\mu_*^4/L_*^2",
            lambda q: q.mean * q.longest if q.mean else 0.0,
            lambda q: four * q.mu_squared**2 / q.L_squared,
        ),
        Condition(
            rf"\alpha\beta L_*^2 \le {shown_one}\kappa_*^{{-2}}",
            lambda q: q.alpha * q.beta * q.L_squared,
            lambda q: one / q.kappa_squared,
        ),
        Condition(
            rf"\beta/\alpha \le {shown_two}\kappa_*^{{-4}}",
            lambda q: q.beta / q.alpha,
            lambda q: two / q.kappa_squared**2,
        ),
    )


CONDITIONS: dict[str, tuple[Condition, ...]] = {
    "theorem-fo-anil": _any_heads(Constants()),
    "theorem-anil": _any_heads(ExactConstants()),
    "theorem-fo-maml": _close(CloseConstants()),
    "theorem-fo-anil-centred": _zero_head(FIRST_ORDER, False),
    "theorem-fo-maml-centred": _zero_head(FIRST_ORDER, False),
    "theorem-anil-centred": _zero_head(EXACT, False),
    "theorem-maml-symmetric": _zero_head(EXACT, True),
}
"""By the theorems' ids."""


def guaranteed_rate(theorem: str, at: Quantities) -> float:
    """1 − dist's guaranteed factor per step, c·αβE_0μ_*² (for ``theorem-fo-maml`` c·αβμ_*²), if the conditions hold."""
    if theorem == "theorem-fo-maml":
        return float(Fraction(CloseConstants().c)) * at.alpha * at.beta * at.mu_squared
    return float(Fraction(Constants().c)) * at.alpha * at.beta * at.E0 * at.mu_squared


def kept_bounds(theorem: str, at: Quantities) -> dict[str, float]:
    """What the induction says of every step besides: bounds of ‖I − αBᵀB‖ and ‖w‖ from above, of λ_min(Ψ) and of
    ασ_min(BᵀB_*)² from below (results "span-stays", "head-stays", "diversity", "angle" of the derivations).
    """
    close = theorem == "theorem-fo-maml"
    E0 = 1.0 if close else at.E0
    c = _constants(theorem)
    a = at.alpha * at.beta * at.L_squared * at.kappa_squared / E0
    g = at.beta / at.alpha * at.kappa_squared**2 / E0**2
    span, rate = float(Fraction(c.span)), float(Fraction(c.c))
    bounds = {
        "span-stays": span * a * at.dist0**2,
        "head-stays": 0.0,
        "diversity": rate * E0 * at.alpha * at.mu_squared,
        "angle": rate * E0,
    }
    if not isinstance(c, ZeroHeadConstants):
        head = float(Fraction(c.head)) * span * g * at.dist0**2 * math.sqrt(at.alpha) * at.mean
        bounds["head-stays"] = head * (span * a * at.dist0**2 if isinstance(c, ExactConstants) else 1.0)
    return bounds


def _constants(theorem: str) -> Constants | ZeroHeadConstants:
    if theorem.endswith("centred") or theorem.endswith("symmetric"):
        return FIRST_ORDER if "-fo-" in theorem else EXACT
    return {"theorem-fo-anil": Constants, "theorem-anil": ExactConstants, "theorem-fo-maml": CloseConstants}[theorem]()
