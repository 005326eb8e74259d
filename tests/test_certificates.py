"""Certificates: what is written for Coq, and (``pytest -m coq``) that Coq takes the true and refuses the false."""

import json
import resource
import shutil
from dataclasses import replace
from fractions import Fraction

import pytest

from metarep.reports.chapters.chapter import ReportProfile, Results, Run
from metarep.reports.chapters.claims.seals import EXPORTED, KEPT, SealRecord, exported, kept_seals, seals_of
from metarep.reports.cli.app import run
from metarep.reports.page.output import InputError
from metarep.sim.learners import LEARNERS
from metarep.theory.calculus import alphabet as a
from metarep.theory.calculus.proofs import Proof
from metarep.theory.calculus.words import Poly, Rule, identity
from metarep.theory.certificates import seals
from metarep.theory.certificates.bounds import bounds_text
from metarep.theory.certificates.coq import HEADER
from metarep.theory.certificates.degrees import by_degree
from metarep.theory.certificates.derivations import Questions
from metarep.theory.certificates.export import equation, export, export_identities
from metarep.theory.certificates.terms import CannotExportError, Graph
from metarep.theory.claims import catalogue, get_claim
from metarep.theory.claims.record import Verdict
from metarep.theory.dynamics.derive import task_gradients
from metarep.theory.inequalities.theorems import theorem_fo_anil_proof

LEAST_CHECKED = 100
LONGEST = 300
"""Seconds for all claims on two processors that do nothing else."""


# --- without Coq ------------------------------------------------------------------------------------------------------


def test_what_a_polynomial_was_made_from_is_what_is_written():
    graph = Graph()
    product = (a.B * a.w - a.theta) * a.w.T
    node = graph.follow(product)
    assert graph.nodes[node][0] == "mul"  # not the two words that it expands into
    theorem, used = equation("a product", product, a.B * a.w * a.w.T - a.theta * a.w.T)
    assert not used
    assert "((B *m w) + (- theta_i)) *m w^T" in theorem.text("identity")


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
    certificate = export(get_claim("update-maml"))
    assert certificate.identities == ("derivative: B", "∇_B", "derivative: w", "∇_w")
    assert "eps * eps = 0" in certificate.text


def test_facts_and_what_is_the_same_on_both_sides_are_left_out():
    certificate = export_identities("x", [("nothing", a.B, a.B), ("a sum", a.B + a.B, a.B * 2)], ["a fact"])
    assert certificate.identities == ("a sum",)
    assert len(certificate.left_out) == 2


def test_a_claim_without_a_proof_in_words_says_why():
    assert "no proof" in export(get_claim("envelope-anil")).why
    assert "by hand" in export(get_claim("fo-maml-gaussian-identity")).why


def test_a_derivation_is_exported_by_what_the_core_asked():
    found = export(get_claim("balanced-step-fo-anil"))
    assert found.identities
    assert len(found.bounds) > len(found.identities)
    assert any("rules are sound" in what for what in found.left_out)
    # as the core's rule asked it, in the quantities of the statement, with the region's as hypotheses
    assert "Hypothesis mu_E : mu ^+ 2 = L_ ^+ 2 * r." in found.text
    assert "Hypothesis share_1 : share <= num 1 / num 1." in found.text
    assert "B_next_E : B_next = (B + (- (beta *: grad_B)))" in found.text
    assert "compare nothing" in export(get_claim("baseline-lower-bound")).why


def test_claims_of_one_derivation_have_one_text():
    texts = {export(get_claim(claim)).text for claim in ("theorem-fo-anil", "balance-stays-fo-anil")}
    assert len(texts) == 1


def test_without_coq_the_files_are_written_and_the_seal_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(seals, "coq_version", lambda: "")
    found = seals.certify([get_claim("update-fo-anil")], tmp_path)
    assert [seal.status for seal in found] == ["no coqc"]
    written = {"WordCalculus.v", "PolynomialBounds.v", "update_fo_anil.v", "update_fo_anil.seal.json"}
    assert {path.name for path in tmp_path.iterdir()} == written
    assert seals.read_seal(tmp_path, "update-fo-anil") == found[0]


