"""What a reader is shown of an example: the mathematics' own objects, by plain names, and not what a strategy drew.

A check hands them over with its comparison, for it knows the point that it looked at. ``StepArrays.objects`` are those
of a step; here are those of a run, and how all of them are written.
"""

from typing import Any

import numpy as np

from metarep.sim.problems import Problem

SYMBOLS = {
    **{name: name for name in ("d", "k", "n", "m", "c", "h", "q", "t", "u", "w", *"ABDMPQSTUYZ")},
    "B_0": "B_0",
    "B_T": "B_T",
    "B_star": "B_*",
    "B_t": "B_t",
    "Im s": r"\mathrm{Im}\, s",
    "Re s": r"\mathrm{Re}\, s",
    "Sigma": r"\Sigma",
    "Sigma_star": r"\Sigma_*",
    "X_in": "X_{in}",
    "X_out": "X_{out}",
    "alpha": r"\alpha",
    "beta": r"\beta",
    "dB": r"\delta B",
    "dw": r"\delta w",
    "factors": r"\mathrm{factors}",
    "heads": "W_*",
    "m_in": "m_{in}",
    "m_out": "m_{out}",
    "mu": r"\mu",
    "noise": r"\sigma^2",
    "omega": r"\omega",
    "sigma": r"\sigma",
    "sign": r"\mathrm{sign}",
    "targets": r"\Theta",
    "turn": r"\mathrm{turn}",
    "w_0": "w_0",
    "w_t": "w_t",
    "width": "k'",
    "y_in": "y_{in}",
    "y_out": "y_{out}",
}
"""The objects' names, in which data and the terminal have them, and what they are in a statement (LaTeX)."""


def run_objects(problem: Problem, alpha: Any, beta: Any, heads: np.ndarray, place: int | None = None) -> dict[str, Any]:
    """The objects of a run, of a batch of runs those of number ``place``.

    Args:
        problem: where it starts, and the truth; coordinates in which both are zero are left out at the end.
        alpha, beta: its step sizes.
        heads: its own tasks' heads (k, n), or (P, k, n) where P sets of tasks take turns.
        place: its number in the batch.
    """
    B, w, alpha, beta = (part if place is None else part[place] for part in (problem.B0, problem.w0, alpha, beta))
    rows = 1 + int(np.flatnonzero(np.any(np.concatenate([B, problem.B_star], 1) != 0, 1)).max())
    sizes = {"d": problem.d, "k": problem.k, "n": heads.shape[-1], "alpha": alpha, "beta": beta}
    return {
        **sizes,
        "B_0": B[:rows],
        "w_0": w,
        "B_star": problem.B_star[:rows],
        "heads": heads[0] if heads.ndim == 3 and len(heads) == 1 else heads,
    }
