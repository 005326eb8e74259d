"""report.json: its published schema, which can be violated; the same content as the page; figures with their data."""

import copy
import csv
import json
import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from jsonschema import Draft202012Validator, ValidationError
from small_report import TINY_CLAIMS

from metarep.reports.chapters.changes import Stored, changed_line, changes
from metarep.reports.chapters.claims.records import ClaimRecord, EvidenceRecord
from metarep.reports.chapters.contents import CHAPTERS
from metarep.reports.chapters.experiments.figures import by_panel, drawn_envelope
from metarep.reports.chapters.rates.section import rates_of
from metarep.reports.chapters.rates.table import RateRecord
from metarep.reports.chapters.samples.runs import (
    FloorPoint,
    FloorSizes,
    RecoveryPoint,
    RecoverySetting,
    SamplesResults,
)
from metarep.reports.cli.app import run
from metarep.reports.page.markup import inline_markdown
from metarep.reports.page.output import as_json
from metarep.reports.report.document import report_data, write_report
from metarep.reports.report.schema import SCHEMA_FILE, VARYING, part_schema, report_schema
from metarep.reports.report.stored import comparable, stored_report
from metarep.theory.claims import get_claim
from metarep.theory.claims.record import Verdict
from metarep.theory.claims.samples.floor import FLOOR_SETTINGS


def strictly(text: str) -> Any:
    def no_constant(name: str) -> None:
        raise AssertionError(f"{name} is not JSON")

    return json.loads(text, parse_constant=no_constant)


@pytest.fixture(scope="module")
def results(tiny_report):
    return tiny_report[0]


@pytest.fixture(scope="module")
def out(tiny_report):
    return tiny_report[1]


@pytest.fixture(scope="module")
def report(out):
    return strictly((out / "report.json").read_text())


@pytest.fixture(scope="module")
def validator(out):
    return Draft202012Validator(strictly((out / SCHEMA_FILE).read_text()))


# --- the schema


def test_a_real_report_is_valid(report, validator, out):
    Draft202012Validator.check_schema(validator.schema)
    validator.validate(report)
    assert (out / report["$schema"]).name == SCHEMA_FILE


def records(schema: Any):
    """Every object with named fields in a schema."""
    if isinstance(schema, dict):
        if "properties" in schema and isinstance(schema.get("required"), list):
            yield schema
        for value in schema.values():
            yield from records(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from records(value)


def test_every_field_is_described_and_no_other_allowed():
    found = list(records(report_schema()))
    assert len(found) > 20
    for record in found:
        assert record["additionalProperties"] is False
        assert record["required"] == list(record["properties"])
        for name, field in record["properties"].items():
            assert len(field["description"]) > 1, name


def violations(validator: Draft202012Validator, content: Any) -> list[str]:
    return [error.json_path for error in validator.iter_errors(content)]


def test_a_field_that_is_gone_or_added_is_seen(report, validator):
    claim = ("claims", 1)
    places = ((), claim, (*claim, "evidence", 0), ("rates", 0), ("figures", 0), ("experiments", "figure-1", 0))
    fewer: dict[str, Any] = {name: value[:2] if isinstance(value, list) else value for name, value in report.items()}
    fewer["experiments"] = {name: curves[:1] for name, curves in report["experiments"].items()}
    assert not violations(validator, fewer)
    for place in places:
        content = copy.deepcopy(fewer)
        record: Any = content
        for step in place:
            record = record[step]
        for name in list(record):
            value = record.pop(name)
            assert violations(validator, content), (place, name)
            record[name] = value
        record["surplus"] = 1
        assert violations(validator, content), place


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("claims", 0, "status"), "BELIEVED"),
        (("claims", 0, "evidence", 0, "verdict"), "proved"),
        (("claims", 0, "evidence", 0, "examples"), -1),
        (("claims", 0, "evidence", 0, "worst_margin"), "1e-3"),
        (("claims", 0, "learners"), ["sgd"]),
        (("counts",), {"BELIEVED": 3}),
        (("rates", 0, "symbolic"), None),
        (("rates", 0, "outcome"), "fine"),
        (("format",), 0),
        (("figures", 0, "csv"), "figures/x.csv"),
        (("run", "seconds"), -1.0),
    ],
)
def test_a_wrong_value_is_seen(place, value, report, validator):
    content = copy.deepcopy(report)
    record = content
    for step in place[:-1]:
        record = record[step]
    assert record[place[-1]] != value
    record[place[-1]] = value
    assert any(path.startswith("$." + str(place[0])) for path in violations(validator, content))
    with pytest.raises(ValidationError):
        validator.validate(content)


