"""Socket addresses, iovecs, control messages and netlink messages as strace 6.1 writes them."""

from __future__ import annotations

import re
import socket
import struct
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lowrun.trace.messages import content_of, iovecs_text, mmsghdrs_text, msghdr_text
from lowrun.trace.names_netlink import ENUMS, FLAGS
from lowrun.trace.quoting import quoted
from lowrun.trace.sockets import sockaddr_text

HEADERS = (
    "linux/types.h sys/socket.h linux/if.h linux/if_arp.h linux/in.h linux/in6.h linux/ip.h linux/ipv6.h"
    " linux/netlink.h linux/rtnetlink.h linux/if_link.h linux/if_addr.h linux/neighbour.h linux/snmp.h"
    " linux/sock_diag.h linux/inet_diag.h linux/unix_diag.h linux/tcp.h linux/if_ether.h linux/if_packet.h"
).split()
#: In the kernel, but not in its headers for programs, or not under this name.
ELSEWHERE = re.compile(
    r"TCP_(?:ESTABLISHED|SYN_|FIN_|TIME|CLOS|LAST|LISTEN|NEW)|(?:RCV|SEND)_SHUTDOWN|PACKET_KERNEL|IF_R"
)


def part(data: bytes, cut: bool = False) -> bytes:
    return struct.pack("<II", len(data), cut) + data + bytes(-len(data) % 8)


def iovec(*contents: tuple[int, int, bytes, bool]) -> bytes:
    """Return an IOVEC chunk of (base, size, what was copied, whether there was more)."""
    raw = b"".join(struct.pack("<QQ", base, size) for base, size, _, _ in contents)
    return struct.pack("<Q", len(contents)) + raw + b"".join(part(data, cut) for _, _, data, cut in contents)


def header(iov: bytes, count: int, name: bytes = b"", control: bytes = b"", flags: int = 0) -> bytes:
    """Return a MSGHDR chunk."""
    raw = struct.pack(
        "<QI4xQQQQi4x", 16 if name else 0, len(name), 32, count, 48 if control else 0, len(control), flags
    )
    return raw + part(name) + part(control) + iov


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"\1\0/run/x\0", '{sa_family=AF_UNIX, sun_path="/run/x"}'),
        (b"\1\0\0x\0y", '{sa_family=AF_UNIX, sun_path=@"x\\0y"}'),
        (b"\1\0", "{sa_family=AF_UNIX}"),
        (b"\1", None),
        (struct.pack("<H", 2) + struct.pack(">H4B8x", 80, 127, 0, 0, 1),
         '{sa_family=AF_INET, sin_port=htons(80), sin_addr=inet_addr("127.0.0.1")}'),
        (struct.pack("<H", 2) + struct.pack(">H4B", 80, 127, 0, 0, 1),
         '{sa_family=AF_INET, sa_data="\\0P\\177\\0\\0\\1"}'),
        (struct.pack("<H", 10) + struct.pack(">HI15xBI", 443, 5, 1, 0),
         '{sa_family=AF_INET6, sin6_port=htons(443), sin6_flowinfo=htonl(5), inet_pton(AF_INET6, "::1", &sin6_addr),'
         " sin6_scope_id=0}"),
        (struct.pack("<HHII", 16, 0, 7, 1), "{sa_family=AF_NETLINK, nl_pid=7, nl_groups=0x000001}"),
        (struct.pack("<HHII", 16, 0, 0, 0), "{sa_family=AF_NETLINK, nl_pid=0, nl_groups=00000000}"),
        (struct.pack("<H", 17) + struct.pack(">H", 3) + struct.pack("<IHBB8x", 0, 1, 0, 2),
         "{sa_family=AF_PACKET, sll_protocol=htons(ETH_P_ALL), sll_ifindex=0, sll_hatype=ARPHRD_ETHER,"
         " sll_pkttype=PACKET_HOST, sll_halen=2, sll_addr=[00, 00]}"),
    ],
)  # fmt: skip
def test_a_socket_address(data: bytes, text: str | None) -> None:
    """Each family has its own fields; one that is too short for them is bytes, or nothing."""
    assert sockaddr_text(data) == text


