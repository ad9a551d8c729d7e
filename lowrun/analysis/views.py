"""The tables that questions are asked of, as SQL over the table of all events. Pure.

all_events   what the log says
events       those that the filters leave
calls        its calls
rows         calls as stracepy's columns
processes    one row for each process, of all events
files        one row for each file, of calls
"""

from __future__ import annotations

from dataclasses import dataclass

from lowrun.analysis.peers import NETWORK, NETWORK_OF_NINE
from lowrun.analysis.schema import literal

__all__ = ["Filters", "View", "views"]

#: Calls that make a process.
FORKS = "('clone', 'clone3', 'fork', 'vfork')"
#: Calls that open a file, read from one, write to one.
OPENS = "('open', 'openat', 'openat2', 'creat', 'open_by_handle_at')"
READS = "('read', 'pread64', 'pread', 'readv', 'preadv', 'preadv2')"
WRITES = "('write', 'pwrite64', 'pwrite', 'writev', 'pwritev', 'pwritev2')"
#: Calls that move bytes from one descriptor to another: call -> which of its two descriptors is read, which written.
MOVES = "('sendfile', 'sendfile64', 'copy_file_range', 'splice')"


@dataclass(frozen=True, slots=True)
class Filters:
    """What is left of the events: of programs that a glob matches, of processes or threads, of a time, or failed.

    Times are nanoseconds as the log counts them.
    """

    programs: tuple[str, ...] = ()
    pids: tuple[int, ...] = ()
    since_ns: int | None = None
    until_ns: int | None = None
    failed: bool = False

    def of_events(self) -> str:
        """Return the condition that a row of events must meet."""
        return _all(
            self._program("executable"),
            self._pid("tid", "pid"),
            None if self.since_ns is None else f"start_ns >= {self.since_ns}",
            None if self.until_ns is None else f"start_ns < {self.until_ns}",
            "error IS NOT NULL" if self.failed else None,
        )

    def of_nine(self) -> str | None:
        """Return that for a row of nine columns of text; None when that needs more than one row."""
        if self.since_ns is not None or self.until_ns is not None:
            return None
        failed = "ret_int = '-1' OR (ret_int = '?' AND starts_with(ret_str, 'E'))" if self.failed else None
        return _all(self._program("executable"), self._pid("TRY_CAST(pid AS BIGINT)"), failed)

    def of_processes(self) -> str:
        """Return the condition that a process must meet: it was there in that time, it failed."""
        return _all(
            self._program("program"),
            self._pid("pid"),
            None if self.since_ns is None else f"end_ns >= {self.since_ns}",
            None if self.until_ns is None else f"start_ns < {self.until_ns}",
            "code <> 0 OR signal IS NOT NULL" if self.failed else None,
        )

    def _program(self, column: str) -> str | None:
        globs = [literal(glob) for glob in self.programs]
        base = f"regexp_replace({column}, '^.*/', '')"
        return " OR ".join(f"{column} GLOB {glob} OR {base} GLOB {glob}" for glob in globs) or None

    def _pid(self, *columns: str) -> str | None:
        pids = ", ".join(map(str, self.pids))
        return " OR ".join(f"{column} IN ({pids})" for column in columns) if pids else None


def _all(*conditions: str | None) -> str:
    return " AND ".join(f"({condition})" for condition in conditions if condition) or "true"


@dataclass(frozen=True, slots=True)
class View:
    """A table that is made of others: its SELECT, and which they are."""

    select: str
    over: tuple[str, ...] = ()


def views(filters: Filters, nine: bool) -> dict[str, View]:
    """Return the views over `all_events`, and over `nine` if there are such columns."""
    direct = filters.of_nine() if nine else None
    return {
        "events": View(f"SELECT * FROM all_events WHERE {filters.of_events()}", ("all_events",)),
        "calls": View("SELECT * EXCLUDE (kind) FROM events WHERE kind = 'call'", ("events",)),
        "rows": View(ROWS, ("calls",))
        if direct is None
        else View(
            "SELECT *, executable AS program, filepath AS file, ret_int = '-1' AS failed, ret_str AS outcome FROM nine"
            f" WHERE {direct}",
            ("nine",),
        ),
        "processes": View(f"SELECT * FROM ({PROCESSES}) WHERE {filters.of_processes()}", ("all_events",)),
        "files": View(FILES, ("calls",)),
        "network": View(NETWORK_OF_NINE if nine else NETWORK, ("calls",)),
    }


