"""Claims about a step on explicit samples: it is the learner's definition applied to empirical losses.

The oracle is the definition and no formula of a gradient: the tasks' mean outer loss after adaptation is a polynomial
in (B, w), and along a line a central difference of it is exact.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st

from metarep.sim.implementations import Implementation
from metarep.sim.learners import LEARNERS, Learner
from metarep.theory.claims.comparing import ROUNDINGS_PER_WORD, close
from metarep.theory.claims.derivatives import HALF_NODES, WEIGHTS, WIDTH
from metarep.theory.claims.record import Comparison, Example, Verdict, own
from metarep.theory.claims.samples import claim
from metarep.theory.claims.strategies import Entries, Numbers, Sizes, array, floats, fractions

Array = np.ndarray

SIZES = Sizes(8, 64, 20)
"""The largest sizes of examples: those that people use, where each task has data of its own."""
LARGEST_SAMPLE = 64


@st.composite
def sampled_steps(draw: st.DrawFn, numbers: Numbers = floats) -> Example:
    """Any B, w, data of any task (m_in ≠ m_out allowed), α, β, and a direction (dB, dw). Entries up to 1."""
    made = Entries(draw, numbers, Sizes(2, 3, 12) if numbers is fractions else SIZES)
    k = made.k(most=2 if made.exact else 99)
    d = made.d(k)
    n = made.n()
    m_in, m_out = (made.among(3, 3 if made.exact else LARGEST_SAMPLE) for _ in range(2))
    alpha, beta = made.step_sizes()
    return {
        "d": d,
        "k": k,
        "n": n,
        "m_in": m_in,
        "m_out": m_out,
        "alpha": alpha,
        "beta": beta,
        "B": made.matrix(d, k, 1.0, power=1),
        "w": made.vector(k, 1.0, power=1),
        "X_in": [made.matrix(m_in, d, 1.0) for _ in range(n)],
        "y_in": made.matrix(n, m_in, 1.0, power=2),
        "X_out": [made.matrix(m_out, d, 1.0) for _ in range(n)],
        "y_out": made.matrix(n, m_out, 1.0, power=2),
        "dB": made.matrix(d, k, 1.0, power=1),
        "dw": made.vector(k, 1.0, power=1),
    }


@dataclass(frozen=True)
class _Data:
    """X (n, m, d) and y (n, m) of all tasks' samples. ``sign``: −1, or +1 with moduli, where every difference is a sum
    that bounds its terms.
    """

    X_in: Array
    y_in: Array
    X_out: Array
    y_out: Array
    alpha: Any
    sign: int = -1

    def moduli(self) -> "_Data":
        """The data's moduli."""
        parts = (np.abs(part) for part in (self.X_in, self.y_in, self.X_out, self.y_out))
        return _Data(*parts, alpha=abs(self.alpha), sign=1)

    def adapted(self, learner: Learner, B: Array, w: Array) -> tuple[Array, Array]:
        """(B_i, w_i) of all tasks (q, n, d, k) and (q, n, k), from B (q, d, k), w (q, k): an inner step on
        ‖XBw − y‖²/(2m).
        """
        residual = (self.X_in @ (B @ w[..., None])[:, None])[..., 0] + self.sign * self.y_in
        h = (residual[..., None, :] @ self.X_in)[..., 0, :] / self.X_in.shape[1]
        every_B, every_w = B[:, None] + 0 * h[..., None], w[:, None] + 0 * h[..., :1]
        moved = self.sign * self.alpha
        return (
            every_B + moved * h[..., None] * w[:, None, None, :] if learner.adapts_representation else every_B,
            every_w + moved * (h @ B) if learner.adapts_head else every_w,
        )

    def outer_loss(self, B: Array, w: Array) -> Array:
        """Mean over tasks of ‖X B_i w_i − y‖²/(2m) on the outer samples, (q,), from B (q, n, d, k) and w (q, n, k)."""
        residual = (self.X_out @ (B @ w[..., None]))[..., 0] + self.sign * self.y_out
        return (residual * residual).sum((-2, -1)) / (2 * residual.shape[-2] * residual.shape[-1])


