/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * How the tracer waits for stops.
 *
 * What a stop costs is nearly all waking up: on a virtual machine with two
 * processors a loop of calls took 45 us per stop with a tracer that sleeps
 * (the other processor has to be woken from its halt, twice), 16 with one that
 * polls, of which the tracer's own calls are 3. Polling for 20, 50, 100 or
 * 200 us made no difference; SCHED_IDLE and sched_yield made none either. So
 * it polls for a while, and less and less while that does not help.
 */
#include "tracer.h"

#include <sched.h>

#define SPIN_NS 50000
#define SPIN_MIN_NS 3000               /* below it: sleep at once */
#define SPIN_AGAIN 64                  /* and try again after as many waits */

void lr_stops_prepare(struct lr_tracer *t)
{
    cpu_set_t cpus;

    /* On one processor the tracee runs only when the tracer does not. */
    t->spin_max_ns = sched_getaffinity(0, sizeof cpus, &cpus) == 0 && CPU_COUNT(&cpus) == 1 ? 0 : SPIN_NS;
    t->spin_ns = t->spin_max_ns;
}

/* Asks for the rusage only while a tracee is about to end: the kernel adds it
 * up over all threads of a process, at each stop. */
pid_t lr_stop_wait(const struct lr_tracer *t, pid_t tid, int flags, struct lr_stop *ret_stop)
{
    ret_stop->weighed = t->exiting > 0;
    ret_stop->tid = wait4(tid, &ret_stop->status, __WALL | flags, ret_stop->weighed ? &ret_stop->used : NULL);
    return ret_stop->tid;
}

/* Polls while that pays, then sleeps. Returns a tid, or -1 with ECHILD. */
static pid_t wait_spinning(struct lr_tracer *t, struct lr_stop *ret_stop)
{
    uint64_t until = 0;
    pid_t tid;

    if (t->spin_ns < SPIN_MIN_NS && ++t->waits_asleep < SPIN_AGAIN)
        return lr_stop_wait(t, -1, 0, ret_stop);
    t->waits_asleep = 0;
    for (;;) {
        uint64_t now;

        tid = lr_stop_wait(t, -1, WNOHANG, ret_stop);
        if (tid != 0) {
            t->spin_ns = t->spin_max_ns;
            return tid;
        }
        now = lr_clock_ns(CLOCK_MONOTONIC);
        if (until == 0)
            until = now + (t->spin_ns < SPIN_MIN_NS ? t->spin_max_ns : t->spin_ns);
        else if (now >= until)
            break;
        sched_yield();
    }
    t->spin_ns /= 2;
    return lr_stop_wait(t, -1, 0, ret_stop);
}

/* Takes all that have stopped before any goes on: the kernel looks through
 * the newest first, and two busy ones would starve the others. */
int lr_stops_wait(struct lr_tracer *t, struct lr_stop stops[LR_BATCH])
{
    int n = 1;

    if (wait_spinning(t, &stops[0]) < 0)
        return 0;
    while (t->count > 1 && n < LR_BATCH && lr_stop_wait(t, -1, WNOHANG, &stops[n]) > 0) {
        for (int i = 0; i < n; i++)
            if (stops[i].tid == stops[n].tid)
                stops[i].tid = 0;
        n++;
    }
    return n;
}