def test_iovecs_are_all_printed_and_a_bad_one_is_an_address() -> None:
    """What could not be read is an address, what is empty is empty, NULL is NULL."""
    data = iovec((16, 2, b"ab", False), (0x1000, 2, b"", True), (16, 0, b"", False), (0, 0, b"", False))
    assert iovecs_text(data, 4, 0) == (
        '[{iov_base="ab", iov_len=2}, {iov_base=0x1000, iov_len=2}, {iov_base="", iov_len=0},'
        " {iov_base=NULL, iov_len=0}]"
    )
    many = iovec(*((16, 2, b"ab", False),) * 40)
    assert iovecs_text(many, 40, 0).count('iov_base="ab"') == 40


def test_iovecs_that_are_not_there() -> None:
    """Beyond the limit `...` stands; where memory ends, with the address."""
    data = iovec((16, 1, b"q", False))
    assert iovecs_text(data, 3, 0x5000) == '[{iov_base="q", iov_len=1}, ... /* 0x5010 */]'
    assert iovecs_text(data, 3, 0x5000, cut=True) == '[{iov_base="q", iov_len=1}, ...]'
    assert iovecs_text(struct.pack("<Q", 0), 0, 0x5000) == "[]"


ONE = iovec((16, 2, b"ab", False))
BEGIN = '{msg_name=NULL, msg_namelen=0, msg_iov=[{iov_base="ab", iov_len=2}], msg_iovlen=1, '


@pytest.mark.parametrize(
    ("level", "kind", "body", "text"),
    [
        (1, 1, struct.pack("<2i", 0, 3), "SOL_SOCKET, cmsg_type=SCM_RIGHTS, cmsg_data=[0</dev/null>, 3]"),
        (1, 2, struct.pack("<3i", 7, 0, 1), "SOL_SOCKET, cmsg_type=SCM_CREDENTIALS, cmsg_data={pid=7, uid=0, gid=1}"),
        (1, 2, b"1234", "SOL_SOCKET, cmsg_type=SCM_CREDENTIALS"),
        (1, 77, bytes(12), "SOL_SOCKET, cmsg_type=0x4d /* SCM_??? */"),
        (1, 29, struct.pack("<2q", 5, 6),
         "SOL_SOCKET, cmsg_type=SO_TIMESTAMP_OLD, cmsg_data={tv_sec=5, tv_usec=6}"),
        (0, 8, struct.pack("<I8B", 0, 127, 0, 0, 1, 127, 0, 0, 2),
         'SOL_IP, cmsg_type=IP_PKTINFO, cmsg_data={ipi_ifindex=0, ipi_spec_dst=inet_addr("127.0.0.1"),'
         ' ipi_addr=inet_addr("127.0.0.2")}'),
        (0, 2, struct.pack("<I", 64), "SOL_IP, cmsg_type=IP_TTL, cmsg_data=[64]"),
        (0, 1, b"\x10", "SOL_IP, cmsg_type=IP_TOS, cmsg_data=[0x10]"),
        (41, 50, b"1234", "SOL_IPV6, cmsg_type=0x32"),
    ],
)  # fmt: skip
def test_control_messages(level: int, kind: int, body: bytes, text: str) -> None:
    """Those of sockets and of ip(7) are decoded, of others the type is told."""
    control = struct.pack("<Qii", 16 + len(body), level, kind) + body
    control += bytes(-len(control) % 8)
    assert msghdr_text(header(ONE, 1, control=control), {0: "</dev/null>"}, 4) == (
        f"{BEGIN}msg_control=[{{cmsg_len={16 + len(body)}, cmsg_level={text}}}], "
        f"msg_controllen={len(control)}, msg_flags=0}}"
    )


def test_control_messages_that_make_no_sense() -> None:
    """One shorter than its header ends them, with its address; one longer than there is ends where they do."""
    short = struct.pack("<Qii", 5, 0, 8) + bytes(16)
    text = msghdr_text(header(ONE, 1, control=short), {}, 4)
    assert text is not None
    assert "msg_control=[{cmsg_len=5, cmsg_level=SOL_IP, cmsg_type=IP_PKTINFO}, ... /* 0x40 */]" in text
    text = msghdr_text(header(ONE, 1, control=b"1234567"), {}, 4)
    assert text is not None and "msg_control=0x30, msg_controllen=7" in text