def odd_rates(results):
    """The results with rates that are no numbers."""
    key = ("rates", "anil", "0")
    return results.having({key: replace(results.parts[key], empirical=float("nan"), envelope=float("-inf"))})


def test_numbers_that_json_does_not_have_are_null(results):
    read = strictly(as_json(report_data(odd_rates(results))))
    assert (read["rates"][0]["empirical"], read["rates"][0]["envelope"]) == (None, None)
    Draft202012Validator(part_schema("rates")).validate(read["rates"])


def test_finite_samples_have_the_published_shape():
    sizes = FloorSizes(**FLOOR_SETTINGS[0]._asdict(), beta=0.1)
    floor = FloorPoint(sizes, 0.005, 1e-3, 1e-3, 2e-3, 1.1e-3, 1e-5)
    found = SamplesResults((floor,), (), RecoverySetting(), (RecoveryPoint("anil", 5, 80, (0.1, 0.2), 1),))
    record = strictly(as_json(found))
    validator = Draft202012Validator(part_schema("samples"))
    validator.validate(record)
    del record["floor"][0]["setting"]["m_in"]
    assert violations(validator, record)


def test_no_two_chapters_have_a_name_or_a_field_in_common():
    names = [chapter.name for chapter in CHAPTERS if chapter.name]
    fields = [name for chapter in CHAPTERS for name in chapter.record]
    assert len(names) == len(set(names))
    assert len(fields) == len(set(fields))
    assert set(VARYING) <= set(fields) <= set(report_schema()["properties"])


# --- the same content


def test_page_markdown_and_json_have_the_same_claims_chapters_and_figures(out, report):
    page, text = (out / "report.html").read_text(), (out / "report.md").read_text()
    claims = (out / "claims.md").read_text()
    text = re.sub(r"\]\(\w+\.md#", "](#", text)  # as links are on the page
    on_page = set(re.findall(r'\bid="([^"]+)"', page))
    assert [claim["id"] for claim in report["claims"]] == list(TINY_CLAIMS)
    for claim in report["claims"]:
        assert f"claim-{claim['id']}" in on_page
        assert f'<a id="claim-{claim["id"]}"></a>' in claims
        assert inline_markdown(claim["statement"]) in claims
        assert claim["statement"] == get_claim(claim["id"]).statement
    chapters = [chapter["anchor"] for chapter in report["chapters"]]
    assert re.findall(r'<section id="([^"]+)" class="level2[^"]*">', page) == chapters
    assert re.findall(r'<a id="([^"]+)"></a>\n\n## ', text) == chapters
    for line in report["answer"]:
        assert line in text
    shown = [figure for figure in report["figures"] if f"]({figure['svg'][0]})" in text]
    assert [figure for figure in report["figures"] if figure not in shown] == [
        figure for figure in report["figures"] if figure["alt"].startswith("Figure 1 in one file")
    ]  # the page has its panels
    for figure in shown:
        assert figure["alt"] in text
        assert figure["caption"] in text
        assert all(f"]({svg})" in text for svg in figure["svg"])
        assert figure["chapter"] in {*chapters, "top"}
    assert page.count("<figure") == len(shown)


def table(path) -> tuple[list[str], list[list[str]]]:
    header, *rows = csv.reader(path.read_text(encoding="utf-8").splitlines())
    return header, rows


def test_every_figure_has_its_data_beside_it(out, report):
    named = {name for figure in report["figures"] for name in (*figure["svg"], *figure["csv"])}
    assert {f"figures/{path.name}" for path in (out / "figures").iterdir()} == named
    for figure in report["figures"]:
        assert figure["svg"]
        assert figure["csv"]
        for name in figure["csv"]:
            header, rows = table(out / name)
            assert all(not re.fullmatch(r"[-+.\deE]+", title) for title in header)
            assert rows
            assert {len(row) for row in rows} == {len(header)}


