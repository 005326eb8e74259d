"""Outer updates of any learner's spec, derived as words for all d, k and n, and their readable programs.

The derivation knows one thing: the task loss ½‖Bw − θ_i‖². It expands the inner steps into words, differentiates by the
product rule (exact methods: the loss after adaptation; first-order methods: the loss at the adapted parameters), and
leaves an average over tasks. Source of the learners: Collins et al. 2022, Section 2.
"""

from dataclasses import dataclass
from fractions import Fraction
from functools import cache, cached_property
from typing import Any

import numpy as np
from sympy.matrices.expressions import Identity, Inverse, MatrixExpr, Transpose, ZeroMatrix

from metarep.sim.learners import Learner
from metarep.theory.calculus import alphabet as a
from metarep.theory.calculus.alphabet import DIMENSIONS, MOST_STEPS, matrix_symbol, scalar_symbol
from metarep.theory.calculus.evaluation import compiled_expression, evaluate_words
from metarep.theory.calculus.expressions import TaskMean, add, latex, mul, text, to_words
from metarep.theory.calculus.resolvent import gradient_with_G, reduce_G
from metarep.theory.calculus.words import Poly

MOST_INNER_STEPS = {"nothing": 0, "head": MOST_STEPS, "representation": MOST_STEPS, "both": 2}
"""Where one of the two stays, words are powers of BᵀB or of ‖w‖², and their number is quadratic in the steps (2178 in
∇_B for 16 on the head). Where both move it explodes: two-step MAML has 15 622, three steps take more than a minute.
"""


def task_loss(B: Poly, w: Poly) -> Poly:
    """½‖Bw − θ_i‖² as a 1×1 polynomial, for representation and head given as polynomials."""
    residual = B * w - a.theta
    return (residual.T * residual) * Fraction(1, 2)


def head_step_name(learner: Learner) -> str:
    """The scalar that stands for the head's inner step size: α, or α_w where the spec sets it apart."""
    return "alpha" if learner.head_step == 1 else "alpha_w"


def representation_step_name(learner: Learner) -> str:
    """The scalar that stands for the representation's inner step size: α, or α_B where the spec sets it apart."""
    return "alpha" if learner.representation_step == 1 else "alpha_B"


def scalar_values(learner: Learner, alpha: Any, beta: Any) -> dict[str, Any]:
    """Values of all scalar symbols that a spec's words can hold, for given α and β."""
    return {
        "alpha": alpha,
        "beta": beta,
        "alpha_B": alpha * learner.representation_step,
        "alpha_w": alpha * learner.head_step,
        "ridge": learner.ridge,
    }


@cache
def adapted_parameters(learner: Learner) -> tuple[Poly, Poly]:
    """(B_i, w_i) after the inner steps on task i, each step simultaneous in what it adapts.

    Raises:
        ValueError: more inner steps than can be expanded.
    """
    if learner.inner_steps > MOST_INNER_STEPS[learner.adapts]:
        raise ValueError(
            f"{learner.name!r} takes {learner.inner_steps} inner steps on {learner.adapts}; "
            f"allowed: up to {MOST_INNER_STEPS[learner.adapts]}"
        )
    B, w = a.B, a.w
    if learner.exact_head:
        return B, a.G * a.B.T * a.theta
    for _ in range(learner.inner_steps):
        residual = B * w - a.theta
        next_w = w
        if learner.adapts_head:
            pull = B.T * residual + w.scaled(ridge=1) if learner.ridge else B.T * residual
            next_w = w - pull.scaled(**{head_step_name(learner): 1})
        if learner.adapts_representation:
            B = B - (residual * w.T).scaled(**{representation_step_name(learner): 1})
        w = next_w
    return B, w


@cache
def adapted_loss(learner: Learner) -> Poly:
    """F_i(B, w), the loss of task i after adaptation, expanded into words."""
    return reduce_G(task_loss(*adapted_parameters(learner)), bool(learner.ridge))


