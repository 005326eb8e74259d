"""Claims: symmetries."""

from theory.claims.record import Claim

CLAIMS: tuple[Claim, ...] = ()
