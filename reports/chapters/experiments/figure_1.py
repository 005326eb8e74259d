"""The chapter on Figure 1, the paper's headline experiment."""

from collections.abc import Sequence

from metarep.reports.chapters.chapter import Chapter, Job, ReportProfile, Results
from metarep.reports.chapters.claims.counts import blind_sentence, diverged_share
from metarep.reports.chapters.claims.records import ClaimRecord, mention
from metarep.reports.chapters.experiments.figures import (
    CurveSummary,
    by_panel,
    experiment_csv,
    experiment_figures,
    figure_1_panels,
    looseness,
    run_named,
    summary,
)
from metarep.reports.page import blocks as b
from metarep.reports.page.markup import LEARNER_TITLES, at_least, power
from metarep.reports.page.style import END_MARKS, rendered
from metarep.sim.experiments import get_experiment
from metarep.sim.outcomes import Outcome
from metarep.theory.dynamics.rates import initial_margin

NAME = "figure-1"
"""A profile's size of this chapter: fewer steps than the experiment's, which only tests want, or None."""
KEY = ("figure-1",)


def figure_1_jobs(profile: ReportProfile, seed: int) -> list[Job]:
    """The experiment, in one piece."""
    return [(KEY, run_named, (NAME, seed, profile.sizes[NAME]))]


def figure_1_section(results: Results) -> b.Section | None:
    """The paper's headline experiment."""
    if KEY not in results.parts:
        return None
    experiment, curves = get_experiment(NAME), results.parts[KEY]
    rows = summary(curves)
    s = by_panel(curves, "random")[0].curve.setting
    loose = {result.curve.learner: looseness(result) for result in by_panel(curves, "envelope")}
    meta = [value for learner, value in loose.items() if learner != "average-loss"]
    start = by_panel(curves, "envelope")[0].curve.setting.dist0
    margin = initial_margin(start) if start is not None else 0.0
    baseline = next(r for r in rows if r.panel == "random" and r.learner == "average-loss")
    balanced = next(r for r in rows if r.panel == "balanced")
    late = [
        f"{r.missed} of {r.trials} of {LEARNER_TITLES[r.learner]} ({r.misses})"
        for r in rows
        if r.panel == "random" and r.learner != "average-loss" and r.missed
    ]
    caption = (
        rf"Distance to the truth with $d = {s.d}$, $k = n = {s.k}$, $\alpha = \beta = {s.alpha:g}$, tasks drawn "
        f"afresh at every step. Thick lines are medians over {s.trials} trials, thin lines the trials. (a) From a "
        "random orthonormal start; "
        f"{'trials that do not reach ' + power(1e-6) + ': ' + ', '.join(late) + '; ' if late else ''}average loss "
        f"ends no lower than {at_least(baseline.smallest_dist or 0.0, 3)}. (b) From distance 0.93 with the paper's "
        rf"envelope, which is loose: $\log\,\mathrm{{dist}}$ falls about {min(meta):.0f} times as far as its bound, "
        rf"as $E_0 = {margin:.3f}$ is small and the envelope counts each step's least eigenvalue of $\Psi_{{*,t}}$ "
        f"alone. (c) {balanced.trials} runs of FO-MAML from random balanced "
        f"starts{_how_many(results.claims, balanced)}. "
        f"At a curve's end: {', '.join(name for _, name in END_MARKS.values())}. Data: `figures/figure-1.csv`."
    )
    panels = tuple((name, rendered(figure, "svg")) for name, figure in figure_1_panels(experiment, curves))
    alt = (
        "Three panels of distance against outer step on a logarithmic axis: the four meta-learners fall along "
        "straight lines, average loss stays near 1, the envelope falls far more slowly, and FO-MAML from random "
        "balanced starts mostly diverges."
    )
    table = b.Table(
        ("panel", "learner", "median at the end (of those that did not diverge)", "outcomes"),
        tuple(
            (
                r.panel,
                LEARNER_TITLES[r.learner],
                "—" if r.median_dist is None else f"{r.median_dist:.2e}",
                ", ".join(f"{count} {outcome}" for outcome, count in r.outcomes.items()),
            )
            for r in rows
        ),
        frozenset({2}),
        "The panels ending in -fixed keep each trial's first tasks at every step.",
    )
    return b.Section(
        "figure-1",
        experiment.title,
        (
            b.Paragraph(f"What the paper says: {experiment.finding[:1].lower()}{experiment.finding[1:]}"),
            b.Picture(panels, alt, caption, ("figure-1.csv", experiment_csv(curves))),
            b.Details("Where each run ended", (table,)),
            b.Details("What the paper leaves open, and our choices", (b.Items(experiment.choices),)),
            b.Code(f"metarep experiment figure-1 --seed {results.seed} --out out/figures"),
        ),
        (_why_flat(results.claims),),
        "Figure 1",
    )


def _how_many(claims: Sequence[ClaimRecord], balanced: CurveSummary) -> str:
    """How many such runs diverge, by the claim that counts more of them than are drawn."""
    counted = diverged_share(claims, balanced.steps)
    return f"; {counted} diverge ({mention(claims, 'fo-maml-far-divergence')})" if counted else ""


def _why_flat(claims: Sequence[ClaimRecord]) -> b.Section:
    """Why a curve of Exact MAML can end flat, and how often."""
    counted = blind_sentence(claims)
    link = mention(claims, "maml-ends-blind")
    how_often = f"How often does it? {counted[:1].upper()}{counted[1:]} ({link})." if counted else ""
    return b.Section(
        "figure-1-blind",
        "Why a curve of Exact MAML can end flat",
        (
            b.Paragraph(
                r"Where $\alpha\|w\|^2 = 1$ one inner step of the representation alone, $B_i = B - \alpha r_i w^\top$, "
                f"solves any task, whatever $B$ is ({mention(claims, 'maml-blind-points')}). From a start as small as "
                r"$B_0^\top B_0 = I$ the head can grow to that length before $B$ has turned to $B_*$. Nothing asks for "
                r"$B_*$ then, $B_*^\top B$ dies out, and the run ends blind: "
                f"it {Outcome.BLIND.message}. The distance, that of $B$'s directions however small $B$ is, need not "
                "stay near 1."
            ),
            *([b.Paragraph(how_often)] if how_often else []),
        ),
    )


def figure_1_whole(results: Results) -> tuple[b.Picture, ...]:
    """Figure 1 with its panels in one file, and the same with tasks that are kept: for the folder of figures alone."""
    curves = results.parts.get(KEY)
    if curves is None:
        return ()
    data = ("figure-1.csv", experiment_csv(curves))
    return tuple(
        b.Picture(
            ((name, rendered(figure, "svg")),),
            "Figure 1 in one file" + (", each trial with its first tasks at every step." if "fixed" in name else "."),
            data=data,
        )
        for name, figure in experiment_figures(get_experiment(NAME), curves)
    )


CHAPTER = Chapter(
    figure_1_section,
    name=NAME,
    sizes=dict.fromkeys(("quick", "full")),
    jobs=figure_1_jobs,
    files=figure_1_whole,
)
