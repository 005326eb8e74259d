"""The report's chapters on rates, boundaries and the paper's experiments: built on tiny data, and what they rest on."""

import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from jsonschema import Draft202012Validator

from metarep.reports.chapters import outcomes
from metarep.reports.chapters.boundaries import chapter, far, heads, near, phases
from metarep.reports.chapters.boundaries.common import BoundarySize, exact_heads, stable_product
from metarep.reports.chapters.chapter import Chapter, ReportProfile, Results, Run
from metarep.reports.chapters.claims.records import ClaimRecord, EvidenceRecord
from metarep.reports.chapters.experiments import section as experiments
from metarep.reports.chapters.experiments.replication import CRITERIA, VARIANTS, replications
from metarep.reports.chapters.rates import section as rates
from metarep.reports.chapters.rates.table import RateSetting
from metarep.reports.chapters.samples.runs import RecoverySetting, recovery_points
from metarep.reports.page import blocks, charts
from metarep.reports.page import rendering as pages
from metarep.reports.page.output import plain
from metarep.reports.report.figure_files import pictures
from metarep.reports.report.schema import part_schema
from metarep.sim.experiments import CurveResult, get_experiment
from metarep.sim.learners import LEARNERS, META_LEARNERS
from metarep.sim.outcomes import Outcome
from metarep.sim.problems import FixedTasks, Problem, heads_with_spectrum, make_problem
from metarep.sim.trajectories import run
from metarep.sim.updates import loss_after_adaptation
from metarep.theory.claims.record import Verdict
from metarep.theory.dynamics.rates import HeadMoments, gaussian_head_moments, local_spectrum, third_moment

TINY = BoundarySize(4, 2, 60, 5, 200, 2, 60, 3, 700)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def check_section(section: blocks.Section | None) -> str:
    """Every figure has a text, a caption, data and proper files; nothing of LaTeX is left; returns the page."""
    assert section is not None
    document = blocks.Document("t", "s", (), (section,))
    found = list(pictures(section))
    assert found
    names = [name for picture in found for name, _ in picture.panels]
    assert len(names) == len(set(names))
    for picture in found:
        assert len(picture.alt) > 40
        assert "\\" not in picture.alt
        assert len(picture.caption) > 40
        assert picture.data is not None
        name, text = picture.data
        assert name.endswith(".csv")
        assert f"figures/{name}" in picture.caption
        header, *rows = text.splitlines()
        assert rows
        assert all(row.count(",") >= header.count(",") for row in rows)
        for _, svg in picture.panels:
            ET.fromstring(svg)
    page = pages.html_page(document)
    assert "\\" not in page
    assert not re.search(r"\bnan\b", pages.markdown_page(document))
    return page


def measurement(claim_id: str, details: dict, estimate: float = 0.1) -> ClaimRecord:
    evidence = EvidenceRecord(
        "measurement", Verdict.MEASURED, 1, None, None, None, None, "seen", None, estimate, 0.01, (), details
    )
    fixed = (False, "", "measurement", (), (), "", Verdict.MEASURED, Verdict.MEASURED, True)
    return ClaimRecord(claim_id, "", "", "", *fixed, (evidence,), "")


def results_of(tested: Chapter, size: object, seed: int = 0) -> Results:
    """What a report that runs this chapter alone has gathered."""
    profile = ReportProfile("tiny", 1.0, {tested.name: size})
    parts = {key: function(*arguments) for key, function, arguments in tested.jobs(profile, seed)}
    return Results(profile, seed, parts, {}, Run("", 0.0, {}))


def check_record(tested: Chapter, results: Results) -> dict:
    """Its part of report.json, each field of which has the published shape."""
    data = {name: function(results) for name, function in tested.record.items()}
    part = json.loads(json.dumps(plain(data), allow_nan=False))
    for name, value in part.items():
        Draft202012Validator(part_schema(name)).validate(value)
    return part


