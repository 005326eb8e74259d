"""Fitted causes: step sizes off by a factor, terms of the gradient with a wrong coefficient, tasks with a wrong weight,
weight decay, a retraction.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from scipy.optimize import least_squares

from metarep.sim.terms import gradient_terms
from metarep.theory.engine.foreign.points import Array, Case, Match, Point, flat, projection, scaled

_GRID = np.concatenate([sign * np.geomspace(1 / 64, 64, 49) for sign in (1.0, -1.0)])

Law = tuple[float, str]
"""(c, what) of a factor c, or c times or over a quantity."""


def shown(factor: float) -> float:
    """A fitted factor as it is told."""
    return float(f"{factor:.6g}")


# --- step sizes


def _fitted_step_sizes(point: Point, beta_too: bool) -> tuple[float, float] | None:
    """(a, b): b times the reference's move at aα agrees with the implementation's; b = 1 unless ``beta_too``."""
    target = flat([point.moved])

    def predicted(a: float) -> Array:
        return flat([point.reference(a)])

    def residual(parameters: Array) -> Array:
        b = float(parameters[1]) if beta_too else 1.0
        return (b * predicted(float(parameters[0])) - target) / point.tolerance

    starts = []
    for a in _GRID:
        move = predicted(float(a))
        b = float(move @ target) / max(float(move @ move), 1e-300) if beta_too else 1.0
        starts.append((float(np.linalg.norm(b * move - target)), float(a), b))
    for _, a, b in sorted(starts)[:3]:
        start = [a, b] if beta_too else [a]
        fit = least_squares(residual, start, xtol=1e-15, ftol=1e-15, gtol=1e-15, x_scale=np.abs(start), max_nfev=60)
        a, b = float(fit.x[0]), float(fit.x[1]) if beta_too else 1.0
        if point.misses(scaled(point.reference(a), b)) <= 1:
            return a, b
    return None


def _fitted_outer_step(point: Point) -> tuple[float, float] | None:
    """(1, b) with b times the reference's move agreeing with the implementation's."""
    b = projection([point.moved], [point.reference()])
    return (1.0, b) if b is not None and point.misses(scaled(point.reference(), b)) <= 1 else None


def _law(points: Sequence[Point], factors: Sequence[float], loose: float) -> Law | None:
    """(c, what) if the points' factors are one number c, or c times or over one of n, d, k, α, β."""
    values = np.array(factors)
    if not np.isfinite(values).all():
        return None
    options = [("", np.ones(len(points)))]
    for name in points[0].quantities:
        column = np.array([point.quantities[name] for point in points], dtype=float)
        options += [(f"·{name}", column), (f"/{name}", 1 / column)]
    for what, column in options:
        ratios = values / column
        if np.abs(ratios - ratios.mean()).max() <= loose * abs(ratios.mean()):
            return float(ratios.mean()), what
    return None


def step_sizes(case: Case) -> Iterator[Match]:
    """α, β, or both off by a factor: a number, or a number times or over n, d, k, α or β."""
    loose = float(np.sqrt(case.eps)) * 1e-2 + 64 * case.eps
    for which in ("beta",) if case.learner.adapts == "nothing" else ("alpha", "beta", "both"):
        fitted = []
        for point in case.points:
            pair = _fitted_outer_step(point) if which == "beta" else _fitted_step_sizes(point, which == "both")
            if pair is None:
                break
            fitted.append(pair)
        if len(fitted) < len(case.points):
            continue
        alpha, beta = (_law(case.points, factors, loose) for factors in zip(*fitted, strict=True))
        if which == "beta" and beta is None:
            yield Match(
                "beta-scaled",
                None,
                "the outer step has the right direction, its length is off by a factor that varies from point to point "
                "(clipping or normalising the gradient does that)",
                50,
            )
        if alpha is not None and beta is not None:
            yield _step_size_match(alpha, beta, which)