#: Calls in stracepy's columns, and what they are sorted and chosen by; `outcome` is what ret_str is made of; `program`
#: and `file` are as they are stored, so they are counted without being made texts of their own before.
ROWS = r"""
SELECT line, start_ns, time AS timestamp, tid AS pid, coalesce(executable, '') AS executable, name AS syscall,
       coalesce(path, '') AS filepath, executable AS program, path AS file,
       CASE WHEN starts_with(result, '-1 ') THEN '-1' WHEN result = '0' THEN '0'
            ELSE regexp_extract(result, '^(\?|0x[0-9a-f]+|-?[0-9]+)', 1) END AS ret_int,
       CASE WHEN starts_with(result, '-1 ') THEN trim(substr(result, 4)) WHEN result = '0' THEN ''
            ELSE trim(regexp_replace(result, '^(\?|0x[0-9a-f]+|-?[0-9]+)', '')) END AS ret_str,
       value = -1 AS failed, result AS outcome
FROM calls"""

#: The program's words in the arguments of execve: `"/bin/ls", ["ls", "-l"], 0x7ffd... /* 23 vars */`, as bash
#: takes them: within $'...' it knows all escapes that strace writes.
_WORDS = r"""array_to_string(list_transform(
    regexp_extract_all(regexp_extract(arguments, '\[(.*)\]', 1), '"((?:[^"\\]|\\.)*)"(?:\.\.\.)?', 1),
    lambda word: CASE
        WHEN regexp_full_match(word, '[A-Za-z0-9_@%+=:,./-]+') THEN word
        WHEN contains(regexp_replace(word, '\\["\\]', '', 'g'), '\') THEN '$''' || replace(word, '''', '\''') || ''''
        ELSE '''' || replace(regexp_replace(word, '\\(["\\])', '\1', 'g'), '''', '''\''''') || '''' END),
    ' ')"""


def _microseconds(field: str) -> str:
    return (
        rf"(CAST(regexp_extract(arguments, '{field}=\{{tv_sec=(\d+), tv_usec=(\d+)', 1) AS BIGINT) * 1000000"
        rf" + CAST(regexp_extract(arguments, '{field}=\{{tv_sec=(\d+), tv_usec=(\d+)', 2) AS BIGINT)) * 1000"
    )


#: A parent began before its children did, so no reuse of a pid can make a circle. CPU time is the process' own: of
#: wait4's rusage (microseconds) where it had no children, whose time would be in it; else of its SIGCHLD, in ticks of
#: a hundredth of a second (sigaction(2), times(2)).
PROCESSES = rf"""
WITH lives AS (
    SELECT pid, min(line) AS line, min(start_ns) AS start_ns, max(end_ns) AS end_ns,
           min_by(time, line) AS time, max_by(executable, line) AS program, count(DISTINCT tid) AS threads,
           count(*) FILTER (kind = 'call') AS calls, count(error) FILTER (kind = 'call') AS errors
    FROM all_events GROUP BY pid),
births AS (
    SELECT value AS pid, min_by(pid, line) AS parent FROM all_events
    WHERE kind = 'call' AND name IN {FORKS} AND value > 0 AND value <> pid GROUP BY value),
parents AS (
    SELECT child.pid, mother.pid AS parent FROM births
    JOIN lives AS child ON child.pid = births.pid JOIN lives AS mother ON mother.pid = births.parent
    WHERE (coalesce(mother.start_ns, mother.line), mother.line) < (coalesce(child.start_ns, child.line), child.line)),
execs AS (
    SELECT pid, max_by(arguments, line) AS arguments FROM all_events
    WHERE kind = 'call' AND starts_with(name, 'exec') AND value = 0 GROUP BY pid),
ends AS (
    SELECT pid, max_by(CASE kind WHEN 'exit' THEN value END, line) AS code,
           max_by(CASE kind WHEN 'killed' THEN name END, line) AS signal
    FROM all_events WHERE kind IN ('exit', 'killed') AND tid = pid GROUP BY pid),
last_words AS (
    SELECT pid, max_by(TRY_CAST(arguments AS BIGINT), line) AS code FROM all_events
    WHERE kind IN ('call', 'unfinished') AND name = 'exit_group' GROUP BY pid),
told AS (
    SELECT TRY_CAST(regexp_extract(arguments, 'si_pid=(\d+)', 1) AS BIGINT) AS pid,
           max_by(TRY_CAST(regexp_extract(arguments, 'si_utime=(\d+)', 1) AS BIGINT) * 10000000, line) AS user_ns,
           max_by(TRY_CAST(regexp_extract(arguments, 'si_stime=(\d+)', 1) AS BIGINT) * 10000000, line) AS system_ns
    FROM all_events WHERE kind = 'signal' AND name = 'SIGCHLD' AND contains(arguments, 'si_utime=') GROUP BY 1),
waited AS (
    SELECT value AS pid, max_by({_microseconds("ru_utime")}, line) AS user_ns,
           max_by({_microseconds("ru_stime")}, line) AS system_ns
    FROM all_events WHERE kind = 'call' AND name = 'wait4' AND value > 0
    AND regexp_matches(arguments, 'ru_utime=\{{tv_sec=\d+, tv_usec=\d+\}}, ru_stime=\{{tv_sec=\d+, tv_usec=\d+')
    GROUP BY value)
SELECT lives.pid, parent, program, {_WORDS.replace("arguments", "execs.arguments")} AS command, lives.time,
       lives.start_ns, lives.end_ns, coalesce(ends.code, CASE WHEN signal IS NULL THEN last_words.code END) AS code,
       signal,
       CASE WHEN waited.pid IS NOT NULL AND lives.pid NOT IN (SELECT parent FROM parents) THEN waited.user_ns
            ELSE told.user_ns END AS user_ns,
       CASE WHEN waited.pid IS NOT NULL AND lives.pid NOT IN (SELECT parent FROM parents) THEN waited.system_ns
            ELSE told.system_ns END AS system_ns,
       threads, calls, errors
FROM lives LEFT JOIN parents USING (pid) LEFT JOIN execs USING (pid) LEFT JOIN ends USING (pid)
LEFT JOIN last_words USING (pid) LEFT JOIN told USING (pid) LEFT JOIN waited USING (pid)"""

