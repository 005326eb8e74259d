"""Specs: nonsense is refused in one line, files are read, and two interpreters agree with what is derived."""

from pathlib import Path

import numpy as np
import pytest

from metarep.reports.study import interpreter, reverse
from metarep.reports.study.study import EXAMPLES, example
from metarep.sim.learners import LEARNERS, Adapts, Learner
from metarep.sim.problems import make_problem
from metarep.sim.specs import load_spec
from metarep.sim.trajectories import run
from metarep.sim.updates import outer_gradients
from metarep.theory.calculus.resolvent import gradient_with_G, reduce_G
from metarep.theory.calculus.words import identity
from metarep.theory.dynamics.derive import adjoint_program, derive, stated_program, task_gradients
from metarep.theory.dynamics.structure import stated_split

VARIED = (
    Learner("ridge-3", "head", ridge=0.5, inner_steps=3, head_step=0.7),
    Learner("exact", "head", exact_head=True),
    Learner("exact-fo", "head", exact_head=True, first_order=True),
    Learner("exact-ridge", "head", exact_head=True, ridge=0.3),
    Learner("exact-ridge-fo", "head", exact_head=True, ridge=0.3, first_order=True),
    Learner("exact-reptile", "head", exact_head=True, outer="displacement"),
    Learner("two-speeds", "both", head_step=0.5, representation_step=0.25),
    Learner("ridge-maml", "both", ridge=0.4, representation_step=0.25),
    Learner("fo-maml-2", "both", first_order=True, inner_steps=2),
    Learner("boil-reptile", "representation", inner_steps=2, outer="displacement"),
    Learner("reptile", "both", inner_steps=2, outer="displacement"),
    Learner("anil-16", "head", inner_steps=16, head_step=1 / 16),
    Learner("fo-anil-16", "head", first_order=True, inner_steps=16, head_step=1 / 16),
    Learner("ridge-8", "head", ridge=0.5, inner_steps=8, head_step=1 / 8),
    Learner("body-16", "representation", inner_steps=16, representation_step=1 / 16),
    Learner("body-reptile-16", "representation", inner_steps=16, representation_step=1 / 16, outer="displacement"),
)


def a_point(d: int = 5, k: int = 3, n: int = 4) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    return rng.standard_normal((2, d, k)), rng.standard_normal((2, k)), rng.standard_normal((2, d, n))


@pytest.mark.parametrize("learner", [*LEARNERS.values(), *VARIED], ids=lambda learner: learner.name)
def test_interpreters_program_and_words_agree(learner: Learner) -> None:
    """Four ways to the same step, of which the interpreter knows the task loss only: this tests G's derivative too."""
    B, w, targets = a_point()
    derived = derive(learner)
    steps = [
        interpreter.step(learner, B, w, targets, 0.1, 0.3),
        reverse.step(learner, B, w, targets, 0.1, 0.3),
        derived(B, w, targets, 0.1, 0.3),
        derived.step_by_words(B, w, targets, 0.1, 0.3),
    ]
    # values of order 1 to 10, sums of up to a few thousand words: 1e-11 is eps × size × number of words (of many inner
    # steps some cancel, but as these are short their moduli sum up to (1 + α‖B‖²/16)^32, which is below 10)
    for other in steps[1:]:
        for one, two in zip(steps[0], other, strict=True):
            np.testing.assert_allclose(one, np.broadcast_to(two, one.shape), rtol=0, atol=1e-11)


@pytest.mark.parametrize("learner", VARIED, ids=lambda learner: learner.name)
def test_readable_programs_are_the_derived_words(learner: Learner) -> None:
    assert adjoint_program(learner).expand(bool(learner.ridge)) == task_gradients(learner)


@pytest.mark.parametrize("learner", VARIED, ids=lambda learner: learner.name)
def test_nothing_of_the_five_is_taken_for_a_variation(learner: Learner) -> None:
    B, w, targets = a_point()
    with pytest.raises(ValueError, match="one for each of the paper's five"):
        outer_gradients(learner, B, w, targets, 0.1)
    for stated in (stated_program, stated_split):
        with pytest.raises(ValueError, match="one for each of the paper's five"):
            stated(learner)


@pytest.mark.parametrize("adapts", ["head", "representation"])
def test_a_run_of_many_inner_steps_is_the_derived_one(adapts: Adapts) -> None:
    """Simulated step by step by the reverse pass, against the derived program."""
    learner = Learner("long", adapts, inner_steps=16)
    problem = make_problem(20, 2, 4, 0.1, np.random.default_rng(1), "fixed", dist0=0.5, trials=(2,))
    seen = run(learner, problem, 0.1, 0.05, 3, implementation=reverse.BY_REVERSE)
    B, w = problem.B0, np.zeros((2, 2))
    for t in range(3):
        B, w = derive(learner)(B, w, problem.B_star @ problem.tasks(t), 0.1, 0.05)
    # some hundred roundings in each of three steps, of numbers up to 10
    np.testing.assert_allclose(seen.B, B, rtol=0, atol=1e-12)
    np.testing.assert_allclose(seen.w, w, rtol=0, atol=1e-12)


