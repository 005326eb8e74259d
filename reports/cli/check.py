"""The command that checks somebody else's implementation: check."""

import os
import sys
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from metarep.reports.cli import check_output
from metarep.reports.cli.options import (
    OUTPUT,
    RUN,
    Json,
    Only,
    OwnClaims,
    Seed,
    Traceback,
    number,
    option,
    out_option,
    refuse,
)
from metarep.reports.cli.own_claims import blaming, matching, own_claims
from metarep.reports.page.output import InputError, as_json, check_file, progress_bar, write_file

if TYPE_CHECKING:
    from metarep.sim.implementations import Implementation
    from metarep.theory.claims.record import Claim
    from metarep.theory.engine.foreign.checking import CheckedClaim

TELL_EVERY = 10.0
"""Seconds between lines of progress where there is no terminal."""
LONGEST = 1e6
BEGINS = "Traceback (most recent call last)"
MOST_PARTS = 1000
"""Of what an adapter prints the last so many parts are kept, to find a traceback in."""


def _seconds(parameter: typer.CallbackParam, value: float) -> float:
    if not 0 < value <= LONGEST:
        raise InputError(f"{parameter.opts[0].lstrip('-')} is {value:g}; allowed: seconds, above 0, up to {LONGEST:g}")
    return value


def _duration(words: str) -> Any:
    return option(words, shown=True, group=RUN, callback=_seconds)


