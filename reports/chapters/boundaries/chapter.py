"""The chapter on where the theory stops: phase diagrams, measured constants, FO-MAML's two instabilities, points of
zero loss that know nothing, what the start and the heads change, the baseline.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from metarep.reports.chapters.boundaries.baseline import BaselineRuns, baseline_chart, baseline_runs
from metarep.reports.chapters.boundaries.common import SIZES, BoundarySize
from metarep.reports.chapters.boundaries.constants import constants_sections
from metarep.reports.chapters.boundaries.far import FarStarts, far_chart, far_starts
from metarep.reports.chapters.boundaries.heads import HeadLaws, head_laws, heads_section
from metarep.reports.chapters.boundaries.near import (
    GrowthLine,
    NearPlane,
    gaussian_plane,
    growth_line,
    near_chart,
    three_heads_plane,
)
from metarep.reports.chapters.boundaries.phases import PLANES, PhaseDiagram, phase_diagram, phases_section
from metarep.reports.chapters.boundaries.scale import ENDS, ScaleRuns, blind_section, scale_runs
from metarep.reports.chapters.chapter import (
    Chapter,
    Count,
    Job,
    K,
    LearnerName,
    ReportProfile,
    Results,
    Share,
    again,
)
from metarep.reports.chapters.claims.counts import blind_sentence, diverged_share
from metarep.reports.chapters.claims.records import ClaimRecord, measured, mention
from metarep.reports.page import blocks as b
from metarep.reports.page.markup import power
from metarep.sim.learners import META_LEARNERS
from metarep.theory.claims.stability.far import FAR, FAR_STEPS

NAME = "boundaries"


# --- what is run


@dataclass(frozen=True, eq=False)
class BoundariesResults:
    """What was run; phase diagrams by plane, runs by scale, both in the order of the meta-learners."""

    three_heads: NearPlane
    gaussian: NearPlane
    far: FarStarts
    scale: tuple[ScaleRuns, ...]
    phases: dict[str, list[PhaseDiagram]]
    diversity: HeadLaws
    mean: HeadLaws
    growth: GrowthLine
    baseline: list[BaselineRuns]

    @property
    def near_agreement(self) -> str:
        """At how many of the points that were decided FO-MAML near the truth did what 𝓛 predicts, in words."""
        right, decided, undecided = map(sum, zip(self.gaussian.agreement, self.three_heads.agreement, strict=True))
        return f"{right} of {decided} decided points ({undecided} undecided)"

    def scale_of(self, learner: str) -> ScaleRuns:
        """One learner's runs by scale."""
        return next(runs for runs in self.scale if runs.learner == learner)


def boundary_jobs(profile: ReportProfile, seed: int) -> list[Job]:
    """Every part, the long ones first."""
    size: BoundarySize = profile.sizes[NAME]
    jobs: list[Job] = [
        (("boundary", "three-heads"), three_heads_plane, (seed, size)),
        (("boundary", "gaussian"), gaussian_plane, (seed, size)),
        (("boundary", "far"), far_starts, (seed, size)),
    ]
    jobs += [(("boundary", "scale", name), scale_runs, (name, seed, size)) for name in META_LEARNERS]
    jobs += [
        (("boundary", "phase", plane, name), phase_diagram, (plane, name, seed, size))
        for plane in PLANES
        for name in META_LEARNERS
    ]
    jobs += [(("boundary", "heads", kind), head_laws, (kind, seed, size)) for kind in ("diversity", "mean")]
    jobs += [
        (("boundary", "growth"), growth_line, (seed, size)),
        (("boundary", "baseline"), baseline_runs, (seed, size)),
    ]
    return jobs


def boundaries_of(results: Results) -> BoundariesResults | None:
    """What was run, None where it was not."""
    parts = results.parts
    if ("boundary", "far") not in parts:
        return None
    return BoundariesResults(
        parts["boundary", "three-heads"],
        parts["boundary", "gaussian"],
        parts["boundary", "far"],
        tuple(parts["boundary", "scale", name] for name in META_LEARNERS),
        {plane: [parts["boundary", "phase", plane, name] for name in META_LEARNERS] for plane in PLANES},
        parts["boundary", "heads", "diversity"],
        parts["boundary", "heads", "mean"],
        parts["boundary", "growth"],
        parts["boundary", "baseline"],
    )


