"""The calculus of inequalities: its polynomials, rules, core, theorems, and what the core must refuse."""

import ast
import json
import sys
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from metarep.theory.calculus import alphabet as a
from metarep.theory.calculus.words import ALPHABET, Poly, find_letter
from metarep.theory.engine import Profile
from metarep.theory.inequalities import theorem_anil, theorem_fo_anil
from metarep.theory.inequalities.catalogue import RULES
from metarep.theory.inequalities.controls import controls
from metarep.theory.inequalities.core import Context, Derivation, Line, Region, Says, State, check
from metarep.theory.inequalities.data import from_data, to_data
from metarep.theory.inequalities.evaluation import excess, norm_of, third_averages, value_of
from metarep.theory.inequalities.floors import FLOORS
from metarep.theory.inequalities.instances import CASES, RuleCase, worst_excess
from metarep.theory.inequalities.letters import AVERAGES, DEFINITIONS
from metarep.theory.inequalities.norms import norm_by_words, weight_of
from metarep.theory.inequalities.one_step import STATEMENTS
from metarep.theory.inequalities.polynomials import Polynomial, clear_monomial, constant, nonnegative, variable
from metarep.theory.inequalities.printing import chains, lines, setting
from metarep.theory.inequalities.records import as_proof
from metarep.theory.inequalities.reduction import letters_of
from metarep.theory.inequalities.search import anil_constants, fo_anil_constants
from metarep.theory.inequalities.steps import Step, average, stated_step, step_of, unit_alpha
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
    if name in FLOORS:
        last = checked.judgements[-1]
        assert (last.kind, last.of.shape, last.bound) == ("floor", ("1", "1"), Polynomial())


def test_every_rule_is_tried_and_explained() -> None:
    assert set(RULES) - {case.rule for case in CASES} == UNDRAWN
    assert all(rule.reason and rule.statement for rule in RULES.values())


UNDRAWN = {"assumption", "induction", "product", "form", "kept-columns", "multiplied"}
"""Rules without a case on random matrices: they speak of every step, or say nothing by themselves."""


@pytest.mark.parametrize("name", RULES)
def test_a_rule_that_is_refused_says_so_by_its_name(name: str) -> None:
    same = Line("identity", Says("equal", "B", "B"))
    for uses in ((), (1,), (1,) * 4, (2,), (2, 2)):
        refusal = check(small(B_IS_SMALL, same, Line(name, Says("norm", "B", "x"), uses)), None).refusal
        assert "NoneType" not in refusal


@pytest.mark.parametrize("name", [*STATEMENTS, "theorem-fo-anil"])
def test_a_line_that_uses_one_about_something_else_is_refused_for_that(name: str) -> None:
    checked = {**STATEMENTS, **THEOREMS}[name]()
    proof, seen = checked.derivation, set()
    context = Context(proof, checked.step)
    for index, line in enumerate(proof.lines):
        for place, use in enumerate(line.uses):
            of = checked.judgements[use - 1]
            others = [
                other
                for other, found in enumerate(checked.judgements[:index], 1)
                if found.kind == of.kind and found.of != of.of
            ]
            if others and (line.rule, place) not in seen:
                seen.add((line.rule, place))
                wrong = replace(line, uses=(*line.uses[:place], others[0], *line.uses[place + 1 :]))
                found = check(replace(proof, lines=(*proof.lines[:index], wrong)), checked.step)
                same = context.equal(of.of, checked.judgements[others[0] - 1].of)  # by their letters' definitions
                assert same or line.rule == "words" or not found.accepted, wrong
                assert "NoneType" not in found.refusal


@pytest.mark.parametrize("name", THEOREMS)
def test_theorem_is_accepted(name: str) -> None:
    checked = THEOREMS[name]()
    assert checked.accepted, checked.refusal
    kept, last = (next(found for found in checked.judgements if found.kind == kind) for kind in ("kept", "forever"))
    assert (kept.of, kept.bound, last.of) == (Poly(("1", "1")), constant(1), Poly(("1", "1")))
    assert last is checked.judgements[-1]
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


# --- what the core reads, and what it refuses


def small(*lines: Line, assumed: tuple[Says, ...] = (), **region: Any) -> Derivation:
    """A derivation with x ≤ 1 and y ≤ 2 of B and w̄_* bounded by them."""
    ranges = {"ranges": (("x", "1"), ("y", "2"), ("z", "")), "positive": ("z",)}
    bounds = (Says("norm", "B", "x"), Says("norm", "w_bar", "y"))
    return Derivation("small", Region(**{**ranges, **region}), (*bounds, *assumed), lines)


B_IS_SMALL = Line("assumption", Says("norm", "B", "x"))


