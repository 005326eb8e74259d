"""The command that says what the theorem guarantees for a setting: guarantee."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from metarep.reports.cli.options import (
    RUN,
    SETTING,
    Alpha,
    Beta,
    Json,
    LearnerName,
    Problem,
    Seed,
    number,
    option,
    out_option,
)
from metarep.reports.page.limits import check_memory
from metarep.reports.page.markup import inline_text
from metarep.reports.page.output import (
    InputError,
    as_json,
    check_file,
    check_whole,
    checking_input,
    print_table,
    write_file,
)

if TYPE_CHECKING:
    from metarep.reports.study.guarantee import Answer

SIZES = (100, 5, 100)
"""d, k and n unless given."""
FIGURE_FORMATS = (".png", ".svg", ".pdf")


def guarantee(
    learner: LearnerName,
    d: Annotated[int | None, option("Ambient dimension d.", shown="100", group=SETTING)] = None,
    k: Annotated[int | None, option("Dimension k of the representation.", shown="5", group=SETTING)] = None,
    n: Annotated[int | None, option("Number of tasks n, heads N(0, I).", shown="100", group=SETTING)] = None,
    alpha: Alpha = 0.1,
    beta: Beta = 0.01,
    dist0: Annotated[float | None, option("Distance of the balanced start.", shown="0.5", group=SETTING)] = None,
    problem: Problem = None,
    to: Annotated[float, option("Count the steps to this distance.", shown=True, group=RUN)] = 1e-6,
    steps: Annotated[int, number("Outer steps of the run beside it, at most.")] = 30_000,
    seed: Seed = 0,
    out: Annotated[
        Path | None, out_option("Draw guaranteed, local and simulated distances: .svg, .png or .pdf.")
    ] = None,
    json: Json = False,
) -> None:
    """Does the theorem cover my setting? Its conditions, the factor and steps that it guarantees, and what a run does.

    Tasks are kept. A setting outside of the theorem is an answer too (exit code 0): the first condition that fails.
    """
    import numpy as np

    from metarep.reports.study.guarantee import guarantee as answered
    from metarep.sim.problems import check_dimensions, load_problem, make_problem

    check_whole("steps", steps, 1)
    if not 0 < to < 1:
        raise InputError(f"to is {to:g}; allowed: a distance above 0 and below 1")
    if out is not None:
        if out.suffix not in FIGURE_FORMATS:
            raise InputError(f"cannot write {out}: unknown format; allowed: {', '.join(FIGURE_FORMATS)}")
        check_file(out)
    rng = np.random.default_rng(seed)
    with checking_input():
        if problem is None:
            D, K, N = (fallback if size is None else size for size, fallback in zip((d, k, n), SIZES, strict=True))
            check_dimensions(D, K, N)
            check_memory(D, K, N, 1, 1)
            drawn = make_problem(D, K, N, alpha, rng, "fixed", "balanced", 0.5 if dist0 is None else dist0)
        else:
            drawn = load_problem(problem, alpha, rng, d=d, k=k, n=n, tasks="fixed", start="balanced", dist0=dist0)
        found = answered(learner, drawn, alpha, beta, target=to, most_steps=steps)
    if out is not None:
        from metarep.reports.page.style import rendered

        write_file(out, rendered(draw_answer(found), out.suffix[1:]))
    if json:
        typer.echo(as_json({**found.as_dict(), "out": out}))
        return
    for line in _headline(found):
        typer.echo(line)
    rows = [
        (
            "holds" if side.holds else "FAILS",
            _plain(side.latex),
            f"{side.value:.4g}",
            f"{side.limit:.4g}",
            f"{side.factor:.3g}" if 0 < side.factor < 1e6 else "—",
        )
        for side in found.found.conditions
    ]
    print_table(("", "condition", "left side", "at most", "by a factor of"), rows, (2, 3, 4))
    for line in _advice(found):
        typer.echo(line)
    if out is not None:
        typer.echo(f"wrote {out}")


def _plain(latex: str) -> str:
    return inline_text(f"${latex}$")


def _headline(answer: "Answer") -> list[str]:
    """The answer: guaranteed or not, and by what; the local rate and the run beside it."""
    found, lines = answer.found, []
    if not found.theorem:
        lines.append(f"No theorem here is about {found.learner}: nothing is guaranteed.")
    elif found.failing is not None:
        lines.append(
            f"Not covered by {found.theorem}: the first condition that fails is {_plain(found.failing.latex)}."
        )
    else:
        lines += [
            f"Covered by {found.theorem} (PROVED): dist after T steps is at most {found.rate:.8g}^T,",
            f"  so at most {answer.target:g} after {found.steps_to(answer.target)} steps, whatever d, k and n.",
        ]
    if found.holds and found.theorem.endswith(("centred", "symmetric")):
        lines.append("  It holds in exact arithmetic: the head stays at 0, which need not be stable against rounding.")
    local = f"{answer.local_rate:.8g} a step" if answer.local_rate is not None else "none, it does not attract"
    seen = (
        f"dist at most {answer.target:g} after {answer.seen_steps} steps"
        if answer.seen_steps is not None
        else f"{answer.outcome} after {int(answer.trajectory.steps[-1])} steps, "
        f"dist {float(answer.trajectory.dist[-1]):.3g}"
    )
    return [*lines, f"Local rate at the truth: {local}. A run from here: {seen}."]


def _advice(answer: "Answer") -> list[str]:
    """The step sizes for which it would hold, and the best of them."""
    found, at = answer.found, answer.found.at
    lines = [
        f"L_* = {at.L_squared**0.5:.4g}, μ_* = {at.mu_squared**0.5:.4g}, κ_* = {at.kappa_squared**0.5:.4g}, "
        f"η_* = {at.mean:.4g}, E₀ = {at.E0:.4g}"
    ]
    if found.best is None:
        return lines
    rate, product, least = found.best
    lines.append(
        f"With α = {at.alpha:g} it holds for β up to {found.largest_beta:.4g} (β/α up to "
        f"{found.largest_beta / at.alpha:.4g}), and guarantees most there."
    )
    if found.alphas is not None:
        lines.append(f"With β = {at.beta:g} it holds for α from {found.alphas[0]:.4g} to {found.alphas[1]:.4g}.")
    reached = f" with α at least {least:.4g}." if least else "."
    return [*lines, f"The best that it guarantees at all is {rate:.6g} a step: αβ = {product:.4g}{reached}"]


def draw_answer(answer: "Answer") -> Any:
    """The figure: the run's distances, what is guaranteed, and the local rate from the run's last point back."""
    import numpy as np

    from metarep.reports.page import style

    steps, dist = answer.trajectory.steps, answer.trajectory.dist
    with style.style():
        figure = style.new_figure(6.4, 3.8)
        axes = figure.subplots()
        style.draw_trials(axes, answer.found.learner, steps, dist[:, None], label="simulated")
        if answer.found.holds and answer.found.rate is not None:
            bound = answer.found.rate ** steps.astype(float)
            axes.plot(steps, bound, color=style.ENVELOPE_COLOUR, linestyle="--", label="guaranteed")
        last = np.flatnonzero(np.isfinite(dist) & (dist > 0))
        if answer.local_rate is not None and 0 < answer.local_rate < 1 and last.size:
            back = (steps - steps[last[-1]]) * np.log(answer.local_rate) + np.log(dist[last[-1]])
            axes.plot(steps, np.exp(np.minimum(back, 0.0)), color=style.INK, linestyle=":", label="local rate")
        style.log_axis(axes, style.lowest_shown(dist[:, None], floor=1e-300))
        axes.set_xlabel("outer step")
        axes.set_title("Distance to the ground-truth representation")
        axes.legend()
    return figure
