"""The chapter on what changed since an older report: verdicts, margins, estimates, rates."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from metarep.reports.chapters.chapter import Alpha, Beta, Chapter, Count, D, K, LearnerName, N, Results
from metarep.reports.chapters.claims.records import ClaimRecord, claim_link
from metarep.reports.chapters.rates.table import RateRecord
from metarep.reports.page import blocks as b
from metarep.reports.page.markup import plain_line
from metarep.theory.claims.record import Verdict
from metarep.theory.engine.evidence import EvidenceKind

SAME = 1e-9
"""Numbers that differ by no more than this share are the same: another machine rounds otherwise."""
TINY = 1e-15
LEAST = {"worst_margin": SAME, "estimate": TINY}
"""What differs by less is the same (margins are shares of the bound: those at its edge are rounding errors)."""


@dataclass(frozen=True)
class Stored:
    """What is compared of two reports; ``rates`` are the table's and the grid's."""

    profile: str
    seed: int
    versions: dict[str, str]
    claims: tuple[ClaimRecord, ...]
    rates: tuple[RateRecord, ...]


CHANGES = ("changes",)
"""Where the results have what changed, if an older report was given."""

# --- what changed


@dataclass(frozen=True)
class Before:
    """What is said of the older report."""

    profile: str
    """Its profile."""
    seed: Count
    """Its seed."""
    versions: dict[str, str]
    """Its versions."""


@dataclass(frozen=True)
class VerdictChange:
    """A claim's status."""

    claim: str
    """Its id."""
    before: Verdict | None
    """Null: it was not there."""
    now: Verdict | None
    """Null: it is gone."""


@dataclass(frozen=True)
class NumberChange:
    """A number of a claim's evidence."""

    claim: str
    """The claim's id."""
    kind: EvidenceKind
    """The evidence."""
    before: float
    """Before."""
    now: float
    """Now."""


@dataclass(frozen=True)
class RateChange:
    """A rate."""

    learner: LearnerName
    d: D
    k: K
    n: N
    alpha: Alpha
    beta: Beta
    what: Literal["symbolic", "empirical", "envelope"]
    """Which."""
    before: float | None
    """Before."""
    now: float | None
    """Now."""


@dataclass(frozen=True)
class Alike:
    """Counts of what is alike."""

    verdicts: Count
    """How many verdicts."""
    margins: Count
    """How many margins."""
    estimates: Count
    """How many estimates."""
    rates: Count
    """How many rates."""


@dataclass(frozen=True)
class Changes:
    """What changed since an older report (--against)."""

    before: Before
    """The older report."""
    verdicts: tuple[VerdictChange, ...]
    """Statuses that changed, claims that came or went."""
    margins: tuple[NumberChange, ...]
    """Worst margins that changed."""
    estimates: tuple[NumberChange, ...]
    """Estimates that changed."""
    rates: tuple[RateChange, ...]
    """Rates that changed."""
    alike: Alike
    """How many did not change."""


def changes(old: Stored, new: Stored) -> Changes:
    """What differs between two reports; of each kind what changed, and how much is alike.

    A claim that only one of them has is among the verdicts, with None for the other; numbers are compared where both
    have them. A number that is not finite is null in a report that was written, and so none.
    """
    before = {claim.id: claim for claim in old.claims}
    now = {claim.id: claim for claim in new.claims}
    statuses = [
        VerdictChange(name, *(found[name].status if name in found else None for found in (before, now)))
        for name in dict.fromkeys((*now, *before))
    ]
    verdicts = tuple(change for change in statuses if change.before != change.now)
    (margins, alike_margins), (estimates, alike_estimates) = (
        _number_changes(before, now, field) for field in ("worst_margin", "estimate")
    )
    rates, alike_rates = _rate_changes(old.rates, new.rates)
    return Changes(
        Before(old.profile, old.seed, old.versions),
        verdicts,
        margins,
        estimates,
        rates,
        Alike(len(statuses) - len(verdicts), alike_margins, alike_estimates, alike_rates),
    )


def _number_changes(
    before: dict[str, ClaimRecord], now: dict[str, ClaimRecord], field: str
) -> tuple[tuple[NumberChange, ...], int]:
    """The changes of one field of the evidence, and how many numbers are alike."""
    found = [
        NumberChange(name, kind, earlier[kind], number)
        for name, claim in now.items()
        if name in before
        for earlier in [_numbers(before[name], field)]
        for kind, number in _numbers(claim, field).items()
        if kind in earlier
    ]
    changed = tuple(change for change in found if not _same(change.before, change.now, LEAST[field]))
    return changed, len(found) - len(changed)


