"""Who a run talked to, out of calls and out of captures, and what DNS said."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lowrun.kept.capturefile import peers_of
from lowrun.kept.dns import message
from lowrun.kept.hosts import Host, Peers, unescaped
from lowrun.packets.pcapng import interface_block, section_block
from lowrun.showing.screen import host_line
from lowrun.trace.quoting import quoted
from tests.readings import call, unfinished

QUERY = struct.pack("!6H", 7, 0x0100, 1, 0, 0, 0) + b"\7nowhere\7example\0" + struct.pack("!2H", 1, 1)
NXDOMAIN = struct.pack("!6H", 7, 0x8183, 1, 0, 0, 0) + QUERY[12:]
ANSWER = (
    struct.pack("!6H", 7, 0x8180, 1, 2, 0, 0) + QUERY[12:]
    + b"\xc0\x0c" + struct.pack("!2HIH", 5, 1, 60, 6) + b"\3web\xc0\x14"
    + b"\xc0\x2d" + struct.pack("!2HIH", 1, 1, 60, 4) + bytes((192, 0, 2, 7))
)  # fmt: skip
TCP = "TCP:[10.0.0.1:40000->10.0.0.2:80]"
DNS = "UDP:[10.0.0.1:40001->10.0.0.53:53]"


def peers(*events: object) -> Peers:
    found = Peers()
    for event in events:
        found.add(event)  # type: ignore[arg-type]
    return found


def test_messages() -> None:
    """A question, an answer through a pointer and a CNAME, a refusal."""
    question, answer, refusal = message(QUERY), message(ANSWER), message(NXDOMAIN)
    assert question is not None and (question.name, question.rcode) == ("nowhere.example", None)
    assert answer is not None and answer.addresses == ("192.0.2.7",)
    assert refusal is not None and refusal.rcode == 3


@given(st.binary(max_size=80) | st.binary(max_size=60).map(lambda tail: QUERY[:12] + tail))
def test_no_bytes_break_the_reader(data: bytes) -> None:
    """Loops of pointers, labels that are too long, messages that are cut off."""
    found = message(data)
    assert found is None or len(found.name) <= 4 * 255


@given(st.binary(max_size=200))
def test_strings_of_a_log_are_their_bytes(data: bytes) -> None:
    """What strace escapes is the bytes again."""
    assert unescaped(quoted(data)[1:-1]) == data


def test_calls_are_added_up() -> None:
    """By address and port; an error counts, what was asked of the kernel for a datagram's way does not."""
    found = peers(
        call(1, "connect", arguments='3<TCP:[9]>, {sa_family=AF_INET, sin_port=htons(80), '
             'sin_addr=inet_addr("10.0.0.2")}, 16', target="TCP:[9]"),
        call(2, "sendto", 100, target=TCP), call(3, "recvmsg", 2000, target=TCP), call(4, "read", 0, target=TCP),
        call(5, "connect", error="ECONNREFUSED", target="TCPv6:[8]", arguments="4<TCPv6:[8]>, {sa_family=AF_INET6, "
             'sin6_port=htons(81), sin6_flowinfo=htonl(0), inet_pton(AF_INET6, "::1", &sin6_addr)}, 28'),
        call(6, "connect", arguments='5<UDP:[7]>, {sa_family=AF_INET, sin_port=htons(443), '
             'sin_addr=inet_addr("10.9.9.9")}, 16', target="UDP:[7]"),
        call(7, "read", 50, target="/etc/hosts"),
    )  # fmt: skip
    assert [(host.protocol, host.address, host.port) for host in found.hosts] == [
        ("TCP", "::1", 81),
        ("TCP", "10.0.0.2", 80),
    ]
    assert (found.hosts[1].sent, found.hosts[1].received, found.hosts[1].connections) == (100, 2000, 1)
    assert found.hosts[0].errors == {"ECONNREFUSED": 1}


def test_a_connection_that_never_came_to_be() -> None:
    """A connect that did not return has no answer."""
    where = '3<TCP:[9]>, {sa_family=AF_INET, sin_port=htons(80), sin_addr=inet_addr("10.0.0.2")}, 16'
    found = peers(unfinished(1, "connect", arguments=where, target="TCP:[9]"))
    assert found.hosts[0].errors == {"no answer": 1}


@pytest.mark.parametrize(
    ("answers", "expected"),
    [((), ("", ())), ((NXDOMAIN,), ("NXDOMAIN", ())), ((NXDOMAIN, ANSWER), ("NOERROR", ("192.0.2.7",)))],
)
def test_names_out_of_calls(answers: tuple[bytes, ...], expected: tuple[str, tuple[str, ...]]) -> None:
    """Questions and answers are read out of the strings of sendto and recvfrom, escapes and all."""
    events = [call(1, "sendto", len(QUERY), target=DNS, arguments=f"4<{DNS}>, {quoted(QUERY)}, 33, 0, NULL, 0")]
    events += [call(2, "recvfrom", len(a), target=DNS, arguments=f"4<{DNS}>, {quoted(a)}, 1024, 0") for a in answers]
    found = peers(*events, call(3, "write", 9, target="TCP:[10.0.0.1:5->192.0.2.7:80]"))
    [lookup] = found.lookups
    assert (lookup.name, lookup.asked) == ("nowhere.example", 1)
    assert (lookup.answer, lookup.addresses) == expected
    web = next(host for host in found.hosts if host.port == 80)
    assert web.names == (("nowhere.example",) if expected[1] else ())


