"""A run's steps compiled by numba (extra ``fast``): the maps of ``metarep.sim.moments`` by hand, many trials at a time.

A group of ``LANES`` trials is stepped together: its arrays have the trials as their last axis, every inner loop runs
over it, and so becomes vector instructions. All other sizes are known when a kernel is compiled: they come as the
lengths of tuples of nothing. Lanes do not touch each other, and a group that is not full is filled up by repeating its
last trial, so a trial's result does not depend on which others it is run with. Written for B_* = [I_k; 0] and as many
columns of B as of B_*.

Letters are those of ``metarep.sim.moments``; the source of the maps is the one given there.
"""

import numpy as np
from numba import njit  # pyright: ignore[reportMissingImports]  # an optional extra

from metarep.sim.batches import StepSize, flattened_step
from metarep.sim.learners import Learner, paper_id

Array = np.ndarray

LANES = 32
"""Trials stepped together. Each loop over them is checked once for arrays that overlap; a group's arrays still fit the
second-level cache.
"""

_TOGETHER = 5
"""Tasks whose moments are summed at a time; as many as the paper's figures have."""
_ORDER = ("average-loss", "fo-anil", "anil", "fo-maml", "maml")

# A product and a sum may become one instruction; nothing else is reordered: NaN and infinity stay what they are.
compiled = njit(cache=True, fastmath={"contract"})


# --- products of small matrices in every lane; ``inner`` has the length of the axis that is summed over


@compiled
def _product(left, right, out, inner):
    for i in range(out.shape[0]):
        for k in range(out.shape[1]):
            for lane in range(LANES):
                total = 0.0
                for j in range(len(inner)):
                    total += left[i, j, lane] * right[j, k, lane]
                out[i, k, lane] = total


@compiled
def _product_with_transposed(left, right, out, inner):
    for i in range(out.shape[0]):
        for k in range(out.shape[1]):
            for lane in range(LANES):
                total = 0.0
                for j in range(len(inner)):
                    total += left[i, j, lane] * right[k, j, lane]
                out[i, k, lane] = total


@compiled
def _gram(matrix, out, inner):
    for i in range(out.shape[0]):
        for k in range(i + 1):
            for lane in range(LANES):
                total = 0.0
                for j in range(len(inner)):
                    total += matrix[j, i, lane] * matrix[j, k, lane]
                out[i, k, lane] = total
                out[k, i, lane] = total


@compiled
def _times(matrix, vector, out, inner):
    for i in range(out.shape[0]):
        for lane in range(LANES):
            total = 0.0
            for j in range(len(inner)):
                total += matrix[i, j, lane] * vector[j, lane]
            out[i, lane] = total


@compiled
def _times_transposed(matrix, vector, out, inner):
    for i in range(out.shape[0]):
        for lane in range(LANES):
            total = 0.0
            for j in range(len(inner)):
                total += matrix[j, i, lane] * vector[j, lane]
            out[i, lane] = total


# --- moments


@compiled
def _moments(heads, first, e, pairs, out, q, together):
    """Moments of a group: heads (trials, p, n) from trial ``first`` on -> means of pair × pair, (Q, columns, lanes).

    Tasks go ``together`` so many at a time, the missing ones of the last time as zeros: pairs (tasks, Q, lanes).
    """
    trials, n = heads.shape[0], heads.shape[2]
    for begin in range(0, n, len(together)):
        for place in range(len(together)):
            task = begin + place
            for lane in range(LANES):
                trial = first + lane if first + lane < trials else trials - 1
                e[0, lane] = 1.0 if task < n else 0.0
                for j in range(len(q) - 1):
                    e[j + 1, lane] = heads[trial, j, task] if task < n else 0.0
            at = 0
            for a in range(len(q)):
                for b in range(a, len(q)):
                    for lane in range(LANES):
                        pairs[place, at, lane] = e[a, lane] * e[b, lane]
                    at += 1
        for a in range(out.shape[0]):
            for b in range(min(a + 1, out.shape[1])):
                for lane in range(LANES):
                    total = 0.0
                    for place in range(len(together)):
                        total += pairs[place, a, lane] * pairs[place, b, lane]
                    out[a, b, lane] = total / n if begin == 0 else out[a, b, lane] + total / n
    for a in range(out.shape[1]):
        for b in range(a + 1, out.shape[1]):
            for lane in range(LANES):
                out[a, b, lane] = out[b, a, lane]


