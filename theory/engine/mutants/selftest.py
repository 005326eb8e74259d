"""The suite tested on itself: named wrong implementations, faults of the theory and wrong claims, each of which
something must refute.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from joblib import Parallel, delayed

from metarep.sim.mutants import DEVIATIONS, Deviation
from metarep.theory.claims import catalogue
from metarep.theory.claims.record import Claim, Verdict
from metarep.theory.engine.evidence import Evidence, Profile
from metarep.theory.engine.mutants.theory_faults import THEORY_FAULTS
from metarep.theory.engine.mutants.wrong_claims import WRONG_CLAIMS
from metarep.theory.engine.run import verify

DEFAULT_EFFORT = 0.1
"""Share of each claim's instances that a fault must survive; a fault that matters shows within a few."""

LEAST_INSTANCES = {"identity": 8, "inequality": 3, "measurement": 1}
"""... but at least so many: the first instance that Hypothesis tries is the simplest one, where little can be seen."""


LONG_RUNS = ("balance-bounded-", "envelope-", "diversity-needed-", "baseline-control", "confinement")
"""How the ids begin of the claims whose every instance is a run of many steps: left out of a quick matrix."""

QUICK_INSTANCES = 3
"""Instances per fault and claim in a quick matrix."""

THEORY_INSTANCES = 12
"""Instances per fault of the theory and claim."""

MOST_SHRINKS = 200
"""Steps that shrinking a wrong claim's counterexample may take."""


@dataclass(frozen=True)
class FaultRow:
    """One wrong implementation, or fault of the theory, against the claims that speak of what it changes."""

    fault: str
    cause: str
    description: str
    refuted_by: tuple[str, ...]
    survived: tuple[str, ...]

    @property
    def found(self) -> bool:
        """Whether at least one claim refutes the fault."""
        return bool(self.refuted_by)


@dataclass(frozen=True)
class WrongClaimRow:
    """One deliberately wrong claim, and how it was refuted, if it was."""

    claim: str
    statement: str
    evidence: Evidence | None

    @property
    def found(self) -> bool:
        """Whether the claim was refuted, with a counterexample or a remainder of its proof."""
        return self.evidence is not None


@dataclass(frozen=True)
class SelfTest:
    """The matrix fault × claim, and the wrong claims."""

    claims: tuple[str, ...]
    faults: tuple[FaultRow, ...]
    wrong_claims: tuple[WrongClaimRow, ...]

    @property
    def survivors(self) -> tuple[str, ...]:
        """Names of the faults and wrong claims that nothing refuted."""
        return tuple(row.fault for row in self.faults if not row.found) + tuple(
            row.claim for row in self.wrong_claims if not row.found
        )


def concerns(claim: Claim, deviation: Deviation) -> bool:
    """Whether the claim exercises what the deviation changes."""
    if claim.check is None:
        return False
    if not deviation.learners:
        return "distance" in claim.exercises
    return "step" in claim.exercises and bool(deviation.learners & set(claim.learners))


def used_claims(without: Iterable[str] = (), quick: bool = False) -> tuple[str, ...]:
    """Ids of the claims that faults are tried on: those with a check that are not known to be false, as no fault is
    found by refuting such a one; a quick matrix leaves out the ``LONG_RUNS``.
    """
    left_out = set(without)
    return tuple(
        claim.id
        for claim in catalogue()
        if claim.check is not None
        and claim.expected != Verdict.REFUTED
        and claim.id not in left_out
        and not (quick and claim.id.startswith(LONG_RUNS))
    )


def fault_row(
    name: str, claim_ids: Sequence[str], effort: float = DEFAULT_EFFORT, seed: int = 0, quick: bool = False
) -> FaultRow:
    """One named fault against those of the claims that concern it; ``quick``: at most ``QUICK_INSTANCES`` each."""
    deviation = DEVIATIONS[name]
    profile = Profile("selftest", effort, seed, shrink=False)
    refuted, survived = [], []
    for claim in catalogue():
        if claim.id in claim_ids and concerns(claim, deviation):
            instances = max(LEAST_INSTANCES[claim.kind], round(claim.examples * effort))
            if quick:
                instances = min(instances, QUICK_INSTANCES)
            kinds = ("floats",) if claim.floats is not None else ("exact",)
            finding = verify(claim, deviation.implementation, profile=profile, examples=instances, kinds=kinds)
            (refuted if finding.status == Verdict.REFUTED else survived).append(claim.id)
    return FaultRow(name, deviation.cause, deviation.description, tuple(refuted), tuple(survived))


