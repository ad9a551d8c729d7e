"""Reads a file of many programs (TOML 1.0): a table for each, with the names of `lowrun start`'s options.

    [program.web]
    command = ["lighttpd", "-D", "-f", "/srv/web.conf"] or one text, split as a shell would
    respawn = true                                      a switch
    stop-timeout = 2.5                                  a number, or the text of one
    success-exit-status = [0, 1]                        or "0,1", as on the command line
    limit = { nofile = "1024:4096" }                    or ["nofile=1024:4096"]
    needs = ["db"]

Dashes and underscores are the same. Relative paths of options and of the program are from the file's directory. What
is unknown or has the wrong type is an error that names the line, as far as it can be found: tomllib (Python 3.11;
before, tomli) keeps no positions.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from lowrun import notation
from lowrun.errors import UsageError
from lowrun.supervise.options import SETTINGS, Kind, Setting, make_program
from lowrun.supervise.order import start_order
from lowrun.supervise.settings import Program

__all__ = ["load", "parse"]

TABLE = "program"
#: So many errors are told of at once.
MOST_ERRORS = 20
#: A line that begins with a key, bare or quoted.
KEY = re.compile(r"""\s*([A-Za-z0-9_-]+|"[^"]*"|'[^']*')\s*[.=]""")
#: A line that begins a table.
HEADER = re.compile(r"\s*\[[^\[\]]+\]\s*(#.*)?")


def load(file: str) -> list[Program]:
    """Return the programs of `file`, in its order. Raises UsageError: what is wrong, and where."""
    try:
        with open(file, encoding="utf-8") as stream:
            text = stream.read()
    except UnicodeDecodeError:
        raise UsageError(f"{file}: TOML is UTF-8, and this is not") from None
    except OSError as error:
        raise UsageError(f"{file}: {error.strerror}") from None
    return parse(text, file)


def parse(text: str, file: str) -> list[Program]:
    """Return the programs that `text`, the contents of `file`, asks for. Raises UsageError."""
    top = _toml(text, file)
    lines = _Lines(text, file)
    for key in top:
        if key != TABLE:
            lines.complain((key,), f"there is no table {key}; a program's is [{TABLE}.{key}]")
    tables = top.get(TABLE, {})
    found = [_program(name, table, lines) for name, table in tables.items()] if isinstance(tables, dict) else []
    if lines.errors:
        raise UsageError(*lines.texts())
    if not found:
        raise UsageError(f"{file}: no program in it; a program's table is [{TABLE}.NAME]")
    programs = [program for program in found if program is not None]
    try:
        start_order(programs)
    except UsageError as error:
        raise UsageError(f"{file}: {error}") from None
    return programs


def _toml(text: str, file: str) -> dict[str, Any]:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        value: dict[str, Any] = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{file}: {error}") from None
    return value


def _program(name: str, table: object, lines: _Lines) -> Program | None:
    """Return the program of a table; None when something is wrong with it, which `lines` has then."""
    where, before = (TABLE, name), len(lines.errors)
    if not isinstance(table, dict):
        lines.complain(where, f"a program's table is [{TABLE}.NAME]")
        return None
    given: dict[str, Any] = {}
    argv: tuple[str, ...] | None = None
    for key, value in table.items():
        option = key.replace("_", "-")
        if option != "command" and option not in SETTINGS:
            guess = notation.nearest(option, (*SETTINGS, "command"))
            lines.complain((*where, key), f"unknown option {key}" + (f"; did you mean {guess}?" if guess else ""))
            continue
        try:
            if option == "command":
                argv = _value(COMMAND, value)
            elif value is not False or SETTINGS[option].kind.bare is None:
                given[option] = _value(SETTINGS[option], value)
        except UsageError as error:  # it says all that there is to say
            lines.complain((*where, key), str(error))
        except ValueError as error:
            lines.complain((*where, key), f"{key} {_shown(value)}: {error}")
    if len(lines.errors) > before:
        return None
    if argv is None:
        lines.complain(where, f"{name} has no command")
        return None
    try:
        return make_program(name, argv, given, os.path.dirname(os.path.abspath(lines.file)))
    except UsageError as error:
        lines.complain(where, f"{name}: {error}")
        return None


COMMAND = Setting("command", SETTINGS["pre"].kind)


def _value(setting: Setting, value: object) -> Any:
    """Return the value of an option that a file has as `value`. Raises ValueError that says what is needed."""
    kind = setting.kind
    if setting.many:
        if isinstance(value, dict):
            value = [f"{_key(name)}={_text(kind, part, int, float)}" for name, part in value.items()]
        return tuple(_one(kind, part) for part in (value if isinstance(value, list) else [value]))
    if isinstance(value, list) and kind.join is not None:
        return kind.join([_text(kind, part) for part in value])
    return _one(kind, value)


def _one(kind: Kind, value: object) -> object:
    if value is True and kind.bare is not None:
        return kind.bare
    if kind.read is None:
        raise ValueError(f"{kind.wanted} is needed")
    return kind.read(_text(kind, value))


def _text(kind: Kind, value: object, *more: type) -> str:
    """Return the text of a value, as an option's word would be; True and False are no numbers."""
    if type(value) is not str and type(value) not in (*kind.types, *more):
        raise ValueError(f"{kind.wanted} is needed")
    text = str(value)
    if "\0" in text:
        raise ValueError("a text without a NUL character is needed")
    return text


def _key(name: str) -> str:
    if not name or "=" in name or "\0" in name:
        raise ValueError(f"{name!r} can be no name here")
    return name


def _shown(value: object) -> str:
    text = str(value).lower() if isinstance(value, bool) else repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


class _Lines:
    """Finds the line of a key again, for what is wrong with it."""

    def __init__(self, text: str, file: str) -> None:
        self.file = file
        self._text = text
        #: The lines, 0 when one cannot be found, and what is wrong there.
        self.errors: list[tuple[int, str]] = []

    def complain(self, key: tuple[str, ...], what: str) -> None:
        """Remember `what` is wrong with `key`, a path of tables' and its own name."""
        for wanted in (key, key[:-1]):
            for number, found in self._keys():
                if found[: len(wanted)] == wanted:
                    self.errors.append((number, what))
                    return
        self.errors.append((0, what))

    def texts(self) -> list[str]:
        """Return what to say of all, in the file's order; of very many the first ones."""
        where = [(f"{self.file}:{number}" if number else self.file, what) for number, what in sorted(self.errors)]
        more = len(where) - MOST_ERRORS
        rest = [f"{self.file}: ... and {more} more"] if more > 0 else []
        return [f"{place}: {what}" for place, what in where[:MOST_ERRORS]] + rest

    def _keys(self) -> Iterator[tuple[int, tuple[str, ...]]]:
        """Yield (line, path) of each line that begins with a key or a table."""
        table: tuple[str, ...] = ()
        for number, line in enumerate(self._text.splitlines(), 1):
            if HEADER.fullmatch(line):
                table = _path(line)
                yield number, table
            elif found := KEY.match(line):
                yield number, (*table, *_path(line[: found.end(1)] + "=0"))


def _path(line: str) -> tuple[str, ...]:
    """Return the names that a header or a key leads through; () for what is none after all."""
    try:
        value: Mapping[str, Any] | int = _toml(line, "")
    except UsageError:
        return ()
    names = []
    while isinstance(value, dict) and value:
        name, value = next(iter(value.items()))
        names.append(name)
    return tuple(names)
