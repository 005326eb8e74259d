"""The chapter on other learners: who learns the representation, who does not, how fast; and wider learners."""

from metarep.reports.chapters.chapter import Chapter, Job, ReportProfile, Results, again
from metarep.reports.chapters.learners.examples import HEADER, Studied, examples_chart, studied
from metarep.reports.chapters.learners.records import LearnerRecord
from metarep.reports.chapters.learners.widths import width_curves, widths_chart
from metarep.reports.page import blocks as b
from metarep.reports.study.study import EXAMPLES, example, study

NAME = "learners"
WIDTHS = ("widths",)


def study_example(name: str) -> Studied:
    """Study one worked example."""
    return studied(study(example(name)))


def learner_jobs(profile: ReportProfile, seed: int) -> list[Job]:
    """The worked examples, and the wider learners."""
    return [*(((NAME, name), study_example, (name,)) for name in EXAMPLES), (WIDTHS, width_curves, (seed,))]


def _examples(results: Results) -> tuple[Studied, ...]:
    return tuple(part for key, part in results.parts.items() if key[0] == NAME)


def learner_records(results: Results) -> tuple[LearnerRecord, ...]:
    """Other learners."""
    return tuple(each.record for each in _examples(results))


def learners_section(results: Results) -> b.Section | None:
    """One table, one figure; and the figure on width."""
    examples = _examples(results)
    if not examples:
        return None
    return b.Section(
        "learners",
        "Who learns, who does not, how fast",
        (
            b.Paragraph(
                f"{sum(each.learns for each in examples)} of {len(examples)} other algorithms learn the "
                "representation. Each is derived, simulated by automatic differentiation, and judged; rates are "
                "per-step factors of dist."
            ),
            b.Table(HEADER, tuple(each.row for each in examples), frozenset({2, 3, 4})),
            examples_chart(examples).picture(),
            b.Code("metarep study boil"),
            widths_chart(results.parts[WIDTHS]).picture(),
            again(results, NAME),
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
