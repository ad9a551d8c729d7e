"""Packets of a run: all of them, none twice, none of the run's last ones missing; what is lost is counted."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from select import select

import pytest
from captures import Seen, capinfos, covered, fields
from programs import LOWRUN, alive, mock

import lowrun as lr
from lowrun.core.loop import Loop
from lowrun.core.packets import CaptureFile
from lowrun.core.tape import Tape
from lowrun.packets.capture import Capture
from lowrun.packets.interfaces import chosen, interfaces_here

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="needs root to capture packets")

ETHERNET_IP_UDP = 14 + 20 + 8


CLONE_NEWNET = 0x40000000


@pytest.fixture(autouse=True)
def quiet_network() -> Iterator[None]:
    """A network namespace for the test alone, with loopback up: nobody else's packets are there."""
    libc = ctypes.CDLL(None, use_errno=True)
    with open("/proc/self/ns/net") as ours:
        if libc.unshare(CLONE_NEWNET) != 0:
            pytest.skip(f"no network namespace can be had: {os.strerror(ctypes.get_errno())}")
        try:
            subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
            yield
        finally:
            assert libc.setns(ours.fileno(), CLONE_NEWNET) == 0


def numbers(seen: Seen) -> list[int]:
    """Of the datagrams of mock/datagrams.c, in the file's order."""
    return [
        int.from_bytes(packet.packet_data[ETHERNET_IP_UDP:][:8], "big")
        for packet in seen.packets
        if packet.packet_data[23:24] == b"\x11"
    ]


def udp(seen: Seen, port: int) -> list[bytes]:
    """What datagrams to `port` carry, in the file's order."""
    found = []
    for packet in seen.packets:
        data = packet.packet_data
        if data[12:14] == b"\x08\x00" and data[23] == 17 and int.from_bytes(data[36:38], "big") == port:
            found.append(data[ETHERNET_IP_UDP:])
    return found


def said(result: lr.Result) -> list[str]:
    """Faults about packets."""
    return [fault for fault in result.faults if fault.startswith("packets: ")]


def port_of(result: lr.Result) -> int:
    return int(result.artifacts["stdout"].read_text().split()[1])


def test_every_datagram_is_in_each_capture_once(tmp_path: Path) -> None:
    """1,000 datagrams on loopback and exit 1 at once, 20 times: each is in its capture, none twice, no drops."""
    sender = [mock("datagrams"), "1000", "64", "1"]
    recorders = [lr.Packets(), lr.Output()]
    results = list(lr.repeat(sender, count=20, record=recorders, output=tmp_path / "out", quiet=True))
    assert [said(result) for result in results] == [[]] * 20
    for result in results:
        path, port = result.artifacts["packets"], port_of(result)
        seen = Seen(path)
        mine = [int.from_bytes(data[:8], "big") for data in udp(seen, port)]
        assert mine == list(range(1000))
        assert all(seen.count(number, "isb_osdrop") == 0 for number in range(len(seen.interfaces)))
        shown = fields(path, "udp.length", f"udp.dstport == {port} && udp.srcport != {port}")
        assert shown == [["72"]] * 1000
        info = capinfos(path)
        assert info["Strict time order"] == "True"
        assert info["File timestamp precision"] == "nanoseconds (9)"
        assert int(info["Number of packets"]) == len(seen.packets)


def test_a_lowrun_on_one_processor_misses_nothing(tmp_path: Path) -> None:
    """It may not visit the others, where the command sends: what is being handled there is waited for all the same."""
    here = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(here)})
        sender = lr.Command((mock("datagrams"), "300", "64", "1"), affinity=frozenset(here))
        recorders = [lr.Packets(), lr.Output()]
        for result in lr.repeat(sender, count=10, record=recorders, output=tmp_path / "out", quiet=True):
            assert said(result) == []
            mine = udp(Seen(result.artifacts["packets"]), port_of(result))
            assert [int.from_bytes(data[:8], "big") for data in mine] == list(range(300))
        assert os.sched_getaffinity(0) == {min(here)}
    finally:
        os.sched_setaffinity(0, here)


