"""The program `lowrun`: which verb is meant, and what the shell is told at the end.

The first word that is no option decides: a verb is a verb, anything else is
COMMAND, and after `--` a word is always COMMAND. Each verb's module is
imported when it is the one. Nothing that goes wrong shows a traceback, but
with -d: wrong usage is exit 2, a failure of lowrun itself 125, one line each.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import NoReturn

from lowrun import LowrunError, UsageError, notation
from lowrun.cli import options as run_options
from lowrun.cli.console import STDOUT, complain, show, write

__all__ = ["describe", "main", "program"]

EXIT_USAGE = 2
EXIT_FAILED = 125
EXIT_INTERRUPTED = 130

#: Verbs that a later version will have; their names are taken already.
LATER = frozenset("snoop daemon ctl doctor".split())
#: Verbs that read what was recorded; VERB_options.py has the options of each, VERB.py does it.
READING = frozenset("strace2csv analyze show".split())
#: Verbs about programs that are kept running; each has a module of its name.
CONTROL = frozenset("stop status restart reload log wait".split())

VERBS = ("run", "trace", "start", *sorted(CONTROL), *sorted(READING))


def main(words: Sequence[str] | None = None) -> int:
    """Do what `words` (default: the program's) ask for; return the exit code."""
    words = sys.argv[1:] if words is None else words
    try:
        return _dispatch(words)
    except UsageError as error:
        for text in error.args:
            complain(text)
        return EXIT_USAGE
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except Exception as error:  # the last resort: no traceback reaches the user
        _complain_of(error)
        return EXIT_FAILED


def program() -> NoReturn:
    """The installed program: `main`, then gone.

    By then all is closed and nothing is buffered, so the interpreter need not
    take itself apart, object by object: that would be a sixth of a short run.
    """
    _hold_standard_fds()
    code = main()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):  # closed, or None where there is no descriptor
            stream.flush()
    os._exit(code)


def _hold_standard_fds() -> None:
    """Keep a closed descriptor 0 to 2 from becoming the next file that lowrun opens, and then written to.

    os.open takes the lowest free number and sets FD_CLOEXEC, so for COMMAND it is closed all the same.
    """
    for fd in range(3):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDWR)


def _dispatch(words: Sequence[str]) -> int:
    options, parsed = run_options.read(words)
    if parsed.words and not parsed.dashed:
        verb, options_end = parsed.words[0], len(words) - len(parsed.words)
        if verb in LATER:
            raise UsageError(f"{verb} is not in this version yet; for a COMMAND of that name: lowrun -- {verb}")
        if verb == "trace":
            return _trace([*words[:options_end], *parsed.words[1:]])
        if verb == "start":
            return _start([*words[:options_end], *parsed.words[1:]])
        if verb in CONTROL:
            return _control(verb, [*words[:options_end], *parsed.words[1:]])
        if verb in READING:
            return _reading(verb, [*words[:options_end], *parsed.words[1:]])
        if verb == "run":
            options, parsed = run_options.read([*words[:options_end], *parsed.words[1:]])
    _debug(options.debug)
    if options.help:
        show(run_options.help_text())
    elif options.version:
        from lowrun import __version__

        write(STDOUT, f"lowrun {__version__}\n")
    elif options.completion is not None:
        from lowrun.cli.completion import script

        write(STDOUT, script(options.completion))
    elif not parsed.words:
        raise UsageError("no COMMAND given; see lowrun --help")
    else:
        from lowrun.cli import run

        if not parsed.dashed:
            _hint_at_verb(parsed.words[0])
        return run.run(options, parsed.words)
    return 0


def _hint_at_verb(word: str) -> None:
    """Say which verb may be meant by a COMMAND that does not exist."""
    from lowrun.cli.words import names_file

    if names_file(word):
        return
    if (verb := notation.nearest(word, VERBS)) is not None:
        complain(f"hint: there is no command {word}; did you mean lowrun {verb}?")


def _trace(words: Sequence[str]) -> int:
    from lowrun.cli import trace_options

    options, parsed = trace_options.read(words)
    _debug(options.debug)
    if options.help:
        show(trace_options.help_text())
        return 0
    from lowrun.cli import trace

    return trace.run(options, parsed.words)


def _start(words: Sequence[str]) -> int:
    from lowrun.cli import start_options

    request = start_options.read_start(words)
    _debug(request.debug)
    if request.help:
        show(start_options.help_text())
        return 0
    return _run_verb("start", request)


def _control(verb: str, words: Sequence[str]) -> int:
    from lowrun.cli import control_options

    request = control_options.read_control(verb, words)
    _debug(request.debug)
    if request.help:
        show(control_options.help_text(verb))
        return 0
    return _run_verb(verb, request)


def _reading(verb: str, words: Sequence[str]) -> int:
    from importlib import import_module

    verb_options = import_module(f"lowrun.cli.{verb}_options")
    request = verb_options.read(words)
    _debug(request.debug)
    if request.help:
        show(verb_options.help_text())
        return 0
    return _run_verb(verb, request)


def _run_verb(verb: str, request: object) -> int:
    from importlib import import_module

    return int(import_module(f"lowrun.cli.{verb}").run(request))


def _debug(wanted: bool) -> None:
    if wanted:
        from lowrun.cli import debug

        debug.switch_on()


def _complain_of(error: Exception) -> None:
    """Say in one line why lowrun failed; with -d where, too."""
    logging = sys.modules.get("logging")  # imported by -d alone
    if logging is not None and logging.getLogger("lowrun").handlers:
        import traceback

        show(traceback.format_exc())
    complain(describe(error))


def describe(error: Exception) -> str:
    """Return the one line that a user is told of `error`."""
    if isinstance(error, LowrunError):
        return str(error)
    if not isinstance(error, OSError):
        return f"{type(error).__name__}: {error} (a defect of lowrun; -d shows where)"
    return ": ".join(str(part) for part in (error.filename, error.strerror or error) if part is not None)


if __name__ == "__main__":
    program()
