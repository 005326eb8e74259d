"""The likely cause of a wrong update map: which known mistake, named or fitted, gives the same steps.

At a few seeded generic points every candidate mistake predicts a step; a cause is named only if its prediction agrees
with the implementation's step at all of them, to its rounding errors. Candidates are the named deviations of the
simulator, other learners' specs, and fitted ones: step sizes off by a factor, terms of the gradient with a wrong
coefficient, tasks with a wrong weight, weight decay, a retraction.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from math import isfinite
from typing import Any

import numpy as np
from scipy.optimize import least_squares

from metarep.sim.implementations import Implementation
from metarep.sim.learners import LEARNERS, Adapts, Learner
from metarep.sim.mutants import DEVIATIONS, gradient_terms
from metarep.sim.updates import step as reference_step
from metarep.theory.claims.comparing import ROUNDINGS_PER_WORD, step_scale
from metarep.theory.claims.strategies import StepArrays
from metarep.theory.dynamics.derive import derive

Array = np.ndarray
Pair = tuple[Array, Array]

DIMENSIONS = ((5, 2, 3, 0.375, 0.25), (6, 3, 5, 0.25, 0.3125), (4, 2, 2, 0.5, 0.1875), (7, 2, 4, 0.3125, 0.4375))
"""(d, k, n, α, β) of the points: all differ in what a factor could depend on."""
DRAWS = 3
"""Points of each: with k ≥ 2 enough equations for the five terms of Exact MAML's ∇_w."""
SINGLE = 2.0**-23


@dataclass(frozen=True)
class Cause:
    """A likely cause: its id, the learner's id or "all", the factor if one was fitted, and a sentence."""

    id: str
    learner: str
    factor: float | None
    explanation: str


@dataclass(frozen=True)
class Diagnosis:
    """What comparing steps found: the learners whose step is wrong at generic points, the cause, and a sentence."""

    wrong: tuple[str, ...]
    cause: Cause | None
    explanation: str


@dataclass(frozen=True)
class _Point:
    """Points of equal dimensions, with the implementation's step there and what rounding errors explain."""

    B: Array
    w: Array
    targets: Array
    alpha: float
    beta: float
    found: Pair
    tolerance: float

    @property
    def quantities(self) -> dict[str, float]:
        """What a wrong factor could depend on."""
        d, k = self.B.shape[-2:]
        return {"n": self.targets.shape[-1], "d": d, "k": k, "α": self.alpha, "β": self.beta}

    @property
    def moved(self) -> Pair:
        """(B − B⁺, w − w⁺), which is β∇ where all is well."""
        return self.B - self.found[0], self.w - self.found[1]

    def reference(self, learner: Learner, alpha_factor: float = 1.0) -> Pair:
        """(β∇_B, β∇_w) as they should be, α times a factor."""
        next_B, next_w = reference_step(learner, self.B, self.w, self.targets, alpha_factor * self.alpha, self.beta)
        return self.B - next_B, self.w - next_w

    def misses(self, moved: Pair) -> float:
        """Largest difference between a predicted move and the implementation's, in units of the tolerance."""
        return max(float(np.abs(mine - other).max()) for mine, other in zip(self.moved, moved, strict=True)) / (
            self.tolerance
        )


@dataclass(frozen=True)
class _Match:
    """A candidate that agrees. ``rank``: the smaller, the more specific it is."""

    id: str
    factor: float | None
    explanation: str
    rank: int


def _points(implementation: Implementation, learner: Learner, seed: int) -> list[_Point]:
    rng = np.random.default_rng(seed)
    points = []
    for d, k, n, alpha, beta in DIMENSIONS:
        B, w = rng.uniform(-0.9, 0.9, (DRAWS, d, k)), rng.uniform(-0.9, 0.9, (DRAWS, k))
        targets = rng.uniform(-0.9, 0.9, (DRAWS, d, n))
        found = implementation.step(learner, B, w, targets, alpha, beta)
        scale = max(
            step_scale(learner, StepArrays(b, v, t, np.eye(d), np.zeros((d, 0)), alpha, beta))
            for b, v, t in zip(B, w, targets, strict=True)
        )
        # A candidate may add up larger intermediates than the learner's own: what came out bounds them well enough.
        size = scale + max(float(np.abs(part).max()) for part in found)
        points.append(_Point(B, w, targets, alpha, beta, found, 4 * ROUNDINGS_PER_WORD * implementation.eps * size))
    return points