def test_what_is_assumed_is_accepted_and_read() -> None:
    found = check(small(B_IS_SMALL, Line("weaken", Says("norm", "B", "1"), (1,))), None)
    assert found.accepted
    assert found.holds
    assert [(line.kind, line.bound) for line in found.judgements] == [("norm", scalar("x")), ("norm", scalar("1"))]
    assert "judgements" not in repr(found)
    assert check(small(B_IS_SMALL), RESTS).step is RESTS
    assert check(Derivation("none", Region(()), (), ()), RESTS).step is RESTS
    for kind, of in (("each", "w_bar"), ("each", "B"), ("norm", "w_star_i")):
        said = Says(kind, of, "x")
        assert not check(small(Line("assumption", said), assumed=(said,)), None).accepted
    assert found.rules_used == ("assumption", "weaken")
    assert check(small(Line("obvious", Says("norm", "B", "x"))), None).refusal == "line 1: unknown rule 'obvious'"
    for use in (-1, 0, 2, 3):
        later = check(small(B_IS_SMALL, Line("weaken", Says("norm", "B", "1"), (use,))), None)
        assert later.refusal == "line 2: a line may use earlier lines only"


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        ({}, {"ranges": (("x", "1"), ("y", "2"), ("z", ""), ("x", "1"))}),
        ({"positive": ("x", "z")}, {"positive": ("x", "z"), "ranges": (("x", "0"), ("y", "2"), ("z", ""))}),
        ({}, {"positive": "xz"}),
        ({}, {"varying": "x"}),
        ({"varying": ("x",)}, {"varying": ["x"]}),
        ({"symbols": (("v", "x + y"),)}, {"symbols": (("v", "x + y"), ("v", "x"))}),
        ({"symbols": (("v", "x + y"),)}, {"symbols": (("v", "x + y"), ("v**2", "x"))}),
        ({"symbols": (("v**2", "x + y"),)}, {"symbols": (("v**2", "x + y"), ("v**2", "x"))}),
        ({"symbols": (("v**2", "x + y"),)}, {"symbols": (("v**2", "x + y"), ("v", "x"))}),
        ({"symbols": (("v", "x"),)}, {"symbols": (("x", "y"),)}),
        ({"symbols": (("beta", "1 - x"),)}, {"symbols": (("beta", "1 - 2*x"),)}),
        ({"symbols": (("beta", "x/z"),)}, {"symbols": (("beta", "z/x"),)}),
        ({"ranges": (("x", "1"), ("u", "1")), "relations": (("u", "1 - x"),)},
         {"ranges": (("x", "1"), ("u", "1")), "relations": (("u", "1 - 2*x"),)}),
        ({"ranges": (("x", "1"), ("u", "1")), "relations": (("u", "1 - x"),)},
         {"ranges": (("x", "1"), ("u", "2")), "relations": (("u", "1 - x"),)}),
        ({"ranges": (("x", "1"), ("u", "1")), "relations": (("u", "1 - x"),)},
         {"ranges": (("x", "2"), ("u", "1")), "relations": (("u", "1 - x"),)}),
        ({"ranges": (("x", "1"), ("u", "1")), "relations": (("u", "1 - x"),)},
         {"ranges": (("x", "1"), ("u", "1")), "relations": (("x", "1 - x"),)}),
        ({"ranges": (("x", "1"), ("y", "1"), ("u", "1")), "relations": (("u", "1 - x"),)},
         {"ranges": (("x", "1"), ("y", "1"), ("u", "1")), "relations": (("u", "1 - x - y"),)}),
        ({}, {"ranges": (("x", "1.0"), ("y", "2"), ("z", ""))}),
        ({"ranges": (("x", "1/3"), ("y", "2"), ("z", ""))}, {"ranges": (("x", "1/0"), ("y", "2"), ("z", ""))}),
    ],
)  # fmt: skip
def test_a_region_is_refused(good: dict, bad: dict) -> None:
    for region, accepted in ((good, True), (bad, False)):
        found = check(small(B_IS_SMALL, **region), None)
        assert found.accepted is accepted, found.refusal
        assert accepted or found.refusal.startswith("the setting: ")


@pytest.mark.parametrize(
    "line",
    [
        Line("weaken", Says("norm", "B", "x/2"), (1,)),
        Line("weaken", Says("below", "B", "1"), (1,)),
        Line("weaken", Says("norm", "B.T", "1"), (1,)),
        Line("weaken", Says("norm", "B", "1"), (2,)),
        Line("weaken", Says("norm", "B", "1"), (0,)),
        Line("weaken", Says("norm", "B", "1"), (-1,)),
        Line("weaken", Says("norm", "B", "1"), (1, 1)),
        Line("weaken", Says("norm", "B", "v"), (1,)),
        Line("weaken", Says("norm", "B", "1 + 0*x**-1"), (1,)),
        Line("assumption", Says("norm", "B", "y")),
        Line("assumption", Says("norm", "w", "x")),
        Line("assumption", Says("norm", "B", "x"), (1,)),
        Line("identity", Says("equal", "B.T*B", "B*B.T")),
        Line("identity", Says("equal", "B.T*B", "2*B.T*B")),
        Line("identity", Says("norm", "B", "x")),
        Line("identity", Says("equal", "B.T*B*G_inv", "I_k")),
        Line("triangle", Says("norm", "2*B", "x"), (1,), ("2",)),
        Line("triangle", Says("norm", "2*B", "2*x"), (1,), ("1",)),
        Line("words", Says("norm", "B.T*B", "x"), (1,)),
        Line("words", Says("norm", "B*w", ""), (1,)),
        Line("square", Says("below", "B*B.T*B*B.T", "x**2"), (1,)),
        Line("square", Says("below", "B*B.T", "x"), (1,)),
        Line("identity-matrix", Says("above", "2*I_k", "1")),
        Line("identity-matrix", Says("norm", "I_k", "1")),
        Line("symmetric", Says("below", "B", "x"), (1,)),
    ],
)  # fmt: skip
def test_a_line_is_refused(line: Line) -> None:
    found = check(small(B_IS_SMALL, line), None)
    assert not found.accepted
    assert found.refusal.startswith("line 2: ")
    assert len(found.judgements) == 1


