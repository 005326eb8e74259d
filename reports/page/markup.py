"""The markup of a line of ours for each medium: formulas as MathML in pages, code in Markdown, Unicode on terminals."""

import html
import math
import re
import warnings
from functools import cache

from metarep.reports.page.formulas import inline_formula, markdown_formula

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
"""The markup of a line of ours: $LaTeX$, `code`, **bold**, [[VERDICT]], ``[label](link)``."""
LINK = re.compile(r"#[\w.:-]+|https://[^\s\"'<>()]+")
"""Where a link may lead; others are shown as they are written."""


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
            parts.append(inline_formula(value))
        elif kind == "code":
            parts.append(f"<code>{_code(value)}</code>")
        elif kind == "bold":
            parts.append(f"<strong>{html.escape(value)}</strong>")
        elif kind == "badge":
            parts.append(f'<span class="verdict {value.lower()}">{value.replace("_", " ").lower()}</span>')
        elif LINK.fullmatch(match["link"]):
            parts.append(f'<a href="{html.escape(match["link"])}">{html.escape(value)}</a>')
        else:
            parts.append(_plain_html(match[0]))
    parts.append(_plain_html(line[position:]))
    return _FORMULA_END.sub(r'<span class="keep">\1\2</span>', "".join(parts))


def inline_markdown(line: str) -> str:
    """A line of our markup as Markdown, in which nothing is an element of HTML."""
    parts: list[str] = []
    position = 0
    for match in _INLINE.finditer(line):
        parts.append(plain_markdown(line[position : match.start()]))
        position = match.end()
        if match["math"]:
            parts.append(markdown_formula(match["math"]))
        elif match["badge"]:
            parts.append(f"**{match['badge']}**")
        elif match["code"] or (match["link"] and LINK.fullmatch(match["link"])):
            parts.append(match[0])
        elif match["bold"]:
            parts.append(f"**{plain_markdown(match['bold'])}**")
        else:
            parts.append("\\" + plain_markdown(match[0]))
    return "".join([*parts, plain_markdown(line[position:])])


def plain_markdown(text: str) -> str:
    """Text that is no markup, for Markdown: no element of HTML, no link, no emphasis by the scripts of its symbols."""
    text = re.sub(r"<(?=[\w/!?])|&(?=#|\w+;)", lambda sign: html.escape(sign[0]), text)
    return re.sub(r"[*_`](?=\S)|(?<=\])[:(]|\[(?=[ xX]\])", r"\\\g<0>", text)


def plain_line(text: str) -> str:
    """Words of the engine, which are no markup of ours, with nothing in them taken for it."""
    for sign, instead in (("`", "'"), ("**", "*"), ("[[", "[ ["), ("](", "] ("), ("$", "＄")):
        text = text.replace(sign, instead)
    return text


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
        try:
            written = LatexNodes2Text(math_mode="text").latex_to_text(_for_terminal(latex))
        except (LookupError, AttributeError, TypeError, ValueError, RecursionError):  # it trusts its input
            written = latex
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
