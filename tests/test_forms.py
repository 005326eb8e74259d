"""Adapters in other forms than the population's step: on samples, with conventions of their own, as training loops,
with several inner steps.
"""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from metarep.reports.cli.app import run
from metarep.reports.study import interpreter
from metarep.sim import updates
from metarep.sim.foreign.adapter import Adapter, AdapterError, load_adapter
from metarep.sim.foreign.conventions import Conventions
from metarep.sim.foreign.declared import Declared
from metarep.sim.foreign.implementation import foreign_implementation
from metarep.sim.implementations import Implementation
from metarep.sim.learners import LEARNERS, META_LEARNERS, Learner
from metarep.sim.sampling import inner_steps, samples
from metarep.sim.sampling.whitened import sample_sizes, whitened_features, whitened_samples
from metarep.theory.claims import catalogue, get_claim
from metarep.theory.dynamics.derive import derive
from metarep.theory.engine.foreign.checking import Status, check_claim, check_implementation, not_applicable
from metarep.theory.engine.foreign.diagnosis import diagnose
from metarep.theory.engine.foreign.forms import claims_of
from metarep.theory.engine.foreign.order import FIRST

Array = np.ndarray
UPDATES = tuple(get_claim(f"update-{name}") for name in LEARNERS)
FIRSTS = tuple(get_claim(name) for name in FIRST)


def right(learner: Any, *at: Any) -> tuple[Array, Array]:
    """A right step on samples."""
    return inner_steps.step_on_samples(replace(LEARNERS[learner.name], inner_steps=learner.inner_steps), *at)


def implementation(
    functions: dict[str, Callable[..., Any]], conventions: Conventions | None = None, supported: Any = LEARNERS
) -> Implementation:
    lines = dict.fromkeys(functions, 1)
    declared = Declared("mine", "mine.py", "mine.py", lines, frozenset(supported), None, conventions or Conventions())
    return foreign_implementation(Adapter(declared, functions))


def on_samples(step: Callable[..., Any], supported: Any = LEARNERS, **conventions: Any) -> Implementation:
    return implementation({"step_on_samples": step}, Conventions(**conventions), supported)


# --- whitened samples


@pytest.mark.parametrize(("n", "d"), [(1, 1), (2, 5), (7, 12), (20, 64)])
def test_on_whitened_samples_a_step_is_the_populations(n: int, d: int) -> None:
    rng = np.random.default_rng(n)
    for part, m in enumerate(sample_sizes(n, d)):
        assert d <= m <= 64
        X = whitened_features(n, m, d, part)
        assert np.abs(np.swapaxes(X, 1, 2) @ X / m - np.eye(d)).max() <= 4 * 2.0**-52
    B, w, targets = rng.uniform(-1, 1, (d, 2)) / d**0.5, rng.uniform(-1, 1, 2), rng.uniform(-1, 1, (3, d, n))
    data = whitened_samples(targets)
    for learner in LEARNERS.values():
        found = samples.step_on_samples(learner, B, w, **data, alpha=0.3, beta=0.2)
        for mine, other in zip(found, updates.step(learner, B, w, targets, 0.3, 0.2), strict=True):
            np.testing.assert_allclose(mine, other, atol=1e-14)


def test_whitened_samples_have_parts() -> None:
    np.testing.assert_array_equal(whitened_features(2, 5, 3), whitened_features(2, 5, 3, 0))
    assert not np.array_equal(whitened_features(2, 5, 3), whitened_features(2, 5, 3, 1))


def test_an_adapter_of_steps_on_samples_alone_conforms() -> None:
    result = check_implementation(on_samples(right), FIRSTS, max_examples=6)
    assert [item.claim.id for item in result.of(Status.PASSED)] == [
        claim.id for claim in FIRSTS if not_applicable(claim, on_samples(right)) is None
    ]
    assert len(result.of(Status.PASSED)) == len(FIRST)
    special = get_claim("step-keeps-small-part")  # where rounding errors are in proportion to a part that is tiny
    assert check_claim(special, on_samples(right), max_examples=4).status is Status.PASSED