def test_the_outcomes_are_counted_and_a_claims_runs_are_its_own():
    bare = results_of(outcomes.CHAPTER, outcomes.OutcomesSize(3, 60))
    ends = {"maml-ends-blind": {"converged": 292, "blind": 8}, "fo-maml-far-divergence": {"diverged": 45, "moving": 15}}
    claims = [measurement(name, {"ends": each, "ends_after": 2500}) for name, each in ends.items()]
    results = bare.having({("claim", claim.id): claim for claim in claims})
    records = check_record(outcomes.CHAPTER, results)["outcomes"]
    assert len(records) == len(outcomes.cells()) == len(check_record(outcomes.CHAPTER, bare)["outcomes"]) + len(claims)
    assert {record["claim"]: record["outcomes"] for record in records if record["claim"]} == ends
    made = [record for record in records if not record["claim"]]
    assert {(sum(record["outcomes"].values()), record["trials"], record["steps"]) for record in made} == {(3, 3, 60)}
    table = outcomes.headline_table(outcomes.outcomes_of(results))
    cells = {row[0]: row[1:] for row in table.rows}
    assert cells["Exact MAML"][0] == "[292 of 300](#claim-maml-ends-blind) 95–99 %; 8 end blind"
    assert cells["FO-MAML"][1] == "[0 of 60](#claim-fo-maml-far-divergence) 0–6 %; 45 diverge"
    assert cells["Exact ANIL"][0].startswith("[0 of 3](#outcomes) 0–56 %")  # after 60 steps
    assert outcomes.headline_table(outcomes.outcomes_of(bare)).rows[2][1] == "—"
    section = outcomes.outcomes_section(results)
    assert section is not None
    assert "end blind 8 of 300 (95 % interval 1.4 to 5.2 %)" in pages.html_page(
        blocks.Document("t", "s", (), (section,))
    )


def test_the_boundaries_chapter(without_layout, request):
    bare = results_of(chapter.CHAPTER, TINY)
    region = {
        "alpha_L": [0.1, 1.0],
        "step": [0.01, 0.1],
        "largest_c": [[1.2, 0.7], [0.1, -1.0]],
        "steps": 300,
        "survived": 0.03,
        "broken": None,
        "long_steps": 1500,
        "broken_in_long_runs": 0.02,
        "side": "fixed",
        "sides": {"fixed": {"survived": 0.03, "broken": None}, "changing": {"survived": 0.04, "broken": 0.05}},
    }
    claims = [measurement(f"constant-region-{name}", region) for name in META_LEARNERS]
    shares = {"fresh": {"count": 8, "trials": 300}, "fixed": {"count": 40, "trials": 40}}
    claims += [
        measurement("constant-c-maml", {"flow_c": 1.26, "in_time": 1.25, "steps": 600}),
        measurement("maml-ends-blind", {**shares, "fixed_balanced": {"count": 7, "trials": 40}}),
        measurement(
            "fo-maml-far-divergence",
            {"gap_random": 0.0005, "random": [-1, 2400, 1999], "gaps": [0.1], "at_gaps": [[-1, -1, 2000]]},
        ),
    ]
    page = check_section(
        chapter.CHAPTER.section(bare.having({("claim", claim.id): claim for claim in claims})),
    )
    assert 'href="#claim-constant-region-maml"' in page
    assert (
        page.count("8 of 300 (95 % interval 1.4 to 5.2 %)") == page.count("7 of 40 (95 % interval 8.7 to 31.9 %)") == 1
    )
    assert page.count("2 of 3 (") == 2
    assert 'href="#claim-fo-maml-operator"' not in page  # a claim that was not run has no section to link to
    check_record(chapter.CHAPTER, bare)
    request.getfixturevalue("one_drawing")
    assert "constants" not in {name.split("-")[0] for name in _panel_names(chapter.CHAPTER.section(bare))}


def _panel_names(section: blocks.Section | None) -> Iterator[str]:
    assert section is not None
    for picture in pictures(section):
        yield from (name for name, _ in picture.panels)


