"""Isserlis' theorem in the word calculus: expectations over Gaussian samples, for all dimensions and sample sizes.

A task's sample is a feature matrix X (m × d, independent N(0, 1)) and label noise z (m, independent N(0, σ²)). The
expectation of a word that holds 2p of the X's is the sum, over the (2p − 1)!! ways of pairing them, of what remains
when paired letters' indices are identified: E[X_ai X_bj] = δ_ab δ_ij joins the row index of the one with that of the
other, and likewise the columns. Following the joined indices, the rest of the words falls into one open chain (the new
word) and closed loops (scalars, traces; a loop of sample indices is m). E.g. with Σ̂ = XᵀX/m and symmetric A:
E[Σ̂AΣ̂] = ((m+1)/m) A + (tr A/m) I.

Source: Isserlis 1918 (also Wick 1950); the bookkeeping on words is our own derivation.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from metarep.theory.calculus import alphabet as a
from metarep.theory.calculus.traces import trace, word_poly
from metarep.theory.calculus.words import SCALAR_SHAPE, Key, Poly, find_letter, identity, spell

GAUSSIAN: dict[str, Poly] = {
    "X_in": identity("1"),
    "X_out": identity("1"),
    "z_in": identity("1").scaled(sigma=2),
    "z_out": identity("1").scaled(sigma=2),
}
"""The Gaussian letters with the variance of their entries; different ones are independent."""

INNER = ("X_in", "z_in")
OUTER = ("X_out", "z_out")


def sample_covariance(X: Poly) -> Poly:
    """Σ̂ = XᵀX/m (d×d) of a feature matrix letter."""
    return (X.T * X).scaled(**{X.shape[0]: -1})


def cross_term(X: Poly, z: Poly) -> Poly:
    """Xᵀz/m (d×1) of a feature matrix and its label noise."""
    return (X.T * z).scaled(**{X.shape[0]: -1})


def pairings(items: Sequence[int]) -> Iterator[list[tuple[int, int]]]:
    """All ways to split ``items`` into pairs: (2p − 1)!! of them for 2p items, none for an odd number."""
    if not items:
        yield []
        return
    first, rest = items[0], items[1:]
    for place, partner in enumerate(rest):
        for others in pairings([*rest[:place], *rest[place + 1 :]]):
            yield [(first, partner), *others]


@dataclass(frozen=True)
class _Port:
    """A loose end: an occurrence's row or column index, or an end of the open word (occurrence −1)."""

    occurrence: int
    is_row: bool


_START, _END = _Port(-1, True), _Port(-1, False)


class _Term:
    """One term cut at its Gaussian letters: segments of other letters between ports."""

    def __init__(self, key: Key, codes: dict[int, str], shape: tuple[str, str]) -> None:
        self.powers, scalars, core = key
        self.letters: list[str] = []
        self.segments: dict[_Port, tuple[Poly, _Port]] = {}
        self.untouched: list[bytes] = []
        for scalar in scalars:
            self._cut(scalar, codes, None)
        self._cut(core, codes, shape)

    def _cut(self, word: bytes, codes: dict[int, str], open_shape: tuple[str, str] | None) -> None:
        places = [i for i, code in enumerate(word) if code >> 1 in codes]
        if not places and open_shape is None:
            self.untouched.append(word)
            return
        ends: list[tuple[_Port, _Port]] = []  # (left, right) of every occurrence
        dimensions: list[tuple[str, str]] = []
        for place in places:
            found, transposed = spell(word[place])
            number = len(self.letters)
            self.letters.append(found.name)
            ends.append((_Port(number, not transposed), _Port(number, transposed)))
            dimensions.append((found.cols, found.rows) if transposed else (found.rows, found.cols))
        between = [word[i + 1 : j] for i, j in pairwise(places)]
        for ((_, right), (left, _)), segment, (_, size) in zip(pairwise(ends), between, dimensions, strict=False):
            self._join(right, segment, left, size)
        if open_shape is None:  # a scalar closes on itself
            self._join(ends[-1][1], word[places[-1] + 1 :] + word[: places[0]], ends[0][0], dimensions[-1][1])
        elif not places:
            self._join(_START, word, _END, open_shape[0])
        else:
            self._join(_START, word[: places[0]], ends[0][0], open_shape[0])
            self._join(ends[-1][1], word[places[-1] + 1 :], _END, dimensions[-1][1])

    def _join(self, start: _Port, word: bytes, stop: _Port, dimension: str) -> None:
        segment = word_poly(word, dimension)
        self.segments[start] = (segment, stop)
        self.segments[stop] = (segment.T, start)

    def paired(self, partner: dict[int, int]) -> Poly:
        """The open chain times the closed loops that a pairing leaves."""
        unseen = set(self.segments)

        def follow(port: _Port) -> Poly:
            chain: Poly | None = None
            start = port
            while True:
                segment, stop = self.segments[port]
                unseen.discard(port)
                unseen.discard(stop)
                chain = segment if chain is None else chain * segment
                if stop is _END:
                    return chain
                port = _Port(partner[stop.occurrence], stop.is_row)
                if port == start:
                    return chain

        chain = follow(_START)
        factor = identity("1")
        while unseen:
            factor = factor * trace(follow(min(unseen, key=lambda port: (port.occurrence, port.is_row))))
        return factor * chain


def expectation(polynomial: Poly, *names: str) -> Poly:
    """E of a polynomial over Gaussian letters (by name; all of them unless given), the others held fixed.

    Args:
        polynomial: of any shape.
        names: keys of ``GAUSSIAN``.

    Returns:
        A polynomial without these letters; traces stand as 1×1 letters (``metarep.theory.calculus.traces``).

    Raises:
        ValueError: a name is not that of a Gaussian letter.
    """
    for name in names:
        if name not in GAUSSIAN:
            raise ValueError(f"{name!r} is not Gaussian; allowed: {', '.join(GAUSSIAN)}")
    codes = {find_letter(name).code >> 1: name for name in (names or GAUSSIAN)}
    total = Poly(polynomial.shape)
    for key, value in polynomial.terms.items():
        term = _Term(key, codes, polynomial.shape)
        factor = Poly(SCALAR_SHAPE, {(key[0], tuple(sorted(term.untouched)), b""): value})
        groups = [[i for i, used in enumerate(term.letters) if used == name] for name in codes.values()]
        for name, group in zip(codes.values(), groups, strict=True):
            for _ in range(len(group) // 2):
                factor = factor * GAUSSIAN[name]
        for partner in _all_pairings(groups):
            total = total + factor * term.paired(partner)
    return Poly(total.shape, total.terms)  # its words: that they are the expectation is this module's to know


def _all_pairings(groups: list[list[int]]) -> Iterator[dict[int, int]]:
    """Pairings of every group within itself, together, as a map from each occurrence to its partner."""
    if not groups:
        yield {}
        return
    for first in pairings(groups[0]):
        for others in _all_pairings(groups[1:]):
            yield {**{i: j for pair in first for i, j in (pair, pair[::-1])}, **others}


def first_query(residual: Poly, X: Poly = a.X_in, z: Poly = a.z_in) -> Poly:
    """h = Xᵀ(Xu − z)/m (d×1), what a sample answers to a residual u = Bw − θ: the gradient of the empirical loss."""
    return sample_covariance(X) * residual - cross_term(X, z)
