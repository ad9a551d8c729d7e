"""Writes docs/syscalls.md: every system call of the table, with its numbers, its arguments and which way they go.

    python tools/syscalls.py [--check]

`--check` only says whether the file is up to date.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from lowrun.trace.arch import machine_calls
from lowrun.trace.constants import ENUMS, FLAGS, names_of
from lowrun.trace.grammar import Argument, Call
from lowrun.trace.ioctls import ioctl_text
from lowrun.trace.table import table_of

TARGET = Path(__file__).parent.parent / "docs" / "syscalls.md"
HEAD = """# System calls

What the tracer knows of each call of x86_64 up to Linux 6.18. Made by `python tools/syscalls.py` from the table
(`lowrun/trace/rows*.py`); aarch64's numbers stand beside, `-` where it has no such call.

An argument is `name: kind`. `>` is memory that the kernel reads (copied at the call's entry), `<` memory that it
writes (copied at its exit), `+` both. `[N]` counts its elements or bytes: argument N, `[r]` the result, `[*N]` the
number that argument N points to. `?` is printed only where the other arguments call for it. After `->` stands the
result where it is no plain number. Indented are the commands of a call that have arguments of their own.

"""


def _argument(argument: Argument, name: str) -> str:
    count = "" if argument.of < 0 else f"[{'*' * argument.indirect}{'r' if argument.of == 7 else argument.of}]"
    kind = f"{argument.direction}{argument.kind}{count}{'?' * argument.optional}"
    return kind if name in ("", argument.kind) else f"{name}: {kind}"


def _arguments(call: Call) -> str:
    names = call.names if len(call.names) == len(call.arguments) else ("",) * len(call.arguments)
    texts = [_argument(argument, name) for argument, name in zip(call.arguments, names, strict=True)]
    return ", ".join(texts) + (f" -> {call.result}" if call.result != "int" else "")


def _selected(call: Call, key: int) -> str:
    words = []
    for place, (index, _) in enumerate(call.select):
        value = key >> (32 * place) & 0xFFFFFFFF
        kind = call.arguments[index].kind
        named = dict(reversed(names_of(kind))) if kind in ENUMS or kind in FLAGS else {}
        words.append(ioctl_text(value) if call.name == "ioctl" else named.get(value, str(value)))
    return " ".join(words)


def lines() -> Iterator[str]:
    """Yield the document's lines."""
    aarch64 = {name: number for number, name in machine_calls("aarch64").items()}
    yield from HEAD.splitlines()
    yield "| call | x86_64 | aarch64 | arguments |"
    yield "|---|---|---|---|"
    for number, call in sorted(table_of().items()):
        yield f"| `{call.name}` | {number} | {aarch64.get(call.name, '-')} | `{_arguments(call)}` |"
        variants: dict[str, list[str]] = {}
        for key, variant in call.variants.items():
            variants.setdefault(_arguments(variant), []).append(_selected(call, key))
        for arguments, names in variants.items():
            yield f"| &emsp;{', '.join(names)} | | | `{arguments}` |"


def main() -> int:
    """The program."""
    text = "\n".join(lines()) + "\n"
    if "--check" in sys.argv[1:]:
        return int(text != TARGET.read_text())
    TARGET.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
