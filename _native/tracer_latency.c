/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Keeps the processors awake between stops that come in quick succession.
 *
 * Tracer and tracee take turns, so the processor of the one that waits falls
 * idle for a few microseconds, and coming back from there can cost more than
 * all that a stop needs (tracer_wait.c has figures). A program that needs a
 * short wake-up time may ask the kernel for it by a number of microseconds in
 * /dev/cpu_dma_latency, for as long as the file is open
 * (Documentation/power/pm_qos_interface.rst): with 0 an idle processor polls
 * instead of sleeping. On the machine of tracer_wait.c, a virtual one whose
 * cpuidle driver is haltpoll, a stop takes 5 us then instead of 16.
 *
 * That is power for speed, for the whole machine, and root's alone by default.
 * So it is asked for only while stops are frequent, and taken back before a
 * long sleep: a timer ends the wait (SIGUSR1, EINTR) when none comes.
 */
#include "tracer.h"

#include <signal.h>

#define PATIENCE_NS 3000000            /* without a stop for so long, the processors may sleep */
#define NOWHERE (-2)                   /* the file may not be opened */

static void ask(const struct lr_tracer *t, int32_t microseconds)
{
    if (write(t->latency.fd, &microseconds, sizeof microseconds) < 0)
        return;                        /* it is a wish: without it stops take longer */
}

/* Stops are frequent. */
void lr_latency_hold(struct lr_tracer *t)
{
    struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1 };

    if (t->latency.held || t->latency.fd == NOWHERE)
        return;
    if (t->latency.fd < 0) {
        t->latency.fd = open("/dev/cpu_dma_latency", O_WRONLY | O_CLOEXEC);
        if (t->latency.fd < 0 || timer_create(CLOCK_MONOTONIC, &event, &t->latency.timer) < 0) {
            lr_latency_end(t);
            t->latency.fd = NOWHERE;
            return;
        }
    }
    ask(t, 0);
    t->latency.held = true;
}

/* They are not, or there will be none for long. */
void lr_latency_release(struct lr_tracer *t)
{
    if (t->latency.held)
        ask(t, INT32_MAX);
    t->latency.held = false;
}

/* Before a wait that sleeps: it is ended, with EINTR, when it has taken long. */
void lr_latency_bound(const struct lr_tracer *t)
{
    const struct itimerspec patience = { .it_value = { .tv_nsec = PATIENCE_NS } };

    if (t->latency.held)
        timer_settime(t->latency.timer, 0, &patience, NULL);
}

/* The timer ends with the tracer's process, the descriptor is the host's as well; and a copy of it
 * that a fork of the host has must not keep the wish alive. */
void lr_latency_end(struct lr_tracer *t)
{
    lr_latency_release(t);
    if (t->latency.fd >= 0)
        close(t->latency.fd);
    t->latency.fd = -1;
}
