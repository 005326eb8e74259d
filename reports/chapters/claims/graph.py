"""Drawings of how claims rest on each other, as SVG with links: all families by depth, one claim's ancestors alone.

Nodes are ordinary links, so the keyboard reaches them in reading order.
"""

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from metarep.reports.chapters.chapter import Chapter, Results
from metarep.reports.chapters.claims.dependencies import Family, families, refuted_bases
from metarep.reports.chapters.claims.records import ClaimRecord, claim_link, claim_links
from metarep.reports.page import blocks as b
from metarep.reports.page.drawings import FILE_STYLE, STYLE, label_width
from metarep.reports.page.output import as_csv

MARKS = {"PROVED": "P", "EXACT": "E", "SUPPORTED": "S", "MEASURED": "M", "REFUTED": "✕", "NOT_RUN": "?"}
"""A letter in each node's disc, so that colour is not the only sign."""

_LINE, _GAP, _CHAPTER = 13.0, 7.0, 16.0
_DISC = 15.0
_LONGEST = 20
"""Letters of a label's line."""


@dataclass(frozen=True)
class Drawing:
    """An SVG element, its words for those who do not see it, and what it needs of style besides ``STYLE``."""

    svg: str
    alt: str
    style: str = ""


def _lines(label: str) -> list[str]:
    """A label in lines broken behind hyphens."""
    lines = [""]
    for part in label.replace("-", "-\0").split("\0"):
        if lines[-1] and len(lines[-1]) + len(part) > _LONGEST:
            lines.append("")
        lines[-1] += part
    return lines


def _verdict(status: str) -> str:
    return status.lower().replace("_", " ")


def _title(claim: ClaimRecord, bad: Sequence[str]) -> str:
    news = "" if claim.as_expected else f", expected {_verdict(claim.expected)}"
    carried = f"; rests on {', '.join(bad)}, which is refuted" if bad else ""
    return f"{claim.id}: {_verdict(claim.status)}{news}{carried}"


def _disc(claim: ClaimRecord, x: float, y: float, bad: Sequence[str] = ()) -> str:
    ring = f'<circle class="ring" cx="{x:.1f}" cy="{y:.1f}" r="7.4"/>' if bad else ""
    return ring + (
        f'<g class="{claim.status.lower()}"><circle cx="{x:.1f}" cy="{y:.1f}" r="6"/>'
        f'<text class="mark" x="{x:.1f}" y="{y + 3:.1f}">{MARKS[claim.status]}</text></g>'
    )


def _link(claim: ClaimRecord, bad: Sequence[str], inside: str) -> str:
    title = html.escape(_title(claim, bad))
    broken = ' class="undermined"' if bad else ""
    return f'<a href="#claim-{claim.id}" aria-label="{title}"{broken}><title>{title}</title>{inside}</a>'


def _label(lines: Sequence[str], x: float, y: float) -> str:
    spans = "".join(
        f'<tspan x="{x:.1f}" y="{y + 4 + _LINE * place:.1f}">{html.escape(line)}</tspan>'
        for place, line in enumerate(lines)
    )
    return f'<text class="label">{spans}</text>'


# --- all claims


@dataclass(frozen=True)
class _Place:
    """Where a family is drawn: top left, width, height; its lines; how far its column reaches."""

    x: float
    y: float
    width: float
    height: float
    lines: tuple[str, ...]
    reach: float = 0.0


def _size(family: Family) -> tuple[tuple[str, ...], float, float]:
    lines = tuple(_lines(family.label))
    width = max(map(label_width, lines))
    if len(family.members) == 1:
        return lines, width + _DISC + 2, _LINE * len(lines)
    return lines, max(width, _DISC * len(family.members)), _LINE * len(lines) + _DISC


def _layout(found: Sequence[Family]) -> tuple[list[_Place], list[tuple[str, float, float]], float, float]:
    """(place of each family, chapter captions with their places, width, height): a column for each depth, in it the
    chapters in their order.
    """
    places: dict[int, _Place] = {}
    captions = []
    x, bottom = 8.0, 0.0
    for depth in range(max(family.depth for family in found) + 1):
        y, chapter, widest, column = 6.0, "", 0.0, []
        for index, family in enumerate(found):
            if family.depth != depth:
                continue
            if family.chapter != chapter:
                chapter = family.chapter
                y += 10.0 if y > 6.0 else 0.0
                captions.append((chapter, x, y + 9))
                widest = max(widest, 6.2 * len(chapter))
                y += _CHAPTER
            lines, width, height = _size(family)
            places[index] = _Place(x, y, width, height, lines)
            column.append(index)
            widest = max(widest, width)
            y += height + _GAP
        for index in column:
            places[index] = replace(places[index], reach=x + widest)
        bottom = max(bottom, y)
        x += widest + 40.0
    return [places[index] for index in range(len(found))], captions, x - 34.0, bottom


def _edge(below: _Place, above: _Place) -> str:
    """From what is rested on to what rests on it: straight out of its column, so that no label of it is crossed, then a
    curve.
    """
    start, x1, y1 = below.x + below.width + 3, below.reach, below.y + _LINE / 2
    x2, y2 = above.x - 4, above.y + _LINE / 2
    bend = max(22.0, 0.4 * (x2 - x1))
    out = f"H{x1:.0f}" if x1 > start else ""
    return f"M{start:.0f} {y1:.0f}{out}C{x1 + bend:.0f} {y1:.0f} {x2 - bend:.0f} {y2:.0f} {x2:.0f} {y2:.0f}"