def test_the_rates_chapter(without_layout):
    settings = (RateSetting(20, 1, 10, 0.4, 0.4, 0.3), RateSetting(20, 2, 20, 0.4, 0.4, 0.8))
    results = results_of(rates.CHAPTER, rates.RatesSize(settings[:1], 400, settings, 400), 1)
    check_section(rates.CHAPTER.section(results))
    assert len(check_record(rates.CHAPTER, results)["rate_grid"]) == 8
    grid = rates.rates_of(results).grid
    for setting, records in grid:
        for record in records:
            ratio = rates.looseness(record)
            assert ratio is not None
            # −log(1 − x) over −log(1 − x E_0/2) is between 2/E_0 and that divided by 1 − x
            least = 2 / (0.9 - setting.dist0**2)
            assert least <= ratio <= least / record.symbolic * 1.01
    unstable = replace(grid[0][1][3], outcome="unstable", symbolic=1.01, empirical=1.0101)
    assert rates.looseness(unstable) is None
    section = rates.CHAPTER.section(results.having({("rates", "fo-maml", "0"): unstable}))
    assert section is not None
    assert "Unstable at the truth: 1 of" in pages.markdown_page(blocks.Document("t", "s", (), (section,)))


# --- experiments


def made_up(name: str, exponent) -> list[CurveResult]:
    """Straight falls to 10^(−exponent(panel, curve)) at the end, nobody diverged."""
    results = []
    for panel in get_experiment(name).panels:
        for curve in panel.curves:
            steps = np.arange(0, 101, 5)
            dist = 10.0 ** (-exponent(panel, curve) * steps / 100)[:, None] * np.ones((1, 3))
            outcomes = np.full(3, Outcome.MOVING, dtype=object)
            results.append(CurveResult(panel.name, curve, steps, dist, outcomes, np.full(3, -1)))
    return results


def as_the_paper_says(panel, curve) -> float:
    label, setting = curve.label, curve.setting
    if curve.learner == "average-loss":
        return 0.0
    if label.startswith("μ"):
        return 12 * float(label.split("=")[1])
    if panel.name.startswith("heads"):
        return {"N(0, 4 I)": 9.0, "N(0, diag(1, 1, 1/4))": 2.0}.get(label, 5.0)
    if panel.name.startswith("start"):
        return 7.0 - (setting.dist0 or 1.0)
    return 8.0


@pytest.mark.parametrize("name", CRITERIA)
def test_whether_an_experiment_replicates(name):
    """Yes where all is as the paper says, in part where one learner is not so, no where nothing is."""
    judge = CRITERIA[name][0]
    for suffix, _ in VARIANTS:
        assert judge(made_up(name, as_the_paper_says), suffix).verdict == "replicates"
        level = judge(made_up(name, lambda panel, curve: 0.5), suffix)
        assert level.verdict == "does not replicate"
        one = judge(made_up(name, lambda p, c: 0.5 if c.learner == "maml" else as_the_paper_says(p, c)), suffix)
        assert one.verdict.startswith("in part")
        assert "Exact MAML" in one.missing
        assert "FO-MAML" not in one.missing


def test_a_curve_that_is_not_straight_is_not_exponential():
    good = made_up("figure-1", as_the_paper_says)
    bent = [replace(r, dist=np.where(r.steps[:, None] < 90, 0.09, r.dist)) for r in good]
    assert CRITERIA["figure-1"][0](good, "").verdict == "replicates"
    assert "FO-ANIL" in CRITERIA["figure-1"][0](bent, "").missing


def test_divergence_is_no_replication():
    gone = [
        replace(r, outcomes=np.full(3, Outcome.DIVERGED, dtype=object)) for r in made_up("section-6", as_the_paper_says)
    ]
    assert CRITERIA["section-6"][0](gone, "").verdict == "does not replicate"


