"""The report: results made into one document, and that into a page, Markdown, JSON and figure files."""

import re
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from metarep.reports.chapters import mutants
from metarep.reports.chapters.boundaries.section import (
    blind_sentence,
    boundaries_record,
    near_agreement,
)
from metarep.reports.chapters.claims.dependencies import refuted_bases
from metarep.reports.chapters.experiments.figures import by_panel, summary
from metarep.reports.chapters.experiments.section import replication_records
from metarep.reports.chapters.overview import CHAPTERS, verdict_counts
from metarep.reports.chapters.samples import samples_record
from metarep.reports.chapters.update_maps import derived_lines
from metarep.reports.page import blocks as b
from metarep.reports.page.markup import LEARNER_TITLES, at_least, at_most, inline_markdown
from metarep.reports.page.output import as_json, make_folder, write_file
from metarep.reports.page.rendering import html_page, markdown_page
from metarep.reports.report.figure_files import (
    FOLDER,
    TOP_PREFIX,
    FigureFiles,
    blocks_of,
    figure_files,
)
from metarep.reports.report.gather import Results, samples_of
from metarep.reports.report.schema import SCHEMA_FILE, SCHEMA_LINE, report_schema
from metarep.reports.report.stored import FORMAT
from metarep.sim.learners import LEARNERS, META_LEARNERS
from metarep.sim.trajectories import CONVERGED_BELOW

TITLE = "Do MAML and ANIL learn the representation?"


def document(results: Results) -> b.Document:
    """The whole report."""
    total = len(results.claims)
    subtitle = (
        f"{total} claims about representation learning by gradient-based meta-learning, checked"
        f". After Collins, Mokhtari, Oh and Shakkottai, ICML 2022. Profile {results.profile}, seed {results.seed}."
    )
    sections = tuple(section for chapter in CHAPTERS if (section := chapter(results)) is not None)
    counts = verdict_counts(results.claims)
    tally = b.Table(tuple(f"[[{verdict.value}]]" for verdict, _ in counts), (tuple(str(n) for _, n in counts),))
    return b.Document(TITLE, subtitle, (*_opening(results), tally, *_headline(sections)), sections)


HEADLINE = {
    "figure-1-random": "Tasks drawn afresh, from a random start: the meta-learners find the representation, "
    "average loss does not ([Figure 1](#figure-1))",
    "fo-maml-near-gaussian": "FO-MAML near the truth, with fixed tasks and heads of these means: where it comes to "
    "the truth and where it leaves it, inside and outside of the predicted ellipse ([boundaries](#boundaries-fo-maml))",
}
"""Panels that stand at the top as well, and what is said of each there."""


def _headline(sections: tuple[b.Section, ...]) -> tuple[b.Block, ...]:
    """The headline figure: panels of the chapters' figures once more."""
    panels = {
        name: svg
        for section in sections
        for block in blocks_of(section)
        if isinstance(block, b.Picture)
        for name, svg in block.panels
    }
    found = {name: text for name, text in HEADLINE.items() if name in panels}
    if not found:
        return ()
    alt = "Distance to the truth against outer steps: the four meta-learners fall, average loss stays near 1."
    if len(found) > 1:
        alt += " Beside it FO-MAML's two outcomes near the truth, parted by the predicted boundary."
    # Without the letters that they have among their like.
    shown = tuple((f"{TOP_PREFIX}{name}", re.sub(rb">\([a-z]\) ", b">", panels[name], count=1)) for name in found)
    return (b.Picture(shown, alt, ". ".join(found.values()) + "."),)


