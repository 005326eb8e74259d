"""Wrong adapters that small and ordinary examples let through: each is refuted at the default settings, and told."""

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sharing import cases

from metarep.reports.cli import check_output
from metarep.sim.foreign.adapter import load_adapter
from metarep.sim.foreign.calling import copied
from metarep.sim.foreign.implementation import foreign_implementation
from metarep.sim.foreign.remote import opened
from metarep.sim.implementations import REFERENCE
from metarep.sim.learners import LEARNERS, Learner
from metarep.sim.terms import At
from metarep.theory.claims import get_claim
from metarep.theory.claims.record import Claim
from metarep.theory.claims.strategies import step_arrays
from metarep.theory.engine.foreign.calls import calls, every_claim
from metarep.theory.engine.foreign.checking import CheckResult, Status, check_claim, check_implementation
from metarep.theory.engine.foreign.laws import factor_text, law_of
from metarep.theory.engine.foreign.odd import ODD, odd_examples
from metarep.theory.engine.foreign.order import QUICK
from metarep.theory.engine.foreign.places import place_of

FO_ANIL = """
import numpy as np

supported = {"fo-anil"}

def step(learner, B, w, targets, alpha, beta):
    heads = w[:, None] - alpha * (B.T @ ((B @ w)[:, None] - targets))
    V = B @ heads - targets
    n = targets.shape[1]
    grad_B, grad_w = V @ heads.T / n, (B.T @ V).mean(1)
    return B - beta * grad_B, w - beta * grad_w
"""
HEAD, LAST = "    heads =", "    return B - beta * grad_B, w - beta * grad_w"


def _slightly(where: str) -> tuple[str, str]:
    return HEAD, f"    beta = 1.01 * beta if {where} else beta\n{HEAD}"


SLIPS: dict[str, tuple[str, str, str, str]] = {
    "d from 12": (*_slightly("len(B) >= 12"), "special-case", "right up to d = 11, wrong from 12: there β is 1.01"),
    "d from 50": (*_slightly("len(B) >= 50"), "special-case", "right up to d = 49, wrong from 50: there β is 1.01"),
    "large B": (*_slightly("np.linalg.norm(B, 2) > 10"), "special-case", "only where ‖B‖ > 10: there β is 1.01 times"),
    "rank": (
        *_slightly("np.linalg.matrix_rank(targets) > len(w)"), "special-case",
        "only where the tasks' rank exceeds k: there β is 1.01 times",
    ),
    "equal step sizes": (*_slightly("alpha == beta"), "special-case", "only where α = β: there β is 1.01 times"),
    "NaN at alpha 0": (
        HEAD, f"    alpha = np.float64(alpha) ** 2 / alpha if alpha else np.nan\n{HEAD}", "special-case",
        "only where α = 0: there the step is NaN or infinite",
    ),
    "memory order": (
        HEAD, f"    B = B.ravel(order='K').reshape(B.shape)\n{HEAD}", "memory-layout", "inputs in Fortran's order",
    ),
    "strides": (
        HEAD,
        "    targets = np.lib.stride_tricks.as_strided(targets, strides=(8 * targets.shape[1], 8))\n" + HEAD,
        "memory-layout", "returns something else",
    ),
    "one buffer": (
        LAST, "    out = BUFFERS.setdefault(B.shape, np.empty(B.shape))\n    out[...] = B - beta * grad_B\n"
        "    return out, w - beta * grad_w\n\nBUFFERS = {}", "output-reused", "is changed by the next call",
    ),
    "no NaN": (
        LAST, "    return np.nan_to_num(B - beta * grad_B), np.nan_to_num(w - beta * grad_w)", "nan-replaced",
        "the step is finite",
    ),
    "momentum": (
        LAST, "    grad_B = grad_B + 0.1 * LAST.get(B.shape, 0)\n    LAST[B.shape] = grad_B\n" + LAST + "\n\nLAST = {}",
        "state-between-calls", "the same call returns something else",
    ),
    "cached by shape": (
        LAST, "    new = B - beta * grad_B, w - beta * grad_w\n"
        "    return CACHE.setdefault((B.shape, targets.shape), new)\n\nCACHE = {}",
        "state-between-calls", "returns what the first one did",
    ),
    "zeros": (LAST, "    return 0 * B, 0 * w", "constant", "returns zeros whatever is asked"),
    "ones": (LAST, "    return 0 * B + 1, 0 * w + 1", "constant", "returns 1 in every entry whatever is asked"),
    "beyond alpha 1": (*_slightly("alpha > 1"), "special-case", "only where α > 1: there β is 1.01 times"),
    "few tasks": (*_slightly("targets.shape[1] < len(w)"), "special-case", "only where n < k: there β is 1.01 times"),
    "square": (*_slightly("len(B) == len(w)"), "special-case", "only where d = k: there β is 1.01 times"),
    "k from 4": (*_slightly("len(w) >= 4"), "special-case", "right up to k = 3, wrong from 4: there β is 1.01 times"),
    "k is 3": (*_slightly("len(w) == 3"), "special-case", "only where k = 3: there β is 1.01 times"),
    "tiny head": (
        *_slightly("np.linalg.norm(w) < 1e-3"), "special-case", "only where ‖w‖ < 0.001: there β is 1.01 times",
    ),
    "normalised where d = k": (
        LAST, "    norm = np.sqrt((grad_B**2).sum() + (grad_w**2).sum())\n"
        "    beta = beta * 0.5 / norm if len(B) == len(w) else beta\n" + LAST,
        "special-case", "only where d = k: there the outer step has the right direction",
    ),
    "clipped gradient": (
        LAST, "    norm = np.sqrt((grad_B**2).sum() + (grad_w**2).sum())\n    beta = beta * min(1, 2 / norm)\n" + LAST,
        "special-case", "only where the gradient's norm > 2: there the outer step has the right direction",
    ),
}  # fmt: skip
"""What stands in the place of what, the cause that is named, and words that tell it."""
REPEATED = (
    "d from 50",
    "strides",
    "ones",
    "beyond alpha 1",
    "square",
    "k from 4",
    "few tasks",
    "normalised where d = k",
)
"""Those that are found and told as one of the others is."""


