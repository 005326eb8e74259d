"""The report's chapter on the theorem: its constants are the proofs', its regions what runs do."""

import math
import re
from dataclasses import replace

import numpy as np
import pytest
from jsonschema import Draft202012Validator

from metarep.reports.chapters.chapter import ReportProfile, Results, Run
from metarep.reports.chapters.theorem import chapter, proofs, regions
from metarep.reports.chapters.theorem.maps import region_chart
from metarep.reports.page import blocks
from metarep.reports.page.output import plain
from metarep.reports.page.rendering import html_page, markdown_page
from metarep.reports.report.figure_files import pictures
from metarep.reports.report.schema import part_schema
from metarep.sim.learners import META_LEARNERS
from metarep.sim.metrics import subspace_distance
from metarep.theory.dynamics.rates import HeadMoments
from metarep.theory.inequalities.catalogue import RULES
from metarep.theory.inequalities.conditions import CONDITIONS, Quantities, guaranteed_rate
from metarep.theory.inequalities.letters import AVERAGES
from metarep.theory.inequalities.theorems import THEOREMS

SIZE = regions.RegionSize(cells=8, trials=2, steps=400, line=6)


@pytest.fixture(scope="module")
def results() -> Results:
    profile = ReportProfile("tiny", 1.0, {chapter.NAME: SIZE})
    parts = {key: function(*arguments) for key, function, arguments in chapter.CHAPTER.jobs(profile, 0)}
    return Results(profile, 0, parts, {}, Run("", 0.0, {}))


@pytest.fixture(scope="module")
def section(results) -> blocks.Section:
    found = chapter.CHAPTER.section(results)
    assert found is not None
    return found


@pytest.fixture(scope="module")
def page(section) -> str:
    return html_page(blocks.Document("t", "s", (), (section,)))


# --- statements and proofs


def test_every_theorem_is_stated_with_the_constants_of_its_proof(page):
    records = proofs.theorem_records()
    assert [record.id for record in records] == list(THEOREMS)
    at = Quantities(alpha=0.5, beta=0.3, mu_squared=0.7, L_squared=1.0, mean=0.0, dist0=0.2)
    for record in records:
        assert record.accepted
        assert record.conditions == tuple(condition.latex for condition in CONDITIONS[record.id])
        numerator, denominator = re.findall(r"\{(\d+)\}", record.factor)
        size = float(numerator) / float(denominator) * 0.5 * 0.3 * 0.7 * (at.E0 if "E_0" in record.factor else 1.0)
        assert math.isclose(size, guaranteed_rate(record.id, at))
        assert record.id in proofs.MEANINGS
        assert f">{record.id}<" in page


def test_every_theorem_has_its_proof():
    assert sorted(name for names in proofs.PROOFS for name in names) == sorted(THEOREMS)
    for first, *others in proofs.PROOFS:
        for other in others:
            assert THEOREMS[other]().derivation.lines == THEOREMS[first]().derivation.lines


def test_the_page_is_typeset_with_every_line_and_rule(page, section):
    assert 'class="untypeset"' not in page
    assert "\\" not in page
    titles = [below.anchor for below in section.sections]
    details = [block for below in section.sections for block in below.blocks if isinstance(block, blocks.Details)]
    assert "theorem-proofs" in titles
    assert len(details) == len(proofs.PROOFS) + 1
    for found in details[:-1]:
        table = next(block for block in found.blocks if isinstance(block, blocks.Table))
        assert [row[0] for row in table.rows] == [str(number) for number in range(1, len(table.rows) + 1)]
        rules = {rule for row in table.rows for rule in row[2].partition(":")[0].split(", ")}
        assert rules <= RULES.keys()
        assert table.rows[-1][2].startswith("product")
    (rules_table,) = details[-1].blocks
    assert isinstance(rules_table, blocks.Table)
    shown = {row[0] for row in rules_table.rows}
    assert shown == {rule for prove in THEOREMS.values() for rule in prove().rules_used}


def test_averages_are_written_as_they_are_defined():
    written = {name: proofs._average(name) for name in AVERAGES}
    assert written["w_bar"] == r"\mathrm{mean}\,w_{*,i}"
    assert written["Psi_star"] == r"\mathrm{mean}\,w_{*,i} {w_{*,i}}^\top"
    assert written["Third"].startswith(r"\mathrm{mean}\,({w}^\top {B}^\top B_* w_{*,i})\,w_{*,i}")


def test_a_refused_proof_is_said_to_be_refused():
    records = proofs.theorem_records()
    refused = (replace(records[0], accepted=False), *records[1:])
    assert "[[PROVED]]" in chapter.verdict(records)
    assert "[[PROVED]]" not in chapter.verdict(refused)
    assert f"`{records[0].id}`" in chapter.verdict(refused)


