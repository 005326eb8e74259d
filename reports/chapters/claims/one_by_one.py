"""The chapter of the claims: each is verified, and has a section with all that is known of it."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from metarep.reports.chapters.changes import changes_of, previous
from metarep.reports.chapters.chapter import Chapter, Job, ReportProfile, Results
from metarep.reports.chapters.claims.dependencies import ancestors, refuted_bases, used_by
from metarep.reports.chapters.claims.records import ClaimRecord, EvidenceRecord, claim_links, claim_record, mention
from metarep.reports.chapters.claims.seals import claim_of, seal_line
from metarep.reports.chapters.claims.table import stem_and_learner
from metarep.reports.chapters.claims.verdicts import by_chapter, slug, verdict_counts
from metarep.reports.chapters.claims.worked import counterexample, worked_example
from metarep.reports.chapters.mutants import matrix_of
from metarep.reports.chapters.power import power_line
from metarep.reports.chapters.update_maps import words_of
from metarep.reports.page import blocks as b
from metarep.reports.page.markup import LEARNER_TITLES, inline_text, plain_line
from metarep.sim.learners import LEARNERS
from metarep.theory.claims import catalogue
from metarep.theory.claims.record import Verdict
from metarep.theory.engine import Profile, counted, verify

NAME = "claims"
"""A profile's size of this chapter: the ids of the claims to verify, None for the whole catalogue."""

LONG_PROOF = 32
"""Derivations of more lines are the theorems', which have a chapter; report.json has their lines here too."""


def claim_jobs(profile: ReportProfile, seed: int) -> Iterable[Job]:
    """A job a claim."""
    ids = tuple(claim.id for claim in catalogue()) if profile.sizes[NAME] is None else profile.sizes[NAME]
    return [(("claim", claim), checked, (claim, profile.effort, seed)) for claim in ids]


def checked(claim_id: str, effort: float, seed: int) -> ClaimRecord:
    """A claim of the catalogue, verified."""
    claim = claim_of(claim_id)
    examples = max(1, round(claim.examples * effort))
    command = f"metarep verify {claim_id} --examples {examples} --seed {seed}"
    return claim_record(verify(claim, profile=Profile("report", effort, seed)), command)


def listed(results: Results) -> tuple[ClaimRecord, ...]:
    """The claims, in the catalogue's order, then one's own."""
    carried = refuted_bases(results.claims)
    return tuple(replace(claim, rests_on_refuted=carried[claim.id]) for claim in results.claims)


def claims_section(results: Results) -> b.Section:
    """Every claim, by chapter: an entry that opens; those that differ in the learner alone are in one."""
    known = _Known(results)
    learners = tuple((name, LEARNER_TITLES[name]) for name in LEARNERS)
    verdicts = tuple((verdict.value, verdict.value.replace("_", " ").lower()) for verdict in verdict_counts(results))
    finder = b.Finder(
        (
            ("status", "Verdict", verdicts),
            ("learner", "Learner", learners),
            ("source", "Source", (("paper", "the paper"), ("own", "our own"))),
        )
    )
    chapters = by_chapter(results.claims).items()
    return b.Section(
        "claims",
        "The claims one by one",
        (
            b.Paragraph(
                "Each opens into its statement, how it is known, an example worked out, what it rests on, what rests "
                "on it, and the command that checks it again. Identities are proved in words: a **word** is a product "
                r"of matrix symbols, such as $B w w^\top$. Both sides are expanded into sums of words, for all $d$, "
                "$k$ and $n$; equal sums are equal matrices."
            ),
            finder,
        ),
        tuple(
            b.Section(f"chapter-{slug(chapter)}", chapter, tuple(_entries(members, known)))
            for chapter, members in chapters
        ),
        short="The claims",
        apart=True,
    )


class _Known:
    """What is known of all claims, asked for once."""

    def __init__(self, results: Results) -> None:
        matrix = matrix_of(results)
        self.results = results
        self.carried = refuted_bases(results.claims)
        self.users = used_by(results.claims)
        self.columns = {column.claim.id: column for column in matrix.columns} if matrix else {}


def _entries(members: Sequence[ClaimRecord], known: _Known) -> Iterator[b.Details]:
    """An entry for each family of a chapter's claims."""
    groups: dict[str, list[ClaimRecord]] = {}
    for claim in members:
        groups.setdefault(stem_and_learner(claim.id)[0], []).append(claim)
    for stem, group in groups.items():
        if len(group) == 1:
            yield _entry(group[0], known, group[0].id)
            continue
        entries = tuple(_entry(claim, known, LEARNER_TITLES[stem_and_learner(claim.id)[1]]) for claim in group)
        yield b.Details(_summary(stem.strip("-"), group, known), entries, f"claims-{stem.strip('-')}")


def _entry(claim: ClaimRecord, known: _Known, name: str) -> b.Details:
    words = (
        ("status", claim.status.value),
        ("learner", " ".join(claim.learners)),
        ("source", "paper" if claim.from_paper else "own"),
    )
    return b.Details(_summary(name, [claim], known), _claim_blocks(claim, known), f"claim-{claim.id}", words)


