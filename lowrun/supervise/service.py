"""Supervision with a place on disk: locks, records, logs, and the words of `lowrun stop` and its like.

Each program's lock is held as long as the supervisor lives; its record is written after changes, once for all that
happens at one turn of the loop: a reader compares it with /proc (truth.py), so a moment's delay makes it no lie.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from functools import partial
from signal import Signals
from types import TracebackType
from typing import NamedTuple

from lowrun.core.door import open_door
from lowrun.core.keepers import Keepers
from lowrun.core.loop import Loop, Timer
from lowrun.errors import GoneError
from lowrun.supervise.control import ControlServer, Message, Reply
from lowrun.supervise.group import Group
from lowrun.supervise.journal import FileJournal, Journal, Syslog
from lowrun.supervise.lost import check_same, find_kept
from lowrun.supervise.outputlog import open_output
from lowrun.supervise.policy import Phase
from lowrun.supervise.processes import ProcessId
from lowrun.supervise.program import Supervised
from lowrun.supervise.record import LastExit, Record
from lowrun.supervise.recording import open_archive
from lowrun.supervise.requests import Asked, read_request
from lowrun.supervise.resources import Resources
from lowrun.supervise.settings import Program
from lowrun.supervise.state import ProgramState, StateDirectory

__all__ = ["Service"]

#: After so long a record that could not be written is tried again; seconds.
AGAIN = 1.0

#: Whether what is waited for is so: each of `requests.GOALS`.
REACHED: dict[str, Callable[[Supervised], bool]] = {
    "running": lambda program: program.pid is not None and program.phase is not Phase.STOPPING,
    "ready": lambda program: program.phase is Phase.RUNNING,
    "stopped": lambda program: program.over,
}


class _Wait(NamedTuple):
    """Who waits for a program."""

    until: str
    reply: Reply


class Service:
    """Keeps `programs` running; their state is in `directory`, which stays the caller's.

    `start` begins; `on_change(supervised)` comes after each change, `on_end()` when all have come to their end.
    `on_line(name, text)` gets the lines of the programs' logs that the system's log has not taken.
    `stays`: this process goes on without it, so who stops its last program is not to wait for the process's end.
    Close it in the end (a context manager). Raises BusyError: one of them is supervised already, or goes on
    without a supervisor by another command; UsageError, DeniedError, OSError.
    """

    def __init__(
        self,
        loop: Loop,
        programs: Sequence[Program],
        directory: StateDirectory,
        *,
        on_change: Callable[[Supervised], object] = lambda _program: None,
        on_end: Callable[[], object] = lambda: None,
        on_line: Callable[[str, str], object] | None = None,
        stays: bool = False,
    ) -> None:
        self._loop, self._on_change, self._on_line, self._stays = loop, on_change, on_line, stays
        self._me = ProcessId.of(os.getpid())
        self._syslog = Syslog()
        self._states: dict[str, ProgramState] = {}
        self._journals: dict[str, FileJournal] = {}
        self._dirty: dict[str, Supervised] = {}
        #: Those that could not be written: the disk is full, or no descriptor is left.
        self._unwritten: dict[str, Supervised] = {}
        self._again: Timer | None = None
        #: By the program's name; the first one first.
        self._waiting: dict[str, dict[_Wait, None]] = {}
        #: To those who have stopped the last program of a service that stays: when the locks are free.
        self._parting: list[Reply] = []
        with ExitStack() as stack:
            stack.callback(self._syslog.close)
            control = stack.enter_context(closing(ControlServer(loop)))
            stack.callback(self._part)
            for program in programs:
                self._take(program, directory, stack)
            stack.callback(control.withdraw)
            self.group = stack.enter_context(Group(loop, programs, self, on_change=self._changed, on_end=on_end))
            for name, state in self._states.items():
                control.serve(state, self._asked)
                self._journals[name].started(os.getpid())
            self._stack = stack.pop_all()

    def _take(self, program: Program, directory: StateDirectory, stack: ExitStack) -> None:
        state = stack.enter_context(directory.program(program.name))
        stack.enter_context(state.lock())
        check_same(state, program)
        state.reserve(Record(command=program.command.argv))
        self._states[program.name] = state
        on_line = None if self._on_line is None else partial(self._on_line, program.name)
        self._journals[program.name] = FileJournal(state, self._syslog, on_line)

    # -- Place

    def journal(self, program: Program) -> Journal:
        """See Place."""
        return self._journals[program.name]

    def resources(self, program: Program, keepers: Keepers) -> Resources:
        """See Place."""
        journal = self._journals[program.name]
        output = open_output(self._loop, self._states[program.name], program, self._syslog, journal.say)
        kept = find_kept(self._states[program.name], keepers)
        stay = kept.keeper.stay if kept is not None else None
        if program.on_lost == "keep" and stay is None:
            stay = open_door(self._states[program.name].door)
        archive = open_archive(program, self._loop, self._states[program.name], journal)
        return Resources(program, self._loop, output, stay=stay, kept=kept, archive=archive)

    # -- records

    def _changed(self, supervised: Supervised) -> None:
        if not self._dirty:
            self._loop.call_soon(self.write_records)
        self._dirty[supervised.name] = supervised
        if supervised.phase is Phase.STOPPING:
            self.write_records()  # before it gets the signal that ends it: whoever comes next shall know why it ended
        self._tell_waiting(supervised)
        if not self.ended:
            self._part()
        self._on_change(supervised)

    def write_records(self) -> None:
        """Write what has changed, at once: before somebody is told of it who may look."""
        failed, self._unwritten = self._unwritten, {}
        dirty, self._dirty = {**failed, **self._dirty}, {}
        for name, supervised in dirty.items():
            try:
                self._states[name].write(self._record(supervised))
            except OSError as error:
                self._unwritten[name] = supervised
                if name not in failed:
                    supervised.journal.say(f"its state cannot be written: {error.strerror}")
        self._stop_trying()
        if self._unwritten:
            self._again = self._loop.add_timer(AGAIN, self.write_records)

    def _stop_trying(self) -> None:
        timer, self._again = self._again, None
        if timer is not None:
            timer.close()

    def _record(self, supervised: Supervised) -> Record:
        life, state, program, last = supervised.life, supervised.state, supervised.program, supervised.last
        ended = None
        if last is not None and last.status is not None:
            ended = LastExit(last.status.code, last.status.signal, last.at)
        return Record(
            phase=state.phase.value,
            supervisor=self._me,
            keeper=None if life is None or life.keeper_pid is None else ProcessId.of(life.keeper_pid),
            main=None if life is None or life.pid is None else ProcessId.of(life.pid),
            kind="plain" if program.pidfile is None else "daemon",
            command=program.command.argv,
            began=supervised.began,
            ready=state.phase is Phase.RUNNING,
            restarts=state.restarts,
            respawns=state.respawns,
            respawn_limit=program.restart.limit,
            last_exit=ended,
            on_lost=program.on_lost,
            notify="" if supervised.resources.notify is None else supervised.resources.notify.name,
            stop_signal=int(program.stop_signal),
            stop_timeout=program.stop_timeout,
            reason=state.reason,
            exit_code=state.exit_code,
        )

    # -- requests

    def _asked(self, message: Message, reply: Reply) -> None:
        asked = read_request(message)
        REQUESTS[asked.do](self, self.programs[message["name"]], asked, reply)

    def _answer(self, reply: Reply, answer: Message) -> None:
        self.write_records()
        reply(answer)

    def _stop(self, supervised: Supervised, asked: Asked, reply: Reply) -> None:
        supervised.stop(lambda: self._stopped(reply), asked.timeout)

    def _stopped(self, reply: Reply) -> None:
        """Answer who waits for a program's end: with "ends" he waits for this process's end, too."""
        if self._stays and self.ended:
            self._parting.append(reply)
        else:
            self._answer(reply, {"ends": self.ended})

    def _part(self) -> None:
        """Tell those who wait that another supervisor can come, or that this one goes on."""
        parting, self._parting = self._parting, []
        for reply in parting:
            reply({"ends": False})

    def _restart(self, supervised: Supervised, _asked: Asked, reply: Reply) -> None:
        def done() -> None:
            if supervised.phase is Phase.RUNNING:
                self._answer(reply, {"pid": supervised.pid})
            else:
                why = supervised.last.text if supervised.last is not None else supervised.reason or "it was stopped"
                reply({"error": f'"{supervised.name}" did not start again: {why}'})

        self.group.restart_one(supervised, done)

    def _reload(self, supervised: Supervised, _asked: Asked, reply: Reply) -> None:
        if not supervised.reload():
            raise GoneError(f'"{supervised.name}" is not running')
        reply({"signal": Signals(supervised.program.reload_signal).name, "pid": supervised.pid})

    def _wait(self, supervised: Supervised, asked: Asked, reply: Reply) -> None:
        wait = _Wait(asked.until, reply)
        if not self._tell(supervised, wait):
            waiting = self._waiting.setdefault(supervised.name, {})
            waiting[wait] = None
            reply.on_gone = lambda: waiting.pop(wait, None)

    def _tell_waiting(self, supervised: Supervised) -> None:
        waiting = self._waiting.get(supervised.name, {})
        for wait in list(waiting):
            if self._tell(supervised, wait):
                waiting.pop(wait, None)

    def _tell(self, supervised: Supervised, wait: _Wait) -> bool:
        """Tell who waits that it has come to that, or cannot any more; False while he has to wait."""
        if not REACHED[wait.until](supervised):
            if wait.until == "stopped" or supervised.phase is not Phase.DONE:
                return False
            wait.reply({"error": f'"{supervised.name}" has ended: {supervised.reason or "normally"}'})
        elif wait.until == "stopped":
            self._stopped(wait.reply)
        else:
            self._answer(wait.reply, {"phase": supervised.phase.value, "pid": supervised.pid, "ends": False})
        return True

    # -- the course of it

    @property
    def programs(self) -> Mapping[str, Supervised]:
        """All of them, by name."""
        return self.group.programs

    @property
    def ended(self) -> bool:
        """True when all programs have come to their end."""
        return self.group.ended

    @property
    def exit_code(self) -> int:
        """See Group."""
        return self.group.exit_code

    def reload(self) -> None:
        """Send each program its reload signal."""
        self.group.reload()

    def restart(self) -> None:
        """Restart each program that was started."""
        self.group.restart()

    def send_signal(self, number: int) -> None:
        """Send each program's main process a signal."""
        for supervised in self.programs.values():
            supervised.send_signal(number)

    def last_output(self, name: str, lines: int = 10) -> list[str]:
        """Return the last lines that a program wrote."""
        return self.programs[name].resources.output.last_lines(lines)

    def start(self) -> None:
        """Start all programs, in their order."""
        self.group.start()

    def stop(self) -> None:
        """Stop all programs, in reverse order; the second time what is being stopped is killed."""
        self.group.stop()

    def close(self) -> None:
        """End all at once, write the last records, let go of the locks."""
        self._dirty.update({name: each for name, each in self.programs.items() if not each.over})
        try:
            self.group.close()
            self.write_records()
        finally:
            self._stop_trying()
            self._stack.close()

    def __enter__(self) -> Service:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """An error that comes out of the loop is a defect of ours: what is to outlive its supervisor does."""
        if isinstance(error, Exception):
            ended = {name: each for name, each in self.programs.items() if not each.outlives}
            self.group.fail(error)
            self._dirty, self._unwritten = ended, {}
        self.close()


REQUESTS: dict[str, Callable[[Service, Supervised, Asked, Reply], None]] = {
    "stop": Service._stop,
    "restart": Service._restart,
    "reload": Service._reload,
    "wait": Service._wait,
}
