"""The figures of a report as files: each with its SVG files, the CSV of what they show, and what is said of them."""

from collections.abc import Iterable, Iterator

from metarep.reports.page import blocks as b
from metarep.reports.page.markup import inline_markdown
from metarep.reports.report.schema import FigureRecord

FOLDER = "figures"
TOP, TOP_PREFIX = "top", "top-"
"""Anchor of what stands before the chapters; its panels are those of chapters once more, under names with a prefix."""


def figure_files(page: b.Document) -> tuple[tuple[FigureRecord, ...], dict[str, str | bytes]]:
    """All figures of a report, and every file of theirs by name.

    Raises:
        ValueError: a figure has no data.
    """
    files: dict[str, str | bytes] = {}
    shown: list[FigureRecord] = []
    source: dict[str, str] = {}
    """The data of each panel, by its name."""

    def add(chapter: str, figure: b.Picture | b.Graph) -> None:
        panels = figure.panels if isinstance(figure, b.Picture) else ((figure.name, figure.file),)
        if figure.data is not None:
            files[figure.data[0]] = figure.data[1]
            source.update((name, figure.data[0]) for name, _ in panels)
        if missing := [name for name, _ in panels if name.removeprefix(TOP_PREFIX) not in source]:
            raise ValueError(f"the figure {missing[0]!r} has no data; allowed: a picture with data")
        files.update((f"{name}.svg", content) for name, content in panels)
        if isinstance(figure, b.Picture):
            files.update((f"{name}.pdf", content) for name, content in figure.pdf)
        data = dict.fromkeys(f"{FOLDER}/{source[name.removeprefix(TOP_PREFIX)]}" for name, _ in panels)
        svg = tuple(f"{FOLDER}/{name}.svg" for name, _ in panels)
        shown.append(FigureRecord(chapter, svg, tuple(data), figure.alt, inline_markdown(figure.caption)))

    for section in page.sections:
        for block in blocks_of(section):
            if isinstance(block, b.Picture | b.Graph):
                add(section.anchor, block)
    for name, picture in page.files:
        add(name, picture)
    for block in flat(page.opening):
        if isinstance(block, b.Picture):
            add(TOP, block)
    return tuple(shown), files


# --- walking through a document


def flat(blocks: Iterable[b.Block]) -> Iterator[b.Block]:
    """Blocks with those behind a line that opens them, in order."""
    for block in blocks:
        yield block
        if isinstance(block, b.Details | b.Beside):
            yield from flat(block.blocks)
        if isinstance(block, b.Beside):
            yield block.picture


def blocks_of(section: b.Section) -> Iterator[b.Block]:
    """Every block of a section and of those below it, in order."""
    yield from flat(section.blocks)
    for below in section.sections:
        yield from blocks_of(below)


def pictures(section: b.Section) -> Iterator[b.Picture]:
    """Every figure of a section, in its order."""
    return (block for block in blocks_of(section) if isinstance(block, b.Picture))
