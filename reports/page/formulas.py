"""Formulas as MathML that can be put into a page, whatever stands between the dollar signs.

Whose formulas a page shows is not known: claims may be anybody's. The converter's tree is therefore written here, from
elements and attributes that are known, with all text escaped.
"""

import html
import re
from functools import cache
from xml.etree.ElementTree import Element

ELEMENTS = re.compile(
    "math|menclose|mfrac|mi|mn|mo|mover|mpadded|mphantom|mroot|mrow|mspace|msqrt|mstyle|msub|msubsup|msup|mtable|mtd|"
    "mtext|mtr|munder|munderover"
)
"""What a formula may be made of; of other elements the content remains."""
ATTRIBUTES = re.compile(
    "accent|columnalign|columnlines|columnspacing|depth|display|displaystyle|fence|form|height|linethickness|lspace|"
    "mathcolor|mathsize|mathvariant|maxsize|minsize|movablelimits|notation|rowlines|rowspacing|rspace|scriptlevel|"
    "separator|stretchy|voffset|width"
)
"""What they may have; no others are written. What loads, leads elsewhere or runs is not among them."""
_VALUE = re.compile(r"[-+\w.#% ]*")
"""What an attribute's value may be."""


@cache
def mathml(latex: str, display: bool = False) -> str:
    r"""LaTeX as a MathML element.

    Raises:
        ValueError: something was not understood (the converter passes unknown macros through; a surviving backslash
            shows it), or the formula is not complete.
    """
    from latex2mathml import exceptions
    from latex2mathml.converter import convert_to_element

    own = tuple(each for each in vars(exceptions).values() if isinstance(each, type) and issubclass(each, Exception))
    try:
        element = convert_to_element(_without_unknown(latex), display="block" if display else "inline")
    except (*own, LookupError, AttributeError, TypeError, ValueError, RecursionError) as error:  # it trusts its input
        raise ValueError(f"cannot typeset {latex!r} ({_name(error)}); allowed: LaTeX that is complete") from error
    written = _written(element)
    if "\\" in written:
        raise ValueError(f"cannot typeset {latex!r}; allowed: LaTeX that latex2mathml knows")
    return written


