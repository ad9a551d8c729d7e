"""At a terminal: ^C, ^Z, an editor and a shell, as users type them (a pty)."""

from __future__ import annotations

import os
import pty
import select
import signal
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.programs import LOWRUN


class Terminal:
    """A shell with job control on a pty, in a session of its own."""

    def __init__(self, directory: Path) -> None:
        self.seen = b""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.chdir(directory)
            os.environ.update(PS1="prompt> ", TERM="xterm", PATH=f"{Path(LOWRUN).parent}:{os.environ['PATH']}")
            os.environ.pop("PROMPT_COMMAND", None)
            os.execvp("bash", ["bash", "--norc", "--noprofile", "-i"])
        self.expect(b"prompt> ")

    def type(self, text: bytes) -> None:
        os.write(self.fd, text)

    def expect(self, wanted: bytes, seconds: float = 10) -> bytes:
        """Read until `wanted` has come; return what came before it."""
        deadline = time.monotonic() + seconds
        while wanted not in self.seen:
            left = deadline - time.monotonic()
            ready, _, _ = select.select([self.fd], [], [], max(0, left))
            assert ready, f"{wanted!r} did not come, but {self.seen!r}"
            self.seen += os.read(self.fd, 65536)
        before, _, self.seen = self.seen.partition(wanted)
        return before

    def close(self) -> None:
        os.close(self.fd)
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    terminal = Terminal(tmp_path)
    yield terminal
    terminal.close()


OPTIONS = ["", "-ct "]


@pytest.mark.parametrize("options", OPTIONS, ids=["plain", "traced"])
def test_interrupt_reaches_the_command(terminal: Terminal, options: str) -> None:
    """^C: the command's own handler runs, then everything is over; the code is the signal's."""
    script = 'trap "echo caught; exit 5" INT; echo re""ady; while :; do sleep 0.05; done'
    terminal.type(f"lowrun {options}sh -c '{script}'\n".encode())
    terminal.expect(b"ready\r\n")
    terminal.type(b"\x03")
    terminal.expect(b"caught")
    terminal.expect(b"prompt> ")
    terminal.type(b"echo code=$?\n")
    terminal.expect(b"code=130")


@pytest.mark.parametrize("options", OPTIONS, ids=["plain", "traced"])
def test_stop_and_continue(terminal: Terminal, options: str) -> None:
    """^Z stops lowrun and the command, the shell sees a stopped job; fg goes on with both."""
    terminal.type(f"lowrun {options}sh -c 'echo re\"\"ady; read -r word; echo got $word'\n".encode())
    terminal.expect(b"ready\r\n")
    terminal.type(b"\x1a")
    terminal.expect(b"Stopped")
    terminal.expect(b"prompt> ")
    terminal.type(b"fg\n")
    terminal.expect(b"lowrun")
    terminal.type(b"hello\n")
    terminal.expect(b"got hello")
    terminal.expect(b"prompt> ")


def test_a_shell_inside_is_usable(terminal: Terminal) -> None:
    """`lowrun bash`: its own job control works, ^C ends its job and not lowrun, exit's code comes out."""
    terminal.type(b"PS1='inner> ' lowrun bash --norc --noprofile -i\n")
    terminal.expect(b"inner> ")
    terminal.type(b"sleep 100\n")
    terminal.expect(b"sleep 100")
    time.sleep(0.2)  # no way to see from here that the shell has given its job the terminal
    terminal.type(b"\x03")
    terminal.expect(b"inner> ")
    terminal.type(b"exit 7\n")
    terminal.expect(b"prompt> ")
    terminal.type(b"echo code=$?\n")
    terminal.expect(b"code=7")


def test_an_editor_is_usable(terminal: Terminal, tmp_path: Path) -> None:
    """`lowrun vi FILE`: text is typed and saved, and the terminal is as before."""
    before = termios.tcgetattr(terminal.fd)[:4]
    terminal.type(b"lowrun vi text\n")
    terminal.expect(b"text")
    terminal.type(b"ihello from vi\x1b:wq\r")
    terminal.expect(b"prompt> ")
    assert (tmp_path / "text").read_text() == "hello from vi\n"
    assert termios.tcgetattr(terminal.fd)[:4] == before


def test_progress_shows_only_on_a_terminal(terminal: Terminal) -> None:
    """From the second run on a progress line is on the terminal."""
    terminal.type(b"lowrun -c 3 sleep 0.3\n")
    terminal.expect(b"prompt> ")
