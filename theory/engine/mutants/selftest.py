"""The suite tested on itself: every mutant against the claims that speak of what it changes, each of which something
must refute.

Mutants of the sampler are in the catalogue and not in the matrix: no claim speaks of a law as a whole, and what tells
them from explicit data are the two-sample tests of the test suite.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from metarep.sim.mutants.careless import CARELESS_MUTANTS
from metarep.sim.mutants.mutant import Kind, Mutant
from metarep.sim.mutants.samplers import SAMPLER_MUTANTS
from metarep.sim.mutants.sizes import SIZE_MUTANTS
from metarep.sim.mutants.steps import IMPLEMENTATION_MUTANTS
from metarep.theory.claims import catalogue, get_claim
from metarep.theory.claims.record import Claim, Verdict
from metarep.theory.engine.evidence import Evidence, EvidenceKind, Profile
from metarep.theory.engine.mutants.formulas import FORMULA_MUTANTS
from metarep.theory.engine.mutants.wrong_claims import CLAIM_MUTANTS
from metarep.theory.engine.mutants.wrong_proofs import PROOF_MUTANTS
from metarep.theory.engine.power import IDLE, about_progress, tried_on
from metarep.theory.engine.run import verify
from metarep.theory.engine.search import drawn, fails
from metarep.theory.work.processes import working

MUTANTS: dict[str, Mutant] = {
    mutant.name: mutant
    for several in (
        IMPLEMENTATION_MUTANTS,
        CARELESS_MUTANTS,
        SIZE_MUTANTS,
        SAMPLER_MUTANTS,
        FORMULA_MUTANTS,
        CLAIM_MUTANTS,
        PROOF_MUTANTS,
    )
    for mutant in several
}
"""Everything that is wrong on purpose, by name."""

CROSSED = ("implementation", "formula")
"""The kinds of mutants that claims are tried on."""

DEFAULT_EFFORT = 0.1
"""Share of each claim's examples that a wrong implementation must survive; one that matters shows within a few."""

LEAST_EXAMPLES = {"identity": 8, "inequality": 3, "measurement": 1}
"""... but at least so many: the first example that Hypothesis tries is the simplest one, where little can be seen."""

FORMULA_EXAMPLES = 12
"""Examples per wrong formula and claim."""

LONG_RUNS = (
    *("balance-bounded-", "envelope-", "diversity-needed-", "baseline-control", "confinement"),
    *("theorem-", "balance-stays-", "head-stays-small-", "heads-stay-diverse-", "angle-stays-"),
)
"""How the ids begin of the claims whose every example is a run of many steps: left out of a quick matrix."""

QUICK_EXAMPLES = 3
"""Examples per wrong step and claim in a quick matrix, at most."""

MOST_SHRINKS = 200
"""Steps that shrinking a wrong claim's counterexample may take."""


@dataclass(frozen=True)
class Row:
    """One mutant, and what refutes it: claims that speak of what it changes, or a wrong claim's or proof's evidence."""

    mutant: str
    kind: Kind
    cause: str
    what: str
    refuted_by: tuple[str, ...] = ()
    survived: tuple[str, ...] = ()
    evidence: Evidence | None = None

    @property
    def found(self) -> bool:
        """Whether anything refutes it."""
        return bool(self.refuted_by) or self.evidence is not None

    @property
    def share(self) -> str:
        """How many of the claims that were tried refute it."""
        return f"{len(self.refuted_by)} of {len(self.refuted_by) + len(self.survived)}"


@dataclass(frozen=True)
class Column:
    """One claim, and the names of the mutants that it refutes and that survive it."""

    id: str
    refuted: tuple[str, ...]
    survived: tuple[str, ...]

    @property
    def claim(self) -> Claim:
        """The claim itself."""
        return get_claim(self.id)

    @property
    def tried(self) -> tuple[str, ...]:
        """The mutants that were tried on it."""
        return (*self.refuted, *self.survived)

    @property
    def share(self) -> str:
        """How many of the mutants that were tried it refutes."""
        return f"{len(self.refuted)} of {len(self.tried)}"

    @property
    def idle_survivors(self) -> tuple[str, ...]:
        """Of the learners that do less than they should those that were tried and survive."""
        return tuple(name for name in IDLE if name in self.survived)

    @property
    def defect(self) -> str:
        """What is wrong with the claim's checks; empty if nothing is."""
        if not self.refuted:
            return "no mutant fails it"
        if self.idle_survivors and about_progress(self.claim):
            return f"its record does not say why it need not refute {' and '.join(self.idle_survivors)}"
        return ""


