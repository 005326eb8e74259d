"""Formulas between dollar signs, for each medium: MathML for pages, Unicode for terminals, as they are for Markdown."""

import html
import math
import re
import warnings
from functools import cache

LEARNER_TITLES = {
    "anil": "Exact ANIL",
    "fo-anil": "FO-ANIL",
    "maml": "Exact MAML",
    "fo-maml": "FO-MAML",
    "average-loss": "Average loss",
}
"""How each learner is called in headings and legends."""


def power(value: float) -> str:
    """A size to one digit, as a formula: 5e-10 is $5 \\times 10^{-10}$; 0 is 0."""
    if value == 0:
        return "0"
    digit, exponent = f"{value:.0e}".split("e")
    lead = "" if digit == "1" else rf"{digit} \times "
    return f"${lead}10^{{{int(exponent)}}}$"


def at_most(value: float) -> str:
    """A bound from above to one digit, as a formula, rounded up: 5.4e-10 is at most $6 \\times 10^{-10}$; 0 is 0."""
    if value == 0:
        return "0"
    exponent = math.floor(math.log10(value))
    digit = math.ceil(value / 10.0**exponent - 1e-9)
    return power(digit * 10.0**exponent)


def at_least(value: float, digits: int) -> str:
    """A bound from below with so many decimals, rounded down."""
    return f"{math.floor(value * 10**digits + 1e-9) / 10**digits:.{digits}f}"


_INLINE = re.compile(
    r"\$(?P<math>[^$]+)\$|`(?P<code>[^`]+)`|\*\*(?P<bold>[^*]+)\*\*|\[\[(?P<badge>[A-Z_]+)\]\]|\[(?P<label>[^\]]+)\]\((?P<link>[^)\s]+)\)"
)
"""The markup of a line of ours: $LaTeX$, `code`, **bold**, [[VERDICT]], [label](link)."""


@cache
def mathml(latex: str, display: bool = False) -> str:
    r"""LaTeX as a MathML element.

    Raises:
        ValueError: something was not understood (the converter passes unknown macros through; a surviving backslash
        shows it).
    """
    from latex2mathml.converter import convert

    element = convert(_without_unknown(latex), display="block" if display else "inline")
    element = re.sub(r"<mi>(&#x02AAF;|&#x02AB0;)</mi>", r"<mo>\1</mo>", element)  # ⪯ and ⪰ are no letters
    # HTML takes these for granted, and a page has thousands of formulas.
    element = element.replace(' xmlns="http://www.w3.org/1998/Math/MathML"', "").replace(' display="inline"', "")
    element = re.sub(r"&#x0*([0-9A-F]+);", _character, element)
    if "\\" in html.unescape(element):
        raise ValueError(f"cannot typeset {latex!r}; allowed: LaTeX that latex2mathml knows")
    return element


def _character(entity: re.Match[str]) -> str:
    """The character of an entity, if it needs none."""
    character = chr(int(entity[1], 16))
    return entity[0] if character in "<>&" else character


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


def _inline_formula(latex: str) -> str:
    parts = []
    for piece in breakable(latex):
        element = typeset(piece.strip())
        # Narrow screens scroll what is still too long.
        parts.append(f'<span class="long">{element}</span>' if len(piece) > _LONG else element)
    return "<wbr>".join(parts)


def value_html(name: str, parts: tuple[str | tuple[tuple[str, ...], ...], ...]) -> str:
    """LaTeX and the numbers and matrices (rows of text) behind it as one formula. Written by hand: there are many
    numbers, and the converter takes a millisecond for a few. The style draws the brackets.
    """
    shown = "<mo>,</mo>".join(_cell(part) if isinstance(part, str) else _matrix(part) for part in parts)
    return f"<span>{typeset(name).removesuffix('</mrow></math>')}{shown}</mrow></math></span>"


def _matrix(rows: tuple[tuple[str, ...], ...]) -> str:
    inside = "".join(f"<mtr>{''.join(f'<mtd>{_cell(cell)}</mtd>' for cell in row)}</mtr>" for row in rows)
    return f"<mtable>{inside}</mtable>"


def _cell(text: str) -> str:
    tag = "mn" if re.fullmatch(r"-?[0-9./e+-]+", text) else "mtext"
    return f"<{tag}>{html.escape(text).replace('-', '−')}</{tag}>"


_FORMULA_END = re.compile(r"(<math\b(?:(?!</?math\b).)*</math>)([,.;:)]+)", re.DOTALL)
"""A formula and the punctuation behind it, which browsers would put in the next line."""


def _code(text: str) -> str:
    """Code, escaped; a command is broken between its words only: browsers would do so behind an option's hyphens."""
    if " -" not in text:
        return html.escape(text)
    return " ".join(f"<span>{html.escape(word)}</span>" for word in text.split(" "))


_SCRIPT = re.compile(r"(?<=[^\s_^])([_^])(?:\{([^{}]+)\}|([*⊥]+|[0-9]+|[A-Z](?!\w)|[a-z](?![a-z])|ij\b|in\b|out\b))")
"""Sub- and superscripts in what is no formula: σ_1, w_{*,i}, B_*, J_D, m_in, ^{1/2}."""


