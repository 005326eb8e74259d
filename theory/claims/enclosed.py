"""Balanced settings as balls, and runs that are certain to leave the envelope: counterexamples without floats.

The settings are those of ``balanced``, made again from the example's numbers, which are taken as exact; square roots
are enclosed. Nothing of the floats' settings is used, and of the simulator only the norm at which a run has diverged.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from flint import arb

from metarep.sim.learners import Learner
from metarep.sim.outcomes import DIVERGED_ABOVE
from metarep.theory.calculus.balls import MOST_BITS, TooWideError, at_least, at_most, ball, balls, decided, exact
from metarep.theory.claims.confirmation import Confirmation, Exceeds
from metarep.theory.claims.record import Example
from metarep.theory.dynamics.derive import DerivedUpdate, derive
from metarep.theory.dynamics.enclosures import Start, enclosed_run, sine_at_least, square
from metarep.theory.dynamics.rates import ENVELOPE_C, ENVELOPE_OFFSET

Found = tuple[int, tuple[Exceeds, ...]]
"""Steps of a run, and what it shows."""


def in_balls(attempt: Callable[[], Found | None], most_bits: int = MOST_BITS) -> Confirmation | None:
    """The confirmation that ``attempt`` finds, with as many bits as it takes; None if it is not found."""
    result = decided(attempt, most_bits=most_bits)
    if result is None:
        return None
    found, bits = result
    return None if found is None else Confirmation("balls", found[1], found[0], bits)


# --- settings


def _identity(size: int) -> np.ndarray:
    return np.eye(size, dtype=int).astype(object)


def _reflection(v: np.ndarray) -> np.ndarray:
    """The Householder reflection I − 2vvᵀ/‖v‖² by balls of which not all are 0."""
    return _identity(len(v)) - np.outer(v, v) * (2 / (v @ v))


def _reflections(vectors: Iterable[Sequence[Any]], size: int) -> np.ndarray:
    """Product of the reflections by an example's vectors; zero vectors stand for the identity."""
    product = _identity(size)
    for vector in vectors:
        product = product @ _reflection(balls(vector)) if any(vector) else product
    return product


def enclosed_heads(
    spectrum: Sequence[float], mean_share: Sequence[float], n: int, frame: Sequence[Sequence[float]]
) -> np.ndarray:
    """The heads (k, n) of ``balanced.heads_of`` as balls: Ψ_* = diag(spectrum), mean Ψ_*^{1/2}s, the rest by frame."""
    k, root, share = len(spectrum), np.sqrt(balls(spectrum)), [exact(entry) for entry in mean_share]
    size = sum(entry**2 for entry in share)
    whole = n == k or size > 1
    direction = balls(share) / ball(size).sqrt() if size else _identity(k)[0 if whole else -1]
    s = direction if whole else balls(share)
    if n == 1:
        return (root * s)[:, None]
    q = np.array([1 / ball(n).sqrt()] * n, dtype=object)
    free = _reflections(frame, n - 1) @ _reflection(q - _identity(n)[0])[1:]
    rows = 0 * np.outer(s, q)
    rows[: min(k, n - 1)] = free[:k]
    rows[-1] *= 0 if whole else ball(1 - size).sqrt()
    is_last = not any(share[:-1]) and (share[-1] > 0 or (not whole and not share[-1]))  # the direction is e_k
    rest = rows if is_last else _reflection(direction - _identity(k)[-1]) @ rows
    return ball(n).sqrt() * root[:, None] * (np.outer(s, q) + rest)


def one_direction_starts(example: Example) -> list[tuple[Start, arb]]:
    """The start of ``balanced.one_direction_setting``, with αβE_0μ_*²."""
    heads, s, alpha, step = (balls(example[key]) for key in ("heads", "dist_0", "alpha_L", "step"))
    heads = heads / np.sqrt((heads @ heads) / len(heads))
    alpha, step, s = alpha.item(), step.item(), s.item()
    B = np.array([[((1 - s) * (1 + s)).sqrt()], [s]], dtype=object) / alpha.sqrt()
    start = Start(B, balls([0]), np.array([heads, 0 * heads]), alpha, step / alpha)
    return [(start, step * (ball(ENVELOPE_OFFSET) - s * s))]


def balanced_starts(example: Example) -> list[tuple[Start, arb]]:
    """The starts of ``balanced.setting_of`` with fixed tasks, one for each pair of step sizes, with αβE_0μ_*²."""
    k, beyond, (spectrum,) = example["k"], example["d"] - example["k"], example["spectra"]
    sines = [exact(s) if j < beyond else exact(0) for j, s in enumerate(example["sines"])]
    s = balls(sines)
    heads = enclosed_heads(spectrum, example["mean_shares"][0], example["n"], example["frames"][0])
    along = _reflections(example["orientation"], k) * np.sqrt((1 - s) * (1 + s))
    basis = np.concatenate([along, np.diag(s)[: min(k, beyond)] + arb(0)])
    targets = np.concatenate([heads, np.zeros((min(k, beyond), example["n"]), dtype=int).astype(object) + arb(0)])
    speed = (ball(ENVELOPE_OFFSET) - ball(max(sines)) ** 2) * ball(min(map(exact, spectrum)))
    return [
        (
            Start(basis / ball(alpha).sqrt(), balls([0] * k), targets, ball(alpha), ball(step) / ball(alpha)),
            ball(step) * speed,
        )
        for alpha, step in example["steps"]
    ]


# --- what is certain


def norm_too_large(start: Start, t: int, B: np.ndarray) -> Exceeds | None:
    """That ‖B_t‖_F √α is above the number from which on a run is said to have diverged, if it is."""
    norm = (start.alpha * square(B)).sqrt()
    return Exceeds(f"‖B_{t}‖√α", at_least(norm), DIVERGED_ABOVE) if norm > DIVERGED_ABOVE else None


def leaves_envelope(
    example: Example,
    learner: Learner,
    steps: int,
    *,
    starts: Callable[[Example], list[tuple[Start, arb]]] = balanced_starts,
    c: float = ENVELOPE_C,
    may_diverge: bool = True,
    update: DerivedUpdate | None = None,
    most_bits: int = MOST_BITS,
) -> Confirmation | None:
    """That a run of the example is above the envelope (1 − c αβE_0μ_*²)^{t−1} at some t ≤ ``steps``, or diverges.

    Args:
        example: the counterexample.
        learner: whose run.
        steps: where it ends.
        starts: makes the example's starts.
        c: of the envelope.
        may_diverge: whether the statement allows runs to diverge, so that only their distance counts.
        update: the step; the derived one unless given.
        most_bits: precision at which to give up.
    """
    update = update or derive(learner)
    for number in range(len(starts(example))):

        def attempt(number: int = number) -> Found | None:
            start, speed = starts(example)[number]
            factor, bound, close = 1 - ball(c) * speed, arb(1), False
            for t, B, _ in enclosed_run(update, start, steps):
                bound = bound * factor if t > 1 else bound
                sine = sine_at_least(B)
                if not sine < bound:
                    envelope = f"(1 − {c:.3g} αβE_0μ_*²)^{t - 1}"
                    above = Exceeds(f"dist_{t}", at_least(sine), at_most(bound), envelope)
                    if above.holds:
                        return t, (above,)
                    close = True
                if not may_diverge and (found := norm_too_large(start, t, B)):
                    return t, (found,)
            if close:
                raise TooWideError("whether the run stays below the envelope is not decided")
            return None

        found = in_balls(attempt, most_bits)
        if found is not None:
            return found
    return None
