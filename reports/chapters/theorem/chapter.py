"""The chapter on the theorem: what is proved, how, line by line, and how far that is from what is seen."""

import math
from collections.abc import Sequence

from metarep.reports.chapters.chapter import Chapter, Job, ReportProfile, Results
from metarep.reports.chapters.theorem.maps import region_chart
from metarep.reports.chapters.theorem.proofs import (
    TheoremRecord,
    idea_section,
    maml_section,
    proofs_section,
    rules_section,
    statements_section,
    theorem_records,
)
from metarep.reports.chapters.theorem.regions import (
    LINE_ALPHA,
    SIZES,
    K,
    RegionMap,
    RegionRecord,
    region_maps,
    region_record,
)
from metarep.reports.page import blocks as b
from metarep.reports.page.markup import LEARNER_TITLES
from metarep.sim.learners import META_LEARNERS

NAME = "theorem"


# --- what is run


def theorem_jobs(profile: ReportProfile, seed: int) -> list[Job]:
    """The maps of each learner."""
    return [((NAME, name), region_maps, (name, seed, profile.sizes[NAME])) for name in reversed(META_LEARNERS)]


def maps_of(results: Results) -> dict[str, tuple[RegionMap, ...]]:
    """The maps by learner; empty where they were not run."""
    return {name: results.parts[NAME, name] for name in META_LEARNERS if (NAME, name) in results.parts}


def regions_of(results: Results) -> tuple[RegionRecord, ...]:
    """The proved region against the measured one, a record for each learner, κ_* and η_*."""
    return tuple(region_record(found) for maps in maps_of(results).values() for found in maps)


def theorems_of(results: Results) -> tuple[TheoremRecord, ...]:
    """The theorems with explicit constants, and whether the core accepted their proofs."""
    return theorem_records() if maps_of(results) else ()


# --- text


def theorem_section(results: Results) -> b.Section | None:
    """The chapter."""
    maps = maps_of(results)
    if not maps:
        return None
    theorems, records = theorems_of(results), regions_of(results)
    return b.Section(
        "theorem",
        "The theorem, proved",
        (b.Paragraph(verdict(theorems)),),
        (
            statements_section(theorems, results.claims),
            idea_section(),
            _regions_section(maps, records),
            maml_section(_reach(records)),
            proofs_section(),
            rules_section(),
        ),
        "The theorem",
        apart=True,
    )


def verdict(theorems: Sequence[TheoremRecord], link: str = "") -> str:
    """What is known of the paper's theorem, in a sentence or two; ``link`` stands behind it."""
    return f"{in_one_line(theorems)}. {_how_far(theorems, link)}"


def in_one_line(theorems: Sequence[TheoremRecord]) -> str:
    """The theorem with its verdict."""
    general = next(t for t in theorems if t.id == "theorem-fo-anil")
    if refused := ", ".join(f"`{t.id}`" for t in theorems if not t.accepted):
        return f"**The theorem is not proved in this run**: the core refused {refused}"
    return rf"$\mathrm{{dist}}_T \le ({general.factor})^T$ for both ANILs and every $d, k, n, T$ [[PROVED]]"


def _how_far(theorems: Sequence[TheoremRecord], link: str) -> str:
    return (
        r"Any heads, fixed tasks or changing ones, $E_0 = 0.9 - \mathrm{dist}_0^2 > 0$, step sizes below explicit "
        "bounds; of FO-MAML it is proved from a close start with a small mean, of both MAMLs where the heads cancel "
        f"out{link}."
    )


