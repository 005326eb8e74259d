"""The suite tested on itself: every mutant against the claims that speak of what it changes, each of which something
must refute.

Mutants of the sampler are in the catalogue and not in the matrix: no claim speaks of a law as a whole, and what tells
them from explicit data are the two-sample tests of the test suite.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

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

    claim: Claim
    refuted: tuple[str, ...]
    survived: tuple[str, ...]

    @property
    def share(self) -> str:
        """How many of the mutants that were tried it refutes."""
        return f"{len(self.refuted)} of {len(self.refuted) + len(self.survived)}"

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
    """The matrix mutant × claim: a row for each mutant; wrong claims and proofs, which meet no claim, come last.
    ``used``: ids of the claims that mutants were to be tried on.
    """

    rows: tuple[Row, ...]
    used: tuple[str, ...] = ()

    @property
    def crossed(self) -> tuple[Row, ...]:
        """The rows of mutants that claims were tried on."""
        return tuple(row for row in self.rows if row.kind not in ("claim", "proof"))

    @property
    def wrong_claims(self) -> tuple[Row, ...]:
        """The rows of wrong claims."""
        return tuple(row for row in self.rows if row.kind == "claim")

    @property
    def wrong_proofs(self) -> dict[str, tuple[Row, ...]]:
        """The rows of wrong proofs, by the kind of mistake."""
        rows = [row for row in self.rows if row.kind == "proof"]
        causes = dict.fromkeys(row.cause for row in rows)
        return {cause: tuple(row for row in rows if row.cause == cause) for cause in causes}

    @property
    def columns(self) -> tuple[Column, ...]:
        """The claims that mutants were, or were to be, tried on, in the catalogue's order."""
        found: dict[str, tuple[list[str], list[str]]] = {claim: ([], []) for claim in self.used}
        for row in self.rows:
            for place, claims in enumerate((row.refuted_by, row.survived)):
                for claim in claims:
                    found.setdefault(claim, ([], []))[place].append(row.mutant)
        columns = ((claim, found[claim.id]) for claim in catalogue() if claim.id in found)
        return tuple(Column(claim, tuple(refuted), tuple(survived)) for claim, (refuted, survived) in columns)

    @property
    def claims(self) -> tuple[str, ...]:
        """Ids of the claims that some mutant was tried on, in the catalogue's order."""
        return tuple(column.claim.id for column in self.columns if column.refuted or column.survived)

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
    """All of them where it has to fall, or where fewer would measure less well; it ends with the first that fails."""
    if claim.check is None or (mutant.name in IDLE and about_progress(claim)):
        return claim.examples
    if mutant.kind == "formula":
        return FORMULA_EXAMPLES
    wanted = max(LEAST_EXAMPLES[claim.kind], round(claim.examples * effort))
    return min(wanted, QUICK_EXAMPLES) if quick and "step" in mutant.parts else wanted


def _kind(claim: Claim, tried: Claim) -> EvidenceKind:
    """The one kind of evidence to gather: floats where there are such examples; a measurement where the measurement
    alone was changed.
    """
    if claim.check is None or (tried.measure is not claim.measure and tried.check is claim.check):
        return "measurement"
    return "floats" if claim.floats is not None else "exact"


def trial(
    name: str, claim_ids: Sequence[str], effort: float = DEFAULT_EFFORT, seed: int = 0, quick: bool = False
) -> Row:
    """One mutant against those of the claims that speak of what it changes; a wrong claim or proof stands by itself.

    Args:
        name: of the mutant.
        claim_ids: ids of the claims to try.
        effort: share of each claim's examples that a wrong implementation must survive.
        seed: fixes all randomness.
        quick: a wrong implementation is tried on ``QUICK_EXAMPLES`` of each claim at most.
    """
    mutant = MUTANTS[name]
    if mutant.kind == "proof":
        checked = mutant.parts["control"].refused()
        refused = None if checked.accepted else Evidence("proof", Verdict.REFUTED, 0, why=checked.refusal)
        return Row(name, mutant.kind, mutant.cause, mutant.what, evidence=refused)
    if mutant.kind == "claim":
        profile = Profile("selftest", 1.0, seed, most_shrinks=MOST_SHRINKS, power=0)
        found = verify(mutant.parts["claim"], profile=profile).counterexample
        return Row(name, mutant.kind, mutant.cause, mutant.what, evidence=found)
    refuted, survived = [], []
    for claim in catalogue():
        tried = tried_on(mutant, claim) if claim.id in claim_ids else None
        if tried is not None:
            finding = verify(
                *tried,
                profile=Profile("selftest", effort, seed, shrink=False, power=0),
                examples=_examples(mutant, claim, effort, quick),
                kinds=(_kind(claim, tried[0]),),
            )
            (refuted if finding.status == Verdict.REFUTED else survived).append(claim.id)
    return Row(name, mutant.kind, mutant.cause, mutant.what, tuple(refuted), tuple(survived))


Trial = tuple[str, Callable[..., Row], tuple[object, ...]]


def trials(
    without: Iterable[str] = (), effort: float = DEFAULT_EFFORT, seed: int = 0, quick: bool = False
) -> tuple[Trial, ...]:
    """The trials that make a matrix: (mutant, function, arguments) each, the wrong claims and proofs last; arguments as
    ``trial`` and ``used_claims``. A quick matrix, too, tries the ``IDLE`` mutants on every claim about progress.
    """
    used = used_claims(without, quick)
    with_progress = tuple(dict.fromkeys((*used, *about_progress_among(used_claims(without)))))
    return tuple(
        (mutant.name, trial, (mutant.name, with_progress if mutant.name in IDLE else used, effort, seed, quick))
        for mutant in MUTANTS.values()
        if mutant.kind != "sampler"
    )


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
        progress: told (done, total) after each row.

    Raises:
        ValueError: ``without`` names an unknown claim.
    """
    left_out = set(without)
    unknown = sorted(left_out - {claim.id for claim in catalogue()})
    if unknown:
        raise ValueError(f"unknown claim {', '.join(unknown)}; allowed: the ids that `metarep claims` lists")
    tasks = trials(left_out, effort, seed)
    rows: list[Row] = []
    with working(((run, given) for _, run, given in tasks), jobs, len(tasks), ordered=True) as results:
        for row in results:
            rows.append(row)
            if progress is not None:
                progress(len(rows), len(tasks))
    return Matrix(tuple(rows), used_claims(left_out))
