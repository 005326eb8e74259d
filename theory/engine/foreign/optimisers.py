"""What a training loop does instead of gradient steps: which optimiser, fitted to runs of several updates.

One update cannot tell momentum or a falling step size from a gradient step. A run can: an optimiser says how each move
follows from the gradients and moves so far.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import product

import numpy as np

from metarep.sim.implementations import Implementation
from metarep.sim.learners import Learner
from metarep.theory.engine.foreign.loops import Array, Loop, Run, loop_of
from metarep.theory.engine.foreign.points import Match


def loop_matches(implementation: Implementation, learner: Learner) -> list[Match] | None:
    """What the training loop of a learner does instead of gradient steps, as far as that is known; None if nothing."""
    loop = loop_of(implementation, learner)
    if not loop.runs:
        return []
    if loop.agree([run.steps for run in loop.runs]):
        return None
    return [match for search in SEARCHES for match in search(loop)]


# --- moves along the gradient


def schedules(loop: Loop) -> Iterator[Match]:
    """The step size changes from update to update."""
    if loop.ratios is None:
        return
    length = max(map(len, loop.ratios))
    factors = np.array([np.median([r[t] for r in loop.ratios if len(r) > t]) for t in range(length)])
    if not loop.agree([factors[: len(run.moves), None] * run.steps for run in loop.runs]):
        return
    if np.ptp(factors) <= loop.loose * abs(factors).max():
        return  # the same in every update: one update shows it
    yield Match("step-size-schedule", None, _schedule(factors, loop.loose), 10)


def _schedule(factors: Array, loose: float) -> str:
    """How the factors of the step size change, in words."""
    t = np.arange(len(factors))
    start = "" if abs(factors[0] - 1) <= loose else f", and begins at {factors[0]:.6g} times what it should be"
    if (factors != 0).all():
        relative = factors / factors[0]
        if np.ptp(ratio := relative[1:] / relative[:-1]) <= 10 * loose:
            way = "falls" if ratio[0] < 1 else "grows"
            return f"the step size {way} by a factor of {ratio.mean():.6g} a step{start}"
        if np.ptp(slope := (1 / relative[1:] - 1) / t[1:]) <= 10 * loose:
            return f"the step size falls as 1/(1 + {slope.mean():.6g} t) in update t = 0, 1, ...{start}"
        if np.ptp(slope := (1 / relative[1:] ** 2 - 1) / t[1:]) <= 10 * loose:
            return f"the step size falls as 1/√(1 + {slope.mean():.6g} t) in update t = 0, 1, ...{start}"
        if np.ptp(slope := np.diff(relative)) <= 10 * loose:
            way = "falls" if slope[0] < 0 else "grows"
            return f"the step size {way} by {abs(slope.mean()):.6g} times its first value a step{start}"
    shown = ", ".join(f"{factor:.4g}" for factor in factors)
    return f"the step size changes from update to update: it is {shown}, ... times what it should be"


def normalised(loop: Loop) -> Iterator[Match]:
    """Moves along the gradient that are all of one length."""
    if loop.ratios is None:
        return
    for by_step, name in ((False, " times β"), (True, "")):
        lengths = np.concatenate([np.linalg.norm(r.moves, axis=1) / (1 if by_step else r.beta) for r in loop.runs])
        if np.ptp(lengths) <= 10 * loop.loose * lengths.max():
            what = f"every move has the length {lengths.mean():.6g}{name}, whatever the gradient's (it is normalised)"
            yield Match("normalised-gradient", float(f"{lengths.mean():.6g}"), what, 11)
            return


Parts = Callable[[Run], tuple[Array, ...]]
"""Which entries of a run's rows are a part."""


def _cut(run: Run, parts: tuple[Array, ...], limit: float) -> Array:
    """The gradient steps with each part cut at a length."""
    moves = run.steps.copy()
    for part in parts:
        lengths = np.linalg.norm(moves[:, part], axis=1, keepdims=True)
        moves[:, part] *= np.minimum(1, limit / np.maximum(lengths, 1e-300))
    return moves


def _clipped(loop: Loop, of: Parts, how: str) -> Iterator[Match]:
    """Parts of a gradient, or of a gradient step, are cut at a length."""
    for by_step, what in ((False, "gradients"), (True, "moves")):
        cut: list[tuple[float, float]] = []
        for run in loop.runs:
            for part in of(run):
                lengths, right = (np.linalg.norm(rows[:, part], axis=1) for rows in (run.moves, run.steps))
                shorter = lengths < right * (1 - 10 * loop.loose)
                limits = lengths[shorter] / (1 if by_step else run.beta)
                cut += zip(run.tolerances[shorter] / lengths[shorter], limits, strict=True)
        if not cut:
            continue
        limit = float(min(cut)[1])  # the one that rounding errors change least
        if loop.nearly([_cut(run, of(run), limit * (1 if by_step else run.beta)) for run in loop.runs]):
            yield Match("clipping", float(f"{limit:.6g}"), f"{what} are cut at {how} {limit:.6g}", 12)