def test_rule_for_G() -> None:
    from metarep.theory.calculus import alphabet as a

    gram = a.B.T * a.B
    assert reduce_G(a.G * gram, ridge=False) == identity("k")
    assert reduce_G(gram * a.G, ridge=True) == identity("k") - a.G.scaled(ridge=1)
    both_ways = a.G * gram * a.G
    assert reduce_G(both_ways, ridge=True) == a.G - (a.G * a.G).scaled(ridge=1)
    assert reduce_G(a.G * gram * gram, ridge=True) == gram - identity("k").scaled(ridge=1) + a.G.scaled(ridge=2)
    # inside a 1×1 subword as well, and it leaves other neighbours alone
    quadratic = a.theta.T * a.B * a.G * gram * a.G * a.B.T * a.theta
    assert reduce_G(quadratic, ridge=False) == a.theta.T * a.B * a.G * a.B.T * a.theta
    assert reduce_G(a.B * a.G * a.B.T, ridge=False) == a.B * a.G * a.B.T


def test_an_exact_head_needs_no_derivative_through_the_solve() -> None:
    """Without a ridge the head minimises the outer step's own loss (Danskin); with one it does not."""
    exact, first_order = VARIED[1], VARIED[2]
    assert task_gradients(exact)[0] == task_gradients(first_order)[0]
    assert task_gradients(VARIED[3])[0] != task_gradients(VARIED[4])[0]


def test_gradient_that_forgets_G_is_noticed() -> None:
    from metarep.theory.calculus.words import gradient
    from metarep.theory.dynamics.derive import adapted_loss

    loss = adapted_loss(VARIED[3])
    assert reduce_G(gradient(loss, "B"), ridge=True) != gradient_with_G(loss, "B", ridge=True)


@pytest.mark.parametrize(
    "settings",
    [
        {"adapts": "nothing", "inner_steps": 2},
        {"adapts": "head", "ridge": -1.0},
        {"adapts": "head", "ridge": float("nan")},
        {"adapts": "head", "ridge": "much"},
        {"adapts": "representation", "ridge": 1.0},
        {"adapts": "head", "representation_step": 0.5},
        {"adapts": "representation", "head_step": 0.5},
        {"adapts": "head", "head_step": 0.0},
        {"adapts": "head", "exact_head": True, "head_step": 0.5},
        {"adapts": "head", "exact_head": True, "inner_steps": 2},
        {"adapts": "both", "exact_head": True},
        {"adapts": "head", "exact_head": 1},
        {"adapts": "head", "first_order": "yes"},
        {"adapts": "head", "outer": "sideways"},
        {"adapts": "nothing", "inner_steps": 0, "outer": "displacement"},
        {"adapts": "both", "outer": "displacement", "first_order": True},
        {"adapts": "head", "inner_steps": True},
        {"adapts": "head", "name": ""},
    ],
    ids=str,
)
def test_nonsense_is_one_line(settings: dict) -> None:
    with pytest.raises(ValueError, match="allowed") as caught:
        Learner(**{"name": "odd", **settings})
    assert "\n" not in str(caught.value)


def test_specs_from_files(tmp_path: Path) -> None:
    toml, python = tmp_path / "mine.toml", tmp_path / "mine.py"
    toml.write_text('adapts = "head"\ninner_steps = 3\nridge = 0.5\n')
    python.write_text('from metarep.sim.learners import Learner\nLEARNER = Learner("own", "both", head_step=0.5)\n')
    assert load_spec(toml) == Learner("mine", "head", inner_steps=3, ridge=0.5)
    assert load_spec(python) == Learner("own", "both", head_step=0.5)
    toml.write_text('adapts = "nothing"\n')
    assert load_spec(toml).inner_steps == 0


@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [
        ("a.toml", 'adapts = "head"\nspeed = 3\n', "has the key 'speed'"),
        ("a.toml", "inner_steps = 1\n", "no key 'adapts'"),
        ("a.toml", "adapts = \n", "not TOML"),
        ("a.toml", 'adapts = "head"\nridge = -1\n', "ridge is -1"),
        ("a.toml", 'adapts = "nothing"\ninner_steps = 2\n', "nothing adapts|0 steps exactly"),
        ("a.toml", None, "cannot read"),
        ("a.py", None, "no file"),
        ("a.py", "\n1/0\n", "a.py:2: cannot be imported: ZeroDivisionError"),
        ("a.py", "\nLEARNER = 3\n", "a.py:2: does not set LEARNER"),
        ("a.yaml", "", "neither .toml nor .py"),
    ],
)
def test_bad_files_are_one_line(tmp_path: Path, name: str, text: str | None, complaint: str) -> None:
    path = tmp_path / name
    if text is not None:
        path.write_text(text)
    with pytest.raises(ValueError, match=complaint) as caught:
        load_spec(path)
    assert "\n" not in str(caught.value)
    assert "allowed" in str(caught.value)


def test_examples_ship() -> None:
    shipped = {path.stem for path in (Path(__file__).parent.parent / "reports" / "examples").iterdir()}
    assert shipped == set(EXAMPLES)
    assert all(example(name).name == name for name in EXAMPLES)