#: The paths of the two descriptors of a call that moves bytes, if they are files: sendfile(out, in), others (in,
#: offset, out, offset). They are what such a call's `paths` are, the first argument's first.
_FIRST = r"CASE WHEN regexp_matches(arguments, '^\d+<[/\\]') THEN paths[1] END"
_SECOND = r"""CASE WHEN regexp_matches(arguments, CASE WHEN starts_with(name, 'sendfile') THEN '^\d+<.*?>, \d+<[/\\]'
     ELSE '^\d+<.*?>, (?:NULL|\[[^\]]*\]), \d+<[/\\]' END) THEN paths[-1] END"""
_FROM = f"CASE WHEN starts_with(name, 'sendfile') THEN {_SECOND} ELSE {_FIRST} END"
_TO = f"CASE WHEN starts_with(name, 'sendfile') THEN {_FIRST} ELSE {_SECOND} END"

#: What a call has opened, whichever way its argument went there: the file that it returned is the last of `paths`.
_OPENED = r"CASE WHEN regexp_matches(result, '^\d+ ?<[/\\]') THEN paths[-1] END"

FILES = rf"""
WITH uses AS (
    SELECT CASE WHEN name IN {OPENS} AND error IS NULL THEN coalesce({_OPENED}, path) ELSE path END AS path,
           name IN {OPENS} AND error IS NULL AS opens, name IN {READS} AS reads, name IN {WRITES} AS writes,
           value, error, duration_ns
    FROM calls WHERE path IS NOT NULL AND (name NOT IN {MOVES} OR arguments IS NULL)
    UNION ALL SELECT {_FROM}, false, true, false, value, error, duration_ns FROM calls WHERE name IN {MOVES}
    UNION ALL SELECT {_TO}, false, false, true, value, error, duration_ns FROM calls WHERE name IN {MOVES})
SELECT path, count(*) AS calls, count(*) FILTER (opens) AS opens, count(*) FILTER (reads) AS reads,
       coalesce(sum(value) FILTER (reads AND value > 0), 0)::BIGINT AS bytes_read,
       count(*) FILTER (writes) AS writes,
       coalesce(sum(value) FILTER (writes AND value > 0), 0)::BIGINT AS bytes_written,
       count(error) AS errors, sum(duration_ns)::BIGINT AS time_ns
FROM uses WHERE path <> '' GROUP BY path"""
