"""What is allowed, as far as it is known without NumPy: the command line's help loads nothing that is slow."""

from collections.abc import Iterable
from difflib import get_close_matches

LARGEST_D = 10**12
"""Largest ambient dimension: beyond it the random parts of a start are no longer told apart from its rounding
errors.
"""


def unknown(what: str, word: str, known: Iterable[str], allowed: str = "", meant: Iterable[str] = ()) -> ValueError:
    """The error to raise for a word that is none of ``known``: it names those most like it (where none is, those that
    may be ``meant``), and the rest by ``allowed`` (how to list them), or itself where they are few.
    """
    words = {each.lower(): each for each in known}
    near = [words[each] for each in get_close_matches(word.lower(), words, n=3)] or [*meant]
    told = f" (did you mean {' or '.join(near)}?)" if near else ""
    return ValueError(f"unknown {what} {word!r}{told}; allowed: {allowed or ', '.join(words.values())}")
