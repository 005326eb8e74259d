"""Right code in coarse arithmetic conforms: the reference in float32 and in bfloat16, at the default examples."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sharing import cases

from metarep.sim.foreign.adapter import load_adapter
from metarep.sim.foreign.implementation import foreign_implementation
from metarep.sim.implementations import REFERENCE, Implementation
from metarep.sim.learners import LEARNERS
from metarep.sim.precisions import UNITS, reference_at, reference_in, rounded_to_bfloat16
from metarep.sim.sampling.samples import step_on_samples
from metarep.sim.updates import step
from metarep.theory.claims import get_claim
from metarep.theory.claims.record import Comparison, Example
from metarep.theory.engine import Profile
from metarep.theory.engine.foreign.calls import every_claim
from metarep.theory.engine.foreign.checking import CheckResult, Status, applicable, check_claim, check_implementation
from metarep.theory.engine.foreign.order import QUICK, expected_steps

SINGLE = reference_in("float32")
PARTS = 3
TOO_COARSE = {
    "fo-maml-boundary": "a perturbation of √eps is a tenth: second-order effects are no longer small",
    "baseline-control": "over thousands of steps an update falls below the unit of what it is added to",
}
"""Claims about which bfloat16 says nothing, and why."""


def _failed(result: CheckResult) -> list[tuple[str, str]]:
    return [(item.claim.id, item.why) for item in result.of(Status.FAILED)]


@pytest.mark.parametrize("part", cases(range(PARTS), {1, 2}))
def test_float32_passes_every_claim(part: int) -> None:
    tried = applicable(every_claim(), SINGLE)
    result = check_implementation(SINGLE, tried[part::PARTS])
    assert not _failed(result)
    assert len(result.of(Status.PASSED)) == len(tried[part::PARTS])
    assert all(item.evidence and item.evidence.blunt <= 0.8 * item.examples for item in result.claims)
    assert 0.5 <= sum(item.steps for item in result.claims) / expected_steps(tried[part::PARTS], 12) <= 2


def test_bfloat16_passes_what_it_can_tell(profile: Profile) -> None:
    coarse, thorough = reference_in("bfloat16"), profile.effort > 1
    claims = [c for c in every_claim() if c.id not in TOO_COARSE and (thorough or c.id in QUICK)]
    result = check_implementation(coarse, claims)
    assert not _failed(result)
    tried = len(applicable(claims, coarse))
    assert len(result.of(Status.PASSED)) >= 0.5 * tried
    hidden = [item for item in result.of(Status.NOT_APPLICABLE) if "rounding errors" in item.why]
    assert len(hidden) + len(result.of(Status.PASSED)) == tried


def test_nan_that_the_reference_has_too_is_no_fault() -> None:
    """With this seed an example overflows, where the tolerance is 10¹²."""
    found = check_claim(get_claim("local-ratio-maml"), SINGLE, seed=3)
    assert (found.status, found.examples) == (Status.PASSED, 12)
    assert found.evidence is not None
    assert found.evidence.blunt < 12


# --- what is forgiven, and what is not


def _blunt(example: Example, implementation: Implementation) -> Comparison:
    return Comparison(3.0, 0.0, 2.0 if implementation.eps > 1e-10 else 1e-9, "blunt in float32", size=1.0)


def _at_zero(example: Example, implementation: Implementation) -> Comparison:
    next_B, _ = implementation.step(LEARNERS["fo-anil"], np.ones((2, 1)), np.ones(1), np.ones((2, 1)), 0.1, 0.1)
    return Comparison(float(next_B[0, 0]) - 1.0, 1.0, 0.0, "a number of the step")


def test_a_tolerance_as_large_as_what_is_compared_is_not_applicable_in_float32_alone() -> None:
    claim = replace(get_claim("update-fo-anil"), check=_blunt)
    hidden = check_claim(claim, SINGLE, most_shrinks=0)
    assert hidden.status == Status.NOT_APPLICABLE
    assert "as large as what is compared" in hidden.why
    double = check_claim(claim, replace(REFERENCE, exact=False), most_shrinks=0)
    assert double.status == Status.CLAIM_AT_FAULT  # not hidden there: that it fails for the reference too is told


def test_nan_that_the_reference_has_not_is_a_fault() -> None:
    def broken(*at: object) -> tuple[np.ndarray, np.ndarray]:
        return np.full((2, 1), np.nan), np.full(1, np.nan)

    claim = replace(get_claim("update-fo-anil"), check=_at_zero)
    assert check_claim(claim, SINGLE, most_shrinks=0).status == Status.PASSED
    assert check_claim(claim, replace(SINGLE, step=broken), most_shrinks=0).status == Status.FAILED


def test_float32_that_returns_float64_conforms_as_what_it_declares(tmp_path: Path) -> None:
    path = tmp_path / "adapter.py"
    path.write_text(
        "import numpy as np\nfrom metarep.sim.learners import LEARNERS\nfrom metarep.sim.updates import step as right\n"
        "\nprecision = 'float32'\n\ndef step(learner, *given):\n"
        "    B, w = right(LEARNERS[learner.name], *(np.float32(part) for part in given))\n"
        "    return B.astype(float), w.astype(float)\n"
    )
    claims = [claim for claim in every_claim() if claim.id in QUICK]
    assert not _failed(check_implementation(foreign_implementation(load_adapter(str(path))), claims))
    path.write_text(path.read_text().replace("'float32'", "'float64'"))
    wide = foreign_implementation(load_adapter(str(path)))
    assert check_claim(get_claim("update-anil"), wide, most_shrinks=0).status == Status.FAILED


# --- the reference in other arithmetic


def test_bfloat16_keeps_eight_bits() -> None:
    values = np.array([1.0, 1 + 2.0**-7, 1 + 2.0**-8, 1 + 3 * 2.0**-8, -1 - 2.0**-9, 3e38, np.inf, np.nan, 0.0])
    expected = [1.0, 1 + 2.0**-7, 1.0, 1 + 2.0**-6, -1.0, 3e38, np.inf, np.nan, 0.0]
    np.testing.assert_allclose(rounded_to_bfloat16(values), expected, rtol=2.0**-8)
    assert rounded_to_bfloat16(values)[2] == 1.0


def test_the_reference_in_a_precision_is_off_by_its_rounding_errors() -> None:
    rng = np.random.default_rng(2)
    at = rng.uniform(-1, 1, (5, 2)), rng.uniform(-1, 1, 2), rng.uniform(-1, 1, (5, 3)), 0.3, 0.2
    for learner in LEARNERS.values():
        right = REFERENCE.step(learner, *at)
        off = {name: np.abs(reference_in(name).step(learner, *at)[0] - right[0]).max() for name in UNITS}
        assert off["float64"] == 0
        assert 0 < off["float32"] < 2.0**-20
        assert 2.0**-11 < off["bfloat16"] < 2.0**-4
    assert [reference_at(eps).eps for eps in UNITS.values()] == list(UNITS.values())


def test_the_reference_computes_in_float32_throughout() -> None:
    B, w, targets, X, y = (np.ones(shape, np.float32) for shape in ((5, 2), (2,), (5, 3), (3, 6, 5), (3, 6)))
    alpha, beta = np.float32(0.3), np.float32(0.2)
    for learner in LEARNERS.values():
        on_samples = step_on_samples(learner, B, w, X, y, X, y, alpha, beta)
        for stepped in (step(learner, B, w, targets, alpha, beta), on_samples):
            assert {part.dtype for part in stepped} == {np.dtype("float32")}