@pytest.mark.parametrize(
    "line",
    [
        Line("identity", Says("equal", "Delta*B.T*B", "B.T*B*Delta")),
        Line("triangle", Says("norm", "2*B", "2*x"), (1,), ("2",)),
        Line("triangle", Says("norm", "-B", "x"), (1,), ("-1",)),
        Line("words", Says("norm", "B.T*B - 2*B.T*B*B.T*B", "x**2 + 2*x**4"), (1,)),
        Line("square", Says("below", "B*B.T", "x**2"), (1,)),
        Line("square", Says("below", "B.T*B", "x**2"), (1,)),
        Line("identity-matrix", Says("above", "I_k", "1")),
    ],
)  # fmt: skip
def test_a_line_is_accepted(line: Line) -> None:
    found = check(small(B_IS_SMALL, line), None)
    assert found.accepted, found.refusal


@pytest.mark.parametrize(
    ("lines", "follows"),
    [
        ([Line("identity-matrix", Says("below", "I_d", "1")),
          Line("congruence", Says("below", "B.T*B"), (2, 1))], "x**2"),
        ([Line("identity-matrix", Says("above", "I_k", "1")), Line("gram", Says("above", "B.T*B"), (), ("B.T",)),
          Line("sum", Says("above", "I_k + 2*beta*B.T*B"), (2, 3), ("1", "2*beta"))], "1"),
        ([Line("square", Says("below", "B.T*B"), (1,)), Line("identity-matrix", Says("below", "I_k", "1")),
          Line("sum", Says("below", "3*B.T*B + I_k"), (2, 3), ("3", "1"))], "3*x**2 + 1"),
        ([Line("square", Says("below", "B.T*B"), (1,)),
          Line("sum", Says("above", "-2*beta*B.T*B"), (2,), ("-2*beta",))], "-2*beta*x**2"),
        ([Line("words", Says("norm", "B.T*B"), (1,)), Line("symmetric", Says("above", "B.T*B"), (2,))], "-x**2"),
        ([Line("words", Says("norm", "B.T*B"), (1,)), Line("symmetric", Says("below", "B.T*B"), (2,))], "x**2"),
        ([Line("identity-matrix", Says("above", "I_k", "1")), Line("identity-matrix", Says("below", "I_k", "1")),
          Line("between", Says("norm", "I_k"), (2, 3))], "1"),
        ([Line("identity-matrix", Says("above", "I_k", "1")), Line("identity-matrix", Says("below", "I_k", "1")),
          Line("contraction", Says("norm", "I_k - beta*I_k"), (2, 3))], "1 - beta"),
        ([Line("identity-matrix", Says("above", "I_s", "1")), Line("identity-matrix", Says("above", "I_s", "1")),
          Line("sandwich", Says("above", "I_s"), (2, 3), ("I_s",))], "1"),
    ],
)  # fmt: skip
def test_exactly_this_bound_follows(lines: list[Line], follows: str) -> None:
    ranges = (("x", "1"), ("y", "2"), ("beta", "1"))
    for bound, accepted in ((follows, True), (f"{follows} + x**3", False), (f"{follows} - x**3", False)):
        last = replace(lines[-1], says=replace(lines[-1].says, bound=bound))
        found = check(small(B_IS_SMALL, *lines[:-1], last, ranges=ranges), None)
        assert found.accepted is accepted, found.refusal


def test_what_is_not_plain_data_is_refused() -> None:
    class Odd(str):
        pass

    listed: Any = [1]
    inexact: Any = (1.0,)
    lines: list[Any] = [
        Line("assumption", Says("norm", Odd("B"), "x")),
        Line("assumption", Says("norm", "B", "x"), listed),
        Line("weaken", Says("norm", "B", "1"), inexact),
        Line("weaken", Says("norm", "B", "1"), (True,)),
        Says("norm", "B", "x"),
        "a line",
    ]
    for line in lines:
        assert not check(small(B_IS_SMALL, line), None).accepted
    assert check(small(B_IS_SMALL, Line("weaken", Says("norm", "B", "1"), (1,))), None).accepted
    assert not check(small(), None).accepted


def test_definitions_are_new_letters_and_what_they_are_called() -> None:
    right = small(Line("identity", Says("equal", "M_right", "B.T*B")))
    assert check(replace(right, definitions=(("M_right", "B.T*B"),)), None).accepted
    for definitions in (
        (),
        (("M_right", "B.T*B"), ("M_right", "B.T*B")),
        (("M_right", "B.T*B"), ("Delta", "I_k")),
        (("M_right", "B.T*B"), ("B", "B")),
        (("M_right", "B.T*B*Delta*Z_mix"),),
    ):
        assert not check(replace(right, definitions=definitions), None).accepted
    skewed = small(Line("identity", Says("equal", "M_right", "w*w_bar.T*B_star.T*B")))
    assert not check(replace(skewed, definitions=(("M_right", "w*w_bar.T*B_star.T*B"),)), None).accepted


