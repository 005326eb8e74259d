"""Wrong implementations: the reference with one thing wrong, as it happens in real code.

A second-order term left out, a sum where the mean belongs, an adapted parameter where the unadapted belongs, a distance
by the inverse cosine. Most are made from the terms of the readable outer gradients (``metarep.sim.terms``). They also
tell the cause of a wrong implementation.
"""

from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

import numpy as np

from metarep.sim.batches import common_batch, flattened_step, transposed
from metarep.sim.implementations import REFERENCE, Implementation
from metarep.sim.learners import LEARNERS, META_LEARNERS, Learner, get_learner
from metarep.sim.mutants.distances import DISTANCE_MUTANTS
from metarep.sim.mutants.mutant import Mutant, Wrong
from metarep.sim.terms import At, Pair, Residuals, Terms, gradient_terms, mean, mean_outer, residuals, step_from_terms

Array = np.ndarray

ALL = frozenset(LEARNERS)
META = frozenset(META_LEARNERS)
ANILS, MAMLS = frozenset({"anil", "fo-anil"}), frozenset({"maml", "fo-maml"})
EXACT_ONES, FIRST_ORDER = frozenset({"anil", "maml"}), frozenset({"fo-anil", "fo-maml"})


def _exactly(factor: float, like: Array) -> Any:
    """A factor such as 1.01 as a fraction where the arrays hold fractions."""
    return Fraction(str(factor)) if like.dtype == object else factor


def by_setting(wrong: Wrong) -> Wrong:
    """A wrong step written for scalar α and β, setting by setting where these vary over the batch axes."""

    def step(right: Callable[..., Pair], learner: Learner, *at: Any) -> Pair:
        if all(np.ndim(step_size) == 0 for step_size in at[3:]):
            return wrong(right, learner, *at)
        batch, (B, w, targets, alpha, beta) = flattened_step(*at)
        next_B, next_w = np.empty_like(B), np.empty_like(w)
        for setting in {(a, b) for a, b in zip(alpha.tolist(), beta.tolist(), strict=True)}:
            here = (alpha == setting[0]) & (beta == setting[1])
            next_B[here], next_w[here] = wrong(right, learner, B[here], w[here], targets[here], *setting)
        return next_B.reshape(batch + B.shape[1:]), next_w.reshape(batch + w.shape[1:])

    return step


# --- the right step, taken elsewhere


def elsewhere(change: Callable[[At], At]) -> Wrong:
    """The right step at ``change(at)``."""
    return lambda right, *at: right(*change(At(*at)))


def scaled_step_sizes(alpha_factor: float = 1.0, beta_factor: float = 1.0) -> Wrong:
    """α and β multiplied by factors: a missing ½ in the loss, a step size that is slightly off, ..."""

    def change(at: At) -> At:
        return at._replace(alpha=at.alpha * _exactly(alpha_factor, at.B), beta=at.beta * _exactly(beta_factor, at.B))

    return elsewhere(change)


def _instead(table: Mapping[str, str]) -> Wrong:
    """The step of another learner."""
    return elsewhere(lambda at: at._replace(learner=get_learner(table[at.learner.name])))


_sum_over_tasks = elsewhere(lambda at: at._replace(beta=at.beta * at.targets.shape[-1]))
_swapped = elsewhere(lambda at: at._replace(alpha=at.beta, beta=at.alpha))
_drops_last_task = elsewhere(
    lambda at: at._replace(targets=at.targets[..., :-1] if at.targets.shape[-1] > 1 else at.targets)
)
_mean_task_first = elsewhere(lambda at: at._replace(targets=mean(at.targets)[..., :, None]))


def _two_moments(right: Callable[..., Pair], *arguments: Any) -> Pair:
    """Each task is joined by its reflection in the mean task, which keeps two moments and makes the third symmetric."""
    at = At(*arguments)
    reflected = 2 * mean(at.targets)[..., :, None] - at.targets
    return right(*at._replace(targets=np.concatenate([at.targets, reflected], axis=-1)))


