"""The columns of what is read, and SQL that reads them: events, and stracepy's nine columns. Pure.

An event's columns are the fields of `lowrun.trace.Event`; a text that is not known is NULL. What stands in the nine
columns is less (no arguments, no signals, no ends): what follows from it is made the same columns of.
"""

from __future__ import annotations

from collections.abc import Container

from lowrun.trace.event import FIELDS

__all__ = [
    "EVENT_COLUMNS",
    "NINE",
    "SEPARATOR",
    "csv_events",
    "literal",
    "nine_as_events",
    "nine_csv",
    "scanned_events",
]

#: Between the fields of the scanner's form `events`.
SEPARATOR = b"\x1f"
#: Column -> its type in tables and in Parquet.
EVENT_COLUMNS = dict.fromkeys(FIELDS, "VARCHAR")
for _name in ("line", "start_ns", "end_ns", "tid", "pid", "value", "duration_ns"):
    EVENT_COLUMNS[_name] = "BIGINT"
EVENT_COLUMNS["paths"] = "VARCHAR[]"

NINE = ("timestamp", "pid", "executable", "syscall", "filepath", "all_filepaths", "ret_int", "ret_str", "syscall_time")

#: Bytes of the longest row that a reader of CSV takes; its buffers are 16 times as long.
LONGEST_ROW = 1 << 21


def literal(text: str) -> str:
    """Return SQL's constant for `text`: the one way by which a user's word gets into a statement."""
    return "'" + text.replace("'", "''") + "'"


def _columns(names: tuple[str, ...]) -> str:
    return "{" + ", ".join(f"{literal(name)}: 'VARCHAR'" for name in names) + "}"


def _reader(place: str, names: tuple[str, ...], options: str) -> str:
    return f"read_csv('{place}', {options}, auto_detect=false, columns={_columns(names)}, max_line_size={LONGEST_ROW})"


def _typed(name: str) -> str:
    if name == "paths":
        return """from_json(paths, '["VARCHAR"]')"""
    return f"TRY_CAST({name} AS BIGINT)" if EVENT_COLUMNS[name] == "BIGINT" else name


def _select_typed(source: str, columns: Container[str]) -> str:
    return f"SELECT {', '.join(f'{_typed(name)} AS {name}' for name in FIELDS if name in columns)} FROM {source}"


def scanned_events(place: str, columns: Container[str]) -> str:
    """Return the SELECT that reads `columns` of the scanner's form `events` from the file `place`."""
    options = "delim=chr(31), quote='', escape='', header=false, new_line='\\n'"
    return _select_typed(_reader(place, FIELDS, options), columns)


def csv_events(place: str, names: tuple[str, ...]) -> str:
    """Return the SELECT that reads a CSV file whose header has `names`, all fields of events among them."""
    return _select_typed(_reader(place, names, "delim=',', quote='\"', escape='\"', header=true"), FIELDS)


def nine_csv(place: str, names: tuple[str, ...]) -> str:
    """Return the table expression that reads a CSV file whose header has `names`, the nine among them."""
    return _reader(place, names, "delim=',', quote='\"', escape='\"', header=true, nullstr='\\0'")


def _ns(text: str) -> str:
    """SQL: nanoseconds of seconds with a fraction, exactly."""
    return (
        f"(TRY_CAST(split_part({text}, '.', 1) AS BIGINT) * 1000000000"
        f" + TRY_CAST(rpad(split_part({text}, '.', 2), 9, '0') AS BIGINT))"
    )


#: Nanoseconds of a text like 12:02:35.655632 (of its day) or 1621234567.5 (since 1970, or the beginning).
_CLOCK = f"""CASE WHEN contains(timestamp, ':')
      THEN (TRY_CAST(split_part(timestamp, ':', 1) AS BIGINT) * 60
            + TRY_CAST(split_part(timestamp, ':', 2) AS BIGINT)) * 60000000000
           + {_ns("split_part(timestamp, ':', 3)")}
      ELSE {_ns("timestamp")} END"""
#: What a call returned; stracepy cuts an address behind its 0.
_VALUE = """coalesce(TRY_CAST(CASE WHEN ret_int = '0' AND starts_with(ret_str, 'x')
      THEN '0' || split_part(ret_str, ' ', 1) ELSE ret_int END AS BIGINT), TRY_CAST(TRY_CAST(ret_int AS UBIGINT)
      - 18446744073709551616 AS BIGINT))"""
_RESULT = "rtrim(ret_int || CASE WHEN starts_with(ret_str, '<') THEN '' ELSE ' ' END || ret_str)"
#: The elements of Python's str(list of str).
_LIST = r"""list_transform(regexp_extract_all(all_filepaths, '''(?:[^''\\]|\\.)*''|"(?:[^"\\]|\\.)*"'),
      lambda s: replace(replace(s[2:-2], '\''', ''''), '\\', '\'))"""


def nine_as_events(table: str) -> str:
    """Return the SELECT that makes events of the nine columns of `table`, all of them text.

    A call's time is what the row has: of a call that was resumed that is its end, and no row says which one was. A
    clock that goes back by more than half a day has passed midnight.
    """
    return f"""
WITH numbered AS (SELECT *, row_number() OVER () AS line, {_CLOCK} AS clock FROM {table}),
     before AS (SELECT *, lag(clock) OVER () AS last FROM numbered),
     dated AS (SELECT *, clock + 86400000000000 * CAST(sum(CASE WHEN clock < last - 43200000000000 THEN 1 ELSE 0 END)
               OVER (ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS BIGINT) AS ns,
               {_ns("syscall_time")} AS duration_ns FROM before)
SELECT line, 'call' AS kind, timestamp AS time, ns AS start_ns, ns + coalesce(duration_ns, 0) AS end_ns,
       TRY_CAST(pid AS BIGINT) AS tid, TRY_CAST(pid AS BIGINT) AS pid, nullif(executable, '') AS executable,
       syscall AS name, CAST(NULL AS VARCHAR) AS arguments, nullif(filepath, '') AS path, {_LIST} AS paths,
       CAST(NULL AS VARCHAR) AS target, {_VALUE} AS value, {_RESULT} AS result,
       CASE WHEN ret_int IN ('-1', '?') THEN nullif(regexp_extract(ret_str, '^(E[A-Z0-9]+)\\b', 1), '') END AS error,
       duration_ns FROM dated"""