def clipping(loop: Loop) -> Iterator[Match]:
    """Long gradients or steps are cut: as a whole, B's and w's on their own, or entry by entry."""

    def entries(run: Run) -> Array:
        return np.arange(run.moves.shape[1])

    found = [
        *_clipped(loop, lambda run: (entries(run),), "norm"),
        *_clipped(loop, lambda run: tuple(np.split(entries(run), [run.size_of_B])), "norm, B's and w's each,"),
        *_clipped(loop, lambda run: tuple(entries(run)[:, None]), "an entry's size of"),
    ]
    yield from found[:1]


# --- moves that remember others


def _before(rows: Array) -> Array:
    """The rows of the updates before; of the first, zero."""
    return np.concatenate([0 * rows[:1], rows[:-1]])


def _regressed(loop: Loop, rows: slice, columns: Sequence[Callable[[Run], Array]]) -> tuple[Array, bool]:
    """Least-squares coefficients of columns that are to add up to the moves in some updates, and whether they do."""
    left, right = [], []
    for run in loop.runs:
        weight = 1 / max(float(np.abs(run.moves).max()), 1e-300)  # runs are of very different size
        left.append(weight * np.stack([column(run)[rows].ravel() for column in columns], axis=1))
        right.append(weight * run.moves[rows].ravel())
    found = np.linalg.lstsq(np.concatenate(left), np.concatenate(right), rcond=None)[0]
    snapped = np.where(np.abs(found) <= loop.loose, 0.0, found)
    fits = True
    for run in loop.runs:
        moves = sum(c * column(run)[rows] for c, column in zip(snapped, columns, strict=True))
        # The gradients and moves before have errors of their own.
        most = 8 * (1 + np.abs(snapped).sum()) * run.tolerances[rows].max(initial=0.0)
        size = float(np.abs(run.moves[rows]).max(initial=0.0))
        fits = fits and bool(np.abs(run.moves[rows] - moves).max(initial=0.0) <= most + loop.loose * size)
    return snapped, fits


def _step(run: Run) -> Array:
    return run.steps


def _last_move(run: Run) -> Array:
    return _before(run.moves)


def _last_step(run: Run) -> Array:
    return _before(run.steps)


def _decay(run: Run) -> Array:
    return run.beta * run.points


def _last_decay(run: Run) -> Array:
    return _before(_decay(run))


def _is(value: float, wanted: float, loop: Loop) -> bool:
    return abs(value - wanted) <= 10 * loop.loose


def remembered(loop: Loop) -> Iterator[Match]:
    """Later moves are combinations of the gradient step, the last move and the last gradient step."""
    first, begins = _regressed(loop, slice(0, 1), (_step, _decay))
    later, fits = _regressed(loop, slice(1, None), (_step, _last_move, _last_step, _decay, _last_decay))
    if not (begins and fits):
        return
    (start, first_decay), (now, momentum, before, decay, _) = first.tolist(), later.tolist()
    begin = "the first step is right" if _is(start, 1, loop) else f"the first step is {start:.6g} times the right one"
    parts = [
        f"{value:.6g} times {what}" if not _is(value, 1, loop) else what
        for value, what in ((now, "the gradient step"), (momentum, "the last move"), (before, "the last gradient step"))
        if value
    ]
    also = f", and B and w shrink by {decay:.6g}β times themselves (weight decay)" if decay or first_decay else ""
    text = f"{begin}; later ones are {' plus '.join(parts) or 'zero'}{also}"
    if momentum and not before:
        kind = f" (momentum {momentum:.6g})"
        if _is(now, 1 - momentum, loop):
            kind = f" (a moving average of gradients, with {momentum:.6g})"
        elif not _is(now, 1, loop):
            kind = f" (momentum {momentum:.6g}, dampening {1 - now:.6g})"
        yield Match("momentum", float(f"{momentum:.6g}"), text + kind, 15)
    elif momentum and _is(now, 1 + momentum, loop) and _is(before, -momentum, loop):
        yield Match("momentum", float(f"{momentum:.6g}"), f"{text} (Nesterov's momentum {momentum:.6g})", 15)
    elif before and not now and not momentum:
        yield Match("stale-gradient", None, text, 15)
    elif momentum or before:
        yield Match("remembered-steps", None, text, 16)


def momentum_and_schedule(loop: Loop) -> Iterator[Match]:
    """Momentum while the step size changes."""
    length = min(len(run.moves) for run in loop.runs)
    each = [_regressed(loop, slice(t, t + 1), (_step, _last_move)) for t in range(1, length)]
    if not all(fits for _, fits in each):
        return
    sizes, momenta = np.array([found for found, _ in each]).T
    first, begins = _regressed(loop, slice(0, 1), (_step,))
    factors = np.concatenate([first, sizes])
    if not begins or np.ptp(factors) <= 10 * loop.loose:
        return
    # A velocity is multiplied by the step size of the update, or has that of its own in it.
    ratio = factors[1:] / factors[:-1] if (factors != 0).all() else np.ones(len(momenta))
    momentum = next((each for each in (momenta / ratio, momenta) if np.ptp(each) <= 10 * loop.loose), None)
    if momentum is not None and abs(momentum.mean()) > loop.loose:
        text = f"momentum {momentum.mean():.6g}, while {_schedule(factors, loop.loose)}"
        yield Match("momentum", float(f"{momentum.mean():.6g}"), text, 17)