@cache
def task_gradients(learner: Learner) -> tuple[Poly, Poly]:
    """(∇_B, ∇_w) of one task as words; the outer gradient is their average over tasks.

    For an outer step by displacement these are the displacements in units of −α, (B − B_i)/α and (w − w_i)/α.
    """
    ridge = bool(learner.ridge)
    if learner.outer == "displacement":
        B_i, w_i = adapted_parameters(learner)
        return (a.B - B_i).scaled(alpha=-1), (a.w - w_i).scaled(alpha=-1)
    if not learner.first_order:
        loss = adapted_loss(learner)
        return gradient_with_G(loss, "B", ridge), gradient_with_G(loss, "w", ridge)
    loss = task_loss(a.B, a.w)
    B_i, w_i = adapted_parameters(learner)
    at_adapted = {"B": B_i, "w": w_i}
    grad_B, grad_w = (gradient_with_G(loss, name, ridge).substitute(at_adapted) for name in ("B", "w"))
    return reduce_G(grad_B, ridge), reduce_G(grad_w, ridge)


# --- readable programs


@dataclass(frozen=True)
class Program:
    """An outer gradient as named intermediates: definitions in order, then the two per-task gradients in terms of
    them.
    """

    definitions: tuple[tuple[str, MatrixExpr], ...]
    grad_B: MatrixExpr
    grad_w: MatrixExpr

    def expand(self, ridge: bool = False) -> tuple[Poly, Poly]:
        """(∇_B, ∇_w) of one task, expanded into words; ``ridge`` says which rule an exact head's G obeys."""
        known: dict[str, Poly] = {}
        for name, expression in self.definitions:
            known[name] = to_words(expression, known)
        return reduce_G(to_words(self.grad_B, known), ridge), reduce_G(to_words(self.grad_w, known), ridge)


def _sym(*names: str) -> list[Any]:
    return [matrix_symbol(name) for name in names]


_alpha, _beta, _ridge = (scalar_symbol(name) for name in ("alpha", "beta", "ridge"))


def stated_program(learner: Learner) -> Program:
    """The readable form of one of the paper's five updates, as a person states it; proved equal to the derived one
    elsewhere.

    Raises:
        ValueError: not one of the five.
    """
    B, w, theta = _sym("B", "w", "theta_i")
    r, w_i, B_i, v, g, u = _sym("r_i", "w_i", "B_i", "v_i", "g_i", "u_i")
    residual = ("r_i", add(mul(B, w), mul(-1, theta)))
    head = ("w_i", add(w, mul(-1, _alpha, Transpose(B), r)))
    body = ("B_i", add(B, mul(-1, _alpha, r, Transpose(w))))
    key = learner.plain_key
    match key:
        case ("head", True, 1):
            after = ("v_i", add(mul(B, w_i), mul(-1, theta)))
            return Program((residual, head, after), mul(v, Transpose(w_i)), mul(Transpose(B), v))
        case ("head", False, 1):
            after = ("v_i", add(mul(B, w_i), mul(-1, theta)))
            grad_B = add(
                mul(v, Transpose(w_i)),
                mul(-1, _alpha, B, Transpose(B), v, Transpose(w)),
                mul(-1, _alpha, r, Transpose(v), B),
            )
            grad_w = add(mul(Transpose(B), v), mul(-1, _alpha, Transpose(B), B, Transpose(B), v))
            return Program((residual, head, after), grad_B, grad_w)
        case ("both", True, 1):
            after = ("v_i", add(mul(B_i, w_i), mul(-1, theta)))
            return Program((residual, head, body, after), mul(v, Transpose(w_i)), mul(Transpose(B_i), v))
        case ("both", False, 1):
            after = ("v_i", add(mul(B_i, w_i), mul(-1, theta)))
            pulled = ("g_i", mul(Transpose(B_i), v))
            carried = ("u_i", add(mul(v, Transpose(w_i), w), mul(B, g)))
            grad_B = add(mul(v, Transpose(w_i)), mul(-1, _alpha, add(mul(u, Transpose(w)), mul(r, Transpose(g)))))
            grad_w = add(g, mul(-1, _alpha, add(mul(w_i, Transpose(r), v), mul(Transpose(B), u))))
            return Program((residual, head, body, after, pulled, carried), grad_B, grad_w)
        case ("nothing", False, 0):
            return Program((residual,), mul(r, Transpose(w)), mul(Transpose(B), r))
    raise ValueError(f"no stated form for {learner.name!r}; there is one for each of the paper's five")


