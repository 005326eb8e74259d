"""Closed-form rates at the truth, local stability, and the paper's envelope, for given heads and step sizes.

At B = B_*M with αMMᵀ = I and fixed tasks the perpendicular part contracts by 1 − αβλ_j, λ_j the eigenvalues of Ψ_*, for
all four meta-learners (own derivation; proved in the word calculus), so dist falls by the factor 1 − αβμ_*² a step
wherever the fixed point is stable. The envelope is Theorem 1 of Collins et al. 2022 and its MAML counterpart.
"""

from dataclasses import dataclass

import numpy as np

from metarep.sim.learners import META_LEARNERS, Learner, get_learner
from metarep.theory.calculus.evaluation import evaluate_words
from metarep.theory.dynamics.derive import scalar_values
from metarep.theory.dynamics.linearise import linearise, span_bases, span_head_matrix

ENVELOPE_C = 0.5
"""The envelope's c. Quoted from memory of the paper, hence a parameter everywhere."""

ENVELOPE_OFFSET = 0.9
"""The constant in E_0 = 0.9 − dist_0². Quoted from memory of the paper, hence a parameter everywhere."""


@dataclass(frozen=True)
class HeadMoments:
    """Moments of the tasks' heads and the paper's constants made of them.

    ``mean`` w̄_* (k,), ``second`` Ψ_* (k, k); μ_*² and L_*² are the extreme eigenvalues of Ψ_*, κ_* = L_*/μ_*,
    η_* = ‖w̄_*‖. Task diversity (Collins et al. 2022, Assumption 1) is μ_* > 0.
    """

    mean: np.ndarray
    second: np.ndarray

    @classmethod
    def of(cls, heads: np.ndarray) -> "HeadMoments":
        """Moments of heads given as columns, (k, n)."""
        n = heads.shape[-1]
        return cls(heads.mean(-1), heads @ heads.T / n)

    @property
    def spectrum(self) -> np.ndarray:
        """Eigenvalues λ_j of Ψ_*, descending, (k,); rounding below zero is cut off."""
        return np.maximum(np.linalg.eigvalsh(self.second)[::-1], 0.0)

    @property
    def mu(self) -> float:
        """μ_* = λ_min(Ψ_*)^{1/2}."""
        return float(np.sqrt(self.spectrum[-1]))

    @property
    def L(self) -> float:
        """L_* = λ_max(Ψ_*)^{1/2}."""
        return float(np.sqrt(self.spectrum[0]))

    @property
    def kappa(self) -> float:
        """κ_* = L_*/μ_*; infinite without task diversity."""
        return self.L / self.mu if self.mu > 0 else float("inf")

    @property
    def eta(self) -> float:
        """η_* = ‖w̄_*‖."""
        return float(np.linalg.norm(self.mean))


@dataclass(frozen=True)
class LocalSpectrum:
    """Eigenvalues of one outer step at the truth with fixed tasks.

    ``perpendicular`` (k,): factors of B_{*⊥}ᵀB, 1 − αβλ_j, ascending λ_j first. ``span_head``: eigenvalues of the map
    on (S, ω), complex, largest modulus first, the neutral rotations left out.
    """

    perpendicular: np.ndarray
    span_head: np.ndarray
    tolerance: float

    @property
    def rate(self) -> float:
        """The factor by which dist falls a step, max_j |1 − αβλ_j|."""
        return float(np.abs(self.perpendicular).max())

    @property
    def growth(self) -> float:
        """The largest modulus among span and head; 1 if something is neutral, above 1 if it is unstable."""
        return float(np.abs(self.span_head).max())

    @property
    def stable(self) -> bool:
        """Whether nothing grows: neutral directions (modulus 1 within ``tolerance``) allowed."""
        return self.rate <= 1 + self.tolerance and self.growth <= 1 + self.tolerance


