"""Known deviations: wrong implementations, named, to show that the claims would notice, and to tell a wrong
implementation's cause.

Each is the reference with one thing wrong, as it happens in real code: a second-order term left out, a sum where the
mean belongs, an
adapted parameter where the unadapted belongs, a distance by the inverse cosine. Most are made from the terms of the
readable outer gradients (Collins
et al. 2022, Section 2; exact gradients: own derivation), written out one by one in ``gradient_terms``.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np

from metarep.sim import metrics, updates
from metarep.sim.implementations import REFERENCE, Implementation
from metarep.sim.learners import LEARNERS, META_LEARNERS, Learner, get_learner

Array = np.ndarray
Terms = dict[str, Array]
Step = Callable[..., tuple[Array, Array]]

ALL = frozenset(LEARNERS)
META = frozenset(META_LEARNERS)
EXACT_ONES = frozenset({"anil", "maml"})
FIRST_ORDER = frozenset({"fo-anil", "fo-maml"})


@dataclass(frozen=True)
class Deviation:
    """One named way of being wrong.

    ``cause`` is the kind of mistake (several deviations can share one), ``learners`` those whose step it changes
    (empty: the distance).
    """

    name: str
    cause: str
    description: str
    learners: frozenset[str]
    implementation: Implementation


def _transpose(matrix: Array) -> Array:
    return np.swapaxes(matrix, -1, -2)


def _mean_outer(left: Array, right: Array) -> Array:
    """(1/n) Σ_i left_i right_iᵀ for columns (..., a, n) and (..., b, n)."""
    return left @ _transpose(right) / left.shape[-1]


def _mean(columns: Array) -> Array:
    return columns.sum(-1) / columns.shape[-1]


def _residuals(learner: Learner, B: Array, w: Array, targets: Array, alpha: Any) -> tuple[Array, Array, Array, Array]:
    """(R, W, V, G): residuals, adapted heads, residuals after adaptation, B_iᵀv_i; per task as columns."""
    head, Bt = w[..., :, None], _transpose(B)
    R = B @ head - targets
    W = head - alpha * (Bt @ R) if learner.adapts_head else head + 0 * (Bt @ R)
    V = B @ W - targets
    G = Bt @ V
    if learner.adapts_representation:
        V = V - alpha * R * (w[..., None, :] @ W)
        G = Bt @ V - alpha * head * (R * V).sum(-2, keepdims=True)
    return R, W, V, G


def gradient_terms(learner: Learner, B: Array, w: Array, targets: Array, alpha: Any) -> tuple[Terms, Terms]:
    """The outer gradient of one of the five learners, term by term: ∇_B and ∇_w are the sums of their terms.

    Shapes as ``metarep.sim.updates.outer_gradients``, scalar α; names are the terms as a person writes them, signs included
    in the values.
    """
    R, W, V, G = _residuals(learner, B, w, targets, alpha)
    Bt, ones = _transpose(B), np.ones_like(R[..., :1, :])
    same_w = w[..., :, None] * ones  # w as every task's column
    if learner.adapts == "nothing":
        return {"r_i w^T": _mean_outer(R, same_w)}, {"B^T r_i": _mean(Bt @ R)}
    first_B = {"v_i w_i^T": _mean_outer(V, W)}
    overlap, product = w[..., None, :] @ W, (R * V).sum(-2, keepdims=True)  # wᵀw_i, r_iᵀv_i
    if learner.adapts == "head":
        first_w = {"B^T v_i": _mean(G)}
        if learner.first_order:
            return first_B, first_w
        second_B = {"B B^T v_i w^T": -alpha * _mean_outer(B @ G, same_w), "r_i v_i^T B": -alpha * _mean_outer(R, G)}
        return {**first_B, **second_B}, {**first_w, "B^T B B^T v_i": -alpha * _mean(Bt @ (B @ G))}
    first_w = {"B^T v_i": _mean(Bt @ V), "(r_i^T v_i) w": -alpha * _mean(same_w * product)}
    if learner.first_order:
        return first_B, first_w
    second_B = {
        "(w^T w_i) v_i w^T": -alpha * _mean_outer(V * overlap, same_w),
        "B g_i w^T": -alpha * _mean_outer(B @ G, same_w),
        "r_i g_i^T": -alpha * _mean_outer(R, G),
    }
    second_w = {
        "(r_i^T v_i) w_i": -alpha * _mean(W * product),
        "(w^T w_i) B^T v_i": -alpha * _mean((Bt @ V) * overlap),
        "B^T B g_i": -alpha * _mean(Bt @ (B @ G)),
    }
    return {**first_B, **second_B}, {**first_w, **second_w}


def step_from_terms(
    learner: Learner, B: Array, w: Array, targets: Array, alpha: Any, beta: Any, without: tuple[str, str] | None = None
) -> tuple[Array, Array]:
    """One outer step from ``gradient_terms``; ``without`` = ("B" or "w", term) leaves one term out. Scalar α, β."""
    terms_B, terms_w = gradient_terms(learner, B, w, targets, alpha)
    if without is not None:
        (terms_B if without[0] == "B" else terms_w).pop(without[1])
    return B - beta * sum(terms_B.values()), w - beta * sum(terms_w.values())


def _scalars_only(step: Step) -> Step:
    """Let a step written for scalar α, β take them over the batch axes: α = 1 without loss of generality is not
    available to wrong
    maps, so the batch is flattened and stepped setting by setting only where α or β vary."""

    def stepped(learner: Learner, B: Array, w: Array, targets: Array, alpha: Any, beta: Any) -> tuple[Array, Array]:
        if np.ndim(alpha) == 0 and np.ndim(beta) == 0:
            return step(learner, B, w, targets, alpha, beta)
        batch = np.broadcast_shapes(B.shape[:-2], w.shape[:-1], targets.shape[:-2], np.shape(alpha), np.shape(beta))
        B = np.broadcast_to(B, batch + B.shape[-2:]).reshape(-1, *B.shape[-2:])
        w = np.broadcast_to(w, batch + w.shape[-1:]).reshape(-1, w.shape[-1])
        targets = np.broadcast_to(targets, batch + targets.shape[-2:]).reshape(-1, *targets.shape[-2:])
        alpha, beta = np.broadcast_to(alpha, batch).ravel(), np.broadcast_to(beta, batch).ravel()
        next_B, next_w = np.empty_like(B), np.empty_like(w)
        for setting in {(a, b) for a, b in zip(alpha.tolist(), beta.tolist(), strict=True)}:
            at = (alpha == setting[0]) & (beta == setting[1])
            next_B[at], next_w[at] = step(learner, B[at], w[at], targets[at], *setting)
        return next_B.reshape(batch + B.shape[-2:]), next_w.reshape(batch + w.shape[-1:])

    return stepped


def _exactly(factor: float, like: Array) -> Any:
    """A factor such as 1.01 as a fraction where the arrays hold fractions."""
    return Fraction(str(factor)) if like.dtype == object else factor


# --- wrong steps
# --------------------------------------------------------------------------------------------------------


def _without(parameter: str, term: str, learners: frozenset[str]) -> Step:
    def step(learner: Learner, B: Array, w: Array, targets: Array, alpha: Any, beta: Any) -> tuple[Array, Array]:
        missing = (parameter, term) if learner.name in learners else None
        return step_from_terms(learner, B, w, targets, alpha, beta, missing)

    return step


def _instead(table: dict[str, str]) -> Step:
    def step(learner: Learner, B: Array, w: Array, targets: Array, alpha: Any, beta: Any) -> tuple[Array, Array]:
        other = get_learner(table.get(learner.name, learner.name))
        return updates.step(other, B, w, targets, alpha, beta)

    return step


def scaled_step_sizes(alpha_factor: float = 1.0, beta_factor: float = 1.0) -> Step:
    """The reference step with α and β multiplied by factors: a missing ½ in the loss, a step size that is slightly
    off, ...
    """

    def step(learner: Learner, B: Array, w: Array, targets: Array, alpha: Any, beta: Any) -> tuple[Array, Array]:
        return updates.step(learner, B, w, targets, alpha * _exactly(alpha_factor, B), beta * _exactly(beta_factor, B))

    return step


def _sum_over_tasks(learner: Learner, B: Array, w: Array, targets: Array, alpha: Any, beta: Any) -> tuple[Array, Array]:
    return updates.step(learner, B, w, targets, alpha, beta * targets.shape[-1])


def _swapped(learner: Learner, B: Array, w: Array, targets: Array, alpha: Any, beta: Any) -> tuple[Array, Array]:
    return updates.step(learner, B, w, targets, beta, alpha)


def _stale(learner: Learner, B: Array, w: Array, targets: Array, alpha: Any, beta: Any) -> tuple[Array, Array]:
    if learner.adapts == "nothing":
        return updates.step(learner, B, w, targets, alpha, beta)
    R, W, _, _ = _residuals(learner, B, w, targets, alpha)
    return B - beta * _mean_outer(R, W), w - beta * _mean(_transpose(B) @ R)


def _unadapted_head(learner: Learner, B: Array, w: Array, targets: Array, alpha: Any, beta: Any) -> tuple[Array, Array]:
    terms_B, terms_w = gradient_terms(learner, B, w, targets, alpha)
    if "v_i w_i^T" in terms_B:
        _, _, V, _ = _residuals(learner, B, w, targets, alpha)
        terms_B["v_i w_i^T"] = _mean(V)[..., :, None] * w[..., None, :]
    return B - beta * sum(terms_B.values()), w - beta * sum(terms_w.values())


def _adapts(table: dict[str, str]) -> Step:
    """The inner step moves another parameter (first-order gradient at what it adapted)."""

    def step(learner: Learner, B: Array, w: Array, targets: Array, alpha: Any, beta: Any) -> tuple[Array, Array]:
        if learner.name not in table:
            return updates.step(learner, B, w, targets, alpha, beta)
        wrong = replace(learner, adapts=table[learner.name])
        _, W, V, G = _residuals(wrong, B, w, targets, alpha)
        return B - beta * _mean_outer(V, W), w - beta * _mean(G)

    return step


def _single_precision(
    learner: Learner, B: Array, w: Array, targets: Array, alpha: Any, beta: Any
) -> tuple[Array, Array]:
    if B.dtype == object:  # a lossy cast has no exact counterpart: round to 24 bits in effect by going through float32
        round_off = np.vectorize(lambda x: Fraction(float(np.float32(x))), otypes=[object])
        return updates.step(learner, round_off(B), round_off(w), round_off(targets), alpha, beta)
    B, w, targets = (np.asarray(x, dtype=np.float32) for x in (B, w, targets))
    next_B, next_w = updates.step(learner, B, w, targets, np.float32(alpha), np.float32(beta))
    return next_B.astype(float), next_w.astype(float)


def _drops_last_task(
    learner: Learner, B: Array, w: Array, targets: Array, alpha: Any, beta: Any
) -> tuple[Array, Array]:
    kept = targets[..., :-1] if targets.shape[-1] > 1 else targets
    return updates.step(learner, B, w, kept, alpha, beta)


def _sequential_outer(
    learner: Learner, B: Array, w: Array, targets: Array, alpha: Any, beta: Any
) -> tuple[Array, Array]:
    next_B, _ = updates.step(learner, B, w, targets, alpha, beta)
    return next_B, updates.step(learner, next_B, w, targets, alpha, beta)[1]


def _sequential_inner(
    learner: Learner, B: Array, w: Array, targets: Array, alpha: Any, beta: Any
) -> tuple[Array, Array]:
    """The head adapts first and the representation sees the adapted head (first-order gradient at the result)."""
    if learner.adapts != "both":
        return updates.step(learner, B, w, targets, alpha, beta)
    head, Bt = w[..., :, None], _transpose(B)
    W = head - alpha * (Bt @ (B @ head - targets))
    R = B @ W - targets
    overlap = (W * W).sum(-2, keepdims=True)
    V = R - alpha * R * overlap
    G = Bt @ V - alpha * W * (R * V).sum(-2, keepdims=True)
    if learner.first_order:
        return B - beta * _mean_outer(V, W), w - beta * _mean(G)
    terms_B, terms_w = gradient_terms(learner, B, w, targets, alpha)
    terms_B["v_i w_i^T"], terms_w["B^T v_i"] = _mean_outer(V, W), _mean(G)
    terms_w.pop("(r_i^T v_i) w")
    return B - beta * sum(terms_B.values()), w - beta * sum(terms_w.values())


def _transposed(learner: Learner, B: Array, w: Array, targets: Array, alpha: Any, beta: Any) -> tuple[Array, Array]:
    if learner.name not in EXACT_ONES:
        return updates.step(learner, B, w, targets, alpha, beta)
    terms_B, terms_w = gradient_terms(learner, B, w, targets, alpha)
    R, _, V, _ = _residuals(learner, B, w, targets, alpha)
    name = "r_i v_i^T B" if learner.name == "anil" else "r_i g_i^T"
    terms_B[name] = -alpha * _mean_outer(V, _transpose(B) @ R)
    return B - beta * sum(terms_B.values()), w - beta * sum(terms_w.values())


def _transposed_rank_two(
    learner: Learner, B: Array, w: Array, targets: Array, alpha: Any, beta: Any
) -> tuple[Array, Array]:
    """B w sᵀ where B s wᵀ belongs."""
    if learner.name not in EXACT_ONES:
        return updates.step(learner, B, w, targets, alpha, beta)
    terms_B, terms_w = gradient_terms(learner, B, w, targets, alpha)
    _, _, _, G = _residuals(learner, B, w, targets, alpha)
    name = "B B^T v_i w^T" if learner.name == "anil" else "B g_i w^T"
    terms_B[name] = -alpha * (B @ w[..., :, None]) * _mean(G)[..., None, :]
    return B - beta * sum(terms_B.values()), w - beta * sum(terms_w.values())


def _mean_task_first(
    learner: Learner, B: Array, w: Array, targets: Array, alpha: Any, beta: Any
) -> tuple[Array, Array]:
    """Averages the targets before adapting: one task, the mean one."""
    return updates.step(learner, B, w, _mean(targets)[..., :, None], alpha, beta)


def _adaptation_carried_over(
    learner: Learner, B: Array, w: Array, targets: Array, alpha: Any, beta: Any
) -> tuple[Array, Array]:
    """Forgets to reset the head between tasks: task i adapts from the head that task i − 1 left (first-order
    gradient).
    """
    if not learner.adapts_head:
        return updates.step(learner, B, w, targets, alpha, beta)
    head, heads, n = w[..., :, None], [], targets.shape[-1]
    for i in range(n):
        head = head - alpha * (_transpose(B) @ (B @ head - targets[..., i : i + 1]))
        heads.append(head)
    W = np.concatenate(heads, axis=-1)
    V = B @ W - targets
    return B - beta * _mean_outer(V, W), w - beta * _mean(_transpose(B) @ V)


def _outer_from_adapted(
    learner: Learner, B: Array, w: Array, targets: Array, alpha: Any, beta: Any
) -> tuple[Array, Array]:
    """Takes the outer step of the head from the mean adapted head, not from w."""
    next_B, next_w = updates.step(learner, B, w, targets, alpha, beta)
    if not learner.adapts_head:
        return next_B, next_w
    _, W, _, _ = _residuals(learner, B, w, targets, alpha)
    return next_B, next_w + _mean(W) - w


def _retracted(learner: Learner, B: Array, w: Array, targets: Array, alpha: Any, beta: Any) -> tuple[Array, Array]:
    """Divides the new representation by its Frobenius norm times the old one's: keeps the scale, silently."""
    next_B, next_w = updates.step(learner, B, w, targets, alpha, beta)
    if B.dtype == object:
        return next_B * Fraction(999, 1000), next_w  # no exact square root: shrink by a fixed amount
    norms = np.sqrt(np.square(next_B).sum((-2, -1), keepdims=True))
    old = np.sqrt(np.square(B).sum((-2, -1), keepdims=True))
    return next_B * np.divide(old, norms, out=np.ones_like(norms), where=norms > 0), next_w


