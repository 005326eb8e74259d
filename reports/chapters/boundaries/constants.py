"""The envelope's constants, as the claims' search for the worst runs measured them."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from metarep.reports.chapters.boundaries.common import Array
from metarep.reports.chapters.claims.records import ClaimRecord, EvidenceRecord, measured, mention
from metarep.reports.page import blocks as b
from metarep.reports.page.charts import ON_FILL, Chart, as_panel, draw_map
from metarep.reports.page.markup import LEARNER_TITLES
from metarep.sim.learners import META_LEARNERS


def constants_chart(details: dict[str, dict[str, Any]]) -> Chart:
    """Largest c of the envelope that an adversary left, over (αL_*, αβL_*²), a panel a learner (details of the
    claims).
    """
    panels, rows = [], []
    for name, found in details.items():
        table = np.array(found["largest_c"], dtype=float)
        panels.append((f"constants-{name}", _constants_panel(name, found, table)))
        rows += [
            (name, alpha_L, step, float(table[i, j]))
            for i, step in enumerate(found["step"])
            for j, alpha_L in enumerate(found["alpha_L"])
        ]
    steps = next(iter(details.values()))["steps"]
    caption = (
        r"The largest $c$ with whose envelope $(1 - c\,\alpha\beta E_0\mu_*^2)^{t-1}$ the worst run that a search "
        rf"found complies over {steps} steps (× where it diverged), fixed tasks. Blue: $c = \frac12$ survived; "
        "orange: it is broken, and searched no further."
    )
    alt = (
        "Four tables, one for each meta-learner, of the largest constant that survived over αL and αβL²: it survives "
        "at small steps, for Exact MAML only at small αL."
    )
    return Chart("constants", tuple(panels), alt, caption, ("learner", "alpha L", "alpha beta L^2", "largest c"), rows)


@as_panel
def _constants_panel(axes: Any, name: str, found: dict[str, Any], table: Array) -> None:
    survived = table >= 0.5
    colours = np.where(survived, "#bcdcf2", "#f6c6a6").astype(object)
    columns, rows = table.shape[1], table.shape[0]
    draw_map(axes, np.arange(columns), np.arange(rows), colours)
    for i in range(rows):
        for j in range(columns):
            value = "×" if table[i, j] < 0 else f"{table[i, j]:.2f}"
            axes.text(j, i, value, ha="center", va="center", fontsize=7.5, color=ON_FILL, zorder=4)
    axes.set_xticks(range(columns), [f"{value:g}" for value in found["alpha_L"]])
    axes.set_yticks(range(rows), [f"{value:g}" for value in found["step"]])
    axes.set_xlabel("inner step size αL$_*$")
    axes.set_ylabel("product of step sizes αβL$_*^2$")
    axes.set_title(LEARNER_TITLES[name])


def constants_sections(claims: Sequence[ClaimRecord]) -> tuple[b.Section, ...]:
    """One section, none where nothing was measured."""
    regions = {name: measured(claims, f"constant-region-{name}") for name in META_LEARNERS}
    known = {name: item.details for name, item in regions.items() if item is not None}
    rows = []
    for changing in ("", "changing-"):
        for name in META_LEARNERS:
            region = measured(claims, f"constant-region-{changing}{name}")
            largest = measured(claims, f"constant-c-{changing}{name}")
            if region is not None or largest is not None:
                tasks = "changing or fixed" if changing else "fixed"
                rows.append((LEARNER_TITLES[name], tasks, *_region_cells(region), *_c_cells(largest)))
    if not rows:
        return ()
    table = b.Table(
        (
            "learner",
            "tasks",
            r"$\alpha\beta L_*^2$ survived – broken",
            "broken by",
            "in longer runs",
            "largest $c$ for ever",
            "in the runs taken",
            "possible there",
        ),
        tuple(rows),
        frozenset({2, 4, 5, 6, 7}),
        r"Survived – broken: for every $\alpha L_*$ of the learner's region the envelope with $c = \frac12$ held up "
        "to the one and failed at the other, in so many steps; what survives a search may be broken by a longer one. "
        "Broken by: changing tasks include fixed ones; of the changing ones those alone were searched that change "
        "genuinely. Largest $c$: at one pair of small step sizes; for ever longer runs, and in the steps taken, where "
        "the last column has what is possible in the limit of small steps (closed form, $k = 1$).",
    )
    chart = (constants_chart(known).picture(),) if known else ()
    text = b.Paragraph(
        r"The paper leaves open how small the steps must be. An adversary looks for starts and heads that break the "
        r"envelope: "
        + ", ".join(mention(claims, f"constant-region-{name}") for name in known)
        + ", and their likes for changing tasks."
    )
    return (b.Section("boundaries-constants", "The envelope's constants, measured", (text, *chart, table)),)


def _region_cells(region: EvidenceRecord | None) -> tuple[str, str, str]:
    """What survived and what broke it, by which tasks, and in longer runs."""
    if region is None:
        return "—", "—", "—"
    found = region.details
    sides = {name: side["broken"] for name, side in found["sides"].items()}
    alone = ", ".join(f"{name} at {_step(broken)}" for name, broken in sides.items()) if len(sides) > 1 else "fixed"
    bracket = f"{found['survived']:.3g} – {_step(found['broken'])} ({found['steps']} steps)"
    return bracket, alone, f"{_step(found['broken_in_long_runs'])} ({found['long_steps']} steps)"


def _step(broken: float | None) -> str:
    return "nothing" if broken is None else f"{broken:.3g}"


def _c_cells(largest: EvidenceRecord | None) -> tuple[str, str, str]:
    """The largest c for ever, in the steps taken, and what is possible in these."""
    if largest is None:
        return "—", "—", "—"
    found = largest.details
    return (
        f"{largest.estimate:.3f} ± {largest.uncertainty:.1g}",
        f"{found['in_time']:.3f} ({found['steps']} steps)",
        f"{found['flow_c']:.3f}",
    )
