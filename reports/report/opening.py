"""What stands before the chapters: the first screen, then the answer in a few lines, each from the results."""

import re
import shlex

from metarep.reports.chapters.boundaries.chapter import boundaries_of
from metarep.reports.chapters.chapter import Results
from metarep.reports.chapters.claims.counts import blind_sentence
from metarep.reports.chapters.claims.records import claim_link, unexpected
from metarep.reports.chapters.claims.seals import sealed_sentence
from metarep.reports.chapters.claims.verdicts import verdict_counts
from metarep.reports.chapters.experiments.figure_1 import KEY
from metarep.reports.chapters.experiments.figures import by_panel, summary
from metarep.reports.chapters.outcomes import headline_table, outcomes_of
from metarep.reports.chapters.rates.section import rates_of
from metarep.reports.chapters.theorem.chapter import in_one_line, theorems_of, verdict
from metarep.reports.page import blocks as b
from metarep.reports.page.markup import at_least, at_most
from metarep.reports.report.figure_files import TOP_PREFIX, pictures
from metarep.sim.learners import META_LEARNERS
from metarep.sim.outcomes import CONVERGED_BELOW, Outcome
from metarep.theory.claims import catalogue

FAR_STARTS = ("fo-maml", "fresh", "balanced")
"""The cell of the outcomes' table in which Figure 1's FO-MAML diverges."""
INSTALL = "pip install -e . && metarep report --out out"
"""README's first command, which a test holds it to be."""


def opening(results: Results, sections: tuple[b.Section, ...]) -> tuple[b.Block, ...]:
    """The first screen: the theorem with its verdict, who learns under which start and tasks, the headline figure, how
    to get it again. Then the answer in a few lines, and how many claims have each status.
    """
    theorems, records = theorems_of(results), outcomes_of(results)
    first: list[b.Block] = (
        [b.Paragraph(f"{in_one_line(theorems)}: every step checked by a small core ([the theorem](#theorem)).")]
        if theorems
        else []
    )
    if records:
        first.append(headline_table(records))
    first.append(b.Code(INSTALL))
    pictures = _headline(sections)
    counts = verdict_counts(results)
    tally = b.Table(
        ("verdict", "claims", "meaning"),
        tuple((f"[[{verdict}]]", str(count), verdict.meaning) for verdict, count in counts.items()),
        frozenset({1}),
    )
    answer: tuple[b.Block, ...] = (_answer(results), tally)
    beside = [b.Beside(part, picture) for part, picture in zip((tuple(first), answer), pictures, strict=False)]
    return (*_partial(results), *beside, *(block for part in (tuple(first), answer)[len(beside) :] for block in part))


HEADLINE = {
    "figure-1-random": (
        "Tasks drawn afresh, from a random orthonormal start: the meta-learners find the representation, average loss "
        "does not ([Figure 1](#figure-1)).",
        "Distance to the truth against outer steps: the four meta-learners fall, average loss stays near 1.",
    ),
    "fo-maml-near-gaussian": (
        "FO-MAML near the truth, with fixed tasks and heads of these means: where it comes to the truth and where it "
        "leaves it, inside and outside of the predicted ellipse ([boundaries](#boundaries-fo-maml)).",
        "FO-MAML's two outcomes near the truth, parted by the predicted boundary.",
    ),
}
"""Panels that stand at the top as well, with what is said of each there and to those who do not see it."""


def _headline(sections: tuple[b.Section, ...]) -> tuple[b.Picture, ...]:
    """Panels of the chapters' figures once more, without the letters that they have among their like."""
    panels = {name: svg for section in sections for picture in pictures(section) for name, svg in picture.panels}
    return tuple(
        b.Picture(((f"{TOP_PREFIX}{name}", re.sub(rb">\([a-z]\) ", b">", panels[name], count=1)),), alt, caption)
        for name, (caption, alt) in HEADLINE.items()
        if name in panels
    )


def _partial(results: Results) -> tuple[b.Block, ...]:
    """That a report is not whole, where it is not."""
    if not results.only:
        return ()
    asked = " ".join(f"--only {shlex.quote(each)}" for each in results.only)
    claims = f"{len(results.claims)} of {len(catalogue())} claims"
    return (b.Paragraph(f"**A partial report:** {claims} (`{asked}`), and no other chapter that runs anything."),)


