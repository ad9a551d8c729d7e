"""Names of flags and constants, in the order in which strace prints them.

A value comes from the standard library where a module has the name; `=VALUE`
is written down only where none has it (or where glibc's differs from the
kernel's: O_LARGEFILE). What stands after the set's name is printed as a
comment to a value that has none.
"""

from __future__ import annotations

import errno
import fcntl
import functools
import mmap
import os
import resource
import select
import signal
import socket
import stat
import termios
import time
from collections.abc import Callable

from lowrun.trace import names_files, names_net, names_netfilter, names_netlink, names_process

__all__ = ["ENUMS", "ERRNO", "FLAGS", "enum_text", "errno_name", "flags_text", "names_of", "number_of", "signal_name"]

_MODULES = (os, fcntl, mmap, resource, select, signal, socket, stat, termios, time, errno)

FLAGS = {
    "open_flags": "O_???: O_CREAT O_EXCL O_NOCTTY O_TRUNC O_APPEND O_NONBLOCK O_SYNC __O_SYNC=0x100000 O_DSYNC O_DIRECT"
    " O_LARGEFILE=0o100000 O_NOFOLLOW O_NOATIME O_CLOEXEC O_PATH O_TMPFILE __O_TMPFILE=0o20000000 O_DIRECTORY"
    " FASYNC=0o20000",
    "prot": "PROT_???: PROT_NONE=0 PROT_READ PROT_WRITE PROT_EXEC PROT_SEM=8 PROT_GROWSDOWN=0x1000000"
    " PROT_GROWSUP=0x2000000",
    "map_flags": "MAP_???: MAP_FIXED=0x10 MAP_ANONYMOUS MAP_32BIT=0x40 MAP_NORESERVE=0x4000 MAP_POPULATE=0x8000"
    " MAP_NONBLOCK=0x10000 MAP_GROWSDOWN=0x100 MAP_DENYWRITE MAP_EXECUTABLE MAP_LOCKED=0x2000 MAP_STACK=0x20000"
    " MAP_HUGETLB=0x40000 MAP_SYNC=0x80000 MAP_FIXED_NOREPLACE=0x100000",
    "clone_flags": "CLONE_???: CLONE_VM=0x100 CLONE_FS=0x200 CLONE_FILES=0x400 CLONE_SIGHAND=0x800 CLONE_PIDFD=0x1000"
    " CLONE_PTRACE=0x2000 CLONE_VFORK=0x4000 CLONE_PARENT=0x8000 CLONE_THREAD=0x10000 CLONE_NEWNS=0x20000"
    " CLONE_SYSVSEM=0x40000 CLONE_SETTLS=0x80000 CLONE_PARENT_SETTID=0x100000 CLONE_CHILD_CLEARTID=0x200000"
    " CLONE_DETACHED=0x400000 CLONE_UNTRACED=0x800000 CLONE_CHILD_SETTID=0x1000000 CLONE_NEWCGROUP=0x2000000"
    " CLONE_NEWUTS=0x4000000 CLONE_NEWIPC=0x8000000 CLONE_NEWUSER=0x10000000 CLONE_NEWPID=0x20000000"
    " CLONE_NEWNET=0x40000000 CLONE_IO=0x80000000 CLONE_CLEAR_SIGHAND=0x100000000 CLONE_INTO_CGROUP=0x200000000",
    "at_flags": "AT_???: AT_SYMLINK_NOFOLLOW=0x100 AT_REMOVEDIR=0x200 AT_SYMLINK_FOLLOW=0x400 AT_NO_AUTOMOUNT=0x800"
    " AT_EMPTY_PATH=0x1000 AT_RECURSIVE=0x8000",
    "access_mode": "?_OK: F_OK R_OK W_OK X_OK",
    "mremap_flags": "MREMAP_???: MREMAP_MAYMOVE=1 MREMAP_FIXED=2 MREMAP_DONTUNMAP=4",
    "msync_flags": "MS_???: MS_SYNC=4 MS_ASYNC=1 MS_INVALIDATE=2",
    "wait_options": "W???: WNOHANG WEXITED WSTOPPED WCONTINUED WNOWAIT __WCLONE=0x80000000 __WALL=0x40000000"
    " __WNOTHREAD=0x20000000",
    "flock": "LOCK_???: LOCK_SH LOCK_EX LOCK_NB LOCK_UN LOCK_MAND LOCK_RW=192 LOCK_READ LOCK_WRITE",
    "msg_flags": "MSG_???: MSG_OOB MSG_PEEK MSG_DONTROUTE MSG_CTRUNC MSG_PROBE=0x10 MSG_TRUNC MSG_DONTWAIT MSG_EOR"
    " MSG_WAITALL MSG_FIN=0x200 MSG_SYN=0x400 MSG_CONFIRM MSG_RST=0x1000 MSG_ERRQUEUE MSG_NOSIGNAL MSG_MORE"
    " MSG_WAITFORONE=0x10000 MSG_BATCH=0x40000 MSG_ZEROCOPY=0x4000000 MSG_FASTOPEN MSG_CMSG_CLOEXEC",
    "sock_flags": "SOCK_???: SOCK_CLOEXEC SOCK_NONBLOCK",
    "sock_flags_fd": "SFD_???: SFD_CLOEXEC=0o2000000 SFD_NONBLOCK=0o4000",
    "efd_flags": "EFD_???: EFD_SEMAPHORE=1 EFD_CLOEXEC EFD_NONBLOCK",
    "fd_flags": "O_???: O_DIRECT O_EXCL O_NONBLOCK O_CLOEXEC",
    "fdflags": "FD_???: FD_CLOEXEC",
    "epoll_flags": "EPOLL_???: EPOLL_CLOEXEC",
    "inotify_init_flags": "IN_???: IN_NONBLOCK=0o4000 IN_CLOEXEC=0o2000000",
    "timerfd_flags": "TFD_???: TFD_TIMER_ABSTIME=1 TFD_TIMER_CANCEL_ON_SET=2 TFD_CLOEXEC=0o2000000 TFD_NONBLOCK=0o4000",
    "timerfd_settime_flags": "TFD_???: TFD_TIMER_ABSTIME=1 TFD_TIMER_CANCEL_ON_SET=2"
    " TFD_CLOEXEC=0o2000000 TFD_NONBLOCK=0o4000",
    "timer_flags": "TIMER_???: TIMER_ABSTIME=1",
    "grnd_flags": "GRND_???: GRND_NONBLOCK GRND_RANDOM GRND_INSECURE=4",
    "memfd_flags": "MFD_???: MFD_CLOEXEC MFD_ALLOW_SEALING MFD_HUGETLB MFD_NOEXEC_SEAL=8 MFD_EXEC=0x10",
    "splice_flags": "SPLICE_F_???: SPLICE_F_MOVE SPLICE_F_NONBLOCK SPLICE_F_MORE SPLICE_F_GIFT=8",
    "falloc_mode": "FALLOC_FL_???: FALLOC_FL_KEEP_SIZE=1 FALLOC_FL_PUNCH_HOLE=2 FALLOC_FL_NO_HIDE_STALE=4"
    " FALLOC_FL_COLLAPSE_RANGE=8 FALLOC_FL_ZERO_RANGE=16 FALLOC_FL_INSERT_RANGE=32 FALLOC_FL_UNSHARE_RANGE=64",
    "close_range_flags": "CLOSE_RANGE_???: CLOSE_RANGE_UNSHARE=2 CLOSE_RANGE_CLOEXEC=4",
    "rename_flags": "RENAME_???: RENAME_NOREPLACE=1 RENAME_EXCHANGE=2 RENAME_WHITEOUT=4",
    "rwf_flags": "RWF_???: RWF_HIPRI=1 RWF_DSYNC=2 RWF_SYNC=4 RWF_NOWAIT=8 RWF_APPEND=16",
    "xattr_flags": "XATTR_???: XATTR_CREATE XATTR_REPLACE",
    "mlockall_flags": "MCL_???: MCL_CURRENT=1 MCL_FUTURE=2 MCL_ONFAULT=4",
    "umount_flags": "MNT_???: MNT_FORCE=1 MNT_DETACH=2 MNT_EXPIRE=4 UMOUNT_NOFOLLOW=8",
    "mount_flags": "MS_???: MS_RDONLY=1 MS_NOSUID=2 MS_NODEV=4 MS_NOEXEC=8 MS_SYNCHRONOUS=16 MS_REMOUNT=32"
    " MS_MANDLOCK=64 MS_DIRSYNC=128 MS_NOSYMFOLLOW=256 MS_NOATIME=1024 MS_NODIRATIME=2048 MS_BIND=4096 MS_MOVE=8192"
    " MS_REC=0x4000 MS_SILENT=0x8000 MS_POSIXACL=0x10000 MS_UNBINDABLE=0x20000 MS_PRIVATE=0x40000 MS_SLAVE=0x80000"
    " MS_SHARED=0x100000 MS_RELATIME=0x200000 MS_STRICTATIME=0x1000000 MS_LAZYTIME=0x2000000",
    "inotify_mask": "IN_???: IN_ACCESS=1 IN_MODIFY=2 IN_ATTRIB=4 IN_CLOSE_WRITE=8 IN_CLOSE_NOWRITE=0x10 IN_OPEN=0x20"
    " IN_MOVED_FROM=0x40 IN_MOVED_TO=0x80 IN_CREATE=0x100 IN_DELETE=0x200 IN_DELETE_SELF=0x400 IN_MOVE_SELF=0x800"
    " IN_UNMOUNT=0x2000 IN_ONLYDIR=0x1000000 IN_DONT_FOLLOW=0x2000000 IN_EXCL_UNLINK=0x4000000"
    " IN_MASK_CREATE=0x10000000 IN_MASK_ADD=0x20000000 IN_ISDIR=0x40000000 IN_ONESHOT=0x80000000",
    "statx_mask": "STATX_???: STATX_ALL=0xfff STATX_BASIC_STATS=0x7ff STATX_TYPE=1 STATX_MODE=2 STATX_NLINK=4"
    " STATX_UID=8 STATX_GID=0x10 STATX_ATIME=0x20 STATX_MTIME=0x40 STATX_CTIME=0x80 STATX_INO=0x100 STATX_SIZE=0x200"
    " STATX_BLOCKS=0x400 STATX_BTIME=0x800 STATX_MNT_ID=0x1000 STATX_DIOALIGN=0x2000",
    "statx_attributes": "STATX_ATTR_???: STATX_ATTR_COMPRESSED=4 STATX_ATTR_IMMUTABLE=0x10 STATX_ATTR_APPEND=0x20"
    " STATX_ATTR_NODUMP=0x40 STATX_ATTR_ENCRYPTED=0x800 STATX_ATTR_AUTOMOUNT=0x1000 STATX_ATTR_MOUNT_ROOT=0x2000"
    " STATX_ATTR_VERITY=0x100000 STATX_ATTR_DAX=0x200000",
    "sa_flags": "SA_???: SA_RESTORER=0x4000000 SA_ONSTACK=0x8000000 SA_RESTART=0x10000000 SA_NODEFER=0x40000000"
    " SA_RESETHAND=0x80000000 SA_SIGINFO=4 SA_NOCLDSTOP=1 SA_NOCLDWAIT=2",
    "poll_events": "POLL???: POLLIN POLLPRI POLLOUT POLLERR POLLHUP POLLNVAL POLLRDNORM POLLRDBAND POLLWRNORM"
    " POLLWRBAND POLLMSG POLLREMOVE=0x1000 POLLRDHUP",
    "epoll_events": "EPOLL???: EPOLLIN EPOLLPRI EPOLLOUT EPOLLERR EPOLLHUP EPOLLRDNORM EPOLLRDBAND EPOLLWRNORM"
    " EPOLLWRBAND EPOLLMSG EPOLLRDHUP EPOLLEXCLUSIVE EPOLLWAKEUP=0x20000000 EPOLLONESHOT EPOLLET=0x80000000",
    "st_flags": "ST_???: ST_VALID=0x20 ST_RDONLY ST_NOSUID ST_NODEV ST_NOEXEC ST_SYNCHRONOUS ST_MANDLOCK ST_NOATIME"
    " ST_NODIRATIME ST_RELATIME ST_NOSYMFOLLOW=0x2000",
    "tc_iflag": "???: IGNBRK BRKINT IGNPAR PARMRK INPCK ISTRIP INLCR IGNCR ICRNL IUCLC=0o1000 IXON IXANY IXOFF IMAXBEL"
    " IUTF8=0o40000",
    "tc_oflag": "???: OPOST OLCUC=2 ONLCR OCRNL ONOCR ONLRET OFILL OFDEL",
    "tc_cflag": "???: CSTOPB CREAD PARENB PARODD HUPCL CLOCAL CRTSCTS",
    "tc_lflag": "???: ISIG ICANON XCASE=4 ECHO ECHOE ECHOK ECHONL NOFLSH IEXTEN ECHOCTL ECHOPRT ECHOKE FLUSHO=0x1000"
    " PENDIN TOSTOP EXTPROC=0x10000",
    "pidfd_flags": "PIDFD_???: PIDFD_NONBLOCK=0o4000",
    "perf_trap_flags": "TRAP_PERF_FLAG_???: TRAP_PERF_FLAG_ASYNC=1",
    "futex_waitv_flags": "FUTEX_???: FUTEX_32=2 FUTEX_PRIVATE_FLAG=0x80",
    "xfeatures": ": XFEATURE_MASK_FPSSE=3 XFEATURE_MASK_FP=1 XFEATURE_MASK_SSE=2 XFEATURE_MASK_YMM=4"
    " XFEATURE_MASK_BNDREGS=8 XFEATURE_MASK_BNDCSR=0x10 XFEATURE_MASK_AVX512=0xe0 XFEATURE_MASK_OPMASK=0x20"
    " XFEATURE_MASK_ZMM_Hi256=0x40 XFEATURE_MASK_Hi16_ZMM=0x80 XFEATURE_MASK_PT=0x100 XFEATURE_MASK_PKRU=0x200"
    " XFEATURE_MASK_PASID=0x400 XFEATURE_MASK_LBR=0x8000 XFEATURE_MASK_XTILE=0x60000",
    "ss_flags": "SS_???: SS_ONSTACK=1 SS_DISABLE=2 SS_AUTODISARM=0x80000000",
}

