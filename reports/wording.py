"""Formulas between dollar signs, for each medium: MathML for pages, Unicode for terminals, as they are for Markdown."""

import html
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
    """A size to one digit, as a formula: 5e-10 is $5 \\times 10^{-10}$."""
    digit, exponent = f"{value:.0e}".split("e")
    lead = "" if digit == "1" else rf"{digit} \times "
    return f"${lead}10^{{{int(exponent)}}}$"


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
    if "\\" in html.unescape(element):
        raise ValueError(f"cannot typeset {latex!r}; allowed: LaTeX that latex2mathml knows")
    return element


def _without_unknown(latex: str) -> str:
    # Names that the converter lacks or renders wrongly, by ones that it has.
    return latex.replace(r"\dfrac", r"\frac").replace(r"\tfrac", r"\frac").replace(r"\text{tr}", r"\operatorname{tr}")


def typeset(latex: str, display: bool = False) -> str:
    """MathML, or the source in a code element without backslashes where the converter does not know it."""
    try:
        return mathml(latex, display)
    except ValueError:
        return f'<code class="untypeset">{html.escape(latex.replace(chr(92), ""))}</code>'


def inline_html(line: str) -> str:
    """A line of our markup as HTML, everything else escaped."""
    parts: list[str] = []
    position = 0
    for match in _INLINE.finditer(line):
        parts.append(html.escape(line[position : match.start()]))
        position = match.end()
        kind = match.lastgroup if match.lastgroup != "link" else "label"
        value = match[kind or ""]
        if kind == "math":
            parts.append(typeset(value))
        elif kind == "code":
            parts.append(f"<code>{html.escape(value)}</code>")
        elif kind == "bold":
            parts.append(f"<strong>{html.escape(value)}</strong>")
        elif kind == "badge":
            parts.append(f'<span class="verdict {value.lower()}">{value.replace("_", " ").lower()}</span>')
        else:
            parts.append(f'<a href="{html.escape(match["link"])}">{html.escape(value)}</a>')
    parts.append(html.escape(line[position:]))
    return "".join(parts)


def inline_markdown(line: str) -> str:
    """A line of our markup as Markdown: it is, but for verdicts."""
    return re.sub(r"\[\[([A-Z_]+)\]\]", r"**\1**", line)


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
_SUPERSCRIPTS = str.maketrans("0123456789+-=()nTijk", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁼⁽⁾ⁿᵀⁱʲᵏ")
_SUBSCRIPTS = str.maketrans("0123456789+-=()aeijkmnoprstuvx", "₀₁₂₃₄₅₆₇₈₉₊₋₌₍₎ₐₑᵢⱼₖₘₙₒₚᵣₛₜᵤᵥₓ")


def _for_terminal(latex: str) -> str:
    """Short sub- and superscripts by Unicode's, where it has them; ᵀ for the transpose."""
    latex = latex.replace(r"^\top", "ᵀ").replace(r"^{\top}", "ᵀ")
    latex = _SYMBOL.sub(r"\1{} ", latex)  # TeX drops a space behind a name, readers of Unicode want it

    def script(table: dict[int, int], match: re.Match[str]) -> str:
        body = match[1] or match[2]
        return body.translate(table) if all(ord(c) in table for c in body) else match[0]

    latex = re.sub(r"\^(?:\{([^{}\\]+)\}|(\w|\+))", lambda match: script(_SUPERSCRIPTS, match), latex)
    return re.sub(r"_(?:\{([^{}\\]+)\}|(\w))", lambda match: script(_SUBSCRIPTS, match), latex)
