"""Claims: rates."""

from theory.claims.record import Claim

CLAIMS: tuple[Claim, ...] = ()