@dataclass(frozen=True)
class Matrix:
    """The matrix mutant × claim: ``columns`` in the catalogue's order; ``alone`` are the rows of wrong claims and
    proofs, which meet no claim.
    """

    columns: tuple[Column, ...]
    alone: tuple[Row, ...] = ()

    @cached_property
    def crossed(self) -> tuple[Row, ...]:
        """The rows of the wrong implementations and formulas."""
        return tuple(
            Row(
                *(mutant.name, mutant.kind, mutant.cause, mutant.what),
                tuple(column.id for column in self.columns if mutant.name in column.refuted),
                tuple(column.id for column in self.columns if mutant.name in column.survived),
            )
            for mutant in MUTANTS.values()
            if mutant.kind in CROSSED
        )

    @property
    def rows(self) -> tuple[Row, ...]:
        """A row for each mutant."""
        return (*self.crossed, *self.alone)

    @property
    def wrong_claims(self) -> tuple[Row, ...]:
        """The rows of wrong claims."""
        return tuple(row for row in self.alone if row.kind == "claim")

    @property
    def wrong_proofs(self) -> dict[str, tuple[Row, ...]]:
        """The rows of wrong proofs, by the kind of mistake."""
        rows = [row for row in self.alone if row.kind == "proof"]
        causes = dict.fromkeys(row.cause for row in rows)
        return {cause: tuple(row for row in rows if row.cause == cause) for cause in causes}

    @property
    def claims(self) -> tuple[str, ...]:
        """Ids of the claims that some mutant was tried on, in the catalogue's order."""
        return tuple(column.id for column in self.columns if column.tried)

    @property
    def defects(self) -> tuple[Column, ...]:
        """The claims whose checks miss what they have to see."""
        return tuple(column for column in self.columns if column.defect)

    @property
    def survivors(self) -> tuple[str, ...]:
        """Names of the mutants that nothing refuted."""
        return tuple(row.mutant for row in self.rows if not row.found)


def asks_no_implementation(claim: Claim) -> bool:
    """Whether the claim has a check that no wrong implementation concerns: only a wrong formula can show that it can
    fail.
    """
    return claim.check is not None and not any(tried_on(mutant, claim) for mutant in IMPLEMENTATION_MUTANTS)


def used_claims(without: Iterable[str] = (), quick: bool = False) -> tuple[str, ...]:
    """Ids of the claims that mutants are tried on: those that are not known to be false, as no mutant is found by
    refuting such a one. A quick matrix leaves out the ``LONG_RUNS``, and measurements of implementations.
    """
    left_out = set(without)
    return tuple(
        claim.id
        for claim in catalogue()
        if claim.expected != Verdict.REFUTED
        and claim.id not in left_out
        and not (quick and (claim.id.startswith(LONG_RUNS) or (claim.check is None and claim.exercises)))
    )


def about_progress_among(ids: Iterable[str]) -> tuple[str, ...]:
    """Of the claims of these ids those about progress that are checked on examples."""
    return tuple(id_ for id_ in ids if get_claim(id_).check is not None and about_progress(get_claim(id_)))


def _examples(mutant: Mutant, claim: Claim, effort: float, quick: bool) -> int:
    """How many examples a mutant must survive."""
    if mutant.kind == "formula":
        return FORMULA_EXAMPLES
    wanted = max(LEAST_EXAMPLES[claim.kind], round(claim.examples * effort))
    return min(wanted, QUICK_EXAMPLES) if quick and "step" in mutant.parts else wanted


