"""The readable outer gradients term by term, as a person writes them down, at scalar step sizes.

For fitting which term of somebody's gradient is wrong, and for making a gradient with one thing wrong. Terms: Collins
et al. 2022, Section 2; those of the exact gradients are our own derivation.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from metarep.sim.batches import transposed
from metarep.sim.learners import Learner

Array = np.ndarray
Pair = tuple[Array, Array]
Terms = dict[str, Array]


def mean_outer(left: Array, right: Array) -> Array:
    """(1/n) Σ_i left_i right_iᵀ for columns (..., a, n) and (..., b, n)."""
    return left @ transposed(right) / left.shape[-1]


def mean(columns: Array) -> Array:
    """Mean of columns (..., a, n): (..., a)."""
    return columns.sum(-1) / columns.shape[-1]


class At(NamedTuple):
    """Where a step is taken, and by whom: B (..., d, k), w (..., k), targets (..., d, n), scalar α and β."""

    learner: Learner
    B: Array
    w: Array
    targets: Array
    alpha: Any
    beta: Any

    @property
    def head(self) -> Array:
        """w as a column, (..., k, 1)."""
        return self.w[..., :, None]

    def adapted(self, heads: Array) -> Array:
        """The heads (..., k, n) after one inner step on every task, (..., k, n)."""
        return heads - self.alpha * (transposed(self.B) @ (self.B @ heads - self.targets))

    def moved(self, grad_B: Any, grad_w: Any) -> Pair:
        """(B, w) after an outer step along these gradients."""
        return self.B - self.beta * grad_B, self.w - self.beta * grad_w


class Residuals(NamedTuple):
    """Of every task as columns: r_i, the adapted head w_i, v_i (the residual after adaptation), and B_iᵀv_i."""

    R: Array
    W: Array
    V: Array
    G: Array


def residuals(at: At) -> Residuals:
    """(..., d, n), (..., k, n), (..., d, n) and (..., k, n), for a learner that takes at most one inner step."""
    Bt = transposed(at.B)
    R = at.B @ at.head - at.targets
    W = at.head - at.alpha * (Bt @ R) if at.learner.adapts_head else at.head + 0 * (Bt @ R)
    V = at.B @ W - at.targets
    G = Bt @ V
    if at.learner.adapts_representation:
        V = V - at.alpha * R * (at.w[..., None, :] @ W)
        G = Bt @ V - at.alpha * at.head * (R * V).sum(-2, keepdims=True)
    return Residuals(R, W, V, G)


def gradient_terms(at: At) -> tuple[Terms, Terms]:
    """The outer gradient of one of the five learners, term by term: ∇_B and ∇_w are the sums of their terms.

    Shapes as ``metarep.sim.updates.outer_gradients``; names are the terms as a person writes them, signs included in
    the values.
    """
    learner, B, w, _, alpha, _ = at
    R, W, V, G = residuals(at)
    Bt, ones = transposed(B), np.ones_like(R[..., :1, :])
    same_w = at.head * ones  # w as every task's column
    if learner.adapts == "nothing":
        return {"r_i w^T": mean_outer(R, same_w)}, {"B^T r_i": mean(Bt @ R)}
    first_B = {"v_i w_i^T": mean_outer(V, W)}
    overlap, product = w[..., None, :] @ W, (R * V).sum(-2, keepdims=True)  # wᵀw_i, r_iᵀv_i
    if learner.adapts == "head":
        first_w = {"B^T v_i": mean(G)}
        if learner.first_order:
            return first_B, first_w
        second_B = {"B B^T v_i w^T": -alpha * mean_outer(B @ G, same_w), "r_i v_i^T B": -alpha * mean_outer(R, G)}
        return {**first_B, **second_B}, {**first_w, "B^T B B^T v_i": -alpha * mean(Bt @ (B @ G))}
    first_w = {"B^T v_i": mean(Bt @ V), "(r_i^T v_i) w": -alpha * mean(same_w * product)}
    if learner.first_order:
        return first_B, first_w
    second_B = {
        "(w^T w_i) v_i w^T": -alpha * mean_outer(V * overlap, same_w),
        "B g_i w^T": -alpha * mean_outer(B @ G, same_w),
        "r_i g_i^T": -alpha * mean_outer(R, G),
    }
    second_w = {
        "(r_i^T v_i) w_i": -alpha * mean(W * product),
        "(w^T w_i) B^T v_i": -alpha * mean((Bt @ V) * overlap),
        "B^T B g_i": -alpha * mean(Bt @ (B @ G)),
    }
    return {**first_B, **second_B}, {**first_w, **second_w}


def step_from_terms(at: At, terms_B: Mapping[str, Array], terms_w: Mapping[str, Array]) -> Pair:
    """One outer step along gradients that are the sums of these terms."""
    return at.moved(sum(terms_B.values()), sum(terms_w.values()))
