"""Reads a file of variables by the rules of systemd's EnvironmentFile= (systemd.exec(5), src/basic/env-file.c). Pure.

    # or ; begins a comment line; empty lines and lines without = say nothing
    NAME=a value         blanks around it are dropped; \\ takes a character as it is, at a line's end it joins the next
    NAME='as it stands'  over several lines, too
    NAME="\\" \\\\ \\$ \\`"    these four stand for the second character; of a \\ before any other both are kept

Nothing is expanded: $HOME is five characters. What systemd only warns of is an error here: it names the line.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from lowrun.errors import UsageError

__all__ = ["parse_env_file"]

BLANKS = " \t\r"
#: What \\ takes its meaning from between double quotes.
QUOTABLE = '"\\`$'
NAME = re.compile("[A-Za-z_][A-Za-z0-9_]*")


def parse_env_file(text: str, file: str) -> dict[str, str]:
    """Return the variables that `text`, the contents of `file`, sets. Raises UsageError that names file and line."""
    return _Reader(text, file).read()


class _Reader:
    """One state a method, as in systemd's machine: each takes one character and sets the next state."""

    def __init__(self, text: str, file: str) -> None:
        self._text = text
        self._file = file
        self._variables: dict[str, str] = {}
        self._line = 1
        self._name = ""
        self._value = ""
        #: How much of the value was quoted or escaped, and so is no blank to drop.
        self._firm = 0
        self._state: Callable[[str], None] = self._before_name

    def read(self) -> dict[str, str]:
        for character in self._text:
            self._state(character)
            self._line += character == "\n"
        if self._state in (self._quoted, self._doubly_quoted, self._doubly_quoted_escape):
            raise self._error("a quote is not closed")
        self._state("\n")  # the last line may lack its end
        if "\0" in self._text:
            raise self._error("it holds a NUL character")
        return self._variables

    def _error(self, what: str) -> UsageError:
        return UsageError(f"{self._file}:{self._line}: {what}")

    def _before_name(self, character: str) -> None:
        if character in "#;":
            self._state = self._comment
        elif character not in BLANKS + "\n":
            self._name = ""
            self._state = self._in_name
            self._in_name(character)

    def _comment(self, character: str) -> None:
        if character == "\n":
            self._state = self._before_name

    def _in_name(self, character: str) -> None:
        if character == "\n":
            self._state = self._before_name
        elif character == "=":
            self._name = self._name.rstrip(BLANKS)
            if NAME.fullmatch(self._name) is None:
                raise self._error(f"{self._name!r} can be no variable's name")
            self._value, self._firm = "", 0
            self._state = self._before_value
        else:
            self._name += character

    def _before_value(self, character: str) -> None:
        """Before a value, or behind a quoted part of it."""
        if character == "\n":
            self._end()
        elif character == "'":
            self._state = self._quoted
        elif character == '"':
            self._state = self._doubly_quoted
        elif character == "\\":
            self._state = self._escape
        elif character not in BLANKS:
            self._value += character
            self._state = self._plain

    def _plain(self, character: str) -> None:
        if character == "\n":
            self._value = self._value[: self._firm] + self._value[self._firm :].rstrip(BLANKS)
            self._end()
        elif character == "\\":
            self._state = self._escape
        else:
            self._value += character

    def _escape(self, character: str) -> None:
        if character != "\n":
            self._value += character
        self._firm = len(self._value)
        self._state = self._plain

    def _quoted(self, character: str) -> None:
        if character == "'":
            self._firm = len(self._value)
            self._state = self._before_value
        else:
            self._value += character

    def _doubly_quoted(self, character: str) -> None:
        if character == '"':
            self._firm = len(self._value)
            self._state = self._before_value
        elif character == "\\":
            self._state = self._doubly_quoted_escape
        else:
            self._value += character

    def _doubly_quoted_escape(self, character: str) -> None:
        if character in QUOTABLE:
            self._value += character
        elif character != "\n":
            self._value += "\\" + character
        self._state = self._doubly_quoted

    def _end(self) -> None:
        self._variables[self._name] = self._value
        self._state = self._before_name
