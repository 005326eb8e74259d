"""The paper's index: the statements of Collins et al. 2022 in the paper's order, and how sure we are of their form.

The paper's full text was not at hand here; its headline and its numerical settings are certain. A claim's ``Source``
names a statement by its key, and ``claims_of`` lists them the other way round.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from metarep.theory.claims.record import Claim


@dataclass(frozen=True)
class PaperStatement:
    """One statement of the paper.

    Args:
        place: where the paper has it.
        title: a few words.
        restatement: what it says, in our words; mathematics between dollar signs.
        certainty: how sure we are of its exact form.
        experiment: the name of the experiment (``metarep.sim.experiments``) that shows it; empty for none.
    """

    place: str
    title: str
    restatement: str
    certainty: str
    experiment: str = ""


_CERTAIN = "certain"
_SHAPE = "the statement is certain; its conditions on the step sizes are given up to unnamed constants"

PAPER: dict[str, PaperStatement] = {
    "setting": PaperStatement(
        "Section 2",
        "The setting",
        r"Multi-task linear regression: $\theta_i = B_* w_{*,i}$ with $B_*$ orthonormal, a learner "
        r"$\langle Bw, x\rangle$, and $\mathrm{dist}(B, B_*)$, the sine of the largest principal angle, as the measure "
        "of what is learned.",
        _CERTAIN,
    ),
    "updates": PaperStatement(
        "Section 2",
        "The learners' updates",
        "MAML and ANIL, exact and first-order, take one inner gradient step on each task and an outer step on the mean "
        "loss after it; average loss takes no inner step.",
        _CERTAIN,
    ),
    "diversity": PaperStatement(
        "Assumption 1",
        "Task diversity",
        r"The tasks' heads span $R^k$: $\mu_*^2 = \lambda_{\min}(\Psi_*) > 0$. The larger $\mu_*$, the faster the "
        "learning.",
        _CERTAIN,
    ),
    "average-loss": PaperStatement(
        "Section 1 and Figure 1",
        "Why average loss fails",
        "Minimising the average loss does not recover the representation: without adapted heads only one direction "
        "moves.",
        "the statement is certain; it is shown by the mechanism and in Figure 1",
        experiment="figure-1",
    ),
    "theorem-1": PaperStatement(
        "Theorem 1",
        "ANIL learns the representation",
        r"From $\alpha B_0^\top B_0 = I$, $w_0 = 0$ and small enough steps, "
        r"$\mathrm{dist}(B_T, B_*) \le (1 - c\,\alpha\beta E_0 \mu_*^2)^{T-1}$ for Exact and FO-ANIL, "
        r"$E_0 = 0.9 - \mathrm{dist}(B_0, B_*)^2$.",
        r"the form is certain; $c = \frac12$ and 0.9 are quoted from memory, the conditions on the steps are known up "
        "to constants",
    ),
    "proof-of-theorem-1": PaperStatement(
        "proof of Theorem 1",
        "The induction that proves it",
        r"$B_{*\perp}^\top B_{t+1} = B_{*\perp}^\top B_t (I - \beta\Psi_t)$; the adapted heads are diverse, "
        r"$\lambda_{\min}(\Psi_t) > 0$ in proportion to $\alpha\mu_*^2$; $\|I - \alpha B_t^\top B_t\|$ and $\|w_t\|$ "
        "stay small.",
        "the mechanism is certain, the wording of the lemmas is ours",
    ),
    "theorem-maml": PaperStatement(
        "MAML counterpart of Theorem 1",
        "MAML learns the representation",
        "The same bound for Exact and FO-MAML under more: a closer start, a smaller inner step size, and for FO-MAML "
        "conditions on the heads' mean and third moment.",
        _SHAPE,
    ),
    "finite-samples": PaperStatement(
        "finite-sample results",
        "Finite samples",
        "With fresh samples at every step all methods still recover the representation, up to a floor that falls with "
        "the sample sizes.",
        _SHAPE,
    ),
    "section-6": PaperStatement(
        "Section 6",
        "Experiment: task diversity",
        r"$d = 100$, $k = n = 5$, heads from $N(0, \mathrm{diag}(1, \dots, 1, \mu^2))$: the smaller $\mu$, the slower.",
        _CERTAIN,
        experiment="section-6",
    ),
    "figure-1": PaperStatement(
        "Figure 1",
        "Experiment: all learners",
        r"$d = 100$, $k = n = 5$, $\alpha = \beta = 0.1$: both ANILs and both MAMLs approach $B_*$ exponentially fast, "
        "average loss does not.",
        "the setting is certain; whether tasks are fresh and how long the $B_0$'s columns are, the paper leaves open",
        experiment="figure-1",
    ),
    "figure-4": PaperStatement(
        "Figure 4",
        "Experiment: start and heads",
        r"$d = 20$, $n = k = 3$, $\alpha = \beta = 0.05$: how the learning depends on the start and on the heads.",
        _CERTAIN,
        experiment="figure-4",
    ),
}
"""By key, in the paper's order."""


def claims_of(statement: str, claims: Iterable["Claim"]) -> tuple["Claim", ...]:
    """Those of the claims that are the paper's statement of that key or are about it."""
    return tuple(claim for claim in claims if claim.source.statement == statement)
