"""The calculus of inequalities: its polynomials, rules, core, theorems, and what the core must refuse."""

import ast
import json
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from metarep.theory.calculus.words import Poly
from metarep.theory.engine import Profile
from metarep.theory.inequalities import theorem_anil, theorem_fo_anil
from metarep.theory.inequalities.catalogue import RULES
from metarep.theory.inequalities.controls import controls
from metarep.theory.inequalities.core import Context, Derivation, check
from metarep.theory.inequalities.data import from_data, to_data
from metarep.theory.inequalities.evaluation import excess, norm_of, third_averages, value_of
from metarep.theory.inequalities.floors import FLOORS
from metarep.theory.inequalities.instances import CASES, RuleCase, worst_excess
from metarep.theory.inequalities.one_step import STATEMENTS
from metarep.theory.inequalities.polynomials import Polynomial, nonnegative, variable
from metarep.theory.inequalities.printing import chains, lines, setting
from metarep.theory.inequalities.records import as_proof
from metarep.theory.inequalities.search import anil_constants, fo_anil_constants
from metarep.theory.inequalities.syntax import NotAccepted, matrix, scalar
from metarep.theory.inequalities.theorems import THEOREMS, learner_step

ROOM = Path(__file__).parent.parent / "theory" / "inequalities"
TRUSTED = (
    "core",
    "rules",
    "rules_third",
    "rules_floor",
    "rules_induction",
    "reduction",
    "catalogue",
    "norms",
    "polynomials",
    "syntax",
    "letters",
    "steps",
)
MAY_IMPORT = tuple(f"metarep.theory.calculus{name}" for name in ("", ".words", ".alphabet", ".rationals"))


@pytest.mark.parametrize("name", TRUSTED)
def test_the_core_rests_on_the_words_alone(name: str) -> None:
    for node in ast.walk(ast.parse((ROOM / f"{name}.py").read_text(encoding="utf-8"))):
        modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        modules += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        for module in modules:
            own = module.startswith("metarep.theory.inequalities.") and module.rsplit(".", 1)[1] in TRUSTED
            own = own or (name == "catalogue" and module == "metarep.theory.inequalities")
            assert own or module in MAY_IMPORT or module.split(".")[0] in sys.stdlib_module_names, module


def test_polynomials_are_exact() -> None:
    x, y = variable("x"), variable("y")
    assert (x + y) * (x - y) == x**2 - y**2
    assert (x + 1).substitute({"x": y * 2}) == y * 2 + 1
    assert variable("x", -1) * x == 1 + Polynomial()
    with pytest.raises(TypeError, match="coefficient"):
        Polynomial({(): 0.5})  # type: ignore[dict-item]


def test_yes_is_never_wrong() -> None:
    rng = np.random.default_rng(0)
    box = {"x": Fraction(2), "y": Fraction(1), "z": Fraction(1, 2)}
    yes = 0
    for _ in range(300):
        terms = {}
        for _ in range(4):
            key = tuple((name, int(e)) for name, e in zip("xyz", rng.integers(0, 3, 3), strict=True) if e)
            terms[key] = Fraction(int(rng.integers(-4, 9)), 2)
        polynomial = Polynomial(terms)
        if nonnegative(polynomial, box):
            yes += 1
            points = rng.uniform(0, 1, (50, 3)) * [2, 1, 0.5]
            assert min(polynomial.value(dict(zip("xyz", p, strict=True))) for p in points) > -1e-12  # type: ignore[arg-type]
    assert 50 < yes < 300


@pytest.mark.parametrize(
    ("text", "holds"),
    [("1 - x", True), ("1 - 2*x", False), ("x**2 - 2*x*y + y**2 + 1/4", True), ("1/5 - x*(1 - x)", False)],
)
def test_decisions(text: str, holds: bool) -> None:
    assert nonnegative(scalar(text), {"x": Fraction(1), "y": Fraction(1)}) is holds


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.rule)
def test_rule_holds_and_its_broken_version_does_not(case: RuleCase) -> None:
    sizes = ((1, 3), (2, 3), (3, 7), (8, 40))
    worst, broken = (
        max(worst_excess(case, np.random.default_rng(k), 4, k, d, broken) for k, d in sizes) for broken in (False, True)
    )
    assert worst < 1e-9
    assert broken > 1e-3


