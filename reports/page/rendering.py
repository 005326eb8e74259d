"""A document as one self-contained HTML page and as Markdown."""

import base64
import hashlib
import re
from importlib.resources import files

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from metarep.reports.page import blocks as b
from metarep.reports.page.drawings import STYLE as DRAWING_STYLE
from metarep.reports.page.formulas import typeset, value_html
from metarep.reports.page.markup import inline_html, inline_markdown, inline_text, plain_markdown
from metarep.reports.page.style import inline_svg, width

WIDE = 360
"""Points from which a panel is too wide for a phone, and is scrolled there rather than shrunk."""

LONG = 50
"""Characters from which a table's cell is a sentence."""


def html_page(document: b.Document) -> str:
    """The whole page: style, formulas and figures inside, nothing to be fetched, no script."""
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined)
    environment.filters["inline"] = lambda line: Markup(inline_html(line))
    environment.filters["formula"] = lambda latex: Markup(typeset(latex, True))
    environment.filters["value"] = lambda value: Markup(value_html(*value))
    environment.filters["kind"] = lambda block: type(block).__name__
    environment.filters["plain"] = inline_text
    environment.filters["as_is"] = Markup
    environment.globals["wide"] = lambda svg: width(svg) > WIDE
    environment.globals["prose"] = _prose
    environment.globals["svg"] = lambda name, svg, alt: Markup(inline_svg(svg, name, alt))
    folder = files("metarep.reports.page") / "templates"
    style = (folder / "report.css").read_text(encoding="utf-8") + DRAWING_STYLE
    template = environment.from_string((folder / "report.html.j2").read_text(encoding="utf-8"))
    return _with_policy(template.render(document=document, style=Markup(style)))


_POLICY = "default-src 'none'; img-src data:; base-uri 'none'; form-action 'none'; style-src "


def _with_policy(page: str) -> str:
    """The page with a Content-Security-Policy of its own, by which nothing runs and nothing is fetched, and no styles
    count but those that are in it now.
    """
    styles = dict.fromkeys(re.findall(r"<style\b[^>]*>(.*?)</style>", page, re.DOTALL))
    hashes = " ".join(
        f"'sha256-{base64.b64encode(hashlib.sha256(each.encode()).digest()).decode()}'" for each in styles
    )
    policy = f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}{hashes}">'
    return page.replace('<meta charset="utf-8">', f'<meta charset="utf-8">\n{policy}', 1)


def _prose(table: b.Table) -> frozenset[int]:
    """Columns of sentences. Narrow screens have a table with such as a list of its rows."""
    return frozenset(
        column for column in range(len(table.header)) if any(len(row[column]) > LONG for row in table.rows)
    )


def markdown_page(document: b.Document) -> str:
    """The same content as Markdown, figures linked as files in ``figures/``."""
    lines = [f"# {plain_markdown(document.title)}", "", inline_markdown(document.subtitle), ""]
    lines += _markdown_blocks(document.opening)
    for section in document.sections:
        lines += _markdown_section(section, 2)
    return "\n".join(lines).rstrip() + "\n"


def _markdown_section(section: b.Section, level: int) -> list[str]:
    lines = [f'<a id="{section.anchor}"></a>', "", f"{'#' * level} {inline_markdown(section.title)}", ""]
    lines += _markdown_blocks(section.blocks)
    for below in section.sections:
        lines += _markdown_section(below, min(level + 1, 6))
    return lines


def _cell(text: str) -> str:
    return inline_markdown(text).replace("|", r"\|").replace("\n", " ")


def _fenced(kind: str, text: str) -> list[str]:
    """Lines of code of that kind, in a fence that is longer than any in it."""
    fence = "`" * max(3, *(len(ticks) + 1 for ticks in re.findall("`+", text)), 3)
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
                lines += [
                    f"![{plain_markdown(block.alt)}](figures/{block.name}.svg)"
                    if block.file
                    else inline_markdown(block.words)
                ]
                lines += ["", *([f"*{inline_markdown(block.caption)}*", ""] if block.caption else [])]
            case b.Details(summary, inner):
                lines += [f"**{inline_markdown(summary)}**", "", *_markdown_blocks(inner)]
    return lines
