"""Records as calls: what `lowrun.trace.read` yields, from files that are whole, cut, or somebody else's."""

from __future__ import annotations

import re
import struct
from pathlib import Path

import pytest

from lowrun import ProtocolError
from lowrun.trace.calls import HEADER, MAGIC, VERSION, RecordedCall, calls_of, file_header, read
from lowrun.trace.records import Chunk, Enter, Exec, Exit, Exited, Fork, Record, encode
from lowrun.trace.records import Path as PathRecord
from lowrun.trace.table import numbers_of

ROOT = Path(__file__).parents[2]
(CLOSE,), (READ,), (OPENAT,), (EXIT_GROUP,), (EXECVE,) = (
    numbers_of(name) for name in ("close", "read", "openat", "exit_group", "execve")
)
PATH, BUFFER = 2, 5


def opened(tid: int = 7) -> list[Record]:
    """openat of /etc/hosts as descriptor 3, read of 2 bytes, close."""
    return [
        Enter(tid, 7, 1000, OPENAT, ((1 << 64) - 100, 0x100, 0, 0, 0, 0), chunks={1: Chunk(PATH, b"/etc/hosts\0")}),
        PathRecord(tid, 7, 1400, 3, b"/etc/hosts"),
        Exit(tid, 7, 1500, 3, 500),
        Enter(tid, 7, 2000, READ, (3, 0x200, 64, 0, 0, 0)),
        Exit(tid, 7, 2500, 2, 500, chunks={1: Chunk(BUFFER, b"ab")}),
        Enter(tid, 7, 3000, CLOSE, (3, 0, 0, 0, 0, 0)),
        Exit(tid, 7, 3500, 0, 500),
    ]


def test_a_call_is_its_entry_and_its_exit() -> None:
    """Names, texts of the arguments, result, error, times: what strace would have shown of each call."""
    first, second, third = calls_of(opened())
    assert first == RecordedCall(
        7, 7, 1000, OPENAT, "openat", ("AT_FDCWD", '"/etc/hosts"', "O_RDONLY"),
        ((1 << 64) - 100, 0x100, 0, 0, 0, 0), 3, "3</etc/hosts>", None, 500,
    )  # fmt: skip
    assert str(second) == 'read(3</etc/hosts>, "ab", 64) = 2'
    assert str(third) == "close(3</etc/hosts>) = 0"


def test_a_failed_call_names_its_error() -> None:
    """result is -errno, error its name."""
    entry, leave = Enter(7, 7, 0, CLOSE, (9, 0, 0, 0, 0, 0)), Exit(7, 7, 0, -9, None, True)
    (call,) = calls_of([entry, leave])
    assert (call.result, call.error, call.duration_ns) == (-9, "EBADF", None)
    assert call.result_text == "-1 EBADF (Bad file descriptor)"


def test_calls_that_never_return_have_no_result() -> None:
    """exit_group ends with its thread; a call under way at the end of the file is yielded, too."""
    records = [
        Fork(7, 7, 0, 8, 3),
        Enter(8, 8, 1, EXIT_GROUP, (0,) * 6),
        Exited(8, 8, 2, 0),
        Enter(7, 7, 3, READ, (0, 0x200, 1, 0, 0, 0)),
    ]
    ended, waiting = calls_of(records)
    assert (ended.tid, ended.name, ended.result, ended.result_text) == (8, "exit_group", None, "?")
    assert (waiting.name, waiting.result, waiting.arguments) == ("read", None, ("0",))


def test_an_execve_by_a_thread_is_its_leader_s() -> None:
    """After the exec the caller has its leader's id; the leader's own call never returns."""
    records = [
        Enter(7, 7, 1, READ, (0, 0x200, 1, 0, 0, 0)),
        Enter(9, 7, 2, EXECVE, (0, 0, 0, 0, 0, 0)),
        Exec(7, 7, 3, 9),
        Exit(7, 7, 4, 0, 2),
    ]
    lost, execve = calls_of(records)
    assert (lost.name, lost.result) == ("read", None)
    assert (execve.name, execve.tid, execve.result) == ("execve", 9, 0)


def test_a_file_is_a_header_and_records(tmp_path: Path) -> None:
    """`read` yields the calls of a file; the end of one that was cut short is missing, no more."""
    file = tmp_path / "calls.records"
    data = file_header(2048) + b"".join(map(encode, opened()))
    file.write_bytes(data)
    assert [call.name for call in read(file)] == ["openat", "read", "close"]
    file.write_bytes(data[:-100])
    assert [call.name for call in read(str(file))] == ["openat", "read"]


@pytest.mark.parametrize(
    "data",
    [b"", b"7 1:2 read(0) = 0\n" * 3, MAGIC, HEADER.pack(MAGIC, VERSION + 1, HEADER.size, 0xC000003E, 0),
     HEADER.pack(MAGIC, VERSION, HEADER.size, 0xC00000B7, 0), HEADER.pack(MAGIC, VERSION, 1 << 20, 0xC000003E, 0)],
    ids=["empty", "text", "short", "newer", "machine", "size"],
)  # fmt: skip
def test_what_is_none_of_ours_is_refused(tmp_path: Path, data: bytes) -> None:
    """Another file, another version or another machine's: ProtocolError, before any call."""
    file = tmp_path / "file"
    file.write_bytes(data)
    with pytest.raises(ProtocolError):
        next(read(file))


def test_the_version_is_that_of_the_writer() -> None:
    """VERSION is LR_RECORDS_VERSION in records.h, and docs/trace-format.md describes that version."""
    header = (ROOT / "_native" / "records.h").read_text()
    assert re.search(r"#define LR_RECORDS_VERSION (\d+)", header)[1] == str(VERSION)  # type: ignore[index]
    assert f"version {VERSION}" in (ROOT / "docs" / "trace-format.md").read_text()


def test_the_header_is_laid_out_as_described() -> None:
    """Eight bytes of magic, then four 32-bit numbers."""
    assert struct.unpack("<8s4I", file_header(99)) == (b"lowrun\0\1", VERSION, 24, 0xC000003E, 99)


def test_every_kind_of_record_and_chunk_is_described() -> None:
    """docs/trace-format.md has each kind of records.h with its number."""
    header = (ROOT / "_native" / "records.h").read_text()
    page = (ROOT / "docs" / "trace-format.md").read_text()
    kinds = re.findall(r"\bLR_(?:REC|PATH)_([A-Z]+) = (\d+)", header)
    kinds += [
        (name, number)
        for name, number in re.findall(r"\bLR_CAP_([A-Z]+) = (\d+)", header)
        if name not in ("NONE", "FD")
    ]
    assert len(kinds) >= 26
    for name, number in kinds:
        assert f"{number} {name}" in page, name
