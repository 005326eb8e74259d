"""The command that has PROVED claims checked by Coq: certify."""

import time
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from metarep.reports.cli.options import Jobs, Json, OutFolder
from metarep.reports.page.output import (
    Counted,
    InputError,
    as_json,
    checking_input,
    interruptible,
    make_folder,
    progress_bar,
    write_file,
)


def certify(
    out: OutFolder,
    claims: Annotated[
        list[str] | None,
        typer.Argument(metavar="CLAIM", help="Claims' ids. \\[default: all that have a proof]", show_default=False),
    ] = None,
    jobs: Jobs = -1,
    json: Json = False,
) -> None:
    """Write PROVED claims as Coq files, and compile them where coqc is installed. Exit code 1 if one does not compile.

    What the folder's seals already say of the same texts and the same Coq is not done again. 'metarep report' shows the
    seals; README says what one means.
    """
    from metarep.theory.certificates.seals import certify as run
    from metarep.theory.claims import catalogue, get_claim
    from metarep.theory.claims.record import Verdict

    every = catalogue()
    with checking_input():
        named = [get_claim(claim) for claim in claims or ()]
    wanted = named or [claim for claim in every if claim.proof is not None and claim.expected is Verdict.PROVED]
    make_folder(Path(out))
    started, told = time.perf_counter(), Counted()
    try:
        with (
            progress_bar("certify") as told.shown,
            interruptible(lambda: f"{told} seals are kept in {out}; the same command goes on"),
        ):
            seals = run(wanted, Path(out), write_file, jobs, told)
    except RuntimeError as error:  # this Coq, or its MathComp, is none that the libraries are written for
        if not Path(out).is_dir():
            raise InputError(
                f"{out} was removed meanwhile; allowed: the same again, with a folder that stays"
            ) from error
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error
    seconds = time.perf_counter() - started
    counts = Counter(seal.status for seal in seals)
    if json:
        version = next((seal.version for seal in seals if seal.version), None)
        typer.echo(
            as_json({"coq": version, "seconds": seconds, "counts": counts, "claims": [asdict(s) for s in seals]})
        )
    else:
        for seal in seals:
            typer.echo(f"{seal.claim}: {seal.line()}")
        said = ", ".join(f"{count} {status}" for status, count in counts.items())
        typer.echo(f"{len(seals)} claims in {seconds:.0f} s: {said}. The files are in {out}.")
    if counts["failed"]:
        raise typer.Exit(1)
