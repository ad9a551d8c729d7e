"""The verb `start`: programs kept running, in the background or (-D) here.

`start` comes back when all run: are ready where --ready or a pidfile tells that, else have lived for a second. What
fails before that is told with its last lines of output.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from typing import NamedTuple

from lowrun import BusyError, Loop, SignalInfo, Timer, supervise
from lowrun.cli.background import Tell, Word, in_background
from lowrun.cli.console import STDERR, complain, takes_more, warn
from lowrun.cli.start_options import StartRequest

__all__ = ["run"]

EXIT_FAILED_TO_START = 1
#: The pid of a container's first process.
INIT = 1
#: A life that has lasted so long has not failed at its start; seconds.
FIRST = 1.0
#: Of what is told of failures: who reads standard error may be slow, and a pipe holds 64 KiB.
MOST_LINES = 100
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT)
#: What a container's first process passes on; the kernel keeps from it what it has no handler for (pid_namespaces(7)).
PASSED_ON = frozenset({signal.SIGUSR1, signal.SIGUSR2, signal.SIGWINCH})


def run(request: StartRequest) -> int:
    """Start what was asked for; return the exit code."""
    for hint in request.hints:
        complain(hint)
    for program in request.programs:
        supervise.check_recording(program)
        supervise.check_attached(program)
    _warn_of_syslog(request)
    where = supervise.state_path()  # a daemon's working directory is another
    if request.foreground:
        return _supervise(request, where, _Listener(_say_if_read, _show_line))
    word = in_background(lambda tell: _supervise(request, where, _Listener(tell, None)))
    _say(word)
    return word.code


def _warn_of_syslog(request: StartRequest) -> None:
    names = [program.name for program in request.programs if program.output == "syslog"]
    if names:
        with closing(supervise.Syslog()) as log:
            if log.fault:
                warn(f"{', '.join(names)}: output is lost: {log.fault}; --output file keeps it")


def _say(word: Word) -> None:
    for line in word.text.splitlines():
        complain(line)


def _say_if_read(word: Word) -> None:
    """The same beside programs that are kept running: a reader that is stalled does not hold them up."""
    for line in word.text.splitlines():
        if takes_more(STDERR):
            complain(line)


def _show_line(name: str, text: str) -> None:
    """A line of a program's log, which nobody else shows: in a container there is no other log."""
    if takes_more(STDERR):
        complain(f"{name}: {text}")


class _Listener(NamedTuple):
    """Who hears of the start, and of all that follows."""

    tell: Tell
    #: Gets a program's name and a line of its log.
    show: Callable[[str, str], object] | None


def _supervise(request: StartRequest, where: str, listener: _Listener) -> int:
    try:
        return _keep_running(request, where, listener)
    except BusyError as error:  # it has a supervisor, or is what one has left
        listener.tell(Word(EXIT_FAILED_TO_START, str(error)))
        return EXIT_FAILED_TO_START


def _keep_running(request: StartRequest, where: str, listener: _Listener) -> int:
    supervise.take_descriptors()
    with supervise.StateDirectory.open(create=True, path=where) as directory, Loop() as loop:
        start = _Start(loop, listener.tell, "" if request.foreground else request.directory)
        with supervise.Service(
            loop, request.programs, directory, on_change=start.changed, on_line=listener.show
        ) as service:
            start.service = service
            taken = {*ENDING, signal.SIGHUP} | ({signal.SIGCHLD, *PASSED_ON} if os.getpid() == INIT else set())
            with loop.add_signals(taken, lambda info: _signalled(service, request, info)):
                service.start()
                while not service.ended:
                    loop.dispatch(-1)
            start.end()
            return service.exit_code