@pytest.mark.parametrize("name", [*STATEMENTS, *FLOORS])
def test_statement_is_accepted(name: str) -> None:
    checked = {**STATEMENTS, **FLOORS}[name]()
    assert checked.accepted, checked.refusal
    assert set(checked.rules_used) <= set(RULES)
    assert all(line.latex and line.reason for line in lines(checked))
    assert all(checked.result(result).bound is not None for result, _ in checked.derivation.results)


def test_every_rule_is_tried_and_explained() -> None:
    assert set(RULES) - {case.rule for case in CASES} == UNDRAWN
    assert all(rule.reason and rule.statement for rule in RULES.values())


UNDRAWN = {"assumption", "induction", "product", "form", "kept-columns", "multiplied"}
"""Rules without a case on random matrices: they speak of every step, or say nothing by themselves."""


@pytest.mark.parametrize("name", THEOREMS)
def test_theorem_is_accepted(name: str) -> None:
    checked = THEOREMS[name]()
    assert checked.accepted, checked.refusal
    assert checked.judgements[-1].kind == "forever"
    assert len(lines(checked)) == len(checked.derivation.lines)
    assert [line.number for line in chains(checked)] == list(range(1, len(chains(checked)) + 1))
    assert all(use < line.number for line in chains(checked) for use in line.uses)
    assert as_proof(checked).complete
    assert "^+^" not in "".join(line.latex for line in chains(checked))
    assert setting(checked)


@pytest.mark.parametrize("name", THEOREMS)
def test_derivation_survives_json(name: str) -> None:
    derivation = THEOREMS[name]().derivation
    assert from_data(json.loads(json.dumps(to_data(derivation)))) == derivation


def point(context: Context, constants: theorem_fo_anil.Constants, rng: np.random.Generator) -> tuple[dict, dict]:
    """Matrices and scalars at which everything assumed and kept holds, mostly with equality."""
    k = int(rng.integers(1, 5))
    d = 2 * k + int(rng.integers(0, 3))
    E = 0.9 * rng.uniform(0.02, 1)
    zeta, xi, upsilon = rng.dirichlet([1, 1, 1])
    at = {"E": E, "d0": 0.9 - E, "k0": rng.uniform(0.02, 1), "s": rng.uniform(0, 1) ** 2}
    at |= {"zeta": zeta, "xi": xi, "upsilon": upsilon, "a": float(Fraction(constants.c1)) * rng.uniform(0.3, 1)}
    at |= {"g": float(Fraction(constants.c2)) * rng.uniform(0.1, 1)}
    at["f"] = min(float(Fraction(constants.c3)) * rng.uniform(0.05, 1), at["g"] / (E * at["k0"]))
    L, mu, eta = (np.sqrt(float(context.squares[name].value(at))) for name in ("L", "mu", "eta"))
    at |= {"L": L, "mu": mu, "eta": eta}
    for name, value in context.plain.items():
        at[name] = float(value.value(at))

    def turn(size: int) -> np.ndarray:
        return np.linalg.qr(rng.standard_normal((size, size)))[0]

    frame, axes, tasks = turn(d), turn(k), turn(k)
    shape = axes @ np.diag(np.sqrt(1 - at["x"] * np.r_[rng.choice([-1, 1]), rng.uniform(-1, 1, k - 1)])) @ axes.T
    sines = np.sqrt(at["z"] / (1 + at["x"])) * np.r_[1, rng.uniform(0, 1, k - 1)]
    B = frame[:, :k] @ turn(k) @ np.diag(np.sqrt(1 - sines**2)) + frame[:, k : 2 * k] @ np.diag(sines)
    B = B @ turn(k) @ shape
    spectrum = np.sort(np.r_[mu**2, rng.uniform(mu**2, L**2, k - 1)])
    spectrum[-1] = L**2 if k > 1 else mu**2
    w = rng.standard_normal(k)
    arrays = {
        "B": B, "w": w * at["omega"] / np.linalg.norm(w), "B_star": frame[:, :k], "B_perp": frame[:, k:],
        "Psi_star": tasks @ np.diag(spectrum) @ tasks.T, "G_inv": np.linalg.inv(B.T @ B),
        "w_bar": tasks[:, -1] * min(eta, np.sqrt(spectrum[-1])),
    }  # fmt: skip
    return arrays, at


