"""Every claim that speaks of an update map or a trajectory, against the adapter that ``pytest --implementation`` names.

It runs in the test's own process, so that a debugger sees it.
"""

import pytest

from metarep.sim.foreign.adapter import load_adapter
from metarep.sim.foreign.implementation import foreign_implementation
from metarep.sim.implementations import Implementation
from metarep.theory.claims.record import Claim
from metarep.theory.engine.foreign.calls import every_claim
from metarep.theory.engine.foreign.checking import Status, check_claim

ABOUT_STEPS = [claim for claim in every_claim() if claim.exercises & {"step", "samples"} and claim.floats]


@pytest.fixture(scope="session")
def implementation(request: pytest.FixtureRequest) -> Implementation:
    """The implementation that the option names."""
    return foreign_implementation(load_adapter(str(request.config.getoption("--implementation"))))


@pytest.mark.parametrize("claim", ABOUT_STEPS, ids=lambda claim: claim.id)
def test_implementation_does_what_the_claim_says(claim: Claim, implementation: Implementation) -> None:
    """One claim."""
    checked = check_claim(claim, implementation)
    if checked.status == Status.NOT_APPLICABLE:
        pytest.skip(checked.why)
    at = "\n".join(f"    {line}" for line in checked.counterexample_lines())
    assert checked.status == Status.PASSED, f"{claim.id} ({claim.source}): {checked.why}\n  at\n{at}"
