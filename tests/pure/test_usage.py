"""Usage is told exactly or not at all."""

from __future__ import annotations

from dataclasses import replace

from lowrun.core.events import TreeUsage
from lowrun.runs.usage import account
from lowrun.values import IoUsage, Usage

PLAIN = TreeUsage(user_us=600_000, sys_us=400_000, max_rss_kib=2000, reaped=1, tree_ns=0, group_us=None, last_pid=0)


def test_wait4_is_believed_when_nobody_disagrees() -> None:
    """Without another witness wait4's sums are the figures; only the number of processes is unknown."""
    usage, faults = account(PLAIN, 7, 1.0, [])
    assert usage == Usage(0.6, 0.4, 2000, None)
    assert [fault.split(" ")[1] for fault in faults] == ["processes"]


def test_hidden_children_make_figures_unknown() -> None:
    """The inherited counter saw twice what wait4 saw: the figures are None and say why."""
    usage, faults = account(replace(PLAIN, tree_ns=2_000_000_000), 7, 1.0, [])
    assert usage == Usage(None, None, None, None)
    assert any("SIGCHLD" in fault for fault in faults)


def test_a_cgroup_counts_hidden_children() -> None:
    """With a cgroup of its own the tree's CPU is exact; the largest process stays unknown."""
    usage, faults = account(replace(PLAIN, group_us=(1_500_000, 500_000)), 7, 1.0, [])
    assert (usage.user_s, usage.sys_s, usage.max_rss_kib) == (1.5, 0.5, None)
    assert not any("user_s" in fault for fault in faults)


def test_the_tracer_counts_hidden_children() -> None:
    """The tracer's exit stops see every process: nothing is unknown."""
    usage, faults = account(replace(PLAIN, tree_ns=2_000_000_000), 7, 1.0, [Usage(1.5, 0.5, 9000, 501)])
    assert usage == Usage(1.5, 0.5, 9000, 501)
    assert faults == []


def test_both_lower_bounds_are_respected() -> None:
    """The tracer's sum misses teardown; where wait4 has more, wait4 is right."""
    usage, _ = account(PLAIN, 7, 1.0, [Usage(0.5, 0.4, 1500, 3)])
    assert usage == Usage(0.6, 0.4, 2000, 3)


def test_noise_is_no_hidden_child() -> None:
    """Two counters that differ by less than a percent tell of no hidden child."""
    usage, _ = account(replace(PLAIN, tree_ns=1_008_000_000), 7, 1.0, [])
    assert usage.user_s == 0.6


def test_a_command_that_was_alone_is_counted() -> None:
    """No pid was given out after the command's own: the tree had one process."""
    usage, faults = account(replace(PLAIN, last_pid=7), 7, 0.5, [])
    assert usage.processes == 1
    assert faults == []


LITTLE = IoUsage(10, 20, 1, 2, 4096, 0, 0)
MUCH = IoUsage(1000, 2000, 10, 20, 0, 8192, 0)


def test_io_is_told_when_asked_for() -> None:
    """What wait4 brought in is the figure; nobody who asks: None, and no fault about it."""
    assert account(replace(PLAIN, io=LITTLE), 7, 1.0, [], wants_io=True)[0].io == LITTLE
    usage, faults = account(replace(PLAIN, io=LITTLE), 7, 1.0, [])
    assert usage.io is None
    assert not any("io is" in fault for fault in faults)


def test_io_of_hidden_children() -> None:
    """Hidden children make wait4's io unknown; who sees exits has more, figure by figure."""
    hidden = replace(PLAIN, tree_ns=2_000_000_000, io=LITTLE)
    usage, faults = account(hidden, 7, 1.0, [], wants_io=True)
    assert usage.io is None
    assert any("io is not known" in fault and "SIGCHLD" in fault for fault in faults)
    usage, _ = account(hidden, 7, 1.0, [Usage(None, None, 9000, 501, MUCH)], wants_io=True)
    assert usage.io == replace(MUCH, storage_read_bytes=4096)


def test_io_that_the_kernel_does_not_count() -> None:
    """Asked for and not to be had: None and the reason."""
    usage, faults = account(PLAIN, 7, 1.0, [], wants_io=True)
    assert usage.io is None
    assert any("CONFIG_TASK_IO_ACCOUNTING" in fault for fault in faults)


def test_the_inherited_counter_is_split() -> None:
    """Exit accounting knows how CPU time divides, not how much there was: the counter's sum is split by it."""
    usage, faults = account(replace(PLAIN, tree_ns=2_000_000_000), 7, 1.0, [], user_share=0.75)
    assert (usage.user_s, usage.sys_s) == (1.5, 0.5)
    assert not any("user_s" in fault for fault in faults)


def test_witnesses_are_merged() -> None:
    """Each figure is taken from the witness that knows it."""
    tracer, exits = Usage(1.5, 0.5, None, None), Usage(None, None, 9000, 501, MUCH)
    usage, faults = account(replace(PLAIN, tree_ns=2_000_000_000), 7, 1.0, [tracer, exits], wants_io=True)
    assert usage == Usage(1.5, 0.5, 9000, 501, MUCH)
    assert faults == []
