"""Ratios of times: numerator and denominator are timed by turns in one run, so that the machine's mood cancels."""

import gc
import os
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from metarep.reports.page.output import Progress

REPEATS = 5


@dataclass(frozen=True)
class Ratio:
    """Time of ``numerator()`` by time of ``denominator()``, times a factor; ``limit`` is the most that is claimed."""

    what: str
    numerator: Callable[[], Any]
    denominator: Callable[[], Any]
    factor: float = 1.0
    limit: float | None = None


def run_bench(
    wanted: Sequence[Ratio], told: Progress = lambda done, total: None, repeats: int = REPEATS
) -> dict[str, Any]:
    """Measure the ratios: {"ratios": [{what, median, lowest, highest, limit, within}], "repeats", "machine"}.

    Every round measures everything once, so that a slow moment of the machine falls on all; ratios are taken within
    rounds, and of them the median, the lowest and the highest over the rounds. The garbage collector is off meanwhile.
    """
    measured: list[list[float]] = [[] for _ in wanted]
    done, total = 0, (repeats + 1) * len(wanted)
    for repeat in range(repeats + 1):
        for place, ratio in enumerate(wanted):
            above, below = _seconds(ratio.numerator), _seconds(ratio.denominator)
            if repeat:  # the first round warms up
                measured[place].append(ratio.factor * above / below)
            done += 1
            told(done, total)
    return {
        "ratios": [
            {
                "what": ratio.what,
                "median": float(np.median(values)),
                "lowest": min(values),
                "highest": max(values),
                "limit": ratio.limit,
                "within": None if ratio.limit is None else bool(np.median(values) <= ratio.limit),
            }
            for ratio, values in zip(wanted, measured, strict=True)
        ],
        "repeats": repeats,
        "machine": {"cores": os.cpu_count(), "processor": platform.machine(), "python": platform.python_version()},
    }


def _seconds(function: Callable[[], Any]) -> float:
    collecting = gc.isenabled()
    gc.disable()
    try:
        started = time.perf_counter()
        function()
        return time.perf_counter() - started
    finally:
        if collecting:
            gc.enable()