def _last_batch_dropped(learner: Any, B: Array, w: Array, X_in: Array, y_in: Array, *rest: Any) -> Any:
    m = X_in.shape[1]
    kept = m - (m - 1) % 2 - 1 if m >= 4 else m
    return right(learner, B, w, X_in[:, :kept], y_in[:, :kept], *rest)


def _tasks_beyond_the_third_dropped(learner: Any, B: Array, w: Array, *rest: Any) -> Any:
    return right(learner, B, w, *(part[:3] for part in rest[:4]), *rest[4:])


def _beta_doubled_beyond_two(learner: Any, B: Array, w: Array, *rest: Any) -> Any:
    return right(learner, B, w, *rest[:-1], rest[-1] * (2 if B.shape[1] > 2 else 1))


@pytest.mark.parametrize("wrong", [_last_batch_dropped, _tasks_beyond_the_third_dropped, _beta_doubled_beyond_two])
def test_what_is_wrong_at_the_sizes_that_people_use_is_refuted(wrong: Callable[..., Any]) -> None:
    """By the updates, and by the steps on samples."""
    mine = on_samples(wrong, {"anil"})
    for name in ("update-anil", "sampled-step-anil"):
        assert check_claim(get_claim(name), mine, most_shrinks=0).status is Status.FAILED, name


# --- conventions


def _scaled(conventions: Conventions) -> Callable[..., Any]:
    """A right step on samples of somebody with these conventions."""

    def step(learner: Any, B: Array, w: Array, X_in: Array, y_in: Array, X_out: Array, *rest: Any) -> Any:
        y_out, alpha, beta = rest
        n, m_in = X_in.shape[:2]
        assert n >= conventions.least_n
        inner = 2 * conventions.loss_scale * (m_in if conventions.sample_reduction == "sum" else 1)
        outer = 2 * conventions.loss_scale * (X_out.shape[1] if conventions.sample_reduction == "sum" else 1)
        outer *= n if conventions.task_reduction == "sum" else 1
        B = B.T if conventions.layout == "kd" else B
        next_B, next_w = right(learner, B, w, X_in, y_in, X_out, y_out, alpha * inner, beta * outer)
        return (next_B.T if conventions.layout == "kd" else next_B), next_w

    return step


CONVENTIONS = (
    Conventions(loss_scale=1),
    Conventions(sample_reduction="sum"),
    Conventions(task_reduction="sum"),
    Conventions(layout="kd"),
    Conventions(least_n=3),
    Conventions(2, "sum", "sum", "kd", 4, 2),
)


@pytest.mark.parametrize("conventions", CONVENTIONS, ids=str)
def test_declared_conventions_are_applied(conventions: Conventions) -> None:
    step = {"step_on_samples": _scaled(conventions)}
    mine = implementation(step, conventions, {"maml", "average-loss"})
    claims = (*FIRSTS, get_claim("symmetry-gauge"), *claims_of(mine))
    result = check_implementation(mine, claims, max_examples=2)
    assert result.conforming, [(item.claim.id, item.why) for item in result.of(Status.FAILED)]
    assert len(result.of(Status.PASSED)) >= 4
    if conventions.least_n == 1 and conventions.layout == "dk":
        found = diagnose(implementation(step, None, {"maml"}))
        assert found.cause is not None
        assert "declare it" in found.explanation
        assert all(f"{name} = " in found.explanation for name in str(conventions).split(" ")[::2])


def test_a_step_of_the_population_has_conventions_too() -> None:
    def step(learner: Any, B: Array, w: Array, targets: Array, alpha: float, beta: float) -> Any:
        assert targets.shape[1] >= 2
        next_B, next_w = updates.step(LEARNERS[learner], B.T, w, targets, 4 * alpha, 4 * targets.shape[1] * beta)
        return next_B.T, next_w

    mine = implementation({"step": step}, Conventions(2, "mean", "sum", "kd", 2))
    assert check_implementation(mine, UPDATES, max_examples=4).conforming


RIGHT = """
from dataclasses import replace
from metarep.sim.learners import LEARNERS
from metarep.sim.sampling.inner_steps import step_on_samples as right

supported = {"fo-anil"}

def step_on_samples(learner, *at):
    return right(LEARNERS[learner], *at)
"""


