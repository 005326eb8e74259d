"""Any number of inner steps: outer steps by reverse accumulation through them, by hand, on explicit data.

Per task, forward: of B_j and w_j (from B and w on) the inner loss ‖XBw − y‖²/(2m) has the gradient h_j = Xᵀ(XB_jw_j −
y)/m with respect to the product, and w_{j+1} = w_j − αB_jᵀh_j, B_{j+1} = B_j − αh_jw_jᵀ where the learner adapts these.
Backward, Λ and λ are the outer loss's derivatives with respect to B_j and w_j: through h_j they give q = −αΣ(B_jλ +
Λw_j) with Σ = XᵀX/m, so that Λ gains qw_jᵀ − αh_jλᵀ and λ gains B_jᵀq − αΛᵀh_j. First-order learners leave that out.

The population's step is that on whitened samples. For one step there are the closed forms, in
``metarep.sim.sampling.samples`` and ``metarep.sim.updates``.
"""

import numpy as np

from metarep.sim.batches import StepSize, batch_scalar, transposed
from metarep.sim.learners import Learner
from metarep.sim.sampling.whitened import whitened_samples

Array = np.ndarray


def _pulled(X: Array, vectors: Array) -> Array:
    """Xᵀ times vectors (..., n, m) over m, per task: (..., n, d)."""
    return (vectors[..., None, :] @ X)[..., 0, :] / X.shape[-2]


def _times(matrices: Array, vectors: Array) -> Array:
    return (matrices @ vectors[..., None])[..., 0]


def _outer(left: Array, right: Array) -> Array:
    return left[..., :, None] * right[..., None, :]


def step_on_samples(
    learner: Learner,
    B: Array,
    w: Array,
    X_in: Array,
    y_in: Array,
    X_out: Array,
    y_out: Array,
    alpha: StepSize,
    beta: StepSize,
) -> tuple[Array, Array]:
    """One outer step (B − β∇_B, w − β∇_w) of a learner with any number of inner steps.

    Arguments as ``metarep.sim.sampling.samples.sampled_gradients``.

    Raises:
        ValueError: a learner with variations of the inner or the outer step.
    """
    if learner.plain_key is None:
        raise ValueError(f"{learner.name!r} has variations; allowed: a learner that is its inner steps and their order")
    a = np.asarray(batch_scalar(alpha, 2))  # in front of a task's entries
    every_B = B[..., None, :, :] + 0 * X_out[..., :1, :1]
    every_w = w[..., None, :] + 0 * X_out[..., 0, :1]
    states = []
    for _ in range(learner.inner_steps):
        h = _pulled(X_in, _times(X_in, _times(every_B, every_w)) - y_in)
        states.append((every_B, every_w, h))
        next_w = every_w - a * _times(transposed(every_B), h) if learner.adapts_head else every_w
        every_B = every_B - a[..., None] * _outer(h, every_w) if learner.adapts_representation else every_B
        every_w = next_w
    v = _pulled(X_out, _times(X_out, _times(every_B, every_w)) - y_out)
    by_B, by_w = _outer(v, every_w), _times(transposed(every_B), v)
    for at_B, at_w, h in () if learner.first_order else reversed(states):
        through = 0 * h
        if learner.adapts_head:
            through = through - a * _times(at_B, by_w)
        if learner.adapts_representation:
            through = through - a * _times(by_B, at_w)
        q = _pulled(X_in, _times(X_in, through))
        more_B, more_w = _outer(q, at_w), _times(transposed(at_B), q)
        if learner.adapts_head:
            more_B = more_B - a[..., None] * _outer(h, by_w)
        if learner.adapts_representation:
            more_w = more_w - a * _times(transposed(by_B), h)
        by_B, by_w = by_B + more_B, by_w + more_w
    n = X_out.shape[-3]
    return B - batch_scalar(beta, 2) * by_B.sum(-3) / n, w - batch_scalar(beta, 1) * by_w.sum(-2) / n


def step(learner: Learner, B: Array, w: Array, targets: Array, alpha: StepSize, beta: StepSize) -> tuple[Array, Array]:
    """One outer step of the population. Arguments as ``metarep.sim.updates.step``; errors as ``step_on_samples``."""
    return step_on_samples(learner, B, w, **whitened_samples(targets), alpha=alpha, beta=beta)


def step_moduli(
    learner: Learner, B: Array, w: Array, X_in: Array, y_in: Array, X_out: Array, y_out: Array, alpha: StepSize,
    beta: StepSize,
) -> tuple[Array, Array]:  # fmt: skip
    """Sums of the moduli of all terms that ``step_on_samples`` adds up, expanded, in B⁺ (..., d, k) and w⁺ (..., k).

    A term has the sign of its powers of −α, −β and −y: with moduli in the places of these nothing cancels.
    """
    data = (np.abs(X_in), -np.abs(y_in), np.abs(X_out), -np.abs(y_out))
    return step_on_samples(learner, np.abs(B), np.abs(w), *data, -np.abs(alpha), -np.abs(beta))
