"""A command at a moment of a program's life: before it starts, when it is up, when it has ended."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from lowrun.core.keepers import Keepers
from lowrun.core.launch import Launch, failed_exec_status
from lowrun.core.loop import Loop
from lowrun.core.process import Process, open_standard_fds
from lowrun.errors import explain
from lowrun.supervise.meaning import LastExit
from lowrun.values import CODE_SIGNAL_BASE, Command, ExitStatus

__all__ = ["Hook", "begin_hook", "facts_of"]

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
    ) -> None:
        import os

        env = os.environ if like.env is None else like.env
        self._launch = Launch(replace(like, argv=argv, env={**env, **facts}, group="session"))
        self._on_over = on_over
        self._process = Process(loop, keepers, self._launch, open_standard_fds(), on_end=self._end)
        self._timer = loop.add_timer(timeout, self.terminate)

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
        self._on_over(LOST if status is None else status)

    def close(self) -> None:
        """End it at once; nobody is told."""
        self._timer.close()
        self._process.close()
        self._launch.close()


def begin_hook(
    argv: tuple[str, ...],
    like: Command,
    facts: Mapping[str, str],
    loop: Loop,
    keepers: Keepers,
    done: Callable[[ExitStatus], object],
    timeout: float,
    say: Callable[[str], object],
) -> Hook | None:
    """Begin a Hook, whose failure is said; None when it cannot be had now, which is a failure, too.

    `done(status)` comes in any case, from the loop.
    """

    def over(status: ExitStatus) -> None:
        if status.code != 0:
            say(f"hook {argv[0]}: {status}")
        done(status)

    try:
        return Hook(argv, like, facts, loop, keepers, over, timeout)
    except OSError as error:
        status = ExitStatus(1, None, f"it cannot be started now: {explain(error)}")
        loop.call_soon(lambda: over(status))
        return None


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
