"""How a run ended, in words: exit codes with their meaning, signals by name, sizes with their unit. Pure."""

from __future__ import annotations

import re
import shlex
import signal as signals
from collections.abc import Sequence
from itertools import pairwise

from lowrun.kept.calltext import entry_text
from lowrun.kept.directory import KeptRun
from lowrun.kept.family import Member
from lowrun.kept.tails import visible
from lowrun.notation import duration
from lowrun.showing.blame import Hang, failed_children, signal_number
from lowrun.trace.event import Event
from lowrun.values import CODE_NOT_EXECUTABLE, CODE_NOT_FOUND, CODE_SIGNAL_BASE

__all__ = ["amount", "command_line", "ending", "member_ending", "sentences", "signal_name", "state_of"]

ADDRESS = re.compile(r"si_addr=(\w+)")
SENDER = re.compile(r"si_pid=(\d+)")
#: Signals whose cause is in the program itself.
OWN_FAULTS = frozenset("SIGSEGV SIGBUS SIGILL SIGFPE SIGTRAP SIGSYS".split())
#: The code of most failures says nothing of whose it is.
COMMON_CODE = 1
UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")


def signal_name(number: int) -> str:
    """Return "SIGTERM", or "signal 40"."""
    try:
        return signals.Signals(number).name
    except ValueError:
        return f"signal {number}"


def amount(size: float) -> str:
    """Return bytes in the unit that fits them: `812 B`, `3.4 MiB`."""
    power = 0
    while size >= 1000 and power < len(UNITS) - 1:
        size /= 1024
        power += 1
    return f"{size:.0f} {UNITS[0]}" if not power else f"{size:.{1 if size < 100 else 0}f} {UNITS[power]}"


def command_line(words: Sequence[str]) -> str:
    """Return a command as a shell would take it, with nothing in it that a terminal acts on."""
    return visible(" ".join(shlex.quote(word) for word in words))


def state_of(run: KeptRun) -> str:
    """Return "ok", "interrupted", "timed out", "killed" or "failed"."""
    if run.interrupted:
        return "interrupted"
    if run.ok:
        return "ok"
    if run.timed_out:
        return "timed out"
    return "killed" if run.signal is not None else "failed"


def ending(run: KeptRun) -> str:
    """Return how a run ended, in a few words."""
    if run.reason:
        return visible(run.reason)
    how = _code(run)
    if run.timed_out:
        return f"timed out (exit {run.code})" if run.code is not None else "timed out"
    return how


def _code(run: KeptRun) -> str:
    if run.signal is not None:
        return f"killed by {signal_name(run.signal)}"
    code = run.code
    if code is None:
        return "how it ended is not known"
    if run.pid is None and code in (CODE_NOT_FOUND, CODE_NOT_EXECUTABLE):
        return f"exit {code}: the command was " + ("not found" if code == CODE_NOT_FOUND else "not executable")
    if run.ok:
        return f"exit {code}"
    if code == CODE_NOT_FOUND:
        return f"exit {code} (of a shell: command not found)"
    if code == CODE_NOT_EXECUTABLE:
        return f"exit {code} (of a shell: not executable)"
    name = signal_name(code - CODE_SIGNAL_BASE) if code > CODE_SIGNAL_BASE else ""
    return f"exit {code} (128 + {name})" if name.startswith("SIG") else f"exit {code}"


def member_ending(member: Member) -> str:
    """Return how a process ended."""
    if member.signal:
        return f"was killed by {member.signal}"
    if member.ended:
        return f"ended with exit {member.code}"
    return "was still running where the log ends"


def _who(member: Member) -> str:
    return f"{visible(member.name)} ({member.pid})"


def sentences(run: KeptRun, chain: Sequence[Member], hang: Hang | None, signal: Event | None) -> tuple[str, ...]:
    """Return why a run failed, in a few plain sentences; `chain` leads from the main process to the one to blame.

    `signal` is the last that this one got, if it was killed by it.
    """
    if not chain or run.ok:
        return ()
    culprit = chain[-1]
    said = []
    if hang is not None:
        said.append(_hung(culprit, hang))
        if hang.others:
            said.append(_threads(hang.others))
        if len(chain) > 1:
            said.append(f"{_who(chain[-2])} waited for it")
    else:
        said.append(f"{_who(culprit)} {member_ending(culprit)}{_cause(culprit, signal)}")
        if len(chain) > 1:
            said.append(_passed_on(chain))
        if failed := failed_children(culprit):
            child = max(failed, key=lambda child: child.end_ns or 0)
            said.append(f"before that its child {_who(child)} {member_ending(child)}")
    return tuple(said)


def _cause(culprit: Member, signal: Event | None) -> str:
    if signal is None or signal.name != culprit.signal:
        return ""
    address, sender = ADDRESS.search(signal.arguments), SENDER.search(signal.arguments)
    if culprit.signal in OWN_FAULTS and address is not None:
        return f", at address {address[1]}"
    if sender is not None:
        return ", which it sent itself" if int(sender[1]) == culprit.pid else f", which process {sender[1]} sent"
    return ""


def _passed_on(chain: Sequence[Member]) -> str:
    parents, end = list(reversed(chain[:-1])), chain[-1]
    code = end.code if not end.signal else CODE_SIGNAL_BASE + (signal_number(end.signal) or 0)
    same = all((parent.code, parent.signal) in ((code, ""), (None, end.signal)) for parent in parents)
    names = ", ".join(_who(parent) for parent in parents[:3]) + (" ..." if len(parents) > 3 else "")
    if not same:
        return f"then {names} ended with exit {parents[-1].code}"
    if any(_may_be_its_own(parent, child) for parent, child in pairwise(chain)):
        return f"{names} ended with that code, too, after children that ended well"
    return f"{names} passed it on"


def _may_be_its_own(parent: Member, child: Member) -> bool:
    """Tell whether `parent` heard of a child that ended well after `child`, and its code is the one that all use."""
    last = parent.reaped
    return parent.code == COMMON_CODE and last is not None and last is not child and not last.failed


def _hung(culprit: Member, hang: Hang) -> str:
    who = _who(culprit)
    if hang.call is None:
        return f"{who} got {hang.signal}; the log has no call of it"
    for_ = "" if hang.for_ns is None else f" for {duration(hang.for_ns / 1e9)}"
    if hang.inside:
        return f"{who} was in {entry_text(hang.call, 90)}{for_} when it got {hang.signal}"
    return f"{who} was computing, without a call{for_}, when it got {hang.signal}"


def _threads(calls: Sequence[Event]) -> str:
    more = f", and {len(calls) - 1} more in others" if len(calls) > 1 else ""
    return f"of its other threads one was in {entry_text(calls[0], 60)}{more}"
