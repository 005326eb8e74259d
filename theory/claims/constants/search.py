"""An adversary: searches the unit cube for the worst point, many searches side by side.

Batched random searches that narrow in on the best points (a cross-entropy method). They only compare values, so the
function may jump (where runs diverge, say).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Objective = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""``objective(cells, points)``: values (m,) of points (m, p) in the unit cube, point i of search number cells[i]."""
LevelObjective = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
"""``objective(cells, points, levels)``: likewise, each point at its level (m,)."""

ELITE = 3
"""Points of each search around which the next round draws."""
SPREAD = 0.5
"""Standard deviation of the first moves; each round halves it."""


CLOSE_BELOW = 0.6
"""Share of the least level known so far, down to which levels of single points are drawn."""


@dataclass
class Searches:
    """Searches side by side: the best point (cells, p) and value (cells,) of each."""

    points: np.ndarray
    values: np.ndarray


def _around(rng: np.random.Generator, elite: np.ndarray, population: int, spread: float) -> np.ndarray:
    """Points (cells, population, p) near those of ``elite`` (cells, ELITE, p): about half of the coordinates move."""
    cells, _, dimensions = elite.shape
    chosen = rng.integers(0, ELITE, (cells, population))
    centres = np.take_along_axis(elite, chosen[..., None], axis=1)
    moves = rng.normal(0.0, spread, centres.shape) * (rng.random((cells, population, dimensions)) < 0.5)
    return np.clip(centres + moves, 0.0, 1.0)


def _best(points: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The best of points (cells, m, p) and their values (cells, m), ELITE of each search; nan counts as the worst."""
    order = np.argsort(values, axis=1, kind="stable")[:, :ELITE]
    return np.take_along_axis(points, order[..., None], axis=1), np.take_along_axis(values, order, axis=1)


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
        points = rng.beta(0.5, 0.5, shape) if turn == 0 else _around(rng, elite, population, SPREAD / 2**turn)
        points = points[open_cells]
        values = objective(np.repeat(open_cells, population), points.reshape(-1, dimensions))
        values = np.where(np.isnan(values), np.inf, values).reshape(len(open_cells), population)
        pool = np.concatenate([elite[open_cells], points], axis=1)
        pool_values = np.concatenate([elite_values[open_cells], values], axis=1)
        elite[open_cells], elite_values[open_cells] = _best(pool, pool_values)
        best.points[open_cells], best.values[open_cells] = elite[open_cells, 0], elite_values[open_cells, 0]
    return best


def search_levels(
    objective: LevelObjective,
    cells: int,
    dimensions: int,
    rng: np.random.Generator,
    *,
    below: float,
    first: float,
    most: float,
    population: int,
    rounds: int,
    law: Callable[[tuple[int, ...]], np.ndarray],
) -> Searches:
    """The least level at which some point's value is less than ``below``, for each cell apart (infinite: none seen).

    The first ``rounds`` look for points with small values, all at one level, half of it where they succeeded; as many
    again but one look near these, each point at a level of its own below the least that did.

    Args:
        objective: see ``LevelObjective``.
        cells, dimensions, rng, population: as ``search_cells``.
        below: what a value has to be less than.
        first, most: the first level, up to a factor of √2 that differs between searches, and the largest.
        rounds: 2 or more.
        law: draws the first points, of a shape (cells, population, p).
    """
    found = Searches(np.full((cells, dimensions), 0.5), np.full(cells, np.inf))

    def attempt(points: np.ndarray, levels: np.ndarray) -> np.ndarray:
        """The values of points (cells, m, p) at levels (cells, m); what succeeds at a lower level is kept."""
        which = np.repeat(np.arange(cells), points.shape[1])
        values = objective(which, points.reshape(-1, dimensions), levels.ravel()).reshape(levels.shape)
        values = np.where(np.isnan(values), np.inf, values)
        lowest = np.where(values < below, levels, np.inf)
        number = lowest.argmin(axis=1)
        better = np.flatnonzero(lowest.min(axis=1) < found.values)
        found.points[better], found.values[better] = points[better, number[better]], lowest.min(axis=1)[better]
        return values

    elite = np.empty((cells, 0, dimensions))
    level = np.minimum(first * 2 ** (rng.random(cells) - 0.5), most)
    for turn in range(rounds):
        fresh = _around(rng, elite, population, SPREAD / 2**turn) if turn else law((cells, population, dimensions))
        points = np.concatenate([elite, fresh], axis=1)
        values = attempt(points, np.repeat(level[:, None], points.shape[1], axis=1))
        elite = _best(points, values)[0]
        between = np.sqrt(level * np.minimum(found.values, 4 * level))  # or double it, where nothing is known above
        level = np.where(values.min(axis=1) < below, level / 2, np.minimum(between, most))
    for turn in range(rounds - 1):
        elite[:, 0] = np.where(np.isfinite(found.values)[:, None], found.points, elite[:, 0])
        points = np.concatenate([elite, _around(rng, elite, population, SPREAD / 2 ** (turn + 2))], axis=1)
        levels = np.minimum(found.values, most)[:, None] * CLOSE_BELOW ** rng.random(points.shape[:2])
        elite = _best(points, np.where(attempt(points, levels) < below, levels, np.inf))[0]
    return found