ENUMS = {
    "audit_arch": "AUDIT_ARCH_???: AUDIT_ARCH_X86_64=0xc000003e AUDIT_ARCH_I386=0x40000003"
    " AUDIT_ARCH_AARCH64=0xc00000b7 AUDIT_ARCH_ARM=0x40000028",
    "perf_event_type": "PERF_TYPE_???: PERF_TYPE_HARDWARE=0 PERF_TYPE_SOFTWARE=1 PERF_TYPE_TRACEPOINT=2"
    " PERF_TYPE_HW_CACHE=3 PERF_TYPE_RAW=4 PERF_TYPE_BREAKPOINT=5",
    "whence": "SEEK_???: SEEK_SET SEEK_CUR SEEK_END SEEK_DATA SEEK_HOLE",
    "family": "AF_???: AF_UNSPEC AF_UNIX AF_INET AF_AX25 AF_IPX AF_APPLETALK AF_INET6 AF_NETLINK AF_PACKET AF_KEY"
    " AF_BLUETOOTH=31 AF_ALG AF_VSOCK AF_CAN AF_TIPC AF_QIPCRTR AF_XDP=44",
    "sock": "SOCK_???: SOCK_STREAM SOCK_DGRAM SOCK_RAW SOCK_RDM SOCK_SEQPACKET SOCK_DCCP=6 SOCK_PACKET=10",
    "ipproto": "IPPROTO_???: IPPROTO_IP IPPROTO_ICMP IPPROTO_IGMP IPPROTO_TCP IPPROTO_UDP IPPROTO_IPV6 IPPROTO_ICMPV6"
    " IPPROTO_SCTP IPPROTO_UDPLITE IPPROTO_MPTCP=262 IPPROTO_RAW",
    "netlink": "NETLINK_???: NETLINK_ROUTE=0 NETLINK_USERSOCK=2 NETLINK_FIREWALL=3 NETLINK_SOCK_DIAG=4 NETLINK_NFLOG=5"
    " NETLINK_XFRM=6 NETLINK_SELINUX=7 NETLINK_ISCSI=8 NETLINK_AUDIT=9 NETLINK_FIB_LOOKUP=10 NETLINK_CONNECTOR=11"
    " NETLINK_NETFILTER=12 NETLINK_IP6_FW=13 NETLINK_DNRTMSG=14 NETLINK_KOBJECT_UEVENT=15 NETLINK_GENERIC=16"
    " NETLINK_CRYPTO=21",
    "shutdown": "SHUT_???: SHUT_RD SHUT_WR SHUT_RDWR",
    "map_type": "MAP_???: MAP_FILE=0 MAP_SHARED=1 MAP_PRIVATE=2 MAP_SHARED_VALIDATE=3",
    "madvise": "MADV_???: MADV_NORMAL MADV_RANDOM MADV_SEQUENTIAL MADV_WILLNEED MADV_DONTNEED MADV_FREE MADV_REMOVE"
    " MADV_DONTFORK MADV_DOFORK MADV_MERGEABLE MADV_UNMERGEABLE MADV_HUGEPAGE MADV_NOHUGEPAGE MADV_DONTDUMP MADV_DODUMP"
    " MADV_WIPEONFORK=18 MADV_KEEPONFORK=19 MADV_COLD=20 MADV_PAGEOUT=21 MADV_POPULATE_READ=22 MADV_POPULATE_WRITE=23"
    " MADV_DONTNEED_LOCKED=24 MADV_COLLAPSE=25 MADV_HWPOISON",
    "sigmask_how": "SIG_???: SIG_BLOCK SIG_UNBLOCK SIG_SETMASK",
    "itimer": "ITIMER_???: ITIMER_REAL ITIMER_VIRTUAL ITIMER_PROF",
    "rlimit_name": "RLIMIT_???: RLIMIT_CPU RLIMIT_FSIZE RLIMIT_DATA RLIMIT_STACK RLIMIT_CORE RLIMIT_RSS RLIMIT_NPROC"
    " RLIMIT_NOFILE RLIMIT_MEMLOCK RLIMIT_AS RLIMIT_LOCKS=10 RLIMIT_SIGPENDING RLIMIT_MSGQUEUE RLIMIT_NICE"
    " RLIMIT_RTPRIO RLIMIT_RTTIME=15",
    "rusage_who": "RUSAGE_???: RUSAGE_SELF RUSAGE_CHILDREN=0xffffffff RUSAGE_THREAD",
    "priority_which": "PRIO_???: PRIO_PROCESS PRIO_PGRP PRIO_USER",
    "clock": "CLOCK_???: CLOCK_REALTIME CLOCK_MONOTONIC CLOCK_PROCESS_CPUTIME_ID CLOCK_THREAD_CPUTIME_ID"
    " CLOCK_MONOTONIC_RAW CLOCK_REALTIME_COARSE=5 CLOCK_MONOTONIC_COARSE=6 CLOCK_BOOTTIME CLOCK_REALTIME_ALARM=8"
    " CLOCK_BOOTTIME_ALARM=9 CLOCK_TAI",
    "arch_prctl": "ARCH_???: ARCH_SET_GS=0x1001 ARCH_SET_FS=0x1002 ARCH_GET_FS=0x1003 ARCH_GET_GS=0x1004"
    " ARCH_GET_CPUID=0x1011 ARCH_SET_CPUID=0x1012 ARCH_GET_XCOMP_SUPP=0x1021 ARCH_GET_XCOMP_PERM=0x1022"
    " ARCH_REQ_XCOMP_PERM=0x1023 ARCH_GET_XCOMP_GUEST_PERM=0x1024 ARCH_REQ_XCOMP_GUEST_PERM=0x1025",
    "futex": "FUTEX_???: FUTEX_WAIT=0 FUTEX_WAKE=1 FUTEX_FD=2 FUTEX_REQUEUE=3 FUTEX_CMP_REQUEUE=4 FUTEX_WAKE_OP=5"
    " FUTEX_LOCK_PI=6 FUTEX_UNLOCK_PI=7 FUTEX_TRYLOCK_PI=8 FUTEX_WAIT_BITSET=9 FUTEX_WAKE_BITSET=10"
    " FUTEX_WAIT_REQUEUE_PI=11 FUTEX_CMP_REQUEUE_PI=12 FUTEX_LOCK_PI2=13",
    "epoll_op": "EPOLL_CTL_???: EPOLL_CTL_ADD=1 EPOLL_CTL_DEL=2 EPOLL_CTL_MOD=3",
    "fadvise": "POSIX_FADV_???: POSIX_FADV_NORMAL POSIX_FADV_RANDOM POSIX_FADV_SEQUENTIAL POSIX_FADV_WILLNEED"
    " POSIX_FADV_DONTNEED POSIX_FADV_NOREUSE",
    "waitid_type": "P_???: P_ALL P_PID P_PGID P_PIDFD=3",
    "fs_magic": ": TMPFS_MAGIC=0x1021994 PROC_SUPER_MAGIC=0x9fa0 SYSFS_MAGIC=0x62656572 EXT2_SUPER_MAGIC=0xef53"
    " BTRFS_SUPER_MAGIC=0x9123683e XFS_SUPER_MAGIC=0x58465342 OVERLAYFS_SUPER_MAGIC=0x794c7630"
    " CGROUP_SUPER_MAGIC=0x27e0eb CGROUP2_SUPER_MAGIC=0x63677270 DEVPTS_SUPER_MAGIC=0x1cd1 RAMFS_MAGIC=0x858458f6"
    " SQUASHFS_MAGIC=0x73717368 NFS_SUPER_MAGIC=0x6969 PIPEFS_MAGIC=0x50495045 SOCKFS_MAGIC=0x534f434b",
    "baud": "B???: B0 B50 B75 B110 B134 B150 B200 B300 B600 B1200 B1800 B2400 B4800 B9600 B19200 B38400 B57600 B115200"
    " B230400 B460800 B921600",
}
FLAGS |= names_process.FLAGS | names_files.FLAGS | names_net.FLAGS
ENUMS |= names_process.ENUMS | names_files.ENUMS | names_net.ENUMS

