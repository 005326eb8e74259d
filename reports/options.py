"""The options that several commands share, each stated once."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class TasksKind(StrEnum):
    """Tasks kept, or drawn afresh each step."""

    FIXED = "fixed"
    FRESH = "fresh"


class StartKind(StrEnum):
    """αB_0ᵀB_0 = I, or B_0ᵀB_0 = I."""

    BALANCED = "balanced"
    ORTHONORMAL = "orthonormal"


class Form(StrEnum):
    """How formulas are printed."""

    TEXT = "text"
    LATEX = "latex"


LearnerName = Annotated[
    str, typer.Argument(metavar="LEARNER", help="anil, fo-anil, maml, fo-maml or average-loss.", show_default=False)
]
D = Annotated[int, typer.Option("--d", help="Ambient dimension d.")]
K = Annotated[int, typer.Option("--k", help="Dimension k of the representation, at most d.")]
N = Annotated[int, typer.Option("--n", help="Tasks a step, n.")]
Alpha = Annotated[float, typer.Option("--alpha", help="Inner step size α > 0.")]
Beta = Annotated[float, typer.Option("--beta", help="Outer step size β > 0.")]
Seed = Annotated[int, typer.Option("--seed", help="Seed of all randomness.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
OutFolder = Annotated[Path, typer.Option("--out", help="Folder to write into; made if missing.", show_default=False)]
