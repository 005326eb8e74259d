"""A claim's check as foreign code needs it: NaN is a violation, an unusable adapter ends the search, what rounding
errors hide in coarse arithmetic is nobody's fault, and steps and time are limited.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from math import inf, isnan, prod
from typing import Any

import numpy as np

from metarep.sim.foreign.adapter import AdapterError
from metarep.sim.implementations import REFERENCE, Implementation
from metarep.sim.precisions import reference_at
from metarep.theory.claims.record import Check, Comparison, Example
from metarep.theory.engine.search import EnoughError

NOTHING = Comparison(float("-inf"), 0.0, 0.0, "not examined")
"""In the place of an example that is not examined: it holds, and nothing is further from being the worst."""
HIDDEN = Comparison(float("-inf"), 0.0, 1.0, "rounding errors hide what is compared", size=0.0)
"""In the place of a violation that says nothing; it is blunt."""


class _TooManyStepsError(Exception):
    """The example takes more steps than one may; never leaves this module."""


@dataclass(frozen=True)
class Limits:
    """What the search for a counterexample to one claim may cost.

    Attributes:
        steps: single steps of one example after the first (which is the simplest, and is never left out), and of all
            after the first, once ``few`` have been examined; twice as many before.
        few: so many examples are wanted even if they take long.
        shrinking_steps: single steps of making a counterexample smaller.
        seconds: until the adapter is called unusable; None for any.
        share: seconds after which no further example is begun, one that is not the first is left out, and, counted
            from a failure, shrinking ends; None for any.
    """

    steps: int
    few: int
    shrinking_steps: int
    seconds: float | None = None
    share: float | None = None


@dataclass
class Guard:
    """The check within its limits, for one search."""

    claim_id: str
    check: Check
    limits: Limits
    examined: int = 0
    left_out: int = 0
    steps: int = 0
    unusable: AdapterError | None = None
    cut: bool = False
    """Whether an example was wanted after the steps were spent."""
    hurried: bool = False
    """Whether its share of the time kept it from anything."""
    _first: int = 0
    _failed_at: int | None = None
    _started: float = field(default_factory=time.monotonic)
    _since: float = field(default_factory=time.monotonic)

    def __call__(self, example: Example, implementation: Implementation) -> Comparison:
        """The check's comparison; ``NOTHING`` for an example that takes too many steps.

        Raises:
            EnoughError: the limits are reached, or the adapter is unusable.
        """
        if self.unusable is not None or self._spent or self.late:
            self.cut |= self._spent and self._failed_at is None
            raise EnoughError
        found = self._compared(example, _Watched(self, implementation))
        if found is not NOTHING and self._failed_at is None:
            self.examined += 1
            self._first = self._first or self.steps
            if not found.holds:
                self._failed_at, self._since = self.steps, time.monotonic()
        return found

    @property
    def late(self) -> bool:
        """Whether its share of the time is up: it is not for the first example, which is the simplest."""
        share = self.limits.share
        if share is None or not self.examined or time.monotonic() <= self._since + share:
            return False
        self.hurried |= self._failed_at is None
        return True

    @property
    def _spent(self) -> bool:
        if self._failed_at is not None:
            return self.steps > self._failed_at + self.limits.shrinking_steps
        return self.steps - self._first >= self.limits.steps * (1 if self.examined >= self.limits.few else 2)

    def _compared(self, example: Example, watched: "_Watched") -> Comparison:
        try:
            found = self.check(example, watched.implementation())
        except _TooManyStepsError:
            self.left_out += self._failed_at is None
            return NOTHING
        except AdapterError as error:
            self.unusable = error
            raise EnoughError from error
        except (ArithmeticError, ValueError, np.linalg.LinAlgError):
            if watched.all_finite:
                raise  # the search finds out whose fault it is
            found = Comparison(float("nan"), 0.0, 0.0, "the step returned NaN or infinity")
        return found if found.holds or not self._hidden(found, example, watched.watched.eps) else HIDDEN

    def _hidden(self, found: Comparison, example: Example, eps: float) -> bool:
        """Whether a violation in coarser arithmetic than float64 says nothing: its tolerance is as large as what is
        compared, or it is NaN as it is for the reference in that arithmetic.
        """
        if eps <= REFERENCE.eps:
            return False
        if found.blunt or not isnan(found.value):
            return found.blunt
        try:
            return isnan(self.check(example, reference_at(eps)).value)
        except (ArithmeticError, ValueError, np.linalg.LinAlgError):
            return True

    def count(self, steps: int, name: str) -> None:
        """Note single steps; ``AdapterError`` if time is up."""
        self.steps += steps
        seconds = self.limits.seconds
        if seconds is not None and time.monotonic() > self._started + seconds:
            what = f"{name}: {self.steps} calls for claim {self.claim_id} were not enough in {seconds:g} s"
            raise AdapterError(f"{what}; allowed: faster code, more seconds for a claim, fewer examples")


class _Watched:
    """An implementation's steps on one example, counted, and values that are not finite noticed."""

    def __init__(self, guard: Guard, watched: Implementation) -> None:
        self.guard, self.watched = guard, watched
        self.most = guard.steps + guard.limits.steps if guard.examined else inf
        self.all_finite = True

    def implementation(self) -> Implementation:
        """The implementation with its steps watched."""
        parts = ("step", "several", "loop", "called", "step_on_samples")
        watched = {part: partial(self.call, own) for part in parts if (own := getattr(self.watched, part)) is not None}
        return replace(self.watched, **watched)

    def call(self, function: Callable[..., Any], *given: Any) -> Any:
        """What one of its functions returns."""
        result = function(*given)
        self.count(prod(np.shape(result[1])[:-1]))
        self.all_finite = self.all_finite and all(bool(np.isfinite(part).all()) for part in result)
        return result

    def count(self, steps: int) -> None:
        """Note single steps, and end an example that takes too many."""
        self.guard.count(steps, self.watched.name)
        if self.guard.steps > self.most or self.guard.late:
            raise _TooManyStepsError
