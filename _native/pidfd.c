/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * How a process that is no child of ours has ended: since Linux 6.15 a pidfd
 * that was opened before tells it once the process was reaped (struct
 * pidfd_info, PIDFD_INFO_EXIT: include/uapi/linux/pidfd.h). The kernel's
 * headers of most distributions are older, so what is asked is written here.
 */
#include "lowrun.h"

#include <sched.h>
#include <sys/ioctl.h>

#define INFO_EXIT (1 << 3)
#define STACK (16 * 1024)
#define PROBE_CODE 7

struct info { /* the first version of struct pidfd_info */
    uint64_t mask, cgroup;
    uint32_t pid, tgid, ppid, ruid, rgid, euid, egid, suid, sgid, fsuid, fsgid;
    int32_t exit_code;
};
#define GET_INFO _IOWR(0xff, 11, struct info)

/* 1 with the raw wait status, 0 while it is not reaped; -errno where that is not to be had. */
int lr_pidfd_status(int pidfd, int *ret_status)
{
    struct info info = { .mask = INFO_EXIT };

    if (ioctl(pidfd, GET_INFO, &info) < 0)
        return -errno;
    if (!(info.mask & INFO_EXIT))
        return 0;
    *ret_status = info.exit_code;
    return 1;
}

static int end(void *unused)
{
    (void) unused;
    _exit(PROBE_CODE);
}

/* Tries it for real: 1 when a pidfd tells of a process's end, 0 when not, -errno. The child has no exit signal, so no
 * handler and no waitpid(-1) of the host sees it. */
int lr_pidfd_tells_exit(void)
{
    char stack[STACK] __attribute__((aligned(16)));
    int pidfd = -1, status = 0, known;
    uint64_t former;
    int pid;

    lr_signals_block(~0ULL, &former);
    pid = clone(end, stack + STACK, CLONE_VM | CLONE_VFORK | CLONE_PIDFD, NULL, &pidfd);
    lr_signals_restore(former);
    if (pid < 0)
        return -errno;
    while (waitpid(pid, NULL, __WCLONE) < 0 && errno == EINTR)
        ;
    known = lr_pidfd_status(pidfd, &status);
    close(pidfd);
    return known == 1 && WIFEXITED(status) && WEXITSTATUS(status) == PROBE_CODE;
}