def _step_size_match(alpha: Law, beta: Law, which: str) -> Match:
    (a, a_law), (b, b_law) = alpha, beta
    texts = {
        "alpha": f"α is {a:.6g}{a_law} times what it should be",
        "beta": f"β is {b:.6g}{b_law} times what it should be",
    }
    if which == "both":
        text = f"{texts['alpha']}, {texts['beta']}"
        if a_law == b_law and abs(a - b) <= 1e-4 * abs(a):
            return Match("loss-scaled", None if a_law else shown(a), f"{text}: the loss is scaled", 31)
        return Match("alpha-and-beta-scaled", None, text, 40)
    factor, law = (a, a_law) if which == "alpha" else (b, b_law)
    if which == "beta" and law == "·n" and abs(factor - 1) < 1e-4:
        return Match("sum-instead-of-mean", None, "the tasks' gradients are summed", 5)
    if not law and abs(factor + 1) < 1e-4:
        uphill = "inner" if which == "alpha" else "outer"
        return Match("wrong-sign", -1.0, f"the {uphill} step goes uphill", 5)
    return Match(f"{which}-scaled", None if law else shown(factor), texts[which], 30)


def one_part(case: Case) -> Iterator[Match]:
    """One of B and w moves as it should, the other by a factor of it."""
    both = list(zip(case.points, case.references, strict=True))
    for moving, name in enumerate(("the representation's", "the head's")):
        top = sum(float((p.moved[moving] * r[moving]).sum()) for p, r in both)
        bottom = sum(float(np.square(r[moving]).sum()) for _, r in both)
        factor = top / bottom if bottom else 0.0
        by_B, by_w = (1.0, factor) if moving else (factor, 1.0)
        if not case.agree([(by_B * r[0], by_w * r[1]) for _, r in both]):
            continue
        if abs(factor) < 1e-6:
            part = "head" if moving else "representation"
            yield Match(f"frozen-{part}", None, f"{name} outer step is not taken", 8)
        elif abs(factor + 1) < 1e-6:
            yield Match("wrong-sign", -1.0, f"{name} outer step goes uphill", 8)
        else:
            yield Match("beta-scaled", shown(factor), f"{name} outer step is {factor:.6g} times what it should be", 35)


# --- terms, tasks and additions


def _nice(value: float, loose: float) -> float:
    """−1, 0 or 1 if the value is that close to one of them."""
    return next((nice for nice in (1.0, 0.0, -1.0) if abs(value - nice) <= loose), value)


def _coefficients(columns: Sequence[Array], target: Array, loose: float) -> list[float] | None:
    """Least-squares coefficients of the columns, snapped to −1, 0, 1 and fitted again with the snapped ones kept."""
    matrix = np.stack([column.ravel() for column in columns], axis=1)
    if not np.isfinite(matrix).all():
        return None
    values = [_nice(float(c), loose) for c in np.linalg.lstsq(matrix, target.ravel(), rcond=None)[0]]
    free = [i for i, value in enumerate(values) if value not in (1.0, 0.0, -1.0)]
    kept = [0.0 if i in free else value for i, value in enumerate(values)]
    if free:
        rest = target.ravel() - matrix @ np.array(kept)
        for i, value in zip(free, np.linalg.lstsq(matrix[:, free], rest, rcond=None)[0], strict=True):
            values[i] = float(value)
    return values


def _combined(values: Sequence[float], columns: Sequence[Array]) -> Array:
    return sum((c * column for c, column in zip(values, columns, strict=True)), 0 * columns[0])


def _term_coefficients(case: Case, terms: Sequence[Sequence[Array]], part: int) -> list[list[float]] | None:
    """Coefficients, for every point, of the terms of one part's move: the same everywhere where that will do."""
    targets = [point.moved[part] for point in case.points]
    everywhere = [np.concatenate([column.ravel() for column in columns]) for columns in zip(*terms, strict=True)]
    common = _coefficients(everywhere, np.concatenate([target.ravel() for target in targets]), case.loose)
    each = []
    for point, columns, target in zip(case.points, terms, targets, strict=True):
        values = common
        if values is not None and np.abs(_combined(values, columns) - target).max() > point.tolerance:
            values = _coefficients(columns, target, case.loose)
        if values is None:
            return None
        each.append(values)
    return each


def _off(case: Case, values: Sequence[float]) -> tuple[float | None, str] | None:
    """(factor, in words) of a term with these coefficients at the points; None where they are 1."""
    if len(set(values)) == 1:
        return None if values[0] == 1.0 else (values[0], f"{values[0]:.6g}")
    law = _law(case.points, values, case.loose)
    if law is None:
        return None, "a factor that varies from point to point"
    factor = None if law[1] else _nice(law[0], case.loose)
    return None if factor == 1.0 else (factor, f"{law[0]:.6g}{law[1]}")