@compiled
def _unpack(pairs, out):
    at = 0
    for a in range(out.shape[0]):
        for b in range(a, out.shape[0]):
            for lane in range(LANES):
                out[a, b, lane] = pairs[at, lane]
                out[b, a, lane] = pairs[at, lane]
            at += 1


@compiled
def _pack(matrix, out):
    at = 0
    for a in range(matrix.shape[0]):
        for lane in range(LANES):
            out[at, lane] = matrix[a, a, lane]
        at += 1
        for b in range(a + 1, matrix.shape[0]):
            for lane in range(LANES):
                out[at, lane] = matrix[a, b, lane] + matrix[b, a, lane]
            at += 1


# --- the five maps: N, C and ∇_w, where ∇_B is B N − [C; 0]


@compiled
def _average_loss(B, w, second, C, grad_w, residual, k, d):
    """C is minus ∇_B's factor of wᵀ here: ∇_B = residual wᵀ."""
    _times(B, w, residual, k)
    for j in range(len(k)):
        for lane in range(LANES):
            residual[j, lane] -= second[0, j + 1, lane]
    _times_transposed(B, residual, grad_w, d)


@compiled
def _inner(B, w, alpha, second, G, u, W, P, k, q, d):
    _gram(B, G, d)
    _times(G, w, u, k)
    for i in range(len(k)):
        for lane in range(LANES):
            W[i, 0, lane] = w[i, lane] - alpha[lane] * u[i, lane]
        for j in range(len(k)):
            for lane in range(LANES):
                W[i, j + 1, lane] = alpha[lane] * B[j, i, lane]
    _product_with_transposed(second, W, P, q)


@compiled
def _symmetric_part(W, P, N, q):
    """N = W P, which is symmetric."""
    for i in range(N.shape[0]):
        for k in range(i + 1):
            for lane in range(LANES):
                total = 0.0
                for j in range(len(q)):
                    total += W[i, j, lane] * P[j, k, lane]
                N[i, k, lane] = total
                N[k, i, lane] = total


@compiled
def _mean_v(B, G, P, second, out, k):
    for i in range(len(k)):
        for lane in range(LANES):
            total = 0.0
            for j in range(len(k)):
                total += G[i, j, lane] * P[0, j, lane] - B[j, i, lane] * second[0, j + 1, lane]
            out[i, lane] = total


@compiled
def _residual_of_adapted(B, G, W, Z, k):
    _product(G, W, Z, k)
    for i in range(len(k)):
        for j in range(len(k)):
            for lane in range(LANES):
                Z[i, j + 1, lane] -= B[j, i, lane]


@compiled
def _anil(B, w, alpha, second, G, u, W, P, N, Z, Q, grad_w, k, q):
    _residual_of_adapted(B, G, W, Z, k)
    _product_with_transposed(second, Z, Q, q)
    _times(G, Q[0], u, k)
    for i in range(len(k)):
        for j in range(len(k)):
            for lane in range(LANES):
                both = Q[0, i, lane] * w[j, lane] + w[i, lane] * Q[0, j, lane]
                N[i, j, lane] -= alpha[lane] * both
                P[i + 1, j, lane] -= alpha[lane] * Q[i + 1, j, lane]
        for lane in range(LANES):
            grad_w[i, lane] = Q[0, i, lane] - alpha[lane] * u[i, lane]


@compiled
def _third(moments, W, w, s, packed, third, k, q):
    _times_transposed(W, w, s, k)
    _times(moments, s, packed, q)
    _unpack(packed, third)