@pytest.fixture
def compilations(monkeypatch):
    """A Coq that takes everything; what it was asked to compile."""
    asked = []

    def compiled(path):
        asked.append(path.name)
        path.with_suffix(".vo").touch()
        return "", 1.0

    monkeypatch.setattr(seals, "coq_version", lambda: "1.0")
    monkeypatch.setattr(seals, "compiled", compiled)
    return asked


CERTIFIED = ("update-fo-anil", "theorem-fo-anil-centred", "head-diversity-lower", "head-diversity-upper")


def certified(folder, claims=CERTIFIED):
    return seals.certify([get_claim(claim) for claim in claims], folder)


def test_a_folder_that_is_removed_meanwhile_is_one_line(tmp_path, complaint, monkeypatch):
    def compiled(path):
        shutil.rmtree(path.parent)
        return "Can't open it", 1.0

    monkeypatch.setattr(seals, "coq_version", lambda: "1.0")
    monkeypatch.setattr(seals, "compiled", compiled)
    out = tmp_path / "out"
    assert "out was removed meanwhile" in complaint("certify", "update-fo-anil", "--out", out, "--jobs", "1")


def test_what_is_sealed_is_not_compiled_again(tmp_path, compilations, monkeypatch):
    first = certified(tmp_path)
    assert len(compilations) == len(set(compilations)) == 5  # two libraries; claims with one proof have one file
    assert [seal.claim for seal in first] == list(CERTIFIED)
    compilations.clear()
    assert certified(tmp_path) == first
    assert not compilations
    (tmp_path / "update_fo_anil.v").write_text("something else")
    (tmp_path / "theorem_fo_anil_centred.seal.json").write_text("{")
    assert certified(tmp_path) == first
    assert sorted(compilations) == ["theorem_fo_anil_centred.v", "update_fo_anil.v"]
    compilations.clear()
    monkeypatch.setattr(seals, "coq_version", lambda: "2.0")
    assert {seal.version for seal in certified(tmp_path)} == {"2.0"}
    assert len(compilations) == 5


def test_a_run_that_is_broken_off_keeps_what_is_done(tmp_path, compilations):
    def stop(done, total):
        if done == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        seals.certify([get_claim(claim) for claim in CERTIFIED], tmp_path, jobs=1, told=stop)
    kept = [claim for claim in CERTIFIED if seals.read_seal(tmp_path, claim)]
    assert kept
    compilations.clear()
    certified(tmp_path, kept)
    assert not compilations


def test_what_does_not_compile_is_tried_again(tmp_path, compilations, monkeypatch):
    def refusing(path):
        compilations.append(path.name)
        return ("no", 1.0) if path.name == "update_fo_anil.v" else ("", 1.0)

    monkeypatch.setattr(seals, "compiled", refusing)
    assert run(["certify", "update-fo-anil", "--out", str(tmp_path)]) == 1
    compilations.clear()
    assert certified(tmp_path, ["update-fo-anil"])[0].status == "failed"
    assert "update_fo_anil.v" in compilations


def test_an_unknown_claim_is_bad_input(tmp_path, capsys):
    assert run(["certify", "nonsense", "--out", str(tmp_path)]) == 2
    assert "nonsense" in capsys.readouterr().err
    assert run(["certify", "--jobs", "0", "--out", str(tmp_path)]) == 2
    assert "jobs is 0" in capsys.readouterr().err


# --- in a report ------------------------------------------------------------------------------------------------------


def reported(kept, ids=(*CERTIFIED, "task-average")) -> dict[str, SealRecord]:
    profile, moment = ReportProfile("tiny", 1.0, {}), Run("2000-01-01T00:00:00+00:00", 0.0, {})
    results = Results(profile, 0, {EXPORTED: exported(ids), KEPT: kept}, {}, moment)
    return {seal.claim: seal for seal in seals_of(results)}


def test_a_report_takes_a_seal_of_the_same_text_only(tmp_path, compilations):
    certified(tmp_path)
    kept = kept_seals(tmp_path, CERTIFIED)
    kept["theorem-fo-anil-centred"] = replace(kept["theorem-fo-anil-centred"], digest="another")
    kept["head-diversity-lower"] = replace(kept["head-diversity-lower"], status="failed", why="a reason")
    del kept["head-diversity-upper"]
    found = reported(kept)
    assert {claim: seal.state for claim, seal in found.items()} == {
        "update-fo-anil": "checked",
        "theorem-fo-anil-centred": "stale",
        "head-diversity-lower": "failed",
        "head-diversity-upper": "not compiled",
        "task-average": "not exported",
    }
    assert [claim for claim, seal in found.items() if seal.coq] == ["update-fo-anil", "head-diversity-lower"]
    assert all(seal.line for seal in found.values())


