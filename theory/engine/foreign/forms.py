"""Claims that an adapter's form calls for, besides the catalogue's: that a training loop is a step after the other, and
what a step with several inner steps is.
"""

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
from hypothesis import strategies as st

from metarep.sim import updates
from metarep.sim.implementations import Implementation
from metarep.sim.learners import LEARNERS, META_LEARNERS, Learner
from metarep.sim.sampling import inner_steps
from metarep.theory.claims.chapter import Chapter
from metarep.theory.claims.comparing import ROUNDINGS_PER_WORD, same, same_step, step_scale
from metarep.theory.claims.record import Claim, Comparison, Example, Verdict, own
from metarep.theory.claims.samples.steps import sampled_steps
from metarep.theory.claims.strategies import Entries, StepArrays, array, floats, step_arrays, steps_of_any_rank

loop_claim = Chapter("A training loop")
inner_claim = Chapter("Several inner steps")

LOOP_STEPS = 6
"""Updates of a training loop."""


def claims_of(implementation: Implementation) -> tuple[Claim, ...]:
    """The claims that this implementation's form calls for; none for a plain step with one inner step."""
    found = loop_claim.claims if implementation.loop is not None else ()
    return found + (inner_claim.claims if implementation.conventions.inner_steps > 1 else ())


def right_step(learner: Learner, B: Any, w: Any, targets: Any, alpha: Any, beta: Any) -> tuple[Any, Any]:
    """One outer step as it should be, with any number of inner steps."""
    step = inner_steps.step if learner.inner_steps > 1 else updates.step
    return step(learner, B, w, targets, alpha, beta)


# --- training loops


@st.composite
def loops(draw: st.DrawFn) -> Example:
    """A start and the tasks' targets of every update, (``LOOP_STEPS``, d, n), closer to zero than ``outer_steps`` have
    them, so that few loops diverge.
    """
    made = Entries(draw, floats)
    k = made.k()
    d = made.d(k)
    n = made.n()
    alpha, beta = made.step_sizes(0.5)
    return {
        "d": d,
        "k": k,
        "n": n,
        "alpha": alpha,
        "beta": beta,
        "B": made.matrix(d, k, 0.5, power=1),
        "w": made.vector(k, 0.5, power=1),
        "targets": [made.matrix(d, n, 0.5, power=2) for _ in range(LOOP_STEPS)],
    }


def _steps(implementation: Implementation, learner: Learner, B: Any, w: Any, every_targets: Any, *sizes: Any) -> Any:
    """What a training loop is to be: an implementation's steps, one after the other."""
    found = []
    for targets in every_targets:
        B, w = implementation.step(learner, B, w, targets, *sizes)
        found.append((B, w))
    return tuple(map(np.stack, zip(*found, strict=True)))


@loop_claim(
    Verdict.SUPPORTED,
    source=own("from what an update is"),
    each=LEARNERS,
    words={"steps": LOOP_STEPS},
    exercises="step",
    floats=loops,
    any_inner_steps=True,
)
def training_loop(example: Example, implementation: Implementation, learner: Learner) -> Iterator[Comparison]:
    r"""Every update of a training loop of «title» is the outer step from where the last update arrived, on its own
    batch and with the same $\alpha$ and $\beta$: nothing else is carried from one update to the next.

    Given: any $d \ge k$, $n$, $B$, $w$, targets that change from update to update, $\alpha$, $\beta$; «steps» updates
    """
    own_learner = implementation.learner(learner.name)
    B, w, every_targets = (array(example[name]) for name in ("B", "w", "targets"))
    alpha, beta = example["alpha"], example["beta"]
    frame = np.eye(len(B))
    loop = implementation.loop or partial(_steps, implementation)
    each_B, each_w = loop(own_learner, B, w, every_targets, alpha, beta)
    for number, arrived in enumerate(zip(each_B, each_w, strict=True)):
        targets = every_targets[number]
        at = StepArrays(B, w, targets, frame, frame[:, :0], alpha, beta)
        why = f"update {number + 1} of a loop minus the step from where the last arrived, largest entry"
        yield same(
            arrived,
            right_step(own_learner, B, w, targets, alpha, beta),
            step_scale(own_learner, at),
            implementation.eps,
            why,
            objects={**at.objects, "update": number + 1},
        )
        B, w = arrived


# --- several inner steps


def _order_words(learner: Learner) -> dict[str, str]:
    adapted = "$w_i$" if learner.adapts == "head" else "$(B_i, w_i)$"
    at = "at the adapted parameters, as if these did not depend on $(B, w)$"
    return {"adapted": adapted, "how": at if learner.first_order else "through the inner steps"}


inner = partial(
    inner_claim,
    Verdict.SUPPORTED,
    source=own("from the learner's definition"),
    each=META_LEARNERS,
    words=_order_words,
    any_inner_steps=True,
)


@inner(exercises="step", floats=lambda: steps_of_any_rank(floats))
def several_inner_steps(example: Example, implementation: Implementation, learner: Learner) -> Comparison:
    r"""With as many inner steps as the adapter takes, «title» adapts «adapted» by gradient steps, and takes a gradient
    step on the tasks' mean loss after adaptation, «how».

    Given: any $d \ge k$, $n$, $B$, $w$, targets, $\alpha$, $\beta$
    """
    at, own_learner = step_arrays(example), implementation.learner(learner.name)
    right = right_step(own_learner, at.B, at.w, at.targets, at.alpha, at.beta)
    return same_step(implementation, own_learner, at, right, "the step minus the right one, largest entry")


@inner(exercises="samples", floats=lambda: sampled_steps(floats), examples=24)
def several_inner_sampled_steps(example: Example, implementation: Implementation, learner: Learner) -> Comparison:
    r"""On samples, with as many inner steps as the adapter takes, «title» adapts «adapted» by gradient steps on each
    task's inner loss, and takes a gradient step on the mean of the outer samples' losses, «how».

    Given: any $B$, $w$, $X$, $y$, any sample sizes, $\alpha$, $\beta$
    """
    assert implementation.step_on_samples is not None
    own_learner = implementation.learner(learner.name)
    names = ("B", "w", "X_in", "y_in", "X_out", "y_out", "alpha", "beta")
    at = [array(part) if isinstance(part := example[name], list) else part for name in names]
    # A product with X and one with its transpose more for each inner step than without samples, and X's entries are
    # inside the moduli: as many roundings a factor as in words.
    scale = max(float(part.max()) for part in inner_steps.step_moduli(own_learner, *at))
    right = inner_steps.step_on_samples(own_learner, *at)
    why = "the step on samples minus the right one, largest entry"
    found = implementation.step_on_samples(own_learner, *at)
    shown = {name: example[name] for name in ("d", "k", "n", "alpha", "beta")}
    return same(tuple(found), right, scale, implementation.eps, why, ROUNDINGS_PER_WORD, shown)
