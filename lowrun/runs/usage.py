"""What a tree used, told exactly or not at all. Pure.

wait4(2) adds up every child that somebody waited for. A parent that ignores
SIGCHLD (or sets SA_NOCLDWAIT) has its children reaped by the kernel, and their
usage is added nowhere. Some witnesses see them: the tree's own cgroup
(cpu.stat), a perf counter that the whole tree inherits, and who sees every exit: the tracer's
stops, and the exit accounting (lowrun/core/exits.py; no CPU time). Where one of them counts more than wait4
did, wait4's sum is not the truth: the better witness is taken, or the figure is None and a fault says why.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple

from lowrun.core.events import TreeUsage
from lowrun.values import IoUsage, Usage

__all__ = ["NOTHING_USED", "account", "nothing_known"]

#: Of a command that could not be executed.
NOTHING_USED = Usage(0.0, 0.0, 0, 0, IoUsage(0, 0, 0, 0, 0, 0, 0))

#: wait4 and the other counters read the same clock at slightly different
#: moments of a process's end; more than this is a child that was hidden.
NOISE_US = 1000
NOISE_SHARE = 0.01
#: Above this, the pid space of a busy machine could have gone round once; seconds.
PID_ROUND_S = 1.0

UNCOUNTED = "wait4 does not count grandchildren"
UNFOLLOWED = "the tracer did not follow every process: one was made with CLONE_UNTRACED, or seizing failed"
HIDDEN = "a parent that ignores SIGCHLD hid children from wait4"
REMEDY = "trace the run (-ct), or record it as root, outside containers (-lt, -st, -nt), to count them"
UNCOUNTED_IO = "this kernel does not count it (CONFIG_TASK_IO_ACCOUNTING), or /proc is not mounted"


def account(
    tree: TreeUsage,
    pid: int,
    wall_s: float,
    witnesses: Sequence[Usage],
    *,
    wants_io: bool = False,
    user_share: float | None = None,
    refusal: str | None = None,
) -> tuple[Usage, list[str]]:
    """Return the usage of a tree and the faults: what is None, and why.

    `witnesses` are what a tracer and the exit accounting counted: each figure is exact or a
    lower bound that misses nothing but teardown, or None; so the largest is the truth. `pid` is the command's,
    `wall_s` how long it ran, `wants_io` says whether somebody asked for `io`, `user_share`
    is the part of the CPU time that was user mode: by it the inherited counter's sum is split. `refusal`: why there is
    no exit accounting, if somebody has tried.
    """
    faults: list[str] = []
    waited = tree.user_us + tree.sys_us
    counted = max(tree.tree_ns / 1000, sum(tree.group_us) if tree.group_us else 0)
    hidden = counted > waited * (1 + NOISE_SHARE) + NOISE_US

    remedy = REMEDY if refusal is None else f"exits could not be counted instead ({refusal}); {REMEDY}"
    unseen = f"{HIDDEN}; {remedy}"

    def miss(what: str, why: str) -> None:
        faults.append(f"usage: {what} not known: {why}")

    times = [(seen.user_s, seen.sys_s) for seen in witnesses if seen.user_s is not None and seen.sys_s is not None]
    if hidden and tree.group_us:
        times.append((tree.group_us[0] / 1e6, tree.group_us[1] / 1e6))
    elif hidden and user_share is not None:
        times.append((tree.tree_ns / 1e9 * user_share, tree.tree_ns / 1e9 * (1 - user_share)))
    user: float | None = None
    system: float | None = None
    if times or not hidden:
        user, system = max([(tree.user_us / 1e6, tree.sys_us / 1e6), *times], key=sum)
    else:
        miss("user_s and sys_s are", unseen)

    peaks = [seen.max_rss_kib for seen in witnesses if seen.max_rss_kib is not None]
    peak = max([tree.max_rss_kib, *peaks]) if peaks or not hidden else None
    if peak is None:
        miss("max_rss_kib is", unseen)

    numbers = [seen.processes for seen in witnesses if seen.processes is not None]
    if tree.last_pid == pid and wall_s < PID_ROUND_S:
        numbers.append(1)
    processes = max(numbers, default=None)
    if processes is None:
        miss("processes is", UNFOLLOWED if witnesses else f"{UNCOUNTED}; {remedy}")

    parts = [seen.io for seen in witnesses if seen.io is not None]
    if tree.io is not None and not (hidden and not parts):
        parts.append(tree.io)
    io = _largest(parts) if wants_io and parts else None
    if wants_io and io is None:
        miss("io is", unseen if hidden else UNCOUNTED_IO)
    return Usage(user, system, peak, processes, io), faults


def _largest(parts: Sequence[IoUsage]) -> IoUsage:
    """Return each figure as the one that counted most has it."""
    return IoUsage(*(max(column) for column in zip(*map(astuple, parts), strict=True)))


def nothing_known(why: str) -> tuple[Usage, list[str]]:
    """Return the usage of a tree that could not be seen to its end."""
    return Usage(None, None, None, None), [f"usage: not known: {why}"]
