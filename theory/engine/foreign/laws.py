"""Factors that are off, as laws: a number, times or over n, d, k or a step size, or an ε in a denominator."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

POWERS: tuple[Mapping[str, int], ...] = tuple(
    sorted(
        [dict(zip("ndk", powers, strict=True)) for powers in product((0, 1, -1), repeat=3)]
        + [{"α": 1}, {"α": -1}, {"β": 1}, {"β": -1}, {"n/(n − 1)": 1}],
        key=lambda powers: sum(map(abs, powers.values())),
    )
)
"""Of what a factor could depend on, the simplest first."""
NEAR_ONE = 0.01


def factor_text(factor: float) -> str:
    """A factor to six digits; one that is close to 1 as 1 plus what it is off by."""
    off = factor - 1
    return f"1 {'+' if off > 0 else '−'} {abs(off):.2g}" if 0 < abs(off) < 1e-4 else f"{factor:.6g}"


def shown(factor: float) -> float:
    """A fitted factor as it is told."""
    return 1 + float(f"{factor - 1:.3g}") if abs(factor - 1) < NEAR_ONE else float(f"{factor:.6g}")


@dataclass(frozen=True)
class Law:
    """``number`` times powers of quantities; ``beside_one``: 1 plus that."""

    number: float
    powers: Mapping[str, int]
    beside_one: bool = False

    @property
    def constant(self) -> float | None:
        """The factor, if it is the same everywhere."""
        return None if any(self.powers.values()) else self.number

    @property
    def text(self) -> str:
        """As a person writes it: 2·n/d, 1 − 1e-06/n."""
        by = "".join(f"{'·' if power > 0 else '/'}{name}" for name, power in self.powers.items() if power)
        if self.beside_one:
            return f"1 {'+' if self.number > 0 else '−'} {abs(self.number):.3g}{by}"
        return f"{factor_text(self.number)}{by}"

    def times(self, name: str) -> "Law":
        """The law times a quantity."""
        return Law(self.number, {**self.powers, name: self.powers.get(name, 0) + 1}, self.beside_one)

    def like(self, other: "Law") -> bool:
        """Whether the two are the same, numbers to 1e-4."""
        exponents = {name for name in {*self.powers, *other.powers} if self.powers.get(name) or other.powers.get(name)}
        same = all(self.powers.get(name, 0) == other.powers.get(name, 0) for name in exponents)
        return same and self.beside_one == other.beside_one and abs(self.number - other.number) <= 1e-4 * abs(
            self.number
        )  # fmt: skip


def _columns(quantities: Sequence[Mapping[str, float]]) -> Iterator[tuple[Mapping[str, int], np.ndarray]]:
    for powers in POWERS:
        yield (
            powers,
            np.array([np.prod([each[name] ** power for name, power in powers.items()]) for each in quantities]),
        )


def law_of(factors: Sequence[float], quantities: Sequence[Mapping[str, float]], loose: float) -> Law | None:
    """The simplest law that the factors follow.

    Args:
        factors: one for each point.
        quantities: n, d, k, α and β of each.
        loose: how far the factors may be off, relatively.
    """
    values = np.array(factors)
    if not np.isfinite(values).all():
        return None
    for powers, column in _columns(quantities):
        ratios = values / column
        if np.abs(ratios - ratios.mean()).max() <= loose * abs(ratios.mean()):
            return Law(_told(float(ratios.mean()), loose), powers)
    off = values - 1
    if not 10 * loose < np.abs(off).min() <= np.abs(off).max() < NEAR_ONE:  # what it is off by would be noise
        return None
    for powers, column in _columns(quantities):
        ratios = off / column
        # An ε beside n gives 1 − ε/n up to (ε/n)².
        if np.abs(ratios - ratios.mean()).max() <= (loose / np.abs(off).min() + np.abs(off).max()) * abs(ratios.mean()):
            return Law(float(ratios.mean()), powers, beside_one=True)
    return None


def _told(number: float, loose: float) -> float:
    """The number to six digits, if it is that as far as can be told."""
    short = float(f"{number:.6g}")
    return short if abs(number - short) <= loose * abs(number) else number


def loss_reasons(law: Law) -> str:
    """What makes a loss larger or smaller by such a factor; empty if nothing that is known does."""
    known = {2.0: "it has no ½", 0.5: "it has a ½ too many", 1.0: ""}
    number = next((text for factor, text in known.items() if abs(law.number - factor) <= 1e-4), None)
    places = {
        ("d", -1): "it is averaged over the d coordinates, as a mean over samples is if X is the identity",
        ("d", 1): "it is d times too large",
        ("n", 1): "it is summed over the tasks",
        ("n", -1): "it is averaged over the tasks twice",
    }
    powers = [(name, power) for name, power in law.powers.items() if power]
    if number is None or law.beside_one or any(each not in places for each in powers):
        return ""
    return ", ".join(text for text in (number, *(places[each] for each in powers)) if text)