def asks_no_implementation(claim: Claim) -> bool:
    """Whether the claim has a check that no wrong implementation concerns: only a fault of the theory can show that it
    can fail.
    """
    return claim.check is not None and not any(concerns(claim, deviation) for deviation in DEVIATIONS.values())


def theory_fault_row(position: int, claim_ids: Sequence[str], seed: int = 0) -> FaultRow:
    """The fault at that place of ``THEORY_FAULTS`` against those of the claims that it can reach and that ask no
    implementation.

    Raises:
        ValueError: what it replaces is gone.
    """
    fault = THEORY_FAULTS[position]
    refuted, survived = [], []
    with fault.planted():
        for claim in catalogue():
            if claim.id in claim_ids and fault.concerns(claim) and asks_no_implementation(claim):
                finding = verify(
                    claim,
                    profile=Profile("selftest", 1.0, seed, shrink=False),
                    examples=THEORY_INSTANCES,
                    kinds=("floats",) if claim.floats is not None else ("exact",),
                )
                (refuted if finding.status == Verdict.REFUTED else survived).append(claim.id)
    return FaultRow(fault.name, "theory", fault.description, tuple(refuted), tuple(survived))


def wrong_claim_row(position: int, seed: int = 0) -> WrongClaimRow:
    """The wrong claim at that place of ``WRONG_CLAIMS``, verified."""
    claim = WRONG_CLAIMS[position]
    finding = verify(claim, profile=Profile("selftest", 1.0, seed, most_shrinks=MOST_SHRINKS))
    return WrongClaimRow(claim.id, claim.statement, finding.counterexample)


def selftest(
    *,
    without: Iterable[str] = (),
    effort: float = DEFAULT_EFFORT,
    seed: int = 0,
    jobs: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> SelfTest:
    """Run every named fault, of an implementation or of the theory, against every claim that it concerns, and every
    wrong claim.

    Args:
        without: ids of claims to leave out (to see what would then go unnoticed).
        effort: share of each claim's instances.
        seed: fixes all randomness.
        jobs: processes.
        progress: told (done, total) after each row.

    Raises:
        ValueError: ``without`` names an unknown claim.
    """
    left_out = set(without)
    known = [claim.id for claim in catalogue()]
    unknown = sorted(left_out - set(known))
    if unknown:
        raise ValueError(f"unknown claim {', '.join(unknown)}; allowed: the ids that `metarep claims` lists")
    used = used_claims(left_out)
    tasks = [delayed(fault_row)(name, used, effort, seed) for name in DEVIATIONS]
    tasks += [delayed(theory_fault_row)(position, used, seed) for position in range(len(THEORY_FAULTS))]
    tasks += [delayed(wrong_claim_row)(position, seed) for position in range(len(WRONG_CLAIMS))]
    rows: list[FaultRow | WrongClaimRow] = []
    for row in Parallel(n_jobs=jobs, return_as="generator")(tasks):
        assert isinstance(row, FaultRow | WrongClaimRow)
        rows.append(row)
        if progress is not None:
            progress(len(rows), len(tasks))
    return assembled(rows, used)


def assembled(rows: Iterable[FaultRow | WrongClaimRow], used: Sequence[str]) -> SelfTest:
    """The matrix from its rows; of the claims used only those that some fault concerns."""
    rows = tuple(rows)
    faults = tuple(row for row in rows if isinstance(row, FaultRow))
    wrong = tuple(row for row in rows if isinstance(row, WrongClaimRow))
    exercised = {claim for row in faults for claim in (*row.refuted_by, *row.survived)}
    return SelfTest(tuple(claim for claim in used if claim in exercised), faults, wrong)