def test_powers_are_read_up_to_eight_and_whole() -> None:
    assert scalar("x**8") == variable("x", 8)
    assert scalar("x**0") == constant(1)
    assert matrix("Delta**8") == matrix("Delta**4") * matrix("Delta**4")
    assert scalar("-x/2 + 3/4") == variable("x") * Fraction(-1, 2) + Fraction(3, 4)
    assert scalar("x/y") == variable("x") * variable("y", -1)
    for bad in (
        "x**9",
        "x**-1",
        "x**y",
        "2/0",
        "True",
        "True/2",
        "1/True",
        "3.0/2",
        "1.0",
        "x/(x + y)",
        "x if x else y",
        "x < y",
        "+x",
    ):
        with pytest.raises(NotAccepted):
            scalar(bad)
    for bad in ("B/2", "B.T/B", "B.inv", "B @ w", "sqrt(B)"):
        with pytest.raises(NotAccepted):
            matrix(bad)
    assert matrix("0") == Poly(("1", "1"))
    assert matrix("0*B") == Poly(("d", "k"))
    assert matrix("1/2*beta*B") == matrix("B").scaled(Fraction(1, 2), beta=1)
    with pytest.raises(NotAccepted):
        scalar(" " * 4000 + "x")
    assert scalar(" " * 3999 + "x") == variable("x")


def test_norms_of_words_by_their_factors() -> None:
    x, y, beta = variable("x"), variable("y"), variable("beta")
    B, w = matrix("B"), matrix("w")
    assert norm_by_words(matrix("B*w - 3*beta**2*B*B.T*B*w"), [(B, x), (w, y)]) == x * y + beta**2 * x**3 * y * 3
    assert norm_by_words(matrix("B*w*w.T + B"), [(B, x), (w, y), (B * w, constant(1))]) == x + y  # the longest first
    assert norm_by_words(matrix("w.T*w*B"), [(B, x), (w.T * w, y)]) == x * y
    assert weight_of(matrix("-(2/3)*beta**2")) == (Fraction(-2, 3), 2)
    for wrong in (matrix("beta + 1"), matrix("w.T*w"), B, matrix("beta").scaled(alpha=1), matrix("1").scaled(beta=-1)):
        with pytest.raises(NotAccepted):
            weight_of(wrong)
    for factors in (
        [(matrix("w.T*w*w.T*B.T*B*w"), x), (B, x)],
        [(B * 2, x)],
        [(B + B * B.T * B, x)],
        [(matrix("beta*B"), x)],
        [(matrix("w.T*w*B"), x)],
        [],
    ):
        with pytest.raises(NotAccepted):
            norm_by_words(B, factors)
    with pytest.raises(NotAccepted):
        norm_by_words(B.scaled(alpha=1), [(B, x)])


def test_a_monomial_is_cleared_and_what_is_left_decides() -> None:
    x, y = variable("x"), variable("y")
    assert clear_monomial(x**2 * y - x * y * 2) == x - 2
    assert clear_monomial(variable("x", -2) + y) == 1 + x**2 * y
    assert clear_monomial(x + 1) == x + 1
    assert not clear_monomial(Polynomial())
    assert constant(1)
    assert (x**2 * y + x * 3 + 1).coefficients_in("x") == {2: y, 1: constant(3), 0: constant(1)}
    assert repr(x**2 * y * 2 + 1) == "Polynomial(1 + 2*x^2*y)"
    assert repr(Polynomial()) == "Polynomial(0)"
    with pytest.raises(ValueError, match="single monomial"):
        (x + 1) ** -1
    with pytest.raises(ValueError, match="no range"):
        nonnegative(x + y, {"x": Fraction(1)})
    for text, upper, holds in (
        ("x", None, True), ("x - x**2", None, False), ("1 - x", None, False), ("x**2 - 2*x + 1", None, False),
        ("x**2 - x*3/2 + 1", None, False),
        ("1/100*x**2 - x + 2", None, False), ("2 - x", Fraction(2), True), ("2 - x", Fraction(201, 100), False),
        ("x**2 - 2*x + 2", Fraction(5), True), ("-x", Fraction(1), False), ("0*x", None, True),
        ("1 + x - x**2", Fraction(1), True),
        ("1 + x - 2*x**2", Fraction(1), True), ("x**3 - x**2*2 + x + 1/100", Fraction(2), True),
        ("x**3 - x**2*2 + x - 1/100", Fraction(2), False),
    ):  # fmt: skip
        assert nonnegative(scalar(text), {"x": upper}) is holds, text


# --- a learner's step in averages


