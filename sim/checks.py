"""What is allowed: whole numbers, dimensions, step sizes, noise, sample sizes; every error is one line that says it."""

import math
from typing import Any

import numpy as np

from metarep.sim.bounds import LARGEST_D

Array = np.ndarray


def check_whole(
    name: str, value: Any, least: int, most: int | None = None, *, allowed: str = "", context: str = ""
) -> int:
    """The value as an int; ``ValueError`` unless it is a whole number in that range. ``context`` follows the value."""
    whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    if not whole or value < least or (most is not None and value > most):
        raise ValueError(f"{name} is {value!r}{context}; allowed: {allowed or f'a whole number, {least} or more'}")
    return int(value)


def check_dimensions(d: int, k: int, n: int) -> None:
    """``ValueError`` unless 1 <= d <= 10^12, 1 <= k <= d and 1 <= n <= 10^12 are whole numbers."""
    d = check_whole("d", d, 1, LARGEST_D, allowed=f"a whole number d >= 1, at most {LARGEST_D}")
    check_whole("k", k, 1, d, allowed="1 <= k <= d, a whole number", context=f" with d = {d}")
    check_tasks(n)


def check_tasks(n: int) -> int:
    """``ValueError`` unless 1 <= n <= 10^12 is a whole number."""
    return check_whole("n", n, 1, LARGEST_D, allowed=f"a whole number n >= 1, at most {LARGEST_D}")


def check_step_size(name: str, value: Any, zero_allowed: bool = False) -> None:
    """``ValueError`` unless a step size (scalar or array) is real, finite and positive (or zero, where that is
    allowed).
    """
    try:
        numbers = np.asarray(value, dtype=float)
        good = bool(np.all(np.isfinite(numbers) & ((numbers > 0) | ((numbers == 0) & zero_allowed))))
    except (TypeError, ValueError, OverflowError):
        good = False
    if not good:
        raise ValueError(f"{name} is {value!r}; allowed: {name} {'>=' if zero_allowed else '>'} 0 and finite")


def check_run(steps: Any, record_every: Any, alpha: Any, beta: Any) -> None:
    """``ValueError`` unless a run can take so many steps of these sizes (β may be zero) and record them so often."""
    check_whole("steps", steps, 0)
    check_whole("record_every", record_every, 1)
    check_step_size("alpha", alpha)
    check_step_size("beta", beta, zero_allowed=True)


def check_noise(sigma: Any) -> Array:
    """σ as an array of floats; ``ValueError`` unless all are finite and none is negative."""
    sigma = np.asarray(sigma, float)
    if not (np.isfinite(sigma).all() and (sigma >= 0).all()):
        raise ValueError(f"sigma is {sigma}; allowed: finite numbers, 0 or more")
    return sigma


def check_sample_size(name: str, m: Any) -> Any:
    """A sample size as an int, or None for the population (None or ``math.inf``); whole numbers of a batch's runs as
    they are.

    Raises:
        ValueError: it is neither a whole number ≥ 1 nor infinite.
    """
    if np.ndim(m):
        for size in np.unique(m):
            check_sample_size(name, size)
        return np.asarray(m, int)
    if m is None or (isinstance(m, (float, np.floating)) and m == math.inf):
        return None
    return check_whole(name, m, 1, allowed="a whole number, 1 or more, or None or math.inf for the population")


def per_direction(name: str, value: Any, k: int, negative_allowed: bool = True) -> Array:
    """A scalar or (k,) array as a (k,) array of finite floats; ``ValueError`` if it is none."""
    allowed = f"a finite number or {k} of them" + ("" if negative_allowed else ", none negative")
    try:
        numbers = np.asarray(value, dtype=float)
    except (TypeError, ValueError):
        raise ValueError(f"{name} is {value!r}; allowed: {allowed}") from None
    if numbers.shape not in ((), (k,)):
        raise ValueError(f"{name} has shape {numbers.shape}; allowed: {allowed}")
    if not np.all(np.isfinite(numbers)) or (not negative_allowed and np.any(numbers < 0)):
        raise ValueError(f"{name} is {value!r}; allowed: {allowed}")
    return np.broadcast_to(numbers, (k,))
