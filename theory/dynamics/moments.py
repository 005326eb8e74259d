"""Moments of the sampled outer gradients of both ANILs: the mean updates, and what the noise floor needs of FO-ANIL.

Derived, not stated: the empirical loss of a task is differentiated in the word calculus as the learner does it, and the
expectation over its inner and outer sample is taken by Isserlis' theorem. The stated forms are there to be compared.
Everything is for all d, k, m_in, m_out. Setting: Collins et al. 2022, Section 2 (finite samples); formulas: own
derivation.

With r_i = Bw − θ_i, w̄_i = w − αBᵀr_i, v̄_i = Bw̄_i − θ_i, τ_i² = ‖r_i‖² + σ², G = BᵀB (no average over tasks written):
  FO-ANIL      E∇_B = v̄w̄ᵀ + BC,  E∇_w = Bᵀv̄,  C = (α²/m_in)(τ²G + Bᵀr rᵀB) the adapted head's covariance;
  Exact ANIL   the gradient of the expected adapted loss ½‖v̄‖² + (α²/2m_in)(τ² tr(G²) + ‖BBᵀr‖²), which is the
               population's plus, by B, (α²/m_in)(2τ²BG + BBᵀr rᵀB + r rᵀBG + (BBᵀBBᵀr + tr(G²) r) wᵀ)
               and, by w, (α²/m_in)(G²Bᵀr + tr(G²) Bᵀr).
Neither depends on m_out; the outer sample only adds noise.
"""

from collections.abc import Mapping
from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np

from metarep.sim.learners import Learner
from metarep.theory.calculus import alphabet as a
from metarep.theory.calculus.evaluation import evaluate_words
from metarep.theory.calculus.isserlis import INNER, OUTER, expectation, first_query
from metarep.theory.calculus.traces import BBBB, trace_values
from metarep.theory.calculus.words import SCALARS, Poly, gradient, identity
from metarep.theory.dynamics.derive import task_gradients

Array = np.ndarray

direction = a.dw
"""t (k×1), a fixed direction in head space: fourth moments are asked for along it."""

SIGMA2 = identity("1").scaled(sigma=2)


def _check(learner: Learner) -> None:
    if learner.adapts != "head" or learner.inner_steps != 1:
        raise ValueError(f"no mean update of {learner.name!r} was derived; allowed: anil, fo-anil")


def empirical_loss(X: Poly, z: Poly, B: Poly, w: Poly) -> Poly:
    """‖X(Bw − θ_i) − z‖²/(2m), the loss of task i on a sample."""
    misfit = X * (B * w - a.theta) - z
    return (misfit.T * misfit).scaled(Fraction(1, 2), **{X.shape[0]: -1})


@cache
def sampled_task_gradients(learner: Learner) -> tuple[Poly, Poly]:
    """(∇_B, ∇_w) of one task on its inner and outer sample, as words in X_in, z_in, X_out, z_out.

    Raises:
        ValueError: the learner does not adapt the head by one inner step.
    """
    _check(learner)
    w_i = a.w - gradient(empirical_loss(a.X_in, a.z_in, a.B, a.w), "w").scaled(alpha=1)
    if learner.first_order:
        outer = empirical_loss(a.X_out, a.z_out, a.B, a.w)
        return gradient(outer, "B").substitute({"w": w_i}), gradient(outer, "w").substitute({"w": w_i})
    outer = empirical_loss(a.X_out, a.z_out, a.B, w_i)
    return gradient(outer, "B"), gradient(outer, "w")


@cache
def mean_task_gradients(learner: Learner) -> tuple[Poly, Poly]:
    """(E∇_B, E∇_w) of one task, by Isserlis' theorem from ``sampled_task_gradients``; the average over tasks is to be
    taken. Errors as there.
    """
    by_B, by_w = sampled_task_gradients(learner)
    return tuple(expectation(expectation(part, *OUTER), *INNER) for part in (by_B, by_w))  # type: ignore[return-value]


def _intermediates() -> tuple[Poly, Poly, Poly]:
    """(r_i, τ_i², BᵀB) in words."""
    residual = a.B * a.w - a.theta
    return residual, residual.T * residual + SIGMA2, a.B.T * a.B


