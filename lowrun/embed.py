"""lowrun inside other event loops; known as `lowrun.aio`.

All waiting of a `Loop` is one descriptor, so an asyncio loop serves it with
add_reader. asyncio's own children, its child watcher and the host's SIGCHLD
are not touched: the commands are children of their keepers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lowrun.core.loop import Loop
from lowrun.errors import LowrunError, UsageError
from lowrun.runs.repeater import Repeater
from lowrun.values import Command, Result, Summary, Word

if TYPE_CHECKING:
    import asyncio

__all__ = ["repeat", "run"]


async def repeat(command: Command | Word | Sequence[Word], **options: Any) -> Summary:
    """Run `command` as `lowrun.repeat` does, in the running asyncio loop; return the Summary.

    Cancelling the task ends what is under way (SIGTERM, SIGKILL 0.5 s later)
    before CancelledError comes out. Errors as for `lowrun.repeat`.
    """
    import asyncio
    import signal

    host = asyncio.get_running_loop()
    end: asyncio.Future[None] = host.create_future()

    def finished(_repeater: Repeater) -> None:
        if not end.done():
            end.set_result(None)

    with Loop() as loop, Repeater(command, on_end=finished, **options) as repeater:
        host.add_reader(loop.fileno(), _dispatch, loop, end)
        try:
            repeater.start(loop)
            try:
                await asyncio.shield(end)
            except asyncio.CancelledError:
                repeater.interrupt(signal.SIGTERM)
                await end
                raise
        finally:
            host.remove_reader(loop.fileno())
        if repeater.error is not None:
            raise repeater.error
        return repeater.summary


def _dispatch(loop: Loop, end: asyncio.Future[None]) -> None:
    """Serve the loop; what goes wrong in it comes out of the waiting coroutine."""
    try:
        loop.dispatch()
    except Exception as error:
        if not end.done():
            end.set_exception(error)


async def run(command: Command | Word | Sequence[Word], **options: Any) -> Result:
    """Run `command` once in the running asyncio loop; return its Result. See `repeat`."""
    if options.get("count", 1) != 1:
        raise UsageError("run() runs once; repeat() runs again")
    summary = await repeat(command, **options)
    if not summary.results:
        raise LowrunError("the run gave no result")
    return summary.results[0]