def _numbers(claim: ClaimRecord, field: str) -> dict[EvidenceKind, float]:
    return {item.kind: value for item in claim.evidence if (value := _finite(getattr(item, field))) is not None}


def _rate_changes(old: Iterable[RateRecord], new: Iterable[RateRecord]) -> tuple[tuple[RateChange, ...], int]:
    """The rates that changed, and how many are alike."""
    earlier = _by_setting(old)
    found = [
        RateChange(*key[:-1], what, _finite(getattr(earlier[key], what)), _finite(getattr(record, what)))
        for key, record in _by_setting(new).items()
        if key in earlier
        for what in ("symbolic", "empirical", "envelope")
    ]
    changed = tuple(change for change in found if not _same(change.before, change.now))
    return changed, len(found) - len(changed)


def _by_setting(rates: Iterable[RateRecord]) -> dict[tuple[str, int, int, int, float, float, int], RateRecord]:
    """Rates by learner and setting; where a setting comes twice (from two starts), by its place among its like."""
    found = {}
    for r in rates:
        place = 0
        while (key := (r.learner, r.d, r.k, r.n, r.alpha, r.beta, place)) in found:
            place += 1
        found[key] = r
    return found


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _same(one: float | None, other: float | None, least: float = TINY) -> bool:
    if one is None or other is None:
        return one is other
    return math.isclose(one, other, rel_tol=SAME, abs_tol=least)


# --- in words


def previous(found: Changes | None, claim_id: str) -> str | None:
    """What is to be said of one claim, in a line of the markup; None if nothing about it changed."""
    if found is None:
        return None
    parts = [
        "new" if item.before is None else f"[[{item.before}]] became [[{item.now}]]"
        for item in found.verdicts
        if item.claim == claim_id
    ]
    parts += [
        f"{name} ({item.kind}) {item.before:.4g} became {item.now:.4g}"
        for name, items in (("worst margin", found.margins), ("estimate", found.estimates))
        for item in items
        if item.claim == claim_id
    ]
    return "; ".join(parts) or None


def changed_line(found: Changes) -> str:
    """How much changed, in a line."""
    counts = {what: (len(getattr(found, what)), same) for what, same in vars(found.alike).items()}
    if not any(changed for changed, _ in counts.values()):
        return f"nothing changed ({', '.join(f'{same} {what}' for what, (_, same) in counts.items())})"
    return "; ".join(f"{what}: {changed} changed, {same} did not" for what, (changed, same) in counts.items())


def changes_of(results: Results) -> Changes | None:
    """What changed since an older report (--against)."""
    return results.parts.get(CHANGES)


def changes_section(results: Results) -> b.Section | None:
    """The chapter on what changed."""
    if (found := changes_of(results)) is None:
        return None
    before = found.before
    gone = {item.claim for item in found.verdicts if item.now is None}
    blocks: list[b.Block] = [
        b.Paragraph(
            f"Against a report of profile {plain_line(before.profile)}, seed {before.seed}, "
            f"metarep {plain_line(before.versions.get('metarep', '?'))}: {changed_line(found)}. Margins, "
            "estimates and fitted rates also change with the profile and the seed."
        )
    ]

    def link(claim: str) -> str:
        return f"`{plain_line(claim)}`" if claim in gone else claim_link(claim)

    def badge(status: str | None, missing: str) -> str:
        return missing if status is None else f"[[{status}]]"

    if found.verdicts:
        rows = tuple(
            (link(item.claim), badge(item.before, "not there"), badge(item.now, "gone")) for item in found.verdicts
        )
        blocks.append(b.Table(("claim", "before", "now"), rows, caption="Verdicts that changed."))
    for title, items in (("Worst margins", found.margins), ("Estimates", found.estimates)):
        if items:
            rows = tuple((link(item.claim), item.kind, f"{item.before:.6g}", f"{item.now:.6g}") for item in items)
            table = b.Table(("claim", "evidence", "before", "now"), rows, frozenset({2, 3}))
            blocks.append(b.Details(f"{title} that changed ({len(rows)})", (table,)))
    if found.rates:
        rows = tuple(
            (
                item.learner,
                rf"$d = {item.d}$, $k = {item.k}$, $n = {item.n}$, $\alpha = {item.alpha:g}$, $\beta = {item.beta:g}$",
                item.what,
                *("none" if rate is None else f"{rate:.10g}" for rate in (item.before, item.now)),
            )
            for item in found.rates
        )
        table = b.Table(("learner", "setting", "rate", "before", "now"), rows, frozenset({3, 4}))
        blocks.append(b.Details(f"Rates that changed ({len(rows)})", (table,)))
    return b.Section("changes", "What changed", tuple(blocks))


CHAPTER = Chapter(changes_section, record={"against": changes_of})
