"""The verb `trace`: one command, or processes that run already, traced before one's eyes.

Everything that a signal asks for is the command's business: what a terminal
sends reaches it anyhow, the rest is passed on. It is traced to its end, and
lowrun ends as it did. Attached processes are let go at the first signal.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack, suppress
from typing import NoReturn

from lowrun import Command, GoneError, Inject, Loop, SignalInfo, UsageError, trace
from lowrun.cli import console, words
from lowrun.cli.trace_options import TraceOptions

__all__ = ["run"]

#: What a user or the system ends lowrun with.
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


def run(options: TraceOptions, command_words: Sequence[str]) -> int:
    """Trace COMMAND or the processes of -p, return the exit code; a signal's death is died here, too.

    Raises UsageError before anything is traced, any other error for lowrun's own failure.
    """
    pids = list(dict.fromkeys(pid for group in options.pids for pid in group))
    if pids and command_words:
        raise UsageError("give either COMMAND or -p PID, not both")
    if os.getpid() in pids:
        raise UsageError("-p cannot be lowrun itself; trace it with another lowrun")
    if pids and options.engine == "python":
        raise UsageError("the python engine traces commands only; attach with the engine ptrace")
    if not pids and not command_words:
        raise UsageError("no COMMAND and no -p PID given; see lowrun trace --help")
    command = None if pids else _command(options, command_words)
    only = None if options.only is None else trace.numbers_of(options.only)
    inject = [Inject.parse(text, fault=name == "fault") for name, text in options.injections]
    with ExitStack() as stack:
        output = _Output(options)
        stack.callback(output.close)
        loop = stack.enter_context(Loop())
        live = stack.enter_context(
            trace.LiveTrace(
                loop,
                output.feed,
                lambda _: loop.stop(),
                only=only,
                string_limit=options.string_limit,
                inject=inject,
                engine=options.engine,
            )
        )
        taken = {number for number in ENDING if signal.getsignal(number) != signal.SIG_IGN}
        stack.enter_context(loop.add_signals(taken, lambda info: _on_signal(live, info)))
        if command is None:
            refusals = live.attach(pids)
            for refusal in refusals.values():
                console.complain(str(refusal))
            for pid in pids:
                if pid not in refusals:
                    output.note(f"Process {pid} attached")
        else:
            live.start(command)
        loop.run()
        error = live.sink_error or output.end()
        if error is not None and not isinstance(error, BrokenPipeError):
            console.warn(f"the trace is not whole: {options.output or 'standard error'}: {error.strerror}")
    return _outcome(live, command.argv[0] if command is not None else "")


def _command(options: TraceOptions, command_words: Sequence[str]) -> Command:
    argv = words.split(command_words)
    if argv != tuple(command_words) and (operators := words.shell_words(command_words[0])):
        console.complain(words.hint(command_words[0], operators))
    blocked = frozenset(int(number) for number in signal.pthread_sigmask(signal.SIG_BLOCK, ()))
    env = None
    if options.environment:
        env = dict(os.environ)
        for name, value in options.environment:
            env.pop(name, None)
            if value is not None:
                env[name] = value
    if options.user is None:
        return Command(tuple(argv), env=env, blocked=blocked)
    if os.geteuid() != 0:
        raise UsageError("-u needs root: only root becomes another user")
    import pwd

    try:
        user = pwd.getpwnam(options.user)
    except KeyError:
        raise UsageError(f"there is no user {options.user!r}") from None
    groups = tuple(os.getgrouplist(user.pw_name, user.pw_gid))
    return Command(tuple(argv), env=env, blocked=blocked, uid=user.pw_uid, gid=user.pw_gid, groups=groups)


def _on_signal(live: trace.LiveTrace, info: SignalInfo) -> None:
    """Let go of what is attached; a command gets the signal, unless the terminal has sent it there already."""
    live.detach()
    if not info.from_terminal:
        with suppress(GoneError):
            live.send_signal(int(info))


class _Output:
    """Where the lines go, and what becomes of records on their way there.

    Raises UsageError; a file is opened, and so emptied, only when all else is right.
    """

    def __init__(self, options: TraceOptions) -> None:
        self._options = options
        self._fds: list[int] = []
        plain = options.output is not None
        if options.keep_binary and not plain:
            raise UsageError("--keep-binary writes beside -o FILE: give -o, too")
        self._filters: list[Callable[[Iterable[trace.Record]], Iterable[trace.Record]]] = []
        if options.paths:
            paths = {os.fsencode(form) for path in options.paths for form in (path, os.path.realpath(path))}
            self._filters.append(trace.PathFilter(paths))
        if options.status is not None:
            self._filters.append(trace.StatusFilter(options.status))
        self._file = console.Stream(console.STDERR if options.output is None else self._open(options.output))
        self._writer = None
        if not options.summary_only or options.summary_too:
            self._writer = trace.StraceWriter(self._file) if plain else trace.TerminalWriter(self._file)
        self._binary = None
        if options.keep_binary:
            self._binary = console.Stream(self._open(f"{options.output}.records"))
            self._binary.write(trace.file_header(options.string_limit))
        self._counts = trace.Counts() if options.summary_only or options.summary_too else None

    def feed(self, data: trace.Buffer) -> None:
        """Print what `data` says, or count it. Raises OSError when it cannot be written."""
        if self._binary is not None:
            self._binary.write(data)
        records: Iterable[trace.Record] = trace.records_of(data)
        for select in self._filters:
            records = select(records)
        if self._counts is not None:
            records = list(records)
            self._counts.add(records)
        if self._writer is not None:
            self._writer.add(records)

    def note(self, text: str) -> None:
        """Say what is no call."""
        if not self._options.quiet:
            console.complain(text)

    def end(self) -> OSError | None:
        """Print what is left to be said; return why it cannot be written."""
        try:
            if self._writer is not None:
                self._writer.close()
            if self._counts is not None:
                self._file.write(self._counts.table(self._options.sort).encode())
        except OSError as error:
            return error
        return None

    def _open(self, path: str) -> int:
        try:
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
        except OSError as error:
            raise UsageError(f"-o {path}: {error.strerror}") from None
        self._fds.append(fd)
        return fd

    def close(self) -> None:
        """Close what was opened."""
        while self._fds:
            os.close(self._fds.pop())


def _outcome(live: trace.LiveTrace, name: str) -> int:
    for fault in live.faults:
        console.warn(fault)
    if live.error is not None:
        raise live.error
    if live.status is None:
        return 0
    if live.status.reason is not None:
        console.complain(f"{name}: {live.status.reason}")
    if live.status.signal is not None:
        _die_of(live.status.signal)
    return live.status.code


def _die_of(number: int) -> NoReturn:
    """End as the command did, without a second core dump."""
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(number, signal.SIG_DFL) if number != signal.SIGKILL else None
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})
    os.kill(os.getpid(), number)
    os._exit(128 + number)
