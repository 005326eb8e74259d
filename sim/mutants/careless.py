"""Wrong implementations that are off by little or in one place: something rounded or detached, a loss scaled by several
conventions at once, an ε in a denominator.
"""

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np

from metarep.sim.batches import transposed
from metarep.sim.mutants.mutant import Mutant
from metarep.sim.mutants.steps import ALL, EXACT_ONES, META, by_setting, elsewhere, other_terms, step_mutant
from metarep.sim.terms import At, Pair, Residuals, Terms, mean, mean_outer, residuals

Array = np.ndarray
EPSILON = Fraction(1, 10**6)


def _rounded(number: Any, to: Callable[[Any], Any]) -> Any:
    """A number or an array rounded to a coarser type, as what it was."""
    if isinstance(number, Fraction):
        return Fraction(float(to(float(number))))
    if isinstance(number, np.ndarray) and number.dtype == object:
        return np.vectorize(lambda x: _rounded(x, to), otypes=[object])(number)
    return to(number).astype(float)


def _exact(at: At, number: Fraction) -> Any:
    return number if at.B.dtype == object else float(number)


def _beta_times(at: At, factor: Fraction) -> At:
    return at._replace(beta=at.beta * _exact(at, factor))


def _mean_squared_error(at: At) -> At:
    """The loss is the mean over the d coordinates, without ½, and the tasks' losses are summed."""
    factor = _exact(at, Fraction(2, at.B.shape[-2]))
    return at._replace(alpha=at.alpha * factor, beta=at.beta * factor * at.targets.shape[-1])


@by_setting
def _residuals_in_half_precision(right: Callable[..., Pair], *arguments: Any) -> Pair:
    """v_i is stored in float16 before a gradient at the adapted parameters is made of it."""
    at = At(*arguments)
    found = residuals(at)
    V = _rounded(found.V, np.float16)
    adapted_w = transposed(at.B) @ V
    if at.learner.adapts_representation:
        adapted_w = adapted_w - at.alpha * at.head * (found.R * V).sum(-2, keepdims=True)
    return at.moved(mean_outer(V, found.W), mean(adapted_w))


def _without(*terms: str) -> Callable[[At, Residuals, Terms, Terms], None]:
    def leave_out(at: At, found: Residuals, terms_B: Terms, terms_w: Terms) -> None:
        for term in terms:
            terms_B.pop(term, None)
            terms_w.pop(term, None)

    return leave_out


CARELESS_MUTANTS: tuple[Mutant, ...] = (
    step_mutant(
        "alpha-in-float32", "step-size-rounded", "α is rounded to float32, and nothing else is", META,
        elsewhere(lambda at: at._replace(alpha=_rounded(at.alpha, np.float32))), "α rounded to float32",
    ),
    step_mutant(
        "beta-in-float32", "step-size-rounded", "β is rounded to float32, and nothing else is", ALL,
        elsewhere(lambda at: at._replace(beta=_rounded(at.beta, np.float32))), "β rounded to float32",
    ),
    step_mutant(
        "residuals-in-float16", "coarse-rounding", "the residuals after adaptation are stored in float16",
        frozenset({"fo-anil", "fo-maml", "average-loss"}), _residuals_in_half_precision,
    ),
    step_mutant(
        "beta-one-millionth-off", "beta-scaled", "β is 10⁻⁶ too large, relatively", ALL,
        elsewhere(lambda at: _beta_times(at, 1 + EPSILON)), "β is 1 + 1e-06 times",
    ),
    step_mutant(
        "epsilon-beside-n", "beta-scaled", "the sum over tasks is divided by n + 10⁻⁶", ALL,
        elsewhere(lambda at: _beta_times(at, Fraction(at.targets.shape[-1]) / (at.targets.shape[-1] + EPSILON))),
        "1e-06 added to n in a denominator",
    ),
    step_mutant(
        "mean-squared-error-summed", "loss-scaled",
        "the loss is a mean over the d coordinates without ½, and the tasks' losses are summed", ALL,
        elsewhere(_mean_squared_error), "β is 2·n/d times",
    ),
    step_mutant(
        "inner-residual-detached", "detached", "the residual of the inner step is detached", EXACT_ONES,
        other_terms(_without("B B^T v_i w^T", "B^T B B^T v_i", "(w^T w_i) v_i w^T", "(w^T w_i) B^T v_i",
                             "B g_i w^T", "B^T B g_i")),
        "the residual of the inner step is detached",
    ),
    step_mutant(
        "head-step-detached", "detached", "the head's inner step is detached", frozenset({"maml"}),
        other_terms(_without("B g_i w^T", "r_i g_i^T", "B^T B g_i")), "as when the head's inner step is detached",
    ),
    step_mutant(
        "representation-step-detached", "detached", "the representation's inner step is detached", frozenset({"maml"}),
        other_terms(_without("(w^T w_i) v_i w^T", "(r_i^T v_i) w_i", "(w^T w_i) B^T v_i")),
        "as when the representation's inner step is detached",
    ),
)  # fmt: skip
"""Each is a slip of one line."""
