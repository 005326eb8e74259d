"""The rules that speak of every step: induction over the steps, and the product that follows from it."""

from functools import cache

from metarep.theory.calculus.words import Poly, find_letter, letter_poly
from metarep.theory.inequalities.core import Context, Judgement, Line
from metarep.theory.inequalities.polynomials import Polynomial, constant, sum_of, variable
from metarep.theory.inequalities.rules import BETA, bound_of, only, rule, same
from metarep.theory.inequalities.syntax import NotAccepted, matrix, scalar


@cache
def _steps_letters() -> dict[str, Poly]:
    return {name: letter_poly(find_letter(f"{name}_next").code) for name in ("B", "w")}


@rule(
    "induction",
    r"\text{start},\ \text{step},\ \sum_j s_j^+ \le \sum_j s_j,\ s_j^+ \ge 0"
    r" \Rightarrow \text{kept for every } t,\ s_j \in [0, 1]",
)
def _induction(context: Context, line: Line, used: list[Judgement]) -> Judgement:
    """Induction over the steps. Kept: bounds of norms and orders of B_t and w_t in numbers s_j, which start at values
    with Σ s_j ≤ 1 and are followed by polynomials s_j⁺ ≥ 0 with Σ s_j⁺ ≤ Σ s_j, so that all stay in [0, 1]; each line
    used proves what is kept for (B⁺, w⁺) with s_j⁺ in the place of s_j.
    """
    proof = context.derivation
    if not proof.kept or len(used) != len(proof.kept) or len(proof.start) != len(proof.kept):
        raise NotAccepted("needs one line, and one start, for each thing that is kept")
    names = [state.name for state in proof.state]
    for says in proof.assumed:
        about = {"w_star_i"} if says.kind in ("each", "odd") else matrix(says.of).letters()
        if says.kind not in ("norm", "below", "above", "each", "odd") or not about:
            raise NotAccepted("what is assumed of every step is a bound of the tasks' moments")
        if not about <= {"Psi_star", "w_bar", "t_star", "w_star_i"}:
            raise NotAccepted("what is assumed of every step may be about the tasks only")
        if context.depends_on(scalar(says.bound)) & set(names):
            raise NotAccepted("what is assumed of the tasks may not depend on the state")
    if len(set(names)) != len(names) or any(context.box.get(name) != 1 for name in names):
        raise NotAccepted("a state's range is not [0, 1]")
    region = context.region
    related = {v for name, value in region.relations for v in (name, *scalar(value).variables())}
    if set(names) & {*region.varying, *region.positive, *context.plain, *context.squares, *related}:
        raise NotAccepted("a state is also something else")
    settled = [BETA, *context.squares.values(), *(scalar(state.start) for state in proof.state)]
    if "beta" in names or any(context.depends_on(value) & set(names) for value in settled):
        raise NotAccepted("neither β, nor a square that defines a variable, nor a start may depend on the state")
    start = {state.name: scalar(state.start) for state in proof.state}
    following = {state.name: context.normal(scalar(state.next)) for state in proof.state}
    for name in names:
        context.need(Polynomial(), start[name], f"{name} ≥ 0 at the start")
        context.need(Polynomial(), following[name], f"{name} ≥ 0 after a step")
    context.need(sum_of(start.values()), constant(1), "Σ s ≤ 1 at the start")
    context.need(sum_of(following.values()), sum_of(variable(name) for name in names), "Σ s⁺ ≤ Σ s")
    steps = _steps_letters()
    for says, at_start, found in zip(proof.kept, proof.start, used, strict=True):
        kept, first = context.read(says), context.read(at_start)
        if kept.kind not in ("norm", "below") or (first.kind, first.of) != (kept.kind, kept.of):
            raise NotAccepted("what is kept, and its start, are upper bounds of one thing")
        bound = context.normal(bound_of(kept))
        changing = context.depends_on(bound) | context.depends_on(bound_of(first))
        if changing & set(context.region.varying):
            raise NotAccepted("a bound that is kept may not vary from step to step by itself")
        base = context.expand(kept.of)
        if (base and not {"B", "w"} & base.letters()) or not base.letters() <= {"B", "w", "B_star", "B_perp"}:
            raise NotAccepted("what is kept may be about B and w only")
        after = base.substitute({name: steps[name] for name in base.letters() & steps.keys()})
        if found.kind != kept.kind:
            raise NotAccepted("the line used is of another kind")
        same(context, found.of, after, f"the line used is not about {says.of!r} after the step")
        context.need(bound_of(first), bound.substitute(start), f"{says.of!r} at the start")
        context.need(bound_of(found), bound.substitute(following), f"{says.of!r} after the step")
    return Judgement("kept", Poly(("1", "1")), constant(1))


@rule(
    "product", r"\mathrm{dist}^2 \le s,\ s^+ = f^2 s,\ s_0 \le 1,\ f \ge 0 \Rightarrow \mathrm{dist}_T \le \prod_t f_t"
)
def _product(context: Context, line: Line, used: list[Judgement]) -> Judgement:
    """s_T = Π f_t² s_0 by its own recursion, and dist_T² ≤ s_T."""
    kept, said = only(line, used, "kept", "distance")
    del kept
    factor = scalar(line.says.bound)
    same(context, said.of, matrix("B_perp.T*B"), "the distance is not that of B")
    if context.depends_on(factor) & {state.name for state in context.derivation.state}:
        raise NotAccepted("the factor may not depend on the state")
    for state in context.derivation.state:
        name = variable(state.name)
        if context.normal(scalar(state.next)) == context.normal(factor * factor * name):
            context.need(bound_of(said), name, f"dist² ≤ {state.name}")
            context.need(scalar(state.start), constant(1), f"{state.name} ≤ 1 at the start")
            context.need(Polynomial(), factor, "f ≥ 0")
            return Judgement("forever", Poly(("1", "1")), factor)
    raise NotAccepted("no state is multiplied by the square of this factor")
