"""The search for a counterexample: Hypothesis generates, drives toward the worst margin, and shrinks what it finds."""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any

import hypothesis
import numpy as np
from hypothesis import HealthCheck, Phase
from hypothesis.errors import Flaky
from hypothesis.strategies import SearchStrategy

from metarep.sim.foreign.adapter import AdapterError
from metarep.sim.implementations import REFERENCE, Implementation
from metarep.theory.claims.confirmation import in_fractions
from metarep.theory.claims.record import Check, Claim, ClaimError, Comparison, Example, Verdict
from metarep.theory.claims.sizes import ExampleSizes, counts, sizes_of
from metarep.theory.engine.evidence import Evidence, EvidenceKind, Profile
from metarep.theory.engine.showing import Rank, genericity


def _internals() -> tuple[Any, Any] | None:
    """Hypothesis' module ``providers`` and class ``Constants``, if they have what ``_same_draws_everywhere`` needs."""
    try:
        from hypothesis.internal.conjecture import providers
        from hypothesis.internal.constants_ast import Constants
    except ImportError:
        return None
    return (providers, Constants) if hasattr(providers, "_get_local_constants") else None


_INTERNALS = _internals()
LOCAL_CONSTANTS_CAN_BE_KEPT_OUT = _INTERNALS is not None
"""Whether this version of Hypothesis has the function that ``_same_draws_everywhere`` replaces. Without it everything
works, but a seed gives the same examples only where the same modules are imported.
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


MORE = 4
"""So many times the exact examples wanted are drawn besides, at most, if all of these have a zero: they are few."""


def seed_of(claim_id: str, kind: str, seed: int) -> int:
    """A seed for one claim's search of one kind, the same on every machine."""
    digest = hashlib.sha256(f"{claim_id}/{kind}/{seed}".encode()).digest()
    return int.from_bytes(digest[:8], "big")


@contextmanager
def _same_draws_everywhere() -> Iterator[None]:
    """Keep Hypothesis from mixing into its draws the constants that it finds in the source of local modules.

    It takes them from whatever happens to be imported, so that a run from the command line, from pytest and from an
    installed package would try different examples with the same seed. There is no public switch for this.
    """
    if _INTERNALS is None:
        yield
        return
    providers, Constants = _INTERNALS
    original = providers._get_local_constants
    providers._get_local_constants = Constants
    providers.CONSTANTS_CACHE.cache.clear()
    try:
        yield
    finally:
        providers._get_local_constants = original
        providers.CONSTANTS_CACHE.cache.clear()


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
    phases = [Phase.generate, *([Phase.target] if target else []), *([Phase.shrink] if profile.shrink else [])]

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=examples,
        phases=phases,
        database=None,
        deadline=None,
        derandomize=False,
        report_multiple_bugs=False,
        print_blob=False,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
    )
    @hypothesis.given(strategy)
    def one(example: Example) -> None:
        if found.violation is not None and profile.most_shrinks is not None:
            if found.shrinks >= profile.most_shrinks:
                raise EnoughError
            found.shrinks += 1
        comparison = check(example)
        if found.violation is None:
            found.examples += 1
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
            raise _ViolatedError(comparison.why)
        # At k = 1 some bounds are equalities, and the search for the worst margin would stay there.
        if target and example.get("k") != 1 and np.isfinite(comparison.margin):
            hypothesis.target(-comparison.margin)
        if until_shown and found.can_be_shown:
            raise EnoughError

    try:
        with _same_draws_everywhere():
            one()
    except EnoughError:
        pass
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
        search(MORE * examples, "shown", target=False, until_shown=True)
    if found.violation is not None:
        example, comparison = found.violation
        exact = kind == "exact" and implementation is REFERENCE and comparison.tolerance == 0
        return Evidence(
            kind, Verdict.REFUTED, found.examples, comparison.margin if inequality else None,
            counterexample=example, comparisons={"counterexample": comparison}, why=_why(comparison),
            strain=comparison.strain, sizes=counts(found.sizes), blunt=found.blunt,
            confirmation=in_fractions(comparison.value, comparison.bound, comparison.why) if exact else None,
        )  # fmt: skip
    if kind == "exact" and found.tolerant:
        raise ClaimError(f"the check of claim {claim.id!r} has a tolerance for fractions; allowed: 0")
    verdict = Verdict.EXACT if kind == "exact" else Verdict.SUPPORTED
    if found.worst is None or found.generic is None:
        return Evidence(kind, Verdict.NOT_RUN, 0, why="no example was generated")
    if found.blunt == found.examples:
        why = "the tolerance is as large as what is compared in every example"
        return Evidence(kind, Verdict.NOT_RUN, 0, why=why, blunt=found.blunt)
    margin, strain, nearest, worst = found.worst
    _, instance, comparison = found.generic
    return Evidence(
        kind, verdict, found.examples, margin if inequality else None, instance, nearest if inequality else None,
        comparisons={"instance": comparison, **({"nearest": worst} if inequality else {})}, why=worst.why,
        strain=-strain, sizes=counts(found.sizes), blunt=found.blunt,
    )  # fmt: skip


def _why(comparison: Comparison) -> str:
    value, bound = float(comparison.value), float(comparison.bound)
    tolerance = float(comparison.tolerance)
    return f"{comparison.why}: {value:.6g} > {bound:.6g} (tolerance {tolerance:.2g})".lstrip(": ")
