"""COMMAND as one word: split as a shell would, but no shell runs it.

`lowrun -c 3 'ping -c 1 127.0.0.1'` means what it looks like. What only a
shell gives a meaning (pipes, redirections, lists) stays a plain argument;
the user is told so.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from lowrun import UsageError

__all__ = ["hint", "names_file", "shell_words", "split"]

BLANKS = " \t\n"
#: What a shell would act on, where it stands unquoted.
OPERATORS = frozenset(("|", "||", "|&", "&&", ">", ">>", ">&", "&>", ">|", "<", "<<", "<&", "<>"))


def has_blanks(word: str) -> bool:
    """Tell whether `word` holds what a shell splits words at."""
    return any(blank in word for blank in BLANKS)


def names_file(word: str) -> bool:
    """Tell whether `word` as it is would be found as a program."""
    if "/" in word:
        return os.path.exists(word)
    path = os.environ.get("PATH", os.defpath)
    return any(os.path.exists(os.path.join(directory or ".", word)) for directory in (".", *path.split(":")))


def split(words: Sequence[str]) -> tuple[str, ...]:
    """Return the words of COMMAND: one single word that has blanks and names no file is split.

    Raises UsageError when it cannot be split or nothing is left of it.
    """
    if len(words) != 1 or not has_blanks(words[0]) or names_file(words[0]):
        return tuple(words)
    import shlex

    try:
        parts = tuple(shlex.split(words[0]))
    except ValueError as error:
        raise UsageError(f"COMMAND {words[0]!r} cannot be split: {error}") from None
    if not parts:
        raise UsageError("COMMAND is empty")
    return parts


def shell_words(word: str) -> list[str]:
    """Return what only a shell would act on in a COMMAND that `split` splits."""
    import shlex

    lexer = shlex.shlex(word, posix=True, punctuation_chars="|&<>")
    lexer.commenters = ""
    return [token for token in lexer if token in OPERATORS]


def hint(word: str, operators: Sequence[str]) -> str:
    """Return what to say about a COMMAND with `operators` in it."""
    import shlex

    plain = " ".join(dict.fromkeys(operators))
    return f"hint: no shell runs COMMAND, so {plain} is a plain argument; if you want one: sh -c {shlex.quote(word)}"