def test_averages_of_heads() -> None:
    head, mean, second = a.w_star, a.w_bar, a.Psi_star
    assert average(a.B_star * head) == a.B_star * mean
    assert average(mean.T * head) == mean.T * mean
    assert average(head * head.T * 3) == second * 3
    assert average(a.B_star * head * a.w.T + a.B) == a.B_star * mean * a.w.T + a.B
    assert average((a.w.T * a.B.T * a.B_star * head) * a.w) == (a.w.T * a.B.T * a.B_star * mean) * a.w
    for heads in ("centred", "symmetric"):
        assert average(a.B_star * head * a.w.T + a.B, heads) == a.B
        assert average(head * head.T, heads) == second
    three = head * head.T * (a.w.T * a.B.T * a.B_star * head)
    assert not average(three, "symmetric")
    for heads in ("any", "centred"):
        with pytest.raises(ValueError, match="heads that are not neighbours"):
            average(three, heads)
    with pytest.raises(ValueError, match="not neighbours"):
        average(head.T * head)
    with pytest.raises(ValueError, match="other than the heads"):
        average(a.theta * a.w.T)


def test_steps_of_special_heads_are_the_step_without_what_vanishes() -> None:
    one, other = a.B * a.w - a.B_star * a.w_star, a.w.scaled(1)
    gradients = (one * a.w.T, a.B.T * one)
    general = step_of(gradients)
    nothing = {"w_bar": Poly(("s", "1"))}
    assert (general.heads, general.at_zero, general.missed) == ("any", False, frozenset())
    for heads in ("centred", "symmetric"):
        found = step_of(gradients, heads)
        assert (found.grad_B, found.grad_w) == (general.grad_B.substitute(nothing), general.grad_w.substitute(nothing))
        assert found.heads == heads
    at_zero = step_of(gradients, "centred", True)
    assert at_zero.at_zero
    assert not at_zero.grad_B
    assert not at_zero.grad_w
    with pytest.raises(ValueError, match="not carried along"):
        unit_alpha(gradients[0].scaled(alpha=1), "B")
    with pytest.raises(ValueError, match="not carried along"):
        unit_alpha(gradients[0].scaled(beta=1), "B")
    with pytest.raises(ValueError, match="not carried along"):
        unit_alpha(other, "w")


def test_a_stated_step_is_the_learners() -> None:
    one = a.B * a.w - a.B_star * a.w_star
    gradients = (one * a.w.T, a.B.T * one)
    mean = a.B * a.w - a.B_star * a.w_bar
    stated = (mean * a.w.T, a.B.T * mean)
    found = stated_step(gradients, stated, AVERAGES)
    assert (found.grad_B, found.grad_w) == stated
    assert {"w_bar", "Psi_star"} <= found.missed
    assert not found.missed & {"t_star", "Bent"}
    for wrong in ((stated[0] * 2, stated[1]), (stated[0], stated[1] * 2)):
        with pytest.raises(ValueError, match="is not the learner's"):
            stated_step(gradients, wrong, AVERAGES)
    with pytest.raises(ValueError, match="no multiple of one average"):
        stated_step(gradients, (mean * a.w_bar.T * a.B_star.T * a.B, stated[1]), AVERAGES)
    with pytest.raises(ValueError, match="no multiple of one average"):
        stated_step(gradients, (one * a.w.T, stated[1]), AVERAGES)


def test_letters_of_the_proofs() -> None:
    symmetric = {"N_right", "M_right", "Phi", "S_both", "T_span", "Gap", "G_inv", "Third", "T_third"}
    others = {"A_mix", "C_mix", "D_mix", "Z_mix", "F_mean", "N_any", "N_tilde", "C_mean", "C_third"}
    assert {name for name in symmetric | others if find_letter(name).symmetry == 1} == symmetric
    assert all(find_letter(name).symmetry == 0 for name in others)
    assert all(letter.text and letter.latex and letter.rows and letter.cols for letter in ALPHABET)
    assert not any(find_letter(name).per_task for name in symmetric | others | set(DEFINITIONS) | set(AVERAGES))
    for name, words in AVERAGES.items():
        assert words.shape == matrix(name).shape
    for name, written in DEFINITIONS.items():
        assert matrix(written).shape == matrix(name).shape


@pytest.mark.parametrize("name", [*STATEMENTS, *FLOORS])
def test_a_line_that_is_given_or_uses_too_much_or_too_little_is_refused(name: str) -> None:
    checked = {**STATEMENTS, **FLOORS}[name]()
    proof = checked.derivation
    for index, line in enumerate(proof.lines):
        changed = (
            [replace(line, given=line.given[:-1]), replace(line, given=(*line.given, "I_k"))] if line.given else []
        )
        if line.rule != "words":  # it may be told of more than it needs
            changed += [replace(line, uses=(*line.uses, 1))] if index else []
            changed += [replace(line, uses=line.uses[:-1])] if line.uses and line.rule != "gram" else []
        for wrong in changed:
            lines = (*proof.lines[:index], wrong, *proof.lines[index + 1 :])
            found = check(replace(proof, lines=lines), checked.step)
            assert not found.accepted, wrong
            assert "NoneType" not in found.refusal
    if checked.step is not None:
        assert not check(proof, None).accepted


