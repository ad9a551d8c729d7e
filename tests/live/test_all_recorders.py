"""All recorders at once on a client of a real server: each tells the same story."""

from __future__ import annotations

import csv
import json
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.captures import covered
from tests.programs import LOWRUN, mock

SIZE = 3_000_000
RUNS = 3
#: A network of its own, so that every packet on its loopback is this test's.
ALONE = ["unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"]
CONFIGURATION = """
server.document-root = "{root}"
server.port = {port}
server.bind = "127.0.0.1"
server.pid-file = "{root}/pid"
"""
PORT = 8099
SCRIPT = """
lighttpd -D -f {root}/lighttpd.conf & server=$!
until test -s {root}/pid; do sleep 0.05; done
"$@"; code=$?
kill $server; wait $server; exit $code
"""
#: read(3<TCP:[127.0.0.1:43210->127.0.0.1:8099]>, "HTTP/1.0 200 OK\\r\\n"..., 65536) = 65536 <0.000021>
CALL = re.compile(r"^\d+ +[\d:.]+ (\w+)\((\d+)<([^>]*(?:->[^>]*)?)>.*\) = (\d+) <[\d.]+>$")


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What lowrun kept of three failing fetches, and fetched.N beside it."""
    root = tmp_path_factory.mktemp("site")
    (root / "page").write_bytes(bytes(range(256)) * (SIZE // 256 + 1))
    with (root / "page").open("r+b") as page:
        page.truncate(SIZE)
    (root / "lighttpd.conf").write_text(CONFIGURATION.format(root=root, port=PORT))
    (root / "script").write_text(SCRIPT.format(root=root))
    words = [LOWRUN, "-st", "-ct", "-lt", "-nt", "-c", str(RUNS), "--interval", "0.005", "-o", str(root / "kept")]
    words += ["--json", str(root / "summary.json"), mock("fetch"), str(PORT), "/page", str(root / "got")]
    done = subprocess.run([*ALONE, "sh", str(root / "script"), *words], capture_output=True, text=True)
    assert done.returncode == 1, done.stderr
    assert (root / "got").read_bytes().endswith((root / "page").read_bytes())
    return root


def runs(root: Path) -> list[Path]:
    return [root / "kept" / f"run-{index:04}" for index in range(1, RUNS + 1)]


def told(run: Path) -> tuple[int, int]:
    """Bytes to the server and from it, as the client says."""
    sent, received = (run / "stdout.log").read_text().split()
    return int(sent), int(received)


def rows(run: Path, table: str) -> list[dict[str, str]]:
    with (run / f"{table}.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def tree_total(run: Path, table: str) -> dict[str, str]:
    """The tree's last row."""
    return [row for row in rows(run, table) if row.get("row", "tree") == "tree"][-1]


def calls(run: Path) -> list[tuple[str, str, int]]:
    """(call, what its descriptor is, result) of all calls that read or write through a descriptor."""
    lines = (run / "calls.strace").read_text(errors="replace").splitlines()
    found = [match for line in lines if (match := CALL.match(line))]
    return [(match[1], match[3], int(match[4])) for match in found if match[1] in {"read", "write", "pread64"}]


def packets(run: Path, shown: str, *fields: str) -> list[list[str]]:
    """What tshark reads of the packets that its display filter `shown` lets through."""
    words = ["tshark", "-n", "-r", str(run / "net.pcapng"), "-Y", shown, "-T", "fields"]
    for field in fields:
        words += ["-e", field]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    return [line.split("\t") for line in done.stdout.splitlines()]


def test_all_artifacts_are_there(kept: Path) -> None:
    """Each failing run has every file of the contract, each named in the summary, and no fault."""
    summary = json.loads((kept / "summary.json").read_text())
    for run, result in zip(runs(kept), summary["runs"], strict=True):
        names = {"stdout.log", "stderr.log", "calls.strace", "net.pcapng"}
        names |= {"disk.csv", "memory.csv", "processes.csv", "network.csv", "samples.svg"}
        assert {path.name for path in run.iterdir()} == names | {"run.json"}
        assert {Path(path).name for path in result["artifacts"].values()} == names
        assert result["faults"] == []
        assert result["processes"] == 1


def payload(run: Path, shown: str) -> int:
    """Bytes in one direction of the connection: by sequence numbers, 0 being the SYN's, from 1 without a gap."""
    assert len({seq for (seq,) in packets(run, f"{shown} && tcp.flags.syn == 1", "tcp.seq_raw")}) == 1
    segments = packets(run, f"{shown} && tcp.len > 0", "tcp.seq", "tcp.len")
    return covered((int(seq) - 1, int(size)) for seq, size in segments)


def test_packets_and_calls_agree(kept: Path) -> None:
    """The bytes that the client read from its socket are those of the packets, both ways, from the first to the last
    without a gap; what a busy machine's TCP sends again counts once."""
    for run in runs(kept):
        sent, received = told(run)
        socket_calls = [(call, size) for call, what, size in calls(run) if "TCP:[" in what or "socket:[" in what]
        assert sum(size for call, size in socket_calls if call == "read") == received
        assert sum(size for call, size in socket_calls if call == "write") == sent
        assert payload(run, f"tcp.srcport == {PORT}") == received
        assert payload(run, f"tcp.dstport == {PORT}") == sent


def test_samples_and_calls_agree(kept: Path) -> None:
    """The tree's bytes written by calls are those of the trace; read ones, too, but for what exec reads itself."""
    for run in runs(kept):
        total = tree_total(run, "disk")
        written = sum(size for call, _, size in calls(run) if call == "write")
        read = sum(size for call, _, size in calls(run) if call in {"read", "pread64"})
        assert int(total["call_written_bytes"]) == written
        # execve reads the program's and its interpreter's headers: kernel_read() is counted to the process.
        assert 0 <= int(total["call_read_bytes"]) - read < 8192


def test_samples_and_packets_agree(kept: Path) -> None:
    """The loopback card's bytes are those of the packets less their Ethernet headers, which it does not count."""
    for run in runs(kept):
        card = [row for row in rows(run, "network") if row["card"] == "lo"][-1]
        lengths = [int(size) for (size,) in packets(run, "frame", "frame.len")]
        assert int(card["received_packets"]) == len(lengths)
        assert int(card["received_bytes"]) == sum(lengths) - 14 * len(lengths)


def test_an_interrupted_run_keeps_what_there_is(tmp_path: Path) -> None:
    """With --keep all a run that SIGTERM cut short has all its artifacts, and all is over within a second."""
    command = ["sh", "-c", "echo ready; ls /; exec sleep 60"]
    words = [LOWRUN, "-st", "-ct", "-lt", "-nt", "--keep", "all", "-o", str(tmp_path / "kept"), *command]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGTERM)
        began = time.monotonic()
        _, said = process.communicate()
    assert process.returncode == 128 + signal.SIGTERM
    assert time.monotonic() - began < 1
    assert "warning" not in said
    kept = {path.name for path in (tmp_path / "kept" / "run-0001").iterdir()}
    assert {"calls.strace", "processes.csv", "net.pcapng", "stdout.log", "run.json"} <= kept
