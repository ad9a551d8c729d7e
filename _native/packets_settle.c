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
 * Where it may not go everywhere, or there are very many, membarrier(2) waits for
 * a grace period of RCU instead, which proves the same; some 10 ms.
 */
#include "lowrun.h"

#include <linux/membarrier.h>
#include <sched.h>

#define MANY 64

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
    cpu_set_t allowed[MANY];
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    int count;

    if (sched_getaffinity(0, sizeof(allowed), allowed) == 0) {
        count = CPU_COUNT_S(sizeof(allowed), allowed);
        if (count >= online && count <= MANY && visit_at_once(allowed, sizeof(allowed), count) == 0)
            return 0;
    }
    return syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) < 0 ? -errno : 0;
}
