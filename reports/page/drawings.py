"""How drawings look that are SVG elements with links: their style in pages and in files, how wide their labels are.

Colours are classes of the page's style (``verdict`` and the status), so that drawings follow light and dark; files get
``FILE_STYLE``.
"""

FILE_STYLE = """
.deps{background:#fcfcfa;color:#1d2430;font-family:system-ui,sans-serif}
.proved{--c:#0f6b46}.exact{--c:#17608f}.supported{--c:#5a4fa2}.measured{--c:#8a5a00}.refuted{--c:#b3261e}
.not_run{--c:#59616e}.deps{--ground:#fcfcfa;--ink:#1d2430;--soft:#59616e;--edge:#c6c8c9;--refuted:#b3261e;--link:#0b5a8f}
"""
"""What a drawing needs where no page is around it."""

STYLE = """
.deps text{font-size:11px;fill:var(--ink)}
.deps text.chapter{font-size:10px;font-weight:600;fill:var(--soft)}
.deps a{cursor:pointer;text-decoration:none}
.deps a:hover text,.deps a:focus-visible text{text-decoration:underline}
.deps a:focus-visible{outline:2px solid var(--link);outline-offset:1px}
.deps circle{fill:var(--c);stroke:var(--ground);stroke-width:1}
.deps text.mark{font-size:8.5px;font-weight:700;fill:var(--ground);text-anchor:middle}
.deps .label,.deps .chapter{paint-order:stroke;stroke:var(--ground);stroke-width:3px;stroke-linejoin:round}
.deps circle.ring{fill:none;stroke:var(--refuted);stroke-width:1.6}
.deps .undermined .label,.deps .undermined text.note{fill:var(--refuted)}
.deps .edge{fill:none;stroke:var(--edge);stroke-width:1}
.deps .edge.broken{stroke:var(--refuted);stroke-dasharray:5 3}
.deps:has(.node:hover) .edge,.deps:has(.node:focus-within) .edge{stroke-opacity:.35}
"""
"""Of every drawing, in pages and in files."""

_NARROW, _WIDE = frozenset("iljft-r"), frozenset("mw")


def label_width(text: str) -> float:
    """How wide a label is in DejaVu Sans, the widest of the usual fonts: no reader's font sticks out."""
    return sum(4.4 if letter in _NARROW else 10.6 if letter in _WIDE else 7.0 for letter in text)
