"""Reads options from words by a table; knows nothing of what they mean.

The rules of getopt_long_only(3), made strict: `--count 10`, `--count=10`, `-c 10` and
`-c10` are the same; a name is known whole or not at all (`-fc` is one option,
never `-f -c`); the first word that is no option, or what follows `--`, ends
the options. A value that may be left out follows `=` or clings to a short name;
that of an option that `takes_path` is the next word, too, if this begins with /
and a word that is no option follows, after other options at most.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from lowrun import UsageError, notation

__all__ = ["GROUPS", "USERS", "Option", "Parsed", "parse", "parse_mixed"]


#: See Option.offers.
USERS, GROUPS = "<users>", "<groups>"


class Option(NamedTuple):
    """One row of a verb's option table."""

    #: The key of its value in `Parsed.values`.
    field: str
    #: As typed, short ones first: ("-c", "--count").
    names: tuple[str, ...]
    #: What it does, for --help.
    text: str
    #: What its value is called in --help, in brackets when it can be left out; "" for a switch, whose value is True.
    value: str = ""
    #: Makes the value of its word; raises ValueError with what is wrong with it.
    convert: Callable[[str], object] = str
    #: It can be given again: its value is the tuple of all.
    many: bool = False
    #: Its value can be left out, and is this then; None: it cannot.
    bare: object = None
    #: The next word may be its value, though that can be left out.
    takes_path: bool = False
    #: What a shell offers as its value: words, (USERS,) or (GROUPS,) for the names of accounts, () for files.
    offers: tuple[str, ...] = ()


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
        if (
            value is None
            and option.bare is not None
            and not (option.takes_path and _path_is_next(table, words[position:]))
        ):
            values[option.field] = option.bare
            continue
        if value is None:
            if position == len(words):
                raise UsageError(f"{name} needs a value: {name} {option.value}")
            value = words[position]
            position += 1
        converted = _converted(option, name, value)
        values[option.field] = (*values.get(option.field, ()), converted) if option.many else converted
    return Parsed(values, tuple(words[position:]), False)


def parse_mixed(table: Sequence[Option], words: Sequence[str], program: str) -> Parsed:
    """Read options wherever they stand; only `--` ends them. Raises UsageError, as `parse` does."""
    values: dict[str, Any] = {}
    plain: list[str] = []
    many = {option.field for option in table if option.many}
    while True:
        parsed = parse(table, words, program)
        for field, value in parsed.values.items():
            values[field] = (*values.get(field, ()), *value) if field in many else value
        if parsed.dashed or not parsed.words:
            return Parsed(values, (*plain, *parsed.words), parsed.dashed)
        plain.append(parsed.words[0])
        words = parsed.words[1:]


def _path_is_next(table: Sequence[Option], words: Sequence[str]) -> bool:
    """Tell whether the first of `words` is a path, and a word that is no option follows."""
    if len(words) < 2 or not words[0].startswith("/"):
        return False
    try:
        following = parse(table, words[1:])
    except UsageError:
        return False
    return bool(following.words) and not following.dashed


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
    guess = notation.nearest(name, by_name)
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
    except UsageError:  # it says all that there is to say
        raise
    except ValueError as error:
        raise UsageError(f"{name} {value!r}: {error}") from None
