"""Programs kept running by a host: the supervisor as a source of its loop.

    Supervisor(loop, ...) --first turn--> lives, as the policy says --all have come to their end--> on_end
              |                                                                                      ^
              +--> stop(), or `lowrun stop` where there is a state directory ------------------------+
              +--> close(), or the loop's: everything is ended at once

It is a library's guest: it takes no signal, waits for no child that is not its own, and changes nothing of the process.
What it calls is called from the loop, after all that happened at that turn: so a callback can do anything with it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import cast

from lowrun.core.loop import Loop
from lowrun.errors import ClosedError, UsageError
from lowrun.supervise.attached import check_attached
from lowrun.supervise.group import Group
from lowrun.supervise.hosted import Hosted
from lowrun.supervise.order import check_distinct, start_order
from lowrun.supervise.program import Supervised
from lowrun.supervise.recording import check_recording
from lowrun.supervise.service import Service
from lowrun.supervise.settings import Program, Restart
from lowrun.supervise.state import StateDirectory
from lowrun.values import Command, Word

__all__ = ["Supervisor"]

State = StateDirectory | str | os.PathLike[str]


class Supervisor:
    """Keeps `command` running in `loop`, from the loop's next turn on, until its policy gives up or it is told to stop.

    `command` is a list of words, an `lr.Command`, an `lr.Program` (all that `lowrun start` has options for), or a
    sequence of Programs, which are started in the order of their `after` and `needs` and stopped in reverse. Without
    an `lr.Program` its name is `name`, else the base name of its file, and `restart` says when it is started again (an
    `lr.Restart`; None is `lr.Restart()`: on each failure, after 5 s). A Program has both itself.

    Without `state` nothing is on disk: its lines go to `logging.getLogger("lowrun.supervise.NAME")` (INFO, and WARNING
    when it is given up), its output to the host's own standard output and standard error. With `state`, a directory's
    path or a `StateDirectory` (which stays the caller's), it is for `lowrun status`, `stop`, `log` and the others as
    one that was started from the command line; that directory is their LOWRUN_STATE_DIR.

    `on_change(program)` comes after changes of a program, once for all of one turn of the loop; `on_end(supervisor)`
    once, when all programs have come to their end and everything is let go of. `programs` has the facts of each.

    Nothing of the programs outlives it: `close`, the end of its `with` block, closing the loop and the death of this
    process end them. `loop.run()` goes on until `loop.stop()`, since a loop may serve others, too:
    `on_end=lambda _: loop.stop()`, or `wait()`. It belongs to the loop's thread.

    Raises UsageError: settings that make no sense, programs that wait for each other; BusyError: another supervisor has
    that name in `state`; DeniedError, UnsupportedError: what they say; OSError. That a command cannot be executed is an
    end of its program: code 127 or 126 in `last`.
    """

    def __init__(
        self,
        loop: Loop,
        command: Command | Program | Word | Sequence[Word] | Sequence[Program],
        *,
        name: str | None = None,
        restart: Restart | None = None,
        state: State | None = None,
        on_change: Callable[[Supervised], object] = lambda _program: None,
        on_end: Callable[[Supervisor], object] = lambda _supervisor: None,
    ) -> None:
        programs = _programs(command, name, restart)
        check_distinct(programs)
        start_order(programs)
        for program in programs:
            check_attached(program)
        self._loop, self._on_change, self._on_end = loop, on_change, on_end
        #: What has changed and was not told yet.
        self._news: dict[str, Supervised] = {}
        self._ended = False
        self._owner = os.getpid()
        with ExitStack() as stack:
            self._keeping = self._begin_keeping(programs, state, stack)
            loop.call_soon(self._start)
            self._stack = stack.pop_all()
        loop.own(self)

    def _begin_keeping(self, programs: Sequence[Program], state: State | None, stack: ExitStack) -> Group | Service:
        if state is None:
            place = Hosted(self._loop)
            stack.callback(place.close)
            group = Group(self._loop, programs, place, on_change=self._changed, on_end=self._all_ended)
            return stack.enter_context(group)
        for program in programs:
            check_recording(program)
        with ExitStack() as opened:
            if not isinstance(state, StateDirectory):
                state = opened.enter_context(StateDirectory.open(create=True, path=state))
            service = Service(self._loop, programs, state, on_change=self._changed, on_end=self._all_ended, stays=True)
            return stack.enter_context(service)

    # -- facts

    @property
    def programs(self) -> Mapping[str, Supervised]:
        """Each program by its name: its `phase`, `pid`, `restarts`, `last` (how the life before ended), `reason`, and
        its own `stop`, `restart` and `reload`.
        """
        return self._keeping.programs

    @property
    def program(self) -> Supervised:
        """The only one. Raises UsageError when there are others."""
        if len(self.programs) > 1:
            raise UsageError(f"there are {len(self.programs)} programs; `programs` has them by name")
        return next(iter(self.programs.values()))

    @property
    def ended(self) -> bool:
        """True when nothing runs and nothing will be started any more."""
        return self._ended

    @property
    def exit_code(self) -> int:
        """0 when all have ended normally, 1 when one was given up or never started; 0 for what has not ended yet."""
        return self._keeping.exit_code

    # -- what can be asked

    def stop(self) -> None:
        """Stop all programs, in reverse order; the second time what is being stopped is killed. `on_end` tells when."""
        if not self._ended:
            self._keeping.stop()

    def restart(self) -> None:
        """Restart each program that was started, by itself, as `lowrun restart` does; nothing when they are to stop.

        Raises ClosedError when all is over.
        """
        if self._ended:
            raise ClosedError("the supervisor has ended; make a new one")
        self._keeping.restart()

    def reload(self) -> None:
        """Send each program that runs its reload signal."""
        if not self._ended:
            self._keeping.reload()

    def wait(self) -> int:
        """Serve the loop until all is over; return `exit_code`. For callers that do not serve it themselves."""
        while not self._ended:
            self._loop.dispatch(-1)
        return self.exit_code

    # -- from the loop

    def _start(self) -> None:
        if not self._ended:
            self._keeping.start()

    def _changed(self, program: Supervised) -> None:
        if not self._news:
            self._loop.call_soon(self._tell)
        self._news[program.name] = program

    def _tell(self) -> None:
        """Tell of what has changed; when a callback raises, the others come at the next turn."""
        try:
            for name in list(self._news):
                program = self._news.pop(name, None)
                if program is not None:
                    self._on_change(program)
        finally:
            if self._news:
                self._loop.call_soon(self._tell)

    def _all_ended(self) -> None:
        self._loop.call_soon(self._finish)

    def _finish(self) -> None:
        if not self._ended and self._keeping.ended:
            self.close()
            self._on_end(self)

    # -- the end

    def close(self) -> None:
        """End all at once (SIGKILL) and wait until nothing is left; the second time does nothing.

        What it knows stays known. `on_end` does not come: who closes knows. In a forked child of the host it lets go
        of what is the parent's.
        """
        if self._ended:
            return
        self._ended = True
        self._news.clear()
        if os.getpid() == self._owner:
            self._loop.disown(self)
            self._stack.close()
        else:
            self._stack.pop_all()

    def __enter__(self) -> Supervisor:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()


def _programs(
    command: Command | Program | Word | Sequence[Word] | Sequence[Program], name: str | None, restart: Restart | None
) -> list[Program]:
    """Return what is to run. Raises UsageError."""
    given = [command] if isinstance(command, (Command, Program, str, bytes, os.PathLike)) else list(command)
    programs = [each for each in given if isinstance(each, Program)]
    if not programs:
        words = cast("Command | Sequence[Word]", given[0] if isinstance(command, Command) else given)
        return [Program.of(words, name=name, restart=Restart() if restart is None else restart)]
    if len(programs) < len(given):
        raise UsageError("a supervisor takes the words of one command, or Programs, not both")
    if name is not None or restart is not None:
        raise UsageError("a Program has its name and its restart itself")
    return programs
