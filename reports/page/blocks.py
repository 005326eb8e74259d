"""What a report is made of: sections of blocks, stated once and written as a page or as Markdown.

Every string is a line of the markup of ``metarep.reports.page.markup``: $LaTeX$, `code`, **bold**, [[VERDICT]],
``[label](link)``.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Paragraph:
    """A paragraph."""

    text: str


@dataclass(frozen=True)
class Items:
    """A list, one line each."""

    items: tuple[str, ...]


@dataclass(frozen=True)
class Facts:
    """Terms with what is to be said of each."""

    facts: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Equations:
    """Lines of LaTeX, (left side, right side)."""

    lines: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Table:
    """Rows under a header; the columns in ``numeric`` are aligned to the right."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numeric: frozenset[int] = frozenset()
    caption: str = ""


@dataclass(frozen=True)
class Values:
    """Numbers and matrices side by side: LaTeX of what stands before it, and its parts, each rows of text (a number is
    text alone). ``text`` is the same in lines, for Markdown.
    """

    values: tuple[tuple[str, tuple[str | tuple[tuple[str, ...], ...], ...]], ...]
    text: str


@dataclass(frozen=True)
class Code:
    """Lines to be typed or data to be copied."""

    text: str


@dataclass(frozen=True)
class Picture:
    """A figure: files of one or more panels (name, svg), one text for those who do not see it, a caption, and a file of
    what is drawn (name, CSV text) beside them; ``pdf``: the panels as such files (name, pdf), where they are wanted.
    """

    panels: tuple[tuple[str, bytes], ...]
    alt: str
    caption: str = ""
    data: tuple[str, str] | None = None
    pdf: tuple[tuple[str, bytes], ...] = ()


@dataclass(frozen=True)
class Graph:
    """A drawing with links, as an SVG element; ``file`` is the same for a folder of figures, with ``data`` (name, CSV
    text) beside it.
    """

    name: str
    svg: str
    style: str
    caption: str
    alt: str
    file: str
    data: tuple[str, str] | None = None


@dataclass(frozen=True)
class Details:
    """Blocks behind a line that opens them. ``anchor``: what links point to, of one that is an entry of a list;
    ``found_by`` what a reader may look for it by: (name, words) of each.
    """

    summary: str
    blocks: tuple["Block", ...]
    anchor: str = ""
    found_by: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Beside:
    """Blocks with a picture at their side, or below them where there is no room."""

    blocks: tuple["Block", ...]
    picture: Picture


@dataclass(frozen=True)
class Long:
    """Blocks that are too long for a page, which has a line instead, and the same as ``data`` (name, CSV text)."""

    line: str
    blocks: tuple["Block", ...]
    data: tuple[str, str]


@dataclass(frozen=True)
class Finder:
    """Where a reader looks for entries by text and by choices: (name, words shown, [(value, words shown), ...])."""

    choices: tuple[tuple[str, str, tuple[tuple[str, str], ...]], ...]


Block = (
    Paragraph | Items | Facts | Equations | Table | Values | Code | Picture | Graph | Details | Beside | Long | Finder
)


@dataclass(frozen=True)
class Section:
    """A heading with blocks and further sections below it. ``anchor`` is what links point to, ``short`` what a list of
    chapters says.
    """

    anchor: str
    title: str
    blocks: tuple[Block, ...] = ()
    sections: tuple["Section", ...] = ()
    short: str = ""
    apart: bool = False
    """Whether it is too long for a summary: in Markdown it is a file of its own."""


@dataclass(frozen=True)
class Document:
    """A report: a title, a line below it, blocks before the first section, sections; and the figures that stand in the
    folder of figures alone, each with the name of its chapter.
    """

    title: str
    subtitle: str
    opening: tuple[Block, ...]
    sections: tuple[Section, ...]
    files: tuple[tuple[str, Picture], ...] = ()
