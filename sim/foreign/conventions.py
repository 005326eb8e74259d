"""An adapter's own conventions, and the way from the theory's to these and back.

The theory's (Collins et al. 2022, Section 2): task i's loss is ½‖Bw − θ_i‖², on m samples ‖XBw − y‖²/(2m); the outer
loss is the mean over n tasks; B is d × k. A loss that is s times the theory's takes the theory's step with 1/s of its
step size; tasks given r times have the mean that they have once. So step sizes, shapes and repeated tasks are all there
is to convert, and nobody else need know of it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from metarep.sim.foreign.adapter import Callee, Declared, Returned

Array = np.ndarray
ALLOWED: Mapping[str, tuple[Any, ...]] = {
    "loss_scale": (0.5, 1, 2),
    "sample_reduction": ("mean", "sum"),
    "task_reduction": ("mean", "sum"),
    "layout": ("dk", "kd"),
    "least_n": tuple(range(1, 65)),
    "inner_steps": (1, 2, 3),
}
"""What an adapter may declare by each name; the first is the theory's."""
_TASKS = {"targets": -1, "X_in": -3, "y_in": -2, "X_out": -3, "y_out": -2}
"""The axis of the tasks."""


@dataclass(frozen=True)
class Conventions:
    """An adapter's conventions; the defaults are the theory's.

    Attributes:
        loss_scale: c, where a task's loss is c‖Bw − θ‖², on samples c times the mean or the sum of squared errors.
        sample_reduction: whether it is the mean or the sum; says nothing of a step without samples.
        task_reduction: whether the outer loss is the mean of the tasks' or the sum.
        layout: of B as it is given and returned, (d, k) or, as the weight of ``nn.Linear``, (k, d).
        least_n: tasks that it needs.
        inner_steps: of every learner that adapts.
    """

    loss_scale: float = 0.5
    sample_reduction: str = "mean"
    task_reduction: str = "mean"
    layout: str = "dk"
    least_n: int = 1
    inner_steps: int = 1

    def __str__(self) -> str:
        """What differs from the theory's, such as "loss_scale 2, layout kd"; empty if nothing does."""
        return ", ".join(f"{name} {value}" for name, value in vars(self).items() if value != ALLOWED[name][0])

    def loss_scales(self, n: int, m_in: int = 1, m_out: int = 1) -> tuple[float, float]:
        """How many times the theory's the inner loss is, and the outer one, of n tasks with these samples."""
        inner, outer = (2.0 * self.loss_scale * (m if self.sample_reduction == "sum" else 1) for m in (m_in, m_out))
        return inner, outer * (n if self.task_reduction == "sum" else 1)

    def given(self, arrays: Mapping[str, Array], alpha: Array, beta: Array) -> tuple[dict[str, Array], Array, Array]:
        """A call's arrays, α and β in the theory's conventions, as the adapter is to get them.

        Args:
            arrays: by name, B (..., d, k), w (..., k), and targets (..., d, n), or X_in, X_out (..., n, m, d) and y_in,
                y_out (..., n, m).
            alpha: inner step sizes.
            beta: outer step sizes.
        """
        tasks = next((arrays[name].shape[axis] for name, axis in _TASKS.items() if name in arrays))
        times = -(-self.least_n // tasks)
        found = {
            name: np.concatenate([value] * times, axis=_TASKS[name]) if name in _TASKS and times > 1 else value
            for name, value in arrays.items()
        }
        samples = (found[name].shape[-2] for name in ("X_in", "X_out") if name in found)
        inner, outer = self.loss_scales(times * tasks, *samples)
        return {**found, "B": self.turned(found["B"])}, alpha / inner, beta / outer

    def turned(self, B: Array) -> Array:
        """B from the theory's layout to the adapter's, or back."""
        return np.swapaxes(B, -1, -2) if self.layout == "kd" else B


THEORY = Conventions()


def declared_conventions(said: Mapping[str, Any], wrong: Callable[[str, str, str], Exception]) -> Conventions:
    """The conventions that a module declares.

    Args:
        said: its names with their values.
        wrong: the error to raise of a name, what is wrong and what is allowed.
    """
    found = {}
    for name, allowed in ALLOWED.items():
        if name not in said:
            continue
        value = said[name]
        plain = isinstance(value, str | int | float) and not isinstance(value, bool)
        if not plain or value not in allowed:
            few = [*map(repr, allowed)] if len(allowed) < 9 else [f"a whole number from {allowed[0]} to {allowed[-1]}"]
            raise wrong(name, f"{name} is {value!r}", " or ".join(filter(None, (", ".join(few[:-1]), few[-1]))))
        found[name] = next(each for each in allowed if each == value)
    return Conventions(**found)


@dataclass(frozen=True)
class InTheory:
    """An adapter that is called in the theory's conventions, whatever its own are: a ``Callee``."""

    callee: "Callee"
    conventions: Conventions

    @property
    def declared(self) -> "Declared":
        """What it says of itself."""
        return self.callee.declared

    def call(
        self, function: str, learner: str, arrays: Mapping[str, Array], alpha: Array, beta: Array, steps: int = 1,
        way: str = "",
    ) -> "Returned":  # fmt: skip
        """As ``Callee`` says."""
        found = self.callee.call(function, learner, *self.conventions.given(arrays, alpha, beta), steps, way)
        return found._replace(B=self.conventions.turned(found.B))
