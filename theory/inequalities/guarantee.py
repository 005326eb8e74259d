"""What the theorems guarantee for a given problem: which applies, each condition with its two sides, and the factor.

The conditions and constants are those of ``conditions``, which the derivations are made with, so that a guarantee says
what was proved and nothing else.
"""

import math
from dataclasses import dataclass, replace

import numpy as np

from metarep.theory.dynamics.rates import HeadMoments, third_moment
from metarep.theory.inequalities.conditions import CONDITIONS, Quantities, guaranteed_rate

ROUNDING = 1e-9
"""How far a given B_0 may be from balance, a head or a moment from 0, relative to their sizes: what is left where a
file has nine digits. A theorem's bound moves by as much.
"""
APPLICABLE = {
    "fo-anil": ("theorem-fo-anil-centred", "theorem-fo-anil"),
    "anil": ("theorem-anil-centred", "theorem-anil"),
    "fo-maml": ("theorem-fo-maml-centred", "theorem-fo-maml"),
    "maml": ("theorem-maml-symmetric",),
}
"""By learner: the theorems that are about it, the special case before the general one."""


@dataclass(frozen=True)
class Side:
    """One hypothesis of a theorem on a problem: ``value`` must not exceed ``limit``. ``latex`` says it."""

    latex: str
    value: float
    limit: float

    @property
    def holds(self) -> bool:
        """Whether value ≤ limit (no for NaN)."""
        return self.value <= self.limit

    @property
    def factor(self) -> float:
        """By how much it holds, limit/value: below 1 it fails by the inverse; infinite where nothing is asked."""
        return math.inf if self.value <= 0 <= self.limit else max(self.limit, 0.0) / self.value


@dataclass(frozen=True)
class Guarantee:
    """What a theorem says of one problem.

    Args:
        learner: its id.
        theorem: the claim's id; empty where none is about this learner.
        conditions: its hypotheses in order, those on the start first.
        at: the problem's quantities (L_*, μ_*, η_* the extremes where tasks change).
        rate: the factor per step that holds where all conditions do, 1 − cαβE_0μ_*²; None without one.
        largest_beta: the largest β, and with it the best guaranteed rate, at this α; 0 where there is none.
        alphas: the least and the largest α at this β; None where there is none.
        best: (rate, αβ, least α): the best guaranteed rate over all α and β, and where it is reached; None without.
    """

    learner: str
    theorem: str
    conditions: tuple[Side, ...]
    at: Quantities
    rate: float | None = None
    largest_beta: float = 0.0
    alphas: tuple[float, float] | None = None
    best: tuple[float, float, float] | None = None

    @property
    def holds(self) -> bool:
        """Whether a theorem is about this problem and all its conditions hold."""
        return bool(self.theorem) and self.failing is None

    @property
    def failing(self) -> Side | None:
        """The first condition that fails."""
        return next((condition for condition in self.conditions if not condition.holds), None)

    def steps_to(self, dist: float) -> int | None:
        """Steps after which dist is guaranteed to be at most that; None where nothing is guaranteed.

        Raises:
            ValueError: ``dist`` is not between 0 and 1.
        """
        if not 0 < dist < 1:
            raise ValueError(f"dist is {dist}; allowed: above 0 and below 1")
        if not self.holds or self.rate is None or self.rate >= 1:
            return None
        return 0 if self.rate <= 0 else math.ceil(math.log(dist) / math.log(self.rate))