def _plain_html(text: str) -> str:
    """Text between the markup, escaped, with the scripts of its symbols."""

    def script(match: re.Match[str]) -> str:
        tag = "sub" if match[1] == "_" else "sup"
        return f"<{tag}>{match[2] or match[3]}</{tag}>"

    return _SCRIPT.sub(script, html.escape(text))


def inline_html(line: str) -> str:
    """A line of our markup as HTML, everything else escaped."""
    parts: list[str] = []
    position = 0
    for match in _INLINE.finditer(line):
        parts.append(_plain_html(line[position : match.start()]))
        position = match.end()
        kind = match.lastgroup if match.lastgroup != "link" else "label"
        value = match[kind or ""]
        if kind == "math":
            parts.append(_inline_formula(value))
        elif kind == "code":
            parts.append(f"<code>{_code(value)}</code>")
        elif kind == "bold":
            parts.append(f"<strong>{html.escape(value)}</strong>")
        elif kind == "badge":
            parts.append(f'<span class="verdict {value.lower()}">{value.replace("_", " ").lower()}</span>')
        else:
            parts.append(f'<a href="{html.escape(match["link"])}">{html.escape(value)}</a>')
    parts.append(_plain_html(line[position:]))
    return _FORMULA_END.sub(r'<span class="keep">\1\2</span>', "".join(parts))


def inline_markdown(line: str) -> str:
    """A line of our markup as Markdown: it is, but for verdicts."""
    return re.sub(r"\[\[([A-Z_]+)\]\]", r"**\1**", line)


def plain_line(text: str) -> str:
    """Words of the engine, which are no markup of ours, with nothing in them taken for it."""
    return text.replace("`", "'").replace("**", "*").replace("[[", "[ [").replace("$", "＄")


def inline_text(line: str) -> str:
    """A line of our markup for a terminal: formulas in Unicode."""
    line = re.sub(r"\[\[([A-Z_]+)\]\]", r"\1", line)
    line = re.sub(r"\$([^$]+)\$", lambda match: _unicode(match[1]), line)
    return re.sub(r"\[([^\]]+)\]\([^)\s]+\)", r"\1", line).replace("**", "").replace("`", "")


@cache
def _unicode(latex: str) -> str:
    from pylatexenc.latex2text import LatexNodes2Text

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about macros that it shows as they are
        written = LatexNodes2Text(math_mode="text").latex_to_text(_for_terminal(latex))
    return " ".join(written.split())


_SYMBOL = re.compile(r"(\\(?!(?:d?frac|sqrt|bar|hat|tilde|operatorname|mathrm|text|left|right)\b)[a-zA-Z]+) ")
_SUPERSCRIPTS = str.maketrans("0123456789+-=()abcdeijkmnprstTuvwxy", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁼⁽⁾ᵃᵇᶜᵈᵉⁱʲᵏᵐⁿᵖʳˢᵗᵀᵘᵛʷˣʸ")
_SUBSCRIPTS = str.maketrans("0123456789+-=()aeijkmnoprstuvx", "₀₁₂₃₄₅₆₇₈₉₊₋₌₍₎ₐₑᵢⱼₖₘₙₒₚᵣₛₜᵤᵥₓ")
_FOR_TERMINAL = (
    (r"\\[dt]frac(?![a-zA-Z])", r"\\frac"),
    (r"\\ne(?![a-zA-Z])", r"\\neq"),  # pylatexenc knows one of the two names
    (r"\\\||\\Vert(?![a-zA-Z])", "‖"),
    (r"\\(det|log)(?![a-zA-Z])\s*", r"\1 "),  # it drops the one, and runs the other into its argument
    (r"\\mathbb\s*\{?R\}?", "ℝ"),
    (r"(\\[a-zA-Z]+)(?=[_^])", r"\1{}"),  # so that a script does not become part of the name
    (r"\^\{?\\top\}?", "ᵀ"),
    (_SYMBOL.pattern, r"\1{} "),  # TeX drops a space behind a name, readers of Unicode want it
)


def _for_terminal(latex: str) -> str:
    """Sub- and superscripts by Unicode's where it has them, in braces where they are longer than a letter or a name."""
    for pattern, written in _FOR_TERMINAL:
        latex = re.sub(pattern, written, latex)

    def script(sign: str, table: dict[int, int], match: re.Match[str]) -> str:
        body = match[1] or match[2]
        if all(ord(c) in table for c in body):
            return body.translate(table)
        if len(body) == 1 or re.fullmatch(r"\\[a-zA-Z]+", body):
            return f"{sign}{{{body}}}"
        return f"{sign}\\{{{body}\\}}"

    body = r"(?:\{((?:[^{}]|\{\})+)\}|([\w+*]))"
    latex = re.sub(rf"\^{body}", lambda match: script("^", _SUPERSCRIPTS, match), latex)
    return re.sub(rf"_{body}", lambda match: script("_", _SUBSCRIPTS, match), latex)