def _two_inner_steps(
    learner: Learner, B: Array, w: Array, targets: Array, alpha: Any, beta: Any
) -> tuple[Array, Array]:
    """One inner step too many, on the head."""
    if not learner.adapts_head:
        return updates.step(learner, B, w, targets, alpha, beta)
    head, Bt = w[..., :, None], _transpose(B)
    W = head - alpha * (Bt @ (B @ head - targets))
    W = W - alpha * (Bt @ (B @ W - targets))
    V = B @ W - targets
    return B - beta * _mean_outer(V, W), w - beta * _mean(Bt @ V)


def _weight_decay(learner: Learner, B: Array, w: Array, targets: Array, alpha: Any, beta: Any) -> tuple[Array, Array]:
    next_B, next_w = updates.step(learner, B, w, targets, alpha, beta)
    decay = beta * _exactly(1e-3, B)
    return next_B - decay * B, next_w - decay * w


def _frozen_head(learner: Learner, B: Array, w: Array, targets: Array, alpha: Any, beta: Any) -> tuple[Array, Array]:
    return updates.step(learner, B, w, targets, alpha, beta)[0], w


# --- wrong distances
# ----------------------------------------------------------------------------------------------------


def _distance_by_arccos(B: Array, B_star: Array) -> Array:
    Q = np.linalg.qr(np.asarray(B, dtype=float))[0]
    cosines = np.linalg.svd(_transpose(B_star) @ Q, compute_uv=False)
    return np.sin(np.arccos(np.clip(cosines, -1, 1)))[..., -1]


