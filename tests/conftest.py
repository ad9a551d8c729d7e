"""A test leaves nothing behind: no descriptor, no child process, no keeper, no thread, no artifact."""

from __future__ import annotations

import gc
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

PROC = Path("/proc/self")
KEEPER = "lowrun-keeper"


def pytest_configure(config: pytest.Config) -> None:
    """Give each worker of pytest-xdist a process group of its own.

    A group that loses its last tie to the session while a member is stopped gets SIGHUP (setpgid(2), _exit(2)): what
    the tests of one file do to processes is not to reach those of another.
    """
    if hasattr(config, "workerinput"):
        os.setpgid(0, 0)


def descriptors() -> dict[int, str]:
    """Descriptor -> what it is, of this process; the one that lists them is left out."""
    found = {}
    for name in os.listdir(PROC / "fd"):
        try:
            found[int(name)] = os.readlink(PROC / "fd" / name)
        except FileNotFoundError:
            continue
    return found


def children() -> dict[int, str]:
    """Pid -> name of the children of this process, zombies and keepers too."""
    found = {}
    for task in os.listdir(PROC / "task"):
        try:
            pids = (PROC / "task" / task / "children").read_text().split()
        except FileNotFoundError:
            continue
        for pid in pids:
            try:
                found[int(pid)] = Path(f"/proc/{pid}/comm").read_text().strip()
            except (FileNotFoundError, ProcessLookupError):
                continue
    return found


def threads() -> dict[int, str]:
    """Thread's id -> its name, of all threads of this process: Python's and others."""
    names = {thread.native_id: thread.name for thread in threading.enumerate()}
    return {int(task): names.get(int(task), "not Python's") for task in os.listdir(PROC / "task")}


def kept() -> dict[int, str]:
    """Inode -> name of what is kept in the working directory; tests keep things in their own."""
    return {os.lstat(name).st_ino: name for name in os.listdir() if name.startswith("lowrun-")}


def added(before: dict[int, str], after: dict[int, str]) -> dict[int, str]:
    return {key: name for key, name in after.items() if before.get(key) != name}


@pytest.fixture(scope="session", autouse=True)
def everybody_reaches_the_checkout() -> Iterator[None]:
    """Tests that drop to another user run lowrun from here: open the way, as in a mktemp -d, and close it again."""
    closed = {
        directory: directory.stat().st_mode
        for directory in Path(__file__).parents
        if os.geteuid() == 0 and not directory.stat().st_mode & 0o001
    }
    for directory, mode in closed.items():
        directory.chmod(mode | 0o001)
    yield
    for directory, mode in closed.items():
        directory.chmod(mode)


@pytest.fixture(scope="session", autouse=True)
def signals_of_the_keyboard_arrive() -> None:
    """A shell's background job ignores them, and so would all that the tests start (sh: Asynchronous Lists)."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if signal.getsignal(signal.SIGQUIT) is signal.SIG_IGN:
        signal.signal(signal.SIGQUIT, signal.SIG_DFL)


@pytest.fixture(autouse=True)
def leaves_nothing_behind() -> Iterator[None]:
    """Compare what this process has before and after the test.

    Requested first of all, so what other fixtures own is closed by then. A
    collection of garbage tells what is only not yet closed from what leaks;
    it is made only when something was found.
    """
    looks = descriptors, children, threads, kept
    before = [look() for look in looks]
    yield
    if any(added(was, look()) for was, look in zip(before, looks, strict=True)):
        gc.collect()
    for was, look in zip(before, looks, strict=True):
        rest = added(was, look())
        assert not rest, f"left behind: {look.__name__} {rest}"
