/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What a tree used: sums over all that wait4 gave us, and what the other
 * witnesses counted from its beginning to its end.
 */
#include <sys/resource.h>

#include "keeper.h"

static uint64_t count_base, group_base_user, group_base_sys;
static struct lr_io io_base;

void usage_begin(struct lr_event *totals, uint32_t io)
{
    count_base = count_cpu();
    group_cpu(&group_base_user, &group_base_sys);
    totals->has_io = io && io_waited(&io_base) == 0;
}

void usage_add(struct lr_event *totals, const struct rusage *usage)
{
    totals->reaped++;
    totals->user_us += (uint64_t) usage->ru_utime.tv_sec * 1000000 + (uint64_t) usage->ru_utime.tv_usec;
    totals->sys_us += (uint64_t) usage->ru_stime.tv_sec * 1000000 + (uint64_t) usage->ru_stime.tv_usec;
    if ((uint64_t) usage->ru_maxrss > totals->max_rss_kib)
        totals->max_rss_kib = (uint64_t) usage->ru_maxrss;
}

void usage_end(struct lr_event *totals)
{
    uint64_t user, sys;

    totals->tree_ns = count_cpu() - count_base;
    totals->last_pid = count_last_pid();
    group_cpu(&user, &sys);
    totals->group_user_us = user - group_base_user;
    totals->group_sys_us = sys - group_base_sys;
    if (totals->has_io && (totals->has_io = io_waited(&totals->io) == 0))
        io_subtract(&totals->io, &io_base);
}