FLAGS |= names_netlink.FLAGS
ENUMS |= names_netlink.ENUMS | names_netfilter.ENUMS

_RESTART = {
    512: "ERESTARTSYS (To be restarted if SA_RESTART is set)",
    513: "ERESTARTNOINTR (To be restarted)",
    514: "ERESTARTNOHAND (To be restarted if no handler)",
    516: "ERESTART_RESTARTBLOCK (Interrupted by signal)",
}


def _value(word: str) -> tuple[int, str]:
    name, given, number = word.partition("=")
    if given:
        return int(number, 0), name
    for module in _MODULES:
        if hasattr(module, name):
            return int(getattr(module, name)), name
    return -1, name


@functools.cache
def _set(name: str) -> tuple[str, tuple[tuple[int, str], ...]]:
    """Return what stands for a nameless value, and the pairs (value, name) in their order."""
    unknown, _, words = (FLAGS.get(name) or ENUMS[name]).partition(":")
    return unknown, tuple(pair for pair in map(_value, words.split()) if pair[0] >= 0)


def names_of(name: str) -> tuple[tuple[int, str], ...]:
    """Return the pairs (value, name) of a set, in the order in which they are printed."""
    return _set(name)[1]


#: Sets of socket options, for names that stand without their level.
_OPTION_SETS = ("so", "tcp", "ip", "ipv6", "packet", "netlink_opt", "udp")


