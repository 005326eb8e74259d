"""The report: results made into one document, and that into a page, Markdown, JSON and figure files."""

from pathlib import Path
from typing import Any

from metarep.reports.chapters.chapter import Results
from metarep.reports.chapters.contents import CHAPTERS
from metarep.reports.page import blocks as b
from metarep.reports.page.charts import PDF
from metarep.reports.page.markup import inline_markdown
from metarep.reports.page.output import as_json, plain, write_files
from metarep.reports.page.rendering import html_page, markdown_pages
from metarep.reports.report.figure_files import FOLDER, figure_files
from metarep.reports.report.opening import opening
from metarep.reports.report.schema import FORMAT, SCHEMA_FILE, SCHEMA_LINE, ChapterRecord, FigureRecord, report_schema
from metarep.theory.work.processes import working

TITLE = "Do MAML and ANIL learn the representation?"


def _written(place: int, results: Results, pdf: bool) -> tuple[b.Section | None, tuple[b.Picture, ...]]:
    """What the chapter at this place says, and its figures beside."""
    chapter, before = CHAPTERS[place], PDF.set(pdf)
    try:
        return chapter.section(results), chapter.files(results)
    finally:
        PDF.reset(before)


def document(results: Results, jobs: int = 1, pdf: bool = False) -> b.Document:
    """The whole report, its chapters written by so many processes; -1 for as many as there are cores. ``pdf``: its
    charts have PDF files too.
    """
    total = len(results.claims)
    subtitle = (
        f"{'Partial: ' if results.only else ''}{total} claims about representation learning by gradient-based "
        "meta-learning, checked. After Collins, Mokhtari, Oh and Shakkottai, ICML 2022. Profile "
        f"{results.profile.name}, seed {results.seed}."
    )
    tasks = [(_written, (place, results, pdf)) for place in range(len(CHAPTERS))]
    with working(tasks, jobs, len(tasks), ordered=True) as chapters:
        written = list(zip(CHAPTERS, chapters, strict=True))
    sections = tuple(section for _, (section, _) in written if section is not None)
    files = tuple((chapter.name, picture) for chapter, (_, pictures) in written for picture in pictures)
    return b.Document(TITLE, subtitle, opening(results, sections), sections, files)


def report_data(results: Results) -> dict[str, Any]:
    """The report's numbers as JSON has them; what differs between equal runs is under ``VARYING`` alone."""
    return plain(
        {
            "format": FORMAT,
            "profile": results.profile.name,
            "effort": results.profile.effort,
            "only": results.only,
            "seed": results.seed,
            "versions": results.versions,
            **{name: function(results) for chapter in CHAPTERS for name, function in chapter.record.items()},
        }
    )


def page_data(page: b.Document, figures: tuple[FigureRecord, ...]) -> dict[str, Any]:
    """What the page says besides the numbers: its answer in lines of Markdown, its chapters, its figures."""
    lines = (line for block in page.opening if isinstance(block, b.Items) for line in block.items)
    chapters = [ChapterRecord(section.anchor, section.title) for section in page.sections]
    return {"title": page.title, "answer": [*map(inline_markdown, lines)], "chapters": chapters, "figures": figures}


def write_report(results: Results, out: Path, jobs: int = 1, pdf: bool = False) -> list[Path]:
    """Write report.html, report.md, report.json with its schema, and figures/ into the folder; returns the paths of all
    but the figures. An older report that is there stays whole until the new one is, however this ends. ``jobs``,
    ``pdf``: as in ``document``.
    """
    page = document(results, jobs, pdf)
    figures, files = figure_files(page)
    written = {
        "report.html": html_page(page),
        **markdown_pages(page),
        "report.json": as_json({**SCHEMA_LINE, **page_data(page, figures), **report_data(results)}) + "\n",
        SCHEMA_FILE: as_json(report_schema()) + "\n",
    }
    write_files(out, {f"{FOLDER}/{name}": content for name, content in files.items()} | written)
    return [out / name for name in written]
