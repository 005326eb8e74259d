"""What a chapter of the report is: a record of what it runs, what it says, and what it gives to report.json.

Gathering, the page, the JSON and its schema loop over ``metarep.reports.chapters.contents.CHAPTERS``; a chapter is a
module with a ``CHAPTER`` and a line in that list.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Any

from pydantic import Field

from metarep.reports.chapters.claims.records import ClaimRecord
from metarep.reports.page import blocks as b
from metarep.sim.learners import LEARNERS

Key = tuple[str, ...]
Job = tuple[Key, Callable[..., Any], tuple[Any, ...]]
"""(key, function of a module, plain arguments): other processes are sent these. The key is the same in report.json."""


# --- what goes into report.json


Count = Annotated[int, Field(ge=0)]
Size = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, le=1)]
NotNegative = Annotated[float, Field(ge=0)]

# Fields that many records have, with what is said of them.
LearnerName = Annotated[str, Field(description="The learner.", json_schema_extra={"enum": list(LEARNERS)})]
D = Annotated[Size, Field(description="Ambient dimension d.")]
K = Annotated[Size, Field(description="Dimension k of the representation.")]
N = Annotated[Size, Field(description="Tasks a step, n.")]
Alpha = Annotated[float, Field(description="Inner step size α.")]
Beta = Annotated[float, Field(description="Outer step size β.")]
Steps = Annotated[Size, Field(description="Outer steps.")]
Trials = Annotated[Size, Field(description="Trials.")]
InnerSamples = Annotated[Size, Field(description="Inner samples.")]
OuterSamples = Annotated[Size, Field(description="Outer samples.")]
Noise = Annotated[float, Field(description="Noise σ.")]


# --- what is run


@dataclass(frozen=True)
class ReportProfile:
    """How much a report runs: ``effort`` multiplies every claim's examples, ``sizes`` are those of the chapters by
    name. A chapter that runs something and has no size here is left out.
    """

    name: str
    effort: float
    sizes: Mapping[str, Any]


@dataclass(frozen=True)
class Run:
    """Times of a run."""

    at: str
    """When it began, in UTC, ISO 8601."""
    seconds: NotNegative
    """How long it took."""
    jobs: dict[str, NotNegative]
    """Seconds by job."""
    cached: tuple[str, ...] = ()
    """Jobs whose results are those of an earlier report."""


@dataclass(frozen=True)
class Results:
    """What was run. Everything but ``run`` depends on the seed and the profile alone.

    ``parts`` are the jobs' results by key; each chapter knows its own and hands them out with their types.
    """

    profile: ReportProfile
    seed: int
    parts: Mapping[Key, Any]
    versions: dict[str, str]
    run: Run
    own_claims: str = ""
    """The file of the user's own claims, if one was given."""
    only: tuple[str, ...] = ()
    """What a partial report was asked for; empty if it is of everything."""

    @property
    def claims(self) -> tuple[ClaimRecord, ...]:
        """The claims in the catalogue's order, then the user's own."""
        return tuple(part for key, part in self.parts.items() if key[0] == "claim")

    def having(self, parts: Mapping[Key, Any], **changes: Any) -> "Results":
        """The same with these parts (and what else is given) in addition or in place of those that there are."""
        return replace(self, parts={**self.parts, **parts}, **changes)


def again(results: Results, name: str) -> b.Code:
    """The command that makes a chapter again, by its name."""
    return b.Code(f"metarep report --only {name} --profile {results.profile.name} --seed {results.seed} --out out")


def nothing_to_run(profile: ReportProfile, seed: int) -> Iterable[Job]:
    """The jobs of a chapter that is about other chapters' results."""
    return ()


@dataclass(frozen=True)
class Chapter:
    """One chapter.

    Args:
        section: its section of the document, None where there is nothing to say.
        name: by which profiles have its size.
        sizes: how much it runs, by the profiles' names; empty if it runs nothing.
        jobs: what is run in a profile that has a size for it, the longest first.
        beside: from a job's key; jobs of any chapter for which it is the same are done by one process, one after
            another, as they look at the same measurements, which are kept there.
        record: its fields of report.json, each with the function that gives it. The JSON Schema is made from what the
            function returns: its type, where what stands below a field describes it; and from the function's docstring.
        files: figures that stand in the folder of figures alone.
    """

    section: Callable[[Results], b.Section | None]
    name: str = ""
    sizes: Mapping[str, Any] = field(default_factory=dict)
    jobs: Callable[[ReportProfile, int], Iterable[Job]] = nothing_to_run
    beside: Callable[[Key], Key] = lambda key: key
    record: Mapping[str, Callable[[Results], Any]] = field(default_factory=dict)
    files: Callable[[Results], tuple[b.Picture, ...]] = lambda results: ()
