"""Each rule on random matrices, and a broken version of it that must be refuted.

A case is a small derivation whose assumptions have variables for bounds; an instance draws matrices and gives each
variable the tightest value for which its assumption holds. Then every line that the core computes must be true of
the matrices. The broken rule drops a hypothesis or shrinks a constant; some instance must contradict it.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache

import numpy as np

from metarep.theory.inequalities.catalogue import RULES
from metarep.theory.inequalities.core import Apply, Checked, Context, Derivation, Judgement, Line, Region, Says, check
from metarep.theory.inequalities.evaluation import context_of, excess, random_state, tight
from metarep.theory.inequalities.polynomials import Polynomial, constant
from metarep.theory.inequalities.syntax import matrix, scalar


@dataclass(frozen=True)
class RuleCase:
    """A rule, a derivation that ends with it, and what the broken version concludes instead.

    ``ranges``: variables and upper ends ("" for none). ``broken`` replaces the rule; ``said`` is what its last line
    says where that differs. ``beta``: β as a share of 1/‖Ψ‖ (0 where no β occurs); ``broken_beta`` for the broken
    version.
    """

    rule: str
    assumed: tuple[Says, ...]
    last: Line
    broken: Apply
    why_broken: str
    before: tuple[Line, ...] = ()
    ranges: tuple[tuple[str, str], ...] = (("x", ""), ("y", ""), ("z", ""))
    symbols: tuple[tuple[str, str], ...] = ()
    said: Says | None = None
    beta: float = 0.0
    broken_beta: float | None = None
    balanced: float = 0.3
    definitions: tuple[tuple[str, str], ...] = field(default=())

    def derivation(self, broken: bool = False) -> Derivation:
        """The case as a derivation."""
        last = self.last
        if broken and self.said is not None:
            last = Line(last.rule, self.said, last.uses, last.given)
        return Derivation(
            title=self.rule,
            region=Region(ranges=(*self.ranges, ("beta", "1")), symbols=self.symbols),
            assumed=self.assumed,
            lines=(*(Line("assumption", says) for says in self.assumed), *self.before, last),
            definitions=self.definitions,
        )


def worst_excess(case: RuleCase, rng: np.random.Generator, draws: int, k: int, d: int, broken: bool = False) -> float:
    """The largest violation of any line over random instances of these sizes, d > k, relative to the size of its bound;
    1e-9 is rounding.

    Raises:
        ValueError: the core refuses the case itself.
    """
    checked, context = _accepted(case, broken)
    worst = -np.inf
    for _ in range(draws):
        arrays = random_state(rng, d, k, spread=float(rng.uniform(0.2, 2)), balanced=case.balanced)
        share = case.broken_beta if broken and case.broken_beta is not None else case.beta
        scalars: dict[str, float] = {"beta": 0.0}
        if share:
            scale = tight("norm", "Psi", context, arrays, 0.0)
            arrays["Psi_star"], arrays["w_bar"] = arrays["Psi_star"] / scale, arrays["w_bar"] / np.sqrt(scale)
            arrays["w"] = arrays["w"] / np.sqrt(scale)
            scalars["beta"] = share * float(rng.uniform(0.5, 1))
        for says in case.assumed:
            if says.bound.isidentifier():
                scalars[says.bound] = tight(says.kind, says.of, context, arrays, scalars["beta"])
        for judgement in checked.judgements:
            size = 1.0
            if isinstance(judgement.bound, Polynomial):
                size += abs(float(judgement.bound.value(scalars)))  # type: ignore[arg-type]
            worst = max(worst, excess(judgement, context, arrays, scalars) / size)
    return float(worst)


@cache
def _accepted(case: RuleCase, broken: bool) -> tuple[Checked, Context]:
    """What the core says of a case, and how it reads it."""
    table = {name: rule.apply for name, rule in RULES.items()}
    if broken:
        table[case.rule] = case.broken
    derivation = case.derivation(broken)
    checked = check(derivation, None, table)
    if not checked.accepted:
        raise ValueError(f"the case of {case.rule!r} is refused: {checked.refusal}")
    return checked, context_of(derivation, None)


def concludes(kind: str, of: str, bound: Callable[[list[Judgement]], Polynomial]) -> Apply:
    """A broken rule: it concludes this from the lines it uses, without a question."""

    def apply(context: Context, line: Line, used: list[Judgement]) -> Judgement:
        return Judgement(kind, matrix(of), bound(used))

    return apply


def _bound(used: list[Judgement], index: int) -> Polynomial:
    found = used[index].bound
    assert isinstance(found, Polynomial)
    return found


def _not_checked(context: Context, line: Line, used: list[Judgement]) -> Judgement:
    return context.read(line.says)


_EACH, _TRACE = Says("each", "w_star_i", "W"), Says("norm", "t_star", "t")
_DELTA, _W = Says("norm", "Delta", "x"), Says("norm", "w", "y")
_CONTRACTED = "I_k - beta*Psi"
_OUTSIDE = "B.T*B - A_mix*A_mix.T"

CASES: tuple[RuleCase, ...] = (
    RuleCase(
        "identity", (), Line("identity", Says("equal", "A_mix*A_mix.T", "I_k - Delta - Y.T*Y")), _not_checked,
        "the difference is not looked at", said=Says("equal", "A_mix*A_mix.T", "I_k - Delta + Y.T*Y"),
    ),
    RuleCase(
        "weaken", (_DELTA,), Line("weaken", Says("norm", "Delta", "2*x"), (1,)), _not_checked,
        "whether the new bound is larger is not asked", said=Says("norm", "Delta", "1/2*x"),
    ),
    RuleCase(
        "replace", (Says("below", "Y.T*Y", "x"),), Line("replace", Says("below", "B.T*B - A_mix*A_mix.T", ""), (1, 2)),
        concludes("below", "B.T*B", lambda used: _bound(used, 0)), "the identity is about something else",
        before=(Line("identity", Says("equal", "Y.T*Y", "B.T*B - A_mix*A_mix.T")),), said=Says("below", "B.T*B", ""),
    ),
    RuleCase(
        "words", (_DELTA, _W), Line("words", Says("norm", "Delta*w*w.T*Delta - 2*Delta + w*w.T", ""), (1, 2)),
        concludes("norm", "Delta*w*w.T*Delta - 2*Delta + w*w.T", lambda used: _bound(used, 1) ** 2),
        "the largest word instead of the sum",
    ),
    RuleCase(
        "triangle", (_DELTA, Says("norm", "Psi", "y")),
        Line("triangle", Says("norm", "2*Delta - Psi", ""), (1, 2), ("2", "-1")),
        concludes("norm", "2*Delta - Psi", lambda used: _bound(used, 0) + _bound(used, 1)), "a weight is dropped",
    ),
    RuleCase(
        "sum", (Says("above", "Psi", "x"), Says("below", "Y.T*Y", "y")),
        Line("sum", Says("above", "Psi - Y.T*Y", ""), (1, 2), ("1", "-1")),
        concludes("above", "Psi - Y.T*Y", lambda used: _bound(used, 0)), "the negative summand is not counted",
    ),
    RuleCase(
        "identity-matrix", (), Line("identity-matrix", Says("above", "I_k", "")),
        concludes("above", "I_k", lambda used: constant(2)), "the constant is 2",
    ),
    RuleCase(
        "symmetric", (_DELTA,), Line("symmetric", Says("above", "Delta", ""), (1,)),
        concludes("above", "Delta", lambda used: Polynomial()), "λ_min is taken to be ≥ 0",
    ),
    RuleCase(
        "between", (Says("above", "Psi", "x"), Says("below", "Psi", "y")),
        Line("between", Says("norm", "Psi", ""), (1, 2)),
        concludes("norm", "Psi - I_k", lambda used: _bound(used, 1)), "the bound from below is not asked for",
        said=Says("norm", "Psi - I_k", ""),
    ),
    RuleCase(
        "square", (Says("norm", "A_mix", "x"),), Line("square", Says("below", "A_mix.T*A_mix", ""), (1,)),
        concludes("below", "A_mix.T*A_mix", lambda used: _bound(used, 0) ** 2 * Fraction(9, 10)),
        "a constant is shrunk",
    ),
    RuleCase(
        "root", (Says("below", "Y.T*Y", "x"),), Line("root", Says("norm", "Y", "1 + 1/2*x"), (1,)),
        _not_checked, "whether q ≤ p² is not asked", said=Says("norm", "Y", "x"),
    ),
    RuleCase(
        "gram", (Says("above", "Psi_star", "x"),),
        Line("gram", Says("above", "A_mix*Psi_star*A_mix.T", ""), (1,), ("A_mix",)),
        concludes("above", "A_mix*(Psi_star - I_s)*A_mix.T", lambda used: Polynomial()), "M ⪰ 0 is not asked for",
        said=Says("above", "A_mix*(Psi_star - I_s)*A_mix.T", ""),
    ),
    RuleCase(
        "sandwich", (Says("above", "Psi_star", "x"), Says("above", "A_mix*A_mix.T", "y")),
        Line("sandwich", Says("above", "A_mix*Psi_star*A_mix.T", ""), (1, 2), ("A_mix",)),
        concludes("above", "A_mix*Psi_star*A_mix.T", lambda used: _bound(used, 0)), "the factor σ_min² is dropped",
    ),
    RuleCase(
        "congruence", (Says("below", "Y.T*Y", "x"), Says("norm", "Psi", "y")),
        Line("congruence", Says("below", "Psi*Y.T*Y*Psi", ""), (1, 2)),
        concludes("below", "Psi*Y.T*Y*Psi", lambda used: _bound(used, 0) * _bound(used, 1)), "n instead of n²",
    ),
    RuleCase(
        "contraction", (Says("above", "Psi", "x"), Says("below", "Psi", "y")),
        Line("contraction", Says("norm", _CONTRACTED, ""), (1, 2)),
        concludes("norm", _CONTRACTED, lambda used: 1 - scalar("beta") * _bound(used, 0)),
        "β(λ + u) ≤ 2 is not asked for",
        ranges=(("x", "1"), ("y", "1")), beta=1.0, broken_beta=4.0,
    ),
    RuleCase(
        "inverse", (Says("above", "B.T*B", "g"),), Line("inverse", Says("norm", "G_inv", "4"), (1,)),
        _not_checked, "whether hg ≥ 1 is not asked", ranges=(("x", "4"),), symbols=(("g", "1/4 + x"),),
        said=Says("norm", "G_inv", "1"),
    ),
    RuleCase(
        "gap", (Says("above", "B.T*B", "1/4"), Says("above", _OUTSIDE, "0"), Says("below", _OUTSIDE, "z")),
        Line("gap", Says("norm", "Gap", ""), (2, 3, 4), ("A_mix",)),
        concludes("norm", "Gap", lambda used: _bound(used, 1)), "the factor ‖G⁻¹‖ is dropped",
        before=(Line("inverse", Says("norm", "G_inv", "4"), (1,)),),
    ),
    RuleCase(
        "moments", (),
        Line("moments", Says("above", "w*w.T + w*w_bar.T*A_mix.T + A_mix*w_bar*w.T + A_mix*Psi_star*A_mix.T", ""), (),
             ("w", "A_mix")),
        concludes("above", "w*w.T + 3*w*w_bar.T*A_mix.T + 3*A_mix*w_bar*w.T + A_mix*Psi_star*A_mix.T",
                  lambda used: Polynomial()),
        "the mixed terms are tripled",
        said=Says("above", "w*w.T + 3*w*w_bar.T*A_mix.T + 3*A_mix*w_bar*w.T + A_mix*Psi_star*A_mix.T", ""),
    ),
    RuleCase(
        "distance", (Says("above", "B.T*B", "1/4"), Says("below", "Y.T*Y", "z")),
        Line("distance", Says("distance", "Y", ""), (2, 3)),
        concludes("distance", "Y", lambda used: _bound(used, 0)), "the factor ‖G⁻¹‖ is dropped",
        before=(Line("inverse", Says("norm", "G_inv", "4"), (1,)),),
    ),
    RuleCase(
        "third", (_EACH, Says("norm", "A_mix.T*w", "x"), Says("below", "Psi_star", "y")),
        Line("third", Says("norm", "Third", ""), (1, 2, 3)),
        concludes("norm", "Third", lambda used: _bound(used, 1) * _bound(used, 2)), "the factor W is dropped",
        ranges=(("x", ""), ("y", ""), ("W", "")),
    ),
    RuleCase(
        "third-vector", (_EACH, _TRACE), Line("third-vector", Says("norm", "q_third", ""), (1, 2)),
        concludes("norm", "q_third", lambda used: _bound(used, 1)), "the factor W is dropped",
        ranges=(("t", ""), ("W", "")),
    ),
    RuleCase(
        "turned", (Says("norm", "I_k - A_mix*A_mix.T", "x"),),
        Line("turned", Says("norm", "I_s - A_mix.T*A_mix", ""), (1,)),
        concludes("norm", "I_s + A_mix.T*A_mix", lambda used: _bound(used, 0)), "a sign is turned",
        said=Says("norm", "I_s + A_mix.T*A_mix", ""),
    ),
    RuleCase(
        "trace", (Says("norm", "I_s - A_mix.T*A_mix", "x"), _TRACE),
        Line("trace", Says("norm", "t_star - Bent", ""), (1, 2)),
        concludes("norm", "t_star", lambda used: _bound(used, 0) * _bound(used, 1)), "t instead of t − t_A",
        said=Says("norm", "t_star", ""), ranges=(("x", ""), ("t", "")),
    ),
)  # fmt: skip
"""One case a rule. ``assumption`` has nothing to break; ``induction`` and ``product`` are tried by the controls."""