@compiled
def _fo_maml(B, w, alpha, second, third, G, u, W, P, N, S, grad_w, k, q):
    _mean_v(B, G, P, second, grad_w, k)
    rv = np.zeros(LANES)
    for i in range(len(k)):
        for lane in range(LANES):
            # the i-th entry of A times the mean of s_i h_i, then of D times the mean of s_i e_i
            along = 0.0
            for j in range(len(k)):
                along += B[j, i, lane] * third[0, j + 1, lane]
            grad_w[i, lane] -= alpha[lane] * (u[i, lane] * third[0, 0, lane] - along)
            rv[lane] += w[i, lane] * (grad_w[i, lane] + alpha[lane] * along)
            rv[lane] += second[i + 1, i + 1, lane] - alpha[lane] * third[i + 1, i + 1, lane]
            for j in range(len(k)):
                rv[lane] -= B[j, i, lane] * P[j + 1, i, lane]
    _product_with_transposed(third, W, S, q)
    for i in range(len(k)):
        for lane in range(LANES):
            grad_w[i, lane] -= alpha[lane] * rv[lane] * w[i, lane]
        for j in range(len(k)):
            for lane in range(LANES):
                N[i, j, lane] -= alpha[lane] * w[i, lane] * S[0, j, lane]
                P[i + 1, j, lane] -= alpha[lane] * S[i + 1, j, lane]


@compiled
def _maml(B, w, alpha, second, fourth, third, s, packed, G, u, W, P, N, Z, Q, S, X, grad_w, k, q, pairs):
    _residual_of_adapted(B, G, W, Z, k)
    _product_with_transposed(second, Z, Q, q)
    _product_with_transposed(third, W, S, q)
    answer, c, y, z = np.empty_like(packed), np.empty_like(s), np.empty_like(s), np.empty_like(s)
    # RᵀV, with R = [Bw, −F]: its first row is wᵀZ
    for a in range(len(q)):
        for lane in range(LANES):
            total = 0.0
            for i in range(len(k)):
                total += w[i, lane] * Z[i, a, lane]
            X[0, a, lane] = total
    for b in range(len(k)):
        for a in range(len(q)):
            for lane in range(LANES):
                total = 0.0
                for i in range(len(k)):
                    total -= B[b, i, lane] * W[i, a, lane]
                X[b + 1, a, lane] = total
        for lane in range(LANES):
            X[b + 1, b + 1, lane] += 1.0
    _pack(X, packed)
    for a in range(len(q)):
        for lane in range(LANES):
            total = 0.0
            for b in range(len(pairs)):
                total += fourth[b, a, lane] * packed[b, lane]
            c[a, lane] = total
    # RᵀR = [wᵀGw, −wᵀA; −Aᵀw, I]
    for a in range(len(k)):
        for b in range(len(k)):
            for lane in range(LANES):
                X[a + 1, b + 1, lane] = 1.0 if a == b else 0.0
        for lane in range(LANES):
            total = 0.0
            for i in range(len(k)):
                total -= w[i, lane] * B[a, i, lane]
            X[0, a + 1, lane] = total
            X[a + 1, 0, lane] = total
    for lane in range(LANES):
        total = 0.0
        for i in range(len(k)):
            total += w[i, lane] * u[i, lane]
        X[0, 0, lane] = total
    _pack(X, packed)
    _times(fourth, packed, answer, pairs)
    _unpack(answer, X)  # the mean of ‖r_i‖² eeᵀ
    _times(X, s, y, q)
    for a in range(len(q)):
        for lane in range(LANES):
            c[a, lane] -= alpha[lane] * y[a, lane]  # the mean of (r_iᵀv_i) e
    for a in range(len(q)):
        for i in range(len(k)):
            for lane in range(LANES):
                total = third[a, 0, lane] * u[i, lane]
                for j in range(len(k)):
                    total -= third[a, j + 1, lane] * B[j, i, lane]
                Q[a, i, lane] -= alpha[lane] * total
    _times(second, s, y, q)
    _times(third, s, z, q)
    g, mean_u, pulled = np.empty_like(u), np.empty_like(u), np.empty_like(u)
    for i in range(len(k)):
        for lane in range(LANES):
            g[i, lane] = Q[0, i, lane] - alpha[lane] * c[0, lane] * w[i, lane]
            total = g[i, lane] - alpha[lane] * z[0, lane] * w[i, lane]
            for a in range(len(q)):
                total += W[i, a, lane] * y[a, lane]
            mean_u[i, lane] = total
    for a in range(len(q)):
        for lane in range(LANES):
            z[a, lane] = y[a, lane] - alpha[lane] * z[a, lane]
    for i in range(len(k)):
        for lane in range(LANES):
            total = 0.0
            for j in range(len(k)):
                total += G[i, j, lane] * mean_u[j, lane] - B[j, i, lane] * z[j + 1, lane]
            for a in range(len(q)):
                total += W[i, a, lane] * c[a, lane]
            pulled[i, lane] = total
    for i in range(len(k)):
        for lane in range(LANES):
            grad_w[i, lane] = g[i, lane] - alpha[lane] * pulled[i, lane]
        for j in range(len(k)):
            for lane in range(LANES):
                more = w[i, lane] * (S[0, j, lane] + g[j, lane]) + mean_u[i, lane] * w[j, lane]
                N[i, j, lane] -= alpha[lane] * more
                rest = (z[i + 1, lane] - alpha[lane] * c[i + 1, lane]) * w[j, lane]
                P[i + 1, j, lane] -= alpha[lane] * (S[i + 1, j, lane] + rest + Q[i + 1, j, lane])


