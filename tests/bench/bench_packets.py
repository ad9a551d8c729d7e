"""What capturing a loopback flood costs, against dumpcap: the capturer's processor time, the sender's elapsed time.

Both write all packets to a file in the same directory. A round in which
either lost packets is told on standard error: a loser writes less.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from tests.bench.harness import Case, lowrun_program, own_cpu

MOCK = Path(__file__).parents[2] / "mock"
COUNT = int(os.environ.get("LOWRUN_BENCH_PACKETS", "500000"))
DROPPED = re.compile(rb"received/dropped on interface '[^']*': (\d+)/(\d+)")


def under_lowrun(directory: Path) -> tuple[float, float]:
    """(processor seconds of lowrun, seconds that the sender says it took)."""
    with tempfile.TemporaryDirectory(dir=directory) as name:
        words = [lowrun_program(), "-lt", "-nt", "-i", "lo", "--keep", "all", "-o", f"{name}/kept"]
        words += ["--json", f"{name}/summary.json", str(directory / "flood"), str(COUNT)]
        seconds = own_cpu(subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        for fault in json.loads(Path(name, "summary.json").read_text())["runs"][0]["faults"]:
            if not fault.startswith("usage"):
                print(f"  lowrun: {fault}", file=sys.stderr)
        return seconds, float(Path(name, "kept", "run-0001", "stdout.log").read_text())


def under_dumpcap(directory: Path) -> tuple[float, float]:
    """(processor seconds of dumpcap, seconds that the sender says it took)."""
    with tempfile.TemporaryDirectory(dir=directory) as name:
        dumpcap = subprocess.Popen(["dumpcap", "-q", "-i", "lo", "-w", f"{name}/net.pcapng"], stderr=subprocess.PIPE)
        assert dumpcap.stderr is not None
        while not dumpcap.stderr.readline().startswith(b"File:"):
            pass
        told = subprocess.run([directory / "flood", str(COUNT)], stdout=subprocess.PIPE, check=True).stdout
        dumpcap.send_signal(signal.SIGINT)
        said = dumpcap.stderr.read()
        dumpcap.stderr.close()
        lost = DROPPED.search(said)
        assert lost, said
        if int(lost[2]):
            print(f"  dumpcap: {lost[2].decode()} packets dropped", file=sys.stderr)
        return own_cpu(dumpcap), float(told)


def cases() -> Iterator[Case]:
    """Processor time and the sender's time, each with its own rounds."""
    if shutil.which("dumpcap") is None:
        return
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(dir="."))).absolute()
        subprocess.run(["cc", "-O1", "-w", "-o", directory / "flood", MOCK / "flood.c"], check=True)
        a, b = partial(under_lowrun, directory), partial(under_dumpcap, directory)
        yield Case(f"-nt / dumpcap, {COUNT:,} packets: CPU", lambda: a()[0], lambda: b()[0], 1.0)
        yield Case(f"-nt / dumpcap, {COUNT:,} packets: the sender", lambda: a()[1], lambda: b()[1], 1.05)