# --- text


def boundaries_section(results: Results) -> b.Section | None:
    """The chapter; what rests on claims that were not run is left out."""
    if (found := boundaries_of(results)) is None:
        return None
    claims = results.claims
    sections = (
        _fo_maml(found, claims),
        blind_section(claims, found.scale),
        phases_section(found.phases.values()),
        *constants_sections(claims),
        heads_section(found.diversity, found.mean),
        b.Section(
            "boundaries-baseline",
            "The baseline, for one dimension and for more",
            (
                b.Paragraph(
                    "Average loss hears of the tasks through their mean alone. One direction it finds; from balance "
                    r"with fixed tasks and $k \ge 2$ it cannot come below the second principal sine of its start "
                    f"({mention(claims, 'baseline-lower-bound')}, {mention(claims, 'baseline-control')})."
                ),
                baseline_chart(found.baseline).picture(),
            ),
        ),
    )
    return b.Section(
        "boundaries",
        "Where the theory stops",
        (_headlines(found, claims), again(results, NAME)),
        sections,
        "Boundaries",
    )


def _headlines(found: BoundariesResults, claims: Sequence[ClaimRecord]) -> b.Items:
    maml, far = found.scale_of("maml"), found.far
    diverged, blind = diverged_share(claims, FAR_STEPS), blind_sentence(claims)
    others = max(float(r.share("blind").max()) for r in found.scale if r.learner != "maml")
    return b.Items(
        (
            "**FO-MAML can leave the truth once it has found it**, a result that the paper does not state: with heads "
            r"$N(\mu, \Sigma)$ where $\mu^\top\Sigma^{-1}\mu > 1$. Predicted stability and what runs do agree at "
            f"{found.near_agreement} ([below](#boundaries-fo-maml)).",
            "**FO-MAML can be lost before it gets there**: from balance far away its head first grows, for $k = "
            f"{far.ks[-1]}$ up to {power(far.amplification[-1].max())} times at distance {1 - far.gaps[-1]:g}"
            + (
                f", and of runs from random starts in $d = {FAR.d}$ {diverged} diverge within {FAR_STEPS} steps."
                if diverged
                else "."
            ),
            "**Exact MAML can solve every task and learn nothing**: its loss vanishes at points that are blind to "
            rf"$B_*$. From starts with $\sqrt\alpha\|B_0\| = {maml.scales[0]:g}$ end blind {maml.smallest_blind}"
            f"{f'; {blind}' if blind else ''}; of the other learners' at any scale "
            f"{'none' if others == 0 else f'at most {others:.0%}'} ([below](#boundaries-blind)).",
        )
    )


def _fo_maml(found: BoundariesResults, claims: Sequence[ClaimRecord]) -> b.Section:
    gaussian, three = found.gaussian, found.three_heads
    draws = measured(claims, "fo-maml-finite-draws")
    sampled = (b.Paragraph(f"With few fixed tasks the heads' sample decides: {draws.why}."),) if draws else ()
    return b.Section(
        "boundaries-fo-maml",
        "FO-MAML's two instabilities, predicted and seen",
        (
            b.Paragraph(
                r"**At the truth.** Its step there is $(S, \omega)^+ = (S, \omega) - \alpha\beta\mathcal{L}(S, "
                rf"\omega)$ ({mention(claims, 'fo-maml-operator')}), which grows whatever the step sizes where an "
                r"eigenvalue of $\mathcal{L}$ has negative real part. For Gaussian heads that is where "
                rf"$\mu^\top\Sigma^{{-1}}\mu > 1$ ({mention(claims, 'fo-maml-gaussian')}), for $k = 1$ where $m_2^2 < "
                f"m_1 m_3$ ({mention(claims, 'fo-maml-scalar')}). Only three moments of the heads matter, so that "
                r"$2k$ heads $\mu \pm \sqrt k\,\Sigma^{1/2}e_i$ stand for infinitely many Gaussian ones exactly. Of "
                f"the runs, {int(gaussian.diverged.sum())} of {gaussian.fate.size} in (a) and "
                f"{int(three.diverged.sum())} of {three.fate.size} in (b) diverged; all of those had come within "
                f"{_closest(gaussian, three)} of the truth before."
            ),
            near_chart(gaussian, three, found.growth).picture(),
            *sampled,
            b.Paragraph(
                r"**Far from it.** At balance the head grows by $1 + \alpha\beta\,\mathrm{tr}\,\Psi_*$ a step where "
                f"nothing of $B_*$ is seen ({mention(claims, 'fo-maml-far')}); the representation learns meanwhile, "
                r"and the head decays once $\mathrm{dist}^2 < \frac{1}{k + 1}$. What decides is by how much it has "
                r"grown by then: about $(1 - \mathrm{dist}_0^2)^{-k/2}$, in $d$ dimensions easily $d^{k/2}$. Any head "
                "that is not zero, as the noise of fresh tasks makes it, then reaches the size at which the linear "
                "regime ends."
            ),
            far_chart(found.far, claims).picture(),
        ),
    )