def test_a_run_that_passes_leaves_no_file(tmp_path: Path) -> None:
    """Nothing is kept of good runs."""
    done = subprocess.run(
        [LOWRUN, "-nt", "-c", "3", "-o", "out", mock("datagrams"), "10", "64", "0"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "warning" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_file_says_what_it_is(tmp_path: Path) -> None:
    """Section: machine, system, program, command line; interfaces: name, address, ns; packets: direction; counts."""
    command = [mock("datagrams"), "10", "64", "1"]
    result = lr.run([*command], record=[lr.Packets("lo", filter="udp")], output=tmp_path / "out", quiet=True)
    seen = Seen(result.artifacts["packets"])
    options = seen.section.options
    assert options["opt_comment"] == " ".join(command)
    assert options["shb_os"] == f"Linux {os.uname().release}"
    assert options["shb_userappl"] == f"lowrun {lr.__version__}"
    assert options["shb_hardware"]
    (loopback,) = seen.interfaces
    assert (loopback.options["if_name"], loopback.options["if_tsresol"]) == ("lo", b"\x09")
    assert loopback.link_type == 1
    assert capinfos(result.artifacts["packets"])["Filter string"] == "udp"
    assert {packet.options["epb_flags"].inout for packet in seen.packets} == {"inbound"}
    counts = [seen.count(0, f"isb_{name}") for name in ("filteraccept", "osdrop", "usrdeliv")]
    assert counts == [len(seen.packets), 0, len(seen.packets)]


def test_losses_are_counted_and_said(tmp_path: Path) -> None:
    """A ring of 64 KiB and a flood: captured + dropped = sent, exactly, and the run says so."""
    sent = 50_000
    packets = lr.Packets("lo", ring_size=64 << 10, filter="udp and udp[4:2] = 1208")
    for attempt in range(5):
        result = lr.run(
            [mock("datagrams"), str(sent), "1200", "1"], record=[packets], output=tmp_path / f"{attempt}", quiet=True
        )
        seen = Seen(result.artifacts["packets"])
        captured, dropped = len(seen.packets), seen.count(0, "isb_osdrop")
        assert captured + dropped == sent == seen.count(0, "isb_filteraccept")
        assert max(Counter(numbers(seen)).values()) == 1
        if dropped:
            break
    assert dropped > 0
    (fault,) = said(result)
    assert fault.startswith(f"packets: {dropped} of {sent} on lo were dropped")
    assert "--net-ring-size (it was 64K)" in fault


@pytest.mark.parametrize("snaplen", [1, 96, 262144])
@pytest.mark.parametrize(("size", "sent"), [(60_000, 2_000), (1200, 3_000)])
def test_all_is_counted_whatever_the_sizes(size: int, sent: int, snaplen: int, tmp_path: Path) -> None:
    """Rings of 64 KiB, two runs at a time, packets that no block holds: captured + dropped = sent, at true length."""
    packets = lr.Packets("lo", ring_size=64 << 10, snaplen=snaplen, filter=f"udp and udp[4:2] = {size + 8}")
    words = [mock("datagrams"), str(sent), str(size), "1"]
    whole = size + ETHERNET_IP_UDP
    runs = list(lr.repeat(words, count=4, jobs=2, record=[packets], output=tmp_path / "out", quiet=True))
    for result in runs:
        seen = Seen(result.artifacts["packets"])
        captured, dropped = len(seen.packets), seen.count(0, "isb_osdrop")
        assert captured + dropped == seen.count(0, "isb_filteraccept") >= sent
        assert captured == seen.count(0, "isb_usrdeliv")
        assert {packet.packet_len for packet in seen.packets} <= {whole}
        assert all(packet.captured_len <= min(snaplen, whole) for packet in seen.packets)


def test_a_full_ring_that_is_emptied_goes_on(tmp_path: Path) -> None:
    """A ring that nobody empties becomes full; emptying it takes a wake-up a block at most; then it captures again."""
    sender, interfaces = mock("datagrams"), chosen(["lo"], interfaces_here())
    capture = Capture("udp", 64 << 10, 262144)
    sent, wakeups, after_full = 0, 0, []
    with Loop() as loop, Tape(tmp_path) as record:
        capture.open(interfaces)
        file = CaptureFile(record)
        session = capture.join(loop, file, interfaces)
        for _round in range(4):
            for count in (500, 1):
                subprocess.run([sender, str(count), "1200", "0"], stdout=subprocess.DEVNULL, check=True)
                sent += count
                before, wakeups = file.packets, 0
                deadline = time.monotonic() + 1
                # The kernel hands over what there is after 0.2 s, and again if it has just done so.
                while file.packets == before and time.monotonic() < deadline:
                    while select([loop.fileno()], [], [], 0.25)[0]:
                        loop.dispatch()
                        wakeups += 1
                assert 1 <= wakeups <= 6
            after_full.append(file.packets - before)
        session.leave()
        capture.close()
        (counts,) = session.counts
    assert after_full == [1] * 4
    assert counts.packets == file.packets
    assert counts.packets + counts.drops == sent
    assert counts.drops > sent // 2


def test_a_large_ring_loses_nothing(tmp_path: Path) -> None:
    """Packets of 64 KiB are captured at full length with the default ring."""
    result = lr.run(
        [mock("datagrams"), "100", "65000", "1"], record=[lr.Packets("lo")], output=tmp_path / "out", quiet=True
    )
    seen = Seen(result.artifacts["packets"])
    long = [packet for packet in seen.packets if packet.packet_len == 65000 + ETHERNET_IP_UDP]
    assert len(long) == 100
    assert all(packet.captured_len == packet.packet_len for packet in long)


def test_snaplen_cuts(tmp_path: Path) -> None:
    """--snaplen keeps so many bytes of each packet, and its true length."""
    done = subprocess.run(
        [LOWRUN, "-nt", "-i", "lo", "--snaplen", "60", "-o", "out", mock("datagrams"), "20", "500", "1"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    seen = Seen(tmp_path / "out" / "run-0001" / "net.pcapng")
    mine = [packet for packet in seen.packets if packet.packet_len == 500 + ETHERNET_IP_UDP]
    assert len(mine) == 20
    assert {packet.captured_len for packet in mine} == {60}


def test_runs_at_the_same_time_have_files_of_their_own(tmp_path: Path) -> None:
    """With -j 4 each run's file has all of its own packets; the others' are in it, too, while it lasts."""
    recorders = [lr.Packets("lo"), lr.Output()]
    results = list(
        lr.repeat(
            [mock("datagrams"), "500", "64", "1"],
            count=12,
            jobs=4,
            record=recorders,
            output=tmp_path / "out",
            quiet=True,
        )
    )
    for result in results:
        assert said(result) == []
        seen = Seen(result.artifacts["packets"])
        mine = [int.from_bytes(data[:8], "big") for data in udp(seen, port_of(result))]
        assert mine == list(range(500))
        assert seen.count(0, "isb_usrdeliv") == len(seen.packets)


def test_a_timeout_keeps_what_there_was(tmp_path: Path) -> None:
    """Of a run that times out, all packets until then are kept."""
    script = f"{mock('datagrams')} 50 64 0; exec sleep 60"
    result = lr.run(["sh", "-c", script], record=[lr.Packets("lo")], timeout=0.5, output=tmp_path / "out", quiet=True)
    assert result.timed_out
    assert len([packet for packet in Seen(result.artifacts["packets"]).packets if packet.packet_len == 64 + 42]) == 50


def test_an_interrupted_run_waits_for_nobody(tmp_path: Path) -> None:
    """SIGTERM to lowrun: the run's packets until then are in the file, with --keep all."""
    with subprocess.Popen(
        [
            LOWRUN,
            "-nt",
            "-i",
            "lo",
            "--keep",
            "all",
            "-o",
            "out",
            "sh",
            "-c",
            f"{mock('datagrams')} 50 64 0; exec sleep 60",
        ],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        text=True,
    ) as lowrun:
        assert lowrun.stdout is not None and lowrun.stdout.readline().startswith("ready")
        lowrun.send_signal(signal.SIGTERM)
        lowrun.wait(10)
    assert Seen(tmp_path / "out" / "run-0001" / "net.pcapng").statistics


def test_a_killed_lowrun_leaves_nothing(tmp_path: Path) -> None:
    """SIGKILL: no file, no process, no packet socket."""
    with subprocess.Popen(
        [LOWRUN, "-nt", "-o", "out", "sh", "-c", "echo $$; exec sleep 60"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        text=True,
    ) as lowrun:
        assert lowrun.stdout is not None
        pid = int(lowrun.stdout.readline())
        lowrun.kill()
        lowrun.wait(10)
    deadline = time.monotonic() + 5
    while alive(pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not alive(pid)
    assert list(tmp_path.iterdir()) == []


def packet_sockets() -> int:
    return len(Path("/proc/net/packet").read_text().splitlines()) - 1


def test_sockets_are_closed_when_all_runs_are_over(tmp_path: Path) -> None:
    """Between the runs of a repetition the socket stays, and after the last one it goes."""
    before, packets = packet_sockets(), lr.Packets("lo")
    runs = lr.repeat(["true"], count=3, record=[packets], output=tmp_path / "out")
    assert [packet_sockets() for _result in runs][:2] == [before + 1] * 2
    assert packet_sockets() == before
    lr.run(["true"], record=[packets], output=tmp_path / "again")
    assert packet_sockets() == before


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("-nt -i nosuch0", 'no such interface: "nosuch0" (there are: lo'),
        ("-nt --net-ring-size 1K", "lowrun: --net-ring-size 1024: a ring has from 64 KiB"),
        ("-nt --net-filter tcp.prt", "lowrun: --net-filter 'tcp.prt': "),
        ("-nt --net-filter=", "lowrun: --net-filter '' is empty"),
        ("-nt --net-filter ether[12:2]=0x8100", "ask with `vlan`"),
        ("-nt --snaplen 1000000", "lowrun: --snaplen 1000000: from 1 to 262144 bytes"),
        ("-i lo", "give -nt, too"),
        ("--net-filter tcp", "give -nt, too"),
        ("--snaplen 96", "give -nt, too"),
        ("--net-ring-size 1M", "give -nt, too"),
    ],
)
def test_wrong_words_are_exit_2(words: str, message: str, tmp_path: Path) -> None:
    """What cannot be is said before any run."""
    done = subprocess.run([LOWRUN, *words.split(), "touch", "ran"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


# -- networks of our own


@pytest.fixture
def pair() -> Iterator[tuple[str, str]]:
    """Two network namespaces joined by a veth pair (left: 10.99.0.1, right: 10.99.0.2, both `wire`)."""
    left, right = f"lowrun-{os.getpid()}-a", f"lowrun-{os.getpid()}-b"

    def ip(*words: str) -> None:
        subprocess.run(["ip", *words], check=True)

    try:
        for name in (left, right):
            ip("netns", "add", name)
        ip("-n", left, "link", "add", "wire", "type", "veth", "peer", "name", "wire", "netns", right)
        for name, address in ((left, "10.99.0.1/24"), (right, "10.99.0.2/24")):
            ip("-n", name, "address", "add", address, "dev", "wire")
            ip("-n", name, "link", "set", "wire", "up")
            ip("-n", name, "link", "set", "lo", "up")
        yield left, right
    finally:
        for name in (left, right):
            subprocess.run(["ip", "netns", "delete", name], check=False)


def within(namespace: str, *words: str) -> list[str]:
    return ["ip", "netns", "exec", namespace, *words]


def captured(namespace: str, directory: Path, *words: str) -> tuple[Path, str]:
    """Run lowrun -nt there, with a command that fails; return its capture and what it said on standard error."""
    command = within(namespace, LOWRUN, "-nt", "-o", str(directory / "out"), *words)
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1, done.stderr
    return directory / "out" / "run-0001" / "net.pcapng", done.stderr


SERVER = """
import socket
with socket.create_server(("10.99.0.2", 5001)) as server:
    print("ready", flush=True)
    connection, _ = server.accept()
    size = 0
    while data := connection.recv(1 << 20):
        size += len(data)
    print(size, flush=True)
"""
CLIENT = """
import socket, sys
with socket.create_connection(("10.99.0.2", 5001)) as client:
    for _ in range(100): client.sendall(bytes(1000000))
    client.shutdown(socket.SHUT_WR)
    client.recv(1)
sys.exit(1)
"""


def test_a_transfer_between_two_hosts(pair: tuple[str, str], tmp_path: Path) -> None:
    """100 MB by TCP over a veth pair, captured on one end: every byte, handshake and close."""
    left, right = pair
    with subprocess.Popen(within(right, "python3", "-c", SERVER), stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None and server.stdout.readline() == "ready\n"
        words = ["-i", "wire", "--net-ring-size", "128M", "python3", "-c", CLIENT]
        path, told = captured(left, tmp_path, *words)
        assert server.stdout.read() == "100000000\n"
    assert "warning" not in told
    assert capinfos(path)["Strict time order"] == "True"
    seen = Seen(path)
    first = int(fields(path, "tcp.seq_raw", "tcp.flags.syn == 1 && tcp.flags.ack == 0")[0][0]) + 1
    ranges = set()
    for packet in seen.packets:
        data = packet.packet_data
        if data[12:14] != b"\x08\x00" or data[23] != 6:
            continue
        assert packet.captured_len == packet.packet_len
        from_left = data[26:30] == bytes((10, 99, 0, 1))
        assert packet.options["epb_flags"].inout == ("outbound" if from_left else "inbound")
        size = packet.packet_len - 14 - 20 - (data[46] >> 4) * 4
        if from_left and size:
            ranges.add((int.from_bytes(data[38:42], "big") - first & 0xFFFFFFFF, size))
    assert covered(ranges) == 100_000_000
    flags = [row[0] for row in fields(path, "tcp.flags.str", "tcp.flags.syn == 1 || tcp.flags.fin == 1")]
    assert len([flag for flag in flags if "S" in flag]) == 2
    assert len([flag for flag in flags if "F" in flag]) == 2


TAGGED = """
import socket, sys
with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as raw:
    raw.bind(("wire", 0))
    raw.send(b"\\xff" * 6 + b"\\x02" * 6 + b"\\x81\\x00\\x60\\x2a" + b"\\x88\\xb5" + b"tagged" * 10)
"""


def test_vlan_tags_are_back_in_place(pair: tuple[str, str], tmp_path: Path) -> None:
    """A frame that comes in with an 802.1Q tag has it in the file where it was; it is a broadcast from outside."""
    left, right = pair
    script = 'ip netns exec "$0" python3 -c "$1"; exit 1'
    path, _told = captured(left, tmp_path, "-i", "wire", "sh", "-c", script, right, TAGGED)
    seen = Seen(path)
    (frame,) = [packet for packet in seen.packets if packet.packet_data[6:12] == b"\x02" * 6]
    assert frame.packet_data == b"\xff" * 6 + b"\x02" * 6 + b"\x81\x00\x60\x2a" + b"\x88\xb5" + b"tagged" * 10
    assert frame.packet_len == frame.captured_len == 78
    flags = frame.options["epb_flags"]
    assert (flags.inout, flags.casttype) == ("inbound", "broadcast")
    assert fields(path, "vlan.id vlan.priority", "vlan") == [["42", "3"]]


def test_an_interface_that_is_down_is_a_fault(pair: tuple[str, str], tmp_path: Path) -> None:
    """-i of an interface that is down: the run goes on, with one line that says how to bring it up."""
    left, _right = pair
    subprocess.run(["ip", "-n", left, "link", "set", "wire", "down"], check=True)
    words = [LOWRUN, "-nt", "-i", "wire", "-o", str(tmp_path / "out"), "ip", "link", "set", "wire", "up"]
    done = subprocess.run(within(left, *words), capture_output=True, text=True)
    assert done.returncode == 0
    assert "packets: wire is down; bring it up (ip link set wire up)" in done.stderr


def test_an_interface_that_goes_away_is_a_fault(pair: tuple[str, str], tmp_path: Path) -> None:
    """The command deletes the interface: what was seen is kept, and a fault says that there was no more."""
    left, _right = pair
    script = "ping -c 1 -q 10.99.0.2; ip link delete wire; exit 1"
    path, told = captured(left, tmp_path, "-i", "wire", "sh", "-c", script)
    assert "the interface wire went away" in told
    assert fields(path, "icmp.type", "icmp") == [["8"], ["0"]]


def test_a_tunnel_has_packets_of_ip(pair: tuple[str, str], tmp_path: Path) -> None:
    """An interface without a link layer has LINKTYPE_RAW in the file, beside Ethernet ones."""
    left, _right = pair
    made = subprocess.run(["ip", "-n", left, "tuntap", "add", "tun7", "mode", "tun"], capture_output=True, text=True)
    if made.returncode != 0:
        pytest.skip(f"no tun device: {made.stderr.strip()}")
    subprocess.run(["ip", "-n", left, "address", "add", "10.98.0.1/24", "dev", "tun7"], check=True)
    subprocess.run(["ip", "-n", left, "link", "set", "tun7", "up"], check=True)
    path, _told = captured(left, tmp_path, "sh", "-c", "ping -c 1 -q 10.99.0.2; exit 1")
    seen = Seen(path)
    assert {found.options["if_name"]: found.link_type for found in seen.interfaces} == {"lo": 1, "wire": 1, "tun7": 101}


def test_many_interfaces_have_small_rings(pair: tuple[str, str], tmp_path: Path) -> None:
    """With 100 interfaces up, all are captured, in little memory and time."""
    left, _right = pair
    batch = "".join(f"link add a{n} type veth peer name b{n}\nlink set a{n} up\nlink set b{n} up\n" for n in range(50))
    subprocess.run(["ip", "-n", left, "-batch", "-"], input=batch, text=True, check=True)
    path, told = captured(left, tmp_path, "sh", "-c", "ping -c 1 -q 10.99.0.2; exit 1")
    assert "warning" not in told
    seen = Seen(path)
    assert len(seen.interfaces) == len(seen.statistics) == 102
    assert len(fields(path, "icmp.type", "icmp")) == 2


def test_without_the_right_the_run_goes_on(tmp_path: Path) -> None:
    """Who may not capture gets one line with the missing capability and the remedy, and the command's exit code."""
    command = [
        "setpriv",
        "--reuid=65534",
        "--regid=65534",
        "--clear-groups",
        LOWRUN,
        "-nt",
        "-c",
        "3",
        "sh",
        "-c",
        "exit 3",
    ]
    tmp_path.chmod(0o777)
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 3
    (line,) = [line for line in done.stderr.splitlines() if "warning: packets: " in line]
    assert "the capability CAP_NET_RAW is missing; run lowrun as root" in line


def test_packets_of_several_interfaces_are_in_order_of_time(pair: tuple[str, str], tmp_path: Path) -> None:
    """Rings are emptied one after the other, and yet the file is in order of time, each packet at its interface."""
    left, _right = pair
    script = "for i in 1 2 3 4 5; do ping -c 1 -q 10.99.0.2; ping -c 1 -q 127.0.0.1; done; exit 1"
    path, _told = captured(left, tmp_path, "sh", "-c", script)
    assert capinfos(path)["Strict time order"] == "True"
    assert (
        fields(path, "frame.interface_name ip.dst", "icmp.type == 8")
        == [["wire", "10.99.0.2"], ["lo", "127.0.0.1"]] * 5
    )
