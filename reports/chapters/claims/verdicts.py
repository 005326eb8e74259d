"""The chapter of verdicts: how many claims have each status, and what that means."""

from collections import Counter
from collections.abc import Iterable

from metarep.reports.chapters.chapter import Chapter, Results, Size
from metarep.reports.chapters.claims.records import ClaimRecord, claim_link, unexpected
from metarep.reports.chapters.claims.sizes import sizes_chart, sizes_sentence
from metarep.reports.page import blocks as b
from metarep.theory.claims.record import Verdict


def verdict_counts(results: Results) -> dict[Verdict, Size]:
    """How many claims have each status."""
    counts = Counter(claim.status for claim in results.claims)
    return {verdict: counts[verdict] for verdict in Verdict if counts[verdict]}


def by_chapter(claims: Iterable[ClaimRecord]) -> dict[str, list[ClaimRecord]]:
    """The claims by the catalogue's chapters."""
    chapters: dict[str, list[ClaimRecord]] = {}
    for claim in claims:
        chapters.setdefault(claim.chapter, []).append(claim)
    return chapters


def slug(title: str) -> str:
    """A title as a part of an anchor."""
    return "".join(c if c.isalnum() else "-" for c in title.lower()).strip("-")


def verdicts_section(results: Results) -> b.Section:
    """Counts, what the verdicts mean, and what is news."""
    claims = results.claims
    news = (
        b.Paragraph("Every verdict is the one that the catalogue expects.")
        if not unexpected(claims)
        else b.Items(
            tuple(
                f"[[{claim.status}]] {claim_link(claim.id)}: expected {claim.expected}" for claim in unexpected(claims)
            )
        )
    )
    return b.Section(
        "verdicts",
        "Verdicts",
        (
            news,
            *_cached(results),
            b.Paragraph(
                "A status is computed from the evidence: the strongest that there is, and a counterexample beats all. "
                "The worst margin of an inequality is the least (bound − value)/|bound| over its examples: 0 where "
                "the bound is met, negative where it is exceeded by more than nothing; what rounding errors explain, "
                "a few times eps × size × condition, is allowed for. Identities have no margin; of them it is said "
                "how much of that allowance was used."
            ),
            *_sizes(claims),
        ),
    )


def _cached(results: Results) -> tuple[b.Block, ...]:
    """How many verdicts an earlier report found; nothing if none."""
    count = sum(job.startswith("claim ") for job in results.run.cached)
    if not count:
        return ()
    return (b.Paragraph(f"{count} of {len(results.claims)} verdicts are from cache: an earlier report found them."),)


def _sizes(claims: tuple[ClaimRecord, ...]) -> tuple[b.Block, ...]:
    """How large the examples are, in words and as a figure."""
    chart = sizes_chart(claims)
    if chart is None:
        return ()
    said = (
        f"What is said of any dimension and not proved was tried on examples of these sizes: {sizes_sentence(claims)}."
    )
    return b.Paragraph(said), chart.picture()


CHAPTER = Chapter(verdicts_section, record={"counts": verdict_counts})
