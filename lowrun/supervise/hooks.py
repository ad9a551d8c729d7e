"""Commands at moments of a program's life: before it starts, when it is up, when it has ended.

    [pre] -> life ... ready -> [post, beside it] ... its end -> [on-exit]

One before or after a life is waited for; one beside it ends with it at the latest. Each has its own time.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping
from dataclasses import replace

from lowrun.core.keepers import Keepers
from lowrun.core.launch import Launch, failed_exec_status
from lowrun.core.loop import Loop
from lowrun.core.process import Process
from lowrun.errors import explain
from lowrun.supervise.meaning import LastExit
from lowrun.supervise.settings import Program
from lowrun.values import CODE_SIGNAL_BASE, CODE_TIMED_OUT, Command, ExitStatus

__all__ = ["Hooks", "facts_of"]

#: From SIGTERM to SIGKILL; seconds.
KILL_AFTER = 1.0
LOST = ExitStatus(CODE_SIGNAL_BASE + 9, None, "its keeper was killed")


class Hook:
    """`argv` in the environment, directory and with the rights of `like`, and with `facts` in its environment.

    `on_over(status)` once, when nothing of it is left. After `timeout` seconds it is ended. Close it to end it at once.
    Raises OSError without a keeper.
    """

    def __init__(
        self,
        argv: tuple[str, ...],
        like: Command,
        facts: Mapping[str, str],
        loop: Loop,
        keepers: Keepers,
        on_over: Callable[[ExitStatus], object],
        timeout: float,
        fds: Mapping[int, int],
    ) -> None:
        import os

        env = os.environ if like.env is None else like.env
        self._launch = Launch(replace(like, argv=argv, env={**env, **facts}, group="session"))
        self._on_over = on_over
        self._process = Process(loop, keepers, self._launch, fds, on_end=self._end)
        #: Why it was ended; "".
        self._why = ""
        self._timer = loop.add_timer(timeout, lambda: self._expire(timeout))

    def _expire(self, timeout: float) -> None:
        self._why = f"it has taken longer than {timeout:g} s"
        self.terminate()

    def terminate(self) -> None:
        """SIGTERM to all of it, and SIGKILL to what is left then."""
        self._timer.close()
        self._process.terminate(KILL_AFTER)

    def kill(self) -> None:
        """SIGKILL to all of it."""
        self._process.kill()

    def _end(self, process: Process) -> None:
        self._timer.close()
        self._launch.close()
        status = failed_exec_status(process.error) if process.error is not None else process.status
        if self._why:
            status = ExitStatus(CODE_TIMED_OUT, None, self._why)
        self._on_over(LOST if status is None else status)

    def close(self) -> None:
        """End it at once; nobody is told."""
        self._timer.close()
        self._process.close()
        self._launch.close()


class Hooks:
    """The hooks of a program's lives, which have its standard descriptors; failures are told to `say`.

    Close it in the end.
    """

    def __init__(
        self, program: Program, loop: Loop, keepers: Keepers, fds: Mapping[int, int], say: Callable[[str], object]
    ) -> None:
        self._program, self._loop, self._keepers, self._say = program, loop, keepers, say
        command = program.command
        if command.blocked is None:  # as the program has it: whoever waits for signals blocks them later
            blocked = signal.pthread_sigmask(signal.SIG_BLOCK, ())
            command = replace(command, blocked=frozenset(map(int, blocked)))
        self._like = command
        #: The hook's descriptor -> ours.
        self._fds = {target: fd for target, fd in fds.items() if target <= 2}
        self._before: Hook | None = None
        self._after: Hook | None = None
        self._beside: Hook | None = None

    def before(self, argv: tuple[str, ...], facts: Mapping[str, str], done: Callable[[ExitStatus], object]) -> None:
        """Run one that a life waits for; `done(status)` comes in any case, from the loop."""

        def over(status: ExitStatus) -> None:
            self._before = None
            done(status)

        self._before = self._begin(argv, facts, over, self._program.start_timeout)

    def beside(self, argv: tuple[str, ...], facts: Mapping[str, str]) -> None:
        """Run one while a life goes on."""

        def over(_status: ExitStatus) -> None:
            self._beside = None

        self._beside = self._begin(argv, facts, over, self._program.start_timeout)

    def after(self, argv: tuple[str, ...], facts: Mapping[str, str], done: Callable[[], object]) -> None:
        """Run one that the end of a life waits for; `done()` comes in any case, from the loop."""

        def over(_status: ExitStatus) -> None:
            self._after = None
            done()

        self._after = self._begin(argv, facts, over, self._program.stop_timeout)

    def _begin(
        self, argv: tuple[str, ...], facts: Mapping[str, str], done: Callable[[ExitStatus], object], timeout: float
    ) -> Hook | None:
        """Return it; None when it cannot be had now, which is a failure, too."""

        def over(status: ExitStatus) -> None:
            if status.code != 0:
                self._say(f"hook {argv[0]}: {status}")
            done(status)

        try:
            return Hook(argv, self._like, facts, self._loop, self._keepers, over, timeout, self._fds)
        except OSError as error:
            status = ExitStatus(1, None, f"it cannot be started now: {explain(error)}")
            self._loop.call_soon(lambda: over(status))
            return None

    def forestall(self) -> bool:
        """End the one that a life waits for; False when there is none."""
        if self._before is None:
            return False
        self._before.terminate()
        return True

    def kill(self) -> None:
        """SIGKILL to the one that is waited for."""
        for hook in (self._before, self._after):
            if hook is not None:
                hook.kill()

    def end_beside(self) -> None:
        """The life is over: end the one beside it at once."""
        hook, self._beside = self._beside, None
        if hook is not None:
            hook.close()

    def close(self) -> None:
        """End all at once; nobody is told."""
        self.end_beside()
        for hook in (self._before, self._after):
            if hook is not None:
                hook.close()
        self._before = self._after = None


def facts_of(name: str, restarts: int, is_alive: bool, pid: int | None, last: LastExit | None) -> dict[str, str]:
    """Return what a hook is told, in its environment: of the present life, or of the last one and its end."""
    facts = {"LOWRUN_NAME": name, "LOWRUN_RESTARTS": str(restarts)}
    if is_alive:
        facts["LOWRUN_PID"] = str(pid or "")
    elif last is not None:
        facts["LOWRUN_PID"] = str(last.pid or "")
        if last.status is not None:
            facts["LOWRUN_EXIT_CODE"] = str(last.status.code)
            facts["LOWRUN_EXIT_SIGNAL"] = str(last.status.signal or "")
    return facts
