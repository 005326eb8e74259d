"""Claims of a user's own file on the command line: looking them up, verifying them."""

import hashlib
import shlex
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

from metarep.reports.page.output import InputError, Progress, checking_input
from metarep.sim.bounds import unknown

if TYPE_CHECKING:
    from metarep.reports.chapters.claims.records import ClaimRecord
    from metarep.reports.report.kept import Kept
    from metarep.theory.claims.record import Claim
    from metarep.theory.engine import Finding, Profile


def own_claims(path: Path | None) -> "tuple[Claim, ...]":
    """The claims of that file, none without a file; ``InputError`` if it is not a file of claims that go with ours."""
    if path is None:
        return ()
    from metarep.theory.claims import catalogue
    from metarep.theory.claims.own import load_own_claims

    known = catalogue()
    with checking_input():
        claims = load_own_claims(path, known)
        for claim in claims:
            _check_formulas(claim, path)
    return claims


def _check_formulas(claim: "Claim", path: Path) -> None:
    """``ValueError`` if a formula of a claim cannot be typeset: a report would show it after all its work."""
    from metarep.reports.page.formulas import mathml

    for line in (claim.chapter, claim.statement, claim.hypotheses, claim.remark):
        parts = line.split("$")
        if len(parts) % 2 == 0:
            allowed = "formulas between two of them"
            raise ValueError(f"{path}: claim {claim.id!r} has an odd number of dollar signs; allowed: {allowed}")
        for formula in parts[1::2]:
            try:
                mathml(formula)
            except ValueError as error:
                raise ValueError(f"{path}: claim {claim.id!r}: {error}") from error


def find_claim(claim_id: str, path: Path | None) -> "Claim":
    """The claim of that id in the user's file or the catalogue; ``InputError`` if there is none."""
    from metarep.theory.claims import LISTED, catalogue, get_claim

    own = {claim.id: claim for claim in own_claims(path)}
    with checking_input():
        if path is not None and claim_id not in own and claim_id not in (ids := [claim.id for claim in catalogue()]):
            raise unknown("claim", claim_id, (*own, *ids), f"{LISTED}, and those of {path}")
        return own.get(claim_id) or get_claim(claim_id)


def matching(patterns: Sequence[str], claims: "Sequence[Claim]") -> "tuple[Claim, ...]":
    """The claims whose ids are among these words, or match one as a pattern with ``*``; ``InputError`` if none does."""
    from metarep.theory.claims import LISTED

    found: set[str] = set()
    for pattern in patterns:
        these = {claim.id for claim in claims if fnmatchcase(claim.id, pattern)}
        if not these:
            raise InputError(str(unknown("claim", pattern, [claim.id for claim in claims], f"{LISTED}, or a pattern")))
        found |= these
    return tuple(claim for claim in claims if claim.id in found)


@contextmanager
def blaming(path: Path | None, what: str) -> Iterator[None]:
    """Turn what the functions of claims of the user's file raise into ``InputError``, with the line where they did.

    Args:
        path: the file; None if there is none, and nothing is to be blamed.
        what: the claims, in words.
    """
    from metarep.sim.user_code import line_in, raised
    from metarep.theory.claims.record import ClaimError

    try:
        yield
    except ClaimError as error:
        if path is None:
            raise
        told = str(error) if "claim '" in str(error) else f"{what} {error}"
        raise InputError(f"{path}: {told}") from error
    except Exception as error:
        line = None if path is None else line_in(str(path), error)
        if line is None:
            raise
        told = f"{path}:{line}: checking {what} raised {raised(error)}"
        raise InputError(f"{told}; allowed: functions that run on every example") from error


def verify_own(claim: "Claim", path: Path, profile: "Profile", examples: int | None = None) -> "Finding":
    """Verify a claim of the user's file; ``InputError`` with the line where its own functions raised, if they did."""
    from metarep.theory.engine import verify

    with blaming(path, f"{claim.id!r}"):
        return verify(claim, profile=profile, examples=examples)


def own_records(
    claims: "tuple[Claim, ...]",
    path: Path,
    effort: float,
    seed: int,
    told: Progress = lambda done, total: None,
    kept: "Kept | None" = None,
) -> "list[ClaimRecord]":
    """The user's claims verified as a report of that effort and seed does, as its records. They are kept for a report
    that is stopped and goes on while their source is the same; not for the next one, as nobody knows what else they
    depend on: data that a check reads, what it imports by then, versions.
    """
    source, records = "" if kept is None else source_of(path), []
    for done, claim in enumerate(claims, start=1):
        # As what it is kept: its arguments are all that it is known to depend on.
        job = (("own claim", claim.id), own_record, (claim.id, str(path), effort, seed, source))
        old, began = kept and kept.of(job, resumed=True), time.perf_counter()
        record = old.result if old else own_record(claim, path, effort, seed)
        if kept and not old:
            kept.keep(job, record, time.perf_counter() - began)
        records.append(record)
        told(done, len(claims))
    return records


def own_record(claim: "Claim", path: Path, effort: float, seed: int) -> "ClaimRecord":
    """One of them."""
    from metarep.reports.chapters.claims.records import claim_record
    from metarep.theory.engine import Profile

    examples = max(1, round(claim.examples * effort))
    command = f"metarep verify {claim.id} --claims {shlex.quote(str(path))} --examples {examples} --seed {seed}"
    return claim_record(verify_own(claim, path, Profile("report", effort, seed)), command)


def source_of(path: Path) -> str:
    """A user's file that has been loaded, and what it imported from its folder and from the one that this runs in, as a
    hash.
    """
    folders = (path.resolve().parent, Path.cwd().resolve())
    files = {Path(file).resolve() for module in [*sys.modules.values()] if (file := getattr(module, "__file__", None))}
    local = {path.resolve(), *(file for file in files if any(file.is_relative_to(folder) for folder in folders))}
    found = hashlib.sha256()
    for file in sorted(local):
        if file.suffix == ".py" and file.is_file():
            content = file.read_bytes()
            found.update(f"{file} {len(content)} ".encode() + content)
    return found.hexdigest()