def test_what_is_the_same_by_its_letters_definitions_counts_as_the_same() -> None:
    gram = "Y.T*B_perp.T*B"  # YᵀY, as Y = B_{*⊥}ᵀB; in words of these letters it is not its own transpose
    bound = Says("norm", gram, "x")
    below = Line("symmetric", Says("below", gram, "x"), (1,))
    for root, accepted in (
        (Line("root", Says("norm", "Y", "1 + x"), (2,)), True),
        (Line("root", Says("norm", "Y.T", "1 + x"), (2,)), True),
        (Line("root", Says("norm", "Y", "x"), (2,)), False),
        (Line("root", Says("norm", "Y", "x - 2"), (2,)), False),
        (Line("root", Says("norm", "B", "1 + x"), (2,)), False),
    ):
        assert check(small(Line("assumption", bound), below, root, assumed=(bound,)), None).accepted is accepted
    for wrong in ("B_perp.T*B", "Y.T*B_perp.T*B*w*w_bar.T*A_mix.T"):
        said = Says("norm", wrong, "x")
        line = Line("symmetric", Says("below", wrong, "x"), (1,))
        assert not check(small(Line("assumption", said), line, assumed=(said,)), None).accepted


# --- induction, on a learner that stays where it is


RESTS = Step(Poly(("d", "k")), Poly(("k", "1")))
RANGES = (("s", "1"), ("x", "1"), ("beta", "1"), ("u", "1"))
LINES = (
    Line("assumption", Says("norm", "w", "s")),
    Line("identity", Says("equal", "w", "w_next")),
    Line("replace", Says("norm", "w_next", "s"), (1, 2)),
    Line("induction", Says("kept", "1"), (3,)),
)
KEPT = Derivation(
    "rests", Region(RANGES), (Says("norm", "w_bar", "x"),), LINES, kept=(Says("norm", "w", "s"),),
    start=(Says("norm", "w", "1/2"),), state=(State("s", "1/2", "s"),),
)  # fmt: skip


def kept_of(matrix: str, after: str) -> dict:
    """What is kept is about ``matrix``, which is ``after`` where the head moves to w⁺ = w."""
    said = Says("norm", matrix, "s")
    return {
        "kept": (said,), "start": (replace(said, bound="1/2"),),
        "lines": (Line("assumption", said), Line("identity", Says("equal", matrix, after)),
                  Line("replace", replace(said, of=after), (1, 2)), LINES[3]),
    }  # fmt: skip


def lines_with(place: int, line: Line) -> dict:
    return {"lines": (*LINES[: place - 1], line, *LINES[place:])}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"state": (State("s", "1", "s"),)},
        {"state": (State("s", "1", "1/2*s"),), "kept": (Says("norm", "w", "1"),),
         "lines": (Line("assumption", Says("norm", "w", "1")), LINES[1],
                   replace(LINES[2], says=Says("norm", "w_next", "1")), LINES[3])},
        {"state": (State("s", "1/2", "s"), State("u", "1/2", "u"))},
        {"assumed": (Says("norm", "w_bar", "x"), Says("below", "Psi_star", "x"), Says("each", "w_star_i", "x"))},
        {"assumed": (Says("norm", "t_star", "x"), Says("norm", "Psi_star*w_bar", "x"), Says("odd", "w_star_i", "0"))},
        {"region": Region(RANGES, varying=("x",))},
        {"region": Region(RANGES, positive=("x",))},
        kept_of("B_star.T*B*w*w.T*B.T*B_perp", "B_star.T*B*w*w_next.T*B.T*B_perp"),
    ],
)  # fmt: skip
def test_an_induction_is_accepted(changes: dict) -> None:
    found = check(replace(KEPT, **changes), RESTS)
    assert found.accepted, found.refusal
    assert found.judgements[-1].kind == "kept"


