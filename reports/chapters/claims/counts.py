"""Counts of runs that several chapters speak of: each is made once, by a claim, and is the same wherever it is said."""

from collections.abc import Iterable, Sequence

from metarep.reports.chapters.claims.records import ClaimRecord, measured
from metarep.sim.shares import Share
from metarep.theory.claims.stability.far import diverged_within


def blind_share(claims: Iterable[ClaimRecord], runs: str) -> Share | None:
    """How many of Exact MAML's runs end blind, None where ``maml-ends-blind`` was not run.

    Args:
        runs: those "fresh" (Figure 1's setting), "fixed" (perfectly diverse heads) or "fixed_balanced".
    """
    found = measured(claims, "maml-ends-blind")
    return Share(**found.details[runs]) if found else None


def blind_sentence(claims: Sequence[ClaimRecord]) -> str:
    """How often Exact MAML ends blind; empty where that was not counted."""
    fresh, fixed, balanced = (blind_share(claims, runs) for runs in ("fresh", "fixed", "fixed_balanced"))
    if not (fresh and fixed and balanced):
        return ""
    return (
        f"in Figure 1's setting {fresh} of its runs end blind, with fixed tasks and perfectly diverse heads {fixed} "
        f"from as small a start and {balanced} from balance"
    )


def diverged_share(claims: Iterable[ClaimRecord], steps: int) -> Share | None:
    """How many of FO-MAML's runs from random balanced starts diverge within so many steps in Figure 1's setting, None
    where ``fo-maml-far-divergence`` was not run.
    """
    found = measured(claims, "fo-maml-far-divergence")
    return diverged_within(found.details["random"], steps) if found else None
