"""Numbers and arrays of numbers as strategies of one piece.

Hypothesis' lists keep a record of where each entry begins and ends, and its mapped strategies of what each was made of.
With arrays of numbers these records take most of the time of a draw, and say nothing: every entry is one choice.
"""

from collections.abc import Callable
from functools import cache, lru_cache
from typing import Any, Generic, TypeVar

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

T = TypeVar("T")


class Drawn(SearchStrategy[T], Generic[T]):
    """An array of choices of one strategy, as nested lists: the same choices in the same order as lists of it draw.

    Args:
        entry: draws an entry; it is a single choice.
        shape: sizes of the array; empty for a number.
        tidy: what becomes of each.
    """

    def __init__(
        self, entry: SearchStrategy[Any], shape: tuple[int, ...] = (), tidy: Callable[[Any], T] | None = None
    ) -> None:
        super().__init__()
        self.entry, self.shape, self.tidy = entry, shape, tidy
        self._draws: Any = getattr(entry, "wrapped_strategy", entry)

    def __repr__(self) -> str:
        return f"{self.entry!r} in an array of shape {self.shape}"

    def do_validate(self) -> None:
        """Refuse what the entry's strategy refuses."""
        self.entry.validate()

    def do_draw(self, data: Any) -> Any:
        """Draw all of them."""
        return self._part(self.shape, data)

    def _part(self, shape: tuple[int, ...], data: Any) -> Any:
        if shape:
            return [self._part(shape[1:], data) for _ in range(shape[0])]
        drawn = self._draws.do_draw(data)
        return drawn if self.tidy is None else self.tidy(drawn)


@lru_cache(maxsize=None, typed=True)
def one_of(*values: Any) -> SearchStrategy[Any]:
    """One of these values: as ``sampled_from``, made and validated once."""
    return st.sampled_from(values)


@cache
def whole(least: int, most: int) -> SearchStrategy[int]:
    """A whole number in [least, most]: as ``integers``, made and validated once."""
    return st.integers(least, most)
