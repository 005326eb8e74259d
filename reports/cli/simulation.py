"""Commands that run something: simulate, rates, experiment."""

from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import typer

from metarep.reports.cli.options import (
    Alpha,
    Beta,
    D,
    Json,
    K,
    LearnerName,
    N,
    OutFolder,
    Seed,
    StartKind,
    TasksKind,
    out_option,
)
from metarep.reports.page.output import (
    InputError,
    as_csv,
    as_json,
    check_file,
    check_whole,
    checking_input,
    make_folder,
    print_table,
    progress_bar,
    write_file,
)

OUT_FORMATS = (".csv", ".npz", ".png", ".svg")
DEFAULT_D, DEFAULT_K, DEFAULT_N = 100, 5, 5
"""The paper's Figure 1."""
LARGEST_K_OF_RATES = 60
"""The linearisation has k(k + 3)/2 rows, and its eigenvalues take the cube of that."""


def simulate(
    learner: LearnerName,
    d: Annotated[int | None, typer.Option("--d", help="Ambient dimension d [100].", show_default=False)] = None,
    k: Annotated[
        int | None, typer.Option("--k", help="Dimension k of the representation [5].", show_default=False)
    ] = None,
    n: Annotated[int | None, typer.Option("--n", help="Tasks a step, n [5].", show_default=False)] = None,
    alpha: Alpha = 0.1,
    beta: Beta = 0.1,
    steps: Annotated[int, typer.Option("--steps", help="Outer steps.")] = 1000,
    trials: Annotated[int, typer.Option("--trials", help="Runs, each with its own start and tasks.")] = 5,
    seed: Seed = 0,
    tasks: Annotated[TasksKind, typer.Option("--tasks", help="Keep the tasks, or draw them afresh each step.")] = (
        TasksKind.FRESH
    ),
    start: Annotated[
        StartKind, typer.Option("--start", help="αB₀ᵀB₀ = I (balanced) or B₀ᵀB₀ = I (orthonormal).")
    ] = StartKind.ORTHONORMAL,
    dist0: Annotated[
        float | None, typer.Option("--dist0", help="Distance of the start, 0 to 1; random unless given.")
    ] = None,
    problem: Annotated[
        Path | None, typer.Option("--problem", help="An .npz with any of B_star, heads, B0, w0.", show_default=False)
    ] = None,
    out: Annotated[
        Path | None,
        out_option("Write the distances: .csv, .npz, .png or .svg."),
    ] = None,
    json: Json = False,
) -> None:
    """Run a learner on population tasks and say what becomes of its distance to the truth."""
    import numpy as np

    from metarep.sim.learners import get_learner
    from metarep.sim.problems import check_step_size, load_problem, make_problem, reduce
    from metarep.sim.trajectories import run

    check_whole("steps", steps, 0, 10**9)
    check_whole("trials", trials, 1, 10**7)
    check_whole("seed", seed, 0)
    rng = np.random.default_rng(seed)
    with checking_input():
        spec = get_learner(learner)
        check_step_size("alpha", alpha)
        check_step_size("beta", beta)
        if problem is None:
            drawn = make_problem(
                DEFAULT_D if d is None else d,
                DEFAULT_K if k is None else k,
                DEFAULT_N if n is None else n,
                alpha,
                rng,
                tasks.value,
                start.value,
                dist0,
                (trials,),
            )
        else:
            drawn = reduce(
                load_problem(
                    problem,
                    alpha,
                    rng,
                    d=d,
                    k=k,
                    n=n,
                    tasks=tasks.value,
                    start=start.value,
                    dist0=dist0,
                    trials=(trials,),
                )
            )
    if out is not None:
        if out.suffix not in OUT_FORMATS:
            raise InputError(f"cannot write {out}: unknown format; allowed: {', '.join(OUT_FORMATS)}")
        check_file(out)
    with progress_bar(learner) as told:
        trajectory = run(spec, drawn, alpha, beta, steps, progress=lambda done: told(done, steps))
    # Where a problem file leaves nothing to draw there is one trial, without an axis.
    dist = trajectory.dist.reshape(len(trajectory.steps), -1)
    outcomes = [outcome.value for outcome in trajectory.outcome.reshape(-1)]
    diverged_at = trajectory.diverged_at.reshape(-1)
    if out is not None:
        _write_run(out, learner, trajectory.steps, dist, outcomes, diverged_at)
    if json:
        typer.echo(
            as_json(
                {
                    "learner": learner,
                    "d": drawn.d,
                    "k": drawn.k,
                    "n": drawn.n,
                    "alpha": alpha,
                    "beta": beta,
                    "steps": steps,
                    "seed": seed,
                    "trials": [
                        {
                            "trial": trial,
                            "outcome": outcome,
                            "dist0": dist[0, trial],
                            "dist": dist[-1, trial],
                            "diverged_at": int(diverged_at[trial]) if diverged_at[trial] >= 0 else None,
                        }
                        for trial, outcome in enumerate(outcomes)
                    ],
                    "out": None if out is None else str(out),
                }
            )
        )
        return
    shown = range(min(len(outcomes), 20))
    print_table(
        ("trial", "dist at the start", f"dist after {trajectory.steps[-1]} steps", "outcome"),
        [
            (
                str(trial),
                f"{dist[0, trial]:.4g}",
                f"{dist[-1, trial]:.4g}",
                outcomes[trial] + (f" at step {diverged_at[trial]}" if diverged_at[trial] >= 0 else ""),
            )
            for trial in shown
        ],
        (0, 1, 2),
    )
    if len(outcomes) > len(shown):
        typer.echo(f"... and {len(outcomes) - len(shown)} more")
    typer.echo(", ".join(f"{count} {outcome}" for outcome, count in sorted(Counter(outcomes).items())))
    if out is not None:
        typer.echo(f"wrote {out}")


