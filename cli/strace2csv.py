"""The verb `strace2csv`: a log of system calls as a table, streamed."""

from __future__ import annotations

from lowrun import UsageError, trace
from lowrun.cli.console import complain, warn
from lowrun.cli.logreading import ReadingBar, not_understood
from lowrun.cli.outfile import OutFile
from lowrun.cli.strace2csv_options import Strace2csvRequest

__all__ = ["run"]

HINT = "Hint: run strace with options: '-f -tt -T -y -yy -s 2048'"
EXIT_NO_LOG = 1


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
        if scanner.led and not scanner.rows and not request.fixed:
            warn("no line is a call with its time (strace -T); --fixed needs none")
        if scanner.unknown:
            warn(not_understood(scanner.unknown, scanner.unknown_lines))
        if request.out != "-":
            complain(f"Wrote: {request.out}")
    return 0


def _write(log: trace.LogText, scanner: trace.LogScanner, out: OutFile, header: bytes) -> bool:
    """Write header and rows; nothing, and return False, if the log turns out to be none."""
    progress = ReadingBar()
    try:
        for chunk in log:
            if rows := scanner.feed(chunk):
                out.write(header + rows)
                header = b""
            progress.show(log.position, log.size)
    finally:
        progress.erase()
    rows = scanner.finish()
    if header and not rows and scanner.lines and not scanner.led and scanner.unknown:
        return False
    out.write(header + rows)
    return True
