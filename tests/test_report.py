"""The report, made small: its files, their shape, that it is the same twice, and that every formula of the catalogue is
typeset.
"""

import dataclasses
import io
import json
import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from html.parser import HTMLParser

import cmarkgfm
import numpy as np
import pytest
from matplotlib.backends.backend_svg import FigureCanvasSVG
from small_report import TINY_CLAIMS, tiny_results

from metarep.reports.chapters.chapter import Chapter, ReportProfile
from metarep.reports.chapters.contents import CHAPTERS
from metarep.reports.chapters.limits import limits
from metarep.reports.chapters.rates.table import RateRecord
from metarep.reports.cli.app import run
from metarep.reports.page import blocks
from metarep.reports.page import rendering as pages
from metarep.reports.page.formulas import breakable, mathml
from metarep.reports.page.markup import inline_html, inline_markdown, inline_text, power
from metarep.reports.page.style import INK, draw_run, middle, rendered, style
from metarep.reports.page.svg import inline_svg
from metarep.reports.report.document import document, report_data
from metarep.reports.report.figure_files import figure_files
from metarep.reports.report.gather import PROFILES, gather, partial
from metarep.reports.report.schema import VARYING
from metarep.sim.outcomes import Outcome
from metarep.theory.claims import catalogue
from metarep.theory.claims.record import Verdict


@pytest.fixture(scope="module")
def results(tiny_report):
    return tiny_report[0]


@pytest.fixture(scope="module")
def out(tiny_report):
    return tiny_report[1]


class Page(HTMLParser):
    """Everything in a page that a test asks for."""

    def __init__(self):
        super().__init__()
        self.ids, self.links, self.tags, self.sources, self.headings = [], [], set(), [], []

    def handle_starttag(self, tag, attrs):
        named = dict(attrs)
        self.tags.add(tag)
        if "id" in named:
            self.ids.append(named["id"])
        if tag == "a":
            self.links.append(named["href"])
        if re.fullmatch(r"h\d", tag):
            self.headings.append(int(tag[1]))
        self.sources += [named[name] for name in ("src", "srcset", "xlink:href") if name in named]


@pytest.fixture(scope="module")
def page(out):
    parsed = Page()
    parsed.feed((out / "report.html").read_text())
    return parsed


def test_the_files(out):
    written = {"report.html", "report.md", "claims.md", "maps.md", "report.json", "report.schema.json", "figures"}
    assert {path.name for path in out.iterdir()} == written
    names = {path.name for path in (out / "figures").iterdir()}
    assert {"figure-1.svg", "figure-1.csv"} <= names
    for path in (out / "figures").glob("*.svg"):
        ET.fromstring(path.read_bytes())
    assert (out / "report.html").stat().st_size < 5_000_000


def test_the_json_has_the_published_shape(out):
    def no_constant(name):
        raise AssertionError(f"{name} is not JSON")

    content = json.loads((out / "report.json").read_text(), parse_constant=no_constant)
    assert [claim["id"] for claim in content["claims"]] == list(TINY_CLAIMS)
    for claim in content["claims"]:
        assert {"id", "statement", "source", "status", "expected", "evidence"} <= set(claim)
        assert claim["status"] in {verdict.value for verdict in Verdict}
        assert claim["evidence"]
        for item in claim["evidence"]:
            assert {"kind", "examples", "worst_margin", "instance", "counterexample"} <= set(item)
    fields = [field.name for field in dataclasses.fields(RateRecord)]
    assert len(content["rates"]) == 5
    for record in content["rates"]:
        assert list(record) == fields


def test_a_page_of_its_own(page, out):
    """Nothing fetched, every link has its target, no heading level left out, formulas as MathML."""
    assert not page.tags & {"img", "iframe", "object"}
    assert all(source.startswith("#") for source in page.sources)  # the figures' own symbols
    text = (out / "report.html").read_text()
    assert not re.search(r"@import|url\((?!#)", text)
    assert len(page.ids) == len(set(page.ids))
    inside = [link for link in page.links if link.startswith("#")]
    assert {link[1:] for link in inside} <= set(page.ids)
    others = {link for link in page.links if not link.startswith(("#", "data:application/gzip;base64,"))}
    assert others == {"https://arxiv.org/abs/2202.03483"}  # nothing else leads away
    assert page.headings[0] == 1
    assert all(below - above <= 1 for above, below in zip(page.headings, page.headings[1:], strict=False))
    assert {"math", "svg", "details", "table"} <= page.tags


