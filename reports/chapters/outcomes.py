"""The chapter of outcomes: how many trials of each learner learn, by tasks and start, in Figure 1's setting.

It is the report's first table. Where a claim counts the same runs they are the claim's, so that a quantity has one
number.
"""

from dataclasses import dataclass, replace
from typing import Literal, NamedTuple, get_args

import numpy as np

from metarep.reports.chapters.chapter import Chapter, Job, LearnerName, ReportProfile, Results, Size, Steps, Trials
from metarep.reports.chapters.claims.records import claim_link, measured
from metarep.reports.page import blocks as b
from metarep.reports.page.markup import LEARNER_TITLES
from metarep.sim.experiments import get_setting, setting_problem
from metarep.sim.learners import LEARNERS
from metarep.sim.outcomes import Outcome, counted, enough_records
from metarep.sim.shares import Share
from metarep.sim.trajectories import run

NAME = "outcomes"
SETTING = get_setting("figure-1", "random", "maml")
"""The setting, which is the same for all learners."""

Tasks = Literal["fresh", "fixed"]
Start = Literal["orthonormal", "balanced"]
KINDS = tuple((tasks, start) for tasks in get_args(Tasks) for start in get_args(Start))
"""The table's columns."""


class OutcomesSize(NamedTuple):
    """Trials of each learner, tasks and start, and outer steps (those of Figure 1 unless given)."""

    trials: int
    steps: int | None = None


OF_CLAIMS = {
    ("maml", "fresh", "orthonormal"): "maml-ends-blind",
    ("fo-maml", "fresh", "balanced"): "fo-maml-far-divergence",
}
"""Runs that a measurement counts as well: its details have how they ended as ``ends``."""


@dataclass(frozen=True)
class OutcomesRecord:
    """How a learner's trials ended in Figure 1's setting, of one kind of tasks and start."""

    learner: LearnerName
    tasks: Tasks
    """Whether tasks are drawn afresh at every step or kept."""
    start: Start
    """B_0ᵀB_0 = I or αB_0ᵀB_0 = I, col(B_0) uniform in either case."""
    steps: Steps
    trials: Trials
    outcomes: dict[str, Size]
    """How many trials ended how."""
    claim: str
    """The claim whose runs they are; empty where they were made for the table."""

    def share(self, outcome: Outcome) -> Share:
        """How many ended so."""
        return Share(self.outcomes.get(outcome.value, 0), self.trials)


# --- run


def cells() -> tuple[tuple[str, Tasks, Start], ...]:
    """(learner, tasks, start) of all cells of the table."""
    return tuple((name, tasks, start) for name in LEARNERS for tasks, start in KINDS)


def outcome_jobs(profile: ReportProfile, seed: int) -> list[Job]:
    """A job for each cell whose runs no claim makes."""
    size = profile.sizes[NAME]
    return [((NAME, *cell), ended, (*cell, seed, size)) for cell in cells() if cell not in OF_CLAIMS]


def ended(learner: str, tasks: Tasks, start: Start, seed: int, size: OutcomesSize) -> tuple[int, dict[str, int]]:
    """(outer steps, how many trials ended how) of one cell; the same tasks and starts for all learners."""
    setting = replace(SETTING, tasks=tasks, start=start, trials=size.trials)
    steps = size.steps or setting.steps
    problem = setting_problem(setting, np.random.default_rng((seed, 1)))
    every = enough_records(steps)
    seen = run(LEARNERS[learner], problem, setting.alpha, setting.beta, steps, record_every=every)
    return steps, counted(seen.outcome)


def outcomes_of(results: Results) -> tuple[OutcomesRecord, ...]:
    """The table's cells: of runs that were made here, and of claims where these were measured."""
    found = []
    for cell in cells() if NAME in results.profile.sizes else ():
        claim = OF_CLAIMS.get(cell, "")
        if claim:
            evidence = measured(results.claims, claim)
            if evidence is None:
                continue
            steps, ends = evidence.details["ends_after"], evidence.details["ends"]
        else:
            steps, ends = results.parts[NAME, *cell]
        found.append(OutcomesRecord(*cell, steps, sum(ends.values()), ends, claim))
    return tuple(found)


