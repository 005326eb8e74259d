"""Which claims come first, and how long all of them may take."""

import time
from collections.abc import Iterable, Sequence

import numpy as np

from metarep.sim.implementations import Implementation
from metarep.sim.learners import LEARNERS
from metarep.theory.claims.record import Claim
from metarep.theory.engine.foreign.calls import CALLS
from metarep.theory.engine.search import seed_of

FIRST = (
    *("update-maml", "update-anil", "update-fo-maml", "update-fo-anil", "update-average-loss"),
    *("span-rate-maml", "span-rate-anil", "span-rate-fo-maml", "span-rate-fo-anil"),
    *("sampled-step-maml", "sampled-step-anil", "sampled-step-fo-maml", "sampled-step-fo-anil"),
    "sampled-step-average-loss",
)
"""Claims that between them refute every wrong implementation of the catalogue of mutants, for each learner that is
wrong, and take a second; in the order of how many of the mutants each is the first to refute. (A test computes that;
what follows the rates are the updates on samples.)
"""
QUICK = (*FIRST, *(claim.id for claim in CALLS))
"""What ``--quick`` tries: these, and the claims about a step as code."""
STEPS_PER_EXAMPLE = 40
"""Single steps that one example of a claim takes, as the mean over all claims that are not ``QUICK``; a test holds it
to within a factor of two.
"""


def in_order(claims: Iterable[Claim]) -> tuple[Claim, ...]:
    """The order in which claims are tried: ``QUICK``, then all others mixed, so that the share of the claims that are
    done tells the share of the time.
    """
    places = {claim_id: (0, place) for place, claim_id in enumerate(QUICK)}
    return tuple(sorted(claims, key=lambda claim: places.get(claim.id, (1, seed_of(claim.id, "order", 0)))))


def expected_steps(claims: Sequence[Claim], max_examples: int) -> int:
    """Single steps that checking these claims takes, roughly; each of ``QUICK`` takes one an example."""
    first = sum(claim.id in QUICK for claim in claims)
    return max_examples * (first + STEPS_PER_EXAMPLE * (len(claims) - first))


def seconds_per_call(implementation: Implementation) -> float:
    """What a small step takes, as the median over the learners, when it is not the first."""
    rng = np.random.default_rng(0)
    B, w, targets = (rng.uniform(-0.5, 0.5, shape) for shape in ((4, 2), (2,), (4, 3)))
    taken = []
    for learner in sorted(implementation.supported):
        started = time.perf_counter()
        implementation.step(LEARNERS[learner], B, w, targets, 0.125, 0.25)
        taken.append(time.perf_counter() - started)
    return float(np.median(taken))
