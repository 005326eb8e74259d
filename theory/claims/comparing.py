"""Comparing arrays: the size of a difference, and how much of it rounding errors explain."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from metarep.sim.implementations import Implementation
from metarep.sim.learners import LEARNERS, Learner
from metarep.theory.calculus.evaluation import evaluate_words
from metarep.theory.calculus.words import Poly
from metarep.theory.claims.record import Comparison
from metarep.theory.claims.strategies import StepArrays
from metarep.theory.dynamics.derive import derive

ROUNDINGS_PER_WORD = 64
"""Roundings that one word's value may collect: at most 9 letters a word here, each a sum over at most 6 + log terms
done in any order, and the handful of sums of words and tasks; times a safety factor of about two.
"""


def largest(difference: np.ndarray) -> Any:
    """Largest modulus of the entries; 0 for none; NaN if any is NaN."""
    if difference.size == 0:
        return 0.0
    if difference.dtype == object:
        return max(abs(entry) for entry in difference.flat)
    return float(np.abs(difference).max()) if np.isfinite(difference).all() else float("nan")


Side = np.ndarray | tuple[np.ndarray, ...]
"""A side of an identity: an array, or several that are compared at once."""
NOTHING: Mapping[str, Any] = {}


def close(left: Any, right: Any, tolerance: Any, why: str, objects: Mapping[str, Any] = NOTHING) -> Comparison:
    """Compare two sides (numbers, arrays, tuples of arrays) whose entries should differ by at most ``tolerance``."""
    difference = np.asarray(_entries(left) - _entries(right))
    return Comparison(largest(difference), 0, tolerance, why, left, right, objects)


def _entries(side: Any) -> np.ndarray:
    return run_together(*side) if isinstance(side, tuple) else np.asarray(side)


def same(
    left: Side,
    right: Side,
    scale: Any,
    eps: float,
    why: str,
    roundings: float = ROUNDINGS_PER_WORD,
    objects: Mapping[str, Any] = NOTHING,
) -> Comparison:
    """Compare two sides that should be equal.

    Fractions: tolerance zero. Floats: eps × roundings × scale, ``scale`` bounding the sum of the moduli of all terms
    that either side adds up.
    """
    exact = _entries(left).dtype == object and _entries(right).dtype == object
    return close(left, right, 0 if exact else eps * roundings * float(scale), why, objects)


def _moduli(polynomial: Poly) -> Poly:
    return Poly(polynomial.shape, {key: abs(value) for key, value in polynomial.terms.items()})


def step_scale(learner: Learner, at: StepArrays) -> float:
    """Sum of the moduli of all terms of B⁺ and w⁺, largest entry: what relative rounding errors multiply.

    Evaluated from the derived words with every coefficient, letter and target replaced by its modulus. A learner may
    compute an update in another order, but every intermediate of the readable forms is bounded by a word's value of
    this kind.
    """
    if at.exact:
        return 0.0
    # |θ| is bounded by |B_*||heads|, which also covers the rounding of the targets themselves.
    arrays = {"B": np.abs(at.B), "w": np.abs(at.w), "theta_i": np.abs(at.B_star) @ np.abs(at.heads)}
    scalars = {"alpha": abs(float(at.alpha)), "beta": abs(float(at.beta))}
    grad_B, grad_w = (evaluate_words(_moduli(part), arrays, scalars) for part in derive(learner).words)
    step = float(at.beta)
    return float(max((np.abs(at.B) + step * grad_B).max(), (np.abs(at.w)[:, None] + step * grad_w).max()))


def same_step(
    implementation: Implementation,
    learner: Learner,
    at: StepArrays,
    predicted: tuple[np.ndarray, np.ndarray],
    why: str,
    roundings: float = ROUNDINGS_PER_WORD,
    objects: Mapping[str, Any] = NOTHING,
) -> Comparison:
    """Compare the implementation's step from ``at`` with a predicted (B⁺, w⁺); ``objects`` besides those of ``at``."""
    stepped, shown = tuple(at.stepped(implementation, learner)), {**at.objects, **objects}
    return same(stepped, predicted, step_scale(learner, at), implementation.eps, why, roundings, shown)


def most_strained(comparisons: Iterable[Comparison]) -> Comparison:
    """Of several comparisons the one that uses most of its tolerance; a violated one (NaN is one) if there is any."""
    return max(comparisons, key=lambda comparison: (not comparison.holds, comparison.strain))


def supported(implementation: Implementation, names: Iterable[str] = LEARNERS) -> list[Learner]:
    """The learners of these ids that the implementation has."""
    return [LEARNERS[name] for name in names if name in implementation.supported]


def run_together(*arrays: np.ndarray) -> np.ndarray:
    """Arrays flattened and joined, so that one comparison covers all of them."""
    return np.concatenate([array.ravel() for array in arrays])
