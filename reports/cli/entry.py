"""Where ``metarep`` begins: as little as possible is imported before an interruption is dealt with."""

import os
import signal
import sys
from types import FrameType


def _terminated(number: int, frame: FrameType | None) -> None:
    from metarep.reports.page.output import Terminated

    raise Terminated


def main() -> None:
    """Entry point of ``metarep``."""
    signal.signal(signal.SIGTERM, _terminated)
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115  # closed by who started this: nobody is told
    if sys.stdout is None:
        print("metarep: stdout is closed; allowed: one that takes what is printed, /dev/null too", file=sys.stderr)
        sys.exit(2)
    try:
        from metarep.reports.cli.app import run

        code = run()
    except KeyboardInterrupt as stop:
        print("metarep: interrupted; nothing is kept", file=sys.stderr)
        code = 143 if type(stop).__name__ == "Terminated" else 130
    sys.exit(code)
