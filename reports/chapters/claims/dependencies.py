"""How claims rest on each other: ancestors, depth, and how a refuted claim reaches those above it.

Everything here works on a report's records (``id``, ``chapter``, ``status``, ``rests_on``), each of which comes after
those that it rests on.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from metarep.reports.chapters.claims.records import ClaimRecord
from metarep.reports.chapters.claims.table import stem_and_learner


def ancestors(claims: Sequence[ClaimRecord]) -> dict[str, tuple[str, ...]]:
    """All that each claim rests on, directly or not, in the order of the catalogue; claims that are not among the given
    ones are left out.
    """
    place = {claim.id: index for index, claim in enumerate(claims)}
    found: dict[str, set[str]] = {}
    for claim in claims:
        bases = [base for base in claim.rests_on if base in place]
        found[claim.id] = set(bases).union(*(found[base] for base in bases))
    return {claim: tuple(sorted(bases, key=place.__getitem__)) for claim, bases in found.items()}


def refuted_bases(claims: Sequence[ClaimRecord]) -> dict[str, tuple[str, ...]]:
    """For each claim the refuted ones among its ancestors: its own evidence stands, what it was concluded from does
    not.
    """
    refuted = {claim.id for claim in claims if claim.status == "REFUTED"}
    return {claim: tuple(base for base in bases if base in refuted) for claim, bases in ancestors(claims).items()}


def used_by(claims: Sequence[ClaimRecord]) -> dict[str, tuple[str, ...]]:
    """For each claim those that rest on it directly."""
    found: dict[str, list[str]] = {claim.id: [] for claim in claims}
    for claim in claims:
        for base in claim.rests_on:
            if base in found:
                found[base].append(claim.id)
    return {name: tuple(users) for name, users in found.items()}


@dataclass(frozen=True)
class Family:
    """Claims of one chapter that differ in the learner alone, drawn as one node; most have one member.

    Attributes:
        label: the id without the learner. chapter: of its claims. members: its claims.
        rests_on: places of the families that it rests on, without those that follow from others.
        above: places of all families that it rests on, directly or not.
        depth: the longest way down to a family that rests on nothing.
    """

    label: str
    chapter: str
    members: tuple[ClaimRecord, ...]
    rests_on: tuple[int, ...]
    above: frozenset[int]
    depth: int


def families(claims: Sequence[ClaimRecord]) -> list[Family]:
    """The families of the claims that have relations, in the order of the catalogue.

    Members of a family may rest on each other (then they are of different depth, and the edge between them is not
    drawn).
    """
    known = {claim.id for claim in claims}
    related = {base for claim in claims for base in claim.rests_on if base in known}
    related |= {claim.id for claim in claims if related & set(claim.rests_on)}
    groups: dict[tuple[str, str], list[ClaimRecord]] = {}
    for claim in claims:
        if claim.id in related:
            groups.setdefault((claim.chapter, stem_and_learner(claim.id)[0]), []).append(claim)
    home = {claim.id: place for place, members in enumerate(groups.values()) for claim in members}
    direct = [
        {home[base] for claim in members for base in claim.rests_on if base in home} - {place}
        for place, members in enumerate(groups.values())
    ]
    above, depth = _closure(direct)
    return [
        Family(
            (stem if len(members) > 1 else members[0].id).strip("-"),
            chapter,
            tuple(members),
            tuple(sorted(base for base in direct[place] if not any(base in above[other] for other in direct[place]))),
            frozenset(above[place]),
            depth[place],
        )
        for place, ((chapter, stem), members) in enumerate(groups.items())
    ]


def _closure(direct: list[set[int]]) -> tuple[list[set[int]], list[int]]:
    """(all ancestors, depth) of each node; families, unlike claims, need not come after those that they rest on."""
    above: list[set[int] | None] = [None] * len(direct)
    depth = [0] * len(direct)

    def visit(node: int, way: tuple[int, ...]) -> set[int]:
        known = above[node]
        if known is None:
            if node in way:  # two families rest on each other: drawn as if the first came first
                return set()
            known = set()
            for base in sorted(direct[node]):
                beyond = visit(base, (*way, node))
                known |= {base, *beyond}
                depth[node] = max(depth[node], depth[base] + 1)
            known.discard(node)
            above[node] = known
        return known

    return [visit(node, ()) for node in range(len(direct))], depth
