"""The questions that have names, as SQL over the views. Pure.

The first eight have the columns, titles and order of bmwcarit/stracepy's strace_analyzer; where that leaves rows of
equal counts in any order, here their other columns decide. count_device_files, file_access_errors and
device_file_access are printed there with the title of the query that they narrow, and so here.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

__all__ = ["SLOWEST", "TABLES", "VIEW", "Part", "columns_of", "parts_of", "preparation"]

#: Rows of `slow` when no limit is given.
SLOWEST = 20

#: Query -> the view that it asks; the others ask `rows`.
VIEW = {"calls": "calls", "slow": "calls", "processes": "processes", "files": "files", "network": "network"}
#: View -> the columns of events that it is made of.
COLUMNS = {
    "rows": "kind line start_ns time tid executable name path result value error",
    "calls": "kind line time tid executable name arguments path result error duration_ns",
    "processes": "kind line time start_ns end_ns tid pid executable name arguments value error",
    "files": "kind name path paths arguments result value error duration_ns",
    "network": "kind line pid name target arguments result value error duration_ns",
}
#: Those of the filters.
FILTER_COLUMNS = "executable tid pid start_ns end_ns error"
#: What `sql` is asked over: table -> what a row is.
TABLES = {
    "events": "whatever the log says",
    "calls": "a call that returned",
    "processes": "a process",
    "files": "a file that calls were about",
    "network": "a peer",
}


@dataclass(frozen=True, slots=True)
class Part:
    """One table of an answer.

    `streams`: it is cheaper to ask for its rows twice, for the widths of columns and then for the rows, than to keep
    them. `like_numbers`: columns of texts that are aligned as numbers if all of theirs are numbers. `indented`: a
    column, and the column that says by how much its cells are indented in a table, where that one is not shown. `cut`:
    columns of which a table shows WIDEST characters at most.
    """

    name: str
    title: str
    sql: str
    streams: bool = False
    like_numbers: tuple[str, ...] = ()
    indented: tuple[str, str] | None = None
    cut: tuple[str, ...] = ()


#: Few rows, of which more is asked than one look at each; numbering them while they are read would take one processor.
MARKED = """SELECT executable, syscall, outcome, failed, CASE WHEN executes THEN timestamp END AS timestamp,
       CASE WHEN executes THEN filepath END AS filepath, CASE WHEN executes THEN ret_int END AS ret_int,
       CASE WHEN executes THEN ret_str END AS ret_str
FROM (SELECT *, starts_with(syscall, 'exec') AS executes FROM rows) WHERE executes"""
DEVICE = (
    "(starts_with(filepath, '/dev/') OR starts_with(filepath, '/sys/devices/')"
    " OR regexp_matches(filepath, '^/sys/.*/gpio'))"
)
ACCESS_COLUMNS = "timestamp, executable, syscall, filepath, ret_int, ret_str"
ACCESS_TITLE = "All file accesses in chronological order, including both success and failed cases"


def _programs(rows: str) -> Part:
    # In the order of time: a clock that goes back by more than half a day has passed midnight.
    sql = f"""
WITH found AS (SELECT {ACCESS_COLUMNS}, row_number() OVER () AS n,
               epoch_ns(TRY_CAST('1970-01-01 ' || timestamp AS TIMESTAMP)) AS ns
               FROM (SELECT {ACCESS_COLUMNS} FROM {rows} WHERE starts_with(syscall, 'exec'))),
     after AS (SELECT *, lag(ns) OVER (ORDER BY n) AS last FROM found),
     dated AS (SELECT *, sum(CASE WHEN ns < last - 43200000000000 THEN 1 ELSE 0 END) OVER (ORDER BY n) AS day
               FROM after)
SELECT {ACCESS_COLUMNS} FROM dated ORDER BY day, timestamp, n"""
    return Part("programs_executed", "Programs executed", sql, like_numbers=("ret_int",))


def _errors(rows: str) -> Part:
    # There are few outcomes, so they are counted before their texts are made.
    sql = f"""
WITH counted AS (SELECT count(*) AS n, executable, syscall, outcome FROM {rows} WHERE failed
                 GROUP BY executable, syscall, outcome)
SELECT sum(n)::BIGINT AS count, executable, syscall,
       CASE WHEN outcome = '-1' THEN '' WHEN starts_with(outcome, '-1 ') THEN trim(substr(outcome, 4)) ELSE outcome END
       AS ret_str
FROM counted GROUP BY executable, syscall, ret_str ORDER BY count DESC, executable, syscall, ret_str"""
    return Part("count_errors", "Count of failed syscalls", sql)


def _count(name: str, condition: str) -> Part:
    # Counted as they are stored: a text that is made for each row costs as much as reading it.
    sql = f"""
WITH counted AS (SELECT count(*) AS count, program, file FROM rows WHERE {condition} GROUP BY program, file)
SELECT count, coalesce(program, '') AS executable, file AS filepath FROM counted
ORDER BY count DESC, executable, filepath"""
    return Part(name, "Count of file accesses", sql)


def _access(name: str, condition: str) -> Part:
    sql = f"SELECT {ACCESS_COLUMNS} FROM rows WHERE {condition}"
    return Part(name, ACCESS_TITLE, sql, streams=True, like_numbers=("ret_int",))


#: A percentile is the smallest time that so many calls have at most; times are counted first, since there are few.
CALLS = """
WITH times AS (SELECT name, duration_ns, count(*) AS n, count(error) AS errors FROM calls GROUP BY name, duration_ns),
     ranked AS (SELECT *, sum(n) FILTER (duration_ns IS NOT NULL) OVER (PARTITION BY name ORDER BY duration_ns) AS upto,
                sum(n) FILTER (duration_ns IS NOT NULL) OVER (PARTITION BY name) AS timed FROM times),
     sums AS (SELECT name, sum(n)::BIGINT AS calls, sum(errors)::BIGINT AS errors,
              sum(duration_ns::HUGEINT * n) AS total_ns, max(timed) AS timed,
              min(duration_ns) FILTER (upto >= ceil(timed * 0.5)) AS p50,
              min(duration_ns) FILTER (upto >= ceil(timed * 0.99)) AS p99, max(duration_ns) AS max
              FROM ranked GROUP BY name)