def _who_learns(results: Results) -> list[str]:
    """How Figure 1 ended, in two lines."""
    rows = summary(by_panel(results.parts[KEY], "random"))
    meta = [r for r in rows if r.learner in META_LEARNERS]
    falls = [r.median_dist for r in meta if r.median_dist is not None]
    baseline = min(r.smallest_dist or 0.0 for r in rows if r.learner == "average-loss")
    learned = bool(falls) and max(falls) <= CONVERGED_BELOW
    return [
        f"**{'They do, here.' if learned else 'Not in this run.'}** In the paper's linear setting, with tasks drawn "
        "afresh at every step, the four meta-learners' median distance to the true representation falls to "
        f"{at_most(max(falls, default=1.0))} or below in the run of [Figure 1](#figure-1).",
        f"**{'The baseline does not.' if baseline > 0.5 else 'So does the baseline.'}** Minimising "
        f"the average loss leaves the distance at {at_least(baseline, 3)} or above.",
    ]


def _answer(results: Results) -> b.Items:
    """The answer in a few lines."""
    rates, boundaries = rates_of(results), boundaries_of(results)
    settled = [
        r.relative_error
        for _, r in rates.pairs
        if r.relative_error is not None and r.outcome == "converged" and r.learner in META_LEARNERS
    ]
    news = unexpected(results.claims)
    total = len(results.claims)
    lines = _who_learns(results) if KEY in results.parts else []
    if settled:
        lines.append(
            r"**The rate is known.** Near the truth, with fixed tasks, the distance shrinks by $1 - "
            r"\alpha\beta\mu_*^2$ a step; "
            f"runs that settled agree to {at_most(max(settled) or 1e-16)} of $\\alpha\\beta\\mu_*^2$ or better "
            f"([rates](#rates))."
        )
    if theorems := theorems_of(results):
        lines.append(
            f"**The theorem holds, with explicit constants.** {verdict(theorems, ' ([the theorem](#theorem))')}"
        )
    far = next((r for r in outcomes_of(results) if (r.learner, r.tasks, r.start) == FAR_STARTS), None)
    if far or boundaries:
        lines.append(
            "**FO-MAML is the exception.** "
            + (
                f"From random balanced starts it diverges in {far.share(Outcome.DIVERGED)} of Figure 1's runs "
                f"({claim_link(far.claim)}). "
                if far
                else ""
            )
            + "With few fixed tasks, or heads with a large mean, its fixed point at the truth is unstable, which the "
            "paper does not say"
            + (
                f"; runs agree with the predicted boundary at {boundaries.near_agreement} "
                "([boundaries](#boundaries-fo-maml))."
                if boundaries
                else "."
            )
        )
    if blind := blind_sentence(results.claims):
        lines.append(
            "**Exact MAML can solve every task without learning the representation**, by adapting it: "
            f"{blind} ([why](#figure-1-blind))."
        )
    lines.append(
        "**How it is known** is said claim by claim ([verdicts](#verdicts)): "
        + (
            f"all verdicts are the expected ones{_guesses(results)}."
            if not news
            else f"{len(news)} of {total} {'is' if len(news) == 1 else 'are'} not as expected."
        )
        + (f" {sealed} ([seals](#seals))." if (sealed := sealed_sentence(results)) else "")
    )
    return b.Items(tuple(lines))


def _guesses(results: Results) -> str:
    """What is to be said of claims that are refuted as expected; nothing if there are none."""
    refuted = [claim for claim in results.claims if claim.status == claim.expected == "REFUTED"]
    if not refuted:
        return ""
    guesses = f"; the {len(refuted)} refuted {'one is a guess' if len(refuted) == 1 else 'ones are guesses'}"
    only = sum(any(item.in_floats_only for item in claim.evidence) for claim in refuted)
    confirmed = f"{len(refuted) - only} of them confirmed without floats" if only else "confirmed without floats"
    return f"{guesses} kept with what refutes them, {confirmed}"
