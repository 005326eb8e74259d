"""The command that checks somebody else's implementation: check."""

import sys
from collections import Counter
from contextlib import redirect_stdout
from textwrap import wrap
from typing import TYPE_CHECKING, Annotated, Any

import typer

from metarep.reports.cli.options import Json, OwnClaims
from metarep.reports.cli.own_claims import own_claims
from metarep.reports.page.markup import inline_text
from metarep.reports.page.output import InputError, as_json, check_whole, progress_bar

if TYPE_CHECKING:
    from metarep.sim.foreign import Adapter
    from metarep.theory.engine.foreign.checking import CheckedClaim, CheckResult


def check(
    target: Annotated[
        str, typer.Argument(metavar="TARGET", help="The adapter: a .py file, else a dotted module.", show_default=False)
    ],
    max_examples: Annotated[int, typer.Option(help="Examples of each claim, at most.")] = 12,
    claims: OwnClaims = None,
    json: Json = False,
) -> None:
    """Check your own implementation, through an adapter: does its step do what the theory says?

    The adapter is a function step(learner, B, w, targets, alpha, beta) -> (B_next, w_next). Exit code 0 if it conforms,
    1 if not, 2 if it cannot be used.
    """
    check_whole("max-examples", max_examples, 1, 10**6)
    from metarep.sim.foreign import AdapterError, foreign_implementation, load_adapter
    from metarep.theory.claims import catalogue
    from metarep.theory.engine.foreign.checking import check_implementation

    every = (*catalogue(), *own_claims(claims))
    # What the adapter prints goes to stderr: stdout is for the result.
    with redirect_stdout(sys.stderr), progress_bar("check") as told:
        try:
            adapter = load_adapter(target)
            implementation = foreign_implementation(adapter)
            result = check_implementation(implementation, every, max_examples=max_examples, progress=told)
        except AdapterError as error:  # any other ValueError would be a bug, and is shown as one
            raise InputError(str(error)) from error
    typer.echo(as_json(check_record(adapter, result)) if json else "\n".join(_lines(adapter, result)))
    if not result.conforming:
        raise typer.Exit(1)


def check_record(adapter: "Adapter", result: "CheckResult") -> dict[str, Any]:
    """The result of a check as data: verdict, cause, and one record per claim."""
    from metarep.theory.engine.foreign.checking import Status

    diagnosis = result.diagnosis
    cause = None if diagnosis is None else diagnosis.cause
    return {
        "target": adapter.code.target,
        "path": adapter.code.path,
        "precision": _precision(result),
        "supported": sorted(adapter.supported),
        "conforming": result.conforming,
        "counts": {status.value: len(result.of(status)) for status in Status},
        "cause": None if cause is None else {"id": cause.id, "learner": cause.learner, "factor": cause.factor},
        "explanation": None if diagnosis is None else diagnosis.explanation,
        "claims": [_claim_record(item) for item in result.claims],
    }


def _claim_record(item: "CheckedClaim") -> dict[str, Any]:
    from metarep.theory.engine import encode

    claim, evidence = item.claim, item.evidence
    return {
        "id": claim.id,
        "chapter": claim.chapter,
        "statement": claim.statement,
        "source": str(claim.source),
        "learners": list(claim.learners),
        "status": item.status.value,
        "why": item.why,
        "examples": item.examples,
        "independent": item.independent,
        "worst_margin": None if evidence is None else evidence.worst_margin,
        "strain": None if evidence is None else evidence.strain,
        "counterexample": None if item.counterexample is None else encode(dict(item.counterexample)),
    }


def _precision(result: "CheckResult") -> str:
    return "float32" if result.implementation.eps > 2.0**-40 else "float64"


def _lines(adapter: "Adapter", result: "CheckResult") -> list[str]:
    from metarep.theory.engine import counted
    from metarep.theory.engine.foreign.checking import Status

    lines = [f"{adapter.code.shown}: {', '.join(sorted(adapter.supported))}; checked as {_precision(result)}"]
    chapter = None
    for item in result.claims:
        if item.status is Status.NOT_APPLICABLE:
            continue
        if item.claim.chapter != chapter:
            chapter = item.claim.chapter
            lines += ["", chapter]
        lines.append(f"  {item.status.value}  {item.claim.id} ({counted(item)})")
        if item.status is Status.FAILED:
            lines += wrap(inline_text(item.claim.statement), 110, initial_indent=" " * 10, subsequent_indent=" " * 10)
            lines.append(f"          {item.why}")
            lines += [f"          {line}" for line in item.counterexample_lines()]
    reasons = Counter(item.why for item in result.of(Status.NOT_APPLICABLE))
    lines += ["", *(f"{count} NOT_APPLICABLE: {why}" for why, count in reasons.items())]
    counts = ", ".join(f"{len(result.of(status))} {status.value}" for status in Status)
    lines += ["", f"{len(result.claims)} claims: {counts}; {result.seconds:.0f} s"]
    if result.conforming:
        return [*lines, f"{adapter.code.shown} conforms."]
    if result.diagnosis is not None:
        cause = result.diagnosis.cause
        named = "unknown" if cause is None else cause.id
        if cause is not None and cause.factor is not None:
            named += f" (factor {cause.factor:g})"
        lines.append(f"Likely cause: {named}; {result.diagnosis.explanation}")
    return [*lines, f"{adapter.code.shown} does not conform."]