def test_the_data_are_what_is_drawn(out, results):
    header, rows = table(out / "figures" / "figure-1.csv")
    assert header == ["panel", "curve", "learner", "step", "trial", "dist", "outcome"]
    for result in by_panel(results.parts["figure-1",], "random"):
        drawn = [row for row in rows if row[:3] == ["random", result.curve.label, result.curve.learner]]
        last = [float(row[5]) for row in drawn if int(row[3]) == result.steps[-1]]
        np.testing.assert_allclose(last, result.dist[-1], rtol=5e-6)  # six digits
    bound = drawn_envelope(by_panel(results.parts["figure-1",], "envelope")[0])
    drawn = {int(row[3]): float(row[5]) for row in rows if row[:2] == ["envelope", "envelope"]}
    assert drawn
    np.testing.assert_allclose(list(drawn.values()), bound[list(drawn)], rtol=5e-6)
    header, rows = table(out / "figures" / "rates-agreement.csv")
    known = {(r.learner, r.symbolic, r.empirical) for _, r in rates_of(results).pairs}
    assert {(row[0], float(row[6]), float(row[7])) for row in rows} <= known
    assert table(out / "figures" / "claims-graph.csv")[1] == [
        [claim.id, claim.status, base] for claim in results.claims for base in claim.rests_on or [""]
    ]


# --- against an older report, on the command line


@pytest.fixture
def command(results, monkeypatch, tmp_path, one_drawing):
    """Runs 'metarep report' on what was gathered above, with these words; gives the exit code."""
    monkeypatch.setattr("metarep.reports.report.gather.gather", lambda *_: results)
    monkeypatch.chdir(tmp_path)
    return lambda *words: run(["report", "--out", "new", *map(str, words)])


@pytest.mark.thorough
def test_against_itself_nothing_changed(command, out, capsys):
    assert command("--against", out / "report.json") == 0
    assert "nothing changed (3 verdicts," in capsys.readouterr().out


def test_what_changed_is_marked_everywhere(command, report, validator, tmp_path, capsys):
    old = copy.deepcopy(report)
    changed, gone = old["claims"][1], old["claims"].pop(0)
    changed["status"] = "EXACT"
    old["claims"].append({**gone, "id": "no-longer-there"})
    margin = next(item for item in old["claims"][1]["evidence"] if item["worst_margin"] is not None)
    margin["worst_margin"] = 0.123
    old["rates"][2]["empirical"] *= 1 + 1e-6
    (tmp_path / "old.json").write_text(json.dumps(old))
    assert command("--against", "old.json") == 0
    said = capsys.readouterr().out
    assert "no-longer-there: PROVED -> gone" in said
    new = strictly((tmp_path / "new" / "report.json").read_text())
    validator.validate(new)
    assert {(item["claim"], item["before"], item["now"]) for item in new["against"]["verdicts"]} == {
        (gone["id"], None, gone["status"]),
        (changed["id"], changed["status"], "PROVED"),
        ("no-longer-there", gone["status"], None),
    }
    assert [(item["claim"], item["before"]) for item in new["against"]["margins"]] == [("head-diversity-lower", 0.123)]
    assert [item["what"] for item in new["against"]["rates"]] == ["empirical"]
    assert '<a id="changes"></a>' in (tmp_path / "new" / "report.md").read_text()
    text = (tmp_path / "new" / "claims.md").read_text()
    assert "**PROVED**, was **EXACT**" in text
    assert "worst margin (floats) 0.123 became" in text
    assert (tmp_path / "new" / "report.html").read_text().index('id="changes"') > 0


@pytest.mark.parametrize(
    "content",
    [
        None,
        "",
        "{",
        "[]",
        "{}",
        '{"format": 1}',
        '{"format": true, "claims": []}',
        '{"format": 99, "claims": []}',
        '{"format": 1, "claims": [{"id": "a"}]}',
        '{"format": 1, "claims": [], "rates": [{"learner": "anil", "symbolic": "fast"}]}',
        '{"format": 1, "claims": [{"id": "a", "status": "x", "evidence": [{"kind": "floats", "estimate": "1"}]}]}',
        '{"format": 1, "claims": [], "versions": 3}',
        '{"format": 1, "claims": [], "seed": "many"}',
    ],
)
def test_an_older_report_that_is_none_is_refused_before_anything_is_written(content, command, tmp_path, capsys):
    if content is not None:
        (tmp_path / "old.json").write_text(content)
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "report.json").write_text("precious")
    assert command("--against", "old.json") == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert "old.json" in captured.err
    assert "allowed" in captured.err
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["report.json"]
    assert (tmp_path / "new" / "report.json").read_text() == "precious"


