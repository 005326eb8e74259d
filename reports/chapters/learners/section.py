"""The chapter on other learners: who learns the representation, who does not, how fast; and wider learners."""

from dataclasses import dataclass

from metarep.reports.chapters.chapter import Chapter, Job, ReportProfile, Results
from metarep.reports.chapters.learners.examples import HEADER, example_rows, examples_chart
from metarep.reports.chapters.learners.records import LearnerRecord, learner_record
from metarep.reports.chapters.learners.widths import width_curves, widths_chart
from metarep.reports.page import blocks as b
from metarep.reports.study.study import EXAMPLES, Study, example, study

NAME = "learners"
STUDIES, WIDTHS = ("learners",), ("widths",)


@dataclass(frozen=True)
class LearnersResults:
    """The worked examples' table, records and figure: studies themselves are too large to hand around."""

    rows: tuple[tuple[str, ...], ...]
    records: tuple[LearnerRecord, ...]
    picture: b.Picture


def shown(studies: list[Study]) -> LearnersResults:
    """What the chapter shows of these studies."""
    return LearnersResults(
        tuple(example_rows(studies)), tuple(map(learner_record, studies)), examples_chart(studies).picture()
    )


def measure_examples() -> LearnersResults:
    """Study every worked example."""
    return shown([study(example(name)) for name in EXAMPLES])


def learner_jobs(profile: ReportProfile, seed: int) -> list[Job]:
    """The worked examples, and the wider learners."""
    return [(STUDIES, measure_examples, ()), (WIDTHS, width_curves, (seed,))]


def learner_records(results: Results) -> tuple[LearnerRecord, ...]:
    """Other learners."""
    found: LearnersResults | None = results.parts.get(STUDIES)
    return found.records if found else ()


def learners_section(gathered: Results) -> b.Section | None:
    """One table, one figure; and the figure on width."""
    if STUDIES not in gathered.parts:
        return None
    results: LearnersResults = gathered.parts[STUDIES]
    learned = sum(row[1] == "yes" for row in results.rows)
    return b.Section(
        "learners",
        "Who learns, who does not, how fast",
        (
            b.Paragraph(
                f"{learned} of {len(results.rows)} other algorithms learn the representation. Each is derived, "
                "simulated by automatic differentiation, and judged; rates are per-step factors of dist."
            ),
            b.Table(HEADER, results.rows, frozenset({2, 3, 4})),
            results.picture,
            b.Code("metarep study boil"),
            widths_chart(gathered.parts[WIDTHS]).picture(),
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
