"""The search for a counterexample: Hypothesis generates, drives toward the worst margin, and shrinks what it finds."""

import hashlib
import random
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field, replace
from typing import Any
from unittest.mock import patch

import hypothesis
import numpy as np
from hypothesis import HealthCheck, Phase
from hypothesis.errors import FailedHealthCheck, Flaky, InvalidArgument, Unsatisfiable
from hypothesis.strategies import SearchStrategy

from metarep.sim.foreign.adapter import AdapterError
from metarep.sim.implementations import REFERENCE, Implementation
from metarep.theory.claims.confirmation import in_fractions
from metarep.theory.claims.record import Check, Claim, ClaimError, Comparison, Example, Verdict
from metarep.theory.claims.sizes import ExampleSizes, added, counts, sizes_of
from metarep.theory.engine.evidence import Evidence, EvidenceKind, Power, Profile
from metarep.theory.engine.power import power_of
from metarep.theory.engine.showing import Rank, genericity


def _internals() -> tuple[Any, ...] | None:
    """Hypothesis' modules ``core``, ``control`` and ``providers`` and classes ``Constants`` and ``ConjectureRunner``,
    if they have what ``_our_search`` needs.
    """
    try:
        from hypothesis import control, core
        from hypothesis.internal.conjecture import providers
        from hypothesis.internal.conjecture.engine import ConjectureRunner
        from hypothesis.internal.constants_ast import Constants
    except ImportError:
        return None
    needed = (
        hasattr(core, "deterministic_PRNG"),
        hasattr(control, "deprecate_random_in_strategy"),
        hasattr(providers, "_get_local_constants"),
        hasattr(providers, "CONSTANTS_CACHE"),
        hasattr(ConjectureRunner, "optimise_targets"),
        hasattr(ConjectureRunner, "generate_mutations_from"),
    )
    return (core, control, providers, Constants, ConjectureRunner) if all(needed) else None


_INTERNALS = _internals()
_CONSTANTS = None if _INTERNALS is None else type(_INTERNALS[2].CONSTANTS_CACHE)(1024)
"""Which of Hypothesis' own constants a draw may be: in its place in our searches, where no others are among them."""
INTERNALS_ARE_KNOWN = _INTERNALS is not None
"""Whether this version of Hypothesis has the functions that ``_our_search`` replaces. Without them everything works,
but a seed gives the same examples only where the same modules are imported, and nobody counts the independent ones.
"""


class _ViolatedError(AssertionError):
    """Raised inside a search so that Hypothesis shrinks the example; never leaves this module."""


class EnoughError(KeyboardInterrupt):
    """Raised inside a search, by a check too, to end it at once: Hypothesis lets an interruption through, and nothing
    else. Never leaves the search.
    """


@dataclass
class _Search:
    examples: int = 0
    independent: list[tuple[Example, Comparison]] = field(default_factory=list)
    nudging: bool = False
    """Whether the target phase is at work, which makes examples of others."""
    shrinks: int = 0
    tolerant: bool = False
    blunt: int = 0
    sizes: list[ExampleSizes] = field(default_factory=list)
    worst: tuple[float, float, Example, Comparison] | None = None  # (margin, −strain, example, comparison)
    generic: tuple[Rank, Example, Comparison] | None = None
    violation: tuple[Example, Comparison] | None = None

    @property
    def can_be_shown(self) -> bool:
        """Whether there is an example with nothing zero in it."""
        return self.generic is not None and self.generic[0][0]


MORE = 60
"""So many exact examples are drawn besides, at most, if all of those wanted have a zero: they are few."""


def seed_of(claim_id: str, kind: str, seed: int) -> int:
    """A seed for one claim's search of one kind, the same on every machine."""
    digest = hashlib.sha256(f"{claim_id}/{kind}/{seed}".encode()).digest()
    return int.from_bytes(digest[:8], "big")


@contextmanager
def _our_search(found: _Search) -> Iterator[None]:
    """What Hypothesis has no public switch for.

    - It mixes into its draws the constants that it finds in the source of local modules: of whatever happens to be
      imported, so that a run from the command line, from pytest and from an installed package would try different
      examples with the same seed. These are kept out.
    - It follows every draw by up to five copies of it in which one part stands in the place of another. They would be
      three of five examples of an identity, and are not independent: fresh draws take their places.
    - It does not say which examples its target phase made by nudging another. ``found.nudging`` is set meanwhile.
    - It keeps the state of Python's and NumPy's global generators and sets it back around every example, which takes a
      quarter of a millisecond. Once around the search does, as each example seeds them.
    """
    if _INTERNALS is None:
        yield
        return
    core, control, providers, Constants, Runner = _INTERNALS
    optimise = Runner.optimise_targets

    def nudging(runner: Any, *at: Any, **named: Any) -> Any:
        found.nudging = True
        try:
            return optimise(runner, *at, **named)
        finally:
            found.nudging = False

    with (
        patch.object(providers, "_get_local_constants", Constants),
        patch.object(providers, "CONSTANTS_CACHE", _CONSTANTS),
        patch.object(Runner, "generate_mutations_from", lambda runner, data: None),
        patch.object(Runner, "optimise_targets", nudging),
        core.deterministic_PRNG(),
        patch.object(core, "deterministic_PRNG", _seeded),
        patch.object(control, "deprecate_random_in_strategy", lambda *said: nullcontext()),
    ):
        yield