# --- the right step's result, changed


@by_setting
def _single_precision(right: Callable[..., Pair], *arguments: Any) -> Pair:
    learner, B, w, targets, alpha, beta = arguments
    if B.dtype == object:  # a lossy cast has no exact counterpart: round to 24 bits in effect by going through float32
        round_off = np.vectorize(lambda x: Fraction(float(np.float32(x))), otypes=[object])
        return right(learner, round_off(B), round_off(w), round_off(targets), alpha, beta)
    B, w, targets = (np.asarray(x, dtype=np.float32) for x in (B, w, targets))
    next_B, next_w = right(learner, B, w, targets, np.float32(alpha), np.float32(beta))
    return next_B.astype(float), next_w.astype(float)


def _sequential_outer(right: Callable[..., Pair], *arguments: Any) -> Pair:
    at = At(*arguments)
    next_B, _ = right(*at)
    return next_B, right(*at._replace(B=next_B))[1]


@by_setting
def _outer_from_adapted(right: Callable[..., Pair], *arguments: Any) -> Pair:
    """Takes the outer step of the head from the mean adapted head, not from w."""
    at, (next_B, next_w) = At(*arguments), right(*arguments)
    return next_B, next_w + mean(residuals(at).W) - at.w


def _retracted(right: Callable[..., Pair], *arguments: Any) -> Pair:
    """Divides the new representation by its Frobenius norm times the old one's: keeps the scale, silently."""
    at, (next_B, next_w) = At(*arguments), right(*arguments)
    if at.B.dtype == object:
        return next_B * Fraction(999, 1000), next_w  # no exact square root: shrink by a fixed amount
    norms, old = (np.sqrt(np.square(B).sum((-2, -1), keepdims=True)) for B in (next_B, at.B))
    return next_B * np.divide(old, norms, out=np.ones_like(norms), where=norms > 0), next_w


@by_setting
def _weight_decay(right: Callable[..., Pair], *arguments: Any) -> Pair:
    at, (next_B, next_w) = At(*arguments), right(*arguments)
    decay = at.beta * _exactly(1e-3, at.B)
    return next_B - decay * at.B, next_w - decay * at.w


def _frozen(right: Callable[..., Pair], *arguments: Any) -> Pair:
    at = At(*arguments)
    batch = common_batch(B=(at.B, 2), w=(at.w, 1), targets=(at.targets, 2), alpha=(at.alpha, 0), beta=(at.beta, 0))
    if at.B.shape[:-2] == at.w.shape[:-1] == batch:
        return at.B, at.w
    return np.broadcast_to(at.B, batch + at.B.shape[-2:]), np.broadcast_to(at.w, batch + at.w.shape[-1:])


@by_setting
def _stops_halfway(right: Callable[..., Pair], *arguments: Any) -> Pair:
    """Takes no more steps once the adapted residuals are a tenth of the targets: too coarse a stopping rule."""
    at, (next_B, next_w) = At(*arguments), right(*arguments)
    V, targets = residuals(at).V, at.targets
    left, all_of_it = ((np.square(x)).sum((-2, -1)) for x in (V, targets))
    going = np.asarray(left * 100 > all_of_it, dtype=bool)
    return np.where(going[..., None, None], next_B, at.B), np.where(going[..., None], next_w, at.w)


def _one_direction_left_out(right: Callable[..., Pair], *arguments: Any) -> Pair:
    """The last column of B is never updated."""
    at, (next_B, next_w) = At(*arguments), right(*arguments)
    return np.concatenate([next_B[..., :-1], at.B[..., -1:] + 0 * next_B[..., -1:]], axis=-1), next_w


def _uneven(right: Callable[..., Pair], *arguments: Any) -> Pair:
    """Makes the positive entries of the result too large, as rounding toward +∞ at few bits would; zeros stay zeros."""
    next_B, next_w = right(*arguments)
    more = 1 + _exactly(0.01, next_B)
    return np.where(next_B > 0, more * next_B, next_B), np.where(next_w > 0, more * next_w, next_w)


