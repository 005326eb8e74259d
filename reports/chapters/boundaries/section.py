"""The report's chapter on where the theory stops: phase diagrams, measured constants, FO-MAML's two instabilities,
points of zero loss that know nothing, what the start and the heads change, the baseline."""

from typing import Any

from metarep.reports.chapters.boundaries.data import (
    ENDS,
    PLANES,
    FarStarts,
    HeadLaws,
    Key,
    NearPlane,
    ScaleRuns,
)
from metarep.reports.chapters.boundaries.figures import (
    baseline_chart,
    constants_chart,
    far_chart,
    heads_chart,
    near_chart,
    phase_chart,
    scale_chart,
)
from metarep.reports.chapters.claims.facts import Claims, measured, mention
from metarep.reports.page import blocks as b
from metarep.reports.page.markup import LEARNER_TITLES, power
from metarep.sim.learners import META_LEARNERS
from metarep.theory.dynamics.rates import ENVELOPE_OFFSET

ANCHOR = "boundaries"


def boundaries_section(parts: dict[Key, Any], claims: Claims) -> b.Section:
    """The chapter.

    Args:
        parts: the results of ``metarep.reports.chapters.boundaries.data.boundary_jobs`` by key.
        claims: the claims' records; what was not run is left out.
    """
    scale = [parts["boundary", "scale", name] for name in META_LEARNERS]
    gaussian, three, far = (parts["boundary", name] for name in ("gaussian", "three-heads", "far"))
    sections = (
        _fo_maml(parts, claims, gaussian, three, far),
        _blind(claims, scale),
        _phases(parts),
        *_constants(claims),
        _heads(parts["boundary", "heads", "diversity"], parts["boundary", "heads", "mean"]),
        b.Section(
            "boundaries-baseline",
            "The baseline, for one dimension and for more",
            (
                b.Paragraph(
                    "Average loss hears of the tasks through their mean alone. One direction it finds; from balance "
                    r"with fixed tasks and $k \ge 2$ it cannot come below the second principal sine of its start "
                    f"({mention(claims, 'baseline-lower-bound')}, {mention(claims, 'baseline-control')})."
                ),
                baseline_chart(parts["boundary", "baseline"]).picture(),
            ),
        ),
    )
    return b.Section(
        ANCHOR, "Where the theory stops", (_headlines(gaussian, three, far, scale),), sections, "Boundaries"
    )


def near_agreement(parts: dict[Key, Any]) -> str:
    """At how many of the points that were decided FO-MAML near the truth did what 𝓛 predicts, in words."""
    planes = [parts["boundary", name].agreement for name in ("gaussian", "three-heads")]
    right, decided, undecided = (sum(plane[place] for plane in planes) for place in range(3))
    return f"{right} of {decided} decided points ({undecided} undecided)"


def blind_sentence(parts: dict[Key, Any]) -> str:
    """How often Exact MAML ends blind from the smallest starts and from balance, for the report's opening."""
    maml = parts["boundary", "scale", "maml"]
    return (
        f"Exact MAML, started small, can solve every task and learn nothing: {_count(maml, maml.scales[0])} of its "
        rf"runs from the smallest starts, {_count(maml, 1.0)} of those from balance ([blind "
        rf"points](#boundaries-blind))."
    )


def _headlines(gaussian: NearPlane, three: NearPlane, far: FarStarts, scale: list[ScaleRuns]) -> b.Items:
    seen = near_agreement({("boundary", "gaussian"): gaussian, ("boundary", "three-heads"): three})
    maml = next(r for r in scale if r.learner == "maml")
    others = max(float(r.share("blind").max()) for r in scale if r.learner != "maml")
    return b.Items(
        (
            "**FO-MAML can leave the truth once it has found it**, a result that the paper does not state: with heads "
            r"$N(\mu, \Sigma)$ where $\mu^\top\Sigma^{-1}\mu > 1$. Predicted stability and what runs do agree at "
            f"{seen} ([below](#boundaries-fo-maml)).",
            "**FO-MAML can be lost before it gets there**: from balance far away its head first grows, for $k = "
            f"{far.ks[-1]}$ up to {power(far.amplification[-1].max())} times at distance {1 - far.gaps[-1]:g}, and "
            f"{round(far.random_share * far.trials)} of {far.trials} random balanced starts in $d = {far.d}$ diverge "
            f"within {far.steps} steps.",
            "**Exact MAML can solve every task and learn nothing**: its loss vanishes at points that are blind to "
            rf"$B_*$. Of its runs from starts with $\sqrt\alpha\|B_0\| = {maml.scales[0]:g}$ there end "
            f"{_count(maml, maml.scales[0])}, of those from balance {_count(maml, 1.0)}; of the other learners' "
            f"{'none' if others == 0 else f'at most {others:.0%}'} ([below](#boundaries-blind)).",
        )
    )


def _count(runs: ScaleRuns, scale: float) -> str:
    """How many of the runs from that scale end blind, in words."""
    ends = runs.ends[int(abs(runs.scales - scale).argmin())]
    return f"{int((ends == 'blind').sum())} of {ends.size}"


