"""Into the background: a daemon as daemon(7) has it, which says through a pipe how its start went.

caller --fork--> setsid --fork--> the daemon: cwd /, descriptors 0 to 2 on /dev/null, no others but the pipe
   |                                  |
   +<------------ code, text ---------+ (or the pipe's end: it died without a word)
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import NamedTuple

__all__ = ["DEAD", "Tell", "Word", "in_background"]

#: The pipe's end in the daemon: the first number behind the standard descriptors.
PIPE = 3


class Word(NamedTuple):
    """How the start went: the caller's exit code, and what it prints on standard error."""

    code: int
    text: str


DEAD = Word(125, "the supervisor has died before it could say how the start went")
Tell = Callable[[Word], None]


def in_background(work: Callable[[Tell], int]) -> Word:
    """Run `work(tell)` in a daemon; return what it tells first. The daemon exits with what `work` returns.

    No thread may be running, no loop open. Raises OSError when it cannot be forked.
    """
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        _become_daemon(writer, work)
    os.close(writer)
    with open(reader, "rb") as words:
        os.waitpid(child, 0)
        said = words.readline()
    code, _, text = said.decode(errors="surrogateescape").rstrip("\n").partition(" ")
    if not code:
        return DEAD
    return Word(int(code), text.replace("\0", "\n"))


def _become_daemon(writer: int, work: Callable[[Tell], int]) -> None:
    """Never comes back."""
    code = DEAD.code
    try:
        os.setsid()
        if os.fork() != 0:
            os._exit(0)
        os.chdir("/")
        _take_descriptors(writer)
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        code = _work(work)
    finally:
        os._exit(code)


def _take_descriptors(writer: int) -> None:
    null = os.open(os.devnull, os.O_RDWR)
    for fd in range(3):
        os.dup2(null, fd)
    os.dup2(writer, PIPE, inheritable=False)
    os.closerange(PIPE + 1, os.sysconf("SC_OPEN_MAX"))


def _work(work: Callable[[Tell], int]) -> int:
    told = False

    def tell(word: Word) -> None:
        nonlocal told
        if told:
            return
        told = True
        text = word.text.replace("\n", "\0")
        try:
            os.write(PIPE, f"{word.code} {text}\n".encode(errors="surrogateescape"))
        except OSError:  # the caller is gone
            pass
        os.close(PIPE)

    try:
        return work(tell)
    except Exception as error:
        from lowrun import UsageError
        from lowrun.cli.main import EXIT_FAILED, EXIT_USAGE, describe

        code = EXIT_USAGE if isinstance(error, UsageError) else EXIT_FAILED
        tell(Word(code, describe(error)))
        return code
