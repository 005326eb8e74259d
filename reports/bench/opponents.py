"""The population step by automatic differentiation, as its libraries' users write it: JAX and torch.func, all trials at
once by ``vmap``, in one thread and in double precision.
"""

import importlib.util
import os
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from metarep.sim.learners import Learner

Array = np.ndarray
Steps = Callable[[], tuple[Array, Array]]
"""Takes some steps from the beginning: (B, w) of all trials."""


class Tools(NamedTuple):
    """What the two libraries have in common: ``grad(f, argnums)``, ``vmap(f, in_dims)``, and what cuts a gradient."""

    grad: Any
    vmap: Any
    stop: Callable[[Any], Any]


def batched_step(tools: Tools, learner: Learner, alpha: float, beta: float) -> Any:
    """One outer step of all trials, (B, w, targets) -> (B, w), from the tasks' losses alone."""

    def loss(B: Any, w: Any, theta: Any) -> Any:
        residual = B @ w - theta
        return 0.5 * (residual @ residual)

    def adapted_loss(B: Any, w: Any, theta: Any) -> Any:
        for _ in range(learner.inner_steps):
            slope_B, slope_w = tools.grad(loss, (0, 1))(B, w, theta)
            if learner.first_order:
                slope_B, slope_w = tools.stop(slope_B), tools.stop(slope_w)
            B = B - alpha * slope_B if learner.adapts_representation else B
            w = w - alpha * slope_w if learner.adapts_head else w
        return loss(B, w, theta)

    def step(B: Any, w: Any, targets: Any) -> tuple[Any, Any]:
        def mean_loss(B: Any, w: Any) -> Any:
            return tools.vmap(lambda theta: adapted_loss(B, w, theta), 1)(targets).mean()

        slope_B, slope_w = tools.grad(mean_loss, (0, 1))(B, w)
        return B - beta * slope_B, w - beta * slope_w

    return tools.vmap(step, (0, 0, 0))


def by_jax(learner: Learner, B: Array, w: Array, targets: Array, alpha: float, beta: float, steps: int) -> Steps:
    """So many steps in one compiled loop."""
    if "jax" not in sys.modules:  # which reads them when it is imported
        os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1")
    import jax  # pyright: ignore[reportMissingImports]  # an optional extra

    jax.config.update("jax_enable_x64", True)
    one = batched_step(Tools(jax.grad, jax.vmap, jax.lax.stop_gradient), learner, alpha, beta)
    given = tuple(jax.numpy.asarray(array) for array in (B, w, targets))

    @jax.jit
    def all_steps(B: Any, w: Any, targets: Any) -> Any:
        return jax.lax.fori_loop(0, steps, lambda _, at: one(*at, targets), (B, w))

    def call() -> tuple[Array, Array]:
        B, w = all_steps(*given)
        return np.asarray(B), np.asarray(w)

    return call


def by_torch(learner: Learner, B: Array, w: Array, targets: Array, alpha: float, beta: float, steps: int) -> Steps:
    """So many steps, one after the other."""
    import torch  # pyright: ignore[reportMissingImports]  # an optional extra

    torch.set_num_threads(1)
    one = batched_step(Tools(torch.func.grad, torch.func.vmap, lambda x: x.detach()), learner, alpha, beta)
    given = tuple(torch.from_numpy(np.ascontiguousarray(array)) for array in (B, w, targets))

    def call() -> tuple[Array, Array]:
        B, w, targets = given
        for _ in range(steps):
            B, w = one(B, w, targets)
        return B.numpy(), w.numpy()

    return call


OPPONENTS = {"JAX": ("jax", by_jax), "torch.func": ("torch", by_torch)}
"""By the name that readers know: the module, and how."""


def installed() -> list[str]:
    """The opponents that are here."""
    return [name for name, (module, _) in OPPONENTS.items() if importlib.util.find_spec(module) is not None]
