"""The span's linearisation with one letter for its matrix, and eigenvectors as letters, so that spectra are read off
word by word.

FO-ANIL and Exact ANIL move the span by S⁺ = S − f αβ(SK + KᵀS). x and y are eigenvectors of Kᵀ to the eigenvalues c and
c². An equation that is affine in each of two eigenvalues and holds for c and c² holds for any two, since 1, c and c²
are independent polynomials. Own derivation.
"""

from metarep.theory.calculus import alphabet as a
from metarep.theory.calculus.words import SCALARS, Poly, Rule, letter

x = letter("x", "s", "1", "x", "x")
y = letter("y", "s", "1", "y", "y")
K = letter("K", "s", "s", "K", "K")
S_other = letter("S_other", "s", "s", "S'", "S'", symmetry=1)

SPAN_MATRICES = {
    "fo-anil": (1, a.w_star * a.w_star.T - a.h * a.w_star.T),
    "anil": (2, (a.h - a.w_star) * (a.h - a.w_star).T),
}
"""(f, K as words under an average over tasks) by learner: K = Ψ_* − h w̄_*ᵀ for FO-ANIL, mean (h − w_{*,i})(h −
w_{*,i})ᵀ for Exact ANIL.
"""

EIGENVECTORS = tuple(
    Rule("K'", vector, vector, tuple(power if name == "c" else 0 for name in SCALARS))
    for vector, power in (("x", 1), ("y", 2))
)
"""Kᵀx = c x, Kᵀy = c² y."""


def span_step(factor: int) -> Poly:
    """S − f αβ(SK + KᵀS)."""
    return a.S - (a.S * K + K.T * a.S).scaled(factor, alpha=1, beta=1)


def eigenmode() -> Poly:
    """xyᵀ + yxᵀ."""
    return x * y.T + y * x.T
