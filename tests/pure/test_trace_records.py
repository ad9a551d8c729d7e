"""The tracer's binary records: layout, reading, robustness."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path as FilePath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lowrun.trace import records
from lowrun.trace.records import (
    Chunk,
    Enter,
    Exec,
    Exit,
    Exited,
    Exiting,
    Fork,
    Lost,
    Path,
    Record,
    Signal,
    Stopped,
    encode,
    read,
)

HEADER = FilePath(__file__).parents[2] / "_native" / "records.h"

u32 = st.integers(0, 2**32 - 1)
u64 = st.integers(0, 2**64 - 1)
i32 = st.integers(-(2**31), 2**31 - 1)
who = (u32, u32, u64)
chunks = st.dictionaries(
    st.integers(0, 5), st.builds(Chunk, st.integers(0, 10), st.binary(max_size=200), st.booleans(), st.booleans())
)
some_record: st.SearchStrategy[Record] = st.one_of(
    st.builds(Enter, *who, st.integers(0, 480) | u64, st.tuples(*[u64] * 6), st.just(0xC000003E) | u32, chunks),
    st.builds(Exit, *who, st.integers(-(2**63), 2**63 - 1), st.none() | st.integers(0, 2**63), st.booleans(), chunks),
    st.builds(Signal, *who, st.binary(min_size=128, max_size=128)),
    st.builds(Exited, *who, i32),
    st.builds(Fork, *who, u32, u32),
    st.builds(Exec, *who, u32),
    st.builds(Stopped, *who, i32),
    st.builds(Path, *who, i32, st.binary(max_size=100)),
    st.builds(Lost, *who, i32),
    st.builds(Exiting, *who),
)


@given(st.lists(some_record, max_size=20))
def test_what_is_encoded_is_read(written: list[Record]) -> None:
    """Every record comes back as it was written, in its order."""
    assert list(read(b"".join(map(encode, written)))) == written


@given(st.lists(some_record, min_size=1, max_size=5), st.integers(1, 7))
def test_a_record_cut_short_ends_the_reading(written: list[Record], missing: int) -> None:
    """A trace whose last record was not written to its end is read up to it."""
    data = b"".join(map(encode, written))
    assert list(read(memoryview(data)[:-missing])) == written[:-1]


@given(st.binary(max_size=400))
def test_no_bytes_make_the_reader_fail(data: bytes) -> None:
    """Whatever a file holds, reading it ends without an error."""
    list(read(data))


def test_unknown_kinds_are_passed_over() -> None:
    """A record of a kind that is not known does not hide those after it."""
    strange = bytearray(encode(Lost(1, 1, 0, 3)))
    strange[4] = 200
    known = Lost(1, 1, 0, 4)
    assert list(read(bytes(strange) + encode(known))) == [known]


def test_layouts_are_those_of_the_header(tmp_path: FilePath) -> None:
    """The compiler gives every struct of records.h the size, and the kinds the numbers, that the reader uses."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler")
    kinds = {
        "ENTER": Enter, "EXIT": Exit, "SIGNAL": Signal, "EXITED": Exited, "FORK": Fork, "EXEC": Exec,
        "STOPPED": Stopped, "PATH": Path, "LOST": Lost, "EXITING": Exiting,
    }  # fmt: skip
    sizes = "".join(f'printf("{name} %zu\\n", sizeof(struct {name}));' for name in records.LAYOUT)
    numbers = "".join(f'printf("{name} %d\\n", LR_REC_{name});' for name in kinds)
    source = tmp_path / "layout.c"
    source.write_text(f'#include <stdio.h>\n#include "{HEADER}"\nint main(void) {{ {sizes} {numbers} return 0; }}\n')
    program = tmp_path / "layout"
    subprocess.run([compiler, "-o", program, source], check=True)
    output = subprocess.run([program], check=True, capture_output=True, text=True).stdout
    expected = {name: layout.size for name, layout in records.LAYOUT.items()}
    expected |= {name: records.NUMBERS[kind] for name, kind in kinds.items()}
    assert {word: int(number) for word, number in (line.split() for line in output.splitlines())} == expected


FIELDS = {
    "lr_record": "size kind flags tid tgid time_ns",
    "lr_rec_enter": "nr args arch chunks",
    "lr_rec_exit": "rval duration_ns is_error chunks",
    "lr_rec_status": "status",
    "lr_rec_fork": "child event",
    "lr_rec_exec": "former",
    "lr_rec_path": "fd len",
    "lr_rec_lost": "error",
    "lr_chunk": "arg what cut bad len",
}
OFFSETS = {
    "lr_record": [0, 4, 6, 8, 12, 16], "lr_rec_enter": [0, 8, 56, 60], "lr_rec_exit": [0, 8, 16, 20],
    "lr_rec_status": [0], "lr_rec_fork": [0, 4], "lr_rec_exec": [0], "lr_rec_path": [0, 4], "lr_rec_lost": [0],
    "lr_chunk": [0, 1, 2, 3, 4],
}  # fmt: skip


def test_fields_lie_where_the_reader_takes_them(tmp_path: FilePath) -> None:
    """No field of records.h has moved."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler")
    checks = "\n".join(
        f'_Static_assert(offsetof(struct {name}, {field}) == {offset}, "{name}.{field}");'
        for name, fields in FIELDS.items()
        for field, offset in zip(fields.split(), OFFSETS[name], strict=True)
    )
    source = tmp_path / "offsets.c"
    source.write_text(f'#include <stddef.h>\n#include "{HEADER}"\n{checks}\n')
    subprocess.run([compiler, "-fsyntax-only", source], check=True)