def test_what_is_not_shown_is_said_of_these_results(results, page):
    examples = sum(item.examples for claim in results.claims for item in claim.evidence if item.kind == "floats")
    said = "\n".join(limits(results))
    assert f"Profile tiny, seed 1: {examples} examples in floats" in said
    assert "Exact arithmetic" not in said  # no theorem was run
    assert page.ids.index("limits") < min(page.ids.index(anchor) for anchor in ("paper", "verdicts", "claims"))
    zero_head = replace(results.claims[0], id="theorem-fo-anil-centred")
    with_theorem = results.having({("claim", zero_head.id): zero_head})
    assert "[theorem-fo-anil-centred](#claim-theorem-fo-anil-centred)" in "\n".join(limits(with_theorem))


def test_no_backslash_survives(out):
    assert "\\" not in (out / "report.html").read_text()


def test_every_formula_of_the_catalogue_is_typeset():
    for claim in catalogue():
        for line in (claim.statement, claim.hypotheses, claim.remark):
            assert line.count("$") % 2 == 0, claim.id
            for formula in re.findall(r"\$([^$]+)\$", line):
                ET.fromstring(mathml(formula))
            assert "\\" not in inline_text(line), claim.id


STRUCTURE = {
    "frac",
    "left",
    "right",
    "bar",
    "hat",
    "mathrm",
    "mathcal",
    "mathbb",
    "operatorname",
    "text",
    "sqrt",
    "big",
}


def test_no_symbol_is_lost_on_a_terminal():
    """What the converter does not know it drops: every symbol that the catalogue uses must show up as something."""
    lines = " ".join(f"{claim.statement} {claim.hypotheses} {claim.remark}" for claim in catalogue())
    symbols = {name for name in re.findall(r"\\([a-zA-Z]+)", lines) if name not in STRUCTURE}
    assert {name for name in symbols if not inline_text(f"$a \\{name} b$")[1:-1].strip()} == set()
    assert inline_text(r"$\theta_i + \mu^\top\Sigma^{-1}\mu \ne \det A$") == "θᵢ + μᵀΣ⁻¹μ ≠ det A"
    assert inline_text(r"$w_{*,i}, R^{\min(d, 2k)}, \|x\|$") == "w_{*,i}, R^{min(d, 2k)}, ‖x‖"


def test_unknown_latex_is_refused():
    with pytest.raises(ValueError, match="nosuchmacro"):
        mathml(r"\nosuchmacro{x}")
    assert "\\" not in inline_html(r"so $\nosuchmacro{x}$")


def test_the_markdown_says_the_same(out, results):
    text = (out / "claims.md").read_text()
    for claim in results.claims:
        assert inline_markdown(claim.statement) in text
        assert f'<a id="claim-{claim.id}"></a>' in text
    targets = set(re.findall(r'<a id="([^"]+)">', text))
    assert set(re.findall(r"\]\(#([^)]+)\)", text)) <= targets
    for name in re.findall(r"\]\(figures/([^)]+)\)", text):
        assert (out / "figures" / name).is_file()


@pytest.mark.thorough
def test_the_same_seed_gives_the_same_report(results, out):
    """Numbers, page, figures and their data: all but what ``VARYING`` lists, and that is when and how long."""
    again = tiny_results()
    one, other = (report_data(r) for r in (results, again))
    assert {name for name in one if one[name] != other[name]} <= set(VARYING) == {"run"}
    again = replace(again, run=results.run)
    page = document(again)
    assert pages.html_page(page) == (out / "report.html").read_text()
    files = figure_files(page)[1]
    written = {path.name: path.read_bytes() for path in (out / "figures").iterdir()}
    assert {name: text if isinstance(text, bytes) else text.encode() for name, text in files.items()} == written


def unexpected(results):
    """The same results with a claim refuted."""
    bad = replace(results.claims[0], status=Verdict.REFUTED, as_expected=False)
    return results.having({("claim", bad.id): bad})


