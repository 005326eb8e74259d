"""``pytest --implementation=TARGET``: every claim that speaks of an update map or a trajectory, against that adapter.

With a blank for the = pytest looks for its settings beside a file that is not in the checkout, and does not find them.
"""

import pytest

from metarep.sim.implementations import Implementation
from metarep.theory.claims.record import Claim
from metarep.theory.engine.foreign.calls import every_claim
from metarep.theory.engine.foreign.checking import Status, check_claim

ABOUT_STEPS = [claim for claim in every_claim() if claim.exercises & {"step", "samples"} and claim.floats]


@pytest.mark.parametrize("claim", ABOUT_STEPS, ids=lambda claim: claim.id)
def test_implementation_does_what_the_claim_says(claim: Claim, implementation: Implementation) -> None:
    checked = check_claim(claim, implementation)
    if checked.status == Status.NOT_APPLICABLE:
        pytest.skip(checked.why)
    at = "\n".join(f"    {line}" for line in checked.counterexample_lines())
    assert checked.status == Status.PASSED, f"{claim.id} ({claim.source}): {checked.why}\n  at\n{at}"
