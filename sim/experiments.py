"""The paper's numerical experiments by name, declaratively, and how to run one.

The settings that the paper states (Collins et al. 2022, Figure 1, Section 6, Figure 4) are its own; it publishes no
code, so what it leaves open is listed with each experiment as our choice, and each panel is also run under the other
choice of tasks.
"""

import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from metarep.sim.bounds import unknown
from metarep.sim.checks import check_whole
from metarep.sim.learners import LEARNERS, META_LEARNERS, get_learner
from metarep.sim.problems import Problem, StartKind, make_problem
from metarep.sim.tasks import FixedTasks
from metarep.sim.trajectories import run

Array = np.ndarray


@dataclass(frozen=True)
class Setting:
    """One problem setting; the fields are those of ``metarep.sim.problems.make_problem`` and
    ``metarep.sim.trajectories.run``.
    """

    d: int
    k: int
    n: int
    alpha: float
    beta: float
    steps: int
    tasks: Literal["fresh", "fixed"] = "fresh"
    start: StartKind = "orthonormal"
    dist0: float | None = None
    head_mean: float | tuple[float, ...] = 0.0
    head_variances: float | tuple[float, ...] = 1.0
    trials: int = 5


@dataclass(frozen=True)
class Curve:
    """One line of a panel: a learner on a setting."""

    label: str
    learner: str
    setting: Setting


@dataclass(frozen=True)
class Panel:
    """Curves that are drawn together. ``diversity``: whether λ_min(Ψ_{*,t}) is recorded, which the envelope needs."""

    name: str
    title: str
    curves: tuple[Curve, ...]
    diversity: bool = False


@dataclass(frozen=True)
class Experiment:
    """An experiment of the paper.

    Attributes:
        name: what it is asked for by.
        title: a heading.
        finding: what the paper says of it, in our words.
        panels: what is run.
        choices: our choices where the paper is silent.
        record_every: distance between recorded steps.
    """

    name: str
    title: str
    finding: str
    panels: tuple[Panel, ...]
    choices: tuple[str, ...]
    record_every: int = 10


@dataclass(frozen=True, eq=False)
class CurveResult:
    """What became of a curve: recorded ``steps`` (T,), ``dist`` (T, trials), ``outcomes`` (trials,) of ``Outcome``,
    ``diverged_at`` (trials,), −1 where it did not, and where its panel asks ``diversity`` (steps, trials):
    λ_min(Ψ_{*,t}) of step t's tasks.
    """

    panel: str
    curve: Curve
    steps: Array
    dist: Array
    outcomes: Array
    diverged_at: Array
    diversity: Array | None = None


_ON_TASKS = "Tasks drawn afresh at every step; the panels ending in -fixed keep each trial's first draw instead."
_ON_START = "Random start: col(B_0) uniform, B_0 orthonormal (B_0ᵀB_0 = I), w_0 = 0. Balanced means αB_0ᵀB_0 = I."


def _panels(name: str, title: str, curves: tuple[Curve, ...], diversity: bool = False) -> tuple[Panel, Panel]:
    """The panel, and the same with the tasks kept."""
    fixed = tuple(replace(curve, setting=replace(curve.setting, tasks="fixed")) for curve in curves)
    return (
        Panel(name, title, curves, diversity),
        Panel(f"{name}-fixed", f"{title} (tasks kept)", fixed, diversity),
    )


def _figure_1() -> Experiment:
    random = Setting(d=100, k=5, n=5, alpha=0.1, beta=0.1, steps=2500)
    close = replace(random, start="balanced", dist0=0.93)
    balanced = replace(random, start="balanced")
    return Experiment(
        "figure-1",
        "Figure 1: meta-learners recover the representation, average loss does not",
        "Exact and first-order ANIL and MAML approach the ground-truth representation exponentially fast; "
        "minimising the average loss does not approach it.",
        (
            *_panels("random", "Random orthonormal start", tuple(Curve(name, name, random) for name in LEARNERS)),
            *_panels(
                "envelope",
                "Balanced start at distance 0.93",
                tuple(Curve(name, name, close) for name in LEARNERS),
                True,
            ),
            *_panels(
                "balanced",
                "FO-MAML from a random balanced start",
                (Curve("fo-maml", "fo-maml", replace(balanced, trials=20)),),
            ),
        ),
        (
            _ON_TASKS,
            _ON_START,
            "Heads are i.i.d. N(0, I).",
            "2500 steps: with fresh tasks all four meta-learners fall by six orders of magnitude within about 2000.",
            "The panel 'envelope' starts at distance 0.93, all principal angles equal: near enough for the theorem's "
            "bound to say something, which it does not at a random start in d = 100.",
            "The panel 'balanced', 20 trials, is not in the paper: it shows that FO-MAML depends on the scale of B_0.",
        ),
    )


