"""The command line, in process: what it prints, its exit codes, and what it says to bad input."""

import csv
import json
import os
import shlex
import subprocess
import sys
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from metarep.reports.chapters.rates.table import rates_problem
from metarep.reports.cli.app import run
from metarep.reports.cli.entry import main

FIVE = ["anil", "fo-anil", "maml", "fo-maml", "average-loss"]


def call(*words):
    """Exit code of ``metarep words``, with warnings as they would be for a user: none may appear."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return run([str(word) for word in words])


def output(capsys, *words, code=0):
    assert call(*words) == code
    seen = capsys.readouterr()
    assert seen.err == ""
    return seen.out


def data(capsys, *words, code=0):
    def no_constant(name):
        raise AssertionError(f"{name} is not JSON")

    return json.loads(output(capsys, *words, "--json", code=code), parse_constant=no_constant)


# --- bad input


@pytest.mark.parametrize(
    ("words", "wrong"),
    [
        ("simulate anil --d 4 --k 5", "k is 5 with d = 4"),
        ("rates --d 4 --k 5", "k is 5 with d = 4"),
        ("simulate anil --n 0", "n is 0"),
        ("rates --n -1", "n is -1"),
        ("simulate anil --alpha 0", "alpha is 0; allowed: 1e-09 to 1e+09"),
        ("rates --alpha -0.1", "alpha is -0.1"),
        ("simulate anil --beta 0", "beta is 0; allowed"),
        ("rates --beta nan", "beta is nan"),
        ("simulate anil --alpha inf", "alpha is inf"),
        ("simulate anil --alpha fast", "--alpha"),
        ("simulate anil --d 2.5", "--d"),
        ("simulate reptile", "unknown learner 'reptile'"),
        ("rates anil reptile", "unknown learner 'reptile'"),
        ("derive reptile", "unknown learner 'reptile'"),
        ("derive", "LEARNER"),
        ("derive anil --format pdf", "'pdf'"),
        ("simulate anil --tasks old", "'old'"),
        ("simulate anil --dist0 1.5", "dist0 is 1.5"),
        ("rates --dist0 1.5", "dist0 is 1.5"),
        ("rates --dist0 -0.1", "dist0 is -0.1"),
        ("simulate anil --steps -1", "steps is -1"),
        ("simulate anil --trials 0", "trials is 0"),
        ("simulate anil --seed -1", "seed is -1"),
        ("rates --seed -1", "seed is -1"),
        ("simulate anil --out run.pdf", "run.pdf"),
        ("simulate anil --problem nowhere.npz", "nowhere.npz"),
        ("experiment figure-9 --out out", "figure-9"),
        ("experiment figure-1", "--out"),
        ("verify no-such-claim", "no-such-claim"),
        ("verify update-anil --examples 0", "examples is 0"),
        ("verify update-anil --replay nowhere.json", "nowhere.json"),
        ("claims --report nowhere.json", "nowhere.json"),
        ("report --profile huge --out out", "'huge'"),
        ("report --seed -3 --out out", "seed is -3"),
        ("rates --quickly", "--quickly"),
        ("conquer", "conquer"),
    ],
)
def test_bad_input_gives_one_line_and_2(words, wrong, complaint, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert wrong in complaint(*words.split())
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arrays", "wrong"),
    [
        ({"heads": np.full((2, 3), np.nan)}, "heads holds NaN"),
        ({"B_star": np.eye(4, 2), "heads": np.ones((3, 3))}, "shape"),
        ({"B_star": np.eye(4, 2), "B0": np.ones(4)}, "B0 has shape (4,)"),
        ({"B_star": np.ones((4, 2))}, "orthonormal"),
        ({"C_star": np.eye(4, 2)}, "C_star"),
    ],
)
def test_a_bad_problem_file(arrays, wrong, complaint, tmp_path):
    path = tmp_path / "problem.npz"
    np.savez(path, **arrays)
    assert wrong in complaint("simulate", "anil", "--problem", path, "--d", 4, "--k", 2, "--n", 3)


@pytest.mark.parametrize("what", ["empty", "text"])
def test_a_problem_file_that_is_none(what, complaint, tmp_path):
    path = tmp_path / "problem.npz"
    path.write_text("" if what == "empty" else "B_star = ...")
    assert "problem.npz" in complaint("simulate", "anil", "--problem", path)


@pytest.mark.parametrize(
    "words",
    [
        ("simulate", "anil", "--steps", 10**9, "--out", "{}/run.csv"),
        ("experiment", "figure-4", "--out", "{}"),
        ("report", "--out", "{}/out"),
    ],
)
def test_an_output_below_a_file_is_refused_before_the_work(words, complaint, tmp_path):
    blocker = tmp_path / "file"
    blocker.write_text("precious")
    path = str(blocker)
    assert "cannot write" in complaint(*(str(word).format(path) for word in words))
    assert blocker.read_text() == "precious"


def test_an_output_that_is_a_folder_is_refused(complaint, tmp_path):
    folder = tmp_path / "run.csv"
    folder.mkdir()
    assert "is a folder" in complaint("simulate", "anil", "--out", folder)


@pytest.mark.parametrize(
    "content", ["[1, 2", "[]", '{"claims": [{"id": 3}]}', '{"claims": [{"id": "a", "status": "x"}]}']
)
def test_a_report_that_is_none(content, complaint, tmp_path):
    path = tmp_path / "report.json"
    path.write_text(content)
    assert "report.json" in complaint("claims", "--report", path)
    assert "report.json" in complaint("verify", "update-anil", "--replay", path)


def test_a_bug_is_not_taken_for_bad_input(monkeypatch):
    def broken(*arguments, **options):
        raise ValueError("a bug")

    monkeypatch.setattr("metarep.sim.trajectories.run", broken)
    with pytest.raises(ValueError, match="a bug"):
        run(["simulate", "anil"])


# --- the commands


def test_version_and_help(capsys):
    assert output(capsys, "--version").startswith("metarep ")
    assert "simulate" in output(capsys)
    assert "--alpha" in output(capsys, "rates", "--help")


def test_main_exits_with_the_code(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["metarep", "simulate", "anil", "--alpha", "0"])
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 2


PRINTS = ("adapter", "--list")
"""A command that prints something and needs little."""


def test_as_a_module_into_a_closed_pipe():
    """A reader that leaves (``metarep adapter --list | head -1``) is no error worth a traceback."""
    process = subprocess.Popen(
        [sys.executable, "-m", "metarep", *PRINTS],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait(timeout=60) == 141


@pytest.mark.parametrize(("closed", "code"), [("1", 2), pytest.param("2", 0, marks=pytest.mark.thorough)])
def test_closed_from_the_start(closed, code):
    command = f"{shlex.quote(sys.executable)} -m metarep {shlex.join(PRINTS)} {closed}>&-"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == code
    if closed == "1":
        assert done.stderr == "metarep: stdout is closed; allowed: one that takes what is printed, /dev/null too\n"
    else:
        assert "torch" in done.stdout


@pytest.mark.parametrize("learner", FIVE)
def test_derive(learner, capsys):
    text = output(capsys, "derive", learner)
    assert "B⁺ = B − β" in text
    assert "\\" not in text
    latex = output(capsys, "derive", learner, "--format", "latex")
    assert latex.count(r"\begin{align*}") == latex.count(r"\end{align*}") >= 2
    parts = data(capsys, "derive", learner)["parts"]
    assert [pair[0] for pair in parts[0]["equations"]][-2:] == ["B⁺", "w⁺"]


def test_simulate_to_csv(capsys, tmp_path):
    path = tmp_path / "deep" / "run.csv"
    output(capsys, "simulate", "fo-anil", "--d", 10, "--k", 2, "--n", 3, "--steps", 7, "--trials", 2, "--out", path)
    with path.open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["step", "trial", "dist", "outcome"]
    assert [(int(row["step"]), int(row["trial"])) for row in rows] == [(t, i) for i in range(2) for t in range(8)]
    assert all(0 <= float(row["dist"]) <= 1 for row in rows)
    assert [file.name for file in path.parent.iterdir()] == ["run.csv"]


@pytest.mark.parametrize(("suffix", "magic"), [("svg", b"<?xml"), ("png", b"\x89PNG"), ("npz", b"PK")])
def test_simulate_to_other_formats(suffix, magic, capsys, tmp_path):
    paths = [tmp_path / f"{name}.{suffix}" for name in "ab"]
    for path in paths:
        output(capsys, "simulate", "maml", "--d", 6, "--k", 2, "--steps", 20, "--out", path)
    assert paths[0].read_bytes().startswith(magic)
    if suffix == "npz":
        with np.load(paths[0], allow_pickle=False) as run_:
            assert run_["dist"].shape == (21, 5)
    else:
        assert paths[0].read_bytes() == paths[1].read_bytes()


def test_simulate_a_problem_file(capsys, tmp_path):
    """B_* and B_0 given in R^d; the distance at the start is theirs, and nothing is left to draw."""
    rng = np.random.default_rng(0)
    B_star, B0 = (np.linalg.qr(rng.standard_normal((7, 2)))[0] for _ in range(2))
    path = tmp_path / "problem.npz"
    np.savez(path, B_star=B_star, B0=B0, heads=rng.standard_normal((2, 4)), w0=np.zeros(2))
    trials = data(capsys, "simulate", "anil", "--problem", path, "--steps", 5)["trials"]
    assert len(trials) == 1
    expected = np.linalg.norm(B0 - B_star @ (B_star.T @ B0), 2)
    assert trials[0]["dist0"] == pytest.approx(expected, rel=1e-12)


UNSTABLE_RATES = ("rates", "anil", "average-loss", "--alpha", 5, "--beta", 50, "--n", 10, "--k", 2)


def test_a_step_size_too_large_diverges_and_says_so(capsys):
    result = data(capsys, "simulate", "maml", "--alpha", 5, "--beta", 50, "--steps", 200)
    assert {trial["outcome"] for trial in result["trials"]} == {"diverged"}
    assert all(trial["dist"] is None and trial["diverged_at"] > 0 for trial in result["trials"])
    assert "diverged" in output(capsys, "simulate", "maml", "--alpha", 5, "--beta", 50, "--steps", 200)
    records = data(capsys, *UNSTABLE_RATES, "--jobs", 1)["rates"]
    assert [record["outcome"] for record in records] == ["unstable", "diverged"]
    assert all(record["relative_error"] is None for record in records)


@pytest.mark.thorough
def test_rates_are_the_same_by_several_processes(capsys):
    one, two = (data(capsys, *UNSTABLE_RATES, "--jobs", jobs)["rates"] for jobs in (1, 2))
    assert one == two


def test_a_run_that_ends_blind_is_called_so(capsys):
    """Figure 1's setting: the fifth trial solves every task and learns nothing; the others learn."""
    figure_1 = ("--d", 100, "--k", 5, "--n", 5, "--alpha", 0.1, "--beta", 0.1, "--tasks", "fresh")
    words = ("simulate", "maml", *figure_1, "--start", "orthonormal", "--steps", 3000, "--trials", 5, "--seed", 41)
    assert [trial["outcome"] for trial in data(capsys, *words)["trials"]] == ["converged"] * 4 + ["blind"]