def _offset(right: Callable[..., Pair], *arguments: Any) -> Pair:
    next_B, next_w = right(*arguments)
    return next_B + _exactly(1e-3, next_B), next_w + _exactly(1e-3, next_w)


def _frozen_head(right: Callable[..., Pair], *arguments: Any) -> Pair:
    return right(*arguments)[0], At(*arguments).w


# --- first-order gradients at something else


def _first_order(columns: Callable[[At], tuple[Array, Array, Array]]) -> Wrong:
    """∇_B = mean of v_i w_iᵀ and ∇_w = mean of g_i for other (V, W, G)."""

    def wrong(right: Callable[..., Pair], *arguments: Any) -> Pair:
        at = At(*arguments)
        V, W, G = columns(at)
        return at.moved(mean_outer(V, W), mean(G))

    return by_setting(wrong)


def _stale(at: At) -> tuple[Array, Array, Array]:
    R, W, _, _ = residuals(at)
    return R, W, transposed(at.B) @ R


def _adapting(adapts: str) -> Callable[[At], tuple[Array, Array, Array]]:
    """The inner step moves another parameter."""

    def columns(at: At) -> tuple[Array, Array, Array]:
        _, W, V, G = residuals(at._replace(learner=Learner("wrong", adapts, at.learner.first_order)))  # type: ignore[arg-type]
        return V, W, G

    return columns


def _at_heads(at: At, W: Array) -> tuple[Array, Array, Array]:
    """(V, W, G) where the heads W were adapted and B was not."""
    V = at.B @ W - at.targets
    return V, W, transposed(at.B) @ V


def _carried_over(at: At) -> tuple[Array, Array, Array]:
    """Forgets to reset the head between tasks: task i adapts from the head that task i − 1 left."""
    head, heads = at.head, []
    for i in range(at.targets.shape[-1]):
        head = at._replace(targets=at.targets[..., i : i + 1]).adapted(head)
        heads.append(head)
    return _at_heads(at, np.concatenate(heads, axis=-1))


def _two_inner_steps(at: At) -> tuple[Array, Array, Array]:
    """One inner step too many, on the head."""
    return _at_heads(at, at.adapted(at.adapted(at.head)))


# --- other terms


def other_terms(change: Callable[[At, Residuals, Terms, Terms], None]) -> Wrong:
    """``change(at, residuals, terms of ∇_B, terms of ∇_w)`` changes the gradients' terms in place."""

    def wrong(right: Callable[..., Pair], *arguments: Any) -> Pair:
        at = At(*arguments)
        terms_B, terms_w = gradient_terms(at)
        change(at, residuals(at), terms_B, terms_w)
        return step_from_terms(at, terms_B, terms_w)

    return by_setting(wrong)


def _unadapted_head(at: At, found: Residuals, terms_B: Terms, terms_w: Terms) -> None:
    terms_B["v_i w_i^T"] = mean(found.V)[..., :, None] * at.w[..., None, :]


def _transposed_factor(at: At, found: Residuals, terms_B: Terms, terms_w: Terms) -> None:
    name = "r_i v_i^T B" if at.learner.name == "anil" else "r_i g_i^T"
    terms_B[name] = -at.alpha * mean_outer(found.V, transposed(at.B) @ found.R)


def _transposed_rank_two(at: At, found: Residuals, terms_B: Terms, terms_w: Terms) -> None:
    """B w sᵀ where B s wᵀ belongs."""
    name = "B B^T v_i w^T" if at.learner.name == "anil" else "B g_i w^T"
    terms_B[name] = -at.alpha * (at.B @ at.head) * mean(found.G)[..., None, :]


