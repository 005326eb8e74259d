"""Random numbers for a batch of runs with streams of their own: what one is given does not depend on the others."""

from collections.abc import Sequence
from typing import Any, cast

import numpy as np

Array = np.ndarray


class _Streams:
    """Draws arrays whose first axis is the runs', each run's rows from its own group's generator."""

    def __init__(self, generators: Sequence[np.random.Generator], rows: int, kept: Array) -> None:
        self._generators, self._rows = generators, rows
        self._kept = None if np.array_equal(kept, np.arange(rows * len(generators))) else kept
        self._runs = len(kept)
        self._first_of_group = np.unique(kept // rows, return_index=True)[1]

    def _drawn(self, name: str, shape: tuple[int, ...], *before: Sequence[Any]) -> Array:
        """What the generators' functions of that name draw, with arguments of their own before the shape."""
        runs, *rest = shape
        if runs != self._runs:
            raise ValueError(f"shape is {shape}; allowed: {self._runs} along the first axis, the runs")
        drawn = np.empty((len(self._generators), self._rows, *rest))
        for group, generator, *own in zip(drawn, self._generators, *before, strict=True):
            group[...] = getattr(generator, name)(*own, group.shape)
        drawn = drawn.reshape(len(drawn) * self._rows, *rest)  # there may be nothing in a row
        return drawn if self._kept is None else drawn[self._kept]

    def standard_normal(self, size: tuple[int, ...]) -> Array:
        """As a generator's."""
        return self._drawn("standard_normal", size)

    def chisquare(self, df: Any, size: tuple[int, ...]) -> Array:
        """As a generator's; ``df`` may differ from group to group, in an array with as many axes as there are."""
        each = list(df[self._first_of_group]) if np.ndim(df) == len(size) else [df] * len(self._generators)
        numbers = [one.item() if np.size(one) == 1 and np.ndim(one) else one for one in each]  # drawn in half the time
        return self._drawn("chisquare", size, numbers)

    def spawn(self, n_children: int) -> list["_Streams"]:
        """As a generator's: of each one as many children."""
        kept = np.arange(self._runs) if self._kept is None else self._kept
        families = zip(*(generator.spawn(n_children) for generator in self._generators), strict=True)
        return [_Streams(family, self._rows, kept) for family in families]

    @property
    def bit_generator(self) -> "_Streams":
        """What has a state: tasks that are drawn afresh begin again by it."""
        return self

    @property
    def state(self) -> list[Any]:
        """Of all generators."""
        return [generator.bit_generator.state for generator in self._generators]

    @state.setter
    def state(self, states: list[Any]) -> None:
        for generator, state in zip(self._generators, states, strict=True):
            generator.bit_generator.state = state


def streams(generators: Sequence[np.random.Generator], rows: int, kept: Array) -> np.random.Generator:
    """A source for runs in groups, which takes a generator's place where the first axis of all that is drawn is theirs.

    Args:
        generators: one a group.
        rows: runs of a whole group; so many rows are drawn of each, whichever are wanted.
        kept: the runs, as indices into the groups' rows one behind another; one may be there twice.
    """
    return cast(np.random.Generator, _Streams(generators, rows, kept))  # what it lacks fails at once
