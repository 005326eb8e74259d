"""Where ``metarep`` begins: as little as possible is imported before an interruption is dealt with."""

import sys


def main() -> None:
    """Entry point of ``metarep``."""
    try:
        from metarep.reports.cli.app import run

        code = run()
    except KeyboardInterrupt:
        print("metarep: interrupted", file=sys.stderr)
        code = 130
    sys.exit(code)
