"""What a Gaussian data set answers to gradient queries, drawn from its exact law without drawing the data.

A data set: features X (m × d, independent N(0, 1)), label noise z ~ N(0, σ² I_m). A learner sees it only through
  - its first query at u = Bw − θ:      h = Xᵀ(Xu − z)/m, the gradient of the empirical loss, and
  - at most one second query:           s = XᵀX u₂/m, a Hessian product. u₂ may depend on h and on anything but this
                                        data set.
The laws (own derivation):
  First. Xu − z = τε with τ² = ‖u‖² + σ² and ε ~ N(0, I_m). Regressing X on ε leaves X = ε uᵀ/τ + Y S, with Y (m × d)
    standard normal, independent of ε, and S² = I − uuᵀ/τ². With q = ‖ε‖² ~ χ²_m and ξ = Yᵀε/√q ~ N(0, I_d),
    independent,
        c := Xᵀε/√q = √q u/τ + Sξ,      h = (τ√q/m) c.
    In e = u/τ (‖e‖ ≤ 1): S = I − f eeᵀ with f = τ/(τ + σ), so u = 0 needs no special case; only τ = 0 does (put e = 0).
  Second. The part of Y orthogonal to ε is a standard normal (m − 1) × d matrix Y', independent of ε and ξ and so of u₂.
    Hence
        m s = c (cᵀu₂) + S Y'ᵀY' S u₂,
    and Y'ᵀY'b, b = S u₂, is itself a first query without noise on m − 1 samples: with q' ~ χ²_{m−1}, ξ' ~ N(0, I_d),
        Y'ᵀY'b = q'b + √q' (‖b‖ ξ' − b (bᵀξ')/‖b‖).
    For m = 1 there is no Y': q' = 0.
Only inner products of the ξ's with what is already there matter. In coordinates of which the first r span all that is
there, J fresh normal vectors have r standard normal coordinates each, and outside these a Gram matrix that is
Wishart_J(D), D = d − r: its Bartlett factor gives J outside coordinates in place of D.

Arrays: one row per task, (..., n, p); per-task scalars (..., n, 1).
"""

from typing import NamedTuple

import numpy as np

Array = np.ndarray


class Draws(NamedTuple):
    """Random numbers behind one data set per task: q (χ²) and ξ of the first query, q' and ξ' of the second."""

    m: int | Array
    first_chi2: Array
    first_normal: Array
    second_chi2: Array | None = None
    second_normal: Array | None = None


class FirstAnswer(NamedTuple):
    """The answer h to a first query, and what the second query needs of it."""

    gradient: Array
    """h (..., n, p)."""
    scale: Array
    """τ√q/m (..., n, 1): how much of ξ there is in h outside the span of u."""
    unit: Array
    """e = u/τ (..., n, p)."""
    shrink: Array
    """f (..., n, 1) in S = I − f eeᵀ."""
    revealed: Array
    """c (..., n, p): Xᵀ times the unit vector of the residuals."""


def row_dot(left: Array, right: Array) -> Array:
    """Inner products of matching rows: (..., n, p), (..., n, p) -> (..., n, 1)."""
    return np.einsum("...p,...p->...", left, right)[..., None]


def draw_chi2(degrees: int | Array, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    """χ² variables, zero for 0 degrees of freedom; these as a number, or as an array (*batch, 1, 1)."""
    if np.ndim(degrees):
        return np.where(degrees > 0, rng.chisquare(np.maximum(degrees, 1), shape), 0.0)
    return rng.chisquare(degrees, shape) if degrees > 0 else np.zeros(shape)


def first_query(draws: Draws | None, u: Array, sigma: Array | float) -> FirstAnswer:
    """h = Xᵀ(Xu − z)/m in law, for every task.

    Args:
        draws: the data sets' random numbers (ξ (..., n, p)); None for the population (m = ∞), where h = u.
        u: queried residual Bw − θ of every task, (..., n, p).
        sigma: σ ≥ 0, broadcasting against (..., n, 1).

    Source: own derivation (module text); the covariance is Isserlis' theorem.
    """
    if draws is None:
        zero = np.zeros((*u.shape[:-1], 1))
        return FirstAnswer(u, zero, u, zero, u)
    tau = np.sqrt(row_dot(u, u) + np.square(sigma))
    safe_tau = np.where(tau > 0.0, tau, 1.0)  # τ = 0 means u = 0: e = 0 then
    unit = u / safe_tau
    shrink = tau / (safe_tau + sigma)
    root = np.sqrt(draws.first_chi2)
    revealed = unit * (root - shrink * row_dot(unit, draws.first_normal))
    revealed += draws.first_normal
    scale = tau * root / draws.m
    return FirstAnswer(scale * revealed, scale, unit, shrink, revealed)


def second_query(draws: Draws | None, first: FirstAnswer, u: Array) -> tuple[Array, Array, Array]:
    """s = XᵀX u₂/m in law, given the first answer on the same data set.

    Args:
        draws: the data sets' random numbers, with those of the second query; None for the population, where s = u₂.
        first: the answer to the first query.
        u: direction u₂ of every task, (..., n, p); may depend on ``first``.

    Returns:
        s (..., n, p), and the coefficients (..., n, 1) of ξ and of ξ' in s outside the span of the queried directions.

    Source: own derivation (module text).
    """
    if draws is None:
        zero = np.zeros((*u.shape[:-1], 1))
        return u, zero, zero
    q, normal = draws.second_chi2, draws.second_normal
    if q is None or normal is None:
        raise ValueError("the draws hold nothing for a second query; allowed: draws with second_chi2 and second_normal")
    b = u - first.unit * (first.shrink * row_dot(first.unit, u))
    norm = np.sqrt(row_dot(b, b))
    fresh = np.sqrt(q) * norm
    b_hat = b / np.where(norm > 0.0, norm, 1.0)
    y = fresh * normal + b_hat * (q * norm - np.sqrt(q) * norm * row_dot(b_hat, normal))
    overlap = row_dot(first.revealed, u)
    product = first.revealed * overlap + y - first.unit * (first.shrink * row_dot(first.unit, y))
    return product / draws.m, overlap / draws.m, fresh / draws.m


def fresh_directions(count: int, inside: int, outside: int, batch: tuple[int, ...], rng: np.random.Generator) -> Array:
    """Coordinates of ``count`` = J fresh standard normal vectors of R^(inside + outside), as rows.

    With J ≤ outside the last J of the inside + J coordinates are a Bartlett factor of Wishart_J(outside): equal in law
    up to an orthogonal map of the outside. With J > outside they are the vectors themselves, and nothing is reduced.

    Returns:
        (*batch, J, inside + min(J, outside)).

    Source: Bartlett decomposition (Bartlett 1933).
    """
    if count > outside:
        return rng.standard_normal((*batch, count, inside + outside))
    below = count * (count - 1) // 2
    normals = rng.standard_normal((*batch, count * inside + below))
    directions = np.zeros((*batch, count, inside + count))
    directions[..., :inside] = normals[..., : count * inside].reshape(*batch, count, inside)
    rows, columns = np.tril_indices(count, -1)
    directions[..., rows, inside + columns] = normals[..., count * inside :]
    diagonal = np.arange(count)
    directions[..., diagonal, inside + diagonal] = np.sqrt(rng.chisquare(outside - diagonal, (*batch, count)))
    return directions
