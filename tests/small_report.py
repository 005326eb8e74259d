"""A report with every chapter, made in half a minute: short runs, few instances, and a refuted claim with another that
rests on it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from metarep.reports.chapters.boundaries.data import BoundarySize, measure_boundaries
from metarep.reports.chapters.experiments.section import CHAPTER_EXPERIMENTS
from metarep.reports.chapters.learners.examples import draw_examples, example_rows, examples_csv
from metarep.reports.chapters.learners.section import LearnersResults, measure_widths
from metarep.reports.chapters.samples import RECOVERY, FloorPoint, recovery_points
from metarep.reports.cli.own_claims import own_claims, own_records
from metarep.reports.page.style import rendered
from metarep.reports.report.document import write_report
from metarep.reports.report.gather import RateSetting, ReportProfile, Results, gather
from metarep.reports.study.study import Settings, example, record, study
from metarep.sim.experiments import CurveResult, get_experiment, run_experiment
from metarep.sim.learners import LEARNERS
from metarep.theory.claims import catalogue
from metarep.theory.claims.samples.floor import FLOOR_SETTINGS, GROWTH_SETTING, SMALL
from metarep.theory.engine.mutants.selftest import MUTANTS, Row, trials, tried_on, used_claims

PROFILE = ReportProfile(
    "small",
    0.1,
    (RateSetting(20, 2, 10, 0.4, 0.4), RateSetting(20, 2, 2, 0.4, 0.4)),
    2000,
    figure_steps=60,
    rate_grid=(((20, 1, 10, 0.4, 0.4, 0.3), (20, 2, 20, 0.4, 0.4, 0.8)), 400),
)
BOUNDARY = BoundarySize(5, 2, 60, 5, 200, 2, 60, 2, 60, 3, 700)

REFUTED, ABOVE = "nothing-moves", "nothing-moves-twice"
"""The ids of the claim that is false and of the one that rests on it."""
_OWN = f'''
from metarep.sim.learners import LEARNERS
from metarep.theory.claims.record import Claim, Comparison, Verdict, own
from metarep.theory.claims.strategies import floats, outer_steps, step_arrays

def still(instance, implementation):
    at = step_arrays(instance)
    B, w = implementation.step(LEARNERS["fo-anil"], at.B, at.w, at.targets, at.alpha, at.beta)
    return Comparison(float(abs(B - at.B).max()), 0.0, 0.0, "how far a step moves B")

def anything(instance, implementation):
    at = step_arrays(instance)
    return Comparison(0.0, float(abs(at.B).max()), 0.0, "nothing against the largest entry")

def claim(name, check, *rests_on):
    return Claim(name, "Our own", r"$\\|B^+ - B\\| \\le 0$.", own(), "anything", Verdict.SUPPORTED, kind="inequality",
                 learners=("fo-anil",), exercises=frozenset({{"step"}}), rests_on=rests_on,
                 floats=lambda: outer_steps(floats), check=check)

CLAIMS = (claim("{REFUTED}", still, "update-fo-anil"), claim("{ABOVE}", anything, "{REFUTED}"))
'''


def _short(name: str) -> list[CurveResult]:
    """An experiment cut down to few steps."""
    experiment = get_experiment(name)
    panels = tuple(
        replace(panel, curves=tuple(replace(c, setting=replace(c.setting, steps=40)) for c in panel.curves))
        for panel in experiment.panels
    )
    return run_experiment(replace(experiment, panels=panels), 0)


def _extra() -> dict[tuple[str, ...], Any]:
    """What the chapters on samples, learners and mutants show; the floor and the matrix are made up."""
    studies = [study(example(name), Settings(steps=200, trials=1)) for name in ("reptile-1", "ridge-anil")]
    records = tuple({name: value for name, value in record(s).items() if name != "seconds"} for s in studies)
    figure = rendered(draw_examples(studies), "svg")
    floor = tuple(
        FloorPoint(s, SMALL, 1e-3 * i, 1e-3 * i, 2e-3 * i, 1.1e-3 * i, 1e-5)
        for i, s in enumerate(FLOOR_SETTINGS[:5], 1)
    )
    growth = tuple(FloorPoint(GROWTH_SETTING, x, x, 1.1 * x, 2 * x, 1.02 * x, x / 100) for x in (0.005, 0.02, 0.08))
    extra: dict[tuple[str, ...], Any] = {
        ("learners",): LearnersResults(tuple(example_rows(studies)), records, figure, examples_csv(studies)),
        ("widths",): measure_widths(0),
        ("samples", "floor"): floor,
        ("samples", "growth"): growth,
    }
    short = replace(RECOVERY[False], steps=30, trials=2)
    extra |= {("recovery", name): recovery_points(name, 0, short) for name in LEARNERS}
    used = [claim for claim in catalogue() if claim.id in used_claims(quick=True)]
    for name, run, given in trials(quick=True):
        mutant = MUTANTS[name]
        if mutant.kind != "claim":
            tried = tuple(claim.id for claim in used if tried_on(mutant, claim))
            extra["mutant", name] = Row(name, mutant.kind, mutant.cause, mutant.what, tried[::2], tried[1::2])
        elif "contraction" in name or "one-step" in name or "diversity" in name:
            extra["mutant", name] = run(*given)
    return extra


def small_results(folder: Path) -> Results:
    """Everything that the page shows; the file of the claims that are not ours goes into the folder."""
    quick = [claim.id for claim in catalogue() if claim.measure is None]
    results = gather(PROFILE, 0, claims=[*quick, "constant-c-maml", "width-limit", "width-slow-unlearning"], jobs=1)
    path = folder / "own.py"
    path.write_text(_OWN)
    own = own_records(own_claims(path), path, PROFILE.effort, 0)
    return replace(
        results,
        claims=[*results.claims, *own],
        own_claims=str(path),
        boundaries=measure_boundaries(0, BOUNDARY),
        experiments={name: _short(name) for name in CHAPTER_EXPERIMENTS},
        extra=_extra(),
    )


def write_small_report(folder: Path) -> Path:
    """Write it into the folder; returns its page."""
    write_report(small_results(folder), folder / "out")
    return folder / "out" / "report.html"