def _fo_maml(parts: dict[Key, Any], claims: Claims, gaussian: NearPlane, three: NearPlane, far: FarStarts) -> b.Section:
    draws = measured(claims, "fo-maml-finite-draws")
    found = (b.Paragraph(f"With few fixed tasks the heads' sample decides: {draws['why']}."),) if draws else ()
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
            near_chart(gaussian, three, parts["boundary", "growth"]).picture(),
            *found,
            b.Paragraph(
                r"**Far from it.** At balance the head grows by $1 + \alpha\beta\,\mathrm{tr}\,\Psi_*$ a step where "
                f"nothing of $B_*$ is seen ({mention(claims, 'fo-maml-far')}); the representation learns meanwhile, "
                r"and the head decays once $\mathrm{dist}^2 < \frac{1}{k + 1}$. What decides is by how much it has "
                r"grown by then: about $(1 - \mathrm{dist}_0^2)^{-k/2}$, in $d$ dimensions easily $d^{k/2}$. Any head "
                "that is not zero, as the noise of fresh tasks makes it, then reaches the size at which the linear "
                "regime ends."
            ),
            far_chart(far).picture(),
        ),
    )


def _closest(*planes: NearPlane) -> str:
    seen = [float(plane.dist[plane.diverged].max()) for plane in planes if plane.diverged.any()]
    return power(max(seen)) if seen else "no distance"


def _blind(claims: Claims, scale: list[ScaleRuns]) -> b.Section:
    maml = next(r for r in scale if r.learner == "maml")
    found = measured(claims, "maml-ends-blind")
    seen = (
        rf" In the runs here that ended so the median of $\alpha\|w\|^2$ is {maml.blind_head:.4f}."
        if maml.blind_head is not None
        else ""
    )
    return b.Section(
        "boundaries-blind",
        "The start's scale, and Exact MAML's blind points",
        (
            b.Paragraph(
                r"Where $\alpha\|w\|^2 = 1$, one inner step of the representation alone solves any task, and $B_*$ is "
                f"not needed ({mention(claims, 'maml-blind-points')}). A small $B_0$ lets the head get there first "
                f"({mention(claims, 'maml-ends-blind')}).{seen} A random orthonormal start, our choice for [Figure "
                r"1](#figure-1), is smaller than balance by $\sqrt\alpha$."
            ),
            scale_chart(scale).picture(),
            *((b.Paragraph(f"Measured with the claim: {found['why']}."),) if found else ()),
        ),
    )


def _phases(parts: dict[Key, Any]) -> b.Section:
    charts = [phase_chart([parts["boundary", "phase", plane, name] for name in META_LEARNERS]) for plane in PLANES]
    return b.Section(
        "boundaries-phases",
        "Where the learners converge",
        (
            b.Paragraph(
                r"By the scaling symmetry $\alpha L_*$, $\beta/\alpha$, the shape of the heads and the start are all "
                r"that matters. Beyond the dashed line the truth with $w = 0$ is unstable within $\mathrm{col}(B_*)$; "
                r"the exact learners' distance can fall all the same, as it hears of $\mathrm{col}(B)$ alone while "
                r"$B$ swings between two points within. Short of the line, with $\beta/\alpha$ large, the first-order "
                r"learners are lost on the way, which the local theory does not see. Exact MAML needs small $\alpha "
                "L_*$ besides, as its head's curvature grows with the heads' fourth moments."
            ),
            *(chart.picture() for chart in charts),
            b.Paragraph(
                rf"The envelope asks for $\mathrm{{dist}}_0^2 < {ENVELOPE_OFFSET:g}$ (the white line in the second "
                "row of maps); from balance the ANILs do not need it."
            ),
        ),
    )


def _constants(claims: Claims) -> tuple[b.Section, ...]:
    regions = {name: measured(claims, f"constant-region-{name}") for name in META_LEARNERS}
    known = {name: item["details"] for name, item in regions.items() if item is not None}
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
                    "—" if region is None else _bracket(region["details"]),
                    "—" if largest is None else f"{largest['estimate']:.3f} ± {largest['uncertainty']:.2g}",
                    "—" if largest is None else f"{largest['details']['flow_c']:.3f}",
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


def _heads(diversity: HeadLaws, mean: HeadLaws) -> b.Section:
    return b.Section(
        "boundaries-heads",
        "Diversity and mean of the heads",
        (
            b.Paragraph(
                r"The rate knows of the heads only $\mu_*$, their least represented direction. A mean costs the ANILs "
                "nothing, Exact MAML little, and FO-MAML its stability. The paper's own experiment on diversity, with "
                "fresh tasks, is among [its experiments](#experiments)."
            ),
            heads_chart(diversity, mean).picture(),
        ),
    )


def boundaries_record(parts: dict[Key, Any]) -> dict[str, Any]:
    """The chapter's numbers as the report's JSON has them."""
    near = {name: parts["boundary", name] for name in ("gaussian", "three-heads")}
    far = parts["boundary", "far"]
    return {
        "fo_maml_near": {
            name: dict(zip(("as_predicted", "decided", "undecided"), plane.agreement, strict=True))
            for name, plane in near.items()
        },
        "fo_maml_far": {
            "amplification": [
                {"k": k, "seen": float(far.amplification[i, -1]), "predicted": float(far.predicted[i, -1])}
                for i, k in enumerate(far.ks)
            ],
            "dist_0": float(1 - far.gaps[-1]),
            "share_random": far.random_share,
            "trials": far.trials,
        },
        "scale": [
            {"learner": r.learner, "scale": float(scale), **{end: float(r.share(end)[i]) for end in ENDS}}
            for r in (parts["boundary", "scale", name] for name in META_LEARNERS)
            for i, scale in enumerate(r.scales)
        ],
        "baseline": [{"k": r.k, "least_dist": float(r.dist.min())} for r in parts["boundary", "baseline"]],
    }
