"""Architectures: the numbers of their calls, as python-ptrace knows them, and what came later.

From 424 on Linux gives a new call the same number on every machine, so one
list serves them all; only x86_64 is tested.

python-ptrace's tables are plain data, but importing them as
`ptrace.syscall.*` runs its package, which loads libc through ctypes (some
40 ms); so they are loaded by file.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from importlib.machinery import PathFinder
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

from lowrun.errors import InternalError

__all__ = ["AUDIT_ARCH_I386", "AUDIT_ARCH_X86_64", "CALLS_MAX", "X32_BIT", "machine_calls", "prototypes"]

AUDIT_ARCH_X86_64 = 0xC000003E
AUDIT_ARCH_I386 = 0x40000003
#: Set in the number of a call that x32 code makes.
X32_BIT = 0x40000000
#: Rows of the capture plan; x86_64's numbers from 512 on are x32's own.
CALLS_MAX = 512

#: What python-ptrace lacks or names as nobody else does.
X86_64_ONLY = {166: "umount2", 283: "timerfd_create", 334: "rseq", 335: "uretprobe", 336: "uprobe"}
SINCE_424 = """
    pidfd_send_signal io_uring_setup io_uring_enter io_uring_register open_tree move_mount fsopen fsconfig fsmount
    fspick pidfd_open clone3 close_range openat2 pidfd_getfd faccessat2 process_madvise epoll_pwait2 mount_setattr
    quotactl_fd landlock_create_ruleset landlock_add_rule landlock_restrict_self memfd_secret process_mrelease
    futex_waitv set_mempolicy_home_node cachestat fchmodat2 map_shadow_stack futex_wake futex_wait futex_requeue
    statmount listmount lsm_get_self_attr lsm_set_self_attr lsm_list_modules mseal setxattrat getxattrat listxattrat
    removexattrat open_tree_attr file_getattr file_setattr listns
""".split()
#: What python-ptrace names otherwise than asm/unistd_32.h, or lacks: number of the first, names in a row.
I386 = """
    16: lchown break oldstat 22: umount setuid getuid 28: oldfstat 31: stty gtty 35: ftime 44: prof 46: setgid
    getgid 49: geteuid getegid 52: umount2 lock 56: mpx 58: ulimit 70: setreuid setregid 76: getrlimit 80:
    getgroups setgroups select 84: oldlstat 89: readdir mmap 95: fchown 98: profil 106: stat lstat fstat 112:
    idle 127: create_module 130: get_kernel_syms 137: afs_syscall setfsuid setfsgid _llseek 142: _newselect 149:
    _sysctl 164: setresuid getresuid 167: query_module 170: setresgid getresgid 182: chown 188: getpmsg putpmsg
    191: ugetrlimit 198: lchown32 getuid32 getgid32 geteuid32 getegid32 setreuid32 setregid32 getgroups32
    setgroups32 fchown32 setresuid32 getresuid32 setresgid32 getresgid32 chown32 setuid32 setgid32 setfsuid32
    setfsgid32 273: vserver 320: utimensat signalfd timerfd_create eventfd fallocate timerfd_settime
    timerfd_gettime signalfd4 eventfd2 epoll_create1 dup3 pipe2 inotify_init1 preadv pwritev rt_tgsigqueueinfo
    perf_event_open recvmmsg fanotify_init fanotify_mark prlimit64 name_to_handle_at open_by_handle_at
    clock_adjtime syncfs sendmmsg setns process_vm_readv process_vm_writev kcmp finit_module sched_setattr
    sched_getattr renameat2 seccomp getrandom memfd_create bpf execveat socket socketpair bind connect listen
    accept4 getsockopt setsockopt getsockname getpeername sendto sendmsg recvfrom recvmsg shutdown userfaultfd
    membarrier mlock2 copy_file_range preadv2 pwritev2 pkey_mprotect pkey_alloc pkey_free statx arch_prctl
    io_pgetevents rseq 393: semget semctl shmget shmctl shmat shmdt msgget msgsnd msgrcv msgctl clock_gettime64
    clock_settime64 clock_adjtime64 clock_getres_time64 clock_nanosleep_time64 timer_gettime64 timer_settime64
    timerfd_gettime64 timerfd_settime64 utimensat_time64 pselect6_time64 ppoll_time64 416: io_pgetevents_time64
    recvmmsg_time64 mq_timedsend_time64 mq_timedreceive_time64 semtimedop_time64 rt_sigtimedwait_time64
    futex_time64 sched_rr_get_interval_time64
"""
#: x32's own calls, from 512 on: those whose structs differ from x86_64's. The rest are x86_64's.
X32 = """
    rt_sigaction rt_sigreturn ioctl readv writev recvfrom sendmsg recvmsg execve ptrace rt_sigpending
    rt_sigtimedwait rt_sigqueueinfo sigaltstack timer_create mq_notify kexec_load waitid set_robust_list
    get_robust_list vmsplice move_pages preadv pwritev rt_tgsigqueueinfo recvmmsg sendmmsg process_vm_readv
    process_vm_writev setsockopt getsockopt io_setup io_submit execveat preadv2 pwritev2
""".split()


def _load(path: str) -> ModuleType:
    package = PathFinder.find_spec("ptrace")
    if package is None or not package.submodule_search_locations:
        raise InternalError("python-ptrace is not installed")
    file = Path(package.submodule_search_locations[0], path)
    spec = spec_from_file_location("lowrun_ptrace_" + file.stem, file)
    if spec is None or spec.loader is None:
        raise InternalError(f"python-ptrace has no {path}")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _i386() -> dict[int, str]:
    names, number = {}, 0
    for word in I386.split():
        if word.endswith(":"):
            number = int(word[:-1])
        else:
            names[number] = word
            number += 1
    return names


@lru_cache(maxsize=4)
def machine_calls(machine: str = "x86_64") -> Mapping[int, str]:
    """Return number -> name for `machine`: x86_64, aarch64, i386, x32 (whose numbers have X32_BIT set)."""
    if machine == "x32":
        names = {number | X32_BIT: name for number, name in machine_calls("x86_64").items()}
        return names | {number | X32_BIT: name for number, name in enumerate(X32, 512)}
    known: Mapping[int, str] = _load(f"syscall/linux/{machine}.py").SYSCALL_NAMES
    names = {number: name for number, name in known.items() if number < CALLS_MAX}
    if machine == "x86_64":
        names |= X86_64_ONLY
    if machine == "i386":
        names |= _i386()
    return names | dict(enumerate(SINCE_424, 424))


@lru_cache(maxsize=1)
def prototypes() -> Mapping[str, tuple[str, tuple[tuple[str, str], ...]]]:
    """Return python-ptrace's name -> (type of the result, ((type, name of the argument), ...))."""
    table: Mapping[str, tuple[str, tuple[tuple[str, str], ...]]] = _load("syscall/prototypes.py").SYSCALL_PROTOTYPES
    return table