def _agree(points: list[_Point], moves: list[Pair]) -> bool:
    return all(point.misses(move) <= 1 for point, move in zip(points, moves, strict=True))


def _flat(pair: Pair) -> Array:
    return np.concatenate([pair[0].ravel(), pair[1].ravel()])


# --- named ------------------------------------------------------------------------------------------------------------

FITTED_IDS = ("alpha-scaled", "beta-scaled", "wrong-sign", "single-precision", "missing-term", "weight-decay")
"""Causes whose factor or term is found below by a fit, not by trying the deviation with its one factor."""


def _named(learner: Learner, points: list[_Point]) -> Iterator[_Match]:
    for deviation in DEVIATIONS.values():
        if learner.name not in deviation.learners or deviation.cause in FITTED_IDS:
            continue
        moves = []
        for point in points:
            next_B, next_w = deviation.implementation.step(
                learner, point.B, point.w, point.targets, point.alpha, point.beta
            )
            moves.append((point.B - next_B, point.w - next_w))
        factor = None
        if not _agree(points, moves):
            # Alone it does not explain the step; perhaps together with a wrong outer step size.
            factor = _projection([point.moved for point in points], moves)
            if factor is None or not _agree(points, [(factor * B, factor * w) for B, w in moves]):
                continue
            also = f", and the outer step is {factor:.6g} times what it should be"
            yield _Match(deviation.cause, _shown(factor), deviation.description + also, 60)
            continue
        yield _Match(deviation.cause, factor, deviation.description, 10)


def _projection(moved: list[Pair], moves: list[Pair]) -> float | None:
    """The factor f that makes f·moves closest to ``moved``; None if the moves are zero."""
    left, right = np.concatenate([_flat(pair) for pair in moved]), np.concatenate([_flat(pair) for pair in moves])
    square = float(right @ right)
    return float(left @ right) / square if square > 0 else None


SPECS: tuple[tuple[Adapts, int], ...] = (
    ("nothing", 0), ("head", 1), ("representation", 1), ("both", 1), ("head", 2), ("both", 2), ("head", 3),
)  # fmt: skip
_WHAT = {"nothing": "nothing", "head": "the head", "representation": "the representation", "both": "B and w"}


def _other_specs(learner: Learner, points: list[_Point]) -> Iterator[_Match]:
    """Is it the right step of another learner?"""
    for adapts, steps in SPECS:
        for first_order in (False, True) if steps else (False,):
            if (adapts, steps, first_order) == (learner.adapts, learner.inner_steps, learner.first_order):
                continue
            update = derive(Learner(f"{adapts}-{steps}-{first_order}", adapts, first_order, steps))
            moves = []
            for point in points:
                stepped = [
                    update(B, w, targets, point.alpha, point.beta)
                    for B, w, targets in zip(point.B, point.w, point.targets, strict=True)
                ]
                moves.append(
                    (point.B - np.stack([pair[0] for pair in stepped]), point.w - np.stack([p[1] for p in stepped]))
                )
            if not _agree(points, moves):
                continue
            order = "first-order" if first_order else "exact"
            what = f"this is the step of a learner that adapts {_WHAT[adapts]} in {steps} inner step(s)"
            what += f", with the {order} outer gradient" if steps else ""
            if steps != learner.inner_steps:
                yield _Match("wrong-number-of-steps", float(steps), what, 20)
            elif adapts != learner.adapts:
                yield _Match("wrong-inner-parameter", None, what, 20)
            else:
                made = "first-order-instead-of-exact" if first_order else "exact-instead-of-first-order"
                yield _Match(made, None, what, 20)


# --- fitted step sizes ------------------------------------------------------------------------------------------------

_GRID = np.concatenate([sign * np.geomspace(1 / 64, 64, 49) for sign in (1.0, -1.0)])


def _shown(factor: float) -> float:
    return float(f"{factor:.6g}")


