"""The command that studies a learner of one's own."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from metarep.reports.cli.options import SETTING, Alpha, Beta, D, Json, K, N, Seed, Steps, Traceback, number, out_option
from metarep.reports.page.limits import check_memory
from metarep.reports.page.output import as_json, checking_input, make_folder, print_table, progress_bar, write_file

if TYPE_CHECKING:
    from metarep.reports.study.study import Study

SPECS = (
    "A .toml or .py file with a spec, or the name of one: boil, anil-3, maml-2, ridge-anil, ridge-head, exact-head, "
    "reptile-1, reptile-2; anil, fo-anil, maml, fo-maml, average-loss."
)
"""Where it is from (tests/test_bad_inputs.py holds the names complete: where they are defined is slow to import)."""


def study(
    spec: Annotated[str, typer.Argument(metavar="SPEC", help=SPECS)],
    d: D = 20,
    k: K = 3,
    n: N = 8,
    alpha: Alpha = 0.3,
    beta: Beta = 0.3,
    head_mean: Annotated[float, number("Norm of the heads' mean.", group=SETTING)] = 0.25,
    steps: Steps = 1500,
    trials: Annotated[int, number("Starts at each of four distances.")] = 2,
    seed: Seed = 0,
    out: Annotated[Path | None, out_option("Folder to write study-NAME.json and .svg into.")] = None,
    traceback: Traceback = False,
    json: Json = False,
) -> None:
    """Derive a learner's update, simulate it, and say if it learns the representation, how fast, from where, why not.

    "Does not learn" is an answer: the exit code is 0.
    """
    import numpy as np

    from metarep.reports.study.study import STARTS, Settings, find_spec, make_study_problem, record
    from metarep.reports.study.study import study as run
    from metarep.sim.checks import check_dimensions
    from metarep.theory.dynamics.derive import adapted_parameters

    settings = Settings(d, k, n, alpha, beta, head_mean, steps, trials, seed)
    with checking_input():
        learner = find_spec(spec)
        adapted_parameters(learner)  # more inner steps than can be expanded
        check_dimensions(d, k, n)
        check_memory(d, k, n, len(STARTS) * trials, steps, observed=2)  # dist, and the norm of B
        make_study_problem(settings)
    if out is not None:
        make_folder(out)
    # Inner steps may be as large as one likes; what overflows is a run that diverges or a point that is none.
    with progress_bar(f"study {learner.name}") as told, np.errstate(all="ignore"):
        result = run(learner, settings, lambda done: told(done, steps))
    written = {}
    if out is not None:
        from metarep.reports.chapters.learners.examples import draw_study
        from metarep.reports.page.style import rendered

        stem = "study-" + "".join(c if c.isalnum() or c in "-_." else "-" for c in learner.name)
        written[out / f"{stem}.json"] = as_json(record(result)) + "\n"
        written[out / f"{stem}.svg"] = rendered(draw_study(result), "svg")
        for path, content in written.items():
            write_file(path, content)
    if json:
        typer.echo(as_json(record(result)))
        return
    _print_study(result)
    for path in written:
        typer.echo(f"wrote {path}")


def _print_study(result: "Study") -> None:
    from metarep.reports.study.study import STARTS, start_name
    from metarep.sim.outcomes import Outcome

    typer.echo(f"{result.learner.name}: {result.learns.words}")
    typer.echo(f"  {result.reason}")
    if result.symbolic is not None:
        empirical = "none fitted" if result.empirical is None else f"{result.empirical:.8f}"
        error = result.relative_error
        error = "" if error is None else f" (relative error of the logarithm {error:.1e})"
        typer.echo(f"  rate: symbolic {result.symbolic:.8f}, empirical {empirical}{error}")
    found, rest = result.derived, result.restpoint
    typer.echo("\nOne outer step, for all d, k and n")
    width = max(len(left) for left, _ in found.update)
    for left, right in found.update:
        typer.echo(f"  {left:>{width}} = {right}")
    typer.echo(f"  B_{{*⊥}}ᵀB⁺ = B_{{*⊥}}ᵀB N with N = mean_i[{found.factor}]")
    typer.echo(f"  It depends on the tasks' heads through their moments up to order {found.moments}.")
    for family in found.families:
        typer.echo(f"  Fixed whatever the tasks: {family.what}.")
    if rest is not None:
        typer.echo("\nSpectrum where the nearest run comes to rest")
        typer.echo(f"  perpendicular: {_listed(rest.perpendicular)}")
        typer.echo(f"  span and head: {_listed(rest.span_head)}")
        typer.echo(f"  stable: {'yes' if rest.stable else 'no'}; neutral directions of span and head: {rest.neutral}")
    typer.echo("")
    shares = [
        (start_name(dist0), f"{learned:.0%}", f"{blind:.0%}")
        for dist0, learned, blind in zip(STARTS, result.learned, result.blind, strict=True)
    ]
    print_table(("start", "learned", "ended blind"), shares, (1, 2))
    if any(result.blind):
        typer.echo(f"A run that ended blind {Outcome.BLIND.message}.")


def _listed(values: object) -> str:
    import numpy as np

    return "  ".join(
        f"{v.real:.6g}" if abs(v.imag) <= 1e-12 else f"{v.real:.6g}{v.imag:+.3g}i"
        for v in np.atleast_1d(np.asarray(values, dtype=complex))
    )
