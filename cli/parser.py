"""Reads options from words by a table; knows nothing of what they mean.

The rules of getopt_long_only(3), made strict: `--count 10`, `--count=10`, `-c 10` and
`-c10` are the same; a name is known whole or not at all (`-fc` is one option,
never `-f -c`); the first word that is no option, or what follows `--`, ends
the options.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from lowrun import UsageError

__all__ = ["Option", "Parsed", "nearest", "parse"]


class Option(NamedTuple):
    """One row of a verb's option table."""

    #: The key of its value in `Parsed.values`.
    field: str
    #: As typed, short ones first: ("-c", "--count").
    names: tuple[str, ...]
    #: What it does, for --help.
    text: str
    #: What its value is called in --help; "" for a switch, whose value is True.
    value: str = ""
    #: Makes the value of its word; raises ValueError with what is wrong with it.
    convert: Callable[[str], object] = str
    #: It can be given again: its value is the tuple of all.
    many: bool = False


class Parsed(NamedTuple):
    """What `parse` has read."""

    #: Option.field -> value, for the options that were given.
    values: dict[str, Any]
    #: The first word that is no option, and all after it.
    words: tuple[str, ...]
    #: True when `--` ended the options.
    dashed: bool


def parse(table: Sequence[Option], words: Sequence[str], program: str = "lowrun") -> Parsed:
    """Read the options at the beginning of `words`; `program --help` explains them.

    Raises UsageError with one line that says what is wrong.
    """
    by_name = {name: option for option in table for name in option.names}
    values: dict[str, Any] = {}
    position = 0
    while position < len(words):
        word = words[position]
        if word == "--":
            return Parsed(values, tuple(words[position + 1 :]), True)
        if word == "-" or not word.startswith("-"):
            break
        position += 1
        option, name, value = _split(by_name, word, program)
        if not option.value:
            if value is not None:
                raise UsageError(f"{name} takes no value")
            values[option.field] = True
            continue
        if value is None:
            if position == len(words):
                raise UsageError(f"{name} needs a value: {name} {option.value}")
            value = words[position]
            position += 1
        converted = _converted(option, name, value)
        values[option.field] = (*values.get(option.field, ()), converted) if option.many else converted
    return Parsed(values, tuple(words[position:]), False)


def _split(by_name: dict[str, Option], word: str, program: str) -> tuple[Option, str, str | None]:
    """Return the option that `word` names, the name, and the value that is attached to it."""
    if word in by_name:
        return by_name[word], word, None
    name, equals, value = word.partition("=")
    if equals and name in by_name:
        return by_name[name], name, value
    if not word.startswith("--") and f"-{name}" not in by_name:
        for length in (3, 2):
            short = by_name.get(word[:length])
            if short is not None and short.value and _attached(short, word[length:]):
                return short, word[:length], word[length:]
    guess = nearest(name, by_name)
    raise UsageError(f"unknown option {name}" + (f"; did you mean {guess}?" if guess else f"; see {program} --help"))


def _attached(option: Option, value: str) -> bool:
    """Tell whether `value` is meant for the option it clings to: a wrong number is, a wrong word is a wrong name."""
    if value[0].isdigit():
        return True
    try:
        option.convert(value)
    except ValueError:
        return False
    return True


def _converted(option: Option, name: str, value: str) -> object:
    try:
        return option.convert(value)
    except ValueError as error:
        raise UsageError(f"{name} {value!r}: {error}") from None


def nearest(word: str, names: Sequence[str] | dict[str, Option]) -> str | None:
    """Return the one of `names` that `word` is most like, None when it is like none."""
    from difflib import get_close_matches

    matches = get_close_matches(word, list(names), 1, 0.6) or get_close_matches("-" + word, list(names), 1, 0.6)
    return matches[0] if matches else None
