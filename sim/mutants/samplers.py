"""Wrong samplers: the sampler in law with one thing wrong.

Most leave the mean of a step right, or its variance, or every single coordinate's distribution: they are the mistakes
one makes. Each must be told from explicit data by the two-sample tests of the law.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from metarep.sim.learners import LEARNERS, META_LEARNERS
from metarep.sim.mutants.mutant import Mutant, Wrong
from metarep.sim.sampling.drawing import PARTS, Setting
from metarep.sim.sampling.gaussian_queries import Draws, FirstAnswer
from metarep.sim.sampling.in_law import StepsInLaw

Array = np.ndarray
DataSets = tuple[Draws | None, Draws | None]

ALL, META, EXACT_ONES = frozenset(LEARNERS), frozenset(META_LEARNERS), frozenset({"anil", "maml"})


def _one_degree_more(right: Callable[..., Array], degrees: int, *rest: Any) -> Array:
    return right(degrees + 1, *rest)


def _data_sets(change: Callable[[Setting, Draws, Draws], DataSets]) -> Wrong:
    """``change(setting, inner, outer)`` makes wrong data sets of the right ones, where there are two."""

    def wrong(right: Callable[..., DataSets], s: Setting, normals: Array, second: bool) -> DataSets:
        inner, outer = right(s, normals, second)
        return (inner, outer) if inner is None or outer is None else change(s, inner, outer)

    return wrong


def _one_for_all_tasks(s: Setting, inner: Draws, outer: Draws) -> DataSets:
    return inner._replace(first_chi2=inner.first_chi2[..., :1, :], first_normal=inner.first_normal[..., :1, :]), outer


def _second_inside(s: Setting, inner: Draws, outer: Draws) -> DataSets:
    normal = inner.second_normal
    if normal is not None:
        inner = inner._replace(second_normal=np.where(np.arange(normal.shape[-1]) < s.inside, normal, 0.0))
    return inner, outer


def _outer_is_second(s: Setting, inner: Draws, outer: Draws) -> DataSets:
    return inner, outer if inner.second_normal is None else outer._replace(first_normal=inner.second_normal)


def _unshrunk(right: Callable[..., FirstAnswer], draws: Draws | None, u: Array, sigma: Array | float) -> FirstAnswer:
    answer = right(draws, u, sigma)
    if draws is None:
        return answer
    revealed = draws.first_normal + answer.unit * np.sqrt(draws.first_chi2)
    return answer._replace(gradient=answer.scale * revealed, shrink=0 * answer.shrink, revealed=revealed)


def _forgotten(right: Callable[..., Any], draws: Draws | None, first: FirstAnswer, u: Array) -> Any:
    """Nothing of the first answer is left: neither its direction nor what it revealed."""
    return right(draws, first._replace(shrink=0 * first.shrink, revealed=0 * first.revealed), u)


def _nothing_new_outside(right: Callable[..., Any], *at: Any) -> Any:
    product, along_first, along_second = right(*at)
    return product, along_first, 0 * along_second


def _none_outside(right: Callable[..., Array], count: int, inside: int, *rest: Any) -> Array:
    directions = right(count, inside, *rest)
    directions[..., inside:] = 0.0
    return directions


def _level_bartlett(
    right: Callable[..., Array], count: int, inside: int, outside: int, batch: tuple[int, ...], rng: np.random.Generator
) -> Array:
    directions = right(count, inside, outside, batch, rng)
    if count <= outside:
        diagonal = np.arange(count)
        directions[..., diagonal, inside + diagonal] = np.sqrt(rng.chisquare(outside, (*batch, count)))
    return directions


def _sizes_swapped(right: Callable[..., Any], *at: Any) -> Any:
    *before, m_in, m_out, sigma, d, rng, steps = at
    return right(*before, m_out, m_in, sigma, d, rng, steps)


def _all_outside(right: Callable[..., Any], learner: Any, B: Array, *rest: Any) -> Any:
    *before, d, rng, steps = rest
    inside = B.shape[-2]
    return right(learner, B, *before, d + inside if d > inside else d, rng, steps)


SAMPLER_MUTANTS: tuple[Mutant, ...] = tuple(
    Mutant(name, "sampler", "wrong-law", what, parts, learners)
    for name, what, learners, parts in (
        ("first-degrees-of-freedom", "χ² of the first query has m − 1 degrees of freedom, not m", ALL,
         {"first_chi2": lambda right, m, *rest: right(m - 1, *rest)}),
        ("frozen-chi-square", "χ² of the first query is replaced by its mean m", ALL,
         {"first_chi2": lambda right, m, shape, rng: np.full(shape, float(m))}),
        ("no-shrinkage", "the noise keeps its full variance along the queried direction", ALL,
         {"first_query": _unshrunk}),
        ("noise-dropped", "label noise is left out", ALL,
         {"first_query": lambda right, draws, u, sigma: right(draws, u, 0.0)}),
        ("shared-draws", "inner and outer sample are one and the same", META,
         {"data_sets": _data_sets(lambda s, inner, outer: (
             inner, outer._replace(first_chi2=inner.first_chi2, first_normal=inner.first_normal)))}),
        ("one-sample-for-all-tasks", "all tasks share one inner sample", META,
         {"data_sets": _data_sets(_one_for_all_tasks)}),
        ("swapped-sizes", "m_in and m_out change places", META, {"steps_in_law": _sizes_swapped}),
        ("second-degrees-of-freedom", "χ² of the Hessian product has m degrees of freedom, not m − 1", EXACT_ONES,
         {"second_chi2": _one_degree_more}),
        ("second-inside-only", "the Hessian product has no fresh direction outside", EXACT_ONES,
         {"data_sets": _data_sets(_second_inside), "second_query": _nothing_new_outside}),
        ("second-repeats-first", "the Hessian product reuses the first query's fresh direction", EXACT_ONES,
         {"data_sets": _data_sets(lambda s, inner, outer: (
             inner._replace(second_normal=inner.first_normal), outer))}),
        ("outer-repeats-second", "the outer sample reuses the Hessian product's fresh direction", EXACT_ONES,
         {"data_sets": _data_sets(_outer_is_second)}),
        ("forgotten-sample", "the Hessian product is drawn as if on a fresh inner sample", EXACT_ONES,
         {"second_query": _forgotten, "second_chi2": _one_degree_more}),
        ("population-hessian", "the Hessian product is the population's", EXACT_ONES,
         {"second_query": lambda right, draws, first, u: right(None, first, u)}),
        ("nothing-outside", "fresh directions outside the reduced coordinates are left out", ALL,
         {"fresh_directions": _none_outside}),
        ("outside-degrees-of-freedom", "the Bartlett factor takes all d dimensions for outside ones", ALL,
         {"steps_in_law": _all_outside}),
        ("level-bartlett", "the Bartlett factor's degrees of freedom do not fall from vector to vector", META,
         {"fresh_directions": _level_bartlett}),
    )
)  # fmt: skip
"""Every wrong sampler."""


def wrong_steps_in_law(mutant: Mutant) -> Callable[..., StepsInLaw]:
    """``StepsInLaw`` with the mutant's parts; its arguments are positional."""
    return mutant.instead("steps_in_law", partial(StepsInLaw, parts=mutant.of(PARTS)))