def _reap() -> None:
    """Wait for all that have ended: as process 1 of a container we are the parent of every orphan in it."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0] > 0:
            pass


def _signalled(service: supervise.Service, request: StartRequest, info: SignalInfo) -> None:
    if int(info) == signal.SIGCHLD:
        _reap()
    elif int(info) == signal.SIGHUP and _asks_for_reload(request, info):
        service.reload()
    elif int(info) in PASSED_ON:
        service.send_signal(int(info))
    else:
        service.stop()


def _asks_for_reload(request: StartRequest, info: SignalInfo) -> bool:
    """Tell what SIGHUP means: in the foreground that the terminal is gone, but for a container's first process."""
    return not request.foreground or (os.getpid() == INIT and not info.from_terminal)


def _of_paths(argv: Sequence[str], directory: str) -> list[str]:
    """Return what to say when an argument is a path that is in `directory` and not in `/`, a daemon's; one line."""
    paths = [word for word in argv[1:] if word and not word.startswith(("-", "/"))]
    for path in paths:
        if os.path.lexists(os.path.join(directory, path)) and not os.path.lexists(os.path.join("/", path)):
            return [f"its working directory was /, but {path} is in {directory}: give --cwd (cwd in a file)"]
    return []


class _Start:
    """How the start of all programs goes, until it can be told."""

    def __init__(self, loop: Loop, tell: Tell, directory: str) -> None:
        self.service: supervise.Service | None = None
        #: Where relative paths were meant to be from; "": it is the programs' own.
        self._directory = directory
        self._loop, self._tell = loop, tell
        self._timers: dict[str, Timer] = {}
        self._settled: set[str] = set()
        self._failures: list[str] = []
        self._told = False

    def changed(self, program: supervise.Supervised) -> None:
        """A program has changed."""
        if self._told or program.name in self._settled:
            return
        phase = program.phase
        if phase is supervise.Phase.RUNNING:
            if program.program.ready is not None or program.program.pidfile is not None:
                self._settle(program.name)
            elif program.name not in self._timers:
                self._timers[program.name] = self._loop.add_timer(FIRST, lambda: self._settle(program.name))
        elif phase is supervise.Phase.WAITING or program.over:
            self._fail(program)

    def _fail(self, program: supervise.Supervised) -> None:
        last = program.last
        ended_well = program.phase is supervise.Phase.DONE and program.state.exit_code == 0
        if last is None and program.reason:
            self._failures.append(f"{program.name}: not started: {program.reason}")
        elif last is not None and not ended_well:
            self._failures.append(f"{program.name}: {last.text.removeprefix(f'{program.name}: ')}")
            assert self.service is not None
            self._failures += [f"  {line}" for line in self.service.last_output(program.name)]
            command = program.program.command
            if self._directory and command.cwd is None and command.chroot is None:
                self._failures += [f"{program.name}: {hint}" for hint in _of_paths(command.argv, self._directory)]
            if program.phase is supervise.Phase.WAITING:
                self._failures.append(
                    f"{program.name}: respawned in {program.state.delay:g} s; lowrun stop {program.name}"
                )
        self._settle(program.name)

    def _settle(self, name: str) -> None:
        self._settled.add(name)
        timer = self._timers.pop(name, None)
        if timer is not None:
            timer.close()
        assert self.service is not None
        if self._settled >= self.service.programs.keys():
            self._finish()

    def _finish(self) -> None:
        if not self._told:
            self._told = True
            assert self.service is not None
            self.service.write_records()
            gave_up = self.service.ended and self.service.exit_code != 0
            programs = self.service.programs.values()
            faults = [f"{program.name}: not recorded: {fault}" for program in programs for fault in program.faults]
            lines = (faults + self._failures)[:MOST_LINES]
            if (more := len(faults) + len(self._failures) - MOST_LINES) > 0:
                lines.append(f"... and {more} lines more; lowrun log NAME has them")
            self._tell(Word(EXIT_FAILED_TO_START if gave_up else 0, "\n".join(lines)))

    def end(self) -> None:
        """All is over: tell what was not told yet."""
        for timer in self._timers.values():
            timer.close()
        self._finish()