@pytest.mark.thorough
def test_a_report_may_be_compared_with_the_one_it_replaces(command, report, tmp_path):
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "report.json").write_text(json.dumps({**report, "seed": 17}))
    assert command("--against", "new/report.json") == 0
    assert strictly((tmp_path / "new" / "report.json").read_text())["against"]["before"]["seed"] == 17


def made(
    status: str = "MEASURED",
    rate: float | None = 0.99,
    rates: int = 1,
    worst_margin: float | None = None,
    estimate: float | None = None,
) -> Stored:
    """A report of one claim and one rate."""
    evidence = EvidenceRecord(
        "measurement", Verdict.MEASURED, 1, worst_margin, None, None, None, "", None, estimate, None, (), {}
    )
    claim = ClaimRecord(
        "a", "", "", "", False, "", "measurement", (), (), "", Verdict(status), Verdict.MEASURED, True, (evidence,), ""
    )
    row = RateRecord("anil", 5, 1, 2, 0.1, 0.1, 0.98, rate, None, None, None, "converged")
    return Stored("quick", 0, {}, (claim,), (row,) * rates)


@pytest.mark.parametrize(
    ("old", "new", "changed"),
    [
        (made(estimate=0.5), made(estimate=0.5), set()),
        (made(estimate=0.5), made(estimate=0.5 * (1 + 1e-12)), set()),  # another machine's rounding
        (made(estimate=0.5), made(estimate=0.5 * (1 + 1e-7)), {"estimates"}),
        (made(worst_margin=0.0), made(worst_margin=-1e-13), set()),  # rounding, at the edge of the bound
        (made(estimate=1e-6), made(estimate=1.001e-6), {"estimates"}),
        (made(worst_margin=0.1), made(worst_margin=-0.1), {"margins"}),
        (made(worst_margin=0.1), made(worst_margin=None), set()),  # there is nothing to compare with
        (made("PROVED"), made("REFUTED"), {"verdicts"}),
        (made(rate=0.99), made(rate=0.99 * (1 + 1e-7)), {"rates"}),
        (made(rate=0.99), made(rate=None), {"rates"}),
        (made(rate=None), made(rate=None), set()),
        (made(rates=0), made(), set()),
    ],
)
def test_what_counts_as_a_change(old, new, changed):
    found = changes(old, new)
    assert {what for what in vars(found.alike) if getattr(found, what)} == changed
    assert ("nothing changed" in changed_line(found)) == (not changed)


def test_what_is_written_compares_with_what_was_gathered(results, tmp_path, one_drawing):
    """A rate that is not a number is null in the report and must not count as changed."""
    odd = odd_rates(results)
    write_report(odd, tmp_path)
    assert changed_line(changes(stored_report(tmp_path / "report.json"), comparable(odd))).startswith("nothing changed")


# --- with one's own claims

OWN = """
from metarep.theory.claims.record import Claim, Measurement, Verdict, own

CLAIMS = (
    Claim("mine", "Mine", "$1 = 1$.", own(), "nothing", Verdict.MEASURED, kind="measurement",
          rests_on=("update-fo-anil",), measure=lambda implementation, seed, effort: Measurement(1.0, 0.0, 1, "so")),
)
"""


@pytest.mark.thorough
def test_claims_of_ones_own_stand_behind_the_others(command, validator, tmp_path):
    (tmp_path / "my claims.py").write_text(OWN)
    assert command("--claims", "my claims.py") == 0
    report = strictly((tmp_path / "new" / "report.json").read_text())
    validator.validate(report)
    assert [claim["id"] for claim in report["claims"]] == [*TINY_CLAIMS, "mine"]
    assert report["claims"][-1]["command"].startswith("metarep verify mine --claims 'my claims.py' ")
    text = (tmp_path / "new" / "claims.md").read_text()
    assert '<a id="claim-mine"></a>' in text
    assert "--out out --claims 'my claims.py'" in (tmp_path / "new" / "report.md").read_text()
