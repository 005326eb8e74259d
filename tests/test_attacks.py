"""Nothing that a page shows runs in a reader's browser or leads anywhere but to the page and by https, whatever strings
are put into it: those of ``attacks.txt``, through every kind of block, in claims and reports of somebody else's.

That no script runs is seen in a browser as well (``test_browser``).
"""

import html
import re
from dataclasses import replace
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path

import cmarkgfm
import pytest
from cmarkgfm.cmark import Options

from metarep.reports.chapters.changes import CHANGES, Stored, changes, changes_section
from metarep.reports.chapters.chapter import ReportProfile
from metarep.reports.chapters.claims.graph import graph_section
from metarep.reports.chapters.claims.one_by_one import claims_section
from metarep.reports.chapters.claims.verdicts import verdicts_section
from metarep.reports.chapters.reproduction import reproduction_section
from metarep.reports.page import blocks as b
from metarep.reports.page.markup import inline_html, inline_markdown, plain_line
from metarep.reports.page.rendering import html_page, markdown_page, markdown_pages
from metarep.reports.report.gather import gather

OWN_SCRIPT = (files("metarep.reports.page") / "templates" / "report.js").read_text(encoding="utf-8")
ATTACKS = tuple((Path(__file__).parent / "attacks.txt").read_text(encoding="utf-8").splitlines())
SECTIONS = (changes_section, claims_section, graph_section, verdicts_section, reproduction_section)
SVG = b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1 1"></svg>'
ELEMENTS = re.compile(
    "html|head|meta|link|title|style|body|a|header|h[1-6]|p|nav|main|section|footer|ul|ol|li|dl|div|dt|dd|table|"
    "caption|thead|tbody|tr|th|td|pre|code|span|strong|em|del|sub|sup|br|wbr|figure|figcaption|details|summary|img|form|label|input|select|option|output|svg|g|"
    "path|text|tspan|circle|rect|line|defs|use|clippath|"
    "math|menclose|mfrac|mi|mn|mo|mover|mpadded|mphantom|mroot|mrow|mspace|msqrt|mstyle|msub|msubsup|msup|mtable|mtd|"
    "mtext|mtr|munder|munderover"
)
LEADING = ("href", "src", "srcdoc", "action", "formaction", "xlink:href", "data", "style")
TARGETS = re.compile(
    r"#[^\"]*|https://[^\s\"]*|data:,|data:application/gzip;base64,[\w+/=]*|figures/[\w.-]*|\w+\.md(#[\w.-]*)?"
)
"""What pages, and Markdown as GitHub shows it, are made of; nothing of it runs."""


class _Finder(HTMLParser):
    """Finds what could run, or lead or load from elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if not ELEMENTS.fullmatch(tag):
            self.found.append(f"<{tag}>")
        for name, value in attrs:
            if name.startswith("on") or (name in LEADING and not TARGETS.fullmatch(value or "")):
                self.found.append(f'<{tag} {name}="{value}">')


def dangers(page: str) -> list[str]:
    """What a browser would run, load or follow elsewhere, besides the page's own script."""
    finder = _Finder()
    finder.feed(page.replace(f"<script>\n{OWN_SCRIPT}\n</script>", "", 1))
    return finder.found


def elements_of(markdown: str) -> list[str]:
    """The same of Markdown where its own elements count, but for the anchors of sections."""
    shown = cmarkgfm.github_flavored_markdown_to_html(markdown, options=Options.CMARK_OPT_UNSAFE)
    return [found for found in dangers(shown) if not found.startswith("<a id")]


def every_block(*texts: str) -> b.Document:
    """A document that has the texts wherever a document has text."""
    sections = tuple(_section(text) for text in texts)
    return b.Document(texts[0], texts[0], sections[0].blocks, sections)


def _section(text: str) -> b.Section:
    blocks: tuple[b.Block, ...] = (
        b.Paragraph(text),
        b.Items((text, text)),
        b.Facts(((text, text),)),
        b.Equations(((text.strip("$"), text.strip("$")),)),
        b.Table((text, "long"), ((text, text),), frozenset({0}), text),
        b.Table((text,), ((text + " and more" * 9,),)),
        b.Values(((text.strip("$"), (text, ((text, text),))),), text),
        b.Code(text),
        b.Picture((("name", SVG), ("other", SVG)), text, text, (text, text)),
        b.Details(text, (b.Paragraph(text),)),
        b.Graph("graph", "", "", text, text, ""),
        b.Details(text, (), text, (("status", text),)),
        b.Beside((b.Paragraph(text),), b.Picture((("third", SVG),), text, text)),
        b.Long(text, (b.Paragraph(text),), ("long.csv", text)),
        b.Finder((("status", text, ((text, text),)),)),
    )
    return b.Section("a", text, blocks, (b.Section("b", text, blocks),), text)


@pytest.mark.parametrize("attack", ATTACKS)
def test_every_block(attack: str) -> None:
    page = every_block(attack)
    assert dangers(html_page(page)) == []
    assert elements_of(markdown_page(page)) == []


def test_the_finder_finds() -> None:
    raw = sum(bool(dangers(html.unescape(attack))) for attack in ATTACKS)
    assert raw >= len(ATTACKS) // 2
    for bad in ('<a href="javascript:hit()">', "<p onclick=hit()>", "<script>"):
        assert dangers(bad)


@pytest.mark.parametrize("attack", ATTACKS)
def test_words_of_others_are_plain(attack: str) -> None:
    """Nothing of them is markup of ours: no formula, link, verdict or code."""
    written = inline_html(plain_line(attack))
    assert not re.search("<(a|math|code|strong)|verdict", written)
    assert dangers(written) == []
    assert "](" not in inline_markdown(plain_line(attack))


def test_claims_and_an_older_report_of_somebody_elses() -> None:
    ids = ("right-factor-fo-anil", "head-diversity-lower")
    results = gather(ReportProfile("least", 0.1, {"claims": ids}), 0, jobs=1)
    first, *_ = results.claims
    theirs = {}
    for place, attack in enumerate(ATTACKS):
        evidence = tuple(replace(item, why=attack, steps=(attack,)) for item in first.evidence)
        texts = dict.fromkeys(("statement", "source", "hypotheses", "remark", "command", "at_any_pace"), attack)
        claim = replace(first, id=f"theirs-{place}", rests_on=ids[:1], chapter=attack, evidence=evidence, **texts)
        theirs["claim", claim.id] = claim
    now = Stored("least", 0, {}, results.claims, ())
    gone = tuple(replace(first, id=attack) for attack in ATTACKS)
    every = " ".join(ATTACKS)
    before = Stored(every, 0, {"metarep": every}, gone, ())
    whole = results.having({**theirs, CHANGES: changes(before, now)}, own_claims=every)
    sections = tuple(filter(None, (section(whole) for section in SECTIONS)))
    assert len(sections) == len(SECTIONS)
    page = b.Document("", "", (), sections)
    assert dangers(html_page(page)) == []
    assert elements_of("\n".join(markdown_pages(page).values())) == []