def frame(source: str, target: str, body: bytes, *, link: bytes = b"\2" * 12 + b"\x08\0", kind: int = 6) -> bytes:
    ends = b"".join(bytes(map(int, address.split("."))) for address in (source, target))
    return link + struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(body), 0, 0, 64, kind, 0) + ends + body


def tcp(here: int, there: int, flags: int, data: bytes = b"") -> bytes:
    return struct.pack("!HHIIBBHHH", here, there, 0, 0, 5 << 4, flags, 0, 0, 0) + data


def udp(here: int, there: int, data: bytes) -> bytes:
    return struct.pack("!HHHH", here, there, 8 + len(data), 0) + data


def capture(path: Path, *frames: bytes, linktype: int = 1) -> Path:
    """A capture as the recorder writes it."""
    blocks = [section_block(hardware="", os="", application="", comment="")]
    blocks.append(interface_block(linktype=linktype, snaplen=0, name="lo", mac=b"", filter_text="", os=""))
    for data in frames:
        padded = data + b"\0" * (-len(data) % 4)
        size = 32 + len(padded)
        head = struct.pack("=IIIIIII", 6, size, 0, 0, 0, len(data), len(data))
        blocks.append(head + padded + struct.pack("=I", size))
    path.write_bytes(b"".join(blocks))
    return path


def test_packets_are_added_up(tmp_path: Path) -> None:
    """The host is who was spoken to first; a reset and a connection without an answer are told, and names."""
    a, b, c = "10.0.0.1", "10.0.0.2", "10.0.0.3"
    path = capture(
        tmp_path / "net.pcapng",
        frame(a, b, tcp(40000, 80, 2)), frame(b, a, tcp(80, 40000, 0x12)), frame(a, b, tcp(40000, 80, 16, b"GET")),
        frame(b, a, tcp(80, 40000, 16, b"x" * 500)), frame(a, c, tcp(40001, 81, 2)), frame(a, c, tcp(40001, 81, 2)),
        frame(a, b, tcp(40002, 82, 2)), frame(b, a, tcp(82, 40002, 0x14)),
        frame(a, b, udp(40003, 53, QUERY), kind=17), frame(b, a, udp(53, 40003, ANSWER), kind=17),
        b"\2" * 12 + b"\x08\x06" + b"arp", b"\1",
    )  # fmt: skip
    found, cut = peers_of(path)
    assert not cut
    seen = {(host.address, host.port): (host.sent, host.received, host.errors) for host in found.hosts}
    assert seen == {
        (b, 80): (3, 500, {}),
        (c, 81): (0, 0, {"no answer": 1}),
        (b, 82): (0, 0, {"reset": 1}),
        (b, 53): (len(QUERY), len(ANSWER), {}),
    }
    assert found.lookups[0].addresses == ("192.0.2.7",)


def test_links(tmp_path: Path) -> None:
    """IP without a link's header, IPv6 behind a VLAN tag and an extension header."""
    six = struct.pack("!IHBB", 6 << 28, 8 + 11, 0, 64) + bytes(15) + b"\1" + bytes(15) + b"\2"
    six += bytes((17, 0)) + bytes(6) + udp(5, 6, b"abc")
    first, _ = peers_of(capture(tmp_path / "a", frame("10.0.0.1", "10.0.0.2", udp(1, 2, b"hi"), link=b"", kind=17),
                                linktype=101))  # fmt: skip
    second, _ = peers_of(capture(tmp_path / "b", b"\2" * 12 + b"\x81\0\0\1\x86\xdd" + six))
    assert [(host.address, host.port, host.sent) for host in first.hosts] == [("10.0.0.2", 2, 2)]
    assert [(host.address, host.port, host.sent) for host in second.hosts] == [("::2", 6, 3)]


@given(st.data())
def test_a_broken_capture_is_read_as_far_as_it_goes(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Cut off anywhere, with bytes changed: never an error."""
    path = tmp_path_factory.mktemp("broken") / "net.pcapng"
    good = bytearray(
        capture(path, frame("10.0.0.1", "10.0.0.2", tcp(1, 2, 2)), frame("1.1.1.1", "2.2.2.2", b"")).read_bytes()
    )
    for _ in range(data.draw(st.integers(0, 4))):
        good[data.draw(st.integers(0, len(good) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(good[: data.draw(st.integers(0, len(good)))])
    peers_of(path)


def test_an_address_that_a_terminal_would_act_on() -> None:
    """A log that somebody made up may have anything for an address: it is shown, not done."""
    assert host_line(Host("TCP", "\x1b]0;x\x07\u202e", 80)).startswith("TCP ^[]0;x^G\\u202e:80: ")
