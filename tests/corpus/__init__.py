"""Real programs, traced by strace and by lowrun, for the comparison of their lines.

Each program runs in a directory that is made anew for each recording, under
the same name, with the same environment: what differs is the program's own doing.
A third recording of strace is compared as lowrun's is: what two recordings agree on
by chance (which thread waited for which) a third need not have, lowrun's or strace's.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from tests.compare_strace import Verdict, compare, record, save

__all__ = ["HEADER", "PROGRAMS", "Program", "missing_tool", "row", "verdicts_of"]

FILES = Path(__file__).with_name("files")
ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C", "TERM": "dumb",
    "PYTHONDONTWRITEBYTECODE": "1", "PYTHONHASHSEED": "0", "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "A", "GIT_AUTHOR_EMAIL": "a@localhost", "GIT_AUTHOR_DATE": "2026-01-02T03:04:05Z",
    "GIT_COMMITTER_NAME": "A", "GIT_COMMITTER_EMAIL": "a@localhost", "GIT_COMMITTER_DATE": "2026-01-02T03:04:05Z",
}  # fmt: skip
HEADER = f"{'program':<16} {'agreed/total':>13} {'share':>8} {'extra':>6}   a third strace"


@dataclass(frozen=True)
class Program:
    """A command, split at spaces (`{port}` is that of the web server), and what it needs."""

    command: str
    #: Shell commands that prepare the directory.
    before: str = "true"
    #: A web server runs beside it.
    served: bool = False
    #: The command is the web server: it is asked for some pages and told to end.
    serves: bool = False

    @property
    def words(self) -> list[str]:
        return [sys.executable if word == "python3" else word for word in self.command.split()]


REPOSITORY = (
    "git init -q r && cd r && for i in 1 2 3 4 5 6 7 8; do"
    ' echo $i >> a; echo $i > f$i; git add . && git commit -qm "commit $i"; done;'
    # Files as old as the index would be read again, to be sure: whether they are is chance.
    " touch -d 2026-01-02 a f*; git update-index --refresh"
)
PROGRAMS = {
    "ls -l": Program("ls -l /"),
    "find": Program("find /etc -name *.conf -newer /etc/hostname"),
    "cat": Program("cat text bytes -"),
    "tar -c": Program("tar -czf tree.tgz tree"),
    "tar -x": Program("tar -xvf tree.tar -C new", "tar -cf tree.tar tree; mkdir new"),
    "git log": Program("git -C r log --stat -3", REPOSITORY),
    "git commit": Program("git -C r commit -qam more", REPOSITORY + "; echo more >> a; touch -d 2026-01-03 a"),
    "gcc -c": Program("gcc -O1 -c hello.c"),
    "make -j2": Program("make -s -j2"),
    "bash": Program("bash script.bash"),
    "python threads": Program("python3 -I threads.py"),
    "python asyncio": Program("python3 -I server.py"),
    "curl": Program("curl -s -o got http://127.0.0.1:{port}/text", served=True),
    "wget": Program("wget -q -O got http://127.0.0.1:{port}/text", served=True),
    "lighttpd": Program("lighttpd -D -f lighttpd.conf", serves=True),
    "sqlite3": Program("sqlite3 db.sqlite -init queries.sql .quit"),
    "openssl": Program("openssl enc -aes-256-cbc -pbkdf2 -k secret -S 0011223344556677 -in bytes -out sealed"),
    "ssh-keygen": Program("ssh-keygen -q -t ed25519 -N secret -f key"),
    "perl": Program("perl processes.pl"),
    "sort": Program("sort --parallel=2 -S 100K -o sorted text"),
    "xargs -P2": Program("xargs -P2 -n4 -a names sha256sum", "find tree -type f | sort > names"),
    "gzip": Program("gzip -9 -k text"),
    "xz": Program("xz -k -0 bytes"),
    "cp -a": Program("cp -a tree copy"),
    "rsync": Program("rsync -a tree/ copy"),
    "busybox": Program("busybox sh script.sh"),
    "dd": Program("dd if=bytes of=out bs=7k seek=1 conv=fsync,notrunc"),
    "ps": Program("ps -f -q 1"),
    "ip addr": Program("ip addr"),
    "ss": Program("ss -tlnx"),
    "getent": Program("getent ahosts localhost"),
    "vi": Program("vi -es -u NONE -i NONE -S edit.vim text"),
    "timeout": Program("timeout -s INT 0.2 sleep 20"),
    "awk": Program("awk -f count.awk text"),
    "dpkg -l": Program("dpkg -l bash"),
    "apt-cache": Program("apt-cache policy bash"),
    "unshare": Program("unshare -Urm mount -t tmpfs none tree"),
    "setpriv": Program("setpriv --reuid 65534 --regid 65534 --clear-groups --no-new-privs id"),
    "script": Program("script -qec id typescript"),
    "ipcs": Program("ipcs"),
    "prlimit": Program("prlimit"),
    "fallocate": Program("fallocate -p -o 4096 -l 4096 bytes"),
    "su": Program("su -c id root"),
    "ping": Program("ping -c1 127.0.0.1"),
    "git clone": Program("git clone -q r s", REPOSITORY),
    "setfacl": Program("setfacl -R -m u:1:r tree"),
    "ethtool": Program("ethtool lo"),
}


def missing_tool(name: str) -> bool:
    """Whether this machine lacks the program's tool."""
    return shutil.which(PROGRAMS[name].words[0], path=ENVIRONMENT["PATH"]) is None


