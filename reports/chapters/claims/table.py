"""The catalogue as one Markdown table, a row a chapter: what README shows."""

from collections import Counter
from collections.abc import Iterable

from metarep.theory.claims import catalogue
from metarep.theory.claims.record import Claim

HEADER = "| chapter | claims | expected |\n| --- | --- | --- |"


def stem_and_learner(claim_id: str) -> tuple[str, str]:
    """An id in two: ("update-", "fo-anil"); the second part is empty where the id does not end in a learner."""
    learners = ("fo-anil", "fo-maml", "average-loss", "anil", "maml")
    ending = next((name for name in learners if claim_id.endswith(f"-{name}")), "")
    return claim_id.removesuffix(ending), ending


def families(claims: Iterable[Claim]) -> list[str]:
    """Ids, those that differ in the learner alone written once: ``update-{anil,fo-anil,...}``."""
    found: dict[str, list[str]] = {}
    for claim in claims:
        stem, ending = stem_and_learner(claim.id)
        found.setdefault(stem, []).append(ending)
    return [
        f"`{stem}{endings[0]}`" if len(endings) == 1 else f"`{stem}{{{','.join(endings)}}}`"
        for stem, endings in found.items()
    ]


def markdown_table() -> str:
    """The table, chapters in reading order; ends without a newline."""
    chapters: dict[str, list[Claim]] = {}
    for claim in catalogue():
        chapters.setdefault(claim.chapter, []).append(claim)
    rows = []
    for chapter, claims in chapters.items():
        verdicts = Counter(claim.expected.value for claim in claims)
        expected = ", ".join(f"{count} {verdict}" for verdict, count in verdicts.items())
        rows.append(f"| {chapter} | {', '.join(families(claims))} | {expected} |")
    return "\n".join([HEADER, *rows])