def local_spectrum(
    learner: Learner, heads: np.ndarray, alpha: float, beta: float, head: np.ndarray | None = None
) -> LocalSpectrum:
    """Spectrum of the linearisation of one outer step at the truth.

    Args:
        learner: a spec that has the truth as a fixed point (the paper's four meta-learners do).
        heads: w_{*,i} as columns, (k, n), the same at every step.
        alpha, beta: inner and outer step size.
        head: h = Mw at the fixed point (k,), for the ANILs; None for w = 0.

    Raises:
        ValueError: the truth is not a fixed point of this learner.
    """
    moments = HeadMoments.of(heads)
    matrix = span_head_matrix(learner, heads, alpha, beta, head)
    values = np.linalg.eigvals(matrix)
    values = values[np.argsort(-np.abs(values), kind="stable")]
    # A neutral eigenvalue may be defective (FO-ANIL: the span drives the neutral head), and a double one moves by the
    # square root of the perturbation: eps^(1/2) relative to what the step changes, ‖G − I‖.
    change = float(np.linalg.norm(matrix - np.eye(len(matrix)), 2))
    tolerance = np.sqrt(np.finfo(float).eps * len(matrix)) * change
    perpendicular = 1 - alpha * beta * moments.spectrum[::-1]
    if learner.plain_key is None or learner.inner_steps != 1:
        perpendicular = _perpendicular_factors(learner, heads, alpha, beta, head)
    return LocalSpectrum(perpendicular, values, float(tolerance))


def _perpendicular_factors(
    learner: Learner, heads: np.ndarray, alpha: float, beta: float, head: np.ndarray | None
) -> np.ndarray:
    """Eigenvalues of N at the truth from the derived words: not every spec's are 1 − αβλ_j."""
    k = heads.shape[0]
    arrays = {
        "Y": np.eye(k),
        "M": np.eye(k) / np.sqrt(alpha),
        "w_star_i": heads,
        "h": np.zeros(k) if head is None else head,
    }
    N = evaluate_words(linearise(learner, head is not None).Y, arrays, scalar_values(learner, alpha, beta))
    values = np.linalg.eigvals(N)
    return values[np.argsort(-np.abs(values), kind="stable")]


def step_size_threshold(learner: Learner) -> float | None:
    """Largest αβL_*² for which the truth with w = 0 is stable, where that alone decides: 1 for FO-ANIL, ½ for Exact
    ANIL.

    Exact MAML needs less than ½ as well; FO-MAML has no such threshold (it depends on the heads' third moments): None.
    """
    thresholds: dict[object, float] = {("head", True, 1): 1.0, ("head", False, 1): 0.5}
    return thresholds.get(learner.plain_key)


# --- FO-MAML's operator 𝓛


def third_moment(heads: np.ndarray) -> np.ndarray:
    """(1/n) Σ w⊗w⊗w of heads (k, n), as (k, k, k)."""
    return np.einsum("an,bn,cn->abc", heads, heads, heads) / heads.shape[-1]