# --- steps of a group


@compiled
def _move(B, w, beta, N, C, grad_w, row, k):
    """B − β(B N − [C; 0]) and w − β∇_w, in place."""
    for r in range(B.shape[0]):
        for i in range(len(k)):
            for lane in range(LANES):
                row[i, lane] = B[r, i, lane]
        for i in range(len(k)):
            for lane in range(LANES):
                total = 0.0
                for j in range(len(k)):
                    total += row[j, lane] * N[j, i, lane]
                B[r, i, lane] = row[i, lane] - beta[lane] * total
    for j in range(len(k)):
        for i in range(len(k)):
            for lane in range(LANES):
                B[j, i, lane] += beta[lane] * C[j + 1, i, lane]
    for i in range(len(k)):
        for lane in range(LANES):
            w[i, lane] -= beta[lane] * grad_w[i, lane]


@compiled
def _freeze(B, w, bound, diverged_at, step):
    """Set the lanes that have diverged by now to zero and note the step; whether all have. A bound that is not a number
    stands for none: what is not finite stays so.
    """
    if np.isnan(bound[0]):
        return False
    size, length = np.zeros(LANES), np.zeros(LANES)
    for r in range(B.shape[0]):
        for i in range(B.shape[1]):
            for lane in range(LANES):
                size[lane] += B[r, i, lane] * B[r, i, lane]
    for i in range(w.shape[0]):
        for lane in range(LANES):
            length[lane] += w[i, lane] * w[i, lane]
    fine = 0
    for lane in range(LANES):
        fine += (size[lane] <= bound[lane]) & (length[lane] < np.inf)
    if fine == LANES:
        return False
    gone = 0
    for lane in range(LANES):
        finite = True
        for i in range(w.shape[0]):
            finite = finite and np.isfinite(w[i, lane])
        if not (size[lane] <= bound[lane] and finite):
            for i in range(w.shape[0]):
                for r in range(B.shape[0]):
                    B[r, i, lane] = 0.0
                w[i, lane] = 0.0
            if diverged_at[lane] < 0:
                diverged_at[lane] = step
        gone += diverged_at[lane] >= 0
    return gone == LANES


