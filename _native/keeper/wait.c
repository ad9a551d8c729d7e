/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Waiting without sleep, for what comes soon.
 */
#include <sys/poll.h>
#include <time.h>

#include "keeper.h"

#define LOOK_NS 150000

/* Sleeping and being woken on another core costs more than what a short run's
 * owner needs to ask for the next one (some 30 of 700 microseconds were
 * measured), so after a short run the keeper looks a while before it sleeps,
 * and lets others run meanwhile. Returns what ppoll does. */
long wait_awake(struct pollfd *sources, int count)
{
    const struct timespec none = { 0 };
    const uint64_t until = now_ns() + LOOK_NS;
    long n;

    do {
        SYS0(sched_yield);
        n = SYS5(ppoll, sources, count, &none, 0, 0);
    } while (n == 0 && now_ns() < until);
    return n;
}
