"""The theorems: each as a function that builds its derivation and has the core check it, with the learner's own step.

A claim's record calls one of these; ``accepted`` is the core's answer, ``lines()`` the proof in mathematics.
"""

from collections.abc import Callable
from functools import cache

from metarep.sim.learners import get_learner
from metarep.theory.dynamics.derive import task_gradients
from metarep.theory.dynamics.structure import TRUTH
from metarep.theory.inequalities import theorem_anil, theorem_fo_anil, theorem_fo_maml, theorem_zero_head
from metarep.theory.inequalities.core import Checked, check
from metarep.theory.inequalities.letters import AVERAGES
from metarep.theory.inequalities.reduction import letters_of
from metarep.theory.inequalities.steps import Heads, Step, stated_step, step_of
from metarep.theory.inequalities.syntax import matrix


@cache
def learner_step(name: str, heads: Heads = "any", at_zero: bool = False) -> Step:
    """The learner's averaged outer step at α = 1, from its derived gradients; ``at_zero``: at w = 0.

    Raises:
        ValueError: the step has no form in the heads' first two moments.
    """
    grad_B, grad_w = (gradient.substitute(TRUTH) for gradient in task_gradients(get_learner(name)))
    return step_of((grad_B, grad_w), heads, at_zero)


@cache
def theorem_fo_anil_proof() -> Checked:
    """Theorem 1 for FO-ANIL, with this package's constants."""
    return check(theorem_fo_anil.derivation(), learner_step("fo-anil"))


@cache
def theorem_anil_proof() -> Checked:
    """Theorem 1 for Exact ANIL, with this package's constants."""
    return check(theorem_anil.derivation(), learner_step("anil"))


@cache
def fo_maml_step() -> Step:
    """FO-MAML's step with the averages that are beyond second moments, checked against its derived gradients."""
    grad_B, grad_w = (gradient.substitute(TRUTH) for gradient in task_gradients(get_learner("fo-maml")))
    letters = letters_of(theorem_fo_maml.derivation().definitions, None, ())
    stated_B, stated_w = (
        letters.at_once(matrix(text)) for text in (theorem_fo_maml.STATED_B, theorem_fo_maml.STATED_W)
    )
    return stated_step((grad_B, grad_w), (stated_B, stated_w), AVERAGES)


@cache
def theorem_fo_maml_proof() -> Checked:
    """FO-MAML from a close start with a small mean, every T."""
    return check(theorem_fo_maml.derivation(), fo_maml_step())


@cache
def theorem_centred_proof(name: str) -> Checked:
    """FO-ANIL or FO-MAML with w̄_* = 0 and w_0 = 0: one condition on the step size, every T and k."""
    return check(theorem_zero_head.derivation(exact=False), learner_step(name, "centred", True))


@cache
def theorem_symmetric_proof(name: str) -> Checked:
    """Exact ANIL (centred heads) or Exact MAML (symmetric heads) with w_0 = 0: one condition, every T and k."""
    heads: Heads = "centred" if name == "anil" else "symmetric"
    derivation = theorem_zero_head.derivation(exact=True, symmetric=heads == "symmetric")
    return check(derivation, learner_step(name, heads, True))


THEOREMS: dict[str, Callable[[], Checked]] = {
    "theorem-fo-anil": theorem_fo_anil_proof,
    "theorem-anil": theorem_anil_proof,
    "theorem-fo-maml": theorem_fo_maml_proof,
    "theorem-fo-anil-centred": lambda: theorem_centred_proof("fo-anil"),
    "theorem-fo-maml-centred": lambda: theorem_centred_proof("fo-maml"),
    "theorem-anil-centred": lambda: theorem_symmetric_proof("anil"),
    "theorem-maml-symmetric": lambda: theorem_symmetric_proof("maml"),
}
"""By the claims' ids."""
