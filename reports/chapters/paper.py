"""The paper's index: its statements in its order, how sure we are of each, and the claims that they became."""

from collections import Counter
from collections.abc import Collection, Mapping

from metarep.reports.chapters.chapter import Chapter, Results
from metarep.reports.chapters.claims.table import families
from metarep.reports.page import blocks as b
from metarep.reports.page.markup import inline_text
from metarep.theory.claims import catalogue
from metarep.theory.claims.paper import PAPER, PaperStatement, claims_of
from metarep.theory.claims.record import Claim

HEADER = "| in the paper | statement | how sure we are of its form | claims |\n| --- | --- | --- | --- |"


def _index() -> list[tuple[PaperStatement, list[Claim], list[Claim]]]:
    """(statement, the claims that it is, our own that are about it), in the paper's order."""
    found = []
    for key, statement in PAPER.items():
        claims = claims_of(key, catalogue())
        found.append((statement, [c for c in claims if not c.source.own], [c for c in claims if c.source.own]))
    return found


def paper_data() -> list[dict[str, object]]:
    """The index as plain data: what ``metarep claims --paper --json`` prints."""
    return [
        {
            "place": statement.place,
            "title": statement.title,
            "statement": statement.restatement,
            "certainty": statement.certainty,
            "experiment": statement.experiment or None,
            "claims": [{"id": c.id, "source": c.source.kind, "expected": c.expected.value} for c in (*stated, *own)],
        }
        for statement, stated, own in _index()
    ]


def paper_text() -> str:
    """The index for a terminal; ends without a newline."""
    lines = []
    for statement, stated, own in _index():
        lines += [f"{statement.place}: {statement.title}", f"  {inline_text(statement.restatement)}"]
        lines.append(f"  How sure: {inline_text(statement.certainty)}.")
        lines += [f"  {c.expected.value:<9} {c.id}" for c in stated]
        lines += [f"  {c.expected.value:<9} {c.id} (own, about it)" for c in own]
        if statement.experiment:
            lines.append(f"  Shown by: metarep experiment {statement.experiment}")
        lines.append("")
    return "\n".join(lines[:-1])


def paper_markdown() -> str:
    """The index as a Markdown table, ids that differ in the learner alone written once; ends without a newline."""
    rows = []
    for statement, stated, own in _index():
        cells = [", ".join(families(stated))] if stated else []
        cells += [f"about it: {', '.join(families(own))}"] if own else []
        cells += [f"shown by `metarep experiment {statement.experiment}`"] if statement.experiment else []
        verdicts = Counter(claim.expected.value for claim in (*stated, *own))
        expected = ", ".join(f"{count} {verdict}" for verdict, count in verdicts.items())
        known = "; ".join(cells) + (f" ({expected})" if expected else "")
        rows.append(f"| {statement.place} | {statement.title} | {statement.certainty} | {known} |")
    return "\n".join([HEADER, *rows])


def paper_section(statuses: Mapping[str, str], experiments: Collection[str] = ()) -> b.Section:
    """The index with what a report found.

    Args:
        statuses: the verdict's name by the id of each claim that was run.
        experiments: the experiments that the report shows; of the others it is said how to run them.
    """
    rows = []
    for statement, stated, own in _index():
        known = [f"[[{statuses[c.id]}]] [{c.id}](#claim-{c.id})" for c in stated if c.id in statuses]
        about = [f"[[{statuses[c.id]}]] [{c.id}](#claim-{c.id})" for c in own if c.id in statuses]
        cells = [", ".join(known)] if known else []
        cells += [f"about it: {', '.join(about)}"] if about else []
        cells += [_shown(statement.experiment, experiments)] if statement.experiment else []
        where = f"{statement.place}: {statement.title}"
        rows.append((where, statement.restatement, statement.certainty, "; ".join(cells)))
    return b.Section(
        "paper",
        "The paper, statement by statement",
        (
            b.Paragraph(
                "The paper's statements in its order, in our words. A claim is the statement itself as far as its form "
                "is known, or one of our own that is about it."
            ),
            b.Table(("in the paper", "statement", "how sure we are of its form", "what was found"), tuple(rows)),
        ),
        short="The paper",
    )


def _section(results: Results) -> b.Section:
    statuses = {claim.id: claim.status for claim in results.claims}
    shown = {key[-1] for key in results.parts if key[0] in ("experiment", "figure-1")}
    return paper_section(statuses, shown)


CHAPTER = Chapter(_section)


def _shown(experiment: str, here: Collection[str]) -> str:
    """Where an experiment is shown: in the report (Figure 1 at a place of its own), or by its command."""
    if experiment not in here:
        return f"shown by `metarep experiment {experiment}`"
    anchor = experiment if experiment == "figure-1" else f"experiment-{experiment}"
    return f"[shown by the experiment](#{anchor})"