def _written(folder: Path, more: str, old: str = "", new: str = "") -> Path:
    path = folder / "mine.py"
    path.write_text(RIGHT.replace(old, new) + more)
    return path


def refused(path: Path) -> str:
    """The line that is said of an adapter, here in the test's own process."""
    with pytest.raises(AdapterError) as caught:
        foreign_implementation(load_adapter(str(path)))
    line = str(caught.value)
    assert "\n" not in line
    assert "; allowed: " in line
    return line


def test_a_refused_adapter_is_a_complaint_of_the_command(tmp_path: Path, complaint: Callable[..., str]) -> None:
    path = _written(tmp_path, "\nloss_scale = 3\n")
    assert complaint("check", path) == f"metarep: {refused(path)}\n"


@pytest.mark.parametrize(
    ("said", "allowed"),
    [
        ("loss_scale = 3", "loss_scale is 3; allowed: 0.5, 1 or 2"),
        ("loss_scale = '1'", "loss_scale is '1'; allowed: 0.5, 1 or 2"),
        ("loss_scale = True", "loss_scale is True; allowed: 0.5, 1 or 2"),
        ("loss_scale = [1]", "loss_scale is [1]; allowed: 0.5, 1 or 2"),
        ("sample_reduction = 'none'", "sample_reduction is 'none'; allowed: 'mean' or 'sum'"),
        ("task_reduction = None", "task_reduction is None; allowed: 'mean' or 'sum'"),
        ("layout = 'nn.Linear'", "layout is 'nn.Linear'; allowed: 'dk' or 'kd'"),
        ("least_n = 0", "least_n is 0; allowed: a whole number from 1 to 64"),
        ("least_n = float('nan')", "least_n is nan; allowed: a whole number from 1 to 64"),
        ("inner_steps = 4", "inner_steps is 4; allowed: 1, 2 or 3"),
        (
            "def init(*_): pass",
            "has init but no update; allowed: step, step_on_samples, or init, update and parameters",
        ),
        ("update = 1", "update is of type int; allowed: a function"),
    ],
)
def test_what_is_declared_wrongly_is_one_line(tmp_path: Path, said: str, allowed: str) -> None:
    line = refused(_written(tmp_path, f"\n{said}\n"))
    assert allowed in line
    assert "mine.py:11: " in line


PLAIN = "    return right(LEARNERS[learner], *at)"
TURNED = """    B, *at = at
    assert B.shape[0] <= B.shape[1]
    B, w = right(LEARNERS[learner], B.T, *at)
    return B.T, w"""


def test_a_transposed_layout_is_recognised(tmp_path: Path) -> None:
    assert PLAIN in RIGHT
    with pytest.raises(AdapterError, match=r'mine.py:\d+: .*; or layout = "kd", with which it can be called$'):
        foreign_implementation(load_adapter(str(_written(tmp_path, "", PLAIN, TURNED))))
    foreign_implementation(load_adapter(str(_written(tmp_path, "layout = 'kd'", PLAIN, TURNED))))
    with pytest.raises(AdapterError, match=r'; or layout = "dk", with which it can be called$'):
        foreign_implementation(load_adapter(str(_written(tmp_path, "layout = 'kd'"))))
    late = f"{PLAIN.replace('return', 'B, w =')}\n    return B.T, w"
    with pytest.raises(AdapterError, match=r"returned a transposed B_next of shape \(2, 4\)"):
        foreign_implementation(load_adapter(str(_written(tmp_path, "", PLAIN, late))))


