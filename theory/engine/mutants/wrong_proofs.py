"""Wrong proofs, on purpose: derivations with one thing wrong, and what only poses as one; the core must refuse each."""

from metarep.sim.mutants.mutant import Mutant
from metarep.theory.inequalities.controls import Control, controls

CAUSES = (
    ("hostile: ", "not-a-proof"),
    (" dropped", "hypothesis-dropped"),
    (": reversed", "inequality-reversed"),
    ("a sign turned", "wrong-sign"),
    (" = ", "constant-loosened"),
    ("step", "another-step"),
    ("a head at 0", "another-step"),
    (": ", "wrong-setting"),
)
"""(what a control's name has in it, the kind of mistake), the first that fits."""


def _cause(control: Control) -> str:
    return next((cause for part, cause in CAUSES if part in control.name), "another-step")


PROOF_MUTANTS: tuple[Mutant, ...] = tuple(
    Mutant(f"proof-{number}", "proof", _cause(control), control.name, {"control": control})
    for number, control in enumerate(controls(), 1)
)
"""Every negative control, by its number."""
