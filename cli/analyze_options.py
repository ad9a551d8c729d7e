"""The options of `lowrun analyze`: the table, and the requests it makes. Options may stand anywhere.

lowrun analyze FILE QUERY            AnalyzeRequest
lowrun analyze FILE sql TEXT         the same
lowrun analyze FILE export OUT       ExportRequest
lowrun analyze diff DIR              DiffRequest (a FILE of that name: ./diff)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from lowrun import UsageError, analysis, notation
from lowrun.cli.parser import Option, parse_mixed

__all__ = ["ANALYZE_OPTIONS", "AnalyzeRequest", "DiffRequest", "ExportRequest", "help_text", "read"]

PROGRAM = "lowrun analyze"
FORMATS = ("table", "csv", "json")
#: Of a difference, which is no table.
DIFF_FORMATS = ("table", "json")


class AnalyzeRequest(NamedTuple):
    """A question to one FILE."""

    file: str = ""
    #: A name of `analysis.QUERIES`, or "sql", then `text` is the statement.
    query: str = ""
    text: str = ""
    format: str = "table"
    programs: tuple[str, ...] = ()
    pids: tuple[int, ...] = ()
    since: str | None = None
    until: str | None = None
    failed: bool = False
    limit: int | None = None
    debug: bool = False
    help: bool = False


class ExportRequest(NamedTuple):
    """FILE in another form."""

    file: str
    output: str
    #: One of `analysis.EXPORTS`.
    kind: str
    programs: tuple[str, ...] = ()
    pids: tuple[int, ...] = ()
    since: str | None = None
    until: str | None = None
    failed: bool = False
    limit: int | None = None
    debug: bool = False
    help: bool = False


class DiffRequest(NamedTuple):
    """What failing runs of a directory did that passing ones did not."""

    directory: str = ""
    format: str = "table"
    #: The page is written to this file, too.
    html: str | None = None
    limit: int | None = None
    debug: bool = False
    help: bool = False


def _moment(text: str) -> str:
    analysis.Moment.parse(text)
    return text


LIMIT = Option("limit", ("-n", "--limit"), "at most N rows (slow: default 20)", "N", notation.whole)
COMMON = (
    Option("debug", ("-d", "--debug"), "log each step lowrun itself takes"),
    Option("help", ("-h", "--help"), "print this"),
)
FORMAT = Option("format", ("-f", "--format"), "table, csv or json (default table; diff: no csv)", "FORMAT",
                notation.one_of(*FORMATS), offers=FORMATS)  # fmt: skip
HTML = Option("html", ("--html",), "of diff: write a page for a browser, too", "FILE", notation.some("a path"))
#: What a question and an export may leave out.
FILTERS = (
    Option("programs", ("-x", "--program"), "only programs whose path or base name GLOB matches", "GLOB",
           notation.some("a path or a name"), many=True),
    Option("pids", ("-p", "--pid"), "only the process, or the thread, PID", "PID", notation.whole, many=True),
    Option("since", ("--since",), "only what began at TIME or later: HH:MM:SS[.ffffff], +SEC, seconds since 1970",
           "TIME", _moment),
    Option("until", ("--until",), "only what began before TIME", "TIME", _moment),
    Option("failed", ("-Z", "--failed"), "only calls that failed; of processes, those that did"),
    LIMIT,
)  # fmt: skip
TO = Option("to", ("--to",), "of export: parquet, csv, jsonl, perfetto or chrome", "KIND",
            notation.one_of(*analysis.EXPORTS), offers=analysis.EXPORTS)  # fmt: skip

ANALYZE_OPTIONS = (FORMAT, *FILTERS, TO, HTML, *COMMON)
DIFF_OPTIONS = (
    FORMAT._replace(convert=notation.one_of(*DIFF_FORMATS), offers=DIFF_FORMATS),
    HTML,
    LIMIT,
    *COMMON,
)


def read(words: Sequence[str]) -> AnalyzeRequest | ExportRequest | DiffRequest:
    """Return what the words behind `analyze` ask for. Raises UsageError with one line that says what is wrong."""
    parsed = parse_mixed(ANALYZE_OPTIONS, words, PROGRAM)
    if parsed.values.get("help"):
        return AnalyzeRequest(help=True, debug="debug" in parsed.values)
    if parsed.words[:1] == ("diff",):
        return _read_diff(words)
    values = parsed.values
    if "html" in values:
        raise UsageError("--html is of lowrun analyze diff and lowrun show")
    if not parsed.words:
        raise UsageError(f"no FILE given; see {PROGRAM} --help")
    if len(parsed.words) == 1:
        raise UsageError(f"no QUERY given: {', '.join(analysis.QUERIES)}, sql or export; see {PROGRAM} --help")
    file, query, *rest = parsed.words
    if query == "export":
        return _read_export(file, rest, values)
    if "to" in values:
        raise UsageError(f"--to is of {PROGRAM} FILE export")
    if query == "sql":
        if len(rest) != 1 or not rest[0].strip():
            raise UsageError("sql needs one statement, in quotes: sql 'SELECT name, count(*) FROM calls GROUP BY name'")
        return AnalyzeRequest(file, query, rest[0], **values)
    if query not in analysis.QUERIES:
        guess = notation.nearest(query, (*analysis.QUERIES, "sql", "export"))
        raise UsageError(f"unknown query {query}; " + (f"did you mean {guess}?" if guess else f"see {PROGRAM} --help"))
    if rest:
        raise UsageError(f"{rest[0]!r}: {query} needs nothing else")
    return AnalyzeRequest(file, query, **values)


def _read_diff(words: Sequence[str]) -> DiffRequest:
    parsed = parse_mixed(DIFF_OPTIONS, words, f"{PROGRAM} diff")
    if len(parsed.words) != 2:
        raise UsageError("diff needs one DIR, in which lowrun has kept runs: lowrun analyze diff DIR")
    return DiffRequest(parsed.words[1], **parsed.values)


def _read_export(file: str, rest: Sequence[str], values: dict[str, object]) -> ExportRequest:
    if "format" in values:
        raise UsageError("export takes --to, no --format")
    kind = values.pop("to", None)
    if kind is None:
        raise UsageError(f"export needs --to: {', '.join(analysis.EXPORTS)}")
    if len(rest) != 1:
        raise UsageError("export needs one OUT, the file to write")
    if kind == "parquet" and rest[0] == "-":
        raise UsageError("Parquet needs a file to be written to, not standard output")
    return ExportRequest(file, rest[0], str(kind), **values)  # type: ignore[arg-type]


HEAD = """\
usage: lowrun analyze [OPTIONS] FILE QUERY
       lowrun analyze [OPTIONS] FILE sql STATEMENT
       lowrun analyze [OPTIONS] FILE export --to KIND OUT
       lowrun analyze diff [OPTIONS] DIR

