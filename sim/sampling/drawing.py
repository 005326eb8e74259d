"""What steps in law draw: the data sets that answer their queries, and what of these lies outside.

Nothing of it depends on the state, so it can be drawn for several steps at once.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from metarep.sim.learners import Learner
from metarep.sim.sampling.gaussian_queries import (
    Draws,
    FirstAnswer,
    draw_chi2,
    first_query,
    fresh_directions,
    second_query,
)

Array = np.ndarray

NUMBERS_AHEAD = 1024
"""Numbers of a trial that are drawn at once, about; at least those of a step. With 64 trials they fit the second-level
cache. How many trials there are must not enter: what one is given would depend on the others.
"""


class Setting(NamedTuple):
    """What the drawing of data sets needs to know. Sample sizes broadcast against (*batch, n, 1)."""

    m_in: int | Array | None
    m_out: int | Array | None
    tasks: int
    inside: int
    outside: int
    batch: tuple[int, ...]
    rng: np.random.Generator
    parts: "Parts"


def data_sets(s: Setting, normals: Array, second: bool) -> tuple[Draws | None, Draws | None]:
    """Inner and outer data sets from fresh normal directions (..., J, p), in the order inner, inner's second, outer."""
    shape, n = (*s.batch, s.tasks, 1), s.tasks
    inner = outer = None
    position = 0
    if s.m_in is not None:
        inner = Draws(s.m_in, s.parts.first_chi2(s.m_in, shape, s.rng), normals[..., :n, :])
        position = n
        if second:
            q = s.parts.second_chi2(s.m_in - 1, shape, s.rng)
            inner = inner._replace(second_chi2=q, second_normal=normals[..., n : 2 * n, :])
            position = 2 * n
    if s.m_out is not None:
        q = s.parts.first_chi2(s.m_out, shape, s.rng)
        outer = Draws(s.m_out, q, normals[..., position : position + n, :])
    return inner, outer


@dataclass(frozen=True)
class Parts:
    """What a step in law is made of; each part can be replaced by another."""

    data_sets: Callable[[Setting, Array, bool], tuple[Draws | None, Draws | None]] = data_sets
    """Inner and outer data sets from normal directions, see ``data_sets``."""
    first_chi2: Callable[[Any, tuple[int, ...], np.random.Generator], Array] = draw_chi2
    """q of a first query, from degrees of freedom, shape and generator."""
    second_chi2: Callable[[Any, tuple[int, ...], np.random.Generator], Array] = draw_chi2
    """q' of a second query, likewise."""
    first_query: Callable[[Draws | None, Array, Array | float], FirstAnswer] = first_query
    second_query: Callable[[Draws | None, FirstAnswer, Array], tuple[Array, Array, Array]] = second_query
    fresh_directions: Callable[[int, int, int, tuple[int, ...], np.random.Generator], Array] = fresh_directions


PARTS = Parts()
"""The right ones."""


class Drawn(NamedTuple):
    """All that is drawn for a step: its data sets, and for those of which only the inside coordinates matter the Ξ of
    the outside part ΞᵀC, as many rows as the R-factor of C has.
    """

    inner: Draws | None
    outer: Draws | None
    outside: Array | None = None

    def of_step(self, place: int) -> "Drawn":
        """What one of several steps draws; they are the last batch axis."""

        def at(array: Any) -> Any:
            return array[..., min(place, array.shape[-3] - 1), :, :] if np.ndim(array) else array

        inner, outer = (draws and Draws(*map(at, draws)) for draws in (self.inner, self.outer))
        return Drawn(inner, outer, at(self.outside))


def fresh_count(learner: Learner, tasks: int, m_in: Any, m_out: Any) -> int:
    """Number of fresh normal directions of a MAML step."""
    return tasks * ((m_out is not None) + (m_in is not None) * (1 if learner.first_order else 2))


def rows_of_factor(learner: Learner, tasks: int) -> int:
    """Rows of the factor C of an ANIL or of average loss."""
    return {"nothing": 1}.get(learner.adapts, tasks if learner.first_order else 2 * tasks + 1)


def drawn_inside(s: Setting, learner: Learner, width: int) -> Drawn:
    """Data sets of which only the inside coordinates matter."""
    second = learner.adapts != "nothing" and not learner.first_order
    if learner.adapts == "nothing":
        s = s._replace(m_in=None)
    count = s.tasks * ((s.m_out is not None) + (s.m_in is not None) * (2 if second else 1))
    rows = min(width, rows_of_factor(learner, s.tasks))
    outside = s.parts.fresh_directions(rows, 0, s.outside, s.batch, s.rng) if s.outside else None
    return Drawn(*s.parts.data_sets(s, s.rng.standard_normal((*s.batch, count, s.inside)), second), outside)


def drawn_everywhere(s: Setting, learner: Learner, width: int) -> Drawn:
    """Data sets with coordinates outside."""
    count = fresh_count(learner, s.tasks, s.m_in, s.m_out)
    normals = s.parts.fresh_directions(count, s.inside, s.outside, s.batch, s.rng)
    return Drawn(*s.parts.data_sets(s, normals, not learner.first_order))
