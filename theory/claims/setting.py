"""Claims about the measure itself: the subspace distance that every other statement is about."""

from typing import Any

import numpy as np
from hypothesis import strategies as st

from metarep.sim.implementations import Implementation
from metarep.theory.claims.record import Claim, Comparison, Example, Verdict, own, paper
from metarep.theory.claims.strategies import array, floats, matrix, reflected_identity, reflections

CHAPTER = "The setting"

SMALLEST_SINE = 1e-12
"""Sines go down to here: far below 10⁻⁸, where the inverse cosine sees nothing, and well above the eps floor of d
dimensions.
"""


def _sines() -> st.SearchStrategy[float]:
    """Sines spread evenly over the decades from 10⁻¹² to 1, and 0 and 1 themselves."""
    return st.one_of(st.just(1.0), st.just(0.0), st.integers(-12, -1).map(lambda e: 10.0**e), st.floats(0.0625, 1.0))


@st.composite
def placed_subspaces(draw: st.DrawFn) -> Example:
    """B = (B_* C + B_{*⊥} S) T with chosen principal sines, in a random frame, with a well-conditioned basis change
    T.
    """
    k = draw(st.integers(1, 3))
    d = draw(st.integers(2 * k, 8))
    sines = sorted(draw(st.lists(_sines(), min_size=k, max_size=k)), reverse=True)
    return {
        "d": d,
        "k": k,
        "sines": sines,
        "frame": draw(reflections(floats, d)),
        "mixing": draw(matrix(floats, k, k, 0.25)),
        "scale": draw(st.sampled_from([1.0, 1e-3, 1e3])),
    }


def place(instance: Example) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(B, B_star, T) of a ``placed_subspaces`` instance; T = scale·(I + mixing), ‖mixing‖ ≤ ¾, so cond(T) ≤ 7."""
    k = instance["k"]
    frame = reflected_identity(instance["frame"]).astype(float)
    sines = np.array(instance["sines"], dtype=float)
    T = instance["scale"] * (np.eye(k) + array(instance["mixing"]).astype(float))
    cosines = np.sqrt((1 - sines) * (1 + sines))
    return (frame[:, :k] * cosines + frame[:, k : 2 * k] * sines) @ T, frame[:, :k], T


def _tolerance(instance: Example, T: np.ndarray, eps: float) -> float:
    """The basis B̂ turns by eps·cond(T) under rounding of B and of its QR factors, over d·k entries; twice for two
    reflections.
    """
    return 8 * eps * instance["d"] * instance["k"] * float(np.linalg.cond(T))


def _angles_check(instance: Example, implementation: Implementation) -> Comparison:
    B, B_star, T = place(instance)
    distance: Any = float(implementation.subspace_distance(B, B_star))
    return Comparison(
        abs(distance - instance["sines"][0]),
        0,
        _tolerance(instance, T, implementation.eps),
        "distance minus the largest principal sine that was built in",
    )


def _basis_check(instance: Example, implementation: Implementation) -> Comparison:
    B, B_star, T = place(instance)
    plain = np.linalg.solve(T.T, B.T).T
    k = instance["k"]
    turned = B_star @ reflected_identity([row[:k] for row in instance["frame"]])
    first = float(implementation.subspace_distance(B, B_star))
    second = float(implementation.subspace_distance(plain, turned))
    return Comparison(abs(first - second), 0, 2 * _tolerance(instance, T, implementation.eps), "distances in two bases")


DECADES = 300
"""Sines in reduced coordinates go down to 10^−300; floats have full precision down to 2·10^−308."""


@st.composite
def reduced_subspaces(draw: st.DrawFn) -> Example:
    """B = [QC; VS]T with B_* = [I; 0], Q and V orthogonal; sines 10^−decade times ¼ … 1, the largest, and 0 … 1."""
    k = draw(st.integers(1, 3))
    others = draw(st.lists(floats(0.0, 1.0), min_size=k - 1, max_size=k - 1))
    return {
        "k": k,
        "decade": draw(st.integers(1, DECADES)),
        "sines": sorted([draw(floats(0.25, 1.0)), *others], reverse=True),
        "along": draw(reflections(floats, k)),
        "beside": draw(reflections(floats, k)),
        "mixing": draw(matrix(floats, k, k, 0.25)),
    }


def _reduced_check(instance: Example, implementation: Implementation) -> Comparison:
    k = instance["k"]
    sines = np.array(instance["sines"]) * 10.0 ** -instance["decade"]
    T = np.eye(k) + array(instance["mixing"]).astype(float)
    along = reflected_identity(instance["along"]) * np.sqrt((1 - sines) * (1 + sines))
    B = np.concatenate([along, reflected_identity(instance["beside"]) * sines]) @ T
    distance = float(implementation.subspace_distance(B, np.eye(2 * k, k)))
    # Relative to the largest sine the rows beside B_* are as good as T is conditioned; so is the orthonormal basis.
    tolerance = 8 * implementation.eps * 2 * k * k * float(np.linalg.cond(T))
    return Comparison(
        abs(distance / sines[0] - 1), 0, tolerance, "relative error of the distance in coordinates with B_* = [I; 0]"
    )


CLAIMS = (
    Claim(
        id="distance-is-largest-sine",
        chapter=CHAPTER,
        statement=(
            r"$\mathrm{dist}(B, B_*) = \|(I - B_*B_*^\top)\hat B\|_2$ is the sine of the largest principal angle of "
            r"the column spaces, computed to a few units of rounding even where that angle is $10^{-12}$."
        ),
        source=paper("setting", "the accuracy is our own requirement"),
        hypotheses=r"$d \ge 2k$, any principal sines between $10^{-12}$ and 1, any well-conditioned basis, any scale",
        expected=Verdict.SUPPORTED,
        exercises=frozenset({"distance"}),
        floats=placed_subspaces,
        check=_angles_check,
        remark="Through the inverse cosine half of the digits of a small angle would be lost.",
    ),
    Claim(
        id="distance-is-basis-free",
        chapter=CHAPTER,
        statement=(
            r"$\mathrm{dist}(B, B_*)$ depends on the two column spaces only: replacing $B$ by $BT$ ($T$ invertible) or "
            r"$B_*$ by $B_*Q$ ($Q$ orthogonal) does not change it."
        ),
        source=own(),
        hypotheses=r"$d \ge 2k$, any principal sines, $T$ with condition number at most 7, any scale",
        expected=Verdict.SUPPORTED,
        exercises=frozenset({"distance"}),
        floats=placed_subspaces,
        check=_basis_check,
    ),
    Claim(
        id="distance-keeps-small-sines",
        chapter=CHAPTER,
        statement=(
            r"In reduced coordinates, where $B_* = [I; 0]$ and $B_{*\perp}^\top B$ is a block of its own, the largest "
            r"principal sine keeps its full relative precision however small it is, down to $10^{-300}$."
        ),
        source=own(),
        hypotheses=r"$d = 2k$, $B_* = [I; 0]$, a largest sine from $\frac{1}{10}$ down to $10^{-300}/4$, the others "
        "smaller, any well-conditioned basis",
        expected=Verdict.SUPPORTED,
        exercises=frozenset({"distance"}),
        floats=reduced_subspaces,
        check=_reduced_check,
        remark="Of the smaller sines this is not so: their error is a few units of rounding of the largest.",
    ),
)
