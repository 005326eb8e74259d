"""Somebody else's implementation: every claim that speaks of it, and the likely cause where one fails."""

from collections.abc import Callable
from typing import Any

from metarep.sim.foreign.adapter import adapter_of
from metarep.sim.foreign.implementation import foreign_implementation
from metarep.sim.foreign.remote import TIMEOUT, opened
from metarep.sim.implementations import Implementation
from metarep.theory.engine.foreign.calls import every_claim
from metarep.theory.engine.foreign.checking import CheckResult, check_implementation
from metarep.theory.engine.foreign.forms import claims_of

__all__ = ["check"]


def check(
    adapter: str | Callable[..., Any] | Implementation,
    *,
    max_examples: int = 12,
    seed: int = 0,
    timeout: float = TIMEOUT,
) -> CheckResult:
    """Every claim of the catalogue that speaks of update maps, against one implementation.

    A file or a module runs in a process of its own, as under ``metarep check``: whatever it does there ends as an
    ``AdapterError``, and with the process. Its result is complete, but its ``implementation`` cannot be called any
    more. A function, or an ``Implementation``, is called in this process: a debugger sees it, and what it does (hang,
    exit, crash) it does to this process.

    Args:
        adapter: a path to a Python file that ends in ``.py``, or a dotted module name; a function
            ``step(learner, B, w, targets, alpha, beta) -> (B_next, w_next)``; or an ``Implementation``.
        max_examples: examples of each claim at most.
        seed: fixes the examples.
        timeout: seconds that a call may take, in a process of its own.

    Raises:
        AdapterError: the adapter cannot be used: it raised, changed its inputs, returned other shapes, did not return.
    """
    if isinstance(adapter, str):
        with opened(adapter, timeout=timeout) as callee:
            return check(foreign_implementation(callee), max_examples=max_examples, seed=seed)
    if not isinstance(adapter, Implementation):
        adapter = foreign_implementation(adapter_of(adapter))
    every = (*every_claim(), *claims_of(adapter))
    return check_implementation(adapter, every, max_examples=max_examples, seed=seed)
