"""What is longer than a record of the tracer (LR_RECORD_MAX, records.h) is cut at its end, and nothing is made up."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.programs import LOWRUN, mock


def lines_of(string_limit: int, tmp_path: Path) -> dict[str, str]:
    """The last line of each call of mock/huge.c, by the call's name."""
    text = tmp_path / "lines"
    subprocess.run(
        [LOWRUN, "trace", "-s", str(string_limit), "-e", "write,writev,execve", "-o", text, mock("huge")],
        check=True, capture_output=True,
    )  # fmt: skip
    return {line.split()[2].partition("(")[0]: line for line in text.read_text().splitlines() if "(" in line}


@pytest.mark.parametrize("string_limit", [70000, 100000, 1000000, 5000000000])
def test_a_long_buffer_is_shown_to_the_limit(string_limit: int, tmp_path: Path) -> None:
    """The limit can be more than what one process_vm_readv copies, and more than a record holds."""
    shown = re.search('"(x*)"', lines_of(string_limit, tmp_path)["write"])
    assert shown is not None
    assert len(shown[1]) == min(string_limit, 100000)


@pytest.mark.parametrize("string_limit", [2048, 100000, 1000000])
def test_no_argument_is_made_up(string_limit: int, tmp_path: Path) -> None:
    """Of 400 arguments of 3000 bytes as many are shown as a record holds, then `...`."""
    line = lines_of(string_limit, tmp_path)["execve"]
    words = re.findall('"(y*)"', line)
    assert len(words) > 150
    assert {len(word) for word in words[:-1]} == {min(string_limit, 3000)}
    assert words[-1]
    assert re.search(r'y"(\.\.\.)?, \.\.\.\], ', line)


@pytest.mark.parametrize("string_limit", [2048, 100000, 1000000])
def test_no_buffer_is_made_up(string_limit: int, tmp_path: Path) -> None:
    """Of 400 buffers those that a record has no room for are shown as addresses."""
    line = lines_of(string_limit, tmp_path)["writev"]
    assert line.count("iov_len=3000") == 400
    assert 'iov_base=""' not in line
    assert line.count("iov_base=0x") + len(re.findall('iov_base="y+"', line)) == 400
