"""The report's chapters: each makes one section of the document from the results. A new chapter is a function here
and in CHAPTERS."""

import math
import re
import shlex
from collections import Counter
from collections.abc import Iterable
from typing import Any

from metarep.reports.chapters import mutants
from metarep.reports.chapters.boundaries.section import boundaries_section
from metarep.reports.chapters.claims.dependencies import ancestors, families, refuted_bases
from metarep.reports.chapters.claims.facts import mention
from metarep.reports.chapters.claims.graph import ancestors_graph, as_file, claims_graph
from metarep.reports.chapters.experiments.figures import (
    by_panel,
    experiment_csv,
    experiment_figures,
    figure_1_panels,
    looseness,
    summary,
)
from metarep.reports.chapters.experiments.section import experiments_section
from metarep.reports.chapters.learners.section import learners_section
from metarep.reports.chapters.notation import notation_section
from metarep.reports.chapters.rates.section import rates_section
from metarep.reports.chapters.rates.table import RateRecord
from metarep.reports.chapters.samples import FULL_EFFORT, samples_section
from metarep.reports.chapters.update_maps import derived_lines
from metarep.reports.page import blocks as b
from metarep.reports.page.markup import LEARNER_TITLES, at_least, plain_line, power
from metarep.reports.page.style import rendered
from metarep.reports.report.against import changes_section, previous
from metarep.reports.report.gather import Results, samples_of
from metarep.sim.experiments import get_experiment
from metarep.sim.learners import LEARNERS
from metarep.theory.claims.record import Verdict
from metarep.theory.dynamics.rates import initial_margin
from metarep.theory.engine import shown


def claim_link(claim_id: str) -> str:
    """A link to a claim's section."""
    return f"[{claim_id}](#claim-{claim_id})"


