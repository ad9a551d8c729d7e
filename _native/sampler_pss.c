/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Memory with shared pages shared out: the sum of the tree's PSS. To tell it
 * the kernel walks all pages of a process (smaps_rollup of proc_pid_smaps(5)), so
 * it is measured as often as takes a small part of one core's time, by what the
 * last time cost: that goes with the memory that is mapped and with the
 * number of processes.
 */
#include "lowrun.h"
#include "sampler.h"

#define SHARE 1000              /* it may take this part of one core's time, */
#define LONGEST_NS 5000000      /* and no longer than this at once */
#define FIRST_NS 10             /* of a unit, until it was measured */
#define PROCESS 2000            /* what a process costs beside its memory, in units of a KiB */

static int64_t sum_of(struct lr_sampled *const *processes, size_t count)
{
    int64_t sum = 0;

    for (size_t i = 0; i < count && sum >= 0; i++) {
        int64_t pss;

        if (processes[i]->dead || !processes[i]->is_read || processes[i]->state == 'Z')
            continue;
        pss = lr_sampled_pss(processes[i]);
        if (pss != -ESRCH)      /* it has ended */
            sum = pss < 0 ? pss : sum + pss;
    }
    return sum < 0 ? -1 : sum;
}

/* In KiB, or -1: it is not its time, or one of them may not be looked into. `tick` has the sums of `processes`. */
int64_t lr_pss_measure(struct lr_pss_budget *budget, const struct lr_sample_tick *tick,
                       struct lr_sampled *const *processes, size_t count)
{
    uint64_t units = tick->rss_kib + (uint64_t) tick->processes * PROCESS;
    uint64_t cost = units * (budget->unit_ns > 0 ? budget->unit_ns : FIRST_NS);
    struct timespec before, after;
    int64_t sum;

    if (cost > LONGEST_NS || (int64_t) cost > (tick->time_ns - budget->time_ns) / SHARE)
        return -1;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &before);
    sum = sum_of(processes, count);
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &after);
    budget->time_ns = tick->time_ns;
    if (units > 0)
        budget->unit_ns = ((uint64_t) (after.tv_sec - before.tv_sec) * 1000000000
                           + (uint64_t) after.tv_nsec - (uint64_t) before.tv_nsec) / units + 1;
    return sum;
}
