/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The binary records that the tracer writes while a command runs: one header
 * for the writer (tracer.c) and, through the cdef, for the reader
 * (lowrun/trace/records.py). Little sits here by accident: every record is a
 * multiple of 8 bytes, so a reader can walk a mapped file.
 *
 * A record is `struct lr_record`, then the body of its kind, then (ENTER and
 * EXIT only) captured chunks up to `size`. A chunk is `struct lr_chunk` and
 * `len` bytes, padded to 8.
 */
#ifndef LR_RECORDS_H
#define LR_RECORDS_H

#include <stdint.h>

#define LR_RECORDS_VERSION 2

enum lr_record_kind {
    LR_REC_ENTER = 1,      /* struct lr_rec_enter, chunks */
    LR_REC_EXIT = 2,       /* struct lr_rec_exit, chunks */
    LR_REC_SIGNAL = 3,     /* siginfo_t, 128 bytes: signal-delivery-stop */
    LR_REC_EXITED = 4,     /* struct lr_rec_status: a thread is gone */
    LR_REC_FORK = 5,       /* struct lr_rec_fork: tid is the parent's */
    LR_REC_EXEC = 6,       /* struct lr_rec_exec: tid is the tgid from now on */
    LR_REC_STOPPED = 7,    /* struct lr_rec_status: group-stop, status = signal */
    LR_REC_PATH = 8,       /* struct lr_rec_path, bytes: what a descriptor is */
    LR_REC_LOST = 9,       /* struct lr_rec_lost: recording ended here, the command went on */
    LR_REC_EXITING = 10,   /* struct lr_rec_status, 0: a thread will not return from the call that it is in */
    LR_REC_DETACHED = 11,  /* struct lr_rec_status, 0: the thread is traced no more and goes on */
};

struct lr_record {
    uint32_t size;         /* whole record in bytes, a multiple of 8 */
    uint16_t kind;         /* enum lr_record_kind */
    uint16_t flags;        /* 0 */
    uint32_t tid;
    uint32_t tgid;
    uint64_t time_ns;      /* CLOCK_REALTIME at the stop */
};

struct lr_rec_enter {
    uint64_t nr;
    uint64_t args[6];
    uint32_t arch;         /* AUDIT_ARCH_* of PTRACE_GET_SYSCALL_INFO */
    uint32_t chunks;       /* how many follow */
};

struct lr_rec_exit {
    int64_t rval;          /* the return value, -errno when is_error */
    uint64_t duration_ns;  /* CLOCK_MONOTONIC from the entry stop; ~0 when unknown */
    uint16_t is_error;
    uint16_t marks;        /* LR_EXIT_* */
    uint32_t chunks;
};
#define LR_EXIT_INJECTED 1 /* the call was not executed as it was made, or the result is not the kernel's */
#define LR_EXIT_DELAYED 2

struct lr_rec_status {
    int32_t status;        /* raw wait status; for STOPPED the signal */
    uint32_t pad;
};

struct lr_rec_fork {
    uint32_t child;        /* tid of the new task */
    uint32_t event;        /* PTRACE_EVENT_FORK, _VFORK or _CLONE */
    uint64_t flags;        /* of clone(2); 0: fork */
};

struct lr_rec_exec {
    uint32_t former;       /* tid of the thread that called execve */
    uint32_t pad;
};

/* What a descriptor is from now on, for all tasks that share the table. */
enum lr_path_kind {
    LR_PATH_LINK = 0,      /* the text of the link in /proc/PID/fd; of length 0: it is closed */
    LR_PATH_DELETED = 1,   /* the same, and removed meanwhile (the text is without what the kernel appends) */
    LR_PATH_CHAR = 2,      /* a device: its path; number = major << 32 | minor */
    LR_PATH_BLOCK = 3,
    LR_PATH_SOCKET = 4,    /* number = its inode; the protocol's name, a NUL, the answer of sock_diag(7) if there is
                            * one: struct inet_diag_msg, netlink_diag_msg, or unix_diag_msg with its attributes */
    LR_PATH_PROCESS = 5,   /* a pidfd: number = the pid */
};

struct lr_rec_path {
    int32_t fd;            /* AT_FDCWD: the working directory */
    uint32_t len;          /* bytes that follow, then padding */
    uint32_t kind;         /* enum lr_path_kind */
    uint32_t pad;
    uint64_t number;
};

struct lr_rec_lost {
    int32_t error;         /* errno of the write that failed */
    uint32_t pad;
};

/* What was copied out of the tracee for one argument. */
struct lr_chunk {
    uint8_t arg;           /* index of the argument, 0 to 5 */
    uint8_t what;          /* enum lr_capture: how to read the bytes */
    uint8_t cut;           /* 1: there was more than was copied */
    uint8_t bad;           /* 1: the pointer could not be read; len is 0 */
    uint32_t len;          /* bytes that follow, then padding to 8 */
};