@contextmanager
def _seeded() -> Iterator[None]:
    """The global generators seeded as Hypothesis seeds them for an example."""
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002  # the global one is what a check may use
    yield


def _drive(
    strategy: SearchStrategy[Example],
    look: Callable[[Example], None],
    examples: int,
    seed: int,
    found: _Search,
    *more: Phase,
) -> None:
    """Have Hypothesis draw examples, in more phases than the one that generates them, and look at each."""

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=examples,
        phases=[Phase.generate, *more],
        database=None,
        deadline=None,
        derandomize=False,
        report_multiple_bugs=False,
        print_blob=False,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
    )
    @hypothesis.given(strategy)
    def one(example: Example) -> None:
        if not isinstance(example, dict):
            raise ClaimError(f"draws examples of type {type(example).__name__}; allowed: a dict of the numbers drawn")
        look(example)

    # There is no database, but its key would be made of the function's source, which takes as long as several draws.
    one.__dict__["_hypothesis_internal_database_key"] = None
    try:
        with _our_search(found), suppress(EnoughError):
            one()
    except (Unsatisfiable, FailedHealthCheck, InvalidArgument) as error:
        said = str(error).split(". ")[0]
        raise ClaimError(f"draws no examples ({said}); allowed: a strategy that generates some") from error


def drawn(claim: Claim, kind: EvidenceKind, examples: int, seed: int) -> list[Example]:
    """Examples of one kind, as a search that is driven nowhere draws them."""
    strategy, found = claim.floats if kind == "floats" else claim.fractions, []
    if strategy is not None:
        _drive(strategy(), found.append, examples, seed_of(claim.id, kind, seed), _Search())
    return found


def _run_search(
    found: _Search,
    strategy: SearchStrategy[Example],
    check: Callable[[Example], Comparison],
    examples: int,
    seed: int,
    *,
    target: bool,
    profile: Profile,
    until_shown: bool = False,
) -> None:
    """Search into ``found``; ``until_shown``: no longer than until it has an example to be shown."""

    def look(example: Example) -> None:
        if found.violation is not None and profile.most_shrinks is not None:
            if found.shrinks >= profile.most_shrinks:
                raise EnoughError
            found.shrinks += 1
        if until_shown and any(example == known for known, _ in found.independent):
            return  # the simplest is drawn by every search
        comparison = check(example)
        if found.violation is None:
            found.examples += 1
            found.independent += [] if found.nudging else [(example, comparison)]
            found.tolerant |= comparison.tolerance != 0
            found.blunt += comparison.blunt
            found.sizes.append(sizes_of(example))
            rank = (comparison.margin, -comparison.strain)
            if comparison.holds and (found.worst is None or rank < found.worst[:2]):
                found.worst = (*rank, example, comparison)
            if comparison.holds:
                shows = genericity(example, comparison)
                if found.generic is None or shows > found.generic[0]:
                    found.generic = (shows, example, comparison)
        if not comparison.holds:
            found.violation = (example, comparison)
            if not profile.shrink:
                raise EnoughError  # Hypothesis would run the example again, and print it
            raise _ViolatedError(comparison.why)
        # At k = 1 some bounds are equalities, and the search for the worst margin would stay there.
        if target and example.get("k") != 1 and np.isfinite(comparison.margin):
            hypothesis.target(-comparison.margin)
        if until_shown and found.can_be_shown:
            raise EnoughError

    more = [*([Phase.target] if target else []), *([Phase.shrink] if profile.shrink else [])]
    try:
        _drive(strategy, look, examples, seed, found, *more)
    except (_ViolatedError, Flaky):
        if found.violation is None:
            raise


def _evaluated(claim: Claim, check: Check, example: Example, implementation: Implementation) -> Comparison:
    """The check's comparison; arithmetic that breaks down on what an implementation returned is a violation, not a
    crash, and so is any other error that the reference does not bring about on the same example.
    """
    try:
        with nullcontext() if implementation is REFERENCE else np.errstate(all="ignore"):
            found = check(example, implementation)
        if not isinstance(found, Comparison):
            raise ClaimError(f"the check of claim {claim.id!r} returned {type(found).__name__}; allowed: a Comparison")
        return found
    except (ArithmeticError, np.linalg.LinAlgError) as error:
        what = f"the check broke down ({type(error).__name__}: {error})"
    except (ValueError, IndexError) as error:
        if isinstance(error, AdapterError | ClaimError):
            raise
        if implementation is REFERENCE or _breaks_down(check, example, implementation.eps):
            error.add_note(f"in the check of claim {claim.id} on {example!r}")
            raise
        what = f"what the step returned cannot be compared ({type(error).__name__}: {error})"
    return Comparison(float("nan"), 0.0, 0.0, what)