def _opening(results: Results) -> tuple[b.Block, ...]:
    """The answer in a few lines, each from the results."""
    rows = summary(by_panel(results.curves, "random"))
    meta = [r for r in rows if r["learner"] in META_LEARNERS]
    falls = [r["median_dist"] for r in meta if r["median_dist"] is not None]
    missed = [r for r in meta if r["outcomes"].get("converged", 0) < r["trials"]]
    baseline = next(r for r in rows if r["learner"] == "average-loss")
    rates = [*results.rates, *(record.as_dict() for _, records in results.rate_grid for record in records)]
    settled = [
        r["relative_error"]
        for r in rates
        if r["relative_error"] is not None and r["outcome"] == "converged" and r["learner"] in META_LEARNERS
    ]
    unstable = sum(r["outcome"] == "unstable" for r in results.rates)
    unexpected = [claim["id"] for claim in results.claims if not claim["as_expected"]]
    total = len(results.claims)
    learned = bool(falls) and max(falls) <= CONVERGED_BELOW
    lines = [
        f"**{'They do, here.' if learned else 'Not in this run.'}** In the paper's linear setting, with tasks drawn "
        f"afresh at every "
        f"step, the four meta-learners' median distance to the true representation falls to "
        f"{at_most(max(falls, default=1.0))} or "
        "below in the run of [Figure 1](#figure-1)."
        + (f" Not in every trial, though: {_misses(missed)}." if missed else ""),
        f"**{'The baseline does not.' if baseline['smallest_dist'] > 0.5 else 'So does the baseline.'}** Minimising "
        f"the average "
        f"loss leaves the distance at {at_least(baseline['smallest_dist'], 3)} or above.",
    ]
    if settled:
        lines.append(
            r"**The rate is known.** Near the truth, with fixed tasks, the distance shrinks by $1 - "
            r"\alpha\beta\mu_*^2$ a step; "
            f"runs that settled agree to {at_most(max(settled) or 1e-16)} of $\\alpha\\beta\\mu_*^2$ or better "
            f"([rates](#rates))."
        )
    if unstable or results.boundaries:
        rows_of = f"in {unstable} {'row' if unstable == 1 else 'rows'} of the [rates table](#rates)"
        lines.append(
            "**FO-MAML is the exception.** With few fixed tasks, or heads with a large mean, its fixed point at the "
            "truth "
            "is unstable, which the paper does not say"
            + (f": so {rows_of}" if unstable else "")
            + (
                f"; runs agree with the predicted boundary at "
                f"{near_agreement(results.boundaries)} "
                f"([boundaries](#boundaries-fo-maml)). {blind_sentence(results.boundaries)}"
                if results.boundaries
                else "."
            )
        )
    lines.append(
        "**How it is known** is said claim by claim ([verdicts](#verdicts)): "
        + (
            f"all verdicts are the expected ones{_guesses(results)}."
            if not unexpected
            else f"{len(unexpected)} of {total} {'is' if len(unexpected) == 1 else 'are'} not as expected."
        )
    )
    return (b.Items(tuple(lines)),)


def _guesses(results: Results) -> str:
    """What is to be said of claims that are refuted as expected; nothing if there are none."""
    count = sum(claim["status"] == claim["expected"] == "REFUTED" for claim in results.claims)
    if not count:
        return ""
    return f"; the {count} refuted {'one is a guess' if count == 1 else 'ones are guesses'} kept with what refutes them"


def _misses(rows: list[dict[str, Any]]) -> str:
    return ", ".join(
        f"{r['trials'] - r['outcomes'].get('converged', 0)} of {r['trials']} of {LEARNER_TITLES[r['learner']]} did "
        f"not get there"
        for r in rows
    )


def report_data(results: Results) -> dict[str, Any]:
    """The report's numbers; what differs between equal runs is under ``VARYING`` alone."""
    runs = {"figure-1": results.curves, **results.experiments}
    carried = refuted_bases(results.claims)
    return {
        "format": FORMAT,
        "profile": results.profile,
        "effort": results.effort,
        "seed": results.seed,
        "versions": results.versions,
        "counts": {verdict.value: count for verdict, count in verdict_counts(results.claims)},
        "claims": [{**claim, "rests_on_refuted": list(carried[claim["id"]])} for claim in results.claims],
        "rates": results.rates,
        "rate_grid": [record.as_dict() for _, records in results.rate_grid for record in records],
        "derived": {
            name: [asdict(part) for part in derived_lines(learner, "latex")] for name, learner in LEARNERS.items()
        },
        "boundaries": boundaries_record(results.boundaries) if results.boundaries else None,
        "experiments": {name: summary(curves) for name, curves in runs.items()},
        "replications": replication_records(runs) if results.experiments else [],
        "samples": None if (found := samples_of(results)) is None else samples_record(found),
        "learners": list(results.extra["learners",].records) if ("learners",) in results.extra else [],
        "selftest": None if (matrix := mutants.matrix_of(results.extra)) is None else asdict(mutants.record(matrix)),
        "against": results.against,
        "run": results.run,
    }


def page_data(page: b.Document, figures: list[FigureFiles]) -> dict[str, Any]:
    """What the page says besides the numbers: its answer in lines of Markdown, its chapters, its figures."""
    return {
        "title": page.title,
        "answer": [
            inline_markdown(line) for block in page.opening if isinstance(block, b.Items) for line in block.items
        ],
        "chapters": [{"anchor": section.anchor, "title": section.title} for section in page.sections],
        "figures": [figure.as_dict() for figure in figures],
    }


def write_report(results: Results, out: Path) -> list[Path]:
    """Write report.html, report.md, report.json with its schema, and figures/ into the folder; returns the paths of
    all but the figures."""
    page = document(results)
    figures, files = figure_files(page, results)
    make_folder(out / FOLDER)
    for name, content in files.items():
        write_file(out / FOLDER / name, content)
    numbers = report_data(results)
    written = {
        "report.html": html_page(page),
        "report.md": markdown_page(page),
        "report.json": as_json({**SCHEMA_LINE, **page_data(page, figures), **numbers}) + "\n",
        SCHEMA_FILE: as_json(report_schema()) + "\n",
    }
    for name, content in written.items():
        write_file(out / name, content)
    return [out / name for name in written]


def unexpected(results: Results) -> Iterable[dict[str, Any]]:
    """The claims whose status is not the expected one."""
    return (claim for claim in results.claims if not claim["as_expected"])