def head_covariance() -> Poly:
    """C = (α²/m_in)(τ²BᵀB + Bᵀr rᵀB), the covariance of the head adapted on an inner sample, as stated."""
    residual, tau2, gram = _intermediates()
    pulled = a.B.T * residual
    return (tau2 * gram + pulled * pulled.T).scaled(alpha=2, m_in=-1)


def stated_mean_gradients(learner: Learner) -> tuple[Poly, Poly]:
    """(E∇_B, E∇_w) of one task as a person states them (module text): the population's plus terms in 1/m_in.

    Raises:
        ValueError: the learner is neither of the ANILs.
    """
    _check(learner)
    population = task_gradients(learner)
    if learner.first_order:
        return population[0] + a.B * head_covariance(), population[1]
    r, tau2, gram = _intermediates()
    pulled, B = a.B.T * r, a.B
    by_B = tau2 * (B * gram) * 2 + B * pulled * pulled.T + r * pulled.T * gram
    by_B = by_B + (B * gram * pulled + BBBB * r) * a.w.T
    by_w = gram * gram * pulled + BBBB * pulled
    return (
        population[0] + by_B.scaled(alpha=2, m_in=-1),
        population[1] + by_w.scaled(alpha=2, m_in=-1),
    )


def expected_adapted_loss() -> Poly:
    """E of the outer loss of Exact ANIL after adaptation, as stated, without the constant σ²/2: ½‖v̄‖² + (α²/2m_in)(τ²
    tr(G²) + ‖BBᵀr‖²).
    """
    r, tau2, gram = _intermediates()
    after = r - (a.B * (a.B.T * r)).scaled(alpha=1)
    noise = tau2 * BBBB + r.T * a.B * gram * a.B.T * r
    return (after.T * after) * Fraction(1, 2) + noise.scaled(Fraction(1, 2), alpha=2, m_in=-1)


# --- fourth moments of the adapted head


@cache
def adapted_head() -> tuple[Poly, Poly]:
    """(w_i, v_i) on an inner sample: w_i = w − αBᵀh, v_i = r_i − αBBᵀh, in the letters B, w, r_i and the sample's."""
    residual = a.INTERMEDIATES["r_i"]
    moved = (a.B.T * first_query(residual)).scaled(alpha=1)
    return a.w - moved, residual - a.B * moved


@cache
def head_moment() -> Poly:
    """Ψ_i = E[w_i w_iᵀ] (k×k) of one task in B, w, r_i: the population's w̄w̄ᵀ plus the covariance C."""
    w_i, _ = adapted_head()
    return expectation(w_i * w_i.T, *INNER)


@cache
def noise_moment() -> Poly:
    """E[(‖v_i‖² + σ²) w_i w_iᵀ] (k×k) in B, w, r_i, exactly: the outer sample's noise enters every row of B_{*⊥}ᵀB with
    this covariance over n m_out.
    """
    w_i, v_i = adapted_head()
    return expectation((v_i.T * v_i + SIGMA2) * (w_i * w_i.T), *INNER)


@cache
def directed_moment() -> Poly:
    """E[(tᵀw_i)² w_i w_iᵀ] (k×k) along a direction t (letter ``dw``), exactly."""
    w_i, _ = adapted_head()
    along = direction.T * w_i
    return expectation((along * along) * (w_i * w_i.T), *INNER)


# --- on arrays


def evaluate(polynomial: Poly, arrays: Mapping[str, Array], scalars: Mapping[str, Any]) -> Array:
    """Value of a polynomial that may hold traces, averaged over tasks; arguments as ``expressions.evaluate_words``."""
    return evaluate_words(polynomial, {**arrays, **trace_values(polynomial, arrays, {})}, scalars)


