"""Readers of what calls about processes point to: signals to come, capabilities, scheduling, perf events, bpf, keys."""

from __future__ import annotations

import struct
from collections.abc import Callable

from lowrun.trace.constants import enum_text, flags_text, names_of, signal_name
from lowrun.trace.context import Context, signed
from lowrun.trace.quoting import address, quoted
from lowrun.trace.reading import Reader, hexadecimal, integer, numbers, parts, pointed
from lowrun.trace.records import Chunk
from lowrun.trace.scalars import descriptor_text

__all__ = ["PROCESS_MEMORY"]


def _comm(limit: int) -> Reader:
    """A name of which `limit` bytes are looked at: one that does not end in them is cut there."""

    def reader(c: Context, i: int, chunk: Chunk) -> str:
        name, end, _ = chunk.data[:limit].partition(b"\0")
        return quoted(name, not end and len(name) >= limit)

    return reader


# -- processes: signals to come, capabilities, events


def _sigevent(c: Context, i: int, chunk: Chunk) -> str:
    value, number, notify, thread = struct.unpack_from("<Qiii", chunk.data)
    fields = []
    if value:
        fields.append(f"sigev_value={{sival_int={signed(value)}, sival_ptr={address(value)}}}")
    fields.append(f"sigev_signo={signal_name(number) if notify in (0, 2, 4) else number & 0xFFFFFFFF}")
    fields.append(f"sigev_notify={_sigev_notify(notify)}")
    if notify == 4:
        fields.append(f"sigev_notify_thread_id={thread}")
    if notify == 2:
        function, attributes = struct.unpack_from("<QQ", chunk.data, 16)
        fields.append(f"sigev_notify_function={address(function)}, sigev_notify_attributes={address(attributes)}")
    return "{" + ", ".join(fields) + "}"


_sigev_notify = enum_text("sigev_notify")
_cap_version = enum_text("cap_version")


def _cap_header(c: Context, i: int, chunk: Chunk) -> str:
    version, pid = struct.unpack_from("<Ii", chunk.data)
    return f"{{version={_cap_version(version)}, pid={pid}}}"


def _caps(bits: int) -> str:
    """Return names as bits: `1<<CAP_CHOWN` written as strace does, `CAP_CHOWN|...`."""
    if not bits:
        return "0"
    words = [f"1<<{name}" for number, name in names_of("cap") if bits >> number & 1]
    known = sum(1 << number for number, _ in names_of("cap"))
    low, high = bits & ~known & 0xFFFFFFFF, (bits & ~known) >> 32
    words += [f"{high:#x}"] * bool(high) + [f"{low:#x}"] * bool(low)
    return "|".join(words)


def _cap_data(c: Context, i: int, chunk: Chunk) -> str:
    header = c.at_entry.get(0)
    wide = header is not None and integer(header.data) != 0x19980330
    if len(chunk.data) < (24 if wide else 12):
        raise struct.error
    low = struct.unpack_from("<3I", chunk.data)
    high = struct.unpack_from("<3I", chunk.data, 12) if wide else (0, 0, 0)
    names = ("effective", "permitted", "inheritable")
    pairs = zip(names, low, high, strict=True)
    return "{" + ", ".join(f"{name}={_caps(lo | hi << 32)}" for name, lo, hi in pairs) + "}"


def _sched_attr(c: Context, i: int, chunk: Chunk) -> str:
    data = chunk.data
    size, policy, flags, nice, priority, runtime, deadline, period = struct.unpack_from(
        "<IIQiIQQQ", data.ljust(48, b"\0")
    )
    if len(data) < 48:
        raise struct.error
    policy_text = _scheduler(policy)
    fields = [f"size={size}", f"sched_policy={policy_text}", f"sched_flags={_sched_flags(flags)}"]
    if policy in (0, 3):
        fields.append(f"sched_nice={nice}")
    fields += [f"sched_priority={priority}", f"sched_runtime={runtime}", f"sched_deadline={deadline}"]
    fields.append(f"sched_period={period}")
    if size >= 56 and len(data) >= 56:
        fields += ["sched_util_min={}, sched_util_max={}".format(*struct.unpack_from("<II", data, 48))]
    return "{" + ", ".join([*fields, "..."] if size > 56 else fields) + "}"


_scheduler = enum_text("scheduler")
_sched_flags = flags_text("sched_attr_flags")

_PERF_FLAGS = (
    "disabled inherit pinned exclusive exclude_user exclude_kernel exclude_hv exclude_idle mmap comm freq inherit_stat"
    " enable_on_exec task watermark"
).split()
_PERF_MORE = (
    "mmap_data sample_id_all exclude_host exclude_guest exclude_callchain_kernel exclude_callchain_user mmap2 comm_exec"
    " use_clockid context_switch write_backward namespaces ksymbol bpf_event aux_output cgroup text_poke build_id"
    " inherit_thread remove_on_exec sigtrap"
).split()
_PRECISE = ("arbitrary skid", "constant skid", "requested to have 0 skid", "must have 0 skid")
_perf_type, _perf_size = enum_text("perf_type"), enum_text("perf_size")
_perf_hw, _perf_sw, _perf_cache = enum_text("perf_hw"), enum_text("perf_sw"), enum_text("perf_cache")
_perf_op, _perf_result = enum_text("perf_cache_op"), enum_text("perf_cache_result")
_perf_sample, _perf_read = flags_text("perf_sample"), flags_text("perf_read")


