"""``python -m reports`` is ``metarep``."""

from reports.entry import main

main()
