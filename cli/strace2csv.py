"""The verb `strace2csv`: a log of system calls as a table, streamed."""

from __future__ import annotations

import time

from lowrun import UsageError, trace
from lowrun.cli.console import STDERR, complain, is_terminal, show, warn
from lowrun.cli.outfile import OutFile
from lowrun.cli.strace2csv_options import Strace2csvRequest

__all__ = ["run"]

HINT = "Hint: run strace with options: '-f -tt -T -y -yy -s 2048'"
EXIT_NO_LOG = 1
#: Seconds before the first word of how far the work is, and between two.
FIRST_S, AGAIN_S = 1.0, 0.2


def run(request: Strace2csvRequest) -> int:
    """Write the table, return the exit code. Raises UsageError, OSError, ProtocolError where the log is damaged."""
    extra = max(request.verbose - 1, 0)
    with trace.open_log(request.log) as log:
        if log.is_file(request.out):
            raise UsageError(f"--out {request.out}: is the LOG itself")
        with OutFile(request.out, f"--out {request.out}") as out:
            if request.verbose:
                complain(f"Parsing strace log: {log.name}")
            scanner = trace.scanner("fixed" if request.fixed else "stracepy", extra)
            try:
                written = _write(log, scanner, out, trace.csv_header(extra))
            except BrokenPipeError:  # who read it has seen enough
                return 0
            if not written:
                complain(f"{log.name}: no line has a pid and a time")
                complain(HINT)
                return EXIT_NO_LOG
            out.keep()
    if request.verbose:
        if scanner.unknown:
            warn(_unknown(scanner))
        if request.out != "-":
            complain(f"Wrote: {request.out}")
    return 0


def _write(log: trace.LogText, scanner: trace.LogScanner, out: OutFile, header: bytes) -> bool:
    """Write header and rows; nothing, and return False, if the log turns out to be none."""
    progress = _Progress(log)
    try:
        for chunk in log:
            if rows := scanner.feed(chunk):
                out.write(header + rows)
                header = b""
            progress.show()
    finally:
        progress.erase()
    rows = scanner.finish()
    if header and not rows and scanner.lines and not scanner.led and scanner.unknown:
        return False
    out.write(header + rows)
    return True


def _unknown(scanner: trace.LogScanner) -> str:
    numbers = ", ".join(map(str, scanner.unknown_lines))
    more = ", ..." if scanner.unknown > len(scanner.unknown_lines) else ""
    if scanner.unknown == 1:
        return f"1 line was not understood (line {numbers})"
    return f"{scanner.unknown} lines were not understood (lines {numbers}{more})"


class _Progress:
    """How much of the log has been read, drawn in place on a terminal."""

    def __init__(self, log: trace.LogText) -> None:
        self._log = log
        self._shown = is_terminal(STDERR)
        self._drawn = False
        self._next = time.monotonic() + FIRST_S

    def show(self) -> None:
        """Draw it, now and then."""
        if not self._shown or time.monotonic() < self._next:
            return
        self._next = time.monotonic() + AGAIN_S
        read = f"{self._log.position >> 20} MiB"
        if self._log.size:
            read = f"{100 * self._log.position // self._log.size} %"
        show(f"\r\x1b[Klowrun: {read} read")
        self._drawn = True

    def erase(self) -> None:
        """Take it away."""
        if self._drawn:
            show("\r\x1b[K")
