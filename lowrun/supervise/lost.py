"""What a killed supervisor has left behind: a life that its keeper kept, or one that its keeper is ending.

    STATE/NAME/keeper answers?   the recorded keeper lives?   then
    yes                          yes                          its life goes on, or has ended and is told of
    no                           yes                          it is ending its tree: that is awaited
    no                           no                           nothing is left

Whoever asks holds the program's lock.
"""

from __future__ import annotations

import signal
import time
from dataclasses import replace

from lowrun.core.door import query
from lowrun.core.keepers import Keepers
from lowrun.core.loop import Loop
from lowrun.core.process import Process
from lowrun.errors import BusyError
from lowrun.supervise.journal import FileJournal, Syslog
from lowrun.supervise.policy import Phase
from lowrun.supervise.record import LastExit, Record
from lowrun.supervise.resources import Kept
from lowrun.supervise.settings import Program
from lowrun.supervise.state import ProgramState, boot_id, now
from lowrun.values import ExitStatus

__all__ = ["check_same", "end_lost", "find_kept"]

#: How long a keeper may take to end its tree; seconds.
PATIENCE = 10.0
#: Phases of a record that was written after the end of a life.
AFTER_END = (Phase.WAITING.value, Phase.DONE.value)


def check_same(state: ProgramState, program: Program) -> None:
    """Raise BusyError when a life goes on here that is not of what `program` asks for: another command, or --attach.

    Nothing is taken or changed. A life that its keeper alone knows of, as its supervisor was killed before it could
    write of it, counts as the same; one that was told to end is replaced anyhow.
    """
    tree, record = query(state.door), state.read()
    if tree is None or tree.gone or record is None or record.boot_id != boot_id():
        return
    if not _is_of(record, tree.started_ns / 1e9) or record.phase == Phase.STOPPING.value:
        return
    if record.command != program.command.argv or program.attach is not None:
        pid = tree.pid if record.main is None else record.main.pid
        runs = f"{' '.join(record.command)!r:.200}"
        raise BusyError(
            f'"{state.name}" runs already (pid {pid}, left by a supervisor that was killed), another command: {runs}; '
            f"lowrun stop {state.name} first"
        )


def find_kept(state: ProgramState, keepers: Keepers) -> Kept | None:
    """Return the life that has outlived its supervisor; None when none has, or its end is known already.

    Waits for the end of a tree that is being ended. Raises BusyError when that does not come, OSError.
    """
    record = state.read()
    if record is not None and record.boot_id != boot_id():
        record = None
    try:
        keeper = keepers.adopt(state.door)
    except (FileNotFoundError, ConnectionError):
        _await_keeper(state, record)
        return None
    assert keeper.kept is not None, "it was adopted just now"
    tree = keeper.kept[0]
    started = tree.started_ns / 1e9
    if record is not None and not _is_of(record, started):
        record = replace(record, phase=Phase.STARTING.value, main=None, began=None, ready=False)
    if not tree.gone or record is None or record.phase not in AFTER_END:
        return Kept(keeper, record, started, tree.gone)
    stay = keeper.stay
    keeper.close()
    keepers.give_back(keeper)
    if stay is not None:
        stay.close()
    return None


def _await_keeper(state: ProgramState, record: Record | None) -> None:
    keeper = None if record is None else record.keeper
    if keeper is not None and not keeper.await_end(PATIENCE):
        raise BusyError(f'the last life of "{state.name}" does not end: see the tree of pid {keeper.pid}')


def _is_of(record: Record, started: float) -> bool:
    """Return True when it tells of the life that began then (CLOCK_MONOTONIC), not of one before it."""
    return record.began is not None and started - time.monotonic() <= record.began.boot - now().boot


def end_lost(state: ProgramState, timeout: float | None = None) -> None:
    """Stop what has outlived its supervisor, its whole tree; nothing when nothing has.

    SIGKILL after `timeout` seconds, None: the time that it was started with.
    Raises BusyError: there is a supervisor, or the tree does not end; OSError.
    """
    with state.lock(), Loop() as loop:
        keepers = Keepers(loop)
        try:
            kept = find_kept(state, keepers)
            if kept is not None:
                _End(state, loop, keepers, kept).run(timeout)
        finally:
            keepers.close()


class _End:
    """The end of one kept life."""

    def __init__(self, state: ProgramState, loop: Loop, keepers: Keepers, kept: Kept) -> None:
        self._state, self._loop = state, loop
        self._record = kept.record or Record(boot_id=boot_id())
        syslog = Syslog()
        self._syslog, self._journal = syslog, FileJournal(state, syslog)
        self._status: ExitStatus | None = None
        self._ended = False
        for descriptor in kept.keeper.take_held().values():
            descriptor.close()
        self._process = Process.adopted(
            loop, keepers, kept.keeper, on_end=self._over, on_reaped=self._reaped, linger=None
        )
        main = self._record.main
        self._main = self._process.pid if main is None else main.pid
        self._gone = kept.gone

    def run(self, timeout: float | None) -> None:
        """Stop it and wait for its end."""
        record, process = self._record, self._process
        process.when_exited(lambda status: self._reaped(process.pid, status))
        if self._main is not None and not self._gone:
            self._journal.told_to_stop(self._main)
        process.signal_tree(record.stop_signal)
        process.signal_tree(signal.SIGCONT)
        timer = self._loop.add_timer(record.stop_timeout if timeout is None else timeout, process.kill)
        try:
            while not self._ended:
                self._loop.dispatch(-1)
        finally:
            timer.close()
        self._journal.stopped()
        self._syslog.close()
        last, status = record.last_exit, self._status or process.status
        if status is not None:
            last = LastExit(status.code, status.signal, time.time())
        self._state.write(
            replace(record, phase=Phase.DONE.value, keeper=None, main=None, ready=False, last_exit=last, reason="")
        )

    def _reaped(self, pid: int | None, status: ExitStatus) -> None:
        if pid is None or pid != self._main:
            return
        self._status = status
        self._journal.ended(pid, status)

    def _over(self, _process: Process) -> None:
        self._ended = True
