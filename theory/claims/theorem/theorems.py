"""The theorems: dist falls geometrically for ever, under conditions with numbers in them."""

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import numpy as np

from metarep.sim.implementations import Implementation
from metarep.sim.learners import LEARNERS, Learner
from metarep.theory.claims.record import Comparison, Example, Source, Verdict, own, paper
from metarep.theory.claims.theorem import claim
from metarep.theory.claims.theorem.settings import FALLS, MOST_STEPS, batch_of, drawn, settings, trajectory_of
from metarep.theory.inequalities.conditions import CONDITIONS
from metarep.theory.inequalities.core import Checked
from metarep.theory.inequalities.theorem_anil import ExactConstants
from metarep.theory.inequalities.theorem_fo_anil import Constants
from metarep.theory.inequalities.theorem_fo_maml import CloseConstants
from metarep.theory.inequalities.theorem_zero_head import EXACT, FIRST_ORDER, ZeroHeadConstants
from metarep.theory.inequalities.theorems import THEOREMS

LEARNER_OF = {
    "fo-anil": "fo-anil",
    "anil": "anil",
    "fo-maml": "fo-maml",
    "fo-anil-centred": "fo-anil",
    "fo-maml-centred": "fo-maml",
    "anil-centred": "anil",
    "maml-symmetric": "maml",
}
"""By the suffix of the theorem's id: the learner that it is about."""

CONSTANTS: dict[str, Constants | ZeroHeadConstants] = {
    "fo-anil": Constants(),
    "anil": ExactConstants(),
    "fo-maml": CloseConstants(),
    "fo-anil-centred": FIRST_ORDER,
    "fo-maml-centred": FIRST_ORDER,
    "anil-centred": EXACT,
    "maml-symmetric": EXACT,
}
"""The constants that the derivations are made with."""

OWN_PROOF = "with explicit constants; own proof"
SOURCES: dict[str, Source] = {
    "fo-anil": paper("theorem-1", OWN_PROOF),
    "anil": paper("theorem-1", OWN_PROOF),
    "fo-maml": own("own proof", about="theorem-maml"),
    "fo-anil-centred": own("own proof", about="theorem-1"),
    "fo-maml-centred": own("own proof", about="theorem-maml"),
    "anil-centred": own("own proof", about="theorem-1"),
    "maml-symmetric": own("own proof", about="theorem-maml"),
}
REMARKS = {
    "fo-anil": "",
    "anil": "",
    "fo-maml": " A close start and a small mean stand in the place of the condition on the head, and 1 in that of "
    "$E_0$; for other starts and means see envelope-fo-maml.",
    "fo-anil-centred": " With heads of mean 0 the head stays at 0, and one condition on the step sizes is left.",
    "fo-maml-centred": " With heads of mean 0 the head stays at 0, FO-MAML moves as FO-ANIL does, and one condition on "
    "the step sizes is left. In floating point the head is not quite 0.",
    "anil-centred": " With heads of mean 0 the head stays at 0, and one condition on the step sizes is left.",
    "maml-symmetric": " With heads whose law is symmetric about 0 the head stays at 0, Exact MAML moves its "
    "representation as Exact ANIL does, and one condition on the step sizes is left. In floating point the head is not "
    "quite 0, and for large $\\alpha L_*$ it leaves 0: rounding errors grow.",
}


def fraction(text: str) -> str:
    """A fraction in LaTeX."""
    value = Fraction(text)
    return str(value) if value.denominator == 1 else rf"\tfrac{{{value.numerator}}}{{{value.denominator}}}"


def conditions(theorem: str) -> str:
    """The theorem's conditions for a statement, with their numbers."""
    return ", ".join(f"${condition.latex}$" for condition in CONDITIONS[theorem])


def assumptions(theorem: str) -> str:
    """What the theorem assumes, for the hypotheses."""
    heads = {"centred": r", $\bar w_{*,t} = 0$", "symmetric": ", heads whose law is symmetric about 0"}
    return (
        r"all $d > k$, $k$, $n$ and $T$; fixed tasks or any sequence of tasks; $\alpha B_0^\top B_0 = I$, $w_0 = 0$, "
        rf"$\mu_* > 0${heads.get(theorem.rsplit('-', 1)[-1], '')}; $\mu_*^2$ the least, $L_*^2$ the largest eigenvalue "
        r"of the $\Psi_{*,t}$, $\eta_*$ the largest $\|\bar w_{*,t}\|$ over all steps, $\kappa_* = L_*/\mu_*$"
    )


def words(learner: Learner, theorem: str) -> Mapping[str, Any]:
    """The words of a theorem's statement."""
    suffix = theorem.removeprefix("theorem-")
    return {
        "learner": learner.name,
        "rate": fraction(CONSTANTS[suffix].c),
        "conditions": conditions(theorem),
        "assumptions": assumptions(theorem),
        "E": "" if theorem == "theorem-fo-maml" else "E_0 ",
        "drawn": drawn(theorem),
        "falls": f"{FALLS:g}",
        "most": MOST_STEPS,
        "remark": REMARKS[suffix],
    }


def proved(theorem: str) -> Checked:
    """The theorem's derivation, as the core left it."""
    return THEOREMS[theorem]()


VARIANTS = {suffix: {"learner": LEARNERS[name], "theorem": f"theorem-{suffix}"} for suffix, name in LEARNER_OF.items()}


def _derivation(learner: Learner, theorem: str) -> Checked:
    return proved(theorem)


@claim(
    Verdict.PROVED,
    source=SOURCES,
    kind="inequality",
    each=VARIANTS,
    words=words,
    exercises=("step", "distance"),
    rests_on=("update-«learner»", "moments-«learner»", "right-factor-«learner»", "symmetry-scaling"),
    floats=lambda theorem: settings(theorem),
    derivation=_derivation,
    examples=14,
)
def theorem(example: Example, implementation: Implementation, learner: Learner, theorem: str) -> Comparison:
    r"""«title» from balance, if «conditions»: $\mathrm{dist}(B_T, B_*) \le \prod_{t<T} (1 - «rate»\,\alpha\beta
    «E»\lambda_{\min}(\Psi_{*,t})) \le (1 - «rate»\,\alpha\beta «E»\mu_*^2)^T$ for every $T$.

    Given: «assumptions»; examples: «drawn», one to three task sets in turn that rotate, runs until the bound has fallen
    by $e^{-«falls»}$ or «most» steps

    Every step of the proof is checked by the core, at $\alpha = 1$, which by symmetry-scaling is any $\alpha$.«remark»
    """
    batch = batch_of(theorem, example)
    trajectory = trajectory_of(learner, batch, implementation)
    # Every step adds a few eps to B, relatively, and dist loses none of them before it is that small itself.
    rounding = 64 * implementation.eps * max(int(trajectory.steps[-1]), 1)
    allowed = np.exp(batch.log_bound(trajectory.steps)) * (1 + rounding) + rounding
    ratio = np.where(trajectory.diverged, np.inf, trajectory.dist / allowed)
    ratio[0] = -np.inf  # there is no step before the first
    time, place = (int(index) for index in np.unravel_index(np.argmax(ratio), ratio.shape))
    why = f"largest dist over its bound along {ratio.shape[1]} runs"
    objects = {**batch.objects(place), "T": int(trajectory.steps[time])}
    sides = float(trajectory.dist[time, place]), float(allowed[time, place])
    return Comparison(float(ratio[time, place]), 1.0, 0.0, why, *sides, objects)
