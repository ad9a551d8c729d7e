"""Tables as tabulate makes them, moments, and the words of `lowrun analyze`."""

from __future__ import annotations

import random

import pytest

from lowrun import UsageError, analysis
from lowrun.analysis.questions import DAY, SECOND
from lowrun.analysis.table import heading
from lowrun.cli import analyze_options
from lowrun.cli.analyze_options import AnalyzeRequest, DiffRequest, ExportRequest

NOON = 12 * 3600 * SECOND


def test_a_table_is_tabulates() -> None:
    """Layout's lines are those of tabulate(..., tablefmt="presto", stralign="left") for texts and whole numbers."""
    from tabulate import tabulate

    rng = random.Random(6)
    for _ in range(100):
        names = [f"column{'x' * rng.randrange(12)}" for _ in range(rng.randrange(1, 6))]
        right = [rng.random() < 0.4 for _ in names]
        rows = [
            [
                str(rng.randrange(-50, 10 ** rng.randrange(1, 12)))
                if number
                else "ü/a "[: rng.randrange(3)] + "p" * rng.randrange(30)
                for number in right
            ]
            for _ in range(rng.randrange(1, 8))
        ]
        rows = [[cell.strip() for cell in row] for row in rows]
        layout = analysis.Layout(names, [max(map(len, column)) for column in zip(*rows, strict=True)], right)
        made = layout.head() + "".join(layout.lines(rows))
        assert made == tabulate(rows, headers=names, tablefmt="presto", stralign="left") + "\n"


def test_titles_are_wrapped() -> None:
    """A title stands between empty lines, in lines of 80 characters."""
    assert heading("Programs executed") == "\n\nPrograms executed:\n\n"
    assert heading("a" * 50 + " " + "b" * 40) == f"\n\n{'a' * 50}\n{'b' * 40}:\n\n"


@pytest.mark.parametrize(
    ("text", "kind", "ns"),
    [
        ("12:00", "clock", NOON),
        ("12:00:00.5", "clock", NOON + SECOND // 2),
        ("0:00:00.000000001", "clock", 1),
        ("+1.5", "offset", 3 * SECOND // 2),
        ("1700000000.25", "epoch", 1700000000 * SECOND + SECOND // 4),
    ],
)
def test_moments_are_read(text: str, kind: str, ns: int) -> None:
    """HH:MM:SS[.ffffff], +SECONDS and seconds since 1970."""
    assert analysis.Moment.parse(text) == analysis.Moment(kind, ns)


@pytest.mark.parametrize("text", ["", "noon", "24:00:00", "12:60", "-1", "1e9", "+", "1:2:3", "٣"])
def test_other_words_are_no_moments(text: str) -> None:
    """They are refused with what would be one."""
    with pytest.raises(ValueError, match="HH:MM:SS"):
        analysis.Moment.parse(text)


def test_a_moment_is_placed_in_the_logs_time() -> None:
    """After midnight in a log that crosses it; never a date in one that has none."""
    evening, late = analysis.Moment.parse("23:00:00"), analysis.Moment.parse("00:30:00")
    first = 22 * 3600 * SECOND
    assert evening.within(first, first + 60 * SECOND) == 23 * 3600 * SECOND
    assert late.within(first, first + 4 * 3600 * SECOND) == DAY + 1800 * SECOND
    assert late.within(NOON, NOON + SECOND) == 1800 * SECOND
    assert analysis.Moment.parse("+2").within(first, first) == first + 2 * SECOND
    dated = 1_700_000_000 * SECOND
    assert analysis.Moment.parse("1700000001").within(dated, dated) == dated + SECOND
    with pytest.raises(ValueError, match="no dates"):
        analysis.Moment.parse("1700000000").within(NOON, NOON)


@pytest.mark.parametrize(
    ("words", "request_"),
    [
        ("f summary", AnalyzeRequest("f", "summary")),
        ("- slow --limit 5 -f json", AnalyzeRequest("-", "slow", format="json", limit=5)),
        (
            "f --pid 1 --pid 2 calls --program *sh -x /bin/ls --since +1 --until 12:00 --failed",
            AnalyzeRequest(
                "f", "calls", programs=("*sh", "/bin/ls"), pids=(1, 2), since="+1", until="12:00", failed=True
            ),
        ),
        ("f sql SELECT1", AnalyzeRequest("f", "sql", "SELECT1")),
        ("f export --to csv out", ExportRequest("f", "out", "csv")),
        ("diff d --html page --limit 3", DiffRequest("d", html="page", limit=3)),
        ("./diff summary", AnalyzeRequest("./diff", "summary")),
    ],
)
def test_words_are_requests(words: str, request_: object) -> None:
    """Options stand anywhere; `diff` as the first word is the subcommand."""
    assert analyze_options.read(words.split()) == request_


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("", "no FILE given"),
        ("f", "no QUERY given: summary, "),
        ("f sumary", "unknown query sumary; did you mean summary?"),
        ("f summary more", "'more': summary needs nothing else"),
        ("f sql", "sql needs one statement"),
        ("f sql a b", "sql needs one statement"),
        ("f export out", "export needs --to: parquet, csv, jsonl, perfetto, chrome"),
        ("f export --to csv", "export needs one OUT"),
        ("f export --to csv out -f csv", "export takes --to, no --format"),
        ("f summary --to csv", "--to is of lowrun analyze FILE export"),
        ("f summary --html x", "--html is of lowrun analyze diff"),
        ("f summary --since noon", "--since 'noon': HH:MM:SS"),
        ("f summary -f xml", "-f 'xml': table, csv or json is needed"),
        ("diff", "diff needs one DIR"),
        ("diff a b", "diff needs one DIR"),
        ("diff a -f csv", "-f 'csv': table or json is needed"),
    ],
)
def test_wrong_words_are_told(words: str, message: str) -> None:
    """One line says what is wrong."""
    with pytest.raises(UsageError, match=message.replace("(", r"\(").replace("?", r"\?")):
        analyze_options.read(words.split())


def test_help_names_every_query() -> None:
    """--help has all that can be asked."""
    text = analyze_options.help_text()
    assert analyze_options.read(["--help"]).help
    assert all(f"  {name} " in text for name in (*analysis.QUERIES, "sql"))