def _closest(*planes: NearPlane) -> str:
    seen = [float(plane.dist[plane.diverged].max()) for plane in planes if plane.diverged.any()]
    return power(max(seen)) if seen else "no distance"


# --- its part of report.json


@dataclass(frozen=True)
class NearRecord:
    """Runs near the truth against what 𝓛 predicts."""

    as_predicted: Count
    """Points as predicted."""
    decided: Count
    """Points that were decided."""
    undecided: Count
    """Points that were not."""


@dataclass(frozen=True)
class Amplification:
    """By how much FO-MAML's head grows from the farthest start."""

    k: K
    seen: float
    """Seen."""
    predicted: float
    """Predicted."""


@dataclass(frozen=True)
class FarRecord:
    """FO-MAML far from the truth."""

    amplification: tuple[Amplification, ...]
    """By dimension of the representation."""
    dist_0: float
    """That start's distance."""


@dataclass(frozen=True)
class ScaleRecord:
    """What became of runs from starts of one scale."""

    learner: LearnerName
    scale: float
    """√α‖B_0‖."""
    learned: Share
    """Share that learned."""
    blind: Share
    """Share that solved the tasks and learned nothing."""
    neither: Share
    """Share that did neither."""
    diverged: Share
    """Share that diverged."""


@dataclass(frozen=True)
class BaselineRecord:
    """Average loss."""

    k: K
    least_dist: float
    """The least distance it came to in any trial."""


@dataclass(frozen=True)
class BoundariesRecord:
    """Where the theory stops; the maps themselves are in the figures' data."""

    fo_maml_near: dict[str, NearRecord]
    """FO-MAML near the truth, by law of the heads."""
    fo_maml_far: FarRecord
    """FO-MAML far from it."""
    scale: tuple[ScaleRecord, ...]
    """By learner and scale of the start."""
    baseline: tuple[BaselineRecord, ...]
    """By dimension of the representation."""


def boundaries_record(results: Results) -> BoundariesRecord | None:
    """Where the theory stops; the maps themselves are in the figures' data."""
    if (found := boundaries_of(results)) is None:
        return None
    far = found.far
    return BoundariesRecord(
        {"gaussian": NearRecord(*found.gaussian.agreement), "three-heads": NearRecord(*found.three_heads.agreement)},
        FarRecord(
            tuple(
                Amplification(k, float(far.amplification[i, -1]), float(far.predicted[i, -1]))
                for i, k in enumerate(far.ks)
            ),
            float(1 - far.gaps[-1]),
        ),
        tuple(
            ScaleRecord(runs.learner, float(scale), *(float(runs.share(end)[i]) for end in ENDS))
            for runs in found.scale
            for i, scale in enumerate(runs.scales)
        ),
        tuple(BaselineRecord(runs.k, float(runs.dist.min())) for runs in found.baseline),
    )


CHAPTER = Chapter(
    boundaries_section,
    name=NAME,
    sizes=SIZES,
    jobs=boundary_jobs,
    record={"boundaries": boundaries_record},
)