def guarantee(
    learner: str,
    heads: np.ndarray,
    alpha: float,
    beta: float,
    dist0: float,
    *,
    imbalance: float = 0.0,
    start_head: float = 0.0,
) -> Guarantee:
    """What the theorems guarantee for a learner on a problem.

    Args:
        learner: id of one of the five.
        heads: w_{*,i} as columns, (k, n); (T, k, n) for tasks that change, all that will come.
        alpha, beta: inner and outer step size.
        dist0: dist(B_0, B_*).
        imbalance: ‖I − αB_0ᵀB_0‖; the theorems start from 0.
        start_head: √α‖w_0‖; the theorems start from 0.

    Raises:
        ValueError: a step size that is not positive and finite, or heads of another shape.
    """
    heads = np.asarray(heads, dtype=float)
    if heads.ndim not in (2, 3) or not heads.size:
        raise ValueError(f"heads have shape {heads.shape}; allowed: (k, n), or (T, k, n) where tasks change")
    for name, value in (("alpha", alpha), ("beta", beta)):
        if not (value > 0 and math.isfinite(value)):
            raise ValueError(f"{name} is {value}; allowed: a positive number")
    at = _quantities(heads.reshape(-1, *heads.shape[-2:]), alpha, beta, dist0)
    start = (
        Side(r"\alpha B_0^\top B_0 = I", imbalance, ROUNDING),
        Side("w_0 = 0", start_head, ROUNDING),
        Side(r"0 < \mu_*^2", 0.0 if at.mu_squared > 0 else 1.0, 0.0),
    )
    names = APPLICABLE.get(learner, ())
    if not names:
        return Guarantee(learner, "", start, at)
    # Centred heads leave the head at rest, and then less is asked of the step sizes.
    return _on(learner, names[0] if at.mean == 0 else names[-1], start, at)


def _quantities(steps: np.ndarray, alpha: float, beta: float, dist0: float) -> Quantities:
    """The quantities of all steps' heads, (T, k, n); a mean and odd moments within ``ROUNDING`` of 0 count as 0."""
    moments = [HeadMoments.of(heads) for heads in steps]
    L = max(each.L for each in moments)
    eta = max(each.eta for each in moments)
    third = max(float(np.abs(third_moment(heads)).max()) for heads in steps)
    return Quantities(
        alpha,
        beta,
        mu_squared=min(each.mu for each in moments) ** 2,
        L_squared=L**2,
        mean=eta if eta > ROUNDING * L else 0.0,
        dist0=dist0,
        longest=float(np.linalg.norm(steps, axis=-2).max()),
        trace=max(float(np.trace(each.second)) for each in moments),
        symmetric=eta <= ROUNDING * L and third <= ROUNDING * L**3,
    )


def _sides(theorem: str, at: Quantities) -> tuple[Side, ...]:
    return tuple(Side(each.latex, each.left(at), each.right(at)) for each in CONDITIONS[theorem])


def _on(learner: str, theorem: str, start: tuple[Side, ...], at: Quantities) -> Guarantee:
    """A theorem's conditions on the problem; the step sizes for which they hold, and the best of them."""
    conditions = (*start, *_sides(theorem, at))
    reachable = all(side.holds for side in (*start, *_without_steps(theorem, at)))
    if not reachable:
        return Guarantee(learner, theorem, conditions, at)
    # Conditions on the step sizes bound αβ, or β/α: one quotient of both sides each.
    product = min(_slack(theorem, at, product=True), default=math.inf) * at.alpha * at.beta
    ratio = min(_slack(theorem, at, product=False), default=math.inf) * at.beta / at.alpha
    least, largest = at.beta / ratio, product / at.beta
    best_alpha = math.sqrt(product / ratio)
    fastest = guaranteed_rate(theorem, replace(at, alpha=1.0, beta=product))
    return Guarantee(
        learner,
        theorem,
        conditions,
        at,
        rate=1 - guaranteed_rate(theorem, at),
        largest_beta=min(product / at.alpha, ratio * at.alpha),
        alphas=(least, largest) if least <= largest else None,
        best=(1 - fastest, product, best_alpha),
    )


def _scales(theorem: str, at: Quantities) -> list[tuple[float, bool, bool]]:
    """(factor, whether it bounds αβ, whether it bounds β/α) of each condition."""
    doubled = (replace(at, beta=2 * at.beta), replace(at, alpha=2 * at.alpha))
    found = []
    for side, by_beta, by_alpha in zip(_sides(theorem, at), *(_sides(theorem, each) for each in doubled), strict=True):
        grows = by_beta.value > side.value
        found.append((side.factor, grows and by_alpha.value > side.value, grows and by_alpha.value < side.value))
    return found


def _slack(theorem: str, at: Quantities, *, product: bool) -> list[float]:
    return [factor for factor, of_product, of_ratio in _scales(theorem, at) if (of_product if product else of_ratio)]


def _without_steps(theorem: str, at: Quantities) -> list[Side]:
    """The conditions that the step sizes have no part in."""
    scales = zip(_sides(theorem, at), _scales(theorem, at), strict=True)
    return [side for side, (_, of_product, of_ratio) in scales if not (of_product or of_ratio)]