SELECT name, calls, errors, (total_ns / 1e9)::DECIMAL(18, 6) AS total_s,
       (100 * total_ns / nullif(sum(total_ns) OVER (), 0))::DECIMAL(5, 2) AS percent,
       (total_ns / timed / 1e3)::DECIMAL(18, 1) AS mean_us, (p50 / 1e3)::DECIMAL(18, 1) AS p50_us,
       (p99 / 1e3)::DECIMAL(18, 1) AS p99_us, (max / 1e3)::DECIMAL(18, 1) AS max_us
FROM sums ORDER BY total_ns DESC NULLS LAST, calls DESC, name"""

SLOW = """
SELECT (duration_ns / 1e9)::DECIMAL(18, 6) AS duration_s, time, tid, executable,
       name || CASE WHEN arguments IS NULL THEN '(' || coalesce(path, '') || ')'
                    ELSE '(' || arguments || ')' END AS call,
       result
FROM calls WHERE duration_ns IS NOT NULL ORDER BY duration_ns DESC, line"""

#: A command's words behind the first, for which its program's path stands.
REST = r"""coalesce(regexp_replace(command, '^(?:\$''(?:[^''\\]|\\.)*''|''[^'']*''(?:\\''''[^'']*'')*|\S+)', ''), '')"""
#: Children stand below their parent, in the order in which they began.
PROCESSES = rf"""
WITH RECURSIVE numbered AS (SELECT *, row_number() OVER (ORDER BY start_ns, pid) AS n FROM processes),
tree AS (
    SELECT pid, 0 AS depth, [n] AS place FROM numbered
    WHERE parent IS NULL OR parent NOT IN (SELECT pid FROM processes)
    UNION ALL
    SELECT child.pid, depth + 1, list_append(place, n) FROM numbered AS child JOIN tree ON child.parent = tree.pid)
SELECT depth::BIGINT AS depth, pid, parent,
       coalesce(program, '?') || {REST} AS program,
       time AS start, ((end_ns - start_ns) / 1e9)::DECIMAL(18, 6) AS wall_s,
       coalesce(signal, code::VARCHAR, '') AS exit,
       ((user_ns + system_ns) / 1e9)::DECIMAL(18, 6) AS cpu_s, threads, calls, errors
FROM numbered JOIN tree USING (pid) ORDER BY place"""

FILES = """
SELECT path, opens, reads, bytes_read, writes, bytes_written, errors, calls,
       (time_ns / 1e9)::DECIMAL(18, 6) AS time_s
FROM files ORDER BY bytes_read + bytes_written DESC, calls DESC, path"""

NETWORK = """
SELECT coalesce(protocol, '') AS protocol, coalesce(local, '') AS local, coalesce(remote, '') AS remote, bytes_sent,
       bytes_received, connects, accepts, errors, calls, (time_ns / 1e9)::DECIMAL(18, 6) AS time_s
FROM network ORDER BY bytes_sent + bytes_received DESC, connects DESC, calls DESC, protocol, remote, local"""

_FILE, _BAD = "filepath <> ''", "filepath <> '' AND failed"
_PARTS = {
    "summary": (_programs("marked"), _errors("rows")),
    "programs_executed": (_programs("marked"),),
    "count_errors": (_errors("rows"),),
    "count_files": (_count("count_files", "file <> ''"),),
    "count_device_files": (_count("count_device_files", DEVICE),),
    "file_access": (_access("file_access", _FILE),),
    "file_access_errors": (_access("file_access_errors", _BAD),),
    "device_file_access": (_access("device_file_access", DEVICE),),
    "calls": (Part("calls", "System calls, by time spent", CALLS),),
    "slow": (Part("slow", "Slowest calls", SLOW, cut=("call", "result")),),
    "processes": (
        Part(
            "processes", "Processes", PROCESSES, like_numbers=("exit",), indented=("program", "depth"), cut=("program",)
        ),
    ),
    "files": (Part("files", "Files, by bytes read and written", FILES),),
    "network": (Part("network", "Peers, by bytes sent and received", NETWORK),),
}


def parts_of(name: str, slow: bool) -> tuple[Part, ...]:
    """Return the tables that answer the query `name`; `slow`: it takes time to read the rows. Raises KeyError."""
    if name == "summary" and slow:
        return _programs("marked"), _errors("marked")
    return _PARTS[name]


def preparation(name: str, slow: bool) -> str | None:
    """Return the statement that goes before those of these tables. Where rows are slow, summary reads them once."""
    if name not in ("summary", "programs_executed"):
        return None
    failed = " OR failed" if name == "summary" and slow else ""
    return f"CREATE OR REPLACE TEMP TABLE marked AS {MARKED}{failed}"


def columns_of(names: Collection[str]) -> frozenset[str]:
    """Return the columns of events that the queries `names` need, whatever is filtered."""
    needed = (COLUMNS[VIEW.get(name, "rows")] for name in names)
    return frozenset(word for words in (*needed, FILTER_COLUMNS) for word in words.split())
