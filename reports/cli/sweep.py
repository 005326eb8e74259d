"""Commands for many settings at once: sweep, plot."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from metarep.reports.cli.options import Json, Seed, out_option
from metarep.reports.page.output import (
    InputError,
    as_json,
    check_file,
    check_whole,
    print_table,
    progress_bar,
    write_file,
)


class BackendName(StrEnum):
    """Where a sweep's cells run."""

    LOKY = "loky"
    DASK = "dask"


class ValueName(StrEnum):
    """What a plot shows of the replicates."""

    CONVERGED = "converged"
    DIVERGED = "diverged"
    DIST = "dist"
    FLOOR = "floor"


AXIS = "One value, several with commas, or low:high:count; with --random also low:high."


def _axis(name: str, words: str = AXIS) -> typer.models.OptionInfo:
    return typer.Option(f"--{name}", help=words)


def sweep(
    out: Annotated[
        Path,
        out_option("SQLite file; grows, and is resumed."),
    ],
    learner: Annotated[str, _axis("learner", "Learners, with commas.")] = "fo-anil",
    d: Annotated[str, _axis("d")] = "100",
    k: Annotated[str, _axis("k")] = "5",
    n: Annotated[str, _axis("n")] = "5",
    alpha: Annotated[str, _axis("alpha")] = "0.1",
    beta: Annotated[str, _axis("beta")] = "0.1",
    m_in: Annotated[str, _axis("m-in", AXIS + " 'none' is the population.")] = "none",
    m_out: Annotated[str, _axis("m-out", AXIS + " 'none' is the population.")] = "none",
    sigma: Annotated[str, _axis("sigma")] = "0",
    dist0: Annotated[str, _axis("dist0", AXIS + " 'none' is a random start.")] = "none",
    start: Annotated[str, _axis("start", "balanced, orthonormal or both with a comma.")] = "balanced",
    tasks: Annotated[str, _axis("tasks", "fixed, fresh or both with a comma.")] = "fresh",
    steps: Annotated[str, _axis("steps")] = "1000",
    replicates: Annotated[int, typer.Option("--replicates", help="Runs per setting.")] = 20,
    random: Annotated[
        int | None, typer.Option("--random", help="Draw so many settings from the axes instead of the grid.")
    ] = None,
    block: Annotated[int, typer.Option("--block", help="Runs that are simulated as one batch.")] = 250,
    seed: Seed = 0,
    jobs: Annotated[int, typer.Option("--jobs", help="Processes; -1 for all cores.")] = -1,
    backend: Annotated[BackendName, typer.Option("--backend", help="This machine, or a Dask cluster.")] = (
        BackendName.LOKY
    ),
    scheduler: Annotated[str | None, typer.Option("--scheduler", help="Address of the Dask scheduler.")] = None,
    json: Json = False,
) -> None:
    """Run a grid or a random design of settings; results go into one file as they come in. Start again to resume."""
    from metarep.reports.sweep.sweep import MOST_SETTINGS, design, run_sweep, summary_record

    check_whole("replicates", replicates, 1, 10**9)
    check_whole("block", block, 1, 10**6)
    check_whole("seed", seed, 0)
    if random is not None:
        check_whole("random", random, 1, MOST_SETTINGS)
    if jobs == 0 or jobs < -1:
        raise InputError(f"jobs is {jobs}; allowed: -1, or 1 or more")
    if scheduler is not None and backend is not BackendName.DASK:
        raise InputError("scheduler is given with the loky backend; allowed: with --backend dask")
    check_file(out)

    axes = {
        "learner": learner,
        "d": d,
        "k": k,
        "n": n,
        "alpha": alpha,
        "beta": beta,
        "m_in": m_in,
        "m_out": m_out,
        "sigma": sigma,
        "dist0": dist0,
        "start": start,
        "tasks": tasks,
        "steps": steps,
    }
    settings = design(axes, random, seed)
    with progress_bar("sweep") as told:
        summary = run_sweep(
            out,
            settings,
            replicates,
            seed,
            block=block,
            jobs=jobs,
            backend=backend.value,
            scheduler=scheduler,
            progress=told,
        )
    if json:
        typer.echo(as_json(summary_record(summary)))
        return
    typer.echo(
        f"{summary.cells} cells, {summary.already_there} of them there before; {summary.replicates} runs in {out} "
        f"({summary.seconds:.1f} s)"
    )
    print_table(("outcome", "runs"), [(name, str(count)) for name, count in summary.outcomes.items()], (1,))
    typer.echo("\n".join(f"{count} cells: {mode}" for mode, count in summary.modes.items()))


def plot(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Written by 'metarep sweep'.")],
    out: Annotated[
        Path,
        out_option("The figure: .svg or .png."),
    ],
    x: Annotated[str, typer.Option("--x", help="Axis of the sweep.", show_default=False)],
    y: Annotated[
        str | None, typer.Option("--y", help="A second axis: a phase diagram. Without: slopes.", show_default=False)
    ] = None,
    value: Annotated[
        ValueName | None,
        typer.Option("--value", help="What is shown [converged; floor for slopes].", show_default=False),
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

    rows = read_sweep(file)
    if not rows:
        raise InputError(f"{file} holds no results yet; allowed: a sweep with at least one finished cell")
    x, y = x.replace("-", "_"), y and y.replace("-", "_")
    if x == y:
        raise InputError(f"x and y are both {x}; allowed: two axes")
    found = []
    if y is None:
        figure, found = slopes(rows, x, (value or ValueName.FLOOR).value)
    else:
        figure = phase_diagram(rows, x, y, (value or ValueName.CONVERGED).value)
    write_file(out, rendered(figure, out.suffix[1:]))
    if json:
        slope_records = [
            {"learner": s.learner, "slope": s.slope, "standard_error": s.standard_error, "points": s.points}
            for s in found
        ]
        typer.echo(as_json({"file": str(out), "runs": len(rows), "slopes": slope_records}))
        return
    for s in found:
        error = "" if s.standard_error is None else f" ± {s.standard_error:.2g}"
        typer.echo(f"{s.learner}: slope {s.slope:+.3f}{error} over {s.points} values of {x}")
    typer.echo(f"wrote {out}")


def register(app: typer.Typer) -> None:
    """Add these commands to the app."""
    for command in (sweep, plot):
        app.command()(command)
