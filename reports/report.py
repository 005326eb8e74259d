"""The report: results made into one document, and that into a page, Markdown, JSON and figure files."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from reports import blocks as b
from reports.chapters import CHAPTERS, figure_1_files, verdict_counts
from reports.experiment_figures import by_panel, summary
from reports.gather import Results
from reports.output import as_json, make_folder, write_file
from reports.pages import html_page, markdown_page
from sim.learners import META_LEARNERS

TITLE = "Do MAML and ANIL learn the representation?"


def document(results: Results) -> b.Document:
    """The whole report."""
    counts = verdict_counts(results.claims)
    total = len(results.claims)
    subtitle = (
        f"{total} claims about representation learning by gradient-based meta-learning, checked: "
        + ", ".join(f"{count} [[{verdict.value}]]" for verdict, count in counts)
        + f". After Collins, Mokhtari, Oh and Shakkottai, ICML 2022. Profile {results.profile}, seed {results.seed}."
    )
    return b.Document(TITLE, subtitle, _opening(results), tuple(chapter(results) for chapter in CHAPTERS))


def _opening(results: Results) -> tuple[b.Block, ...]:
    """The answer in a few lines, each from the results."""
    rows = summary(by_panel(results.curves, "random"))
    falls = [r["median_dist"] for r in rows if r["learner"] in META_LEARNERS and r["median_dist"] is not None]
    baseline = next(r for r in rows if r["learner"] == "average-loss")
    settled = [
        r["relative_error"] for r in results.rates if r["relative_error"] is not None and r["outcome"] == "converged"
    ]
    unstable = sum(r["outcome"] == "unstable" for r in results.rates)
    unexpected = [claim["id"] for claim in results.claims if not claim["as_expected"]]
    lines = [
        "**They do, here.** In the paper's linear setting, with tasks drawn afresh at every step, the four meta-learners' median "
        f"distance to the true representation falls to {max(falls):.0e} or below in the run of [Figure 1](#figure-1).",
        f"**The baseline does not.** Minimising the average loss leaves the distance at {baseline['smallest_dist']:.2f} or above.",
    ]
    if settled:
        lines.append(
            r"**The rate is known.** Near the truth, with fixed tasks, the distance shrinks by $1 - \alpha\beta\mu_*^2$ a step; "
            f"runs that settled agree to {max(settled):.0e} of $\\alpha\\beta\\mu_*^2$ or better ([rates](#rates))."
        )
    if unstable:
        lines.append(
            "**FO-MAML is the exception.** With few fixed tasks its fixed point at the truth can be unstable, which the paper does "
            f"not say: so in {unstable} of the rows of the [rates table](#rates)."
        )
    lines.append(
        f"**How it is known** is said claim by claim ([verdicts](#verdicts)): "
        + (
            "all verdicts are the expected ones."
            if not unexpected
            else f"{len(unexpected)} verdicts are not the expected ones."
        )
    )
    return (b.Items(tuple(lines)),)


def report_data(results: Results) -> dict[str, Any]:
    """The report as data; what differs between equal runs is under ``run`` alone."""
    return {
        "format": 1,
        "profile": results.profile,
        "effort": results.effort,
        "seed": results.seed,
        "versions": results.versions,
        "counts": {verdict.value: count for verdict, count in verdict_counts(results.claims)},
        "claims": results.claims,
        "rates": results.rates,
        "experiments": {"figure-1": summary(results.curves)},
        "run": results.run,
    }


def write_report(results: Results, out: Path) -> list[Path]:
    """Write report.html, report.md, report.json and figures/ into the folder; returns the three reports' paths."""
    page = document(results)
    make_folder(out / "figures")
    for name, content in figure_1_files(results).items():
        write_file(out / "figures" / name, content)
    written = {
        "report.html": html_page(page),
        "report.md": markdown_page(page),
        "report.json": as_json(report_data(results)) + "\n",
    }
    for name, content in written.items():
        write_file(out / name, content)
    return [out / name for name in written]


def unexpected(results: Results) -> Iterable[dict[str, Any]]:
    """The claims whose status is not the expected one."""
    return (claim for claim in results.claims if not claim["as_expected"])