# --- regions


@pytest.mark.parametrize("learner", META_LEARNERS)
def test_heads_and_starts_are_those_of_the_setting(learner):
    rng = np.random.default_rng(0)
    for setting in regions.settings_of(learner):
        for heads in regions.heads_of(setting, 3, rng):
            moments = HeadMoments.of(heads)
            found = (moments.L, moments.mu, moments.eta)
            assert found == pytest.approx((1, 1 / setting.kappa, setting.eta), abs=1e-12)
        for B in regions.starts_of(setting, 3, rng):
            assert np.allclose(B.T @ B, np.eye(regions.K), rtol=0, atol=1e-12)
            assert subspace_distance(B, np.eye(2 * regions.K, regions.K)) == pytest.approx(setting.dist0)


def test_nothing_that_is_proved_is_refuted(results):
    records = chapter.regions_of(results)
    assert len(records) == 4 * len(META_LEARNERS)
    for record in records:
        assert record.contradictions == 0
        assert record.measured
        assert record.refuted
        assert record.measured + record.refuted + record.not_run == SIZE.cells**2
        assert record.off_zero == 0 or record.theorem == "theorem-maml-symmetric"
        if record.theorem is None:
            assert (record.learner, record.proved_product, record.proved_share) == ("maml", 0, 0)
        elif record.measured_product is not None:
            assert record.measured_product > record.proved_product > 0
    for name in META_LEARNERS:
        assert 0.05 < chapter.proved_share(records, name) < 0.95


def test_the_proved_region_is_that_of_the_conditions(results):
    found = next(m for m in chapter.maps_of(results)["fo-anil"] if m.setting.kappa == 2 and m.setting.eta)
    s = found.setting
    for alpha, ratio in zip(found.alphas, found.largest, strict=True):
        for share, holds in ((1 - 1e-9, True), (1 + 1e-9, False)):
            at = Quantities(alpha, share * ratio * alpha, s.kappa**-2, 1.0, s.eta, s.dist0)
            assert all(condition.holds(at) for condition in CONDITIONS["theorem-fo-anil"]) is holds
    assert ((found.proved >= 0) & (found.proved <= 1)).all()
    assert (np.diff(found.proved, axis=0) <= 0).all()


def test_a_contradiction_would_be_seen(results):
    """Were the proved region larger than it is, refuted cells would lie in it."""
    found = chapter.maps_of(results)["fo-anil"][0]
    larger = replace(found, largest=np.full_like(found.largest, 1e9))
    assert larger.off_zero.any()
    wrong = replace(found, contradicted=found.refuted)
    assert "the theorem forbids it" in region_chart((wrong, found)).caption


def test_rounding_drives_the_head_of_exact_maml_off_0():
    """The theorem about symmetric heads, at a large αL_*: lost as it is run, and as proved with the head held at 0."""
    size = replace(SIZE, cells=19, steps=200, line=2)
    found = regions.region_maps("maml", 0, size)[0]
    assert found.off_zero.any()
    assert not found.contradicted.any()
    assert found.alphas[found.off_zero.any(0)].min() > 3


def test_figures_have_their_data(section, page):
    found = list(pictures(section))
    assert len(found) == len(META_LEARNERS)
    for picture in found:
        assert len(picture.panels) == 5  # and their key
        assert picture.data is not None
        assert picture.data[0] in picture.caption
        assert picture.data[1].count("\n") == 4 * SIZE.cells**2 + 1
    assert "nan" not in re.findall(r"[a-z]+", markdown_page(blocks.Document("t", "s", (), (section,))))


def test_the_records_fit_the_schema(results):
    for name, function in chapter.CHAPTER.record.items():
        data = plain(function(results))
        assert data
        assert Draft202012Validator(part_schema(name)).is_valid(data)


def test_without_runs_there_is_no_chapter():
    results = Results(ReportProfile("none", 1.0, {}), 0, {}, {}, Run("", 0.0, {}))
    assert chapter.CHAPTER.section(results) is None
    assert chapter.theorems_of(results) == ()
    assert chapter.regions_of(results) == ()


def test_a_long_norm_is_split_so_that_lines_can_be_broken():
    short = r"\left\|m\right\| = \left\|\Delta w\right\| \le \eta"
    assert proofs._line(short) == f"${short}$"
    long = " + ".join(["A"] * 30)
    assert proofs._line(rf"\left\|m\right\| = \left\|{long}\right\| \le \eta") == (
        rf"$m = {long}$, so $\left\|m\right\| \le \eta$"
    )
