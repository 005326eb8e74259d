"""Finds the proofs' own constants for given conditions. Nothing is trusted here: what is found goes to the core.

The bounds that a proof weakens to numbers depend on k_0 and v_0, and these on the bounds; the search iterates from
below until nothing moves, rounding up to thousandths.
"""

import math
from collections.abc import Callable
from fractions import Fraction

from metarep.theory.inequalities.theorem_anil import ExactConstants
from metarep.theory.inequalities.theorem_fo_anil import Constants

OFFSET = Fraction(9, 10)
C = 1 / OFFSET
"""The largest c there is: with dist_0 near 0 no start contracts faster than by 1 − αβμ_*² a step."""
GRID = 1000
MOST_ROUNDS = 200
MARGIN = Fraction(15, 14)
"""On d_0 E and d_0² E: the core bounds them on pieces of E's range, a little above their maxima."""


def _up(value: Fraction) -> Fraction:
    return Fraction(math.ceil(value * GRID), GRID)


def _down(value: Fraction) -> Fraction:
    return Fraction(math.floor(value * GRID), GRID)


def _fixed_point(next_of: Callable[[Fraction, Fraction], dict[str, Fraction] | None]) -> dict[str, str] | None:
    span, head = Fraction(1, 2), Fraction(1, 2)
    for _ in range(MOST_ROUNDS):
        found = next_of(span, head)
        if found is None or found["rate"] <= 0 or found["span"] > 5 or found["head"] > 20:
            return None
        if found["span"] <= span and found["head"] <= head:
            return {**{name: str(value) for name, value in found.items()}, "span": str(span), "head": str(head)}
        span, head = max(span, found["span"]), max(head, found["head"])
    return None


def fo_anil_constants(c1: Fraction, c2: Fraction, c3: Fraction) -> Constants | None:
    """Constants with which the proof for FO-ANIL should go through under these conditions, or None."""

    def next_of(span: Fraction, head: Fraction) -> dict[str, Fraction] | None:
        X = OFFSET * span * c1
        if 10 * X >= 1:
            return None
        A, W = 1 + X / 2, head * span * OFFSET * c2
        small = MARGIN * head * span * c3 * OFFSET**2 / 4  # ωη/L² ≤ v_0 k_0 f d_0 E
        inverse, Psi = _up(1 / (1 - X)), _up(A * A + 2 * X * small * A + X * X * small * W)
        mean, cross = _up(A + X * W), _up(A + X * small)
        pull = head * span * OFFSET * c3  # ωη/(Eμ²)
        rest = c1 * inverse * X * (Psi + small * mean) ** 2
        rate = _down(2 - C * OFFSET**2 * c1 - (Psi**2 * c1 + 2 * pull * mean + rest) / C)
        return {
            "inverse": inverse, "Psi": Psi, "mean": mean, "cross": cross, "rate": rate,
            "span": _up(cross**2 * inverse / (2 - C * OFFSET**2 * c1) / C),
            "head": _up((mean + W) / (C * rate)) if rate > 0 else head,
        }  # fmt: skip

    found = _fixed_point(next_of)
    return Constants(c=str(C), c1=str(c1), c2=str(c2), c3=str(c3), **found) if found else None


def anil_constants(c1: Fraction, c2: Fraction, c3: Fraction) -> ExactConstants | None:
    """As ``fo_anil_constants``, for Exact ANIL."""

    def next_of(span: Fraction, head: Fraction) -> dict[str, Fraction] | None:
        X = OFFSET * span * c1
        if 10 * X >= 1:
            return None
        A, W = 1 + X / 2, head * c1 * c2 * (span * OFFSET) ** 2
        small = MARGIN * head * c1 * c3 * span**2 * OFFSET**3 * Fraction(4, 27)
        inverse, Psi = _up(1 / (1 - X)), _up(A * A + 2 * X * small * A + X * X * small * W)
        mean, cross = _up(A + X * W), _up(A + X * small)
        moved, Phi = _up(mean + W), Psi + small * W + 2 * small * mean
        both, inflow = _up(Psi + Phi), _up(cross * (1 + X) + X * small)
        pull = head * c1 * c3 * (span * OFFSET) ** 2
        Z = Psi + Phi + small * mean + (1 + X) * small * moved
        rest = 2 * pull * mean + 2 * (1 + X) * pull * moved + c1 * inverse * X * Z**2
        rate = _down(2 - C * OFFSET**2 * c1 - (both**2 * c1 + rest) / C)
        return {
            "inverse": inverse, "Psi": Psi, "mean": mean, "cross": cross, "moved": moved, "both": both,
            "inflow": inflow, "rate": rate,
            "span": _up(inflow**2 * inverse / (2 - C * OFFSET**2 * c1) / C),
            "head": _up(moved / (C * rate)) if rate > 0 else head,
        }  # fmt: skip

    found = _fixed_point(next_of)
    return ExactConstants(c=str(C), c1=str(c1), c2=str(c2), c3=str(c3), **found) if found else None