def _name(error: Exception) -> str:
    """What is wrong, from the name of the converter's error: "missing end"."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", type(error).__name__.removesuffix("Error")).lower()


def _written(element: Element, in_row: bool = False, alone: bool = False) -> str:
    """An element of the converter, whose text has characters as entities. ``in_row``: it is in an element which makes
    a row of what it has; ``alone``: it is all that is in there.
    """
    text = html.unescape(element.text or "")
    row, one = element.tag in ("math", "mrow", "mtd", "mstyle", "msqrt"), len(element) == 1
    inside = html.escape(text, quote=False)
    for child in element:
        inside += _written(child, row, row and one and element.tag != "mrow")
        inside += html.escape(html.unescape(child.tail or ""), quote=False)
    if element.tag == "mrow" and len(element) > 1 and all(_upright(child) for child in element):
        return f"<mi>{''.join(child.text or '' for child in element)}</mi>"  # a name is upright by itself
    tag = "mo" if element.tag == "mi" and text in ("⪯", "⪰") else element.tag  # no letters
    if not ELEMENTS.fullmatch(tag) or (tag == "mrow" and (alone or one)):
        return inside  # a row of one is that one
    if tag == "mrow" and not inside and in_row:
        return ""
    # What goes without saying is not said: a page has thousands of formulas.
    attributes = "".join(
        f' {name}="{value}"'
        for name, value in element.attrib.items()
        if ATTRIBUTES.fullmatch(name) and _VALUE.fullmatch(value) and not _granted(name, value, text)
    )
    return f"<{tag}{attributes}>{inside}</{tag}>" if inside else f"<{tag}{attributes}/>"


def _upright(element: Element) -> bool:
    text = element.text or ""
    upright = element.tag == "mi" and element.get("mathvariant") == "normal"
    return upright and text.isascii() and text.isalpha() and not element.tail


def _granted(name: str, value: str, text: str) -> bool:
    """Whether browsers take it for granted of an element with that text."""
    if text and text in "()[]{}" and (name, value) != ("stretchy", "false"):
        return name in ("stretchy", "fence", "form")
    return (name, value) in (("display", "inline"), ("fence", "false"))


def _without_unknown(latex: str) -> str:
    # Names that the converter lacks or renders wrongly, by ones that it has.
    return latex.replace(r"\dfrac", r"\frac").replace(r"\tfrac", r"\frac").replace(r"\text{tr}", r"\operatorname{tr}")


def typeset(latex: str, display: bool = False) -> str:
    """MathML, or the source in a code element without backslashes where the converter does not know it."""
    try:
        return mathml(latex, display)
    except ValueError:
        return f'<code class="untypeset">{html.escape(latex.replace(chr(92), ""))}</code>'


_TOKEN = re.compile(r"\\left\b.|\\right\b.|\\[a-zA-Z]+|\\.|.", re.DOTALL)
_BREAKING = frozenset(
    ("=", "+", "-", "<", ">", ",", r"\le", r"\ge", r"\preceq", r"\succeq", r"\to", r"\mapsto", r"\subset", r"\approx")
) | {r"\ne", r"\propto"}
_SHORT = 24
"""Formulas of at most so many characters are never broken."""
_LONG = 45


def breakable(latex: str) -> list[str]:
    """A long formula in pieces behind whose last sign a line may be broken, as TeX does: browsers never break MathML
    themselves.
    """
    if len(latex) <= _SHORT:
        return [latex]
    pieces, start, depth, norm = [], 0, 0, False
    tokens = list(_TOKEN.finditer(latex))
    for place, match in enumerate(tokens):
        token = match[0]
        if token in "({[" or token.startswith(r"\left"):
            depth += 1
        elif token in ")}]" or (token.startswith(r"\right") and token != r"\rightarrow"):
            depth -= 1
        elif token == r"\|":
            norm = not norm
        elif token in _BREAKING and depth == 0 and not norm:
            before, behind = latex[start : match.start()], latex[match.end() :]
            # A sign, not a binary operation, where nothing or another sign stands before it.
            previous = next((t[0] for t in reversed(tokens[:place]) if t[0] != " "), "")
            if before.strip() and behind.strip() and previous not in _BREAKING:
                pieces.append(latex[start : match.end()] + ("" if token == "," else "{}"))
                start = match.end()
    return [*pieces, latex[start:]]


def inline_formula(latex: str) -> str:
    """A formula in a line of a page, which may be broken where ``breakable`` says."""
    parts = []
    for piece in breakable(latex):
        element = typeset(piece.strip())
        # Narrow screens scroll what is still too long.
        parts.append(f'<span class="long">{element}</span>' if len(piece) > _LONG else element)
    return "<wbr>".join(parts)


def markdown_formula(latex: str) -> str:
    r"""A formula for GitHub's Markdown: as code between dollar signs, so that no sign of it is taken for emphasis or an
    element; bars by name, as they would end a table's cell.
    """
    written = latex.replace(r"\|", r"\Vert ").replace("|", r"\vert ").replace("`", "'")
    return f"$`{' '.join(written.split())}`$"


def value_html(name: str, parts: tuple[str | tuple[tuple[str, ...], ...], ...]) -> str:
    """LaTeX, and the numbers and matrices (rows of text) behind it: matrices are tables of the page, which take a third
    of what MathML's take. Written by hand: there are many numbers, and the converter takes a millisecond for a few.
    """
    shown = ", ".join(_cell(part) if isinstance(part, str) else _matrix(part) for part in parts)
    return f"<span>{typeset(name)}{shown}</span>"


def _matrix(rows: tuple[tuple[str, ...], ...]) -> str:
    inside = "".join(f"<tr>{''.join(f'<td>{_cell(cell)}' for cell in row)}" for row in rows)
    return f"<table>{inside}</table>"


def _cell(text: str) -> str:
    return html.escape(text).replace("-", "−") if re.fullmatch(r"-?[0-9./e+-]+", text) else html.escape(text)