@compiled
def _moments_of_all(heads, out, q, together):
    e, pairs = np.empty((len(q), LANES)), np.empty((len(together), out.shape[1], LANES))
    for group in range(len(out)):
        _moments(heads, group * LANES, e, pairs, out[group], q, together)


@compiled
def _advance(
    average,
    fo_anil,
    anil,
    fo_maml,
    maml,
    B,
    w,
    heads,
    moments,
    alpha,
    beta,
    bound,
    diverged_at,
    step,
    steps,
    k,
    q,
    d,
    pairs,
    together,
):
    """So many steps of every group, from this one on: with the same moments each, or with the moments of heads that
    change from step to step (steps, trials, p, n) where there are any.

    One of the first five is True and names the learner; the others are None, and what is theirs is not compiled.
    """
    rows, width, across = len(d), len(k), len(q)
    G, N, row = np.empty((width, width, LANES)), np.empty((width, width, LANES)), np.empty((width, LANES))
    W, Z = np.empty((width, across, LANES)), np.empty((width, across, LANES))
    P, Q, S = (np.empty((across, width, LANES)), np.empty((across, width, LANES)), np.empty((across, width, LANES)))
    second, third, X = (
        np.empty((across, across, LANES)),
        np.empty((across, across, LANES)),
        np.empty((across, across, LANES)),
    )
    u, grad_w, residual = np.empty((width, LANES)), np.empty((width, LANES)), np.empty((rows, LANES))
    s, e, packed, products = (
        np.empty((across, LANES)),
        np.empty((across, LANES)),
        np.empty((len(pairs), LANES)),
        np.empty((len(together), len(pairs), LANES)),
    )
    for group in range(len(B)):
        if diverged_at[group].min() >= 0:
            continue
        b, v, a, be, at = B[group], w[group], alpha[group], beta[group], moments[group if len(heads) == 0 else 0]
        _unpack(at[:, 0], second)
        for done in range(steps):
            if len(heads) > 0:
                _moments(heads[done], group * LANES, e, products, at, q, together)
                _unpack(at[:, 0], second)
            if average is not None:
                _average_loss(b, v, second, P, grad_w, residual, k, d)
                for r in range(rows):
                    for i in range(width):
                        for lane in range(LANES):
                            b[r, i, lane] -= be[lane] * residual[r, lane] * v[i, lane]
                for i in range(width):
                    for lane in range(LANES):
                        v[i, lane] -= be[lane] * grad_w[i, lane]
            if average is None:
                _inner(b, v, a, second, G, u, W, P, k, q, d)
                _symmetric_part(W, P, N, q)
                if fo_anil is not None:
                    _mean_v(b, G, P, second, grad_w, k)
                if anil is not None:
                    _anil(b, v, a, second, G, u, W, P, N, Z, Q, grad_w, k, q)
                if fo_maml is not None:
                    _third(at, W, v, s, packed, third, k, q)
                    _fo_maml(b, v, a, second, third, G, u, W, P, N, S, grad_w, k, q)
                if maml is not None:
                    _third(at, W, v, s, packed, third, k, q)
                    _maml(b, v, a, second, at, third, s, packed, G, u, W, P, N, Z, Q, S, X, grad_w, k, q, pairs)
                _move(b, v, be, N, P, grad_w, row, k)
            if _freeze(b, v, bound[group], diverged_at[group], step + done + 1):
                break


# --- what the rest of the house calls


