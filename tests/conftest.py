"""Profiles of the suite: ``default`` (an eighth of the claims' examples, derandomised) and ``thorough`` (20× as many as
they have, fresh randomness).
"""

import os
import secrets
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest
from sharing import shared

if TYPE_CHECKING:  # the process that hands out the tests needs none of it
    from metarep.theory.engine import Profile

for _library in ("OPENBLAS", "OMP", "MKL"):  # the workers share the cores; NumPy is not imported yet
    os.environ.setdefault(f"{_library}_NUM_THREADS", "1")

DEFAULT_EFFORT, THOROUGH_EFFORT = 1 / 8, 20.0
"""Shares of each claim's own number of examples. A report takes all; every mutant is refuted by far fewer."""

# Named for this project: Hypothesis loads a profile of its own called "ci" where CI is set.
hypothesis.settings.register_profile("metarep-default", max_examples=40, derandomize=True, deadline=None, database=None)
hypothesis.settings.register_profile("metarep-thorough", max_examples=2000, deadline=None, database=None)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--metarep-profile",
        choices=("default", "thorough"),
        default="default",
        help="default: an eighth of each claim's examples, derandomised; thorough: 20 times as many, fresh ones",
    )
    parser.addoption("--metarep-seed", type=int, default=None, help="seed of the thorough profile (fresh unless given)")
    parser.addoption("--mutants", type=int, default=120, help="mutants of the source that `-m mutation` draws")
    parser.addoption("--mutants-seed", type=int, default=0, help="which of them it draws")


def pytest_configure(config: pytest.Config) -> None:
    hypothesis.settings.load_profile(f"metarep-{config.getoption('--metarep-profile')}")
    if config.getoption("--metarep-profile") == "thorough" and config.getoption("--metarep-seed") is None:
        worker = getattr(config, "workerinput", None)
        config.option.metarep_seed = worker["metarep_seed"] if worker else secrets.randbelow(2**31)


def pytest_collection_finish() -> None:
    from metarep.theory.work.processes import settle

    settle()  # modules and tests stay


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node) -> None:  # parallel workers must share the seed, or they would collect different work
    node.workerinput["metarep_seed"] = node.config.getoption("--metarep-seed")


def pytest_report_header(config: pytest.Config) -> str:
    name = config.getoption("--metarep-profile")
    return f"metarep profile: {name}" + (f", --metarep-seed {config.option.metarep_seed}" if name == "thorough" else "")


@pytest.fixture(scope="session")
def profile(request: pytest.FixtureRequest) -> "Profile":
    """How hard the claims are checked in this run."""
    from metarep.theory.engine import Profile

    if request.config.getoption("--metarep-profile") == "thorough":
        return Profile("thorough", THOROUGH_EFFORT, int(request.config.option.metarep_seed))
    return Profile("default", DEFAULT_EFFORT)


@pytest.fixture(scope="session")
def tiny_report(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    """What was gathered for a report of three claims, and the folder that it was written to: to be read only."""
    from small_report import write_tiny_report

    return shared(tmp_path_factory, "tiny-report", write_tiny_report)


@pytest.fixture(scope="session", autouse=True)
def no_lines_of_progress() -> None:
    """A slow machine makes a command tell how far it is: not in the tests of what it prints."""
    from metarep.reports.page import output

    output.TELL_EVERY = 1e6


@pytest.fixture
def without_layout(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures are drawn, but no room is made for their labels first, which takes as long again: for tests that look at
    everything else.
    """
    monkeypatch.setattr("matplotlib.layout_engine.ConstrainedLayoutEngine.execute", lambda engine, figure: None)


@pytest.fixture
def one_drawing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every figure of a report is the same empty drawing: for tests that look at everything else."""
    drawing = b'<svg viewBox="0 0 300 200" width="300pt" height="200pt"></svg>'
    for module in ("page.charts", "chapters.experiments.figure_1"):
        monkeypatch.setattr(f"metarep.reports.{module}.rendered", lambda figure, form: drawing)


@pytest.fixture
def complaint(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Run ``metarep`` on bad input: exit code 2, nothing on stdout, no warning, and on stderr the line it returns."""
    from metarep.reports.cli.app import run

    def complained(*words: object) -> str:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert run([str(word) for word in words]) == 2
        seen = capsys.readouterr()
        assert seen.out == ""
        assert seen.err.count("\n") == 1
        assert seen.err.startswith("metarep: ")
        assert "; allowed: " in seen.err
        return seen.err

    return complained
