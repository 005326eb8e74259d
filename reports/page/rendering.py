"""A document as one self-contained HTML page and as Markdown."""

import base64
import gzip
import hashlib
import html
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cache
from importlib.resources import files

from jinja2 import Environment, StrictUndefined, Template
from markupsafe import Markup

from metarep.reports.page import blocks as b
from metarep.reports.page.charts import KEY
from metarep.reports.page.drawings import STYLE as DRAWING_STYLE
from metarep.reports.page.formulas import typeset, value_html
from metarep.reports.page.markup import inline_html, inline_markdown, inline_text, plain_markdown
from metarep.reports.page.svg import inline_svg, width

WIDE = 360
"""Points from which a panel is too wide for a phone, and is scrolled there rather than shrunk."""

LONG = 50
"""Characters from which a table's cell is a sentence."""


def html_page(document: b.Document) -> str:
    """The whole page: style, script, formulas and figures inside; nothing is fetched, and nothing else runs."""
    folder = files("metarep.reports.page") / "templates"
    style = (folder / "report.css").read_text(encoding="utf-8") + DRAWING_STYLE
    script = (folder / "report.js").read_text(encoding="utf-8")
    page = _template().render(document=document, style=Markup(style), script=Markup(script))
    return _with_policy(page, script)


@cache
def _template() -> Template:
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined)
    environment.filters["inline"] = lambda line: Markup(inline_html(line))
    environment.filters["formula"] = lambda latex: Markup(typeset(latex, True))
    environment.filters["value"] = lambda value: Markup(value_html(*value))
    environment.filters["kind"] = lambda block: type(block).__name__
    environment.filters["plain"] = inline_text
    environment.filters["as_is"] = Markup
    environment.filters["packed"] = _packed
    environment.tests["key"] = lambda panel: panel[0].endswith(KEY)
    environment.globals["wide"] = lambda svg: width(svg) > WIDE
    environment.globals["prose"] = _prose
    environment.globals["svg"] = lambda name, svg, alt: Markup(inline_svg(svg, name, alt))
    path = files("metarep.reports.page") / "templates" / "report.html.j2"
    return environment.from_string(path.read_text(encoding="utf-8"))


def _packed(text: str) -> str:
    """Text as base64 of gzip; equal text gives equal characters."""
    return base64.b64encode(gzip.compress(text.encode(), mtime=0)).decode()


_POLICY = "default-src 'none'; img-src data:; base-uri 'none'; form-action 'none'; script-src {}; style-src {}"


def _with_policy(page: str, script: str) -> str:
    """The page with a Content-Security-Policy of its own: nothing is fetched, nothing runs but this script, and no
    styles count but those that are in it now.
    """
    styles = dict.fromkeys(re.findall(r"<style\b[^>]*>(.*?)</style>", page, re.DOTALL))
    policy = _POLICY.format(_hash(f"\n{script}\n"), " ".join(map(_hash, styles)))
    meta = f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
    return page.replace('<meta charset="utf-8">', f'<meta charset="utf-8">\n{meta}', 1)


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _prose(table: b.Table) -> frozenset[int]:
    """Columns of sentences. Narrow screens have a table with such as a list of its rows."""

    def long(cell: str) -> bool:
        return len(cell) > LONG and len(inline_text(cell)) > LONG

    return frozenset(column for column in range(len(table.header)) if any(long(row[column]) for row in table.rows))


def markdown_page(document: b.Document) -> str:
    """The first of ``markdown_pages``."""
    return markdown_pages(document)["report.md"]


