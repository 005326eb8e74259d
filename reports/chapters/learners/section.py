"""The chapter on other learners: who learns the representation, who does not, how fast; and wider learners."""

from dataclasses import dataclass

from metarep.reports.chapters.chapter import Chapter, Job, ReportProfile, Results
from metarep.reports.chapters.learners.examples import HEADER, draw_examples, example_rows, examples_csv, study_examples
from metarep.reports.chapters.learners.records import LearnerRecord, learner_record
from metarep.reports.chapters.learners.widths import draw_widths, width_curves, widths_csv
from metarep.reports.page import blocks as b
from metarep.reports.page.style import rendered

NAME = "learners"
STUDIES, WIDTHS = ("learners",), ("widths",)


@dataclass(frozen=True)
class LearnersResults:
    """The worked examples' table, records, and figure with its data."""

    rows: tuple[tuple[str, ...], ...]
    records: tuple[LearnerRecord, ...]
    figure: bytes
    data: str


@dataclass(frozen=True)
class WidthResults:
    """The figure of wider learners with its data."""

    figure: bytes
    data: str


def measure_examples() -> LearnersResults:
    """Study every worked example."""
    studies = study_examples()
    records = tuple(map(learner_record, studies))
    figure = rendered(draw_examples(studies), "svg")
    return LearnersResults(tuple(example_rows(studies)), records, figure, examples_csv(studies))


def measure_widths(seed: int) -> WidthResults:
    """Run learners wider than the truth."""
    curves = width_curves(seed)
    return WidthResults(rendered(draw_widths(curves), "svg"), widths_csv(curves))


def learner_jobs(profile: ReportProfile, seed: int) -> list[Job]:
    """The worked examples, and the wider learners."""
    return [(STUDIES, measure_examples, ()), (WIDTHS, measure_widths, (seed,))]


def learner_records(results: Results) -> tuple[LearnerRecord, ...]:
    """Other learners."""
    found: LearnersResults | None = results.parts.get(STUDIES)
    return found.records if found else ()


def learners_section(gathered: Results) -> b.Section | None:
    """One table, one figure; and the figure on width."""
    if STUDIES not in gathered.parts:
        return None
    results: LearnersResults = gathered.parts[STUDIES]
    widths: WidthResults = gathered.parts[WIDTHS]
    learned = [row[0] for row in results.rows if row[1] == "yes"]
    others = [row[0] for row in results.rows if row[1] != "yes"]
    examples = b.Picture(
        (("who-learns", results.figure),),
        f"Distance to the truth against outer steps: {', '.join(learned)} fall; {', '.join(others)} do not.",
        "Every worked example from its nearest start, on the same fixed tasks. Data: `figures/who-learns.csv`.",
        ("who-learns.csv", results.data),
    )
    wide = b.Picture(
        (("width", widths.figure),),
        "Left: the error of the limit of the useful part falls for every width; right: the superfluous directions "
        "shrink slowly for finite inner samples, and not at all on the population.",
        "FO-ANIL wider than the truth, on finite inner samples: the useful part reaches its limit exponentially fast, "
        "the superfluous directions are unlearned like $1/t$, and never on the population "
        "([width-slow-unlearning](#claim-width-slow-unlearning), "
        "[width-never-unlearned](#claim-width-never-unlearned)). Data: `figures/width.csv`.",
        ("width.csv", widths.data),
    )
    return b.Section(
        "learners",
        "Who learns, who does not, how fast",
        (
            b.Paragraph(
                f"{len(learned)} of {len(results.rows)} other algorithms learn the representation. Each is derived, "
                "simulated by automatic differentiation, and judged; rates are per-step factors of dist."
            ),
            b.Table(HEADER, results.rows, frozenset({2, 3, 4})),
            examples,
            b.Code("metarep study boil"),
            wide,
        ),
        short="Other learners",
    )


CHAPTER = Chapter(
    learners_section,
    name=NAME,
    sizes=dict.fromkeys(("quick", "full")),
    jobs=learner_jobs,
    record={"learners": learner_records},
)