def check(
    context: typer.Context,
    target: Annotated[
        str | None,
        typer.Argument(metavar="TARGET", help="The adapter: a .py file, else a dotted module.", show_default=False),
    ] = None,
    examples: Annotated[int, number("Examples of each claim, at most.")] = 12,
    seed: Seed = 0,
    claims: OwnClaims = None,
    quick: Annotated[bool, option("Only the claims that catch most faults, within seconds.", "--quick")] = False,
    only: Only = None,
    fail_fast: Annotated[bool, option("Stop at the first claim that fails.", "--fail-fast", group=RUN)] = False,
    timeout: Annotated[float, _duration("Seconds that one call may take.")] = 60.0,
    budget: Annotated[float, _duration("Seconds for all claims: slow adapters get fewer examples.")] = 45.0,
    claim_timeout: Annotated[float, _duration("Seconds that one claim may take.")] = 600.0,
    traceback: Traceback = False,
    show_output: Annotated[
        bool, option("Print what the adapter prints, and its tracebacks, on stderr.", "--show-output", group=OUTPUT)
    ] = False,
    json: Json = False,
    junit: Annotated[Path | None, out_option("Write JUnit XML, a test case for each claim.", "junit")] = None,
    annotate: Annotated[
        bool | None, option("GitHub annotations on stderr.", shown="in GitHub Actions", group=OUTPUT)
    ] = None,
    list_claims: Annotated[bool, option("List the claims that would be tried, and stop.", "--list")] = False,
) -> None:
    """Check your own implementation, through an adapter: does its step do what the theory says?

    The adapter is a Python module with a step on samples, step_on_samples(learner, B, w, X_in, y_in, X_out, y_out,
    alpha, beta) -> (B_next, w_next); or on the tasks' targets, step(learner, B, w, targets, alpha, beta); or a training
    loop, init(learner, B, w, alpha, beta) -> state, update(state, (X_in, y_in, X_out, y_out)) -> state and
    parameters(state) -> (B, w).

    It may declare supported, precision, and its library's own conventions: loss_scale (0.5, 1, 2), sample_reduction and
    task_reduction ("mean", "sum"), layout ("dk", "kd"), least_n, inner_steps (1, 2, 3). The docstring of
    metarep.sim.foreign.adapter says what each means. It runs in a process of its own.

    Exit code 0 if it conforms, 1 if not, 2 if it cannot be used.
    """
    if target is None and not list_claims:
        raise InputError("missing argument 'TARGET'; allowed: it must be given")
    if list_claims:
        refuse(context, "examples seed fail_fast budget claim_timeout json junit annotate", "--list")
    if junit is not None:
        check_file(junit)
    from metarep.sim.foreign.adapter import AdapterError
    from metarep.sim.foreign.implementation import foreign_implementation
    from metarep.sim.foreign.remote import opened
    from metarep.theory.engine.foreign.calls import every_claim
    from metarep.theory.engine.foreign.checking import Status, check_implementation
    from metarep.theory.engine.foreign.forms import claims_of
    from metarep.theory.engine.foreign.order import QUICK

    if only:
        refuse(context, "quick", "--only")
    every = (*(claim for claim in every_claim() if claim.id in QUICK or not quick), *own_claims(claims))
    if target is None:
        _list(matching(only, every) if only else every, None)
        return
    annotated = os.environ.get("GITHUB_ACTIONS") == "true" if annotate is None else annotate
    tried: list[CheckedClaim] = []
    said: deque[str] = deque(maxlen=MOST_PARTS)
    try:
        with opened(target, timeout=timeout, tell=_tell if show_output else said.append) as callee:
            declared, implementation = callee.declared, foreign_implementation(callee)
            every += claims_of(implementation)
            every = matching(only, every) if only else every
            if list_claims:
                _list(every, implementation)
                return
            _warn_if_slow(every, implementation, examples, budget)
            with progress_bar("check", TELL_EVERY) as progress, blaming(claims, "a claim of it"):

                def told(item: "CheckedClaim", done: int, total: int) -> None:
                    tried.append(item)
                    progress(done, total)

                result = check_implementation(
                    implementation,
                    every,
                    max_examples=examples,
                    seed=seed,
                    seconds=claim_timeout,
                    budget=budget,
                    fail_fast=fail_fast,
                    told=told,
                )
    except AdapterError as error:  # any other ValueError would be a bug, and is shown as one
        if junit is not None:
            write_file(junit, check_output.junit(target, tried, error=str(error)))
        if annotated:
            _tell(check_output.annotation_of_error(str(error)) + "\n")
        if traceback and "".join(said).find(BEGINS) >= 0:
            _tell(BEGINS + "".join(said).rpartition(BEGINS)[2].rstrip() + "\n")
        raise InputError(str(error)) from None
    if junit is not None:
        write_file(junit, check_output.junit(declared.shown, result.claims))
    if annotated:
        _tell("".join(f"{line}\n" for line in check_output.annotations(declared, result)))
    if json:
        typer.echo(as_json(check_output.check_record(declared, result)))
    else:
        typer.echo("\n".join(check_output.lines(declared, result, claims)))
    if not result.conforming or result.of(Status.CLAIM_AT_FAULT):
        raise typer.Exit(1)


def _tell(text: str) -> None:
    print(text, end="", file=sys.stderr, flush=True)


def _list(every: "Sequence[Claim]", implementation: "Implementation | None") -> None:
    """Print the claims that would be tried on an implementation, or on one that has everything, in that order."""
    from metarep.sim.implementations import REFERENCE
    from metarep.theory.engine.foreign.checking import applicable

    for claim in applicable(every, implementation or REFERENCE):
        typer.echo(f"{claim.id} ({claim.chapter})")


def _warn_if_slow(every: "Sequence[Claim]", implementation: "Implementation", max_examples: int, budget: float) -> None:
    from metarep.theory.engine.foreign.checking import applicable
    from metarep.theory.engine.foreign.order import expected_steps, seconds_per_call

    call, claims = seconds_per_call(implementation), applicable(every, implementation)
    if call * expected_steps(claims, max_examples) > budget:
        fewest = max(budget, call * expected_steps(claims, 1))
        time = f"{fewest:.0f} s" if fewest < 120 else f"{fewest / 60:.0f} minutes"
        _tell(f"check: a call takes {call:.2g} s; fewer examples within about {time} (--budget); --quick takes less\n")
