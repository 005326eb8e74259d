"""Commands that run something: simulate, rates, experiment."""

from collections import Counter
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from metarep.reports.cli.options import (
    SETTING,
    Alpha,
    Beta,
    D,
    Jobs,
    Json,
    K,
    LearnerName,
    N,
    OutFolder,
    Problem,
    Seed,
    Steps,
    number,
    option,
    out_option,
    refuse,
)
from metarep.reports.page.limits import check_memory
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
    write_files,
)

OUT_FORMATS = (".csv", ".npz", ".png", ".svg")
FIGURE_1 = (100, 5, 5)
"""d, k and n of the paper's Figure 1."""
LARGEST_K_OF_RATES = 60
"""The linearisation has k(k + 3)/2 rows, and its eigenvalues take the cube of that."""


def simulate(
    context: typer.Context,
    learner: LearnerName,
    d: Annotated[int | None, option("Ambient dimension d.", shown="100", group=SETTING)] = None,
    k: Annotated[int | None, option("Dimension k of the representation.", shown="5", group=SETTING)] = None,
    n: Annotated[int | None, option("Tasks a step, n.", shown="5", group=SETTING)] = None,
    alpha: Alpha = 0.1,
    beta: Beta = 0.1,
    steps: Steps = 1000,
    trials: Annotated[int, number("Runs, each with its own start and tasks.")] = 5,
    seed: Seed = 0,
    tasks: Annotated[
        Literal["fixed", "fresh"],
        option("Keep the tasks, or draw them afresh each step.", shown=True, group=SETTING),
    ] = "fresh",
    start: Annotated[
        Literal["balanced", "orthonormal"],
        option("αB₀ᵀB₀ = I (balanced) or B₀ᵀB₀ = I (orthonormal).", shown=True, group=SETTING),
    ] = "orthonormal",
    dist0: Annotated[
        float | None, option("Distance of the start, 0 to 1.", shown="a random start", group=SETTING)
    ] = None,
    problem: Problem = None,
    out: Annotated[Path | None, out_option("Write the distances: .csv, .npz, .png or .svg.")] = None,
    json: Json = False,
) -> None:
    """Run a learner on population tasks and say what becomes of its distance to the truth."""
    import numpy as np

    from metarep.sim.learners import get_learner
    from metarep.sim.problems import check_dimensions, check_step_size, load_problem, make_problem, reduce
    from metarep.sim.trajectories import run

    if out is not None:
        if out.suffix not in OUT_FORMATS:
            raise InputError(f"cannot write {out}: unknown format; allowed: {', '.join(OUT_FORMATS)}")
        check_file(out)
    rng = np.random.default_rng(seed)
    with checking_input():
        spec = get_learner(learner)
        check_step_size("alpha", alpha)
        check_step_size("beta", beta)
        settings: dict[str, Any] = {"tasks": tasks, "start": start, "dist0": dist0, "trials": (trials,)}
        if problem is None:
            d, k, n = (fallback if size is None else size for size, fallback in zip((d, k, n), FIGURE_1, strict=True))
            check_dimensions(d, k, n)
            check_memory(d, k, n, trials, steps)
            drawn = make_problem(d, k, n, alpha, rng, **settings)
        else:
            drawn = reduce(load_problem(problem, alpha, rng, d=d, k=k, n=n, **settings))
            held = set(np.load(problem).files)
            for names, instead in (({"heads"}, "tasks"), ({"B0"}, "start"), ({"heads", "B0", "w0"}, "trials")):
                if names <= held:
                    refuse(context, instead, f"{' and '.join(sorted(names))} in {problem}")
    check_memory(drawn.d, drawn.k, drawn.n, trials, steps)
    with progress_bar(learner) as told:
        trajectory = run(spec, drawn, alpha, beta, steps, progress=lambda done: told(done, steps))
    # Where a problem file leaves nothing to draw there is one trial, without an axis.
    dist = trajectory.dist.reshape(len(trajectory.steps), -1)
    ends = trajectory.outcome.reshape(-1)
    outcomes = [outcome.value for outcome in ends]
    diverged_at = trajectory.diverged_at.reshape(-1)
    if out is not None:
        _write_run(out, learner, trajectory.steps, dist, ends, diverged_at)
    rows = [
        {
            "trial": trial,
            "outcome": outcome,
            "dist0": dist[0, trial],
            "dist": dist[-1, trial],
            "diverged_at": diverged_at[trial] if diverged_at[trial] >= 0 else None,
        }
        for trial, outcome in enumerate(outcomes)
    ]
    if json:
        sizes = {"d": drawn.d, "k": drawn.k, "n": drawn.n, "alpha": alpha, "beta": beta, "steps": steps, "seed": seed}
        typer.echo(as_json({"learner": learner, **sizes, "trials": rows, "out": out}))
        return
    print_table(
        ("trial", "dist at the start", f"dist after {trajectory.steps[-1]} steps", "outcome"),
        [(str(row["trial"]), f"{row['dist0']:.4g}", f"{row['dist']:.4g}", _outcome(row)) for row in rows[:20]],
        (0, 1, 2),
    )
    if len(rows) > 20:
        typer.echo(f"... and {len(rows) - 20} more")
    typer.echo(", ".join(f"{count} {outcome}" for outcome, count in sorted(Counter(outcomes).items())))
    for outcome in sorted(set(ends), key=lambda outcome: outcome.value):
        typer.echo(f"{outcome.value}: {outcome.message}")
    if out is not None:
        typer.echo(f"wrote {out}")