def gathered(loop: Loop) -> Iterator[Match]:
    """The loop moves in some updates only, by the gradients since it last did."""
    for every in (2, 3, 4):
        for mean in (True, False):
            predicted = []
            for run in loop.runs:
                moves = 0 * run.moves
                for t in range(every - 1, len(moves), every):
                    moves[t] = run.steps[t - every + 1 : t + 1].sum(0) / (every if mean else 1)
                predicted.append(moves)
            if loop.nearly(predicted):
                how = "mean" if mean else "sum"
                what = f"it moves at every {every}th update only, by the {how} of the {every} gradients since"
                yield Match("gathered-gradients", float(every), what.replace("2th", "2nd").replace("3th", "3rd"), 18)
                return


def first_batch(loop: Loop) -> Iterator[Match]:
    """Every update uses the first batch."""
    if loop.agree([run.beta * run.stuck for run in loop.runs]):
        yield Match(
            "first-batch", None, "every update is the gradient step on the first batch, whatever batch it gets", 9
        )


# --- moves whose length has little to do with the gradient's


def _adam(run: Run, first: float, second: float, epsilon: float) -> Array:
    mean, square, moves = 0 * run.gradients[0], 0 * run.gradients[0], []
    for t, gradient in enumerate(run.gradients, start=1):
        mean = first * mean + (1 - first) * gradient
        square = second * square + (1 - second) * gradient**2
        moves.append(mean / (1 - first**t) / (np.sqrt(square / (1 - second**t)) + epsilon))
    return run.beta * np.array(moves)


def _rmsprop(run: Run, _: float, second: float, epsilon: float) -> Array:
    square, moves = 0 * run.gradients[0], []
    for gradient in run.gradients:
        square = second * square + (1 - second) * gradient**2
        moves.append(gradient / (np.sqrt(square) + epsilon))
    return run.beta * np.array(moves)


def _adagrad(run: Run, _: float, __: float, epsilon: float) -> Array:
    return run.steps / (np.sqrt(np.cumsum(run.gradients**2, axis=0)) + epsilon)


def _sign(run: Run, _: float, __: float, ___: float) -> Array:
    return run.beta * np.sign(run.gradients)


ABOUT = 0.3
"""Entries of moves are alike if most are within this: gradients' differ by factors of a million."""
FIRSTS, SECONDS = (0.9, 0.95, 0.5, 0.0), (0.999, 0.99, 0.95, 0.9)
EPSILONS = (1e-8, 1e-10, 1e-7, 1e-6, 1e-5, 1e-3)
FAMILIES: tuple[tuple[str, str, Callable[..., Array], tuple[float, ...], tuple[float, ...], tuple[float, ...]], ...] = (
    ("adam", "Adam with decay rates {} and {}, ε = {}", _adam, FIRSTS, SECONDS, EPSILONS),
    ("rmsprop", "RMSprop with{} decay rate {}, ε = {}", _rmsprop, (0,), SECONDS, EPSILONS),
    ("adagrad", "Adagrad{}{} with ε = {}", _adagrad, (0,), (0,), (1e-10, *EPSILONS)),
    ("sign-descent", "sign descent{}{}{}", _sign, (0,), (0,), (0,)),
)


def adaptive(loop: Loop) -> Iterator[Match]:
    """Each entry moves by about β, or a multiple of it, whatever its gradient."""
    first = np.concatenate([np.abs(run.moves[0]) / run.beta for run in loop.runs])
    typical = float(np.median(first))
    if not typical or np.mean(np.abs(first - typical) <= ABOUT * typical) < 0.8:
        return
    times = "" if abs(typical - 1) < ABOUT else f"{typical:.3g} "
    text = f"in the first update each entry moves by about {times}β whatever its gradient"
    for name, what, moves, firsts, seconds, epsilons in FAMILIES:
        for numbers in product(firsts, seconds, epsilons):
            predicted = [moves(run, *numbers) for run in loop.runs]
            shrunk = [run.moves - each for run, each in zip(loop.runs, predicted, strict=True)]
            decays = [_decay(run) for run in loop.runs]
            decay = sum(float((a * b).sum()) / float((b * b).sum()) for a, b in zip(shrunk, decays, strict=True))
            decay = 0.0 if abs(decay := decay / len(decays)) <= loop.loose else decay
            if loop.nearly([each + decay * more for each, more in zip(predicted, decays, strict=True)]):
                shown = (
                    "" if number == 0 and len(of) == 1 else f"{number:g}"
                    for number, of in zip(numbers, (firsts, seconds, epsilons), strict=True)
                )
                also = f", and B and w shrink by {decay:.6g}β times themselves" if decay else ""
                yield Match(name, None, f"{text}: {what.format(*shown)}{also}", 20)
                return
    yield Match("adaptive-step", None, f"{text}, as with Adam, RMSprop or the sign of the gradient", 21)


SEARCHES = (first_batch, schedules, normalised, clipping, remembered, momentum_and_schedule, gathered, adaptive)
