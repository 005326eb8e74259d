"""Claims: fixed_points."""

from theory.claims.record import Claim

CLAIMS: tuple[Claim, ...] = ()
