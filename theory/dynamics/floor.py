"""The noise floor of FO-ANIL on finite samples: where dist settles for fixed tasks and fresh data at each step.

Two stages, for small outer step sizes. First the *mean* dynamics come to rest: inner samples of finite size shrink B,
and make the head drift until Bw = θ̄ (in the population it may rest anywhere). With V the tasks' covariance, τ = tr
V + σ² and P = B_*ᵀB the rest is in closed form,
    α PPᵀ = (m_in/(m_in+1)) V (V + τ/(m_in+1) I)⁻¹,   Pw = w̄_*.
Second, around it, the rows of Y = B_{*⊥}ᵀB are driven by the outer sample's noise, contracted by the adapted heads:
    Y⁺ = Y(I − βΨ̂) − (β/n) Σ_i ε_i w_iᵀ,   Ψ̂ = (1/n) Σ_i w_i w_iᵀ,
    E[ε_i ε_iᵀ | inner samples] = ((‖v_i‖² + σ²) I + v_i v_iᵀ)/m_out,
so T = E[YᵀY] solves a discrete Lyapunov equation whose source is β²(d − k)/(n m_out) mean_i E[(‖v_i‖² + σ²) w_i w_iᵀ]:
a fourth moment of the adapted head, exact from Isserlis' theorem (``metarep.theory.dynamics.moments``). The mean square
sine of the principal angles is then tr(T(PᵀP + T)⁻¹)/k. Own derivation; that a floor exists: Collins et al. 2022
(finite samples).
"""

import math
from dataclasses import dataclass

import numpy as np

from metarep.theory.dynamics.moments import gaussian_noise_moment, head_moments, mean_directed_moment, mean_noise_moment

Array = np.ndarray

RANK_TOLERANCE = 1e-10
"""Smallest over largest eigenvalue of the tasks' covariance below which it counts as singular."""


@dataclass(frozen=True, eq=False)
class Floor:
    """The predicted stationary state of FO-ANIL on finite samples, in coordinates in which B_* = [I_k; 0]."""

    mean_square_sine: float
    """Mean over the k principal angles, and over time, of their squared sine."""
    second_moment: Array
    """T = E[YᵀY] (k, k), Y = B_{*⊥}ᵀB."""
    representation: Array
    """P = B_*ᵀB (k, k) at the rest of the mean dynamics; P Q is one too for any orthogonal Q, with Qᵀw."""
    head: Array
    """w (k,) there."""
    relaxation_steps: float
    """Outer steps in which T comes closer to its stationary value by a factor e."""


def task_covariance(heads: Array) -> Array:
    """V = (1/n) Σ (w_{*,i} − w̄_*)(w_{*,i} − w̄_*)ᵀ of heads (k, n)."""
    centred = heads - heads.mean(-1, keepdims=True)
    return centred @ centred.T / heads.shape[-1]


def mean_rest(heads: Array, alpha: float, m_in: float, sigma: float) -> tuple[Array, Array]:
    """The rest of FO-ANIL's mean dynamics: P = B_*ᵀB (k, k), symmetric positive definite, and w (k,); B_{*⊥}ᵀB = 0.

    Args:
        heads: w_{*,i} as columns, (k, n), fixed tasks.
        alpha: inner step size α.
        m_in: inner samples per task; ``math.inf`` for the population, where αPPᵀ = I and w rests anywhere: the limit is
            returned.
        sigma: standard deviation of the label noise.

    Raises:
        ValueError: the tasks' covariance V is singular (always so for n ≤ k) and m_in finite: the mean dynamics have no
            rest then, P shrinks and w grows for ever along the directions in which the tasks do not differ.

    Source: own derivation.
    """
    k, V = len(heads), task_covariance(heads)
    values, vectors = np.linalg.eigh(V)
    if math.isinf(m_in):
        gains = np.ones(k)
    else:
        if values[0] <= RANK_TOLERANCE * values[-1]:
            raise ValueError(
                f"the covariance of the {heads.shape[1]} tasks' heads has eigenvalues {values}; "
                f"allowed: none that is zero, so at least {k + 1} tasks"
            )
        gains = m_in * values / ((m_in + 1) * values + np.trace(V) + sigma**2)
    P = vectors * np.sqrt(gains / alpha) @ vectors.T
    return P, np.linalg.solve(P, heads.mean(-1))


