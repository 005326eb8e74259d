"""Claims about moments on finite samples: Isserlis' theorem, mean updates, the fourth moment that the floor needs.

They are checked through the hand-written simulator on explicit data (``metarep.sim.sampling.samples``) by cubature.
"""

from fractions import Fraction
from functools import lru_cache, partial
from typing import Any

import numpy as np
from hypothesis import strategies as st

from metarep.sim.implementations import Implementation
from metarep.sim.learners import LEARNERS, Learner
from metarep.sim.sampling.in_law import step_in_law
from metarep.sim.sampling.samples import sampled_gradients
from metarep.sim.shares import Z_95
from metarep.theory.calculus import alphabet as a
from metarep.theory.calculus.isserlis import INNER, expectation, sample_covariance
from metarep.theory.calculus.proofs import Proof
from metarep.theory.calculus.traces import gradient_with_traces, trace
from metarep.theory.calculus.words import identity
from metarep.theory.claims.comparing import run_together, same
from metarep.theory.claims.record import Comparison, Example, Measurement, Verdict, own
from metarep.theory.claims.samples import claim
from metarep.theory.claims.samples.cubature import ROUNDINGS, paired_samples, sample_cubature, sign_patterns
from metarep.theory.claims.strategies import Entries, Numbers, Sizes, array, fractions
from metarep.theory.dynamics.moments import (
    expected_adapted_loss,
    mean_gradients,
    mean_noise_moment,
    mean_task_gradients,
    sampled_task_gradients,
    stated_mean_gradients,
)

Array = np.ndarray
ANIL, FO_ANIL = LEARNERS["anil"], LEARNERS["fo-anil"]


MANY = 16
"""Largest d of Gaussian features that stand for all by points."""


def _on_samples(made: Entries, sizes: dict[str, int], rows: int) -> Example:
    """Any α and σ, and any B, w and targets of these sizes with so many rows."""
    k = sizes["k"]
    return {
        **sizes,
        "alpha": made.number(1 / 8, 1),
        "sigma": made.number(0, 2),
        "B": made.matrix(rows, k, 1.0),
        "w": made.vector(k, 1.0),
        "targets": made.matrix(rows, sizes["n"], 1.0),
    }


def _scale(example: Example, degree: int) -> float:
    """What rounding multiplies in a cubature sum: its terms' moduli are at most the points' (1 + size)^degree."""
    size = max(1.0, *(float(np.abs(array(example[name]).astype(float)).max()) for name in ("B", "w", "targets")))
    sigma, alpha = float(example["sigma"]), float(example["alpha"])
    terms = float(example["d"] * example["k"]) ** 2
    return terms * (1 + size) ** degree * (1 + alpha) ** 2 * (1 + sigma) ** 2


# --- Isserlis' theorem itself


def _wishart_proof(proof: Proof) -> None:
    S = sample_covariance(a.X_in)
    A = a.U  # any d×d matrix
    mean = proof.expanded("E[Σ̂AΣ̂] over all pairings", expectation(S * A * S, *INNER))
    over_m = {"m_in": -1}
    proof.equal("E[Σ̂AΣ̂]", mean, A + A.T.scaled(**over_m) + (trace(A) * identity("d")).scaled(**over_m))
    third = proof.expanded("E[Σ̂³] over all pairings", expectation(S * S * S, *INNER))
    dim = trace(identity("d"))
    one = identity("1")
    stated = one + (dim + one).scaled(3, m_in=-1) + (dim * dim + dim * 3 + one * 4).scaled(m_in=-2)
    proof.equal("E[Σ̂³]", third, stated * identity("d"))


