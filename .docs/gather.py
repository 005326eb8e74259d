"""What the site is made of: files of the repository where they are, a page of the API for each room, and a report."""

import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

from metarep.reports.page.formulas import typeset

ROOT = Path(__file__).parent.parent
GUIDES = ("README.md", "theory/README.md", "sim/README.md", "reports/README.md", "tests/README.md")
ROOMS = (
    "sim",
    "theory.calculus",
    "theory.dynamics",
    "theory.inequalities",
    "theory.claims",
    "theory.certificates",
    "theory.engine",
    "reports.page",
    "reports.chapters",
    "reports.study",
    "reports.sweep",
)
"""Packages with a page of the API each, with all that is in them."""
REPORT = "out/report.html"
"""Where README's first command writes a report; the site has it as an example if it is there."""
_LINK = re.compile(r"\]\(([^)#:\s]+)[^)]*\)")
_CODE = re.compile(r"(^```.*?^```|`[^`\n]*`)", re.MULTILINE | re.DOTALL)
_FORMULA = re.compile(r"\$([^$\n]+)\$")


def on_config(config: Any) -> Any:
    """The pages of the API, and the report if there is one."""
    config.nav.append({"API": [{"metarep": "api/metarep.md"}, *({room: f"api/{room}.md"} for room in ROOMS)]})
    if (ROOT / REPORT).exists():
        config.nav.append({"A report": "report.md"})
    return config


def on_files(files: Files, config: Any) -> Files:
    """The guides, what they link to, and pages that only name what their text is made of."""
    linked = {
        str((ROOT / guide).parent.joinpath(link).resolve().relative_to(ROOT))
        for guide in GUIDES
        for link in _LINK.findall(_CODE.sub("", (ROOT / guide).read_text(encoding="utf-8")))
    }
    here = [*GUIDES, *sorted(path for path in linked - set(GUIDES) if (ROOT / path).is_file())]
    for uri in here:
        files.append(File.generated(config, uri, abs_src_path=str(ROOT / uri)))
    for name in ("metarep", *ROOMS):
        full = name if name == "metarep" else f"metarep.{name}"
        only = "\n    options:\n      members: false\n" if name == "metarep" else ""  # its names are in the rooms
        files.append(File.generated(config, f"api/{name}.md", content=f"# {full}\n\n::: {full}{only}\n"))
    if (ROOT / REPORT).exists():
        files.append(File.generated(config, "report.html", abs_src_path=str(ROOT / REPORT)))
        content = "# A report\n\n[What `metarep report` writes](report.html).\n"
        files.append(File.generated(config, "report.md", content=content))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Formulas as the report has them: no script is needed, nor fetched."""
    parts = _CODE.split(markdown)  # code is every second one
    parts[::2] = [_FORMULA.sub(lambda formula: typeset(formula[1]), part) for part in parts[::2]]
    return "".join(parts)