def _breaks_down(check: Check, example: Example, eps: float) -> bool:
    """Whether the check fails with an error for the reference, too: then the claim is at fault."""
    try:
        check(example, replace(REFERENCE, eps=eps))
    except (ValueError, IndexError):
        return True
    return False


def fails(claim: Claim, example: Example, implementation: Implementation) -> bool:
    """Whether the claim's check fails on one example."""
    return claim.check is not None and not _evaluated(claim, claim.check, example, implementation).holds


def searched(
    claim: Claim,
    kind: EvidenceKind,
    strategy: SearchStrategy[Example],
    check: Check,
    implementation: Implementation,
    examples: int,
    profile: Profile,
) -> Evidence:
    """Search the examples of one strategy for a violation of the claim; the evidence is what was found.

    Raises:
        ClaimError: the check of exact examples allows a tolerance, or a check returns no comparison.
    """
    inequality = claim.kind == "inequality"
    found = _Search()

    def search(examples: int, what: str, **how: bool) -> None:
        def evaluated(example: Example) -> Comparison:
            return _evaluated(claim, check, example, implementation)

        seed = seed_of(claim.id, what, profile.seed)
        _run_search(found, strategy, evaluated, examples, seed, profile=profile, **how)

    search(examples, kind, target=inequality and kind == "floats")
    if kind == "exact" and found.violation is None and not found.can_be_shown:
        search(MORE, "shown", target=False, until_shown=True)
    independent = None if _INTERNALS is None else len(found.independent)
    if found.violation is not None:
        example, comparison = found.violation
        exact = kind == "exact" and implementation is REFERENCE and comparison.tolerance == 0
        return Evidence(
            kind, Verdict.REFUTED, found.examples, comparison.margin if inequality else None,
            counterexample=example, comparisons={"counterexample": comparison}, why=_why(comparison),
            strain=comparison.strain, sizes=counts(found.sizes), blunt=found.blunt, independent=independent,
            confirmation=in_fractions(comparison.value, comparison.bound, comparison.why) if exact else None,
        )  # fmt: skip
    if kind == "exact" and found.tolerant:
        raise ClaimError(f"the check of claim {claim.id!r} has a tolerance for fractions; allowed: 0")
    verdict = Verdict.EXACT if kind == "exact" else Verdict.SUPPORTED
    if found.worst is None or found.generic is None:  # an adapter has ended the search
        return Evidence(kind, Verdict.NOT_RUN, 0, why="no example was generated")
    if found.blunt == found.examples:
        why = "the tolerance is as large as what is compared in every example"
        return Evidence(kind, Verdict.NOT_RUN, 0, why=why, blunt=found.blunt)
    margin, strain, nearest, worst = found.worst
    _, instance, comparison = found.generic
    return Evidence(
        kind, verdict, found.examples, margin if inequality else None, instance, nearest if inequality else None,
        comparisons={"instance": comparison, **({"nearest": worst} if inequality else {})}, why=worst.why,
        strain=-strain, sizes=counts(found.sizes), blunt=found.blunt, independent=independent,
        power=_power(claim, found, profile) if implementation is REFERENCE else None,
    )  # fmt: skip


def besides(
    claim: Claim, check: Check, evidence: Evidence, examples: Iterable[Example], implementation: Implementation
) -> Evidence:
    """Evidence from float examples, with more of them tried that were made by hand; the first violation ends it.

    Args:
        claim: whose examples they are.
        check: its own, or what stands in its place.
        evidence: of a search that found no violation.
        examples: to try.
        implementation: what they are tried on.
    """
    found = _Search()
    for example in examples:
        try:
            comparison = _evaluated(claim, check, example, implementation)
        except EnoughError:
            break
        found.examples += 1
        found.blunt += comparison.blunt
        found.sizes.append(sizes_of(example))
        if not comparison.holds:
            found.violation = (example, comparison)
            break
    counted = {
        "examples": evidence.examples + found.examples,
        "blunt": evidence.blunt + found.blunt,
        "sizes": added([evidence.sizes or counts(()), counts(found.sizes)]),
        "independent": None if evidence.independent is None else evidence.independent + found.examples,
    }
    if found.violation is None:
        return replace(evidence, **counted)
    example, comparison = found.violation
    return Evidence(
        "floats", Verdict.REFUTED, **counted, counterexample=example, comparisons={"counterexample": comparison},
        why=_why(comparison), strain=comparison.strain,
    )  # fmt: skip


def _power(claim: Claim, found: _Search, profile: Profile) -> Power | None:
    """How many of the examples found could have failed; None if that is not asked, or none are known independent."""

    asked = profile.power and found.independent and _INTERNALS is not None
    return power_of(claim, found.independent, profile.power, fails) if asked else None


def _why(comparison: Comparison) -> str:
    value, bound = float(comparison.value), float(comparison.bound)
    tolerance = float(comparison.tolerance)
    return f"{comparison.why}: {value:.6g} > {bound:.6g} (tolerance {tolerance:.2g})".lstrip(": ")