def _regions_section(maps: dict[str, tuple[RegionMap, ...]], records: Sequence[RegionRecord]) -> b.Section:
    off_zero = tuple(found for learner in maps.values() for found in learner if found.off_zero.any())
    rows = tuple(
        (
            LEARNER_TITLES[r.learner], f"{r.kappa:g}", f"{r.eta:.2g}", f"{r.dist_0:g}",
            "none" if r.theorem is None else f"`{r.theorem}`",
            "" if r.proved_share is None else f"{r.proved_share:.0%}",
            f"{r.proved_product:.2g}" if r.proved_product else "none",
            "none" if r.measured_product is None else f"{r.measured_product:.2g}",
            "" if r.factor is None else f"{r.factor:.2g}" if r.factor < 10 else f"{r.factor:.0f}",
        )
        for r in records
    )  # fmt: skip
    return b.Section(
        "theorem-regions",
        "How far the proof is from what is seen",
        (
            b.Paragraph(
                "Conditions that are sufficient need not be necessary. Where runs keep the envelope of the paper, with "
                rf"half the rate, and where that is proved: {'; '.join(_overall(records))} of the area (on logarithmic "
                "axes) in which all trials keep it. Where $\\kappa_*$ is larger less is proved; the conditions on "
                r"$\beta/\alpha$ carry $\kappa_*^{-4}$, of which these maps show nothing."
            ),
            b.Table(
                (
                    "learner", r"$\kappa_*$", r"$\eta_*/L_*$", r"$\mathrm{dist}_0$", "theorem",
                    "proved share of the measured area",
                    rf"largest $\alpha\beta L_*^2$ proved at $\alpha L_* = {LINE_ALPHA:g}$", "measured", "factor",
                ),
                rows,
                frozenset({1, 2, 3, 5, 6, 7, 8}),
                rf"$k = {K}$; $\Psi_*$ has the eigenvalues $1, \kappa_*^{{-1}}, \kappa_*^{{-2}}$ (times $L_*^2$); "
                r"$2k$ heads, symmetric about their mean and turned at random, with the third moments of Gaussian "
                r"ones; all sines of the start are $\mathrm{dist}_0$.",
            ),
            *(region_chart(found).picture() for found in maps.values()),
            *map(_off_zero, off_zero),
        ),
    )  # fmt: skip


def _off_zero(found: RegionMap) -> b.Paragraph:
    """What is to be known of a head that is 0 by the theorem and not in floating point."""
    least = found.alphas[found.off_zero.any(0)].min()
    return b.Paragraph(
        f"**A head that is exactly 0.** For {LEARNER_TITLES[found.learner]} and heads that cancel out the theorem is "
        rf"about $w_t = 0$. From $\alpha L_* = {least:.2g}$ on (seen at $\kappa_* = {found.setting.kappa:g}$) that is "
        "not a stable point on the way: rounding errors of $10^{-16}$ are amplified until the run is lost, in cells "
        "whose step sizes are proved. With the head held at 0 the same runs keep the envelope. The theorem is true of "
        r"exact arithmetic, and no help to a computer there."
    )


def _overall(records: Sequence[RegionRecord]) -> list[str]:
    """For each learner the proved share over all its maps."""
    return [f"{LEARNER_TITLES[name]} {proved_share(records, name):.0%}" for name in META_LEARNERS]


def proved_share(records: Sequence[RegionRecord], learner: str) -> float:
    """Which share of the area measured in all of a learner's maps is proved; nan where nothing was measured."""
    own = [r for r in records if r.learner == learner]
    measured = sum(r.measured for r in own)
    return sum(r.measured * (r.proved_share or 0.0) for r in own) / measured if measured else math.nan


def _reach(records: Sequence[RegionRecord]) -> str:
    """How far Exact MAML and the others go where nothing is proved."""
    own = [r for r in records if r.theorem is None and r.measured_product is not None]
    if not own:
        return "How far it reaches by measurement is in the table above."
    seen = "; ".join(
        rf"$\kappa_* = {r.kappa:g}$, $\eta_* = {r.eta:.2g}L_*$: $\alpha\beta L_*^2 \le {r.measured_product:.2g}$ at "
        rf"$\alpha L_* = {LINE_ALPHA:g}$"
        for r in own
    )
    return (
        "**By measurement** Exact MAML keeps the envelope with such heads as well, in all trials of the maps above, "
        f"for {seen}. That is seen, and not proved."
    )


CHAPTER = Chapter(
    theorem_section,
    name=NAME,
    sizes=SIZES,
    jobs=theorem_jobs,
    record={"theorems": theorems_of, "theorem_regions": regions_of},
)