def verdicts_of(name: str, directory: Path, saved: Path | None = None) -> tuple[Verdict, Verdict]:
    """Record the program in `directory`/w and compare: lowrun's verdict, and a third strace's."""
    program, work, port, own_port = PROGRAMS[name], directory / "w", free_port(), free_port()
    words = [word.replace("{port}", str(port)) for word in program.words]

    def run(argv: Sequence[str]) -> None:
        prepare(program, work, port)
        with server(work, port) if program.served else nullcontext(), started(argv, work) as process:
            if program.serves:
                use_server(work, port, own_port)
            process.wait()

    logs = record(words, run, again=True)
    if saved is not None:
        save(logs, saved / name.replace(" ", "-"))
    return compare(*logs[:3]), compare(logs[0], logs[1], logs[3])


def row(name: str, verdicts: tuple[Verdict, Verdict]) -> str:
    """One line of the table under HEADER."""
    ours, theirs = verdicts
    agreed = f"{ours.agreed}/{ours.total}"
    return f"{name:<16} {agreed:>13} {ours.share:>8.2%} {len(ours.extra):>6}   {theirs.share:.2%}"


# -- what a recording needs


def prepare(program: Program, work: Path, port: int) -> None:
    """Make the directory anew."""
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(FILES, work)
    conf = work / "lighttpd.conf"
    conf.write_text(conf.read_text().replace("PORT", str(port)).replace("ROOT", str(work)))
    lines = [f"line {index * 7919 % 10007} of a text that is sorted, counted and packed\n" for index in range(6000)]
    (work / "text").write_text("".join(lines))
    (work / "bytes").write_bytes(bytes(index * index % 251 for index in range(300_000)))
    for index in range(24):
        leaf = work / "tree" / f"branch-{index % 5}" / f"leaf-{index}"
        leaf.parent.mkdir(parents=True, exist_ok=True)
        leaf.write_bytes(bytes(index) * index)
    (work / "tree" / "link").symlink_to("branch-1/leaf-1")
    subprocess.run(["sh", "-c", program.before], cwd=work, env=environment(work), check=True)


def environment(work: Path) -> dict[str, str]:
    """Return the programs' environment."""
    return {**ENVIRONMENT, "HOME": str(work), "TMPDIR": str(work)}


@contextmanager
def started(argv: Sequence[str], work: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Start a command that has nothing to read and whose output is thrown away; it is killed if it is left alone."""
    quiet = subprocess.DEVNULL
    with subprocess.Popen(argv, cwd=work, env=environment(work), stdin=quiet, stdout=quiet, stderr=quiet) as process:
        try:
            yield process
        finally:
            process.kill()


def free_port() -> int:
    """Return a port of the loopback interface that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextmanager
def server(work: Path, port: int) -> Iterator[None]:
    """Run a web server for the time of a recording."""
    with started(["lighttpd", "-D", "-f", "lighttpd.conf"], work) as process:
        wait_for_port(port)
        yield
        process.terminate()
        process.wait()


def use_server(work: Path, port: int, own_port: int) -> None:
    """Ask the web server for some files over one connection, from a port of our own; then end it.

    Each step waits until the server sleeps, so that it does the same whenever that is. It
    closes the connection first, and so keeps the pair of ports a while; the next one may use them again.
    """
    wait_for_port(port)
    until(lambda: (work / "lighttpd.pid").read_text() != "")  # it is written after the port is opened
    pid = int((work / "lighttpd.pid").read_text())
    with socket.create_connection(("127.0.0.1", port), 20, ("127.0.0.1", own_port)) as connection:
        for path, size in (("/text", (work / "text").stat().st_size), ("/missing", 1), ("/hello.c", 1), ("/bytes", 0)):
            wait_for_sleep(pid)
            ending = "" if size else "Connection: close\r\n"
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{ending}\r\n".encode())
            left = size or 1 << 30
            while left > 0 and (got := len(connection.recv(1 << 16))):
                left -= got
        wait_for_sleep(pid)
    ended = re.compile(f"0100007F:{port:04X} 0100007F:{own_port:04X} 06")
    until(lambda: ended.search(Path("/proc/net/tcp").read_text()) is not None)
    wait_for_sleep(pid)
    os.kill(pid, signal.SIGTERM)


def wait_for_sleep(pid: int) -> None:
    """Wait until a process waits for something itself: in a stop of a tracer's it is in state t."""
    until(lambda: Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "S")


def wait_for_port(port: int) -> None:
    """Wait until somebody listens there, which is seen in /proc/net/tcp: a connection would be traced too."""
    until(lambda: f"0100007F:{port:04X} 00000000:0000 0A" in Path("/proc/net/tcp").read_text())


def until(condition: Callable[[], bool]) -> None:
    """Wait for what nothing tells of. Raises TimeoutError."""
    deadline = time.monotonic() + 20
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("the web server")
        time.sleep(0.01)
