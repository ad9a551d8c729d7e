/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * How the tracer waits for stops.
 *
 * What a stop costs is nearly all waking up. On a virtual machine with two
 * processors a loop of calls took, per stop,
 *
 *     45 us  tracer sleeps, the other processor is idle: it is woken from its halt, twice
 *     16 us  tracer polls (for 20 us or 200, that made no difference)
 *      8 us  tracer sleeps, the other processor is busy: both take turns on one
 *     14 us  tracer polls there
 *
 * of which its own calls are 3; 5 us where the processors are kept awake
 * (tracer_latency.c). SCHED_IDLE made no difference. Which case it
 * is changes from moment to moment, so both ways are timed in turns and the
 * quicker one is used; a tracee that stops rarely is slept for.
 */
#include "tracer.h"

#include <sched.h>

#define POLL_NS 50000                  /* poll for so long, then sleep */
#define LOST_NS 100000                 /* who yields to others for longer had better sleep, and be woken up before them */
#define LONG_NS 200000                 /* a wait that is longer is the tracee's own business */
#define OFTEN_NS 100000                /* stops that are not further apart are frequent */
#define FRUITLESS 32                   /* asked for others so often in vain: then ask only */
#define PASS_BY 8                      /* every so many times */
#define WINDOW 32                      /* waits in one way */
#define TRIAL_GAP 32                   /* after so many windows one in the other way; */
#define TRIAL_GAP_MAX 4096             /* in the long run, when that never helps */

void lr_stops_prepare(struct lr_tracer *t)
{
    cpu_set_t cpus;

    /* On one processor the tracee runs only when the tracer does not. */
    t->may_poll = sched_getaffinity(0, sizeof cpus, &cpus) < 0 || CPU_COUNT(&cpus) > 1;
    t->polling = t->may_poll;
    t->trial_gap = t->until_trial = TRIAL_GAP;
}

/* Asks for the rusage only while a tracee is about to end: the kernel adds it
 * up over all threads of a process, at each stop. */
pid_t lr_stop_wait(const struct lr_tracer *t, pid_t tid, int flags, struct lr_stop *ret_stop)
{
    ret_stop->weighed = t->exiting > 0;
    ret_stop->overtaken = false;
    ret_stop->tid = wait4(tid, &ret_stop->status, __WALL | flags, ret_stop->weighed ? &ret_stop->used : NULL);
    return ret_stop->tid;
}

static pid_t sleep_for_stop(struct lr_tracer *t, struct lr_stop *ret_stop)
{
    pid_t tid;

    lr_latency_bound(t);
    tid = lr_stop_wait(t, -1, 0, ret_stop);
    if (tid < 0 && errno == EINTR)
        lr_latency_release(t);
    return tid;
}

static pid_t poll_and_sleep(struct lr_tracer *t, uint64_t began, struct lr_stop *ret_stop)
{
    uint64_t now = began, before;

    do {
        pid_t tid = lr_stop_wait(t, -1, WNOHANG, ret_stop);

        if (tid != 0)
            return tid;
        sched_yield();                 /* the tracee may be waiting for this processor */
        before = now;
        now = lr_clock_ns(CLOCK_MONOTONIC);
        if (now - before > LOST_NS) {
            t->window_ns += now - before;
            break;                     /* the processor was another's: a sleeper gets it back sooner */
        }
    } while (now - began < POLL_NS);
    return sleep_for_stop(t, ret_stop);
}

/* After a window of waits: which way next? The other one has a cost of 0 until
 * it is tried, and is tried again the more rarely the more often in vain. */
static void choose_way(struct lr_tracer *t)
{
    bool now = t->polling;

    if (t->window_ns < WINDOW * OFTEN_NS)
        lr_latency_hold(t);
    t->cost_ns[now] = t->window_ns;
    t->window_ns = 0;
    t->waits = 0;
    t->polling = t->cost_ns[true] < t->cost_ns[false];
    if (t->trying) {
        t->trial_gap = t->polling == now ? TRIAL_GAP : t->trial_gap < TRIAL_GAP_MAX ? 2 * t->trial_gap : TRIAL_GAP_MAX;
        t->until_trial = t->trial_gap;
        t->trying = false;
    } else if (--t->until_trial == 0) {
        t->polling = !now;
        t->trying = true;
    }
}

/* Before the window is over this way has cost far more than the other one did:
 * who polls on a busy machine loses its processor for milliseconds at a time. */
static bool is_worse(const struct lr_tracer *t)
{
    uint64_t other = t->cost_ns[!t->polling];

    return other > 0 && t->window_ns > 2 * other;
}

/* Returns a tid, or -1 with ECHILD. */
static pid_t wait_quickly(struct lr_tracer *t, struct lr_stop *ret_stop)
{
    uint64_t began, took;
    pid_t tid;

    if (!t->may_poll)
        return lr_stop_wait(t, -1, 0, ret_stop);
    began = lr_clock_ns(CLOCK_MONOTONIC);
    tid = t->polling ? poll_and_sleep(t, began, ret_stop) : sleep_for_stop(t, ret_stop);
    took = lr_clock_ns(CLOCK_MONOTONIC) - began;
    t->window_ns += took < LONG_NS ? took : LONG_NS;
    t->waits++;
    if (t->waits == WINDOW || is_worse(t))
        choose_way(t);
    return tid;
}

/* Takes all that have stopped before any goes on: the kernel looks through
 * the newest first, and two busy ones would starve the others. No tracee is
 * left to ask for when as many as there are have stopped; where one goes and
 * the others wait, as in a shell's loop, asking each time would be for nothing. */
static int take_others(struct lr_tracer *t, struct lr_stop stops[LR_BATCH])
{
    int n = 1;

    if (t->fruitless >= FRUITLESS && ++t->passed_by % PASS_BY != 0)
        return 1;
    while ((uint32_t) n < t->count && n < LR_BATCH && lr_stop_wait(t, -1, WNOHANG, &stops[n]) > 0) {
        for (int i = 0; i < n; i++)
            if (stops[i].tid == stops[n].tid)
                stops[i].overtaken = true;
        n++;
    }
    t->fruitless = n > 1 ? 0 : t->fruitless + 1;
    return n;
}

/* Returns how many have stopped; 0 when no tracee is left, -1 when a signal came. */
int lr_stops_wait(struct lr_tracer *t, struct lr_stop stops[LR_BATCH])
{
    if (wait_quickly(t, &stops[0]) > 0)
        return take_others(t, stops);
    return errno == EINTR ? -1 : 0;
}

/* The same, or -1 when nothing has stopped for `ns`. */
int lr_stops_await(struct lr_tracer *t, struct lr_stop stops[LR_BATCH], uint64_t ns)
{
    const struct timespec pause = { .tv_nsec = 50000 };
    const uint64_t began = lr_clock_ns(CLOCK_MONOTONIC);

    for (;;) {
        pid_t tid = lr_stop_wait(t, -1, WNOHANG, &stops[0]);
        uint64_t waited;

        if (tid != 0)
            return tid < 0 ? 0 : take_others(t, stops);
        waited = lr_clock_ns(CLOCK_MONOTONIC) - began;
        if (waited >= ns)
            return -1;
        if (waited < POLL_NS)
            sched_yield();             /* a creator's stop is a few microseconds behind its child's */
        else
            nanosleep(&pause, NULL);
    }
}
