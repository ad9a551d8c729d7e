"""Why a process cannot be traced, and the remedy. Pure: what /proc says in, one line out.

The kernel has one EPERM for all of it. ptrace(2), "Ptrace access mode
checking", lists what it asks: the same user or CAP_SYS_PTRACE in the user
namespace of the process, memory that is dumpable, no capability that the
tracer lacks, then what security modules say (Yama's ptrace_scope). Nobody can
trace a kernel thread, what has ended, or what is traced already.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["Facts", "reason", "status_lines"]

#: Lines of /proc/PID/status, key -> value.
Status = Mapping[str, str]

CAP_SYS_PTRACE = 1 << 19


@dataclass(frozen=True)
class Facts:
    """What /proc says of a process that could not be traced, and of lowrun."""

    #: /proc/PID/status of the process, of lowrun, and of the process's tracer ({}: gone, not readable, none).
    theirs: Status
    ours: Status
    tracer: Status = field(default_factory=dict)
    #: The links /proc/PID/ns/user are the same; None: one of them may not be read.
    same_namespace: bool | None = True
    #: Its memory may be read by its own user (its files in /proc belong to that user).
    dumpable: bool = True
    #: It was started by lowrun, or by what lowrun started.
    descendant: bool = False
    #: kernel.yama.ptrace_scope; "0" where there is no Yama.
    scope: str = "0"


def status_lines(text: str) -> dict[str, str]:
    """Return the lines of /proc/PID/status as key -> value."""
    return {key: value.strip() for key, _, value in (line.partition(":") for line in text.splitlines())}


def _capabilities(status: Status, which: str) -> int:
    return int(status.get(which, "0"), 16)


def _never(facts: Facts) -> str | None:
    theirs = facts.theirs
    if theirs.get("Kthread", "0") == "1" or theirs.get("PPid") == "2" or theirs.get("Pid") == "2":
        return "it is a kernel thread; only programs can be traced"
    if theirs.get("State", "").startswith(("Z", "X")):
        return f"it has ended, and its parent (pid {theirs.get('PPid', '?')}) has not waited for it; trace a live one"
    other = theirs.get("TracerPid", "0")
    if other != "0":
        name = facts.tracer.get("Name", "a process")
        return f"{name} (pid {other}) traces it already; end that first"
    return None


def _not_by_us(facts: Facts) -> str | None:
    theirs, ours = facts.theirs, facts.ours
    if _capabilities(ours, "CapEff") & CAP_SYS_PTRACE and facts.same_namespace:
        return None
    if facts.same_namespace is False:
        return "it lives in another user namespace; run lowrun as root, or in there (nsenter --user --target PID)"
    mine = ours.get("Uid", "").split()[1:2]
    if theirs.get("Uid", "").split()[:3] != mine * 3:
        return "it belongs to another user, or changed its user; run lowrun as root"
    if _capabilities(theirs, "CapPrm") & ~_capabilities(ours, "CapPrm"):
        return "it has capabilities that lowrun lacks; run lowrun as root, in a container with --cap-add SYS_PTRACE"
    if not facts.dumpable:
        return "it protects its memory (a set-user-ID program, or PR_SET_DUMPABLE); run lowrun as root"
    if facts.same_namespace is None:  # what could be read otherwise cannot be
        return "it lives in another user namespace, or a security module protects it; run lowrun as root"
    return None


def _scope(facts: Facts) -> str | None:
    privileged = _capabilities(facts.ours, "CapEff") & CAP_SYS_PTRACE
    name = f"kernel.yama.ptrace_scope is {facts.scope}"
    if facts.scope == "1" and not privileged and not facts.descendant:
        return f"{name}, and lowrun did not start it; run lowrun as root, or set that to 0 with sysctl"
    if facts.scope == "2" and not privileged:
        return f"{name}; run lowrun as root, or set that to 1 or 0 with sysctl"
    if facts.scope == "3":
        return f"{name}, so nobody may trace; that can be changed only by booting anew"
    return None


def reason(facts: Facts) -> str:
    """Return why ptrace was refused with EPERM, and the remedy, as one line."""
    return (
        _never(facts)
        or _not_by_us(facts)
        or _scope(facts)
        or "the system forbids ptrace; in a container allow it with --cap-add SYS_PTRACE"
    )
