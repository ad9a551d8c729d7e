"""Readers of memory whose text depends on more than its own bytes, or has no fixed layout.

Structs that a row can describe are in layouts.py; those about processes in
memory_process.py.
"""

from __future__ import annotations

import errno
import struct

from lowrun.trace.constants import enum_text, flags_text
from lowrun.trace.context import Context, signed
from lowrun.trace.layout import layout_text
from lowrun.trace.memory_process import PROCESS_MEMORY
from lowrun.trace.quoting import address, hexed, octal, quoted
from lowrun.trace.reading import Reader, hexadecimal, integer, numbers, parts, pointed
from lowrun.trace.records import Chunk
from lowrun.trace.scalars import descriptor_text, open_flags_text
from lowrun.trace.structs import sigset_text, timespec_text

__all__ = ["MEMORY"]

# -- files, rings, queues


def _file_handle(c: Context, i: int, chunk: Chunk) -> str:
    size, kind = struct.unpack_from("<Ii", chunk.data)
    entry = c.at_entry.get(i)
    room = integer(entry.data) if c.at_exit and entry is not None else size
    length = f"{room}" if room == size else f"{room} => {size}"
    if c.failed:
        return f"{{handle_bytes={length}}}"
    return f"{{handle_bytes={length}, handle_type={kind}, f_handle={hexed(chunk.data[8 : 8 + min(size, 128)])}}}"


def _open_how(c: Context, i: int, chunk: Chunk) -> str:
    flags, mode, resolve = struct.unpack_from("<QQQ", chunk.data)
    middle = f", mode={octal(mode)}" if mode or flags & 0o20000100 else ""
    return f"{{flags={open_flags_text(flags)}{middle}, resolve={_resolve(resolve)}}}"


_resolve = flags_text("resolve_flags")
_uring_setup, _uring_features = flags_text("uring_setup"), flags_text("uring_features")


def _uring_params(c: Context, i: int, chunk: Chunk) -> str:
    entry = c.at_entry.get(i)
    data = entry.data if entry is not None and len(entry.data) >= 120 else chunk.data
    flags, cpu, idle = struct.unpack_from("<III", data, 8)
    fields = [f"flags={_uring_setup(flags)}", f"sq_thread_cpu={hexadecimal(cpu)}", f"sq_thread_idle={idle}"]
    if flags & 0x20:
        fields.append(f"wq_fd={descriptor_text(c, signed(integer(data, 24)))}")
    if any(data[28:40]):
        fields.append("resv=[" + ", ".join(hexadecimal(word) for word in struct.unpack_from("<3I", data, 28)) + "]")
    if c.failed or not c.at_exit:
        return "{" + ", ".join(fields) + "}"
    entries, complete = struct.unpack_from("<II", chunk.data)
    fields += [
        f"sq_entries={entries}",
        f"cq_entries={complete}",
        f"features={_uring_features(integer(chunk.data, 20))}",
    ]
    fields += [f"sq_off={_sq_off(chunk.data[40:80], c)}", f"cq_off={_cq_off(chunk.data[80:120], c)}"]
    return "{" + ", ".join(fields) + "}"


_sq_off, _cq_off = layout_text("sq_off"), layout_text("cq_off")


def _msgbuf(c: Context, i: int, chunk: Chunk) -> str:
    (kind,) = struct.unpack_from("<q", chunk.data)
    size = c.arguments[i + 1]
    text = chunk.data[8:][: max(0, min(size, 2048))]
    return f"{{mtype={kind}, mtext={quoted(text, size > len(text))}}}"


_iocb_cmd, _iocb_flags, _rwf = enum_text("iocb_cmd"), flags_text("iocb_flags"), flags_text("rwf_flags")


def _iocb_text(c: Context, data: bytes) -> str:
    value, key, flags, code, priority, fd, buffer, size, offset, _, more, result = struct.unpack_from(
        "<QIIHhIQQqQII", data
    )
    fields = [f"aio_data={hexadecimal(value)}"]
    fields += [f"aio_key={key}"] * bool(key) + [f"aio_rw_flags={_rwf(flags)}"] * bool(flags)
    fields.append(f"aio_lio_opcode={_iocb_cmd(code)}")
    fields += [f"aio_reqprio={priority}"] * bool(priority)
    fields.append(f"aio_fildes={descriptor_text(c, signed(fd))}")
    if code in (0, 1, 7, 8):
        fields += [f"aio_buf={address(buffer)}", f"aio_nbytes={size}", f"aio_offset={offset}"]
    elif code == 5:
        fields.append(f"aio_buf={_poll_events(buffer)}")
    fields += [f"aio_flags={_iocb_flags(more)}"] * bool(more)
    fields += [f"aio_resfd={descriptor_text(c, signed(result))}"] * bool(more & 1)
    return "{" + ", ".join(fields) + "}"


