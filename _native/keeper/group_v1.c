/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Limits where a controller is in a hierarchy of cgroup v1 (cgroups(7);
 * Documentation/admin-guide/cgroup-v1/): a cgroup of the keeper's own in each,
 * below one that came along. Nothing can be cloned into such a one, so the
 * child writes itself into it before all else; the keeper stays outside, and
 * what the child takes before its exec is charged to the keeper's memory.
 *
 * The cgroups are made once and hold every life of their program. A lock on
 * each, which ends with the keeper, tells whether somebody still needs it
 * (core/cgroup_v1.py): a pid does not, to who is in another pid namespace.
 */
#include <errno.h>
#include <linux/fcntl.h>
#include <time.h>

#include "keeper.h"

struct hierarchy {
    int parent, fd; /* ours; -1 without one */
};

static struct hierarchy memory = { -1, -1 }, cpu = { -1, -1 };

static void forget(struct hierarchy *at)
{
    if (at->fd < 0)
        return;
    SYS1(close, at->fd);
    SYS1(close, at->parent);
    at->fd = at->parent = -1;
}

/* Against who removes what has no lock: he holds his for a moment only. */
static void lock(int fd)
{
    const struct timespec pause = { .tv_nsec = 1000000 };

    for (int i = 0; i < 100 && SYS2(flock, fd, LOCK_SH | LOCK_NB) == -EAGAIN; i++)
        SYS4(clock_nanosleep, CLOCK_MONOTONIC, 0, &pause, 0);
}

static long take(struct hierarchy *at, int parent)
{
    long fd = SYS4(openat, parent, group_name(), O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW, 0), copy;

    if (fd < 0)
        return fd;
    copy = SYS3(fcntl, parent, F_DUPFD_CLOEXEC, 3);
    if (copy < 0) {
        SYS1(close, fd);
        return copy;
    }
    lock((int) fd);
    at->fd = (int) fd;
    at->parent = (int) copy;
    return 0;
}

/* It may exist: of the last life, in the other controller's hierarchy if they share one, or of a killed keeper that had
 * our pid. It may be gone: a release agent, or who took it for a dead keeper's before it was locked. So it is made until it
 * is there and ours. */
static long make(struct hierarchy *at, int parent)
{
    for (int i = 0; i < 10; i++) {
        long result = SYS3(mkdirat, parent, group_name(), 0755);

        if (result < 0 && result != -EEXIST)
            return result;
        if (result < 0 && at->fd >= 0)
            return 0;
        forget(at);
        result = take(at, parent);
        if (result < 0 && result != -ENOENT)
            return result;
    }
    return -EBUSY;
}

/* Where swap is counted the limit is of both together, which may not be below that of memory alone: if it has to grow,
 * memory alone comes second. */
static long limit_memory(uint64_t bytes)
{
    char text[32];
    long result;

    text_write(memory.fd, "memory.use_hierarchy", "1"); /* since Linux 5.11 it is always so */
    text_number(text, bytes);
    text_write(memory.fd, "memory.limit_in_bytes", text);
    result = text_write(memory.fd, "memory.memsw.limit_in_bytes", text);
    if (result < 0 && result != -ENOENT && result != -EOPNOTSUPP)
        return result;
    return text_write(memory.fd, "memory.limit_in_bytes", text);
}

static long limit_cpu(uint32_t quota_us, uint32_t period_us)
{
    char text[32];
    long result;

    text_number(text, period_us);
    result = text_write(cpu.fd, "cpu.cfs_period_us", text);
    if (result < 0)
        return result;
    text_number(text, quota_us);
    return text_write(cpu.fd, "cpu.cfs_quota_us", text);
}

long group_v1_open(const struct launch *launch)
{
    const struct lr_request *request = launch->request;
    long result = 0;

    if (launch->memory_v1 >= 0) {
        result = make(&memory, launch->memory_v1);
        if (result >= 0)
            result = limit_memory(request->memory_max);
    }
    if (result >= 0 && launch->cpu_v1 >= 0) {
        result = make(&cpu, launch->cpu_v1);
        if (result >= 0)
            result = limit_cpu(request->cpu_quota_us, request->cpu_period_us);
    }
    if (result < 0)
        group_v1_close();
    return result < 0 ? result : 0;
}

static long enter(const struct hierarchy *at)
{
    return at->fd < 0 ? 0 : text_write(at->fd, "cgroup.procs", "0");
}

long group_v1_enter(void)
{
    long result = enter(&memory);

    return result < 0 ? result : enter(&cpu);
}

static void remove(struct hierarchy *at)
{
    if (at->fd >= 0)
        group_remove(at->parent);
    forget(at);
}

void group_v1_close(void)
{
    remove(&memory);
    remove(&cpu);
}
