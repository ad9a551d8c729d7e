"""Each reason that ptrace(2) has for EPERM becomes one line that names it and the remedy."""

from __future__ import annotations

import pytest

from lowrun.trace.denial import Facts, reason, status_lines

ROOT = {"Uid": "0 0 0 0", "CapEff": "1ffffffffff", "CapPrm": "1ffffffffff"}
USER = {"Pid": "7", "PPid": "1", "State": "S (sleeping)", "Uid": "7 7 7 7", "CapEff": "0", "CapPrm": "0"}
CONTAINED = {"Uid": "0 0 0 0", "CapEff": "ff", "CapPrm": "ff"}


@pytest.mark.parametrize(
    ("facts", "why", "remedy"),
    [
        (Facts({**USER, "Kthread": "1"}, ROOT), "a kernel thread", "only programs"),
        (Facts({**USER, "PPid": "2"}, ROOT), "a kernel thread", "only programs"),
        (Facts({**USER, "State": "Z (zombie)"}, ROOT), "has ended, and its parent (pid 1)", "a live one"),
        (Facts({**USER, "TracerPid": "9"}, ROOT, {"Name": "gdb"}), "gdb (pid 9) traces it already", "end that"),
        (Facts({**USER, "TracerPid": "9"}, ROOT), "a process (pid 9) traces it already", "end that"),
        (Facts(USER, USER, same_namespace=False), "another user namespace", "as root, or in there"),
        (Facts({**USER, "Uid": "8 8 8 8"}, USER), "belongs to another user", "as root"),
        (Facts({**USER, "Uid": "7 0 0 0"}, USER), "changed its user", "as root"),
        (Facts({**USER, "CapPrm": "2000"}, USER), "capabilities that lowrun lacks", "as root"),
        (Facts({**ROOT, "Pid": "7"}, CONTAINED), "capabilities that lowrun lacks", "--cap-add SYS_PTRACE"),
        (Facts(USER, USER, dumpable=False), "protects its memory", "as root"),
        (Facts(USER, USER, same_namespace=None), "another user namespace, or a security module", "as root"),
        (Facts(USER, USER, scope="1"), "ptrace_scope is 1, and lowrun did not start it", "set that to 0"),
        (Facts(USER, USER, scope="2", descendant=True), "ptrace_scope is 2", "set that to 1 or 0"),
        (Facts(USER, ROOT, scope="3"), "ptrace_scope is 3, so nobody may", "booting anew"),
        (Facts(USER, USER, scope="1", descendant=True), "the system forbids ptrace", "--cap-add SYS_PTRACE"),
        (Facts(USER, ROOT, scope="2"), "the system forbids ptrace", "--cap-add SYS_PTRACE"),
    ],
)
def test_the_reason_and_the_remedy(facts: Facts, why: str, remedy: str) -> None:
    """One line: what forbids it, then what to do."""
    text = reason(facts)
    assert why in text
    assert remedy in text[text.index(why) :]
    assert "\n" not in text


def test_status_lines() -> None:
    """Keys and values as /proc/PID/status has them."""
    assert status_lines("Name:\tls\nUid:\t0\t1\t2\t3\n") == {"Name": "ls", "Uid": "0\t1\t2\t3"}