_poll_events = flags_text("poll_events")


def _iocbs(c: Context, i: int, chunk: Chunk) -> str:
    data, at = chunk.data, 0
    count = min(c.arguments[i - 1], 32)
    pointers, at = struct.unpack_from(f"<{count}Q", data), 8 * count
    texts = []
    for pointer in pointers:
        size = integer(data, at)
        texts.append(_iocb_text(c, data[at + 8 : at + 8 + size]) if size >= 64 else address(pointer))
        at += 8 + ((size + 7) & ~7)
    return "[" + ", ".join([*texts, "..."] if chunk.cut else texts) + "]"


def _io_event(c: Context, i: int, chunk: Chunk) -> str:
    texts = [
        f"{{data={hexadecimal(value)}, obj={address(pointer)}, res={one}, res2={two}}}"
        for value, pointer, one, two in struct.iter_unpack("<QQqq", chunk.data[: len(chunk.data) // 32 * 32])
    ]
    return "[" + ", ".join(texts) + "]"


def _nodemask(c: Context, i: int, chunk: Chunk) -> str:
    # How many bits it has is told right behind it; by migrate_pages before both.
    told = 1 if i == 3 and c.arguments[1] <= 1 << 16 and len(c.at_entry) == 2 else i + 1
    bits = c.arguments[told]
    count = min((bits + 62) // 64, len(chunk.data) // 8)
    words = struct.unpack_from(f"<{count}Q", chunk.data)
    return "[" + ", ".join(f"{word:#016x}" if word else "0" * 16 for word in words) + "]"


def _page_status(c: Context, i: int, chunk: Chunk) -> str:
    values = struct.unpack_from(f"<{len(chunk.data) // 4}i", chunk.data)
    return (
        "["
        + ", ".join("-" + errno.errorcode.get(-value, str(-value)) if value < 0 else str(value) for value in values)
        + "]"
    )


def _iovec_raw(c: Context, i: int, chunk: Chunk) -> str:
    texts = [f"{{iov_base={address(base)}, iov_len={size}}}" for base, size in struct.iter_unpack("<QQ", chunk.data)]
    return "[" + ", ".join([*texts, "..."] if chunk.cut else texts) + "]"


def _one_iovec(c: Context, i: int, chunk: Chunk) -> str:
    data, _body, _bad = parts(chunk.data)
    base, size = struct.unpack_from("<QQ", data)
    return f"{{iov_base={address(base)}, iov_len={size}}}"


_SHM = ("shm_segsz", "shm_cpid", "shm_lpid", "shm_nattch", "shm_atime", "shm_dtime", "shm_ctime")


def _shmid(c: Context, i: int, chunk: Chunk) -> str:
    size, atime, dtime, ctime, cpid, lpid, nattch = struct.unpack_from("<QqqqiiQ", chunk.data, 48)
    values = (size, cpid, lpid, nattch, atime, dtime, ctime)
    return (
        f"{{shm_perm={_perm_text(chunk.data)}, "
        + ", ".join(f"{n}={v}" for n, v in zip(_SHM, values, strict=True))
        + "}"
    )


def _perm_text(data: bytes, whole: bool = True) -> str:
    key, uid, gid, cuid, cgid, mode = struct.unpack_from("<5IH", data)
    text = f"uid={uid}, gid={gid}, mode={octal(mode)}"
    return f"{{{text}, key={key}, cuid={cuid}, cgid={cgid}}}" if whole else f"{{{text}}}"


def _semid(c: Context, i: int, chunk: Chunk) -> str:
    otime, ctime, count = struct.unpack_from("<q8xq8xQ", chunk.data, 48)
    return f"{{sem_perm={_perm_text(chunk.data)}, sem_otime={otime}, sem_ctime={ctime}, sem_nsems={count}}}"


_MSG = ("msg_stime", "msg_rtime", "msg_ctime", "msg_qnum", "msg_qbytes", "msg_lspid", "msg_lrpid")


def _msqid(c: Context, i: int, chunk: Chunk) -> str:
    stime, rtime, ctime, _bytes, number, most, sender, receiver = struct.unpack_from("<qqqQQQii", chunk.data, 48)
    values = (stime, rtime, ctime, number, most, sender, receiver)
    return (
        f"{{msg_perm={_perm_text(chunk.data)}, "
        + ", ".join(f"{n}={v}" for n, v in zip(_MSG, values, strict=True))
        + "}"
    )


def _sem_set(name: str) -> Reader:
    return lambda c, i, chunk: f"{{{name}_perm={_perm_text(chunk.data, False)}}}"


def _fds(c: Context, i: int, chunk: Chunk) -> str:
    values = struct.unpack_from(f"<{len(chunk.data) // 4}i", chunk.data)
    return "[" + ", ".join(descriptor_text(c, fd) for fd in values) + "]"


_mempolicy = enum_text("mempolicy")

#: mount(2) that changes a mount, not makes one: type and data mean nothing then.
_NO_TYPE, _NO_DATA = 0x20 | 0x1000 | 0x2000 | 0x1E0000, 0x1000 | 0x2000 | 0x1E0000


def _mount_string(unless: int) -> Reader:
    return lambda c, i, chunk: address(c.arguments[i]) if c.arguments[3] & unless else quoted(chunk.data, chunk.cut)


def _mincore(c: Context, i: int, chunk: Chunk) -> str:
    count = (c.arguments[1] + 4095) // 4096
    texts = [str(byte) if byte < 2 else f"{byte:#x}" for byte in chunk.data[: min(count, 32)]]
    return "[" + ", ".join([*texts, "..."] if count > 32 else texts) + "]"


def _sigset_arg(c: Context, i: int, chunk: Chunk) -> str:
    data, mask, bad = parts(chunk.data)
    pointer, size = struct.unpack_from("<QQ", data)
    return f"{{sigmask={address(pointer) if bad or not mask else sigset_text(mask)}, sigsetsize={size}}}"


def _timeout(c: Context, i: int, chunk: Chunk) -> str:
    """A time to wait, as it was given; what is left of it stands behind the result."""
    entry = c.at_entry.get(i)
    if entry is None or entry.bad or len(entry.data) < 16:
        return address(c.arguments[i])
    return timespec_text(entry.data)


MEMORY: dict[str, Reader] = PROCESS_MEMORY | {
    "mount_type": _mount_string(_NO_TYPE), "mount_data": _mount_string(_NO_DATA), "mincore": _mincore,
    "timeout": _timeout,
    "aio_sigset": _sigset_arg, "sigset_arg": _sigset_arg,
    "pointer": pointed(address, 8), "hex32": pointed(hexadecimal),
    "hex64": numbers("Q", hexadecimal), "kernel_ulong": pointed(hexadecimal, 8), "kernel_ulong_u": pointed(str, 8),
    "ushort": pointed(str, 2), "ulong64": pointed(str, 8),
    "long64": lambda c, i, chunk: f"[{integer(chunk.data, 0, 8, True)}]",
    "char": lambda c, i, chunk: f"[{quoted(chunk.data[:1])}]".replace('"', "'"),
    "modem32": pointed(flags_text("modem_flags")), "fs_flags32": pointed(flags_text("fs_flags")),
    "uint64_pair": lambda c, i, chunk: "[{}, {}]".format(*struct.unpack_from("<QQ", chunk.data)),
    "file_handle": _file_handle, "open_how": _open_how, "io_uring_params": _uring_params, "msgbuf": _msgbuf,
    "iocb": _iocbs, "iocb_one": lambda c, i, chunk: _iocb_text(c, chunk.data), "io_event": _io_event,
    "nodemask": _nodemask, "int_array": numbers("i"), "page": numbers("Q", address),
    "page_status": _page_status, "iovec_raw": _iovec_raw,
    "one_iovec": _one_iovec, "shmid_ds": _shmid, "semid_ds": _semid, "msqid_ds": _msqid,
    "shmid_ds_set": _sem_set("shm"), "semid_ds_set": _sem_set("sem"), "msqid_ds_set": _sem_set("msg"),
    "fd32": _fds, "mempolicy32": pointed(_mempolicy),
}  # fmt: skip