def _perf_config(kind: int, config: int) -> str:
    unit = f"{config >> 32:#x}<<32|" if config >> 32 and kind in (0, 3) else ""
    low = config & 0xFFFFFFFF
    if kind == 0:
        return unit + _perf_hw(low)
    if kind == 1:
        return _perf_sw(config)
    if kind == 2:
        return str(config)
    if kind == 3:
        rest = f"{low >> 24:#x}<<24|" if low >> 24 else ""
        result, operation = _perf_result(low >> 16 & 0xFF), _perf_op(low >> 8 & 0xFF)
        return f"{unit}{rest}{result}<<16|{operation}<<8|{_perf_cache(low & 0xFF)}"
    return hexadecimal(config)


def _perf_attr(c: Context, i: int, chunk: Chunk) -> str:
    kind, size, config, period, sample, read, flags = struct.unpack_from("<IIQQQQQ", chunk.data)
    fields = [f"type={_perf_type(kind)}", f"size={_perf_size(size)}", f"config={_perf_config(kind, config)}"]
    fields.append(f"{'sample_freq' if flags & 0x400 else 'sample_period'}={period}")
    fields += [f"sample_type={_perf_sample(sample)}", f"read_format={_perf_read(read)}"]
    fields += [f"{name}=1" for bit, name in enumerate(_PERF_FLAGS) if flags >> bit & 1]
    precise = flags >> 15 & 3
    fields.append(f"precise_ip={precise} /* {_PRECISE[precise]} */")
    fields += [f"{name}=1" for bit, name in enumerate(_PERF_MORE, 17) if flags >> bit & 1]
    if flags >> 38:
        fields.append(f"__reserved_1={flags >> 38:#x} /* Bits 63..38 */")
    return "{" + ", ".join([*fields, "..."]) + "}"


def _seccomp_action(c: Context, i: int, chunk: Chunk) -> str:
    value = integer(chunk.data)
    name = _action(value & 0xFFFF0000).partition(" ")[0]
    return f"[{name}|{value & 0xFFFF:#x}]" if value & 0xFFFF else f"[{name}]"


_action = enum_text("seccomp_action")

# -- bpf(2)

_bpf_map_type, _bpf_prog_type, _bpf_attach = (
    enum_text("bpf_map_type"),
    enum_text("bpf_prog_type"),
    enum_text("bpf_attach"),
)
_bpf_map_flags, _bpf_prog_flags, _bpf_file = (
    flags_text("bpf_map_flags"), flags_text("bpf_prog_flags"), flags_text("bpf_file_flags"),
)  # fmt: skip


def _fields(data: bytes, c: Context, rows: tuple[tuple[str, int, int, Callable[[int], str]], ...]) -> list[str]:
    """Return the fields (name, offset, size, text) as far as `data` goes."""
    return [f"{name}={text(integer(data, at, size))}" for name, at, size, text in rows if at + size <= len(data)]


def _bpf_map_create(c: Context, i: int, chunk: Chunk) -> str:
    data = chunk.data
    data = data.ljust(16, b"\0")

    def fd(number: int) -> str:
        return descriptor_text(c, signed(number))

    fields = _fields(data, c, (
        ("map_type", 0, 4, _bpf_map_type), ("key_size", 4, 4, str), ("value_size", 8, 4, str),
        ("max_entries", 12, 4, str), ("map_flags", 16, 4, _bpf_map_flags), ("inner_map_fd", 20, 4, fd),
    ))  # fmt: skip
    if len(data) >= 28 and integer(data, 16) & 4:
        fields.append(f"numa_node={integer(data, 24)}")
    if len(data) > 28:
        fields.append(f"map_name={quoted(data[28:44].partition(bytes(1))[0])}")
    return "{" + ", ".join([*fields, *_fields(data, c, (
        ("map_ifindex", 44, 4, str), ("btf_fd", 48, 4, fd), ("btf_key_type_id", 52, 4, str),
        ("btf_value_type_id", 56, 4, str), ("btf_vmlinux_value_type_id", 60, 4, str), ("map_extra", 64, 8, str),
    ))]) + "}"  # fmt: skip


def _version(value: int) -> str:
    return f"KERNEL_VERSION({value >> 16}, {value >> 8 & 0xFF}, {value & 0xFF})"