def test_the_experiments_chapter(without_layout):
    runs = {name: made_up(name, as_the_paper_says) for name in CRITERIA}
    profile = ReportProfile("tiny", 1.0, {"experiments": None})
    parts = {("figure-1",) if name == "figure-1" else ("experiment", name): curves for name, curves in runs.items()}
    results = Results(profile, 0, parts, {}, Run("", 0.0, {}))
    section = experiments.CHAPTER.section(results)
    page = check_section(section)
    assert page.count("replicates") >= 6
    assert {found.verdict for found in replications(runs).values()} == {"replicates"}
    assert len(check_record(experiments.CHAPTER, results)["replications"]) == 6
    assert section is not None
    assert [below.anchor for below in section.sections] == ["experiment-section-6", "experiment-figure-4"]


# --- what the boundaries rest on


@pytest.mark.parametrize("learner", ["maml", "average-loss"])
def test_trials_on_samples_do_not_depend_on_the_other_sizes(learner):
    setting = RecoverySetting(d=10, steps=20, trials=2, sizes=(5, 20, 80), other=20)
    points = {(p.m_in, p.m_out): p for p in recovery_points(learner, 0, setting)}
    assert list(points) == [(5, 20), (20, 20), (80, 20), (20, 5), (20, 80)]
    alone = recovery_points(learner, 0, replace(setting, sizes=(20,)))
    assert alone == (points[20, 20],)
    assert points[20, 5].dist != points[20, 20].dist


def test_exact_heads_have_gaussian_moments():
    mean, deviations = rng().standard_normal(3), np.array([1.0, 0.5, 2.0])
    heads = exact_heads(mean, deviations)
    first, second, third = gaussian_head_moments(mean, np.diag(deviations**2))
    moments = HeadMoments.of(heads)
    # sums of six terms of size up to (1 + √3·2)³ < 100
    np.testing.assert_allclose(moments.mean, first, atol=1e-13)
    np.testing.assert_allclose(moments.second, second, atol=1e-13)
    np.testing.assert_allclose(third_moment(heads), third, atol=1e-12)


@pytest.mark.parametrize("name", META_LEARNERS)
def test_the_limit_of_the_step_size_is_where_the_linearisation_turns_unstable(name):
    learner, alpha = LEARNERS[name], 0.7
    heads = heads_with_spectrum(np.array([1.0, 0.3]), 5, rng(1), mean=0.0)
    limit = stable_product(learner, heads, alpha)
    expected = {"anil": 0.5, "fo-anil": 1.0}.get(name)
    if expected is not None:
        assert limit == pytest.approx(expected, rel=1e-12)
    for share, stable in ((0.99, True), (1.01, False)):
        assert local_spectrum(learner, heads, alpha, share * limit / alpha).stable is stable


def test_no_step_size_helps_where_the_truth_is_unstable():
    heads = np.array([[1.0, 2.0]])
    assert stable_product(LEARNERS["fo-maml"], heads, 0.5) == 0.0
    assert stable_product(LEARNERS["fo-anil"], heads, 0.5) > 0


def test_the_planes_predict_as_their_formulas_do():
    x = np.linspace(-1.5, 1.5, 7)
    means = np.stack(np.meshgrid(x, x / 2), axis=-1)
    q = (means / near.GAUSSIAN_DEVIATIONS) ** 2 @ np.ones(2)
    heads = exact_heads(means, np.broadcast_to(near.GAUSSIAN_DEVIATIONS, means.shape))
    clear = np.abs(q - 1) > 1e-6
    assert clear.sum() > 40
    np.testing.assert_array_equal((near._operators(heads) < 0)[clear], (q > 1)[clear])


def test_near_the_truth_runs_do_what_the_operator_says():
    plane = near.gaussian_plane(0, replace(TINY, plane=5, plane_steps=3000))
    right, decided, undecided = plane.agreement
    assert right == decided >= 20
    assert decided + undecided == 25
    wrong = near.NearPlane(plane.x, plane.y, plane.fate, -plane.least, plane.diverged, plane.dist, plane.steps)
    assert wrong.agreement[0] == 0