def _summary(name: str, claims: Sequence[ClaimRecord], known: _Known) -> str:
    """Name, verdicts, and what is news."""
    verdicts = " ".join(f"[[{status}]]" for status in dict.fromkeys(claim.status for claim in claims))
    counted = f"**{name}** {verdicts}" + (f" {len(claims)} learners" if len(claims) > 1 else "")
    news = [claim for claim in claims if not claim.as_expected]
    cached = sum(f"claim {claim.id}" in known.results.run.cached for claim in claims)
    if cached:
        counted += ", from cache" + (f" ({cached})" if cached < len(claims) else "")
    changed = changes_of(known.results)
    was = [item for item in changed.verdicts for claim in claims if item.claim == claim.id] if changed else []
    return (
        counted
        + "".join(f", expected [[{claim.expected}]]" for claim in news)
        + "".join(", new" if item.before is None else f", was [[{item.before}]]" for item in was)
    )


def _claim_blocks(claim: ClaimRecord, known: _Known) -> tuple[b.Block, ...]:
    results = known.results
    facts = [("Source", claim.source), ("For", claim.hypotheses)]
    if claim.rests_on:
        facts.append(("Rests on", ", ".join(mention(results.claims, base) for base in claim.rests_on)))
    if users := known.users[claim.id]:
        facts.append(("Used by", claim_links(users)))
    if carried := known.carried[claim.id]:
        facts.append(("Carried along", f"[[REFUTED]] It rests on {claim_links(carried)}, which is refuted."))
    if (before := previous(changes_of(results), claim.id)) is not None:
        facts.append(("Changed", before))
    for item in claim.evidence:
        facts.append((_HOW[item.kind], _evidence_line(item)))
        if item.confirmation:
            says = plain_line(item.confirmation.says)
            facts.append(("Certificate", f"Without floats, in {says}{_seconds(claim, results)}"))
        elif item.in_floats_only:
            facts.append(("Certificate", "None: it is refuted in floats only."))
    if seal := seal_line(results, claim.id):
        facts.append(("Seal", plain_line(seal)))
    if power := power_line(claim, known.columns.get(claim.id)):
        facts.append(("Power", power))
    if f"claim {claim.id}" in results.run.cached:
        facts.append(("From cache", "Found by an earlier report, by the same source, versions, seed and profile."))
    if not claim.as_expected:
        facts.append(("Expected", f"[[{claim.expected}]]"))
    if claim.remark:
        facts.append(("Remark", claim.remark))
    facts.append(("Again", f"`{claim.command}`"))
    blocks: list[b.Block] = [b.Paragraph(claim.statement), b.Facts(tuple(facts))]
    for item in claim.evidence:
        if item.counterexample:
            blocks += counterexample(claim, item.counterexample)
        derivation = len(item.steps) > LONG_PROOF and item.steps[0][:1].isdigit()
        if derivation and any(key[0] == "theorem" for key in results.parts):
            blocks.append(b.Paragraph("The proof, line by line: [The theorem, proved](#theorem)."))
        elif item.steps:
            steps: list[b.Block] = [b.Items(tuple(map(_step, item.steps)))]
            steps += [b.Paragraph(words)] if (words := words_of(claim.id)) else []
            blocks.append(b.Details("Steps of the proof", tuple(steps)))
    blocks += worked_example(claim)
    if len(above := ancestors(results.claims)[claim.id]) > len(claim.rests_on):
        blocks.append(b.Details(f"All that it rests on ({len(above)})", (b.Paragraph(claim_links(above)),)))
    return tuple(blocks)


def _seconds(claim: ClaimRecord, results: Results) -> str:
    """How long the claim took as a whole, where that is known."""
    took = results.run.jobs.get(f"claim {claim.id}")
    return "" if took is None else f" ({took:.1f} s with the search)"


def _step(line: str) -> str:
    """A proof's step, its formulas between dollar signs; a derivation's lines, which begin with their numbers and are
    too many to be set, as text.
    """
    if line[:1].isdigit():
        return plain_line(inline_text(line))
    parts = line.split("$")
    return "".join(f"${part}$" if place % 2 else plain_line(part) for place, part in enumerate(parts))


_HOW = {"proof": "Proof", "exact": "Fractions", "floats": "Floats", "measurement": "Measured"}


def _evidence_line(item: EvidenceRecord) -> str:
    parts = [f"[[{item.verdict}]]"]
    if item.examples:
        parts.append(counted(item))
    if item.worst_margin is not None and item.verdict != Verdict.REFUTED:  # which says by how much
        parts.append(f"worst margin {item.worst_margin:.3g}")
    if item.blunt:
        parts.append(f"{item.blunt} of them with a tolerance as large as what is compared, so that they say nothing")
    if item.strain and item.verdict != Verdict.REFUTED:
        parts.append(f"at most {100 * item.strain:.2g} % of the tolerance for rounding used")
    if item.estimate is not None and item.uncertainty is not None:
        parts.append(_estimate(item.estimate, item.uncertainty))
    if item.why:
        parts.append(plain_line(item.why))
    return "; ".join(parts)


def _estimate(value: float, uncertainty: float) -> str:
    """An estimate to the second digit of its uncertainty."""
    if not (0 < uncertainty < abs(value)):
        return f"{value:.6g} ± {uncertainty:.2g}"
    digits = math.floor(math.log10(abs(value))) - math.floor(math.log10(uncertainty)) + 2
    return f"{value:#.{digits}g} ± {uncertainty:#.2g}"


CHAPTER = Chapter(
    claims_section,
    name=NAME,
    sizes=dict.fromkeys(("quick", "full")),
    jobs=claim_jobs,
    record={"claims": listed},
)
