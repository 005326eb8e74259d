"""Fitted causes: terms of the gradient with a wrong coefficient or missing, tasks with a wrong weight."""

from collections.abc import Iterator, Sequence

import numpy as np

from metarep.sim.terms import gradient_terms
from metarep.theory.engine.foreign.laws import factor_text, law_of, shown
from metarep.theory.engine.foreign.points import Array, Case, Match, Point, flat, scaled

MOST_SHOWN = 6
"""Weights or numbers of tasks that an explanation shows."""
DETACHED: dict[frozenset[str], str] = {
    frozenset(terms): f"{what} is detached"
    for what, *terms in (
        ("Bᵀ of the head's inner gradient", "r_i v_i^T B of ∇_B"),
        ("the residual of the inner step", "B B^T v_i w^T of ∇_B", "B^T B B^T v_i of ∇_w"),
        ("Bᵀ of the head's inner gradient", "r_i g_i^T of ∇_B"),
        ("w of the representation's inner gradient", "(r_i^T v_i) w_i of ∇_w"),
        ("the residual of the head's inner step", "B g_i w^T of ∇_B", "B^T B g_i of ∇_w"),
        ("the residual of the representation's inner step", "(w^T w_i) v_i w^T of ∇_B", "(w^T w_i) B^T v_i of ∇_w"),
        (
            "the residual of the inner step",
            *("(w^T w_i) v_i w^T of ∇_B", "B g_i w^T of ∇_B", "(w^T w_i) B^T v_i of ∇_w", "B^T B g_i of ∇_w"),
        ),
        ("the head's inner step", "B g_i w^T of ∇_B", "r_i g_i^T of ∇_B", "B^T B g_i of ∇_w"),
        (
            "the representation's inner step",
            *("(w^T w_i) v_i w^T of ∇_B", "(r_i^T v_i) w_i of ∇_w", "(w^T w_i) B^T v_i of ∇_w"),
        ),
    )
}
"""What leaves out exactly these terms of an exact gradient: Exact ANIL's first, then Exact MAML's."""


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
        return None if values[0] == 1.0 else (values[0], factor_text(values[0]))
    law = law_of(values, [point.quantities for point in case.points], case.loose)
    if law is None:
        return None, "a factor that varies from point to point"
    factor = None if law.constant is None or law.beside_one else _nice(law.constant, case.loose)
    return None if factor == 1.0 else (factor, law.text)


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
        if (detached := DETACHED.get(frozenset(off))) is not None:
            what += f", as when {detached}"
        return Match("missing-term" if detached is None or len(off) == 1 else "detached", None, what, 25)
    if factors == {-1.0}:
        return Match("wrong-sign", -1.0, f"the sign of {named} is wrong", 25)
    known = [factor for factor in factors if factor is not None]
    alike = len(known) == len(factors) and max(known) - min(known) <= loose * max(map(abs, known))
    text = ", ".join(f"{term} by {by}" for term, (_, by) in off.items())
    rank = 45 if len(known) == len(factors) else 55  # with other factors at every point much can be explained
    return Match("term-scaled", shown(known[0]) if alike else None, f"terms are multiplied: {text}", rank)


def _used(point: Point) -> int | None:
    """How many tasks the step uses, if these are the first ones and not all."""
    for used in range(1, point.at.targets.shape[-1]):
        fewer = point.at._replace(targets=point.at.targets[..., :used])
        if point.misses(point.of(fewer, point.found).reference()) <= 1:
            return used
    return None


def first_tasks(case: Case) -> Iterator[Match]:
    """The first tasks alone."""
    used = [some for point in case.points if (some := _used(point)) is not None]
    if len(used) < len(case.points):
        return
    every = [point.at.targets.shape[-1] for point in case.points]
    left_out = {n - some for n, some in zip(every, used, strict=True)}
    which = f"of n = {every[0]} all but the first {used[0]}"
    if len(left_out) == 1:
        which = f"the last {min(left_out)}"
    elif len(set(used)) == 1:
        which = f"all but the first {used[0]}"
    yield Match("dropped-task", None, f"tasks are left out: {which}", 24)


def tasks(case: Case) -> Iterator[Match]:
    """Tasks that are left out or weigh differently."""
    weights, moves = [], []
    for point in case.points:
        n = point.at.targets.shape[-1]
        alone = (point.at._replace(targets=point.at.targets[..., i : i + 1]) for i in range(n))
        each = [scaled(point.of(at, point.found).reference(), 1 / n) for at in alone]
        columns = [flat([pair]) for pair in each]
        values = _coefficients(columns, flat([point.moved]), case.loose)
        if values is None or np.linalg.matrix_rank(np.stack(columns)) < n:  # equal tasks: their weights are not seen
            return
        weights.append(values)
        moves.append(tuple(_combined(values, parts) for parts in zip(*each, strict=True)))
    if not case.agree(moves):
        return
    left_out = [[i + 1 for i, c in enumerate(row) if abs(c) <= case.loose] for row in weights]
    if all(left_out):
        which = f"of n = {len(weights[0])} tasks {_numbers(left_out[0])}"
        yield Match("dropped-task", None, f"tasks are left out ({which})", 26)
    elif any(max(row) - min(row) > case.loose for row in weights):
        rows = "; ".join(", ".join(f"{c:.4g}" for c in row[:MOST_SHOWN]) for row in weights[:2])
        yield Match("unequal-tasks", None, f"the tasks have unequal weights: {rows}, ... where 1 belongs", 46)


def _numbers(numbers: Sequence[int]) -> str:
    """Numbers of tasks: "number 3", "numbers 11 to 31", "numbers 1, 4"."""
    first, last = numbers[0], numbers[-1]
    if len(numbers) > 2 and last - first + 1 == len(numbers):
        return f"numbers {first} to {last}"
    return f"number{'s' * (len(numbers) > 1)} {', '.join(map(str, numbers[:MOST_SHOWN]))}"