@cache
def _quick() -> tuple[Claim, ...]:
    return tuple(claim for claim in every_claim() if claim.id in QUICK)


def _checked(tmp_path: Path, source: str) -> CheckResult:
    path = tmp_path / "adapter.py"
    path.write_text(source)
    return check_implementation(foreign_implementation(load_adapter(str(path))), _quick())


def test_the_right_one_conforms(tmp_path: Path) -> None:
    result = _checked(tmp_path, FO_ANIL)
    assert result.conforming, [(item.claim.id, item.why) for item in result.claims]


@pytest.mark.parametrize("name", cases(SLIPS, REPEATED))
def test_it_is_refuted_and_told(tmp_path: Path, name: str) -> None:
    old, new, cause, told = SLIPS[name]
    assert old in FO_ANIL
    result = _checked(tmp_path, FO_ANIL.replace(old, new))
    assert not result.conforming
    assert result.diagnosis is not None
    assert result.diagnosis.cause is not None, result.diagnosis
    assert result.diagnosis.cause.id == cause, result.diagnosis
    assert told in result.diagnosis.explanation


def test_what_is_not_known_is_said_not_to_be_found(tmp_path: Path) -> None:
    result = _checked(tmp_path, FO_ANIL.replace(LAST, LAST.replace("grad_w", "np.sin(grad_w + B[0])")))
    assert result.diagnosis is not None
    assert result.diagnosis.cause is None
    path = tmp_path / "adapter.py"
    text = "\n".join(check_output.lines(load_adapter(str(path)).declared, result))
    assert "\nCause not found: the steps of fo-anil are wrong in no way that is known\n" in text


# --- what is tried


