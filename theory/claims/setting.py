"""Claims about the measure itself: the subspace distance that every other statement is about."""

from typing import Any

import numpy as np
from hypothesis import strategies as st

from metarep.sim.implementations import Implementation
from metarep.theory.claims.chapter import Chapter
from metarep.theory.claims.comparing import close
from metarep.theory.claims.record import Comparison, Example, Verdict, own, paper
from metarep.theory.claims.strategies import Entries, array, floats, reflected_identity

claim = Chapter("The setting")


def _sines() -> st.SearchStrategy[float]:
    """Sines spread evenly over the decades from 10⁻¹² to 1, and 0 and 1 themselves.

    10⁻¹² is far below 10⁻⁸, where the inverse cosine sees nothing, and well above the eps floor of d dimensions.
    """
    return st.one_of(st.just(1.0), st.just(0.0), st.integers(-12, -1).map(lambda e: 10.0**e), st.floats(0.0625, 1.0))


@st.composite
def placed_subspaces(draw: st.DrawFn) -> Example:
    """B = (B_* C + B_{*⊥} S) T with chosen principal sines, in a random frame, T a well-conditioned basis change."""
    made = Entries(draw, floats)
    k = made.k()
    d = made.d(2 * k)
    sines = sorted(draw(st.lists(_sines(), min_size=k, max_size=k)), reverse=True)
    return {
        "d": d,
        "k": k,
        "sines": sines,
        "frame": made.reflections(d),
        "mixing": made.matrix(k, k, min(0.25, 0.75 / k)),
        "scale": draw(st.sampled_from([1.0, 1e-3, 1e3])),
    }


def place(example: Example) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(B, B_star, T) of a ``placed_subspaces`` example; T = scale·(I + mixing), ‖mixing‖ ≤ ¾, so cond(T) ≤ 7."""
    k = example["k"]
    frame = reflected_identity(example["frame"]).astype(float)
    sines = np.array(example["sines"], dtype=float)
    T = example["scale"] * (np.eye(k) + array(example["mixing"]).astype(float))
    cosines = np.sqrt((1 - sines) * (1 + sines))
    return (frame[:, :k] * cosines + frame[:, k : 2 * k] * sines) @ T, frame[:, :k], T


def _tolerance(example: Example, T: np.ndarray, eps: float) -> float:
    """The basis B̂ turns by eps·cond(T) under rounding of B and of its QR factors, in each of d·k entries, so that their
    norm is √(dk) times as much; twice for two reflections.
    """
    return 8 * eps * float(np.sqrt(example["d"] * example["k"]) * np.linalg.cond(T))


@claim(
    Verdict.SUPPORTED,
    source=paper("setting", "the accuracy is our own requirement"),
    exercises="distance",
    floats=placed_subspaces,
)
def distance_is_largest_sine(example: Example, implementation: Implementation) -> Comparison:
    r"""$\mathrm{dist}(B, B_*) = \|(I - B_*B_*^\top)\hat B\|_2$ is the sine of the largest principal angle of the column
    spaces, computed to a few units of rounding even where that angle is $10^{-12}$.

    Given: $d \ge 2k$, any principal sines between $10^{-12}$ and 1, any well-conditioned basis, any scale

    Through the inverse cosine half of the digits of a small angle would be lost.
    """
    B, B_star, T = place(example)
    distance: Any = float(implementation.subspace_distance(B, B_star))
    why, size = "distance minus the largest principal sine that was built in", example["sines"][0] or 1.0
    objects = {"d": len(B), "k": example["k"], "B": B, "B_star": B_star}
    return close(distance, example["sines"][0], _tolerance(example, T, implementation.eps), why, objects, size)


@claim(Verdict.SUPPORTED, source=own(about="setting"), exercises="distance", floats=placed_subspaces)
def distance_is_basis_free(example: Example, implementation: Implementation) -> Comparison:
    r"""$\mathrm{dist}(B, B_*)$ depends on the two column spaces only: replacing $B$ by $BT$ ($T$ invertible) or $B_*$
    by $B_*Q$ ($Q$ orthogonal) does not change it.

    Given: $d \ge 2k$, any principal sines, $T$ with condition number at most 7, any scale
    """
    B, B_star, T = place(example)
    plain = np.linalg.solve(T.T, B.T).T
    k = example["k"]
    Q = reflected_identity([row[:k] for row in example["frame"]])
    first = float(implementation.subspace_distance(B, B_star))
    second = float(implementation.subspace_distance(plain, B_star @ Q))
    tolerance, size = 2 * _tolerance(example, T, implementation.eps), example["sines"][0] or 1.0
    objects = {"d": len(B), "k": k, "B": B, "B_star": B_star, "T": T, "Q": Q}
    return close(first, second, tolerance, "distances in two bases", objects, size)


DECADES = 300
"""Sines in reduced coordinates go down to 10^−300; floats have full precision down to 2·10^−308."""


@st.composite
def reduced_subspaces(draw: st.DrawFn) -> Example:
    """B = [QC; VS]T with B_* = [I; 0], Q and V orthogonal; sines 10^−decade times ¼ … 1, the largest, and 0 … 1."""
    made = Entries(draw, floats)
    k = made.k()
    others = draw(st.lists(floats(0.0, 1.0), min_size=k - 1, max_size=k - 1))
    return {
        "d": 2 * k,
        "k": k,
        "decade": draw(st.integers(1, DECADES)),
        "sines": sorted([draw(floats(0.25, 1.0)), *others], reverse=True),
        "along": made.reflections(k),
        "beside": made.reflections(k),
        "mixing": made.matrix(k, k, min(0.25, 0.75 / k)),
    }


@claim(Verdict.SUPPORTED, source=own(about="setting"), exercises="distance", floats=reduced_subspaces)
def distance_keeps_small_sines(example: Example, implementation: Implementation) -> Comparison:
    r"""In reduced coordinates, where $B_* = [I; 0]$ and $B_{*\perp}^\top B$ is a block of its own, the largest
    principal sine keeps its full relative precision however small it is, down to $10^{-300}$.

    Given: $d = 2k$, $B_* = [I; 0]$, a largest sine from $\frac{1}{10}$ down to $10^{-300}/4$, the others smaller, any
    well-conditioned basis

    Of the smaller sines this is not so: their error is a few units of rounding of the largest.
    """
    k = example["k"]
    sines = np.array(example["sines"]) * 10.0 ** -example["decade"]
    T = np.eye(k) + array(example["mixing"]).astype(float)
    along = reflected_identity(example["along"]) * np.sqrt((1 - sines) * (1 + sines))
    B = np.concatenate([along, reflected_identity(example["beside"]) * sines]) @ T
    B_star = np.eye(2 * k, k)
    distance = float(implementation.subspace_distance(B, B_star))
    # Relative to the largest sine the rows beside B_* are as good as T is conditioned; so is the orthonormal basis.
    tolerance = 8 * implementation.eps * 2 * k * k * float(np.linalg.cond(T))
    why = "distance in coordinates with B_* = [I; 0] over the sine that was built in, minus 1"
    return close(distance / sines[0], 1.0, tolerance, why, {"d": 2 * k, "k": k, "B": B, "B_star": B_star})
