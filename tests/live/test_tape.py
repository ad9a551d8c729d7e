"""What a recorder writes to when only the last of it matters."""

from __future__ import annotations

import os
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from lowrun.core.tape import Tape, lines_behind

HEAD = b"head\n"


def content(tape: Tape, count: int | None = None) -> bytes:
    with tape.tail(count) as file:
        return os.pread(file.fileno(), 1 << 20, 0)


@settings(deadline=None)
@given(pieces=st.lists(st.binary(min_size=1, max_size=40), max_size=30), size=st.integers(1, 100), last=st.integers(0))
def test_the_last_bytes_are_always_there(pieces: list[bytes], size: int, last: int) -> None:
    """However many turns there were: at least `size` bytes from the end, at most twice that and what came at once."""
    written = b"".join(pieces)
    with Tape(Path("/tmp"), HEAD, size) as tape:
        for piece in pieces:
            if not tape.room:
                tape.turn()
            os.write(tape.fileno(), piece)
        kept = content(tape).removeprefix(HEAD)
        assert written.endswith(kept)
        assert min(size, len(written)) <= len(kept) <= 2 * (size + 40)
        assert content(tape, last) == HEAD + kept[max(0, len(kept) - last) :]


def test_without_a_size_it_is_one_file(tmp_path: Path) -> None:
    """All of it is kept, and can be named as it is."""
    with Tape(tmp_path, HEAD) as tape:
        os.write(tape.fileno(), b"x" * 1000)
        (only,) = tape.parts
        only.link(tmp_path / "named")
    assert (tmp_path / "named").read_bytes() == HEAD + b"x" * 1000


def test_who_writes_may_turn_by_himself(tmp_path: Path) -> None:
    """Then the tape is told which of the two descriptors is the newer one."""
    with Tape(tmp_path, HEAD, 10) as tape:
        former, spare = tape.fileno(), tape.spare
        os.write(former, b"old")
        os.write(spare, b"new")
        tape.turned_to(former)
        assert tape.fileno() == former
        tape.turned_to(spare)
        assert (tape.fileno(), tape.spare) == (spare, former)
        assert content(tape) == HEAD + b"oldnew"


@settings(deadline=None)
@given(lines=st.lists(st.integers(0, 9).map(b"%d".__mod__), max_size=9), start=st.integers(0, 30))
def test_where_the_next_line_begins(lines: list[bytes], start: int) -> None:
    """At the place itself when a line begins there, else behind the next newline, or at the end."""
    text = b"".join(line * 3 + b"\n" for line in lines)
    start = min(start, len(text))
    with Tape(Path("/tmp")) as tape:
        os.write(tape.fileno(), text)
        begins = [0] + [at + 1 for at, byte in enumerate(text) if byte == 10] if text else [0]
        assert lines_behind(tape.fileno(), start) == next((at for at in begins if at >= start), len(text))
