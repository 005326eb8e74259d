"""What 'metarep study' found about the worked examples, as a report has it."""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from metarep.reports.chapters.chapter import Alpha, Beta, Count, D, K, N, Size, Steps
from metarep.reports.study.study import Study, record


@dataclass(frozen=True)
class Complex:
    """A complex number."""

    re: float
    """Real part."""
    im: float
    """Imaginary part."""


Eigenvalues = Annotated[tuple[float | Complex, ...], Field(description="Eigenvalues; complex ones as {re, im}.")]


@dataclass(frozen=True)
class SpectrumRecord:
    """Of one step where the nearest run comes to rest."""

    perpendicular: Eigenvalues
    span_and_head: Eigenvalues
    stable: bool
    """Whether it attracts."""
    neutral: Count
    """Directions along which nothing moves."""
    turn: float
    """By how much a step still turns B within its column space."""
    fixed_point: str
    """Which family of fixed points it belongs to."""


@dataclass(frozen=True)
class FamilyRecord:
    """A family of fixed points."""

    id: str
    """Its name."""
    what: str
    """What it consists of."""


@dataclass(frozen=True)
class StartRecord:
    """A group of starts."""

    start: str
    """Which."""
    share_learned: float
    """Share of runs that learned."""
    share_blind: float
    """Share of its runs that ended blind."""


@dataclass(frozen=True)
class SettingsRecord:
    """The problem of a study."""

    d: D
    k: K
    n: N
    alpha: Alpha
    beta: Beta
    head_mean: float
    """‖w̄_*‖."""
    steps: Steps
    trials: Size
    """Starts of each group."""
    seed: Count
    """Seed."""


@dataclass(frozen=True)
class LearnerRecord:
    """What 'metarep study' found about one of the worked examples."""

    learner: str
    """Its name."""
    learns: Literal["yes", "arrives", "no"]
    """Whether it learns the representation: yes; it arrives and does not stay; no."""
    reason: str
    """Why, or why not."""
    symbolic: float | None
    """Predicted rate."""
    empirical: float | None
    """Fitted rate."""
    relative_error: float | None
    """|log empirical / log symbolic − 1|."""
    spectrum: SpectrumRecord | None
    """Of one step where the nearest run comes to rest; null if nowhere."""
    update: tuple[tuple[str, ...], ...]
    """The derived outer step, line by line: left and right side."""
    right_factor: str | None
    """N, with which a step multiplies the perpendicular part."""
    moments: Count | None
    """How many moments of the heads the averaged update depends on."""
    same_as: tuple[str, ...]
    """Learners whose update is the same."""
    fixed_points: tuple[FamilyRecord, ...]
    """Families of fixed points with B = B_*M."""
    starts: tuple[StartRecord, ...]
    """By start."""
    settings: SettingsRecord
    """The problem."""


def learner_record(study: Study) -> LearnerRecord:
    """A study without how long it took, which would make equal reports differ."""
    data = {name: value for name, value in record(study).items() if name != "seconds"}
    return TypeAdapter(LearnerRecord).validate_python(data)
