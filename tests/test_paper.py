"""The paper's index: every claim of the paper is in it, every entry leads somewhere, the outside shows all of it."""

import json

import pytest

from metarep.reports.chapters.paper import paper_section
from metarep.reports.cli.app import run
from metarep.reports.page import blocks as b
from metarep.reports.page.formulas import mathml
from metarep.reports.page.markup import inline_text
from metarep.sim.experiments import EXPERIMENTS
from metarep.theory.claims import catalogue
from metarep.theory.claims.paper import PAPER, claims_of


def test_every_claim_of_the_paper_is_in_the_index() -> None:
    listed = {claim.id for key in PAPER for claim in claims_of(key, catalogue())}
    assert {claim.id for claim in catalogue() if not claim.source.own} <= listed


@pytest.mark.parametrize("key", PAPER)
def test_an_entry_has_a_claim_or_an_experiment(key: str) -> None:
    statement = PAPER[key]
    assert claims_of(key, catalogue()) or statement.experiment
    assert not statement.experiment or statement.experiment in EXPERIMENTS


@pytest.mark.parametrize("key", PAPER)
def test_an_entry_can_be_typeset(key: str) -> None:
    for text in (PAPER[key].restatement, PAPER[key].certainty):
        parts = text.split("$")
        assert len(parts) % 2 == 1
        assert all(mathml(formula) for formula in parts[1::2])


def test_the_command_lists_it_in_order(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["claims", "--paper"]) == 0
    printed = capsys.readouterr().out
    places = [printed.index(f"{statement.place}: {statement.title}\n") for statement in PAPER.values()]
    assert places == sorted(places)
    assert "  PROVED    update-fo-anil\n" in printed
    assert "  PROVED    update-anil (own, about it)\n" in printed
    assert inline_text(PAPER["theorem-1"].restatement) in printed
    assert run(["claims", "--paper", "--json"]) == 0
    entries = json.loads(capsys.readouterr().out)["paper"]
    assert [entry["title"] for entry in entries] == [statement.title for statement in PAPER.values()]
    assert {"id": "envelope-maml", "source": "paper", "expected": "SUPPORTED"} in entries[6]["claims"]
    assert entries[-1]["experiment"] == "figure-4"


def test_the_report_shows_what_was_found() -> None:
    """Claims that were not run are left out, experiments that are not shown are named by their command."""
    (paragraph, table) = paper_section({"update-fo-anil": "REFUTED"}, experiments=("figure-1",)).blocks
    assert isinstance(paragraph, b.Paragraph)
    assert isinstance(table, b.Table)
    found = [row[-1] for row in table.rows]
    assert len(found) == len(PAPER)
    assert found[1] == "[[REFUTED]] [update-fo-anil](#claim-update-fo-anil)"
    assert found[-1] == "shown by `metarep experiment figure-4`"
    assert found[-2] == "[shown by the experiment](#figure-1)"
    assert not found[0]
