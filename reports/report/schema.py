"""The JSON Schema of report.json (draft 2020-12), made from the types of what goes into it.

``metarep report`` writes it beside each report. A record lists all of its fields and allows no others; what depends on
the claim (an example, a measurement's details) is open.
"""

import inspect
from dataclasses import dataclass, make_dataclass
from functools import cache
from typing import Annotated, Any, Literal, get_type_hints

from pydantic import ConfigDict, Field, TypeAdapter
from pydantic.json_schema import GenerateJsonSchema

from metarep.reports.chapters.chapter import Count
from metarep.reports.chapters.contents import CHAPTERS
from metarep.theory.claims.record import Verdict

FORMAT = 3
"""The number of report.json's format; another one whenever a field is added, dropped or changes its meaning."""
VARYING = ("run",)
"""The fields in which reports of equal seeds, profiles and versions may differ."""
SCHEMA_FILE = "report.schema.json"
SCHEMA_LINE = {"$schema": f"./{SCHEMA_FILE}"}
"""With this report.json names its schema, which lies beside it; editors look for it under this name."""

Schema = dict[str, Any]


@dataclass(frozen=True)
class ChapterRecord:
    """A chapter."""

    anchor: str
    """What links lead to."""
    title: str
    """Its title."""


@dataclass(frozen=True)
class FigureRecord:
    """A figure of the page."""

    chapter: str
    """Anchor of its chapter; 'top' before the first one."""
    svg: tuple[str, ...]
    """Its panels' files."""
    csv: tuple[str, ...]
    """Files of what it shows."""
    alt: str
    """What is seen, in words."""
    caption: str
    """Its caption, in Markdown."""


_OWN: tuple[tuple[str, Any, str], ...] = (
    ("title", str, "The report's title."),
    ("answer", tuple[str, ...], "What was found, in a few lines of Markdown."),
    ("chapters", tuple[ChapterRecord, ...], "The chapters of report.html and report.md."),
    ("figures", tuple[FigureRecord, ...], "The figures with their files, beside report.json."),
    ("format", Literal[FORMAT], "Number of this format; another one whenever it changes."),
    ("profile", str, "How much was run."),
    ("effort", float, "By how much every claim's examples are multiplied."),
    ("only", tuple[str, ...], "The claims (ids or patterns) that a partial report is of; empty if it is whole."),
    ("seed", Count, "Of all randomness."),
    ("versions", dict[str, str], "Versions of what the numbers depend on."),
)
"""The fields that are no chapter's: name, type, description."""


def _report_type() -> type:
    """The dataclass of report.json: its own fields and those of the chapters."""
    chapters = (
        (name, get_type_hints(function)["return"], inspect.getdoc(function))
        for chapter in CHAPTERS
        for name, function in chapter.record.items()
    )
    return make_dataclass(
        "Report",
        [(name, Annotated[kind, Field(description=words)]) for name, kind, words in (*_OWN, *chapters)],
        namespace={"__pydantic_config__": ConfigDict(use_attribute_docstrings=True)},
    )


class _Untitled(GenerateJsonSchema):
    """Without titles of fields, which only repeat their names."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


@cache
def report_schema() -> Schema:
    """The schema; not to be changed."""
    found = TypeAdapter(_report_type()).json_schema(mode="serialization", schema_generator=_Untitled)
    found["$defs"]["Verdict"] = {
        "description": "How strongly a claim is known; computed from the evidence, a counterexample beats all.",
        "oneOf": [{"const": verdict.value, "description": verdict.meaning} for verdict in Verdict],
    }
    named = {"$schema": {"const": SCHEMA_LINE["$schema"], "description": "This schema."}}
    for record in (found, *found["$defs"].values()):
        if "properties" in record:
            record |= {"required": list(record["properties"]), "additionalProperties": False}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:metarep:report:{FORMAT}",
        **found,
        "title": "A report of metarep",
        "description": "Written by 'metarep report'. A field that is null or empty was not run. Reports of equal "
        f"seeds, profiles, versions and kept seals differ in {', '.join(VARYING)} alone. No number is NaN or infinite: "
        "such a value is null.",
        "properties": {**named, **found["properties"]},
        "required": [*named, *found["required"]],
    }


def part_schema(name: str) -> Schema:
    """The schema of one field of the report alone."""
    whole = report_schema()
    return {**whole["properties"][name], "$defs": whole["$defs"]}