def _by_variance(polynomial: Poly) -> Poly:
    """The same with σ² under the name of σ, of which there are only even powers."""
    place = SCALARS.index("sigma")
    terms = polynomial.terms.items()
    return Poly(
        polynomial.shape,
        {((*p[:place], p[place] // 2, *p[place + 1 :]), scalars, core): value for (p, scalars, core), value in terms},
    )


def mean_gradients(
    learner: Learner, B: Array, w: Array, targets: Array, alpha: Any, m_in: Any, sigma: Any, *, noise: Any = None
) -> tuple[Array, Array]:
    """Mean outer gradients (E∇_B, E∇_w) over the samples, in closed form.

    Args:
        learner: anil or fo-anil.
        B: (..., d, k'), of any width.
        w: (..., k').
        targets: θ_i as columns, (..., d, n).
        alpha: α.
        m_in: inner samples per task (any number > 0, ``math.inf`` for the population).
        sigma: standard deviation of the label noise.
        noise: its variance σ² in the place of ``sigma``, which then counts for nothing: where σ is no fraction.

    Returns:
        (..., d, k') and (..., k'); floats, or Fractions if everything is.

    Raises:
        ValueError: another learner.

    Source: own derivation.
    """
    arrays = {"B": B, "w": w, "theta_i": targets}
    by_B, by_w = mean_task_gradients(learner)
    if noise is not None:
        by_B, by_w, sigma = _by_variance(by_B), _by_variance(by_w), noise
    scalars = {"alpha": alpha, "m_in": m_in, "sigma": sigma}
    return evaluate(by_B, arrays, scalars), evaluate(by_w, arrays, scalars)[..., 0]


def head_moments(B: Array, w: Array, targets: Array, alpha: Any, m_in: Any, sigma: Any) -> Array:
    """Ψ_i = E[w_i w_iᵀ] of every task, (n, k, k), for B (d, k), w (k,), targets (d, n); other arguments as
    ``mean_gradients``.
    """
    residuals = (B @ w[..., None] - targets).T[..., None]  # every task a batch of its own
    return evaluate(head_moment(), {"B": B, "w": w, "r_i": residuals}, {"alpha": alpha, "m_in": m_in, "sigma": sigma})


def mean_noise_moment(B: Array, w: Array, targets: Array, alpha: Any, m_in: Any, sigma: Any) -> Array:
    """mean_i E[(‖v_i‖² + σ²) w_i w_iᵀ], (..., k, k); arguments as ``mean_gradients``."""
    residuals = (B @ w[..., None]) - targets
    arrays = {"B": B, "w": w, "r_i": residuals}
    return evaluate(noise_moment(), arrays, {"alpha": alpha, "m_in": m_in, "sigma": sigma})


def mean_directed_moment(B: Array, w: Array, targets: Array, t: Array, alpha: Any, m_in: Any, sigma: Any) -> Array:
    """mean_i E[(tᵀw_i)² w_i w_iᵀ] for directions t (..., k): (..., k, k); other arguments as ``mean_gradients``."""
    residuals = (B @ w[..., None]) - targets
    arrays = {"B": B, "w": w, "r_i": residuals, "dw": t}
    return evaluate(directed_moment(), arrays, {"alpha": alpha, "m_in": m_in, "sigma": sigma})


def gaussian_noise_moment(B: Array, w: Array, targets: Array, alpha: Any, m_in: Any, sigma: Any) -> Array:
    """What ``mean_noise_moment`` would be if the adapted head were Gaussian with its own mean and covariance.

    For comparison: it is not, and a floor built on this is off by some 10 % for small inner samples.
    """
    r = (B @ w[..., None] - targets).swapaxes(-1, -2)[..., None]  # (..., n, d, 1)
    B, w = B[..., None, :, :], w[..., None, :, None]
    pulled, gram = B.swapaxes(-1, -2) @ r, B.swapaxes(-1, -2) @ B
    mean = w - alpha * pulled
    after = r - alpha * (B @ pulled)
    tau2 = (r * r).sum(-2, keepdims=True) + sigma**2
    C = alpha**2 / m_in * (tau2 * gram + pulled @ pulled.swapaxes(-1, -2))
    size = (after * after).sum(-2, keepdims=True) + sigma**2 + np.trace(gram @ C, axis1=-2, axis2=-1)[..., None, None]
    cross = C @ B.swapaxes(-1, -2) @ after @ mean.swapaxes(-1, -2)
    moment = size * (mean @ mean.swapaxes(-1, -2) + C) + 2 * (cross + cross.swapaxes(-1, -2)) + 2 * C @ gram @ C
    return moment.mean(-3)