def test_a_message_header() -> None:
    """The name's length is told before and after where it has changed; no iovecs are an address."""
    assert msghdr_text(header(ONE, 1), {}, 4, room=110) == (
        '{msg_name=NULL, msg_namelen=110 => 0, msg_iov=[{iov_base="ab", iov_len=2}], msg_iovlen=1,'
        " msg_controllen=0, msg_flags=0}"
    )
    assert "msg_iov=0x20, msg_iovlen=3" in (msghdr_text(header(b"", 3), {}, 4) or "")
    assert msghdr_text(b"short", {}, 4) is None


def test_several_messages() -> None:
    """Each header of sendmmsg and recvmmsg with how much was sent."""
    one = header(ONE, 1)
    data = struct.pack("<II", len(one), 2) + one
    text = f"{{msg_hdr={BEGIN}msg_controllen=0, msg_flags=0}}, msg_len=2}}"
    assert mmsghdrs_text(data * 2, {}, 4, [], False) == f"[{text}, {text}]"
    assert mmsghdrs_text(data, {}, 4, [], True) == f"[{text}, ...]"
    assert mmsghdrs_text(b"", {}, 4, [], False) == "[]"


# -- netlink


def attribute(kind: int, body: bytes) -> bytes:
    return struct.pack("<HH", 4 + len(body), kind) + body + bytes(-len(body) % 4)


def message(kind: int, flags: int, body: bytes) -> bytes:
    return struct.pack("<IHHII", 16 + len(body), kind, flags, 9, 0) + body


ROUTE, DIAG = content_of("<NETLINK:[ROUTE:5]>"), content_of("<NETLINK:[SOCK_DIAG:5]>")
HEAD = "nlmsg_seq=9, nlmsg_pid=0}"


def test_a_request_for_addresses() -> None:
    """What every getaddrinfo(3) asks: a header, and of the struct the family alone."""
    assert ROUTE(message(22, 0x301, b"\0" * 4), False) == (
        f"[{{nlmsg_len=20, nlmsg_type=RTM_GETADDR, nlmsg_flags=NLM_F_REQUEST|NLM_F_DUMP, {HEAD},"
        " {ifa_family=AF_UNSPEC, ...}]"
    )


def test_an_address() -> None:
    """Attributes stand in brackets, each with its data, all of them once more."""
    body = struct.pack("<BBBBI", 2, 8, 0x80, 254, 0)
    body += attribute(1, b"\x7f\0\0\1") + attribute(3, b"lo\0") + attribute(6, struct.pack("<4I", 1, 2, 3, 4))
    assert ROUTE(message(20, 2, body), False) == (
        f"[{{nlmsg_len={16 + len(body)}, nlmsg_type=RTM_NEWADDR, nlmsg_flags=NLM_F_MULTI, {HEAD}, "
        "{ifa_family=AF_INET, ifa_prefixlen=8, ifa_flags=IFA_F_PERMANENT, ifa_scope=RT_SCOPE_HOST, ifa_index=0}, "
        '[[{nla_len=8, nla_type=IFA_ADDRESS}, inet_addr("127.0.0.1")], [{nla_len=7, nla_type=IFA_LABEL}, "lo"], '
        "[{nla_len=20, nla_type=IFA_CACHEINFO}, {ifa_prefered=1, ifa_valid=2, cstamp=3, tstamp=4}]]]"
    )


def test_several_netlink_messages() -> None:
    """They stand in brackets; a header that has no length is the last one."""
    done = message(3, 2, b"\0" * 4)
    text = f"[{{nlmsg_len=20, nlmsg_type=NLMSG_DONE, nlmsg_flags=NLM_F_MULTI, {HEAD}, 0]"
    assert ROUTE(done, False) == text
    assert ROUTE(done + done, False) == f"[{text}, {text}]"
    none = "{nlmsg_len=0, nlmsg_type=0 /* NLMSG_??? */, nlmsg_flags=0, nlmsg_seq=0, nlmsg_pid=0}"
    assert ROUTE(done + bytes(32), False) == f"[{text}, {none}]"


