"""Bytes, addresses and numbers of a tracee as strace writes them.

C escapes for whitespace, quotes and backslashes; octal for what is not
printable ASCII, in as few digits as the next character allows: `\\0` but
`\\0001` before a digit.
"""

from __future__ import annotations

import re
from functools import lru_cache

__all__ = ["address", "bare", "device", "hexed", "octal", "quoted", "ticks_text"]

#: An octal escape before an octal digit takes three digits: moved out of the way of the short ones.
_BEFORE_DIGIT = re.compile("[\x00-\x08\x0e-\x1f\x7f-\xff](?=[0-7])")
_LONG = 0xE000
_ESCAPES: dict[int, str] = {code: f"\\{code:o}" for code in (*range(32), *range(127, 256))}
_ESCAPES |= {_LONG + code: f"\\{code:03o}" for code in range(256)}
_ESCAPES |= {ord(char): "\\" + escape for char, escape in zip('"\\\f\n\r\t\v', '"\\fnrtv', strict=True)}
_BARE = _ESCAPES | {ord("<"): "\\74", ord(">"): "\\76"}


def _escaped(data: bytes, escapes: dict[int, str]) -> str:
    text = data.decode("latin-1")
    if _BEFORE_DIGIT.search(text):
        text = _BEFORE_DIGIT.sub(lambda match: chr(_LONG + ord(match[0])), text)
    return text.translate(escapes)


def _text(data: bytes) -> str:
    """Return `data` in quotes; most is text, which str.replace escapes far faster than str.translate."""
    text = data.decode("latin-1")
    if text.isprintable() and text.isascii() and '"' not in text and "\\" not in text:
        return f'"{text}"'
    plain = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
    if plain.isprintable() and plain.isascii():
        return f'"{plain}"'
    return f'"{_escaped(data, _ESCAPES)}"'


#: Paths and the like come again and again.
_short = lru_cache(maxsize=4096)(_text)


def quoted(data: bytes, cut: bool = False) -> str:
    """Return `data` in quotes, `...` after it when there was more."""
    text = _short(data) if len(data) <= 128 else _text(data)
    return text + "..." if cut else text


def bare(data: bytes) -> str:
    """Return a descriptor's path without quotes; what would end `<...>` is escaped."""
    return _escaped(data, _BARE)


def hexed(data: bytes, cut: bool = False) -> str:
    """Return `data` in quotes, every byte as `\\x41`."""
    return '"' + "".join(f"\\x{byte:02x}" for byte in data) + ('"...' if cut else '"')


def address(value: int) -> str:
    """Return a pointer: `NULL` or hexadecimal."""
    return f"{value:#x}" if value else "NULL"


def device(major: int, minor: int) -> str:
    """Return `makedev(0x7, 0)`."""
    return f"makedev({f'{major:#x}' if major else '0'}, {f'{minor:#x}' if minor else '0'})"


def octal(value: int) -> str:
    """Return permission bits: at least three digits, the first of them 0."""
    return f"0{value:o}" if value >= 0o100 else f"{value:03o}"


def ticks_text(value: int) -> str:
    """Return clock ticks (USER_HZ is 100), with the seconds as a comment: `3 /* 0.03 s */`."""
    return f"{value} /* {value // 100}.{value % 100:02d} s */" if value > 0 else str(value)
