"""The verb `analyze`: answers to standard output, all that is to be said of them to standard error."""

from __future__ import annotations

from lowrun.cli.analyze_options import AnalyzeRequest, DiffRequest, ExportRequest

__all__ = ["run"]


def run(request: AnalyzeRequest | ExportRequest | DiffRequest) -> int:
    """Answer, export or compare; return the exit code. Raises LowrunError, OSError."""
    if isinstance(request, DiffRequest):
        from lowrun.cli import diff

        return diff.run(request)
    from lowrun.cli import ask

    return ask.export(request) if isinstance(request, ExportRequest) else ask.answer(request)