def test_a_netlink_error() -> None:
    """The error by its name, and the message that it is about."""
    asked = message(18, 1, b"")
    assert ROUTE(message(2, 0x100, struct.pack("<i", -1) + asked), False) == (
        f"[{{nlmsg_len=36, nlmsg_type=NLMSG_ERROR, nlmsg_flags=NLM_F_CAPPED, {HEAD}, {{error=-EPERM, "
        f"msg={{nlmsg_len=16, nlmsg_type=RTM_GETLINK, nlmsg_flags=NLM_F_REQUEST, {HEAD}}}]"
    )


def test_a_question_about_sockets() -> None:
    """sock_diag(7) of unix sockets."""
    body = struct.pack("<BBHIIIII", 1, 0, 0, 1 << 10, 0, 5, 0xFFFFFFFF, 0xFFFFFFFF)
    assert DIAG(message(20, 0x301, body), False) == (
        f"[{{nlmsg_len=40, nlmsg_type=SOCK_DIAG_BY_FAMILY, nlmsg_flags=NLM_F_REQUEST|NLM_F_DUMP, {HEAD}, "
        "{sdiag_family=AF_UNIX, sdiag_protocol=0, udiag_states=1<<TCP_LISTEN, udiag_ino=0,"
        " udiag_show=UDIAG_SHOW_NAME|UDIAG_SHOW_PEER, udiag_cookie=[4294967295, 4294967295]}]"
    )


def test_what_is_no_netlink_socket_is_quoted() -> None:
    """A message is decoded by the descriptor it is sent over."""
    assert content_of("<UNIX-STREAM:[1->2]>") is quoted
    unknown = content_of("<NETLINK:[KOBJECT_UEVENT:5]>")
    assert unknown(b"short", False) == '"\\x73\\x68\\x6f\\x72\\x74"'


netlink = st.builds(
    lambda size, kind, flags, body: struct.pack("<IHHII", size, kind, flags, 0, 0) + body,
    st.integers(0, 200), st.integers(0, 120), st.integers(0, 0x1000), st.binary(max_size=160),
)  # fmt: skip


@given(st.lists(netlink, max_size=3).map(b"".join) | st.binary(max_size=100))
def test_no_bytes_are_too_wrong(data: bytes) -> None:
    """Whatever a program sends is text of some kind."""
    for text in (ROUTE, DIAG):
        assert text(data, False)
    assert sockaddr_text(data) is None or len(data) >= 2
    msghdr_text(data, {}, 4)


def test_the_numbers_are_the_kernels(tmp_path: Path) -> None:
    """Each constant has the value that the compiler finds in the headers; some names only the kernel itself has."""
    words = " ".join(row.split(": ")[1] for row in (*ENUMS.values(), *FLAGS.values()))
    rows = [word.rpartition("=") for word in words.split()]
    wanted = {name: int(value, 0) for name, _, value in rows if not ELSEWHERE.search(name)}
    source = "".join(f"#include <{name}>\n" for name in HEADERS) + "#include <stdio.h>\nint main(void) {\n"
    for name in wanted:
        guarded = re.fullmatch(r"[A-Z0-9_]+", name)
        source += f'printf("%lld %s\\n", (long long) ({name}), "{name}");\n' if guarded else ""
    program = tmp_path / "numbers"
    (tmp_path / "numbers.c").write_text(source + "}\n")
    built = subprocess.run(["cc", "-o", program, tmp_path / "numbers.c"], capture_output=True, text=True)
    assert built.returncode == 0, built.stderr[-2000:]
    found = subprocess.run([program], capture_output=True, text=True, check=True).stdout
    for line in found.splitlines():
        value, _, name = line.partition(" ")
        assert wanted[name] == int(value), name
    assert len(found.splitlines()) > 400
    assert socket.AF_INET == 2