def _fit_step_sizes(learner: Learner, points: list[_Point], beta_too: bool) -> tuple[float, float] | None:
    """(a, b) with the reference's move at aα, times b, agreeing with the implementation's at these points; b = 1 unless
    ``beta_too``.
    """
    target = np.concatenate([_flat(point.moved) for point in points])
    tolerance = min(point.tolerance for point in points)

    def predicted(a: float) -> Array:
        return np.concatenate([_flat(point.reference(learner, a)) for point in points])

    def best_b(move: Array) -> float:
        return float(move @ target) / max(float(move @ move), 1e-300) if beta_too else 1.0

    def residual(parameters: Array) -> Array:
        b = float(parameters[1]) if beta_too else 1.0
        return (b * predicted(float(parameters[0])) - target) / tolerance

    starts = []
    for a in _GRID:
        move = predicted(float(a))
        b = best_b(move)
        starts.append((float(np.linalg.norm(b * move - target)), float(a), b))
    for _, a, b in sorted(starts)[:3]:
        start = [a, b] if beta_too else [a]
        fit = least_squares(residual, start, xtol=1e-15, ftol=1e-15, gtol=1e-15, x_scale=np.abs(start), max_nfev=60)
        a, b = float(fit.x[0]), float(fit.x[1]) if beta_too else 1.0
        if _agree(points, [_scaled(point.reference(learner, a), b) for point in points]):
            return a, b
    return None


def _scaled(pair: Pair, factor: float) -> Pair:
    return factor * pair[0], factor * pair[1]


def _law(points: list[_Point], factors: list[float], loose: float) -> tuple[float, str] | None:
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


def _step_sizes(learner: Learner, points: list[_Point], eps: float) -> Iterator[_Match]:
    """α, β, or both off by a factor: a number, or a number times or over n, d, k, α or β."""
    loose = float(np.sqrt(eps)) * 1e-2 + 64 * eps
    no_inner = learner.adapts == "nothing"
    for which in ("beta",) if no_inner else ("alpha", "beta", "both"):
        pairs = []
        for point in points:
            if which == "beta":
                b = _projection([point.moved], [point.reference(learner)])
                fine = b is not None and _agree([point], [_scaled(point.reference(learner), b)])
                pairs.append((1.0, b) if fine else None)
            else:
                pairs.append(_fit_step_sizes(learner, [point], which == "both"))
            if pairs[-1] is None:
                break
        if any(pair is None for pair in pairs):
            continue
        fitted = [pair for pair in pairs if pair is not None]
        laws = [_law(points, [pair[i] for pair in fitted], loose) for i in (0, 1)]
        if which == "beta" and laws[1] is None:
            yield _Match(
                "beta-scaled", None,
                "the outer step has the right direction, its length is off by a factor that varies from point to point "
                "(clipping or normalising the gradient does that)", 50,
            )  # fmt: skip
        if laws[0] is None or laws[1] is None:
            continue
        yield _step_size_match(laws[0], laws[1], which)


def _step_size_match(alpha: tuple[float, str], beta: tuple[float, str], which: str) -> _Match:
    (a, a_law), (b, b_law) = alpha, beta
    texts = {
        "alpha": f"α is {a:.6g}{a_law} times what it should be",
        "beta": f"β is {b:.6g}{b_law} times what it should be",
    }
    if which == "both":
        text = f"{texts['alpha']}, {texts['beta']}"
        if a_law == b_law and abs(a - b) <= 1e-4 * abs(a):
            return _Match("loss-scaled", None if a_law else _shown(a), f"{text}: the loss is scaled", 31)
        return _Match("alpha-and-beta-scaled", None, text, 40)
    factor, law = (a, a_law) if which == "alpha" else (b, b_law)
    if which == "beta" and law == "·n" and abs(factor - 1) < 1e-4:
        return _Match("sum-instead-of-mean", None, "the tasks' gradients are summed", 5)
    if not law and abs(factor + 1) < 1e-4:
        uphill = "inner" if which == "alpha" else "outer"
        return _Match("wrong-sign", -1.0, f"the {uphill} step goes uphill", 5)
    return _Match(f"{which}-scaled", None if law else _shown(factor), texts[which], 30)


def _one_part(learner: Learner, points: list[_Point]) -> Iterator[_Match]:
    """One of B and w moves as it should, the other by a factor of it."""
    references = [point.reference(learner) for point in points]
    for moving, still, name in ((0, 1, "the representation's"), (1, 0, "the head's")):
        if any(
            np.abs(point.moved[still] - reference[still]).max() > point.tolerance
            for point, reference in zip(points, references, strict=True)
        ):
            continue
        top = sum(float((p.moved[moving] * r[moving]).sum()) for p, r in zip(points, references, strict=True))
        bottom = sum(float(np.square(r[moving]).sum()) for r in references)
        factor = top / bottom if bottom else 0.0
        if any(
            np.abs(p.moved[moving] - factor * r[moving]).max() > p.tolerance
            for p, r in zip(points, references, strict=True)
        ):
            continue
        if abs(factor) < 1e-6:
            yield _Match(
                "frozen-head" if moving else "frozen-representation", None, f"{name} outer step is not taken", 8
            )
        elif abs(factor + 1) < 1e-6:
            yield _Match("wrong-sign", -1.0, f"{name} outer step goes uphill", 8)
        else:
            yield _Match(
                "beta-scaled", _shown(factor), f"{name} outer step is {factor:.6g} times what it should be", 35
            )