def _section_6() -> Experiment:
    def curves(learner: str) -> tuple[Curve, ...]:
        return tuple(
            Curve(
                f"μ = {mu:g}",
                learner,
                Setting(d=100, k=5, n=5, alpha=0.1, beta=0.1, steps=4000, head_variances=(1.0, 1.0, 1.0, 1.0, mu**2)),
            )
            for mu in (1.0, 0.7, 0.5, 0.3, 0.1)
        )

    return Experiment(
        "section-6",
        "Section 6: the less diverse the tasks, the slower",
        "With heads from N(0, diag(1, ..., 1, μ²)) the representation is learned the more slowly the smaller μ is: "
        "it is learned at the pace of the least represented direction.",
        tuple(panel for name in META_LEARNERS for panel in _panels(name, name, curves(name))),
        (_ON_TASKS, _ON_START, "μ in {1, 0.7, 0.5, 0.3, 0.1}.", "4000 steps."),
    )


def _figure_4() -> Experiment:
    base = Setting(d=20, k=3, n=3, alpha=0.05, beta=0.05, steps=6000)
    starts = {
        f"{kind}, {'random' if dist0 is None else f'dist_0 = {dist0:g}'}": replace(base, start=kind, dist0=dist0)
        for kind in ("balanced", "orthonormal")
        for dist0 in (0.3, 0.6, 0.9, None)
    }
    near = replace(base, start="balanced", dist0=0.6)
    heads = {
        "N(0, I)": near,
        "N(0, 4 I)": replace(near, head_variances=4.0),
        "N(0, diag(1, 1, 1/4))": replace(near, head_variances=(1.0, 1.0, 0.25)),
        "N(e_1 / 2, I)": replace(near, head_mean=(0.5, 0.0, 0.0)),
        "N(2 e_1, I)": replace(near, head_mean=(2.0, 0.0, 0.0)),
    }
    panels: list[Panel] = []
    for name in META_LEARNERS:
        for what, title, settings in (
            ("start", "dependence on the start", starts),
            ("heads", "dependence on the heads", heads),
        ):
            curves = tuple(Curve(label, name, setting) for label, setting in settings.items())
            panels += _panels(f"{what}-{name}", f"{name}: {title}", curves)
    return Experiment(
        "figure-4",
        "Figure 4: dependence on the start and on the heads",
        "How fast, and whether, the meta-learners recover the representation depends on how close the start is and on "
        "how the tasks' heads are distributed.",
        tuple(panels),
        (
            _ON_TASKS,
            _ON_START,
            "dist_0 in {0.3, 0.6, 0.9} with all principal angles equal, and random.",
            "Heads vary at a balanced start with dist_0 = 0.6: their scale, the weight of one direction, and their "
            "mean.",
            "6000 steps.",
        ),
    )


EXPERIMENTS: dict[str, Experiment] = {
    experiment.name: experiment for experiment in (_figure_1(), _section_6(), _figure_4())
}
"""The three, by name."""


def get_experiment(name: str) -> Experiment:
    """The experiment called ``name``; ``ValueError`` that lists the known ones if there is none."""
    if name not in EXPERIMENTS:
        raise unknown("experiment", name, EXPERIMENTS)
    return EXPERIMENTS[name]


def get_setting(experiment: str, panel: str, learner: str) -> Setting:
    """The setting of a learner's first curve in a panel of an experiment; ``ValueError`` if there is none."""
    for each in get_experiment(experiment).panels:
        for curve in each.curves:
            if (each.name, curve.learner) == (panel, learner):
                return curve.setting
    raise ValueError(f"experiment {experiment!r} has no curve of {learner!r} in a panel {panel!r}; allowed: one it has")


def setting_problem(setting: Setting, rng: np.random.Generator) -> Problem:
    """A problem of that setting, as many trials as it says."""
    s = setting
    return make_problem(
        s.d, s.k, s.n, s.alpha, rng, s.tasks, s.start, s.dist0, (s.trials,), s.head_mean, s.head_variances
    )


def _problem(experiment: Experiment, setting: Setting, seed: int) -> Problem:
    # One stream per experiment: curves that differ in the learner see the same problem, those that differ in a
    # distribution's parameters see the same underlying draws.
    return setting_problem(setting, np.random.default_rng([seed, zlib.crc32(experiment.name.encode())]))


