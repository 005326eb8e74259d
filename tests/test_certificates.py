"""Certificates: what is written for Coq, and (``pytest -m coq``) that Coq takes the true and refuses the false."""

import json
import resource

import pytest

from metarep.reports.cli.app import run
from metarep.sim.learners import LEARNERS
from metarep.theory.calculus import alphabet as a
from metarep.theory.calculus.proofs import Proof
from metarep.theory.calculus.words import Poly, Rule, identity
from metarep.theory.certificates import seals
from metarep.theory.certificates.coq import equation
from metarep.theory.certificates.degrees import by_degree
from metarep.theory.certificates.terms import CannotExportError, Graph
from metarep.theory.claims import catalogue, get_claim
from metarep.theory.claims.record import Verdict
from metarep.theory.dynamics.derive import task_gradients

LEAST_CHECKED = 70
LONGEST = 300
"""Seconds for all claims on two processors that do nothing else."""


# --- without Coq ------------------------------------------------------------------------------------------------------


def test_what_a_polynomial_was_made_from_is_what_is_written():
    graph = Graph()
    product = (a.B * a.w - a.theta) * a.w.T
    node = graph.follow(product)
    assert graph.nodes[node][0] == "mul"  # not the two words that it expands into
    theorem, used = equation("identity", "a product", product, a.B * a.w * a.w.T - a.theta * a.w.T)
    assert not used
    assert "((B *m w) + (- theta_i)) *m w^T" in theorem.text()


def test_a_rewriting_is_a_hypothesis_and_changes_nothing():
    rule = Rule("Q", "Q'", "")
    graph = Graph()
    product = a.Q * a.Q.T * a.w
    assert graph.follow(product.rewrite([rule])) == graph.follow(product)
    assert graph.rules == [rule]


def test_a_rule_about_what_is_substituted_afterwards_is_refused():
    rewritten = (a.Q * a.Q.T).rewrite([Rule("Q", "Q'", "")])
    with pytest.raises(CannotExportError, match="substituted"):
        Graph().follow((rewritten + a.Q).substitute({"Q": a.Q * 2}))


def test_a_derivative_is_written_with_the_identity_that_says_so():
    certificate = seals.export(get_claim("update-maml"))
    assert certificate.identities == ("derivative: B", "∇_B", "derivative: w", "∇_w")
    assert "eps * eps = 0" in certificate.text


def test_facts_and_what_is_the_same_on_both_sides_are_left_out():
    certificate = seals.export_identities("x", [("nothing", a.B, a.B), ("a sum", a.B + a.B, a.B * 2)], ["a fact"])
    assert certificate.identities == ("a sum",)
    assert len(certificate.left_out) == 2


def test_a_claim_without_a_proof_in_words_says_why():
    assert "no proof" in seals.export(get_claim("envelope-anil")).why
    assert "by hand" in seals.export(get_claim("fo-maml-gaussian-identity")).why


def test_without_coq_the_files_are_written_and_the_seal_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(seals, "coq_version", lambda: "")
    found = list(seals.certify([get_claim("update-fo-anil")], tmp_path))
    assert [seal.status for seal in found] == ["no coqc"]
    assert {path.name for path in tmp_path.iterdir()} == {"WordCalculus.v", "update_fo_anil.v"}


def test_an_unknown_claim_is_bad_input(tmp_path, capsys):
    assert run(["certify", "nonsense", "--out", str(tmp_path)]) == 2
    assert "nonsense" in capsys.readouterr().err


# --- with Coq ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def compiled_by(tmp_path_factory: pytest.TempPathFactory):
    """What Coq says against a list of identities ("" if nothing)."""
    assert seals.coq_version(), "coqc and MathComp's algebra are not installed"
    folder = tmp_path_factory.mktemp("coq")
    (folder / seals.LIBRARY).write_text(seals.library_text(), encoding="utf-8")
    assert seals.compiled(folder / seals.LIBRARY)[0] == ""

    def compiled(name: str, *identities: tuple[str, Poly, Poly]) -> str:
        certificate = seals.export_identities(name, identities)
        assert len(certificate.identities) >= len(identities)
        path = folder / seals.file_name(name)
        path.write_text(certificate.text, encoding="utf-8")
        return seals.compiled(path)[0]

    return compiled