/* Of a vector (argv, iovec) no more elements are copied than bytes of a string, and
 * at most this many; of COUNTED at most LR_COUNTED_MAX bytes, whole elements. */
#define LR_VECTOR_MAX 2048
#define LR_COUNTED_MAX 16384
#define LR_PATH_MAX 4096
#define LR_CONTROL_MAX 20480           /* of control messages: as net.core.optmem_max has it unless it was raised */
#define LR_NETLINK_MAX 65536           /* of a message whose sender or receiver is netlink: that is decoded to its end */

/* The capture plan: what to copy for one argument of a call, at entry, at
 * exit, or both (two cells). Yielded by the table in lowrun/trace/table.py. */
enum lr_capture {
    LR_CAP_NONE = 0,
    LR_CAP_STRING = 1,     /* NUL-terminated, at most the string limit (2048) */
    LR_CAP_PATH = 2,       /* NUL-terminated, at most 4096 */
    LR_CAP_ARGV = 3,       /* vector of strings, NULL-terminated: u64 count of all, then
                            * for each copied one u32 len, u32 cut, bytes padded to 8 */
    LR_CAP_ENVP = 4,       /* vector of strings, counted only: u64 count */
    LR_CAP_BUFFER = 5,     /* bytes; how many = value of argument `of` (at exit: the return value when of = 7), at
                            * most `size` of them, or the string limit where size is 0 */
    LR_CAP_FIXED = 6,      /* `size` bytes (a struct) */
    LR_CAP_PTRLEN = 7,     /* bytes; size = the u32 that argument `of` points to (socklen_t *) */
    LR_CAP_COUNTED = 8,    /* argument `of` elements (7: return value) of `size` bytes each */
    LR_CAP_IOVEC = 9,      /* iovec array of argument `of` elements: u64 count of those copied, raw iovecs, then per element
                            * u32 len, u32 cut, bytes padded to 8; at exit no more bytes in all than the return value.
                            * Fewer than there are without cut of the chunk: the rest could not be read */
    LR_CAP_MSGHDR = 10,    /* struct msghdr: raw 56 bytes, then name (u32 len, u32 0, bytes), control (same), iovecs as IOVEC */
    LR_CAP_FD = 11,        /* nothing: the argument itself is a descriptor */
    LR_CAP_UPTO = 16,      /* `size` bytes, or fewer where memory ends before; bad when there is none */
    LR_CAP_DEEP = 17,      /* a struct that points to more (enum lr_deep, in `of`): u32 len, u32 cut, at most `size` bytes of
                            * it padded to 8, then in the same form what it points to */
    LR_CAP_POINTEES = 18,  /* argument `of` pointers: raw, then per pointer u32 len, u32 cut, `size` bytes padded to 8 */
    LR_CAP_MMSGHDR = 19,   /* argument `of` struct mmsghdr (7: return value): per element u32 len, u32 msg_len, then
                            * `len` bytes as MSGHDR has them; at exit no more content than msg_len */
};

/* How a struct of LR_CAP_DEEP points to more; the list with the offsets is in tracer_capture.c. */
enum lr_deep {
    LR_DEEP_SIGSET,        /* pselect6's { const sigset_t *set; size_t size } */
    LR_DEEP_IOVEC,         /* one struct iovec */
    LR_DEEP_PATHNAME,      /* a string that offset 0 points to: BPF_OBJ_PIN */
    LR_DEEP_LICENSE,       /* bpf_attr of BPF_PROG_LOAD: the string at offset 16 */
    LR_DEEP_IFCONF,        /* struct ifconf */
};

struct lr_capture_cell {
    uint8_t what;          /* enum lr_capture */
    uint8_t of;            /* index of the argument that holds the size; 7: return value */
    uint16_t size;         /* of a struct or element, bytes */
};

/* Rows 0 to LR_CALLS_MAX - 1 are for the native calls by number, as many more for those of the machine's other
 * (32-bit) architecture, and behind them lie the variants: what a call takes may depend on one or two of its arguments
 * (fcntl's command, setsockopt's level and option). A call's variants lie side by side, sorted by their key: the low
 * `bits[0]` bits of argument select[0], and in the upper half the low bits[1] of select[1] (0 bits: there is none). */
#define LR_CALLS_MAX 512
struct lr_capture_row {
    struct lr_capture_cell enter[6];
    struct lr_capture_cell leave[6];
    uint64_t key;          /* of a variant */
    uint16_t first;        /* row of the call's first variant */
    uint16_t variants;     /* how many it has */
    uint8_t select[2];
    uint8_t bits[2];
};

#endif
