"""What a judgement says, on numbers: for tests of the rules and of whole derivations. The core uses none of it."""

from collections.abc import Mapping
from weakref import WeakKeyDictionary

import numpy as np

from metarep.theory.calculus.evaluation import evaluate_words
from metarep.theory.calculus.words import Poly
from metarep.theory.inequalities.core import Context, Derivation, Judgement
from metarep.theory.inequalities.steps import Step
from metarep.theory.inequalities.syntax import matrix

Arrays = Mapping[str, np.ndarray]

_EXPANDED: WeakKeyDictionary[Context, dict[object, Poly]] = WeakKeyDictionary()
"""By context: what it has expanded, which is asked for again with every matrix that is drawn."""


def random_state(rng: np.random.Generator, d: int, k: int, *, spread: float = 1.0, balanced: float = 0.3) -> dict:
    """Base letters at random: B (d, k) near balance, w (k,), an orthonormal frame, Ψ_* and w̄_* of n ≥ k random heads.

    ``balanced`` scales how far BᵀB is from I; ``spread`` scales w and the heads. d > k.
    """
    frame = np.linalg.qr(rng.standard_normal((d, d)))[0]
    heads = rng.standard_normal((k, int(rng.integers(k, 2 * k + 3)))) * spread + rng.standard_normal((k, 1)) * spread
    B = np.linalg.qr(rng.standard_normal((d, k)))[0]
    shape = np.eye(k) + balanced * rng.uniform(-1, 1) * np.diag(rng.uniform(-1, 1, k))
    B = B @ shape @ np.linalg.qr(rng.standard_normal((k, k)))[0]
    w = spread * rng.standard_normal(k)
    return {
        "B": B,
        "w": w,
        "B_star": frame[:, :k],
        "B_perp": frame[:, k:],
        "Psi_star": heads @ heads.T / heads.shape[1],
        "w_bar": heads.mean(1),
        "G_inv": np.linalg.inv(B.T @ B),
        "heads": heads,
        **third_averages(B, w, frame[:, :k], heads),
    }


def third_averages(B: np.ndarray, w: np.ndarray, B_star: np.ndarray, heads: np.ndarray) -> dict[str, np.ndarray]:
    """The letters for averages beyond the second moment, of heads w_{*,i} as columns (k, n)."""
    seen = B.T @ B_star @ heads
    squares = np.square(heads).sum(0)
    return {
        "Third": (heads * (w @ seen)) @ heads.T / heads.shape[1],
        "q_third": (heads * squares).mean(1),
        "t_star": np.array([squares.mean()]),
        "Bent": np.array([np.square(seen).sum(0).mean()]),
    }


def value_of(words: Poly, context: Context, arrays: Arrays, beta: float) -> np.ndarray:
    """The matrix that a word polynomial stands for."""
    letters = {name: array for name, array in arrays.items() if name != "heads"}
    known, key = _EXPANDED.setdefault(context, {}), (words.shape, frozenset(words.terms.items()))
    if key not in known:
        known[key] = context.expand(words)
    return evaluate_words(known[key], letters, {"beta": beta})


def norm_of(array: np.ndarray) -> float:
    """The operator norm."""
    return float(np.linalg.norm(array, 2))


def distance(arrays: Arrays) -> float:
    """dist(B, B_*) by the projection residual."""
    basis = np.linalg.qr(arrays["B"])[0]
    return norm_of(arrays["B_perp"].T @ basis)


def excess(judgement: Judgement, context: Context, arrays: Arrays, scalars: Mapping[str, float]) -> float:
    """By how much a judgement is violated: > 0 only where it is false (up to rounding).

    ``scalars`` gives every scalar variable that the bound is written in, and beta.
    """
    beta = float(scalars.get("beta", 0.0))
    if judgement.kind == "distance":
        return distance(arrays) ** 2 - float(judgement.bound.value(scalars))  # type: ignore[union-attr, arg-type]
    if judgement.kind == "each":
        return _longest_head(arrays) - float(judgement.bound.value(scalars))  # type: ignore[union-attr, arg-type]
    value = value_of(judgement.of, context, arrays, beta)
    if isinstance(judgement.bound, Poly):
        return norm_of(value - value_of(judgement.bound, context, arrays, beta))
    bound = float(judgement.bound.value(scalars))  # type: ignore[arg-type]
    if judgement.kind == "norm":
        return norm_of(value) - bound
    eigenvalues = np.linalg.eigvalsh((value + value.T) / 2)
    return float(eigenvalues[-1] - bound) if judgement.kind == "below" else float(bound - eigenvalues[0])


def tight(kind: str, of: str, context: Context, arrays: Arrays, beta: float) -> float:
    """The least (for "above" the largest) bound for which a statement holds, 0 where it would be negative."""
    if kind == "each":
        return _longest_head(arrays)
    value = value_of(matrix(of), context, arrays, beta)
    if kind == "norm":
        return norm_of(value)
    eigenvalues = np.linalg.eigvalsh((value + value.T) / 2)
    return max(0.0, float(eigenvalues[-1] if kind == "below" else eigenvalues[0]))


def _longest_head(arrays: Arrays) -> float:
    return float(np.linalg.norm(arrays["heads"], axis=0).max())


def context_of(derivation: Derivation, step: Step | None) -> Context:
    """The core's own reading of a derivation's setting."""
    return Context(derivation, step)
