"""Wrong formulas: closed forms with one thing wrong.

Most claims about the theory ask no implementation, and nothing that an implementation does wrong can refute them. So a
claim's check or measurement takes the closed forms that it compares by keyword, with the right functions as defaults; a
wrong formula is passed in the place of one.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from metarep.sim.mutants.mutant import Mutant, Wrong
from metarep.theory.claims.record import Claim


def formulas(function: Callable[..., Any] | None) -> dict[str, Callable[..., Any]]:
    """The functions that a claim's check or measurement takes by keyword alone, as they are unless given."""
    if function is None:
        return {}
    parameters = inspect.signature(function).parameters.values()
    return {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY and callable(p.default)}


def with_wrong_formulas(claim: Claim, mutant: Mutant) -> Claim | None:
    """The claim with the mutant's formulas in the place of those that it takes; None if it takes none of them."""
    changed = {}
    for role in ("check", "measure"):
        taken = formulas(function := getattr(claim, role))
        wrong = {part: mutant.instead(part, taken[part]) for part in mutant.parts if part in taken}
        if wrong:
            changed[role] = partial(function, **wrong)
    return replace(claim, **changed) if changed else None


def _result(change: Callable[[Any], Any]) -> Wrong:
    """What the right function returns, changed."""
    return lambda right, *at, **named: change(right(*at, **named))


def _argument(name: str, change: Callable[[Mapping[str, Any]], Any]) -> Wrong:
    """The right function with one argument changed; ``change`` is given all of them by name."""

    def wrong(right: Callable[..., Any], *at: Any, **named: Any) -> Any:
        given = inspect.signature(right).bind(*at, **named)
        given.apply_defaults()
        given.arguments[name] = change(given.arguments)
        return right(*given.args, **given.kwargs)

    return wrong


def _more(value: Any) -> Any:
    """One per cent more; of fractions as well."""
    return value * 101 / 100


def _unit(G: Any) -> Any:
    return np.eye(len(G), dtype=int)


def _third_without_a_pairing(right: Callable[..., Any], mean: Any, covariance: Any) -> Any:
    """E w_a w_b w_c without the pairing of a and b."""
    first, second, third = right(mean, covariance)
    return first, second, third - (second - np.outer(mean, mean))[:, :, None] * mean


def _more_noise(at: Mapping[str, Any]) -> Any:
    """Label noise that makes τ, averaged over the tasks at w = 0, 5 % too large."""
    noise = at["sigma"] ** 2 if at["noise"] is None else at["noise"]
    return noise + ((at["targets"] ** 2).sum() / at["targets"].shape[-1] + noise) / 20


FORMULA_MUTANTS: tuple[Mutant, ...] = tuple(
    Mutant(name, "formula", "theory", what, {function: wrong})
    for name, what, function, wrong in (
        (
            "G-longer",
            "the linearised step 1 % too long",
            "span_head_matrix",
            _result(lambda G: _unit(G) + _more(G - _unit(G))),
        ),
        ("G-halved", "the linearised step half as long", "span_head_matrix", _result(lambda G: (G + _unit(G)) / 2)),
        ("G-transposed", "the linearisation's matrix transposed", "span_head_matrix", _result(lambda G: G.T)),
        ("operator", "FO-MAML's operator 1 % too large", "fo_maml_operator", _result(_more)),
        ("third-moment", "the heads' third moment 1 % too large", "third_moment", _result(_more)),
        (
            "spectrum",
            "local spectra of ten times the β",
            "local_spectrum",
            _argument("beta", lambda at: 10 * at["beta"]),
        ),
        (
            "gaussian-third",
            "Gaussian heads' third moment 1 % too large",
            "gaussian_head_moments",
            _result(lambda moments: (*moments[:2], _more(moments[2]))),
        ),
        (
            "gaussian-pairing",
            "a term of Isserlis' third moment missing",
            "gaussian_head_moments",
            _third_without_a_pairing,
        ),
        ("modes", "one unstable mode too many", "fo_maml_unstable_modes", _result(lambda count: count + 1)),
        (
            "adapted-heads",
            "the adapted heads' second moment half as large again",
            "adapted_second_moment",
            _result(lambda moment: moment * 3 / 2),
        ),
        (
            "right-factor",
            "the right factor times β",
            "split_update",
            _result(lambda split: (split[0].scaled(beta=1), split[1])),
        ),
        ("moments-tau", "τ 5 % too large by moments", "mean_gradients", _argument("noise", _more_noise)),
        (
            "step-tau",
            "τ 5 % too large in the mean step",
            "mean_step",
            _argument("noise", lambda at: at["noise"] + (np.trace(at["second"]) + at["noise"]) / 20),
        ),
        ("step-beta", "β 1 % too large in the mean step", "mean_step", _argument("beta", lambda at: _more(at["beta"]))),
        ("adapted-loss", "the adapted loss 1 % too large", "adapted_loss", _result(_more)),
        (
            "features",
            "Gaussian features 1 % too large",
            "sample_cubature",
            _result(lambda sample: sample._replace(X=_more(sample.X))),
        ),
        (
            "mean-update",
            "the mean gradient by B 1 % too large",
            "mean_gradients",
            _result(lambda parts: (_more(parts[0]), *parts[1:])),
        ),
        (
            "mean-update-half-more",
            "the mean gradient by B half as large again, which a mean over draws must show",
            "mean_gradients",
            _result(lambda parts: (parts[0] * 3 / 2, *parts[1:])),
        ),
        ("noise-moment", "the noise's moment 1 % too large", "mean_noise_moment", _result(_more)),
        (
            "broken-rule",
            "each rule of the proofs without a hypothesis, or with another constant",
            "rule_excess",
            lambda right, *at: right(*at, broken=True),
        ),
        ("third-halved", "the heads' third moment half as large", "third_moment", _result(lambda third: third / 2)),
        ("limit", "the limit of finite samples 1 % too large", "learned_second_moment", _result(_more)),
        ("unlearning", "the constant of unlearning 1 % too large", "unlearning_constant", _result(_more)),
        (
            "floor-samples",
            "the predicted floor is of five outer samples more",
            "predicted_floor",
            _argument("m_out", lambda at: at["m_out"] + 5),
        ),
        (
            "floor-moments",
            "the predicted floor with the other fourth moments, exact or Gaussian",
            "predicted_floor",
            _argument("exact_moments", lambda at: not at["exact_moments"]),
        ),
        ("rough-floor", "the rough floor three times too large", "rough_floor", _result(lambda floor: 3 * floor)),
        ("mean-rest", "the rest of one inner sample more", "mean_rest", _argument("m_in", lambda at: at["m_in"] + 1)),
    )
)
"""By what they replace; each is refuted by a claim that takes it."""
