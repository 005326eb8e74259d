"""Where ``metarep`` begins: as little as possible is imported before an interruption is dealt with."""

import signal
import sys
from types import FrameType


def _terminated(number: int, frame: FrameType | None) -> None:
    from metarep.reports.page.output import Terminated

    raise Terminated


def main() -> None:
    """Entry point of ``metarep``."""
    signal.signal(signal.SIGTERM, _terminated)
    try:
        from metarep.reports.cli.app import run

        code = run()
    except KeyboardInterrupt as stop:
        print("metarep: interrupted; nothing is kept", file=sys.stderr)
        code = 143 if type(stop).__name__ == "Terminated" else 130
    sys.exit(code)
