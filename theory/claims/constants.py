"""Claims: constants."""

from theory.claims.record import Claim

CLAIMS: tuple[Claim, ...] = ()
