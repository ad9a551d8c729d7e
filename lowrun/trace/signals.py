"""A signal's siginfo_t as text (sigaction(2) says which fields a code makes valid)."""

from __future__ import annotations

import signal
import struct

from lowrun.trace.constants import signal_name
from lowrun.trace.quoting import address, ticks_text

__all__ = ["siginfo_text"]

_CODES = {0: "SI_USER", 0x80: "SI_KERNEL", -1: "SI_QUEUE", -2: "SI_TIMER", -3: "SI_MESGQ", -4: "SI_ASYNCIO",
          -5: "SI_SIGIO", -6: "SI_TKILL", -7: "SI_DETHREAD", -60: "SI_ASYNCNL"}  # fmt: skip
_OF_SIGNAL = {
    signal.SIGCHLD: "CLD_EXITED CLD_KILLED CLD_DUMPED CLD_TRAPPED CLD_STOPPED CLD_CONTINUED",
    signal.SIGSEGV: "SEGV_MAPERR SEGV_ACCERR SEGV_BNDERR SEGV_PKUERR",
    signal.SIGBUS: "BUS_ADRALN BUS_ADRERR BUS_OBJERR BUS_MCEERR_AR BUS_MCEERR_AO",
    signal.SIGFPE: "FPE_INTDIV FPE_INTOVF FPE_FLTDIV FPE_FLTOVF FPE_FLTUND FPE_FLTRES FPE_FLTINV FPE_FLTSUB",
    signal.SIGILL: "ILL_ILLOPC ILL_ILLOPN ILL_ILLADR ILL_ILLTRP ILL_PRVOPC ILL_PRVREG ILL_COPROC ILL_BADSTK",
    signal.SIGTRAP: "TRAP_BRKPT TRAP_TRACE TRAP_BRANCH TRAP_HWBKPT TRAP_UNK TRAP_PERF",
    signal.SIGIO: "POLL_IN POLL_OUT POLL_MSG POLL_ERR POLL_PRI POLL_HUP",
    signal.SIGSYS: "SYS_SECCOMP SYS_USER_DISPATCH",
}
SIGINFO_SIZE = 128
_FAULTS = frozenset((signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGTRAP))


def _code_text(number: int, code: int) -> str:
    if code in _CODES:
        return _CODES[code]
    names = _OF_SIGNAL.get(signal.Signals(number), "").split() if 0 < number < 32 else []
    return names[code - 1] if 0 < code <= len(names) else f"{code & 0xFFFFFFFF:#x}"


def siginfo_text(data: bytes) -> str:
    """Return `{si_signo=SIGCHLD, si_code=CLD_EXITED, si_pid=7, ...}` of a siginfo_t (128 bytes; less was cut off)."""
    data = data.ljust(SIGINFO_SIZE, b"\0")
    number, errno, code = struct.unpack_from("<iii", data)
    if not number and not code:
        return "{}"
    fields = [f"si_signo={signal_name(number)}", f"si_code={_code_text(number, code)}"]
    if errno:
        fields.append(f"si_errno={errno}")
    pid, uid, status = struct.unpack_from("<iIi", data, 16)
    (pointer,) = struct.unpack_from("<Q", data, 24)
    source = [f"si_pid={pid}", f"si_uid={uid}"]
    value = [f"si_int={status}", f"si_ptr={address(pointer)}"]
    if code == -2:
        fields += [f"si_timerid={_zero_hex(pid)}", f"si_overrun={uid}", *value]
    elif code <= 0:
        fields += source + (value if pointer and code not in (0, -6) else [])
    elif number == signal.SIGCHLD:
        user, system = struct.unpack_from("<qq", data, 32)
        ended = str(status) if code == 1 else signal_name(status)
        fields += [*source, f"si_status={ended}", f"si_utime={ticks_text(user)}", f"si_stime={ticks_text(system)}"]
    elif number in _FAULTS:
        (fault,) = struct.unpack_from("<Q", data, 16)
        fields.append(f"si_addr={address(fault)}")
    elif number == signal.SIGSYS:
        (fault,) = struct.unpack_from("<Q", data, 16)
        fields.append(f"si_call_addr={address(fault)}, si_syscall={status}")
    else:
        fields += (source if pid or uid else []) + (value if pointer else [])
    return "{" + ", ".join(fields) + "}"


def _zero_hex(value: int) -> str:
    return f"{value & 0xFFFFFFFF:#x}" if value else "0"
