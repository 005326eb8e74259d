"""The chapter of the seals: which proofs Coq has checked besides, by what ``metarep certify`` kept in a folder."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Literal

from metarep.reports.chapters.chapter import Chapter, Count, Job, Key, NotNegative, ReportProfile, Results
from metarep.reports.chapters.claims.records import claim_link
from metarep.reports.page import blocks as b
from metarep.reports.page.markup import plain_line
from metarep.reports.page.output import InputError, checking_input
from metarep.theory.certificates.export import export
from metarep.theory.certificates.seals import Seal, read_seal
from metarep.theory.claims import catalogue, get_claim
from metarep.theory.claims.record import Claim

NAME = "seals"
EXPORTED: Key = ("exported",)
"""Where the results have what the claims' proofs would be exported as now: a ``Seal`` without a compilation each."""
KEPT: Key = ("kept seals",)
"""Where they have the folder's seals, by claim, if there is a folder."""

State = Literal["checked", "failed", "stale", "not compiled", "not exported"]
STATES: dict[State, str] = {
    "checked": "Coq has checked the file",
    "failed": "Coq does not take the file",
    "stale": "a seal of another text is kept: the proof or a library has changed since",
    "not compiled": "can be exported; no seal is kept",
    "not exported": "has no form in Coq here, for the reason given",
}


@dataclass(frozen=True)
class SealRecord:
    """What Coq has checked of a claim's proof."""

    claim: str
    """The claim's id."""
    state: State
    """Checked, failed, stale (of another text), not compiled or not exported."""
    coq: str
    """The version of Coq that checked it; empty where none has."""
    seconds: NotNegative | None
    """How long Coq took; null where it has not."""
    identities: Count
    """Identities in the file."""
    bounds: Count
    """Polynomial inequalities in the file."""
    left_out: tuple[str, ...]
    """What of the proof is not in the file."""
    why: str
    """Why it is not exported, or what Coq says against it."""
    line: str
    """All that in a sentence."""


# --- run


def seal_jobs(profile: ReportProfile, seed: int) -> Iterable[Job]:
    """One job: the exports, which take seconds altogether. No Coq is asked."""
    ids = tuple(claim.id for claim in catalogue()) if profile.sizes["claims"] is None else profile.sizes["claims"]
    return [(EXPORTED, exported, (ids,))]


@cache
def claim_of(claim_id: str) -> Claim:
    """A claim of the catalogue, whose proof is made once in a process: it is compared, and exported."""
    claim = get_claim(claim_id)
    return claim if claim.proof is None else replace(claim, proof=cache(claim.proof))


def exported(ids: tuple[str, ...]) -> dict[str, Seal]:
    """What the claims that have a proof would be exported as, as seals that say nothing of Coq."""
    found = {}
    for claim in map(claim_of, ids):
        if claim.proof is not None:
            made = export(claim)
            status = "no coqc" if made.text else "not exported"
            found[claim.id] = Seal(
                claim.id, status, made.why, "", 0.0, made.identities, made.bounds, made.left_out, "", made.digest
            )
    return found


def kept_seals(folder: Path, ids: Iterable[str]) -> dict[str, Seal]:
    """The seals in a folder that ``metarep certify`` wrote.

    Raises:
        InputError: there is no such folder, or a file in it is no seal.
    """
    if not folder.is_dir():
        raise InputError(f"seals is {folder}, which is no folder; allowed: one that 'metarep certify --out' wrote")
    with checking_input():
        return {claim: seal for claim in ids if (seal := read_seal(folder, claim)) is not None}


# --- asked


def seals_of(results: Results) -> tuple[SealRecord, ...]:
    """A record for each claim of the catalogue that has a proof; none where the exports were not run."""
    kept: dict[str, Seal] = results.parts.get(KEPT, {})
    return tuple(_record(seal, kept.get(claim)) for claim, seal in results.parts.get(EXPORTED, {}).items())


