"""Cubature: Gaussian data replaced by weighted rational points with the same moments up to the degree in which the data
enter, so that an expectation is a finite sum, exact in fractions.
"""

import math
from fractions import Fraction
from functools import cache
from itertools import product
from typing import Any, NamedTuple

import numpy as np
import sympy

Array = np.ndarray

ROUNDINGS = 64.0
"""Some ten roundings per word, as many again (log₂ N ≤ 16) in summing over N points; times a safety factor of two."""


@cache
def rational_points(degree: int) -> tuple[tuple[int, Fraction], ...]:
    """Whole numbers and weights with the moments of N(0, 1) up to ``degree`` (odd): 0, ±1, ..., ±(degree − 1)/2.

    The weights may be negative; as a formal expectation of polynomials that does not matter. Points of weight 0 (0
    itself up to degree 3) are left out.
    """
    half = (degree - 1) // 2
    powers = sympy.Matrix(half, half, lambda p, x: (x + 1) ** (2 * p + 2))
    solved = powers.LUsolve(sympy.Matrix([sympy.factorial2(2 * p + 1) for p in range(half)]))
    both = [Fraction(int(weight.p), int(weight.q)) for weight in solved]  # of x and −x together
    sides = [(sign * (x + 1), weight / 2) for x, weight in enumerate(both) for sign in (-1, 1)]
    return tuple((x, weight) for x, weight in ((0, 1 - sum(both, Fraction(0))), *sides) if weight)


def cubature(count: int, degree: int) -> tuple[Array, Array]:
    """Points (N, count) and weights (N,) that integrate polynomials of degree ≤ ``degree`` in each of ``count`` N(0, 1)
    variables; objects.
    """
    grid = list(product(rational_points(degree), repeat=count))
    points = np.array([[x for x, _ in point] for point in grid], dtype=object).reshape(len(grid), count)
    weights = np.array([math.prod((weight for _, weight in point), start=Fraction(1)) for point in grid], dtype=object)
    return points, weights


def total_cubature(count: int, degree: int) -> tuple[Array, Array]:
    """Points (N, count) and weights (N,), floats, that integrate polynomials of total degree ≤ ``degree`` in ``count``
    N(0, 1) variables: for degree 3 ±√count e_i, for degree 5 (Stroud 1971) 0 and multiples of ±e_i and ±e_i ± e_j, so
    that their number is 2·count and 2·count² + 1.

    Raises:
        ValueError: another degree.
    """
    unit = np.eye(count)
    axes = np.concatenate([unit, -unit])
    if degree == 3:
        return np.sqrt(count) * axes, np.full(2 * count, 1 / (2 * count))
    if degree != 5:
        raise ValueError(f"degree is {degree}; allowed: 3, 5")
    first, second = np.triu_indices(count, 1)
    pairs = np.concatenate([a * unit[first] + b * unit[second] for a in (-1, 1) for b in (-1, 1)])
    groups = (
        (np.zeros((1, count)), 2 / (count + 2)),
        (np.sqrt(count + 2) * axes, (4 - count) / (2 * (count + 2) ** 2)),
        (np.sqrt((count + 2) / 2) * pairs, 1 / (count + 2) ** 2),
    )
    return np.concatenate([points for points, _ in groups]), np.repeat(
        [weight for _, weight in groups], [len(points) for points, _ in groups]
    )


class Sample(NamedTuple):
    """Weighted data sets: X (N, 1, m, d), z (N, 1, m) and weights (N,)."""

    X: Array
    z: Array
    weights: Array


def sample_cubature(
    m: int, d: int, degree: int, noise_degree: int, sigma: Any, exact: bool, total: bool = False
) -> Sample:
    """Data sets whose weighted sum is the expectation of polynomials of these degrees in every entry of X and of z.
    ``total``: of total degree ``degree`` in all entries of X and of z, for many of these; floats.
    """
    if total:
        points, weights = total_cubature(m * (d + 1), degree)
        return Sample(points[:, : m * d].reshape(-1, 1, m, d), sigma * points[:, None, m * d :], weights)
    features, feature_weights = _numbers(m * d, degree, exact)
    noises, noise_weights = _numbers(m, noise_degree, exact)
    X = np.repeat(features, len(noises), 0).reshape(-1, 1, m, d)
    z = np.tile(noises, (len(features), 1))[:, None, :] * sigma
    return Sample(X, z, (feature_weights[:, None] * noise_weights).reshape(-1))


@cache
def _numbers(count: int, degree: int, exact: bool) -> tuple[Array, Array]:
    points, weights = cubature(count, degree)
    return (points, weights) if exact else (points.astype(float), weights.astype(float))


def paired_samples(inner: Sample, outer: Sample) -> tuple[Sample, Sample, Array]:
    """Every inner with every outer data set: both of length N_in·N_out, and the joint weights."""
    first, second = len(inner.weights), len(outer.weights)
    left = Sample(*(np.repeat(part, second, 0) for part in inner))
    right = Sample(*(np.concatenate([part] * first) for part in outer))
    return left, right, left.weights * right.weights


def sign_patterns(count: int) -> Array:
    """Vectors (N, count) of ±1, N a power of two above ``count``, whose entries have mean zero and are uncorrelated:
    products of the signs of different non-empty sets of coordinates, over all signs.
    """
    rounds = count.bit_length()
    every = np.array(list(product((-1, 1), repeat=rounds)))
    sets = [[i for i in range(rounds) if number >> i & 1] for number in range(1, count + 1)]
    return np.stack([every[:, chosen].prod(1) for chosen in sets], 1)
