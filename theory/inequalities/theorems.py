"""The theorems: each as a function that builds its derivation and has the core check it, with the learner's own step.

A claim's record calls one of these; ``accepted`` is the core's answer, ``lines()`` the proof in mathematics.
"""

from collections.abc import Callable
from functools import cache

from metarep.sim.learners import get_learner
from metarep.theory.calculus import alphabet as a
from metarep.theory.calculus.words import Poly
from metarep.theory.dynamics.derive import task_gradients
from metarep.theory.dynamics.structure import TRUTH
from metarep.theory.inequalities import theorem_anil, theorem_fo_anil
from metarep.theory.inequalities.core import Checked, check
from metarep.theory.inequalities.steps import Step, step_of


@cache
def learner_step(name: str, at_zero: bool = False) -> Step:
    """The learner's averaged outer step at α = 1, from its derived gradients; ``at_zero``: with w = 0 and w̄_* = 0.

    Raises:
        ValueError: the step has no form in the heads' first two moments.
    """
    gradients = tuple(gradient.substitute(TRUTH) for gradient in task_gradients(get_learner(name)))
    if not at_zero:
        return step_of(gradients)  # type: ignore[arg-type]
    zero = {"w": Poly(("k", "1"))}
    step = step_of(gradients, zero)  # type: ignore[arg-type]
    centred = {"w_bar": Poly(a.w_bar.shape)}
    return Step(step.grad_B.substitute(centred), step.grad_w.substitute(centred))


@cache
def theorem_fo_anil_proof() -> Checked:
    """Theorem 1 for FO-ANIL, with this package's constants."""
    return check(theorem_fo_anil.derivation(), learner_step("fo-anil"))


@cache
def theorem_anil_proof() -> Checked:
    """Theorem 1 for Exact ANIL, with this package's constants."""
    return check(theorem_anil.derivation(), learner_step("anil"))


THEOREMS: dict[str, Callable[[], Checked]] = {
    "theorem-fo-anil": theorem_fo_anil_proof,
    "theorem-anil": theorem_anil_proof,
}
