"""Answers to one FILE, for the verb `analyze`; what is unknown or missing is said on standard error."""

from __future__ import annotations

from collections.abc import Iterator

from lowrun import UsageError, analysis
from lowrun.cli import console
from lowrun.cli.analyze_options import AnalyzeRequest, ExportRequest
from lowrun.cli.logreading import ReadingBar, not_understood
from lowrun.cli.outfile import OutFile

__all__ = ["answer", "export"]


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
    bar = ReadingBar()
    try:
        return analysis.Analysis(
            request.file,
            programs=request.programs,
            pids=request.pids,
            since=request.since,
            until=request.until,
            failed=request.failed,
            queries=(request.query,) if isinstance(request, AnalyzeRequest) and not request.text else None,
            progress=bar.show,
        )
    finally:
        bar.erase()


def _pieces(log: analysis.Analysis, request: AnalyzeRequest) -> Iterator[str]:
    if request.format == "table":
        return log.sql_table(request.text, request.limit) if request.text else log.tables(request.query, request.limit)
    rows = log.sql(request.text, request.limit) if request.text else log.query(request.query, request.limit)
    return rows.csv() if request.format == "csv" else rows.json()


def _tell(log: analysis.Analysis, query: str) -> None:
    if log.unknown:
        console.warn(not_understood(log.unknown, log.unknown_lines))
    if missing := log.missing(query):
        console.warn(missing)
