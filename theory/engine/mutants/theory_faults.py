"""Faults of the theory: closed forms with one thing wrong, for the claims that ask no implementation.

Nothing that an implementation does wrong can refute such a claim. A fault here replaces one function of the theory in
the claims' modules, where they look it up.
"""

import importlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from metarep.theory.claims.record import Claim

Wrong = Callable[..., Any]
"""``wrong(right, *arguments)``: what the faulty function returns, given the right one."""


@dataclass(frozen=True)
class TheoryFault:
    """One named way for the theory to be wrong: ``function``, as the modules ``where`` (of metarep.theory.claims) call it."""

    name: str
    description: str
    where: tuple[str, ...]
    function: str
    wrong: Wrong

    @contextmanager
    def planted(self) -> Iterator[None]:
        """The fault, for as long as the context lasts.

        Raises:
            ValueError: a module has no such function any more.
        """
        modules = [importlib.import_module(f"metarep.theory.claims.{name}") for name in self.where]
        for module in modules:
            if not hasattr(module, self.function):
                raise ValueError(
                    f"the theory fault {self.name!r} replaces {self.function} of {module.__name__}, which has none; "
                    "allowed: a function that the claims there call"
                )
        kept = [getattr(module, self.function) for module in modules]

        def faulty(right: Callable[..., Any]) -> Callable[..., Any]:
            return lambda *at, **named: self.wrong(right, *at, **named)

        try:
            for module, right in zip(modules, kept, strict=True):
                setattr(module, self.function, faulty(right))
            yield
        finally:
            for module, right in zip(modules, kept, strict=True):
                setattr(module, self.function, right)

    def concerns(self, claim: Claim) -> bool:
        """Whether the claim's check is of a module in which the fault is."""
        return claim.check is not None and claim.check.__module__.removeprefix("metarep.theory.claims.") in self.where


def _more(value: Any) -> Any:
    """One per cent more; of fractions as well."""
    return value * 101 / 100


def _scaled(right: Callable[..., Any], *at: Any, **named: Any) -> Any:
    return _more(right(*at, **named))


def _half_as_large_again(right: Callable[..., Any], *at: Any) -> Any:
    return right(*at) * 3 / 2


def _transposed(right: Callable[..., Any], *at: Any) -> Any:
    return right(*at).T


def _longer(right: Callable[..., Any], *at: Any) -> Any:
    """1 + 1.01 (G − 1) for a linearised step G."""
    G = right(*at)
    unit = np.eye(len(G), dtype=int)
    return unit + _more(G - unit)


def _halved(right: Callable[..., Any], *at: Any) -> Any:
    """(1 + G)/2: a factor of two dropped."""
    G = right(*at)
    return (G + np.eye(len(G), dtype=int)) / 2


def _third_larger(right: Callable[..., Any], *at: Any) -> Any:
    first, second, third = right(*at)
    return first, second, _more(third)


def _third_without_a_pairing(right: Callable[..., Any], mean: Any, covariance: Any) -> Any:
    """E w_a w_b w_c without the pairing of a and b."""
    first, second, third = right(mean, covariance)
    return first, second, third - (second - np.outer(mean, mean))[:, :, None] * mean


def _one_mode_more(right: Callable[..., Any], *at: Any) -> Any:
    return right(*at) + 1


def _ten_times_beta(right: Callable[..., Any], learner: Any, heads: Any, alpha: Any, beta: Any) -> Any:
    return right(learner, heads, alpha, 10 * beta)


def _first_part_larger(right: Callable[..., Any], *at: Any) -> Any:
    first, *rest = right(*at)
    return (_more(first), *rest)


def _factor_with_beta(right: Callable[..., Any], learner: Any) -> Any:
    factor, inflow = right(learner)
    return factor.scaled(beta=1), inflow


