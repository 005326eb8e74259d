"""What several test modules look at, made by one worker for all of them."""

import pickle
from collections.abc import Callable, Container, Iterable
from pathlib import Path
from typing import Any

import pytest

try:
    import fcntl
except ImportError:  # a system without locks of this kind: every worker makes its own
    fcntl = None

LONG_RUNS = ("noise-floor-fo-anil", "noise-floor-slopes")
"""Claims whose measurements take seconds however few examples are asked for. Short: those of a run at the floor, and of
the floor's growth.
"""


def shared(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], Any]) -> tuple[Any, Path]:
    """What ``make`` returns, and the folder that it was given: it is called once in a run, whatever number of workers
    ask. They are sent what it returns, and are not to change the folder.
    """
    own = factory.getbasetemp()
    root = own.parent if fcntl is not None and own.name.startswith("popen-") else own
    folder, result = root / name, root / f"{name}.pickle"
    with (root / f"{name}.lock").open("w") as lock:
        if fcntl is not None:
            fcntl.flock(lock, fcntl.LOCK_EX)
        if not result.exists():
            folder.mkdir()
            content = pickle.dumps(make(folder))
            result.write_bytes(content)
        return pickle.loads(result.read_bytes()), folder


def cases(values: Iterable[Any], thorough: Container[Any]) -> list[Any]:
    """The values of a parameter, some of them in ``pytest -m thorough`` alone."""
    return [pytest.param(value, marks=pytest.mark.thorough) if value in thorough else value for value in values]