# --- fitted terms, tasks and additions --------------------------------------------------------------------------------


def _nice(value: float, loose: float) -> float:
    """−1, 0 or 1 if the value is that close to one of them."""
    return next((nice for nice in (1.0, 0.0, -1.0) if abs(value - nice) <= loose), value)


def _coefficients(columns: list[Array], target: Array, loose: float) -> list[float] | None:
    """Least-squares coefficients of the columns, snapped to −1, 0, 1 and fitted again with the snapped ones kept."""
    matrix = np.stack(columns, axis=1)
    if not np.isfinite(matrix).all():
        return None
    values = [_nice(float(c), loose) for c in np.linalg.lstsq(matrix, target, rcond=None)[0]]
    free = [i for i, value in enumerate(values) if value not in (1.0, 0.0, -1.0)]
    kept = [0.0 if i in free else value for i, value in enumerate(values)]
    if free:
        rest = target - matrix @ np.array(kept)
        for i, value in zip(free, np.linalg.lstsq(matrix[:, free], rest, rcond=None)[0], strict=True):
            values[i] = float(value)
    return values


def _terms(learner: Learner, points: list[_Point], eps: float) -> Iterator[_Match]:
    """The gradient's terms with other coefficients than 1."""
    loose = max(1e-6, float(np.sqrt(eps)) * 1e-1)
    by_point = [gradient_terms(learner, p.B, p.w, p.targets, p.alpha) for p in points]
    fitted: dict[tuple[str, str], float | list[float]] = {}
    moves: list[list[Array]] = [[], []]
    for part, parameter in enumerate("Bw"):
        names = list(by_point[0][part])
        columns = [
            np.concatenate([(p.beta * terms[part][name]).ravel() for p, terms in zip(points, by_point, strict=True)])
            for name in names
        ]
        target = np.concatenate([p.moved[part].ravel() for p in points])
        common = _coefficients(columns, target, loose)
        if common is None:
            return
        each: list[list[float]] = []
        for p, terms in zip(points, by_point, strict=True):
            predicted = sum(c * p.beta * terms[part][name] for c, name in zip(common, names, strict=True))
            if np.abs(predicted - p.moved[part]).max() <= p.tolerance:
                each.append(common)
                continue
            # Not with one coefficient for all points: with one for each?
            own = _coefficients([(p.beta * terms[part][name]).ravel() for name in names], p.moved[part].ravel(), loose)
            if own is None:
                return
            each.append(own)
        for p, terms, values in zip(points, by_point, each, strict=True):
            moves[part].append(
                sum((c * p.beta * terms[part][n] for c, n in zip(values, names, strict=True)), 0 * p.moved[part])
            )
        for i, name in enumerate(names):
            values = [row[i] for row in each]
            fitted[parameter, name] = values[0] if all(row is common for row in each) else values
    if not _agree(points, list(zip(*moves, strict=True))):
        return
    off: dict[tuple[str, str], tuple[float | None, str]] = {}
    for key, value in fitted.items():
        if isinstance(value, list):
            law = _law(points, value, loose)
            if law is None:
                off[key] = (None, "a factor that varies from point to point")
            elif law[1] or _nice(law[0], loose) != 1.0:
                off[key] = (None if law[1] else _nice(law[0], loose), f"{law[0]:.6g}{law[1]}")
        elif value != 1.0:
            off[key] = (value, f"{value:.6g}")
    if not off:
        return
    factors = {value for value, _ in off.values()}
    named = ", ".join(f"{term} of ∇_{parameter}" for parameter, term in off)
    many = len(off) > 1
    if factors == {0.0}:
        yield _Match(
            "missing-term", None, f"the term{'s' if many else ''} {named} {'are' if many else 'is'} missing", 25
        )
    elif factors == {-1.0}:
        yield _Match("wrong-sign", -1.0, f"the sign of {named} is wrong", 25)
    else:
        known = [value for value in factors if value is not None]
        one = known[0] if len(factors) == 1 and known else None
        if len(known) == len(factors) and max(known) - min(known) <= loose * max(map(abs, known)):
            one = known[0]
        text = ", ".join(f"{term} of ∇_{parameter} by {by}" for (parameter, term), (_, by) in off.items())
        yield _Match("term-scaled", None if one is None else _shown(one), f"terms are multiplied: {text}", 45)


