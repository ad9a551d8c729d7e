"""How a user writes numbers, times, sizes, signals and commands, and how times and lists of runs are shown. Pure.

Each reader returns the value of a text; it raises ValueError that says what is needed: "a whole number is needed".
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterable

__all__ = [
    "LONGEST_S", "absolute_path", "assignment", "between", "codes", "count", "duration", "names", "nearest", "one_of",
    "ranges", "seconds", "signal_number", "size", "some", "umask", "whole", "words",
]  # fmt: skip

#: The longest time that can be named: 31 years, well within a timerfd's range.
LONGEST_S = 1e9

#: The kernel's numbers have 64 bits, and that many digits have room in them.
MOST_DIGITS = 18
MOST_BYTES = (1 << 63) - 1

_UNITS = {"": 0, "K": 10, "M": 20, "G": 30}


def _is_digits(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= MOST_DIGITS


def whole(text: str) -> int:
    """Return the number that `text` is."""
    if not _is_digits(text):
        raise ValueError("a whole number is needed" + f", of at most {MOST_DIGITS} digits" * text.isdigit())
    return int(text)


def count(text: str) -> int:
    """Return a number of at least 1."""
    number = whole(text)
    if number < 1:
        raise ValueError("at least 1 is needed")
    return number


def between(least: int, most: int) -> Callable[[str], int]:
    """Return a reader of whole numbers from `least` to `most`."""

    def read(text: str) -> int:
        number = int(text) if _is_digits(text.removeprefix("-")) else most + 1
        if not least <= number <= most:
            raise ValueError(f"a whole number from {least} to {most} is needed")
        return number

    return read


def size(text: str) -> int:
    """Return bytes; with K, M or G so many KiB, MiB or GiB."""
    digits, unit = (text[:-1], text[-1].upper()) if text[-1:].upper() in ("K", "M", "G") else (text, "")
    if not _is_digits(digits):
        raise ValueError("a number of bytes is needed, or of K, M or G")
    number = int(digits) << _UNITS[unit]
    if number > MOST_BYTES:
        raise ValueError("less than 2^63 bytes are needed")
    return number


def seconds(text: str) -> float:
    """Return a time in seconds, fractions allowed."""
    try:
        number = float(text) if text.isascii() and "_" not in text else -1.0
    except ValueError:
        number = -1.0
    if not 0 <= number <= LONGEST_S:
        raise ValueError("a number of seconds, 0 or more, is needed")
    return number


def codes(text: str) -> tuple[int, ...]:
    """Return exit codes that are written with commas between them."""
    try:
        numbers = tuple(whole(part.strip()) for part in text.split(","))
    except ValueError:
        numbers = (-1,)
    if not all(0 <= number <= 255 for number in numbers):
        raise ValueError("codes from 0 to 255 are needed, comma separated")
    return numbers


def words(text: str) -> tuple[str, ...]:
    """Return a command's words, split as a shell would; no shell runs it."""
    from shlex import split

    try:
        parts = tuple(split(text))
    except ValueError as error:
        raise ValueError(f"{error}".lower()) from None
    if not parts or not parts[0]:
        raise ValueError("a command is needed")
    return parts


def names(text: str) -> tuple[str, ...]:
    """Return what is written with commas between."""
    parts = tuple(part.strip() for part in text.split(","))
    if not all(parts):
        raise ValueError("names are needed, comma separated")
    return parts


def umask(text: str) -> int:
    """Return a file mode creation mask, written in octal digits."""
    number = int(text, 8) if text and not text.strip("01234567") else -1
    if not 0 <= number <= 0o777:
        raise ValueError("an octal number up to 777 is needed")
    return number


def signal_number(text: str) -> int:
    """Return the signal that is named: TERM, SIGTERM, RTMIN+3 or 15."""
    name = text.upper().removeprefix("SIG")
    if f"SIG{name}" in signal.Signals.__members__:
        return int(signal.Signals[f"SIG{name}"])
    base, sign, offset = name[:5], name[5:6], name[6:]
    number = int(text) if _is_digits(text) else 0
    if base in ("RTMIN", "RTMAX") and sign in ("+", "-") and _is_digits(offset):
        number = int(signal.Signals[f"SIG{base}"]) + int(sign + offset)
        number = number if number >= signal.SIGRTMIN else 0
    if not 1 <= number <= signal.SIGRTMAX:
        raise ValueError("a signal is needed: a name as in kill -l, or a number")
    return number


def assignment(text: str) -> tuple[str, str]:
    """Return NAME and VALUE of NAME=VALUE; VALUE may be empty."""
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise ValueError("NAME=VALUE is needed")
    return name, value


def absolute_path(text: str) -> str:
    """Return a path that begins with a slash."""
    if not text.startswith("/"):
        raise ValueError("a path that begins with / is needed")
    return text


def some(what: str) -> Callable[[str], str]:
    """Return a reader that takes any text but an empty one, which is no `what`."""

    def read(text: str) -> str:
        if not text:
            raise ValueError(f"{what} is needed")
        return text

    return read


def one_of(*choices: str) -> Callable[[str], str]:
    """Return a reader that takes one of `choices`."""

    def read(text: str) -> str:
        if text not in choices:
            raise ValueError(f"{', '.join(choices[:-1])} or {choices[-1]} is needed")
        return text

    return read


def duration(seconds: float) -> str:
    """Return a time in the unit that fits it: `466 µs`, `12.3 ms`, `1.23 s`, `2 min 3 s`, `1 h 2 min`."""
    if seconds < 0.9995e-3:
        return f"{seconds * 1e6:.0f} µs"
    if seconds < 0.99995:
        return f"{seconds * 1e3:.1f} ms"
    if seconds < 59.995:
        return f"{seconds:.2f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def ranges(numbers: Iterable[int], longest: int | None = None) -> str:
    """Return ascending numbers as ranges: `1-4 6 8`; what goes beyond `longest` characters becomes `...`."""
    spans: list[list[int]] = []
    for number in numbers:
        if spans and number == spans[-1][1] + 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    words = [f"{first}" if first == last else f"{first}-{last}" for first, last in spans]
    text = " ".join(words)
    if longest is None or len(text) <= longest:
        return text
    return f"{text[: max(0, text.rfind(' ', 0, longest - 3))]} ...".lstrip(" ")


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the one of `known` that `word` is most like, None when it is like none."""
    from difflib import get_close_matches

    choices = list(known)
    matches = get_close_matches(word, choices, 1, 0.6) or get_close_matches("-" + word, choices, 1, 0.6)
    return matches[0] if matches else None
