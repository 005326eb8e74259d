"""Comparing arrays: the size of a difference, and how much of it rounding errors explain."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cache, lru_cache
from typing import Any

import numpy as np

from metarep.sim.implementations import Implementation
from metarep.sim.learners import LEARNERS, Learner
from metarep.sim.sampling import inner_steps
from metarep.sim.sampling.whitened import whitened_samples
from metarep.theory.calculus.evaluation import evaluate_words
from metarep.theory.calculus.words import Poly
from metarep.theory.claims.record import Comparison
from metarep.theory.claims.strategies import StepArrays
from metarep.theory.dynamics.derive import derive

ROUNDINGS_PER_WORD = 64
"""Roundings that one word's value may collect: at most 9 letters a word here, half of them sums over d entries and half
over k, then the average over n tasks. Rounding errors of a sum of m terms, in any order, come to about √m of them
(Higham and Mary 2019): for d = 64, k = 8, n = 50 to 4·8 + 4·3 + 7, and a handful for the sums of words. At worst they
come to m, which for d ≤ 6 is no more.
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


def close(
    left: Any, right: Any, tolerance: Any, why: str, objects: Mapping[str, Any] = NOTHING, size: Any = None
) -> Comparison:
    """Compare two sides (numbers, arrays, tuples of arrays) whose entries should differ by at most ``tolerance``.

    ``size`` is that of what is compared, where the sides are small because of what cancels in them.
    """
    sides = _entries(left), _entries(right)
    if size is None and tolerance:
        size = max(map(largest, sides))
    return Comparison(largest(np.asarray(sides[0] - sides[1])), 0, tolerance, why, left, right, objects, size)


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
    size: Any = None,
) -> Comparison:
    """Compare two sides that should be equal.

    Fractions: tolerance zero. Floats: eps × roundings × scale, ``scale`` bounding the sum of the moduli of all terms
    that either side adds up. ``size`` as for ``close``.
    """
    exact = _entries(left).dtype == object and _entries(right).dtype == object
    return close(left, right, 0 if exact else eps * roundings * float(scale), why, objects, size)


@cache
def _moduli(learner: Learner) -> tuple[Poly, ...]:
    """The gradients' words, every coefficient replaced by its modulus."""
    return tuple(
        Poly(part.shape, {key: abs(value) for key, value in part.terms.items()}) for part in derive(learner).words
    )


def step_moduli(learner: Learner, at: StepArrays) -> tuple[np.ndarray, np.ndarray]:
    """Sums of the moduli of all terms of B⁺ (d, k) and w⁺ (k,): what relative rounding errors multiply.

    Evaluated from the derived words with every coefficient, letter and target replaced by its modulus. A learner may
    compute an update in another order, but every intermediate of the readable forms is bounded by a word's value of
    this kind.
    """
    if learner.inner_steps > 1:  # too many words
        samples = whitened_samples(np.abs(at.B_star) @ np.abs(at.heads))
        return inner_steps.step_moduli(learner, at.B, at.w, **samples, alpha=at.alpha, beta=at.beta)
    # |θ| is bounded by |B_*||heads|, which also covers the rounding of the targets themselves.
    arrays = (np.asarray(array, float) for array in (at.B, at.w, np.abs(at.B_star) @ np.abs(at.heads)))
    known = ((array.shape, np.abs(array).tobytes()) for array in arrays)
    return _step_moduli(learner, *known, alpha=abs(float(at.alpha)), beta=float(at.beta))


@lru_cache(maxsize=256)  # several claims ask at the same point, and every mutant that is tried there
def _step_moduli(
    learner: Learner, *at: tuple[tuple[int, ...], bytes], alpha: float, beta: float
) -> tuple[np.ndarray, np.ndarray]:
    B, w, targets = (np.frombuffer(content).reshape(shape) for shape, content in at)
    arrays, scalars = {"B": B, "w": w, "theta_i": targets}, {"alpha": alpha, "beta": abs(beta)}
    grad_B, grad_w = (evaluate_words(part, arrays, scalars) for part in _moduli(learner))
    return B + beta * grad_B, w + beta * grad_w[:, 0]


def step_scale(learner: Learner, at: StepArrays) -> float:
    """The largest entry of ``step_moduli``; 0 for fractions."""
    return 0.0 if at.exact else float(max(part.max() for part in step_moduli(learner, at)))


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
    """Of several comparisons the one that uses most of its tolerance, a violated one (NaN is one) if there is any.
    Where one is blunt, so is the one returned.
    """
    several = tuple(comparisons)
    worst = max(several, key=lambda comparison: (not comparison.holds, comparison.strain))
    return replace(worst, size=0) if any(comparison.blunt for comparison in several) else worst


def farthest(values: Any, estimate: float) -> float:
    """The uncertainty of an estimate that is to cover every value seen: the distance of the farthest; nan if any is."""
    return float(np.abs(np.asarray(values, dtype=float) - estimate).max())


def supported(implementation: Implementation, names: Iterable[str] = LEARNERS) -> list[Learner]:
    """The learners of these ids that the implementation has, with the inner steps that it takes."""
    return [implementation.learner(name) for name in names if name in implementation.supported]


def run_together(*arrays: np.ndarray) -> np.ndarray:
    """Arrays flattened and joined, so that one comparison covers all of them."""
    return np.concatenate([array.ravel() for array in arrays])