def test_a_folder_without_seals_is_bad_input(tmp_path, capsys):
    assert run(["report", "--out", str(tmp_path / "out"), "--seals", str(tmp_path / "nowhere")]) == 2
    assert "nowhere" in capsys.readouterr().err
    (tmp_path / "update_fo_anil.seal.json").write_text("[]")
    with pytest.raises(InputError, match="no seal"):
        kept_seals(tmp_path, ["update-fo-anil"])


# --- with Coq ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def compiled_by(tmp_path_factory: pytest.TempPathFactory):
    """What Coq says against a list of identities ("" if nothing)."""
    assert seals.coq_version(), "coqc and MathComp's algebra are not installed"
    folder = tmp_path_factory.mktemp("coq")
    seals.make_libraries(folder, seals.coq_version())

    def compiled(name: str, *identities: tuple[str, Poly, Poly], text: str = "") -> str:
        certificate = export_identities(name, identities)
        assert len(certificate.identities) >= len(identities)
        path = folder / seals.file_name(name)
        path.write_text(text or certificate.text, encoding="utf-8")
        return seals.compiled(path)[0]

    return compiled


@pytest.mark.coq
def test_at_least_a_hundred_proved_claims_compile(tmp_path, capsys):
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


@pytest.fixture(scope="module")
def questions():
    """What Theorem 1's proof for FO-ANIL rests on."""
    return Questions(theorem_fo_anil_proof())


@pytest.fixture
def bounds_compiled(compiled_by, questions):
    """What Coq says against inequalities on that proof's region, or on another."""

    def compiled(name, *bounds, region=None):
        region = region or theorem_fo_anil_proof().derivation.region
        return compiled_by(name, text=f"{HEADER}\n{bounds_text(region, bounds)}")

    return compiled


@pytest.mark.coq
def test_a_wrong_constant_or_sign_in_an_inequality_does_not_compile(bounds_compiled, questions):
    asked = {what: (lower, upper) for what, lower, upper in questions.bounds}
    for number, (what, factor) in enumerate(
        {
            "line 13, inverse: hg ≥ 1": Fraction(500, 533),  # 1 for the bound 533/500 of ‖G⁻¹‖
            "line 67, induction: 'Delta' after the step": Fraction(9, 10),
            "line 67, induction: 'w' after the step": Fraction(9, 10),
        }.items()
    ):
        lower, upper = asked[what]
        assert bounds_compiled(f"right_{number}", (what, lower, upper)) == ""
        assert bounds_compiled(f"wrong_constant_{number}", (what, lower, upper * factor)) != "", what
        assert bounds_compiled(f"wrong_sign_{number}", (what, -lower, -upper)) != "", what


@pytest.mark.coq
def test_an_inequality_without_a_hypothesis_does_not_compile(bounds_compiled, questions):
    region = theorem_fo_anil_proof().derivation.region
    needs_all = [asked for asked in questions.bounds if "'Delta' after the step" in asked[0]]
    assert bounds_compiled("with_all", *needs_all) == ""
    further = replace(region, ranges=tuple((name, "1" if name == "a" else upper) for name, upper in region.ranges))
    assert bounds_compiled("a_up_to_1", *needs_all, region=further) != ""
    assert bounds_compiled("no_relation", *needs_all, region=replace(region, relations=())) != ""
    larger = {name: "3*a/(g*E*k0)" if name == "L**2" else value for name, value in region.symbols}
    assert bounds_compiled("L_larger", *needs_all, region=replace(region, symbols=tuple(larger.items()))) != ""


@pytest.mark.coq
def test_a_derivation_with_a_wrong_definition_does_not_compile(compiled_by, questions):
    what, left, right = questions.identities[-1]
    assert compiled_by("as_defined", (what, left, right)) == ""
    assert compiled_by("wrong_derivation", (what, left, right + right)) != ""


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
