"""A signal's siginfo_t as text (sigaction(2) says which fields a code makes valid)."""

from __future__ import annotations

import signal
import struct
from collections.abc import Mapping

from lowrun.trace.arch import AUDIT_ARCH_X86_64
from lowrun.trace.constants import ERRNO, enum_text, flags_text, signal_name
from lowrun.trace.quoting import address, ticks_text
from lowrun.trace.table import FOREIGN, call_of

__all__ = ["siginfo_text"]

_CODES = {0: "SI_USER", 0x80: "SI_KERNEL", -1: "SI_QUEUE", -2: "SI_TIMER", -3: "SI_MESGQ", -4: "SI_ASYNCIO",
          -5: "SI_SIGIO", -6: "SI_TKILL", -7: "SI_DETHREAD", -60: "SI_ASYNCNL"}  # fmt: skip
_OF_SIGNAL = {
    signal.SIGCHLD: "CLD_EXITED CLD_KILLED CLD_DUMPED CLD_TRAPPED CLD_STOPPED CLD_CONTINUED",
    signal.SIGSEGV: "SEGV_MAPERR SEGV_ACCERR SEGV_BNDERR SEGV_PKUERR",
    signal.SIGBUS: "BUS_ADRALN BUS_ADRERR BUS_OBJERR BUS_MCEERR_AR BUS_MCEERR_AO",
    signal.SIGFPE: "FPE_INTDIV FPE_INTOVF FPE_FLTDIV FPE_FLTOVF FPE_FLTUND FPE_FLTRES FPE_FLTINV FPE_FLTSUB"
    " - - - - - FPE_FLTUNK FPE_CONDTRAP",
    signal.SIGILL: "ILL_ILLOPC ILL_ILLOPN ILL_ILLADR ILL_ILLTRP ILL_PRVOPC ILL_PRVREG ILL_COPROC ILL_BADSTK",
    signal.SIGTRAP: "TRAP_BRKPT TRAP_TRACE TRAP_BRANCH TRAP_HWBKPT TRAP_UNK TRAP_PERF",
    signal.SIGIO: "POLL_IN POLL_OUT POLL_MSG POLL_ERR POLL_PRI POLL_HUP",
    signal.SIGSYS: "SYS_SECCOMP SYS_USER_DISPATCH",
}
SIGINFO_SIZE = 128
_FAULTS = frozenset((signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGTRAP))
_arch = enum_text("audit_arch")
_perf_type = enum_text("perf_event_type")
_perf_flags = flags_text("perf_trap_flags")


def _code_text(number: int, code: int) -> str:
    if code in _CODES:
        return _CODES[code]
    names = _OF_SIGNAL.get(signal.Signals(number), "").split() if 0 < number < 32 else []
    name = names[code - 1] if 0 < code <= len(names) else "-"
    return name if name != "-" else f"{code & 0xFFFFFFFF:#x}"


# Each returns the fields after si_code and si_errno; offsets as in linux/asm-generic/siginfo.h on 64 bits.


def _source(data: bytes) -> list[str]:
    pid, uid = struct.unpack_from("<iI", data, 16)
    return [f"si_pid={pid}", f"si_uid={uid}"]


def _value(data: bytes) -> list[str]:
    (number,), (pointer,) = struct.unpack_from("<i", data, 24), struct.unpack_from("<Q", data, 24)
    return [f"si_int={number}", f"si_ptr={address(pointer)}"]


def _has_value(data: bytes) -> bool:
    return any(data[24:32])


def _of_descriptor(data: bytes, descriptors: Mapping[int, str]) -> list[str]:
    band, fd = struct.unpack_from("<qi", data, 16)
    return [f"si_band={band}", f"si_fd={fd}{descriptors.get(fd, '')}"]


def _from_user(code: int, data: bytes, descriptors: Mapping[int, str]) -> list[str]:
    if code == -2:
        timer, overrun = struct.unpack_from("<Ii", data, 16)
        return [f"si_timerid={timer:#x}" if timer else "si_timerid=0", f"si_overrun={overrun}", *_value(data)]
    if code == -5:
        return _of_descriptor(data, descriptors)
    return _source(data) + (_value(data) if code not in (0, -6) and _has_value(data) else [])


def _child(code: int, data: bytes) -> list[str]:
    status, user, system = struct.unpack_from("<i4xqq", data, 24)
    ended = str(status) if code == 1 else signal_name(status)
    return [*_source(data), f"si_status={ended}", f"si_utime={ticks_text(user)}", f"si_stime={ticks_text(system)}"]


def _fault(number: int, code: int, data: bytes) -> list[str]:
    where, second, third, fourth = struct.unpack_from("<4Q", data, 16)
    fields = [f"si_addr={address(where)}"]
    if number == signal.SIGBUS and code in (4, 5):
        lsb = second & 0xFFFF
        fields.append(f"si_addr_lsb={lsb:#x}" if lsb else "si_addr_lsb=0")
    elif number == signal.SIGSEGV and code == 3:
        fields += [f"si_lower={address(third)}", f"si_upper={address(fourth)}"]
    elif number == signal.SIGSEGV and code == 4:
        fields.append(f"si_pkey={third & 0xFFFFFFFF}")
    elif number == signal.SIGTRAP and code == 6:
        fields.append(f"si_perf_data={second:#x}" if second else "si_perf_data=0")
        fields += [f"si_perf_type={_perf_type(third & 0xFFFFFFFF)}", f"si_perf_flags={_perf_flags(third >> 32)}"]
    return fields


def _bad_call(data: bytes) -> list[str]:
    where, number, arch = struct.unpack_from("<QiI", data, 16)
    call = call_of(number if arch == AUDIT_ARCH_X86_64 else (number & 0xFFFFFFFF) | FOREIGN)
    name = f"{number & 0xFFFFFFFF:#x}" if call.name.startswith("syscall_") else f"__NR_{call.name}"
    return [f"si_call_addr={address(where)}", f"si_syscall={name}", f"si_arch={_arch(arch)}"]


def _from_kernel(number: int, code: int, data: bytes, descriptors: Mapping[int, str]) -> list[str]:
    if number == signal.SIGCHLD:
        return _child(code, data)
    if number in _FAULTS:
        return _fault(number, code, data)
    if number == signal.SIGIO:
        return _of_descriptor(data, descriptors) if 0 < code <= 6 else []
    if number == signal.SIGSYS:
        return _bad_call(data)
    return (_source(data) if any(data[16:24]) else []) + (_value(data) if _has_value(data) else [])


def siginfo_text(data: bytes, descriptors: Mapping[int, str] | None = None) -> str:
    """Return `{si_signo=SIGCHLD, si_code=CLD_EXITED, si_pid=7, ...}` of a siginfo_t (128 bytes; less was cut off).

    `descriptors` says what the process's descriptors are, `<...>`.
    """
    data = data.ljust(SIGINFO_SIZE, b"\0")
    number, errno, code = struct.unpack_from("<iii", data)
    if not number:
        return "{}"
    fields = [f"si_signo={signal_name(number)}", f"si_code={_code_text(number, code)}"]
    if errno:
        fields.append(f"si_errno={ERRNO.get(errno) or errno & 0xFFFFFFFF}")
    known = descriptors or {}
    fields += _from_user(code, data, known) if code <= 0 else _from_kernel(number, code, data, known)
    return "{" + ", ".join(fields) + "}"
