"""Measured constants of the envelope: how large the steps may be for c = ½, and how large c at one pair of small steps,
by an adversarial search.

An instance is a point of a unit cube (``cube``), of fixed tasks or of two task sets in turn. Changing tasks include
fixed ones: both are searched, among the changing ones those alone that change genuinely, and the worse of the two
counts. The claims about either share the search over fixed tasks, and its seed.
"""

from collections.abc import Callable
from typing import Any

from metarep.sim.learners import LEARNERS, META_LEARNERS, Learner
from metarep.theory.claims.chapter import Chapter
from metarep.theory.claims.record import Verdict, own

claim = Chapter("Measured constants")

TASKS = {1: "fixed tasks", 2: "tasks that change (two task sets in turn, rotating) or stay fixed"}
"""By the number of task sets."""
KINDS = {"fixed": "fixed tasks", "changing": "tasks that change genuinely"}
"""What is searched, and what the two sides of a measurement are called."""


def claims_of_tasks(
    id: str, words: Callable[[Learner, int], dict[str, Any]], at_any_pace: str = ""
) -> Callable[[Any], Any]:
    """A decorator that adds a measurement's claims: ``id`` and «name», for each learner and both kinds of tasks."""

    def add(measure: Any) -> Any:
        for prefix, period in (("", 1), ("changing-", 2)):
            for name in META_LEARNERS:
                claim(
                    Verdict.MEASURED,
                    id=f"{id}-{prefix}{name}",
                    source=own("by adversarial search", about="theorem-maml" if "maml" in name else "theorem-1"),
                    each={name: {"learner": LEARNERS[name], "period": period}},
                    words=lambda learner, period: {"tasks": TASKS[period], **words(learner, period)},
                    exercises=("step", "distance"),
                    rests_on=f"envelope-{prefix}{name}",
                    seeded_as=f"{id}-{name}",
                    at_any_pace=at_any_pace,
                )(measure)
        return measure

    return add