# --- what is said

SHORT = {
    Outcome.CONVERGED: "learn",
    Outcome.MOVING: "still closing in",
    Outcome.STALLED: "stand still",
    Outcome.RECEDING: "recede",
    Outcome.BLIND: "end blind",
    Outcome.COLLAPSED: "collapse",
    Outcome.DIVERGED: "diverge",
}
"""What trials do that end so."""


def headline_table(records: tuple[OutcomesRecord, ...]) -> b.Table:
    """Learner × (tasks, start): how many learn, with the interval, how many diverge or end blind."""
    by_cell = {(r.learner, r.tasks, r.start): r for r in records}
    rows = tuple(
        (LEARNER_TITLES[name], *(_cell(by_cell[name, *kind]) if (name, *kind) in by_cell else "—" for kind in KINDS))
        for name in LEARNERS
    )
    header = ("trials that learn", *(f"{tasks} tasks, {start} start" for tasks, start in KINDS))
    return b.Table(
        header,
        rows,
        caption=f"In Figure 1's setting, with 95 % intervals. {SETTING.n} tasks that are kept are barely diverse: what "
        f"learns them is on its way when the steps run out ([which tasks and starts](#{NAME})).",
    )


def _cell(record: OutcomesRecord) -> str:
    learn = record.share(Outcome.CONVERGED)
    low, high = (100 * end for end in learn.interval)
    link = f"#claim-{record.claim}" if record.claim else f"#{NAME}"
    named = ((o, record.outcomes.get(o.value)) for o in (Outcome.DIVERGED, Outcome.BLIND, Outcome.COLLAPSED))
    rest = ", ".join(f"{count} {SHORT[o]}" for o, count in named if count)
    return f"[{learn.count} of {learn.trials}]({link}) {low:.0f}–{high:.0f} %" + (f"; {rest}" if rest else "")


def outcomes_section(results: Results) -> b.Section | None:
    """Every count with its interval, and what the words mean."""
    records = outcomes_of(results)
    if not records:
        return None
    s = SETTING
    rows = tuple(
        (
            LEARNER_TITLES[r.learner],
            r.tasks,
            r.start,
            "; ".join(f"{SHORT[o]} {r.share(o)}" for o in Outcome if o.value in r.outcomes),
            claim_link(r.claim) if r.claim else "this table",
        )
        for r in records
    )
    seen = [outcome for outcome in Outcome if any(outcome.value in r.outcomes for r in records)]
    return b.Section(
        NAME,
        "Who learns, under which tasks and start",
        (
            b.Paragraph(
                rf"Figure 1's setting: $d = {s.d}$, $k = n = {s.k}$, heads $N(0, I)$, $\alpha = \beta = {s.alpha:g}$, "
                f"{records[0].steps} outer steps, $w_0 = 0$ and a uniform subspace to start from, orthonormal "
                r"($B_0^\top B_0 = I$) or balanced ($\alpha B_0^\top B_0 = I$). Tasks are drawn afresh at every step "
                f"or the first {s.n} are kept: these are barely diverse "
                r"($\mu_*^2$ is tiny), and what learns them comes closer by $1 - \alpha\beta\mu_*^2$ a step, far too "
                "slowly for so many steps ([rates](#rates))."
            ),
            b.Items(tuple(f"**{SHORT[outcome]}**: the run {outcome.message}" for outcome in seen)),
            b.Details(
                f"All counts, with their 95 % intervals ({len(rows)})",
                (b.Table(("learner", "tasks", "start", "how many", "runs of"), rows),),
            ),
        ),
        short="Who learns",
    )


CHAPTER = Chapter(
    outcomes_section,
    name=NAME,
    sizes={"quick": OutcomesSize(100), "full": OutcomesSize(300)},
    jobs=outcome_jobs,
    record={"outcomes": outcomes_of},
)