def _distance_without_basis(B: Array, B_star: Array) -> Array:
    B = np.asarray(B, dtype=float)
    return np.linalg.norm(B - B_star @ (_transpose(B_star) @ B), 2, axis=(-2, -1))


def _frobenius_distance(B: Array, B_star: Array) -> Array:
    return np.sqrt(np.square(metrics.principal_sines(B, B_star)).sum(-1))


def _smallest_angle(B: Array, B_star: Array) -> Array:
    return metrics.principal_sines(B, B_star)[..., -1]


# --- the list
# -------------------------------------------------------------------------------------------------------------


def _step_deviation(name: str, cause: str, description: str, learners: frozenset[str], step: Step) -> Deviation:
    return Deviation(name, cause, description, learners, replace(REFERENCE, name=name, step=_scalars_only(step)))


def _missing(parameter: str, term: str, learner: str) -> Deviation:
    short = term.replace("^T", "'").replace("_i", "").replace(" ", "").replace("(", "").replace(")", "")
    return _step_deviation(
        f"{learner}-without-{parameter}-{short}",
        "missing-term",
        f"{learner}: the term {term} of the gradient by {parameter} is left out",
        frozenset({learner}),
        _without(parameter, term, frozenset({learner})),
    )


def _distance_deviation(name: str, description: str, distance: Callable[[Array, Array], Array]) -> Deviation:
    wrong = replace(REFERENCE, name=name, subspace_distance=distance)
    return Deviation(name, "wrong-distance", description, frozenset(), wrong)