def _inner_program(learner: Learner) -> tuple[list[tuple[str, MatrixExpr]], list[tuple[str, str, str]], dict[str, str]]:
    """(definitions of the inner steps, the states (B, w, r) by name that they start from, the adapted parameters)."""
    head_step, body_step = scalar_symbol(head_step_name(learner)), scalar_symbol(representation_step_name(learner))
    names = {"B": "B", "w": "w"}
    definitions: list[tuple[str, MatrixExpr]] = []
    states: list[tuple[str, str, str]] = []
    for j in range(learner.inner_steps):
        tag = "" if learner.inner_steps == 1 else str(j + 1)
        B, w = _sym(names["B"], names["w"])
        residual = f"r_i{tag}"
        definitions.append((residual, add(mul(B, w), mul(-1, matrix_symbol("theta_i")))))
        states.append((names["B"], names["w"], residual))
        r = matrix_symbol(residual)
        adapted = dict(names)
        if learner.adapts_head:
            shrunk = [mul(-1, head_step, _ridge, w)] if learner.ridge else []
            definitions.append((f"w_i{tag}", add(w, mul(-1, head_step, Transpose(B), r), *shrunk)))
            adapted["w"] = f"w_i{tag}"
        if learner.adapts_representation:
            definitions.append((f"B_i{tag}", add(B, mul(-1, body_step, r, Transpose(w)))))
            adapted["B"] = f"B_i{tag}"
        names = adapted
    return definitions, states, names


def _exact_head_program(learner: Learner) -> Program:
    """The program of a spec that solves for the head: G by its definition, and the derivative through the solve."""
    B, w, theta, G = _sym("B", "w", "theta_i", "G")
    w_i, v, g, q = _sym("w_i", "v_i", "g_i", "q_i")
    no_B = ZeroMatrix(DIMENSIONS["d"], DIMENSIONS["k"])
    gram = mul(Transpose(B), B)
    inverted = add(gram, mul(_ridge, Identity(DIMENSIONS["k"]))) if learner.ridge else gram
    solved = (("G", Inverse(inverted)), ("w_i", mul(G, Transpose(B), theta)))
    after = ("v_i", add(mul(B, w_i), mul(-1, theta)))
    if learner.outer == "displacement":
        return Program(solved, no_B, mul(_alpha**-1, add(w, mul(-1, w_i))))
    if learner.first_order:
        return Program((*solved, after), mul(v, Transpose(w_i)), mul(Transpose(B), v))
    pulled = (("g_i", mul(Transpose(B), v)), ("q_i", mul(G, g)))
    grad_B = add(mul(v, Transpose(w_i)), mul(-1, v, Transpose(q)), mul(-1, B, q, Transpose(w_i)))
    return Program((*solved, after, *pulled), grad_B, ZeroMatrix(DIMENSIONS["k"], 1))


def adjoint_program(learner: Learner) -> Program:
    """A readable program for any spec, by reverse accumulation through the inner steps.

    Forward, step j: r_{i,j} = B_{i,j}w_{i,j} − θ_i and the adapted parameters. Backward (exact methods): Λ and λ carry
    the derivative by the representation and by the head, ρ that by the residual.
    """
    if learner.exact_head:
        return _exact_head_program(learner)
    head_step, body_step = scalar_symbol(head_step_name(learner)), scalar_symbol(representation_step_name(learner))
    definitions, states, names = _inner_program(learner)
    B, w = _sym(names["B"], names["w"])
    if learner.outer == "displacement":
        moved = {
            "B": mul(_alpha**-1, add(matrix_symbol("B"), mul(-1, B))),
            "w": mul(_alpha**-1, add(matrix_symbol("w"), mul(-1, w))),
        }
        still = {
            "B": ZeroMatrix(DIMENSIONS["d"], DIMENSIONS["k"]),
            "w": ZeroMatrix(DIMENSIONS["k"], 1),
        }
        return Program(
            tuple(definitions),
            (moved if learner.adapts_representation else still)["B"],
            (moved if learner.adapts_head else still)["w"],
        )
    definitions.append(("v_i", add(mul(B, w), mul(-1, matrix_symbol("theta_i")))))
    v = matrix_symbol("v_i")
    grad_B, grad_w = mul(v, Transpose(w)), mul(Transpose(B), v)
    if learner.first_order:
        return Program(tuple(definitions), grad_B, grad_w)
    for j in reversed(range(learner.inner_steps)):
        tag = "" if learner.inner_steps == 1 else str(j + 1)
        definitions += [(f"P_i{tag}", grad_B), (f"q_i{tag}", grad_w)]
        Lambda, lam, rho = _sym(f"P_i{tag}", f"q_i{tag}", f"a_i{tag}")
        B, w, r = _sym(*states[j])
        through = []
        if learner.adapts_head:
            through.append(mul(-1, head_step, B, lam))
        if learner.adapts_representation:
            through.append(mul(-1, body_step, Lambda, w))
        definitions.append((f"a_i{tag}", add(*through) if len(through) > 1 else through[0]))
        terms_B = [Lambda, mul(rho, Transpose(w))]
        terms_w = [lam, mul(Transpose(B), rho)]
        if learner.adapts_head:
            terms_B.append(mul(-1, head_step, r, Transpose(lam)))
            if learner.ridge:
                terms_w.append(mul(-1, head_step, _ridge, lam))
        if learner.adapts_representation:
            terms_w.append(mul(-1, body_step, Transpose(Lambda), r))
        grad_B, grad_w = add(*terms_B), add(*terms_w)
    return Program(tuple(definitions), grad_B, grad_w)


