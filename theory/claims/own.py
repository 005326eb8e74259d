"""Claims of one's own: those of a user's file, for the same engine as the catalogue's."""

import hashlib
import importlib.util
import os
import sys
import traceback
import warnings
from collections.abc import Sequence
from pathlib import Path

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
    file = Path(path)
    allowed = "a Python file with CLAIMS, a tuple of metarep.theory.claims.record.Claim"
    if not file.is_file():
        raise ValueError(f"no file {str(path)!r}; allowed: {allowed}")
    full = str(file.resolve())
    folder = os.getcwd()
    if folder not in sys.path:
        sys.path.insert(0, folder)
    name = f"_metarep_claims_{hashlib.sha256(full.encode()).hexdigest()[:12]}"
    spec = importlib.util.spec_from_file_location(name, full)
    if spec is None or spec.loader is None:
        raise ValueError(f"{path}: cannot be imported; allowed: {allowed}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        line = error.lineno if isinstance(error, SyntaxError) else None
        for frame in traceback.extract_tb(error.__traceback__):
            line = frame.lineno if frame.filename == full else line
        message = " ".join(str(error).split())
        raise ValueError(
            f"{path}:{line or 1}: importing it raised {type(error).__name__}: {message}; allowed: {allowed}"
        ) from error
    claims = getattr(module, "CLAIMS", None)
    if not isinstance(claims, tuple | list) or not claims or not all(isinstance(claim, Claim) for claim in claims):
        what = "no CLAIMS" if claims is None else f"CLAIMS of type {type(claims).__name__}"
        if isinstance(claims, tuple | list):
            odd = next((type(claim).__name__ for claim in claims if not isinstance(claim, Claim)), None)
            what = f"CLAIMS that hold a {odd}" if odd else "CLAIMS that hold nothing"
        raise ValueError(f"{path}: has {what}; allowed: {allowed}")
    seen = {claim.id for claim in known}
    for claim in claims:
        if claim.id in seen:
            raise ValueError(f"{path}: the id {claim.id!r} is taken; allowed: an id that no other claim has")
        missing = [base for base in claim.rests_on if base not in seen]
        if missing:
            raise ValueError(
                f"{path}: claim {claim.id!r} rests on {', '.join(map(repr, missing))}; allowed: claims of the "
                "catalogue and those before it in the file"
            )
        seen.add(claim.id)
    return tuple(claims)
