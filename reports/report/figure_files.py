"""The figures of a report as files: each with its SVG files, the CSV of what they show, and what is said of them."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from metarep.reports.chapters import mutants
from metarep.reports.chapters.overview import figure_1_whole
from metarep.reports.page import blocks as b
from metarep.reports.page.markup import inline_markdown
from metarep.reports.page.output import as_csv
from metarep.reports.report.gather import Results

FOLDER = "figures"
TOP, TOP_PREFIX = "top", "top-"
"""Anchor of what stands before the chapters; its panels are those of chapters once more, under names with a prefix."""


@dataclass(frozen=True)
class FigureFiles:
    """One figure: the anchor of its chapter, its SVG files and the names of the CSV files beside them, its words."""

    chapter: str
    svg: dict[str, str | bytes]
    data: tuple[str, ...]
    alt: str
    caption: str

    def as_dict(self) -> dict[str, Any]:
        """The figure as the report's JSON has it."""
        return {
            "chapter": self.chapter,
            "svg": [f"{FOLDER}/{name}" for name in self.svg],
            "csv": [f"{FOLDER}/{name}" for name in self.data],
            "alt": self.alt,
            "caption": inline_markdown(self.caption),
        }


def figure_files(page: b.Document, results: Results) -> tuple[list[FigureFiles], dict[str, str | bytes]]:
    """All figures of a report, and every file of theirs by name.

    Raises:
        ValueError: a figure has no data.
    """
    tables = _drawings_data(results)
    found: list[FigureFiles] = []
    for section in page.sections:
        for block in blocks_of(section):
            if isinstance(block, b.Picture):
                found.append(_picture(section.anchor, block, tables))
            elif isinstance(block, b.Graph) and block.file:
                svg: dict[str, str | bytes] = {f"{block.name}.svg": block.file}
                found.append(FigureFiles(section.anchor, svg, (f"{block.name}.csv",), block.alt, block.caption))
    found += [_picture("figure-1", picture, tables) for picture in figure_1_whole(results)]
    source = {name: figure.data for figure in found for name in figure.svg}
    for block in flat(page.opening):
        if isinstance(block, b.Picture):
            svg = {f"{name}.svg": content for name, content in block.panels}
            data = dict.fromkeys(table for name in svg for table in source[name.removeprefix(TOP_PREFIX)])
            found.append(FigureFiles(TOP, svg, tuple(data), block.alt, block.caption))
    files: dict[str, str | bytes] = {name: content for figure in found for name, content in figure.svg.items()}
    for name in dict.fromkeys(name for figure in found for name in figure.data):
        if name not in tables:
            raise ValueError(f"a figure's data {name} are missing; allowed: a picture with data")
        files[name] = tables[name]
    return found, files


def _picture(chapter: str, picture: b.Picture, tables: dict[str, str]) -> FigureFiles:
    """Puts the picture's table among the tables."""
    if picture.data is None:
        raise ValueError(f"the figure {picture.panels[0][0]!r} has no data; allowed: a picture with data")
    name, text = picture.data
    tables[name] = text
    svg: dict[str, str | bytes] = {f"{panel}.svg": content for panel, content in picture.panels}
    return FigureFiles(chapter, svg, (name,), picture.alt, picture.caption)


def _drawings_data(results: Results) -> dict[str, str]:
    """The data of the drawings of claims: what rests on what; which claim refutes which fault."""
    edges = [(c["id"], c["status"], base) for c in results.claims for base in c["rests_on"] or ("",)]
    tables = {"claims-graph.csv": as_csv(("claim", "status", "rests on"), edges)}
    if (matrix := mutants.matrix_of(results.extra)) is not None:
        tables["mutants-matrix.csv"] = mutants.matrix_csv(matrix)
    return tables


# --- walking through a document ---------------------------------------------------------------------------------------


def flat(blocks: Iterable[b.Block]) -> Iterator[b.Block]:
    """Blocks with those behind a line that opens them, in order."""
    for block in blocks:
        yield block
        if isinstance(block, b.Details):
            yield from flat(block.blocks)


def blocks_of(section: b.Section) -> Iterator[b.Block]:
    """Every block of a section and of those below it, in order."""
    yield from flat(section.blocks)
    for below in section.sections:
        yield from blocks_of(below)


def every_block(page: b.Document) -> Iterator[b.Block]:
    """Every block of a document, in its order."""
    yield from flat(page.opening)
    for section in page.sections:
        yield from blocks_of(section)


def pictures(page: b.Document) -> Iterator[b.Picture]:
    """Every figure of a document, in its order."""
    return (block for block in every_block(page) if isinstance(block, b.Picture))