def in_lanes(array: Array) -> Array:
    """(trials, ...) as (groups, ..., LANES), filled up by repeating the last trial."""
    trials = len(array)
    groups = -(-trials // LANES)
    padded = array[np.minimum(np.arange(groups * LANES), trials - 1)]
    return np.ascontiguousarray(np.moveaxis(padded.reshape(groups, LANES, *array.shape[1:]), 1, -1))


def out_of_lanes(lanes: Array, trials: int) -> Array:
    """The trials again, (trials, ...)."""
    moved = np.moveaxis(lanes, -1, 1)
    return np.ascontiguousarray(moved.reshape(-1, *moved.shape[2:])[:trials])


class Kernel:
    """A learner's compiled steps for B of so many rows and columns.

    Args:
        learner: one of the paper's five.
        rows, k: shape of B; B_* = [I_k; 0].
        unrolled: compiled for these sizes, and fast; otherwise the same source is compiled once for all sizes.
    """

    def __init__(self, learner: Learner, rows: int, k: int, unrolled: bool = True) -> None:
        q = k + 1
        pairs = q * (q + 1) // 2
        self._name = paper_id(learner, "compiled step")
        self._columns = {"fo-maml": q, "maml": pairs}.get(self._name, 1)
        self._which = [True if name == self._name else None for name in _ORDER]
        sizes = (k, q, rows, pairs, _TOGETHER)
        self._sizes = [(None,) * size if unrolled else np.zeros(size, dtype=np.int8) for size in sizes]

    def moments(self, heads: Array) -> Array:
        """Of tasks that stay, (trials, k, n): (groups, Q, columns, LANES)."""
        out = np.empty((-(-len(heads) // LANES), len(self._sizes[3]), self._columns, LANES))
        _moments_of_all(np.ascontiguousarray(heads), out, self._sizes[1], self._sizes[4])
        return out

    def advance(
        self,
        B: Array,
        w: Array,
        moments: Array | None,
        heads: Array | None,
        alpha: Array,
        beta: Array,
        bound: Array,
        diverged_at: Array,
        step: int,
        steps: int,
    ) -> None:
        """Take so many steps, from this one on, in place.

        Args:
            B, w, alpha, beta, bound, diverged_at: in lanes (``in_lanes``).
            moments: of tasks that stay; None where each step has its own.
            heads: of those, (steps, trials, k, n).
            step, steps: number of the step that is here, and how many follow.
        """
        if heads is None:
            heads = np.empty((0, 0, 0, 0))
        if moments is None:
            moments = np.empty((1, len(self._sizes[3]), self._columns, LANES))
        at = (B, w, heads, moments, alpha, beta, bound, diverged_at, step, steps)
        _advance(*self._which, *at, *self._sizes)  # pyright: ignore[reportCallIssue]  # numba says how many there are


def step(learner: Learner, B: Array, w: Array, targets: Array, alpha: StepSize, beta: StepSize) -> tuple[Array, Array]:
    """``metarep.sim.updates.step`` compiled, for floats, with its arguments and results. It is there to be checked.

    The targets are turned into the coordinates that the kernels are written for, where of fewer tasks than dimensions
    they need not be in them, and stand for heads; B and they are filled up with zeros, which stay zero, until they are
    of one k. The kernels are compiled once for all sizes, which makes them slower.
    """
    batch, (B, w, targets, alpha, beta) = flattened_step(B, w, targets, alpha, beta)
    trials, d, k = B.shape
    frame = np.linalg.qr(targets, mode="complete")[0] if targets.shape[-1] < d else np.eye(d)[None]
    heads = (np.swapaxes(frame, -1, -2) @ targets)[:, : targets.shape[-1]]
    width = max(k, heads.shape[1])
    wide, head = np.zeros((trials, max(d, width), width)), np.zeros((trials, width))
    wide[:, :d, :k], head[:, :k] = np.swapaxes(frame, -1, -2) @ B, w
    lanes = in_lanes(wide), in_lanes(head)
    kernel = Kernel(learner, wide.shape[1], width, unrolled=False)
    tasks = np.zeros((1, trials, width, heads.shape[2]))
    tasks[0, :, : heads.shape[1]] = heads
    alpha, beta, bound = (in_lanes(np.asarray(size, float)) for size in (alpha, beta, np.full(trials, np.nan)))
    kernel.advance(*lanes, None, tasks, alpha, beta, bound, in_lanes(np.full(trials, -1)), 0, 1)
    wide, head = (out_of_lanes(array, trials) for array in lanes)
    return (frame @ wide[:, :d, :k]).reshape(*batch, d, k), head[:, :k].reshape(*batch, k)
