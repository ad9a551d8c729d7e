/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Calls of 32-bit code (i386) that do to descriptors what this machine's do,
 * with arguments that lie as these. Those whose structs a 32-bit word makes
 * different (messages) are not among them, nor is socketcall.
 */
#if defined(__x86_64__)
#include <asm/unistd_32.h>

/* Before the machine's own header gives the names other numbers. */
enum {
    I386_OPEN = __NR_open, I386_CREAT = __NR_creat, I386_CLOSE = __NR_close, I386_DUP = __NR_dup,
    I386_DUP2 = __NR_dup2, I386_DUP3 = __NR_dup3, I386_PIPE = __NR_pipe, I386_PIPE2 = __NR_pipe2,
    I386_OPENAT = __NR_openat, I386_OPENAT2 = __NR_openat2, I386_SOCKET = __NR_socket,
    I386_SOCKETPAIR = __NR_socketpair, I386_ACCEPT4 = __NR_accept4, I386_BIND = __NR_bind,
    I386_CONNECT = __NR_connect, I386_LISTEN = __NR_listen, I386_SENDTO = __NR_sendto, I386_WRITE = __NR_write,
    I386_EVENTFD = __NR_eventfd, I386_EVENTFD2 = __NR_eventfd2, I386_EPOLL_CREATE = __NR_epoll_create,
    I386_EPOLL_CREATE1 = __NR_epoll_create1, I386_SIGNALFD4 = __NR_signalfd4,
    I386_TIMERFD_CREATE = __NR_timerfd_create, I386_INOTIFY_INIT = __NR_inotify_init,
    I386_INOTIFY_INIT1 = __NR_inotify_init1, I386_MEMFD_CREATE = __NR_memfd_create,
    I386_PIDFD_OPEN = __NR_pidfd_open, I386_FCNTL = __NR_fcntl, I386_FCNTL64 = __NR_fcntl64,
    I386_IOCTL = __NR_ioctl, I386_UNLINK = __NR_unlink, I386_RMDIR = __NR_rmdir, I386_RENAME = __NR_rename,
    I386_UNLINKAT = __NR_unlinkat, I386_RENAMEAT = __NR_renameat, I386_RENAMEAT2 = __NR_renameat2,
    I386_CHDIR = __NR_chdir, I386_FCHDIR = __NR_fchdir, I386_CLONE = __NR_clone, I386_CLONE3 = __NR_clone3,
    I386_UNSHARE = __NR_unshare, I386_SETNS = __NR_setns, I386_CLOSE_RANGE = __NR_close_range,
    I386_MOUNT = __NR_mount, I386_UMOUNT2 = __NR_umount2, I386_PIVOT_ROOT = __NR_pivot_root,
    I386_POLL = __NR_poll,
};
#endif

#include "tracer.h"

#if defined(__x86_64__)
static const uint16_t alike[512] = {
    [I386_OPEN] = SYS_open, [I386_CREAT] = SYS_creat, [I386_CLOSE] = SYS_close, [I386_DUP] = SYS_dup,
    [I386_DUP2] = SYS_dup2, [I386_DUP3] = SYS_dup3, [I386_PIPE] = SYS_pipe, [I386_PIPE2] = SYS_pipe2,
    [I386_OPENAT] = SYS_openat, [I386_OPENAT2] = SYS_openat2, [I386_SOCKET] = SYS_socket,
    [I386_SOCKETPAIR] = SYS_socketpair, [I386_ACCEPT4] = SYS_accept4, [I386_BIND] = SYS_bind,
    [I386_CONNECT] = SYS_connect, [I386_LISTEN] = SYS_listen, [I386_SENDTO] = SYS_sendto, [I386_WRITE] = SYS_write,
    [I386_EVENTFD] = SYS_eventfd, [I386_EVENTFD2] = SYS_eventfd2, [I386_EPOLL_CREATE] = SYS_epoll_create,
    [I386_EPOLL_CREATE1] = SYS_epoll_create1, [I386_SIGNALFD4] = SYS_signalfd4,
    [I386_TIMERFD_CREATE] = SYS_timerfd_create, [I386_INOTIFY_INIT] = SYS_inotify_init,
    [I386_INOTIFY_INIT1] = SYS_inotify_init1, [I386_MEMFD_CREATE] = SYS_memfd_create,
    [I386_PIDFD_OPEN] = SYS_pidfd_open, [I386_FCNTL] = SYS_fcntl, [I386_FCNTL64] = SYS_fcntl,
    [I386_IOCTL] = SYS_ioctl, [I386_UNLINK] = SYS_unlink, [I386_RMDIR] = SYS_rmdir, [I386_RENAME] = SYS_rename,
    [I386_UNLINKAT] = SYS_unlinkat, [I386_RENAMEAT] = SYS_renameat, [I386_RENAMEAT2] = SYS_renameat2,
    [I386_CHDIR] = SYS_chdir, [I386_FCHDIR] = SYS_fchdir, [I386_CLONE] = SYS_clone, [I386_CLONE3] = SYS_clone3,
    [I386_UNSHARE] = SYS_unshare, [I386_SETNS] = SYS_setns, [I386_CLOSE_RANGE] = SYS_close_range,
    [I386_MOUNT] = SYS_mount, [I386_UMOUNT2] = SYS_umount2, [I386_PIVOT_ROOT] = SYS_pivot_root,
    [I386_POLL] = SYS_poll,
};

/* The number of this machine's call that a foreign one is like; UINT64_MAX: none. No call that is meant has number 0. */
uint64_t lr_foreign_like(uint64_t nr)
{
    return nr < sizeof alike / sizeof *alike && alike[nr] != 0 ? alike[nr] : UINT64_MAX;
}
#else
uint64_t lr_foreign_like(uint64_t nr)
{
    (void) nr;
    return UINT64_MAX;
}
#endif
