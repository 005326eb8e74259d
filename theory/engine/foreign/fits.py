"""Fitted causes: step sizes off by a factor or rounded, one of the two parts off, weight decay, a retraction."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from metarep.theory.engine.foreign.forms import right_step
from metarep.theory.engine.foreign.laws import Law, factor_text, law_of, loss_reasons, shown
from metarep.theory.engine.foreign.points import Array, Case, Match, Pair, Point, flat, projection, scaled

_GRID = np.concatenate([sign * np.geomspace(1 / 64, 64, 49) for sign in (1.0, -1.0)])

# --- step sizes


def _fitted_step_sizes(point: Point, beta_too: bool) -> tuple[float, float] | None:
    """(a, b): b times the reference's move at aα agrees with the implementation's; b = 1 unless ``beta_too``."""
    from scipy.optimize import least_squares  # slow to import, and needed only where something fails

    target = flat([point.moved])

    def predicted(a: float) -> Array:
        return flat([point.reference(a)])

    def residual(parameters: Array) -> Array:
        b = float(parameters[1]) if beta_too else 1.0
        return (b * predicted(float(parameters[0])) - target) / point.tolerance

    tried = point.reference(_GRID.reshape(-1, *[1] * (point.at.B.ndim - 2)))
    moves = np.concatenate([part.reshape(len(_GRID), -1) for part in tried], axis=1)
    b = moves @ target / np.maximum(np.square(moves).sum(1), 1e-300) if beta_too else np.ones(len(_GRID))
    misses = np.linalg.norm(b[:, None] * moves - target, axis=1)
    for best in np.argsort(misses, kind="stable")[:3]:
        start = [_GRID[best], b[best]] if beta_too else [_GRID[best]]
        scale = np.maximum(np.abs(start), np.finfo(float).eps)  # b = 0 is the best start if nothing moves
        fit = least_squares(residual, start, xtol=1e-15, ftol=1e-15, gtol=1e-15, x_scale=scale, max_nfev=60)
        alpha_by, beta_by = float(fit.x[0]), float(fit.x[1]) if beta_too else 1.0
        if point.misses(scaled(point.reference(alpha_by), beta_by)) <= 1:
            return alpha_by, beta_by
    return None


def _fitted_outer_step(point: Point) -> tuple[float, float] | None:
    """(1, b) with b times the reference's move agreeing with the implementation's."""
    b = projection([point.moved], [point.reference()])
    return (1.0, b) if b is not None and point.misses(scaled(point.reference(), b)) <= 1 else None


def step_sizes(case: Case) -> Iterator[Match]:
    """α, β, or both off by a factor: a number, or a law."""
    loose = float(np.sqrt(case.eps)) * 1e-2 + 64 * case.eps
    yield from _rounded_step_sizes(case)
    alone, explained = case.learner.adapts == "nothing", False
    for which in ("beta",) if alone else ("alpha", "beta", "both"):
        if which == "both" and explained:
            return
        fitted = []
        for point in case.points:
            pair = _fitted_outer_step(point) if which == "beta" else _fitted_step_sizes(point, which == "both")
            if pair is None:
                break
            fitted.append(pair)
        if len(fitted) < len(case.points):
            continue
        quantities = [point.quantities for point in case.points]
        alpha, beta = (law_of(factors, quantities, loose) for factors in zip(*fitted, strict=True))
        if which == "beta" and beta is None:
            yield Match(
                "beta-scaled",
                None,
                "the outer step has the right direction, its length is off by a factor that varies from point to point "
                "(clipping or normalising the gradient does that)",
                50,
            )
        if alpha is not None and beta is not None:
            explained = True
            yield (
                _loss_match(alpha, beta)
                if which == "both"
                else _step_size_match(alpha if which == "alpha" else beta, which)
            )
            if alone:  # nothing but β tells how its loss is scaled: with learners that adapt it may be the same mistake
                yield replace(_loss_match(beta, beta), rank=60)


_COARSE = ("float32", "float16")


def _rounded_step_sizes(case: Case) -> Iterator[Match]:
    """α, β or both rounded to a coarser type, and nothing else."""
    for name in _COARSE:
        if np.finfo(name).eps <= case.eps:
            continue
        for rounded in (("alpha",), ("beta",), ("alpha", "beta")):
            if "alpha" in rounded and case.learner.adapts == "nothing":
                continue
            moves = []
            for point in case.points:
                sizes = {each: float(np.dtype(name).type(getattr(point.at, each))) for each in rounded}
                moves.append(point.move(right_step(*point.at._replace(**sizes))))
            if case.agree(moves):
                letters = " and ".join({"alpha": "α", "beta": "β"}[each] for each in rounded)
                yield Match("step-size-rounded", None, f"{letters} rounded to {name}, and nothing else is", 9)


def _loss_match(alpha: Law, beta: Law) -> Match:
    """Both step sizes are off: by the same law if the loss is; the outer one by n besides if the tasks are summed."""
    text = f"α is {alpha.text} times what it should be, β is {beta.text} times"
    for summed, outer in ((False, alpha), (True, alpha.times("n"))):
        if outer.like(beta) and not (summed and alpha.like(Law(1.0, {}))):
            why = "; ".join(filter(None, (loss_reasons(alpha), "the tasks are summed" if summed else "")))
            scaled_by = None if summed or alpha.constant is None else shown(alpha.constant)
            return Match("loss-scaled", scaled_by, f"{text}: the loss is scaled" + (f" ({why})" if why else ""), 31)
    return Match("alpha-and-beta-scaled", None, text, 40)


def _step_size_match(law: Law, which: str) -> Match:
    if which == "beta" and law.like(Law(1.0, {"n": 1})):
        return Match("sum-instead-of-mean", None, "the tasks' gradients are summed", 5)
    if law.like(Law(-1.0, {})):
        uphill = "inner" if which == "alpha" else "outer"
        return Match("wrong-sign", -1.0, f"the {uphill} step goes uphill", 5)
    factor = None if law.constant is None or law.beside_one else shown(law.constant)
    text = f"{'α' if which == 'alpha' else 'β'} is {law.text} times what it should be"
    if law.beside_one and law.number < 0 and law.powers.get("n") == -1 and sum(map(abs, law.powers.values())) == 1:
        text += f" (as with {-law.number:.3g} added to n in a denominator)"
    return Match(f"{which}-scaled", factor, text, 30)


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
            yield Match(
                "beta-scaled", shown(factor), f"{name} outer step is {factor_text(factor)} times what it should be", 35
            )


# --- additions


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
    # Where d = k every invertible matrix has the right column space: such points say nothing.
    telling = any(point.at.B.shape[-2] > point.at.B.shape[-1] for point in case.points)
    if telling and all(_in_another_basis(point, reference) for point, reference in both):
        what = "the representation has the right column space in another basis: it is normalised"
        yield Match("retraction", None, what, 48)


def _in_another_basis(point: Point, reference: Pair) -> bool:
    """Whether B⁺ is the right one times a matrix, and w⁺ the right one, or that by the matrix's inverse."""
    right_B, right_w = point.at.B - reference[0], point.at.w - reference[1]
    change = np.linalg.pinv(right_B) @ point.found[0]
    size = max(1.0, float(np.abs(change).max()))
    # Solving for the change of basis amplifies the tolerance by the condition.
    tolerance = 4 * float(np.linalg.cond(right_B).max()) * size * point.tolerance
    if not np.abs(right_B @ change - point.found[0]).max() <= tolerance:
        return False
    off = point.found[1] - right_w, (change @ point.found[1][..., None])[..., 0] - right_w
    return any(float(np.abs(each).max()) <= tolerance for each in off)
