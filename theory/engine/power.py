"""What a check could have seen: the mutants that concern a claim, and how many of its examples could have failed it.

An example cannot fail an identity where both sides are zero whatever the implementation does, nor a bound on progress
that a learner reaches which does nothing, nor an inequality that is an identity there, as k = 1 is for the bounds of
one step. None of this is labelled by hand. The check runs again on the example with the members of a small panel:

- of a claim about progress (an inequality that speaks of a step, and whose record gives no reason why a learner that
  does less need not fail it): the learner that does not move, and the one at half speed. That of the two that fails it
  has shown that the bound asked for more. A check could give the value of the idle learner itself; running it needs no
  code in any check that could be wrong, and is the same for one step and for thousands;
- of any other claim: wrong implementations that differ in kind, and the wrong formulas that its check takes. All of
  them leave zeros zero and are far above rounding. A claim of which they fail no example is about what they leave
  alone, the origin; then an offset is tried.

An inequality whose value comes from an implementation and is the bound, to within the tolerance for rounding, is an
identity there: what it tests is the identity, which has a claim of its own. (One about the theory alone is drawn where
it is sharp.)

Some of the examples are tried, spread evenly over the independent ones, as each costs as much as the check itself.
"""

from collections.abc import Callable, Sequence

from metarep.sim.implementations import REFERENCE, Implementation
from metarep.sim.mutants.mutant import Mutant
from metarep.sim.mutants.steps import IMPLEMENTATION_MUTANTS, wrong_implementation
from metarep.theory.claims.record import Claim, Comparison, Example
from metarep.theory.engine.evidence import Power
from metarep.theory.engine.mutants.formulas import FORMULA_MUTANTS, with_wrong_formulas

Trial = tuple[Claim, Implementation]
"""What a mutant makes of a claim and of the reference."""

IDLE = ("frozen", "half-speed")
"""Mutants that every claim about progress refutes."""
DOING_LESS = (*IDLE, "stops-halfway", "one-direction-left-out", "slower-by-one-percent")
"""All that do less than they should. The last three are for identities: a bound leaves more room than they need."""

PANEL = (
    *("uneven", *IDLE, "outer-ascent", "inner-loss-without-half", "drops-last-task", "exact-instead-of-first-order"),
    *("first-order-instead-of-exact", "alpha-beta-swapped", "sequential-outer-step", "weight-decay"),
    *("distance-without-basis", "smallest-angle", "frobenius-distance", "column-by-column"),
)
"""Wrong implementations that are tried on examples of the other claims; those that most examples fall by come first."""

_BY_NAME = {mutant.name: mutant for mutant in IMPLEMENTATION_MUTANTS}


def tried_on(mutant: Mutant, claim: Claim) -> Trial | None:
    """The claim and the implementation of a trial of the mutant; None where the claim does not speak of what it
    changes.

    A measurement of an implementation takes thousands of steps: only the ``IDLE`` mutants are tried on it.
    """
    if mutant.kind == "formula":
        changed = with_wrong_formulas(claim, mutant)
        return None if changed is None else (changed, REFERENCE)
    if mutant.kind != "implementation" or (claim.check is None and mutant.name not in IDLE):
        return None
    by_step = "step" in mutant.parts and "step" in claim.exercises and mutant.learners & set(claim.learners)
    by_distance = "subspace_distance" in mutant.parts and "distance" in claim.exercises
    return (claim, wrong_implementation(mutant)) if by_step or by_distance else None


def about_progress(claim: Claim) -> bool:
    """Whether a learner that does less than it should must fail the claim."""
    return "step" in claim.exercises and not claim.at_any_pace


def panel_of(claim: Claim) -> list[Trial]:
    """The panel for the examples of a claim."""
    names = IDLE if claim.kind == "inequality" and about_progress(claim) else PANEL
    found = [tried_on(_BY_NAME[name], claim) for name in names]
    if names is PANEL:
        found += [tried_on(mutant, claim) for mutant in FORMULA_MUTANTS]
    return [trial for trial in found if trial is not None and trial[0].check is not None]


def is_identity(claim: Claim, comparison: Comparison) -> bool:
    """Whether an inequality about an implementation is met as an equality, to rounding."""
    off = abs(comparison.value - comparison.bound)
    return claim.kind == "inequality" and bool(claim.exercises) and bool(off <= comparison.tolerance)


def power_of(
    claim: Claim,
    checked: Sequence[tuple[Example, Comparison]],
    most: int,
    fails: Callable[[Claim, Example, Implementation], bool],
) -> Power:
    """How many of at most ``most`` of the examples could have failed the claim.

    Args:
        claim: the record.
        checked: independent examples, and what the check found on each.
        most: of these, spread evenly, at most so many are tried, and at most half (but three).
        fails: whether a claim fails on an example with an implementation.
    """
    count = min(most, len(checked), max(3, len(checked) // 2))
    chosen = [checked[(2 * i + 1) * len(checked) // (2 * count)] for i in range(count)]
    open_to = [example for example, comparison in chosen if not is_identity(claim, comparison)]

    def failed(panel: list[Trial]) -> int:
        could = 0
        for example in open_to:
            place = next((i for i, (wrong, by) in enumerate(panel) if fails(wrong, example, by)), None)
            if place is not None:
                could += 1
                panel.insert(0, panel.pop(place))  # the next example is likely to fall by it, too
        return could

    offset = tried_on(_BY_NAME["offset"], claim)
    could = failed(panel_of(claim))
    if not could and offset is not None and not (claim.kind == "inequality" and about_progress(claim)):
        could = failed([offset])
    return Power(count, could)