def _record(now: Seal, kept: Seal | None) -> SealRecord:
    """``now``: what would be exported; a kept seal counts if it is of the same text."""
    content = (len(now.identities), len(now.bounds), now.left_out)
    if now.status == "not exported":
        return SealRecord(now.claim, "not exported", "", None, *content, now.why, now.line())
    if kept is None or (kept.digest == now.digest and kept.status == "no coqc"):
        line = f"exported, not compiled here (`{_command(now)}`): {now.content()}"
        return SealRecord(now.claim, "not compiled", "", None, *content, "", line)
    if kept.digest != now.digest:
        line = f"stale: the kept seal is of another text (`{_command(now)}`); now {now.content()}"
        return SealRecord(now.claim, "stale", "", None, *content, "", line)
    state: State = "checked" if kept.status == "checked" else "failed"
    return SealRecord(now.claim, state, kept.version, kept.seconds, *content, kept.why, kept.line())


def _command(seal: Seal) -> str:
    return f"metarep certify --out certificates {seal.claim}"


def seal_line(results: Results, claim_id: str) -> str:
    """What is said of a claim's seal; "" for one without a proof."""
    return next((seal.line for seal in seals_of(results) if seal.claim == claim_id), "")


def sealed_sentence(results: Results) -> str:
    """How many of the PROVED claims Coq has checked, and which Coq; "" where the exports were not run."""
    proved = {claim.id for claim in results.claims if claim.status == "PROVED"}
    seals = [seal for seal in seals_of(results) if seal.claim in proved]
    if not seals:
        return ""
    checked = [seal for seal in seals if seal.state == "checked"]
    if not checked:
        return (
            f"Of the {len(proved)} PROVED claims {_count(seals, 'not compiled') + _count(seals, 'stale')} can be "
            "checked by Coq as well (`metarep certify`), and none has a seal here"
        )
    coq = " and ".join(sorted({seal.coq for seal in checked}))
    whole = sum(not seal.left_out for seal in checked)
    return (
        f"{len(checked)} of the {len(proved)} PROVED claims are sealed by Coq {coq}, {whole} of them with all that "
        "their proofs compare, the others in part"
    )


def _count(seals: Iterable[SealRecord], state: State) -> int:
    return sum(seal.state == state for seal in seals)


# --- the chapter


def seals_section(results: Results) -> b.Section | None:
    """Counts, what a seal means, and the claims whose proofs Coq has not checked."""
    seals = seals_of(results)
    if not seals:
        return None
    counts = Counter(seal.state for seal in seals)
    rows = tuple((state, str(counts[state]), words) for state, words in STATES.items() if counts[state])
    news = [seal for seal in seals if seal.state in ("failed", "stale", "not exported")]
    said = "Every proof that can be exported is as it was when it was sealed."
    return b.Section(
        NAME,
        "Seals: what Coq has checked",
        (
            b.Paragraph(
                "A second opinion by a kernel that nobody here wrote. `metarep certify` writes what a proof compares "
                "as Coq theorems: identities in words about MathComp matrices of any dimensions, for one task (that "
                "they hold of the mean over tasks follows, as both sides are linear), polynomial inequalities about "
                "numbers of any ordered field. A seal says that Coq took the file, not more: what "
                "of the proof is not in it stands beside it, claim by claim; of a derivation that is its rules. "
                "A seal is that of a text, and counts only where the proof would be exported as the same text now."
            ),
            b.Table(("seal", "claims", "meaning"), rows, frozenset({1})),
            b.Items(tuple(f"{claim_link(seal.claim)}: {plain_line(seal.line)}" for seal in news))
            if news
            else b.Paragraph(said),
        ),
        short="Seals",
    )


CHAPTER = Chapter(
    seals_section,
    name=NAME,
    sizes=dict.fromkeys(("quick", "full")),
    jobs=seal_jobs,
    record={"seals": seals_of},
)
