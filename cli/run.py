"""The verb `run`: one command, once or many times.

The command line owns its process, so it owns the loop and takes the signals
by signalfd; the runs themselves are the library's. Signals that lowrun
inherited as ignored (nohup, a shell's background job) stay ignored.
"""

from __future__ import annotations

import signal
from collections.abc import Sequence

from lowrun import (
    Command,
    Loop,
    Recorder,
    Repeater,
    SignalInfo,
    Summary,
    UnsupportedError,
    UsageError,
    __version__,
    summary_dict,
    to_json,
)
from lowrun.cli import console, words
from lowrun.cli.jsonfile import JsonFile
from lowrun.cli.notices import Notices
from lowrun.cli.options import Options
from lowrun.cli.progress import Progress
from lowrun.cli.summary import plain, render

__all__ = ["run"]

#: What a user or the system ends lowrun with.
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


def run(options: Options, command_words: Sequence[str]) -> int:
    """Run COMMAND as asked for, say how it went, return the exit code.

    Raises UsageError before the first run, any other error for lowrun's own failure.
    """
    argv = words.split(command_words)
    if argv != tuple(command_words) and (operators := words.shell_words(command_words[0])):
        console.complain(words.hint(command_words[0], operators))
    json_file = JsonFile(options.json) if options.json is not None else None
    quiet = options.quiet or options.json == "-"
    notices = Notices(Progress(options.runs, quiet=quiet))
    with _repeater(options, argv, quiet, notices) as repeater:
        _follow(repeater)
        summary = repeater.summary
    notices.close()
    if repeater.error is None or summary.results:
        console.say(render(summary, options.runs, console.paint if console.has_colors() else plain))
        _hint_at_charts(summary)
    if json_file is not None:
        json_file.write(to_json(summary_dict(summary, __version__)))
    if repeater.error is not None:
        raise repeater.error
    if options.call_trace and options.keep in ("all", "failed+1"):
        from lowrun.cli.diff import add_difference

        add_difference(summary)
    return summary.exit_code


def _repeater(options: Options, argv: Sequence[str], quiet: bool, notices: Notices) -> Repeater:
    blocked = frozenset(int(number) for number in signal.pthread_sigmask(signal.SIG_BLOCK, ()))
    limits = _room(options.jobs)
    return Repeater(
        Command(tuple(argv), blocked=blocked, rlimits=limits),
        count=options.runs,
        failed_count=options.failed_count,
        jobs=options.jobs,
        warmup=options.warmup,
        prepare=None if options.prepare is None else Command(options.prepare, blocked=blocked, rlimits=limits),
        record=_recorders(options),
        keep=options.keep,
        output=options.output,
        timeout=options.timeout,
        kill_after=options.kill_after,
        success=options.success,
        stdin=options.input,
        quiet=quiet,
        on_result=notices.add,
        on_fault=notices.warn,
    )


def _room(jobs: int) -> dict[int, tuple[int, int]]:
    """Take all the descriptors that lowrun may have, for many runs at a time; return the limits COMMAND is to have."""
    if jobs == 1:
        return {}
    from lowrun import supervise

    return supervise.take_descriptors()


def _follow(repeater: Repeater) -> None:
    """Come back when all is over; signals meanwhile end it sooner."""
    taken = {number for number in ENDING if signal.getsignal(number) != signal.SIG_IGN}
    with Loop() as loop, loop.add_signals(taken, lambda info: _interrupt(repeater, info)):
        repeater.start(loop)
        while not repeater.ended:
            loop.dispatch(-1)


def _interrupt(repeater: Repeater, info: SignalInfo) -> None:
    repeater.interrupt(int(info), from_terminal=info.from_terminal)


def _hint_at_charts(summary: Summary) -> None:
    """Say how to get a chart of samples, if there are samples and no chart."""
    kept = {name for result in summary.results for name in result.artifacts}
    if "processes" in kept and "samples" not in kept:
        console.complain("hint: a chart of the samples needs one more package: pip install 'lowrun[plot]'")


def _recorders(options: Options) -> list[Recorder]:
    if options.calls is not None and not options.call_trace:
        raise UsageError("--calls says what -ct traces: give -ct, too")
    if options.keep_binary and not options.call_trace:
        raise UsageError("--keep-binary keeps what -ct records: give -ct, too")
    if options.interval is not None and not options.sys_trace:
        raise UsageError("--interval is the time between samples: give -st, too")
    if not options.net_trace:
        _refuse_net_options(options)
    recorders: list[Recorder] = []
    if options.call_trace:
        from lowrun import Calls

        recorders.append(Calls(only=options.calls, keep_binary=options.keep_binary))
    if options.log_trace:
        from lowrun import Output

        recorders.append(Output())
    if options.sys_trace:
        from lowrun import Samples

        recorders.append(Samples() if options.interval is None else Samples(options.interval))
    if options.net_trace:
        recorders.append(_packets(options))
    return recorders


def _refuse_net_options(options: Options) -> None:
    given = {
        "-i": options.interfaces,
        "--net-filter": options.net_filter is not None,
        "--net-ring-size": options.ring_size,
        "--snaplen": options.snaplen,
        "--net": options.network != "host",
    }
    for name, value in given.items():
        if value:
            raise UsageError(f"{name} says how -nt captures: give -nt, too")


#: Which option an argument of Packets comes from.
NET_OPTIONS = {"filter": "--net-filter", "ring_size": "--net-ring-size", "snaplen": "--snaplen"}


def _packets(options: Options) -> Recorder:
    from lowrun import Packets

    try:
        return Packets(
            *options.interfaces,
            filter=options.net_filter,
            ring_size=options.ring_size,
            snaplen=options.snaplen,
            network=options.network,
        )
    except (UsageError, UnsupportedError) as error:  # it begins with the argument
        word, _, rest = str(error).partition(" ")
        raise UsageError(f"{NET_OPTIONS.get(word, word)} {rest}") from None