@st.composite
def _square_matrices(draw: st.DrawFn, numbers: Numbers) -> Example:
    made = Entries(draw, numbers, Sizes(1, 2, 1) if numbers is fractions else None, units=(0,))
    d = made.d(1, MANY) if made.filled else draw(st.integers(1, 2))
    m = draw(st.integers(1, max(1, 4 // d))) if d <= 2 else draw(st.integers(1, 2))
    return {"d": d, "m": m, "A": made.matrix(d, d)}


@claim(
    Verdict.PROVED,
    source=own("Isserlis' theorem on words; the moments are classical"),
    draws=_square_matrices,
    proof=_wishart_proof,
    examples=16,
)
def isserlis_wishart(
    example: Example, implementation: Implementation, *, sample_cubature=sample_cubature
) -> Comparison:
    r"""For $\hat\Sigma = \frac{1}{m} X^\top X$ with Gaussian features, $E[\hat\Sigma A
    \hat\Sigma] = A + \frac{1}{m}(A^\top + \mathrm{tr}(A) I)$ for any $A$, and
    $E[\hat\Sigma^3] = (1 + \frac{3(d+1)}{m} + \frac{d^2 + 3d + 4}{m^2}) I$.

    Given: rows of $X$ independent $N(0, I_d)$; any $d$, $m$
    """
    A, m, d = array(example["A"]), example["m"], example["d"]
    sample = sample_cubature(m, d, 5, 1, 1, A.dtype == object, d > 2)
    S = sample.X[:, 0].swapaxes(-1, -2) @ sample.X[:, 0]
    seen = np.tensordot(sample.weights, S @ A @ S, 1)
    stated = m * m * A + m * (A.T + np.trace(A) * np.eye(d, dtype=int))
    # Entries of A are at most 2, and m² Σ̂AΣ̂ adds up (md)² words of four of X's; with points for a total degree, in
    # md + m variables, those of a fourth power come to twice as many times their sum.
    scale = m * m * d * 100.0 if d <= 2 else 2 * 2 * m * (d + 1) * (m * d) ** 2.0
    return same(seen, stated, scale, implementation.eps, "m² E[Σ̂AΣ̂], largest entry", ROUNDINGS)


# --- mean updates


@st.composite
def sampled_points(draw: st.DrawFn, numbers: Numbers) -> Example:
    """Any B, w, targets, α, σ. Up to d = 2 all points in the product of those for each number (m_in·d at most 3, of
    fractions 2); beyond, in floats, those for a total degree, and one sample.
    """
    made = Entries(draw, numbers, Sizes(1, 2, 12) if numbers is fractions else Sizes(4, MANY, 12), units=(0,))
    if made.filled and not made.exact:
        d = made.d(3)
        k, m_in = made.k(most=min(d, 4)), 1
    else:
        d = draw(st.integers(1, 2))
        k, m_in = draw(st.integers(1, d)), draw(st.integers(1, max(1, (2 if made.exact else 3) // d)))
    return _on_samples(made, {"d": d, "k": k, "n": made.n(most=2 if made.exact else 99), "m_in": m_in, "m_out": 1}, d)


def _mean_update_proof(proof: Proof, learner: Learner) -> None:
    by_B, by_w = sampled_task_gradients(learner)
    proof.expanded("the gradient of the empirical outer loss by B, in words of both samples", by_B)
    proof.expanded("the gradient by w", by_w)
    mean = mean_task_gradients(learner)
    proof.expanded("its expectation, by Isserlis' theorem, by B", mean[0])
    proof.expanded("its expectation, by Isserlis' theorem, by w", mean[1])
    stated = stated_mean_gradients(learner)
    proof.equal("E∇_B", mean[0], stated[0])
    proof.equal("E∇_w", mean[1], stated[1])
    if not learner.first_order:
        loss = proof.expanded("the expected adapted loss as stated", expected_adapted_loss())
        proof.equal("its gradient by B and E∇_B", gradient_with_traces(loss, "B"), mean[0])
        proof.equal("its gradient by w and E∇_w", gradient_with_traces(loss, "w"), mean[1])


def _mean_update(
    example: Example, implementation: Implementation, learner: Learner, *, sample_cubature, mean_gradients
) -> Comparison:
    """Cubature through the simulator on explicit data against the closed form."""
    B, w, targets = (array(example[name]) for name in ("B", "w", "targets"))
    alpha, sigma = example["alpha"], example["sigma"]
    exact = B.dtype == object
    d, n, m_in, m_out = (example[name] for name in ("d", "n", "m_in", "m_out"))
    inner, outer, weights = paired_samples(
        sample_cubature(m_in, d, 5, 3, sigma, exact, d > 2), sample_cubature(m_out, d, 3, 3, sigma, exact, d > 2)
    )
    # The gradient is an average over tasks of terms that see their own data only: all may have the same.
    (X_in, y_in), (X_out, y_out) = (
        (np.repeat(X, n, 1), (X @ targets)[:, 0].swapaxes(-1, -2) + z) for X, z, _ in (inner, outer)
    )
    seen = sampled_gradients(learner, B, w, X_in, y_in, X_out, y_out, alpha)
    # With points for a total degree, in N variables, the terms of a fourth power come to 2N times their sum.
    terms = 2 * m_in * (d + 1) if d > 2 else 1
    return same(
        tuple(np.tensordot(weights, part, 1) for part in seen),
        tuple(mean_gradients(learner, B, w, targets, alpha, Fraction(m_in) if exact else float(m_in), sigma)),
        terms * _scale(example, 6),
        implementation.eps,
        "the simulator's mean gradient minus the closed form, largest entry",
        ROUNDINGS,
    )


_mean_update_claim = partial(
    claim,
    Verdict.PROVED,
    source=own("Isserlis' theorem on words"),
    given=r"features $N(0, I_d)$, label noise $N(0, \sigma^2)$, fresh inner and outer samples; any $d$, $k$, $n$, "
    r"$m_{in}$, $m_{out}$, $B$, $w$, tasks, $\alpha$, $\sigma$",
    words={
        "with": r"with $r_i = Bw - \theta_i$, $\bar w_i = w - \alpha B^\top r_i$, $\bar v_i = B\bar w_i - \theta_i$ "
        r"and $\tau_i^2 = \|r_i\|^2 + \sigma^2$"
    },
    draws=sampled_points,
    examples=24,
)


@_mean_update_claim(
    learners=("fo-anil",), rests_on="isserlis-wishart", proof=partial(_mean_update_proof, learner=FO_ANIL)
)
def mean_update_fo_anil(
    example: Example, implementation: Implementation, *, sample_cubature=sample_cubature, mean_gradients=mean_gradients
) -> Comparison:
    r"""On finite samples the mean outer gradient of FO-ANIL is the average over tasks of $E\nabla_B = \bar v_i \bar
    w_i^\top + B C_i$ and $E\nabla_w = B^\top \bar v_i$, where $C_i = \frac{\alpha^2}{m_{in}}(\tau_i^2 B^\top B + B^\top
    r_i r_i^\top B)$ is the adapted head's covariance, «with».

    The outer sample's size does not enter the mean.
    """
    return _mean_update(
        example, implementation, FO_ANIL, sample_cubature=sample_cubature, mean_gradients=mean_gradients
    )


@_mean_update_claim(
    learners=("anil",),
    rests_on=("isserlis-wishart", "mean-update-fo-anil"),
    proof=partial(_mean_update_proof, learner=ANIL),
)
def mean_update_anil(
    example: Example, implementation: Implementation, *, sample_cubature=sample_cubature, mean_gradients=mean_gradients
) -> Comparison:
    r"""On finite samples the mean outer gradient of Exact ANIL is the gradient of the expected adapted loss, the
    average over tasks of $\frac{1}{2}\|\bar v_i\|^2 + \frac{\alpha^2}{2 m_{in}}(\tau_i^2 \mathrm{tr}(G^2) + \|BB^\top
    r_i\|^2)$ with $G = B^\top B$: the population's plus $\frac{\alpha^2}{m_{in}}(2\tau_i^2 BG + BB^\top r_i r_i^\top
    B + r_i r_i^\top BG + (BGB^\top r_i + \mathrm{tr}(G^2) r_i) w^\top)$ by $B$ and $\frac{\alpha^2}{m_{in}}(G^2 B^\top
    r_i + \mathrm{tr}(G^2) B^\top r_i)$ by $w$, «with».

    Through the inner sample's own Hessian. Expectation of the gradient and gradient of the expectation are both carried
    out, and agree.
    """
    return _mean_update(example, implementation, ANIL, sample_cubature=sample_cubature, mean_gradients=mean_gradients)


LAW_TRIALS = 40_000
LAW_BOUND = 4.5
"""Standard errors; of some 100 normal differences the largest exceeds this once in 1500 seeds."""


@lru_cache(maxsize=1)  # drawn once for all wrong closed forms
def _means_in_law(seed: int, trials: int) -> tuple[tuple[str, tuple[Any, ...], Array, Array], ...]:
    """Means of the gradients of steps in law: name, arguments of ``mean_gradients``, mean, its standard error, each."""
    rng = np.random.default_rng(seed)
    d, k, n, alpha, sigma = 6, 3, 2, 0.3, 0.7
    found = []
    for learner in (FO_ANIL, ANIL):
        for m_in in (2, 7):
            B, w, heads = rng.standard_normal((d, k)), rng.standard_normal(k), rng.standard_normal((k, n))
            # d = 2k: the simulator keeps B's own coordinates, so that every entry can be compared.
            many = np.broadcast_to(B, (trials, d, k))
            drawn = step_in_law(learner, many, w, heads, alpha, 1.0, m_in, 3, sigma, d, rng)
            moved = [(start - part).reshape(trials, -1) for part, start in zip(drawn, (B, w), strict=True)]
            gradient = np.concatenate(moved, axis=1)
            targets = np.concatenate([heads, np.zeros((d - k, n))])
            given = (learner, B, w, targets, alpha, float(m_in), sigma)
            error = gradient.std(0) / np.sqrt(trials)
            found.append((f"{learner.name}, m_in = {m_in}", given, gradient.mean(0), error))
    return tuple(found)


@claim(
    Verdict.MEASURED,
    words={"bound": LAW_BOUND},
    learners=("fo-anil", "anil"),
    rests_on=("mean-update-fo-anil", "mean-update-anil"),
)
def mean_update_in_law(
    implementation: Implementation, seed: int, effort: float, *, mean_gradients=mean_gradients
) -> Measurement:
    r"""The means of FO-ANIL's and Exact ANIL's steps drawn in law, without data, are the closed forms.

    Given: $d = 6$, $k = 3$, $n = 2$, $m_{in} = 2, 7$, $m_{out} = 3$, random $B$, $w$, heads

    Consistent if no entry differs by more than «bound» standard errors.
    """
    trials = round(LAW_TRIALS * min(effort, 10.0))
    worst: dict[str, float] = {}
    shares: list[Array] = []
    for name, given, mean, error in _means_in_law(seed, trials):
        expected = run_together(*mean_gradients(*given))
        difference = np.abs(mean - expected)
        worst[name] = float((difference / error).max())
        shares.append(np.stack([difference, error], axis=1) / np.abs(expected).max())
    every, largest = np.concatenate(shares), max(worst.values())
    off, error = every[every[:, 0].argmax()]
    return Measurement(
        float(off),
        Z_95 * float(error),
        trials,
        f"largest of {len(every)} differences between means over {trials} draws and closed forms, as a share of the "
        f"gradient's largest entry, and its 95 % interval; in standard errors the largest is {largest:.2f}",
        worst,
        consistent=largest <= LAW_BOUND,
    )


# --- the fourth moment that the floor needs


@st.composite
def resting_steps(draw: st.DrawFn, numbers: Numbers) -> Example:
    """B in col(B_*), spanned by e_1 to e_k. Floats: d − k, n, m_out and k·m_in up to 2. Fractions, which are slow:
    k = m_in = 1, and two of d − k, n, m_out are 2.
    """
    exact = numbers is fractions
    k, m_in = (1, 1) if exact else draw(st.sampled_from(((1, 1), (1, 2), (2, 1))))
    sizes = st.sampled_from(((1, 2, 2), (2, 1, 2), (2, 2, 1))) if exact else st.tuples(*[st.integers(1, 2)] * 3)
    codimension, n, m_out = draw(sizes)
    made = Entries(draw, numbers, units=(0,))
    return _on_samples(made, {"d": k + codimension, "k": k, "n": n, "m_in": m_in, "m_out": m_out}, k)


@claim(
    Verdict.EXACT,
    source=own("Isserlis' theorem on words"),
    learners=("fo-anil",),
    rests_on="isserlis-wishart",
    draws=resting_steps,
    examples=12,
)
def noise_moment_fo_anil(
    example: Example,
    implementation: Implementation,
    *,
    sample_cubature=sample_cubature,
    mean_noise_moment=mean_noise_moment,
    sampled_gradients=sampled_gradients,
) -> Comparison:
    r"""With $\mathrm{col}(B) \subset \mathrm{col}(B_*)$, FO-ANIL's perpendicular gradient has mean zero and
    $E[(B_{*\perp}^\top\nabla_B)^\top B_{*\perp}^\top\nabla_B] = \frac{d-k}{n m_{out}}$ times the average over tasks of
    $E[(\|v_i\|^2 + \sigma^2) w_i w_i^\top]$, the fourth moment of the adapted head that Isserlis' theorem gives in
    closed form.

    Given: $d - k, n, m_{out} \le 2$; $k = m_{in} = 1$ in fractions, $k m_{in} \le 2$ in floats; any $B$, $w$, tasks,
    $\alpha$, $\sigma$

    The moment itself is derived for all sizes (103 words); what is checked is the simulator's at the smallest. Tasks
    are independent and rows of equal law, hence the factor.
    """
    # Inner features across col(B) do not enter. The outer sample's enter the gradient linearly, once for each task and
    # row, and what multiplies them, w_i times a residual, knows only features along col(B_*) and noise: for the
    # square's expectation any uncorrelated features across will do, and for each task's and row's share any
    # uncorrelated features along and noise. So these may be the same for all tasks and rows, and all are signs
    # (``sign_patterns``).
    P, w, targets = (array(example[name]) for name in ("B", "w", "targets"))
    alpha, sigma = example["alpha"], example["sigma"]
    d, k, n, m_in, m_out = (example[name] for name in ("d", "k", "n", "m_in", "m_out"))
    exact = P.dtype == object
    inner = sample_cubature(m_in, k, 9, 5, sigma, exact)
    outside, across = sign_patterns(k + 1), sign_patterns(n * m_out * (d - k))
    shape = (len(inner.weights), len(outside), len(across))
    weights = np.repeat(inner.weights, shape[1] * shape[2]) / (shape[1] * shape[2])

    def spread(part: Array, axis: int, *form: int) -> Array:
        """One value for each of the three factors' points, (N, n, ...)."""
        part = part.reshape([-1 if i == axis else 1 for i in range(3)] + [*part.shape[1:]])
        return np.broadcast_to(part, (*shape, *part.shape[3:])).reshape(-1, *form)

    X_in = np.repeat(spread(inner.X, 0, 1, m_in, k), n, 1)
    y_in = (X_in @ targets.T[:, :, None])[..., 0] + spread(inner.z, 0, 1, m_in)
    outside = np.repeat(spread(outside, 1, 1, 1, k + 1), m_out, 2)
    X_out = np.repeat(outside[..., :k], n, 1)
    y_out = (X_out @ targets.T[:, :, None])[..., 0] + outside[..., k] * sigma
    X_out = np.concatenate([X_out, spread(across, 2, n, m_out, d - k)], -1)
    X_in = np.concatenate([X_in, np.zeros((*X_in.shape[:-1], d - k), dtype=X_in.dtype)], -1)
    B = np.concatenate([P, np.zeros((d - k, k), dtype=P.dtype)])
    seen = sampled_gradients(FO_ANIL, B, w, X_in, y_in, X_out, y_out, alpha)[0][:, k:]  # B_{*⊥}ᵀ∇_B: (N, d − k, k)
    number = Fraction if exact else float
    moment = mean_noise_moment(P, w, targets, alpha, number(m_in), sigma)
    return same(
        (np.tensordot(weights, seen, 1), np.tensordot(weights, seen.swapaxes(-1, -2) @ seen, 1)),
        (np.zeros((d - k, k), dtype=P.dtype), number(d - k) / (n * m_out) * moment),
        100 * (d - k) * _scale(example, 10) * (1 + float(sigma)) ** 2,
        implementation.eps,
        "means of the perpendicular gradient and of its square minus zero and the closed form",
        ROUNDINGS,
    )
