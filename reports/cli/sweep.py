"""Commands for many settings at once: sweep, plot."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from metarep.reports.cli.options import RUN, SETTING, Jobs, Json, Seed, number, option, out_option
from metarep.reports.page.limits import check_memory
from metarep.reports.page.output import (
    Counted,
    InputError,
    as_json,
    check_file,
    interruptible,
    print_table,
    progress_bar,
    write_file,
)

MODES = {
    "tasks": "population, task by task",
    "moments": "population, through the tasks' moments",
    "compiled": "population, compiled",
}


def _axis(words: str) -> Any:
    return option(words, shown=True, group=SETTING)


def sweep(
    context: typer.Context,
    out: Annotated[Path, out_option("SQLite file; grows, and is resumed.")],
    learner: Annotated[str, _axis("Learners.")] = "fo-anil",
    d: Annotated[str, _axis("Ambient dimensions d.")] = "100",
    k: Annotated[str, _axis("Dimensions k.")] = "5",
    n: Annotated[str, _axis("Tasks a step, n.")] = "5",
    alpha: Annotated[str, _axis("Inner step sizes α.")] = "0.1",
    beta: Annotated[str, _axis("Outer step sizes β.")] = "0.1",
    m_in: Annotated[str, _axis("Inner samples a task; none: the population.")] = "none",
    m_out: Annotated[str, _axis("Outer samples a task; none: the population.")] = "none",
    sigma: Annotated[str, _axis("Label noise σ, with samples.")] = "0",
    dist0: Annotated[str, _axis("Distances of the start; none: a random one.")] = "none",
    start: Annotated[str, _axis("balanced, orthonormal.")] = "balanced",
    tasks: Annotated[str, _axis("fixed, fresh.")] = "fresh",
    steps: Annotated[str, _axis("Outer steps.")] = "1000",
    trials: Annotated[int, number("Runs per setting.")] = 20,
    random: Annotated[int | None, number("Draw so many settings from the axes.", shown="their grid")] = None,
    seed: Seed = 0,
    jobs: Jobs = -1,
    backend: Annotated[
        Literal["loky", "dask"], option("This machine, or a Dask cluster.", shown=True, group=RUN)
    ] = "loky",
    scheduler: Annotated[
        str | None, option("Address of the Dask scheduler.", shown="one that is started", group=RUN)
    ] = None,
    json: Json = False,
) -> None:
    """Run a grid or a random design of settings; results go into one file as they come in. Start again to resume, with
    more trials or settings to extend it.

    An axis of the setting is one value, several with commas, or low:high:count, so many values between two; with
    --random also low:high. They are spread evenly in the logarithm (sigma, dist0: evenly), or as :linear or :geometric
    behind them says.
    """
    from metarep.reports.sweep.designs import AXES, Range, design, parse_axis
    from metarep.reports.sweep.sweep import run_sweep
    from metarep.sim.sweeps import RECORDS, Portion, batches

    if scheduler is not None and backend != "dask":
        raise InputError("scheduler is given with the loky backend; allowed: with --backend dask")
    check_file(out)

    axes = {name: context.params[name] for name in AXES}  # learner to steps, as given
    settings = design(axes, random, seed)
    for shape in {setting.shape for setting in settings}:
        batch = next(batches([Portion(shape, 0, trials)]))
        check_memory(shape.d, shape.k, shape.n, sum(portion.runs for portion in batch), RECORDS)
    told = Counted(trials * len(settings))
    with (
        progress_bar("sweep") as told.shown,
        interruptible(lambda: f"{told} runs are kept in {out}; the same command goes on"),
    ):
        summary = run_sweep(out, settings, trials, seed, jobs=jobs, backend=backend, scheduler=scheduler, progress=told)
    ranges = {name: axis for name, text in axes.items() if isinstance(axis := parse_axis(name, text), Range)}
    if json:
        spread = {name: "geometric" if axis.geometric else "linear" for name, axis in ranges.items()}
        typer.echo(as_json({**asdict(summary), "spread": spread}))
        return
    for name, axis in ranges.items():
        typer.echo(f"{name.replace('_', '-')}: {axis}")
    typer.echo(
        f"{summary.runs} runs of {summary.settings} settings in {out}, {summary.already_there} of them there before "
        f"({summary.seconds:.1f} s)"
    )
    print_table(("outcome", "runs"), [(name, str(count)) for name, count in summary.outcomes.items()], (1,))
    typer.echo("\n".join(f"{count} settings: {MODES.get(mode, mode)}" for mode, count in summary.modes.items()))


def plot(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Written by 'metarep sweep'.")],
    out: Annotated[Path, out_option("The figure: .svg or .png.")],
    x: Annotated[str, option("Axis of the sweep.")],
    y: Annotated[str | None, option("A second axis: a phase diagram. Without: slopes.")] = None,
    value: Annotated[
        Literal["converged", "blind", "diverged", "dist", "floor"] | None,
        option("What is shown.", shown="converged; of slopes floor"),
    ] = None,
    json: Json = False,
) -> None:
    """Draw a phase diagram over two axes of a sweep, or the slopes along one."""
    if out.suffix not in (".svg", ".png"):
        raise InputError(f"out is {out}; allowed: a file ending in .svg or .png")
    check_file(out)
    from metarep.reports.page.style import rendered
    from metarep.reports.sweep.plots import phase_diagram, slopes
    from metarep.reports.sweep.sweep import read_sweep
    from metarep.sim.outcomes import Outcome
    from metarep.sim.sweeps import OUTCOMES

    runs = read_sweep(file)
    if not runs.settings:
        raise InputError(f"{file} holds no results yet; allowed: a sweep with at least one finished run")
    x, y = x.replace("-", "_"), y and y.replace("-", "_")
    if x == y:
        raise InputError(f"x and y are both {x}; allowed: two axes")
    found = []
    if y is None:
        figure, found = slopes(runs, x, value or "floor")
    else:
        figure = phase_diagram(runs, x, y, value or "converged")
    write_file(out, rendered(figure, out.suffix[1:]))
    ends = runs.runs["outcome"]
    moving = int((ends == OUTCOMES.index(Outcome.MOVING)).sum())
    if json:
        slopes_found = [asdict(slope) for slope in found]
        typer.echo(as_json({"file": out, "runs": len(ends), "still_moving": moving, "slopes": slopes_found}))
        return
    if moving and (value or ("floor" if y is None else "converged")) in ("floor", "dist"):
        said = f"{moving} of {len(ends)} runs were still moving when their steps ran out: they had not reached a floor"
        typer.echo(f"warning: {said}; more --steps show it", err=True)
    for s in found:
        error = "" if s.standard_error is None else f" ± {s.standard_error:.2g}"
        typer.echo(f"{s.learner}: slope {s.slope:+.3f}{error} over {s.points} values of {x}")
    typer.echo(f"wrote {out}")
