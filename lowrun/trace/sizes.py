"""How many bytes of each kind of memory are copied.

The sizes are those of x86_64; a test lets the compiler check each that C
programs can name.
"""

from __future__ import annotations

__all__ = ["DEEP", "LIMITS", "SIZED", "SIZES", "UPTO"]

#: Bytes of what a kind points to (of one element where it is counted).
SIZES = {
    "data": 1, "sockbuf": 1, "iovec": 16, "dirents": 1, "text": 1, "sockaddr": 1, "optval": 1, "raw": 1, "fdset": 1,
    "int32": 4, "uint32": 4, "fdnum": 4, "socklen": 4, "wstatus": 4, "tid": 4, "int64": 8, "uint64": 8,
    "fdpair": 8, "stat": 144, "statfs": 120, "statx": 256, "timespec": 16, "timeval": 16, "itimerval": 32,
    "itimerspec": 32, "rlimit": 16, "rusage": 144, "sigset": 8, "sigaction": 32, "siginfo": 128, "stack": 24,
    "pollfd": 8, "epoll_event": 12, "utsname": 390, "sysinfo": 112, "gid": 4, "clone_ptid": 4,
    "tms": 32, "timezone": 8, "cpuset": 1, "remaining": 16, "bytes": 1, "sched_param": 4, "timespec2": 32,
    "timeval2": 32, "utimbuf": 16, "iocb": 64, "iocb_one": 64, "io_event": 32, "kernel_ulong": 8, "kernel_ulong_u": 8,
    "pointer": 8, "page": 8, "page_status": 4, "int_array": 4, "hex32": 4, "hex64": 8, "signal32": 4,
    "xfeatures": 8, "tsc32": 4, "unalign32": 4, "fd32": 4, "ushort": 2, "ulong64": 8, "long64": 8, "char": 1,
    "modem32": 4, "fs_flags32": 4, "uint64_pair": 16, "cap_header": 8, "sigevent": 64, "iovec_raw": 16,
    "io_uring_params": 120, "shmid_ds": 112, "semid_ds": 104, "msqid_ds": 120, "shmid_ds_set": 112,
    "semid_ds_set": 104, "msqid_ds_set": 120, "key_caps": 1, "mempolicy32": 4, "lsm_ids": 8, "seccomp_action32": 4,
    "notif_sizes": 6, "termios": 36, "termios2": 44, "ifreq": 40, "sigframe": 8, "timeout": 16, "mq_attr_new": 64,
    "user_desc": 16, "names": 1, "value": 1, "epoll_arg": 12,
}  # fmt: skip

#: Structs that have grown: their `[K]` is the size that the caller has, in bytes; at most so many are copied.
SIZED = {
    "clone_args": 88,
    "open_how": 24,
    "sched_attr": 56,
    "mount_attr": 32,
    "landlock_ruleset": 8,
    "xattr_args": 16,
    "file_attr": 24,
    "bpf_map_create": 72,
    "bpf_elem": 32,
    "bpf_lookup": 32,
    "bpf_delete": 16,
    "bpf_next_key": 24,
    "bpf_map_fd": 4,
    "bpf_attach": 20,
    "bpf_detach": 12,
    "bpf_next_id": 12,
    "bpf_prog_id": 12,
    "bpf_map_id": 12,
    "bpf_btf_id": 4,
    "bpf_link_id": 4,
    "bpf_link": 16,
    "bpf_obj_info": 16,
    "bpf_btf_load": 28,
}
#: Kinds of which as much is copied as there is, up to a size.
UPTO = {
    "comm": 16,
    "comm15": 16,
    "cap_data": 24,
    "sched_attr_any": 56,
    "perf_attr": 136,
    "file_handle": 136,
    "msgbuf": 2056,
    "fiemap": 32,
    "mincore": 33,
    "nodemask": 128,
    "mnt_id_req": 32,
    "statmount_req": 32,
}
#: Structs that point to more: (enum lr_deep, bytes of the struct).
DEEP = {
    "sigset_arg": (0, 16),
    "aio_sigset": (0, 16),
    "one_iovec": (1, 16),
    "bpf_obj": (2, 24),
    "bpf_prog_load": (3, 152),
    "ifconf": (4, 16),
}
#: Bytes copied of a buffer that is counted, not quoted: the limit of strings does not fit it.
LIMITS = {"dirents": 0xFFF8, "cpuset": 1024}