def _tasks(learner: Learner, points: list[_Point], eps: float) -> Iterator[_Match]:
    """Tasks that are left out or weigh differently."""
    loose = max(1e-6, float(np.sqrt(eps)) * 1e-1)
    weights, moves = [], []
    for point in points:
        n = point.targets.shape[-1]
        each = []
        for i in range(n):
            stepped = reference_step(learner, point.B, point.w, point.targets[..., i : i + 1], point.alpha, point.beta)
            each.append(((point.B - stepped[0]) / n, (point.w - stepped[1]) / n))
        values = _coefficients([_flat(pair) for pair in each], _flat(point.moved), loose)
        if values is None:
            return
        weights.append(values)
        moves.append(
            tuple(
                sum((c * pair[part] for c, pair in zip(values, each, strict=True)), 0 * point.moved[part])
                for part in (0, 1)
            )
        )
    if not _agree(points, moves):
        return
    if all(any(abs(c) <= loose for c in row) for row in weights):
        left_out = " and ".join(str(i + 1) for i, c in enumerate(weights[0]) if abs(c) <= loose)
        yield _Match("dropped-task", None, f"tasks are left out (of the first point's: number {left_out})", 26)
    elif any(max(row) - min(row) > loose for row in weights):
        rows = "; ".join(", ".join(f"{c:.4g}" for c in row) for row in weights[:2])
        yield _Match("unequal-tasks", None, f"the tasks have unequal weights: {rows}, ... where 1 belongs", 46)


def _additions(learner: Learner, points: list[_Point], eps: float) -> Iterator[_Match]:
    """Weight decay, and a representation of the right column space in another basis."""
    references = [point.reference(learner) for point in points]
    extra = [tuple(m - r for m, r in zip(p.moved, ref, strict=True)) for p, ref in zip(points, references, strict=True)]
    for law in ("β", "1"):
        own = [(p.B * (p.beta if law == "β" else 1), p.w * (p.beta if law == "β" else 1)) for p in points]
        for name, mask in (("B and w", (1, 1)), ("B", (1, 0)), ("w", (0, 1))):
            decayed = [(mask[0] * B, mask[1] * w) for B, w in own]
            c = _projection(extra, decayed)  # type: ignore[arg-type]
            if c is None or not _agree(
                points, [(r[0] + c * o[0], r[1] + c * o[1]) for r, o in zip(references, decayed, strict=True)]
            ):
                continue
            by = f"{c:.6g}·β" if law == "β" else f"{c:.6g}"
            yield _Match("weight-decay", _shown(c), f"{name} are also shrunk by {by} times themselves", 27)
            break
    for point, reference in zip(points, references, strict=True):
        right, found = point.B - reference[0], point.found[0]
        change = np.linalg.pinv(right) @ found
        condition = float(np.linalg.cond(right).max())
        size = max(1.0, float(np.abs(change).max()))
        # Solving for the change of basis amplifies the tolerance by the condition.
        if not np.abs(right @ change - found).max() <= 4 * condition * size * point.tolerance:
            return
    yield _Match(
        "retraction", None, "the representation has the right column space in another basis: it is normalised", 48
    )


# --- all together -----------------------------------------------------------------------------------------------------


def _matches(implementation: Implementation, learner: Learner, points: list[_Point]) -> list[_Match]:
    again = _points(implementation, learner, SEED)
    if any(point.misses(other.moved) > 1 for point, other in zip(points, again, strict=True)):
        return [_Match("state-between-calls", None, "the same inputs give another step the second time", 0)]
    eps = implementation.eps
    searches: tuple[Callable[[], Iterator[_Match]], ...] = (
        lambda: _named(learner, points),
        lambda: _step_sizes(learner, points, eps),
        lambda: _one_part(learner, points),
        lambda: _terms(learner, points, eps),
        lambda: _tasks(learner, points, eps),
        lambda: _additions(learner, points, eps),
        lambda: _other_specs(learner, points),
    )
    found = [match for search in searches for match in search()]
    if not found and all(point.misses(point.reference(learner)) * eps <= 2 * SINGLE for point in points):
        found.append(_Match("single-precision", None, "it differs by no more than the rounding errors of float32", 70))
    return found