_BY_TERM = tuple(
    _missing(parameter, term, learner)
    for learner, parameter, term in (
        ("anil", "B", "B B^T v_i w^T"),
        ("anil", "B", "r_i v_i^T B"),
        ("anil", "w", "B^T B B^T v_i"),
        ("maml", "B", "(w^T w_i) v_i w^T"),
        ("maml", "B", "B g_i w^T"),
        ("maml", "B", "r_i g_i^T"),
        ("maml", "w", "(r_i^T v_i) w_i"),
        ("maml", "w", "(w^T w_i) B^T v_i"),
        ("maml", "w", "B^T B g_i"),
        ("fo-maml", "w", "(r_i^T v_i) w"),
    )
)

DEVIATIONS: dict[str, Deviation] = {
    deviation.name: deviation
    for deviation in (
        *_BY_TERM,
        _step_deviation(
            "first-order-instead-of-exact", "first-order-instead-of-exact",
            "the outer gradient is not taken through the inner step", EXACT_ONES,
            _instead({"anil": "fo-anil", "maml": "fo-maml"}),
        ),
        _step_deviation(
            "exact-instead-of-first-order", "exact-instead-of-first-order",
            "the outer gradient is taken through the inner step", FIRST_ORDER,
            _instead({"fo-anil": "anil", "fo-maml": "maml"}),
        ),
        _step_deviation(
            "sum-instead-of-mean", "sum-instead-of-mean", "the tasks' gradients are summed", ALL, _sum_over_tasks
        ),
        _step_deviation("alpha-beta-swapped", "alpha-beta-swapped", "α and β are exchanged", ALL, _swapped),
        _step_deviation(
            "alpha-one-percent-off", "alpha-scaled", "α is 1 % too large", META, scaled_step_sizes(alpha_factor=1.01)
        ),
        _step_deviation(
            "beta-one-percent-off", "beta-scaled", "β is 1 % too large", ALL, scaled_step_sizes(beta_factor=1.01)
        ),
        _step_deviation(
            "inner-loss-without-half", "alpha-scaled", "the inner loss is ‖·‖², not half of it", META,
            scaled_step_sizes(alpha_factor=2.0),
        ),
        _step_deviation(
            "inner-ascent", "wrong-sign", "the inner step goes uphill", META, scaled_step_sizes(alpha_factor=-1.0)
        ),
        _step_deviation(
            "outer-ascent", "wrong-sign", "the outer step goes uphill", ALL, scaled_step_sizes(beta_factor=-1.0)
        ),
        _step_deviation(
            "stale-residual", "stale-residual", "the outer gradient uses the residual before adaptation", META, _stale
        ),
        _step_deviation(
            "unadapted-head", "unadapted-parameter", "∇_B uses the head w where the adapted head belongs", META,
            _unadapted_head,
        ),
        _step_deviation(
            "adapts-representation-instead-of-head", "wrong-inner-parameter",
            "the ANILs' inner step moves the representation", frozenset({"anil", "fo-anil"}),
            _adapts({"anil": "representation", "fo-anil": "representation"}),
        ),
        _step_deviation(
            "adapts-head-only", "wrong-inner-parameter", "the MAMLs' inner step moves the head only",
            frozenset({"maml", "fo-maml"}), _instead({"maml": "anil", "fo-maml": "fo-anil"}),
        ),
        _step_deviation("float32-inside", "single-precision", "computes in float32", ALL, _single_precision),
        _step_deviation("drops-last-task", "dropped-task", "the last task is left out", ALL, _drops_last_task),
        _step_deviation(
            "sequential-outer-step", "sequential-step", "the head's gradient is taken at the new representation", ALL,
            _sequential_outer,
        ),
        _step_deviation(
            "sequential-inner-step", "sequential-step", "the representation adapts at the adapted head",
            frozenset({"maml", "fo-maml"}), _sequential_inner,
        ),
        _step_deviation(
            "transposed-factor", "transposed-factor", "v_i r_iᵀ stands where r_i v_iᵀ belongs", EXACT_ONES, _transposed
        ),
        _step_deviation(
            "transposed-rank-two-part", "transposed-factor", "B w sᵀ stands where B s wᵀ belongs", EXACT_ONES,
            _transposed_rank_two,
        ),
        _step_deviation(
            "mean-task-first", "averaged-too-early", "the targets are averaged before adapting", META, _mean_task_first
        ),
        _step_deviation(
            "adaptation-carried-over", "state-carried-over", "each task adapts from where the last one ended", META,
            _adaptation_carried_over,
        ),
        _step_deviation(
            "outer-step-from-adapted", "adapted-parameter", "the outer step starts at the mean adapted head", META,
            _outer_from_adapted,
        ),
        _step_deviation(
            "one-inner-step-too-many", "wrong-number-of-steps", "the head takes two inner steps", META, _two_inner_steps
        ),
        _step_deviation("rescaled-representation", "retraction", "B is rescaled to its old norm", ALL, _retracted),
        _step_deviation("weight-decay", "weight-decay", "weight decay of 10⁻³ on B and w", ALL, _weight_decay),
        _step_deviation("frozen-head", "frozen-head", "the outer step does not move the head", ALL, _frozen_head),
        _distance_deviation("distance-by-arccos", "the distance is sin(arccos(σ_min)) of B_*ᵀB̂", _distance_by_arccos),
        _distance_deviation(
            "distance-without-basis", "the distance is taken of B, not of an orthonormal basis", _distance_without_basis
        ),
        _distance_deviation("frobenius-distance", "the distance is the Frobenius norm", _frobenius_distance),
        _distance_deviation("smallest-angle", "the distance is the smallest principal angle's sine", _smallest_angle),
    )
}  # fmt: skip
"""All deviations by name."""