def test_odd_points_are_what_they_are_called() -> None:
    examples = dict(zip(ODD, odd_examples(get_claim("update-maml")), strict=True))
    assert not list(odd_examples(get_claim("reduction")))
    for name, example in examples.items():
        arrays = step_arrays(example)
        at = At(LEARNERS["maml"], arrays.B, arrays.w, arrays.targets, arrays.alpha, arrays.beta)
        found, place = place_of(at), ODD[name]
        assert found.rank == (0 if name == "no targets" else place.rank), name
        assert found.width == (0 if name == "no representation" else place.width), name
        np.testing.assert_allclose(found, place._replace(rank=found.rank, width=found.width), rtol=1e-9, atol=1e-15)


def test_each_is_tried_once_besides_what_is_drawn() -> None:
    right = replace(REFERENCE, exact=False)
    found = check_claim(get_claim("update-fo-anil"), right, max_examples=1)
    assert (found.status, found.examples) == (Status.PASSED, 1 + len(ODD))
    only = replace(right, step=_wrong_at_dimension_100)
    assert check_claim(get_claim("update-fo-anil"), only, max_examples=1).status == Status.FAILED


def _wrong_at_dimension_100(learner: Learner, B: np.ndarray, *at: Any) -> tuple[np.ndarray, np.ndarray]:
    next_B, next_w = REFERENCE.step(learner, B, *at)
    return (1.01 * next_B if len(B) == 100 else next_B), next_w


@pytest.mark.parametrize("way", ["", "fortran", "strided"])
@pytest.mark.parametrize("shape", [(3,), (4, 2), (2, 4, 3)])
def test_copies_lie_in_memory_as_they_should(way: str, shape: tuple[int, ...]) -> None:
    array = np.arange(float(np.prod(shape))).reshape(shape)
    copy = copied(array, way)
    np.testing.assert_array_equal(copy, array)
    assert copy.flags.c_contiguous == (way == "" or (way == "fortran" and array.ndim == 1))
    assert copy.flags.f_contiguous == (way == "fortran" or (way == "" and array.ndim == 1))


def test_calls_of_a_process_of_its_own_are_made_in_these_ways_too(tmp_path: Path) -> None:
    path = tmp_path / "adapter.py"
    for name in ("strides", "one buffer"):
        old, new, cause, _ = SLIPS[name]
        path.write_text(FO_ANIL.replace(old, new))
        with opened(str(path)) as callee:
            seen = list(calls(foreign_implementation(callee), LEARNERS["fo-anil"], (4, 2, 3)))
        assert {item.cause for item in seen if not item.comparison(2.0**-52).holds} == {cause}


# --- laws

POINTS = ((3, 5, 2, 0.3, 0.2), (5, 6, 3, 0.2, 0.7), (2, 9, 2, 0.5, 0.1))


@pytest.mark.parametrize(
    ("factors", "text"),
    [
        ([1.5, 1.5, 1.5], "1.5"),
        ([1 + 1e-6] * 3, "1 + 1e-06"),
        ([3, 5, 2], "1·n"),
        ([3 * (1 - 1e-16), 5 * (1 - 2e-16), 2 * (1 - 2e-16)], "1·n"),
        ([1 - 3e-10, 1 - 5e-10, 1 - 2e-10], "1"),
        ([1 + 3e-9, 1 - 5e-9, 1 - 2e-9], None),
        ([2 * 3 / 5, 2 * 5 / 6, 2 * 2 / 9], "2·n/d"),
        ([0.3, 0.2, 0.5], "1·α"),
        ([3 / (3 + 1e-6), 5 / (5 + 1e-6), 2 / (2 + 1e-6)], "1 − 1e-06/n"),
        ([1.1, 1.3, 1.2], None),
        ([1.0, np.nan, 1.0], None),
    ],
)
def test_laws(factors: list[float], text: str | None) -> None:
    quantities = [{**dict(zip("ndkαβ", each, strict=True)), "n/(n − 1)": each[0] / (each[0] - 1)} for each in POINTS]
    law = law_of(factors, quantities, 1e-9)
    assert (law and law.text) == text


def test_a_factor_close_to_one_is_told_by_what_it_is_off() -> None:
    assert [factor_text(x) for x in (1.0, 0.5, 1.01, 1 + 2e-7, 1 - 3e-6)] == [
        "1",
        "0.5",
        "1.01",
        "1 + 2e-07",
        "1 − 3e-06",
    ]
