/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the tree used, exactly, whatever a parent does with SIGCHLD.
 *
 * wait4 on a traced zombie gives RUSAGE_BOTH: the process's own use and that
 * of the children it has waited for. A child whose parent ignores SIGCHLD is
 * added nowhere. So a process's own part has to be told from its children's:
 *
 *   it never had children:       both
 *   it waited for none of them:  both
 *   it waited for all of them:   both - sum of its children's both
 *   for some:                    its CPU clock, split as both is
 *
 * Which one it was, its CPU clock (own threads only, nanoseconds) tells; it is
 * sampled at PTRACE_EVENT_EXIT, so it misses only the teardown after it.
 */
#include "tracer.h"

#include <stdlib.h>

#define SLACK_NS 2000000               /* teardown, and rusage's rounding down to microseconds */

struct lr_process *lr_process_find(const struct lr_tracer *t, uint32_t tgid)
{
    struct lr_process *process = t->processes[tgid % LR_TABLE_SIZE];

    while (process != NULL && process->tgid != tgid)
        process = process->next;
    return process;
}

void lr_process_add(struct lr_tracer *t, uint32_t tgid, uint32_t parent)
{
    struct lr_process *process = calloc(1, sizeof *process), *creator = lr_process_find(t, parent);

    t->usage.processes++;
    if (creator != NULL)
        creator->is_parent = true;
    if (process == NULL)
        return;
    process->tgid = tgid;
    process->parent = parent;
    process->next = t->processes[tgid % LR_TABLE_SIZE];
    t->processes[tgid % LR_TABLE_SIZE] = process;
}

/* Its creator is known only now. */
void lr_process_adopt(struct lr_tracer *t, uint32_t tgid, uint32_t parent)
{
    struct lr_process *process = lr_process_find(t, tgid), *creator = lr_process_find(t, parent);

    if (process == NULL || creator == NULL || process == creator)
        return;
    process->parent = parent;
    creator->is_parent = true;
}

/* A thread of it is about to exit. */
void lr_process_sample(struct lr_tracer *t, uint32_t tgid)
{
    struct lr_process *process = lr_process_find(t, tgid);
    struct timespec now;
    clockid_t clock;

    if (process == NULL || !process->is_parent)
        return;
    if (clock_getcpuclockid((pid_t) tgid, &clock) == 0 && clock_gettime(clock, &now) == 0)
        process->cpu_ns = (uint64_t) now.tv_sec * 1000000000 + (uint64_t) now.tv_nsec;
}

static uint64_t ns_of(const struct timeval *time)
{
    return (uint64_t) time->tv_sec * 1000000000 + (uint64_t) time->tv_usec * 1000;
}

static uint64_t distance(uint64_t a, uint64_t b)
{
    return a > b ? a - b : b - a;
}

/* Takes from *user and *sys (both) what the children used. */
static void leave_own(const struct lr_process *p, uint64_t *user, uint64_t *sys)
{
    uint64_t both = *user + *sys, children = p->children_user_ns + p->children_sys_ns;
    uint64_t without = both > children ? both - children : 0;
    uint64_t for_all = distance(without, p->cpu_ns), for_none = distance(both, p->cpu_ns);

    if (for_all >= SLACK_NS && for_none >= SLACK_NS && p->cpu_ns > 0) {
        *user = both > 0 ? (uint64_t) ((double) *user / (double) both * (double) p->cpu_ns) : 0;
        *sys = p->cpu_ns - *user;
    } else if (for_all <= for_none) {
        *user = *user > p->children_user_ns ? *user - p->children_user_ns : 0;
        *sys = without > *user ? without - *user : 0;
    }
}

static struct lr_process *take(struct lr_tracer *t, uint32_t tgid)
{
    struct lr_process **at = &t->processes[tgid % LR_TABLE_SIZE], *process;

    while (*at != NULL && (*at)->tgid != tgid)
        at = &(*at)->next;
    process = *at;
    if (process != NULL)
        *at = process->next;
    return process;
}

/* The process was reaped: its leader comes last, when all its threads are gone.
 * NULL: it ended without PTRACE_EVENT_EXIT, so nobody asked what it used. */
void lr_process_end(struct lr_tracer *t, uint32_t tgid, const struct rusage *used)
{
    struct lr_process *process = take(t, tgid), *parent;
    uint64_t user, sys;

    if (process == NULL || used == NULL) {
        t->usage.unweighed++;
        free(process);
        return;
    }
    user = ns_of(&used->ru_utime);
    sys = ns_of(&used->ru_stime);
    parent = lr_process_find(t, process->parent);
    if (parent != NULL) {
        parent->children_user_ns += user;
        parent->children_sys_ns += sys;
    }
    if (process->is_parent)
        leave_own(process, &user, &sys);
    t->usage.user_ns += user;
    t->usage.sys_ns += sys;
    if ((uint64_t) used->ru_maxrss > t->usage.max_rss_kib)
        t->usage.max_rss_kib = (uint64_t) used->ru_maxrss;
    free(process);
}

void lr_processes_free(struct lr_tracer *t)
{
    for (size_t i = 0; i < LR_TABLE_SIZE; i++)
        while (t->processes[i] != NULL) {
            struct lr_process *process = t->processes[i];

            t->processes[i] = process->next;
            free(process);
        }
}
