"""What the command line takes at most, the same for all commands, and whether a run fits into this machine's memory."""

import os
from collections.abc import Mapping
from typing import Any

from metarep.reports.page.output import InputError
from metarep.sim.bounds import LARGEST_D

STEP_SIZES = (1e-9, 1e9)
"""Step sizes: ‖B‖² is about 1/α, and beyond these bounds rounding errors times it, not the learner, decide what a run
does.
"""
MOST_STEPS = 10**9
"""Outer steps: hours of the smallest problem."""
MOST_RUNS = 10**7
"""Runs of a setting (trials), and examples of a claim."""
MOST_SETTINGS = 10**6
"""Settings of a sweep."""
MOST_JOBS = 1024
"""Processes."""
LIMITS: Mapping[str, tuple[float, float]] = {
    **dict.fromkeys(("alpha", "beta"), STEP_SIZES),
    **dict.fromkeys(("m_in", "m_out"), (1, LARGEST_D)),
    "steps": (0, MOST_STEPS),
    **dict.fromkeys(("trials", "examples"), (1, MOST_RUNS)),
    "random": (1, MOST_SETTINGS),
    "jobs": (1, MOST_JOBS),
    "sigma": (0.0, 1e9),
    "head_mean": (0.0, 1e9),
}
"""Least and most of every number, by the name of its parameter; of d, k and n ``metarep.sim.checks`` has them."""
OF_A_RECORD = 112
"""Bytes of an array beside its numbers; a run keeps one for each recorded step."""


def check_limits(name: str, value: float, also: str = "") -> None:
    """``InputError`` unless a number is within its limits; ``also``: what is allowed besides."""
    low, high = LIMITS[name]
    if not low <= value <= high:
        whole, form = ("", "g") if isinstance(low, float) else ("a whole number, ", "d")
        shown = str(value) if isinstance(value, int) else f"{value:g}"
        raise InputError(f"{name.replace('_', '-')} is {shown}; allowed: {whole}{low:{form}} to {high:{form}}{also}")


def check_memory(d: int, k: int, n: int, runs: int, records: int, observed: int = 1) -> None:
    """``InputError`` if runs cannot fit into memory: by what they hold at least, their states, tasks and records.

    Args:
        d, k, n: sizes.
        runs: at once.
        records: recorded steps.
        observed: numbers recorded of each run.
    """
    rows = min(d, 2 * k)
    least = 8 * runs * (rows * k + rows * n + k * n) + records * (8 * runs * observed + OF_A_RECORD)
    here = memory_here()
    if here is not None and least > here:
        has = f"this machine has {_gigabytes(here)}"
        raise InputError(
            f"not enough memory for these sizes: {_gigabytes(least)} at least, {has}; allowed: smaller ones"
        )


def memory_here() -> int | None:
    """Bytes of memory that this machine has, None where the system does not say."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return None


def _gigabytes(size: Any) -> str:
    return f"{size / 1e9:.3g} GB"