def markdown_pages(document: b.Document) -> dict[str, str]:
    """The same content as Markdown, figures linked as files in ``figures/``: ``report.md``, and a file for each section
    that is apart, by name.
    """
    lines = [f"# {plain_markdown(document.title)}", "", inline_markdown(document.subtitle), ""]
    lines += _markdown_blocks(document.opening)
    pages = {}
    for section in document.sections:
        if section.apart:
            name = f"{section.anchor}.md"
            pages[name] = _markdown_section(replace(section, apart=False), 1)
            lines += [_anchor(section.anchor), "", f"## {inline_markdown(section.title)}", ""]
            lines += [f"In a file of its own: [{name}]({name}).", ""]
        else:
            lines += _markdown_section(section, 2)
    places = {anchor: name for name, page in pages.items() for anchor in _anchors(page)}
    texts = {"report.md": lines, **pages}
    return {name: _linked("\n".join(page).rstrip() + "\n", name, places) for name, page in texts.items()}


def _anchor(name: str) -> str:
    return f'<a id="{html.escape(name)}"></a>'


def _anchors(lines: Iterable[str]) -> list[str]:
    return re.findall(r'^<a id="([^"]+)"></a>$', "\n".join(lines), re.MULTILINE)


def _linked(text: str, name: str, places: Mapping[str, str]) -> str:
    """A file's text with its links leading to the file where what they name stands."""

    def target(match: re.Match[str]) -> str:
        file = places.get(match[1], "report.md")
        return match[0] if file == name else f"]({file}#{match[1]})"

    return re.sub(r"\]\(#([\w.:-]+)\)", target, text)


def _markdown_section(section: b.Section, level: int) -> list[str]:
    lines = [_anchor(section.anchor), "", f"{'#' * level} {inline_markdown(section.title)}", ""]
    lines += _markdown_blocks(section.blocks)
    for below in section.sections:
        lines += _markdown_section(below, min(level + 1, 6))
    return lines


def _cell(text: str) -> str:
    return inline_markdown(text).replace("|", r"\|").replace("\n", " ")


def _fenced(kind: str, text: str) -> list[str]:
    """Lines of code of that kind, in a fence that is longer than any in it."""
    fence = "`" * max([3, *(len(ticks) + 1 for ticks in re.findall("`+", text))])
    return [f"{fence}{kind}", text, fence, ""]


def _markdown_blocks(blocks: tuple[b.Block, ...]) -> list[str]:
    lines: list[str] = []
    for block in blocks:
        match block:
            case b.Paragraph(text):
                lines += [inline_markdown(text), ""]
            case b.Items(items):
                lines += [*(f"- {inline_markdown(item)}" for item in items), ""]
            case b.Facts(facts):
                lines += [*(f"- **{plain_markdown(term)}**: {inline_markdown(text)}" for term, text in facts), ""]
            case b.Equations(equations):
                body = " \\\\\n".join(f"{left} &= {right}" for left, right in equations)
                lines += _fenced("math", "\n".join(("\\begin{aligned}", body, "\\end{aligned}")))
            case b.Table(header, rows, numeric, caption):
                rule = ["---:" if column in numeric else "---" for column in range(len(header))]
                lines += [f"| {' | '.join(map(_cell, cells))} |" for cells in (header, rule, *rows)]
                lines += ["", *([f"*{inline_markdown(caption)}*", ""] if caption else [])]
            case b.Code(text) | b.Values(text=text):
                lines += _fenced("", text)
            case b.Picture(panels, alt, caption):
                lines += [f"![{plain_markdown(alt)}](figures/{name}.svg)" for name, _ in panels]
                lines += ["", *([f"*{inline_markdown(caption)}*", ""] if caption else [])]
            case b.Graph():
                lines += [f"![{plain_markdown(block.alt)}](figures/{block.name}.svg)"]
                lines += ["", *([f"*{inline_markdown(block.caption)}*", ""] if block.caption else [])]
            case b.Details(summary, inner, anchor):
                lines += [_anchor(anchor), ""] if anchor else []
                title = f"#### {inline_markdown(summary)}" if anchor else f"**{inline_markdown(summary)}**"
                lines += [title, "", *_markdown_blocks(inner)]
            case b.Beside(inner, picture):
                lines += _markdown_blocks((*inner, picture))
            case b.Long(_, inner):
                lines += _markdown_blocks(inner)
            case b.Finder():
                pass  # there is nothing to look for it with
    return lines
