"""Profiles of the suite: ``default`` (derandomised) and ``thorough`` (20× the instances, fresh randomness)."""

import secrets

import hypothesis
import pytest

from theory.engine import Profile

THOROUGH_EFFORT = 20.0

# Named for this project: Hypothesis loads a profile of its own called "ci" where CI is set.
hypothesis.settings.register_profile("metarep-default", derandomize=True, deadline=None, database=None)
hypothesis.settings.register_profile("metarep-thorough", max_examples=2000, deadline=None, database=None)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--metarep-profile",
        choices=("default", "thorough"),
        default="default",
        help="default: derandomised; thorough: 20 times the instances, fresh randomness",
    )
    parser.addoption("--metarep-seed", type=int, default=None, help="seed of the thorough profile (fresh unless given)")


def pytest_configure(config: pytest.Config) -> None:
    hypothesis.settings.load_profile(f"metarep-{config.getoption('--metarep-profile')}")
    if config.getoption("--metarep-profile") == "thorough" and config.getoption("--metarep-seed") is None:
        worker = getattr(config, "workerinput", None)
        config.option.metarep_seed = worker["metarep_seed"] if worker else secrets.randbelow(2**31)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node) -> None:  # parallel workers must share the seed, or they would collect different work
    node.workerinput["metarep_seed"] = node.config.getoption("--metarep-seed")


def pytest_report_header(config: pytest.Config) -> str:
    name = config.getoption("--metarep-profile")
    return f"metarep profile: {name}" + (f", --metarep-seed {config.option.metarep_seed}" if name == "thorough" else "")


@pytest.fixture(scope="session")
def profile(request: pytest.FixtureRequest) -> Profile:
    """How hard the claims are checked in this run."""
    if request.config.getoption("--metarep-profile") == "thorough":
        return Profile("thorough", THOROUGH_EFFORT, int(request.config.option.metarep_seed))
    return Profile()
