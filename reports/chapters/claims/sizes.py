"""How large the examples are: their sizes in words, and as histograms of all claims together."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from metarep.reports.chapters.claims.records import ClaimRecord
from metarep.reports.page.charts import Chart, as_panel, fill_legend
from metarep.reports.page.style import SERIES
from metarep.theory.claims.sizes import SizeCounts, added

KINDS = {"floats": "floats", "exact": "fractions"}
"""Kinds of examples, and how they are called."""
PANELS = {
    "k": ("The learner's width", "k"),
    "d": ("Ambient dimension", "d, up to"),
    "n": ("Tasks", "n, up to"),
    "norm": ("Norm of the representation", "‖B‖, from"),
}
"""By size: title and axis of its panel."""


def size_counts(claims: Iterable[ClaimRecord]) -> dict[str, SizeCounts]:
    """The sizes of all claims' examples, floats and fractions apart."""
    found: dict[str, list[SizeCounts]] = {kind: [] for kind in KINDS}
    for claim in claims:
        for item in claim.evidence:
            if item.sizes is not None:
                found[item.kind].append(item.sizes)
    return {kind: added(several) for kind, several in found.items()}


def _share(counts: dict[str, int], least: int) -> float:
    """The share of those from ``least`` on."""
    total = sum(counts.values())
    return sum(count for size, count in counts.items() if int(size) >= least) / total if total else 0.0


def sizes_sentence(claims: Iterable[ClaimRecord]) -> str:
    """How large the examples are, in words."""
    parts = []
    for kind, counts in size_counts(claims).items():
        if counts.k and counts.d and counts.n:
            most = ", ".join(f"${name} \\le {max(map(int, getattr(counts, name)))}$" for name in ("k", "d", "n"))
            parts.append(
                f"in {KINDS[kind]} {most}, with $k = 1$ in {1 - _share(counts.k, 2):.0%} of them, $k \\ge 4$ in "
                f"{_share(counts.k, 4):.0%}, $d > 16$ in {_share(counts.d, 32):.0%} and $n > 8$ in "
                f"{_share(counts.n, 16):.0%}"
            )
    return "; ".join(parts)


def sizes_chart(claims: Iterable[ClaimRecord]) -> Chart | None:
    """Histograms of the examples' sizes; None where there are no examples."""
    counts = size_counts(claims)
    if not any(counts[kind].k for kind in KINDS):
        return None
    by_size = {name: {kind: getattr(several, name) for kind, several in counts.items()} for name in PANELS}
    panels = tuple((f"sizes-{name}", _panel(name, by_kind)) for name, by_kind in by_size.items())
    rows = [
        (name, size, KINDS[kind], count)
        for name, by_kind in by_size.items()
        for kind, sizes in by_kind.items()
        for size, count in sizes.items()
    ]
    caption = (
        "Sizes of the examples of all claims, as shares of those that have the size: floats and fractions apart. The "
        "ambient dimension and the number of tasks are counted up to powers of two, the norm of $B$ (at the start of "
        "a run) by decades."
    )
    alt = (
        "Four bar charts. Widths k go from 1 to 8 in floats and to 4 in fractions, ambient dimensions to 64 and to 8, "
        "tasks to 64 and to 16, and norms of B from a thousandth to some hundreds."
    )
    return Chart("sizes", panels, alt, caption, ("size", "value", "numbers", "examples"), rows)


@as_panel
def _panel(axes: Any, name: str, counts: dict[str, dict[str, int]]) -> None:
    values = sorted({int(size) for by_size in counts.values() for size in by_size})
    places, width = np.arange(len(values)), 0.42
    for order, by_size in enumerate(counts.values()):
        total = max(1, sum(by_size.values()))
        shares = [by_size.get(str(value), 0) / total for value in values]
        axes.bar(places + (order - 0.5) * width, shares, width=width, color=SERIES[order], linewidth=0)
    title, label = PANELS[name]
    written = [f"10$^{{{value}}}$" if name == "norm" else str(value) for value in values]
    axes.set_xticks(places, written)
    axes.set_xlabel(label)
    axes.set_ylabel("share of examples")
    axes.set_title(title)
    fill_legend(axes, list(zip(SERIES, KINDS.values(), strict=False)))