def test_jobs_beside_each_other_are_one_piece_of_work(monkeypatch):
    done, told = [], []

    def chapter(name, keys, **beside):
        jobs = [(key, done.append, (key,)) for key in keys]
        return Chapter(lambda _: None, name, jobs=lambda *_: jobs, **beside)

    others = chapter("others", [("others", "a"), ("others", "alone")], beside=lambda key: ("claim", key[1]))
    chapters = [chapter("claims", [("claim", "a"), ("claim", "b")]), others]
    monkeypatch.setattr("metarep.reports.report.gather.CHAPTERS", chapters)
    profile = ReportProfile("made up", 1.0, {"claims": None, "others": None})
    found = gather(profile, 0, lambda *counts: told.append(counts), jobs=1)
    assert done == [("claim", "a"), ("others", "a"), ("claim", "b"), ("others", "alone")]
    assert told == [(0, 4), (2, 4), (3, 4), (4, 4)]
    assert list(found.parts) == [("claim", "a"), ("claim", "b"), ("others", "a"), ("others", "alone")]


def test_what_looks_at_the_same_measurements_is_run_beside_them():
    beside = {chapter.name: chapter.beside for chapter in CHAPTERS}
    assert beside["mutants"](("mutants", "noise-floor-slopes")) == ("claim", "noise-floor-slopes")
    assert beside["samples"](("samples", "floor")) == ("claim", "noise-floor-fo-anil")
    assert beside["samples"](("samples", "growth")) == ("samples", "growth")


def test_an_unexpected_verdict_stands_out(results, one_drawing):
    page = pages.html_page(document(unexpected(results)))
    assert "1 of 3 is not as expected" in page
    assert "refuted" in page


def test_the_command_writes_a_report_and_replays_it(results, tmp_path, capsys, monkeypatch, one_drawing):
    """``report`` with what was gathered above for the whole catalogue; then ``claims`` and a replay of it."""
    monkeypatch.setattr("metarep.reports.report.gather.gather", lambda *_: results)
    monkeypatch.chdir(tmp_path)
    assert run(["report", "--out", "out"]) == 0
    assert "3 claims: 3 PROVED" in capsys.readouterr().out
    assert run(["claims", "--json"]) == 0
    listed = {claim["id"]: claim["status"] for claim in json.loads(capsys.readouterr().out)["claims"]}
    assert listed["right-factor-fo-anil"] == "PROVED"
    assert listed["update-anil"] == "NOT_RUN"
    assert run(["verify", "right-factor-fo-anil", "--replay", "out/report.json"]) == 0
    assert "holds" in capsys.readouterr().out
    # What is shown can be checked again by itself, too.
    content = json.loads((tmp_path / "out" / "report.json").read_text())
    example = content["claims"][1]["evidence"][1]["instance"]
    assert run(["verify", "right-factor-fo-anil", "--replay", json.dumps(example["drawn"]), "--json"]) == 0
    (again,) = json.loads(capsys.readouterr().out)["replayed"]
    assert again["example"] == example
    assert run(["verify", "right-factor-fo-anil", "--replay", "{"]) == 2
    assert "is not JSON" in capsys.readouterr().err
    # A stored instance that is not one any more is bad input.
    for item in content["claims"][1]["evidence"]:
        if item["instance"]:
            item["instance"]["drawn"] = {"alpha": 1}
    (tmp_path / "bad.json").write_text(json.dumps(content))
    assert run(["verify", "right-factor-fo-anil", "--replay", "bad.json"]) == 2
    assert capsys.readouterr().err.startswith("metarep: ")
    # An unexpected verdict is exit code 1, and the report is written all the same.
    false = unexpected(results)
    monkeypatch.setattr("metarep.reports.report.gather.gather", lambda *_: false)
    assert run(["report", "--out", "other", "--jobs", "1"]) == 1
    assert (tmp_path / "other" / "report.html").is_file()


# --- markup and figures


def test_markup_in_each_medium():
    line = "a **b** `c<d` [e](#f) $x^2 \\le y$ [[PROVED]]"
    page = inline_html(line)
    assert "<strong>b</strong>" in page
    assert "<code>c&lt;d</code>" in page
    assert '<a href="#f">e</a>' in page
    assert "<math" in page
    assert 'class="verdict proved"' in page
    assert inline_markdown(line) == r"a **b** `c<d` [e](#f) $`x^2 \le y`$ **PROVED**"
    assert inline_text(line) == "a b c<d e x² ≤ y PROVED"
    assert inline_html("<script>") == "&lt;script&gt;"