def _sequential_inner(at: At, found: Residuals, terms_B: Terms, terms_w: Terms) -> None:
    """The head adapts first and the representation sees the adapted head (first-order gradient at the result)."""
    W = at.adapted(at.head)
    R = at.B @ W - at.targets
    V = R - at.alpha * R * (W * W).sum(-2, keepdims=True)
    G = transposed(at.B) @ V - at.alpha * W * (R * V).sum(-2, keepdims=True)
    terms_B["v_i w_i^T"], terms_w["B^T v_i"] = mean_outer(V, W), mean(G)
    terms_w.pop("(r_i^T v_i) w")


# --- the list


def step_mutant(
    name: str, cause: str, what: str, learners: frozenset[str], wrong: Wrong, told: str = ""
) -> Mutant:  # fmt: skip
    """A wrong step of some learners."""

    def of_these(right: Callable[..., Pair], learner: Learner, *at: Any) -> Pair:
        return wrong(right, learner, *at) if learner.name in learners else right(learner, *at)

    return Mutant(name, "implementation", cause, what, {"step": of_these}, learners, told)


def _missing(learner: str, parameter: str, term: str) -> Mutant:
    def leave_out(at: At, found: Residuals, terms_B: Terms, terms_w: Terms) -> None:
        (terms_B if parameter == "B" else terms_w).pop(term)

    short = term.replace("^T", "'").replace("_i", "").replace(" ", "").replace("(", "").replace(")", "")
    what = f"{learner}: the term {term} of the gradient by {parameter} is left out"
    name = f"{learner}-without-{parameter}-{short}"
    return step_mutant(name, "missing-term", what, frozenset({learner}), other_terms(leave_out))