def trial(
    claim_id: str, names: Iterable[str], effort: float = DEFAULT_EFFORT, seed: int = 0, quick: bool = False
) -> Column:
    """One claim against those of the mutants that change what it speaks of, all on the same examples.

    Args:
        claim_id: of the claim.
        names: of the mutants.
        effort: share of the claim's examples that a wrong implementation must survive.
        seed: fixes all randomness.
        quick: a wrong implementation is tried on ``QUICK_EXAMPLES`` at most.
    """
    claim = get_claim(claim_id)
    trials = {name: found for name in names if (found := tried_on(MUTANTS[name], claim))}
    wanted = {name: _examples(MUTANTS[name], claim, effort, quick) for name in trials}
    kind: EvidenceKind = "floats" if claim.floats is not None else "exact"
    examples = drawn(claim, kind, max(wanted.values()), seed) if claim.check is not None and wanted else []

    def refuted(name: str) -> bool:
        wrong, implementation = trials[name]
        if any(fails(wrong, example, implementation) for example in examples[: wanted[name]]):
            return True
        # A measurement has no examples; and a mutant that has to fall is searched for with all that there are.
        measured = wrong.check is None or (wrong.measure is not claim.measure and wrong.check is claim.check)
        if not measured and not (name in IDLE and about_progress(claim)):
            return False
        profile = Profile("selftest", effort, seed, shrink=False, power=0)
        kinds: tuple[EvidenceKind, ...] = ("measurement",) if measured else (kind,)
        found = verify(wrong, implementation, profile=profile, examples=claim.examples, kinds=kinds)
        return found.status == Verdict.REFUTED

    seen = {name: refuted(name) for name in trials}
    return Column(claim_id, *(tuple(name for name in seen if seen[name] == yes) for yes in (True, False)))


def trial_alone(name: str, seed: int = 0) -> Row:
    """A wrong claim or proof, which stands by itself."""
    mutant = MUTANTS[name]
    if mutant.kind == "proof":
        checked = mutant.parts["control"].refused()
        found = None if checked.accepted else Evidence("proof", Verdict.REFUTED, 0, why=checked.refusal)
    else:
        profile = Profile("selftest", 1.0, seed, most_shrinks=MOST_SHRINKS, power=0)
        found = verify(mutant.parts["claim"], profile=profile).counterexample
    return Row(name, mutant.kind, mutant.cause, mutant.what, evidence=found)


Trial = tuple[str, Callable[..., Column | Row], tuple[object, ...]]


def trials(
    without: Iterable[str] = (), effort: float = DEFAULT_EFFORT, seed: int = 0, quick: bool = False
) -> tuple[Trial, ...]:
    """The trials that make a matrix: (claim or mutant, function, arguments) each, the wrong claims and proofs last;
    arguments as ``trial`` and ``used_claims``. A quick matrix, too, tries the ``IDLE`` mutants on every claim about
    progress.
    """
    used, all_used = used_claims(without, quick), used_claims(without)
    progress = about_progress_among(all_used)
    crossed = tuple(mutant.name for mutant in MUTANTS.values() if mutant.kind in CROSSED)
    idle = tuple(name for name in IDLE if name in MUTANTS)
    alone = (mutant.name for mutant in MUTANTS.values() if mutant.kind in ("claim", "proof"))
    return (
        *(
            (id_, trial, (id_, crossed if id_ in used else idle, effort, seed, quick))
            for id_ in all_used
            if id_ in used or id_ in progress
        ),
        *((name, trial_alone, (name, seed)) for name in alone),
    )


def matrix_of(found: Iterable[Column | Row]) -> Matrix:
    """The matrix that the results of ``trials`` make, in their order."""
    several = tuple(found)
    columns = tuple(item for item in several if isinstance(item, Column))
    return Matrix(columns, tuple(item for item in several if isinstance(item, Row)))


def selftest(
    *,
    without: Iterable[str] = (),
    effort: float = DEFAULT_EFFORT,
    seed: int = 0,
    jobs: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Matrix:
    """Try every mutant on every claim that speaks of what it changes, and verify every wrong claim and proof.

    Args:
        without: ids of claims to leave out (to see what would then go unnoticed).
        effort: share of each claim's examples.
        seed: fixes all randomness.
        jobs: processes; -1 for all cores.
        progress: told (done, total) after each claim, and each wrong claim or proof.

    Raises:
        ValueError: ``without`` names an unknown claim.
    """
    left_out = set(without)
    unknown = sorted(left_out - {claim.id for claim in catalogue()})
    if unknown:
        raise ValueError(f"unknown claim {', '.join(unknown)}; allowed: the ids that `metarep claims` lists")
    tasks = trials(left_out, effort, seed)
    found: list[Any] = []
    with working(((run, given) for _, run, given in tasks), jobs, len(tasks), ordered=True) as results:
        for item in results:
            found.append(item)
            if progress is not None:
                progress(len(found), len(tasks))
    return matrix_of(found)
