"""What a tree used, told exactly or not at all. Pure.

wait4(2) adds up every child that somebody waited for. A parent that ignores
SIGCHLD (or sets SA_NOCLDWAIT) has its children reaped by the kernel, and their
usage is added nowhere. Three witnesses see them: the tree's own cgroup
(cpu.stat), a perf counter that the whole tree inherits, and the tracer's exit
stops. Where one of them counts more than wait4 did, wait4's sum is not the
truth: the better witness is taken, or the figure is None and a fault says why.
"""

from __future__ import annotations

from lowrun.core.keeper import TreeUsage
from lowrun.values import Usage

__all__ = ["account"]

#: wait4 and the other counters read the same clock at slightly different
#: moments of a process's end; more than this is a child that was hidden.
NOISE_US = 1000
NOISE_SHARE = 0.01
#: Above this, the pid space of a busy machine could have gone round once; seconds.
PID_ROUND_S = 1.0

UNCOUNTED = "wait4 does not count grandchildren; trace the run (-ct)"
UNFOLLOWED = "the tracer did not follow every process: one was made with CLONE_UNTRACED, or seizing failed"
HIDDEN = "a parent that ignores SIGCHLD hid children from wait4; trace the run (-ct) to count them"


def account(tree: TreeUsage, pid: int, wall_s: float, witness: Usage | None) -> tuple[Usage, list[str]]:
    """Return the usage of a tree and the faults: what is None, and why.

    `witness` is what a tracer counted, None without one.
    """
    faults: list[str] = []
    user_us, sys_us = float(tree.user_us), float(tree.sys_us)
    waited = user_us + sys_us
    counted = max(tree.tree_ns / 1000, sum(tree.group_us) if tree.group_us else 0)
    hidden = counted > waited * (1 + NOISE_SHARE) + NOISE_US
    alone = tree.last_pid == pid and wall_s < PID_ROUND_S

    user: float | None = user_us / 1e6
    system: float | None = sys_us / 1e6
    if witness is not None and witness.user_s is not None and witness.sys_s is not None:
        if witness.user_s + witness.sys_s > waited / 1e6:
            user, system = witness.user_s, witness.sys_s
    elif hidden and tree.group_us:
        user, system = tree.group_us[0] / 1e6, tree.group_us[1] / 1e6
    elif hidden:
        user = system = None
        faults.append(f"usage: user_s and sys_s are not known: {HIDDEN}")

    peak: int | None = tree.max_rss_kib
    if witness is not None and witness.max_rss_kib is not None:
        peak = max(tree.max_rss_kib, witness.max_rss_kib)
    elif hidden:
        peak = None
        faults.append(f"usage: max_rss_kib is not known: {HIDDEN}")

    processes = 1 if alone else None
    if witness is not None and witness.processes is not None:
        processes = witness.processes
    if processes is None:
        faults.append(f"usage: processes is not known: {UNCOUNTED if witness is None else UNFOLLOWED}")
    return Usage(user, system, peak, processes), faults


def nothing_known(why: str) -> tuple[Usage, list[str]]:
    """Return the usage of a tree that could not be seen to its end."""
    return Usage(None, None, None, None), [f"usage: not known: {why}"]