def test_long_formulas_can_be_broken_behind_signs_only():
    pieces = breakable(r"\nabla_B = v_i w_i^\top - \alpha (a + b) r_i - \|x - y\|, \quad c = -3")
    written = [piece.replace("{}", "").strip() for piece in pieces]
    assert written == [r"\nabla_B =", r"v_i w_i^\top -", r"\alpha (a + b) r_i -", r"\|x - y\|,", r"\quad c =", "-3"]
    assert breakable("a = b + c") == ["a = b + c"]


@pytest.mark.parametrize(("value", "formula"), [(5e-10, r"$5 \times 10^{-10}$"), (1e-6, "$10^{-6}$")])
def test_powers(value, formula):
    assert power(value) == formula


def test_a_table_cell_may_hold_a_norm():
    table = blocks.Table(("a|b",), (("$\\|x\\| < |y|$",),))
    lines = pages.markdown_page(blocks.Document("t", "s", (table,), ())).splitlines()
    rows = [line for line in lines if line.startswith("|")]
    assert [len(re.findall(r"(?<!\\)\|", row)) for row in rows] == [2, 2, 2]


def test_a_figure_is_drawn_as_matplotlib_draws_it():
    figure = draw_run("maml", np.arange(5), np.geomspace(1, 1e-3, 5)[:, None], np.array([Outcome.BLIND]))
    figure.axes[0].set_xlabel(r"$\frac{1}{c E_0}$")
    ours = [rendered(figure, "svg") for _ in range(2)]
    with style():
        figure.set_facecolor("white")
        theirs = io.BytesIO()
        FigureCanvasSVG(figure).print_svg(theirs, metadata={"Date": None, "Creator": None})
    assert ours == [theirs.getvalue()] * 2


def test_equal_figures_give_equal_bytes_and_ids_of_their_own():
    steps, dist = np.arange(5), np.geomspace(1, 1e-3, 5)[:, None] * np.ones((1, 2))
    ends = np.array([Outcome.MOVING, Outcome.BLIND])
    one, other = (rendered(draw_run("maml", steps, dist, ends), "svg") for _ in range(2))
    assert b"ends blind" in one
    assert b"diverges" not in one
    assert one == other
    inline = [inline_svg(one, name, "a run") for name in ("x", "y")]
    ids = [set(re.findall(r'\bid="([^"]+)"', text)) for text in inline]
    assert not ids[0] & ids[1]
    assert INK not in inline[0]
    assert 'aria-label="a run"' in inline[0]


def test_the_median_leaves_out_what_diverged():
    dist = np.array([[1.0, 1.0, 1.0], [0.5, np.nan, 0.1], [np.nan, np.nan, np.nan]])
    np.testing.assert_array_equal(middle(dist), [1.0, 0.3, np.nan])


def test_github_takes_no_sign_of_a_formula_for_emphasis(out):
    """Between the signs of a formula GitHub's own parser finds code, in tables too."""
    text = (out / "report.md").read_text()
    shown = cmarkgfm.github_flavored_markdown_to_html(text)
    assert len(re.findall(r"\$<code>[^<]*</code>\$", shown)) == text.count("$`") > 100
    assert "|" not in "".join(re.findall(r"\$`([^`]*)`\$", text))


@pytest.mark.thorough
def test_a_chapter_alone_is_what_its_command_makes_again(results, out, one_drawing):
    size = partial(PROFILES["quick"], (), ("rates",))
    wanted = [chapter for chapter in CHAPTERS if chapter.name in size.sizes]
    assert {job[0][0] for chapter in wanted for job in chapter.jobs(size, 0)} == {"rates", "rates-grid", "exported"}
    parts = {key: part for key, part in results.parts.items() if key[0] in ("rates", "rates-grid")}
    alone = document(replace(results, parts=parts, only=("rates",)), pdf=True)
    _, files = figure_files(alone)
    assert {name for name in files if name.endswith(".pdf")} == {
        name.replace(".svg", ".pdf") for name in files if name.startswith("rates-") and name.endswith(".svg")
    }
    assert not list((out / "figures").glob("*.pdf"))
    html = pages.html_page(alone)
    assert "A partial report:" in html
    for page in (html, (out / "report.html").read_text()):
        assert "metarep report --only rates --profile " in page