def adapted_loss(learner: Learner, data: _Data, B: Array, w: Array, dB: Array, dw: Array, offsets: list[Any]) -> Array:
    """The outer loss at (B, w) + offset·(dB, dw); for first-order learners the adapted parameters are moved instead."""
    if learner.first_order:
        B_i, w_i = data.adapted(learner, B[None], w[None])
        moved_B = np.concatenate([B_i + offset * dB for offset in offsets])
        return data.outer_loss(moved_B, np.concatenate([w_i + offset * dw for offset in offsets]))
    B, w = np.stack([B + offset * dB for offset in offsets]), np.stack([w + offset * dw for offset in offsets])
    return data.outer_loss(*data.adapted(learner, B, w))


def _step_words(learner: Learner) -> dict[str, str | int]:
    loss = r"$\frac{1}{2m}\|XBw - y\|^2$"
    if learner.adapts == "nothing":
        return {"adapts": "", "how": f" {loss}; the inner ones play no part", "samples": LARGEST_SAMPLE}
    adapted = r"$w_i$" if learner.adapts == "head" else r"$(B_i, w_i)$"
    at = ", at the adapted parameters, as if these did not depend on $(B, w)$"
    return {
        "adapts": f"adapts {adapted} by a gradient step on each task's inner loss {loss}, and ",
        "how": at if learner.first_order else ", through the inner step",
        "samples": LARGEST_SAMPLE,
    }


@claim(
    Verdict.EXACT,
    source=own("from the learner's definition"),
    each=LEARNERS,
    words=_step_words,
    exercises="samples",
    draws=sampled_steps,
    examples=24,
)
def sampled_step(
    example: Example, implementation: Implementation, learner: Learner, *, adapted_loss=adapted_loss
) -> Comparison:
    r"""On samples «title» «adapts»takes a gradient step on the mean of the outer samples' losses«how».

    Given: any $B$, $w$, $X$, $y$, any sample sizes, $\alpha$, $\beta$; examples: up to «samples» samples a task, in
    fractions up to 3

    Compared with an exact difference quotient of the loss after adaptation, along any direction; no formula of the
    gradient is used.
    """
    B, w, dB, dw = (array(example[name]) for name in ("B", "w", "dB", "dw"))
    exact, alpha, beta = B.dtype == object, example["alpha"], example["beta"]
    data = _Data(*(array(example[name]) for name in ("X_in", "y_in", "X_out", "y_out")), alpha=alpha)
    step = implementation.step_on_samples
    if step is None:
        raise ValueError(f"{implementation.name} has no step_on_samples; allowed: an implementation with one")
    next_B, next_w = step(learner, B, w, data.X_in, data.y_in, data.X_out, data.y_out, alpha, beta)
    moved = ((B - next_B) * dB).sum() + ((w - next_w) * dw).sum()
    number: Any = (lambda value: value) if exact else float
    nodes = [(sign, j) for j in range(1, HALF_NODES + 1) for sign in (1, -1)]
    offsets = [sign * j * number(WIDTH) for sign, j in nodes]
    weights = [number(sign * WEIGHTS[j - 1] / WIDTH) for sign, j in nodes]
    values = adapted_loss(learner, data, B, w, dB, dw, offsets)
    slope = sum(weight * value for weight, value in zip(weights, values, strict=True))
    tolerance = 0.0
    if not exact:
        # Values carry eps × roundings × their terms' moduli at the farthest node; the difference adds them up with its
        # weights. The moduli's slope, below their value at that node over its distance, bounds the gradient's terms,
        # and B − B⁺ rounds to eps|B|.
        reach = max(offsets)
        far = adapted_loss(learner, data.moduli(), np.abs(B), np.abs(w), np.abs(dB), np.abs(dw), [reach])
        gain = float(sum(2 * abs(weight) for weight in WEIGHTS) / WIDTH) + 1 / reach
        start = float((np.abs(B) * np.abs(dB)).sum() + (np.abs(w) * np.abs(dw)).sum())
        tolerance = implementation.eps * ROUNDINGS_PER_WORD * (beta * gain * float(far[0]) + start)
    return close(moved, beta * slope, tolerance, "step along a direction minus β times the loss's derivative")
