"""Answers to one FILE, for the verb `analyze`; what is unknown or missing is said on standard error."""

from __future__ import annotations

import time
from collections.abc import Iterator

from lowrun import UsageError, analysis
from lowrun.cli import console
from lowrun.cli.analyze_options import AnalyzeRequest, ExportRequest
from lowrun.cli.outfile import OutFile

__all__ = ["answer", "export"]

#: Seconds before a word of progress, and between two.
QUIET_S = 1.0
DRAWING_S = 0.2
MIB = 1 << 20


def answer(request: AnalyzeRequest) -> int:
    """Print the answer to standard output, until nobody reads it. Raises LowrunError, OSError."""
    out = console.Stream(console.STDOUT)
    with _open(request) as log:
        _tell(log, request.query)
        written = 0
        try:
            for piece in _pieces(log, request):
                written += out.write(piece.encode())
        except BrokenPipeError:
            return 0
        if not written:
            console.complain(f"{request.query}: there is nothing to show")
    return 0


def export(request: ExportRequest) -> int:
    """Write FILE in another form. Raises LowrunError, OSError."""
    with OutFile(request.output, request.output) as out, _open(request) as log:
        if log.is_file(request.output):
            raise UsageError(f"{request.output}: is FILE itself")
        _tell(log, "export")
        try:
            log.export(request.kind, out.fileno(), request.limit)
        except BrokenPipeError:
            return 0
        except OSError as error:
            raise OSError(error.errno, error.strerror, error.filename or request.output) from None
        out.keep()
    return 0


def _open(request: AnalyzeRequest | ExportRequest) -> analysis.Analysis:
    with _Progress() as progress:
        return analysis.Analysis(
            request.file,
            programs=request.programs,
            pids=request.pids,
            since=request.since,
            until=request.until,
            failed=request.failed,
            queries=(request.query,) if isinstance(request, AnalyzeRequest) and not request.text else None,
            progress=progress.show if progress.shown else None,
        )


def _pieces(log: analysis.Analysis, request: AnalyzeRequest) -> Iterator[str]:
    if request.format == "table":
        return log.sql_table(request.text, request.limit) if request.text else log.tables(request.query, request.limit)
    rows = log.sql(request.text, request.limit) if request.text else log.query(request.query, request.limit)
    return rows.csv() if request.format == "csv" else rows.json()


def _tell(log: analysis.Analysis, query: str) -> None:
    if log.unknown:
        numbers = ", ".join(map(str, log.unknown_lines))
        more = ", ..." if log.unknown > len(log.unknown_lines) else ""
        console.warn(f"{log.unknown} lines of the log are not understood: {numbers}{more}")
    if missing := log.missing(query):
        console.warn(missing)


class _Progress:
    """One line on a terminal that says how much of a log has been read."""

    def __init__(self) -> None:
        self.shown = console.is_terminal(console.STDERR)
        self._next = time.monotonic() + QUIET_S
        self._drawn = False

    def show(self, done: int, size: int | None) -> None:
        """Say how many bytes of how many have been read, if it is time to."""
        now = time.monotonic()
        if now >= self._next:
            self._next, self._drawn = now + DRAWING_S, True
            console.show(f"\r{done // MIB}{'' if size is None else f' of {size // MIB}'} MiB read")

    def __enter__(self) -> _Progress:
        return self

    def __exit__(self, *_exc: object) -> None:
        if self._drawn:
            console.show("\r\x1b[K")
