"""A checked derivation as the record of a proof that claims hold: PROVED exactly when the core accepts it."""

from metarep.theory.calculus.proofs import Proof, ProofStep
from metarep.theory.inequalities.core import Checked
from metarep.theory.inequalities.printing import chains


def as_proof(checked: Checked) -> Proof:
    """The lines as steps; what the core refuses is what remains."""
    steps = [ProofStep(f"{line.number}. ${line.latex}$ ({line.rule})") for line in chains(checked)]
    refusal = "" if checked.accepted else checked.refusal or "refused"
    return Proof(steps=steps, remainder=refusal, comparisons=len(checked.judgements))