RATE_FIELDS = [
    *("learner", "d", "k", "n", "alpha", "beta", "symbolic", "empirical"),
    *("standard_error", "relative_error", "envelope", "outcome"),
]


def test_rates_agree(capsys):
    words = ("rates", "--d", 100, "--k", 2, "--n", 20, "--alpha", 0.3, "--beta", 0.3, "--seed", 0)
    records = data(capsys, *words, "--jobs", 1)["rates"]
    assert [record["learner"] for record in records] == FIVE
    assert all(list(record) == RATE_FIELDS for record in records)
    for record in records[:4]:
        assert record["outcome"] == "converged"
        assert record["relative_error"] < 1e-5
        assert record["symbolic"] < record["envelope"] < 1
    baseline = records[4]
    assert (baseline["relative_error"], baseline["envelope"], baseline["outcome"]) == (None, None, "stalled")
    assert baseline["empirical"] == pytest.approx(1, abs=1e-6)


UNSTABLE = ("--d", 5, "--k", 1, "--n", 2, "--alpha", 0.3, "--beta", 0.3)


def test_rates_say_that_fo_maml_is_unstable(capsys):
    """k = 1, two heads of one sign: log-convexity of their moments makes the truth unstable; growth is as predicted."""
    seed = next(s for s in range(50) if np.ptp(np.sign(rates_problem(5, 1, 2, 0.3, 0.3, s, 0.5).tasks(0))) == 0)
    record = data(capsys, "rates", "fo-maml", *UNSTABLE, "--seed", seed)["rates"][0]
    assert record["outcome"] == "unstable"
    assert record["symbolic"] > 1
    assert record["empirical"] - 1 == pytest.approx(record["symbolic"] - 1, rel=0.05)
    assert record["relative_error"] is None
    assert "growth" in output(capsys, "rates", "fo-maml", *UNSTABLE, "--seed", seed)


