"""The envelope's constants, as the claims' search for the worst runs measured them."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from metarep.reports.chapters.boundaries.common import Array
from metarep.reports.chapters.claims.records import ClaimRecord, measured, mention
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
    axes.set_xlabel("αL$_*$")
    axes.set_ylabel("αβL$_*^2$")
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
            if region is None and largest is None:
                continue
            rows.append(
                (
                    LEARNER_TITLES[name],
                    "changing" if changing else "fixed",
                    "—" if region is None else _bracket(region.details),
                    "—" if largest is None else f"{largest.estimate:.3f} ± {largest.uncertainty:.2g}",
                    "—" if largest is None else f"{largest.details['flow_c']:.3f}",
                )
            )
    if not rows:
        return ()
    table = b.Table(
        ("learner", "tasks", r"$\alpha\beta L_*^2$ survived – broken", "largest $c$ seen", "largest possible $c$"),
        tuple(rows),
        frozenset({2, 3, 4}),
        r"Survived – broken: for every $\alpha L_*$ of the learner's region the envelope with $c = \frac12$ held up "
        "to the one and failed at the other. Largest $c$: at small steps; no larger one is possible in the limit of "
        "small steps for runs of that length (closed form, $k = 1$). What survives a search may be broken by a longer "
        "one.",
    )
    chart = (constants_chart(known).picture(),) if known else ()
    text = b.Paragraph(
        r"The paper leaves open how small the steps must be. An adversary looks for starts and heads that break the "
        r"envelope: "
        + ", ".join(mention(claims, f"constant-region-{name}") for name in known)
        + ", and their likes for changing tasks."
    )
    return (b.Section("boundaries-constants", "The envelope's constants, measured", (text, *chart, table)),)


def _bracket(details: dict[str, Any]) -> str:
    broken = details.get("broken")
    return f"{details['survived']:.3g} – " + ("nothing" if broken is None else f"{broken:.3g}")
