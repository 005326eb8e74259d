"""Claims of a user's own file on the command line: the option, and their place among the catalogue's."""

import shlex
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from reports.output import Progress, checking_input

if TYPE_CHECKING:
    from reports.gather import Results
    from theory.claims.record import Claim

OwnClaims = Annotated[
    Path | None,
    typer.Option(
        "--claims", help="A Python file with CLAIMS of your own, besides the catalogue's.", show_default=False
    ),
]


def own_claims(path: Path | None) -> "tuple[Claim, ...]":
    """The claims of that file, none without a file; ``InputError`` if it is not a file of claims that go with ours."""
    if path is None:
        return ()
    from theory.claims import catalogue
    from theory.claims.own import load_own_claims

    known = catalogue()
    with checking_input():
        return load_own_claims(path, known)


def find_claim(claim_id: str, path: Path | None) -> "Claim":
    """The claim of that id in the user's file or the catalogue; ``InputError`` if there is none."""
    from theory.claims import get_claim

    for claim in own_claims(path):
        if claim.id == claim_id:
            return claim
    with checking_input():
        return get_claim(claim_id)


def add_own_claims(
    results: "Results", claims: "tuple[Claim, ...]", path: Path, told: Progress = lambda done, total: None
) -> "Results":
    """A report's results with the user's claims verified and put behind the catalogue's."""
    from reports.records import claim_record
    from theory.engine import Profile, verify

    records = list(results.claims)
    for done, claim in enumerate(claims, start=1):
        examples = max(1, round(claim.examples * results.effort))
        command = (
            f"metarep verify {claim.id} --claims {shlex.quote(str(path))} --examples {examples} --seed {results.seed}"
        )
        profile = Profile("report", results.effort, results.seed)
        records.append(claim_record(verify(claim, profile=profile), command))
        told(done, len(claims))
    return replace(results, claims=records, own_claims=str(path))