@dataclass(frozen=True)
class _SideBySide:
    """Tasks that can be asked for several steps, (..., k, n) each, as one batch."""

    parts: tuple[Any, ...]

    def __call__(self, step: int) -> Array:
        return self.several(step, 1)[0]

    def several(self, first: int, count: int) -> Array:
        return np.concatenate([part.several(first, count) for part in self.parts], axis=1)


def _joined(problems: list[Problem]) -> Problem:
    """Problems in the same coordinates side by side, as one batch."""
    first = problems[0]

    fixed = all(isinstance(problem.tasks, FixedTasks) for problem in problems)
    side_by_side = _SideBySide(tuple(problem.tasks for problem in problems))
    B0, w0 = (np.concatenate([getattr(problem, name) for problem in problems]) for name in ("B0", "w0"))
    return replace(first, tasks=FixedTasks(side_by_side(0)) if fixed else side_by_side, B0=B0, w0=w0)


def batches(experiment: Experiment) -> list[Experiment]:
    """The experiment in parts that can run apart, to the same numbers: the curves of one learner, of problems of one
    size and one choice of tasks, which run as one batch.
    """

    def key(curve: Curve) -> tuple[Any, ...]:
        s = curve.setting
        return curve.learner, s.d, s.k, s.n, s.alpha, s.beta, s.steps, s.tasks

    def part(wanted: tuple[Any, ...]) -> Experiment:
        panels = (replace(p, curves=tuple(c for c in p.curves if key(c) == wanted)) for p in experiment.panels)
        return replace(experiment, panels=tuple(panel for panel in panels if panel.curves))

    return [part(each) for each in dict.fromkeys(key(curve) for panel in experiment.panels for curve in panel.curves)]


def in_order(experiment: Experiment, results: Iterable[CurveResult]) -> list[CurveResult]:
    """The results of an experiment's curves in the order of its panels."""
    found = {(result.panel, result.curve): result for result in results}
    return [found[panel.name, curve] for panel in experiment.panels for curve in panel.curves]


def run_experiment(
    experiment: Experiment, seed: int, progress: Callable[[int, int], None] | None = None
) -> list[CurveResult]:
    """Run all curves of an experiment; those of one learner on problems of one size go as one batch.

    Args:
        experiment: see ``get_experiment``.
        seed: of all randomness, a whole number >= 0.
        progress: told (steps done, steps in all) now and then.

    Returns:
        One result per curve, in the order of the panels.

    Raises:
        ValueError: a negative seed.
    """
    check_whole("seed", seed, 0)
    parts = [[(panel, curve) for panel in part.panels for curve in panel.curves] for part in batches(experiment)]
    total = sum(members[0][1].setting.steps for members in parts)
    done = 0
    results: list[CurveResult] = []
    diversities: dict[Setting, Array] = {}
    for members in parts:
        problems = [_problem(experiment, curve.setting, seed) for _, curve in members]
        setting = members[0][1].setting
        before = done
        report = None if progress is None else (lambda steps, before=before: progress(before + steps, total))
        trajectory = run(
            get_learner(members[0][1].learner),
            _joined(problems),
            setting.alpha,
            setting.beta,
            setting.steps,
            record_every=experiment.record_every,
            progress=report,
        )
        done += setting.steps
        offset = 0
        for (panel, curve), problem in zip(members, problems, strict=True):
            own = slice(offset, offset + curve.setting.trials)
            offset = own.stop
            if panel.diversity and curve.setting not in diversities:
                diversities[curve.setting] = task_diversity(problem, setting.steps)
            found = trajectory.dist[:, own], trajectory.outcome[own], trajectory.diverged_at[own]
            diversity = diversities[curve.setting] if panel.diversity else None
            results.append(CurveResult(panel.name, curve, trajectory.steps, *found, diversity))
    return in_order(experiment, results)


def task_diversity(problem: Problem, steps: int) -> Array:
    """λ_min(Ψ_{*,t}) of the tasks of steps 0 ... steps − 1, (steps, *batch): what the envelope with fresh tasks is made
    of.
    """

    def smallest(heads: Array) -> Array:
        return np.linalg.eigvalsh(heads @ np.swapaxes(heads, -1, -2) / problem.n)[..., 0].clip(min=0.0)

    first = problem.tasks(0)
    values = np.empty((steps, *first.shape[:-2]))
    for step in range(steps):
        heads = problem.tasks(step)
        if heads is first:
            values[step:] = smallest(heads)
            break
        values[step] = smallest(heads)
    return values