def _mean_gradients_with_noise(right: Callable[..., Any], B: Any, targets: Any, alpha: Any, m: Any, noise: Any) -> Any:
    """τ 5 % too large."""
    tau = (targets * targets).sum() / targets.shape[1] + noise
    return right(B, targets, alpha, m, noise + tau / 20)


def _mean_step_with_noise(
    right: Callable[..., Any], P: Any, Y: Any, second: Any, alpha: Any, beta: Any, m: Any, noise: Any
) -> Any:
    """τ 5 % too large."""
    tau = np.trace(second) + noise
    return right(P, Y, second, alpha, beta, m, noise + tau / 20)


def _mean_step_with_beta(
    right: Callable[..., Any], P: Any, Y: Any, second: Any, alpha: Any, beta: Any, m: Any, noise: Any
) -> Any:
    return right(P, Y, second, alpha, _more(beta), m, noise)


def _rest_of_more_samples(right: Callable[..., Any], heads: Any, alpha: Any, m_in: Any, sigma: Any) -> Any:
    """As if one sample more were drawn."""
    return right(heads, alpha, m_in + 1, sigma)


def _wider_features(right: Callable[..., Any], *at: Any) -> Any:
    sample = right(*at)
    return sample._replace(X=_more(sample.X))


RATES, GAUSSIAN, WIDTH, SAMPLES = ("rates", "stability"), ("gaussian",), ("width",), ("samples",)

THEORY_FAULTS = (
    TheoryFault("G-longer", "the linearised step 1 % too long", RATES, "span_head_matrix", _longer),
    TheoryFault("G-halved", "the linearised step half as long", RATES, "span_head_matrix", _halved),
    TheoryFault("G-transposed", "the linearisation's matrix transposed", RATES, "span_head_matrix", _transposed),
    TheoryFault("operator", "FO-MAML's operator 1 % too large", ("stability", "gaussian"), "fo_maml_operator", _scaled),
    TheoryFault("third-moment", "the heads' third moment 1 % too large", ("stability",), "third_moment", _scaled),
    TheoryFault("spectrum", "local spectra of ten times the β", ("stability",), "local_spectrum", _ten_times_beta),
    TheoryFault(
        "gaussian-third", "Gaussian heads' third moment 1 % too large", GAUSSIAN, "gaussian_head_moments", _third_larger
    ),
    TheoryFault(
        "gaussian-pairing",
        "a term of Isserlis' third moment missing",
        GAUSSIAN,
        "gaussian_head_moments",
        _third_without_a_pairing,
    ),
    TheoryFault("modes", "one unstable mode too many", GAUSSIAN, "fo_maml_unstable_modes", _one_mode_more),
    TheoryFault(
        "adapted-heads",
        "the adapted heads' second moment half as large again",
        ("contraction",),
        "adapted_second_moment",
        _half_as_large_again,
    ),
    TheoryFault("right-factor", "the right factor times β", ("structure",), "split_update", _factor_with_beta),
    TheoryFault("moments-tau", "τ 5 % too large by moments", WIDTH, "mean_gradients", _mean_gradients_with_noise),
    TheoryFault("step-tau", "τ 5 % too large in the mean step", WIDTH, "mean_step", _mean_step_with_noise),
    TheoryFault("step-beta", "β 1 % too large in the mean step", WIDTH, "mean_step", _mean_step_with_beta),
    TheoryFault("adapted-loss", "the adapted loss 1 % too large", ("sampled_steps",), "_along", _scaled),
    TheoryFault("features", "Gaussian features 1 % too large", SAMPLES, "sample_cubature", _wider_features),
    TheoryFault("mean-update", "the mean gradient by B 1 % too large", SAMPLES, "mean_gradients", _first_part_larger),
    TheoryFault("noise-moment", "the noise's moment 1 % too large", SAMPLES, "mean_noise_moment", _scaled),
    TheoryFault("mean-rest", "the rest of one inner sample more", SAMPLES, "mean_rest", _rest_of_more_samples),
)
"""By what they replace; each is refuted by a claim of the modules it is in."""