def close_point(context: Context, rng: np.random.Generator) -> tuple[dict, dict]:
    """As ``point``, for FO-MAML's theorem: the heads themselves matter there."""
    k = int(rng.integers(1, 4))
    n, d = 3 * k + 1, 2 * k + 1
    heads = rng.standard_normal((k, n))
    heads = np.linalg.qr((heads - heads.mean(1, keepdims=True)).T)[0].T * np.sqrt(n)
    heads = rng.uniform(0.8, 1, (k, 1)) * heads + 0.1 * rng.uniform() / k * rng.choice([-1, 1], (k, 1))
    second = heads @ heads.T / n
    small, large = np.linalg.eigvalsh(second)[[0, -1]]
    longest, mean = np.linalg.norm(heads, axis=0).max(), np.linalg.norm(heads.mean(1))
    at = {"a": rng.uniform(0.01, 0.125), "g": rng.uniform(0.05, 0.5), "k0": small / large, "s": 0.0}
    at |= {"share": rng.uniform(0.01, 0.25), "n": mean / longest, "S": mean * longest * large / small**2}
    at["d0"] = at["share"] * small / np.trace(second)
    at |= dict(zip(("zeta", "xi", "upsilon"), rng.dirichlet([1, 1, 1]), strict=True))
    at["L"] = np.sqrt(float(context.squares["L"].value(at)))
    scale = at["L"] / np.sqrt(large)
    heads, at["W"], at["mu"] = heads * scale, longest * scale, np.sqrt(small) * scale
    for name, value in context.plain.items():
        at[name] = float(value.value(at))
    frame = np.linalg.qr(rng.standard_normal((d, d)))[0]
    sines = np.full(k, np.sqrt(at["z"] / (1 + at["x"])))
    B = frame[:, :k] * np.sqrt(1 - sines**2) + frame[:, k : 2 * k] * sines
    B = B * np.sqrt(1 + at["x"] * rng.choice([-1, 1]))
    w = rng.standard_normal(k)
    w *= at["omega"] / np.linalg.norm(w)
    arrays = {
        "B": B, "w": w, "B_star": frame[:, :k], "B_perp": frame[:, k:], "Psi_star": heads @ heads.T / n,
        "w_bar": heads.mean(1), "G_inv": np.linalg.inv(B.T @ B), "heads": heads,
        **third_averages(B, w, frame[:, :k], heads),
    }  # fmt: skip
    assert at["S"] <= 0.15
    return arrays, at


@pytest.mark.parametrize("name", ["fo-anil", "anil", "fo-maml"])
def test_every_line_is_true_of_numbers(name: str, profile: Profile) -> None:
    checked = THEOREMS[f"theorem-{name}"]()
    constants = theorem_fo_anil.Constants() if name == "fo-anil" else theorem_anil.ExactConstants()
    context = Context(checked.derivation, checked.step)
    rng = np.random.default_rng(0)
    for _ in range(20 if profile.effort > 1 else 2):
        arrays, scalars = close_point(context, rng) if name == "fo-maml" else point(context, constants, rng)
        for number, judgement in enumerate(checked.judgements, 1):
            if judgement.kind in ("kept", "forever", "each"):
                continue
            size = 1e-9 + norm_of(value_of(judgement.of, context, arrays, scalars["beta"]))
            if not isinstance(judgement.bound, Poly):
                size += abs(float(judgement.bound.value(scalars)))
            assert excess(judgement, context, arrays, scalars) < 1e-7 * size, checked.derivation.lines[number - 1]


def test_a_refused_derivation_is_no_proof() -> None:
    """That the core refuses all of them is ``test_theorem_claims``'."""
    control = next(control for control in controls(thin=60) if isinstance(control.derivation, Derivation))
    found = control.refused()
    assert not found.accepted
    assert not as_proof(found).holds
    assert found.refusal


def test_search_finds_what_the_core_accepts() -> None:
    found = fo_anil_constants(Fraction(1, 20), Fraction(1, 2), Fraction(3, 4))
    assert found
    assert check(theorem_fo_anil.derivation(found), learner_step("fo-anil")).accepted
    assert fo_anil_constants(Fraction(1, 2), Fraction(1), Fraction(1)) is None
    assert anil_constants(Fraction(1, 10), Fraction(4), Fraction(8)) is None


@pytest.mark.parametrize("text", ["Delta*w_star_i", "B*B", "Delta**9", "Delta.inv", "Delta[0]", "f(Delta)", ""])
def test_syntax_refuses(text: str) -> None:
    with pytest.raises(NotAccepted):
        matrix(text)