def _bpf_prog_load(c: Context, i: int, chunk: Chunk) -> str:
    data, licence, cut = parts(chunk.data)
    data = data[: c.arguments[i + 1]]
    if len(data) < 24:
        raise struct.error

    def fd(number: int) -> str:
        return descriptor_text(c, signed(number))

    pointer = integer(data, 16, 8)
    fields = [
        f"prog_type={_bpf_prog_type(integer(data))}",
        f"insn_cnt={integer(data, 4)}",
        f"insns={address(integer(data, 8, 8))}",
    ]
    fields.append(f"license={quoted(licence) if pointer and not (cut and not licence) else address(pointer)}")
    fields += _fields(data, c, (
        ("log_level", 24, 4, str), ("log_size", 28, 4, str), ("log_buf", 32, 8, address),
        ("kern_version", 40, 4, _version), ("prog_flags", 44, 4, _bpf_prog_flags),
    ))  # fmt: skip
    if len(data) > 48:
        fields.append(f"prog_name={quoted(data[48:64].partition(bytes(1))[0])}")
    fields += _fields(data, c, (
        ("prog_ifindex", 64, 4, str), ("expected_attach_type", 68, 4, _bpf_attach), ("prog_btf_fd", 72, 4, fd),
        ("func_info_rec_size", 76, 4, str), ("func_info", 80, 8, address), ("func_info_cnt", 88, 4, str),
        ("line_info_rec_size", 92, 4, str), ("line_info", 96, 8, address), ("line_info_cnt", 104, 4, str),
        ("attach_btf_id", 108, 4, str), ("attach_prog_fd", 112, 4, fd), ("fd_array", 120, 8, address),
    ))  # fmt: skip
    return "{" + ", ".join(fields) + "}"


def _bpf_obj(c: Context, i: int, chunk: Chunk) -> str:
    data, path, cut = parts(chunk.data)
    data = data[: c.arguments[i + 1]]
    if len(data) < 12:
        raise struct.error
    name = quoted(path) if not (cut and not path) else address(integer(data, 0, 8))
    flags = f", file_flags={_bpf_file(integer(data, 12))}" if len(data) >= 16 else ""
    return f"{{pathname={name}, bpf_fd={descriptor_text(c, signed(integer(data, 8)))}{flags}}}"


def _key_caps(c: Context, i: int, chunk: Chunk) -> str:
    texts = [
        _caps0(value) if at == 0 else _caps1(value) if at == 1 else hexadecimal(value)
        for at, value in enumerate(chunk.data)
    ]
    return "[" + ", ".join(texts) + "]"


_caps0, _caps1 = flags_text("keyctl_caps0"), flags_text("keyctl_caps1")


def _landlock_ruleset(c: Context, i: int, chunk: Chunk) -> str:
    """What the first version of Landlock has; that there is more is told."""
    more = ", ..." if c.arguments[i + 1] > 8 else ""
    return f"{{handled_access_fs={_landlock_fs(integer(chunk.data, 0, 8))}{more}}}"


_landlock_fs = flags_text("landlock_fs")
_DESCRIPTOR_BITS = (
    ("seg_32bit", 0, 1), ("contents", 1, 3), ("read_exec_only", 3, 1), ("limit_in_pages", 4, 1),
    ("seg_not_present", 5, 1), ("useable", 6, 1), ("lm", 7, 1),
)  # fmt: skip


def _user_desc(c: Context, i: int, chunk: Chunk) -> str:
    """A segment descriptor (asm/ldt.h), where the call is told its size."""
    if c.arguments[2] != len(chunk.data):
        return address(c.arguments[i])
    number, *places, bits = struct.unpack("<iIII", chunk.data)
    texts = [f"entry_number={number}"]
    # As C's `%#08x` has it: eight characters, of which a number that is not 0 spends two on its sign.
    texts += [f"{name}={f'{value:#08x}' if value else '0' * 8}" for name, value in zip(_PLACES, places, strict=True)]
    texts += [f"{name}={bits >> shift & mask}" for name, shift, mask in _DESCRIPTOR_BITS]
    return "{" + ", ".join(texts) + "}"


_PLACES = ("base_addr", "limit")
_lsm_id = enum_text("lsm_id")
_xfeature = flags_text("xfeatures")


def _xfeatures(c: Context, i: int, chunk: Chunk) -> str:
    value = integer(chunk.data, 0, 8)
    return f"[{hexadecimal(value)} /* {_xfeature(value)} */]" if value else "[0]"


PROCESS_MEMORY: dict[str, Reader] = {
    "comm": _comm(16), "comm15": _comm(15), "signal32": pointed(signal_name), "tsc32": pointed(enum_text("pr_tsc")),
    "unalign32": pointed(flags_text("pr_unalign")), "xfeatures": _xfeatures, "seccomp_action32": _seccomp_action,
    "notif_sizes": lambda c, i, chunk: "{{seccomp_notif={}, seccomp_notif_resp={}, seccomp_data={}}}".format(
        *struct.unpack_from("<HHH", chunk.data)
    ),
    "sigevent": _sigevent, "cap_header": _cap_header, "cap_data": _cap_data, "sched_attr": _sched_attr,
    "sched_attr_any": _sched_attr, "perf_attr": _perf_attr, "bpf_map_create": _bpf_map_create,
    "bpf_prog_load": _bpf_prog_load, "bpf_obj": _bpf_obj, "user_desc": _user_desc,
    "landlock_ruleset": _landlock_ruleset,
    "key_caps": _key_caps, "lsm_ids": numbers("Q", _lsm_id),
}  # fmt: skip
