/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What a tree used, as wait4 cannot tell it.
 *
 * wait4 adds up the children that somebody waits for. A parent that ignores
 * SIGCHLD hides its children from it; a task clock, inherited by everything
 * the keeper starts (perf_event_open(2)), counts them too. It tells lowrun
 * whether wait4's sum is the whole truth. Where it is forbidden or missing,
 * the count is 0.
 */
#include <errno.h>
#include <linux/fcntl.h>
#include <linux/perf_event.h>
#include <time.h>

#include "keeper.h"

static int perf = -1;

void count_begin(void)
{
    struct perf_event_attr attr = {
        .type = PERF_TYPE_SOFTWARE, .size = sizeof attr, .config = PERF_COUNT_SW_TASK_CLOCK,
        .inherit = 1, .exclude_kernel = 1, .exclude_hv = 1,
    };

    if (perf < 0)
        perf = (int) SYS5(perf_event_open, &attr, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);
}

/* The tree's share: all that was counted less the keeper's own. Only the
 * difference of two readings has a meaning; it wraps like any uint64_t. */
uint64_t count_cpu(void)
{
    struct timespec own;
    uint64_t all;

    if (perf < 0 || SYS3(read, perf, &all, sizeof all) != sizeof all)
        return 0;
    SYS2(clock_gettime, CLOCK_PROCESS_CPUTIME_ID, &own);
    return all - ((uint64_t) own.tv_sec * 1000000000 + (uint64_t) own.tv_nsec);
}

/* The pid that was given out last in our pid namespace: the fifth field of
 * /proc/loadavg (proc(5)); 0 when unknown. */
int count_last_pid(void)
{
    char text[128];
    long n = text_read(AT_FDCWD, "/proc/loadavg", text, sizeof text);
    const char *at = text + n;

    if (n <= 0)
        return 0;
    while (at > text && at[-1] != ' ')
        at--;
    return (int) text_parse(&at);
}