def _by_chapter(claims: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    chapters: dict[str, list[dict[str, Any]]] = {}
    for claim in claims:
        chapters.setdefault(claim["chapter"], []).append(claim)
    return chapters


def _slug(title: str) -> str:
    return "".join(c if c.isalnum() else "-" for c in title.lower()).strip("-")


# --- verdicts ---------------------------------------------------------------------------------------------------------


def verdict_counts(claims: list[dict[str, Any]]) -> list[tuple[Verdict, int]]:
    """How many claims have each status, strongest first, without those that none has."""
    counts = Counter(claim["status"] for claim in claims)
    return [(verdict, counts[verdict.value]) for verdict in Verdict if counts[verdict.value]]


def verdicts(results: Results) -> b.Section:
    """Counts, what the verdicts mean, and every claim in a line."""
    claims = results.claims
    unexpected = [claim for claim in claims if not claim["as_expected"]]
    counts = tuple((f"[[{verdict.value}]]", str(count), verdict.meaning) for verdict, count in verdict_counts(claims))
    news = (
        b.Paragraph("Every verdict is the one that the catalogue expects.")
        if not unexpected
        else b.Items(
            tuple(
                f"[[{claim['status']}]] {claim_link(claim['id'])}: expected {claim['expected']}" for claim in unexpected
            )
        )
    )
    tables = tuple(
        b.Section(
            f"verdicts-{_slug(chapter)}",
            chapter,
            (
                b.Table(
                    ("status", "claim", "statement", "source"),
                    tuple(
                        (_status(claim, results), claim_link(claim["id"]), claim["statement"], _origin(claim))
                        for claim in members
                    ),
                ),
            ),
        )
        for chapter, members in _by_chapter(claims).items()
    )
    return b.Section(
        "verdicts",
        "Verdicts",
        (
            b.Table(("status", "claims", "meaning"), counts, frozenset({1})),
            news,
            b.Paragraph(
                "A status is computed from the evidence: the strongest that there is, and a counterexample beats all. "
                "The worst margin of an inequality is the least (bound − value)/|bound| over its instances: 0 where "
                "the "
                "bound is met, negative where it is exceeded by more than nothing; what rounding errors explain, a "
                "few times eps × size × condition, is allowed for. Identities have no margin; of them it is said how "
                "much of that allowance was used. Instances are small, mostly $k \\le 3$, $d \\le 8$, $n \\le 6$: what "
                "is said of any dimension and not proved was tried on those."
            ),
        ),
        tables,
    )


def _status(claim: dict[str, Any], results: Results) -> str:
    """The verdict, and what it was in the older report where that differs."""
    changed_from = [item for item in (results.against or {}).get("verdicts", ()) if item["claim"] == claim["id"]]
    was = "".join(" (new)" if i["before"] is None else f" (was [[{i['before']}]])" for i in changed_from)
    return f"[[{claim['status']}]]{was}"


def _origin(claim: dict[str, Any]) -> str:
    return "paper" if claim["from_paper"] else "own"


# --- graph ------------------------------------------------------------------------------------------------------------


def graph(results: Results) -> b.Section | None:
    """How the claims rest on each other."""
    claims = results.claims
    drawing = claims_graph(claims)
    if drawing is None:
        return None
    drawn = {claim["id"] for family in families(claims) for claim in family.members}
    alone = [claim["id"] for claim in claims if claim["id"] not in drawn]
    carried = refuted_bases(claims)
    refuted = {base for bases in carried.values() for base in bases}
    news: b.Block = (
        b.Items(
            tuple(
                f"[[REFUTED]] {claim_link(base)}: on it rest {_links(c for c in carried if base in carried[c])}"
                for base in carried
                if base in refuted
            )
        )
        if refuted
        else b.Paragraph("No claim rests on a refuted one.")
    )
    caption = (
        "Each column rests on those to its left; claims that differ in the learner alone share a name. "
        "P proved, E exact, S supported, M measured, ✕ refuted; a red ring marks a claim that rests on a refuted "
        "one. Lines that follow from others are left out. Pointing at a name, or tabbing to it, brings out what it "
        "rests on; a disc leads to its claim, where its ancestors are shown alone."
    )
    if alone:
        caption += f" Alone: {_links(alone)}."
    file = as_file(drawing, "../report.html")
    return b.Section(
        "graph",
        "What rests on what",
        (news, b.Graph("claims-graph", drawing.svg, drawing.style, caption, drawing.alt, file)),
        short="Graph",
    )


def _links(claims: Iterable[str]) -> str:
    return ", ".join(map(claim_link, claims))


def changed(results: Results) -> b.Section | None:
    """What changed since an older report, if one was given."""
    return None if results.against is None else changes_section(results.against)


# --- claims -----------------------------------------------------------------------------------------------------------


def claims(results: Results) -> b.Section:
    """A section per claim, by chapter."""
    carried = refuted_bases(results.claims)
    return b.Section(
        "claims",
        "The claims one by one",
        (),
        tuple(
            b.Section(
                f"chapter-{_slug(chapter)}",
                chapter,
                (),
                tuple(
                    b.Section(f"claim-{c['id']}", f"{c['id']} [[{c['status']}]]", _claim_blocks(c, results, carried))
                    for c in members
                ),
            )
            for chapter, members in _by_chapter(results.claims).items()
        ),
    )


def _claim_blocks(claim: dict[str, Any], results: Results, carried: dict[str, tuple[str, ...]]) -> tuple[b.Block, ...]:
    facts = [("Source", claim["source"]), ("For", claim["hypotheses"])]
    if claim["rests_on"]:
        facts.append(("Rests on", ", ".join(mention(results.claims, base) for base in claim["rests_on"])))
    if carried[claim["id"]]:
        facts.append(("Carried along", f"[[REFUTED]] It rests on {_links(carried[claim['id']])}, which is refuted."))
    if (before := previous(results.against, claim["id"])) is not None:
        facts.append(("Changed", before))
    facts += [(_HOW[item["kind"]], _evidence_line(item)) for item in claim["evidence"]]
    if not claim["as_expected"]:
        facts.append(("Expected", f"[[{claim['expected']}]]"))
    if claim["remark"]:
        facts.append(("Remark", claim["remark"]))
    facts.append(("Again", f"`{claim['command']}`"))
    blocks: list[b.Block] = [b.Paragraph(claim["statement"]), b.Facts(tuple(facts))]
    for item in claim["evidence"]:
        if item["counterexample"]:
            blocks += [b.Paragraph("**Counterexample**"), b.Code(_instance(item["counterexample"]))]
        if item["steps"]:
            blocks.append(b.Details("Steps of the proof", (b.Items(tuple(map(plain_line, item["steps"]))),)))
        if item["instance"]:
            what = "The instance nearest to the bound" if item["worst_margin"] is not None else "One of the instances"
            name = "floats" if item["kind"] == "floats" else "fractions"
            blocks.append(b.Details(f"{what} ({name})", (b.Code(_instance(item["instance"])),)))
    drawing = ancestors_graph(results.claims, claim["id"])
    if drawing is not None:
        above = ancestors(results.claims)[claim["id"]]
        alone = b.Graph(f"above-{claim['id']}", drawing.svg, alt=drawing.alt, words=_links(above))
        blocks.append(b.Details(f"All that it rests on ({len(above)})", (alone,)))
    return tuple(blocks)


_HOW = {"proof": "Proof", "exact": "Fractions", "floats": "Floats", "measurement": "Measured"}


def _evidence_line(item: dict[str, Any]) -> str:
    parts = [f"[[{item['verdict']}]]"]
    if item["examples"]:
        parts.append(f"{item['examples']} instances")
    if item["worst_margin"] is not None and item["verdict"] != Verdict.REFUTED.value:  # which says by how much
        parts.append(f"worst margin {item['worst_margin']:.3g}")
    if item["strain"] and item["verdict"] != Verdict.REFUTED.value:
        parts.append(f"at most {100 * item['strain']:.2g} % of the tolerance for rounding used")
    if item["estimate"] is not None:
        parts.append(_estimate(item["estimate"], item["uncertainty"]))
    if item["why"]:
        parts.append(plain_line(item["why"]))
    return "; ".join(parts)


def _estimate(value: float, uncertainty: float) -> str:
    """An estimate to the second digit of its uncertainty."""
    if not (0 < uncertainty < abs(value)):
        return f"{value:.6g} ± {uncertainty:.2g}"
    digits = math.floor(math.log10(abs(value))) - math.floor(math.log10(uncertainty)) + 2
    return f"{value:#.{digits}g} ± {uncertainty:#.2g}"


def _instance(instance: dict[str, Any]) -> str:
    """The numbers in one line, the arrays in one each; 3/1 is 3."""
    written = {name: re.sub(r"(-?\d+)/1\b", r"\1", shown(value)) for name, value in instance.items()}
    numbers = ", ".join(f"{name} = {text}" for name, text in written.items() if not text.startswith("["))
    arrays = [f"{name} = {text}" for name, text in written.items() if text.startswith("[")]
    return "\n".join([*([numbers] if numbers else []), *arrays])


# --- derived maps -----------------------------------------------------------------------------------------------------


def maps(results: Results) -> b.Section:
    """The five learners' derived updates."""
    sections = []
    for name, learner in LEARNERS.items():
        parts = tuple(
            b.Section(
                f"map-{name}-{place + 1}",
                part.heading,
                (b.Equations(part.equations), *([b.Paragraph(part.remark)] if part.remark else [])),
            )
            for place, part in enumerate(derived_lines(learner, "latex"))
        )
        sections.append(b.Section(f"map-{name}", LEARNER_TITLES[name], (b.Code(f"metarep derive {name}"),), parts))
    return b.Section(
        "maps",
        "The derived updates",
        (
            b.Paragraph(
                r"Derived symbolically from the task loss $\frac12 \|Bw - \theta_i\|^2$, $\theta_i = B_* w_{*,i}$, "
                r"for all "
                r"dimensions at once, by expanding it into words of matrices and applying the product rule. Two "
                r"formulas are "
                r"equal for every $d$, $k$ and $n$ exactly when their normal forms coincide; the lines below were "
                r"proved equal "
                r"to the derived gradients that way."
            ),
        ),
        tuple(sections),
    )


# --- rates, boundaries, experiments -----------------------------------------------------------------------------------


def rates(results: Results) -> b.Section:
    """Symbolic, empirical and envelope rates."""
    size = len(LEARNERS)
    table = [
        (
            (s.d, s.k, s.n, s.alpha, s.beta, s.dist0),
            [RateRecord(**record) for record in results.rates[place * size : (place + 1) * size]],
        )
        for place, s in enumerate(results.settings)
    ]
    return rates_section(table, results.rate_grid, results.seed)


def boundaries(results: Results) -> b.Section | None:
    """Where the theory stops."""
    return boundaries_section(results.boundaries, results.claims) if results.boundaries else None


def experiments(results: Results) -> b.Section | None:
    """The paper's experiments, Figure 1's runs judged with them."""
    if not results.experiments:
        return None
    return experiments_section({"figure-1": results.curves, **results.experiments}, results.seed)


# --- Figure 1 ---------------------------------------------------------------------------------------------------------


def figure_1(results: Results) -> b.Section:
    """The paper's headline experiment."""
    experiment = get_experiment("figure-1")
    rows = summary(results.curves)
    s = by_panel(results.curves, "random")[0].curve.setting
    loose = {result.curve.learner: looseness(result) for result in by_panel(results.curves, "envelope")}
    meta = [value for learner, value in loose.items() if learner != "average-loss"]
    start = by_panel(results.curves, "envelope")[0].curve.setting.dist0
    margin = initial_margin(start) if start is not None else 0.0
    baseline = next(r for r in rows if r["panel"] == "random" and r["learner"] == "average-loss")
    balanced = next(r for r in rows if r["panel"] == "balanced")
    late = [
        f"{count} of {r['trials']} of {LEARNER_TITLES[r['learner']]}"
        for r in rows
        if r["panel"] == "random" and r["learner"] != "average-loss"
        if (count := r["trials"] - r["outcomes"].get("converged", 0))
    ]
    caption = (
        rf"Distance to the truth with $d = {s.d}$, $k = n = {s.k}$, $\alpha = \beta = {s.alpha:g}$, tasks drawn "
        rf"afresh at every step. "
        f"Thick lines are medians over {s.trials} trials, thin lines the trials. "
        f"(a) From a random orthonormal start; "
        f"{'trials that do not reach ' + power(1e-6) + ': ' + ', '.join(late) + '; ' if late else ''}"
        f"average loss ends no lower than {at_least(baseline['smallest_dist'], 3)}. "
        rf"(b) From distance 0.93 with the paper's envelope, which is loose: $\log\,\mathrm{{dist}}$ falls about "
        rf"{min(meta):.0f} times "
        rf"as far as its bound, as $E_0 = {margin:.3f}$ is small and the envelope counts each step's least "
        rf"eigenvalue of "
        r"$\Psi_{*,t}$ alone. "
        f"(c) FO-MAML from {balanced['trials']} random balanced starts: {balanced['outcomes'].get('diverged', 0)} "
        f"diverge. Data: `figures/figure-1.csv`."
    )
    panels = tuple((name, rendered(figure, "svg")) for name, figure in figure_1_panels(experiment, results.curves))
    alt = (
        "Three panels of distance against outer step on a logarithmic axis: the four meta-learners fall along "
        "straight lines, "
        "average loss stays near 1, the envelope falls far more slowly, and FO-MAML from random balanced starts "
        "mostly diverges."
    )
    table = b.Table(
        ("panel", "learner", "median at the end (of those that did not diverge)", "outcomes"),
        tuple(
            (
                r["panel"],
                LEARNER_TITLES[r["learner"]],
                "—" if r["median_dist"] is None else f"{r['median_dist']:.2e}",
                ", ".join(f"{count} {outcome}" for outcome, count in r["outcomes"].items()),
            )
            for r in rows
        ),
        frozenset({2}),
        "The panels ending in -fixed keep each trial's first tasks at every step.",
    )
    return b.Section(
        "figure-1",
        experiment.title,
        (
            b.Paragraph(f"What the paper says: {_lower_first(experiment.finding)}"),
            b.Picture(panels, alt, caption, ("figure-1.csv", experiment_csv(results.curves))),
            b.Details("Where each run ended", (table,)),
            b.Details("What the paper leaves open, and our choices", (b.Items(experiment.choices),)),
            b.Code(f"metarep experiment figure-1 --seed {results.seed} --out figures"),
        ),
        short="Figure 1",
    )


def _lower_first(text: str) -> str:
    return text[:1].lower() + text[1:]


def figure_1_whole(results: Results) -> tuple[b.Picture, ...]:
    """Figure 1 with its panels in one file, and the same with tasks that are kept: for the folder of figures alone."""
    data = ("figure-1.csv", experiment_csv(results.curves))
    return tuple(
        b.Picture(
            ((name, rendered(figure, "svg")),),
            "Figure 1 in one file" + (", each trial with its first tasks at every step." if "fixed" in name else "."),
            data=data,
        )
        for name, figure in experiment_figures(get_experiment("figure-1"), results.curves)
    )


# --- how to get it again ----------------------------------------------------------------------------------------------


def reproduction(results: Results) -> b.Section:
    """Versions, seed, commands; the only place that tells when and how long."""
    run = results.run
    slowest = sorted(run.get("jobs", {}).items(), key=lambda item: -item[1])[:10]
    own = f" --claims {shlex.quote(results.own_claims)}" if results.own_claims else ""
    blocks: list[b.Block] = [
        b.Code(f"metarep report --profile {results.profile} --seed {results.seed} --out out{own}"),
        b.Paragraph(
            f"All randomness comes from the seed {results.seed}; equal seeds, profiles and versions give equal "
            f"reports but for "
            "this section's times. Each claim, table and figure above ends with the command that makes it again."
        ),
        b.Table(("package", "version"), tuple(results.versions.items())),
    ]
    if run:
        blocks += [
            b.Paragraph(f"Made at {run['at']} in {run['seconds']:.0f} s."),
            b.Details(
                "What took longest",
                (b.Table(("job", "seconds"), tuple((f"`{k}`", f"{v:.1f}") for k, v in slowest), frozenset({1})),),
            ),
        ]
    return b.Section("reproduction", "How to get it again", tuple(blocks))


def samples(results: Results) -> b.Section | None:
    """Finite samples: the floor, and recovery."""
    found = samples_of(results)
    return None if found is None else samples_section(found)


def learners(results: Results) -> b.Section | None:
    """Other learners, and wider ones."""
    if ("learners",) not in results.extra:
        return None
    return learners_section(results.extra["learners",], results.extra["widths",])


def tested_tests(results: Results) -> b.Section | None:
    """The tests' own tests."""
    found = mutants.matrix_of(results.extra)
    return None if found is None else mutants.section(found, results.claims, results.seed, results.effort < FULL_EFFORT)


def notation(results: Results) -> b.Section:
    """The setting and its symbols."""
    return notation_section()


CHAPTERS = (
    changed,
    graph,
    notation,
    figure_1,
    verdicts,
    rates,
    boundaries,
    experiments,
    samples,
    learners,
    tested_tests,
    maps,
    claims,
    reproduction,
)
"""In reading order; one that was not run is None."""
