"""An adversary: searches the unit cube for the point where a function is least, many searches side by side.

First a batched random search that narrows in on the best points (a cross-entropy method), then SciPy's Nelder–Mead from
the best of them. Both only compare values, so the function may jump (where runs diverge, say).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize

Objective = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""``objective(cells, points)``: values (m,) of points (m, p) in the unit cube, point i of search number cells[i]."""

ELITE = 3
"""Points of each search around which the next round draws."""


@dataclass
class Searches:
    """Searches side by side: the best point (cells, p) and value (cells,) of each."""

    points: np.ndarray
    values: np.ndarray


def search_cells(
    objective: Objective,
    cells: int,
    dimensions: int,
    rng: np.random.Generator,
    *,
    population: int = 8,
    rounds: int = 3,
    stop_below: float = -np.inf,
) -> Searches:
    """Minimise over the unit cube, for each cell apart, all cells' points in one call.

    Args:
        objective: see ``Objective``.
        cells: number of searches.
        dimensions: p.
        rng: source of randomness.
        population: points a round of each search.
        rounds: the first draws from a law that favours the cube's faces, each further one around the best, ever closer.
        stop_below: a search that has found such a value is over.
    """
    shape = (cells, population, dimensions)
    best = Searches(np.full((cells, dimensions), 0.5), np.full(cells, np.inf))
    elite = np.full((cells, ELITE, dimensions), 0.5)
    elite_values = np.full((cells, ELITE), np.inf)
    for turn in range(rounds):
        open_cells = np.flatnonzero(best.values >= stop_below)
        if open_cells.size == 0:
            break
        if turn == 0:
            points = rng.beta(0.5, 0.5, shape)
        else:
            chosen = rng.integers(0, ELITE, (cells, population))
            centres = np.take_along_axis(elite, chosen[..., None], axis=1)
            moves = rng.normal(0.0, 0.5 / 2**turn, shape) * (rng.random(shape) < 0.5)
            points = np.clip(centres + moves, 0.0, 1.0)
        points = points[open_cells]
        values = objective(np.repeat(open_cells, population), points.reshape(-1, dimensions))
        values = np.where(np.isnan(values), np.inf, values).reshape(len(open_cells), population)
        pool = np.concatenate([elite[open_cells], points], axis=1)
        pool_values = np.concatenate([elite_values[open_cells], values], axis=1)
        order = np.argsort(pool_values, axis=1, kind="stable")[:, :ELITE]
        elite[open_cells] = np.take_along_axis(pool, order[..., None], axis=1)
        elite_values[open_cells] = np.take_along_axis(pool_values, order, axis=1)
        best.points[open_cells], best.values[open_cells] = elite[open_cells, 0], elite_values[open_cells, 0]
    return best


def polish(
    objective: Callable[[np.ndarray], float], point: np.ndarray, evaluations: int, reach: float = 0.1
) -> tuple[np.ndarray, float]:
    """Nelder–Mead from ``point`` inside the unit cube: (best point, value).

    Args:
        objective: of a single point (p,).
        point: where to begin.
        evaluations: at most about so many.
        reach: size of the first simplex.
    """
    # the simplex begins inside: a coordinate near the upper face moves down
    simplex = np.vstack([point, point + reach * np.diag(np.where(point > 0.5, -1.0, 1.0))])
    found = minimize(
        lambda x: float(objective(np.clip(x, 0.0, 1.0))),
        point,
        method="Nelder-Mead",
        bounds=[(0.0, 1.0)] * point.size,
        options={"maxfev": evaluations, "initial_simplex": simplex, "xatol": 1e-6, "fatol": 1e-9},
    )
    return np.clip(found.x, 0.0, 1.0), float(found.fun)
