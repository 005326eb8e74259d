"""``python -m metarep`` is ``metarep``."""

from metarep.reports.cli.entry import main

main()