@pytest.mark.parametrize(
    "changes",
    [
        {"start": (Says("norm", "w", "1"),)},
        {"start": (Says("below", "w", "1/2"),)},
        {"start": (Says("norm", "B", "1/2"),)},
        {"start": ()},
        {"start": (Says("norm", "w", "1/2"), Says("norm", "w", "1/2"))},
        {"kept": ()},
        {"kept": (), "start": (), **lines_with(4, replace(LINES[3], uses=()))},
        {"state": ()},
        {"state": (State("s", "3/2", "s"),)},
        {"state": (State("s", "-1/2", "s"),)},
        {"state": (State("s", "x", "s"),), "region": Region((("s", "1"), ("x", "2"), ("beta", "1")))},
        {"state": (State("s", "1/2", "2*s"),)},
        {"state": (State("s", "1/2", "-s"),)},
        {"state": (State("s", "1/2", "1/2*s"),)},
        {"state": (State("s", "1/2 + 0*s + s - 1/2*s", "s"),)},
        {"state": (State("s", "1/2", "s"), State("s", "1/2", "s"))},
        {"state": (State("s", "3/4", "s"), State("u", "3/4", "u"))},
        {"state": (State("s", "1/2", "s + u"), State("u", "1/2", "u"))},
        {"state": (State("s", "1/2", "s"), State("beta", "1/2", "beta"))},
        {"region": Region((("s", "2"), *RANGES[1:]))},
        {"region": Region((("s", ""), *RANGES[1:]))},
        {"region": Region(RANGES, varying=("s",))},
        {"region": Region(RANGES, positive=("s",))},
        {"region": Region(RANGES, relations=(("s", "1 - x"),))},
        {"region": Region(RANGES, relations=(("x", "1 - s"),))},
        {"region": Region((("s", "1"), ("x", "1")), symbols=(("beta", "s"),))},
        {"region": Region((*RANGES, ("v", "")), symbols=(("v**2", "s"),))},
        {"assumed": (Says("norm", "w_bar", "s"),)},
        {"assumed": (Says("norm", "B", "x"),)},
        {"assumed": (Says("norm", "I_k", "x"),)},
        {"assumed": (Says("equal", "w_bar", "w_bar"),)},
        {"kept": (Says("norm", "w", "s"), Says("norm", "w", "s")), "start": (Says("norm", "w", "1/2"),) * 2},
        {**lines_with(4, replace(LINES[3], uses=(2,)))},
        {**lines_with(4, replace(LINES[3], uses=(3, 3)))},
        {"kept": (Says("norm", "w", "s*x"),), "start": (Says("norm", "w", "1/2*x"),),
         "region": Region(RANGES, varying=("x",)),
         "lines": (Line("assumption", Says("norm", "w", "s*x")), LINES[1],
                   replace(LINES[2], says=Says("norm", "w_next", "s*x")), LINES[3])},
        {"kept": (Says("norm", "w_bar", "s"),), "start": (Says("norm", "w_bar", "1/2"),),
         "lines": (Line("assumption", Says("norm", "w_bar", "s")), replace(LINES[3], uses=(1,)))},
        {"start": (Says("norm", "w", "1/2*x"),), "region": Region(RANGES, varying=("x",))},
        {"start": (Says("norm", "w", "1/2"),), "kept": (Says("norm", "w", "s + x"),),
         "region": Region(RANGES, varying=("x",)),
         "lines": (Line("assumption", Says("norm", "w", "s + x")), LINES[1],
                   replace(LINES[2], says=Says("norm", "w_next", "s + x")), LINES[3])},
        kept_of("B_star", "B_star"),
        kept_of("B_star*w_bar*w.T", "B_star*w_bar*w_next.T"),
    ],
)  # fmt: skip
def test_an_induction_is_refused(changes: dict) -> None:
    found = check(replace(KEPT, **changes), RESTS)
    assert not found.accepted
    assert found.refusal.startswith("line ")
    moves = Step(Poly(("d", "k")), a.w)
    assert not check(KEPT, moves).accepted


THIRD = {
    "third": (("each", "w_star_i", "x"), ("norm", "A_mix.T*w", "y"), ("below", "Psi_star", "x"), "Third", "x**2*y"),
    "third-vector": (("each", "w_star_i", "x"), ("norm", "t_star", "y"), "q_third", "x*y"),
    "turned": (("norm", "I_k - A_mix*A_mix.T", "y"), "I_s - A_mix.T*A_mix", "y"),
    "trace": (("norm", "I_s - A_mix.T*A_mix", "x"), ("norm", "t_star", "y"), "t_star - Bent", "x*y"),
}
"""The rules of third moments: what they use, and what follows of what."""


@pytest.mark.parametrize("rule", THIRD)
def test_a_rule_of_third_moments_is_about_these_things_and_no_others(rule: str) -> None:
    *uses, of, bound = THIRD[rule]

    def accepted(said: list[Says], bound: str) -> bool:
        last = Line(rule, Says("norm", of, bound), tuple(range(1, len(said) + 1)))
        lines = (*(Line("assumption", says) for says in said), last)
        return check(small(*lines, assumed=tuple(said)), None).accepted

    said = [Says(*use) for use in uses]
    assert accepted(said, bound)
    assert not accepted(said, f"1/2*{bound}")
    other = {"norm": Says("norm", "B", "x"), "below": Says("below", "w*w.T", "x"), "each": Says("norm", "w_bar", "x")}
    for place, says in enumerate(said):
        for wrong in ([other[says.kind]], []):
            assert not accepted([*said[:place], *wrong, *said[place + 1 :]], bound)


# --- one form for ever, on a learner that stays where it is

FORM = Line("form", Says("form", "1"), (), ("B_zero", "z_form*B_zero.T*B_star*w_one", "x_form", "y_form", "z_form"))
ONCE = "V_rest.T*B_star.T*B_next", "B_perp.T*B_next"


def given(line: Line, place: int, text: str) -> Line:
    return replace(line, given=(*line.given[:place], text, *line.given[place + 1 :]))


