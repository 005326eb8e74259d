"""Claims: envelope."""

from theory.claims.record import Claim

CLAIMS: tuple[Claim, ...] = ()