def test_the_verdict_names_the_conventions(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(_written(tmp_path, "layout, least_n = 'kd', 2\n", PLAIN, TURNED))
    assert run(["check", path, "--quick", "--examples", "2"]) == 0
    assert capsys.readouterr().out.endswith("conforms with layout kd, least_n 2.\n")
    assert run(["check", path, "--quick", "--examples", "2", "--json"]) == 0
    own = json.loads(capsys.readouterr().out)["conventions"]
    assert (own["layout"], own["least_n"], own["loss_scale"]) == ("kd", 2, 0.5)


# --- several inner steps


SPECS = [
    Learner("fo-anil-3", "head", True, 3),
    Learner("anil-2", "head", False, 2),
    Learner("anil-3", "head", False, 3),
    Learner("fo-maml-2", "both", True, 2),
    Learner("body-2", "representation", False, 2),
    *LEARNERS.values(),
]


@pytest.mark.parametrize("learner", SPECS, ids=lambda learner: learner.name)
def test_steps_by_reverse_accumulation_are_the_derived_ones(learner: Learner) -> None:
    rng = np.random.default_rng(1)
    B, w, targets = rng.uniform(-0.6, 0.6, (2, 4, 2)), rng.uniform(-0.6, 0.6, (2, 2)), rng.uniform(-1, 1, (2, 4, 3))
    alpha, beta = np.array([0.3, 0.4]), np.array([0.2, 0.1])
    found = inner_steps.step(learner, B, w, targets, alpha, beta)
    sizes = inner_steps.step_moduli(learner, B, w, **whitened_samples(targets), alpha=alpha, beta=beta)
    for i in range(2):
        derived = derive(learner)(B[i], w[i], targets[i], alpha[i], beta[i])
        for mine, other, size in zip(found, derived, sizes, strict=True):
            np.testing.assert_allclose(mine[i], other, atol=1e-14)
            assert (np.abs(mine[i]) <= size[i] * (1 + 1e-12)).all()


@pytest.mark.parametrize("steps", [1, 2, 3])
@pytest.mark.parametrize("name", META_LEARNERS)
def test_steps_on_samples_by_reverse_accumulation_are_automatic_differentiations(name: str, steps: int) -> None:
    rng = np.random.default_rng(2)
    learner = replace(LEARNERS[name], inner_steps=steps)
    B, w = rng.uniform(-0.6, 0.6, (4, 2)), rng.uniform(-0.6, 0.6, 2)
    shapes = {"X_in": (3, 5, 4), "y_in": (3, 5), "X_out": (3, 6, 4), "y_out": (3, 6)}
    data = {name: rng.uniform(-1, 1, shape) for name, shape in shapes.items()}
    grad_B, grad_w = interpreter.gradients_on_samples(learner, B, w, **data, alpha=0.3)
    next_B, next_w = inner_steps.step_on_samples(learner, B, w, **data, alpha=0.3, beta=0.2)
    np.testing.assert_allclose(next_B, B - 0.2 * grad_B, atol=1e-14)
    np.testing.assert_allclose(next_w, w - 0.2 * grad_w, atol=1e-14)


def test_a_learner_with_variations_has_no_step_here() -> None:
    with pytest.raises(ValueError, match="'ridge' has variations; allowed"):
        inner_steps.step(Learner("ridge", "head", ridge=0.1), np.ones((2, 1)), np.ones(1), np.ones((2, 1)), 0.1, 0.1)


@pytest.mark.parametrize("steps", [2, 3])
def test_several_inner_steps_conform_and_other_claims_say_why_they_do_not_apply(steps: int) -> None:
    mine = on_samples(right, inner_steps=steps)
    claims = (*catalogue(), *claims_of(mine))
    applies = [claim.id for claim in claims if not_applicable(claim, mine) is None]
    result = check_implementation(mine, [claim for claim in claims if claim.id in applies], max_examples=1)
    assert result.conforming, [(item.claim.id, item.why) for item in result.of(Status.FAILED)]
    assert {"symmetry-scaling", "fixed-point-origin", "several-inner-steps-maml", "baseline-control"} <= set(applies)
    assert not_applicable(get_claim("update-anil"), mine) == f"it speaks of one inner step; the adapter takes {steps}"
    assert not claims_of(on_samples(right))


INNER_WRONG: dict[str, Callable[..., Any]] = {
    "one step": lambda learner, *at: inner_steps.step_on_samples(LEARNERS[learner], *at),
    "first order": lambda learner, *at: inner_steps.step_on_samples(LEARNERS["fo-anil"], *at),
    "outer sample inside": lambda learner, B, w, X_in, y_in, *rest: right(learner, B, w, *rest[:2], *rest),
    "inner sample outside": lambda learner, B, w, *rest: right(learner, B, w, *rest[:2], *rest[:2], *rest[4:]),
}


@pytest.mark.parametrize("name", INNER_WRONG)
def test_wrong_inner_steps_are_refuted(name: str) -> None:
    wrong = on_samples(INNER_WRONG[name], {"anil"}, inner_steps=2)
    statuses = {check_claim(claim, wrong, most_shrinks=0).status for claim in claims_of(wrong)}
    assert Status.FAILED in statuses


# --- training loops


class Optimiser:
    """What turns gradients into moves; ``t`` counts updates, ``kept`` is what is kept."""

    def __init__(self, move: Callable[["Optimiser", Array, Array], Array]) -> None:
        self.move, self.t, self.kept = move, 0, None

    def average(self, new: Array, decay: Any, weight: Any) -> Array:
        """What is kept decays, and the new is added to it."""
        self.kept = weight * new if self.kept is None else decay * self.kept + weight * new
        return self.kept


def _momentum(o: Optimiser, p: Array, g: Array) -> Array:
    return o.average(g, 0.9, 1.0)


def _dampened(o: Optimiser, p: Array, g: Array) -> Array:
    return o.average(g, 0.8, 1.0 if o.t == 0 else 0.7)


def _averaged(o: Optimiser, p: Array, g: Array) -> Array:
    return o.average(g, 0.9, 0.1)


def _nesterov(o: Optimiser, p: Array, g: Array) -> Array:
    return g + 0.9 * o.average(g, 0.9, 1.0)


def _decayed_momentum(o: Optimiser, p: Array, g: Array) -> Array:
    return o.average(g + 0.01 * p, 0.9, 1.0)


def _stale(o: Optimiser, p: Array, g: Array) -> Array:
    last, o.kept = (g if o.kept is None else o.kept), g
    return last


def _gathered(o: Optimiser, p: Array, g: Array) -> Array:
    total, o.kept = (g if o.kept is None else o.kept + g), None
    if o.t % 2 == 0:
        o.kept, total = total, 0 * g
    return total / 2


def _adam(decay: float = 0.0) -> Callable[..., Array]:
    def move(o: Optimiser, p: Array, g: Array) -> Array:
        kept = o.average(np.stack([g, g * g]), np.array([[0.9], [0.999]]), np.array([[0.1], [0.001]]))
        mean, square = kept[0] / (1 - 0.9 ** (o.t + 1)), kept[1] / (1 - 0.999 ** (o.t + 1))
        return mean / (np.sqrt(square) + 1e-8) + decay * p

    return move


def _rmsprop(o: Optimiser, p: Array, g: Array) -> Array:
    return g / (np.sqrt(o.average(g * g, 0.99, 0.01)) + 1e-8)


def _adagrad(o: Optimiser, p: Array, g: Array) -> Array:
    return g / (np.sqrt(o.average(g * g, 1.0, 1.0)) + 1e-10)


def _lion(o: Optimiser, p: Array, g: Array) -> Array:
    return np.sign(0.1 * g if o.kept is None else 0.9 * o.kept + 0.1 * g) + 0 * o.average(g, 0.99, 0.01)


LOOPS: dict[str, tuple[Callable[..., Array], str, str]] = {
    "momentum": (_momentum, "momentum", "the first step is right; later ones are the gradient step plus 0.9 times the "
                 "last move (momentum 0.9)"),
    "dampening": (_dampened, "momentum", "(momentum 0.8, dampening 0.3)"),
    "moving average": (_averaged, "momentum", "(a moving average of gradients, with 0.9)"),
    "Nesterov": (_nesterov, "momentum", "(Nesterov's momentum 0.9)"),
    "momentum and decay": (_decayed_momentum, "momentum", "B and w shrink by 0.01β times themselves (weight decay)"),
    "momentum and schedule": (lambda o, p, g: 0.99**o.t * _momentum(o, p, g), "momentum",
                              "momentum 0.9, while the step size falls by a factor of 0.99 a step"),
    "geometric": (lambda o, p, g: 0.99**o.t * g, "step-size-schedule", "step size falls by a factor of 0.99 a step"),
    "1/t": (lambda o, p, g: g / (1 + 0.5 * o.t), "step-size-schedule", "falls as 1/(1 + 0.5 t)"),
    "1/√t": (lambda o, p, g: g / (1 + o.t) ** 0.5, "step-size-schedule", "falls as 1/√(1 + 1 t)"),
    "linear": (lambda o, p, g: (1 - o.t / 10) * g, "step-size-schedule", "falls by 0.1 times its first value a step"),
    "warm-up": (lambda o, p, g: min(1, (o.t + 1) / 4) * g, "step-size-schedule", "it is 0.25, 0.5, 0.75, 1, 1,"),
    "clipping": (lambda o, p, g: g * min(1, 1 / (np.linalg.norm(g) + 1e-6)), "clipping", "gradients are cut at norm 1"),
    "clipping entries": (lambda o, p, g: g.clip(-0.5, 0.5), "clipping", "gradients are cut at an entry's size of 0.5"),
    "normalising": (lambda o, p, g: g / np.linalg.norm(g), "normalised-gradient", "move has the length 1 times β"),
    "stale": (_stale, "stale-gradient", "later ones are the last gradient step"),
    "gathering": (_gathered, "gathered-gradients", "at every 2nd update only, by the mean of the 2 gradients"),
    "Adam": (_adam(), "adam", "each entry moves by about β whatever its gradient: Adam with decay rates 0.9 and 0.999"),
    "AdamW": (_adam(0.01), "adam", "B and w shrink by 0.01β times themselves"),
    "RMSprop": (_rmsprop, "rmsprop", "RMSprop with decay rate 0.99"),
    "Adagrad": (_adagrad, "adagrad", "Adagrad"),
    "signs": (lambda o, p, g: np.sign(g), "sign-descent", "sign descent"),
    "Lion": (_lion, "adaptive-step", "each entry moves by about β whatever its gradient"),
    "weight decay": (lambda o, p, g: g + 0.01 * p, "weight-decay", "shrunk by 0.01·β times themselves"),
    "half": (lambda o, p, g: g / 2, "beta-scaled", "β is 0.5 times"),
}  # fmt: skip
"""By name: the optimiser, the cause, and what must be said of it."""


def loop(move: Callable[..., Array], supported: Any = ("fo-anil",), step: Callable[..., Any] = right) -> Implementation:
    """A training loop with an optimiser."""

    def init(learner: Any, B: Array, w: Array, alpha: float, beta: float) -> dict[str, Any]:
        return {"learner": learner, "B": B, "w": w, "sizes": (alpha, beta), "optimiser": Optimiser(move)}

    def update(state: dict[str, Any], batch: Any) -> dict[str, Any]:
        B, w, (alpha, beta), optimiser = (state[name] for name in ("B", "w", "sizes", "optimiser"))
        next_B, next_w = step(state["learner"], B, w, *batch, alpha, 1.0)
        gradient = np.concatenate([(B - next_B).ravel(), w - next_w])
        moved = beta * optimiser.move(optimiser, np.concatenate([B.ravel(), w]), gradient)
        optimiser.t += 1
        return {**state, "B": B - moved[: B.size].reshape(B.shape), "w": w - moved[B.size :]}

    def parameters(state: dict[str, Any]) -> tuple[Array, Array]:
        return state["B"], state["w"]

    return implementation({"init": init, "update": update, "parameters": parameters}, None, supported)


def test_a_loop_of_gradient_steps_conforms() -> None:
    mine = loop(lambda o, p, g: g, LEARNERS)
    claims = (*FIRSTS, *claims_of(mine))
    assert sum("training-loop" in claim.id for claim in claims) == len(LEARNERS)
    result = check_implementation(mine, claims, max_examples=4)
    assert result.conforming, [(item.claim.id, item.why) for item in result.of(Status.FAILED)]
    assert len(result.of(Status.PASSED)) == len(claims)


@pytest.mark.parametrize("name", LOOPS)
def test_another_optimiser_is_refuted_and_named(name: str) -> None:
    move, cause, said = LOOPS[name]
    mine = loop(move)
    assert check_claim(get_loop_claim(mine), mine, most_shrinks=0).status is Status.FAILED
    found = diagnose(mine)
    assert found.cause is not None, found.explanation
    assert found.cause.id == cause
    assert said in found.explanation


def get_loop_claim(mine: Implementation) -> Any:
    return next(claim for claim in claims_of(mine) if claim.id == "training-loop-fo-anil")


def test_what_one_update_cannot_show_the_loop_does() -> None:
    mine = loop(_momentum)
    assert check_claim(get_claim("update-fo-anil"), mine, max_examples=4).status is Status.PASSED
    failed = check_claim(get_loop_claim(mine), mine, most_shrinks=0)
    assert "update 2 of a loop" in failed.why or "update 3" in failed.why


def test_a_loop_that_keeps_its_first_batch_is_told() -> None:
    def init(learner: Any, B: Array, w: Array, alpha: float, beta: float) -> list[Any]:
        return [learner, B, w, None, alpha, beta]

    def update(state: list[Any], batch: Any) -> list[Any]:
        learner, B, w, kept, *sizes = state
        kept = batch if kept is None else kept
        return [learner, *right(learner, B, w, *kept, *sizes), kept, *sizes]

    functions = {"init": init, "update": update, "parameters": lambda state: state[1:3]}
    found = diagnose(implementation(functions, None, {"fo-anil"}))
    assert found.cause is not None
    assert found.cause.id == "first-batch"


LOOP = """
from metarep.sim.learners import LEARNERS
from metarep.sim.sampling.samples import step_on_samples as right

supported = {"fo-anil"}

def init(learner, B, w, alpha, beta):
    return {"learner": LEARNERS[learner], "at": (B, w), "sizes": (alpha, beta)}

def update(state, batch):
    state["at"] = right(state["learner"], *state["at"], *batch, *state["sizes"])
    return state

def parameters(state):
    return state["at"]
"""
UNUSABLE = {
    "init raises": ("    return {", "    raise ValueError('no')\n    return {", ":8: init raised ValueError: no"),
    "update raises": ("    state[", "    1 / 0\n    state[", ":11: update raised ZeroDivisionError"),
    "update returns nothing": ("    return state\n", "\n", "update returned None"),
    "update changes its batch": (
        "    state[",
        "    batch[1][:] = 0\n    state[",
        "update changes its input y_in in place",
    ),
    "parameters of another shape": (
        'return state["at"]',
        'return state["at"][::-1]',
        "parameters returned B of shape (2,)",
    ),
    "transposed parameters": (
        'return state["at"]',
        'B, w = state["at"]; return B.T, w',
        "returned a transposed B of shape",
    ),
    "no pair": ('return state["at"]', "return state", "parameters returned a dict"),
    "NaN": (
        'return state["at"]',
        'return tuple(0 * x / 0 for x in state["at"])',
        "update returned NaN or infinity in B",
    ),
}


@pytest.mark.parametrize("what", UNUSABLE)
def test_an_unusable_loop_is_one_line(tmp_path: Path, what: str) -> None:
    old, new, said = UNUSABLE[what]
    path = tmp_path / "loop.py"
    assert old in LOOP
    path.write_text(LOOP.replace(old, new))
    assert said in refused(path)


def test_a_loop_in_a_file_conforms_and_its_state_is_its_own(tmp_path: Path) -> None:
    path = tmp_path / "loop.py"
    path.write_text(LOOP)
    mine = foreign_implementation(load_adapter(str(path)))
    assert check_claim(get_loop_claim(mine), mine, max_examples=3).status is Status.PASSED
    assert mine.several is not None
    rng = np.random.default_rng(3)
    B, w, targets = rng.uniform(-0.5, 0.5, (4, 5, 2)), rng.uniform(-0.5, 0.5, (4, 2)), rng.uniform(-1, 1, (3, 4, 5, 6))
    found, _ = mine.several(LEARNERS["fo-anil"], B, w, targets, 0.3, 0.2)
    for each in targets:
        B, w = updates.step(LEARNERS["fo-anil"], B, w, each, 0.3, 0.2)
    np.testing.assert_allclose(found[-1], B, atol=1e-13)