def test_the_heads_growth_solves_its_equation():
    """Against a fine integration of ds/dx = −s(1 − s²), d log‖w‖/dx = ks² − (1 − s²), by Heun's method."""
    for k, dist0 in ((1, 0.9), (5, 0.99), (3, 0.4)):
        s, log_w, best, h = dist0, 0.0, 0.0, 1e-3

        def slope(s: float, k: int = k) -> tuple[float, float]:
            return -s * (1 - s * s), k * s * s - (1 - s * s)

        for _ in range(6000):
            one = slope(s)
            two = slope(s + h * one[0])
            s, log_w = s + h * (one[0] + two[0]) / 2, log_w + h * (one[1] + two[1]) / 2
            best = max(best, log_w)
        assert np.log(far.head_amplification(dist0, k)) == pytest.approx(best, abs=1e-5)


def test_stages_end_as_one_run_does():
    problem = make_problem(10, 2, 4, 0.3, rng(2), dist0=0.6, trials=(6,))
    beta = np.geomspace(0.05, 30, 6)
    expected = run(LEARNERS["fo-maml"], problem, 0.3, beta, 300).outcome
    assert len(set(expected)) > 1
    found = phases._run_in_stages(LEARNERS["fo-maml"], problem, 0.3, beta, 300, (6,))
    assert list(found) == list(expected)


@pytest.mark.parametrize("name", ["maml", "fo-maml"])
def test_the_loss_vanishes_at_a_blind_point(name):
    """α‖w‖² = 1, B = 0: one step of B solves every task; without that step the loss is what it was."""
    heads, alpha = rng(3).standard_normal((2, 4)), 0.25
    problem = Problem(4, np.eye(4, 2), FixedTasks(heads), np.zeros((4, 2)), np.array([2.0, 0.0]), 4)
    targets = problem.B_star @ heads
    loss = loss_after_adaptation(LEARNERS[name], problem.B0, problem.w0, targets, alpha)
    assert loss == pytest.approx(0.0, abs=1e-30)
    anil = loss_after_adaptation(LEARNERS["anil"], problem.B0, problem.w0, targets, alpha)
    assert anil == pytest.approx(np.square(heads).sum() / 8, rel=1e-12)


def test_parts_are_the_same_each_time_and_figures_byte_for_byte():
    one, other = (phases.phase_diagram("start", "fo-maml", 5, TINY) for _ in range(2))
    np.testing.assert_array_equal(one.converged, other.converged)
    assert phases.phase_diagram("start", "fo-anil", 5, TINY).dist0.shape == (4, 4)
    assert phases.phase_chart([one]).picture() == phases.phase_chart([other]).picture()


def test_unknown_planes_are_refused():
    with pytest.raises(ValueError, match=r"plane is 'x'; allowed: steps"):
        phases.phase_axes("x", 3)
    with pytest.raises(ValueError, match=r"kind is 'x'; allowed"):
        heads.head_laws("x", 0, TINY)


def test_colours_of_shares():
    good, bad = np.array([1.0, 0.0, 0.0, 0.5, 0.5]), np.array([0.0, 1.0, 0.0, 0.5, 0.0])
    colours = charts.share_colours(good, bad)
    assert list(colours[:4]) == [charts.GOOD, charts.BAD, charts.OTHER, charts.BOTH]
    assert colours[4] not in {charts.GOOD, charts.OTHER}


def test_cells_cover_the_plane_once():
    colours = np.array([["#000000", "#000000", "#ffffff"], ["#ffffff", "#000000", "#ffffff"]], dtype=object)
    axes = charts.as_panel(charts.draw_map)(np.arange(3), np.arange(2), colours).axes[0]
    assert len(axes.patches) == 2
    area = {patch.get_facecolor()[0]: _area(patch.get_path()) for patch in axes.patches}
    assert area == {0.0: 3.0, 1.0: 3.0}


def _area(path) -> float:
    return sum(
        float(np.prod(np.ptp(path.vertices[first : first + 5], axis=0))) for first in range(0, len(path.vertices), 5)
    )