def _outcome(row: dict[str, Any]) -> str:
    return row["outcome"] + ("" if row["diverged_at"] is None else f" at step {row['diverged_at']}")


def _write_run(out: Path, learner: str, steps: Any, dist: Any, ends: Any, diverged_at: Any) -> None:
    import io

    import numpy as np

    outcomes = [outcome.value for outcome in ends]
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

        write_file(out, rendered(draw_run(learner, steps, dist, ends), out.suffix[1:]))


def rates(
    learners: Annotated[
        list[str] | None, typer.Argument(metavar="LEARNER", help="Which. \\[default: all five]", show_default=False)
    ] = None,
    d: D = 100,
    k: K = 5,
    n: N = 100,
    alpha: Alpha = 0.1,
    beta: Beta = 0.1,
    seed: Seed = 0,
    dist0: Annotated[float, option("Distance of the balanced start, 0 to 1.", shown=True, group=SETTING)] = 0.5,
    jobs: Jobs = -1,
    json: Json = False,
) -> None:
    """Per-step factors of the distance: by the linearisation, fitted to a run, and the envelope's. Fixed tasks."""
    check_whole("k", k, 1, LARGEST_K_OF_RATES)
    from metarep.sim.learners import LEARNERS, get_learner
    from metarep.sim.problems import check_dimensions

    names = tuple(dict.fromkeys(learners or LEARNERS))
    with checking_input():
        specs = [get_learner(name) for name in names]
    from metarep.reports.chapters.rates.table import HEADER, OUTCOME_MEANS, rate_record, rates_problem, row
    from metarep.theory.work.processes import working

    with checking_input():
        check_dimensions(d, k, n)
        check_memory(d, k, n, 1, 1)
        problem = rates_problem(d, k, n, alpha, beta, seed, dist0)
    records, tasks = [], [(rate_record, (spec, problem, alpha, beta, dist0)) for spec in specs]
    with progress_bar("rates") as told, working(tasks, jobs, len(tasks), ordered=True) as found:
        for record in found:
            records.append(record)
            told(len(records), len(tasks))
    if json:
        typer.echo(as_json({"rates": records}))
        return
    print_table(HEADER, [row(record) for record in records], (1, 2, 3, 4, 5))
    seen = {record.outcome for record in records}
    for outcome in sorted(OUTCOME_MEANS.keys() & seen):
        typer.echo(f"{outcome}: {OUTCOME_MEANS[outcome]}")


def experiment(
    name: Annotated[str, typer.Argument(metavar="EXPERIMENT", help="figure-1, section-6 or figure-4.")],
    out: OutFolder,
    seed: Seed = 0,
    jobs: Jobs = -1,
    json: Json = False,
) -> None:
    """Run one of the paper's experiments; writes its figures (SVG, and PDF a column wide) and their data (CSV)."""
    from metarep.sim.experiments import batches, get_experiment, in_order, run_experiment
    from metarep.theory.work.processes import working

    with checking_input():
        chosen = get_experiment(name)
    make_folder(out)
    curves, tasks = [], [(run_experiment, (part, seed)) for part in batches(chosen)]
    with progress_bar(name) as told, working(tasks, jobs, len(tasks)) as found:
        for done, part in enumerate(found, start=1):
            curves += part
            told(done, len(tasks))
    results = in_order(chosen, curves)
    from metarep.reports.chapters.experiments.figures import experiment_csv, experiment_figures, summary
    from metarep.reports.page.style import rendered

    narrow = experiment_figures(chosen, results, column=True)
    wide = experiment_figures(chosen, results) if name == "figure-1" else []
    files: dict[str, str | bytes] = {f"{each}.svg": rendered(figure, "svg") for each, figure in (*wide, *narrow)}
    files |= {f"{each}.pdf": rendered(figure, "pdf") for each, figure in narrow}
    files[f"{name}.csv"] = experiment_csv(results)
    write_files(out, files)
    written = [str(out / file) for file in files]
    rows = summary(results)
    if json:
        found = {"finding": chosen.finding, "choices": list(chosen.choices), "curves": rows, "files": written}
        typer.echo(as_json({"experiment": name, "seed": seed, **found}))
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
