"""``python -m reports`` is ``metarep``."""

from reports.cli import main

main()
