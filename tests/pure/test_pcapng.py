"""The blocks that Python writes of a pcapng file, read back by python-pcapng."""

from __future__ import annotations

import io
import struct
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from pcapng import FileScanner

from lowrun.packets.pcapng import InterfaceStatistics, interface_block, section_block, statistics_block

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=300)
COUNT = st.integers(0, 2**64 - 1)
SECTION = section_block(hardware="h", os="o", application="a", comment="c")
INTERFACE = interface_block(linktype=1, snaplen=96, name="lo", mac=bytes(6), filter_text="", os="o")


def read(data: bytes) -> list[Any]:
    return list(FileScanner(io.BytesIO(data)))


def is_whole(block: bytes) -> bool:
    """A block's length stands at both its ends and is a multiple of 4."""
    (first,), (last,) = struct.unpack("=I", block[4:8]), struct.unpack("=I", block[-4:])
    return first == last == len(block) and len(block) % 4 == 0


@given(TEXT, TEXT, TEXT, TEXT)
def test_a_section_reads_back(hardware: str, os: str, application: str, comment: str) -> None:
    """Machine, system, program and comment come out as they went in."""
    block = section_block(hardware=hardware, os=os, application=application, comment=comment)
    assert is_whole(block)
    (section,) = read(block)
    options = section.options
    assert [options[name] for name in ("shb_hardware", "shb_os", "shb_userappl", "opt_comment")] == [
        hardware,
        os,
        application,
        comment,
    ]


@given(TEXT, TEXT | st.just(""), st.integers(0, 0xFFFF), st.integers(0, 0xFFFFFFFF), st.binary(min_size=6, max_size=6))
def test_an_interface_reads_back(name: str, filter_text: str, linktype: int, snaplen: int, mac: bytes) -> None:
    """Name, address, filter, resolution, link type and snaplen come out as they went in."""
    block = interface_block(linktype=linktype, snaplen=snaplen, name=name, mac=mac, filter_text=filter_text, os="o")
    assert is_whole(block)
    _section, interface = read(SECTION + block)
    assert (interface.link_type, interface.snaplen) == (linktype, snaplen)
    assert interface.options["if_name"] == name
    assert interface.options.get_raw("if_MACaddr") == mac
    assert interface.timestamp_resolution == 1e-9
    if filter_text:
        assert interface.options.get_raw("if_filter") == b"\0" + filter_text.encode()
    else:
        assert "if_filter" not in interface.options


@given(st.lists(COUNT, min_size=7, max_size=7), st.booleans())
def test_statistics_read_back(counts: list[int], known: bool) -> None:
    """Times and counts come out as they went in; what is not known is left out."""
    start, end, received, lost, accepted, dropped, delivered = counts
    statistics = InterfaceStatistics(
        start_ns=start,
        end_ns=end,
        received=received if known else None,
        interface_drops=lost if known else None,
        accepted=accepted,
        kernel_drops=dropped,
        delivered=delivered,
    )
    block = statistics_block(0, statistics)
    assert is_whole(block)
    read_back = read(SECTION + INTERFACE + block)[2]
    options = read_back.options
    assert (read_back.timestamp_high << 32 | read_back.timestamp_low) == end
    for name, value in (("starttime", start), ("endtime", end)):
        assert struct.unpack("=II", options.get_raw(f"isb_{name}")) == (value >> 32, value & 0xFFFFFFFF)
    assert [options[f"isb_{name}"] for name in ("filteraccept", "osdrop", "usrdeliv")] == [accepted, dropped, delivered]
    assert [options.get(f"isb_{name}") for name in ("ifrecv", "ifdrop")] == ([received, lost] if known else [None] * 2)


@given(TEXT.map(lambda text: text + "é" * 40_000))
def test_a_long_comment_is_cut_between_characters(comment: str) -> None:
    """An option holds 65,535 bytes: a longer command line is cut, and is UTF-8 still."""
    (section,) = read(section_block(hardware="h", os="o", application="a", comment=comment))
    assert 65_530 < len(section.options["opt_comment"].encode()) <= 65_535


def test_words_that_are_no_utf8_can_be_read() -> None:
    """A command's words may be any bytes; in the comment those that are no text are replaced."""
    (section,) = read(section_block(hardware="h", os="o", application="a", comment="cat a\udcff"))
    assert section.options["opt_comment"] == "cat a\ufffd"
