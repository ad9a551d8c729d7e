"""What /proc says, parsed. Pure: text in, values out (proc(5), cgroups(7))."""

from __future__ import annotations

from typing import NamedTuple

__all__ = [
    "ProcessStat",
    "backlogged",
    "dropped_by_interfaces",
    "effective_capabilities",
    "own_cgroup_v1",
    "own_cgroup_v2",
    "process_stat",
    "unescape",
]


#: Among a task's flags (include/linux/sched.h), which ps(1) and systemd look at, too.
PF_KTHREAD = 0x00200000


class ProcessStat(NamedTuple):
    """Some fields of /proc/PID/stat (proc_pid_stat(5))."""

    name: str
    #: One letter: Z is a zombie, X one that is being removed.
    state: str
    parent: int
    #: User and system time of the process and of the children that it has waited for; clock ticks.
    cpu_ticks: int
    threads: int
    #: When it was started, in clock ticks since boot: no other process of its pid has that.
    start: int
    resident_pages: int
    #: Raw wait status of a zombie; 0 where we may not know.
    exit_code: int
    #: A thread of the kernel.
    is_kernel_thread: bool

    @property
    def alive(self) -> bool:
        """False when it has ended; one whose first thread alone has ended is a zombie with threads, and lives."""
        return self.state not in "ZXx" or self.threads > 1


def process_stat(text: str) -> ProcessStat:
    """Return what the text of /proc/PID/stat says. The name in it may hold anything, blanks and brackets too."""
    before, _, after = text.rpartition(")")
    fields = after.split()
    cpu_ticks = sum(map(int, fields[11:15]))
    parent, threads, start, pages, code = (int(fields[place]) for place in (1, 17, 19, 21, 49))
    is_kernel_thread = bool(int(fields[6]) & PF_KTHREAD)
    return ProcessStat(
        before.partition("(")[2], fields[0], parent, cpu_ticks, threads, start, pages, code, is_kernel_thread
    )


def unescape(field: str) -> str:
    """Undo mountinfo's octal escapes (blank, tab, newline, backslash)."""
    for escaped, plain in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        field = field.replace(escaped, plain)
    return field


def effective_capabilities(status: str) -> int:
    """Return the bits of CapEff in the text of /proc/PID/status; 0 without that line (capabilities(7))."""
    line = next((line for line in status.splitlines() if line.startswith("CapEff:")), "CapEff: 0")
    return int(line.split()[1], 16)


#: A processor's line of /proc/net/softnet_stat: packets that wait in its queue, its number (net/core/net-procfs.c).
SOFTNET_BACKLOG, SOFTNET_CPU = 11, 12


def backlogged(softnet_stat: str) -> set[int]:
    """Return the processors that have packets to receive in their queue, by the text of /proc/net/softnet_stat."""
    lines = [line.split() for line in softnet_stat.splitlines()]
    return {
        int(fields[SOFTNET_CPU], 16)
        for fields in lines
        if len(fields) > SOFTNET_CPU and int(fields[SOFTNET_BACKLOG], 16) > 0
    }


def dropped_by_interfaces(net_dev: str) -> dict[str, int]:
    """Return how many incoming packets each interface had no room for, by the text of /proc/net/dev."""
    lines = [line.rpartition(":") for line in net_dev.splitlines() if ":" in line]
    return {name.strip(): int(figures.split()[3]) for name, _, figures in lines}


def own_cgroup_v2(cgroup: str, mountinfo: str) -> str | None:
    """Return the directory of the cgroup v2 a process is in, None without one.

    Takes the texts of /proc/PID/cgroup and /proc/PID/mountinfo. A hierarchy
    that is mounted from another root than the process's path is not usable.
    """
    inside = next((line[3:] for line in cgroup.splitlines() if line.startswith("0::")), None)
    return None if inside is None else _mounted_at(inside, mountinfo, "cgroup2", None)


def own_cgroup_v1(controller: str, cgroup: str, mountinfo: str) -> str | None:
    """Return the directory of the cgroup v1 a process is in, of the hierarchy that has `controller`, as above.

    Raises LookupError when no such hierarchy has it: then cgroup v2 may have it. None: it is not mounted where we are.
    """
    for line in cgroup.splitlines():
        _number, controllers, inside = line.split(":", 2)
        if controller in controllers.split(","):
            return _mounted_at(inside, mountinfo, "cgroup", controller)
    raise LookupError(controller)


def _mounted_at(inside: str, mountinfo: str, kind: str, option: str | None) -> str | None:
    """Return where the cgroup `inside` is mounted, in a file system of `kind` with `option` (None: any)."""
    for line in mountinfo.splitlines():
        left, _, right = line.partition(" - ")
        fields, about = left.split(" "), right.split(" ")
        if len(fields) < 5 or len(about) < 3 or about[0] != kind:
            continue
        if option is not None and option not in about[2].split(","):
            continue
        root, point = unescape(fields[3]), unescape(fields[4])
        if root == "/":
            return point.rstrip("/") + inside.rstrip("/") or "/"
        if inside == root or inside.startswith(root + "/"):
            return point.rstrip("/") + inside[len(root) :].rstrip("/")
    return None
