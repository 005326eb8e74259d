"""All five learners by this package's own compiled steps (extra ``fast``): ``metarep check
metarep.reports.adapters.with_numba``.
"""

from metarep.sim import compiled
from metarep.sim.learners import get_learner


def step(learner, B, w, targets, alpha, beta):
    """One outer step."""
    return compiled.step(get_learner(learner), B, w, targets, alpha, beta)
