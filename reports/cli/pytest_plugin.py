"""``pytest --implementation=TARGET``, wherever metarep is installed: the claims against that adapter, and nothing else.

pytest loads this whenever it starts, so that nothing heavy is imported here.
"""

from pathlib import Path

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option."""
    parser.getgroup("metarep").addoption(
        "--implementation",
        metavar="TARGET",
        default=None,
        help="check this adapter (a .py file, else a dotted module) against metarep's claims, and run nothing else",
    )


def pytest_configure(config: pytest.Config) -> None:
    """With the option it is metarep's own module of tests that is collected."""
    if config.getoption("--implementation") is not None:
        config.args = [str(Path(__file__).with_name("implementation_tests.py"))]
