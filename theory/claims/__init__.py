"""The catalogue: every claim, in the order in which a reader wants them, by chapter."""

import sys
from functools import cache
from types import ModuleType

from metarep.sim.bounds import unknown
from metarep.theory.claims.chapter import Chapter
from metarep.theory.claims.record import Claim

LISTED = "the ids that 'metarep claims' lists"
"""How to see what there is: too many to be told in a line."""


@cache
def catalogue() -> tuple[Claim, ...]:
    """All built-in claims, by chapter.

    Raises:
        ValueError: two claims share an id, or one rests on an unknown claim.
    """
    from metarep.theory.claims import (
        balance,
        blind,
        contraction,
        envelope,
        rules,
        setting,
        symmetries,
        updates,
    )
    from metarep.theory.claims.baseline import average_loss, diversity
    from metarep.theory.claims.constants import regions, small_steps
    from metarep.theory.claims.rates import linearisation, spectra, trajectories
    from metarep.theory.claims.samples import floor, sampled_moments, steps
    from metarep.theory.claims.special_points import fixed, moving
    from metarep.theory.claims.stability import far, fo_maml, gaussian, gaussian_border, thresholds
    from metarep.theory.claims.structure import factors, moments, reduction
    from metarep.theory.claims.theorem import kept, theorems
    from metarep.theory.claims.width import finite, population

    chapters = (
        setting,
        updates,
        factors,
        reduction,
        moments,
        symmetries,
        fixed,
        moving,
        contraction,
        balance,
        theorems,
        kept,
        rules,
        linearisation,
        spectra,
        trajectories,
        thresholds,
        fo_maml,
        far,
        gaussian,
        gaussian_border,
        blind,
        envelope,
        average_loss,
        diversity,
        population,
        finite,
        steps,
        sampled_moments,
        floor,
        regions,
        small_steps,
    )
    claims = tuple(claim for module in chapters for claim in claims_in(module))
    check_catalogue(claims)
    return claims


def claims_in(module: ModuleType) -> tuple[Claim, ...]:
    """A module's claims: those that it adds to its or its folder's ``claim``, a ``Chapter``, or else its ``CLAIMS``."""
    chapter = getattr(module, "claim", None) or getattr(sys.modules[module.__package__ or ""], "claim", None)
    return chapter.claims_of(module.__name__) if isinstance(chapter, Chapter) else module.CLAIMS


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
    """The claim of that id; ``ValueError`` that names those most like it if there is none."""
    for claim in catalogue():
        if claim.id == claim_id:
            return claim
    raise unknown("claim", claim_id, (claim.id for claim in catalogue()), LISTED)
