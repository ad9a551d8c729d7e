/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Waits until no processor is in the middle of handling a packet.
 *
 * Packets are received in softirqs, which are not preempted: a thread that has
 * run on a processor has proof that what went on there in a softirq before is
 * over (all but PREEMPT_RT kernels). So the calling thread is moved from one
 * processor to the next; some 20 µs each were measured on an idle machine. On
 * a busy one it would wait its turn on each, some 4 ms, but for a moment of real-time
 * priority, where that may be had (CAP_SYS_NICE).
 * Where it may not go everywhere, or there are very many, or softirqs are preempted
 * (PREEMPT_RT), membarrier(2) waits for a grace period of RCU instead, which proves
 * the same, since packets are handled under rcu_read_lock; some 10 ms. Where that is
 * not to be had (nohz_full, a sandbox) a pause must do, long against the
 * microseconds that copying a packet takes.
 *
 * How many processors there are, /proc/net/softnet_stat says, a line for each. Of
 * sysconf(_SC_NPROCESSORS_ONLN) musl and one glibc make those that the thread may
 * run on, and lxcfs what the container may use.
 */
#include "lowrun.h"

#include <linux/membarrier.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/utsname.h>
#include <time.h>

#define MANY 64
#define PAUSE_NS 20000000

/* 0: not known. */
static int online(void)
{
    char text[4096];
    int fd = open("/proc/net/softnet_stat", O_RDONLY | O_CLOEXEC), lines = 0;
    ssize_t n;

    if (fd < 0)
        return 0;
    while ((n = read(fd, text, sizeof(text))) > 0)
        for (ssize_t i = 0; i < n; i++)
            lines += text[i] == '\n';
    close(fd);
    return lines;
}

static int softirqs_are_preempted(void)
{
    struct utsname system;

    return uname(&system) < 0 || strstr(system.version, "PREEMPT_RT") != NULL;
}

static int visit(const cpu_set_t *allowed, size_t size, int count)
{
    unsigned here = 0;
    int error = 0;

    getcpu(&here, NULL);
    for (int cpu = 0; count > 0; cpu++) {
        cpu_set_t one[MANY];

        if (!CPU_ISSET_S(cpu, size, allowed))
            continue;
        count--;
        if (cpu == (int) here)
            continue;
        memset(one, 0, size);
        CPU_SET_S(cpu, size, one);
        if (sched_setaffinity(0, size, one) < 0)
            error = -errno;
    }
    sched_setaffinity(0, size, allowed);
    return error;
}

static int visit_at_once(const cpu_set_t *allowed, size_t size, int count)
{
    struct sched_param first = { .sched_priority = 1 }, usual = { .sched_priority = 0 };
    int raised = sched_getscheduler(0) == SCHED_OTHER && sched_setscheduler(0, SCHED_FIFO, &first) == 0;
    int result = visit(allowed, size, count);

    if (raised)
        sched_setscheduler(0, SCHED_OTHER, &usual);
    return result;
}

int lr_processors_visit(void)
{
    const struct timespec pause = { .tv_nsec = PAUSE_NS };
    cpu_set_t allowed[MANY];
    int there = online();

    if (there > 0 && !softirqs_are_preempted() && sched_getaffinity(0, sizeof(allowed), allowed) == 0) {
        int count = CPU_COUNT_S(sizeof(allowed), allowed);

        if (count >= there && count <= MANY && visit_at_once(allowed, sizeof(allowed), count) == 0)
            return 0;
    }
    if (syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) < 0)
        clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL);
    return 0;
}