# --- derived updates


def exact_head_arrays(learner: Learner, B: np.ndarray) -> dict[str, np.ndarray]:
    """G = (BᵀB + λI)⁻¹ (..., k, k) by its name where the spec's words hold it; floats (or complex numbers) only."""
    if not learner.exact_head:
        return {}
    return {"G": np.linalg.inv(np.swapaxes(B, -1, -2) @ B + learner.ridge * np.eye(B.shape[-1]))}


@dataclass(frozen=True)
class DerivedUpdate:
    """A learner's outer step as derived: words (∇_B, ∇_w per task), a readable program equal to them, both callable on
    arrays.
    """

    learner: Learner
    words: tuple[Poly, Poly]
    program: Program

    def __call__(
        self, B: np.ndarray, w: np.ndarray, targets: np.ndarray, alpha: Any, beta: Any
    ) -> tuple[np.ndarray, np.ndarray]:
        """One outer step by the readable program. B (..., d, k), w (..., k), targets (..., d, n); scalars α, β; floats
        or Fractions.
        """
        arrays = {
            "B": B[..., None, :, :],
            "w": w[..., None, :, None],
            "theta_i": np.moveaxis(targets, -1, -2)[..., None],
        }
        scalars = scalar_values(self.learner, alpha, beta)
        definitions, means = self._compiled
        for name, value in definitions:
            arrays[name] = value(arrays, scalars)
        grad_B, grad_w = (mean(arrays, scalars)[..., 0, :, :] for mean in means)
        return B - beta * grad_B, w - beta * grad_w[..., 0]

    @cached_property
    def _compiled(self) -> tuple[list[tuple[str, Any]], list[Any]]:
        """The program's definitions by name, and the means of its gradients over the tasks, as functions."""
        definitions = [(name, compiled_expression(expression)) for name, expression in self.program.definitions]
        means = [compiled_expression(TaskMean(gradient)) for gradient in (self.program.grad_B, self.program.grad_w)]
        return definitions, means

    def step_by_words(
        self, B: np.ndarray, w: np.ndarray, targets: np.ndarray, alpha: Any, beta: Any
    ) -> tuple[np.ndarray, np.ndarray]:
        """The same step, word by word: slower, and independent of the program. Arguments as ``__call__``."""
        arrays = {"B": B, "w": w, "theta_i": targets, **exact_head_arrays(self.learner, B)}
        scalars = scalar_values(self.learner, alpha, beta)
        grad_B = evaluate_words(self.words[0], arrays, scalars)
        grad_w = evaluate_words(self.words[1], arrays, scalars)[..., 0]
        return B - beta * grad_B, w - beta * grad_w

    def lines(self, form: str = "text") -> list[tuple[str, str]]:
        """(left side, right side) of each line of the update, compositionally; ``form`` is 'text' or 'latex'."""
        write = text if form == "text" else latex
        arrow = {"text": ("B⁺", "w⁺"), "latex": ("B^+", "w^+")}[form]
        lines = [(write(matrix_symbol(name)), write(expression)) for name, expression in self.program.definitions]
        B, w = _sym("B", "w")
        lines.append((arrow[0], write(add(B, mul(-1, _beta, TaskMean(self.program.grad_B))))))
        lines.append((arrow[1], write(add(w, mul(-1, _beta, TaskMean(self.program.grad_w))))))
        return lines


@cache
def derive(learner: Learner) -> DerivedUpdate:
    """Derive the outer update of a spec: the paper's five with their stated programs, any other with its adjoint
    program.

    Raises:
        ValueError: more inner steps than can be expanded.
    """
    words = task_gradients(learner)
    try:
        program = stated_program(learner)
    except ValueError:
        program = adjoint_program(learner)
    return DerivedUpdate(learner, words, program)
