"""Small reports: one with every chapter, made in half a minute (short runs, few examples, a refuted claim with another
that rests on it), and one of three claims.
"""

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

from metarep.reports.chapters.boundaries.common import BoundarySize
from metarep.reports.chapters.chapter import Key, ReportProfile, Results
from metarep.reports.chapters.learners.examples import studied
from metarep.reports.chapters.learners.widths import width_curves
from metarep.reports.chapters.outcomes import OutcomesSize
from metarep.reports.chapters.rates.section import RatesSize
from metarep.reports.chapters.rates.table import RateSetting
from metarep.reports.chapters.samples.runs import FloorPoint, FloorSizes, RecoverySetting, SamplesSize, recovery_points
from metarep.reports.chapters.theorem.regions import RegionSize
from metarep.reports.cli.own_claims import own_claims, own_records
from metarep.reports.page.output import Progress
from metarep.reports.report.document import write_report
from metarep.reports.report.gather import gather
from metarep.reports.report.kept import Kept
from metarep.reports.study.study import Settings, example, study
from metarep.sim.learners import LEARNERS
from metarep.theory.claims import catalogue, get_claim
from metarep.theory.claims.samples.floor import FLOOR_SETTINGS, GROWTH_SETTING, SMALL
from metarep.theory.engine.mutants.selftest import MUTANTS, Column, Row, trial, trials, tried_on

QUICK = tuple(claim.id for claim in catalogue() if claim.measure is None)
RATES = RatesSize(
    (RateSetting(20, 2, 10, 0.4, 0.4), RateSetting(20, 2, 2, 0.4, 0.4)),
    2000,
    (RateSetting(20, 1, 10, 0.4, 0.4, 0.3), RateSetting(20, 2, 20, 0.4, 0.4, 0.8)),
    400,
)
PROFILE = ReportProfile(
    "small",
    0.1,
    {
        "figure-1": 60,
        "rates": RATES,
        "boundaries": BoundarySize(5, 2, 60, 5, 200, 2, 60, 3, 700),
        "theorem": RegionSize(9, 2, 800, 2.0, 5),
        "experiments": 40,
        "seals": True,
        "outcomes": OutcomesSize(3, 60),
        "claims": (*QUICK, "constant-c-maml", "width-limit", "width-slow-unlearning"),
    },
)
RECOVERY = RecoverySetting(steps=30, trials=2)
MADE_UP = {"samples": SamplesSize(recovery=RECOVERY), "mutants": True, "learners": None}
"""Sizes of chapters whose results are made up here, at least in part."""

TINY_CLAIMS = ("update-fo-anil", "right-factor-fo-anil", "head-diversity-lower")


def tiny_results(told: Progress = lambda done, total: None, kept: Kept | None = None) -> Results:
    """A report of three claims, a few rates and a short Figure 1, made in seconds."""
    rates = RatesSize((RateSetting(10, 2, 10, 0.4, 0.4),), 500, ())
    profile = ReportProfile("tiny", 0.02, {"figure-1": 40, "rates": rates, "claims": TINY_CLAIMS})
    return gather(profile, 1, told, jobs=1, kept=kept)


def write_tiny_report(folder: Path) -> Results:
    """Write it into the folder; returns what it was written from."""
    results = tiny_results()
    write_report(results, folder)
    return results


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


def _made_up() -> dict[Key, Any]:
    """What the chapters on samples, learners and mutants show; the floor and the matrix are made up."""
    floor = tuple(
        FloorPoint(FloorSizes(**s._asdict(), beta=0.1), SMALL, 1e-3 * i, 1e-3 * i, 2e-3 * i, 1.1e-3 * i, 1e-5)
        for i, s in enumerate(FLOOR_SETTINGS[:5], 1)
    )
    sizes = FloorSizes(**GROWTH_SETTING._asdict(), beta=0.1)
    growth = tuple(FloorPoint(sizes, x, x, 1.1 * x, 2 * x, 1.02 * x, x / 100) for x in (0.005, 0.02, 0.08))
    extra: dict[tuple[str, ...], Any] = {
        **{
            ("learners", name): studied(study(example(name), Settings(steps=200, trials=1)))
            for name in ("reptile-1", "ridge-anil")
        },
        ("widths",): width_curves(),
        ("samples", "floor"): floor,
        ("samples", "growth"): growth,
    }
    extra |= {("recovery", name): recovery_points(name, 0, RECOVERY) for name in LEARNERS}
    met = Counter[str]()
    for name, run, given in trials(quick=True):
        if run is trial:  # a mutant is said to be refuted by the first claim that meets it, and by every other one
            tried = [mutant.name for mutant in MUTANTS.values() if tried_on(mutant, get_claim(name))]
            met.update(tried)
            parts = (tuple(mutant for mutant in tried if met[mutant] % 2 == place) for place in (1, 0))
            extra["mutants", name] = Column(name, *parts)
        elif MUTANTS[name].kind == "proof":
            mutant = MUTANTS[name]
            extra["mutants", name] = Row(name, mutant.kind, mutant.cause, mutant.what)
        elif "contraction" in name or "one-step" in name or "diversity" in name:
            extra["mutants", name] = run(*given)
    return extra


def small_results(folder: Path) -> Results:
    """Everything that the page shows; the file of the claims that are not ours goes into the folder."""
    results = gather(PROFILE, 0, jobs=1)
    path = folder / "own.py"
    path.write_text(_OWN)
    own = own_records(own_claims(path), path, PROFILE.effort, 0)
    return results.having(
        {**_made_up(), **{("claim", claim.id): claim for claim in own}},
        own_claims=str(path),
        profile=replace(PROFILE, sizes={**PROFILE.sizes, **MADE_UP}),
    )


def write_small_report(folder: Path) -> Path:
    """Write it into the folder; returns its page."""
    write_report(small_results(folder), folder / "out")
    return folder / "out" / "report.html"
