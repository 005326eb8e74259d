"""The report: results made into one document, and that into a page, Markdown, JSON and figure files."""

from pathlib import Path
from typing import Any

from metarep.reports.chapters.chapter import Results
from metarep.reports.chapters.contents import CHAPTERS
from metarep.reports.page import blocks as b
from metarep.reports.page.markup import inline_markdown
from metarep.reports.page.output import as_json, make_folder, plain, write_file
from metarep.reports.page.rendering import html_page, markdown_page
from metarep.reports.report.figure_files import FOLDER, figure_files
from metarep.reports.report.opening import opening
from metarep.reports.report.schema import (
    FORMAT,
    SCHEMA_FILE,
    SCHEMA_LINE,
    ChapterRecord,
    FigureRecord,
    HeadPart,
    PagePart,
    report_schema,
)

TITLE = "Do MAML and ANIL learn the representation?"


def document(results: Results) -> b.Document:
    """The whole report."""
    total = len(results.claims)
    subtitle = (
        f"{total} claims about representation learning by gradient-based meta-learning, checked. After Collins, "
        f"Mokhtari, Oh and Shakkottai, ICML 2022. Profile {results.profile.name}, seed {results.seed}."
    )
    sections = tuple(section for chapter in CHAPTERS if (section := chapter.section(results)) is not None)
    return b.Document(TITLE, subtitle, opening(results, sections), sections)


def report_data(results: Results) -> dict[str, Any]:
    """The report's numbers as JSON has them; what differs between equal runs is under ``VARYING`` alone."""
    profile = results.profile
    head = HeadPart(FORMAT, profile.name, profile.effort, results.seed, results.versions)
    data = plain(head)
    for chapter in CHAPTERS:
        if chapter.record is not None:
            data |= plain(chapter.record(results))
    return data


def page_data(page: b.Document, figures: tuple[FigureRecord, ...]) -> PagePart:
    """What the page says besides the numbers: its answer in lines of Markdown, its chapters, its figures."""
    answer = tuple(
        inline_markdown(line) for block in page.opening if isinstance(block, b.Items) for line in block.items
    )
    chapters = tuple(ChapterRecord(section.anchor, section.title) for section in page.sections)
    return PagePart(page.title, answer, chapters, figures)


def write_report(results: Results, out: Path) -> list[Path]:
    """Write report.html, report.md, report.json with its schema, and figures/ into the folder; returns the paths of
    all but the figures."""
    page = document(results)
    figures, files = figure_files(page, results)
    make_folder(out / FOLDER)
    for name, content in files.items():
        write_file(out / FOLDER / name, content)
    written = {
        "report.html": html_page(page),
        "report.md": markdown_page(page),
        "report.json": as_json({**SCHEMA_LINE, **plain(page_data(page, figures)), **report_data(results)}) + "\n",
        SCHEMA_FILE: as_json(report_schema()) + "\n",
    }
    for name, content in written.items():
        write_file(out / name, content)
    return [out / name for name in written]