def test_a_form_that_is_kept() -> None:
    u = "B_zero.T*B_star*w_one"
    grown = given(FORM, 0, f"B_zero + x_form*B_star*w_one*({u}).T")
    wide = given(FORM, 0, "B_zero + x_form*B_star*B_star.T*B_zero")
    columns = Line("kept-columns", Says("floor", "1"), (1,), ("x_form*B_star*w_one", u))
    for chosen in ((FORM,), (grown,), (wide,), (grown, columns)):
        found = check(small(*chosen), RESTS)
        assert found.accepted, found.refusal
    form, floor = found.judgements
    assert (form.kind, form.of, form.bound) == ("form", matrix(grown.given[0]), Polynomial())
    assert (floor.kind, floor.of, floor.bound) == ("floor", Poly(("1", "1")), Polynomial())
    for wrong in (
        given(FORM, 0, "2*B_zero"),
        given(FORM, 0, "B_zero + x_form*m_form*B_zero"),
        given(FORM, 0, "B_zero + z_form*B_zero"),
        given(FORM, 0, "B_zero + x_form*B"),
        given(FORM, 1, "m_form*B_zero.T*B_star*w_one"),
        given(FORM, 1, "z_form*B_zero.T*B_star*w_bar"),
        given(FORM, 4, "m_form*z_form"),
        given(FORM, 4, "2*z_form"),
        given(FORM, 4, "z_form*w.T*w"),
        given(grown, 2, "2*x_form"),
        replace(FORM, given=FORM.given[:-1]),
        replace(FORM, given=(*FORM.given, "z_form")),
    ):
        assert not check(small(wrong), RESTS).accepted, wrong
    assert not check(small(B_IS_SMALL, replace(FORM, uses=(1,))), RESTS).accepted
    for step in (None, replace(RESTS, at_zero=True), Step(a.B * a.w * a.w.T, Poly(("k", "1")))):
        assert not check(small(FORM), step).accepted
    many = Step(a.B_star * a.Psi_star * a.B_star.T * a.B, Poly(("k", "1")))
    assert "more of the tasks than their mean" in check(small(FORM), many).refusal
    for chosen in (
        (grown, given(columns, 0, "2*x_form*B_star*w_one")),
        (grown, replace(columns, given=(u, u))),
        (grown, replace(columns, given=("B_star*w_one", f"x_form*{u}"))),
        (grown, replace(columns, given=columns.given[:1])),
        (grown, replace(columns, uses=())),
        (grown, replace(columns, uses=(1, 1))),
        (B_IS_SMALL, columns),
        (wide, replace(columns, given=("x_form*B_star", "B_zero.T*B_star"))),
    ):
        assert not check(small(*chosen), RESTS).accepted, chosen


def test_what_is_multiplied_from_the_right_is_what_is_missed_and_the_complement() -> None:
    identities = [Line("identity", Says("equal", left, left.replace("B_next", "B*I_k"))) for left in ONCE]
    last = Line("multiplied", Says("floor", "1"), (1, 2), ("I_k",))
    found = check(small(*identities, last), RESTS)
    assert found.accepted, found.refusal
    floor = found.judgements[-1]
    assert (floor.kind, floor.of, floor.bound) == ("floor", Poly(("1", "1")), Polynomial())
    for place in (0, 1):
        for left, right in (("B_star.T*B_next", "B_star.T*B*I_k"), (ONCE[place], ONCE[place])):
            changed = [*identities]
            changed[place] = Line("identity", Says("equal", left, right))
            assert not check(small(*changed, last), RESTS).accepted
    for wrong in (
        given(last, 0, "2*I_k"),
        replace(last, given=()),
        replace(last, uses=(2, 1)),
        replace(last, uses=(1,)),
    ):
        assert not check(small(*identities, wrong), RESTS).accepted


def test_a_square_stands_for_every_second_power() -> None:
    ranges = (("x", "1"), ("v", "1"), ("beta", "1"))
    context = Context(small(B_IS_SMALL, ranges=ranges, symbols=(("v**2", "x/4"), ("u", "v + x"))), None)
    x, v = variable("x"), variable("v")
    quarter = x * Fraction(1, 4)
    for power, expected in enumerate((constant(1), v, quarter, quarter * v, quarter * quarter)):
        assert context.normal(v**power) == expected
    assert context.normal(variable("u") * v) == x * Fraction(1, 4) + x * v
    assert context.depends_on(variable("u")) == {"v", "x"}
    assert context.depends_on(constant(1)) == set()
    assert context.at_most(v**2, x)
    assert not context.equal(matrix("B"), matrix("w"))
    assert not context.at_most(v, x)
    for wrong in (variable("w"), variable("x", -1)):
        with pytest.raises(NotAccepted):
            context.normal(wrong)


def test_a_letter_stands_for_what_its_own_derivation_says() -> None:
    """What is expanded once is kept for those alone that define and assume the same."""
    moves = Step(a.B, a.w)
    asked = {
        "I_k": letters_of((("N_any", "I_k"),), None, ()),
        "w*w.T": letters_of((("N_any", "w*w.T"),), None, ()),
        "0*I_k": letters_of((("N_any", "w*w.T"),), moves, ("w",)),
    }
    for expected, letters in asked.items():
        assert letters.expand(matrix("B*N_any")) == matrix(f"B*({expected})")
    with pytest.raises(NotAccepted, match="no definition of N_any"):
        letters_of((), None, ()).expand(matrix("B*N_any"))
    assert asked["0*I_k"].expand(matrix("grad_B")) == a.B
    assert letters_of((("N_any", "w*w.T"),), moves, ()).expand(matrix("N_any")) == matrix("w*w.T")
    resting = letters_of((("N_any", "w*w.T"),), Step(Poly(("d", "k")), a.w), ("w",))
    assert not resting.expand(matrix("grad_B"))
