"""The sizes of an example, and how many examples have which.

One place reads them, by the keys that strategies give their examples: ``k`` (the learner's width), ``d``, ``n``
(tasks), and the norm of B where B, or what its singular values are, stands in the example.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction
from math import floor, log10
from typing import NamedTuple

import numpy as np

from metarep.theory.claims.record import Example
from metarep.theory.claims.strategies import array

BLOCKS = (("B",), ("X", "Y"), ("P", "Y"))
"""Keys of B, or of its blocks in an orthonormal frame."""
SCALES = ("a", "b", "c", "q", "scale")
"""Keys of a number that is every singular value of B, or of the part of it that is balanced."""


class ExampleSizes(NamedTuple):
    """The sizes that an example has; None for those that it has not."""

    k: int | None
    d: int | None
    n: int | None
    norm: float | None


def sizes_of(example: Example) -> ExampleSizes:
    """The sizes of an example; ‖B‖ is that of the start, where there is a run."""
    return ExampleSizes(example.get("k"), example.get("d"), example.get("n"), _norm(example))


def _norm(example: Example) -> float | None:
    for keys in BLOCKS:
        if all(key in example for key in keys):
            blocks = [array(example[key]).astype(float) for key in keys]
            return float(np.linalg.norm(np.concatenate(blocks), 2))
    for key in SCALES:
        if isinstance(value := example.get(key), int | float | Fraction):
            return float(value)
    # From balance, with L_* = 1: ‖B_0‖ = 1/√α, of the first setting where there are several.
    if "settings" in example:
        return float(example["settings"][0]["alpha_L"]) ** -0.5
    if "spectra" in example:
        return float(example["steps"][0][0]) ** -0.5
    return float(example["alpha_L"]) ** -0.5 if "alpha_L" in example else None


@dataclass(frozen=True)
class SizeCounts:
    """How many examples have which sizes; one without a size is not counted there."""

    k: dict[str, int] = field(default_factory=dict)
    """By the learner's width."""
    d: dict[str, int] = field(default_factory=dict)
    """By the ambient dimension, powers of two: "16" counts those from 9 to 16."""
    n: dict[str, int] = field(default_factory=dict)
    """By the number of tasks, likewise."""
    norm: dict[str, int] = field(default_factory=dict)
    """By the decade of the norm of B: "-2" counts those from 0.01 to 0.1."""


def counts(examples: Iterable[ExampleSizes]) -> SizeCounts:
    """Examples counted by their sizes."""
    several = tuple(examples)
    return SizeCounts(
        _counted(each.k for each in several if each.k is not None),
        _counted(1 << (each.d - 1).bit_length() for each in several if each.d is not None),
        _counted(1 << (each.n - 1).bit_length() for each in several if each.n is not None),
        _counted(floor(log10(each.norm)) for each in several if each.norm),
    )


def added(several: Iterable[SizeCounts]) -> SizeCounts:
    """The counts of several searches together."""
    total = {name: Counter[str]() for name in ("k", "d", "n", "norm")}
    for each in several:
        for name, counter in total.items():
            counter.update(getattr(each, name))
    return SizeCounts(**{name: _by_size(counter) for name, counter in total.items()})


def _counted(sizes: Iterable[int]) -> dict[str, int]:
    return _by_size(Counter(map(str, sizes)))


def _by_size(counter: Counter[str]) -> dict[str, int]:
    return {size: counter[size] for size in sorted(counter, key=int)}