def _write_run(out: Path, learner: str, steps: Any, dist: Any, outcomes: list[str], diverged_at: Any) -> None:
    import io

    import numpy as np

    if out.suffix == ".csv":
        rows = [
            (int(step), trial, dist[i, trial], outcomes[trial])
            for trial in range(dist.shape[1])
            for i, step in enumerate(steps)
        ]
        write_file(out, as_csv(("step", "trial", "dist", "outcome"), rows))
    elif out.suffix == ".npz":
        buffer = io.BytesIO()
        np.savez_compressed(buffer, step=steps, dist=dist, outcome=np.array(outcomes), diverged_at=diverged_at)
        write_file(out, buffer.getvalue())
    else:
        from metarep.reports.page.style import draw_run, rendered

        write_file(out, rendered(draw_run(learner, steps, dist, diverged_at), out.suffix[1:]))


def rates(
    learners: Annotated[
        list[str] | None, typer.Argument(metavar="[LEARNER ...]", help="All five unless named.", show_default=False)
    ] = None,
    d: D = 100,
    k: K = 5,
    n: N = 100,
    alpha: Alpha = 0.1,
    beta: Beta = 0.1,
    seed: Seed = 0,
    dist0: Annotated[float, typer.Option("--dist0", help="Distance of the balanced start, 0 to 1.")] = 0.5,
    json: Json = False,
) -> None:
    """Per-step factors of the distance: by the linearisation, fitted to a run, and the envelope's. Fixed tasks."""
    check_whole("seed", seed, 0)
    check_whole("k", k, 1, LARGEST_K_OF_RATES)
    from metarep.sim.learners import LEARNERS, get_learner

    names = tuple(dict.fromkeys(learners or LEARNERS))
    with checking_input():
        specs = [get_learner(name) for name in names]
    from metarep.reports.chapters.rates.table import rate_record, rates_problem

    with checking_input():
        problem = rates_problem(d, k, n, alpha, beta, seed, dist0)
    records = []
    with progress_bar("rates") as told:
        for done, spec in enumerate(specs):
            told(done, len(specs))
            records.append(rate_record(spec, problem, alpha, beta, dist0))
    if json:
        typer.echo(as_json({"rates": records}))
        return
    from metarep.reports.chapters.rates.table import HEADER, OUTCOME_MEANS, row

    print_table(HEADER, [row(record) for record in records], (1, 2, 3, 4, 5))
    seen = {record.outcome for record in records}
    for outcome in sorted(OUTCOME_MEANS.keys() & seen):
        typer.echo(f"{outcome}: {OUTCOME_MEANS[outcome]}")


def experiment(
    name: Annotated[str, typer.Argument(metavar="EXPERIMENT", help="figure-1, section-6 or figure-4.")],
    out: OutFolder,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Run one of the paper's experiments; writes its figures (SVG) and their data (CSV)."""
    from metarep.sim.experiments import get_experiment, run_experiment

    check_whole("seed", seed, 0)
    with checking_input():
        chosen = get_experiment(name)
    make_folder(out)
    with progress_bar(name) as told:
        results = run_experiment(chosen, seed, told)
    from metarep.reports.chapters.experiments.figures import (
        experiment_csv,
        experiment_figures,
        summary,
    )
    from metarep.reports.page.style import rendered

    written = []
    for figure_name, figure in experiment_figures(chosen, results):
        path = out / f"{figure_name}.svg"
        write_file(path, rendered(figure, "svg"))
        written.append(str(path))
    path = out / f"{name}.csv"
    write_file(path, experiment_csv(results))
    written.append(str(path))
    rows = summary(results)
    if json:
        typer.echo(
            as_json(
                {
                    "experiment": name,
                    "seed": seed,
                    "finding": chosen.finding,
                    "choices": list(chosen.choices),
                    "curves": rows,
                    "files": written,
                }
            )
        )
        return
    typer.echo(f"{chosen.title}\nThe paper: {chosen.finding}")
    print_table(
        ("panel", "curve", "median dist at the end", "outcomes"),
        [
            (
                item.panel,
                item.curve,
                "—" if item.median_dist is None else f"{item.median_dist:.3g}",
                ", ".join(f"{count} {outcome}" for outcome, count in item.outcomes.items()),
            )
            for item in rows
        ],
        (2,),
    )
    typer.echo("\n".join(f"Our choice: {choice}" for choice in chosen.choices))
    typer.echo("\n".join(f"wrote {path}" for path in written))


def register(app: typer.Typer) -> None:
    """Add these commands to the app."""
    for command in (simulate, rates, experiment):
        app.command()(command)
