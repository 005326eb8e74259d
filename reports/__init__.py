"""What people read: the command line, the rates table, the figures, the benchmark and the report."""

from importlib.metadata import PackageNotFoundError, version


def package_version() -> str:
    """The installed version of metarep, or a word that says that it is not installed."""
    try:
        return version("metarep")
    except PackageNotFoundError:
        return "not installed"