@functools.cache
def _numbers(name: str) -> dict[str, int]:
    return {text: value for value, text in _set(name)[1]}


def number_of(name: str, word: str) -> int:
    """Return the value of `word`, a number or a name of the set `name`; raises KeyError."""
    if word.isdigit():
        return int(word)
    for one in _OPTION_SETS if name == "sockopt" else (name,):
        number = _numbers(one).get(word)
        if number is not None:
            return number
    raise KeyError(f"{name} has no {word}")


def flags_text(name: str) -> Callable[[int], str]:
    """Return the function that names the bits of a value by the set `name` of FLAGS (it remembers)."""
    assert name in FLAGS, name

    @functools.lru_cache(maxsize=4096)
    def text_of(value: int) -> str:
        unknown, pairs = _set(name)
        if value == 0:
            return next((text for bits, text in pairs if bits == 0), "0")
        words, rest = [], value
        for bits, text in pairs:
            if bits and rest & bits == bits:
                words.append(text)
                rest &= ~bits
        if not words:
            return f"{value:#x} /* {unknown} */" if unknown else f"{value:#x}"
        return "|".join([*words, f"{rest:#x}"] if rest else words)

    return text_of


def enum_text(name: str) -> Callable[[int], str]:
    """Return the function that names a value by the set `name` of ENUMS (it remembers)."""
    assert name in ENUMS, name

    @functools.lru_cache(maxsize=4096)
    def text_of(value: int) -> str:
        unknown, pairs = _set(name)
        known = next((text for number, text in pairs if number == value), None)
        number = f"{value:#x}" if value else "0"
        return known or (f"{number} /* {unknown} */" if unknown else number)

    return text_of


_SIGNALS = {number.value: number.name for number in signal.Signals if number.value < 32} | {6: "SIGABRT", 29: "SIGIO"}


def signal_name(number: int) -> str:
    """Return `SIGCHLD`, `SIGRT_3` or the number itself."""
    if number >= 32 and number <= 64:
        return "SIGRTMIN" if number == 32 else f"SIGRT_{number - 32}"
    return _SIGNALS.get(number) or str(number)


#: errno -> its name, with what strace calls otherwise.
ERRNO = dict(errno.errorcode) | {95: "EOPNOTSUPP", 11: "EAGAIN", 35: "EDEADLK", 524: "ENOTSUPP"}


@functools.cache
def errno_name(number: int) -> str:
    """Return what follows `= ` for a call that failed with errno `number`."""
    if number in _RESTART:
        return "? " + _RESTART[number]
    if number in ERRNO:
        return f"-1 {ERRNO[number]} ({os.strerror(number)})"
    return f"-1 (errno {number})"