def test_rates_say_that_fo_maml_is_stable(capsys):
    """k = 1, two heads of opposite signs: m_2² > m_1 m_3."""
    seed = next(s for s in range(50) if np.ptp(np.sign(rates_problem(5, 1, 2, 0.3, 0.3, s, 0.5).tasks(0))) == 2)
    record = data(capsys, "rates", "fo-maml", *UNSTABLE, "--seed", seed)["rates"][0]
    assert record["outcome"] == "converged"
    assert record["relative_error"] < 1e-5


def test_rates_have_no_envelope_from_afar(capsys):
    words = ("rates", "fo-anil", "--d", 20, "--k", 2, "--n", 20, "--alpha", 0.4, "--beta", 0.4, "--dist0", 0.96)
    assert data(capsys, *words)["rates"][0]["envelope"] is None


def test_claims_are_not_run_without_a_report(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    listed = data(capsys, "claims")
    assert listed["report"] is None
    assert {claim["status"] for claim in listed["claims"]} == {"NOT_RUN"}
    assert "update-maml" in output(capsys, "claims")


def test_verify_prints_what_is_known(capsys):
    result = data(capsys, "verify", "update-fo-anil", "--examples", 4)["claim"]
    assert (result["status"], result["expected"]) == ("PROVED", "PROVED")
    kinds = {item["kind"]: item for item in result["evidence"]}
    assert kinds["floats"]["examples"] == 4
    assert kinds["proof"]["steps"]
    text = output(capsys, "verify", "update-fo-anil", "--examples", 4)
    assert text.startswith("update-fo-anil: PROVED")
    assert "\\" not in text


def test_verify_of_a_false_claim_exits_with_1(capsys, monkeypatch):
    """The exit code is that of the verdict: break the implementation and the claim falls."""
    from metarep.theory import claims
    from metarep.theory.claims.record import Comparison

    claim = claims.get_claim("update-fo-anil")
    false = replace(claim, proof=None, check=lambda instance, implementation: Comparison(1.0, 0.0, 0.5, "made false"))
    monkeypatch.setattr(claims, "get_claim", lambda claim_id: false)
    assert call("verify", "update-fo-anil", "--examples", 4) == 1
    text = capsys.readouterr().out
    assert "REFUTED" in text
    assert "made false" in text
    assert "alpha = " in text


def test_selftest_exits_with_1_if_a_mutant_survives(capsys, monkeypatch, complaint):
    from metarep.theory.engine.mutants import selftest

    def outcome(refuted_by):
        return lambda **options: selftest.Matrix((selftest.Column("update-maml", refuted_by, ()),))

    monkeypatch.setattr(selftest, "MUTANTS", {"frozen": selftest.MUTANTS["frozen"]})
    monkeypatch.setattr(selftest, "selftest", outcome(("frozen",)))
    assert data(capsys, "selftest", "--without", "update-fo-anil")["survivors"] == []
    assert "1 of 1 refuted" in output(capsys, "selftest")
    monkeypatch.setattr(selftest, "selftest", outcome(()))
    assert "NOTHING" in output(capsys, "selftest", code=1)
    assert "no-such-claim" in complaint("selftest", "--without", "no-such-claim")


@pytest.mark.thorough
def test_experiment(capsys, tmp_path, monkeypatch, without_layout):
    """Two curves of each panel, cut short."""
    from metarep.sim import experiments

    chosen = experiments.get_experiment("figure-1")
    panels = tuple(
        replace(
            panel, curves=tuple(replace(c, setting=replace(c.setting, steps=20, trials=2)) for c in panel.curves[:2])
        )
        for panel in chosen.panels
    )
    monkeypatch.setattr(experiments, "get_experiment", lambda name: replace(chosen, panels=panels))
    result = data(capsys, "experiment", "figure-1", "--out", tmp_path, "--jobs", 1)
    assert {(item["panel"], item["curve"]) for item in result["curves"]} == {
        (panel.name, curve.label) for panel in panels for curve in panel.curves
    }
    assert all(Path(file).stat().st_size for file in result["files"])
    monkeypatch.setattr("metarep.reports.page.style.rendered", lambda figure, form: b"")
    assert panels[0].curves[0].label in output(capsys, "experiment", "figure-1", "--out", tmp_path, "--jobs", 1)


def test_bench_prints_ratios(capsys, monkeypatch):
    from metarep.reports.bench import ratios
    from metarep.reports.bench.timing import Job, Ratio

    quick = [Ratio("one by itself", job := Job("nothing", "none", lambda: None), job)]
    monkeypatch.setattr(ratios, "population_jobs", lambda: {})
    monkeypatch.setattr(ratios, "population_ratios", lambda jobs: quick)
    result = data(capsys, "bench", "--no-samples")
    assert {"what", "median", "lowest", "highest", "limit", "within"} == set(result["ratios"][0])
    assert "one by itself" in output(capsys, "bench", "--no-samples")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("simulate maml --d 1000000000000000000000", "d is 1000000000000000000000; allowed: a whole number d >= 1, at"),
        ("simulate maml --trials 100000000000", "trials is 100000000000; allowed: a whole number, 1 to 10000000"),
        ("simulate maml --n 1000000000000", "not enough memory for these sizes"),
        ("simulate maml --k 10000000 --d 10000000", "not enough memory for these sizes"),
        ("rates --k 20000 --d 100000", "k is 20000; allowed: a whole number, 1 to 60"),
        ("rates maml --alpha 1e300", "alpha is 1e+300; allowed: 1e-09 to 1e+09"),
        ("rates --beta 1e-300", "beta is 1e-300; allowed: 1e-09 to 1e+09"),
        ("sweep --alpha 0.1:1:100000000000 --out x.db", "allowed: 1000000 values at most"),
        ("sweep --alpha 0.1:1:10000 --beta 0.1:1:1000 --out x.db", "these axes have 10000000 combinations; allowed: 1"),
        (
            "sweep --alpha 0.1:1:1000 --trials 1000000 --out x.db",
            "this is 1000000000 runs; allowed: 100000000 at most",
        ),
        ("verify update-anil --examples 100000000000000", "examples is 100000000000000; allowed: a whole number, 1 to"),
        ("simulate maml --out ''", "out is empty; allowed: a path"),
        ("experiment figure-1 --out ''", "out is empty; allowed: a path"),
        ("report --out ''", "out is empty; allowed: a path"),
        ("sweep --out ''", "out is empty; allowed: a path"),
    ],
)
def test_absurd_sizes_and_empty_paths(words, said, complaint, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert said in complaint(*shlex.split(words))
    assert not list(tmp_path.iterdir())


def test_a_sweep_leaves_other_files_alone(complaint, tmp_path):
    (path := tmp_path / "notes.txt").write_text("x")  # SQLite itself would take so short a file for a new one
    assert "not a database" in complaint("sweep", "--steps", 3, "--out", path)
    assert path.read_text() == "x"


def test_a_spec_that_exits_and_deeply_nested_json_are_bad_input(complaint, tmp_path):
    (spec := tmp_path / "leaves.py").write_text("import sys\nsys.exit(0)\n")
    assert "leaves.py:2: cannot be imported: SystemExit" in complaint("study", spec)
    (nested := tmp_path / "report.json").write_text("[" * 100_000)
    assert "is not JSON" in complaint("claims", "--report", nested)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs the device that is always full")
def test_a_full_disk_is_one_line():
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "metarep", *PRINTS]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("metarep: cannot write (No space left on device)")
    assert done.stderr.count("\n") == 1