def gaussian_head_moments(mean: np.ndarray, covariance: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """First three moments of heads N(μ, Σ): (k,), (k, k), (k, k, k) (Isserlis)."""
    second = covariance + np.outer(mean, mean)
    third = (
        np.einsum("a,b,c->abc", mean, mean, mean)
        + np.einsum("ab,c->abc", covariance, mean)
        + np.einsum("ac,b->abc", covariance, mean)
        + np.einsum("bc,a->abc", covariance, mean)
    )
    return mean, second, third


def fo_maml_operator(first: np.ndarray, second: np.ndarray, third: np.ndarray) -> np.ndarray:
    """Matrix of 𝓛(S, ω) = (SΨ_* + Ψ_*S − 2T(ω), Ψ_*ω − Sw̄_*).

    FO-MAML's step near the truth is (S, ω) ↦ (S, ω) − αβ𝓛(S, ω); T(ω) = (1/n) Σ (ωᵀw_{*,i})w_{*,i}w_{*,i}ᵀ. Own
    derivation.

    Args:
        first, second, third: the heads' moments w̄_* (k,), Ψ_* (k, k), third (k, k, k); floats or fractions.

    Returns:
        Square matrix of size k(k+1)/2 + k, in the basis of (S, ω) that ``span_bases`` names.
    """
    basis, dual = span_bases(first.size, second.dtype == object)
    spans = np.einsum("xab,yab->yx", basis @ second + second @ basis, dual)
    head_from_span = -(basis @ first).T
    span_from_head = -2 * np.einsum("abc,yab->yc", third, dual)
    return np.block([[spans, span_from_head], [head_from_span, second]])


def fo_maml_unstable_modes(mean: np.ndarray, covariance: np.ndarray) -> int:
    """Predicted number of unstable modes of 𝓛 for heads N(μ, Σ): pairs i ≤ j with δ_i + δ_j < 0, δ = eig(Σ − μμᵀ)."""
    delta = np.linalg.eigvalsh(covariance - np.outer(mean, mean))
    rows, cols = np.triu_indices(delta.size)
    return int(np.sum(delta[rows] + delta[cols] < 0))


# --- the envelope


def initial_margin(dist0: float, offset: float = ENVELOPE_OFFSET) -> float:
    """E_0 = 0.9 − dist(B_0, B_*)²; the envelope says something only where it is positive."""
    return offset - dist0**2


def envelope_factor(
    alpha: float, beta: float, mu: float, dist0: float, c: float = ENVELOPE_C, offset: float = ENVELOPE_OFFSET
) -> float | None:
    """Per-step factor 1 − c αβ E_0 μ_*² of the envelope; None where E_0 ≤ 0.

    The bound is dist(B_T, B_*) ≤ factor^{T−1} for αB_0ᵀB_0 = I, w_0 = 0 and small enough steps (Collins et al. 2022,
    Theorem 1).
    """
    margin = initial_margin(dist0, offset)
    return 1 - c * alpha * beta * margin * mu**2 if margin > 0 else None


def envelope(factors: np.ndarray) -> np.ndarray:
    """Bound on dist after T = 0, 1, ..., len(factors) steps from the steps' factors: their product over the first T −
    1, at most 1.

    Fixed tasks repeat one factor; with tasks drawn afresh step t has 1 − c αβ E_0 λ_min(Ψ_{*,t}).
    """
    factors = np.asarray(factors, dtype=float)
    return np.concatenate([[1.0, 1.0], np.cumprod(factors[1:])])[: len(factors) + 1]


# --- the baseline


def average_loss_rate(target_norm: float, alpha: float, beta: float) -> float:
    """For k = 1: the rate 1 − βw_∞² at which average loss from a balanced small-angle start with w_0 = 0 learns the
    direction.

    w_∞² ≈ (−1/α + (1/α² + 4‖θ̄‖²)^{1/2})/2 for small β/α, because BᵀB − w² is conserved by the gradient flow. Own
    derivation.
    """
    head_squared = (-1 / alpha + np.sqrt(1 / alpha**2 + 4 * target_norm**2)) / 2
    return float(1 - beta * head_squared)


def symbolic_rate(learner: Learner, heads: np.ndarray, alpha: float, beta: float) -> float:
    """The rate that the theory predicts for dist with fixed tasks: 1 − αβμ_*² for the meta-learners (see
    ``local_spectrum``).

    For average loss: ``average_loss_rate`` if k = 1, else 1 (dist stays bounded away from zero).
    """
    if learner.name in META_LEARNERS and learner == get_learner(learner.name):
        return float(np.abs(1 - alpha * beta * HeadMoments.of(heads).spectrum).max())
    if learner.adapts == "nothing":
        k = heads.shape[0]
        return average_loss_rate(float(np.linalg.norm(heads.mean(-1))), alpha, beta) if k == 1 else 1.0
    return local_spectrum(learner, heads, alpha, beta).rate
