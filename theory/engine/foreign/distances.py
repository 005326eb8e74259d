"""Is a wrong subspace distance one of those that are known?"""

import numpy as np

from metarep.sim.implementations import REFERENCE, Implementation
from metarep.sim.mutants.distances import DISTANCE_MUTANTS

TINY = 1e-10
"""Sine of the angle of one pair, in which the inverse cosine loses all digits."""
CLOSE = 1e-7
"""Distances that agree; the inverse cosine itself is off by 2.6e-8."""


def wrong_distance(implementation: Implementation) -> str | None:
    """What is wrong with an implementation's subspace distance; None if nothing is that is known."""
    if implementation.subspace_distance is REFERENCE.subspace_distance:
        return None
    rng = np.random.default_rng(8)
    frames = np.linalg.qr(rng.standard_normal((4, 7, 7)))[0]
    truth, away = frames[..., :3], rng.standard_normal((4, 7, 3))
    away[-1] = truth[-1] + TINY * frames[-1, :, 3:6]
    found, right = implementation.subspace_distance(away, truth), REFERENCE.subspace_distance(away, truth)
    if np.allclose(found, right, rtol=1e-6, atol=0):
        return None
    for mutant in DISTANCE_MUTANTS:
        predicted = mutant.parts["subspace_distance"](REFERENCE.subspace_distance, away, truth)
        if np.allclose(found, predicted, rtol=0, atol=CLOSE):
            return mutant.what
    return None