@pytest.mark.coq
def test_at_least_seventy_proved_claims_compile(tmp_path, capsys):
    assert run(["certify", "--out", str(tmp_path), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["counts"]["checked"] >= LEAST_CHECKED
    assert "failed" not in told["counts"]
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert (spent.ru_utime + spent.ru_stime) / 2 < LONGEST
    proved = [c.id for c in catalogue() if c.proof is not None and c.expected is Verdict.PROVED]
    assert [seal["claim"] for seal in told["claims"]] == proved


def last_identity(claim_id):
    prove = get_claim(claim_id).proof
    assert prove is not None
    proof = prove()
    assert isinstance(proof, Proof)
    return proof.identities[-1]


@pytest.mark.coq
@pytest.mark.parametrize("claim_id", ["update-maml", "right-factor-fo-anil", "span-part-anil", "average-loss-drift"])
def test_a_wrong_sign_does_not_compile(compiled_by, claim_id):
    what, left, right = last_identity(claim_id)
    assert compiled_by("wrong_" + claim_id, (what, left, -right)) != ""


@pytest.mark.coq
def test_a_claim_without_its_rules_does_not_compile(compiled_by):
    what, left, right = last_identity("fixed-points-anil")
    assert left.made is not None
    assert left.made[0] == "rewrite"
    assert compiled_by("without_rules", (what, left.made[1], right)) != ""


@pytest.mark.coq
def test_a_wrong_word_in_a_gradient_does_not_compile(compiled_by):
    loss = (a.B * a.w - a.theta).T * (a.B * a.w - a.theta)
    grad = Poly(("d", "k")).made_by("gradient", loss, "B")
    grad.terms = ((a.B * a.w - a.theta) * a.w.T).terms  # without the 2
    assert compiled_by("wrong_gradient", ("a gradient", grad, (a.B * a.w - a.theta) * a.w.T)) != ""


@pytest.mark.coq
def test_what_only_a_missing_hypothesis_makes_true_does_not_compile(compiled_by):
    product = a.B_star.T * a.B_star * a.w_star
    with_rule = product.rewrite([Rule("B_star'", "B_star", "")])
    assert compiled_by("with_hypothesis", ("orthonormal", with_rule, a.w_star)) == ""
    assert compiled_by("without_hypothesis", ("orthonormal", product, a.w_star)) != ""


@pytest.mark.coq
def test_letters_that_are_no_square_and_not_symmetric_are_not_taken_for_it(compiled_by):
    assert compiled_by("symmetric", ("symmetric", (a.S * a.w_star * a.w_star.T).T, a.w_star * a.w_star.T * a.S)) == ""
    assert compiled_by("plain", ("plain", a.Q * a.w, a.Q.T * a.w)) != ""
    assert compiled_by("skew", ("skew", a.omega.T * a.A * a.omega, Poly(("1", "1")))) != ""  # twice it is zero


@pytest.mark.coq
def test_a_degree_too_low_does_not_compile(compiled_by):
    grad = task_gradients(LEARNERS["fo-anil"])[0]
    assert compiled_by("degree_two", by_degree("grad_B", grad, "theta_i", 2)) == ""
    assert compiled_by("degree_one", by_degree("grad_B", grad, "theta_i", 1)) != ""


@pytest.mark.coq
def test_a_proof_that_claims_too_much_does_not_compile(compiled_by):
    proof = Proof()
    proof.equal("(I - BᵀB)² and I - 2BᵀB", (identity("k") - a.B.T * a.B) * (identity("k") - a.B.T * a.B), identity("k"))
    assert compiled_by("too_much", *proof.identities) != ""