Answer questions about a log of system calls. FILE is a log of strace or lowrun (calls.strace, calls.records, also
compressed), the directory of a run, a CSV of lowrun strace2csv or stracepy, a Parquet file of export; - is
standard input. diff says what failing runs in DIR did that passing ones did not.

queries:
"""

TAIL = """
examples:
  lowrun analyze calls.strace summary                      programs, and calls that failed
  lowrun analyze calls.strace calls --program 'python*'    counts and times, like strace -c
  lowrun analyze calls.strace slow --limit 5 --since +1.5  the five slowest, but not of the beginning
  lowrun analyze strace.csv file_access --failed --format csv
  lowrun analyze calls.strace sql "SELECT path, bytes_read FROM files ORDER BY 2 DESC LIMIT 3"
  lowrun analyze calls.strace export --to parquet calls.parquet
  lowrun analyze diff lowrun-job-20261121-203000

exit: 0 answered, also when the answer is empty; 2 wrong usage; 125 FILE cannot be read, or lowrun itself failed
"""


def help_text() -> str:
    """Return what --help prints."""
    from lowrun.cli.help import COLUMN, option_lines

    titles = {**analysis.QUERIES, "sql": "your own, over the tables events, calls, processes, files"}
    queries = "".join(f"  {name:{COLUMN - 2}}{title}\n" for name, title in titles.items())
    return f"{HEAD}{queries}\noptions:\n{option_lines(ANALYZE_OPTIONS)}{TAIL}"
