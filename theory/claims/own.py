"""Claims of one's own: those of a user's file, for the same engine as the catalogue's."""

import os
from collections.abc import Sequence

from metarep.sim.user_code import UserCodeError, load_user_code
from metarep.theory.claims.record import Claim


def load_own_claims(path: str | os.PathLike[str], known: Sequence[Claim]) -> tuple[Claim, ...]:
    """The claims of a Python file with a module-level ``CLAIMS`` (a tuple or list of ``Claim``).

    Args:
        path: the file; the working folder is importable for it.
        known: the claims that there are already, which its claims may rest on and whose ids it must not use.

    Raises:
        ValueError: in one line, with the file's line where there is one: it cannot be imported, has no ``CLAIMS``,
            holds something else than claims, an id is taken, or a claim rests on one that does not come before it.
    """
    code = load_user_code(path)
    found: object = getattr(code.module, "CLAIMS", None)

    def wrong(what: str, allowed: str) -> UserCodeError:
        return code.error(what, allowed, code.line_of("CLAIMS"))

    allowed = "a Python file with CLAIMS, a tuple of metarep.theory.claims.record.Claim"
    if not isinstance(found, tuple | list):
        raise wrong("has no CLAIMS" if found is None else f"has CLAIMS of type {type(found).__name__}", allowed)
    claims = [claim for claim in found if isinstance(claim, Claim)]
    if not claims or len(claims) < len(found):
        odd = [f"a {type(claim).__name__}" for claim in found if not isinstance(claim, Claim)]
        raise wrong(f"has CLAIMS that hold {odd[0] if odd else 'nothing'}", allowed)
    seen = {claim.id for claim in known}
    for claim in claims:
        if claim.id in seen:
            raise wrong(f"the id {claim.id!r} is taken", "an id that no other claim has")
        missing = ", ".join(repr(base) for base in claim.rests_on if base not in seen)
        if missing:
            allowed = "claims of the catalogue and those before it in the file"
            raise wrong(f"claim {claim.id!r} rests on {missing}", allowed)
        seen.add(claim.id)
    return tuple(claims)
