"""What --help prints: made of the option table, so it cannot lie about it."""

from __future__ import annotations

from lowrun.cli.options import RUN_OPTIONS
from lowrun.cli.parser import Option

__all__ = ["help_text"]

HEAD = """\
usage: lowrun [OPTIONS] [--] COMMAND [ARG...]
       lowrun run [OPTIONS] [--] COMMAND [ARG...]

Run COMMAND, or repeat it, and keep what its failing runs did.

options:
"""

TAIL = """
examples:
  lowrun -c 100 -fc 1 -ct -lt ./test      until it fails; its system calls and output
  lowrun -c 20 -j 4 -q make check         20 runs, 4 at a time
  lowrun -t 5 -e 0,3 -- ./server --once   at most 5 s; 0 and 3 are good
  lowrun -c 10 --json - ./job | jq .codes

exit: the most frequent code of the runs; 128+N killed by signal N, 124 timed out,
      126 not executable, 127 not found, 2 wrong usage, 125 lowrun itself failed
"""

COLUMN = 34


def help_text() -> str:
    """Return all of it."""
    return HEAD + "".join(_line(option) for option in RUN_OPTIONS if option.built) + TAIL


def _line(option: Option) -> str:
    names = ", ".join(option.names) if option.names[0][1] != "-" else f"    {option.names[0]}"
    left = f"  {names} {option.value}".rstrip()
    if len(left) > COLUMN - 2:
        return f"{left}\n{'':{COLUMN}}{option.text}\n"
    return f"{left:{COLUMN}}{option.text}\n"