def claims_graph(claims: Sequence[ClaimRecord]) -> Drawing | None:
    """All claims that have relations, claims that differ in the learner alone as one node with a disc for each; None
    where no claim has any.

    Pointing at a node, or reaching it with the keyboard, brings out the edges below it and above it.
    """
    found = families(claims)
    if not found:
        return None
    bad = refuted_bases(claims)
    places, captions, width, height = _layout(found)
    over: dict[int, list[int]] = {index: [] for index in range(len(found))}
    for index, family in enumerate(found):
        for base in family.above:
            over[base].append(index)
    edges = []
    for index, family in enumerate(found):
        for base in family.rests_on:
            wounded = bool(
                {c.id for c in found[base].members if c.status == "REFUTED" or bad[c.id]}
                & {name for c in family.members for name in c.rests_on}
            )
            ends = {index, *over[index], base, *found[base].above}
            seen_from = " ".join(f"u{node}" for node in sorted(ends))
            kind = "edge broken" if wounded else "edge"
            edges.append(f'<path class="{kind} {seen_from}" d="{_edge(places[base], places[index])}"/>')
    nodes = [_node(index, family, places[index], bad) for index, family in enumerate(found)]
    chapters = [f'<text class="chapter" x="{x:.1f}" y="{y:.1f}">{html.escape(text)}</text>' for text, x, y in captions]
    refuted = [claim.id for claim in claims if claim.status == "REFUTED"]
    drawn = sum(len(family.members) for family in found)
    alt = f"{drawn} claims in {len(found)} nodes, in columns by how much they rest on; what each rests on is also "
    alt += "listed in its section. " + (
        f"Refuted: {', '.join(refuted)}; {sum(map(bool, bad.values()))} claims rest on refuted ones."
        if refuted
        else "None rests on a refuted claim."
    )
    style = "".join(
        f".deps.all:has(.n{index}:hover) .u{index},.deps.all:has(.n{index}:focus-within) .u{index}"
        "{stroke-opacity:1;stroke:var(--link)}\n"
        for index, family in enumerate(found)
        if family.rests_on or over[index]
    )
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="deps all" role="group" aria-label="{html.escape(alt)}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" height="{height:.0f}">'
        f"<g>{''.join(edges)}</g>{''.join(chapters)}{''.join(nodes)}</svg>"
    )
    return Drawing(svg, alt, style)


def _node(index: int, family: Family, place: _Place, bad: Mapping[str, Sequence[str]]) -> str:
    y = place.y + _LINE / 2
    if len(family.members) == 1:
        (claim,) = family.members
        inside = _disc(claim, place.x + 6, y, bad[claim.id]) + _label(place.lines, place.x + _DISC + 2, y)
        return f'<g class="node n{index}">{_link(claim, bad[claim.id], inside)}</g>'
    discs_at = place.y + _LINE * len(place.lines) + 7
    discs = "".join(
        _link(claim, bad[claim.id], _disc(claim, place.x + 6 + _DISC * order, discs_at, bad[claim.id]))
        for order, claim in enumerate(family.members)
    )
    return f'<g class="node n{index}">{_label(place.lines, place.x, y)}{discs}</g>'


# --- the chapter


def graph_section(results: Results) -> b.Section | None:
    """How the claims rest on each other; None where none does."""
    claims = results.claims
    drawing = claims_graph(claims)
    if drawing is None:
        return None
    drawn = {claim.id for family in families(claims) for claim in family.members}
    alone = [claim.id for claim in claims if claim.id not in drawn]
    carried = refuted_bases(claims)
    refuted = {base for bases in carried.values() for base in bases}
    news: b.Block = (
        b.Items(
            tuple(
                f"[[REFUTED]] {claim_link(base)}: on it rest {claim_links(c for c in carried if base in carried[c])}"
                for base in carried
                if base in refuted
            )
        )
        if refuted
        else b.Paragraph("No claim rests on a refuted one.")
    )
    caption = (
        "Each column rests on those to its left; claims that differ in the learner alone share a name. "
        "P proved, E exact, S supported, M measured, ✕ refuted; a red ring marks a claim that rests on a refuted "
        "one. Lines that follow from others are left out. Pointing at a name, or tabbing to it, brings out what it "
        "rests on and what rests on it; a disc leads to its claim, where both are listed."
    )
    if alone:
        caption += f" Alone: {claim_links(alone)}."
    style = f"<style>{FILE_STYLE}{STYLE}{drawing.style}</style>"
    linked = drawing.svg.replace('href="#', 'href="../report.html#').replace(">", f">{style}", 1)
    file = f'<?xml version="1.0" encoding="utf-8"?>\n{linked}\n'
    edges = [(claim.id, claim.status, base) for claim in claims for base in claim.rests_on or ("",)]
    data = ("claims-graph.csv", as_csv(("claim", "status", "rests on"), edges))
    picture = b.Graph("claims-graph", drawing.svg, drawing.style, caption, drawing.alt, file, data=data)
    return b.Section("graph", "What rests on what", (news, picture), short="Graph")


CHAPTER = Chapter(graph_section)
