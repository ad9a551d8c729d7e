"""What descriptors are, as text; and which thread has which: the tables as clone(2) shares and copies them."""

from __future__ import annotations

import socket
import struct

import pytest

from lowrun.trace import naming
from lowrun.trace.descriptors import CLONE_FILES, CLONE_FS, Descriptors
from lowrun.trace.naming import name_text

HERE = -100


def inet(family: int, source: str, sport: int, target: str, dport: int) -> bytes:
    """Return a struct inet_diag_msg."""
    addresses = b"".join(socket.inet_pton(family, host).ljust(16, b"\0") for host in (source, target))
    return struct.pack(">BBBBHH", family, 1, 0, 0, sport, dport) + addresses + bytes(32)


def local(*attributes: tuple[int, bytes]) -> bytes:
    """Return a struct unix_diag_msg and its attributes."""
    parts = [struct.pack("<HH", 4 + len(data), kind) + data + bytes(-len(data) % 4) for kind, data in attributes]
    return struct.pack("<BBBBIII", socket.AF_UNIX, 1, 1, 0, 7, 0, 0) + b"".join(parts)


@pytest.mark.parametrize(
    ("kind", "text", "number", "expected"),
    [
        (naming.LINK, b"/etc/hosts", 0, "</etc/hosts>"),
        (naming.LINK, b"", 0, ""),
        (naming.LINK, b"/a \"b'\\<c>\n\x801", 0, r"""</a \"b'\\\74c\76\n\2001>"""),
        (naming.DELETED, b"/tmp/x", 0, "</tmp/x>(deleted)"),
        (naming.CHAR, b"/dev/null", 1 << 32 | 3, "</dev/null<char 1:3>>"),
        (naming.BLOCK, b"/dev/sda", 8 << 32, "</dev/sda<block 8:0>>"),
        (naming.PROCESS, b"", 42, "<pid:42>"),
        (naming.SOCKET, b"TCP\0", 7, "<TCP:[7]>"),
        (naming.SOCKET, b"TCP\0" + inet(2, "127.0.0.1", 80, "0.0.0.0", 0), 7, "<TCP:[127.0.0.1:80]>"),
        (naming.SOCKET, b"UDP\0" + inet(2, "0.0.0.0", 9, "127.0.0.1", 0), 7, "<UDP:[0.0.0.0:9->127.0.0.1:0]>"),
        (naming.SOCKET, b"TCPv6\0" + inet(10, "::1", 80, "::1", 81), 7, "<TCPv6:[[::1]:80->[::1]:81]>"),
        (naming.SOCKET, b"UNIX-STREAM\0" + local((2, b"\x08\0\0\0")), 7, "<UNIX-STREAM:[7->8]>"),
        (naming.SOCKET, b"UNIX\0" + local((0, b'/x"\0'), (2, b"\x08\0\0\0")), 7, '<UNIX:[7->8,"/x\\""]>'),
        (naming.SOCKET, b"UNIX\0" + local((0, b"\0name")), 7, '<UNIX:[7,@"name"]>'),
        (naming.SOCKET, b"NETLINK\0" + struct.pack("<BBBBI", 16, 3, 0, 0, 99), 7, "<NETLINK:[ROUTE:99]>"),
        (naming.SOCKET, b"NETLINK\0" + struct.pack("<BBBBI", 16, 3, 77, 0, 99), 7, "<NETLINK:[77]>"),
    ],
)
def test_names(kind: int, text: bytes, number: int, expected: str) -> None:
    """Each is what strace 6.1 -yy prints for such a descriptor."""
    assert name_text(kind, text, number) == expected


@pytest.mark.parametrize("family", [2, 10, 1, 16, 99])
def test_an_answer_that_is_cut_off_is_no_failure(family: int) -> None:
    """What was recorded of a socket may be anything."""
    for size in range(80):
        data = bytes([family]) + b"\x05" * size
        assert name_text(naming.SOCKET, b"TCP\0" + data, 7).startswith("<TCP:[")


def known() -> Descriptors:
    """Thread 7 has 3 and 4 open and is in /w."""
    table = Descriptors()
    for fd, text in ((3, b"/three"), (4, b"/four"), (HERE, b"/w")):
        table.record(7, 7, fd, naming.LINK, text, 0)
    return table


def test_fork_copies() -> None:
    """What a child closes or where it goes does not concern its parent."""
    table = known()
    table.fork(7, 7, 8, 0)
    table.entered("close", 8, 8, (3, 0, 0))
    table.record(8, 8, HERE, naming.LINK, b"/else", 0)
    assert table.of(8, 8) == {4: "</four>", HERE: "</else>"}
    assert table.of(7, 7) == {3: "</three>", 4: "</four>", HERE: "</w>"}


def test_threads_share() -> None:
    """What one closes is closed for all, and where one goes all go."""
    table = known()
    table.fork(7, 7, 8, CLONE_FILES | CLONE_FS)
    table.entered("close", 8, 7, (3, 0, 0))
    table.record(8, 7, HERE, naming.LINK, b"/else", 0)
    assert table.of(7, 7) == {4: "</four>", HERE: "</else>"}


def test_descriptors_and_directory_are_shared_apart() -> None:
    """CLONE_FILES alone: the descriptors are the same, the directories are not; CLONE_FS alone the other way."""
    table = known()
    table.fork(7, 7, 8, CLONE_FILES)
    table.fork(7, 7, 9, CLONE_FS)
    table.record(8, 8, HERE, naming.LINK, b"/else", 0)
    table.record(8, 8, 5, naming.LINK, b"/five", 0)
    assert table.of(7, 7)[5] == "</five>" and table.of(7, 7)[HERE] == "</w>"
    assert table.of(8, 8)[HERE] == "</else>"
    table.record(9, 9, HERE, naming.LINK, b"/third", 0)
    assert table.of(7, 7)[HERE] == "</third>" and 5 not in table.of(9, 9)


def test_unshare_and_exec_end_the_sharing() -> None:
    """From then on each has its own; after an exec by another thread the leader's number has that thread's."""
    table = known()
    table.fork(7, 7, 8, CLONE_FILES | CLONE_FS)
    table.fork(7, 7, 9, CLONE_FILES | CLONE_FS)
    table.left("unshare", 8, 7, (CLONE_FILES,))
    table.entered("close", 8, 7, (3, 0, 0))
    assert 3 in table.of(7, 7) and 3 not in table.of(8, 7)
    table.execute(8, 7, 7)
    assert 3 not in table.of(7, 7) and 3 in table.of(9, 7)


def test_close_range() -> None:
    """All between are closed; with CLOSE_RANGE_CLOEXEC none; with CLOSE_RANGE_UNSHARE for this thread alone."""
    table = known()
    table.fork(7, 7, 8, CLONE_FILES | CLONE_FS)
    table.entered("close_range", 7, 7, (3, 0xFFFFFFFF, 4))
    assert set(table.of(7, 7)) == {3, 4, HERE}
    table.entered("close_range", 8, 7, (4, 0xFFFFFFFF, 2))
    assert set(table.of(7, 7)) == {3, 4, HERE} and set(table.of(8, 7)) == {3, HERE}


def test_a_thread_that_was_attached_to_has_its_processs_table() -> None:
    """Nobody has seen it made: what its process has, it has."""
    table = known()
    assert table.of(8, 7) is table.of(7, 7)
    table.end(8)
    assert table.of(7, 7)[3] == "</three>"