def terms(case: Case) -> Iterator[Match]:
    """The gradient's terms with other coefficients than 1."""
    by_point = [gradient_terms(point.at) for point in case.points]
    off: dict[str, tuple[float | None, str]] = {}
    moves: list[list[Array]] = []
    for part, parameter in enumerate("Bw"):
        columns = [
            [p.at.beta * term for term in found[part].values()] for p, found in zip(case.points, by_point, strict=True)
        ]
        each = _term_coefficients(case, columns, part)
        if each is None:
            return
        moves.append([_combined(values, terms) for values, terms in zip(each, columns, strict=True)])
        for name, values in zip(by_point[0][part], zip(*each, strict=True), strict=True):
            if (wrong := _off(case, values)) is not None:
                off[f"{name} of ∇_{parameter}"] = wrong
    if off and case.agree(list(zip(*moves, strict=True))):
        yield _term_match(off, case.loose)


def _term_match(off: dict[str, tuple[float | None, str]], loose: float) -> Match:
    factors = {factor for factor, _ in off.values()}
    named = ", ".join(off)
    if factors == {0.0}:
        what = f"the terms {named} are missing" if len(off) > 1 else f"the term {named} is missing"
        return Match("missing-term", None, what, 25)
    if factors == {-1.0}:
        return Match("wrong-sign", -1.0, f"the sign of {named} is wrong", 25)
    known = [factor for factor in factors if factor is not None]
    alike = len(known) == len(factors) and max(known) - min(known) <= loose * max(map(abs, known))
    text = ", ".join(f"{term} by {by}" for term, (_, by) in off.items())
    return Match("term-scaled", shown(known[0]) if alike else None, f"terms are multiplied: {text}", 45)


def tasks(case: Case) -> Iterator[Match]:
    """Tasks that are left out or weigh differently."""
    weights, moves = [], []
    for point in case.points:
        n = point.at.targets.shape[-1]
        alone = (point.at._replace(targets=point.at.targets[..., i : i + 1]) for i in range(n))
        each = [scaled(Point(at, point.found, point.tolerance).reference(), 1 / n) for at in alone]
        values = _coefficients([flat([pair]) for pair in each], flat([point.moved]), case.loose)
        if values is None:
            return
        weights.append(values)
        moves.append(tuple(_combined(values, parts) for parts in zip(*each, strict=True)))
    if not case.agree(moves):
        return
    if all(any(abs(c) <= case.loose for c in row) for row in weights):
        left_out = " and ".join(str(i + 1) for i, c in enumerate(weights[0]) if abs(c) <= case.loose)
        yield Match("dropped-task", None, f"tasks are left out (of the first point's: number {left_out})", 26)
    elif any(max(row) - min(row) > case.loose for row in weights):
        rows = "; ".join(", ".join(f"{c:.4g}" for c in row) for row in weights[:2])
        yield Match("unequal-tasks", None, f"the tasks have unequal weights: {rows}, ... where 1 belongs", 46)


def additions(case: Case) -> Iterator[Match]:
    """Weight decay, and a representation of the right column space in another basis."""
    both = list(zip(case.points, case.references, strict=True))
    extra = [(p.moved[0] - r[0], p.moved[1] - r[1]) for p, r in both]
    for law in ("β", "1"):
        for name, of_B, of_w in (("B and w", 1, 1), ("B", 1, 0), ("w", 0, 1)):
            decayed = [scaled((of_B * p.at.B, of_w * p.at.w), p.at.beta if law == "β" else 1) for p in case.points]
            c = projection(extra, decayed)
            if c is None or not case.agree(
                [(r[0] + c * o[0], r[1] + c * o[1]) for (_, r), o in zip(both, decayed, strict=True)]
            ):
                continue
            by = f"{c:.6g}·β" if law == "β" else f"{c:.6g}"
            yield Match("weight-decay", shown(c), f"{name} are also shrunk by {by} times themselves", 27)
            break
    for point, reference in both:
        right, found = point.at.B - reference[0], point.found[0]
        change = np.linalg.pinv(right) @ found
        condition = float(np.linalg.cond(right).max())
        size = max(1.0, float(np.abs(change).max()))
        # Solving for the change of basis amplifies the tolerance by the condition.
        if not np.abs(right @ change - found).max() <= 4 * condition * size * point.tolerance:
            return
    yield Match(
        "retraction", None, "the representation has the right column space in another basis: it is normalised", 48
    )
