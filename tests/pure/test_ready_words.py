"""What `--ready`, `--socket` and a message of sd_notify(3) say."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

import lowrun as lr
from lowrun.supervise.listening import DATAGRAM, IPV4, IPV6, PACKETS, STREAM, UNIX, parse_listening
from lowrun.supervise.notify import Notice, parse_notice
from lowrun.supervise.readyspec import Ready, parse_ready


def test_ways_to_be_ready() -> None:
    """Each of the five."""
    assert parse_ready("notify") == Ready("notify")
    assert parse_ready("pidfile") == Ready("pidfile")
    assert parse_ready("fd=3").fd == 3
    assert parse_ready("tcp=[::1]:80") == Ready("tcp", host="::1", port=80)
    assert parse_ready("tcp=:80") == Ready("tcp", port=80)
    pattern = parse_ready("log=^ready=\\d+$").pattern
    assert pattern is not None and pattern.pattern == b"^ready=\\d+$"


@pytest.mark.parametrize(
    ("spec", "word"),
    [
        ("", "notify, fd=N"),
        ("notfy", "notify, fd=N"),
        ("notify=1", "notify, fd=N"),
        ("log=", "notify, fd=N"),
        ("fd=2", "from 3 on"),
        ("fd=x", "from 3 on"),
        ("fd=9999999999", "from 3 on"),
        ("tcp=80", "127.0.0.1:8080"),
        ("tcp=a:0", "127.0.0.1:8080"),
        ("tcp=a:65536", "127.0.0.1:8080"),
        ("log=(", "regular expression"),
    ],
)
def test_other_ways_are_refused(spec: str, word: str) -> None:
    """With one line that names what would do."""
    with pytest.raises(lr.UsageError) as refused:
        parse_ready(spec)
    assert word in str(refused.value) and "\n" not in str(refused.value)


def test_a_message_says_what_it_says() -> None:
    """Several assignments in one datagram, as sd_notify(3) sends them."""
    message = b"READY=1\nSTATUS=Serving\x1b[31m \xff pages\nMAINPID=42\nWATCHDOG_USEC=2500000\nUNKNOWN=x\n"
    notice = parse_notice(message)
    assert notice == Notice(ready=True, status="Serving [31m \ufffd pages", main_pid=42, watchdog=2.5)
    assert parse_notice(b"WATCHDOG=1").alive and parse_notice(b"WATCHDOG=trigger").hangs
    assert parse_notice(b"STOPPING=1\nERRNO=2\nEXTEND_TIMEOUT_USEC=1000000") == Notice(stopping=True, errno=2, extend=1)
    assert parse_notice(b"RELOADING=1\nMONOTONIC_USEC=5").reloading


@pytest.mark.parametrize("message", [b"", b"READY", b"READY=yes", b"MAINPID=-1", b"MAINPID=x", b"ready=1", b"\0\xff"])
def test_nonsense_says_nothing(message: bytes) -> None:
    """No error, no guess."""
    assert parse_notice(message) == Notice()


@given(st.binary(max_size=300))
def test_no_message_is_an_error(message: bytes) -> None:
    """Anybody of the program's can send anything."""
    status = parse_notice(b"STATUS=" + message).status
    assert status is not None and "\n" not in status and "\x1b" not in status


@pytest.mark.parametrize(
    ("spec", "family", "kind", "host", "port"),
    [
        ("tcp:127.0.0.1:8080", IPV4, STREAM, "127.0.0.1", 8080),
        ("tcp:8080", IPV4, STREAM, "", 8080),
        ("tcp:*:8080", IPV4, STREAM, "", 8080),
        ("tcp:[::1]:8080", IPV6, STREAM, "::1", 8080),
        ("tcp6:8080", IPV6, STREAM, "", 8080),
        ("udp:localhost:53", IPV4, DATAGRAM, "localhost", 53),
        ("udp6:[::]:53", IPV6, DATAGRAM, "::", 53),
        ("ListenStream=127.0.0.1:80", IPV4, STREAM, "127.0.0.1", 80),
        ("ListenDatagram=[::1]:80", IPV6, DATAGRAM, "::1", 80),
        ("ListenStream=80", IPV6, STREAM, "", 80),
    ],
)
def test_addresses_of_the_internet(spec: str, family: int, kind: int, host: str, port: int) -> None:
    """A bare port of systemd's is one for IPv6 and IPv4."""
    found = parse_listening(spec)
    assert (found.family, found.kind, found.host, found.port) == (family, kind, host, port)
    assert found.dual == (spec == "ListenStream=80") and not found.is_file


def test_addresses_of_unix_sockets() -> None:
    """Paths and abstract names; a comma is part of a path when no known word follows it."""
    assert parse_listening("unix:/run/a,b=c").path == "/run/a,b=c"
    assert parse_listening("unixgram:/run/a")[1:3] == (UNIX, DATAGRAM)
    assert parse_listening("ListenSequentialPacket=/run/a")[1:3] == (UNIX, PACKETS)
    assert parse_listening("unix:@name").path == "\0name" and not parse_listening("unix:@name").is_file
    found = parse_listening("unix:/run/a,name=web,mode=0600,backlog=5")
    assert (found.path, found.name, found.mode, found.backlog) == ("/run/a", "web", 0o600, 5)


@pytest.mark.parametrize(
    ("spec", "word"),
    [
        ("8080", "tcp:HOST:PORT"),
        ("ftp:1:2", "tcp:HOST:PORT"),
        ("tcp:", "no port"),
        ("tcp:localhost", "no port"),
        ("tcp:a:99999", "no port"),
        ("tcp:::1:80", "brackets"),
        ("unix:relative", "absolute path"),
        ("unix:", "absolute path"),
        ("unix:@", "absolute path"),
        ("unix:/" + "x" * 107, "107 bytes"),
        ("tcp:80,name=a:b", "colon"),
        ("tcp:80,name=", "colon"),
        ("tcp:80,mode=600", "octal"),
        ("unix:/a,mode=9", "octal"),
        ("tcp:80,backlog=many", "number"),
        ("ListenSequentialPacket=80", "unix sockets"),
    ],
)
def test_other_addresses_are_refused(spec: str, word: str) -> None:
    """With one line that names the address and what would do."""
    with pytest.raises(lr.UsageError) as refused:
        parse_listening(spec)
    assert word in str(refused.value) and "--socket" in str(refused.value) and "\n" not in str(refused.value)