SEED = 20220


SAMPLES_PER_DIMENSION = 2
"""m = 2d samples, more than d, so that a forgotten 1/m shows."""


def on_whitened_samples(implementation: Implementation) -> Implementation:
    """The implementation's step on samples as a population step: with XᵀX = mI and y = Xθ the two are the same."""
    on_samples = implementation.step_on_samples
    assert on_samples is not None

    def step(learner: Learner, B: Array, w: Array, targets: Array, alpha: float, beta: float) -> Pair:
        d, n = targets.shape[-2:]
        m = SAMPLES_PER_DIMENSION * d
        rng = np.random.default_rng(SEED)
        X_in, X_out = np.linalg.qr(rng.standard_normal((2, n, m, d)))[0] * np.sqrt(m)
        stepped = [
            on_samples(learner, b, v, X_in, _labels(X_in, theta), X_out, _labels(X_out, theta), alpha, beta)
            for b, v, theta in zip(B, w, targets, strict=True)
        ]
        return np.stack([pair[0] for pair in stepped]), np.stack([pair[1] for pair in stepped])

    return replace(implementation, step=step)


def _labels(X: Array, targets: Array) -> Array:
    return (X @ targets.T[..., None])[..., 0]


def diagnose(implementation: Implementation) -> Diagnosis:
    """Name the likely cause of an implementation's wrong steps, of the population's or, if these are right, on samples.

    Learners that it does not support are not looked at. A cause that explains all wrong learners is preferred
    (``learner`` is then "all" if there are several), then the most specific one of the first wrong learner.
    """
    found = _diagnosed(implementation)
    if found.wrong or implementation.step_on_samples is None:
        return found
    sampled = _diagnosed(on_whitened_samples(implementation))
    if not sampled.wrong:
        return replace(found, explanation=f"{found.explanation}, or on samples whose XᵀX/m is not the identity")
    where = f"step_on_samples, with m = {SAMPLES_PER_DIMENSION}d samples whose XᵀX/m is the identity: "
    return replace(sampled, explanation=where + sampled.explanation)


def _diagnosed(implementation: Implementation) -> Diagnosis:
    wrong: dict[str, list[_Match]] = {}
    with np.errstate(all="ignore"):
        for learner in LEARNERS.values():
            if learner.name not in implementation.supported:
                continue
            points = _points(implementation, learner, SEED)
            if not all(isfinite(float(np.sum(part))) for point in points for part in point.found):
                wrong[learner.name] = []
            elif any(point.misses(point.reference(learner)) > 1 for point in points):
                wrong[learner.name] = _matches(implementation, learner, points)
    if not wrong:
        what = "at generic points its steps are the reference's: what fails, fails at special ones"
        return Diagnosis((), None, what)
    cause = _chosen(wrong)
    if cause is None:
        return Diagnosis(tuple(wrong), None, f"the steps of {', '.join(wrong)} are wrong in no way that is known")
    text = f"{cause.learner}: {cause.explanation}"
    others = [
        f"{name}: {min(matches, key=lambda match: match.rank).explanation}"
        if matches
        else f"{name}: no known cause fits"
        for name, matches in wrong.items()
        if cause.learner not in ("all", name)
    ]
    return Diagnosis(tuple(wrong), cause, "; ".join([text, *others]))


def _chosen(wrong: Mapping[str, list[_Match]]) -> Cause | None:
    best = {
        name: {match.id: match for match in sorted(matches, key=lambda m: -m.rank)} for name, matches in wrong.items()
    }
    everywhere = set.intersection(*(set(matches) for matches in best.values()))
    if everywhere:
        ranks = {cause: max(matches[cause].rank for matches in best.values()) for cause in everywhere}
        chosen = min(everywhere, key=lambda cause: (ranks[cause], cause))
        matches = [found[chosen] for found in best.values()]
        factors: list[Any] = [match.factor for match in matches]
        same = all(f is not None and abs(f - factors[0]) <= 1e-3 * abs(factors[0]) for f in factors[1:])
        factor = factors[0] if same or len(factors) == 1 else None
        texts = list(dict.fromkeys(match.explanation for match in matches))
        learner = next(iter(wrong)) if len(wrong) == 1 else "all"
        return Cause(chosen, learner, factor, " / ".join(texts))
    for name, matches in best.items():
        if matches:
            match = min(matches.values(), key=lambda match: match.rank)
            return Cause(match.id, name, match.factor, match.explanation)
    return None