IMPLEMENTATION_MUTANTS: tuple[Mutant, ...] = (
    _missing("anil", "B", "B B^T v_i w^T"),
    _missing("anil", "B", "r_i v_i^T B"),
    _missing("anil", "w", "B^T B B^T v_i"),
    _missing("maml", "B", "(w^T w_i) v_i w^T"),
    _missing("maml", "B", "B g_i w^T"),
    _missing("maml", "B", "r_i g_i^T"),
    _missing("maml", "w", "(r_i^T v_i) w_i"),
    _missing("maml", "w", "(w^T w_i) B^T v_i"),
    _missing("maml", "w", "B^T B g_i"),
    _missing("fo-maml", "w", "(r_i^T v_i) w"),
    step_mutant(
        "first-order-instead-of-exact", "first-order-instead-of-exact",
        "the outer gradient is not taken through the inner step", EXACT_ONES,
        _instead({"anil": "fo-anil", "maml": "fo-maml"}),
    ),
    step_mutant(
        "exact-instead-of-first-order", "exact-instead-of-first-order",
        "the outer gradient is taken through the inner step", FIRST_ORDER,
        _instead({"fo-anil": "anil", "fo-maml": "maml"}),
    ),
    step_mutant("sum-instead-of-mean", "sum-instead-of-mean", "the tasks' gradients are summed", ALL, _sum_over_tasks),
    step_mutant("alpha-beta-swapped", "alpha-beta-swapped", "α and β are exchanged", ALL, _swapped),
    step_mutant(
        "alpha-one-percent-off", "alpha-scaled", "α is 1 % too large", META, scaled_step_sizes(alpha_factor=1.01)
    ),
    step_mutant("beta-one-percent-off", "beta-scaled", "β is 1 % too large", ALL, scaled_step_sizes(beta_factor=1.01)),
    step_mutant(
        "half-speed", "beta-scaled", "β is half of what it should be", ALL, scaled_step_sizes(beta_factor=0.5)
    ),
    step_mutant(
        "slower-by-one-percent", "beta-scaled", "β is 1 % too small", ALL, scaled_step_sizes(beta_factor=0.99)
    ),
    step_mutant("frozen", "frozen", "it does not move", ALL, _frozen),
    step_mutant(
        "stops-halfway", "stops-early", "it stops once the adapted residuals are a tenth of the targets", META,
        _stops_halfway,
    ),
    step_mutant(
        "one-direction-left-out", "frozen-direction", "the last column of B is not updated", ALL,
        _one_direction_left_out,
    ),
    step_mutant(
        "inner-loss-without-half", "alpha-scaled", "the inner loss is ‖·‖², not half of it", META,
        scaled_step_sizes(alpha_factor=2.0),
    ),
    step_mutant("inner-ascent", "wrong-sign", "the inner step goes uphill", META, scaled_step_sizes(alpha_factor=-1.0)),
    step_mutant("outer-ascent", "wrong-sign", "the outer step goes uphill", ALL, scaled_step_sizes(beta_factor=-1.0)),
    step_mutant(
        "stale-residual", "stale-residual", "the outer gradient uses the residual before adaptation", META,
        _first_order(_stale),
    ),
    step_mutant(
        "unadapted-head", "unadapted-parameter", "∇_B uses the head w where the adapted head belongs", META,
        other_terms(_unadapted_head),
    ),
    step_mutant(
        "adapts-representation-instead-of-head", "wrong-inner-parameter",
        "the ANILs' inner step moves the representation", ANILS, _first_order(_adapting("representation")),
    ),
    step_mutant(
        "adapts-head-only", "wrong-inner-parameter", "the MAMLs' inner step moves the head only", MAMLS,
        _instead({"maml": "anil", "fo-maml": "fo-anil"}),
    ),
    step_mutant("float32-inside", "single-precision", "computes in float32", ALL, _single_precision),
    step_mutant("drops-last-task", "dropped-task", "the last task is left out", ALL, _drops_last_task),
    step_mutant(
        "sequential-outer-step", "sequential-step", "the head's gradient is taken at the new representation", ALL,
        _sequential_outer,
    ),
    step_mutant(
        "sequential-inner-step", "sequential-step", "the representation adapts at the adapted head", MAMLS,
        other_terms(_sequential_inner),
    ),
    step_mutant(
        "transposed-factor", "transposed-factor", "v_i r_iᵀ stands where r_i v_iᵀ belongs", EXACT_ONES,
        other_terms(_transposed_factor),
    ),
    step_mutant(
        "transposed-rank-two-part", "transposed-factor", "B w sᵀ stands where B s wᵀ belongs", EXACT_ONES,
        other_terms(_transposed_rank_two),
    ),
    step_mutant(
        "mean-task-first", "averaged-too-early", "the targets are averaged before adapting", META, _mean_task_first
    ),
    step_mutant(
        "two-moments-only", "too-few-moments", "of the tasks no more than the first two moments is used", MAMLS,
        _two_moments,
    ),
    step_mutant(
        "adaptation-carried-over", "state-carried-over", "each task adapts from where the last one ended", META,
        _first_order(_carried_over),
    ),
    step_mutant(
        "outer-step-from-adapted", "adapted-parameter", "the outer step starts at the mean adapted head", META,
        _outer_from_adapted,
    ),
    step_mutant(
        "one-inner-step-too-many", "wrong-number-of-steps", "the head takes two inner steps", META,
        _first_order(_two_inner_steps),
    ),
    step_mutant("rescaled-representation", "retraction", "B is rescaled to its old norm", ALL, _retracted),
    step_mutant("uneven", "uneven", "positive entries of the result are 1 % too large", ALL, _uneven),
    step_mutant("offset", "offset", "10⁻³ is added to every entry of the result", ALL, _offset),
    step_mutant("weight-decay", "weight-decay", "weight decay of 10⁻³ on B and w", ALL, _weight_decay),
    step_mutant("frozen-head", "frozen-head", "the outer step does not move the head", ALL, _frozen_head),
    *DISTANCE_MUTANTS,
)  # fmt: skip
"""Every wrong implementation."""


def wrong_implementation(mutant: Mutant) -> Implementation:
    """The reference with the mutant's parts."""
    return mutant.of(REFERENCE, name=mutant.name)
