"""The catalogue: every claim, in the order in which a reader wants them, by chapter."""

from functools import cache
from types import ModuleType

from metarep.theory.claims.chapter import Chapter
from metarep.theory.claims.record import Claim


@cache
def catalogue() -> tuple[Claim, ...]:
    """All built-in claims, by chapter.

    Raises:
        ValueError: two claims share an id, or one rests on an unknown claim.
    """
    from metarep.theory.claims import (
        blind,
        constants,
        contraction,
        envelope,
        fixed_points,
        gaussian,
        rates,
        setting,
        stability,
        structure,
        symmetries,
        updates,
    )
    from metarep.theory.claims.baseline import average_loss, diversity
    from metarep.theory.claims.samples import floor, moments, steps
    from metarep.theory.claims.width import finite, population

    chapters = (
        setting,
        updates,
        structure,
        symmetries,
        fixed_points,
        contraction,
        rates,
        stability,
        gaussian,
        blind,
        envelope,
        average_loss,
        diversity,
        population,
        finite,
        steps,
        moments,
        floor,
        constants,
    )
    claims = tuple(claim for module in chapters for claim in claims_in(module))
    check_catalogue(claims)
    return claims


def claims_in(module: ModuleType) -> tuple[Claim, ...]:
    """A module's claims: those that it added to its ``claim``, a ``Chapter``, or else its ``CLAIMS``."""
    chapter = getattr(module, "claim", None)
    return chapter.by_module.get(module.__name__, ()) if isinstance(chapter, Chapter) else module.CLAIMS


def check_catalogue(claims: tuple[Claim, ...]) -> None:
    """Raise ``ValueError`` unless ids are unique and every ``rests_on`` names an earlier claim (so the graph has no
    cycle).
    """
    seen: set[str] = set()
    for claim in claims:
        if claim.id in seen:
            raise ValueError(f"two claims are called {claim.id!r}; ids are unique")
        for base in claim.rests_on:
            if base not in seen:
                raise ValueError(f"claim {claim.id!r} rests on {base!r}, which does not come before it")
        seen.add(claim.id)


def get_claim(claim_id: str) -> Claim:
    """The claim of that id; ``ValueError`` that lists the ids if there is none."""
    for claim in catalogue():
        if claim.id == claim_id:
            return claim
    raise ValueError(f"unknown claim {claim_id!r}; known: {', '.join(claim.id for claim in catalogue())}")