def predicted_floor(
    heads: Array,
    alpha: float,
    beta: float,
    d: int,
    m_in: float,
    m_out: float,
    sigma: float,
    *,
    varying_contraction: bool = True,
    exact_moments: bool = True,
) -> Floor:
    """The stationary noise floor of FO-ANIL for fixed tasks.

    Args:
        heads: w_{*,i} as columns, (k, n).
        alpha: inner step size α.
        beta: outer step size β; the prediction is exact as αβL_*² → 0.
        d: dimension of the features, above k.
        m_in: inner samples per task.
        m_out: outer samples per task.
        sigma: standard deviation of the label noise.
        varying_contraction: count that I − βΨ̂ and the outer sample's answer to Y vary from step to step. That is of
            the next order in β; without it the equation is the plain T = (I − βΨ)T(I − βΨ) + source, solved by SciPy.
        exact_moments: use the adapted head's exact fourth moments; else those of a Gaussian with its mean and
            covariance (only for comparison: several per cent to a third off).

    Returns:
        Floor.

    Raises:
        ValueError: d ≤ k, the mean dynamics have no rest (``mean_rest``), or β is so large that T grows without bound.

    Source: own derivation.
    """
    k, n = heads.shape
    if d <= k:
        raise ValueError(f"d is {d} with k = {k}; allowed: d above k, or there is nothing perpendicular")
    P, w = mean_rest(heads, alpha, m_in, sigma)
    at_rest = (P, w, heads)
    sample = (alpha, m_in, sigma)
    moments = head_moments(*at_rest, *sample)
    contraction = np.eye(k) - beta * moments.mean(0)
    noise = (mean_noise_moment if exact_moments else gaussian_noise_moment)(*at_rest, *sample)
    source = beta**2 * (d - k) / (n * m_out) * noise

    rows, columns = np.triu_indices(k)
    directions = np.eye(k)[rows] + np.where((rows != columns)[:, None], np.eye(k)[columns], 0.0)
    basis = directions[:, :, None] * directions[:, None, :]  # t tᵀ for t = e_a and e_a + e_b: all symmetric matrices
    after = contraction @ basis @ contraction
    if varying_contraction:
        along = mean_directed_moment(*at_rest, directions, *sample)  # E[w wᵀ (t tᵀ) w wᵀ], averaged over the tasks
        squared = np.einsum("iab,jbc,icd->jad", moments, basis, moments) / n
        after = after + beta**2 / n * (along - squared + (d - k + 1) / m_out * along)
    inside = (slice(None), rows, columns)
    one_step = np.linalg.solve(basis[inside].T, after[inside].T)
    radius = float(np.abs(np.linalg.eigvals(one_step)).max())
    if radius >= 1.0:
        raise ValueError(f"beta is {beta}; allowed: one for which T stays finite (it grows by {radius:.3g} a step)")
    if varying_contraction:
        T = np.tensordot(np.linalg.solve(np.eye(len(basis)) - one_step, _coordinates(basis, source)), basis, 1)
    else:
        from scipy.linalg import solve_discrete_lyapunov  # slow to import: most commands need none of it

        T = solve_discrete_lyapunov(contraction, source)
    gram = P.T @ P
    return Floor(float(np.trace(np.linalg.solve(gram + T, T)) / k), T, P, w, -1.0 / math.log(radius))


def _coordinates(basis: Array, matrix: Array) -> Array:
    rows, columns = np.triu_indices(matrix.shape[-1])
    return np.linalg.solve(basis[:, rows, columns].T, matrix[rows, columns])


def rough_floor(heads: Array, alpha: float, beta: float, d: int, m_in: float, m_out: float, sigma: float) -> float:
    """αβ(d − k)s²/(2 n m_out), s² = mean_i(σ² + ((‖θ_i‖² + σ²)k + ‖θ_i‖²)/m_in): the floor's mean square sine, roughly.

    It takes αBᵀB = I and w = 0, hence large inner samples and a head that has not drifted yet. Arguments as
    ``predicted_floor``. Source: own derivation.
    """
    k, n = heads.shape
    squares = (heads**2).sum(0)
    s2 = np.mean(sigma**2 + ((squares + sigma**2) * k + squares) / m_in)
    return float(alpha * beta * (d - k) * s2 / (2 * n * m_out))


def stationary_start(floor: Floor, d: int, trials: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """States near the floor, so that a long run need not wait for it: P and w at rest, rows of Y ~ N(0, T/(d − k)).

    Args:
        floor: the prediction.
        d: dimension of the features, as it was predicted for.
        trials: how many states.
        rng: the generator that is drawn from.

    Returns:
        B in reduced coordinates (trials, min(d, 2k), k) and w (trials, k). With d − k > k the perpendicular rows are a
        Bartlett factor of YᵀY, so the cost does not depend on d.
    """
    k = len(floor.head)
    codimension = d - k
    values, vectors = np.linalg.eigh(floor.second_moment / codimension)
    root = vectors * np.sqrt(values.clip(min=0.0)) @ vectors.T
    rows = rng.standard_normal((trials, min(codimension, k), k))
    if codimension > k:
        rows = np.triu(rows, 1)
        diagonal = np.arange(k)
        rows[:, diagonal, diagonal] = np.sqrt(rng.chisquare(codimension - diagonal, (trials, k)))
    P = np.broadcast_to(floor.representation, (trials, k, k))
    return np.concatenate([P, rows @ root], -2), np.broadcast_to(floor.head, (trials, k)).copy()
