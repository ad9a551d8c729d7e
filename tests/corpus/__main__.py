"""The table of agreement, and what differs from strace by call.

python -m tests.corpus [--missing N] [--threshold SHARE] [--save DIRECTORY] [NAME...]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tests.compare_strace import report
from tests.corpus import HEADER, PROGRAMS, missing_tool, row, verdicts_of


def main() -> int:
    """Compare the programs; returns 1 when one is below the threshold."""
    parser = argparse.ArgumentParser(description="Compare lowrun's lines with strace's, for real programs.")
    parser.add_argument("--missing", type=int, default=0, help="print so many examples of each call that differs")
    parser.add_argument("--width", type=int, default=300, help="of an example, in characters (default 300)")
    parser.add_argument("--threshold", type=float, default=0.97, help="exit 1 below this share (default 0.97)")
    parser.add_argument("--save", type=Path, help="copy the logs into this directory")
    parser.add_argument("name", nargs="*", metavar="NAME", help=f"any of: {', '.join(PROGRAMS)} (default: all)")
    options = parser.parse_args()
    unknown = [name for name in options.name if name not in PROGRAMS]
    if unknown:
        parser.error(f"no such program: {', '.join(unknown)}")
    print(HEADER)
    below = 0
    for name in options.name or PROGRAMS:
        if missing_tool(name):
            print(f"{name:<16} not installed")
            continue
        with tempfile.TemporaryDirectory() as directory:
            verdicts = verdicts_of(name, Path(directory), options.save)
        below += verdicts[0].share < options.threshold
        print(row(name, verdicts), flush=True)
        differing = report(verdicts[0], options.missing, options.width)
        if options.missing and differing:
            print(differing, flush=True)
    return 1 if below else 0


if __name__ == "__main__":
    sys.exit(main())
