"""The form stracepy, against its rules written down once more: as regular expressions, in Python.

The rules are the documented ones (docs/lowrun-strace2csv.1.md). Characters beyond ASCII are letters here: those that
Unicode calls no letters, blanks that are no ASCII and other scripts' digits lowrun takes for parts of words.
"""

from __future__ import annotations

import csv
import io
import re

from hypothesis import example, given, settings
from hypothesis import strategies as st

from lowrun.trace import csv_header
from tests.logcases import cases, rows

LEADER = re.compile(r"^(\d+)\s+([^ ]+)\s+(.*)$")
NAME = r"([0-9a-z_]+)"
UNFINISHED = re.compile(rf"^{NAME}\((.*)\s+<unfinished\s+\.\.\.>$")
RESUMED = re.compile(rf"^<\.\.\.\s+{NAME}\s+resumed>(.*)\)\s+=\s+(-?[?\d]+)(.*)<(\d[^>]+)>$")
NEVER_RETURNED = re.compile(rf"^<\.\.\.\s+{NAME}\s+resumed>(.*)\)\s+=\s+(\?)()()$")
COMPLETE = re.compile(rf"^{NAME}\((.*)\)\s+=\s+(-?\d+|\?)(.*)<(\d[^>]+)>$")
SEGMENT = r"""\b[^<>*\\"\[\]|']{1,256}"""
PATH = rf"(?:{SEGMENT})?(?:\.{{0,2}}/{SEGMENT})+?"
TOKEN = re.compile(rf'<{PATH}>|<{PATH}<|"{PATH}"')
SEARCHED = 500


def expected_rows(log: str) -> list[list[str]]:
    """Return the fields of the rows that the rules make, where nothing is wrong with the log."""
    executables: dict[str, str] = {}
    begun: dict[tuple[str, str], str] = {}
    table = []
    for line in log.split("\n"):
        leader = LEADER.match(line)
        if leader is None:
            continue
        pid, time, rest = leader.groups()
        if match := UNFINISHED.match(rest):
            begun[pid, match[1]] = match[2]
            continue
        resumed = RESUMED.match(rest) or NEVER_RETURNED.match(rest)
        match = resumed or COMPLETE.match(rest)
        if match is None or (resumed is not None and (pid, match[1]) not in begun):
            continue
        name, arguments, number, text, seconds = match.groups()
        if resumed is not None:
            arguments = begun.pop((pid, name)) + arguments
        paths = [token[1:-1] for token in dict.fromkeys(TOKEN.findall(arguments[:SEARCHED] + text[:SEARCHED]))]
        path = paths[0] if paths else ""
        executable = executable_of(executables, pid, name, number, path)
        table.append([time, pid, executable, name, path, str(paths), number, text.strip(), seconds])
    return table


def executable_of(executables: dict[str, str], pid: str, name: str, number: str, path: str) -> str:
    """Return what the pid executes, after the call `name` has returned `number`."""
    if "?" in number:
        return ""
    if name.startswith("exec") and int(number) >= 0:
        executables[pid] = path
    elif name == "clone" and int(number) >= 0 and pid in executables:
        executables[str(int(number))] = executables[pid]
    return executables.get(pid, "")


PIECES = st.sampled_from(
    [*"<>\"'[]|*\\./(), =?-:_", "..", "...", "./", "../", "//", "a", "é", "中", "0", "12", " ", "  ", "\t", "/a", "b/c",
     "/usr/bin/x", "x" * 254, "x" * 255, "x" * 256, "x" * 257, "/" + "y" * 250, "z" * 480, ") = 0 ", ") = -1 E",
     "<0.1>", "<1", ")  = ? ", "<unfinished ...>", "\x1c", '"/a b/c"', "</d e/f>", "</g<char 1:3>>", '"h/i', "<j/k<"]
)  # fmt: skip
TEXT = st.lists(PIECES, max_size=9).map("".join)
NAMES = st.sampled_from(["read", "execve", "execveat", "clone", "clone3", "32_x"])
PIDS = st.sampled_from(["7", "8", "12"])
RESULTS = st.sampled_from(["0", "3", "8", "12", "-1", "?", "0x7f", "5?", "-", "-?3"])
BLANKS = st.sampled_from([" ", "  ", "\t", ""])


@st.composite
def some_line(draw: st.DrawFn) -> str:
    """A line that keeps the rules, or nearly."""
    pid, name, blank, result = draw(PIDS), draw(NAMES), draw(BLANKS), draw(RESULTS)
    text, behind = draw(TEXT), draw(TEXT)
    end = f"{text}){blank}={draw(BLANKS)}{result}{behind}" + draw(
        st.sampled_from(["<0.1>", " <0.25>", "", "<1>", "<12>"])
    )
    rest = draw(
        st.sampled_from(
            [f"{name}({end}", f"<... {name} resumed>{end}", f"<...{blank}{name}{blank}resumed>{text}) = ?",
             f"{name}({text}{blank}<unfinished ...>", f"{name}({text} <unfinished{blank}...>", text, f"{name}({text}"]
        )
    )  # fmt: skip
    leader = draw(st.sampled_from([f"{pid} 1:2 ", f"{pid}  1:2  ", f"{pid}\t1:2\t", f"{pid} \t ", f"{pid} 1:2", ""]))
    return leader + rest


@given(st.lists(some_line(), max_size=7).map("\n".join))
@example('7 1 execve("/a/b", [], 0) = 0 <0.1>\n7 2 clone() = 8 <0.1>\n8 3 read(0) = 1 <0.1>')
@example("7 1 read(0, <unfinished ...>\n7 2 read(1, <unfinished ...>\n7 3 <... read resumed>) = ?")
@example('7 1 execve("/a/b", [], 0) = -0 <0.1>\n7 2 clone() = -0 <0.1>')
@settings(max_examples=600, deadline=None)
def test_rows_are_those_of_the_rules(log: str) -> None:
    """All fields of all rows, of lines that keep the rules and of lines that nearly do."""
    made, _ = rows("stracepy", log.encode())
    assert list(csv.reader(io.StringIO(made.decode(), newline=""))) == expected_rows(log)


@given(TEXT, TEXT)
@settings(max_examples=600, deadline=None)
def test_paths_are_those_of_the_pattern(arguments: str, behind: str) -> None:
    """Whatever the arguments and the result's text are made of."""
    log = f"7 1 x({arguments}) = 0 {behind}<0.1>"
    made, _ = rows("stracepy", log.encode())
    assert list(csv.reader(io.StringIO(made.decode(), newline=""))) == expected_rows(log)


def test_the_rules_make_the_tables_rows() -> None:
    """Those of the table of cases, where nothing is wrong with the log and every character is ASCII."""
    for case in cases():
        expected = case.expected[case.expected.index("--- stracepy") + 1 : case.expected.index("--- unknown")]
        if "superseded" in case.title or b"superseded" in case.log:
            continue
        log = case.log.decode()
        text = csv_text(expected_rows(log)).replace("x" * 300, "LONG")
        assert text == "".join(line + "\n" for line in expected), case.title


def csv_text(table: list[list[str]]) -> str:
    """Return rows as CSV with every field quoted."""
    out = io.StringIO()
    csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows(table)
    return out.getvalue()


def test_the_header_names_the_columns() -> None:
    """As that tool has them."""
    assert csv_header() == (
        b'"timestamp","pid","executable","syscall","filepath","all_filepaths","ret_int","ret_str","syscall_time"\n'
    )
